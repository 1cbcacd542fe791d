use core::any::{Any, TypeId};
use core::fmt;
use core::mem::size_of;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use memchr::memchr_iter;
use serde::de::DeserializeOwned;

use crate::keys::VerificationKey;
use crate::revocation::NEVER;
use crate::signature::{Algorithm, Authentic};
#[cfg(feature = "status-list")]
use crate::status_list::StatusClaim;
use crate::terms::IssuerTerms;
use crate::time::UnixTime;
use crate::token::{Parts, TypeHeader};

/// For how many claims types a token remembers what it was read as: the layers and extractors of
/// one request ask for one or two. Each is counted in full when the token is remembered.
const REMEMBERED_TYPES: usize = 2;

/// A token that passed every check of a policy. Only verification makes one. Cheap to clone.
///
/// ```compile_fail
/// # use portcullis::VerifiedToken;
/// // Not by hand, and not from JSON.
/// let token: VerifiedToken = serde_json::from_str(r#"{"sub":"root"}"#).unwrap();
/// ```
#[derive(Clone)]
pub struct VerifiedToken(Arc<Inner>);

struct Inner {
    parts: Parts,
    key: Arc<VerificationKey>,
    /// By which it was verified.
    terms: Arc<IssuerTerms>,
    /// The generation of revocations in which it was last found active.
    active_in: AtomicU64,
    claims: [OnceLock<(TypeId, Arc<dyn Any + Send + Sync>)>; REMEMBERED_TYPES],
    /// Read when a policy first asks for it.
    /// In a box, since most tokens name no list.
    #[cfg(feature = "status-list")]
    status: OnceLock<Box<StatusClaim>>,
}

impl VerifiedToken {
    pub(crate) fn new(authentic: Authentic, terms: Arc<IssuerTerms>) -> Self {
        let Authentic { parts, key } = authentic;
        let claims = [const { OnceLock::new() }; REMEMBERED_TYPES];
        Self(Arc::new(Inner {
            parts,
            key,
            terms,
            active_in: AtomicU64::new(NEVER),
            claims,
            #[cfg(feature = "status-list")]
            status: OnceLock::new(),
        }))
    }

    /// The issuer (`iss`), as the policy names it.
    pub fn issuer(&self) -> &str {
        // Verification refuses a token without `iss`.
        self.0.parts.payload.issuer.as_ref().map_or("", |text| text.get(self.payload()))
    }

    /// Whom the token is about (`sub`). Unique only together with the issuer (RFC 7519 §4.1.2).
    pub fn subject(&self) -> Option<&str> {
        self.0.parts.payload.subject.as_ref().map(|text| text.get(self.payload()))
    }

    /// The token's id (`jti`).
    pub fn token_id(&self) -> Option<&str> {
        self.0.parts.payload.token_id.as_ref().map(|text| text.get(self.payload()))
    }

    /// The client that asked for the token (`client_id`, RFC 8693 §4.3).
    pub fn client_id(&self) -> Option<&str> {
        self.0.parts.payload.client_id.as_ref().map(|text| text.get(self.payload()))
    }

    /// All that the token is meant for (`aud`), at least one of them this service.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.0.parts.payload.audiences.iter().flatten().map(|text| text.get(self.payload()))
    }

    /// When it expires (`exp`). The policy still accepts it for its leeway longer: see
    /// [`Policy::time_left`](crate::Policy::time_left).
    pub fn expires_at(&self) -> UnixTime {
        // Verification refuses a token without `exp`.
        self.0.parts.payload.expires_at.unwrap_or(UnixTime(0))
    }

    /// When it was issued (`iat`).
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.0.parts.payload.issued_at
    }

    /// The key id that it names (`kid`).
    pub fn key_id(&self) -> Option<&str> {
        self.0.parts.header.key_id(self.0.parts.text.header())
    }

    /// The algorithm that it was verified with.
    pub fn algorithm(&self) -> Algorithm {
        self.0.key.algorithm()
    }

    /// Whether its `typ` says `at+jwt` (RFC 9068).
    pub fn is_typed_access_token(&self) -> bool {
        self.0.parts.header.typ == TypeHeader::AccessToken
    }

    /// All claims as JSON, byte for byte as they were signed.
    pub fn claims_json(&self) -> &str {
        self.payload()
    }

    /// All claims as a `T`.
    ///
    /// Read at most once per token for each of the first two types asked for, and shared; as long
    /// as the policy remembers the token, by all requests that bring it.
    ///
    /// # Errors
    ///
    /// The claims do not have the shape of a `T`.
    pub fn claims<T: DeserializeOwned + Send + Sync + 'static>(
        &self,
    ) -> Result<Arc<T>, ShapeError> {
        for slot in &self.0.claims {
            match slot.get() {
                Some((id, claims)) if *id == TypeId::of::<T>() => {
                    if let Ok(claims) = Arc::clone(claims).downcast() {
                        return Ok(claims);
                    }
                }
                Some(_) => {}
                None => {
                    let claims = self.read::<T>()?;
                    // Lost to another thread: this one keeps its own.
                    let _ = slot.set((TypeId::of::<T>(), Arc::clone(&claims) as _));
                    return Ok(claims);
                }
            }
        }
        self.read()
    }

    fn read<T: DeserializeOwned>(&self) -> Result<Arc<T>, ShapeError> {
        serde_json::from_str(self.payload())
            .map(Arc::new)
            .map_err(|error| ShapeError::new::<T>(&error))
    }

    fn payload(&self) -> &str {
        self.0.parts.text.payload()
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.0.parts
    }

    pub(crate) fn key(&self) -> &VerificationKey {
        &self.0.key
    }

    pub(crate) fn terms(&self) -> &IssuerTerms {
        &self.0.terms
    }

    /// Where its status is. Read once.
    #[cfg(feature = "status-list")]
    pub(crate) fn status(&self) -> &StatusClaim {
        let read = || Box::new(StatusClaim::read(self.issuer(), self.payload()));
        self.0.status.get_or_init(read)
    }

    /// Whether it was found active in this generation of revocations.
    pub(crate) fn is_active_in(&self, generation: u64) -> bool {
        generation != NEVER && self.0.active_in.load(Ordering::Acquire) == generation
    }

    pub(crate) fn set_active_in(&self, generation: u64) {
        self.0.active_in.store(generation, Ordering::Release);
    }

    /// Whether both came of one verification.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many bytes it takes at most, the claims types that it remembers included.
    ///
    /// A struct of claims takes about as much as the text that it was read from; a tree of JSON
    /// values, for each value up to some 64 bytes besides.
    pub(crate) fn footprint(&self) -> usize {
        const VALUE: usize = 64;
        const MOST_CLAIMS: usize = 16;
        let payload = self.payload();
        let values = memchr_iter(b',', payload.as_bytes()).count();
        let claims = payload.len() + VALUE * (1 + values.saturating_sub(MOST_CLAIMS));
        #[cfg(feature = "status-list")]
        let claims_read =
            self.0.status.get().map_or(0, |claim| size_of::<StatusClaim>() + claim.heap_size());
        #[cfg(not(feature = "status-list"))]
        let claims_read = 0;
        size_of::<Inner>() + self.0.parts.heap_size() + claims_read + REMEMBERED_TYPES * claims
    }
}

impl fmt::Debug for VerifiedToken {
    /// Shows no claim: a subject or a token id must not end up in a log by accident.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

/// Verified claims do not have the shape of the type that was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShapeError {
    type_name: &'static str,
    detail: String,
}

impl ShapeError {
    fn new<T>(error: &serde_json::Error) -> Self {
        // serde's messages quote values. Of those that do not, this one is worth having: the
        // name comes from the type.
        let message = error.to_string();
        let detail =
            match message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
                Some((field, _)) => format!("missing field `{field}`"),
                None => format!("at byte {} of the claims", error.column()),
            };
        Self { type_name: core::any::type_name::<T>(), detail }
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the claims are no `{}`: {}", self.type_name, self.detail)
    }
}

impl core::error::Error for ShapeError {}

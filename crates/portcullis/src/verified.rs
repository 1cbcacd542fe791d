use core::any::{Any, TypeId};
use core::fmt;
use core::mem::size_of;
use core::num::NonZeroU64;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;

use crate::authentic::Authentic;
use crate::dpop::{KNOWN_SENDER, KnownSender};
use crate::error::ShapeError;
use crate::json::JsonText;
use crate::keys::VerificationKey;
use crate::mtls::{KNOWN_HEADER, KnownHeader};
use crate::signature::Algorithm;
use crate::terms::{Generation, IssuerTerms, NEVER};
use crate::time::UnixTime;
#[cfg(feature = "status-list")]
use crate::token::StatusClaim;
use crate::token::{Parts, TypeHeader};

/// For how many claims types a token keeps at most what it was read as: the layers and extractors of one
/// request ask for one or two.
const MAX_CLAIMS_TYPES: usize = 2;

/// How many requirements a token remembers to have met: a caller comes back to few routes. Each takes 8 bytes.
const MET: usize = 4;

/// What a claims type takes beside what was read: the struct itself, counts and type.
const CLAIMS: usize = 256;

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
    /// Numbers of requirements that it met, each at its place; 0 is the number of none.
    met: [AtomicU64; MET],
    /// For how many claims types there is room: where it is remembered, for those alone that the cache has
    /// counted.
    room: AtomicUsize,
    claims: [OnceLock<(TypeId, Arc<dyn Any + Send + Sync>)>; MAX_CLAIMS_TYPES],
    /// Of a token that is bound to a key.
    sender: KnownSender,
    /// Of a token that is bound to a certificate.
    header: KnownHeader,
    /// Read when a policy first asks for it.
    /// In a box, since most tokens name no list.
    #[cfg(feature = "status-list")]
    status: OnceLock<Box<StatusClaim>>,
}

impl VerifiedToken {
    pub(crate) fn new(authentic: Authentic, terms: Arc<IssuerTerms>) -> Self {
        let Authentic { parts, key } = authentic;
        Self(Arc::new(Inner {
            parts,
            key,
            active_in: AtomicU64::new(NEVER),
            met: [const { AtomicU64::new(0) }; MET],
            room: AtomicUsize::new(MAX_CLAIMS_TYPES),
            claims: [const { OnceLock::new() }; MAX_CLAIMS_TYPES],
            sender: KnownSender::default(),
            header: KnownHeader::default(),
            terms,
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

    /// Whether only who has a certain key may use it (`cnf`, RFC 7800). Where a request brought it, its sender showed that they have
    /// it.
    pub fn is_bound(&self) -> bool {
        self.0.parts.payload.binding.is_some()
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
    /// as the policy remembers the token, by all requests that bring it. Until handlers have asked a policy's
    /// tokens for a type once, there is no room for it beside them, and it is read where it is asked for.
    ///
    /// # Errors
    ///
    /// The claims do not have the shape of a `T`.
    pub fn claims<T: DeserializeOwned + Send + Sync + 'static>(
        &self,
    ) -> Result<Arc<T>, ShapeError> {
        self.claims_if_shaped().ok_or_else(|| ShapeError::of::<T>(self.payload()))
    }

    /// As [`claims`](Self::claims), for who does not tell why not.
    pub(crate) fn claims_if_shaped<T: DeserializeOwned + Send + Sync + 'static>(
        &self,
    ) -> Option<Arc<T>> {
        for (index, slot) in self.0.claims.iter().enumerate() {
            match slot.get() {
                Some((id, claims)) if *id == TypeId::of::<T>() => {
                    if let Ok(claims) = Arc::clone(claims).downcast() {
                        return Some(claims);
                    }
                }
                Some(_) => {}
                None => {
                    let claims = self.read::<T>()?;
                    if index < self.room() {
                        // Lost to another thread: this one keeps its own.
                        let _ = slot.set((TypeId::of::<T>(), Arc::clone(&claims) as _));
                    } else {
                        self.0.terms.policy.keep_claims_types(index + 1);
                    }
                    return Some(claims);
                }
            }
        }
        self.read()
    }

    fn read<T: DeserializeOwned>(&self) -> Option<Arc<T>> {
        serde_json::from_str(self.payload()).map(Arc::new).ok()
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

    pub(crate) fn known_sender(&self) -> &KnownSender {
        &self.0.sender
    }

    pub(crate) fn known_header(&self) -> &KnownHeader {
        &self.0.header
    }

    /// The thumbprint of the key that it is bound to.
    pub(crate) fn bound_key(&self) -> Option<[u8; 32]> {
        self.0.parts.payload.binding.as_ref()?.key
    }

    /// SHA-256 of the certificate that it is bound to.
    pub(crate) fn bound_certificate(&self) -> Option<[u8; 32]> {
        self.0.parts.payload.binding.as_ref()?.certificate
    }

    /// Where its status is. Read once.
    #[cfg(feature = "status-list")]
    pub(crate) fn status(&self) -> &StatusClaim {
        let read = || Box::new(StatusClaim::read(self.issuer(), self.payload()));
        self.0.status.get_or_init(read)
    }

    /// The claim of this name, in whatever spelling, as the reader of tokens took it.
    pub(crate) fn claim(&self, name: &str) -> Option<JsonText<'_>> {
        self.0.parts.claim(name)
    }

    /// Whether it was found active in this state of its policy's revocation sources.
    pub(crate) fn is_active_in(&self, generation: Generation) -> bool {
        let number = generation.number_in(&self.0.terms.policy);
        number.is_some_and(|number| {
            number != NEVER && self.0.active_in.load(Ordering::Acquire) == number
        })
    }

    pub(crate) fn set_active_in(&self, generation: Generation) {
        if let Some(number) = generation.number_in(&self.0.terms.policy) {
            self.0.active_in.store(number, Ordering::Release);
        }
    }

    /// Whether it met the requirement of this number before.
    pub(crate) fn has_met(&self, number: NonZeroU64) -> bool {
        self.place_of(number).load(Ordering::Relaxed) == number.get()
    }

    /// Remembers that it meets the requirement of this number, which it always will.
    pub(crate) fn remember_met(&self, number: NonZeroU64) {
        self.place_of(number).store(number.get(), Ordering::Relaxed);
    }

    /// Numbers that follow each other have places of their own.
    fn place_of(&self, number: NonZeroU64) -> &AtomicU64 {
        &self.0.met[(number.get() % MET as u64) as usize]
    }

    /// Whether both came of one verification.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// For how many claims types it has room.
    fn room(&self) -> usize {
        self.0.room.load(Ordering::Relaxed)
    }

    /// For how many claims types it should have room: as many as it keeps, or as handlers asked of others.
    pub(crate) fn wanted_room(&self) -> usize {
        let kept = self.0.claims.iter().filter(|slot| slot.get().is_some()).count();
        kept.max(self.0.terms.policy.claims_types.load(Ordering::Relaxed))
    }

    /// Whether handlers ask for more claims types than it has room for.
    pub(crate) fn wants_room(&self) -> bool {
        self.0.terms.policy.claims_types.load(Ordering::Relaxed) > self.room()
    }

    /// Gives it room for so many claims types, which are counted, and no more.
    pub(crate) fn set_room(&self, count: usize) {
        self.0.room.store(count, Ordering::Relaxed);
    }

    /// How many bytes it takes at most with this many claims types.
    ///
    /// A type is counted as a tree of `serde_json` values, which is the largest that it is usually read as: a
    /// struct takes less.
    pub(crate) fn footprint(&self, claims_types: usize) -> usize {
        #[cfg(feature = "status-list")]
        let status =
            self.0.status.get().map_or(0, |claim| size_of::<StatusClaim>() + claim.heap_size());
        #[cfg(not(feature = "status-list"))]
        let status = 0;
        let claims = self.0.parts.payload.tree + self.payload().len() + CLAIMS;
        let of_key = self.bound_key().map_or(0, |_| KNOWN_SENDER);
        let of_certificate = self.bound_certificate().map_or(0, |_| KNOWN_HEADER);
        let sender = of_key + of_certificate;
        size_of::<Inner>() + self.0.parts.heap_size() + status + sender + claims_types * claims
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

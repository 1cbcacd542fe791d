//! Proofs at a token endpoint (RFC 9449 §5), where there is no access token yet.
use core::fmt;
use std::sync::Arc;

use super::check::{ProofText, Timely};
use super::error::{DpopError, ProofFault};
use super::nonces::Nonce;
use super::proof::ProofRoom;
use super::replays::{Holder, Spent};
use super::settings::DpopRules;
use crate::keys::VerificationKey;
use crate::request::RequestView;
use crate::signature::Algorithm;
use crate::time::UnixTime;

/// Checks the proofs of requests to a token endpoint: of [`Dpop::for_token_endpoint`](super::Dpop::for_token_endpoint).
///
/// Nonces and used proofs of a token endpoint are not those of resources, though both are made of one [`Dpop`](super::Dpop).
#[derive(Clone)]
pub struct TokenEndpointProofs(Arc<DpopRules>);

impl TokenEndpointProofs {
    pub(super) fn new(rules: DpopRules) -> Self {
        Self(Arc::new(rules))
    }

    /// What proof a request has, if it has one that holds. It is not used yet: [`GoodProof::spend`] it once all else is good.
    ///
    /// # Errors
    ///
    /// There are several proofs, or one that does not hold.
    pub fn check(
        &self,
        request: &impl RequestView,
        now: UnixTime,
    ) -> Result<Option<GoodProof>, DpopError> {
        let text = match ProofText::of(request) {
            ProofText::None => return Ok(None),
            ProofText::Several => return Err(DpopError::SeveralProofs),
            ProofText::One(text) => text,
        };
        let mut room = ProofRoom::new();
        let proof = self.0.read(&text, &mut room, None)?;
        self.0.check_target(&proof.claims, request.method(), request.path())?;
        let (timely, next_nonce) = self.0.check_time(&proof.claims, now)?;
        if !proof.is_signed() {
            return Err(DpopError::Signature);
        }
        let key = Arc::clone(&proof.key);
        let thumbprint = key.thumbprint_bytes().ok_or(DpopError::Proof(ProofFault::KeyMissing))?;
        Ok(Some(GoodProof {
            key,
            thumbprint,
            id: proof.claims.id.into_owned(),
            timely,
            next_nonce,
            rules: Arc::clone(&self.0),
        }))
    }

    /// The nonce that is given out now, where proofs need one: for the header `DPoP-Nonce` of an answer.
    pub fn nonce(&self, now: UnixTime) -> Option<String> {
        self.0.nonces.as_ref().map(|nonces| nonces.current(now).as_str().to_owned())
    }

    /// Whether each request needs a proof.
    pub fn are_required(&self) -> bool {
        self.0.is_required
    }

    /// The algorithms of proofs.
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.0.algorithms
    }

    /// Begins to remember used proofs, at this time of the clock that it is asked with.
    pub fn start(&self, now: UnixTime) {
        self.0.start(now);
    }

    /// Whether it can tell which proofs were used: also, of one that is made now.
    pub fn is_available(&self, now: UnixTime) -> bool {
        self.0.is_available(now)
    }
}

impl fmt::Debug for TokenEndpointProofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEndpointProofs")
            .field("are_required", &self.are_required())
            .field("algorithms", &self.algorithms())
            .finish_non_exhaustive()
    }
}

/// A proof that holds, and is not used yet.
#[must_use = "a proof that is not spent can be used again"]
pub struct GoodProof {
    key: Arc<VerificationKey>,
    thumbprint: [u8; 32],
    id: String,
    timely: Timely,
    next_nonce: Option<Arc<Nonce>>,
    rules: Arc<DpopRules>,
}

impl GoodProof {
    /// The thumbprint of its key (RFC 7638), for the claim `cnf.jkt` of a token (RFC 9449 §6.1).
    pub fn thumbprint(&self) -> &str {
        self.key.thumbprint().unwrap_or_default()
    }

    /// The same, not encoded.
    pub fn thumbprint_bytes(&self) -> &[u8; 32] {
        &self.thumbprint
    }

    /// The nonce for the client's next proof, where it does not have it.
    pub fn next_nonce(&self) -> Option<&str> {
        self.next_nonce.as_deref().map(Nonce::as_str)
    }

    /// Uses it. `holder` is whose it is, for a share of the room: a session, a subject. `now` is the time of the clock that it was
    /// checked with: what is too old by then may have been used and forgotten, and is answered with [`Seen`](Spent::Seen).
    pub fn spend(&self, issuer: &str, holder: &str, now: UnixTime) -> Spent {
        let timely = Timely { now: now.max(self.timely.now), ..self.timely };
        if timely.now >= timely.until {
            return Spent::Seen;
        }
        self.rules.spend(self.thumbprint(), &self.id, Holder::new(issuer, holder), timely)
    }
}

/// Shows nothing of it.
impl fmt::Debug for GoodProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoodProof").finish_non_exhaustive()
    }
}

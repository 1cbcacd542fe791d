//! Tokens that were signed by a trusted key.
use std::sync::Arc;

use crate::keys::VerificationKey;
use crate::signature::SignatureError;
use crate::token::{Parts, Unverified};

/// A token whose bytes were signed by a key that the policy trusts. Its claims are unchecked.
pub(crate) struct Authentic {
    pub(crate) parts: Parts,
    pub(crate) key: Arc<VerificationKey>,
}

impl Authentic {
    /// Verifies the signature of `token` under one of `candidates` (RFC 7515 §5.2).
    pub(crate) fn check<'k>(
        token: Unverified<'_>,
        candidates: impl IntoIterator<Item = &'k Arc<VerificationKey>>,
    ) -> Result<Self, SignatureError> {
        let key = candidates
            .into_iter()
            // RFC 8725 §3.1: a key is used with its algorithm only, whatever looked it up.
            .filter(|key| key.algorithm() == token.parts.header.algorithm)
            .find(|key| key.verifier().verify(token.signing_input, token.signature))
            .ok_or(SignatureError)?;
        Ok(Self { key: key.clone(), parts: token.parts })
    }
}

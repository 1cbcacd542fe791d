//! A ring as an instance holds it.
use core::time::Duration;
use std::sync::Arc;

use aws_lc_rs::digest;
use base64::prelude::*;
use portcullis::KeySet;

use crate::key::SigningKey;
use crate::machine::MachineTime;
use crate::ring::{KeyTimes, Phase, RingTime};
use crate::store::RingVersion;
use crate::token::TokenHeader;

/// A key of a ring that was read.
pub(crate) struct HeldKey {
    pub(crate) id: String,
    pub(crate) times: KeyTimes,
    /// Where its private part is kept.
    pub(crate) signing: Option<(SigningKey, TokenHeader)>,
}

/// The public keys of an issuer, as a JWK set (RFC 7517 §5). The bytes are the same on all instances. Clones are cheap.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublishedKeys {
    /// The set.
    pub body: Arc<str>,
    /// Its entity tag, quoted (RFC 9110 §8.8.3).
    pub etag: Arc<str>,
}

impl PublishedKeys {
    pub(super) fn of<'a>(jwks: impl IntoIterator<Item = &'a str>) -> Self {
        let jwks: Vec<_> = jwks.into_iter().collect();
        let body = format!(r#"{{"keys":[{}]}}"#, jwks.join(","));
        let tag = digest::digest(&digest::SHA256, body.as_bytes());
        let etag = format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(&tag.as_ref()[..16]));
        Self { body: body.into(), etag: etag.into() }
    }

    /// To verify with. `None`: one of them is not a key.
    pub(super) fn key_set(&self) -> Option<KeySet> {
        KeySet::from_jwks(&*self.body).ok().filter(|keys| keys.skipped().is_empty())
    }
}

/// A ring as an instance holds it.
pub(crate) struct ReadRing {
    pub(crate) version: RingVersion,
    pub(crate) keys: Vec<HeldKey>,
    pub(crate) published: PublishedKeys,
    /// The same, to verify with.
    pub(crate) key_set: KeySet,
    /// The store's clock, and the machine's at the same moment.
    pub(super) now: RingTime,
    pub(super) elapsed: Duration,
    pub(super) wall: RingTime,
}

impl ReadRing {
    /// The ring's clock.
    pub(crate) fn now(&self, time: &dyn MachineTime) -> RingTime {
        self.now.after(time.elapsed().saturating_sub(self.elapsed))
    }

    /// How long ago it was read. While a machine sleeps, its wall clock alone goes on.
    pub(crate) fn age(&self, time: &dyn MachineTime) -> Duration {
        time.elapsed().saturating_sub(self.elapsed).max(time.wall().since(self.wall))
    }

    /// The key that signs.
    pub(crate) fn signing(&self, now: RingTime) -> Option<(&HeldKey, &SigningKey, &TokenHeader)> {
        let mut signing = self.keys.iter().filter(|key| key.times.phase(now) == Phase::Signing);
        signing.find_map(|held| held.signing.as_ref().map(|(key, header)| (held, key, header)))
    }
}

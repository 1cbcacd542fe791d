//! A ring as an instance holds it.
use core::time::Duration;
use std::sync::Arc;

use aws_lc_rs::digest;
use base64::prelude::*;
use portcullis::keys::SecretSet;
use portcullis::routes::PublicDocument;
use portcullis::{Algorithm, KeySet, Secret};

use super::{ReadAt, RingError, RingKeeper};
use crate::key::{KeyError, RemoteKey, SigningKey};
use crate::machine::MachineTime;
use crate::ring::Phase;
use crate::row::{KeyRow, PrivatePart, in_order};
use crate::store::{RingStore, RingVersion, StoredRing};
use crate::time::StoreTime;
use crate::token::TokenHeader;

const NO_KEYS: &str = r#"{"keys":[]}"#;

/// A key of a ring that was read.
#[derive(Clone)]
pub(crate) struct HeldKey {
    pub(crate) row: KeyRow,
    /// Where its private part is kept.
    signing: Option<Arc<SigningPart>>,
}

/// What signs, and the header of what it signs.
pub(crate) struct SigningPart {
    pub(crate) signer: HeldSigner,
    pub(crate) header: TokenHeader,
}

/// Where a private part is.
pub(crate) enum HeldSigner {
    Here(SigningKey),
    AtSigner(RemoteKey),
}

impl HeldKey {
    pub(super) fn new(row: KeyRow, signing: Option<Arc<SigningPart>>) -> Self {
        Self { row, signing }
    }

    /// A shared secret, to verify with.
    fn secret(&self) -> Option<Secret> {
        match &self.signing.as_ref()?.signer {
            HeldSigner::Here(key) => key.secret(),
            HeldSigner::AtSigner(_) => None,
        }
    }

    /// Whether `row` is of the same key, with the same private part.
    fn is_of(&self, row: &KeyRow) -> bool {
        let KeyRow { key_id, algorithm, public_jwk, private, times: _, mac: _ } = &self.row;
        (key_id, algorithm, public_jwk, private)
            == (&row.key_id, &row.algorithm, &row.public_jwk, &row.private)
    }
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
    /// RFC 7517 §8.5.2.
    const TYPE: &'static str = "application/jwk-set+json";

    pub(super) fn of<'a>(jwks: impl IntoIterator<Item = &'a str>) -> Self {
        let jwks: Vec<_> = jwks.into_iter().collect();
        let body = format!(r#"{{"keys":[{}]}}"#, jwks.join(","));
        let tag = digest::digest(&digest::SHA256, body.as_bytes());
        let etag = format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(&tag.as_ref()[..16]));
        Self { body: body.into(), etag: etag.into() }
    }

    /// As it is sent.
    fn document(&self) -> PublicDocument {
        let body = self.body.as_bytes().to_vec();
        let document = PublicDocument::new(Self::TYPE, body);
        document.with_entity_tag(self.etag.trim_matches('"'))
    }

    /// To verify with. `None`: one of them is not a key.
    pub(super) fn key_set(&self) -> Option<KeySet> {
        // Of shared secrets alone.
        if *self.body == *NO_KEYS {
            return Some(KeySet::empty());
        }
        KeySet::from_jwks(&*self.body).ok().filter(|keys| keys.skipped().is_empty())
    }
}

/// A ring as an instance holds it.
pub(crate) struct ReadRing {
    pub(crate) version: RingVersion,
    pub(crate) keys: Vec<HeldKey>,
    pub(crate) published: PublishedKeys,
    /// The same, as it is sent.
    pub(crate) document: PublicDocument,
    /// The same, to verify with.
    pub(crate) key_set: KeySet,
    /// Shared secrets, to verify with.
    pub(crate) secrets: SecretSet,
    pub(crate) longest_lifetime: Duration,
    pub(super) at: ReadAt,
}

impl ReadRing {
    /// The ring's clock.
    pub(crate) fn now(&self, time: &dyn MachineTime) -> StoreTime {
        self.at.now.after(time.elapsed().saturating_sub(self.at.elapsed))
    }

    /// How long ago it was read. While a machine sleeps, its wall clock alone goes on.
    pub(crate) fn age(&self, time: &dyn MachineTime) -> Duration {
        time.elapsed().saturating_sub(self.at.elapsed).max(time.wall().since(self.at.wall))
    }

    /// By how many milliseconds the machine's clock was behind the store's; below 0 where it was ahead.
    pub(crate) fn clock_offset(&self) -> i64 {
        self.at.now.as_millis().saturating_sub(self.at.wall.as_millis())
    }

    /// The key that signs.
    pub(crate) fn signing(&self, now: StoreTime) -> Option<(&KeyRow, &Arc<SigningPart>)> {
        let is_signing = |key: &&HeldKey| key.row.times.phase(now) == Phase::Signing;
        let mut signing = self.keys.iter().filter(is_signing);
        signing.find_map(|held| Some((&held.row, held.signing.as_ref()?)))
    }
}

impl<S: RingStore> RingKeeper<S> {
    /// The ring as this instance holds it.
    pub(super) async fn take(
        &self,
        version: RingVersion,
        stored: StoredRing,
        at: ReadAt,
    ) -> Result<ReadRing, RingError> {
        let StoredRing { longest_lifetime, keys: mut rows, mac: _ } = stored;
        let now = at.now;
        // The same order on every instance, so the same bytes.
        in_order(&mut rows);
        let published = rows.iter().filter(|row| row.times.is_published(now) && !row.is_secret());
        let published = PublishedKeys::of(published.map(|row| row.public_jwk.as_str()));
        let before = self.held.load_full();
        let key_set = match &before {
            Some(before) if before.published == published => before.key_set.clone(),
            _ => {
                check_published(&rows.iter().collect::<Vec<_>>(), now)?;
                published.key_set().ok_or(RingError::NoKeys)?
            }
        };
        let mut keys = Vec::with_capacity(rows.len());
        for row in rows {
            let signing = self.signing_once(&row).await?;
            keys.push(HeldKey { row, signing });
        }
        self.locked(&self.opened).clear();
        let secrets = keys.iter().filter(|key| key.row.times.is_published(now));
        let secrets = SecretSet::new(secrets.filter_map(HeldKey::secret));
        let secrets = secrets.map_err(|_| KeyError::Private { algorithm: Algorithm::HS256 })?;
        let document = published.document();
        Ok(ReadRing { version, keys, published, document, key_set, secrets, longest_lifetime, at })
    }

    /// What signs for a row, opened and read once: what seals may be far away.
    pub(super) async fn signing_once(
        &self,
        row: &KeyRow,
    ) -> Result<Option<Arc<SigningPart>>, RingError> {
        let held = self.held.load_full();
        let mut held = held.iter().flat_map(|held| &held.keys);
        if let Some(held) = held.find(|held| held.is_of(row)) {
            return Ok(held.signing.clone());
        }
        let opened = self.locked(&self.opened).iter().find(|opened| opened.is_of(row)).cloned();
        match opened {
            Some(opened) => Ok(opened.signing),
            None => Ok(self.signing(row).await?.map(Arc::new)),
        }
    }

    /// What signs for a row, where its private part is kept.
    async fn signing(&self, row: &KeyRow) -> Result<Option<SigningPart>, RingError> {
        let KeyRow { key_id, algorithm, public_jwk, private, .. } = row;
        let Some(private) = private else { return Ok(None) };
        let known = SigningKey::ALGORITHMS.into_iter().find(|it| it.name() == algorithm);
        let newer =
            || RingError::NewerAlgorithm { key_id: key_id.clone(), algorithm: algorithm.clone() };
        let (known, signer, found) = match private {
            PrivatePart::Sealed(sealed) => {
                let opened = self.opened(sealed, self.whose(key_id, algorithm)).await?;
                let known = known.ok_or_else(newer)?;
                let key = SigningKey::read(known, &opened, Some(key_id))?;
                let found = key.public_jwk().unwrap_or_default().to_owned();
                (known, HeldSigner::Here(key), found)
            }
            PrivatePart::AtSigner { name } if self.signer.is_some() => {
                let known = known.ok_or_else(newer)?;
                let key = RemoteKey::of_jwk(known, name.clone(), public_jwk, key_id)?;
                let found = key.public_jwk().to_owned();
                (known, HeldSigner::AtSigner(key), found)
            }
            PrivatePart::AtSigner { .. } => {
                return Err(RingError::NoSigner { key_id: key_id.clone() });
            }
        };
        if found != *public_jwk {
            return Err(RingError::PublicPart { key_id: key_id.clone() });
        }
        let header = TokenHeader::new(known, key_id);
        Ok(Some(SigningPart { signer, header }))
    }
}

/// Whether the public part of each key that is published is one. Names the first that is not.
pub(super) fn check_published(rows: &[&KeyRow], now: StoreTime) -> Result<(), RingError> {
    let is_none = |row: &&&KeyRow| {
        row.times.is_published(now)
            && !row.is_secret()
            && PublishedKeys::of([&*row.public_jwk]).key_set().is_none()
    };
    let Some(row) = rows.iter().find(is_none) else { return Ok(()) };
    let (key_id, algorithm) = (row.key_id.clone(), row.algorithm.clone());
    if SigningKey::ALGORITHMS.into_iter().any(|known| known.name() == algorithm) {
        Err(RingError::PublicPart { key_id })
    } else {
        Err(RingError::NewerAlgorithm { key_id, algorithm })
    }
}

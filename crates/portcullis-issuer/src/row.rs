//! A key as it stands in a store, and what shows that nobody else wrote it there.
use core::fmt;
use core::time::Duration;

use aws_lc_rs::hmac;

use crate::keeper::RingError;
use crate::ring::{KeyTimes, MAX_KEYS};
use crate::root::RootSecrets;
use crate::seal::{Sealed, fields, root_seal_ids};
use crate::store::{RingVersion, StoredRing};
use crate::time::StoreTime;

/// A key as it stands in a store.
#[derive(Clone, Eq, PartialEq)]
pub struct KeyRow {
    /// Its id, by which tokens name it: the thumbprint of its public part (RFC 7638).
    pub key_id: String,
    /// What it signs with, by its name in a header (RFC 7518 §3.1).
    pub algorithm: String,
    /// Its public part, as JSON: a JWK without private members (RFC 7517). Empty: it is a shared secret.
    pub public_jwk: String,
    /// Its private part. `None`: it is erased.
    pub private: Option<PrivatePart>,
    /// What it does when.
    pub times: KeyTimes,
    /// What shows that all of this was written by who has the root secret.
    pub mac: Vec<u8>,
}

/// The private part of a key, as it stands in a store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PrivatePart {
    /// It stands here, sealed.
    Sealed(Sealed),
    /// It never leaves a [`Signer`](crate::signer::Signer), which knows it by this name.
    AtSigner {
        /// The name.
        name: String,
    },
}

impl KeyRow {
    /// Whether it is a shared secret, which has no public part.
    pub(crate) fn is_secret(&self) -> bool {
        self.public_jwk.is_empty()
    }

    /// What a signer calls its private part, where that is there.
    pub(crate) fn name_at_signer(&self) -> Option<String> {
        match &self.private {
            Some(PrivatePart::AtSigner { name }) => Some(name.clone()),
            Some(PrivatePart::Sealed(_)) | None => None,
        }
    }

    /// Its private part, where that is sealed here.
    pub(crate) fn sealed(&self) -> Option<&Sealed> {
        match &self.private {
            Some(PrivatePart::Sealed(sealed)) => Some(sealed),
            Some(PrivatePart::AtSigner { .. }) | None => None,
        }
    }
}

/// Puts rows into the order in which their keys sign: the same on every instance.
pub(crate) fn in_order(rows: &mut [KeyRow]) {
    rows.sort_by(|a, b| (a.times.signs_from, &a.key_id).cmp(&(b.times.signs_from, &b.key_id)));
}

/// Shows neither private part nor MAC.
impl fmt::Debug for KeyRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRow")
            .field("key_id", &self.key_id)
            .field("algorithm", &self.algorithm)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

/// Authenticates the rows of one issuer, and which of them are a ring: whoever can write to the store, and has no root
/// secret, cannot add a key, change what one does, take one away, or put back what one did before. It can put back a whole
/// ring of before, which is authentic.
pub(crate) struct RowAuthenticator {
    issuer: Box<str>,
    keys: Vec<hmac::Key>,
    ring_keys: Vec<hmac::Key>,
    seal_ids: Vec<String>,
}

impl RowAuthenticator {
    pub(crate) fn new(root: &RootSecrets, issuer: &str) -> Self {
        let keys = |purpose| {
            let keys = root.keys(purpose, issuer);
            let keys = keys.iter().map(|key| hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()));
            keys.collect()
        };
        let seal_ids = root_seal_ids(root, issuer);
        Self { issuer: issuer.into(), keys: keys("row"), ring_keys: keys("ring"), seal_ids }
    }

    /// Checks a ring of this version: `None` is one that is about to be made, and has no rows. Says of each row which root
    /// secret made its MAC.
    ///
    /// # Errors
    ///
    /// A row, or the ring, is of somebody else, or there are too many.
    pub(crate) fn check_all(
        &self,
        stored: &StoredRing,
        version: Option<RingVersion>,
    ) -> Result<Vec<MadeBy>, RingError> {
        let StoredRing { longest_lifetime, keys, mac } = stored;
        if keys.len() > MAX_KEYS {
            return Err(RingError::TooManyKeys { found: keys.len() });
        }
        let made_by = keys.iter().map(|row| self.check(row)).collect::<Result<_, _>>()?;
        if let Some(version) = version {
            self.check_ring(version.0, *longest_lifetime, keys, mac)?;
        }
        Ok(made_by)
    }

    /// Names what the first root secret seals with.
    pub(crate) fn seal_id(&self) -> Option<&str> {
        self.seal_ids.first().map(String::as_str)
    }

    /// Which root secret a private part is sealed with. `None`: none of them, or it is not sealed here.
    pub(crate) fn sealed_by(&self, row: &KeyRow) -> Option<usize> {
        let sealed = row.sealed()?;
        self.seal_ids.iter().position(|id| *id == sealed.seal_id)
    }

    /// Puts the MAC of the first root secret into rows, and gives that of the ring which they are.
    pub(crate) fn authenticate_ring(
        &self,
        version: u64,
        longest_lifetime: Duration,
        keys: &mut [KeyRow],
    ) -> Vec<u8> {
        keys.iter_mut().for_each(|row| self.authenticate(row));
        let text = self.ring_text(version, longest_lifetime, keys);
        hmac::sign(&self.ring_keys[0], &text).as_ref().to_vec()
    }

    /// Whether a root secret made `mac` for a ring of this version and these keys.
    ///
    /// # Errors
    ///
    /// None of them made it.
    pub(crate) fn check_ring(
        &self,
        version: u64,
        longest_lifetime: Duration,
        keys: &[KeyRow],
        mac: &[u8],
    ) -> Result<(), ForeignRing> {
        let text = self.ring_text(version, longest_lifetime, keys);
        let is_made_by = |key: &hmac::Key| hmac::verify(key, &text, mac).is_ok();
        if self.ring_keys.iter().any(is_made_by) { Ok(()) } else { Err(ForeignRing) }
    }

    /// What a ring is, by the MACs of its rows, in whatever order a store gives them.
    fn ring_text(&self, version: u64, longest_lifetime: Duration, keys: &[KeyRow]) -> Vec<u8> {
        let mut macs: Vec<_> = keys.iter().map(|row| row.mac.as_slice()).collect();
        macs.sort_unstable();
        let (version, lifetime) =
            (version.to_be_bytes(), longest_lifetime.as_millis().to_be_bytes());
        let head = [&b"portcullis ring 1"[..], self.issuer.as_bytes(), &version, &lifetime];
        fields(head.into_iter().chain(macs))
    }

    /// Puts the MAC of the first root secret into a row.
    fn authenticate(&self, row: &mut KeyRow) {
        row.mac = hmac::sign(&self.keys[0], &self.text(row)).as_ref().to_vec();
    }

    /// Which root secret made the row's MAC. It need not be the first, before a rotation is over.
    ///
    /// # Errors
    ///
    /// None of them made it.
    pub(crate) fn check(&self, row: &KeyRow) -> Result<MadeBy, ForeignRow> {
        let text = self.text(row);
        let made = self.keys.iter().position(|key| hmac::verify(key, &text, &row.mac).is_ok());
        made.map(MadeBy).ok_or_else(|| ForeignRow { key_id: shown(&row.key_id) })
    }

    /// All of a row but its MAC. What is not there is told apart from what is empty.
    fn text(&self, row: &KeyRow) -> Vec<u8> {
        let KeyRow { key_id, algorithm, public_jwk, private, times, mac: _ } = row;
        let KeyTimes {
            published_at,
            signs_from,
            signs_until,
            verifies_until,
            withdrawn_at,
            is_private_kept,
        } = times;
        let time = |time: StoreTime| time.as_millis().to_be_bytes();
        let optional = |at: &Option<StoreTime>| at.map(|at| time(at).to_vec()).unwrap_or_default();
        let (form, id, bytes) = match private {
            None => (0, &[][..], &[][..]),
            Some(PrivatePart::Sealed(Sealed { seal_id, bytes })) => {
                (1, seal_id.as_bytes(), bytes.as_slice())
            }
            Some(PrivatePart::AtSigner { name }) => (2, name.as_bytes(), &[][..]),
        };
        fields([
            &b"portcullis key row 1"[..],
            self.issuer.as_bytes(),
            key_id.as_bytes(),
            algorithm.as_bytes(),
            public_jwk.as_bytes(),
            &[form],
            id,
            bytes,
            &time(*published_at),
            &time(*signs_from),
            &optional(signs_until),
            &optional(verifies_until),
            &optional(withdrawn_at),
            &[u8::from(*is_private_kept)],
        ])
    }
}

/// The root secret that authenticated a row, by its place in their list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct MadeBy(pub(crate) usize);

/// The keys of a ring are not those that it was written with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ForeignRing;

impl fmt::Display for ForeignRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the keys of the ring are not those of its version: somebody took a row away, or put an old one back; restore the whole ring from a backup, and find out who else writes to the store",
        )
    }
}

impl core::error::Error for ForeignRing {}

/// A row of the store that none of the root secrets authenticated. Its key is neither published nor used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ForeignRow {
    /// What it says is its id.
    pub key_id: String,
}

impl fmt::Display for ForeignRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the row of the key `{}` was not written with any of the root secrets: list the one that it was written with, or find out who else writes to the store",
            self.key_id
        )
    }
}

impl core::error::Error for ForeignRow {}

/// An id that anybody may have written, for messages: a thumbprint has 43 characters.
pub(crate) fn shown(key_id: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    key_id.chars().take(64).map(|char| if is_plain(char) { char } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use portcullis::Secret;

    use super::*;

    const OLD: &str = "FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old";
    const NEW: &str = "u9KXr4MZQy7hBtDfN1vCjEaPgS6oLw3k-new";
    const ISSUER: &str = "https://id.example";

    fn of(secrets: &[&str], issuer: &str) -> RowAuthenticator {
        let root = RootSecrets::new(secrets.iter().map(|text| Secret::new(*text)));
        RowAuthenticator::new(&root.expect("good secrets"), issuer)
    }

    fn row() -> KeyRow {
        let at = |at: i64| StoreTime::from_millis(1_800_000_000_000 + at);
        KeyRow {
            key_id: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs".to_owned(),
            algorithm: "ES256".to_owned(),
            public_jwk: "{\"kty\":\"EC\"}".to_owned(),
            private: Some(PrivatePart::Sealed(Sealed {
                seal_id: "s".to_owned(),
                bytes: vec![1, 2, 3],
            })),
            times: KeyTimes {
                published_at: at(0),
                signs_from: at(1),
                signs_until: Some(at(2)),
                verifies_until: Some(at(3)),
                withdrawn_at: None,
                is_private_kept: true,
            },
            mac: Vec::new(),
        }
    }

    fn authentic() -> KeyRow {
        let mut row = row();
        of(&[OLD], ISSUER).authenticate(&mut row);
        row
    }

    #[test]
    fn no_part_of_a_row_can_be_changed_without_the_root_secret() {
        let rows = of(&[OLD], ISSUER);
        assert_eq!(rows.check(&authentic()), Ok(MadeBy(0)));
        fn sealed(row: &mut KeyRow) -> &mut Sealed {
            match &mut row.private {
                Some(PrivatePart::Sealed(sealed)) => sealed,
                other => panic!("{other:?}"),
            }
        }
        let changes: [fn(&mut KeyRow); 17] = [
            |row| row.key_id.push('x'),
            |row| row.algorithm = "ES384".to_owned(),
            |row| row.public_jwk.push(' '),
            |row| row.private = None,
            |row| *sealed(row) = Sealed { seal_id: String::new(), bytes: Vec::new() },
            |row| sealed(row).seal_id.push('t'),
            |row| sealed(row).bytes.push(4),
            |row| {
                sealed(row).bytes.clear();
                row.private = Some(PrivatePart::AtSigner { name: "s".to_owned() });
            },
            |row| row.times.published_at = StoreTime::from_millis(1),
            |row| row.times.signs_from = row.times.published_at,
            |row| row.times.signs_until = None,
            |row| row.times.verifies_until = None,
            |row| row.times.verifies_until = row.times.signs_until,
            |row| row.times.withdrawn_at = row.times.signs_until,
            |row| row.times.is_private_kept = false,
            |row| row.mac[0] ^= 1,
            |row| row.mac.clear(),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let mut row = authentic();
            change(&mut row);
            assert!(rows.check(&row).is_err(), "{at}");
        }
    }

    /// What stands in one column cannot be taken for the end of the one before.
    #[test]
    fn bytes_cannot_move_from_one_column_to_another() {
        let rows = of(&[OLD], ISSUER);
        let mut row = authentic();
        row.key_id.push_str(&row.algorithm);
        row.algorithm.clear();
        assert!(rows.check(&row).is_err());
        let mut row = authentic();
        row.times.withdrawn_at = row.times.verifies_until.take();
        assert!(rows.check(&row).is_err());
    }

    #[test]
    fn a_row_of_another_issuer_or_another_secret_is_foreign() {
        let row = authentic();
        let foreign = Err(ForeignRow { key_id: row.key_id.clone() });
        assert_eq!(of(&[OLD], "https://id.example.org").check(&row), foreign);
        assert_eq!(of(&[NEW], ISSUER).check(&row), foreign);
        assert_eq!(of(&[NEW, OLD], ISSUER).check(&row), Ok(MadeBy(1)));
        assert_eq!(of(&[OLD, NEW], ISSUER).check(&row), Ok(MadeBy(0)));
    }

    #[test]
    fn what_a_foreign_row_says_is_shown_in_plain_characters_and_cut() {
        let mut row = row();
        row.key_id = format!("a\u{1b}[31m\n{}", "x".repeat(1000));
        let told = of(&[OLD], ISSUER).check(&row).expect_err("foreign").to_string();
        assert!(told.starts_with("the row of the key `a??31m?xxx") && told.len() < 300, "{told}");
    }
}

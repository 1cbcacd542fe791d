//! What is remembered in place of names.
use core::fmt;
use core::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use super::kind::Revocable;
use crate::signature::random_bytes;

/// Sixteen bytes that stand for what was revoked: of its kind, its issuer, and its name there.
///
/// `SipHash-2-4` with 128 bits under a secret key: who does not know the key can neither tell what a
/// digest stands for nor find two names with one.
///
/// Two of its bytes are the [tag](Self::tag) of the issuer, by which its entries are counted. They do not
/// take part where digests are compared, so that a look-up needs no second hash.
#[derive(Clone, Copy)]
pub(super) struct Digest(pub(super) [u8; 16]);

/// Where the tag stands: neither in the bytes that place a digest in a table, nor in the one that chooses the
/// shard.
const TAG: usize = 13;

impl Digest {
    /// A number that all digests of one issuer's names have, and seldom another's: 1 in 65,536.
    pub(super) fn tag(&self) -> u16 {
        u16::from_le_bytes([self.0[TAG], self.0[TAG + 1]])
    }

    fn with_tag(mut self, tag: u16) -> Self {
        self.0[TAG..TAG + 2].copy_from_slice(&tag.to_le_bytes());
        self
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        const NAME: u128 = !(0xFFFF << (8 * TAG));
        (u128::from_le_bytes(self.0) ^ u128::from_le_bytes(other.0)) & NAME == 0
    }
}

impl Eq for Digest {}

/// What a digest is made for: the first byte of what is hashed, so that none is another's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Of {
    /// What is revoked, after so many lifts of the same name.
    Name { lifts: u16 },
    /// How often a name was lifted.
    Lift,
}

/// What the code of a kind has besides, where an entry is a lift.
pub(super) const LIFT: u8 = 0x80;

/// The secret of the digests: of one process, or of the fleet that shares a store.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct DigestKey(pub(super) [u8; 16]);

impl DigestKey {
    /// Nobody's yet.
    pub(super) fn random() -> Self {
        Self(random_bytes())
    }

    /// A number that tells keys apart, and says nothing of them.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(b"fingerprint");
        hasher.finish()
    }

    /// Without the issuer's tag: to look up.
    pub(super) fn digest(&self, of: Of, kind: Revocable, issuer: &str, name: &str) -> Digest {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        match of {
            Of::Name { lifts: 0 } => hasher.write(&[kind.code()]),
            Of::Name { lifts } => {
                hasher.write(&[kind.code() | 0x40]);
                hasher.write(&lifts.to_le_bytes());
            }
            Of::Lift => hasher.write(&[kind.code() | LIFT]),
        }
        // With the length of the first, no two pairs are the same bytes.
        hasher.write(&(issuer.len() as u64).to_le_bytes());
        hasher.write(issuer.as_bytes());
        hasher.write(name.as_bytes());
        Digest(hasher.finish128().as_bytes())
    }

    /// With the issuer's tag: for an entry.
    pub(super) fn tagged(&self, of: Of, kind: Revocable, issuer: &str, name: &str) -> Digest {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(b"issuer");
        hasher.write(issuer.as_bytes());
        let [low, high, ..] = hasher.finish().to_le_bytes();
        self.digest(of, kind, issuer, name).with_tag(u16::from_le_bytes([low, high]))
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_found_without_its_tag_and_all_of_an_issuer_have_one_tag() {
        let key = DigestKey([7; 16]);
        let mut tags = Vec::new();
        for issuer in ["https://one.example", "https://two.example"] {
            for (kind, of) in [
                (Revocable::Token, Of::Name { lifts: 0 }),
                (Revocable::Token, Of::Name { lifts: 1 }),
                (Revocable::Session, Of::Lift),
            ] {
                let tagged = key.tagged(of, kind, issuer, "name");
                assert!(tagged == key.digest(of, kind, issuer, "name"), "{of:?}");
                tags.push(tagged.tag());
            }
        }
        assert!(tags[..3].iter().all(|tag| *tag == tags[0]), "{tags:?}");
        assert!(tags[3..].iter().all(|tag| *tag == tags[3]), "{tags:?}");
        assert_ne!(tags[0], tags[3]);
    }

    #[test]
    fn few_of_a_thousand_issuers_have_anothers_tag() {
        let key = DigestKey([7; 16]);
        let of = Of::Name { lifts: 0 };
        let tag = |number: u32| {
            key.tagged(of, Revocable::Token, &format!("https://{number}.example"), "it").tag()
        };
        let tags: Vec<_> = (0..1_000).map(tag).collect();
        let shares = |tag: &&u16| tags.iter().filter(|other| other == tag).count() > 1;
        let count = tags.iter().filter(shares).count();
        assert!((2..40).contains(&count), "{count}");
    }

    #[test]
    fn no_two_things_have_one_digest() {
        let key = DigestKey([7; 16]);
        let mut all = Vec::new();
        for &kind in Revocable::ALL {
            for of in [0, 1, 2].map(|lifts| Of::Name { lifts }).into_iter().chain([Of::Lift]) {
                for (issuer, name) in [("a", "bc"), ("ab", "c"), ("abc", "d")] {
                    all.push(key.digest(of, kind, issuer, name));
                }
            }
        }
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].iter().any(|other| other == one), "{at}");
        }
    }
}

//! The one secret that an installation keeps by itself: what keys are sealed with, and rows are authenticated by, comes
//! of it.
use core::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use portcullis::Secret;
use portcullis::keys::{RevealedSecret, SecretFault};
use zeroize::Zeroizing;

use crate::debug_as_displayed::debug_as_displayed;

/// What every key that comes of a root secret has: the length of SHA-256, and of a key for AES-256.
pub(crate) const KEY_LENGTH: usize = 32;

/// The fewest bytes of a root secret. With fewer, whoever has a copy of the store could try them all.
const MIN_LENGTH: usize = 32;

/// The most root secrets at once: one rotation at a time needs two.
const MAX_SECRETS: usize = 4;

/// The root secrets of an installation. The first seals and authenticates what is new; all of them open what is there.
///
/// To replace one, go through these lists, each on every instance before the next: `[old]`, `[old, new]`,
/// `[new, old]`, `[new]`. Instances on neighbouring lists work side by side, and each step can be taken back. Wait two
/// hours before the last: an instance seals what is there under the new secret once an hour at most.
///
/// It is not the secret of a token, and verifiers never see it.
pub struct RootSecrets(Vec<Prk>);

impl RootSecrets {
    /// Reads and judges them.
    ///
    /// # Errors
    ///
    /// Every fault: there is none or more than four, one is refused as a secret for tokens would be, is shorter than
    /// 32 bytes, or stands there twice.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Result<Self, Vec<RootFault>> {
        let revealed: Vec<_> = secrets.into_iter().map(|secret| secret.reveal()).collect();
        let mut faults = Vec::new();
        if revealed.is_empty() || revealed.len() > MAX_SECRETS {
            faults.push(RootFault::Count { found: revealed.len() });
        }
        let mut good: Vec<RevealedSecret> = Vec::new();
        for (at, secret) in revealed.into_iter().enumerate() {
            match secret {
                Err(fault) => faults.push(RootFault::Secret { at, fault }),
                Ok(secret) if secret.as_bytes().len() < MIN_LENGTH => {
                    faults.push(RootFault::TooShort { at, found: secret.as_bytes().len() });
                }
                Ok(secret) if good.iter().any(|one| one.as_bytes() == secret.as_bytes()) => {
                    faults.push(RootFault::Twice { at });
                }
                Ok(secret) => good.push(secret),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let extract = |secret: &RevealedSecret| {
            Salt::new(HKDF_SHA256, b"portcullis root").extract(secret.as_bytes())
        };
        Ok(Self(good.iter().map(extract).collect()))
    }

    /// For each secret, the key of this purpose for this issuer (RFC 5869).
    pub(crate) fn keys(&self, purpose: &'static str, issuer: &str) -> Vec<RootKey> {
        let length = u32::try_from(issuer.len()).unwrap_or(u32::MAX).to_be_bytes();
        // No purpose is the beginning of another with its issuer: the length stands between.
        let info = [b"portcullis/1/", purpose.as_bytes(), &length, issuer.as_bytes()];
        let expand = |secret: &Prk| {
            let mut key = Zeroizing::new([0; KEY_LENGTH]);
            let expanded = secret.expand(&info, Length).and_then(|okm| okm.fill(&mut *key));
            expanded.expect("HKDF-SHA-256 gives up to 8160 bytes");
            RootKey(key)
        };
        self.0.iter().map(expand).collect()
    }
}

impl fmt::Debug for RootSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootSecrets").finish_non_exhaustive()
    }
}

/// A key that came of a root secret.
pub(crate) struct RootKey(Zeroizing<[u8; KEY_LENGTH]>);

impl RootKey {
    pub(crate) fn as_bytes(&self) -> &[u8; KEY_LENGTH] {
        &self.0
    }
}

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        KEY_LENGTH
    }
}

/// Why root secrets are refused. Never says anything of their content.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum RootFault {
    /// There is none, or there are too many.
    Count {
        /// How many there are.
        found: usize,
    },
    /// One is refused as every secret would be.
    Secret {
        /// Its place in the list, from 0.
        at: usize,
        /// Why.
        fault: SecretFault,
    },
    /// One is too short.
    TooShort {
        /// Its place in the list, from 0.
        at: usize,
        /// How many bytes it has.
        found: usize,
    },
    /// One stands there twice.
    Twice {
        /// Its second place in the list, from 0.
        at: usize,
    },
}

impl fmt::Display for RootFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WAY_OUT: &str = "make one with `openssl rand -base64 32 | tr '+/' '-_' | tr -d '=\\n'` and `Secret::encoded(text, Encoding::Base64url)`";
        match self {
            Self::Count { found } => write!(
                f,
                "there are {found} root secrets, and 1 to {MAX_SECRETS} are accepted: one, or two while you replace it"
            ),
            // Nobody else is given it.
            Self::Secret { at, fault: SecretFault::Weak(weakness) } => {
                write!(f, "root secret {}: it {weakness}; {WAY_OUT}", at + 1)
            }
            Self::Secret { at, fault } => write!(f, "root secret {}: {fault}", at + 1),
            Self::TooShort { at, found } => write!(
                f,
                "root secret {}: it has {found} bytes, and at least {MIN_LENGTH} are needed; {WAY_OUT}",
                at + 1
            ),
            Self::Twice { at } => write!(f, "root secret {}: it is the same as one before", at + 1),
        }
    }
}

impl core::error::Error for RootFault {}

debug_as_displayed!(RootFault);

#[cfg(test)]
mod tests {
    use portcullis::keys::{KeyFault, Weakness};

    use super::*;

    pub(super) const OLD: &str = "FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old";
    const NEW: &str = "u9KXr4MZQy7hBtDfN1vCjEaPgS6oLw3k-new";

    fn secrets(texts: &[&str]) -> Result<RootSecrets, Vec<RootFault>> {
        RootSecrets::new(texts.iter().map(|text| Secret::new(*text)))
    }

    #[test]
    fn a_key_is_another_for_each_secret_purpose_and_issuer() {
        let root = secrets(&[OLD, NEW]).expect("good secrets");
        let mut keys = Vec::new();
        for (purpose, issuer) in [("a", "b"), ("a", "c"), ("b", "b"), ("ab", ""), ("a", "")] {
            keys.extend(root.keys(purpose, issuer).iter().map(|key| *key.as_bytes()));
        }
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!((count, keys.len()), (10, 10));
        let again = secrets(&[OLD]).expect("a good secret");
        assert_eq!(again.keys("a", "b")[0].as_bytes(), root.keys("a", "b")[0].as_bytes());
    }

    #[test]
    fn every_fault_of_root_secrets_is_told_at_once() {
        let faults =
            secrets(&["secret", OLD, "Tz8Vw2nQ0cLrX5bYkJ1m", OLD, NEW]).expect_err("faults");
        assert_eq!(
            faults,
            [
                RootFault::Count { found: 5 },
                RootFault::Secret { at: 0, fault: SecretFault::Weak(Weakness::Published) },
                RootFault::TooShort { at: 2, found: 20 },
                RootFault::Twice { at: 3 },
            ]
        );
        assert_eq!(secrets(&[]).err(), Some(vec![RootFault::Count { found: 0 }]));
        let missing = RootSecrets::new([Secret::env("PORTCULLIS_NOT_SET", Default::default())]);
        let fault =
            SecretFault::Key(KeyFault::Unreadable { reason: "the variable is not set".to_owned() });
        assert_eq!(missing.err(), Some(vec![RootFault::Secret { at: 0, fault }]));
    }

    #[test]
    fn nothing_of_a_secret_is_shown() {
        let root = secrets(&[OLD]).expect("a good secret");
        assert_eq!(format!("{root:?}"), "RootSecrets { .. }");
        let told = format!("{:?}", secrets(&["hunter2-hunter2", OLD, OLD]).expect_err("faults"));
        assert!(!told.contains("hunter2") && !told.contains(OLD), "{told}");
    }
}

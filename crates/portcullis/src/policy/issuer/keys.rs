//! The keys of an issuer: as they are given, and by the way that they come.
use std::sync::Arc;

#[cfg(feature = "remote-jwks")]
use crate::keys::remote::{RemoteJwks, RemoteJwksOptions};
use crate::keys::{
    AsKeySource, KeyFile, KeySet, KeySource, MAX_CANDIDATES, Prepared, Secret, SecretSource,
};
use crate::policy::fault::PolicyFault;
use crate::signature::{Algorithm, Family};

/// The keys of an issuer, of one origin or several.
///
/// An issuer that goes over from a shared secret to key pairs has both for a while:
///
/// ```no_run
/// use portcullis::{Algorithm, Encoding, Issuer, KeyFile, Keys, Secret};
///
/// let keys = Keys::from(Secret::file("/run/secrets/jwt", Encoding::Hex))
///     .and(KeyFile::jwks("/etc/keys/jwks.json").open()?);
/// let issuer = Issuer::new("https://id.example")
///     .algorithms([Algorithm::HS256, Algorithm::ES256])
///     .keys(keys)
///     .audience("https://orders.example");
/// # let _ = issuer;
/// # Ok::<_, portcullis::keys::KeyFileError>(())
/// ```
#[derive(Debug, Default)]
pub struct Keys(pub(super) Vec<Part>);

#[derive(Debug)]
pub(super) enum Part {
    Set(KeySet),
    Secret(Secret),
    File(KeyFile),
    Source(Arc<dyn KeySource>),
    /// Of secrets.
    SecretSource(Arc<dyn KeySource>),
    #[cfg(feature = "remote-jwks")]
    Remote(RemoteJwks),
    /// Remote keys that start with the policy.
    #[cfg(feature = "remote-jwks")]
    Plan(Box<RemoteJwksOptions>),
}

impl Keys {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys from a source of your own.
    pub fn source(source: impl KeySource) -> Self {
        Self(vec![Part::Source(Arc::new(source))])
    }

    /// Shared secrets from a source of your own.
    pub fn secret_source(source: impl SecretSource) -> Self {
        Self(vec![Part::SecretSource(Arc::new(AsKeySource(source)))])
    }

    /// These keys and others.
    #[must_use]
    pub fn and(mut self, other: impl Into<Self>) -> Self {
        self.0.extend(other.into().0);
        self
    }
}

impl From<KeySet> for Keys {
    fn from(set: KeySet) -> Self {
        Self(vec![Part::Set(set)])
    }
}

impl From<KeyFile> for Keys {
    fn from(file: KeyFile) -> Self {
        Self(vec![Part::File(file)])
    }
}

#[cfg(feature = "remote-jwks")]
impl From<RemoteJwks> for Keys {
    fn from(remote: RemoteJwks) -> Self {
        Self(vec![Part::Remote(remote)])
    }
}

#[cfg(feature = "remote-jwks")]
impl From<RemoteJwksOptions> for Keys {
    fn from(options: RemoteJwksOptions) -> Self {
        Self(vec![Part::Plan(Box::new(options))])
    }
}

impl From<Secret> for Keys {
    fn from(secret: Secret) -> Self {
        Self(vec![Part::Secret(secret)])
    }
}

impl From<Vec<Secret>> for Keys {
    fn from(secrets: Vec<Secret>) -> Self {
        secrets.into_iter().collect()
    }
}

impl<const N: usize> From<[Secret; N]> for Keys {
    fn from(secrets: [Secret; N]) -> Self {
        secrets.into_iter().collect()
    }
}

impl FromIterator<Secret> for Keys {
    fn from_iter<I: IntoIterator<Item = Secret>>(secrets: I) -> Self {
        Self(secrets.into_iter().map(Part::Secret).collect())
    }
}

/// The keys of an issuer by the way that they come.
pub(super) struct KeyParts {
    /// Those that are there now and stay.
    fixed: KeySet,
    /// What is asked for the key of a token, but for what starts with the policy: those that stay first.
    pub(super) sources: Vec<Arc<dyn KeySource>>,
    #[cfg(feature = "remote-jwks")]
    pub(super) remotes: Vec<RemoteJwks>,
    #[cfg(feature = "remote-jwks")]
    pub(super) plans: Vec<RemoteJwksOptions>,
    pub(super) has_own_source: bool,
    /// What keys a file or a source of the user's own will have, nobody knows now. But never has a file of
    /// public keys a secret, or a file of a secret a public key.
    may_bring_secrets: bool,
    may_bring_public_keys: bool,
}

impl KeyParts {
    /// Takes the keys of `issuer` apart, and says what is at fault about them. No number of a key in `public`
    /// can be a secret.
    pub(super) fn collect(
        keys: Keys,
        issuer: &str,
        algorithms: &[Algorithm],
        public: &KeySet,
    ) -> (Self, Vec<PolicyFault>) {
        let mut parts = Self {
            fixed: KeySet::empty(),
            sources: Vec::new(),
            #[cfg(feature = "remote-jwks")]
            remotes: Vec::new(),
            #[cfg(feature = "remote-jwks")]
            plans: Vec::new(),
            has_own_source: false,
            may_bring_secrets: false,
            may_bring_public_keys: false,
        };
        let add = |part| parts.add(part, issuer, algorithms, public).err();
        let faults = keys.0.into_iter().filter_map(add).collect();
        if !parts.fixed.is_empty() {
            parts.sources.insert(0, Arc::new(parts.fixed.clone()));
        }
        (parts, faults)
    }

    fn add(
        &mut self,
        part: Part,
        issuer: &str,
        algorithms: &[Algorithm],
        public: &KeySet,
    ) -> Result<(), PolicyFault> {
        let check_use = |keys: &KeySet| {
            let is_unused = algorithms.iter().all(|one| keys.most_matches(*one, false) == 0);
            if is_unused {
                let usable = keys.iter().map(|key| key.algorithm()).collect();
                let listed = algorithms.iter().copied().collect();
                Err(PolicyFault::UnusedKeys { issuer: issuer.to_owned(), usable, listed })
            } else {
                Ok(())
            }
        };
        match part {
            Part::Set(set) => {
                check_use(&set)?;
                self.add_fixed(&set);
            }
            Part::Secret(secret) => match secret.prepare(algorithms, public) {
                Ok(Prepared::Fixed(set)) => self.add_fixed(&set),
                Ok(Prepared::Watched(file)) => {
                    self.sources.push(Arc::new(file));
                    self.may_bring_secrets = true;
                }
                Err(fault) => {
                    let (issuer, secret) = (issuer.to_owned(), secret.label());
                    return Err(PolicyFault::Secret { issuer, secret, fault });
                }
            },
            Part::File(file) => {
                // Keys may come that go with the other algorithms; with none of them now, the file
                // is of another issuer or the list of another key.
                check_use(&file.keys())?;
                self.sources.push(Arc::new(file));
                self.may_bring_public_keys = true;
            }
            Part::Source(source) => {
                self.sources.push(source);
                self.has_own_source = true;
                self.may_bring_public_keys = true;
            }
            Part::SecretSource(source) => {
                self.sources.push(source);
                self.has_own_source = true;
                self.may_bring_secrets = true;
            }
            #[cfg(feature = "remote-jwks")]
            Part::Remote(remote) => {
                self.sources.push(Arc::new(remote.clone()));
                self.remotes.push(remote);
                self.may_bring_public_keys = true;
            }
            #[cfg(feature = "remote-jwks")]
            Part::Plan(plan) => {
                self.plans.push(*plan);
                self.may_bring_public_keys = true;
            }
        }
        Ok(())
    }

    fn add_fixed(&mut self, set: &KeySet) {
        self.fixed = self.fixed.clone().and(set);
    }

    /// Algorithms of whose tokens one could be of too many keys. And those for which there is no key and none
    /// can come, where all keys that were given `are_there`.
    pub(super) fn algorithm_faults(
        &self,
        issuer: &str,
        algorithms: &[Algorithm],
        requires_key_id: bool,
        are_there: bool,
    ) -> Vec<PolicyFault> {
        let mut faults = Vec::new();
        for &algorithm in algorithms {
            let issuer = || issuer.to_owned();
            let found = self.fixed.most_matches(algorithm, requires_key_id);
            if self.fixed.most_weight(algorithm, requires_key_id) > MAX_CANDIDATES {
                faults.push(PolicyFault::TooManyCandidates { issuer: issuer(), algorithm, found });
            }
            let may_come = match algorithm.family() {
                Family::Hmac => self.may_bring_secrets,
                Family::Rsa | Family::Ec | Family::Ed25519 | Family::MlDsa => {
                    self.may_bring_public_keys
                }
            };
            if are_there && found == 0 && !may_come {
                faults.push(PolicyFault::UnusableAlgorithm { issuer: issuer(), algorithm });
            }
        }
        faults
    }
}

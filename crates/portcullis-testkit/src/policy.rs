//! Policies that trust a [`TestIssuer`].
use std::sync::Arc;

use portcullis::{Algorithm, Issuer, KeySet, KeySource, Keys, Policy, PolicyBuilder, Secret};

use crate::TestIssuer;
use crate::issuer::is_hmac;
use crate::keyring::Keyring;

impl TestIssuer {
    /// A policy that trusts this issuer: its [audience](Self::audience), its
    /// [clock](Self::clock), and the keys of every algorithm but the HMAC ones. All else is a
    /// policy's default.
    ///
    /// The policy sees [rotations](Self::rotate) and [retirements](Self::retire) at once. It makes
    /// no RSA keys; they join when a token or a set first asks for them, and until then they are
    /// unknown, an [impostor](Self::impostor)'s of the same id included.
    ///
    /// # Panics
    ///
    /// If the audience is neither a text nor a list of texts.
    ///
    /// # Example: three lines
    ///
    /// ```
    /// use portcullis::Algorithm;
    /// use portcullis_testkit::TestIssuer;
    ///
    /// let issuer = TestIssuer::new("https://id.example");
    /// let policy = issuer.policy();
    /// assert!(
    ///     policy.verify_token_now(issuer.token(Algorithm::ES256).mint()).is_ok()
    /// );
    /// assert!(
    ///     policy
    ///         .verify_token_now(issuer.token(Algorithm::ES256).expired().mint())
    ///         .is_err()
    /// );
    /// ```
    #[track_caller]
    pub fn policy(&self) -> Policy {
        built(self.policy_builder())
    }

    /// As [`policy`](Self::policy), but with the keys of these algorithms, and no others.
    ///
    /// HMAC algorithms are welcome here. Their secrets are those of this moment: a rotation is not
    /// seen.
    ///
    /// # Panics
    ///
    /// If there are no algorithms, or the audience is neither a text nor a list of texts.
    #[track_caller]
    pub fn policy_of(&self, algorithms: &[Algorithm]) -> Policy {
        built(Policy::builder().clock(Arc::clone(&self.clock)).issuer(self.trusted(algorithms)))
    }

    /// As [`policy`](Self::policy), with more to be said.
    ///
    /// # Panics
    ///
    /// If the audience is neither a text nor a list of texts.
    ///
    /// ```
    /// use portcullis::{Algorithm, TokenSource};
    /// use portcullis_testkit::TestIssuer;
    ///
    /// let issuer = TestIssuer::new("https://id.example");
    /// let policy = issuer
    ///     .policy_builder()
    ///     .sources([TokenSource::cookie("__Host-token")])
    ///     .require("tenant")
    ///     .build()?;
    /// let token = issuer.token(Algorithm::EdDSA).claim("tenant", "acme").mint();
    /// assert!(policy.verify_token_now(token).is_ok());
    /// # Ok::<_, portcullis::BuildError>(())
    /// ```
    #[track_caller]
    pub fn policy_builder(&self) -> PolicyBuilder {
        let key_pairs = Algorithm::ALL.iter().copied().filter(|algorithm| !is_hmac(*algorithm));
        let (rsa, others): (Vec<_>, Vec<_>) = key_pairs.partition(|algorithm| is_rsa(*algorithm));
        self.make_keys(&others);
        let issuer = self.trusted_with([others, rsa].concat());
        Policy::builder().clock(Arc::clone(&self.clock)).issuer(issuer)
    }

    /// This issuer as a policy names it: with its [audience](Self::audience) and the keys of these
    /// algorithms, which are made now. For an application that puts its own policy together.
    ///
    /// # Panics
    ///
    /// If the audience is neither a text nor a list of texts.
    ///
    /// # Example: the application's policy, and an issuer for its test
    ///
    /// ```
    /// use std::time::Duration;
    /// use portcullis::{Algorithm, BuildError, Issuer, Policy};
    /// use portcullis_testkit::TestIssuer;
    ///
    /// fn policy(issuer: Issuer) -> Result<Policy, BuildError> {
    ///     Policy::builder()
    ///         .issuer(issuer)
    ///         .max_lifetime(Duration::from_secs(15 * 60))
    ///         .build()
    /// }
    ///
    /// let issuer = TestIssuer::new("https://id.example");
    /// let policy = policy(issuer.trusted(&[Algorithm::ES256]))?;
    /// let token = issuer.token(Algorithm::ES256);
    /// assert!(policy.verify_token_now(token.mint()).is_ok());
    /// let token = token.expires_in(Duration::from_secs(60 * 60));
    /// assert!(policy.verify_token_now(token.mint()).is_err());
    /// # Ok::<_, portcullis::BuildError>(())
    /// ```
    #[track_caller]
    pub fn trusted(&self, algorithms: &[Algorithm]) -> Issuer {
        self.make_keys(algorithms);
        self.trusted_with(algorithms.to_vec())
    }

    #[track_caller]
    fn trusted_with(&self, algorithms: Vec<Algorithm>) -> Issuer {
        let secrets = algorithms.iter().copied().filter(|algorithm| is_hmac(*algorithm));
        let mut keys: Keys = secrets
            .flat_map(|algorithm| {
                self.keys.published(algorithm).map(move |key| {
                    let secret = key.secret().expect("the key of an HMAC algorithm is a secret");
                    Secret::new(secret).id(key.id()).algorithm(algorithm)
                })
            })
            .collect();
        if algorithms.iter().any(|algorithm| !is_hmac(*algorithm)) {
            let ring = Arc::clone(&self.keys);
            keys = keys.and(Keys::source(Published { ring, algorithms: algorithms.clone() }));
        }
        Issuer::new(self.name()).algorithms(algorithms).keys(keys).audiences(self.audiences())
    }

    #[track_caller]
    fn audiences(&self) -> Vec<String> {
        let texts: Option<Vec<_>> = match &self.audience {
            serde_json::Value::Array(list) => list.iter().map(|one| one.as_str()).collect(),
            one => one.as_str().map(|one| vec![one]),
        };
        let Some(texts) = texts else {
            panic!("a policy's audience is a text or a list of texts, not {}", self.audience)
        };
        texts.into_iter().map(str::to_owned).collect()
    }
}

#[track_caller]
fn built(builder: PolicyBuilder) -> Policy {
    builder.build().unwrap_or_else(|error| panic!("{error}"))
}

fn is_rsa(algorithm: Algorithm) -> bool {
    algorithm.name().starts_with("RS") || algorithm.name().starts_with("PS")
}

/// The keys that an issuer publishes at each moment.
#[derive(Debug)]
struct Published {
    ring: Arc<Keyring>,
    algorithms: Vec<Algorithm>,
}

impl KeySource for Published {
    fn keys(&self) -> KeySet {
        let keys = self.algorithms.iter().flat_map(|algorithm| self.ring.made(*algorithm));
        keys.fold(KeySet::empty(), |all, some| all.and(some))
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use portcullis::error::{ClaimsError, SignatureError};
    use portcullis::keys::KeyError;
    use portcullis::{Error, VerifiedToken};

    use super::*;
    use crate::FixedClock;

    fn issuer(name: &str) -> TestIssuer {
        TestIssuer::new(name).at(1_800_000_000)
    }

    fn verify(policy: &Policy, token: impl AsRef<[u8]>) -> Result<VerifiedToken, Error> {
        policy.verify_token_now(token)
    }

    #[test]
    fn every_algorithm_passes_under_a_policy_of_its_own() {
        let issuer = issuer("https://policy-of.example");
        for &algorithm in Algorithm::ALL {
            let policy = issuer.policy_of(&[algorithm]);
            let token = verify(&policy, issuer.token(algorithm).mint()).expect("a good token");
            assert_eq!(token.algorithm(), algorithm);
        }
    }

    #[test]
    fn secrets_and_key_pairs_pass_under_one_policy() {
        let issuer = issuer("https://mixed.example");
        let both = [Algorithm::HS256, Algorithm::HS512, Algorithm::ES256];
        let policy = issuer.policy_of(&both);
        for algorithm in both {
            assert!(verify(&policy, issuer.token(algorithm).mint()).is_ok(), "{algorithm}");
        }
    }

    #[test]
    fn the_ready_policy_trusts_every_key_pair_and_no_secret() {
        let issuer = issuer("https://ready.example");
        let policy = issuer.policy();
        for &algorithm in Algorithm::ALL {
            let result = verify(&policy, issuer.token(algorithm).mint());
            if is_hmac(algorithm) {
                assert_eq!(result.err().map(|error| error.reason()), Some("wrong_algorithm"));
            } else {
                assert!(result.is_ok(), "{algorithm}");
            }
        }
    }

    #[test]
    fn the_ready_policy_makes_no_rsa_keys_and_knows_those_that_a_namesake_made() {
        let name = "https://lazy.example";
        let policy = issuer(name).policy();
        let theirs = issuer("https://other.example").token(Algorithm::RS256).claim("iss", name);
        assert_eq!(verify(&policy, theirs.mint()).err(), Some(KeyError::Unknown.into()));
        assert!(verify(&policy, issuer(name).token(Algorithm::RS256).mint()).is_ok());
        assert_eq!(verify(&policy, theirs.mint()).err(), Some(SignatureError::new().into()));
    }

    #[test]
    fn the_policy_follows_rotation_and_retirement() {
        let issuer = issuer("https://rotation.example");
        let policy = issuer.policy_of(&[Algorithm::ES256]);
        let before = issuer.token(Algorithm::ES256).mint();
        let verified = verify(&policy, &before).expect("a good token");

        issuer.rotate(Algorithm::ES256);
        assert!(verify(&policy, issuer.token(Algorithm::ES256).mint()).is_ok());
        assert!(verify(&policy, &before).is_ok());
        assert_eq!(policy.recheck_now(&verified), Ok(()));

        issuer.retire("es256-1");
        assert_eq!(verify(&policy, &before).err(), Some(KeyError::Unknown.into()));
        assert_eq!(policy.recheck_now(&verified), Err(KeyError::Withdrawn.into()));

        issuer.retire("es256-2");
        let token = issuer.token(Algorithm::ES256).mint();
        assert_eq!(verify(&policy, token).err(), Some(KeyError::Unknown.into()));
    }

    #[test]
    fn an_impostor_does_not_pass() {
        let issuer = issuer("https://impostor.example");
        let token = issuer.impostor().token(Algorithm::ES256).mint();
        assert_eq!(verify(&issuer.policy(), token).err(), Some(SignatureError::new().into()));
    }

    #[test]
    fn the_policy_goes_by_the_clock_of_its_issuer() {
        let clock = FixedClock::at(1_800_000_000);
        let issuer = TestIssuer::new("https://clock.example").clock(clock.clone());
        let policy = issuer.policy();
        let token = issuer.token(Algorithm::ES256).mint();
        clock.advance(Duration::from_secs(300 + 29));
        assert!(verify(&policy, &token).is_ok());
        clock.advance(Duration::from_secs(1));
        let (at, now) = (portcullis::UnixTime(1_800_000_300), policy.now());
        assert_eq!(verify(&policy, &token).err(), Some(ClaimsError::Expired { at, now }.into()));
    }

    #[test]
    fn the_policy_is_for_the_audience_or_any_of_several() {
        let issuer = issuer("https://audience.example").audience(["orders", "bills"]);
        let policy = issuer.policy();
        let token = issuer.token(Algorithm::ES256);
        assert!(verify(&policy, token.mint()).is_ok());
        assert!(verify(&policy, token.clone().audience("bills").mint()).is_ok());
        let other = token.audience("other").mint();
        assert_eq!(verify(&policy, other).err(), Some(ClaimsError::Audience.into()));
    }

    #[test]
    #[should_panic(expected = "a policy's audience is a text or a list of texts, not 7")]
    fn an_audience_that_no_policy_can_have_is_a_mistake_of_the_test() {
        _ = issuer("https://audience.example").audience(7).policy();
    }
}

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::thread;

use portcullis::{Algorithm, Clock, SystemClock};
use serde_json::{Value, json};

use crate::keyring::Keyring;
use crate::{FixedClock, SigningKey, TokenBuilder};

/// An issuer in memory: keys, their set, and tokens. **For tests only.**
///
/// # Keys
///
/// There is one key for each [`Algorithm`], made when it is first asked for and named `es256-1` and
/// so on. Keys are made once in a process and name of the issuer, RSA being slow: two issuers made
/// with the same name *have the same keys*, and two with different names share none. To play an
/// attacker that claims the name of another issuer, use its [`impostor`](Self::impostor).
///
/// A clone is the same issuer: it sees rotations, counts the same token ids, and may have another
/// clock or audience. Give one to a key server and rotate the other.
///
/// # Example: rotation
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis_testkit::TestIssuer;
///
/// let issuer = TestIssuer::new("https://id.example");
/// let before = issuer.token(Algorithm::ES256).mint();
///
/// issuer.rotate(Algorithm::ES256);
/// let after = issuer.token(Algorithm::ES256).mint();
/// let jwks = issuer.jwks_of(&[Algorithm::ES256]); // verifies both
/// assert!(jwks.contains("es256-1") && jwks.contains("es256-2"));
///
/// issuer.retire("es256-1");
/// let jwks = issuer.jwks_of(&[Algorithm::ES256]); // verifies only the second
/// assert!(!jwks.contains("es256-1") && jwks.contains("es256-2"));
/// # _ = (before, after);
/// ```
#[derive(Clone, Debug)]
pub struct TestIssuer {
    name: String,
    pub(crate) audience: Value,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<Keyring>,
    minted: Arc<AtomicU64>,
}

impl TestIssuer {
    /// The audience of the tokens of an issuer that is told of no other.
    pub const AUDIENCE: &str = "https://api.example";

    /// An issuer of this name: the `iss` of its tokens, such as `https://id.example`.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            audience: Self::AUDIENCE.into(),
            clock: Arc::new(SystemClock),
            keys: Arc::new(Keyring::shared(&name)),
            minted: Arc::default(),
            name,
        }
    }

    /// Whom the tokens are for, one (`"orders-api"`) or several (`["orders-api", "bills-api"]`).
    /// When not called: [`AUDIENCE`](Self::AUDIENCE).
    #[must_use]
    pub fn audience(self, audience: impl Into<Value>) -> Self {
        Self { audience: audience.into(), ..self }
    }

    /// The clock that tokens are issued by. When not called: the machine's.
    ///
    /// ```
    /// use std::time::Duration;
    /// use portcullis::Algorithm;
    /// use portcullis_testkit::{FixedClock, TestIssuer};
    ///
    /// let clock = FixedClock::at(1_800_000_000);
    /// let issuer = TestIssuer::new("https://id.example").clock(clock.clone());
    /// let early = issuer.token(Algorithm::ES256).mint(); // until 1800000300
    /// clock.advance(Duration::from_secs(60));
    /// let later = issuer.token(Algorithm::ES256).mint(); // until 1800000360
    /// # _ = (early, later);
    /// ```
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Issues all tokens at this instant, in seconds since the Unix epoch: short for a
    /// [`FixedClock`] that nobody moves.
    #[must_use]
    pub fn at(self, seconds: i64) -> Self {
        self.clock(FixedClock::at(seconds))
    }

    /// An attacker: the same name, audience, clock and key ids, but keys of its own. None of its
    /// tokens may pass where only this issuer is trusted.
    ///
    /// Its keys are shared with nobody, so each impostor's RSA keys are made anew.
    #[must_use]
    pub fn impostor(&self) -> Self {
        Self { keys: Arc::new(Keyring::unshared()), minted: Arc::default(), ..self.clone() }
    }

    /// The name: the `iss` of the tokens.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key that signs with this algorithm now.
    pub fn key(&self, algorithm: Algorithm) -> &SigningKey {
        self.keys.current(algorithm)
    }

    /// The secret that signs with this HMAC algorithm now.
    ///
    /// # Panics
    ///
    /// If `algorithm` is not `HS256`, `HS384` or `HS512`.
    #[track_caller]
    pub fn secret(&self, algorithm: Algorithm) -> &[u8] {
        let secret = is_hmac(algorithm).then(|| self.key(algorithm).secret()).flatten();
        secret.unwrap_or_else(|| panic!("{algorithm} has no secret: its keys are key pairs"))
    }

    /// The public keys of every algorithm as a JWK set (RFC 7517 §5), six RSA keys among them.
    ///
    /// [`jwks_of`](Self::jwks_of) makes only the keys that a test is about.
    pub fn jwks(&self) -> String {
        self.jwks_of(Algorithm::ALL)
    }

    /// The public keys of these algorithms as a JWK set: the current and the former ones, but for
    /// those [retired](Self::retire). Secrets are never published, so HMAC algorithms add nothing.
    pub fn jwks_of(&self, algorithms: &[Algorithm]) -> String {
        let published: Vec<_> =
            algorithms.iter().copied().filter(|algorithm| !is_hmac(*algorithm)).collect();
        self.make_keys(&published);
        let keys: Vec<Value> = published
            .into_iter()
            .flat_map(|algorithm| self.keys.published(algorithm))
            .filter_map(SigningKey::public_jwk)
            .collect();
        json!({ "keys": keys }).to_string()
    }

    /// Makes those of the keys that are still to be made, side by side, since RSA keys take a while.
    pub(crate) fn make_keys(&self, algorithms: &[Algorithm]) {
        thread::scope(|scope| {
            for algorithm in algorithms {
                scope.spawn(|| self.key(*algorithm));
            }
        });
    }

    /// Makes a new key for this algorithm, `es256-2` after `es256-1`, and signs with it from now
    /// on. The former key stays in the set until it is [retired](Self::retire).
    pub fn rotate(&self, algorithm: Algorithm) -> &SigningKey {
        self.keys.rotate(algorithm)
    }

    /// Takes the key of this id out of the set.
    ///
    /// A current key goes on signing, as one would that was withdrawn because it leaked: rotate
    /// first, if it is not to.
    ///
    /// # Panics
    ///
    /// If the issuer made no key of this id, lest a misspelt id prove anything.
    #[track_caller]
    pub fn retire(&self, key_id: &str) {
        assert!(self.keys.retire(key_id), "{} made no key {key_id:?}", self.name);
    }

    /// A token of this issuer, issued now, good until told otherwise: see [`TokenBuilder`].
    pub fn token(&self, algorithm: Algorithm) -> TokenBuilder {
        let number = self.minted.fetch_add(1, Ordering::SeqCst) + 1;
        TokenBuilder::new(
            self.key(algorithm).clone(),
            self.clock.now(),
            [
                ("iss", self.name.as_str().into()),
                ("aud", self.audience.clone()),
                ("jti", format!("token-{number}").into()),
            ],
        )
    }
}

pub(crate) fn is_hmac(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle;

    const NAME: &str = "https://issuer.example";

    fn ids(jwks: &str) -> Vec<String> {
        let jwks: Value = serde_json::from_str(jwks).expect("JSON");
        let keys = jwks["keys"].as_array().expect("a list");
        keys.iter().map(|key| key["kid"].as_str().expect("a string").to_owned()).collect()
    }

    #[test]
    fn the_set_has_every_key_pair_and_no_secret() {
        let expected = [
            "rs256-1",
            "rs384-1",
            "rs512-1",
            "ps256-1",
            "ps384-1",
            "ps512-1",
            "es256-1",
            "es384-1",
            "es512-1",
            "eddsa-1",
            "ed25519-1",
            "ml-dsa-44-1",
            "ml-dsa-65-1",
            "ml-dsa-87-1",
        ];
        let issuer = TestIssuer::new(NAME);
        let jwks = issuer.jwks();
        assert_eq!(ids(&jwks), expected);
        assert!(!jwks.contains("\"oct\""));
        assert_eq!(ids(&issuer.jwks_of(&[Algorithm::HS256, Algorithm::EdDSA])), ["eddsa-1"]);
    }

    #[test]
    fn every_algorithm_mints_what_its_key_verifies() {
        let issuer = TestIssuer::new(NAME);
        for &algorithm in Algorithm::ALL {
            let token = issuer.token(algorithm).mint();
            assert!(oracle::accepts(issuer.key(algorithm), &token), "{algorithm}");
        }
    }

    #[test]
    fn a_rotated_key_signs_and_the_former_one_stays_published_until_retired() {
        let issuer = TestIssuer::new(NAME);
        let published = || ids(&issuer.jwks_of(&[Algorithm::ES256]));
        let former = issuer.key(Algorithm::ES256);
        let current = issuer.rotate(Algorithm::ES256);
        assert_eq!(issuer.key(Algorithm::ES256).id(), "es256-2");
        assert_eq!(published(), ["es256-1", "es256-2"]);

        let token = issuer.token(Algorithm::ES256).mint();
        assert_eq!(oracle::read(&token).0["kid"], "es256-2");
        assert!(oracle::accepts(current, &token));
        assert!(!oracle::accepts(former, &token));

        issuer.retire("es256-1");
        assert_eq!(published(), ["es256-2"]);
    }

    #[test]
    fn a_clone_sees_the_rotation() {
        let issuer = TestIssuer::new(NAME);
        let server = issuer.clone();
        issuer.rotate(Algorithm::EdDSA);
        issuer.retire("eddsa-1");
        assert_eq!(ids(&server.jwks_of(&[Algorithm::EdDSA])), ["eddsa-2"]);
    }

    #[test]
    fn a_retired_current_key_goes_on_signing() {
        let issuer = TestIssuer::new(NAME);
        issuer.key(Algorithm::ES384);
        issuer.retire("es384-1");
        assert_eq!(ids(&issuer.jwks_of(&[Algorithm::ES384])), Vec::<String>::new());
        assert_eq!(oracle::read(&issuer.token(Algorithm::ES384).mint()).0["kid"], "es384-1");
    }

    #[test]
    #[should_panic(expected = r#"https://issuer.example made no key "es256-7""#)]
    fn an_unknown_key_cannot_be_retired() {
        TestIssuer::new(NAME).retire("es256-7");
    }

    #[test]
    fn issuers_of_one_name_have_the_same_keys_and_others_do_not() {
        let (one, same) = (TestIssuer::new(NAME), TestIssuer::new(NAME));
        let other = TestIssuer::new("https://other.example");
        for algorithm in [Algorithm::ES256, Algorithm::RS256] {
            let jwk = one.key(algorithm).public_jwk();
            assert_eq!(same.key(algorithm).public_jwk(), jwk, "{algorithm}");
            assert_ne!(other.key(algorithm).public_jwk(), jwk, "{algorithm}");
        }
        assert_eq!(one.secret(Algorithm::HS256), same.secret(Algorithm::HS256));
        assert_ne!(one.secret(Algorithm::HS256), other.secret(Algorithm::HS256));
    }

    #[test]
    fn an_impostor_has_the_names_but_not_the_keys() {
        let issuer = TestIssuer::new(NAME).at(1_800_000_000);
        let impostor = issuer.impostor();
        let (ours, theirs) =
            (issuer.token(Algorithm::ES256).mint(), impostor.token(Algorithm::ES256).mint());
        assert_eq!(oracle::read(&ours), oracle::read(&theirs));
        assert!(oracle::accepts(issuer.key(Algorithm::ES256), &ours));
        assert!(!oracle::accepts(issuer.key(Algorithm::ES256), &theirs));
    }

    #[test]
    fn token_ids_are_counted_across_clones() {
        let issuer = TestIssuer::new(NAME);
        let ids = [&issuer, &issuer.clone(), &issuer]
            .map(|issuer| oracle::read(&issuer.token(Algorithm::HS256).mint()).1["jti"].clone());
        assert_eq!(ids, ["token-1", "token-2", "token-3"]);
    }

    #[test]
    #[should_panic(expected = "RS256 has no secret")]
    fn a_key_pair_has_no_secret() {
        TestIssuer::new(NAME).secret(Algorithm::RS256);
    }
}

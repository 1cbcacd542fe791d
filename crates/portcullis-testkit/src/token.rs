use core::time::Duration;
use std::collections::BTreeMap;

use aws_lc_rs::digest;
use base64::prelude::*;
use portcullis::UnixTime;
use serde::Serialize;
use serde_json::{Value, json};

use crate::SigningKey;

/// How long a token lasts that is told nothing else.
const LIFETIME: Duration = Duration::from_secs(300);

/// How long ago an expired token expired: beyond the ten minutes that a policy may be lenient by.
const LONG_AGO: i64 = 3_600;

/// A token on its way, from [`TestIssuer::token`](crate::TestIssuer::token). **For tests only.**
///
/// Until told otherwise it is a good access token with all that RFC 9068 requires:
///
/// | header | | claim | |
/// | --- | --- | --- | --- |
/// | `alg` | of the key | `iss` | the issuer's name |
/// | `kid` | of the key | `aud` | the issuer's [default audience](crate::TestIssuer::audience) |
/// | `typ` | `at+jwt` | `sub` | `alice` |
/// | | | `client_id` | `testkit` |
/// | | | `iat` | when [`token`](crate::TestIssuer::token) was called, by the issuer's clock |
/// | | | `exp` | 300 seconds later |
/// | | | `jti` | `token-1`, `token-2`, … |
///
/// Of two calls about the same member the later one holds. Nothing is checked: a token that must be
/// refused is as welcome as a good one.
///
/// # Example: claims of the application's own
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis_testkit::TestIssuer;
///
/// #[derive(serde::Serialize)]
/// struct Claims {
///     tenant: &'static str,
///     roles: [&'static str; 2],
/// }
///
/// let token = TestIssuer::new("https://id.example")
///     .token(Algorithm::EdDSA)
///     .subject("bob")
///     .claims(&Claims { tenant: "acme", roles: ["editor", "auditor"] })
///     .mint();
/// # _ = token;
/// ```
///
/// # Example: something amiss
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis_testkit::TestIssuer;
///
/// let issuer = TestIssuer::new("https://id.example");
/// let good = || issuer.token(Algorithm::ES256);
/// for (what, token) in [
///     ("no expiry", good().without("exp")),
///     ("an expiry that is text", good().claim("exp", "9999999999")),
///     ("an ID token", good().typ("JWT")),
///     ("an unknown key", good().key_id("../../dev/null")),
///     (
///         "one member twice",
///         good().raw_payload(r#"{"sub":"alice","sub":"root"}"#),
///     ),
///     (
///         "another issuer's key",
///         good().signed_by(issuer.impostor().key(Algorithm::ES256)),
///     ),
/// ] {
///     let token = token.mint();
///     // assert that the application refuses it
///     # _ = (what, token);
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "`mint` makes the token"]
pub struct TokenBuilder {
    key: SigningKey,
    now: UnixTime,
    /// What was said of the header. `None` takes a member out.
    header: BTreeMap<String, Option<Value>>,
    raw_header: Option<Vec<u8>>,
    /// By name: a map of `serde_json` has them in another order where some crate of the program asks for that.
    claims: BTreeMap<String, Value>,
    raw_payload: Option<Vec<u8>>,
}

impl TokenBuilder {
    pub(crate) fn new<const N: usize>(
        key: SigningKey,
        now: UnixTime,
        of_the_issuer: [(&str, Value); N],
    ) -> Self {
        let mut token = Self {
            key,
            now,
            header: BTreeMap::new(),
            raw_header: None,
            claims: BTreeMap::new(),
            raw_payload: None,
        };
        for (name, value) in of_the_issuer {
            token = token.claim(name, value);
        }
        // RFC 9068 §2.2 requires these and the issuer's.
        token
            .subject("alice")
            .claim("client_id", "testkit")
            .claim("iat", now.0)
            .expires_in(LIFETIME)
    }

    /// Puts all members of `claims`, a struct or a map, in place of the claims of the same names.
    ///
    /// # Panics
    ///
    /// If `claims` does not become a JSON object.
    #[track_caller]
    pub fn claims(mut self, claims: &impl Serialize) -> Self {
        match serde_json::to_value(claims) {
            Ok(Value::Object(claims)) => self.claims.extend(claims),
            Ok(other) => panic!("claims are a JSON object, not {other}"),
            Err(error) => panic!("claims do not become JSON: {error}"),
        }
        self
    }

    /// Sets one claim, to anything that JSON can say: a text, a number, `json!([null])`.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Bound to the certificate with this DER (`cnf` with `x5t#S256`, RFC 8705 §3.1): who did not present it in the TLS handshake may not
    /// use the token. One that is [bound to a key](Self::bound_to) as well needs both.
    pub fn bound_to_certificate(self, der: impl AsRef<[u8]>) -> Self {
        let digest = digest::digest(&digest::SHA256, der.as_ref());
        self.confirmed_by("x5t#S256", BASE64_URL_SAFE_NO_PAD.encode(digest))
    }

    /// Adds a member to `cnf` (RFC 7800 §3.1).
    pub(crate) fn confirmed_by(mut self, member: &str, value: String) -> Self {
        let confirmation = self.claims.entry("cnf".to_owned()).or_insert_with(|| json!({}));
        if !confirmation.is_object() {
            *confirmation = json!({});
        }
        confirmation[member] = value.into();
        self
    }

    /// Takes a claim out.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets `sub`. When not called: `alice`.
    pub fn subject(self, subject: impl Into<String>) -> Self {
        self.claim("sub", subject.into())
    }

    /// Sets `aud`, to one (`"orders-api"`) or several (`["orders-api", "bills-api"]`). When not
    /// called: the issuer's [default](crate::TestIssuer::audience).
    pub fn audience(self, audience: impl Into<Value>) -> Self {
        self.claim("aud", audience)
    }

    /// Sets `scope`, of space-separated words (RFC 9068 §2.2.3). When not called: there is none.
    pub fn scope(self, scope: impl Into<String>) -> Self {
        self.claim("scope", scope.into())
    }

    /// Sets `exp` to so many whole seconds after now, now being the issuer's clock when
    /// [`token`](crate::TestIssuer::token) was called. When not called: 300.
    pub fn expires_in(self, lifetime: Duration) -> Self {
        let at = self.now.saturating_add(lifetime);
        self.expires_at(at.0)
    }

    /// Sets `exp`, in seconds since the Unix epoch.
    pub fn expires_at(self, seconds: i64) -> Self {
        self.claim("exp", seconds)
    }

    /// Issues the token an hour and five minutes ago, to expire after those five minutes: past
    /// every leeway that a policy may grant.
    pub fn expired(self) -> Self {
        let at = self.now.0.saturating_sub(LONG_AGO);
        self.claim("iat", at.saturating_sub_unsigned(LIFETIME.as_secs())).expires_at(at)
    }

    /// Sets one member of the header, `alg` and `kid` not excepted: they then no longer follow the
    /// key.
    ///
    /// The key signs as its own algorithm does, whatever the header says.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.header.insert(name.into(), Some(value.into()));
        self
    }

    /// Takes a member out of the header.
    pub fn without_header(mut self, name: impl Into<String>) -> Self {
        self.header.insert(name.into(), None);
        self
    }

    /// Sets the header's `typ`. When not called: `at+jwt` (RFC 9068 §2.1).
    pub fn typ(self, typ: impl Into<String>) -> Self {
        self.header("typ", typ.into())
    }

    /// Sets the header's `kid`. When not called: the key's id.
    pub fn key_id(self, id: impl Into<String>) -> Self {
        self.header("kid", id.into())
    }

    /// Signs with this key, of whatever algorithm. `alg` and `kid` are the key's, unless they are
    /// set by hand, before or after.
    pub fn signed_by(mut self, key: &SigningKey) -> Self {
        self.key = key.clone();
        self
    }

    /// Signs exactly these bytes as the header, whatever else is said of it: a member twice,
    /// escapes, no JSON at all.
    pub fn raw_header(mut self, header: impl Into<Vec<u8>>) -> Self {
        self.raw_header = Some(header.into());
        self
    }

    /// Signs exactly these bytes as the payload, whatever else is said of the claims: a claim
    /// twice, numbers of a thousand digits, no JSON at all.
    pub fn raw_payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.raw_payload = Some(payload.into());
        self
    }

    /// The token in its compact form (RFC 7515 §7.1).
    ///
    /// A builder that mints twice makes two tokens of one id.
    pub fn mint(&self) -> String {
        let header = self.raw_header.clone().unwrap_or_else(|| self.header_text());
        let payload = self.raw_payload.clone().unwrap_or_else(|| text(&self.claims));
        let input = format!("{}.{}", base64url(header), base64url(payload));
        let signature = self.key.sign(input.as_bytes());
        format!("{input}.{}", base64url(signature))
    }

    fn header_text(&self) -> Vec<u8> {
        let mut header = BTreeMap::<_, Value>::new();
        header.insert("alg".to_owned(), self.key.algorithm().name().into());
        header.insert("kid".into(), self.key.id().into());
        header.insert("typ".into(), "at+jwt".into());
        for (name, value) in &self.header {
            match value {
                Some(value) => header.insert(name.clone(), value.clone()),
                None => header.remove(name),
            };
        }
        text(&header)
    }
}

fn text(members: &BTreeMap<String, Value>) -> Vec<u8> {
    serde_json::to_vec(members).expect("a JSON value has a text")
}

fn base64url(bytes: Vec<u8>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use portcullis::Algorithm;
    use serde_json::json;

    use super::*;
    use crate::{TestIssuer, oracle};

    fn issuer() -> TestIssuer {
        TestIssuer::new("https://issuer.example").at(1_800_000_000)
    }

    fn token() -> TokenBuilder {
        issuer().token(Algorithm::HS256)
    }

    fn header(token: &TokenBuilder) -> Value {
        oracle::read(&token.mint()).0
    }

    fn claims(token: &TokenBuilder) -> Value {
        oracle::read(&token.mint()).1
    }

    #[test]
    fn a_token_told_nothing_is_an_access_token() {
        assert_eq!(header(&token()), json!({ "alg": "HS256", "kid": "hs256-1", "typ": "at+jwt" }));
        assert_eq!(
            claims(&token()),
            json!({
                "iss": "https://issuer.example",
                "sub": "alice",
                "aud": "https://api.example",
                "client_id": "testkit",
                "iat": 1_800_000_000,
                "exp": 1_800_000_300,
                "jti": "token-1",
            })
        );
    }

    #[test]
    fn the_same_calls_mint_the_same_token() {
        assert_eq!(token().mint(), token().mint());
    }

    #[test]
    fn times_follow_the_clock_that_the_issuer_was_given() {
        let clock = crate::FixedClock::at(100);
        let issuer = issuer().clock(clock.clone());
        clock.advance(Duration::from_secs(50));
        let claims = claims(&issuer.token(Algorithm::HS256));
        assert_eq!((&claims["iat"], &claims["exp"]), (&json!(150), &json!(450)));
    }

    #[test]
    fn each_setter_sets_its_claim() {
        let token = token()
            .subject("bob")
            .audience(["a", "b"])
            .scope("read write")
            .expires_in(Duration::from_millis(60_900))
            .claim("nbf", 7)
            .claim("roles", json!([{ "x": null }]))
            .without("client_id");
        let claims = claims(&token);
        for (name, value) in [
            ("sub", json!("bob")),
            ("aud", json!(["a", "b"])),
            ("scope", json!("read write")),
            ("exp", json!(1_800_000_060)),
            ("nbf", json!(7)),
            ("roles", json!([{ "x": null }])),
        ] {
            assert_eq!(claims[name], value, "{name}");
        }
        assert_eq!(claims.get("client_id"), None);
    }

    #[test]
    fn typed_claims_are_laid_over_the_defaults() {
        #[derive(Serialize)]
        struct Typed {
            sub: &'static str,
            tenant: u8,
        }
        let claims = claims(&token().claims(&Typed { sub: "bob", tenant: 3 }));
        assert_eq!(claims["sub"], "bob");
        assert_eq!(claims["tenant"], 3);
        assert_eq!(claims["iss"], "https://issuer.example");
    }

    #[test]
    #[should_panic(expected = "claims are a JSON object, not 7")]
    fn claims_that_are_no_object_are_a_mistake_of_the_test() {
        _ = token().claims(&7);
    }

    #[test]
    fn an_expired_token_expired_an_hour_ago_after_the_usual_lifetime() {
        let claims = claims(&token().expired());
        assert_eq!(claims["exp"], 1_800_000_000 - 3_600);
        assert_eq!(claims["iat"], 1_800_000_000 - 3_900);
    }

    #[test]
    fn header_members_are_set_and_taken_out() {
        let token = token().typ("JWT").key_id("k").header("crit", json!(["b64"]));
        let expected = json!({ "alg": "HS256", "kid": "k", "typ": "JWT", "crit": ["b64"] });
        assert_eq!(header(&token), expected);
        let token = token.without_header("kid").without_header("crit").without_header("typ");
        assert_eq!(header(&token), json!({ "alg": "HS256" }));
    }

    #[test]
    fn the_header_follows_the_key_that_signs() {
        let key = SigningKey::generate(Algorithm::ES256).with_id("theirs");
        let token = token().signed_by(&key);
        assert_eq!(header(&token), json!({ "alg": "ES256", "kid": "theirs", "typ": "at+jwt" }));
        assert!(oracle::accepts(&key, &token.mint()));
    }

    #[test]
    fn a_header_set_by_hand_stays_whichever_key_signs() {
        let key = SigningKey::generate(Algorithm::ES256);
        for token in [
            token().header("alg", "RS256").key_id("k").signed_by(&key),
            token().signed_by(&key).header("alg", "RS256").key_id("k"),
        ] {
            assert_eq!(header(&token), json!({ "alg": "RS256", "kid": "k", "typ": "at+jwt" }));
            assert!(oracle::accepts(&key, &token.mint()));
        }
    }

    #[test]
    fn raw_bytes_are_signed_as_they_are() {
        let token = token().raw_header("{\"alg\" :1}").raw_payload([0xff, b'{']).subject("unseen");
        let text = token.mint();
        let parts: Vec<_> = text.split('.').collect();
        assert_eq!(oracle::decode(parts[0]), b"{\"alg\" :1}");
        assert_eq!(oracle::decode(parts[1]), [0xff, b'{']);
        assert!(oracle::accepts(issuer().key(Algorithm::HS256), &text));
    }
}

//! A client that makes proofs.
use core::fmt;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::ProofBuilder;
use crate::{SigningKey, TestIssuer};

/// A client that shows with each request that it has its key (DPoP, RFC 9449). **For tests only.**
///
/// It has a key, a token that is bound to it, and the nonce that each origin told it last. It sends nothing: its
/// [headers](Self::headers) go into a request of any framework, and it is told of the
/// [answer](Self::must_retry). `send_with_proof` of the modules `tower`, `axum` and `actix` does both, and the
/// retry that a nonce asks for (§8).
///
/// Clones are one client: they share what they know of nonces.
///
/// # Example: a request
///
/// ```
/// use axum::{Router, body::Body, http::Request, routing::get};
/// use portcullis::{Algorithm, UnixTime};
/// use portcullis::dpop::{Dpop, InProcessReplays, Nonces};
/// use portcullis_axum::{Policy, VerifyLayer};
/// use portcullis_testkit::{DpopClient, FixedClock, SigningKey, TestIssuer};
/// use tower::ServiceExt;
///
/// // The application:
/// fn app(policy: Policy) -> Router {
///     Router::new()
///         .route("/orders", get(|| async { "orders" }))
///         .layer(VerifyLayer::new(policy))
/// }
///
/// // Its test:
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let issuer = TestIssuer::new("https://id.example");
/// let dpop = Dpop::new(InProcessReplays::new())
///     .at("https://api.example")
///     .nonces(Nonces::of_this_process());
/// let app = app(issuer.policy_builder().dpop(dpop).build()?);
///
/// let key = SigningKey::generate(Algorithm::ES256);
/// let token = issuer.token(Algorithm::ES256).bound_to(&key).mint();
/// let client = DpopClient::new(&issuer, &key).token(token);
///
/// let url = "https://api.example/orders";
/// let mut statuses = Vec::new();
/// for _ in 0..2 {
///     let request = client.headers("GET", url).into_iter().fold(
///         Request::get("/orders"),
///         |request, (name, value)| request.header(name, value),
///     );
///     let response = app.clone().oneshot(request.body(Body::empty())?).await?;
///     let headers = response.headers().iter();
///     let headers =
///         headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
///     let status = response.status().as_u16();
///     statuses.push((status, client.must_retry(url, status, headers)));
/// }
/// // It was told a nonce, and got in with it.
/// assert_eq!(statuses, [(401, true), (200, false)]);
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct DpopClient {
    issuer: TestIssuer,
    key: SigningKey,
    pub(super) token: Option<String>,
    nonces: Arc<Mutex<BTreeMap<Origin, String>>>,
}

/// Whose nonces these are: those of a token endpoint are not those of a resource, even at one address.
type Origin = (String, bool);

impl DpopClient {
    /// A client with this key, which has no token yet. Its proofs are made by the issuer's clock.
    pub fn new(issuer: &TestIssuer, key: &SigningKey) -> Self {
        Self { issuer: issuer.clone(), key: key.clone(), token: None, nonces: Arc::default() }
    }

    /// Sends this token, which is [bound to its key](crate::TokenBuilder::bound_to).
    ///
    /// When not called: there is none, as at a token endpoint. Its proofs then have no `ath`.
    pub fn token(self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self }
    }

    /// Its key.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// A new proof for a request, with the nonce that its origin told last. The address is the one that clients ask for, with
    /// what proxies take away.
    ///
    /// # Panics
    ///
    /// If the key is a secret, which proves nothing.
    pub fn proof(&self, method: &str, url: &str) -> ProofBuilder {
        let proof = self.issuer.proof(&self.key, method, url);
        let proof = self.token.iter().fold(proof, |proof, token| proof.token(token));
        self.nonce(url).into_iter().fold(proof, |proof, nonce| proof.claim("nonce", nonce))
    }

    /// The headers of a request: `authorization`, if it has a token, and `dpop` with a new proof.
    ///
    /// # Panics
    ///
    /// If the key is a secret, which proves nothing.
    pub fn headers(&self, method: &str, url: &str) -> Vec<(&'static str, String)> {
        let token = self.token.iter().map(|token| ("authorization", format!("DPoP {token}")));
        token.chain([("dpop", self.proof(method, url).mint())]).collect()
    }

    /// The nonce that this origin told last.
    pub fn nonce(&self, url: &str) -> Option<String> {
        let nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.get(&self.origin(url)).cloned()
    }

    /// Takes the nonce of an answer, from whatever status it has, and tells whether the answer asks for another try with it:
    ///
    /// - 401 with `error="use_dpop_nonce"`, of a resource (RFC 9449 §9);
    /// - 400 with a nonce that is new to this client, of a token endpoint (§8): its `error` stands in the body, which is not
    ///   looked at.
    ///
    /// One retry has to be enough. A second answer that asks for one is a fault of the server: do not follow it.
    #[must_use]
    pub fn must_retry<'a>(
        &self,
        url: &str,
        status: u16,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> bool {
        let (mut told, mut is_asked) = (Vec::new(), false);
        for (name, value) in headers {
            if name.eq_ignore_ascii_case("dpop-nonce") {
                told.push(String::from_utf8_lossy(value).into_owned());
            } else if name.eq_ignore_ascii_case("www-authenticate") {
                is_asked |= asks_for_nonce(value);
            }
        }
        self.learn(url, status, &told, is_asked)
    }

    /// The same, of an answer that was read before.
    pub(crate) fn learn(&self, url: &str, status: u16, told: &[String], is_asked: bool) -> bool {
        // RFC 9449 §8.1: one, and not several.
        let [nonce] = told else { return false };
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        let last = nonces.insert(self.origin(url), nonce.clone());
        match status {
            401 => is_asked,
            400 => self.token.is_none() && last.as_ref() != Some(nonce),
            _ => false,
        }
    }

    fn origin(&self, url: &str) -> Origin {
        let start = url.find("://").map_or(0, |at| at + 3);
        let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
        (url[..end].to_ascii_lowercase(), self.token.is_some())
    }
}

/// Whether a line of `WWW-Authenticate` does.
pub(crate) fn asks_for_nonce(value: &[u8]) -> bool {
    const ERROR: &[u8] = b"error=\"use_dpop_nonce\"";
    value.windows(ERROR.len()).any(|text| text == ERROR)
}

/// Shows no token and no nonce.
impl fmt::Debug for DpopClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopClient").field("key", &self.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use portcullis::Algorithm;

    use super::*;
    use crate::oracle;

    const URL: &str = "https://api.example/orders?x=1";
    const DEMAND: (&str, &[u8]) = ("WWW-Authenticate", b"DPoP error=\"use_dpop_nonce\"");

    fn client() -> DpopClient {
        let issuer = TestIssuer::new("https://id.example").at(1_800_000_000);
        DpopClient::new(&issuer, &SigningKey::generate(Algorithm::ES256))
    }

    fn told(nonce: &[u8]) -> (&'static str, &[u8]) {
        ("DPoP-Nonce", nonce)
    }

    #[test]
    fn a_proof_is_new_and_of_its_request_token_and_origin() {
        let client = client().token("t.o.k");
        assert!(client.must_retry(URL, 401, [told(b"n-1"), DEMAND]));
        let headers = client.headers("POST", URL);
        let [("authorization", token), ("dpop", proof)] = &*headers else { panic!("{headers:?}") };
        assert_eq!(token, "DPoP t.o.k");
        let (header, claims) = oracle::read(proof);
        assert_eq!((&header["typ"], &claims["htm"]), (&"dpop+jwt".into(), &"POST".into()));
        assert_eq!((&claims["htu"], &claims["nonce"]), (&URL.into(), &"n-1".into()));
        assert!(claims["ath"].is_string());
        let again = oracle::read(&client.proof("POST", URL).mint()).1;
        assert_ne!(again["jti"], claims["jti"]);
        // The same origin in another spelling, and another one.
        assert_eq!(client.nonce("HTTPS://api.example").as_deref(), Some("n-1"));
        assert_eq!(client.nonce("https://api.example:8443/orders"), None);
    }

    #[test]
    fn a_token_endpoint_has_nonces_of_its_own_and_its_proofs_are_of_no_token() {
        let client = client();
        let resource = client.clone().token("t.o.k");
        let url = "https://api.example/oauth/token";
        assert!(client.must_retry(url, 400, [told(b"n-1")]));
        // What is wrong is not the nonce.
        assert!(!client.must_retry(url, 400, [told(b"n-1")]));
        assert_eq!(resource.nonce(url), None);
        let headers = client.headers("POST", url);
        let [("dpop", proof)] = &*headers else { panic!("{headers:?}") };
        let claims = oracle::read(proof).1;
        assert_eq!((claims.get("ath"), &claims["nonce"]), (None, &"n-1".into()));
        assert!(!resource.must_retry(url, 400, [told(b"n-2")]));
    }

    #[test]
    fn only_an_answer_that_asks_for_a_nonce_and_tells_one_is_followed() {
        let client = client().token("t.o.k");
        assert!(!client.must_retry(URL, 401, [DEMAND]));
        assert!(!client.must_retry(URL, 401, [told(b"a"), told(b"b"), DEMAND]));
        assert_eq!(client.nonce(URL), None);
        let other = ("www-authenticate", &b"DPoP error=\"invalid_dpop_proof\""[..]);
        for (status, challenge) in [(401, other), (200, DEMAND), (503, DEMAND)] {
            assert!(!client.must_retry(URL, status, [told(b"n-1"), challenge]), "{status}");
        }
        // And still it is the next proof's.
        assert_eq!(client.nonce(URL).as_deref(), Some("n-1"));
    }

    #[test]
    fn a_client_shows_no_token() {
        let client = client().token("t.o.k");
        assert!(!client.must_retry(URL, 200, [told(b"n-1")]));
        let shown = format!("{client:?}");
        assert!(!shown.contains("t.o.k") && !shown.contains("n-1"), "{shown}");
    }
}

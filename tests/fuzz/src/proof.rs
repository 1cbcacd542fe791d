//! A proof of who has the key of a token (DPoP, RFC 9449), at a resource and at a token endpoint.
//!
//! An input is the text of a proof; or, behind a line such as `sign ES256`, a line with a header and a payload, which the
//! algorithm's key signs. In them, `{jwk}` stands for that key and `{ath}` for the hash of a token that is bound to it. The request
//! has the method and the path that an ordinary reader of JSON finds in the payload. What is asked:
//!
//! 1. nothing panics, and the same proof gets the same answer again, at the resource by way of a key that is remembered;
//! 2. a text holds only if who has the key signed it: up to the second full stop, it is one of the good proofs;
//! 3. what holds has members that an ordinary reader of JSON finds in it, each once, and they are such as RFC 9449 §4.3 asks for,
//!    with a public key whose thumbprint is told;
//! 4. it is of one id, and for no other method and no other path;
//! 5. at the resource, it holds where it holds at the token endpoint, is of the token's key and has the token's hash, and nowhere
//!    else.
use core::fmt;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base64::prelude::*;
use portcullis::dpop::{Dpop, DpopError, GoodProof, ProofUse, Replays, Spent, TokenEndpointProofs};
use portcullis::{Algorithm, Policy, RequestView, UnixTime};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value, json};

use crate::Outcome;
use crate::issuer::{self, AUDIENCE, ISSUER, NOW, key};
use crate::keys::{PRIVATE, is_nothing};

/// Where services are.
const BASES: [&str; 5] = [
    "https://api.example",
    "http://localhost:3000",
    "https://[::1]:8443",
    // Of the figures of RFC 9449.
    "https://server.example.com",
    "https://resource.example.org",
];

/// The window of settings that are told of none, in seconds.
const WINDOW: core::ops::RangeInclusive<i64> = -10..=60;

/// Proofs that were made once, one a line, after those of figures 2 and 13 of RFC 9449.
pub fn good_proofs() -> impl Iterator<Item = &'static str> {
    include_str!("../proofs.txt").lines()
}

/// Asks about a proof.
///
/// # Panics
///
/// If a promise is broken.
pub fn check(input: &[u8]) -> Outcome {
    let Some((algorithm, header, payload)) = issuer::to_sign(input) else {
        return raw(input);
    };
    let (header, payload) = (with_names(header, algorithm), with_names(payload, algorithm));
    let text = issuer::sign(algorithm, &header, &payload);
    let request = Sent::new(text.as_bytes(), &payload);
    let now = request.holds(NOW);
    at_the_resource(&request, algorithm, &payload, now.as_ref());
    // Whatever the window, the rest is asked.
    let issued_at = seconds(&payload, "iat").unwrap_or(NOW);
    let Some(proof) = request.holds(issued_at) else {
        assert!(now.is_none(), "it holds now, and not at its own time");
        return Outcome::Refused;
    };
    assert!(now.is_none() || WINDOW.contains(&(NOW - issued_at)), "made at {issued_at}");
    check_header(&header, algorithm, &proof);
    check_claims(&payload, &request);
    check_id(&request, &proof, algorithm, &payload);
    for other in [
        Sent { method: request.method.clone() + "X", ..request.clone() },
        Sent { path: request.path.clone() + "x", ..request.clone() },
    ] {
        assert!(other.holds(issued_at).is_none(), "for {} {}", other.method, other.path);
    }
    Outcome::Accepted
}

fn raw(text: &[u8]) -> Outcome {
    let payload = text.split(|byte| *byte == b'.').nth(1);
    let payload = payload.and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
    let payload = payload.unwrap_or_default();
    let at = seconds(&payload, "iat").unwrap_or(NOW);
    let Some(_) = Sent::new(text, &payload).holds(at) else { return Outcome::Refused };
    issuer::assert_signed(text, good_proofs());
    Outcome::Accepted
}

/// The part with what the names in it stand for.
fn with_names(part: &[u8], algorithm: Algorithm) -> Vec<u8> {
    let client = client(algorithm);
    issuer::with_names(part, &[("{jwk}", &client.jwk), ("{ath}", &client.hash)])
}

/// A client with the key of an algorithm.
struct Client {
    /// As the header of a proof has it.
    jwk: String,
    /// Bound to the key. The same in every run: its signature has nothing random.
    token: String,
    /// Of the token.
    hash: String,
    /// Of the key (RFC 7638). `None`: it is a secret.
    thumbprint: Option<String>,
}

fn client(algorithm: Algorithm) -> &'static Client {
    static CLIENTS: OnceLock<Vec<Client>> = OnceLock::new();
    let clients =
        CLIENTS.get_or_init(|| Algorithm::ALL.iter().map(|one| Client::of(*one)).collect());
    let place = Algorithm::ALL.iter().position(|known| *known == algorithm);
    place.and_then(|place| clients.get(place)).expect("a client of every algorithm")
}

impl Client {
    fn of(algorithm: Algorithm) -> Self {
        let own = key(algorithm);
        let secret = || BASE64_URL_SAFE_NO_PAD.encode(own.secret().unwrap_or_default());
        let mut jwk = own.public_jwk().unwrap_or_else(|| json!({ "kty": "oct", "k": secret() }));
        jwk.as_object_mut().expect("an object").retain(|name, _| issuer::is_of_proofs(own, name));
        let thumbprint = own.thumbprint();
        let header = json!({ "alg": "EdDSA", "kid": key(Algorithm::EdDSA).id(), "typ": "at+jwt" });
        let payload = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": NOW + 600,
            "cnf": { "jkt": thumbprint.as_deref().unwrap_or_default() },
        });
        let [header, payload] = [header, payload].map(|part| part.to_string().into_bytes());
        let token = issuer::sign(Algorithm::EdDSA, &header, &payload);
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
        let hash = BASE64_URL_SAFE_NO_PAD.encode(hash);
        Self { jwk: jwk.to_string(), token, hash, thumbprint }
    }
}

/// A proof and the request with it.
#[derive(Clone)]
pub(crate) struct Sent<'p> {
    method: String,
    path: String,
    proof: &'p [u8],
    authorization: Option<String>,
}

impl<'p> Sent<'p> {
    /// A request for this path.
    pub(crate) fn get(path: &str, proof: &'p [u8]) -> Self {
        Self { method: "GET".to_owned(), path: path.to_owned(), proof, authorization: None }
    }

    /// The request that a payload says it is for.
    fn new(proof: &'p [u8], payload: &[u8]) -> Self {
        let claims: Value = serde_json::from_slice(payload).unwrap_or_default();
        let method = claims["htm"].as_str().unwrap_or("GET").to_owned();
        let target = claims["htu"].as_str().unwrap_or_default();
        let target = target.split(['?', '#']).next().unwrap_or_default();
        let path = target.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
        let path = format!("/{}", path.map_or("", |(_, path)| path));
        Self { method, path, proof, authorization: None }
    }

    /// What a token endpoint says, twice.
    fn holds(&self, at: i64) -> Option<GoodProof> {
        static ENDPOINT: OnceLock<TokenEndpointProofs> = OnceLock::new();
        let endpoint = || dpop(Fresh::default()).for_token_endpoint().expect("good settings");
        let endpoint = ENDPOINT.get_or_init(endpoint);
        let ask = || match endpoint.check(self, UnixTime(at)) {
            Ok(proof) => Ok(proof.expect("there is one")),
            Err(error) => Err(error),
        };
        let (answer, again) = (ask(), ask());
        assert_eq!(error(&answer), error(&again), "the second answer");
        if let Err(error) = &answer {
            assert!(!error.to_string().is_empty());
        }
        answer.ok()
    }
}

fn error(answer: &Result<GoodProof, DpopError>) -> Option<&DpopError> {
    answer.as_ref().err()
}

impl RequestView for Sent<'_> {
    fn method(&self) -> &str {
        &self.method
    }

    fn authority(&self) -> Option<&str> {
        None
    }

    fn path(&self) -> Option<&str> {
        Some(&self.path)
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let authorization = self.authorization.as_deref().map(str::as_bytes);
        let value = match name {
            "dpop" => Some(self.proof),
            "authorization" => authorization,
            _ => None,
        };
        value.into_iter()
    }
}

/// Forgets each proof, except the last one.
#[derive(Clone, Default)]
pub(crate) struct Fresh(Arc<Mutex<[u8; 32]>>);

impl Replays for Fresh {
    fn spend(&self, proof: &ProofUse) -> Spent {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = *proof.digest();
        Spent::Fresh
    }

    fn epoch(&self) -> u64 {
        7
    }
}

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fresh")
    }
}

/// With every algorithm that a proof can have.
fn dpop(replays: Fresh) -> Dpop {
    let public = Algorithm::ALL.iter().copied().filter(|one| key(*one).secret().is_none());
    BASES.into_iter().fold(Dpop::new(replays).algorithms(public), Dpop::at)
}

/// It holds at a resource where it holds at the endpoint, for the token and its key.
fn at_the_resource(
    request: &Sent<'_>,
    algorithm: Algorithm,
    payload: &[u8],
    proof: Option<&GoodProof>,
) {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    let policy = || issuer::policy().dpop(dpop(Fresh::default())).build().expect("a good policy");
    let (policy, client) = (POLICY.get_or_init(policy), client(algorithm));
    let authorization = Some(format!("DPoP {}", client.token));
    let request = Sent { authorization, ..request.clone() };
    let (answer, again) = (policy.verify_now(&request), policy.verify_now(&request));
    let error = |answer: &Result<_, portcullis::Rejection>| {
        answer.as_ref().err().map(|rejection| rejection.error().clone())
    };
    assert_eq!(error(&answer), error(&again), "the second answer");
    let claims: Value = serde_json::from_slice(payload).unwrap_or_default();
    let is_of_token = claims["ath"].as_str() == Some(&client.hash);
    assert_eq!(answer.is_ok(), proof.is_some() && is_of_token, "{:?}", error(&answer));
}

fn check_header(header: &[u8], algorithm: Algorithm, proof: &GoodProof) {
    assert_each_once(header);
    let header: Value = serde_json::from_slice(header).expect("the header is JSON");
    assert_eq!(header["typ"], "dpop+jwt", "{header}");
    let named: Algorithm = header["alg"].as_str().and_then(|it| it.parse().ok()).expect("a name");
    let is_same_key = named == algorithm || issuer::is_ed25519(named, algorithm);
    assert!(is_same_key, "signed by {algorithm}: {header}");
    for member in ["crit", "b64", "jku", "x5u", "x5c"] {
        assert!(header.get(member).is_none(), "{header}");
    }
    let jwk = header["jwk"].as_object().expect("a key");
    let says = |name: &&&str| jwk.get(**name).is_some_and(|member| !is_nothing(member));
    assert_eq!(PRIVATE.iter().find(says), None, "a private key is read");
    assert_eq!(proof.thumbprint(), thumbprint(jwk), "{header}");
}

/// RFC 7638 §3, RFC 9964 §6.
fn thumbprint(jwk: &Map<String, Value>) -> String {
    let text = |name: &str| jwk[name].as_str().expect("text").to_owned();
    // Numbers are as short as they can be.
    let number = |name: &str| {
        let number = BASE64_URL_SAFE_NO_PAD.decode(text(name)).expect("base64url");
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        BASE64_URL_SAFE_NO_PAD.encode(&number[zeros..])
    };
    let members = match &*text("kty") {
        "RSA" => json!({ "e": number("e"), "kty": "RSA", "n": number("n") }),
        "EC" => json!({ "crv": text("crv"), "kty": "EC", "x": text("x"), "y": text("y") }),
        "OKP" => json!({ "crv": text("crv"), "kty": "OKP", "x": text("x") }),
        "AKP" => json!({ "alg": text("alg"), "kty": "AKP", "pub": text("pub") }),
        other => panic!("a proof holds by a key of the type {other}"),
    };
    let hash =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, members.to_string().as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(hash)
}

fn check_claims(payload: &[u8], request: &Sent<'_>) {
    assert_each_once(payload);
    let claims: Value = serde_json::from_slice(payload).expect("the payload is JSON");
    assert_eq!(claims["htm"].as_str(), Some(&*request.method), "{claims}");
    assert!(claims["htu"].is_string() && claims["iat"].is_number(), "{claims}");
    let id = claims["jti"].as_str().expect("an id");
    assert!((1..=256).contains(&id.len()), "{claims}");
    for (name, value) in claims.as_object().expect("an object") {
        match &**name {
            "nbf" | "exp" => assert!(value.is_number(), "{claims}"),
            "nonce" => assert!(value.is_string(), "{claims}"),
            "ath" => {
                let hash = BASE64_URL_SAFE_NO_PAD.decode(value.as_str().expect("text"));
                assert_eq!(hash.expect("base64url").len(), 32, "{claims}");
            }
            _ => {}
        }
    }
}

/// It is used under the id that an ordinary reader finds.
fn check_id(request: &Sent<'_>, proof: &GoodProof, algorithm: Algorithm, payload: &[u8]) {
    let claims: Value = serde_json::from_slice(payload).expect("the payload is JSON");
    let client = client(algorithm);
    assert_eq!(Some(proof.thumbprint()), client.thumbprint.as_deref(), "who signed it");
    let jwk: Value = serde_json::from_str(&client.jwk).expect("a key");
    let header = json!({ "typ": "dpop+jwt", "alg": algorithm.name(), "jwk": jwk });
    let plain = json!({
        "jti": claims["jti"], "htm": "GET", "htu": "https://api.example/", "iat": NOW,
    });
    let [header, plain] = [header, plain].map(|part| part.to_string().into_bytes());
    let plain_text = issuer::sign(algorithm, &header, &plain);
    let replays = Fresh::default();
    let endpoint = dpop(replays.clone()).for_token_endpoint().expect("good settings");
    let used = |request: &Sent<'_>, at: i64| {
        let proof = endpoint.check(request, UnixTime(at)).expect("it holds").expect("a proof");
        assert!(matches!(proof.spend(ISSUER, "alice", UnixTime(i64::MIN)), Spent::Fresh));
        *replays.0.lock().unwrap_or_else(PoisonError::into_inner)
    };
    let at = seconds(payload, "iat").expect("a time");
    let plain = used(&Sent::new(plain_text.as_bytes(), &plain), NOW);
    assert_eq!(used(request, at), plain, "{claims}");
}

/// A number of seconds, rounded down.
fn seconds(payload: &[u8], claim: &str) -> Option<i64> {
    let claims: Value = serde_json::from_slice(payload).ok()?;
    let seconds =
        claims[claim].as_i64().or_else(|| claims[claim].as_f64().map(|it| it.floor() as i64));
    seconds.filter(|seconds| *seconds >= 0)
}

/// No member is there twice, nor one of the key.
fn assert_each_once(part: &[u8]) {
    struct Once;
    impl<'de> Deserialize<'de> for Once {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(Self)
        }
    }
    impl<'de> Visitor<'de> for Once {
        type Value = Self;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
            let mut names = BTreeSet::new();
            while let Some(name) = members.next_key::<String>()? {
                if name == "jwk" {
                    members.next_value::<Self>()?;
                } else {
                    members.next_value::<IgnoredAny>()?;
                }
                assert!(names.insert(name.clone()), "{name} is there twice");
            }
            Ok(Self)
        }
    }
    serde_json::from_slice::<Once>(part).expect("an object");
}

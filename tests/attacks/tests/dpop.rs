//! Ways round the key that a token is bound to (RFC 9449).
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use portcullis::dangerous::token_in_url;
use portcullis::dpop::{
    Dpop, DpopError, InProcessReplays, Nonces, ProofUse, Replays, ReplaysUnavailable, Spent,
};
use portcullis::error::{RevocationUnavailable, SourceError};
use portcullis::revocation::{RevocationSource, RevocationStatus};
use portcullis::{Algorithm, Error, TokenSource, UnixTime, VerifiedToken};
use portcullis_attacks::{Answer, Door, NOW, issuer, policy_for, token, trusted};
use portcullis_testkit::{BadProof, ProofBuilder, SigningKey};
use serde_json::json;

const ES256: Algorithm = Algorithm::ES256;
const BASE: &str = "https://api.example";
const URL: &str = "https://api.example/orders";

fn replays() -> InProcessReplays {
    InProcessReplays::new().started_at(UnixTime(NOW - 3600))
}

fn door(dpop: Dpop) -> Door {
    Door::new(policy_for([trusted(&[ES256])]).dpop(dpop.at(BASE)))
}

/// A key, and a token that is bound to it.
fn bound() -> (SigningKey, String) {
    let key = SigningKey::generate(ES256);
    let token = token(ES256).bound_to(&key).mint();
    (key, token)
}

fn proof(key: &SigningKey, token: &str) -> ProofBuilder {
    issuer().proof(key, "GET", URL).token(token)
}

fn request(method: &str, path: &str, token: &str, proof: &str) -> Request<()> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("authorization", format!("DPoP {token}")).header("dpop", proof);
    request.body(()).expect("a request")
}

fn get(token: &str, proof: &str) -> Request<()> {
    request("GET", "/orders", token, proof)
}

#[track_caller]
fn admits(door: &Door, request: Request<()>) {
    let answer = door.send(request);
    assert_eq!((answer.error, answer.status, answer.reached), (None, 200, 1));
}

/// Refused for its proof, with both challenges, and without the service being reached.
#[track_caller]
fn refused(what: &str, answer: &Answer) -> DpopError {
    assert_eq!((answer.status, answer.reached), (401, 0), "{what}");
    let challenges = answer.headers.get_all("www-authenticate").iter();
    let schemes: Vec<_> = challenges.map(|line| line.as_bytes()[..4].to_vec()).collect();
    assert_eq!(schemes, [b"Bear".to_vec(), b"DPoP".to_vec()], "{what}");
    let Some(Error::Dpop(error)) = &answer.error else { panic!("{what}: {:?}", answer.error) };
    error.clone()
}

#[test]
fn a_proof_that_is_wrong_in_any_way_is_refused_and_uses_nothing() {
    let replays = replays();
    let door = door(Dpop::new(replays.clone()));
    let (key, token) = bound();
    for fault in BadProof::ALL {
        let answer = door.send(get(&token, &proof(&key, &token).mint_bad(*fault)));
        let error = refused(&format!("a proof {fault}"), &answer);
        assert_ne!(error, DpopError::Replayed, "a proof {fault}");
    }
    for text in ["", " ", "\t", ",", "..", "DPoP", "null"] {
        _ = refused(text, &door.send(get(&token, text)));
    }
    assert!(replays.is_empty());
    admits(&door, get(&token, &proof(&key, &token).mint()));
    assert_eq!(replays.len(), 1);
}

/// What is remembered is the id and the key, so there is no address to spell in another way.
#[test]
fn an_id_is_used_once_whatever_else_its_proof_says() {
    let door = door(Dpop::new(replays()));
    let (key, token) = bound();
    let first = proof(&key, &token).claim("jti", "one");
    admits(&door, get(&token, &first.mint()));
    let again = |claim: &str, value: &str| first.clone().claim(claim, value).mint();
    let other_token = portcullis_attacks::token(ES256).bound_to(&key).mint();
    for (what, request) in [
        (
            "in another spelling of the host",
            get(&token, &again("htu", "HTTPS://API.example/orders")),
        ),
        ("with a port", get(&token, &again("htu", "https://api.example:443/orders"))),
        ("with a query", get(&token, &again("htu", "https://api.example/orders?x=1"))),
        ("percent-encoded", get(&token, &again("htu", "https://api.example/%6frders"))),
        ("for another method", request("PUT", "/orders", &token, &again("htm", "PUT"))),
        ("for another path", request("GET", "/a", &token, &again("htu", "https://api.example/a"))),
        (
            "with another token of the key",
            get(&other_token, &first.clone().token(&other_token).mint()),
        ),
        ("made at another time", get(&token, &first.clone().claim("iat", NOW + 1).mint())),
        ("with another header", get(&token, &first.clone().header("kid", "x").mint())),
    ] {
        assert_eq!(refused(what, &door.send(request)), DpopError::Replayed, "{what}");
    }
    // Of another key it is another one.
    let (other, token) = bound();
    admits(&door, get(&token, &proof(&other, &token).claim("jti", "one").mint()));
}

/// Remembers until when it was asked to remember.
#[derive(Clone, Debug, Default)]
struct Recorded(Arc<Mutex<Vec<UnixTime>>>);

impl Replays for Recorded {
    fn spend(&self, proof: &ProofUse) -> Spent {
        self.0.lock().expect("no panic").push(proof.until());
        Spent::Fresh
    }

    fn epoch(&self) -> u64 {
        7
    }
}

#[test]
fn a_proof_is_remembered_for_as_long_as_its_own_time_lets_it_in() {
    let recorded = Recorded::default();
    let window = (Duration::from_secs(60), Duration::from_secs(300));
    let door = door(Dpop::new(recorded.clone()).window(window.0, window.1));
    let (key, token) = bound();
    for made in [NOW - 60, NOW, NOW + 300] {
        admits(&door, get(&token, &proof(&key, &token).claim("iat", made).mint()));
    }
    let until = recorded.0.lock().expect("no panic").clone();
    assert_eq!(until, [NOW + 1, NOW + 61, NOW + 361].map(UnixTime));
}

#[test]
fn a_bound_token_passes_from_no_other_place() {
    let sources = [
        TokenSource::bearer(),
        TokenSource::cookie("__Host-token"),
        TokenSource::header("x-token"),
        token_in_url("token"),
    ];
    let policy = policy_for([trusted(&[ES256])]).sources(sources);
    let door = Door::new(policy.dpop(Dpop::new(replays()).at(BASE)));
    let (key, token) = bound();
    let unbound = portcullis_attacks::token(ES256).mint();
    let (cookie, query) = (format!("__Host-token={token}"), format!("/orders?token={token}"));
    for (what, path, header) in [
        ("in a cookie", "/orders", ("cookie", &*cookie)),
        ("in another header", "/orders", ("x-token", &*token)),
        ("in the query", &*query, ("accept", "*/*")),
    ] {
        let request = Request::get(path)
            .header("sec-fetch-site", "same-origin")
            .header(header.0, header.1)
            .header("dpop", proof(&key, &token).mint());
        let answer = door.send(request.body(()).expect("a request"));
        assert_eq!(refused(what, &answer), DpopError::BoundAsBearer, "{what}");
    }
    // Beside a token that is bound to nothing, in either order and place.
    let bearer = format!("Bearer {unbound}");
    let dpop = format!("DPoP {token}");
    for headers in [
        [("authorization", &*bearer), ("authorization", &*dpop)],
        [("authorization", &*dpop), ("authorization", &*bearer)],
        [("authorization", &*dpop), ("x-token", &*unbound)],
        [("authorization", &*bearer), ("x-token", &*token)],
    ] {
        let request = Request::get("/orders").header("dpop", proof(&key, &token).mint());
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(()).expect("a request");
        door.refuses_request("two tokens", request, 400, SourceError::Several);
    }
}

/// A list of revoked tokens, and a store of used proofs, that can be told to be out of reach.
#[derive(Clone, Debug, Default)]
struct Outage(Arc<AtomicBool>);

impl Outage {
    fn is_there(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl RevocationSource for Outage {
    fn status(&self, _: &VerifiedToken) -> RevocationStatus {
        if self.is_there() {
            RevocationStatus::Unavailable(RevocationUnavailable::new())
        } else {
            RevocationStatus::Active
        }
    }
}

#[derive(Debug)]
struct SomeTimes(Outage, InProcessReplays);

impl Replays for SomeTimes {
    fn spend(&self, proof: &ProofUse) -> Spent {
        if self.0.is_there() {
            Spent::Unavailable(ReplaysUnavailable::default())
        } else {
            self.1.spend(proof)
        }
    }

    fn epoch(&self) -> u64 {
        self.1.epoch()
    }
}

/// Clients come back with the same proof after 503, whatever they should do.
#[test]
fn an_answer_of_503_uses_no_proof_and_lets_nobody_in() {
    let (list, store, used) = (Outage::default(), Outage::default(), replays());
    let dpop = Dpop::new(SomeTimes(store.clone(), used.clone())).at(BASE);
    let policy = policy_for([trusted(&[ES256])]).revocation_source(list.clone()).dpop(dpop);
    let door = Door::new(policy);
    let (key, token) = bound();
    let proof = proof(&key, &token).mint();
    for outage in [&list, &store] {
        outage.0.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            let answer = door.send(get(&token, &proof));
            assert_eq!((answer.status, answer.reached), (503, 0), "{:?}", answer.error);
            assert!(answer.headers.contains_key("retry-after"));
        }
        outage.0.store(false, Ordering::SeqCst);
        assert!(used.is_empty());
    }
    admits(&door, get(&token, &proof));
    let answer = door.send(get(&token, &proof));
    assert_eq!(refused("again", &answer), DpopError::Replayed);
}

#[test]
fn nothing_that_a_proof_says_comes_back() {
    for has_nonces in [false, true] {
        let dpop = Dpop::new(replays());
        let dpop = if has_nonces { dpop.nonces(Nonces::of_this_process()) } else { dpop };
        let door = door(dpop);
        let (key, token) = bound();
        let leak = "LEAK\", error=\"none\"\r\nset-cookie: LEAK=1\r\n\r\n\u{1f512}";
        for claim in ["jti", "htm", "htu", "ath", "iat", "exp", "nonce", "LEAK"] {
            for value in [json!(leak), json!([leak]), json!({ "LEAK": leak })] {
                let own = proof(&key, &token).claim(claim, value);
                for proof in [own.clone(), own.header("typ", leak).header("kid", leak)] {
                    let answer = door.send(get(&token, &proof.mint()));
                    let shown = format!("{:?} {:?}", answer.headers, answer.error);
                    assert!(!shown.contains("LEAK"), "{claim}: {shown}");
                    assert!(!answer.headers.contains_key("set-cookie"));
                    let nonces = answer.headers.get_all("dpop-nonce").iter().count();
                    assert!(nonces <= usize::from(has_nonces), "{claim}: {nonces}");
                }
            }
        }
    }
}

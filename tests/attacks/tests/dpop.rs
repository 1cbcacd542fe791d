//! Ways round the key that a token is bound to (RFC 9449).
use std::collections::BTreeSet;
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
use portcullis::{
    Algorithm, Error, Policy, RequestView, Requirement, TokenSource, UnixTime, VerifiedToken,
};
use portcullis_attacks::{Answer, Door, NOW, issuer, policy_for, token, trusted};
use portcullis_testkit::{BadProof, FixedClock, ProofBuilder, SigningKey, TestIssuer};
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

/// A store that knows at once, and says it later.
#[derive(Debug)]
struct Late(InProcessReplays);

impl Replays for Late {
    fn spend(&self, proof: &ProofUse) -> Spent {
        let is_fresh = match self.0.spend(proof) {
            Spent::Fresh => Ok(true),
            Spent::Seen => Ok(false),
            told => panic!("{told:?}"),
        };
        Spent::Later(Box::pin(async move { is_fresh }))
    }

    fn epoch(&self) -> u64 {
        self.0.epoch()
    }
}

#[tokio::test]
async fn who_cannot_wait_for_the_store_lets_nobody_in_and_has_used_the_proof() {
    let used = replays();
    let door = door(Dpop::new(Late(used.clone())));
    let (key, token) = bound();
    let request = get(&token, &proof(&key, &token).mint());
    let rejection = door.policy().verify_now(&request).expect_err("nobody waits");
    let unavailable = DpopError::Unavailable(ReplaysUnavailable::default());
    assert_eq!((rejection.status(), rejection.error()), (503, &Error::Dpop(unavailable)));
    assert_eq!(used.len(), 1);
    let answer = door.ask(request).await;
    assert_eq!(refused("the same proof", &answer), DpopError::Replayed);
    let answer = door.ask(get(&token, &proof(&key, &token).mint())).await;
    assert_eq!((answer.error, answer.status, answer.reached), (None, 200, 1));
}

#[test]
fn twelve_fill_their_issuers_share_and_a_thirteenth_waits_while_those_of_another_issuer_pass() {
    let (own, other) = (issuer(), TestIssuer::new("https://other.example").at(NOW));
    let used = InProcessReplays::with_capacity(160).started_at(UnixTime(NOW - 3600));
    let policy = policy_for([trusted(&[ES256]), other.trusted(&[ES256])]);
    let door = Door::new(policy.dpop(Dpop::new(used.clone()).at(BASE)));
    let key = SigningKey::generate(ES256);
    let ask = |issuer: &TestIssuer, subject: &str, proof: Option<&str>| {
        let token = issuer.token(ES256).subject(subject).bound_to(&key).mint();
        let new = issuer.proof(&key, "GET", URL).token(&token).mint();
        let answer = door.send(get(&token, proof.unwrap_or(&new)));
        assert_eq!(answer.reached, usize::from(answer.status == 200));
        answer
    };
    // A sixteenth each; few share the counter of another one.
    for user in 0..14 {
        while ask(&own, &user.to_string(), None).status == 200 {}
    }
    assert_eq!(used.len(), 120, "three quarters");
    let answer = ask(&own, "the thirteenth", None);
    assert_eq!(answer.status, 503, "{:?}", answer.error);
    assert!(matches!(answer.error, Some(Error::Dpop(DpopError::Unavailable(_)))));
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(used.len(), 120, "and its proof is not used");
    let passed = ["alice", "bob", "carol"].map(|user| ask(&other, user, None).status);
    assert!(passed.contains(&200), "{passed:?}");
}

/// RFC 9449 §7.3: a retry needs a new proof.
#[test]
fn a_403_of_a_requirement_has_used_the_proof_and_a_refusal_by_the_policy_has_not() {
    let used = replays();
    let rules = policy_for([trusted(&[ES256])]).require("tenant");
    let door = Door::new(rules.dpop(Dpop::new(used.clone()).at(BASE)));
    let door = door.requiring(Requirement::scope("orders:write"));
    let key = SigningKey::generate(ES256);
    let token = token(ES256).bound_to(&key);
    let (of_nobody, reader) = (token.clone().mint(), token.claim("tenant", "acme").mint());

    let answer = door.send(get(&of_nobody, &proof(&key, &of_nobody).mint()));
    assert_eq!((answer.status, answer.reached, used.len()), (401, 0, 0), "{:?}", answer.error);
    let proof = proof(&key, &reader).mint();
    let answer = door.send(get(&reader, &proof));
    assert_eq!((answer.status, answer.reached, used.len()), (403, 0, 1), "{:?}", answer.error);
    assert_eq!(refused("again", &door.send(get(&reader, &proof))), DpopError::Replayed);
}

/// A request whose framework hands nothing from one layer to the next.
struct Bare<'r>(&'r Request<()>);

impl RequestView for Bare<'_> {
    fn method(&self) -> &str {
        RequestView::method(self.0)
    }

    fn authority(&self) -> Option<&str> {
        self.0.authority()
    }

    fn path(&self) -> Option<&str> {
        self.0.path()
    }

    fn query(&self) -> Option<&str> {
        self.0.query()
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.header(name)
    }
}

#[test]
fn a_second_policy_that_is_not_told_of_the_used_proof_refuses_it() {
    let dpop = Dpop::new(replays()).at(BASE);
    let [first, second] = [(); 2]
        .map(|()| policy_for([trusted(&[ES256])]).dpop(dpop.clone()).build().expect("a policy"));
    let (key, token) = bound();
    let mut request = get(&token, &proof(&key, &token).mint());
    let admission = first.verify_now(&Bare(&request)).expect("a good proof");
    request.extensions_mut().insert(admission.used_proof().expect("it used one"));
    for policy in [&first, &second] {
        let rejection = policy.verify_now(&Bare(&request)).expect_err("nobody told it");
        assert_eq!(*rejection.error(), Error::Dpop(DpopError::Replayed));
        assert!(policy.verify_now(&request).is_ok(), "it is told");
    }
}

/// What an attacker would have in an answer.
const LEAK: &str = "LEAK\", error=\"none\"\r\nset-cookie: LEAK=1\r\n\r\n\u{1f512}";

/// Requests that a policy refuses for all that it asks of a proof, with what an attacker chooses in all that they say.
fn marked() -> Vec<Request<()>> {
    let (key, token) = bound();
    let unbound = portcullis_attacks::token(ES256).claim("jti", LEAK).mint();
    let good = || proof(&key, &token).claim("LEAK", LEAK).header("LEAK", LEAK);
    let bearer = |token: &str| {
        let mut request = get(token, &good().mint());
        let value = format!("Bearer {token}").parse().expect("a header");
        request.headers_mut().insert("authorization", value);
        request
    };
    let mut without = bearer(&unbound);
    without.headers_mut().remove("dpop");
    let mut missing = get(&token, "");
    missing.headers_mut().remove("dpop");
    let mut several = get(&token, &good().mint());
    several.headers_mut().append("dpop", "LEAK".parse().expect("a header"));
    let foreign = SigningKey::generate(ES256);
    let mut requests = vec![
        without,
        missing,
        several,
        bearer(&token),
        bearer(&unbound),
        get(&unbound, &good().mint()),
        get(&token, &proof(&foreign, &token).claim("jti", LEAK).mint()),
        request("GET", "/LEAK/../orders", &token, &good().mint()),
        request("GET", "/LEAK", &token, &good().mint()),
        request("LEAK", "/orders", &token, &good().mint()),
    ];
    requests.extend(BadProof::ALL.iter().map(|fault| get(&token, &good().mint_bad(*fault))));
    for claim in ["jti", "htm", "htu", "ath", "iat", "nbf", "exp", "nonce"] {
        for value in [json!(LEAK), json!([LEAK]), json!({ "LEAK": LEAK })] {
            let own = good().claim(claim, value);
            requests.push(get(&token, &own.mint()));
            requests.push(get(&token, &own.header("typ", LEAK).header("kid", LEAK).mint()));
        }
    }
    requests
}

/// Looks at each answer, and collects the reasons of those that are refused.
fn tells_nothing(door: &Door, requests: Vec<Request<()>>, reasons: &mut BTreeSet<&'static str>) {
    for request in requests {
        let answer = door.send(request);
        let shown = format!("{:?} {:?} {}", answer.headers, answer.error, answer.body);
        for leak in ["LEAK", "set-cookie", "1f512", "\u{1f512}"] {
            assert!(!shown.contains(leak), "{shown}");
        }
        assert!(answer.headers.get_all("dpop-nonce").iter().count() <= 1, "{shown}");
        if let Some(error) = answer.error {
            assert!(answer.body.contains("\"code\""), "{shown}");
            reasons.insert(error.reason());
        }
    }
}

#[test]
fn nothing_that_a_proof_says_comes_back() {
    let mut reasons = BTreeSet::new();
    let reasons = &mut reasons;
    for dpop in [Dpop::new(replays()), Dpop::new(replays()).required()] {
        tells_nothing(&door(dpop), marked(), reasons);
    }
    let (key, token) = bound();
    let own = || proof(&key, &token).claim("jti", LEAK);
    let twice = vec![get(&token, &own().mint()), get(&token, &own().mint())];
    tells_nothing(&door(Dpop::new(replays())), twice, reasons);
    let outage = Outage::default();
    outage.0.store(true, Ordering::SeqCst);
    let away = door(Dpop::new(SomeTimes(outage, replays())));
    tells_nothing(&away, vec![get(&token, &own().mint())], reasons);

    let clock = FixedClock::at(NOW);
    let asks = Dpop::new(replays()).at(BASE).nonces(Nonces::of_this_process());
    let policy = Policy::builder().issuer(trusted(&[ES256])).clock(clock.clone());
    let asks = Door::new(policy.dpop(asks));
    tells_nothing(&asks, marked(), reasons);
    let given = asks.send(get(&token, &own().mint())).headers;
    let old = own().claim("nonce", given["dpop-nonce"].to_str().expect("a text"));
    clock.advance(Duration::from_secs(120));
    tells_nothing(&asks, vec![get(&token, &old.mint())], reasons);

    // The lists above are of use only as long as they meet all there is.
    let at = |reason| Error::REASONS.iter().position(|it| *it == reason).expect("a reason");
    let of_proofs = &Error::REASONS[at("proof_missing")..=at("wrong_binding")];
    assert_eq!(*reasons, of_proofs.iter().copied().collect());
}

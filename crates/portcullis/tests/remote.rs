//! Policies whose issuers have their keys at an address.
#![cfg(feature = "remote-jwks")]
use core::future::Future;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use base64::prelude::*;
use portcullis::error::SignatureError;
use portcullis::fetch::{
    AddressFault, FetchFault, HttpClient, HttpFuture, HttpRequest, HttpResponse,
};
use portcullis::keys::remote::{KeyFetchFault, RemoteJwksError, RemoteJwksOptions};
use portcullis::keys::{KeyError, KeyFault, KeysUnavailable, MemberFault};
use portcullis::policy::PolicyFault;
use portcullis::{
    Algorithm, BuildError, Error, Issuer, KeySet, Keys, Policy, RemoteJwks, Secret, VerifiedToken,
};
use portcullis_testkit::{FixedClock, SigningKey, TestIssuer};
use serde_json::{Value, json};
use tokio::runtime;

use self::network::Network;

#[expect(unreachable_pub, reason = "other crates include it too")]
mod network;

use Algorithm::{ES256, HS256};

const NOW: i64 = 1_800_000_000;

/// Where the keys of [`issuer`] are.
const URL: &str = "https://id.example/keys";

/// What is not there, and may come.
const IN_DOUBT: Error = Error::Key(KeyError::Unavailable(KeysUnavailable::new()));

fn issuer() -> TestIssuer {
    named("https://id.example")
}

/// All call their first key `es256-1`.
fn named(name: &str) -> TestIssuer {
    // Rotations are not to be seen by other tests, whose issuers have the same name.
    TestIssuer::new(name).at(NOW).impostor()
}

fn trusted(issuer: &TestIssuer, keys: impl Into<Keys>) -> Issuer {
    Issuer::new(issuer.name()).algorithms([ES256]).keys(keys).audience(TestIssuer::AUDIENCE)
}

fn build(issuers: impl IntoIterator<Item = Issuer>) -> Result<Policy, BuildError> {
    let start = Policy::builder().clock(FixedClock::at(NOW));
    issuers.into_iter().fold(start, |all, one| all.issuer(one)).build()
}

fn policy(issuers: impl IntoIterator<Item = Issuer>) -> Policy {
    build(issuers).expect("a policy")
}

/// The keys at [`URL`].
fn keys_on(network: &Network) -> RemoteJwksOptions {
    RemoteJwks::url(URL).client(network.clone())
}

/// An issuer on the network, and a policy that trusts it.
fn one_issuer() -> (Network, TestIssuer, Policy) {
    let (network, issuer) = (Network::new(), issuer());
    network.serve_keys(URL, &issuer);
    let policy = policy([trusted(&issuer, keys_on(&network))]);
    (network, issuer, policy)
}

fn good(issuer: &TestIssuer) -> String {
    issuer.token(ES256).mint()
}

fn runtime() -> runtime::Runtime {
    runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// What comes of a token without waiting.
fn at_once(policy: &Policy, token: impl AsRef<[u8]>) -> Poll<Option<Error>> {
    let verifying = pin!(policy.verify_token(token));
    verifying.poll(&mut Context::from_waker(Waker::noop())).map(Result::err)
}

const PASSES: Poll<Option<Error>> = Poll::Ready(None);

const UNKNOWN: Poll<Option<Error>> = Poll::Ready(Some(Error::Key(KeyError::Unknown)));

/// Refused, until a second answer says that the key is gone.
fn is_in_doubt(outcome: &Poll<Option<Error>>) -> bool {
    matches!(outcome, Poll::Ready(Some(Error::Key(KeyError::Unavailable(_)))))
}

fn is_unavailable(error: Option<&Error>) -> bool {
    matches!(error, Some(Error::Key(KeyError::Unavailable(_))))
}

#[test]
fn a_policy_with_remote_keys_goes_wherever_one_without_goes() {
    fn goes<T: Send + Sync + 'static>(_: &T) {}
    let (_, issuer, policy) = one_issuer();
    goes(&policy);
    let token = good(&issuer);
    let waits = policy.verify_token(token);
    let is_send = |_: &(dyn Send + '_)| ();
    is_send(&waits);
}

#[tokio::test]
async fn keys_of_one_issuer_never_verify_another_though_their_ids_are_the_same() {
    let network = Network::new();
    let (left, right) = (named("https://left.example"), named("https://right.example"));
    let keys = |issuer: &TestIssuer| {
        network.publish(issuer);
        trusted(issuer, RemoteJwks::discovery().client(network.clone()))
    };
    let policy = policy([keys(&left), keys(&right)]);
    policy.keys_ready().await;
    for (signer, other) in [(&left, &right), (&right, &left)] {
        assert_eq!(signer.key(ES256).id(), other.key(ES256).id());
        assert_eq!(at_once(&policy, good(signer)), PASSES);
        let forged = signer.token(ES256).claim("iss", other.name());
        let refused = Poll::Ready(Some(Error::Signature(SignatureError::new())));
        assert_eq!(at_once(&policy, forged.mint()), refused);
        assert_eq!(at_once(&policy, forged.without_header("kid").mint()), refused);
    }
    // Nor is an id known that only the other has.
    right.rotate(ES256);
    for keys in policy.remote_keys() {
        keys.refresh_now().await.expect("the network is up");
    }
    assert_eq!(at_once(&policy, good(&right)), PASSES);
    let forged = right.token(ES256).claim("iss", left.name());
    assert_eq!(at_once(&policy, forged.mint()), UNKNOWN);
    // The metadata of both once, and their keys twice.
    assert_eq!(network.asked().len(), 6);
}

#[tokio::test]
async fn while_one_issuers_keys_cannot_be_had_the_others_are_served() {
    let network = Network::new();
    let (up, down) = (named("https://up.example"), named("https://down.example"));
    let keys = |issuer: &TestIssuer| {
        let url = format!("{}/keys", issuer.name());
        trusted(issuer, RemoteJwks::url(url).client(network.clone()))
    };
    let policy = policy([keys(&down), keys(&up)]);
    network.serve_keys("https://up.example/keys", &up);
    network.answer("https://down.example/keys", 500, "");
    assert!(is_unavailable(policy.verify_token(good(&down)).await.err().as_ref()));
    assert_eq!(policy.verify_token(good(&up)).await.err(), None);
    assert_eq!(at_once(&policy, good(&up)), PASSES);
    let serves = |keys: &RemoteJwks| (keys.issuer().to_owned(), keys.health().serves);
    let serve: Vec<_> = policy.remote_keys().iter().map(serves).collect();
    assert_eq!(serve, [(down.name().to_owned(), false), (up.name().to_owned(), true)]);
}

#[tokio::test]
async fn one_set_given_to_two_policies_is_fetched_once_and_both_see_a_rotation() {
    let (network, issuer) = (Network::new(), issuer());
    network.serve_keys(URL, &issuer);
    let keys = keys_on(&network).start_for(issuer.name()).unwrap();
    let policies = [(); 2].map(|()| policy([trusted(&issuer, keys.clone())]));
    let former = good(&issuer);
    let mut verified = Vec::new();
    for policy in &policies {
        verified.push(policy.verify_token(&former).await.expect("a good token"));
    }
    assert_eq!(network.asked(), [URL]);
    issuer.rotate(ES256);
    issuer.retire("es256-1");
    policies[1].remote_keys()[0].refresh_now().await.expect("the network is up");
    assert_eq!(network.asked(), [URL, URL]);
    for (policy, token) in policies.iter().zip(&verified) {
        assert_eq!(at_once(policy, good(&issuer)), PASSES);
        assert!(is_in_doubt(&at_once(policy, &former)));
        // Only another answer without it says that it is gone.
        assert_eq!(policy.recheck_now(token), Err(IN_DOUBT));
    }
    assert_eq!(keys.health().generation, 2);
}

#[tokio::test]
async fn a_key_that_is_gone_from_the_set_is_refused_with_the_next_request() {
    let (network, issuer, policy) = one_issuer();
    let stays = issuer.token(ES256).mint();
    let token = policy.verify_token(&stays).await.expect("a good token");
    issuer.rotate(ES256);
    let refresh = || async { policy.remote_keys()[0].refresh_now().await.expect("it is up") };
    // The set has both.
    refresh().await;
    assert_eq!(at_once(&policy, &stays), PASSES);
    assert_eq!(policy.recheck_now(&token), Ok(()));
    issuer.retire("es256-1");
    assert_eq!(at_once(&policy, &stays), PASSES);
    refresh().await;
    assert!(is_in_doubt(&at_once(&policy, &stays)));
    assert_eq!(policy.recheck_now(&token), Err(IN_DOUBT));
    // What verified under the key that stays does not suffer.
    let after = policy.verify_token(good(&issuer)).await.expect("a good token");
    refresh().await;
    assert_eq!(at_once(&policy, &stays), UNKNOWN);
    assert_eq!(policy.recheck(&token).await, Err(Error::Key(KeyError::Withdrawn)));
    assert_eq!(policy.recheck_now(&after), Ok(()));
    assert_eq!(network.asked().len(), 4);
}

#[tokio::test]
async fn a_failed_fetch_takes_no_key_away() {
    let (network, issuer, policy) = one_issuer();
    let token = policy.verify_token(good(&issuer)).await.expect("a good token");
    let keys = &policy.remote_keys()[0];
    for (status, text) in [(500, ""), (404, ""), (200, ""), (200, "{}"), (200, r#"{"keys":[]}"#)] {
        network.answer(URL, status, text);
        assert!(keys.refresh_now().await.is_err(), "{status} {text}");
        assert_eq!(at_once(&policy, good(&issuer)), PASSES, "{status} {text}");
        assert_eq!(policy.recheck_now(&token), Ok(()), "{status} {text}");
    }
    assert_eq!(keys.health().failures, 5);
}

#[tokio::test]
async fn a_bad_signature_under_a_known_key_id_never_causes_a_fetch() {
    let (network, issuer, policy) = one_issuer();
    policy.remote_keys()[0].refresh_now().await.expect("the network is up");
    let forger = issuer.impostor();
    for _ in 0..1_000 {
        let forged = good(&forger);
        let refused = Poll::Ready(Some(Error::Signature(SignatureError::new())));
        assert_eq!(at_once(&policy, forged), refused);
    }
    let health = policy.remote_keys()[0].health();
    assert_eq!((network.asked().len(), health.throttled), (1, 0));
}

#[tokio::test]
async fn a_token_with_a_new_key_waits_for_the_end_of_the_cool_down_and_passes() {
    let (network, issuer) = (Network::new(), issuer());
    network.serve_keys(URL, &issuer);
    let keys = keys_on(&network).cool_down(Duration::from_secs(1));
    let policy = policy([trusted(&issuer, keys)]);
    assert_eq!(policy.verify_token(good(&issuer)).await.err(), None);
    issuer.rotate(ES256);
    assert_eq!(policy.verify_token(good(&issuer)).await.err(), None);
    assert_eq!(network.asked(), [URL, URL]);
}

#[tokio::test]
async fn a_key_in_memory_is_not_waited_for_and_a_fetched_one_is_found_beside_it() {
    let (network, issuer) = (Network::new(), issuer());
    network.serve_keys(URL, &issuer);
    let other = SigningKey::generate(ES256);
    // Without an id: a candidate for every token.
    let pem = KeySet::from_pem(other.public_pem().expect("a key pair")).expect("a public key");
    let policy = policy([trusted(&issuer, Keys::from(pem).and(keys_on(&network)))]);
    let ours = issuer.token(ES256).signed_by(&other).without_header("kid").mint();
    assert_eq!(at_once(&policy, &ours), PASSES);
    assert_eq!(network.asked().len(), 0);
    // That key does not verify it, and the one that it names is not there yet.
    network.hold();
    assert_eq!(at_once(&policy, good(&issuer)), Poll::Pending);
    network.release();
    assert_eq!(policy.verify_token(good(&issuer)).await.err(), None);
    assert_eq!(at_once(&policy, &ours), PASSES);
    let forged = good(&issuer.impostor());
    let refused = Poll::Ready(Some(Error::Signature(SignatureError::new())));
    assert_eq!(at_once(&policy, forged), refused);
    let unknown = issuer.impostor().token(ES256).key_id("unknown").mint();
    assert_eq!(at_once(&policy, unknown), refused);
    assert_eq!(network.asked(), [URL]);
}

#[tokio::test]
async fn who_stops_waiting_gives_the_place_to_another() {
    let (network, issuer) = (Network::new(), issuer());
    network.serve_keys(URL, &issuer);
    network.hold();
    let policy = policy([trusted(&issuer, keys_on(&network).max_waiting_without_keys(1))]);
    let token = good(&issuer);
    let poll = |verifying: core::pin::Pin<
        &mut dyn Future<Output = Result<VerifiedToken, Error>>,
    >| { verifying.poll(&mut Context::from_waker(Waker::noop())).map(Result::err) };
    let mut first = Box::pin(policy.verify_token(&token));
    assert_eq!(poll(first.as_mut()), Poll::Pending);
    let in_a_second = KeysUnavailable::new().with_retry_after(Some(Duration::from_secs(1)));
    let full = Poll::Ready(Some(KeyError::Unavailable(in_a_second).into()));
    assert_eq!(at_once(&policy, &token), full);
    drop(first);
    let mut second = Box::pin(policy.verify_token(&token));
    assert_eq!(poll(second.as_mut()), Poll::Pending);
    assert_eq!(at_once(&policy, &token), full);
    network.release();
    assert_eq!(second.await.err(), None);
    assert_eq!(network.asked(), [URL]);
}

#[tokio::test]
async fn verifying_at_once_never_waits_and_has_the_keys_fetched() {
    let (network, issuer, policy) = one_issuer();
    network.hold();
    let unavailable = Some(KeyError::Unavailable(KeysUnavailable::default()).into());
    assert_eq!(policy.verify_token_now(good(&issuer)).err(), unavailable);
    network.release();
    policy.keys_ready().await;
    assert_eq!(policy.verify_token_now(good(&issuer)).err(), None);
    let unknown = issuer.token(ES256).key_id("unknown").mint();
    assert_eq!(policy.verify_token_now(unknown).err(), Some(KeyError::Unknown.into()));
    assert_eq!(network.asked(), [URL]);
}

#[tokio::test]
async fn a_policy_is_ready_however_often_that_takes_a_new_try() {
    let (network, issuer) = (Network::new(), issuer());
    let soon = Duration::from_millis(100);
    let keys = keys_on(&network).first_retry(soon).max_retry(soon);
    let policy = policy([trusted(&issuer, keys)]);
    let mut ready = pin!(policy.keys_ready());
    assert!(ready.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    network.wait_for(URL, 2).await;
    network.serve_keys(URL, &issuer);
    ready.await;
    assert_eq!(at_once(&policy, good(&issuer)), PASSES);
}

#[test]
fn keys_that_are_loaded_at_start_are_there_when_the_policy_is() {
    let (network, issuer) = (Network::new(), issuer());
    network.serve_keys(URL, &issuer);
    let build = || policy([trusted(&issuer, keys_on(&network).load_at_start())]);
    // Outside any runtime, and where one is blocked by it.
    for policy in [build(), runtime().block_on(async { build() })] {
        assert_eq!(policy.verify_token_now(good(&issuer)).err(), None);
    }
    assert_eq!(network.asked(), [URL, URL]);
}

#[test]
fn a_policy_whose_first_fetch_fails_is_refused_if_it_asked_for_that() {
    let (network, issuer) = (Network::new(), issuer());
    network.answer(URL, 500, "");
    let error = build([trusted(&issuer, keys_on(&network).load_at_start())]).unwrap_err();
    let [PolicyFault::RemoteKeys { issuer: name, error: RemoteJwksError::FirstFetch(fetch) }] =
        error.faults()
    else {
        panic!("{error}")
    };
    assert_eq!((name.as_str(), fetch.url()), (issuer.name(), URL));
    assert_eq!(*fetch.fault(), KeyFetchFault::Fetch(FetchFault::Status { status: 500 }));
    assert_eq!(
        error.to_string(),
        "the policy is refused:\n  - issuer `https://id.example`: https://id.example/keys: the server answered with status 500"
    );
    assert_eq!(network.asked(), [URL]);
    // Without being asked, it is built: the server may come.
    assert!(build([trusted(&issuer, keys_on(&network))]).is_ok());
}

#[tokio::test]
async fn a_failed_fetch_says_where_and_why() {
    let network = Network::new();
    let url = "https://id.example/keys?api-key=secret";
    let keys = RemoteJwks::url(url).client(network.clone()).start_for("https://id.example");
    let keys = keys.unwrap();
    for (status, text, expected) in [
        (500, "", "the server answered with status 500"),
        (
            302,
            "",
            "the server redirects (302), which is not followed: configure the address that it redirects to",
        ),
        (
            308,
            "",
            "the server redirects (308), which is not followed: configure the address that it redirects to",
        ),
        // Nobody asked whether the set has changed.
        (304, "", "the server answered with status 304"),
        (200, "<html>", "this is HTML or XML, and a JSON object is needed"),
        (200, "{}", "this is not a JWK set: it has no array `keys`"),
        (200, r#"{"keys":[]}"#, "there is no usable key"),
        (
            200,
            r#"{"keys":[{"kty":"x"}]}"#,
            "there is no usable key: key 0: its key type or curve is not supported",
        ),
    ] {
        network.answer(url, status, text);
        let error = keys.refresh_now().await.expect_err("a failure");
        assert_eq!(error.to_string(), format!("https://id.example/keys: {expected}"));
        assert_eq!(keys.health().last_error, Some(error));
    }
    let long = format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(256 * 1024));
    network.answer(url, 200, long);
    let error = keys.refresh_now().await.expect_err("a failure");
    let expected = "https://id.example/keys: the answer has more than the 262144 bytes allowed";
    assert_eq!(error.to_string(), expected);
}

/// Sets of keys that nobody may use.
fn hostile_keys() -> Vec<(Value, KeyFault)> {
    let key = SigningKey::generate(ES256).public_jwk().expect("a key pair");
    let with = |member: &str, value: Value| {
        let mut key = key.clone();
        key[member] = value;
        key
    };
    let secret = BASE64_URL_SAFE_NO_PAD.encode(SECRET);
    let oct = json!({ "kty": "oct", "k": secret, "alg": "HS256", "kid": "hs" });
    vec![
        (oct, KeyFault::PrivateMember { member: "k" }),
        (with("d", "AA".into()), KeyFault::PrivateMember { member: "d" }),
        (with("k", secret.clone().into()), KeyFault::PrivateMember { member: "k" }),
        (with("alg", "none".into()), KeyFault::UnknownAlgorithm),
        (with("alg", "HS256".into()), KeyFault::AlgorithmMismatch { algorithm: HS256 }),
        (with("alg", "RS256".into()), KeyFault::AlgorithmMismatch { algorithm: Algorithm::RS256 }),
        (with("use", "enc".into()), KeyFault::NotForSignatures),
        (with("kid", "k".repeat(1025).into()), KeyFault::KeyId),
        (
            with("x", "AA".into()),
            KeyFault::Malformed {
                member: "x",
                fault: MemberFault::Length { curve: "P-256", needed: 32, found: 1 },
            },
        ),
        (
            json!({ "kty": "EC", "crv": "P-256", "jku": "https://evil.example/keys" }),
            KeyFault::Missing { member: "x" },
        ),
        (
            json!({ "kty": "RSA", "x5u": "https://evil.example/chain", "x5c": ["AA=="] }),
            KeyFault::Malformed { member: "x5c", fault: MemberFault::Certificate },
        ),
    ]
}

const SECRET: [u8; 32] =
    *b"\x8f\x1b\x93\xd0\x62\xa7\x3c\xee\x05\x48\xf9\x7d\x21\xb6\xc4\x0e\x9a\x57\xe3\x6c\x10\xd8\x2f\x84\xbb\x4e\x71\xa9\x36\xfd\xc2\x15";

#[tokio::test]
async fn a_hostile_set_brings_no_key() {
    let (network, issuer) = (Network::new(), issuer());
    let ours = SECRET.map(|byte| byte ^ 0x55);
    let keys = Keys::from(Secret::new(ours)).and(keys_on(&network));
    let trusted = Issuer::new(issuer.name()).algorithms([ES256, HS256]);
    let policy = policy([trusted.keys(keys).audience(TestIssuer::AUDIENCE)]);
    let remote = &policy.remote_keys()[0];
    let published = SigningKey::from_secret(HS256, SECRET).with_id("hs");
    let forged = issuer.token(HS256).signed_by(&published).mint();
    let refused = |policy: &Policy| {
        let refused = policy.verify_token_now(&forged).err();
        assert_eq!(refused, Some(Error::Signature(SignatureError::new())));
    };
    let all = hostile_keys();
    for (key, fault) in &all {
        network.answer(URL, 200, json!({ "keys": [key] }).to_string());
        let error = remote.refresh_now().await.expect_err("no key");
        let expected = KeyFault::NoUsableKey { skipped: vec![(0, fault.clone())] };
        assert_eq!(*error.fault(), KeyFetchFault::Keys(expected), "{key}");
        assert_eq!(remote.health().keys, 0, "{key}");
        assert!(is_unavailable(policy.verify_token_now(&forged).err().as_ref()), "{key}");
    }
    // Beside a good one they bring nothing either, and members that point elsewhere lead nowhere.
    let mut own = issuer.key(ES256).public_jwk().expect("a key pair");
    for member in ["jku", "x5u"] {
        own[member] = "https://evil.example/keys".into();
    }
    let mut keys: Vec<_> = all.iter().map(|(key, _)| key.clone()).collect();
    keys.push(own);
    network.answer(URL, 200, json!({ "keys": keys }).to_string());
    remote.refresh_now().await.expect("one usable key");
    let health = remote.health();
    assert_eq!((health.keys, health.skipped.len()), (1, all.len()));
    let faults: Vec<_> = health.skipped.into_iter().map(|skipped| skipped.fault).collect();
    assert_eq!(faults, all.iter().map(|(_, fault)| fault.clone()).collect::<Vec<_>>());
    assert_eq!(at_once(&policy, good(&issuer)), PASSES);
    refused(&policy);
    assert!(network.asked().iter().all(|url| url == URL));
}

#[tokio::test]
async fn two_keys_of_one_id_are_both_tried_and_more_than_four_are_refused() {
    let (network, issuer) = (Network::new(), issuer());
    let keys: Vec<_> = (0..5).map(|_| SigningKey::generate(ES256).with_id("same")).collect();
    let publish = |count: usize| {
        let keys: Vec<_> = keys[..count].iter().map(|key| key.public_jwk()).collect();
        network.answer(URL, 200, json!({ "keys": keys }).to_string());
    };
    let policy = policy([trusted(&issuer, keys_on(&network))]);
    let token = |at: usize| issuer.token(ES256).signed_by(&keys[at]).mint();
    for count in [2, 4] {
        publish(count);
        policy.remote_keys()[0].refresh_now().await.expect("usable keys");
        for at in 0..count {
            assert_eq!(at_once(&policy, token(at)), PASSES, "{at} of {count}");
        }
        let refused = Poll::Ready(Some(Error::Signature(SignatureError::new())));
        assert_eq!(at_once(&policy, token(4)), refused);
    }
    publish(5);
    policy.remote_keys()[0].refresh_now().await.expect("usable keys");
    let refused = Poll::Ready(Some(Error::Key(KeyError::TooMany)));
    assert_eq!(at_once(&policy, token(0)), refused);
}

/// Panics when it is first asked.
#[derive(Debug)]
struct Fragile {
    times: AtomicUsize,
    network: Network,
}

impl HttpClient for Fragile {
    fn get(&self, request: HttpRequest) -> HttpFuture {
        match self.times.fetch_add(1, Ordering::SeqCst) {
            0 => panic!("a bug of the client's"),
            1 => Box::pin(async { panic!("another") }),
            2 => Box::pin(async {
                // More than was asked for.
                Ok(HttpResponse::new(200, vec![b' '; 300_000]))
            }),
            _ => self.network.get(request),
        }
    }
}

#[tokio::test]
async fn a_client_that_panics_has_failed_and_is_asked_again() {
    let (network, issuer) = (Network::new(), issuer());
    network.serve_keys(URL, &issuer);
    let client = Fragile { times: AtomicUsize::new(0), network };
    let policy = policy([trusted(&issuer, RemoteJwks::url(URL).client(client))]);
    let keys = &policy.remote_keys()[0];
    let fault = |error: &portcullis::keys::remote::KeyFetchError| error.fault().clone();
    let refused = policy.verify_token(good(&issuer)).await.err();
    assert!(is_unavailable(refused.as_ref()), "{refused:?}");
    assert_eq!(keys.health().last_error.as_ref().map(fault), Some(KeyFetchFault::Panicked));
    let error = keys.refresh_now().await.expect_err("another panic");
    assert_eq!(fault(&error), KeyFetchFault::Panicked);
    let error = keys.refresh_now().await.expect_err("too much");
    assert_eq!(fault(&error), KeyFetchFault::Fetch(FetchFault::TooLarge { allowed: 256 * 1024 }));
    keys.refresh_now().await.expect("a good fetch");
    assert_eq!(at_once(&policy, good(&issuer)), PASSES);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_by_name_and_reason() {
    let issuer = issuer();
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/keys");
    let policy = policy([trusted(&issuer, RemoteJwks::url(&url))]);
    let refused = policy.verify_token(good(&issuer)).await.err();
    assert!(is_unavailable(refused.as_ref()), "{refused:?}");
    let health = policy.remote_keys()[0].health();
    let error = health.last_error.expect("a failure");
    let KeyFetchFault::Fetch(FetchFault::Connection(reason)) = error.fault() else {
        panic!("{error}")
    };
    assert!(reason.contains("refused"), "{reason}");
    assert!(!reason.contains("/keys"), "the address is said once: {error}");
    assert_eq!(error.to_string(), format!("{url}: {reason}"));
    assert_eq!((health.serves, health.failures), (false, 1));
}

#[test]
fn keys_outlive_the_runtime_in_which_they_were_first_used() {
    // Built where no runtime is.
    let (network, issuer, policy) = one_issuer();
    let first = runtime();
    assert_eq!(first.block_on(policy.verify_token(good(&issuer))).err(), None);
    drop(first);
    let former = good(&issuer);
    issuer.rotate(ES256);
    issuer.retire("es256-1");
    // As a worker of actix-web has it: a thread and a runtime of its own.
    let worker = {
        let policy = policy.clone();
        move || runtime().block_on(async { policy.remote_keys()[0].refresh_now().await })
    };
    thread::spawn(worker).join().expect("no panic").expect("the network is up");
    assert_eq!(at_once(&policy, good(&issuer)), PASSES);
    assert!(is_in_doubt(&at_once(&policy, former)));
    assert_eq!(network.asked(), [URL, URL]);
}

#[test]
fn requests_of_several_runtimes_wait_for_one_fetch() {
    let (network, issuer, policy) = one_issuer();
    network.hold();
    let is_waiting = Arc::new(std::sync::Barrier::new(5));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (policy, is_waiting) = (policy.clone(), Arc::clone(&is_waiting));
            let token = good(&issuer);
            thread::spawn(move || {
                runtime().block_on(async {
                    let mut verifying = pin!(policy.verify_token(&token));
                    let first = verifying.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    is_waiting.wait();
                    assert!(first.is_pending());
                    verifying.await.err()
                })
            })
        })
        .collect();
    is_waiting.wait();
    network.release();
    for worker in workers {
        assert_eq!(worker.join().expect("no panic"), None);
    }
    assert_eq!(network.asked(), [URL]);
}

/// How many threads of this process fetch keys, and perhaps some that the test kit starts from
/// there to make keys: they have the name of the one that fetches at first, and end soon.
#[cfg(target_os = "linux")]
fn fetching_threads() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux has it");
    // A thread may end while it is looked at.
    let names = threads.flatten().map(|thread| std::fs::read_to_string(thread.path().join("comm")));
    names.flatten().filter(|name| name.trim_end() == "portcullis-jwks").count()
}

#[cfg(target_os = "linux")]
#[track_caller]
fn assert_comes_to_fetch(threads: usize) {
    let end = Instant::now() + Duration::from_secs(30);
    while fetching_threads() != threads {
        assert!(Instant::now() < end, "{} threads and not {threads}", fetching_threads());
        thread::yield_now();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_thread_that_fetches_ends_with_the_last_policy() {
    const NAME: &str = "the_thread_that_fetches_ends_with_the_last_policy";
    const ALONE: &str = "PORTCULLIS_TEST_IS_ALONE";
    if std::env::var_os(ALONE).is_none() {
        // In a process of its own: the policies of other tests hold the thread.
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let output = alone.args(["--exact", NAME, "--nocapture"]).env(ALONE, "").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
        return;
    }
    assert_eq!(fetching_threads(), 0);
    let (network, issuer, first) = one_issuer();
    assert_comes_to_fetch(1);
    let second = policy([trusted(&issuer, keys_on(&network))]);
    let clone = second.clone();
    for policy in [&first, &second] {
        assert_eq!(runtime().block_on(policy.verify_token(good(&issuer))).err(), None);
    }
    // One for all, and as long as one of them is there.
    assert_comes_to_fetch(1);
    drop(first);
    drop(second);
    assert_eq!(runtime().block_on(clone.remote_keys()[0].refresh_now()), Ok(()));
    assert_comes_to_fetch(1);
    // Not even a fetch that hangs holds it.
    network.hold();
    let mut refresh = Box::pin({
        let keys = clone.remote_keys().remove(0);
        async move { keys.refresh_now().await }
    });
    assert!(refresh.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    runtime().block_on(network.wait_for(URL, 4));
    drop(clone);
    assert_comes_to_fetch(1);
    drop(refresh);
    assert_comes_to_fetch(0);
    // And another begins.
    network.release();
    let policy = policy([trusted(&issuer, keys_on(&network))]);
    assert_eq!(runtime().block_on(policy.verify_token(good(&issuer))).err(), None);
    assert_comes_to_fetch(1);
    drop(policy);
    assert_comes_to_fetch(0);
}

/// A proxy that gives one answer to the first request, whatever it is, and tells that request's first line.
fn proxy(answer: String) -> io::Result<(String, thread::JoinHandle<io::Result<String>>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}", listener.local_addr()?);
    let seen = thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
        stream.write_all([head, answer].concat().as_bytes())?;
        Ok(first)
    });
    Ok((address, seen))
}

#[test]
fn keys_are_fetched_through_the_proxy_that_was_named() {
    let issuer = issuer();
    let (address, seen) = proxy(issuer.jwks_of(&[ES256])).unwrap();
    let keys = RemoteJwks::url("http://keys.invalid/jwks")
        .allow_http(portcullis::dangerous::allow_http("keys.invalid"))
        .proxy(address);
    let policy = policy([trusted(&issuer, keys)]);
    assert_eq!(runtime().block_on(policy.verify_token(good(&issuer))).err(), None);
    assert_eq!(seen.join().unwrap().unwrap(), "GET http://keys.invalid/jwks HTTP/1.1");
}

#[test]
fn a_proxy_gets_a_tunnel_to_keys_behind_tls_and_not_the_keys() {
    // Whatever it answers is no TLS.
    let (address, seen) = proxy(issuer().jwks_of(&[ES256])).unwrap();
    let keys = RemoteJwks::url("https://keys.invalid/jwks").proxy(address);
    let keys = keys.start_for("https://id.example").unwrap();
    let error = runtime().block_on(keys.refresh_now()).unwrap_err();
    assert!(matches!(error.fault(), KeyFetchFault::Fetch(FetchFault::Connection(_))), "{error}");
    assert_eq!(seen.join().unwrap().unwrap(), "CONNECT keys.invalid:443 HTTP/1.1");
}

#[test]
fn an_issuer_is_not_discovered_by_the_address_of_its_metadata_or_with_braces() {
    for (id, fault) in [
        ("https://id.example/.well-known/openid-configuration", AddressFault::Metadata),
        ("https://id.example/{tenantid}/v2.0", AddressFault::Tenant),
    ] {
        let error = RemoteJwks::discovery().start_for(id).unwrap_err();
        assert_eq!(error, RemoteJwksError::Address { address: id.to_owned(), fault });
        // The policy says it once, of the name.
        let issuer = trusted(&named(id), RemoteJwks::discovery());
        let faults = build([issuer]).unwrap_err();
        let [PolicyFault::MetadataAddress { .. } | PolicyFault::Braces { .. }] = faults.faults()
        else {
            panic!("{faults}")
        };
    }
}

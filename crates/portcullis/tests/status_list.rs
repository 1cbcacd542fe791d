//! Tokens whose issuer says in a list whether it took them back: over real sockets, through the HTTP
//! client that policies have unless they are given another.
#![cfg(all(feature = "remote-jwks", feature = "status-list"))]
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io::Write;
use std::sync::{Arc, Mutex};

use base64::prelude::*;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use portcullis::error::{
    ClaimsError, RevocationError, RevocationUnavailable, SignatureError, TokenError, TypeName,
};
use portcullis::fetch::{
    AddressFault, FetchFault, HttpClient, HttpFuture, HttpRequest, SettingFault,
};
use portcullis::keys::KeyError;
use portcullis::policy::PolicyFault;
use portcullis::revocation::{RevocationSource, RevocationStatus};
use portcullis::status_list::{StatusListFault, StatusListsError};
use portcullis::{
    Algorithm, Error, Issuer, KeySet, Policy, PolicyBuilder, RemoteJwks, StatusLists,
    VerifiedToken, dangerous,
};
use portcullis_testkit::key_server::{Answer, KeyServer};
use portcullis_testkit::{FixedClock, TestIssuer, TokenBuilder};
use serde_json::{Value, json};
use tokio::sync::watch;

use Algorithm::ES256;

const NOW: i64 = 1_800_000_000;
const PATH: &str = "/statuslists/1";
const MEDIA_TYPE: &str = "application/statuslist+jwt";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// What a list has here, unless it is told otherwise.
const TTL: Duration = Duration::from_secs(300);

/// 401.
const REVOKED: Error = Error::Revocation(RevocationError::Revoked);
/// 401.
const MALFORMED: Error = Error::Token(TokenError::ClaimType { claim: "status" });

/// 503, with `Retry-After`.
fn unavailable(seconds: u64) -> Error {
    let retry_after = Some(Duration::from_secs(seconds));
    Error::Revocation(RevocationError::Unavailable(
        RevocationUnavailable::new().with_retry_after(retry_after),
    ))
}

/// A server with lists, an issuer of that origin, and a policy that asks.
struct Scene {
    server: KeyServer,
    clock: FixedClock,
    issuer: TestIssuer,
    policy: Policy,
    faults: Faults,
}

/// Why lists could not be had.
#[derive(Clone, Default)]
struct Faults(Arc<watch::Sender<Vec<StatusListFault>>>);

impl Faults {
    fn watch(&self, lists: StatusLists) -> StatusLists {
        let all = self.clone();
        lists.on_failure(move |error| {
            all.0.send_modify(|faults| faults.push(error.fault().clone()));
        })
    }

    /// All since the last call.
    fn take(&self) -> Vec<StatusListFault> {
        self.0.send_replace(Vec::new())
    }

    /// Waits for one, and takes it.
    async fn came(&self) -> Vec<StatusListFault> {
        let mut all = self.0.subscribe();
        all.wait_for(|all| !all.is_empty()).await.expect("the other end is in `self`");
        drop(all);
        self.take()
    }
}

impl Scene {
    fn new() -> Self {
        Self::with(StatusLists::new())
    }

    fn with(lists: StatusLists) -> Self {
        let (server, clock, faults) = (KeyServer::start(), FixedClock::at(NOW), Faults::default());
        let issuer = TestIssuer::new(server.origin()).clock(clock.clone());
        let policy = trusting([&issuer], &clock).status_lists(faults.watch(lists)).build();
        Self { server, clock, issuer, policy: policy.expect("a good policy"), faults }
    }

    fn uri(&self) -> String {
        self.server.url(PATH)
    }

    /// A good access token with this place of the list.
    fn token(&self, index: u64) -> TokenBuilder {
        listed(&self.issuer, index, &self.uri())
    }

    /// Publishes a list of these statuses, of 8 bits each.
    fn publish(&self, statuses: &[u8]) {
        self.serve(&self.list(statuses));
    }

    fn list(&self, statuses: &[u8]) -> TokenBuilder {
        list(&self.issuer, &self.uri(), 8, statuses)
    }

    fn serve(&self, list: &TokenBuilder) {
        serve(&self.server, PATH, list);
    }

    /// What comes of a new token with this place.
    async fn outcome(&self, index: u64) -> Option<Error> {
        self.policy.verify_token(self.token(index).mint()).await.err()
    }

    /// The token is not let in, as by the server's fault, and for this reason.
    async fn fails(&self, fault: StatusListFault) {
        let error = self.outcome(0).await;
        assert_eq!(error, Some(unavailable(1)), "{fault}");
        assert_eq!(self.faults.take(), [fault]);
    }
}

fn trusting<'a>(
    issuers: impl IntoIterator<Item = &'a TestIssuer>,
    clock: &FixedClock,
) -> PolicyBuilder {
    let start = Policy::builder().clock(clock.clone());
    issuers.into_iter().fold(start, |all, issuer| {
        all.issuer(
            Issuer::new(issuer.name())
                .algorithms([ES256])
                .keys(KeySet::from_jwks(issuer.jwks_of(&[ES256])).expect("a set"))
                .audience(TestIssuer::AUDIENCE),
        )
    })
}

fn listed(issuer: &TestIssuer, index: u64, uri: &str) -> TokenBuilder {
    let status = json!({ "status_list": { "idx": index, "uri": uri } });
    issuer.token(ES256).expires_in(60 * MINUTE).claim("status", status)
}

fn list(issuer: &TestIssuer, uri: &str, bits: u8, bytes: &[u8]) -> TokenBuilder {
    let token = issuer.token(ES256).typ("statuslist+jwt").subject(uri).claim("ttl", TTL.as_secs());
    let token = ["aud", "client_id", "exp", "jti"].iter().fold(token, |token, c| token.without(c));
    token.claim("status_list", json!({ "bits": bits, "lst": lst(bytes) }))
}

fn lst(bytes: &[u8]) -> String {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    BASE64_URL_SAFE_NO_PAD.encode(encoder.finish().expect("memory"))
}

fn answer(list: &TokenBuilder) -> Answer {
    Answer::json(list.mint()).header("content-type", MEDIA_TYPE)
}

fn serve(server: &KeyServer, path: &str, list: &TokenBuilder) {
    server.answer(path, answer(list));
}

/// What comes of a future without waiting.
fn poll<T>(future: &mut Pin<Box<impl Future<Output = T>>>) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// The status of the response to a request with this token, and its `Retry-After`.
async fn response(policy: &Policy, token: &str) -> (u16, Option<String>) {
    let request = http::Request::get("https://api.example/")
        .header("authorization", format!("Bearer {token}"))
        .body(())
        .expect("a request");
    match policy.verify(&request).await {
        Ok(_) => (200, None),
        Err(rejection) => {
            let refusal = rejection.refusal();
            let retry = refusal.headers().find(|(name, _)| *name == "retry-after");
            let retry = retry.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
            (refusal.status(), retry)
        }
    }
}

#[tokio::test]
async fn a_token_passes_only_while_its_status_is_valid() {
    let scene = Scene::new();
    scene.publish(&[0, 1, 2, 3, 15, 255]);
    assert_eq!(scene.outcome(0).await, None);
    // INVALID, SUSPENDED, of an application's own, reserved.
    for index in 1..6 {
        assert_eq!(scene.outcome(index).await, Some(REVOKED), "{index}");
    }
    assert_eq!(response(&scene.policy, &scene.token(0).mint()).await, (200, None));
    assert_eq!(response(&scene.policy, &scene.token(1).mint()).await, (401, None));
    assert_eq!(scene.server.hits(PATH), 1);
    assert_eq!(scene.faults.take(), []);
}

#[tokio::test]
async fn each_size_of_status_is_read() {
    for (bits, byte, expected) in [
        (1, 0b1010_0110, vec![0, 1, 1, 0, 0, 1, 0, 1]),
        (2, 0b1100_1001, vec![1, 1, 0, 1]),
        (4, 0b1111_0000, vec![0, 1]),
        (8, 0b1000_0000, vec![1]),
    ] {
        let scene = Scene::new();
        scene.serve(&list(&scene.issuer, &scene.uri(), bits, &[byte]));
        for (index, is_revoked) in (0..).zip(expected) {
            let error = (is_revoked == 1).then_some(REVOKED);
            assert_eq!(scene.outcome(index).await, error, "{bits} bits, {index}");
        }
    }
}

#[tokio::test]
async fn a_place_behind_the_end_of_the_list_counts_as_revoked() {
    let scene = Scene::new();
    scene.publish(&[0; 8]);
    assert_eq!(scene.outcome(7).await, None);
    for index in [8, 9, 64, u64::MAX / 8, i64::MAX as u64, u64::MAX] {
        assert_eq!(scene.outcome(index).await, Some(REVOKED), "{index}");
    }
}

#[tokio::test]
async fn a_token_that_names_no_list_passes_unless_one_is_required() {
    let without = |scene: &Scene| scene.issuer.token(ES256);
    let scene = Scene::new();
    for token in [
        without(&scene),
        without(&scene).claim("status", json!({})),
        without(&scene).claim("status", Value::Null),
        without(&scene).claim("status", json!({ "identifier_list": { "id": "1" } })),
    ] {
        assert_eq!(scene.policy.verify_token(token.mint()).await.err(), None);
    }
    let scene = Scene::with(StatusLists::new().required());
    scene.publish(&[0]);
    let missing = Some(Error::Claims(ClaimsError::Missing { claim: "status" }));
    for token in [
        without(&scene),
        without(&scene).claim("status", json!({})),
        without(&scene).claim("status", Value::Null),
        without(&scene).claim("status", json!({ "identifier_list": { "id": "1" } })),
    ] {
        assert_eq!(scene.policy.verify_token(token.mint()).await.err(), missing);
        assert_eq!(response(&scene.policy, &token.mint()).await.0, 401);
    }
    assert_eq!(scene.server.all_hits(), 0);
    assert_eq!(scene.outcome(0).await, None);
}

#[tokio::test]
async fn a_malformed_claim_is_the_tokens_fault_and_nothing_is_fetched() {
    let scene = Scene::new();
    scene.publish(&[0]);
    let uri = scene.uri();
    for status in [
        json!("x"),
        json!([]),
        json!({ "status_list": [] }),
        json!({ "status_list": {} }),
        json!({ "status_list": { "uri": uri } }),
        json!({ "status_list": { "idx": 0 } }),
        json!({ "status_list": { "idx": -1, "uri": uri } }),
        json!({ "status_list": { "idx": 0.0, "uri": uri } }),
        json!({ "status_list": { "idx": 0.5, "uri": uri } }),
        json!({ "status_list": { "idx": 1e300, "uri": uri } }),
        json!({ "status_list": { "idx": "0", "uri": uri } }),
        json!({ "status_list": { "idx": null, "uri": uri } }),
        json!({ "status_list": { "idx": 0, "uri": 0 } }),
        json!({ "status_list": { "idx": 0, "uri": "" } }),
        json!({ "status_list": { "idx": 0, "uri": format!("{uri}\r\nx") } }),
        json!({ "status_list": { "idx": 0, "uri": format!("{uri}?{}", "x".repeat(2048)) } }),
    ] {
        let token = scene.issuer.token(ES256).claim("status", status.clone()).mint();
        assert_eq!(scene.policy.verify_token(&token).await.err(), Some(MALFORMED), "{status}");
        assert_eq!(response(&scene.policy, &token).await, (401, None), "{status}");
    }
    // A member that is there twice is malformed JSON to every policy.
    let twice = scene.token(0).raw_payload(format!(
        r#"{{"iss":"{0}","aud":"{1}","exp":{2},"status":{{"status_list":{{"idx":0,"idx":1,"uri":"{0}/"}}}}}}"#,
        scene.issuer.name(),
        TestIssuer::AUDIENCE,
        NOW + 60
    ));
    let error = scene.policy.verify_token(twice.mint()).await.expect_err("it is refused");
    assert_eq!(error.reason(), "malformed");
    assert_eq!(scene.server.all_hits(), 0);
}

#[tokio::test]
async fn a_policy_that_asks_no_lists_does_not_look_at_the_claim() {
    let scene = Scene::new();
    let policy = trusting([&scene.issuer], &scene.clock).build().expect("a good policy");
    for status in [json!("x"), json!({ "status_list": { "idx": 1, "uri": scene.uri() } })] {
        let token = scene.issuer.token(ES256).claim("status", status).mint();
        assert_eq!(policy.verify_token_now(&token).err(), None);
    }
    assert_eq!(scene.server.all_hits(), 0);
}

#[tokio::test]
async fn nothing_is_fetched_for_a_token_that_does_not_verify() {
    let scene = Scene::new();
    scene.publish(&[0]);
    let forger = scene.issuer.impostor();
    for token in [
        scene.token(0).signed_by(forger.key(ES256)).key_id("es256-1"),
        scene.token(0).expired(),
        scene.token(0).audience("https://other.example"),
        scene.token(0).typ("JWS"),
        scene.token(0).claim("iss", "https://other.example"),
        scene.token(0).claim("nbf", NOW + 3600),
        scene.token(0).claim("cnf", json!({})),
        scene.token(0).claim("events", json!({})),
    ] {
        let error = scene.policy.verify_token(token.mint()).await.expect_err("it is refused");
        assert!(!matches!(error, Error::Revocation(_)), "{error}");
    }
    assert_eq!(scene.server.all_hits(), 0);
}

#[tokio::test]
async fn a_list_is_asked_for_by_its_media_type_at_the_very_address() {
    let scene = Scene::new();
    let uri = scene.server.url("/lists?id=7&of=a%20b");
    serve(&scene.server, "/lists", &list(&scene.issuer, &uri, 8, &[0]));
    let token = listed(&scene.issuer, 0, &uri).mint();
    assert_eq!(scene.policy.verify_token(token).await.err(), None);
    let requests = scene.server.requests();
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(request.method, "GET");
    assert_eq!(request.query.as_deref(), Some("id=7&of=a%20b"));
    assert_eq!(request.header("accept"), Some(MEDIA_TYPE));
    assert_eq!(request.header("referer"), None);
}

#[tokio::test]
async fn a_compressed_answer_and_parameters_of_the_media_type_make_no_difference() {
    for answer in [
        |text: String| Answer::gzip(text).header("content-type", MEDIA_TYPE),
        |text| Answer::json(text).header("content-type", "Application/StatusList+JWT; v=1"),
    ] {
        let scene = Scene::new();
        scene.server.answer(PATH, answer(scene.list(&[0, 1]).mint()));
        assert_eq!(scene.outcome(0).await, None);
        assert_eq!(scene.outcome(1).await, Some(REVOKED));
    }
}

#[tokio::test]
async fn what_is_no_list_of_this_issuer_and_address_is_no_statement() {
    let of_claims = |error: ClaimsError| StatusListFault::Token(error.into());
    let of_type = |found| ClaimsError::Type { found, accepted: "`statuslist+jwt`" };
    type Change = fn(&Scene, TokenBuilder) -> TokenBuilder;
    let rows: [(Change, StatusListFault); 22] = [
        (|_, it| it.typ("JWT"), of_claims(of_type(TypeName::new("JWT")))),
        (|_, it| it.typ("at+jwt"), of_claims(of_type(TypeName::new("at+jwt")))),
        (|_, it| it.without_header("typ"), of_claims(of_type(TypeName::ABSENT))),
        (
            |_, it| it.without("iss"),
            of_claims(ClaimsError::IssuerMissing { also: &["aud", "exp"] }),
        ),
        (|_, it| it.claim("iss", "https://other.example"), of_claims(ClaimsError::Issuer)),
        (|_, it| it.without("sub"), of_claims(ClaimsError::Missing { claim: "sub" })),
        (|scene, it| it.subject(format!("{}/", scene.uri())), StatusListFault::Subject),
        (|scene, it| it.subject(scene.uri().to_uppercase()), StatusListFault::Subject),
        (|_, it| it.without("iat"), of_claims(ClaimsError::Missing { claim: "iat" })),
        (
            |_, it| it.claim("iat", NOW + 31),
            of_claims(ClaimsError::IssuedInFuture {
                from: portcullis::UnixTime(NOW + 31),
                now: portcullis::UnixTime(NOW),
            }),
        ),
        (
            |_, it| it.claim("exp", NOW - 30),
            of_claims(ClaimsError::Expired {
                at: portcullis::UnixTime(NOW - 30),
                now: portcullis::UnixTime(NOW),
            }),
        ),
        (
            |_, it| it.claim("nbf", NOW + 31),
            of_claims(ClaimsError::NotYetValid {
                from: portcullis::UnixTime(NOW + 31),
                now: portcullis::UnixTime(NOW),
            }),
        ),
        (|_, it| it.claim("ttl", 0), TokenError::ClaimType { claim: "ttl" }.into()),
        (|_, it| it.claim("ttl", -1), TokenError::ClaimType { claim: "ttl" }.into()),
        (|_, it| it.claim("ttl", "300"), TokenError::ClaimType { claim: "ttl" }.into()),
        (
            |_, it| it.without("status_list"),
            of_claims(ClaimsError::Missing { claim: "status_list" }),
        ),
        (|_, it| it.claim("status_list", json!([1, lst(&[0])])), StatusListFault::Malformed),
        (|_, it| it.claim("status_list", json!({ "bits": 1 })), StatusListFault::Malformed),
        (
            |_, it| it.claim("status_list", json!({ "bits": 3, "lst": lst(&[0]) })),
            StatusListFault::Malformed,
        ),
        (
            |_, it| it.claim("status_list", json!({ "bits": 257, "lst": lst(&[0]) })),
            StatusListFault::Malformed,
        ),
        (
            |_, it| it.claim("status_list", json!({ "bits": 1, "lst": "AAAA" })),
            StatusListFault::Malformed,
        ),
        (
            |scene, it| it.signed_by(scene.issuer.impostor().key(ES256)).key_id("es256-1"),
            StatusListFault::Token(SignatureError::new().into()),
        ),
    ];
    for (change, fault) in rows {
        let scene = Scene::new();
        scene.serve(&change(&scene, scene.list(&[0])));
        scene.fails(fault).await;
    }
}

#[tokio::test]
async fn a_list_at_the_edge_of_its_times_is_good() {
    for (claim, time) in [("iat", NOW + 30), ("nbf", NOW + 30), ("exp", NOW - 29)] {
        let scene = Scene::new();
        scene.serve(&scene.list(&[0]).claim(claim, time));
        assert_eq!(scene.outcome(0).await, None, "{claim}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_list_is_no_statement() {
    let status = |status| FetchFault::Status { status };
    type Make = fn(&Scene) -> Answer;
    let rows: [(Make, FetchFault); 6] = [
        (|_| Answer::status(404), status(404)),
        (|_| Answer::status(500), status(500)),
        (|_| Answer::status(204), status(204)),
        (
            |scene| Answer::redirect(scene.server.url("/moved")),
            FetchFault::Redirect { status: 302 },
        ),
        (
            |_| Answer::endless().header("content-type", MEDIA_TYPE),
            FetchFault::TooLarge { allowed: 1 << 20 },
        ),
        (
            |_| Answer::gzip_bomb().header("content-type", MEDIA_TYPE),
            FetchFault::TooLarge { allowed: 1 << 20 },
        ),
    ];
    for (make, expected) in rows {
        let scene = Scene::new();
        scene.server.answer(PATH, make(&scene));
        serve(&scene.server, "/moved", &scene.list(&[0]));
        assert_eq!(scene.outcome(0).await, Some(unavailable(1)), "{expected:?}");
        let faults = scene.faults.take();
        let [StatusListFault::Fetch(error)] = &faults[..] else { panic!("{faults:?}") };
        assert_eq!((error.fault(), error.url()), (&expected, &*scene.uri()));
        assert_eq!(scene.server.all_hits(), 1);
    }
    for answer in [Answer::json, |text: String| Answer::json(text).header("content-type", "a/b")] {
        let scene = Scene::new();
        scene.server.answer(PATH, answer(scene.list(&[0]).mint()));
        scene.fails(StatusListFault::ContentType).await;
    }
    let scene = Scene::new();
    scene.server.answer(PATH, Answer::json("\n").header("content-type", MEDIA_TYPE));
    scene.fails(StatusListFault::Token(TokenError::Character.into())).await;
}

#[tokio::test]
async fn a_server_that_hangs_is_waited_for_within_the_time_out() {
    let scene = Scene::with(StatusLists::new().timeout(Duration::from_millis(50)));
    scene.server.answer(PATH, Answer::hang());
    let after = Duration::from_millis(50);
    let token = scene.token(0).mint();
    assert_eq!(response(&scene.policy, &token).await, (503, Some("1".to_owned())));
    let faults = scene.faults.take();
    let is_timeout = match &faults[..] {
        [StatusListFault::Fetch(error)] => *error.fault() == FetchFault::Timeout { after },
        [fault] => *fault == StatusListFault::Timeout { after },
        _ => false,
    };
    assert!(is_timeout, "{faults:?}");
}

#[tokio::test]
async fn a_bomb_is_capped() {
    let scene = Scene::with(StatusLists::new().max_list_bytes(1 << 20));
    let bomb = scene.list(&vec![0; 64 << 20]);
    assert!(bomb.mint().len() < 200_000);
    scene.serve(&bomb);
    scene.fails(StatusListFault::TooLarge { allowed: 1 << 20 }).await;
    let scene = Scene::with(StatusLists::new().max_list_bytes(1 << 20));
    scene.publish(&vec![0; 1 << 20]);
    assert_eq!(scene.outcome((1 << 20) - 1).await, None);
    assert_eq!(scene.outcome(1 << 20).await, Some(REVOKED));
}

#[tokio::test]
async fn a_list_token_may_have_as_many_bytes_as_allowed() {
    for (spare, is_read) in [(0, true), (1, false)] {
        let scene = Scene::new();
        let text = scene.list(&[0; 4096]).claim("filler", "x".repeat(2000)).mint();
        let lists = StatusLists::new().max_bytes(text.len() - spare);
        let policy = trusting([&scene.issuer], &scene.clock).status_lists(lists).build();
        scene.server.answer(PATH, Answer::json(text).header("content-type", MEDIA_TYPE));
        let error = policy.expect("a policy").verify_token(scene.token(0).mint()).await.err();
        assert_eq!(error, (!is_read).then(|| unavailable(1)));
    }
}

/// Asks nobody, and remembers whom it was to ask.
#[derive(Clone, Debug, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl HttpClient for Asked {
    fn get(&self, request: HttpRequest) -> HttpFuture {
        self.0.lock().expect("no panic").push(request.url);
        Box::pin(core::future::pending())
    }
}

/// Why nothing is fetched from this address, or that something is.
fn refused(issuer: &str, uri: &str, lists: StatusLists) -> Option<StatusListFault> {
    let (clock, faults, asked) = (FixedClock::at(NOW), Faults::default(), Asked::default());
    let issuer = TestIssuer::new(issuer).clock(clock.clone());
    let lists = faults.watch(lists).client(asked.clone()).timeout(SECOND);
    let policy = trusting([&issuer], &clock).status_lists(lists).build().expect("a policy");
    let token = listed(&issuer, 0, uri).mint();
    let mut verifying = Box::pin(policy.verify_token(&token));
    let outcome = poll(&mut verifying).map(Result::err);
    let mut faults = faults.take();
    match faults.pop() {
        None => {
            assert!(outcome.is_pending(), "{uri}");
            None
        }
        fault => {
            assert_eq!(outcome, Poll::Ready(Some(unavailable(1))), "{uri}");
            assert_eq!(*asked.0.lock().expect("no panic"), [] as [String; 0], "{uri}");
            fault
        }
    }
}

#[test]
fn nothing_is_fetched_from_another_origin_than_the_issuers() {
    use AddressFault::{Extra, NotAUrl, PlainHttp};
    let own = "https://id.example/tenants/acme";
    let ask = |uri: &str| refused(own, uri, StatusLists::new());
    for uri in ["https://id.example/lists/1", "https://id.example:443/", "https://ID.example/?a"] {
        assert_eq!(ask(uri), None, "{uri}");
    }
    for uri in [
        "https://id.example:8443/lists/1",
        "https://status.example/lists/1",
        "https://id.example.evil.example/lists/1",
        "https://evil.example/https://id.example/",
        "https://id.example./lists/1",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "http://localhost/lists/1",
        "http://127.0.0.1:6379/",
        "http://2130706433/",
    ] {
        assert_eq!(ask(uri), Some(StatusListFault::OtherOrigin), "{uri}");
    }
    for (uri, fault) in [
        ("http://id.example/lists/1", PlainHttp),
        ("http://169.254.169.254/latest/meta-data", PlainHttp),
        ("https://user@id.example/lists/1", Extra),
        ("https://id.example@evil.example/lists/1", Extra),
        ("https://id.example/lists/1#x", Extra),
        ("https://evil.example\\.id.example/", NotAUrl),
        ("https:id.example/lists/1", NotAUrl),
        ("//id.example/lists/1", NotAUrl),
        ("/lists/1", NotAUrl),
        ("file:///etc/passwd", NotAUrl),
        ("ftp://id.example/lists/1", NotAUrl),
        ("urn:example:list", NotAUrl),
    ] {
        assert_eq!(ask(uri), Some(StatusListFault::Address(fault)), "{uri}");
    }
}

#[test]
fn an_origin_that_is_allowed_is_for_all_issuers_and_one_that_is_no_address_has_no_own() {
    let allowing = || StatusLists::new().allow_origin("https://status.example");
    for issuer in ["https://id.example", "accounts.example", "urn:issuer"] {
        assert_eq!(refused(issuer, "https://status.example/1", allowing()), None, "{issuer}");
        let other = refused(issuer, "https://status.example:8443/1", allowing());
        assert_eq!(other, Some(StatusListFault::OtherOrigin), "{issuer}");
    }
    assert_eq!(refused("https://id.example", "https://id.example/1", allowing()), None);
    let no_address = refused("accounts.example", "https://accounts.example/1", allowing());
    assert_eq!(no_address, Some(StatusListFault::OtherOrigin));
}

#[test]
fn plain_http_beyond_loopback_takes_a_dangerous_word_and_the_origin_besides() {
    let (issuer, uri) = ("http://keycloak:8080/realms/a", "http://keycloak:8080/lists/1");
    let plain = Some(StatusListFault::Address(AddressFault::PlainHttp));
    assert_eq!(refused(issuer, uri, StatusLists::new()), plain);
    let allowing = || StatusLists::new().allow_http(dangerous::allow_http("keycloak"));
    assert_eq!(refused(issuer, uri, allowing()), None);
    let elsewhere = refused("https://id.example", uri, allowing());
    assert_eq!(elsewhere, Some(StatusListFault::OtherOrigin));
}

#[tokio::test]
async fn the_list_of_one_issuer_never_answers_for_another() {
    let server = KeyServer::start();
    let clock = FixedClock::at(NOW);
    let [good, evil] =
        ["/good", "/evil"].map(|path| TestIssuer::new(server.url(path)).clock(clock.clone()));
    let faults = Faults::default();
    let policy = trusting([&good, &evil], &clock)
        .status_lists(faults.watch(StatusLists::new()))
        .build()
        .expect("a policy");
    let uri = server.url(PATH);
    let outcome = async |issuer| policy.verify_token(listed(issuer, 0, &uri).mint()).await.err();
    // Of the other issuer, with its own name or with the good one's.
    serve(&server, PATH, &list(&evil, &uri, 8, &[0]));
    assert_eq!(outcome(&good).await, Some(unavailable(1)));
    assert_eq!(faults.take(), [StatusListFault::Token(ClaimsError::Issuer.into())]);
    // It is good for the other's own.
    assert_eq!(outcome(&evil).await, None);
    // And while that is here, it still says nothing of the first one's.
    let reason = outcome(&good).await.map(|error| error.reason());
    assert_eq!(reason, Some("revocation_unavailable"));
    let server = KeyServer::start();
    let lists = StatusLists::new().allow_origin(server.origin());
    let policy = trusting([&good, &evil], &clock).status_lists(faults.watch(lists)).build();
    let uri = server.url(PATH);
    serve(&server, PATH, &list(&evil, &uri, 8, &[0]).claim("iss", good.name()));
    let token = listed(&good, 0, &uri).mint();
    let error = policy.expect("a policy").verify_token(token).await.err();
    assert_eq!(error, Some(unavailable(1)));
    assert_eq!(faults.take(), [StatusListFault::Token(SignatureError::new().into())]);
}

#[tokio::test]
async fn a_list_is_no_access_token() {
    let scene = Scene::new();
    let list = scene.list(&[0]).audience(TestIssuer::AUDIENCE).expires_in(MINUTE);
    let error = scene.policy.verify_token(list.mint()).await.err();
    let (found, accepted) = (TypeName::new("statuslist+jwt"), "`JWT`, none or `at+jwt`");
    assert_eq!(error, Some(ClaimsError::Type { found, accepted }.into()));
}

#[tokio::test]
async fn when_its_ttl_is_over_a_list_is_fetched_once_and_a_remembered_token_is_refused() {
    let scene = Scene::new();
    scene.publish(&[0, 0]);
    let tokens = [0, 1].map(|index| scene.token(index).mint());
    let verify = async |at: usize| scene.policy.verify_token(&tokens[at]).await.err();
    for _ in 0..3 {
        assert_eq!((verify(0).await, verify(1).await), (None, None));
    }
    let held = scene.policy.verify_token(&tokens[0]).await.expect("a good token");
    assert!(scene.policy.token_cache_stats().hits >= 4);
    scene.publish(&[1, 0]);
    scene.clock.advance(TTL - SECOND);
    assert_eq!(scene.policy.verify_token_now(&tokens[0]).err(), None);
    assert_eq!(scene.policy.recheck(&held).await, Ok(()));
    assert_eq!(scene.policy.recheck_now(&held), Ok(()));
    assert_eq!(scene.server.hits(PATH), 1);
    scene.clock.advance(SECOND);
    assert_eq!((verify(0).await, verify(1).await), (Some(REVOKED), None));
    assert_eq!(scene.policy.recheck(&held).await, Err(REVOKED));
    assert_eq!(scene.policy.recheck_now(&held), Err(REVOKED));
    assert_eq!((verify(0).await, verify(1).await), (Some(REVOKED), None));
    assert_eq!(scene.server.hits(PATH), 2);
    // And it may come back, as SUSPENDED does.
    scene.publish(&[0, 0]);
    scene.clock.advance(TTL);
    assert_eq!((verify(0).await, verify(1).await), (None, None));
    assert_eq!(scene.server.hits(PATH), 3);
}

/// Counts how often it is asked. Its answers never change.
#[derive(Clone, Debug, Default)]
struct Counting(Arc<AtomicUsize>);

impl RevocationSource for Counting {
    fn generation(&self) -> Option<u64> {
        Some(0)
    }

    fn status(&self, _: &VerifiedToken) -> RevocationStatus {
        self.0.fetch_add(1, Ordering::Relaxed);
        RevocationStatus::Active
    }
}

#[tokio::test]
async fn while_every_list_holds_a_remembered_token_is_not_asked_about_again() {
    let (server, clock) = (KeyServer::start(), FixedClock::at(NOW));
    let issuer = TestIssuer::new(server.origin()).clock(clock.clone());
    let counting = Counting::default();
    let policy = trusting([&issuer], &clock)
        .revocation_source(counting.clone())
        .status_lists(StatusLists::new())
        .build()
        .expect("a policy");
    let [one, other] = ["/1", "/2"].map(|path| {
        let uri = server.url(path);
        serve(&server, path, &list(&issuer, &uri, 8, &[0]));
        listed(&issuer, 0, &uri).mint()
    });
    let asked = async |token: &String| {
        let before = counting.0.load(Ordering::Relaxed);
        assert_eq!(policy.verify_token(token).await.err(), None);
        counting.0.load(Ordering::Relaxed) - before
    };
    // The list came while it was waited for: what was asked before may have changed by it.
    assert_eq!((asked(&one).await, asked(&one).await), (1, 1));
    for _ in 0..5 {
        assert_eq!(asked(&one).await, 0);
    }
    // Another list is another picture, once.
    assert_eq!((asked(&other).await, asked(&other).await), (1, 1));
    assert_eq!((asked(&one).await, asked(&one).await, asked(&other).await), (1, 0, 0));
    // And so is the end of both, though nobody asks for the other any more.
    clock.advance(TTL);
    assert_eq!((asked(&one).await, asked(&one).await, asked(&one).await), (1, 1, 0));
    assert_eq!((server.hits("/1"), server.hits("/2")), (2, 1));
}

#[tokio::test]
async fn looking_again_waits_for_a_list_where_it_may_and_else_says_unavailable() {
    let scene = Scene::new();
    scene.publish(&[0]);
    let token = scene.policy.verify_token(scene.token(0).mint()).await.expect("a good token");
    scene.publish(&[1]);
    scene.clock.advance(TTL);
    let later = RevocationError::Unavailable(RevocationUnavailable::default());
    assert_eq!(scene.policy.recheck_now(&token), Err(later.into()));
    assert_eq!(scene.policy.recheck(&token).await, Err(REVOKED));
    assert_eq!(scene.server.hits(PATH), 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_does_not_make_a_list_serve_longer() {
    let scene = Scene::new();
    scene.publish(&[0]);
    let token = scene.token(0).mint();
    assert_eq!(scene.policy.verify_token(&token).await.err(), None);
    scene.publish(&[1]);
    scene.clock.set(NOW - 20);
    tokio::time::advance(TTL + SECOND).await;
    assert_eq!(scene.policy.verify_token(&token).await.err(), Some(REVOKED));
}

#[tokio::test]
async fn a_list_serves_no_longer_than_its_exp_and_the_bounds() {
    let lists = || StatusLists::new().fresh_for(40 * SECOND).max_fresh(MINUTE);
    type Change = fn(TokenBuilder) -> TokenBuilder;
    let rows: [(Change, u64); 8] = [
        (|it| it.claim("ttl", 20), 20),
        (|it| it.claim("ttl", 20.9), 20),
        // §11.5, by `min_fresh` and `max_fresh`.
        (|it| it.claim("ttl", 1), 10),
        (|it| it.claim("ttl", 0.001), 10),
        (|it| it.claim("ttl", 86_400), 60),
        (|it| it.claim("ttl", 1e300), 60),
        (|it| it.without("ttl"), 40),
        // With the leeway of 30 s.
        (|it| it.claim("exp", NOW + 5), 35),
    ];
    for (change, seconds) in rows {
        let scene = Scene::with(lists());
        scene.serve(&change(scene.list(&[0])));
        assert_eq!(scene.outcome(0).await, None);
        scene.clock.advance(Duration::from_secs(seconds - 1));
        assert_eq!(scene.outcome(0).await, None, "{seconds}");
        assert_eq!(scene.server.hits(PATH), 1, "{seconds}");
        scene.publish(&[1]);
        scene.clock.advance(SECOND);
        assert_eq!(scene.outcome(0).await, Some(REVOKED), "{seconds}");
        assert_eq!(scene.server.hits(PATH), 2, "{seconds}");
    }
}

#[tokio::test]
async fn headers_do_not_say_how_long_a_list_serves() {
    let scene = Scene::new();
    let list = scene.list(&[0]);
    let answer = |value: &str| answer(&list).header("cache-control", value);
    scene.server.answer(PATH, answer("no-store, max-age=0"));
    assert_eq!(scene.outcome(0).await, None);
    scene.clock.advance(TTL - SECOND);
    scene.server.answer(PATH, answer("max-age=86400"));
    assert_eq!((scene.outcome(0).await, scene.server.hits(PATH)), (None, 1));
    scene.clock.advance(SECOND);
    assert_eq!((scene.outcome(0).await, scene.server.hits(PATH)), (None, 2));
    scene.clock.advance(TTL);
    assert_eq!((scene.outcome(0).await, scene.server.hits(PATH)), (None, 3));
}

#[tokio::test]
async fn a_list_that_is_too_old_is_refused_where_that_is_bounded() {
    let age = 10 * MINUTE;
    let now = portcullis::UnixTime(NOW);
    for (issued, is_good) in [(NOW - 630, true), (NOW - 631, false)] {
        let scene = Scene::with(StatusLists::new().max_age(age));
        scene.serve(&scene.list(&[0]).claim("iat", issued));
        if is_good {
            assert_eq!(scene.outcome(0).await, None);
            // And it does not serve on when it is.
            scene.clock.advance(SECOND);
            assert_eq!(scene.outcome(0).await, Some(unavailable(1)));
            assert_eq!(scene.server.hits(PATH), 2);
        } else {
            let age = now.saturating_since(portcullis::UnixTime(issued));
            let too_old = ClaimsError::TooOld { age, limit: 10 * MINUTE };
            scene.fails(StatusListFault::Token(too_old.into())).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_older_list_does_not_take_the_place_of_a_newer_one() {
    let scene = Scene::new();
    // Ahead of the clock of the thread that fetches, which does not stand still.
    tokio::time::advance(60 * MINUTE).await;
    scene.publish(&[1, 0]);
    let old = scene.list(&[0, 0]).claim("iat", NOW - 1);
    assert_eq!((scene.outcome(0).await, scene.outcome(1).await), (Some(REVOKED), None));
    scene.serve(&old);
    scene.clock.advance(TTL);
    // Neither what it says, nor any longer what the newer one said.
    scene.fails(StatusListFault::Older).await;
    assert_eq!(scene.outcome(1).await.map(|error| error.reason()), Some("revocation_unavailable"));
    // The same one again is as good as before.
    scene.serve(&scene.list(&[1, 0]).claim("iat", NOW));
    tokio::time::advance(2 * SECOND).await;
    assert_eq!((scene.outcome(0).await, scene.outcome(1).await), (Some(REVOKED), None));
}

#[tokio::test(start_paused = true)]
async fn ahead_of_its_end_a_list_is_fetched_anew_and_nobody_waits() {
    let scene = Scene::new();
    scene.publish(&[0]);
    let token = scene.token(0).mint();
    assert_eq!(scene.policy.verify_token(&token).await.err(), None);
    scene.server.answer(PATH, answer(&scene.list(&[1])).held());
    tokio::time::advance(TTL * 79 / 100).await;
    assert_eq!(scene.policy.verify_token_now(&token).err(), None);
    assert_eq!(scene.server.hits(PATH), 1);
    tokio::time::advance(TTL * 2 / 100).await;
    for _ in 0..10 {
        assert_eq!(scene.policy.verify_token_now(&token).err(), None);
    }
    scene.server.hit(PATH, 2).await;
    assert_eq!(scene.policy.verify_token_now(&token).err(), None);
    // When the old one is over, requests wait for the same fetch.
    scene.clock.advance(TTL);
    let mut waiting = Box::pin(scene.policy.verify_token(&token));
    assert!(poll(&mut waiting).is_pending());
    scene.server.release();
    assert_eq!(waiting.await.err(), Some(REVOKED));
    assert_eq!(scene.server.hits(PATH), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_takes_nothing_away_before_the_end() {
    let scene = Scene::new();
    scene.publish(&[0]);
    let token = scene.token(0).mint();
    assert_eq!(scene.policy.verify_token(&token).await.err(), None);
    scene.server.answer(PATH, Answer::status(500));
    tokio::time::advance(TTL * 81 / 100).await;
    let verify_now = || scene.policy.verify_token_now(&token).err();
    assert_eq!(verify_now(), None);
    scene.server.hit(PATH, 2).await;
    scene.faults.came().await;
    // It is left alone for a second, and tried again.
    assert_eq!(verify_now(), None);
    tokio::time::advance(SECOND - Duration::from_millis(1)).await;
    assert_eq!(verify_now(), None);
    assert_eq!(scene.server.hits(PATH), 2);
    tokio::time::advance(Duration::from_millis(2)).await;
    assert_eq!(verify_now(), None);
    scene.server.hit(PATH, 3).await;
    scene.faults.came().await;
    assert_eq!(verify_now(), None);
    // At its end, the list says nothing more.
    scene.clock.advance(TTL);
    assert_eq!(verify_now().map(|error| error.reason()), Some("revocation_unavailable"));
}

#[tokio::test]
async fn fifty_requests_at_once_cause_one_fetch() {
    let scene = Scene::new();
    scene.server.answer(PATH, answer(&scene.list(&[0, 1])).held());
    let tokens: Vec<_> = (0..50).map(|at| scene.token(at % 2).mint()).collect();
    let mut waiting: Vec<_> =
        tokens.iter().map(|token| Box::pin(scene.policy.verify_token(token))).collect();
    for one in &mut waiting {
        assert!(poll(one).is_pending());
    }
    scene.server.hit(PATH, 1).await;
    scene.server.release();
    for (at, one) in waiting.into_iter().enumerate() {
        assert_eq!(one.await.err(), (at % 2 == 1).then_some(REVOKED), "{at}");
    }
    assert_eq!(scene.server.hits(PATH), 1);
}

#[tokio::test]
async fn a_request_that_is_given_up_leaves_the_fetch_to_the_others() {
    let scene = Scene::new();
    scene.server.answer(PATH, answer(&scene.list(&[0])).held());
    let tokens = [(); 2].map(|()| scene.token(0).mint());
    let [mut first, mut second] =
        tokens.each_ref().map(|token| Box::pin(scene.policy.verify_token(token)));
    assert!(poll(&mut first).is_pending());
    drop(first);
    assert!(poll(&mut second).is_pending());
    scene.server.hit(PATH, 1).await;
    drop(second);
    let mut third = Box::pin(scene.policy.verify_token(&tokens[0]));
    assert!(poll(&mut third).is_pending());
    scene.server.release();
    assert_eq!(third.await.err(), None);
    assert_eq!(scene.policy.verify_token_now(&tokens[1]).err(), None);
    assert_eq!(scene.server.hits(PATH), 1);
}

#[test]
fn a_list_is_fetched_where_no_runtime_is() {
    let scene = Scene::new();
    scene.publish(&[0]);
    let token = scene.token(0).mint();
    let later = RevocationError::Unavailable(RevocationUnavailable::default());
    assert_eq!(scene.policy.verify_token_now(&token).err(), Some(later.into()));
    scene.server.wait_for_hits(PATH, 1);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    assert_eq!(runtime.block_on(scene.policy.verify_token(&token)).err(), None);
    assert_eq!(scene.server.hits(PATH), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_is_left_alone_for_a_while_and_found_again() {
    let scene = Scene::new();
    // The thread that fetches has a clock that does not stand still, and does not get here.
    tokio::time::advance(60 * MINUTE).await;
    scene.server.answer(PATH, Answer::closed());
    let token = scene.token(0).mint();
    let (mut hits, mut wait) = (0, 1_u64);
    for _ in 0..8 {
        hits += 1;
        let retry_after = Some(wait.to_string());
        assert_eq!(response(&scene.policy, &token).await, (503, retry_after), "{hits}");
        // Until then nobody asks, and everybody is told in how long.
        for _ in 0..5 {
            let (status, retry_after) = response(&scene.policy, &token).await;
            assert_eq!((status, retry_after), (503, Some(wait.to_string())), "{hits}");
        }
        assert_eq!(scene.faults.take().len(), 1, "{hits}");
        tokio::time::advance(Duration::from_secs(wait) - Duration::from_millis(1)).await;
        assert_eq!(response(&scene.policy, &token).await, (503, Some("1".to_owned())), "{hits}");
        assert_eq!(scene.faults.take(), [], "{hits}");
        tokio::time::advance(Duration::from_millis(1)).await;
        wait = (wait * 2).min(60);
    }
    scene.publish(&[0]);
    assert_eq!(scene.policy.verify_token(&token).await.err(), None);
    // From then on it counts from the start.
    scene.server.answer(PATH, Answer::status(500));
    scene.clock.advance(TTL);
    assert_eq!(scene.policy.verify_token(&token).await.err(), Some(unavailable(1)));
}

#[tokio::test]
async fn when_a_server_wants_to_be_asked_again_is_honoured_within_five_minutes() {
    for (status, retry_after, expected) in
        [(503, "120", 120), (429, "7", 7), (503, "86400", 300), (503, "0", 1), (500, "120", 1)]
    {
        let scene = Scene::new();
        scene.server.answer(PATH, Answer::status(status).header("retry-after", retry_after));
        assert_eq!(scene.outcome(0).await, Some(unavailable(expected)), "{status} {retry_after}");
    }
}

#[tokio::test]
async fn of_more_lists_than_there_may_be_the_one_that_was_not_asked_longest_gives_way() {
    let scene = Scene::with(StatusLists::new().max_lists(2));
    let paths = ["/1", "/2", "/3"];
    for path in paths {
        serve(&scene.server, path, &list(&scene.issuer, &scene.server.url(path), 8, &[0]));
    }
    let tokens = paths.map(|path| listed(&scene.issuer, 0, &scene.server.url(path)).mint());
    let hits = || paths.map(|path| scene.server.hits(path));
    let verify = async |at: usize| {
        scene.clock.advance(SECOND);
        assert_eq!(scene.policy.verify_token(&tokens[at]).await.err(), None);
    };
    verify(0).await;
    verify(1).await;
    assert_eq!(hits(), [1, 1, 0]);
    // Of a token that was never seen, or it would not be asked.
    scene.clock.advance(SECOND);
    let other = listed(&scene.issuer, 0, &scene.server.url("/1")).mint();
    assert_eq!(scene.policy.verify_token(other).await.err(), None);
    verify(2).await;
    assert_eq!(hits(), [1, 1, 1]);
    verify(0).await;
    verify(2).await;
    assert_eq!(hits(), [1, 1, 1]);
    // The token is remembered, and what its list said is not.
    verify(1).await;
    assert_eq!(hits(), [1, 2, 1]);
}

#[tokio::test]
async fn an_issuer_that_invents_addresses_drives_out_its_own_lists_alone() {
    let server = KeyServer::start();
    let clock = FixedClock::at(NOW);
    let [good, evil] =
        ["/good", "/evil"].map(|path| TestIssuer::new(server.url(path)).clock(clock.clone()));
    let policy = trusting([&good, &evil], &clock)
        .status_lists(StatusLists::new().max_lists(4))
        .build()
        .expect("a policy");
    let outcome = async |issuer: &TestIssuer, path: &str| {
        let uri = server.url(path);
        serve(&server, path, &list(issuer, &uri, 8, &[0]));
        policy.verify_token(listed(issuer, 0, &uri).mint()).await.err()
    };
    assert_eq!(outcome(&good, "/list").await, None);
    for at in 0..20 {
        clock.advance(SECOND);
        assert_eq!(outcome(&evil, &format!("/evil/{at}")).await, None);
    }
    assert_eq!(outcome(&good, "/list").await, None);
    assert_eq!(server.hits("/list"), 1);
}

#[tokio::test]
async fn one_issuer_has_at_most_half_of_the_room_in_the_air() {
    let server = KeyServer::start();
    let clock = FixedClock::at(NOW);
    let [good, evil] =
        ["/good", "/evil"].map(|path| TestIssuer::new(server.url(path)).clock(clock.clone()));
    let faults = Faults::default();
    let policy = trusting([&good, &evil], &clock)
        .status_lists(faults.watch(StatusLists::new().max_lists(4)))
        .build()
        .expect("a policy");
    let token = |issuer: &TestIssuer, path: &str| {
        let uri = server.url(path);
        server.answer(path, answer(&list(issuer, &uri, 8, &[0])).held());
        listed(issuer, 0, &uri).mint()
    };
    let tokens = ["/evil/1", "/evil/2", "/evil/3"].map(|path| token(&evil, path));
    let mut waiting: Vec<_> =
        tokens.iter().map(|token| Box::pin(policy.verify_token(token))).collect();
    let found: Vec<_> = waiting.iter_mut().map(|one| poll(one).map(Result::err)).collect();
    let full = Poll::Ready(Some(unavailable(1)));
    assert_eq!(found, [Poll::Pending, Poll::Pending, full.clone()]);
    assert_eq!(faults.take(), [StatusListFault::NoRoom]);
    let good_tokens = ["/good/1", "/good/2"].map(|path| token(&good, path));
    let mut others: Vec<_> =
        good_tokens.iter().map(|token| Box::pin(policy.verify_token(token))).collect();
    for one in &mut others {
        assert!(poll(one).is_pending());
    }
    for path in ["/evil/1", "/evil/2", "/good/1", "/good/2"] {
        server.hit(path, 1).await;
    }
    server.release();
    for one in waiting.into_iter().take(2) {
        assert_eq!(one.await.err(), None);
    }
    for one in others {
        assert_eq!(one.await.err(), None);
    }
    assert_eq!(server.hits("/evil/3"), 0);
}

#[tokio::test]
async fn a_list_may_be_signed_by_a_key_that_has_to_be_fetched() {
    let server = KeyServer::start();
    let clock = FixedClock::at(NOW);
    let issuer = server.issuer(&[ES256]).clock(clock.clone());
    let policy = Policy::builder()
        .clock(clock.clone())
        .issuer(
            Issuer::new(issuer.name())
                .algorithms([ES256])
                .keys(RemoteJwks::url(server.url(KeyServer::JWKS_PATH)).cool_down(SECOND))
                .audience(TestIssuer::AUDIENCE),
        )
        .status_lists(StatusLists::new().timeout(10 * SECOND))
        .build()
        .expect("a policy");
    let uri = server.url(PATH);
    let token = listed(&issuer, 0, &uri).mint();
    // The list is by a newer key than the token.
    issuer.rotate(ES256);
    serve(&server, PATH, &list(&issuer, &uri, 8, &[0]));
    assert_eq!(policy.verify_token(&token).await.err(), None);
    // One that nobody publishes is no key.
    let faults = Faults::default();
    let policy = trusting([&issuer], &clock).status_lists(faults.watch(StatusLists::new())).build();
    serve(&server, PATH, &list(&issuer, &uri, 8, &[0]).key_id("unknown"));
    let error = policy.expect("a policy").verify_token(&token).await.err();
    assert_eq!(error, Some(unavailable(1)));
    assert_eq!(faults.take(), [StatusListFault::Token(KeyError::Unknown.into())]);
}

/// Panics.
#[derive(Debug)]
struct Broken;

impl HttpClient for Broken {
    fn get(&self, _: HttpRequest) -> HttpFuture {
        Box::pin(async { panic!("the client is broken") })
    }
}

#[tokio::test]
async fn a_client_that_panics_leaves_nobody_waiting() {
    let scene = Scene::with(StatusLists::new().client(Broken));
    scene.fails(StatusListFault::Panicked).await;
}

#[tokio::test]
async fn whoever_listens_and_panics_changes_nothing() {
    let lists = StatusLists::new().on_failure(|_| panic!("a broken observer"));
    let server = KeyServer::start();
    let clock = FixedClock::at(NOW);
    let issuer = TestIssuer::new(server.origin()).clock(clock.clone());
    let policy = trusting([&issuer], &clock).status_lists(lists).build().expect("a policy");
    for uri in [server.url(PATH), "https://other.example/".to_owned()] {
        let error = policy.verify_token(listed(&issuer, 0, &uri).mint()).await.err();
        assert_eq!(error, Some(unavailable(1)), "{uri}");
    }
}

#[tokio::test]
async fn a_token_of_another_policy_is_held_to_this_ones_lists_when_looked_at_again() {
    let server = KeyServer::start();
    let clock = FixedClock::at(NOW);
    let issuer = TestIssuer::new(server.origin()).clock(clock.clone());
    let keys = KeySet::from_jwks(issuer.jwks_of(&[ES256])).expect("a set");
    let start = || {
        let trusted = Issuer::new(issuer.name()).algorithms([ES256]).keys(keys.clone());
        Policy::builder().clock(clock.clone()).issuer(trusted.audience(TestIssuer::AUDIENCE))
    };
    let other = start().build().expect("a policy");
    let lists = StatusLists::new().required();
    let policy = start().status_lists(lists).build().expect("a policy");
    let uri = server.url(PATH);
    serve(&server, PATH, &list(&issuer, &uri, 8, &[0, 1]));
    for (token, expected) in [
        (listed(&issuer, 0, &uri), Ok(())),
        (listed(&issuer, 1, &uri), Err(REVOKED)),
        // As its text would be.
        (issuer.token(ES256), Err(ClaimsError::Missing { claim: "status" }.into())),
        (issuer.token(ES256).claim("status", 1), Err(MALFORMED)),
    ] {
        let token: VerifiedToken = other.verify_token(token.mint()).await.expect("a good token");
        assert_eq!(policy.recheck(&token).await, expected);
    }
}

#[test]
fn settings_out_of_their_bounds_and_bad_origins_are_faults_of_the_policy() {
    let build = |lists: StatusLists| {
        let issuer = TestIssuer::new("https://id.example").at(NOW);
        trusting([&issuer], &FixedClock::at(NOW)).status_lists(lists).build()
    };
    let fault = |setting, allowed| {
        let error = StatusListsError::Setting(SettingFault::new(setting, allowed));
        PolicyFault::StatusLists { error }
    };
    let origin = |origin: &str| {
        let error = StatusListsError::Origin { origin: origin.to_owned() };
        PolicyFault::StatusLists { error }
    };
    for good in ["https://status.example", "https://status.example/", "http://127.0.0.1:8080"] {
        assert!(build(StatusLists::new().allow_origin(good)).is_ok(), "{good}");
    }
    for bad in [
        "status.example",
        "http://status.example",
        "https://status.example/lists",
        "https://status.example?x",
        "https://user@status.example",
        "https://status.example/#x",
        "",
    ] {
        let error = build(StatusLists::new().allow_origin(bad)).unwrap_err();
        assert_eq!(error.faults(), [origin(bad)]);
    }
    let all = StatusLists::new()
        .max_lists(0)
        .timeout(Duration::ZERO)
        .allow_origin("x")
        .allow_http(dangerous::allow_http("a b"));
    assert_eq!(
        build(all).unwrap_err().faults(),
        [
            fault("timeout", "1 ms to 60 s"),
            fault("max_lists", "1 to 1000"),
            fault("allow_http", "a host, without scheme and port"),
            origin("x"),
        ]
    );
}

#[tokio::test]
async fn a_failure_says_whose_list_it_is_and_shows_no_secret() {
    let server = KeyServer::start();
    let clock = FixedClock::at(NOW);
    let issuer = TestIssuer::new(server.origin()).clock(clock.clone());
    let said = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&said);
    let lists = StatusLists::new().on_failure(move |error| {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("secret"), "{shown}");
        let (issuer, uri) = (error.issuer().to_owned(), error.uri().to_owned());
        log.lock().expect("no panic").push((issuer, uri, error.to_string()));
    });
    let policy = trusting([&issuer], &clock).status_lists(lists).build().expect("a policy");
    let uri = server.url("/x?secret");
    let error = policy.verify_token(listed(&issuer, 0, &uri).mint()).await.err();
    assert_eq!(error, Some(unavailable(1)));
    clock.advance(SECOND);
    let elsewhere = "https://user:secret@other.example/y#secret";
    let error = policy.verify_token(listed(&issuer, 0, elsewhere).mint()).await.err();
    assert_eq!(error, Some(unavailable(1)));
    let name = issuer.name().to_owned();
    let at = server.url("/x");
    let expected = [
        (name.clone(), at.clone(), format!("{at}: the server answered with status 404")),
        (
            name,
            "https://other.example/y".to_owned(),
            format!("https://other.example/y: {}", AddressFault::Extra),
        ),
    ];
    assert_eq!(*said.lock().expect("no panic"), expected);
    assert!(!format!("{policy:?}").contains("secret"));
}

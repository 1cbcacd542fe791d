//! The routes that come with the library: what each request is answered by the core, by axum and by
//! actix-web, the latter two over sockets, and what it revoked.
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use axum::Router;
use http::StatusCode;
use http_body_util::BodyExt as _;
use portcullis::error::RevocationError;
use portcullis::revocation::store::{PublishFuture, RevocationEntry, RevocationStore, StoreError};
use portcullis::routes::{AdminError, LogoutFault};
use portcullis::{
    Algorithm, BackChannelLogout, Error, Issuer, Policy, PolicyBuilder, Presentation, Requirement,
    Revocable, RevocationAdmin, Revocations, TokenSource, dangerous,
};
use portcullis_conformance::client::{Answer, Protocol, Request, send};
use portcullis_conformance::doors::{Running, serve_actix, serve_axum};
use portcullis_testkit::{FixedClock, TestIssuer, TokenBuilder, hostile};
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://issuer.example";
const OTHER_ISSUER: &str = "https://other.example";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const LOGOUT: &str = "/backchannel-logout";
const ADMIN: &str = "/admin/revocations";

fn issuer() -> TestIssuer {
    TestIssuer::new(ISSUER).at(NOW)
}

fn other_issuer() -> TestIssuer {
    TestIssuer::new(OTHER_ISSUER).at(NOW)
}

/// A service of its own: what it revokes, no other one has.
struct Service {
    revocations: Revocations,
    policy: Policy,
    logout: BackChannelLogout,
    admin: RevocationAdmin,
}

fn trusted() -> [Issuer; 2] {
    [issuer().trusted(&[Algorithm::ES256]), other_issuer().trusted(&[Algorithm::ES256])]
}

fn builder() -> PolicyBuilder {
    trusted().into_iter().fold(Policy::builder().clock(FixedClock::at(NOW)), PolicyBuilder::issuer)
}

fn operators() -> Requirement {
    Requirement::role("role", "operator")
}

impl Service {
    fn new(kinds: &[Revocable]) -> Self {
        let revocations = Revocations::options().clock(FixedClock::at(NOW)).in_memory();
        Self::of(revocations, kinds)
    }

    fn of(revocations: Revocations, kinds: &[Revocable]) -> Self {
        let enforced = revocations.enforce(kinds.iter().copied());
        let policy = builder()
            .revocations(enforced)
            .sources([TokenSource::bearer(), TokenSource::cookie("__Host-token")])
            .build()
            .expect("a policy");
        let logout = BackChannelLogout::new(policy.clone(), revocations.clone(), ["web", "app"])
            .expect("a receiver");
        // Whoever allows anonymous requests elsewhere does not open this.
        let admin = RevocationAdmin::new(
            revocations.clone(),
            policy.clone().allow_anonymous(),
            operators(),
        );
        Self { revocations, policy, logout, admin }
    }

    fn changes(&self) -> u64 {
        self.revocations.stats().changes
    }

    /// Why the policy refuses the token, or nothing.
    fn refuses(&self, token: &TokenBuilder) -> Option<Error> {
        self.policy.verify_token_now(token.mint()).err()
    }

    fn router(&self) -> Router {
        Router::new()
            .route(LOGOUT, portcullis_axum::back_channel_logout(self.logout.clone()))
            .nest(ADMIN, portcullis_axum::revocation_admin(self.admin.clone()))
    }
}

/// How a request gets there.
enum Door {
    Core,
    Server(Running),
}

/// A service behind each door, and none that two share.
struct Doors(Vec<(&'static str, Service, Door)>);

impl Doors {
    fn open(service: impl Fn() -> Service) -> Self {
        let listener = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let core = service();
        let axum = service();
        let axum_server = serve_axum(axum.router(), listener()).expect("a server");
        let actix = service();
        let (logout, admin) = (actix.logout.clone(), actix.admin.clone());
        let routes = move |app: &mut actix_web::web::ServiceConfig| {
            app.service(portcullis_actix::back_channel_logout(LOGOUT, logout.clone()))
                .service(portcullis_actix::revocation_admin(ADMIN, admin.clone()));
        };
        let actix_server = serve_actix(routes, listener()).expect("a server");
        Self(vec![
            ("core", core, Door::Core),
            ("axum", axum, Door::Server(axum_server)),
            ("actix", actix, Door::Server(actix_server)),
        ])
    }

    fn services(&self) -> impl Iterator<Item = &Service> {
        self.0.iter().map(|(_, service, _)| service)
    }

    fn servers(&self) -> impl Iterator<Item = (&'static str, &Service, SocketAddr)> {
        self.0.iter().filter_map(|(name, service, door)| match door {
            Door::Core => None,
            Door::Server(running) => Some((*name, service, running.address())),
        })
    }

    /// The answer through each door over each protocol, which must be the same.
    async fn ask(&self, what: &str, request: &Request) -> Answer {
        let mut answers = Vec::new();
        for (name, service, door) in &self.0 {
            match door {
                Door::Core => answers.push((*name, ask_core(service, request).await)),
                Door::Server(running) => {
                    for protocol in Protocol::ALL {
                        let answer = send(running.address(), protocol, request).await;
                        let answer =
                            answer.unwrap_or_else(|error| panic!("{what}, {name}: {error}"));
                        answers.push((name, answer));
                    }
                }
            }
        }
        let first = answers[0].1.clone();
        for (name, answer) in answers {
            assert_eq!(answer, first, "{what}: {name} answers as the core");
        }
        first
    }

    /// Asks for something that is answered so, and that revokes nothing.
    async fn refuse(&self, what: &str, request: &Request, expected: &Answer) {
        let before: Vec<_> = self.services().map(Service::changes).collect();
        assert_eq!(&self.ask(what, request).await, expected, "{what}");
        let after: Vec<_> = self.services().map(Service::changes).collect();
        assert_eq!(after, before, "{what}: nothing is revoked");
    }
}

/// What an adapter does, without one.
async fn ask_core(service: &Service, request: &Request) -> Answer {
    let (head, body) = request.build(Protocol::Http1).into_parts();
    let bytes = body.collect().await.expect("bytes").to_bytes();
    let response: http::Response<bytes::Bytes> = if request.target.starts_with(LOGOUT) {
        let mut body = service.logout.body();
        // Piece by piece, as it comes.
        let _ = bytes.chunks(1000).all(|piece| body.push(piece));
        service.logout.receive(&head, body).await.into_response()
    } else {
        match service.admin.admit(&head).await {
            Ok(administrator) => {
                let mut body = administrator.body();
                let _ = bytes.chunks(1000).all(|piece| body.push(piece));
                administrator.answer(&head, body).await.into_response()
            }
            Err(rejection) => rejection.into_response(),
        }
    };
    Answer::of_core(response)
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let length = body.len().to_string();
    let fixed = [("cache-control", "no-store"), ("content-length", length.as_str())];
    let fixed = fixed.iter().filter(|(name, _)| status != 204 || *name == "cache-control");
    let headers = fixed.chain(headers).map(|(name, value)| (*name, value.as_bytes()));
    Answer::new(status, headers, body)
}

// Logout.

/// A logout token as oidc-provider makes them, but for `sid`.
fn logout_token() -> TokenBuilder {
    logout_token_of(&issuer())
}

fn logout_token_of(issuer: &TestIssuer) -> TokenBuilder {
    issuer
        .token(Algorithm::ES256)
        .typ("logout+jwt")
        .audience("web")
        .without("client_id")
        .expires_in(Duration::from_secs(120))
        .claim("events", json!({ EVENT: {} }))
}

fn form(body: impl Into<String>) -> Request {
    Request::new("POST", LOGOUT).header("content-type", FORM).body(body.into())
}

fn post(token: &TokenBuilder) -> Request {
    form(format!("logout_token={}", token.mint()))
}

fn failed(error: &str, description: &str) -> Answer {
    let body = format!(r#"{{"error":"{error}","error_description":"{description}"}}"#);
    answer(400, &[("content-type", JSON)], &body)
}

fn invalid_token() -> Answer {
    failed("invalid_request", "The logout token is not valid.")
}

fn not_one_token() -> Answer {
    failed("invalid_request", "The form does not have exactly one logout_token.")
}

fn no_form() -> Answer {
    failed("invalid_request", "The request is not a POST of a form.")
}

fn too_large() -> Answer {
    failed("invalid_request", "The body is too large, or broke off.")
}

fn logged_out() -> Answer {
    answer(200, &[], "")
}

fn access_token() -> TokenBuilder {
    issuer().token(Algorithm::ES256).claim("sid", "session-1")
}

fn revoked() -> Option<Error> {
    Some(Error::Revocation(RevocationError::Revoked))
}

/// Every token that is no logout token, and what is wrong with it.
fn bad_logout_tokens() -> Vec<(String, String)> {
    let good = logout_token;
    let event = |value: Value| json!({ EVENT: value });
    let mut rows: Vec<(String, TokenBuilder)> = [
        // The issuer's own key of another algorithm.
        (
            "another algorithm",
            issuer()
                .token(Algorithm::ES384)
                .typ("logout+jwt")
                .audience("web")
                .claim("events", event(json!({}))),
        ),
        ("an algorithm that is not the key's", good().header("alg", "ES384")),
        ("a shared secret", good().signed_by(issuer().key(Algorithm::HS256))),
        ("no algorithm", good().without_header("alg")),
        ("an issuer that nobody trusts", good().claim("iss", "https://evil.example")),
        ("the issuer with a slash", good().claim("iss", format!("{ISSUER}/"))),
        ("no issuer", good().without("iss")),
        ("the key of another trusted issuer", good().claim("iss", OTHER_ISSUER)),
        (
            "the key of another trusted issuer, by its name",
            good().claim("iss", OTHER_ISSUER).key_id(other_issuer().key(Algorithm::ES256).id()),
        ),
        ("somebody else's key under the same id", logout_token_of(&issuer().impostor())),
        ("another client", good().audience("someone-else")),
        ("the audience of the API", good().audience(TestIssuer::AUDIENCE)),
        ("a client that differs by case", good().audience("WEB")),
        ("no audience in a list", good().audience(json!([]))),
        ("an audience that is no text", good().audience(json!(1))),
        ("no audience", good().without("aud")),
        (
            "no audience, and the client in another claim",
            good().without("aud").claim("azp", "web").claim("client_id", "web"),
        ),
        ("no events", good().without("events")),
        ("events that are null", good().claim("events", json!(null))),
        ("events that are a list", good().claim("events", json!([EVENT]))),
        ("events that are a text", good().claim("events", EVENT)),
        ("no event", good().claim("events", json!({}))),
        (
            "another event",
            good().claim(
                "events",
                json!({ "http://schemas.openid.net/event/frontchannel-logout": {} }),
            ),
        ),
        (
            "an event that differs by case",
            good().claim("events", json!({ EVENT.to_uppercase(): {} })),
        ),
        ("an event further down", good().claim("events", json!({ "x": { EVENT: {} } }))),
        ("an event that is null", good().claim("events", event(json!(null)))),
        ("an event that is a list", good().claim("events", event(json!([])))),
        ("an event that is a text", good().claim("events", event(json!("{}")))),
        ("an event that is true", good().claim("events", event(json!(true)))),
        ("a nonce", good().claim("nonce", "n")),
        ("a nonce that is null", good().claim("nonce", json!(null))),
        ("a nonce that is empty", good().claim("nonce", "")),
        ("a nonce that is no text", good().claim("nonce", json!({}))),
        ("neither subject nor session", good().without("sub")),
        ("an empty subject", good().subject("")),
        ("an empty subject beside a session", good().subject("").claim("sid", "session-1")),
        ("a subject that is null", good().claim("sub", json!(null))),
        ("a subject that is no text", good().claim("sub", json!(["alice"]))),
        ("an empty session", good().claim("sid", "")),
        ("a session that is no text", good().claim("sid", json!(7))),
        ("a session that is null", good().claim("sid", json!(null))),
        ("a token that expired", good().expired()),
        ("a token that expired by more than the leeway", good().expires_at(NOW - 30)),
        ("no expiry", good().without("exp")),
        ("an expiry that is a text", good().claim("exp", "1800000120")),
        ("no time of issue", good().without("iat")),
        ("a time of issue that is null", good().claim("iat", json!(null))),
        ("a token from the future", good().claim("iat", NOW + 31)),
        ("a token that is not valid yet", good().claim("nbf", NOW + 31)),
        ("a token that lives too long", good().expires_at(NOW + 601)),
        ("no id", good().without("jti")),
        ("an empty id", good().claim("jti", "")),
        ("an id that is no text", good().claim("jti", 1)),
        ("a type that is absent", good().without_header("typ")),
        ("the type of any token", good().typ("JWT")),
        ("the type of an access token", good().typ("at+jwt")),
        ("the type of a security event", good().typ("secevent+jwt")),
        ("a type that is close", good().typ("logout+jwt ")),
        ("an access token", access_token()),
        ("an access token for the client", access_token().audience("web")),
        ("an access token called a logout token", access_token().audience("web").typ("logout+jwt")),
        (
            "an ID token",
            good().typ("JWT").without("events").claim("nonce", "n").claim("sid", "session-1"),
        ),
        ("an ID token called a logout token", good().without("events").claim("at_hash", "x")),
        ("a critical extension", good().header("crit", json!(["exp"]))),
        ("a compressed token", good().header("zip", "DEF")),
        ("another token inside", good().header("cty", "JWT")),
        (
            "a token that brings its key",
            logout_token_of(&issuer().impostor()).header(
                "jwk",
                issuer().impostor().key(Algorithm::ES256).public_jwk().expect("a key pair"),
            ),
        ),
        ("a token that is too long", good().claim("x", "x".repeat(13_000))),
        ("events twice", good().raw_payload(with_member(r#""events":{}"#))),
        ("events twice, once in disguise", good().raw_payload(with_member(r#""\u0065vents":{}"#))),
        (
            "the event twice",
            good().raw_payload(payload(&format!(r#"{{"{EVENT}":{{}},"{EVENT}":1}}"#))),
        ),
        ("a nonce in disguise", good().raw_payload(with_member(r#""\u006eonce":"n""#))),
        ("a subject twice", good().raw_payload(with_member(r#""sub":"bob""#))),
        (
            "an event that is deep",
            good().raw_payload(payload(&format!(
                r#"{{"{EVENT}":{}{}}}"#,
                r#"{"x":"#.repeat(20) + "1",
                "}".repeat(20)
            ))),
        ),
        (
            "an event that is very deep",
            good().raw_payload(payload(&format!(r#"{{"{EVENT}":{}}}"#, "[".repeat(5_000)))),
        ),
        ("half a surrogate pair", good().raw_payload(with_member(r#""sid":"\ud800""#))),
        ("bytes that are no text", good().raw_payload(b"{\"sid\":\"\xff\"}".to_vec())),
        ("no object", good().raw_payload("[]")),
    ]
    .map(|(what, token)| (what.to_owned(), token))
    .into();
    // As far as the leeway goes, they are good: see below.
    rows.push((
        "an audience among them that is no text".into(),
        good().audience(json!(["web", 1])),
    ));
    let mut rows: Vec<_> = rows.iter().map(|(what, token)| (what.clone(), token.mint())).collect();
    let text = good().mint();
    for (index, forgery) in hostile::none_family(&text).into_iter().enumerate() {
        rows.push((format!("no signature, {index}"), forgery.token));
    }
    rows.extend([
        ("a signature that is another's".into(), hostile::flip_signature_bit(&text)),
        ("another payload".into(), hostile::with_payload(&text, r#"{"sub":"bob"}"#)),
        (
            "the public key as a secret".into(),
            hostile::public_key_as_secret(&text, issuer().key(Algorithm::ES256)),
        ),
        ("no token".into(), String::new()),
        ("a text".into(), "logout".into()),
        ("a token with a space".into(), format!("{text} ")),
        ("five parts".into(), format!("{text}.e30.e30")),
    ]);
    rows
}

fn payload(events: &str) -> String {
    format!(
        r#"{{"iss":"{ISSUER}","aud":"web","iat":{NOW},"exp":{},"jti":"j","sub":"alice","events":{events}}}"#,
        NOW + 120
    )
}

fn with_member(member: &str) -> String {
    let all = payload(&format!(r#"{{"{EVENT}":{{}}}}"#));
    format!("{},{member}}}", &all[..all.len() - 1])
}

#[tokio::test]
async fn what_is_no_logout_token_is_answered_400_and_revokes_nothing() {
    let doors = Doors::open(|| Service::new(&[Revocable::Subject, Revocable::Session]));
    for (what, token) in bad_logout_tokens() {
        let body: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("logout_token", &token)
            .finish();
        doors.refuse(&what, &form(body), &invalid_token()).await;
    }
    // The same with nothing amiss, so that the rows above prove something.
    for (what, token) in [
        ("a good token", logout_token()),
        (
            "the same payload by hand",
            logout_token().raw_payload(payload(&format!(r#"{{"{EVENT}":{{}}}}"#))),
        ),
        ("the other client, among others", logout_token().audience(["x", "app"])),
        ("a token as long-lived as may be", logout_token().expires_at(NOW + 600)),
        ("a token that expired within the leeway", logout_token().expires_at(NOW - 29)),
        ("a token of a clock that is fast", logout_token().claim("iat", NOW + 30)),
        ("the type in full", logout_token().typ("application/LOGOUT+jwt")),
        (
            "another event beside it",
            logout_token().claim("events", json!({ EVENT: { "x": [1] }, "urn:x": 1 })),
        ),
        ("a claim of the provider's own", logout_token().claim("trace_id", json!({ "a": null }))),
    ] {
        assert_eq!(doors.ask(what, &post(&token)).await, logged_out(), "{what}");
    }
    for service in doors.services() {
        assert!(service.changes() > 0);
    }
}

#[tokio::test]
async fn a_request_that_is_no_form_with_one_token_is_answered_400_and_revokes_nothing() {
    let doors = Doors::open(|| Service::new(&[Revocable::Subject]));
    let token = logout_token().mint();
    let pair = format!("logout_token={token}");
    let bare = || Request::new("POST", LOGOUT).body(pair.clone());
    let multipart = format!(
        "--b\r\nContent-Disposition: form-data; name=\"logout_token\"\r\n\r\n{token}\r\n--b--\r\n"
    );
    for (what, request, expected) in [
        ("an empty form", form(""), not_one_token()),
        ("no such parameter", form("token=x"), not_one_token()),
        ("a parameter of another case", form(format!("Logout_Token={token}")), not_one_token()),
        ("two of them", form(format!("{pair}&{pair}")), not_one_token()),
        ("two, and the first is empty", form(format!("logout_token=&{pair}")), not_one_token()),
        ("two, and one is in disguise", form(format!("{pair}&logout%5Ftoken=x")), not_one_token()),
        (
            "the token in the address alone",
            {
                let mut request = form("");
                request.target = format!("{LOGOUT}?{pair}");
                request
            },
            not_one_token(),
        ),
        ("an empty token", form("logout_token="), invalid_token()),
        ("a byte that is no text", form(format!("{pair}%ff")), invalid_token()),
        (
            "one byte too many",
            form(format!("{pair}&x={}", "x".repeat(64 * 1024 - pair.len() - 2))),
            too_large(),
        ),
        ("very many bytes", form(format!("{pair}&x={}", "x".repeat(1024 * 1024))), too_large()),
        ("no media type", bare(), no_form()),
        ("another media type", bare().header("content-type", JSON), no_form()),
        ("a text", bare().header("content-type", "text/plain"), no_form()),
        (
            "two media types",
            bare().header("content-type", FORM).header("content-type", FORM),
            no_form(),
        ),
        (
            "a form of another kind",
            Request::new("POST", LOGOUT)
                .header("content-type", "multipart/form-data; boundary=b")
                .body(multipart),
            no_form(),
        ),
        ("a media type that goes on", bare().header("content-type", format!("{FORM}2")), no_form()),
    ] {
        doors.refuse(what, &request, &expected).await;
    }
    let not_allowed = answer(405, &[("allow", "POST")], "");
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"] {
        let mut request = bare().header("content-type", FORM);
        request.method = method;
        if matches!(method, "GET" | "HEAD") {
            request.body = bytes::Bytes::new();
            request.target = format!("{LOGOUT}?{pair}");
        }
        doors.refuse(method, &request, &not_allowed).await;
    }
    for (what, request) in [
        ("other parameters", form(format!("x=1&{pair}&state=&=&&%"))),
        (
            "parameters of the media type",
            bare().header("content-type", "APPLICATION/x-www-form-urlencoded ; charset=UTF-8"),
        ),
        (
            "as many bytes as may be",
            form(format!("{pair}&x={}", "x".repeat(64 * 1024 - pair.len() - 3))),
        ),
        ("a token in disguise", form(format!("logout%5ftoken=%65{}", &token[1..]))),
        (
            "a session of the browser beside it",
            form(pair.clone()).header("cookie", "x=y").header("origin", "https://evil.example"),
        ),
    ] {
        assert_eq!(doors.ask(what, &request).await, logged_out(), "{what}");
    }
}

#[tokio::test]
async fn a_subject_is_logged_out_up_to_the_logout_and_its_leeway() {
    let doors = Doors::open(|| Service::new(&[Revocable::Subject]));
    let at = |iat: i64| access_token().claim("iat", iat);
    for service in doors.services() {
        assert_eq!(service.refuses(&at(NOW - 100)), None);
    }
    let logout = logout_token().claim("iat", NOW - 60).claim("sid", "session-1");
    // Once more changes nothing: the login in between stays.
    for round in ["a logout", "the same again"] {
        assert_eq!(doors.ask(round, &post(&logout)).await, logged_out(), "{round}");
        for service in doors.services() {
            for iat in [NOW - 100, NOW - 60, NOW - 30] {
                assert_eq!(service.refuses(&at(iat)), revoked(), "{round}: {iat}");
            }
            assert_eq!(service.refuses(&at(NOW - 29)), None, "{round}");
            assert_eq!(service.refuses(&at(NOW - 100).subject("bob")), None, "{round}");
            let namesake = other_issuer().token(Algorithm::ES256).claim("iat", NOW - 100);
            assert_eq!(service.refuses(&namesake), None, "{round}");
            assert_eq!(service.changes(), 1, "{round}");
        }
    }
}

#[tokio::test]
async fn a_session_is_logged_out_and_the_users_others_go_on() {
    for kinds in [&[Revocable::Session][..], &[Revocable::Session, Revocable::Subject]] {
        let doors = Doors::open(|| Service::new(kinds));
        for logout in [
            logout_token().claim("sid", "session-1"),
            logout_token().claim("sid", "session-1").without("sub"),
        ] {
            assert_eq!(doors.ask("a logout", &post(&logout)).await, logged_out());
        }
        for service in doors.services() {
            assert_eq!(service.refuses(&access_token()), revoked());
            assert_eq!(service.refuses(&access_token().claim("sid", "session-2")), None);
            let namesake = other_issuer().token(Algorithm::ES256).claim("sid", "session-1");
            assert_eq!(service.refuses(&namesake), None);
            assert_eq!(service.changes(), 1);
        }
    }
}

#[tokio::test]
async fn a_logout_that_the_policy_does_not_enforce_fails() {
    let nothing =
        failed("invalid_request", "The logout token has nothing by which this service logs out.");
    let by_session = Doors::open(|| Service::new(&[Revocable::Session]));
    by_session.refuse("a subject alone", &post(&logout_token()), &nothing).await;
    let by_subject = Doors::open(|| Service::new(&[Revocable::Subject]));
    let session = logout_token().without("sub").claim("sid", "session-1");
    by_subject.refuse("a session alone", &post(&session), &nothing).await;
}

#[test]
fn a_receiver_that_could_log_nobody_out_is_not_made() {
    let revocations = Revocations::in_memory();
    let policy = |kinds: &[Revocable]| {
        builder().revocations(revocations.enforce(kinds.iter().copied())).build().expect("a policy")
    };
    let fault = |policy: Policy, clients: &[&str]| {
        BackChannelLogout::new(policy, revocations.clone(), clients.iter().copied()).err()
    };
    assert_eq!(fault(policy(&[Revocable::Subject]), &[]), Some(LogoutFault::NoClient));
    assert_eq!(fault(policy(&[Revocable::Subject]), &["web", ""]), Some(LogoutFault::NoClient));
    assert_eq!(fault(policy(&[Revocable::Token]), &["web"]), Some(LogoutFault::NotEnforced));
    assert_eq!(fault(builder().build().expect("one"), &["web"]), Some(LogoutFault::NotEnforced));
    // Those of another handle are not these.
    let elsewhere = Revocations::in_memory();
    let other = builder().revocations(elsewhere.enforce([Revocable::Subject])).build();
    assert_eq!(fault(other.expect("a policy"), &["web"]), Some(LogoutFault::NotEnforced));
}

#[tokio::test]
async fn algorithms_lifetime_and_types_can_be_chosen() {
    let status = async |logout: &BackChannelLogout, token: &TokenBuilder| {
        let (head, body) = post(token).build(Protocol::Http1).into_parts();
        let mut room = logout.body();
        room.push(&body.collect().await.expect("bytes").to_bytes());
        logout.receive(&head, room).await.status()
    };
    let service = Service::new(&[Revocable::Subject]);
    let logout = service.logout.clone().algorithms([Algorithm::ES384]);
    assert_eq!(status(&logout, &logout_token()).await, 400);
    // Access tokens still may not.
    assert!(service.refuses(&issuer().token(Algorithm::ES384)).is_some());

    let logout = service.logout.clone().max_lifetime(Duration::from_secs(119));
    assert_eq!(status(&logout, &logout_token()).await, 400);
    assert_eq!(status(&logout, &logout_token().expires_at(NOW + 119)).await, 200);

    let logout = service.logout.clone().token_types(dangerous::untyped_logout_tokens());
    for (token, expected) in [
        (logout_token(), 200),
        (logout_token().typ("JWT"), 200),
        (logout_token().without_header("typ"), 200),
        (logout_token().typ("at+jwt"), 400),
        (logout_token().typ("secevent+jwt"), 400),
        (logout_token().typ("JWT").without("events"), 400),
        (logout_token().typ("JWT").claim("nonce", "n"), 400),
        (access_token().typ("JWT").audience("web"), 400),
    ] {
        assert_eq!(status(&logout, &token).await, expected, "{token:?}");
    }
}

/// Acknowledges nothing.
#[derive(Debug)]
struct Down;

impl RevocationStore for Down {
    fn publish(&self, _: RevocationEntry) -> PublishFuture {
        Box::pin(async { Err(StoreError::new("it is down")) })
    }
}

fn with_a_store_that_is_down() -> Service {
    let options = Revocations::options().clock(FixedClock::at(NOW));
    let list = options.shared([7; 16], Duration::from_secs(5));
    list.record_contact(portcullis::revocation::store::Moment::now());
    Service::of(Revocations::new(list, Down), &[Revocable::Subject])
}

fn without_room() -> Service {
    let options = Revocations::options().clock(FixedClock::at(NOW));
    Service::of(options.capacity(0).in_memory(), &[Revocable::Subject])
}

#[tokio::test]
async fn a_logout_that_is_not_acknowledged_fails() {
    let unacknowledged = failed("temporarily_unavailable", "The logout was not acknowledged.");
    for service in [with_a_store_that_is_down, without_room] {
        Doors::open(service).refuse("a logout", &post(&logout_token()), &unacknowledged).await;
    }
}

/// Sends bytes, and nothing more, and reads all that comes back.
fn break_off(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    // The server may have had enough already.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    read_all(stream)
}

fn read_all(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_that_breaks_off_or_has_no_end_revokes_nothing() {
    let doors = Doors::open(|| Service::new(&[Revocable::Subject]));
    let form = format!("logout_token={}", logout_token().mint());
    let head = format!("POST {LOGOUT} HTTP/1.1\r\nhost: x\r\ncontent-type: {FORM}\r\n");
    let long = |length: usize| format!("{head}content-length: {length}\r\n\r\n");
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n");
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    for (name, service, address) in doors.servers() {
        // All of the token is there, and more was announced.
        let broken = break_off(address, format!("{}{form}", long(form.len() + 1)).as_bytes());
        assert!(!broken.contains(" 200 "), "{name}: {broken}");
        let first = format!("{chunked}{:x}\r\n{form}\r\n", form.len());
        let broken = break_off(address, first.as_bytes());
        assert!(!broken.contains(" 200 "), "{name}: {broken}");
        // No length is announced, and it goes on and on.
        let endless = break_off(address, format!("{chunked}{}", chunk.repeat(100)).as_bytes());
        assert!(endless.is_empty() || endless.contains(" 400 "), "{name}: {endless}");
        assert_eq!(service.changes(), 0, "{name}");
        // The server goes on.
        let mut stream = TcpStream::connect(address).expect("a connection");
        let good =
            format!("{head}connection: close\r\ncontent-length: {}\r\n\r\n{form}", form.len());
        stream.write_all(good.as_bytes()).expect("it is read");
        let good = read_all(stream);
        assert!(good.contains(" 200 "), "{name}: {good}");
        assert_eq!(service.changes(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_before_it_ends() {
    let doors = Doors::open(|| Service::new(&[Revocable::Subject]));
    let operator = format!("authorization: Bearer {}\r\n", operator().mint());
    for (path, kind, more, status) in
        [(LOGOUT, FORM, String::new(), " 400 "), (ADMIN, JSON, operator, " 413 ")]
    {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\n{more}transfer-encoding: chunked\r\n\r\n"
        );
        for (name, service, address) in doors.servers() {
            let mut stream = TcpStream::connect(address).expect("a connection");
            // Who waits for the end waits in vain.
            stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
            let piece = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
            let _ = stream.write_all(format!("{head}{}", piece.repeat(3)).as_bytes());
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(String::from_utf8_lossy(&answer).contains(status.trim_end()), "{name}");
            assert_eq!(service.changes(), 0, "{name}");
        }
    }
}

// Administrators.

fn operator() -> TokenBuilder {
    operator_of(&issuer())
}

fn operator_of(issuer: &TestIssuer) -> TokenBuilder {
    issuer.token(Algorithm::ES256).subject("carol").claim("role", "operator")
}

fn bearer(method: &'static str, token: &TokenBuilder) -> Request {
    Request::new(method, ADMIN).header("authorization", format!("Bearer {}", token.mint()))
}

fn revoke(token: &TokenBuilder, body: impl Into<String>) -> Request {
    bearer("POST", token).header("content-type", JSON).body(body.into())
}

fn problem(status: u16, detail: &str, code: &str) -> Answer {
    let title =
        StatusCode::from_u16(status).expect("a status").canonical_reason().expect("a phrase");
    let body = format!(
        r#"{{"type":"about:blank","title":"{title}","status":{status},"detail":"{detail}","code":"{code}"}}"#
    );
    answer(status, &[("content-type", "application/problem+json")], &body)
}

fn with(mut answer: Answer, name: &str, value: &str) -> Answer {
    answer.headers.push((name.to_owned(), value.as_bytes().to_vec()));
    answer.headers.sort_unstable();
    answer
}

fn invalid(detail: &str) -> Answer {
    problem(400, detail, "revocation-invalid")
}

fn subject(name: &str) -> String {
    json!({ "revoke": "subject", "issuer": ISSUER, "subject": name }).to_string()
}

#[tokio::test]
async fn only_who_meets_the_rule_revokes_or_sees_anything() {
    let doors = Doors::open(|| Service::new(&[Revocable::Subject]));
    let missing = with(
        problem(401, "This resource needs an access token.", "token-missing"),
        "www-authenticate",
        "Bearer",
    );
    let forbidden = with(
        problem(403, "The access token does not allow this request.", "scope-insufficient"),
        "www-authenticate",
        r#"Bearer error="insufficient_scope", error_description="The access token does not allow this request""#,
    );
    let expired = with(
        problem(401, "The access token has expired.", "token-invalid"),
        "www-authenticate",
        r#"Bearer error="invalid_token", error_description="The access token has expired""#,
    );
    let user = access_token();
    for (what, request, expected) in [
        (
            "nobody revokes",
            Request::new("POST", ADMIN).header("content-type", JSON).body(subject("alice")),
            &missing,
        ),
        ("nobody sees", Request::new("GET", ADMIN), &missing),
        ("nobody deletes", Request::new("DELETE", ADMIN), &missing),
        ("a user revokes", revoke(&user, subject("alice")), &forbidden),
        ("a user sends no JSON", bearer("POST", &user).body("x".repeat(100_000)), &forbidden),
        ("a user sees", bearer("GET", &user), &forbidden),
        (
            "an operator of yesterday revokes",
            revoke(&operator().expired(), subject("alice")),
            &expired,
        ),
    ] {
        doors.refuse(what, &request, expected).await;
    }
    let mut head = bearer("HEAD", &user);
    let mut expected = forbidden.clone();
    expected.body.clear();
    doors.refuse("a user asks for the head", &head, &expected).await;
    // A preflight passes nowhere as an operator.
    head = Request::new("OPTIONS", ADMIN)
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST");
    doors.refuse("a preflight", &head, &missing).await;
    // A logout token, or the like, is no access token.
    let logout = logout_token().claim("role", "operator").audience(TestIssuer::AUDIENCE);
    let refused = with(
        problem(401, "The access token could not be verified.", "token-invalid"),
        "www-authenticate",
        r#"Bearer error="invalid_token", error_description="The access token could not be verified""#,
    );
    doors.refuse("a logout token", &revoke(&logout, subject("alice")), &refused).await;
}

#[tokio::test]
async fn an_administrator_revokes_for_the_issuer_of_its_token_and_whom_it_is_named_for() {
    let refused = problem(
        403,
        "The issuer of the access token may not revoke for this issuer.",
        "revocation-forbidden",
    );
    let theirs = || operator_of(&other_issuer());
    let everything = [
        json!({ "revoke": "token", "issuer": ISSUER, "token_id": "t" }),
        json!({ "revoke": "session", "issuer": ISSUER, "session": "s" }),
        json!({ "revoke": "subject", "issuer": ISSUER, "subject": "alice" }),
        json!({ "revoke": "version", "issuer": ISSUER, "subject": "alice", "current": 2 }),
        json!({ "revoke": "client", "issuer": ISSUER, "client": "web" }),
        json!({ "revoke": "issuer", "issuer": ISSUER, "issued_until": 9_999_999_999_i64 }),
        json!({ "revoke": "key", "issuer": ISSUER, "key_id": "k" }),
    ];
    assert_eq!(everything.len(), Revocable::ALL.len());
    let doors = Doors::open(|| Service::new(&[Revocable::Subject]));
    for body in everything {
        doors.refuse("another issuer's", &revoke(&theirs(), body.to_string()), &refused).await;
    }
    // Nor for an issuer that there is not, or one that is spelled otherwise.
    for issuer in ["https://nobody.example", "https://other.example/"] {
        let body = json!({ "revoke": "issuer", "issuer": issuer }).to_string();
        doors.refuse(issuer, &revoke(&theirs(), body), &refused).await;
    }
    let own = json!({ "revoke": "subject", "issuer": OTHER_ISSUER, "subject": "alice" });
    let own = revoke(&theirs(), own.to_string());
    assert_eq!(doors.ask("its own issuer's", &own).await, answer(204, &[], ""));

    let staff = Doors::open(|| {
        let service = Service::new(&[Revocable::Subject]);
        let admin = service.admin.clone().may_revoke_for(OTHER_ISSUER, [ISSUER]);
        Service { admin, ..service }
    });
    let foreign = json!({ "revoke": "subject", "issuer": OTHER_ISSUER, "subject": "alice" });
    staff.refuse("the other way", &revoke(&operator(), foreign.to_string()), &refused).await;
    let named = revoke(&theirs(), subject("alice"));
    assert_eq!(staff.ask("by name", &named).await, answer(204, &[], ""));

    let all = Doors::open(|| {
        let service = Service::new(&[Revocable::Subject]);
        Service { admin: service.admin.clone().all_issuers(), ..service }
    });
    assert_eq!(all.ask("all issuers", &named).await, answer(204, &[], ""));
}

#[tokio::test]
async fn what_was_revoked_by_mistake_is_lifted_by_whoever_may() {
    let lift = json!({ "lift": "subject", "issuer": ISSUER, "subject": "alice" }).to_string();
    let may_not = problem(
        403,
        "The access token does not allow lifting a revocation.",
        "revocation-forbidden",
    );
    let done = answer(204, &[], "");
    let nobody = Doors::open(|| Service::new(&[Revocable::Subject]));
    assert_eq!(nobody.ask("revokes", &revoke(&operator(), subject("alice"))).await, done);
    nobody.refuse("where nobody may", &revoke(&operator(), &*lift), &may_not).await;

    let doors = Doors::open(|| {
        let service = Service::new(&[Revocable::Subject]);
        let admin = service.admin.clone().may_lift(Requirement::scope("revocations:lift"));
        Service { admin, ..service }
    });
    let trusted = || operator().scope("revocations:lift").subject("operator");
    let unknown = problem(404, "There is no such revocation to lift.", "revocation-unknown");
    doors.refuse("what is not revoked", &revoke(&trusted(), &*lift), &unknown).await;
    assert_eq!(doors.ask("revokes", &revoke(&operator(), subject("alice"))).await, done);
    doors.refuse("by who may only revoke", &revoke(&operator(), &*lift), &may_not).await;
    for service in doors.services() {
        assert_eq!(service.refuses(&access_token()), revoked());
    }
    let foreign = json!({ "lift": "subject", "issuer": OTHER_ISSUER, "subject": "alice" });
    let other = problem(
        403,
        "The issuer of the access token may not revoke for this issuer.",
        "revocation-forbidden",
    );
    doors.refuse("of another issuer", &revoke(&trusted(), foreign.to_string()), &other).await;
    assert_eq!(doors.ask("lifts", &revoke(&trusted(), &*lift)).await, done);
    for service in doors.services() {
        assert_eq!(service.refuses(&access_token()), None);
    }
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_revoke_with_an_operators_cookie() {
    let doors = Doors::open(|| Service::new(&[Revocable::Subject]));
    let cookie = || {
        let cookie = format!("__Host-token={}", operator().mint());
        Request::new("POST", ADMIN).header("cookie", cookie).body(subject("alice"))
    };
    let cross_site =
        problem(403, "The request did not come from an allowed origin.", "cross-site-request");
    for (what, request) in [
        (
            "by script",
            cookie()
                .header("content-type", JSON)
                .header("sec-fetch-site", "cross-site")
                .header("origin", "https://evil.example"),
        ),
        (
            "of an old browser",
            cookie().header("content-type", "text/plain").header("origin", "https://evil.example"),
        ),
    ] {
        doors.refuse(what, &request, &cross_site).await;
    }
    let media_type = problem(415, "The body must be JSON.", "media-type-unsupported");
    let form =
        cookie().header("content-type", "text/plain").header("sec-fetch-site", "same-origin");
    doors.refuse("by a form of the own origin", &form, &media_type).await;
    let own = cookie().header("content-type", JSON).header("sec-fetch-site", "same-origin");
    assert_eq!(doors.ask("by script of the own origin", &own).await.status, 204);
}

#[tokio::test]
async fn an_operator_revokes_and_sees_how_it_does() {
    let doors = Doors::open(|| Service::new(&[Revocable::Subject, Revocable::Session]));
    let operator = operator().claim("sid", "session-9");
    let stats = |sessions: usize, subjects: usize, changes: usize| {
        let body = format!(
            r#"{{"entries":{{"token":0,"session":{sessions},"subject":{subjects},"version":0,"client":0,"issuer":0,"key":0}},"lifts":0,"capacity":1000000,"changes":{changes},"refused":0,"unknown":0,"fresh":true,"last_contact_ms":null,"lag":null}}"#
        );
        answer(200, &[("content-type", JSON)], &body)
    };
    assert_eq!(doors.ask("at first", &bearer("GET", &operator)).await, stats(0, 0, 0));
    let done = answer(204, &[], "");
    assert_eq!(doors.ask("a subject", &revoke(&operator, subject("alice"))).await, done);
    let session =
        json!({ "revoke": "session", "issuer": ISSUER, "session": "s", "until": NOW + 60 });
    let mut request = revoke(&operator, session.to_string());
    request.headers[1].1 = b"Application/JSON; charset=utf-8".to_vec();
    assert_eq!(doors.ask("a session", &request).await, done);
    assert_eq!(doors.ask("after that", &bearer("GET", &operator)).await, stats(1, 1, 2));
    let mut head = stats(1, 1, 2);
    head.body.clear();
    assert_eq!(doors.ask("its head", &bearer("HEAD", &operator)).await, head);
    for service in doors.services() {
        assert_eq!(service.refuses(&access_token()), revoked());
        assert_eq!(service.refuses(&access_token().subject("bob")), None);
        assert_eq!(service.refuses(&access_token().subject("bob").claim("sid", "s")), revoked());
    }
}

#[tokio::test]
async fn what_is_no_revocation_revokes_nothing_and_is_not_repeated() {
    let doors = Doors::open(|| Service::new(&[Revocable::Subject]));
    let malformed = invalid("The body is not a revocation.");
    for body in [
        "",
        "{",
        "null",
        "[]",
        "7",
        r#""subject""#,
        "{}",
        r#"{"revoke":"everything","issuer":"i"}"#,
        r#"{"revoke":"subject","issuer":"i"}"#,
        r#"{"revoke":"subject","issuer":"i","subject":7}"#,
        r#"{"revoke":"subject","issuer":"i","subject":"LEAK","until":7}"#,
        r#"{"revoke":"subject","issuer":"i","subject":"LEAK","issued_until":"now"}"#,
        r#"{"revoke":"subject","issuer":"i","subject":"LEAK","issued_until":1e400}"#,
        r#"{"revoke":"subject","issuer":"i","subject":"LEAK","subject":"bob"}"#,
        r#"{"revoke":"subject","revoke":"issuer","issuer":"i","subject":"LEAK"}"#,
        r#"{"revoke":"subject","issuer":"i","subject":"LEAK"} x"#,
        r#"{"revoke":"version","issuer":"i","subject":"LEAK","current":-1}"#,
        "{\"revoke\":\"subject\",\"issuer\":\"i\",\"subject\":\"LEAK\u{0}\"}",
    ] {
        doors.refuse(body, &revoke(&operator(), body), &malformed).await;
    }
    let deep = format!(r#"{{"revoke":{}"#, "[".repeat(16_000));
    doors.refuse("deep JSON", &revoke(&operator(), deep), &malformed).await;
    let no_text = revoke(&operator(), "").body(&b"{\"revoke\":\"\xff\"}"[..]);
    doors.refuse("bytes that are no text", &no_text, &malformed).await;

    let nameless = invalid("The issuer, or what is to be revoked, is empty.");
    doors.refuse("no name", &revoke(&operator(), subject("")), &nameless).await;
    // Before 1970 there are no instants.
    let early = json!({ "revoke": "issuer", "issuer": ISSUER, "issued_until": -1 }).to_string();
    doors.refuse("an instant before 1970", &revoke(&operator(), early), &malformed).await;

    // Milliseconds, as clocks of browsers give them.
    let milliseconds = NOW * 1000;
    let instant = invalid(
        "`issued_until` is in the future. Times are seconds since 1970: are these milliseconds?",
    );
    let end = invalid(
        "`until` is later than any token ends. Times are seconds since 1970: are these milliseconds? For ever is the word `forever`.",
    );
    for (body, expected) in [
        (json!({ "revoke": "issuer", "issuer": ISSUER, "issued_until": milliseconds }), &instant),
        (
            json!({ "revoke": "subject", "issuer": ISSUER, "subject": "alice", "issued_until": NOW + 3600 }),
            &instant,
        ),
        (
            json!({ "revoke": "session", "issuer": ISSUER, "session": "s", "until": milliseconds }),
            &end,
        ),
        (
            json!({ "revoke": "key", "issuer": ISSUER, "key_id": "k", "until": NOW + 86_400 * 365 }),
            &end,
        ),
        (
            json!({ "revoke": "subject", "lift": "subject", "issuer": ISSUER, "subject": "alice" }),
            &malformed,
        ),
        (
            json!({ "lift": "version", "issuer": ISSUER, "subject": "alice", "current": 7 }),
            &malformed,
        ),
    ] {
        let body = body.to_string();
        doors.refuse(&body, &revoke(&operator(), &*body), expected).await;
    }

    let large = subject(&"x".repeat(16 * 1024));
    let too_large = problem(413, "The body is larger than a revocation is.", "body-too-large");
    doors.refuse("a large body", &revoke(&operator(), large), &too_large).await;
    let media_type = problem(415, "The body must be JSON.", "media-type-unsupported");
    for request in [
        bearer("POST", &operator()).body(subject("alice")),
        bearer("POST", &operator()).header("content-type", FORM).body(subject("alice")),
        bearer("POST", &operator())
            .header("content-type", "application/jsonp")
            .body(subject("alice")),
        revoke(&operator(), subject("alice")).header("content-type", JSON),
    ] {
        doors.refuse("another media type", &request, &media_type).await;
    }
    let method = with(
        problem(405, "There is GET, HEAD and POST.", "method-not-allowed"),
        "allow",
        "GET, HEAD, POST",
    );
    for name in ["PUT", "DELETE", "PATCH"] {
        let mut request = revoke(&operator(), subject("alice"));
        request.method = name;
        doors.refuse(name, &request, &method).await;
    }
}

#[tokio::test]
async fn a_revocation_that_is_not_acknowledged_is_to_be_tried_again() {
    let store = problem(
        503,
        "It was not acknowledged, and may be revoked all the same: try again.",
        "revocation-unavailable",
    );
    let doors = Doors::open(with_a_store_that_is_down);
    let request = revoke(&operator(), subject("alice"));
    doors.refuse("a store that is down", &request, &with(store, "retry-after", "5")).await;
    let full = problem(503, "There is no room for it.", "revocation-unavailable");
    let doors = Doors::open(without_room);
    doors.refuse("no room", &request, &with(full, "retry-after", "60")).await;
}

#[tokio::test]
async fn without_a_bound_on_lifetimes_an_operator_says_until_when() {
    let service = || {
        let revocations = Revocations::options()
            .clock(FixedClock::at(NOW))
            .max_lifetime(dangerous::unlimited_lifetime())
            .in_memory();
        let policy = builder().build().expect("a policy");
        // The receiver is of no use here.
        let mut service = Service::new(&[Revocable::Subject]);
        service.admin = RevocationAdmin::new(revocations.clone(), policy, operators());
        service.revocations = revocations;
        service
    };
    let doors = Doors::open(service);
    let token = json!({ "revoke": "token", "issuer": ISSUER, "token_id": "t" });
    let no_end =
        invalid("There is no bound on the lifetime of tokens: say until when it is revoked.");
    doors.refuse("no end", &revoke(&operator(), token.to_string()), &no_end).await;
    let no_lifetime = invalid(
        "There is no bound on the lifetime of tokens: nobody knows how long to remember this.",
    );
    doors.refuse("a subject", &revoke(&operator(), subject("alice")), &no_lifetime).await;
}

#[tokio::test]
async fn problems_look_as_the_policy_presents_them() {
    let service = || {
        let mut service = Service::new(&[Revocable::Subject]);
        let presentation = Presentation::new()
            .realm("admin")
            .problem_base("https://problems.example/")
            .without_details()
            .on_refusal(|refused, refusal| {
                refusal.set_header("x-reason", refused.error_for_logs().reason());
            });
        let policy = builder().presentation(presentation).build().expect("a policy");
        let revocations = service.revocations.clone();
        service.admin = RevocationAdmin::new(revocations, policy, operators());
        service
    };
    let doors = Doors::open(service);
    let problem =
        |body: &str, status| answer(status, &[("content-type", "application/problem+json")], body);
    let forbidden = problem(
        r#"{"type":"https://problems.example/scope-insufficient","title":"Insufficient scope","status":403,"code":"scope-insufficient"}"#,
        403,
    );
    let forbidden =
        with(forbidden, "www-authenticate", r#"Bearer realm="admin", error="insufficient_scope""#);
    let forbidden = with(forbidden, "x-reason", "forbidden");
    doors.refuse("a user", &bearer("GET", &access_token()), &forbidden).await;
    let malformed = problem(
        r#"{"type":"https://problems.example/revocation-invalid","title":"Invalid revocation","status":400,"code":"revocation-invalid"}"#,
        400,
    );
    doors.refuse("no JSON", &revoke(&operator(), "x"), &malformed).await;
}

#[tokio::test]
async fn why_it_failed_stands_in_the_responses_extensions_and_names_nobody() {
    use tower::ServiceExt as _;
    let service = Service::new(&[Revocable::Subject]);
    let ask = async |request: Request| {
        let request = request.build(Protocol::Http1);
        service.router().oneshot(request).await.expect("it answers")
    };
    let response = ask(post(&logout_token().subject("LEAK").claim("nonce", "LEAK"))).await;
    let error = response.extensions().get::<portcullis::routes::LogoutError>().cloned();
    assert_eq!(error, Some(portcullis::routes::LogoutError::Nonce));
    let response = ask(revoke(&operator(), "LEAK")).await;
    assert_eq!(response.extensions().get(), Some(&AdminError::Malformed));
    let response = ask(bearer("GET", &access_token().subject("LEAK"))).await;
    let Some(Error::Forbidden(forbidden)) = response.extensions().get::<Error>() else {
        panic!("{response:?}");
    };
    assert_eq!(forbidden.missing().collect::<Vec<_>>(), ["`operator` at `role`"]);

    let request = post(&logout_token().subject("LEAK").claim("sid", "LEAK")).header("x", "LEAK");
    let (head, body) = request.build(Protocol::Http1).into_parts();
    let mut room = service.logout.body();
    room.push(&body.collect().await.expect("bytes").to_bytes());
    let shown = format!("{room:?} {:?} {:?}", service.logout, service.admin);
    let reply = service.logout.receive(&head, room).await;
    assert!(!format!("{shown} {reply:?}").contains("LEAK"));
    assert!(!shown.contains("eyJ"), "{shown}");
}

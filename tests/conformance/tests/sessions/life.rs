//! What becomes of a session.
use portcullis::error::SourceError;
use portcullis::source::CookieError;
use portcullis::{Algorithm, Revocations};
use portcullis_conformance::client::{Answer, Protocol, Request};
use portcullis_issuer::routes::{ClientFault, SessionRouteError};
use portcullis_issuer::{
    AccessToken, BeginError, BrowserSessions, EndReason, MintError, NativeSessions, OwnSessions,
    RefreshError, RefreshRefusal, RefreshRequest,
};
use portcullis_testkit::TestIssuer;
use serde_json::Value;

use crate::answers::{answer, away, misconfigured, not_ended, problem, with};
use crate::browsers::{
    both, browser_page, browser_refusals, cleared, login_rows, over, page, strangers,
};
use crate::doors::{Broken, Doors, fill, row};
use crate::native::{GOOD, form, native_refusals, oauth_error};
use crate::own::bearer;
use crate::service::{
    EVERYWHERE, Fault, Given, Held, LOGIN, LOGOUT, OWN, REFRESH, REVOKE, Service, TOKEN, Tokens,
};

/// The value of a cookie that an answer sets.
fn cookie(answer: &Answer, name: &str) -> Option<String> {
    let values = answer.header("set-cookie").map(String::from_utf8_lossy);
    values
        .filter_map(|value| {
            let (own, rest) = value.split_once('=')?;
            let (token, _) = rest.split_once(';')?;
            (own == name).then(|| token.to_owned())
        })
        .next()
}

#[tokio::test]
async fn what_a_refresh_sets_is_good_and_of_the_same_session() {
    let doors = Doors::open().await;
    for held in [Held::Due, Held::Previous] {
        let row = row("web", "a refresh", browser_page(REFRESH), &both()).held(held);
        let look = async |service: &Service, tokens: &Tokens, answer: &Answer| {
            let access = cookie(answer, "__Host-Http-access").expect("an access token");
            let verified = service.policy.verify_token_now(&access).expect("a good token");
            assert_eq!(verified.subject(), Some(&*tokens.subject));
            let refresh = cookie(answer, "__Host-Http-refresh").expect("a refresh token");
            assert_ne!(refresh, tokens.refresh);
            let request = RefreshRequest::new(&refresh, "web");
            let refreshed = service.sessions.refresh(&request).await.expect("it goes on");
            assert_eq!(refreshed.session.id(), tokens.session);
        };
        doors.ask(&row, look).await;
    }
}

#[tokio::test]
async fn what_goes_wrong_on_the_way_consumes_nothing() {
    let doors = Doors::open().await;
    for (path, fault, expected) in [
        (REFRESH, Fault::Store, away()),
        (REFRESH, Fault::Application, away()),
        (REFRESH, Fault::Reserved, misconfigured()),
        (REFRESH, Fault::Long, misconfigured()),
        (LOGOUT, Fault::Store, not_ended()),
        (EVERYWHERE, Fault::Store, away()),
    ] {
        for held in [Held::Due, Held::Previous] {
            let row = row("web", path, browser_page(path), &expected).held(held).fault(fault);
            let look = async |service: &Service, tokens: &Tokens, _: &Answer| {
                let request = RefreshRequest::new(&tokens.refresh, "web");
                let refreshed = service.sessions.refresh(&request).await;
                assert!(refreshed.is_ok_and(|it| it.refresh.is_some()), "{path} {fault:?}");
                assert_eq!(service.count(&tokens.subject).await, 2);
            };
            doors.ask(&row, look).await;
        }
    }
}

/// All of what a route reads is there, and more was announced.
#[tokio::test]
async fn a_body_that_breaks_off_neither_goes_on_with_a_session_nor_ends_it() {
    let doors = Doors::open().await;
    let native = oauth_error(400, "invalid_request", "The body is too large, or broke off.");
    let browser = problem(400, "Bad Request", "The body broke off.", "request-invalid");
    let revocation = form(REVOKE, "client_id=app&token=REFRESH");
    for (client, request, expected) in [
        ("app", form(TOKEN, GOOD), &native),
        ("app", revocation, &native),
        ("web", browser_page(REFRESH).body("x"), &browser),
        ("web", browser_page(LOGOUT).body("x"), &browser),
        ("web", browser_page(EVERYWHERE).body("x"), &browser),
    ] {
        for broken in [Broken::Length, Broken::Chunks] {
            let path = request.target.clone();
            let row = row(client, &path, request.clone(), expected).held(Held::Due).broken(broken);
            let look = async |service: &Service, tokens: &Tokens, _: &Answer| {
                let request = RefreshRequest::new(&tokens.refresh, client);
                let refreshed = service.sessions.refresh(&request).await;
                assert!(refreshed.is_ok_and(|it| it.refresh.is_some()), "{path}");
                assert_eq!(service.count(&tokens.subject).await, 2, "{path}");
            };
            doors.ask(&row, look).await;
        }
    }
}

/// How many sessions of the user are there afterwards, of two.
#[tokio::test]
async fn a_request_ends_what_it_says_and_nothing_else() {
    let doors = Doors::open().await;
    let web = |path: &str, expected: &Answer| row("web", path, browser_page(path), expected);
    let revoke = |token: &str| {
        let body = format!("client_id=app&token={token}");
        row("app", REVOKE, form(REVOKE, &body), &answer(200, &[], ""))
    };
    let one = format!("{OWN}/SESSION");
    let done = answer(204, &[], "");
    let mut rows = vec![
        (web(REFRESH, &both()).held(Held::Due), 2),
        (web(REFRESH, &over()).held(Held::Replayed), 1),
        (web(REFRESH, &over()).held(Held::OtherClient), 2),
        (web(REFRESH, &over()).fault(Fault::Disabled), 1),
        (web(LOGOUT, &cleared()), 1),
        (web(LOGOUT, &cleared()).held(Held::Previous), 1),
        (web(LOGOUT, &cleared()).held(Held::Replayed), 1),
        (web(LOGOUT, &cleared()).held(Held::OtherClient), 2),
        (web(EVERYWHERE, &cleared()), 0),
        (web(EVERYWHERE, &cleared()).held(Held::Previous), 0),
        // Who has an old token from a log ends its session, as with any use of it, and no other.
        (web(EVERYWHERE, &over()).held(Held::Replayed), 1),
        (web(EVERYWHERE, &over()).held(Held::Ended), 1),
        (web(EVERYWHERE, &over()).held(Held::OtherClient), 2),
        (revoke("REFRESH"), 1),
        (revoke("REFRESH").held(Held::Replayed), 1),
        (revoke("OTHER"), 2),
        (revoke("ACCESS"), 2),
        (row("web", "its own", bearer("DELETE", &one), &done), 1),
    ];
    for request in strangers(EVERYWHERE) {
        rows.push((row("web", "a stranger", request, &over()), 2));
    }
    for path in [REFRESH, LOGOUT, EVERYWHERE] {
        rows.extend(browser_refusals(path).into_iter().map(|row| (row, 2)));
    }
    rows.extend(
        native_refusals(REVOKE, "client_id=app&token=REFRESH").into_iter().map(|it| (it, 2)),
    );
    for (row, left) in rows {
        let look = async |service: &Service, tokens: &Tokens, _: &Answer| {
            assert_eq!(service.count(&tokens.subject).await, left, "{}", row.what);
            // Its access token goes with it.
            if row.given.held == Held::Young {
                let verified = service.policy.verify_token_now(&tokens.access);
                assert_eq!(verified.is_err(), left < 2, "{}", row.what);
            }
        };
        doors.ask(&row, look).await;
    }
}

#[tokio::test]
async fn a_login_ends_the_session_whose_cookie_came_along() {
    let doors = Doors::open().await;
    for row in login_rows() {
        let has_cookie =
            row.request.headers.iter().any(|(name, value)| {
                *name == "cookie" && value.windows(7).any(|it| it == b"REFRESH")
            });
        let ends = row.expected.status == 200 && has_cookie;
        let look = async |service: &Service, tokens: &Tokens, answer: &Answer| {
            let left = if ends { 1 } else { 2 };
            assert_eq!(service.count(&tokens.subject).await, left, "{}", row.what);
            if let Some(access) = cookie(answer, "__Host-Http-access") {
                let verified = service.policy.verify_token_now(&access).expect("a good token");
                assert_eq!(verified.subject(), Some("alice"));
            }
        };
        doors.ask(&row, look).await;
    }
}

#[tokio::test]
async fn a_login_whose_token_fits_into_no_cookie_begins_no_session() {
    let service = Service::new().await;
    service.set(Fault::Long);
    let request = page(LOGIN).build(Protocol::Http1);
    let login = service.browser.check_login(&request).expect("of the service");
    let attempt = service.sessions.attempt("alice").await.expect("an attempt");
    let begun = service.sessions.begin(login.succeeded(attempt)).await;
    let Err(BeginError::Token(MintError::TooLongForCookie { length, limit })) = begun else {
        panic!("{begun:?}");
    };
    assert!(limit == 4096 - "__Host-Http-access".len() && length > limit, "{length} {limit}");
    assert_eq!(service.count("alice").await, 0);
    // Of another route's login, whose session began: no cookie is written.
    let attempt = service.sessions.attempt("alice").await.expect("an attempt");
    let begun = service.sessions.begin(attempt.succeeded("app")).await.expect("a session");
    let length = begun.access.token.len() + "__Host-Http-access".len();
    assert_eq!(login.cookies(&begun).err(), Some(CookieError::TooLong { length }));
}

/// Links of other sites, and safe methods, are no defence against other sites.
#[tokio::test]
async fn a_login_by_a_link_is_asked_for_by_name() {
    let service = Service::new().await;
    let request = Request::new("GET", LOGIN).header("sec-fetch-site", "cross-site");
    let request = request.build(Protocol::Http1);
    assert_eq!(service.browser.check_login(&request).err(), Some(SessionRouteError::Method));
    let login = service.browser.login_by_link(&request).expect("one cookie or none");
    let attempt = service.sessions.attempt("alice").await.expect("an attempt");
    let begun = service.sessions.begin(login.succeeded(attempt)).await.expect("a session");
    assert!(login.cookies(&begun).is_ok());
}

#[tokio::test]
async fn a_layer_that_refreshes_gets_the_cookie_from_links_too() {
    let service = Service::new().await;
    let lax = service.browser.clone().lax_refresh_cookie();
    let request = page(LOGOUT).build(Protocol::Http1);
    let cleared = lax.log_out(&request, lax.body()).await;
    let cookies: Vec<_> = cleared.headers().filter(|(name, _)| *name == "set-cookie").collect();
    assert!(cookies.iter().all(|(_, value)| value.ends_with(b"; SameSite=Lax")), "{cleared:?}");
}

#[tokio::test]
async fn a_user_ends_no_session_of_another_one() {
    let service = Service::new().await;
    let given = Given { client: "web", ..Given::default() };
    let alice = service.begin(&given, "alice").await;
    let bob = service.begin(&given, "bob").await;
    let target = format!("{OWN}/{}", bob.session);
    let request = fill(&bearer("DELETE", &target), &alice);
    let answer = Answer::of_core(service.ask_core(&request).await);
    assert_eq!(answer.status, 404);
    assert_eq!(service.count("bob").await, 2);
}

#[tokio::test]
async fn pages_follow_each_other_and_each_session_is_on_one() {
    let service = Service::new().await;
    let given = Given { client: "web", ..Given::default() };
    let mut tokens = service.begin(&given, "alice").await;
    for _ in 0..2 {
        tokens = service.begin(&given, "alice").await;
    }
    let (mut seen, mut next) = (Vec::new(), String::new());
    for size in [2, 2, 2, 0] {
        let target = format!("{OWN}?limit=2{next}");
        let request = fill(&bearer("GET", &target), &tokens);
        let answer = Answer::of_core(service.ask_core(&request).await);
        let page: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let sessions = page["sessions"].as_array().expect("a list");
        assert_eq!(sessions.len(), size, "{page}");
        seen.extend(sessions.iter().map(|session| session["id"].to_string()));
        assert_eq!(page.get("next").is_some(), size == 2, "{page}");
        next = page["next"].as_str().map_or_else(String::new, |after| format!("&after={after}"));
        let current = tokens.session.to_string();
        for session in sessions {
            assert_eq!(session["current"] == true, session["id"] == *current, "{page}");
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6);
    // The same as to GET, without it.
    let head = service.ask_core(&fill(&bearer("HEAD", OWN), &tokens)).await;
    let get = service.ask_core(&fill(&bearer("GET", OWN), &tokens)).await;
    assert_eq!(head.headers()["content-length"], get.body().len().to_string());
    assert!(head.body().is_empty());
}

/// A service may be called as a user is, and a user elsewhere as one here.
#[tokio::test]
async fn only_the_token_of_a_session_sees_sessions() {
    const OTHER: &str = "https://other.example";
    let service = Service::new().await;
    let given = Given { client: "web", ..Given::default() };
    let mut tokens = service.begin(&given, "alice").await;
    let session = tokens.session.to_string();
    let elsewhere = TestIssuer::new(OTHER);
    let policy = service.issuer.policy_builder().issuer(elsewhere.trusted(&[Algorithm::ES256]));
    let policy = policy.build().expect("a policy");
    let own = OwnSessions::new(service.sessions.clone(), policy.clone());
    let user = || AccessToken::of_user("alice", "web");
    let mint = async |token| service.issuer.mint(&token).await.expect("a token").token;
    for (what, token, status) in [
        ("of a service", mint(AccessToken::of_service("alice")).await, 403),
        ("of no session", mint(user()).await, 403),
        ("of no session of ours", mint(user().session("not-ours")).await, 403),
        (
            "of another issuer",
            elsewhere.token(Algorithm::ES256).subject("alice").claim("sid", &*session).mint(),
            403,
        ),
        ("of a session", mint(user().session(&session)).await, 200),
    ] {
        assert!(policy.verify_token_now(&token).is_ok(), "{what}");
        tokens.access = token;
        for method in ["GET", "DELETE"] {
            let target = if method == "GET" { OWN } else { "/sessions/AAECAwQFBgcICQoLDA0ODw" };
            let request = fill(&bearer(method, target), &tokens).build(Protocol::Http1);
            let found = match own.admit(&request).await {
                Ok(owner) if method == "GET" => owner.list(&request).await.status(),
                Ok(owner) => owner.end(&request).await.status(),
                Err(rejection) => rejection.status(),
            };
            let expected = if method == "DELETE" && status == 200 { 404 } else { status };
            assert_eq!(found, expected, "{what} {method}");
        }
    }
}

/// It ended, and its access tokens are good until they expire: that is tried again by itself, and by who logs out again.
#[tokio::test]
async fn an_end_that_is_not_revoked_is_to_be_tried_again() {
    let doors = Doors::with(|| Revocations::options().capacity(0).in_memory()).await;
    let revocation = "client_id=app&token=REFRESH";
    let away = oauth_error(
        503,
        "temporarily_unavailable",
        "The session may not have ended everywhere: try again.",
    );
    let rows = [
        row("web", LOGOUT, browser_page(LOGOUT), &not_ended()),
        row("web", LOGOUT, browser_page(LOGOUT), &not_ended()).held(Held::Previous),
        row("web", EVERYWHERE, browser_page(EVERYWHERE), &not_ended()),
        row("app", REVOKE, form(REVOKE, revocation), &with(away, "retry-after", "1")),
        row("web", OWN, bearer("DELETE", &format!("{OWN}/SESSION")), &not_ended()),
    ];
    for row in rows {
        let left = usize::from(row.request.target != EVERYWHERE);
        let look = async |service: &Service, tokens: &Tokens, _: &Answer| {
            assert_eq!(service.count(&tokens.subject).await, left, "{}", row.what);
        };
        doors.ask(&row, look).await;
    }
}

#[tokio::test]
async fn why_it_failed_stands_in_the_responses_extensions_and_names_nobody() {
    use tower::ServiceExt as _;
    let service = Service::new().await;
    let given = Given { client: "web", held: Held::Replayed, ..Given::default() };
    let tokens = service.begin(&given, "LEAK").await;
    let ask = async |request: &Request| {
        let request = fill(request, &tokens).build(Protocol::Http1);
        let response = service.router().oneshot(request).await.expect("it answers");
        response.extensions().get::<SessionRouteError>().cloned().expect("an error")
    };
    let replay = RefreshRefusal::Ended(EndReason::Replay);
    let expected = SessionRouteError::Refresh(RefreshError::Refused(replay));
    assert_eq!(ask(&browser_page(REFRESH)).await, expected);
    let expected = SessionRouteError::Cookie(SourceError::Missing);
    assert_eq!(ask(&page(REFRESH)).await, expected);
    let expected = SessionRouteError::Missing { parameter: "client_id" };
    assert_eq!(ask(&form(TOKEN, "grant_type=refresh_token&x=LEAK")).await, expected);
    service.set(Fault::Store);
    let error = ask(&browser_page(LOGOUT)).await;
    assert!(error.to_string().contains("connection refused"), "{error}");

    let request = browser_page(LOGIN).build(Protocol::Http1);
    let login = service.browser.check_login(&request).expect("of the service");
    let shown =
        format!("{:?} {:?} {:?} {login:?} {error:?}", service.browser, service.native, service.own);
    assert!(!shown.contains("LEAK") && !shown.contains("pcl_rt"), "{shown}");
}

#[tokio::test]
async fn a_client_or_an_origin_that_nobody_could_have_is_a_fault() {
    let service = Service::new().await;
    let sessions = || service.sessions.clone();
    let fault = |client: String| BrowserSessions::new(sessions(), client).err();
    assert_eq!(fault(String::new()), Some(ClientFault::Name { length: 0 }));
    assert_eq!(fault("x".repeat(1025)), Some(ClientFault::Name { length: 1025 }));
    assert_eq!(fault("x".repeat(1024)), None);
    let fault = |clients: &[&str]| NativeSessions::new(sessions(), clients.iter().copied()).err();
    assert_eq!(fault(&[]), Some(ClientFault::None));
    assert_eq!(fault(&["app", ""]), Some(ClientFault::Name { length: 0 }));
    let origin = service.browser.clone().allowed_origins(["app.example"]).err();
    assert!(origin.is_some_and(|fault| fault.origin == "app.example"));
}

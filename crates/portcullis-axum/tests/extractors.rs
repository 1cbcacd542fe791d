//! What the extractors give and refuse, with the layer, with a lenient one, and without.
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::routing::get;
use http_body_util::BodyExt;
use portcullis::error::{ShapeError, SourceError, TokenError};
use portcullis::keys::{KeyError, KeyFuture, KeyQuery, KeysUnavailable};
use portcullis::{Algorithm, Error, Issuer, KeySet, KeySource, Keys, Presentation};
use portcullis_axum::{Caller, Policy, Rejection, Verified, VerifyLayer};
use portcullis_testkit::TestIssuer;
use serde::Deserialize;
use serde_json::json;
use tower::ServiceExt;

#[derive(Deserialize)]
struct User {
    sub: String,
    tenant: String,
}

async fn verified(Verified(user): Verified<User>) -> String {
    format!("{} of {}", user.sub, user.tenant)
}

async fn maybe_verified(user: Option<Verified<User>>) -> String {
    user.map_or("nobody".to_owned(), |user| format!("{} of {}", user.sub, user.tenant))
}

async fn caller(caller: Caller) -> String {
    caller.subject().unwrap_or("-").to_owned()
}

async fn maybe_caller(caller: Option<Caller>) -> String {
    caller.map_or("nobody".to_owned(), |caller| caller.subject().unwrap_or("-").to_owned())
}

const NEEDS: [&str; 2] = ["/verified", "/caller"];
const CAN_DO_WITHOUT: [&str; 2] = ["/maybe/verified", "/maybe/caller"];

/// One route for each extractor, and nothing in front.
fn bare() -> Router {
    Router::new()
        .route("/verified", get(verified))
        .route("/caller", get(caller))
        .route("/maybe/verified", get(maybe_verified))
        .route("/maybe/caller", get(maybe_caller))
}

fn app(policy: Policy) -> Router {
    bare().layer(VerifyLayer::new(policy))
}

fn issuer() -> TestIssuer {
    TestIssuer::new("https://id.example").at(1_800_000_000)
}

fn good() -> String {
    issuer().token(Algorithm::ES256).claim("tenant", "acme").mint()
}

#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
    why: Option<Error>,
}

impl Reply {
    fn challenge(&self) -> Option<&str> {
        self.headers.get("www-authenticate").map(|value| value.to_str().expect("text"))
    }

    fn code(&self) -> String {
        let problem: serde_json::Value = serde_json::from_str(&self.body).expect("a problem");
        problem["code"].as_str().expect("a code").to_owned()
    }
}

async fn send(app: Router, method: Method, path: &str, token: Option<&str>) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Body::empty()).expect("a request");
    let (head, body) = app.oneshot(request).await.expect("a response").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Reply {
        status: head.status,
        headers: head.headers,
        body: String::from_utf8(body.into()).expect("text"),
        why: head.extensions.get().cloned(),
    }
}

async fn get_from(app: Router, path: &str, token: Option<&str>) -> Reply {
    send(app, Method::GET, path, token).await
}

#[tokio::test]
async fn a_good_token_reaches_every_extractor_whether_or_not_one_is_needed() {
    for policy in [issuer().policy(), issuer().policy().allow_anonymous()] {
        for (path, body) in [
            ("/verified", "alice of acme"),
            ("/maybe/verified", "alice of acme"),
            ("/caller", "alice"),
            ("/maybe/caller", "alice"),
        ] {
            let reply = get_from(app(policy.clone()), path, Some(&good())).await;
            assert_eq!((reply.status, &*reply.body), (StatusCode::OK, body), "{path}");
            assert_eq!(reply.why, None);
        }
    }
}

#[tokio::test]
async fn without_a_token_nothing_passes_a_layer_that_needs_one() {
    for path in [NEEDS, CAN_DO_WITHOUT].concat() {
        let reply = get_from(app(issuer().policy()), path, None).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!((reply.challenge(), &*reply.code()), (Some("Bearer"), "token-missing"));
        assert_eq!(reply.why, Some(SourceError::Missing.into()));
    }
}

#[tokio::test]
async fn without_a_token_a_lenient_layer_leaves_it_to_the_extractor() {
    let app = app(issuer().policy().allow_anonymous());
    for path in CAN_DO_WITHOUT {
        let reply = get_from(app.clone(), path, None).await;
        assert_eq!((reply.status, &*reply.body), (StatusCode::OK, "nobody"), "{path}");
    }
    for path in NEEDS {
        let reply = get_from(app.clone(), path, None).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!((reply.challenge(), &*reply.code()), (Some("Bearer"), "token-missing"));
        assert_eq!(reply.why, Some(SourceError::Missing.into()));
    }
}

#[tokio::test]
async fn a_bad_token_passes_nowhere() {
    for policy in [issuer().policy(), issuer().policy().allow_anonymous()] {
        for path in [NEEDS, CAN_DO_WITHOUT].concat() {
            let reply = get_from(app(policy.clone()), path, Some("not-a-token")).await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(reply.code(), "token-invalid");
            assert!(reply.challenge().is_some_and(|text| text.contains("invalid_token")));
            assert!(matches!(reply.why, Some(Error::Token(TokenError::Parts { .. }))), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn claims_of_another_shape_are_unsuitable_even_where_none_are_needed() {
    for tenant in [None, Some(json!(7)), Some(json!(null))] {
        let token = issuer().token(Algorithm::ES256);
        let token = match tenant {
            Some(tenant) => token.claim("tenant", tenant),
            None => token,
        };
        for path in ["/verified", "/maybe/verified"] {
            let reply =
                get_from(app(issuer().policy().allow_anonymous()), path, Some(&token.mint())).await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path}");
            assert_eq!((reply.challenge(), &*reply.code()), (None, "token-unsuitable"));
            let Some(Error::Shape(error)) = reply.why else { panic!("{:?}", reply.why) };
            let _: ShapeError = error;
        }
        let reply = get_from(app(issuer().policy()), "/caller", Some(&token.mint())).await;
        assert_eq!(reply.status, StatusCode::OK, "the whole token has no shape to miss");
    }
}

#[tokio::test]
async fn without_the_layer_every_extractor_refuses_and_says_what_was_forgotten() {
    for path in [NEEDS, CAN_DO_WITHOUT].concat() {
        for token in [None, Some(good())] {
            let reply = get_from(bare(), path, token.as_deref()).await;
            assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
            assert_eq!((reply.challenge(), &*reply.code()), (None, "misconfigured"));
            assert!(!reply.body.contains("VerifyLayer"), "that is nothing for clients");
            assert_eq!(reply.why, Some(Error::NotInstalled));
            assert!(Error::NotInstalled.to_string().contains("add `VerifyLayer`"));
        }
    }
}

#[tokio::test]
async fn routes_added_after_the_layer_are_not_covered_and_refuse() {
    let app = Router::new().layer(VerifyLayer::new(issuer().policy())).route("/late", get(caller));
    let reply = get_from(app, "/late", Some(&good())).await;
    assert_eq!(reply.why, Some(Error::NotInstalled));
}

#[tokio::test]
async fn a_refusal_of_head_is_that_of_get_without_its_body() {
    let lenient = issuer().policy().allow_anonymous();
    for (by, app, path) in [
        ("the layer", app(issuer().policy()), "/caller"),
        ("an extractor", app(lenient.clone()), "/caller"),
        ("an extractor of claims", app(lenient), "/verified"),
        ("an extractor without its layer", bare(), "/caller"),
    ] {
        let mut answers = Vec::new();
        for method in [Method::GET, Method::HEAD] {
            let mut reply = send(app.clone(), method, path, None).await;
            assert!(reply.status.is_client_error() || reply.status.is_server_error());
            reply.headers.remove("content-length");
            answers.push(reply);
        }
        let [of_get, of_head] = <[Reply; 2]>::try_from(answers).expect("two");
        assert_eq!((of_get.status, &of_get.headers), (of_head.status, &of_head.headers), "{by}");
        assert_eq!(of_get.why, of_head.why, "{by}");
        assert!(!of_get.body.is_empty() && of_head.body.is_empty(), "{by}");
    }
}

#[tokio::test]
async fn an_extractor_refuses_as_its_policy_presents_itself() {
    let presentation = Presentation::new().realm("orders").on_refusal(|refused, refusal| {
        refusal.set_header("x-reason", refused.error_for_logs().reason());
    });
    let policy = issuer().policy_builder().presentation(presentation).allow_anonymous();
    let app = app(policy.build().expect("a policy"));
    let reply = get_from(app.clone(), "/caller", None).await;
    assert_eq!(reply.challenge(), Some(r#"Bearer realm="orders""#));
    assert_eq!(reply.headers["x-reason"], "token_missing");
    let shapeless = issuer().token(Algorithm::ES256).mint();
    let reply = get_from(app, "/verified", Some(&shapeless)).await;
    assert_eq!(reply.headers["x-reason"], "claims_shape");
}

#[tokio::test]
async fn claims_are_read_once_and_shared() {
    async fn twice(Verified(one): Verified<User>, Verified(other): Verified<User>) -> String {
        Arc::ptr_eq(&one, &other).to_string()
    }
    let app = Router::new().route("/", get(twice)).layer(VerifyLayer::new(issuer().policy()));
    // What the first request reads is room for the next ones.
    get_from(app.clone(), "/", Some(&good())).await;
    assert_eq!(get_from(app, "/", Some(&good())).await.body, "true");
}

#[tokio::test]
async fn a_handler_may_take_the_rejection_itself() {
    async fn own(caller: Result<Caller, Rejection>) -> String {
        caller.map_or_else(|rejection| rejection.error().reason().to_owned(), |_| "in".to_owned())
    }
    let policy = issuer().policy().allow_anonymous();
    let app = Router::new().route("/", get(own)).layer(VerifyLayer::new(policy));
    assert_eq!(get_from(app.clone(), "/", None).await.body, "token_missing");
    assert_eq!(get_from(app, "/", Some(&good())).await.body, "in");
}

#[tokio::test]
async fn an_inner_layer_decides_anew() {
    let [lenient, strict] = [issuer().policy().allow_anonymous(), issuer().policy()];
    let app = Router::new()
        .route("/strict", get(maybe_caller).layer(VerifyLayer::new(strict)))
        .route("/lenient", get(maybe_caller))
        .layer(VerifyLayer::new(lenient));
    assert_eq!(get_from(app.clone(), "/lenient", None).await.status, StatusCode::OK);
    assert_eq!(get_from(app.clone(), "/strict", None).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(get_from(app, "/strict", Some(&good())).await.body, "alice");
}

/// Has its keys only once it was asked for them.
#[derive(Debug)]
struct Slow {
    keys: Arc<std::sync::Mutex<KeySet>>,
    found: Result<KeySet, KeysUnavailable>,
}

impl KeySource for Slow {
    fn keys(&self) -> KeySet {
        self.keys.lock().expect("not poisoned").clone()
    }

    fn seek(&self, _: &KeyQuery<'_>) -> Option<KeyFuture> {
        let (keys, found) = (Arc::clone(&self.keys), self.found.clone());
        Some(Box::pin(async move {
            tokio::task::yield_now().await;
            *keys.lock().expect("not poisoned") = found?;
            Ok(())
        }))
    }
}

fn waiting(found: Result<KeySet, KeysUnavailable>) -> Router {
    let keys = Keys::source(Slow { keys: Arc::new(KeySet::empty().into()), found });
    let issuer = Issuer::new("https://id.example").algorithms([Algorithm::ES256]).keys(keys);
    let policy = Policy::builder()
        .issuer(issuer.audience(TestIssuer::AUDIENCE))
        .clock(portcullis_testkit::FixedClock::at(1_800_000_000));
    app(policy.build().expect("a policy"))
}

#[tokio::test]
async fn a_layer_that_has_to_wait_for_keys_waits() {
    let keys = KeySet::from_jwks(issuer().jwks_of(&[Algorithm::ES256])).expect("keys");
    let reply = get_from(waiting(Ok(keys)), "/verified", Some(&good())).await;
    assert_eq!((reply.status, &*reply.body), (StatusCode::OK, "alice of acme"));
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_no_fault_of_the_token() {
    let unavailable =
        KeysUnavailable::new().with_retry_after(Some(std::time::Duration::from_millis(1_500)));
    let reply = get_from(waiting(Err(unavailable.clone())), "/verified", Some(&good())).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.headers["retry-after"], "2");
    assert_eq!((reply.challenge(), &*reply.code()), (None, "verification-unavailable"));
    assert_eq!(reply.why, Some(KeyError::Unavailable(unavailable).into()));
}

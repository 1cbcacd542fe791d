//! What the extractors give and refuse, with the middleware, with a lenient one, and without.
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::http::{Method, StatusCode};
use actix_web::{App, test, web};
use portcullis::error::{SourceError, TokenError};
use portcullis::keys::{KeyError, KeyFuture, KeyQuery, KeysUnavailable};
use portcullis::{Algorithm, Error, Issuer, KeySet, KeySource, Keys, Presentation};
use portcullis_actix::{Caller, Optional, Policy, Rejection, Verified, Verify};
use portcullis_testkit::TestIssuer;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct User {
    sub: String,
    tenant: String,
}

async fn verified(Verified(user): Verified<User>) -> String {
    format!("{} of {}", user.sub, user.tenant)
}

async fn maybe_verified(Optional(user): Optional<Verified<User>>) -> String {
    user.map_or("nobody".to_owned(), |user| format!("{} of {}", user.sub, user.tenant))
}

async fn caller(caller: Caller) -> String {
    caller.subject().unwrap_or("-").to_owned()
}

async fn maybe_caller(Optional(caller): Optional<Caller>) -> String {
    caller.map_or("nobody".to_owned(), |caller| caller.subject().unwrap_or("-").to_owned())
}

const NEEDS: [&str; 2] = ["/verified", "/caller"];
const CAN_DO_WITHOUT: [&str; 2] = ["/maybe/verified", "/maybe/caller"];

/// One route for each extractor, and nothing in front.
fn bare(config: &mut web::ServiceConfig) {
    config
        .route("/verified", web::to(verified))
        .route("/caller", web::to(caller))
        .route("/maybe/verified", web::to(maybe_verified))
        .route("/maybe/caller", web::to(maybe_caller));
}

/// The same behind a policy.
fn behind(policy: Policy) -> impl FnOnce(&mut web::ServiceConfig) {
    |config| _ = config.service(web::scope("").wrap(Verify::new(policy)).configure(bare))
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
    async fn from<B: MessageBody>(response: ServiceResponse<B>) -> Self {
        let status = response.status();
        let headers = response.headers().clone();
        let why = response.response().extensions().get().cloned();
        let body = test::read_body(response).await;
        Self { status, headers, why, body: String::from_utf8(body.into()).expect("text") }
    }

    fn challenge(&self) -> Option<&str> {
        self.headers.get("www-authenticate").map(|value| value.to_str().expect("text"))
    }

    fn code(&self) -> String {
        let problem: serde_json::Value = serde_json::from_str(&self.body).expect("a problem");
        problem["code"].as_str().expect("a code").to_owned()
    }

    /// Sorted: actix-web's headers have no order.
    fn header_list(&self) -> Vec<(String, Vec<u8>)> {
        let mut list: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect();
        list.sort();
        list
    }
}

async fn send(
    api: impl FnOnce(&mut web::ServiceConfig),
    method: Method,
    path: &str,
    token: Option<&str>,
) -> Reply {
    let app = test::init_service(App::new().configure(api)).await;
    let mut request = test::TestRequest::with_uri(path).method(method);
    if let Some(token) = token {
        request = request.insert_header(("authorization", format!("Bearer {token}")));
    }
    // A refusal is a response: an `Err` here would panic.
    Reply::from(test::call_service(&app, request.to_request()).await).await
}

async fn get_from(
    api: impl FnOnce(&mut web::ServiceConfig),
    path: &str,
    token: Option<&str>,
) -> Reply {
    send(api, Method::GET, path, token).await
}

#[actix_web::test]
async fn a_good_token_reaches_every_extractor_whether_or_not_one_is_needed() {
    for policy in [issuer().policy(), issuer().policy().allow_anonymous()] {
        for (path, body) in [
            ("/verified", "alice of acme"),
            ("/maybe/verified", "alice of acme"),
            ("/caller", "alice"),
            ("/maybe/caller", "alice"),
        ] {
            let reply = get_from(behind(policy.clone()), path, Some(&good())).await;
            assert_eq!((reply.status, &*reply.body), (StatusCode::OK, body), "{path}");
            assert_eq!(reply.why, None);
        }
    }
}

#[actix_web::test]
async fn without_a_token_nothing_passes_a_middleware_that_needs_one() {
    for path in [NEEDS, CAN_DO_WITHOUT].concat() {
        let reply = get_from(behind(issuer().policy()), path, None).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!((reply.challenge(), &*reply.code()), (Some("Bearer"), "token-missing"));
        assert_eq!(reply.why, Some(SourceError::Missing.into()));
    }
}

#[actix_web::test]
async fn without_a_token_a_lenient_middleware_leaves_it_to_the_extractor() {
    let policy = issuer().policy().allow_anonymous();
    for path in CAN_DO_WITHOUT {
        let reply = get_from(behind(policy.clone()), path, None).await;
        assert_eq!((reply.status, &*reply.body), (StatusCode::OK, "nobody"), "{path}");
    }
    for path in NEEDS {
        let reply = get_from(behind(policy.clone()), path, None).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!((reply.challenge(), &*reply.code()), (Some("Bearer"), "token-missing"));
        assert_eq!(reply.why, Some(SourceError::Missing.into()));
    }
}

#[actix_web::test]
async fn a_bad_token_passes_nowhere() {
    for policy in [issuer().policy(), issuer().policy().allow_anonymous()] {
        for path in [NEEDS, CAN_DO_WITHOUT].concat() {
            let reply = get_from(behind(policy.clone()), path, Some("not-a-token")).await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(reply.code(), "token-invalid");
            assert!(reply.challenge().is_some_and(|text| text.contains("invalid_token")));
            assert!(matches!(reply.why, Some(Error::Token(TokenError::Parts { .. }))), "{reply:?}");
        }
    }
}

#[actix_web::test]
async fn claims_of_another_shape_are_unsuitable_even_where_none_are_needed() {
    for tenant in [None, Some(json!(7)), Some(json!(null))] {
        let token = issuer().token(Algorithm::ES256);
        let token = match tenant {
            Some(tenant) => token.claim("tenant", tenant),
            None => token,
        };
        for path in ["/verified", "/maybe/verified"] {
            let api = behind(issuer().policy().allow_anonymous());
            let reply = get_from(api, path, Some(&token.mint())).await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path}");
            assert_eq!((reply.challenge(), &*reply.code()), (None, "token-unsuitable"));
            assert!(matches!(reply.why, Some(Error::Shape(_))), "{reply:?}");
        }
        let reply = get_from(behind(issuer().policy()), "/caller", Some(&token.mint())).await;
        assert_eq!(reply.status, StatusCode::OK, "the whole token has no shape to miss");
    }
}

#[actix_web::test]
async fn without_the_middleware_every_extractor_refuses_and_says_what_was_forgotten() {
    for path in [NEEDS, CAN_DO_WITHOUT].concat() {
        for token in [None, Some(good())] {
            let reply = get_from(bare, path, token.as_deref()).await;
            assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
            assert_eq!((reply.challenge(), &*reply.code()), (None, "misconfigured"));
            assert!(!reply.body.contains("Verify"), "that is nothing for clients");
            assert_eq!(reply.why, Some(Error::NotInstalled));
            assert!(Error::NotInstalled.to_string().contains("or `Verify` (actix-web)"));
        }
    }
}

/// Why there is an `Optional`.
#[actix_web::test]
async fn an_option_of_actix_web_swallows_even_what_was_forgotten() {
    async fn swallowing(caller: Option<Caller>) -> String {
        caller.is_some().to_string()
    }
    let reply =
        get_from(|config| _ = config.route("/", web::get().to(swallowing)), "/", None).await;
    assert_eq!((reply.status, &*reply.body), (StatusCode::OK, "false"));
}

#[actix_web::test]
async fn a_refusal_of_head_is_that_of_get_without_its_body() {
    for (by, policy, path) in [
        ("the middleware", Some(issuer().policy()), "/caller"),
        ("an extractor", Some(issuer().policy().allow_anonymous()), "/caller"),
        ("an extractor of claims", Some(issuer().policy().allow_anonymous()), "/verified"),
        ("an extractor without its middleware", None, "/caller"),
    ] {
        let mut answers = Vec::new();
        for method in [Method::GET, Method::HEAD] {
            let mut reply = match &policy {
                Some(policy) => send(behind(policy.clone()), method, path, None).await,
                None => send(bare, method, path, None).await,
            };
            assert!(reply.status.is_client_error() || reply.status.is_server_error());
            _ = reply.headers.remove("content-length");
            answers.push(reply);
        }
        let [of_get, of_head] = <[Reply; 2]>::try_from(answers).expect("two");
        assert_eq!((of_get.status, &of_get.why), (of_head.status, &of_head.why), "{by}");
        assert_eq!(of_get.header_list(), of_head.header_list(), "{by}");
        assert!(!of_get.body.is_empty() && of_head.body.is_empty(), "{by}");
    }
}

#[actix_web::test]
async fn an_extractor_refuses_as_its_policy_presents_itself() {
    let presentation = Presentation::new().realm("orders").on_refusal(|refused, refusal| {
        refusal.set_header("x-reason", refused.error_for_logs().reason());
    });
    let policy = issuer().policy_builder().presentation(presentation).allow_anonymous();
    let policy = policy.build().expect("a policy");
    let reply = get_from(behind(policy.clone()), "/caller", None).await;
    assert_eq!(reply.challenge(), Some(r#"Bearer realm="orders""#));
    assert_eq!(reply.headers.get("x-reason").expect("a header"), "token_missing");
    let shapeless = issuer().token(Algorithm::ES256).mint();
    let reply = get_from(behind(policy), "/verified", Some(&shapeless)).await;
    assert_eq!(reply.headers.get("x-reason").expect("a header"), "claims_shape");
}

#[actix_web::test]
async fn claims_are_read_once_and_shared() {
    async fn twice(Verified(one): Verified<User>, Verified(other): Verified<User>) -> String {
        Arc::ptr_eq(&one, &other).to_string()
    }
    let policy = issuer().policy();
    let api = |config: &mut web::ServiceConfig| {
        config.service(web::resource("/").wrap(Verify::new(policy.clone())).get(twice));
    };
    // What the first request reads is room for the next ones.
    get_from(api, "/", Some(&good())).await;
    assert_eq!(get_from(api, "/", Some(&good())).await.body, "true");
}

#[actix_web::test]
async fn a_handler_may_take_the_rejection_itself() {
    async fn own(caller: Result<Caller, Rejection>) -> String {
        caller.map_or_else(|rejection| rejection.error().reason().to_owned(), |_| "in".to_owned())
    }
    let api = |config: &mut web::ServiceConfig| {
        let policy = issuer().policy().allow_anonymous();
        config.service(web::resource("/").wrap(Verify::new(policy)).get(own));
    };
    assert_eq!(get_from(api, "/", None).await.body, "token_missing");
    assert_eq!(get_from(api, "/", Some(&good())).await.body, "in");
}

#[actix_web::test]
async fn an_inner_middleware_decides_anew() {
    let api = |config: &mut web::ServiceConfig| {
        let [lenient, strict] = [issuer().policy().allow_anonymous(), issuer().policy()];
        let scope = web::scope("")
            .wrap(Verify::new(lenient))
            .service(web::resource("/strict").wrap(Verify::new(strict)).get(maybe_caller))
            .service(web::resource("/lenient").get(maybe_caller));
        config.service(scope);
    };
    assert_eq!(get_from(api, "/lenient", None).await.status, StatusCode::OK);
    assert_eq!(get_from(api, "/strict", None).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(get_from(api, "/strict", Some(&good())).await.body, "alice");
}

/// Whoever returns an `Err` from a middleware loses the outer ones: CORS headers, logs, metrics.
#[actix_web::test]
async fn middleware_further_out_sees_a_refusal_as_a_response() {
    for (by, policy) in
        [("middleware", issuer().policy()), ("extractor", issuer().policy().allow_anonymous())]
    {
        let app = App::new().configure(behind(policy)).wrap_fn(|request, inner| {
            let response = inner.call(request);
            async move {
                let mut response = response.await?;
                let why = response.response().extensions().get::<Error>().map(Error::reason);
                let seen = why.unwrap_or("-").try_into().expect("a header value");
                response.headers_mut().insert("x-seen".try_into().expect("a name"), seen);
                Ok(response)
            }
        });
        let app = test::init_service(app).await;
        let request = test::TestRequest::with_uri("/caller").to_request();
        let reply = Reply::from(test::call_service(&app, request).await).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{by}");
        assert_eq!(reply.headers.get("x-seen").expect("a header"), "token_missing", "{by}");
    }
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
        let mut has_waited = false;
        let once = std::future::poll_fn(move |context| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut has_waited, true) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        });
        Some(Box::pin(async move {
            once.await;
            *keys.lock().expect("not poisoned") = found?;
            Ok(())
        }))
    }
}

fn waiting(found: Result<KeySet, KeysUnavailable>) -> impl FnOnce(&mut web::ServiceConfig) {
    let keys = Keys::source(Slow { keys: Arc::new(KeySet::empty().into()), found });
    let issuer = Issuer::new("https://id.example").algorithms([Algorithm::ES256]).keys(keys);
    let policy = Policy::builder()
        .issuer(issuer.audience(TestIssuer::AUDIENCE))
        .clock(portcullis_testkit::FixedClock::at(1_800_000_000));
    behind(policy.build().expect("a policy"))
}

#[actix_web::test]
async fn a_middleware_that_has_to_wait_for_keys_waits() {
    let keys = KeySet::from_jwks(issuer().jwks_of(&[Algorithm::ES256])).expect("keys");
    let reply = get_from(waiting(Ok(keys)), "/verified", Some(&good())).await;
    assert_eq!((reply.status, &*reply.body), (StatusCode::OK, "alice of acme"));
}

#[actix_web::test]
async fn keys_that_cannot_be_had_are_no_fault_of_the_token() {
    let unavailable =
        KeysUnavailable::new().with_retry_after(Some(std::time::Duration::from_millis(1_500)));
    let reply = get_from(waiting(Err(unavailable.clone())), "/verified", Some(&good())).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.headers.get("retry-after").expect("a header"), "2");
    assert_eq!((reply.challenge(), &*reply.code()), (None, "verification-unavailable"));
    assert_eq!(reply.why, Some(KeyError::Unavailable(unavailable).into()));
}

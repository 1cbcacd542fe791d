//! `examples/axum-optional-cookie`, and pages of another origin, with leave (CORS) and without.
use axum::Router;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderName, Method};
use axum::routing::get;
use core::time::Duration;
use example_axum_optional_cookie::{COOKIE, app, policy};
use portcullis::{Algorithm, PolicyBuilder};
use portcullis_axum::VerifyLayer;
use portcullis_browser::{API, APP, BLOG, EVIL, Service, Stage, issuer, login};
use portcullis_testkit::FixedClock;
use serde_json::json;
use tower_http::cors::CorsLayer;

const HOME: &str = "https://api.app.example/";
const LOGIN: &str = "https://api.app.example/login";
const LOGOUT: &str = "https://api.app.example/logout";

fn token() -> String {
    issuer().token(Algorithm::ES256).mint()
}

fn example(builder: PolicyBuilder) -> Router {
    app(policy(builder).expect("a policy")).expect("an app")
}

/// Leave for the pages of [`APP`] to send a header, and to read.
fn leave(header: HeaderName) -> CorsLayer {
    CorsLayer::new()
        .allow_origin([APP.parse().expect("an origin")])
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header])
}

#[tokio::test]
async fn its_own_page_is_greeted_while_it_is_logged_in() {
    let service = Service::axum(example(issuer().policy_builder())).await;
    let Some(stage) = Stage::or_leave_out(service).await else { return };
    stage.open(API).await;
    assert_eq!(stage.fetch("GET", HOME, json!({})).await, "200 hello stranger");
    assert_eq!(stage.fetch("POST", LOGIN, login(&token())).await, "204");
    assert_eq!(stage.fetch("GET", HOME, json!({})).await, "200 hello alice");
    assert_eq!(stage.fetch("POST", LOGOUT, json!({})).await, "204");
    assert_eq!(stage.fetch("GET", HOME, json!({})).await, "200 hello stranger");
}

#[tokio::test]
async fn a_page_elsewhere_logs_nobody_out() {
    let service = Service::axum(example(issuer().policy_builder())).await;
    let Some(mut stage) = Stage::or_leave_out(service).await else { return };
    stage.open(API).await;
    assert_eq!(stage.fetch("POST", LOGIN, login(&token())).await, "204");
    for (page, refused) in [
        (BLOG, "POST /logout same-site [__Host-token] 403 cross_site"),
        (EVIL, "POST /logout cross-site [] 401 token_missing"),
    ] {
        stage.open(page).await;
        stage.fetch("POST", LOGOUT, json!({ "mode": "no-cors" })).await;
        assert_eq!(stage.service.saw("POST /logout").await, refused);
        // The answer to a form may set cookies, since it becomes the page.
        stage.submit_form(LOGOUT).await;
        assert_eq!(stage.service.saw("POST /logout").await, refused);
        stage.open(API).await;
        assert_eq!(stage.cookies().await, [COOKIE]);
    }
}

#[tokio::test]
async fn an_expired_cookie_costs_one_refusal() {
    let clock = FixedClock::at(1_800_000_000);
    let issuer = issuer().clock(clock.clone());
    let service = Service::axum(example(issuer.policy_builder())).await;
    let Some(stage) = Stage::or_leave_out(service).await else { return };
    stage.open(API).await;
    assert_eq!(stage.fetch("POST", LOGIN, login(&token())).await, "204");
    clock.advance(Duration::from_secs(3600));
    assert!(stage.fetch("GET", HOME, json!({})).await.starts_with("401 "));
    assert_eq!(stage.cookies().await, [""; 0]);
    assert_eq!(stage.fetch("GET", HOME, json!({})).await, "200 hello stranger");
}

#[tokio::test]
async fn a_page_of_another_origin_needs_leave_of_cors_and_of_the_policy() {
    let policy = issuer().policy_builder().allowed_origins([APP]);
    let app = example(policy).layer(leave(CONTENT_TYPE).allow_credentials(true));
    let Some(mut stage) = Stage::or_leave_out(Service::axum(app).await).await else { return };
    stage.open(APP).await;
    assert_eq!(stage.fetch("POST", LOGIN, login(&token())).await, "204");
    assert_eq!(
        stage.service.seen(),
        ["OPTIONS /login same-site [] 200", "POST /login same-site [] 204"]
    );
    assert_eq!(stage.fetch("GET", HOME, json!({})).await, "200 hello alice");
    let without = json!({ "credentials": "same-origin" });
    assert_eq!(stage.fetch("GET", HOME, without).await, "200 hello stranger");

    stage.open(BLOG).await;
    assert_eq!(stage.fetch("GET", HOME, json!({})).await, "TypeError");
    stage.fetch("POST", LOGOUT, json!({ "mode": "no-cors" })).await;
    let refused = "POST /logout same-site [__Host-token] 403 cross_site";
    assert_eq!(stage.service.saw("POST").await, refused);

    stage.open(APP).await;
    assert_eq!(stage.fetch("POST", LOGOUT, json!({})).await, "204");
    stage.open(API).await;
    assert_eq!(stage.cookies().await, [""; 0]);
}

#[tokio::test]
async fn leave_of_cors_alone_is_not_enough_to_write_with_the_cookie() {
    let leave = leave(CONTENT_TYPE).allow_credentials(true);
    let app = example(issuer().policy_builder()).layer(leave);
    let Some(stage) = Stage::or_leave_out(Service::axum(app).await).await else { return };
    stage.open(APP).await;
    assert_eq!(stage.fetch("POST", LOGIN, login(&token())).await, "204");
    assert_eq!(stage.fetch("GET", HOME, json!({})).await, "200 hello alice");
    let refused = stage.fetch("POST", LOGOUT, json!({})).await;
    assert!(refused.starts_with("403 ") && refused.contains("cross-site-request"), "{refused}");
    stage.open(API).await;
    assert_eq!(stage.cookies().await, [COOKIE]);
}

#[tokio::test]
async fn a_token_in_the_header_crosses_origins_only_with_leave_that_stands_outside_the_policy() {
    let init = |token: String| json!({ "credentials": "omit", "headers": { "Authorization": format!("Bearer {token}") } });
    let app = |layer: fn(Router) -> Router| {
        let policy = issuer().policy_builder().build().expect("a policy");
        layer(Router::new().route("/", get(async || "read")).layer(VerifyLayer::new(policy)))
    };
    let Some(mut stage) = Stage::or_leave_out(Service::axum(app(|app| app)).await).await else {
        return;
    };
    stage.open(APP).await;
    assert_eq!(stage.fetch("GET", HOME, init(token())).await, "TypeError");
    assert_eq!(stage.service.seen(), ["OPTIONS / same-site [] 401 token_missing"]);

    let service = Service::axum(app(|app| app.layer(leave(AUTHORIZATION)))).await;
    let Some(mut stage) = Stage::or_leave_out(service).await else { return };
    stage.open(APP).await;
    assert_eq!(stage.fetch("GET", HOME, init(token())).await, "200 read");
    let seen = ["OPTIONS / same-site [] 200", "GET / same-site [] 200"];
    assert_eq!(stage.service.seen(), seen);
    // A refusal can be read too, where the leave stands around it.
    let expired = issuer().token(Algorithm::ES256).expired().mint();
    assert!(stage.fetch("GET", HOME, init(expired)).await.starts_with("401 "));
    stage.open(EVIL).await;
    assert_eq!(stage.fetch("GET", HOME, init(token())).await, "TypeError");
    assert_eq!(stage.service.saw("OPTIONS").await, "OPTIONS / cross-site [] 200");
}

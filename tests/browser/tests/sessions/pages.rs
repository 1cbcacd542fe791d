//! Pages whose server goes on with the session, behind a cache that all users share.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use portcullis_axum::{SilentRefreshLayer, VerifyLayer};
use portcullis_browser::{API, BLOG, EVIL, Stage};
use portcullis_issuer::routes::SilentRefresh;
use portcullis_issuer::store::StoreError;
use serde_json::json;

use crate::site::{LOGIN, LOGOUT, ME, Site, log_in, me};

/// The same for all users. It says how often it was made.
const MENU: &str = "https://api.app.example/menu";
const RUN_OUT: &str = "https://api.app.example/run-out";
const ACCESS: &str = "__Host-Http-access";
const REFRESH: &str = "__Host-Http-refresh";

/// How many tabs load a page at once, and how often.
const TABS: usize = 16;
const ROUNDS: usize = 50;

/// Has the browser keep an access token that is over, as it does a quarter of an hour after the login.
async fn run_out() -> impl IntoResponse {
    // {"alg":"none"} and {"exp":1}: whether it ever was valid, the policy would ask.
    let token = "eyJhbGciOiJub25lIn0.eyJleHAiOjF9.AAAA";
    let cookie = format!("{ACCESS}={token}; Path=/; Secure; HttpOnly; SameSite=Lax");
    ([(SET_COOKIE, cookie)], StatusCode::NO_CONTENT)
}

/// What the access token in the browser is from now on: over.
async fn let_access_run_out(stage: &Stage) {
    stage.open(API).await;
    assert_eq!(stage.fetch("POST", RUN_OUT, json!({})).await, "204");
}

/// A page of the service, and this user logged in.
async fn logged_in(user: &str) -> Option<(Site, Stage)> {
    let mut site = Site::new().await;
    let silent = SilentRefresh::new(site.browser.clone());
    site.browser = silent.browser();
    let made = Arc::<AtomicUsize>::default();
    // For the cache of all users, by both of its names, and not for the browser's own.
    let menu = async move || {
        let number = made.fetch_add(1, Ordering::Relaxed) + 1;
        let headers = [("cache-control", "public, s-maxage=600"), ("x-accel-expires", "600")];
        (headers, format!("menu {number}")).into_response()
    };
    let pages = Router::new()
        .route("/me", get(me))
        .route("/menu", get(menu))
        .layer(VerifyLayer::new(site.policy.clone()))
        .layer(SilentRefreshLayer::new(silent))
        .route("/run-out", post(run_out));
    let stage = Stage::behind_a_cache_or_leave_out(site.service(pages).await).await?;
    log_in(&stage, user).await;
    Some((site, stage))
}

async fn cookies(stage: &Stage) -> Vec<String> {
    let mut cookies = stage.cookies().await;
    cookies.sort_unstable();
    cookies
}

#[tokio::test]
async fn no_cache_gives_the_page_of_a_refresh_or_its_cookies_to_another() {
    let Some((_, stage)) = logged_in("alice").await else { return };
    let_access_run_out(&stage).await;
    stage.open(MENU).await;
    assert_eq!(stage.page().await, "menu 1");
    assert_eq!(cookies(&stage).await, [ACCESS, REFRESH]);

    // It was not stored: who has no cookie is refused, and gets none.
    stage.forget_cookies(API).await;
    assert!(stage.fetch("GET", MENU, json!({})).await.starts_with("401"));
    assert_eq!(cookies(&stage).await, [""; 0]);
    log_in(&stage, "bob").await;
    let_access_run_out(&stage).await;
    assert_eq!(stage.fetch("GET", MENU, json!({})).await, "200 menu 2");
    assert_eq!(stage.fetch("GET", ME, json!({})).await, "200 bob");

    // The cache does store what it may: the page of who needed no refresh.
    assert_eq!(stage.fetch("GET", MENU, json!({})).await, "200 menu 3");
    stage.forget_cookies(API).await;
    assert_eq!(stage.fetch("GET", MENU, json!({})).await, "200 menu 3");
    assert_eq!(cookies(&stage).await, [""; 0]);
}

#[tokio::test]
async fn sixteen_tabs_that_load_a_page_at_once_rotate_once_and_nobody_is_logged_out() {
    let Some((site, stage)) = logged_in("alice").await else { return };
    stage.open_tabs(API, TABS).await;
    for round in 0..ROUNDS {
        let before = site.row().await;
        site.age();
        let_access_run_out(&stage).await;
        let answers = stage.all_tabs_fetch("GET", ME, TABS).await;
        assert_eq!(answers, vec!["200"; TABS], "round {round}");
        let after = site.row().await;
        assert_eq!(after.version.0, before.version.0 + 1, "one write, round {round}");
        assert_eq!(after.ended, None, "round {round}");
        assert_eq!(cookies(&stage).await, [ACCESS, REFRESH], "round {round}");
    }
}

/// Alice's page is on its way when bob logs in, and arrives last: with her access cookie.
#[tokio::test]
async fn a_page_of_the_user_before_that_arrives_late_leaves_the_next_one_logged_in() {
    let Some((site, stage)) = logged_in("alice").await else { return };
    let_access_run_out(&stage).await;
    stage.fetch_meanwhile("GET", &format!("{ME}?hold")).await;
    site.held.notified().await;
    assert_eq!(stage.fetch("POST", &format!("{LOGIN}?user=bob"), json!({})).await, "204");
    site.release.notify_one();
    assert_eq!(stage.meanwhile().await, "200");
    assert_eq!(stage.fetch("GET", ME, json!({})).await, "200 bob");
}

#[tokio::test]
async fn who_follows_a_link_from_another_site_arrives_logged_in_and_nothing_else_of_it_refreshes() {
    let Some((site, mut stage)) = logged_in("alice").await else { return };
    let_access_run_out(&stage).await;
    stage.open(EVIL).await;
    stage.follow(ME).await;
    let seen = stage.service.saw("GET /me").await;
    assert_eq!(seen, format!("GET /me cross-site [{REFRESH}, {ACCESS}] 200"));
    assert_eq!(stage.page().await, "alice");

    let_access_run_out(&stage).await;
    site.age();
    let before = site.row().await;
    stage.open(EVIL).await;
    stage.service.seen();
    assert_eq!(stage.fetch("GET", ME, json!({ "mode": "no-cors" })).await, "opaque");
    assert_eq!(stage.service.seen(), ["GET /me cross-site [] 401 token_missing"]);
    stage.submit_form(ME).await;
    let seen = stage.service.saw("POST /me").await;
    assert_eq!(seen, "POST /me cross-site [] 401 token_missing");
    assert_eq!(site.row().await.version, before.version);

    // A sibling's page can cause a refresh, and reads nothing.
    stage.open(BLOG).await;
    assert_eq!(stage.fetch("GET", ME, json!({})).await, "TypeError");
}

#[tokio::test]
async fn a_page_that_is_fetched_ahead_refreshes_nothing() {
    let Some((site, mut stage)) = logged_in("alice").await else { return };
    let_access_run_out(&stage).await;
    site.age();
    let before = site.row().await;
    stage.prefetch(ME).await;
    let seen = stage.service.saw("GET /me").await;
    assert_eq!(seen, format!("GET /me same-origin [{REFRESH}, {ACCESS}] 401 unknown_algorithm"));
    assert_eq!(site.row().await.version, before.version);
    assert_eq!(cookies(&stage).await, [ACCESS, REFRESH]);
    // And whoever opens it then is served.
    stage.open(ME).await;
    assert_eq!(stage.page().await, "alice");
}

#[tokio::test]
async fn after_a_logout_the_back_button_shows_no_page_of_a_refresh() {
    let Some((site, stage)) = logged_in("alice").await else { return };
    let_access_run_out(&stage).await;
    stage.open(MENU).await;
    assert_eq!(stage.page().await, "menu 1");
    stage.open(API).await;
    assert_eq!(stage.fetch("POST", LOGOUT, json!({})).await, "204");
    assert!(site.row().await.ended.is_some());
    stage.go_back().await;
    assert!(!stage.page().await.contains("menu"), "{}", stage.page().await);
    assert_eq!(cookies(&stage).await, [""; 0]);
}

#[tokio::test]
async fn while_the_store_is_away_a_page_is_503_and_nobody_is_logged_out() {
    let Some((site, stage)) = logged_in("alice").await else { return };
    let_access_run_out(&stage).await;
    site.store.set_fault(Some(StoreError::new("away")));
    assert!(stage.fetch("GET", ME, json!({})).await.starts_with("503"));
    assert_eq!(cookies(&stage).await, [ACCESS, REFRESH]);
    site.store.set_fault(None);
    stage.open(ME).await;
    assert_eq!(stage.page().await, "alice");
    assert_eq!(cookies(&stage).await, [ACCESS, REFRESH]);
}

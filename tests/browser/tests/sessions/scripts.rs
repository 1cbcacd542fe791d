//! Pages whose script refreshes: tabs that do so at once, answers that arrive late, and what other sites can cause.
use axum::Router;
use axum::routing::get;
use portcullis_axum::VerifyLayer;
use portcullis_browser::{API, APP, BLOG, EVIL, Stage};
use portcullis_issuer::EndReason;
use portcullis_issuer::session::SessionStore as _;
use portcullis_issuer::store::StoreError;
use serde_json::json;

use crate::site::{ISSUER, LOGIN, LOGOUT, ME, REFRESH, Site, log_in, me};

/// How many tabs refresh at once, and how often.
const TABS: usize = 16;
const ROUNDS: usize = 200;

/// A page of the service, and this user logged in.
async fn logged_in(user: &str) -> Option<(Site, Stage)> {
    let site = Site::new().await;
    let pages = Router::new().route("/me", get(me)).layer(VerifyLayer::new(site.policy.clone()));
    let stage = Stage::or_leave_out(site.service(pages).await).await?;
    log_in(&stage, user).await;
    Some((site, stage))
}

#[tokio::test]
async fn sixteen_tabs_that_refresh_at_once_rotate_once_and_nobody_is_logged_out() {
    let Some((site, stage)) = logged_in("alice").await else { return };
    stage.open_tabs(API, TABS).await;
    for round in 0..ROUNDS {
        let before = site.row().await;
        site.age();
        let answers = stage.all_tabs_fetch("POST", REFRESH, TABS).await;
        assert_eq!(answers, vec!["204"; TABS], "round {round}");
        let after = site.row().await;
        assert_eq!(after.version.0, before.version.0 + 1, "one write, round {round}");
        assert_eq!(after.generation, before.generation + 1);
        assert_eq!(after.ended, None, "round {round}");
    }
    assert_eq!(stage.fetch("GET", ME, json!({})).await, "200 alice");
}

/// Alice's refresh is on its way when bob logs in, and its answer arrives last.
#[tokio::test]
async fn a_late_answer_of_the_user_before_never_makes_it_the_next_ones_session() {
    let Some((site, stage)) = logged_in("alice").await else { return };
    site.age();
    stage.fetch_meanwhile("POST", &format!("{REFRESH}?hold")).await;
    site.held.notified().await;
    assert_eq!(stage.fetch("POST", &format!("{LOGIN}?user=bob"), json!({})).await, "204");
    assert_eq!(stage.fetch("GET", ME, json!({})).await, "200 bob");
    site.release.notify_one();
    assert_eq!(stage.meanwhile().await, "204");
    // Her cookies, of a session that ended when he logged in: nobody is logged in, and she is not.
    let seen = stage.fetch("GET", ME, json!({})).await;
    assert!(!seen.contains("alice") && seen.starts_with("401"), "{seen}");
    let seen = stage.fetch("POST", REFRESH, json!({})).await;
    assert!(seen.starts_with("401"), "{seen}");
    assert_eq!(stage.fetch("POST", &format!("{LOGIN}?user=bob"), json!({})).await, "204");
    assert_eq!(stage.fetch("GET", ME, json!({})).await, "200 bob");
}

/// One answer is held while another tab rotates the token. Then it arrives.
#[tokio::test]
async fn an_answer_that_arrives_late_leaves_the_newer_token_in_the_jar() {
    let Some((site, stage)) = logged_in("alice").await else { return };
    for _ in 0..10 {
        // Its token is young, and kept.
        stage.fetch_meanwhile("POST", &format!("{REFRESH}?hold")).await;
        site.held.notified().await;
        site.age();
        assert_eq!(stage.fetch("POST", REFRESH, json!({})).await, "204");
        let newer = site.row().await;
        site.release.notify_one();
        assert_eq!(stage.meanwhile().await, "204");
        // Long after the window.
        site.age();
        assert_eq!(stage.fetch("POST", REFRESH, json!({})).await, "204");
        let row = site.row().await;
        assert_eq!((row.generation, row.ended), (newer.generation + 1, None));
    }
}

/// Refused, or away: the winner's cookies stay.
#[tokio::test]
async fn no_refusal_takes_a_cookie_away() {
    let Some((site, stage)) = logged_in("alice").await else { return };
    let both = ["__Host-Http-access", "__Host-Http-refresh"];
    let cookies = async || {
        let mut cookies = stage.cookies().await;
        cookies.sort_unstable();
        cookies
    };
    assert_eq!(cookies().await, both);
    assert_eq!(stage.visible_cookies().await, "", "no script reads them");
    site.store.set_fault(Some(StoreError::new("away")));
    for url in [REFRESH, LOGOUT] {
        assert!(stage.fetch("POST", url, json!({})).await.starts_with("503"));
        assert_eq!(cookies().await, both);
    }
    site.store.set_fault(None);
    assert_eq!(stage.fetch("POST", REFRESH, json!({})).await, "204");
    assert!(stage.fetch("GET", REFRESH, json!({})).await.starts_with("405"));
    let ended = site.sessions.end(site.last(), EndReason::Operator).await;
    assert_eq!(ended, Ok(true));
    assert!(stage.fetch("POST", REFRESH, json!({})).await.starts_with("401"));
    assert_eq!(cookies().await, both);
    assert_eq!(stage.fetch("POST", LOGOUT, json!({})).await, "204");
    assert_eq!(cookies().await, [""; 0]);
}

#[tokio::test]
async fn after_a_logout_the_back_button_shows_no_page_that_is_not_stored() {
    let Some((site, stage)) = logged_in("alice").await else { return };
    assert_eq!(stage.fetch("GET", ME, json!({})).await, "200 alice");
    stage.open(ME).await;
    stage.open(API).await;
    assert_eq!(stage.fetch("POST", LOGOUT, json!({})).await, "204");
    assert!(site.row().await.ended.is_some());
    // Back, to a page that the browser may have kept.
    stage.go_back().await;
    assert!(!stage.page().await.contains("alice"), "{}", stage.page().await);
}

/// Mallory's session is in the browser when alice logs in.
#[tokio::test]
async fn a_session_that_was_planted_ends_when_its_victim_logs_in() {
    let Some((site, stage)) = logged_in("mallory").await else { return };
    let planted = site.last();
    assert_eq!(stage.fetch("POST", &format!("{LOGIN}?user=alice"), json!({})).await, "204");
    let read = site.store.read(ISSUER, planted).await.expect("a store");
    assert!(read.row.expect("a session").ended.is_some());
    assert_eq!(stage.fetch("GET", ME, json!({})).await, "200 alice");
    assert_eq!(stage.fetch("POST", REFRESH, json!({})).await, "204");
}

#[tokio::test]
async fn another_site_or_a_sibling_neither_logs_in_nor_refreshes_nor_logs_out() {
    let Some((site, mut stage)) = logged_in("alice").await else { return };
    let login = format!("{LOGIN}?user=mallory");
    for (page, site_of_it, cookies) in [
        (EVIL, "cross-site", ""),
        (BLOG, "same-site", "__Host-Http-access, __Host-Http-refresh"),
        (APP, "same-site", "__Host-Http-access, __Host-Http-refresh"),
    ] {
        stage.open(page).await;
        stage.service.seen();
        for url in [&login, REFRESH, LOGOUT] {
            assert_eq!(stage.fetch("POST", url, json!({ "mode": "no-cors" })).await, "opaque");
            let seen = stage.service.seen().pop().unwrap_or_default();
            assert!(seen.contains(site_of_it) && seen.contains(" 403"), "{seen}");
            let named = seen.split(['[', ']']).nth(1).unwrap_or_default();
            let mut named: Vec<_> = named.split(", ").collect();
            named.sort_unstable();
            assert_eq!(named.join(", "), cookies, "{seen}");
        }
        stage.submit_form(REFRESH).await;
        let seen = stage.service.saw("POST /session/refresh").await;
        assert!(seen.ends_with("403"), "{seen}");
    }
    assert_eq!(site.row().await.ended, None);
    assert_eq!(site.begun.lock().expect("no panic").len(), 1);
    stage.open(API).await;
    assert_eq!(stage.fetch("GET", ME, json!({})).await, "200 alice");
}

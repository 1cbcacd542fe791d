//! The routes of sessions: what each request is answered by the core, by axum and by actix-web, the latter two over sockets, and
//! what becomes of the session.
mod answers;
mod bound;
mod browsers;
mod certificates;
mod doors;
mod life;
mod native;
mod own;
mod service;

use crate::browsers::{everywhere_rows, login_rows, logout_rows, refresh_rows};
use crate::doors::{Doors, check_headers};
use crate::native::{revoke_rows, token_rows};
use crate::own::own_rows;

#[tokio::test]
async fn a_browsers_session_goes_on_by_its_refresh_cookie() {
    Doors::open().await.ask_all(&refresh_rows()).await;
}

#[tokio::test]
async fn a_logout_clears_both_cookies_or_none() {
    Doors::open().await.ask_all(&logout_rows()).await;
}

#[tokio::test]
async fn a_logout_everywhere_needs_a_token_that_goes_on() {
    Doors::open().await.ask_all(&everywhere_rows()).await;
}

#[tokio::test]
async fn a_login_sets_both_cookies_for_a_page_of_the_service_alone() {
    Doors::open().await.ask_all(&login_rows()).await;
}

#[tokio::test]
async fn a_native_clients_session_goes_on_by_a_form() {
    Doors::open().await.ask_all(&token_rows()).await;
}

#[tokio::test]
async fn a_native_clients_session_is_revoked_by_a_form() {
    Doors::open().await.ask_all(&revoke_rows()).await;
}

#[tokio::test]
async fn users_see_their_sessions_and_end_them() {
    Doors::open().await.ask_all(&own_rows()).await;
}

/// Of every row: each is answered as it says, through each door.
#[test]
fn no_refusal_writes_a_cookie_and_no_answer_may_be_stored() {
    let all = [
        refresh_rows(),
        logout_rows(),
        everywhere_rows(),
        login_rows(),
        token_rows(),
        revoke_rows(),
        own_rows(),
    ];
    let rows: Vec<_> = all.into_iter().flatten().collect();
    assert!(rows.len() > 300, "{}", rows.len());
    for row in rows {
        check_headers(&row.expected, &row.what);
    }
}

//! The routes.
use std::time::Duration;

use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use portcullis_axum::portcullis::{BuildError, Clock, SystemClock};
use portcullis_axum::{Verified, VerifyLayer};
use portcullis_issuer::StoreTime;
use portcullis_issuer::ring::Phase;
use portcullis_issuer::store::RingStore;
use portcullis_issuer::{AccessToken, KeyStatus, TokenIssuer};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// One service that issues tokens and takes them.
pub(crate) fn app<S: RingStore>(issuer: TokenIssuer<S>) -> Result<Router, BuildError> {
    // The keys come from the ring: nothing is fetched.
    let policy = issuer.policy_builder().build()?;
    Ok(Router::new()
        .route("/orders", get(orders))
        .layer(VerifyLayer::new(policy)) // covers what stands before it
        .route("/login", post(log_in))
        .route("/ready", get(ready))
        .route("/keys", get(keys))
        .with_state(issuer.clone())
        .merge(portcullis_axum::issuer_documents(issuer)))
}

/// What a client sends to `/login`, as a form or as JSON. It has no `Debug`: that would show the password.
#[derive(Deserialize)]
struct Login {
    name: String,
    password: String,
}

impl<S: Send + Sync> FromRequest<S> for Login {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let content_type = request.headers().get(CONTENT_TYPE).map(|it| it.as_bytes());
        let sent = if content_type.is_some_and(|it| it.starts_with(b"application/json")) {
            let sent = Json::from_request(request, state).await;
            sent.map(|Json(login)| login).map_err(|refused| refused.status())
        } else {
            let sent = Form::from_request(request, state).await;
            sent.map(|Form(login)| login).map_err(|refused| refused.status())
        };
        sent.map_err(|status| refused(status, "invalid_request"))
    }
}

/// A user of the application.
struct User {
    /// `sub`: a name that stays when the user is renamed.
    subject: &'static str,
    tenant: &'static str,
}

/// DEMO ONLY. Whether a password is right is the application's own business, which Portcullis has no part in. A real
/// application keeps hashes of passwords, made by a well-kept crate for Argon2 or the like, and slows guessing down.
fn authenticate(login: &Login) -> Option<User> {
    match (login.name.as_str(), login.password.as_str()) {
        ("alice", "wonderland") => Some(User { subject: "user-1", tenant: "acme" }),
        ("bob", "builder") => Some(User { subject: "user-2", tenant: "globex" }),
        _ => None,
    }
}

/// The claims of the application's own.
#[derive(Serialize)]
struct OwnClaims {
    tenant: &'static str,
}

/// RFC 6749 §5.1.
#[derive(Serialize)]
struct Granted {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
}

async fn log_in<S: RingStore>(State(issuer): State<TokenIssuer<S>>, login: Login) -> Response {
    let Some(user) = authenticate(&login) else {
        return refused(StatusCode::BAD_REQUEST, "invalid_grant");
    };
    let own = OwnClaims { tenant: user.tenant };
    let minted = issuer.mint(&AccessToken::of_user(user.subject, "web").claims(own)).await;
    match minted {
        Ok(minted) => {
            let granted = Granted {
                expires_in: minted.expires_at.0 - SystemClock.now().0,
                access_token: minted.token,
                token_type: "Bearer",
            };
            ([(CACHE_CONTROL, "no-store")], Json(granted)).into_response()
        }
        Err(error) if error.is_unavailable() => {
            eprintln!("{error}");
            (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "10")], "try again\n").into_response()
        }
        // Of a token that cannot be written as it was described: a mistake in this file.
        Err(error) => {
            eprintln!("{error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// RFC 6749 §5.2.
fn refused(status: StatusCode, error: &str) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], Json(json!({ "error": error }))).into_response()
}

/// The claims that this service goes by. A token without them gets 403.
#[derive(Deserialize)]
struct Customer {
    sub: String,
    tenant: String,
}

async fn orders(Verified(customer): Verified<Customer>) -> String {
    format!("orders of {} at {}\n", customer.sub, customer.tenant)
}

/// For the orchestrator: whether it can issue tokens now.
async fn ready<S: RingStore>(State(issuer): State<TokenIssuer<S>>) -> (StatusCode, &'static str) {
    if issuer.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

/// For the demonstration. In production, `portcullis ring status` shows it to operators.
async fn keys<S: RingStore>(State(issuer): State<TokenIssuer<S>>) -> String {
    keys_in_words(&issuer)
}

/// What each key does, a line for each. It has nothing that is secret.
pub(crate) fn keys_in_words<S: RingStore>(issuer: &TokenIssuer<S>) -> String {
    let Some(status) = issuer.status() else { return "not read yet\n".to_owned() };
    let line = |key: &KeyStatus| format!("{} {}\n", key.key_id, in_words(key, status.now));
    status.keys.iter().map(line).collect()
}

fn in_words(key: &KeyStatus, now: StoreTime) -> String {
    let until = |time: StoreTime| duration(time.since(now));
    let times = &key.times;
    match (key.phase, times.signs_until, times.verifies_until) {
        (Phase::Unpublished, ..) => format!("is published in {}", until(times.published_at)),
        (Phase::Standby, ..) => format!("is published, and signs in {}", until(times.signs_from)),
        (Phase::Signing, Some(end), _) => format!("signs for {} more", until(end)),
        (Phase::Signing, None, _) => "signs".to_owned(),
        (Phase::Retired, _, Some(end)) => {
            format!("signs no longer, and is published for {} more", until(end))
        }
        (Phase::Retired, _, None) => "signs no longer".to_owned(),
        (Phase::Gone, ..) => "is not published any more".to_owned(),
        (Phase::Withdrawn, ..) => "was withdrawn".to_owned(),
    }
}

/// Rounded up.
fn duration(duration: Duration) -> String {
    match duration.as_millis().div_ceil(1000) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds.div_ceil(60)),
        seconds @ 7200..172_800 => format!("{} h", seconds.div_ceil(3600)),
        seconds => format!("{} days", seconds.div_ceil(86_400)),
    }
}

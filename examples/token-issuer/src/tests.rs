//! What is said in `main.rs`, over real files.
use axum::Router;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use portcullis_issuer::TokenIssuer;
use portcullis_sqlx::SqliteRing;
use portcullis_testkit::axum::assert_protected;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;

const ID: &str = "http://127.0.0.1:3000";
const ALICE: &str = "name=alice&password=wonderland";
const FORM: &str = "application/x-www-form-urlencoded";

/// A folder with a database and a root secret, from which the service starts again and again.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn database(&self) -> Database {
        Database::of(&format!("sqlite:{}", self.file("issuer.db").display())).expect("a database")
    }

    fn root_secret(&self) -> PathBuf {
        self.database().root_secret()
    }

    async fn try_to_start(
        &self,
        root_secret: &Path,
        pace: Pace,
    ) -> Result<TokenIssuer<SqliteRing>, String> {
        let Database::Sqlite(file) = self.database() else { panic!("a file") };
        let ring = database::sqlite(file).await.expect("a ring");
        let started = issuer::start(ID, root_secret, ring, pace, &Arc::new(Notify::new())).await;
        started.map_err(|error| error.to_string())
    }

    async fn start(&self) -> TokenIssuer<SqliteRing> {
        self.try_to_start(&self.root_secret(), Pace::Default).await.expect("an issuer")
    }

    async fn app(&self) -> Router {
        service::app(self.start().await).expect("an app")
    }
}

async fn send(app: &Router, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let response = app.clone().oneshot(request).await.expect("a response");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (head.status, head.headers, String::from_utf8(body.into()).expect("text"))
}

async fn get(app: &Router, path: &str, token: &str) -> (StatusCode, String) {
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    let (status, _, body) = send(app, request.body(Body::empty()).expect("a request")).await;
    (status, body)
}

async fn post_login(app: &Router, kind: &str, body: &str) -> (StatusCode, HeaderMap, Value) {
    let request = Request::post("/login").header(CONTENT_TYPE, kind);
    let request = request.body(Body::from(body.to_owned())).expect("a request");
    let (status, headers, body) = send(app, request).await;
    (status, headers, serde_json::from_str(&body).expect("JSON"))
}

async fn log_in(app: &Router) -> String {
    let (status, _, granted) = post_login(app, FORM, ALICE).await;
    assert_eq!(status, StatusCode::OK, "{granted}");
    granted["access_token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn a_second_start_goes_on_with_the_same_keys() {
    let home = Home::new();
    let before = home.app().await;
    let token = log_in(&before).await;
    let keys = get(&before, "/.well-known/jwks.json", "").await;
    assert_eq!(keys.0, StatusCode::OK);
    drop(before); // and what reads the ring for it ends

    let after = home.app().await;
    let orders = (StatusCode::OK, "orders of user-1 at acme\n".to_owned());
    assert_eq!(get(&after, "/orders", &token).await, orders);
    assert_eq!(get(&after, "/.well-known/jwks.json", "").await, keys);
}

#[cfg(unix)]
#[tokio::test]
async fn the_root_secret_and_the_database_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    drop(home.start().await);
    for file in [home.root_secret(), home.file("issuer.db")] {
        let mode = file.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_wrong_root_secret_is_refused_with_the_way_out() {
    let home = Home::new();
    let token = log_in(&home.app().await).await;
    let wrong = home.file("wrong.root");
    root_secret::make_if_missing(&wrong).expect("a secret");
    let error = home.try_to_start(&wrong, Pace::Default).await.expect_err("refused");
    let text = std::fs::read_to_string(&wrong).expect("a secret");
    assert!(error.contains("wrong.root") && error.contains("by --root-secret FILE"), "{error}");
    assert!(!error.contains(&text), "it shows the secret");
    // Nothing was changed.
    assert_eq!(get(&home.app().await, "/orders", &token).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_lost_root_secret_is_told_and_not_made_again() {
    let home = Home::new();
    drop(home.start().await);
    std::fs::remove_file(home.root_secret()).expect("a file");
    let error = home.try_to_start(&home.root_secret(), Pace::Default).await.expect_err("refused");
    assert!(error.contains("issuer.root is missing: give the file"), "{error}");
    assert!(!home.root_secret().exists());
}

#[tokio::test]
async fn a_login_is_answered_as_rfc_6749_has_it() {
    let home = Home::new();
    let app = home.app().await;
    let json = r#"{"name": "alice", "password": "wonderland"}"#;
    for (kind, body) in [(FORM, ALICE), ("application/json", json)] {
        let (status, headers, granted) = post_login(&app, kind, body).await;
        assert_eq!(
            (status, &headers[CACHE_CONTROL]),
            (StatusCode::OK, &"no-store".parse().expect("a value"))
        );
        assert_eq!(granted["token_type"], "Bearer");
        // The second may have changed since.
        let expires_in = granted["expires_in"].as_i64().expect("seconds");
        assert!((890..=900).contains(&expires_in), "{expires_in}");
    }
}

#[tokio::test]
async fn a_login_without_the_right_password_gets_no_token() {
    let home = Home::new();
    let app = home.app().await;
    let cases = [
        (FORM, "name=alice&password=builder", 400, "invalid_grant"),
        (FORM, "name=mallory&password=wonderland", 400, "invalid_grant"),
        (FORM, "name=alice", 422, "invalid_request"),
        ("application/json", "{", 400, "invalid_request"),
        ("text/plain", ALICE, 415, "invalid_request"),
    ];
    for (kind, body, status, error) in cases {
        let (refused, _, told) = post_login(&app, kind, body).await;
        assert_eq!(
            (refused.as_u16(), told),
            (status, serde_json::json!({ "error": error })),
            "{body}"
        );
    }
}

#[tokio::test]
async fn the_orders_are_protected_and_the_documents_are_public() {
    let home = Home::new();
    let app = home.app().await;
    assert_protected(&app, &[("GET", "/orders")]).await;
    let (status, metadata) = get(&app, "/.well-known/oauth-authorization-server", "").await;
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    assert_eq!((status, &metadata["issuer"]), (StatusCode::OK, &ID.into()));
    assert_eq!(metadata["jwks_uri"], format!("{ID}/.well-known/jwks.json"));
    assert_eq!(get(&app, "/ready", "").await, (StatusCode::OK, "ready\n".to_owned()));
}

#[tokio::test]
async fn the_keys_are_told_in_plain_words() {
    let home = Home::new();
    let app = home.app().await;
    let (_, keys) = get(&app, "/keys", "").await;
    let words: Vec<_> = keys.lines().filter_map(|line| Some(line.split_once(' ')?.1)).collect();
    assert_eq!(words, ["signs for 30 days more", "is published, and signs in 30 days"], "{keys}");
}

#[tokio::test]
async fn fast_keys_meet_the_inequalities_and_sign_for_30_seconds() {
    assert_eq!(Pace::Fast.schedule().faults(), []);
    let home = Home::new();
    let issuer = home.try_to_start(&home.root_secret(), Pace::Fast).await.expect("an issuer");
    let times = issuer.status().expect("a ring").keys[0].times;
    let signs_for = times.signs_until.expect("a successor").since(times.signs_from);
    assert_eq!(signs_for.as_secs(), 30);
}

#[test]
fn no_password_of_a_database_is_shown() {
    let database = Database::of("postgres://orders:hunter2@127.0.0.1/orders").expect("an address");
    assert_eq!(database.to_string(), "postgres://…");
    let error = Database::of("mysql://orders:hunter2@127.0.0.1/orders").err().expect("refused");
    assert!(!error.contains("hunter2"), "{error}");
}

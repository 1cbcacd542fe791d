//! axum-jwt-auth: its extractor with a static key. It has no layer.
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::FromRef;
use axum::routing::get;
use axum_jwt_auth::{Claims as Extracted, Decoder, LocalDecoder};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Validation};
use peer::{Case, Claims, Library, Program, SUBJECT};

#[derive(Clone)]
struct App {
    decoder: Decoder<Claims>,
}

impl FromRef<App> for Decoder<Claims> {
    fn from_ref(app: &App) -> Self {
        Arc::clone(&app.decoder)
    }
}

fn main() {
    let library = Library {
        package: "axum-jwt-auth",
        engine: &["axum-jwt-auth", "jsonwebtoken"],
        note: "RustCrypto",
        without: &[],
    };
    Program::<Body>::new(library, || {
        Router::new().route("/orders/{id}", get(async || SUBJECT.to_owned()))
    })
    .route("", async |case| app(case))
    .serve();
}

fn app(case: &Case) -> Router {
    let jwk: Jwk = serde_json::from_value(case.jwk.clone()).expect("a key that it knows");
    let key = DecodingKey::from_jwk(&jwk).expect("a key that it knows");
    let mut validation = Validation::new(case.algorithm.parse().expect("an algorithm"));
    validation.leeway = 30;
    validation.validate_nbf = true;
    validation.set_issuer(&[&case.issuer]);
    validation.set_audience(&[&case.audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    let decoder = LocalDecoder::builder().keys(vec![key]).validation(validation).build();
    let decoder = Arc::new(decoder.expect("settings"));
    Router::new().route("/orders/{id}", get(read)).with_state(App { decoder })
}

async fn read(token: Extracted<Claims>) -> String {
    token.claims.sub
}

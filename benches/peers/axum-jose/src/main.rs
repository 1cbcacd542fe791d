//! axum-jose: its layer with a static key set, and the claims as an extension.
use axum::body::Body;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Extension, Router};
use axum_jose::AuthorizationLayer;
use axum_jose::authorization::Claims as AnyClaims;
use jsonwebtoken::jwk::JwkSet;
use peer::{Case, Claims, Library, Program, SUBJECT};
use url::Url;

fn main() {
    let library = Library {
        package: "axum-jose",
        engine: &["axum-jose", "jsonwebtoken", "aws-lc-rs"],
        note: "",
        without: &[],
    };
    Program::<Body>::new(library, || {
        Router::new().route("/orders/{id}", get(async || SUBJECT.to_owned()))
    })
    .route("", async |case| app(case))
    .serve();
}

fn app(case: &Case) -> Router {
    let keys: JwkSet = serde_json::from_str(&case.jwks()).expect("keys");
    let issuer = Url::parse(&case.issuer).expect("an address");
    let layer = AuthorizationLayer::with_local_jwk_set(keys, issuer, case.audience.clone());
    Router::new().route("/orders/{id}", get(read)).layer(layer)
}

async fn read(Extension(AnyClaims(claims)): Extension<AnyClaims>) -> Result<String, StatusCode> {
    let claims: Claims = serde_json::from_value(claims).map_err(|_| StatusCode::FORBIDDEN)?;
    Ok(claims.sub)
}

//! jsonwebtoken in a middleware written by hand, with the key and the `Validation` made before.
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Validation, decode};
use peer::{Case, Claims, Library, Program, SUBJECT};

struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

fn main() {
    let library = Library {
        package: "jsonwebtoken",
        engine: &["jsonwebtoken", "aws-lc-rs"],
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
    let jwk: Jwk = serde_json::from_value(case.jwk.clone()).expect("a key that it knows");
    let key = DecodingKey::from_jwk(&jwk).expect("a key that it knows");
    let mut validation = Validation::new(case.algorithm.parse().expect("an algorithm"));
    validation.leeway = 30;
    validation.validate_nbf = true;
    validation.set_issuer(&[&case.issuer]);
    validation.set_audience(&[&case.audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    let verifier = Arc::new(Verifier { key, validation });
    Router::new().route("/orders/{id}", get(read)).layer(from_fn_with_state(verifier, verify))
}

async fn verify(
    State(verifier): State<Arc<Verifier>>,
    mut request: Request,
    next: Next,
) -> Result<Response, StatusCode> {
    let header = request.headers().get(AUTHORIZATION).ok_or(StatusCode::UNAUTHORIZED)?;
    let token = header.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
    let token = token.ok_or(StatusCode::UNAUTHORIZED)?;
    let decoded = decode::<Claims>(token, &verifier.key, &verifier.validation);
    let claims = decoded.map_err(|_| StatusCode::UNAUTHORIZED)?.claims;
    request.extensions_mut().insert(Arc::new(claims));
    Ok(next.run(request).await)
}

async fn read(Extension(claims): Extension<Arc<Claims>>) -> String {
    claims.sub.clone()
}

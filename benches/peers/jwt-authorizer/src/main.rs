//! jwt-authorizer: its layer with a static key set, and `JwtClaims` in the handler.
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use jwt_authorizer::{IntoLayer, JwtAuthorizer, JwtClaims, Validation};
use peer::{Case, Claims, Library, Program, SUBJECT};

fn main() {
    let library = Library {
        package: "jwt-authorizer",
        engine: &["jwt-authorizer", "jsonwebtoken", "ring"],
        note: "axum 0.7",
        without: &[],
    };
    Program::<Body>::new(library, || {
        Router::new().route("/orders/:id", get(async || SUBJECT.to_owned()))
    })
    .route("", app)
    .serve();
}

async fn app(case: &Case) -> Router {
    let validation =
        Validation::new().iss(&[&case.issuer]).aud(&[&case.audience]).nbf(true).leeway(30);
    let authorizer = JwtAuthorizer::<Claims>::from_jwks_text(&case.jwks())
        .validation(validation)
        .build()
        .await
        .expect("keys");
    Router::new().route("/orders/:id", get(read)).layer(authorizer.into_layer())
}

async fn read(JwtClaims(claims): JwtClaims<Claims>) -> String {
    claims.sub
}

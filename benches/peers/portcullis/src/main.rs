//! Portcullis: `VerifyLayer`, and `Verified` in the handler.
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use peer::{Case, Claims, Library, Program, SUBJECT};
use portcullis::{Algorithm, Issuer, KeySet, Keys, Policy, PolicyBuilder, Secret};
use portcullis_axum::{Verified, VerifyLayer};

fn main() {
    let library = Library {
        package: "portcullis",
        engine: &["portcullis", "aws-lc-rs"],
        note: "",
        without: &[],
    };
    let program = Program::<Body>::new(library, || {
        Router::new().route("/orders/{id}", get(async || SUBJECT.to_owned()))
    })
    .route("verified in full", async |case| app(case, |builder| builder.token_cache(0)))
    .route("remembered", async |case| app(case, |builder| builder));
    program.serve();
}

fn app(case: &Case, set: fn(PolicyBuilder) -> PolicyBuilder) -> Router {
    let algorithm: Algorithm = case.algorithm.parse().expect("an algorithm");
    let keys = match &case.secret {
        Some(secret) => Keys::from(Secret::new(secret.clone())),
        None => KeySet::from_jwks(case.jwks()).expect("keys").into(),
    };
    let issuer =
        Issuer::new(&case.issuer).algorithms([algorithm]).keys(keys).audience(&case.audience);
    let policy = set(Policy::builder().issuer(issuer)).build().expect("a policy");
    Router::new().route("/orders/{id}", get(read)).layer(VerifyLayer::new(policy))
}

async fn read(Verified(claims): Verified<Claims>) -> String {
    claims.sub.clone()
}

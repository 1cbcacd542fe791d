//! tower-oauth2-resource-server: its layer with a static key set, and the claims as an extension.
use axum::body::Body;
use axum::routing::get;
use axum::{Extension, Router};
use peer::{Case, Claims, Library, Program, SUBJECT};
use tower_oauth2_resource_server::server::OAuth2ResourceServer;
use tower_oauth2_resource_server::tenant::TenantConfiguration;
use tower_oauth2_resource_server::validation::ClaimsValidationSpec;

const ENGINE: &[&str] = if cfg!(feature = "aws-lc") {
    &["tower-oauth2-resource-server", "jsonwebtoken", "aws-lc-rs"]
} else {
    &["tower-oauth2-resource-server", "jsonwebtoken"]
};

fn main() {
    let library = Library {
        package: "tower-oauth2-resource-server",
        engine: ENGINE,
        note: if cfg!(feature = "rust-crypto") { "RustCrypto" } else { "" },
        without: &[],
    };
    Program::<Body>::new(library, || {
        Router::new().route("/orders/{id}", get(async || SUBJECT.to_owned()))
    })
    .route("", app)
    .serve();
}

async fn app(case: &Case) -> Router {
    let audiences = vec![case.audience.clone()];
    let tenant = TenantConfiguration::static_builder(case.jwks())
        .allowed_algorithms(&[case.algorithm.parse().expect("an algorithm")])
        .audiences(&audiences)
        .claims_validation(ClaimsValidationSpec::recommended(&case.issuer, &audiences))
        .build()
        .expect("keys");
    let server = OAuth2ResourceServer::<Claims>::builder()
        .add_tenant(tenant)
        .build()
        .await
        .expect("settings");
    Router::new().route("/orders/{id}", get(read)).layer(server.into_layer())
}

async fn read(Extension(claims): Extension<Claims>) -> String {
    claims.sub
}

//! oauth-resource-server: its axum layer with a static key set, and its token in the handler.
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::routing::get;
use oauth_resource_server::axum::AuthLayer;
use oauth_resource_server::{AuthorizedToken, KeyNaming, OAuthConfig, OAuthValidator};
use peer::{Case, Claims, Library, Program, SUBJECT};

fn main() {
    let library = Library {
        package: "oauth-resource-server",
        engine: &["oauth-resource-server", "jsonwebtoken", "ring"],
        note: "",
        without: &["HS256"],
    };
    Program::<Body>::new(library, || {
        Router::new().route("/orders/{id}", get(async || SUBJECT.to_owned()))
    })
    .route("", async |case| app(case))
    .serve();
}

fn app(case: &Case) -> Router {
    let config = OAuthConfig {
        enabled: true,
        issuer: case.issuer.clone(),
        audience: case.audience.clone(),
        resource: case.audience.clone(),
        // Never asked, since the key is at hand.
        jwks_uri: Some(format!("{}/keys", case.issuer)),
        algorithms: vec![case.algorithm.clone()],
        leeway_secs: 30,
        // The others do not look at scopes.
        allow_unscoped_tokens: true,
        ..OAuthConfig::default()
    };
    let config = config.resolve(KeyNaming::Dotted("oauth")).expect("settings").expect("enabled");
    let validator = OAuthValidator::builder(&config).initial_jwks(&case.jwks()).build();
    let validator = Arc::new(validator.expect("keys"));
    let layer = AuthLayer::builder().oauth(validator).build().expect("a layer");
    Router::new().route("/orders/{id}", get(read)).route_layer(layer)
}

async fn read(token: AuthorizedToken) -> Result<String, StatusCode> {
    let claims: Claims = token.claims_as().map_err(|_| StatusCode::FORBIDDEN)?;
    Ok(claims.sub)
}

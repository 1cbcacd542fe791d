use portcullis_axum::RequireLayer;
use portcullis_axum::portcullis::Algorithm::ES256;
use portcullis_axum::portcullis::RouteTable;
use portcullis_testkit::axum::{assert_covered, assert_openapi};
use portcullis_testkit::{OpenApi, Routes, TestIssuer};
use serde_json::{Value, json};

use super::*;

fn table() -> RouteTable {
    RouteTable::new().require("GET", "/orders", Requirement::scope("orders:read")).require(
        "POST",
        "/refunds",
        refund(),
    )
}

fn app(policy: Policy) -> Router {
    Router::new()
        .route("/orders", get(async || "orders"))
        .route("/refunds", post(async || "paid back"))
        .route_layer(RequireLayer::by_route(table()))
        .layer(VerifyLayer::new(policy))
}

/// What a generator made of the handlers, with what the table asks for.
fn document(policy: &Policy) -> Value {
    let operation = json!({ "responses": { "200": { "description": "OK" } } });
    let mut document = json!({
        "openapi": "3.1.0",
        "info": { "title": "Orders", "version": "1" },
        "paths": {
            "/orders": { "get": operation },
            "/refunds": { "post": operation },
        },
    });
    let schemes = policy.security_schemes();
    let uncovered = table().fill_openapi(&mut document, &schemes);
    assert!(uncovered.is_empty(), "{uncovered:?}");
    document
}

#[tokio::test]
async fn the_app_does_what_its_document_says() {
    let issuer = TestIssuer::new("https://id.example");
    let policy = policy(issuer.policy_builder()).expect("a policy");
    let document = document(&policy);
    let app = app(policy);
    let token = || issuer.token(ES256).claim("tenant", "acme");

    let said = OpenApi::new(&document, |wanted| {
        let token = token().scope(wanted.scope());
        let roles = json!({ "roles": ["accountant"] });
        match wanted.beyond() {
            [] => token.mint(),
            // The role, which OpenAPI cannot say.
            _ => token.claim("realm_access", roles).mint(),
        }
    });
    assert_openapi(&app, said.mutating()).await;

    let routes = Routes::documented(&document);
    assert_covered(&app, &table(), &token().mint(), routes).await;
}

//! An OpenAPI document whose security comes from the table of routes, with utoipa and axum.
//!
//! ```console
//! cargo run -p example-openapi
//! ```
//!
//! prints `curl` lines, with tokens, to paste. The first shows the document: utoipa wrote what the handlers take and give,
//! and [`document`] what each of them asks for. No handler says a scope, and none can say another one than the service
//! goes by.
use std::error::Error;

use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use portcullis_axum::portcullis::{Algorithm, Issuer, KeySet, Requirement, RouteTable};
use portcullis_axum::{Caller, Policy, RequireLayer, VerifyLayer};
use portcullis_testkit::TestIssuer;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;
use utoipa::{OpenApi, ToSchema};

/// Tokens of one issuer, for this service; what asks for none is for everybody.
fn policy(jwks: &str) -> Result<Policy, Box<dyn Error>> {
    let issuer = Issuer::new("https://id.example")
        .algorithms([Algorithm::ES256])
        .keys(KeySet::from_jwks(jwks)?)
        .audience("https://orders.example");
    Ok(Policy::builder().issuer(issuer).build()?.allow_anonymous())
}

/// What each route asks for, in one place.
fn table() -> RouteTable {
    let auditor = Requirement::role(["realm_access", "roles"], "auditor");
    RouteTable::new()
        .require("GET", "/orders", Requirement::scope("orders:read"))
        .require("POST", "/orders", Requirement::all_scopes(["orders:read", "orders:write"]))
        .require("GET", "/orders/{id}", Requirement::any_scope(["orders:read", "orders:support"]))
        .require("GET", "/audit", Requirement::scope("audit").and(auditor))
        .any_caller("GET", "/me")
        .anyone("GET", "/news")
}

#[derive(Deserialize, Serialize, ToSchema)]
struct Order {
    id: u32,
    item: String,
}

/// All orders.
#[utoipa::path(
    get,
    path = "/orders",
    responses((status = 200, description = "The orders", body = Vec<Order>))
)]
async fn orders() -> Json<Vec<Order>> {
    Json(vec![order_of(7)])
}

/// Makes an order.
#[utoipa::path(
    post,
    path = "/orders",
    request_body = Order,
    responses((status = 200, description = "The order", body = Order))
)]
async fn make_order(Json(order): Json<Order>) -> Json<Order> {
    Json(order)
}

/// One order.
#[utoipa::path(
    get,
    path = "/orders/{id}",
    params(("id" = u32, Path)),
    responses((status = 200, description = "The order", body = Order))
)]
async fn order(Path(id): Path<u32>) -> Json<Order> {
    Json(order_of(id))
}

fn order_of(id: u32) -> Order {
    Order { id, item: "portcullis".to_owned() }
}

/// Who did what.
#[utoipa::path(
    get,
    path = "/audit",
    responses((status = 200, description = "A log", body = String))
)]
async fn audit() -> &'static str {
    "nothing happened\n"
}

/// Who is asking.
#[utoipa::path(get, path = "/me", responses((status = 200, description = "A name", body = String)))]
async fn me(caller: Caller) -> String {
    format!("{}\n", caller.subject().unwrap_or("a client"))
}

/// For everybody; who is known is greeted.
#[utoipa::path(
    get,
    path = "/news",
    responses((status = 200, description = "A greeting", body = String))
)]
async fn news(caller: Option<Caller>) -> String {
    let name = caller.as_ref().and_then(|caller| caller.subject());
    format!("good morning, {}\n", name.unwrap_or("whoever you are"))
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Orders", version = "1"),
    paths(orders, make_order, order, audit, me, news),
    components(schemas(Order))
)]
struct Handlers;

/// utoipa's document, with what the table asks for. It stays JSON: the types of utoipa do not know every scheme.
fn document(policy: &Policy, table: &RouteTable) -> Value {
    let mut document = serde_json::to_value(Handlers::openapi()).expect("it is JSON");
    let uncovered = table.fill_openapi(&mut document, &policy.security_schemes());
    // The service would answer 500 there. A test finds it before.
    assert!(uncovered.is_empty(), "the table does not have {uncovered:?}");
    document
}

fn app(policy: Policy, table: RouteTable) -> Router {
    let document = document(&policy, &table);
    Router::new()
        .route("/orders", get(orders).post(make_order))
        .route("/orders/{id}", get(order))
        .route("/audit", get(audit))
        .route("/me", get(me))
        .route("/news", get(news))
        .route_layer(RequireLayer::by_route(table))
        .layer(VerifyLayer::new(policy))
        // After the layers: for everybody, and in no table.
        .route("/openapi.json", get(async move || Json(document)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Says why a request was refused: at INFO for bad tokens, and with RUST_LOG=portcullis=debug for all.
    tracing_subscriber::fmt::init();
    // For the demonstration only. Yours are the keys of a real issuer.
    let issuer = TestIssuer::new("https://id.example").audience("https://orders.example");
    let reader = issuer.token(Algorithm::ES256).scope("orders:read").mint();

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("curl http://{address}/openapi.json");
    println!("TOKEN='{reader}'");
    for path in ["/orders", "/orders/7", "/audit"] {
        println!("curl -i http://{address}{path} -H \"Authorization: Bearer $TOKEN\"");
    }
    let policy = policy(&issuer.jwks_of(&[Algorithm::ES256]))?;
    Ok(axum::serve(listener, app(policy, table())).await?)
}

#[cfg(test)]
mod tests {
    use portcullis_axum::portcullis::UnixTime;
    use portcullis_axum::portcullis::dpop::{Dpop, InProcessReplays, Nonces};
    use portcullis_axum::portcullis::mtls::Mtls;
    use portcullis_testkit::axum::{assert_covered, assert_openapi};
    use portcullis_testkit::{DpopClient, MtlsClient, OpenApi, Routes, SigningKey, WantedToken};
    use serde_json::json;

    use super::*;

    fn issuer() -> TestIssuer {
        TestIssuer::new("https://id.example").audience("https://orders.example")
    }

    fn policy() -> Policy {
        super::policy(&issuer().jwks_of(&[Algorithm::ES256])).expect("a policy")
    }

    fn document() -> Value {
        super::document(&policy(), &table())
    }

    /// A token with the scopes that the document asks for, and a role where it says so in words.
    fn token(wanted: &WantedToken<'_>) -> String {
        let token = issuer().token(Algorithm::ES256).scope(wanted.scope());
        match wanted.beyond() {
            [] => token.mint(),
            _ => token.claim("realm_access", json!({ "roles": ["auditor"] })).mint(),
        }
    }

    #[tokio::test]
    async fn the_app_does_what_its_document_says() {
        let document = document();
        let document = OpenApi::new(&document, token).mutating();
        assert_openapi(&app(policy(), table()), document).await;
    }

    #[tokio::test]
    async fn the_table_has_every_operation_of_the_document_and_no_other() {
        let (document, token) = (document(), issuer().token(Algorithm::ES256).mint());
        let routes = Routes::documented(&document);
        assert_covered(&app(policy(), table()), &table(), &token, routes).await;
    }

    #[test]
    fn the_document_says_what_the_table_asks_for() {
        let document = document();
        let of = |method: &str, path: &str| document["paths"][path][method].clone();
        for (method, path, security) in [
            ("get", "/orders", json!([{ "bearer": ["orders:read"] }])),
            ("post", "/orders", json!([{ "bearer": ["orders:read", "orders:write"] }])),
            (
                "get",
                "/orders/{id}",
                json!([{ "bearer": ["orders:read"] }, { "bearer": ["orders:support"] }]),
            ),
            ("get", "/audit", json!([{ "bearer": ["audit"] }])),
            ("get", "/me", json!([{ "bearer": [] }])),
            ("get", "/news", json!([{}, { "bearer": [] }])),
        ] {
            assert_eq!(of(method, path)["security"], security, "{method} {path}");
        }
        // What OpenAPI cannot say goes through utoipa, too.
        let beyond = &of("get", "/audit")["x-portcullis"]["alternatives"][0]["beyond"];
        assert_eq!(*beyond, json!(["`auditor` at `realm_access.roles`"]));
        assert_eq!(
            document["components"]["securitySchemes"],
            json!({ "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } })
        );
        assert_eq!(
            document["components"]["responses"],
            policy().security_schemes().components()["responses"]
        );
    }

    /// The same for tokens that are bound to the certificates of clients: where they may be, and where they must.
    #[tokio::test]
    async fn the_app_does_what_its_document_says_of_certificates() {
        let beside = |document: &Value, path: &str| {
            document["paths"][path]["get"]["security"][0].get("mutualTLS").is_some()
        };
        for (mtls, is_needed) in [(Mtls::from_tls(), false), (Mtls::from_tls().required(), true)] {
            let policy = issuer().policy_builder().mtls(mtls).build().expect("a policy");
            let policy = policy.allow_anonymous();
            let document = super::document(&policy, &table());
            assert_eq!(
                document["components"]["securitySchemes"],
                policy.security_schemes().to_json()
            );
            assert_eq!(beside(&document, "/orders"), is_needed);

            let client = MtlsClient::new(issuer().token(Algorithm::ES256), b"a certificate");
            let document = OpenApi::new(&document, |wanted| {
                let token = issuer().token(Algorithm::ES256).scope(wanted.scope());
                let roles = json!({ "roles": ["auditor"] });
                let token = token.claim("realm_access", roles);
                match wanted.certificate() {
                    Some(der) => token.bound_to_certificate(der).mint(),
                    None => token.mint(),
                }
            });
            assert_openapi(&app(policy, table()), document.mtls_client(&client).mutating()).await;
        }
    }

    /// The same for tokens that are bound to keys of clients (DPoP).
    #[tokio::test]
    async fn the_app_does_what_its_document_says_of_proofs() {
        const NOW: i64 = 1_800_000_000;
        let issuer = issuer().at(NOW);
        let dpop = || {
            let replays = InProcessReplays::new().started_at(UnixTime(NOW - 3600));
            Dpop::new(replays).at("https://api.example").nonces(Nonces::of_this_process())
        };
        let key = SigningKey::generate(Algorithm::ES256);
        let client = DpopClient::new(&issuer, &key);
        for (dpop, ways_in) in [(dpop(), &["bearer", "dpop"][..]), (dpop().required(), &["dpop"])] {
            let policy = issuer.policy_builder().dpop(dpop).build().expect("a policy");
            let policy = policy.allow_anonymous();
            let document = super::document(&policy, &table());
            let reads: Vec<_> =
                ways_in.iter().map(|way| json!({ *way: ["orders:read"] })).collect();
            assert_eq!(document["paths"]["/orders"]["get"]["security"], json!(reads));

            let document = OpenApi::new(&document, |wanted| {
                let token = issuer.token(Algorithm::ES256).scope(wanted.scope());
                let token = token.claim("realm_access", json!({ "roles": ["auditor"] }));
                match wanted.key() {
                    Some(key) => token.bound_to(key).mint(),
                    None => token.mint(),
                }
            });
            let document = document.dpop_client(&client, "https://api.example").mutating();
            assert_openapi(&app(policy, table()), document).await;
        }
    }
}

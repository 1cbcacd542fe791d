//! The code of `docs/recipes/testing-a-protected-app.md`: each block of it stands in a file of this folder.
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use portcullis::{BuildError, Policy, PolicyBuilder, Requirement};
use portcullis_axum::{Authorized, VerifyLayer};

portcullis::requirement! {
    /// May see orders.
    ReadOrders = Requirement::scope("orders:read");
    /// May pay back.
    PayBack = refund();
}

fn refund() -> Requirement {
    Requirement::role(["realm_access", "roles"], "accountant")
}

/// All that this service asks of a token. The issuer comes from outside: the real one, or that of a test.
fn policy(builder: PolicyBuilder) -> Result<Policy, BuildError> {
    builder.max_lifetime(Duration::from_secs(15 * 60)).require("tenant").build()
}

async fn orders(caller: Authorized<ReadOrders>) -> String {
    format!("orders of {}", caller.subject().unwrap_or("a client"))
}

async fn pay_back(_: Authorized<PayBack>) -> &'static str {
    "paid back"
}

fn app(policy: Policy) -> Router {
    Router::new()
        .route("/orders", get(orders))
        .route("/refunds", post(pay_back))
        .layer(VerifyLayer::new(policy))
}

mod actix;
mod cookies;
mod handlers;
mod keys;
mod policies;
mod policy_file;
mod requirements;
mod revocation;
mod time;

#[test]
fn each_block_of_the_recipe_is_run_here() {
    const RECIPE: &str = include_str!("../../../../docs/recipes/testing-a-protected-app.md");
    const FILES: [&str; 10] = [
        include_str!("main.rs"),
        include_str!("actix.rs"),
        include_str!("cookies.rs"),
        include_str!("handlers.rs"),
        include_str!("keys.rs"),
        include_str!("policies.rs"),
        include_str!("policy_file.rs"),
        include_str!("requirements.rs"),
        include_str!("revocation.rs"),
        include_str!("time.rs"),
    ];
    let blocks: Vec<_> = RECIPE.split("```rust\n").skip(1).collect();
    assert_eq!(blocks.len(), FILES.len());
    for block in blocks {
        let block = block.split("```").next().unwrap_or_default();
        assert!(FILES.iter().any(|file| file.contains(block)), "in no file:\n{block}");
    }
}

//! The code of `docs/guide/testing.md`: each block of it stands in a file of this folder.
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use portcullis_axum::portcullis::{self, BuildError, Policy, PolicyBuilder, Requirement};
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

/// All that this service asks of a token. Whose tokens, the caller says:
/// the real issuer's, or those of a test.
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
mod dpop;
mod first;
mod handlers;
mod keys;
mod mtls;
mod openapi;
mod own_login;
mod policies;
mod policy_file;
mod preset;
mod requirements;
mod revocation;
mod time;

/// Without what rustfmt does for the width of a line, which is smaller in the guide.
fn bare(code: &str) -> String {
    let code: String = code.split_whitespace().collect();
    code.replace(",)", ")").replace(",]", "]").replace(",}", "}")
}

#[test]
fn each_block_of_the_page_is_run_here() {
    const PAGE: &str = include_str!("../../../../docs/guide/testing.md");
    const FILES: [&str; 16] = [
        include_str!("main.rs"),
        include_str!("actix.rs"),
        include_str!("cookies.rs"),
        include_str!("dpop.rs"),
        include_str!("first.rs"),
        include_str!("handlers.rs"),
        include_str!("keys.rs"),
        include_str!("mtls.rs"),
        include_str!("openapi.rs"),
        include_str!("own_login.rs"),
        include_str!("policies.rs"),
        include_str!("policy_file.rs"),
        include_str!("preset.rs"),
        include_str!("requirements.rs"),
        include_str!("revocation.rs"),
        include_str!("time.rs"),
    ];
    let files = FILES.map(bare);
    let blocks: Vec<_> = PAGE.split("```rust\n").skip(1).collect();
    assert_eq!(blocks.len(), FILES.len());
    for block in blocks {
        let block = bare(block.split("```").next().unwrap_or_default());
        assert!(files.iter().any(|file| file.contains(&block)), "in no file:\n{block}");
    }
}

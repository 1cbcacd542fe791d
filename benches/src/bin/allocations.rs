//! How many allocations verification makes, and what a remembered token takes, as markdown: see the
//! README of this package.
//!
//! What grows an allocation counts as another one.
use core::hint::black_box;

use allocation_counter::measure;
use portcullis::VerifiedToken;
use portcullis::tower::VerifyLayer;
use portcullis_benches::call::{self, Bare, Reads};
use portcullis_benches::case::NineClaims;
use portcullis_benches::{Case, Refused};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tower_layer::Layer;

fn main() {
    println!("| request | allocations | bytes | of these for the decision | bytes |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for name in ["HS256", "ES256", "RS256", "ES256 Keycloak"] {
        let case = Case::named(name);
        let mut protected = VerifyLayer::new(case.policy().clone()).layer(Bare);
        let (request, again) = (case.request(0), case.request(0));
        print(
            &format!("accepted: {name}"),
            || drop(call::call(&mut protected, request)),
            || drop(black_box(case.policy().start_verify(&again))),
        );
    }
    let case = Case::named("ES256");
    let mut reading = VerifyLayer::new(case.policy().clone()).layer(Reads::<NineClaims>::new());
    let (request, again) = (case.request(0), case.request(0));
    print(
        "accepted: ES256, and typed claims read",
        || drop(call::call(&mut reading, request)),
        || drop(black_box(case.policy().start_verify(&again))),
    );
    for refused in Refused::all() {
        let mut protected = VerifyLayer::new(refused.policy().clone()).layer(Bare);
        let request = refused.request();
        print(
            &format!("refused: {refused}"),
            || drop(call::call(&mut protected, request)),
            || drop(black_box(refused.decide())),
        );
    }

    println!("\n| {REMEMBERED} remembered tokens | length | bytes taken, each | counted as |");
    println!("| --- | ---: | ---: | ---: |");
    print_memory("no claims read", |_| {});
    print_memory("claims read as a struct", |token| drop(token.claims::<NineClaims>()));
    print_memory("claims read as two structs", |token| {
        drop((token.claims::<NineClaims>(), token.claims::<Others>()));
    });
    print_memory("claims read as a tree of values", |token| drop(token.claims::<Value>()));
}

/// How many tokens are remembered at once.
const REMEMBERED: usize = 4_000;

/// As much as [`NineClaims`], but another type.
struct Others(#[expect(dead_code, reason = "it only takes its place")] NineClaims);

impl<'de> Deserialize<'de> for Others {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        NineClaims::deserialize(deserializer).map(Self)
    }
}

fn print_memory(name: &str, read: fn(&VerifiedToken)) {
    let case = Case::named("ES256");
    let tokens: Vec<_> = (0..REMEMBERED).map(|_| case.good().mint()).collect();
    let policy = case.unused();
    let taken = measure(|| {
        for token in &tokens {
            read(&policy.verify_token_now(token).expect("a good token"));
        }
    });
    let stats = policy.token_cache_stats();
    assert_eq!(stats.tokens, REMEMBERED, "there is room for all");
    println!(
        "| {name} | {} | {} | {} |",
        tokens[0].len(),
        taken.bytes_current / REMEMBERED as i64,
        stats.bytes / REMEMBERED as u64
    );
}

fn print(name: &str, call: impl FnOnce(), decide: impl FnOnce()) {
    let (whole, decision) = (measure(call), measure(decide));
    println!(
        "| {name} | {} | {} | {} | {} |",
        whole.count_total, whole.bytes_total, decision.count_total, decision.bytes_total
    );
}

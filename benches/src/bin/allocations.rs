//! How many allocations verification makes, as markdown: see the README of this package.
//!
//! What grows an allocation counts as another one.
use core::hint::black_box;

use allocation_counter::measure;
use portcullis::VerifyLayer;
use portcullis_benches::call::{self, Bare, Reads};
use portcullis_benches::case::NineClaims;
use portcullis_benches::{Case, Refused};
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
            || drop(black_box(case.policy().check(&again))),
        );
    }
    let case = Case::named("ES256");
    let mut reading = VerifyLayer::new(case.policy().clone()).layer(Reads::<NineClaims>::new());
    let (request, again) = (case.request(0), case.request(0));
    print(
        "accepted: ES256, and typed claims read",
        || drop(call::call(&mut reading, request)),
        || drop(black_box(case.policy().check(&again))),
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
}

fn print(name: &str, call: impl FnOnce(), decide: impl FnOnce()) {
    let (whole, decision) = (measure(call), measure(decide));
    println!(
        "| {name} | {} | {} | {} | {} |",
        whole.count_total, whole.bytes_total, decision.count_total, decision.bytes_total
    );
}

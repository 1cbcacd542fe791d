//! Full verification of each algorithm, beside its parts and beside jsonwebtoken.
use std::cell::Cell;

use divan::Bencher;
use portcullis::Policy;
use portcullis::tower::VerifyLayer;
use portcullis_benches::Case;
use portcullis_benches::call::{self, Bare, Reads};
use portcullis_benches::case::{KeycloakClaims, NineClaims, Shape};
use tower_layer::Layer;

fn main() {
    divan::main();
}

/// Numbers the calls, so that the tokens of a case take turns.
fn numbers() -> impl Fn() -> usize {
    let next = Cell::new(0);
    move || next.replace(next.get() + 1)
}

/// The signature alone.
#[divan::bench(args = Case::NAMES, sample_count = 300, sample_size = 4)]
fn raw(bencher: Bencher<'_, '_>, name: &str) {
    let case = Case::named(name);
    bencher.with_inputs(numbers()).bench_local_values(|index| case.verify_raw(index));
}

/// The floor: a service without a layer.
#[divan::bench(sample_count = 1000, sample_size = 4)]
fn bare(bencher: Bencher<'_, '_>) {
    let (case, number) = (Case::named("ES256"), numbers());
    bencher
        .with_inputs(|| case.request(number()))
        .bench_local_values(|request| call::call(&mut Bare, request));
}

/// It has no ES512 and no ML-DSA.
fn known_to_jsonwebtoken() -> impl Iterator<Item = &'static str> {
    let is_known = |name: &&str| *name != "ES512" && !name.starts_with("ML-DSA");
    Case::NAMES.into_iter().filter(is_known)
}

#[divan::bench(args = known_to_jsonwebtoken(), sample_count = 300, sample_size = 4)]
fn jsonwebtoken(bencher: Bencher<'_, '_>, name: &str) {
    let case = Case::named(name);
    let bencher = bencher.with_inputs(numbers());
    match case.shape() {
        Shape::Nine => bencher.bench_local_values(|index| case.decode::<NineClaims>(index)),
        Shape::Keycloak => bencher.bench_local_values(|index| case.decode::<KeycloakClaims>(index)),
    }
}

#[divan::bench(args = Case::NAMES, sample_count = 300, sample_size = 4)]
fn portcullis_layer(bencher: Bencher<'_, '_>, name: &str) {
    let case = Case::named(name);
    through_the_layer(bencher, case, case.policy());
}

fn through_the_layer(bencher: Bencher<'_, '_>, case: &Case, policy: &Policy) {
    let number = numbers();
    let mut service = VerifyLayer::new(policy.clone()).layer(Bare);
    bencher
        .with_inputs(|| case.request(number()))
        .bench_local_values(|request| call::call(&mut service, request));
}

/// A token that was seen before.
#[divan::bench(args = Case::NAMES, sample_count = 1000, sample_size = 4)]
fn remembered(bencher: Bencher<'_, '_>, name: &str) {
    let case = Case::named(name);
    through_the_layer(bencher, case, case.remembering());
}

/// The same, where 10,000 other tokens were revoked.
#[divan::bench(sample_count = 1000, sample_size = 4)]
fn remembered_beside_revoked_ones(bencher: Bencher<'_, '_>) {
    let case = Case::named("ES256");
    through_the_layer(bencher, case, case.revoking());
}

/// The layer, and a service that reads the claims as a type.
#[divan::bench(sample_count = 300, sample_size = 4)]
fn portcullis_layer_and_typed_claims(bencher: Bencher<'_, '_>) {
    let (case, number) = (Case::named("ES256"), numbers());
    let mut service = VerifyLayer::new(case.policy().clone()).layer(Reads::<NineClaims>::new());
    bencher
        .with_inputs(|| case.request(number()))
        .bench_local_values(|request| call::call(&mut service, request));
}

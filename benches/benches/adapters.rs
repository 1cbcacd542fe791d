//! A route of each framework, with the policy in front and without.
use std::cell::Cell;

use divan::Bencher;
use portcullis_benches::Case;
use portcullis_benches::adapters::{Actix, Axum, Front};

const NAMES: [&str; 2] = ["HS256", "ES256"];

fn main() {
    divan::main();
}

fn bench_axum(bencher: Bencher<'_, '_>, case: &Case, mut app: Axum) {
    let number = Cell::new(0);
    bencher
        .with_inputs(|| Axum::request(case, number.replace(number.get() + 1)))
        .bench_local_values(|request| app.call(request));
}

fn bench_actix(bencher: Bencher<'_, '_>, case: &Case, app: &Actix) {
    let number = Cell::new(0);
    bencher
        .with_inputs(|| Actix::request(case, number.replace(number.get() + 1)))
        .bench_local_values(|request| app.call(request));
}

#[divan::bench(sample_count = 1000, sample_size = 4)]
fn axum_open(bencher: Bencher<'_, '_>) {
    bench_axum(bencher, Case::named("ES256"), Axum::new(Front::Nothing));
}

#[divan::bench(args = NAMES, sample_count = 300, sample_size = 4)]
fn axum_protected(bencher: Bencher<'_, '_>, name: &str) {
    let case = Case::named(name);
    bench_axum(bencher, case, Axum::new(Front::Policy(case.policy())));
}

#[divan::bench(sample_count = 1000, sample_size = 4)]
fn actix_open(bencher: Bencher<'_, '_>) {
    bench_actix(bencher, Case::named("ES256"), &Actix::new(Front::Nothing));
}

#[divan::bench(args = NAMES, sample_count = 300, sample_size = 4)]
fn actix_protected(bencher: Bencher<'_, '_>, name: &str) {
    let case = Case::named(name);
    bench_actix(bencher, case, &Actix::new(Front::Policy(case.policy())));
}

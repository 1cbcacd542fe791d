//! What it costs to turn a request away.
use divan::Bencher;
use portcullis::tower::VerifyLayer;
use portcullis_benches::Refused;
use portcullis_benches::call::{self, Bare};
use tower_layer::Layer;

fn main() {
    divan::main();
}

#[divan::bench(args = Refused::NAMES, sample_count = 1000, sample_size = 4)]
fn decision(bencher: Bencher<'_, '_>, name: &str) {
    let refused = Refused::named(name);
    bencher.bench_local(|| refused.decide());
}

#[divan::bench(args = Refused::NAMES, sample_count = 1000, sample_size = 4)]
fn response(bencher: Bencher<'_, '_>, name: &str) {
    let refused = Refused::named(name);
    bencher
        .with_inputs(|| refused.decide())
        .bench_local_values(|rejection| rejection.into_response::<bytes::Bytes>());
}

#[divan::bench(args = Refused::NAMES, sample_count = 1000, sample_size = 4)]
fn through_the_layer(bencher: Bencher<'_, '_>, name: &str) {
    let refused = Refused::named(name);
    let mut service = VerifyLayer::new(refused.policy().clone()).layer(Bare);
    bencher
        .with_inputs(|| refused.request())
        .bench_local_values(|request| call::call(&mut service, request));
}

//! What verification costs in instructions: see "Instructions" in the README of this package.
//!
//! Each case runs in a process of its own under valgrind. What it needs is made, and it is called
//! some times, before the count starts.
#![allow(missing_docs, unused_qualifications, reason = "what gungraun's macros make")]
use core::hint::black_box;
use core::mem;

use gungraun::{Callgrind, LibraryBenchmarkConfig};
use gungraun::{library_benchmark, library_benchmark_group, main};
use portcullis::tower::VerifyLayer;
use portcullis_benches::adapters::{Actix, Axum, Front};
use portcullis_benches::call::{self, Bare, Reads};
use portcullis_benches::case::NineClaims;
use portcullis_benches::vectors::ACCEPTED;
use portcullis_benches::{Refused, Vector, refusal};
use tower_layer::Layer;

/// Called once.
type Counted = &'static mut dyn FnMut();

/// Until the allocator's caches, and what is made when first used, are as they stay.
const WARM_UP: usize = 16;

/// `call`, what it returns dropped. `prepare` makes what it needs, off the count.
fn warm<I: 'static, O>(
    mut prepare: impl FnMut() -> I,
    mut call: impl FnMut(I) -> O + 'static,
) -> Counted {
    for _ in 0..WARM_UP {
        let input = prepare();
        drop(black_box(call(black_box(input))));
    }
    let mut input = Some(prepare());
    // What is freed must not be next to the end of the heap, since glibc then tidies up all of it;
    // nor must the policy go with the last that holds it.
    Box::leak(vec![0_u8; 4096].into_boxed_slice());
    mem::forget(prepare);
    // Never freed: that would count.
    Box::leak(Box::new(move || {
        let input = input.take().expect("called once");
        drop(black_box(call(black_box(input))));
    }))
}

fn warm_bare(name: &str) -> Counted {
    let vector = Vector::accepted(name);
    warm(move || vector.request(), |request| call::call(&mut Bare, request))
}

fn warm_layer(name: &str) -> Counted {
    through_the_layer(Vector::accepted(name))
}

fn warm_remembered(name: &str) -> Counted {
    through_the_layer(Vector::remembered(name))
}

fn through_the_layer(vector: Vector) -> Counted {
    let mut protected = VerifyLayer::new(vector.policy().clone()).layer(Bare);
    warm(move || vector.request(), move |request| call::call(&mut protected, request))
}

fn warm_typed(name: &str) -> Counted {
    typed_claims(Vector::accepted(name))
}

fn warm_remembered_typed(name: &str) -> Counted {
    typed_claims(Vector::remembered(name))
}

fn typed_claims(vector: Vector) -> Counted {
    let mut reading = VerifyLayer::new(vector.policy().clone()).layer(Reads::<NineClaims>::new());
    warm(move || vector.request(), move |request| call::call(&mut reading, request))
}

fn warm_raw(name: &str) -> Counted {
    let verify = Vector::accepted(name).into_raw();
    warm(|| (), move |()| assert!(verify()))
}

fn warm_raw_refused(name: &str) -> Counted {
    let verify = Vector::refused(name).into_raw();
    warm(|| (), move |()| assert!(!verify()))
}

fn warm_decision(name: &str) -> Counted {
    let vector = Vector::refused(name);
    let request = vector.request();
    warm(|| (), move |()| refusal::decide(vector.policy(), &request))
}

fn warm_response(name: &str) -> Counted {
    let vector = Vector::refused(name);
    let request = vector.request();
    warm(
        move || refusal::decide(vector.policy(), &request),
        |rejection| rejection.into_response::<bytes::Bytes>(),
    )
}

fn warm_axum(name: &str, protected: bool) -> Counted {
    let vector = Vector::accepted(name);
    let policy = Front::Policy(vector.policy());
    let mut app = Axum::new(if protected { policy } else { Front::Nothing });
    warm(move || Axum::request_from(vector.request()), move |request| app.call(request))
}

fn warm_actix(name: &str, protected: bool) -> Counted {
    let vector = Vector::accepted(name);
    let policy = Front::Policy(vector.policy());
    let app = Actix::new(if protected { policy } else { Front::Nothing });
    warm(move || Actix::request_from(&vector.request()), move |request| app.call(request))
}

// `counts` makes the record's rows of these: it finds them by function, and by the place of the case.

#[library_benchmark]
#[bench::of(args = ("HS256"), setup = warm_bare)]
fn bare(call: Counted) {
    call();
}

#[library_benchmark]
#[benches::of(iter = ACCEPTED, setup = warm_raw)]
fn raw(call: Counted) {
    call();
}

#[library_benchmark]
#[bench::of(args = ("bad signature"), setup = warm_raw_refused)]
fn raw_refused(call: Counted) {
    call();
}

#[library_benchmark]
#[benches::of(iter = ACCEPTED, setup = warm_layer)]
fn layer(call: Counted) {
    call();
}

#[library_benchmark]
#[bench::of(args = ("HS256"), setup = warm_typed)]
fn typed(call: Counted) {
    call();
}

#[library_benchmark]
#[benches::of(iter = ACCEPTED, setup = warm_remembered)]
fn remembered(call: Counted) {
    call();
}

#[library_benchmark]
#[bench::of(args = ("HS256"), setup = warm_remembered_typed)]
fn remembered_typed(call: Counted) {
    call();
}

#[library_benchmark]
#[benches::of(iter = Refused::NAMES, setup = warm_decision)]
fn decision(call: Counted) {
    call();
}

#[library_benchmark]
#[benches::of(iter = Refused::NAMES, setup = warm_response)]
fn response(call: Counted) {
    call();
}

#[library_benchmark]
#[bench::open(args = ("HS256", false), setup = warm_axum)]
#[bench::protected(args = ("HS256", true), setup = warm_axum)]
fn axum(call: Counted) {
    call();
}

#[library_benchmark]
#[bench::open(args = ("HS256", false), setup = warm_actix)]
#[bench::protected(args = ("HS256", true), setup = warm_actix)]
fn actix(call: Counted) {
    call();
}

library_benchmark_group!(
    name = all,
    benchmarks = [
        bare,
        raw,
        raw_refused,
        layer,
        typed,
        remembered,
        remembered_typed,
        decision,
        response,
        axum,
        actix
    ]
);

main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = all
);

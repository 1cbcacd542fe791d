//! Every target keeps its promises for its corpus, and for mutations of it: the same ones in every run.
//!
//! `PORTCULLIS_FUZZ_ROUNDS` is how many mutations each target gets, and `PORTCULLIS_FUZZ_SEED` which ones.
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};

use portcullis_fuzz_targets::corpora::{Mutations, of, words};
use portcullis_fuzz_targets::{Outcome, TARGETS, Target};

/// Some seconds for each target, without optimization.
const ROUNDS: u64 = 2_000;

/// Runs a target, and says with which input it failed.
fn run((name, check): Target, input: &[u8], which: &str) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| check(input))).unwrap_or_else(|_| {
        panic!("{name}, {which}:\n{}\n{input:?}", String::from_utf8_lossy(input))
    })
}

fn setting(name: &str, default: u64) -> u64 {
    let set = env::var(name).ok();
    set.map_or(default, |set| set.parse().unwrap_or_else(|_| panic!("{name}={set} is a number?")))
}

fn target(name: &str) -> Target {
    TARGETS.into_iter().find(|(known, _)| *known == name).expect(name)
}

/// The corpus, then mutations of it; how many of each were accepted and refused.
fn drive(name: &str) {
    let target = target(name);
    let (inputs, words) = (of(name), words(name));
    let (mut good, mut bad) = (Vec::new(), 0);
    for (file, input) in &inputs {
        match run(target, input, file) {
            Outcome::Accepted => good.push(input.clone()),
            Outcome::Refused => bad += 1,
            Outcome::Skipped => panic!("{name}, {file}: the target does not look at it"),
        }
    }
    assert!(good.len() >= 5 && bad >= 5, "{name}: {} accepted, {bad} refused", good.len());

    let mut mutations = Mutations::new(setting("PORTCULLIS_FUZZ_SEED", 20_270_115));
    let mut seen = Vec::new();
    for round in 0..setting("PORTCULLIS_FUZZ_ROUNDS", ROUNDS) {
        let input = mutations.of(&inputs, &good, &words);
        seen.push(run(target, &input, &format!("mutation {round}")));
    }
    let count = |what| seen.iter().filter(|one| **one == what).count();
    let [accepted, refused, skipped] =
        [Outcome::Accepted, Outcome::Refused, Outcome::Skipped].map(count);
    println!("{name}: of the mutations, {accepted} accepted, {refused} refused, {skipped} skipped");
    // Otherwise they say nothing.
    assert!(accepted * 100 >= seen.len(), "{name}: {accepted} of {} are accepted", seen.len());
    assert!(skipped * 2 <= seen.len(), "{name}: {skipped} of {} are skipped", seen.len());
}

#[test]
fn keys_in_any_format_neither_panic_nor_verify_what_anybody_can_write() {
    drive("keys");
}

#[test]
fn a_policy_file_makes_a_policy_that_is_not_weak_or_lists_its_faults() {
    drive("policy_file");
}

#[test]
fn a_proof_holds_only_if_its_key_signed_it_for_this_request() {
    drive("proof");
}

#[test]
fn an_address_of_a_proof_is_read_as_a_browser_reads_it_or_refused() {
    drive("htu");
}

#[test]
fn a_request_passes_only_with_a_token_in_its_place() {
    drive("request");
}

#[test]
fn a_token_passes_only_if_the_issuer_signed_it() {
    drive("token");
}

#[test]
fn every_target_has_a_test_and_a_program() {
    let this = include_str!("corpora.rs");
    let manifest = include_str!("../../../fuzz/Cargo.toml");
    for (name, _) in TARGETS {
        assert!(this.contains(&format!("drive(\"{name}\")")), "{name} has no test");
        assert!(manifest.contains(&format!("\"fuzz_targets/{name}.rs\"")), "{name} has no program");
    }
}

//! A policy of ours and `oauth4webapi` of npm decide about the same requests with proofs (DPoP, RFC 9449). Where they
//! differ, there is a reason on a list.
//!
//! The proofs are all new: `oauth4webapi` remembers none, and asks for no nonce.
mod case;
mod changes;
mod reasons;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use portcullis::dpop::{Dpop, InProcessReplays};
use portcullis::{Algorithm, Error, Policy, UnixTime};
use portcullis_interop::Judge;
use portcullis_testkit::{FixedClock, SigningKey, TestIssuer};

use crate::case::{BASE, Case, Draft, World};
use crate::changes::Change;

const NOW: i64 = 1_800_000_000;

/// So many requests, besides those with each change alone.
const REQUESTS: usize = 5000;

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

const TARGETS: [&str; 13] = [
    "/orders",
    "/orders?page=2",
    "/orders/?a=1&b=%2F..%2F",
    "/",
    "/?x",
    "/a%2Fb",
    "/a%2fb",
    "/%7Euser",
    "/a//b",
    "/caf%C3%A9",
    "/.well-known/orders",
    "/a+b;c=d,e:f@g!$&'()*",
    "/a|b",
];

const TOKENS: [Algorithm; 4] =
    [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256, Algorithm::ES384];

/// Of clients. A policy lists no RS256, unless it is told to.
const KEYS: [Algorithm; 5] =
    [Algorithm::ES256, Algorithm::EdDSA, Algorithm::Ed25519, Algorithm::ES384, Algorithm::RS256];

fn world() -> World {
    let issuer = TestIssuer::new("https://id.example").clock(FixedClock::at(NOW));
    let keys = || KEYS.map(SigningKey::generate).into();
    World { issuer, now: NOW, keys: keys(), foreign: keys() }
}

fn policy(issuer: &TestIssuer) -> Policy {
    let replays = InProcessReplays::new().started_at(UnixTime(NOW - 3600));
    let listed = [Algorithm::ES256, Algorithm::EdDSA, Algorithm::Ed25519, Algorithm::ES384];
    let dpop = Dpop::new(replays).at(BASE).algorithms(listed);
    let policy = Policy::builder().clock(FixedClock::at(NOW)).issuer(issuer.trusted(&TOKENS));
    policy.dpop(dpop).build().expect("a policy without a fault")
}

/// `SplitMix64` (Steele, Lea and Flood, 2014), so that every run has the same requests.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mixed = mixed ^ (mixed >> 31);
        usize::try_from(mixed % bound as u64).expect("less than a `usize`")
    }

    fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

/// Each change alone, and then some of them together.
fn cases<'w>(world: &'w World, changes: &'w [Change]) -> impl Iterator<Item = Case> + 'w {
    let alone = changes.iter().map(|change| {
        let mut draft = Draft::new(world, "GET", "/orders?page=2", 0, Algorithm::ES256);
        (change.apply)(&mut draft);
        draft.finish(vec![change.name.clone()])
    });
    let mut dice = Dice(9449);
    let together = (0..REQUESTS).map(move |_| {
        let (method, target) = (*dice.one_of(&METHODS), *dice.one_of(&TARGETS));
        // Most clients have a key for ES256.
        let key = dice.below(2 * KEYS.len()).saturating_sub(KEYS.len());
        let token = *dice.one_of(&TOKENS);
        let mut draft = Draft::new(world, method, target, key, token);
        let mut names = vec![format!("{method} {target}, {} and {token}", KEYS[key])];
        // Of ten, one has no change, five have one, three have two, and one has three.
        for _ in 0..*dice.one_of(&[0, 1, 1, 1, 1, 1, 2, 2, 2, 3]) {
            let change = dice.one_of(changes);
            (change.apply)(&mut draft);
            names.push(change.name.clone());
        }
        draft.finish(names)
    });
    alone.chain(together)
}

fn decide(policy: &Policy, case: &Case) -> Result<(), Error> {
    let mut request = http::Request::builder().method(&*case.request.method).uri(&*case.target);
    for (name, value) in &case.request.headers {
        request = request.header(*name, value);
    }
    let request = request.body(()).expect("a request");
    policy.verify_now(&request).map(drop).map_err(|rejection| rejection.into_error())
}

#[tokio::test]
async fn every_other_verdict_of_oauth4webapi_has_a_reason_that_is_listed() {
    let world = world();
    let jwks = world.issuer.jwks_of(&TOKENS);
    let (name, audience) = (world.issuer.name(), TestIssuer::AUDIENCE);
    let judge = Judge::or_leave_out(name, audience, &jwks, UnixTime(NOW)).await;
    let Some(mut judge) = judge else { return };
    let policy = policy(&world.issuer);

    let (mut both_pass, mut both_refuse) = (0, 0);
    let mut differences = BTreeMap::<&str, usize>::new();
    let mut unexplained = String::new();
    let changes = changes::all(NOW);
    for case in cases(&world, &changes) {
        let ours = decide(&policy, &case);
        if ours.is_ok() {
            let Case { changes, request, .. } = &case;
            let is_its_own = reasons::serves_this_request_alone(&case, NOW);
            assert!(is_its_own, "{changes:?}: {} {}", request.method, request.url);
        }
        let theirs = judge.judge(&case.request).await;
        let reasons = match (&ours, &theirs) {
            (Ok(()), Ok(_)) => {
                both_pass += 1;
                continue;
            }
            (Err(_), Err(_)) => {
                both_refuse += 1;
                continue;
            }
            (Err(error), Ok(_)) => reasons::that_we_refuse(&case, error, NOW),
            (Ok(()), Err(refused)) => reasons::that_they_refuse(&case, refused, NOW),
        };
        for reason in &reasons {
            *differences.entry(reason).or_default() += 1;
        }
        if reasons.is_empty() {
            let Case { changes, request, .. } = &case;
            let ours = ours.map_err(|error| error.to_string());
            writeln!(
                unexplained,
                "{changes:?}\n  we: {ours:?}\n  they: {theirs:?}\n  {} {}",
                request.method, request.url
            )
            .expect("a text");
        }
    }
    println!("both let in {both_pass}, both refuse {both_refuse}, and they differ:");
    for (reason, count) in &differences {
        println!("{count:5}  {reason}");
    }
    assert!(unexplained.is_empty(), "differences without a reason:\n{unexplained}");
    let never: Vec<_> = reasons::all().filter(|it| !differences.contains_key(it)).collect();
    assert!(never.is_empty(), "reasons that never occur: {never:#?}");
    // A judge that decided all alike would explain nothing.
    assert!(both_pass > 500 && both_refuse > 1000, "{both_pass} and {both_refuse}");
}

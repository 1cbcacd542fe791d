//! What verification allocates, and no more.
//!
//! One allocation too many fails the row. When a path gets cheaper, lower its bound. What grows an
//! allocation counts as another one, and counts are per thread.
use core::fmt::Write as _;

use allocation_counter::{AllocationInfo, measure};
use portcullis::Algorithm;
use portcullis::dpop::Nonces;
use portcullis::tower::VerifyLayer;
use portcullis_benches::call::{self, Bare, Reads};
use portcullis_benches::case::NineClaims;
use portcullis_benches::sender::Forgetful;
use portcullis_benches::{Client, Refused, Vector, refusal};
use tower_layer::Layer;

/// A request that passes: what exactly the layer allocates from the request to the response, and
/// at most how many bytes of it.
#[rustfmt::skip]
const ACCEPTED: [(&str, u64, u64); 5] = [
    ("HS256",          5, 1067),
    ("RS256",          5, 1068),
    ("ES256",          5, 1068),
    ("EdDSA",          5, 1068),
    ("RS256 Keycloak", 5, 1508),
];

/// A request with a remembered token: all of it is `Extensions`' and the admission in it.
const REMEMBERED: (u64, u64) = (3, 204);

/// A request with a remembered token that is bound to a key, and a proof: what exactly the layer allocates, and at most how many bytes.
/// A nonce costs nothing.
const PROOF: (u64, u64) = (11, 1330);

/// What the typed claims of [`NineClaims`] take in addition when the service reads them.
const TYPED_CLAIMS: (u64, u64) = (7, 322);

/// A request that is turned away: what the decision allocates at most, and how many bytes.
///
/// One buffer: the text of the token, where it decodes.
#[rustfmt::skip]
const REFUSED: [(&str, u64, u64); 10] = [
    ("missing",                   0, 0),
    ("malformed: a foreign byte", 0, 0),
    ("malformed: two parts",      0, 0),
    ("malformed: a claim twice",  1, 93),
    ("unknown algorithm",         1, 304),
    ("wrong audience",            1, 304),
    ("expired",                   1, 306),
    ("unknown issuer",            1, 297),
    ("unknown key",               1, 306),
    ("bad signature",             1, 304),
];

/// What a policy takes where it is not told: no refusal needs as many bytes.
const TOKEN_LIMIT: u64 = 16 * 1024;

/// Of the third call: what is made once is made at the first, and what a service read of a remembered token is
/// kept from the second on.
fn third(mut call: impl FnMut()) -> AllocationInfo {
    call();
    call();
    measure(call)
}

/// Of a request through the layer, to a service that is the floor or reads the claims.
fn through_the_layer(vector: &Vector, reads: bool) -> AllocationInfo {
    let layer = VerifyLayer::new(vector.policy().clone());
    let (mut bare, mut reading) = (layer.layer(Bare), layer.layer(Reads::<NineClaims>::new()));
    let mut requests = [(); 3].map(|()| vector.request()).into_iter();
    third(|| {
        let request = requests.next().expect("three requests for three calls");
        drop(if reads {
            call::call(&mut reading, request)
        } else {
            call::call(&mut bare, request)
        });
    })
}

/// What is wrong with all the rows, together.
#[derive(Default)]
struct Faults(String);

impl Faults {
    fn check(&mut self, name: &str, ok: bool, cost: AllocationInfo, bound: (u64, u64)) {
        if !ok {
            let now = (cost.count_total, cost.bytes_total);
            writeln!(self.0, "{name}: {now:?}, where the table says {bound:?}").expect("memory");
        }
    }

    fn assert_none(&self) {
        assert!(self.0.is_empty(), "(allocations, bytes)\n{}", self.0);
    }
}

#[test]
fn an_accepted_request_costs_exactly_so_many_allocations() {
    let mut faults = Faults::default();
    for (name, count, bytes) in ACCEPTED {
        let cost = through_the_layer(&Vector::accepted(name), false);
        let ok = cost.count_total == count && cost.bytes_total <= bytes;
        faults.check(name, ok, cost, (count, bytes));
    }
    let remembered = ACCEPTED.map(|(name, ..)| (name, false)).into_iter();
    // The claims that are read are remembered as well.
    for (name, reads) in remembered.chain([("ES256", true)]) {
        let cost = through_the_layer(&Vector::remembered(name), reads);
        let (count, bytes) = REMEMBERED;
        let ok = cost.count_total == count && cost.bytes_total <= bytes;
        faults.check(&format!("remembered: {name}"), ok, cost, REMEMBERED);
    }
    let vector = Vector::accepted("HS256");
    let mut cost = through_the_layer(&vector, true);
    let without = through_the_layer(&vector, false);
    cost.count_total -= without.count_total;
    cost.bytes_total -= without.bytes_total;
    let (count, bytes) = TYPED_CLAIMS;
    let ok = cost.count_total == count && cost.bytes_total <= bytes;
    faults.check("typed claims", ok, cost, TYPED_CLAIMS);
    faults.assert_none();
}

#[test]
fn a_proof_costs_exactly_so_many_allocations_and_a_nonce_none() {
    let mut faults = Faults::default();
    let (count, bytes) = PROOF;
    let mut counts = Vec::new();
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA] {
        for (name, nonces) in [("", None), (", with a nonce", Some(Nonces::of_this_process()))] {
            let client = Client::new(algorithm).standing_still();
            let policy = client.policy_over(Forgetful, |dpop| match &nonces {
                Some(nonces) => dpop.nonces(nonces.clone()),
                None => dpop,
            });
            let mut service = VerifyLayer::new(policy).layer(Bare);
            let mut requests = [0; 3].map(|index| client.request(index)).into_iter();
            let cost = third(|| {
                let request = requests.next().expect("three requests for three calls");
                assert!(call::call(&mut service, request).status().is_success());
            });
            let ok = cost.count_total == count && cost.bytes_total <= bytes;
            faults.check(&format!("{algorithm}{name}"), ok, cost, PROOF);
            counts.push(cost.count_total);
        }
    }
    faults.assert_none();
    assert!(counts.iter().all(|one| *one == counts[0]), "{counts:?}");
}

#[test]
fn a_refusal_is_decided_within_so_many_allocations() {
    assert_eq!(REFUSED.map(|(name, ..)| name), Refused::NAMES);
    let mut faults = Faults::default();
    for (name, count, bytes) in REFUSED {
        assert!(bytes < TOKEN_LIMIT, "{name}: a decision is not to take more than a token");
        let vector = Vector::refused(name);
        let request = vector.request();
        let cost = third(|| drop(refusal::decide(vector.policy(), &request)));
        let ok = cost.count_total <= count && cost.bytes_total <= bytes;
        faults.check(name, ok, cost, (count, bytes));
    }
    faults.assert_none();
}

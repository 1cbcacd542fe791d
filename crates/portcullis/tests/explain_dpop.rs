//! An explanation of a request says of each proof what the verdict says, names the check, and uses nothing.
#![cfg(feature = "explain")]
use core::time::Duration;

use portcullis::dpop::{Dpop, InProcessReplays, Nonces};
use portcullis::explain::{Explanation, Outcome, SenderCheck, Stage};
use portcullis::policy::Verification;
use portcullis::{Algorithm, Error, Policy, UnixTime};
use portcullis_testkit::{ProofBuilder, SigningKey, TestIssuer, TokenBuilder, hostile};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const URL: &str = "https://api.example/orders/7";

struct World {
    issuer: TestIssuer,
    key: SigningKey,
    replays: InProcessReplays,
    policy: Policy,
}

impl World {
    fn new(change: impl FnOnce(Dpop) -> Dpop) -> Self {
        let issuer = TestIssuer::new("https://id.example").at(NOW);
        let replays = InProcessReplays::new().started_at(UnixTime(NOW - 3600));
        let dpop = Dpop::new(replays.clone()).at("https://example/api").at("https://api.example");
        let policy = issuer.policy_builder().dpop(change(dpop)).build().expect("a policy");
        Self { issuer, key: SigningKey::generate(Algorithm::ES256), replays, policy }
    }

    fn bound(&self) -> TokenBuilder {
        self.issuer.token(Algorithm::ES256).bound_to(&self.key)
    }

    fn proof(&self, token: &str) -> ProofBuilder {
        self.issuer.proof(&self.key, "GET", URL).token(token)
    }

    fn explain(&self, request: &http::Request<()>) -> Explanation {
        let used = self.replays.len();
        let explanation = self.policy.explain_request_now(request).expect("a token");
        assert_eq!(self.replays.len(), used, "nothing is used");
        explanation
    }

    /// What the policy says, for good.
    fn decide(&self, request: &http::Request<()>) -> Option<Error> {
        match self.policy.start_verify(request) {
            Verification::Done(decided) => decided.err().map(|rejection| rejection.error().clone()),
            Verification::Pending(_) => panic!("all is at hand"),
        }
    }
}

fn request(scheme: &str, token: &str, proofs: &[&str]) -> http::Request<()> {
    let request = http::Request::builder()
        .uri("/orders/7?x=1")
        .header("authorization", format!("{scheme} {token}"));
    let request = proofs.iter().fold(request, |request, proof| request.header("dpop", *proof));
    request.body(()).expect("a request")
}

fn checks(explanation: &Explanation) -> &[SenderCheck] {
    explanation.facts().proof.as_ref().map_or(&[], |proof| &proof.checks)
}

fn unmet(explanation: &Explanation) -> Vec<&'static str> {
    let unmet = checks(explanation).iter().filter(|check| check.met == Some(false));
    unmet.map(|check| check.check).collect()
}

fn check<'e>(explanation: &'e Explanation, name: &str) -> &'e SenderCheck {
    checks(explanation).iter().find(|check| check.check == name).expect("a check")
}

#[test]
fn a_good_proof_meets_each_check_and_is_as_good_as_before() {
    let world = World::new(|dpop| dpop);
    let token = world.bound().mint();
    let request = request("DPoP", &token, &[&world.proof(&token).mint()]);
    for _ in 0..2 {
        let explanation = world.explain(&request);
        assert!(explanation.verdict().is_ok(), "{explanation}");
        let steps = &explanation.facts().steps;
        assert!(steps.iter().all(|step| step.outcome == Outcome::Passed), "{explanation}");
        let named: Vec<_> = checks(&explanation).iter().map(|check| check.check).collect();
        assert_eq!(
            named,
            [
                "scheme",
                "cnf",
                "headers",
                "form",
                "typ",
                "alg",
                "header",
                "jwk",
                "signature",
                "jkt",
                "jti",
                "htm",
                "htu",
                "ath",
                "iat",
                "use"
            ]
        );
        let unknown = checks(&explanation).iter().filter(|check| check.met != Some(true));
        assert_eq!(
            unknown.map(|check| (check.check, check.met)).collect::<Vec<_>>(),
            [("use", None)]
        );
    }
    assert_eq!(world.decide(&request), None);
    assert_eq!(world.decide(&request).map(|error| error.reason()), Some("proof_replayed"));
}

/// A change of a proof, and the check that it fails.
type Change = (&'static str, fn(ProofBuilder) -> ProofBuilder);

const CHANGES: &[Change] = &[
    ("typ", |proof| proof.header("typ", "JWT")),
    ("typ", |proof| proof.without_header("typ")),
    ("alg", |proof| proof.header("alg", "none")),
    ("alg", |proof| proof.header("alg", "RS256")),
    ("alg", |proof| proof.without_header("alg")),
    ("jwk", |proof| proof.without_header("jwk")),
    ("jwk", |proof| proof.header("jwk", json!({ "kty": "oct", "k": "c2VjcmV0" }))),
    ("header", |proof| proof.header("crit", json!(["x"]))),
    ("header", |proof| proof.header("x5u", "https://evil.example")),
    ("jti", |proof| proof.without("jti")),
    ("jti", |proof| proof.claim("jti", 7)),
    ("jti", |proof| proof.claim("jti", "x".repeat(257))),
    ("htm", |proof| proof.claim("htm", "get")),
    ("htm", |proof| proof.without("htm")),
    ("htu", |proof| proof.claim("htu", "https://api.example/orders/8")),
    ("htu", |proof| proof.claim("htu", "https://evil.example/orders/7")),
    ("htu", |proof| proof.claim("htu", "https://a@api.example/orders/7")),
    ("htu", |proof| proof.claim("htu", json!([URL]))),
    ("htu", |proof| proof.without("htu")),
    ("ath", |proof| proof.token("another")),
    ("ath", |proof| proof.without("ath")),
    ("iat", |proof| proof.claim("iat", NOW - 61)),
    ("iat", |proof| proof.claim("iat", NOW + 11)),
    ("iat", |proof| proof.claim("iat", "now")),
    ("nbf", |proof| proof.claim("nbf", NOW + 11)),
    ("exp", |proof| proof.claim("exp", NOW)),
];

#[test]
fn what_a_proof_lacks_is_the_one_check_that_is_not_met() {
    let world = World::new(|dpop| dpop);
    let token = world.bound().mint();
    for (at, (name, change)) in CHANGES.iter().enumerate() {
        let request = request("DPoP", &token, &[&change(world.proof(&token)).mint()]);
        let explanation = world.explain(&request);
        assert_eq!(explanation.refused_by(), Some(Stage::Sender), "{at} {name}");
        let mut found = unmet(&explanation);
        // Without the algorithm or the key there is no key of it.
        if ["alg", "jwk"].contains(name) {
            found.retain(|own| !["alg", "jwk"].contains(own) || own == name);
        }
        assert_eq!(found, [*name], "{at}: {explanation}");
        assert_eq!(explanation.verdict().err(), world.decide(&request).as_ref(), "{at} {name}");
    }
    assert!(world.replays.is_empty());
}

#[test]
fn token_scheme_and_proof_go_together_or_it_is_told_what_does_not() {
    for is_required in [false, true] {
        let world = World::new(|dpop| if is_required { dpop.required() } else { dpop });
        let (bound, unbound) = (world.bound().mint(), world.issuer.token(Algorithm::ES256).mint());
        let other = SigningKey::generate(Algorithm::ES256);
        let of_other = world.issuer.token(Algorithm::ES256).bound_to(&other).mint();
        let proof = |token: &str| world.proof(token).mint();
        let required: &[&str] = if is_required { &["cnf"] } else { &[] };
        for (request, expected) in [
            (request("Bearer", &unbound, &[]), required),
            (request("Bearer", &bound, &[]), &["scheme", "headers"]),
            (request("Bearer", &bound, &[&proof(&bound)]), &["scheme"]),
            (request("DPoP", &bound, &[]), &["headers"]),
            (request("DPoP", &bound, &[&proof(&bound), &proof(&bound)]), &["headers"]),
            (request("DPoP", &of_other, &[&proof(&of_other)]), &["jkt"]),
        ] {
            let explanation = world.explain(&request);
            assert_eq!(unmet(&explanation), expected, "{explanation}");
            assert_eq!(explanation.verdict().err(), world.decide(&request).as_ref());
        }
        for request in [
            request("DPoP", &unbound, &[&proof(&unbound)]),
            request("DPoP", &unbound, &[]),
            request("Bearer", &unbound, &[&proof(&unbound)]),
        ] {
            let explanation = world.explain(&request);
            assert!(!unmet(&explanation).is_empty(), "{explanation}");
            assert_eq!(explanation.verdict().err(), world.decide(&request).as_ref());
        }
    }
}

#[test]
fn both_sides_of_the_address_are_shown_as_they_are_compared() {
    let world = World::new(|dpop| dpop);
    let token = world.bound().mint();
    let htu = |url: &str| {
        let proof = world.proof(&token).claim("htu", url).mint();
        let explanation = world.explain(&request("DPoP", &token, &[&proof]));
        check(&explanation, "htu").clone()
    };
    let other = htu("HTTPS://API.example:8443/orders/7");
    assert_eq!(
        other.needs,
        r#"one of "https://example/api/orders/7", "https://api.example/orders/7""#
    );
    let has = other.has.expect("it has one");
    for part in
        ["HTTPS://API.example:8443/orders/7", "compared as https://api.example:8443/orders/7"]
    {
        assert!(has.contains(part), "{has}");
    }
    let same = htu("HTTPS://API.example:443/orders/%37?y=2#z");
    assert_eq!(same.met, Some(true), "{:?}", same.has);
}

#[test]
fn a_nonce_is_asked_for_where_the_policy_does() {
    let world = World::new(|dpop| dpop.nonces(Nonces::of_this_process()));
    let token = world.bound().mint();
    // However wrong the client's clock is.
    let proof = world.proof(&token).claim("iat", NOW - 86_400);
    let explain = |proof: &ProofBuilder| world.explain(&request("DPoP", &token, &[&proof.mint()]));
    let without = explain(&proof);
    assert_eq!(unmet(&without), ["nonce"]);
    assert_eq!(without.verdict().unwrap_err().reason(), "nonce_missing");
    let foreign = explain(&proof.clone().claim("nonce", "x".repeat(22)));
    assert_eq!(unmet(&foreign), ["nonce"]);
    let Verification::Done(Err(rejection)) =
        world.policy.start_verify(&request("DPoP", &token, &[&proof.mint()]))
    else {
        panic!("it has no nonce")
    };
    let response = rejection.into_response::<bytes::Bytes>();
    let nonce = response.headers()["dpop-nonce"].to_str().expect("ASCII");
    let good = explain(&proof.claim("nonce", nonce));
    assert!(good.verdict().is_ok() && unmet(&good).is_empty(), "{good}");
}

#[test]
fn a_proof_is_looked_at_also_where_the_token_is_refused() {
    let world = World::new(|dpop| dpop);
    let token = world.bound().expired().mint();
    let proof = world.proof(&token).claim("htm", "POST").mint();
    let explanation = world.explain(&request("DPoP", &token, &[&proof]));
    assert_eq!(explanation.refused_by(), Some(Stage::Screen));
    assert_eq!(unmet(&explanation), ["htm"]);
    let last = explanation.facts().steps.last().expect("a step");
    assert_eq!((last.stage, last.outcome), (Stage::Sender, Outcome::NotReached));
    // Without a request, there is no proof, and a bound token has no way in.
    let alone = world.policy.explain_now(world.bound().mint());
    assert_eq!(alone.refused_by(), Some(Stage::Sender));
    assert!(alone.facts().proof.is_none());
    // Of a request without a token nothing can be told.
    let nothing = http::Request::new(());
    let error = world.policy.explain_request_now(&nothing).expect_err("no token");
    assert_eq!(error.reason(), "token_missing");
}

#[test]
fn no_private_key_and_no_signature_is_shown_and_debug_shows_no_claim() {
    let world = World::new(|dpop| dpop);
    let token = world.bound().mint();
    let mut jwk = world.key.public_jwk().expect("a key pair");
    jwk["d"] = "c2VjcmV0LXNlY3JldC1zZWNyZXQ".into();
    let proof = world.proof(&token).header("jwk", jwk).claim("jti", "mine-alone").mint();
    let explanation = world.explain(&request("DPoP", &token, &[&proof]));
    assert_eq!(unmet(&explanation), ["jwk"]);
    let shown = format!("{explanation}\n{}", serde_json::to_string(&explanation).expect("JSON"));
    let signature = proof.rsplit('.').next().expect("a part");
    assert!(!shown.contains("c2VjcmV0") && !shown.contains(signature), "{shown}");
    let debug = format!("{explanation:?}{:?}", explanation.facts().proof);
    assert!(!debug.contains("mine-alone") && !debug.contains(URL), "{debug}");
    let json: Value = serde_json::to_value(&explanation).expect("JSON");
    assert_eq!(json["proof"]["proof"]["claims"]["jti"], "mine-alone");
    assert_eq!(json["proof"]["checks"][0]["check"], "scheme");
}

#[test]
fn a_policy_says_what_it_asks_of_proofs() {
    let issuer = TestIssuer::new("https://id.example");
    assert!(issuer.policy().describe().dpop.is_none());
    let world = World::new(|dpop| {
        dpop.required()
            .algorithms([Algorithm::PS256, Algorithm::ES256])
            .window(Duration::from_secs(90), Duration::from_secs(15))
            .nonces(Nonces::of_this_process())
    });
    let described = serde_json::to_value(world.policy.describe().dpop).expect("JSON");
    let expected = json!({
        "required": true,
        "base_urls": ["https://example/api", "https://api.example"],
        "algorithms": ["PS256", "ES256"],
        "past_s": 90,
        "future_s": 15,
        "nonces": true,
        "replays": "InProcessReplays",
        "is_shared": false,
    });
    assert_eq!(described, expected);
}

/// A proof, or its bytes, changed somewhere.
fn mutated(proof: &str, at: Index, byte: u8) -> String {
    let mut bytes = proof.as_bytes().to_vec();
    let at = at.index(bytes.len());
    bytes[at] = if byte.is_ascii_graphic() { byte } else { b'A' };
    String::from_utf8(bytes).expect("ASCII")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn an_explanation_says_what_the_verdict_says(
        changes in prop::collection::vec(0..CHANGES.len(), 0..3),
        edit in prop::option::of((any::<Index>(), any::<u8>())),
        flips in any::<bool>(),
        is_dpop in prop::bool::weighted(0.9),
    ) {
        let world = World::new(|dpop| dpop);
        let token = world.bound().mint();
        let proof = changes.iter().fold(world.proof(&token), |proof, at| CHANGES[*at].1(proof));
        let mut proof = proof.mint();
        if flips {
            proof = hostile::flip_signature_bit(&proof);
        }
        if let Some((at, byte)) = edit {
            proof = mutated(&proof, at, byte);
        }
        let request = request(if is_dpop { "DPoP" } else { "Bearer" }, &token, &[&proof]);
        let explanation = world.explain(&request);
        let decided = world.decide(&request);
        prop_assert_eq!(explanation.verdict().err(), decided.as_ref());
        prop_assert_eq!(decided.is_none(), unmet(&explanation).is_empty(), "{}", explanation);
    }
}

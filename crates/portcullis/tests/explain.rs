//! An explanation says of each token what the verdict says, names the step, and gives nothing away.
#![cfg(feature = "explain")]
use core::future::Future;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis::error::RevocationUnavailable;
use portcullis::explain::{Explanation, KeyRole, Outcome, Stage, Trust};
use portcullis::keys::{KeyError, KeyFuture, KeyQuery, KeysUnavailable};
use portcullis::revocation::{RevocationSource, RevocationStatus};
use portcullis::{
    Algorithm, ClaimRules, Error, Issuer, KeySet, KeySource, Keys, Policy, Revocable, Revocations,
    TokenType, VerifiedToken, dangerous,
};
use portcullis_testkit::{FixedClock, SigningKey, TestIssuer, TokenBuilder, hostile};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngSeed, TestRunner};
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;

#[derive(Debug)]
struct OutOfReach;

impl KeySource for OutOfReach {
    fn keys(&self) -> KeySet {
        KeySet::empty()
    }

    fn seek(&self, _: &KeyQuery<'_>) -> Option<KeyFuture> {
        Some(Box::pin(async { Err(KeysUnavailable::default()) }))
    }
}

/// Whoever is called `unknown` cannot be told of.
#[derive(Debug)]
struct Oracle;

impl RevocationSource for Oracle {
    fn status(&self, token: &VerifiedToken) -> RevocationStatus {
        match token.subject() {
            Some("unknown") => RevocationStatus::Unavailable(RevocationUnavailable::default()),
            Some("later") => RevocationStatus::Later(Box::pin(async { Ok(true) })),
            _ => RevocationStatus::Active,
        }
    }
}

struct World {
    issuer: TestIssuer,
    /// Its keys have no ids, and there are five of them.
    crowd: TestIssuer,
    policy: Policy,
}

fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let issuer = TestIssuer::new("https://id.example").at(NOW);
        let crowd = TestIssuer::new("https://crowd.example").at(NOW);
        let five = (0..5).fold(KeySet::empty(), |keys, _| {
            let key = SigningKey::generate(Algorithm::ES256);
            keys.and(&KeySet::from_pem(key.public_pem().expect("a key pair")).expect("a key"))
        });
        let algorithms = [Algorithm::ES256, Algorithm::EdDSA];
        let trusted = Issuer::new(issuer.name())
            .algorithms(algorithms)
            .keys(KeySet::from_jwks(issuer.jwks_of(&algorithms)).expect("keys"))
            .audience(TestIssuer::AUDIENCE)
            .claims(
                ClaimRules::new()
                    .require("sub")
                    .forbid("act")
                    .one_of("tenant", ["acme", "initech"])
                    .max_age(Duration::from_secs(3600))
                    .max_lifetime(Duration::from_secs(7200))
                    .predicate("is not root", |claims: &Value| claims["sub"] != "root"),
            );
        let of_crowd = Issuer::new(crowd.name())
            .algorithms([Algorithm::ES256])
            .keys(Keys::source(five))
            .audience(TestIssuer::AUDIENCE)
            .token_types([TokenType::AccessToken]);
        let nowhere = Issuer::new("https://nowhere.example")
            .algorithms([Algorithm::ES256])
            .keys(Keys::source(OutOfReach))
            .audience(TestIssuer::AUDIENCE);
        let revocations = Revocations::in_memory();
        let policy = Policy::builder()
            .issuer(trusted)
            .issuer(of_crowd)
            .issuer(nowhere)
            .clock(FixedClock::at(NOW))
            .refuse_brought_keys()
            .revocations(revocations.enforce([Revocable::Token]))
            .revocation_source(Oracle)
            .build()
            .expect("a good policy");
        ready(revocations.revoke_token(issuer.name(), "revoked", None)).expect("room");
        World { issuer, crowd, policy }
    })
}

fn good() -> TokenBuilder {
    world().issuer.token(Algorithm::ES256).claim("tenant", "acme")
}

/// Every reason that a token alone can cause, with the step that finds it.
fn refusals() -> Vec<(&'static str, Stage, String)> {
    use Stage::{Claims, Issuer, Key, Revocation, Screen, Signature, Token};
    let World { issuer, crowd, .. } = world();
    let impostor = issuer.impostor();
    vec![
        ("too_large", Token, good().claim("pad", "x".repeat(20_000)).mint()),
        ("unknown_algorithm", Token, good().header("alg", "none").mint()),
        ("malformed", Token, "a.b".to_owned()),
        ("malformed", Token, good().raw_payload(r#"{"sub":"a","sub":"b"}"#).mint()),
        ("malformed", Token, good().claim("exp", "soon").mint()),
        ("unknown_issuer", Issuer, good().claim("iss", "https://evil.example").mint()),
        ("wrong_algorithm", Issuer, good().header("alg", "RS256").mint()),
        ("embedded_key", Issuer, good().header("jku", "https://evil.example").mint()),
        ("wrong_type", Screen, good().typ("secevent+jwt").mint()),
        ("wrong_audience", Screen, good().audience("https://bills.example").mint()),
        ("claim_missing", Screen, good().without("aud").mint()),
        ("claim_missing", Screen, good().without("exp").mint()),
        ("expired", Screen, good().expired().mint()),
        ("claim_rule", Screen, good().claim("sub", 42).mint()),
        ("unknown_key", Key, good().key_id("es256-77").mint()),
        ("ambiguous_key", Key, crowd.token(Algorithm::ES256).mint()),
        ("keys_unavailable", Key, good().claim("iss", "https://nowhere.example").mint()),
        ("bad_signature", Signature, hostile::flip_signature_bit(&good().mint())),
        ("bad_signature", Signature, impostor.token(Algorithm::ES256).mint()),
        ("wrong_type", Claims, good().claim("at_hash", "x").mint()),
        ("not_yet_valid", Claims, good().claim("nbf", NOW + 31).mint()),
        ("issued_in_future", Claims, good().claim("iat", NOW + 31).mint()),
        ("lives_too_long", Claims, good().claim("exp", NOW + 7201).mint()),
        ("too_old", Claims, good().claim("iat", NOW - 3631).mint()),
        ("sender_constrained", Claims, good().claim("cnf", json!({ "jkt": "x" })).mint()),
        ("claim_missing", Claims, good().without("sub").mint()),
        ("claim_rule", Claims, good().claim("act", "x").mint()),
        ("claim_rule", Claims, good().claim("tenant", "globex").mint()),
        ("claim_rule", Claims, good().subject("root").mint()),
        ("claim_missing", Revocation, good().without("jti").mint()),
        ("revoked", Revocation, good().claim("jti", "revoked").mint()),
        ("revoked", Revocation, good().subject("later").mint()),
        ("revocation_unavailable", Revocation, good().subject("unknown").mint()),
    ]
}

fn explain(token: impl AsRef<[u8]>) -> Explanation {
    ready(world().policy.explain(token))
}

/// The step's own word is the verdict's: it was taken, and ended in the same error.
fn agrees(explanation: &Explanation, verdict: Option<&Error>) -> bool {
    let steps = &explanation.facts().steps;
    let refused = steps.iter().find(|step| step.outcome == Outcome::Refused);
    let is_own = match refused {
        Some(step) => step.took.is_some(),
        None => steps.iter().all(|step| step.took.is_some()),
    };
    is_own
        && explanation.verdict().err() == verdict
        && refused.and_then(|step| step.error.as_ref()) == verdict
        && steps.iter().map(|step| step.stage).eq(Stage::ALL.iter().copied())
}

#[test]
fn every_refusal_names_its_step() {
    for (reason, stage, token) in refusals() {
        let explanation = explain(&token);
        let error = explanation.verdict().expect_err(reason);
        assert_eq!((error.reason(), explanation.refused_by()), (reason, Some(stage)), "{error}");
        let verdict = ready(world().policy.verify_token(&token));
        // Who has to be waited for was asked for the verdict alone.
        if !token_is_of(&explanation, "later") {
            assert!(agrees(&explanation, verdict.as_ref().err()), "{reason}: {explanation}");
        }
    }
}

fn token_is_of(explanation: &Explanation, subject: &str) -> bool {
    let claims = explanation.facts().token.claims.as_ref();
    claims.is_some_and(|claims| claims.get("sub") == Some(&json!(subject)))
}

#[test]
fn a_good_token_passes_every_step_and_rule_and_its_key_is_named() {
    let explanation = explain(good().mint());
    assert!(agrees(&explanation, None));
    let facts = explanation.facts();
    assert_eq!(facts.trust, Trust::Accepted);
    assert!(facts.checks.iter().all(|check| check.met == Some(true)), "{explanation}");
    let issuer = facts.issuer.as_ref().expect("a known issuer");
    let roles: Vec<_> = issuer.keys.iter().map(|key| (key.algorithm, key.role)).collect();
    let other = KeyRole::OtherAlgorithm; // for which one key serves two names
    assert_eq!(roles, [("ES256", KeyRole::Signed), ("EdDSA", other), ("Ed25519", other)]);
    let answers = serde_json::to_value(&facts.revocation).expect("JSON");
    assert_eq!(
        answers,
        json!([
            { "source": "Oracle", "answer": "active" },
            { "source": "Revocations", "answer": "active" },
        ])
    );
}

#[test]
fn the_rule_that_refuses_is_the_first_that_is_not_met() {
    for (rule, needs, has, token) in [
        (
            "aud",
            r#"one of "https://api.example""#,
            Some(r#"["a","b"]"#),
            good().audience(["a", "b"]),
        ),
        ("sub", "a string (RFC 7519)", Some("42"), good().claim("sub", 42)),
        ("typ", "`JWT`, none or `at+jwt`", Some(r#""secevent+jwt""#), good().typ("secevent+jwt")),
        (
            "exp",
            "later than now, 1800000000; leeway 30 s",
            Some("1799999800, 3 min 20 s ago"),
            good().claim("iat", NOW - 500).expires_at(NOW - 200),
        ),
        (
            "nbf",
            "not later than now, 1800000000; leeway 30 s",
            Some("1800000060, in 1 min"),
            good().claim("nbf", NOW + 60),
        ),
        (
            "at_hash",
            "absent: says that it is not an access token",
            Some(r#""x""#),
            good().claim("at_hash", "x"),
        ),
        (
            "cnf",
            "absent: nobody checks that the sender has the key",
            Some(r#"{"jkt":"x"}"#),
            good().claim("cnf", json!({ "jkt": "x" })),
        ),
        ("lifetime", "at most 2 h", Some("3 h"), good().expires_at(NOW + 10_800)),
        (
            "age",
            "at most 1 h; leeway 30 s",
            Some("2 h"),
            good().claim("iat", NOW - 7200).expires_at(NOW),
        ),
        (
            "tenant",
            r#"one of "acme", "initech""#,
            Some(r#""globex""#),
            good().claim("tenant", "globex"),
        ),
        ("act", "absent", Some("null"), good().claim("act", Value::Null)),
        ("sub", "there, and not null", None, good().without("sub")),
        ("is not root", "to hold", None, good().subject("root")),
    ] {
        let explanation = explain(token.mint());
        assert!(explanation.verdict().is_err(), "{rule}");
        let checks = &explanation.facts().checks;
        let unmet = checks.iter().find(|check| check.met == Some(false)).expect(rule);
        let found = (unmet.rule.as_str(), unmet.needs.as_str(), unmet.has.as_deref());
        assert_eq!(found, (rule, needs, has));
    }
}

#[test]
fn what_stands_behind_the_refusal_is_told_and_marked() {
    let outcomes = |token: String| {
        let explanation = explain(token);
        let steps = explanation.facts().steps.iter().map(|step| step.outcome).collect::<Vec<_>>();
        (steps, explanation.facts().trust)
    };
    use Outcome::{NotReached, Passed, Refused, WouldPass, WouldRefuse};
    let (steps, trust) = outcomes(good().expired().mint());
    assert_eq!(
        steps,
        [Passed, Passed, Refused, WouldPass, WouldPass, NotReached, NotReached, NotReached]
    );
    assert_eq!(trust, Trust::Signed);
    let (steps, trust) = outcomes(hostile::flip_signature_bit(&good().expired().mint()));
    assert_eq!(
        steps,
        [Passed, Passed, Refused, WouldPass, WouldRefuse, NotReached, NotReached, NotReached]
    );
    assert_eq!(trust, Trust::Unverified);
    let (steps, trust) = outcomes(good().subject("unknown").mint());
    assert_eq!(steps, [Passed, Passed, Passed, Passed, Passed, Passed, Refused, WouldPass]);
    assert_eq!(trust, Trust::Signed);
}

#[test]
fn an_explanation_never_holds_a_signature_and_its_debug_no_claim() {
    let mut tokens = refusals();
    tokens.push(("", Stage::Token, good().mint()));
    // A part is missing, so that the signature stands where the payload should.
    let token = good().mint();
    tokens.push(("", Stage::Token, token.split_once('.').expect("parts").1.to_owned()));
    tokens.push(("", Stage::Token, format!("{token}.{token}")));
    for (_, _, token) in tokens {
        let explanation = explain(&token);
        let json = serde_json::to_string(&explanation).expect("JSON");
        let signature = token.rsplit('.').next().filter(|text| text.len() > 20).unwrap_or("\0");
        for text in [&json, &explanation.to_string(), &format!("{explanation:?}")] {
            assert!(!text.contains(signature) && !text.contains(&token), "{text}");
        }
        let debug = format!("{explanation:?} {:?}", explanation.facts());
        for claim in ["alice", "acme", "globex", "testkit", "token-", "es256-77"] {
            assert!(!debug.contains(claim), "{debug}");
        }
    }
}

#[test]
fn no_attackers_text_is_shown_raw() {
    let token = good().typ("a\u{1b}[31mb\u{202e}").claim("tenant", "\u{1b}]0;x\u{7}");
    let text = explain(token.mint()).to_string();
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
}

/// A good token, or one that is refused, with something done to its text.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let tokens: Vec<String> = refusals()
        .into_iter()
        .map(|(_, _, token)| token)
        .filter(|token| token.len() < 20_000)
        .chain((0..40).map(|_| good().mint()))
        .collect();
    let edit = (0..6_u8, any::<Index>(), any::<u8>());
    (prop::sample::select(tokens), prop::collection::vec(edit, 0..3)).prop_map(|(token, edits)| {
        let mut bytes = token.into_bytes();
        for (kind, at, byte) in edits {
            let at = at.index(bytes.len().max(1));
            match kind {
                0 if at < bytes.len() => bytes[at] = byte,
                1 if at < bytes.len() => bytes[at] ^= 1,
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 => bytes.truncate(at),
                4 => bytes.insert(at.min(bytes.len()), b"ABCabc019-_."[usize::from(byte) % 12]),
                _ => {}
            }
        }
        bytes
    })
}

#[test]
fn a_step_never_says_what_the_verdict_does_not() {
    let policy = &world().policy;
    let config = ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(7),
        ..ProptestConfig::default()
    };
    let property = |token: Vec<u8>| {
        let verdict = policy.verify_token_now(&token);
        let explanation = policy.explain_now(&token);
        // Of what has to be waited for, a step knows no error.
        let waits =
            matches!(&verdict, Err(Error::Revocation(_))) && token_is_of(&explanation, "later");
        prop_assert!(waits || agrees(&explanation, verdict.as_ref().err()), "{explanation}");
        let unmet = explanation.facts().checks.iter().any(|check| check.met == Some(false));
        prop_assert!(verdict.is_err() || !unmet, "{explanation}");
        let is_about_claims =
            matches!(explanation.refused_by(), Some(Stage::Screen | Stage::Claims));
        prop_assert!(unmet || !is_about_claims, "{explanation}");
        let is_signed = verdict.is_ok() || matches!(&verdict, Err(Error::Revocation(_)));
        prop_assert!(!is_signed || explanation.facts().trust != Trust::Unverified);
        Ok(())
    };
    TestRunner::new(config).run(&mutated(), property).expect("it holds");

    let token = good().mint();
    let key = world().issuer.key(Algorithm::ES256);
    let mut hostile = hostile::none_family(&token);
    hostile.extend(hostile::public_key_as_secret_family(&token, key));
    for forgery in hostile {
        let verdict = policy.verify_token_now(&forgery.token);
        let explanation = policy.explain_now(&forgery.token);
        assert!(agrees(&explanation, verdict.as_ref().err()), "{}: {explanation}", forgery.what);
    }
}

/// Has keys for the verdict alone, or for the steps alone.
#[derive(Debug)]
struct Fickle {
    keys: KeySet,
    begins_with_keys: bool,
    asked: AtomicBool,
}

impl KeySource for Fickle {
    fn keys(&self) -> KeySet {
        let is_first = !self.asked.swap(true, Ordering::Relaxed);
        if is_first == self.begins_with_keys { self.keys.clone() } else { KeySet::empty() }
    }
}

#[test]
fn where_keys_came_or_went_in_between_the_verdict_counts() {
    let token = good().mint();
    let explain = |begins_with_keys| {
        let issuer = &world().issuer;
        let keys = KeySet::from_jwks(issuer.jwks_of(&[Algorithm::ES256])).expect("keys");
        let source = Fickle { keys, begins_with_keys, asked: AtomicBool::new(false) };
        let trusted = Issuer::new(issuer.name())
            .algorithms([Algorithm::ES256])
            .keys(Keys::source(source))
            .audience(TestIssuer::AUDIENCE);
        let policy = Policy::builder().issuer(trusted).clock(FixedClock::at(NOW)).build();
        policy.expect("a policy").explain_now(&token)
    };
    let explanation = explain(true);
    assert!(explanation.verdict().is_ok());
    assert_eq!((explanation.refused_by(), explanation.facts().trust), (None, Trust::Accepted));
    let explanation = explain(false);
    assert_eq!(explanation.verdict().err(), Some(&Error::Key(KeyError::Unknown)));
    assert_eq!(explanation.refused_by(), Some(Stage::Key));
    assert_eq!(explanation.facts().trust, Trust::Unverified);
    let last = explanation.facts().steps.last().expect("a step");
    assert_eq!(last.outcome, Outcome::NotReached);
}

#[cfg(feature = "remote-jwks")]
#[test]
fn no_issuer_is_made_for_a_token_that_was_turned_away() {
    let trusted = Issuer::template("https://id.example/{tenant}")
        .algorithms([Algorithm::ES256])
        .keys(portcullis::RemoteJwks::discovery())
        .audience(TestIssuer::AUDIENCE);
    let policy = Policy::builder().issuer(trusted).clock(FixedClock::at(NOW)).build();
    let policy = policy.expect("a policy");
    let token = good().claim("iss", "https://id.example/acme").expired().mint();
    let explanation = policy.explain_now(&token);
    assert_eq!(explanation.refused_by(), Some(Stage::Screen));
    let issuer = explanation.facts().issuer.as_ref().expect("a rule");
    assert_eq!(issuer.id, "https://id.example/{tenant}");
    assert!(policy.remote_keys().is_empty());
}

#[test]
fn each_source_of_keys_says_what_it_is_whatever_its_debug_says() {
    struct Vault;
    impl std::fmt::Debug for Vault {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("RemoteJwks { issuer: .. }")
        }
    }
    impl KeySource for Vault {
        fn keys(&self) -> KeySet {
            KeySet::empty()
        }
    }
    #[derive(Debug)]
    struct Named(&'static str);
    impl KeySource for Named {
        fn keys(&self) -> KeySet {
            KeySet::empty()
        }
        fn describe(&self) -> String {
            self.0.repeat(1000)
        }
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    let jwks = world().issuer.jwks_of(&[Algorithm::ES256]);
    std::fs::write(file.path(), &jwks).expect("room");
    let keys = Keys::source(Vault)
        .and(
            portcullis::RemoteJwks::url("https://keys.example/set?key=hunter2")
                .max_stale(Duration::from_secs(7200)),
        )
        .and(portcullis::KeyFile::jwks(file.path()).open().expect("a key file"))
        .and(KeySet::from_jwks(&jwks).expect("a set"))
        .and(Keys::source(Named("x")));
    let issuer = Issuer::new("https://id.example").algorithms([Algorithm::ES256]).keys(keys);
    let policy = Policy::builder().issuer(issuer.audience("a")).build().expect("a policy");
    let description = policy.describe();
    let keys: Vec<_> = description.issuers[0]
        .keys
        .iter()
        .map(|one| (one.from.as_str(), one.is_remote, one.max_stale_s))
        .collect();
    assert_eq!(
        keys,
        [
            ("given to the policy when it was made", false, None),
            ("the program's own source `Vault`", false, None),
            (&format!("the file {}", file.path().display()), false, None),
            (&"x".repeat(160), false, None),
            ("https://keys.example/set", true, Some(7200)),
        ]
    );
}

#[test]
fn a_policy_says_what_it_accepts() {
    let policy = Policy::builder()
        .issuer(
            world()
                .issuer
                .trusted(&[Algorithm::ES256, Algorithm::HS256])
                .claims(
                    ClaimRules::new().max_lifetime(dangerous::unlimited_lifetime()).require("sub"),
                )
                .require_key_id(),
        )
        .sources([portcullis::TokenSource::bearer(), dangerous::token_in_url("token")])
        .unknown_revocation(dangerous::accept_unknown_revocation())
        .revocation_source(Oracle)
        .token_cache(0)
        .build()
        .expect("a policy");
    let description = serde_json::to_value(policy.describe()).expect("JSON");
    let issuer = &description["issuers"][0];
    assert_eq!(issuer["id"], "https://id.example");
    assert_eq!(issuer["algorithms"], json!(["HS256", "ES256"]));
    assert_eq!(issuer["keys"][0]["secrets"], 1);
    assert_eq!(issuer["audiences"], json!([TestIssuer::AUDIENCE]));
    assert_eq!((&issuer["leeway_s"], &issuer["max_lifetime_s"]), (&json!(30), &Value::Null));
    assert_eq!(issuer["claim_rules"], json!(["`sub` there, and not null"]));
    assert_eq!(
        description["sources"],
        json!(["header `Authorization: Bearer`", "query parameter `token`"])
    );
    assert_eq!(
        description["dangerous"],
        json!([
            "unlimited_lifetime (https://id.example)",
            "query(token)",
            "accept_unknown_revocation"
        ])
    );
    assert_eq!(
        description["revocation"],
        json!({ "sources": ["Oracle"], "kinds": [], "issuers": [] })
    );
    assert_eq!(
        (&description["token_cache"], &description["anonymous"]),
        (&json!(0), &json!(false))
    );
}

#[test]
fn what_can_be_revoked_is_described_by_issuer() {
    let issuer = TestIssuer::new("https://id.example");
    let other = TestIssuer::new("https://other.example");
    let revocations = Revocations::in_memory();
    let enforced = revocations
        .enforce([Revocable::Session, Revocable::Token])
        .for_issuer(other.name(), [Revocable::Key])
        .service_clients(issuer.name(), ["billing"]);
    let policy = issuer.policy_builder().issuer(other.trusted(&[Algorithm::ES256]));
    let policy = policy.revocations(enforced).build().expect("a policy");
    let description = serde_json::to_value(policy.describe()).expect("JSON");
    assert_eq!(
        description["revocation"],
        json!({
            "sources": ["Revocations"],
            "kinds": ["token", "session"],
            "issuers": [
                { "issuer": "https://id.example", "kinds": ["token", "session"], "service_clients": ["billing"] },
                { "issuer": "https://other.example", "kinds": ["key"], "service_clients": [] },
            ],
        })
    );
}

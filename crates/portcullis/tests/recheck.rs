//! A token that one policy verified, asked again by another.
use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Duration;

use portcullis::Algorithm::{ES256, EdDSA, HS256};
use portcullis::dpop::{Dpop, DpopError, InProcessReplays};
use portcullis::error::RevocationError;
use portcullis::keys::KeyError;
use portcullis::policy::Verification;
use portcullis::{
    Algorithm, ClaimRules, Error, Issuer, KeySet, Keys, Policy, PolicyBuilder, Revocable,
    Revocation, Revocations, Secret, TokenType, UnixTime,
};
use portcullis_testkit::{FixedClock, SigningKey, TestIssuer};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;

const NOW: i64 = 1_800_000_000;
const NAMES: [&str; 2] = ["https://a.example", "https://b.example"];
const CLAIMS: [&str; 5] = ["tenant", "plan", "sid", "ver", "azp"];

/// The keys of both issuers, made once.
struct Signers {
    ed: SigningKey,
    ec: SigningKey,
    nameless: SigningKey,
    secret: SigningKey,
}

fn signers() -> &'static Signers {
    static SIGNERS: OnceLock<Signers> = OnceLock::new();
    SIGNERS.get_or_init(|| Signers {
        ed: SigningKey::generate(EdDSA).with_id("ed"),
        ec: SigningKey::generate(ES256).with_id("ec"),
        nameless: SigningKey::generate(EdDSA).with_id(""),
        secret: SigningKey::generate(HS256).with_id("secret"),
    })
}

fn public(key: &SigningKey) -> KeySet {
    let mut jwk = key.public_jwk().expect("a public key");
    if key.id().is_empty() {
        jwk.as_object_mut().expect("an object").remove("kid");
    }
    KeySet::from_jwk(jwk.to_string()).expect("a key")
}

#[derive(Clone, Debug)]
struct IssuerPlan {
    name: &'static str,
    algorithms: Vec<Algorithm>,
    nameless_key: bool,
    audience: &'static str,
    by_client: bool,
    types: Vec<TokenType>,
    requires_key_id: bool,
    rules: RulesPlan,
}

#[derive(Clone, Debug)]
struct RulesPlan {
    leeway: u64,
    max_lifetime: u64,
    max_age: Option<u64>,
    required: Vec<&'static str>,
    forbidden: Option<&'static str>,
    exact: Option<(&'static str, &'static str)>,
    predicate: Option<u32>,
}

#[derive(Clone, Debug)]
struct PolicyPlan {
    issuers: Vec<IssuerPlan>,
    rules: RulesPlan,
    enforced: Vec<Revocable>,
    /// Instead, for the first issuer.
    own_kinds: Option<Vec<Revocable>>,
    services: Vec<&'static str>,
    session_claims: Vec<&'static str>,
    token_limit: usize,
    refuses_brought_keys: bool,
}

#[derive(Clone, Debug)]
struct TokenPlan {
    issuer: &'static str,
    algorithm: Algorithm,
    nameless: bool,
    named: bool,
    typ: &'static str,
    brings_key: bool,
    age: i64,
    lifetime: i64,
    has_issued_at: bool,
    audience: Option<&'static str>,
    claims: Vec<(&'static str, serde_json::Value)>,
}

/// Mostly the first, so that most tokens are accepted by one policy or the other.
fn mostly<T: Clone + core::fmt::Debug + 'static>(
    first: T,
    others: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    prop_oneof![16 => Just(first), 1 => others].boxed()
}

fn rules() -> BoxedStrategy<RulesPlan> {
    let exact = (select(&CLAIMS[..]), select(&["x", "y"][..]));
    (
        select(&[0, 30, 60][..]),
        mostly(86_400, select(&[600, 3600][..])),
        mostly(None, select(&[60, 600][..]).prop_map(Some)),
        mostly(Vec::new(), subsequence(&CLAIMS[..], 1..=2)),
        mostly(None, select(&CLAIMS[..]).prop_map(Some)),
        mostly(None, exact.prop_map(Some)),
        mostly(None, (0..3_u32).prop_map(Some)),
    )
        .prop_map(|(leeway, max_lifetime, max_age, required, forbidden, exact, predicate)| {
            RulesPlan { leeway, max_lifetime, max_age, required, forbidden, exact, predicate }
        })
        .boxed()
}

fn issuer_plan(name: &'static str) -> BoxedStrategy<IssuerPlan> {
    (
        mostly(vec![EdDSA, ES256, HS256], subsequence(vec![EdDSA, ES256, HS256], 1..=2)),
        mostly(true, Just(false)),
        mostly("api", Just("other")),
        prop::bool::weighted(0.03),
        mostly(
            vec![TokenType::Jwt, TokenType::AccessToken],
            subsequence(vec![TokenType::Jwt, TokenType::AccessToken], 1..=1),
        ),
        prop::bool::weighted(0.03),
        rules(),
    )
        .prop_map(
            move |(algorithms, nameless, audience, by_client, types, requires_key_id, rules)| {
                let nameless_key = nameless && algorithms.contains(&EdDSA);
                IssuerPlan {
                    name,
                    algorithms,
                    nameless_key,
                    audience,
                    by_client,
                    types,
                    requires_key_id,
                    rules,
                }
            },
        )
        .boxed()
}

fn policy_plan() -> impl Strategy<Value = PolicyPlan> {
    let issuers = prop_oneof![
        issuer_plan(NAMES[0]).prop_map(|one| vec![one]),
        (issuer_plan(NAMES[0]), issuer_plan(NAMES[1])).prop_map(|(one, other)| vec![one, other]),
    ];
    (
        issuers,
        rules(),
        prop_oneof![Just(Vec::new()), subsequence(Revocable::ALL.to_vec(), 1..=2)],
        (
            proptest::option::of(subsequence(Revocable::ALL.to_vec(), 0..=2)),
            subsequence(vec!["x", "y"], 0..=2),
        ),
        select(vec![vec!["sid"], vec!["tenant", "sid"], vec!["plan"]]),
        mostly(16 * 1024, Just(400)),
        prop::bool::weighted(0.03),
    )
        .prop_map(
            |(
                issuers,
                rules,
                enforced,
                (own_kinds, services),
                session_claims,
                token_limit,
                refuses_brought_keys,
            )| {
                let rules = RulesPlan { leeway: 30, ..rules };
                PolicyPlan {
                    issuers,
                    rules,
                    enforced,
                    own_kinds,
                    services,
                    session_claims,
                    token_limit,
                    refuses_brought_keys,
                }
            },
        )
}

fn token_plan() -> impl Strategy<Value = TokenPlan> {
    let value = prop_oneof![
        select(&["x", "y"][..]).prop_map(|text| json!(text)),
        (0..3_u32).prop_map(|number| json!(number)),
        Just(json!(null)),
        Just(json!(["x"])),
    ];
    let claims = proptest::collection::btree_map(
        select(&["tenant", "plan", "sid", "ver", "azp", "jti", "sub", "client_id"][..]),
        value,
        3..8,
    );
    (
        (
            mostly(NAMES[0], Just(NAMES[1])),
            select(&[EdDSA, ES256, HS256][..]),
            any::<bool>(),
            any::<bool>(),
        ),
        (mostly("JWT", Just("at+jwt")), prop::bool::weighted(0.03)),
        (mostly(0_i64, select(&[-20_i64, 100, 900][..])), select(&[120_i64, 900, 7200][..])),
        prop::bool::weighted(0.97),
        mostly(Some("api"), select(&[None, Some("other")][..])),
        claims,
    )
        .prop_map(
            |(
                (issuer, algorithm, nameless, named),
                (typ, brings_key),
                times,
                iat,
                audience,
                claims,
            )| {
                // Registered claims of the wrong type are not a token.
                let is_fine = |(name, value): &(&str, serde_json::Value)| {
                    !["jti", "sub", "client_id"].contains(name) || value.is_string()
                };
                TokenPlan {
                    issuer,
                    algorithm,
                    nameless,
                    named,
                    typ,
                    brings_key,
                    age: times.0,
                    lifetime: times.1,
                    has_issued_at: iat,
                    audience,
                    claims: claims.into_iter().filter(is_fine).collect(),
                }
            },
        )
}

fn claim_rules(plan: &RulesPlan) -> ClaimRules {
    let mut rules = ClaimRules::new()
        .leeway(Duration::from_secs(plan.leeway))
        .max_lifetime(Duration::from_secs(plan.max_lifetime));
    if let Some(age) = plan.max_age {
        rules = rules.max_age(Duration::from_secs(age));
    }
    for claim in &plan.required {
        rules = rules.require(*claim);
    }
    if let Some(claim) = plan.forbidden {
        rules = rules.forbid(claim);
    }
    if let Some((claim, value)) = plan.exact {
        rules = rules.exact(claim, value);
    }
    if let Some(least) = plan.predicate {
        rules = rules.predicate("enough claims", move |claims: &serde_json::Value| {
            claims.as_object().is_some_and(|claims| claims.len() > 5 + least as usize)
        });
    }
    rules
}

fn issuer(plan: &IssuerPlan) -> Issuer {
    let Signers { ed, ec, nameless, secret } = signers();
    let mut keys = Keys::default();
    for algorithm in &plan.algorithms {
        keys = match algorithm {
            EdDSA => keys.and(public(ed)),
            ES256 => keys.and(public(ec)),
            _ => keys.and(Secret::new(secret.secret().expect("a secret").to_vec()).id("secret")),
        };
    }
    if plan.nameless_key {
        keys = keys.and(public(nameless));
    }
    let issuer = Issuer::new(plan.name).algorithms(plan.algorithms.clone()).keys(keys);
    let mut issuer = if plan.by_client {
        issuer.client_ids_instead_of_audience(["x"])
    } else {
        issuer.audience(plan.audience)
    };
    if plan.requires_key_id {
        issuer = issuer.require_key_id();
    }
    issuer.token_types(plan.types.clone()).claims(claim_rules(&plan.rules))
}

/// Nothing where the rules contradict each other.
fn policy(plan: &PolicyPlan, clock: &FixedClock, list: &Revocations) -> Option<Policy> {
    let mut builder: PolicyBuilder = Policy::builder()
        .clock(clock.clone())
        .token_limit(plan.token_limit)
        .claims(claim_rules(&plan.rules));
    for one in &plan.issuers {
        builder = builder.issuer(issuer(one));
    }
    if !plan.enforced.is_empty() {
        let enforced = list
            .enforce(plan.enforced.clone())
            .session_claims(plan.session_claims.clone())
            .version_claims(["ver"])
            .client_claims(["azp", "client_id"])
            .service_clients(NAMES[0], plan.services.clone());
        let enforced = match &plan.own_kinds {
            Some(kinds) => enforced.for_issuer(NAMES[0], kinds.clone()),
            None => enforced,
        };
        builder = builder.revocations(enforced);
    }
    if plan.refuses_brought_keys {
        builder = builder.refuse_brought_keys();
    }
    builder.build().ok()
}

fn mint(plan: &TokenPlan) -> String {
    let Signers { ed, ec, nameless, secret } = signers();
    let key = match plan.algorithm {
        EdDSA if plan.nameless => nameless,
        EdDSA => ed,
        ES256 => ec,
        _ => secret,
    };
    let mut token = TestIssuer::new(plan.issuer)
        .at(NOW)
        .token(plan.algorithm)
        .signed_by(key)
        .typ(plan.typ)
        .claim("iat", NOW - plan.age)
        .expires_at(NOW - plan.age + plan.lifetime);
    for absent in ["aud", "sub", "jti", "client_id"] {
        token = token.without(absent);
    }
    if !plan.has_issued_at {
        token = token.without("iat");
    }
    if !plan.named || key.id().is_empty() {
        token = token.without_header("kid");
    }
    if plan.brings_key {
        token = token.header("jwk", json!({}));
    }
    if let Some(audience) = plan.audience {
        token = token.claim("aud", audience);
    }
    let claims = plan.claims.iter();
    claims.fold(token, |token, (name, value)| token.claim(*name, value.clone())).mint()
}

fn revocation(kind: Revocable, issuer: &str, name: &str) -> Revocation {
    let (issuer, name) = (issuer.to_owned(), name.to_owned());
    match kind {
        Revocable::Token => Revocation::Token { issuer, token_id: name, until: None },
        Revocable::Session => Revocation::Session { issuer, session: name, until: None },
        Revocable::Subject => Revocation::Subject { issuer, subject: name, issued_until: None },
        Revocable::Version => Revocation::Version { issuer, subject: name, current: 2 },
        Revocable::Client => Revocation::Client { issuer, client: name, issued_until: None },
        Revocable::Issuer => Revocation::Issuer { issuer, issued_until: Some(UnixTime(NOW - 50)) },
        _ => Revocation::Key { issuer, key_id: name, until: None },
    }
}

/// What the same text comes to. A signature that does not verify, and a key that is not there, are a key that
/// was withdrawn to who holds a token that it signed.
fn as_again(error: Error) -> Error {
    match error {
        Error::Signature(_) | Error::Key(KeyError::Unknown) => KeyError::Withdrawn.into(),
        other => other,
    }
}

#[test]
fn a_token_is_asked_again_as_its_text_would_be_verified() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (accepted, refused) = (Cell::new(0), Cell::new(0));
    let config = ProptestConfig { cases: 1_000, ..ProptestConfig::default() };
    proptest!(config, |(
        plans in (policy_plan(), policy_plan()),
        tokens in proptest::collection::vec(token_plan(), 1..12),
        revoked in proptest::collection::vec(
            (select(Revocable::ALL.to_vec()), select(&["x", "y", "ed", "secret"][..])),
            0..3,
        ),
        later in select(&[0_u64, 60, 600][..]),
    )| {
        let clock = FixedClock::at(NOW);
        let list = Revocations::options()
            .clock(clock.clone())
            .max_lifetime(Duration::from_secs(86_400))
            .leeway(Duration::from_secs(60))
            .in_memory();
        let policies = [policy(&plans.0, &clock, &list), policy(&plans.1, &clock, &list)];
        let policies: Vec<_> = policies.into_iter().flatten().collect();
        let texts: Vec<_> = tokens.iter().map(mint).collect();
        let mut held = Vec::new();
        for policy in &policies {
            let verified = |text| Some((text, policy.verify_token_now(text).ok()?));
            held.extend(texts.iter().filter_map(verified));
        }
        for (kind, name) in revoked {
            let revocation = revocation(kind, NAMES[0], name);
            runtime.block_on(list.revoke(&revocation)).expect("room");
        }
        clock.advance(Duration::from_secs(later));
        for policy in &policies {
            for (text, token) in &held {
                let verdict = policy.verify_token_now(text).map(drop).map_err(as_again);
                let count = if verdict.is_ok() { &accepted } else { &refused };
                count.set(count.get() + 1);
                prop_assert_eq!(&policy.recheck_now(token), &verdict);
                prop_assert_eq!(&runtime.block_on(policy.recheck(token)), &verdict);
            }
        }
    });
    // The plans fit together often enough to say something.
    assert!(accepted.get() > 1_000, "{}", accepted.get());
    assert!(refused.get() > 500, "{}", refused.get());
}

fn with_session_in(claims: &[&str], list: &Revocations) -> Policy {
    let mut builder = TestIssuer::new(NAMES[0]).at(NOW).policy_builder();
    for claim in claims {
        builder = builder.require(*claim);
    }
    builder.revocations(list.enforce([Revocable::Session])).build().expect("a policy")
}

/// The names of claims that rules ask for stand in another order in each policy.
#[tokio::test]
async fn a_session_that_is_revoked_ends_connections_whatever_rules_the_former_policy_had() {
    let token = TestIssuer::new(NAMES[0]).at(NOW).token(EdDSA);
    let token = token.claim("sid", "s").claim("tenant", "t").claim("plan", "p").mint();
    for (before, after) in [
        (&["tenant", "plan"][..], &["tenant"][..]),
        (&["tenant"], &["tenant", "plan"]),
        (&[], &["plan"]),
    ] {
        let list = Revocations::options().clock(FixedClock::at(NOW)).in_memory();
        let (former, new) = (with_session_in(before, &list), with_session_in(after, &list));
        let held = former.verify_token_now(&token).expect("a token");
        assert_eq!(new.recheck_now(&held), Ok(()));
        list.revoke_session(NAMES[0], "s").await.expect("room");
        let revoked = Err(RevocationError::Revoked.into());
        assert_eq!(new.recheck_now(&held), revoked, "{before:?} {after:?}");
        assert_eq!(new.recheck(&held).await, revoked, "{before:?} {after:?}");
    }
}

#[test]
fn a_secret_that_was_read_again_is_the_same_secret() {
    let policy = |secret: &SigningKey| {
        let secret = Secret::new(secret.secret().expect("a secret").to_vec()).id("s");
        let issuer = Issuer::new(NAMES[0]).algorithms([HS256]).keys(secret).audience("api");
        Policy::builder().issuer(issuer).clock(FixedClock::at(NOW)).build().expect("a policy")
    };
    let (secret, other) = (SigningKey::generate(HS256).with_id("s"), SigningKey::generate(HS256));
    let token = TestIssuer::new(NAMES[0]).at(NOW).token(HS256).signed_by(&secret).audience("api");
    let held = policy(&secret).verify_token_now(token.mint()).expect("a token");
    assert_eq!(policy(&secret).recheck_now(&held), Ok(()));
    assert_eq!(policy(&other).recheck_now(&held), Err(KeyError::Withdrawn.into()));
}

/// A connection goes on under a policy that took the place of the one that let it in.
#[test]
fn a_token_is_rechecked_by_what_the_present_policy_asks_of_senders() {
    let issuer = TestIssuer::new(NAMES[0]).at(NOW);
    let began = InProcessReplays::new().started_at(UnixTime(NOW - 3600));
    let dpop = Dpop::new(began).at("https://api.example");
    let without = || issuer.policy_builder();
    let built = |builder: PolicyBuilder| builder.build().expect("a policy");
    let allowed = built(without().dpop(dpop.clone()));
    let required = built(without().dpop(dpop.required()));
    let without = built(without());
    let token = issuer.token(ES256).mint();
    let unbound = allowed.verify_token_now(&token).expect("a good token");
    let recheck = |policy: &Policy, token| policy.recheck_now(token).err();
    assert_eq!(recheck(&allowed, &unbound), None);
    assert_eq!(recheck(&without, &unbound), None);
    assert_eq!(recheck(&required, &unbound), Some(DpopError::BindingRequired.into()));

    let key = SigningKey::generate(ES256);
    let token = issuer.token(ES256).bound_to(&key).mint();
    let proof = issuer.proof(&key, "GET", "https://api.example/live").token(&token).mint();
    let request = http::Request::builder()
        .uri("/live")
        .header("authorization", format!("DPoP {token}"))
        .header("dpop", proof)
        .body(())
        .expect("a request");
    let Verification::Done(Ok(admission)) = allowed.start_verify(&request) else {
        panic!("a good proof");
    };
    let bound = admission.token().expect("a token");
    assert_eq!(recheck(&allowed, bound), None);
    assert_eq!(recheck(&required, bound), None);
    let refused = recheck(&without, bound).expect("nobody could check the key");
    assert_eq!(refused.reason(), "sender_constrained");
}

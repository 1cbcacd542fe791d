//! The order of setters changes nothing, and none drops what another said.
#![cfg(all(
    feature = "config",
    feature = "explain",
    feature = "remote-jwks",
    feature = "status-list"
))]
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use portcullis::config::{PolicyFile, PolicyFileEvent};
use portcullis::dpop::{Dpop, InProcessReplays};
use portcullis::fetch::{HttpClient, HttpError, HttpFuture, HttpRequest};
use portcullis::keys::remote::{RemoteJwks, RemoteJwksOptions};
use portcullis::mtls::Mtls;
use portcullis::policy::BadCookie;
use portcullis::revocation::{
    EnforcedRevocations, RevocationOptions, RevocationSource, RevocationStatus, UnknownRevocation,
};
use portcullis::routes::ProtectedResourceBuilder;
use portcullis::source::SameSite;
use portcullis::{
    Algorithm, ClaimRules, Issuer, Policy, PolicyBuilder, Presentation, ProtectedResource,
    Requirement, Revocable, Revocations, StatusLists, TokenCookie, TokenSource, TokenType,
    VerifiedToken, dangerous,
};
use portcullis_testkit::{FixedClock, TestIssuer};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

const ID: &str = "https://id.example";
const NOW: i64 = 1_800_000_000;
const ES256: [Algorithm; 1] = [Algorithm::ES256];

static ISSUER: LazyLock<TestIssuer> = LazyLock::new(|| issuer(ID));
static OTHER: LazyLock<TestIssuer> = LazyLock::new(|| issuer("https://other.example"));
static REVOKED: LazyLock<Revocations> = LazyLock::new(|| {
    let revocations = Revocations::options().clock(FixedClock::at(NOW)).in_memory();
    let mallory = portcullis::Revocation::Subject {
        issuer: ID.to_owned(),
        subject: "mallory".to_owned(),
        issued_until: None,
    };
    {
        let revoked = std::pin::pin!(revocations.revoke(&mallory));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(revoked.poll(&mut context).is_ready());
    }
    revocations
});
static DPOP: LazyLock<Dpop> =
    LazyLock::new(|| Dpop::new(InProcessReplays::new()).at("https://api.example"));
static RESOURCE: LazyLock<ProtectedResource> =
    LazyLock::new(|| ProtectedResource::builder(TestIssuer::AUDIENCE).build().expect("a resource"));
static FORMER: LazyLock<Policy> = LazyLock::new(|| start().build().expect("a policy"));

fn issuer(id: &str) -> TestIssuer {
    TestIssuer::new(id).at(NOW)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Takes back what has the subject `eve`.
#[derive(Debug)]
struct Eve;

impl RevocationSource for Eve {
    fn status(&self, token: &VerifiedToken) -> RevocationStatus {
        match token.subject() {
            Some("eve") => RevocationStatus::Revoked,
            _ => RevocationStatus::Active,
        }
    }
}

#[derive(Deserialize)]
struct Tenant {
    tenant: String,
}

/// A setter, and a call of it.
type Word<T> = (&'static str, fn(T) -> T);

/// Of what has one value, two different ones; of what adds up, two that go together.
const OF_A_POLICY: &[Word<PolicyBuilder>] = &[
    ("issuer", |it| it.issuer(OTHER.trusted(&ES256))),
    ("overrule", |it| it.overrule(|it| it.leeway(seconds(0)).require("sub"))),
    ("overrule", |it| it.overrule(|it| it.leeway(seconds(5)))),
    ("overrule", |it| it.overrule(|it| it.presentation(Presentation::new().realm("code")))),
    ("overrule", |it| it.overrule(|it| it.sources([TokenSource::cookie("__Host-t")]))),
    ("overrule", |it| it.overrule(|it| it.clock(FixedClock::at(NOW + 7)))),
    ("claims", |it| it.claims(ClaimRules::new().require("tenant").leeway(seconds(10)))),
    ("claims", |it| it.claims(ClaimRules::new().forbid("act").max_lifetime(seconds(3600)))),
    ("leeway", |it| it.leeway(seconds(10))),
    ("leeway", |it| it.leeway(seconds(20))),
    ("max_lifetime", |it| it.max_lifetime(seconds(3600))),
    ("max_lifetime", |it| it.max_lifetime(seconds(60))),
    ("max_age", |it| it.max_age(seconds(600))),
    ("max_age", |it| it.max_age(seconds(60))),
    ("require", |it| it.require("tenant")),
    ("forbid", |it| it.forbid("act")),
    ("exact", |it| it.exact("region", "eu")),
    ("exact", |it| it.exact("region", "us")),
    ("one_of", |it| it.one_of("region", ["us", "eu"])),
    ("one_of", |it| it.one_of("region", ["eu", "us", "eu"])),
    ("predicate", |it| it.predicate("is acme", |it: &Tenant| it.tenant == "acme")),
    ("predicate", |it| it.predicate("is short", |it: &Tenant| it.tenant.len() < 9)),
    ("sources", |it| it.sources([TokenSource::bearer(), TokenSource::cookie("__Host-t")])),
    ("sources", |it| it.sources([TokenSource::header("x-token")])),
    ("prefer_header", PolicyBuilder::prefer_header),
    ("allowed_origins", |it| it.allowed_origins(["https://b.example", "https://a.example"])),
    ("allowed_origins", |it| it.allowed_origins(["https://a.example", "https://c.example"])),
    ("bad_cookie", |it| it.bad_cookie(BadCookie::RejectAndClear)),
    ("bad_cookie", |it| it.bad_cookie(BadCookie::Anonymous)),
    ("name", |it| it.name("orders")),
    ("name", |it| it.name("billing")),
    ("token_limit", |it| it.token_limit(400)),
    ("token_limit", |it| it.token_limit(65_536)),
    ("header_limit", |it| it.header_limit(300)),
    ("header_limit", |it| it.header_limit(64)),
    ("refuse_brought_keys", PolicyBuilder::refuse_brought_keys),
    ("allow_anonymous", PolicyBuilder::allow_anonymous),
    ("revocations", |it| it.revocations(REVOKED.enforce([Revocable::Subject]))),
    ("revocations", |it| it.revocations(REVOKED.enforce([Revocable::Token]))),
    ("revocation_source", |it| it.revocation_source(Eve)),
    ("unknown_revocation", |it| it.unknown_revocation(UnknownRevocation::default())),
    ("unknown_revocation", |it| it.unknown_revocation(dangerous::accept_unknown_revocation())),
    ("status_lists", |it| it.status_lists(StatusLists::new())),
    ("status_lists", |it| it.status_lists(StatusLists::new().required())),
    ("token_cache", |it| it.token_cache(0)),
    ("token_cache", |it| it.token_cache(1 << 20)),
    ("name_callers_in_logs", PolicyBuilder::name_callers_in_logs),
    ("scope_implies", |it| it.scope_implies(|held, asked| asked.starts_with(held))),
    ("dpop", |it| it.dpop(DPOP.clone())),
    ("dpop", |it| it.dpop(DPOP.clone().required())),
    ("mtls", |it| it.mtls(Mtls::from_tls())),
    ("mtls", |it| it.mtls(Mtls::from_tls().required())),
    ("presentation", |it| it.presentation(Presentation::new().realm("orders"))),
    ("presentation", |it| it.presentation(Presentation::new().without_details())),
    ("on_refusal", |it| it.on_refusal(|_, refusal| refusal.set_header("x-why", "why"))),
    ("protected_resource", |it| it.protected_resource(&RESOURCE)),
    ("reuse_keys_of", |it| it.reuse_keys_of(&FORMER)),
    ("clock", |it| it.clock(FixedClock::at(NOW + 1))),
];

const OF_AN_ISSUER: &[Word<Issuer>] = &[
    ("token_types", |it| it.token_types([TokenType::Jwt])),
    ("token_types", |it| it.token_types([TokenType::AccessToken])),
    ("claims", |it| it.claims(ClaimRules::new().require("tenant").leeway(seconds(10)))),
    ("claims", |it| it.claims(ClaimRules::new().forbid("act").leeway(seconds(20)))),
    ("require_key_id", Issuer::require_key_id),
    ("numeric_ids", Issuer::numeric_ids),
    ("scope_claims", |it| it.scope_claims(["permissions"])),
    ("scope_claims", |it| it.scope_claims(["scope"])),
    ("max_tenants", |it| it.max_tenants(1)),
    ("max_tenants", |it| it.max_tenants(0)),
    ("known_tenants", |it| it.known_tenants(["https://id.example/acme"])),
    ("known_tenants", |it| it.known_tenants(["https://id.example/umbrella"])),
    ("tenant_burst", |it| it.tenant_burst(1)),
    ("tenant_burst", |it| it.tenant_burst(0)),
    ("tenant_interval", |it| it.tenant_interval(seconds(1))),
    ("tenant_interval", |it| it.tenant_interval(seconds(61))),
];

const OF_RULES: &[Word<ClaimRules>] = &[
    ("leeway", |it| it.leeway(seconds(10))),
    ("leeway", |it| it.leeway(seconds(601))),
    ("max_lifetime", |it| it.max_lifetime(seconds(60))),
    ("max_lifetime", |it| it.max_lifetime(dangerous::unlimited_lifetime())),
    ("max_age", |it| it.max_age(seconds(60))),
    ("max_age", |it| it.max_age(seconds(0))),
    ("require", |it| it.require("tenant")),
    ("forbid", |it| it.forbid("act")),
    ("forbid", |it| it.forbid("tenant")),
    ("exact", |it| it.exact("region", "eu")),
    ("one_of", |it| it.one_of("region", ["eu", "us"])),
    ("one_of", |it| it.one_of("region", ["us"])),
    ("predicate", |it| it.predicate("is acme", |it: &Tenant| it.tenant == "acme")),
    ("predicate", |it| it.predicate("is short", |it: &Tenant| it.tenant.len() < 9)),
];

const OF_A_PRESENTATION: &[Word<Presentation>] = &[
    ("realm", |it| it.realm("orders")),
    ("realm", |it| it.realm("\"")),
    ("resource_metadata", |it| it.resource_metadata("https://api.example/metadata")),
    ("resource_metadata", |it| it.resource_metadata("https://api.example/other")),
    ("problem_base", |it| it.problem_base("https://api.example/problems/")),
    ("problem_base", |it| it.problem_base("urn:problem:")),
    ("scopes", |it| it.scopes(["orders:read"])),
    ("scopes", |it| it.scopes(["orders:read", "orders:write"])),
    ("without_details", Presentation::without_details),
    ("on_refusal", |it| it.on_refusal(|_, refusal| refusal.set_status(404))),
];

const OF_REMOTE_KEYS: &[Word<RemoteJwksOptions>] = &[
    ("fresh_for", |it| it.fresh_for(seconds(200))),
    ("fresh_for", |it| it.fresh_for(seconds(300))),
    ("min_fresh", |it| it.min_fresh(seconds(1))),
    ("min_fresh", |it| it.min_fresh(seconds(2))),
    ("max_fresh", |it| it.max_fresh(seconds(4000))),
    ("max_fresh", |it| it.max_fresh(seconds(3600))),
    ("refresh_at_percent", |it| it.refresh_at_percent(70)),
    ("refresh_at_percent", |it| it.refresh_at_percent(80)),
    ("cool_down", |it| it.cool_down(seconds(20))),
    ("cool_down", |it| it.cool_down(seconds(30))),
    ("max_wait", |it| it.max_wait(seconds(1))),
    ("max_wait", |it| it.max_wait(seconds(2))),
    ("max_waiting", |it| it.max_waiting(10)),
    ("max_waiting", |it| it.max_waiting(64)),
    ("max_waiting_without_keys", |it| it.max_waiting_without_keys(10)),
    ("max_waiting_without_keys", |it| it.max_waiting_without_keys(2048)),
    ("first_retry", |it| it.first_retry(seconds(2))),
    ("first_retry", |it| it.first_retry(seconds(1))),
    ("max_retry", |it| it.max_retry(seconds(70))),
    ("max_retry", |it| it.max_retry(seconds(60))),
    ("max_stale", |it| it.max_stale(seconds(80_000))),
    ("max_stale", |it| it.max_stale(seconds(86_400))),
    ("connect_timeout", |it| it.connect_timeout(seconds(1))),
    ("connect_timeout", |it| it.connect_timeout(seconds(2))),
    ("timeout", |it| it.timeout(seconds(4))),
    ("timeout", |it| it.timeout(seconds(5))),
    ("max_bytes", |it| it.max_bytes(2048)),
    ("max_bytes", |it| it.max_bytes(262_144)),
    ("max_keys", |it| it.max_keys(10)),
    ("max_keys", |it| it.max_keys(100)),
    ("same_origin", RemoteJwksOptions::same_origin),
    ("any_origin", RemoteJwksOptions::any_origin),
    ("load_at_start", RemoteJwksOptions::load_at_start),
    ("allow_http", |it| it.allow_http(dangerous::allow_http("id"))),
    ("allow_http", |it| it.allow_http(dangerous::allow_http("keys"))),
    ("proxy", |it| it.proxy("http://127.0.0.1:1")),
    ("proxy", |it| it.proxy("http://127.0.0.1:2")),
    ("client", |it| it.client(NoClient)),
    ("on_event", |it| it.on_event(|_, _| ())),
];

const OF_STATUS_LISTS: &[Word<StatusLists>] = &[
    ("required", StatusLists::required),
    ("allow_origin", |it| it.allow_origin("https://status.example")),
    ("allow_origin", |it| it.allow_origin("https://other.example")),
    ("allow_http", |it| it.allow_http(dangerous::allow_http("status"))),
    ("fresh_for", |it| it.fresh_for(seconds(200))),
    ("fresh_for", |it| it.fresh_for(seconds(300))),
    ("min_fresh", |it| it.min_fresh(seconds(1))),
    ("min_fresh", |it| it.min_fresh(seconds(2))),
    ("max_fresh", |it| it.max_fresh(seconds(4000))),
    ("max_fresh", |it| it.max_fresh(seconds(3600))),
    ("max_age", |it| it.max_age(seconds(4000))),
    ("max_age", |it| it.max_age(seconds(3600))),
    ("first_retry", |it| it.first_retry(seconds(2))),
    ("first_retry", |it| it.first_retry(seconds(1))),
    ("max_retry", |it| it.max_retry(seconds(70))),
    ("max_retry", |it| it.max_retry(seconds(60))),
    ("timeout", |it| it.timeout(seconds(4))),
    ("timeout", |it| it.timeout(seconds(3))),
    ("max_bytes", |it| it.max_bytes(2048)),
    ("max_bytes", |it| it.max_bytes(1 << 20)),
    ("max_list_bytes", |it| it.max_list_bytes(2048)),
    ("max_list_bytes", |it| it.max_list_bytes(4 << 20)),
    ("max_lists", |it| it.max_lists(10)),
    ("max_lists", |it| it.max_lists(64)),
    ("client", |it| it.client(NoClient)),
    ("on_failure", |it| it.on_failure(|_| ())),
];

const OF_ENFORCED: &[Word<EnforcedRevocations>] = &[
    ("token_id_claims", |it| it.token_id_claims(["uti"])),
    ("token_id_claims", |it| it.token_id_claims(["jti"])),
    ("session_claims", |it| it.session_claims(["session"])),
    ("session_claims", |it| it.session_claims(["sid"])),
    ("version_claims", |it| it.version_claims(["version"])),
    ("version_claims", |it| it.version_claims(["ver"])),
    ("client_claims", |it| it.client_claims(["azp"])),
    ("client_claims", |it| it.client_claims(["client_id"])),
    ("for_issuer", |it| it.for_issuer(ID, [Revocable::Token, Revocable::Subject])),
    ("for_issuer", |it| it.for_issuer(ID, [Revocable::Subject])),
    ("service_clients", |it| it.service_clients(ID, ["billing"])),
    ("service_clients", |it| it.service_clients(ID, ["reports", "billing"])),
];

const OF_A_RESOURCE: &[Word<ProtectedResourceBuilder>] = &[
    ("authorization_servers", |it| it.authorization_servers([ID])),
    ("authorization_servers", |it| it.authorization_servers([ID, "https://b.example"])),
    ("jwks_uri", |it| it.jwks_uri("https://a.example")),
    ("jwks_uri", |it| it.jwks_uri("https://b.example")),
    ("dpop", |it| it.dpop(&DPOP)),
    ("dpop", |it| it.dpop(&DPOP.clone().required())),
    ("tls_client_certificate_bound_access_tokens", |it| {
        it.tls_client_certificate_bound_access_tokens()
    }),
    ("scopes_supported", |it| it.scopes_supported(["a"])),
    ("scopes_supported", |it| it.scopes_supported(["b"])),
    ("resource_signing_alg_values_supported", |it| it.resource_signing_alg_values_supported(ES256)),
    ("resource_signing_alg_values_supported", |it| {
        it.resource_signing_alg_values_supported([Algorithm::EdDSA])
    }),
    ("resource_name", |it| it.resource_name("a")),
    ("resource_name", |it| it.resource_name("b")),
    ("resource_documentation", |it| it.resource_documentation("https://a.example")),
    ("resource_documentation", |it| it.resource_documentation("https://b.example")),
    ("resource_policy_uri", |it| it.resource_policy_uri("https://a.example")),
    ("resource_policy_uri", |it| it.resource_policy_uri("https://b.example")),
    ("resource_tos_uri", |it| it.resource_tos_uri("https://a.example")),
    ("resource_tos_uri", |it| it.resource_tos_uri("https://b.example")),
    ("authorization_details_types_supported", |it| it.authorization_details_types_supported(["a"])),
    ("authorization_details_types_supported", |it| it.authorization_details_types_supported(["b"])),
    ("member", |it| it.member("own", "a")),
    ("member", |it| it.member("own", "b")),
];

/// Fetches nothing.
#[derive(Debug)]
struct NoClient;

impl HttpClient for NoClient {
    fn get(&self, _: HttpRequest) -> HttpFuture {
        Box::pin(async { Err(HttpError::Timeout) })
    }
}

/// Of both issuers, and of each claim that a word asks for or about.
static REQUESTS: LazyLock<Vec<http::Request<()>>> = LazyLock::new(|| {
    let token = || {
        let token = ISSUER.token(Algorithm::ES256).subject("alice").scope("orders");
        token.claim("tenant", "acme").claim("region", "eu").claim("permissions", "orders:read")
    };
    let tokens = [
        token(),
        token().without("tenant"),
        token().claim("tenant", "acme and brothers"),
        token().claim("region", "us"),
        token().claim("act", "bob"),
        token().without("iat"),
        token().without("sub").without("jti"),
        token().claim("sub", 7),
        token().subject("mallory"),
        token().subject("eve"),
        token().claim("iat", NOW - 300).expires_at(NOW - 3),
        token().claim("iat", NOW - 300).expires_at(NOW - 15),
        token().expires_at(NOW + 7200),
        token().expires_at(NOW + 90_000),
        token().typ("at+jwt"),
        token().without_header("kid"),
        token().header("jwk", "key"),
        token().claim("padding", "x".repeat(400)),
        OTHER.token(Algorithm::ES256),
    ];
    let request = |method: &str, headers: &[(&str, String)]| {
        let mut request = http::Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request.body(()).expect("a request")
    };
    let bearer = |text: &str| ("authorization", format!("Bearer {text}"));
    let cookie = |text: &str| ("cookie", format!("__Host-t={text}"));
    let good = token().mint();
    let mut all: Vec<_> = tokens.iter().map(|it| request("GET", &[bearer(&it.mint())])).collect();
    all.extend(tokens.iter().map(|it| request("GET", &[cookie(&it.mint())])));
    all.extend([
        request("GET", &[]),
        request("GET", &[("x-token", good.clone())]),
        request("GET", &[bearer(&good), cookie(&good)]),
        request("GET", &[cookie("bad")]),
    ]);
    all.extend(
        ["https://a.example", "https://c.example"]
            .map(|origin| request("POST", &[cookie(&good), ("origin", origin.to_owned())])),
    );
    all
});

/// What a policy is, and what it does with each request; or its faults.
type Outcome = Result<(Value, Vec<String>), Vec<String>>;

fn outcome(builder: PolicyBuilder, requests: &[http::Request<()>]) -> Outcome {
    let policy = builder.build().map_err(|refused| {
        let mut faults: Vec<_> = refused.faults().iter().map(|it| format!("{it:?}")).collect();
        faults.sort_unstable();
        faults
    })?;
    let mut description = serde_json::to_value(policy.describe()).expect("JSON");
    sort(&mut description);
    let decide = |request: &http::Request<()>| match policy.verify_now(request) {
        Ok(admission) => {
            let token = admission.token();
            let may_read = token.map(|it| Requirement::scope("orders:read").check(it).is_ok());
            format!("passes: {:?}, {may_read:?}", token.map(|it| it.subject()))
        }
        Err(rejection) => {
            let refusal = rejection.refusal();
            let mut headers: Vec<_> = refusal.headers().map(|it| format!("{it:?}")).collect();
            headers.sort_unstable();
            format!("{} {headers:?} {:?}", refusal.status(), refusal.body())
        }
    };
    Ok((description, requests.iter().map(decide).collect()))
}

/// Lists of a description are in the order in which things were said.
fn sort(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(sort);
            items.sort_by_key(ToString::to_string);
        }
        Value::Object(members) => members.values_mut().for_each(sort),
        _ => {}
    }
}

fn start() -> PolicyBuilder {
    Policy::builder().clock(FixedClock::at(NOW)).issuer(ISSUER.trusted(&ES256))
}

/// Says each word, of all there are, that stands at one of these places.
fn say<T>(words: &[Word<T>], places: &[usize], start: T) -> T {
    places.iter().fold(start, |it, place| words[*place].1(it))
}

fn of_a_policy(places: &[usize], requests: &[http::Request<()>]) -> Outcome {
    // Issuer and clock are words like others.
    let (first, last) = places.split_at(places.len() / 2);
    let builder = say(OF_A_POLICY, first, Policy::builder());
    let builder = builder.issuer(ISSUER.trusted(&ES256)).clock(FixedClock::at(NOW));
    outcome(say(OF_A_POLICY, last, builder), requests)
}

fn of_an_issuer(places: &[usize], requests: &[http::Request<()>]) -> Outcome {
    let issuer = say(OF_AN_ISSUER, places, ISSUER.trusted(&ES256));
    outcome(Policy::builder().clock(FixedClock::at(NOW)).issuer(issuer), requests)
}

fn of_rules(places: &[usize], requests: &[http::Request<()>]) -> Outcome {
    outcome(start().claims(say(OF_RULES, places, ClaimRules::new())), requests)
}

fn of_a_presentation(places: &[usize], requests: &[http::Request<()>]) -> Outcome {
    outcome(start().presentation(say(OF_A_PRESENTATION, places, Presentation::new())), requests)
}

/// Whether a policy is refused with these options, as text.
fn refusal(builder: PolicyBuilder) -> Result<(), String> {
    builder.build().map(drop).map_err(|error| error.to_string())
}

fn with_remote_keys(places: &[usize]) -> Result<(), String> {
    let options = say(OF_REMOTE_KEYS, places, RemoteJwks::url("https://127.0.0.1:1"));
    options.start_for(ID).map(drop).map_err(|error| error.to_string())
}

fn with_status_lists(places: &[usize]) -> Result<(), String> {
    refusal(start().status_lists(say(OF_STATUS_LISTS, places, StatusLists::new())))
}

fn with_enforced(places: &[usize]) -> Result<(), String> {
    let kinds = [Revocable::Session, Revocable::Token, Revocable::Client];
    refusal(start().revocations(say(OF_ENFORCED, places, REVOKED.enforce(kinds))))
}

fn with_resource(places: &[usize]) -> Result<(), String> {
    let builder = ProtectedResource::builder("https://api.example");
    say(OF_A_RESOURCE, places, builder).build().map(drop).map_err(|error| error.to_string())
}

/// Each word twice is no fault, unless no two of it are alike; two different ones of one setting are, in each order,
/// unless they add up.
#[track_caller]
fn assert_two_words_differ<T>(
    words: &[Word<T>],
    adding_up: &[&str],
    outcome: fn(&[usize]) -> Result<(), String>,
) {
    let is_twice = |outcome: Result<(), String>, setting: &str| {
        outcome.is_err_and(|error| {
            error.contains(setting)
                && (error.contains("is set twice") || error.contains("must be set once"))
        })
    };
    let mut contradictions = 0;
    for (one, (setting, _)) in words.iter().enumerate() {
        let never_alike = matches!(*setting, "client");
        let twice = outcome(&[one, one]);
        assert_eq!(is_twice(twice, setting), never_alike, "{setting} twice");
        for (other, (others, _)) in words.iter().enumerate().skip(one + 1) {
            for places in [[one, other], [other, one]] {
                let are_opposites = (*setting, *others) == ("same_origin", "any_origin");
                let differs = are_opposites || setting == others && !adding_up.contains(setting);
                contradictions += usize::from(differs);
                assert_eq!(is_twice(outcome(&places), setting), differs, "{setting} {others}");
            }
        }
    }
    assert!(contradictions > 0);
}

#[test]
fn two_different_words_about_an_option_are_a_fault_in_either_order() {
    assert_two_words_differ(OF_REMOTE_KEYS, &["allow_http"], with_remote_keys);
    assert_two_words_differ(OF_STATUS_LISTS, &["allow_origin"], with_status_lists);
    assert_two_words_differ(OF_ENFORCED, &["service_clients"], with_enforced);
    assert_two_words_differ(OF_A_RESOURCE, &["member"], with_resource);
}

#[track_caller]
fn assert_pairs_commute(words: usize, outcome: fn(&[usize], &[http::Request<()>]) -> Outcome) {
    // Of each pair, only one request: it takes long as it is.
    let outcome = |places: &[usize]| outcome(places, &REQUESTS[..1]);
    let mut built = 0;
    for one in 0..words {
        for other in one..words {
            let there = outcome(&[one, other]);
            built += usize::from(there.is_ok());
            assert_eq!(there, outcome(&[other, one]), "{one} {other}");
        }
    }
    assert!(built > words, "{built} of these build");
}

#[test]
fn any_two_setters_may_change_places() {
    assert_pairs_commute(OF_A_POLICY.len(), of_a_policy);
    assert_pairs_commute(OF_AN_ISSUER.len(), of_an_issuer);
    assert_pairs_commute(OF_RULES.len(), of_rules);
    assert_pairs_commute(OF_A_PRESENTATION.len(), of_a_presentation);
}

/// Some places, and the same in another order.
fn orders(words: usize) -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    proptest::collection::vec(0..words, 0..9)
        .prop_flat_map(|places| (Just(places.clone()), Just(places).prop_shuffle()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_order_of_setters_makes_the_same_policy_or_has_the_same_faults(
        policy in orders(OF_A_POLICY.len()),
        issuer in orders(OF_AN_ISSUER.len()),
        rules in orders(OF_RULES.len()),
        presentation in orders(OF_A_PRESENTATION.len()),
    ) {
        prop_assert_eq!(of_a_policy(&policy.0, &REQUESTS), of_a_policy(&policy.1, &REQUESTS));
        prop_assert_eq!(of_an_issuer(&issuer.0, &REQUESTS), of_an_issuer(&issuer.1, &REQUESTS));
        prop_assert_eq!(of_rules(&rules.0, &REQUESTS), of_rules(&rules.1, &REQUESTS));
        prop_assert_eq!(of_a_presentation(&presentation.0, &REQUESTS), of_a_presentation(&presentation.1, &REQUESTS));
    }
}

/// The setters that a type has in its source: what takes it and gives it back.
fn setters(source: &'static str, of: &str) -> BTreeSet<&'static str> {
    let start = format!("\nimpl {of} {{\n");
    let blocks = source.split(&start).skip(1).filter_map(|block| block.split("\n}\n").next());
    let functions = blocks.flat_map(|block| block.split("    pub fn ").skip(1));
    let setters = functions.filter_map(|function| {
        let head = function.split('{').next()?;
        let is_setter =
            head.contains("self") && !head.contains("&self") && head.contains("-> Self");
        is_setter.then(|| head.split(['(', '<']).next()).flatten()
    });
    setters.collect()
}

#[track_caller]
fn assert_each_is_a_word<T>(words: &[Word<T>], of: &str, source: &'static str) {
    let words: BTreeSet<_> = words.iter().map(|(setter, _)| *setter).collect();
    assert_eq!(words, setters(source, of), "setters of {of} that no word calls, or the reverse");
}

#[test]
fn every_setter_is_shuffled() {
    assert_each_is_a_word(
        OF_A_POLICY,
        "PolicyBuilder",
        include_str!("../src/policy/builder/mod.rs"),
    );
    assert_each_is_a_word(OF_AN_ISSUER, "Issuer", include_str!("../src/policy/issuer/mod.rs"));
    assert_each_is_a_word(OF_RULES, "ClaimRules", include_str!("../src/claims/settings.rs"));
    assert_each_is_a_word(OF_A_PRESENTATION, "Presentation", include_str!("../src/refusal/mod.rs"));
    assert_each_is_a_word(
        OF_REMOTE_KEYS,
        "RemoteJwksOptions",
        include_str!("../src/keys/remote/mod.rs"),
    );
    assert_each_is_a_word(
        OF_STATUS_LISTS,
        "StatusLists",
        include_str!("../src/status_list/mod.rs"),
    );
    assert_each_is_a_word(
        OF_ENFORCED,
        "EnforcedRevocations",
        include_str!("../src/revocation/enforce.rs"),
    );
    assert_each_is_a_word(
        OF_A_RESOURCE,
        "ProtectedResourceBuilder",
        include_str!("../src/resource/builder.rs"),
    );
}

#[test]
fn all_that_listen_are_told_and_all_that_finish_a_policy_do() {
    let (_folder, path) = file("");
    let (first, second) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let count = |told: &Arc<AtomicUsize>| {
        let told = Arc::clone(told);
        move |_: &PolicyFileEvent| {
            told.fetch_add(1, Ordering::Relaxed);
        }
    };
    let file = PolicyFile::options(&path)
        .finish_with(|it| it.clock(FixedClock::at(NOW)).require("tenant"))
        .finish_with(|it| it.forbid("act"))
        .on_event(count(&first))
        .on_event(count(&second))
        .open()
        .expect("a policy");
    let token = || ISSUER.token(Algorithm::ES256).claim("tenant", "acme");
    let passes = |token: &str| file.policy().verify_token_now(token).is_ok();
    assert!(passes(&token().mint()));
    assert!(!passes(&token().without("tenant").mint()));
    assert!(!passes(&token().claim("act", "bob").mint()));
    std::fs::write(&path, "broken").expect("a file");
    assert!(file.reload().is_err());
    assert_eq!([first, second].map(|told| told.load(Ordering::Relaxed)), [1, 1]);
}

#[test]
fn of_an_option_that_cannot_be_refused_the_safer_word_counts_in_either_order() {
    let both = |one: u64, other: u64| {
        let words = [[one, other], [other, one]];
        words.map(|words| {
            words.map(seconds).into_iter().fold(Revocations::options(), RevocationOptions::leeway)
        })
    };
    for options in both(10, 40) {
        let revocations = options.clock(FixedClock::at(NOW)).in_memory();
        let enforced = || start().revocations(revocations.enforce([Revocable::Token]));
        assert!(enforced().leeway(seconds(40)).build().is_ok());
        assert!(enforced().leeway(seconds(41)).build().is_err());
    }
    for [one, other] in [[SameSite::Strict, SameSite::None], [SameSite::None, SameSite::Strict]] {
        let cookie = TokenCookie::new("__Host-token").expect("a cookie");
        assert!(
            cookie.same_site(one).same_site(other).removal_cookie().contains("SameSite=Strict")
        );
    }
}

/// A file with these settings above, and the keys of the issuer beside it.
fn file(settings: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("jwks.json"), ISSUER.jwks_of(&ES256)).expect("a file");
    let path = folder.path().join("policy.toml");
    let issuer = format!(
        "[[issuer]]\nid = {:?}\naudiences = [{:?}]\nalgorithms = [\"ES256\"]\nkeys = {{ jwks_file = \"jwks.json\" }}\n",
        ID,
        TestIssuer::AUDIENCE
    );
    std::fs::write(&path, format!("{issuer}{settings}")).expect("a file");
    (folder, path)
}

#[test]
fn what_code_adds_to_a_policy_file_takes_nothing_of_it_away() {
    let (_folder, path) = file(
        "[claims]\nmax_lifetime = \"5m\"\nrequired = [\"tenant\"]\nexact = { token_use = \"access\" }\nforbidden = [\"act\"]\n[presentation]\nrealm = \"orders\"\n",
    );
    let token = || {
        let token = ISSUER.token(Algorithm::ES256).claim("tenant", "acme");
        token.claim("token_use", "access").expires_at(NOW + 300)
    };
    let is_acme = || ClaimRules::new().predicate("is acme", |it: &Tenant| it.tenant == "acme");
    let with_hook = || Presentation::new().on_refusal(|_, it| it.set_header("x-why", "why"));
    let of_the_file = || PolicyBuilder::from_file(&path).expect("a builder");
    for builder in [
        of_the_file().claims(is_acme()).presentation(with_hook()),
        of_the_file()
            .predicate("is acme", |it: &Tenant| it.tenant == "acme")
            .on_refusal(|_, it| it.set_header("x-why", "why")),
    ] {
        let policy = builder.clock(FixedClock::at(NOW)).build().expect("a policy");
        assert!(policy.verify_token_now(token().mint()).is_ok());
        for bad in [
            token().expires_at(NOW + 301),
            token().without("tenant"),
            token().claim("token_use", "id"),
            token().claim("act", "bob"),
            token().claim("tenant", "evil"),
        ] {
            assert!(policy.verify_token_now(bad.mint()).is_err(), "{bad:?}");
        }
        let refusal = policy.verify_now(&http::Request::new(())).unwrap_err().refusal();
        let has = |field: (&str, &[u8])| refusal.headers().any(|own| own == field);
        assert!(has(("www-authenticate", b"Bearer realm=\"orders\"")));
        assert!(has(("x-why", b"why")));
    }
}

#[test]
fn a_setting_that_a_file_and_code_say_differently_is_a_fault_at_its_line_unless_code_overrules() {
    let (_folder, path) = file("[claims]\nleeway = \"10s\"\n[presentation]\nrealm = \"orders\"\n");
    let refused = PolicyFile::options(&path)
        .finish_with(|it| it.leeway(seconds(20)).presentation(Presentation::new().realm("code")))
        .open()
        .expect_err("two faults");
    let faults: Vec<_> = refused.faults().iter().map(ToString::to_string).collect();
    assert_eq!(
        faults,
        [
            "line 7: claims.leeway: the policy: `leeway` is set twice, to different values: leave one out, or say by `PolicyBuilder::overrule` which one counts",
            "line 9: presentation.realm: the policy: `realm` is set twice, to different values: leave one out, or say by `PolicyBuilder::overrule` which one counts",
        ]
    );
    let alike = |it: PolicyBuilder| it.leeway(seconds(10));
    assert!(PolicyFile::options(&path).finish_with(alike).open().is_ok());
    let overruled = PolicyFile::options(&path)
        .finish_with(|it| it.overrule(|it| it.leeway(seconds(20))).clock(FixedClock::at(NOW)))
        .open()
        .expect("a policy");
    let token = ISSUER.token(Algorithm::ES256).expires_at(NOW - 15).mint();
    assert!(overruled.policy().verify_token_now(token).is_ok());
}

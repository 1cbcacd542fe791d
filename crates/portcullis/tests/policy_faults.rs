//! What a policy is refused for when it is built.
use std::time::Duration;

use portcullis::dpop::{Dpop, DpopFault, InProcessReplays};
use portcullis::keys::{KeyFault, SecretFault};
use portcullis::mtls::{Mtls, MtlsFault};
use portcullis::policy::PolicyFault;
use portcullis::revocation::RevocationFault;
use portcullis::routes::ResourcePolicyFault;
use portcullis::{
    Algorithm, ClaimRules, Issuer, KeyFile, KeySet, Keys, Policy, PolicyBuilder, Presentation,
    ProtectedResource, Revocable, Revocations, Secret, TokenSource, TokenType, dangerous,
};
use portcullis_testkit::{SigningKey, TestIssuer};

const ISSUER: &str = "https://issuer.example";

fn keys(algorithm: Algorithm) -> KeySet {
    let issuer = TestIssuer::new(ISSUER);
    KeySet::from_jwks(issuer.jwks_of(&[algorithm])).expect("a usable key")
}

/// An issuer with nothing at fault.
fn good() -> Issuer {
    named(ISSUER)
}

fn named(id: &str) -> Issuer {
    Issuer::new(id)
        .algorithms([Algorithm::ES256])
        .keys(keys(Algorithm::ES256))
        .audience(TestIssuer::AUDIENCE)
}

fn with_keys(algorithms: &[Algorithm], keys: impl Into<Keys>) -> Issuer {
    Issuer::new(ISSUER)
        .algorithms(algorithms.iter().copied())
        .keys(keys)
        .audience(TestIssuer::AUDIENCE)
}

/// A policy with nothing at fault, so far.
fn builder() -> PolicyBuilder {
    Policy::builder().issuer(good())
}

fn of(issuer: Issuer) -> PolicyBuilder {
    Policy::builder().issuer(issuer)
}

fn issuer() -> String {
    ISSUER.to_owned()
}

/// An issuer whose tokens name their client, and no audience.
fn by_client() -> Issuer {
    Issuer::new(ISSUER)
        .algorithms([Algorithm::ES256])
        .keys(keys(Algorithm::ES256))
        .client_ids_instead_of_audience(["app"])
}

fn unmeetable(claim: &str) -> PolicyFault {
    PolicyFault::Contradiction { place: OWN.into(), claim: claim.into() }
}

/// An origin that no browser would send.
fn origin(text: &str) -> (PolicyFault, PolicyBuilder) {
    (PolicyFault::Origin { origin: text.into() }, builder().allowed_origins([text]))
}

/// A secret, and a file of public keys.
fn secret_and_file() -> Keys {
    let secret = TestIssuer::new(ISSUER).secret(Algorithm::HS256).to_vec();
    Keys::from(Secret::new(secret)).and(p256_file())
}

fn p256_file() -> KeyFile {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/pem/p256-spki.pem");
    KeyFile::pem(file).open().expect("a usable key")
}

/// What the faults of an issuer's rules are said of.
const OWN: &str = "issuer `https://issuer.example`";

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

fn unused(usable: &[Algorithm], listed: &[Algorithm]) -> PolicyFault {
    PolicyFault::UnusedKeys {
        issuer: ISSUER.to_owned(),
        usable: usable.iter().copied().collect(),
        listed: listed.iter().copied().collect(),
    }
}

fn fault(place: &str, fault: RevocationFault) -> PolicyFault {
    PolicyFault::Revocations { place: place.to_owned(), fault }
}

fn enforcing(kinds: impl IntoIterator<Item = Revocable>) -> PolicyBuilder {
    builder().revocations(Revocations::in_memory().enforce(kinds))
}

fn unlimited() -> Revocations {
    Revocations::options().max_lifetime(dangerous::unlimited_lifetime()).in_memory()
}

/// For each fault what has it, and only it.
fn table() -> Vec<(PolicyFault, PolicyBuilder)> {
    #[cfg_attr(not(feature = "remote-jwks"), expect(unused_mut, reason = "there are no more"))]
    let mut table = table_of_any_keys();
    #[cfg(feature = "remote-jwks")]
    table.extend(remote_keys::table());
    #[cfg(feature = "status-list")]
    table.push((
        PolicyFault::StatusLists {
            error: portcullis::status_list::StatusListsError::Origin {
                origin: "status.example".into(),
            },
        },
        builder().status_lists(portcullis::StatusLists::new().allow_origin("status.example")),
    ));
    table
}

fn misnamed(id: &str) -> (PolicyFault, PolicyBuilder) {
    (PolicyFault::MetadataAddress { issuer: id.to_owned() }, of(named(id)))
}

fn braces(id: &str) -> (PolicyFault, PolicyBuilder) {
    (PolicyFault::Braces { issuer: id.to_owned() }, of(named(id)))
}

#[test]
fn an_issuer_named_by_its_metadata_is_told_what_it_is_most_likely_called() {
    for (address, id) in [
        ("https://id.example/.well-known/openid-configuration", "`https://id.example`"),
        ("https://id.example/a/.well-known/openid-configuration", "`https://id.example/a`"),
        ("https://id.example/.well-known/oauth-authorization-server/a", "`https://id.example/a`"),
    ] {
        let text = PolicyFault::MetadataAddress { issuer: address.to_owned() }.to_string();
        assert!(text.ends_with(id), "{text}");
    }
    // Another path that begins alike.
    assert!(of(named("https://id.example/.well-known/openid-configurations")).build().is_ok());
}

fn table_of_any_keys() -> Vec<(PolicyFault, PolicyBuilder)> {
    let keys_without_id = (0..5).fold(KeySet::empty(), |set, _| {
        let key = SigningKey::generate(Algorithm::ES256);
        set.and(&KeySet::from_pem(key.public_pem().expect("a key pair")).expect("a usable key"))
    });
    let sources = |sources: Vec<TokenSource>| builder().sources(sources);
    vec![
        (PolicyFault::NoIssuer, Policy::builder()),
        // The others of proofs: see the tests of `dpop`.
        (
            PolicyFault::Dpop(DpopFault::NoAlgorithm),
            builder()
                .dpop(Dpop::new(InProcessReplays::new()).at("https://api.example").algorithms([])),
        ),
        // The others of certificates: see the tests of `mtls`.
        (
            PolicyFault::Mtls(MtlsFault::ProxiesOfTls),
            builder().mtls(Mtls::from_tls().trusted_unix_socket()),
        ),
        (
            PolicyFault::DuplicateIssuer { issuer: issuer() },
            builder().issuer(named("https://other.example")).issuer(good()),
        ),
        (
            PolicyFault::SaidTwice { place: "the policy".into(), setting: "leeway" },
            builder().leeway(SECOND).claims(ClaimRules::new().leeway(DAY)),
        ),
        (
            PolicyFault::SaidTwice { place: OWN.into(), setting: "token_types" },
            of(good().token_types([TokenType::Jwt]).token_types([TokenType::AccessToken])),
        ),
        (PolicyFault::EmptyIssuer, of(named(""))),
        misnamed("https://id.example/.well-known/openid-configuration"),
        misnamed("https://id.example/realms/a/.well-known/openid-configuration"),
        misnamed("https://id.example/.well-known/oauth-authorization-server/realms/a"),
        braces("https://login.example/{tenantid}/v2.0"),
        braces("https://login.example/{tenant}/v2.0"),
        braces("https://login.example/}"),
        (
            PolicyFault::NoAlgorithm { issuer: issuer() },
            of(with_keys(&[], Keys::source(keys(Algorithm::ES256)))),
        ),
        // Of keys that are not there, nothing more is said than that.
        (
            PolicyFault::NoKeys { issuer: issuer() },
            of(with_keys(&[Algorithm::ES256], Keys::default())),
        ),
        (
            PolicyFault::NoAudience { issuer: issuer() },
            of(Issuer::new(ISSUER)
                .algorithms([Algorithm::ES256])
                .keys(keys(Algorithm::ES256))
                .audiences(Vec::<String>::new())),
        ),
        (
            PolicyFault::NoAudience { issuer: issuer() },
            of(Issuer::new(ISSUER)
                .algorithms([Algorithm::ES256])
                .keys(keys(Algorithm::ES256))
                .audiences(["https://api.example", ""])),
        ),
        (
            PolicyFault::NoAudience { issuer: issuer() },
            of(Issuer::new(ISSUER)
                .algorithms([Algorithm::ES256])
                .keys(keys(Algorithm::ES256))
                .client_ids_instead_of_audience([""])),
        ),
        (PolicyFault::NoTokenType { issuer: issuer() }, of(good().token_types([]))),
        (PolicyFault::NoScopeClaim { issuer: issuer() }, of(good().scope_claims([""; 0]))),
        (PolicyFault::NoScopeClaim { issuer: issuer() }, of(good().scope_claims(["scope", ""]))),
        (
            PolicyFault::UnusableAlgorithm { issuer: issuer(), algorithm: Algorithm::ES384 },
            of(with_keys(&[Algorithm::ES256, Algorithm::ES384], keys(Algorithm::ES256))),
        ),
        (
            unused(&[Algorithm::ES384], &[Algorithm::ES256]),
            of(with_keys(
                &[Algorithm::ES256],
                Keys::from(keys(Algorithm::ES256)).and(keys(Algorithm::ES384)),
            )),
        ),
        (
            unused(&[Algorithm::ES256], &[Algorithm::HS256]),
            of(with_keys(&[Algorithm::HS256], secret_and_file())),
        ),
        (
            unused(&[Algorithm::ES256], &[Algorithm::RS256]),
            of(with_keys(&[Algorithm::RS256], p256_file())),
        ),
        (
            PolicyFault::TooManyCandidates {
                issuer: issuer(),
                algorithm: Algorithm::ES256,
                found: 5,
            },
            of(with_keys(&[Algorithm::ES256], keys_without_id)),
        ),
        (
            PolicyFault::Secret {
                issuer: issuer(),
                secret: "secret `old`".into(),
                fault: SecretFault::TooShort { algorithm: Algorithm::HS256, needed: 32, found: 7 },
            },
            of(with_keys(&[Algorithm::HS256], Secret::new("hunter2").id("old"))),
        ),
        (
            PolicyFault::Leeway { place: "the policy".into(), leeway: Duration::from_secs(601) },
            builder().leeway(Duration::from_secs(601)),
        ),
        (
            PolicyFault::Leeway {
                place: format!("issuer `{ISSUER}`"),
                leeway: Duration::new(600, 1),
            },
            of(good().claims(ClaimRules::new().leeway(Duration::new(600, 1)))),
        ),
        (
            PolicyFault::Leeway { place: "the policy".into(), leeway: Duration::MAX },
            builder().leeway(Duration::MAX),
        ),
        (
            PolicyFault::Lifetime { place: "the policy".into(), lifetime: 30 * DAY + SECOND },
            builder().max_lifetime(30 * DAY + SECOND),
        ),
        (
            PolicyFault::Lifetime { place: OWN.into(), lifetime: Duration::MAX },
            of(good().claims(ClaimRules::new().max_lifetime(Duration::MAX))),
        ),
        (
            PolicyFault::ZeroDuration { place: "the policy".into(), setting: "max_lifetime" },
            builder().max_lifetime(Duration::ZERO),
        ),
        (
            PolicyFault::ZeroDuration { place: "the policy".into(), setting: "max_age" },
            builder().max_age(Duration::from_millis(999)),
        ),
        (
            PolicyFault::ZeroDuration { place: format!("issuer `{ISSUER}`"), setting: "max_age" },
            of(good().claims(ClaimRules::new().max_age(Duration::ZERO))),
        ),
        (
            PolicyFault::Contradiction { place: "the policy".into(), claim: "tenant".into() },
            builder().claims(ClaimRules::new().require("tenant").forbid("tenant")),
        ),
        (
            PolicyFault::Contradiction { place: "the policy".into(), claim: "tenant".into() },
            builder().claims(ClaimRules::new().one_of("tenant", Vec::<&str>::new())),
        ),
        (
            PolicyFault::Contradiction {
                place: format!("issuer `{ISSUER}`"),
                claim: "tenant".into(),
            },
            of(good().claims(ClaimRules::new().forbid("tenant"))).require("tenant"),
        ),
        // No value is in both lists.
        (
            PolicyFault::Contradiction { place: "the policy".into(), claim: "region".into() },
            builder().exact("region", "eu").one_of("region", ["us"]),
        ),
        (
            PolicyFault::Contradiction { place: OWN.into(), claim: "region".into() },
            of(good().claims(ClaimRules::new().exact("region", "eu"))).exact("region", "us"),
        ),
        // What verification itself asks for, or refuses.
        (unmeetable("iss"), builder().forbid("iss")),
        (unmeetable("iss"), builder().exact("iss", "https://issuer.example/")),
        (unmeetable("exp"), builder().forbid("exp")),
        (unmeetable("exp"), builder().exact("exp", "tomorrow")),
        (unmeetable("nbf"), builder().exact("nbf", true)),
        (unmeetable("iat"), builder().one_of("iat", ["yesterday", "today"])),
        (unmeetable("iat"), builder().forbid("iat").max_age(DAY)),
        (unmeetable("aud"), builder().forbid("aud")),
        (unmeetable("aud"), builder().exact("aud", 7_i64)),
        (unmeetable("aud"), of(by_client()).require("aud")),
        (PolicyFault::NamelessClaim { place: "the policy".into() }, builder().require("")),
        (
            PolicyFault::NamelessClaim { place: OWN.into() },
            of(good().claims(ClaimRules::new().exact("", 1_i64))),
        ),
        (
            PolicyFault::WhiteSpace {
                issuer: "https://issuer.example\n".into(),
                text: "https://issuer.example\n".into(),
            },
            of(named("https://issuer.example\n")),
        ),
        (
            PolicyFault::WhiteSpace { issuer: issuer(), text: " https://api.example".into() },
            of(Issuer::new(ISSUER)
                .algorithms([Algorithm::ES256])
                .keys(keys(Algorithm::ES256))
                .audiences([" https://api.example", "https://api.example"])),
        ),
        (PolicyFault::NoSource, sources(vec![])),
        (PolicyFault::DuplicateSource, sources(vec![TokenSource::bearer(), TokenSource::bearer()])),
        (
            PolicyFault::DuplicateSource,
            sources(vec![TokenSource::header("x-token"), TokenSource::header("X-Token")]),
        ),
        // The same place in other words.
        (
            PolicyFault::DuplicateSource,
            sources(vec![TokenSource::cookie("__Host-a"), any_cookie("__Host-a")]),
        ),
        (
            PolicyFault::DuplicateSource,
            sources(vec![
                TokenSource::bearer(),
                TokenSource::header("Authorization").with_prefix("Bearer "),
            ]),
        ),
        (
            PolicyFault::SourceName { name: "x token".into() },
            sources(vec![TokenSource::header("X Token")]),
        ),
        (PolicyFault::SourceName { name: String::new() }, sources(vec![TokenSource::cookie("")])),
        (
            PolicyFault::SourceName { name: "__Host-a;b".into() },
            sources(vec![TokenSource::cookie("__Host-a;b")]),
        ),
        (
            PolicyFault::SourceName { name: "a&b".into() },
            sources(vec![dangerous::token_in_url("a&b")]),
        ),
        (
            PolicyFault::SourceName { name: "a, b".into() },
            sources(vec![TokenSource::websocket_protocol("a, b")]),
        ),
        (PolicyFault::CookieHeader, sources(vec![TokenSource::header("Cookie")])),
        (
            PolicyFault::WebSocketHeader,
            sources(vec![TokenSource::header("Sec-WebSocket-Protocol").with_prefix("bearer, ")]),
        ),
        (
            PolicyFault::CookiePrefix { name: "token".into() },
            sources(vec![TokenSource::cookie("token")]),
        ),
        (
            PolicyFault::CookiePrefix { name: "__host-token".into() },
            sources(vec![TokenSource::cookie("__host-token")]),
        ),
        (
            PolicyFault::CookieTooSmall {
                name: "__Host-token".into(),
                listed: [Algorithm::ML_DSA_65, Algorithm::ML_DSA_87].into_iter().collect(),
            },
            of(Issuer::new(ISSUER)
                .algorithms([Algorithm::ML_DSA_87, Algorithm::ML_DSA_65])
                .keys(keys(Algorithm::ML_DSA_65).and(&keys(Algorithm::ML_DSA_87)))
                .audience("https://api.example"))
            .sources([TokenSource::bearer(), TokenSource::cookie("__Host-token")]),
        ),
        (PolicyFault::Name { name: String::new() }, builder().name("")),
        (PolicyFault::Name { name: "x".repeat(65) }, builder().name("x".repeat(65))),
        (PolicyFault::Name { name: "a\n".into() }, builder().name("a\n")),
        (PolicyFault::TokenLimit { limit: 0 }, builder().token_limit(0)),
        (PolicyFault::TokenLimit { limit: 65_537 }, builder().token_limit(65_537)),
        (PolicyFault::HeaderLimit { limit: 0 }, builder().header_limit(0)),
        (PolicyFault::HeaderLimit { limit: 16_385 }, builder().header_limit(16_385)),
        (PolicyFault::TokenCache { bytes: (1 << 20) - 1 }, builder().token_cache((1 << 20) - 1)),
        (PolicyFault::TokenCache { bytes: (1 << 30) + 1 }, builder().token_cache((1 << 30) + 1)),
        (fault("the policy", RevocationFault::NoKind), enforcing([])),
        (
            fault("the policy", RevocationFault::NoClaim { kind: Revocable::Version }),
            enforcing([Revocable::Version]),
        ),
        (
            fault(OWN, RevocationFault::Lifetime { lifetime: Some(DAY + SECOND), longest: DAY }),
            enforcing([Revocable::Token]).max_lifetime(DAY + SECOND),
        ),
        (
            fault(OWN, RevocationFault::Lifetime { lifetime: None, longest: DAY }),
            enforcing([Revocable::Token]).max_lifetime(dangerous::unlimited_lifetime()),
        ),
        (
            fault(OWN, RevocationFault::Leeway { leeway: 31 * SECOND, most: 30 * SECOND }),
            enforcing([Revocable::Token]).leeway(31 * SECOND),
        ),
        (
            fault(OWN, RevocationFault::NoLifetime { kind: Revocable::Subject }),
            builder().revocations(unlimited().enforce([Revocable::Token, Revocable::Subject])),
        ),
        (
            fault(
                "the policy",
                RevocationFault::UnknownIssuer { issuer: "https://typo.example".into() },
            ),
            builder().revocations(
                Revocations::in_memory()
                    .enforce([Revocable::Token])
                    .for_issuer("https://typo.example", [Revocable::Key]),
            ),
        ),
        (
            fault("the policy", RevocationFault::SaidTwice { setting: "for_issuer" }),
            builder().revocations(
                Revocations::in_memory()
                    .enforce([Revocable::Token])
                    .for_issuer("https://issuer.example", [Revocable::Key])
                    .for_issuer("https://issuer.example", []),
            ),
        ),
        (
            fault("the policy", RevocationFault::NamelessClient),
            builder().revocations(
                Revocations::in_memory()
                    .enforce([Revocable::Token])
                    .service_clients("https://issuer.example", [""]),
            ),
        ),
        (
            PolicyFault::Origin { origin: "https://app.example/".into() },
            builder().allowed_origins(["https://app.example/", "https://app.example"]),
        ),
        (PolicyFault::Origin { origin: "null".into() }, builder().allowed_origins(["null"])),
        (PolicyFault::Origin { origin: "*".into() }, builder().allowed_origins(["*"])),
        (
            PolicyFault::Origin { origin: "https://App.example".into() },
            builder().allowed_origins(["https://App.example"]),
        ),
        (
            PolicyFault::Origin { origin: "https://app.example:443".into() },
            builder().allowed_origins(["https://app.example:443"]),
        ),
        (
            PolicyFault::Origin { origin: "https://".into() },
            builder().allowed_origins(["https://"]),
        ),
        origin("https://::::"),
        origin("https://a..example"),
        origin("https://.example"),
        origin("https://[::1"),
        origin("https://[app.example]"),
        origin("https://[::1]8443"),
        origin("https://app.example:"),
        origin("https://app.example:08443"),
        origin("https://app.example:65536"),
        origin("https://app.example:8443:8443"),
        origin("ftp://app.example"),
        (
            PolicyFault::Text { setting: "realm" },
            builder().presentation(Presentation::new().realm("a \"quoted\" realm")),
        ),
        (
            PolicyFault::Text { setting: "problem_base" },
            builder().presentation(Presentation::new().problem_base("https://a\r\nx: y")),
        ),
        (
            PolicyFault::Text { setting: "resource_metadata" },
            builder().presentation(Presentation::new().resource_metadata("https://é.example")),
        ),
        (
            document_misfit(ResourcePolicyFault::Audience {
                resource: "https://api.example/".into(),
            }),
            builder().protected_resource(&resource("https://api.example/", ISSUER)),
        ),
        (
            document_misfit(ResourcePolicyFault::Audience {
                resource: TestIssuer::AUDIENCE.into(),
            }),
            of(Issuer::new(ISSUER)
                .algorithms([Algorithm::ES256])
                .keys(keys(Algorithm::ES256))
                .client_ids_instead_of_audience([TestIssuer::AUDIENCE]))
            .protected_resource(&resource(TestIssuer::AUDIENCE, ISSUER)),
        ),
        // Another issuer's audience, and nobody is sent there.
        (
            document_misfit(ResourcePolicyFault::Audience {
                resource: "https://api.example/".into(),
            }),
            builder()
                .issuer(
                    Issuer::new("https://other.example")
                        .algorithms([Algorithm::ES256])
                        .keys(keys(Algorithm::ES256))
                        .audience("https://api.example/"),
                )
                .protected_resource(&resource("https://api.example/", ISSUER)),
        ),
        // Nobody is sent anywhere.
        (
            document_misfit(ResourcePolicyFault::Audience {
                resource: "https://api.example/".into(),
            }),
            builder().protected_resource(
                &ProtectedResource::builder("https://api.example/").build().expect("a resource"),
            ),
        ),
        (
            document_misfit(ResourcePolicyFault::AuthorizationServer {
                server: "https://issuer.example/".into(),
            }),
            builder()
                .protected_resource(&resource(TestIssuer::AUDIENCE, "https://issuer.example/")),
        ),
        (
            document_misfit(ResourcePolicyFault::NoBearer),
            builder()
                .protected_resource(&resource(TestIssuer::AUDIENCE, ISSUER))
                .sources([TokenSource::cookie("__Host-token")]),
        ),
        (
            document_misfit(ResourcePolicyFault::Mtls),
            builder()
                .protected_resource(&resource(TestIssuer::AUDIENCE, ISSUER))
                .mtls(Mtls::from_tls().required()),
        ),
        // Nothing but that there is nobody.
        (
            PolicyFault::NoIssuer,
            Policy::builder().protected_resource(&resource(TestIssuer::AUDIENCE, ISSUER)),
        ),
    ]
}

fn resource(identifier: &str, server: &str) -> ProtectedResource {
    let builder = ProtectedResource::builder(identifier).authorization_servers([server]);
    builder.build().expect("a resource")
}

fn document_misfit(fault: ResourcePolicyFault) -> PolicyFault {
    PolicyFault::ProtectedResource { fault }
}

fn any_cookie(name: &str) -> TokenSource {
    dangerous::unprefixed_cookie(name).expect("a name").into()
}

#[test]
fn each_fault_is_named_exactly_and_alone() {
    for (expected, builder) in table() {
        let error = builder.build().expect_err(&format!("{expected:?}"));
        assert_eq!(error.faults(), [expected]);
    }
}

/// That of a variant.
fn name_of(text: &str) -> &str {
    text.split(|char: char| !char.is_alphanumeric()).next().unwrap_or_default()
}

#[test]
fn every_fault_there_is_is_tested() {
    let source = include_str!("../src/policy/fault.rs");
    let (_, source) = source.split_once("pub enum PolicyFault {\n").expect("the enum");
    let (variants, _) = source.split_once("\n}\n").expect("its end");
    let lines: Vec<_> = variants.lines().collect();
    let variants: Vec<_> = lines
        .iter()
        .enumerate()
        .filter_map(|(at, line)| {
            let line =
                line.strip_prefix("    ").filter(|line| line.starts_with(char::is_uppercase))?;
            let needs = |feature: &str| {
                at > 0 && lines[at - 1] == format!("    #[cfg(feature = \"{feature}\")]")
            };
            let is_there = (!needs("remote-jwks") || cfg!(feature = "remote-jwks"))
                && (!needs("status-list") || cfg!(feature = "status-list"));
            is_there.then(|| name_of(line))
        })
        .collect();
    assert!(variants.len() > 20, "{variants:?}");
    assert_eq!(variants.contains(&"Template"), cfg!(feature = "remote-jwks"));
    let tested: Vec<_> = table().into_iter().map(|(fault, _)| format!("{fault:?}")).collect();
    for variant in variants {
        // Only a policy file can name a key file that cannot be opened: see the tests of `config`.
        let is_tested = tested.iter().any(|fault| name_of(fault) == variant);
        assert!(is_tested || variant == "KeyFile", "{variant}");
    }
}

#[test]
fn what_is_at_the_limit_is_accepted() {
    let longest = Duration::from_secs(600);
    for (what, builder) in [
        ("leeway", builder().leeway(longest)),
        ("no leeway", builder().leeway(Duration::ZERO)),
        ("lifetime", builder().max_lifetime(Duration::from_secs(1))),
        ("a lifetime of 30 days", builder().max_lifetime(30 * DAY)),
        ("a longer one", builder().max_lifetime(dangerous::long_lifetime(Duration::MAX))),
        ("no lifetime", builder().max_lifetime(dangerous::unlimited_lifetime())),
        ("lists that have a value in common", builder().exact("a", 1_i64).one_of("a", [2_i64, 1])),
        ("registered claims", builder().exact("iss", ISSUER).require("exp").exact("nbf", 7_i64)),
        ("a forbidden time of issue", builder().forbid("iat")),
        ("a client's token without audience", of(by_client()).forbid("aud")),
        ("age", builder().max_age(Duration::from_secs(1))),
        ("one byte", builder().token_limit(1)),
        ("64 KiB", builder().token_limit(64 * 1024)),
        ("a header of one byte", builder().header_limit(1)),
        ("a header of 16 KiB", builder().header_limit(16 * 1024)),
        ("no cache", builder().token_cache(0)),
        ("a cache of 1 MiB", builder().token_cache(1 << 20)),
        ("a cache of 1 GiB", builder().token_cache(1 << 30)),
        ("any cookie", builder().sources([any_cookie("token")])),
        (
            "a cookie for tokens of ML-DSA-44",
            of(Issuer::new(ISSUER)
                .algorithms([Algorithm::ML_DSA_44])
                .keys(keys(Algorithm::ML_DSA_44))
                .audience("https://api.example"))
            .sources([TokenSource::cookie("__Host-token")]),
        ),
        (
            "a cookie where some tokens are small",
            builder()
                .issuer(
                    Issuer::new("https://other.example")
                        .algorithms([Algorithm::ML_DSA_65])
                        .keys(keys(Algorithm::ML_DSA_65))
                        .audience("https://api.example"),
                )
                .sources([TokenSource::cookie("__Host-token")]),
        ),
        (
            "a WebSocket's offer",
            builder().sources([TokenSource::websocket_protocol("base64url.bearer.example")]),
        ),
        ("query", builder().sources([dangerous::token_in_url("access_token")])),
        (
            "origins",
            builder().allowed_origins([
                "http://localhost:3000",
                "https://[::1]:8443",
                "https://a_b.c.",
            ]),
        ),
        ("revocations of a day", enforcing([Revocable::Token]).max_lifetime(DAY)),
        (
            "revocations until",
            builder()
                .max_lifetime(dangerous::unlimited_lifetime())
                .revocations(unlimited().enforce([Revocable::Token, Revocable::Key])),
        ),
        ("two issuers", builder().issuer(named("https://issuer.example/"))),
        ("types", of(good().token_types([TokenType::AccessToken]))),
        ("algorithm twice", of(with_keys(&[Algorithm::ES256; 2], keys(Algorithm::ES256)))),
    ] {
        assert!(builder.build().is_ok(), "{what}");
    }
}

#[test]
fn a_key_source_of_ones_own_may_bring_public_keys_later_but_never_secrets() {
    let source = || Keys::source(keys(Algorithm::ES256));
    assert!(of(with_keys(&[Algorithm::ES256, Algorithm::RS256], source())).build().is_ok());
    let error = of(with_keys(&[Algorithm::ES256, Algorithm::HS256], source())).build().unwrap_err();
    let unusable = PolicyFault::UnusableAlgorithm { issuer: issuer(), algorithm: Algorithm::HS256 };
    assert_eq!(error.faults(), [unusable]);
}

#[test]
fn a_refused_secret_does_not_make_its_algorithm_unusable_as_well() {
    let error =
        of(with_keys(&[Algorithm::HS256, Algorithm::HS384], Secret::new("hunter2"))).build();
    let fault = SecretFault::TooShort { algorithm: Algorithm::HS256, needed: 32, found: 7 };
    assert_eq!(
        error.unwrap_err().faults(),
        [PolicyFault::Secret { issuer: issuer(), secret: "secret".into(), fault }]
    );
}

#[test]
fn all_faults_come_at_once_and_each_names_the_way_out() {
    let secret = "hunter2 hunter2";
    let error = Policy::builder()
        .issuer(
            Issuer::new("").algorithms([]).keys(Keys::default()).audiences([""]).token_types([]),
        )
        .issuer(with_keys(
            &[Algorithm::HS256, Algorithm::ES256],
            [
                Secret::new(secret).id("old"),
                Secret::env("PORTCULLIS_TEST_NOT_SET", Default::default()),
            ],
        ))
        .issuer(good())
        .leeway(Duration::from_secs(3600))
        .max_age(Duration::ZERO)
        .sources([TokenSource::cookie("token"), TokenSource::cookie("token")])
        .token_limit(1 << 20)
        .allowed_origins(["app.example"])
        .presentation(Presentation::new().realm("\u{1b}[31m"))
        .build()
        .unwrap_err();
    let name = issuer;
    let too_short = SecretFault::TooShort { algorithm: Algorithm::HS256, needed: 32, found: 15 };
    let unset = KeyFault::Unreadable { reason: "the variable is not set".into() };
    assert_eq!(
        error.faults(),
        [
            PolicyFault::Text { setting: "realm" },
            PolicyFault::Leeway { place: "the policy".into(), leeway: Duration::from_secs(3600) },
            PolicyFault::ZeroDuration { place: "the policy".into(), setting: "max_age" },
            PolicyFault::DuplicateSource,
            PolicyFault::CookiePrefix { name: "token".into() },
            PolicyFault::CookiePrefix { name: "token".into() },
            PolicyFault::TokenLimit { limit: 1 << 20 },
            PolicyFault::Origin { origin: "app.example".into() },
            PolicyFault::EmptyIssuer,
            PolicyFault::NoAlgorithm { issuer: String::new() },
            PolicyFault::NoKeys { issuer: String::new() },
            PolicyFault::NoTokenType { issuer: String::new() },
            PolicyFault::NoAudience { issuer: String::new() },
            PolicyFault::Secret { issuer: name(), secret: "secret `old`".into(), fault: too_short },
            PolicyFault::Secret {
                issuer: name(),
                secret: "secret in $PORTCULLIS_TEST_NOT_SET".into(),
                fault: SecretFault::Key(unset),
            },
            PolicyFault::DuplicateIssuer { issuer: name() },
        ]
    );
    let text = error.to_string();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("the policy is refused:"));
    assert!(lines.clone().all(|line| line.starts_with("  - ")), "{text}");
    assert_eq!(lines.count(), 16);
    for way_out in [
        "600 s is the most",
        "give it exactly as it stands in `iss`",
        "list the ones that it signs with",
        "name this service as it stands in `aud`",
        "leave the setting out, or name a type",
        "openssl rand -base64 48",
        "the variable is not set",
        "put its keys and audiences into one",
        "call it `__Host-token`, or use `dangerous::unprefixed_cookie`",
        "1 to 65536 are accepted",
        "`https://app.example`",
        "printable ASCII",
    ] {
        assert!(text.contains(way_out), "{way_out} is not in\n{text}");
    }
    for shown in [text, format!("{error:?}")] {
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }
}

#[test]
fn the_text_of_each_fault_is_one_line_without_a_full_stop() {
    let missing = KeyFile::jwks("/nowhere/jwks.json").open().unwrap_err();
    let of_a_file = PolicyFault::KeyFile { issuer: issuer(), error: missing };
    assert_eq!(
        of_a_file.to_string(),
        "issuer `https://issuer.example`: key file /nowhere/jwks.json: cannot be read: there is no such file"
    );
    for (fault, _) in table() {
        let text = fault.to_string();
        assert!(!text.contains('\n') && !text.ends_with('.'), "{text}");
    }
}

#[test]
fn no_fault_shows_a_secret_of_any_kind() {
    let secret = "kD9x!vQ2#mZ7&pL4*tR8^wN1(eJ6)yB3-";
    for secret in [
        Secret::new(secret).algorithm(Algorithm::HS512),
        Secret::new(format!("{secret}{secret}")),
        Secret::encoded(secret, portcullis::Encoding::Hex),
        Secret::new(format!("{{\"k\":\"{secret}\"}}")),
        Secret::new(secret).algorithm(Algorithm::RS256),
        Secret::new(secret).id(""),
        Secret::new("k".repeat(32)),
    ] {
        let shown = format!("{secret:?}");
        assert!(!shown.contains("kD9x"), "{shown}");
        let keys = Keys::from(secret);
        let shown = format!("{keys:?}");
        assert!(!shown.contains("kD9x"), "{shown}");
        let issuer = with_keys(&[Algorithm::HS256, Algorithm::HS512], keys);
        let shown = format!("{issuer:?}");
        assert!(!shown.contains("kD9x"), "{shown}");
        let error = of(issuer).build().expect_err("each is at fault");
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(!shown.contains("kD9x") && !shown.contains("kkkk"), "{shown}");
        }
    }
}

#[test]
fn an_algorithm_whose_key_may_still_come_to_a_file_is_no_fault() {
    let policy = of(with_keys(&[Algorithm::ES256, Algorithm::RS256], p256_file())).build();
    assert_eq!(policy.err(), None);
}

/// Keys that are fetched, and issuers that are made on demand.
#[cfg(feature = "remote-jwks")]
mod remote_keys {
    use std::net::TcpListener;

    use portcullis::RemoteJwks;
    use portcullis::fetch::{AddressFault, FetchFault, SettingFault};
    use portcullis::keys::remote::{KeyFetchFault, RemoteJwksError, RemoteJwksOptions};

    use super::*;

    const TEMPLATE: &str = "https://id.example/{tenant}/";

    fn template(template: &str, keys: impl Into<Keys>) -> Issuer {
        Issuer::template(template)
            .algorithms([Algorithm::ES256])
            .keys(keys)
            .audience(TestIssuer::AUDIENCE)
    }

    fn with(options: RemoteJwksOptions) -> PolicyBuilder {
        of(with_keys(&[Algorithm::ES256], options))
    }

    fn address(text: &str, fault: AddressFault) -> RemoteJwksError {
        RemoteJwksError::Address { address: text.to_owned(), fault }
    }

    fn fault(issuer: &str, error: RemoteJwksError) -> PolicyFault {
        PolicyFault::RemoteKeys { issuer: issuer.to_owned(), error }
    }

    /// What a setting is refused with, of whoever's keys.
    fn settings(options: RemoteJwksOptions) -> RemoteJwksError {
        options.start_for(ISSUER).expect_err("a fault")
    }

    pub(super) fn table() -> Vec<(PolicyFault, PolicyBuilder)> {
        let late = || RemoteJwks::discovery().cool_down(Duration::from_secs(3601)).max_keys(0);
        let plain = "http://id.example/jwks";
        let unfit = "http://id.example/{tenant}";
        let bad = |text: &str| PolicyFault::Template { issuer: text.to_owned() };
        let none = |text: &str| PolicyFault::Tenants {
            issuer: text.to_owned(),
            fault: SettingFault::new("max_tenants", "at least 1"),
        };
        let interval = PolicyFault::Tenants {
            issuer: TEMPLATE.to_owned(),
            fault: SettingFault::new("tenant_interval", "1 ms to 60 s"),
        };
        let every =
            |interval| template(TEMPLATE, RemoteJwks::discovery()).tenant_interval(interval);
        let of_any = Issuer::matching(|_| true)
            .algorithms([Algorithm::ES256])
            .keys(RemoteJwks::discovery())
            .audience(TestIssuer::AUDIENCE)
            .max_tenants(0);
        vec![
            (fault(ISSUER, settings(late())), with(late())),
            (fault(TEMPLATE, settings(late())), of(template(TEMPLATE, late()))),
            (fault(ISSUER, address(plain, AddressFault::PlainHttp)), with(RemoteJwks::url(plain))),
            (
                fault("accounts.example", address("accounts.example", AddressFault::NotAUrl)),
                of(Issuer::new("accounts.example")
                    .algorithms([Algorithm::ES256])
                    .keys(RemoteJwks::discovery())
                    .audience(TestIssuer::AUDIENCE)),
            ),
            (
                fault(unfit, address("http://id.example/tenant", AddressFault::PlainHttp)),
                of(template(unfit, RemoteJwks::discovery())),
            ),
            (
                bad("https://id.example/"),
                of(template("https://id.example/", RemoteJwks::discovery())),
            ),
            (
                bad("https://{tenant}.example/{tenant}"),
                of(template("https://{tenant}.example/{tenant}", RemoteJwks::discovery())),
            ),
            (none(TEMPLATE), of(template(TEMPLATE, RemoteJwks::discovery()).max_tenants(0))),
            (none("(predicate)"), of(of_any)),
            (
                PolicyFault::KnownTenant { issuer: TEMPLATE.to_owned(), tenant: "acme".to_owned() },
                of(template(TEMPLATE, RemoteJwks::discovery()).known_tenants(["acme"])),
            ),
            (interval.clone(), of(every(Duration::ZERO))),
            (interval, of(every(Duration::from_secs(61)))),
            (
                PolicyFault::DuplicateIssuer { issuer: TEMPLATE.to_owned() },
                of(template(TEMPLATE, RemoteJwks::discovery()))
                    .issuer(good())
                    .issuer(template(TEMPLATE, keys(Algorithm::ES256))),
            ),
            // Public keys are fetched, never secrets.
            (
                PolicyFault::UnusableAlgorithm { issuer: issuer(), algorithm: Algorithm::HS256 },
                of(with_keys(&[Algorithm::ES256, Algorithm::HS256], RemoteJwks::discovery())),
            ),
        ]
    }

    #[test]
    fn settings_out_of_bounds_are_listed_with_their_bounds() {
        let error = with(RemoteJwks::discovery().cool_down(Duration::from_secs(3601)).max_keys(0));
        assert_eq!(
            error.build().unwrap_err().to_string(),
            "the policy is refused:\n  - issuer `https://issuer.example`: `cool_down` must be 1 s to 1 h; `max_keys` must be 1 to 1000"
        );
    }

    #[test]
    fn a_first_fetch_that_fails_is_a_fault_where_the_policy_asks_for_it() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/jwks", listener.local_addr().expect("an address"));
        drop(listener);
        let error = with(RemoteJwks::url(&url).load_at_start()).build().expect_err("a fault");
        let [PolicyFault::RemoteKeys { issuer, error: RemoteJwksError::FirstFetch(first) }] =
            error.faults()
        else {
            panic!("{error}");
        };
        assert_eq!((issuer.as_str(), first.url()), (ISSUER, url.as_str()));
        assert!(
            matches!(first.fault(), KeyFetchFault::Fetch(FetchFault::Connection(_))),
            "{first}"
        );
        let text = error.faults()[0].to_string();
        assert!(text.starts_with(&format!("issuer `{ISSUER}`: {url}: ")), "{text}");
        assert!(!text.contains('\n') && !text.ends_with('.'), "{text}");
        // Nobody asks otherwise, and the service starts without its key server.
        assert!(with(RemoteJwks::url(url)).build().is_ok());
    }

    #[test]
    fn two_templates_and_two_predicates_are_no_duplicates() {
        let any = || {
            Issuer::matching(|_| true)
                .algorithms([Algorithm::ES256])
                .keys(RemoteJwks::discovery())
                .audience(TestIssuer::AUDIENCE)
        };
        let policy = of(template(TEMPLATE, RemoteJwks::discovery()))
            .issuer(template("https://id.example/{tenant}", RemoteJwks::discovery()))
            .issuer(any())
            .issuer(any())
            .build();
        assert_eq!(policy.err(), None);
    }
}

/// `unwrap` and a `main` that returns an error print its `Debug`.
#[test]
fn errors_of_a_start_print_their_message_by_debug_as_well() {
    fn both(error: impl std::error::Error) -> [String; 2] {
        [format!("{error:?}"), error.to_string()]
    }
    let mut errors = vec![
        both(Policy::builder().build().expect_err("no issuer")),
        both(KeyFile::jwks("none").open().expect_err("no file")),
        both(KeySet::from_jwks("[]").expect_err("not a set")),
        both("ES999".parse::<Algorithm>().expect_err("not an algorithm")),
        both(portcullis::error::RequirementFault::Path),
        both(portcullis::revocation::RevokeError::Full { capacity: 1 }),
        both(portcullis::routes::LogoutFault::NoClient),
        both(portcullis::source::CookieError::NoToken),
        both(ProtectedResource::builder("x").build().expect_err("not an address")),
        both(Revocations::options().restore("none").expect_err("no file")),
    ];
    #[cfg(feature = "config")]
    errors.push(both(Policy::from_toml_str("=", "").expect_err("not TOML")));
    #[cfg(feature = "remote-jwks")]
    {
        use portcullis::{RemoteJwks, provider};
        errors.push(both(RemoteJwks::url("x").start_for("i").expect_err("not an address")));
        errors.push(both(provider::auth0("").expect_err("not a domain")));
    }
    #[cfg(feature = "status-list")]
    errors.push(both(portcullis::status_list::StatusListsError::Origin { origin: "x".to_owned() }));
    for [debug, display] in errors {
        assert_eq!(debug, display);
    }
}

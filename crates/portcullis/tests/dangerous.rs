//! What `dangerous` says of itself, and SECURITY.md of it: what is not there is not weakened, and what a
//! policy took from it, its description tells.
#![cfg(all(feature = "explain", feature = "remote-jwks", feature = "status-list"))]
use std::collections::BTreeSet;
use std::time::Duration;

use portcullis::policy::BadCookie;
use portcullis::{
    Algorithm, BackChannelLogout, Issuer, Policy, PolicyBuilder, RemoteJwks, Revocable,
    Revocations, StatusLists, TokenSource, dangerous,
};
use portcullis_testkit::TestIssuer;

const SOURCE: &str = include_str!("../src/dangerous.rs");
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn builder() -> PolicyBuilder {
    TestIssuer::new("https://id.example").policy_builder()
}

fn fetching(keys: portcullis::keys::remote::RemoteJwksOptions) -> Issuer {
    Issuer::new("https://other.example")
        .algorithms([Algorithm::ES256])
        .keys(keys)
        .audience(TestIssuer::AUDIENCE)
}

/// For each function of the module, policies with it, and what their descriptions say.
fn table() -> Vec<(&'static str, PolicyBuilder, &'static str)> {
    let http = || dangerous::allow_http("keycloak");
    let jwks = || RemoteJwks::url("http://keycloak/jwks").allow_http(http());
    let tenants = Issuer::template("http://keycloak/{tenant}")
        .algorithms([Algorithm::ES256])
        .keys(RemoteJwks::discovery().allow_http(http()))
        .audience(TestIssuer::AUDIENCE);
    let lists = StatusLists::new().allow_http(http()).allow_origin("http://keycloak");
    vec![
        (
            "unlimited_lifetime",
            builder().max_lifetime(dangerous::unlimited_lifetime()),
            "unlimited_lifetime (https://id.example)",
        ),
        (
            "long_lifetime",
            builder().max_lifetime(dangerous::long_lifetime(31 * DAY)),
            "long_lifetime (https://id.example)",
        ),
        ("token_in_url", builder().sources([dangerous::token_in_url("t")]), "query(t)"),
        (
            "unprefixed_cookie",
            builder().sources([dangerous::unprefixed_cookie("t").expect("a name").into()]),
            "cookie(t)",
        ),
        (
            "accept_unknown_revocation",
            builder().unknown_revocation(dangerous::accept_unknown_revocation()),
            "accept_unknown_revocation",
        ),
        ("allow_http", builder().issuer(fetching(jwks())), "allow_http(keycloak)"),
        ("allow_http", builder().issuer(tenants), "allow_http(keycloak)"),
        ("allow_http", builder().status_lists(lists), "allow_http(keycloak)"),
    ]
}

#[test]
fn a_policy_tells_what_it_took_from_the_module() {
    for (function, builder, told) in table() {
        let policy = builder.build().expect(function);
        assert_eq!(policy.describe().dangerous, [told], "{function}");
    }
}

/// A receiver of logout tokens is no part of a policy.
#[test]
fn a_receiver_of_logout_tokens_tells_what_it_took_from_the_module() {
    let revocations = Revocations::in_memory();
    let policy = builder().revocations(revocations.enforce([Revocable::Subject])).build();
    let receiver = BackChannelLogout::new(policy.expect("a policy"), revocations, ["web"]);
    let receiver = receiver.expect("a receiver");
    assert!(format!("{receiver:?}").contains("accepts_untyped: false"));
    let receiver = receiver.token_types(dangerous::untyped_logout_tokens());
    assert!(format!("{receiver:?}").contains("accepts_untyped: true"));
}

#[test]
fn each_function_of_the_module_is_told_of() {
    let names = SOURCE.split("\npub fn ").skip(1).filter_map(|rest| rest.split('(').next());
    let mut told: BTreeSet<_> = table().into_iter().map(|(function, ..)| function).collect();
    told.insert("untyped_logout_tokens");
    assert_eq!(names.collect::<BTreeSet<_>>(), told);
}

#[test]
fn a_policy_that_took_nothing_from_the_module_tells_nothing_however_wide_it_is() {
    let policy = builder()
        .issuer(fetching(RemoteJwks::url("http://localhost/jwks")))
        .leeway(Duration::from_secs(600))
        .max_lifetime(30 * DAY)
        .token_limit(65_536)
        .sources([
            TokenSource::bearer(),
            TokenSource::cookie("__Host-t"),
            TokenSource::header("x-token"),
        ])
        .prefer_header()
        .allowed_origins(["https://app.example"])
        .bad_cookie(BadCookie::Anonymous)
        .status_lists(StatusLists::new())
        .scope_implies(|_, _| true)
        .allow_anonymous()
        .build()
        .expect("a policy");
    assert_eq!(policy.describe().dangerous, [""; 0]);
    let policy: Policy = builder().build().expect("a policy");
    assert_eq!(policy.describe().dangerous, [""; 0]);
}

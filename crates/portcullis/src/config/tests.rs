#[cfg(not(feature = "remote-jwks"))]
mod no_remote;
#[cfg(feature = "remote-jwks")]
mod remote;
mod schema;

use core::time::Duration;
use std::collections::BTreeSet;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::admission::Rejection;
use crate::error::Error;
use crate::error::{ClaimName, ClaimsError};
use crate::keys::{KeyError, KeyFault, KeyFileError, SecretFault};
use crate::policy::{PolicyFault, Verification};
use crate::signature::{Algorithm, SignatureError};
use crate::source::CookieError;
use crate::time::{Clock, UnixTime};
use crate::token::TokenError;

const SECRET_HEX: &str = "5f1c9e07a3d84b62f0917cbe2a6d35e8c4197b03dfa2586e9110fd3c74b86a25";
const SECRET: [u8; 32] = [
    0x5f, 0x1c, 0x9e, 0x07, 0xa3, 0xd8, 0x4b, 0x62, 0xf0, 0x91, 0x7c, 0xbe, 0x2a, 0x6d, 0x35, 0xe8,
    0xc4, 0x19, 0x7b, 0x03, 0xdf, 0xa2, 0x58, 0x6e, 0x91, 0x10, 0xfd, 0x3c, 0x74, 0xb8, 0x6a, 0x25,
];
const OTHER: [u8; 32] = [
    0xa1, 0x3d, 0x70, 0xe9, 0x16, 0xcb, 0x5f, 0x28, 0x84, 0x0e, 0xf7, 0x93, 0x4a, 0xd2, 0x6b, 0x31,
    0x0c, 0xb5, 0xee, 0x47, 0x9f, 0x62, 0xd8, 0x15, 0x7a, 0x03, 0xc9, 0x56, 0xbd, 0x20, 0x8f, 0xe4,
];
/// RFC 8037 A.2.
const JWKS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
const PEM: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
";

#[derive(Debug)]
struct FixedClock(i64);

impl Clock for FixedClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.0)
    }
}

const NOW: i64 = 1_800_000_000;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &[u8]| {
        std::fs::write(folder.path().join(name), content).expect("a file");
    };
    write("raw.key", &SECRET);
    write("hex.key", SECRET_HEX.as_bytes());
    write("base64url.key", format!("{}\n", URL_SAFE_NO_PAD.encode(OTHER)).as_bytes());
    write("short.key", b"hunter2-hunter2");
    write("jwks.json", JWKS.as_bytes());
    write("empty.json", br#"{"keys":[]}"#);
    write("key.pem", PEM.as_bytes());
    folder
}

/// A token under `SECRET`, or another.
fn token_of(secret: &[u8], key_id: Option<&str>, claims: &str) -> String {
    let kid = key_id.map(|id| format!(r#","kid":"{id}""#)).unwrap_or_default();
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256"{kid}}}"#));
    let claims = URL_SAFE_NO_PAD.encode(claims);
    let text = format!("{header}.{claims}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, text.as_bytes())))
}

fn token(more: &str) -> String {
    let expires = NOW + 60;
    let claims = format!(r#"{{"iss":"https://a","aud":"b","exp":{expires}{more}}}"#);
    token_of(&SECRET, None, &claims)
}

fn at(text: &str, folder: &TempDir, now: i64) -> Policy {
    let builder = PolicyBuilder::from_toml_str(text, folder.path()).expect("settings");
    builder.clock(FixedClock(now)).build().expect("a policy")
}

fn refused(text: &str) -> ConfigError {
    Policy::from_toml_str(text, folder().path()).expect_err("faults")
}

fn places(error: &ConfigError) -> Vec<&str> {
    error.faults().iter().map(|fault| fault.place.as_str()).collect()
}

/// The faults of a policy whose only issuer is good.
fn refused_with(more: &str) -> Vec<(String, ConfigProblem)> {
    let text = format!("{more}\n{ISSUER}");
    let error = refused(&text);
    error.faults().iter().map(|fault| (fault.place.clone(), fault.problem.clone())).collect()
}

const ISSUER: &str = r#"
[[issuer]]
id = "https://a"
audiences = ["b"]
algorithms = ["HS256"]
keys = { secrets = [{ file = "raw.key" }] }
"#;

const FULL: &str = r#"
sources             = ["bearer", { cookie = "__Host-token", same_site = "none" }, { header = "X-Token", prefix = "Token " }, { websocket_protocol = "bearer" }]
name                = "orders"
prefer_header       = true
allowed_origins     = ["https://app.example"]
bad_cookie          = "reject-and-clear"
token_limit         = 32768
header_limit        = 8192
token_cache         = 2097152
refuse_brought_keys = true
allow_anonymous     = true

[[issuer]]
id         = "https://issuer.example"
audiences  = ["https://api.example"]
algorithms = ["EdDSA", "HS256"]
token_type = "jwt"
require_key_id = false
numeric_ids = true
scope_claims = ["permissions"]
[issuer.keys]
jwks_file = "jwks.json"
pem_file  = "key.pem"
key_id    = "of the file"
secrets   = [
  { id = "2026-11", file = "base64url.key", encoding = "base64url", accept_until = 2026-12-31T00:00:00Z },
  { file = "hex.key", encoding = "hex", algorithm = "HS256" },
]
[issuer.claims]
leeway       = "0s"
max_lifetime = "15m"
max_age      = "1h"
required     = ["sub"]
forbidden    = ["act"]
exact        = { token_use = "access", version = 2, first = true }
one_of       = { region = ["eu", "us", 3] }

[[issuer]]
id         = "https://other.example"
client_ids_instead_of_audience = ["app"]
algorithms = ["Ed25519"]
token_type = ["jwt", "at+jwt"]
keys       = { pem_file = "key.pem" }
[issuer.dangerous]
unlimited_lifetime = true

[claims]
leeway = "1m 30s"

[presentation]
realm             = "orders"
resource_metadata = "https://api.example/.well-known/oauth-protected-resource"
problem_base      = "https://api.example/problems/"
scopes            = ["orders:read"]
details           = false

[dpop]
base_urls     = ["https://api.example", "https://example/orders"]
mode          = "allowed"
algorithms    = ["ES256", "EdDSA"]
nonces        = "required"
nonce_secrets = []
replay        = "in_process"
[dpop.window]
past   = "2m"
future = "15s"

[dangerous]
query_parameter = "access_token"
cookie          = { name = "token", path = "/api", domain = "a.example", same_site = "strict" }
unlimited_lifetime = false
"#;

const FULL_JSON: &str = r#"{
  "name": "orders",
  "sources": ["bearer", { "cookie": "__Host-token", "same_site": "none" }, { "header": "X-Token", "prefix": "Token " }, { "websocket_protocol": "bearer" }],
  "prefer_header": true,
  "allowed_origins": ["https://app.example"],
  "bad_cookie": "reject-and-clear",
  "token_limit": 32768,
  "header_limit": 8192,
  "token_cache": 2097152,
  "refuse_brought_keys": true,
  "allow_anonymous": true,
  "issuer": [{
    "id": "https://issuer.example",
    "audiences": ["https://api.example"],
    "algorithms": ["EdDSA", "HS256"],
    "token_type": "jwt",
    "require_key_id": false,
    "numeric_ids": true,
    "scope_claims": ["permissions"],
    "keys": {
      "jwks_file": "jwks.json",
      "pem_file": "key.pem",
      "key_id": "of the file",
      "secrets": [
        { "id": "2026-11", "file": "base64url.key", "encoding": "base64url", "accept_until": "2026-12-31T00:00:00Z" },
        { "file": "hex.key", "encoding": "hex", "algorithm": "HS256" }
      ]
    },
    "claims": {
      "leeway": "0s", "max_lifetime": "15m", "max_age": "1h",
      "required": ["sub"], "forbidden": ["act"],
      "exact": { "token_use": "access", "version": 2, "first": true },
      "one_of": { "region": ["eu", "us", 3] }
    }
  }, {
    "id": "https://other.example",
    "client_ids_instead_of_audience": ["app"],
    "algorithms": ["Ed25519"],
    "token_type": ["jwt", "at+jwt"],
    "keys": { "pem_file": "key.pem" },
    "dangerous": { "unlimited_lifetime": true }
  }],
  "claims": { "leeway": "1m 30s" },
  "presentation": {
    "realm": "orders",
    "resource_metadata": "https://api.example/.well-known/oauth-protected-resource",
    "problem_base": "https://api.example/problems/",
    "scopes": ["orders:read"],
    "details": false
  },
  "dpop": {
    "base_urls": ["https://api.example", "https://example/orders"],
    "mode": "allowed",
    "algorithms": ["ES256", "EdDSA"],
    "nonces": "required",
    "nonce_secrets": [],
    "replay": "in_process",
    "window": { "past": "2m", "future": "15s" }
  },
  "mtls": {
    "certificate": "escaped_pem",
    "header": "X-SSL-Client-Cert",
    "trusted_proxies": ["10.0.0.0/24", "2001:db8::7", "unix"],
    "mode": "allowed"
  },
  "dangerous": { "query_parameter": "access_token", "cookie": { "name": "token", "path": "/api", "domain": "a.example", "same_site": "strict" }, "unlimited_lifetime": false }
}"#;

/// With the issuers that need a feature, where it is on.
fn full_json() -> serde_json::Value {
    #[cfg_attr(not(feature = "remote-jwks"), expect(unused_mut, reason = "there are none"))]
    let mut full: serde_json::Value = serde_json::from_str(FULL_JSON).expect("JSON");
    #[cfg(feature = "remote-jwks")]
    {
        let more: serde_json::Value = serde_json::from_str(remote::FULL_JSON).expect("JSON");
        let more = more["issuer"].as_array().expect("a list").clone();
        full["issuer"].as_array_mut().expect("a list").extend(more);
    }
    full
}

/// What the claims of `FULL` allow, with `(from, to)` replaced.
fn full_token(replace: (&str, &str)) -> String {
    let (issued, expires) = (NOW - 5, NOW + 60);
    let claims = format!(
        r#"{{"iss":"https://issuer.example","aud":"https://api.example","iat":{issued},"exp":{expires},"sub":"s","token_use":"access","version":2,"first":true,"region":"eu"}}"#
    );
    assert!(claims.contains(replace.0), "{replace:?}");
    token_of(&SECRET, None, &claims.replace(replace.0, replace.1))
}

fn full_policies() -> (TempDir, [Policy; 3]) {
    let folder = folder();
    let by_serde: PolicyConfig = toml::from_str(FULL).expect("TOML");
    let from_json: PolicyConfig = serde_json::from_str(FULL_JSON).expect("JSON");
    let with_lines = PolicyConfig::from_toml_str(FULL).expect("TOML");
    let policies = [with_lines, by_serde, from_json].map(|config| {
        let builder = config.into_builder(folder.path()).expect("settings");
        builder.clock(FixedClock(NOW)).build().expect("a policy")
    });
    (folder, policies)
}

fn bearer(token: &str) -> [(&'static str, String); 1] {
    [("authorization", format!("Bearer {token}"))]
}

/// Nothing where the request gets in.
fn turned_away(policy: &Policy, method: &str, headers: &[(&str, String)]) -> Option<Rejection> {
    let mut request = http::Request::builder().method(method).uri("/");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    match policy.start_verify(&request.body(()).expect("a request")) {
        Verification::Done(decided) => decided.err(),
        Verification::Pending(_) => panic!("there is nothing to wait for"),
    }
}

#[test]
fn every_format_gives_the_same_issuers() {
    let folder = folder();
    let by_serde: PolicyConfig = toml::from_str(FULL).expect("TOML");
    let from_json: PolicyConfig = serde_json::from_str(FULL_JSON).expect("JSON");
    let with_lines = PolicyConfig::from_toml_str(FULL).expect("TOML");
    let [first, second, third] = [with_lines, by_serde, from_json]
        .map(|config| format!("{:?}", config.into_builder(folder.path()).expect("settings")));
    assert_eq!(first, second);
    assert_eq!(first, third);
    for part in [
        "EdDSA]",
        "Audiences([\"https://api.example\"])",
        "ClientIds([\"app\"])",
        "types: Some([Jwt]),",
        "types: Some([Jwt, AccessToken])",
        "leeway: Some(0ns)",
        "max_lifetime: Some(MaxLifetime { limit: Some(900s), is_dangerous: false })",
        "max_lifetime: Some(MaxLifetime { limit: None, is_dangerous: true })",
        "max_age: Some(3600s)",
        "accept_until: Some(UnixTime(1798675200))",
        "accept_until: None",
    ] {
        assert!(first.contains(part), "{part} in {first}");
    }
    let (one, other) = (first.find("https://issuer.example"), first.find("https://other.example"));
    assert!(one < other, "in the order of the file");
}

#[test]
fn rules_for_claims_arrive_from_every_format() {
    let (_folder, policies) = full_policies();
    let rule = |claim: ClaimName| Err(Error::Claims(ClaimsError::Rule(claim)));
    let late = format!("\"iat\":{}", NOW - 3600);
    let issued = format!("\"iat\":{}", NOW - 5);
    for policy in policies {
        let verify =
            |from: &str, to: &str| policy.verify_token_now(full_token((from, to))).map(drop);
        assert_eq!(verify("", ""), Ok(()));
        assert_eq!(verify("\"s\"", "42"), Ok(()));
        assert_eq!(verify("\"eu\"", "3"), Ok(()));
        assert_eq!(verify("\"sub\"", "\"bus\""), rule(ClaimName::Required("sub".into())));
        assert_eq!(
            verify("\"sub\"", "\"act\":1,\"sub\""),
            rule(ClaimName::Forbidden("act".into()))
        );
        assert_eq!(verify("\"access\"", "\"id\""), rule(ClaimName::Value("token_use".into())));
        assert_eq!(verify(":2,", ":3,"), rule(ClaimName::Value("version".into())));
        assert_eq!(verify(":true", ":false"), rule(ClaimName::Value("first".into())));
        assert_eq!(verify("\"eu\"", "\"asia\""), rule(ClaimName::Value("region".into())));
        assert_eq!(
            verify(&issued, &late),
            Err(Error::Claims(ClaimsError::LivesTooLong {
                lifetime: Duration::from_secs(3660),
                limit: Duration::from_secs(900)
            }))
        );
        let expires = format!("\"exp\":{}", NOW + 60);
        let expired = format!("\"exp\":{NOW}");
        assert_eq!(
            verify(&expires, &expired),
            Err(Error::Claims(ClaimsError::Expired { at: UnixTime(NOW), now: UnixTime(NOW) })),
            "no leeway"
        );
    }
}

#[test]
fn sources_arrive_from_every_format() {
    let (_folder, policies) = full_policies();
    let good = full_token(("", ""));
    for policy in policies {
        let reason = |headers: &[(&str, String)]| {
            turned_away(&policy, "GET", headers).map(|rejection| rejection.error().reason())
        };
        let cookie = |value: &str| ("cookie", value.to_owned());
        assert_eq!(reason(&bearer(&good)), None);
        assert_eq!(reason(&[]), None, "anonymous is allowed");
        for (headers, is_looked_at) in [
            ([cookie("__Host-token=x")], true),
            ([cookie("token=x")], true),
            ([cookie("other=x")], false),
            ([("x-token", "Token x".to_owned())], true),
            ([("x-token", "x".to_owned())], false),
            ([("sec-websocket-protocol", "bearer,x".to_owned())], true),
            ([("sec-websocket-protocol", "x,bearer".to_owned())], false),
        ] {
            assert_eq!(reason(&headers).is_some(), is_looked_at, "{headers:?}");
        }
        let [header] = bearer(&good);
        assert_eq!(reason(&[header, cookie("__Host-token=x")]), None, "the header is preferred");

        let query = http::Request::builder().uri("/?access_token=x").body(()).expect("a request");
        assert!(
            matches!(policy.start_verify(&query), Verification::Done(Err(_))),
            "the query is looked at"
        );

        let own = format!("__Host-token={good}");
        let origin = |origin: &str| [cookie(&own), ("origin", origin.to_owned())];
        assert!(turned_away(&policy, "POST", &origin("https://app.example")).is_none());
        assert!(turned_away(&policy, "POST", &origin("https://evil.example")).is_some());

        let brought = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","jku":"https://evil.example"}"#);
        let (_, rest) = good.split_once('.').expect("a token");
        let found = turned_away(&policy, "GET", &bearer(&format!("{brought}.{rest}")));
        let found = found.map(|rejection| rejection.error().clone());
        assert_eq!(found, Some(Error::Claims(ClaimsError::EmbeddedKey)));

        let long = |length| turned_away(&policy, "GET", &bearer(&"a".repeat(length)));
        let error = |length| long(length).map(|rejection| rejection.error().clone());
        let too_long = TokenError::TooLong { length: 32769, limit: 32768 };
        assert_eq!(error(32769), Some(Error::Token(too_long)));
        assert_eq!(error(32768), Some(Error::Token(TokenError::Parts { found: 1 })));
    }
}

#[test]
fn a_hook_added_in_code_leaves_the_presentation_of_the_data() {
    let (folder, _) = full_policies();
    let builder = PolicyBuilder::from_toml_str(FULL, folder.path()).expect("settings");
    let hook = |_: crate::refusal::Refused<'_>, refusal: &mut crate::refusal::RejectionResponse| {
        refusal.set_header("x-seen", "yes");
    };
    let policy = builder.on_refusal(hook).build().expect("a policy");
    let cookie = [("cookie", "__Host-token=x".to_owned())];
    let refusal = turned_away(&policy, "GET", &cookie).expect("a rejection").refusal();
    let headers: Vec<_> = refusal.headers().collect();
    assert!(headers.contains(&("x-seen", b"yes")));
    let challenge = headers.iter().find(|(name, _)| *name == "www-authenticate").expect("one").1;
    assert!(challenge.starts_with(b"Bearer realm=\"orders\""));
}

#[test]
fn presentation_arrives_from_every_format() {
    let (_folder, policies) = full_policies();
    for policy in policies {
        let any = [("cookie", "token=x".to_owned())];
        let cleared = turned_away(&policy, "GET", &any).expect("a rejection").refusal();
        let set_cookie = cleared.headers().find(|(name, _)| *name == "set-cookie");
        assert_eq!(
            set_cookie.map(|(_, value)| String::from_utf8_lossy(value)).as_deref(),
            Some(
                "token=; Max-Age=0; Path=/api; Domain=a.example; Secure; HttpOnly; SameSite=Strict"
            )
        );
        let cookie = [("cookie", "__Host-token=x".to_owned())];
        let refusal = turned_away(&policy, "GET", &cookie).expect("a rejection").refusal();
        let header = |name: &str| {
            let value = refusal.headers().find(|(own, _)| *own == name).expect("a header").1;
            String::from_utf8_lossy(value).into_owned()
        };
        assert_eq!(
            header("www-authenticate"),
            "Bearer realm=\"orders\", error=\"invalid_token\", scope=\"orders:read\", resource_metadata=\"https://api.example/.well-known/oauth-protected-resource\""
        );
        let cleared = "__Host-token=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=None";
        assert_eq!(header("set-cookie"), cleared);
        let body = String::from_utf8_lossy(refusal.body()).into_owned();
        assert!(body.contains("\"type\":\"https://api.example/problems/"), "{body}");
        assert!(!body.contains("\"detail\""), "{body}");
    }
}

#[test]
fn settings_that_are_not_there_have_the_documented_defaults() {
    let folder = folder();
    let policy = at(ISSUER, &folder, NOW);
    let error = |headers: &[(&str, String)]| {
        turned_away(&policy, "GET", headers).map(|rejection| rejection.error().reason())
    };
    assert_eq!(error(&bearer(&token(""))), None);
    assert_eq!(error(&[]), Some("token_missing"));
    assert_eq!(error(&[("cookie", format!("__Host-token={}", token("")))]), Some("token_missing"));
    let verify = |expires: i64, issued: i64| {
        let claims = format!(r#"{{"iss":"https://a","aud":"b","iat":{issued},"exp":{expires}}}"#);
        policy.verify_token_now(token_of(&SECRET, None, &claims)).map(drop)
    };
    assert_eq!(verify(NOW - 29, NOW - 60), Ok(()));
    let expired = ClaimsError::Expired { at: UnixTime(NOW - 30), now: UnixTime(NOW) };
    assert_eq!(verify(NOW - 30, NOW - 60), Err(expired.into()));
    assert_eq!(verify(NOW + 86400, NOW), Ok(()));
    let too_long = ClaimsError::LivesTooLong {
        lifetime: Duration::from_secs(86401),
        limit: Duration::from_secs(86400),
    };
    assert_eq!(verify(NOW + 86401, NOW), Err(too_long.into()));
}

#[test]
fn the_lifetime_is_unlimited_only_for_the_issuer_that_says_so() {
    let folder = folder();
    let issuer = |id: &str, more: &str| format!("{}{more}", ISSUER.replace("https://a", id));
    let text = issuer("https://a", "dangerous = { unlimited_lifetime = true }\n")
        + &issuer("https://b", "");
    let policy = at(&text, &folder, NOW);
    let verify = |id: &str| {
        let claims = format!(r#"{{"iss":"{id}","aud":"b","exp":{}}}"#, NOW + 100_000_000);
        policy.verify_token_now(token_of(&SECRET, None, &claims)).map(drop)
    };
    assert_eq!(verify("https://a"), Ok(()));
    let too_long = ClaimsError::LivesTooLong {
        lifetime: Duration::from_secs(100_000_000),
        limit: Duration::from_secs(86400),
    };
    assert_eq!(verify("https://b"), Err(too_long.into()));

    let everywhere =
        format!("dangerous = {{ unlimited_lifetime = true }}\n{}", issuer("https://b", ""));
    let policy = at(&everywhere, &folder, NOW);
    let claims = format!(r#"{{"iss":"https://b","aud":"b","exp":{}}}"#, NOW + 100_000_000);
    assert_eq!(policy.verify_token_now(token_of(&SECRET, None, &claims)).map(drop), Ok(()));
}

#[test]
fn a_secret_is_accepted_before_its_end_and_not_at_it() {
    let folder = folder();
    for end in [
        "2027-01-15T08:00:00Z",
        "\"2027-01-15T08:00:00Z\"",
        "2027-01-15T09:30:00+01:30",
        "\"2027-01-15 03:00:00.999-05:00\"",
    ] {
        let text = ISSUER.replace("\"raw.key\"", &format!("\"raw.key\", accept_until = {end}"));
        let verify = |now| at(&text, &folder, now).verify_token_now(token("")).map(drop);
        assert_eq!(verify(NOW - 1), Ok(()), "{end}");
        assert_eq!(verify(NOW), Err(Error::Key(KeyError::Unknown)), "{end}");
    }
}

#[test]
fn a_key_is_looked_up_by_the_id_that_it_is_given() {
    let folder = folder();
    let text = r#"
[[issuer]]
id = "https://a"
audiences = ["b"]
algorithms = ["HS256"]
require_key_id = true
[[issuer.keys.secrets]]
id = "one"
file = "hex.key"
encoding = "hex"
[[issuer.keys.secrets]]
id = "two"
file = "base64url.key"
encoding = "base64url"
"#;
    let policy = at(text, &folder, NOW);
    let verify = |secret: &[u8], id| {
        let claims = format!(r#"{{"iss":"https://a","aud":"b","exp":{}}}"#, NOW + 60);
        policy.verify_token_now(token_of(secret, id, &claims)).map(drop)
    };
    assert_eq!(verify(&SECRET, Some("one")), Ok(()));
    assert_eq!(verify(&OTHER, Some("two")), Ok(()));
    assert_eq!(verify(&OTHER, Some("one")), Err(Error::Signature(SignatureError)));
    assert_eq!(verify(&SECRET, Some("three")), Err(Error::Key(KeyError::Unknown)));
    assert_eq!(verify(&SECRET, None), Err(Error::Key(KeyError::IdMissing)));
}

#[test]
fn paths_start_from_the_folder_of_the_policy_file_unless_they_are_absolute() {
    let folder = folder();
    let below = folder.path().join("below");
    std::fs::create_dir(&below).expect("a folder");
    let absolute = folder.path().join("jwks.json");
    let text = format!(
        "[[issuer]]\nid = \"https://a\"\naudiences = [\"b\"]\nalgorithms = [\"HS256\", \"EdDSA\"]\n\
         keys = {{ jwks_file = {:?}, secrets = [{{ file = \"../raw.key\" }}] }}\n",
        absolute.to_str().expect("UTF-8"),
    );
    let path = below.join("policy.toml");
    std::fs::write(&path, &text).expect("a file");
    assert!(Policy::from_file(&path).is_ok());
    let builder = PolicyBuilder::from_file(&path).expect("settings");
    assert!(
        builder
            .clock(FixedClock(NOW))
            .build()
            .expect("a policy")
            .verify_token_now(token(""))
            .is_ok()
    );

    std::fs::write(&path, text.replace("../raw.key", "raw.key")).expect("a file");
    let error = Policy::from_file(&path).expect_err("a fault");
    assert_eq!(error.file(), Some(&*path));
    assert_eq!(places(&error), ["issuer[0].keys.secrets[0]"]);
    let shown = error.to_string();
    assert!(
        shown.starts_with(&format!(
            "the policy file {} is refused:\n  - line 5: issuer[0].keys.secrets[0]: ",
            path.display()
        )),
        "{shown}"
    );
    assert!(shown.contains(&below.join("raw.key").display().to_string()), "{shown}");
}

#[test]
fn a_policy_file_that_cannot_be_read_is_refused() {
    let folder = folder();
    let path = folder.path().join("nowhere.toml");
    let unreadable = |reason: &str| ConfigProblem::Unreadable { reason: reason.to_owned() };
    for error in [
        Policy::from_file(&path).expect_err("a fault"),
        PolicyBuilder::from_file(&path).expect_err("a fault"),
    ] {
        assert_eq!(error.faults().len(), 1);
        assert_eq!(error.faults()[0].problem, unreadable("there is no such file"));
        assert_eq!(
            error.to_string(),
            format!(
                "the policy file {} is refused:\n  - cannot be read: there is no such file",
                path.display()
            )
        );
    }
    for (content, reason) in [
        (&b"\xff"[..], "the text is not UTF-8, but Latin-1 perhaps: save it as UTF-8"),
        (b"\xff\xfe[\0", "the text is UTF-16: save it as UTF-8"),
    ] {
        std::fs::write(&path, content).expect("a file");
        let error = Policy::from_file(&path).expect_err("a fault");
        assert_eq!(error.faults()[0].problem, unreadable(reason));
    }
    // A byte order mark changes nothing.
    std::fs::write(&path, "\u{feff}[claims]").expect("a file");
    let error = Policy::from_file(&path).expect_err("a fault");
    assert_eq!(error.faults()[0].problem, ConfigProblem::Policy(PolicyFault::NoIssuer));
}

#[test]
fn an_empty_policy_lacks_an_issuer_which_only_a_builder_may_still_be_given() {
    for text in ["", "# nothing", "issuer = []", "[claims]"] {
        let error = refused(text);
        assert_eq!(places(&error), ["issuer"], "{text}");
        assert_eq!(error.faults()[0].problem, ConfigProblem::Policy(PolicyFault::NoIssuer));
        assert!(PolicyBuilder::from_toml_str(text, "").is_ok(), "{text}");
    }
    for json in ["{}", r#"{"issuer":[]}"#] {
        let config: PolicyConfig = serde_json::from_str(json).expect("JSON");
        assert_eq!(places(&config.build("").expect_err("a fault")), ["issuer"]);
    }
    for (json, found) in
        [("null", "null"), ("[]", "a list"), ("1", "an integer"), ("\"x\"", "a string")]
    {
        let config: PolicyConfig = serde_json::from_str(json).expect("JSON");
        let error = config.into_builder("").expect_err("a fault");
        assert_eq!(places(&error), [""], "{json}");
        let problem = ConfigProblem::WrongType { expected: "a table".into(), found };
        assert_eq!(error.faults()[0].problem, problem, "{json}");
    }
}

#[test]
fn text_that_is_no_toml_is_refused_with_each_line_and_column() {
    let error = refused("leeway = 30s\n[claims\nx = 'é' y\n\"secret-value\n");
    let found: Vec<_> = error
        .faults()
        .iter()
        .map(|fault| match fault.problem {
            ConfigProblem::Syntax { column, .. } => (fault.line, column),
            _ => panic!("{fault}"),
        })
        .collect();
    assert_eq!(found.first(), Some(&(Some(1), 10)), "{error}");
    assert!(found.iter().any(|(line, _)| *line == Some(2)), "{error}");
    assert!(found.contains(&(Some(3), 9)), "characters, not bytes: {error}");
    assert!(!error.to_string().contains("secret-value"), "{error}");
    assert!(error.to_string().contains("\n  - line 1: column 10: not TOML: "), "{error}");
    assert_eq!(refused("a = 1\na = 2").faults()[0].line, Some(2), "a key twice");
}

#[test]
fn text_that_is_not_json_is_refused_with_its_line_and_column() {
    for (text, line, column) in [
        ("{\n  \"issuer\": [\n}", 3, 1),
        ("{\n  \"é\": 1 \"secret-value\"\n}", 2, 10),
        ("", 1, 0),
        ("[[issuer]]", 1, 3),
        ("{} x", 1, 4),
    ] {
        let error = PolicyConfig::from_json_str(text).expect_err(text);
        let [fault] = error.faults() else { panic!("{error}") };
        let ConfigProblem::Syntax { format: "JSON", column: found, message } = &fault.problem
        else {
            panic!("{error}");
        };
        assert_eq!((fault.line, *found), (Some(line), column), "{text}: {error}");
        assert!(!message.contains("line") && !error.to_string().contains("secret"), "{error}");
        assert!(error.to_string().contains(": not JSON: "), "{error}");
    }
    // Deeper than any policy, and than a thread's stack.
    let deep = "[".repeat(500_000);
    assert!(PolicyConfig::from_json_str(&deep).is_err());
}

#[test]
fn a_policy_file_is_json_where_its_name_says_so() {
    let folder = folder();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let builder = |path: &Path| {
        let config = PolicyConfig::from_file(path)?;
        config.into_builder(folder.path()).map(|builder| format!("{builder:?}"))
    };
    let expected = builder(&write("policy.toml", FULL)).expect("settings");
    for name in ["policy.json", "policy.JSON"] {
        let text = format!("\u{feff}{FULL_JSON}");
        let path = write(name, &text);
        assert_eq!(builder(&path), Ok(expected.clone()), "{name}");
        assert!(PolicyFile::open(&path).is_ok(), "{name}");
    }
    for (name, text, says) in [
        ("a.json", FULL, "line 2: column 1: not JSON"),
        ("a.toml", FULL_JSON, "not TOML"),
        ("policy", FULL_JSON, "not TOML"),
        ("a.yaml", "issuer: []", "YAML is not read here"),
        ("a.yml", "issuer: []", "YAML is not read here"),
    ] {
        let path = write(name, text);
        let error = PolicyConfig::from_file(&path).expect_err(name);
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(Policy::from_file(&path).err(), Some(error.clone()));
        let file = PolicyFile::open(&path).err();
        assert_eq!(file, Some(error.clone()));
        assert_eq!(error.file(), Some(&*folder.path().join(name)));
    }
    let error = PolicyConfig::from_file(folder.path().join("none.json")).expect_err("no file");
    assert!(error.to_string().contains("there is no such file"), "{error}");
}

#[test]
fn a_cookie_that_no_browser_would_keep_is_refused_with_its_place() {
    let cookie = r#"{ name = "a b", path = "/", same_site = "Lax" }"#;
    let found = refused_with(&format!("[dangerous]\ncookie = {cookie}"));
    let name = ConfigProblem::Cookie(CookieError::Name);
    let expected = &["strict", "lax", "none"];
    assert_eq!(
        found,
        [
            ("dangerous.cookie.name".to_owned(), name.clone()),
            ("dangerous.cookie.same_site".to_owned(), ConfigProblem::UnknownValue { expected }),
        ]
    );
    for (cookie, place, problem) in [
        (r#""a b""#, "", name),
        (r#"{ name = "a", path = "api" }"#, ".path", ConfigProblem::Cookie(CookieError::Path)),
        (
            r#"{ name = "a", domain = "a b" }"#,
            ".domain",
            ConfigProblem::Cookie(CookieError::Domain),
        ),
        (
            r#"{ name = "__Host-a", path = "/b" }"#,
            ".path",
            ConfigProblem::Cookie(CookieError::HostOnly),
        ),
        (r#"{ path = "/" }"#, ".name", ConfigProblem::Missing),
    ] {
        let found = refused_with(&format!("[dangerous]\ncookie = {cookie}"));
        assert_eq!(found, [(format!("dangerous.cookie{place}"), problem)], "{cookie}");
    }
}

/// One of every kind, and more than one of some.
const FAULTY: &str = r#"sources = ["bearer", "bearer", "basic", { cookie = "token" }, { header = "a b" }, { cookie = "__Host-a", header = "a" }, { prefix = "x" }, { heder = "a" }, 7, { header = "Cookie" }]
prefer_header = "yes"
allowed_origins = ["https://app.example/", "https://app.example", 1]
bad_cookie = "ignore"
token_cache = "1 MiB"
token_limit = 0
refuse_brought_keys = "no"
allow_anonymous = 0
client_secret = "s3cr3t"
colour = "red"

[[issuer]]
id = "https://a"
audiences = []
algorithms = ["RS265", "HS256", 3]
token_type = "id"
require_key_id = "yes"
unknown = 1
token_limit = 5
[issuer.keys]
jwks_file = "nowhere.json"
pem_file = "jwks.json"
jwks_uri = "https://a/jwks"
[[issuer.keys.secrets]]
file = "short.key"
accept_until = 2026-12-31T00:00:00
[[issuer.keys.secrets]]
value = "s3cr3t"
[[issuer.keys.secrets]]
file = "raw.key"
env = "PATH"
[[issuer.keys.secrets]]
env = "PORTCULLIS_TEST_OF_A_VARIABLE_THAT_IS_NOT_SET"
id = ""
[[issuer.keys.secrets]]
env = "s3cr3t-s3cr3t"
[[issuer.keys.secrets]]
file = "raw.key"
encoding = "s3cr3t"
algorithm = "RS256"
accept_until = "tomorrow"
[[issuer.keys.secrets]]
encodin = "hex"

[[issuer]]
id = "https://a"
audiences = ["x"]
client_ids_instead_of_audience = ["y"]
algorithms = []
token_type = []
keys = {}

[[issuer]]
keys = "jwks.json"

[[issuer]]
id = ""
audiences = ["x", ""]
algorithms = ["HS256"]
keys = { key_id = "x", secrets = "s3cr3t" }

[[issuer]]
id = "https://b"
client_ids_instead_of_audience = "app"
algorithms = ["EdDSA", "HS256"]
keys = { jwks_file = "jwks.json" }
[issuer.claims]
leeway = "11m"
max_lifetime = "0s"
max_age = "1.5s"

[[issuer]]
id = 7
audiences = ["x"]
algorithms = ["HS256"]
token_type = ["jwt", 1]
keys = { secrets = ["s3cr3t", { file = "raw.key" }] }
dangerous = { unlimited = true }

[claims]
leeway = 30
max_lifetime = "1mo"
max_age = "-5s"
required = "sub"
forbidden = [1]
exact = { a = 1.5, b = 1, c = [1], d = 9223372036854775808 }
one_of = { a = [], b = "x", c = [{}] }
clock = "mine"

[presentation]
realm = "a\"b"
problem_base = 1
details = "off"
color = "red"

[dangerous]
unlimited_lifetime = true
query_parameter = "a&b"
cookie = 1
skip_signature = true

[dpop]
base_urls = ["http://api.example", 1, "https://api.example?x"]
mode = "off"
algorithms = ["ES256", "HS256"]
nonce_secrets = ["raw.key"]
replay = "redis"
base_url = "https://api.example"
[dpop.window]
past = "0s"
future = 5
pasts = "5s"

[mtls]
certificate = "nginx"
header = 5
trusted_proxies = ["10.0.0.1/8", 5, "0.0.0.0/0"]
mode = "on"
proxy = true
"#;

/// An issuer without a name, which may be a template where there are any.
const NAMELESS: (usize, &str, &str) = if cfg!(feature = "remote-jwks") {
    (53, "issuer[2]", "MissingOneOf")
} else {
    (53, "issuer[2].id", "Missing")
};

/// Line, place, and the name of what is wrong.
const FAULTS: &[(usize, &str, &str)] = &[
    (1, "sources[2]", "UnknownValue"),
    (1, "sources[5].header", "Conflict"),
    (1, "sources[6].prefix", "Needs"),
    (1, "sources[6]", "MissingOneOf"),
    (1, "sources[7]", "MissingOneOf"),
    (1, "sources[7].heder", "UnknownKey"),
    (1, "sources[8]", "WrongType"),
    (1, "sources[1]", "Policy(DuplicateSource"),
    (1, "sources[3]", "Policy(CookiePrefix"),
    (1, "sources[4]", "Policy(SourceName"),
    (1, "sources[9]", "Policy(CookieHeader"),
    (2, "prefer_header", "WrongType"),
    (3, "allowed_origins[2]", "WrongType"),
    (3, "allowed_origins[0]", "Policy(Origin"),
    (4, "bad_cookie", "UnknownValue"),
    (5, "token_cache", "WrongType"),
    (6, "token_limit", "Policy(TokenLimit"),
    (7, "refuse_brought_keys", "WrongType"),
    (8, "allow_anonymous", "WrongType"),
    (9, "client_secret", "LiteralSecret"),
    (10, "colour", "UnknownKey"),
    (14, "issuer[0].audiences", "Policy(NoAudience"),
    (15, "issuer[0].algorithms[2]", "WrongType"),
    (15, "issuer[0].algorithms[0]", "UnknownAlgorithm"),
    (16, "issuer[0].token_type", "UnknownValue"),
    (17, "issuer[0].require_key_id", "WrongType"),
    (18, "issuer[0].unknown", "UnknownKey"),
    (19, "issuer[0].token_limit", "UnknownKey"),
    (21, "issuer[0].keys.jwks_file", "Policy(KeyFile"),
    (22, "issuer[0].keys.pem_file", "Policy(KeyFile"),
    (23, "issuer[0].keys.jwks_uri", "UnknownKey"),
    (24, "issuer[0].keys.secrets[0]", "Policy(Secret"),
    (26, "issuer[0].keys.secrets[0].accept_until", "NoOffset"),
    (28, "issuer[0].keys.secrets[1].value", "LiteralSecret"),
    (31, "issuer[0].keys.secrets[2].env", "Conflict"),
    (32, "issuer[0].keys.secrets[3]", "Policy(Secret"),
    (36, "issuer[0].keys.secrets[4].env", "EnvironmentName"),
    (39, "issuer[0].keys.secrets[5].encoding", "UnknownValue"),
    (40, "issuer[0].keys.secrets[5].algorithm", "UnknownValue"),
    (41, "issuer[0].keys.secrets[5].accept_until", "Time"),
    (42, "issuer[0].keys.secrets[6]", "MissingOneOf"),
    (43, "issuer[0].keys.secrets[6].encodin", "UnknownKey"),
    (46, "issuer[1].id", "Policy(DuplicateIssuer"),
    (48, "issuer[1].client_ids_instead_of_audience", "Conflict"),
    (49, "issuer[1].algorithms", "Policy(NoAlgorithm"),
    (50, "issuer[1].token_type", "Policy(NoTokenType"),
    (51, "issuer[1].keys", "MissingOneOf"),
    NAMELESS,
    (53, "issuer[2].algorithms", "Missing"),
    (53, "issuer[2]", "MissingOneOf"),
    (54, "issuer[2].keys", "WrongType"),
    (57, "issuer[3].id", "Policy(EmptyIssuer"),
    (58, "issuer[3].audiences", "Policy(NoAudience"),
    (60, "issuer[3].keys.key_id", "Needs"),
    (60, "issuer[3].keys.secrets", "LiteralSecret"),
    (64, "issuer[4].client_ids_instead_of_audience", "WrongType"),
    (65, "issuer[4].algorithms", "Policy(UnusableAlgorithm"),
    (68, "issuer[4].claims.leeway", "Policy(Leeway"),
    (69, "issuer[4].claims.max_lifetime", "Policy(ZeroDuration"),
    (70, "issuer[4].claims.max_age", "Duration"),
    (73, "issuer[5].id", "WrongType"),
    (76, "issuer[5].token_type[1]", "WrongType"),
    (77, "issuer[5].keys.secrets[0]", "LiteralSecret"),
    (78, "issuer[5].dangerous.unlimited", "UnknownKey"),
    (81, "claims.leeway", "WrongType"),
    (82, "claims.max_lifetime", "Duration"),
    (82, "claims.max_lifetime", "Conflict"),
    (83, "claims.max_age", "Duration"),
    (84, "claims.required", "WrongType"),
    (85, "claims.forbidden[0]", "WrongType"),
    (86, "claims.exact.a", "WrongType"),
    (86, "claims.exact.c", "WrongType"),
    (86, "claims.exact.d", "OutOfRange"),
    (87, "claims.one_of.a", "Empty"),
    (87, "claims.one_of.b", "WrongType"),
    (87, "claims.one_of.c[0]", "WrongType"),
    (88, "claims.clock", "UnknownKey"),
    (91, "presentation.realm", "Policy(Text"),
    (92, "presentation.problem_base", "WrongType"),
    (93, "presentation.details", "WrongType"),
    (94, "presentation.color", "UnknownKey"),
    (98, "dangerous.query_parameter", "Policy(SourceName"),
    (99, "dangerous.cookie", "WrongType"),
    (100, "dangerous.skip_signature", "UnknownKey"),
    (103, "dpop.base_urls[1]", "WrongType"),
    (103, "dpop.base_urls[0]", "Policy(Dpop(Base"),
    (103, "dpop.base_urls[2]", "Policy(Dpop(Base"),
    (104, "dpop.mode", "UnknownValue"),
    (105, "dpop.algorithms", "Policy(Dpop(Secret"),
    (106, "dpop.nonce_secrets", "Needs"),
    (107, "dpop.replay", "UnknownReplays"),
    (108, "dpop.base_url", "UnknownKey"),
    (110, "dpop.window.past", "Policy(Dpop(Window"),
    (111, "dpop.window.future", "WrongType"),
    (112, "dpop.window.pasts", "UnknownKey"),
    (115, "mtls.certificate", "UnknownValue"),
    (116, "mtls.header", "WrongType"),
    (117, "mtls.trusted_proxies[1]", "WrongType"),
    (117, "mtls.trusted_proxies[0]", "Policy(Mtls(Proxy"),
    (117, "mtls.trusted_proxies[2]", "Policy(Mtls(Proxy"),
    (118, "mtls.mode", "UnknownValue"),
    (119, "mtls.proxy", "UnknownKey"),
];

/// The name of the variant, and of the `PolicyFault` within.
fn name(problem: &ConfigProblem) -> String {
    let text = format!("{problem:?}");
    text.trim_end_matches(')').split(' ').next().unwrap_or_default().to_owned()
}

#[cfg(feature = "remote-jwks")]
#[test]
fn a_cookie_that_no_token_fits_into_is_told_where_it_stands_once_all_algorithms_are_read() {
    let faults = |algorithms: &str| -> Vec<(String, String)> {
        let folder = folder();
        let path = folder.path().join("policy.toml");
        let text = format!(
            r#"
sources = ["bearer", {{ cookie = "__Host-token" }}]
[[issuer]]
id = "https://id.example"
audiences = ["https://api.example"]
algorithms = [{algorithms}]
keys = {{ jwks_url = "https://id.example/keys" }}
"#
        );
        std::fs::write(&path, text).expect("a file");
        let error = Policy::from_file(&path).expect_err("faults");
        let faults = error.faults().iter();
        faults.map(|fault| (fault.place.clone(), name(&fault.problem))).collect()
    };
    let fault = |place: &str, name: &str| vec![(place.to_owned(), name.to_owned())];
    let too_small = fault("sources[1]", "Policy(CookieTooSmall");
    assert_eq!(faults(r#""ML-DSA-65", "ML-DSA-87""#), too_small);
    // It may be a smaller one.
    let misspelled = fault("issuer[0].algorithms[1]", "UnknownAlgorithm");
    assert_eq!(faults(r#""ML-DSA-65", "RS265""#), misspelled);
}

#[test]
fn every_fault_is_listed_at_once_with_its_place_and_line() {
    let folder = folder();
    let path = folder.path().join("policy.toml");
    std::fs::write(&path, FAULTY).expect("a file");
    let error = Policy::from_file(&path).expect_err("faults");
    let names: Vec<_> = error.faults().iter().map(|fault| name(&fault.problem)).collect();
    let found: Vec<_> = error
        .faults()
        .iter()
        .zip(&names)
        .map(|(fault, name)| (fault.line.unwrap_or(0), fault.place.as_str(), name.as_str()))
        .collect();
    for (found, expected) in found.iter().zip(FAULTS) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), FAULTS.len());

    let at = |place: &str| {
        let fault = error.faults().iter().find(|fault| fault.place == place);
        fault.map(|fault| fault.problem.clone()).expect("a fault")
    };
    let issuer = "https://a".to_owned();
    assert_eq!(
        at("issuer[0].keys.secrets[0]"),
        ConfigProblem::Policy(PolicyFault::Secret {
            issuer: issuer.clone(),
            secret: format!("secret file {}", folder.path().join("short.key").display()),
            fault: SecretFault::TooShort { algorithm: Algorithm::HS256, needed: 32, found: 15 },
        })
    );
    assert_eq!(
        at("issuer[0].keys.jwks_file"),
        ConfigProblem::Policy(PolicyFault::KeyFile {
            issuer,
            error: KeyFileError {
                path: folder.path().join("nowhere.json"),
                fault: KeyFault::Unreadable { reason: "there is no such file".to_owned() },
            },
        })
    );
    assert_eq!(
        at("issuer[0].algorithms[0]"),
        ConfigProblem::UnknownAlgorithm { name: "RS265".to_owned() }
    );
    let problem = ConfigProblem::WrongType { expected: "true or false".into(), found: "a string" };
    assert_eq!(at("prefer_header"), problem);
    // The values that there are, and not just their type.
    let (is_wrong, one_of) = (refused(&format!("bad_cookie = true\n{ISSUER}")), "\"reject\"");
    let text = is_wrong.to_string();
    assert!(text.contains("is a boolean; write one of \"") && text.contains(one_of), "{text}");

    // A builder's caller may add an issuer, but all else is as wrong.
    let from_builder = PolicyBuilder::from_file(&path).expect_err("faults");
    assert_eq!(from_builder, error);
}

#[test]
fn the_same_faults_are_found_in_json_without_lines() {
    let folder = folder();
    let json: serde_json::Value = toml::from_str(FAULTY).expect("TOML");
    let config: PolicyConfig = serde_json::from_str(&json.to_string()).expect("JSON");
    let error = config.build(folder.path()).expect_err("faults");
    let found: BTreeSet<_> = error
        .faults()
        .iter()
        .map(|fault| (fault.line, fault.place.clone(), name(&fault.problem)))
        .collect();
    let expected: BTreeSet<_> = FAULTS
        .iter()
        .map(|(_, place, name)| (None, (*place).to_owned(), (*name).to_owned()))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(error.faults().len(), FAULTS.len());
}

#[test]
fn a_fault_in_json_has_its_line() {
    let json: serde_json::Value = toml::from_str(FAULTY).expect("TOML");
    let text = format!("{json:#}");
    let error = PolicyConfig::from_json_str(&text).expect("JSON").build(folder().path());
    let error = error.expect_err("faults");
    assert_eq!(error.faults().len(), FAULTS.len());
    for fault in error.faults() {
        let Some(line) = fault.line else { panic!("{fault}") };
        let line = text.lines().nth(line - 1).expect("a line");
        // Of what is missing, the line is that of the table.
        let last = fault.place.rsplit(['.', '[']).next().expect("a key");
        let is_item = last.ends_with(']');
        let is_missing = matches!(fault.problem, ConfigProblem::Missing);
        assert!(line.contains(&format!("\"{last}\":")) || is_item || is_missing, "{fault}: {line}");
    }
    // The first of two counts, as it does for the reader.
    let twice = "{\n\"token_limit\": 0,\n\"token_limit\": 1 }";
    let error = PolicyConfig::from_json_str(twice).expect("JSON").into_builder("");
    let lines: Vec<_> =
        error.expect_err("faults").faults().iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [Some(2), Some(2)]);
}

#[test]
fn no_message_shows_what_could_be_a_secret() {
    let folder = folder();
    let config = PolicyConfig::from_toml_str(FAULTY).expect("TOML");
    assert_eq!(format!("{config:?}"), "PolicyConfig { .. }");
    let error = config.build(folder.path()).expect_err("faults");
    let shown = format!("{error}\n{error:?}");
    for secret in ["s3cr3t", "hunter2", SECRET_HEX] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert_eq!(error.to_string().lines().count(), 1 + FAULTS.len(), "one fault a line");
}

#[test]
fn a_line_break_in_a_value_makes_no_line_of_the_message() {
    let text = ISSUER.replace("\"https://a\"", "\"a\\n  - b\"").replace("[\"b\"]", "[]");
    let error = refused(&format!("\"x\\ny\" = 1\n{text}"));
    let name = "a\n  - b".to_owned();
    assert_eq!(
        error.faults()[1].problem,
        ConfigProblem::Policy(PolicyFault::NoAudience { issuer: name })
    );
    assert_eq!(error.to_string().lines().count(), 3, "{error}");
}

#[test]
fn a_secret_in_the_policy_is_refused_whatever_its_key() {
    let literal = |text: &str, place: &str| {
        let error = refused(text);
        let found: Vec<_> =
            error.faults().iter().map(|fault| (fault.place.as_str(), &fault.problem)).collect();
        assert_eq!(found, [(place, &ConfigProblem::LiteralSecret)], "{text}");
    };
    for key in ["secret", "value", "key", "content", "hs256", "\"a b\""] {
        let place = format!("issuer[0].keys.secrets[0].{key}");
        let (entry, beside) =
            (format!("{{ {key} = \"x\" }}"), format!("{{ file = \"raw.key\", {key} = \"x\" }}"));
        literal(&ISSUER.replace("{ file = \"raw.key\" }", &entry), &place);
        literal(&ISSUER.replace("{ file = \"raw.key\" }", &beside), &place);
    }
    let keys = "{ secrets = [{ file = \"raw.key\" }] }";
    literal(&ISSUER.replace(keys, "{ secrets = [\"x\"] }"), "issuer[0].keys.secrets[0]");
    literal(&ISSUER.replace(keys, "{ secrets = \"x\" }"), "issuer[0].keys.secrets");
    let beside = "{ secrets = [{ file = \"raw.key\" }], secret = \"x\" }";
    literal(&ISSUER.replace(keys, beside), "issuer[0].keys.secret");
    literal(&format!("{ISSUER}\nclient_secret = \"x\""), "issuer[0].client_secret");
    literal(&format!("jwt_secret = \"x\"\n{ISSUER}"), "jwt_secret");
}

#[test]
fn a_secret_comes_from_a_variable_that_must_be_set_and_strong() {
    let with = |variable: &str| {
        refused(&ISSUER.replace("file = \"raw.key\"", &format!("env = \"{variable}\"")))
    };
    let fault = |variable: &str, fault| {
        let secret = format!("secret in ${variable}");
        ConfigProblem::Policy(PolicyFault::Secret { issuer: "https://a".to_owned(), secret, fault })
    };
    let name = "PORTCULLIS_TEST_OF_A_VARIABLE_THAT_IS_NOT_SET";
    let error = with(name);
    assert_eq!(places(&error), ["issuer[0].keys.secrets[0]"]);
    let unset = KeyFault::Unreadable { reason: "the variable is not set".to_owned() };
    assert_eq!(error.faults()[0].problem, fault(name, SecretFault::Key(unset)));

    // Set by cargo for tests.
    let error = with("CARGO_PKG_NAME");
    assert_eq!(places(&error), ["issuer[0].keys.secrets[0]"]);
    let short = SecretFault::TooShort { algorithm: Algorithm::HS256, needed: 32, found: 10 };
    assert_eq!(error.faults()[0].problem, fault("CARGO_PKG_NAME", short));

    for no_name in ["", "9A", "A-B", "A=B", "ä", "A B"] {
        let error = with(no_name);
        assert_eq!(places(&error), ["issuer[0].keys.secrets[0].env"], "{no_name}");
        assert_eq!(error.faults()[0].problem, ConfigProblem::EnvironmentName, "{no_name}");
    }
}

#[test]
fn durations_are_whole_seconds_with_their_unit() {
    let folder = folder();
    for (text, seconds) in [
        ("0s", 0),
        ("30s", 30),
        ("1m 30s", 90),
        ("90 seconds", 90),
        ("1.5m", 90),
        ("00:01:30", 90),
        ("10m", 600),
        ("0d 1m", 60),
    ] {
        let text = format!("claims = {{ leeway = \"{text}\" }}\n{ISSUER}");
        let policy = at(&text, &folder, NOW);
        let verify = |expires: i64| {
            let claims = format!(r#"{{"iss":"https://a","aud":"b","exp":{expires}}}"#);
            policy.verify_token_now(token_of(&SECRET, None, &claims)).is_ok()
        };
        assert!(verify(NOW - seconds + 1), "{text}");
        assert!(!verify(NOW - seconds), "{text}");
    }
    for text in [
        "",
        " ",
        "30",
        "s",
        "-1s",
        "1s ago",
        "-1d",
        "1d ago",
        "0.5s",
        "1d 500ms",
        "1mo",
        "1y",
        "0mo",
        "0y 1m",
        "1h 0months",
        "0years, 1d",
        "P1D",
        "1D",
        "∞",
    ] {
        let found = refused_with(&format!("claims = {{ max_age = \"{text}\" }}"));
        assert_eq!(found, [("claims.max_age".to_owned(), ConfigProblem::Duration)], "{text}");
    }
    let longest = |text: &str| {
        let builder = format!("claims = {{ max_lifetime = \"{text}\" }}\n{ISSUER}");
        format!("{:?}", PolicyBuilder::from_toml_str(&builder, folder.path()).expect("settings"))
    };
    for text in ["30d", "30 days", "4w 2d", "29 days, 24 hours"] {
        assert_eq!(longest(text), longest("720h"), "{text}");
    }
    let place = "the policy".to_owned();
    let lifetime = PolicyFault::Lifetime { place, lifetime: Duration::from_secs(31 * 86_400) };
    let found = refused_with("claims = { max_lifetime = \"31d\" }");
    assert_eq!(found, [("claims.max_lifetime".to_owned(), ConfigProblem::Policy(lifetime))]);
    let found = refused_with("claims = { leeway = \"601s\" }");
    let leeway =
        PolicyFault::Leeway { place: "the policy".to_owned(), leeway: Duration::from_secs(601) };
    assert_eq!(found, [("claims.leeway".to_owned(), ConfigProblem::Policy(leeway))]);
}

#[test]
fn an_end_is_a_date_and_a_time_with_an_offset() {
    let found = |end: &str| {
        let error =
            refused(&ISSUER.replace("\"raw.key\"", &format!("\"raw.key\", accept_until = {end}")));
        assert_eq!(places(&error), ["issuer[0].keys.secrets[0].accept_until"], "{end}");
        error.faults()[0].problem.clone()
    };
    for end in ["2026-12-31T00:00:00", "\"2026-12-31T00:00:00\"", "2026-12-31", "\"2026-12-31\""] {
        assert_eq!(found(end), ConfigProblem::NoOffset, "{end}");
    }
    for end in [
        "\"\"",
        "\"now\"",
        "00:00:00",
        "\"2026-13-31T00:00:00Z\"",
        "\"2026-12-31T00:00:00Z[Europe/Berlin]\"",
        "\"2026-12-31T00:00:00[Europe/Berlin]\"",
        "\"1798675200\"",
    ] {
        assert_eq!(found(end), ConfigProblem::Time, "{end}");
    }
    let expected = "a date and time: 2026-12-31T00:00:00Z";
    assert_eq!(
        found("1798675200"),
        ConfigProblem::WrongType { expected: expected.into(), found: "an integer" }
    );
}

/// Each table of a policy in JSON and its place, but for those whose keys are claims.
fn tables(
    value: &serde_json::Value,
    pointer: &str,
    place: &str,
    found: &mut Vec<(String, String)>,
) {
    match value {
        serde_json::Value::Object(entries) => {
            found.push((pointer.to_owned(), place.to_owned()));
            for (key, value) in
                entries.iter().filter(|(key, _)| *key != "exact" && *key != "one_of")
            {
                let dot = if place.is_empty() { "" } else { "." };
                tables(value, &format!("{pointer}/{key}"), &format!("{place}{dot}{key}"), found);
            }
        }
        serde_json::Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                tables(item, &format!("{pointer}/{index}"), &format!("{place}[{index}]"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn an_unknown_key_is_refused_in_every_table_and_every_known_one_is_documented() {
    let folder = folder();
    let full = full_json();
    let mut found = Vec::new();
    tables(&full, "", "", &mut found);
    assert_eq!(found.len(), if cfg!(feature = "remote-jwks") { 24 } else { 19 });
    for (pointer, place) in found {
        let mut changed = full.clone();
        let table = changed.pointer_mut(&pointer).and_then(|table| table.as_object_mut());
        table.expect("a table").insert("zzz".to_owned(), 1.into());
        let config: PolicyConfig = serde_json::from_value(changed).expect("JSON");
        let error = config.build(folder.path()).expect_err("a fault");
        let dot = if place.is_empty() { "" } else { "." };
        assert_eq!(places(&error), [format!("{place}{dot}zzz")]);
        let ConfigProblem::UnknownKey { nearest: None, known, is_of_top_level: false } =
            &error.faults()[0].problem
        else {
            panic!("{error}");
        };
        for key in known {
            let row =
                [format!("//! | `{key}` |"), format!("{{ {key} = \""), format!("{key} = \"…\" }}")];
            let is_there = row.iter().any(|row| include_str!("mod.rs").contains(row));
            assert!(is_there, "`{key}` of `{place}` in the documentation");
        }
        if place.is_empty() {
            let [known, top]: [BTreeSet<&str>; 2] =
                [known.iter().copied().collect(), reader::TOP_LEVEL.into_iter().collect()];
            assert_eq!(known, top);
        }
    }
}

#[test]
fn jwks_uri_is_told_what_is_meant() {
    let keys = "keys = { jwks_uri = \"https://a/jwks\" }";
    let error = refused(&ISSUER.replace("keys = { secrets = [{ file = \"raw.key\" }] }", keys));
    let found: Vec<_> = error.faults().iter().map(ToString::to_string).collect();
    let fetched = if cfg!(feature = "remote-jwks") { "`jwks_url`, `discovery`, " } else { "" };
    assert_eq!(
        found,
        [
            format!(
                "line 6: issuer[0].keys: needs one of {fetched}`jwks_file`, `pem_file`, `secrets`"
            ),
            "line 6: issuer[0].keys.jwks_uri: is not a known key: did you mean `jwks_url`?"
                .to_owned(),
        ]
    );
}

#[test]
fn null_is_no_value_of_any_key() {
    let folder = folder();
    let full = full_json();
    let mut found = Vec::new();
    tables(&full, "", "", &mut found);
    for (pointer, place) in found {
        let table = full.pointer(&pointer).and_then(|table| table.as_object()).expect("a table");
        for key in table.keys() {
            let mut changed = full.clone();
            changed.pointer_mut(&pointer).expect("a table")[key] = serde_json::Value::Null;
            let config: PolicyConfig = serde_json::from_value(changed).expect("JSON");
            let error = config.build(folder.path()).expect_err("a fault");
            let dot = if place.is_empty() { "" } else { "." };
            let [fault] = error.faults() else { panic!("{error}") };
            assert_eq!(fault.place, format!("{place}{dot}{key}"));
            assert!(
                matches!(fault.problem, ConfigProblem::WrongType { found: "null", .. }),
                "{error}"
            );
        }
    }
}

#[test]
fn a_key_of_the_top_level_below_a_table_is_told_where_it_belongs() {
    let error = refused(&format!(
        "{ISSUER}\nsources = [\"bearer\"]\n[claims]\nrequired = []\nbad_cookie = \"reject\""
    ));
    assert_eq!(places(&error), ["issuer[0].sources", "claims.bad_cookie"]);
    for fault in error.faults() {
        assert!(
            matches!(fault.problem, ConfigProblem::UnknownKey { is_of_top_level: true, .. }),
            "{fault}"
        );
        assert!(fault.to_string().contains("above the first `[table]`"), "{fault}");
    }
}

#[test]
fn a_key_that_is_there_twice_is_refused_in_formats_that_allow_it() {
    let json = r#"{
        "allow_anonymous": false, "allow_anonymous": true,
        "issuer": [{
            "id": "https://a", "audiences": ["b"], "algorithms": ["HS256"], "id": "https://b",
            "keys": { "secrets": [{ "file": "raw.key", "file": "hex.key" }] },
            "claims": { "exact": { "x": 1, "x": 2 } }
        }],
        "zzz": 1, "zzz": 2
    }"#;
    let config: PolicyConfig = serde_json::from_str(json).expect("JSON");
    let error = config.build(folder().path()).expect_err("faults");
    let twice: BTreeSet<_> = error
        .faults()
        .iter()
        .filter(|fault| fault.problem == ConfigProblem::DuplicateKey)
        .map(|fault| fault.place.as_str())
        .collect();
    let expected = [
        "allow_anonymous",
        "issuer[0].id",
        "issuer[0].keys.secrets[0].file",
        "issuer[0].claims.exact.x",
        "zzz",
    ];
    assert_eq!(twice, BTreeSet::from(expected));
    assert_eq!(error.faults().len(), 6, "and one unknown key: {error}");
}

#[test]
fn lists_that_must_not_be_empty_are_refused() {
    for (text, place, fault) in [
        (format!("sources = []\n{ISSUER}"), "sources", PolicyFault::NoSource),
        (
            ISSUER.replace("[{ file = \"raw.key\" }]", "[]"),
            "issuer[0].keys",
            PolicyFault::NoKeys { issuer: "https://a".to_owned() },
        ),
        (
            ISSUER.replace("audiences = [\"b\"]", "client_ids_instead_of_audience = []"),
            "issuer[0].client_ids_instead_of_audience",
            PolicyFault::NoAudience { issuer: "https://a".to_owned() },
        ),
    ] {
        let error = refused(&text);
        let found: Vec<_> = error
            .faults()
            .iter()
            .map(|fault| (fault.place.as_str(), fault.problem.clone()))
            .collect();
        assert!(found.contains(&(place, ConfigProblem::Policy(fault))), "{error}");
    }
    let folder = folder();
    let only = format!("sources = []\ndangerous = {{ cookie = \"t\" }}\n{ISSUER}");
    let policy = at(&only, &folder, NOW);
    assert!(turned_away(&policy, "GET", &[("cookie", format!("t={}", token("")))]).is_none());
    let found = turned_away(&policy, "GET", &bearer(&token("")));
    assert_eq!(found.map(|rejection| rejection.error().reason()), Some("token_missing"));
}

#[test]
fn a_fault_of_one_of_two_secrets_in_a_file_is_put_where_both_are() {
    let error = refused(&ISSUER.replace(
        "{ file = \"raw.key\" }",
        "{ file = \"short.key\" }, { file = \"short.key\", encoding = \"hex\" }",
    ));
    assert_eq!(places(&error), ["issuer[0].keys.secrets", "issuer[0].keys.secrets"]);
}

#[test]
fn the_room_for_remembered_tokens_is_a_number_of_bytes() {
    let folder = folder();
    for (bytes, capacity) in [("0", 0), ("1048576", 1 << 20), ("1_073_741_824", 1 << 30)] {
        let policy = at(&format!("token_cache = {bytes}\n{ISSUER}"), &folder, NOW);
        assert_eq!(policy.token_cache_stats().capacity, capacity);
    }
    assert_eq!(at(ISSUER, &folder, NOW).token_cache_stats().capacity, 16 << 20);
    let expected = "0, or 1048576 to 1073741824 bytes";
    let fault = ("token_cache".to_owned(), ConfigProblem::OutOfRange { expected });
    assert_eq!(refused_with("token_cache = -1"), [fault]);
    let [(place, problem)] = &refused_with("token_cache = 1000")[..] else { panic!("one fault") };
    assert_eq!(place, "token_cache");
    assert!(problem.to_string().contains("1048576 (1 MiB)"), "{problem}");
}

#[test]
fn the_limit_of_headers_is_a_number_of_bytes() {
    let folder = folder();
    for bytes in ["1", "4096", "16_384"] {
        at(&format!("header_limit = {bytes}\n{ISSUER}"), &folder, NOW);
    }
    let fault = ConfigProblem::Policy(PolicyFault::HeaderLimit { limit: 16_385 });
    assert_eq!(refused_with("header_limit = 16_385"), [("header_limit".to_owned(), fault)]);
    let expected = "1 to 16384 bytes";
    let fault = ("header_limit".to_owned(), ConfigProblem::OutOfRange { expected });
    assert_eq!(refused_with("header_limit = -1"), [fault]);
}

#[test]
fn a_number_is_one_also_under_arbitrary_precision() {
    // So `serde_json` hands numbers over where a crate of the program switches that feature on.
    let with = |limit: &str| {
        let json = serde_json::json!({ "token_limit": { "$serde_json::private::Number": limit } });
        let config: PolicyConfig = serde_json::from_value(json).expect("JSON");
        config.into_builder("")
    };
    assert!(with("1024").is_ok());
    for limit in ["1e3", "1.5", "170141183460469231731687303715884105728"] {
        let error = with(limit).expect_err("a fault");
        let problem = ConfigProblem::WrongType {
            expected: "a number of bytes".into(),
            found: "a number with a fraction",
        };
        assert_eq!(error.faults()[0].problem, problem, "{limit}");
    }
    let error = with("-1").expect_err("a fault");
    assert_eq!(
        error.faults()[0].problem,
        ConfigProblem::OutOfRange { expected: "1 to 65536 bytes" }
    );
}

/// Trees of keys that mean something, at places where they may not.
fn any_tree() -> impl Strategy<Value = serde_json::Value> {
    let key = prop::sample::select(vec![
        "issuer",
        "claims",
        "sources",
        "presentation",
        "dangerous",
        "id",
        "audiences",
        "algorithms",
        "keys",
        "secrets",
        "file",
        "env",
        "encoding",
        "accept_until",
        "jwks_file",
        "pem_file",
        "key_id",
        "leeway",
        "max_lifetime",
        "exact",
        "one_of",
        "required",
        "token_type",
        "cookie",
        "header",
        "prefix",
        "token_limit",
        "unlimited_lifetime",
        "realm",
        "dpop",
        "base_urls",
        "mode",
        "window",
        "past",
        "nonces",
        "nonce_secrets",
        "replay",
        "mtls",
        "certificate",
        "trusted_proxies",
        "allowed_origins",
        // Not `load_at_start`: nothing is fetched.
        "template",
        "max_tenants",
        "known_tenants",
        "tenant_burst",
        "tenant_interval",
        "jwks_url",
        "discovery",
        "cool_down",
        "max_wait",
        "max_fresh",
        "refresh_at_percent",
        "same_origin",
        "allow_http",
        "zzz",
    ]);
    let text = prop::sample::select(vec![
        "bearer",
        "jwt",
        "at+jwt",
        "HS256",
        "EdDSA",
        "hex",
        "raw.key",
        "jwks.json",
        "key.pem",
        "15m",
        "required",
        "in_process",
        "https://a/..",
        "99999999999999999999h",
        "2026-12-31T00:00:00Z",
        "-999999-01-01T00:00:00Z",
        "__Host-a",
        "PATH",
        "https://a",
        "https://{tenant}",
        "500ms",
        "",
        "\0",
        "é\"\\\n",
        "..",
    ]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        text.prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((key.clone(), inner), 0..8).prop_map(|entries| {
                let entries = entries.into_iter().map(|(key, value)| (key.to_owned(), value));
                serde_json::Value::Object(entries.collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Policy::from_toml_str(&text, folder().path());
    }

    #[test]
    fn no_change_to_a_policy_panics(
        start in 0..FULL.len(),
        length in 0..40_usize,
        text in "[\\PC\\n]{0,3}|\\]|\\[\\[|\\{|\\}|=|\"|\\[claims\\]\\n",
    ) {
        let end = (start + length).min(FULL.len());
        if let (Some(before), Some(after)) = (FULL.get(..start), FULL.get(end..)) {
            let _ = Policy::from_toml_str(&format!("{before}{text}{after}"), folder().path());
        }
    }

    #[test]
    fn no_tree_panics_and_whatever_is_refused_has_a_fault(tree in any_tree()) {
        let folder = folder();
        let config: PolicyConfig = serde_json::from_value(tree).expect("a tree");
        if let Err(error) = config.clone().build(folder.path()) {
            prop_assert!(!error.faults().is_empty());
            prop_assert_eq!(error.to_string().lines().count(), 1 + error.faults().len());
        }
        if let Err(error) = config.into_builder(folder.path()) {
            prop_assert!(!error.faults().is_empty());
        }
    }
}

//! What must not stand in a log: the token, its signature, what it says, and keys.
use core::fmt::{Debug, Display};
use std::sync::{Arc, Mutex};

use base64::prelude::*;
use http::Request;
use portcullis::error::RevocationUnavailable;
use portcullis::keys::{KeyFuture, KeyQuery, KeysUnavailable};
use portcullis::policy::Verification;
use portcullis::refusal::ResponseForm;
use portcullis::revocation::{RevocationSource, RevocationStatus};
use portcullis::{
    Admission, Algorithm, BackChannelLogout, ClaimRules, Encoding, Error, Issuer, KeySet,
    KeySource, Keys, Policy, PolicyBuilder, Presentation, Requirement, Revocable, RevocationAdmin,
    Revocations, Secret, TokenSource, VerifiedToken,
};
use portcullis_attacks::{NOW, issuer, policy_for, request, token, trusted};
use portcullis_testkit::{FixedClock, SigningKey, TestIssuer, TokenBuilder, hostile};
use serde::Deserialize;
use serde_json::json;

use Algorithm::{ES256, HS256};

/// In everything that is secret. Short enough to stay whole in any line.
const MARK: &str = "LEAK";

/// A secret with the mark in it, good enough for a policy.
const SECRET: &[u8] = b"LEAK\x8f\x1b\x93\xd0\x62\xa7\x3c\xee\x05\x48\xf9\x7d\x21\xb6\xc4\x0e\x9a\x57\xe3\x6c\x10\xd8\x2f\x84\xbb\x4e\x71\xa9";

#[track_caller]
fn assert_silent(what: &str, texts: &[String], tokens: &[&str]) {
    for text in texts {
        assert!(!text.contains(MARK), "{what}: {text}");
        // As bytes, as hexadecimal, and as base64 of the mark wherever it may start.
        for spelling in ["76, 69, 65, 75", "4c45414b", "4C45414B", "TEVBS", "xFQU", "MRUFL"] {
            assert!(!text.contains(spelling), "{what}: {text}");
        }
        for part in tokens.iter().flat_map(|token| token.split('.')).filter(|part| part.len() > 7) {
            for at in 0..part.len() - 7 {
                assert!(!text.contains(&part[at..at + 8]), "{what}: {text}");
            }
        }
    }
}

fn shown(value: &(impl Debug + Display)) -> Vec<String> {
    vec![format!("{value:?}"), format!("{value:#?}"), value.to_string()]
}

fn debugged(value: &impl Debug) -> Vec<String> {
    vec![format!("{value:?}"), format!("{value:#?}")]
}

/// A token with the mark in all that it says and that no rule needs.
fn marked(algorithm: Algorithm) -> TokenBuilder {
    token(algorithm)
        .subject("LEAK-subject")
        .claim("jti", "LEAK-jti")
        .claim("client_id", "LEAK-client")
        .claim("scope", "LEAK")
        .claim("LEAK-claim", json!({ "LEAK": ["LEAK"] }))
        .header("LEAK-member", "LEAK")
}

fn policy() -> Policy {
    builder().build().expect("a policy")
}

fn builder() -> PolicyBuilder {
    let rules = ClaimRules::new()
        .exact("tenant", "LEAK-allowed")
        .forbid("forbidden")
        .require("required")
        .predicate("a predicate", |claims: &Typed| claims.number == 1);
    let with_secret = Issuer::new("https://hs.example")
        .algorithms([HS256])
        .keys(Secret::new(SECRET).id("LEAK-secret-id"))
        .audience("LEAK-audience");
    policy_for([trusted(&[ES256]).claims(rules), with_secret])
        .sources([TokenSource::bearer(), TokenSource::cookie("__Host-token")])
        .refuse_brought_keys()
        .presentation(Presentation::new())
}

#[derive(Debug, Deserialize)]
struct Typed {
    number: u8,
}

/// A token that passes [`policy`].
fn good() -> TokenBuilder {
    marked(ES256).claim("tenant", "LEAK-allowed").claim("required", 1).claim("number", 1)
}

/// A token for every way to be refused that a policy in memory has.
fn refused() -> Vec<String> {
    let impostor = issuer().impostor();
    let text = good().mint();
    let mut tokens: Vec<_> = [
        good().key_id("LEAK-kid"),
        good().key_id("LEAK".repeat(300)),
        good().header("kid", json!(["LEAK"])),
        good().header("alg", "LEAK"),
        good().header("alg", json!({ "LEAK": 1 })),
        good().header("alg", "HS256"),
        good().typ("LEAK"),
        good().header("typ", json!(["LEAK"])),
        good().header("cty", "JWT"),
        good().header("crit", json!(["LEAK"])),
        good().header("zip", "LEAK"),
        good().header("jwk", json!({ "kty": "LEAK" })),
        good().header("jku", "https://LEAK.example"),
        good().header("x", json!({ "$serde_json::private::LEAK": 1 })),
        good().claim("iss", "https://LEAK.example"),
        good().claim("iss", json!(["LEAK"])),
        good().claim("aud", "LEAK"),
        good().claim("aud", json!({ "LEAK": 1 })),
        good().without("aud"),
        good().without("exp"),
        good().claim("exp", "LEAK"),
        good().claim("nbf", "LEAK"),
        good().claim("iat", json!({ "LEAK": 1 })),
        good().claim("sub", json!(["LEAK"])),
        good().claim("jti", "LEAK".repeat(300)),
        good().expired(),
        good().claim("nbf", NOW + 1_000),
        good().claim("iat", NOW + 1_000),
        good().claim("exp", NOW + 1_000_000),
        good().claim("cnf", json!({ "jkt": "LEAK" })),
        good().claim("at_hash", "LEAK"),
        good().claim("tenant", "LEAK-other"),
        good().claim("forbidden", "LEAK"),
        good().without("required"),
        good().claim("number", "LEAK"),
        good().claim("number", 2),
        good().signed_by(impostor.key(ES256)).key_id("es256-1"),
        good().raw_header(r#"{"LEAK":1,"LEAK":2}"#),
        good().raw_header("LEAK"),
        good().raw_payload(r#"{"LEAK":"LEAK"#),
        good().raw_payload(b"LEAK\xff".to_vec()),
        good().raw_payload(format!("{}LEAK", r#"{"LEAK":"#.repeat(20))),
        marked(HS256)
            .signed_by(&SigningKey::from_secret(HS256, "LEAK"))
            .claim("iss", "https://hs.example")
            .claim("aud", "LEAK-audience"),
    ]
    .iter()
    .map(TokenBuilder::mint)
    .collect();
    tokens.extend([
        "LEAK".to_owned(),
        "LEAK.LEAK".to_owned(),
        "LEAK.LEAK.LEAK".to_owned(),
        "LEAK!".to_owned(),
        "LEAK.LEAK.".to_owned(),
        "LEAK".repeat(10_000),
        hostile::none(&text, "LEAK"),
        hostile::flip_signature_bit(&text),
        format!("{text}.LEAK"),
        format!("{text}="),
        format!("{text}A"),
    ]);
    tokens
}

#[test]
fn no_error_and_no_rejection_shows_anything_of_the_token() {
    let policy = policy();
    let passing = good().mint();
    assert!(policy.verify_token_now(&passing).is_ok());
    let mut reasons = std::collections::BTreeSet::new();
    for token in refused() {
        let error = policy.verify_token_now(&token).expect_err(&token);
        reasons.insert(error.reason());
        let what = error.reason();
        assert_silent(what, &shown(&error), &[&token]);
        assert_silent(what, &[format!("{:?}", core::error::Error::source(&error))], &[&token]);

        for header in ["authorization", "cookie"] {
            let value = match header {
                "cookie" => format!("__Host-token={token}"),
                _ => format!("Bearer {token}"),
            };
            let check = policy.start_verify(&request("GET", &[(header, &value)]));
            assert_silent(what, &debugged(&check), &[&token]);
            let Verification::Done(Err(rejection)) = check else { panic!("{what}") };
            assert_eq!(*rejection.error(), error);
            assert_silent(what, &shown(&rejection), &[&token]);
            assert_silent(what, &debugged(&rejection.refusal()), &[&token]);
            let response = rejection.into_response::<Body>();
            assert_silent(what, &debugged(&response), &[&token]);
        }
    }
    // The list above is of use only as long as it meets all there is.
    let never: Vec<_> =
        Error::REASONS.iter().copied().filter(|reason| !reasons.contains(reason)).collect();
    let elsewhere = [
        "token_missing",
        "several_tokens",
        "cross_site",
        "ambiguous_key",
        "key_withdrawn",
        "keys_unavailable",
        "too_old",
        "revoked",
        "revocation_unavailable",
        // Of proofs: see `dpop`.
        "proof_missing",
        "bad_proof",
        "nonce_missing",
        "nonce_old",
        "nonce_foreign",
        "proof_replayed",
        "replays_unavailable",
        "wrong_binding",
        // Of certificates: see `mtls`.
        "certificate_missing",
        "certificate_other",
        "bad_certificate_header",
        "untrusted_proxy",
        "certificate_unavailable",
        "claims_shape",
        "insufficient_authentication",
        "forbidden",
        "requirement_fault",
        "not_installed",
        "route_uncovered",
    ];
    assert_eq!(never, elsewhere);
}

/// Says this of every token.
#[derive(Debug)]
struct Says(fn() -> RevocationStatus);

impl RevocationSource for Says {
    fn status(&self, _: &VerifiedToken) -> RevocationStatus {
        (self.0)()
    }
}

#[test]
fn what_was_revoked_is_told_without_a_word_of_the_token() {
    let text = good().mint();
    let says: [fn() -> RevocationStatus; 2] = [
        || RevocationStatus::Revoked,
        || RevocationStatus::Unavailable(RevocationUnavailable::default()),
    ];
    for status in says {
        let policy = builder().revocation_source(Says(status)).build().expect("a policy");
        assert_silent("a policy", &debugged(&policy), &[&text]);
        let error = policy.verify_token_now(&text).expect_err("it is refused");
        assert_silent(error.reason(), &shown(&error), &[&text]);
        let bearer = request("GET", &[("authorization", &format!("Bearer {text}"))]);
        let check = policy.start_verify(&bearer);
        assert_silent(error.reason(), &debugged(&check), &[&text]);
        let Verification::Done(Err(rejection)) = check else { panic!("it is refused") };
        let response = rejection.into_response::<Body>();
        assert_silent(error.reason(), &debugged(&response), &[&text]);
    }
}

#[tokio::test]
async fn the_routes_show_nothing_of_what_they_are_sent() {
    const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
    let revocations = Revocations::in_memory();
    let policy = policy_for([trusted(&[ES256])])
        .revocations(revocations.enforce([Revocable::Subject]))
        .build()
        .expect("a policy");
    let logout = BackChannelLogout::new(policy.clone(), revocations.clone(), ["web"]);
    let logout = logout.expect("a receiver");
    let admin = RevocationAdmin::new(revocations, policy, Requirement::role("role", "operator"));
    assert_silent("the routes", &debugged(&(&logout, &admin)), &[]);
    let send = |content_type: &str| {
        let request = Request::post("/LEAK").header("x-LEAK", "LEAK");
        request.header("content-type", content_type)
    };
    let good = || {
        let token = marked(ES256).typ("logout+jwt").audience("web");
        token.claim("sid", "LEAK-sid").claim("events", json!({ EVENT: { "LEAK": "LEAK" } }))
    };
    for token in [
        good(),
        good().claim("nonce", "LEAK"),
        good().claim("events", json!({ "LEAK": {} })),
        good().without("sub"),
        good().claim("sid", json!(["LEAK"])),
        good().audience("LEAK"),
        good().claim("iss", "https://LEAK.example"),
        good().raw_payload("LEAK"),
    ] {
        let token = token.mint();
        let mut body = logout.body();
        body.push(format!("logout_token={token}&LEAK=LEAK").as_bytes());
        assert_silent("a body", &debugged(&body), &[&token]);
        let request = send("application/x-www-form-urlencoded").body(()).expect("a request");
        let reply = logout.receive(&request, body).await;
        if let Some(error) = reply.error() {
            assert_silent("a logout", &shown(error), &[&token]);
        }
        assert_silent("a reply", &debugged(&reply), &[&token]);
        assert_silent("an answer", &debugged(&reply.into_response::<Body>()), &[&token]);
    }

    let operator = marked(ES256).subject("LEAK-two").claim("role", "operator").mint();
    let request = send("application/json").header("authorization", format!("Bearer {operator}"));
    let request = request.body(()).expect("a request");
    let administrator = admin.admit(&request).await.expect("an operator");
    assert_silent("an administrator", &debugged(&administrator), &[&operator]);
    for json in [
        r#"{"revoke":"LEAK"}"#,
        r#"{"revoke":"subject","issuer":"LEAK","subject":""}"#,
        r#"{"revoke":"subject","issuer":"LEAK","subject":"LEAK"}"#,
        "LEAK",
    ] {
        let mut body = administrator.body();
        body.push(json.as_bytes());
        let reply = administrator.answer(&request, body).await;
        if let Some(error) = reply.error() {
            assert_silent("a revocation", &shown(error), &[&operator]);
        }
        assert_silent("an answer", &debugged(&reply.into_response::<Body>()), &[&operator]);
    }
    let user = marked(ES256).subject("LEAK-three").mint();
    let request = send("application/json").header("authorization", format!("Bearer {user}"));
    let request = request.body(()).expect("a request");
    let rejection = admin.admit(&request).await.expect_err("a user");
    assert_eq!(rejection.error().reason(), "forbidden");
    assert_silent("a user", &shown(&rejection), &[&user]);
}

/// A body whose text is seen.
#[derive(Debug)]
struct Body(#[expect(dead_code, reason = "`Debug` is what reads it")] String);

impl<B: AsRef<[u8]>> From<B> for Body {
    fn from(bytes: B) -> Self {
        Self(String::from_utf8_lossy(bytes.as_ref()).into_owned())
    }
}

#[test]
fn a_verified_token_and_its_admission_show_nothing_of_it() {
    let policy = policy();
    let text = good().mint();
    let token = policy.verify_token_now(&text).expect("a token");
    assert_silent("a token", &debugged(&token), &[&text]);
    let bearer = request("GET", &[("authorization", &format!("Bearer {text}"))]);
    let check = policy.start_verify(&bearer);
    assert_silent("a check", &debugged(&check), &[&text]);
    let Verification::Done(Ok(admission)) = check else { panic!("the token is good") };
    assert_silent("an admission", &debugged(&admission), &[&text]);
    let rejection =
        admission.reject(token.claims::<u8>().expect_err("no number"), ResponseForm::Full);
    assert_silent("a rejection after all", &shown(&rejection), &[&text]);
}

#[test]
fn a_claims_type_that_does_not_fit_is_told_without_a_value() {
    #[derive(Debug, Deserialize)]
    struct Missing {
        #[expect(dead_code, reason = "never read")]
        tenant_id: String,
    }
    #[derive(Debug, Deserialize)]
    struct Number {
        #[expect(dead_code, reason = "never read")]
        sub: u64,
    }
    #[derive(Debug, Deserialize)]
    enum Role {
        Admin,
    }
    #[derive(Debug, Deserialize)]
    struct Variant {
        #[expect(dead_code, reason = "never read")]
        sub: Role,
    }
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Closed {}
    #[derive(Debug, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        #[expect(dead_code, reason = "never made")]
        Number(u8),
    }
    /// Its message repeats what it was given.
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "String")]
    struct Email;
    impl TryFrom<String> for Email {
        type Error = String;
        fn try_from(text: String) -> Result<Self, String> {
            Err(format!("`{text}` is no address"))
        }
    }
    #[derive(Debug, Deserialize)]
    struct WithEmail {
        #[expect(dead_code, reason = "never read")]
        sub: Email,
    }
    let _ = Role::Admin;

    let text = good().mint();
    let token = policy().verify_token_now(&text).expect("a token");
    let told = [
        ("Missing", token.claims::<Missing>().map(drop), ": missing field `tenant_id`"),
        (
            "Number",
            token.claims::<Number>().map(drop),
            ": `sub`: invalid type: string, expected u64",
        ),
        (
            "Variant",
            token.claims::<Variant>().map(drop),
            ": `sub`: unknown variant, expected `Admin`",
        ),
        ("Closed", token.claims::<Closed>().map(drop), ": unknown field"),
        ("Untagged", token.claims::<Untagged>().map(drop), ": not a variant of `Untagged`"),
        ("WithEmail", token.claims::<WithEmail>().map(drop), ": `sub`: not a value of its type"),
    ];
    for (what, result, end) in told {
        let error = result.expect_err(what);
        let message = error.to_string();
        assert!(
            message.contains(&format!("not a `{what}`")) && message.ends_with(end),
            "{message}"
        );
        assert_silent(what, &shown(&error), &[&text]);
        assert_silent(what, &shown(&Error::from(error)), &[&text]);
    }
}

#[test]
fn a_policy_its_parts_and_its_builder_show_no_secret() {
    let key = SigningKey::from_secret(HS256, SECRET);
    let secret = || Secret::new(SECRET).id("LEAK-id");
    let encoded = Secret::encoded(BASE64_URL_SAFE_NO_PAD.encode(SECRET), Encoding::Base64url);
    let issuer =
        || Issuer::new("https://hs.example").algorithms([HS256]).keys(secret()).audience("orders");
    let builder = Policy::builder().clock(FixedClock::at(NOW)).issuer(issuer());
    for texts in [
        debugged(&key),
        debugged(&secret()),
        debugged(&encoded),
        debugged(&Keys::from(secret()).and(encoded.clone())),
        debugged(&issuer()),
        debugged(&builder),
        debugged(&builder.build().expect("a policy")),
        debugged(&policy()),
        debugged(&portcullis::tower::VerifyLayer::new(policy())),
    ] {
        assert_silent("a secret", &texts, &[]);
    }
    for bad in [
        Secret::new("LEAK"),
        Secret::new(b"LEAK".repeat(16)),
        Secret::encoded("LEAK!", Encoding::Base64url),
        Secret::encoded("LEAK!", Encoding::Hex),
        Secret::new(format!("-----BEGIN PUBLIC KEY-----\nLEAK{}", "LEAK".repeat(20))),
    ] {
        let issuer = Issuer::new("i").algorithms([HS256]).keys(bad).audience("a");
        let error = Policy::builder().issuer(issuer).build().expect_err("a bad secret");
        assert_silent("a bad secret", &shown(&error), &[]);
    }
}

#[test]
fn a_key_set_and_its_faults_show_no_key_material() {
    let good = KeySet::from_jwks(issuer().jwks_of(&[ES256])).expect("keys");
    assert_silent("a set", &debugged(&good), &[]);
    let key = issuer().key(ES256).public_jwk().expect("a key pair");
    for entry in [
        json!({ "kty": "oct", "k": "LEAK" }),
        json!({ "kty": "RSA", "n": "LEAK", "e": "AQAB", "d": "LEAK" }),
        json!({ "kty": "RSA", "n": "LEAK!", "e": "LEAK" }),
        json!({ "kty": "EC", "crv": "P-256", "x": "LEAK", "y": "LEAK" }),
        json!({ "kty": "LEAK" }),
        json!({ "kty": "EC", "crv": "LEAK" }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "LEAK", "alg": "LEAK" }),
        json!("LEAK"),
    ] {
        let set = json!({ "keys": [entry, key] }).to_string();
        let set = KeySet::from_jwks(set).expect("one good key");
        assert_silent("a set", &debugged(&set), &[]);
        assert_eq!(set.skipped().len(), 1);
        assert_silent("a skipped key", &shown(&set.skipped()[0]), &[]);
        let fault = KeySet::from_jwk(entry.to_string()).expect_err("a bad key");
        assert_silent("a bad key", &shown(&fault), &[]);
        let fault = KeySet::from_jwks(json!({ "keys": [entry] }).to_string());
        assert_silent("a bad set", &shown(&fault.expect_err("a bad key")), &[]);
    }
}

#[test]
fn a_key_id_of_a_skipped_key_brings_no_control_characters_into_a_log() {
    let set = json!({ "keys": [
        { "kty": "x", "kid": "a\r\n2026-11-22 forged line\u{1b}[2J\u{202e}" },
        issuer().key(ES256).public_jwk(),
    ] });
    let set = KeySet::from_jwks(set.to_string()).expect("one good key");
    let text = set.skipped()[0].to_string();
    assert!(text.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{text:?}");
}

#[test]
fn a_source_is_asked_for_a_key_id_and_logs_none_by_its_debug() {
    #[derive(Debug, Default)]
    struct Recorder(Mutex<Vec<String>>);
    impl KeySource for Recorder {
        fn keys(&self) -> KeySet {
            KeySet::from_jwks(issuer().jwks_of(&[ES256])).expect("keys")
        }
        fn seek(&self, query: &KeyQuery<'_>) -> Option<KeyFuture> {
            assert_eq!(query.key_id, Some("LEAK-kid"));
            let mut texts = self.0.lock().expect("no panic");
            texts.extend(debugged(query));
            Some(Box::pin(async { Err(KeysUnavailable::default()) }))
        }
    }
    let recorder = Arc::new(Recorder::default());
    let issuer = Issuer::new(issuer().name())
        .algorithms([ES256])
        .keys(Keys::source(Shared(Arc::clone(&recorder))))
        .audience(TestIssuer::AUDIENCE);
    #[derive(Debug)]
    struct Shared(Arc<Recorder>);
    impl KeySource for Shared {
        fn keys(&self) -> KeySet {
            self.0.keys()
        }
        fn seek(&self, query: &KeyQuery<'_>) -> Option<KeyFuture> {
            self.0.seek(query)
        }
    }
    let policy = policy_for([issuer]).build().expect("a policy");
    let text = marked(ES256).key_id("LEAK-kid").mint();
    let check =
        policy.start_verify(&request("GET", &[("authorization", &format!("Bearer {text}"))]));
    assert_silent("a check that waits", &debugged(&check), &[&text]);
    let error = policy.verify_token_now(&text).expect_err("the keys cannot be had");
    assert_eq!(error.reason(), "keys_unavailable");
    assert_silent("unavailable", &shown(&error), &[&text]);
    let texts = recorder.0.lock().expect("no panic");
    assert!(!texts.is_empty());
    assert_silent("a query", &texts, &[]);
}

#[test]
fn an_extractor_without_its_layer_says_what_was_forgotten_and_nothing_else() {
    let rejection = Admission::require(None, ResponseForm::Full).expect_err("no layer");
    assert_eq!(rejection.refusal().status(), 500);
    assert_eq!(*rejection.error(), Error::NotInstalled);
}

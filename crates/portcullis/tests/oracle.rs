//! No input panics, and what is accepted here another verifier accepts as well.
//!
//! The other one is `jsonwebtoken`. It knows neither `ES512` nor the name `Ed25519`, and it is the
//! more lenient one: nothing follows from what it accepts.
use std::cell::Cell;
use std::sync::OnceLock;

use base64::prelude::*;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue, ORIGIN};
use jsonwebtoken::{DecodingKey, Validation};
use portcullis::policy::Verification;
use portcullis::{
    Algorithm, Encoding, Issuer, KeySet, Keys, Policy, Secret, TokenSource, dangerous,
};
use portcullis_testkit::{FixedClock, SigningKey, TestIssuer};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{RngSeed, TestCaseResult, TestRunner};
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;

/// An issuer with a key for each algorithm, and a policy that trusts all of them.
struct World {
    issuer: TestIssuer,
    policy: Policy,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let issuer = TestIssuer::new("https://issuer.example").at(NOW);
        let keys = KeySet::from_jwks(issuer.jwks()).expect("usable keys");
        let secrets = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
        let secrets = secrets.map(|one| Secret::new(issuer.secret(one)).algorithm(one));
        let trusted = Issuer::new(issuer.name())
            .algorithms(Algorithm::ALL.iter().copied())
            .keys(Keys::from(keys).and(secrets))
            .audience(TestIssuer::AUDIENCE);
        let policy = Policy::builder()
            .issuer(trusted)
            .clock(FixedClock::at(NOW))
            .allowed_origins(["https://app.example"])
            .sources([
                TokenSource::bearer(),
                TokenSource::cookie("__Host-token"),
                TokenSource::header("x-token").with_prefix("Token "),
                dangerous::token_in_url("access_token"),
            ])
            .build()
            .expect("a good policy");
        World { issuer, policy }
    })
}

/// Runs a property with the same cases each time.
fn run<S: Strategy>(cases: u32, strategy: S, property: impl Fn(S::Value) -> TestCaseResult) {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(20_270_115),
        ..ProptestConfig::default()
    };
    if let Err(failure) = TestRunner::new(config).run(&strategy, property) {
        panic!("{failure}");
    }
}

/// The claims that `jsonwebtoken` reads from the token, if it accepts it.
fn other_opinion(key: &SigningKey, token: &str) -> Result<Value, jsonwebtoken::errors::Error> {
    use jsonwebtoken::Algorithm as Other;
    let jwk = key.public_jwk().unwrap_or_default();
    let member = |name: &str| jwk[name].as_str().unwrap_or_default();
    let rsa = || DecodingKey::from_rsa_components(member("n"), member("e"));
    let ec = || DecodingKey::from_ec_components(member("x"), member("y"));
    let secret = || DecodingKey::from_secret(key.secret().expect("a secret"));
    let (algorithm, key) = match key.algorithm() {
        Algorithm::HS256 => (Other::HS256, secret()),
        Algorithm::HS384 => (Other::HS384, secret()),
        Algorithm::HS512 => (Other::HS512, secret()),
        Algorithm::RS256 => (Other::RS256, rsa()?),
        Algorithm::RS384 => (Other::RS384, rsa()?),
        Algorithm::RS512 => (Other::RS512, rsa()?),
        Algorithm::PS256 => (Other::PS256, rsa()?),
        Algorithm::PS384 => (Other::PS384, rsa()?),
        Algorithm::PS512 => (Other::PS512, rsa()?),
        Algorithm::ES256 => (Other::ES256, ec()?),
        Algorithm::ES384 => (Other::ES384, ec()?),
        Algorithm::EdDSA => (Other::EdDSA, DecodingKey::from_ed_components(member("x"))?),
        other => panic!("jsonwebtoken does not know {other}"),
    };
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[TestIssuer::AUDIENCE]);
    validation.set_issuer(&["https://issuer.example"]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    // It has no clock but the machine's.
    validation.validate_exp = false;
    jsonwebtoken::decode(token, &key, &validation).map(|token| token.claims)
}

fn known_to_both() -> impl Strategy<Value = Algorithm> {
    let mut known = Algorithm::ALL.to_vec();
    let is_only_ours = |one: &Algorithm| {
        use Algorithm::{ES512, Ed25519, ML_DSA_44, ML_DSA_65, ML_DSA_87};
        matches!(one, ES512 | Ed25519 | ML_DSA_44 | ML_DSA_65 | ML_DSA_87)
    };
    known.retain(|one| !is_only_ours(one));
    select(known)
}

fn json_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    scalar.prop_recursive(6, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(any::<String>(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What may be done to the text of a token.
#[derive(Clone, Debug)]
enum Mutation {
    None,
    FlipBit(Index, u8),
    Truncate(Index),
    Insert(Index, char),
    Remove(Index),
    Append(String),
    Prepend(String),
    /// The parts of this and of another token, in another order or number.
    Parts(Vec<Index>),
    /// One part with padding.
    Padded(Index),
    /// One part in the other alphabet.
    OtherAlphabet(Index),
    /// One part with other trailing bits, or another last character.
    LastCharacter(Index, char),
    /// One part decoded, changed in one bit, and encoded again.
    FlipInside(Index, Index, u8),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<Index>;
    let character =
        || prop_oneof![select("ABCabc019-_.=+/% \n\0".chars().collect::<Vec<_>>()), any::<char>()];
    prop_oneof![
        10 => Just(Mutation::None),
        3 => (index(), 0..8_u8).prop_map(|(at, bit)| Mutation::FlipBit(at, bit)),
        1 => index().prop_map(Mutation::Truncate),
        1 => (index(), character()).prop_map(|(at, what)| Mutation::Insert(at, what)),
        1 => index().prop_map(Mutation::Remove),
        1 => "[.A-Za-z0-9=_ \n-]{1,5}".prop_map(Mutation::Append),
        1 => "[.A-Za-z0-9=_ \n-]{1,5}".prop_map(Mutation::Prepend),
        2 => vec(index(), 0..6).prop_map(Mutation::Parts),
        1 => index().prop_map(Mutation::Padded),
        1 => index().prop_map(Mutation::OtherAlphabet),
        2 => (index(), character()).prop_map(|(at, what)| Mutation::LastCharacter(at, what)),
        3 => (index(), index(), 0..8_u8)
            .prop_map(|(part, at, bit)| Mutation::FlipInside(part, at, bit)),
    ]
}

impl Mutation {
    /// The changed text; `other` is another token, from which parts may come.
    fn of(&self, token: &str, other: &str) -> Vec<u8> {
        let mut bytes = token.as_bytes().to_vec();
        let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
        match self {
            Self::None => {}
            Self::FlipBit(at, bit) => *at.get_mut(&mut bytes) ^= 1 << bit,
            Self::Truncate(at) => bytes.truncate(at.index(bytes.len())),
            Self::Insert(at, what) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, what.to_string().into_bytes());
            }
            Self::Remove(at) => {
                bytes.remove(at.index(bytes.len()));
            }
            Self::Append(text) => bytes.extend(text.bytes()),
            Self::Prepend(text) => bytes = [text.as_bytes(), &bytes].concat(),
            Self::Parts(chosen) => {
                let all: Vec<_> = token.split('.').chain(other.split('.')).collect();
                let chosen: Vec<_> = chosen.iter().map(|at| *at.get(&all)).collect();
                bytes = chosen.join(".").into_bytes();
            }
            Self::Padded(part) => {
                let part = part.get_mut(&mut parts);
                *part = BASE64_URL_SAFE.encode(decode(part));
            }
            Self::OtherAlphabet(part) => {
                let part = part.get_mut(&mut parts);
                *part = BASE64_STANDARD_NO_PAD.encode(decode(part));
            }
            Self::LastCharacter(part, what) => {
                let part = part.get_mut(&mut parts);
                part.pop();
                part.push(*what);
            }
            Self::FlipInside(part, at, bit) => {
                let part = part.get_mut(&mut parts);
                let mut inside = decode(part);
                *at.get_mut(&mut inside) ^= 1 << bit;
                *part = BASE64_URL_SAFE_NO_PAD.encode(inside);
            }
        }
        match self {
            Self::Padded(_)
            | Self::OtherAlphabet(_)
            | Self::LastCharacter(..)
            | Self::FlipInside(..) => parts.join(".").into_bytes(),
            _ => bytes,
        }
    }
}

fn decode(part: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(part).expect("the parts of a good token")
}

#[test]
fn what_is_accepted_an_independent_verifier_accepts_with_the_same_claims() {
    let World { issuer, policy } = world();
    let accepted = Cell::new(0);
    let cases = (
        known_to_both(),
        btree_map("[a-z_]{1,8}|[^\"]{0,4}", json_value(), 0..5),
        btree_map("x_[a-z]{1,4}", json_value(), 0..3),
        any::<bool>(),
        mutation(),
    );
    run(600, cases, |(algorithm, claims, header, unnamed, mutation)| {
        let mut token = issuer.token(algorithm);
        for (name, value) in claims {
            token = token.claim(name, value);
        }
        for (name, value) in header {
            token = token.header(name, value);
        }
        if unnamed {
            token = token.without_header("kid");
        }
        let good = token.mint();
        let text = mutation.of(&good, &issuer.token(algorithm).mint());
        let Ok(verified) = policy.verify_token_now(&text) else { return Ok(()) };
        accepted.set(accepted.get() + 1);
        let text = String::from_utf8(text).expect("tokens are ASCII");
        let claims = other_opinion(issuer.key(verified.algorithm()), &text);
        let claims = claims.map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(claims, serde_json::from_str::<Value>(verified.claims_json()).unwrap());
        Ok(())
    });
    // Otherwise the property says nothing.
    assert!(accepted.get() > 100, "only {} tokens are accepted", accepted.get());
}

#[test]
fn any_payload_that_is_accepted_reads_the_same_to_an_independent_verifier() {
    let World { issuer, policy } = world();
    let accepted = Cell::new(0);
    // Members in front of and behind the good ones, in any spelling, perhaps twice.
    let name = prop_oneof![
        4 => "[a-z]{1,6}",
        1 => "sub|aud|exp|iss|\\\\u0061ud|e\\\\u0078p",
        1 => any::<String>().prop_map(|text| text.escape_default().to_string()),
    ];
    let value = prop_oneof![
        3 => json_value().prop_map(|value| value.to_string()),
        1 => "-?[0-9]{1,25}(\\.[0-9]{1,5})?(e[+-]?[0-9]{1,3})?",
        1 => "[0-9a-z\\[\\]{}\",:\\\\]{0,8}",
    ];
    let member = (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"));
    let members = vec(member, 0..3);
    run(800, (members.clone(), members, "[ \n\t]{0,2}"), |(before, behind, space)| {
        let good = format!(
            r#""iss":"https://issuer.example","aud":"{}","exp":{}"#,
            TestIssuer::AUDIENCE,
            NOW + 300
        );
        let members = [before, vec![good], behind].concat().join(&format!(",{space}"));
        let payload = format!("{space}{{{members}}}{space}");
        let token = issuer.token(Algorithm::HS256).raw_payload(payload).mint();
        let Ok(verified) = policy.verify_token_now(&token) else { return Ok(()) };
        accepted.set(accepted.get() + 1);
        let claims = other_opinion(issuer.key(Algorithm::HS256), &token);
        let claims = claims.map_err(|error| TestCaseError::fail(format!("{token}: {error}")))?;
        prop_assert_eq!(claims, serde_json::from_str::<Value>(verified.claims_json()).unwrap());
        Ok(())
    });
    assert!(accepted.get() > 100, "only {} tokens are accepted", accepted.get());
}

#[test]
fn a_changed_token_is_refused_whatever_its_algorithm() {
    let World { issuer, policy } = world();
    let good = Algorithm::ALL.iter().map(|&algorithm| {
        [issuer.token(algorithm).mint(), issuer.token(algorithm).subject("bob").mint()]
    });
    let good: Vec<_> = good.collect();
    run(3000, (select(good), mutation()), |([token, other], mutation)| {
        let text = mutation.of(&token, &other);
        let unchanged = [token.as_bytes(), other.as_bytes()].contains(&&text[..]);
        prop_assert_eq!(policy.verify_token_now(text).is_ok(), unchanged);
        Ok(())
    });
}

#[test]
fn no_bytes_that_are_no_token_panic_or_pass() {
    let policy = &world().policy;
    let base64url = |bytes: Vec<u8>| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let json_part =
        prop_oneof![
            json_value().prop_map(|value| value.to_string().into_bytes()),
            btree_map("alg|kid|typ|crit|b64|jwk|cty", json_value(), 0..4)
                .prop_map(|members| json!(members).to_string().into_bytes()),
            (select(Algorithm::ALL.to_vec()), any::<String>()).prop_map(|(algorithm, kid)| {
                json!({ "alg": algorithm.name(), "kid": kid }).to_string().into_bytes()
            }),
            btree_map("iss|aud|exp|nbf|iat|jti|sub|cnf", json_value(), 0..6)
                .prop_map(|members| json!(members).to_string().into_bytes()),
            vec(any::<u8>(), 0..40),
        ];
    let inputs = prop_oneof![
        vec(any::<u8>(), 0..600),
        any::<String>().prop_map(String::into_bytes),
        "[A-Za-z0-9_-]{0,60}([.][A-Za-z0-9_-]{0,60}){0,5}".prop_map(String::into_bytes),
        "[.]{0,50}".prop_map(String::into_bytes),
        (json_part.clone(), json_part, vec(any::<u8>(), 0..130)).prop_map(
            move |(header, payload, signature)| {
                [header, payload, signature].map(base64url).join(".").into_bytes()
            }
        ),
    ];
    run(1500, inputs, |input| {
        prop_assert!(policy.verify_token_now(input).is_err());
        Ok(())
    });
}

#[test]
fn no_bytes_given_as_keys_panic() {
    let vector = |name: &str| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
        std::fs::read(folder.join(name)).expect(name)
    };
    let pem = |name: &str| {
        let text = String::from_utf8(vector(name)).expect("PEM is text");
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        BASE64_STANDARD.decode(body).expect("PEM holds base64")
    };
    let es256 = world().issuer.jwks_of(&[Algorithm::ES256, Algorithm::EdDSA]).into_bytes();
    let seeds = [
        es256.clone(),
        world().issuer.jwks_of(&[Algorithm::RS256]).into_bytes(),
        // A JWK alone.
        es256[9..es256.len() - 2].to_vec(),
        vector("pem/p256-spki.pem"),
        vector("pem/ed25519-cert.pem"),
        vector("pem/rsa-pkcs1-public.pem"),
        vector("pem/rsa-spki.der"),
        pem("pem/rsa-cert.pem"),
        pem("pem/p521-spki.pem"),
        pem("pem/p256-sec1-private.pem"),
        pem("pem/rsa-pkcs8-private.pem"),
    ];
    let change = (any::<Index>(), prop_oneof![Just(None), any::<u8>().prop_map(Some)], 0..3_usize);
    let mutated = (select(seeds.to_vec()), vec(change, 0..4)).prop_map(|(mut bytes, changes)| {
        for (at, byte, removed) in changes {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..(at + removed).min(bytes.len()), byte);
        }
        bytes
    });
    let inputs = prop_oneof![
        1 => vec(any::<u8>(), 0..300),
        1 => json_value().prop_map(|value| json!({ "keys": value }).to_string().into_bytes()),
        1 => vec(btree_map("kty|crv|x|y|n|e|d|alg|kid|use|key_ops", json_value(), 0..6), 0..4)
            .prop_map(|keys| json!({ "keys": keys }).to_string().into_bytes()),
        6 => mutated,
    ];
    run(300, inputs, |input| {
        let sets = [
            KeySet::from_jwks(&input),
            KeySet::from_jwk(&input),
            KeySet::from_pem(&input),
            KeySet::from_der(&input),
        ];
        for fault in sets.into_iter().filter_map(Result::err) {
            prop_assert!(!fault.to_string().is_empty());
        }
        for encoding in [Encoding::Raw, Encoding::Base64url, Encoding::Hex] {
            let text = String::from_utf8_lossy(&input);
            let issuer = Issuer::new("https://issuer.example")
                .algorithms([Algorithm::HS256])
                .keys([Secret::new(input.clone()), Secret::encoded(text, encoding)])
                .audience(TestIssuer::AUDIENCE);
            if let Err(error) = Policy::builder().issuer(issuer).build() {
                prop_assert!(!error.to_string().is_empty());
            }
        }
        Ok(())
    });
}

#[test]
fn no_request_panics_and_none_passes_without_a_good_token() {
    let World { issuer, policy } = world();
    let good = issuer.token(Algorithm::ES256).mint();
    let value = prop_oneof![
        vec(prop_oneof![0x20..=0x7e_u8, 0x80..=0xff_u8, Just(b'\t')], 0..60),
        "(Bearer|bearer|Basic|Token|DPoP)[ \t]{0,2}[A-Za-z0-9._-]{0,40}"
            .prop_map(String::into_bytes),
        "((__Host-token|token|a)=?[A-Za-z0-9._\"-]{0,20};? {0,2}){0,4}"
            .prop_map(String::into_bytes),
    ];
    let names =
        ["authorization", "cookie", "x-token", "origin", "sec-fetch-site", "host", "upgrade"];
    let headers = vec((select(names.to_vec()), value), 0..5);
    let method = select(vec!["GET", "HEAD", "POST", "OPTIONS", "CONNECT", "PURGE"]);
    let query = "(access_token=?[A-Za-z0-9._%+&=-]{0,20}&?){0,3}";
    run(1200, (method, headers, query), |(method, headers, query)| {
        let mut request = http::Request::new(());
        *request.method_mut() = method.parse().expect("a method");
        if let Ok(uri) = format!("https://api.example/?{query}").parse() {
            *request.uri_mut() = uri;
        }
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request.headers_mut().append(HeaderName::from_static(name), value);
            }
        }
        for policy in [policy.clone(), policy.clone().allow_anonymous()] {
            match policy.start_verify(&request) {
                Verification::Done(Ok(admission)) => {
                    prop_assert!(policy.allows_anonymous() && admission.token().is_none());
                }
                Verification::Done(Err(rejection)) => {
                    let response = rejection.into_response::<bytes::Bytes>();
                    prop_assert!(response.status().is_client_error());
                }
                Verification::Pending(_) => prop_assert!(false, "there is nothing to wait for"),
            }
        }
        Ok(())
    });

    // A scheme that the policy does not take is no token, so nobody in particular asks.
    for scheme in ["Basic", "DPoP"] {
        let request = http::Request::get("https://api.example/")
            .header(AUTHORIZATION, format!("{scheme} {good}"))
            .body(())
            .expect("a request");
        let ask = |policy: &Policy| match policy.start_verify(&request) {
            Verification::Done(Ok(admission)) => admission.token().is_none(),
            _ => false,
        };
        assert!(ask(&policy.clone().allow_anonymous()) && !ask(policy), "{scheme}");
    }

    // The good token does pass, or the above would mean nothing.
    for (name, value) in [
        (AUTHORIZATION, format!("Bearer {good}")),
        (COOKIE, format!("__Host-token={good}")),
        (HeaderName::from_static("x-token"), format!("Token {good}")),
    ] {
        let request = http::Request::post("https://api.example/")
            .header(name, value)
            .header(ORIGIN, "https://app.example")
            .body(())
            .expect("a request");
        assert!(matches!(policy.start_verify(&request), Verification::Done(Ok(_))));
    }
}

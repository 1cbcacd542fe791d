//! Tokens that only the holder of a key can use (RFC 9449), through every door over real sockets.
mod administrators;
mod layers;
mod nonces;
mod requests;
mod scenarios;

use std::net::TcpListener;

use portcullis::dpop::{Dpop, InProcessReplays, Nonces};
use portcullis::{Algorithm, Clock as _, Policy, UnixTime};
use portcullis_conformance::client::{Answer, Protocol, Request, send};
use portcullis_conformance::doors::{Door, Running};
use portcullis_testkit::{FixedClock, ProofBuilder, SigningKey, TestIssuer};
use serde_json::json;

const NOW: i64 = 1_800_000_000;
const URL: &str = "https://api.example/whoami";

struct Service {
    door: Door,
    issuer: TestIssuer,
    replays: InProcessReplays,
    clock: FixedClock,
    key: SigningKey,
    server: Running,
}

impl Service {
    fn new(door: Door, change: impl FnOnce(Dpop) -> Dpop) -> Self {
        let clock = FixedClock::at(NOW);
        let issuer = TestIssuer::new("https://id.example").clock(clock.clone());
        let replays = InProcessReplays::new().started_at(UnixTime(NOW - 3600));
        let dpop = change(Dpop::new(replays.clone()).at("https://api.example"));
        let policy: Policy = issuer.policy_builder().dpop(dpop).build().expect("a policy");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = door.start(&policy, listener).expect("a server");
        let key = SigningKey::generate(Algorithm::ES256);
        Self { door, issuer, replays, clock, key, server }
    }

    fn each() -> impl Iterator<Item = Self> {
        Door::ALL.into_iter().map(|door| Self::new(door, |dpop| dpop))
    }

    /// A token that is bound to the key.
    fn token(&self) -> String {
        self.issuer.token(Algorithm::ES256).bound_to(&self.key).mint()
    }

    fn proof(&self, token: &str) -> ProofBuilder {
        self.issuer.proof(&self.key, "GET", URL).token(token)
    }

    fn now(&self) -> i64 {
        self.clock.now().0
    }

    /// A request with this token and this proof.
    fn request(method: &'static str, target: &str, token: &str, proof: &str) -> Request {
        Request::new(method, target)
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", proof)
    }

    async fn send(&self, request: &Request) -> Answer {
        send(self.server.address(), Protocol::Http1, request).await.expect("an answer")
    }

    async fn ask(&self, headers: &[(&'static str, &str)]) -> Answer {
        let request = headers.iter().fold(Request::new("GET", "/whoami?x=1"), |request, header| {
            request.header(header.0, header.1)
        });
        send(self.server.address(), Protocol::Http1, &request).await.expect("an answer")
    }

    async fn with(&self, token: &str, proof: &str) -> Answer {
        self.ask(&[("authorization", &format!("DPoP {token}")), ("dpop", proof)]).await
    }
}

/// The lines of `WWW-Authenticate`.
fn challenges(answer: &Answer) -> Vec<String> {
    let lines = answer.header("www-authenticate");
    lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

/// The `error` of each scheme.
fn errors(answer: &Answer) -> Vec<(String, Option<String>)> {
    let lines = challenges(answer);
    let error = |line: &String| {
        let scheme = line.split(' ').next().unwrap_or_default().to_owned();
        let error = line.split("error=\"").nth(1).and_then(|rest| rest.split('"').next());
        (scheme, error.map(str::to_owned))
    };
    lines.iter().map(error).collect()
}

fn refused(scheme: &str, error: &str) -> Vec<(String, Option<String>)> {
    let of = |own: &str| (own.to_owned(), (own == scheme).then(|| error.to_owned()));
    vec![of("Bearer"), of("DPoP")]
}

#[tokio::test]
async fn a_bound_token_passes_with_a_proof_and_in_no_other_way() {
    for service in Service::each() {
        let door = service.door;
        let token = service.token();
        let answer = service.with(&token, &service.proof(&token).mint()).await;
        assert_eq!(answer.status, 200, "{door:?}: {answer:?}");
        // In any case of the scheme (RFC 9110 §11.1).
        let proof = service.proof(&token).mint();
        let scheme = format!("dpop {token}");
        let answer = service.ask(&[("authorization", &scheme), ("dpop", &proof)]).await;
        assert_eq!(answer.status, 200, "{door:?}");

        let proof = service.proof(&token).mint();
        let bearer = format!("Bearer {token}");
        for headers in
            [&[("authorization", &*bearer)][..], &[("authorization", &*bearer), ("dpop", &*proof)]]
        {
            let answer = service.ask(headers).await;
            assert_eq!((answer.status, errors(&answer)), (401, refused("Bearer", "invalid_token")));
        }
        let answer = service.ask(&[("authorization", &format!("DPoP {token}"))]).await;
        assert_eq!((answer.status, errors(&answer)), (401, refused("DPoP", "invalid_dpop_proof")));
        // The proof that went along with `Bearer` was not used.
        assert_eq!(service.with(&token, &proof).await.status, 200, "{door:?}");
        assert_eq!(service.replays.len(), 3);
    }
}

#[tokio::test]
async fn a_token_that_is_bound_to_no_key_passes_as_a_bearer_token_unless_a_binding_is_required() {
    for service in Service::each() {
        let token = service.issuer.token(Algorithm::ES256).mint();
        let bearer = format!("Bearer {token}");
        assert_eq!(service.ask(&[("authorization", &bearer)]).await.status, 200);
        let proof = service.proof(&token).mint();
        let answer = service.ask(&[("authorization", &bearer), ("dpop", &proof)]).await;
        assert_eq!((answer.status, errors(&answer)), (401, refused("Bearer", "invalid_token")));
        let answer = service.with(&token, &proof).await;
        assert_eq!((answer.status, errors(&answer)), (401, refused("DPoP", "invalid_token")));
        assert!(service.replays.is_empty());
    }
    for door in Door::ALL {
        let service = Service::new(door, Dpop::required);
        let token = service.issuer.token(Algorithm::ES256).mint();
        // With the other scheme nobody gets in, and so it is not offered.
        let only = |error: &str| vec![("DPoP".to_owned(), Some(error.to_owned()))];
        let bearer = format!("Bearer {token}");
        let proof = service.proof(&token).mint();
        for headers in
            [&[("authorization", &*bearer)][..], &[("authorization", &*bearer), ("dpop", &*proof)]]
        {
            let answer = service.ask(headers).await;
            assert_eq!((answer.status, errors(&answer)), (401, only("invalid_token")));
        }
        let answer = service.ask(&[]).await;
        assert_eq!(challenges(&answer), ["DPoP algs=\"ES256 EdDSA Ed25519\""]);
        let bound = service.token();
        let answer = service.with(&bound, "x").await;
        assert_eq!((answer.status, errors(&answer)), (401, only("invalid_dpop_proof")));
        assert_eq!(service.with(&bound, &service.proof(&bound).mint()).await.status, 200);
    }
    for door in Door::ALL {
        let service = Service::new(door, |dpop| dpop.required().nonces(Nonces::of_this_process()));
        let token = service.token();
        let answer = service.with(&token, &service.proof(&token).mint()).await;
        let error = ("DPoP".to_owned(), Some("use_dpop_nonce".to_owned()));
        assert_eq!((answer.status, errors(&answer)), (401, vec![error]));
    }
}

#[tokio::test]
async fn without_credentials_both_schemes_are_offered_and_none_has_an_error() {
    for service in Service::each() {
        let answer = service.ask(&[]).await;
        assert_eq!(answer.status, 401);
        assert_eq!(challenges(&answer), ["Bearer", "DPoP algs=\"ES256 EdDSA Ed25519\""]);
        let answer = service.ask(&[("dpop", "x")]).await;
        assert_eq!((answer.status, challenges(&answer).len()), (401, 2));
        let token = service.issuer.token(Algorithm::ES256).mint();
        let two = [("authorization", "DPoP x"), ("authorization", &*format!("Bearer {token}"))];
        let answer = service.ask(&two).await;
        let both = [refused("Bearer", "invalid_request"), refused("DPoP", "invalid_request")];
        let both: Vec<_> =
            both.into_iter().flatten().filter(|(_, error)| error.is_some()).collect();
        assert_eq!((answer.status, errors(&answer)), (400, both));
    }
}

/// The negative tests of the OpenID Foundation for DPoP at a resource, by what they change, and what must pass beside them.
#[tokio::test]
async fn a_proof_is_held_to_all_of_the_specification() {
    for service in Service::each() {
        let token = service.token();
        let good = || service.proof(&token);
        let mut private = service.key.public_jwk().expect("a key pair");
        private["d"] = json!("AAAA");
        let other = SigningKey::generate(Algorithm::ES256);
        let rsa = SigningKey::generate(Algorithm::RS256);
        let mut rows = vec![
            ("as it is", good(), true),
            ("htu with query and fragment", good().claim("htu", format!("{URL}?a=b#c")), true),
            ("htu in upper case", good().claim("htu", "HTTPS://API.EXAMPLE/whoami"), true),
            ("htu with the port", good().claim("htu", "https://api.example:443/whoami"), true),
            ("unknown header parameter", good().header("anything", json!({})), true),
            ("unknown claim", good().claim("anything", json!([1])), true),
            ("nbf now", good().claim("nbf", NOW), true),
            ("exp in five minutes", good().claim("exp", NOW + 300), true),
            ("iat 10 s ago", good().claim("iat", NOW - 10), true),
            ("iat 10 s ahead", good().claim("iat", NOW + 10), true),
            ("wrong typ", good().header("typ", "jwt"), false),
            ("none", good().header("alg", "none"), false),
            ("private jwk", good().header("jwk", private), false),
            ("broken signature", good().signed_by(&other), false),
            ("RS256", service.issuer.proof(&rsa, "GET", URL).token(&token), false),
            ("htm PUT", good().claim("htm", "PUT"), false),
            ("htm in lower case", good().claim("htm", "get"), false),
            ("htu elsewhere", good().claim("htu", "https://evil.example/whoami"), false),
            ("htu of another path", good().claim("htu", "https://api.example/cached"), false),
            ("iat an hour ago", good().claim("iat", NOW - 3600), false),
            ("iat in an hour", good().claim("iat", NOW + 3600), false),
            ("wrong ath", good().token("another"), false),
            ("jti too long", good().claim("jti", "x".repeat(257)), false),
        ];
        for member in ["typ", "alg", "jwk"] {
            rows.push((member, good().without_header(member), false));
        }
        for claim in ["jti", "htm", "htu", "iat", "ath"] {
            rows.push((claim, good().without(claim), false));
        }
        for (what, proof, passes) in rows {
            let answer = service.with(&token, &proof.mint()).await;
            let what = format!("{what}: {:?}", service.door);
            if passes {
                assert_eq!(answer.status, 200, "{what}");
            } else {
                let expected = refused("DPoP", "invalid_dpop_proof");
                assert_eq!((answer.status, errors(&answer)), (401, expected), "{what}");
            }
        }
        let proof = service.issuer.proof(&other, "GET", URL).token(&token).mint();
        let answer = service.with(&token, &proof).await;
        assert_eq!((answer.status, errors(&answer)), (401, refused("DPoP", "invalid_token")));
        for proof in ["", "x", "a.b.c", &format!("{}, {}", good().mint(), good().mint())] {
            let answer = service.with(&token, proof).await;
            assert_eq!(
                (answer.status, errors(&answer)),
                (401, refused("DPoP", "invalid_dpop_proof")),
                "{proof}"
            );
        }
        let (one, two) = (good().mint(), good().mint());
        let scheme = format!("DPoP {token}");
        let answer =
            service.ask(&[("authorization", &scheme), ("dpop", &one), ("dpop", &two)]).await;
        assert_eq!((answer.status, errors(&answer)), (401, refused("DPoP", "invalid_dpop_proof")));
        // After all of it.
        assert_eq!(service.with(&token, &one).await.status, 200);
    }
}

#[tokio::test]
async fn a_proof_used_64_times_at_once_passes_once_and_never_again() {
    for service in Service::each() {
        let token = service.token();
        let proof = service.proof(&token).mint();
        let mut statuses = Vec::new();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..64 {
            let headers = [
                ("authorization", format!("DPoP {token}").into_bytes()),
                ("dpop", proof.clone().into_bytes()),
            ];
            let mut request = Request::new("GET", "/whoami");
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let address = service.server.address();
            tasks.spawn(async move { send(address, Protocol::Http1, &request).await });
        }
        while let Some(answer) = tasks.join_next().await {
            statuses.push(answer.expect("no panic").expect("an answer").status);
        }
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        for later in [0, 59, 1, 3600] {
            service.clock.advance(std::time::Duration::from_secs(later));
            assert_eq!(service.with(&token, &proof).await.status, 401);
        }
    }
}

#[tokio::test]
async fn whoever_has_no_good_token_fills_nothing() {
    for service in Service::each() {
        let bound = service.issuer.token(Algorithm::ES256).bound_to(&service.key);
        let impostor = service.issuer.impostor();
        let forged = bound.clone().signed_by(impostor.key(Algorithm::ES256)).mint();
        let elsewhere = bound.clone().audience("https://other.example").mint();
        for token in [forged, bound.clone().expired().mint(), elsewhere, "x".to_owned()] {
            for _ in 0..20 {
                let answer = service.with(&token, &service.proof(&token).mint()).await;
                assert_eq!(
                    (answer.status, errors(&answer)),
                    (401, refused("DPoP", "invalid_token"))
                );
            }
        }
        assert!(service.replays.is_empty());
        // What a token says of another binding is not ignored.
        for cnf in [
            json!({}),
            json!({ "jkt": ["x"] }),
            json!({ "jkt": "x" }),
            json!({ "x5t#S256": "x" }),
            json!({ "jkt": service.key.thumbprint(), "x5t#S256": "x" }),
            json!({ "jkt": service.key.thumbprint(), "new": { "jkt": "x" } }),
            json!("x"),
            json!(null),
        ] {
            let token = service.issuer.token(Algorithm::ES256).claim("cnf", cnf.clone()).mint();
            let answer = service.with(&token, &service.proof(&token).mint()).await;
            assert_eq!(answer.status, 401, "{cnf}");
            let answer = service.ask(&[("authorization", &format!("Bearer {token}"))]).await;
            assert_eq!(answer.status, 401, "{cnf}");
        }
        assert!(service.replays.is_empty());
    }
}

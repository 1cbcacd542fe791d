//! What remembered tokens take, beside what a policy was told that they may take.
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use allocation_counter::measure;
use portcullis::dpop::{Dpop, ProofUse, Replays, Spent};
use portcullis::mtls::{CertificateHeader, Mtls};
use portcullis::request::PeerAddress;
use portcullis::{Algorithm, Policy, Requirement, VerifiedToken};
use portcullis_testkit::{SigningKey, TestIssuer};
use serde_json::{Map, Value, json};

const NOW: i64 = 1_800_000_000;
/// The least that a policy takes.
const BOUND: usize = 1024 * 1024;

/// Claims of any shape that finds room in a token, ordinary ones and such as nobody needs.
fn shapes() -> Vec<(&'static str, Value)> {
    let members = |count: usize, value: Value| -> Value {
        (0..count).map(|n| (format!("m{n}"), value.clone())).collect::<Map<_, _>>().into()
    };
    let nested = (0..13).fold(json!({}), |inner, _| json!({ "a": inner }));
    let keycloak = json!({
        "azp": "web", "typ": "Bearer", "sid": "0c2c4a6e-8f5b-4f0e-9d57-5a3b6f2e1c3d", "acr": "1",
        "allowed-origins": ["https://app.example"],
        "realm_access": { "roles": ["offline_access", "uma_authorization", "default-roles-acme"] },
        "resource_access": {
            "orders": { "roles": ["read", "write"] },
            "account": { "roles": ["manage-account", "manage-account-links", "view-profile"] },
        },
        "scope": "openid email profile", "email_verified": true, "name": "Alice Liddell",
        "preferred_username": "alice", "given_name": "Alice", "family_name": "Liddell",
        "email": "alice@example.org",
    });
    vec![
        ("bare", json!({})),
        ("scopes", json!({ "scope": "orders:read orders:write", "client_id": "web" })),
        ("Keycloak", keycloak),
        ("many small members", members(700, json!(1))),
        ("twelve members", json!({ "l": vec![members(12, json!(1)); 40] })),
        ("objects of one member", json!({ "l": vec![json!({ "a": 1 }); 700] })),
        ("empty objects", json!({ "l": vec![json!({}); 1500] })),
        ("nested objects", json!({ "l": vec![nested; 50] })),
        ("objects of objects", members(150, json!({ "a": { "b": 1 } }))),
        ("numbers", json!({ "l": vec![7; 2500] })),
        ("short strings", json!({ "l": vec!["a"; 1500] })),
        ("long strings", json!({ "l": vec!["a".repeat(300); 20] })),
        ("lists of one", json!({ "l": vec![json!([1]); 1500] })),
        ("five of room for eight", json!({ "l": vec![json!([1, 2, 3, 4, 5]); 500] })),
        ("escapes", json!({ "l": vec!["\n\"\\\u{1}"; 500], "sub": "\n".repeat(500) })),
        ("names with escapes", members(400, json!("\n"))),
        ("audiences", json!({ "aud": vec![TestIssuer::AUDIENCE; 200] })),
    ]
}

type Read = fn(&VerifiedToken);

/// What requests do with a token.
const USES: [(&str, Read); 6] = [
    ("nothing", |_| {}),
    ("requirements", |token| {
        let scope = Requirement::scope("orders:read");
        let role = Requirement::role(["realm_access", "roles"], "admin");
        drop((scope.check(token), role.check(token)));
    }),
    ("a tree", |token| drop(token.claims::<Value>())),
    ("a table of trees", |token| drop(token.claims::<HashMap<String, Value>>())),
    ("two trees", |token| {
        drop((token.claims::<Value>(), token.claims::<BTreeMap<String, Value>>()));
    }),
    ("a predicate and a tree", |token| {
        let any = Requirement::predicate("any", |_: &HashMap<String, Value>| true);
        drop((any.check(token), token.claims::<Value>()));
    }),
];

fn policy(issuer: &TestIssuer, bytes: usize) -> Policy {
    let builder = issuer.policy_builder().token_limit(64 * 1024).token_cache(bytes);
    builder.build().expect("a policy")
}

/// Sends each token twice, so that whatever is kept of it is.
fn send(policy: &Policy, tokens: &[String], read: Read) {
    // As of many at once: handlers have long asked for what they ask for.
    read(&policy.verify_token_now(&tokens[0]).expect("a good token"));
    for token in tokens {
        for _ in 0..2 {
            read(&policy.verify_token_now(token).expect("a good token"));
        }
    }
}

#[test]
fn remembered_tokens_never_take_more_than_they_may_whatever_their_shape_and_use() {
    let issuer = TestIssuer::new("https://id.example").at(NOW);
    // What is made once, for all policies of the process or for each.
    let once = |read| {
        let token = [issuer.token(Algorithm::EdDSA).mint()];
        measure(|| send(&policy(&issuer, 0), &token, read));
    };
    for (shape, claims) in shapes() {
        for (used, read) in USES {
            once(read);
            let mint = |n: usize| {
                let token = issuer.token(Algorithm::EdDSA).claims(&claims);
                token.claim("jti", format!("{n:08}")).mint()
            };
            let length = mint(0).len();
            // Enough that some give way.
            let tokens: Vec<_> = (0..(2 * BOUND / length).min(1_000)).map(mint).collect();
            let mut kept = None;
            let taken = measure(|| {
                let policy = policy(&issuer, BOUND);
                send(&policy, &tokens, read);
                kept = Some(policy);
            });
            let mut bare = None;
            let without = measure(|| bare = Some(policy(&issuer, 0)));
            let stats = kept.as_ref().expect("a policy").token_cache_stats();
            let taken = taken.bytes_current - without.bytes_current;
            let (taken, counted) = (taken as f64, stats.bytes as f64);
            let told = format!(
                "{shape}, {used}: {} tokens of {length}, {:.2} of the bound, counted {:.2}",
                stats.tokens,
                taken / BOUND as f64,
                counted / taken,
            );
            println!("{told}");
            assert!(taken <= BOUND as f64, "{told}");
            // Nor are many fewer remembered than there is room for.
            assert!(counted <= 2.25 * taken || stats.tokens == 0, "{told}");
        }
    }
}

/// Says of every proof that it is new, and keeps nothing.
#[derive(Debug)]
struct Fresh;

impl Replays for Fresh {
    fn spend(&self, _: &ProofUse) -> Spent {
        Spent::Fresh
    }

    fn epoch(&self) -> u64 {
        7
    }
}

/// What a token knows of its sender, beside the 2 KiB that are counted for it (`KNOWN_SENDER`). The memory of the library, which is
/// not seen here, has the rest: a process grows by some 0.5 KiB for each key that it parses.
#[test]
fn what_a_token_knows_of_its_sender_leaves_the_library_a_third_of_what_is_counted_for_it() {
    const TOKENS: usize = 200;
    /// The longest header that is remembered.
    const HEADER: usize = 512;
    let issuer = TestIssuer::new("https://id.example").at(NOW);
    let algorithms = [Algorithm::ES256, Algorithm::ES384, Algorithm::ES512, Algorithm::Ed25519];
    for algorithm in algorithms {
        let key = SigningKey::generate(algorithm);
        let request = |length: usize| {
            let token = issuer.token(Algorithm::EdDSA).bound_to(&key).mint();
            let proof = issuer.proof(&key, "GET", "https://api.example/orders").token(&token);
            let proof = proof.header("kid", "x".repeat(length)).mint();
            let request = http::Request::get("/orders")
                .header("authorization", format!("DPoP {token}"))
                .header("dpop", proof);
            request.body(()).expect("a request")
        };
        let header_of = |request: &http::Request<()>| {
            let proof = request.headers()["dpop"].to_str().expect("a text");
            // Of base64.
            proof.find('.').expect("a proof") * 3 / 4
        };
        let longest = HEADER - header_of(&request(0));
        let requests: Vec<_> = (0..TOKENS).map(|_| request(longest)).collect();
        assert_eq!(header_of(&requests[0]), HEADER);
        // Without a proof, the token alone is remembered.
        let mut bare = requests.clone();
        bare.iter_mut().for_each(|request| drop(request.headers_mut().remove("dpop")));
        let taken = |requests: &[http::Request<()>], expected: Option<&str>| {
            let mut kept = None;
            let taken = measure(|| {
                let dpop = Dpop::new(Fresh).at("https://api.example").algorithms(algorithms);
                let builder = issuer.policy_builder().token_cache(64 * BOUND).dpop(dpop);
                let policy = builder.build().expect("a policy");
                for request in requests {
                    let refused = policy.verify_now(request).err();
                    assert_eq!(refused.map(|it| it.error().reason()), expected);
                }
                kept = Some(policy);
            });
            let tokens = kept.as_ref().expect("a policy").token_cache_stats().tokens;
            assert_eq!(tokens, TOKENS);
            taken.bytes_current
        };
        let own = taken(&requests, None) - taken(&bare, Some("proof_missing"));
        let own = own / i64::try_from(TOKENS).expect("few");
        println!("{algorithm}: {own} bytes for what is known of a sender");
        // The header itself, at least: what is not remembered would take less.
        assert!((512..=1400).contains(&own), "{algorithm}: {own}");
    }
}

/// So 4 KiB are counted for it, and what the allocator adds (`KNOWN_HEADER`).
#[test]
fn a_header_with_the_certificate_of_a_token_is_remembered_as_it_is_and_none_of_over_4_kib_is() {
    const TOKENS: usize = 200;
    /// By so much, two policies with the same tokens differ: their tables are shaken by a secret each.
    const SHAKEN: i64 = 256;
    let issuer = TestIssuer::new("https://id.example").at(NOW);
    // In base64, 4 KiB and a byte more.
    for (der, is_remembered) in [(vec![7; 3 * 1024], true), (vec![7; 3 * 1024 + 1], false)] {
        let value = CertificateHeader::base64_der("x-client-cert").value_of(&der);
        let request = || {
            let token = issuer.token(Algorithm::EdDSA).bound_to_certificate(&der).mint();
            let request = http::Request::get("/orders")
                .header("authorization", format!("Bearer {token}"))
                .header("x-client-cert", &value);
            let mut request = request.body(()).expect("a request");
            let peer = SocketAddr::from(([10, 0, 0, 7], 4711));
            request.extensions_mut().insert(PeerAddress::Ip(peer));
            request
        };
        let requests: Vec<_> = (0..TOKENS).map(|_| request()).collect();
        // Without the header, the token alone is remembered.
        let mut bare = requests.clone();
        bare.iter_mut().for_each(|request| drop(request.headers_mut().remove("x-client-cert")));
        let taken = |requests: &[http::Request<()>], expected: Option<&str>| {
            let mut kept = None;
            let taken = measure(|| {
                let header = CertificateHeader::base64_der("x-client-cert");
                let mtls = Mtls::from_header(header).trusted_proxies(["10.0.0.7"]);
                let builder = issuer.policy_builder().token_cache(64 * BOUND).mtls(mtls);
                let policy = builder.build().expect("a policy");
                for request in requests {
                    let refused = policy.verify_now(request).err();
                    assert_eq!(refused.map(|it| it.error().reason()), expected);
                }
                kept = Some(policy);
            });
            let tokens = kept.as_ref().expect("a policy").token_cache_stats().tokens;
            assert_eq!(tokens, TOKENS);
            taken.bytes_current
        };
        let own = taken(&requests, None) - taken(&bare, Some("certificate_missing"));
        let own = own / i64::try_from(TOKENS).expect("few");
        println!("{} bytes for a header of {}", own, value.len());
        let expected = if is_remembered { 4 * 1024 } else { 0 };
        assert!((own - expected).abs() <= SHAKEN, "{own} for a header of {}", value.len());
    }
}

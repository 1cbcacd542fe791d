//! The documents of an issuer, its key set (RFC 7517) and its metadata (RFC 8414): what each request is answered by the
//! core, by axum and by actix-web, the latter two over sockets, and each by another instance of one issuer.
use std::net::TcpListener;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use portcullis::{Algorithm, Policy, RemoteJwks, Secret};
use portcullis_axum::VerifyLayer;
use portcullis_conformance::client::{Answer, Protocol, Request, send};
use portcullis_conformance::doors::{Running, serve_actix, serve_axum};
use portcullis_issuer::ring::{Phase, Schedule};
use portcullis_issuer::store::{MemoryRing, StoreError};
use portcullis_issuer::{AccessToken, Complete, TokenIssuer, TokenIssuerBuilder};
use serde_json::Value;

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://orders.example";
const ROOT: &str = "FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old";
const KEY_SET: &str = "/.well-known/jwks.json";
const METADATA: &str = "/.well-known/oauth-authorization-server";
/// More than anything here takes.
const LONG: Duration = Duration::from_secs(60);

type Issuing = TokenIssuer<MemoryRing>;

fn builder(
    id: &str,
    algorithm: Algorithm,
    store: &MemoryRing,
) -> TokenIssuerBuilder<Complete<MemoryRing>> {
    TokenIssuer::builder(id)
        .algorithm(algorithm)
        .audiences([AUDIENCE])
        .lifetime(Duration::from_secs(15 * 60))
        .root_secrets([Secret::new(ROOT)])
        .ring(store.clone())
        .refreshed_by_hand()
}

/// Instances of one issuer, and a service of its tokens: all of it needs a token but the documents.
struct Doors {
    store: MemoryRing,
    core: Issuing,
    instances: [Issuing; 2],
    servers: [(&'static str, Running); 2],
}

impl Doors {
    async fn open(id: &str, algorithm: Algorithm) -> Self {
        Self::with(|store| builder(id, algorithm, store)).await
    }

    async fn with(
        builder: impl Fn(&MemoryRing) -> TokenIssuerBuilder<Complete<MemoryRing>>,
    ) -> Self {
        let store = MemoryRing::new();
        let mut instances = Vec::new();
        for _ in 0..3 {
            instances.push(builder(&store).build().await.expect("an issuer"));
        }
        let instances: [_; 3] = instances.try_into().expect("three");
        let [core, one, other] = instances;
        let listener = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let policy = core.policy_builder().build().expect("a policy");

        let router = Router::new()
            .route("/{*path}", any("inside"))
            .layer(VerifyLayer::new(policy.clone()))
            .merge(portcullis_axum::issuer_documents(one.clone()));
        let axum = serve_axum(router, listener()).expect("a server");

        let own = other.clone();
        let routes = move |app: &mut actix_web::web::ServiceConfig| {
            let inside = actix_web::web::scope("")
                .wrap(portcullis_actix::Verify::new(policy.clone()))
                .default_service(actix_web::web::to(async || "inside"));
            app.service(portcullis_actix::issuer_documents(own.clone())).service(inside);
        };
        let actix = serve_actix(routes, listener()).expect("a server");
        Self { store, core, instances: [one, other], servers: [("axum", axum), ("actix", actix)] }
    }

    /// The answer through each door over each protocol, which must be the same.
    async fn ask(&self, what: &str, request: &Request) -> Answer {
        let core = self.ask_core(request);
        for (name, server) in &self.servers {
            for protocol in Protocol::ALL {
                let answer = send(server.address(), protocol, request).await;
                let answer = answer.unwrap_or_else(|error| panic!("{what}, {name}: {error}"));
                assert_eq!(answer, core, "{what}: {name} answers as the core over {protocol:?}");
            }
        }
        core
    }

    /// What the adapters do, without one.
    fn ask_core(&self, request: &Request) -> Answer {
        let request = request.build(Protocol::Http1);
        let path = request.uri().path();
        let answer = if path == self.core.key_set_path() {
            Answer::of_core(self.core.answer_key_set(&request).into_response())
        } else {
            assert_eq!(Some(path), self.core.metadata_path());
            Answer::of_core(self.core.answer_metadata(&request).into_response())
        };
        // How long a body would be that is not sent: nobody says so (RFC 9110 §8.6).
        let headers = answer
            .headers
            .iter()
            .filter(|(name, _)| answer.status != 304 || name != "content-length");
        Answer { headers: headers.cloned().collect(), ..answer }
    }

    async fn get(&self, target: &str) -> Answer {
        self.ask(target, &Request::new("GET", target)).await
    }

    /// All instances read the ring.
    async fn refresh(&self) {
        for issuer in [&self.core].into_iter().chain(&self.instances) {
            issuer.refresh().await.expect("a ring");
        }
    }
}

fn signing_key(issuer: &Issuing) -> String {
    let status = issuer.status().expect("a ring");
    status.signing().expect("a key that signs").key_id.clone()
}

/// What anybody may keep, of this type and under this tag.
fn public(content_type: &str, etag: Option<&[u8]>, body: &[u8]) -> Answer {
    let length = body.len().to_string();
    let mut headers: Vec<(&str, &[u8])> = vec![
        ("access-control-allow-origin", b"*"),
        ("cache-control", b"public, max-age=300"),
        ("content-length", length.as_bytes()),
        ("content-type", content_type.as_bytes()),
    ];
    headers.extend(etag.map(|etag| ("etag", etag)));
    Answer::new(200, headers, body)
}

/// A strong entity tag (RFC 9110 §8.8.3).
fn tag(answer: &Answer) -> Vec<u8> {
    let tags: Vec<_> = answer.header("etag").collect();
    let [tag] = tags[..] else { panic!("{answer:?}") };
    assert!(tag.starts_with(b"\"") && tag.ends_with(b"\"") && tag.len() > 2, "{answer:?}");
    tag.to_vec()
}

/// Where they stand, by the identifier, and where nobody looks for them.
#[tokio::test]
async fn both_documents_stand_where_clients_look_for_them_and_need_no_token() {
    for (id, at) in
        [(ISSUER, ""), ("https://id.example/acme", "/acme"), ("https://id.example/", "")]
    {
        let doors = Doors::open(id, Algorithm::ES256).await;
        let key_set = doors.get(&format!("{at}{KEY_SET}")).await;
        let expected = doors.core.key_set().expect("a ring");
        let etag = tag(&key_set);
        assert_eq!(etag, expected.etag.as_bytes());
        let body = expected.body.as_bytes();
        assert_eq!(key_set, public("application/jwk-set+json", Some(&etag), body), "{id}");

        let metadata = doors.get(&format!("{METADATA}{at}")).await;
        let uri = format!("{}{KEY_SET}", id.trim_end_matches('/'));
        let body = format!(r#"{{"issuer":"{id}","jwks_uri":"{uri}"}}"#);
        assert_eq!(metadata, public("application/json", None, body.as_bytes()), "{id}");

        let elsewhere = if at.is_empty() { "/acme" } else { "" };
        for path in [
            format!("{elsewhere}{KEY_SET}"),
            format!("{METADATA}{elsewhere}"),
            format!("{at}{KEY_SET}/"),
            format!("{at}/.well-known/openid-configuration"),
        ] {
            for (name, server) in &doors.servers {
                let request = Request::new("GET", path.clone());
                let answer = send(server.address(), Protocol::Http1, &request).await;
                assert_eq!(answer.expect("an answer").status, 401, "{name} {path}");
            }
        }
    }
}

#[tokio::test]
async fn the_documents_are_there_to_be_read() {
    let doors = Doors::open("https://id.example/acme", Algorithm::ES256).await;
    for path in ["/acme/.well-known/jwks.json", "/.well-known/oauth-authorization-server/acme"] {
        let ask = async |method| doors.ask(method, &Request::new(method, path)).await;
        let whole = ask("GET").await;
        assert_eq!(ask("HEAD").await, Answer { body: Vec::new(), ..whole });

        const METHODS: (&str, &[u8]) = ("allow", b"GET, HEAD, OPTIONS");
        const UNSTORED: (&str, &[u8]) = ("cache-control", b"no-store");
        let preflight = [
            ("access-control-allow-headers", &b"*"[..]),
            ("access-control-allow-methods", b"GET, HEAD"),
            ("access-control-allow-origin", b"*"),
            METHODS,
            UNSTORED,
        ];
        assert_eq!(ask("OPTIONS").await, Answer::new(204, preflight, []), "{path}");
        for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "get"] {
            let refused = [METHODS, UNSTORED, ("content-length", b"0")];
            assert_eq!(ask(method).await, Answer::new(405, refused, []), "{path} {method}");
        }
    }
}

#[tokio::test]
async fn who_has_the_key_set_is_told_so_without_a_body_until_it_is_another_one() {
    let doors = Doors::open(ISSUER, Algorithm::ES256).await;
    let etag = tag(&doors.get(KEY_SET).await);
    let ask = async |method, known: &[u8]| {
        let request = Request::new(method, KEY_SET).header("if-none-match", known);
        doors.ask(method, &request).await
    };
    let headers: [(&str, &[u8]); 3] = [
        ("access-control-allow-origin", b"*"),
        ("cache-control", b"public, max-age=300"),
        ("etag", &etag),
    ];
    let known = Answer::new(304, headers, []);
    let weak = [b"W/", &etag[..]].concat();
    let listed = [b"\"another\", ", &etag[..]].concat();
    for tag in [&etag[..], &weak, &listed, b"*"] {
        for method in ["GET", "HEAD"] {
            assert_eq!(ask(method, tag).await, known, "{method}");
        }
        assert_eq!(ask("POST", tag).await.status, 405);
    }
    assert_eq!(ask("GET", b"\"another\"").await.status, 200);

    // Another set has another tag, which all instances give it.
    doors.core.withdraw(&signing_key(&doors.core)).await.expect("withdrawn");
    doors.refresh().await;
    let answer = ask("GET", &etag).await;
    assert_eq!(answer.status, 200);
    assert_ne!(tag(&answer), etag);
}

/// What a private or a shared key has and a public one does not (RFC 7518 §6.2.2, §6.3.2, §6.4.1; RFC 8037 §2).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The names of all members, at any depth.
fn members(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(object) => {
            let inner = object.values().flat_map(members);
            object.keys().map(String::as_str).chain(inner).collect()
        }
        Value::Array(array) => array.iter().flat_map(members).collect(),
        _ => Vec::new(),
    }
}

/// While keys stand by, sign, turn, are withdrawn and are gone.
#[tokio::test]
async fn a_key_set_has_no_private_part_whatever_becomes_of_its_keys() {
    for algorithm in [
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
        Algorithm::Ed25519,
        Algorithm::RS256,
        Algorithm::PS256,
        Algorithm::HS256,
    ] {
        let doors = Doors::open(ISSUER, algorithm).await;
        let look = async |what: &str, keys: usize| {
            doors.refresh().await;
            let answer = doors.get(KEY_SET).await;
            let set: Value = serde_json::from_slice(&answer.body).expect("JSON");
            let found = set["keys"].as_array().expect("keys");
            // Shared secrets are not in it at all.
            let keys = if algorithm == Algorithm::HS256 { 0 } else { keys };
            assert_eq!(found.len(), keys, "{algorithm} {what}: {set}");
            let private = members(&set).into_iter().find(|name| PRIVATE.contains(name));
            assert_eq!(private, None, "{algorithm} {what}: {set}");
            for key in found {
                assert_ne!(key["kty"], "oct", "{algorithm} {what}: {set}");
            }
            set.to_string()
        };
        look("at first", 2).await;
        let key = signing_key(&doors.core);
        doors.core.withdraw(&key).await.expect("withdrawn");
        assert!(!look("withdrawn", 2).await.contains(&key));
        doors.core.rotate().await.expect("turned");
        look("turned", 3).await;
        doors.core.withdraw_all().await.expect("withdrawn");
        look("all withdrawn", 2).await;
    }
}

/// An instance that has not read that a key was withdrawn says what it knows, under the tag of that.
#[tokio::test]
async fn during_a_withdrawal_each_instance_answers_by_one_of_two_whole_sets() {
    let doors = Doors::open(ISSUER, Algorithm::ES256).await;
    let before = doors.get(KEY_SET).await;
    let key = signing_key(&doors.core);
    doors.instances[0].withdraw(&key).await.expect("withdrawn");
    let get = Request::new("GET", KEY_SET);
    let after = send(doors.servers[0].1.address(), Protocol::Http1, &get).await.expect("an answer");
    let behind = send(doors.servers[1].1.address(), Protocol::Http1, &get).await;
    assert_eq!(behind.expect("an answer"), before);
    assert_ne!((tag(&after), &after.body), (tag(&before), &before.body));
    let has_key = |answer: &Answer| String::from_utf8_lossy(&answer.body).contains(&key);
    assert!(has_key(&before) && !has_key(&after));
    doors.refresh().await;
    assert_eq!(doors.get(KEY_SET).await, after, "all of them, in the same bytes");
}

/// The clock of an issuer is its own: what it read is a few milliseconds old at once.
#[tokio::test]
async fn a_key_set_that_is_too_old_is_not_sent_and_metadata_are() {
    let millis = Duration::from_millis;
    let schedule = Schedule::new().stale(millis(50)).reload(millis(50));
    let doors =
        Doors::with(|store| builder(ISSUER, Algorithm::ES256, store).schedule(schedule)).await;
    doors.store.set_fault(Some(StoreError::new("connection refused")));
    let get = Request::new("GET", KEY_SET);
    let is_stale = || [&doors.core].into_iter().chain(&doors.instances).all(|it| !it.is_ready());
    let stale = async {
        while !is_stale() {
            tokio::time::sleep(millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, stale).await.expect("too old in time");
    let unavailable: [(&str, &[u8]); 4] = [
        ("access-control-allow-origin", b"*"),
        ("cache-control", b"no-store"),
        ("content-length", b"0"),
        ("retry-after", b"1"),
    ];
    for request in [get.clone(), get.clone().header("if-none-match", "*")] {
        let answer = doors.ask("too old", &request).await;
        assert_eq!(answer, Answer::new(503, unavailable, []));
    }
    // What is asked of the route and not of the keys has its answer all the same.
    for (method, status) in [("OPTIONS", 204), ("POST", 405)] {
        let answer = doors.ask(method, &Request::new(method, KEY_SET)).await;
        assert_eq!(answer.status, status, "{method}");
    }
    assert_eq!(doors.get(METADATA).await.status, 200, "they say nothing of keys");
    // An instance that reads it again sends it again. The next answer may be too old again.
    doors.store.set_fault(None);
    let server = &doors.servers[0].1;
    let again = async {
        loop {
            doors.instances[0].refresh().await.expect("a ring");
            let answer = send(server.address(), Protocol::Http1, &get).await.expect("an answer");
            if answer.status == 200 {
                return;
            }
        }
    };
    tokio::time::timeout(LONG, again).await.expect("it is sent again");
}

/// Discovery (RFC 8414 §3): the identifier is all that a service knows of an issuer.
#[tokio::test]
async fn another_service_needs_the_identifier_of_an_issuer_alone() {
    for (door, at) in [("axum", ""), ("axum", "/acme"), ("actix", ""), ("actix", "/acme")] {
        // The address stands in the identifier, so the listener comes first.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let id = format!("http://{address}{at}");
        let store = MemoryRing::new();
        let issuer = builder(&id, Algorithm::ES256, &store).build().await.expect("an issuer");
        let own = issuer.clone();
        let _server = match door {
            "axum" => serve_axum(portcullis_axum::issuer_documents(own), listener),
            _ => {
                let routes = move |app: &mut actix_web::web::ServiceConfig| {
                    app.service(portcullis_actix::issuer_documents(own.clone()));
                };
                serve_actix(routes, listener)
            }
        };
        let policy = |id: &str| {
            let trusted = portcullis::Issuer::new(id)
                .algorithms([Algorithm::ES256])
                .keys(RemoteJwks::discovery())
                .audience(AUDIENCE);
            Policy::builder().issuer(trusted).build().expect("a policy")
        };
        let minted = issuer.mint(&AccessToken::of_user("alice", "web")).await.expect("a token");
        let token = policy(&id).verify_token(&minted.token).await;
        let token = token.unwrap_or_else(|error| panic!("{door} {id}: {error}"));
        assert_eq!((token.subject(), token.issuer()), (Some("alice"), &*id));
        // Of another ring, under the same identifier.
        let stranger = builder(&id, Algorithm::ES256, &MemoryRing::new()).build().await;
        let stranger = stranger.expect("an issuer");
        let forged = stranger.mint(&AccessToken::of_user("alice", "web")).await.expect("a token");
        let refused = policy(&id).verify_token(&forged.token).await.expect_err("another's key");
        assert_eq!(refused.reason(), "unknown_key", "{door}");
    }
}

/// What the issuer's own clients are told to do is what a policy of this process does.
#[tokio::test]
async fn a_token_gets_in_through_each_door_until_its_key_is_withdrawn() {
    let doors = Doors::open(ISSUER, Algorithm::ES256).await;
    let minted = doors.instances[0].mint(&AccessToken::of_user("alice", "web")).await;
    let bearer = format!("Bearer {}", minted.expect("a token").token);
    let request = Request::new("GET", "/orders").header("authorization", bearer);
    let statuses = async || {
        let mut statuses = Vec::new();
        for (_, server) in &doors.servers {
            let answer = send(server.address(), Protocol::Http1, &request).await;
            statuses.push(answer.expect("an answer").status);
        }
        statuses
    };
    assert_eq!(statuses().await, [200, 200]);
    let signing = doors.core.status().expect("a ring");
    assert_eq!(signing.signing().map(|key| key.phase), Some(Phase::Signing));
    doors.core.withdraw(&signing_key(&doors.core)).await.expect("withdrawn");
    assert_eq!(statuses().await, [401, 401]);
}

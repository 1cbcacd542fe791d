//! Protected resource metadata (RFC 9728): what each request is answered by the core, by axum and by actix-web,
//! the latter two over sockets, and that challenges lead there.
use std::net::TcpListener;

use axum::Router;
use axum::routing::any;
use portcullis::{Algorithm, Policy, ProtectedResource};
use portcullis_axum::VerifyLayer;
use portcullis_conformance::client::{Answer, Protocol, Request, send};
use portcullis_conformance::doors::{Door, Running, serve_actix, serve_axum};
use portcullis_testkit::TestIssuer;
use serde_json::Value;

const ISSUER: &str = "https://id.example";
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

fn resource(identifier: &str) -> ProtectedResource {
    ProtectedResource::builder(identifier)
        .authorization_servers([ISSUER])
        .scopes_supported(["orders:read"])
        .build()
        .expect("a resource")
}

/// A service with a document, behind each door: all of it needs a token but the document.
struct Doors {
    resource: ProtectedResource,
    policy: Policy,
    servers: [(&'static str, Running); 2],
}

impl Doors {
    fn open(identifier: &str) -> Self {
        let listener = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let resource = resource(identifier);
        let issuer = TestIssuer::new(ISSUER).audience(identifier);
        let policy = issuer.policy_builder().protected_resource(&resource).build();
        let policy = policy.expect("a policy");

        let router = Router::new()
            .route("/{*path}", any("inside"))
            .route("/", any("inside"))
            .layer(VerifyLayer::new(policy.clone()))
            .merge(portcullis_axum::protected_resource(resource.clone()));
        let axum = serve_axum(router, listener()).expect("a server");

        let (own, own_policy) = (resource.clone(), policy.clone());
        let routes = move |app: &mut actix_web::web::ServiceConfig| {
            let inside = actix_web::web::scope("")
                .wrap(portcullis_actix::Verify::new(own_policy.clone()))
                .default_service(actix_web::web::to(async || "inside"));
            app.service(portcullis_actix::protected_resource(own.clone())).service(inside);
        };
        let actix = serve_actix(routes, listener()).expect("a server");
        Self { resource, policy, servers: [("axum", axum), ("actix", actix)] }
    }

    /// The answer through each door over each protocol, which must be the same.
    async fn ask(&self, what: &str, request: &Request) -> Answer {
        let core = self.ask_core(request).await;
        for (name, server) in &self.servers {
            for protocol in Protocol::ALL {
                let answer = send(server.address(), protocol, request).await;
                let answer = answer.unwrap_or_else(|error| panic!("{what}, {name}: {error}"));
                assert_eq!(answer, core, "{what}: {name} answers as the core");
            }
        }
        core
    }

    /// What the adapters do, without one.
    async fn ask_core(&self, request: &Request) -> Answer {
        let request = request.build(Protocol::Http1);
        if request.uri().path() == self.resource.metadata_path() {
            return Answer::of_core(self.resource.answer(&request).into_response());
        }
        let rejection = self.policy.verify(&request).await.expect_err("no token");
        Answer::of_core(rejection.into_response())
    }
}

fn document(identifier: &str) -> String {
    format!(
        r#"{{"resource":"{identifier}","authorization_servers":["{ISSUER}"],"scopes_supported":["orders:read"],"bearer_methods_supported":["header"]}}"#
    )
}

fn found(identifier: &str) -> Answer {
    let document = document(identifier);
    let headers: [(&str, &[u8]); 4] = [
        ("access-control-allow-origin", b"*"),
        ("cache-control", b"public, max-age=300"),
        ("content-length", document.len().to_string().leak().as_bytes()),
        ("content-type", b"application/json"),
    ];
    Answer::new(200, headers, document)
}

/// §3.1, §3.3, §5.1: what a client does that knows nothing but the address of the service.
#[tokio::test]
async fn the_challenge_leads_to_the_document_of_the_very_address_that_was_asked_for() {
    for (identifier, target) in [
        ("https://api.example", "/"),
        ("https://api.example/", "/"),
        ("https://api.example/orders", "/orders"),
        ("https://api.example/orders/", "/orders/"),
        ("https://api.example/v1/orders", "/v1/orders"),
        ("https://api.example/a//b", "/a//b"),
        ("https://api.example/~a:b@c,d;e=f+g!$&(h)", "/~a:b@c,d;e=f+g!$&(h)"),
        ("https://api.example/orders?tenant=a", "/orders?tenant=a"),
        ("https://api.example?tenant=a", "/?tenant=a"),
    ] {
        let doors = Doors::open(identifier);
        let refused = doors.ask(identifier, &Request::new("GET", target)).await;
        assert_eq!(refused.status, 401, "{identifier}");
        let challenge = refused.header("www-authenticate").next().expect("a challenge");
        let url = challenge
            .strip_prefix(b"Bearer resource_metadata=\"")
            .and_then(|rest| rest.strip_suffix(b"\""))
            .expect("an address");
        let url: http::Uri = url.try_into().expect("an address");
        assert_eq!(url.authority().expect("a host"), "api.example");

        let target = url.path_and_query().expect("a path").as_str();
        let document = doors.ask(identifier, &Request::new("GET", target)).await;
        assert_eq!(document, found(identifier));
        let document: Value = serde_json::from_slice(&document.body).expect("JSON");
        assert_eq!(document["resource"], identifier);
    }
}

/// Another resource, though it may be of the same host.
#[tokio::test]
async fn there_is_no_document_at_any_other_path() {
    let doors = Doors::open("https://api.example/orders");
    for suffix in ["", "/", "/order", "/orders/", "/ORDERS", "/orders/x", "//orders"] {
        let answer = doors.ask(suffix, &Request::new("GET", format!("{WELL_KNOWN}{suffix}"))).await;
        assert_eq!(answer.status, 401, "{suffix}");
    }
    let doors = Doors::open("https://api.example/orders/");
    let target = format!("{WELL_KNOWN}/orders");
    assert_eq!(doors.ask("no slash", &Request::new("GET", target)).await.status, 401);
}

#[tokio::test]
async fn nothing_that_a_client_sends_changes_the_document() {
    const IDENTIFIER: &str = "https://api.example/orders";
    let doors = Doors::open(IDENTIFIER);
    let get = || Request::new("GET", doors.resource.metadata_path());
    let mut other_host = get();
    other_host.host = "evil.example".to_owned();
    let mut with_query = get();
    with_query.target.push_str("?resource=https://evil.example");
    for (what, request) in [
        ("a host", other_host),
        (
            "forwarded hosts",
            get()
                .header("x-forwarded-host", "evil.example")
                .header("x-forwarded-proto", "http")
                .header("x-forwarded-prefix", "/evil")
                .header("x-original-url", "/evil")
                .header("forwarded", "host=evil.example;proto=http"),
        ),
        ("an origin", get().header("origin", "https://evil.example")),
        ("a query", with_query),
        ("a body", get().body("resource=https://evil.example")),
        ("a bad token", get().header("authorization", "Bearer x")),
        (
            "two tokens",
            get().header("authorization", "Bearer x").header("authorization", "Bearer y"),
        ),
        ("bytes that are no text", get().header("accept-language", b"\xff\"\\".to_vec())),
        ("a type", get().header("accept", "text/html")),
        ("a condition", get().header("if-none-match", "*")),
        ("a part", get().header("range", "bytes=0-1")),
    ] {
        assert_eq!(doors.ask(what, &request).await, found(IDENTIFIER), "{what}");
    }
}

#[tokio::test]
async fn the_document_is_there_to_be_read() {
    const IDENTIFIER: &str = "https://api.example/orders";
    let doors = Doors::open(IDENTIFIER);
    let ask = async |method| {
        doors.ask(method, &Request::new(method, doors.resource.metadata_path())).await
    };
    let head = Answer { body: Vec::new(), ..found(IDENTIFIER) };
    assert_eq!(ask("HEAD").await, head);

    const METHODS: (&str, &[u8]) = ("allow", b"GET, HEAD, OPTIONS");
    const UNSTORED: (&str, &[u8]) = ("cache-control", b"no-store");
    let preflight = [
        ("access-control-allow-headers", &b"*"[..]),
        ("access-control-allow-methods", b"GET, HEAD"),
        ("access-control-allow-origin", b"*"),
        METHODS,
        UNSTORED,
    ];
    assert_eq!(ask("OPTIONS").await, Answer::new(204, preflight, []));
    for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "get"] {
        let refused = [METHODS, UNSTORED, ("content-length", b"0")];
        assert_eq!(ask(method).await, Answer::new(405, refused, []), "{method}");
    }
}

/// What the document says of tokens, the policy keeps.
#[tokio::test]
async fn a_token_for_the_resource_gets_in_and_one_for_its_neighbour_does_not() {
    const IDENTIFIER: &str = "https://api.example/orders";
    let doors = Doors::open(IDENTIFIER);
    let issuer = TestIssuer::new(ISSUER);
    for (audience, status) in [
        (IDENTIFIER, 200),
        ("https://api.example", 401),
        ("https://api.example/orders/", 401),
        ("https://api.example/other", 401),
    ] {
        let token = issuer.token(Algorithm::ES256).audience(audience).mint();
        let request =
            Request::new("GET", "/orders").header("authorization", format!("Bearer {token}"));
        for (name, server) in &doors.servers {
            let answer =
                send(server.address(), Protocol::Http1, &request).await.expect("an answer");
            assert_eq!(answer.status, status, "{audience}, {name}");
        }
    }
}

/// The doors of the table have no document; their challenge has its address all the same.
#[tokio::test]
async fn every_door_names_the_document_in_its_challenge() {
    let resource = resource("https://api.example/orders");
    let issuer = TestIssuer::new(ISSUER).audience(resource.identifier());
    let policy = issuer.policy_builder().protected_resource(&resource).build().expect("a policy");
    for door in Door::ALL {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = door.start(&policy, listener).expect("a server");
        for protocol in Protocol::ALL {
            let mut request =
                Request::new("GET", "/whoami").header("x-forwarded-host", "evil.example");
            request.host = "evil.example".to_owned();
            let answer = send(server.address(), protocol, &request).await.expect("an answer");
            let expected = format!("Bearer resource_metadata=\"{}\"", resource.metadata_url());
            let challenge: Vec<_> = answer.header("www-authenticate").collect();
            assert_eq!(challenge, [expected.as_bytes()], "{door:?}");
        }
    }
}

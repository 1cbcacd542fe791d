//! The testbed as its users meet it: a process that says when it is ready.
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use portcullis::Algorithm;
use portcullis_conformance::client::{self, Protocol, Request};
use portcullis_conformance::policies::{ISSUER, NOW, issuer};
use portcullis_testkit::key_server::KeyServer;
use portcullis_testkit::{ProofBuilder, SigningKey, TestIssuer};
use tempfile::TempDir;
use tokio::task::JoinSet;

const DOORS: [&str; 3] = ["tower", "axum", "actix"];

fn policy_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = format!(
        r#"
        [[issuer]]
        id         = "{ISSUER}"
        audiences  = ["{}"]
        algorithms = ["ES256"]
        keys       = {{ jwks_file = "jwks.json" }}
        "#,
        TestIssuer::AUDIENCE
    );
    let jwks = issuer().jwks_of(&[Algorithm::ES256]);
    fs::write(folder.path().join("policy.toml"), policy).expect("the policy");
    fs::write(folder.path().join("jwks.json"), jwks).expect("the keys");
    folder
}

fn testbed(door: &str, policy: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testbed"));
    command.args(["--door", door, "--listen", "127.0.0.1:0", "--policy"]).arg(policy).args(more);
    command
}

/// A testbed that runs until this is dropped.
struct Running(Child, SocketAddr);

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the testbed");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.as_mut().expect("a pipe"));
        output.read_line(&mut line).expect("a line");
        let ready: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(ready["ready"], true);
        let url = ready["url"].as_str().expect("a URL");
        let address = url.strip_prefix("http://").expect("http").parse().expect("an address");
        Self(child, address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(target: &str, token: &str) -> Request {
    Request::new("GET", target).header("authorization", format!("Bearer {token}"))
}

#[tokio::test]
async fn it_serves_the_three_routes_at_a_frozen_time() {
    let folder = policy_folder();
    let policy = folder.path().join("policy.toml");
    let now = NOW.to_string();
    let token = issuer().token(Algorithm::ES256).mint();
    for door in DOORS {
        let running = Running::start(testbed(door, &policy, &["--now", &now]));
        for protocol in Protocol::ALL {
            let ask = async |request: Request| {
                client::send(running.1, protocol, &request).await.expect("an answer")
            };
            assert_eq!(ask(get("/optional", &token)).await.body, b"alice", "{door}");
            assert_eq!(ask(get("/whoami", &token)).await.status, 200, "{door}");
            assert_eq!(ask(get("/whoami", "undefined")).await.status, 401, "{door}");
            assert_eq!(ask(Request::new("GET", "/whoami")).await.status, 401, "{door}");
            assert_eq!(ask(Request::new("GET", "/optional")).await.body, b"anonymous", "{door}");
            assert_eq!(ask(Request::new("GET", "/open")).await.status, 200, "{door}");
        }
    }
}

/// Through one door: the key server is asked once for each rotation.
async fn follows_a_rotation(door: &'static str, keys: fn(&KeyServer) -> String) {
    let server = KeyServer::start();
    let issuer = server.issuer(&[Algorithm::ES256]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("policy.toml");
    let policy = format!(
        r#"
        [[issuer]]
        id         = "{}"
        audiences  = ["{}"]
        algorithms = ["ES256"]
        keys       = {{ {}, cool_down = "1s", max_wait = "60s" }}
        "#,
        issuer.name(),
        TestIssuer::AUDIENCE,
        keys(&server)
    );
    fs::write(&path, policy).expect("the policy");
    let running = Running::start(testbed(door, &path, &[]));
    assert_eq!(server.all_hits(), 0, "{door}: nothing is fetched before the first token");
    for rotation in 0..2 {
        if rotation > 0 {
            issuer.rotate(Algorithm::ES256);
            issuer.retire("es256-1");
        }
        let token = issuer.token(Algorithm::ES256).mint();
        for _ in 0..2 {
            let answer = client::send(running.1, Protocol::Http1, &get("/optional", &token)).await;
            let answer = answer.expect("an answer");
            assert_eq!((answer.status, &*answer.body), (200, &b"alice"[..]), "{door}");
        }
        assert_eq!(server.hits(KeyServer::JWKS_PATH), 1 + rotation, "{door}");
    }
}

#[tokio::test]
async fn it_fetches_keys_from_an_address_and_follows_their_rotation() {
    let mut doors = JoinSet::new();
    for door in DOORS {
        doors.spawn(follows_a_rotation(door, |server| {
            format!("jwks_url = \"{}\"", server.url(KeyServer::JWKS_PATH))
        }));
        doors.spawn(follows_a_rotation(door, |_| "discovery = true".to_owned()));
    }
    while let Some(door) = doors.join_next().await {
        door.expect("no assertion failed");
    }
}

#[test]
fn it_ends_when_it_is_told_to() {
    let folder = policy_folder();
    for door in DOORS {
        let policy = folder.path().join("policy.toml");
        let mut running = Running::start(testbed(door, &policy, &[]));
        let id = running.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill").success());
        let mut rest = String::new();
        running.0.stdout.as_mut().expect("a pipe").read_to_string(&mut rest).expect("its end");
        assert_eq!(rest, "", "{door}: one line and no more");
        running.0.wait().expect("its end");
    }
}

fn refused(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the testbed");
    assert_eq!((status.code(), stdout), (Some(2), Vec::new()));
    String::from_utf8(stderr).expect("UTF-8")
}

#[test]
fn it_names_every_fault_of_a_policy_that_is_refused() {
    let folder = policy_folder();
    let path = folder.path().join("bad.toml");
    let policy = format!(
        r#"
        [[issuer]]
        id         = "{ISSUER}"
        audiences  = []
        algorithms = ["ES256"]
        keys       = {{ jwks_file = "jwks.json" }}
        [claims]
        leeway     = "20m"
        "#
    );
    fs::write(&path, policy).expect("the policy");
    let message = refused(testbed("axum", &path, &[]));
    assert!(message.contains("audience") && message.contains("leeway"), "{message}");

    let message = refused(testbed("axum", &folder.path().join("none.toml"), &[]));
    assert!(message.contains("none.toml"), "{message}");
}

#[test]
fn it_refuses_flags_that_make_no_sense() {
    let folder = policy_folder();
    let policy = folder.path().join("policy.toml");
    for (message, command) in [
        ("--door", testbed("rocket", &policy, &[])),
        ("--now", testbed("axum", &policy, &["--now", "noon"])),
        ("--loud", testbed("axum", &policy, &["--loud"])),
    ] {
        let error = refused(command);
        assert!(error.contains(message), "{error}");
    }
}

/// A table of the policy, and a client whose tokens are bound to its key.
struct Bound {
    folder: TempDir,
    issuer: TestIssuer,
    key: SigningKey,
}

impl Bound {
    fn new(dpop: &str) -> Self {
        let folder = policy_folder();
        let path = folder.path().join("policy.toml");
        let policy = fs::read_to_string(&path).expect("the policy");
        fs::write(&path, format!("{policy}\n[dpop]\n{dpop}")).expect("the policy");
        Self { folder, issuer: issuer(), key: SigningKey::generate(Algorithm::ES256) }
    }

    fn start(&self, door: &str, more: &[&str]) -> Running {
        Running::start(testbed(door, &self.folder.path().join("policy.toml"), more))
    }

    fn token(&self) -> String {
        self.issuer.token(Algorithm::ES256).bound_to(&self.key).mint()
    }

    fn proof(&self, method: &str, url: &str, token: &str) -> ProofBuilder {
        self.issuer.proof(&self.key, method, url).token(token)
    }
}

/// A request with the scheme `DPoP`.
fn with_proof(method: &'static str, target: &str, token: &str, proof: &str) -> Request {
    Request::new(method, target)
        .header("authorization", format!("DPoP {token}"))
        .header("dpop", proof)
}

#[tokio::test]
async fn it_takes_proofs_by_the_addresses_of_its_policy_at_a_frozen_time() {
    let client = Bound::new("base_urls = [\"https://api.example\", \"https://example/api\"]");
    let now = NOW.to_string();
    for door in DOORS {
        let running = client.start(door, &["--now", &now]);
        let ask = async |request: &Request| {
            client::send(running.1, Protocol::Http1, request).await.expect("an answer")
        };
        let token = client.token();
        for (method, target, url, status) in [
            ("GET", "/whoami", "https://api.example/whoami", 200),
            ("GET", "/orders/7", "https://api.example/orders/7", 200),
            ("DELETE", "/orders/7?all=1", "https://example/api/orders/7", 200),
            ("GET", "/orders/7", "https://api.example/orders/8", 401),
            ("POST", "/orders/7", "https://other.example/orders/7", 401),
        ] {
            let proof = client.proof(method, url, &token).mint();
            let request = with_proof(method, target, &token, &proof);
            let answer = ask(&request).await;
            assert_eq!(answer.status, status, "{door} {method} {url}");
            if status == 200 {
                let again = ask(&request).await;
                assert_eq!(again.status, 401, "{door}: it was used");
            }
        }
        // Whoever sends a request writes its `Host`.
        let proof = client.proof("GET", "https://other.example/whoami", &token).mint();
        let spoofed = with_proof("GET", "/whoami", &token, &proof)
            .header("x-forwarded-host", "other.example")
            .header("forwarded", "host=other.example;proto=https");
        assert_eq!(ask(&spoofed).await.status, 401, "{door}");
        // What is longer than one segment is no order.
        let proof = client.proof("GET", "https://api.example/orders/7/items", &token).mint();
        let deeper = with_proof("GET", "/orders/7/items", &token, &proof);
        assert_eq!(ask(&deeper).await.status, 404, "{door}");
        assert_eq!(ask(&get("/orders/7", &token)).await.status, 401, "{door}: as a bearer token");
        let unbound = client.issuer.token(Algorithm::ES256).mint();
        let answer = ask(&get("/orders/7", &unbound)).await;
        assert_eq!(answer.status, 200, "{door}");
        assert_eq!(answer.body, ask(&get("/whoami", &unbound)).await.body, "{door}");
    }
}

#[tokio::test]
async fn it_gives_out_nonces_and_takes_a_proof_with_one() {
    let client = Bound::new(
        "base_urls = [\"https://api.example\"]\nmode = \"required\"\nnonces = \"required\"",
    );
    let now = NOW.to_string();
    for door in DOORS {
        let running = client.start(door, &["--now", &now]);
        let token = client.token();
        let proof = client.proof("GET", "https://api.example/orders/7", &token);
        let ask = async |proof: &ProofBuilder| {
            let request = with_proof("GET", "/orders/7", &token, &proof.mint());
            client::send(running.1, Protocol::Http1, &request).await.expect("an answer")
        };
        let first = ask(&proof).await;
        assert_eq!(first.status, 401, "{door}");
        let nonces: Vec<_> = first.header("dpop-nonce").map(<[u8]>::to_vec).collect();
        let [nonce] = &nonces[..] else { panic!("one nonce: {first:?}") };
        let nonce = String::from_utf8(nonce.clone()).expect("ASCII");
        assert_eq!(ask(&proof.claim("nonce", nonce)).await.status, 200, "{door}");
        let unbound = client.issuer.token(Algorithm::ES256).mint();
        let bearer = client::send(running.1, Protocol::Http1, &get("/orders/7", &unbound)).await;
        assert_eq!(bearer.expect("an answer").status, 401, "{door}: a binding is required");
    }
}

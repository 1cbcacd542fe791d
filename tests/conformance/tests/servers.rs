//! The doors as servers: connections that are kept, pipelined, shared and broken off; forgeries by
//! the hundred; and how much of a request reaches the policy at all.
use core::convert::Infallible;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use portcullis::keys::{KeyFuture, KeyQuery};
use portcullis::{Algorithm, Issuer, KeySet, KeySource, Keys, Policy};
use portcullis_conformance::client::{self, Answer, Connection, Protocol, Request};
use portcullis_conformance::doors::{Door, Running};
use portcullis_conformance::policies::{ISSUER, NOW, Variant, issuer};
use portcullis_conformance::table::{self, Sent};
use portcullis_testkit::{FixedClock, TestIssuer, hostile};
use tokio::sync::{mpsc, watch};

fn serve(door: Door, policy: &Policy) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    door.start(policy, listener).expect("a server")
}

fn good() -> String {
    issuer().token(Algorithm::ES256).mint()
}

fn get(target: &str, token: &str) -> Request {
    Request::new("GET", target).header("authorization", format!("Bearer {token}"))
}

/// Rows of the table that any connection can carry, in their order.
fn plain_rows() -> Vec<(String, Request, Answer)> {
    table::rows()
        .into_iter()
        .filter(|row| row.policy == Variant::Plain)
        .filter_map(|row| match row.sent {
            Sent::Request(request) => Some((row.name, request, row.expected)),
            Sent::Http1(_) | Sent::Raw(..) => None,
        })
        .collect()
}

#[tokio::test]
async fn one_connection_carries_row_after_row() {
    let policy = Variant::Plain.policy();
    let rows = plain_rows();
    for door in Door::ALL {
        let server = serve(door, &policy);
        for protocol in Protocol::ALL {
            let mut connection =
                Connection::open(server.address(), protocol).await.expect("a connection");
            for (name, request, expected) in &rows {
                let answer = connection.send(request).await.map_err(|error| error.to_string());
                assert_eq!(answer.as_ref(), Ok(expected), "{door:?}, {protocol:?}: {name}");
            }
        }
    }
}

fn pipelined(method: &str, target: &str, authorization: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nhost: api.example\r\nauthorization: {authorization}\r\n\r\n"
    )
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let bearer = format!("Bearer {}", good());
    for door in Door::ALL {
        let server = serve(door, &Variant::OneAlgorithm.policy());
        // See `actix_http_forgets_which_of_several_requests_was_head`.
        let head = if door == Door::Actix { "GET" } else { "HEAD" };
        let (bytes, methods): (Vec<_>, Vec<_>) = [
            ("GET", "/optional", bearer.as_str()),
            ("GET", "/whoami", "Bearer undefined"),
            (head, "/whoami", "Basic dXNlcjpwYXNz"),
            ("GET", "/optional", "Basic dXNlcjpwYXNz"),
            ("GET", "/unprotected", bearer.as_str()),
            ("GET", "/optional", bearer.as_str()),
        ]
        .map(|(method, target, value)| (pipelined(method, target, value), method))
        .into_iter()
        .unzip();
        let answers = client::send_raw(server.address(), bytes.concat().as_bytes(), &methods)
            .await
            .unwrap_or_else(|error| panic!("{door:?}: {error}"));
        let status: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(status, [200, 401, 401, 200, 500, 200], "{door:?}");
        assert_eq!(answers[0].body, b"alice", "{door:?}");
        assert_eq!(answers[3].body, b"anonymous", "{door:?}");
        assert_eq!(answers[5].body, b"alice", "{door:?}");
    }
}

/// Its encoder asks what the request that was read last was, not the one that is answered.
#[tokio::test]
async fn actix_http_forgets_which_of_several_requests_was_head() {
    let server = serve(Door::Actix, &Variant::OneAlgorithm.policy());
    let bytes = [
        pipelined("GET", "/open", ""),
        pipelined("HEAD", "/open", ""),
        pipelined("GET", "/open", ""),
    ]
    .concat();
    // As if the second were a GET: its answer has a body, which a client takes for the third.
    let answers = client::send_raw(server.address(), bytes.as_bytes(), &["GET", "GET", "GET"]);
    assert!(answers.await.expect("answers").iter().all(|answer| answer.body == b"open"));
}

#[tokio::test]
async fn requests_at_once_do_not_get_into_each_others_way() {
    for door in Door::ALL {
        let server = serve(door, &Variant::OneAlgorithm.policy());
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..40 {
            let (address, protocol) = (server.address(), Protocol::ALL[number % 2]);
            tasks.spawn(async move {
                let subject = format!("user-{number}");
                let token = issuer().token(Algorithm::ES256).subject(&subject);
                let token = if number % 4 < 2 { token } else { token.expired() };
                let answer =
                    client::send(address, protocol, &get("/optional", &token.mint())).await;
                (number, subject, answer.expect("an answer"))
            });
        }
        while let Some(task) = tasks.join_next().await {
            let (number, subject, answer) = task.expect("no panic");
            if number % 4 < 2 {
                assert_eq!(answer.body, subject.as_bytes(), "{door:?}");
            } else {
                assert_eq!(answer.status, 401, "{door:?}");
            }
        }
    }
}

/// Says when it is asked, and has keys once it is told to.
#[derive(Clone, Debug)]
struct Held {
    keys: Arc<Mutex<KeySet>>,
    asked: mpsc::UnboundedSender<()>,
    release: watch::Receiver<bool>,
}

impl KeySource for Held {
    fn keys(&self) -> KeySet {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn seek(&self, _: &KeyQuery<'_>) -> Option<KeyFuture> {
        let Self { keys, asked, mut release } = self.clone();
        Some(Box::pin(async move {
            asked.send(()).expect("the test listens");
            release.wait_for(|release| *release).await.expect("the test holds the other end");
            *keys.lock().unwrap_or_else(PoisonError::into_inner) =
                KeySet::from_jwks(issuer().jwks_of(&[Algorithm::ES256])).expect("keys");
            Ok(())
        }))
    }
}

#[tokio::test]
async fn a_client_that_breaks_off_while_it_waits_does_no_harm() {
    for door in Door::ALL {
        let (asked, mut is_asked) = mpsc::unbounded_channel();
        let (release, released) = watch::channel(false);
        let keys = Arc::new(Mutex::new(KeySet::empty()));
        let policy = Policy::builder()
            .issuer(
                Issuer::new(ISSUER)
                    .algorithms([Algorithm::ES256])
                    .keys(Keys::source(Held { keys, asked, release: released }))
                    .audience(TestIssuer::AUDIENCE),
            )
            .clock(FixedClock::at(NOW))
            .build()
            .expect("a policy");
        let server = serve(door, &policy);
        let address = server.address();
        for protocol in Protocol::ALL {
            let gone = tokio::spawn(async move {
                client::send(address, protocol, &get("/whoami", &good())).await
            });
            is_asked.recv().await.expect("the source is asked");
            gone.abort();
            assert!(gone.await.is_err_and(|error| error.is_cancelled()));
        }
        let patient = tokio::spawn(async move {
            client::send(address, Protocol::Http1, &get("/optional", &good())).await
        });
        is_asked.recv().await.expect("the source is asked");
        // Others are served meanwhile.
        let open = client::send(address, Protocol::Http1, &Request::new("GET", "/open")).await;
        assert_eq!(open.expect("an answer").body, b"open", "{door:?}");
        release.send_replace(true);
        let answer = patient.await.expect("no panic").expect("an answer");
        assert_eq!(answer.body, b"alice", "{door:?}");
        for protocol in Protocol::ALL {
            let answer = client::send(address, protocol, &get("/optional", &good())).await;
            assert_eq!(answer.expect("an answer").body, b"alice", "{door:?}");
        }
    }
}

/// Every forgery of the test kit, and odd bytes.
fn forgeries() -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let token = issuer().token(algorithm).mint();
        let mut family = hostile::public_key_as_secret_family(&token, issuer().key(algorithm));
        family.extend(hostile::none_family(&token));
        all.extend(
            family.into_iter().map(|one| (format!("{algorithm}: {}", one.what), one.token.into())),
        );
    }
    let token = good().into_bytes();
    for byte in (0x21..0x7f).chain(0x80..=0xff) {
        for at in [token.len() / 2, token.len() - 1] {
            let mut token = token.clone();
            if token[at] != byte {
                token[at] = byte;
                all.push((format!("byte {byte:#x} at {at}"), token));
            }
        }
    }
    all.extend(
        (1..token.len()).step_by(7).map(|end| (format!("cut at {end}"), token[..end].into())),
    );
    all
}

#[tokio::test]
async fn no_forgery_passes_and_each_is_answered() {
    let policy = Variant::Plain.policy();
    let forgeries = forgeries();
    assert!(forgeries.len() > 500, "{}", forgeries.len());
    for door in Door::ALL {
        let server = serve(door, &policy);
        for (protocol, target) in [(Protocol::Http1, "/optional"), (Protocol::Http2, "/whoami")] {
            let mut connection =
                Connection::open(server.address(), protocol).await.expect("a connection");
            for (what, token) in &forgeries {
                let request = Request::new("GET", target)
                    .header("authorization", [b"Bearer ".as_slice(), token].concat());
                let answer = connection.send(&request).await;
                let status = answer.map(|answer| answer.status).map_err(|error| error.to_string());
                assert_eq!(status, Ok(401), "{door:?}, {protocol:?}: {what}");
            }
        }
    }
}

/// Asks with headers of about so many bytes in all.
async fn status_of_size(server: &Running, protocol: Protocol, bytes: usize) -> u16 {
    let request = get("/whoami", &"a".repeat(bytes));
    client::send(server.address(), protocol, &request).await.expect("an answer").status
}

#[tokio::test]
async fn large_headers_reach_the_policy_where_the_server_can_be_told_to() {
    for door in Door::ALL {
        let server = serve(door, &Variant::OneAlgorithm.policy());
        for kib in [16, 20, 64, 100, 126, 250] {
            for protocol in Protocol::ALL {
                // actix-http has a limit of 128 KiB for HTTP/1, and no setting for it.
                let is_too_much = (door, protocol) == (Door::Actix, Protocol::Http1) && kib > 128;
                let expected = if is_too_much { 431 } else { 401 };
                let status = status_of_size(&server, protocol, kib * 1024).await;
                assert_eq!(status, expected, "{door:?}, {protocol:?}, {kib} KiB");
            }
        }
    }
}

#[tokio::test]
async fn hyper_as_it_comes_stops_at_16_kib_over_http_2() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a client");
            let service = service_fn(async |_: http::Request<Incoming>| {
                Ok::<_, Infallible>(http::Response::new(Empty::<Bytes>::new()))
            });
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    for (protocol, kib, expected) in [
        (Protocol::Http2, 15, 200),
        (Protocol::Http2, 17, 431),
        (Protocol::Http1, 400, 200),
        (Protocol::Http1, 1000, 431),
    ] {
        let request = get("/", &"a".repeat(kib * 1024));
        let answer = client::send(address, protocol, &request).await;
        assert_eq!(answer.expect("an answer").status, expected, "{protocol:?}, {kib} KiB");
    }
}

#[tokio::test]
async fn headers_by_the_hundred_reach_the_policy_where_the_server_can_be_told_to() {
    for door in Door::ALL {
        let server = serve(door, &Variant::OneAlgorithm.policy());
        for count in [90, 500] {
            for protocol in Protocol::ALL {
                // actix-http has a limit of 96 headers for HTTP/1, and no setting for it.
                let is_too_much = (door, protocol) == (Door::Actix, Protocol::Http1) && count > 96;
                let expected = if is_too_much { 431 } else { 401 };
                let request = (0..count)
                    .fold(Request::new("GET", "/whoami"), |one, _| one.header("x-padding", "p"));
                let answer = client::send(server.address(), protocol, &request).await;
                let status = answer.expect("an answer").status;
                assert_eq!(status, expected, "{door:?}, {protocol:?}, {count} headers");
            }
        }
    }
}

#[tokio::test]
async fn a_large_body_does_not_keep_a_refusal_from_its_client() {
    let body = "b".repeat(1024 * 1024);
    let request = format!(
        "POST /whoami HTTP/1.1\r\nhost: api.example\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    for door in Door::ALL {
        let server = serve(door, &Variant::OneAlgorithm.policy());
        for _ in 0..20 {
            let answers = client::send_raw(server.address(), request.as_bytes(), &["POST"]).await;
            let status: Vec<_> = answers.expect("an answer").iter().map(|one| one.status).collect();
            assert_eq!(status, [401], "{door:?}");
        }
    }
}

#[tokio::test]
async fn what_is_no_http_is_answered_by_the_server_and_not_by_the_policy() {
    for (what, line) in [
        ("a NUL in a value", &b"authorization: Bearer a\0b"[..]),
        ("a control character in a value", b"authorization: Bearer a\x01b"),
        ("a folded value", b"authorization: Bearer\r\n a"),
        ("a space after a name", b"authorization : Bearer a"),
        ("a line without a colon", b"authorization Bearer a"),
    ] {
        for door in Door::ALL {
            let server = serve(door, &Variant::OneAlgorithm.policy());
            let bytes =
                [b"GET /optional HTTP/1.1\r\nhost: api.example\r\n", line, b"\r\n\r\n"].concat();
            let answers = client::send_raw(server.address(), &bytes, &["GET"]).await;
            let [answer] = &answers.expect("an answer")[..] else { panic!("one answer") };
            assert_eq!((answer.status, answer.body.len()), (400, 0), "{door:?}: {what}");
        }
    }
}

//! Real sockets, and tonic on both sides. Time is paused: it runs on whenever both sides wait, and nothing sleeps. What
//! counts for the token is the issuer's clock, which only the test moves.
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis::keys::{KeyFuture, KeyQuery, KeysUnavailable};
use portcullis::{KeySet, KeySource, Keys};
use portcullis_testkit::FixedClock;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_web::GrpcWebLayer;

use super::protocol::orders_client::OrdersClient;
use super::protocol::refunds_client::RefundsClient;
use super::*;

/// What stands in front of the services.
#[derive(Clone, Copy, Debug)]
enum Door {
    Layer,
    Interceptor,
    Nothing,
}

const DOORS: [Door; 2] = [Door::Layer, Door::Interceptor];

fn spawn<F>(serve: impl FnOnce(TcpIncoming) -> F) -> SocketAddr
where
    F: Future<Output: Send> + Send + 'static,
{
    let incoming = listen().expect("a free port");
    let address = incoming.local_addr().expect("an address");
    tokio::spawn(serve(incoming));
    address
}

fn open(door: Door, policy: Policy) -> SocketAddr {
    match door {
        Door::Layer => spawn(|incoming| serve(policy, incoming)),
        Door::Interceptor => spawn(|incoming| serve_intercepted(policy, incoming)),
        Door::Nothing => {
            let server = Server::builder().add_routes(services(&policy));
            spawn(|incoming| server.serve_with_incoming(incoming))
        }
    }
}

async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a URL");
    endpoint.connect().await.expect("a connection")
}

async fn channel(door: Door, policy: Policy) -> Channel {
    connect(open(door, policy)).await
}

fn call<T>(message: T, tokens: &[&str]) -> Request<T> {
    let mut call = Request::new(message);
    for token in tokens {
        let value = format!("Bearer {token}").parse().expect("ASCII");
        call.metadata_mut().append("authorization", value);
    }
    call
}

fn order() -> Order {
    Order { id: "order 7".into() }
}

fn issuer() -> TestIssuer {
    TestIssuer::new("https://id.example").at(1_800_000_000)
}

/// Keys that cannot be had, for seven seconds and a bit.
#[derive(Debug)]
struct Down;

impl KeySource for Down {
    fn keys(&self) -> KeySet {
        KeySet::empty()
    }

    fn seek(&self, _: &KeyQuery<'_>) -> Option<KeyFuture> {
        let unavailable =
            KeysUnavailable::new().with_retry_after(Some(Duration::from_millis(7_200)));
        Some(Box::pin(async move { Err(unavailable) }))
    }
}

fn policy_without_keys() -> Policy {
    let issuer = Issuer::new("https://id.example")
        .algorithms([Algorithm::ES256])
        .keys(Keys::source(Down))
        .audience(TestIssuer::AUDIENCE);
    Policy::builder().clock(FixedClock::at(1_800_000_000)).issuer(issuer).build().expect("a policy")
}

#[tokio::test(start_paused = true)]
async fn calls_are_refused_with_their_code_and_text_by_layer_and_interceptor() {
    let issuer = issuer();
    let good = issuer.token(Algorithm::ES256).mint();
    let expired = issuer.token(Algorithm::ES256).expired().mint();
    let foreign = issuer.token(Algorithm::ES256).audience("https://other.example").mint();
    let rows: [(&[&str], Code, &str, &str); 5] = [
        (&[], Code::Unauthenticated, "This resource needs an access token.", "Bearer"),
        (
            &["no token"],
            Code::Unauthenticated,
            "The access token is malformed.",
            r#"Bearer error="invalid_token", error_description="The access token is malformed""#,
        ),
        (
            &[&expired],
            Code::Unauthenticated,
            "The access token has expired.",
            r#"Bearer error="invalid_token", error_description="The access token has expired""#,
        ),
        (
            &[&foreign],
            Code::Unauthenticated,
            "The access token is not meant for this resource.",
            r#"Bearer error="invalid_token", error_description="The access token is not meant for this resource""#,
        ),
        (
            &[&good, &good],
            Code::InvalidArgument,
            "The request carries more than one access token.",
            r#"Bearer error="invalid_request", error_description="The request carries more than one access token""#,
        ),
    ];
    for door in DOORS {
        let mut orders = OrdersClient::new(channel(door, issuer.policy()).await);
        for (tokens, code, message, challenge) in rows {
            let status = orders.get(call(order(), tokens)).await.expect_err("a refusal");
            assert_eq!((status.code(), status.message()), (code, message), "{door:?}");
            let metadata = status.metadata();
            assert_eq!(metadata.get("www-authenticate").expect("a challenge"), challenge);
            // Before the first message, and not in the stream.
            let status = orders.watch(call(order(), tokens)).await.expect_err("a refusal");
            assert_eq!((status.code(), status.message()), (code, message), "{door:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_token_is_served_under_its_subject() {
    let issuer = issuer();
    let token = issuer.token(Algorithm::ES256).subject("alice").mint();
    for door in DOORS {
        let mut orders = OrdersClient::new(channel(door, issuer.policy()).await);
        let answer = orders.get(call(order(), &[&token])).await.expect("an answer");
        assert_eq!(answer.into_inner().text, "order 7 of alice", "{door:?}");
        let answer = orders.watch(call(order(), &[&token])).await.expect("an answer");
        let first = answer.into_inner().message().await.expect("a message").expect("a first one");
        assert_eq!(first.text, "order 7, state 0", "{door:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_behind_a_scope_is_closed_to_tokens_without_it() {
    let issuer = issuer();
    let token = issuer.token(Algorithm::ES256).subject("alice");
    for door in DOORS {
        let mut refunds = RefundsClient::new(channel(door, issuer.policy()).await);
        let without = token.clone().scope("orders:read").mint();
        let status = refunds.refund(call(order(), &[&without])).await.expect_err("a refusal");
        assert_eq!(
            (status.code(), status.message()),
            (Code::PermissionDenied, "The access token does not allow this request."),
            "{door:?}"
        );
        assert_eq!(
            status.metadata().get("www-authenticate").expect("a challenge"),
            r#"Bearer error="insufficient_scope", error_description="The access token does not allow this request", scope="orders:refund""#
        );
        let with = token.clone().scope("orders:read orders:refund").mint();
        let answer = refunds.refund(call(order(), &[&with])).await.expect("an answer");
        assert_eq!(answer.into_inner().text, "order 7 refunded by alice");
    }
}

#[tokio::test(start_paused = true)]
async fn while_keys_cannot_be_had_calls_are_told_to_come_back() {
    let token = issuer().token(Algorithm::ES256).mint();
    // The interceptor waits for nobody, and so does not learn how long.
    for (door, seconds) in [(Door::Layer, "8"), (Door::Interceptor, "5")] {
        let mut orders = OrdersClient::new(channel(door, policy_without_keys()).await);
        let status = orders.get(call(order(), &[&token])).await.expect_err("a refusal");
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "Access tokens cannot be verified at the moment."),
            "{door:?}"
        );
        assert_eq!(status.metadata().get("retry-after").expect("a time"), seconds, "{door:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_anything_in_front_handlers_fail_inside() {
    let issuer = issuer();
    let token = issuer.token(Algorithm::ES256).scope("orders:refund").mint();
    let channel = channel(Door::Nothing, issuer.policy()).await;
    let mut orders = OrdersClient::new(channel.clone());
    let get = orders.get(call(order(), &[&token])).await.expect_err("a refusal");
    let watch = orders.watch(call(order(), &[&token])).await.expect_err("a refusal");
    let mut refunds = RefundsClient::new(channel);
    let refund = refunds.refund(call(order(), &[&token])).await.expect_err("a refusal");
    for status in [get, watch, refund] {
        assert_eq!(
            (status.code(), status.message()),
            (Code::Internal, "This resource is not protected as it was meant to be.")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_around_one_service_covers_that_one() {
    let issuer = issuer();
    let shop = Shop { policy: issuer.policy() };
    let orders = VerifyLayer::new(issuer.policy()).named_layer(OrdersServer::new(shop.clone()));
    let server = Server::builder().add_service(orders).add_service(RefundsServer::new(shop));
    let channel = connect(spawn(|incoming| server.serve_with_incoming(incoming))).await;
    let status = OrdersClient::new(channel.clone()).get(order()).await.expect_err("a refusal");
    assert_eq!(status.code(), Code::Unauthenticated);
    // Open, but its handler asks.
    let status = RefundsClient::new(channel).refund(order()).await.expect_err("a refusal");
    assert_eq!(status.code(), Code::Internal);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_of_grpc_web_is_one_of_grpc_web() {
    let policy = issuer().policy();
    let services = services(&policy);
    let server = Server::builder().accept_http1(true).layer(GrpcWebLayer::new());
    let server = server.layer(VerifyLayer::new(policy)).add_routes(services);
    let address = spawn(|incoming| server.serve_with_incoming(incoming));
    let stream = TokioIo::new(TcpStream::connect(address).await.expect("a connection"));
    let client = hyper::client::conn::http1::handshake(stream).await;
    let (mut client, connection) = client.expect("HTTP/1.1");
    tokio::spawn(connection);
    let request = http::Request::post("/orders.Orders/Get")
        .header("host", address.to_string())
        .header("content-type", "application/grpc-web+proto")
        .body(Full::new(Bytes::from_static(&[0; 5])))
        .expect("a request");
    let response = client.send_request(request).await.expect("a response");
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["content-type"], "application/grpc-web+proto");
    assert_eq!(response.headers()["grpc-status"], "16");
    assert_eq!(response.headers()["grpc-message"], "This resource needs an access token.");
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
}

/// A conversation that has begun.
async fn talk(door: Door, policy: Policy, token: &str) -> (mpsc::Sender<Text>, Streaming<Text>) {
    let mut orders = OrdersClient::new(channel(door, policy).await);
    let (sender, receiver) = mpsc::channel(1);
    let answer = orders.talk(call(ReceiverStream::new(receiver), &[token])).await;
    let mut answers = answer.expect("an answer").into_inner();
    assert_echoes(&sender, &mut answers).await;
    (sender, answers)
}

async fn assert_echoes(sender: &mpsc::Sender<Text>, answers: &mut Streaming<Text>) {
    sender.send(Text { text: "hello".into() }).await.expect("sent");
    let echo = answers.message().await.expect("a message").expect("an echo");
    assert_eq!(echo.text, "hello");
}

async fn assert_ends(answers: &mut Streaming<Text>, message: &str) {
    let end = timeout(RECHECK * 2, answers.message()).await.expect("an end in time");
    let status = end.expect_err("an end");
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, message));
    assert!(status.metadata().contains_key("www-authenticate"));
    assert!(!status.metadata().contains_key("content-length"), "not in trailers");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_token_expires() {
    for door in DOORS {
        let clock = FixedClock::at(1_800_000_000);
        let issuer = issuer().clock(clock.clone());
        let token = issuer.token(Algorithm::ES256).mint();
        let (sender, mut answers) = talk(door, issuer.policy(), &token).await;
        // 300 s of life and 30 s of leeway, less one.
        clock.advance(Duration::from_secs(329));
        assert_echoes(&sender, &mut answers).await;
        clock.advance(Duration::from_secs(1));
        assert_ends(&mut answers, "The access token has expired.").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_after_the_end_of_the_token_does_not_go_on() {
    let clock = FixedClock::at(1_800_000_000);
    let issuer = issuer().clock(clock.clone());
    let token = issuer.token(Algorithm::ES256).mint();
    let (sender, mut answers) = talk(Door::Layer, issuer.policy(), &token).await;
    clock.advance(Duration::from_secs(330));
    sender.send(Text { text: "too late".into() }).await.expect("sent");
    assert_ends(&mut answers, "The access token has expired.").await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_the_key_of_its_token_is_withdrawn() {
    let issuer = issuer();
    let token = issuer.token(Algorithm::ES256).mint();
    let (_sender, mut answers) = talk(Door::Layer, issuer.policy(), &token).await;
    issuer.retire("es256-1");
    assert_ends(&mut answers, "The access token could not be verified.").await;
}

/// What stands on the wire in answer to an empty message, and whether all of it was one HEADERS frame.
async fn raw(address: SocketAddr, path: &str, tokens: &[&str]) -> (http::response::Parts, bool) {
    let stream = TokioIo::new(TcpStream::connect(address).await.expect("a connection"));
    let client = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await;
    let (mut client, connection) = client.expect("HTTP/2");
    tokio::spawn(connection);
    let mut request = http::Request::post(format!("http://{address}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for token in tokens {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    // Not compressed, of no bytes.
    let request = request.body(Full::new(Bytes::from_static(&[0; 5]))).expect("a request");
    let (parts, body) = client.send_request(request).await.expect("a response").into_parts();
    let is_headers_only = hyper::body::Body::is_end_stream(&body);
    let rest = body.collect().await.expect("a body");
    assert_eq!(is_headers_only, rest.trailers().is_none() && rest.to_bytes().is_empty());
    (parts, is_headers_only)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_one_frame_of_headers_and_the_same_by_layer_and_interceptor() {
    let issuer = issuer();
    let good = issuer.token(Algorithm::ES256).mint();
    let expired = issuer.token(Algorithm::ES256).expired().mint();
    let layer = open(Door::Layer, issuer.policy());
    let interceptor = open(Door::Interceptor, issuer.policy());
    let sent: [(&str, &[&str], u16, &str); 4] = [
        ("/orders.Orders/Get", &[], 401, "16"),
        ("/orders.Orders/Watch", &[&expired], 401, "16"),
        ("/orders.Orders/Talk", &[&good, &good], 400, "3"),
        ("/orders.Refunds/Refund", &[&good], 403, "7"),
    ];
    for (path, tokens, status, code) in sent {
        let (mut by_layer, is_headers_only) = raw(layer, path, tokens).await;
        assert!(is_headers_only, "{path}: Trailers-Only");
        assert_eq!(by_layer.status, status, "{path}");
        assert_eq!(by_layer.headers["content-type"], "application/grpc", "{path}");
        assert_eq!(by_layer.headers["grpc-status"], code, "{path}");

        let (mut by_interceptor, is_headers_only) = raw(interceptor, path, tokens).await;
        assert!(is_headers_only, "{path}: Trailers-Only");
        for headers in [&mut by_layer.headers, &mut by_interceptor.headers] {
            headers.remove("date");
            headers.remove("content-length");
        }
        // tonic encodes more than it has to.
        let text = by_interceptor.headers.remove("grpc-message").expect("a text");
        let text = text.to_str().expect("ASCII").replace("%20", " ");
        assert_eq!(by_layer.headers.remove("grpc-message").expect("a text"), text.as_str());
        assert_eq!(by_layer.headers, by_interceptor.headers, "{path}");
    }
}

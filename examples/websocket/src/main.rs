//! A WebSocket that ends when its token does, in axum, and the three ways in which a browser can send the token.
//!
//! ```console
//! cargo run -p example-websocket
//! ```
//!
//! prints lines for [websocat](https://github.com/vi/websocat), with a token that lives for 30
//! seconds, to paste: what you type comes back, until the token expires.
//!
//! A browser cannot set the header. It sends the token as a subprotocol, `new WebSocket(url, ["bearer", token])`; in a
//! `__Host-` cookie, where the policy looks where the handshake comes from; or in the first message.
use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use axum::routing::any;
use portcullis_axum::portcullis::error::SourceError;
use portcullis_axum::portcullis::{Algorithm, Issuer, KeySet, TokenSource, VerifiedToken};
use portcullis_axum::{Caller, Policy, VerifyLayer};
use portcullis_testkit::TestIssuer;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// When a token expires is known beforehand; that its key was withdrawn must be asked, this often.
const RECHECK: Duration = Duration::from_secs(10);

/// How long, and how much, somebody may send of whom nothing is known.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a policy lets a token have.
const LONGEST: usize = 16 * 1024;

fn sources() -> [TokenSource; 3] {
    [
        TokenSource::bearer(),
        TokenSource::cookie("__Host-token"),
        TokenSource::websocket_protocol("bearer"),
    ]
}

async fn echo(State(policy): State<Policy>, caller: Caller, upgrade: WebSocketUpgrade) -> Response {
    // Where it was offered. Never the token, which would stand in the response.
    let upgrade = upgrade.protocols(["bearer"]);
    upgrade.on_upgrade(|socket| converse(socket, policy, caller.0))
}

/// No layer stands in front: the token is the first message.
async fn echo_later(State(policy): State<Policy>, upgrade: WebSocketUpgrade) -> Response {
    // Of all messages: the limit holds as long as the connection.
    let upgrade = upgrade.max_frame_size(LONGEST).max_message_size(LONGEST);
    upgrade.on_upgrade(|mut socket| async move {
        let verified = match timeout(PATIENCE, first_text(&mut socket)).await {
            Ok(Some(Ok(token))) => policy.verify_token(token.as_str()).await,
            Ok(Some(Err(_))) => return close(socket, close_code::SIZE, "too_large").await,
            Ok(None) | Err(_) => Err(SourceError::Missing.into()),
        };
        match verified {
            Ok(token) => converse(socket, policy, token).await,
            Err(error) => close(socket, close_code::POLICY, error.reason()).await,
        }
    })
}

/// Pings are no message.
async fn first_text(socket: &mut WebSocket) -> Option<Result<Utf8Bytes, axum::Error>> {
    loop {
        match socket.recv().await? {
            Ok(Message::Text(text)) => return Some(Ok(text)),
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(Message::Binary(_) | Message::Close(_)) => return None,
            Err(error) => return Some(Err(error)),
        }
    }
}

async fn close(mut socket: WebSocket, code: u16, reason: &'static str) {
    let frame = CloseFrame { code, reason: reason.into() };
    _ = socket.send(Message::Close(Some(frame))).await;
}

async fn converse(mut socket: WebSocket, policy: Policy, token: VerifiedToken) {
    loop {
        let pause = policy.time_left(&token).min(RECHECK);
        let received = timeout(pause, socket.recv()).await;
        // Before what came is looked at.
        if let Err(error) = policy.recheck(&token).await {
            return close(socket, close_code::POLICY, error.reason()).await;
        }
        match received {
            Ok(Some(Ok(message @ (Message::Text(_) | Message::Binary(_))))) => {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
            Ok(Some(Err(_)) | None) => return,
            // Ping, pong and close, which are answered for us; or nothing, and it was time to ask.
            Ok(Some(Ok(_))) | Err(_) => {}
        }
    }
}

fn app(policy: Policy) -> Router {
    Router::new()
        .route("/echo", any(echo))
        .layer(VerifyLayer::new(policy.clone()))
        .route("/echo-later", any(echo_later)) // what stands below the layer is not behind it
        .with_state(policy)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Says why a request was refused: at INFO for bad tokens, and with RUST_LOG=portcullis=debug for all.
    tracing_subscriber::fmt::init();
    // For the demonstration only. Yours are the keys of a real issuer.
    let demo = TestIssuer::new("https://id.example").audience("https://orders.example");
    let token = demo.token(Algorithm::ES256).expires_in(Duration::from_secs(30)).mint();
    let issuer = Issuer::new("https://id.example")
        .algorithms([Algorithm::ES256])
        .keys(KeySet::from_jwks(demo.jwks_of(&[Algorithm::ES256]))?)
        .audience("https://orders.example");
    // Without leeway, to see the end to the second.
    let policy =
        Policy::builder().issuer(issuer).sources(sources()).leeway(Duration::ZERO).build()?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("websocat -H 'Authorization: Bearer {token}' ws://{address}/echo");
    println!("websocat --protocol 'bearer, {token}' ws://{address}/echo");
    println!("(echo {token}; cat) | websocat ws://{address}/echo-later");
    Ok(axum::serve(listener, app(policy)).await?)
}

/// Time is paused: it runs on whenever both sides wait, and nothing sleeps. What counts for the
/// token is the issuer's clock, which only the test moves.
#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use portcullis_axum::portcullis::ReplaceablePolicy;
    use portcullis_testkit::FixedClock;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpStream;
    use tokio::time::Instant;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    use tokio_tungstenite::tungstenite::{self, Message, http};
    use tokio_tungstenite::{WebSocketStream, client_async};

    use super::*;

    type Socket = WebSocketStream<TcpStream>;
    type Handshake = Result<(Socket, http::Response<Option<Vec<u8>>>), Box<tungstenite::Error>>;

    /// `{origin}` in a header stands for the server's own.
    async fn open(policy: Policy, path: &str, headers: &[(&'static str, &str)]) -> Handshake {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(axum::serve(listener, app(policy)).into_future());

        let url = format!("ws://{address}{path}");
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in headers {
            let value = value.replace("{origin}", &format!("http://{address}"));
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        let stream = TcpStream::connect(address).await.expect("a connection");
        client_async(request, stream).await.map_err(Box::new)
    }

    async fn connect(policy: Policy, token: &str) -> Socket {
        let authorization = format!("Bearer {token}");
        let opened = open(policy, "/echo", &[("authorization", &authorization)]).await;
        opened.expect("a connection").0
    }

    fn assert_refused(opened: Handshake, status: u16) {
        let Err(error) = opened else { panic!("it was let in") };
        let tungstenite::Error::Http(response) = *error else { panic!("{error}") };
        assert_eq!(response.status(), status);
    }

    fn policy(issuer: &TestIssuer) -> Policy {
        issuer.policy_builder().sources(sources()).build().expect("a policy")
    }

    async fn assert_echoes(socket: &mut Socket) {
        socket.send(Message::text("hello")).await.expect("sent");
        let echo = socket.next().await.expect("an echo").expect("a message");
        assert_eq!(echo, Message::text("hello"));
    }

    async fn assert_closed(socket: &mut Socket, code: u16, why: &str) {
        let end = timeout(RECHECK * 2, socket.next()).await.expect("an end in time");
        let end = end.expect("an end").expect("a message");
        let Message::Close(Some(frame)) = end else { panic!("{end:?} is no end") };
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (code, why));
    }

    async fn assert_ends(socket: &mut Socket, why: &str) {
        assert_closed(socket, close_code::POLICY, why).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_ends_when_its_token_expires() {
        let clock = FixedClock::at(1_800_000_000);
        let issuer = TestIssuer::new("https://id.example").clock(clock.clone());
        let token = issuer.token(Algorithm::ES256).mint();
        let mut socket = connect(policy(&issuer), &token).await;
        assert_echoes(&mut socket).await;

        // 300 s of life and 30 s of leeway, less one.
        clock.advance(Duration::from_secs(329));
        assert_echoes(&mut socket).await;
        clock.advance(Duration::from_secs(1));
        assert_ends(&mut socket, "expired").await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_ends_when_the_key_of_its_token_is_withdrawn() {
        let issuer = TestIssuer::new("https://id.example").at(1_800_000_000);
        let token = issuer.token(Algorithm::ES256).mint();
        let mut socket = connect(policy(&issuer), &token).await;
        assert_echoes(&mut socket).await;
        issuer.retire("es256-1");
        assert_ends(&mut socket, "key_withdrawn").await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_ends_when_the_policy_no_longer_trusts_the_issuer() {
        let issuer = TestIssuer::new("https://id.example").at(1_800_000_000);
        let other = TestIssuer::new("https://other.example").at(1_800_000_000);
        let replaceable = ReplaceablePolicy::new(&policy(&issuer));
        let token = issuer.token(Algorithm::ES256).mint();
        let mut socket = connect(replaceable.policy(), &token).await;
        assert_echoes(&mut socket).await;
        replaceable.replace(&policy(&other));
        assert_ends(&mut socket, "unknown_issuer").await;
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_token_there_is_no_connection() {
        let issuer = TestIssuer::new("https://id.example");
        assert_refused(open(policy(&issuer), "/echo", &[]).await, 401);
        let offered = [("sec-websocket-protocol", "bearer")];
        assert_refused(open(policy(&issuer), "/echo", &offered).await, 401);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_a_subprotocol_opens_the_connection_and_is_not_echoed() {
        let clock = FixedClock::at(1_800_000_000);
        let issuer = TestIssuer::new("https://id.example").clock(clock.clone());
        let token = issuer.token(Algorithm::ES256).mint();
        // As a browser writes it: `new WebSocket(url, ["bearer", token])`.
        let offered = format!("bearer, {token}");
        let opened = open(policy(&issuer), "/echo", &[("sec-websocket-protocol", &offered)]).await;
        let (mut socket, response) = opened.expect("a connection");
        let selected: Vec<_> =
            response.headers().get_all("sec-websocket-protocol").iter().collect();
        assert_eq!(selected, ["bearer"]);
        assert!(!format!("{response:?}").contains(&token));
        assert_echoes(&mut socket).await;
        clock.advance(Duration::from_secs(330));
        assert_ends(&mut socket, "expired").await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_cookie_opens_the_connection_to_a_page_of_the_same_origin_only() {
        let clock = FixedClock::at(1_800_000_000);
        let issuer = TestIssuer::new("https://id.example").clock(clock.clone());
        let cookie = format!("__Host-token={}", issuer.token(Algorithm::ES256).mint());
        let from = async |origin| {
            open(policy(&issuer), "/echo", &[("cookie", &cookie), ("origin", origin)]).await
        };
        assert_refused(from("https://evil.example").await, 403);
        assert_refused(open(policy(&issuer), "/echo", &[("cookie", &cookie)]).await, 403);
        let (mut socket, _) = from("{origin}").await.expect("a connection");
        assert_echoes(&mut socket).await;
        clock.advance(Duration::from_secs(330));
        assert_ends(&mut socket, "expired").await;
    }

    async fn open_later(issuer: &TestIssuer) -> Socket {
        open(policy(issuer), "/echo-later", &[]).await.expect("a connection").0
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_in_the_first_message_is_not_echoed_and_ends_the_connection_with_it() {
        let clock = FixedClock::at(1_800_000_000);
        let issuer = TestIssuer::new("https://id.example").clock(clock.clone());
        let mut socket = open_later(&issuer).await;
        let token = issuer.token(Algorithm::ES256).mint();
        socket.send(Message::text(token)).await.expect("sent");
        assert_echoes(&mut socket).await;
        clock.advance(Duration::from_secs(330));
        assert_ends(&mut socket, "expired").await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_message_that_is_no_good_token_ends_the_connection() {
        let issuer = TestIssuer::new("https://id.example").at(1_800_000_000);
        let expired = issuer.token(Algorithm::ES256).expired().mint();
        for (message, why) in [
            (Message::text("hello"), "malformed"),
            (Message::text(expired), "expired"),
            (Message::binary("hello"), "token_missing"),
        ] {
            let mut socket = open_later(&issuer).await;
            socket.send(message).await.expect("sent");
            assert_ends(&mut socket, why).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_longer_than_patience_lasts_whatever_they_ping() {
        let issuer = TestIssuer::new("https://id.example");
        let mut socket = open_later(&issuer).await;
        let start = Instant::now();
        socket.send(Message::Ping("still here".into())).await.expect("sent");
        let pong = socket.next().await.expect("a pong").expect("a message");
        assert_eq!(pong, Message::Pong("still here".into()));
        assert_ends(&mut socket, "token_missing").await;
        assert!(start.elapsed() <= PATIENCE + Duration::from_secs(1), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_message_that_is_too_large_is_refused_before_it_is_read() {
        let issuer = TestIssuer::new("https://id.example");
        let mut socket = open_later(&issuer).await;
        // RFC 6455 §5.2: the head of a text of one byte too many, masked. Nothing follows.
        let mut head = vec![0x81, 0x80 | 126];
        head.extend(u16::try_from(LONGEST + 1).expect("small").to_be_bytes());
        head.extend([0; 4]);
        socket.get_mut().write_all(&head).await.expect("sent");
        assert_closed(&mut socket, close_code::SIZE, "too_large").await;
    }
}

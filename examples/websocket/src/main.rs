//! A WebSocket that ends when its token does, in axum.
//!
//! ```console
//! cargo run -p example-websocket
//! ```
//!
//! prints a line for [websocat](https://github.com/vi/websocat), with a token that lives for 30
//! seconds, to paste: what you type comes back, until the token expires.
//!
//! A browser cannot set the header: let it send the token in a `__Host-` cookie (the policy then
//! looks where the handshake comes from), or in the first message (see `Policy::verify_token`).
use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use axum::routing::any;
use portcullis::{Algorithm, Issuer, KeySet, VerifiedToken};
use portcullis_axum::{Caller, Policy, VerifyLayer};
use portcullis_testkit::TestIssuer;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// When a token expires is known beforehand; that its key was withdrawn must be asked, this often.
const RECHECK: Duration = Duration::from_secs(10);

async fn echo(State(policy): State<Policy>, caller: Caller, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| converse(socket, policy, caller.0))
}

async fn converse(mut socket: WebSocket, policy: Policy, token: VerifiedToken) {
    loop {
        let pause = policy.time_left(&token).min(RECHECK);
        let received = timeout(pause, socket.recv()).await;
        // Before what came is looked at.
        if let Err(error) = policy.recheck(&token).await {
            let reason = error.reason().into();
            let frame = CloseFrame { code: close_code::POLICY, reason };
            _ = socket.send(Message::Close(Some(frame))).await;
            return;
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
        .with_state(policy)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // For the demonstration only. Yours are the keys of a real issuer.
    let demo = TestIssuer::new("https://id.example").audience("https://orders.example");
    let token = demo.token(Algorithm::ES256).expires_in(Duration::from_secs(30)).mint();
    let issuer = Issuer::new("https://id.example")
        .algorithms([Algorithm::ES256])
        .keys(KeySet::from_jwks(demo.jwks_of(&[Algorithm::ES256]))?)
        .audience("https://orders.example");
    // Without leeway, to see the end to the second.
    let policy = Policy::builder().issuer(issuer).leeway(Duration::ZERO).build()?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("websocat -H 'Authorization: Bearer {token}' ws://{address}/echo");
    Ok(axum::serve(listener, app(policy)).await?)
}

/// Time is paused: it runs on whenever both sides wait, and nothing sleeps. What counts for the
/// token is the issuer's clock, which only the test moves.
#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use portcullis_testkit::FixedClock;
    use tokio::net::TcpStream;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    use tokio_tungstenite::tungstenite::{self, Message};
    use tokio_tungstenite::{WebSocketStream, client_async};

    use super::*;

    async fn connect(
        policy: Policy,
        token: Option<String>,
    ) -> Result<WebSocketStream<TcpStream>, Box<tungstenite::Error>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(axum::serve(listener, app(policy)).into_future());

        let url = format!("ws://{address}/echo");
        let mut request = url.into_client_request().expect("a request");
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().expect("a header");
            request.headers_mut().insert("authorization", value);
        }
        let stream = TcpStream::connect(address).await.expect("a connection");
        client_async(request, stream).await.map(|(socket, _)| socket).map_err(Box::new)
    }

    async fn assert_echoes(socket: &mut WebSocketStream<TcpStream>) {
        socket.send(Message::text("hello")).await.expect("sent");
        let echo = socket.next().await.expect("an echo").expect("a message");
        assert_eq!(echo, Message::text("hello"));
    }

    async fn assert_ends(socket: &mut WebSocketStream<TcpStream>, why: &str) {
        let end = timeout(RECHECK * 100, socket.next()).await.expect("an end in time");
        let end = end.expect("an end").expect("a message");
        let Message::Close(Some(frame)) = end else { panic!("{end:?} is no end") };
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (close_code::POLICY, why));
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_ends_when_its_token_expires() {
        let clock = FixedClock::at(1_800_000_000);
        let issuer = TestIssuer::new("https://id.example").clock(clock.clone());
        let token = issuer.token(Algorithm::ES256).mint();
        let mut socket = connect(issuer.policy(), Some(token)).await.expect("a connection");
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
        let mut socket = connect(issuer.policy(), Some(token)).await.expect("a connection");
        assert_echoes(&mut socket).await;
        issuer.retire("es256-1");
        assert_ends(&mut socket, "key_withdrawn").await;
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_token_there_is_no_connection() {
        let issuer = TestIssuer::new("https://id.example");
        let error = connect(issuer.policy(), None).await.expect_err("a refusal");
        let tungstenite::Error::Http(response) = *error else { panic!("{error}") };
        assert_eq!(response.status(), 401);
    }
}

//! Users of a real OpenID Provider log in and out, and it tells a service, on axum and on actix-web.
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use axum::Router;
use axum::routing::get;
use portcullis::{
    Algorithm, BackChannelLogout, Issuer, Policy, RemoteJwks, Revocable, Revocations,
};
use portcullis_interop::{Browser, Logouts, Provider};
use reqwest::StatusCode;

/// What does not come true within this time never does.
const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
enum Framework {
    Axum,
    Actix,
}

/// A service that is told of logouts.
struct Service {
    address: SocketAddr,
    actix: Option<ServerHandle>,
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(actix) = &self.actix {
            drop(actix.stop(false));
        }
    }
}

fn listener() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    listener
}

fn logout_url(listener: &TcpListener) -> String {
    format!("http://{}/backchannel-logout", listener.local_addr().expect("it is bound"))
}

impl Service {
    /// Starts it on `listener`. Its policy enforces revocations of `kind`.
    fn start(
        framework: Framework,
        listener: TcpListener,
        provider: &Provider,
        kind: Revocable,
    ) -> Self {
        let issuer = Issuer::new(provider.issuer())
            .algorithms([Algorithm::ES256])
            .keys(RemoteJwks::discovery())
            .audience(Provider::audience(Algorithm::ES256));
        let revocations = Revocations::in_memory();
        let policy = Policy::builder()
            .issuer(issuer)
            .revocations(revocations.enforce([kind]))
            .build()
            .expect("a policy without a fault");
        let logout = BackChannelLogout::new(policy.clone(), revocations, ["web"])
            .expect("a policy that enforces something")
            // As it signs ID tokens.
            .algorithms([Algorithm::RS256]);
        let address = listener.local_addr().expect("it is bound");
        let actix = match framework {
            Framework::Axum => {
                serve_axum(listener, policy, logout);
                None
            }
            Framework::Actix => Some(serve_actix(listener, policy, logout)),
        };
        Self { address, actix }
    }

    /// Status and challenge that a token gets.
    async fn ask(&self, token: &str) -> (StatusCode, String) {
        let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        let url = format!("http://{}/orders", self.address);
        let answer = client.get(url).bearer_auth(token).send().await.expect("it answers");
        let challenge = answer.headers().get("www-authenticate");
        let challenge = challenge.map_or("", |value| value.to_str().expect("a text"));
        (answer.status(), challenge.to_owned())
    }

    /// Waits until a token is refused, and says why.
    async fn refused(&self, token: &str) -> String {
        let start = Instant::now();
        loop {
            match self.ask(token).await {
                (StatusCode::UNAUTHORIZED, challenge) => return challenge,
                (status, _) => assert_eq!(status, StatusCode::OK),
            }
            assert!(start.elapsed() < DEADLINE, "the token still passes");
        }
    }
}

fn serve_axum(listener: TcpListener, policy: Policy, logout: BackChannelLogout) {
    let app = Router::new()
        .route("/orders", get(async || "orders").layer(portcullis_axum::VerifyLayer::new(policy)))
        .route("/backchannel-logout", portcullis_axum::back_channel_logout(logout));
    let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
    tokio::spawn(async move { axum::serve(listener, app).await });
}

fn serve_actix(listener: TcpListener, policy: Policy, logout: BackChannelLogout) -> ServerHandle {
    use actix_web::{App, HttpServer, rt, web};
    let (send, handle) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        rt::System::new().block_on(async {
            let server = HttpServer::new(move || {
                let protected = portcullis_actix::Verify::new(policy.clone());
                App::new()
                    .service(web::resource("/orders").wrap(protected).get(async || "orders"))
                    .service(portcullis_actix::back_channel_logout(
                        "/backchannel-logout",
                        logout.clone(),
                    ))
            });
            let server = server.workers(1).disable_signals().listen(listener)?.run();
            drop(send.send(server.handle()));
            server.await
        })
    });
    handle.recv().expect("it starts")
}

const REVOKED: &str =
    r#"Bearer error="invalid_token", error_description="The access token has been revoked""#;

async fn a_subject_logs_out(framework: Framework) {
    let listener = listener();
    let url = logout_url(&listener);
    let Some(provider) = Provider::with_logout_or_leave_out(&url).await else { return };
    let service = Service::start(framework, listener, &provider, Revocable::Subject);
    let (mut alice, mut bob) = (Browser::new(&provider), Browser::new(&provider));
    let token = alice.log_in("alice", Algorithm::ES256).await;
    let others = bob.log_in("bob", Algorithm::ES256).await;
    for token in [&token, &others] {
        assert_eq!(service.ask(token).await.0, StatusCode::OK);
    }
    alice.log_out().await;
    assert_eq!(service.refused(&token).await, REVOKED);
    assert_eq!(service.ask(&others).await.0, StatusCode::OK);
    assert_eq!(provider.logouts().await, Logouts { acknowledged: 1, failed: 0 });
}

#[tokio::test]
async fn who_logs_out_at_the_provider_is_logged_out_of_axum() {
    a_subject_logs_out(Framework::Axum).await;
}

#[tokio::test]
async fn who_logs_out_at_the_provider_is_logged_out_of_actix_web() {
    a_subject_logs_out(Framework::Actix).await;
}

#[tokio::test]
async fn a_session_ends_and_the_one_in_another_browser_goes_on() {
    for framework in [Framework::Axum, Framework::Actix] {
        let listener = listener();
        let url = logout_url(&listener);
        let Some(provider) = Provider::with_logout_or_leave_out(&url).await else { return };
        let service = Service::start(framework, listener, &provider, Revocable::Session);
        let (mut one, mut other) = (Browser::new(&provider), Browser::new(&provider));
        let token = one.log_in("alice", Algorithm::ES256).await;
        let elsewhere = other.log_in("alice", Algorithm::ES256).await;
        one.log_out().await;
        assert_eq!(service.refused(&token).await, REVOKED, "{framework:?}");
        assert_eq!(service.ask(&elsewhere).await.0, StatusCode::OK, "{framework:?}");
        assert_eq!(provider.logouts().await, Logouts { acknowledged: 1, failed: 0 });
    }
}

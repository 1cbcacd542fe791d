//! Clients of others with tokens that a real OpenID Provider binds to their keys (DPoP, RFC 9449), at services on axum and on
//! actix-web.
use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use axum::Router;
use axum::http::{Method, Uri};
use axum::routing::get;
use portcullis::dpop::{Dpop, InProcessReplays, Nonces};
use portcullis::{Algorithm, Clock as _, Issuer, Policy, RemoteJwks, SystemClock, UnixTime};
use portcullis_axum::Caller;
use portcullis_interop::{DpopClient, DpopLibrary, Exchange, Provider};
use portcullis_testkit::FixedClock;
use reqwest::StatusCode;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

const PATH: &str = "/v1/orders?page=2";

#[derive(Clone, Copy, Debug)]
enum Framework {
    Axum,
    Actix,
}

/// What a service takes for the time.
#[derive(Clone, Copy)]
enum Time {
    Real,
    /// It stands still, until a test moves it.
    Still,
}

/// A service that takes tokens which are bound to a key.
struct Service {
    address: SocketAddr,
    clock: FixedClock,
    actix: Option<ServerHandle>,
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(actix) = &self.actix {
            drop(actix.stop(false));
        }
    }
}

impl Service {
    fn start(
        framework: Framework,
        provider: &Provider,
        time: Time,
        dpop: impl FnOnce(Dpop, String) -> Dpop,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("it is bound");
        let issuer = Issuer::new(provider.issuer())
            .algorithms([Algorithm::ES256])
            .keys(RemoteJwks::discovery())
            .audience(Provider::audience(Algorithm::ES256));
        // A service that has just begun would refuse the first proofs.
        let now = SystemClock.now().0;
        let replays = InProcessReplays::new().started_at(UnixTime(now - 3600));
        let dpop = dpop(Dpop::new(replays), format!("http://{address}"));
        let clock = FixedClock::at(now);
        let policy = Policy::builder().issuer(issuer).dpop(dpop);
        let policy = match time {
            Time::Real => policy,
            Time::Still => policy.clock(clock.clone()),
        };
        let policy = policy.build().expect("a policy without a fault");
        let actix = match framework {
            Framework::Axum => {
                serve_axum(listener, policy);
                None
            }
            Framework::Actix => Some(serve_actix(listener, policy)),
        };
        Self { address, clock, actix }
    }

    fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// Status and challenges that these headers get: they are sent as they are.
    async fn send(&self, method: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
        let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        let method = method.parse().expect("a method");
        let mut request = client.request(method, self.url());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("it answers");
        let challenges = answer.headers().get_all("www-authenticate").iter();
        let challenges = challenges.map(|line| line.to_str().expect("a text"));
        (answer.status(), challenges.collect::<Vec<_>>().join(", "))
    }

    /// Sends again what was sent before.
    async fn replay(&self, method: &str, exchange: &Exchange) -> (StatusCode, String) {
        let (authorization, proof) = (&exchange.authorization, &exchange.proof);
        let (authorization, proof) = (authorization.as_deref(), proof.as_deref());
        let headers = [("authorization", authorization), ("dpop", proof)];
        let headers = headers.map(|(name, value)| (name, value.expect("it was sent")));
        self.send(method, &headers).await
    }
}

/// What a handler answers: it was reached with all of the request.
fn orders(method: &str, query: &str, body: &str, client: &str) -> String {
    format!("{method} {query} {body:?} of {client}")
}

fn serve_axum(listener: TcpListener, policy: Policy) {
    let handler = async |method: Method, uri: Uri, caller: Caller, body: String| {
        let client = caller.client_id().unwrap_or_default().to_owned();
        orders(method.as_str(), uri.query().unwrap_or_default(), &body, &client)
    };
    // Inside of the nest, where axum has taken the prefix away.
    let nested = Router::new().route("/orders", get(handler).post(handler));
    let nested = nested.layer(portcullis_axum::VerifyLayer::new(policy));
    let app = Router::new().nest("/v1", nested);
    let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
    tokio::spawn(async move { axum::serve(listener, app).await });
}

fn serve_actix(listener: TcpListener, policy: Policy) -> ServerHandle {
    use actix_web::{App, HttpRequest, HttpServer, rt, web};
    let handler = async |request: HttpRequest, caller: portcullis_actix::Caller, body: String| {
        let client = caller.client_id().unwrap_or_default().to_owned();
        orders(request.method().as_str(), request.query_string(), &body, &client)
    };
    let (send, handle) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        rt::System::new().block_on(async {
            let server = HttpServer::new(move || {
                let protected = portcullis_actix::Verify::new(policy.clone());
                let orders = web::resource("/orders").get(handler).post(handler);
                App::new().service(web::scope("/v1").wrap(protected).service(orders))
            });
            let server = server.workers(1).disable_signals().listen(listener)?.run();
            drop(send.send(server.handle()));
            server.await
        })
    });
    handle.recv().expect("it starts")
}

/// Clients by a library at both services, with a key of each kind that libraries make.
async fn clients_of(
    library: DpopLibrary,
    time: Time,
    dpop: impl Fn(Dpop, String) -> Dpop,
    check: impl AsyncFn(DpopClient, Service),
) {
    let Some(provider) = Provider::or_leave_out().await else { return };
    if !DpopClient::or_leave_out(library) {
        return;
    }
    let services = [(Algorithm::ES256, Framework::Axum), (Algorithm::Ed25519, Framework::Actix)];
    for (algorithm, framework) in services {
        let client = DpopClient::start(library, &provider, algorithm).await;
        // The provider gives out nonces of its own.
        let statuses: Vec<_> = client.at_the_provider().iter().map(|it| it.status).collect();
        assert_eq!(statuses, [400, 200], "{library:?}");
        check(client, Service::start(framework, &provider, time, &dpop)).await;
    }
}

async fn a_bound_token_passes_with_a_new_proof_and_with_nothing_less(library: DpopLibrary) {
    let check = async |mut client: DpopClient, service: Service| {
        let mut proofs = HashSet::new();
        for (method, body) in [("GET", None), ("POST", Some("a=1")), ("GET", None)] {
            let answered = client.ask(method, &service.url(), body).await;
            let expected = orders(method, "page=2", body.unwrap_or_default(), "svc");
            let found = (answered.status, answered.body.as_deref());
            assert_eq!(found, (Some(200), Some(&*expected)), "{library:?}: {answered:?}");
            let [exchange] = &*answered.exchanges else { panic!("{library:?}: {answered:?}") };
            let scheme = format!("DPoP {}", client.token());
            assert_eq!(exchange.authorization.as_deref(), Some(&*scheme), "{library:?}");
            proofs.insert(exchange.proof.clone());

            let (status, challenge) = service.replay(method, exchange).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{library:?}");
            let error = r#"DPoP error="invalid_dpop_proof""#;
            assert!(challenge.contains(error), "{library:?}: {challenge}");
        }
        assert_eq!(proofs.len(), 3, "{library:?}");

        let bearer = format!("Bearer {}", client.token());
        let (status, challenge) = service.send("GET", &[("authorization", &bearer)]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{library:?}");
        let error = r#"Bearer error="invalid_token""#;
        assert!(challenge.contains(error), "{library:?}: {challenge}");
    };
    clients_of(library, Time::Real, Dpop::at, check).await;
}

#[tokio::test]
async fn a_token_by_openid_client_passes_with_a_new_proof_and_with_nothing_less() {
    a_bound_token_passes_with_a_new_proof_and_with_nothing_less(DpopLibrary::OpenIdClient).await;
}

#[tokio::test]
async fn a_token_by_oauth4webapi_passes_with_a_new_proof_and_with_nothing_less() {
    a_bound_token_passes_with_a_new_proof_and_with_nothing_less(DpopLibrary::Oauth4WebApi).await;
}

#[tokio::test]
async fn a_token_by_dpop_of_npm_passes_with_a_new_proof_and_with_nothing_less() {
    a_bound_token_passes_with_a_new_proof_and_with_nothing_less(DpopLibrary::Dpop).await;
}

#[tokio::test]
async fn a_token_by_requests_oauth2client_passes_with_a_new_proof_and_with_nothing_less() {
    let library = DpopLibrary::RequestsOauth2Client;
    a_bound_token_passes_with_a_new_proof_and_with_nothing_less(library).await;
}

/// A service asks for a nonce of its own, which is not the provider's.
async fn a_nonce_is_asked_for_once(library: DpopLibrary) {
    let nonces = |dpop: Dpop, url| dpop.at(url).nonces(Nonces::of_this_process());
    let check = async |mut client: DpopClient, service: Service| {
        let first = client.ask("POST", &service.url(), Some("a=1")).await;
        let refused = &first.exchanges[0];
        assert_eq!(refused.status, 401, "{library:?}: {first:?}");
        let challenge = refused.challenge.as_deref().unwrap_or_default();
        // Before that of the other scheme: some look no further.
        assert!(
            challenge.starts_with(r#"DPoP error="use_dpop_nonce""#),
            "{library:?}: {challenge}"
        );
        assert!(refused.nonce.is_some(), "{library:?}: {first:?}");
        let again = if library.asks_again_with_a_nonce() {
            first
        } else {
            // Its user is told, and asks again.
            assert_eq!(first.exchanges.len(), 1, "{library:?}: {first:?}");
            assert_ne!(first.status, Some(200), "{library:?}: {first:?}");
            let mut again = client.ask("POST", &service.url(), Some("a=1")).await;
            again.exchanges.insert(0, refused.clone());
            again
        };
        let statuses: Vec<_> = again.exchanges.iter().map(|it| it.status).collect();
        assert_eq!(statuses, [401, 200], "{library:?}: {again:?}");
        let expected = orders("POST", "page=2", "a=1", "svc");
        let found = (again.status, again.body.as_deref());
        assert_eq!(found, (Some(200), Some(&*expected)), "{library:?}: {again:?}");

        // From now on it has one.
        let next = client.ask("GET", &service.url(), None).await;
        let [exchange] = &*next.exchanges else { panic!("{library:?}: {next:?}") };
        assert_eq!((next.status, exchange.status), (Some(200), 200), "{library:?}: {next:?}");
        let (status, _) = service.replay("GET", exchange).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{library:?}");
    };
    clients_of(library, Time::Real, nonces, check).await;
}

#[tokio::test]
async fn openid_client_asks_again_with_the_nonce_by_itself() {
    a_nonce_is_asked_for_once(DpopLibrary::OpenIdClient).await;
}

#[tokio::test]
async fn oauth4webapi_tells_its_user_to_ask_again_with_the_nonce() {
    a_nonce_is_asked_for_once(DpopLibrary::Oauth4WebApi).await;
}

#[tokio::test]
async fn who_uses_dpop_of_npm_has_to_ask_again_with_the_nonce() {
    a_nonce_is_asked_for_once(DpopLibrary::Dpop).await;
}

#[tokio::test]
async fn requests_oauth2client_asks_again_with_the_nonce_by_itself() {
    a_nonce_is_asked_for_once(DpopLibrary::RequestsOauth2Client).await;
}

/// The nonce of a success, which comes while the one before is still taken.
async fn the_next_nonce_comes_with_a_success(library: DpopLibrary) {
    let nonces = |dpop: Dpop, url| dpop.at(url).nonces(Nonces::of_this_process());
    let check = async |mut client: DpopClient, service: Service| {
        // Some ask again by themselves.
        client.ask("GET", &service.url(), None).await;
        let first = client.ask("GET", &service.url(), None).await;
        assert_eq!(first.status, Some(200), "{library:?}: {first:?}");
        for minute in 1..=3 {
            service.clock.advance(Duration::from_secs(60));
            let answered = client.ask("GET", &service.url(), None).await;
            let statuses: Vec<_> = answered.exchanges.iter().map(|it| it.status).collect();
            let is_asked = minute == 2 && !library.keeps_nonces_of_successes();
            let expected = if is_asked { &[401, 200][..] } else { &[200] };
            assert_eq!(statuses, expected, "{library:?}, minute {minute}: {answered:?}");
            assert!(answered.exchanges[0].nonce.is_some(), "{library:?}: {answered:?}");
        }
    };
    clients_of(library, Time::Still, nonces, check).await;
}

#[tokio::test]
async fn openid_client_takes_the_next_nonce_from_a_success() {
    the_next_nonce_comes_with_a_success(DpopLibrary::OpenIdClient).await;
}

#[tokio::test]
async fn oauth4webapi_takes_the_next_nonce_from_a_success() {
    the_next_nonce_comes_with_a_success(DpopLibrary::Oauth4WebApi).await;
}

#[tokio::test]
async fn requests_oauth2client_is_asked_for_the_next_nonce_every_other_minute() {
    the_next_nonce_comes_with_a_success(DpopLibrary::RequestsOauth2Client).await;
}

/// `Authorization` and `DPoP` of a request, and the status that the service answered.
type Seen = ([String; 2], u16);

/// The way to a service, on which answers can be lost.
struct Way {
    address: SocketAddr,
    /// How many of the next answers do not arrive.
    to_lose: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Way {
    /// To the service that is told in the end.
    async fn open() -> (Self, oneshot::Sender<SocketAddr>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (to_lose, seen) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (tell, told) = oneshot::channel();
        let way = (Arc::clone(&to_lose), Arc::clone(&seen));
        tokio::spawn(async move {
            let service = told.await.expect("a service");
            while let Ok((client, _)) = listener.accept().await {
                let (to_lose, seen) = way.clone();
                tokio::spawn(async move { Self::serve(client, service, &to_lose, &seen).await });
            }
        });
        (Self { address, to_lose, seen }, tell)
    }

    /// Ends with the connection, or where an answer is lost.
    async fn serve(
        client: TcpStream,
        service: SocketAddr,
        to_lose: &AtomicUsize,
        seen: &Mutex<Vec<Seen>>,
    ) -> Option<()> {
        let mut client = BufStream::new(client);
        loop {
            let request = Self::message(&mut client).await?;
            let mut own = BufStream::new(TcpStream::connect(service).await.ok()?);
            own.write_all(request.as_bytes()).await.ok()?;
            own.flush().await.ok()?;
            let answer = Self::message(&mut own).await?;
            let status = answer.split(' ').nth(1)?.parse().ok()?;
            let headers = ["authorization", "dpop"].map(|name| field(&request, name));
            seen.lock().expect("no panic").push((headers, status));
            let less = |left: usize| left.checked_sub(1);
            if to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
                return None;
            }
            client.write_all(answer.as_bytes()).await.ok()?;
            client.flush().await.ok()?;
        }
    }

    /// A request, or an answer, with a body whose length it says.
    async fn message(stream: &mut BufStream<TcpStream>) -> Option<String> {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            if stream.read_line(&mut text).await.ok()? == 0 {
                return None;
            }
        }
        let mut body = vec![0; field(&text, "content-length").parse().unwrap_or(0)];
        stream.read_exact(&mut body).await.ok()?;
        Some(text + &String::from_utf8(body).ok()?)
    }

    /// What went over it since the last time.
    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().expect("no panic"))
    }
}

/// The value of a header, or nothing.
fn field(message: &str, name: &str) -> String {
    let mut lines = message.lines().filter_map(|line| line.split_once(':'));
    let line = lines.find(|(own, _)| own.eq_ignore_ascii_case(name));
    line.map_or(String::new(), |(_, value)| value.trim().to_owned())
}

/// The service has used the proof, and its answer does not arrive.
async fn an_answer_is_lost(library: DpopLibrary, retries: usize) {
    let Some(provider) = Provider::or_leave_out().await else { return };
    if !DpopClient::or_leave_out(library) {
        return;
    }
    for framework in [Framework::Axum, Framework::Actix] {
        let mut client = DpopClient::start(library, &provider, Algorithm::ES256).await;
        let (way, tell) = Way::open().await;
        let (base, url) =
            (format!("http://{}", way.address), format!("http://{}{PATH}", way.address));
        let service = Service::start(framework, &provider, Time::Real, |dpop, _| dpop.at(base));
        tell.send(service.address).expect("it waits");
        let first = client.ask("GET", &url, None).await;
        assert_eq!(first.status, Some(200), "{library:?}: {first:?}");
        way.seen();

        way.to_lose.store(1, Ordering::SeqCst);
        let lost = client.ask_again("GET", &url, None, retries).await;
        let seen = way.seen();
        let statuses: Vec<_> = seen.iter().map(|(_, status)| *status).collect();
        let ([authorization, used], _) = &seen[0];
        if retries == 0 {
            // Its user is told, and nothing was sent again.
            assert_eq!((lost.status, statuses), (None, vec![200]), "{library:?}: {lost:?}");
        } else {
            // The same bytes: the service cannot know that it is no thief.
            assert_eq!(seen[1].0[1], *used, "{library:?}");
            assert_eq!((lost.status, statuses), (Some(401), vec![200, 401]), "{lost:?}");
        }
        let again = [("authorization", &**authorization), ("dpop", &**used)];
        let (status, challenge) = service.send("GET", &again).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{library:?}");
        assert!(challenge.contains(r#"DPoP error="invalid_dpop_proof""#), "{challenge}");

        let next = client.ask("GET", &url, None).await;
        let seen = way.seen();
        assert_eq!((next.status, seen.len()), (Some(200), 1), "{library:?}: {next:?}");
        assert_ne!(seen[0].0[1], *used, "{library:?}");
    }
}

#[tokio::test]
async fn openid_client_sends_no_proof_again_after_a_lost_answer_and_gets_in_with_the_next() {
    an_answer_is_lost(DpopLibrary::OpenIdClient, 0).await;
}

#[tokio::test]
async fn oauth4webapi_sends_no_proof_again_after_a_lost_answer_and_gets_in_with_the_next() {
    an_answer_is_lost(DpopLibrary::Oauth4WebApi, 0).await;
}

#[tokio::test]
async fn dpop_of_npm_sends_no_proof_again_after_a_lost_answer_and_gets_in_with_the_next() {
    an_answer_is_lost(DpopLibrary::Dpop, 0).await;
}

#[tokio::test]
async fn requests_oauth2client_sends_no_proof_again_after_a_lost_answer_and_gets_in_with_the_next()
{
    an_answer_is_lost(DpopLibrary::RequestsOauth2Client, 0).await;
}

/// `urllib3.Retry`, as many programs have it.
#[tokio::test]
async fn retries_below_requests_oauth2client_send_the_same_proof_which_is_refused() {
    an_answer_is_lost(DpopLibrary::RequestsOauth2Client, 1).await;
}

/// What a service refuses for good is asked once, and once more for the nonce.
async fn a_proof_for_another_address_is_not_sent_again_and_again(nonces: Option<&Nonces>) {
    let elsewhere = |dpop: Dpop, _| {
        let dpop = dpop.at("https://api.example");
        nonces.cloned().into_iter().fold(dpop, Dpop::nonces)
    };
    for library in DpopLibrary::ALL {
        let check = async |mut client: DpopClient, service: Service| {
            for _ in 0..2 {
                let answered = client.ask("GET", &service.url(), None).await;
                assert_ne!(answered.status, Some(200), "{library:?}: {answered:?}");
                let exchanges = &*answered.exchanges;
                let limit = if nonces.is_some() { 2 } else { 1 };
                assert!((1..=limit).contains(&exchanges.len()), "{library:?}: {answered:?}");
                assert!(exchanges.iter().all(|it| it.status == 401), "{library:?}: {answered:?}");
                if library == DpopLibrary::RequestsOauth2Client {
                    // It looks for a nonce in any answer that begins with `DPoP`, and would throw where there is none.
                    assert_eq!(answered.status, Some(401), "{answered:?}");
                }
            }
        };
        clients_of(library, Time::Real, elsewhere, check).await;
    }
}

#[tokio::test]
async fn a_refused_request_is_not_sent_again() {
    a_proof_for_another_address_is_not_sent_again_and_again(None).await;
}

#[tokio::test]
async fn a_refused_request_is_sent_once_more_for_a_nonce_and_then_no_more() {
    let nonces = Nonces::of_this_process();
    a_proof_for_another_address_is_not_sent_again_and_again(Some(&nonces)).await;
}

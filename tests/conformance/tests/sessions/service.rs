//! A service with sessions, in each framework, and what may have become of a session before a request comes.
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use actix_web::HttpResponse;
use axum::Router;
use axum::routing::any;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use portcullis::dpop::Dpop;
use portcullis::mtls::Mtls;
use portcullis::request::PeerAddress;
use portcullis::routes::{BoundedBody, Reply};
use portcullis::{
    Algorithm, Policy, PolicyBuilder, RequestView, Requirement, Revocations, Secret, TokenSource,
    UnixTime,
};
use portcullis_actix::ActixRequest;
use portcullis_axum::AxumRequest;
use portcullis_conformance::client::{Protocol, Request};
use portcullis_conformance::doors::certificate;
use portcullis_issuer::routes::{SessionCookies, SessionRouteError};
use portcullis_issuer::session::{MemorySessions, SessionRow, SessionStore as _};
use portcullis_issuer::store::{MemoryRing, StoreError};
use portcullis_issuer::{
    Answer as Says, BrowserSessions, EndReason, Lifetimes, NativeSessions, OwnSessions,
    RefreshRequest, SessionId, Sessions, StoreTime, TokenIssuer, Unanswered,
};
use serde_json::json;

pub(crate) const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://orders.example";
const ROOT: &str = "FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old";
pub(crate) const APP: &str = "https://app.example";

pub(crate) const REFRESH: &str = "/session/refresh";
pub(crate) const LOGOUT: &str = "/session/logout";
pub(crate) const EVERYWHERE: &str = "/session/logout-everywhere";
pub(crate) const LOGIN: &str = "/login";
pub(crate) const NATIVE_LOGIN: &str = "/native-login";
pub(crate) const TOKEN: &str = "/oauth/token";
pub(crate) const REVOKE: &str = "/oauth/revoke";
pub(crate) const OWN: &str = "/sessions";

/// What does not work while a request is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Fault {
    #[default]
    None,
    /// The store of sessions is away.
    Store,
    /// The application cannot tell.
    Application,
    /// Its claims have a reserved name.
    Reserved,
    /// Its claims are longer than a cookie.
    Long,
    /// The subject may not go on.
    Disabled,
}

/// Which refresh token comes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Held {
    /// One that was just written.
    #[default]
    Young,
    /// One that is to rotate.
    Due,
    /// One that rotated a moment ago.
    Previous,
    /// One that rotated long ago.
    Replayed,
    /// Of a session that was ended.
    Ended,
    /// Of one that nobody came back to.
    Idle,
    /// Of another client's.
    OtherClient,
    /// Of a user who was logged out everywhere.
    LoggedOut,
}

/// What is so before a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    pub(crate) held: Held,
    pub(crate) client: &'static str,
    pub(crate) is_remembered: bool,
    pub(crate) is_long_ago: bool,
    pub(crate) scopes: &'static [&'static str],
    pub(crate) fault: Fault,
}

/// A service of its own: what happens to its sessions, happens to no other's.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) issuer: TokenIssuer<MemoryRing>,
    store: MemorySessions,
    pub(crate) sessions: Sessions,
    pub(crate) fault: Arc<Mutex<Fault>>,
    pub(crate) policy: Policy,
    pub(crate) browser: BrowserSessions,
    pub(crate) native: NativeSessions,
    pub(crate) own: OwnSessions,
}

/// What a request may speak of.
#[derive(Clone)]
pub(crate) struct Tokens {
    pub(crate) subject: String,
    pub(crate) session: SessionId,
    pub(crate) access: String,
    pub(crate) refresh: String,
    /// Of a login of the same user with another client.
    pub(crate) other: String,
}

impl Service {
    pub(crate) async fn new() -> Self {
        Self::with(Revocations::in_memory()).await
    }

    pub(crate) async fn with(revocations: Revocations) -> Self {
        Self::with_dpop(revocations, None).await
    }

    /// The same, whose native clients and API take proofs of a key.
    pub(crate) async fn with_dpop(revocations: Revocations, dpop: Option<Dpop>) -> Self {
        Self::bound(revocations, dpop, None).await
    }

    /// The same, and certificates.
    pub(crate) async fn bound(
        revocations: Revocations,
        dpop: Option<Dpop>,
        mtls: Option<Mtls>,
    ) -> Self {
        let issuer = TokenIssuer::builder(ISSUER)
            .algorithm(Algorithm::ES256)
            .audiences([AUDIENCE])
            .lifetime(Duration::from_secs(15 * 60))
            .root_secrets([Secret::new(ROOT)])
            .ring(MemoryRing::new())
            .revocations(revocations.clone())
            .refreshed_by_hand();
        let issuer = issuer.build().await.expect("an issuer");
        let (store, fault) = (MemorySessions::new(), Arc::new(Mutex::new(Fault::None)));
        let said = Arc::clone(&fault);
        let sessions = Sessions::builder(&issuer)
            .store(store.clone())
            .lifetimes(Lifetimes::aal1())
            .ask(move |_| {
                let says = match *said.lock().expect("no panic") {
                    Fault::None | Fault::Store => Ok(Says::GoOn(json!({}))),
                    Fault::Application => Err(Unanswered::new("away")),
                    Fault::Reserved => Ok(Says::GoOn(json!({ "sub": "LEAK" }))),
                    Fault::Long => Ok(Says::GoOn(json!({ "long": "x".repeat(4096) }))),
                    Fault::Disabled => Ok(Says::End(EndReason::AccountDisabled)),
                };
                async move { says }
            });
        let sessions = sessions.build().await.expect("sessions");
        let browser = BrowserSessions::new(sessions.clone(), "web").expect("a client");
        let browser = browser.allowed_origins([APP]).expect("an origin");
        let policy = issuer
            .policy_builder()
            .revocations(sessions.enforced())
            .sources([TokenSource::bearer(), browser.access_cookie().into()]);
        let policy = dpop.iter().cloned().fold(policy, PolicyBuilder::dpop);
        let policy = mtls.iter().cloned().fold(policy, PolicyBuilder::mtls);
        let policy = policy.build().expect("a policy");
        let native = NativeSessions::new(sessions.clone(), ["app", "cli"]).expect("clients");
        let proofs = dpop.map(|dpop| dpop.for_token_endpoint().expect("good settings"));
        let native = proofs.into_iter().fold(native, NativeSessions::dpop);
        let certificates = mtls.map(|mtls| mtls.for_token_endpoint().expect("good settings"));
        let native = certificates.into_iter().fold(native, NativeSessions::mtls);
        // Whoever allows anonymous requests elsewhere does not open this.
        let own = OwnSessions::new(sessions.clone(), policy.clone().allow_anonymous())
            .may_end(Requirement::max_age(Duration::from_secs(600)));
        Self { issuer, store, sessions, fault, policy, browser, native, own }
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().expect("no panic") = fault;
        let away = (fault == Fault::Store).then(|| StoreError::new("connection refused"));
        self.store.set_fault(away);
    }

    /// A session of this client, and which of its tokens comes.
    pub(crate) async fn begin(&self, given: &Given, subject: &str) -> Tokens {
        let client = given.client;
        // The other one begins later, in whatever order they are listed.
        let now = StoreTime::from(SystemTime::now());
        self.store.set_now(now);
        let attempt = self.sessions.attempt(subject).await.expect("an attempt");
        let mut login = attempt
            .succeeded(if given.held == Held::OtherClient { "other" } else { client })
            .remember(given.is_remembered)
            .scopes(given.scopes.iter().copied())
            .label("Firefox");
        if given.is_long_ago {
            login = login.authenticated_at(UnixTime(1_700_000_000));
        }
        let begun = self.sessions.begin(login).await.expect("a session");
        let (id, token) = (begun.session.id(), begun.refresh.as_str().to_owned());
        let age = || {
            self.store.tamper(ISSUER, id, |row| {
                row.rotated_at = row.rotated_at.before(Duration::from_secs(120));
            });
        };
        let rotate = async || {
            let request = RefreshRequest::new(&token, client);
            self.sessions.refresh(&request).await.expect("rotated");
        };
        match given.held {
            Held::Young | Held::OtherClient => {}
            Held::Due => age(),
            Held::Previous => {
                age();
                rotate().await;
            }
            Held::Replayed => {
                age();
                rotate().await;
                age();
            }
            Held::Ended => {
                let ended = self.sessions.end(id, EndReason::Operator).await;
                assert_eq!(ended, Ok(true));
            }
            Held::Idle => {
                self.store.tamper(ISSUER, id, |row| row.idle_until = row.created_at);
            }
            Held::LoggedOut => {
                let ended = self.sessions.end_all(subject, None, EndReason::CredentialsChanged);
                assert_eq!(ended.await, Ok(1));
            }
        }
        self.store.set_now(now.after(Duration::from_secs(1)));
        let attempt = self.sessions.attempt(subject).await.expect("an attempt");
        let other = self.sessions.begin(attempt.succeeded("other")).await.expect("a session");
        Tokens {
            subject: subject.to_owned(),
            session: id,
            access: begun.access.token,
            refresh: token,
            other: other.refresh.as_str().to_owned(),
        }
    }

    /// How many sessions of a user are not over.
    pub(crate) async fn count(&self, subject: &str) -> usize {
        self.sessions.list(subject, None, 100).await.expect("a list").len()
    }

    async fn browser_login(
        &self,
        request: &impl RequestView,
    ) -> Result<SessionCookies, SessionRouteError> {
        let login = self.browser.check_login(request)?;
        let attempt = self.sessions.attempt("alice").await.expect("an attempt");
        let begun = self.sessions.begin(login.succeeded(attempt)).await.expect("a session");
        Ok(login.cookies(&begun)?)
    }

    async fn native_login(&self, request: &impl RequestView) -> Reply<SessionRouteError> {
        let begun = async {
            let login = self.native.check_login(request, "app")?;
            let attempt = self.sessions.attempt("alice").await?;
            let login = login.succeeded(attempt).scopes(["read", "write"]);
            Ok(self.sessions.begin(login).await?)
        };
        match begun.await {
            Ok(begun) => self.native.answer_login(&begun),
            Err(error) => self.native.refuse(error, request),
        }
    }

    /// Changes the row of a session, as nobody could.
    pub(crate) fn tamper(&self, id: SessionId, change: impl FnOnce(&mut SessionRow)) {
        self.store.tamper(ISSUER, id, change);
    }

    /// The row of a session.
    pub(crate) async fn row(&self, id: SessionId) -> SessionRow {
        let read = self.store.read(ISSUER, id).await.expect("a store");
        read.row.expect("a row")
    }

    pub(crate) fn router(&self) -> Router {
        let (own, native) = (self.clone(), self.clone());
        let login = any(async move |request: axum::extract::Request| {
            let (head, _) = request.into_parts();
            match own.browser_login(&AxumRequest::from(&head)).await {
                Ok(cookies) => {
                    let mut response = axum::response::Response::new("Welcome.".into());
                    cookies.add_to(response.headers_mut());
                    response
                }
                Err(error) => portcullis_axum::respond(error.reply()),
            }
        });
        let native_login = any(async move |request: axum::extract::Request| {
            let (head, _) = request.into_parts();
            portcullis_axum::respond(native.native_login(&AxumRequest::from(&head)).await)
        });
        Router::new()
            .route(LOGIN, login)
            .route(NATIVE_LOGIN, native_login)
            .nest("/session", portcullis_axum::browser_sessions(self.browser.clone()))
            .nest("/oauth", portcullis_axum::native_sessions(self.native.clone()))
            .nest(OWN, portcullis_axum::own_sessions(self.own.clone()))
    }

    pub(crate) fn configure(&self, app: &mut actix_web::web::ServiceConfig) {
        use actix_web::web;
        let (own, native) = (self.clone(), self.clone());
        let login = web::to(move |request: actix_web::HttpRequest| {
            let own = own.clone();
            async move {
                match own.browser_login(&ActixRequest(&request)).await {
                    Ok(cookies) => {
                        let mut response = HttpResponse::Ok().body("Welcome.");
                        portcullis_actix::add_session_cookies(&cookies, response.headers_mut());
                        response
                    }
                    Err(error) => portcullis_actix::respond(error.reply()),
                }
            }
        });
        let native_login = web::to(move |request: actix_web::HttpRequest| {
            let native = native.clone();
            async move {
                let request = ActixRequest(&request);
                portcullis_actix::respond(native.native_login(&request).await)
            }
        });
        app.route(LOGIN, login)
            .route(NATIVE_LOGIN, native_login)
            .service(portcullis_actix::browser_sessions("/session", self.browser.clone()))
            .service(portcullis_actix::native_sessions("/oauth", self.native.clone()))
            .service(portcullis_actix::own_sessions(OWN, self.own.clone()));
    }

    /// What an adapter does, without one.
    pub(crate) async fn ask_core(&self, request: &Request) -> http::Response<Bytes> {
        self.ask_core_with(request, false).await
    }

    /// As [`ask_core`](Self::ask_core), with a body that may break off where it ends.
    pub(crate) async fn ask_core_with(
        &self,
        request: &Request,
        is_broken: bool,
    ) -> http::Response<Bytes> {
        let (mut head, body) = request.build(Protocol::Http1).into_parts();
        // As the servers do, on this machine.
        head.extensions.insert(PeerAddress::Ip(([127, 0, 0, 1], 4711).into()));
        head.extensions.insert(certificate());
        let bytes = body.collect().await.expect("bytes").to_bytes();
        let fill = |mut body: BoundedBody| {
            // Piece by piece, as it comes.
            let _ = bytes.chunks(1000).all(|piece| body.push(piece));
            if is_broken {
                body.break_off();
            }
            body
        };
        let (browser, native) = (&self.browser, &self.native);
        let reply = match head.uri.path() {
            REFRESH => browser.refresh(&head, fill(browser.body())).await,
            LOGOUT => browser.log_out(&head, fill(browser.body())).await,
            EVERYWHERE => browser.log_out_everywhere(&head, fill(browser.body())).await,
            TOKEN => native.token(&head, fill(native.body())).await,
            REVOKE => native.revoke(&head, fill(native.body())).await,
            NATIVE_LOGIN => self.native_login(&head).await,
            LOGIN => match self.browser_login(&head).await {
                Ok(cookies) => {
                    let mut response = http::Response::new(Bytes::from("Welcome."));
                    cookies.add_to(response.headers_mut());
                    return response;
                }
                Err(error) => error.reply(),
            },
            path => match self.own.admit(&head).await {
                Ok(owner) if path == OWN => owner.list(&head).await,
                Ok(owner) => owner.end(&head).await,
                Err(rejection) => return rejection.into_response(),
            },
        };
        reply.into_response()
    }
}

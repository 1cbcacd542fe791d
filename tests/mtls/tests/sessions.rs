//! Sessions of an issuer that are bound to a certificate of their client (RFC 8705 §4), over real TLS.
use core::time::Duration;
use std::sync::Arc;

use actix_web::{App, HttpRequest, HttpServer, web};
use axum::Router;
use axum::extract::Request;
use axum::routing::{get, post};
use portcullis::mtls::Mtls;
use portcullis::routes::Reply;
use portcullis::tls::AnyClientCertificate;
use portcullis::{Algorithm, Policy, RequestView, Revocations, Secret};
use portcullis_actix::{ActixRequest, Verify};
use portcullis_axum::tls::Tls;
use portcullis_axum::{AxumRequest, VerifyLayer};
use portcullis_issuer::routes::SessionRouteError;
use portcullis_issuer::session::MemorySessions;
use portcullis_issuer::store::MemoryRing;
use portcullis_issuer::{Answer as Says, Lifetimes, NativeSessions, Sessions, TokenIssuer};
use portcullis_mtls_tests::{Answer, Client, Door, Identity, Server, Versions, tls_config};
use serde_json::json;

/// Whom users log in with, and an API. Both are told of clients' certificates by TLS.
#[derive(Clone)]
struct Service {
    sessions: Sessions,
    native: NativeSessions,
    policy: Policy,
}

impl Service {
    async fn new() -> Self {
        let issuer = TokenIssuer::builder("https://id.example")
            .algorithm(Algorithm::ES256)
            .audiences(["https://orders.example"])
            .lifetime(Duration::from_secs(15 * 60))
            .root_secrets([Secret::new("FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old")])
            .ring(MemoryRing::new())
            .revocations(Revocations::in_memory())
            .refreshed_by_hand();
        let issuer = issuer.build().await.expect("an issuer");
        let sessions = Sessions::builder(&issuer)
            .store(MemorySessions::new())
            .lifetimes(Lifetimes::aal1())
            .ask(async |_| Ok(Says::GoOn(json!({}))));
        let sessions = sessions.build().await.expect("sessions");
        let certificates = Mtls::from_tls().required().for_token_endpoint().expect("good settings");
        let native = NativeSessions::new(sessions.clone(), ["app"]).expect("a client");
        let policy = issuer.policy_builder().revocations(sessions.enforced());
        let policy = policy.mtls(Mtls::from_tls().required()).build();
        Self { sessions, native: native.mtls(certificates), policy: policy.expect("a policy") }
    }

    async fn log_in(&self, request: &impl RequestView) -> Reply<SessionRouteError> {
        let begun = async {
            let login = self.native.check_login(request, "app")?;
            let attempt = self.sessions.attempt("alice").await?;
            Ok(self.sessions.begin(login.succeeded(attempt)).await?)
        };
        match begun.await {
            Ok(begun) => self.native.answer_login(&begun),
            Err(error) => self.native.refuse(error, request),
        }
    }

    async fn serve(self, door: Door, own: &Identity) -> Server {
        let any = AnyClientCertificate::new(&rustls::crypto::aws_lc_rs::default_provider());
        let config = tls_config(own, Arc::new(any.optional()));
        match door {
            Door::Axum => {
                let oauth = portcullis_axum::native_sessions(self.native.clone());
                let api = get(async || "orders").layer(VerifyLayer::new(self.policy.clone()));
                let login = post(async move |request: Request| {
                    let (head, _) = request.into_parts();
                    portcullis_axum::respond(self.log_in(&AxumRequest::from(&head)).await)
                });
                let app = Router::new().route("/login", login).route("/orders", api);
                let app = app.nest("/oauth", oauth);
                Server::axum(Tls::new(config).expect("a good one"), app).await
            }
            Door::Actix => Server::actix(move |listener| {
                let app = move || {
                    let service = self.clone();
                    let login = move |request: HttpRequest| {
                        let service = service.clone();
                        async move {
                            let reply = service.log_in(&ActixRequest(&request)).await;
                            portcullis_actix::respond(reply)
                        }
                    };
                    let orders = web::resource("/orders").get(async || "orders");
                    App::new()
                        .route("/login", web::post().to(login))
                        .service(orders.wrap(Verify::new(self.policy.clone())))
                        .service(portcullis_actix::native_sessions("/oauth", self.native.clone()))
                };
                let server = HttpServer::new(app).workers(1);
                Ok(portcullis_actix::tls::listen(server, listener, config)?.run())
            }),
        }
    }
}

/// Somebody with a certificate or none, each time over a connection of their own.
struct Caller<'a> {
    server: &'a Server,
    client: Client,
}

impl<'a> Caller<'a> {
    fn new(server: &'a Server, versions: Versions, identity: Option<&Identity>) -> Self {
        let client = Client::new(versions);
        let client = match identity {
            Some(identity) => client.presenting(identity),
            None => client,
        };
        Self { server, client }
    }

    async fn post(&self, path: &str, form: &str) -> Answer {
        let mut connection = self.client.connect(&self.server.address).await.expect("TLS");
        connection.post(path, form).await.expect("an answer")
    }

    async fn refresh(&self, token: &str) -> Answer {
        let form = format!("grant_type=refresh_token&client_id=app&refresh_token={token}");
        self.post("/oauth/token", &form).await
    }

    async fn orders(&self, access: &str) -> u16 {
        let mut connection = self.client.connect(&self.server.address).await.expect("TLS");
        let authorization = format!("Bearer {access}");
        let headers = [("authorization", authorization.as_str())];
        connection.get("/orders", &headers).await.expect("an answer").status
    }
}

fn text(answer: &Answer, name: &str) -> String {
    answer.json()[name].as_str().unwrap_or_else(|| panic!("no {name}: {answer:?}")).to_owned()
}

#[tokio::test]
async fn over_tls_a_session_goes_on_for_who_presents_the_certificate_that_it_began_with() {
    let (own, alice, bob) = (Identity::new(), Identity::new(), Identity::new());
    for door in Door::ALL {
        let server = Service::new().await.serve(door, &own).await;
        for versions in Client::VERSIONS {
            let what = format!("{door:?} {versions:?}");
            let caller = |identity| Caller::new(&server, versions, identity);
            let (alice, others) = (caller(Some(&alice)), [caller(Some(&bob)), caller(None)]);
            let begun = alice.post("/login", "").await;
            let (access, refresh) = (text(&begun, "access_token"), text(&begun, "refresh_token"));
            for other in &others {
                let answer = other.refresh(&refresh).await;
                assert_eq!(answer.status, 400, "{what}");
                assert_eq!(text(&answer, "error"), "invalid_grant", "{what}");
                assert_eq!(other.orders(&access).await, 401, "{what}");
            }
            // Who has the certificate goes on, whoever came in between.
            let next = alice.refresh(&refresh).await;
            assert_eq!(next.status, 200, "{what}: {next:?}");
            assert_eq!(alice.orders(&access).await, 200, "{what}");
            assert_eq!(alice.orders(&text(&next, "access_token")).await, 200, "{what}");
            for other in &others {
                assert_eq!(other.orders(&text(&next, "access_token")).await, 401, "{what}");
            }
            // Where a certificate is required, nobody begins without one.
            let answer = others[1].post("/login", "").await;
            assert_eq!(answer.status, 400, "{what}: {answer:?}");
        }
    }
}

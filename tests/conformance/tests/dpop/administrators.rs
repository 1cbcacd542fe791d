//! Administrators who revoke with a token that is bound to their key.
use std::net::TcpListener;
use std::time::Duration;

use axum::Router;
use portcullis::dpop::{Dpop, InProcessReplays, Nonces};
use portcullis::{Algorithm, Requirement, Revocable, RevocationAdmin, Revocations, UnixTime};
use portcullis_conformance::client::{Answer, Protocol, Request, send};
use portcullis_conformance::doors::{Running, serve_actix, serve_axum};
use portcullis_testkit::{FixedClock, ProofBuilder, SigningKey, TestIssuer};
use serde_json::json;

use super::nonces::{given, nonce};
use super::{NOW, errors, refused};

const ISSUER: &str = "https://id.example";
const PATH: &str = "/admin/revocations";
const URL: &str = "https://api.example/admin/revocations";

struct Administration {
    issuer: TestIssuer,
    clock: FixedClock,
    key: SigningKey,
    replays: InProcessReplays,
    revocations: Revocations,
    server: Running,
}

impl Administration {
    fn each(change: impl Fn(Dpop) -> Dpop) -> [Self; 2] {
        [false, true].map(|is_actix| {
            let clock = FixedClock::at(NOW);
            let issuer = TestIssuer::new(ISSUER).clock(clock.clone());
            let replays = InProcessReplays::new().started_at(UnixTime(NOW - 3600));
            let dpop = change(Dpop::new(replays.clone()).at("https://api.example"));
            let revocations = Revocations::options().clock(clock.clone()).in_memory();
            let enforced = revocations.enforce([Revocable::Subject]);
            let policy = issuer.policy_builder().dpop(dpop).revocations(enforced).build();
            let role = Requirement::role("role", "operator");
            let admin = RevocationAdmin::new(revocations.clone(), policy.expect("a policy"), role);
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let server = if is_actix {
                let routes = move |app: &mut actix_web::web::ServiceConfig| {
                    app.service(portcullis_actix::revocation_admin(PATH, admin.clone()));
                };
                serve_actix(routes, listener)
            } else {
                let routes = Router::new().nest(PATH, portcullis_axum::revocation_admin(admin));
                serve_axum(routes, listener)
            };
            let (key, server) = (SigningKey::generate(Algorithm::ES256), server.expect("a server"));
            Self { issuer, clock, key, replays, revocations, server }
        })
    }

    fn token(&self) -> String {
        let token = self.issuer.token(Algorithm::ES256).subject("carol");
        token.claim("role", "operator").bound_to(&self.key).mint()
    }

    fn proof(&self, method: &str, token: &str) -> ProofBuilder {
        self.issuer.proof(&self.key, method, URL).token(token)
    }

    /// Revokes the tokens of alice.
    async fn revoke(&self, scheme: &str, token: &str, proof: Option<&str>) -> Answer {
        let body = json!({ "revoke": "subject", "issuer": ISSUER, "subject": "alice" });
        let request = Request::new("POST", PATH)
            .header("authorization", format!("{scheme} {token}"))
            .header("content-type", "application/json")
            .body(body.to_string());
        self.send(proof.into_iter().fold(request, |request, proof| request.header("dpop", proof)))
            .await
    }

    async fn send(&self, request: Request) -> Answer {
        send(self.server.address(), Protocol::Http1, &request).await.expect("an answer")
    }

    fn changes(&self) -> u64 {
        self.revocations.stats().changes
    }
}

#[tokio::test]
async fn an_administrator_revokes_with_a_bound_token_and_its_proof_and_in_no_other_way() {
    for service in Administration::each(|dpop| dpop) {
        let token = service.token();
        let proof = service.proof("POST", &token).mint();
        for proof in [None, Some(&*proof)] {
            let answer = service.revoke("Bearer", &token, proof).await;
            assert_eq!((answer.status, errors(&answer)), (401, refused("Bearer", "invalid_token")));
        }
        let of_the_method = service.proof("GET", &token).mint();
        let thief = SigningKey::generate(Algorithm::ES256);
        let of_another_key = service.issuer.proof(&thief, "POST", URL).token(&token).mint();
        for (proof, error) in [
            (None, "invalid_dpop_proof"),
            (Some(&*of_the_method), "invalid_dpop_proof"),
            (Some(&*of_another_key), "invalid_token"),
        ] {
            let answer = service.revoke("DPoP", &token, proof).await;
            assert_eq!((answer.status, errors(&answer)), (401, refused("DPoP", error)));
        }
        assert_eq!((service.changes(), service.replays.len()), (0, 0));

        let answer = service.revoke("DPoP", &token, Some(&proof)).await;
        assert_eq!((answer.status, service.changes()), (204, 1), "{answer:?}");
        let again = service.revoke("DPoP", &token, Some(&proof)).await;
        assert_eq!((again.status, errors(&again)), (401, refused("DPoP", "invalid_dpop_proof")));
        assert_eq!(service.changes(), 1);
    }
}

#[tokio::test]
async fn an_administrator_is_told_the_latest_nonce_with_each_answer_that_has_not_got_it() {
    for service in Administration::each(|dpop| dpop.nonces(Nonces::of_this_process())) {
        let token = service.token();
        let with =
            |method: &str, nonce: &str| service.proof(method, &token).claim("nonce", nonce).mint();
        let first =
            service.revoke("DPoP", &token, Some(&service.proof("POST", &token).mint())).await;
        assert_eq!((first.status, errors(&first)), (401, refused("DPoP", "use_dpop_nonce")));
        let old = nonce(&first);
        let answer = service.revoke("DPoP", &token, Some(&with("POST", &old))).await;
        assert_eq!((answer.status, given(&answer)), (204, vec![]));

        service.clock.advance(Duration::from_secs(60));
        let answer = service.revoke("DPoP", &token, Some(&with("POST", &old))).await;
        assert_eq!(answer.status, 204);
        let latest = nonce(&answer);
        assert_ne!(latest, old);
        assert_eq!(answer.header("cache-control").collect::<Vec<_>>(), [b"no-store"]);
        // What is not done tells it as well.
        let deletes = Request::new("DELETE", PATH)
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", with("DELETE", &old));
        let answer = service.send(deletes).await;
        assert_eq!((answer.status, nonce(&answer)), (405, latest.clone()));
        let answer = service.revoke("DPoP", &token, Some(&with("POST", &latest))).await;
        assert_eq!((answer.status, given(&answer)), (204, vec![]));
    }
}

//! Sessions that are bound to a key of their client (RFC 9449 §5, §8), through each door.
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis::dpop::{
    Dpop, InProcessReplays, Nonces, ProofUse, Replays, ReplaysUnavailable, Spent,
    TokenEndpointProofs,
};
use portcullis::{Algorithm, Revocations, UnixTime};
use portcullis_conformance::client::{Answer, Protocol, Request};
use portcullis_issuer::{NativeSessions, RefreshRequest, Session, SessionId};
use portcullis_testkit::{BadProof, ProofBuilder, SigningKey, TestIssuer};
use serde_json::Value;

use crate::answers::with;
use crate::browsers::{over, page};
use crate::doors::{Door, Doors};
use crate::native::{form, invalid_grant, oauth_error};
use crate::service::{EVERYWHERE, ISSUER, NATIVE_LOGIN, OWN, REFRESH, REVOKE, Service, TOKEN};

fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(elapsed.as_secs()).expect("seconds")
}

/// A service behind a door, and a client with a key of its own.
struct Client {
    name: &'static str,
    service: Service,
    door: Door,
    issuer: TestIssuer,
    key: SigningKey,
    /// What the service checks proofs with.
    proofs: TokenEndpointProofs,
    replays: InProcessReplays,
}

/// What a login or a refresh gave.
struct Tokens {
    access: String,
    /// `None`: the one that came is to be kept.
    refresh: Option<String>,
}

impl Client {
    /// Through each door, with settings that `change` makes.
    async fn each(change: impl Fn(Dpop) -> Dpop) -> Vec<Self> {
        let mut clients = Vec::new();
        let replays = InProcessReplays::new().started_at(UnixTime(now() - 3600));
        let dpop = change(Dpop::new(replays.clone()).at(ISSUER));
        let service =
            async || Service::with_dpop(Revocations::in_memory(), Some(dpop.clone())).await;
        for (name, service, door) in Doors::to(service).await.into_each() {
            clients.push(Self {
                name,
                service,
                door,
                issuer: TestIssuer::new(ISSUER),
                key: SigningKey::generate(Algorithm::ES256),
                proofs: dpop.clone().for_token_endpoint().expect("good settings"),
                replays: replays.clone(),
            });
        }
        clients
    }

    fn proof_of(&self, key: &SigningKey, method: &str, path: &str) -> ProofBuilder {
        let proof = self.issuer.proof(key, method, format!("{ISSUER}{path}")).claim("iat", now());
        match self.proofs.nonce(UnixTime(now())) {
            Some(nonce) => proof.claim("nonce", nonce),
            None => proof,
        }
    }

    fn proof(&self, path: &str) -> ProofBuilder {
        self.proof_of(&self.key, "POST", path)
    }

    async fn send(&self, request: &Request) -> Answer {
        self.door.send(&self.service, request).await
    }

    async fn log_in(&self) -> Tokens {
        let proof = self.proof(NATIVE_LOGIN).mint();
        let answer = self.send(&form(NATIVE_LOGIN, "").header("dpop", proof)).await;
        tokens(&answer, "DPoP")
    }

    /// A refresh with these proofs, of which one may be there.
    async fn refresh(&self, token: &str, proofs: &[&str]) -> Answer {
        let body = format!("grant_type=refresh_token&client_id=app&refresh_token={token}");
        let request = proofs.iter().fold(form(TOKEN, &body), |it, proof| it.header("dpop", *proof));
        self.send(&request).await
    }

    async fn go_on(&self, token: &str) -> Tokens {
        tokens(&self.refresh(token, &[&self.proof(TOKEN).mint()]).await, "DPoP")
    }

    /// Makes the current refresh token due, or the one before late.
    async fn age(&self, session: SessionId) {
        self.service.tamper(session, |row| {
            row.rotated_at = row.rotated_at.before(Duration::from_secs(120));
        });
    }

    /// The session that began last.
    async fn session(&self) -> Session {
        let listed = self.service.sessions.list("alice", None, 1).await.expect("a list");
        listed.into_iter().next().expect("a session")
    }

    /// A list of one's own sessions, which the API has behind its policy.
    async fn call(&self, scheme: &str, access: &str, proof: Option<&str>) -> u16 {
        let request =
            Request::new("GET", OWN).header("authorization", format!("{scheme} {access}"));
        let request = proof.into_iter().fold(request, |it, proof| it.header("dpop", proof));
        self.send(&request).await.status
    }

    fn resource_proof(&self, access: &str) -> ProofBuilder {
        self.proof_of(&self.key, "GET", OWN).token(access)
    }
}

fn tokens(answer: &Answer, expected: &str) -> Tokens {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control").collect::<Vec<_>>(), [b"no-store"]);
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(body["token_type"], expected);
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    Tokens { access: text("access_token").expect("a token"), refresh: text("refresh_token") }
}

fn nonces(answer: &Answer) -> Vec<String> {
    let values = answer.header("dpop-nonce");
    values.map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

fn bad_proof() -> Answer {
    oauth_error(
        400,
        "invalid_dpop_proof",
        "The request has no good proof of a key, or one that was used before.",
    )
}

#[tokio::test]
async fn a_bound_session_lives_by_proofs_of_its_key_from_its_login_to_its_end() {
    for client in Client::each(|dpop| dpop).await {
        let name = client.name;
        let begun = client.log_in().await;
        let first = begun.refresh.expect("a refresh token");
        let session = client.session().await;
        assert_eq!(session.key_thumbprint(), client.key.thumbprint(), "{name}");
        let session = session.id();
        // Young, due, a retry, and one that comes late: the answer was lost.
        assert!(client.go_on(&first).await.refresh.is_none(), "{name}");
        client.age(session).await;
        let rotated = client.go_on(&first).await;
        let second = rotated.refresh.expect("another token");
        assert_eq!(client.go_on(&first).await.refresh.as_ref(), Some(&second), "{name}");
        client.age(session).await;
        let late = client.go_on(&first).await.refresh.expect("another token");
        assert_ne!(late, second, "{name}");
        let last = client.go_on(&late).await;
        // Its access token passes the API's policy with a proof, and in no other way.
        let access = &last.access;
        let proof = client.resource_proof(access).mint();
        assert_eq!(client.call("DPoP", access, Some(&proof)).await, 200, "{name}");
        assert_eq!(client.call("DPoP", access, Some(&proof)).await, 401, "{name}: used");
        assert_eq!(client.call("DPoP", access, None).await, 401, "{name}");
        assert_eq!(client.call("Bearer", access, None).await, 401, "{name}");
        let of_endpoint = client.proof(TOKEN).mint();
        assert_eq!(client.call("DPoP", access, Some(&of_endpoint)).await, 401, "{name}");
        // RFC 7009 asks for no proof.
        let token = last.refresh.unwrap_or(late);
        let revoked = form(REVOKE, &format!("client_id=app&token={token}"));
        assert_eq!(client.send(&revoked).await.status, 200, "{name}");
        let over = client.refresh(&token, &[&client.proof(TOKEN).mint()]).await;
        assert_eq!(over, invalid_grant(), "{name}");
        let proof = client.resource_proof(access).mint();
        assert_eq!(client.call("DPoP", access, Some(&proof)).await, 401, "{name}: revoked");
    }
}

type Change<'c> = (&'c str, Box<dyn Fn(ProofBuilder) -> ProofBuilder + 'c>);

/// Whatever is wrong, whichever of the session's tokens comes: nothing is written, and nothing ends.
#[tokio::test]
async fn a_bound_session_lives_on_after_each_request_that_is_refused() {
    for client in Client::each(|dpop| dpop).await {
        let begun = client.log_in().await;
        let session = client.session().await.id();
        let first = begun.refresh.expect("a refresh token");
        client.age(session).await;
        let second = client.go_on(&first).await.refresh.expect("another token");
        client.age(session).await;
        let third = client.go_on(&second).await.refresh.expect("another token");
        let other = SigningKey::generate(Algorithm::ES256);
        let spent = client.proof(TOKEN).mint();
        assert_eq!(client.refresh(&third, &[&spent]).await.status, 200);
        let changes: [Change<'_>; 11] = [
            ("another method", Box::new(|it| it.claim("htm", "GET"))),
            ("the login's", Box::new(|it| it.claim("htu", format!("{ISSUER}{NATIVE_LOGIN}")))),
            (
                "another host",
                Box::new(|it| it.claim("htu", format!("https://evil.example{TOKEN}"))),
            ),
            ("plain", Box::new(|it| it.claim("htu", format!("http://id.example{TOKEN}")))),
            ("too old", Box::new(|it| it.claim("iat", now() - 120))),
            ("of the future", Box::new(|it| it.claim("iat", now() + 60))),
            ("over", Box::new(|it| it.claim("exp", now() - 1))),
            ("no id", Box::new(|it| it.without("jti"))),
            ("another type", Box::new(|it| it.header("typ", "JWT"))),
            ("another algorithm", Box::new(|it| it.header("alg", "RS256"))),
            ("signed by another", Box::new(|it| it.signed_by(&other))),
        ];
        let mut refusals: Vec<(&str, Vec<String>, Answer)> = vec![
            ("none", vec![], bad_proof()),
            ("empty", vec![String::new()], bad_proof()),
            ("two", vec![client.proof(TOKEN).mint(), client.proof(TOKEN).mint()], bad_proof()),
            ("used", vec![spent.clone()], bad_proof()),
            ("another key", vec![client.proof_of(&other, "POST", TOKEN).mint()], invalid_grant()),
        ];
        for (what, change) in &changes {
            refusals.push((what, vec![change(client.proof(TOKEN)).mint()], bad_proof()));
        }
        // Late enough for a replay, which would end it.
        client.age(session).await;
        let before = client.service.row(session).await;
        let used = client.replays.len();
        for (what, proofs, expected) in &refusals {
            let proofs: Vec<_> = proofs.iter().map(String::as_str).collect();
            for token in [&first, &second, &third] {
                let answer = client.refresh(token, &proofs).await;
                assert_eq!(answer, *expected, "{what}: {}", client.name);
            }
        }
        // All that can be wrong with one, but what speaks of an access token, or is another client's.
        let others = [BadProof::HashMissing, BadProof::OtherHash, BadProof::OtherKey];
        for fault in BadProof::ALL.iter().filter(|fault| !others.contains(fault)) {
            let proof = client.proof(TOKEN).mint_bad(*fault);
            let answer = client.refresh(&third, &[&proof]).await;
            assert_eq!(answer, bad_proof(), "a proof {fault}: {}", client.name);
        }
        // What comes of a cookie brings no proof.
        for path in [REFRESH, EVERYWHERE] {
            for token in [&first, &second, &third] {
                let cookie = format!("__Host-Http-refresh={token}");
                let answer = client.send(&page(path).header("cookie", cookie)).await;
                assert_eq!(answer, over(), "{path}");
            }
        }
        assert_eq!(client.service.row(session).await, before, "{}", client.name);
        assert_eq!(client.replays.len(), used, "{}", client.name);
        assert!(client.go_on(&third).await.refresh.is_some(), "{}", client.name);
    }
}

/// Not the one with a key of a browser's client: the session is of another one there.
#[tokio::test]
async fn a_browsers_session_that_was_bound_does_not_go_on_by_its_cookie() {
    for client in Client::each(|dpop| dpop).await {
        let request = form(NATIVE_LOGIN, "").header("dpop", client.proof(NATIVE_LOGIN).mint());
        let (head, _) = request.build(Protocol::Http1).into_parts();
        let proof = client.proofs.check(&head, UnixTime(now())).expect("it holds");
        let attempt = client.service.sessions.attempt("alice").await.expect("an attempt");
        let login = attempt.succeeded("web").bound_to(proof.expect("a proof"));
        let begun = client.service.sessions.begin(login).await.expect("a session");
        let before = client.service.row(begun.session.id()).await;
        for path in [REFRESH, EVERYWHERE] {
            let cookie = format!("__Host-Http-refresh={}", begun.refresh.as_str());
            let answer = client.send(&page(path).header("cookie", cookie)).await;
            assert_eq!(answer, over(), "{path}: {}", client.name);
        }
        assert_eq!(client.service.row(begun.session.id()).await, before);
    }
}

#[tokio::test]
async fn what_is_no_token_of_ours_costs_no_proof() {
    for client in Client::each(Dpop::required).await {
        for proofs in [&[][..], &["x"], &[&client.proof(TOKEN).mint()]] {
            let answer = client.refresh("pcl_rt_x", proofs).await;
            assert_eq!(answer, invalid_grant(), "{}", client.name);
        }
        assert!(client.replays.is_empty());
    }
}

#[tokio::test]
async fn a_session_that_is_bound_to_no_key_goes_on_as_before_and_not_with_a_proof() {
    for client in Client::each(|dpop| dpop).await {
        let begun = tokens(&client.send(&form(NATIVE_LOGIN, "")).await, "Bearer");
        let token = begun.refresh.expect("a refresh token");
        let session = client.session().await;
        assert_eq!(session.key_thumbprint(), None);
        let session = session.id();
        client.age(session).await;
        let before = client.service.row(session).await;
        let answer = client.refresh(&token, &[&client.proof(TOKEN).mint()]).await;
        assert_eq!(answer, invalid_grant(), "{}", client.name);
        assert_eq!(client.service.row(session).await, before);
        let refreshed = tokens(&client.refresh(&token, &[]).await, "Bearer");
        assert!(refreshed.refresh.is_some());
        assert_eq!(client.call("Bearer", &refreshed.access, None).await, 200, "{}", client.name);
    }
}

#[tokio::test]
async fn where_proofs_are_required_no_session_without_a_key_begins_or_goes_on() {
    for client in Client::each(Dpop::required).await {
        let answer = client.send(&form(NATIVE_LOGIN, "")).await;
        assert_eq!(answer, bad_proof(), "{}", client.name);
        // One that began before.
        let attempt = client.service.sessions.attempt("alice").await.expect("an attempt");
        let begun = client.service.sessions.begin(attempt.succeeded("app")).await;
        let begun = begun.expect("a session");
        let token = begun.refresh.as_str();
        let without = client.refresh(token, &[]).await;
        assert_eq!(without, bad_proof(), "{}", client.name);
        let with = client.refresh(token, &[&client.proof(TOKEN).mint()]).await;
        assert_eq!(with, invalid_grant(), "{}", client.name);
        let request = RefreshRequest::new(token, "app");
        assert!(client.service.sessions.session_of(&request).await.is_ok(), "it is not over");
        let bound = client.log_in().await;
        client.go_on(&bound.refresh.expect("a refresh token")).await;
    }
}

#[tokio::test]
async fn a_client_is_told_a_nonce_by_a_400_and_the_latest_one_by_a_success() {
    // A step may end meanwhile: then it is tried again.
    'step: loop {
        let step = || now() / 60;
        let began = step();
        for client in Client::each(|dpop| dpop.nonces(Nonces::of_this_process())).await {
            let nonce_at = |time| client.proofs.nonce(UnixTime(time)).expect("a nonce");
            let (latest, before) = (nonce_at(began * 60), nonce_at(began * 60 - 60));
            let detail = "The proof must have the nonce that the header DPoP-Nonce says.";
            let use_nonce = with(oauth_error(400, "use_dpop_nonce", detail), "dpop-nonce", &latest);
            let without = client.proof(NATIVE_LOGIN).without("nonce").mint();
            let told = client.send(&form(NATIVE_LOGIN, "").header("dpop", without)).await;
            let login = |nonce: &str| {
                let proof = client.proof(NATIVE_LOGIN).claim("nonce", nonce).mint();
                form(NATIVE_LOGIN, "").header("dpop", proof)
            };
            let begun = client.send(&login(&latest)).await;
            let begun_before = client.send(&login(&before)).await;
            let token = tokens(&begun, "DPoP").refresh.expect("a refresh token");
            let refresh = async |nonce: Option<&str>| {
                let proof = client.proof(TOKEN).without("nonce");
                let proof = nonce.into_iter().fold(proof, |it, nonce| it.claim("nonce", nonce));
                client.refresh(&token, &[&proof.mint()]).await
            };
            let foreign = refresh(Some(&"x".repeat(22))).await;
            let none = refresh(None).await;
            let no_proof = client.refresh(&token, &[]).await;
            let good = refresh(Some(&latest)).await;
            let old = refresh(Some(&before)).await;
            // An API's nonce is not one of the token endpoint.
            let access = tokens(&good, "DPoP").access;
            let request =
                Request::new("GET", OWN).header("authorization", format!("DPoP {access}"));
            let of_resource = nonces(&client.send(&request).await);
            let confused = refresh(of_resource.first().map(String::as_str)).await;
            if step() != began {
                continue 'step;
            }
            for answer in [told, foreign, none, confused] {
                assert_eq!(answer, use_nonce, "{}", client.name);
            }
            assert_eq!(no_proof, with(bad_proof(), "dpop-nonce", &latest), "{}", client.name);
            assert_eq!([nonces(&begun), nonces(&good)], [vec![], Vec::<String>::new()]);
            for answer in [begun_before, old] {
                tokens(&answer, "DPoP");
                assert_eq!(nonces(&answer), [latest.as_str()], "{}", client.name);
            }
            assert_eq!(of_resource.len(), 1);
        }
        break;
    }
}

/// A store of used proofs that is away.
#[derive(Debug)]
struct Away;

impl Replays for Away {
    fn spend(&self, _: &ProofUse) -> Spent {
        Spent::Unavailable(ReplaysUnavailable { retry_after: Some(Duration::from_secs(7)) })
    }

    fn epoch(&self) -> u64 {
        7
    }
}

#[tokio::test]
async fn where_used_proofs_are_not_known_the_answer_is_503_and_the_token_is_as_good_as_before() {
    for client in Client::each(|dpop| dpop).await {
        let begun = client.log_in().await;
        let session = client.session().await.id();
        let token = begun.refresh.expect("a refresh token");
        client.age(session).await;
        let away = Dpop::new(Away).at(ISSUER).for_token_endpoint().expect("good settings");
        let native = client.service.native.clone().dpop(away);
        let request = form(TOKEN, "").header("dpop", client.proof(TOKEN).mint());
        let (head, _) = request.build(Protocol::Http1).into_parts();
        let mut body = native.body();
        let text = format!("grant_type=refresh_token&client_id=app&refresh_token={token}");
        assert!(body.push(text.as_bytes()));
        let before = client.service.row(session).await;
        let reply = native.token(&head, body).await;
        let detail = "Proofs cannot be checked at the moment: try again with another one.";
        let expected = oauth_error(503, "temporarily_unavailable", detail);
        let answer = Answer::of_core(reply.into_response());
        assert_eq!(answer, with(expected, "retry-after", "7"), "{}", client.name);
        assert_eq!(client.service.row(session).await, before);
        // With the same proof, where it was not used.
        assert!(client.go_on(&token).await.refresh.is_some());
    }
}

#[tokio::test]
async fn of_many_requests_at_once_with_one_proof_one_is_heard() {
    for client in Client::each(|dpop| dpop).await {
        let begun = client.log_in().await;
        let session = client.session().await.id();
        let token = begun.refresh.expect("a refresh token");
        client.age(session).await;
        let proof = client.proof(TOKEN).mint();
        let proofs = [&*proof];
        let mut asked: Vec<_> =
            (0..64).map(|_| Box::pin(client.refresh(&token, &proofs))).collect();
        let mut answers = Vec::new();
        // All of them are under way at once.
        poll_fn(|context| {
            asked.retain_mut(|asked| match asked.as_mut().poll(context) {
                Poll::Ready(answer) => {
                    answers.push(answer);
                    false
                }
                Poll::Pending => true,
            });
            if asked.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let (good, refused): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!((good.len(), refused.len()), (1, 63), "{}", client.name);
        for answer in refused {
            assert_eq!(answer, bad_proof(), "{}", client.name);
        }
        assert_eq!(client.service.row(session).await.generation, 1);
        let rotated = tokens(&good[0], "DPoP").refresh.expect("another token");
        client.go_on(&rotated).await;
    }
}

/// A route that does not take proofs, as before an upgrade.
#[tokio::test]
async fn a_service_that_takes_no_proofs_does_not_go_on_with_a_bound_session() {
    for client in Client::each(|dpop| dpop).await {
        let begun = client.log_in().await;
        let token = begun.refresh.expect("a refresh token");
        let other = NativeSessions::new(client.service.sessions.clone(), ["app"]);
        let other = other.expect("a client");
        let request = form(TOKEN, "").header("dpop", client.proof(TOKEN).mint());
        let (head, _) = request.build(Protocol::Http1).into_parts();
        let mut body = other.body();
        let text = format!("grant_type=refresh_token&client_id=app&refresh_token={token}");
        assert!(body.push(text.as_bytes()));
        let answer = Answer::of_core(other.token(&head, body).await.into_response());
        assert_eq!(answer, bad_proof());
        client.go_on(&token).await;
    }
}

//! Sessions that are bound to a certificate of their client (RFC 8705 §4), through each door. A proxy's header says which
//! certificate it is, where the server's own TLS does not.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis::dpop::{Dpop, InProcessReplays};
use portcullis::mtls::{CertificateHeader, Mtls};
use portcullis::request::ClientCertificate;
use portcullis::{Algorithm, Revocations, UnixTime};
use portcullis_conformance::client::{Answer, Protocol, Request};
use portcullis_conformance::doors::certificate;
use portcullis_issuer::{RefreshRequest, SessionId};
use portcullis_testkit::{SigningKey, TestIssuer};
use serde_json::Value;

use crate::answers::with;
use crate::browsers::{over, page};
use crate::doors::{Door, Doors};
use crate::native::{form, invalid_grant, oauth_error};
use crate::service::{EVERYWHERE, ISSUER, NATIVE_LOGIN, OWN, REFRESH, REVOKE, Service, TOKEN};

/// SHA-256 of certificates, as `CloudFront` says them.
const MINE: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const OTHER: &str = "2222222222222222222222222222222222222222222222222222222222222222";
/// [`MINE`] in base64url.
const MINE_IN_TOKENS: &str = "ERERERERERERERERERERERERERERERERERERERERERE";

const HEADER: &str = "x-client-cert-sha256";

fn by_header() -> Mtls {
    Mtls::from_header(CertificateHeader::hex_sha256(HEADER))
}

/// The servers' only peer is this machine.
fn proxied() -> Mtls {
    by_header().trusted_proxies(["127.0.0.1"])
}

fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(elapsed.as_secs()).expect("seconds")
}

/// A service behind a door.
struct Client {
    name: &'static str,
    service: Service,
    door: Door,
}

impl Client {
    async fn each(mtls: &Mtls) -> Vec<Self> {
        Self::each_with(mtls, None).await
    }

    async fn each_with(mtls: &Mtls, dpop: Option<&Dpop>) -> Vec<Self> {
        let service = async || {
            let revocations = Revocations::in_memory();
            Service::bound(revocations, dpop.cloned(), Some(mtls.clone())).await
        };
        let doors = Doors::to(service).await.into_each().into_iter();
        doors.map(|(name, service, door)| Self { name, service, door }).collect()
    }

    async fn send(&self, request: &Request) -> Answer {
        self.door.send(&self.service, request).await
    }

    async fn log_in(&self, certificates: &[&str]) -> Answer {
        self.send(&showing(form(NATIVE_LOGIN, ""), certificates)).await
    }

    async fn refresh(&self, token: &str, certificates: &[&str]) -> Answer {
        self.send(&showing(refresh(token), certificates)).await
    }

    /// A refresh by who has the certificate.
    async fn go_on(&self, token: &str) -> Tokens {
        tokens(&self.refresh(token, &[MINE]).await, "Bearer")
    }

    /// A list of one's own sessions, which the API has behind its policy.
    async fn call(&self, access: &str, certificates: &[&str]) -> u16 {
        let request = Request::new("GET", OWN).header("authorization", format!("Bearer {access}"));
        self.send(&showing(request, certificates)).await.status
    }

    /// Makes the current refresh token due, or the one before late.
    async fn age(&self, session: SessionId) {
        self.service.tamper(session, |row| {
            row.rotated_at = row.rotated_at.before(Duration::from_secs(120));
        });
    }

    /// The session that began last: its id, and the certificate that it is bound to.
    async fn session(&self) -> (SessionId, Option<String>) {
        let listed = self.service.sessions.list("alice", None, 1).await.expect("a list");
        (listed[0].id(), listed[0].certificate_thumbprint())
    }
}

fn showing(request: Request, certificates: &[&str]) -> Request {
    certificates.iter().fold(request, |request, it| request.header(HEADER, *it))
}

fn refresh(token: &str) -> Request {
    form(TOKEN, &format!("grant_type=refresh_token&client_id=app&refresh_token={token}"))
}

/// What a login or a refresh gave.
struct Tokens {
    access: String,
    /// `None`: the one that came is to be kept.
    refresh: Option<String>,
}

fn tokens(answer: &Answer, expected: &str) -> Tokens {
    assert_eq!(answer.status, 200, "{answer:?}");
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(body["token_type"], expected);
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    Tokens { access: text("access_token").expect("a token"), refresh: text("refresh_token") }
}

fn needed() -> Answer {
    let detail = "The client does not present the certificate that is needed.";
    oauth_error(400, "invalid_grant", detail)
}

fn does_not_count() -> Answer {
    oauth_error(400, "invalid_request", "The request shows no certificate that counts.")
}

fn cannot_be_told() -> Answer {
    let detail = "Certificates of clients cannot be told at the moment: try again.";
    with(oauth_error(503, "temporarily_unavailable", detail), "retry-after", "1")
}

#[tokio::test]
async fn a_bound_session_lives_by_its_certificate_from_its_login_to_its_end() {
    for client in Client::each(&proxied()).await {
        let name = client.name;
        let begun = tokens(&client.log_in(&[MINE]).await, "Bearer");
        let first = begun.refresh.expect("a refresh token");
        let (session, bound_to) = client.session().await;
        assert_eq!(bound_to.as_deref(), Some(MINE_IN_TOKENS), "{name}");
        // Young, due, a retry, and one that comes late: the answer was lost.
        assert!(client.go_on(&first).await.refresh.is_none(), "{name}");
        client.age(session).await;
        let second = client.go_on(&first).await.refresh.expect("another token");
        assert_eq!(client.go_on(&first).await.refresh.as_ref(), Some(&second), "{name}");
        client.age(session).await;
        let late = client.go_on(&first).await.refresh.expect("another token");
        assert_ne!(late, second, "{name}");
        let last = client.go_on(&late).await;
        // Its access token passes the API's policy with the certificate, and in no other way.
        let access = &last.access;
        assert_eq!(client.call(access, &[MINE]).await, 200, "{name}");
        assert_eq!(client.call(access, &[OTHER]).await, 401, "{name}");
        assert_eq!(client.call(access, &[]).await, 401, "{name}");
        // RFC 7009 asks for no certificate.
        let token = last.refresh.unwrap_or(late);
        let revoked = form(REVOKE, &format!("client_id=app&token={token}"));
        assert_eq!(client.send(&revoked).await.status, 200, "{name}");
        assert_eq!(client.refresh(&token, &[MINE]).await, invalid_grant(), "{name}");
        assert_eq!(client.call(access, &[MINE]).await, 401, "{name}: revoked");
    }
}

/// Whatever is wrong, whichever of the session's tokens comes: nothing is written, and nothing ends.
#[tokio::test]
async fn a_bound_session_lives_on_after_each_request_without_its_certificate() {
    for client in Client::each(&proxied()).await {
        let begun = tokens(&client.log_in(&[MINE]).await, "Bearer");
        let (session, _) = client.session().await;
        let first = begun.refresh.expect("a refresh token");
        client.age(session).await;
        let second = client.go_on(&first).await.refresh.expect("another token");
        client.age(session).await;
        let third = client.go_on(&second).await.refresh.expect("another token");
        // Late enough for a replay, which would end it.
        client.age(session).await;
        let before = client.service.row(session).await;
        for (certificates, expected) in [
            (&[][..], needed()),
            (&[OTHER], needed()),
            (&[MINE, MINE], does_not_count()),
            (&[OTHER, MINE], does_not_count()),
            (&["x"], does_not_count()),
            // As SHA-1 has it.
            (&[&MINE[..40]], does_not_count()),
            // As `x5t#S256` has it.
            (&[MINE_IN_TOKENS], does_not_count()),
        ] {
            for token in [&first, &second, &third] {
                let answer = client.refresh(token, certificates).await;
                assert_eq!(answer, expected, "{certificates:?}: {}", client.name);
            }
        }
        // Who comes with a cookie shows no certificate.
        for path in [REFRESH, EVERYWHERE] {
            for token in [&first, &second, &third] {
                let cookie = format!("__Host-Http-refresh={token}");
                let answer = client.send(&page(path).header("cookie", cookie)).await;
                assert_eq!(answer, over(), "{path}: {}", client.name);
            }
        }
        assert_eq!(client.service.row(session).await, before, "{}", client.name);
        assert!(client.go_on(&third).await.refresh.is_some(), "{}", client.name);
    }
}

#[tokio::test]
async fn what_is_no_token_of_ours_asks_for_no_certificate() {
    for client in Client::each(&proxied().required()).await {
        for certificates in [&[][..], &["x"], &[MINE]] {
            let answer = client.refresh("pcl_rt_x", certificates).await;
            assert_eq!(answer, invalid_grant(), "{}", client.name);
        }
    }
}

#[tokio::test]
async fn a_session_that_is_bound_to_no_certificate_goes_on_as_before_whatever_comes_along() {
    for client in Client::each(&proxied()).await {
        let begun = tokens(&client.log_in(&[]).await, "Bearer");
        let mut token = begun.refresh.expect("a refresh token");
        let (session, bound_to) = client.session().await;
        assert_eq!(bound_to, None);
        for certificates in [&[][..], &[MINE], &[OTHER]] {
            client.age(session).await;
            let refreshed = tokens(&client.refresh(&token, certificates).await, "Bearer");
            assert_eq!(client.call(&refreshed.access, &[]).await, 200, "{}", client.name);
            token = refreshed.refresh.expect("another token");
        }
        assert_eq!(client.service.row(session).await.binding, None);
    }
}

#[tokio::test]
async fn where_certificates_are_required_no_session_without_one_begins_or_goes_on() {
    for client in Client::each(&proxied().required()).await {
        assert_eq!(client.log_in(&[]).await, needed(), "{}", client.name);
        // One that began before.
        let attempt = client.service.sessions.attempt("alice").await.expect("an attempt");
        let begun = client.service.sessions.begin(attempt.succeeded("app")).await;
        let begun = begun.expect("a session");
        let token = begun.refresh.as_str();
        for certificates in [&[][..], &[MINE]] {
            let answer = client.refresh(token, certificates).await;
            assert_eq!(answer, needed(), "{}", client.name);
        }
        let request = RefreshRequest::new(token, "app");
        assert!(client.service.sessions.session_of(&request).await.is_ok(), "it is not over");
        let bound = tokens(&client.log_in(&[MINE]).await, "Bearer");
        client.go_on(&bound.refresh.expect("a refresh token")).await;
    }
}

/// It would be the client's own, or a fault of the settings: a session that is bound to nothing would hide either.
#[tokio::test]
async fn a_header_of_a_peer_that_is_not_listed_begins_no_session_and_goes_on_with_none() {
    let elsewhere = by_header().trusted_proxies(["10.0.0.0/24"]);
    for client in Client::each(&elsewhere).await {
        assert_eq!(client.log_in(&[MINE]).await, does_not_count(), "{}", client.name);
        assert_eq!(client.service.count("alice").await, 0);
        let begun = tokens(&client.log_in(&[]).await, "Bearer");
        let token = begun.refresh.expect("a refresh token");
        assert_eq!(client.refresh(&token, &[MINE]).await, does_not_count(), "{}", client.name);
        tokens(&client.refresh(&token, &[]).await, "Bearer");
    }
}

#[tokio::test]
async fn the_servers_own_tls_binds_a_session_and_no_header_is_looked_at() {
    for client in Client::each(&Mtls::from_tls()).await {
        let begun = tokens(&client.log_in(&[MINE]).await, "Bearer");
        let (session, bound_to) = client.session().await;
        let row = client.service.row(session).await;
        let of_connection = certificate();
        let digest = of_connection.sha256().expect("a certificate");
        assert_eq!(row.binding, Some([&[2], &digest[..]].concat()), "{}", client.name);
        assert_ne!(bound_to.as_deref(), Some(MINE_IN_TOKENS), "{}", client.name);
        let token = begun.refresh.expect("a refresh token");
        let refreshed = tokens(&client.refresh(&token, &[OTHER]).await, "Bearer");
        assert_eq!(client.call(&refreshed.access, &[]).await, 200, "{}", client.name);
        // Another connection, of somebody who has the token alone.
        for (said, expected) in [
            (Some(ClientCertificate::presented(b"another")), needed()),
            (Some(ClientCertificate::absent()), needed()),
            // A server that passes nothing on.
            (None, cannot_be_told()),
        ] {
            let answer = over_connection(&client.service, &refresh(&token), said).await;
            assert_eq!(answer, expected, "{}", client.name);
        }
        assert_eq!(client.service.row(session).await, row, "{}", client.name);
    }
}

/// A server that passes nothing on is not taken for a client without a certificate, whose session would be bound to nothing.
#[tokio::test]
async fn where_nobody_says_which_certificate_it_was_no_session_begins() {
    for mtls in [Mtls::from_tls(), Mtls::from_tls().required(), proxied()] {
        let service = Service::bound(Revocations::in_memory(), None, Some(mtls)).await;
        let request = showing(form(NATIVE_LOGIN, ""), &[MINE]);
        let answer = over_connection(&service, &request, None).await;
        assert_eq!(answer, cannot_be_told());
        assert_eq!(service.count("alice").await, 0);
    }
}

/// What the core answers where the server tells this of the connection, and no address.
async fn over_connection(
    service: &Service,
    request: &Request,
    said: Option<ClientCertificate>,
) -> Answer {
    let (mut head, _) = request.build(Protocol::Http1).into_parts();
    said.map(|said| head.extensions.insert(said));
    let native = &service.native;
    let reply = if head.uri.path() == TOKEN {
        let mut body = native.body();
        assert!(body.push(&request.body));
        native.token(&head, body).await
    } else {
        let refused = native.check_login(&head, "app").expect_err("no session begins");
        native.refuse(refused, &head)
    };
    Answer::of_core(reply.into_response())
}

#[tokio::test]
async fn a_session_that_is_bound_to_a_key_as_well_needs_proof_and_certificate() {
    let replays = InProcessReplays::new().started_at(UnixTime(now() - 3600));
    let dpop = Dpop::new(replays.clone()).at(ISSUER);
    let (issuer, key) = (TestIssuer::new(ISSUER), SigningKey::generate(Algorithm::ES256));
    let proof = |method: &str, path: &str| {
        issuer.proof(&key, method, format!("{ISSUER}{path}")).claim("iat", now())
    };
    for client in Client::each_with(&proxied(), Some(&dpop)).await {
        let name = client.name;
        let login = form(NATIVE_LOGIN, "").header("dpop", proof("POST", NATIVE_LOGIN).mint());
        let begun = tokens(&client.send(&showing(login, &[MINE])).await, "DPoP");
        let token = begun.refresh.expect("a refresh token");
        let (session, bound_to) = client.session().await;
        assert_eq!(bound_to.as_deref(), Some(MINE_IN_TOKENS), "{name}");
        let (before, used) = (client.service.row(session).await, replays.len());
        let with_proof = || refresh(&token).header("dpop", proof("POST", TOKEN).mint());
        assert_eq!(client.send(&with_proof()).await, needed(), "{name}");
        assert_eq!(client.send(&showing(with_proof(), &[OTHER])).await, needed(), "{name}");
        assert_eq!(client.refresh(&token, &[MINE]).await.status, 400, "{name}: no proof");
        assert_eq!(client.service.row(session).await, before, "{name}");
        assert_eq!(replays.len(), used, "{name}");
        let refreshed = tokens(&client.send(&showing(with_proof(), &[MINE])).await, "DPoP");
        let access = &refreshed.access;
        let call = async |certificates: &[&str]| {
            let proof = proof("GET", OWN).token(access).mint();
            let request = Request::new("GET", OWN).header("dpop", proof);
            let request = request.header("authorization", format!("DPoP {access}"));
            client.send(&showing(request, certificates)).await.status
        };
        assert_eq!(call(&[MINE]).await, 200, "{name}");
        assert_eq!(call(&[OTHER]).await, 401, "{name}");
        assert_eq!(call(&[]).await, 401, "{name}");
        assert_eq!(client.call(access, &[MINE]).await, 401, "{name}: no proof");
    }
}

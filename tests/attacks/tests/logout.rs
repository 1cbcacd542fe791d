//! Attacks by those who send logout tokens: anybody can.
use core::time::Duration;

use http::Request;
use portcullis::routes::LogoutError;
use portcullis::{
    Algorithm, BackChannelLogout, ClaimsError, Error, Issuer, KeyError, RemoteJwks, Revocable,
    RevocationError, Revocations,
};
use portcullis_attacks::{Door, NOW, Network, issuer, policy_for, token};
use portcullis_testkit::{FixedClock, TestIssuer, TokenBuilder};
use serde_json::json;

use Algorithm::ES256;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn logout_token() -> TokenBuilder {
    token(ES256).typ("logout+jwt").audience("web").claim("events", json!({ EVENT: {} }))
}

/// A service whose issuer's keys are on `network`, and what receives logout tokens there.
fn service(network: &Network) -> (Door, BackChannelLogout) {
    let revocations = Revocations::options().clock(FixedClock::at(NOW)).in_memory();
    let keys = RemoteJwks::discovery().client(network.clone());
    let keys = keys.max_wait(Duration::from_secs(60));
    let trusted = Issuer::new(issuer().name()).algorithms([ES256]).keys(keys);
    let policy = policy_for([trusted.audience(TestIssuer::AUDIENCE)])
        .revocations(revocations.enforce([Revocable::Subject]));
    let door = Door::new(policy);
    let logout = BackChannelLogout::new(door.policy().clone(), revocations, ["web"]);
    (door, logout.expect("a receiver"))
}

/// Status, and why.
async fn send(logout: &BackChannelLogout, token: &TokenBuilder) -> (u16, Option<LogoutError>) {
    let request = Request::post("/")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(())
        .expect("a request");
    let mut body = logout.body();
    body.push(format!("logout_token={}", token.mint()).as_bytes());
    let reply = logout.receive(&request, body).await;
    (reply.status(), reply.into_error())
}

#[tokio::test]
async fn a_logout_token_that_could_never_pass_causes_no_fetch() {
    let network = Network::new();
    network.publish(&issuer());
    let (_door, logout) = service(&network);
    for (token, error) in [
        (logout_token().typ("at+jwt"), ClaimsError::Type),
        (logout_token().without_header("typ"), ClaimsError::Type),
        (logout_token().audience("else"), ClaimsError::Audience),
        (logout_token().without("aud"), ClaimsError::Missing { claim: "aud" }),
        (logout_token().without("exp"), ClaimsError::Missing { claim: "exp" }),
        (logout_token().header("alg", "RS256"), ClaimsError::Algorithm),
        (logout_token().claim("iss", "https://evil.example"), ClaimsError::Issuer),
    ] {
        let error = Some(LogoutError::Token(Error::Claims(error)));
        assert_eq!(send(&logout, &token).await, (400, error));
    }
    let expired = send(&logout, &logout_token().expired()).await;
    assert!(
        matches!(
            expired,
            (400, Some(LogoutError::Token(Error::Claims(ClaimsError::Expired { .. }))))
        ),
        "{expired:?}"
    );
    assert_eq!(network.asked(), [""; 0]);
}

#[tokio::test]
async fn a_logout_token_waits_for_its_key_and_a_forged_one_ends_no_session() {
    let network = Network::new();
    network.publish(&issuer());
    let (door, logout) = service(&network);
    let access = token(ES256).mint();
    let forged = issuer().impostor().token(ES256).typ("logout+jwt").audience("web");
    let forged = forged.claim("events", json!({ EVENT: {} }));
    let (status, error) = send(&logout, &forged).await;
    assert_eq!(status, 400);
    assert!(matches!(error, Some(LogoutError::Token(Error::Signature(_)))), "{error:?}");
    door.admits(&access);

    assert_eq!(send(&logout, &logout_token()).await, (200, None));
    door.refuses("logged out", &access, RevocationError::Revoked);
}

#[tokio::test]
async fn a_provider_that_is_out_of_reach_logs_nobody_out() {
    let network = Network::new();
    let (door, logout) = service(&network);
    let (status, error) = send(&logout, &logout_token()).await;
    assert_eq!(status, 400);
    let is_unavailable =
        matches!(&error, Some(LogoutError::Token(Error::Key(KeyError::Unavailable(_)))));
    assert!(is_unavailable, "{error:?}");
    drop(door);
}

#[tokio::test]
async fn a_logout_token_is_not_remembered_as_an_access_token() {
    let network = Network::new();
    network.publish(&issuer());
    let (door, logout) = service(&network);
    // For the service as well as for the client.
    let token = logout_token().audience(["web", TestIssuer::AUDIENCE]);
    assert_eq!(send(&logout, &token).await, (200, None));
    door.refuses("a logout token", token.mint(), ClaimsError::Type);
    assert_eq!(door.policy().token_cache().tokens, 0);
}

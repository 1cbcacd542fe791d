//! Attacks by those who send logout tokens: anybody can.
use core::time::Duration;

use http::Request;
use portcullis::error::{ClaimsError, RevocationError, TypeName};
use portcullis::keys::KeyError;
use portcullis::revocation::RevokeError;
use portcullis::routes::LogoutError;
use portcullis::{Algorithm, BackChannelLogout, Error, Issuer, RemoteJwks, Revocable, Revocations};
use portcullis_attacks::{
    Door, NOW, Network, issuer, policy_for, token, wrong_algorithm, wrong_type,
};
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
    let of_type = |found| ClaimsError::Type { found, accepted: "`logout+jwt`" };
    for (token, error) in [
        (logout_token().typ("at+jwt"), of_type(TypeName::new("at+jwt"))),
        (logout_token().without_header("typ"), of_type(TypeName::ABSENT)),
        (logout_token().audience("else"), ClaimsError::Audience),
        (logout_token().without("aud"), ClaimsError::AudienceMissing),
        (logout_token().without("exp"), ClaimsError::Missing { claim: "exp" }),
        (logout_token().header("alg", "RS256"), wrong_algorithm(Algorithm::RS256, &[ES256])),
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
async fn a_logout_token_lives_a_day_at_most_whatever_was_said() {
    let revocations = Revocations::options().clock(FixedClock::at(NOW)).in_memory();
    let policy = policy_for([issuer().trusted(&[ES256])]);
    let policy = policy.revocations(revocations.enforce([Revocable::Subject])).build();
    let policy = policy.expect("a policy");
    let new = || {
        let logout = BackChannelLogout::new(policy.clone(), revocations.clone(), ["web"]);
        logout.expect("a receiver")
    };
    let of = |lifetime: i64| logout_token().claim("iat", NOW).expires_at(NOW + lifetime);
    let (day, week) = (86_400, Duration::from_secs(7 * 86_400));
    let too_long = |lifetime: u64, limit: u64| {
        let (lifetime, limit) = (Duration::from_secs(lifetime), Duration::from_secs(limit));
        let error = ClaimsError::LivesTooLong { lifetime, limit };
        (400, Some(LogoutError::Token(Error::Claims(error))))
    };
    assert_eq!(send(&new(), &of(600)).await, (200, None));
    assert_eq!(send(&new(), &of(601)).await, too_long(601, 600));
    let logout = new().max_lifetime(week);
    assert_eq!(send(&logout, &of(day)).await, (200, None));
    assert_eq!(send(&logout, &of(day + 1)).await, too_long(86_401, 86_400));
}

#[tokio::test]
async fn an_issuers_logout_tokens_take_no_room_from_others_or_from_operators() {
    const CAPACITY: usize = 160;
    let other = TestIssuer::new("https://other.example").at(NOW);
    let revocations = Revocations::options().clock(FixedClock::at(NOW)).capacity(CAPACITY);
    let revocations = revocations.in_memory();
    let door = Door::new(
        policy_for([issuer().trusted(&[ES256]), other.trusted(&[ES256])])
            .revocations(revocations.enforce([Revocable::Session])),
    );
    let logout = BackChannelLogout::new(door.policy().clone(), revocations.clone(), ["web"]);
    let logout = logout.expect("a receiver");
    let of = |issuer: &TestIssuer, session: String| {
        let token = issuer.token(ES256).typ("logout+jwt").audience("web");
        token.claim("events", json!({ EVENT: {} })).claim("sid", session)
    };
    let mut taken = 0;
    let refused = loop {
        let answer = send(&logout, &of(&issuer(), format!("invented {taken}"))).await;
        if answer.0 != 200 {
            break answer;
        }
        taken += 1;
    };
    assert_eq!(taken, CAPACITY * 9 / 16);
    let used_up = RevokeError::ShareUsedUp { capacity: CAPACITY };
    assert_eq!(refused, (400, Some(LogoutError::Revoke(used_up))));
    // What it took it keeps, and a replay is no more.
    assert_eq!(send(&logout, &of(&issuer(), "invented 0".into())).await, (200, None));

    let session = other.token(ES256).claim("sid", "s").mint();
    door.admits(&session);
    assert_eq!(send(&logout, &of(&other, "s".into())).await, (200, None));
    door.refuses("logged out", &session, RevocationError::Revoked);

    let mine = issuer().token(ES256).claim("sid", "mine").mint();
    door.admits(&mine);
    revocations.revoke_session(issuer().name(), "mine").await.expect("room");
    door.refuses("by an operator", &mine, RevocationError::Revoked);
}

#[tokio::test]
async fn a_logout_token_from_a_fast_clock_logs_out_up_to_what_is_accepted() {
    let revocations = Revocations::options().clock(FixedClock::at(NOW)).in_memory();
    let policy = policy_for([issuer().trusted(&[ES256])]);
    let door = Door::new(policy.revocations(revocations.enforce([Revocable::Subject])));
    let logout = BackChannelLogout::new(door.policy().clone(), revocations, ["web"]);
    let access = token(ES256).claim("iat", NOW + 30).without("nbf").expires_at(NOW + 600).mint();
    door.admits(&access);
    let fast = logout_token().claim("iat", NOW + 30).without("nbf").expires_at(NOW + 90);
    assert_eq!(send(&logout.expect("a receiver"), &fast).await, (200, None));
    door.refuses("logged out", &access, RevocationError::Revoked);
}

#[tokio::test]
async fn a_logout_token_is_not_remembered_as_an_access_token() {
    let network = Network::new();
    network.publish(&issuer());
    let (door, logout) = service(&network);
    // For the service as well as for the client.
    let token = logout_token().audience(["web", TestIssuer::AUDIENCE]);
    assert_eq!(send(&logout, &token).await, (200, None));
    door.refuses("a logout token", token.mint(), wrong_type("logout+jwt"));
    assert_eq!(door.policy().token_cache_stats().tokens, 0);
}

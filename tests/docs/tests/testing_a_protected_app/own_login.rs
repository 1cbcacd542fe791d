use super::*;

use portcullis_axum::portcullis::{Algorithm, Revocations, Secret};
use portcullis_issuer::session::MemorySessions;
use portcullis_issuer::store::MemoryRing;
use portcullis_issuer::{Answer, Lifetimes, RefreshRequest, Sessions, TokenIssuer};
use portcullis_testkit::FixedClock;

#[tokio::test]
async fn a_copied_refresh_token_ends_the_session() {
    let clock = FixedClock::at(1_800_000_000);
    let list = Revocations::options().clock(clock.clone()).in_memory();
    let root = Secret::new("FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old");
    let issuer = TokenIssuer::builder("https://login.example")
        .algorithm(Algorithm::ES256)
        .audiences(["https://login.example"])
        .lifetime(Duration::from_secs(15 * 60))
        .root_secrets([root])
        .ring(MemoryRing::new().clock(clock.clone()))
        .revocations(list)
        .clock(clock.clone())
        .refreshed_by_hand();
    let issuer = issuer.build().await.expect("an issuer");
    let sessions = Sessions::builder(&issuer)
        .store(MemorySessions::new().clock(clock.clone()))
        .lifetimes(Lifetimes::aal1())
        .ask(async |_| Ok(Answer::go_on()));
    let sessions = sessions.build().await.expect("sessions");
    let policy = issuer.policy_builder().revocations(sessions.enforced());
    let policy = policy.build().expect("a policy");

    let attempt = sessions.attempt("alice").await.expect("an attempt");
    let login = attempt.succeeded("web");
    let begun = sessions.begin(login).await.expect("a session");
    let first = RefreshRequest::new(begun.refresh.as_str(), "web");

    clock.advance(Duration::from_secs(16 * 60));
    // What a task in the background does otherwise.
    issuer.refresh().await.expect("a ring");
    assert!(policy.verify_token(&begun.access.token).await.is_err());
    let refreshed = sessions.refresh(&first).await.expect("it goes on");
    let access = &refreshed.access.token;
    assert!(policy.verify_token(access).await.is_ok());

    // A minute later, somebody comes with a copy of the first one.
    clock.advance(Duration::from_secs(60));
    assert!(sessions.refresh(&first).await.is_err());
    assert!(policy.verify_token(access).await.is_err());
}

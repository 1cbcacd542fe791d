//! What `portcullis-redis` promises, with real servers and what happens to them.
#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

use portcullis_fleet_tests::{Member, Server, Verdict, eventually, token};

#[tokio::test]
async fn what_one_member_revokes_the_others_refuse() {
    let server = Server::start().await;
    assert!(Member::initialize(&server.url()).await.unwrap());
    assert!(!Member::initialize(&server.url()).await.unwrap());
    let (one, other) = (Member::start(&server.url()).await, Member::start(&server.url()).await);
    let (one, other) = (one.unwrap(), other.unwrap());
    let (first, second) = (token("first"), token("second"));
    eventually("fresh", async || one.revocations.is_fresh() && other.revocations.is_fresh()).await;
    assert_eq!(other.verdict(&first), Verdict::Active);

    one.revoke("first").await;
    assert_eq!(one.verdict(&first), Verdict::Revoked);
    eventually("refused", async || other.verdict(&first) == Verdict::Revoked).await;
    assert_eq!(other.verdict(&second), Verdict::Active);
}

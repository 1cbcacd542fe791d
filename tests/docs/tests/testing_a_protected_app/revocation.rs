use portcullis::Algorithm::ES256;
use portcullis::{Revocable, Revocations};
use portcullis_testkit::{FixedClock, TestIssuer};

use super::*;

#[tokio::test]
async fn who_is_logged_out_everywhere_has_to_log_in_again() {
    let clock = FixedClock::at(1_800_000_000);
    let issuer = TestIssuer::new("https://id.example").clock(clock.clone());
    let revocations = Revocations::options().clock(clock.clone()).in_memory();
    let builder = issuer.policy_builder();
    let builder = builder.revocations(revocations.enforce([Revocable::Subject]));
    let policy = policy(builder).expect("a policy");
    let log_in = || issuer.token(ES256).subject("alice").claim("tenant", "acme").mint();

    let token = log_in();
    assert!(policy.verify_token_now(&token).is_ok());
    revocations.revoke_subject("https://id.example", "alice", None).await.expect("room");
    let refused = policy.verify_token_now(&token).expect_err("it was taken back");
    assert_eq!(refused.reason(), "revoked");
    clock.advance(Duration::from_secs(31)); // the default covers what a fast clock issues
    assert!(policy.verify_token_now(log_in()).is_ok());
}

use portcullis_axum::portcullis::Algorithm::ES256;
use portcullis_axum::portcullis::{Revocable, Revocations};
use portcullis_testkit::{FixedClock, TestIssuer};

use super::*;

#[tokio::test]
async fn who_is_logged_out_everywhere_has_to_log_in_again() {
    let clock = FixedClock::at(1_800_000_000);
    let issuer = TestIssuer::new("https://id.example").clock(clock.clone());
    let revocations = Revocations::options().clock(clock.clone()).in_memory();
    let enforced = revocations.enforce([Revocable::Subject]);
    let builder = issuer.policy_builder().revocations(enforced);
    let policy = policy(builder).expect("a policy");
    let log_in = || {
        let token = issuer.token(ES256).subject("alice");
        token.claim("tenant", "acme").mint()
    };

    let token = log_in();
    assert!(policy.verify_token_now(&token).is_ok());
    let revoked = revocations.revoke_subject("https://id.example", "alice", None);
    revoked.await.expect("room");
    let refused = policy.verify_token_now(&token).expect_err("it was revoked");
    assert_eq!(refused.reason(), "revoked");

    // A clock that is fast by the leeway may have issued tokens until then.
    clock.advance(Duration::from_secs(31));
    assert!(policy.verify_token_now(log_in()).is_ok());
}

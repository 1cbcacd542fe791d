use portcullis_axum::portcullis::Algorithm::ES256;
use portcullis_testkit::{FixedClock, TestIssuer};

use super::*;

#[test]
fn a_token_is_refused_30_seconds_after_its_expiry() {
    let clock = FixedClock::at(1_800_000_000);
    let issuer = TestIssuer::new("https://id.example").clock(clock.clone());
    // The builder has the same clock.
    let policy = policy(issuer.policy_builder()).expect("a policy");
    let token = issuer.token(ES256).claim("tenant", "acme");
    let token = token.expires_in(Duration::from_secs(300)).mint();

    clock.advance(Duration::from_secs(329));
    assert!(policy.verify_token_now(&token).is_ok());
    clock.advance(Duration::from_secs(1));
    let refused = policy.verify_token_now(&token).expect_err("it is over");
    assert_eq!(refused.reason(), "expired");
}

//! A policy that is replaced while it serves.
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis::error::ClaimsError;
use portcullis::policy::Verification;
use portcullis::{Admission, Algorithm, Policy, Rejection, ReplaceablePolicy};
use portcullis_testkit::TestIssuer;

const NOW: i64 = 1_800_000_000;

fn admission(policy: &Policy, request: &http::Request<()>) -> Result<Admission, Rejection> {
    match policy.start_verify(request) {
        Verification::Done(decided) => decided,
        Verification::Pending(_) => panic!("nothing is waited for"),
    }
}

#[test]
fn a_policy_that_is_replaced_decides_by_the_new_one_from_the_next_request_on() {
    let issuer = TestIssuer::new("https://id.example").at(NOW);
    let other = TestIssuer::new("https://other.example").at(NOW);
    let replaceable = ReplaceablePolicy::new(&issuer.policy());
    let (policy, anonymous) = (replaceable.policy(), replaceable.policy().allow_anonymous());
    let (ours, theirs) =
        (issuer.token(Algorithm::ES256).mint(), other.token(Algorithm::ES256).mint());
    let request = http::Request::builder()
        .header("authorization", format!("Bearer {ours}"))
        .body(())
        .expect("a request");
    let bare = http::Request::new(());

    let verified = policy.verify_token_now(&ours).expect("a token");
    assert!(policy.verify_token_now(&theirs).is_err());
    let before = admission(&policy, &request).expect("an admission");
    let before_anonymous = admission(&anonymous, &bare).expect("an admission");
    assert!(before.is_by(&policy) && before_anonymous.is_by(&anonymous));
    assert_eq!(policy.token_cache_stats().tokens, 1);

    replaceable.replace(&other.policy());
    assert_eq!(policy.verify_token_now(&ours).err(), Some(ClaimsError::Issuer.into()));
    assert!(policy.verify_token_now(&theirs).is_ok());
    // Nothing that the former policy said counts: not its cache, not its admissions.
    assert_eq!(policy.recheck_now(&verified), Err(ClaimsError::Issuer.into()));
    assert!(!before.is_by(&policy) && !before_anonymous.is_by(&anonymous));
    assert!(admission(&policy, &request).is_err());
    // Who lets requests pass without a token said so of whatever policy it is.
    assert!(admission(&anonymous, &bare).is_ok());
    assert!(admission(&policy, &bare).is_err());

    replaceable.replace(&other.policy().allow_anonymous());
    assert!(admission(&policy, &bare).is_ok());
    // A replaceable policy is taken as it is now, and does not go with the other.
    let follower = ReplaceablePolicy::new(&policy);
    replaceable.replace(&issuer.policy());
    assert!(follower.policy().verify_token_now(&theirs).is_ok());
    assert!(policy.verify_token_now(&ours).is_ok());
    assert!(!policy.allows_anonymous());
}

#[test]
fn a_policy_is_replaced_while_threads_decide_by_it() {
    let issuers = ["https://a.example", "https://b.example"].map(|id| TestIssuer::new(id).at(NOW));
    let policies = issuers.each_ref().map(TestIssuer::policy);
    let tokens = issuers.each_ref().map(|issuer| issuer.token(Algorithm::EdDSA).mint());
    let replaceable = ReplaceablePolicy::new(&policies[0]);
    let policy = replaceable.policy();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut decided = 0_u32;
                while !is_over.load(Ordering::Relaxed) || decided < 100 {
                    // One of the two is in force, whichever.
                    let verdicts = tokens.each_ref().map(|token| policy.verify_token_now(token));
                    for verdict in verdicts {
                        if let Err(error) = verdict {
                            assert_eq!(error, ClaimsError::Issuer.into());
                        }
                    }
                    decided += 1;
                }
            })
        });
        for round in 0..1000 {
            replaceable.replace(&policies[round % 2]);
        }
        is_over.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().expect("a reader");
        }
    });
    assert!(policy.verify_token_now(&tokens[1]).is_ok());
}

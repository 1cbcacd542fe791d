use portcullis::Algorithm::ES256;
use portcullis::Error;
use portcullis_testkit::TestIssuer;
use serde_json::json;

use super::*;

#[test]
fn only_accountants_pay_back() {
    let issuer = TestIssuer::new("https://id.example");
    let policy = policy(issuer.policy_builder()).expect("a policy");
    let pays_back = |role: &str| -> Result<(), Error> {
        let token = issuer.token(ES256).claim("tenant", "acme");
        let token = token.claim("realm_access", json!({ "roles": [role] })).mint();
        refund().check(&policy.verify_token_now(token)?)
    };
    assert_eq!(pays_back("accountant"), Ok(()));
    assert_eq!(pays_back("clerk").map_err(|error| error.reason()), Err("forbidden"));
}

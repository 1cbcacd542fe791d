use portcullis_axum::portcullis::Algorithm::ES256;
use portcullis_axum::portcullis::Error;
use portcullis_testkit::TestIssuer;
use serde_json::json;

use super::*;

#[test]
fn only_accountants_pay_back() {
    let issuer = TestIssuer::new("https://id.example");
    let policy = policy(issuer.policy_builder()).expect("a policy");
    let pays_back = |role: &str| -> Result<(), Error> {
        let roles = json!({ "roles": [role] });
        let token = issuer.token(ES256).claim("tenant", "acme");
        let token = token.claim("realm_access", roles).mint();
        refund().check(&policy.verify_token_now(token)?)
    };
    assert_eq!(pays_back("accountant"), Ok(()));
    let refused = pays_back("clerk").expect_err("another role");
    assert_eq!(refused.reason(), "forbidden");
}

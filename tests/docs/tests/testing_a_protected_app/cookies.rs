use axum::body::Body;
use axum::http::Request;
use portcullis_axum::portcullis::Algorithm::ES256;
use portcullis_axum::portcullis::TokenSource;
use portcullis_testkit::TestIssuer;
use serde_json::json;
use tower::ServiceExt;

use super::*;

#[tokio::test]
async fn no_other_site_pays_back_with_the_cookie() {
    let issuer = TestIssuer::new("https://id.example");
    let cookie = TokenSource::cookie("__Host-token");
    let builder = issuer.policy_builder().sources([cookie]);
    let app = app(policy(builder).expect("a policy"));
    let token = issuer.token(ES256).claim("tenant", "acme");
    let roles = json!({ "roles": ["accountant"] });
    let token = token.claim("realm_access", roles).mint();

    for (site, status) in [("same-origin", 200), ("same-site", 403), ("cross-site", 403)] {
        let request = Request::post("/refunds")
            .header("cookie", format!("__Host-token={token}"))
            .header("sec-fetch-site", site) // as a browser says it
            .body(Body::empty())
            .expect("a request");
        let response = app.clone().oneshot(request).await;
        assert_eq!(response.expect("a response").status(), status, "{site}");
    }
}

use axum::body::Body;
use axum::http::Request;
use portcullis::Algorithm::ES256;
use portcullis::TokenSource;
use portcullis_testkit::TestIssuer;
use serde_json::json;
use tower::ServiceExt;

use super::*;

#[tokio::test]
async fn no_other_site_pays_back_with_the_cookie() {
    let issuer = TestIssuer::new("https://id.example");
    let builder = issuer.policy_builder().sources([TokenSource::cookie("__Host-token")]);
    let app = app(policy(builder).expect("a policy"));
    let token = issuer.token(ES256).claim("tenant", "acme");
    let token = token.claim("realm_access", json!({ "roles": ["accountant"] })).mint();

    for (site, status) in [("same-origin", 200), ("same-site", 403), ("cross-site", 403)] {
        let request = Request::post("/refunds")
            .header("cookie", format!("__Host-token={token}"))
            .header("sec-fetch-site", site); // as a browser says it
        let request = request.body(Body::empty()).expect("a request");
        let response = app.clone().oneshot(request).await.expect("a response");
        assert_eq!(response.status(), status, "{site}");
    }
}

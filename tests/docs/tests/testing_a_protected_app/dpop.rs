use portcullis_axum::portcullis::Algorithm::ES256;
use portcullis_axum::portcullis::UnixTime;
use portcullis_axum::portcullis::dpop::{Dpop, InProcessReplays};
use portcullis_testkit::axum::assert_dpop;
use portcullis_testkit::{DpopClient, SigningKey, TestIssuer};

use super::*;

const NOW: i64 = 1_800_000_000;

#[tokio::test]
async fn a_stolen_token_opens_nothing() {
    let issuer = TestIssuer::new("https://id.example").at(NOW);
    // As if the service had begun an hour ago.
    let replays = InProcessReplays::new().started_at(UnixTime(NOW - 3600));
    let dpop = Dpop::new(replays).at("https://shop.example");
    let builder = issuer.policy_builder().dpop(dpop);
    let app = app(policy(builder).expect("a policy"));

    let key = SigningKey::generate(ES256);
    let token = issuer.token(ES256).bound_to(&key).scope("orders:read");
    let token = token.claim("tenant", "acme").mint();
    let client = DpopClient::new(&issuer, &key).token(token);
    let routes = [("GET", "/orders")];
    assert_dpop(&app, &client, "https://shop.example", &routes).await;
}

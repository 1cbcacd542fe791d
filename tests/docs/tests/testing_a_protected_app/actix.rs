use actix_web::{App, Responder, test, web};
use portcullis_actix::portcullis::Algorithm::ES256;
use portcullis_actix::{Caller, Verify};
use portcullis_testkit::TestIssuer;
use portcullis_testkit::actix::assert_protected;

use super::*;

async fn orders(caller: Caller) -> impl Responder {
    format!("orders of {}", caller.subject().unwrap_or("a client"))
}

fn api(policy: Policy) -> impl FnOnce(&mut web::ServiceConfig) {
    let api = web::scope("/api").wrap(Verify::new(policy)).route("/orders", web::get().to(orders));
    |config| _ = config.service(api)
}

#[actix_web::test]
async fn orders_are_for_whoever_has_a_token() {
    let issuer = TestIssuer::new("https://id.example");
    let api = || api(policy(issuer.policy_builder()).expect("a policy"));
    let app = App::new().configure(api());
    assert_protected(app, &[("GET", "/api/orders")]).await;

    let app = test::init_service(App::new().configure(api())).await;
    let token = issuer.token(ES256).subject("bob");
    let token = token.claim("tenant", "acme").mint();
    let request = test::TestRequest::get()
        .uri("/api/orders")
        .insert_header(("authorization", format!("Bearer {token}")));
    let body = test::call_and_read_body(&app, request.to_request()).await;
    assert_eq!(body, "orders of bob");
}

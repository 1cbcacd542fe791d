//! What a hook sees of a request that is refused, and what a table of routes does to it, through axum and actix-web
//! alike.
#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

use axum::body::Body;
use axum::routing::get;
use http::{Request, Response};
use portcullis::{Algorithm, Error, Policy, Requirement, RouteTable};
use portcullis_testkit::TestIssuer;
use tower::ServiceExt;

fn issuer() -> TestIssuer {
    TestIssuer::new("https://id.example")
}

fn token(scope: &str) -> String {
    issuer().token(Algorithm::ES256).claim("scope", scope).mint()
}

/// One answer of an app.
type Answer = (u16, Option<Error>, Vec<(String, String)>);

/// What is asked: method, path with query, and headers.
type Asked<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

fn headers(response: &http::HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    response.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

async fn of_axum(policy: Policy, table: Option<RouteTable>, asked: Asked<'_>) -> Answer {
    use portcullis_axum::{Caller, RequireLayer, VerifyLayer};

    let order = async |_: Option<Caller>| "order";
    let inner = axum::Router::new()
        .route("/orders/{id}", get(order).post(order))
        .route("/forgotten", get(async || "forgotten"));
    let app = axum::Router::new().nest("/v1", inner).route("/news", get(async || "news"));
    let app = match table {
        Some(table) => app.route_layer(RequireLayer::by_route(table)),
        None => app,
    };
    let app = app.layer(VerifyLayer::new(policy));
    let mut request = Request::builder().method(asked.0).uri(asked.1);
    for (name, value) in asked.2 {
        request = request.header(*name, *value);
    }
    let response: Response<Body> = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let error = response.extensions().get().cloned();
    (response.status().as_u16(), error, headers(response.headers()))
}

async fn of_actix(policy: Policy, table: Option<RouteTable>, asked: Asked<'_>) -> Answer {
    use actix_web::middleware::Condition;
    use actix_web::{App, test, web};
    use portcullis_actix::{Require, Verify};

    let order = async || "order";
    let inner = web::scope("/v1")
        .service(web::resource("/orders/{id}").get(order).post(order).route(web::head().to(order)))
        .route("/forgotten", web::get().to(async || "forgotten"));
    let app = App::new().service(inner).route("/news", web::get().to(async || "news"));
    let is_by_table = table.is_some();
    let table = Require::by_route(table.unwrap_or_default());
    let app = app.wrap(Condition::new(is_by_table, table)).wrap(Verify::new(policy));
    let app = test::init_service(app).await;
    let mut request = test::TestRequest::with_uri(asked.1).method(asked.0.parse().unwrap());
    for (name, value) in asked.2 {
        request = request.insert_header((*name, *value));
    }
    let response = test::call_service(&app, request.to_request()).await;
    let error = response.response().extensions().get::<Error>().cloned();
    let headers = response.headers().iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    (response.status().as_u16(), error, headers.collect())
}

fn table() -> RouteTable {
    RouteTable::new()
        .require("GET", "/v1/orders/{id}", Requirement::scope("orders:read"))
        .require("*", "/v1/orders/{id}", Requirement::scope("orders:write"))
        .anyone("GET", "/news")
}

#[actix_web::test]
async fn a_table_of_routes_decides_by_route_and_method_and_refuses_what_it_does_not_have() {
    let (read, write) = (token("orders:read"), token("orders:write"));
    for (method, path, token, status) in [
        ("GET", "/v1/orders/17", Some(&read), 200),
        ("HEAD", "/v1/orders/17", Some(&read), 200),
        ("GET", "/v1/orders/17", Some(&write), 403),
        ("POST", "/v1/orders/17", Some(&read), 403),
        ("POST", "/v1/orders/17", Some(&write), 200),
        ("GET", "/v1/orders/17", None, 401),
        ("GET", "/v1/orders/a%2Fb", Some(&write), 403),
        ("GET", "/v1/forgotten", Some(&write), 500),
        ("GET", "/v1/forgotten", None, 500),
        ("GET", "/news", None, 200),
        ("GET", "/news", Some(&read), 200),
    ] {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> =
            bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        let policy = issuer().policy().allow_anonymous();
        let asked = (method, path, &headers[..]);
        let axum = of_axum(policy.clone(), Some(table()), asked).await;
        let actix = of_actix(policy, Some(table()), asked).await;
        assert_eq!((axum.0, actix.0), (status, status), "{method} {path}");
        assert_eq!(axum.1, actix.1, "{method} {path}");
        let is_uncovered = axum.1 == Some(Error::RouteUncovered);
        assert_eq!(is_uncovered, status == 500, "{method} {path}");
    }
}

#[actix_web::test]
async fn without_a_policy_in_front_a_table_lets_nobody_in() {
    let app = axum::Router::new()
        .route("/news", get(async || "news"))
        .route_layer(portcullis_axum::RequireLayer::by_route(table()));
    let request = Request::get("/news").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.extensions().get(), Some(&Error::NotInstalled));
}

/// A policy that answers what its hook sees.
fn telling() -> Policy {
    let builder = issuer().policy_builder().on_refusal(|refused, response| {
        let request = refused.request().unwrap();
        response.set_header("x-code", refused.code());
        response.set_header("x-detail", refused.detail().unwrap());
        response.set_header("x-method", request.method());
        response.set_header("x-path", request.path().unwrap());
        response.set_header("x-language", request.header("accept-language").unwrap_or("none"));
        for hidden in ["authorization", "cookie", "x-api-key"] {
            assert_eq!(request.header(hidden), None);
        }
        assert!(!format!("{request:?} {refused:?}").contains("hidden"));
    });
    builder.build().unwrap()
}

#[actix_web::test]
async fn a_hook_sees_method_path_and_language_and_nothing_that_could_be_a_token() {
    let headers = [
        ("accept-language", "de-AT"),
        ("authorization", "Bearer hidden"),
        ("cookie", "a=hidden"),
        ("x-api-key", "hidden"),
    ];
    let long = format!("/v1/orders/{}", "9".repeat(1_000));
    for (path, seen) in [("/v1/orders/17?token=hidden", "/v1/orders/17"), (&*long, &*long)] {
        let asked = ("POST", path, &headers[..]);
        let axum = of_axum(telling(), None, asked).await;
        let actix = of_actix(telling(), None, asked).await;
        for (status, error, headers) in [axum, actix] {
            let header = |name: &str| {
                let found = headers.iter().find(|(own, _)| own == name);
                found.map(|(_, value)| value.as_str())
            };
            assert_eq!((status, error.map(|it| it.reason())), (401, Some("malformed")));
            assert_eq!(header("x-code"), Some("token-invalid"));
            assert_eq!(header("x-detail"), Some("The access token is malformed."));
            assert_eq!((header("x-method"), header("x-path")), (Some("POST"), Some(seen)));
            assert_eq!(header("x-language"), Some("de-AT"));
        }
    }
}

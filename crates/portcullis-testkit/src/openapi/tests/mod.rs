mod certificates;
mod proofs;

use axum::Router;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{MethodFilter, get, on, post};
use portcullis::{Algorithm, Error, Requirement, TokenSource};
use portcullis_axum::{Authorized, Caller, RequireLayer, VerifyLayer};
use serde_json::json;

use super::walk::message;
use super::*;
use crate::TestIssuer;

portcullis::requirement! {
    Read = Requirement::scope("orders:read");
    ReadAndList = Requirement::all_scopes(["orders:read", "orders:list"]);
    ReadOrAdmin = Requirement::any_scope(["orders:read", "admin"]);
    ReadAndRole = Requirement::scope("orders:read").and(Requirement::role("roles", "clerk"));
}

fn issuer() -> TestIssuer {
    TestIssuer::new("https://openapi.example")
}

fn layer() -> VerifyLayer {
    VerifyLayer::new(issuer().policy())
}

fn token(wanted: &WantedToken<'_>) -> String {
    issuer().token(Algorithm::ES256).scope(wanted.scope()).mint()
}

/// A document of these paths.
fn document(paths: &Value) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Orders", "version": "1" },
        "components": { "securitySchemes": {
            "token": { "type": "http", "scheme": "bearer" },
            "session": { "type": "apiKey", "in": "cookie", "name": "__Host-token" },
            "key": { "type": "apiKey", "in": "header", "name": "X-Token" },
            "link": { "type": "apiKey", "in": "query", "name": "token" },
            "login": { "type": "openIdConnect", "openIdConnectUrl": "https://openapi.example" },
            "certificate": { "type": "mutualTLS" },
            "proof": { "type": "http", "scheme": "DPoP" },
        } },
        "paths": paths,
    })
}

/// An operation with this `security`.
fn operation(security: &Value) -> Value {
    json!({ "security": security, "responses": { "200": {}, "401": {}, "403": {} } })
}

fn at(path: &str, security: &Value) -> Value {
    document(&json!({ path: { "get": operation(security) } }))
}

async fn ask_with(app: &Router, api: OpenApi<'_>) -> Option<String> {
    message(api, async |question| crate::tower::ask::<_, Body, _>(app.clone(), question).await)
        .await
}

/// What is found, line by line, without the headings.
async fn found(app: &Router, document: &Value) -> Vec<String> {
    lines(ask_with(app, OpenApi::new(document, token)).await)
}

fn lines(message: Option<String>) -> Vec<String> {
    let message = message.unwrap_or_default();
    message.lines().filter_map(|line| line.strip_prefix("  - ")).map(str::to_owned).collect()
}

fn app<R: portcullis::authorize::Requires>() -> Router {
    Router::new().route("/orders", get(async |_: Authorized<R>| "orders")).layer(layer())
}

#[tokio::test]
async fn an_app_that_does_what_its_document_says_passes() {
    let read = json!([{ "token": ["orders:read"] }]);
    assert_eq!(found(&app::<Read>(), &at("/orders", &read)).await, [""; 0]);
    let both = json!([{ "token": ["orders:read", "orders:list"] }]);
    assert_eq!(found(&app::<ReadAndList>(), &at("/orders", &both)).await, [""; 0]);
    let either = json!([{ "token": ["orders:read"] }, { "token": ["admin"] }]);
    assert_eq!(found(&app::<ReadOrAdmin>(), &at("/orders", &either)).await, [""; 0]);
    let login = json!([{ "login": ["orders:read"] }]);
    assert_eq!(found(&app::<Read>(), &at("/orders", &login)).await, [""; 0]);
}

#[tokio::test]
async fn an_operation_that_is_documented_as_open_and_protected_is_found() {
    let fault = "GET /orders: without a token it answered 401: the request carries no token, though the document says that it needs none";
    for security in [json!([]), json!([{}]), json!([{}, { "token": ["orders:read"] }])] {
        assert_eq!(found(&app::<Read>(), &at("/orders", &security)).await, [fault], "{security}");
    }
    let mut unsaid = at("/orders", &json!([]));
    unsaid["paths"]["/orders"]["get"].as_object_mut().expect("an object").remove("security");
    assert_eq!(found(&app::<Read>(), &unsaid).await, [fault]);
    // What the document says at its root holds for operations that say nothing.
    unsaid["security"] = json!([{ "token": ["orders:read"] }]);
    assert_eq!(found(&app::<Read>(), &unsaid).await, [""; 0]);
}

#[tokio::test]
async fn an_operation_that_is_documented_as_protected_and_open_is_found() {
    let open = Router::new().route("/orders", get(async || "orders"));
    assert_eq!(
        found(&open, &at("/orders", &json!([{ "token": [] }]))).await,
        ["GET /orders: without a token it answered 200, though its `security` asks for one"]
    );
}

#[tokio::test]
async fn an_optional_token_passes_without_one_and_with_one() {
    let app = Router::new()
        .route("/news", get(async |_: Option<Caller>| "news"))
        .layer(VerifyLayer::new(issuer().policy().allow_anonymous()));
    assert_eq!(found(&app, &at("/news", &json!([{}, { "token": [] }]))).await, [""; 0]);
    assert_eq!(found(&app, &at("/news", &json!([{}]))).await, [""; 0]);
}

#[tokio::test]
async fn a_scope_that_the_app_does_not_ask_for_is_found_and_one_that_the_document_leaves_out() {
    let too_many = json!([{ "token": ["orders:read", "orders:list"] }]);
    assert_eq!(
        found(&app::<Read>(), &at("/orders", &too_many)).await,
        [
            "GET /orders: without the scope `orders:read` in `token` it answered 403 with a challenge for `orders:read`, and the document asks for `orders:read orders:list`",
            "GET /orders: without the scope `orders:list` in `token` it answered 200, and not as a requirement does",
        ]
    );
    let too_few = json!([{ "token": ["orders:read"] }]);
    assert_eq!(
        found(&app::<ReadAndList>(), &at("/orders", &too_few)).await,
        [
            "GET /orders: with `orders:read` in `token` it answered 403: the token lacks what the route needs: the scope `orders:list`"
        ]
    );
}

#[tokio::test]
async fn an_alternative_that_the_app_does_not_know_is_found() {
    let either = json!([{ "token": ["orders:read"] }, { "token": ["admin"] }]);
    let faults = found(&app::<Read>(), &at("/orders", &either)).await;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("GET /orders: with `admin` in `token` it answered 403: "));
}

#[tokio::test]
async fn a_scope_that_another_alternative_does_without_is_not_asked_for_alone() {
    let either = json!([{ "token": ["orders:read"] }, { "token": ["orders:read", "admin"] }]);
    assert_eq!(found(&app::<Read>(), &at("/orders", &either)).await, [""; 0]);
}

#[tokio::test]
async fn what_is_beyond_scopes_is_told_to_who_makes_the_token() {
    let mut document = at("/orders", &json!([{ "token": ["orders:read"] }]));
    document["paths"]["/orders"]["get"]["x-portcullis"] = json!({
        "alternatives": [{ "scopes": ["orders:read"], "beyond": ["`clerk` at `roles`"] }],
    });
    let faults = found(&app::<ReadAndRole>(), &document).await;
    assert_eq!(faults.len(), 1);
    assert!(
        faults[0]
            .ends_with(": let the token have what is beyond its scopes, by `WantedToken::beyond`"),
        "{faults:?}"
    );

    let with_role = |wanted: &WantedToken<'_>| {
        assert_eq!((wanted.method(), wanted.path()), ("GET", "/orders"));
        let token = issuer().token(Algorithm::ES256).scope(wanted.scope());
        match wanted.beyond() {
            [role] if role == "`clerk` at `roles`" => {
                token.claim("roles", ["clerk"].as_slice()).mint()
            }
            _ => token.mint(),
        }
    };
    assert_eq!(ask_with(&app::<ReadAndRole>(), OpenApi::new(&document, with_role)).await, None);
}

#[tokio::test]
async fn a_requirement_of_too_many_alternatives_is_told_as_a_whole() {
    let mut document = at("/orders", &json!([{ "token": [] }]));
    let needs = "the scope `orders:read` or any of a hundred others";
    document["paths"]["/orders"]["get"]["x-portcullis"] = json!({ "needs": needs });
    let token = |wanted: &WantedToken<'_>| {
        assert_eq!((wanted.scopes().len(), wanted.beyond()), (0, &[needs.to_owned()][..]));
        issuer().token(Algorithm::ES256).scope("orders:read").mint()
    };
    assert_eq!(ask_with(&app::<Read>(), OpenApi::new(&document, token)).await, None);
}

#[tokio::test]
async fn a_refusal_that_the_responses_do_not_have_is_found() {
    let mut document = at("/orders", &json!([{ "token": ["orders:read"] }]));
    let responses = |document: &mut Value, responses: Value| {
        document["paths"]["/orders"]["get"]["responses"] = responses;
    };
    responses(&mut document, json!({ "200": {}, "403": {} }));
    let fault = "GET /orders: without a token it answered 401, which is not among its `responses`";
    assert_eq!(found(&app::<Read>(), &document).await, [fault]);
    responses(&mut document, json!({ "200": {}, "401": {} }));
    let fault = "GET /orders: without the scope `orders:read` in `token` it answered 403, which is not among its `responses`";
    assert_eq!(found(&app::<Read>(), &document).await, [fault]);
    for whole in [json!({ "4XX": {} }), json!({ "4xx": {} }), json!({ "default": {} })] {
        responses(&mut document, whole);
        assert_eq!(found(&app::<Read>(), &document).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_handler_that_answers_403_or_401_itself_was_not_refused() {
    let own = |status| get(async move |_: Authorized<Read>| (status, "not yours"));
    for status in [StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED] {
        let app = Router::new().route("/orders", own(status)).layer(layer());
        let read = json!([{ "token": ["orders:read"] }]);
        assert_eq!(found(&app, &at("/orders", &read)).await, [""; 0], "{status}");
        // And it does not stand for the requirement that is not there.
        let both = json!([{ "token": ["orders:read", "admin"] }]);
        let faults = found(&app, &at("/orders", &both)).await;
        let missing = format!(
            "GET /orders: without the scope `admin` in `token` it answered {}, and not as a requirement does",
            status.as_u16()
        );
        assert!(faults.contains(&missing), "{faults:?}");
    }
    let open = get(async || (StatusCode::FORBIDDEN, "not today"));
    let app = Router::new().route("/orders", open);
    assert_eq!(found(&app, &at("/orders", &json!([]))).await, [""; 0]);
    assert_eq!(
        found(&app, &at("/orders", &json!([{ "token": [] }]))).await,
        ["GET /orders: without a token it answered 403, though its `security` asks for one"]
    );
}

#[tokio::test]
async fn without_the_error_the_challenge_says_that_portcullis_refused() {
    let strip = map_response(async |mut response: Response| {
        response.extensions_mut().remove::<Error>();
        response
    });
    let app = app::<ReadAndList>().layer(strip);
    let both = json!([{ "token": ["orders:read", "orders:list"] }]);
    assert_eq!(found(&app, &at("/orders", &both)).await, [""; 0]);
    let one = json!([{ "token": ["orders:read"] }]);
    let fault = "GET /orders: with `orders:read` in `token` it answered 403";
    assert_eq!(found(&app, &at("/orders", &one)).await, [fault]);
    let fault =
        "GET /orders: without a token it answered 401, though the document says that it needs none";
    assert_eq!(found(&app, &at("/orders", &json!([]))).await, [fault]);
}

#[tokio::test]
async fn an_operation_without_a_route_is_found_unless_it_documents_404() {
    let app = Router::new()
        .route("/other", get(async || "other"))
        .route("/orders", post(async |_: Caller| "made").route_layer(layer()));
    let fault = |status| {
        format!("GET /orders: without a token it answered {status}: is there such a route?")
    };
    assert_eq!(found(&app, &at("/orders", &json!([{ "token": [] }]))).await, [fault(405)]);
    assert_eq!(found(&app, &at("/orders", &json!([]))).await, [fault(405)]);
    let gone = get(async |_: Caller| StatusCode::NOT_FOUND);
    let app = Router::new().route("/orders", gone).layer(layer());
    let mut document = at("/orders", &json!([{ "token": [] }]));
    let fault = "GET /orders: with a token in `token` it answered 404: is there such a route?";
    assert_eq!(found(&app, &document).await, [fault]);
    document["paths"]["/orders"]["get"]["responses"]["404"] = json!({});
    assert_eq!(found(&app, &document).await, [""; 0]);
}

#[tokio::test]
async fn a_scope_that_no_token_can_carry_is_a_fault_of_the_document() {
    for scope in ["orders:\"read\"", "two words", "", "back\\slash", "ü"] {
        let faults = found(&app::<Read>(), &at("/orders", &json!([{ "token": [scope] }]))).await;
        let fault =
            format!("GET /orders: no token can carry the scope {scope:?} (RFC 6749, section 3.3)");
        assert_eq!(faults, [fault]);
    }
}

#[tokio::test]
async fn a_scheme_that_the_document_does_not_have_is_found() {
    let faults = found(&app::<Read>(), &at("/orders", &json!([{ "bearer": [] }]))).await;
    assert_eq!(faults, ["GET /orders: the document has no security scheme `bearer`"]);
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_named_as_untested() {
    let both =
        json!([{ "certificate": [] }, { "key": [], "token": [] }, { "token": ["orders:read"] }]);
    let message = ask_with(&app::<Read>(), OpenApi::new(&at("/orders", &both), token)).await;
    assert_eq!(
        message.as_deref(),
        Some(
            "2 things were not tested:
  - GET /orders: a token is not sent by `certificate`, which is `mutualTLS`
  - GET /orders: asks for `key` and `token` at once"
        )
    );
}

#[tokio::test]
async fn a_token_goes_where_its_scheme_says() {
    let read = || get(async |_: Authorized<Read>| "orders");
    let of = |source: TokenSource| {
        let policy = issuer().policy_builder().sources([source]).build().expect("a policy");
        Router::new().route("/orders", read()).layer(VerifyLayer::new(policy))
    };
    let mut document = at("/orders", &json!([{ "session": ["orders:read"] }]));
    assert_eq!(found(&of(TokenSource::cookie("__Host-token")), &document).await, [""; 0]);
    let security = |document: &mut Value, scheme: &str| {
        document["paths"]["/orders"]["get"]["security"] = json!([{ scheme: ["orders:read"] }]);
    };
    security(&mut document, "key");
    assert_eq!(found(&of(TokenSource::header("x-token")), &document).await, [""; 0]);
    assert_eq!(found(&of(TokenSource::bearer()), &document).await.len(), 1);
    security(&mut document, "link");
    let query = portcullis::dangerous::token_in_url("token");
    assert_eq!(found(&of(query), &document).await, [""; 0]);
    document["components"]["securitySchemes"]["key"]["x-portcullis"] =
        json!({ "prefix": "Token " });
    security(&mut document, "key");
    let prefixed = TokenSource::header("x-token").with_prefix("Token ");
    assert_eq!(found(&of(prefixed), &document).await, [""; 0]);
}

#[tokio::test]
async fn a_path_with_parameters_is_asked_with_samples_or_named_as_untested() {
    let order = get(
        async |_: Authorized<Read>, axum::extract::Path(id): axum::extract::Path<u8>| {
            if id == 7 { StatusCode::OK } else { StatusCode::NOT_FOUND }
        },
    );
    let app = Router::new().route("/orders/{id}", order).layer(layer());
    let path = "/orders/{id}";
    let mut document = at(path, &json!([{ "token": ["orders:read"] }]));
    let untested = "GET /orders/{id}: there is no sample for `id` in its path: give it an `example`, or `OpenApi::sample` one";
    assert_eq!(found(&app, &document).await, [untested]);

    let sampled = OpenApi::new(&document, token).sample(|parameter| {
        assert_eq!((parameter.name(), parameter.place()), ("id", "path"));
        Some("7".to_owned())
    });
    assert_eq!(ask_with(&app, sampled).await, None);

    let schema = json!({ "$ref": "#/components/schemas/Id" });
    let parameter = json!({ "name": "id", "in": "path", "required": true, "schema": schema });
    document["components"]["schemas"] = json!({ "Id": { "type": "integer", "example": 7 } });
    document["components"]["parameters"] = json!({ "Id": parameter });
    document["paths"][path]["parameters"] = json!([{ "$ref": "#/components/parameters/Id" }]);
    assert_eq!(found(&app, &document).await, [""; 0]);
    // That of the operation counts before that of the path.
    let own = json!([{ "name": "id", "in": "path", "example": 8 }]);
    document["paths"][path]["get"]["parameters"] = own;
    assert_eq!(found(&app, &document).await.len(), 1);

    let left_out = OpenApi::new(&document, token).except(&[("GET", path)]);
    let message = ask_with(&app, left_out).await.expect("nothing was asked");
    assert!(message.starts_with("the document has no operation to ask for"), "{message}");
}

#[tokio::test]
async fn a_required_parameter_of_the_query_is_given() {
    struct Filter;

    impl<S: Sync> FromRequestParts<S> for Filter {
        type Rejection = StatusCode;

        async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
            let has_state = parts.uri.query().is_some_and(|query| query == "state=open");
            if has_state { Ok(Self) } else { Err(StatusCode::BAD_REQUEST) }
        }
    }

    // The handler looks at the query before it asks what the token may do.
    let orders = get(async |_: Filter, _: Authorized<Read>| "orders");
    let app = Router::new().route("/orders", orders).layer(layer());
    let mut document = at("/orders", &json!([{ "token": ["orders:read"] }]));
    assert_eq!(
        found(&app, &document).await,
        [
            "GET /orders: without the scope `orders:read` in `token` it answered 400, and not as a requirement does"
        ]
    );
    document["paths"]["/orders"]["get"]["parameters"] = json!([{ "name": "state", "in": "query", "required": true, "schema": { "enum": ["open"] } }]);
    assert_eq!(found(&app, &document).await, [""; 0]);
}

#[tokio::test]
async fn the_path_of_the_server_stands_before_each_path() {
    let nested = Router::new().nest("/api/v1", app::<Read>());
    let mut document = at("/orders", &json!([{ "token": ["orders:read"] }]));
    assert_eq!(found(&nested, &document).await.len(), 1);
    for url in ["/api/v1", "/api/v1/", "https://orders.example/api/v1", "api/v1"] {
        document["servers"] = json!([{ "url": url }, { "url": "/other" }]);
        assert_eq!(found(&nested, &document).await, [""; 0], "{url}");
    }
    document["servers"] = json!([{
        "url": "https://orders.example/{base}/v1",
        "variables": { "base": { "default": "api" } },
    }]);
    assert_eq!(found(&nested, &document).await, [""; 0]);
    // Those of the operation count before those of the path, and those before the document's.
    document["paths"]["/orders"]["servers"] = json!([{ "url": "/" }]);
    assert_eq!(found(&app::<Read>(), &document).await, [""; 0]);
    document["paths"]["/orders"]["get"]["servers"] = json!([{ "url": "/api/v1" }]);
    assert_eq!(found(&nested, &document).await, [""; 0]);
    // A proxy may take it away.
    let stripped = OpenApi::new(&document, token).base("");
    assert_eq!(ask_with(&app::<Read>(), stripped).await, None);
}

#[tokio::test]
async fn methods_that_change_something_are_passed_over_until_they_are_wanted() {
    let app = Router::new()
        .route("/orders", get(async |_: Authorized<Read>| "orders").post(async || "made"))
        .layer(layer());
    let read = operation(&json!([{ "token": ["orders:read"] }]));
    let both = document(&json!({ "/orders": { "get": read, "post": read } }));
    assert_eq!(found(&app, &both).await, [""; 0]);
    let message = ask_with(&app, OpenApi::new(&both, token).mutating()).await;
    let fault = "POST /orders: without the scope `orders:read` in `token` it answered 200, and not as a requirement does";
    assert_eq!(lines(message), [fault]);

    let writing = document(&json!({ "/orders": { "post": read } }));
    let message = ask_with(&app, OpenApi::new(&writing, token)).await.expect("nothing was asked");
    assert!(
        message.ends_with(
            "\n1 more would change something, and are asked where `OpenApi::mutating` is called."
        ),
        "{message}"
    );
}

#[tokio::test]
async fn head_must_not_answer_where_get_needs_a_token() {
    let read = json!([{ "token": ["orders:read"] }]);
    let protected = get(async |_: Authorized<Read>| "orders").layer(layer());
    let open_head = on(MethodFilter::HEAD, async || "peek");
    let app = Router::new().route("/orders", open_head.merge(protected));
    let fault = "GET /orders: without a token, to HEAD it answered 200";
    assert_eq!(found(&app, &at("/orders", &read)).await, [fault]);

    let mut documented = at("/orders", &read);
    documented["paths"]["/orders"]["head"] = operation(&json!([]));
    assert_eq!(found(&app, &documented).await, [""; 0]);
    documented["paths"]["/orders"]["head"] = operation(&read);
    assert_eq!(
        found(&app, &documented).await,
        ["HEAD /orders: without a token it answered 200, though its `security` asks for one"]
    );
    // By the layer, HEAD is refused as GET is.
    documented["paths"]["/orders"]["options"] = operation(&read);
    let whole = Router::new()
        .route(
            "/orders",
            get(async || "").options(async || "").route_layer(RequireLayer::scope("orders:read")),
        )
        .layer(layer());
    assert_eq!(found(&whole, &documented).await, [""; 0]);
}

#[tokio::test]
async fn a_token_that_the_policy_refuses_is_no_fault_of_the_document() {
    let document = at("/orders", &json!([{ "token": ["orders:read"] }]));
    let expired = |wanted: &WantedToken<'_>| {
        issuer().token(Algorithm::ES256).scope(wanted.scope()).expired().mint()
    };
    let faults = lines(ask_with(&app::<Read>(), OpenApi::new(&document, expired)).await);
    assert_eq!(faults.len(), 1);
    assert!(faults[0].ends_with(": give a token that the policy accepts"), "{faults:?}");
}

#[tokio::test]
async fn one_message_has_all_that_was_found() {
    let app = Router::new()
        .route("/open", get(async || "open"))
        .route("/bare", get(async |_: Caller| "bare"));
    let token_only = operation(&json!([{ "token": [] }]));
    let document = document(&json!({
        "/open": { "get": token_only },
        "/bare": { "get": token_only },
        "/orders/{id}": { "get": token_only },
        "/orders": { "delete": token_only },
        "x-note": { "get": token_only },
    }));
    assert_eq!(
        ask_with(&app, OpenApi::new(&document, token)).await.as_deref(),
        Some(
            "2 things are not as documented:
  - GET /bare: without a token it answered 500: no policy stands in front of this route: add `VerifyLayer` (tower, axum) or `Verify` (actix-web) around it; in axum, routes added after `.layer` are not covered
  - GET /open: without a token it answered 200, though its `security` asks for one
a thing was not tested:
  - GET /orders/{id}: there is no sample for `id` in its path: give it an `example`, or `OpenApi::sample` one
1 more would change something, and are asked where `OpenApi::mutating` is called."
        )
    );
}

#[tokio::test]
async fn a_document_that_is_none_is_no_pass() {
    for odd in [
        json!(null),
        json!({ "paths": [] }),
        json!({ "paths": { "/a": 1, "/b": { "get": [] } } }),
        json!({ "paths": { "/a": { "$ref": "#/paths/~1a" } } }),
    ] {
        assert!(ask_with(&Router::new(), OpenApi::new(&odd, token)).await.is_some(), "{odd}");
    }
}

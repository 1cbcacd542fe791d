//! Every error in a company's own format, in axum: refusals by a hook of the policy, and what axum answers by itself by a
//! layer.
//!
//! ```console
//! cargo run -p example-axum-own-errors
//! ```
//!
//! prints `curl` lines, with a token, to paste. Each answer that is an error has one format:
//!
//! ```json
//! {"code":"token-missing","title":"Authentication required","detail":"…","request":"7f3a"}
//! ```
use std::error::Error;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use portcullis_axum::portcullis::refusal::{Refused, RejectionResponse};
use portcullis_axum::portcullis::{Algorithm, Issuer, KeySet, Requirement};
use portcullis_axum::{Authorized, Policy, VerifyLayer, portcullis};
use portcullis_testkit::TestIssuer;
use serde_json::json;
use tokio::net::TcpListener;

const JSON: &str = "application/json";

/// The format. `request` is the id by which the company finds a request in its logs.
fn error(code: &str, title: &str, detail: Option<&str>, request: Option<&str>) -> String {
    json!({ "code": code, "title": title, "detail": detail, "request": request }).to_string()
}

/// Sees every refusal: of the layer, of a requirement and of an extractor. Status and headers stay as they are: OAuth clients
/// read in `WWW-Authenticate` what they have to do.
fn refusal(refused: Refused<'_>, response: &mut RejectionResponse) {
    let request = refused.request().and_then(|request| request.header("x-request-id"));
    response.set_body(JSON, error(refused.code(), refused.title(), refused.detail(), request));
}

/// Gives what axum answers by itself the same format: 404, 405, and 400 for a path that does not parse.
async fn own_format(request: Request, next: Next) -> Response {
    let id =
        request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let response = next.run(request).await;
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let is_ours = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == JSON);
    if !is_error || is_ours {
        return response;
    }
    let (mut parts, _) = response.into_parts(); // keeps `Allow` and others
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    let title = status.canonical_reason().unwrap_or("Error");
    let code = code_of(status);
    Response::from_parts(parts, Body::from(error(code, title, None, id.as_deref())))
}

fn code_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "not-found",
        StatusCode::METHOD_NOT_ALLOWED => "method-not-allowed",
        status if status.is_client_error() => "request-invalid",
        _ => "internal",
    }
}

fn policy(jwks: &str) -> Result<Policy, Box<dyn Error>> {
    let issuer = Issuer::new("https://id.example")
        .algorithms([Algorithm::ES256])
        .keys(KeySet::from_jwks(jwks)?)
        .audience("https://orders.example");
    Ok(Policy::builder().issuer(issuer).on_refusal(refusal).build()?)
}

portcullis::requirement! {
    /// May see orders.
    ReadOrders = Requirement::scope("orders:read");
}

async fn order(_: Authorized<ReadOrders>, Path(id): Path<u32>) -> String {
    format!("order {id}\n")
}

fn app(policy: Policy) -> Router {
    Router::new()
        .route("/orders/{id}", get(order))
        .route_layer(VerifyLayer::new(policy)) // leaves unknown paths at 404
        .layer(from_fn(own_format)) // around all else
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Says why a request was refused: at INFO for bad tokens, and with RUST_LOG=portcullis=debug for all.
    tracing_subscriber::fmt::init();
    // For the demonstration only. Yours are the keys of a real issuer.
    let issuer = TestIssuer::new("https://id.example").audience("https://orders.example");
    let token = issuer.token(Algorithm::ES256).scope("orders:read").mint();

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("curl -i http://{address}/orders/7 -H 'X-Request-Id: 7f3a'");
    println!("TOKEN='{token}'");
    for path in ["/orders/7", "/orders/seven", "/nowhere"] {
        println!("curl -i http://{address}{path} -H \"Authorization: Bearer $TOKEN\"");
    }
    Ok(axum::serve(listener, app(policy(&issuer.jwks_of(&[Algorithm::ES256]))?)).await?)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    fn issuer() -> TestIssuer {
        TestIssuer::new("https://id.example").audience("https://orders.example")
    }

    /// What is on the wire: the head in lower case, and the body.
    async fn send(method: &str, path: &str, token: Option<&str>) -> (String, String) {
        let policy = policy(&issuer().jwks_of(&[Algorithm::ES256])).expect("a policy");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async { axum::serve(listener, app(policy)).await });

        let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n"));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nx-request-id: 7f3a\r\n{}connection: close\r\n\r\n",
            bearer.unwrap_or_default()
        );
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.to_ascii_lowercase(), body.to_owned())
    }

    async fn assert_error(
        (method, path, token): (&str, &str, Option<&str>),
        (status, code, title, detail): (u16, &str, &str, Option<&str>),
    ) -> String {
        let (head, body) = send(method, path, token).await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
        assert_eq!(head.matches("\r\ncontent-type: application/json").count(), 1, "{head}");
        assert_eq!(head.matches("\r\ncontent-length: ").count(), 1, "{head}");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let expected = json!({ "code": code, "title": title, "detail": detail, "request": "7f3a" });
        assert_eq!(body, expected);
        head
    }

    #[tokio::test]
    async fn each_refusal_has_the_format_and_keeps_its_challenge() {
        let token = issuer().token(Algorithm::ES256);
        let (expired, unscoped) = (token.clone().expired().mint(), token.mint());
        let order = "/orders/7";
        let head = assert_error(
            ("GET", order, None),
            (
                401,
                "token-missing",
                "Authentication required",
                Some("This resource needs an access token."),
            ),
        )
        .await;
        assert!(head.contains("\r\nwww-authenticate: bearer\r\n"), "{head}");
        let head = assert_error(
            ("GET", order, Some(&expired)),
            (401, "token-invalid", "Invalid access token", Some("The access token has expired.")),
        )
        .await;
        assert!(head.contains("\r\nwww-authenticate: bearer error=\"invalid_token\""), "{head}");
        let head = assert_error(
            ("GET", order, Some(&unscoped)),
            (
                403,
                "scope-insufficient",
                "Insufficient scope",
                Some("The access token does not allow this request."),
            ),
        )
        .await;
        assert!(head.contains("scope=\"orders:read\""), "{head}");
    }

    #[tokio::test]
    async fn what_axum_answers_by_itself_has_the_format_too() {
        let token = issuer().token(Algorithm::ES256).scope("orders:read").mint();
        let token = Some(token.as_str());
        assert_error(("GET", "/nowhere", None), (404, "not-found", "Not Found", None)).await;
        let unparsed = (400, "request-invalid", "Bad Request", None);
        assert_error(("GET", "/orders/seven", token), unparsed).await;
        let method = (405, "method-not-allowed", "Method Not Allowed", None);
        let head = assert_error(("DELETE", "/orders/7", token), method).await;
        assert!(head.contains("\r\nallow: get"), "{head}");
    }

    #[tokio::test]
    async fn what_is_no_error_stays_as_it_is() {
        let token = issuer().token(Algorithm::ES256).scope("orders:read").mint();
        let (head, body) = send("GET", "/orders/7", Some(&token)).await;
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        assert_eq!(body, "order 7\n");
    }
}

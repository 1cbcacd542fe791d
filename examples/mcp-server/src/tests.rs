//! With the SDK's own client, over sockets.
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use portcullis_testkit::TokenBuilder;
use portcullis_testkit::axum::{assert_forbidden, assert_protected};
use rmcp::model::CallToolRequestParams;
use rmcp::service::{ClientInitializeError, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthorizationManager, AuthorizationMetadataSource};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{RoleClient, ServiceExt};
use tower::ServiceExt as _;

use super::*;

/// An authorization server, as far as clients look for it, and an MCP server that trusts it.
struct Running {
    issuer: TestIssuer,
    address: String,
}

impl Running {
    async fn start() -> Self {
        let bind = async || TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (listener, id_listener) = (bind().await, bind().await);
        let of = |listener: &TcpListener| listener.local_addr().expect("an address");
        let address = format!("http://{}/mcp", of(&listener));
        let id = format!("http://{}", of(&id_listener));
        let issuer = TestIssuer::new(&id).audience(address.as_str());

        let metadata = serde_json::json!({
            "issuer": id,
            "authorization_endpoint": format!("{id}/authorize"),
            "token_endpoint": format!("{id}/token"),
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
        });
        let metadata = ([("content-type", "application/json")], metadata.to_string());
        let id_server =
            Router::new().route("/.well-known/oauth-authorization-server", get(metadata));
        tokio::spawn(axum::serve(id_listener, id_server).into_future());
        tokio::spawn(axum::serve(listener, app_of(&issuer, &address)).into_future());
        Self { issuer, address }
    }

    fn token(&self) -> TokenBuilder {
        self.issuer.token(Algorithm::ES256).claim("scope", "orders:read")
    }

    async fn connect(
        &self,
        address: &str,
        token: Option<String>,
    ) -> Result<RunningService<RoleClient, ()>, ClientInitializeError> {
        let mut config = StreamableHttpClientTransportConfig::with_uri(address);
        if let Some(token) = token {
            config = config.auth_header(token);
        }
        ().serve(StreamableHttpClientTransport::from_config(config)).await
    }

    /// What a client is told that does not get in.
    async fn challenge(&self, address: &str, token: Option<String>) -> String {
        let error = self.connect(address, token).await.expect_err("a refusal");
        error.auth_challenge().expect("a challenge").to_owned()
    }

    fn metadata(&self) -> String {
        let origin = self.address.strip_suffix("/mcp").expect("an address");
        format!("resource_metadata=\"{origin}/.well-known/oauth-protected-resource/mcp\"")
    }
}

fn app_of(issuer: &TestIssuer, address: &str) -> Router {
    let resource = resource(address, issuer.name()).expect("a resource");
    let jwks = issuer.jwks_of(&[Algorithm::ES256]);
    let policy = policy(issuer.name(), &jwks, &resource).expect("a policy");
    app(resource, policy).expect("an app")
}

#[tokio::test]
async fn a_client_that_knows_only_the_address_finds_the_issuer_and_calls_a_tool() {
    let server = Running::start().await;
    let challenge = server.challenge(&server.address, None).await;
    assert_eq!(challenge, format!("Bearer {}", server.metadata()));

    let client = AuthorizationManager::new(&server.address).await.expect("a client");
    let found = client.resolve_metadata_from_challenge(Some(&challenge)).await.expect("metadata");
    assert_eq!(found.source, AuthorizationMetadataSource::ProtectedResourceMetadata);
    assert_eq!(found.metadata.issuer.as_deref(), Some(server.issuer.name()));

    let token = server.token().subject("alice").claim("client_id", "assistant").mint();
    let client = server.connect(&server.address, Some(token)).await.expect("a connection");
    let result = client.call_tool(CallToolRequestParams::new("whoami")).await.expect("a result");
    let text = result.content[0].as_text().map(|text| text.text.as_str());
    assert_eq!(text, Some("alice by assistant"));
}

#[tokio::test]
async fn a_client_without_a_challenge_finds_the_document_at_its_well_known_place() {
    let server = Running::start().await;
    let client = AuthorizationManager::new(&server.address).await.expect("a client");
    let found = client.resolve_metadata_from_challenge(None).await.expect("metadata");
    assert_eq!(found.source, AuthorizationMetadataSource::ProtectedResourceMetadata);
}

#[tokio::test]
async fn a_token_for_another_service_of_the_issuer_is_refused() {
    let server = Running::start().await;
    for audience in ["https://other.example/mcp".to_owned(), format!("{}/", server.address)] {
        let token = server.token().audience(audience).mint();
        let challenge = server.challenge(&server.address, Some(token)).await;
        assert!(challenge.starts_with("Bearer error=\"invalid_token\", "), "{challenge}");
        assert!(challenge.ends_with(&server.metadata()), "{challenge}");
    }
}

#[tokio::test]
async fn a_token_without_the_scope_is_told_which_to_ask_for() {
    let server = Running::start().await;
    let token = server.token().claim("scope", "orders:list").mint();
    let error = server.connect(&server.address, Some(token)).await.expect_err("a refusal");
    let told = format!("{error:?}");
    assert!(told.contains("insufficient_scope") && told.contains("orders:read"), "{told}");
}

#[tokio::test]
async fn a_token_in_the_address_is_none() {
    let server = Running::start().await;
    let address = format!("{}?access_token={}", server.address, server.token().mint());
    let challenge = server.challenge(&address, None).await;
    assert_eq!(challenge, format!("Bearer {}", server.metadata()));
}

#[tokio::test]
async fn only_the_document_is_read_without_a_token() {
    let app = app_of(&TestIssuer::new("https://id.example"), "https://mcp.example/mcp");
    assert_protected(&app, &[("POST", "/mcp"), ("GET", "/mcp"), ("DELETE", "/mcp")]).await;
    let request = Request::get("/.well-known/oauth-protected-resource/mcp");
    let response = app.oneshot(request.body(Body::empty()).expect("a request")).await;
    assert_eq!(response.expect("a response").status(), StatusCode::OK);
}

#[tokio::test]
async fn every_method_asks_for_the_scope() {
    let address = "https://mcp.example/mcp";
    let issuer = TestIssuer::new("https://id.example").audience(address);
    let token = issuer.token(Algorithm::ES256).mint();
    assert_forbidden(&app_of(&issuer, address), &token, &[("POST", "/mcp")]).await;
}

#[tokio::test]
async fn a_page_of_another_origin_or_a_host_that_is_not_ours_gets_nowhere_even_with_a_token() {
    let address = "https://mcp.example/mcp";
    let issuer = TestIssuer::new("https://id.example").audience(address);
    let app = app_of(&issuer, address);
    let token = issuer.token(Algorithm::ES256).claim("scope", "orders:read").mint();
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = Request::post("/mcp")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}"#;
        let request = request.body(Body::from(call)).expect("a request");
        app.clone().oneshot(request).await.expect("a response").status()
    };
    assert_eq!(ask(&[("host", "mcp.example")]).await, StatusCode::OK);
    for headers in [
        [("host", "mcp.example"), ("origin", "https://evil.example")],
        [("host", "mcp.example"), ("origin", "null")],
        [("host", "evil.example"), ("x-forwarded-host", "mcp.example")],
    ] {
        assert_eq!(ask(&headers).await, StatusCode::FORBIDDEN, "{headers:?}");
    }
}

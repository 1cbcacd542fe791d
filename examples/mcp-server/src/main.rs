//! An MCP server that clients find their way into, in axum.
//!
//! ```console
//! cargo run -p example-mcp-server
//! ```
//!
//! prints `curl` lines, with a token, to paste: what a client is told that has none, where it learns who
//! issues them, and a tool that says who is calling.
//!
//! MCP (2026-07-28) asks of a protected server: RFC 9728 metadata; tokens for this server alone, by its
//! address (RFC 8707), in the header and nowhere else; 401 with the address of the metadata, and 403 with the
//! scope that is missing; an eye on `Origin`. Nothing of the token goes on to other services: get one for them in its stead.
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Uri;
use axum::http::request::Parts;
use portcullis_axum::portcullis::{Admission, Algorithm, Issuer, KeySet, ProtectedResource};
use portcullis_axum::{Policy, RequireLayer, VerifyLayer, protected_resource};
use portcullis_testkit::TestIssuer;
use rmcp::handler::server::common::Extension;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, ServerHandler, tool, tool_handler, tool_router};
use tokio::net::TcpListener;

/// The server, as clients are told of it.
fn resource(address: &str, issuer: &str) -> Result<ProtectedResource, Box<dyn Error>> {
    Ok(ProtectedResource::builder(address)
        .authorization_servers([issuer])
        .scopes_supported(["orders:read"])
        .resource_name("Orders")
        .build()?)
}

/// Tokens of one issuer, for this server, made to live for 15 minutes at most.
fn policy(
    issuer: &str,
    jwks: &str,
    resource: &ProtectedResource,
) -> Result<Policy, Box<dyn Error>> {
    let issuer = Issuer::new(issuer)
        .algorithms([Algorithm::ES256])
        .keys(KeySet::from_jwks(jwks)?)
        .audience(resource.identifier());
    Ok(Policy::builder()
        .issuer(issuer)
        .max_lifetime(Duration::from_secs(15 * 60))
        .protected_resource(resource)
        .build()?)
}

struct Orders;

#[tool_router]
impl Orders {
    #[tool(description = "Says who is calling")]
    async fn whoami(&self, Extension(request): Extension<Parts>) -> Result<String, ErrorData> {
        // Of the request that this very call came with: there are no sessions to take over.
        let token = request.extensions.get::<Admission>().and_then(Admission::token);
        let token =
            token.ok_or_else(|| ErrorData::internal_error("no layer verified the caller", None))?;
        let (subject, client) = (token.subject(), token.client_id());
        Ok(format!("{} by {}", subject.unwrap_or("nobody"), client.unwrap_or("no client")))
    }
}

#[tool_handler]
impl ServerHandler for Orders {}

fn app(resource: ProtectedResource, policy: Policy) -> Result<Router, Box<dyn Error>> {
    let address: Uri = resource.identifier().parse()?;
    let host = address.authority().ok_or("an address without a host")?.as_str();
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        // A page that made its name lead here (DNS rebinding) is told 403. For clients in a browser, list
        // their origins, and put a CORS layer around all of this.
        .with_allowed_hosts([host])
        .enforce_origin_validation();
    let sessions = Arc::new(NeverSessionManager::default());
    let mcp = StreamableHttpService::new(|| Ok(Orders), sessions, config);
    Ok(Router::new()
        .route_service(address.path(), mcp)
        .layer(RequireLayer::scope("orders:read")) // whoever has less is told which to ask for
        .layer(VerifyLayer::new(policy))
        .merge(protected_resource(resource))) // outside: whoever has no token has to read it
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Says why a request was refused: at INFO for bad tokens, and with RUST_LOG=portcullis=debug for all.
    tracing_subscriber::fmt::init();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}/mcp", listener.local_addr()?);

    // For the demonstration only. Yours are the keys of a real issuer.
    let issuer = TestIssuer::new("https://id.example").audience(address.as_str());
    let token = issuer.token(Algorithm::ES256).claim("scope", "orders:read").mint();

    let resource = resource(&address, issuer.name())?;
    let policy = policy(issuer.name(), &issuer.jwks_of(&[Algorithm::ES256]), &resource)?;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}"#;
    let headers =
        "-H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream'";
    println!("curl -i -X POST {address}");
    println!("curl -i {}", resource.metadata_url());
    println!("TOKEN='{token}'");
    println!("curl -i {address} {headers} -d '{call}' -H \"Authorization: Bearer $TOKEN\"");
    Ok(axum::serve(listener, app(resource, policy)?).await?)
}

#[cfg(test)]
mod tests;

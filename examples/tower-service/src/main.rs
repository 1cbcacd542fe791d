//! A plain tower service behind the layer, served by hyper: no web framework.
//!
//! ```console
//! cargo run -p example-tower-service
//! ```
//!
//! prints a `curl` line, with a token, to paste.
use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use portcullis::tower::ResponseBody;
use portcullis::tower::VerifyLayer;
use portcullis::{Admission, Algorithm, Issuer, KeySet, Policy};
use portcullis_testkit::TestIssuer;
use tokio::net::TcpListener;
use tower::{Service, ServiceBuilder};

/// The layer left an [`Admission`] in the request's extensions.
async fn greet<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match Admission::require(request.extensions().get(), &request) {
        Ok(token) => {
            let name = token.subject().unwrap_or("somebody");
            Response::new(Full::from(format!("hello {name}\n")))
        }
        // Without the layer: 500, and it says what was forgotten.
        Err(rejection) => rejection.into_response(),
    })
}

fn service<B: Send>(
    policy: Policy,
) -> impl Service<
    Request<B>,
    Response = Response<ResponseBody<Full<Bytes>>>,
    Error = Infallible,
    Future: Send,
> + Clone {
    ServiceBuilder::new().layer(VerifyLayer::new(policy)).service_fn(greet::<B>)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Says why a request was refused: at INFO for bad tokens, and with RUST_LOG=portcullis=debug for all.
    tracing_subscriber::fmt::init();
    // For the demonstration only. Yours are the keys of a real issuer.
    let demo = TestIssuer::new("https://id.example").audience("https://orders.example");
    let token = demo.token(Algorithm::ES256).mint();
    let issuer = Issuer::new("https://id.example")
        .algorithms([Algorithm::ES256])
        .keys(KeySet::from_jwks(demo.jwks_of(&[Algorithm::ES256]))?)
        .audience("https://orders.example");
    let service = service(Policy::builder().issuer(issuer).build()?);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("TOKEN='{token}'");
    println!("curl -i http://{} -H \"Authorization: Bearer $TOKEN\"", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async {
            if let Err(error) = connection.await {
                eprintln!("{error}");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http_body_util::BodyExt;
    use portcullis_testkit::tower::assert_protected;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn without_a_token_nobody_is_greeted() {
        let service = service::<String>(TestIssuer::new("https://id.example").policy());
        assert_protected(&service, &[("GET", "/"), ("POST", "/")]).await;
    }

    #[tokio::test]
    async fn a_good_token_is_greeted_by_its_subject() {
        let issuer = TestIssuer::new("https://id.example");
        let token = issuer.token(Algorithm::ES256).subject("bob").mint();
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        let request = request.body(String::new()).expect("a request");
        let response = service(issuer.policy()).oneshot(request).await.expect("a response");
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(body, "hello bob\n");
    }

    #[tokio::test]
    async fn without_the_layer_the_service_is_closed() {
        let response = greet(Request::new(String::new())).await.expect("a response");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

//! A gRPC server in tonic: the layer around all services, a scope for one of them, streams that end when their token
//! does; and the same services behind an interceptor.
//!
//! ```console
//! cargo run -p example-grpc
//! ```
//!
//! prints a line for [grpcurl](https://github.com/fullstorydev/grpcurl), with a token that lives for 30 seconds, to
//! paste: an order comes every second, until the token expires.
use std::error::Error;
use std::io;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use portcullis::grpc::{GrpcMetadata, GrpcStatus};
use portcullis::refusal::ResponseForm;
use portcullis::tower::{RequireLayer, VerifyLayer};
use portcullis::{Admission, Algorithm, Issuer, KeySet, Policy, Rejection, VerifiedToken};
use portcullis_testkit::TestIssuer;
use tokio::time::{interval, timeout};
use tokio_stream::wrappers::IntervalStream;
use tonic::metadata::MetadataMap;
use tonic::service::{Interceptor, InterceptorLayer, LayerExt, Routes};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{self, Server};
use tonic::{Request, Response, Status, Streaming};

use self::protocol::orders_server::{Orders, OrdersServer};
use self::protocol::refunds_server::{Refunds, RefundsServer};
use self::protocol::{Order, Text};

#[expect(
    clippy::allow_attributes_without_reason,
    clippy::doc_markdown,
    unreachable_pub,
    unused_qualifications,
    reason = "made by tonic"
)]
mod protocol {
    tonic::include_proto!("orders");
}

/// When a token expires is known beforehand; that its key was withdrawn must be asked, this often.
const RECHECK: Duration = Duration::from_secs(10);

/// Who calls. The layer or the interceptor left it; without either, the call fails inside.
fn caller<T>(call: &Request<T>) -> Result<&VerifiedToken, Status> {
    Admission::require(call.extensions().get(), ResponseForm::Grpc).map_err(status)
}

fn status(rejection: Rejection) -> Status {
    let GrpcStatus { code, message, metadata, .. } = rejection.into_grpc_status();
    Status::with_metadata(code.into(), message, MetadataMap::from_headers(metadata))
}

/// Where the layer cannot stand: it never waits, so that keys have to be there beforehand.
fn verify(policy: Policy) -> impl Interceptor + Clone {
    move |mut call: Request<()>| {
        let admission =
            policy.verify_now(&GrpcMetadata(call.metadata().as_ref())).map_err(status)?;
        call.extensions_mut().insert(admission);
        Ok(call)
    }
}

type Messages<T> = BoxStream<'static, Result<T, Status>>;

/// These messages, as long as the token is good.
fn guarded<T: Send + 'static>(
    policy: Policy,
    token: VerifiedToken,
    messages: Messages<T>,
) -> Messages<T> {
    let next = |(policy, token, mut messages): (Policy, VerifiedToken, Messages<T>)| async move {
        loop {
            let pause = policy.time_left(&token).min(RECHECK);
            let message = timeout(pause, messages.next()).await;
            // Before what came goes on.
            if let Err(error) = policy.recheck(&token).await {
                return Err(status(token.reject(error, ResponseForm::Grpc)));
            }
            // Otherwise nothing came, and it was time to ask.
            if let Ok(message) = message {
                return Ok(message
                    .transpose()?
                    .map(|message| (message, (policy, token, messages))));
            }
        }
    };
    stream::try_unfold((policy, token, messages), next).boxed()
}

#[derive(Clone)]
struct Shop {
    policy: Policy,
}

#[tonic::async_trait]
impl Orders for Shop {
    async fn get(&self, call: Request<Order>) -> Result<Response<Text>, Status> {
        let name = caller(&call)?.subject().unwrap_or("somebody");
        Ok(Response::new(Text { text: format!("{} of {name}", call.get_ref().id) }))
    }

    type WatchStream = Messages<Text>;

    async fn watch(&self, call: Request<Order>) -> Result<Response<Messages<Text>>, Status> {
        let token = caller(&call)?.clone();
        let id = call.into_inner().id;
        let news = IntervalStream::new(interval(Duration::from_secs(1)))
            .enumerate()
            .map(move |(n, _)| Ok(Text { text: format!("{id}, state {n}") }));
        Ok(Response::new(guarded(self.policy.clone(), token, news.boxed())))
    }

    type TalkStream = Messages<Text>;

    async fn talk(
        &self,
        call: Request<Streaming<Text>>,
    ) -> Result<Response<Messages<Text>>, Status> {
        let token = caller(&call)?.clone();
        let echo = call.into_inner().boxed();
        Ok(Response::new(guarded(self.policy.clone(), token, echo)))
    }
}

#[tonic::async_trait]
impl Refunds for Shop {
    async fn refund(&self, call: Request<Order>) -> Result<Response<Text>, Status> {
        let name = caller(&call)?.subject().unwrap_or("somebody");
        Ok(Response::new(Text { text: format!("{} refunded by {name}", call.get_ref().id) }))
    }
}

fn services(policy: &Policy) -> Routes {
    let shop = Shop { policy: policy.clone() };
    let refunds = RefundsServer::new(shop.clone());
    Routes::new(OrdersServer::new(shop))
        .add_service(RequireLayer::scope("orders:refund").named_layer(refunds))
}

async fn serve(policy: Policy, incoming: TcpIncoming) -> Result<(), transport::Error> {
    let services = services(&policy);
    let server = Server::builder().layer(VerifyLayer::new(policy)).add_routes(services);
    server.serve_with_incoming(incoming).await
}

async fn serve_intercepted(policy: Policy, incoming: TcpIncoming) -> Result<(), transport::Error> {
    let services = services(&policy);
    let server =
        Server::builder().layer(InterceptorLayer::new(verify(policy))).add_routes(services);
    server.serve_with_incoming(incoming).await
}

fn listen() -> io::Result<TcpIncoming> {
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into())?;
    // A short message, such as the end of a stream, does not wait for the next.
    Ok(incoming.with_nodelay(Some(true)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Says why a request was refused: at INFO for bad tokens, and with RUST_LOG=portcullis=debug for all.
    tracing_subscriber::fmt::init();
    // For the demonstration only. Yours are the keys of a real issuer.
    let demo = TestIssuer::new("https://id.example").audience("https://orders.example");
    let token = demo.token(Algorithm::ES256).expires_in(Duration::from_secs(30)).mint();
    let issuer = Issuer::new("https://id.example")
        .algorithms([Algorithm::ES256])
        .keys(KeySet::from_jwks(demo.jwks_of(&[Algorithm::ES256]))?)
        .audience("https://orders.example");
    // Without leeway, to see the end to the second.
    let policy = Policy::builder().issuer(issuer).leeway(Duration::ZERO).build()?;

    let (layered, intercepted) = (listen()?, listen()?);
    for incoming in [&layered, &intercepted] {
        println!(
            "grpcurl -plaintext -proto examples/grpc/proto/orders.proto -d '{{\"id\": \"7\"}}' \
             -H 'Authorization: Bearer {token}' {} orders.Orders/Watch\n",
            incoming.local_addr()?
        );
    }
    tokio::try_join!(serve(policy.clone(), layered), serve_intercepted(policy, intercepted))?;
    Ok(())
}

#[cfg(test)]
mod tests;

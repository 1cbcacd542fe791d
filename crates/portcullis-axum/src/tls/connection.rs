use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum::serve::{IncomingStream, Listener};
use http::Request;
use pin_project_lite::pin_project;
use portcullis::request::{ClientCertificate, PeerAddress};
use portcullis::tls::client_certificate;
use tokio_rustls::rustls::ServerConnection;
use tower_service::Service;

use super::TlsListener;

/// Makes a [`Connection`] for each connection of [`serve`](super::serve).
#[derive(Clone, Debug)]
pub struct EachConnection<M> {
    app: M,
}

impl<M> EachConnection<M> {
    pub(super) fn new(app: M) -> Self {
        Self { app }
    }
}

impl<'a, L, M> Service<IncomingStream<'a, TlsListener<L>>> for EachConnection<M>
where
    L: Listener<Addr = SocketAddr>,
    M: Service<IncomingStream<'a, TlsListener<L>>, Error = Infallible>,
{
    type Response = Connection<M::Response>;
    type Error = Infallible;
    type Future = Connecting<M::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.app.poll_ready(cx)
    }

    fn call(&mut self, stream: IncomingStream<'a, TlsListener<L>>) -> Self::Future {
        let (_, connection) = stream.io().get_ref();
        let told = Some(Told::by(connection, *stream.remote_addr()));
        Connecting { app: self.app.call(stream), told }
    }
}

pin_project! {
    /// The future of [`EachConnection`].
    #[derive(Debug)]
    pub struct Connecting<F> {
        #[pin]
        app: F,
        told: Option<Told>,
    }
}

impl<F, S> Future for Connecting<F>
where
    F: Future<Output = Result<S, Infallible>>,
{
    type Output = Result<Connection<S>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let app = ready!(this.app.poll(cx))?;
        let told = this.told.take().expect("a future is not polled after it is done");
        Poll::Ready(Ok(Connection { app, told }))
    }
}

/// A service that adds to each request what its connection's handshake said of the client.
///
/// [`serve`](super::serve) makes one for each connection. A server of your own does so by [`new`](Self::new).
#[derive(Clone, Debug)]
pub struct Connection<S> {
    app: S,
    told: Told,
}

impl<S> Connection<S> {
    /// Adds what a connection says to what an app is asked over it: the certificate of the client and its address.
    ///
    /// Call it when the handshake is over. Before, there is nothing to add of a certificate, and the policy says that it
    /// cannot tell.
    pub fn new(app: S, connection: &ServerConnection, peer: SocketAddr) -> Self {
        Self { app, told: Told::by(connection, peer) }
    }
}

impl<S, B> Service<Request<B>> for Connection<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.app.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let Told { certificate, peer } = &self.told;
        let extensions = request.extensions_mut();
        extensions.insert(PeerAddress::Ip(*peer));
        // What axum's extractor of this name looks for.
        extensions.insert(ConnectInfo(*peer));
        if let Some(certificate) = certificate {
            extensions.insert(certificate.clone());
        }
        self.app.call(request)
    }
}

/// What is told of a connection.
#[derive(Clone, Debug)]
struct Told {
    certificate: Option<ClientCertificate>,
    peer: SocketAddr,
}

impl Told {
    fn by(connection: &ServerConnection, peer: SocketAddr) -> Self {
        Self { certificate: client_certificate(connection), peer }
    }
}

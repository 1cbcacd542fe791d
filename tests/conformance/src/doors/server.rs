//! hyper's server, for the doors that are tower services.
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::sync::oneshot;
use tower::{Service, ServiceExt};

use super::{Server, Stop};

/// All headers of a request together: as much as actix-web takes over HTTP/2. hyper's own limits
/// are some 400 KiB and, over HTTP/2, 16 KiB.
const HEADERS: u32 = 16 * 1024 * 1024;

/// How many headers a request may have over HTTP/1. hyper's own limit is 100.
const HEADER_COUNT: usize = 1000;

/// Adds what there is to say of a connection to each of its requests.
pub(super) type Introduce = fn(&mut Extensions, SocketAddr);

pub(super) fn start<S, B>(
    service: S,
    introduce: Introduce,
    listener: TcpListener,
) -> io::Result<(Stop, Server)>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Future + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn core::error::Error + Send + Sync>>,
{
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = thread::Builder::new().name("door".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = stopped => Ok(()),
                result = accept(service, introduce, listener) => result,
            }
        })
    })?;
    Ok((Box::new(move || drop(stop)), thread))
}

async fn accept<S, B>(service: S, introduce: Introduce, listener: TcpListener) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Future + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn core::error::Error + Send + Sync>>,
{
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http2().max_header_list_size(HEADERS);
    server.http1().max_buf_size(HEADERS as usize).max_headers(HEADER_COUNT);
    loop {
        // A client that is gone before it is accepted is no fault of the listener.
        let Ok((stream, peer)) = listener.accept().await else { continue };
        // Without it each answer over HTTP/2 waits some 40 ms for the client's acknowledgement.
        let _ = stream.set_nodelay(true);
        let service = service.clone().map_request(move |mut request: Request<Incoming>| {
            introduce(request.extensions_mut(), peer);
            request
        });
        let (server, service) = (server.clone(), TowerToHyperService::new(service));
        tokio::spawn(async move {
            // A client that breaks off has nobody to be told.
            let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        });
    }
}

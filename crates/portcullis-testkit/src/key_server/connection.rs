use core::convert::Infallible;
use core::error::Error;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{self, Sleep};
use tokio_rustls::TlsAcceptor;

use super::site::Site;

/// What a client is kept waiting with. JSON allows any amount of white space between values.
const FILLER: &[u8] = &[b' '; 16 * 1024];

/// What goes over the wire for one request.
pub(super) enum Reply {
    Response(Response<Text>),
    Nothing,
    Raw(Raw),
}

/// Bytes that hyper would not write; then the connection is cut.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    pub(super) first: Bytes,
    /// Written again and again for as long as the client reads.
    pub(super) forever: &'static [u8],
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is not HTTP")
    }
}

impl Error for Raw {}

/// Takes connections, each as a task of its own, until it is dropped.
pub(super) async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, site: Arc<Site>) {
    let listener = tokio::net::TcpListener::from_std(listener)
        .expect("the runtime can watch a listener that does not block");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, likely, until a connection ends.
            time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // A client that waits for the first byte of an answer is to have it at once.
        _ = stream.set_nodelay(true);
        let (tls, site) = (tls.clone(), Arc::clone(&site));
        tokio::spawn(async move {
            match tls {
                None => serve(stream, site).await,
                Some(tls) => {
                    // A client may refuse the certificate.
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, site).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, site: Arc<Site>) {
    let service = service_fn(move |request| Box::pin(respond(request, Arc::clone(&site))));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let end = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let mut stream = connection.into_parts().io.into_inner();
    let Err(error) = end else {
        _ = stream.shutdown().await;
        return;
    };
    let Some(raw) = error.source().and_then(|source| source.downcast_ref::<Raw>()) else { return };
    // The client may go at any time.
    _ = write(&mut stream, raw).await;
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), raw: &Raw) -> io::Result<()> {
    stream.write_all(&raw.first).await?;
    while !raw.forever.is_empty() {
        stream.write_all(raw.forever).await?;
    }
    stream.flush().await
}

async fn respond(request: Request<Incoming>, site: Arc<Site>) -> Result<Response<Text>, Raw> {
    let (head, _) = request.into_parts();
    let (answer, held) = site.receive(&head);
    if answer.is_held() {
        held.released().await;
    }
    // Even no time at all would be a tick of the timer.
    if !answer.delay().is_zero() {
        time::sleep(answer.delay()).await;
    }
    match answer.reply(&head.headers) {
        Reply::Response(response) => Ok(response),
        Reply::Nothing => core::future::pending().await,
        Reply::Raw(raw) => Err(raw),
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Text {
    rest: Bytes,
    pace: Pace,
    pause: Option<Pin<Box<Sleep>>>,
}

/// How a body comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// All at once.
    AtOnce,
    /// One byte a second.
    Dripping,
    /// At once, and then nothing, not even an end.
    ThenSilence,
    /// At once, and then ever more.
    ThenForever,
}

impl Text {
    pub(super) fn new(text: Bytes, pace: Pace) -> Self {
        Self { rest: text, pace, pause: None }
    }
}

impl Body for Text {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let next = match (self.pace, self.rest.is_empty()) {
            (Pace::AtOnce | Pace::Dripping, true) => return Poll::Ready(None),
            (Pace::ThenSilence, true) => return Poll::Pending,
            (Pace::ThenForever, true) => Bytes::from_static(FILLER),
            (Pace::Dripping, false) => {
                self.pause = Some(Box::pin(time::sleep(Duration::from_secs(1))));
                self.rest.split_to(1)
            }
            (_, false) => self.rest.split_off(0),
        };
        Poll::Ready(Some(Ok(Frame::data(next))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && matches!(self.pace, Pace::AtOnce | Pace::Dripping)
    }

    fn size_hint(&self) -> SizeHint {
        match self.pace {
            Pace::AtOnce | Pace::Dripping => SizeHint::with_exact(self.rest.len() as u64),
            Pace::ThenSilence | Pace::ThenForever => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_dripping_text_has_a_byte_a_second() {
        let mut text = Text::new(Bytes::from_static(b"{ }"), Pace::Dripping);
        let start = Instant::now();
        let mut came = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut text).poll_frame(context)).await {
            let Ok(frame) = frame;
            came.push((start.elapsed().as_secs(), frame.into_data().expect("no trailers")));
        }
        let byte = |byte| Bytes::from_static(byte);
        assert_eq!(came, [(0, byte(b"{")), (1, byte(b" ")), (2, byte(b"}"))]);
    }
}

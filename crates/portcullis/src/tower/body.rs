use core::pin::Pin;
use core::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of a response: the inner service's, or that of a refusal.
    #[derive(Clone, Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Clone, Debug)]
    enum Kind<B> {
        Inner {
            #[pin]
            body: B,
        },
        Rejected {
            body: Bytes,
        },
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn inner(body: B) -> Self {
        Self { kind: Kind::Inner { body } }
    }

    /// The body as a framework's own type, made of either kind.
    pub fn fold<T>(self, inner: impl FnOnce(B) -> T, refusal: impl FnOnce(Bytes) -> T) -> T {
        match self.kind {
            Kind::Inner { body } => inner(body),
            Kind::Rejected { body } => refusal(body),
        }
    }
}

impl<B: Default> Default for ResponseBody<B> {
    /// The inner service's, so that layers which ask for this can stand in front: CORS, timeouts.
    fn default() -> Self {
        Self::inner(B::default())
    }
}

impl<B> From<Bytes> for ResponseBody<B> {
    /// The body of a refusal.
    fn from(body: Bytes) -> Self {
        Self { kind: Kind::Rejected { body } }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body,
    B::Data: From<Bytes>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Inner { body } => body.poll_frame(context),
            KindProjection::Rejected { body } if body.is_empty() => Poll::Ready(None),
            KindProjection::Rejected { body } => {
                Poll::Ready(Some(Ok(Frame::data(core::mem::take(body).into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Rejected { body } => body.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Rejected { body } => SizeHint::with_exact(body.len() as u64),
        }
    }
}

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use axum_core::body::Body;
use axum_core::extract::Request;
use axum_core::response::Response;
use http::HeaderValue;
use http::header::COOKIE;
use portcullis_issuer::routes::{SilentRefresh, Silently};
use tower_layer::Layer;
use tower_service::Service;

use crate::request::AxumRequest;
use crate::routes::respond;

/// Goes on with sessions while pages are served: see [`SilentRefresh`]. Put it outside of the policy's layer, so that the policy
/// sees the new access token:
///
/// ```
/// use axum::Router;
/// use portcullis_axum::{Policy, SilentRefreshLayer, VerifyLayer};
/// use portcullis_issuer::BrowserSessions;
/// use portcullis_issuer::routes::SilentRefresh;
///
/// fn app(pages: Router, policy: Policy, browser: BrowserSessions) -> Router {
///     let silent = SilentRefresh::new(browser);
///     let routes = portcullis_axum::browser_sessions(silent.browser());
///     pages
///         .layer(VerifyLayer::new(policy))
///         .layer(SilentRefreshLayer::new(silent)) // before the other
///         .nest("/session", routes)
/// }
/// # let _ = app;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SilentRefreshLayer(SilentRefresh);

impl SilentRefreshLayer {
    /// Goes on with these sessions.
    pub fn new(silent: SilentRefresh) -> Self {
        Self(silent)
    }
}

impl<S> Layer<S> for SilentRefreshLayer {
    type Service = SilentlyRefreshed<S>;

    fn layer(&self, inner: S) -> SilentlyRefreshed<S> {
        SilentlyRefreshed { silent: self.0.clone(), inner }
    }
}

/// The service that [`SilentRefreshLayer`] makes.
#[derive(Clone, Debug)]
pub struct SilentlyRefreshed<S> {
    silent: SilentRefresh,
    inner: S,
}

impl<S> Service<Request> for SilentlyRefreshed<S>
where
    S: Service<Request, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The one that is ready goes along.
        let inner = self.inner.clone();
        let mut inner = core::mem::replace(&mut self.inner, inner);
        let silent = self.silent.clone();
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            let looked = silent.look(&AxumRequest::from(&head)).await;
            match looked {
                Silently::Pass => inner.call(Request::from_parts(head, body)).await,
                Silently::Away(reply) => Ok(respond(reply)),
                Silently::GoesOn(session) => {
                    // What came was a header, and tokens can be in one.
                    if let Ok(mut value) = HeaderValue::from_bytes(session.header()) {
                        value.set_sensitive(true);
                        head.headers.insert(COOKIE, value);
                    }
                    let request = Request::from_parts(head, body);
                    let mut response: http::Response<Body> = inner.call(request).await?;
                    session.add_to(response.headers_mut()).await;
                    Ok(response)
                }
            }
        })
    }
}

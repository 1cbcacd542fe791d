#[cfg(feature = "issuer")]
mod sessions;

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};

use axum::Router;
use axum::routing::{MethodRouter, any};
use axum_core::body::Body;
use axum_core::extract::Request;
use axum_core::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as _, Frame};
use portcullis::routes::{
    BackChannelLogout, BoundedBody, ProtectedResource, Readiness, Reply, RevocationAdmin,
};
#[cfg(feature = "issuer")]
use portcullis_issuer::{TokenIssuer, store::RingStore};

#[cfg(feature = "issuer")]
pub use self::sessions::{browser_sessions, native_sessions, own_sessions};
use crate::request::AxumRequest;

/// The receiver of logout tokens (OpenID Connect Back-Channel Logout 1.0), for a route: see
/// [`BackChannelLogout`].
///
/// It answers to every method: 405 to all but POST. Why a logout failed, a
/// [`LogoutError`](portcullis::routes::LogoutError), stands in the response's extensions.
///
/// ```
/// use axum::Router;
/// use portcullis_axum::Policy;
/// use portcullis_axum::portcullis::routes::LogoutFault;
/// use portcullis_axum::portcullis::{BackChannelLogout, Revocations};
///
/// fn app(
///     policy: Policy,
///     revocations: Revocations,
/// ) -> Result<Router, LogoutFault> {
///     let logout = BackChannelLogout::new(policy, revocations, ["web"])?;
///     Ok(Router::new().route(
///         "/backchannel-logout",
///         portcullis_axum::back_channel_logout(logout),
///     ))
/// }
/// # let _ = app;
/// ```
pub fn back_channel_logout<S>(receiver: BackChannelLogout) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    any(move |request: Request| async move {
        let (head, body) = request.into_parts();
        let body = read(body, receiver.body()).await;
        respond(receiver.receive(&AxumRequest::from(&head), body).await)
    })
}

/// The routes of administrators, behind the policy and the requirement of [`RevocationAdmin`]: a router to
/// nest.
///
/// Why a revocation failed, an [`AdminError`](portcullis::routes::AdminError), stands in the response's
/// extensions.
///
/// ```
/// use axum::Router;
/// use portcullis_axum::Policy;
/// use portcullis_axum::portcullis::{Requirement, RevocationAdmin, Revocations};
///
/// fn app(policy: Policy, revocations: Revocations) -> Router {
///     let admin = RevocationAdmin::new(
///         revocations,
///         policy,
///         Requirement::client("operators"),
///     );
///     Router::new().nest(
///         "/admin/revocations",
///         portcullis_axum::revocation_admin(admin),
///     )
/// }
/// # let _ = app;
/// ```
pub fn revocation_admin<S>(admin: RevocationAdmin) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let route = any(move |request: Request| async move {
        let (head, body) = request.into_parts();
        let view = AxumRequest::from(&head);
        match admin.admit(&view).await {
            Ok(administrator) => {
                let body = read(body, administrator.body()).await;
                respond(administrator.answer(&view, body).await)
            }
            Err(rejection) => rejection.into_response::<Body>(),
        }
    });
    Router::new().route("/", route)
}

/// The route of a readiness probe: see [`Readiness`].
///
/// ```
/// use axum::Router;
/// use portcullis_axum::Policy;
/// use portcullis_axum::portcullis::Readiness;
///
/// fn app(policy: Policy) -> Router {
///     Router::new()
///         .route("/ready", portcullis_axum::readiness(Readiness::new(policy)))
/// }
/// # let _ = app;
/// ```
pub fn readiness<S>(readiness: Readiness) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    any(
        move |request: Request| async move { respond(readiness.answer(&AxumRequest::from(&request))) },
    )
}

/// The document of a protected resource (RFC 9728), at its well-known path: a router to merge with that of
/// the whole host, since the path begins there. See [`ProtectedResource`].
///
/// It needs no token: leave it outside the layer.
///
/// ```
/// use axum::Router;
/// use portcullis_axum::portcullis::ProtectedResource;
/// use portcullis_axum::{Policy, VerifyLayer};
///
/// fn app(api: Router, policy: Policy, resource: ProtectedResource) -> Router {
///     api.layer(VerifyLayer::new(policy))
///         .merge(portcullis_axum::protected_resource(resource))
/// }
/// # let _ = app;
/// ```
pub fn protected_resource<S>(resource: ProtectedResource) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let path = resource.metadata_path().to_owned();
    let route =
        any(async move |request: Request| respond(resource.answer(&AxumRequest::from(&request))));
    Router::new().route(&path, route)
}

/// The documents of an issuer of one's own: its public keys (RFC 7517) and its metadata (RFC 8414), at the paths where
/// clients look for them. A router to merge with that of the whole host, since the paths begin there. See
/// [`TokenIssuer::answer_key_set`] and [`TokenIssuer::answer_metadata`].
///
/// They need no token: leave it outside the layer. Why the keys cannot be told, an
/// [`IssuerNotReady`](portcullis_issuer::IssuerNotReady), stands in the extensions of a response of 503.
///
/// ```
/// use axum::Router;
/// use portcullis_axum::{Policy, VerifyLayer};
/// use portcullis_issuer::TokenIssuer;
/// use portcullis_issuer::store::FileRing;
///
/// fn app(
///     api: Router,
///     policy: Policy,
///     issuer: TokenIssuer<FileRing>,
/// ) -> Router {
///     api.layer(VerifyLayer::new(policy))
///         .merge(portcullis_axum::issuer_documents(issuer))
/// }
/// # let _ = app;
/// ```
#[cfg(feature = "issuer")]
pub fn issuer_documents<R, S>(issuer: TokenIssuer<R>) -> Router<S>
where
    R: RingStore,
    S: Clone + Send + Sync + 'static,
{
    let router = match issuer.metadata_path() {
        Some(path) => {
            let issuer = issuer.clone();
            let route = any(async move |request: Request| {
                respond(issuer.answer_metadata(&AxumRequest::from(&request)))
            });
            Router::new().route(path, route)
        }
        None => Router::new(),
    };
    let path = issuer.key_set_path().to_owned();
    let route = any(async move |request: Request| {
        respond(issuer.answer_key_set(&AxumRequest::from(&request)))
    });
    router.route(&path, route)
}

/// Reads no more than there is room for.
async fn read(mut pieces: Body, mut body: BoundedBody) -> BoundedBody {
    while let Some(frame) = poll_fn(|context| Pin::new(&mut pieces).poll_frame(context)).await {
        match frame.map(|frame| frame.into_data()) {
            Ok(Ok(piece)) if !body.push(&piece) => break,
            // Trailers say nothing here.
            Ok(_) => {}
            Err(_) => {
                body.break_off();
                break;
            }
        }
    }
    body
}

/// The response that says what a route of the core answers: for routes of your own. Why the request failed stands in its
/// extensions.
pub fn respond<E: Clone + Send + Sync + 'static>(reply: Reply<E>) -> Response {
    let response = reply.into_response::<Body>();
    if [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&response.status()) {
        return response.map(|_| Body::new(NoContent));
    }
    response
}

/// The body of 204, which must not say how long it is, and of 304, which must not say that it is empty (RFC 9110 §8.6).
/// Over HTTP/2, axum says so of every body of which it knows.
struct NoContent;

impl http_body::Body for NoContent {
    type Data = Bytes;
    type Error = core::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

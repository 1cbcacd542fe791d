use core::future::poll_fn;
use core::pin::Pin;

use axum::Router;
use axum::routing::{MethodRouter, any};
use axum_core::body::Body;
use axum_core::extract::Request;
use http_body::Body as _;
use portcullis::routes::{BackChannelLogout, BoundedBody, RevocationAdmin};

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
/// fn app(policy: Policy, revocations: Revocations) -> Result<Router, LogoutFault> {
///     let logout = BackChannelLogout::new(policy, revocations, ["web"])?;
///     Ok(Router::new().route("/backchannel-logout", portcullis_axum::back_channel_logout(logout)))
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
        receiver.receive(&head, body).await.into_response::<Body>()
    })
}

/// The routes of administrators, behind the policy and the rule of [`RevocationAdmin`]: a router to
/// nest.
///
/// Why a revocation failed, an [`AdminError`](portcullis::routes::AdminError), stands in the response's
/// extensions.
///
/// ```
/// use axum::Router;
/// use portcullis_axum::Policy;
/// use portcullis_axum::portcullis::{RevocationAdmin, Revocations};
///
/// fn app(policy: Policy, revocations: Revocations) -> Router {
///     let admin = RevocationAdmin::new(revocations, policy, "the operators' client", |token| {
///         token.client_id() == Some("operators")
///     });
///     Router::new().nest("/admin/revocations", portcullis_axum::revocation_admin(admin))
/// }
/// # let _ = app;
/// ```
pub fn revocation_admin<S>(admin: RevocationAdmin) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let route = any(move |request: Request| async move {
        let (head, body) = request.into_parts();
        match admin.admit(&head).await {
            Ok(administrator) => {
                let body = read(body, administrator.body()).await;
                administrator.answer(&head, body).await.into_response::<Body>()
            }
            Err(rejection) => rejection.into_response::<Body>(),
        }
    });
    Router::new().route("/", route)
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

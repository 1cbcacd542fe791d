#[cfg(feature = "issuer")]
mod sessions;

use core::future::poll_fn;
use core::pin::Pin;

use actix_web::dev::HttpServiceFactory;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use futures_core::Stream;
use portcullis::routes::{
    BackChannelLogout, BoundedBody, ProtectedResource, Readiness, Reply, RevocationAdmin,
};
#[cfg(feature = "issuer")]
use portcullis_issuer::{TokenIssuer, store::RingStore};

#[cfg(feature = "issuer")]
pub use self::sessions::{add_session_cookies, browser_sessions, native_sessions, own_sessions};
use crate::rejection::Rejection;
use crate::request::ActixRequest;
use crate::response;

/// The receiver of logout tokens (OpenID Connect Back-Channel Logout 1.0) at `path`: see
/// [`BackChannelLogout`].
///
/// It answers to every method: 405 to all but POST. Why a logout failed, a
/// [`LogoutError`](portcullis::routes::LogoutError), stands in the response's extensions.
///
/// ```
/// use actix_web::App;
/// use portcullis_actix::Policy;
/// use portcullis_actix::portcullis::routes::LogoutFault;
/// use portcullis_actix::portcullis::{BackChannelLogout, Revocations};
///
/// # fn app(policy: Policy, revocations: Revocations) -> Result<(), LogoutFault> {
/// let logout = BackChannelLogout::new(policy, revocations, ["web"])?;
/// let app = App::new()
///     .service(portcullis_actix::back_channel_logout(
///         "/backchannel-logout",
///         logout.clone(),
///     ));
/// # let _ = app;
/// # Ok(()) }
/// ```
pub fn back_channel_logout(
    path: &str,
    receiver: BackChannelLogout,
) -> impl HttpServiceFactory + 'static {
    web::resource(path).to(move |request: HttpRequest, payload: web::Payload| {
        let receiver = receiver.clone();
        async move {
            let body = read(payload, receiver.body()).await;
            respond(receiver.receive(&ActixRequest(&request), body).await)
        }
    })
}

/// The routes of administrators in a scope at `path`, behind the policy and the requirement of
/// [`RevocationAdmin`].
///
/// Why a revocation failed, an [`AdminError`](portcullis::routes::AdminError), stands in the response's
/// extensions.
///
/// ```
/// use actix_web::App;
/// use portcullis_actix::Policy;
/// use portcullis_actix::portcullis::{Requirement, RevocationAdmin, Revocations};
///
/// # fn app(policy: Policy, revocations: Revocations) {
/// let admin = RevocationAdmin::new(
///     revocations,
///     policy,
///     Requirement::client("operators"),
/// );
/// let app = App::new().service(portcullis_actix::revocation_admin(
///     "/admin/revocations",
///     admin.clone(),
/// ));
/// # let _ = app; }
/// ```
pub fn revocation_admin(path: &str, admin: RevocationAdmin) -> impl HttpServiceFactory + 'static {
    let route = web::resource("").to(move |request: HttpRequest, payload: web::Payload| {
        let admin = admin.clone();
        async move {
            let view = ActixRequest(&request);
            match admin.admit(&view).await {
                Ok(administrator) => {
                    let body = read(payload, administrator.body()).await;
                    respond(administrator.answer(&view, body).await)
                }
                Err(rejection) => Rejection::from(rejection).error_response(),
            }
        }
    });
    web::scope(path).service(route)
}

/// The route of a readiness probe at `path`: see [`Readiness`].
///
/// ```
/// use actix_web::App;
/// use portcullis_actix::Policy;
/// use portcullis_actix::portcullis::Readiness;
///
/// # fn app(policy: Policy) {
/// let app = App::new()
///     .service(portcullis_actix::readiness("/ready", Readiness::new(policy)));
/// # let _ = app; }
/// ```
pub fn readiness(path: &str, readiness: Readiness) -> impl HttpServiceFactory + 'static {
    web::resource(path).to(move |request: HttpRequest| {
        let reply = readiness.answer(&ActixRequest(&request));
        async move { respond(reply) }
    })
}

/// The document of a protected resource (RFC 9728), at its well-known path. It belongs to the app itself and
/// not to a scope, since the path begins there. See [`ProtectedResource`].
///
/// It needs no token: leave it outside the middleware.
///
/// ```
/// use actix_web::{App, Responder, web};
/// use portcullis_actix::portcullis::ProtectedResource;
/// use portcullis_actix::{Policy, Verify};
///
/// # async fn orders() -> impl Responder { "orders" }
/// # fn app(policy: Policy, resource: ProtectedResource) {
/// let app = App::new()
///     .service(portcullis_actix::protected_resource(resource.clone()))
///     .service(
///         web::resource("/orders")
///             .wrap(Verify::new(policy.clone()))
///             .get(orders),
///     );
/// # let _ = app; }
/// ```
pub fn protected_resource(resource: ProtectedResource) -> impl HttpServiceFactory + 'static {
    let path = resource.metadata_path().to_owned();
    web::resource(path).to(move |request: HttpRequest| {
        let response = respond(resource.answer(&ActixRequest(&request)));
        async move { response }
    })
}

/// The documents of an issuer of one's own: its public keys (RFC 7517) and its metadata (RFC 8414), at the paths where
/// clients look for them. They belong to the app itself and not to a scope, since the paths begin there. See
/// [`TokenIssuer::answer_key_set`] and [`TokenIssuer::answer_metadata`].
///
/// They need no token: leave them outside the middleware. Why the keys cannot be told, an
/// [`IssuerNotReady`](portcullis_issuer::IssuerNotReady), stands in the extensions of a response of 503.
///
/// ```
/// use actix_web::App;
/// use portcullis_issuer::TokenIssuer;
/// use portcullis_issuer::store::FileRing;
///
/// # fn app(issuer: TokenIssuer<FileRing>) {
/// let app = App::new()
///     .service(portcullis_actix::issuer_documents(issuer.clone()));
/// # let _ = app; }
/// ```
#[cfg(feature = "issuer")]
pub fn issuer_documents<R: RingStore>(issuer: TokenIssuer<R>) -> impl HttpServiceFactory + 'static {
    let metadata = issuer.metadata_path().map(|path| {
        let issuer = issuer.clone();
        web::resource(path).to(move |request: HttpRequest| {
            let response = respond(issuer.answer_metadata(&ActixRequest(&request)));
            async move { response }
        })
    });
    let key_set = web::resource(issuer.key_set_path()).to(move |request: HttpRequest| {
        let response = respond(issuer.answer_key_set(&ActixRequest(&request)));
        async move { response }
    });
    (key_set, metadata.into_iter().collect::<Vec<_>>())
}

/// Reads no more than there is room for.
async fn read(mut payload: web::Payload, mut body: BoundedBody) -> BoundedBody {
    while let Some(piece) = poll_fn(|context| Pin::new(&mut payload).poll_next(context)).await {
        match piece {
            Ok(piece) if body.push(&piece) => {}
            Ok(_) => break,
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
pub fn respond<E: Clone + Send + Sync + 'static>(reply: Reply<E>) -> HttpResponse {
    let mut response = response::response(reply.status(), reply.headers(), reply.body());
    if let Some(error) = reply.into_error() {
        response.extensions_mut().insert(error);
    }
    response
}

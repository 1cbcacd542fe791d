use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::header::{COOKIE, HeaderValue, SET_COOKIE};
use actix_web::middleware::{Next, from_fn};
use portcullis_issuer::routes::{SilentRefresh, Silently};

use crate::request::ActixRequest;
use crate::routes::{add_session_cookies, respond};

/// Goes on with sessions while pages are served: see [`SilentRefresh`]. Wrap it around the policy's middleware, so that the policy
/// sees the new access token: what is wrapped last is asked first.
///
/// ```
/// use actix_web::{App, web};
/// use portcullis_actix::{Policy, Verify, silent_refresh};
/// use portcullis_issuer::BrowserSessions;
/// use portcullis_issuer::routes::SilentRefresh;
///
/// # fn app(policy: Policy, browser: BrowserSessions) {
/// let silent = SilentRefresh::new(browser);
/// let routes =
///     portcullis_actix::browser_sessions("/session", silent.browser());
/// let app = App::new().service(routes).service(
///     web::scope("/pages")
///         .wrap(Verify::new(policy.clone()))
///         .wrap(silent_refresh(silent.clone())),
/// );
/// # let _ = app; }
/// ```
pub fn silent_refresh<S, B>(
    silent: SilentRefresh,
) -> impl Transform<
    S,
    ServiceRequest,
    Response = ServiceResponse<BoxBody>,
    Error = actix_web::Error,
    InitError = (),
>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    B: MessageBody + 'static,
{
    from_fn(move |mut request: ServiceRequest, next: Next<B>| {
        let silent = silent.clone();
        async move {
            match silent.look(&ActixRequest(request.request())).await {
                Silently::Pass => {
                    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
                }
                Silently::Away(reply) => Ok(request.into_response(respond(reply))),
                Silently::GoesOn(session) => {
                    // What came was a header, and tokens can be in one.
                    if let Ok(value) = HeaderValue::from_bytes(session.header()) {
                        request.headers_mut().insert(COOKIE, value);
                    }
                    let mut response = next.call(request).await?.map_into_boxed_body();
                    let headers = response.headers_mut();
                    let own: Vec<_> = headers.get_all(SET_COOKIE).cloned().collect();
                    let cookies = session.cookies(own.iter().map(HeaderValue::as_bytes)).await;
                    add_session_cookies(&cookies, headers);
                    Ok(response)
                }
            }
        }
    })
}

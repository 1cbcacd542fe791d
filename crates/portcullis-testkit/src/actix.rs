//! Tests of an actix-web app. **For tests only.** Feature `actix`.
//!
//! # Example: a handler
//!
//! ```
//! use actix_web::{App, http::StatusCode, test, web};
//! use portcullis::Algorithm;
//! use portcullis_actix::{Policy, Verified, Verify};
//! use portcullis_testkit::TestIssuer;
//!
//! // The application:
//! #[derive(serde::Deserialize)]
//! struct User {
//!     sub: String,
//! }
//!
//! async fn orders(Verified(user): Verified<User>) -> String {
//!     format!("orders of {}", user.sub)
//! }
//!
//! fn api(policy: Policy) -> impl FnOnce(&mut web::ServiceConfig) {
//!     let orders = web::resource("/orders").wrap(Verify::new(policy)).get(orders);
//!     |config| { config.service(orders); }
//! }
//!
//! // Its test:
//! # #[actix_web::main]
//! # async fn main() {
//! let issuer = TestIssuer::new("https://id.example");
//! let token = issuer.token(Algorithm::ES256).subject("bob").mint();
//!
//! let app = test::init_service(App::new().configure(api(issuer.policy()))).await;
//! let request = test::TestRequest::get().uri("/orders");
//! let request =
//!     request.insert_header(("authorization", format!("Bearer {token}")));
//! let response = test::call_service(&app, request.to_request()).await;
//! assert_eq!(response.status(), StatusCode::OK);
//! # }
//! ```
use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::{App, Error, HttpMessage, HttpResponse, test};
use portcullis::RouteTable;
use portcullis::request::PeerAddress;

use crate::covered;
use crate::dpop::{self, DpopClient, address};
use crate::mtls::{self, Connection, MtlsClient};
use crate::openapi::{self, OpenApi};
use crate::protected::{self, Answer, Assertion, Hints, Question};
use crate::routes::{Credentials, Routes};

const HINTS: Hints = Hints {
    policy: "See that `.wrap(Verify::new(policy))` of its policy is around each of them.",
    requirement: "See that `.wrap(Require::…)` is around each of them, within `Verify`, or that its handler takes `Authorized<R>`.",
};

pub(crate) const PATH_HINT: &str = "`.wrap(Verify::new(policy))` has to be around whatever rewrites it, such as `NormalizePath`: of two `.wrap` the later one is the outer one";

/// Asks each route of an actix-web app, a method and a path, once without a token and once with one
/// that is none, with an empty body.
///
/// A path may be written as in the app: `/orders/{id}`. A misspelt path is found only where the
/// middleware does not cover the default service: where it wraps the whole app, the app answers 401
/// there, too.
///
/// Each other method of a listed path is asked without a token as well, and has to be refused or not to be
/// there (404, 405, 501): what is open on purpose is left out by [`Routes::except`]. So is a CORS preflight,
/// which has to be refused, or answered by a CORS middleware. Such a middleware is known by
/// `access-control-allow-methods`, or by a `vary` that names `access-control-request-method`. What writes
/// these itself is not found, nor is a handler that runs for a preflight and answers 4xx or 5xx.
///
/// # Panics
///
/// If a listed route answers anything but 401 with a challenge for `Bearer`, or another method of its path
/// does what it must not: one message names all of them. Also if the list is empty, or an entry is no method
/// or path.
///
/// ```
/// use actix_web::{App, web};
/// use portcullis_actix::Verify;
/// use portcullis_testkit::{TestIssuer, actix::assert_protected};
///
/// # #[actix_web::main]
/// # async fn main() {
/// let policy = TestIssuer::new("https://id.example").policy();
/// let app = App::new()
///     .wrap(Verify::new(policy))
///     .route("/orders", web::get().to(async || "orders"))
///     .route("/orders/{id}", web::delete().to(async || "deleted"));
/// assert_protected(app, &[("GET", "/orders"), ("DELETE", "/orders/{id}")]).await;
/// # }
/// ```
pub async fn assert_protected<'a, T, B>(app: App<T>, routes: impl Into<Routes<'a>>)
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    walk(app, Assertion::Protected, routes.into()).await;
}

/// Asks each route, and each other method of these paths, with a token that the policy accepts and that may
/// do nothing: no scope, no role.
///
/// Methods that need no more than a token are left out by [`Routes::except`].
///
/// Whether a requirement answered is told by the [`Error`](portcullis::Error) in the response's extensions,
/// whatever a hook made of its status; or, where something took that out, by `insufficient_scope` or
/// `insufficient_user_authentication` in the challenge. A handler that answers 403 itself does not count: it
/// ran.
///
/// # Panics
///
/// If a route does not answer as a requirement does: one message names all of them, and says where the token
/// itself was refused. Also if the list is empty, or an entry is no method or path.
///
/// ```
/// use actix_web::{App, web};
/// use portcullis::{Algorithm, Requirement};
/// use portcullis_actix::{Authorized, Verify};
/// use portcullis_testkit::{Routes, TestIssuer, actix::assert_forbidden};
///
/// portcullis::requirement! {
///     WriteOrders = Requirement::scope("orders:write");
/// }
///
/// # #[actix_web::main]
/// # async fn main() {
/// let issuer = TestIssuer::new("https://id.example");
/// let orders = web::resource("/orders")
///     .get(async || "orders") // for whoever has a token
///     .post(async |_: Authorized<WriteOrders>| "made");
/// let app = App::new().service(orders.wrap(Verify::new(issuer.policy())));
///
/// let may_do_nothing = issuer.token(Algorithm::ES256).mint();
/// let routes = Routes::new(&[("POST", "/orders")]).except(&[("GET", "/orders")]);
/// assert_forbidden(app, &may_do_nothing, routes).await;
/// # }
/// ```
pub async fn assert_forbidden<'a, T, B>(
    app: App<T>,
    token: impl Into<Credentials>,
    routes: impl Into<Routes<'a>>,
) where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    walk(app, Assertion::Forbidden(token.into()), routes.into()).await;
}

/// Asks each route, and each other method of these paths, with a token that another policy accepts.
///
/// A requirement goes by what a token says, not by who says it: behind the customers' policy,
/// `Authorized<Admin>` takes a customer's scope `admin`. So give the token all that the route asks for, and
/// show by [`assert_accepted`] that it gets in where it should.
///
/// # Panics
///
/// If a route does not refuse the token for its issuer, audience, key, algorithm, type or claims: one message
/// names all of them. A token that is refused everywhere, since it has expired, for one, shows nothing, and
/// neither does the answer of a requirement: the policy then took the token. Also if the list is empty, or an
/// entry is no method or path.
pub async fn assert_refused<'a, T, B>(
    app: App<T>,
    token: impl Into<Credentials>,
    routes: impl Into<Routes<'a>>,
) where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    walk(app, Assertion::Refused(token.into()), routes.into()).await;
}

/// Asks each listed route with a token that gets in, with an empty body. The handlers run.
///
/// # Panics
///
/// If Portcullis refuses the token, or a route answers 401, 403, 404, 405 or 5xx. Any other answer shows that
/// a handler was asked. Also if the list is empty, or an entry is no method or path.
pub async fn assert_accepted<'a, T, B>(
    app: App<T>,
    token: impl Into<Credentials>,
    routes: impl Into<Routes<'a>>,
) where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    walk(app, Assertion::Accepted(token.into()), routes.into()).await;
}

/// Asks for every operation of an OpenAPI document whether the app does what it says of security, whoever wrote it.
///
/// Methods that change something are passed over unless [`OpenApi::mutating`] is called. Of each other operation:
///
/// 1. Without a token it is refused, as a policy refuses, and with a status that is among its `responses`; where its
///    `security` is empty or has the alternative `{}`, it is not. Nor does HEAD answer where GET needs a token.
/// 2. With a token that has the scopes of an alternative, it is not refused: for each alternative.
/// 3. Without one of these scopes it is refused, with a status that is among its `responses` and a challenge for
///    exactly the scopes of an alternative: for each scope that no other alternative does without.
/// 4. Where an alternative asks for a certificate beside the token (`mutualTLS`), it is refused with 401 without one: with
///    a token that is bound to it, and with one that is bound to nothing. With the certificate alone, it is refused as
///    without a token. [`OpenApi::mtls_client`] says who presents it.
/// 5. Where an alternative is the scheme `dpop` (of the type `http`), its token is bound to a key and comes with a new proof. The token
///    is refused with 401 without a proof, with the same proof again, and as a bearer token, whatever else the document says. So is a
///    bearer token that is bound to no key, unless another alternative takes it. [`OpenApi::dpop_client`] says who makes the proofs.
///    Each [`BadProof`](crate::BadProof) is for `assert_dpop`.
///
/// Whether Portcullis refused is told by the [`Error`](portcullis::Error) in the response's extensions, or by the
/// challenge: a handler that answers 403 itself ran. What a handler answers does not count but for 404, 405 and
/// 501, which mean that there is no such route unless the operation documents them.
///
/// A path with parameters needs samples: see [`OpenApi::sample`]. An operation that cannot be asked for is named, and
/// the assertion fails. [`OpenApi::except`] leaves it out.
///
/// # Panics
///
/// If the app does anything else, the document refers to a scheme that it does not have, or an operation was not
/// tested: one message names all of it. Also if there is no operation.
///
/// ```
/// use actix_web::{App, web};
/// use portcullis::Algorithm;
/// use portcullis_actix::{Require, Verify};
/// use portcullis_testkit::{OpenApi, TestIssuer, actix::assert_openapi};
/// use serde_json::json;
///
/// # #[actix_web::main]
/// # async fn main() {
/// let issuer = TestIssuer::new("https://id.example");
/// let orders = web::resource("/orders").get(async || "orders");
/// let app = App::new()
///     .service(orders.wrap(Require::scope("orders:read")))
///     .wrap(Verify::new(issuer.policy()));
///
/// let scheme = json!({ "type": "http", "scheme": "bearer" });
/// let document = json!({
///     "components": { "securitySchemes": { "token": scheme } },
///     "paths": { "/orders": { "get": {
///         "security": [{ "token": ["orders:read"] }],
///         "responses": { "200": {}, "401": {}, "403": {} },
///     } } },
/// });
/// let document = OpenApi::new(&document, |wanted| {
///     issuer.token(Algorithm::ES256).scope(wanted.scope()).mint()
/// });
/// assert_openapi(app, document).await;
/// # }
/// ```
pub async fn assert_openapi<T, B>(app: App<T>, document: OpenApi<'_>)
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    let app = test::init_service(app).await;
    openapi::walk(document, async |question| {
        ask(&app, question, test::TestRequest::to_request).await
    })
    .await;
}

/// Asks whether an actix-web app takes a token that is bound to a key with a proof of that key, and in no other way (DPoP, RFC 9449).
///
/// `client` has a key, and a token that may use the routes. `base` is the address under which clients know the service, as
/// [`Dpop::at`](portcullis::dpop::Dpop::at) has it: a proof is for `base` and the path. Each listed route is asked
///
/// 1. with a good proof, which has to get in; where a nonce is asked for, with that nonce, once;
/// 2. as a bearer token, with a proof and without; without a proof; with the same proof again; with two of them;
/// 3. with each [`BadProof`](crate::BadProof), and where nonces are given out, without one and with another;
/// 4. with another good proof.
///
/// The second and the third have to be answered with 401 and a challenge for `DPoP`. The handlers run for the others.
///
/// [`InProcessReplays`](portcullis::dpop::InProcessReplays) that have just begun refuse proofs that were made before, and for
/// 10 s after. So let them have begun earlier, by
/// [`started_at`](portcullis::dpop::InProcessReplays::started_at), or move a [`FixedClock`](crate::FixedClock) on by a
/// minute once the policy is built.
///
/// # Panics
///
/// If a route does anything else: one message names all of it, and the way out. Also if the client has no token, the list is
/// empty, or an entry is no method or path.
///
/// ```
/// use actix_web::{App, web};
/// use portcullis::{Algorithm, Clock, SystemClock, UnixTime};
/// use portcullis::dpop::{Dpop, InProcessReplays};
/// use portcullis_actix::Verify;
/// use portcullis_testkit::{DpopClient, SigningKey, TestIssuer, actix::assert_dpop};
///
/// # #[actix_web::main]
/// # async fn main() {
/// let issuer = TestIssuer::new("https://id.example");
/// let an_hour_ago = UnixTime(SystemClock.now().0 - 3600);
/// let dpop = Dpop::new(InProcessReplays::new().started_at(an_hour_ago))
///     .at("https://shop.example");
/// let policy = issuer.policy_builder().dpop(dpop).build().expect("a policy");
/// let api = web::scope("/api").route("/orders", web::get().to(async || "orders"));
/// let app = App::new().service(api.wrap(Verify::new(policy)));
///
/// let key = SigningKey::generate(Algorithm::ES256);
/// let token = issuer.token(Algorithm::ES256).bound_to(&key).mint();
/// let client = DpopClient::new(&issuer, &key).token(token);
/// let routes = [("GET", "/api/orders")];
/// assert_dpop(app, &client, "https://shop.example", &routes).await;
/// # }
/// ```
pub async fn assert_dpop<'a, T, B>(
    app: App<T>,
    client: &DpopClient,
    base: &str,
    routes: impl Into<Routes<'a>>,
) where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    let app = test::init_service(app).await;
    dpop::walk(client, base, routes.into(), PATH_HINT, async |question| {
        ask(&app, question, test::TestRequest::to_request).await
    })
    .await;
}

/// Asks whether an actix-web app takes a token that is bound to a certificate from who presented that certificate, and from nobody else
/// (RFC 8705).
///
/// `client` has a certificate, and says how its requests reach the app: over the app's own TLS, or through a proxy that
/// writes a header. Each request says what a server would say of its connection. Each listed route is asked
///
/// 1. with the client's certificate, which has to get in;
/// 2. with another certificate, with none, and from where nobody knows; over TLS, with its certificate in each header that
///    proxies write; behind a proxy, with the header from another address than the proxy's;
/// 3. with each [`BadBinding`](crate::BadBinding), and behind a proxy, with the header twice;
/// 4. with the client's certificate again.
///
/// The second and the third have to be answered with 401, or with 503 where nobody knows. The handlers run for the others.
///
/// Whether the server in front of it says anything, only a real connection shows: see
/// [`assert_mtls_over`](crate::assert_mtls_over).
///
/// # Panics
///
/// If a route does anything else: one message names all of it, and the way out. Also if the list is empty, or an entry is
/// no method or path.
///
/// ```
/// use actix_web::{App, web};
/// use portcullis::Algorithm;
/// use portcullis::mtls::Mtls;
/// use portcullis_actix::Verify;
/// use portcullis_testkit::{MtlsClient, TestIssuer, actix::assert_mtls};
///
/// # #[actix_web::main]
/// # async fn main() {
/// let issuer = TestIssuer::new("https://id.example");
/// let builder = issuer.policy_builder().mtls(Mtls::from_tls());
/// let policy = builder.build().expect("a policy");
/// let app = App::new()
///     .route("/orders", web::get().to(async || "orders"))
///     .wrap(Verify::new(policy));
///
/// let token = issuer.token(Algorithm::ES256);
/// let client = MtlsClient::new(token, b"a certificate");
/// assert_mtls(app, &client, &[("GET", "/orders")]).await;
/// # }
/// ```
pub async fn assert_mtls<'a, T, B>(app: App<T>, client: &MtlsClient, routes: impl Into<Routes<'a>>)
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    let app = test::init_service(app).await;
    mtls::walk(client, routes.into(), async |question| {
        ask(&app, question, test::TestRequest::to_request).await
    })
    .await;
}

/// Sends a request with a client's token and a new proof, and once more if the answer tells a nonce and asks for it
/// (RFC 9449 §8, §9).
///
/// `base` is the address under which clients know the service. `finish` is given a request that has its method, path and
/// headers, and makes of it what the app takes, once for each try. For a token endpoint, the client has no token.
///
/// # Panics
///
/// If the app fails, or the method or the path is none.
///
/// ```
/// use actix_web::{App, test, web};
/// use portcullis::Algorithm;
/// use portcullis::dpop::{Dpop, InProcessReplays, Nonces};
/// use portcullis_actix::Verify;
/// use portcullis_testkit::{DpopClient, SigningKey, TestIssuer, actix::send_with_proof};
///
/// # #[actix_web::main]
/// # async fn main() {
/// let issuer = TestIssuer::new("https://id.example");
/// let dpop = Dpop::new(InProcessReplays::new())
///     .at("https://api.example")
///     .nonces(Nonces::of_this_process());
/// let policy = issuer.policy_builder().dpop(dpop).build().expect("a policy");
/// let orders = web::resource("/orders").get(async || "orders");
/// let app = App::new().service(orders.wrap(Verify::new(policy)));
/// let app = test::init_service(app).await;
///
/// let key = SigningKey::generate(Algorithm::ES256);
/// let token = issuer.token(Algorithm::ES256).bound_to(&key).mint();
/// let client = DpopClient::new(&issuer, &key).token(token);
/// let route = ("GET", "/orders");
/// let base = "https://api.example";
/// let response = send_with_proof(&app, &client, base, route, |request| {
///     request.to_request()
/// })
/// .await;
/// assert_eq!(response.status(), 200);
/// # }
/// ```
pub async fn send_with_proof<S, Q, B>(
    app: &S,
    client: &DpopClient,
    base: &str,
    (method, path): (&str, &str),
    finish: impl Fn(test::TestRequest) -> Q,
) -> ServiceResponse<B>
where
    S: Service<Q, Response = ServiceResponse<B>, Error = Error>,
{
    let url = address(base, path);
    let send = async || {
        let name = Method::from_bytes(method.as_bytes());
        let name = name.unwrap_or_else(|error| panic!("{method} {path} is not a route: {error}"));
        let request = test::TestRequest::with_uri(path).method(name);
        let headers = client.headers(method, &url).into_iter();
        let request = headers.fold(request, test::TestRequest::insert_header);
        app.call(finish(request)).await
    };
    let first = send().await;
    let must_retry = match &first {
        Ok(response) => asks_again(client, &url, response.response()),
        Err(error) => asks_again(client, &url, &error.error_response()),
    };
    let last = if must_retry { send().await } else { first };
    last.unwrap_or_else(|error| panic!("{method} {path} failed: {error}"))
}

fn asks_again<B>(client: &DpopClient, url: &str, response: &HttpResponse<B>) -> bool {
    let headers = response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    client.must_retry(url, response.status().as_u16(), headers)
}

/// Asks whether a [`RouteTable`] has all routes of an app, and no other. A route that it does
/// not have is answered with 500 ([`Error::RouteUncovered`](portcullis::Error::RouteUncovered)). An entry that no
/// route uses was meant for a route that has another name.
///
/// `routes` are those of the app, as its router names them, or those of an OpenAPI document
/// ([`Routes::documented`]). GET, HEAD, OPTIONS and TRACE are asked with `token`. The policy has to accept it, and it
/// need not be allowed anything. Of other methods the table alone tells.
///
/// # Panics
///
/// If a route of the list is not in the table, or not in the app; if the table does not stand in front of it; or if an
/// entry is used by no route of the list. One message names all of them.
pub async fn assert_covered<'a, T, B>(
    app: App<T>,
    table: &RouteTable,
    token: impl Into<Credentials>,
    routes: impl Into<Routes<'a>>,
) where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    let app = test::init_service(app).await;
    covered::walk(table, token.into(), routes.into(), async |question| {
        ask(&app, question, test::TestRequest::to_request).await
    })
    .await;
}

async fn walk<T, B>(app: App<T>, assertion: Assertion, routes: Routes<'_>)
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    let app = test::init_service(app).await;
    protected::walk(assertion, routes, HINTS, async |question| {
        ask(&app, question, test::TestRequest::to_request).await
    })
    .await;
}

/// `to_request` makes what the app takes, a type that actix-web gives no name to.
pub(crate) async fn ask<S, Q, B>(
    app: &S,
    question: &Question<'_>,
    to_request: impl FnOnce(test::TestRequest) -> Q,
) -> Result<Answer, String>
where
    S: Service<Q, Response = ServiceResponse<B>, Error = Error>,
    Q: HttpMessage,
{
    let Question { method, path, .. } = question;
    let method = Method::from_bytes(method.as_bytes())
        .unwrap_or_else(|error| panic!("{method} {path} is not a route: {error}"));
    let request = test::TestRequest::with_uri(path).method(method);
    let request = question.fields().fold(request, |request, field| request.append_header(field));
    let Connection { certificate, peer } = question.connection();
    let request = match peer {
        Some(PeerAddress::Ip(address)) => request.peer_addr(*address),
        _ => request,
    };
    let request = to_request(request);
    if let Some(certificate) = certificate {
        request.extensions_mut().insert(certificate.clone());
    }
    Ok(match app.call(request).await {
        Ok(response) => answer(response.response(), question),
        // As the server would.
        Err(error) => answer(&error.error_response(), question),
    })
}

fn answer<B>(response: &HttpResponse<B>, question: &Question<'_>) -> Answer {
    let fields = response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    // actix-cors marks all that passes it, and answers nothing but preflights.
    let fields = fields.filter(|(name, _)| question.is_preflight() || *name != "vary");
    Answer::new(response.status().as_u16(), fields, response.extensions().get())
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::http::header::{self, HeaderValue, WWW_AUTHENTICATE};
    use actix_web::{HttpResponseBuilder, guard, web};
    use portcullis::{Algorithm, Requirement};
    use portcullis_actix::{Authorized, Caller, Require, Verify};

    use super::*;
    use crate::TestIssuer;

    async fn name(caller: Caller) -> String {
        caller.subject().unwrap_or_default().to_owned()
    }

    fn verify() -> Verify {
        Verify::new(TestIssuer::new("https://actix.example").policy())
    }

    #[actix_web::test]
    async fn protected_routes_pass_whatever_their_method_and_parameters() {
        let app = App::new()
            .wrap(verify())
            .route("/name", web::get().to(name))
            .route("/orders/{id}", web::delete().to(name))
            .route("/orders", web::post().to(async |_: web::Json<serde_json::Value>| "created"));
        let routes = [
            ("GET", "/name"),
            ("DELETE", "/orders/{id}"),
            ("DELETE", "/orders/7?force=1"),
            ("POST", "/orders"),
        ];
        assert_protected(app, &routes).await;
    }

    #[actix_web::test]
    async fn a_refusal_that_is_an_error_counts_as_the_response_it_becomes() {
        let refuse = async || {
            let mut response = HttpResponseBuilder::new(StatusCode::UNAUTHORIZED);
            let response = response.insert_header((WWW_AUTHENTICATE, "Bearer")).finish();
            Err::<String, _>(actix_web::error::InternalError::from_response("refused", response))
        };
        assert_protected(App::new().route("/", web::get().to(refuse)), &[("GET", "/")]).await;
    }

    #[actix_web::test]
    #[should_panic(expected = "2 routes are not protected:
  - GET /open: without a token it answered 200
  - GET /bare: without a token it answered 500: no policy stands in front of this route: add `VerifyLayer` (tower, axum) or `Verify` (actix-web) around it; in axum, routes added after `.layer` are not covered
A protected route answers 401 with `WWW-Authenticate: Bearer`. See that `.wrap(Verify::new(policy))` of its policy is around each of them.")]
    async fn one_message_names_every_offender() {
        let app = App::new()
            .service(web::resource("/name").wrap(verify()).get(name))
            .route("/open", web::get().to(async || "open"))
            .route("/bare", web::get().to(name));
        let routes = ["/name", "/open", "/bare"].map(|path| ("GET", path));
        assert_protected(app, &routes).await;
    }

    #[actix_web::test]
    #[should_panic(expected = "8 routes are not protected:
  - GET /orders, which is not in the list: without a token it answered 200
")]
    async fn a_service_that_takes_every_method_is_found_on_a_listed_path() {
        let app = App::new()
            .service(web::resource("/orders").guard(guard::Post()).wrap(verify()).to(name))
            .service(web::resource("/orders").to(async || "open"));
        assert_protected(app, &[("POST", "/orders")]).await;
    }

    fn is_preflight(request: &ServiceRequest) -> bool {
        request.method() == Method::OPTIONS
            && request.headers().contains_key("access-control-request-method")
    }

    #[actix_web::test]
    #[should_panic(expected = "a route is not protected:
  - OPTIONS /pay: without a token, as a CORS preflight it answered 200, and not as a CORS layer does
")]
    async fn a_preflight_that_runs_a_handler_is_found() {
        let past = guard::fn_guard(|context| {
            context.head().headers().contains_key("access-control-request-method")
        });
        let app = App::new()
            .service(web::resource("/pay").guard(past).to(async || "paid"))
            .service(web::resource("/pay").wrap(verify()).to(name));
        assert_protected(app, &[("GET", "/pay"), ("OPTIONS", "/pay")]).await;
    }

    /// As actix-cors: answers preflights, and marks what passes.
    fn cors<B: MessageBody + 'static>(
        app: App<
            impl ServiceFactory<
                ServiceRequest,
                Config = (),
                Response = ServiceResponse<B>,
                Error = Error,
                InitError = (),
            >,
        >,
    ) -> App<
        impl ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<actix_web::body::BoxBody>,
            Error = Error,
            InitError = (),
        >,
    > {
        app.wrap_fn(|request, service| {
            let mut answered = None;
            let mut passed = None;
            if is_preflight(&request) {
                answered = Some(request.into_response(HttpResponse::Ok().finish()));
            } else {
                passed = Some(service.call(request));
            }
            async move {
                let mut response = match (answered, passed) {
                    (Some(response), _) => response,
                    (_, Some(passed)) => passed.await?.map_into_boxed_body(),
                    (None, None) => unreachable!("it is one of both"),
                };
                let vary = HeaderValue::from_static("Origin, Access-Control-Request-Method");
                response.headers_mut().insert(header::VARY, vary);
                Ok(response)
            }
        })
    }

    #[actix_web::test]
    async fn a_cors_middleware_that_answers_preflights_is_no_fault() {
        let app = App::new().service(web::resource("/pay").wrap(verify()).post(name));
        assert_protected(cors(app), &[("POST", "/pay")]).await;
    }

    #[actix_web::test]
    #[should_panic(expected = "a route is not protected:
  - OPTIONS /pay, which is not in the list: without a token it answered 200
")]
    async fn options_that_runs_behind_a_cors_middleware_is_found() {
        let options = web::resource("/pay").guard(guard::Options()).to(async || "open");
        let app =
            App::new().service(options).service(web::resource("/pay").wrap(verify()).post(name));
        assert_protected(cors(app), &[("POST", "/pay")]).await;
    }

    fn issuer() -> TestIssuer {
        TestIssuer::new("https://actix.example")
    }

    fn may_do_nothing() -> String {
        issuer().token(Algorithm::ES256).mint()
    }

    portcullis::requirement! {
        Write = Requirement::scope("orders:write");
    }

    async fn write(_: Authorized<Write>) -> &'static str {
        "written"
    }

    #[actix_web::test]
    async fn a_requirement_of_each_method_passes() {
        let all = web::resource("/all").wrap(Require::scope("orders:write")).to(name);
        let app = App::new()
            .wrap(verify())
            .service(web::resource("/orders").post(write).delete(write).get(name))
            .service(all);
        let routes =
            Routes::new(&[("POST", "/orders"), ("PUT", "/all")]).except(&[("GET", "/orders")]);
        assert_forbidden(app, &may_do_nothing(), routes).await;
    }

    #[actix_web::test]
    #[should_panic(expected = "a route is open to every token:
  - DELETE /orders, which is not in the list: with a token that may do nothing it answered 200
")]
    async fn a_method_without_its_requirement_is_found() {
        let app =
            App::new().wrap(verify()).service(web::resource("/orders").post(write).delete(name));
        assert_forbidden(app, &may_do_nothing(), &[("POST", "/orders")]).await;
    }

    #[actix_web::test]
    async fn each_route_behind_its_own_policy_passes() {
        let staff = || TestIssuer::new("https://staff.example");
        let app = |office: Verify| {
            App::new()
                .service(web::resource("/orders").wrap(verify()).get(name))
                .service(web::resource("/refunds").wrap(office).post(write))
        };
        let token =
            |issuer: &TestIssuer| issuer.token(Algorithm::ES256).scope("orders:write").mint();
        let (customer, clerk) = (token(&issuer()), token(&staff()));
        let good = || app(Verify::new(staff().policy()));
        assert_accepted(good(), &customer, &[("GET", "/orders")]).await;
        assert_refused(good(), &customer, &[("POST", "/refunds")]).await;
        assert_accepted(good(), &clerk, &[("POST", "/refunds")]).await;
        assert_refused(good(), &clerk, &[("GET", "/orders")]).await;
    }

    #[actix_web::test]
    #[should_panic(expected = "a route is not behind the policy that was meant:
  - POST /refunds: with a token of another policy it answered 200
")]
    async fn a_route_behind_another_policy_is_found() {
        let customer = issuer().token(Algorithm::ES256).scope("orders:write").mint();
        let app = App::new().service(web::resource("/refunds").wrap(verify()).post(write));
        assert_refused(app, &customer, &[("POST", "/refunds")]).await;
    }

    fn documented(scope: &str) -> serde_json::Value {
        let security = serde_json::json!([{ "token": [scope] }]);
        let responses = serde_json::json!({ "200": {}, "401": {}, "403": {} });
        let id = serde_json::json!({ "name": "id", "in": "path", "schema": { "type": "integer" } });
        serde_json::json!({
            "components": { "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } } },
            "servers": [{ "url": "/api" }],
            "paths": {
                "/orders/{id}": {
                    "parameters": [id],
                    "get": { "security": security, "responses": responses },
                },
                "/news": { "get": { "responses": responses } },
            },
        })
    }

    fn orders() -> actix_web::Scope {
        let order = web::resource(r"/orders/{id:\d+}").get(write).wrap(verify());
        web::scope("/api").service(order).route("/news", web::get().to(async || "news"))
    }

    fn document(document: &serde_json::Value) -> OpenApi<'_> {
        OpenApi::new(document, |wanted| {
            issuer().token(Algorithm::ES256).scope(wanted.scope()).mint()
        })
    }

    #[actix_web::test]
    async fn an_app_that_does_what_its_document_says_passes() {
        let documented = documented("orders:write");
        assert_openapi(App::new().service(orders()), document(&documented)).await;
    }

    #[actix_web::test]
    #[should_panic(expected = "a thing is not as documented:
  - GET /orders/{id}: with `orders:read` in `token` it answered 403: the token lacks what the route needs: the scope `orders:write`")]
    async fn an_app_that_asks_for_another_scope_than_its_document_is_found() {
        let documented = documented("orders:read");
        assert_openapi(App::new().service(orders()), document(&documented)).await;
    }

    fn table() -> RouteTable {
        RouteTable::new()
            .require("GET", r"/orders/{id:\d+}", Requirement::scope("orders:read"))
            .any_caller("*", "/me")
    }

    fn tabled() -> App<
        impl ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<impl MessageBody>,
            Error = Error,
            InitError = (),
        >,
    > {
        App::new()
            .route(r"/orders/{id:\d+}", web::get().to(name))
            .route("/me", web::get().to(name))
            .route("/late", web::get().to(name))
            .wrap(Require::by_route(table()))
            .wrap(verify())
    }

    #[actix_web::test]
    async fn a_table_that_has_the_routes_of_the_app_covers_it() {
        let routes = [("GET", r"/orders/{id:\d+}"), ("GET", "/me"), ("PUT", "/me")];
        assert_covered(tabled(), &table(), &may_do_nothing(), &routes).await;
    }

    #[actix_web::test]
    #[should_panic(expected = "the table and the app differ in 2 routes:
  - GET /late: the table does not have it
  - * /me: no route of the list uses this entry of the table")]
    async fn a_route_that_the_table_lacks_and_an_entry_without_a_route_are_found() {
        let routes = [("GET", "/orders/{id}"), ("GET", "/late")];
        assert_covered(tabled(), &table(), &may_do_nothing(), &routes).await;
    }
}

//! Tests of an axum app. **For tests only.** Feature `axum`.
//!
//! # Example: a handler
//!
//! ```
//! use axum::{Router, body::Body, http::{Request, StatusCode}, routing::get};
//! use portcullis::Algorithm;
//! use portcullis_axum::{Policy, Verified, VerifyLayer};
//! use portcullis_testkit::TestIssuer;
//! use tower::ServiceExt;
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
//! fn app(policy: Policy) -> Router {
//!     Router::new().route("/orders", get(orders)).layer(VerifyLayer::new(policy))
//! }
//!
//! // Its test:
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let issuer = TestIssuer::new("https://id.example");
//! let token = issuer.token(Algorithm::ES256).subject("bob").mint();
//!
//! let request = Request::get("/orders")
//!     .header("authorization", format!("Bearer {token}"));
//! let response =
//!     app(issuer.policy()).oneshot(request.body(Body::empty())?).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//! # Ok(()) }
//! ```
use core::fmt::Display;

use axum_core::body::Body;
use http::{Request, Response, request};
use portcullis::RouteTable;
use tower_service::Service;

use crate::covered;
use crate::dpop::{self, DpopClient};
use crate::mtls::MtlsClient;
use crate::openapi::OpenApi;
use crate::protected::{Assertion, Hints};
use crate::routes::{Credentials, Routes};

const HINTS: Hints = Hints {
    policy: "In axum, `.layer` covers only the routes that were added before it: put it last.",
    requirement: "In axum, `.route_layer(RequireLayer::…)` covers only the methods that stand before it: `Authorized<R>` among the handler's arguments cannot be left behind.",
};

pub(crate) const PATH_HINT: &str = "within `nest`, use `portcullis_axum::VerifyLayer` and not that of `portcullis::tower`, which sees what the router left of it; and rewrite no path in front of the router";

/// Asks each route of an axum app, a method and a path, once without a token and once with one that
/// is none, with an empty body.
///
/// In axum, routes added after `.layer` are open, and nothing says so but this. A path may be
/// written as in the router: `/orders/{id}`. A misspelt path is found only where the layer does not
/// cover the fallback: where it does, the app answers 401 there, too.
///
/// Each other method of a listed path is asked without a token as well, and has to be refused or not to be
/// there (404, 405, 501): what is open on purpose is left out by [`Routes::except`]. So is a CORS preflight,
/// which has to be refused, or answered by a CORS layer. Such a layer is known by
/// `access-control-allow-methods`, or by a `vary` that names `access-control-request-method`. What writes
/// these itself is not found, nor is a handler that runs for a preflight and answers 4xx or 5xx.
///
/// # Panics
///
/// If a listed route answers anything but 401 with a challenge for `Bearer`, or another method of its path
/// does what it must not: one message names all of them. Also if the list is empty, or an entry is no method
/// or path.
///
/// ```should_panic
/// use axum::{Router, routing::get};
/// use portcullis_axum::VerifyLayer;
/// use portcullis_testkit::{TestIssuer, axum::assert_protected};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let policy = TestIssuer::new("https://id.example").policy();
/// let app = Router::new()
///     .route("/orders", get(|| async { "orders" }))
///     .layer(VerifyLayer::new(policy))
///     .route("/admin", get(|| async { "secrets" })); // Open!
/// assert_protected(&app, &[("GET", "/orders"), ("GET", "/admin")]).await;
/// # }
/// ```
pub async fn assert_protected<'a, S, R>(app: &S, routes: impl Into<Routes<'a>>)
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: Display,
{
    walk(app, Assertion::Protected, routes).await;
}

/// Asks each route, and each other method of these paths, with a token that the policy accepts and that may
/// do nothing: no scope, no role.
///
/// In axum, a `RequireLayer` within a chain of methods covers only those before it, and nothing says so but
/// this. Methods that need no more than a token are left out by [`Routes::except`].
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
/// ```should_panic
/// use axum::{Router, routing::post};
/// use portcullis::Algorithm;
/// use portcullis_axum::{RequireLayer, VerifyLayer};
/// use portcullis_testkit::{TestIssuer, axum::assert_forbidden};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let issuer = TestIssuer::new("https://id.example");
/// let orders = post(|| async { "made" })
///     .route_layer(RequireLayer::scope("orders:write"))
///     .delete(|| async { "gone" }); // Needs no scope!
/// let app = Router::new()
///     .route("/orders", orders)
///     .layer(VerifyLayer::new(issuer.policy()));
///
/// let may_do_nothing = issuer.token(Algorithm::ES256).mint();
/// assert_forbidden(&app, &may_do_nothing, &[("POST", "/orders")]).await;
/// # }
/// ```
pub async fn assert_forbidden<'a, S, R>(
    app: &S,
    token: impl Into<Credentials>,
    routes: impl Into<Routes<'a>>,
) where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: Display,
{
    walk(app, Assertion::Forbidden(token.into()), routes).await;
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
///
/// ```
/// use axum::{Router, routing::get};
/// use portcullis::Algorithm;
/// use portcullis_axum::VerifyLayer;
/// use portcullis_testkit::{TestIssuer, axum::{assert_accepted, assert_refused}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let [customers, staff] =
///     ["https://id.example", "https://staff.example"].map(TestIssuer::new);
/// let shop = Router::new().route("/orders", get(|| async { "orders" }));
/// let office = Router::new().route("/refunds", get(|| async { "refunds" }));
/// let app = shop
///     .layer(VerifyLayer::new(customers.policy()))
///     .merge(office.layer(VerifyLayer::new(staff.policy())));
///
/// let [customer, clerk] =
///     [customers, staff].map(|issuer| issuer.token(Algorithm::ES256).mint());
/// assert_accepted(&app, &customer, &[("GET", "/orders")]).await;
/// assert_refused(&app, &customer, &[("GET", "/refunds")]).await;
/// assert_accepted(&app, &clerk, &[("GET", "/refunds")]).await;
/// assert_refused(&app, &clerk, &[("GET", "/orders")]).await;
/// # }
/// ```
pub async fn assert_refused<'a, S, R>(
    app: &S,
    token: impl Into<Credentials>,
    routes: impl Into<Routes<'a>>,
) where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: Display,
{
    walk(app, Assertion::Refused(token.into()), routes).await;
}

/// Asks each listed route with a token that gets in, with an empty body. The handlers run.
///
/// # Panics
///
/// If Portcullis refuses the token, or a route answers 401, 403, 404, 405 or 5xx. Any other answer shows that
/// a handler was asked. Also if the list is empty, or an entry is no method or path.
pub async fn assert_accepted<'a, S, R>(
    app: &S,
    token: impl Into<Credentials>,
    routes: impl Into<Routes<'a>>,
) where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: Display,
{
    walk(app, Assertion::Accepted(token.into()), routes).await;
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
/// ```should_panic
/// use axum::{Router, routing::get};
/// use portcullis::Algorithm;
/// use portcullis_axum::{RequireLayer, VerifyLayer};
/// use portcullis_testkit::{OpenApi, TestIssuer, axum::assert_openapi};
/// use serde_json::json;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let issuer = TestIssuer::new("https://id.example");
/// let orders = get(|| async { "orders" });
/// let app = Router::new()
///     .route("/orders", orders.route_layer(RequireLayer::scope("orders:list")))
///     .layer(VerifyLayer::new(issuer.policy()));
///
/// let scheme = json!({ "type": "http", "scheme": "bearer" });
/// let document = json!({
///     "components": { "securitySchemes": { "token": scheme } },
///     "paths": { "/orders": { "get": {
///         "security": [{ "token": ["orders:read"] }], // Another scope!
///         "responses": { "200": {}, "401": {}, "403": {} },
///     } } },
/// });
/// let document = OpenApi::new(&document, |wanted| {
///     issuer.token(Algorithm::ES256).scope(wanted.scope()).mint()
/// });
/// assert_openapi(&app, document).await;
/// # }
/// ```
pub async fn assert_openapi<S, R>(app: &S, document: OpenApi<'_>)
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: Display,
{
    crate::tower::assert_openapi::<S, Body, R>(app, document).await;
}

/// Asks whether an axum app takes a token that is bound to a key with a proof of that key, and in no other way (DPoP, RFC 9449).
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
/// use axum::{Router, routing::get};
/// use portcullis::{Algorithm, Clock, SystemClock, UnixTime};
/// use portcullis::dpop::{Dpop, InProcessReplays};
/// use portcullis_axum::{Policy, VerifyLayer};
/// use portcullis_testkit::{DpopClient, SigningKey, TestIssuer, axum::assert_dpop};
///
/// // The application:
/// fn app(policy: Policy) -> Router {
///     let orders = Router::new().route("/orders", get(|| async { "orders" }));
///     Router::new().nest("/api", orders.layer(VerifyLayer::new(policy)))
/// }
///
/// // Its test:
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let issuer = TestIssuer::new("https://id.example");
/// let an_hour_ago = UnixTime(SystemClock.now().0 - 3600);
/// let dpop = Dpop::new(InProcessReplays::new().started_at(an_hour_ago))
///     .at("https://shop.example");
/// let policy = issuer.policy_builder().dpop(dpop).build().expect("a policy");
///
/// let key = SigningKey::generate(Algorithm::ES256);
/// let token = issuer.token(Algorithm::ES256).bound_to(&key).mint();
/// let client = DpopClient::new(&issuer, &key).token(token);
/// let routes = [("GET", "/api/orders")];
/// assert_dpop(&app(policy), &client, "https://shop.example", &routes).await;
/// # }
/// ```
pub async fn assert_dpop<'a, S, R>(
    app: &S,
    client: &DpopClient,
    base: &str,
    routes: impl Into<Routes<'a>>,
) where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: Display,
{
    dpop::walk(client, base, routes.into(), PATH_HINT, async |question| {
        crate::tower::ask(app.clone(), question).await
    })
    .await;
}

/// Asks whether an axum app takes a token that is bound to a certificate from who presented that certificate, and from nobody else
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
/// use axum::{Router, routing::get};
/// use portcullis::Algorithm;
/// use portcullis::mtls::{CertificateHeader, Mtls};
/// use portcullis_axum::{Policy, VerifyLayer};
/// use portcullis_testkit::{MtlsClient, TestIssuer, axum::assert_mtls};
///
/// // The application:
/// fn app(policy: Policy) -> Router {
///     Router::new()
///         .route("/orders", get(|| async { "orders" }))
///         .layer(VerifyLayer::new(policy))
/// }
///
/// // Its test:
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let issuer = TestIssuer::new("https://id.example");
/// let header = CertificateHeader::client_cert();
/// let mtls =
///     Mtls::from_header(header.clone()).trusted_proxies(["10.0.0.0/24"]);
/// let policy = issuer.policy_builder().mtls(mtls).build().expect("a policy");
///
/// let token = issuer.token(Algorithm::ES256);
/// let client = MtlsClient::new(token, b"a certificate")
///     .behind_proxy(header, [10, 0, 0, 7]);
/// assert_mtls(&app(policy), &client, &[("GET", "/orders")]).await;
/// # }
/// ```
pub async fn assert_mtls<'a, S, R>(app: &S, client: &MtlsClient, routes: impl Into<Routes<'a>>)
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: Display,
{
    crate::tower::assert_mtls::<S, Body, R>(app, client, routes).await;
}

/// Sends a request with a client's token and a new proof, and once more if the answer tells a nonce and asks for it
/// (RFC 9449 §8, §9).
///
/// `base` is the address under which clients know the service. `finish` is given a request that has its method, path and
/// headers, and gives it a body, once for each try. For a token endpoint, the client has no token.
///
/// # Panics
///
/// If the service fails, or the method or the path is none.
///
/// ```
/// use axum::{Router, body::Body, routing::get};
/// use portcullis::Algorithm;
/// use portcullis::dpop::{Dpop, InProcessReplays, Nonces};
/// use portcullis_axum::VerifyLayer;
/// use portcullis_testkit::{DpopClient, SigningKey, TestIssuer, axum::send_with_proof};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let issuer = TestIssuer::new("https://id.example");
/// let dpop = Dpop::new(InProcessReplays::new())
///     .at("https://api.example")
///     .nonces(Nonces::of_this_process());
/// let policy = issuer.policy_builder().dpop(dpop).build().expect("a policy");
/// let app = Router::new()
///     .route("/orders", get(|| async { "orders" }))
///     .layer(VerifyLayer::new(policy));
///
/// let key = SigningKey::generate(Algorithm::ES256);
/// let token = issuer.token(Algorithm::ES256).bound_to(&key).mint();
/// let client = DpopClient::new(&issuer, &key).token(token);
/// let route = ("GET", "/orders");
/// let base = "https://api.example";
/// let response = send_with_proof(&app, &client, base, route, |request| {
///     request.body(Body::empty()).expect("a request")
/// })
/// .await;
/// assert_eq!(response.status(), 200);
/// # }
/// ```
pub async fn send_with_proof<S, R>(
    app: &S,
    client: &DpopClient,
    base: &str,
    route: (&str, &str),
    finish: impl Fn(request::Builder) -> Request<Body>,
) -> Response<R>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: Display,
{
    crate::tower::send_with_proof(app, client, base, route, finish).await
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
///
/// ```should_panic
/// use axum::{Router, routing::get};
/// use portcullis::{Algorithm, Requirement, RouteTable};
/// use portcullis_axum::{RequireLayer, VerifyLayer};
/// use portcullis_testkit::{TestIssuer, axum::assert_covered};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let issuer = TestIssuer::new("https://id.example");
/// let table = RouteTable::new()
///     .require("GET", "/orders", Requirement::scope("orders:read"))
///     .require("GET", "/order", Requirement::scope("orders:read")); // Misspelt!
/// let app = Router::new()
///     .route("/orders", get(|| async { "orders" }))
///     .route("/orders/{id}", get(|| async { "an order" }))
///     .route_layer(RequireLayer::by_route(table.clone()))
///     .layer(VerifyLayer::new(issuer.policy()));
///
/// let token = issuer.token(Algorithm::ES256).mint();
/// let routes = [("GET", "/orders"), ("GET", "/orders/{id}")];
/// assert_covered(&app, &table, &token, &routes).await;
/// # }
/// ```
pub async fn assert_covered<'a, S, R>(
    app: &S,
    table: &RouteTable,
    token: impl Into<Credentials>,
    routes: impl Into<Routes<'a>>,
) where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: Display,
{
    covered::walk(table, token.into(), routes.into(), async |question| {
        crate::tower::ask(app.clone(), question).await
    })
    .await;
}

async fn walk<'a, S, R>(app: &S, assertion: Assertion, routes: impl Into<Routes<'a>>)
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: Display,
{
    crate::tower::walk::<S, Body, R>(app, assertion, routes.into(), HINTS).await;
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::{any, delete, get, post};
    use axum::{Json, Router};
    use portcullis::{Algorithm, Requirement, TokenSource};
    use portcullis_axum::{Authorized, Caller, RequireLayer, VerifyLayer};
    use tower::ServiceExt;
    use tower_http::cors::CorsLayer;

    use super::*;
    use crate::TestIssuer;

    async fn name(caller: Caller) -> String {
        caller.subject().unwrap_or_default().to_owned()
    }

    fn layer() -> VerifyLayer {
        VerifyLayer::new(TestIssuer::new("https://axum.example").policy())
    }

    #[tokio::test]
    async fn protected_routes_pass_whatever_their_method_and_parameters() {
        let app = Router::new()
            .route("/name", get(name))
            .route("/orders/{id}", delete(name))
            .route("/orders", post(async |_: Json<serde_json::Value>| "created"))
            .layer(layer());
        let routes = [
            ("GET", "/name"),
            ("HEAD", "/name"),
            ("DELETE", "/orders/{id}"),
            ("DELETE", "/orders/7?force=1"),
            ("POST", "/orders"),
        ];
        assert_protected(&app, &routes).await;
    }

    #[tokio::test]
    #[should_panic(expected = "6 routes are not protected:
  - GET /late: without a token it answered 200
  - GET /optional: without a token it answered 200
  - GET /unchecked: with `Authorization: Bearer not-a-token` it answered 200
  - GET /bare: without a token it answered 500: no policy stands in front of this route: add `VerifyLayer` (tower, axum) or `Verify` (actix-web) around it; in axum, routes added after `.layer` are not covered
  - GET /nowhere: without a token it answered 404: is there such a route?
  - HEAD /late, which is not in the list: without a token it answered 200
A protected route answers 401 with `WWW-Authenticate: Bearer`. In axum, `.layer` covers only the routes that were added before it: put it last. Every method of a listed path is asked: what is open on purpose is left out by `Routes::except`.")]
    async fn one_message_names_every_offender() {
        let anonymous =
            VerifyLayer::new(TestIssuer::new("https://axum.example").policy().allow_anonymous());
        // Somebody checks that there is a token, and never looks at it.
        let unchecked = async |headers: HeaderMap| {
            if headers.contains_key("authorization") {
                (StatusCode::OK, [("www-authenticate", "-")])
            } else {
                (StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer")])
            }
        };
        let app = Router::new()
            .route("/name", get(name).layer(layer()))
            .route("/late", get(async || "open"))
            .route("/optional", get(async || "open").layer(anonymous))
            .route("/unchecked", get(unchecked))
            .route("/bare", get(name));
        let routes = ["/name", "/late", "/optional", "/unchecked", "/bare", "/nowhere"];
        let routes = routes.map(|path| ("GET", path));
        let routes = Routes::new(&routes).except(&[("HEAD", "/optional"), ("HEAD", "/bare")]);
        assert_protected(&app, routes).await;
    }

    #[tokio::test]
    #[should_panic(expected = "a route is not protected:
  - DELETE /orders, which is not in the list: without a token it answered 200
")]
    async fn a_method_without_the_layer_is_found_on_a_listed_path() {
        let orders = get(name).layer(layer()).delete(async || "gone");
        assert_protected(&Router::new().route("/orders", orders), &[("GET", "/orders")]).await;
    }

    #[tokio::test]
    async fn what_is_open_on_purpose_is_left_out() {
        let orders = post(name).layer(layer()).get(async || "for everybody");
        let app = Router::new().route("/orders", orders);
        let routes = Routes::new(&[("POST", "/orders")]).except(&[("GET", "/orders")]);
        assert_protected(&app, routes).await;
    }

    /// Lets preflights past the policy, as some do who have no CORS layer.
    fn past_preflights() -> Router {
        let inner = Router::new().route("/pay", any(async || "paid"));
        let protected = inner.clone().layer(layer());
        let choose = async move |request: Request<Body>| {
            let is_preflight = request.method() == "OPTIONS"
                && request.headers().contains_key("access-control-request-method");
            if is_preflight {
                inner.oneshot(request).await
            } else {
                protected.oneshot(request).await
            }
        };
        Router::new().fallback(choose)
    }

    #[tokio::test]
    #[should_panic(expected = "a route is not protected:
  - OPTIONS /pay: without a token, as a CORS preflight it answered 200, and not as a CORS layer does
")]
    async fn a_preflight_that_runs_a_handler_is_found() {
        assert_protected(&past_preflights(), &[("GET", "/pay"), ("OPTIONS", "/pay")]).await;
    }

    #[tokio::test]
    async fn a_cors_layer_that_answers_preflights_is_no_fault() {
        let app = Router::new().route("/pay", post(name)).layer(layer());
        for cors in [
            CorsLayer::new().allow_origin(tower_http::cors::Any),
            CorsLayer::permissive(),
            CorsLayer::new().allow_origin(["https://app.example".parse().expect("an origin")]),
        ] {
            assert_protected(&app.clone().layer(cors), &[("POST", "/pay")]).await;
        }
    }

    fn issuer() -> TestIssuer {
        TestIssuer::new("https://axum.example")
    }

    fn may_do_nothing() -> String {
        issuer().token(Algorithm::ES256).mint()
    }

    portcullis::requirement! {
        Write = Requirement::scope("orders:write");
        Again = Requirement::max_age(core::time::Duration::from_secs(60));
    }

    async fn write(_: Authorized<Write>) -> &'static str {
        "written"
    }

    #[tokio::test]
    async fn a_requirement_of_each_method_passes() {
        let app = Router::new()
            .route("/orders", post(write).delete(write).get(name))
            .route("/pay", post(async |_: Authorized<Again>| "paid"))
            .route("/all", any(name).layer(RequireLayer::scope("orders:write")))
            .layer(layer());
        let routes = Routes::new(&[("POST", "/orders"), ("POST", "/pay"), ("PUT", "/all")])
            .except(&[("GET", "/orders")]);
        assert_forbidden(&app, &may_do_nothing(), routes).await;
    }

    #[tokio::test]
    #[should_panic(expected = "3 routes are open to every token:
  - GET /orders: with a token that may do nothing it answered 200
  - POST /by-hand: with a token that may do nothing it answered 403, and not as a requirement does
  - DELETE /orders, which is not in the list: with a token that may do nothing it answered 200
A route with a requirement answers such a token 403, or 401 where the user has to authenticate again. In axum, `.route_layer(RequireLayer::…)` covers only the methods that stand before it: `Authorized<R>` among the handler's arguments cannot be left behind. Every method")]
    async fn a_method_without_its_requirement_is_found() {
        let orders = post(name).route_layer(RequireLayer::scope("orders:write"));
        let app = Router::new()
            .route("/orders", orders.delete(name).get(name))
            .route("/by-hand", post(async || StatusCode::FORBIDDEN))
            .layer(layer());
        let listed = [("POST", "/orders"), ("GET", "/orders"), ("POST", "/by-hand")];
        let routes = Routes::new(&listed).except(&[("HEAD", "/orders")]);
        assert_forbidden(&app, &may_do_nothing(), routes).await;
    }

    #[tokio::test]
    #[should_panic(expected = "a route is open to every token:
  - POST /orders: with a token that may do nothing it answered 401: the token expired")]
    async fn a_token_that_gets_in_nowhere_shows_nothing_of_requirements() {
        let app = Router::new().route("/orders", post(write)).layer(layer());
        let expired = issuer().token(Algorithm::ES256).expired().mint();
        assert_forbidden(&app, &expired, &[("POST", "/orders")]).await;
    }

    fn two_policies(office: VerifyLayer) -> (Router, String, String) {
        let shop = Router::new().route("/orders", get(name)).layer(layer());
        let office = Router::new().route("/refunds", post(write)).layer(office);
        let staff = TestIssuer::new("https://staff.example");
        let token =
            |issuer: &TestIssuer| issuer.token(Algorithm::ES256).scope("orders:write").mint();
        (shop.merge(office), token(&issuer()), token(&staff))
    }

    #[tokio::test]
    async fn each_route_behind_its_own_policy_passes() {
        let staff = TestIssuer::new("https://staff.example").policy();
        let (app, customer, clerk) = two_policies(VerifyLayer::new(staff));
        assert_accepted(&app, &customer, &[("GET", "/orders")]).await;
        assert_refused(&app, &customer, &[("POST", "/refunds")]).await;
        assert_accepted(&app, &clerk, &[("POST", "/refunds")]).await;
        assert_refused(&app, &clerk, &[("GET", "/orders")]).await;
    }

    #[tokio::test]
    #[should_panic(expected = "a route is not behind the policy that was meant:
  - POST /refunds: with a token of another policy it answered 200
A policy answers 401 to tokens of an issuer, an audience or a kind that it does not trust.")]
    async fn a_route_behind_another_policy_is_found() {
        let (app, customer, _) = two_policies(layer());
        assert_refused(&app, &customer, &[("POST", "/refunds")]).await;
    }

    #[tokio::test]
    #[should_panic(
        expected = "it answered 403: the token lacks what the route needs: the scope `orders:write`: so the policy accepts the token"
    )]
    async fn a_requirement_that_refuses_shows_that_the_policy_does_not() {
        let (app, ..) = two_policies(layer());
        assert_refused(&app, &may_do_nothing(), &[("POST", "/refunds")]).await;
    }

    #[tokio::test]
    #[should_panic(expected = ": every policy refuses such a token")]
    async fn a_token_that_no_policy_accepts_shows_nothing_of_policies() {
        let (app, ..) = two_policies(layer());
        assert_refused(&app, "not-a-token", &[("POST", "/refunds")]).await;
    }

    #[tokio::test]
    #[should_panic(expected = "2 routes are closed to this token:
  - POST /refunds: with its token it answered 401: ")]
    async fn a_route_that_is_closed_to_its_token_is_found() {
        let (app, _, clerk) = two_policies(layer());
        assert_accepted(&app, &clerk, &[("POST", "/refunds"), ("GET", "/nowhere")]).await;
    }

    #[tokio::test]
    async fn a_token_may_come_in_a_cookie() {
        let policy = issuer().policy_builder().sources([TokenSource::cookie("__Host-token")]);
        let app = Router::new()
            .route("/orders", post(write))
            .layer(VerifyLayer::new(policy.build().expect("a policy")));
        let cookie = format!("__Host-token={}", may_do_nothing());
        let headers = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")];
        assert_forbidden(&app, Credentials::headers(&headers), &[("POST", "/orders")]).await;
    }

    fn table() -> RouteTable {
        RouteTable::new()
            .require("GET", "/orders", Requirement::scope("orders:read"))
            .any_caller("POST", "/orders")
            .any_caller("*", "/orders/{id}")
            .anyone("GET", "/news")
    }

    /// An app of these routes behind the table.
    fn tabled(table: &RouteTable) -> Router {
        Router::new()
            .route("/orders", get(name).post(name))
            .route("/orders/{id}", get(async || StatusCode::NOT_FOUND))
            .route("/news", get(name))
            .route("/files/{*rest}", get(name))
            .route_layer(RequireLayer::by_route(table.clone()))
            .layer(layer())
    }

    const OF_TABLE: [(&str, &str); 4] =
        [("GET", "/orders"), ("POST", "/orders"), ("GET", "/orders/{id}"), ("GET", "/news")];

    #[tokio::test]
    async fn a_table_that_has_the_routes_of_the_app_covers_it() {
        let table = table();
        assert_covered(&tabled(&table), &table, &may_do_nothing(), &OF_TABLE).await;
        let table = table.any_caller("GET", "/files/{*rest}");
        let operation = serde_json::json!({});
        let paths = serde_json::json!({
            "/orders": { "get": operation, "post": operation, "summary": "orders" },
            "/orders/{id}": { "get": operation },
            "/news": { "get": operation },
            "/files/{rest}": { "get": operation },
        });
        let document = serde_json::json!({ "paths": paths });
        let routes = Routes::documented(&document);
        assert_covered(&tabled(&table), &table, &may_do_nothing(), routes).await;
    }

    #[tokio::test]
    #[should_panic(expected = "the table and the app differ in 4 routes:
  - GET /files/{*rest}: the table does not have it
  - PUT /orders: the table does not have it
  - GET /nowhere: with the token it answered 404: is there such a route?
  - GET /misspelt: no route of the list uses this entry of the table")]
    async fn a_route_that_the_table_lacks_and_an_entry_without_a_route_are_found() {
        let table = table().any_caller("GET", "/misspelt").any_caller("GET", "/nowhere");
        let mut routes = OF_TABLE.to_vec();
        routes.extend([("GET", "/files/{*rest}"), ("PUT", "/orders"), ("GET", "/nowhere")]);
        assert_covered(&tabled(&table), &table, &may_do_nothing(), &routes).await;
    }

    #[tokio::test]
    #[should_panic(expected = "the table and the app differ:
  - GET /late: the table does not have it, and does not stand in front of it: it answered 200")]
    async fn a_route_that_the_table_does_not_stand_in_front_of_is_found() {
        let table = table();
        let app = tabled(&table).route("/late", get(async || "late"));
        let routes = [&OF_TABLE[..], &[("GET", "/late")]].concat();
        assert_covered(&app, &table, &may_do_nothing(), &routes).await;
    }

    #[tokio::test]
    #[should_panic(
        expected = "  - GET /orders: with the token it answered 401: the token expired "
    )]
    async fn a_token_that_the_policy_refuses_shows_nothing_of_a_table() {
        let (table, expired) = (table(), issuer().token(Algorithm::ES256).expired().mint());
        assert_covered(&tabled(&table), &table, &expired, &OF_TABLE).await;
    }
}

//! The security part of an OpenAPI 3.1 document: from a policy the schemes, from requirements and a
//! [`RouteTable`](crate::RouteTable) what each operation asks for. Feature `openapi`.
//!
//! A document that is written by hand drifts from what the service asks for. Here it is written from the same values
//! that decide.
//!
//! ```
//! use portcullis::{Requirement, RouteTable};
//! use portcullis_testkit::TestIssuer;
//! use serde_json::json;
//!
//! let policy = TestIssuer::new("https://id.example").policy();
//! let schemes = policy.security_schemes();
//! assert_eq!(schemes.to_json()["bearer"]["scheme"], "bearer");
//!
//! let table = RouteTable::new()
//!     .require("GET", "/orders", Requirement::any_scope(["orders:read", "admin"]))
//!     .any_caller("GET", "/me");
//!
//! // What some generator made of the handlers:
//! let mut document = json!({
//!     "openapi": "3.1.0",
//!     "info": { "title": "Orders", "version": "1" },
//!     "paths": {
//!         "/orders": { "get": { "responses": { "200": {} } } },
//!         "/admin": { "get": { "responses": { "200": {} } } },
//!     },
//! });
//! let uncovered = table.fill_openapi(&mut document, &schemes);
//!
//! let orders = &document["paths"]["/orders"]["get"];
//! let either = json!([{ "bearer": ["orders:read"] }, { "bearer": ["admin"] }]);
//! assert_eq!(orders["security"], either);
//! let refused = &orders["responses"]["403"];
//! assert_eq!(refused["$ref"], "#/components/responses/Forbidden");
//! // The table lacks it:
//! assert_eq!(uncovered, [("GET".to_owned(), "/admin".to_owned())]);
//! ```
//!
//! # What OpenAPI cannot say
//!
//! `security` knows alternatives, each a scheme with its scopes. A role, the value of a claim, a step-up, an
//! exclusion or a predicate is not among them: those are told in words, in the description of the operation and in
//! `x-portcullis`. The words are those of the [`Display`](core::fmt::Display) of a
//! [`Requirement`](crate::Requirement): they name roles, clients and predicates, and neither subjects nor
//! values of claims. Where the readers of the document must not know that, give the policy
//! [`Presentation::without_details`](crate::Presentation::without_details), which keeps it out here, too.
//!
//! - A requirement with more than 16 alternatives is told in words alone.
//! - Flows of OAuth are left out: a policy does not know where clients get its tokens. Where it finds the keys of an
//!   issuer by discovery, there is an `openIdConnect` scheme for it.
//! - What a proof of DPoP has to be stands in the description of the scheme `dpop`. Clients learn it from `WWW-Authenticate` and from
//!   the [metadata](crate::routes::ProtectedResource) of the service as well. When operations ask for `dpop`,
//!   [`SecuritySchemes`] says. The types of utoipa 6 do not know this scheme: [fill](crate::RouteTable::fill_openapi) the JSON of its
//!   document, and serve that.
//! - Certificates of clients have one since 3.1. Whether operations ask for it, [`SecuritySchemes`] says. A document of
//!   3.0 has no such type: take `mutualTLS` out there.
//! - Two tokens in one request are refused with 400, which no operation lists.
//!
//! `assert_openapi` of `portcullis-testkit` asks an app whether it does what its document says, whoever wrote the
//! document.
mod document;
mod schemes;
mod security;

pub use self::schemes::SecuritySchemes;
pub use self::security::Security;

//! Routes that come with the library, for the adapters to put into a framework: what they take, what
//! they do, and what they answer.
//!
//! - [`BackChannelLogout`] receives the logout tokens of an OpenID Provider.
//! - [`RevocationAdmin`] lets administrators revoke, and see how revocation does.
//! - [`Readiness`] says whether a policy can decide about tokens.
//! - [`ProtectedResource`] tells clients who issues tokens for the service.
//! - [`PublicDocument`] is any other document that anybody may read.
//!
//! `portcullis-axum` and `portcullis-actix` have a function for each that makes a route of it. Whoever
//! serves another framework reads the request's body into the [`BoundedBody`] of the route, and
//! translates the [`Reply`].
//!
//! A route of one's own for no framework is made of the same parts: [`Form`], [`Reply`] and [`Problem`].
mod admin;
mod body;
mod document;
mod form;
mod logout;
mod metadata;
mod problem;
mod readiness;
mod reply;

pub use self::admin::{AdminError, Administrator, RevocationAdmin};
pub use self::body::{BodyFault, BoundedBody};
pub use self::document::PublicDocument;
pub use self::form::{Form, FormError, RepeatedError};
pub use self::logout::{BackChannelLogout, LogoutError, LogoutFault, LogoutTokenTypes};
pub use self::problem::Problem;
pub use self::readiness::{NotReady, Readiness};
pub use self::reply::Reply;
pub use crate::resource::{
    ProtectedResource, ProtectedResourceBuilder, ProtectedResourceError, ResourceFault,
    ResourcePolicyFault, UrlFault,
};

//! Routes of sessions, for no framework: what they take, what they do, and what they answer.
//!
//! - [`BrowserSessions`] keeps a session's tokens in cookies: refresh, logout, and what a login answers.
//! - [`NativeSessions`] hands them to programs: the token endpoint (RFC 6749) and that of revocation (RFC 7009).
//! - [`OwnSessions`] lets users see their sessions and end them.
//! - [`SilentRefresh`] goes on with a session while a page is served.
//!
//! `portcullis-axum` and `portcullis-actix` have, with the feature `issuer`, a function for each that makes routes of it.
//! Whoever serves another framework reads the request's body into the [`BoundedBody`](portcullis::routes::BoundedBody) of
//! the route, and translates the [`Reply`](portcullis::routes::Reply).
//!
//! Every answer is `Cache-Control: no-store`. Only a login, a refresh and a logout that were done have a `Set-Cookie`: a
//! refusal that arrives late would else take the place of what another tab was given since.
mod browser;
mod client;
mod cookies;
mod error;
mod native;
mod own;
mod silent;

pub use self::browser::{BrowserLogin, BrowserSessions};
pub use self::client::ClientFault;
pub use self::cookies::SessionCookies;
pub use self::error::SessionRouteError;
pub use self::native::{NativeLogin, NativeSessions};
pub use self::own::{OwnSessions, SessionOwner};
pub use self::silent::{GoingOn, SilentRefresh, Silently};

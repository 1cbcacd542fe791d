//! A real browser, a service of the examples, and the sites of others around it.
//!
//! What a test asserts is what the browser did: what the service saw of a request, and what it
//! answered. Names and ports are those of production, over TLS; the browser finds all of them on
//! this machine, and nothing else.
mod browser;
mod cache;
mod service;
mod sites;
mod stage;

pub use self::browser::ThirdPartyCookies;
pub use self::service::Service;
pub use self::stage::{Stage, login};

use core::time::Duration;

use portcullis_programs::Need;
use portcullis_testkit::TestIssuer;

/// The service.
pub const API: &str = "https://api.app.example";
/// A page of the same site, whose origin the example's policy allows.
pub const APP: &str = "https://app.example";
/// A page of the same site, whose origin it does not.
pub const BLOG: &str = "https://blog.app.example";
/// Another site.
pub const EVIL: &str = "https://evil.example";
/// Whoever is between browser and server can answer for it.
pub const PLAIN_BLOG: &str = "http://blog.app.example";

/// A browser that takes longer than this is broken. Starting one takes a second or two.
const DEADLINE: Duration = Duration::from_secs(60);

/// Chromium and nginx.
const NEED: Need = Need { setting: "PORTCULLIS_BROWSER", command: "make browser-tools" };

/// Who issues all tokens.
#[must_use]
pub fn issuer() -> TestIssuer {
    TestIssuer::new("https://id.example").at(1_800_000_000)
}

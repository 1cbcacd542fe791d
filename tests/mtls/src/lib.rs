//! Clients with certificates, servers that are told of them, and proxies in between.
//!
//! Everything is real: certificates are made when a test starts, TLS is that of rustls and OpenSSL, and servers and proxies
//! listen on loopback or on sockets of a test's own folder.
mod client;
pub mod forms;
mod identity;
mod proxy;
pub mod recipe;
pub mod said;
mod server;

pub use self::client::{Answer, Client, Connection, Versions, get_plain};
pub use self::identity::Identity;
pub use self::proxy::{ENVOY, HAPROXY, NGINX, Proxy};
pub use self::server::{Address, Door, Server, actix_app, axum_app, listen, tls_config};

use core::time::Duration;

use portcullis_programs::Need;

/// A peer that takes longer than this is broken.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The proxies.
const NEED: Need = Need { setting: "PORTCULLIS_MTLS", command: "make mtls-tools" };

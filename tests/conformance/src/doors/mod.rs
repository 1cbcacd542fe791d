//! The same routes behind the same policy, once in each framework.
//!
//! | route | behind the policy | answers |
//! | --- | --- | --- |
//! | `/whoami` | as it is | all claims as JSON, byte for byte as they were signed |
//! | `/orders/{id}` | as it is | the same, below as many addresses as there are ids |
//! | `/optional` | with anonymous requests allowed | the subject, or `anonymous` |
//! | `/inside` | as it is | `inside`, without a look at the token |
//! | `/cached` | as it is | `cached`, and that caches may keep it |
//! | `/open` | no | `open` |
//! | `/typed` | as it is | the claim `tenant` of a [`Member`]; 403 where the claims are none |
//! | `/typed-optional` | with anonymous requests allowed | the same, or `anonymous` |
//! | `/scoped` | as it is | `inside`, where the token has the scope `orders:read` |
//! | `/authorized` | as it is | the same, by an extractor |
//! | `/refund` | as it is | `inside`, where it has two scopes and one of two roles |
//! | `/stepped-up` | as it is | `inside`, where the user authenticated well, and in the last 300 s |
//! | `/others` | as it is | `inside`, for all but one subject |
//! | `/faulty` | as it is | 500: it asks for a scope that no token can have |
//! | `/scoped-optional` | with anonymous requests allowed | as `/scoped`: a requirement needs a token |
//! | `/nested/twice/…`, `/nested/…`, `/service/…`, `/merged/…` | as it is | the path, the peer and the certificate that a policy sees, behind all ways to put routers together |
//! | `/unprotected-scoped`, `/unprotected-authorized` | no | 500 |
//! | `/unprotected` | no | 500: it asks for a token that nobody verified |
//! | `/unprotected-optional` | no | 500, though it could do without |
//!
//! Every route answers to every method.
mod actix;
mod axum;
mod server;
mod tower;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use actix_web::web::ServiceConfig;
use clap::ValueEnum;
use portcullis::request::{ClientCertificate, PeerAddress};
use portcullis::{Policy, RequestView, Requirement, UnixTime};
use serde::Deserialize;

/// A framework, with a server that it is mostly run by.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, ValueEnum)]
pub enum Door {
    /// A tower service, served by hyper.
    Tower,
    /// An axum router, served by hyper.
    Axum,
    /// An actix-web app, served by actix-web.
    Actix,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tower, Self::Axum, Self::Actix];

    /// Starts a server on `listener`, with threads of its own. It speaks HTTP/1.1, and HTTP/2 to
    /// clients that start with its preface.
    ///
    /// # Errors
    ///
    /// The listener or a thread cannot be had.
    pub fn start(self, policy: &Policy, listener: TcpListener) -> io::Result<Running> {
        let address = listener.local_addr()?;
        let (stop, thread) = match self {
            Self::Tower => tower::start(policy, listener),
            Self::Axum => axum::start(policy, listener),
            Self::Actix => actix::start(policy, listener),
        }?;
        Ok(Running { address, stop: Some(stop), thread: Some(thread) })
    }
}

/// Starts a server of this axum router.
///
/// # Errors
///
/// The listener or a thread cannot be had.
pub fn serve_axum(router: ::axum::Router, listener: TcpListener) -> io::Result<Running> {
    let address = listener.local_addr()?;
    let (stop, thread) = server::start(router, axum::introduce, listener)?;
    Ok(Running { address, stop: Some(stop), thread: Some(thread) })
}

/// Starts a server of an actix-web app with these routes.
///
/// # Errors
///
/// The listener or a thread cannot be had.
pub fn serve_actix(
    configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    listener: TcpListener,
) -> io::Result<Running> {
    let address = listener.local_addr()?;
    let (stop, thread) = actix::serve(listener, configure)?;
    Ok(Running { address, stop: Some(stop), thread: Some(thread) })
}

type Stop = Box<dyn FnOnce() + Send>;
type Server = JoinHandle<io::Result<()>>;

/// A server that runs until this is dropped.
pub struct Running {
    address: SocketAddr,
    stop: Option<Stop>,
    thread: Option<Server>,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it ends by itself, which it does only by a fault.
    ///
    /// # Errors
    ///
    /// The fault.
    pub fn wait(mut self) -> io::Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the server panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let (Some(stop), Some(thread)) = (self.stop.take(), self.thread.take()) {
            stop();
            let ended = thread.join();
            assert!(thread::panicking() || matches!(ended, Ok(Ok(()))), "the server failed");
        }
    }
}

impl core::fmt::Debug for Running {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Running").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What `/typed` asks the claims to be.
#[derive(Debug, Deserialize)]
pub struct Member {
    /// Whose member.
    pub tenant: String,
    /// Its number there.
    pub number: u32,
    /// When it became one.
    pub since: Option<UnixTime>,
}

impl core::fmt::Display for Member {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} of {}", self.number, self.tenant)?;
        self.since.map_or(Ok(()), |since| write!(f, " since {since}"))
    }
}

portcullis::requirement! {
    /// May see orders.
    pub ReadOrders = Requirement::scope("orders:read");
    /// May pay back.
    pub Refund = Requirement::all_scopes(["orders:read", "orders:write"])
        .and(Requirement::any_role(["realm_access", "roles"], ["accountant", "admin"]));
    /// Has just proved well who they are.
    pub SteppedUp = Requirement::acr_values(["gold", "silver"])
        .and(Requirement::max_age(Duration::from_secs(300)))
        .and(Requirement::scope("orders:read"));
    /// Is somebody else.
    pub Others = Requirement::anyone_but(Requirement::subject("mallory"));
    /// Nobody.
    pub Faulty = Requirement::scope("orders:read orders:write");
}

/// What a policy sees of a request besides its token.
fn seen(request: &impl RequestView) -> String {
    let certificate = request.client_certificate();
    let certificate = certificate.as_ref().and_then(ClientCertificate::der).unwrap_or_default();
    format!(
        "{} from {:?} with {}",
        request.path().unwrap_or_default(),
        request.peer().and_then(PeerAddress::ip),
        String::from_utf8_lossy(certificate),
    )
}

/// Stands for the certificate that whoever terminates TLS tells of: that of each connection to a server of these.
pub fn certificate() -> ClientCertificate {
    ClientCertificate::presented(*b"a certificate")
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const ANONYMOUS: &str = "anonymous";
const INSIDE: &str = "inside";
const OPEN: &str = "open";
const CACHED: &str = "cached";
const CACHING: &str = "public, max-age=60";

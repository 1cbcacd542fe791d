//! A key server on loopback that can do all that key servers do wrong. **For tests only.** Feature
//! `key-server`.
//!
//! [`KeyServer`] stands in for an identity provider: its JWK set, and the documents that lead
//! there. [`Answer`] is what a path answers: the honest set of a [`TestIssuer`], or one of the many
//! things that real key servers do on a bad day. [`Certificate`] is how it proves its name.
//!
//! # Example: an issuer, and then an outage
//!
//! ```
//! use std::io::{self, Write};
//! use std::net::TcpStream;
//! use portcullis::Algorithm;
//! use portcullis_testkit::key_server::{Answer, KeyServer};
//!
//! let server = KeyServer::start();
//! let issuer = server.issuer(&[Algorithm::ES256]);
//! assert_eq!(issuer.name(), server.origin());
//! assert_eq!(server.hits(KeyServer::JWKS_PATH), 0);
//!
//! let fetch = || {
//!     let mut stream = TcpStream::connect(server.address())?;
//!     stream.write_all(
//!         b"GET /jwks.json HTTP/1.1\r\nhost: id\r\nconnection: close\r\n\r\n",
//!     )?;
//!     io::read_to_string(stream)
//! };
//! assert!(fetch()?.contains("es256-1"));
//! issuer.rotate(Algorithm::ES256);
//! assert!(fetch()?.contains("es256-2"));
//!
//! server.answer(
//!     KeyServer::JWKS_PATH,
//!     Answer::status(503).header("retry-after", "120"),
//! );
//! assert!(fetch()?.starts_with("HTTP/1.1 503 "));
//! assert_eq!(server.hits(KeyServer::JWKS_PATH), 3);
//! # Ok::<_, io::Error>(())
//! ```
mod answer;
mod certificate;
#[cfg(test)]
mod client;
mod connection;
mod gzip;
mod site;

use core::fmt;
use core::time::Duration;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use portcullis::Algorithm;
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use tokio::time;

pub use self::answer::Answer;
pub use self::certificate::Certificate;
pub use self::site::SeenRequest;

use self::certificate::{ClientPem, Identity};
use self::site::Site;
use crate::TestIssuer;

/// How long a test may wait for a request before it is told that none came.
const PATIENCE: Duration = Duration::from_secs(30);

/// An HTTP server on loopback that answers as it is told. **For tests only.**
///
/// It runs on a thread of its own, so it serves plain tests as well as those with a runtime, and
/// ends when dropped: every connection is cut, be it in the middle of an answer.
///
/// Every path answers 404 until it is [told otherwise](Self::answer). A path is what stands before
/// the `?`, and every method gets the same answer.
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis_testkit::key_server::{Answer, KeyServer};
///
/// let server = KeyServer::start();
/// let issuer = server.issuer(&[Algorithm::ES256]);
/// // A policy with `RemoteJwks::discovery()` for this issuer finds its keys.
/// assert_eq!(issuer.name(), server.origin());
///
/// // An outage:
/// server.answer(KeyServer::JWKS_PATH, Answer::status(503));
/// ```
pub struct KeyServer {
    address: SocketAddr,
    origin: String,
    certificate_pem: Option<String>,
    client: Option<ClientPem>,
    site: Arc<Site>,
    runtime: Handle,
    /// Ends the thread by being dropped.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl KeyServer {
    /// Where [`for_issuer`](Self::for_issuer) and [`issuer`](Self::issuer) publish keys.
    pub const JWKS_PATH: &str = "/jwks.json";

    /// A server of plain HTTP on a free port of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// If the machine has no port, thread or file descriptor left.
    pub fn start() -> Self {
        Self::start_as(None)
    }

    /// A server of HTTPS, by the name `localhost`, on a free port of 127.0.0.1.
    ///
    /// Let clients trust [`certificate_pem`](Self::certificate_pem), the authority that was made
    /// for this server. All but [`Certificate::Good`] must be refused by them all the same.
    ///
    /// # Panics
    ///
    /// If the machine has no port, thread or file descriptor left.
    pub fn start_tls(certificate: Certificate) -> Self {
        Self::start_as(Some(certificate.issue()))
    }

    /// A server of HTTPS with a [good](Certificate::Good) certificate, which ends the connection of whoever
    /// has no certificate of its authority (mutual TLS). [`client_pem`](Self::client_pem) is one.
    ///
    /// # Panics
    ///
    /// If the machine has no port, thread or file descriptor left.
    pub fn start_mutual_tls() -> Self {
        Self::start_as(Some(Certificate::Good.issue_mutual()))
    }

    /// A server of plain HTTP that has the keys of `issuer` at [`JWKS_PATH`](Self::JWKS_PATH), as
    /// by [`serve_keys`](Self::serve_keys).
    ///
    /// It serves no metadata: those would have to be found under the name of the issuer. See
    /// [`issuer`](Self::issuer) for one whose name leads here.
    pub fn for_issuer(issuer: &TestIssuer, algorithms: &[Algorithm]) -> Self {
        let server = Self::start();
        server.serve_keys(Self::JWKS_PATH, issuer, algorithms);
        server
    }

    fn start_as(identity: Option<Identity>) -> Self {
        const WHY: &str = "the machine has ports, threads and file descriptors left";
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect(WHY);
        listener.set_nonblocking(true).expect("a listener can be told not to block");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (origin, tls, certificate_pem, client) = match identity {
            Some(Identity { tls, authority_pem, client }) => {
                let origin = format!("https://localhost:{}", address.port());
                (origin, Some(tls), Some(authority_pem), client)
            }
            None => (format!("http://{address}"), None, None, None),
        };

        let runtime =
            runtime::Builder::new_current_thread().enable_io().enable_time().build().expect(WHY);
        let handle = runtime.handle().clone();
        let site = Arc::<Site>::default();
        let (stop, stopped) = oneshot::channel();
        let serve = connection::accept(listener, tls, Arc::clone(&site));
        let run = move || {
            runtime.spawn(serve);
            // Whether told or dropped. The runtime goes with it, and every connection with that.
            _ = runtime.block_on(stopped);
        };
        let thread = thread::Builder::new().name("key-server".to_owned()).spawn(run).expect(WHY);
        Self {
            address,
            origin,
            certificate_pem,
            client,
            site,
            runtime: handle,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Scheme, host and port: `http://127.0.0.1:PORT`, or `https://localhost:PORT`. Good for the
    /// name of an issuer.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The address that it listens on, for those who connect by themselves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of this path: it is put behind the [origin](Self::origin).
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The certificate of the authority that clients shall trust, as PEM. `None` for plain HTTP.
    ///
    /// Also a server whose certificate is not good has one, so that a client which trusts it
    /// refuses the certificate for that one fault.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate_pem.as_deref()
    }

    /// A certificate that a server by [`start_mutual_tls`](Self::start_mutual_tls) accepts of its clients, and
    /// the private key, as PEM. `None` for servers that ask for none.
    pub fn client_pem(&self) -> Option<(&str, &str)> {
        self.client.as_ref().map(|ClientPem { certificate, key }| (&**certificate, &**key))
    }

    /// From now on this path answers so. Answers to requests that came before stay as they were.
    ///
    /// # Panics
    ///
    /// If `path` does not begin with `/`, or has a `?`.
    #[track_caller]
    pub fn answer(&self, path: &str, answer: Answer) {
        self.site.set_answer(path_alone(path), answer);
    }

    /// From now on this path has the keys that the issuer publishes, as by [`Answer::keys`].
    ///
    /// # Panics
    ///
    /// If `path` does not begin with `/`, or has a `?`.
    #[track_caller]
    pub fn serve_keys(&self, path: &str, issuer: &TestIssuer, algorithms: &[Algorithm]) {
        self.answer(path, Answer::keys(issuer, algorithms));
    }

    /// A new issuer whose name is the [origin](Self::origin) of this server, its keys at
    /// [`JWKS_PATH`](Self::JWKS_PATH), and metadata of both kinds that lead there.
    pub fn issuer(&self, algorithms: &[Algorithm]) -> TestIssuer {
        let issuer = TestIssuer::new(self.origin());
        self.serve_keys(Self::JWKS_PATH, &issuer, algorithms);
        self.serve_metadata(issuer.name(), &self.url(Self::JWKS_PATH));
        issuer
    }

    /// From now on there are [metadata](Answer::metadata) of both kinds for this issuer: see
    /// [`serve_openid_metadata`](Self::serve_openid_metadata) and
    /// [`serve_oauth_metadata`](Self::serve_oauth_metadata).
    ///
    /// # Panics
    ///
    /// If `issuer` is not a URL of this server.
    #[track_caller]
    pub fn serve_metadata(&self, issuer: &str, jwks_uri: &str) {
        self.serve_openid_metadata(issuer, jwks_uri);
        self.serve_oauth_metadata(issuer, jwks_uri);
    }

    /// From now on there are [metadata](Answer::metadata) for this issuer where OpenID Connect
    /// Discovery 1.0 §4 has them: at `{issuer}/.well-known/openid-configuration`.
    ///
    /// # Panics
    ///
    /// If `issuer` is not a URL of this server.
    #[track_caller]
    pub fn serve_openid_metadata(&self, issuer: &str, jwks_uri: &str) {
        let path = format!("{}/.well-known/openid-configuration", self.path_of(issuer));
        self.answer(&path, Answer::metadata(issuer, jwks_uri));
    }

    /// From now on there are [metadata](Answer::metadata) for this issuer where RFC 8414 §3 has
    /// them: at `/.well-known/oauth-authorization-server`, and the path of the issuer behind that.
    ///
    /// # Panics
    ///
    /// If `issuer` is not a URL of this server.
    #[track_caller]
    pub fn serve_oauth_metadata(&self, issuer: &str, jwks_uri: &str) {
        let path = format!("/.well-known/oauth-authorization-server{}", self.path_of(issuer));
        self.answer(&path, Answer::metadata(issuer, jwks_uri));
    }

    /// The path of an issuer of this server, without a `/` at its end (OpenID Connect Discovery 1.0
    /// §4.1, RFC 8414 §3.1).
    #[track_caller]
    fn path_of<'a>(&self, issuer: &'a str) -> &'a str {
        match issuer.strip_prefix(&self.origin) {
            Some(path) if path.is_empty() || path.starts_with('/') => {
                path.strip_suffix('/').unwrap_or(path)
            }
            _ => panic!("{issuer:?} is not a URL of this server, which is {}", self.origin),
        }
    }

    /// How many requests for this path came. Each counts once its head was read, whether or not it
    /// is answered.
    ///
    /// # Panics
    ///
    /// If `path` does not begin with `/`, or has a `?`.
    #[track_caller]
    pub fn hits(&self, path: &str) -> usize {
        self.site.hits(path_alone(path))
    }

    /// How many requests came, whatever their path.
    pub fn all_hits(&self) -> usize {
        self.site.all_hits()
    }

    /// The latest 10 000 requests, oldest first.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.site.requests()
    }

    /// Waits until this path had so many [hits](Self::hits).
    ///
    /// This blocks the thread. A test whose client needs that thread waits for a
    /// [`hit`](Self::hit) instead.
    ///
    /// # Panics
    ///
    /// If they did not come within 30 seconds, with what did; or if `path` does not begin with `/`,
    /// or has a `?`.
    #[track_caller]
    pub fn wait_for_hits(&self, path: &str, count: usize) {
        if !self.site.wait_for_hits(path_alone(path), count, PATIENCE) {
            panic!("{}", self.site.complaint(path, count));
        }
    }

    /// Waits until this path had so many [hits](Self::hits), on any runtime.
    ///
    /// # Panics
    ///
    /// If they did not come within 30 seconds, with what did; or if `path` does not begin with `/`,
    /// or has a `?`.
    pub async fn hit(&self, path: &str, count: usize) {
        let (site, awaited) = (Arc::clone(&self.site), path_alone(path).to_owned());
        let hit = async move { site.hit(&awaited, count).await };
        // On the server's runtime, since the caller's may have no clock, or one that stands still.
        let in_time = self.runtime.spawn(async { time::timeout(PATIENCE, hit).await });
        if in_time.await.expect("the runtime outlives what borrows the server").is_err() {
            panic!("{}", self.site.complaint(path, count));
        }
    }

    /// Lets go on what is [`held`](Answer::held): the answers to all requests that came by now.
    /// Later ones are held again.
    pub fn release(&self) {
        self.site.release();
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It cannot panic: tokio catches what a connection does.
            _ = thread.join();
        }
    }
}

impl fmt::Debug for KeyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyServer").field("origin", &self.origin).finish_non_exhaustive()
    }
}

#[track_caller]
fn path_alone(path: &str) -> &str {
    assert!(
        path.starts_with('/') && !path.contains('?'),
        "{path:?} is not a path such as /jwks.json"
    );
    path
}

#[cfg(test)]
mod tests {
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};
    use std::io::Read;
    use std::sync::mpsc;
    use std::task::Wake;
    use std::thread::Thread;

    use serde_json::Value;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::client::{ask, fetch, fetch_with};
    use super::*;

    /// Runs a future without a runtime.
    fn block_on<F: Future>(future: F) -> F::Output {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }

    #[test]
    fn a_path_is_not_found_until_it_is_given_an_answer() {
        let server = KeyServer::start();
        assert_eq!(fetch(&server, "/jwks.json").status(), 404);
        server.answer("/jwks.json", Answer::status(204));
        assert_eq!(fetch(&server, "/jwks.json").status(), 204);
        assert_eq!(fetch(&server, "/jwks.json?fresh=1").status(), 204);
        assert_eq!(fetch(&server, "/jwks.json/").status(), 404);
        server.answer("/jwks.json", Answer::status(503));
        assert_eq!(fetch(&server, "/jwks.json").status(), 503);
    }

    #[test]
    fn the_origin_is_where_it_listens() {
        let server = KeyServer::start();
        assert_eq!(server.origin(), format!("http://127.0.0.1:{}", server.address().port()));
        assert_eq!(server.url("/a?b"), format!("{}/a?b", server.origin()));
        assert_eq!(server.certificate_pem(), None);
    }

    #[test]
    fn metadata_are_where_the_two_specifications_have_them() {
        let openid = "/.well-known/openid-configuration";
        let oauth = "/.well-known/oauth-authorization-server";
        for (path, at_openid, at_oauth) in [
            ("", openid.to_owned(), oauth.to_owned()),
            ("/", openid.to_owned(), oauth.to_owned()),
            ("/one/two", format!("/one/two{openid}"), format!("{oauth}/one/two")),
            ("/one/two/", format!("/one/two{openid}"), format!("{oauth}/one/two")),
        ] {
            let server = KeyServer::start();
            let issuer = server.url(path);
            server.serve_metadata(&issuer, "https://elsewhere.example/keys");
            for at in [at_openid, at_oauth] {
                let got = fetch(&server, &at);
                assert_eq!(got.header("content-type"), Some("application/json"), "{at}");
                let metadata: Value = serde_json::from_slice(got.body()).unwrap();
                assert_eq!(metadata["issuer"], issuer, "{at}");
                assert_eq!(metadata["jwks_uri"], "https://elsewhere.example/keys", "{at}");
            }
        }
    }

    #[test]
    fn metadata_of_one_kind_are_only_where_that_has_them() {
        let (one, other) = (KeyServer::start(), KeyServer::start());
        one.serve_openid_metadata(one.origin(), "");
        other.serve_oauth_metadata(other.origin(), "");
        let statuses = |server: &KeyServer| {
            ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"]
                .map(|path| fetch(server, path).status())
        };
        assert_eq!((statuses(&one), statuses(&other)), ([200, 404], [404, 200]));
    }

    #[test]
    #[should_panic(expected = "is not a URL of this server")]
    fn metadata_of_an_issuer_whose_port_only_begins_alike_are_refused() {
        let server = KeyServer::start();
        server.serve_metadata(&format!("{}0", server.origin()), "");
    }

    #[test]
    fn the_issuer_of_a_server_is_found_by_its_name() {
        let server = KeyServer::start();
        let issuer = server.issuer(&[Algorithm::ES256]);
        let metadata = fetch(&server, "/.well-known/openid-configuration");
        let metadata: Value = serde_json::from_slice(metadata.body()).unwrap();
        assert_eq!(metadata["issuer"], issuer.name());
        assert_eq!(metadata["jwks_uri"], server.url(KeyServer::JWKS_PATH));
        let keys = fetch(&server, KeyServer::JWKS_PATH);
        assert_eq!(keys.text(), issuer.jwks_of(&[Algorithm::ES256]));
    }

    #[test]
    fn a_server_for_an_issuer_has_its_keys() {
        let issuer = TestIssuer::new("https://id.example");
        let server = KeyServer::for_issuer(&issuer, &[Algorithm::EdDSA]);
        let keys = fetch(&server, KeyServer::JWKS_PATH);
        assert_eq!(keys.text(), issuer.jwks_of(&[Algorithm::EdDSA]));
    }

    #[test]
    fn requests_are_counted_by_path_and_kept() {
        let server = KeyServer::start();
        assert_eq!((server.all_hits(), server.hits("/a"), server.requests()), (0, 0, vec![]));
        fetch_with(&server, "/a?b=c", "accept: x/y\r\nx-octet: \u{e9}\r\n");
        fetch(&server, "/b");
        fetch(&server, "/a");
        assert_eq!((server.all_hits(), server.hits("/a"), server.hits("/b")), (3, 2, 1));
        let requests = server.requests();
        let paths: Vec<_> = requests.iter().map(|request| request.path.as_str()).collect();
        assert_eq!(paths, ["/a", "/b", "/a"]);
        assert_eq!(
            (requests[0].method.as_str(), requests[0].query.as_deref()),
            ("GET", Some("b=c"))
        );
        assert_eq!(requests[0].header("Accept"), Some("x/y"));
        assert_eq!(requests[0].header("x-octet"), Some("\u{e9}"));
        assert_eq!((requests[1].header("accept"), requests[1].query.as_deref()), (None, None));
    }

    #[test]
    fn every_request_of_a_connection_is_counted() {
        let server = KeyServer::start();
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        for n in 1..=3 {
            std::io::Write::write_all(&mut stream, b"HEAD /a HTTP/1.1\r\nhost: id\r\n\r\n")
                .unwrap();
            assert_eq!(client::Got::head_of(&mut stream).status(), 404);
            assert_eq!(server.hits("/a"), n);
        }
    }

    #[test]
    #[should_panic(expected = r#""jwks.json" is not a path"#)]
    fn hits_of_what_no_request_can_name_are_refused() {
        KeyServer::start().hits("jwks.json");
    }

    #[test]
    fn a_hit_ends_the_wait_for_it() {
        let server = KeyServer::start();
        server.answer("/jwks.json", Answer::hang());
        thread::scope(|scope| {
            let waits = scope.spawn(|| server.wait_for_hits("/jwks.json", 2));
            let streams = ["/jwks.json", "/other", "/jwks.json"].map(|path| ask(&server, path));
            waits.join().unwrap();
            assert_eq!(server.hits("/jwks.json"), 2);
            drop(streams);
        });
        server.wait_for_hits("/jwks.json", 1);
        server.wait_for_hits("/never", 0);
    }

    #[test]
    fn a_wait_without_hits_ends_and_says_what_came() {
        let site = KeyServer::start().site.clone();
        assert!(!site.wait_for_hits("/a", 1, Duration::ZERO));
        assert_eq!(site.complaint("/a", 1), "/a was to have 1 hits and has 0; what came: nothing");

        let server = KeyServer::start();
        for path in ["/b", "/a", "/b"] {
            fetch(&server, path);
        }
        assert!(!server.site.wait_for_hits("/a", 2, Duration::ZERO));
        let complaint = "/a was to have 2 hits and has 1; what came: /a 1, /b 2";
        assert_eq!(server.site.complaint("/a", 2), complaint);
    }

    #[test]
    fn a_hit_is_awaited_without_a_runtime() {
        let server = KeyServer::start();
        thread::scope(|scope| {
            let waits = scope.spawn(|| block_on(server.hit("/a", 1)));
            fetch(&server, "/a");
            waits.join().unwrap();
        });
        block_on(server.hit("/a", 1));
    }

    // On one thread, with a clock that stands still: nothing blocks it, or waits for it.
    #[tokio::test(start_paused = true)]
    async fn a_server_serves_a_client_on_the_runtime_of_the_test() {
        fn sendable<T: Send>(future: T) -> T {
            future
        }
        let server = KeyServer::start();
        server.answer("/jwks.json", Answer::empty_set().after(Duration::from_millis(1)).held());
        let address = server.address();
        let client = tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = b"GET /jwks.json HTTP/1.1\r\nhost: id\r\nconnection: close\r\n\r\n";
            stream.write_all(request).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            text
        });
        sendable(server.hit("/jwks.json", 1)).await;
        assert!(!client.is_finished());
        server.release();
        assert!(client.await.unwrap().ends_with(r#"{"keys":[]}"#));
    }

    #[test]
    fn dropping_a_server_cuts_what_hangs() {
        for answer in [
            Answer::hang(),
            Answer::hang_in_body(),
            Answer::drip("{}"),
            Answer::status(204).held(),
            Answer::status(204).after(Duration::MAX),
            Answer::endless(),
            Answer::endless_headers(),
        ] {
            let server = KeyServer::start();
            server.answer("/", answer.clone());
            let mut stream = ask(&server, "/");
            server.wait_for_hits("/", 1);
            let (done, dropped) = mpsc::channel();
            thread::spawn(move || {
                drop(server);
                done.send(())
            });
            dropped.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{answer:?} goes on"));
            // An end or a reset: the socket may have had bytes that nobody was to read.
            while stream.read(&mut [0; 65_536]).is_ok_and(|length| length > 0) {}
        }
    }

    #[test]
    fn a_server_shows_where_it_is() {
        fn shared<T: Send + Sync>(_: &T) {}
        let server = KeyServer::start();
        shared(&server);
        let expected = format!("KeyServer {{ origin: {:?}, .. }}", server.origin());
        assert_eq!(format!("{server:?}"), expected);
    }
}

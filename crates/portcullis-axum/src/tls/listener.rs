use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use axum::serve::Listener;
use tokio::select;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{HandshakeError, Tls};

/// After that, a handshake makes room for others. Those of honest clients take two turns over the network.
const MAKES_ROOM_AFTER: Duration = Duration::from_secs(1);

/// A listener with TLS, which [`serve`](super::serve) makes of another.
///
/// It has no constructor: `axum::serve` would serve its connections without a word about the certificate.
pub struct TlsListener<L: Listener> {
    listener: L,
    tls: Tls,
    acceptor: TlsAcceptor,
    handshakes: JoinSet<Option<(TlsStream<L::Io>, SocketAddr)>>,
    /// The oldest first. Some may have ended.
    under_way: VecDeque<UnderWay>,
    /// A connection for which there is no room yet.
    waiting: Option<(L::Io, SocketAddr)>,
}

struct UnderWay {
    since: Instant,
    peer: SocketAddr,
    handle: AbortHandle,
}

impl<L: Listener<Addr = SocketAddr>> TlsListener<L> {
    pub(super) fn new(listener: L, tls: Tls) -> Self {
        Self {
            acceptor: TlsAcceptor::from(tls.config.clone()),
            listener,
            tls,
            handshakes: JoinSet::new(),
            under_way: VecDeque::new(),
            waiting: None,
        }
    }

    fn is_full(&mut self) -> bool {
        if self.under_way.len() >= self.tls.max_handshakes {
            self.under_way.retain(|it| !it.handle.is_finished());
        }
        self.under_way.len() >= self.tls.max_handshakes
    }

    fn begin(&mut self, io: L::Io, peer: SocketAddr) {
        let (tls, handshake) = (self.tls.clone(), self.acceptor.accept(io));
        let handle = self.handshakes.spawn(async move {
            let error = match timeout(tls.timeout, handshake).await {
                Ok(Ok(stream)) => return Some((stream, peer)),
                Ok(Err(error)) => HandshakeError::Failed(error),
                Err(_) => HandshakeError::TimedOut,
            };
            tls.tell(peer, &error);
            None
        });
        self.under_way.push_back(UnderWay { since: Instant::now(), peer, handle });
    }

    /// When the oldest handshake makes room for a connection that waits.
    fn makes_room(&self) -> Option<Instant> {
        let oldest = self.waiting.as_ref().and(self.under_way.front())?;
        Some(oldest.since + MAKES_ROOM_AFTER)
    }

    fn make_room(&mut self) {
        if let Some(UnderWay { peer, handle, .. }) = self.under_way.pop_front() {
            handle.abort();
            self.tls.tell(peer, &HandshakeError::MadeRoom);
        }
    }
}

impl<L: Listener<Addr = SocketAddr>> Listener for TlsListener<L> {
    type Io = TlsStream<L::Io>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            if !self.is_full()
                && let Some((io, peer)) = self.waiting.take()
            {
                self.begin(io, peer);
            }
            let makes_room = self.makes_room();
            select! {
                // What has ended is taken first, so that no more of it than one handshake each is held here.
                biased;
                Some(ended) = self.handshakes.join_next() => {
                    // One that made room, or that panicked, is as one that failed.
                    if let Ok(Some(connection)) = ended {
                        return connection;
                    }
                }
                () = at(makes_room), if makes_room.is_some() => self.make_room(),
                // Dropped and called again, it loses nothing: to have a connection is its last step.
                connection = self.listener.accept(), if self.waiting.is_none() => {
                    self.waiting = Some(connection);
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

async fn at(moment: Option<Instant>) {
    if let Some(moment) = moment {
        sleep_until(moment).await;
    }
}

impl<L: Listener + fmt::Debug> fmt::Debug for TlsListener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsListener")
            .field("listener", &self.listener)
            .field("tls", &self.tls)
            .field("handshakes", &self.handshakes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis::tls::AnyClientCertificate;
    use rustls::pki_types::CertificateDer;
    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
    use tokio_rustls::TlsConnector;

    use super::*;

    /// Connections in memory. Each says which one it is by its port.
    struct Queue(UnboundedReceiver<(DuplexStream, u16)>);

    impl Listener for Queue {
        type Io = DuplexStream;
        type Addr = SocketAddr;

        async fn accept(&mut self) -> (DuplexStream, SocketAddr) {
            let (stream, port) = self.0.recv().await.expect("a test that goes on");
            (stream, address(port))
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            Ok(address(0))
        }
    }

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    struct Clients {
        queue: UnboundedSender<(DuplexStream, u16)>,
        config: Arc<ClientConfig>,
    }

    impl Clients {
        /// One that connects and says nothing for as long as its value is kept.
        fn silent(&self, port: u16) -> DuplexStream {
            let (own, theirs) = duplex(64 * 1024);
            self.queue.send((theirs, port)).expect("a listener");
            own
        }

        fn honest(&self, port: u16) {
            let (stream, connector) = (self.silent(port), TlsConnector::from(self.config.clone()));
            tokio::spawn(async move {
                let name = "localhost".try_into().expect("a name");
                let mut stream = connector.connect(name, stream).await.expect("a handshake");
                let _ = stream.read_u8().await;
            });
        }
    }

    type Failures = UnboundedReceiver<String>;

    fn listener(limit: impl FnOnce(Tls) -> Tls) -> (TlsListener<Queue>, Clients, Failures) {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a key");
        let own = key.cert.der().clone();
        let builder = ServerConfig::builder();
        let any = AnyClientCertificate::new(builder.crypto_provider()).optional();
        let builder = builder.with_client_cert_verifier(Arc::new(any));
        let config =
            builder.with_single_cert(vec![own.clone()], key.signing_key.into()).expect("a key");
        let (tell, failures) = unbounded_channel();
        let tls = Tls::new(config).expect("a verifier that checks").on_failed_handshake(
            move |peer, error| {
                let _ = tell.send(format!("{} {error}", peer.port()));
            },
        );
        let (queue, connections) = unbounded_channel();
        let clients = Clients { queue, config: Arc::new(trusting(own)) };
        (TlsListener::new(Queue(connections), limit(tls)), clients, failures)
    }

    fn trusting(certificate: CertificateDer<'static>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a root");
        ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
    }

    /// The connection that is accepted next, and after how long.
    async fn next(listener: &mut TlsListener<Queue>) -> (u16, Duration) {
        let since = Instant::now();
        let (_, peer) = listener.accept().await;
        (peer.port(), since.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_holds_up_nobody() {
        let (mut listener, clients, mut failures) = listener(|tls| tls);
        let _silent: Vec<_> = (1..=100).map(|port| clients.silent(port)).collect();
        clients.honest(1000);
        assert_eq!(next(&mut listener).await, (1000, Duration::ZERO));
        assert!(failures.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_ends_at_its_time_and_not_earlier_where_nobody_waits() {
        let (mut listener, clients, mut failures) =
            listener(|tls| tls.max_handshakes(1).handshake_timeout(Duration::from_secs(3)));
        let _silent = clients.silent(1);
        let begun = Instant::now();
        let told = select! {
            _ = listener.accept() => None,
            told = failures.recv() => told,
        };
        assert_eq!(told.as_deref(), Some("1 the TLS handshake took too long"));
        assert_eq!(begun.elapsed(), Duration::from_secs(3));

        clients.honest(2);
        assert_eq!(next(&mut listener).await, (2, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_handshake_makes_room_after_a_second() {
        let (mut listener, clients, mut failures) = listener(|tls| tls.max_handshakes(2));
        let _silent = [clients.silent(1), clients.silent(2)];
        clients.honest(3);
        assert_eq!(next(&mut listener).await, (3, Duration::from_secs(1)));
        assert!(failures.recv().await.is_some_and(|told| told.starts_with("1 ")), "the oldest");

        // The second one made no room for nobody.
        clients.honest(4);
        assert_eq!(next(&mut listener).await, (4, Duration::ZERO));
        assert!(failures.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn handshakes_that_ended_take_no_room() {
        let (mut listener, clients, _) = listener(|tls| tls.max_handshakes(1));
        for port in 1..=5 {
            clients.honest(port);
        }
        for port in 1..=5 {
            assert_eq!(next(&mut listener).await, (port, Duration::ZERO));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn at_least_one_handshake_goes_on() {
        let (mut listener, clients, _) = listener(|tls| tls.max_handshakes(0));
        clients.honest(1);
        assert_eq!(next(&mut listener).await, (1, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_is_told_of() {
        let (mut listener, clients, mut failures) = listener(|tls| tls);
        drop(clients.silent(1));
        clients.honest(2);
        assert_eq!(next(&mut listener).await, (2, Duration::ZERO));
        let told = failures.recv().await.expect("a failure");
        assert!(told.starts_with("1 the TLS handshake failed: "), "{told}");
    }
}

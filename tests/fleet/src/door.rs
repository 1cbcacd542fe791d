use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// An address that leads to one server, and later to another: what a failover looks like.
#[derive(Debug)]
pub struct Door {
    port: u16,
    target: Arc<watch::Sender<Option<u16>>>,
}

impl Door {
    /// A door to a port.
    ///
    /// # Panics
    ///
    /// There is no free port.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let own = listener.local_addr().expect("its address").port();
        let target = Arc::new(watch::channel(Some(port)).0);
        tokio::spawn(serve(listener, Arc::clone(&target)));
        Self { port: own, target }
    }

    /// Cuts all connections, and leads elsewhere; nowhere, for `None`.
    pub fn lead_to(&self, port: Option<u16>) {
        self.target.send_replace(port);
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

async fn serve(listener: TcpListener, target: Arc<watch::Sender<Option<u16>>>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let mut changes = target.subscribe();
        tokio::spawn(async move {
            let Some(port) = *changes.borrow_and_update() else { return };
            let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
                return;
            };
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                _ = changes.changed() => {}
            }
        });
    }
}

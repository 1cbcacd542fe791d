use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};

/// One address that leads to all instances, by turns: each connection to the next one that accepts it.
#[derive(Debug)]
pub struct Balancer {
    port: u16,
    instances: Arc<Mutex<Vec<u16>>>,
}

impl Balancer {
    /// One that leads nowhere yet.
    ///
    /// # Panics
    ///
    /// There is no free port.
    pub async fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let instances = Arc::default();
        tokio::spawn(serve(listener, Arc::clone(&instances)));
        Self { port, instances }
    }

    /// Leads to these ports from now on.
    pub fn lead_to(&self, instances: impl IntoIterator<Item = u16>) {
        let mut ports = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        *ports = instances.into_iter().collect();
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

async fn serve(listener: TcpListener, instances: Arc<Mutex<Vec<u16>>>) {
    let mut next = 0;
    while let Ok((mut client, _)) = listener.accept().await {
        let mut ports = instances.lock().unwrap_or_else(PoisonError::into_inner).clone();
        next += 1;
        let by_turns = next % ports.len().max(1);
        ports.rotate_left(by_turns);
        tokio::spawn(async move {
            for port in ports {
                // One that was killed does not accept.
                let Ok(mut instance) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
                    continue;
                };
                // How it ends, client and instance learn.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut instance).await;
                return;
            }
        });
    }
}

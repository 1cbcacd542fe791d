use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{UnixListener, UnixStream};

use crate::Cluster;
use crate::cluster::{options, socket};

/// The message by which sqlx ends a transaction: a simple query, its length, its text.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// A way to a server on which answers can be lost.
#[derive(Debug)]
pub struct Door {
    folder: TempDir,
    loses: Arc<AtomicBool>,
}

impl Door {
    /// To this server.
    ///
    /// # Panics
    ///
    /// It cannot be made.
    pub fn to(cluster: &Cluster) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(socket(folder.path())).expect("a socket");
        let (server, loses) = (cluster.socket(), Arc::new(AtomicBool::new(false)));
        let door = Self { folder, loses: Arc::clone(&loses) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&server).await.expect("a server");
                tokio::spawn(pass(client, server, Arc::clone(&loses)));
            }
        });
        door
    }

    /// Whether the answer to a commit is lost from now on, and the connection with it.
    pub fn lose_commits(&self, loses: bool) {
        self.loses.store(loses, Ordering::Relaxed);
    }

    /// How to connect through it.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        options(self.folder.path()).database(database)
    }
}

async fn pass(client: UnixStream, server: UnixStream, loses: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
        let is_lost = loses.load(Ordering::Relaxed) && buffer[..length].ends_with(COMMIT);
        if is_lost {
            answers.abort();
        }
        if to_server.write_all(&buffer[..length]).await.is_err() || is_lost {
            return;
        }
    }
}

//! Writes a process's own revocations.
use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use portcullis::revocation::store::{
    PublishFuture, RevocationEntry, RevocationList, RevocationStore, StoreError,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::connection::{Connection, Connector, failed};
use crate::ended;
use crate::error::RedisError;
use crate::own_revocations::Own;
use crate::store::{Layout, Purpose, draw};
use crate::thread::Thread;

/// What a process writes through. Its work is done on the thread of the follower, so that no runtime of a caller
/// has to outlive the call.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Arc<Thread>,
}

struct Shared {
    connector: Connector,
    layout: Layout,
    width: u32,
    own: Arc<Own>,
    list: RevocationList,
    /// Opened when it is first needed, and again when it broke.
    connection: Mutex<Option<Connection>>,
}

impl Writer {
    pub(crate) fn new(
        connector: Connector,
        layout: Layout,
        width: u32,
        own: Arc<Own>,
        list: RevocationList,
        thread: Arc<Thread>,
    ) -> Self {
        let connection = Mutex::default();
        let shared = Shared { connector, layout, width, own, list, connection };
        Self { shared: Arc::new(shared), thread }
    }
}

impl RevocationStore for Writer {
    fn publish(&self, entry: RevocationEntry) -> PublishFuture {
        let shared = Arc::clone(&self.shared);
        let answer = self.thread.run(async move {
            // One deadline for all of it: who waits for another's connection waits no longer than who opens it.
            let deadline = shared.connector.timeout;
            let published = timeout(deadline, shared.publish(entry)).await;
            published.unwrap_or_else(|_| {
                // What hangs is not asked again.
                if let Ok(mut kept) = shared.connection.try_lock() {
                    *kept = None;
                }
                Err(failed("no answer came in time"))
            })
        });
        Box::pin(async move {
            let answer = answer.await.unwrap_or_else(|| Err(ended()));
            answer.map_err(|error| StoreError::new(error.to_string()))
        })
    }
}

impl Shared {
    async fn publish(&self, entry: RevocationEntry) -> Result<(), RedisError> {
        let mut has_failed = false;
        loop {
            let writing = Writing::begin(&self.own)?;
            let mut connection = self.connection(has_failed).await?;
            let purpose = Purpose::Revoke { writing: &writing.name };
            let published =
                self.layout.publish(&mut connection, [entry], self.width, purpose).await;
            match published {
                Ok(number) if writing.acknowledge(number, || self.hold(&entry)) => return Ok(()),
                // Another store took the place meanwhile: once more, since it may lack this.
                Ok(_) => {}
                // A connection may have broken since it was used: then once more, on a new one. To write an
                // entry twice does no harm.
                Err(RedisError::Connection { .. } | RedisError::Replica) if !has_failed => {
                    has_failed = true;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn hold(&self, entry: &RevocationEntry) {
        // Where there is no room, the list says so, and who revokes is told when it is asked again.
        let _ = self.list.apply(entry);
    }

    async fn connection(&self, is_new: bool) -> Result<Connection, RedisError> {
        let mut kept = self.connection.lock().await;
        match &*kept {
            Some(connection) if !is_new => Ok(connection.clone()),
            _ => {
                *kept = None;
                let opened = self.connector.open(Duration::ZERO).await?;
                Ok(kept.insert(opened).clone())
            }
        }
    }
}

/// One try to write, which is forgotten where nobody waits for it any more.
struct Writing<'o> {
    own: &'o Own,
    name: String,
    generation: u64,
    is_acknowledged: bool,
}

impl<'o> Writing<'o> {
    fn begin(own: &'o Own) -> Result<Self, RedisError> {
        let name = draw()?;
        let generation = own.begins(&name);
        Ok(Self { own, name, generation, is_acknowledged: false })
    }

    /// Whether it is held now, and need not be written again.
    fn acknowledge(mut self, number: u64, hold: impl FnOnce()) -> bool {
        self.is_acknowledged = true;
        self.own.acknowledged(&self.name, self.generation, number, hold)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.is_acknowledged {
            self.own.failed(&self.name);
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("place", &self.shared.connector).finish_non_exhaustive()
    }
}

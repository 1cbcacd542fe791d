//! The thread on which all remote key sets of a program are fetched, and status lists.
//!
//! A task of the user's own runtime would end with it: with the first test function, or the worker
//! of actix-web that happened to start it. And a policy is built where no runtime is.
use core::future::Future;
use core::pin::Pin;
use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::mpsc;

use super::client::DefaultClient;

/// The one that runs, if one does.
static CURRENT: Mutex<Weak<Thread>> = Mutex::new(Weak::new());

/// Names are resolved by the operating system, which may hang: this many at a time.
const RESOLVERS: usize = 16;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Ends when the last key set that holds it is gone.
#[derive(Debug)]
pub(crate) struct Thread {
    tasks: mpsc::UnboundedSender<Task>,
    /// Shared, since each reads the certificates of the operating system. One for each time-out and proxy.
    clients: Mutex<Vec<Arc<DefaultClient>>>,
}

impl Thread {
    pub(crate) fn get() -> io::Result<Arc<Self>> {
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = current.upgrade() {
            return Ok(thread);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("portcullis-dns")
            .thread_keep_alive(Duration::from_secs(1))
            .max_blocking_threads(RESOLVERS)
            .build()?;
        let (tasks, mut next) = mpsc::unbounded_channel::<Task>();
        std::thread::Builder::new().name("portcullis-jwks".to_owned()).spawn(move || {
            runtime.block_on(async {
                while let Some(task) = next.recv().await {
                    tokio::spawn(task);
                }
            });
            // A name that is still being resolved has nobody to wait for it.
            runtime.shutdown_background();
        })?;
        let thread = Arc::new(Self { tasks, clients: Mutex::default() });
        *current = Arc::downgrade(&thread);
        Ok(thread)
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // The thread ends only when this sender is gone.
        let _ = self.tasks.send(Box::pin(task));
    }

    pub(crate) fn client(
        &self,
        connect_timeout: Duration,
        proxy: Option<&str>,
    ) -> Arc<DefaultClient> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = clients.iter().find(|own| own.is_of(connect_timeout, proxy)) {
            return Arc::clone(known);
        }
        let client = Arc::new(DefaultClient::new(connect_timeout, proxy));
        clients.push(Arc::clone(&client));
        client
    }
}

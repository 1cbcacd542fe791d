use core::future::pending;
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis::{Algorithm, Revocations, Secret};
use portcullis_issuer::session::{
    Created, EndedAll, EndedSession, ListedAfter, MemorySessions, NewSession, RaisedSubject,
    Rotation, SessionRead, SessionRow, SessionStore, SessionVersion, SubjectRead,
};
use portcullis_issuer::store::{RingStore, StoreError, Swap};
use portcullis_issuer::{
    Answer, BuildError, EndReason, Lifetimes, SessionId, Sessions, SessionsBuildError, StoreTime,
    TokenIssuer,
};
use portcullis_sqlx::{PostgresSessions, SqliteSessions};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use crate::database::PATIENT;
use crate::{AUDIENCE, ISSUER, OLD};

/// Each method of a store, by way of another store.
macro_rules! by_way_of {
    ($store:ident, |$it:ident, $name:ident, $call:ident| $body:expr) => {
        by_way_of! { $store, |$it, $name, $call| $body;
            fn subject(subject: &str) -> SubjectRead;
            fn create(new: NewSession<'_>) -> Created;
            fn read(id: SessionId) -> SessionRead;
            fn rotate(id: SessionId, from: SessionVersion, to: &Rotation) -> Swap;
            fn end(id: SessionId, reason: EndReason) -> bool;
            fn end_all(subject: &str, but: Option<SessionId>, reason: EndReason) -> EndedAll;
            fn list(subject: &str, after: Option<ListedAfter>, limit: usize) -> Vec<SessionRow>;
            fn ended(since: StoreTime, after: Option<EndedSession>, limit: usize) -> Vec<EndedSession>;
            fn raised(since: StoreTime, after: Option<&RaisedSubject>, limit: usize) -> Vec<RaisedSubject>;
            fn prune(before: StoreTime, after: Option<SessionId>, limit: usize) -> Option<SessionId>;
            fn erase(subject: &str, before: StoreTime) -> bool;
        }
    };
    ($store:ident, |$it:ident, $name:ident, $call:ident| $body:expr;
        $(fn $method:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        impl SessionStore for $store {
            $(async fn $method(&self, issuer: &str, $($argument: $type),*) -> Result<$output, StoreError> {
                let ($it, $name) = (self, stringify!($method));
                macro_rules! $call {
                    ($inner:expr) => { $inner.$method(issuer, $($argument),*).await };
                }
                $body
            })*
        }
    };
}

/// A store of sessions of any kind.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is what it is called")]
pub enum SessionsIn {
    Memory(MemorySessions),
    Sqlite(SqliteSessions),
    Postgres(PostgresSessions),
}

impl SessionsIn {
    /// The sessions in the database of this URL, by connections of their own.
    ///
    /// # Panics
    ///
    /// It cannot be connected to.
    pub async fn open(url: &str) -> Self {
        if url.starts_with("postgres:") {
            let pool = PgPoolOptions::new().max_connections(8).connect(url).await;
            let sessions = PostgresSessions::new(pool.expect("a server"));
            return Self::Postgres(sessions.deadline(PATIENT));
        }
        let options: SqliteConnectOptions = url.parse().expect("a URL");
        let pool = SqlitePoolOptions::new().max_connections(8);
        let pool = pool.connect_with(options.busy_timeout(PATIENT)).await.expect("a file");
        Self::Sqlite(SqliteSessions::new(pool).deadline(PATIENT))
    }

    /// Ends all sessions of an issuer. How many it ended.
    ///
    /// # Errors
    ///
    /// The store cannot be asked, or has no such call.
    pub async fn end_everything(&self, issuer: &str, reason: EndReason) -> Result<u64, StoreError> {
        match self {
            Self::Memory(_) => Err(StoreError::new("for databases")),
            Self::Sqlite(inner) => inner.end_everything(issuer, reason).await,
            Self::Postgres(inner) => inner.end_everything(issuer, reason).await,
        }
    }
}

by_way_of!(SessionsIn, |store, _name, call| match store {
    Self::Memory(inner) => call!(inner),
    Self::Sqlite(inner) => call!(inner),
    Self::Postgres(inner) => call!(inner),
});

/// A store that a process stops at when told to, for ever: before or after a call of this name.
#[derive(Clone, Debug)]
pub struct StoppingSessions {
    inner: SessionsIn,
    stop: Arc<Mutex<Option<(bool, String)>>>,
}

impl StoppingSessions {
    /// One that does not stop yet.
    pub fn new(inner: SessionsIn) -> Self {
        Self { inner, stop: Arc::default() }
    }

    /// Stops at this call from now on, after it or before, and says `stopped` on the standard output.
    pub fn stop(&self, is_after: bool, call: &str) {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((is_after, call.to_owned()));
    }

    async fn reach(&self, is_after: bool, call: &str) {
        let here = Some((is_after, call.to_owned()));
        if *self.stop.lock().unwrap_or_else(PoisonError::into_inner) == here {
            println!("stopped");
            pending::<()>().await;
        }
    }
}

by_way_of!(StoppingSessions, |store, name, call| {
    store.reach(false, name).await;
    let done = call!(store.inner)?;
    store.reach(true, name).await;
    Ok(done)
});

/// An issuer whose access tokens live long enough for sessions, and what ended is revoked at.
///
/// # Errors
///
/// Its ring cannot be had.
pub async fn login_issuer<S: RingStore>(
    ring: S,
    revocations: Revocations,
) -> Result<TokenIssuer<S>, BuildError> {
    TokenIssuer::builder(ISSUER)
        .algorithm(Algorithm::ES256)
        .audiences([AUDIENCE])
        .lifetime(Duration::from_secs(15 * 60))
        .root_secrets([Secret::new(OLD)])
        .ring(ring)
        .revocations(revocations)
        .refreshed_by_hand()
        .build()
        .await
}

/// Sessions in this store, of users who may always go on.
///
/// # Errors
///
/// The store cannot be asked.
pub async fn sessions<R: RingStore>(
    issuer: &TokenIssuer<R>,
    store: impl SessionStore,
) -> Result<Sessions, SessionsBuildError> {
    Sessions::builder(issuer)
        .store(store)
        .lifetimes(Lifetimes::aal1())
        .ask(async |_| Ok(Answer::go_on()))
        .build()
        .await
}

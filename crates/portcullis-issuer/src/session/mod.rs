//! What is kept of a session, and where: for who writes a [store](SessionStore) of their own.
//!
//! There is one row for each session, and no row for a token. A row has the hash of the current refresh token and of the
//! one before; nothing else is ever accepted. Whoever has a copy of the store has no token: only hashes are kept, and a token
//! carries a MAC besides, whose key comes of the root secret.
mod binding;
mod id;
mod lifetimes;
mod memory;
mod reason;
mod row;
mod store;

pub(crate) use self::binding::{Binding, CertificateBinding, KeyBinding};
pub use self::id::{NotASessionId, SessionId};
pub use self::lifetimes::{LifetimeFault, Lifetimes};
pub use self::memory::MemorySessions;
pub use self::reason::EndReason;
pub use self::row::{Ended, Previous, SessionRow, SessionVersion};
pub(crate) use self::row::{SessionAuthenticator, SessionDetails};
pub use self::store::{
    Created, EndedAll, EndedSession, ListedAfter, NewSession, RaisedSubject, Rotation, SessionRead,
    SessionStore, SubjectRead,
};

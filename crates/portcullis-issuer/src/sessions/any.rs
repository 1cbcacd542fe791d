//! What [`Sessions`](super::Sessions) are made of, whatever it is: boxed, so that sessions are one type.
use core::future::Future;
use core::pin::Pin;

use serde_json::{Map, Value};

use crate::issuer::TokenIssuer;
use crate::keeper::IssuerNotReady;
use crate::session::{
    Created, EndReason, EndedAll, EndedSession, ListedAfter, NewSession, RaisedSubject, Rotation,
    SessionId, SessionRead, SessionRow, SessionStore, SessionVersion, SubjectRead,
};
use crate::store::{RingStore, StoreError, Swap};
use crate::time::StoreTime;
use crate::token::{AccessToken, MintError, Minted, TokenTimes};

pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

type Stored<'a, T> = Boxed<'a, Result<T, StoreError>>;

/// A [`SessionStore`] of whatever type.
macro_rules! any_session_store {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        pub(super) trait AnySessionStore: Send + Sync {
            $(fn $name<'a>(&'a self, issuer: &'a str, $($argument: $type),*) -> Stored<'a, $output>;)*
        }

        impl<S: SessionStore> AnySessionStore for S {
            $(fn $name<'a>(&'a self, issuer: &'a str, $($argument: $type),*) -> Stored<'a, $output> {
                Box::pin(SessionStore::$name(self, issuer, $($argument),*))
            })*
        }
    };
}

any_session_store! {
    fn subject(subject: &'a str) -> SubjectRead;
    fn create(new: NewSession<'a>) -> Created;
    fn read(id: SessionId) -> SessionRead;
    fn rotate(id: SessionId, from: SessionVersion, to: &'a Rotation) -> Swap;
    fn end(id: SessionId, reason: EndReason) -> bool;
    fn end_all(subject: &'a str, but: Option<SessionId>, reason: EndReason) -> EndedAll;
    fn list(subject: &'a str, after: Option<ListedAfter>, limit: usize) -> Vec<SessionRow>;
    fn ended(since: StoreTime, after: Option<EndedSession>, limit: usize) -> Vec<EndedSession>;
    fn raised(since: StoreTime, after: Option<&'a RaisedSubject>, limit: usize) -> Vec<RaisedSubject>;
    fn prune(before: StoreTime, after: Option<SessionId>, limit: usize) -> Option<SessionId>;
    fn erase(subject: &'a str, before: StoreTime) -> bool;
}

/// A [`TokenIssuer`] over whatever ring.
pub(super) trait AnyIssuer: Send + Sync {
    /// The time that it signs by.
    fn now(&self) -> Result<StoreTime, IssuerNotReady>;

    fn mint<'a>(
        &'a self,
        what: &'a AccessToken<Map<String, Value>>,
        times: TokenTimes,
    ) -> Boxed<'a, Result<Minted, MintError>>;
}

impl<S: RingStore> AnyIssuer for TokenIssuer<S> {
    fn now(&self) -> Result<StoreTime, IssuerNotReady> {
        Self::now(self)
    }

    fn mint<'a>(
        &'a self,
        what: &'a AccessToken<Map<String, Value>>,
        times: TokenTimes,
    ) -> Boxed<'a, Result<Minted, MintError>> {
        Box::pin(self.mint_within(what, times))
    }
}

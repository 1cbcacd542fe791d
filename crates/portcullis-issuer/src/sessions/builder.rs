//! What sessions are told, and what is refused.
use core::fmt;
use core::future::Future;
use core::time::Duration;
use std::sync::Arc;

use serde::Serialize;
use tokio::runtime::Handle;

use super::any::AnySessionStore;
use super::counts::Counts;
use super::error::{EndError, SessionsUnavailable};
use super::event::{Observers, SessionEvent};
use super::outbox::{Look, keep_up};
use super::question::{Answer, Question, Unanswered, boxed};
use super::session::Session;
use super::{Inner, Sessions};
use crate::debug_as_displayed::debug_as_displayed;
use crate::issuer::TokenIssuer;
use crate::refresh::{MAX_PREFIX, PREFIX, RefreshFormat, Rule};
use crate::session::{LifetimeFault, Lifetimes, SessionAuthenticator, SessionStore};
use crate::store::RingStore;

/// The retry window where nobody said otherwise: it carries a client whose requests take up to 6 s over a lost answer (see
/// `refresh::model`).
const WINDOW: RetryWindow = RetryWindow { window: Duration::from_secs(30), is_dangerous: false };

/// The longest retry window. In it, two who hold one token are not told apart.
const LONGEST_WINDOW: Duration = Duration::from_secs(60);

/// How many sessions a subject has at most, where nobody said otherwise: more devices than a person has, and few enough to
/// end one by one.
const MOST: usize = 50;

/// For how long the last token may be about besides its lifetime, the leeway and the clocks: what a request takes.
const MARGIN: Duration = Duration::from_secs(60);

/// Makes [`Sessions`]. What has no default is asked for in turn: store, lifetimes, and what to ask the application.
#[must_use]
pub struct SessionsBuilder<S, State> {
    issuer: TokenIssuer<S>,
    state: State,
}

/// The builder wants to know where sessions are kept.
#[derive(Debug)]
pub struct WantsSessionStore(());

/// The builder wants to know how long sessions last.
pub struct WantsSessionLifetimes(Box<dyn AnySessionStore>);

/// The builder wants to know whom to ask whether a subject may go on.
pub struct WantsQuestion(Box<dyn AnySessionStore>, Lifetimes);

/// For how long a refresh token is good for a retry: a [`Duration`], or by [`dangerous`](crate::dangerous) a [longer
/// one](crate::dangerous::long_retry_window).
///
/// ```compile_fail
/// # use std::time::Duration;
/// # use portcullis_issuer::RetryWindow;
/// let window = Duration::from_secs(60);
/// let any = RetryWindow { window, is_dangerous: true };
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct RetryWindow {
    pub(crate) window: Duration,
    /// It may be long beside the life of an access token.
    pub(crate) is_dangerous: bool,
}

impl From<Duration> for RetryWindow {
    fn from(window: Duration) -> Self {
        Self { window, is_dangerous: false }
    }
}

/// The builder knows all that has no default.
pub struct CompleteSessions {
    store: Box<dyn AnySessionStore>,
    lifetimes: Lifetimes,
    question: Box<Question>,
    window: RetryWindow,
    late: Option<Duration>,
    prefix: String,
    most: usize,
    observers: Observers,
}

impl fmt::Debug for WantsSessionLifetimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WantsSessionLifetimes").finish_non_exhaustive()
    }
}

impl fmt::Debug for WantsQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WantsQuestion").field(&self.1).finish_non_exhaustive()
    }
}

impl fmt::Debug for CompleteSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompleteSessions")
            .field("lifetimes", &self.lifetimes)
            .field("window", &self.window.window)
            .finish_non_exhaustive()
    }
}

impl<S, State: fmt::Debug> fmt::Debug for SessionsBuilder<S, State> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionsBuilder").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<S: RingStore> SessionsBuilder<S, WantsSessionStore> {
    pub(super) fn new(issuer: TokenIssuer<S>) -> Self {
        Self { issuer, state: WantsSessionStore(()) }
    }

    /// Where sessions are kept, for all instances of the issuer.
    pub fn store(self, store: impl SessionStore) -> SessionsBuilder<S, WantsSessionLifetimes> {
        let state = WantsSessionLifetimes(Box::new(store));
        SessionsBuilder { issuer: self.issuer, state }
    }
}

impl<S: RingStore> SessionsBuilder<S, WantsSessionLifetimes> {
    /// How long sessions last. Those that began go on by what held then.
    pub fn lifetimes(self, lifetimes: Lifetimes) -> SessionsBuilder<S, WantsQuestion> {
        let state = WantsQuestion(self.state.0, lifetimes);
        SessionsBuilder { issuer: self.issuer, state }
    }
}

impl<S: RingStore> SessionsBuilder<S, WantsQuestion> {
    /// Whether the subject of a session may go on, and what its access token says besides. Asked at every login and every
    /// refresh, so that a disabled account ends within the life of an access token; up to three times for one, where others
    /// refresh the session at the same time. It has 5 seconds.
    ///
    /// Where it cannot tell, the request is answered with 503, and the session goes on later.
    pub fn ask<C, Fut>(
        self,
        ask: impl Fn(Session) -> Fut + Send + Sync + 'static,
    ) -> SessionsBuilder<S, CompleteSessions>
    where
        C: Serialize,
        Fut: Future<Output = Result<Answer<C>, Unanswered>> + Send + 'static,
    {
        let WantsQuestion(store, lifetimes) = self.state;
        let state = CompleteSessions {
            store,
            lifetimes,
            question: boxed(ask),
            window: WINDOW,
            late: None,
            prefix: PREFIX.to_owned(),
            most: MOST,
            observers: Observers::default(),
        };
        SessionsBuilder { issuer: self.issuer, state }
    }
}

impl<S: RingStore> SessionsBuilder<S, CompleteSessions> {
    /// For how long a refresh token is good for a retry after it rotated: from 0 to 60 s, and at most a tenth of an access
    /// token's life, unless it is by [`dangerous::long_retry_window`](crate::dangerous::long_retry_window).
    ///
    /// An honest client is never refused if its requests take less than a fifth of the window: with two tabs or more, and an
    /// answer that is lost. Two who hold one token, and come further apart than the window, never both go on. Those who always
    /// come within it do, until the session ends: with a window of 30 s and access tokens of 15 min, one in 15 of those who hold
    /// a copy and come as often as the user. With 0, the second use of any token ends the session, and so does a second tab
    /// (OWASP ASVS 5.0, 10.4.5, to the letter).
    ///
    /// If you do not call it: 30 s.
    pub fn retry_window(mut self, window: impl Into<RetryWindow>) -> Self {
        self.state.window = window.into();
        self
    }

    /// Lets a client retry that comes back later than the window, up to `limit` after the rotation: one that lost the answer, and
    /// then its network. For native clients, which are alone with their session; not for browsers, whose tabs could displace
    /// each other.
    ///
    /// Its price: a refresh token that was used, and not the one after it, works for as long. Whoever comes with the one
    /// that was displaced ends the session.
    ///
    /// A session that is bound to a [key](crate::Login::bound_to) or a [certificate](crate::Login::bound_to_certificate) needs none of
    /// this: its client may come back for as long as it lasts, since nobody else has that.
    ///
    /// If you do not call it: who comes later than the window logs in again, unless the session is bound.
    pub fn late_retry(mut self, limit: Duration) -> Self {
        self.state.late = Some(limit);
        self
    }

    /// What refresh tokens begin with, so that scanners for leaked secrets know them as yours: up to 32 letters, digits, `_`
    /// and `-`. Tokens with another one stay good.
    ///
    /// If you do not call it: `pcl_rt_`.
    pub fn token_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.state.prefix = prefix.into();
        self
    }

    /// How many sessions a subject may have: a login beyond ends the oldest, for
    /// [`TooMany`](crate::EndReason::TooMany).
    ///
    /// If you do not call it: 50.
    pub fn sessions_per_subject(mut self, most: usize) -> Self {
        self.state.most = most;
        self
    }

    /// Tells `observer` what happens. Called again, all are told. It must not block: a request waits for it.
    ///
    /// If you do not call it: only `tracing` is told, which always is (feature `tracing`).
    pub fn on_event(mut self, observer: impl Fn(&SessionEvent) + Send + Sync + 'static) -> Self {
        self.state.observers.add(observer);
        self
    }

    /// Makes the sessions: revokes first what ended before, and tokens of which may be about.
    ///
    /// # Errors
    ///
    /// Every fault of what was said, at once; or the store cannot be asked.
    pub async fn build(self) -> Result<Sessions, SessionsBuildError> {
        let CompleteSessions { store, lifetimes, question, window, late, prefix, most, observers } =
            self.state;
        let RetryWindow { window, is_dangerous } = window;
        let keeper = self.issuer.keeper();
        let access = keeper.settings.lifetime;
        let schedule = &keeper.settings.schedule;
        let mut faults = Vec::new();
        if window > LONGEST_WINDOW {
            faults.push(SessionsFault::Window { window });
        }
        let mut unfit = lifetimes.faults(access, window);
        unfit.retain(|fault| !is_dangerous || !matches!(fault, LifetimeFault::Window { .. }));
        faults.extend(unfit.into_iter().map(SessionsFault::Lifetimes));
        if let Some(late) = late.filter(|late| *late <= window) {
            faults.push(SessionsFault::LateRetry { late, window });
        }
        let is_plain = |char: char| char.is_ascii_alphanumeric() || "_-".contains(char);
        if prefix.len() > MAX_PREFIX || !prefix.chars().all(is_plain) {
            faults.push(SessionsFault::Prefix);
        }
        if most == 0 {
            faults.push(SessionsFault::NoSessions);
        }
        let runtime = Handle::try_current().ok().filter(|_| !self.issuer.is_refreshed_by_hand());
        if runtime.is_none() && !self.issuer.is_refreshed_by_hand() {
            faults.push(SessionsFault::NoRuntime);
        }
        let revocations = keeper.revocations().cloned();
        if revocations.is_none() {
            faults.push(SessionsFault::NoRevocations);
        }
        let Some(revocations) = revocations.filter(|_| faults.is_empty()) else {
            return Err(SessionsBuildError::Faults(faults));
        };
        let skew = schedule.skew_allowed();
        // Instances with other settings issue longer ones.
        let held = keeper.held.load();
        let longest = held.iter().map(|ring| ring.longest_lifetime).fold(access, Duration::max);
        let issuer_id = self.issuer.id().to_owned();
        let keys = self.issuer.session_keys();
        let inner = Inner {
            format: RefreshFormat::new(&prefix, &keys.tokens),
            rows: SessionAuthenticator::new(&issuer_id, &keys.rows),
            issuer_id,
            store,
            question,
            // The answer to a retry is at most as long on its way as the window is.
            rule: Rule { window, young: 2 * window, late, skew },
            lifetimes,
            most,
            reach: longest + schedule.leeway_of_verifiers() + 2 * skew + MARGIN,
            revocations,
            observers,
            counts: Counts::default(),
            time: Arc::clone(&keeper.time),
            issuer: Box::new(self.issuer.clone()),
        };
        match inner.revoke_what_ended(Look::All).await {
            // It was read. The rest is tried again, and observers are told.
            Ok(()) | Err(EndError::NotRevoked(_)) => {}
            Err(EndError::Unavailable(error)) => {
                return Err(SessionsBuildError::Unavailable(error));
            }
        }
        let sessions = Sessions(Arc::new(inner));
        if let Some(runtime) = runtime {
            runtime.spawn(keep_up(Arc::downgrade(&sessions.0)));
        }
        Ok(sessions)
    }
}

/// There are no sessions.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum SessionsBuildError {
    /// The settings are wrong.
    Faults(Vec<SessionsFault>),
    /// The store cannot be asked. Where it is only away for a moment, try again.
    Unavailable(SessionsUnavailable),
}

impl fmt::Display for SessionsBuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faults(faults) => {
                f.write_str("the sessions are refused:")?;
                faults.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
            }
            Self::Unavailable(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SessionsBuildError {}

/// What is wrong with sessions that were described.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum SessionsFault {
    /// The retry window is longer than 60 s.
    Window {
        /// How long it is.
        window: Duration,
    },
    /// Lifetimes do not hold together.
    Lifetimes(LifetimeFault),
    /// A late retry comes no later than any.
    LateRetry {
        /// How late it may come.
        late: Duration,
        /// The retry window.
        window: Duration,
    },
    /// Refresh tokens cannot begin with this.
    Prefix,
    /// A subject could have no session.
    NoSessions,
    /// Nothing would revoke what other processes ended.
    NoRuntime,
    /// Access tokens would go on where their session ended.
    NoRevocations,
}

impl fmt::Display for SessionsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window { window } => write!(
                f,
                "a retry window of {window:?}: at most {LONGEST_WINDOW:?} is accepted, since two who hold one session are not told apart in it"
            ),
            Self::Lifetimes(fault) => fault.fmt(f),
            Self::LateRetry { late, window } => write!(
                f,
                "a late retry up to {late:?} after the rotation, and the retry window is {window:?}: say more than that, or leave it out"
            ),
            Self::Prefix => write!(
                f,
                "the prefix of refresh tokens is too long or has another character: up to {MAX_PREFIX} letters, digits, `_` and `-` are accepted"
            ),
            Self::NoSessions => f.write_str("a subject may have no session: say at least 1"),
            Self::NoRuntime => f.write_str(
                "there is no tokio runtime that could look for what ended in the background: build the sessions inside of one, or have the issuer be `refreshed_by_hand` and call `catch_up` each second",
            ),
            Self::NoRevocations => f.write_str(
                "the issuer has no list of revocations, so that access tokens would go on after a logout: build it with `.revocations(Revocations::in_memory())`, or with the list that a fleet shares",
            ),
        }
    }
}

impl core::error::Error for SessionsFault {}

debug_as_displayed!(SessionsBuildError, SessionsFault);

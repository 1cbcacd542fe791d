//! Sessions: how they begin, go on, and end, and in which order each step is taken.
mod any;
mod builder;
mod counts;
mod error;
mod event;
mod login;
mod outbox;
mod question;
mod refresh;
mod session;

use core::fmt;
use core::future::Future;
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use portcullis::dpop::{DpopError, GoodProof, ReplaysUnavailable, Spent};
use portcullis::revocation::EnforcedRevocations;
use portcullis::{Revocable, Revocations, UnixTime};

use self::any::{AnyIssuer, AnySessionStore};
pub use self::builder::{
    CompleteSessions, RetryWindow, SessionsBuildError, SessionsBuilder, SessionsFault,
    WantsQuestion, WantsSessionLifetimes, WantsSessionStore,
};
use self::counts::Counts;
pub use self::error::{BeginError, EndError, RefreshError, RefreshRefusal, SessionsUnavailable};
use self::event::Observers;
pub use self::event::SessionEvent;
pub use self::login::{Begun, Login, LoginAttempt};
use self::outbox::Look;
pub use self::question::{Answer, Unanswered};
use self::question::{Answered, Question};
use self::refresh::within_limit;
pub use self::refresh::{RefreshRequest, Refreshed};
pub use self::session::Session;
use crate::issuer::TokenIssuer;
use crate::machine::MachineTime;
use crate::refresh::{RefreshFormat, RefreshSecret, Rule};
use crate::session::{
    Binding, Created, EndReason, EndedAll, Lifetimes, ListedAfter, NewSession,
    SessionAuthenticator, SessionDetails, SessionId, SessionRow, SessionVersion,
};
use crate::store::{RingStore, StoreError};
use crate::time::StoreTime;
use crate::token::{AccessToken, MintError, Minted, TokenTimes, check_text};
use crate::within::within;

/// The longest that a store may take, and that what it said is gone by. A request waits for it.
const SLOW: Duration = Duration::from_secs(10);

/// The longest that the application may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The longest that a login may take, from the attempt to its session.
const LOGIN_LIMIT: Duration = Duration::from_secs(10 * 60);

/// The most sessions on a page of a list.
const MAX_PAGE: usize = 100;

/// Sessions of users who logged in: short access tokens, and refresh tokens that rotate.
///
/// - **A session goes on as long as its refresh token is current.** Each is used once, in effect: it rotates, and what was
///   rotated away ends the session, since two hold it then. Several tabs, and an answer that was lost, are not taken for a
///   thief: see [`retry_window`](SessionsBuilder::retry_window).
/// - **Nothing is consumed before everything else has succeeded.** Where the store, the application, the signer or the list
///   of revocations is away, the same refresh token is right later.
/// - **A session may be bound to a key** of its client, which then shows with each request that it has it (DPoP, RFC 9449): see
///   [`Login::bound_to`]. For who has a copy of its tokens and not the key, it neither goes on nor ends; to log out takes no key.
///   The same goes for a certificate of its client (mutual TLS, RFC 8705): see [`Login::bound_to_certificate`].
/// - **To end a session is one direction.** Once [`end`](Self::end) has returned, no token of it is issued, and what was
///   issued is refused by policies that enforce the list of revocations.
///
/// ```
/// use std::time::Duration;
///
/// use portcullis::{Algorithm, Encoding, Revocations, Secret};
/// use portcullis_issuer::session::MemorySessions;
/// use portcullis_issuer::store::MemoryRing;
/// use portcullis_issuer::{
///     Answer, EndReason, Lifetimes, RefreshRequest, Sessions, TokenIssuer,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let text = "b4Yq0YHhV0cW8g2mJm7Xn1dKzR5sT9uLpE3fQaC6iwo";
/// let issuer = TokenIssuer::builder("https://id.example")
///     .algorithm(Algorithm::ES256)
///     .audiences(["https://orders.example"])
///     .lifetime(Duration::from_secs(15 * 60))
///     .root_secrets([Secret::encoded(text, Encoding::Base64url)])
///     .ring(MemoryRing::new())
///     .revocations(Revocations::in_memory()) // in a fleet: over Redis
///     .build()
///     .await?;
/// let sessions = Sessions::builder(&issuer)
///     .store(MemorySessions::new()) // in production, a store that is kept
///     .lifetimes(Lifetimes::aal1())
///     // Is the account of `session.subject()` still active?
///     .ask(async |_session| Ok(Answer::go_on()))
///     .build()
///     .await?;
///
/// let attempt = sessions.attempt("alice").await?;
/// // Look at the password here.
/// let begun = sessions.begin(attempt.succeeded("web")).await?;
///
/// // A quarter of an hour later.
/// let request = RefreshRequest::new(begun.refresh.as_str(), "web");
/// let refreshed = sessions.refresh(&request).await?;
/// assert_eq!(refreshed.session.id(), begun.session.id());
///
/// // An API refuses the token once the session has ended.
/// let policy =
///     issuer.policy_builder().revocations(sessions.enforced()).build()?;
/// sessions.end(begun.session.id(), EndReason::SignedOut).await?;
/// assert!(policy.verify_token(&refreshed.access.token).await.is_err());
/// # Ok(()) }
/// ```
///
/// Clones are the same sessions.
#[derive(Clone)]
pub struct Sessions(Arc<Inner>);

struct Inner {
    issuer_id: String,
    issuer: Box<dyn AnyIssuer>,
    store: Box<dyn AnySessionStore>,
    question: Box<Question>,
    format: RefreshFormat,
    rows: SessionAuthenticator,
    rule: Rule,
    lifetimes: Lifetimes,
    /// How many sessions a subject may have.
    most: usize,
    /// For how long a token may be about that was issued for a session that ended, and a little more.
    reach: Duration,
    revocations: Revocations,
    observers: Observers,
    counts: Counts,
    time: Arc<dyn MachineTime>,
}

/// A login whose session is made, and not kept yet: see [`Sessions::prepare`]. `Debug` does not show it.
#[must_use]
pub struct PreparedLogin {
    row: SessionRow,
    replaces: Option<SessionId>,
    most: usize,
    begun: Begun,
}

impl PreparedLogin {
    /// What a store is to keep.
    pub fn new_session(&self) -> NewSession<'_> {
        NewSession { row: &self.row, replaces: self.replaces, most: self.most }
    }
}

impl fmt::Debug for PreparedLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedLogin").finish_non_exhaustive()
    }
}

impl Sessions {
    /// Starts sessions of this issuer: with its access tokens, its root secrets and its
    /// [list of revocations](crate::TokenIssuerBuilder::revocations), which it must have.
    pub fn builder<S: RingStore>(issuer: &TokenIssuer<S>) -> SessionsBuilder<S, WantsSessionStore> {
        SessionsBuilder::new(issuer.clone())
    }

    /// Says that somebody is about to log in as `subject`. Call it **before** the password is looked at: if the subject is
    /// logged out everywhere meanwhile, as for a new password, a login with the old one does not begin.
    ///
    /// Nothing is kept of it.
    ///
    /// # Errors
    ///
    /// The subject is empty, has more than 1024 bytes or a NUL, or the store cannot be asked.
    pub async fn attempt(&self, subject: impl Into<String>) -> Result<LoginAttempt, BeginError> {
        self.0.attempt(subject.into()).await
    }

    /// Begins a session.
    ///
    /// # Errors
    ///
    /// The subject was logged out everywhere since the attempt, may not log in, or something is away: see [`BeginError`].
    pub async fn begin(&self, login: Login) -> Result<Begun, BeginError> {
        let prepared = self.prepare(login).await?;
        let store = &self.0.store;
        let created =
            self.0.stored(store.create(&self.0.issuer_id, prepared.new_session())).await?;
        self.finish(prepared, created).await
    }

    /// The first half of [`begin`](Self::begin), for who keeps the session in a transaction of their own, as one that looks at
    /// the password or makes the account: have the store create [what it is](PreparedLogin::new_session), commit, and then
    /// [`finish`](Self::finish).
    ///
    /// # Errors
    ///
    /// Those of `begin`.
    pub async fn prepare(&self, login: Login) -> Result<PreparedLogin, BeginError> {
        self.0.prepare(login).await
    }

    /// The second half: what the store said when the session was kept.
    ///
    /// # Errors
    ///
    /// The subject was logged out everywhere since the attempt.
    pub async fn finish(
        &self,
        prepared: PreparedLogin,
        created: Created,
    ) -> Result<Begun, BeginError> {
        match created {
            Created::Outdated => Err(BeginError::LoggedOut),
            Created::Done { ended } => {
                for session in ended {
                    let reason = if Some(session) == prepared.replaces {
                        EndReason::NewLogin
                    } else {
                        EndReason::TooMany
                    };
                    self.0.tell_ended(reason, &SessionEvent::Ended { session, reason });
                    // What fails is tried again in the background, and is no fault of this login.
                    let _ = self.0.revoke_session(session).await;
                }
                self.0.counts.begun.fetch_add(1, Ordering::Relaxed);
                #[cfg(feature = "tracing")]
                tracing::debug!("the session {} began", prepared.begun.session.id());
                Ok(prepared.begun)
            }
        }
    }

    /// Goes on with a session, by its refresh token.
    ///
    /// # Errors
    ///
    /// The token is refused, or something is away: see [`RefreshError`].
    pub async fn refresh(&self, request: &RefreshRequest<'_>) -> Result<Refreshed, RefreshError> {
        self.0.refresh(request).await
    }

    /// The session that a refresh token goes on with, without going on: nothing is issued, the application is not asked, and
    /// the same token is right later. Who sends it holds the session now, which an access token does not show.
    ///
    /// A token that was rotated away ends its session, as by [`refresh`](Self::refresh).
    ///
    /// # Errors
    ///
    /// The token is refused, or something is away: see [`RefreshError`].
    pub async fn session_of(&self, request: &RefreshRequest<'_>) -> Result<Session, RefreshError> {
        self.0.session_of(request).await
    }

    /// Ends a session. Whether it was there, and not ended before.
    ///
    /// # Errors
    ///
    /// Something is away: say it again, it may have been done. Or it ended, and its access tokens are not revoked yet:
    /// [`EndError::NotRevoked`].
    pub async fn end(&self, id: SessionId, reason: EndReason) -> Result<bool, EndError> {
        self.0.end(id, reason).await
    }

    /// Ends the session of a refresh token, as its user signs out: of any that was ever written for it, since who signs out
    /// with an old one shall not stay signed in. A token that is not ours, or of another client (RFC 7009 §2.1), ends
    /// nothing, and is no error. Nor is a [proof](RefreshRequest::proof) or a certificate needed where the session is bound to one: to
    /// end one is the safe direction, and whoever finds a token of it may do that.
    ///
    /// # Errors
    ///
    /// Those of [`end`](Self::end).
    pub async fn sign_out(&self, request: &RefreshRequest<'_>) -> Result<(), EndError> {
        self.0.sign_out(request).await
    }

    /// Ends a session of this subject, as its user signs out another device. Whether it was there, and nothing had ended it
    /// before.
    ///
    /// # Errors
    ///
    /// Those of [`end`](Self::end).
    pub async fn end_of(&self, subject: &str, id: SessionId) -> Result<bool, EndError> {
        let read = self.0.stored(self.0.store.read(&self.0.issuer_id, id)).await?;
        match read.row {
            Some(row) if row.subject == subject => {
                self.0.end(id, EndReason::SignedOutElsewhere).await
            }
            Some(_) | None => Ok(false),
        }
    }

    /// Logs a subject out everywhere, or everywhere but here: ends its sessions, and raises its version, which its access tokens
    /// name. How many sessions ended.
    ///
    /// The access token of the session that is spared is refused as well, by policies that enforce
    /// [`Revocable::Version`](portcullis::Revocable::Version). Refresh it in the same answer, or let its page do so. A
    /// [layer that refreshes](crate::routes::SilentRefresh) does it with the next page.
    ///
    /// # Errors
    ///
    /// Those of [`end`](Self::end).
    pub async fn end_all(
        &self,
        subject: &str,
        but: Option<SessionId>,
        reason: EndReason,
    ) -> Result<usize, EndError> {
        let ended = self.0.store.end_all(&self.0.issuer_id, subject, but, reason);
        let ended = self.0.stored(ended).await?;
        self.revoke_ended(subject, reason, &ended).await?;
        Ok(ended.sessions.len())
    }

    /// Revokes what a store ended in a transaction of your own, such as the one that changes the password. Call it once that is
    /// committed. A second later, it is done without.
    ///
    /// # Errors
    ///
    /// The access tokens are not revoked yet, which is tried again.
    pub async fn revoke_ended(
        &self,
        subject: &str,
        reason: EndReason,
        ended: &EndedAll,
    ) -> Result<(), EndError> {
        for session in ended.sessions.iter().copied() {
            self.0.tell_ended(reason, &SessionEvent::Ended { session, reason });
        }
        self.0.revoke_version(subject, ended.version).await?;
        for session in &ended.sessions {
            self.0.revoke_session(*session).await?;
        }
        Ok(())
    }

    /// The sessions of a subject that are not over, the newest first: a page of at most 100, after this one.
    ///
    /// A session that was not written with any of the root secrets is left out: nobody goes on with it.
    ///
    /// # Errors
    ///
    /// The store cannot be asked.
    pub async fn list(
        &self,
        subject: &str,
        after: Option<ListedAfter>,
        limit: usize,
    ) -> Result<Vec<Session>, SessionsUnavailable> {
        let (limit, mut after) = (limit.min(MAX_PAGE), after);
        let mut sessions = Vec::new();
        loop {
            let wanted = limit - sessions.len();
            let rows = self.0.store.list(&self.0.issuer_id, subject, after, wanted);
            let rows = self.0.stored(rows).await?;
            sessions.extend(rows.iter().filter_map(|row| self.0.own(row)));
            let last = rows.last().filter(|_| rows.len() == wanted && sessions.len() < limit);
            let Some(last) = last else { return Ok(sessions) };
            after = Some(ListedAfter { created_at: last.created_at, id: last.id });
        }
    }

    /// Logs a subject out everywhere, and deletes what is kept of it and no longer needed. Whether nothing is left.
    ///
    /// What just ended stays until the last access token is over, some 18 minutes by the usual lifetimes: other processes
    /// learn of it from the store, and a login under way does not begin. Call it again then.
    ///
    /// # Errors
    ///
    /// Those of [`end`](Self::end). Nothing was deleted then.
    pub async fn erase(&self, subject: &str) -> Result<bool, EndError> {
        self.0.check_store_clock().await?;
        let before = self.0.time.wall().before(self.0.reach.max(LOGIN_LIMIT) + self.0.rule.skew);
        if self.0.stored(self.0.store.erase(&self.0.issuer_id, subject, before)).await? {
            return Ok(true);
        }
        // Again and again, it would never be long ago.
        let read = self.0.stored(self.0.store.subject(&self.0.issuer_id, subject)).await?;
        let live = self.0.stored(self.0.store.list(&self.0.issuer_id, subject, None, 1)).await?;
        if read.version == 0 || !live.is_empty() {
            self.end_all(subject, None, EndReason::AccountDisabled).await?;
        }
        Ok(false)
    }

    /// Revokes what ended, whoever ended it, and deletes what has been over for a day. It is done by itself, each second, unless
    /// the issuer is [refreshed by hand](crate::TokenIssuerBuilder::refreshed_by_hand).
    ///
    /// # Errors
    ///
    /// Something is away. It goes on there the next time.
    pub async fn catch_up(&self) -> Result<(), EndError> {
        self.0.revoke_what_ended(Look::All).await?;
        self.0.prune().await?;
        Ok(())
    }

    /// Whether the list of revocations names what an access token says of itself, whoever wrote that.
    pub(crate) fn names(&self, session: Option<&str>, version: Option<(&str, u64)>) -> bool {
        session.is_some_and(|session| self.0.is_revoked(session.to_owned()))
            || version.is_some_and(|(subject, version)| self.0.is_outdated(subject, version))
    }

    /// Whether a text is a refresh token that this installation wrote. The store is not asked.
    pub(crate) fn wrote(&self, token: &str) -> bool {
        self.0.format.read(token).is_ok()
    }

    /// The machine's clock.
    pub(crate) fn wall(&self) -> UnixTime {
        self.0.time.wall().as_unix()
    }

    /// What a policy asks of the list of revocations, so that it refuses the access tokens of sessions that ended, of subjects
    /// that were logged out everywhere, and of signing keys that were withdrawn: for
    /// [`PolicyBuilder::revocations`](portcullis::PolicyBuilder::revocations). Without it, access tokens go on until they expire.
    ///
    /// A token of a service has no session. Name such clients, by
    /// [`service_clients`](EnforcedRevocations::service_clients).
    pub fn enforced(&self) -> EnforcedRevocations {
        let kinds = [Revocable::Session, Revocable::Version, Revocable::Key];
        self.0.revocations.enforce(kinds).version_claims(["subject_version"])
    }

    /// The identifier of their issuer (`iss`).
    pub fn issuer(&self) -> &str {
        &self.0.issuer_id
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("issuer", &self.0.issuer_id)
            .field("lifetimes", &self.0.lifetimes)
            .finish_non_exhaustive()
    }
}

/// A session as it was just read.
struct ReadSession {
    row: Option<SessionRow>,
    subject_version: u64,
    /// The store's clock.
    now: StoreTime,
    /// The machine's time when the store was asked.
    elapsed: Duration,
}

impl Inner {
    /// What the store says, if it answers in time.
    async fn stored<T>(
        &self,
        asked: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, SessionsUnavailable> {
        let stored = within(SLOW, asked, StoreError::late).await;
        stored.map_err(|error| self.away(error.into()))
    }

    /// Tells that something is away.
    fn away(&self, error: SessionsUnavailable) -> SessionsUnavailable {
        self.counts.unavailable(&error);
        self.observers.tell_failed(&error);
        error
    }

    /// Tells that a session ended here.
    fn tell_ended(&self, reason: EndReason, event: &SessionEvent) {
        self.counts.ended(reason);
        self.observers.notify(event);
    }

    /// Whether the store's clock is that of the issuer, which signs by it, since the machine's time was `elapsed`.
    fn check_clock(&self, now: StoreTime, elapsed: Duration) -> Result<(), SessionsUnavailable> {
        let issuer = self.issuer.now().map_err(|error| self.away(error.into()))?;
        let took = self.time.elapsed().saturating_sub(elapsed);
        let off = now.since(issuer).max(issuer.before(took).since(now));
        let skew = self.rule.skew;
        if off > skew {
            return Err(self.away(SessionsUnavailable::Clock { off, skew }));
        }
        Ok(())
    }

    /// Whether the store's clock is the machine's, by which something is about to be deleted, or taken for all that ended.
    async fn check_store_clock(&self) -> Result<(), SessionsUnavailable> {
        let before = self.time.wall();
        // Nobody's: for its clock.
        let now = self.stored(self.store.subject(&self.issuer_id, "")).await?.now;
        let off = now.since(self.time.wall()).max(before.since(now));
        let skew = self.rule.skew;
        if off > skew {
            return Err(self.away(SessionsUnavailable::Clock { off, skew }));
        }
        Ok(())
    }

    /// What was read at this time is still new enough to answer by.
    fn check_age(&self, elapsed: Duration) -> Result<(), SessionsUnavailable> {
        let took = self.time.elapsed().saturating_sub(elapsed);
        if took > SLOW { Err(self.away(SessionsUnavailable::Slow { took })) } else { Ok(()) }
    }

    async fn read(&self, id: SessionId) -> Result<ReadSession, SessionsUnavailable> {
        let elapsed = self.time.elapsed();
        let read = self.stored(self.store.read(&self.issuer_id, id)).await?;
        self.check_age(elapsed)?;
        self.check_clock(read.now, elapsed)?;
        let (row, subject_version) = (read.row, read.subject_version);
        Ok(ReadSession { row, subject_version, now: read.now, elapsed })
    }

    /// A session that this crate wrote, and nobody else.
    fn own(&self, row: &SessionRow) -> Option<Session> {
        Session::of(row).filter(|_| self.rows.is_authentic(row))
    }

    /// The same, of a session that somebody wants to go on with.
    fn known(&self, row: &SessionRow) -> Result<Session, SessionsUnavailable> {
        self.own(row).ok_or_else(|| self.away(SessionsUnavailable::Foreign))
    }

    async fn attempt(&self, subject: String) -> Result<LoginAttempt, BeginError> {
        check_text("sub", &subject)?;
        let elapsed = self.time.elapsed();
        let read = self.stored(self.store.subject(&self.issuer_id, &subject)).await?;
        self.check_age(elapsed)?;
        self.check_clock(read.now, elapsed)?;
        let mut subject_version = read.version;
        if self.is_outdated(&subject, subject_version) {
            // The store lost what was raised: no token of this version would pass.
            let ended = self.store.end_all(&self.issuer_id, &subject, None, EndReason::Revoked);
            subject_version = self.stored(ended).await?.version;
        }
        Ok(LoginAttempt { subject, subject_version, now: read.now, elapsed })
    }

    /// Whether the list of revocations names a higher version.
    fn is_outdated(&self, subject: &str, version: u64) -> bool {
        let needed = self.revocations.version_needed(&self.issuer_id, subject);
        needed.is_some_and(|needed| version < needed)
    }

    async fn prepare(&self, login: Login) -> Result<PreparedLogin, BeginError> {
        let Login { attempt, client, is_remembered, .. } = login;
        let age = self.time.elapsed().saturating_sub(attempt.elapsed);
        if age > LOGIN_LIMIT {
            return Err(BeginError::TooOld);
        }
        let now = attempt.now.after(age);
        let lifetime =
            if is_remembered { self.lifetimes.remembered } else { self.lifetimes.passing };
        let details = SessionDetails {
            authenticated_at: login.authenticated_at.unwrap_or(now.as_unix()).0,
            idle: u64::try_from(lifetime.idle.as_millis()).unwrap_or(u64::MAX),
            is_remembered,
            acr: login.acr,
            amr: login.amr,
            scopes: login.scopes,
            label: login.label,
        };
        let binding = Binding::shown(login.proof.as_ref(), login.certificate.as_ref());
        let unavailable = SessionsUnavailable::from;
        let secret = RefreshSecret::random().map_err(unavailable)?;
        let ends_at = now.after(lifetime.end);
        let mut row = SessionRow {
            id: SessionId::random().map_err(unavailable)?,
            subject: attempt.subject,
            client,
            created_at: now,
            ends_at,
            details: serde_json::to_string(&details).map_err(|_| MintError::NotAnObject)?,
            binding: binding.to_row(),
            mac: Vec::new(),
            subject_version: attempt.subject_version,
            version: SessionVersion(1),
            generation: 0,
            current_hash: secret.hash(),
            previous: None,
            rotated_at: now,
            idle_until: now.after(lifetime.idle).min(ends_at),
            ended: None,
        };
        row.mac = self.rows.mac(&row);
        let session = self.known(&row)?;
        let access = match self.answer(&session).await? {
            Answered::End(reason) => return Err(BeginError::Refused(reason)),
            Answered::Fault(error) => return Err(error.into()),
            Answered::GoOn(claims) => {
                let version = row.subject_version;
                let access = self.mint(&session, version, session.scopes(), claims, now).await;
                access.and_then(|access| within_limit(access, login.token_limit))?
            }
        };
        // Last: everything else has succeeded.
        if let Some(proof) = &login.proof
            && !self.spend(proof, &row.subject).await?
        {
            return Err(BeginError::Proof(DpopError::Replayed));
        }
        let next_nonce = login.proof.as_ref().and_then(GoodProof::next_nonce).map(Into::into);
        let replaced = login.replaces.and_then(|token| self.format.read(&token).ok());
        let replaces = replaced.map(|token| token.session);
        let refresh = self.format.write(row.id, row.generation, &secret);
        let begun = Begun { access, refresh, session, next_nonce };
        Ok(PreparedLogin { row, replaces, most: self.most, begun })
    }

    /// Uses a proof up, in the share of this subject: whether nobody used it before.
    async fn spend(&self, proof: &GoodProof, subject: &str) -> Result<bool, SessionsUnavailable> {
        let told = match proof.spend(&self.issuer_id, subject, self.time.wall().as_unix()) {
            Spent::Fresh => Ok(true),
            Spent::Seen => Ok(false),
            Spent::Unavailable(error) => Err(error),
            Spent::Later(answer) => {
                within(ANSWER_LIMIT, answer, |_| ReplaysUnavailable::default()).await
            }
            // What a later release of the core may say is not a yes.
            _ => Err(ReplaysUnavailable::default()),
        };
        told.map_err(|error| self.away(SessionsUnavailable::Replays(error)))
    }

    /// Asks the application.
    async fn answer(&self, session: &Session) -> Result<Answered, SessionsUnavailable> {
        let late = |limit: Duration| Unanswered::new(format!("it did not answer within {limit:?}"));
        let answered = within(ANSWER_LIMIT, (self.question)(session.clone()), late).await;
        answered.map_err(|error| self.away(error.into()))
    }

    /// Issues an access token of a session, by what was true at `now`.
    async fn mint(
        &self,
        session: &Session,
        subject_version: u64,
        scopes: &[String],
        claims: serde_json::Map<String, serde_json::Value>,
        now: StoreTime,
    ) -> Result<Minted, MintError> {
        let mut token = AccessToken::of_user(session.subject(), session.client())
            .session(session.id().to_string())
            .subject_version(subject_version)
            .authenticated_at(session.authenticated_at())
            .amr(session.amr())
            .scopes(scopes);
        if let Some(acr) = session.acr() {
            token = token.acr(acr);
        }
        if let Some(thumbprint) = session.key_thumbprint() {
            token = token.bound_to_key(thumbprint);
        }
        if let Some(thumbprint) = session.certificate_thumbprint() {
            token = token.bound_to_certificate_of(thumbprint);
        }
        let over_by = Some(session.ends_at().as_unix());
        let times = TokenTimes { issued_by: Some(now.as_unix()), over_by };
        let minted = self.issuer.mint(&token.claims(claims), times).await;
        minted.inspect_err(|error| {
            if error.is_unavailable() {
                self.away(error.clone().into());
            }
        })
    }

    async fn end(&self, id: SessionId, reason: EndReason) -> Result<bool, EndError> {
        let event = SessionEvent::Ended { session: id, reason };
        let is_ended = self.end_in_store(id, reason, &event).await?;
        // Also where another ended it, who may have been stopped between the two.
        self.revoke_session(id).await?;
        Ok(is_ended)
    }

    /// Ends a session in the store, and tells of it. Whether it was not ended before.
    async fn end_in_store(
        &self,
        id: SessionId,
        reason: EndReason,
        event: &SessionEvent,
    ) -> Result<bool, SessionsUnavailable> {
        let is_ended = self.stored(self.store.end(&self.issuer_id, id, reason)).await?;
        if is_ended {
            self.tell_ended(reason, event);
        }
        Ok(is_ended)
    }

    async fn sign_out(&self, request: &RefreshRequest<'_>) -> Result<(), EndError> {
        let Ok(presented) = self.format.read(request.token) else { return Ok(()) };
        // Whether or not a token could be issued now.
        let read = self.stored(self.store.read(&self.issuer_id, presented.session)).await?;
        if read.row.is_some_and(|row| row.client == request.client) {
            self.end(presented.session, EndReason::SignedOut).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

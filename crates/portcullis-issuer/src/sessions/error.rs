//! Why a session does not begin, go on, or end.
use core::fmt;
use core::time::Duration;

use portcullis::dpop::{DpopError, ReplaysUnavailable};
use portcullis::revocation::RevokeError;

use super::question::Unanswered;
use crate::debug_as_displayed::debug_as_displayed;
use crate::keeper::IssuerNotReady;
use crate::key::KeyError;
use crate::refresh::NotHeard;
use crate::session::EndReason;
use crate::store::StoreError;
use crate::token::MintError;

/// Something that sessions need is away, or wrong: a 503. Nothing was consumed, and the same request is right later.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum SessionsUnavailable {
    /// The store cannot be asked.
    Store(StoreError),
    /// What was read is too old by now to answer by.
    Slow {
        /// How long ago it was read.
        took: Duration,
    },
    /// The store's clock is not that of the issuer.
    Clock {
        /// By how much they differ.
        off: Duration,
        /// How much is allowed.
        skew: Duration,
    },
    /// What stands in the store of the session was not written with any of the root secrets, or not by this crate.
    Foreign,
    /// Others changed the session again and again.
    Contended,
    /// The application did not say whether the subject may go on.
    Unanswered(Unanswered),
    /// No access token can be issued.
    Issuer(MintError),
    /// Whether a proof was used cannot be told.
    Replays(ReplaysUnavailable),
}

impl SessionsUnavailable {
    /// All that [`reason`](Self::reason) says.
    pub const REASONS: [&'static str; 8] =
        ["store", "slow", "clock", "foreign", "contended", "unanswered", "issuer", "replays"];

    /// What is away, in metrics: lower case.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Store(_) => "store",
            Self::Slow { .. } => "slow",
            Self::Clock { .. } => "clock",
            Self::Foreign => "foreign",
            Self::Contended => "contended",
            Self::Unanswered(_) => "unanswered",
            Self::Issuer(_) => "issuer",
            Self::Replays(_) => "replays",
        }
    }
}

impl fmt::Display for SessionsUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => write!(f, "the store of sessions: {error}"),
            Self::Slow { took } => write!(
                f,
                "what the store said is {took:?} old: look at what takes so long, the store, the application's answer or the signer"
            ),
            Self::Clock { off, skew } => write!(
                f,
                "the clock of the sessions' store differs from that of the issuer by {off:?}, and {skew:?} is allowed: set the clocks"
            ),
            Self::Foreign => f.write_str(
                "the session's row was not written with any of the root secrets: list the one that it was written with, or find out who else writes to the store",
            ),
            Self::Contended => f.write_str("others changed the session again and again"),
            Self::Unanswered(error) => error.fmt(f),
            Self::Issuer(error) => error.fmt(f),
            Self::Replays(_) => f.write_str(
                "whether a proof of a key was used cannot be told: see how the store of used proofs does, and whether it is full",
            ),
        }
    }
}

impl core::error::Error for SessionsUnavailable {}

impl From<StoreError> for SessionsUnavailable {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Unanswered> for SessionsUnavailable {
    fn from(error: Unanswered) -> Self {
        Self::Unanswered(error)
    }
}

impl From<MintError> for SessionsUnavailable {
    fn from(error: MintError) -> Self {
        Self::Issuer(error)
    }
}

impl From<IssuerNotReady> for SessionsUnavailable {
    fn from(error: IssuerNotReady) -> Self {
        Self::Issuer(error.into())
    }
}

impl From<KeyError> for SessionsUnavailable {
    fn from(error: KeyError) -> Self {
        Self::Issuer(error.into())
    }
}

/// Why a session did not begin.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum BeginError {
    /// The subject was logged out everywhere since the [attempt](super::Sessions::attempt), perhaps for another password: log
    /// in again.
    LoggedOut,
    /// The attempt is older than ten minutes: log in again.
    TooOld,
    /// The application says that the subject may not go on.
    Refused(EndReason),
    /// The proof of the key that the session was to be bound to is not good for that: it was used before, say. A 400.
    Proof(DpopError),
    /// What is said of the login cannot stand in a token.
    Token(MintError),
    /// Something is away: a 503. The session may have begun all the same, and nobody has its tokens.
    Unavailable(SessionsUnavailable),
}

impl fmt::Display for BeginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoggedOut => f.write_str(
                "the subject was logged out everywhere while it logged in: have it log in again",
            ),
            Self::TooOld => f.write_str(
                "the login took more than ten minutes: call `attempt` when the password arrives, not when its page is shown",
            ),
            Self::Refused(reason) => write!(f, "the subject may not log in: {reason}"),
            Self::Proof(error) => error.fmt(f),
            Self::Token(error) => error.fmt(f),
            Self::Unavailable(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for BeginError {}

/// Why a refresh token is refused. Whoever sent it is told nothing of this.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RefreshRefusal {
    /// It is not a refresh token that was written with any of the root secrets.
    NotOurs,
    /// Its session is not there: it was over long ago, or its subject was erased.
    Unknown,
    /// Its session is of another client.
    Client,
    /// Its session is bound to a key, and nobody showed that they have one.
    Bound,
    /// Its session is bound to another key than that of the proof, or in a way that only a later release knows.
    OtherKey,
    /// Its session is bound to no key, and a proof of one came along, or is [asked for](super::RefreshRequest::bound_only).
    Unbound,
    /// Its session is bound to a certificate, and the client presented none, or nobody looked.
    CertificateMissing,
    /// Its session is bound to another certificate than the client presented.
    OtherCertificate,
    /// Its session is bound to no certificate, which is [asked for](super::RefreshRequest::certificate_bound_only).
    CertificateUnbound,
    /// The proof that came along was used before, or may have been.
    ProofReplayed,
    /// Its session was ended, just now or before.
    Ended(EndReason),
    /// Nobody came back to its session for too long.
    Idle,
    /// The time of its session is over.
    Expired,
}

impl RefreshRefusal {
    /// All that [`kind`](Self::kind) says.
    pub const NAMES: [&'static str; 13] = [
        "not_ours",
        "unknown",
        "client",
        "bound",
        "other_key",
        "unbound",
        "certificate_missing",
        "other_certificate",
        "certificate_unbound",
        "proof_replayed",
        "ended",
        "idle",
        "expired",
    ];

    /// Its name in metrics, whatever a session ended for: lower case, with underscores.
    pub fn kind(self) -> &'static str {
        match self {
            Self::NotOurs => "not_ours",
            Self::Unknown => "unknown",
            Self::Client => "client",
            Self::Bound => "bound",
            Self::OtherKey => "other_key",
            Self::Unbound => "unbound",
            Self::CertificateMissing => "certificate_missing",
            Self::OtherCertificate => "other_certificate",
            Self::CertificateUnbound => "certificate_unbound",
            Self::ProofReplayed => "proof_replayed",
            Self::Ended(_) => "ended",
            Self::Idle => "idle",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for RefreshRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs => f.write_str("it is not a refresh token of this issuer"),
            Self::Unknown => f.write_str("its session is not there"),
            Self::Client => f.write_str("its session is of another client"),
            Self::Bound => f.write_str("its session is bound to a key, and no proof of one came along"),
            Self::OtherKey => f.write_str("its session is bound to another key than that of the proof, or in a way that only a later release knows"),
            Self::Unbound => f.write_str(
                "its session is bound to no key, and a proof of one came along or is asked for: the client has to log in with a proof",
            ),
            Self::CertificateMissing => f.write_str(
                "its session is bound to a certificate, and the client presented none: it has to connect with that of its login, and the route has to take certificates (`NativeSessions::mtls`)",
            ),
            Self::OtherCertificate => f.write_str(
                "its session is bound to another certificate than the client presented: after a renewal, it has to log in again",
            ),
            Self::CertificateUnbound => f.write_str(
                "its session is bound to no certificate, which is asked for: the client has to log in with one",
            ),
            Self::ProofReplayed => DpopError::Replayed.fmt(f),
            Self::Ended(reason) => write!(f, "its session was ended: {reason}"),
            Self::Idle => f.write_str("nobody came back to its session for too long"),
            Self::Expired => f.write_str("the time of its session is over"),
        }
    }
}

impl From<NotHeard> for RefreshRefusal {
    fn from(why: NotHeard) -> Self {
        match why {
            NotHeard::Bound => Self::Bound,
            NotHeard::OtherKey => Self::OtherKey,
            NotHeard::Unbound => Self::Unbound,
            NotHeard::CertificateMissing => Self::CertificateMissing,
            NotHeard::OtherCertificate => Self::OtherCertificate,
            NotHeard::CertificateUnbound => Self::CertificateUnbound,
        }
    }
}

/// Why a session does not go on.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum RefreshError {
    /// The token is refused: a 401 for a browser, `invalid_grant` for other clients (RFC 6749 §5.2).
    Refused(RefreshRefusal),
    /// A scope is asked for that was not granted, or twice: `invalid_scope`. Nothing was consumed.
    Scope,
    /// The application's claims cannot stand in a token: a fault of the program, and a 500. Nothing was consumed.
    Token(MintError),
    /// Something is away: a 503. Nothing was consumed: the same token is right later.
    Unavailable(SessionsUnavailable),
}

impl fmt::Display for RefreshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "the refresh token is refused: {refusal}"),
            Self::Scope => f.write_str("a scope is asked for that was not granted, or twice"),
            Self::Token(error) => error.fmt(f),
            Self::Unavailable(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RefreshError {}

/// Why a session is not over for everybody.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum EndError {
    /// Something is away: a 503. The session may have ended.
    Unavailable(SessionsUnavailable),
    /// The session ended, and its access tokens are not revoked yet: a 503. That is tried again by itself, until they are
    /// over.
    NotRevoked(RevokeError),
}

impl fmt::Display for EndError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(error) => error.fmt(f),
            Self::NotRevoked(error) => write!(
                f,
                "the session ended, and its access tokens are not revoked yet, which is tried again: {error}"
            ),
        }
    }
}

impl core::error::Error for EndError {}

/// What a mint error is to a session: a fault of what was asked for, or something that is away.
pub(super) enum MintFailure {
    Fault(MintError),
    Away(SessionsUnavailable),
}

impl From<MintError> for MintFailure {
    fn from(error: MintError) -> Self {
        if error.is_unavailable() { Self::Away(error.into()) } else { Self::Fault(error) }
    }
}

macro_rules! from_unavailable {
    ($($error:ident),+) => {$(
        impl From<SessionsUnavailable> for $error {
            fn from(error: SessionsUnavailable) -> Self {
                Self::Unavailable(error)
            }
        }

        impl From<StoreError> for $error {
            fn from(error: StoreError) -> Self {
                Self::Unavailable(error.into())
            }
        }
    )+};
}

from_unavailable!(BeginError, RefreshError, EndError);

impl From<MintError> for BeginError {
    fn from(error: MintError) -> Self {
        match error.into() {
            MintFailure::Fault(error) => Self::Token(error),
            MintFailure::Away(error) => Self::Unavailable(error),
        }
    }
}

impl From<MintError> for RefreshError {
    fn from(error: MintError) -> Self {
        match error.into() {
            MintFailure::Fault(error) => Self::Token(error),
            MintFailure::Away(error) => Self::Unavailable(error),
        }
    }
}

debug_as_displayed!(SessionsUnavailable, BeginError, RefreshError, EndError);

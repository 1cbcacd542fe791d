//! What can be taken back.
use core::fmt;

use serde::Deserialize;

use crate::time::UnixTime;

/// The kinds of [`Revocation`], of which a policy [enforces](super::Revocations::enforce) some.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Revocable {
    /// One token, by its id (`jti`).
    Token,
    /// The tokens of one login, by `sid`.
    Session,
    /// A subject's tokens (`sub`) that were issued up to an instant: log out everywhere.
    Subject,
    /// A subject's tokens whose version claim is below the subject's current version.
    Version,
    /// A client's tokens that were issued up to an instant.
    Client,
    /// All tokens of an issuer that were issued up to an instant.
    Issuer,
    /// All tokens of an issuer under one key, by its id (`kid`) or its
    /// [thumbprint](crate::keys::VerificationKey::thumbprint).
    Key,
}

impl Revocable {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Token,
        Self::Session,
        Self::Subject,
        Self::Version,
        Self::Client,
        Self::Issuer,
        Self::Key,
    ];

    /// Its name in policy files, in the administrators' requests, in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
            Self::Subject => "subject",
            Self::Version => "version",
            Self::Client => "client",
            Self::Issuer => "issuer",
            Self::Key => "key",
        }
    }

    /// A number that stands for it in stores and snapshots, and never becomes another's.
    pub fn code(self) -> u8 {
        match self {
            Self::Token => 1,
            Self::Session => 2,
            Self::Subject => 3,
            Self::Version => 4,
            Self::Client => 5,
            Self::Issuer => 6,
            Self::Key => 7,
        }
    }

    /// The one of this [`code`](Self::code).
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.code()) - 1
    }
}

impl fmt::Display for Revocable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Until when something is revoked, at least.
///
/// As JSON, a number of seconds since 1970, or the word `"forever"`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(untagged)]
pub enum RevokedUntil {
    /// Until then: no later than a token can end that is made now. With a bound on the lifetime of tokens, that is
    /// now, the leeway, the longest lifetime and a minute; without one, the end of the year 2099. What is later
    /// is refused, since it is mostly a time in milliseconds.
    Time(UnixTime),
    /// For ever. It takes its room in the list as long; [lift](super::Revocations::lift) it where it was an error.
    #[serde(with = "for_ever")]
    ForEver,
}

impl From<UnixTime> for RevokedUntil {
    fn from(time: UnixTime) -> Self {
        Self::Time(time)
    }
}

/// The word for it.
mod for_ever {
    use serde::de::{Deserialize, Deserializer, Error};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "forever" => Ok(()),
            _ => Err(D::Error::custom("neither a time nor the word `forever`")),
        }
    }
}

/// What is taken back. [`Revocations`](super::Revocations) has a method for each.
///
/// As JSON, which the administrators' routes of the adapters take: a member `revoke` with the
/// [name](Revocable::name) of the kind, and the members below; times are seconds since 1970.
///
/// ```
/// use portcullis::Revocation;
///
/// let json = r#"
///     {"revoke": "subject", "issuer": "https://id.example", "subject": "alice"}"#;
/// let everywhere: Revocation = serde_json::from_str(json)?;
/// let json = r#"
///     {"revoke": "session", "issuer": "https://id.example", "session": "s",
///      "until": "forever"}"#;
/// let for_ever: Revocation = serde_json::from_str(json)?;
/// # let _ = (everywhere, for_ever);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Deserialize, Eq, PartialEq)]
#[serde(tag = "revoke", rename_all = "snake_case", deny_unknown_fields)]
pub enum Revocation {
    /// One token.
    Token {
        /// Its `iss`.
        issuer: String,
        /// Its id.
        token_id: String,
        /// Its `exp`, or later. It never makes the entry live shorter than without it.
        #[serde(default)]
        until: Option<RevokedUntil>,
    },
    /// The tokens of one login.
    Session {
        /// Their `iss`.
        issuer: String,
        /// Their `sid`.
        session: String,
        /// As for a token.
        #[serde(default)]
        until: Option<RevokedUntil>,
    },
    /// A subject's tokens with `iat` up to an instant.
    Subject {
        /// Their `iss`.
        issuer: String,
        /// Their `sub`.
        subject: String,
        /// The instant, no later than now and the leeway. `None`: just that, which covers a token that was
        /// just accepted from a fast clock. A login within that time from now is refused, too.
        #[serde(default)]
        issued_until: Option<UnixTime>,
    },
    /// A subject's tokens of older versions.
    Version {
        /// Their `iss`.
        issuer: String,
        /// Their `sub`.
        subject: String,
        /// The subject's version from now on. Tokens of a lower one are refused.
        current: u64,
    },
    /// A client's tokens with `iat` up to an instant.
    Client {
        /// Their `iss`.
        issuer: String,
        /// The client's id.
        client: String,
        /// As for a subject.
        #[serde(default)]
        issued_until: Option<UnixTime>,
    },
    /// All tokens of an issuer with `iat` up to an instant.
    Issuer {
        /// Their `iss`.
        issuer: String,
        /// As for a subject.
        #[serde(default)]
        issued_until: Option<UnixTime>,
    },
    /// All tokens of an issuer under one key.
    Key {
        /// Their `iss`.
        issuer: String,
        /// The key's id, or its [thumbprint](crate::keys::VerificationKey::thumbprint), which finds the key
        /// under whatever id, and without one.
        key_id: String,
        /// Until when, at least as long as the tokens live that it signed up to now. `None`: for ever,
        /// since who has a stolen key makes new tokens with it. Take it out of the issuer's key set
        /// as well.
        #[serde(default)]
        until: Option<RevokedUntil>,
    },
}

/// What an entry says beside its digest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Scope {
    /// Whatever has the name, until this at least.
    All { until: Option<RevokedUntil> },
    /// Whatever was issued up to this.
    IssuedUntil(Option<UnixTime>),
    /// Whatever is of a lower version.
    Below(u64),
}

impl Revocation {
    /// Its kind.
    pub fn kind(&self) -> Revocable {
        match self {
            Self::Token { .. } => Revocable::Token,
            Self::Session { .. } => Revocable::Session,
            Self::Subject { .. } => Revocable::Subject,
            Self::Version { .. } => Revocable::Version,
            Self::Client { .. } => Revocable::Client,
            Self::Issuer { .. } => Revocable::Issuer,
            Self::Key { .. } => Revocable::Key,
        }
    }

    /// Whose tokens are revoked.
    pub(crate) fn issuer(&self) -> &str {
        self.parts().0
    }

    /// Issuer, name, and what is said of it.
    pub(super) fn parts(&self) -> (&str, &str, Scope) {
        match self {
            Self::Token { issuer, token_id, until } => {
                (issuer, token_id, Scope::All { until: *until })
            }
            Self::Session { issuer, session, until } => {
                (issuer, session, Scope::All { until: *until })
            }
            Self::Subject { issuer, subject, issued_until } => {
                (issuer, subject, Scope::IssuedUntil(*issued_until))
            }
            Self::Version { issuer, subject, current } => (issuer, subject, Scope::Below(*current)),
            Self::Client { issuer, client, issued_until } => {
                (issuer, client, Scope::IssuedUntil(*issued_until))
            }
            // The issuer is all that is named.
            Self::Issuer { issuer, issued_until } => {
                (issuer, issuer, Scope::IssuedUntil(*issued_until))
            }
            Self::Key { issuer, key_id, until } => (issuer, key_id, Scope::All { until: *until }),
        }
    }
}

impl fmt::Debug for Revocation {
    /// Shows nobody's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revocation({}, ..)", self.kind())
    }
}

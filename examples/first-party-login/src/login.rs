//! Sign up, log in, change the password: what happens, whatever form it was asked for in.
use std::sync::Arc;

use portcullis::{Admission, Rejection, RequestView};
use portcullis_issuer::routes::SessionRouteError;
use portcullis_issuer::{BeginError, EndError, EndReason, LoginAttempt};
use tracing::{error, warn};

use crate::passwords::{NotHashed, Password};
use crate::service::{Service, User};
use crate::users::UsersUnavailable;

/// Why something was not done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    /// What was sent cannot be used, for this reason.
    Invalid(&'static str),
    /// It was sent as another type of content.
    MediaType,
    /// It came from a page of another site, or nobody says from where.
    CrossSite,
    /// The name is somebody else's.
    Taken,
    /// Name or password is wrong. Which of them, nobody is told.
    WrongPassword,
    /// Who changes the password wrote another one for the old.
    WrongOldPassword,
    /// Something is away. The same is right later.
    Away,
    /// A mistake in this program.
    Fault,
}

impl Refused {
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Invalid(_) => 400,
            Self::WrongPassword => 401,
            // Not 401: to log in, or to refresh, would not help.
            Self::CrossSite | Self::WrongOldPassword => 403,
            Self::Taken => 409,
            Self::MediaType => 415,
            Self::Fault => 500,
            Self::Away => 503,
        }
    }

    /// For programs.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Invalid(_) => "request-invalid",
            Self::WrongPassword => "login-refused",
            Self::WrongOldPassword => "password-wrong",
            Self::CrossSite => "cross-site-request",
            Self::Taken => "name-taken",
            Self::MediaType => "media-type-unsupported",
            Self::Fault => "misconfigured",
            Self::Away => "temporarily-unavailable",
        }
    }

    /// For people.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::Invalid(sentence) => sentence,
            Self::WrongPassword => "The name or the password is wrong.",
            Self::WrongOldPassword => "This is not your password now.",
            Self::CrossSite => "The request did not come from a page of this service.",
            Self::Taken => "Somebody has this name already: choose another one.",
            Self::MediaType => "The request has another type of content than this route takes.",
            Self::Fault => "Something is wrong with this service.",
            Self::Away => "This does not work at the moment: try again.",
        }
    }
}

/// What is away is told to operators: it names no user.
fn away(reason: &dyn std::error::Error) -> Refused {
    warn!("{reason}");
    Refused::Away
}

impl From<UsersUnavailable> for Refused {
    fn from(error: UsersUnavailable) -> Self {
        away(&error)
    }
}

impl From<NotHashed> for Refused {
    fn from(error: NotHashed) -> Self {
        away(&error)
    }
}

impl From<BeginError> for Refused {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Unavailable(error) => away(&error),
            BeginError::LoggedOut | BeginError::TooOld | BeginError::Refused(_) => {
                Self::WrongPassword
            }
            other => {
                error!("{other}");
                Self::Fault
            }
        }
    }
}

impl From<EndError> for Refused {
    fn from(error: EndError) -> Self {
        away(&error)
    }
}

impl From<SessionRouteError> for Refused {
    fn from(error: SessionRouteError) -> Self {
        match error {
            SessionRouteError::CrossSite(_) => Self::CrossSite,
            SessionRouteError::Unwritable(_) => Self::Fault,
            _ => Self::Invalid("The request cannot be used."),
        }
    }
}

/// The most characters of a name.
const LONGEST_NAME: usize = 64;

impl Service {
    /// Makes an account.
    pub(crate) async fn sign_up(&self, name: &str, password: Password) -> Result<(), Refused> {
        if !is_name(name) {
            return Err(Refused::Invalid(
                "A name has 1 to 64 characters, and no space at its begin or end.",
            ));
        }
        check_new(&password)?;
        let hash = self.passwords.hash(password).await?;
        if self.users.add(name, &hash).await? { Ok(()) } else { Err(Refused::Taken) }
    }

    /// Looks at the password. For a name that nobody has, the same steps take as long and end the same way.
    pub(crate) async fn authenticate(
        &self,
        name: &str,
        password: Password,
    ) -> Result<LoginAttempt, Refused> {
        // What cannot be a name is nobody's, and PostgreSQL has no text with a NUL in it.
        let id = if is_name(name) { self.users.id(name).await? } else { None };
        let id = id.unwrap_or_else(|| "nobody".to_owned()); // an id has 22 characters
        // Before the hash is read: if the password is changed after that, no session begins with the old one.
        let attempt = self.sessions.attempt(&id).await?;
        let hash = self.users.password(&id).await?;
        if self.passwords.is_right(password, hash.as_deref()).await? {
            Ok(attempt)
        } else {
            Err(Refused::WrongPassword)
        }
    }

    /// Puts another password in the place of this one, and ends all sessions but this one, in one transaction.
    pub(crate) async fn change_password(
        &self,
        user: &User,
        old: Password,
        new: Password,
    ) -> Result<(), Refused> {
        check_new(&new)?;
        let here = user.sid.parse().map_err(|_| Refused::Fault)?;
        let old_hash = self.users.password(&user.sub).await?.ok_or(Refused::WrongOldPassword)?;
        if !self.passwords.is_right(old, Some(&old_hash)).await? {
            return Err(Refused::WrongOldPassword);
        }
        let new_hash = self.passwords.hash(new).await?;
        let issuer = self.sessions.issuer();
        let hashes = [&*old_hash, &*new_hash];
        let ended = self.users.change_password(issuer, &user.sub, hashes, here).await?;
        // Somebody changed it since it was checked.
        let ended = ended.ok_or(Refused::WrongOldPassword)?;
        let reason = EndReason::CredentialsChanged;
        if let Err(error) = self.sessions.revoke_ended(&user.sub, reason, &ended).await {
            // The password is changed, and the old one is not right a second time. Access tokens are revoked in the
            // background: it is tried again each second.
            warn!("{error}");
        }
        Ok(())
    }

    /// Who asks, by the access token of the request.
    pub(crate) async fn caller(&self, request: &impl RequestView) -> Result<Arc<User>, Rejection> {
        let admission = self.policy.verify(request).await?;
        Admission::require_claims(Some(&admission), request)
    }
}

/// Whether a user can be called so.
fn is_name(name: &str) -> bool {
    let is_plain = name.trim() == name && !name.chars().any(is_unseen);
    is_plain && (1..=LONGEST_NAME).contains(&name.chars().count())
}

/// What no name shows, and two names could differ by: control characters, and those that join, separate or turn text around.
fn is_unseen(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn check_new(password: &Password) -> Result<(), Refused> {
    if password.is_long_enough() {
        return Ok(());
    }
    Err(Refused::Invalid("A password has 8 characters or more."))
}

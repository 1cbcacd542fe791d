//! Is this refresh token current, a retry, or a replay?
mod decide;
mod format;
mod holder;
mod secret;

pub(crate) use self::decide::{Decision, Over, Rule, Standing, Way, Which, decide};
pub use self::format::RefreshToken;
pub(crate) use self::format::{MAX_PREFIX, NotOurs, PREFIX, Presented, RefreshFormat};
pub(crate) use self::holder::{MustBeBound, NotHeard, hear};
pub(crate) use self::secret::{RefreshSecret, random_salt};

#[cfg(test)]
mod model;

//! What is seen of a remote key set from outside.
use core::fmt;
use core::time::Duration;
use std::time::SystemTime;

use super::fetch::KeyFetchError;
use crate::keys::set::Skipped;
use crate::keys::{KeySet, SkippedKey};
use crate::time::InWords;

/// How a remote key set is doing.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct RemoteKeysHealth {
    /// Whether there are keys to serve. Where not, tokens of the issuer get 503.
    pub serves: bool,
    /// How many keys there are, one for each algorithm that a public key serves.
    pub keys: usize,
    /// The entries of the set that are not used, and why.
    pub skipped: Vec<SkippedKey>,
    /// How many times other keys were taken over.
    pub generation: u64,
    /// How long ago the last fetch that succeeded did so. From then on the keys serve for
    /// [`max_stale`](super::RemoteJwksOptions::max_stale).
    pub age: Option<Duration>,
    /// When that was.
    pub last_success: Option<SystemTime>,
    /// For how long the keys were fresh from then on, as the answer and the settings have it.
    pub fresh_for: Option<Duration>,
    /// Why the last fetch failed, if it did.
    pub last_error: Option<KeyFetchError>,
    /// How many fetches failed since one succeeded.
    pub failures: u32,
    /// Until when an unknown key id causes no fetch, if for now it causes none.
    pub cooling_down_until: Option<SystemTime>,
    /// How many requests with an unknown key id were answered at once, since it was too soon for a
    /// fetch, or too many waited for one.
    pub throttled: u64,
}

/// What happened to a remote key set.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum RemoteKeysEvent {
    /// Other keys are in use.
    Refreshed {
        /// How many times that happened.
        generation: u64,
        /// The keys. See [`skipped`](KeySet::skipped) for the entries that are not used.
        keys: KeySet,
    },
    /// The keys at hand are still the current ones.
    Unchanged,
    /// A fetch failed.
    Failed {
        /// Why.
        error: KeyFetchError,
        /// When the next one is due.
        retry_in: Duration,
    },
    /// A token names a key that is not known, which is now looked for, or when the cool-down is
    /// over. Said once before each fetch, not for each token.
    UnknownKey,
    /// A request with an unknown key id was answered at once, since it is too soon for a fetch, or
    /// too many wait for one. Said once between two fetches; [`RemoteKeysHealth::throttled`] counts.
    Throttled {
        /// In how long the next fetch may begin.
        ends_in: Duration,
    },
    /// After a failure: the keys at hand go on being served.
    StaleServed {
        /// How long ago they were the current ones.
        age: Duration,
        /// How long they serve yet.
        ends_in: Duration,
    },
    /// The keys are too old: there are none now, and tokens of the issuer get 503.
    Expired,
}

impl fmt::Display for RemoteKeysEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refreshed { keys, .. } => {
                write!(f, "new keys are in use{}", Skipped(keys))
            }
            Self::Unchanged => f.write_str("the keys are unchanged"),
            Self::Failed { error, retry_in } => {
                write!(f, "the keys could not be fetched (next try in {retry_in:.1?}): {error}")
            }
            Self::UnknownKey => f.write_str("a token names an unknown key, which is looked for"),
            Self::Throttled { ends_in } => write!(
                f,
                "a token names an unknown key, and it is too soon to look for it (next fetch in {ends_in:.1?} at the earliest)"
            ),
            Self::StaleServed { age, ends_in } => write!(
                f,
                "the keys fetched {} ago stay in use, for {} at most",
                InWords(*age),
                InWords(*ends_in)
            ),
            Self::Expired => f.write_str(
                "the keys are too old to be used, and tokens of the issuer are answered with 503",
            ),
        }
    }
}

/// Tells `tracing`.
#[cfg(feature = "tracing")]
pub(super) fn trace(issuer: &str, event: &RemoteKeysEvent) {
    match event {
        RemoteKeysEvent::Refreshed { generation, keys } => {
            tracing::info!(?issuer, generation, keys = keys.len(), "remote keys refreshed");
            for skipped in keys.skipped() {
                tracing::warn!(?issuer, %skipped, "remote key skipped");
            }
        }
        RemoteKeysEvent::Unchanged => tracing::debug!(?issuer, "remote keys unchanged"),
        RemoteKeysEvent::Failed { error, retry_in } => {
            tracing::warn!(?issuer, %error, ?retry_in, "remote keys not fetched");
        }
        RemoteKeysEvent::UnknownKey => tracing::info!(?issuer, "unknown key id, looking for it"),
        RemoteKeysEvent::Throttled { ends_in } => {
            tracing::warn!(?issuer, ?ends_in, "unknown key ids, too soon for a fetch");
        }
        RemoteKeysEvent::StaleServed { age, ends_in } => {
            tracing::warn!(?issuer, ?age, ?ends_in, "stale remote keys served");
        }
        RemoteKeysEvent::Expired => tracing::error!(?issuer, "remote keys too old to be served"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::FetchFault;
    use crate::keys::remote::KeyFetchFault;

    #[test]
    fn an_event_says_what_happened_and_what_comes_of_it() {
        let url = url::Url::parse("https://id.example/jwks").expect("an address");
        let error =
            KeyFetchError::new(&url, KeyFetchFault::Fetch(FetchFault::Status { status: 500 }));
        let (short, long) = (Duration::from_millis(1234), Duration::from_secs(3600));
        for (event, text) in [
            (
                RemoteKeysEvent::Refreshed { generation: 3, keys: KeySet::empty() },
                "new keys are in use",
            ),
            (RemoteKeysEvent::Unchanged, "the keys are unchanged"),
            (
                RemoteKeysEvent::Failed { error, retry_in: short },
                "the keys could not be fetched (next try in 1.2s): https://id.example/jwks: the server answered with status 500",
            ),
            (RemoteKeysEvent::UnknownKey, "a token names an unknown key, which is looked for"),
            (
                RemoteKeysEvent::Throttled { ends_in: short },
                "a token names an unknown key, and it is too soon to look for it (next fetch in 1.2s at the earliest)",
            ),
            (
                RemoteKeysEvent::StaleServed { age: long, ends_in: short },
                "the keys fetched 1 h ago stay in use, for 1 s at most",
            ),
            (
                RemoteKeysEvent::Expired,
                "the keys are too old to be used, and tokens of the issuer are answered with 503",
            ),
        ] {
            assert_eq!(event.to_string(), text);
        }
    }
}

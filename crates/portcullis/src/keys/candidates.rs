//! The keys that may have signed a token, by the key id and algorithm that it names.
use std::sync::Arc;

use super::{KeyError, KeyQuery, KeySource, MAX_CANDIDATES, VerificationKey};
use crate::time::UnixTime;

/// The keys that may have signed a token.
#[derive(Default)]
pub(crate) struct Candidates {
    keys: [Option<Arc<VerificationKey>>; MAX_CANDIDATES],
}

impl Candidates {
    /// Collects from each of `sources`.
    pub(crate) fn find(
        sources: &[Arc<dyn KeySource>],
        query: &KeyQuery<'_>,
        now: UnixTime,
    ) -> Result<Self, KeyError> {
        let mut candidates = Self::default();
        let mut free = candidates.keys.iter_mut();
        let mut room = MAX_CANDIDATES;
        for source in sources {
            for key in source.keys().iter().filter(|key| key.serves(query) && key.is_live(now)) {
                room = room.checked_sub(key.weight).ok_or(KeyError::TooMany)?;
                *free.next().ok_or(KeyError::TooMany)? = Some(Arc::clone(key));
            }
        }
        if candidates.keys[0].is_none() {
            return Err(KeyError::Unknown);
        }
        Ok(candidates)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<VerificationKey>> {
        self.keys.iter().flatten()
    }
}

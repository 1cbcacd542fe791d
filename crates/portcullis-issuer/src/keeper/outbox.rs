//! Withdrawn keys are revoked.
use super::{IssuerEvent, ReadRing, RingError, RingKeeper};
use crate::store::RingStore;

impl<S: RingStore> RingKeeper<S> {
    /// Revokes the keys that are withdrawn, where there is a list of revocations and they are not on it.
    ///
    /// The rows are the outbox: a key is withdrawn in the ring first, and stays there until no token of it can pass. So
    /// whatever stops an instance between the two, the next reading of any instance goes on here; and one that meets a list
    /// which lost what it had.
    pub(crate) async fn revoke_withdrawn(&self, ring: &ReadRing) -> Result<(), RingError> {
        let Some(revocations) = &self.revocations else { return Ok(()) };
        let now = ring.now(&*self.time);
        let mut failed = None;
        for key in &ring.keys {
            let ends = self.ends(&key.row.times, ring.longest_lifetime);
            let is_told = || revocations.is_revoked(&self.of_key(&key.row));
            if key.row.times.withdrawn_at.is_none()
                || ends.is_some_and(|end| end <= now)
                || is_told()
            {
                continue;
            }
            if let Err(error) = revocations.revoke(&self.of_key(&key.row)).await {
                let key_id = key.row.key_id.clone();
                let event =
                    IssuerEvent::NotRevoked { key_id: key_id.clone(), error: error.clone() };
                self.observers.notify(&event);
                failed = failed.or(Some(RingError::NotRevoked { key_id, error }));
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

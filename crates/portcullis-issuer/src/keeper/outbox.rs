//! Withdrawn keys are revoked.
use super::{IssuerEvent, ReadRing, RingError, RingKeeper};
use crate::store::RingStore;

impl<S: RingStore> RingKeeper<S> {
    /// Revokes the keys that are withdrawn, where there is a list of revocations and they are not on it.
    ///
    /// The rows are the outbox: a key is withdrawn in the ring first, and its row stays. So whatever stops an instance between
    /// the two, the next reading of any instance goes on here; and one that meets a list which lost what it had.
    pub(crate) async fn revoke_withdrawn(&self, ring: &ReadRing) -> Result<(), RingError> {
        let Some(revocations) = &self.revocations else { return Ok(()) };
        let withdrawn = ring.keys.iter().filter(|key| key.row.times.withdrawn_at.is_some());
        let mut failed = None;
        for row in withdrawn.map(|key| &key.row) {
            for name in self.names_of(row) {
                if revocations.is_revoked(&name) {
                    continue;
                }
                if let Err(error) = revocations.revoke(&name).await {
                    let (key_id, error) = (row.key_id.clone(), error);
                    let failure = (key_id.clone(), error.clone());
                    self.observers.notify(&IssuerEvent::NotRevoked { key_id, error });
                    failed.get_or_insert(failure);
                }
            }
        }
        match failed {
            Some((key_id, error)) => Err(RingError::NotRevoked { key_id, error }),
            None => Ok(()),
        }
    }
}

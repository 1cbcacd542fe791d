//! What operators count (feature `metrics`).
use metrics::{counter, gauge};

use super::{KeyStatus, TokenIssuer};
use crate::store::RingStore;

impl<S: RingStore> TokenIssuer<S> {
    /// Records how the issuer does, with the recorder of the `metrics` crate: call it before each scrape.
    ///
    /// | name | kind | what it says |
    /// |---|---|---|
    /// | `portcullis_issuer_ready` | gauge | 1 where it can mint, else 0 |
    /// | `portcullis_issuer_tokens_total` | counter | tokens that this instance minted |
    /// | `portcullis_issuer_ring_failures_total` | counter | how often this instance could not read the ring, by `reason`: see [`RingError::reason`](crate::RingError::reason) |
    /// | `portcullis_issuer_ring_age_seconds` | gauge | how long ago it was read |
    /// | `portcullis_issuer_ring_version` | gauge | how often it was changed, as this instance knows it |
    /// | `portcullis_issuer_clock_offset_seconds` | gauge | by how much this machine's clock is behind the store's |
    /// | `portcullis_issuer_signing_key_age_seconds` | gauge | for how long the key that signs has done so |
    /// | `portcullis_issuer_next_change_seconds` | gauge | in how long the ring changes next |
    /// | `portcullis_issuer_keys_under_old_secret` | gauge | how many keys need a root secret behind the first, or are sealed with what is no longer in use |
    ///
    /// Each has the label `issuer`. What to alert on stands in the guide.
    pub fn record_metrics(&self) {
        let issuer = || self.id().to_owned();
        let is_ready = if self.is_ready() { 1.0 } else { 0.0 };
        gauge!("portcullis_issuer_ready", "issuer" => issuer()).set(is_ready);
        let minted = self.0.minted.load(core::sync::atomic::Ordering::Relaxed);
        counter!("portcullis_issuer_tokens_total", "issuer" => issuer()).absolute(minted);
        for (reason, count) in self.0.keeper.observers.failures() {
            let name = "portcullis_issuer_ring_failures_total";
            counter!(name, "issuer" => issuer(), "reason" => reason).absolute(count);
        }
        let Some(status) = self.status() else { return };
        let age = status.age.as_secs_f64();
        gauge!("portcullis_issuer_ring_age_seconds", "issuer" => issuer()).set(age);
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2⁵³ changes")]
        let version = status.version.0 as f64;
        gauge!("portcullis_issuer_ring_version", "issuer" => issuer()).set(version);
        let offset = i32::try_from(status.clock_offset).unwrap_or(i32::MAX);
        let offset = f64::from(offset) / 1000.0;
        gauge!("portcullis_issuer_clock_offset_seconds", "issuer" => issuer()).set(offset);
        let signs_since = status.signing().map(|key| status.now.since(key.times.signs_from));
        let signs_since = signs_since.unwrap_or_default().as_secs_f64();
        gauge!("portcullis_issuer_signing_key_age_seconds", "issuer" => issuer()).set(signs_since);
        let next = status.next_change().map(|at| at.since(status.now)).unwrap_or_default();
        gauge!("portcullis_issuer_next_change_seconds", "issuer" => issuer())
            .set(next.as_secs_f64());
        let is_behind = |key: &&KeyStatus| key.is_under_old_root() || !key.is_sealed_anew;
        let behind = status.keys.iter().filter(is_behind).count();
        let behind = u32::try_from(behind).unwrap_or(u32::MAX);
        gauge!("portcullis_issuer_keys_under_old_secret", "issuer" => issuer()).set(behind);
    }
}

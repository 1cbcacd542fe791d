//! How a policy is, for metrics.
use metrics::{counter, gauge};

use super::Policy;
use crate::metrics as names;

impl Policy {
    /// Records how its cache, keys and revocations are, under its [name](crate::PolicyBuilder::name): see
    /// [`metrics`](crate::metrics). Call it before each scrape.
    pub fn record_metrics(&self) {
        let rules = self.rules();
        let policy = || rules.terms.counters.policy();
        let cache = self.token_cache_stats();
        counter!(names::CACHE_HITS, "policy" => policy()).absolute(cache.hits);
        counter!(names::CACHE_MISSES, "policy" => policy()).absolute(cache.misses);
        #[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
        let whole = |number: u64| number as f64;
        gauge!(names::CACHE_BYTES, "policy" => policy()).set(whole(cache.bytes));
        gauge!(names::READY, "policy" => policy()).set(f64::from(u8::from(self.is_ready())));

        #[cfg(feature = "remote-jwks")]
        for (issuer, age) in rules.issuers.key_ages() {
            let issuer = issuer.to_owned();
            gauge!(names::KEY_SET_AGE, "policy" => policy(), "issuer" => issuer)
                .set(age.as_secs_f64());
        }
        let lists: Vec<_> =
            rules.revocations.enforced.iter().map(|enforced| enforced.stats()).collect();
        if !lists.is_empty() {
            let entries =
                lists.iter().map(crate::revocation::RevocationStats::total).sum::<usize>();
            gauge!(names::REVOCATION_ENTRIES, "policy" => policy()).set(whole(entries as u64));
        }
        if let Some(lag) = lists.iter().filter_map(|stats| stats.lag).max() {
            gauge!(names::REVOCATION_LAG, "policy" => policy()).set(whole(lag));
        }
        if let Some(age) = lists.iter().filter_map(|stats| stats.last_contact).max() {
            gauge!(names::REVOCATION_AGE, "policy" => policy()).set(age.as_secs_f64());
        }
    }
}

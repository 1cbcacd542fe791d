use core::time::Duration;

use portcullis::{Algorithm, Secret};
use portcullis_issuer::ring::Schedule;
use portcullis_issuer::store::RingStore;
use portcullis_issuer::{Complete, TokenIssuer, TokenIssuerBuilder};

/// Whom tokens are for.
pub const AUDIENCE: &str = "https://orders.example";

/// How long a token lives.
pub const LIFETIME: Duration = Duration::from_secs(5);

/// By how much a clock may be off.
pub const SKEW: Duration = Duration::from_millis(100);

/// For how long a verifier keeps a key set at most. All of them here ask anew after a second.
pub const VERIFIER_CACHE: Duration = Duration::from_millis(1800);

const ROOT: &str = "FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old";

/// Ten turns in a minute, and no slack but that of `verifier_cache`.
pub fn schedule() -> Schedule {
    let millis = Duration::from_millis;
    let stale = millis(800);
    let ahead = stale + VERIFIER_CACHE + 2 * SKEW;
    Schedule::new()
        .reload(millis(200))
        .stale(stale)
        .skew(SKEW)
        .verifier_cache(VERIFIER_CACHE)
        .publish_ahead(ahead)
        .interval(2 * ahead)
        .leeway(Duration::from_secs(1))
        .margin(millis(200))
}

/// An instance of the issuer, by these terms.
pub fn builder<S: RingStore>(issuer: &str, store: S) -> TokenIssuerBuilder<Complete<S>> {
    TokenIssuer::builder(issuer)
        .algorithm(Algorithm::ES256)
        .audiences([AUDIENCE])
        .lifetime(LIFETIME)
        .root_secrets([Secret::new(ROOT)])
        .ring(store)
        .schedule(schedule())
}

use core::time::Duration;

use portcullis::{Algorithm, Secret};
use portcullis_issuer::ring::{Phase, Schedule};
use portcullis_issuer::store::RingStore;
use portcullis_issuer::{
    AccessToken, BuildError, Complete, MintError, TokenIssuer, TokenIssuerBuilder,
};

/// The issuer whose ring it is.
pub const ISSUER: &str = "https://id.example";

/// Whom its tokens are for.
pub const AUDIENCE: &str = "https://orders.example";

/// A root secret.
pub const OLD: &str = "FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old";

/// The root secret that comes after it.
pub const NEW: &str = "u9KXr4MZQy7hBtDfN1vCjEaPgS6oLw3k-new";

/// An instance under these root secrets.
pub fn builder<S: RingStore>(secrets: &[&str], ring: S) -> TokenIssuerBuilder<Complete<S>> {
    TokenIssuer::builder(ISSUER)
        .algorithm(Algorithm::ES256)
        .audiences([AUDIENCE])
        .lifetime(Duration::from_secs(1))
        .root_secrets(secrets.iter().map(|secret| Secret::new(*secret)))
        .ring(ring)
        // At the moment that a test chooses.
        .refreshed_by_hand()
}

/// An instance under the first root secret.
///
/// # Errors
///
/// Its ring cannot be had.
pub async fn issuer<S: RingStore>(ring: S) -> Result<TokenIssuer<S>, BuildError> {
    builder(&[OLD], ring).build().await
}

/// Keys that follow each other every three seconds.
pub fn quick() -> Schedule {
    let millis = Duration::from_millis;
    Schedule::new()
        .skew(millis(250))
        .leeway(millis(500))
        .stale(millis(1000))
        .reload(millis(200))
        .verifier_cache(millis(100))
        .publish_ahead(millis(1600))
        .interval(millis(3200))
        .margin(millis(0))
}

/// A token.
///
/// # Errors
///
/// The ring was not read for too long.
pub fn mint<S: RingStore>(issuer: &TokenIssuer<S>) -> Result<String, MintError> {
    issuer.mint_now(&AccessToken::of_user("alice", "web")).map(|minted| minted.token)
}

/// The id of the key that signs.
///
/// # Panics
///
/// There is none, or more than one.
pub fn signer<S: RingStore>(issuer: &TokenIssuer<S>) -> String {
    let keys = issuer.status().expect("a ring").keys;
    let mut signing: Vec<_> = keys.iter().filter(|key| key.phase == Phase::Signing).collect();
    let signer = signing.pop().expect("a key that signs");
    assert!(signing.is_empty(), "one key signs at a time: {keys:?}");
    signer.key_id.clone()
}

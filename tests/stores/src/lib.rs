//! Databases of a test's own, and issuers whose rings and sessions stand in them.
mod cluster;
mod database;
mod door;
mod issuer;
mod process;
mod ring;
mod sessions;

use core::time::Duration;

pub use self::cluster::{Bouncer, Cluster, Pause};
pub use self::database::Database;
pub use self::door::Door;
pub use self::issuer::{AUDIENCE, ISSUER, NEW, OLD, builder, issuer, mint, quick, signer};
pub use self::process::Process;
pub use self::ring::{Ring, Stop, Stopping};
pub use self::sessions::{SessionsIn, StoppingSessions, login_issuer, sessions};

/// Waits until something holds, for as long as a test may take for it.
///
/// # Panics
///
/// It does not come to hold.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    const LONG: Duration = Duration::from_secs(60);
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, wait).await.is_ok(), "it does not come to hold: {what}");
}

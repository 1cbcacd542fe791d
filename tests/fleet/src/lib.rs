//! Real Redis servers on free loopback ports, and members of a fleet.
mod door;
mod member;
mod process;
mod server;
mod service;

use core::time::Duration;

pub use self::door::Door;
pub use self::member::{ISSUER, Member, Verdict, token};
pub use self::process::Process;
pub use self::server::{Server, Setup};
pub use self::service::{Ahead, Client, Service, Told, policy, request};

/// Waits until something holds, for as long as a test may take for it.
///
/// # Panics
///
/// It does not come to hold.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    const LONG: Duration = Duration::from_secs(30);
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, wait).await.is_ok(), "it does not come to hold: {what}");
}

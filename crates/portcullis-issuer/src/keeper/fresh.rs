//! Reads the ring again and again.
use core::time::Duration;
use std::sync::Weak;

use aws_lc_rs::rand;

use super::{RingKeeper, Wanted};
use crate::store::RingStore;

/// Reads the ring about once in a [`reload`](crate::ring::Schedule::reload), for as long as the issuer is there.
pub(crate) async fn keep_fresh<S: RingStore>(keeper: Weak<RingKeeper<S>>, reload: Duration) {
    loop {
        tokio::time::sleep(about(reload)).await;
        let Some(keeper) = keeper.upgrade() else { return };
        // Observers are told what fails, and that a store or a seal of the program's own panicked.
        let _ = keeper.go_through(Wanted::Due).await;
    }
}

/// Up to a fifth less: instances that start together do not ask the store together for ever.
fn about(reload: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness, nothing is lost but that.
    let _ = rand::fill(&mut byte);
    reload - reload.mul_f64(0.2 * f64::from(byte[0]) / 255.0)
}

//! The issuer: what its tokens are, and when its keys follow each other.
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_axum::portcullis::{Algorithm, Encoding, Secret};
use portcullis_issuer::ring::Schedule;
use portcullis_issuer::store::RingStore;
use portcullis_issuer::{BuildError, IssuerEvent, RingError, RingStatus, TokenIssuer};
use tokio::sync::Notify;

use crate::root_secret;

/// The service that takes the tokens calls itself this.
pub(crate) const AUDIENCE: &str = "https://orders.example";

/// How quickly keys follow each other.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// As a service should have it: a key signs for 30 days, and a token lives for 15 minutes.
    Default,
    /// For the demonstration only: a key signs for 30 s, and a token lives for a minute.
    Fast,
}

impl Pace {
    fn lifetime(self) -> Duration {
        Duration::from_secs(match self {
            Self::Default => 15 * 60,
            Self::Fast => 60,
        })
    }

    /// What must hold between these times is checked when the issuer is built.
    pub(crate) fn schedule(self) -> Schedule {
        let seconds = Duration::from_secs;
        match self {
            Self::Default => Schedule::new(),
            Self::Fast => Schedule::new()
                .interval(seconds(30)) // at least 2 × `publish_ahead`
                .publish_ahead(seconds(15)) // at least `stale` + `verifier_cache` + 2 × `skew`, which is 13 s
                .stale(seconds(6)) // less than `publish_ahead`
                .reload(seconds(1)) // at most `stale`
                // A verifier that keeps keys for longer, as most do, meets a key that it does not have. It asks for the
                // key set again then, and Portcullis does so once in 30 s at most.
                .verifier_cache(seconds(5))
                .skew(seconds(1)) // one machine, one clock
                .leeway(seconds(2)) // at least 2 × `skew`
                .margin(seconds(1)),
        }
    }
}

/// Starts the issuer: with the keys that are there, or with new ones where there never were any. `changes` is notified
/// when keys have changed.
pub(crate) async fn start<S: RingStore>(
    id: &str,
    root_secret: &Path,
    ring: S,
    pace: Pace,
    changes: &Arc<Notify>,
) -> Result<TokenIssuer<S>, Box<dyn Error>> {
    let at = root_secret.display();
    // A new secret would open nothing. Asked in this order: another process may just make both, the secret first.
    let has_keys = RingStatus::read(&ring, id, None).await?.is_some();
    if has_keys && !root_secret.try_exists()? {
        return Err(format!(
            "there are keys in the database, and their root secret {at} is missing: {WAY_OUT}"
        )
        .into());
    }
    root_secret::make_if_missing(root_secret).map_err(|error| format!("{at}: {error}"))?;

    let changes = Arc::clone(changes);
    let built = TokenIssuer::builder(id)
        .algorithm(Algorithm::ES256)
        .audiences([AUDIENCE])
        .lifetime(pace.lifetime())
        .root_secrets([Secret::file(root_secret, Encoding::Base64url)])
        .ring(ring)
        .schedule(pace.schedule())
        // `tracing` is told by the issuer itself. An observer must not block, and so it only wakes up another task.
        .on_event(move |event| match event {
            IssuerEvent::KeyAppeared { .. }
            | IssuerEvent::KeySigns { .. }
            | IssuerEvent::KeyWithdrawn { .. } => changes.notify_one(),
            _ => {}
        })
        .build()
        .await;
    built.map_err(|error| match error {
        BuildError::Ring(RingError::Foreign(_)) => {
            format!("{error}\nThe root secret is that of {at}: {WAY_OUT}").into()
        }
        other => other.into(),
    })
}

const WAY_OUT: &str = "give the file with which the keys were made, by --root-secret FILE. \
    If it is lost, begin anew with another --database: every token of before is refused";

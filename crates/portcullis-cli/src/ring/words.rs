//! What a key does, in words.
use portcullis_issuer::KeyStatus;
use portcullis_issuer::StoreTime;
use portcullis_issuer::ring::Phase;

use crate::time::{about, utc_of_millis};

/// What a key does at this time, for how long it has, and for how long it will.
pub(super) fn does(key: &KeyStatus, now: StoreTime) -> String {
    let times = &key.times;
    let until = |at: StoreTime| about(at.since(now));
    let since = |at: StoreTime| about(now.since(at));
    match key.phase {
        Phase::Unpublished => format!("is published in {}", until(times.published_at)),
        Phase::Standby => format!("stands by, signs in {}", until(times.signs_from)),
        Phase::Signing => match times.signs_until {
            Some(end) => {
                let (since, until) = (since(times.signs_from), until(end));
                format!("has signed for {since}, signs for {until} more")
            }
            None => format!("has signed for {}", since(times.signs_from)),
        },
        Phase::Retired => match times.verifies_until {
            Some(end) => format!("signs no longer, verifies for {} more", until(end)),
            None => "signs no longer, verifies".to_owned(),
        },
        Phase::Gone => match times.verifies_until {
            Some(end) => format!("ended {} ago", since(end)),
            None => "has ended".to_owned(),
        },
        Phase::Withdrawn => match times.withdrawn_at {
            Some(at) => format!("was withdrawn {} ago", since(at)),
            None => "was withdrawn".to_owned(),
        },
    }
}

/// The name of what a key does, for programs.
pub(super) fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Unpublished => "unpublished",
        Phase::Standby => "standby",
        Phase::Signing => "signing",
        Phase::Retired => "retired",
        Phase::Gone => "gone",
        Phase::Withdrawn => "withdrawn",
    }
}

/// Where the private part of a key is.
pub(super) fn private_part(key: &KeyStatus, is_authentic: bool) -> &'static str {
    match (&key.seal_id, key.seal_root) {
        (None, _) if key.is_at_signer() => "at a signer",
        (None, _) => "erased",
        (Some(_), Some(0)) => "sealed",
        (Some(_), Some(_)) => "old seal",
        // Of a KMS, or of a root secret that is missing.
        (Some(_), None) if is_authentic => "other seal",
        (Some(_), None) => "sealed",
    }
}

/// `in 18 days`, and `2027-02-02T08:00:00Z`.
pub(super) fn moment(at: StoreTime, now: StoreTime) -> [String; 2] {
    let date = utc_of_millis(at.as_millis() / 1000 * 1000);
    [format!("in {}", about(at.since(now))), date.unwrap_or_default()]
}

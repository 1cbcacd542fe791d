//! The settings that a change goes by, as far as the ring shows those of its service.
use core::time::Duration;

use portcullis::Algorithm;
use portcullis_issuer::StoreTime;
use portcullis_issuer::ring::Schedule;
use portcullis_issuer::{KeyStatus, RingStatus};

use crate::output::{Failure, shown};
use crate::time::{about, seconds};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// As `Schedule` has it.
const PUBLISH_AHEAD: Duration = DAY;

/// As `Schedule` has it.
const INTERVAL: Duration = DAY.saturating_mul(30);

type Setter = fn(Schedule, Duration) -> Schedule;

const SETTERS: [(&str, Setter); 8] = [
    ("interval", Schedule::interval),
    ("publish_ahead", Schedule::publish_ahead),
    ("verifier_cache", Schedule::verifier_cache),
    ("reload", Schedule::reload),
    ("stale", Schedule::stale),
    ("skew", Schedule::skew),
    ("leeway", Schedule::leeway),
    ("margin", Schedule::margin),
];

/// A time of a schedule: `interval=7d`.
#[derive(Clone)]
pub(super) struct ScheduleSetting {
    name: &'static str,
    set: Setter,
    time: Duration,
}

impl core::str::FromStr for ScheduleSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, time) = text.split_once('=').ok_or("there is no `=`: write NAME=DURATION")?;
        let found = SETTERS.into_iter().find(|(known, _)| *known == name);
        let (name, set) = found.ok_or_else(|| {
            let names = SETTERS.map(|(name, _)| name).join(", ");
            format!("a schedule has no such time: it has {names}")
        })?;
        let time = u64::try_from(seconds(time)?).map_err(|_| "a time of a schedule is positive")?;
        Ok(Self { name, set, time: Duration::from_secs(time) })
    }
}

/// What a change goes by.
pub(super) struct Settings {
    pub(super) algorithm: Algorithm,
    pub(super) lifetime: Duration,
    pub(super) schedule: Schedule,
    /// For how long a key signs that is made.
    interval: Duration,
    publish_ahead: Duration,
}

impl Settings {
    /// As the ring shows them, and as was said besides.
    pub(super) fn of(status: &RingStatus, said: &[ScheduleSetting]) -> Result<Self, Failure> {
        let made_last =
            status.keys.iter().max_by_key(|key| (key.times.published_at, key.times.signs_from));
        let algorithm = made_last.map(|key| key.algorithm.as_str()).unwrap_or_default();
        let algorithm = algorithm.parse().map_err(|_| {
            Failure::fault(format!(
                "the newest key of the ring signs with {}, which this release of the command does not know: run the release of the service",
                shown(algorithm)
            ))
        })?;
        let of = |name: &str| said.iter().rev().find(|it| it.name == name).map(|it| it.time);
        let publish_ahead = of("publish_ahead").unwrap_or(PUBLISH_AHEAD);
        // An interval that no schedule of this `publish_ahead` can have is not one that a service said.
        let shown = interval(status).filter(|interval| *interval >= publish_ahead * 2);
        let interval = of("interval").or(shown).unwrap_or(INTERVAL);
        let schedule = Schedule::new().interval(interval);
        let schedule = said.iter().fold(schedule, |schedule, it| (it.set)(schedule, it.time));
        let lifetime = status.longest_lifetime;
        Ok(Self { algorithm, lifetime, schedule, interval, publish_ahead })
    }

    /// Refuses a turn that could come before a verifier has the key: where the ring shows that its service publishes keys
    /// longer ahead than is said here.
    pub(super) fn check_turn(&self, status: &RingStatus) -> Result<(), Failure> {
        match published_ahead(status) {
            Some((key, ahead)) if ahead >= self.publish_ahead => Err(Failure::fault(format!(
                "the key {} was published {} before the one before it signs, so the service publishes keys longer ahead than {}: give its schedule, by --schedule publish_ahead=… and what else its code says",
                shown(&key.key_id),
                about(ahead),
                about(self.publish_ahead),
            ))),
            _ => Ok(()),
        }
    }

    /// In words.
    pub(super) fn told(&self) -> String {
        format!(
            "By these settings: {}, as the newest key has it; tokens of up to {}, as the ring has it; a key signs for {} and is published {} ahead. If the service has another `Schedule`, give it by --schedule.",
            self.algorithm,
            about(self.lifetime),
            about(self.interval),
            about(self.publish_ahead),
        )
    }
}

/// Keys that were not withdrawn, in the order in which they sign.
fn in_turn(status: &RingStatus) -> Vec<&KeyStatus> {
    status.keys.iter().filter(|key| key.times.withdrawn_at.is_none()).collect()
}

/// For how long a key signs: the last begins so long after the one before it.
fn interval(status: &RingStatus) -> Option<Duration> {
    match in_turn(status).as_slice() {
        [.., before, last] => Some(last.times.signs_from.since(before.times.signs_from)),
        _ => None,
    }
}

/// The longest time for which a key was published before the key before it signed. A key is made when the last one signs
/// within `publish_ahead`, and what is changed later about the last one makes it sign sooner: so this is always less.
fn published_ahead(status: &RingStatus) -> Option<(&KeyStatus, Duration)> {
    let keys = in_turn(status);
    let ahead = |key: &KeyStatus, before: &&KeyStatus| {
        let begins: StoreTime = before.times.signs_from;
        begins.since(key.times.published_at)
    };
    let all = keys
        .iter()
        .enumerate()
        .flat_map(|(at, key)| keys[..at].iter().map(move |before| (*key, ahead(key, before))));
    all.max_by_key(|(_, ahead)| *ahead)
}

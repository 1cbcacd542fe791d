//! For how long a key stands by, signs, and is published after that.
use core::fmt;
use core::time::Duration;

use crate::time::StoreTime;

use crate::debug_as_displayed::debug_as_displayed;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How many keys that sign no longer are published at most: verifiers fetch them all, and a ring has room for 64.
const MAX_PUBLISHED: u32 = 16;

/// When keys follow each other.
///
/// Every duration has a default that suits services whose tokens live for minutes. None has a floor of its own: what
/// they may be is said by [inequalities](ScheduleFault), which hold for days as for milliseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct Schedule {
    interval: Duration,
    publish_ahead: Duration,
    verifier_cache: Duration,
    reload: Duration,
    stale: Duration,
    skew: Duration,
    leeway: Duration,
    margin: Duration,
}

impl Default for Schedule {
    /// A key signs for 30 days and is published a day ahead.
    fn default() -> Self {
        Self {
            interval: 30 * DAY,
            publish_ahead: DAY,
            verifier_cache: 12 * HOUR,
            reload: MINUTE,
            stale: 10 * MINUTE,
            skew: 15 * SECOND,
            leeway: 30 * SECOND,
            margin: MINUTE,
        }
    }
}

impl Schedule {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// For how long a key signs.
    ///
    /// If you do not call it: 30 days. NIST SP 800-57 allows a year and more for a signing key; a month makes a key that
    /// was copied unnoticed worth little, and is often enough that the change is nothing new when it matters. Where an instance
    /// of other settings has tokens so long that over 16 keys would be published after they signed, it is longer.
    pub fn interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// For how long at least a key is published before it signs.
    ///
    /// If you do not call it: 24 hours.
    pub fn publish_ahead(self, publish_ahead: Duration) -> Self {
        Self { publish_ahead, ..self }
    }

    /// The longest time for which any verifier keeps a key set without asking again.
    ///
    /// If you do not call it: 12 hours. Portcullis keeps one for an hour at most, most libraries for 15 minutes or less. The
    /// key set itself says that it may be kept for 5 minutes: with less than that here, have verifiers look for keys that they
    /// do not know.
    pub fn verifier_cache(self, verifier_cache: Duration) -> Self {
        Self { verifier_cache, ..self }
    }

    /// How often an instance reads the ring.
    ///
    /// If you do not call it: once a minute.
    pub fn reload(self, reload: Duration) -> Self {
        Self { reload, ..self }
    }

    /// For how long an instance signs and publishes by what it read last, while the store is out of reach.
    ///
    /// If you do not call it: 10 minutes.
    pub fn stale(self, stale: Duration) -> Self {
        Self { stale, ..self }
    }

    /// By how much the clock of an instance, or of a verifier, may be off. An instance that is off by more does not sign.
    ///
    /// If you do not call it: 15 s, which NTP keeps by far. A verifier that is off by as much the other way takes a token
    /// for one of the future otherwise, with a leeway of 30 s.
    pub fn skew(self, skew: Duration) -> Self {
        Self { skew, ..self }
    }

    /// For how long verifiers accept a token beyond its expiry.
    ///
    /// If you do not call it: 30 s, as a policy of Portcullis does.
    pub fn leeway(self, leeway: Duration) -> Self {
        Self { leeway, ..self }
    }

    /// For how long a key is published beyond the last instant at which a token of it could pass.
    ///
    /// If you do not call it: 1 minute.
    pub fn margin(self, margin: Duration) -> Self {
        Self { margin, ..self }
    }

    /// Every inequality that does not hold.
    pub fn faults(&self) -> Vec<ScheduleFault> {
        let two_clocks = self.two_clocks();
        let twice_ahead = self.publish_ahead.saturating_mul(2);
        let needed = self.stale.saturating_add(self.verifier_cache).saturating_add(two_clocks);
        let found = [
            (self.publish_ahead < needed)
                .then_some(ScheduleFault::PublishAhead { is: self.publish_ahead, needed }),
            (self.stale >= self.publish_ahead).then_some(ScheduleFault::Stale {
                is: self.stale,
                publish_ahead: self.publish_ahead,
            }),
            (self.interval < twice_ahead)
                .then_some(ScheduleFault::Interval { is: self.interval, needed: twice_ahead }),
            (self.leeway < two_clocks)
                .then_some(ScheduleFault::Leeway { is: self.leeway, needed: two_clocks }),
            self.skew.is_zero().then_some(ScheduleFault::Skew),
            (self.reload.is_zero() || self.reload > self.stale)
                .then_some(ScheduleFault::Reload { is: self.reload, stale: self.stale }),
        ];
        found.into_iter().flatten().collect()
    }

    /// When every verifier has a key that is published now.
    pub(super) fn known_at(&self, now: StoreTime) -> StoreTime {
        now.after(self.publish_ahead)
    }

    /// When every instance that still signs has read what is written now, on the clock of each.
    pub(super) fn read_at(&self, now: StoreTime) -> StoreTime {
        now.after(self.stale).after(self.two_clocks())
    }

    /// The shortest interval for tokens that live as long as `lifetime`: with a shorter one, more than 16 keys that sign no
    /// longer would be published at once.
    fn shortest_interval(&self, lifetime: Duration) -> Duration {
        lifetime.saturating_add(self.beyond_expiry()) / MAX_PUBLISHED
    }

    /// Whether keys would follow each other too quickly for tokens that live as long as `lifetime`.
    pub(crate) fn fault_for(&self, lifetime: Duration) -> Option<ScheduleFault> {
        let needed = self.shortest_interval(lifetime);
        let is = self.interval;
        (is < needed).then_some(ScheduleFault::TooManyKeys { is, needed })
    }

    /// When a key that stands by from `now` on signs, behind one that signs from `before` on. `lifetime` is the longest of
    /// any instance: if its settings are others, the interval may be too short for it, and the key signs later.
    pub(super) fn successor_signs_from(
        &self,
        before: StoreTime,
        now: StoreTime,
        lifetime: Duration,
    ) -> StoreTime {
        let interval = self.interval.max(self.shortest_interval(lifetime));
        before.after(interval).max(now.after(self.publish_ahead))
    }

    /// What is over on the clock of every instance: what begins at once begins then, so that one which is behind does
    /// not wait for it.
    pub(super) fn on_every_clock(&self, now: StoreTime) -> StoreTime {
        now.before(self.two_clocks())
    }

    /// When no token of a key that signs no longer from `signs_until` on can pass by its times: the last, signed by the
    /// slowest clock, has passed the most lenient verifier. Until then the key is published, unless it was withdrawn.
    pub(crate) fn verifies_until(&self, signs_until: StoreTime, lifetime: Duration) -> StoreTime {
        signs_until.after(lifetime).after(self.beyond_expiry())
    }

    /// When the private part of such a key is erased: when no instance can still sign with it.
    pub(super) fn erased_at(&self, signs_until: StoreTime) -> StoreTime {
        signs_until.after(self.two_clocks()).after(self.reload)
    }

    /// The last expiry of a token whose key is published until `verifies_until`.
    pub(crate) fn last_expiry(&self, verifies_until: StoreTime) -> StoreTime {
        verifies_until.before(self.beyond_expiry())
    }

    /// For how long beyond its expiry a token may pass, and the margin.
    fn beyond_expiry(&self) -> Duration {
        self.leeway.saturating_add(self.two_clocks()).saturating_add(self.margin)
    }

    /// By how much two clocks may be apart: each is off, one to either side.
    fn two_clocks(&self) -> Duration {
        self.skew.saturating_mul(2)
    }

    /// For how long verifiers accept a token beyond its expiry.
    pub(crate) fn leeway_of_verifiers(&self) -> Duration {
        self.leeway
    }

    /// By how much a clock may be off.
    pub(crate) fn skew_allowed(&self) -> Duration {
        self.skew
    }

    /// How often an instance reads the ring.
    pub(crate) fn reload_every(&self) -> Duration {
        self.reload
    }

    /// For how long what was read may be signed and published by.
    pub fn stale_after(&self) -> Duration {
        self.stale
    }
}

/// An inequality that a [`Schedule`] does not meet.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum ScheduleFault {
    /// A verifier could meet a token of a key that it cannot have yet: an instance may publish an old set for as long
    /// as it goes without the store, a verifier may keep it for as long as it caches, and clocks differ.
    PublishAhead {
        /// What was said.
        is: Duration,
        /// [`stale`](Schedule::stale) + [`verifier_cache`](Schedule::verifier_cache) + 2 × [`skew`](Schedule::skew).
        needed: Duration,
    },
    /// An instance without its store could sign with a key whose successor it does not know.
    Stale {
        /// What was said.
        is: Duration,
        /// What it has to be shorter than.
        publish_ahead: Duration,
    },
    /// A key would stop signing before its successor has been published for long enough.
    Interval {
        /// What was said.
        is: Duration,
        /// 2 × [`publish_ahead`](Schedule::publish_ahead).
        needed: Duration,
    },
    /// Keys would follow each other so quickly that too many are published at once.
    TooManyKeys {
        /// The [`interval`](Schedule::interval) that was said.
        is: Duration,
        /// A 16th of (the lifetime of access tokens + [`leeway`](Schedule::leeway) + 2 × [`skew`](Schedule::skew) +
        /// [`margin`](Schedule::margin)).
        needed: Duration,
    },
    /// A verifier whose clock is behind would take the token of an instance whose clock is ahead for one of the future.
    Leeway {
        /// What was said.
        is: Duration,
        /// 2 × [`skew`](Schedule::skew).
        needed: Duration,
    },
    /// No clock is that of another to the millisecond.
    Skew,
    /// An instance would read the ring all the time, or not before what it has is too old to sign by.
    Reload {
        /// What was said.
        is: Duration,
        /// What it may be at most.
        stale: Duration,
    },
}

impl fmt::Display for ScheduleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PublishAhead { is, needed } => write!(
                f,
                "`publish_ahead` is {is:?}, and at least {needed:?} are needed: `stale` + `verifier_cache` + 2 × `skew`, since a verifier may know no newer key set"
            ),
            Self::Stale { is, publish_ahead } => write!(
                f,
                "`stale` is {is:?}, and has to be shorter than `publish_ahead`, which is {publish_ahead:?}: an instance without its store would not learn which key comes next"
            ),
            Self::Interval { is, needed } => write!(
                f,
                "`interval` is {is:?}, and at least {needed:?} are needed: 2 × `publish_ahead`, so that the next key is always published"
            ),
            Self::TooManyKeys { is, needed } => write!(
                f,
                "`interval` is {is:?}, and at least {needed:?} are needed: a 16th of the lifetime of access tokens and some more, since each key is published for that long after it signed"
            ),
            Self::Leeway { is, needed } => write!(
                f,
                "`leeway` is {is:?}, and at least {needed:?} are needed: 2 × `skew`, since the clocks of an instance and a verifier may be off to either side"
            ),
            Self::Skew => f.write_str("`skew` is 0, and no two clocks agree to the millisecond"),
            Self::Reload { is, stale } => write!(
                f,
                "`reload` is {is:?}, and has to be over 0 and at most `stale`, which is {stale:?}"
            ),
        }
    }
}

impl core::error::Error for ScheduleFault {}

debug_as_displayed!(ScheduleFault);

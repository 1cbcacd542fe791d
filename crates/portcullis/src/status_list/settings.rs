//! Every number of the status lists, its default and its bounds.
use core::ops::RangeInclusive;
use core::time::Duration;

use crate::fetch::SettingFault;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// See the setters of [`StatusLists`](super::StatusLists).
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) fresh_for: Duration,
    pub(super) min_fresh: Duration,
    pub(super) max_fresh: Duration,
    pub(super) max_age: Option<Duration>,
    pub(super) first_retry: Duration,
    pub(super) max_retry: Duration,
    pub(super) timeout: Duration,
    pub(super) max_bytes: usize,
    pub(super) max_list_bytes: usize,
    pub(super) max_lists: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            fresh_for: 5 * MINUTE,
            min_fresh: 10 * SECOND,
            max_fresh: HOUR,
            max_age: None,
            first_retry: SECOND,
            max_retry: MINUTE,
            timeout: 3 * SECOND,
            max_bytes: 1024 * 1024,
            max_list_bytes: 4 * 1024 * 1024,
            max_lists: 64,
        }
    }
}

impl Settings {
    /// What is out of its bounds.
    pub(super) fn faults(&self) -> impl Iterator<Item = SettingFault> {
        const MIB: usize = 1024 * 1024;
        let durations: [(_, _, RangeInclusive<Duration>, _); 7] = [
            ("fresh_for", self.fresh_for, SECOND..=DAY, "1 s to 24 h"),
            ("min_fresh", self.min_fresh, SECOND..=self.max_fresh, "1 s to `max_fresh`"),
            ("max_fresh", self.max_fresh, SECOND..=DAY, "1 s to 24 h"),
            ("max_age", self.max_age.unwrap_or(SECOND), SECOND..=Duration::MAX, "1 s or more"),
            ("first_retry", self.first_retry, 100 * MILLISECOND..=HOUR, "100 ms to 1 h"),
            ("max_retry", self.max_retry, self.first_retry..=HOUR, "`first_retry` to 1 h"),
            ("timeout", self.timeout, MILLISECOND..=MINUTE, "1 ms to 60 s"),
        ];
        let numbers: [(_, _, RangeInclusive<usize>, _); 3] = [
            ("max_bytes", self.max_bytes, 1024..=16 * MIB, "1 KiB to 16 MiB"),
            ("max_list_bytes", self.max_list_bytes, 1024..=64 * MIB, "1 KiB to 64 MiB"),
            ("max_lists", self.max_lists, 1..=1000, "1 to 1000"),
        ];
        let fault = |setting, allowed| SettingFault { setting, allowed };
        let durations =
            durations.into_iter().filter_map(move |(setting, value, bounds, allowed)| {
                (!bounds.contains(&value)).then(|| fault(setting, allowed))
            });
        let numbers = numbers.into_iter().filter_map(move |(setting, value, bounds, allowed)| {
            (!bounds.contains(&value)).then(|| fault(setting, allowed))
        });
        durations.chain(numbers)
    }

    /// How long after so many failures in a row the next fetch begins: doubled with each.
    pub(super) fn retry_after(&self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.first_retry.saturating_mul(doubled).min(self.max_retry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NANOSECOND: Duration = Duration::from_nanos(1);

    fn with(change: impl FnOnce(&mut Settings)) -> Vec<&'static str> {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.faults().map(|fault| fault.setting).collect()
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation_and_in_bounds() {
        let all = Settings::default();
        let seconds = [all.fresh_for, all.min_fresh, all.max_fresh, all.first_retry, all.max_retry];
        assert_eq!(seconds, [300, 10, 3600, 1, 60].map(Duration::from_secs));
        assert_eq!((all.timeout, all.max_age), (3 * SECOND, None));
        let sizes = (all.max_bytes, all.max_list_bytes, all.max_lists);
        assert_eq!(sizes, (1 << 20, 4 << 20, 64));
        assert_eq!(all.faults().count(), 0);
    }

    #[test]
    fn a_setting_has_two_bounds_and_may_be_either() {
        type Setting = fn(&mut Settings) -> &mut Duration;
        let rows: [(&str, Setting, _, _); 6] = [
            ("fresh_for", |it| &mut it.fresh_for, SECOND, DAY),
            ("min_fresh", |it| &mut it.min_fresh, SECOND, HOUR),
            ("max_fresh", |it| &mut it.max_fresh, 10 * SECOND, DAY),
            ("first_retry", |it| &mut it.first_retry, 100 * MILLISECOND, MINUTE),
            ("max_retry", |it| &mut it.max_retry, SECOND, HOUR),
            ("timeout", |it| &mut it.timeout, MILLISECOND, MINUTE),
        ];
        for (setting, at, least, most) in rows {
            for good in [least, most] {
                assert_eq!(with(|it| *at(it) = good), [] as [&str; 0], "{setting} {good:?}");
            }
            for bad in [least - NANOSECOND, most + NANOSECOND, Duration::MAX] {
                // Where two depend on each other, the one that is out of its bounds is named.
                let named = match (setting, bad < least) {
                    ("max_fresh", true) => "min_fresh",
                    ("first_retry", false) => "max_retry",
                    _ => setting,
                };
                assert!(with(|it| *at(it) = bad).contains(&named), "{setting} {bad:?}");
            }
        }
        for (age, is_good) in [(NANOSECOND, false), (SECOND, true), (Duration::MAX, true)] {
            assert_eq!(with(|it| it.max_age = Some(age)).is_empty(), is_good, "{age:?}");
        }
        type Number = fn(&mut Settings) -> &mut usize;
        let rows: [(&str, Number, _, _); 3] = [
            ("max_bytes", |it| &mut it.max_bytes, 1 << 10, 16 << 20),
            ("max_list_bytes", |it| &mut it.max_list_bytes, 1 << 10, 64 << 20),
            ("max_lists", |it| &mut it.max_lists, 1, 1000),
        ];
        for (setting, at, least, most) in rows {
            for good in [least, most] {
                assert_eq!(with(|it| *at(it) = good), [] as [&str; 0], "{setting} {good}");
            }
            for bad in [least - 1, most + 1] {
                assert_eq!(with(|it| *at(it) = bad), [setting], "{bad}");
            }
        }
    }

    #[test]
    fn each_failure_doubles_the_time_until_the_next_try_up_to_its_bound() {
        let settings = Settings::default();
        let seconds = |failures| settings.retry_after(failures).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 8].map(seconds), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(seconds(u32::MAX), 60);
    }
}

//! Every number of a remote key set, its default and its bounds.
use core::fmt;
use core::ops::RangeInclusive;
use core::time::Duration;

use super::address::is_proxy;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// See the setters of [`RemoteJwksOptions`](super::RemoteJwksOptions).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) fresh_for: Duration,
    pub(crate) min_fresh: Duration,
    pub(crate) max_fresh: Duration,
    pub(crate) refresh_at_percent: u8,
    pub(crate) cool_down: Duration,
    pub(crate) max_wait: Duration,
    pub(crate) max_waiting: usize,
    pub(crate) max_waiting_without_keys: usize,
    pub(crate) first_retry: Duration,
    pub(crate) max_retry: Duration,
    pub(crate) max_stale: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) max_bytes: usize,
    pub(crate) max_keys: usize,
    /// Whether metadata may name keys of their own origin only, where that was said.
    pub(crate) same_origin: Option<bool>,
    pub(crate) load_at_start: bool,
    pub(crate) proxy: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            fresh_for: 5 * MINUTE,
            min_fresh: MINUTE,
            max_fresh: HOUR,
            refresh_at_percent: 80,
            cool_down: 30 * SECOND,
            max_wait: 2 * SECOND,
            max_waiting: 64,
            max_waiting_without_keys: 2048,
            first_retry: SECOND,
            max_retry: MINUTE,
            max_stale: DAY,
            connect_timeout: 2 * SECOND,
            timeout: 5 * SECOND,
            max_bytes: 256 * 1024,
            max_keys: 100,
            same_origin: None,
            load_at_start: false,
            proxy: None,
        }
    }
}

impl Settings {
    /// What is out of its bounds.
    pub(super) fn faults(&self) -> Vec<SettingFault> {
        const MILLISECOND: Duration = Duration::from_millis(1);
        let durations: [(_, _, RangeInclusive<Duration>, _); 10] = [
            ("fresh_for", self.fresh_for, SECOND..=DAY, "1 s to 24 h"),
            ("min_fresh", self.min_fresh, SECOND..=self.max_fresh, "1 s to `max_fresh`"),
            ("max_fresh", self.max_fresh, SECOND..=DAY, "1 s to 24 h"),
            ("cool_down", self.cool_down, SECOND..=HOUR, "1 s to 1 h"),
            ("max_wait", self.max_wait, Duration::ZERO..=MINUTE, "0 to 60 s"),
            ("first_retry", self.first_retry, 100 * MILLISECOND..=HOUR, "100 ms to 1 h"),
            ("max_retry", self.max_retry, self.first_retry..=HOUR, "`first_retry` to 1 h"),
            ("max_stale", self.max_stale, self.fresh_for..=7 * DAY, "`fresh_for` to 7 days"),
            ("connect_timeout", self.connect_timeout, MILLISECOND..=MINUTE, "1 ms to 60 s"),
            ("timeout", self.timeout, MILLISECOND..=MINUTE, "1 ms to 60 s"),
        ];
        let numbers: [(_, _, RangeInclusive<usize>, _); 5] = [
            ("refresh_at_percent", self.refresh_at_percent.into(), 1..=90, "1 to 90"),
            ("max_waiting", self.max_waiting, 0..=100_000, "0 to 100000"),
            ("max_waiting_without_keys", self.max_waiting_without_keys, 0..=100_000, "0 to 100000"),
            ("max_bytes", self.max_bytes, 1024..=4 * 1024 * 1024, "1 KiB to 4 MiB"),
            ("max_keys", self.max_keys, 1..=1000, "1 to 1000"),
        ];
        let fault = |setting, allowed| SettingFault { setting, allowed };
        let durations = durations.into_iter().filter_map(|(setting, value, bounds, allowed)| {
            (!bounds.contains(&value)).then(|| fault(setting, allowed))
        });
        let numbers = numbers.into_iter().filter_map(|(setting, value, bounds, allowed)| {
            (!bounds.contains(&value)).then(|| fault(setting, allowed))
        });
        let is_bad = self.proxy.as_deref().is_some_and(|proxy| !is_proxy(proxy));
        let allowed =
            "`http://` or `https://` and a host, perhaps with a port, without user and path";
        let proxy = is_bad.then(|| fault("proxy", allowed));
        durations.chain(numbers).chain(proxy).collect()
    }
}

/// A setting that is out of its bounds, or was said twice and not alike.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SettingFault {
    /// Its name.
    pub setting: &'static str,
    /// What it may be.
    pub allowed: &'static str,
}

impl SettingFault {
    /// The fault of the setting with this name, which may only be what is `allowed`: to compare with.
    pub fn new(setting: &'static str, allowed: &'static str) -> Self {
        Self { setting, allowed }
    }

    /// Two different words about a setting: neither counts.
    pub(crate) fn said_twice(setting: &'static str) -> Self {
        Self::new(setting, "said once, or alike each time")
    }
}

impl fmt::Display for SettingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` must be {}", self.setting, self.allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);
    const NANOSECOND: Duration = Duration::from_nanos(1);

    fn with(change: impl FnOnce(&mut Settings)) -> Vec<SettingFault> {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.faults()
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let Settings {
            fresh_for,
            min_fresh,
            max_fresh,
            refresh_at_percent,
            cool_down,
            max_wait,
            max_waiting,
            max_waiting_without_keys,
            first_retry,
            max_retry,
            max_stale,
            connect_timeout,
            timeout,
            max_bytes,
            max_keys,
            same_origin,
            load_at_start,
            proxy,
        } = Settings::default();
        let seconds = [
            fresh_for,
            min_fresh,
            max_fresh,
            cool_down,
            max_wait,
            first_retry,
            max_retry,
            max_stale,
            connect_timeout,
            timeout,
        ];
        let expected = [300, 60, 3600, 30, 2, 1, 60, 86400, 2, 5];
        assert_eq!(seconds, expected.map(Duration::from_secs));
        assert_eq!((refresh_at_percent, max_bytes, max_keys), (80, 262_144, 100));
        assert_eq!((max_waiting, max_waiting_without_keys), (64, 2048));
        assert_eq!((same_origin, load_at_start, proxy), (None, false, None));
        assert_eq!(Settings::default().faults(), []);
    }

    #[test]
    fn a_duration_has_two_bounds_and_may_be_either() {
        type Setting = fn(&mut Settings) -> &mut Duration;
        let rows: [(&str, Setting, _, _, _); 10] = [
            ("fresh_for", |it| &mut it.fresh_for, SECOND, DAY, "1 s to 24 h"),
            ("min_fresh", |it| &mut it.min_fresh, SECOND, HOUR, "1 s to `max_fresh`"),
            ("max_fresh", |it| &mut it.max_fresh, MINUTE, DAY, "1 s to 24 h"),
            ("cool_down", |it| &mut it.cool_down, SECOND, HOUR, "1 s to 1 h"),
            ("max_wait", |it| &mut it.max_wait, Duration::ZERO, MINUTE, "0 to 60 s"),
            ("first_retry", |it| &mut it.first_retry, 100 * MILLISECOND, MINUTE, "100 ms to 1 h"),
            ("max_retry", |it| &mut it.max_retry, SECOND, HOUR, "`first_retry` to 1 h"),
            ("max_stale", |it| &mut it.max_stale, 5 * MINUTE, 7 * DAY, "`fresh_for` to 7 days"),
            ("connect_timeout", |it| &mut it.connect_timeout, MILLISECOND, MINUTE, "1 ms to 60 s"),
            ("timeout", |it| &mut it.timeout, MILLISECOND, MINUTE, "1 ms to 60 s"),
        ];
        for (setting, at, least, most, allowed) in rows {
            for good in [least, most] {
                assert_eq!(with(|settings| *at(settings) = good), [], "{setting} {good:?}");
            }
            let bad = [least.checked_sub(NANOSECOND), Some(most + NANOSECOND), Some(Duration::MAX)];
            for bad in bad.into_iter().flatten() {
                let faults = with(|settings| *at(settings) = bad);
                // Where two depend on each other, the one that is out of its bounds is named.
                let fault = match (setting, bad < least) {
                    ("max_fresh", true) => {
                        SettingFault { setting: "min_fresh", allowed: "1 s to `max_fresh`" }
                    }
                    ("first_retry", false) => {
                        assert!(faults.iter().any(|fault| fault.setting == "max_retry"), "{bad:?}");
                        continue;
                    }
                    _ => SettingFault { setting, allowed },
                };
                assert!(faults.contains(&fault), "{setting} {bad:?}: {faults:?}");
            }
        }
    }

    #[test]
    fn settings_that_bound_each_other_have_bounds_of_their_own() {
        let named = |setting| move |fault: &SettingFault| fault.setting == setting;
        let short = |it: &mut Settings| {
            (it.min_fresh, it.max_fresh) = (SECOND, SECOND - NANOSECOND);
        };
        assert!(with(short).iter().any(named("max_fresh")));
        let long = |it: &mut Settings| {
            (it.first_retry, it.max_retry) = (HOUR + NANOSECOND, HOUR + NANOSECOND);
        };
        assert!(with(long).iter().any(named("first_retry")));
        assert!(with(long).iter().any(named("max_retry")));
        let whole_hour = |it: &mut Settings| (it.first_retry, it.max_retry) = (HOUR, HOUR);
        assert_eq!(with(whole_hour), []);
        let second = |it: &mut Settings| (it.min_fresh, it.max_fresh) = (SECOND, SECOND);
        assert_eq!(with(second), []);
        let days = |it: &mut Settings| (it.fresh_for, it.max_stale) = (DAY, DAY);
        assert_eq!(with(days), []);
    }

    #[test]
    fn a_number_has_two_bounds_and_may_be_either() {
        let fault = |setting, allowed| vec![SettingFault { setting, allowed }];
        for (percent, is_good) in [(0, false), (1, true), (90, true), (91, false), (255, false)] {
            let expected = if is_good { vec![] } else { fault("refresh_at_percent", "1 to 90") };
            assert_eq!(with(|it| it.refresh_at_percent = percent), expected, "{percent}");
        }
        for (requests, is_good) in [(0, true), (100_000, true), (100_001, false)] {
            let expected = if is_good { vec![] } else { fault("max_waiting", "0 to 100000") };
            assert_eq!(with(|it| it.max_waiting = requests), expected, "{requests}");
            let (name, allowed) = ("max_waiting_without_keys", "0 to 100000");
            let expected = if is_good { vec![] } else { fault(name, allowed) };
            let found = with(|it| it.max_waiting_without_keys = requests);
            assert_eq!(found, expected, "{requests}");
        }
        for (bytes, is_good) in
            [(0, false), (1023, false), (1024, true), (4_194_304, true), (4_194_305, false)]
        {
            let expected = if is_good { vec![] } else { fault("max_bytes", "1 KiB to 4 MiB") };
            assert_eq!(with(|it| it.max_bytes = bytes), expected, "{bytes}");
        }
        for (keys, is_good) in [(0, false), (1, true), (1000, true), (1001, false)] {
            let expected = if is_good { vec![] } else { fault("max_keys", "1 to 1000") };
            assert_eq!(with(|it| it.max_keys = keys), expected, "{keys}");
        }
    }

    #[test]
    fn all_that_is_out_of_bounds_is_said() {
        let faults = with(|it| (it.max_keys, it.timeout, it.cool_down) = (0, HOUR, HOUR * 2));
        let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "`cool_down` must be 1 s to 1 h",
                "`timeout` must be 1 ms to 60 s",
                "`max_keys` must be 1 to 1000",
            ]
        );
    }
}

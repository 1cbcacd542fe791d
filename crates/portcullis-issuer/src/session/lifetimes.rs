//! How long sessions last.
use core::fmt;
use core::time::Duration;

use crate::debug_as_displayed::debug_as_displayed;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest that a session may last, whatever it is used for: a year. Who comes back after that authenticates.
const LONGEST: Duration = DAY.saturating_mul(365);

/// How many windows an access token lives at least. Two who hold one token and each come back once in its lifetime are found out,
/// unless both come within the window: with this, in nine of ten cases at the first time.
const WINDOWS: u32 = 10;

/// How long sessions last: until nobody came back for a while, and until they end whatever happens.
///
/// There is no default: choose what your service has to reach, by *authentication assurance level* (NIST SP 800-63B-4
/// §2.1.3, §2.2.3, §2.3.3).
///
/// | | idle | end | for |
/// | --- | --- | --- | --- |
/// | [`aal1`](Self::aal1) | 7 days | 30 days | one factor. Where the user is not to be remembered: 12 hours, and 24 |
/// | [`aal2`](Self::aal2) | 1 hour | 24 hours | two factors |
/// | [`aal3`](Self::aal3) | 15 minutes | 12 hours | administrators. Access tokens live 7 min 30 s at most |
///
/// Times count at the server. How long a browser keeps a cookie adds nothing to them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lifetimes {
    pub(crate) remembered: Lifetime,
    pub(crate) passing: Lifetime,
}

/// How long one session lasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Lifetime {
    /// Until nobody came back for so long.
    pub(crate) idle: Duration,
    /// From its begin, whatever happens.
    pub(crate) end: Duration,
}

impl Lifetimes {
    /// For one factor: 7 days without use, 30 days in all. Of a user who is not to be remembered: 12 hours, and 24.
    pub const fn aal1() -> Self {
        Self::custom(DAY.saturating_mul(7), DAY.saturating_mul(30))
            .not_remembered(HOUR.saturating_mul(12), DAY)
    }

    /// For two factors: an hour without use, 24 hours in all.
    pub const fn aal2() -> Self {
        Self::custom(HOUR, DAY)
    }

    /// For those who may do much: 15 minutes without use, 12 hours in all.
    pub const fn aal3() -> Self {
        Self::custom(MINUTE.saturating_mul(15), HOUR.saturating_mul(12))
    }

    /// Lifetimes of your own: a session ends when nobody came back for `idle`, and `end` after its begin in any case.
    ///
    /// What does not hold together is a [fault](LifetimeFault) where sessions are built: `idle` is at least twice as long as an access token lives, and `end`
    /// no shorter and at most 365 days.
    pub const fn custom(idle: Duration, end: Duration) -> Self {
        let lifetime = Lifetime { idle, end };
        Self { remembered: lifetime, passing: lifetime }
    }

    /// For a user who is [not to be remembered](crate::Login::remember), such as at a machine that others use as well.
    ///
    /// If you do not call it: the same.
    #[must_use]
    pub const fn not_remembered(mut self, idle: Duration, end: Duration) -> Self {
        self.passing = Lifetime { idle, end };
        self
    }

    /// What does not hold together, with access tokens that live for `access`, and this retry window.
    pub(crate) fn faults(&self, access: Duration, window: Duration) -> Vec<LifetimeFault> {
        let mut faults = Vec::new();
        if access < window * WINDOWS {
            faults.push(LifetimeFault::Window { window, access });
        }
        let mut lifetimes = vec![self.remembered];
        if self.passing != self.remembered {
            lifetimes.push(self.passing);
        }
        for Lifetime { idle, end } in lifetimes {
            let least = 2 * access.max(window);
            if idle < least {
                faults.push(LifetimeFault::Idle { idle, access, least });
            }
            if end < idle || end > LONGEST {
                faults.push(LifetimeFault::End { idle, end });
            }
        }
        faults
    }
}

/// Why lifetimes are refused.
#[non_exhaustive]
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum LifetimeFault {
    /// The retry window is too long beside the life of an access token.
    Window {
        /// The window.
        window: Duration,
        /// How long an access token lives.
        access: Duration,
    },
    /// Sessions would end while their users are there.
    Idle {
        /// After how long without use.
        idle: Duration,
        /// How long an access token lives.
        access: Duration,
        /// What is accepted at least.
        least: Duration,
    },
    /// Sessions would end before they are idle, or never.
    End {
        /// After how long without use.
        idle: Duration,
        /// After how long in any case.
        end: Duration,
    },
}

impl fmt::Display for LifetimeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window { window, access } => write!(
                f,
                "a retry window of {window:?} with access tokens that live {access:?}: two who hold one session would seldom be told apart; have access tokens live {WINDOWS} windows at least, or shorten the window"
            ),
            Self::Idle { idle, access, least } => write!(
                f,
                "sessions that end after {idle:?} without use, with access tokens that live {access:?}: a user who is there comes back only when an access token is over; at least {least:?} are accepted, or shorter access tokens"
            ),
            Self::End { idle, end } => write!(
                f,
                "sessions that end after {end:?}, and after {idle:?} without use: the end is no earlier, and at most {} days are accepted",
                LONGEST.as_secs() / DAY.as_secs()
            ),
        }
    }
}

impl core::error::Error for LifetimeFault {}

debug_as_displayed!(LifetimeFault);

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(30);
    const ACCESS: Duration = Duration::from_secs(15 * 60);

    #[test]
    fn each_level_holds_together() {
        assert_eq!(Lifetimes::aal1().faults(ACCESS, WINDOW), []);
        assert_eq!(Lifetimes::aal2().faults(ACCESS, WINDOW), []);
        assert_eq!(Lifetimes::aal3().faults(MINUTE * 7, WINDOW), []);
    }

    #[test]
    fn every_fault_is_told() {
        let second = Duration::from_secs(1);
        let (window, access) = (WINDOW, WINDOW * 10 - second);
        let told = Lifetimes::aal2().faults(access, window);
        assert_eq!(told, [LifetimeFault::Window { window, access }]);

        let (idle, least) = (MINUTE * 15, MINUTE * 30);
        let told = Lifetimes::aal3().faults(ACCESS, WINDOW);
        assert_eq!(told, [LifetimeFault::Idle { idle, access: ACCESS, least }]);

        let (idle, end) = (HOUR, HOUR - second);
        let told = Lifetimes::custom(idle, end).faults(ACCESS, WINDOW);
        assert_eq!(told, [LifetimeFault::End { idle, end }]);
        let end = LONGEST + second;
        let told = Lifetimes::aal1().not_remembered(HOUR, end).faults(ACCESS, WINDOW);
        assert_eq!(told, [LifetimeFault::End { idle: HOUR, end }]);
        assert_eq!(Lifetimes::custom(HOUR, LONGEST).faults(ACCESS, WINDOW), []);
        // No window, no rule about it.
        assert_eq!(Lifetimes::aal2().faults(second, Duration::ZERO), []);
    }
}

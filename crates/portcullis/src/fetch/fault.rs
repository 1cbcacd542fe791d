//! What is wrong with a setting.
use core::fmt;

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
        Self::new(setting, "set once, or to the same value each time")
    }
}

impl fmt::Display for SettingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` must be {}", self.setting, self.allowed)
    }
}

impl core::error::Error for SettingFault {}

//! Messages that are printed by whatever means.

/// The `Debug` of errors that a program meets when it starts: `unwrap` and a `main` that returns them print
/// it, and what they print has to name the fault and the way out.
macro_rules! debug_as_displayed {
    ($error:ty) => {
        impl core::fmt::Debug for $error {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }
    };
}

/// All that is wrong with a setting: each fault on a line of its own, whether by `Display` or by `Debug`.
macro_rules! list_of_faults {
    ($(#[$doc:meta])* $list:ident of $fault:ty) => {
        $(#[$doc])*
        #[derive(Clone, Eq, PartialEq)]
        pub struct $list(Vec<$fault>);

        impl $list {
            /// Each of them.
            pub fn iter(&self) -> impl Iterator<Item = &$fault> {
                self.0.iter()
            }
        }

        impl core::fmt::Display for $list {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                for (at, fault) in self.0.iter().enumerate() {
                    if at > 0 {
                        f.write_str("\n")?;
                    }
                    fault.fmt(f)?;
                }
                Ok(())
            }
        }

        $crate::debug_as_displayed::debug_as_displayed!($list);

        impl core::error::Error for $list {}
    };
}

pub(crate) use {debug_as_displayed, list_of_faults};

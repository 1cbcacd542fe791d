//! Messages that are printed by whatever means.

/// The `Debug` of errors: `unwrap`, and a `main` that returns them, print it, and what they print has to name the fault and
/// the way out.
macro_rules! debug_as_displayed {
    ($($error:ty),+ $(,)?) => {$(
        impl core::fmt::Debug for $error {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }
    )+};
}

pub(crate) use debug_as_displayed;

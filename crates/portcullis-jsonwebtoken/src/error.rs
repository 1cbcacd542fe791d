use core::fmt;

use portcullis::error::UnknownAlgorithm;
use portcullis::keys::KeyFault;

/// A `Validation`, or a key, that does not make a policy.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum ConversionError {
    /// The setting leaves open what a policy must say.
    Open {
        /// Its name.
        setting: &'static str,
    },
    /// The setting turns a check off that a policy always makes.
    TurnedOff {
        /// Its name.
        setting: &'static str,
    },
    /// The setting has no counterpart, or not with this value.
    Unsupported {
        /// Its name.
        setting: &'static str,
    },
    /// An algorithm that is not known here.
    Algorithm(UnknownAlgorithm),
    /// A key that cannot be used.
    Key(KeyFault),
}

impl fmt::Display for ConversionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { setting } => {
                write!(
                    f,
                    "`Validation::{setting}` is not set, and a policy has no default for it: set it"
                )
            }
            Self::TurnedOff { setting } => {
                write!(
                    f,
                    "`Validation::{setting}` is turned off, and a policy always checks it: turn it on"
                )
            }
            Self::Unsupported { setting } => {
                write!(
                    f,
                    "`Validation::{setting}` has a value that a policy has no setting for: build the `Issuer` by hand"
                )
            }
            Self::Algorithm(error) => error.fmt(f),
            Self::Key(fault) => fault.fmt(f),
        }
    }
}

/// Prints the message, so that a program whose `main` returns it says what is wrong.
impl fmt::Debug for ConversionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for ConversionError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_prints_the_message() {
        let error = ConversionError::Open { setting: "aud" };
        assert_eq!(format!("{error:?}"), error.to_string());
    }
}

//! Why a session ended.
use core::fmt;

/// Why a session ended: one of a closed list, for who asks about it later.
///
/// A session that nobody came back to, or whose time is over, did not end for a reason: its times say so.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum EndReason {
    /// Its user signed out.
    SignedOut,
    /// Its user, or an administrator, signed it out from another session.
    SignedOutElsewhere,
    /// Its user was signed out everywhere.
    SignedOutEverywhere,
    /// Its user signed in anew in the same place, which made another session.
    NewLogin,
    /// Its subject has as many sessions as it may have, and this was the oldest.
    TooMany,
    /// A refresh token came that was rotated away before: two hold the session.
    Replay,
    /// A refresh token came that is newer than any that the store knows: the store lost what it knew.
    LostRotation,
    /// The list of revocations names it, and the store had it as good: the store lost its end.
    Revoked,
    /// The application says that the subject's account is disabled, or deleted.
    AccountDisabled,
    /// The application says that what the subject authenticates with was changed.
    CredentialsChanged,
    /// The application says that the subject may not go on, for a reason of its own.
    Application,
    /// An operator ended it.
    Operator,
    /// A later release ended it, for a reason that this one does not know.
    Unknown,
}

impl EndReason {
    /// All that a session is ended for.
    pub const ALL: [Self; 12] = [
        Self::SignedOut,
        Self::SignedOutElsewhere,
        Self::SignedOutEverywhere,
        Self::NewLogin,
        Self::TooMany,
        Self::Replay,
        Self::LostRotation,
        Self::Revoked,
        Self::AccountDisabled,
        Self::CredentialsChanged,
        Self::Application,
        Self::Operator,
    ];

    /// Its name, in metrics and for the command line: lower case, with underscores.
    pub fn name(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::SignedOutElsewhere => "signed_out_elsewhere",
            Self::SignedOutEverywhere => "signed_out_everywhere",
            Self::NewLogin => "new_login",
            Self::TooMany => "too_many",
            Self::Replay => "replay",
            Self::LostRotation => "lost_rotation",
            Self::Revoked => "revoked",
            Self::AccountDisabled => "account_disabled",
            Self::CredentialsChanged => "credentials_changed",
            Self::Application => "application",
            Self::Operator => "operator",
            Self::Unknown => "unknown",
        }
    }

    /// The number that a store keeps for it, which no release changes.
    pub fn code(self) -> u8 {
        match self {
            Self::SignedOut => 1,
            Self::SignedOutElsewhere => 2,
            Self::SignedOutEverywhere => 3,
            Self::NewLogin => 4,
            Self::TooMany => 5,
            Self::Replay => 6,
            Self::LostRotation => 7,
            Self::Revoked => 8,
            Self::AccountDisabled => 9,
            Self::CredentialsChanged => 10,
            Self::Application => 11,
            Self::Operator => 12,
            Self::Unknown => 0,
        }
    }

    /// The reason of this number.
    pub fn from_code(code: u8) -> Self {
        Self::ALL.into_iter().find(|reason| reason.code() == code).unwrap_or(Self::Unknown)
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SignedOut => "its user signed out",
            Self::SignedOutElsewhere => "it was signed out from another session",
            Self::SignedOutEverywhere => "its user was signed out everywhere",
            Self::NewLogin => "its user signed in anew in the same place",
            Self::TooMany => "its subject had too many sessions, and it was the oldest",
            Self::Replay => "a refresh token came that was rotated away before",
            Self::LostRotation => "the store lost its last rotation",
            Self::Revoked => "the list of revocations names it",
            Self::AccountDisabled => "its account is disabled",
            Self::CredentialsChanged => "what its user authenticates with was changed",
            Self::Application => "the application ended it",
            Self::Operator => "an operator ended it",
            Self::Unknown => "a later release ended it, for a reason that this one does not know",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_found_by_its_number_and_no_two_have_one() {
        for (at, reason) in EndReason::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(reason.code()), at + 1);
            assert_eq!(EndReason::from_code(reason.code()), reason);
        }
        for unknown in [0, 13, 255] {
            assert_eq!(EndReason::from_code(unknown), EndReason::Unknown);
        }
        let mut names = EndReason::ALL.map(EndReason::name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}

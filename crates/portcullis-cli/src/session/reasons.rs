//! What happened to a session that ended, and what an operator does about it.
use portcullis_issuer::EndReason;

/// What happened, and what an operator does about it.
pub(super) struct Advice {
    pub(super) happened: &'static str,
    pub(super) advice: &'static str,
}

/// Why a session is over that nobody ended.
pub(super) const IDLE: Advice = Advice {
    happened: "Nobody came back for as long as the session may go unused.",
    advice: "There is nothing to do: its user logs in again. Do users say that they came back in time? Then look whether their client refreshes, and how long `Lifetimes` of the service lets a session go unused.",
};

/// As [`IDLE`].
pub(super) const EXPIRED: Advice = Advice {
    happened: "It lasted as long as a session may, however much it is used.",
    advice: "There is nothing to do: its user logs in again. `Lifetimes` of the service says how long sessions last.",
};

/// As [`IDLE`].
pub(super) const OUTDATED: Advice = Advice {
    happened: "Its subject was logged out everywhere, and the store knows of that, but has not ended the session. The store lost a commit, or somebody changed its rows.",
    advice: "The session does not go on: its next refresh ends it. Find out who else writes to the database, and whether it had a failover.",
};

pub(super) fn advice(reason: EndReason) -> Advice {
    let (happened, advice) = match reason {
        EndReason::SignedOut => ("Its user signed out.", "There is nothing to do."),
        EndReason::SignedOutElsewhere => (
            "Its user, or an administrator, ended it from another session, as in a list of devices.",
            "There is nothing to do if one of them did. If not, somebody else is in the account: log the subject out everywhere with `portcullis session end --subject`, and have the user choose another password.",
        ),
        EndReason::SignedOutEverywhere => (
            "Its user was signed out everywhere: all sessions of the subject ended.",
            "There is nothing to do if the user did that. If not, somebody else is in the account: have the user choose another password.",
        ),
        EndReason::NewLogin => (
            "Its user logged in again in the same browser or app, and another session took the place of this one.",
            "There is nothing to do. Does it happen each time that the user comes back? Then the client logs in where it should refresh.",
        ),
        EndReason::TooMany => (
            "Its subject began another session, had as many as it may have, and this was the oldest.",
            "Look at `portcullis session list`. Has the user fewer devices than sessions? Then somebody else logs in, or a client logs in where it should refresh. If the user has that many, raise `sessions_per_subject` of the service.",
        ),
        EndReason::Replay => (
            "A refresh token came that was rotated away before. So two held the session: a thief and the user, or a client that kept an old token. Nobody can tell which, so the session ended for both.",
            "Ask the user, and look for the session in the log of the service: it says which rotation the token was of, and where the session was by then. A token that is many rotations old was probably copied: log the subject out everywhere with `portcullis session end --subject`. One rotation, again and again or with many users, is probably a client that does not store the new token, or that refreshes twice at once: look at its last release.",
        ),
        EndReason::LostRotation => (
            "A refresh token came that is newer than any that the store knows. The store lost commits: a failover to a replica that was behind, or a backup that was restored.",
            "Its user logs in again. Find out what the database lost, and have a failover wait for replicas (`synchronous_commit`). After a restored backup, sessions that had ended are back: end all with `portcullis session end --all`.",
        ),
        EndReason::Revoked => (
            "The list of revocations names the session, or its subject, and the store had the session as good. The store lost the end of it, as by a failover or a restored backup; or somebody revoked it in the list alone.",
            "The session stays ended. Did nobody revoke it by hand? Then find out what the database lost. After a restored backup, end all sessions with `portcullis session end --all`.",
        ),
        EndReason::AccountDisabled => (
            "The application said that the account of the subject is disabled or deleted.",
            "There is nothing to do if it is. If it is not, look at what the service answers in `ask` of its sessions for this subject.",
        ),
        EndReason::CredentialsChanged => (
            "The application said that what the subject authenticates with was changed, such as a password.",
            "There is nothing to do if the user changed it. If not, somebody else did: lock the account.",
        ),
        EndReason::Application => (
            "The application said that the subject may not go on, for a reason of its own.",
            "Look for the session in the log of the application, which knows the reason.",
        ),
        EndReason::Operator => (
            "An operator ended it, with `portcullis session end` or a program of yours.",
            "There is nothing to do: its user logs in again.",
        ),
        // Also what a later release adds.
        _ => (
            "A later release ended it, for a reason that this command does not know.",
            "Ask the command of the release that the service runs.",
        ),
    };
    Advice { happened, advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_sentences_of_its_own() {
        let mut told: Vec<_> =
            EndReason::ALL.into_iter().map(|reason| advice(reason).happened).collect();
        told.push(advice(EndReason::Unknown).happened);
        told.extend([IDLE, EXPIRED, OUTDATED].map(|it| it.happened));
        told.sort_unstable();
        assert!(told.windows(2).all(|pair| pair[0] != pair[1]), "{told:?}");
    }
}

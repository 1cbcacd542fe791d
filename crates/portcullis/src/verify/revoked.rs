//! Whether a token was revoked, or could not be.
use super::wait::{Incomplete, Pending};
use crate::claims::Valid;
use crate::error::{Error, RevocationError};
use crate::revocation::RevocationOutcome;
use crate::terms::Generation;
use crate::verified::VerifiedToken;
use crate::verifier::{Rules, Verifier};

/// Checks that a token could be revoked where it has to be.
pub(super) fn check_revocable(rules: &Rules, token: &VerifiedToken) -> Result<(), Error> {
    rules.revocations.check_needs(token)?;
    #[cfg(feature = "status-list")]
    rules.status.check(token)?;
    Ok(())
}

/// Asks whether a token was revoked, and remembers it if it was not. `generation` was read before.
pub(super) fn check_revoked(
    verifier: &Verifier,
    text: &[u8],
    Valid(token): Valid,
    is_remembered: bool,
    generation: Generation,
) -> Result<VerifiedToken, Incomplete> {
    let Verifier { rules, cache, .. } = verifier;
    match rules.revocations.ask(&token) {
        Ok(RevocationOutcome::Later(answers)) => {
            Err(Incomplete::NeedsRevocation(Pending { token, generation, answers }))
        }
        Ok(outcome) => {
            if matches!(outcome, RevocationOutcome::Active) {
                token.set_active_in(generation);
            }
            if !is_remembered {
                cache.insert(text, &token);
            }
            Ok(token)
        }
        Err(error) => {
            // While it cannot be told, no request shall cost a signature.
            if is_remembered && error == RevocationError::Revoked {
                cache.forget(text, &token);
            }
            Err(error.into())
        }
    }
}

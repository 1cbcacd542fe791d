//! Tokens whose connections live on.
use super::keys::{seek, with_keys};
use super::wait::{Blocked, Pending, Seeking, sought};
use super::{check_revocable, party};
use crate::claims;
use crate::error::Error;
use crate::keys::{Candidates, KeyError, KeysUnavailable};
use crate::revocation::Asked;
use crate::rules::Rules;
use crate::time::UnixTime;
use crate::verified::VerifiedToken;

/// Decides again about a token that this or another policy verified, for a connection that outlives its
/// request.
pub(crate) fn recheck(
    rules: &Rules,
    token: &VerifiedToken,
    now: UnixTime,
    seeking: Seeking,
) -> Result<(), Blocked> {
    check_again(rules, token, now, seeking)?;
    let generation = rules.terms.generation(rules.revocations.generation());
    match rules.revocations.ask(token)? {
        Asked::Later(answers) => {
            Err(Blocked::Revocation(Pending { token: token.clone(), generation, answers }))
        }
        Asked::Active | Asked::Unknown => Ok(()),
    }
}

/// Asks of a token all that [`verify`](super::verify) asks of its text, but for two things: its signature, which cannot have
/// changed, and whether it was revoked.
pub(super) fn check_again(
    rules: &Rules,
    token: &VerifiedToken,
    now: UnixTime,
    seeking: Seeking,
) -> Result<(), Blocked> {
    let parts = token.parts();
    parts.check_limits(rules.limits)?;
    let party = party(rules, parts, None)?;
    claims::screen(parts, &party.issuer().rules, now)?;
    let party = with_keys(parts, party, seeking)?;
    let issuer = party.issuer();
    let query = parts.key_query();
    match Candidates::find(&issuer.keys, &query, now) {
        Ok(candidates) if candidates.iter().any(|key| key.verifies_alike(token.key())) => {}
        Err(error) if error != KeyError::Unknown => return Err(error.into()),
        // Keys that are not there, since they are out of reach or yet to come: nobody took this one back.
        Ok(_) | Err(_) if issuer.keys.iter().all(|source| source.keys().is_empty()) => {
            let unavailable = KeyError::Unavailable(KeysUnavailable::default());
            return Err(seek(issuer, &query, seeking, unavailable));
        }
        // Another key of that id.
        Ok(_) => return Err(KeyError::Withdrawn.into()),
        // One answer without it does not say that it is gone: it may have come from a server that is behind.
        Err(_) => return Err(seek(issuer, &query, seeking, KeyError::Withdrawn)),
    }
    claims::check_anew(token, &issuer.rules, now)?;
    check_revocable(rules, token)?;
    party.prove();
    Ok(())
}

/// [`recheck`], once what it waits for has come.
pub(crate) async fn resume_recheck(
    rules: &Rules,
    token: &VerifiedToken,
    blocked: Blocked,
) -> Result<(), Error> {
    let blocked = match blocked {
        Blocked::Keys(seeks) => {
            let unavailable = sought(seeks).await;
            match recheck(rules, token, rules.terms.clock.now(), Seeking::Over(unavailable)) {
                Ok(()) => return Ok(()),
                Err(blocked) => blocked,
            }
        }
        blocked => blocked,
    };
    let Blocked::Revocation(Pending { answers, .. }) = blocked else {
        return Err(blocked.into_error());
    };
    answers.settle().await?;
    let now = rules.terms.clock.now();
    check_again(rules, token, now, Seeking::Over(None)).map_err(Blocked::into_error)
}

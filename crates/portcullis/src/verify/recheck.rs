//! Tokens whose connections live on.
use super::keys::{look_up, resolve_issuer};
use super::sender::check_unbound;
use super::wait::{Incomplete, KeyLookup, Pending, after_keys};
use super::{check_revocable, find_issuer};
use crate::claims;
use crate::error::Error;
use crate::keys::{Candidates, KeyError, KeysUnavailable};
use crate::revocation::RevocationOutcome;
use crate::time::UnixTime;
use crate::verified::VerifiedToken;
use crate::verifier::Rules;

/// Decides again about a token that this or another policy verified, for a connection that outlives its
/// request.
pub(crate) fn recheck(
    rules: &Rules,
    token: &VerifiedToken,
    now: UnixTime,
    lookup: KeyLookup<'_>,
) -> Result<(), Incomplete> {
    check_again(rules, token, now, lookup)?;
    let generation = rules.generation();
    match rules.revocations.ask(token)? {
        RevocationOutcome::Later(answers) => {
            Err(Incomplete::NeedsRevocation(Pending { token: token.clone(), generation, answers }))
        }
        RevocationOutcome::Active | RevocationOutcome::Unknown => Ok(()),
    }
}

/// Asks of a token all that [`verify`](super::verify) asks of its text, but for three things: its signature, which cannot have
/// changed, its sender, who showed a key then, and whether it was revoked.
pub(super) fn check_again(
    rules: &Rules,
    token: &VerifiedToken,
    now: UnixTime,
    lookup: KeyLookup<'_>,
) -> Result<(), Incomplete> {
    let parts = token.parts();
    parts.check_limits(rules.limits)?;
    let issuer = find_issuer(rules, parts, None)?;
    claims::screen(parts, issuer.rules(), now)?;
    let issuer = resolve_issuer(parts, issuer, lookup)?;
    let trusted = issuer.trusted();
    let query = parts.key_query();
    match Candidates::find(&trusted.keys, &query, now) {
        Ok(candidates) if candidates.iter().any(|key| key.verifies_alike(token.key())) => {}
        Err(error) if error != KeyError::Unknown => return Err(error.into()),
        // Keys that are not there, since they are out of reach or yet to come: nobody took this one back.
        Ok(_) | Err(_) if trusted.keys.iter().all(|source| source.keys().is_empty()) => {
            let unavailable = KeyError::Unavailable(KeysUnavailable::default());
            return Err(look_up(trusted, &query, lookup, unavailable));
        }
        // Another key of that id.
        Ok(_) => return Err(KeyError::Withdrawn.into()),
        // One answer without it does not say that it is gone: it may have come from a server that is behind.
        Err(_) => return Err(look_up(trusted, &query, lookup, KeyError::Withdrawn)),
    }
    claims::check_anew(token, &trusted.rules, now)?;
    check_unbound(rules, token)?;
    check_revocable(rules, token)?;
    issuer.mark_verified();
    Ok(())
}

/// [`recheck`], once what it waits for has come.
pub(crate) async fn resume_recheck(
    rules: &Rules,
    token: &VerifiedToken,
    incomplete: Incomplete,
) -> Result<(), Error> {
    let again = |lookup: KeyLookup<'_>| recheck(rules, token, rules.terms.clock.now(), lookup);
    let incomplete = match after_keys(incomplete, again).await {
        Ok(()) => return Ok(()),
        Err(incomplete) => incomplete,
    };
    let Incomplete::NeedsRevocation(Pending { answers, .. }) = incomplete else {
        return Err(incomplete.into_error());
    };
    answers.wait().await?;
    let now = rules.terms.clock.now();
    check_again(rules, token, now, KeyLookup::Exhausted(None)).map_err(Incomplete::into_error)
}

//! The order of the steps. Each takes what the one before it proved and returns a new type, so
//! that a step left out does not compile.
mod keys;
mod recall;
mod recheck;
mod statement;
mod wait;

use std::sync::Arc;

use self::keys::authenticate;
pub(crate) use self::keys::{check_signature, find_keys};
use self::recall::recall;
pub(crate) use self::recheck::{recheck, resume_recheck};
pub(crate) use self::statement::{Statement, authenticate_other};
use self::wait::Pending;
pub use self::wait::Waiting;
pub(crate) use self::wait::{Incomplete, KeyLookup, resume};
use crate::claims::{self, Valid};
use crate::error::{ClaimsError, Error, RevocationError};
use crate::issuers::IssuerMatch;
use crate::revocation::RevocationOutcome;
use crate::rules::{Rules, Verifier};
use crate::signature::Algorithm;
use crate::time::UnixTime;
use crate::token::{Parts, SignatureBuffer, Unverified};
use crate::verified::VerifiedToken;

/// Verifies the text of a token with what is in memory.
pub(crate) fn verify(
    verifier: &Verifier,
    text: &[u8],
    now: UnixTime,
    lookup: KeyLookup,
) -> Result<VerifiedToken, Incomplete> {
    let Verifier { rules, cache, .. } = verifier;
    let remembered = recall(verifier, text, now)?;
    let is_remembered = remembered.is_some();
    // Read before the sources are asked: what is revoked meanwhile raises it.
    let generation = rules.terms.generation(rules.revocations.generation());
    let Valid(token) = match remembered {
        Some(Valid(token)) if token.is_active_in(generation) => return Ok(token),
        Some(valid) => valid,
        None => verify_uncached(rules, text, now, lookup)?,
    };
    match rules.revocations.ask(&token) {
        Ok(RevocationOutcome::Later(answers)) => {
            Err(Incomplete::NeedsRevocation(Pending { token, generation, answers }))
        }
        Ok(asked) => {
            if matches!(asked, RevocationOutcome::Active) {
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

/// Checks that a token could be revoked where it has to be.
fn check_revocable(rules: &Rules, token: &VerifiedToken) -> Result<(), Error> {
    rules.revocations.check_needs(token)?;
    #[cfg(feature = "status-list")]
    rules.status.check(token)?;
    Ok(())
}

/// Verifies all but whether the token was revoked.
fn verify_uncached(
    rules: &Arc<Rules>,
    text: &[u8],
    now: UnixTime,
    lookup: KeyLookup,
) -> Result<Valid, Incomplete> {
    let mut signature = SignatureBuffer::new();
    let token = Unverified::parse(text, rules.limits, &rules.headers, &mut signature)?;

    let issuer = find_issuer(rules, &token.parts, None)?;
    // Cheap before expensive: this turns away, and lets nothing in.
    claims::screen(&token.parts, &issuer.trusted().rules, now)?;
    let has_new_header = token.has_new_header;
    let (token, issuer) = authenticate(token, issuer, now, lookup)?;
    let token = claims::check(token, &issuer.trusted().rules, now)?;
    check_revocable(rules, &token.0)?;
    issuer.mark_verified();
    if has_new_header {
        token.remember_header(&rules.headers, now);
    }
    Ok(token)
}

/// The issuer that the token names, if it may be asked for a key. RFC 8725 §3.8: keys are looked
/// up by issuer, never across.
pub(crate) fn find_issuer<'r>(
    rules: &'r Rules,
    parts: &Parts,
    algorithms: Option<&[Algorithm]>,
) -> Result<IssuerMatch<'r>, ClaimsError> {
    let header = &parts.header;
    if rules.refuses_brought_keys && header.brings_key {
        return Err(ClaimsError::BringsKey);
    }
    let issuer = rules.issuers.find(id(parts)?).ok_or(ClaimsError::Issuer)?;
    // RFC 8725 §3.1: the policy says which algorithms, the token only which of them.
    if algorithms.unwrap_or(&issuer.trusted().algorithms).contains(&header.algorithm) {
        Ok(issuer)
    } else {
        Err(ClaimsError::Algorithm)
    }
}

/// What the token says in `iss`.
fn id(parts: &Parts) -> Result<&str, ClaimsError> {
    parts.issuer().ok_or(ClaimsError::Issuer)
}

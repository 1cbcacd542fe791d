//! The order of the steps. Each takes what the one before it proved and returns a new type, so
//! that a step left out does not compile.
mod keys;
mod other_tokens;
mod recall;
mod recheck;
mod revoked;
mod sender;
mod wait;

pub(crate) use self::keys::{check_signature, find_keys};
pub(crate) use self::other_tokens::{Statement, authenticate_other};
use self::recall::recall;
pub(crate) use self::recheck::{recheck, resume_recheck};
use self::revoked::{check_revocable, check_revoked};
pub(crate) use self::sender::{AnySender, OfSender, Sender, await_fresh};
pub use self::wait::VerifyFuture;
pub(crate) use self::wait::{Incomplete, KeyLookup, resume};
use crate::claims::{self, Valid};
use crate::error::ClaimsError;
use crate::issuers::IssuerMatch;
use crate::signature::Algorithm;
use crate::time::UnixTime;
use crate::token::{Parts, SignatureBuffer, Unverified};
use crate::verifier::{Rules, Verifier};

/// Verifies the text of a token with what is in memory. Of one that verified before under the same bytes, only
/// what may have changed is asked again.
pub(crate) fn verify(
    verifier: &Verifier,
    text: &[u8],
    now: UnixTime,
    lookup: KeyLookup<'_>,
) -> Result<AnySender, Incomplete> {
    let remembered = recall(verifier, text, now)?;
    // Read before the sources are asked: what is revoked meanwhile raises it.
    let generation = verifier.rules.generation();
    match remembered {
        Some(Valid(token)) if token.is_active_in(generation) => Ok(token),
        Some(valid) => check_revoked(verifier, text, valid, true, generation),
        None => {
            let valid = verify_uncached(&verifier.rules, text, now, lookup)?;
            check_revoked(verifier, text, valid, false, generation)
        }
    }
    .map(AnySender)
}

/// Verifies all but whether the token was revoked (RFC 7519 §7.2, RFC 8725 §3).
fn verify_uncached(
    rules: &Rules,
    text: &[u8],
    now: UnixTime,
    lookup: KeyLookup<'_>,
) -> Result<Valid, Incomplete> {
    let mut signature = SignatureBuffer::new();
    let token = Unverified::parse(text, rules.limits, &rules.headers, &mut signature)?;
    let has_new_header = token.has_new_header;
    let issuer = find_issuer(rules, &token.parts, None)?;
    // Cheap before expensive: this turns away, and lets nothing in.
    claims::screen(&token.parts, issuer.rules(), now)?;
    let (keys, issuer) = find_keys(&token.parts, issuer, now, lookup)?;
    let token = check_signature(token, &keys, issuer.trusted(), lookup)?;
    let token = claims::check(token, issuer.rules(), now)?;
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
        return Err(ClaimsError::EmbeddedKey);
    }
    let id = id(parts)?;
    let issuer = rules.issuers.find(id).ok_or_else(|| rules.issuers.untrusted(id))?;
    // RFC 8725 §3.1: the policy says which algorithms, the token only which of them.
    let trusted = algorithms.unwrap_or(&issuer.trusted().algorithms);
    if trusted.contains(&header.algorithm) {
        Ok(issuer)
    } else {
        let trusted = trusted.iter().copied().collect();
        Err(ClaimsError::Algorithm { found: header.algorithm, trusted })
    }
}

/// What the token says in `iss`.
fn id(parts: &Parts) -> Result<&str, ClaimsError> {
    parts.issuer().ok_or_else(|| {
        let payload = &parts.payload;
        let also: &[_] = match (payload.audiences.is_none(), payload.expires_at.is_none()) {
            (false, false) => &[],
            (true, false) => &["aud"],
            (false, true) => &["exp"],
            (true, true) => &["aud", "exp"],
        };
        ClaimsError::IssuerMissing { also }
    })
}

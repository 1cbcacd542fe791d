//! Tokens that verified before.
use crate::claims::{self, Valid};
use crate::error::{ClaimName, ClaimsError};
use crate::issuers::IssuerMatch;
use crate::time::UnixTime;
use crate::verifier::Verifier;

/// A token that verified before under the same bytes, with what may have changed about it asked again.
///
/// # Errors
///
/// What verifying it in full would come to, for the price of a look-up.
pub(super) fn recall(
    verifier: &Verifier,
    text: &[u8],
    now: UnixTime,
) -> Result<Option<Valid>, ClaimsError> {
    let Verifier { rules, cache, .. } = verifier;
    let Some(token) = cache.get(text) else { return Ok(None) };
    let by_name = || rules.issuers.find(token.issuer()).filter(IssuerMatch::is_resolved);
    let issuer = rules.issuers.by_terms(token.terms()).or_else(by_name);
    let issuer = issuer.filter(|issuer| issuer.trusted().accepts_cached_key(token.key(), now));
    let Some(issuer) = issuer else {
        cache.forget(text, &token);
        return Ok(None);
    };
    match claims::check_again(&token, issuer.rules(), now) {
        Ok(()) => {
            issuer.mark_verified();
            if token.wants_room() {
                cache.insert(text, &token);
            }
            Ok(Some(Valid(token)))
        }
        Err(error) => {
            // What a predicate looks at may change again.
            if !matches!(error, ClaimsError::Rule(ClaimName::Predicate(_))) {
                cache.forget(text, &token);
            }
            Err(error)
        }
    }
}

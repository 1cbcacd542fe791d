//! Other kinds of tokens.
use std::sync::Arc;

use super::find_issuer;
use super::keys::authenticate;
use super::wait::{Incomplete, KeyLookup, after_keys};
use crate::authentic::Authentic;
use crate::claims;
use crate::error::{ClaimsError, Error};
use crate::issuers::TrustedIssuer;
use crate::signature::Algorithm;
use crate::time::UnixTime;
use crate::token::{Parts, SignatureBuffer, TokenLimits, Unverified};
use crate::verifier::Rules;

/// Another kind of token than an access token, signed by an issuer of the policy. Its claims are
/// unchecked, and its type is.
pub(crate) struct Statement {
    pub(crate) authentic: Authentic,
    pub(crate) issuer: Arc<TrustedIssuer>,
}

/// Checks who signed a token that is no access token, of at most `limit` bytes, and waits for the
/// key. `algorithms`: other ones than the issuer's access tokens have. `screen` may turn it away before
/// a key is looked for and the signature paid for; what it says of a token is to be asked again.
pub(crate) async fn authenticate_other(
    rules: &Rules,
    text: &[u8],
    limit: usize,
    algorithms: Option<&[Algorithm]>,
    screen: impl Fn(&Parts, &TrustedIssuer, UnixTime) -> Result<(), ClaimsError>,
) -> Result<Statement, Error> {
    let attempt = |lookup: KeyLookup<'_>| {
        let mut signature = SignatureBuffer::new();
        let limits = TokenLimits { token: limit, ..rules.limits };
        let token = Unverified::parse(text, limits, &rules.headers, &mut signature)?;
        let issuer = find_issuer(rules, &token.parts, algorithms)?;
        let now = rules.terms.clock.now();
        claims::check_ids(&token.parts, issuer.rules())?;
        screen(&token.parts, issuer.trusted(), now)?;
        let (authentic, issuer) = authenticate(token, issuer, now, lookup)?;
        issuer.mark_verified();
        Ok(Statement { authentic, issuer: Arc::clone(issuer.trusted()) })
    };
    let incomplete = match attempt(KeyLookup::Allowed) {
        Ok(statement) => return Ok(statement),
        Err(incomplete) => incomplete,
    };
    after_keys(incomplete, attempt).await.map_err(Incomplete::into_error)
}

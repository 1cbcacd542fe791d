//! Other kinds of tokens.
use std::sync::Arc;

use super::keys::authenticate;
use super::party;
use super::wait::{Blocked, Seeking, sought};
use crate::authentic::Authentic;
use crate::claims;
use crate::error::{ClaimsError, Error};
use crate::issuers::TrustedIssuer;
use crate::rules::Rules;
use crate::signature::Algorithm;
use crate::time::UnixTime;
use crate::token::{Parts, SignatureBuffer, TokenLimits, Unverified};

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
    let attempt = |seeking| {
        let mut signature = SignatureBuffer::new();
        let limits = TokenLimits { token: limit, ..rules.limits };
        let token = Unverified::parse(text, limits, &rules.headers, &mut signature)?;
        let party = party(rules, &token.parts, algorithms)?;
        let now = rules.terms.clock.now();
        claims::check_ids(&token.parts, &party.issuer().rules)?;
        screen(&token.parts, party.issuer(), now)?;
        let (authentic, party) = authenticate(token, party, now, seeking)?;
        party.prove();
        Ok(Statement { authentic, issuer: Arc::clone(party.issuer()) })
    };
    let seeks = match attempt(Seeking::Possible) {
        Err(Blocked::Keys(seeks)) => seeks,
        other => return other.map_err(Blocked::into_error),
    };
    let unavailable = sought(seeks).await;
    attempt(Seeking::Over(unavailable)).map_err(Blocked::into_error)
}

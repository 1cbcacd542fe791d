//! Which keys a token may be signed with, and whether it is.
use super::id;
use super::wait::{Blocked, Seeking};
use crate::authentic::Authentic;
use crate::error::Error;
use crate::issuers::{Party, TrustedIssuer};
use crate::keys::{Candidates, KeyError, KeyQuery};
use crate::time::UnixTime;
use crate::token::{Parts, Unverified};

/// Checks who signed a token, and nothing of its claims.
pub(super) fn authenticate<'r>(
    token: Unverified<'_>,
    party: Party<'r>,
    now: UnixTime,
    seeking: Seeking,
) -> Result<(Authentic, Party<'r>), Blocked> {
    let (candidates, party) = find_keys(&token.parts, party, now, seeking)?;
    let token = check_signature(token, &candidates, party.issuer(), seeking)?;
    Ok((token, party))
}

/// The keys that a token may be signed with, and the issuer whose they are.
pub(crate) fn find_keys<'r>(
    parts: &Parts,
    party: Party<'r>,
    now: UnixTime,
    seeking: Seeking,
) -> Result<(Candidates, Party<'r>), Blocked> {
    let party = with_keys(parts, party, seeking)?;
    let (issuer, query) = (party.issuer(), parts.key_query());
    match Candidates::find(&issuer.keys, &query, now) {
        Err(KeyError::Unknown) => Err(seek(issuer, &query, seeking, KeyError::Unknown)),
        found => Ok((found?, party)),
    }
}

/// The issuer with its keys, if a token may ask for one of them.
#[cfg_attr(not(feature = "remote-jwks"), expect(unused_variables, reason = "of tenants"))]
pub(super) fn with_keys<'r>(
    parts: &Parts,
    party: Party<'r>,
    seeking: Seeking,
) -> Result<Party<'r>, Error> {
    if party.issuer().requires_key_id && parts.key_query().key_id.is_none() {
        return Err(KeyError::IdMissing.into());
    }
    #[cfg(feature = "remote-jwks")]
    let party = {
        if matches!(seeking, Seeking::Possible) {
            party.let_seek().map_err(KeyError::Unavailable)?;
        }
        party.settle(id(parts)?).map_err(KeyError::Unavailable)?
    };
    Ok(party)
}

/// Checks the signature under the keys that it may be of.
pub(crate) fn check_signature(
    token: Unverified<'_>,
    candidates: &Candidates,
    issuer: &TrustedIssuer,
    seeking: Seeking,
) -> Result<Authentic, Blocked> {
    let query = token.parts.key_query();
    let algorithm = query.algorithm;
    // A key without an id is tried for every token, but is not the key that this one names.
    let missing_id = query.key_id.filter(|_| candidates.iter().all(|key| key.id().is_none()));
    let missing_id = missing_id.map(Box::<str>::from);

    match Authentic::check(token, candidates.iter()) {
        Err(error) if missing_id.is_some() => {
            let query = KeyQuery { key_id: missing_id.as_deref(), algorithm };
            Err(seek(issuer, &query, seeking, error))
        }
        checked => Ok(checked?),
    }
}

/// What becomes of a token whose key is not in memory; `otherwise` where nobody can look for it.
pub(super) fn seek(
    issuer: &TrustedIssuer,
    query: &KeyQuery<'_>,
    seeking: Seeking,
    otherwise: impl Into<Error>,
) -> Blocked {
    match seeking {
        Seeking::Possible => {
            let seeks: Vec<_> =
                issuer.keys.iter().filter_map(|source| source.seek(query)).collect();
            if seeks.is_empty() { otherwise.into().into() } else { Blocked::Keys(seeks) }
        }
        // Unknown is not invalid where one of the sources could not be asked.
        Seeking::Over(Some(unavailable)) => KeyError::Unavailable(unavailable).into(),
        Seeking::Over(None) => otherwise.into().into(),
    }
}

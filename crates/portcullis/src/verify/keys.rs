//! Which keys a token may be signed with, and whether it is.
#[cfg(feature = "remote-jwks")]
use super::id;
use super::wait::{Incomplete, KeyLookup};
use crate::authentic::Authentic;
use crate::error::Error;
use crate::issuers::{IssuerMatch, TrustedIssuer};
use crate::keys::{Candidates, KeyError, KeyQuery};
use crate::time::UnixTime;
use crate::token::{Parts, Unverified};

/// Checks who signed a token, and nothing of its claims.
pub(super) fn authenticate<'r>(
    token: Unverified<'_>,
    issuer: IssuerMatch<'r>,
    now: UnixTime,
    lookup: KeyLookup<'_>,
) -> Result<(Authentic, IssuerMatch<'r>), Incomplete> {
    let (candidates, issuer) = find_keys(&token.parts, issuer, now, lookup)?;
    let token = check_signature(token, &candidates, issuer.trusted(), lookup)?;
    Ok((token, issuer))
}

/// The keys that a token may be signed with, and the issuer whose they are.
pub(crate) fn find_keys<'r>(
    parts: &Parts,
    issuer: IssuerMatch<'r>,
    now: UnixTime,
    lookup: KeyLookup<'_>,
) -> Result<(Candidates, IssuerMatch<'r>), Incomplete> {
    let issuer = resolve_issuer(parts, issuer, lookup)?;
    let (trusted, query) = (issuer.trusted(), parts.key_query());
    match Candidates::find(&trusted.keys, &query, now) {
        Err(KeyError::Unknown) => Err(look_up(trusted, &query, lookup, KeyError::Unknown)),
        found => Ok((found?, issuer)),
    }
}

/// The issuer with its keys, if a token may ask for one of them.
#[cfg_attr(not(feature = "remote-jwks"), expect(unused_variables, reason = "of tenants"))]
pub(super) fn resolve_issuer<'r>(
    parts: &Parts,
    issuer: IssuerMatch<'r>,
    lookup: KeyLookup<'_>,
) -> Result<IssuerMatch<'r>, Error> {
    if issuer.trusted().requires_key_id && parts.key_query().key_id.is_none() {
        return Err(KeyError::IdMissing.into());
    }
    #[cfg(feature = "remote-jwks")]
    let issuer = {
        if matches!(lookup, KeyLookup::Allowed) {
            issuer.admit_lookup().map_err(KeyError::Unavailable)?;
        }
        issuer.resolve(id(parts)?).map_err(KeyError::Unavailable)?
    };
    Ok(issuer)
}

/// Checks the signature under the keys that it may be of.
pub(crate) fn check_signature(
    token: Unverified<'_>,
    candidates: &Candidates,
    issuer: &TrustedIssuer,
    lookup: KeyLookup<'_>,
) -> Result<Authentic, Incomplete> {
    let query = token.parts.key_query();
    let algorithm = query.algorithm;
    // A key without an id is tried for every token, but is not the key that this one names.
    let missing_id = query.key_id.filter(|_| candidates.iter().all(|key| key.id().is_none()));
    let missing_id = missing_id.map(Box::<str>::from);

    match Authentic::check(token, candidates.iter()) {
        Err(error) if missing_id.is_some() => {
            let query = KeyQuery { key_id: missing_id.as_deref(), algorithm };
            Err(look_up(issuer, &query, lookup, error))
        }
        checked => Ok(checked?),
    }
}

/// What becomes of a token whose key is not in memory; `otherwise` where nobody can look for it.
pub(super) fn look_up(
    issuer: &TrustedIssuer,
    query: &KeyQuery<'_>,
    lookup: KeyLookup<'_>,
    otherwise: impl Into<Error>,
) -> Incomplete {
    match lookup {
        KeyLookup::Allowed => {
            let seeks: Vec<_> =
                issuer.keys.iter().filter_map(|source| source.seek(query)).collect();
            if seeks.is_empty() { otherwise.into().into() } else { Incomplete::NeedsKey(seeks) }
        }
        // Unknown is not invalid where one of the sources could not be asked.
        KeyLookup::Exhausted(Some(unavailable)) => {
            KeyError::Unavailable(unavailable.clone()).into()
        }
        KeyLookup::Exhausted(None) => otherwise.into().into(),
    }
}

//! The order of the steps. Each takes what the one before it proved and returns a new type, so
//! that a step left out does not compile.
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use crate::admission::{Admission, Rejection};
use crate::authentic::Authentic;
use crate::claims::{self, Valid};
use crate::error::{Claim, ClaimsError, Error, RevocationError, RevocationUnavailable};
use crate::issuers::{Party, TrustedIssuer};
use crate::keys::{Candidates, KeyError, KeyQuery, KeysUnavailable, Seek};
use crate::revocation::{Asked, PendingAnswers};
use crate::rules::{Rules, Verifier};
use crate::signature::Algorithm;
use crate::terms::Generation;
use crate::time::UnixTime;
use crate::token::{Parts, SignatureBuffer, TokenLimits, Unverified};
use crate::verified::VerifiedToken;

/// Why a token is not verified, or not yet.
pub(crate) enum Blocked {
    Refused(Error),
    /// No key is known for it, and these may find one.
    Keys(Vec<Seek>),
    /// Whether it was revoked is not known yet.
    Revocation(Pending),
}

/// A token of which all is known but whether it was revoked.
pub(crate) struct Pending {
    token: VerifiedToken,
    generation: Generation,
    answers: PendingAnswers,
}

impl Blocked {
    /// For who does not wait for what it waits for.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Keys(_) => KeyError::Unknown.into(),
            Self::Revocation(_) => {
                RevocationError::Unavailable(RevocationUnavailable::default()).into()
            }
        }
    }

    /// For who cannot wait: what may come counts as unavailable.
    pub(crate) fn into_error_now(self) -> Error {
        match self {
            Self::Keys(_) => KeyError::Unavailable(KeysUnavailable::default()).into(),
            other => other.into_error(),
        }
    }
}

impl<E: Into<Error>> From<E> for Blocked {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

/// Whether sources may be told to look for a key.
#[derive(Clone, Copy)]
pub(crate) enum Seeking {
    Possible,
    /// They were, and one of them may not have been able to.
    Over(Option<KeysUnavailable>),
}

/// Verifies the text of a token with what is in memory.
pub(crate) fn verify(
    verifier: &Verifier,
    text: &[u8],
    now: UnixTime,
    seeking: Seeking,
) -> Result<VerifiedToken, Blocked> {
    let Verifier { rules, cache, .. } = verifier;
    let remembered = recall(verifier, text, now)?;
    let is_remembered = remembered.is_some();
    // Read before the sources are asked: what is revoked meanwhile raises it.
    let generation = rules.terms.generation(rules.revocations.generation());
    let Valid(token) = match remembered {
        Some(Valid(token)) if token.is_active_in(generation) => return Ok(token),
        Some(valid) => valid,
        None => prove(rules, text, now, seeking)?,
    };
    match rules.revocations.ask(&token) {
        Ok(Asked::Later(answers)) => {
            Err(Blocked::Revocation(Pending { token, generation, answers }))
        }
        Ok(asked) => {
            if matches!(asked, Asked::Active) {
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

/// A token that verified before under the same bytes, with what may have changed about it asked again.
///
/// # Errors
///
/// What verifying it in full would come to, for the price of a look-up.
fn recall(verifier: &Verifier, text: &[u8], now: UnixTime) -> Result<Option<Valid>, ClaimsError> {
    let Verifier { rules, cache, .. } = verifier;
    let Some(token) = cache.get(text) else { return Ok(None) };
    let party = rules.issuers.find(token.issuer()).filter(Party::is_settled);
    let party = party.filter(|party| party.issuer().vouches_for_remembered(token.key(), now));
    let Some(party) = party else {
        cache.forget(text, &token);
        return Ok(None);
    };
    match claims::check_again(&token, &party.issuer().rules, now) {
        Ok(()) => {
            party.prove();
            if token.wants_room() {
                cache.insert(text, &token);
            }
            Ok(Some(Valid(token)))
        }
        Err(error) => {
            // What a predicate looks at may change again.
            if !matches!(error, ClaimsError::Rule(Claim::Predicate(_))) {
                cache.forget(text, &token);
            }
            Err(error)
        }
    }
}

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

/// Asks of a token all that [`verify`] asks of its text, but for two things: its signature, which cannot have
/// changed, and whether it was revoked.
fn check_again(
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

/// Checks that a token could be revoked where it has to be.
fn check_revocable(rules: &Rules, token: &VerifiedToken) -> Result<(), Error> {
    rules.revocations.check_needs(token)?;
    #[cfg(feature = "status-list")]
    rules.status.check(token)?;
    Ok(())
}

/// Verifies all but whether the token was revoked.
fn prove(
    rules: &Arc<Rules>,
    text: &[u8],
    now: UnixTime,
    seeking: Seeking,
) -> Result<Valid, Blocked> {
    let mut signature = SignatureBuffer::new();
    let token = Unverified::parse(text, rules.limits, &rules.headers, &mut signature)?;

    let party = party(rules, &token.parts, None)?;
    // Cheap before expensive: this turns away, and lets nothing in.
    claims::screen(&token.parts, &party.issuer().rules, now)?;
    let has_new_header = token.has_new_header;
    let (token, party) = authenticate(token, party, now, seeking)?;
    let token = claims::check(token, &party.issuer().rules, now)?;
    check_revocable(rules, &token.0)?;
    party.prove();
    if has_new_header {
        token.remember_header(&rules.headers, now);
    }
    Ok(token)
}

/// Checks who signed a token, and nothing of its claims.
fn authenticate<'r>(
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
fn with_keys<'r>(parts: &Parts, party: Party<'r>, seeking: Seeking) -> Result<Party<'r>, Error> {
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

/// Waits until all have looked for a key. What one of them could not do is told.
async fn sought(seeks: Vec<Seek>) -> Option<KeysUnavailable> {
    let mut unavailable = None;
    for seek in seeks {
        if let Err(error) = seek.await {
            unavailable = Some(error);
        }
    }
    unavailable
}

/// Verifies the text of a token once what it waits for has come.
pub(crate) async fn resume(
    verifier: &Verifier,
    text: &[u8],
    blocked: Blocked,
) -> Result<VerifiedToken, Error> {
    let Verifier { rules, cache, .. } = verifier;
    let blocked = match blocked {
        Blocked::Keys(seeks) => {
            let unavailable = sought(seeks).await;
            // Waiting took time, and the keys may be others: all is asked anew.
            match verify(verifier, text, rules.terms.clock.now(), Seeking::Over(unavailable)) {
                Ok(token) => return Ok(token),
                Err(blocked) => blocked,
            }
        }
        blocked => blocked,
    };
    match blocked {
        Blocked::Refused(error) => Err(error),
        // Nobody is told to look twice.
        Blocked::Keys(_) => Err(KeyError::Unknown.into()),
        Blocked::Revocation(Pending { token, generation, answers }) => {
            let is_active = answers.settle().await?;
            let now = rules.terms.clock.now();
            check_again(rules, &token, now, Seeking::Over(None)).map_err(Blocked::into_error)?;
            if is_active {
                token.set_active_in(generation);
            }
            cache.insert(text, &token);
            Ok(token)
        }
    }
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

/// What becomes of a token whose key is not in memory; `otherwise` where nobody can look for it.
fn seek(
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

/// The issuer that the token names, if it may be asked for a key. RFC 8725 §3.8: keys are looked
/// up by issuer, never across.
pub(crate) fn party<'r>(
    rules: &'r Rules,
    parts: &Parts,
    algorithms: Option<&[Algorithm]>,
) -> Result<Party<'r>, ClaimsError> {
    let header = &parts.header;
    if rules.refuses_brought_keys && header.brings_key {
        return Err(ClaimsError::EmbeddedKey);
    }
    let party = rules.issuers.find(id(parts)?).ok_or(ClaimsError::Issuer)?;
    // RFC 8725 §3.1: the policy says which algorithms, the token only which of them.
    if algorithms.unwrap_or(&party.issuer().algorithms).contains(&header.algorithm) {
        Ok(party)
    } else {
        Err(ClaimsError::Algorithm)
    }
}

/// What the token says in `iss`.
fn id(parts: &Parts) -> Result<&str, ClaimsError> {
    parts.issuer().ok_or(ClaimsError::Issuer)
}

/// The future of [`Check::Wait`](crate::Check::Wait).
#[must_use = "futures do nothing unless polled"]
pub struct Waiting(Pin<Box<dyn Future<Output = Result<Admission, Rejection>> + Send>>);

impl Waiting {
    pub(crate) fn new(
        future: impl Future<Output = Result<Admission, Rejection>> + Send + 'static,
    ) -> Self {
        Self(Box::pin(future))
    }
}

impl Future for Waiting {
    type Output = Result<Admission, Rejection>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

//! A refresh: read, decide, ask, issue, and only then change anything.
use core::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use portcullis::Revocation;
use portcullis::dpop::GoodProof;
use portcullis::mtls::PresentedCertificate;

use super::counts::Outcome;
use super::error::{RefreshError, RefreshRefusal, SessionsUnavailable};
use super::event::SessionEvent;
use super::question::Answered;
use super::session::Session;
use super::{Inner, ReadSession};
use crate::refresh::{
    Decision, MustBeBound, NotOurs, Over, Presented, RefreshToken, Standing, Way, Which, decide,
    hear, random_salt,
};
use crate::session::{Binding, EndReason, Previous, Rotation, SessionRow};
use crate::store::Swap;
use crate::token::{MintError, Minted};

/// How often a refresh looks again where others changed the session at the same time.
const ATTEMPTS: usize = 3;

/// A refresh token as it came, and who sent it. `Debug` does not show it.
#[derive(Clone)]
#[must_use]
pub struct RefreshRequest<'r> {
    pub(super) token: &'r str,
    pub(super) client: &'r str,
    pub(super) scopes: Option<Vec<String>>,
    /// Of the key that the session is to be bound to.
    pub(super) proof: Option<&'r GoodProof>,
    /// Of the client that sent it.
    pub(super) certificate: Option<&'r PresentedCertificate>,
    /// What a session is refused without.
    pub(super) must_be_bound: MustBeBound,
    /// The longest access token that the client can keep.
    pub(super) token_limit: Option<usize>,
    /// Whether the refresh token is to stay as it is for now.
    pub(super) defers_rotation: bool,
}

impl<'r> RefreshRequest<'r> {
    /// A refresh token that came from this client: what its [login](super::LoginAttempt::succeeded) said.
    pub fn new(token: &'r str, client: &'r str) -> Self {
        Self {
            token,
            client,
            scopes: None,
            proof: None,
            certificate: None,
            must_be_bound: MustBeBound::default(),
            token_limit: None,
            defers_rotation: false,
        }
    }

    /// The scopes of the access token, fewer than were granted (RFC 6749 §6). The next refresh may ask for all of them
    /// again.
    ///
    /// If you do not call it: those that were granted.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// With this proof of a key, which came with the token (RFC 9449 §5). The session must be bound to that key; one that is bound
    /// to none is refused: log in with a proof. The proof is used up once its key is found to be the session's, before
    /// anything else is decided.
    ///
    /// If you do not call it: a session that is bound to a key is refused.
    pub fn proof(mut self, proof: &'r GoodProof) -> Self {
        self.proof = Some(proof);
        self
    }

    /// Refuses a session that is bound to no key.
    ///
    /// If you do not call it: such sessions go on without a proof.
    pub fn bound_only(mut self) -> Self {
        self.must_be_bound.to_key = true;
        self
    }

    /// From a client that presented this certificate (RFC 8705 §3). A session that is bound to a certificate must be bound to this
    /// one. One that is bound to none goes on as before, and is not bound by it.
    ///
    /// If you do not call it: a session that is bound to a certificate is refused.
    pub fn certificate(mut self, certificate: &'r PresentedCertificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// Refuses a session that is bound to no certificate.
    ///
    /// If you do not call it: such sessions go on, whatever certificate their client presents.
    pub fn certificate_bound_only(mut self) -> Self {
        self.must_be_bound.to_certificate = true;
        self
    }

    /// An access token that has more bytes is not issued, and nothing is consumed.
    pub(crate) fn token_limit(mut self, bytes: usize) -> Self {
        self.token_limit = Some(bytes);
        self
    }

    /// Changes nothing, though the token is due for it: for who goes on again when the answer is made.
    pub(crate) fn defer_rotation(mut self) -> Self {
        self.defers_rotation = true;
        self
    }
}

impl fmt::Debug for RefreshRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshRequest").finish_non_exhaustive()
    }
}

/// A session that goes on. `Debug` does not show its tokens.
#[derive(Clone)]
pub struct Refreshed {
    /// Its access token.
    pub access: Minted,
    /// Its refresh token from now on. `None`: the one that came is good for some more time. Then give the client none: it
    /// has that one, or a newer one by the time that your answer arrives, whose place this must not take.
    pub refresh: Option<RefreshToken>,
    /// The session.
    pub session: Session,
    /// Whether another token would have taken the place of the one that came, if that had not been deferred.
    pub(crate) is_due: bool,
}

impl fmt::Debug for Refreshed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refreshed").field("session", &self.session).finish_non_exhaustive()
    }
}

/// A session that a refresh token came of, and what may be said of it.
struct Known<'r> {
    read: &'r ReadSession,
    row: &'r SessionRow,
    session: Session,
}

impl Inner {
    pub(super) async fn refresh(
        &self,
        request: &RefreshRequest<'_>,
    ) -> Result<Refreshed, RefreshError> {
        let refreshed = self.refresh_now(request).await;
        match &refreshed {
            Ok(_) => self.observers.tell_done(),
            Err(error) => self.counts.failed(error),
        }
        refreshed
    }

    async fn refresh_now(&self, request: &RefreshRequest<'_>) -> Result<Refreshed, RefreshError> {
        let presented = self.format.read(request.token).map_err(|NotOurs| {
            // Before the store is asked.
            RefreshError::Refused(RefreshRefusal::NotOurs)
        })?;
        let mut proof = request.proof;
        for _ in 0..ATTEMPTS {
            let read = self.read(presented.session).await?;
            let known = self.hear(request, &read, &mut proof).await?;
            if let Some(refreshed) = self.go_on(&known, &presented, request).await? {
                return Ok(refreshed);
            }
        }
        Err(self.away(SessionsUnavailable::Contended).into())
    }

    pub(super) async fn session_of(
        &self,
        request: &RefreshRequest<'_>,
    ) -> Result<Session, RefreshError> {
        let presented = self.format.read(request.token);
        let presented =
            presented.map_err(|NotOurs| RefreshError::Refused(RefreshRefusal::NotOurs))?;
        let mut proof = request.proof;
        for _ in 0..ATTEMPTS {
            let read = self.read(presented.session).await?;
            let known = self.hear(request, &read, &mut proof).await?;
            if self.judge(&known, &presented).await?.is_some() {
                return Ok(known.session);
            }
        }
        Err(self.away(SessionsUnavailable::Contended).into())
    }

    /// Whether who sent a token is heard, before anything is decided, said or done: with another client's token, or with that of
    /// a session whose key or certificate it does not have, nobody goes on or ends anything. `proof` is used once, however often the session is
    /// read.
    async fn hear<'r>(
        &self,
        request: &RefreshRequest<'_>,
        read: &'r ReadSession,
        proof: &mut Option<&GoodProof>,
    ) -> Result<Known<'r>, RefreshError> {
        let refused = |refusal| Err(RefreshError::Refused(refusal));
        let Some(row) = &read.row else { return refused(RefreshRefusal::Unknown) };
        let known = Known { read, row, session: self.known(row)? };
        if row.client != request.client {
            return refused(RefreshRefusal::Client);
        }
        let shown = Binding::shown(request.proof, request.certificate);
        hear(row.binding.as_deref(), &shown, request.must_be_bound)
            .map_err(|why| RefreshError::Refused(why.into()))?;
        // Before the rule: it ends sessions, and whoever read token and proof in a log is not heard.
        if let Some(proof) = proof.take()
            && !self.spend(proof, &row.subject).await?
        {
            return refused(RefreshRefusal::ProofReplayed);
        }
        Ok(known)
    }

    /// How the session of a token that came goes on. `None`: somebody changed the session since it was read.
    async fn judge(
        &self,
        known: &Known<'_>,
        presented: &Presented,
    ) -> Result<Option<Way>, RefreshError> {
        let refused = |refusal| Err(RefreshError::Refused(refusal));
        let Known { read, row, .. } = known;
        let is_listed = row.ended.is_none() && self.is_listed(row);
        let which = which(row, presented);
        let decision = match decide(&standing(read, row), which, read.now, &self.rule) {
            // The list knows of an end that the store lost.
            Decision::Refuse(over) => return refused(over.into()),
            _ if is_listed => Decision::End(EndReason::Revoked),
            // Nothing of a token would be left.
            _ if read.now.as_unix() >= row.ends_at.as_unix() => {
                return refused(RefreshRefusal::Expired);
            }
            decision => decision,
        };
        match decision {
            Decision::Refuse(over) => refused(over.into()),
            Decision::End(reason) => {
                // Who ended it first says why.
                let is_ended = self.end_found(known, presented, reason).await?;
                if is_ended { refused(RefreshRefusal::Ended(reason)) } else { Ok(None) }
            }
            Decision::GoOn(way) => Ok(Some(way)),
        }
    }

    /// `None`: somebody changed the session since it was read.
    async fn go_on(
        &self,
        known: &Known<'_>,
        presented: &Presented,
        request: &RefreshRequest<'_>,
    ) -> Result<Option<Refreshed>, RefreshError> {
        let Some(way) = self.judge(known, presented).await? else { return Ok(None) };
        let row = known.row;
        match way {
            Way::Keep => self.again(known, request, Outcome::Kept, None).await,
            Way::Rotate | Way::Fork if request.defers_rotation => {
                let kept = self.again(known, request, Outcome::Kept, None).await?;
                Ok(kept.map(|kept| Refreshed { is_due: true, ..kept }))
            }
            Way::Again => {
                let previous =
                    row.previous.ok_or_else(|| self.away(SessionsUnavailable::Foreign))?;
                let successor = presented.secret.successor(&previous.salt, row.id);
                if !is_hash(&row.current_hash, &successor.hash()) {
                    return Err(self.away(SessionsUnavailable::Foreign).into());
                }
                let token = self.format.write(row.id, row.generation, &successor);
                self.again(known, request, Outcome::Again, Some(token)).await
            }
            Way::Rotate => {
                let generation = row.generation.checked_add(1);
                // Further than a session lasts that rotates each second.
                let generation = generation.ok_or(SessionsUnavailable::Contended)?;
                self.rotate(known, request, presented, generation, Outcome::Rotated).await
            }
            Way::Fork => {
                self.rotate(known, request, presented, row.generation, Outcome::Forked).await
            }
        }
    }

    /// Answers with no change: as long as it is the session that was read, when everything else has succeeded.
    async fn again(
        &self,
        known: &Known<'_>,
        request: &RefreshRequest<'_>,
        outcome: Outcome,
        refresh: Option<RefreshToken>,
    ) -> Result<Option<Refreshed>, RefreshError> {
        let access = self.access(known, request).await?;
        // Nothing is swapped, which would show that it did not end meanwhile.
        let Known { read, row, session } = known;
        let now = self.read(row.id).await?;
        self.check_age(read.elapsed)?;
        let is_same = now.row.as_ref().is_some_and(|it| it.version == row.version)
            && now.subject_version == read.subject_version
            && now.now < row.idle_until.min(row.ends_at)
            && !self.is_listed(row);
        Ok(is_same.then(|| {
            self.counts.went_on(outcome);
            Refreshed { access, refresh, session: session.clone(), is_due: false }
        }))
    }

    /// Puts another token in the place of the current one, when everything else has succeeded.
    async fn rotate(
        &self,
        known: &Known<'_>,
        request: &RefreshRequest<'_>,
        presented: &Presented,
        generation: u32,
        outcome: Outcome,
    ) -> Result<Option<Refreshed>, RefreshError> {
        let Known { read, row, session } = known;
        let access = self.access(known, request).await?;
        let salt = random_salt().map_err(SessionsUnavailable::from)?;
        let successor = presented.secret.successor(&salt, row.id);
        let rotation = Rotation {
            generation,
            current_hash: successor.hash(),
            previous: Previous { hash: presented.secret.hash(), salt },
            idle: session.idle(),
            keeps_time: matches!(outcome, Outcome::Forked),
            mac: self.rows.mac(row),
        };
        self.check_age(read.elapsed)?;
        let swap = self.store.rotate(&self.issuer_id, row.id, row.version, &rotation);
        match self.stored(swap).await? {
            Swap::Lost => Ok(None),
            Swap::Done => {
                self.counts.went_on(outcome);
                let refresh = Some(self.format.write(row.id, generation, &successor));
                Ok(Some(Refreshed { access, refresh, session: session.clone(), is_due: false }))
            }
        }
    }

    /// Asks the application, and issues an access token.
    async fn access(
        &self,
        known: &Known<'_>,
        request: &RefreshRequest<'_>,
    ) -> Result<Minted, RefreshError> {
        let Known { read, row, session } = known;
        let granted = session.scopes();
        let scopes = request.scopes.as_deref().unwrap_or(granted);
        let is_granted =
            |at: usize, scope| granted.contains(scope) && !scopes[..at].contains(scope);
        // First how many, which bounds the rest.
        let are_granted = scopes.len() <= granted.len()
            && scopes.iter().enumerate().all(|(at, scope)| is_granted(at, scope));
        if !are_granted {
            return Err(RefreshError::Scope);
        }
        match self.answer(session).await? {
            Answered::Fault(error) => Err(error.into()),
            Answered::GoOn(claims) => {
                let access = self.mint(session, row.subject_version, scopes, claims, read.now);
                Ok(access.await.and_then(|access| within_limit(access, request.token_limit))?)
            }
            Answered::End(reason) => {
                let event = SessionEvent::Ended { session: row.id, reason };
                self.end_quietly(row, reason, &event).await?;
                Err(RefreshError::Refused(RefreshRefusal::Ended(reason)))
            }
        }
    }

    /// Ends the session of a token that must not go on. Whether it was not ended before.
    async fn end_found(
        &self,
        known: &Known<'_>,
        presented: &Presented,
        reason: EndReason,
    ) -> Result<bool, SessionsUnavailable> {
        let Known { read, row, .. } = known;
        let event = match reason {
            EndReason::Replay | EndReason::LostRotation => SessionEvent::Replayed {
                session: row.id,
                reason,
                presented: presented.generation,
                current: row.generation,
                age: read.now.since(row.rotated_at),
            },
            _ => SessionEvent::Ended { session: row.id, reason },
        };
        self.end_quietly(row, reason, &event).await
    }

    /// Ends a session whose client is told that its token is refused, whatever becomes of its access tokens: those are revoked
    /// in the background, if not now. Whether it was not ended before.
    async fn end_quietly(
        &self,
        row: &SessionRow,
        reason: EndReason,
        event: &SessionEvent,
    ) -> Result<bool, SessionsUnavailable> {
        let is_ended = self.end_in_store(row.id, reason, event).await?;
        let _ = self.revoke_session(row.id).await;
        Ok(is_ended)
    }

    /// Whether the list of revocations names it: the store may have been put back to before its end.
    fn is_listed(&self, row: &SessionRow) -> bool {
        self.is_revoked(row.id.to_string()) || self.is_outdated(&row.subject, row.subject_version)
    }

    /// Whether the list of revocations names a session.
    pub(super) fn is_revoked(&self, session: String) -> bool {
        let issuer = self.issuer_id.clone();
        let session = Revocation::Session { issuer, session, until: None };
        self.revocations.is_revoked(&session)
    }
}

/// An access token that its client can keep.
pub(super) fn within_limit(access: Minted, limit: Option<usize>) -> Result<Minted, MintError> {
    let length = access.token.len();
    match limit {
        Some(limit) if length > limit => Err(MintError::TooLongForCookie { length, limit }),
        _ => Ok(access),
    }
}

fn standing(read: &ReadSession, row: &SessionRow) -> Standing {
    Standing {
        ended: row.ended.map(|ended| ended.reason),
        idle_until: row.idle_until,
        ends_at: row.ends_at,
        rotated_at: row.rotated_at,
        generation: row.generation,
        is_outdated: row.subject_version < read.subject_version,
        is_bound: row.binding.is_some(),
    }
}

fn which(row: &SessionRow, presented: &Presented) -> Which {
    let hash = presented.secret.hash();
    if is_hash(&row.current_hash, &hash) {
        Which::Current
    } else if row.previous.is_some_and(|previous| is_hash(&previous.hash, &hash)) {
        Which::Previous
    } else {
        Which::Other { generation: presented.generation }
    }
}

fn is_hash(kept: &[u8; 32], presented: &[u8; 32]) -> bool {
    verify_slices_are_equal(kept, presented).is_ok()
}

impl From<Over> for RefreshRefusal {
    fn from(over: Over) -> Self {
        match over {
            Over::Ended(reason) => Self::Ended(reason),
            Over::Idle => Self::Idle,
            Over::Expired => Self::Expired,
        }
    }
}

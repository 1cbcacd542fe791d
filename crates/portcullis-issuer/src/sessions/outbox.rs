//! What ended is revoked, whoever ended it; and what has been over for long is deleted.
//!
//! The rows are the outbox: a session ends in the store first, and its row stays. So whatever stops a process between the two,
//! the next look of any process goes on here; and one that meets a list of revocations which lost what it had, or which
//! is its own alone.
use core::time::Duration;
use std::sync::Weak;

use portcullis::Revocation;
use portcullis::revocation::RevokeError;
use tokio::time::sleep;

use super::error::{EndError, SessionsUnavailable};
use super::event::SessionEvent;
use super::{Inner, SLOW};
use crate::session::SessionId;

/// How often what ended lately is looked for.
const OFTEN: Duration = Duration::from_secs(1);

/// How far back that looks: a transaction that ended a session may be that long on its way.
const LATELY: Duration = Duration::from_secs(10);

/// How often all is looked for whose tokens may be about: a list of revocations that lost what it had is full again by then,
/// and so is a transaction found that took longer.
const ALL_EVERY: Duration = Duration::from_secs(60);

/// How often what is over is deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);

/// For how long a session is kept that is over: so that somebody can ask why.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How many rows are looked at in one go.
const STEP: usize = 1000;

/// How far back what ended is looked for.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Look {
    Lately,
    /// As far as a token may be about.
    All,
}

impl Inner {
    pub(super) async fn revoke_session(&self, id: SessionId) -> Result<(), EndError> {
        let (issuer, session) = (self.issuer_id.clone(), id.to_string());
        self.revoke(Revocation::Session { issuer, session, until: None }).await
    }

    pub(super) async fn revoke_version(&self, subject: &str, version: u64) -> Result<(), EndError> {
        let (issuer, subject) = (self.issuer_id.clone(), subject.to_owned());
        self.revoke(Revocation::Version { issuer, subject, current: version }).await
    }

    async fn revoke(&self, what: Revocation) -> Result<(), EndError> {
        let list = &self.revocations;
        let is_there = match &what {
            // One entry stands for all versions.
            Revocation::Version { subject, current, .. } => {
                list.version_needed(&self.issuer_id, subject).is_some_and(|it| it >= *current)
            }
            other => list.is_revoked(other),
        };
        if is_there {
            return Ok(());
        }
        list.revoke(&what).await.map_err(|error: RevokeError| {
            if self.counts.fall_behind(self.time.elapsed()) {
                self.observers.notify(&SessionEvent::NotRevoked { error: error.clone() });
            }
            EndError::NotRevoked(error)
        })
    }

    /// Revokes what ended, as far as the list does not have it.
    pub(super) async fn revoke_what_ended(&self, look: Look) -> Result<(), EndError> {
        let back = match look {
            Look::Lately => LATELY,
            Look::All => {
                self.check_store_clock().await?;
                self.reach
            }
        };
        // The store's clock may be off by the skew, and is asked a moment later.
        let since = self.time.wall().before(back + self.rule.skew + SLOW);
        let mut after = None;
        loop {
            let page = self.store.ended(&self.issuer_id, since, after, STEP);
            let page = self.stored(page).await?;
            for ended in &page {
                self.revoke_session(ended.id).await?;
            }
            after = page.last().copied();
            if page.len() < STEP {
                break;
            }
        }
        let mut after = None;
        loop {
            let page = self.store.raised(&self.issuer_id, since, after.as_ref(), STEP);
            let mut page = self.stored(page).await?;
            for raised in &page {
                self.revoke_version(&raised.subject, raised.version).await?;
            }
            let is_last = page.len() < STEP;
            after = page.pop();
            if is_last {
                break;
            }
        }
        if look == Look::All && self.counts.catch_up() {
            self.observers.notify(&SessionEvent::Revoked);
        }
        Ok(())
    }

    /// Deletes what has been over for longer than anybody asks about, and than a token of it lives.
    pub(super) async fn prune(&self) -> Result<(), SessionsUnavailable> {
        self.check_store_clock().await?;
        let before = self.time.wall().before(KEPT.max(self.reach) + self.rule.skew);
        let mut after = None;
        loop {
            let step = self.store.prune(&self.issuer_id, before, after, STEP);
            after = self.stored(step).await?;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}

/// Does it for as long as somebody has the sessions.
pub(super) async fn keep_up(sessions: Weak<Inner>) {
    let mut looked_at_all = Duration::ZERO;
    let mut pruned = Duration::ZERO;
    loop {
        sleep(OFTEN).await;
        let Some(sessions) = sessions.upgrade() else { return };
        let now = sessions.time.elapsed();
        let is_due = |last: Duration, every: Duration| now.saturating_sub(last) >= every;
        // What could not be revoked may be older than what is looked at often.
        let is_behind = sessions.counts.lag(now).is_some();
        let all = is_behind || is_due(looked_at_all, ALL_EVERY);
        let look = if all { Look::All } else { Look::Lately };
        // Told by whom it failed, and tried again.
        if sessions.revoke_what_ended(look).await.is_ok() && all {
            looked_at_all = now;
        }
        if is_due(pruned, PRUNE_EVERY) && sessions.prune().await.is_ok() {
            pruned = now;
        }
    }
}

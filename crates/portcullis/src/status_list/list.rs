//! One list, as its issuer signed it (Token Status List §5.1, §8.3).
use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use core::time::Duration;

use super::bits::{Statuses, Unreadable};
use super::fault::StatusListFault;
use super::settings::Settings;
use super::slots::Now;
use crate::error::ClaimsError;
use crate::json::{Json, read_object};
use crate::time::UnixTime;
use crate::token::{TokenError, TypeHeader};
use crate::verifier::Rules;
use crate::verify::{Statement, authenticate_other};

/// At which part of its freshness a list is fetched anew, in percent: while it still serves.
const REFRESH_AT_PERCENT: u32 = 80;

/// A list that may be asked.
#[derive(Debug)]
pub(super) struct List {
    statuses: Statuses,
    pub(super) issued_at: UnixTime,
    /// It serves before this, on the policy's clock.
    pub(super) until: UnixTime,
    /// And before this, so that a clock that is set back does not make it serve longer.
    pub(super) until_moment: Moment,
    /// From when on a request has it fetched anew, in milliseconds.
    refresh_at: AtomicU64,
    /// When it was last asked, on the policy's clock.
    used: AtomicI64,
}

/// Who signed it, where it was found, and when it was asked for.
pub(super) struct Origin<'a> {
    pub(super) issuer: &'a str,
    pub(super) uri: &'a str,
    pub(super) asked: Now,
}

impl List {
    /// Verifies the text of a list (§8.3 steps 3 to 5).
    pub(super) async fn verify(
        rules: &Rules,
        text: &[u8],
        origin: &Origin<'_>,
        settings: &Settings,
    ) -> Result<Self, StatusListFault> {
        // §11.3: by the issuer's own keys, found by its `iss`. The draft lets `iss` out where the
        // keys are found by other means, and there are none here.
        let statement =
            authenticate_other(rules, text, settings.max_bytes, None, |_, _, _| Ok(())).await?;
        Self::read(&statement, origin, rules.terms.clock.now(), settings)
    }

    fn read(
        statement: &Statement,
        origin: &Origin<'_>,
        now: UnixTime,
        settings: &Settings,
    ) -> Result<Self, StatusListFault> {
        let parts = &statement.authentic.parts;
        let payload = &parts.payload;
        let text = parts.text.payload();
        if parts.header.typ != TypeHeader::StatusList {
            let (found, accepted) = (parts.type_name(), "`statuslist+jwt`");
            return Err(ClaimsError::Type { found, accepted }.into());
        }
        if *statement.issuer.rules.id != *origin.issuer {
            return Err(ClaimsError::Issuer.into());
        }
        let subject = payload.subject.as_ref().ok_or(ClaimsError::Missing { claim: "sub" })?;
        // Byte by byte: no URL rules.
        if subject.get(text) != origin.uri {
            return Err(StatusListFault::Subject);
        }

        let issued_at = payload.issued_at.ok_or(ClaimsError::Missing { claim: "iat" })?;
        let end = check_times(statement, issued_at, settings.max_age, now)?;

        let Content { ttl, statuses } = Content::read(text, settings.max_list_bytes)?;
        // §11.5: within bounds of our own.
        let fresh_for = ttl.unwrap_or(settings.fresh_for);
        let fresh_for = fresh_for.clamp(settings.min_fresh, settings.max_fresh);
        // Counted from when it was asked for: it may have been made just then.
        let fresh_until = origin.asked.time.saturating_add(fresh_for);
        let until = end.map_or(fresh_until, |end| end.min(fresh_until));
        let lasts = until.saturating_since(origin.asked.time).min(fresh_for);
        let refresh_at = origin.asked.moment.saturating_add(lasts * REFRESH_AT_PERCENT / 100);
        Ok(Self {
            statuses,
            issued_at,
            until,
            until_moment: origin.asked.moment.saturating_add(lasts),
            refresh_at: AtomicU64::new(milliseconds(refresh_at)),
            used: AtomicI64::new(now.0),
        })
    }

    /// One without statuses, that serves until these.
    #[cfg(test)]
    pub(super) fn serving(issued_at: UnixTime, until: UnixTime, until_moment: Moment) -> Self {
        Self {
            statuses: Statuses::read(1, "eJwDAAAAAAE", 0).expect("an empty list"),
            issued_at,
            until,
            until_moment,
            refresh_at: AtomicU64::new(u64::MAX),
            used: AtomicI64::new(issued_at.0),
        }
    }

    /// Whether it may be asked now.
    pub(super) fn serves(&self, now: Now) -> bool {
        now.time < self.until && now.moment < self.until_moment
    }

    /// Whether the token with this place was taken back. A place that the list does not have says
    /// so, too: its issuer never gave it a status.
    pub(super) fn is_revoked(&self, index: u64) -> bool {
        self.statuses.get(index) != Some(VALID)
    }

    pub(super) fn refresh_at(&self) -> Moment {
        Moment::from_millis(self.refresh_at.load(Ordering::Relaxed))
    }

    pub(super) fn set_refresh_at(&self, at: Moment) {
        self.refresh_at.store(milliseconds(at), Ordering::Relaxed);
    }

    pub(super) fn used_at(&self) -> UnixTime {
        UnixTime(self.used.load(Ordering::Relaxed))
    }

    pub(super) fn set_used_at(&self, now: UnixTime) {
        // Once a second: the line is then not fought over by all cores.
        if self.used_at() != now {
            self.used.store(now.0, Ordering::Relaxed);
        }
    }
}

/// §7.1. Every other status, `SUSPENDED` among them, is none of a token to let in.
const VALID: u8 = 0x00;

const SECOND: Duration = Duration::from_secs(1);

/// Time since the lists were made, on a clock that only goes forward.
pub(super) type Moment = Duration;

fn milliseconds(moment: Moment) -> u64 {
    u64::try_from(moment.as_millis()).unwrap_or(u64::MAX)
}

/// Holds a list to its times (§8.3), and says when they end.
fn check_times(
    statement: &Statement,
    issued_at: UnixTime,
    max_age: Option<Duration>,
    now: UnixTime,
) -> Result<Option<UnixTime>, ClaimsError> {
    let payload = &statement.authentic.parts.payload;
    let leeway = statement.issuer.rules.claims.leeway;
    let horizon = now.saturating_add(leeway);
    if issued_at > horizon {
        return Err(ClaimsError::IssuedInFuture { from: issued_at, now });
    }
    if let Some(from) = payload.not_before.filter(|from| *from > horizon) {
        return Err(ClaimsError::NotYetValid { from, now });
    }
    let over_at = payload.expires_at.map(|at| at.saturating_add(leeway));
    if let (Some(at), Some(over_at)) = (payload.expires_at, over_at)
        && now >= over_at
    {
        return Err(ClaimsError::Expired { at, now });
    }
    let too_old_at = max_age.map(|limit| {
        // The last second at which its age is within the limit counts.
        issued_at.saturating_add(limit.saturating_add(leeway)).saturating_add(SECOND)
    });
    if let (Some(limit), Some(too_old_at)) = (max_age, too_old_at)
        && now >= too_old_at
    {
        return Err(ClaimsError::TooOld { age: now.saturating_since(issued_at), limit });
    }
    Ok([over_at, too_old_at].into_iter().flatten().min())
}

/// What a list's payload says that no other token's does.
struct Content {
    ttl: Option<Duration>,
    statuses: Statuses,
}

impl Content {
    fn read(payload: &str, limit: usize) -> Result<Self, StatusListFault> {
        let (mut ttl, mut statuses) = (None, None);
        read_object(payload, |name, mut value| {
            match &**name {
                "ttl" => {
                    let time = value.peek()?;
                    value.skip()?;
                    ttl = Some(positive(&time).ok_or(TokenError::ClaimType { claim: "ttl" })?);
                }
                "status_list" => {
                    let (mut bits, mut lst) = (None, None);
                    value.members(|name, value| match &**name {
                        "bits" => value.integer().map(|found| bits = found),
                        "lst" => value.string().map(|found| lst = found),
                        _ => value.skip(),
                    })?;
                    let bits = bits.and_then(|bits| u8::try_from(bits).ok());
                    let (Some(bits), Some(lst)) = (bits, lst) else {
                        return Err(StatusListFault::Malformed);
                    };
                    statuses = Some(Statuses::read(bits, &lst, limit).map_err(|unreadable| {
                        match unreadable {
                            Unreadable::Malformed => StatusListFault::Malformed,
                            Unreadable::TooLarge => StatusListFault::TooLarge { allowed: limit },
                        }
                    })?);
                }
                _ => value.skip()?,
            }
            Ok(())
        })?;
        let statuses = statuses.ok_or(ClaimsError::Missing { claim: "status_list" })?;
        Ok(Self { ttl, statuses })
    }
}

/// §5.1: a positive number of seconds.
fn positive(value: &Json<'_>) -> Option<Duration> {
    let seconds = match value {
        Json::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
        // More than can be counted is as much as can be.
        Json::Float(seconds) if *seconds > 0.0 => {
            Some(Duration::try_from_secs_f64(*seconds).unwrap_or(Duration::MAX))
        }
        _ => None,
    };
    seconds.filter(|seconds| !seconds.is_zero())
}

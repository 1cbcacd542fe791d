//! What becomes of a refresh token that this installation wrote: a pure function of what is kept of its session, and of the
//! time.
//!
//! 1. The current token rotates: another one takes its place. The store swaps, so that of two at once one does.
//! 2. A young token does not rotate. So any number of tabs come to the same one with one write, and one predecessor is
//!    enough to know.
//! 3. The predecessor, within the window, is a retry: its answer was lost, or another tab was first. It gets the same
//!    successor again.
//! 4. Where the session is bound to a key or a certificate, which whoever comes has shown by then, the predecessor is good
//!    later, too: its holder lost an answer, and nobody else has that. Another token takes the place of the current one.
//! 5. Anything else that has our tag was rotated away: two hold the session, and nobody can tell who is who. It ends.
//!
//! Why each of these, and what goes wrong without it, `model` shows by trying every order of events.
use core::time::Duration;

use crate::session::EndReason;
use crate::time::StoreTime;

/// What is settled for all sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// For how long the predecessor of a token is a retry.
    pub(crate) window: Duration,
    /// For how long a token is young. Longer than the window by the time that an answer may take to arrive: so the answer to a
    /// retry never arrives after the next rotation, and takes no newer token's place.
    pub(crate) young: Duration,
    /// For how long a retry may come late, where the session is bound to nothing. `None`: not at all.
    pub(crate) late: Option<Duration>,
    /// By how much the store's clock may go back, as after a failover, and be taken for standing still.
    pub(crate) skew: Duration,
}

/// How a session stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) ended: Option<EndReason>,
    pub(crate) idle_until: StoreTime,
    pub(crate) ends_at: StoreTime,
    pub(crate) rotated_at: StoreTime,
    /// How often it rotated.
    pub(crate) generation: u32,
    /// Whether it is of an older version than its subject.
    pub(crate) is_outdated: bool,
    /// Whether it is bound to a key or a certificate, which who comes has.
    pub(crate) is_bound: bool,
}

/// Which of a session's tokens was presented.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Which {
    Current,
    /// The one that the current one followed.
    Previous,
    /// Neither of them.
    Other {
        generation: u32,
    },
}

/// What becomes of a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Decision {
    /// The session is over, and was before.
    Refuse(Over),
    /// The session ends.
    End(EndReason),
    /// The session goes on.
    GoOn(Way),
}

/// How a session goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// The token is good as it is: nothing is written, and the client is given none. It has this one, or has a newer one by the
    /// time that the answer arrives.
    Keep,
    /// It is good for the token that followed it: nothing is written.
    Again,
    /// Another takes its place.
    Rotate,
    /// Another follows it, in the place of the one that did, which nobody came back with.
    Fork,
}

/// Why a session was over before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Over {
    Ended(EndReason),
    Idle,
    Expired,
}

/// Why a session is over at `now`, if it is.
pub(crate) fn over(standing: &Standing, now: StoreTime) -> Option<Over> {
    match standing.ended {
        Some(reason) => Some(Over::Ended(reason)),
        None if now >= standing.ends_at => Some(Over::Expired),
        None if now >= standing.idle_until => Some(Over::Idle),
        None => None,
    }
}

pub(crate) fn decide(standing: &Standing, which: Which, now: StoreTime, rule: &Rule) -> Decision {
    if let Some(over) = over(standing, now) {
        return Decision::Refuse(over);
    }
    if standing.is_outdated {
        return Decision::End(EndReason::SignedOutEverywhere);
    }
    let age = age(standing.rotated_at, now, rule.skew);
    let is_within = |limit: Duration| age.is_some_and(|age| age < limit);
    match which {
        Which::Current if is_within(rule.young) => Decision::GoOn(Way::Keep),
        Which::Current => Decision::GoOn(Way::Rotate),
        Which::Previous if is_within(rule.window) => Decision::GoOn(Way::Again),
        // No clock is asked: what tells a client from a thief is the key.
        Which::Previous if standing.is_bound => Decision::GoOn(Way::Fork),
        Which::Previous if rule.late.is_some_and(is_within) => Decision::GoOn(Way::Fork),
        // The store knew it once, and lost what it knew: to a failover, or a backup that was restored.
        Which::Other { generation } if generation > standing.generation => {
            Decision::End(EndReason::LostRotation)
        }
        Which::Previous | Which::Other { .. } => Decision::End(EndReason::Replay),
    }
}

/// How old the current token is. `None`: the clock went back by more than the skew, and nobody can tell. It counts as old:
/// who has the current one rotates it, and to take another one for a retry would be to trust a clock that is wrong.
fn age(rotated_at: StoreTime, now: StoreTime, skew: Duration) -> Option<Duration> {
    (rotated_at.since(now) <= skew).then(|| now.since(rotated_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(30);
    const RULE: Rule = Rule {
        window: WINDOW,
        young: WINDOW.saturating_mul(2),
        late: None,
        skew: Duration::from_secs(30),
    };
    const LATE: Rule = Rule { late: Some(Duration::from_secs(3600)), ..RULE };
    const STRICT: Rule = Rule { window: Duration::ZERO, young: Duration::ZERO, ..RULE };

    fn at(seconds: i64) -> StoreTime {
        StoreTime::from_millis(seconds * 1000)
    }

    /// It rotated at 1000 for the fourth time, and ends at 9000.
    fn standing() -> Standing {
        Standing {
            ended: None,
            idle_until: at(8000),
            ends_at: at(9000),
            rotated_at: at(1000),
            generation: 4,
            is_outdated: false,
            is_bound: false,
        }
    }

    #[test]
    fn what_becomes_of_a_token_by_its_age() {
        use Decision::{End, GoOn};
        use EndReason::{LostRotation, Replay};
        use Way::{Again, Fork, Keep, Rotate};
        use Which::{Current, Other, Previous};
        let (older, newer) = (Other { generation: 2 }, Other { generation: 5 });
        let displaced = Other { generation: 4 };
        for (rule, age, which, expected) in [
            (RULE, 0, Current, GoOn(Keep)),
            (RULE, 59, Current, GoOn(Keep)),
            (RULE, 60, Current, GoOn(Rotate)),
            (RULE, 0, Previous, GoOn(Again)),
            (RULE, 29, Previous, GoOn(Again)),
            (RULE, 30, Previous, End(Replay)),
            (RULE, 0, older, End(Replay)),
            (RULE, 30, older, End(Replay)),
            (RULE, 0, displaced, End(Replay)),
            (RULE, 0, newer, End(LostRotation)),
            (RULE, 30, newer, End(LostRotation)),
            (STRICT, 0, Current, GoOn(Rotate)),
            (STRICT, 0, Previous, End(Replay)),
            (STRICT, -30, Previous, End(Replay)),
            (LATE, 30, Previous, GoOn(Fork)),
            (LATE, 3599, Previous, GoOn(Fork)),
            (LATE, 3600, Previous, End(Replay)),
            (LATE, 30, older, End(Replay)),
            // The clock went back.
            (RULE, -30, Current, GoOn(Keep)),
            (RULE, -30, Previous, GoOn(Again)),
            (RULE, -31, Current, GoOn(Rotate)),
            (RULE, -31, Previous, End(Replay)),
            (LATE, -31, Previous, End(Replay)),
        ] {
            let decision = decide(&standing(), which, at(1000 + age), &rule);
            assert_eq!(decision, expected, "{which:?} at {age} s, {rule:?}");
        }
    }

    #[test]
    fn of_a_bound_session_the_token_before_is_good_however_late_and_no_other_is() {
        use Decision::{End, GoOn};
        use EndReason::{LostRotation, Replay};
        use Way::{Again, Fork, Keep, Rotate};
        use Which::{Current, Other, Previous};
        let standing = Standing { is_bound: true, ..standing() };
        let (older, newer) = (Other { generation: 2 }, Other { generation: 5 });
        for rule in [RULE, LATE] {
            for (age, which, expected) in [
                (0, Current, GoOn(Keep)),
                (60, Current, GoOn(Rotate)),
                (29, Previous, GoOn(Again)),
                (30, Previous, GoOn(Fork)),
                (6999, Previous, GoOn(Fork)),
                // The clock went back: it is not asked.
                (-31, Previous, GoOn(Fork)),
                (0, older, End(Replay)),
                (0, Other { generation: 4 }, End(Replay)),
                (0, newer, End(LostRotation)),
            ] {
                let decision = decide(&standing, which, at(1000 + age), &rule);
                assert_eq!(decision, expected, "{which:?} at {age} s, {rule:?}");
            }
        }
        let strict = decide(&standing, Previous, at(1000), &STRICT);
        assert_eq!(strict, GoOn(Fork));
    }

    #[test]
    fn no_token_of_a_session_that_is_over_does_anything() {
        let ended = Some(EndReason::SignedOut);
        let over = [
            (Standing { ended, ..standing() }, 1000, Over::Ended(EndReason::SignedOut)),
            (Standing { ended, ..standing() }, 9000, Over::Ended(EndReason::SignedOut)),
            (standing(), 8000, Over::Idle),
            (standing(), 9000, Over::Expired),
            (Standing { is_outdated: true, ..standing() }, 8000, Over::Idle),
        ];
        for (standing, now, expected) in over {
            for which in [Which::Current, Which::Previous, Which::Other { generation: 1 }] {
                let decision = decide(&standing, which, at(now), &LATE);
                assert_eq!(decision, Decision::Refuse(expected), "{which:?}");
            }
        }
    }

    #[test]
    fn a_session_of_an_older_version_of_its_subject_ends() {
        let standing = Standing { is_outdated: true, ..standing() };
        for which in [Which::Current, Which::Previous, Which::Other { generation: 1 }] {
            let decision = decide(&standing, which, at(1000), &RULE);
            assert_eq!(decision, Decision::End(EndReason::SignedOutEverywhere), "{which:?}");
        }
    }
}

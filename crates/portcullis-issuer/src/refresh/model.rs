//! The rule in every order of events, over the real [`decide`].
//!
//! - **No thief.** Tabs share one jar of cookies. Each may send what the jar has at any moment; servers read a row, decide, and
//!   swap; between any two steps another may come, a server may crash, and an answer may be lost, which its tab notices and
//!   tries again. Is the client ever refused?
//! - **A thief** has a copy of the jar. Can both go on?
//! - **A thief without the key** of a session that is bound to one has every token there is. Does anything come of it?
//!
//! A token is its generation and a number that no two of one generation share. Everything that can come of the first state is
//! looked at. What the model shows of other rules stands here as well: a model that finds nothing anywhere shows nothing.
use std::collections::{HashSet, VecDeque};

use super::*;
use crate::session::{Binding, CertificateBinding, KeyBinding};
use crate::time::StoreTime;

type Token = (u8, u8);

/// Where the model's clock begins, in seconds.
const START: i64 = 1_000;

/// When sessions end: later than any world here.
const END: i64 = 1_000_000;

fn at(tick: i8) -> StoreTime {
    StoreTime::from_millis((START + i64::from(tick)) * 1000)
}

/// What a store has.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Row {
    current: Token,
    previous: Option<Token>,
    rotated_at: i8,
    is_ended: bool,
    version: u8,
    /// Whether it is bound to [`own`].
    is_bound: bool,
}

const NEW: Row = Row {
    current: (0, 0),
    previous: None,
    rotated_at: 0,
    is_ended: false,
    version: 0,
    is_bound: false,
};

const BOUND: Row = Row { is_bound: true, ..NEW };

/// What the client has: a key and a certificate.
fn own() -> Binding {
    let certificate = Some(CertificateBinding::new([1; 32]));
    Binding { key: Some(KeyBinding::new([1; 32])), certificate }
}

/// What a thief may have: nothing, one of the two that the client has, or others.
fn of_thief() -> [Binding; 4] {
    let other = Some(CertificateBinding::new([2; 32]));
    let others = Binding { key: Some(KeyBinding::new([2; 32])), certificate: other };
    [
        Binding::default(),
        Binding { key: None, ..own() },
        Binding { certificate: None, ..own() },
        others,
    ]
}

impl Row {
    fn standing(self) -> Standing {
        Standing {
            ended: self.is_ended.then_some(crate::EndReason::Replay),
            idle_until: StoreTime::from_millis(END * 1000),
            ends_at: StoreTime::from_millis(END * 1000),
            rotated_at: at(self.rotated_at),
            generation: self.current.0.into(),
            is_outdated: false,
            is_bound: self.is_bound,
        }
    }

    fn which(self, token: Token) -> Which {
        if token == self.current {
            Which::Current
        } else if Some(token) == self.previous {
            Which::Previous
        } else {
            Which::Other { generation: token.0.into() }
        }
    }

    /// What a token comes to of somebody who shows this. What is not heard does nothing.
    fn present_with(
        self,
        token: Token,
        shown: &Binding,
        now: i8,
        rule: &dyn Decide,
    ) -> (Option<Self>, Option<Token>) {
        let binding = self.is_bound.then(own).and_then(|own| own.to_row());
        match hear(binding.as_deref(), shown, MustBeBound::default()) {
            Ok(()) => self.present(token, now, rule),
            Err(_) => (None, None),
        }
    }

    /// What a token comes to of somebody who was heard: the row afterwards, if it is written, and the token that its holder goes on with. `None`: it is
    /// refused.
    fn present(self, token: Token, now: i8, rule: &dyn Decide) -> (Option<Self>, Option<Token>) {
        let version = self.version + 1;
        match rule.decide(&self.standing(), self.which(token), at(now)) {
            Decision::Refuse(_) => (None, None),
            Decision::End(_) => (Some(Self { is_ended: true, version, ..self }), None),
            Decision::GoOn(Way::Keep) => (None, Some(token)),
            Decision::GoOn(Way::Again) => (None, Some(self.current)),
            Decision::GoOn(Way::Rotate) => {
                let current = (self.current.0 + 1, version);
                let previous = Some(self.current);
                let row = Self { current, previous, rotated_at: now, version, ..self };
                (Some(row), Some(current))
            }
            Decision::GoOn(Way::Fork) => {
                let current = (self.current.0, version);
                (Some(Self { current, version, ..self }), Some(current))
            }
        }
    }
}

trait Decide {
    fn decide(&self, standing: &Standing, which: Which, now: StoreTime) -> Decision;
}

impl Decide for Rule {
    fn decide(&self, standing: &Standing, which: Which, now: StoreTime) -> Decision {
        decide(standing, which, now, self)
    }
}

/// Another rule.
struct Otherwise<F>(F);

impl<F: Fn(&Standing, Which, StoreTime) -> Decision> Decide for Otherwise<F> {
    fn decide(&self, standing: &Standing, which: Which, now: StoreTime) -> Decision {
        (self.0)(standing, which, now)
    }
}

fn ours(window: u64) -> Rule {
    let skew = core::time::Duration::from_secs(1);
    let window = core::time::Duration::from_secs(window);
    Rule { window, young: 2 * window, late: None, skew }
}

fn with_late(window: u64) -> Rule {
    Rule { late: Some(core::time::Duration::from_secs(99)), ..ours(window) }
}

/// Looks at every state that comes of the first, and says how many there are; or what led to the first that breaks the
/// promise.
fn explore<S: Clone + Eq + core::hash::Hash>(
    start: S,
    mut next: impl FnMut(&S, &mut Vec<S>) -> Result<(), String>,
) -> Result<usize, String> {
    let mut seen = HashSet::from([start.clone()]);
    let mut queue = VecDeque::from([start]);
    let mut found = Vec::new();
    while let Some(state) = queue.pop_front() {
        next(&state, &mut found)?;
        for state in found.drain(..) {
            if seen.insert(state.clone()) {
                queue.push_back(state);
            }
        }
    }
    Ok(seen.len())
}

/// A request of a tab.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Request {
    token: Token,
    sent: i8,
    step: Step,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Step {
    Sent,
    /// A server read the row of this version, whose tokens were these, of that time.
    Read(Seen),
    /// `None`: with no token.
    Answered(Option<Token>),
    Lost,
}

type Seen = (Token, Option<Token>, i8, bool, u8);

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Tabs {
    now: i8,
    row: Row,
    jar: Token,
    /// In order, so that two of one kind are one state.
    requests: Vec<Request>,
    sent: u8,
    /// How many answers were lost since one came.
    lost: u8,
}

struct Honest {
    tabs: usize,
    ticks: i8,
    /// How often it rotates at most.
    generations: u8,
    /// How many answers are lost one after the other, at most. An answer that a server did not come to is lost, too.
    losses: u8,
    /// Whether a tab whose answer was lost may come back whenever.
    is_sleepy: bool,
    /// Whether the swap looks at the version.
    is_swapped: bool,
    /// Whether a client is told the token again that it came with.
    is_kept_told: bool,
    /// Whether a client that comes too late is no matter.
    may_refuse: bool,
    /// What the session begins with.
    row: Row,
    thief: Thief,
}

/// Who has a copy of whatever token, at any moment, and no key.
#[derive(Clone, Copy, PartialEq)]
enum Thief {
    None,
    /// Who comes without a proof, or with one of a key of their own.
    NotHeard,
    /// The same, where the rule is asked first.
    Heard,
    /// The same, of who has old tokens alone.
    FromLog,
}

const TWO_TABS: Honest = Honest {
    tabs: 2,
    ticks: 20,
    generations: 3,
    losses: 1,
    is_sleepy: false,
    is_swapped: true,
    is_kept_told: false,
    may_refuse: false,
    row: NEW,
    thief: Thief::None,
};

const THREE_TABS: Honest = Honest { tabs: 3, generations: 2, ..TWO_TABS };

/// The most requests of a world.
const REQUESTS: u8 = 8;

/// The longest that a request takes, from when it is sent to its answer, or to when its loss is noticed.
const TAKES: i8 = 1;

impl Honest {
    fn run(&self, rule: &dyn Decide) -> Result<usize, String> {
        let start = Tabs {
            now: 0,
            row: self.row,
            jar: NEW.current,
            requests: Vec::new(),
            sent: 0,
            lost: 0,
        };
        explore(start, |state, next| self.step(state, rule, next))
    }

    fn step(&self, state: &Tabs, rule: &dyn Decide, next: &mut Vec<Tabs>) -> Result<(), String> {
        let (may_send, may_lose) = (state.sent < REQUESTS, state.lost < self.losses);
        if may_send && state.requests.len() < self.tabs && state.row.current.0 < self.generations {
            let mut sends = state.clone();
            sends.requests.push(sent(state));
            sends.sent += 1;
            next.push(sends);
        }
        for (at, request) in state.requests.iter().enumerate() {
            let mut rest = state.clone();
            rest.requests.remove(at);
            let with = |mut world: Tabs, step| {
                world.requests.push(Request { step, ..*request });
                world.lost += u8::from(step == Step::Lost);
                world
            };
            let row = state.row;
            match request.step {
                Step::Sent => next.push(with(rest, read(row))),
                Step::Read(seen) => {
                    if may_lose {
                        // The server crashes before it wrote.
                        next.push(with(rest.clone(), Step::Lost));
                    }
                    let was = Row { is_bound: row.is_bound, ..seen_row(seen) };
                    let shown = row.is_bound.then(own).unwrap_or_default();
                    let (written, answer) =
                        was.present_with(request.token, &shown, state.now, rule);
                    let Some(answer) = answer else {
                        if self.may_refuse {
                            continue;
                        }
                        return Err(format!("refused: {request:?} of {state:?}"));
                    };
                    let is_lost = written.is_some() && row.version != was.version;
                    if is_lost && self.is_swapped {
                        next.push(with(rest, read(row)));
                        continue;
                    }
                    if is_lost {
                        return Err(format!("spent twice: {request:?} of {state:?}"));
                    }
                    rest.row = written.unwrap_or(row);
                    // Where it is the one that came, the client is told no token.
                    let news = Some(answer).filter(|it| self.is_kept_told || *it != request.token);
                    next.push(with(rest.clone(), Step::Answered(news)));
                    if may_lose {
                        next.push(with(rest, Step::Lost));
                    }
                }
                Step::Answered(token) => {
                    let token = token.unwrap_or(rest.jar);
                    if self.may_refuse && token.0 < rest.jar.0 {
                        return Err(format!("an older token: {request:?} of {state:?}"));
                    }
                    rest.jar = token;
                    rest.lost = 0;
                    next.push(rest);
                }
                Step::Lost if may_send => {
                    rest.requests.push(sent(state));
                    rest.sent += 1;
                    next.push(rest);
                }
                Step::Lost => next.push(rest),
            }
        }
        self.steal(state, rule, next)?;
        let is_late = |request: &Request| {
            let may_be = self.is_sleepy && request.step == Step::Lost;
            !may_be && state.now + 1 - request.sent > TAKES
        };
        if state.now < self.ticks && !state.requests.iter().any(is_late) {
            next.push(Tabs { now: state.now + 1, ..state.clone() });
        }
        next.iter_mut().for_each(|world| world.requests.sort_unstable());
        Ok(())
    }
}

impl Honest {
    /// What a thief without the key makes of each token that there is.
    fn steal(&self, state: &Tabs, rule: &dyn Decide, next: &mut Vec<Tabs>) -> Result<(), String> {
        if self.thief == Thief::None {
            return Ok(());
        }
        let row = state.row;
        let known = [Some(row.current), row.previous];
        let copied = match self.thief {
            Thief::FromLog => vec![Some(NEW.current).filter(|it| !known.contains(&Some(*it)))],
            _ => [&known[..], &[Some(state.jar), Some(NEW.current)]].concat(),
        };
        for token in copied.into_iter().flatten() {
            for shown in of_thief() {
                let (written, answer) = match self.thief {
                    Thief::Heard | Thief::FromLog => row.present(token, state.now, rule),
                    Thief::None | Thief::NotHeard => {
                        row.present_with(token, &shown, state.now, rule)
                    }
                };
                if answer.is_some_and(|answer| answer != token) {
                    return Err(format!("a thief goes on: {token:?} of {state:?}"));
                }
                // What became of the session shows when its client comes back.
                let row = written.filter(|written| *written != row);
                next.extend(row.map(|row| Tabs { row, ..state.clone() }));
            }
        }
        Ok(())
    }
}

fn sent(state: &Tabs) -> Request {
    Request { token: state.jar, sent: state.now, step: Step::Sent }
}

fn read(row: Row) -> Step {
    Step::Read((row.current, row.previous, row.rotated_at, row.is_ended, row.version))
}

fn seen_row((current, previous, rotated_at, is_ended, version): Seen) -> Row {
    Row { current, previous, rotated_at, is_ended, version, is_bound: false }
}

#[test]
fn an_honest_client_is_never_refused_where_the_window_is_over_four_requests() {
    let found = TWO_TABS.run(&ours(5)).expect("never refused");
    assert!(found > 25_000, "{found}");
    let found = THREE_TABS.run(&ours(5)).expect("never refused");
    assert!(found > 50_000, "{found}");
    // Each answer more that is lost in a row takes one request more.
    for losses in [2, 3] {
        let losing = Honest { losses, ..TWO_TABS };
        losing.run(&ours(4 + u64::from(losses))).expect("never refused");
    }
}

#[test]
fn an_honest_client_is_refused_where_the_window_is_shorter() {
    for window in 0..=4 {
        TWO_TABS.run(&ours(window)).expect_err("refused");
    }
    for losses in [2, 3] {
        let losing = Honest { losses, ..TWO_TABS };
        losing.run(&ours(3 + u64::from(losses))).expect_err("refused");
    }
}

/// An answer that arrives after a newer one, and takes its place in the jar: the client is refused when it comes back.
#[test]
fn no_answer_takes_the_place_of_a_newer_one() {
    let often = Honest { losses: 5, may_refuse: true, ..TWO_TABS };
    often.run(&ours(5)).expect("none does");
    let told = Honest { is_kept_told: true, ..often }.run(&ours(5)).expect_err("one does");
    assert!(told.starts_with("an older token"), "{told}");
    let young = ours(5).window;
    let told = often.run(&Rule { young, ..ours(5) }).expect_err("one does");
    assert!(told.starts_with("an older token"), "{told}");
}

#[test]
fn an_honest_client_is_refused_where_it_is_told_again_what_it_came_with() {
    Honest { is_kept_told: true, ..TWO_TABS }.run(&ours(5)).expect_err("refused");
}

#[test]
fn an_honest_client_is_refused_where_a_young_token_rotates() {
    let always = Otherwise(|standing: &Standing, which, now| match which {
        Which::Current => Decision::GoOn(Way::Rotate),
        which => decide(standing, which, now, &ours(5)),
    });
    THREE_TABS.run(&always).expect_err("refused");
}

#[test]
fn a_token_is_spent_twice_where_the_swap_does_not_look_at_the_version() {
    let blind = Honest { is_swapped: false, ..TWO_TABS };
    let told = blind.run(&ours(5)).expect_err("spent twice");
    assert!(told.starts_with("spent twice"), "{told}");
}

#[test]
fn an_honest_client_is_refused_where_a_retry_displaces() {
    let displacing =
        Otherwise(|standing: &Standing, which, now| match decide(standing, which, now, &ours(5)) {
            Decision::GoOn(Way::Keep) => Decision::GoOn(Way::Rotate),
            Decision::GoOn(Way::Again) => Decision::GoOn(Way::Fork),
            decision => decision,
        });
    TWO_TABS.run(&displacing).expect_err("refused");
}

/// A client that lost an answer, slept, and comes back.
#[test]
fn one_client_that_comes_back_late_goes_on_only_with_late_retry() {
    let one = Honest { tabs: 1, is_sleepy: true, ..TWO_TABS };
    one.run(&ours(5)).expect_err("refused");
    one.run(&with_late(5)).expect("never refused");
    TWO_TABS.run(&with_late(5)).expect("never refused");
    // Which is why it is not for browsers.
    let two = Honest { is_sleepy: true, ..TWO_TABS };
    two.run(&with_late(5)).expect_err("refused");
}

/// What tells such a client from a thief is its key, and not how late it is. So it goes on without leave, whatever the window, and
/// however many answers it loses.
#[test]
fn one_client_of_a_bound_session_comes_back_whenever() {
    let one = Honest { tabs: 1, is_sleepy: true, losses: 4, row: BOUND, ..TWO_TABS };
    for window in [0, 5] {
        let found = one.run(&ours(window)).expect("never refused");
        assert!(found > 1_000, "{found}");
        Honest { row: NEW, ..one }.run(&ours(window)).expect_err("refused");
    }
    // Two that share the key are two tabs.
    Honest { row: BOUND, ..TWO_TABS }.run(&ours(5)).expect("never refused");
}

#[test]
fn nothing_comes_of_the_tokens_of_a_bound_session_to_who_does_not_have_its_key() {
    let one = Honest { tabs: 1, is_sleepy: true, losses: 3, row: BOUND, ..TWO_TABS };
    for honest in [one, Honest { row: BOUND, ..TWO_TABS }] {
        let alone = honest.run(&ours(5)).expect("never refused");
        let beside = Honest { thief: Thief::NotHeard, ..honest }.run(&ours(5));
        assert_eq!(beside, Ok(alone), "there is no state more for it");
        let first = Honest { thief: Thief::Heard, ..honest }.run(&ours(5));
        assert!(first.expect_err("a thief does something").starts_with("a thief goes on"));
    }
}

/// Where the rule is asked before the key is, an old token out of a log logs its user out.
#[test]
fn a_client_is_refused_where_the_rule_is_asked_before_the_key() {
    let one = Honest { tabs: 1, row: BOUND, thief: Thief::FromLog, ..TWO_TABS };
    let told = one.run(&ours(5)).expect_err("refused");
    assert!(told.starts_with("refused"), "{told}");
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Holder {
    token: Token,
    /// How often it went on to another token.
    went_on: u8,
    /// When it was answered last.
    last: Option<i8>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Theft {
    now: i8,
    row: Row,
    user: Holder,
    thief: Holder,
    /// Whether the thief may still come once within the window of the user.
    is_bold: bool,
}

/// How often both go on at most, of those who have one token and come at least a window apart. Looks no further than
/// `enough`.
fn both_go_on(rule: &dyn Decide, window: i8, is_bold: bool, enough: u8) -> u8 {
    both_go_on_from(NEW, rule, window, is_bold, enough)
}

fn both_go_on_from(row: Row, rule: &dyn Decide, window: i8, is_bold: bool, enough: u8) -> u8 {
    let holder = Holder { token: NEW.current, went_on: 0, last: None };
    let start = Theft { now: 0, row, user: holder, thief: holder, is_bold };
    let mut most = 0;
    let found = explore(start, |state, next| {
        most = most.max(state.user.went_on.min(state.thief.went_on));
        if state.now < 16 {
            next.push(Theft { now: state.now + 1, ..*state });
        }
        for is_thief in [false, true] {
            let (own, other) =
                if is_thief { (state.thief, state.user) } else { (state.user, state.thief) };
            let is_near = |last: Option<i8>| last.is_some_and(|last| state.now - last < window);
            let is_in_window = is_near(other.last);
            if is_in_window && !(is_thief && state.is_bold) || !is_in_window && is_near(own.last) {
                continue;
            }
            let (written, answer) = state.row.present(own.token, state.now, rule);
            let row = written.unwrap_or(state.row);
            let mut state = Theft { row, is_bold: state.is_bold && !is_in_window, ..*state };
            if let Some(token) = answer {
                let went_on = own.went_on + u8::from(token != own.token && own.went_on < enough);
                let own = Holder { token, went_on, last: Some(state.now) };
                *(if is_thief { &mut state.thief } else { &mut state.user }) = own;
            }
            next.push(state);
        }
        Ok(())
    });
    assert!(found.expect("nothing is refused here") > 100);
    most
}

#[test]
fn of_two_who_hold_one_token_one_goes_on_at_most() {
    for window in 0..=3 {
        let at_least = i8::try_from(window).expect("small").max(1);
        assert_eq!(both_go_on(&ours(window), at_least, false, 3), 0, "{window}");
    }
    assert_eq!(both_go_on(&with_late(2), 2, false, 3), 1, "late retry forgives one use");
}

/// Malware that copies the key as well is no better off than who has a bearer token where clients may come late.
#[test]
fn of_two_who_hold_token_and_key_one_goes_on_at_most_after_one_use_is_forgiven() {
    assert_eq!(both_go_on_from(BOUND, &ours(2), 2, false, 3), 1);
}

#[test]
fn a_thief_who_was_in_the_window_once_is_found_afterwards() {
    assert_eq!(both_go_on(&ours(2), 2, true, 3), 1);
}

#[test]
fn a_thief_one_generation_behind_goes_on_where_the_predecessor_is_always_good() {
    let parent_always = Otherwise(|standing: &Standing, which, now| match which {
        Which::Previous => Decision::GoOn(Way::Again),
        which => decide(standing, which, now, &ours(2)),
    });
    assert_eq!(both_go_on(&parent_always, 2, false, 3), 3);
}

/// What no rule of this kind finds: the promise is for those who come further apart.
#[test]
fn a_thief_in_step_with_the_client_is_not_found() {
    let mut row = NEW;
    let mut tokens = [row.current; 2];
    for cycle in 1..20 {
        for (holder, delay) in [(0, 0), (1, 1)] {
            let (written, answer) = row.present(tokens[holder], cycle * 6 + delay, &ours(2));
            row = written.unwrap_or(row);
            tokens[holder] = answer.expect("not found");
        }
    }
    assert_eq!(row.current.0, 19);
}

//! Random revocations, clocks and tokens, against a list that forgets nothing too early and is looked
//! through from end to end: in memory, and through Redis.
#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

use std::time::{Duration, Instant, SystemTime};

use portcullis::error::{ClaimsError, RevocationError};
use portcullis::revocation::RevokedUntil;
use portcullis::{
    Algorithm, Clock, Error, Issuer, KeySet, Policy, Revocable, Revocation, Revocations, UnixTime,
};
use portcullis_fleet_tests::{Member, Server, eventually};
use portcullis_redis::{RedisRevocations, StoreTerms};
use portcullis_testkit::{FixedClock, TestIssuer};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;

const LIFETIME: u64 = 900;
const LEEWAY: u64 = 30;
const ISSUERS: [&str; 2] = ["https://one.example", "https://two.example"];

#[derive(Clone, Debug)]
enum Step {
    /// So many seconds pass.
    Wait(u64),
    Revoke(Revocation),
    /// A token that was issued so many seconds ago, or will be.
    Present(Token),
}

#[derive(Clone, Debug)]
struct Token {
    issuer: usize,
    id: u8,
    subject: u8,
    session: u8,
    client: u8,
    version: u64,
    issued_ago: i64,
    lifetime: u64,
}

/// An entry as the model keeps it.
struct Entry {
    revocation: Revocation,
    at: i64,
}

fn name(number: u8) -> String {
    format!("name {number}")
}

/// Few names, so that they meet; one of them in every role, so that roles must be told apart.
fn names() -> impl Strategy<Value = u8> {
    0..3_u8
}

fn instants(now: i64) -> impl Strategy<Value = Option<UnixTime>> {
    prop_oneof![
        3 => Just(None),
        1 => (-1200..1200_i64).prop_map(move |offset| Some(UnixTime(now + offset))),
        1 => (-1200..40_i64).prop_map(move |offset| Some(UnixTime(now + offset))),
    ]
}

fn revocations(now: i64) -> impl Strategy<Value = Revocation> {
    let issuer = || (0..2_usize).prop_map(|issuer| ISSUERS[issuer].to_owned());
    let name = || names().prop_map(name);
    prop_oneof![
        4 => (issuer(), name(), instants(now)).prop_map(|(issuer, token_id, until)| {
            let until = until.map(Into::into);
            Revocation::Token { issuer, token_id, until }
        }),
        2 => (issuer(), name(), instants(now)).prop_map(|(issuer, session, until)| {
            let until = until.map(Into::into);
            Revocation::Session { issuer, session, until }
        }),
        4 => (issuer(), name(), instants(now)).prop_map(|(issuer, subject, issued_until)| {
            Revocation::Subject { issuer, subject, issued_until }
        }),
        2 => (issuer(), name(), 0..4_u64).prop_map(|(issuer, subject, current)| {
            Revocation::Version { issuer, subject, current }
        }),
        2 => (issuer(), name(), instants(now)).prop_map(|(issuer, client, issued_until)| {
            Revocation::Client { issuer, client, issued_until }
        }),
        1 => (issuer(), instants(now)).prop_map(|(issuer, issued_until)| {
            Revocation::Issuer { issuer, issued_until }
        }),
    ]
}

fn tokens() -> impl Strategy<Value = Token> {
    let names = (names(), names(), names(), names());
    (0..2_usize, names, 0..4_u64, -40..1000_i64, 1..=LIFETIME).prop_map(
        |(issuer, (id, subject, session, client), version, issued_ago, lifetime)| Token {
            issuer,
            id,
            subject,
            session,
            client,
            version,
            issued_ago,
            lifetime,
        },
    )
}

fn steps(now: i64) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => prop_oneof![0..40_u64, 0..1200_u64].prop_map(Step::Wait),
        3 => revocations(now).prop_map(Step::Revoke),
        6 => tokens().prop_map(Step::Present),
    ];
    prop::collection::vec(step, 1..30)
}

impl Entry {
    /// Until when it is kept, at least. By the rule, and not by the code.
    fn ends(&self) -> i64 {
        let (lifetime, leeway) = (i64::try_from(LIFETIME).unwrap(), i64::try_from(LEEWAY).unwrap());
        let latest = self.at + leeway;
        let from = match &self.revocation {
            Revocation::Token { until: Some(RevokedUntil::Time(until)), .. }
            | Revocation::Session { until: Some(RevokedUntil::Time(until)), .. } => {
                until.0.max(latest + lifetime)
            }
            _ => latest + lifetime,
        };
        from + leeway + 60
    }

    /// Whether no token could tell such a time.
    fn is_too_late(&self) -> bool {
        let (lifetime, leeway) = (i64::try_from(LIFETIME).unwrap(), i64::try_from(LEEWAY).unwrap());
        let latest = self.at + leeway;
        match &self.revocation {
            Revocation::Token { until: Some(RevokedUntil::Time(until)), .. }
            | Revocation::Session { until: Some(RevokedUntil::Time(until)), .. } => {
                until.0 > latest + lifetime + 60
            }
            Revocation::Subject { issued_until: Some(instant), .. }
            | Revocation::Client { issued_until: Some(instant), .. }
            | Revocation::Issuer { issued_until: Some(instant), .. } => instant.0 > latest,
            _ => false,
        }
    }

    fn takes_back(&self, token: &Token, issued: i64, now: i64) -> bool {
        let issued_until = |instant: &Option<UnixTime>| {
            issued <= instant.map_or(self.at + 30, |instant| instant.0)
        };
        let is_of = |issuer: &String| *issuer == ISSUERS[token.issuer];
        let takes_back = match &self.revocation {
            Revocation::Token { issuer, token_id, .. } => {
                is_of(issuer) && *token_id == name(token.id)
            }
            Revocation::Session { issuer, session, .. } => {
                is_of(issuer) && *session == name(token.session)
            }
            Revocation::Subject { issuer, subject, issued_until: until } => {
                is_of(issuer) && *subject == name(token.subject) && issued_until(until)
            }
            Revocation::Version { issuer, subject, current } => {
                is_of(issuer) && *subject == name(token.subject) && token.version < *current
            }
            Revocation::Client { issuer, client, issued_until: until } => {
                is_of(issuer) && *client == name(token.client) && issued_until(until)
            }
            Revocation::Issuer { issuer, issued_until: until } => {
                is_of(issuer) && issued_until(until)
            }
            _ => unreachable!("not made here"),
        };
        takes_back && now <= self.ends()
    }
}

/// What was found out, for the test that the test meets what it is about.
#[derive(Debug, Default)]
struct Met {
    active: u32,
    revoked: u32,
    expired: u32,
}

struct World {
    clock: FixedClock,
    policy: Policy,
    model: Vec<Entry>,
}

impl World {
    fn new(clock: FixedClock, revocations: &Revocations) -> Self {
        let mut builder = Policy::builder().clock(clock.clone());
        for issuer in ISSUERS {
            let keys = TestIssuer::new(issuer).jwks_of(&[Algorithm::EdDSA]);
            builder = builder.issuer(
                Issuer::new(issuer)
                    .algorithms([Algorithm::EdDSA])
                    .keys(KeySet::from_jwks(keys).unwrap())
                    .audience(TestIssuer::AUDIENCE),
            );
        }
        let kinds = Revocable::ALL.iter().copied().filter(|kind| *kind != Revocable::Key);
        let policy = builder
            .max_lifetime(Duration::from_secs(LIFETIME))
            .leeway(Duration::from_secs(LEEWAY))
            .revocations(revocations.enforce(kinds).version_claims(["ver"]))
            .build()
            .unwrap();
        Self { clock, policy, model: Vec::new() }
    }

    fn now(&self) -> i64 {
        self.clock.now().0
    }

    fn has_lower_version_than_ever(&self, token: &Token, now: i64) -> bool {
        let own = |entry: &&Entry| {
            matches!(&entry.revocation, Revocation::Version { issuer, subject, .. }
                if *issuer == ISSUERS[token.issuer] && *subject == name(token.subject))
        };
        let is_low = |entry: &Entry| matches!(entry.revocation, Revocation::Version { current, .. } if token.version < current);
        let own: Vec<_> = self.model.iter().filter(own).collect();
        own.iter().any(|entry| is_low(entry)) && own.iter().any(|entry| now <= entry.ends())
    }

    fn present(&self, token: &Token, met: &mut Met) -> Result<(), TestCaseError> {
        let (now, issuer) = (self.now(), TestIssuer::new(ISSUERS[token.issuer]));
        let issued = now - token.issued_ago;
        let text = issuer
            .token(Algorithm::EdDSA)
            .subject(name(token.subject))
            .claim("jti", name(token.id))
            .claim("sid", name(token.session))
            .claim("client_id", name(token.client))
            .claim("ver", token.version)
            .claim("iat", issued)
            .expires_at(issued + i64::try_from(token.lifetime).unwrap())
            .without("nbf")
            .mint();
        let expected = self.model.iter().any(|entry| entry.takes_back(token, issued, now));
        // Versions do not go down. Where one did, the higher may count for as long as the later lives.
        let is_of_both = !expected && self.has_lower_version_than_ever(token, now);
        // Twice: the second time it is perhaps remembered.
        for _ in 0..2 {
            match self.policy.verify_token_now(&text) {
                Ok(_) => {
                    prop_assert!(!expected, "it passes");
                    met.active += 1;
                }
                Err(Error::Revocation(RevocationError::Revoked)) => {
                    prop_assert!(expected || is_of_both, "it is refused");
                    met.revoked += 1;
                }
                Err(Error::Claims(
                    ClaimsError::Expired { .. } | ClaimsError::IssuedInFuture { .. },
                )) => met.expired += 1,
                Err(error) => prop_assert!(false, "{error}"),
            }
        }
        Ok(())
    }
}

fn present() -> i64 {
    UnixTime::from(SystemTime::now()).0
}

fn check_all(
    cases: u32,
    now: i64,
    case: impl Fn(Vec<Step>, &mut Met) -> Result<(), TestCaseError>,
) {
    let met = std::cell::RefCell::new(Met::default());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let result =
        TestRunner::new(config).run(&steps(now), |steps| case(steps, &mut met.borrow_mut()));
    if let Err(error) = result {
        panic!("{error}");
    }
    let met = met.into_inner();
    assert!(met.active > cases && met.revoked > cases && met.expired > 0, "{met:?}");
}

#[test]
fn in_memory_a_policy_says_what_the_model_says() {
    let runtime = Runtime::new().unwrap();
    let now = present();
    check_all(1000, now, |steps, met| {
        let clock = FixedClock::at(now);
        let revocations = Revocations::options()
            .max_lifetime(Duration::from_secs(LIFETIME))
            .clock(clock.clone())
            .in_memory();
        let mut world = World::new(clock, &revocations);
        for step in steps {
            match step {
                Step::Wait(seconds) => world.clock.advance(Duration::from_secs(seconds)),
                Step::Revoke(revocation) => {
                    let revoked = runtime.block_on(revocations.revoke(&revocation));
                    let entry = Entry { revocation, at: world.now() };
                    prop_assert_eq!(revoked.is_err(), entry.is_too_late(), "{:?}", revoked);
                    if revoked.is_ok() {
                        world.model.push(entry);
                    }
                }
                Step::Present(token) => world.present(&token, met)?,
            }
        }
        Ok(())
    });
}

#[test]
fn through_redis_every_member_says_what_the_model_says() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Server::start());
    let now = present();
    let count = std::cell::Cell::new(0);
    check_all(30, now, |steps, met| {
        count.set(count.get() + 1);
        let clock = FixedClock::at(now);
        let redis = RedisRevocations::server(&server.url()).unwrap().clock(clock.clone());
        let redis = Member::settings(redis).prefix(format!("case {}", count.get()));
        let redis = redis.heartbeat(Duration::from_millis(5));
        let terms = StoreTerms::new(Duration::from_secs(LIFETIME)).recovery(Duration::ZERO);
        runtime.block_on(redis.initialize(terms)).unwrap();
        let one = runtime.block_on(redis.connect()).unwrap();
        let other = runtime.block_on(redis.connect()).unwrap();
        let mut worlds = [World::new(clock.clone(), &one), World::new(clock, &other)];
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Wait(seconds) => worlds[0].clock.advance(Duration::from_secs(seconds)),
                Step::Revoke(revocation) => {
                    let revoked = runtime.block_on(one.revoke(&revocation));
                    let entry = Entry { revocation: revocation.clone(), at: worlds[0].now() };
                    prop_assert_eq!(revoked.is_err(), entry.is_too_late(), "{:?}", revoked);
                    if revoked.is_err() {
                        continue;
                    }
                    for world in &mut worlds {
                        let (revocation, at) = (revocation.clone(), world.now());
                        world.model.push(Entry { revocation, at });
                    }
                }
                Step::Present(token) => {
                    let start = Instant::now();
                    runtime.block_on(eventually("news", async || {
                        let age = other.stats().last_contact;
                        age.is_some_and(|age| age < start.elapsed())
                    }));
                    for world in &worlds {
                        world.present(&token, met)?;
                    }
                    if at % 10 == 0 {
                        // One that reads the state rather than the log.
                        let late = runtime.block_on(redis.connect()).unwrap();
                        runtime.block_on(eventually("fresh", async || late.is_fresh()));
                        let mut world = World::new(worlds[0].clock.clone(), &late);
                        world.model.extend(worlds[0].model.iter().map(|entry| Entry {
                            revocation: entry.revocation.clone(),
                            at: entry.at,
                        }));
                        world.present(&token, met)?;
                    }
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_later_entry_that_says_less_takes_nothing_from_an_earlier_one() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Server::start());
    // Both entries are over within the same minute, and so stand in one key of Redis.
    let now = present() / 60 * 60;
    let clock = FixedClock::at(now);
    let redis = RedisRevocations::server(&server.url()).unwrap().clock(clock.clone());
    let terms = StoreTerms::new(Duration::from_secs(LIFETIME)).recovery(Duration::ZERO);
    runtime.block_on(redis.initialize(terms)).unwrap();
    let one = runtime.block_on(redis.connect()).unwrap();
    let until = |instant| {
        runtime.block_on(one.revoke_subject(ISSUERS[0], name(1), UnixTime(instant))).unwrap();
    };
    until(now + 20);
    clock.advance(Duration::from_secs(10));
    until(now - 100);
    let buckets: u64 = runtime.block_on(server.ask(&["ZCARD", "{portcullis}:revocations:buckets"]));
    assert_eq!(buckets, 1);

    let late = runtime.block_on(redis.connect()).unwrap();
    runtime.block_on(eventually("fresh", async || late.is_fresh()));
    let world = World::new(clock, &late);
    let token =
        TestIssuer::new(ISSUERS[0]).token(Algorithm::EdDSA).subject(name(1)).claim("iat", now + 20);
    let token = token.claim("sid", "other").claim("ver", 9).without("nbf").expires_at(now + 600);
    let error = world.policy.verify_token_now(token.mint()).err();
    assert_eq!(error, Some(Error::Revocation(RevocationError::Revoked)));
}

#[test]
fn what_one_member_lifts_passes_at_every_other_and_at_those_who_start_later() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Server::start());
    let now = present();
    let clock = FixedClock::at(now);
    let redis = RedisRevocations::server(&server.url()).unwrap().clock(clock.clone());
    let redis = Member::settings(redis).heartbeat(Duration::from_millis(5));
    let terms = StoreTerms::new(Duration::from_secs(LIFETIME)).recovery(Duration::ZERO);
    runtime.block_on(redis.initialize(terms)).unwrap();
    let connect = || runtime.block_on(redis.connect()).unwrap();
    let (one, other) = (connect(), connect());
    let token = TestIssuer::new(ISSUERS[0]).token(Algorithm::EdDSA).subject(name(1));
    let token = token.claim("sid", "other").claim("ver", 9).claim("iat", now).without("nbf");
    let token = token.expires_at(now + 600).mint();
    let passes = |revocations: &Revocations| {
        World::new(clock.clone(), revocations).policy.verify_token_now(&token).is_ok()
    };
    let fresh = |revocations: &Revocations, expected: bool| {
        runtime.block_on(eventually("news", async || {
            revocations.is_fresh() && passes(revocations) == expected
        }));
    };

    // A time where a version was meant.
    let too_high = 1_800_000_000;
    let version =
        |current| runtime.block_on(one.revoke_versions_below(ISSUERS[0], name(1), current));
    version(too_high).unwrap();
    for member in [&one, &other, &connect()] {
        fresh(member, false);
    }
    let revocation =
        Revocation::Version { issuer: ISSUERS[0].to_owned(), subject: name(1), current: 0 };
    runtime.block_on(other.lift(&revocation)).unwrap();
    for member in [&one, &other, &connect()] {
        fresh(member, true);
    }
    version(9).unwrap();
    fresh(&connect(), true);
    version(10).unwrap();
    for member in [&one, &other, &connect()] {
        fresh(member, false);
    }
}

//! Ways round a revocation.
use std::time::Duration;

use http::Request;
use portcullis::error::{ClaimName, ClaimsError, RevocationError, TokenError};
use portcullis::revocation::{EnforcedRevocations, RevokeError};
use portcullis::{
    Algorithm, Error, Issuer, KeySet, Policy, Requirement, Revocable, Revocation, RevocationAdmin,
    Revocations, UnixTime, dangerous,
};
use portcullis_attacks::{Door, NOW, issuer, policy_for, request, token, trusted};
use portcullis_testkit::{FixedClock, SigningKey, TestIssuer, TokenBuilder, hostile};
use serde_json::{Value, json};

use Algorithm::{ES256, ES384, EdDSA};

const REVOKED: Error = Error::Revocation(RevocationError::Revoked);
const LEEWAY: i64 = 30;

fn revocations() -> Revocations {
    Revocations::options().clock(FixedClock::at(NOW)).in_memory()
}

fn door(enforced: EnforcedRevocations) -> Door {
    Door::new(policy_for([trusted(&[ES256, ES384, EdDSA])]).revocations(enforced))
}

fn lacks(claim: &str) -> Error {
    ClaimsError::Rule(ClaimName::Required(claim.into())).into()
}

#[track_caller]
fn refuses(door: &Door, token: &str, expected: &Error) {
    let answer = door.send(request("GET", &[("authorization", &format!("Bearer {token}"))]));
    assert_eq!(answer.error.as_ref(), Some(expected));
    assert_eq!((answer.status, answer.reached), (401, 0));
}

#[tokio::test]
async fn a_revoked_token_is_refused_in_every_spelling() {
    for algorithm in [ES256, ES384] {
        let revocations = revocations();
        let door = door(revocations.enforce([Revocable::Token]));
        let builder = token(algorithm).claim("jti", "stolen");
        let good = builder.mint();
        let twin = hostile::ecdsa_twin(&good);
        // Both pass, and are remembered.
        door.admits(&good);
        door.admits(&twin);
        revocations.revoke_token(issuer().name(), "stolen", None).await.unwrap();
        refuses(&door, &good, &REVOKED);
        refuses(&door, &twin, &REVOKED);
        // As many spellings of one name as JSON has.
        let payload = |id: &str| {
            let claims = format!(
                r#"{{"iss":"https://id.example","aud":"{}","iat":{NOW},"exp":{},"jti":"{id}"}}"#,
                TestIssuer::AUDIENCE,
                NOW + 300
            );
            token(algorithm).raw_payload(claims).mint()
        };
        door.admits(&payload("another"));
        for spelling in ["stolen", r"st\u006flen", r"\u0073\u0074\u006f\u006c\u0065\u006e"] {
            refuses(&door, &payload(spelling), &REVOKED);
        }
        // Another text of the same bytes is no token at all.
        for (respelled, error) in [
            (format!("{good}="), TokenError::Padding),
            (good.replace('.', ".="), TokenError::Character),
            (format!("{good}."), TokenError::Parts { found: 4 }),
        ] {
            refuses(&door, &respelled, &error.into());
        }
    }
}

#[tokio::test]
async fn a_revoked_token_that_is_signed_anew_by_another_key_stays_refused() {
    let revocations = revocations();
    let door = door(revocations.enforce([Revocable::Token]));
    revocations.revoke_token(issuer().name(), "stolen", None).await.unwrap();
    for algorithm in [ES256, ES384, EdDSA] {
        refuses(&door, &token(algorithm).claim("jti", "stolen").mint(), &REVOKED);
        door.admits(&token(algorithm).claim("jti", "another").mint());
    }
}

#[tokio::test]
async fn a_token_that_could_not_be_taken_back_is_refused() {
    let revocations = revocations();
    let enforce = |kind| door(revocations.enforce([kind]).version_claims(["ver"]));
    let whole = || token(ES256).claim("sid", "session").claim("ver", 3);
    let without = |claim: &str| whole().without(claim);
    for (kind, claim) in [
        (Revocable::Token, "jti"),
        (Revocable::Session, "sid"),
        (Revocable::Subject, "sub"),
        (Revocable::Version, "ver"),
        (Revocable::Client, "client_id"),
    ] {
        let door = enforce(kind);
        door.admits(&whole().mint());
        refuses(&door, &without(claim).mint(), &lacks(claim));
        refuses(&door, &without("iat").mint(), &ClaimsError::Missing { claim: "iat" }.into());
        if kind != Revocable::Version {
            refuses(&door, &whole().claim(claim, "").mint(), &lacks(claim));
        }
    }
    refuses(&enforce(Revocable::Version), &without("sub").mint(), &lacks("ver"));
    refuses(
        &enforce(Revocable::Issuer),
        &without("iat").mint(),
        &ClaimsError::Missing { claim: "iat" }.into(),
    );
    // Of another type, a claim is as good as none, and never one that stands for no revocation.
    for value in [json!(1), json!(null), json!(["session"]), json!({}), json!(true)] {
        refuses(&enforce(Revocable::Session), &whole().claim("sid", value).mint(), &lacks("sid"));
    }
    for value in
        [json!("3"), json!(-1), json!(3.5), json!(null), json!([3]), json!(1e300), json!(true)]
    {
        refuses(&enforce(Revocable::Version), &whole().claim("ver", value).mint(), &lacks("ver"));
    }
}

#[tokio::test]
async fn no_name_of_one_kind_or_issuer_stands_for_another() {
    let revocations = revocations();
    let kinds = [Revocable::Token, Revocable::Session, Revocable::Subject, Revocable::Client];
    let other = TestIssuer::new("https://id.exampl").at(NOW);
    let keys = KeySet::from_jwks(other.jwks_of(&[ES256])).unwrap();
    let trusted_too =
        Issuer::new(other.name()).algorithms([ES256]).keys(keys).audience(TestIssuer::AUDIENCE);
    let door = Door::new(
        policy_for([trusted(&[ES256]), trusted_too]).revocations(revocations.enforce(kinds)),
    );
    let all = |builder: TokenBuilder, name: &str| {
        builder.claim("jti", name).claim("sid", name).subject(name).claim("client_id", name).mint()
    };
    // Of the pieces of one, no other is made: `https://id.exampl` and `ename`.
    revocations.revoke_token(other.name(), "ename", None).await.unwrap();
    door.admits(&all(token(ES256), "name"));
    let name = |kind: &str| all(token(ES256), kind);
    for (kind, revocation) in [
        (
            "session",
            Revocation::Session {
                issuer: issuer().name().into(),
                session: "one".into(),
                until: None,
            },
        ),
        (
            "subject",
            Revocation::Subject {
                issuer: issuer().name().into(),
                subject: "two".into(),
                issued_until: None,
            },
        ),
        (
            "client",
            Revocation::Client {
                issuer: issuer().name().into(),
                client: "three".into(),
                issued_until: None,
            },
        ),
    ] {
        revocations.revoke(&revocation).await.unwrap();
        let revoked = match kind {
            "session" => "one",
            "subject" => "two",
            _ => "three",
        };
        refuses(&door, &name(revoked), &REVOKED);
        // The same words in another role.
        for role in ["jti", "sid", "sub", "client_id"] {
            let is_own = matches!(
                (kind, role),
                ("session", "sid") | ("subject", "sub") | ("client", "client_id")
            );
            if !is_own {
                door.admits(&token(ES256).claim("sid", "x").claim(role, revoked).mint());
            }
        }
        // And of another issuer.
        door.admits(&all(other.token(ES256), revoked));
    }
}

#[tokio::test]
async fn a_token_revoked_a_second_before_it_expires_stays_refused_to_the_end() {
    let clock = FixedClock::at(NOW);
    let revocations = Revocations::options().clock(clock.clone()).in_memory();
    let policy = policy_for([trusted(&[ES256])])
        .overrule(|builder| builder.clock(clock.clone()))
        .revocations(revocations.enforce([Revocable::Token, Revocable::Subject]));
    let policy = policy.build().unwrap();
    let mint = |id: &str| token(ES256).subject(id).claim("jti", id).expires_at(NOW + 600).mint();
    let (good, by_id, by_subject) = (mint("good"), mint("by id"), mint("by subject"));
    clock.advance(Duration::from_secs(599));
    revocations.revoke_token(issuer().name(), "by id", UnixTime(NOW + 600)).await.unwrap();
    revocations.revoke_subject(issuer().name(), "by subject", None).await.unwrap();
    for second in 599..600 + LEEWAY {
        assert!(policy.verify_token_now(&good).is_ok(), "{second}");
        for token in [&by_id, &by_subject] {
            assert_eq!(policy.verify_token_now(token).err(), Some(REVOKED), "{second}");
        }
        clock.advance(Duration::from_secs(1));
    }
    for token in [&good, &by_id, &by_subject] {
        let error = policy.verify_token_now(token).err();
        assert!(matches!(error, Some(Error::Claims(ClaimsError::Expired { .. }))), "{error:?}");
    }
}

#[tokio::test]
async fn a_token_of_a_fast_clock_does_not_outlive_its_revocation() {
    let clock = FixedClock::at(NOW);
    let day = Duration::from_secs(86_400);
    let revocations = Revocations::options().clock(clock.clone()).in_memory();
    let policy = policy_for([trusted(&[ES256])])
        .overrule(|builder| builder.clock(clock.clone()))
        .revocations(revocations.enforce([Revocable::Token, Revocable::Subject]))
        .build()
        .unwrap();
    // Issued as far ahead as is accepted, for as long as is accepted.
    let issued = NOW + LEEWAY;
    let end = issued + 86_400;
    let mint = |id: &str| {
        let token = token(ES256).subject(id).claim("jti", id).claim("iat", issued);
        token.without("nbf").expires_at(end).mint()
    };
    let (by_id, by_subject, good) = (mint("by id"), mint("by subject"), mint("good"));
    assert!(policy.verify_token_now(&by_id).is_ok());
    assert!(policy.verify_token_now(&by_subject).is_ok());
    revocations.revoke_token(issuer().name(), "by id", None).await.unwrap();
    revocations.revoke_subject(issuer().name(), "by subject", None).await.unwrap();
    // To the last second at which it would pass; the list is swept on the way.
    clock.advance(day + Duration::from_secs(u64::try_from(2 * LEEWAY - 1).unwrap()));
    for number in 0..2_000 {
        revocations.revoke_token(issuer().name(), format!("filler {number}"), None).await.unwrap();
    }
    assert!(policy.verify_token_now(&good).is_ok());
    assert_eq!(policy.verify_token_now(&by_id).err(), Some(REVOKED));
    assert_eq!(policy.verify_token_now(&by_subject).err(), Some(REVOKED));
}

#[tokio::test]
async fn a_token_without_iat_and_with_an_end_in_ten_years_does_not_wait_for_its_revocation_to_end()
{
    // It would first be accepted a day before its end, when nobody remembers its revocation.
    let revocations = revocations();
    let door = door(revocations.enforce([Revocable::Token]));
    let sleeper = token(ES256).claim("jti", "sleeper").without("iat");
    refuses(&door, &sleeper.mint(), &ClaimsError::Missing { claim: "iat" }.into());
}

#[tokio::test]
async fn a_key_that_is_revoked_signs_nothing_more_whatever_the_token_calls_it() {
    let revocations = revocations();
    let key = SigningKey::generate(ES256).with_id("stolen");
    let other = SigningKey::generate(ES256).with_id("good");
    let keys = |keys: &[&SigningKey]| {
        let keys: Vec<Value> = keys.iter().map(|key| key.public_jwk().unwrap()).collect();
        KeySet::from_jwks(json!({ "keys": keys }).to_string()).unwrap()
    };
    let issuer_with = |keys| {
        Issuer::new(issuer().name()).algorithms([ES256]).keys(keys).audience(TestIssuer::AUDIENCE)
    };
    let door = Door::new(
        policy_for([issuer_with(keys(&[&key, &other]))])
            .revocations(revocations.enforce([Revocable::Key])),
    );
    let by = |key: &SigningKey| token(ES256).signed_by(key);
    door.admits(&by(&key).mint());
    revocations.revoke_key(issuer().name(), "stolen").await.unwrap();
    refuses(&door, &by(&key).mint(), &REVOKED);
    // It names no key, and is tried with each.
    refuses(&door, &by(&key).without_header("kid").mint(), &REVOKED);
    door.admits(&by(&other).mint());
    // A thief goes on minting for ever.
    let late = by(&key).claim("iat", NOW).mint();
    refuses(&door, &late, &REVOKED);

    // A key without an id goes by its thumbprint, and never by what a token calls it.
    let nameless = KeySet::from_pem(key.public_pem().unwrap()).unwrap();
    let thumbprint = nameless.iter().find_map(|key| key.thumbprint()).unwrap().to_owned();
    let door = Door::new(
        policy_for([issuer_with(nameless)]).revocations(revocations.enforce([Revocable::Key])),
    );
    door.admits(&by(&key).mint());
    revocations.revoke_key(issuer().name(), thumbprint).await.unwrap();
    for token in [by(&key), by(&key).key_id("another"), by(&key).without_header("kid")] {
        refuses(&door, &token.mint(), &REVOKED);
    }
}

#[tokio::test]
async fn who_fills_the_list_drops_nothing_and_lets_nothing_pass() {
    let clock = FixedClock::at(NOW);
    let revocations = Revocations::options().clock(clock.clone()).capacity(100).in_memory();
    let policy = policy_for([trusted(&[ES256])])
        .overrule(|builder| builder.clock(clock.clone()))
        .revocations(revocations.enforce([Revocable::Token]))
        .build()
        .unwrap();
    let stolen = token(ES256).claim("jti", "stolen").mint();
    revocations.revoke_token(issuer().name(), "stolen", None).await.unwrap();
    let mut full = 0;
    for number in 0..1_000 {
        match revocations.revoke_token(issuer().name(), format!("filler {number}"), None).await {
            Ok(()) => assert!(number < 99),
            Err(error) => {
                assert_eq!(error, RevokeError::Full { capacity: 100 });
                full += 1;
            }
        }
    }
    assert_eq!((full, revocations.stats().refused), (901, 901));
    assert_eq!(policy.verify_token_now(&stolen).err(), Some(REVOKED));
    // One that is there can be said again, and there is room once the others are over.
    revocations.revoke_token(issuer().name(), "stolen", UnixTime(NOW + 86_480)).await.unwrap();
    clock.advance(Duration::from_secs(86_540));
    revocations.revoke_token(issuer().name(), "new", None).await.unwrap();
    assert_eq!(revocations.stats().entries(Revocable::Token), 2);
}

#[tokio::test]
async fn an_end_or_instant_of_nonsense_neither_panics_nor_revokes_less() {
    let revocations = revocations();
    let door = door(revocations.enforce([Revocable::Token, Revocable::Subject]));
    for until in [i64::MAX, i64::from(u32::MAX) + 1, NOW * 1000] {
        let (until, latest) = (UnixTime(until), UnixTime(NOW + 30 + 86_400 + 60));
        let too_late = Err(RevokeError::EndsTooLate { until, latest });
        assert_eq!(revocations.revoke_token(issuer().name(), "late", until).await, too_late);
    }
    door.admits(&token(ES256).claim("jti", "late").mint());
    for (number, until) in [0, -1, NOW - 1, i64::MIN].into_iter().enumerate() {
        let id = format!("token {number}");
        revocations.revoke_token(issuer().name(), &id, UnixTime(until)).await.unwrap();
        refuses(&door, &token(ES256).claim("jti", id).mint(), &REVOKED);
    }
    let until =
        |instant| revocations.revoke_subject("https://id.example", "alice", UnixTime(instant));
    assert_eq!(until(-1).await, Err(RevokeError::Instant));
    until(NOW - 1).await.unwrap();
    door.admits(&token(ES256).subject("alice").mint());
    for instant in [i64::MAX, NOW * 1000, NOW + 31].map(UnixTime) {
        let too_late = RevokeError::IssuedTooLate { instant, latest: UnixTime(NOW + 30) };
        assert_eq!(until(instant.0).await, Err(too_late));
    }
    door.admits(&token(ES256).subject("alice").mint());
    until(NOW + 30).await.unwrap();
    refuses(&door, &token(ES256).subject("alice").mint(), &REVOKED);
    for (issuer, name) in [("", "name"), ("https://id.example", "")] {
        let nameless = revocations.revoke_token(issuer, name, None).await;
        assert_eq!(nameless, Err(RevokeError::Nameless(Revocable::Token)));
    }
}

#[tokio::test]
async fn whichever_claim_says_it_a_revoked_token_is_refused() {
    // Entra's habit: `uti`. A token with both is refused if either is revoked.
    let revocations = revocations();
    let door = door(revocations.enforce([Revocable::Token]).token_id_claims(["uti", "jti"]));
    revocations.revoke_token(issuer().name(), "stolen", None).await.unwrap();
    let with = |uti: Option<&str>, jti: Option<&str>| {
        let token = token(ES256).without("jti");
        let token = uti.into_iter().fold(token, |token, uti| token.claim("uti", uti));
        jti.into_iter().fold(token, |token, jti| token.claim("jti", jti)).mint()
    };
    door.admits(&with(Some("good"), None));
    door.admits(&with(None, Some("good")));
    refuses(&door, &with(Some("stolen"), None), &REVOKED);
    refuses(&door, &with(Some("good"), Some("stolen")), &REVOKED);
    refuses(&door, &with(Some("stolen"), Some("good")), &REVOKED);
    refuses(&door, &with(None, None), &lacks("uti"));

    // Of two versions, the lower counts.
    let kind = [Revocable::Version];
    let door = self::door(revocations.enforce(kind).version_claims(["ver", "generation"]));
    revocations.revoke_versions_below(issuer().name(), "alice", 3).await.unwrap();
    let with = |versions: &[(&str, u64)]| {
        let token = token(ES256).subject("alice");
        versions.iter().fold(token, |token, (name, version)| token.claim(*name, *version)).mint()
    };
    door.admits(&with(&[("ver", 3)]));
    door.admits(&with(&[("ver", 3), ("generation", 4)]));
    refuses(&door, &with(&[("ver", 2), ("generation", 4)]), &REVOKED);
    refuses(&door, &with(&[("ver", 4), ("generation", 2)]), &REVOKED);
}

#[test]
fn nothing_that_revokes_shows_a_name() {
    const MARK: &str = "LEAK";
    let issuer = || "https://LEAK.example".to_owned();
    let name = || "LEAK".to_owned();
    let all = [
        Revocation::Token { issuer: issuer(), token_id: name(), until: None },
        Revocation::Session { issuer: issuer(), session: name(), until: None },
        Revocation::Subject { issuer: issuer(), subject: name(), issued_until: None },
        Revocation::Version { issuer: issuer(), subject: name(), current: 1 },
        Revocation::Client { issuer: issuer(), client: name(), issued_until: None },
        Revocation::Issuer { issuer: issuer(), issued_until: None },
        Revocation::Key { issuer: issuer(), key_id: name(), until: None },
    ];
    for revocation in all {
        assert!(!format!("{revocation:?}").contains(MARK));
    }
    for json in [
        r#"{"revoke":"token","issuer":"LEAK","token_id":7}"#,
        r#"{"revoke":"LEAK"}"#,
        r#"{"revoke":"token","issuer":"LEAK","token_id":"LEAK","unknown":"LEAK"}"#,
    ] {
        assert!(serde_json::from_str::<Revocation>(json).is_err(), "{json}");
    }
}

#[tokio::test]
async fn without_a_bound_on_lifetimes_nothing_is_forgotten_too_early() {
    let clock = FixedClock::at(NOW);
    let revocations = Revocations::options()
        .clock(clock.clone())
        .max_lifetime(dangerous::unlimited_lifetime())
        .in_memory();
    let name = issuer().name().to_owned();
    assert_eq!(
        revocations.revoke_token(&name, "stolen", None).await,
        Err(RevokeError::NoEnd(Revocable::Token))
    );
    assert_eq!(
        revocations.revoke_subject(&name, "alice", None).await,
        Err(RevokeError::NoLifetime(Revocable::Subject))
    );
    // Nobody can say when the last token of a session or of a key ends.
    let until = Some(UnixTime(NOW + 1_000).into());
    let session = Revocation::Session { issuer: name.clone(), session: "one".into(), until };
    let key = |until| Revocation::Key { issuer: name.clone(), key_id: "key".into(), until };
    for (revocation, expected) in [
        (session, Err(RevokeError::NoLifetime(Revocable::Session))),
        (key(until), Err(RevokeError::NoLifetime(Revocable::Key))),
        (key(None), Ok(())),
    ] {
        assert_eq!(revocations.revoke(&revocation).await, expected);
    }
    let policy: Policy = policy_for([trusted(&[ES256])])
        .overrule(|builder| builder.clock(clock.clone()))
        .max_lifetime(dangerous::unlimited_lifetime())
        .revocations(revocations.enforce([Revocable::Token]))
        .build()
        .unwrap();
    let end = NOW + 10 * 365 * 86_400;
    let stolen = token(ES256).claim("jti", "stolen").without("iat").expires_at(end).mint();
    assert!(policy.verify_token_now(&stolen).is_ok());
    revocations.revoke_token(&name, "stolen", UnixTime(end)).await.unwrap();
    clock.advance(Duration::from_secs(u64::try_from(end - NOW + LEEWAY - 1).unwrap()));
    assert_eq!(policy.verify_token_now(&stolen).err(), Some(REVOKED));
}

/// What an administrator is answered who revokes this session.
async fn administrate(admin: &RevocationAdmin, by: &TestIssuer, of: &str, session: &str) -> u16 {
    let token = by.token(ES256).subject("operator").claim("role", "operator").mint();
    let request = Request::post("/")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"))
        .body(())
        .expect("a request");
    let administrator = admin.admit(&request).await.expect("an operator");
    let mut body = administrator.body();
    let json = json!({ "revoke": "session", "issuer": of, "session": session, "until": "forever" });
    body.push(json.to_string().as_bytes());
    administrator.answer(&request, body).await.status()
}

#[tokio::test]
async fn one_issuers_administrator_fills_the_list_neither_for_others_nor_for_those_above() {
    const CAPACITY: usize = 160;
    let (own, other) = (issuer(), TestIssuer::new("https://other.example").at(NOW));
    let staff = TestIssuer::new("https://staff.example").at(NOW);
    let revocations = Revocations::options().clock(FixedClock::at(NOW)).capacity(CAPACITY);
    let revocations = revocations.in_memory();
    let policy = policy_for([&own, &other, &staff].map(|issuer| issuer.trusted(&[ES256])));
    let policy = policy.build().expect("a policy");
    let operators = Requirement::role("role", "operator");
    let admin = RevocationAdmin::new(revocations.clone(), policy, operators);
    let admin = admin.may_revoke_for(staff.name(), [own.name()]);
    let mut taken = 0;
    while administrate(&admin, &own, own.name(), &format!("invented {taken}")).await == 204 {
        taken += 1;
    }
    // Three times what it leaves of seven eighths.
    assert_eq!(taken, CAPACITY * 7 / 8 * 3 / 4);
    // What it took it may say again.
    assert_eq!(administrate(&admin, &own, own.name(), "invented 0").await, 204);
    assert_eq!(administrate(&admin, &other, other.name(), "real").await, 204);
    // Of its own issuer, staff is an administrator like any other; of that one it stands above.
    let mut more = 0;
    while administrate(&admin, &staff, own.name(), &format!("stolen {more}")).await == 204 {
        more += 1;
    }
    assert_eq!(taken + 1 + more, CAPACITY);
    let full = Err(RevokeError::Full { capacity: CAPACITY });
    assert_eq!(revocations.revoke_session(own.name(), "one more").await, full);
}

//! The rules about claims, through [`Policy::verify_token_now`].
use core::time::Duration;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use portcullis::error::{ClaimName, ClaimsError, TokenError, TypeName};
use portcullis::keys::KeyError;
use portcullis::{
    Algorithm, ClaimRules, ClaimValue, Error, Issuer, KeySet, Policy, PolicyBuilder, Secret,
    TokenType, UnixTime, VerifiedToken, dangerous,
};
use portcullis_testkit::{FixedClock, SigningKey, TestIssuer, TokenBuilder};
use serde::Deserialize;
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const NAME: &str = "https://id.example";
const AUDIENCE: &str = TestIssuer::AUDIENCE;

fn token() -> TokenBuilder {
    TestIssuer::new(NAME).at(NOW).token(Algorithm::ES256)
}

fn keys(name: &str) -> KeySet {
    KeySet::from_jwks(TestIssuer::new(name).jwks_of(&[Algorithm::ES256])).expect("keys")
}

fn trusted() -> Issuer {
    Issuer::new(NAME).algorithms([Algorithm::ES256]).keys(keys(NAME)).audience(AUDIENCE)
}

fn on(clock: &FixedClock, issuer: Issuer) -> PolicyBuilder {
    Policy::builder().clock(clock.clone()).issuer(issuer)
}

fn policy_for(issuer: Issuer) -> Policy {
    on(&FixedClock::at(NOW), issuer).build().expect("a policy")
}

/// Whose tokens keep what they were read as from the first time on.
fn unremembering() -> Policy {
    on(&FixedClock::at(NOW), trusted()).token_cache(0).build().expect("a policy")
}

fn policy_with(rules: ClaimRules) -> Policy {
    policy_for(trusted().claims(rules))
}

fn policy() -> Policy {
    policy_for(trusted())
}

#[track_caller]
fn admit(policy: &Policy, token: &TokenBuilder) -> VerifiedToken {
    policy.verify_token_now(token.mint()).expect("the token is good")
}

#[track_caller]
fn refuse(policy: &Policy, token: &TokenBuilder, error: impl Into<Error>) {
    assert_eq!(policy.verify_token_now(token.mint()).err(), Some(error.into()));
}

fn missing(claim: &'static str) -> ClaimsError {
    ClaimsError::Missing { claim }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

mod issuer_and_audience {
    use super::*;

    #[test]
    fn the_issuer_is_compared_byte_by_byte() {
        admit(&policy(), &token());
        for iss in ["https://ID.example", "https://id.exampl", "https://id.example//", "/", ""] {
            refuse(&policy(), &token().claim("iss", iss), ClaimsError::Issuer);
        }
        // Of the mistake that is made most, operators are told which it is.
        let slash = token().claim("iss", "https://id.example/");
        refuse(&policy(), &slash, ClaimsError::IssuerSlash { trusted: NAME.into() });
        refuse(&policy(), &token().without("iss"), ClaimsError::IssuerMissing { also: &[] });
        let array = token().claim("iss", json!([NAME]));
        refuse(&policy(), &array, TokenError::ClaimType { claim: "iss" });
    }

    #[test]
    fn each_issuer_has_its_own_keys_audience_and_rules() {
        let name = "https://other.example";
        let other = Issuer::new(name)
            .algorithms([Algorithm::ES256])
            .keys(keys(name))
            .audience("theirs")
            .claims(ClaimRules::new().require("tenant"));
        let policy = on(&FixedClock::at(NOW), trusted()).issuer(other).build().expect("a policy");
        let theirs = || TestIssuer::new(name).at(NOW).token(Algorithm::ES256).audience("theirs");
        assert_eq!(admit(&policy, &token()).issuer(), NAME);
        assert_eq!(admit(&policy, &theirs().claim("tenant", 1)).issuer(), name);
        let rule = ClaimsError::Rule(ClaimName::Required("tenant".into()));
        refuse(&policy, &theirs(), rule);
        refuse(&policy, &theirs().claim("tenant", 1).audience(AUDIENCE), ClaimsError::Audience);
        refuse(&policy, &token().audience("theirs"), ClaimsError::Audience);
    }

    #[test]
    fn rules_that_an_issuer_is_given_twice_all_hold() {
        let first = ClaimRules::new().require("tenant").max_lifetime(secs(600));
        let second = ClaimRules::new().require("plan");
        let policy = policy_for(trusted().claims(first).claims(second));
        admit(&policy, &token().claim("tenant", 1).claim("plan", 1));
        let required = |name: &str| ClaimsError::Rule(ClaimName::Required(name.into()));
        refuse(&policy, &token().claim("plan", 1), required("tenant"));
        refuse(&policy, &token().claim("tenant", 1), required("plan"));
    }

    #[test]
    fn one_audience_of_the_token_has_to_be_one_of_ours() {
        let issuer = Issuer::new(NAME).algorithms([Algorithm::ES256]).keys(keys(NAME));
        let policy = policy_for(issuer.audiences(["orders", "bills"]));
        for aud in [
            json!("orders"),
            json!("bills"),
            json!(["bills"]),
            json!(["x", "orders"]),
            json!(["orders", "bills", ""]),
        ] {
            admit(&policy, &token().claim("aud", aud));
        }
        for aud in [json!("x"), json!(["x"]), json!([]), json!(""), json!("orders bills")] {
            refuse(&policy, &token().claim("aud", aud), ClaimsError::Audience);
        }
        for aud in [json!(null), json!(1), json!({ "orders": 1 }), json!(["orders", 1])] {
            refuse(&policy, &token().claim("aud", aud), TokenError::ClaimType { claim: "aud" });
        }
        refuse(&policy, &token().without("aud"), ClaimsError::AudienceMissing);
    }

    #[test]
    fn client_ids_stand_in_for_an_audience_only_where_there_is_none() {
        let issuer = Issuer::new(NAME).algorithms([Algorithm::ES256]).keys(keys(NAME));
        let policy = policy_for(issuer.client_ids_instead_of_audience(["web", "app"]));
        let access = |client: &str| token().without("aud").claim("client_id", client);
        admit(&policy, &access("web"));
        admit(&policy, &access("app"));
        refuse(&policy, &access("x"), ClaimsError::Audience);
        refuse(&policy, &access("web").without("client_id"), missing("client_id"));
        for aud in [json!("web"), json!([]), json!(AUDIENCE)] {
            refuse(&policy, &access("web").claim("aud", aud), ClaimsError::Audience);
        }
        // With an audience, a client id does not make up for it.
        let only_client = token().without("aud").claim("client_id", AUDIENCE);
        refuse(&super::policy(), &only_client, ClaimsError::AudienceMissing);
    }
}

mod token_types {
    use super::*;

    const JWT: [Option<&str>; 6] = [
        None,
        Some("JWT"),
        Some("jwt"),
        Some("Jwt"),
        Some("application/jwt"),
        Some("APPLICATION/JWT"),
    ];
    const ACCESS: [Option<&str>; 4] =
        [Some("at+jwt"), Some("AT+JWT"), Some("application/at+jwt"), Some("application/AT+JWT")];
    const UNKNOWN: [Option<&str>; 8] = [
        Some(""),
        Some("JOSE"),
        Some("at"),
        Some("logout+jwt"),
        Some("application/"),
        Some("application/x+jwt"),
        Some("text/jwt"),
        Some("jwt "),
    ];

    fn typed(typ: Option<&str>) -> TokenBuilder {
        match typ {
            Some(typ) => token().typ(typ),
            None => token().without_header("typ"),
        }
    }

    #[test]
    fn each_setting_takes_its_types_in_any_spelling_and_no_other() {
        let settings: [(Option<&[TokenType]>, [bool; 2]); 4] = [
            (None, [true, true]),
            (Some(&[TokenType::Jwt]), [true, false]),
            (Some(&[TokenType::AccessToken]), [false, true]),
            (Some(&[TokenType::Jwt, TokenType::AccessToken]), [true, true]),
        ];
        for (setting, [jwt, access]) in settings {
            let policy = policy_for(match setting {
                Some(types) => trusted().token_types(types.iter().copied()),
                None => trusted(),
            });
            let spellings = JWT
                .map(|typ| (typ, jwt))
                .into_iter()
                .chain(ACCESS.map(|typ| (typ, access)))
                .chain(UNKNOWN.map(|typ| (typ, false)));
            for (typ, passes) in spellings {
                let error = policy.verify_token_now(typed(typ).mint()).err();
                let expected = (!passes).then_some(Error::Claims(ClaimsError::Type {
                    found: typ.map_or(TypeName::ABSENT, TypeName::new),
                    accepted: match (jwt, access) {
                        (true, true) => "`JWT`, none or `at+jwt`",
                        (true, false) => "`JWT` or none",
                        (false, _) => "`at+jwt`",
                    },
                }));
                assert_eq!(error, expected, "{setting:?}: {typ:?}");
            }
        }
    }

    #[test]
    fn a_typ_that_is_no_string_is_refused() {
        for typ in [json!(null), json!(1), json!(["JWT"])] {
            let error = TokenError::HeaderType { member: "typ" };
            refuse(&policy(), &token().header("typ", typ), error);
        }
    }

    #[test]
    fn at_jwt_alone_asks_for_each_claim_of_its_profile() {
        let policy = policy_for(trusted().token_types([TokenType::AccessToken]));
        admit(&policy, &token());
        refuse(&policy, &token().without("iss"), ClaimsError::IssuerMissing { also: &[] });
        refuse(&policy, &token().without("aud"), ClaimsError::AudienceMissing);
        for claim in ["exp", "sub", "client_id", "iat", "jti"] {
            refuse(&policy, &token().without(claim), missing(claim));
        }
    }

    #[test]
    fn the_profile_asks_for_an_audience_even_where_client_ids_are_taken_instead() {
        let issuer = Issuer::new(NAME).algorithms([Algorithm::ES256]).keys(keys(NAME));
        let issuer = issuer.client_ids_instead_of_audience(["testkit"]);
        let policy = policy_for(issuer.token_types([TokenType::AccessToken]));
        refuse(&policy, &token().without("aud"), ClaimsError::AudienceMissing);
        refuse(&policy, &token(), ClaimsError::Audience);
    }

    #[test]
    fn beside_jwt_the_profile_is_not_asked_for() {
        for types in [vec![TokenType::Jwt, TokenType::AccessToken], vec![TokenType::Jwt]] {
            let policy = policy_for(trusted().token_types(types));
            for claim in ["sub", "client_id", "iat", "jti"] {
                admit(&policy, &token().typ("JWT").without(claim));
            }
        }
    }

    #[test]
    fn the_type_is_told_apart() {
        assert!(admit(&policy(), &token()).is_typed_access_token());
        assert!(!admit(&policy(), &token().typ("JWT")).is_typed_access_token());
        assert!(!admit(&policy(), &token().without_header("typ")).is_typed_access_token());
    }
}

mod times {
    use super::*;

    #[test]
    fn without_a_setting_the_leeway_is_30_seconds() {
        let (at, now) = (UnixTime(NOW - 30), UnixTime(NOW));
        admit(&policy(), &token().claim("iat", NOW - 300).expires_at(NOW - 29));
        refuse(&policy(), &token().expires_at(NOW - 30), ClaimsError::Expired { at, now });
        let from = UnixTime(NOW + 31);
        admit(&policy(), &token().claim("nbf", NOW + 30));
        refuse(&policy(), &token().claim("nbf", NOW + 31), ClaimsError::NotYetValid { from, now });
        admit(&policy(), &token().claim("iat", NOW + 30));
        let error = ClaimsError::IssuedInFuture { from, now };
        refuse(&policy(), &token().claim("iat", NOW + 31), error);
    }

    #[test]
    fn a_leeway_counts_whole_seconds() {
        let policy = policy_with(ClaimRules::new().leeway(Duration::from_millis(1_999)));
        admit(&policy, &token().expires_at(NOW));
        let (at, now) = (UnixTime(NOW - 1), UnixTime(NOW));
        refuse(&policy, &token().expires_at(NOW - 1), ClaimsError::Expired { at, now });
    }

    #[test]
    fn exp_is_required_and_nbf_and_iat_are_not() {
        refuse(&policy(), &token().without("exp"), missing("exp"));
        admit(&policy(), &token().without("iat").without("nbf"));
        admit(&policy(), &token().claim("nbf", 0));
    }

    #[test]
    fn the_maximum_lifetime_is_exact_from_iat_and_from_now() {
        let limit = secs(900);
        let policy = policy_with(ClaimRules::new().max_lifetime(limit));
        let lived = |iat: Option<i64>, exp: i64| {
            let token = token().expires_at(exp);
            match iat {
                Some(iat) => token.claim("iat", iat),
                None => token.without("iat"),
            }
        };
        let too_long = |seconds| ClaimsError::LivesTooLong { lifetime: secs(seconds), limit };
        for iat in [NOW, NOW - 600, NOW + 30] {
            admit(&policy, &lived(Some(iat), iat + 900));
            refuse(&policy, &lived(Some(iat), iat + 901), too_long(901));
        }
        admit(&policy, &lived(None, NOW + 900));
        refuse(&policy, &lived(None, NOW + 901), too_long(901));
        // What is left of it does not count where it says when it began.
        refuse(&policy, &lived(Some(NOW - 86_400), NOW + 1), too_long(86_401));
        // `iat` after `exp` lives no time at all; it passes within the leeway.
        admit(&policy, &lived(Some(NOW + 20), NOW + 10));
    }

    #[test]
    fn without_a_setting_the_maximum_lifetime_is_a_day() {
        let limit = secs(86_400);
        admit(&policy(), &token().expires_in(limit));
        let error = ClaimsError::LivesTooLong { lifetime: secs(86_401), limit };
        refuse(&policy(), &token().expires_in(secs(86_401)), error);
    }

    #[test]
    fn an_unlimited_lifetime_is_unlimited_and_still_ends() {
        let policy = policy_with(ClaimRules::new().max_lifetime(dangerous::unlimited_lifetime()));
        admit(&policy, &token().expires_at(i64::MAX));
        admit(&policy, &token().expires_at(i64::MAX).without("iat"));
        refuse(&policy, &token().without("exp"), missing("exp"));
    }

    #[test]
    fn the_maximum_age_is_exact_and_grants_the_leeway() {
        for leeway in [0, 30] {
            let rules = ClaimRules::new().leeway(secs(leeway)).max_age(secs(60));
            let policy = policy_with(rules);
            let aged = |age: i64| token().claim("iat", NOW - age);
            let edge = 60 + i64::try_from(leeway).expect("small");
            admit(&policy, &aged(0));
            admit(&policy, &aged(edge));
            let age = secs(61 + leeway);
            refuse(&policy, &aged(edge + 1), ClaimsError::TooOld { age, limit: secs(60) });
            refuse(&policy, &aged(0).without("iat"), missing("iat"));
        }
    }

    #[test]
    fn a_maximum_of_nothing_is_refused_when_the_policy_is_built() {
        for rules in [
            ClaimRules::new().max_age(Duration::ZERO),
            ClaimRules::new().max_lifetime(Duration::ZERO),
            ClaimRules::new().max_age(Duration::from_millis(999)),
        ] {
            assert!(on(&FixedClock::at(NOW), trusted().claims(rules)).build().is_err());
        }
    }
}

mod rules {
    use super::*;

    fn required(name: &str) -> ClaimsError {
        ClaimsError::Rule(ClaimName::Required(name.into()))
    }

    fn value(name: &str) -> ClaimsError {
        ClaimsError::Rule(ClaimName::Value(name.into()))
    }

    #[test]
    fn a_required_claim_is_there_with_any_value_but_null() {
        let policy = policy_with(ClaimRules::new().require("tenant"));
        for value in
            [json!("x"), json!(""), json!(0), json!(false), json!([]), json!({}), json!(1.5)]
        {
            admit(&policy, &token().claim("tenant", value));
        }
        refuse(&policy, &token(), required("tenant"));
        refuse(&policy, &token().claim("tenant", Value::Null), required("tenant"));
        refuse(&policy, &token().claim("Tenant", "x"), required("tenant"));
        refuse(&policy, &token().claim("x", json!({ "tenant": 1 })), required("tenant"));
    }

    #[test]
    fn registered_claims_can_be_required_too() {
        for claim in ["sub", "jti", "iat", "nbf", "exp", "aud", "iss", "client_id", "events"] {
            let policy = policy_with(ClaimRules::new().require(claim));
            let with = token().claim("nbf", NOW);
            match claim {
                "events" => {}
                _ => drop(admit(&policy, &with)),
            }
            let without = policy.verify_token_now(with.without(claim).mint()).expect_err(claim);
            let expected = match claim {
                "iss" => ClaimsError::IssuerMissing { also: &[] },
                "exp" => missing("exp"),
                "aud" => ClaimsError::AudienceMissing,
                _ => required(claim),
            };
            assert_eq!(without, expected.into(), "{claim}");
        }
    }

    #[test]
    fn a_forbidden_claim_is_refused_with_any_value() {
        let policy = policy_with(ClaimRules::new().forbid("act").forbid("nbf"));
        admit(&policy, &token());
        for value in [json!({ "sub": "x" }), json!(null), json!(""), json!(0), json!([])] {
            let error = ClaimsError::Rule(ClaimName::Forbidden("act".into()));
            refuse(&policy, &token().claim("act", value), error);
        }
        let error = ClaimsError::Rule(ClaimName::Forbidden("nbf".into()));
        refuse(&policy, &token().claim("nbf", NOW), error);
    }

    #[test]
    fn an_exact_claim_is_of_that_type_and_value() {
        let policy = policy_with(
            ClaimRules::new().exact("use", "access").exact("level", 3).exact("mfa", true),
        );
        let good = || token().claim("use", "access").claim("level", 3).claim("mfa", true);
        admit(&policy, &good());
        for odd in [
            json!("Access"),
            json!("access "),
            json!(""),
            json!(["access"]),
            json!({ "access": 1 }),
            json!(null),
            json!(true),
            json!(1),
        ] {
            refuse(&policy, &good().claim("use", odd), value("use"));
        }
        for odd in [json!(3.0), json!(3.5), json!("3"), json!(-3), json!([3]), json!(null)] {
            refuse(&policy, &good().claim("level", odd), value("level"));
        }
        for odd in [json!(false), json!("true"), json!(1), json!([true]), json!(null)] {
            refuse(&policy, &good().claim("mfa", odd), value("mfa"));
        }
        for claim in ["use", "level", "mfa"] {
            refuse(&policy, &good().without(claim), value(claim));
        }
    }

    #[test]
    fn an_exact_number_is_compared_over_its_whole_range() {
        for number in [i64::MIN, -1, 0, 9_007_199_254_740_993, i64::MAX] {
            let policy = policy_with(ClaimRules::new().exact("n", number));
            admit(&policy, &token().claim("n", number));
            refuse(&policy, &token().claim("n", number ^ 1), value("n"));
        }
        let policy = policy_with(ClaimRules::new().exact("n", -1));
        refuse(&policy, &token().claim("n", u64::MAX), value("n"));
    }

    #[test]
    fn one_of_several_values_is_enough_and_an_array_of_them_is_none() {
        let policy = policy_with(ClaimRules::new().one_of("region", ["eu", "us"]));
        admit(&policy, &token().claim("region", "eu"));
        admit(&policy, &token().claim("region", "us"));
        for odd in [json!("cn"), json!(["eu"]), json!("eu us"), json!(null), json!("")] {
            refuse(&policy, &token().claim("region", odd), value("region"));
        }
        refuse(&policy, &token(), value("region"));
        let mixed =
            ClaimRules::new().one_of::<ClaimValue>("x", ["a".into(), 1.into(), true.into()]);
        let policy = policy_with(mixed);
        for good in [json!("a"), json!(1), json!(true)] {
            admit(&policy, &token().claim("x", good));
        }
        refuse(&policy, &token().claim("x", "1"), value("x"));
    }

    #[test]
    fn a_value_is_compared_after_its_escapes() {
        let policy = policy_with(ClaimRules::new().exact("use", "access"));
        let payload = |name: &str, value: &str| {
            let exp = NOW + 300;
            let claims =
                format!(r#"{{"iss":"{NAME}","aud":"{AUDIENCE}","exp":{exp},"{name}":"{value}"}}"#);
            token().raw_payload(claims)
        };
        admit(&policy, &payload("use", "access"));
        admit(&policy, &payload(r"us\u0065", r"\u0061ccess"));
        refuse(&policy, &payload(r"us\u0045", "access"), value("use"));
    }

    #[test]
    fn every_rule_about_one_claim_holds() {
        let rules = ClaimRules::new().one_of("x", ["a", "b"]).one_of("x", ["b", "c"]).require("x");
        let policy = policy_with(rules);
        admit(&policy, &token().claim("x", "b"));
        refuse(&policy, &token().claim("x", "a"), value("x"));
        refuse(&policy, &token().claim("x", "c"), value("x"));
    }

    #[test]
    fn rules_of_an_issuer_stand_above_those_of_the_policy_where_both_name_a_duration() {
        let rules = ClaimRules::new().leeway(secs(0)).max_lifetime(secs(60)).max_age(secs(10));
        let policy = |issuer: Issuer| {
            let builder = on(&FixedClock::at(NOW), issuer).claims(rules.clone());
            builder.build().expect("a policy")
        };
        let (now, limit) = (UnixTime(NOW), secs(60));
        let inherits = policy(trusted());
        let error = ClaimsError::LivesTooLong { lifetime: secs(61), limit };
        refuse(&inherits, &token().expires_in(secs(61)), error);
        let error = ClaimsError::Expired { at: now, now };
        refuse(&inherits, &token().claim("iat", NOW - 60).expires_at(NOW), error);

        let own = ClaimRules::new().leeway(secs(5)).max_lifetime(secs(120)).max_age(secs(100));
        let own = policy(trusted().claims(own));
        admit(&own, &token().claim("iat", NOW - 105).expires_at(NOW - 4));
        let error = ClaimsError::LivesTooLong { lifetime: secs(121), limit: secs(120) };
        refuse(&own, &token().expires_in(secs(121)), error);
    }

    #[test]
    fn all_other_rules_of_policy_and_issuer_hold_together() {
        let of_policy = ClaimRules::new()
            .require("a")
            .exact("use", "access")
            .predicate("policy", |claims: &Value| claims["p"] == 1);
        let of_issuer = ClaimRules::new()
            .require("b")
            .one_of("use", ["access", "id"])
            .predicate("issuer", |claims: &Value| claims["i"] == 1);
        let policy = on(&FixedClock::at(NOW), trusted().claims(of_issuer)).claims(of_policy);
        let policy = policy.build().expect("a policy");
        let good = || {
            let token = token().claim("a", 1).claim("b", 1).claim("use", "access");
            token.claim("p", 1).claim("i", 1)
        };
        admit(&policy, &good());
        refuse(&policy, &good().without("a"), required("a"));
        refuse(&policy, &good().without("b"), required("b"));
        refuse(&policy, &good().claim("use", "id"), value("use"));
        let predicate = |name: &str| ClaimsError::Rule(ClaimName::Predicate(name.into()));
        refuse(&policy, &good().claim("p", 2), predicate("policy"));
        refuse(&policy, &good().claim("i", 2), predicate("issuer"));
    }

    #[test]
    fn the_builders_own_setters_are_the_rules_of_the_policy() {
        let policy = on(&FixedClock::at(NOW), trusted())
            .leeway(secs(1))
            .max_lifetime(secs(60))
            .max_age(secs(30))
            .require("tenant")
            .build()
            .expect("a policy");
        let good = || token().claim("tenant", 1).expires_in(secs(60));
        admit(&policy, &good().claim("iat", NOW - 31).expires_at(NOW));
        refuse(&policy, &good().without("tenant"), required("tenant"));
        refuse(&policy, &good().without("iat"), missing("iat"));
    }
}

mod predicates {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Tenant {
        tenant: String,
        #[serde(default)]
        suspended: bool,
    }

    fn not_met(name: &str) -> ClaimsError {
        ClaimsError::Rule(ClaimName::Predicate(name.into()))
    }

    #[test]
    fn a_predicate_sees_the_claims_as_its_type_and_claims_of_another_shape_do_not_satisfy_it() {
        let policy =
            policy_with(ClaimRules::new().predicate("active", |tenant: &Tenant| !tenant.suspended));
        admit(&policy, &token().claim("tenant", "acme"));
        let suspended = token().claim("tenant", "acme").claim("suspended", true);
        refuse(&policy, &suspended, not_met("active"));
        refuse(&policy, &token(), not_met("active"));
        refuse(&policy, &token().claim("tenant", 1), not_met("active"));
        let odd = token().claim("tenant", "acme").claim("suspended", "false");
        refuse(&policy, &odd, not_met("active"));
    }

    #[test]
    fn a_handler_gets_the_very_value_that_the_predicate_saw() {
        static SEEN: OnceLock<usize> = OnceLock::new();
        let policy = policy_with(ClaimRules::new().predicate("seen", |tenant: &Tenant| {
            SEEN.set(std::ptr::from_ref(tenant).addr()).is_ok()
        }));
        let token = admit(&policy, &token().claim("tenant", "acme"));
        let claims = token.claims::<Tenant>().expect("the type fits");
        assert_eq!(SEEN.get(), Some(&Arc::as_ptr(&claims).addr()));
        assert_eq!(claims.tenant, "acme");
        let again = token.clone().claims::<Tenant>().expect("the type fits");
        assert!(Arc::ptr_eq(&claims, &again));
    }

    #[test]
    fn a_predicate_runs_only_for_an_authentic_token_that_meets_every_other_rule() {
        let runs = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&runs);
        let policy = policy_with(ClaimRules::new().require("tenant").predicate(
            "counted",
            move |_: &Value| {
                counter.fetch_add(1, Ordering::SeqCst);
                true
            },
        ));
        let impostor = TestIssuer::new(NAME).at(NOW).impostor();
        for bad in [
            token(),
            token().claim("tenant", 1).expired(),
            token().claim("tenant", 1).audience("x"),
            token().claim("tenant", 1).claim("cnf", json!({})),
            token().claim("tenant", 1).signed_by(impostor.key(Algorithm::ES256)),
        ] {
            assert!(policy.verify_token_now(bad.mint()).is_err());
        }
        assert_eq!(runs.load(Ordering::SeqCst), 0);
        admit(&policy, &token().claim("tenant", 1));
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn the_first_by_name_of_the_predicates_that_do_not_hold_is_named() {
        let policy = policy_with(
            ClaimRules::new()
                .predicate("a", |_: &Value| true)
                .predicate("c", |_: &Value| false)
                .predicate("b", |_: &Value| false),
        );
        refuse(&policy, &token(), not_met("b"));
    }
}

mod long_lived {
    use super::*;

    fn moving(rules: ClaimRules) -> (FixedClock, Policy) {
        let clock = FixedClock::at(NOW);
        let policy = on(&clock, trusted().claims(rules)).build().expect("a policy");
        (clock, policy)
    }

    /// What [`Policy::time_left`] says is when [`Policy::recheck`] turns.
    #[track_caller]
    fn assert_ends(clock: &FixedClock, policy: &Policy, token: &VerifiedToken, error: Error) {
        let left = policy.time_left(token);
        assert_eq!(policy.recheck_now(token), Ok(()));
        clock.advance(left.saturating_sub(secs(1)));
        assert_eq!(policy.recheck_now(token), Ok(()));
        assert_eq!(policy.time_left(token), secs(1).min(left));
        clock.advance(secs(1));
        assert_eq!(policy.recheck_now(token), Err(error));
        assert_eq!(policy.time_left(token), Duration::ZERO);
        clock.advance(secs(1_000));
        assert_eq!(policy.time_left(token), Duration::ZERO);
    }

    #[test]
    fn a_token_is_good_until_it_expires_leeway_included() {
        let (clock, policy) = moving(ClaimRules::new());
        let token = admit(&policy, &token().expires_in(secs(300)));
        assert_eq!(policy.time_left(&token), secs(330));
        let (at, now) = (UnixTime(NOW + 300), UnixTime(NOW + 330));
        assert_ends(&clock, &policy, &token, ClaimsError::Expired { at, now }.into());
    }

    #[test]
    fn a_token_is_good_until_it_is_too_old() {
        let (clock, policy) = moving(ClaimRules::new().leeway(secs(5)).max_age(secs(60)));
        let token = admit(&policy, &token().expires_in(secs(300)));
        assert_eq!(policy.time_left(&token), secs(66));
        let error = ClaimsError::TooOld { age: secs(66), limit: secs(60) };
        assert_ends(&clock, &policy, &token, error.into());
    }

    #[test]
    fn a_token_is_good_until_its_secret_is_no_longer_accepted() {
        let secret = TestIssuer::new(NAME).secret(Algorithm::HS256).to_vec();
        let issuer = Issuer::new(NAME)
            .algorithms([Algorithm::HS256])
            .keys(Secret::new(secret).accept_until(UnixTime(NOW + 100)))
            .audience(AUDIENCE);
        let clock = FixedClock::at(NOW);
        let policy = on(&clock, issuer).build().expect("a policy");
        let token = admit(&policy, &TestIssuer::new(NAME).at(NOW).token(Algorithm::HS256));
        assert_eq!(policy.time_left(&token), secs(100));
        assert_ends(&clock, &policy, &token, KeyError::Withdrawn.into());
    }

    #[test]
    fn a_clock_set_back_does_not_make_a_token_older_or_younger_than_it_says() {
        let (clock, policy) = moving(ClaimRules::new());
        let token = admit(&policy, &token());
        clock.set(NOW - 31);
        let (from, now) = (UnixTime(NOW), UnixTime(NOW - 31));
        assert_eq!(
            policy.recheck_now(&token),
            Err(ClaimsError::IssuedInFuture { from, now }.into())
        );
        clock.set(NOW - 30);
        assert_eq!(policy.recheck_now(&token), Ok(()));
        clock.set(i64::MIN);
        assert!(policy.recheck_now(&token).is_err());
        clock.set(i64::MAX);
        assert!(policy.recheck_now(&token).is_err());
        assert_eq!(policy.time_left(&token), Duration::ZERO);
    }

    #[test]
    fn a_token_without_end_has_no_end_of_time_left() {
        let (_, policy) = moving(ClaimRules::new().max_lifetime(dangerous::unlimited_lifetime()));
        let token = admit(&policy, &token().expires_at(i64::MAX));
        let left = secs(u64::try_from(i64::MAX - NOW).expect("positive"));
        assert_eq!(policy.time_left(&token), left);
    }
}

mod verified_token {
    use super::*;

    #[test]
    fn every_accessor_tells_what_was_signed() {
        let builder = token()
            .claim("aud", json!([AUDIENCE, "other"]))
            .claim("jti", "id-1")
            .claim("nbf", NOW)
            .subject("bob");
        let token = admit(&policy(), &builder);
        assert_eq!(token.issuer(), NAME);
        assert_eq!(token.subject(), Some("bob"));
        assert_eq!(token.token_id(), Some("id-1"));
        assert_eq!(token.client_id(), Some("testkit"));
        assert_eq!(token.audiences().collect::<Vec<_>>(), [AUDIENCE, "other"]);
        assert_eq!(token.expires_at(), UnixTime(NOW + 300));
        assert_eq!(token.issued_at(), Some(UnixTime(NOW)));
        assert_eq!(token.key_id(), Some("es256-1"));
        assert_eq!(token.algorithm(), Algorithm::ES256);
    }

    #[test]
    fn what_is_not_there_is_none() {
        let builder = token().without("sub").without("jti").without("client_id").without("iat");
        let token = admit(&policy(), &builder.without_header("kid"));
        assert_eq!(token.subject(), None);
        assert_eq!(token.token_id(), None);
        assert_eq!(token.client_id(), None);
        assert_eq!(token.issued_at(), None);
        assert_eq!(token.key_id(), None);
    }

    #[test]
    fn strings_written_with_escapes_are_read_as_what_they_mean() {
        let exp = NOW + 300;
        let header = r#"{"\u0061lg":"ES25\u0036","k\u0069d":"es256\u002d1","typ":"\u0061t+jwt"}"#;
        let claims = format!(
            r#"{{ "is\u0073" : "https:\/\/id.example", "aud":["https:\/\/\u0061pi.example","\ud83d\ude00"],
            "exp":{exp},"s\u0075b":"zo\u00eb \"the\" \\ \n","jti":"\u0000","client_id":"\t" }}"#
        );
        let token = admit(&policy(), &token().raw_header(header).raw_payload(claims.clone()));
        assert_eq!(token.issuer(), NAME);
        assert_eq!(token.subject(), Some("zo\u{eb} \"the\" \\ \n"));
        assert_eq!(token.token_id(), Some("\0"));
        assert_eq!(token.client_id(), Some("\t"));
        assert_eq!(token.audiences().collect::<Vec<_>>(), [AUDIENCE, "\u{1f600}"]);
        assert_eq!(token.key_id(), Some("es256-1"));
        assert!(token.is_typed_access_token());
        // Byte for byte as it was signed.
        assert_eq!(token.claims_json(), claims);
    }

    #[test]
    fn strings_beyond_ascii_are_read_whole_wherever_they_stand() {
        let header = r#"{"x":"é😀","alg":"ES256","kid":"es256-1"}"#;
        let exp = NOW + 300;
        let claims = format!(
            r#"{{"😀":"é","sub":"日本😀","iss":"{NAME}","aud":"{AUDIENCE}","exp":{exp},"jti":"ü"}}"#
        );
        let token = admit(&policy(), &token().raw_header(header).raw_payload(claims));
        assert_eq!((token.subject(), token.token_id()), (Some("日本😀"), Some("ü")));
        assert_eq!(token.key_id(), Some("es256-1"));
    }

    #[test]
    fn an_empty_string_is_there() {
        let token = admit(&policy(), &token().subject("").claim("jti", ""));
        assert_eq!((token.subject(), token.token_id()), (Some(""), Some("")));
    }

    #[test]
    fn the_algorithm_is_the_one_that_the_header_names() {
        let issuer = TestIssuer::new(NAME).at(NOW);
        let keys = KeySet::from_jwks(issuer.jwks_of(&[Algorithm::EdDSA])).expect("keys");
        let policy = policy_for(
            Issuer::new(NAME)
                .algorithms([Algorithm::EdDSA, Algorithm::Ed25519])
                .keys(keys)
                .audience(AUDIENCE),
        );
        for named in [Algorithm::EdDSA, Algorithm::Ed25519] {
            let token = issuer.token(Algorithm::EdDSA).header("alg", named.name());
            assert_eq!(admit(&policy, &token).algorithm(), named);
        }
    }

    #[test]
    fn claims_are_read_once_for_each_of_the_first_two_types_and_anew_for_others() {
        #[derive(Deserialize)]
        struct Numbered<const N: usize> {
            sub: String,
        }
        let token = admit(&unremembering(), &token());
        macro_rules! is_shared {
            ($n:literal) => {{
                let one = token.claims::<Numbered<$n>>().expect("the type fits");
                let other = token.claims::<Numbered<$n>>().expect("the type fits");
                assert_eq!((&*one.sub, &*other.sub), ("alice", "alice"));
                Arc::ptr_eq(&one, &other)
            }};
        }
        assert_eq!([is_shared!(0), is_shared!(1)], [true; 2]);
        assert_eq!([is_shared!(2), is_shared!(3), is_shared!(4)], [false; 3]);
        assert!(is_shared!(0), "the first two stay");
        // A type that does not fit takes no place.
        assert!(token.claims::<u8>().is_err());
    }

    #[test]
    fn a_type_that_does_not_fit_takes_no_place_of_one_that_does() {
        let token = admit(&unremembering(), &token());
        for _ in 0..10 {
            assert!(token.claims::<u8>().is_err());
        }
        let one = token.claims::<Value>().expect("the type fits");
        assert!(Arc::ptr_eq(&one, &token.claims::<Value>().expect("the type fits")));
    }

    #[test]
    fn threads_that_ask_at_once_all_get_the_claims() {
        let token = admit(&policy(), &token());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    assert_eq!(token.claims::<Value>().expect("the type fits")["sub"], "alice");
                });
            }
        });
    }

    #[test]
    fn a_type_that_does_not_fit_is_named_with_the_field_or_the_place() {
        #[derive(Debug, Deserialize)]
        struct Missing {
            #[expect(dead_code, reason = "never read")]
            tenant: String,
        }
        #[derive(Debug, Deserialize)]
        struct Number {
            #[expect(dead_code, reason = "never read")]
            sub: u64,
        }
        let exp = NOW + 300;
        let claims = format!(r#"{{"iss":"{NAME}","aud":"{AUDIENCE}","exp":{exp},"sub":"alice"}}"#);
        let token = admit(&policy(), &token().raw_payload(claims));
        let error = token.claims::<Missing>().expect_err("no tenant");
        assert_eq!(error.to_string(), "the claims are not a `Missing`: missing field `tenant`");
        let error = token.claims::<Number>().expect_err("no number");
        assert_eq!(
            error.to_string(),
            "the claims are not a `Number`: `sub`: invalid type: string, expected u64"
        );
        assert_eq!(Error::from(error).reason(), "claims_shape");
    }
}

mod other_tokens {
    use super::*;

    #[test]
    fn marks_of_other_kinds_of_token_are_refused_and_half_a_mark_is_not() {
        for claim in ["at_hash", "c_hash", "events"] {
            for value in [json!("x"), json!(null), json!({}), json!(0)] {
                let error = ClaimsError::NotAnAccessToken { claim };
                refuse(&policy(), &token().claim(claim, value), error);
            }
        }
        admit(&policy(), &token().claim("nonce", "x"));
        admit(&policy(), &token().claim("s_hash", "x"));
        let both = token().claim("nonce", "x").claim("s_hash", "x");
        refuse(&policy(), &both, ClaimsError::NotAnAccessToken { claim: "s_hash" });
    }

    #[test]
    fn a_bound_token_is_refused() {
        for cnf in [json!({ "jkt": "x" }), json!({}), json!(null), json!("x")] {
            refuse(&policy(), &token().claim("cnf", cnf), ClaimsError::SenderConstrained);
        }
    }

    #[test]
    fn a_rule_that_names_a_registered_claim_does_not_loosen_it() {
        let rules = ClaimRules::new().require("cnf").require("events").require("at_hash");
        let policy = policy_with(rules.require("exp").require("aud"));
        let all = token().claim("cnf", 1).claim("events", 1).claim("at_hash", 1);
        refuse(&policy, &all, ClaimsError::NotAnAccessToken { claim: "at_hash" });
        refuse(&policy, &token().claim("cnf", 1), ClaimsError::SenderConstrained);
        let exp = token().claim("exp", "x");
        refuse(&policy, &exp, TokenError::ClaimType { claim: "exp" });
    }

    #[test]
    fn what_is_wrong_with_the_claims_is_told_only_of_an_authentic_token() {
        let impostor = TestIssuer::new(NAME).impostor();
        let forged = |token: TokenBuilder| token.signed_by(impostor.key(Algorithm::ES256));
        let policy = policy_with(ClaimRules::new().require("tenant").max_age(secs(60)));
        for claims in [
            token(),
            token().claim("nbf", NOW + 1_000),
            token().claim("iat", NOW - 250),
            token().claim("cnf", 1),
            token().claim("at_hash", 1),
            token().expires_at(NOW + 1_000_000),
        ] {
            refuse(&policy, &forged(claims), portcullis::error::SignatureError::new());
        }
        // Expiry, type and audience come before, since they cost nothing.
        refuse(&policy, &forged(token().audience("x")), ClaimsError::Audience);
        let (found, accepted) = (TypeName::new("x"), "`JWT`, none or `at+jwt`");
        refuse(&policy, &forged(token().typ("x")), ClaimsError::Type { found, accepted });
    }

    #[test]
    fn a_key_of_the_test_kit_with_another_id_is_unknown() {
        let key = SigningKey::generate(Algorithm::ES256).with_id("other");
        refuse(&policy(), &token().signed_by(&key), KeyError::Unknown);
    }
}

//! What a route asks of a verified token.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis::error::{Forbidden, RequirementFault};
use portcullis::{
    Algorithm, ClaimPath, Error, Issuer, KeySet, Policy, Requirement, UnixTime, VerifiedToken,
};
use portcullis_testkit::{FixedClock, TestIssuer};
use serde::Deserialize;
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
/// The default leeway.
const LEEWAY: i64 = 30;

fn issuer() -> TestIssuer {
    TestIssuer::new("https://id.example").at(NOW)
}

fn trusted() -> Issuer {
    let keys = KeySet::from_jwks(issuer().jwks_of(&[Algorithm::EdDSA])).expect("keys");
    Issuer::new("https://id.example")
        .algorithms([Algorithm::EdDSA])
        .keys(keys)
        .audience(TestIssuer::AUDIENCE)
}

fn policy() -> Policy {
    Policy::builder().issuer(trusted()).clock(FixedClock::at(NOW)).build().expect("a policy")
}

fn verified_by(policy: &Policy, claims: &Value) -> VerifiedToken {
    let token = issuer().token(Algorithm::EdDSA);
    let claims = claims.as_object().expect("claims");
    let token = claims.iter().fold(token, |token, (name, value)| token.claim(name, value.clone()));
    policy.verify_token_now(token.mint()).expect("a good token")
}

fn verified(claims: &Value) -> VerifiedToken {
    verified_by(&policy(), claims)
}

fn meets(requirement: &Requirement, claims: &Value) -> bool {
    match requirement.check(&verified(claims)) {
        Ok(()) => true,
        Err(Error::Forbidden(_)) => false,
        Err(error) => panic!("{claims}: {error}"),
    }
}

fn forbidden(requirement: &Requirement, claims: &Value) -> Forbidden {
    match requirement.check(&verified(claims)) {
        Err(Error::Forbidden(forbidden)) => forbidden,
        other => panic!("{claims}: {other:?}"),
    }
}

fn missing(requirement: &Requirement, claims: &Value) -> Vec<String> {
    forbidden(requirement, claims).missing().map(str::to_owned).collect()
}

/// `read` where `scope` or `scp` is so.
#[test]
fn a_scope_is_found_between_single_spaces_of_a_string_or_as_an_item_of_a_list_of_strings() {
    let read = Requirement::scope("read");
    for claims in [
        json!({ "scope": "read" }),
        json!({ "scope": "write read" }),
        json!({ "scope": "  read " }),
        json!({ "scp": "write read" }),
        json!({ "scp": ["write", "read"] }),
        json!({ "scope": "write", "scp": ["read"] }),
        json!({ "scope": 1, "scp": "read" }),
        // As IdentityServer, Spring Authorization Server and others send it.
        json!({ "scope": ["openid", "read"] }),
    ] {
        assert!(meets(&read, &claims), "{claims}");
    }
    for claims in [
        json!({}),
        json!({ "scope": "" }),
        json!({ "scope": "write" }),
        json!({ "scope": "read:all" }),
        json!({ "scope": "READ" }),
        json!({ "scope": "read\twrite" }),
        json!({ "scope": "write\tread" }),
        json!({ "scope": "read\nwrite" }),
        json!({ "scope": "read\u{a0}write" }),
        json!({ "scope": "read\u{2003}write" }),
        json!({ "scope": "read,write" }),
        json!({ "scope": "read\u{0}" }),
        json!({ "scope": ["read write"] }),
        json!({ "scope": ["openid", ["read"]] }),
        json!({ "scope": "[read, write]" }),
        json!({ "scope": "openid, read, write" }),
        json!({ "scope": { "read": true } }),
        json!({ "scope": true }),
        json!({ "scope": null }),
        json!({ "scp": ["write read"] }),
        json!({ "scp": ["read", 1] }),
        json!({ "scp": ["read", null] }),
        json!({ "scp": ["read", ["read"]] }),
        json!({ "scp": [["read"]] }),
        json!({ "scp": { "read": true } }),
        json!({ "scopes": "read" }),
        json!({ "Scope": "read" }),
        json!({ "permissions": ["read"] }),
    ] {
        assert!(!meets(&read, &claims), "{claims}");
    }
}

/// A handler may ask for what stands in a request.
#[test]
fn what_is_not_one_scope_is_not_held_whatever_stands_in_the_claims() {
    let token = verified(&json!({ "scope": "openid read write", "scoped": "a b" }));
    assert!(token.has_scope("read"));
    let texts =
        ["", " ", "openid read", "read write", "write\",\"scoped\":\"a", "write\"", "r\u{e9}ad"];
    for text in texts {
        assert!(!token.has_scope(text), "{text:?}");
    }
}

#[test]
fn the_claims_of_scopes_are_a_setting_of_the_issuer() {
    let issuer = trusted().scope_claims(["permissions"]);
    let policy =
        Policy::builder().issuer(issuer).clock(FixedClock::at(NOW)).build().expect("a policy");
    let read = Requirement::scope("read");
    assert!(read.check(&verified_by(&policy, &json!({ "permissions": ["read"] }))).is_ok());
    assert!(read.check(&verified_by(&policy, &json!({ "scope": "read", "scp": "read" }))).is_err());
}

#[test]
fn a_scope_implies_what_the_policy_says_and_else_itself() {
    let with_hierarchy = Policy::builder()
        .issuer(trusted())
        .clock(FixedClock::at(NOW))
        .scope_implies(|held, asked| {
            assert!(!held.is_empty() && !held.contains('\t'), "{held:?} is no scope");
            asked.strip_prefix(held).is_some_and(|rest| rest.starts_with(':'))
        })
        .build()
        .expect("a policy");
    let read = Requirement::scope("orders:read");
    for (scope, is_enough) in
        [("orders", true), ("orders:read", true), ("orders:write", false), ("order", false)]
    {
        let token = verified_by(&with_hierarchy, &json!({ "scope": format!("x {scope}  y\tz") }));
        assert_eq!(read.check(&token).is_ok(), is_enough, "{scope}");
    }
    assert!(!meets(&read, &json!({ "scope": "orders" })));
}

#[test]
fn a_role_is_found_at_the_path_that_each_provider_has() {
    for (path, claims) in [
        (
            ClaimPath::from(["realm_access", "roles"]),
            json!({ "realm_access": { "roles": ["user", "admin"] } }),
        ),
        (
            ClaimPath::from(["resource_access", "orders.api", "roles"]),
            json!({ "resource_access": { "orders.api": { "roles": ["admin"] } } }),
        ),
        (ClaimPath::from("roles"), json!({ "roles": ["admin"] })),
        (ClaimPath::from("roles"), json!({ "roles": "admin" })),
        (ClaimPath::from("cognito:groups"), json!({ "cognito:groups": ["admin"] })),
        (ClaimPath::from("permissions"), json!({ "permissions": ["admin"] })),
        (
            ClaimPath::from("https://api.example/roles"),
            json!({ "https://api.example/roles": ["admin"] }),
        ),
        (
            ClaimPath::member_names("urn:zitadel:iam:org:project:roles"),
            json!({ "urn:zitadel:iam:org:project:roles": { "admin": { "1": "a.example" } } }),
        ),
        (ClaimPath::from(vec!["a".to_owned(), "b".to_owned()]), json!({ "a": { "b": ["admin"] } })),
    ] {
        assert!(meets(&Requirement::role(path.clone(), "admin"), &claims), "{path}");
        assert!(!meets(&Requirement::role(path.clone(), "adm"), &claims), "{path}");
        assert!(!meets(&Requirement::role(path.clone(), "admin"), &json!({})), "{path}");
    }
}

#[test]
fn a_role_claim_of_another_type_lists_nothing() {
    let path = ["realm_access", "roles"];
    let admin = Requirement::role(path, "admin");
    for claims in [
        json!({ "realm_access": ["admin"] }),
        json!({ "realm_access": "roles" }),
        json!({ "realm_access": null }),
        json!({ "realm_access": { "roles": { "admin": true } } }),
        json!({ "realm_access": { "roles": true } }),
        json!({ "realm_access": { "roles": null } }),
        json!({ "realm_access": { "roles": ["admin", 1] } }),
        json!({ "realm_access": { "roles": ["admin", null] } }),
        json!({ "realm_access": { "roles": [["admin"]] } }),
        json!({ "realm_access": { "roles": "user admin" } }),
        json!({ "realm_access": { "roles": ["Admin", "admin ", "admin\u{0}"] } }),
        json!({ "realm_access.roles": ["admin"] }),
        json!({ "roles": ["admin"] }),
        json!([{ "admin": true }])[0].clone(),
    ] {
        assert!(!meets(&admin, &claims), "{claims}");
    }
    let named = Requirement::role(ClaimPath::member_names("roles"), "admin");
    for claims in [json!({ "roles": ["admin"] }), json!({ "roles": "admin" })] {
        assert!(!meets(&named, &claims), "{claims}");
    }
    assert!(meets(&named, &json!({ "roles": { "admin": null } })));
}

#[test]
fn one_of_several_or_all_of_them() {
    let claims = json!({ "scope": "a b", "roles": ["x", "y"] });
    assert!(meets(&Requirement::all_scopes(["a", "b"]), &claims));
    assert!(!meets(&Requirement::all_scopes(["a", "c"]), &claims));
    assert!(meets(&Requirement::any_scope(["c", "b"]), &claims));
    assert!(!meets(&Requirement::any_scope(["c", "d"]), &claims));
    assert!(meets(&Requirement::all_roles("roles", ["x", "y"]), &claims));
    assert!(!meets(&Requirement::all_roles("roles", ["x", "z"]), &claims));
    assert!(meets(&Requirement::any_role("roles", ["z", "y"]), &claims));
    assert!(!meets(&Requirement::any_role("roles", ["z"]), &claims));
}

#[test]
fn a_claim_a_subject_a_client_an_issuer_is_compared_whole() {
    let claims = json!({ "sub": "alice", "client_id": "web", "tid": "t1", "plan": 3, "beta": true, "a": { "b": "c" } });
    for (requirement, is_met) in [
        (Requirement::subject("alice"), true),
        (Requirement::subject("Alice"), false),
        (Requirement::client("web"), true),
        (Requirement::client("we"), false),
        (Requirement::issuer("https://id.example"), true),
        (Requirement::issuer("https://id.example/"), false),
        (Requirement::claim("tid", "t1"), true),
        (Requirement::claim("tid", "t"), false),
        (Requirement::claim("plan", 3), true),
        (Requirement::claim("plan", 4), false),
        (Requirement::claim("beta", true), true),
        (Requirement::claim("beta", false), false),
        (Requirement::claim(["a", "b"], "c"), true),
        (Requirement::claim(["a", "d"], "c"), false),
        (Requirement::claim("none", ""), false),
    ] {
        assert_eq!(meets(&requirement, &claims), is_met, "{requirement}");
        assert_eq!(
            meets(&Requirement::anyone_but(requirement.clone()), &claims),
            !is_met,
            "not {requirement}"
        );
    }
    // One of another type is not the value, and not another one either.
    for other in [Requirement::claim("plan", "3"), Requirement::claim("a", "c")] {
        assert!(!meets(&other, &claims), "{other}");
        assert!(!meets(&Requirement::anyone_but(other.clone()), &claims), "not {other}");
    }
    // A list is none of its items.
    assert!(!meets(&Requirement::claim("tid", "t1"), &json!({ "tid": ["t1"] })));
    assert!(!meets(&Requirement::claim("plan", 3), &json!({ "plan": 3.5 })));
}

#[test]
fn a_predicate_sees_the_claims_as_its_type_and_claims_of_another_shape_do_not_meet_it() {
    #[derive(Deserialize)]
    struct Plan {
        seats: u32,
    }
    let roomy = Requirement::predicate("at least ten seats", |plan: &Plan| plan.seats >= 10);
    assert!(meets(&roomy, &json!({ "seats": 10 })));
    assert_eq!(missing(&roomy, &json!({ "seats": 9 })), ["at least ten seats"]);
    assert!(!meets(&roomy, &json!({ "seats": "10" })));
    assert!(!meets(&roomy, &json!({})));
}

#[test]
fn step_up_goes_by_acr_and_by_the_age_of_auth_time() {
    let gold = Requirement::acr_values(["gold", "silver"]);
    for (claims, is_met) in [
        (json!({ "acr": "gold" }), true),
        (json!({ "acr": "silver" }), true),
        (json!({ "acr": "Gold" }), false),
        (json!({ "acr": "gold silver" }), false),
        (json!({ "acr": ["gold"] }), false),
        (json!({ "acr": 1 }), false),
        (json!({}), false),
    ] {
        assert_eq!(meets(&gold, &claims), is_met, "{claims}");
    }
    let recent = Requirement::max_age(Duration::from_secs(300));
    for (auth_time, is_met) in [
        (json!(NOW), true),
        (json!(NOW - 300 - LEEWAY), true),
        (json!(NOW - 301 - LEEWAY), false),
        (json!(0), false),
        (json!(NOW + LEEWAY), true),
        // In the future.
        (json!(NOW + LEEWAY + 1), false),
        (json!(i64::MAX), false),
        (json!(u64::MAX), false),
        (json!(1e300), false),
        (json!(-1), false),
        // A fraction makes it no younger.
        (json!((NOW - 300 - LEEWAY) as f64 + 0.5), true),
        (json!((NOW - 301 - LEEWAY) as f64 + 0.5), false),
        (json!(1.8e9), true),
        (json!(NOW.to_string()), false),
        (json!(null), false),
        (json!([NOW]), false),
    ] {
        assert_eq!(meets(&recent, &json!({ "auth_time": auth_time })), is_met, "{auth_time}");
    }
    assert!(!meets(&recent, &json!({})));
    let forbidden = forbidden(&gold.and(recent), &json!({ "acr": "gold" }));
    assert!(forbidden.needs_authentication());
    // A new authentication needs both.
    assert_eq!(forbidden.acr_values().collect::<Vec<_>>(), ["gold", "silver"]);
    assert_eq!(forbidden.max_age(), Some(Duration::from_secs(300)));
    assert_eq!(Error::from(forbidden).reason(), "insufficient_authentication");
}

#[test]
fn the_age_of_an_authentication_is_told_by_the_policys_clock_at_each_call() {
    let clock = FixedClock::at(NOW);
    let policy =
        Policy::builder().issuer(trusted()).clock(clock.clone()).build().expect("a policy");
    let token = verified_by(&policy, &json!({ "auth_time": NOW }));
    let recent = Requirement::max_age(Duration::from_secs(60));
    assert_eq!(recent.check(&token), Ok(()));
    clock.advance(Duration::from_secs(90));
    assert_eq!(recent.check(&token), Ok(()));
    clock.advance(Duration::from_secs(1));
    assert!(recent.check(&token).is_err());
    assert_eq!(policy.now(), UnixTime(NOW + 91));
}

#[test]
fn what_is_missing_is_named_exactly_and_all_at_once() {
    let refund = Requirement::all_scopes(["read", "write"])
        .and(Requirement::role("roles", "accountant").or(Requirement::client("robot")))
        .and(Requirement::max_age(Duration::from_secs(600)))
        .and_not(Requirement::subject("mallory"));
    let claims = json!({ "scope": "read", "sub": "mallory" });
    assert_eq!(
        missing(&refund, &claims),
        [
            "the scope `write`",
            "`accountant` at `roles` or the client `robot`",
            "an authentication of the user in the last 600 s",
            "anything but the subject that is asked for",
        ]
    );
    let unmet = forbidden(&refund, &claims);
    // What a new token needs has what this one has.
    assert_eq!(unmet.scopes().collect::<Vec<_>>(), ["read", "write"]);
    assert!(!unmet.needs_authentication(), "no authentication makes an accountant");
    assert!(!format!("{unmet:?} {unmet}").contains("mallory"));
    assert!(!format!("{refund:?} {refund}").contains("mallory"));
    assert_eq!(Error::from(unmet).reason(), "forbidden");

    let held =
        json!({ "scope": "read write", "sub": "alice", "roles": "accountant", "auth_time": NOW });
    assert!(meets(&refund, &held));
}

#[test]
fn of_alternatives_the_first_that_is_in_reach_is_told() {
    let scopes = |requirement: &Requirement, claims: &Value| {
        forbidden(requirement, claims).scopes().map(str::to_owned).collect::<Vec<_>>()
    };
    let none = json!({});
    assert_eq!(scopes(&Requirement::any_scope(["a", "b"]), &none), ["a"]);
    let admin_or = Requirement::role("roles", "admin").or(Requirement::all_scopes(["a", "b"]));
    assert_eq!(scopes(&admin_or, &none), ["a", "b"]);
    assert_eq!(
        missing(&admin_or, &json!({ "scope": "a" })),
        ["`admin` at `roles` or the scope `b`"]
    );
    assert_eq!(
        missing(&admin_or, &none),
        ["`admin` at `roles` or (the scope `a` and the scope `b`)"]
    );
    // Of what is met by the second, the second is what a new token needs.
    let both = Requirement::any_scope(["a", "b"]).and(Requirement::scope("c"));
    assert_eq!(scopes(&both, &json!({ "scope": "b" })), ["b", "c"]);
    assert_eq!(missing(&both, &json!({ "scope": "b" })), ["the scope `c`"]);
    // Once, however often it is asked for.
    let twice = Requirement::scope("a").and(Requirement::all_scopes(["b", "a"]));
    assert_eq!(scopes(&twice, &none), ["a", "b"]);
    let gold_first =
        Requirement::acr_values(["gold", "silver"]).and(Requirement::acr_values(["silver", "x"]));
    assert_eq!(forbidden(&gold_first, &none).acr_values().collect::<Vec<_>>(), ["silver"]);
    let youngest = Requirement::max_age(Duration::from_secs(9))
        .and(Requirement::max_age(Duration::from_millis(5_900)));
    assert_eq!(forbidden(&youngest, &none).max_age(), Some(Duration::from_secs(5)));
}

#[test]
fn a_requirement_that_says_nothing_or_what_no_challenge_carries_is_met_by_nobody() {
    let empty = |list| RequirementFault::Empty { list };
    let scope = |scope: &str| RequirementFault::Scope { scope: scope.to_owned() };
    let acr = |value: &str| RequirementFault::AcrValue { value: value.to_owned() };
    let token = verified(&json!({ "scope": "a", "roles": ["a", ""], "acr": "a", "": "a" }));
    for (requirement, fault) in [
        (Requirement::all_scopes([""; 0]), empty("scope")),
        (Requirement::any_scope([""; 0]), empty("scope")),
        (Requirement::all_roles("roles", [""; 0]), empty("role")),
        (Requirement::any_role("roles", [""; 0]), empty("role")),
        (Requirement::acr_values([""; 0]), empty("authentication context")),
        (Requirement::scope(""), scope("")),
        (Requirement::scope("a b"), scope("a b")),
        (Requirement::scope("a\"b"), scope("a\"b")),
        (Requirement::scope("a\\b"), scope("a\\b")),
        (Requirement::scope("a\r\nx: y"), scope("a\r\nx: y")),
        (Requirement::scope("ä"), scope("ä")),
        (Requirement::scope("a\u{7f}"), scope("a\u{7f}")),
        (Requirement::any_scope(["a", "b c"]), scope("b c")),
        (Requirement::acr_values(["a", "b\"c"]), acr("b\"c")),
        (Requirement::acr_values(["a b"]), acr("a b")),
        (Requirement::role("", "a"), RequirementFault::Path),
        (Requirement::role([""; 0], "a"), RequirementFault::Path),
        (Requirement::claim(["a", ""], "a"), RequirementFault::Path),
    ] {
        let good = Requirement::scope("a");
        for requirement in [
            requirement.clone(),
            Requirement::anyone_but(requirement.clone()),
            good.clone().or(requirement.clone()),
            good.clone().and(requirement.clone()),
            Requirement::anyone_but(requirement.clone().or(good.clone())),
        ] {
            assert_eq!(requirement.fault(), Some(&fault));
            let error = requirement.check(&token).expect_err("nobody meets it");
            assert_eq!(error, Error::Requirement(fault.clone()));
            assert_eq!(error.reason(), "requirement_fault");
        }
    }
    assert_eq!(Requirement::scope("a").fault(), None);
}

#[test]
fn what_cannot_be_told_meets_neither_a_requirement_nor_its_exclusion() {
    #[derive(Deserialize)]
    struct Account {
        #[serde(default)]
        suspended: bool,
    }
    let banned = || Requirement::role("groups", "banned");
    let suspended = || Requirement::predicate("suspended", |account: &Account| account.suspended);
    let readonly = || Requirement::scope("readonly");
    let realm = || Requirement::role(["realm_access", "roles"], "banned");
    for (requirement, claims) in [
        (banned(), json!({ "groups": ["banned", 7] })),
        (banned(), json!({ "groups": ["users", null] })),
        (banned(), json!({ "groups": [["banned"]] })),
        (banned(), json!({ "groups": "banned,users" })),
        (banned(), json!({ "groups": "users; banned" })),
        (banned(), json!({ "groups": ["users banned"] })),
        (Requirement::role("groups", "on leave"), json!({ "groups": "users,on leave" })),
        (banned(), json!({ "groups": "[\"banned\"]" })),
        (banned(), json!({ "groups": { "banned": true } })),
        (banned(), json!({ "groups": null })),
        (banned(), json!({ "groups": 7 })),
        // The provider says that they stand elsewhere (OpenID Connect Core §5.6.2).
        (banned(), json!({ "_claim_names": { "groups": "src1" } })),
        (banned(), json!({ "_claim_names": "groups" })),
        (
            Requirement::role(ClaimPath::member_names("groups"), "banned"),
            json!({ "groups": ["a"] }),
        ),
        (realm(), json!({ "realm_access": "banned" })),
        (realm(), json!({ "realm_access": ["roles"] })),
        (realm(), json!({ "realm_access": null })),
        (realm(), json!({ "_claim_names": { "realm_access": "src1" } })),
        (suspended(), json!({ "suspended": "true" })),
        (suspended(), json!({ "suspended": 1 })),
        (suspended(), json!({ "suspended": null })),
        (Requirement::claim("suspended", true), json!({ "suspended": "true" })),
        (Requirement::claim("suspended", true), json!({ "suspended": 1 })),
        (Requirement::claim("suspended", true), json!({ "suspended": [true] })),
        (Requirement::claim("plan", 3), json!({ "plan": 3.0 })),
        (Requirement::claim("plan", "free"), json!({ "plan": null })),
        (readonly(), json!({ "scope": ["write", 1] })),
        (readonly(), json!({ "scope": { "readonly": true } })),
        (readonly(), json!({ "scope": "write,readonly" })),
        (readonly(), json!({ "scope": "write\treadonly" })),
        (readonly(), json!({ "scope": ["write readonly"] })),
        (readonly(), json!({ "scope": "write", "scp": null })),
        (readonly(), json!({ "scope": "write", "_claim_names": { "scp": "src1" } })),
        (Requirement::acr_values(["gold"]), json!({ "acr": ["gold"] })),
        (Requirement::acr_values(["gold"]), json!({ "acr": 1 })),
        (Requirement::max_age(Duration::from_secs(60)), json!({ "auth_time": "1" })),
        (Requirement::max_age(Duration::from_secs(60)), json!({ "auth_time": NOW + LEEWAY + 1 })),
        // A name that overlaps with itself, inside of a longer text.
        (Requirement::role("groups", "on on"), json!({ "groups": "moon on on" })),
        // More groups than fit, of which Entra ID says so and not where they are.
        (banned(), json!({ "hasgroups": true })),
        (banned(), json!({ "hasgroups": "true" })),
    ] {
        let exclusion = Requirement::anyone_but(requirement.clone());
        for unmet in [
            requirement.clone(),
            exclusion.clone(),
            Requirement::anyone_but(exclusion.clone()),
            Requirement::issuer("https://id.example").and_not(requirement.clone()),
            Requirement::client("none").or(exclusion.clone()),
            Requirement::anyone_but(Requirement::client("none").or(requirement.clone())),
        ] {
            assert!(!meets(&unmet, &claims), "{unmet} by {claims}");
        }
        let missing = missing(&exclusion, &claims);
        assert!(missing[0].ends_with("which its claims do not tell"), "{missing:?}");
        // What is decided without it is decided.
        let ours = Requirement::issuer("https://id.example");
        assert!(meets(&ours.clone().or(requirement.clone()), &claims), "{requirement}");
        let none = Requirement::client("none");
        assert!(meets(&Requirement::anyone_but(none.and(requirement)), &claims));
    }
}

#[test]
fn of_a_subject_or_client_that_stands_elsewhere_it_cannot_be_told_who_it_is() {
    let token = |claims: &Value| {
        let token = issuer().token(Algorithm::EdDSA).without("sub").without("client_id");
        policy().verify_token_now(token.claim("_claim_names", claims.clone()).mint())
    };
    for (requirement, claim) in
        [(Requirement::subject("mallory"), "sub"), (Requirement::client("robot"), "client_id")]
    {
        let exclusion = Requirement::anyone_but(requirement.clone());
        for names in [json!({ claim: "src1" }), json!(null)] {
            let token = token(&names).expect("a good token");
            for requirement in [&requirement, &exclusion] {
                assert!(requirement.check(&token).is_err(), "{requirement} by {names}");
            }
        }
        let token = token(&json!({ "groups": "src1" })).expect("a good token");
        assert_eq!(exclusion.check(&token), Ok(()), "{claim}");
        assert!(requirement.check(&token).is_err(), "{claim}");
    }
}

#[test]
fn an_exclusion_passes_whoever_is_not_excluded() {
    let banned = Requirement::role("groups", "banned");
    for claims in [
        json!({}),
        json!({ "groups": [] }),
        json!({ "groups": "users" }),
        json!({ "groups": ["users", "unbanned", "banned-before"] }),
        json!({ "groups": ["users"], "_claim_names": { "groups": "src1" } }),
        json!({ "_claim_names": { "roles": "src1" } }),
        json!({ "groups": ["users"], "hasgroups": true }),
        json!({ "hasgroups": false }),
    ] {
        assert!(meets(&Requirement::anyone_but(banned.clone()), &claims), "{claims}");
    }
    let write = Requirement::scope("write").and_not(banned);
    assert!(meets(&write, &json!({ "scope": "write" })));
    assert!(!meets(&write, &json!({})));
    assert!(!meets(&write, &json!({ "scope": "write", "groups": ["banned"] })));
}

#[test]
fn a_path_that_was_written_as_one_text_is_a_fault_and_not_a_claim_that_nobody_has() {
    let claims = json!({ "kubernetes.io": "a", "realm_access": { "roles": ["banned"] } });
    for requirement in [
        Requirement::role("realm_access.roles", "banned"),
        Requirement::claim("realm_access.roles".to_owned(), "banned"),
        Requirement::role(ClaimPath::member_names("realm_access.roles"), "banned"),
        Requirement::anyone_but(Requirement::role("realm_access.roles", "banned")),
    ] {
        let fault = requirement.fault().expect("a fault");
        let path = "realm_access.roles".to_owned();
        assert_eq!(*fault, RequirementFault::DottedPath { path });
        assert!(fault.to_string().contains(r#"["realm_access", "roles"]"#), "{fault}");
        assert!(requirement.check(&verified(&claims)).is_err());
    }
    assert!(meets(&Requirement::claim(["kubernetes.io"], "a"), &claims));
}

#[test]
fn scopes_that_the_token_has_are_not_asked_for_again_where_something_else_is_missing() {
    let admin = Requirement::scope("a").and(Requirement::role("roles", "admin"));
    let scopes =
        |claims: &Value| forbidden(&admin, claims).scopes().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(scopes(&json!({ "scope": "a" })), [""; 0]);
    assert_eq!(scopes(&json!({ "roles": ["admin"] })), ["a"]);
    assert_eq!(scopes(&json!({})), ["a"]);
}

#[test]
fn a_requirement_tells_what_it_asks_for() {
    let requirement = Requirement::scope("a")
        .and(Requirement::scope("b").or(Requirement::client("c")))
        .and_not(Requirement::any_scope(["x", "y"]))
        .and(Requirement::acr_values(["gold", "silver"]))
        .and(Requirement::issuer("https://id.example"));
    assert_eq!(
        requirement.to_string(),
        "the scope `a` and (the scope `b` or the client `c`) and anything but (the scope `x` or the scope `y`) and an authentication by `gold` or `silver` and the issuer `https://id.example`"
    );
}

/// A token remembers which requirements it met.
#[test]
fn a_token_that_is_asked_often_and_for_much_answers_as_a_new_one() {
    let leaves = || {
        [
            Requirement::scope("read"),
            Requirement::scope("write"),
            Requirement::role("groups", "staff"),
            Requirement::role("roles", "admin"),
            Requirement::claim("level", 3),
            Requirement::client("web"),
            Requirement::issuer("https://id.example"),
            Requirement::max_age(Duration::from_secs(60)),
        ]
    };
    let mut requirements = Vec::new();
    for one in leaves() {
        for other in leaves() {
            requirements.push(one.clone().and(other.clone()));
            requirements.push(one.clone().or(other.clone()));
            requirements.push(one.clone().and_not(other));
        }
        requirements.push(Requirement::anyone_but(one.clone()));
        requirements.push(one);
    }
    let all_claims = [
        json!({ "scope": "read", "groups": ["staff"], "auth_time": NOW }),
        json!({ "scope": "write", "roles": 7, "client_id": "web" }),
        json!({ "level": 3, "scp": ["read", "write"], "roles": ["admin"] }),
    ];
    for claims in &all_claims {
        let asked_often = verified(claims);
        for (round, stride) in [1, 7, 31, 1].into_iter().enumerate() {
            for index in 0..requirements.len() {
                let requirement = &requirements[index * stride % requirements.len()];
                let is_met = requirement.check(&asked_often).is_ok();
                assert_eq!(is_met, meets(requirement, claims), "{round} {requirement} {claims}");
            }
        }
    }
}

#[test]
fn what_may_change_is_decided_each_time() {
    let (clock, holds) = (FixedClock::at(NOW), Arc::new(AtomicBool::new(true)));
    let (implies, holds_now) = (Arc::clone(&holds), Arc::clone(&holds));
    let build = |builder: portcullis::PolicyBuilder| {
        builder.issuer(trusted()).clock(clock.clone()).build().expect("a policy")
    };
    let plain = build(Policy::builder());
    let implying =
        build(Policy::builder().scope_implies(move |_, _| implies.load(Ordering::Relaxed)));
    let claims = json!({ "scope": "write", "auth_time": NOW });
    let recent = Requirement::max_age(Duration::from_secs(60));
    let asks_now =
        Requirement::predicate("now", move |_: &Value| holds_now.load(Ordering::Relaxed));
    let read = Requirement::scope("read");
    let write = Requirement::scope("write");
    let anything = Requirement::claim("nothing", 1);
    let asked = [
        (&plain, recent.clone()),
        (&plain, write.clone().and(recent.clone())),
        (&plain, anything.clone().or(recent)),
        (&plain, asks_now.clone()),
        (&plain, Requirement::anyone_but(Requirement::anyone_but(asks_now.clone()))),
        (&plain, write.and(asks_now)),
        (&implying, read.clone()),
        (&implying, anything.or(read)),
    ];
    let tokens = asked.map(|(policy, requirement)| (verified_by(policy, &claims), requirement));
    let all = |expected: bool| {
        for (token, requirement) in &tokens {
            assert_eq!(requirement.check(token).is_ok(), expected, "{requirement}");
        }
    };
    all(true);
    all(true);
    clock.set(NOW + 60 + LEEWAY + 1);
    holds.store(false, Ordering::Relaxed);
    all(false);
    clock.set(NOW);
    holds.store(true, Ordering::Relaxed);
    all(true);
}

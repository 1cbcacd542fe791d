//! Ways round what a route asks for besides the policy.
use std::time::Duration;

use http::Request;
use portcullis::error::RequirementFault;
use portcullis::{Algorithm, ClaimPath, Error, Presentation, Requirement};
use portcullis_attacks::{Answer, Door, NOW, bearer, policy_for, token, trusted};
use portcullis_testkit::TokenBuilder;
use serde_json::{Value, json};

const ES256: Algorithm = Algorithm::ES256;

fn door(requirement: Requirement) -> Door {
    Door::trusting(&[ES256]).requiring(requirement)
}

fn send(door: &Door, token: &TokenBuilder) -> Answer {
    door.send(bearer(token.mint().as_bytes()).expect("a header"))
}

#[track_caller]
fn admits(door: &Door, token: &TokenBuilder) {
    let answer = send(door, token);
    assert_eq!((answer.error, answer.status, answer.reached), (None, 200, 1));
}

/// Refused by the requirement alone, with this status, and without the service being reached.
#[track_caller]
fn forbids(door: &Door, what: &str, token: &TokenBuilder, status: u16) -> String {
    let answer = send(door, token);
    assert!(matches!(answer.error, Some(Error::Forbidden(_))), "{what}: {:?}", answer.error);
    assert_eq!((answer.status, answer.reached), (status, 0), "{what}");
    let challenge = answer.headers["www-authenticate"].to_str().expect("visible ASCII");
    assert!(!challenge.contains("LEAK"), "{what}: {challenge}");
    challenge.to_owned()
}

#[test]
fn a_scope_is_found_by_nothing_that_only_looks_like_a_space() {
    let door = door(Requirement::scope("admin"));
    let scope = |scope: &str| token(ES256).claim("scope", scope);
    admits(&door, &scope("read admin"));
    // White space of Unicode, controls and commas do not divide; case, prefixes and suffixes count.
    for space in "\t\n\r\u{b}\u{c}\u{0}\u{85}\u{a0}\u{1680}\u{2000}\u{2003}\u{2009}\u{200b}\u{2028}\u{202f}\u{3000}\u{feff},;+".chars() {
        for text in [format!("read{space}admin"), format!("admin{space}read"), format!("admin{space}")] {
            forbids(&door, &format!("{text:?}"), &scope(&text), 403);
        }
    }
    for text in [
        "",
        " ",
        "  ",
        "Admin",
        "ADMIN",
        "admin2",
        "xadmin",
        "admin:read",
        "\u{430}dmin",
        "admi\u{6e}\u{301}",
    ] {
        forbids(&door, text, &scope(text), 403);
    }
    // A doubled space makes an empty name, which nobody asks for.
    admits(&door, &scope("read  admin"));
    let nothing = Door::trusting(&[ES256]).requiring(Requirement::scope(""));
    let answer = send(&nothing, &scope("read  admin"));
    assert_eq!((answer.status, answer.reached), (500, 0));
}

#[test]
fn a_list_with_anything_but_strings_lists_no_scope_and_no_role() {
    let scoped = door(Requirement::scope("admin"));
    let roled = door(Requirement::role(["realm_access", "roles"], "admin"));
    admits(&scoped, &token(ES256).claim("scp", json!(["admin"])));
    admits(&roled, &token(ES256).claim("realm_access", json!({ "roles": ["admin"] })));
    let lists: Vec<Value> = vec![
        json!(["admin", 1]),
        json!([1, "admin"]),
        json!(["admin", null]),
        json!(["admin", ["admin"]]),
        json!(["admin", { "admin": true }]),
        json!([["admin"]]),
        json!({ "admin": true }),
        json!({ "0": "admin" }),
        json!(true),
        json!(1),
        json!(null),
        json!([]),
        json!("ADMIN"),
    ];
    for list in lists {
        let what = list.to_string();
        forbids(&scoped, &what, &token(ES256).claim("scp", list.clone()), 403);
        forbids(&roled, &what, &token(ES256).claim("realm_access", json!({ "roles": list })), 403);
    }
    // One item is one scope.
    forbids(&scoped, "two in one", &token(ES256).claim("scope", json!(["admin x"])), 403);
}

#[test]
fn a_role_is_not_found_at_another_path_or_in_another_spelling_of_it() {
    let door = door(Requirement::role(["resource_access", "orders", "roles"], "admin"));
    admits(
        &door,
        &token(ES256).claim("resource_access", json!({ "orders": { "roles": ["admin"] } })),
    );
    for (what, claims) in [
        ("another client", json!({ "resource_access": { "other": { "roles": ["admin"] } } })),
        ("a dotted name", json!({ "resource_access.orders.roles": ["admin"] })),
        ("a dotted end", json!({ "resource_access": { "orders.roles": ["admin"] } })),
        ("a level less", json!({ "resource_access": { "roles": ["admin"] } })),
        ("the top", json!({ "roles": ["admin"] })),
        ("a list on the way", json!({ "resource_access": [{ "orders": { "roles": ["admin"] } }] })),
        (
            "a string on the way",
            json!({ "resource_access": "{\"orders\":{\"roles\":[\"admin\"]}}" }),
        ),
        ("another case", json!({ "Resource_Access": { "Orders": { "Roles": ["admin"] } } })),
    ] {
        let claims = claims.as_object().expect("claims").clone();
        let token =
            claims.into_iter().fold(token(ES256), |token, (name, value)| token.claim(name, value));
        forbids(&door, what, &token, 403);
    }
    // Names of members count only where that was asked for.
    let named = Door::trusting(&[ES256])
        .requiring(Requirement::role(ClaimPath::member_names("roles"), "admin"));
    admits(&named, &token(ES256).claim("roles", json!({ "admin": {} })));
    forbids(&named, "a list", &token(ES256).claim("roles", json!(["admin"])), 403);
}

#[test]
fn step_up_needs_a_time_that_was_and_is_not_long_ago() {
    let door =
        door(Requirement::acr_values(["gold"]).and(Requirement::max_age(Duration::from_secs(60))));
    let at = |time: Value| token(ES256).claim("acr", "gold").claim("auth_time", time);
    admits(&door, &at(json!(NOW)));
    for time in [
        json!(NOW + 31),
        json!(NOW + 1_000_000_000),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e308),
        json!(NOW - 91),
        json!(0),
        json!(-NOW),
        json!(NOW.to_string()),
        json!(true),
        json!(null),
        json!([NOW]),
        json!({ "0": NOW }),
    ] {
        let challenge = forbids(&door, &time.to_string(), &at(time.clone()), 401);
        assert!(challenge.ends_with(r#"acr_values="gold", max_age="60""#), "{challenge}");
    }
    forbids(&door, "no time", &token(ES256).claim("acr", "gold"), 401);
    // `iat` is no authentication, and a remembered token does not grow younger.
    forbids(&door, "only iat", &token(ES256).claim("acr", "gold").claim("iat", NOW), 401);
    for acr in [json!("LEAK"), json!(["gold"]), json!("GOLD"), json!(0), json!("gold silver")] {
        forbids(&door, &acr.to_string(), &at(json!(NOW)).claim("acr", acr.clone()), 401);
    }
}

#[test]
fn a_requirement_is_not_met_by_a_token_that_the_policy_refuses_or_by_none() {
    for door in [
        door(Requirement::scope("admin")),
        // What is true of nobody is not true of a stranger either.
        door(Requirement::anyone_but(Requirement::subject("mallory"))),
    ] {
        let good = token(ES256).claim("scope", "admin");
        admits(&door, &good);
        for (what, bad) in [("expired", good.clone().expired()), ("foreign", good.audience("x"))] {
            let answer = send(&door, &bad);
            assert!(matches!(answer.error, Some(Error::Claims(_))), "{what}: {:?}", answer.error);
            assert_eq!((answer.status, answer.reached), (401, 0), "{what}");
        }
        let answer = door.send(Request::new(()));
        assert_eq!((answer.status, answer.reached), (401, 0));
    }
    let anonymous = policy_for([trusted(&[ES256])]).allow_anonymous();
    let anonymous =
        Door::new(anonymous).requiring(Requirement::anyone_but(Requirement::subject("mallory")));
    let answer = anonymous.send(Request::new(()));
    assert_eq!((answer.status, answer.reached), (401, 0));
    let preflight = Request::options("/orders")
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "DELETE");
    let answer = anonymous.send(preflight.body(()).expect("a request"));
    assert_eq!((answer.status, answer.reached), (401, 0));
}

/// A proxy may ask this service who may pass, with the headers that the client sent, and go by the status.
#[test]
fn a_refusal_looks_like_no_success_whatever_form_the_request_asks_for() {
    let door = door(Requirement::scope("admin"));
    let good = token(ES256).mint();
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc-web", "x"]
    {
        for method in ["POST", "GET", "HEAD", "PUT", "OPTIONS"] {
            for (bearer, status) in [(None, 401), (Some("x"), 401), (Some(good.as_str()), 403)] {
                let mut request = Request::builder().method(method);
                request = request.header("content-type", content_type).header("te", "trailers");
                if let Some(bearer) = bearer {
                    request = request.header("authorization", format!("Bearer {bearer}"));
                }
                let answer = door.send(request.body(()).expect("a request"));
                assert_eq!((answer.status, answer.reached), (status, 0), "{method} {content_type}");
            }
        }
    }
}

#[test]
fn nothing_that_was_sent_or_set_breaks_the_challenge() {
    // What a token says reaches no header at all.
    let door = door(Requirement::scope("admin").and(Requirement::acr_values(["gold"])));
    for text in ["LEAK\"", "LEAK\r\nx: y", "LEAK\u{e4}", "LEAK\\", "LEAK, error=\"x\""] {
        let token = token(ES256).claim("scope", text).claim("acr", text).subject(text);
        forbids(&door, text, &token, 401);
    }
    // What a route says is checked before.
    for text in ["a\"b", "a\\b", "a\r\nset-cookie: b=c", "a\u{e4}", "a\u{7f}", "a b", ""] {
        for (requirement, fault) in [
            (Requirement::scope(text), RequirementFault::Scope { scope: text.to_owned() }),
            (
                Requirement::acr_values([text]),
                RequirementFault::AcrValue { value: text.to_owned() },
            ),
        ] {
            let faulty = Door::trusting(&[ES256]).requiring(requirement);
            let answer = send(&faulty, &token(ES256).claim("scope", text).claim("acr", text));
            assert_eq!(answer.error, Some(Error::Requirement(fault)));
            assert_eq!((answer.status, answer.reached), (500, 0));
            assert!(!answer.headers.contains_key("www-authenticate"));
        }
        let policy = policy_for([trusted(&[ES256])]);
        let policy = policy.presentation(Presentation::new().scopes(["good", text])).build();
        assert!(policy.is_err(), "{text:?}");
    }
}

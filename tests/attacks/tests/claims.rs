//! Claims that are there, signed by the right key, and must not be believed all the same.
use core::time::Duration;

use portcullis::error::{ClaimsError, JsonFault, Part, TokenError, TypeName};
use portcullis::{Algorithm, ClaimRules, Error, Issuer, KeySet, TokenType, UnixTime, dangerous};
use portcullis_attacks::{Door, NOW, issuer, policy_for, token, trusted, wrong_type};
use portcullis_testkit::{TestIssuer, TokenBuilder};
use serde_json::{Value, json};

use Algorithm::ES256;

fn door() -> Door {
    Door::trusting(&[ES256])
}

/// Without a bound on the lifetime and without leeway, so that a time is refused for itself only.
fn strict() -> Door {
    let rules =
        ClaimRules::new().max_lifetime(dangerous::unlimited_lifetime()).leeway(Duration::ZERO);
    Door::new(policy_for([trusted(&[ES256])]).claims(rules))
}

/// A good token with a claim as this JSON text.
fn with(claim: &str, json: &str) -> TokenBuilder {
    let mut claims = vec![
        ("iss", r#""https://id.example""#.to_owned()),
        ("aud", r#""https://api.example""#.to_owned()),
        ("exp", (NOW + 300).to_string()),
    ];
    claims.retain(|(name, _)| *name != claim);
    claims.push((claim, json.to_owned()));
    let members: Vec<_> =
        claims.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    token(ES256).raw_payload(format!("{{{}}}", members.join(",")))
}

/// JSON that is no time, or none that a token may have.
const NO_TIMES: [&str; 22] = [
    r#""9999999999""#,
    r#""1800000300""#,
    r#""2027-01-15T08:05:00Z""#,
    r#""""#,
    r#""NaN""#,
    r#""Infinity""#,
    "null",
    "true",
    "false",
    "[]",
    "{}",
    "[1800000300]",
    r#"{"$date":1800000300}"#,
    r#"{"$serde_json::private::Number":"1800000300"}"#,
    "1e309",
    "-1e309",
    "1e18",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "9007199254740993.5",
];

#[test]
fn a_time_of_another_type_or_out_of_range_is_refused_and_never_absent() {
    let door = strict();
    for claim in ["exp", "nbf", "iat"] {
        for value in NO_TIMES {
            let what = format!("{claim} {value}");
            door.refuses(&what, with(claim, value).mint(), TokenError::ClaimType { claim });
        }
        let digits = "9".repeat(5_000);
        for value in [format!("-{digits}"), digits.clone(), format!("1e{digits}")] {
            let error = TokenError::ClaimType { claim };
            door.refuses("5000 digits", with(claim, &value).mint(), error);
        }
        for value in
            ["NaN", "Infinity", "-Infinity", "0x6b49d2ff", "01", "+1", ".5", "1.", "1_0", ""]
        {
            let error = TokenError::Json(Part::Payload, JsonFault::NotAnObject);
            door.refuses(&format!("{claim} {value}"), with(claim, value).mint(), error);
        }
    }
}

#[test]
fn a_negative_time_is_refused() {
    let door = strict();
    for claim in ["exp", "nbf", "iat"] {
        for value in ["-1", "-1.5", "-1e3", "-9223372036854775808", "-9223372036854775809"] {
            let error = TokenError::ClaimType { claim };
            door.refuses(&format!("{claim} {value}"), with(claim, value).mint(), error);
        }
    }
    // Rounded down, it is -1.
    door.refuses("-0.5", with("exp", "-0.5").mint(), TokenError::ClaimType { claim: "exp" });
}

#[test]
fn a_token_that_never_expires_is_refused() {
    let door = strict();
    let missing = ClaimsError::Missing { claim: "exp" };
    door.refuses("missing", token(ES256).without("exp").mint(), missing.clone());
    let nested = token(ES256).without("exp").claim("x", json!({ "exp": NOW + 300 }));
    door.refuses("elsewhere", nested.mint(), missing.clone());
    let capital = token(ES256).without("exp").claim("EXP", NOW + 300).claim("exp ", NOW + 300);
    door.refuses("misspelt", capital.mint(), missing);
    for zero in ["0", "-0", "0.0", "0e5", "0.9", "1e-400"] {
        let expired = ClaimsError::Expired { at: UnixTime(0), now: UnixTime(NOW) };
        door.refuses(zero, with("exp", zero).mint(), expired);
    }
    let one = ClaimsError::Expired { at: UnixTime(1), now: UnixTime(NOW) };
    door.refuses("1", with("exp", "1").mint(), one);
}

#[test]
fn a_time_is_read_exactly_as_it_is_written() {
    let door = strict();
    for good in ["1800000300", "1800000300.9", "1.8000003e9", "18000003E2", "9007199254740993"] {
        door.admits(&with("exp", good).mint());
    }
    // Within this second is not in the future.
    for good in ["0", "1800000000", "-0", "0.5", "1.8e9", "1799999999.5", "1800000000.999"] {
        door.admits(&with("nbf", good).mint());
        door.admits(&with("iat", good).mint());
    }
    // A fraction never lengthens a life.
    let at = |at| ClaimsError::Expired { at: UnixTime(at), now: UnixTime(NOW) };
    door.refuses("exp", with("exp", "1800000000.999").mint(), at(NOW));
    let (from, now) = (UnixTime(NOW + 1), UnixTime(NOW));
    let nbf = ClaimsError::NotYetValid { from, now };
    door.refuses("nbf", with("nbf", "1800000001.0").mint(), nbf);
    let iat = ClaimsError::IssuedInFuture { from, now };
    door.refuses("iat", with("iat", "1800000001.0").mint(), iat);
}

#[test]
fn a_token_in_milliseconds_is_refused() {
    let times = token(ES256).claim("iat", NOW * 1000).claim("exp", (NOW + 300) * 1000);
    let error = ClaimsError::IssuedInFuture { from: UnixTime(NOW * 1000), now: UnixTime(NOW) };
    door().refuses("both", times.mint(), error);
    let lifetime = Duration::from_secs(u64::try_from((NOW + 300) * 1000 - NOW).expect("positive"));
    let error = ClaimsError::LivesTooLong { lifetime, limit: Duration::from_secs(86_400) };
    door().refuses("exp", token(ES256).expires_at((NOW + 300) * 1000).mint(), error);
}

#[test]
fn a_token_for_years_is_refused_by_default() {
    for lifetime in [86_401, 315_360_000] {
        let lifetime = Duration::from_secs(lifetime);
        let error = ClaimsError::LivesTooLong { lifetime, limit: Duration::from_secs(86_400) };
        door().refuses("iat", token(ES256).expires_in(lifetime).mint(), error.clone());
        let dateless = token(ES256).expires_in(lifetime).without("iat");
        door().refuses("now", dateless.mint(), error);
    }
    door().admits(&token(ES256).expires_in(Duration::from_secs(86_400)).mint());
}

#[test]
fn at_the_edges_of_the_clock_the_standard_decides() {
    for leeway in [0_i64, 30] {
        let rules = ClaimRules::new().leeway(Duration::from_secs(leeway.unsigned_abs()));
        let door = Door::new(policy_for([trusted(&[ES256])]).claims(rules));
        let now = UnixTime(NOW);
        let token = |claim: &str, at: i64| token(ES256).claim(claim, at).mint();
        // RFC 7519 §4.1.4: before `exp`, not at it.
        for late in [0, 1, 1_000_000] {
            let at = NOW - leeway - late;
            let error = ClaimsError::Expired { at: UnixTime(at), now };
            door.refuses("exp", token("exp", at), error);
        }
        door.admits(&token("exp", NOW - leeway + 1));
        // §4.1.5: at `nbf`, it is valid.
        for (claim, error) in [
            ("nbf", (|from, now| ClaimsError::NotYetValid { from, now }) as fn(_, _) -> _),
            ("iat", |from, now| ClaimsError::IssuedInFuture { from, now }),
        ] {
            for early in [1, 2, 200] {
                let from = NOW + leeway + early;
                door.refuses(claim, token(claim, from), error(UnixTime(from), now));
            }
            door.admits(&token(claim, NOW + leeway));
            door.admits(&token(claim, NOW + leeway - 1));
        }
    }
}

#[test]
fn a_leeway_over_ten_minutes_is_refused_when_the_policy_is_built() {
    for leeway in [Duration::from_millis(600_001), Duration::from_secs(601), Duration::MAX] {
        assert!(policy_for([trusted(&[ES256])]).leeway(leeway).build().is_err());
    }
    assert!(policy_for([trusted(&[ES256])]).leeway(Duration::from_secs(600)).build().is_ok());
}

#[test]
fn only_exactly_our_audience_lets_a_token_in() {
    let door = door();
    let with = |audience: Value| token(ES256).claim("aud", audience).mint();
    door.admits(&with(json!("https://api.example")));
    door.admits(&with(json!(["https://api.example"])));
    door.admits(&with(json!(["https://other.example", "https://api.example", ""])));
    for audience in [
        json!([]),
        json!(""),
        json!([""]),
        json!("*"),
        json!("https://api.example/"),
        json!("https://api.example "),
        json!(" https://api.example"),
        json!("https://API.example"),
        json!("HTTPS://api.example"),
        json!("https://api.example:443"),
        json!("https://api.example#"),
        json!("https://api.example?"),
        json!("https://api.exampl"),
        json!("https://api.example.evil"),
        json!("https://api.example@evil.example"),
        json!("https://evil.example/https://api.example"),
        json!("https://api%2Eexample"),
        json!("https://ap\u{456}.example"),
        json!("https://api.example\u{0}"),
        json!("https://api.example https://other.example"),
        json!("https://other.example,https://api.example"),
        json!("[\"https://api.example\"]"),
        json!(["https://api.example/", "https://api.exampl"]),
    ] {
        let what = audience.to_string();
        door.refuses(&what, with(audience), ClaimsError::Audience);
    }
    for audience in [
        json!(null),
        json!(true),
        json!(0),
        json!({}),
        json!({ "https://api.example": true }),
        json!({ "0": "https://api.example" }),
        json!([null]),
        json!([["https://api.example"]]),
        json!(["https://api.example", 1]),
        json!(["https://api.example", null]),
        json!([{ "aud": "https://api.example" }, "https://api.example"]),
    ] {
        let what = audience.to_string();
        door.refuses(&what, with(audience), TokenError::ClaimType { claim: "aud" });
    }
    let error = ClaimsError::AudienceMissing;
    door.refuses("missing", token(ES256).without("aud").mint(), error.clone());
    let elsewhere = token(ES256).without("aud").claim("azp", "https://api.example");
    door.refuses("elsewhere", elsewhere.claim("AUD", "https://api.example").mint(), error);
}

#[test]
fn only_exactly_our_issuer_lets_a_token_in() {
    let door = door();
    for issuer in [
        "",
        "*",
        "https://id.example/",
        "https://id.example ",
        "https://id.exampl",
        "https://id.example.evil",
        "https://ID.example",
        "http://id.example",
        "id.example",
        "https://id.example:443",
        "https://id.example@evil.example",
        "https://evil.example#https://id.example",
        "https://evil.example/https://id.example",
        "https://\u{456}d.example",
        "https://id.example\u{200b}",
        "https://id.example\0",
        "https://id%2Eexample",
    ] {
        let refused = match issuer {
            "https://id.example/" => {
                ClaimsError::IssuerSlash { trusted: "https://id.example".into() }
            }
            _ => ClaimsError::Issuer,
        };
        door.refuses(issuer, token(ES256).claim("iss", issuer).mint(), refused);
    }
    for issuer in [
        json!(["https://id.example"]),
        json!(["https://evil.example", "https://id.example"]),
        json!([]),
        json!({ "https://id.example": 1 }),
        json!(null),
        json!(true),
        json!(0),
    ] {
        let what = issuer.to_string();
        let token = token(ES256).claim("iss", issuer).mint();
        door.refuses(&what, token, TokenError::ClaimType { claim: "iss" });
    }
    door.refuses(
        "missing",
        token(ES256).without("iss").mint(),
        ClaimsError::IssuerMissing { also: &[] },
    );
    // RFC 7519 §5.3: a claim replicated in the header proves nothing.
    let replicated = token(ES256).without("iss").header("iss", "https://id.example");
    door.refuses("in the header", replicated.mint(), ClaimsError::IssuerMissing { also: &[] });
}

#[test]
fn a_number_is_a_subject_only_of_the_issuer_that_may_write_so() {
    let numeric = Door::new(policy_for([trusted(&[ES256]).numeric_ids()]));
    for subject in [json!(0), json!(42), json!(u64::MAX)] {
        let digits = subject.to_string();
        let token = token(ES256).claim("sub", subject).claim("jti", 7).mint();
        let verified = numeric.policy().verify_token_now(&token).expect("a good token");
        assert_eq!((verified.subject(), verified.token_id()), (Some(&*digits), Some("7")));
        numeric.admits(&token);
    }
    for subject in [json!(-1), json!(42.0), json!(1e18), json!(null), json!(["42"])] {
        let what = subject.to_string();
        let token = token(ES256).claim("sub", subject).mint();
        numeric.refuses(&what, token, TokenError::ClaimType { claim: "sub" });
    }
    // Of two issuers, the other may not, and nobody is one whom the policy does not trust.
    let number = token(ES256).claim("sub", 42);
    door().refuses("another policy", number.mint(), ClaimsError::NumericId { claim: "sub" });
    numeric.refuses("a stranger", number.claim("iss", "x").mint(), ClaimsError::Issuer);
}

#[test]
fn a_registered_claim_of_the_wrong_type_is_refused() {
    let door = door();
    for claim in ["sub", "jti", "client_id"] {
        for value in [json!(null), json!(0.5), json!(true), json!([]), json!(["a"]), json!({})] {
            let what = format!("{claim} {value}");
            let token = token(ES256).claim(claim, value).mint();
            door.refuses(&what, token, TokenError::ClaimType { claim });
        }
    }
    let number = token(ES256).claim("client_id", 0).mint();
    door.refuses("client_id 0", number, TokenError::ClaimType { claim: "client_id" });
    for claim in ["sub", "jti"] {
        let number = token(ES256).claim(claim, 0).mint();
        door.refuses(claim, number, ClaimsError::NumericId { claim });
    }
    door.admits(&token(ES256).claim("jti", "j".repeat(1024)).mint());
    let long = token(ES256).claim("jti", "j".repeat(1025)).mint();
    door.refuses("1 KiB and 1", long, TokenError::TokenIdTooLong);
}

#[test]
fn a_token_of_another_type_is_refused() {
    let door = door();
    for typ in [
        "logout+jwt",
        "application/logout+jwt",
        "secevent+jwt",
        "dpop+jwt",
        "statuslist+jwt",
        "rt+jwt",
        "refresh+jwt",
        "id+jwt",
        "client-authentication+jwt",
        "oauth-authz-req+jwt",
        "token-introspection+jwt",
        "kb+jwt",
        "dc+sd-jwt",
        "vc+jwt",
        "entity-statement+jwt",
        "JOSE",
        "JOSE+JSON",
        "JWS",
        "JWE",
        "application/jwt/x",
        "application/application/jwt",
        "text/jwt",
        "JWT ",
        " JWT",
        "J\u{200b}WT",
        "\u{ff2a}WT",
        "at+jwt; charset=utf-8",
        "",
        "/",
        "application/",
        "at",
    ] {
        door.refuses(typ, token(ES256).typ(typ).mint(), wrong_type(typ));
    }
    for typ in [json!(null), json!(1), json!(["JWT"]), json!({}), json!(true)] {
        let what = typ.to_string();
        let token = token(ES256).header("typ", typ).mint();
        door.refuses(&what, token, TokenError::HeaderType { member: "typ" });
    }
}

#[test]
fn an_id_token_for_our_audience_is_refused_by_its_claims() {
    let door = door();
    let id_token = || token(ES256).typ("JWT").claim("nonce", "n-0S6_WzA2Mj");
    for claim in ["at_hash", "c_hash", "s_hash"] {
        for value in [json!("77QmUPtjPfzWtF2AnpK9RQ"), json!(null), json!(""), json!(0)] {
            let error = ClaimsError::NotAnAccessToken { claim };
            door.refuses(claim, id_token().claim(claim, value).mint(), error);
        }
    }
    let error = ClaimsError::NotAnAccessToken { claim: "at_hash" };
    let typed = token(ES256).claim("at_hash", "x");
    door.refuses("also as at+jwt", typed.mint(), error.clone());
    let payload = format!(
        r#"{{"iss":"https://id.example","aud":"https://api.example","exp":{},"\u0061t_hash":"x"}}"#,
        NOW + 300
    );
    door.refuses("escaped", token(ES256).raw_payload(payload).mint(), error);
    // The usual one names a client, which is no audience of this service.
    door.refuses("another audience", id_token().audience("client-1").mint(), ClaimsError::Audience);
    // Alone, these do not tell: some access tokens have them.
    door.admits(&id_token().mint());
    door.admits(&token(ES256).claim("s_hash", "x").mint());
}

#[test]
fn a_logout_or_event_token_for_our_audience_is_refused() {
    let logout = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    for events in [logout, json!({}), json!(null), json!([]), json!("x")] {
        let bare = token(ES256).without_header("typ").claim("events", events.clone());
        let error = ClaimsError::NotAnAccessToken { claim: "events" };
        door().refuses("without typ", bare.clone().mint(), error.clone());
        door().refuses("as JWT", bare.clone().typ("JWT").mint(), error.clone());
        door().refuses("as at+jwt", bare.clone().typ("at+jwt").mint(), error);
        door().refuses(
            "as logout+jwt",
            bare.clone().typ("logout+jwt").mint(),
            wrong_type("logout+jwt"),
        );
        door().refuses(
            "as secevent+jwt",
            bare.typ("secevent+jwt").mint(),
            wrong_type("secevent+jwt"),
        );
    }
}

#[test]
fn a_proof_a_status_list_and_a_refresh_token_are_refused() {
    let key = issuer().key(ES256).public_jwk().expect("a key pair");
    let proof = json!({ "jti": "p", "htm": "GET", "htu": "https://api.example/", "iat": NOW });
    let proof = token(ES256).raw_payload(proof.to_string()).header("jwk", key);
    door().refuses(
        "a proof",
        proof.clone().typ("dpop+jwt").mint(),
        ClaimsError::IssuerMissing { also: &["aud", "exp"] },
    );
    door().refuses(
        "without typ",
        proof.without_header("typ").mint(),
        ClaimsError::IssuerMissing { also: &["aud", "exp"] },
    );

    let list = token(ES256)
        .claim("status_list", json!({ "bits": 1, "lst": "eNrbuRgAAhcBXQ" }))
        .claim("ttl", 43_200);
    door().refuses(
        "a status list",
        list.clone().typ("statuslist+jwt").mint(),
        wrong_type("statuslist+jwt"),
    );
    // Its audience, of which there is none, keeps it out where its type does not.
    let error = ClaimsError::AudienceMissing;
    door().refuses("without typ", list.without("aud").without_header("typ").mint(), error);

    // Keycloak's refresh tokens are for the issuer itself.
    let refresh = token(ES256).typ("JWT").claim("typ", "Refresh");
    let theirs = refresh.clone().audience(issuer().name()).mint();
    door().refuses("a refresh token", theirs, ClaimsError::Audience);
    // What no standard marks, a rule does.
    let rules = ClaimRules::new().exact("typ", "Bearer");
    let ruled = Door::new(policy_for([trusted(&[ES256]).claims(rules)]));
    ruled.admits(&token(ES256).typ("JWT").claim("typ", "Bearer").mint());
    let error = ruled.policy().verify_token_now(refresh.mint()).expect_err("refused");
    assert_eq!(error.reason(), "claim_rule");
}

#[test]
fn where_only_typed_access_tokens_are_taken_nothing_else_passes_for_one() {
    let only = || trusted(&[ES256]).token_types([TokenType::AccessToken]);
    let door = Door::new(policy_for([only()]));
    door.admits(&token(ES256).mint());
    door.admits(&token(ES256).typ("application/AT+JWT").mint());
    let of_type = |found| ClaimsError::Type { found, accepted: "`at+jwt`" };
    for typ in ["JWT", "jwt", "application/jwt", "logout+jwt"] {
        door.refuses(typ, token(ES256).typ(typ).mint(), of_type(TypeName::new(typ)));
    }
    door.refuses("absent", token(ES256).without_header("typ").mint(), of_type(TypeName::ABSENT));
    for claim in ["sub", "client_id", "iat", "jti"] {
        let token = token(ES256).without(claim).mint();
        door.refuses(claim, token, ClaimsError::Missing { claim });
    }
}

#[test]
fn the_access_token_profile_is_asked_for_however_often_its_type_is_listed() {
    let twice = [TokenType::AccessToken, TokenType::AccessToken];
    let door = Door::new(policy_for([trusted(&[ES256]).token_types(twice)]));
    door.admits(&token(ES256).mint());
    let error = ClaimsError::Missing { claim: "jti" };
    door.refuses("jti", token(ES256).without("jti").mint(), error);
}

#[test]
fn a_token_bound_to_a_key_is_refused_as_a_bearer_token_whatever_its_cnf_says() {
    let door = door();
    let jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    for cnf in [
        json!({ "jkt": jkt }),
        json!({ "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" }),
        json!({ "jwk": { "kty": "EC" } }),
        json!({ "kid": "k" }),
        json!({ "jku": "https://id.example/jwks.json" }),
        json!({ "jkt": jkt, "x5t#S256": "x" }),
        json!({ "unknown": 1 }),
        json!({ "jkt": 1 }),
        json!({ "jkt": "" }),
        json!({ "jkt": null }),
        json!({}),
        json!(null),
        json!(false),
        json!(0),
        json!(""),
        json!("jkt"),
        json!([]),
    ] {
        let what = cnf.to_string();
        let token = || token(ES256).claim("cnf", cnf.clone());
        door.refuses(&what, token().mint(), ClaimsError::SenderConstrained);
        door.refuses(&what, token().header("typ", "JWT").mint(), ClaimsError::SenderConstrained);
    }
    let payload = format!(
        r#"{{"iss":"https://id.example","aud":"https://api.example","exp":{},"c\u006ef":{{}}}}"#,
        NOW + 300
    );
    door.refuses(
        "escaped",
        token(ES256).raw_payload(payload).mint(),
        ClaimsError::SenderConstrained,
    );
    // A client without a token of its own does not get further by another scheme.
    let request = portcullis_attacks::request(
        "GET",
        &[("authorization", &format!("DPoP {}", token(ES256).claim("cnf", json!({})).mint()))],
    );
    door.refuses_request("DPoP", request, 401, portcullis::error::SourceError::DpopScheme);
}

#[test]
fn nothing_about_claims_lets_in_a_token_whose_signature_is_bad() {
    // Each would be refused for its claims too; none may be let in for them.
    let impostor = issuer().impostor();
    let good = impostor.token(ES256);
    for token in [
        good.clone(),
        good.clone().claim("role", "admin"),
        good.clone().claim("exp", NOW + 1),
        good.typ("JWT"),
    ] {
        door().refuses("forged", token.mint(), portcullis::error::SignatureError::new());
    }
}

#[test]
fn client_ids_that_stand_in_for_an_audience_let_no_id_token_in() {
    let keys = KeySet::from_jwks(issuer().jwks_of(&[ES256])).expect("keys");
    let cognito = Issuer::new(issuer().name())
        .algorithms([ES256])
        .keys(keys)
        .client_ids_instead_of_audience(["client-1"]);
    let door = Door::new(policy_for([cognito]));
    let access = || token(ES256).without("aud").claim("client_id", "client-1");
    door.admits(&access().mint());
    // Cognito's ID tokens name the client as audience.
    for audience in [json!("client-1"), json!(["client-1"]), json!([]), json!(TestIssuer::AUDIENCE)]
    {
        let what = audience.to_string();
        door.refuses(&what, access().claim("aud", audience).mint(), ClaimsError::Audience);
    }
    for client in ["client-2", "client-1 ", "Client-1", "client-", "", "client-1,client-2"] {
        door.refuses(client, access().claim("client_id", client).mint(), ClaimsError::Audience);
    }
    let error = ClaimsError::Missing { claim: "client_id" };
    door.refuses("missing", access().without("client_id").mint(), error);
    for client in [json!(["client-1"]), json!(null), json!(1)] {
        let error: Error = TokenError::ClaimType { claim: "client_id" }.into();
        door.refuses("type", access().claim("client_id", client).mint(), error);
    }
}

//! Attacks by the request around the token: two tokens, cookies, other sites, header injection.
use http::{HeaderValue, Request};
use portcullis::error::{CrossSiteError, Part, SignatureError, SourceError, TokenError};
use portcullis::policy::{BadCookie, PolicyFault};
use portcullis::{Algorithm, Error, PolicyBuilder, Presentation, TokenSource, dangerous};
use portcullis_attacks::{Answer, Door, bearer, issuer, policy_for, request, token, trusted};
use portcullis_testkit::hostile;

use Algorithm::ES256;

const COOKIE: &str = "__Host-token";

fn policy() -> PolicyBuilder {
    policy_for([trusted(&[ES256])])
}

fn good() -> String {
    token(ES256).mint()
}

/// Tokens are taken from the header and from a cookie.
fn with_cookie() -> PolicyBuilder {
    policy().sources([TokenSource::bearer(), TokenSource::cookie(COOKIE)])
}

fn cookie(token: &str) -> String {
    format!("{COOKIE}={token}")
}

#[track_caller]
fn assert_reached(answer: &Answer, subject: Option<&str>) {
    let got = (answer.error.as_ref(), answer.status, answer.reached, answer.subject.as_deref());
    assert_eq!(got, (None, 200, 1, subject));
}

#[test]
fn two_tokens_are_refused_wherever_they_stand_and_even_if_both_are_good() {
    let header = TokenSource::header("x-token");
    let door = Door::new(policy().sources([
        TokenSource::bearer(),
        TokenSource::cookie(COOKIE),
        header,
        dangerous::token_in_url("access_token"),
    ]));
    let (one, other) = (good(), token(ES256).subject("mallory").mint());
    let (bearer, second) = (format!("Bearer {one}"), format!("Bearer {other}"));
    let cookies = [cookie(&one), cookie(&other)];
    let both = format!("{}; {}", cookies[0], cookies[1]);
    for (what, headers) in [
        ("two Authorization", vec![("authorization", &*bearer), ("authorization", &*second)]),
        ("the same twice", vec![("authorization", &*bearer), ("authorization", &*bearer)]),
        ("Basic besides", vec![("authorization", &*bearer), ("authorization", "Basic dDp0")]),
        ("Basic before", vec![("authorization", "Basic dDp0"), ("authorization", &*bearer)]),
        ("an empty one besides", vec![("authorization", &*bearer), ("authorization", "")]),
        ("header and cookie", vec![("authorization", &*bearer), ("cookie", &*cookies[1])]),
        ("two cookies in one field", vec![("cookie", &*both)]),
        ("two cookie fields", vec![("cookie", &*cookies[0]), ("cookie", &*cookies[1])]),
        ("two headers", vec![("authorization", &*bearer), ("x-token", &*other)]),
        ("a header twice", vec![("x-token", &*one), ("x-token", &*other)]),
        ("a bad one besides", vec![("authorization", &*bearer), ("x-token", "garbage")]),
    ] {
        door.refuses_request(what, request("GET", &headers), 400, SourceError::Several);
    }
    for (what, uri, headers) in [
        ("twice in the query", format!("/?access_token={one}&access_token={other}"), vec![]),
        ("header and query", format!("/?access_token={other}"), vec![("authorization", &*bearer)]),
        ("cookie and query", format!("/?access_token={other}"), vec![("cookie", &*cookies[0])]),
    ] {
        let mut request = request("GET", &headers);
        *request.uri_mut() = uri.parse().expect("a target");
        door.refuses_request(what, request, 400, SourceError::Several);
    }
}

#[test]
fn two_tokens_are_refused_where_anonymous_requests_pass() {
    let door = Door::new(with_cookie().allow_anonymous().bad_cookie(BadCookie::Anonymous));
    let bearer = format!("Bearer {}", good());
    for headers in [
        [("authorization", &*bearer), ("authorization", "Bearer x")],
        [("authorization", "Bearer x"), ("cookie", "__Host-token=y")],
        [("cookie", "__Host-token=x"), ("cookie", "__Host-token=y")],
    ] {
        door.refuses_request("two", request("GET", &headers), 400, SourceError::Several);
    }
}

#[test]
fn a_list_of_tokens_in_one_field_is_no_token() {
    let door = Door::trusting(&[ES256]);
    let good = good();
    for value in [
        format!("{good}, Bearer {good}"),
        format!("{good}, Basic dXNlcjpwYXNz"),
        format!("{good},{good}"),
        format!("{good} {good}"),
    ] {
        door.refuses_request(
            "a list",
            bearer(value.as_bytes()).expect("a header"),
            401,
            TokenError::Character,
        );
    }
}

#[test]
fn a_preferred_header_settles_only_what_stands_in_a_header() {
    let door = Door::new(
        policy()
            .sources([
                TokenSource::bearer(),
                TokenSource::cookie(COOKIE),
                dangerous::token_in_url("access_token"),
            ])
            .prefer_header(),
    );
    let mallory = token(ES256).subject("mallory").mint();
    let (bearer, cookie) = (format!("Bearer {}", good()), cookie(&mallory));
    let both = request("POST", &[("authorization", &bearer), ("cookie", &cookie)]);
    assert_reached(&door.send(both), Some("alice"));
    // A bad token in the header is not made up for by a good one in the cookie.
    let forged = format!("Bearer {}", hostile::flip_signature_bit(&good()));
    let headers = [("authorization", &*forged), ("cookie", &*cookie)];
    door.refuses_request("forged", request("GET", &headers), 401, SignatureError::new());
    // A link cannot put another token in the place of the cookie's.
    let mut link = request("GET", &[("cookie", &*cookie)]);
    *link.uri_mut() = format!("/?access_token={}", good()).parse().expect("a target");
    door.refuses_request("a link", link, 400, SourceError::Several);
    // Two in one place stay two.
    let headers = [("authorization", &*bearer), ("authorization", &*bearer)];
    door.refuses_request("twice", request("GET", &headers), 400, SourceError::Several);
    let headers = [("authorization", &*bearer), ("cookie", &*cookie), ("cookie", &*cookie)];
    door.refuses_request("cookies", request("GET", &headers), 400, SourceError::Several);
}

#[test]
fn a_cross_site_request_with_the_cookie_is_refused() {
    let door = Door::new(with_cookie().allowed_origins(["https://app.example"]));
    let cookie = cookie(&good());
    for method in ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "PROPFIND", "get", "QUERY"] {
        for (what, headers) in [
            ("nothing said", vec![]),
            ("cross-site", vec![("sec-fetch-site", "cross-site")]),
            ("a sibling", vec![("sec-fetch-site", "same-site")]),
            ("another origin", vec![("origin", "https://evil.example")]),
            ("a null origin", vec![("origin", "null")]),
            ("a longer origin", vec![("origin", "https://app.example.evil")]),
            ("a suffix", vec![("origin", "https://evilapp.example")]),
            ("without TLS", vec![("origin", "http://app.example")]),
            ("another port", vec![("origin", "https://app.example:8443")]),
            ("with a path", vec![("origin", "https://app.example/")]),
            ("a list", vec![("origin", "https://app.example, https://evil.example")]),
            ("two", vec![("origin", "https://app.example"), ("origin", "https://evil.example")]),
            ("only a referrer", vec![("referer", "https://api.example/")]),
            (
                "one that lies about its host",
                vec![("sec-fetch-site", "cross-site"), ("origin", "https://api.example")],
            ),
            (
                "two sites",
                vec![("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            ),
        ] {
            let mut all = vec![("host", "api.example"), ("cookie", &*cookie)];
            all.extend(headers);
            let what = format!("{method}, {what}");
            door.refuses_request(&what, request(method, &all), 403, CrossSiteError::new());
        }
        for (name, value) in [
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "none"),
            ("origin", "https://app.example"),
            ("origin", "https://api.example"),
        ] {
            let headers = [("host", "api.example"), ("cookie", &*cookie), (name, value)];
            assert_reached(&door.send(request(method, &headers)), Some("alice"));
        }
    }
}

#[test]
fn a_cross_site_web_socket_with_the_cookie_is_refused() {
    let door = Door::new(with_cookie());
    let cookie = cookie(&good());
    for origin in ["https://evil.example", "null", "https://api.example.evil"] {
        for upgrade in ["websocket", "WebSocket", "h2c", ""] {
            let headers = [
                ("host", "api.example"),
                ("cookie", &*cookie),
                ("connection", "Upgrade"),
                ("upgrade", upgrade),
                ("origin", origin),
            ];
            door.refuses_request(origin, request("GET", &headers), 403, CrossSiteError::new());
        }
        // HTTP/2 opens them by CONNECT (RFC 8441).
        let headers = [("host", "api.example"), ("cookie", &*cookie), ("origin", origin)];
        door.refuses_request(origin, request("CONNECT", &headers), 403, CrossSiteError::new());
    }
}

#[test]
fn a_duplicate_host_vouches_for_no_origin() {
    let door = Door::new(with_cookie());
    let cookie = cookie(&good());
    for hosts in [["evil.example", "api.example"], ["api.example", "api.example"]] {
        for origin in ["https://evil.example", "https://api.example"] {
            let headers =
                [("host", hosts[0]), ("host", hosts[1]), ("cookie", &*cookie), ("origin", origin)];
            door.refuses_request(origin, request("POST", &headers), 403, CrossSiteError::new());
        }
    }
    let without_host = [("cookie", &*cookie), ("origin", "https://")];
    door.refuses_request("no host", request("POST", &without_host), 403, CrossSiteError::new());
    let empty = [("host", ""), ("cookie", &*cookie), ("origin", "null")];
    door.refuses_request("an empty host", request("POST", &empty), 403, CrossSiteError::new());
    // What a proxy adds is nobody's word.
    let forwarded = [
        ("host", "api.example"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example"),
        ("cookie", &*cookie),
        ("origin", "https://evil.example"),
    ];
    door.refuses_request("forwarded", request("POST", &forwarded), 403, CrossSiteError::new());
    // The target's authority stands above the header, as RFC 9112 §3.2.2 has it.
    let headers =
        [("host", "evil.example"), ("cookie", &*cookie), ("origin", "https://evil.example")];
    let mut absolute = request("POST", &headers);
    *absolute.uri_mut() = "https://api.example/orders".parse().expect("a target");
    door.refuses_request("absolute", absolute, 403, CrossSiteError::new());
}

#[test]
fn a_cross_site_request_is_refused_before_the_token_is_looked_at_and_takes_no_cookie_away() {
    for choice in [BadCookie::Reject, BadCookie::RejectAndClear, BadCookie::Anonymous] {
        let door = Door::new(with_cookie().allow_anonymous().bad_cookie(choice));
        for token in [good(), token(ES256).expired().mint(), "garbage".to_owned()] {
            let cookie = cookie(&token);
            let headers = [("cookie", &*cookie), ("sec-fetch-site", "cross-site")];
            let answer = door.send(request("POST", &headers));
            let error = Some(Error::CrossSite(CrossSiteError::new()));
            assert_eq!((answer.error, answer.status, answer.reached), (error, 403, 0));
            // Or another site could log the user out.
            assert_eq!(answer.headers.get("set-cookie"), None, "{choice:?}");
        }
    }
}

#[test]
fn a_bad_cookie_is_worth_no_more_than_none() {
    let forged = hostile::flip_signature_bit(&good());
    let bad = |policy: PolicyBuilder| {
        Door::new(policy).send(request("GET", &[("cookie", &*cookie(&forged))]))
    };
    let refused = |answer: &Answer| {
        (answer.error.clone(), answer.status, answer.reached)
            == (Some(Error::Signature(SignatureError::new())), 401, 0)
    };
    for choice in [BadCookie::Reject, BadCookie::RejectAndClear, BadCookie::Anonymous] {
        // Where a token is needed, the choice lets nobody in.
        assert!(refused(&bad(with_cookie().bad_cookie(choice))), "{choice:?}");
    }
    let anonymous = |choice| bad(with_cookie().allow_anonymous().bad_cookie(choice));
    assert!(refused(&anonymous(BadCookie::Reject)));
    let cleared = anonymous(BadCookie::RejectAndClear);
    assert!(refused(&cleared));
    let set_cookie = "__Host-token=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax";
    assert_eq!(cleared.headers["set-cookie"], set_cookie);
    assert_reached(&anonymous(BadCookie::Anonymous), None);
    // The same in a header is refused, whatever is done about cookies.
    let door = Door::new(with_cookie().allow_anonymous().bad_cookie(BadCookie::Anonymous));
    let bearer = bearer(forged.as_bytes()).expect("a header");
    door.refuses_request("in a header", bearer, 401, SignatureError::new());
}

#[test]
fn a_bad_token_is_refused_where_anonymous_requests_pass() {
    let door = Door::new(policy().allow_anonymous());
    assert_reached(&door.send(request("GET", &[])), None);
    assert_reached(&door.send(bearer(good().as_bytes()).expect("a header")), Some("alice"));
    let unsigned = hostile::none(&good(), "none");
    let empty = TokenError::Empty(Part::Signature);
    door.refuses_request("none", bearer(unsigned.as_bytes()).expect("a header"), 401, empty);
    for text in ["x", "undefined", "null", "[object Object]"] {
        let answer = door.send(bearer(text.as_bytes()).expect("a header"));
        assert_eq!((answer.status, answer.reached), (401, 0), "{text}");
    }
}

#[test]
fn a_preflight_is_verified_like_any_request() {
    let preflight = [("origin", "https://app.example"), ("access-control-request-method", "POST")];
    let door = Door::new(policy());
    let request_of = |headers: &[(&'static str, &str)]| request("OPTIONS", headers);
    door.refuses_request("preflight", request_of(&preflight), 401, SourceError::Missing);
    let forged = format!("Bearer {}", hostile::flip_signature_bit(&good()));
    let with = [preflight[0], preflight[1], ("authorization", &*forged)];
    door.refuses_request("forged", request_of(&with), 401, SignatureError::new());
}

#[test]
fn a_tossed_or_look_alike_cookie_is_not_the_token() {
    let door = Door::new(with_cookie());
    let good = good();
    for pair in [
        format!("__host-token={good}"),
        format!("__HOST-token={good}"),
        format!("__Host-Token={good}"),
        format!("__Host-token2={good}"),
        format!("x__Host-token={good}"),
        format!("__Secure-token={good}"),
        format!("token={good}"),
        format!("__Host-token ={good}"),
        format!("={COOKIE}={good}"),
        format!("\"__Host-token\"={good}"),
        format!("a=\"{COOKIE}={good}\""),
        format!("$Version=1, {COOKIE}={good}"),
        format!("%5F%5FHost-token={good}"),
    ] {
        let headers = [("cookie", &*pair)];
        door.refuses_request(&pair, request("GET", &headers), 401, SourceError::Missing);
    }
    // Browsers let pages set names that start with these; servers that trimmed them were fooled.
    for space in [&b"\xe2\x80\x80"[..], b"\xc2\xa0", b"\xc2\x85", b"\xe3\x80\x80", b"\xa0"] {
        let mut request = request("GET", &[]);
        let value = [space, cookie(&good).as_bytes()].concat();
        let value = HeaderValue::from_bytes(&value).expect("a value");
        request.headers_mut().insert("cookie", value);
        door.refuses_request("white space", request, 401, SourceError::Missing);
    }
    // A second one of the name is not chosen between.
    let tossed = format!("{COOKIE}={good}; {COOKIE}=evil");
    door.refuses_request(
        "tossed",
        request("GET", &[("cookie", &*tossed)]),
        400,
        SourceError::Several,
    );
    let quoted = format!("{COOKIE}=\"{good}\"");
    let error = TokenError::Character;
    door.refuses_request("quoted", request("GET", &[("cookie", &*quoted)]), 401, error);
}

#[test]
fn a_cookie_that_a_sibling_could_set_is_refused_when_the_policy_is_built() {
    for name in
        ["token", "__Secure-token", "__host-token", "__HOST-token", "x__Host-token", "Host-"]
    {
        let error = policy().sources([TokenSource::cookie(name)]).build().expect_err(name);
        let fault = PolicyFault::CookiePrefix { name: name.to_owned() };
        assert_eq!(error.faults(), [fault], "{name}");
    }
    // Nor is there a way round it, and round the cross-site check.
    for source in [
        TokenSource::header("Cookie"),
        TokenSource::header("cookie").with_prefix("__Host-token="),
        TokenSource::header("COOKIE").with_prefix("token="),
    ] {
        let error = policy().sources([source]).build().expect_err("the Cookie header");
        assert_eq!(error.faults(), [PolicyFault::CookieHeader]);
    }
}

#[test]
fn another_scheme_or_place_carries_no_token() {
    let door = Door::trusting(&[ES256]);
    let good = good();
    for (name, value) in [
        ("authorization", format!("Basic {good}")),
        ("authorization", format!("Token {good}")),
        ("authorization", format!("Bearer:{good}")),
        ("authorization", format!("Bearer\u{9}{good}")),
        ("authorization", format!("Bearer={good}")),
        ("authorization", good.clone()),
        ("proxy-authorization", format!("Bearer {good}")),
        ("x-authorization", format!("Bearer {good}")),
        ("x-forwarded-authorization", format!("Bearer {good}")),
        ("x-original-authorization", format!("Bearer {good}")),
        ("cookie", cookie(&good)),
        ("sec-websocket-protocol", format!("bearer, {good}")),
    ] {
        let headers = [(name, &*value)];
        door.refuses_request(name, request("GET", &headers), 401, SourceError::Missing);
    }
    // A policy that takes no proofs says so.
    let headers = [("authorization", &*format!("DPoP {good}"))];
    door.refuses_request("DPoP", request("GET", &headers), 401, SourceError::DpopScheme);
    let mut query = Request::new(());
    *query.uri_mut() = format!("/?access_token={good}").parse().expect("a target");
    door.refuses_request("query", query, 401, SourceError::Missing);
}

/// A configured text, which must come out whole, and nothing else but the fixed words.
const CHALLENGE: &str = "Bearer realm=\"orders\", error=\"invalid_token\", error_description=\"The access token could not be verified\", resource_metadata=\"https://api.example/.well-known/oauth-protected-resource\"";

fn presented() -> PolicyBuilder {
    policy().presentation(
        Presentation::new()
            .realm("orders")
            .resource_metadata("https://api.example/.well-known/oauth-protected-resource"),
    )
}

#[test]
fn nothing_that_was_sent_comes_back_in_the_challenge() {
    let door = Door::new(presented());
    let hostile = "\"\\\r\nSet-Cookie: evil=1\r\n\r\n<script>\u{e9}\u{2028}\0, Basic realm=\"x\"";
    for token in [
        token(ES256).key_id(hostile),
        token(ES256).claim("iss", hostile),
        token(ES256).header("alg", hostile),
        token(ES256).typ(hostile),
        issuer().impostor().token(ES256).claim("scope", hostile).subject(hostile),
        token(ES256).signed_by(issuer().impostor().key(ES256)).claim(hostile, hostile),
    ] {
        let answer = door.send(bearer(token.mint().as_bytes()).expect("a header"));
        assert_eq!((answer.status, answer.reached), (401, 0));
        assert_eq!(answer.headers["www-authenticate"], CHALLENGE);
        let names: Vec<_> = answer.headers.keys().map(http::HeaderName::as_str).collect();
        assert_eq!(names, ["www-authenticate", "content-type", "cache-control"]);
        for value in answer.headers.values() {
            assert!(value.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)), "{value:?}");
        }
    }
}

#[test]
fn the_host_that_the_client_names_is_not_in_the_challenge() {
    let door = Door::new(presented());
    let headers = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example;proto=http"),
        ("origin", "https://evil.example"),
        ("authorization", "Bearer AAAA.AAAA.AAAA"),
    ];
    let answer = door.send(request("GET", &headers));
    assert!(!format!("{:?}", answer.headers).contains("evil"), "{:?}", answer.headers);
    let challenge = answer.headers["www-authenticate"].to_str().expect("text");
    assert!(challenge.ends_with(
        "resource_metadata=\"https://api.example/.well-known/oauth-protected-resource\""
    ));
}

#[test]
fn a_text_that_would_break_a_header_is_refused_when_the_policy_is_built() {
    for text in ["a\"b", "a\\b", "a\r\nX-Evil: 1", "a\nb", "a\0b", "a\u{7f}", "caf\u{e9}", "\t"] {
        let presentations = [
            ("realm", Presentation::new().realm(text)),
            ("resource_metadata", Presentation::new().resource_metadata(text)),
            ("problem_base", Presentation::new().problem_base(text)),
        ];
        for (setting, presentation) in presentations {
            let error = policy().presentation(presentation).build().expect_err(setting);
            assert_eq!(error.faults(), [PolicyFault::Text { setting }], "{text:?}");
        }
    }
}

#[test]
fn a_hook_that_is_fed_with_hostile_text_splits_no_response() {
    // As careless as can be: it copies what it is given into names, values and the status.
    let hostile = ["a\r\nSet-Cookie: evil=1", "a\nb", "a\r", "\0", "x\u{7f}"];
    let presentation = Presentation::new().on_refusal(move |_, refusal| {
        for text in hostile {
            refusal.set_header("x-why", text);
            refusal.set_header(text, "x");
            refusal.set_header("www-authenticate", text);
            refusal.set_body(text, text);
        }
        refusal.set_header("", "x");
        refusal.set_header("x y", "x");
        for status in [0, 99, 100, 200, 204, 299, 600, 999, u16::MAX] {
            refusal.set_status(status);
        }
    });
    let door = Door::new(policy().presentation(presentation));
    let answer = door.send(request("GET", &[]));
    assert_eq!((answer.status, answer.reached), (401, 0));
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.headers.len(), 3, "{:?}", answer.headers);
}

#[test]
fn bytes_that_are_no_text_are_refused_in_every_place() {
    let door = Door::new(with_cookie());
    for bytes in [&b"\xff"[..], b"\x80\x81", b"\xc3\xa9", b"a.b.\xff"] {
        let bearer = bearer(bytes).expect("a header");
        door.refuses_request("bearer", bearer, 401, TokenError::Character);
        let mut request = request("GET", &[]);
        let value = [b"__Host-token=", bytes].concat();
        let value = HeaderValue::from_bytes(&value).expect("a value");
        request.headers_mut().insert("cookie", value);
        door.refuses_request("cookie", request, 401, TokenError::Character);
    }
}

//! A request against a policy that takes tokens from every kind of source.
//!
//! An input has a line with a method and a target, then lines of headers: `name: value`. `{token}` and
//! `{other}` stand for two good tokens, in any place. What is asked:
//!
//! 1. nothing panics, a refusal becomes a response of a client's error, and the same request gets the same answer again;
//! 2. who passes as somebody sent one of the two tokens, whole, where the policy looks for tokens;
//! 3. who passes by a cookie alone did not send an unsafe request from another site;
//! 4. where a request without a token passes, one with a token that does not verify is refused all the same.
use std::sync::OnceLock;

use http::{HeaderName, HeaderValue, Method, Request, Uri};
use portcullis::{Admission, Algorithm, Policy, Rejection, TokenSource, dangerous};

use crate::Outcome;
use crate::issuer::{self, good_token};

const ORIGIN: &str = "https://app.example";
const COOKIE: &str = "__Host-token";

/// Asks the policy about a request.
///
/// # Panics
///
/// If a promise is broken.
pub fn check(input: &[u8]) -> Outcome {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    let policy = POLICY.get_or_init(|| {
        let sources = [
            TokenSource::bearer(),
            TokenSource::cookie(COOKIE),
            TokenSource::header("x-token").with_prefix("Token "),
            TokenSource::websocket_protocol("bearer"),
            dangerous::token_in_url("access_token"),
        ];
        issuer::policy().allowed_origins([ORIGIN]).sources(sources).build().expect("a good policy")
    });
    let Some(request) = read(input) else { return Outcome::Skipped };
    let strict = ask(policy, &request);
    let lenient = ask(&policy.clone().allow_anonymous(), &request);
    match (strict, lenient) {
        (Ok(admission), Ok(lenient)) => {
            let token = admission.token().expect("without a token nobody passes");
            assert_eq!(lenient.token().map(|it| it.claims_json()), Some(token.claims_json()));
            sent_it(&request);
            Outcome::Accepted
        }
        (Err(_), Ok(anonymous)) => {
            assert!(anonymous.token().is_none(), "refused, and passes where more pass");
            Outcome::Refused
        }
        (Err(strict), Err(lenient)) => {
            assert_eq!(strict.error(), lenient.error());
            let status = strict.into_response::<bytes::Bytes>().status();
            assert!(status.is_client_error(), "{status}: there is nothing to wait for");
            Outcome::Refused
        }
        (Ok(_), Err(lenient)) => panic!("passes, and is refused where more pass: {lenient:?}"),
    }
}

fn ask(policy: &Policy, request: &Request<()>) -> Result<Admission, Rejection> {
    let (answer, again) = (policy.verify_now(request), policy.verify_now(request));
    let error = |answer: &Result<_, Rejection>| answer.as_ref().err().map(|it| it.error().clone());
    assert_eq!(error(&answer), error(&again), "the second answer");
    answer
}

/// The request that the input writes down. Headers that are none are left out.
fn read(input: &[u8]) -> Option<Request<()>> {
    let mut lines = input.split(|byte| *byte == b'\n').map(with_tokens);
    let first = String::from_utf8(lines.next()?).ok()?;
    let (method, target) = first.split_once(' ')?;
    let mut request = Request::new(());
    *request.method_mut() = method.parse::<Method>().ok()?;
    *request.uri_mut() = target.parse::<Uri>().ok()?;
    for line in lines.take(32) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let value = line[colon + 1..].strip_prefix(b" ").unwrap_or(&line[colon + 1..]);
        let name = HeaderName::from_bytes(&line[..colon]);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            request.headers_mut().append(name, value);
        }
    }
    Some(request)
}

/// The line with tokens in the place of their names.
fn with_tokens(line: &[u8]) -> Vec<u8> {
    let named = [("{token}", Algorithm::ES256), ("{other}", Algorithm::HS256)];
    issuer::with_names(line, &named.map(|(name, algorithm)| (name, good_token(algorithm))))
}

/// Whether the request has one of the tokens where the policy looks, and for a cookie comes from where it may.
fn sent_it(request: &Request<()>) {
    let tokens = [Algorithm::ES256, Algorithm::HS256].map(good_token);
    let has = |name: &str| {
        let values = request.headers().get_all(name).iter();
        let has = |value: &[u8], token: &str| {
            value.windows(token.len()).any(|window| window == token.as_bytes())
        };
        values.map(HeaderValue::as_bytes).any(|value| tokens.iter().any(|token| has(value, token)))
    };
    let in_query = request.uri().query().is_some_and(|query| {
        // A token has nothing that would have to be escaped, but may be.
        query.contains("access_token") || query.contains('%')
    });
    let elsewhere =
        ["authorization", "x-token", "sec-websocket-protocol"].iter().any(|name| has(name));
    assert!(elsewhere || in_query || has("cookie"), "{request:?}");
    if !elsewhere && !in_query {
        assert!(may_use_the_cookie(request), "{request:?}");
    }
}

/// RFC 9110 §9.2.1; or the browser, or the origin, says that it is the service's own page or an allowed one.
fn may_use_the_cookie(request: &Request<()>) -> bool {
    let is_safe = ["GET", "HEAD", "OPTIONS", "TRACE"].contains(&request.method().as_str());
    let says = |name: &str| request.headers().get(name).map(HeaderValue::as_bytes);
    let is_own_site = matches!(says("sec-fetch-site"), Some(b"same-origin" | b"none"));
    let host = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let host = host.or_else(|| says("host")).unwrap_or_default().to_ascii_lowercase();
    let host = host.split(|byte| *byte == b':').next().unwrap_or_default();
    let is_own = |origin: &[u8]| !host.is_empty() && contains(&origin.to_ascii_lowercase(), host);
    is_safe && says("upgrade").is_none()
        || is_own_site
        || says("origin").is_some_and(|origin| origin == ORIGIN.as_bytes() || is_own(origin))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

//! What the service answers, in no framework's types.
use askama::Template;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION, REFERRER_POLICY,
    RETRY_AFTER, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use portcullis::routes::Reply;
use portcullis_issuer::routes::SessionCookies;
use serde::Serialize;
use serde_json::json;

use crate::login::Refused;

pub(crate) type Answer = Response<Vec<u8>>;

/// Nothing but what this service serves: no script in a page, no form to elsewhere, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

fn answer(status: u16, headers: &[(HeaderName, &'static str)], body: Vec<u8>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

const NO_STORE: (HeaderName, &str) = (CACHE_CONTROL, "no-store");
const NO_SNIFF: (HeaderName, &str) = (X_CONTENT_TYPE_OPTIONS, "nosniff");

/// A page, for nobody's cache: it says who is logged in.
pub(crate) fn page(status: u16, page: &impl Template) -> Answer {
    const HTML: (HeaderName, &str) = (CONTENT_TYPE, "text/html; charset=utf-8");
    // Not `no-referrer`: browsers would send `Origin: null` with the forms.
    const REFERRER: (HeaderName, &str) = (REFERRER_POLICY, "same-origin");
    let headers = [HTML, NO_STORE, NO_SNIFF, REFERRER, (CONTENT_SECURITY_POLICY, POLICY)];
    match page.render() {
        Ok(text) => answer(status, &headers, text.into_bytes()),
        Err(_) => answer(500, &[NO_STORE], Vec::new()),
    }
}

/// Go there by GET, as after a form.
pub(crate) fn see_other(path: &'static str) -> Answer {
    answer(303, &[(LOCATION, path), NO_STORE], Vec::new())
}

/// Done, and there is nothing to say.
pub(crate) fn done(status: u16) -> Answer {
    answer(status, &[NO_STORE], Vec::new())
}

pub(crate) fn json(value: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(value).unwrap_or_default();
    answer(200, &[(CONTENT_TYPE, "application/json"), NO_STORE, NO_SNIFF], body)
}

/// Problem details (RFC 9457).
pub(crate) fn problem(refused: Refused) -> Answer {
    let (status, code, detail) = (refused.status(), refused.code(), refused.sentence());
    let title = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let body = json!({ "type": "about:blank", "title": title, "status": status, "detail": detail, "code": code });
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let kind = (CONTENT_TYPE, "application/problem+json");
    let mut answer = answer(status, &[kind, NO_STORE, NO_SNIFF], body);
    if status == 503 {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

/// A file of the service's own, the same for everybody.
pub(crate) fn asset(kind: &'static str, body: &'static [u8]) -> Answer {
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "max-age=300"), NO_SNIFF];
    answer(200, &headers, body.to_vec())
}

/// What a route of the library answers.
pub(crate) fn reply<E: Clone + Send + Sync + 'static>(reply: Reply<E>) -> Answer {
    reply.into_response()
}

/// With the cookies of a session that begins.
pub(crate) fn with_session(mut answer: Answer, cookies: &SessionCookies) -> Answer {
    cookies.add_to(answer.headers_mut());
    answer
}

/// With the cookies of another answer.
pub(crate) fn with_cookies_of(mut answer: Answer, other: &Answer) -> Answer {
    for cookie in other.headers().get_all(SET_COOKIE) {
        answer.headers_mut().append(SET_COOKIE, cookie.clone());
    }
    answer
}

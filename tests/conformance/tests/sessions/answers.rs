//! What several routes answer.
use portcullis_conformance::client::Answer;

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
pub(crate) const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let length = body.len().to_string();
    let fixed = [("cache-control", "no-store"), ("content-length", length.as_str())];
    let fixed = fixed.iter().filter(|(name, _)| status != 204 || *name == "cache-control");
    let headers = fixed.chain(headers).map(|(name, value)| (*name, value.as_bytes()));
    Answer::new(status, headers, body)
}

pub(crate) fn problem(status: u16, title: &str, detail: &str, code: &str) -> Answer {
    let body = format!(
        r#"{{"type":"about:blank","title":"{title}","status":{status},"detail":"{detail}","code":"{code}"}}"#
    );
    answer(status, &[("content-type", PROBLEM)], &body)
}

pub(crate) fn with(mut answer: Answer, name: &str, value: &str) -> Answer {
    answer.headers.push((name.to_owned(), value.as_bytes().to_vec()));
    answer.headers.sort_unstable();
    answer
}

pub(crate) fn cross_site() -> Answer {
    let detail = "The request did not come from an allowed origin.";
    problem(403, "Forbidden", detail, "cross-site-request")
}

pub(crate) fn several() -> Answer {
    let detail = "The request carries more than one refresh cookie.";
    problem(400, "Bad Request", detail, "request-invalid")
}

pub(crate) fn away() -> Answer {
    let detail = "Sessions cannot be asked for at the moment: try again.";
    let answer = problem(503, "Service Unavailable", detail, "sessions-unavailable");
    with(answer, "retry-after", "1")
}

pub(crate) fn not_ended() -> Answer {
    let detail = "The session may not have ended everywhere: try again.";
    let answer = problem(503, "Service Unavailable", detail, "sessions-unavailable");
    with(answer, "retry-after", "1")
}

pub(crate) fn misconfigured() -> Answer {
    let detail = "No access token can be issued for this session.";
    problem(500, "Internal Server Error", detail, "misconfigured")
}

pub(crate) fn too_large() -> Answer {
    let detail = "The route takes no body, or a small one.";
    problem(413, "Payload Too Large", detail, "body-too-large")
}

pub(crate) fn wrong_method(methods: &str) -> Answer {
    let detail = "The route does not have this method.";
    let answer = problem(405, "Method Not Allowed", detail, "method-not-allowed");
    with(answer, "allow", methods)
}

pub(crate) fn without_body(mut answer: Answer) -> Answer {
    answer.body.clear();
    answer
}

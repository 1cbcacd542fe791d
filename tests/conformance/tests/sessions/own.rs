//! The routes of a user's own sessions.
use portcullis_conformance::client::{Answer, Request};
use serde_json::json;

use crate::answers::{
    JSON, answer, away, cross_site, not_ended, problem, with, without_body, wrong_method,
};
use crate::doors::{Row, row};
use crate::service::{Fault, OWN};

pub(crate) fn bearer(method: &'static str, target: &str) -> Request {
    Request::new(method, target).header("authorization", "Bearer ACCESS")
}

fn listed(sessions: &[(&str, bool)], has_next: bool) -> Answer {
    let sessions: Vec<_> = sessions
        .iter()
        .map(|(client, current)| {
            let label = (*client == "web").then_some("Firefox");
            json!({
                "id": "ID", "label": label, "client": client, "created_at": "TIME",
                "last_used_at": "TIME", "ends_at": "TIME", "current": current,
            })
        })
        .collect();
    let mut body = json!({ "sessions": sessions });
    if has_next {
        body["next"] = "NEXT".into();
    }
    answer(200, &[("content-type", JSON)], &body.to_string())
}

pub(crate) fn own_rows() -> Vec<Row> {
    let row = |what: &str, request, expected: &Answer| row("web", what, request, expected);
    let no_token = with(
        problem(401, "Unauthorized", "This resource needs an access token.", "token-missing"),
        "www-authenticate",
        "Bearer",
    );
    let page = "`limit` is a number from 1 to 100, and `after` the `next` of a page.";
    let no_page = problem(400, "Bad Request", page, "request-invalid");
    let unknown = problem(404, "Not Found", "The user has no such session.", "session-unknown");
    let one = format!("{OWN}/SESSION");
    let with_cookie = |request: Request| request.header("cookie", "__Host-Http-access=ACCESS");
    let mut rows = vec![
        row("no token", Request::new("GET", OWN), &no_token),
        row("no token", Request::new("DELETE", &*one), &no_token),
        row("by cookie", with_cookie(Request::new("GET", OWN)), &all()),
        row("the list", bearer("GET", OWN), &away()).fault(Fault::Store),
        row("an end", bearer("DELETE", &one), &answer(204, &[], "")),
        row("an end", bearer("DELETE", &one), &not_ended()).fault(Fault::Store),
        row("an unknown one", bearer("DELETE", &format!("{OWN}/AAECAwQFBgcICQoLDA0ODw")), &unknown),
        row("not an id", bearer("DELETE", &format!("{OWN}/x")), &unknown),
        row("another site", with_cookie(Request::new("DELETE", &*one)), &cross_site()),
        row(
            "its own page",
            with_cookie(Request::new("DELETE", &*one)).header("sec-fetch-site", "same-origin"),
            &answer(204, &[], ""),
        ),
    ];
    for query in ["limit=0", "limit=101", "limit=x", "limit=1&limit=1", "after=x"] {
        let request = bearer("GET", &format!("{OWN}?{query}"));
        rows.push(row(query, request, &no_page));
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        rows.push(row(method, bearer(method, OWN), &wrong_method("GET, HEAD")));
    }
    for method in ["GET", "POST", "PUT", "PATCH"] {
        rows.push(row(method, bearer(method, &one), &wrong_method("DELETE")));
    }
    rows.push(row("HEAD", bearer("HEAD", &one), &without_body(wrong_method("DELETE"))));
    for limit in ["", "?limit=3", "?limit=100", "?x=1&x=2"] {
        rows.push(row("the list", bearer("GET", &format!("{OWN}{limit}")), &all()));
    }
    let first = listed(&[("other", false)], true);
    rows.push(row("a page", bearer("GET", &format!("{OWN}?limit=1")), &first));
    let mut old = row("too long ago", bearer("DELETE", &one), &stale());
    old.given.is_long_ago = true;
    let mut seen = row("seen, though long ago", bearer("GET", OWN), &all());
    seen.given.is_long_ago = true;
    rows.extend([old, seen]);
    rows
}

/// The session that asks, which began before the other.
fn all() -> Answer {
    listed(&[("other", false), ("web", true)], false)
}

fn stale() -> Answer {
    let detail = "A stronger or more recent authentication is needed.";
    let answer = problem(401, "Unauthorized", detail, "authentication-insufficient");
    let challenge = r#"Bearer error="insufficient_user_authentication", error_description="A stronger or more recent authentication is needed", max_age="600""#;
    with(answer, "www-authenticate", challenge)
}

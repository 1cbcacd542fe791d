//! The routes of native clients.
use portcullis_conformance::client::{Answer, Request};
use serde_json::json;

use crate::answers::{FORM, JSON, answer, with};
use crate::doors::{Row, row};
use crate::service::{Fault, Held, NATIVE_LOGIN, REVOKE, TOKEN};

pub(crate) fn form(path: &str, body: &str) -> Request {
    Request::new("POST", path).header("content-type", FORM).body(body.to_owned())
}

pub(crate) fn oauth_error(status: u16, error: &str, description: &str) -> Answer {
    let body = format!(r#"{{"error":"{error}","error_description":"{description}"}}"#);
    answer(status, &[("content-type", JSON)], &body)
}

fn missing() -> Answer {
    oauth_error(400, "invalid_request", "A parameter is missing.")
}

fn repeated() -> Answer {
    oauth_error(400, "invalid_request", "A parameter is there more than once.")
}

fn no_form() -> Answer {
    oauth_error(400, "invalid_request", "The request is not a POST of a form.")
}

fn unknown_client() -> Answer {
    oauth_error(400, "invalid_client", "There is no such client here.")
}

pub(crate) fn invalid_grant() -> Answer {
    oauth_error(400, "invalid_grant", "The refresh token is not valid for this client.")
}

fn granted(refresh: bool, scope: &str) -> Answer {
    let mut body = json!({ "access_token": "ACCESS", "token_type": "Bearer", "expires_in": 900 });
    if !scope.is_empty() {
        body["scope"] = scope.into();
    }
    if refresh {
        body["refresh_token"] = "REFRESH".into();
    }
    answer(200, &[("content-type", JSON)], &body.to_string())
}

pub(crate) const GOOD: &str = "grant_type=refresh_token&client_id=app&refresh_token=REFRESH";

/// What both endpoints refuse.
pub(crate) fn native_refusals(path: &'static str, good: &'static str) -> Vec<Row> {
    let row = |what: &str, request, expected: &Answer| {
        row("app", &format!("{path}: {what}"), request, expected)
    };
    let mut rows = Vec::new();
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"] {
        let request = Request { method, ..form(path, good) };
        rows.push(row(method, request, &answer(405, &[("allow", "POST")], "")));
    }
    let too_large = oauth_error(400, "invalid_request", "The body is too large, or broke off.");
    let large = format!("{good}&x={}", "x".repeat(16 * 1024));
    rows.push(row("a large body", form(path, &large), &too_large));
    for request in [
        Request::new("POST", path).body(good),
        Request::new("POST", path).header("content-type", JSON).body("{}"),
        Request::new("POST", path).header("content-type", "text/plain").body(good),
        form(path, good).header("content-type", FORM),
    ] {
        rows.push(row("no form", request, &no_form()));
    }
    for body in ["", "x=1", &good.replace("=app", "="), &good.replace("=REFRESH", "=")] {
        rows.push(row("a parameter is missing", form(path, body), &missing()));
    }
    // What stands elsewhere is not read.
    let query = format!("{path}?{good}");
    rows.push(row("in the query", form(&query, ""), &missing()));
    for again in ["client_id=app", "client_id="] {
        let body = format!("{good}&{again}");
        rows.push(row("a parameter twice", form(path, &body), &repeated()));
    }
    for client in ["web", "App", "app ", "%61pp%00", "x"] {
        let body = good.replace("=app", &format!("={client}"));
        rows.push(row("another client", form(path, &body), &unknown_client()));
    }
    let mut unauthenticated = unknown_client();
    unauthenticated.status = 401;
    let unauthenticated = with(unauthenticated, "www-authenticate", r#"Basic realm="client""#);
    for body in [good.replace("client_id=app&", ""), good.replace("=app", "=web")] {
        let request = form(path, &body).header("authorization", "Basic YXBwOg==");
        rows.push(row("authenticates", request, &unauthenticated));
    }
    rows
}

pub(crate) fn token_rows() -> Vec<Row> {
    let row = |what: &str, request, expected: &Answer| row("app", what, request, expected);
    let refresh = |expected: &Answer| row("a refresh", form(TOKEN, GOOD), expected);
    let scoped = |scope: &str, expected: &Answer| {
        let body = format!("{GOOD}&scope={scope}");
        row(scope, form(TOKEN, &body), expected).scopes(&["read", "write"])
    };
    let unsupported =
        oauth_error(400, "unsupported_grant_type", "There is the grant refresh_token alone.");
    let invalid_scope = oauth_error(400, "invalid_scope", "A scope was not granted.");
    let away = oauth_error(
        503,
        "temporarily_unavailable",
        "Sessions cannot be asked for at the moment: try again.",
    );
    let away = with(away, "retry-after", "1");
    let fault = oauth_error(500, "server_error", "No access token can be issued for this session.");
    let mut rows = native_refusals(TOKEN, GOOD);
    for grant in ["password", "authorization_code", "Refresh_token", "client_credentials"] {
        let body = GOOD.replace("=refresh_token&", &format!("={grant}&"));
        rows.push(row(grant, form(TOKEN, &body), &unsupported));
    }
    for again in ["grant_type=refresh_token", "refresh_token=REFRESH", "scope=a&scope=a"] {
        let body = format!("{GOOD}&{again}");
        rows.push(row("a parameter twice", form(TOKEN, &body), &repeated()));
    }
    let without_grant = GOOD.replace("grant_type=refresh_token", "grant_type=");
    rows.push(row("no grant", form(TOKEN, &without_grant), &missing()));
    for token in ["x", "ACCESS", "REFRESHx", "OTHER", "%ff"] {
        let body = GOOD.replace("=REFRESH", &format!("={token}"));
        rows.push(row(token, form(TOKEN, &body), &invalid_grant()));
    }
    let unknown = format!("{GOOD}&x=1&x=2&resource=a&client_secret=s");
    let with_header = form(TOKEN, GOOD).header("authorization", "Basic YXBwOg==");
    let cross_site = form(TOKEN, GOOD).header("sec-fetch-site", "cross-site");
    rows.extend([
        refresh(&granted(false, "")),
        refresh(&granted(true, "")).held(Held::Due),
        refresh(&granted(true, "")).held(Held::Previous),
        refresh(&granted(true, "read write")).held(Held::Due).scopes(&["read", "write"]),
        row("what nobody knows", form(TOKEN, &unknown), &granted(false, "")),
        row("a proxy's header", with_header, &granted(false, "")),
        row("nothing goes along", cross_site, &granted(false, "")),
        scoped("", &granted(false, "read write")),
        scoped("read", &granted(true, "read")).held(Held::Due),
        scoped("write+read", &granted(false, "write read")),
        scoped("admin", &invalid_scope).held(Held::Due),
        scoped("read+admin", &invalid_scope),
        scoped("read+read", &invalid_scope),
        scoped(&vec!["read"; 2000].join("+"), &invalid_scope),
        scoped("read++write", &invalid_scope),
        scoped("+", &invalid_scope),
        scoped("read%22", &invalid_scope),
        refresh(&invalid_grant()).held(Held::Replayed),
        refresh(&invalid_grant()).held(Held::Ended),
        refresh(&invalid_grant()).held(Held::Idle),
        refresh(&invalid_grant()).held(Held::OtherClient),
        refresh(&invalid_grant()).held(Held::LoggedOut),
        refresh(&invalid_grant()).fault(Fault::Disabled),
        refresh(&away).held(Held::Due).fault(Fault::Store),
        refresh(&away).held(Held::Due).fault(Fault::Application),
        refresh(&fault).held(Held::Due).fault(Fault::Reserved),
        // Only cookies are so small.
        refresh(&granted(true, "")).held(Held::Due).fault(Fault::Long),
        row("a login", form(NATIVE_LOGIN, ""), &granted(true, "read write")),
    ]);
    rows
}

pub(crate) fn revoke_rows() -> Vec<Row> {
    const GOOD: &str = "client_id=app&token=REFRESH";
    let row = |what: &str, request, expected: &Answer| row("app", what, request, expected);
    let revoke = |expected: &Answer| row("a revocation", form(REVOKE, GOOD), expected);
    let done = answer(200, &[], "");
    let away = oauth_error(
        503,
        "temporarily_unavailable",
        "The session may not have ended everywhere: try again.",
    );
    let mut rows = native_refusals(REVOKE, GOOD);
    for token in ["x", "ACCESS", "REFRESHx", "OTHER"] {
        let body = GOOD.replace("=REFRESH", &format!("={token}"));
        rows.push(row(token, form(REVOKE, &body), &done));
    }
    for hint in ["refresh_token", "access_token", "x", "x&token_type_hint=y"] {
        let body = format!("{GOOD}&token_type_hint={hint}");
        rows.push(row(hint, form(REVOKE, &body), &done));
    }
    let twice = format!("{GOOD}&token=REFRESH");
    rows.extend([
        row("two tokens", form(REVOKE, &twice), &repeated()),
        revoke(&done),
        revoke(&done).held(Held::Due),
        revoke(&done).held(Held::Previous),
        revoke(&done).held(Held::Replayed),
        revoke(&done).held(Held::Ended),
        revoke(&done).held(Held::OtherClient),
        revoke(&done).held(Held::LoggedOut),
        revoke(&done).fault(Fault::Application),
        revoke(&with(away, "retry-after", "1")).fault(Fault::Store),
    ]);
    rows
}

//! The routes of browsers.
use portcullis_conformance::client::{Answer, Request};

use crate::answers::{
    FORM, JSON, answer, away, cross_site, misconfigured, not_ended, problem, several, too_large,
    with, without_body, wrong_method,
};
use crate::doors::{Row, row};
use crate::service::{APP, EVERYWHERE, Fault, Held, LOGIN, LOGOUT, REFRESH};

const ACCESS_SET: &str = "__Host-Http-access=ACCESS; Path=/; Secure; HttpOnly; SameSite=Lax";
const REFRESH_SET: &str = "__Host-Http-refresh=REFRESH; Path=/; Secure; HttpOnly; SameSite=Strict";

fn access_alone() -> Answer {
    answer(204, &[("set-cookie", ACCESS_SET)], "")
}

pub(crate) fn both() -> Answer {
    answer(204, &[("set-cookie", ACCESS_SET), ("set-cookie", REFRESH_SET)], "")
}

fn both_for_30_days() -> Answer {
    let access = "__Host-Http-access=ACCESS; Max-Age=30d; Path=/; Secure; HttpOnly; SameSite=Lax";
    let refresh =
        "__Host-Http-refresh=REFRESH; Max-Age=30d; Path=/; Secure; HttpOnly; SameSite=Strict";
    answer(204, &[("set-cookie", access), ("set-cookie", refresh)], "")
}

pub(crate) fn cleared() -> Answer {
    let access = "__Host-Http-access=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax";
    let refresh = "__Host-Http-refresh=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict";
    answer(204, &[("set-cookie", access), ("set-cookie", refresh)], "")
}

pub(crate) fn over() -> Answer {
    let detail = "There is no session that goes on: log in.";
    with(problem(401, "Unauthorized", detail, "session-over"), "www-authenticate", "Bearer")
}

/// A request of a page of the service, without a cookie.
pub(crate) fn page(path: &str) -> Request {
    Request::new("POST", path).header("sec-fetch-site", "same-origin")
}

const COOKIE: &str = "__Host-Http-refresh=REFRESH";

pub(crate) fn browser_page(path: &str) -> Request {
    page(path).header("cookie", COOKIE)
}

/// What any route of browsers refuses.
pub(crate) fn browser_refusals(path: &'static str) -> Vec<Row> {
    let row = |what: &str, request, expected: &Answer| {
        row("web", &format!("{path}: {what}"), request, expected)
    };
    let post = |with_cookie: bool| {
        let request = Request::new("POST", path);
        if with_cookie { request.header("cookie", COOKIE) } else { request }
    };
    let mut rows = Vec::new();
    for with_cookie in [true, false] {
        let what = if with_cookie { "with the cookie" } else { "without" };
        let evil = ("origin", "https://evil.example");
        let own = ("origin", "https://api.example");
        for headers in [
            &[][..],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site"), evil],
            &[("sec-fetch-site", "same-site"), own],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "")],
            &[evil],
            &[("origin", "null")],
            &[("origin", "http://api.example")],
            &[own, own],
            &[("content-type", JSON)],
        ] {
            let request = headers
                .iter()
                .fold(post(with_cookie), |request, (name, value)| request.header(name, *value));
            rows.push(row(&format!("{headers:?} {what}"), request, &cross_site()));
        }
    }
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let request = Request { method, ..browser_page(path) };
        rows.push(row(method, request, &wrong_method("POST")));
    }
    let head = Request { method: "HEAD", ..browser_page(path) };
    rows.push(row("HEAD", head, &without_body(wrong_method("POST"))));
    for cookies in ["REFRESH; __Host-Http-refresh=REFRESH", "REFRESH; __Host-Http-refresh=x"] {
        let cookie = format!("__Host-Http-refresh={cookies}");
        rows.push(row("two cookies", page(path).header("cookie", cookie), &several()));
    }
    let planted = page(path).header("cookie", "__Host-Http-refresh=x").header("cookie", COOKIE);
    rows.push(row("two cookies in two fields", planted, &several()));
    let large = browser_page(path).body("x".repeat(1025));
    rows.push(row("a large body", large, &too_large()));
    rows.push(row("a large body without a cookie", page(path).body(vec![0; 4096]), &too_large()));
    rows
}

/// Requests that no other site caused.
fn own_requests(path: &str) -> Vec<Request> {
    let post = || Request::new("POST", path).header("cookie", COOKIE);
    vec![
        browser_page(path),
        browser_page(path).body("x".repeat(1024)),
        browser_page(path).header("content-type", JSON).body("{}"),
        post().header("sec-fetch-site", "none"),
        post().header("origin", "https://api.example"),
        post().header("sec-fetch-site", "same-site").header("origin", APP),
        page(path).header("cookie", format!("a=1; {COOKIE}; b=2")),
        page(path).header("cookie", "a=1").header("cookie", COOKIE),
        page(path).header("cookie", format!("__Host-Http-refresh=; {COOKIE}")),
    ]
}

/// Requests with no refresh token of ours.
pub(crate) fn strangers(path: &str) -> Vec<Request> {
    vec![
        page(path),
        page(path).header("cookie", "__Host-Http-refresh="),
        page(path).header("cookie", "__Host-Http-access=ACCESS"),
        page(path).header("authorization", "Bearer REFRESH"),
        page(&format!("{path}?refresh_token=REFRESH")),
        page(path).header("content-type", FORM).body("refresh_token=REFRESH"),
        page(path).header("cookie", "__Host-Http-refresh=x"),
        page(path).header("cookie", "__Host-Http-refresh=ACCESS"),
        page(path).header("cookie", "__host-http-refresh=REFRESH"),
        page(path).header("cookie", "__Host-Http-refresh=REFRESHx"),
        page(path).header("cookie", &b"__Host-Http-refresh=\xff\xfe"[..]),
    ]
}

pub(crate) fn refresh_rows() -> Vec<Row> {
    let row = |what: &str, request, expected: &Answer| row("web", what, request, expected);
    let refresh = |expected: &Answer| row("a refresh", browser_page(REFRESH), expected);
    let mut rows = browser_refusals(REFRESH);
    for request in own_requests(REFRESH) {
        rows.push(row("its own pages", request.clone(), &access_alone()));
        rows.push(row("its own pages", request, &both()).held(Held::Due));
    }
    rows.extend(strangers(REFRESH).into_iter().map(|it| row("a stranger", it, &over())));
    rows.extend([
        refresh(&both()).held(Held::Previous),
        refresh(&both_for_30_days()).held(Held::Due).remembered(),
        refresh(&both_for_30_days()).held(Held::Previous).remembered(),
        refresh(&over()).held(Held::Replayed),
        refresh(&over()).held(Held::Ended),
        refresh(&over()).held(Held::Idle),
        refresh(&over()).held(Held::OtherClient),
        refresh(&over()).held(Held::LoggedOut),
        refresh(&over()).held(Held::Due).fault(Fault::Disabled),
        refresh(&away()).held(Held::Due).fault(Fault::Application),
        refresh(&misconfigured()).held(Held::Due).fault(Fault::Reserved),
        refresh(&misconfigured()).held(Held::Due).fault(Fault::Long),
        row("without a cookie", page(REFRESH), &over()).fault(Fault::Store),
    ]);
    rows.extend(
        [Held::Young, Held::Due, Held::Previous, Held::Replayed, Held::Ended]
            .map(|held| refresh(&away()).held(held).fault(Fault::Store)),
    );
    rows
}

pub(crate) fn logout_rows() -> Vec<Row> {
    let row = |what: &str, request, expected: &Answer| row("web", what, request, expected);
    let mut rows = browser_refusals(LOGOUT);
    rows.extend(own_requests(LOGOUT).into_iter().map(|it| row("a logout", it, &cleared())));
    rows.extend(strangers(LOGOUT).into_iter().map(|it| row("without a session", it, &cleared())));
    rows.extend(
        [
            Held::Due,
            Held::Previous,
            Held::Replayed,
            Held::Ended,
            Held::Idle,
            Held::OtherClient,
            Held::LoggedOut,
        ]
        .map(|held| row("a logout", browser_page(LOGOUT), &cleared()).held(held)),
    );
    rows.extend(
        [Fault::Application, Fault::Reserved, Fault::Disabled]
            .map(|fault| row("a logout", browser_page(LOGOUT), &cleared()).fault(fault)),
    );
    rows.push(row("a logout", browser_page(LOGOUT), &not_ended()).fault(Fault::Store));
    rows.push(row("without a session", page(LOGOUT), &cleared()).fault(Fault::Store));
    rows
}

pub(crate) fn everywhere_rows() -> Vec<Row> {
    let row = |what: &str, request, expected: &Answer| row("web", what, request, expected);
    let logout = |expected: &Answer| row("everywhere", browser_page(EVERYWHERE), expected);
    let mut rows = browser_refusals(EVERYWHERE);
    rows.extend(own_requests(EVERYWHERE).into_iter().map(|it| row("everywhere", it, &cleared())));
    rows.extend(strangers(EVERYWHERE).into_iter().map(|it| row("a stranger", it, &over())));
    rows.extend([Held::Due, Held::Previous].map(|held| logout(&cleared()).held(held)));
    rows.extend(
        [Held::Replayed, Held::Ended, Held::Idle, Held::OtherClient, Held::LoggedOut]
            .map(|held| logout(&over()).held(held)),
    );
    // Nothing is issued and nobody is asked.
    rows.extend(
        [Fault::Application, Fault::Reserved, Fault::Long, Fault::Disabled]
            .map(|fault| logout(&cleared()).held(Held::Due).fault(fault)),
    );
    rows.push(logout(&away()).fault(Fault::Store));
    rows
}

pub(crate) fn login_rows() -> Vec<Row> {
    let row = |what: &str, request, expected: &Answer| row("web", what, request, expected);
    let cookies = [("set-cookie", ACCESS_SET), ("set-cookie", REFRESH_SET)];
    let mut welcome = answer(200, &cookies, "Welcome.");
    // What a framework says of a text, it says itself.
    welcome.headers.retain(|(name, _)| name != "content-type");
    let is_of_login = |row: &Row| row.expected == cross_site() || row.expected == several();
    let mut rows: Vec<_> = browser_refusals(LOGIN).into_iter().filter(is_of_login).collect();
    rows.extend(own_requests(LOGIN).into_iter().map(|it| row("a login", it, &welcome)));
    rows.push(row("the first login", page(LOGIN), &welcome));
    rows
}

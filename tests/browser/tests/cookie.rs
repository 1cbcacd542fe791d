//! `examples/actix-cookie`, which keeps the token in a cookie, in a real browser.
//!
//! What the service saw reads: method, path, where the browser says that it comes from, the names
//! of the cookies, status, and why it was refused.
use example_actix_cookie::{COOKIE, policy};
use portcullis::source::SameSite;
use portcullis::{Algorithm, TokenCookie, dangerous};
use portcullis_browser::{
    API, APP, BLOG, EVIL, PLAIN_BLOG, Service, Stage, ThirdPartyCookies, issuer, login,
};
use serde_json::json;

const LOGIN: &str = "https://api.app.example/login";
const NOTES: &str = "https://api.app.example/me/notes";
const LOGOUT: &str = "https://api.app.example/me/logout";
const SOCKET: &str = "wss://api.app.example/ws";

fn token_of(subject: &str) -> String {
    issuer().token(Algorithm::ES256).subject(subject).mint()
}

fn service(same_site: SameSite) -> Service {
    let policy = policy(issuer().policy_builder()).expect("a policy");
    let cookie = TokenCookie::new(COOKIE).expect("a cookie");
    Service::actix(policy, cookie.same_site(same_site))
}

/// The service's own page, and alice logged in there.
async fn logged_in(same_site: SameSite) -> Option<Stage> {
    logged_in_with(ThirdPartyCookies::Sent, same_site).await
}

async fn logged_in_with(cookies: ThirdPartyCookies, same_site: SameSite) -> Option<Stage> {
    let mut stage = Stage::with_or_leave_out(cookies, service(same_site)).await?;
    stage.open(API).await;
    assert_eq!(stage.fetch("POST", LOGIN, login(&token_of("alice"))).await, "204");
    stage.service.saw("POST /login").await;
    Some(stage)
}

/// All ways in which a page can have the browser send an unsafe request, and what the service saw.
async fn attempt(stage: &mut Stage) -> [String; 4] {
    stage.fetch("POST", NOTES, json!({ "mode": "no-cors" })).await;
    let fetched = stage.service.saw("POST /me/notes").await;
    stage.fetch("POST", LOGOUT, json!({ "mode": "no-cors" })).await;
    let logout = stage.service.saw("POST /me/logout").await;
    stage.open_socket(SOCKET).await;
    let socket = stage.service.saw("GET /ws").await;
    stage.submit_form(NOTES).await;
    [fetched, logout, socket, stage.service.saw("POST /me/notes").await]
}

#[tokio::test]
async fn its_own_page_logs_in_writes_and_logs_out_and_reads_no_cookie() {
    let Some(mut stage) = Stage::or_leave_out(service(SameSite::default())).await else { return };
    stage.open(API).await;
    let forged = format!("{}x", token_of("alice"));
    assert_eq!(stage.fetch("POST", LOGIN, login(&forged)).await, "403");
    assert_eq!(stage.cookies().await, [""; 0]);

    assert_eq!(stage.fetch("POST", LOGIN, login(&token_of("alice"))).await, "204");
    assert_eq!(stage.cookies().await, [COOKIE]);
    assert_eq!(stage.visible_cookies().await, "", "it is `HttpOnly`");
    assert_eq!(stage.set_cookie(&format!("{COOKIE}=x; Secure; Path=/")).await, "", "and stays so");

    let default = json!({ "credentials": "same-origin" });
    assert_eq!(stage.fetch("GET", NOTES, default.clone()).await, "200 notes of alice");
    assert_eq!(stage.fetch("POST", NOTES, default).await, "200 noted for alice");
    // A later token takes the place of the earlier.
    assert_eq!(stage.fetch("POST", LOGIN, login(&token_of("bob"))).await, "204");
    assert_eq!(stage.cookies().await, [COOKIE]);
    assert_eq!(stage.fetch("POST", NOTES, json!({})).await, "200 noted for bob");
    // The browser then sends `Origin: null`.
    let hidden = json!({ "referrerPolicy": "no-referrer" });
    assert_eq!(stage.fetch("POST", NOTES, hidden).await, "200 noted for bob");
    assert_eq!(stage.open_socket(SOCKET).await, "open");
    // Handshakes say no `Sec-Fetch-Site`.
    assert_eq!(stage.service.saw("GET /ws").await, "GET /ws - [__Host-token] 101");
    stage.submit_form(NOTES).await;
    let written = "POST /me/notes same-origin [__Host-token] 200";
    assert_eq!(stage.service.saw("POST /me/notes").await, written);

    stage.open(API).await;
    assert_eq!(stage.fetch("POST", LOGOUT, json!({})).await, "204");
    assert_eq!(stage.cookies().await, [""; 0]);
    stage.submit_form(NOTES).await;
    let refused = "POST /me/notes same-origin [] 401 token_missing";
    assert_eq!(stage.service.saw("POST /me/notes").await, refused);
}

#[tokio::test]
async fn a_page_elsewhere_logs_nobody_in() {
    let Some(mut stage) = Stage::or_leave_out(service(SameSite::None)).await else { return };
    let token = token_of("mallory");
    for (page, site) in [(EVIL, "cross-site"), (BLOG, "same-site")] {
        stage.open(page).await;
        // JSON needs leave, which nobody gives.
        assert_eq!(stage.fetch("POST", LOGIN, login(&token)).await, "TypeError");
        assert_eq!(stage.service.seen(), [format!("OPTIONS /login {site} [] 404")]);
        // Any other type does without leave.
        let init = json!({ "mode": "no-cors", "body": json!({ "token": token }).to_string() });
        assert_eq!(stage.fetch("POST", LOGIN, init).await, "opaque");
        assert_eq!(stage.service.seen(), [format!("POST /login {site} [] 400")]);
        let (name, value) = (format!(r#"{{"token":"{token}","x":""#), r#""}"#);
        stage.submit(LOGIN, "text/plain", &name, value).await;
        let refused = format!("POST /login {site} [] 400");
        assert_eq!(stage.service.saw("POST /login").await, refused);
        stage.open(API).await;
        assert_eq!(stage.cookies().await, [""; 0]);
        stage.service.saw("GET / ").await;
    }
}

#[tokio::test]
async fn what_another_site_sends_carries_no_cookie_and_is_refused() {
    for same_site in [SameSite::Lax, SameSite::Strict] {
        let Some(mut stage) = logged_in(same_site).await else { return };
        stage.open(EVIL).await;
        assert_eq!(
            attempt(&mut stage).await,
            [
                "POST /me/notes cross-site [] 401 token_missing",
                "POST /me/logout cross-site [] 401 token_missing",
                "GET /ws - [] 401 token_missing",
                "POST /me/notes cross-site [] 401 token_missing",
            ],
            "{same_site:?}"
        );
        stage.open(API).await;
        assert_eq!(stage.fetch("POST", NOTES, json!({})).await, "200 noted for alice");
    }
}

#[tokio::test]
async fn what_another_site_sends_with_the_cookie_is_refused() {
    let Some(mut stage) = logged_in(SameSite::None).await else { return };
    stage.open(EVIL).await;
    assert_eq!(
        attempt(&mut stage).await,
        [
            "POST /me/notes cross-site [__Host-token] 403 cross_site",
            "POST /me/logout cross-site [__Host-token] 403 cross_site",
            "GET /ws - [__Host-token] 403 cross_site",
            "POST /me/notes cross-site [__Host-token] 403 cross_site",
        ]
    );
    stage.open(API).await;
    assert_eq!(stage.fetch("POST", NOTES, json!({})).await, "200 noted for alice");
}

/// Other sites' forms and links get through where their fetches do not: the check is needed all the same.
#[tokio::test]
async fn where_third_party_cookies_are_kept_back_forms_carry_the_cookie_and_are_refused() {
    let stage = logged_in_with(ThirdPartyCookies::KeptBack, SameSite::None).await;
    let Some(mut stage) = stage else { return };
    stage.open(EVIL).await;
    assert_eq!(
        attempt(&mut stage).await,
        [
            "POST /me/notes cross-site [] 401 token_missing",
            "POST /me/logout cross-site [] 401 token_missing",
            "GET /ws - [] 401 token_missing",
            "POST /me/notes cross-site [__Host-token] 403 cross_site",
        ]
    );
    stage.open(EVIL).await;
    stage.follow(NOTES).await;
    let read = "GET /me/notes cross-site [__Host-token] 200";
    assert_eq!(stage.service.saw("GET /me/notes").await, read);
}

#[tokio::test]
async fn what_a_sibling_sends_carries_the_cookie_and_is_refused() {
    let Some(mut stage) = logged_in(SameSite::Strict).await else { return };
    stage.open(BLOG).await;
    assert_eq!(
        attempt(&mut stage).await,
        [
            "POST /me/notes same-site [__Host-token] 403 cross_site",
            "POST /me/logout same-site [__Host-token] 403 cross_site",
            "GET /ws - [__Host-token] 403 cross_site",
            "POST /me/notes same-site [__Host-token] 403 cross_site",
        ]
    );
    stage.open(API).await;
    assert_eq!(stage.fetch("POST", NOTES, json!({})).await, "200 noted for alice");
}

#[tokio::test]
async fn what_an_allowed_origin_sends_passes() {
    let Some(mut stage) = logged_in(SameSite::Strict).await else { return };
    stage.open(APP).await;
    stage.fetch("POST", NOTES, json!({ "mode": "no-cors" })).await;
    let written = "POST /me/notes same-site [__Host-token] 200";
    assert_eq!(stage.service.saw("POST").await, written);
    assert_eq!(stage.open_socket(SOCKET).await, "open");
    assert_eq!(stage.service.saw("GET /ws").await, "GET /ws - [__Host-token] 101");
    stage.submit_form(NOTES).await;
    assert_eq!(stage.service.saw("POST").await, written);

    // The same name without TLS is another origin, and another site.
    stage.open("http://app.example").await;
    stage.submit_form(NOTES).await;
    let refused = "POST /me/notes cross-site [] 401 token_missing";
    assert_eq!(stage.service.saw("POST").await, refused);
}

#[tokio::test]
async fn a_link_from_another_site_reads_as_the_cookie_says_and_its_page_reads_nothing() {
    for (same_site, seen) in [
        (SameSite::Strict, "GET /me/notes cross-site [] 401 token_missing"),
        (SameSite::Lax, "GET /me/notes cross-site [__Host-token] 200"),
        (SameSite::None, "GET /me/notes cross-site [__Host-token] 200"),
    ] {
        let Some(mut stage) = logged_in(same_site).await else { return };
        stage.open(EVIL).await;
        stage.follow(NOTES).await;
        assert_eq!(stage.service.saw("GET /me/notes").await, seen, "{same_site:?}");

        stage.open(EVIL).await;
        assert_eq!(stage.fetch("GET", NOTES, json!({})).await, "TypeError", "{same_site:?}");
        let init = json!({ "mode": "no-cors" });
        assert_eq!(stage.fetch("GET", NOTES, init).await, "opaque", "{same_site:?}");

        // Typed in, it is the user's.
        stage.open(NOTES).await;
        let read = "GET /me/notes none [__Host-token] 200";
        assert_eq!(stage.service.saw("GET /me/notes none").await, read, "{same_site:?}");
    }
}

/// How a page tries to plant a cookie for the whole of `app.example`, and whether the browser has it.
const TOSSED: [(&str, bool); 14] = [
    ("__Host-token=TOKEN; Domain=app.example; Path=/; Secure", false),
    ("__Host-token=TOKEN; Domain=app.example; Path=/", false),
    ("__host-token=TOKEN; Domain=app.example; Path=/; Secure", false),
    ("__HOST-TOKEN=TOKEN; Domain=app.example; Path=/; Secure", false),
    ("__Host-token =TOKEN; Domain=app.example; Path=/; Secure", false),
    ("\t__Host-token=TOKEN; Domain=app.example; Path=/; Secure", false),
    ("__Host-token%20=TOKEN; Domain=app.example; Path=/; Secure", false),
    ("=__Host-token=TOKEN; Domain=app.example; Path=/; Secure", false),
    ("token=TOKEN; Domain=app.example; Path=/", true),
    ("__Host_token=TOKEN; Domain=app.example; Path=/", true),
    // A server that trims Unicode's white space sees the name without it.
    ("\u{2000}__Host-token=TOKEN; Domain=app.example; Path=/", true),
    ("\u{a0}__Host-token=TOKEN; Domain=app.example; Path=/", true),
    // One that knows RFC 2109 or 2965 sees several cookies.
    ("$Version=1,__Host-token=TOKEN; Domain=app.example; Path=/", true),
    ("a=\"1,__Host-token=TOKEN\"; Domain=app.example; Path=/", true),
];

#[tokio::test]
async fn a_cookie_that_a_sibling_plants_is_not_the_token() {
    let Some(mut stage) = Stage::or_leave_out(service(SameSite::default())).await else { return };
    let mallory = token_of("mallory");
    let kept = TOSSED.iter().filter(|(_, is_kept)| *is_kept).count();
    // By a server without TLS, by one with it, and by scripts.
    for (page, by_server) in [(PLAIN_BLOG, true), (BLOG, true), (PLAIN_BLOG, false), (BLOG, false)]
    {
        stage.forget_cookies(&format!("{APP}/me/notes")).await;
        for (cookie, _) in TOSSED {
            let cookie = cookie.replace("TOKEN", &mallory);
            if by_server {
                stage.open_setting(page, &cookie).await;
            } else {
                stage.open(page).await;
                stage.set_cookie(&cookie).await;
            }
        }
        stage.open(NOTES).await;
        let seen = stage.service.saw("GET /me/notes").await;
        assert!(seen.ends_with("] 401 token_missing"), "{page}: {seen}");
        let planted = stage.cookies().await;
        assert!(
            !planted.iter().any(|name| name.eq_ignore_ascii_case(COOKIE)),
            "{page}: {planted:?}"
        );
        assert_eq!(planted.len(), kept, "{page}: {planted:?}");
    }
    // Beside all of them, alice's is the one.
    stage.open(API).await;
    assert_eq!(stage.fetch("POST", LOGIN, login(&token_of("alice"))).await, "204");
    assert_eq!(stage.fetch("GET", NOTES, json!({})).await, "200 notes of alice");
}

/// Why the name must start with `__Host-`.
#[tokio::test]
async fn without_the_prefix_a_sibling_plants_its_own_token_or_locks_the_user_out() {
    let cookie = dangerous::unprefixed_cookie("token").expect("a name");
    let policy = issuer().policy_builder().sources([cookie.into()]).build();
    let unused = TokenCookie::new(COOKIE).expect("a cookie");
    let service = Service::actix(policy.expect("a policy"), unused);
    let Some(stage) = Stage::or_leave_out(service).await else { return };
    stage.open(PLAIN_BLOG).await;
    stage.set_cookie(&format!("token={}; Domain=app.example; Path=/", token_of("mallory"))).await;
    stage.open(API).await;
    assert_eq!(stage.fetch("GET", NOTES, json!({})).await, "200 notes of mallory");
    stage.set_cookie(&format!("token={}; Path=/; Secure", token_of("alice"))).await;
    let both = stage.fetch("GET", NOTES, json!({})).await;
    assert!(both.starts_with("400 ") && both.contains("more than one access token"), "{both}");
}

/// A browser keeps two where one of them is partitioned. The service does not set such a cookie; a
/// script that gets into its page can.
#[tokio::test]
async fn two_cookies_of_the_name_are_refused() {
    let Some(mut stage) = logged_in(SameSite::default()).await else { return };
    let second = format!("{COOKIE}={}; Secure; Path=/; Partitioned", token_of("mallory"));
    stage.set_cookie(&second).await;
    assert_eq!(stage.cookies().await, [COOKIE, COOKIE]);
    stage.fetch("POST", NOTES, json!({})).await;
    let refused = "POST /me/notes same-origin [__Host-token, __Host-token] 400 several_tokens";
    assert_eq!(stage.service.saw("POST /me/notes").await, refused);
    stage.set_cookie(&format!("{second}; Max-Age=0")).await;
    assert_eq!(stage.fetch("POST", NOTES, json!({})).await, "200 noted for alice");
}

#[tokio::test]
async fn without_tls_the_cookie_is_kept_for_localhost_alone() {
    let Some(mut stage) = Stage::or_leave_out(service(SameSite::default())).await else { return };
    let token = token_of("alice");
    let local = format!("http://localhost:{}", stage.service.port());
    for (origin, cookies, seen) in [
        ("http://dev.example", &[][..], "POST /me/notes - [] 401 token_missing"),
        (&local, &[COOKIE], "POST /me/notes same-origin [__Host-token] 200"),
    ] {
        stage.open(origin).await;
        assert_eq!(stage.fetch("POST", &format!("{origin}/login"), login(&token)).await, "204");
        assert_eq!(stage.cookies().await, cookies, "{origin}");
        stage.fetch("POST", &format!("{origin}/me/notes"), json!({})).await;
        assert_eq!(stage.service.saw("POST /me/notes").await, seen);
    }
}

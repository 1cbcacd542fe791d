//! The service as it is seen from outside: the real program, in both frameworks, over HTTP.
mod client;
mod server;

use std::time::{Duration, Instant};

use serde_json::json;

use self::client::{ACCESS, Browser, Client, PASSWORD, REFRESH, until};
use self::server::{FRAMEWORKS, Place, Redis};

/// Everything of a user's session once, from the account to the end.
async fn a_session_goes_from_sign_up_to_log_out(place: &Place) {
    let server = place.start();
    let client = Client::new(&server.url);
    client.sign_up("alice").await;
    let taken = json!({ "name": "alice", "password": "another password" });
    let taken = client.post_json("/api/signup", &taken).await;
    assert_eq!((taken.status, taken.text("code")), (409, "name-taken".to_owned()));

    // Nor one that looks alike.
    let alike = json!({ "name": "ali\u{200b}ce", "password": "another password" });
    assert_eq!(client.post_json("/api/signup", &alike).await.status, 400);

    // Who guesses learns nothing of who is here.
    let guess = async |name| {
        let guess = json!({ "name": name, "password": "another password" });
        let mut seen = client.post_json("/api/login", &guess).await;
        seen.headers.retain(|(name, _)| name != "date");
        seen
    };
    let wrong = guess("alice").await;
    assert_eq!((wrong.status, wrong.text("code")), (401, "login-refused".to_owned()));
    for nobody in ["nobody-knows", "", "nobody", "a\u{0}lice", &"a".repeat(1000)] {
        assert_eq!(wrong, guess(nobody).await, "{nobody}");
    }
    assert_eq!(wrong.cookies().count(), 0);

    let mut browser = Browser::new(&server.url);
    assert!(!browser.is_logged_in().await);
    let seen = browser.log_in("alice").await;
    let cookies: Vec<_> = seen.cookies().map(|it| it.split_once("; ").expect("a pair")).collect();
    assert_eq!(cookies[0].1, "Path=/; Secure; HttpOnly; SameSite=Lax");
    assert_eq!(cookies[1].1, "Path=/; Secure; HttpOnly; SameSite=Strict");
    assert_eq!(seen.header("cache-control"), Some("no-store"));

    // By the cookie, and by the same token as bearer.
    let me = browser.get("/api/me").await;
    assert_eq!((me.status, me.text("name")), (200, "alice".to_owned()));
    let access = browser.cookie(ACCESS);
    assert_eq!(client.get("/api/me", &access).await.body, me.body);

    // It may well be the same refresh token for some more time.
    let refreshed = browser.post("/session/refresh").await;
    assert_eq!((refreshed.status, &*refreshed.body), (204, ""));
    assert!(browser.is_logged_in().await);

    let sessions = browser.get("/sessions").await.json();
    let sessions = sessions["sessions"].as_array().expect("a list");
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0]["label"], "Firefox on Linux");
    assert_eq!(sessions[0]["client"], "web");
    assert_eq!(sessions[0]["current"], true);
    assert_eq!(sessions[0]["id"], me.json()["session"]);

    let out = browser.post("/session/logout").await;
    assert_eq!(out.status, 204);
    assert!(browser.cookies.is_empty());
    // The tokens are worth nothing, whoever kept a copy of them.
    assert_eq!(client.get("/api/me", &access).await.status, 401);
    let over = browser.post("/session/refresh").await;
    assert_eq!((over.status, over.text("code")), (401, "session-over".to_owned()));
}

#[tokio::test]
async fn a_session_goes_from_sign_up_to_log_out_on_sqlite() {
    for framework in FRAMEWORKS {
        a_session_goes_from_sign_up_to_log_out(&Place::sqlite(framework)).await;
    }
}

/// Of what is kept, nothing is lost with the process; and what had ended stays so.
async fn sessions_outlive_the_process(place: &Place) {
    let server = place.start();
    let client = Client::new(&server.url);
    client.sign_up("alice").await;
    let mut stays = Browser::new(&server.url);
    stays.log_in("alice").await;
    let app = client.log_in("alice").await;
    let mut leaves = Browser::new(&server.url);
    leaves.log_in("alice").await;
    let left = leaves.cookie(ACCESS);
    assert_eq!(leaves.post("/session/logout").await.status, 204);
    server.kill();

    let server = place.start();
    let mut stays = stays.at(&server.url);
    assert!(stays.is_logged_in().await);
    assert_eq!(stays.post("/session/refresh").await.status, 204);
    assert!(stays.is_logged_in().await);
    let client = Client::new(&server.url);
    assert_eq!(client.get("/api/me", &app.access).await.status, 200);
    assert_eq!(client.refresh(&app.refresh).await.status, 200);
    let refused = client.get("/api/me", &left).await;
    assert_eq!((refused.status, refused.text("code")), (401, "token-invalid".to_owned()));
    // The account, too.
    Browser::new(&server.url).log_in("alice").await;
}

#[tokio::test]
async fn sessions_outlive_the_process_on_sqlite() {
    for framework in FRAMEWORKS {
        sessions_outlive_the_process(&Place::sqlite(framework)).await;
    }
}

/// Another framework, the same service: tokens and sessions of one are those of the other.
#[tokio::test]
async fn one_framework_goes_on_where_the_other_ended() {
    let place = Place::sqlite("axum");
    let server = place.start();
    Client::new(&server.url).sign_up("alice").await;
    let mut browser = Browser::new(&server.url);
    browser.log_in("alice").await;
    server.kill();
    let server = place.with(&["--framework", "actix"]).start();
    let mut browser = browser.at(&server.url);
    assert!(browser.is_logged_in().await);
    assert_eq!(browser.post("/session/refresh").await.status, 204);
}

/// A lost answer is told again. A token that was rotated away is found out, and then nobody has the session.
async fn a_retry_is_answered_alike_and_a_replay_ends_the_session(place: Place) {
    const WINDOW: Duration = Duration::from_secs(3);
    let place = place.with(&["--retry-window", "3s", "--access-lifetime", "30s"]);
    let server = place.start();
    let client = Client::new(&server.url);
    client.sign_up("alice").await;
    let first = client.log_in("alice").await;
    let rotated = until("another refresh token", async || {
        let asked_at = Instant::now();
        let seen = client.refresh(&first.refresh).await;
        assert_eq!(seen.status, 200, "{seen:?}");
        seen.json()["refresh_token"].as_str().map(|token| (token.to_owned(), asked_at))
    });
    let (second, asked_at) = rotated.await;
    assert_ne!(second, first.refresh);
    let retry = client.refresh(&first.refresh).await;
    // On a machine that was too slow for it, the window may be over.
    if asked_at.elapsed() < WINDOW {
        assert_eq!((retry.status, retry.text("refresh_token")), (200, second.clone()));
    }
    let replay = until("the end of the window", async || {
        let seen = client.refresh(&first.refresh).await;
        if seen.status == 400 {
            return Some(seen);
        }
        assert_eq!((seen.status, seen.text("refresh_token")), (200, second.clone()));
        None
    });
    let replay = replay.await;
    assert_eq!(replay.text("error"), "invalid_grant");
    assert_eq!(client.refresh(&second).await.text("error"), "invalid_grant");
    assert_eq!(client.get("/api/me", &first.access).await.status, 401);
}

#[tokio::test]
async fn a_retry_is_answered_alike_and_a_replay_ends_the_session_on_sqlite() {
    for framework in FRAMEWORKS {
        a_retry_is_answered_alike_and_a_replay_ends_the_session(Place::sqlite(framework)).await;
    }
}

#[tokio::test]
async fn without_a_window_the_second_use_of_a_cookie_ends_the_session() {
    for framework in FRAMEWORKS {
        let server = Place::sqlite(framework).with(&["--retry-window", "0s"]).start();
        Client::new(&server.url).sign_up("alice").await;
        let mut browser = Browser::new(&server.url);
        browser.log_in("alice").await;
        let mut thief = browser.at(&server.url);
        assert_eq!(browser.post("/session/refresh").await.status, 204);
        assert_ne!(browser.cookie(REFRESH), thief.cookie(REFRESH));
        let caught = thief.post("/session/refresh").await;
        assert_eq!((caught.status, caught.cookies().count()), (401, 0));
        assert_eq!(browser.post("/session/refresh").await.status, 401);
        assert!(!browser.is_logged_in().await && !thief.is_logged_in().await);
    }
}

#[tokio::test]
async fn a_login_takes_the_place_of_the_session_before() {
    for framework in FRAMEWORKS {
        let server = Place::sqlite(framework).start();
        Client::new(&server.url).sign_up("alice").await;
        let mut browser = Browser::new(&server.url);
        browser.log_in("alice").await;
        let mut before = browser.at(&server.url);
        let body = json!({ "name": "alice", "password": PASSWORD, "remember": true });
        let seen = browser.post_json("/api/login", &body).await;
        assert_eq!(seen.status, 204);
        // Both cookies last as long as the session: 30 days.
        assert!(seen.cookies().all(|cookie| cookie.contains("Max-Age=2592000;")), "{seen:?}");
        assert!(browser.is_logged_in().await && !before.is_logged_in().await);
        assert_eq!(before.post("/session/refresh").await.status, 401);
        let sessions = browser.get("/sessions").await.json();
        assert_eq!(sessions["sessions"].as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn a_user_ends_their_own_sessions_and_nobody_elses() {
    for framework in FRAMEWORKS {
        let server = Place::sqlite(framework).start();
        let client = Client::new(&server.url);
        client.sign_up("alice").await;
        client.sign_up("bob").await;
        let [mut here, mut there, mut bob] = [(); 3].map(|()| Browser::new(&server.url));
        here.log_in("alice").await;
        there.log_in("alice").await;
        bob.log_in("bob").await;

        let of_bob = format!("/sessions/{}", bob.session().await);
        assert_eq!(here.delete(&of_bob).await.text("code"), "session-unknown");
        let of_there = format!("/sessions/{}", there.session().await);
        let from_elsewhere =
            here.send_from("cross-site", "DELETE", &of_there, None, String::new()).await;
        assert_eq!(from_elsewhere.text("code"), "cross-site-request");
        assert!(there.is_logged_in().await);
        assert_eq!(here.delete(&of_there).await.status, 204);
        assert!(!there.is_logged_in().await);
        assert_eq!(here.delete(&of_there).await.status, 404);

        there.log_in("alice").await;
        let app = client.log_in("alice").await;
        assert_eq!(here.post("/session/logout-everywhere").await.status, 204);
        assert!(here.cookies.is_empty() && !there.is_logged_in().await);
        assert_eq!(client.get("/api/me", &app.access).await.status, 401);
        assert_eq!(client.refresh(&app.refresh).await.status, 400);
        assert!(bob.is_logged_in().await);

        let app = client.log_in("alice").await;
        let form = format!("client_id=native&token={}", app.refresh);
        assert_eq!(client.post_form("/oauth/revoke", &form).await.status, 200);
        assert_eq!(client.get("/api/me", &app.access).await.status, 401);
    }
}

/// The password and the end of all other sessions are one.
async fn another_password_ends_all_other_sessions(place: &Place) {
    let server = place.start();
    let client = Client::new(&server.url);
    client.sign_up("alice").await;
    let [mut here, mut there] = [(); 2].map(|()| Browser::new(&server.url));
    here.log_in("alice").await;
    there.log_in("alice").await;
    let app = client.log_in("alice").await;

    let wrong = json!({ "old_password": "not the password", "new_password": "another password" });
    let seen = here.post_json("/api/password", &wrong).await;
    assert_eq!((seen.status, seen.text("code")), (403, "password-wrong".to_owned()));
    let short = json!({ "old_password": PASSWORD, "new_password": "short" });
    assert_eq!(here.post_json("/api/password", &short).await.status, 400);
    assert!(there.is_logged_in().await);

    let right = json!({ "old_password": PASSWORD, "new_password": "another password" });
    assert_eq!(Browser::new(&server.url).post_json("/api/password", &right).await.status, 401);
    assert_eq!(here.post_json("/api/password", &right).await.status, 204);
    // The answer had another access token.
    assert!(here.is_logged_in().await);
    assert!(!there.is_logged_in().await);
    assert_eq!(there.post("/session/refresh").await.status, 401);
    assert_eq!(client.get("/api/me", &app.access).await.status, 401);
    assert_eq!(client.refresh(&app.refresh).await.text("error"), "invalid_grant");

    let log_in = async |password: &str| {
        let body = json!({ "name": "alice", "password": password });
        client.post_json("/api/login", &body).await.status
    };
    assert_eq!(log_in(PASSWORD).await, 401);
    assert_eq!(log_in("another password").await, 204);
}

#[tokio::test]
async fn another_password_ends_all_other_sessions_on_sqlite() {
    for framework in FRAMEWORKS {
        another_password_ends_all_other_sessions(&Place::sqlite(framework)).await;
    }
}

#[tokio::test]
async fn what_another_site_could_send_is_refused() {
    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";
    for framework in FRAMEWORKS {
        let server = Place::sqlite(framework).start();
        let client = Client::new(&server.url);
        client.sign_up("alice").await;
        let body = json!({ "name": "alice", "password": PASSWORD }).to_string();
        let form = format!("name=alice&password={}", PASSWORD.replace(' ', "+"));

        // No site says where it comes from by both headers.
        let own = server.url.as_str();
        for (headers, expected) in [
            (&[("content-type", JSON)][..], 204),
            (&[("content-type", "Application/JSON; charset=utf-8")], 204),
            (&[("content-type", JSON), ("sec-fetch-site", "same-origin")], 204),
            (&[("content-type", JSON), ("origin", own)], 204),
            (&[("content-type", JSON), ("sec-fetch-site", "cross-site")], 403),
            (&[("content-type", JSON), ("sec-fetch-site", "same-site")], 403),
            (&[("content-type", JSON), ("origin", "https://evil.example")], 403),
            (&[("content-type", JSON), ("origin", "null")], 403),
            (&[("content-type", "text/plain"), ("sec-fetch-site", "same-origin")], 415),
            (&[("content-type", FORM), ("sec-fetch-site", "same-origin")], 415),
            (&[("sec-fetch-site", "same-origin")], 415),
        ] {
            let seen = client.send("POST", "/api/login", headers, body.clone()).await;
            assert_eq!(seen.status, expected, "{headers:?}: {seen:?}");
            assert_eq!(seen.cookies().count(), if expected == 204 { 2 } else { 0 });
        }
        for (kind, body, expected) in [
            (JSON, "{", 400),
            (JSON, "{}", 400),
            (JSON, r#"{"name":"carol","password":"short"}"#, 400),
            (JSON, r#"{"name":"","password":"long enough"}"#, 400),
            (JSON, r#"{"name":" carol","password":"long enough"}"#, 400),
            ("text/plain", r#"{"name":"carol","password":"long enough"}"#, 415),
        ] {
            let headers = [("content-type", kind)];
            let seen = client.send("POST", "/api/signup", &headers, body).await;
            assert_eq!(seen.status, expected, "{body}: {seen:?}");
        }
        let large = format!("{{\"name\":\"{}\"}}", "a".repeat(20_000));
        let headers = [("content-type", JSON)];
        assert_eq!(client.send("POST", "/api/signup", &headers, large).await.status, 413);

        // A form has to come from a page of the service.
        for (headers, expected) in [
            (&[("content-type", FORM), ("sec-fetch-site", "same-origin")][..], 303),
            (&[("content-type", FORM), ("origin", own)], 303),
            (&[("content-type", FORM), ("sec-fetch-site", "cross-site")], 403),
            (&[("content-type", FORM)], 403),
            (&[("content-type", JSON), ("sec-fetch-site", "same-origin")], 415),
        ] {
            let seen = client.send("POST", "/login", headers, form.clone()).await;
            assert_eq!(seen.status, expected, "{headers:?}: {seen:?}");
        }
        let mut browser = Browser::new(&server.url);
        browser.log_in("alice").await;
        for path in [
            "/session/refresh",
            "/session/logout",
            "/session/logout-everywhere",
            "/logout",
            "/logout-everywhere",
            "/continue",
            "/password",
            "/devices/AAECAwQFBgcICQoLDA0ODw/end",
            "/keys/rotate",
            "/api/password",
        ] {
            let kind = if path == "/api/password" { JSON } else { FORM };
            let seen =
                browser.send_from("cross-site", "POST", path, Some(kind), String::new()).await;
            assert_eq!((seen.status, seen.cookies().count()), (403, 0), "{path}: {seen:?}");
        }
        assert!(browser.is_logged_in().await);
        // Neither of these routes knows JSON.
        for path in ["/oauth/token", "/oauth/revoke"] {
            let seen = client.post_json(path, &json!({ "client_id": "native" })).await;
            assert_eq!((seen.status, seen.text("error")), (400, "invalid_request".to_owned()));
        }
    }
}

#[tokio::test]
async fn a_program_that_is_no_browser_changes_its_password_by_either_token() {
    for framework in FRAMEWORKS {
        let server = Place::sqlite(framework).start();
        let client = Client::new(&server.url);
        client.sign_up("alice").await;
        let tokens = client.log_in("alice").await;
        let bearer = format!("Bearer {}", tokens.access);
        let headers = [("content-type", "application/json"), ("authorization", &bearer)];
        let body = json!({ "old_password": PASSWORD, "new_password": "another password" });
        let seen = client.send("POST", "/api/password", &headers, body.to_string()).await;
        assert_eq!(seen.status, 204, "{seen:?}");
        // Access tokens of before are refused, also here. It refreshes once.
        assert_eq!(client.get("/api/me", &tokens.access).await.status, 401);
        let access = client.refresh(&tokens.refresh).await.text("access_token");
        assert_eq!(client.get("/api/me", &access).await.status, 200);

        let cookie = format!("{ACCESS}={access}");
        let headers = [("content-type", "application/json"), ("cookie", &cookie)];
        let body = json!({ "old_password": "another password", "new_password": PASSWORD });
        let seen = client.send("POST", "/api/password", &headers, body.to_string()).await;
        assert_eq!(seen.status, 204, "{seen:?}");
    }
}

#[tokio::test]
async fn the_pages_work_without_a_script() {
    for framework in FRAMEWORKS {
        let place = Place::sqlite(framework);
        let server = place.start();
        let mut browser = Browser::new(&server.url);
        let welcome = browser.get("/").await;
        assert_eq!(welcome.status, 200);
        let policy = welcome.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        for (path, kind) in [
            ("/style.css", "text/css; charset=utf-8"),
            ("/refresh.js", "text/javascript; charset=utf-8"),
            ("/icon.svg", "image/svg+xml"),
        ] {
            let seen = browser.get(path).await;
            assert_eq!((seen.status, seen.header("content-type")), (200, Some(kind)));
        }
        assert!(browser.get("/login").await.body.contains("Safari keeps no <code>Secure</code>"));
        assert_eq!(browser.get("/devices").await.header("location"), Some("/login"));

        let name = "%3Cb%3Eal%26ice";
        let form = format!("name={name}&password=long+enough");
        let seen = browser.post_form("/signup", &form).await;
        assert_eq!((seen.status, seen.header("location")), (303, Some("/")), "{seen:?}");
        let home = browser.get("/").await;
        assert!(home.body.contains("Hello, &#60;b&#62;al&#38;ice"), "{}", home.body);
        let again = Browser::new(&server.url).post_form("/signup", &form).await;
        assert_eq!(again.status, 409);
        assert!(again.body.contains("Somebody has this name already"), "{}", again.body);

        let mut other = Browser::new(&server.url);
        let wrong = other.post_form("/login", "name=alice&password=long+enough").await;
        assert_eq!((wrong.status, wrong.cookies().count()), (401, 0));
        assert!(wrong.body.contains("The name or the password is wrong."), "{}", wrong.body);
        let form = format!("name={name}&password=long+enough&remember=on");
        assert_eq!(other.post_form("/login", &form).await.status, 303);

        let devices = browser.get("/devices").await.body;
        assert_eq!(devices.matches("Firefox on Linux").count(), 2, "{devices}");
        assert_eq!(devices.matches("this one").count(), 1);
        let end = format!("/devices/{}/end", other.session().await);
        assert!(devices.contains(&end), "{devices}");
        assert_eq!(browser.post(&end).await.header("location"), Some("/devices"));
        assert!(!other.is_logged_in().await);
        assert_eq!(browser.get("/devices").await.body.matches("Firefox on Linux").count(), 1);

        let keys = browser.get("/keys").await.body;
        assert_eq!(keys.matches("signs now").count(), 1, "{keys}");
        assert_eq!(browser.post("/keys/rotate").await.header("location"), Some("/keys"));
        assert!(browser.get("/keys").await.body.contains("stands by, and signs in"));
        assert!(!Browser::new(&server.url).get("/keys").await.body.contains("/keys/rotate"));

        let wrong = browser.post_form("/password", "old_password=x&new_password=long+enough").await;
        assert_eq!(wrong.status, 403);
        assert!(wrong.body.contains("This is not your password now."), "{}", wrong.body);
        let form = "old_password=long+enough&new_password=longer+than+before";
        assert_eq!(browser.post_form("/password", form).await.status, 303);
        assert_eq!(browser.get("/").await.status, 200);

        let tokens = [browser.cookie(ACCESS), browser.cookie(REFRESH)];
        let out = browser.post("/logout").await;
        assert_eq!((out.status, out.header("location")), (303, Some("/")));
        assert!(browser.cookies.is_empty());
        // What a browser has of a session that is over.
        browser.cookies.insert(REFRESH.to_owned(), "pcl_rt_x".to_owned());
        let seen = browser.get("/devices").await;
        assert_eq!(seen.status, 401);
        assert!(seen.body.contains("data-refresh") && seen.body.contains(r#"value="/devices""#));
        assert_eq!(
            browser.post_form("/continue", "to=/devices").await.header("location"),
            Some("/login")
        );

        // All of it, with what the frameworks trace.
        let log = place.logged();
        assert!(log.contains("DEBUG") && log.contains("its user signed out"));
        for secret in
            [&*tokens[0], &tokens[1], "al&ice", "al%26ice", "long enough", "long+enough", "$argon2"]
        {
            assert!(!log.contains(secret), "{secret}");
        }
    }
}

#[tokio::test]
async fn an_access_token_that_is_over_is_followed_by_another() {
    for framework in FRAMEWORKS {
        let flags = ["--test-times", "--retry-window", "1s", "--access-lifetime", "5s"];
        let server = Place::sqlite(framework).with(&flags).start();
        Client::new(&server.url).sign_up("alice").await;
        let mut browser = Browser::new(&server.url);
        browser.log_in("alice").await;
        until("the end of the access token", async || {
            (!browser.at(&server.url).is_logged_in().await).then_some(())
        })
        .await;
        let over = browser.get("/devices").await;
        assert_eq!(over.status, 401);
        assert!(over.body.contains("data-refresh"), "{}", over.body);
        let on = browser.post_form("/continue", "to=/devices").await;
        assert_eq!((on.status, on.header("location")), (303, Some("/devices")));
        assert!(browser.is_logged_in().await);
        assert_eq!(browser.get("/devices").await.status, 200);
    }
}

#[tokio::test]
async fn the_keys_are_published_and_their_secret_is_the_owners_alone() {
    for framework in FRAMEWORKS {
        let place = Place::sqlite(framework);
        let server = place.start();
        let client = Client::new(&server.url);
        let keys = client.send("GET", "/.well-known/jwks.json", &[], "").await.json();
        assert!(keys["keys"].as_array().is_some_and(|keys| !keys.is_empty()), "{keys}");
        let metadata = "/.well-known/oauth-authorization-server";
        let metadata = client.send("GET", metadata, &[], "").await.json();
        assert_eq!(metadata["issuer"], "https://login.example");
        assert_eq!(metadata["token_endpoint"], "https://login.example/oauth/token");
        assert_eq!(metadata["token_endpoint_auth_methods_supported"], json!(["none"]));
        #[cfg(unix)]
        for file in ["login.db", "login.root"] {
            assert_eq!(server::mode(&place.folder.path().join(file)), 0o600, "{file}");
        }
        // Another secret would open nothing.
        server.kill();
        std::fs::remove_file(place.folder.path().join("login.root")).expect("the secret");
        let said = place.refuses_to_start();
        assert!(said.contains("their root secret") && said.contains("is missing"), "{said}");
    }
}

#[test]
fn what_would_not_be_safe_is_refused_at_the_start() {
    for framework in FRAMEWORKS {
        let place = Place::sqlite(framework).with(&["--listen", "0.0.0.0:0"]);
        let said = place.refuses_to_start();
        assert!(said.contains("loopback alone"), "{said}");
        let times = ["--retry-window", "5s", "--access-lifetime", "5s"];
        let said = Place::sqlite(framework).with(&times).refuses_to_start();
        assert!(said.contains("a retry window of 5s"), "{said}");
        Place::sqlite(framework).with(&times).with(&["--test-times"]).start().kill();
    }
}

#[tokio::test]
async fn all_of_it_holds_on_postgresql() {
    use portcullis_stores_tests::Cluster;
    let cluster = Cluster::start().await;
    for framework in FRAMEWORKS {
        let place = async || Place::at(framework, cluster.url(&cluster.database().await));
        a_session_goes_from_sign_up_to_log_out(&place().await).await;
        sessions_outlive_the_process(&place().await).await;
        another_password_ends_all_other_sessions(&place().await).await;
        a_retry_is_answered_alike_and_a_replay_ends_the_session(place().await).await;
    }
}

/// What one instance ends, the other refuses a moment later.
#[tokio::test]
async fn instances_share_what_ended_over_redis() {
    let redis = Redis::start();
    let place = |framework| Place::sqlite(framework).with(&["--redis", &redis.url]);
    for framework in FRAMEWORKS {
        a_session_goes_from_sign_up_to_log_out(&place(framework)).await;
        sessions_outlive_the_process(&place(framework)).await;

        let place = place(framework);
        let (one, other) = (place.start(), place.start());
        Client::new(&one.url).sign_up("alice").await;
        let mut browser = Browser::new(&one.url);
        browser.log_in("alice").await;
        let mut there = browser.at(&other.url);
        assert!(there.is_logged_in().await);
        assert_eq!(browser.post("/session/logout-everywhere").await.status, 204);
        until("the refusal by the other", async || {
            (!there.at(&other.url).is_logged_in().await).then_some(())
        })
        .await;
        assert_eq!(there.post("/session/refresh").await.status, 401);
    }
}

//! The life of a session against the service itself: what each step is answered.
//!
//! The service runs as a process of its own, on SQLite in a folder of its own, with a retry window of one second and keys that
//! follow each other within seconds.
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// How long a token is good for a retry here. It rotates when it is twice as old.
const WINDOW: Duration = Duration::from_secs(1);

const ME: &str = "/api/me";
const REFRESH: &str = "/session/refresh";
const REFRESH_COOKIE: &str = "__Host-Http-refresh";

/// A line of the table.
struct Step {
    what: &'static str,
    status: u16,
    says: String,
    expected: u16,
    is_as_expected: bool,
}

/// What each step was answered.
pub(crate) struct Report(Vec<Step>);

impl Report {
    pub(crate) fn is_good(&self) -> bool {
        self.0.iter().all(|step| step.is_as_expected)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "STEP                                      STATUS  WHAT HAPPENED")?;
        for Step { what, status, says, expected, is_as_expected } in &self.0 {
            writeln!(f, "{what:<40}  {status:<6}  {says}")?;
            if !is_as_expected {
                writeln!(f, "  not as expected: {expected}")?;
            }
        }
        match self.0.iter().filter(|step| !step.is_as_expected).count() {
            0 => write!(f, "\nAs expected, with a retry window of {WINDOW:?}."),
            bad => write!(f, "\n{bad} of {} steps are not as they should be.", self.0.len()),
        }
    }
}

/// The service, until this is dropped.
struct Running {
    _process: Child,
    url: String,
}

impl Running {
    async fn start(folder: &std::path::Path) -> Result<Self, Box<dyn Error>> {
        let database = format!("sqlite:{}", folder.join("login.db").display());
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--listen", "127.0.0.1:0", "--database", &database, "--fast-keys"]);
        command.args(["--retry-window", &format!("{}s", WINDOW.as_secs())]);
        // Why it does not start is said there.
        command.env("RUST_LOG", "off").stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn()?;
        let output = process.stdout.take().ok_or("no output")?;
        let line = BufReader::new(output).lines().next_line().await?;
        let said: Value = serde_json::from_str(&line.ok_or("the service does not start")?)?;
        let url = said["url"].as_str().ok_or("no address")?.to_owned();
        Ok(Self { _process: process, url })
    }
}

/// A browser, as far as the service sees it.
#[derive(Clone)]
struct Browser {
    client: Client,
    url: String,
    cookies: BTreeMap<String, String>,
}

struct Seen {
    status: u16,
    /// The cookies that were set.
    cookies: Vec<String>,
    body: String,
}

impl Browser {
    fn new(service: &Running) -> Result<Self, Box<dyn Error>> {
        let client = Client::builder().timeout(Duration::from_secs(10)).build()?;
        Ok(Self { client, url: service.url.clone(), cookies: BTreeMap::new() })
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Seen, Box<dyn Error>> {
        let cookies = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.url))
            .header("sec-fetch-site", "same-origin")
            .header(COOKIE, cookies.collect::<Vec<_>>().join("; "));
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let mut set = Vec::new();
        for cookie in response.headers().get_all(SET_COOKIE) {
            let (pair, attributes) = cookie.to_str()?.split_once(';').ok_or("no attributes")?;
            let (name, value) = pair.split_once('=').ok_or("no value")?;
            set.push(name.to_owned());
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(Seen { status, cookies: set, body: response.text().await? })
    }

    async fn get(&mut self, path: &str) -> Result<Seen, Box<dyn Error>> {
        self.send(Method::GET, path, None).await
    }

    async fn post(&mut self, path: &str) -> Result<Seen, Box<dyn Error>> {
        self.send(Method::POST, path, None).await
    }

    async fn log_in(&mut self) -> Result<Seen, Box<dyn Error>> {
        let who = json!({ "name": "alice", "password": PASSWORD, "remember": true });
        self.send(Method::POST, "/api/login", Some(who)).await
    }

    fn refresh_token(&self) -> Option<&String> {
        self.cookies.get(REFRESH_COOKIE)
    }

    /// The key that signed its access token.
    fn key_id(&self) -> Option<String> {
        use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
        let header = self.cookies.get("__Host-Http-access")?.split('.').next()?;
        let header = BASE64_URL_SAFE_NO_PAD.decode(header).ok()?;
        let header: Value = serde_json::from_slice(&header).ok()?;
        header["kid"].as_str().map(|id| id.chars().take(8).collect())
    }
}

const PASSWORD: &str = "correct horse battery staple";

/// Goes through all steps.
pub(crate) async fn run() -> Result<Report, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let service = Running::start(folder.path()).await?;
    let mut steps = Vec::new();
    let mut step = |what, seen: &Seen, expected, is_good: bool, says: String| {
        let is_as_expected = seen.status == expected && is_good;
        steps.push(Step { what, status: seen.status, says, expected, is_as_expected });
    };
    let mut alice = Browser::new(&service)?;
    let who = json!({ "name": "alice", "password": PASSWORD });
    let seen = alice.send(Method::POST, "/api/signup", Some(who)).await?;
    step("sign up", &seen, 201, true, "an account".to_owned());
    let seen = alice.log_in().await?;
    step(
        "log in",
        &seen,
        204,
        seen.cookies.len() == 2,
        "two cookies that no script reads".to_owned(),
    );
    let seen = alice.get(ME).await?;
    let is_alice = seen.body.contains("alice");
    step("call the API", &seen, 200, is_alice, "by the access token in a cookie".to_owned());

    let seen = alice.post(REFRESH).await?;
    let is_kept = seen.cookies == ["__Host-Http-access"];
    let says = "the refresh token is young: it stays".to_owned();
    step("refresh at once", &seen, 204, is_kept, says);
    sleep(2 * WINDOW).await;
    let mut thief = alice.clone();
    let mut other_tab = alice.clone();
    let seen = alice.post(REFRESH).await?;
    let is_rotated = alice.refresh_token() != thief.refresh_token();
    step("refresh 2 s later", &seen, 204, is_rotated, "it rotates: another one".to_owned());
    let seen = other_tab.post(REFRESH).await?;
    let is_alike = other_tab.refresh_token() == alice.refresh_token();
    let says = "the answer was lost: the same one again".to_owned();
    step("the old token once more, as a retry", &seen, 204, is_alike, says);

    let (before, start) = (alice.key_id(), Instant::now());
    let seen = alice.post("/keys/rotate").await?;
    let is_asked = seen.status < 400;
    let (mut calls, mut refused) = (0, 0);
    while alice.key_id() == before && start.elapsed() < Duration::from_secs(60) {
        for seen in [alice.get(ME).await?, alice.post(REFRESH).await?] {
            calls += 1;
            refused += u32::from(seen.status >= 400);
        }
    }
    let seen = alice.get(ME).await?;
    let is_turned = is_asked && refused == 0 && alice.key_id() != before;
    let key = |id: Option<String>| id.unwrap_or_default();
    let says = format!(
        "key {} signs after {}: {calls} calls, {refused} refused",
        key(alice.key_id()),
        key(before)
    );
    step("rotate the signing key under traffic", &seen, 200, is_turned, says);

    let mut phone = Browser::new(&service)?;
    let seen = phone.log_in().await?;
    step("log in on another device", &seen, 204, true, "a session of its own".to_owned());
    sleep(2 * WINDOW).await;
    let seen = thief.post(REFRESH).await?;
    let says = "used before, and no retry: the session ends".to_owned();
    step("a thief comes with the first token", &seen, 401, seen.cookies.is_empty(), says);
    let seen = alice.get(ME).await?;
    step("the user's access token", &seen, 401, true, "refused with the next request".to_owned());
    let seen = alice.post(REFRESH).await?;
    step("the user's refresh token", &seen, 401, true, "the user logs in again".to_owned());
    let seen = phone.get(ME).await?;
    step("the other device", &seen, 200, true, "goes on".to_owned());

    alice.log_in().await?;
    let seen = phone.post("/session/logout-everywhere").await?;
    let is_cleared = phone.cookies.is_empty();
    step("log out everywhere", &seen, 204, is_cleared, "both cookies are cleared".to_owned());
    let seen = alice.get(ME).await?;
    step("every other session", &seen, 401, true, "refused with the next request".to_owned());
    drop(service);
    Ok(Report(steps))
}

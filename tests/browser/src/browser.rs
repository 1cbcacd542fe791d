use std::env;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::{ChromiumLikeCapabilities as _, DesiredCapabilities, WebDriver};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

use crate::DEADLINE;

/// Says whether a missing browser fails the tests. Not set: they are left out.
const SETTING: &str = "PORTCULLIS_BROWSER";

const DRIVER: &str = "chromedriver";

const MISSING: &str = "Chromium with chromedriver is missing: run `make browser-tools`";

/// Whether the browser sends cookies with what a page asks of another site: a setting of its user's,
/// whose default no test should lean on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ThirdPartyCookies {
    /// As `SameSite` says.
    Sent,
    /// With none of it, but where the answer takes the page's place.
    KeptBack,
}

/// Chromium without a window, with a profile of its own. It ends with this value.
#[derive(Debug)]
pub(crate) struct Browser {
    // In this order: the processes end before their folder is removed.
    driver: WebDriver,
    _process: Process,
    _folder: TempDir,
}

impl Browser {
    /// Whether there is one. If not, says on stderr that the test is left out; where one is required, it fails.
    #[must_use]
    pub(crate) fn or_leave_out() -> bool {
        let mut version = Command::new(DRIVER);
        version.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if version.status().is_ok_and(|status| status.success()) {
            return true;
        }
        let thread = thread::current();
        // Where tests run one after the other, it is the main thread.
        let test = thread.name().filter(|name| *name != "main").unwrap_or("a test");
        let message = leave_out(test, env::var_os(SETTING).as_deref());
        // `eprintln!` would be captured, and a test that is left out passes: nobody would see it.
        let _ = writeln!(io::stderr(), "{}", message.unwrap_or_else(|message| panic!("{message}")));
        false
    }

    /// Starts one that finds hosts by these rules of Chromium's.
    pub(crate) async fn start(hosts: &str, third_party: ThirdPartyCookies) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let process = Process::start(&folder).await;
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in [
            "--headless=new",
            "--no-sandbox", // root has none
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--ignore-certificate-errors",
            // It would ask for an `http` page over TLS first.
            "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable",
            &format!("--user-data-dir={}", folder.path().join("profile").display()),
            &format!("--host-resolver-rules={hosts}"),
        ] {
            capabilities.add_arg(argument).expect("an argument");
        }
        let (blocked, mode) = match third_party {
            ThirdPartyCookies::Sent => (false, 0),
            ThirdPartyCookies::KeptBack => (true, 1),
        };
        let cookies = json!({ "block_third_party_cookies": blocked, "cookie_controls_mode": mode });
        let preferences = json!({ "profile": cookies });
        capabilities.add_experimental_option("prefs", preferences).expect("an option");
        let url = format!("http://127.0.0.1:{}", process.port);
        let driver = WebDriver::builder(url, capabilities).request_timeout(DEADLINE).connect();
        let driver = driver.await.expect("Chromium starts");
        driver.set_page_load_timeout(DEADLINE).await.expect("a running browser");
        Self { driver, _process: process, _folder: folder }
    }

    /// Opens a page, as if its address were typed in.
    pub(crate) async fn open(&self, url: &str) {
        self.driver.goto(url).await.expect("a page");
    }

    /// Runs the body of an asynchronous function in the page, and returns what that returns: the
    /// name of the error, if it throws one.
    pub(crate) async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             (async (...arguments) => {{ {script} }})(...arguments).then(done, error => done(error.name))"
        );
        let result = self.driver.execute_async(script, arguments).await.expect("a result");
        result.json().clone()
    }

    /// Opens a page in a tab of its own, whose steps are the next.
    pub(crate) async fn open_tab(&self, url: &str) {
        let tab = self.driver.new_tab().await.expect("a tab");
        self.driver.switch_to_window(tab).await.expect("a tab");
        self.open(url).await;
    }

    /// Goes back, as by the button.
    pub(crate) async fn back(&self) {
        self.driver.back().await.expect("a page");
    }

    /// The names of the cookies that the page's server would get, `HttpOnly` or not.
    pub(crate) async fn cookies(&self) -> Vec<String> {
        let cookies = self.driver.get_all_cookies().await.expect("a running browser");
        cookies.into_iter().map(|cookie| cookie.name).collect()
    }

    /// Takes away the cookies that the page's server would get.
    pub(crate) async fn forget_cookies(&self) {
        self.driver.delete_all_cookies().await.expect("a running browser");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its own farewell would wait for an answer, on the thread that our servers need.
        let _ = self.driver.clone().leak();
    }
}

/// `chromedriver`.
#[derive(Debug)]
struct Process {
    port: u16,
    /// Holds its standard input open, and with it all that it started.
    child: Child,
    /// Kept open: it writes more.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// What it started would outlive it: when the input ends, however the test did, all of it goes.
    const SCRIPT: &str = "chromedriver --port=0 & exec >&-; read -r _; kill -KILL 0";

    async fn start(folder: &TempDir) -> Self {
        let started = async {
            loop {
                if let Some(process) = Self::try_start(folder).await {
                    return process;
                }
            }
        };
        timeout(DEADLINE, started).await.expect("chromedriver starts in time")
    }

    /// It takes one port twice, for IPv4 and IPv6, and ends where it gets it only once.
    async fn try_start(folder: &TempDir) -> Option<Self> {
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", Self::SCRIPT]).process_group(0);
        // What it and the browser leave behind goes with the folder.
        command.env("HOME", folder.path()).env("TMPDIR", folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("a shell");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut said = Vec::new();
        while let Some(line) = output.next_line().await.expect("text") {
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                let port = port.trim_end_matches('.').parse().expect("a port");
                return Some(Self { port, child, _output: output });
            }
            said.push(line);
        }
        eprintln!("chromedriver ended: {said:?}");
        None
    }
}

/// At once, before the folder is removed.
impl Drop for Process {
    fn drop(&mut self) {
        if let Some(id) = self.child.id() {
            let _ = Command::new("kill").args(["-KILL", "--", &format!("-{id}")]).status();
        }
    }
}

/// What to say of a test that is left out, or of one that must not be.
fn leave_out(test: &str, setting: Option<&OsStr>) -> Result<String, String> {
    match setting.map(OsStr::as_encoded_bytes) {
        None | Some(b"") => Ok(format!("left out: {test}: {MISSING}")),
        Some(b"required") => Err(format!("{MISSING} ({SETTING} is `required`)")),
        Some(_) => Err(format!("{SETTING} can only be `required`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_browser_a_test_is_left_out_and_says_how_to_install_it() {
        let message =
            "left out: it_sends: Chromium with chromedriver is missing: run `make browser-tools`";
        for setting in [None, Some(OsStr::new(""))] {
            assert_eq!(leave_out("it_sends", setting), Ok(message.to_owned()));
        }
    }

    #[test]
    fn a_required_browser_is_not_left_out() {
        for setting in ["required", "optional"] {
            assert!(leave_out("it_sends", Some(OsStr::new(setting))).is_err());
        }
    }
}

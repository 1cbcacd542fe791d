use std::process::Command;

use portcullis_programs::{Process, runs};
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::{ChromiumLikeCapabilities as _, DesiredCapabilities, WebDriver};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::ChildStdout;
use tokio::time::timeout;

use crate::{DEADLINE, NEED};

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
    _process: Driver,
    _folder: TempDir,
}

impl Browser {
    /// Whether there is one. If not, the test is left out.
    #[must_use]
    pub(crate) fn or_leave_out() -> bool {
        let is_there = runs(Command::new("chromedriver").arg("--version"));
        NEED.or_leave_out("Chromium with chromedriver", is_there)
    }

    /// Starts one that finds hosts by these rules of Chromium's.
    pub(crate) async fn start(hosts: &str, third_party: ThirdPartyCookies) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let process = Driver::start(&folder).await;
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
struct Driver {
    port: u16,
    _process: Process,
    /// Kept open: it writes more.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Driver {
    async fn start(folder: &TempDir) -> Self {
        let started = async {
            loop {
                if let Some(driver) = Self::try_start(folder).await {
                    return driver;
                }
            }
        };
        timeout(DEADLINE, started).await.expect("chromedriver starts in time")
    }

    /// It takes one port twice, for IPv4 and IPv6, and ends where it gets it only once.
    async fn try_start(folder: &TempDir) -> Option<Self> {
        let (process, output) = Process::start("chromedriver", &["--port=0"], folder.path());
        let mut output = BufReader::new(output).lines();
        let mut said = Vec::new();
        while let Some(line) = output.next_line().await.expect("text") {
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                let port = port.trim_end_matches('.').parse().expect("a port");
                return Some(Self { port, _process: process, _output: output });
            }
            said.push(line);
        }
        eprintln!("chromedriver ended: {said:?}");
        None
    }
}

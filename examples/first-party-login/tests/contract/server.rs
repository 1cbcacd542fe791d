//! The real program, in a process of its own.
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) const FRAMEWORKS: [&str; 2] = ["axum", "actix"];

/// The longest that a test waits for something.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Where a service keeps what it has, and what it is told besides.
pub(crate) struct Place {
    framework: &'static str,
    pub(crate) folder: Arc<TempDir>,
    database: String,
    more: Vec<String>,
}

impl Place {
    /// A file of SQLite.
    pub(crate) fn sqlite(framework: &'static str) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let database = format!("sqlite:{}", folder.path().join("login.db").display());
        Self { framework, folder, database, more: Vec::new() }
    }

    /// This database.
    pub(crate) fn at(framework: &'static str, database: String) -> Self {
        Self { database, ..Self::sqlite(framework) }
    }

    pub(crate) fn with(mut self, flags: &[&str]) -> Self {
        self.more.extend(flags.iter().map(|&flag| flag.to_owned()));
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_first-party-login"));
        command.args(["--framework", self.framework, "--listen", "127.0.0.1:0"]);
        command.args(["--database", &self.database]).args(&self.more);
        command.current_dir(self.folder.path()).env("RUST_LOG", "trace");
        command
    }

    /// An instance that serves.
    pub(crate) fn start(&self) -> Server {
        let log = self.log();
        let log = std::fs::File::options().create(true).append(true).open(log).expect("a log");
        let mut child =
            self.command().stdout(Stdio::piped()).stderr(log).spawn().expect("the program");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("a line");
        let said: serde_json::Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("it did not start: {}", self.logged()));
        assert_eq!(said["ready"], true, "{line}");
        let url = said["url"].as_str().expect("where it serves").to_owned();
        Server { child, url, _folder: Arc::clone(&self.folder) }
    }

    /// What it says where it does not start.
    pub(crate) fn refuses_to_start(&self) -> String {
        let mut command = self.command();
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program");
        let mut said = String::new();
        let mut out = child.stderr.take().expect("piped");
        out.read_to_string(&mut said).expect("text");
        assert!(!child.wait().expect("its end").success(), "{said}");
        said
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// What its instances logged.
    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }
}

/// A process that serves, until this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    _folder: Arc<TempDir>,
}

impl Server {
    /// Ends it as `kill -9` does.
    pub(crate) fn kill(mut self) -> ExitStatus {
        self.child.kill().expect("a running process");
        self.child.wait().expect("its end")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A Redis of a test's own.
pub(crate) struct Redis {
    child: Child,
    pub(crate) url: String,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("its address").port();
        drop(free);
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .expect("`redis-server` is needed: `make test` installs it");
        let redis = Self { child, url: format!("redis://127.0.0.1:{port}") };
        let begin = Instant::now();
        while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(begin.elapsed() < LONG, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
        redis
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The rights of a file.
#[cfg(unix)]
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

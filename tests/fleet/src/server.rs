use core::time::Duration;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};

use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

/// A `redis-server` of its own.
#[derive(Debug)]
pub struct Server {
    port: u16,
    setup: Setup,
    folder: TempDir,
    process: Option<Child>,
}

/// How a server is set up.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Every write is on disk before it is acknowledged.
    pub is_durable: bool,
    /// Lines of its configuration.
    pub lines: Vec<String>,
    /// It is a Sentinel.
    pub is_sentinel: bool,
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

impl Server {
    /// One that forgets all when it ends.
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// One that keeps every acknowledged write.
    pub async fn durable() -> Self {
        Self::with(Setup { is_durable: true, ..Setup::default() }).await
    }

    /// One with lines of configuration of its own.
    pub async fn configured<L: Into<String>>(lines: impl IntoIterator<Item = L>) -> Self {
        let lines = lines.into_iter().map(Into::into).collect();
        Self::with(Setup { lines, ..Setup::default() }).await
    }

    /// A Sentinel that watches this master by the name `main`, and soon takes another one in its place.
    pub async fn sentinel_of(master: &Self) -> Self {
        let lines = vec![
            format!("sentinel monitor main 127.0.0.1 {} 1", master.port()),
            "sentinel down-after-milliseconds main 300".to_owned(),
            "sentinel failover-timeout main 2000".to_owned(),
        ];
        Self::with(Setup { is_sentinel: true, lines, ..Setup::default() }).await
    }

    /// One that is set up so.
    ///
    /// # Panics
    ///
    /// `redis-server` is missing, or does not start.
    pub async fn with(setup: Setup) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = Self { port: free_port(), setup, folder, process: None };
        server.run().await;
        server
    }

    async fn run(&mut self) {
        let folder = self.folder.path();
        let mut lines = vec![
            format!("port {}", self.port),
            "bind 127.0.0.1".to_owned(),
            format!("dir {}", folder.display()),
            format!("logfile {}", folder.join("log").display()),
        ];
        if !self.setup.is_sentinel {
            lines.push("save \"\"".to_owned());
            // A replica starts at once, not after five seconds.
            lines.push("repl-diskless-sync-delay 0".to_owned());
        }
        if self.setup.is_durable {
            lines.push("appendonly yes".to_owned());
            lines.push("appendfsync always".to_owned());
        }
        lines.extend(self.setup.lines.iter().cloned());
        let file = folder.join("redis.conf");
        // A Sentinel writes into its own.
        if !self.setup.is_sentinel || !file.exists() {
            fs::write(&file, lines.join("\n")).expect("a file");
        }
        let mut command = Command::new("redis-server");
        command.arg(&file);
        if self.setup.is_sentinel {
            command.arg("--sentinel");
        }
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.process =
            Some(process.expect("`redis-server`: `scripts/need.sh redis-server` installs it"));
        let ready = async {
            while self.try_ask::<String>(&["PING"]).await.is_err() {
                let process = self.process.as_mut().expect("just started");
                if let Ok(Some(status)) = process.try_wait() {
                    let log = fs::read_to_string(self.folder.path().join("log"));
                    panic!("redis-server ended with {status}: {}", log.unwrap_or_default());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ready).await.expect("a server that answers");
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it as a loss of power does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("a running server");
            process.wait().expect("its end");
        }
    }

    /// Starts it anew, with what it keeps.
    pub async fn restart(&mut self) {
        self.kill();
        self.run().await;
    }

    /// Stops it where it is, as if its machine hung.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("a running server");
        let status = Command::new("kill").arg(signal).arg(process.id().to_string()).status();
        assert!(status.expect("`kill`").success());
    }

    async fn connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        let password = self.setup.lines.iter().find_map(|line| line.strip_prefix("requirepass "));
        let login = password.map(|password| format!(":{password}@")).unwrap_or_default();
        let url = format!("redis://{login}127.0.0.1:{}", self.port);
        redis::Client::open(url)?.get_multiplexed_async_connection().await
    }

    async fn try_ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> redis::RedisResult<T> {
        let words: Vec<_> = command.iter().map(|word| word.as_bytes()).collect();
        self.try_ask_bytes(&words).await
    }

    async fn try_ask_bytes<T: redis::FromRedisValue>(
        &self,
        command: &[&[u8]],
    ) -> redis::RedisResult<T> {
        let mut connection = self.connect().await?;
        let mut words = redis::Cmd::new();
        for word in command {
            words.arg(*word);
        }
        words.query_async(&mut connection).await
    }

    /// As [`ask`](Self::ask), for words that are no text.
    ///
    /// # Panics
    ///
    /// It answers with an error, or with something else.
    pub async fn ask_bytes<T: redis::FromRedisValue>(&self, command: &[&[u8]]) -> T {
        self.try_ask_bytes(command).await.expect("an answer")
    }

    /// Asks it something.
    ///
    /// # Panics
    ///
    /// It answers with an error, or with something else.
    pub async fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        self.try_ask(command).await.expect("an answer")
    }

    /// What `INFO` says of something.
    pub async fn info(&self, name: &str) -> String {
        let info: String = self.ask(&["INFO"]).await;
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_default().trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

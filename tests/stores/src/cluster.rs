use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::sync::OnceCell;

use crate::eventually;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/server.sh");

/// A server that runs until this is dropped, or the process ends, and takes its folder with it.
#[derive(Debug)]
struct Server {
    script: Child,
    folder: PathBuf,
}

impl Server {
    fn start(kind: &str, primary: Option<&Path>) -> Self {
        // Not below a folder of root's, where a server that does not run as root could not go.
        let folder = tempfile::Builder::new().prefix("portcullis-").tempdir_in("/tmp");
        let folder = folder.expect("a folder").keep();
        let mut command = Command::new(SCRIPT);
        command.arg(kind).arg(&folder).args(primary).stdin(Stdio::piped());
        let script = command.stdout(Stdio::null()).spawn().expect("the script");
        Self { script, folder }
    }

    /// Waits until it answers.
    async fn answers(&mut self) {
        let options = options(&self.folder).database("postgres");
        eventually("a server that answers", async || {
            if let Ok(Some(status)) = self.script.try_wait() {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                panic!("the server ended with {status}, `make store-tools` installs it: {log}");
            }
            PgConnection::connect_with(&options).await.is_ok()
        })
        .await;
    }

    /// The process of the server.
    fn process(&self) -> String {
        let file = fs::read_to_string(self.folder.join("data/postmaster.pid"));
        let file = file.expect("a server that runs");
        file.lines().next().expect("its process").to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        // Its end is not waited for by whoever panics already.
        let _ = self.script.wait();
    }
}

/// The socket of a server in this folder.
pub(crate) fn socket(folder: &Path) -> PathBuf {
    folder.join(".s.PGSQL.5432")
}

/// How to connect to a server in this folder.
pub(crate) fn options(folder: &Path) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host(folder.to_str().expect("UTF-8"))
        .port(5432)
        .username("postgres")
}

/// PostgreSQL.
#[derive(Debug)]
pub struct Cluster(Server);

impl Cluster {
    /// One of a test's own.
    pub async fn start() -> Self {
        Self::started("postgres", None).await
    }

    /// One that all tests of a process share.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// A replica of it.
    pub async fn standby(&self) -> Self {
        Self::started("standby", Some(&self.0.folder)).await
    }

    async fn started(kind: &str, primary: Option<&Path>) -> Self {
        let mut server = Server::start(kind, primary);
        server.answers().await;
        Self(server)
    }

    /// How to connect to a database.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        options(&self.0.folder).database(database)
    }

    /// The same, as a URL.
    pub fn url(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&port=5432&user=postgres", self.0.folder.display())
    }

    /// Where its socket is.
    pub fn socket(&self) -> PathBuf {
        socket(&self.0.folder)
    }

    /// A new database.
    pub async fn database(&self) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut connection = self.connect("postgres").await;
        let sql = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(sql).execute(&mut connection).await.expect("a new database");
        name
    }

    /// A connection as the owner.
    pub async fn connect(&self, database: &str) -> PgConnection {
        PgConnection::connect_with(&self.options(database)).await.expect("a server")
    }

    /// A pool as the owner.
    pub async fn pool(&self, database: &str) -> PgPool {
        let options = PgPoolOptions::new().max_connections(8);
        options.connect_with(self.options(database)).await.expect("a server")
    }

    /// Stops it where it is, as if its machine hung, until what this gives is dropped.
    pub fn pause(&self) -> Pause<'_> {
        self.signal("-STOP");
        Pause(self)
    }

    /// Ends one of its sessions as a fault does, upon which it ends all, and recovers.
    pub fn crash(&self, session: i32) {
        kill("-KILL", &session.to_string());
    }

    fn signal(&self, signal: &str) {
        let server = self.0.process();
        kill(signal, &server);
        for process in children(&server) {
            kill(signal, &process);
        }
    }
}

/// A server that hangs.
#[derive(Debug)]
pub struct Pause<'c>(&'c Cluster);

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.0.signal("-CONT");
    }
}

/// PgBouncer, in transaction mode.
#[derive(Debug)]
pub struct Bouncer(Server);

impl Bouncer {
    /// In front of a server.
    pub async fn start(cluster: &Cluster) -> Self {
        let server = Server::start("pgbouncer", Some(&cluster.0.folder));
        let bouncer = Self(server);
        eventually("PgBouncer", async || socket(&bouncer.0.folder).exists()).await;
        bouncer
    }

    /// How to connect through it.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        options(&self.0.folder).database(database)
    }
}

fn kill(signal: &str, process: &str) {
    // One that ended in between is none.
    let _ = Command::new("kill").args([signal, process]).stderr(Stdio::null()).status();
}

/// The processes that another one started.
fn children(parent: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("Linux");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter(|name| {
            let stat = fs::read_to_string(format!("/proc/{name}/stat")).unwrap_or_default();
            // After the name in brackets: the state, and who started it.
            let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
            fields.split_whitespace().nth(1) == Some(parent)
        })
        .collect()
}

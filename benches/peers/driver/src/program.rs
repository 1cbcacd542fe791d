use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use peer::{Answer, Hello, Order};
use serde::de::DeserializeOwned;

/// A program that runs, and waits for orders.
pub(crate) struct Program {
    package: &'static str,
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    hello: Hello,
}

/// Builds the program of a package, and nothing else: packages that are built together share the
/// features of what they depend on.
pub(crate) fn build(package: &str) {
    if cfg!(debug_assertions) {
        panic!("nothing is measured without --release");
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let status = Command::new(cargo)
        .args(["build", "--release", "--locked", "--manifest-path", manifest, "-p", package])
        .status();
    assert!(status.expect("cargo").success(), "{package} is not built");
}

impl Program {
    /// Starts the program, which lies beside this one.
    pub(crate) fn start(package: &'static str, cases: &Path) -> Self {
        let path = env::current_exe().expect("a path").with_file_name(package);
        let mut child = Command::new(path)
            .arg(cases)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{package} does not start: {error}"));
        let orders = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let hello = answer(package, &mut answers);
        Self { package, child, orders, answers, hello }
    }

    pub(crate) fn package(&self) -> &'static str {
        self.package
    }

    pub(crate) fn hello(&self) -> &Hello {
        &self.hello
    }

    pub(crate) fn verifies(&self, case: usize) -> bool {
        self.hello.cases.contains(&case)
    }

    /// One request.
    pub(crate) fn call(&mut self, route: usize, case: usize, token: &str) -> Answer {
        self.order(&Order::Call { route, case, token: token.to_owned() })
    }

    /// Requests for so long: what one takes, in nanoseconds.
    pub(crate) fn run(&mut self, route: usize, case: usize, micros: u64) -> f64 {
        self.order(&Order::Run { route, case, micros })
    }

    fn order<A: DeserializeOwned>(&mut self, order: &Order) -> A {
        let mut line = serde_json::to_string(order).expect("JSON");
        line.push('\n');
        let orders = self.orders.as_mut().expect("it is not yet dropped");
        let sent = orders.write_all(line.as_bytes());
        sent.unwrap_or_else(|error| panic!("{} is gone: {error}", self.package));
        answer(self.package, &mut self.answers)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The end of the orders ends it.
        self.orders = None;
        _ = self.child.wait();
    }
}

fn answer<A: DeserializeOwned>(package: &str, answers: &mut BufReader<ChildStdout>) -> A {
    let mut line = String::new();
    answers.read_line(&mut line).expect("a pipe");
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("{package} answers `{}`", line.trim()))
}

//! Runs the command as a user does.
#![allow(dead_code, reason = "each test program uses a part")]
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use insta::Settings;

pub(crate) const NOW: &str = "1800000000";

#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Everything that a user sees.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// What is said on standard error, in one line.
    pub(crate) fn remark(&self) -> String {
        self.stderr.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn snapshot(&self) -> String {
        format!("exit code {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// Runs it in `folder` with `input` on its standard input.
pub(crate) fn portcullis(folder: &Path, arguments: &[&str], input: impl AsRef<[u8]>) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    // What a terminal would say.
    command.env_remove("COLUMNS").env_remove("NO_COLOR");
    run(command, folder, arguments, input)
}

/// As [`portcullis`], with this environment variable.
pub(crate) fn portcullis_with(
    (name, value): (&str, &str),
    folder: &Path,
    arguments: &[&str],
) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.env_remove("COLUMNS").env_remove("NO_COLOR").env(name, value);
    run(command, folder, arguments, "")
}

/// As [`portcullis`], for lines of so many columns.
pub(crate) fn portcullis_in(
    columns: &str,
    folder: &Path,
    arguments: &[&str],
    input: impl AsRef<[u8]>,
) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.env("COLUMNS", columns);
    run(command, folder, arguments, input)
}

fn run(mut command: Command, folder: &Path, arguments: &[&str], input: impl AsRef<[u8]>) -> Ran {
    let mut child = command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.as_ref().to_vec();
    // On a thread: whoever stops reading breaks the pipe, which is its good right.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("it writes");
    Ran {
        code: output.status.code().expect("it ends by itself"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// Snapshots without what differs from run to run: durations, ports, and what wraps because of them.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::clone_current();
    settings.add_filter(r#""took_us": [0-9.]+"#, r#""took_us": "[µs]""#);
    settings.add_filter(r"in [0-9.]+ µs", "in [µs] µs");
    // In the table of the steps.
    settings.add_filter(r" (passed|REFUSED|would pass|would refuse) +[0-9]+\.[0-9] +", " $1 [µs] ");
    settings
        .add_filter(r" (passed|REFUSED|would pass|would refuse) +[0-9]+\.[0-9]\n", " $1 [µs]\n");
    settings.add_filter(r"step +outcome +µs +why", "step outcome µs why");
    settings.add_filter(r"127\.0\.0\.1:[0-9]+", "127.0.0.1:[port]");
    settings.add_filter(r#""thumbprint": "[\w-]{43}""#, r#""thumbprint": "[thumbprint]""#);
    settings.set_prepend_module_to_snapshot(false);
    settings
}

/// A policy, and a token that it accepts, by `mint`.
pub(crate) struct Trial {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) token: String,
}

impl Trial {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut trial = Self { folder, token: String::new() };
        trial.token = trial.mint(&[]);
        trial
    }

    /// Another token, signed with the same key.
    pub(crate) fn mint(&self, more: &[&str]) -> String {
        let arguments = [&["mint", "--policy-out", ".", "--at", NOW], more].concat();
        let ran = portcullis(self.folder.path(), &arguments, "");
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout.trim_end().to_owned()
    }

    pub(crate) fn run(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Ran {
        portcullis(self.folder.path(), arguments, input)
    }

    /// By the clock of the trial.
    pub(crate) fn explain(&self, token: impl AsRef<[u8]>, more: &[&str]) -> Ran {
        let arguments = [&["explain", "--policy", "policy.toml", "--at", NOW], more].concat();
        self.run(&arguments, token)
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.path().join(file), text).expect("room");
    }
}

/// `token` with another header.
pub(crate) fn with_part(token: &str, at: usize, part: &str) -> String {
    let mut parts: Vec<_> = token.split('.').collect();
    parts[at] = part;
    parts.join(".")
}

use std::path::Path;
use std::process::{Command, Stdio};

use tokio::process::{Child, ChildStdout};

/// A program that ends with this value, and with it all that it started.
#[derive(Debug)]
pub struct Process {
    /// Holds its standard input open.
    child: Child,
}

impl Process {
    /// What it started would outlive it: when the input ends, however the test did, all of it goes.
    const SCRIPT: &str = "\"$@\" & exec >&-; read -r _; kill -KILL 0";

    /// Starts one, whose standard output is to be read. What it and all that it starts leave behind goes with the folder.
    ///
    /// # Panics
    ///
    /// There is no shell.
    pub fn start(program: &str, arguments: &[&str], folder: &Path) -> (Self, ChildStdout) {
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", Self::SCRIPT, "sh", program]).args(arguments).process_group(0);
        command.env("HOME", folder).env("TMPDIR", folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("a shell");
        let output = child.stdout.take().expect("a pipe");
        (Self { child }, output)
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

use core::fmt;
use std::process::Stdio;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::DEADLINE;

/// A process that answers each line with a line of JSON. It ends with this value.
pub(crate) struct Peer {
    _process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// It does not start.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("it starts");
        let input = process.stdin.take().expect("piped");
        let output = BufReader::new(process.stdout.take().expect("piped")).lines();
        Self { _process: process, input, output }
    }

    /// What it says to a text without line breaks.
    ///
    /// # Panics
    ///
    /// It does not answer.
    pub(crate) async fn ask<T: DeserializeOwned>(&mut self, text: &str) -> T {
        self.tell(text).await;
        self.next().await
    }

    /// What it says to a value.
    ///
    /// # Panics
    ///
    /// It does not answer.
    pub(crate) async fn ask_json<T: DeserializeOwned>(&mut self, value: &impl Serialize) -> T {
        self.ask(&serde_json::to_string(value).expect("a value of JSON")).await
    }

    /// Sends it a text without line breaks.
    ///
    /// # Panics
    ///
    /// It is gone.
    pub(crate) async fn tell(&mut self, text: &str) {
        self.input.write_all(format!("{text}\n").as_bytes()).await.expect("a running process");
    }

    /// What it says next.
    ///
    /// # Panics
    ///
    /// It says nothing, or something else.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> T {
        let line = timeout(DEADLINE, self.output.next_line()).await.expect("an answer in time");
        let line = line.expect("a line").expect("a running process");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").finish_non_exhaustive()
    }
}

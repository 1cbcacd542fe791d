use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// An issuing process: the program `issuing_instance`. It ends with this value.
#[derive(Debug)]
pub struct Instance {
    child: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl Instance {
    /// Starts one of this issuer, over this file, whose clock is ahead by so many milliseconds. It serves by then.
    ///
    /// # Panics
    ///
    /// It does not start.
    pub async fn start(program: &Path, issuer: &str, file: &Path, ahead_millis: i64) -> Self {
        let mut command = Command::new(program);
        command.arg(issuer).arg(file).arg(ahead_millis.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the program");
        let questions = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut instance = Self { child, questions, answers, port: 0 };
        let ready = instance.hear().await.expect("it serves");
        instance.port = ready.parse().expect("its port");
        instance
    }

    /// Where it serves the documents of the issuer.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    ///
    /// # Panics
    ///
    /// It was waited for already.
    pub fn process(&self) -> u32 {
        self.child.id().expect("it was not waited for")
    }

    /// Its answer to a line. `None`: it was killed.
    pub async fn ask(&mut self, line: &str) -> Option<String> {
        self.questions.write_all(format!("{line}\n").as_bytes()).await.ok()?;
        self.hear().await
    }

    async fn hear(&mut self) -> Option<String> {
        self.answers.next_line().await.ok()?
    }
}

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// An instance in a process of its own: the program `store_instance`.
#[derive(Debug)]
pub struct Process {
    child: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts one, which has not read its ring yet.
    ///
    /// # Panics
    ///
    /// It does not start.
    pub async fn start(program: &Path, url: &str) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the program");
        let questions = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut process = Self { child, questions, answers };
        assert_eq!(process.ask(url).await, "connected");
        process
    }

    /// Says a line.
    ///
    /// # Panics
    ///
    /// Its process ended.
    pub async fn tell(&mut self, line: &str) {
        self.questions.write_all(format!("{line}\n").as_bytes()).await.expect("a running process");
    }

    /// Its next line.
    ///
    /// # Panics
    ///
    /// Its process ended.
    pub async fn hear(&mut self) -> String {
        self.answers.next_line().await.expect("a line").expect("a running process")
    }

    /// Its answer to a line.
    pub async fn ask(&mut self, line: &str) -> String {
        self.tell(line).await;
        self.hear().await
    }

    /// Its id.
    ///
    /// # Panics
    ///
    /// It ended before.
    pub fn id(&self) -> u32 {
        self.child.id().expect("a running process")
    }

    /// Ends it as a loss of power does.
    ///
    /// # Panics
    ///
    /// It ended before.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a running process");
    }
}

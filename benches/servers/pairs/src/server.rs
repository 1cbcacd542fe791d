//! A server: started, proven to be what its name says, and asked for the time it took.
use core::time::Duration;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use ureq::Agent;

use crate::Fault;
use crate::cores::Cores;
use crate::tokens::{self, Tokens};

/// A program and how it is started.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct Kind {
    /// Its name on the command line of `pairs`.
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
}

/// What is in front of a server's route.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    arguments: &'static [&'static str],
}

impl Variant {
    pub(crate) const BARE: Self = Self { name: "bare", arguments: &["bare"] };
    pub(crate) const REMEMBERED: Self = Self { name: "remembered", arguments: &["remembered"] };
    pub(crate) const REMEMBERED_CLAIMS: Self =
        Self { name: "remembered-claims", arguments: &["remembered", "--claims"] };
    pub(crate) const FULL: Self = Self { name: "full", arguments: &["full"] };
    pub(crate) const FULL_CLAIMS: Self =
        Self { name: "full-claims", arguments: &["full", "--claims"] };

    /// Whether the server asks for a token.
    fn protects(self) -> bool {
        self != Self::BARE
    }
}

/// A running server. It ends when this is dropped.
pub(crate) struct Server {
    process: Child,
    /// The address that the load generator asks.
    pub(crate) url: String,
}

impl Server {
    /// Starts a server and sees that it answers as it should.
    pub(crate) fn start(
        kind: Kind,
        variant: Variant,
        tokens: &Tokens,
        cores: Cores,
    ) -> Result<Self, Fault> {
        // All programs are built into one folder.
        let program = env::current_exe()?.with_file_name(kind.program);
        if !program.exists() {
            return Err(format!("{} is not built: see run.sh", kind.program).into());
        }
        let mut command = cores.server(Command::new(program));
        command.args(variant.arguments).arg("--jwks").arg(&tokens.jwks);
        command.args(["--issuer", tokens::ISSUER, "--audience", tokens::AUDIENCE]);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let output = process.stdout.take().ok_or("a server without an output")?;
        let mut server = Self { process, url: String::new() };
        let mut address = String::new();
        BufReader::new(output).read_line(&mut address)?;
        if address.is_empty() {
            return Err(format!("{} {} did not start", kind.program, variant.name).into());
        }
        server.url = format!("http://{}/orders/17?page=2", address.trim());
        server
            .prove(variant, tokens)
            .map_err(|fault| format!("{} {}: {fault}", kind.program, variant.name))?;
        Ok(server)
    }

    /// Every token of the rotation passes; where there is a layer, nothing else does.
    fn prove(&self, variant: Variant, tokens: &Tokens) -> Result<(), Fault> {
        let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
        let refusal = if variant.protects() { 401 } else { 200 };
        self.expect(&agent, None, refusal, "without a token")?;
        for (what, token) in &tokens.bad {
            self.expect(&agent, Some(token), refusal, &format!("with a token that is {what}"))?;
        }
        for (index, token) in tokens.good.iter().enumerate() {
            self.expect(&agent, Some(token), 200, &format!("with token {index}"))?;
        }
        Ok(())
    }

    fn expect(
        &self,
        agent: &Agent,
        token: Option<&str>,
        expected: u16,
        what: &str,
    ) -> Result<(), Fault> {
        let mut request = agent.get(&self.url);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = request.call()?;
        let status = response.status().as_u16();
        let body = response.body_mut().read_to_string()?;
        if status != expected || (status == 200 && body != "ok") {
            return Err(format!("{status} {what}, not {expected}").into());
        }
        Ok(())
    }

    /// The time that its threads had a processor, or waited for one.
    pub(crate) fn processor_time(&self) -> Result<ProcessorTime, Fault> {
        let mut time = ProcessorTime { threads: 0, had: Duration::ZERO, waited: Duration::ZERO };
        for thread in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            let mut nanos = text.split_whitespace().map(str::parse);
            let (Some(had), Some(waited)) = (nanos.next(), nanos.next()) else {
                return Err(format!("schedstat is `{text}`").into());
            };
            time.threads += 1;
            time.had += Duration::from_nanos(had?);
            time.waited += Duration::from_nanos(waited?);
        }
        Ok(time)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has nothing to lose; if it is gone already, so much the better.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// The sum of all threads since each began.
#[derive(Clone, Copy)]
pub(crate) struct ProcessorTime {
    threads: usize,
    pub(crate) had: Duration,
    /// Ready to run, while others ran.
    pub(crate) waited: Duration,
}

impl ProcessorTime {
    /// What was added since an earlier time. A thread that ended would have taken its time along.
    pub(crate) fn since(self, earlier: Self) -> Result<Self, Fault> {
        let Self { threads, had, waited } = self;
        match (had.checked_sub(earlier.had), waited.checked_sub(earlier.waited)) {
            (Some(had), Some(waited)) if threads == earlier.threads => {
                Ok(Self { threads, had, waited })
            }
            _ => Err("a thread of the server began or ended during a burst".into()),
        }
    }
}

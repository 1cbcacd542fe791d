//! Bursts of load, with wrk.
use core::time::Duration;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;

use serde::Deserialize;

use crate::Fault;
use crate::cores::Cores;
use crate::server::Server;
use crate::tokens::Tokens;

/// wrk, ready to be let loose.
pub(crate) struct Load {
    script: PathBuf,
    tokens: PathBuf,
    cores: Cores,
    connections: usize,
}

/// What one burst cost.
#[derive(Clone, Copy)]
pub(crate) struct Burst {
    /// Processor time of the server for a request, in microseconds.
    pub(crate) micros: f64,
    /// Requests a second.
    pub(crate) rate: f64,
    /// How much of the time the server had a processor: 1 is one core.
    pub(crate) busy: f64,
    /// How much of the time it was ready, and waited while others had its core.
    pub(crate) waited: f64,
}

/// What `tokens.lua` writes.
#[derive(Debug, Deserialize)]
struct Summary {
    requests: u64,
    micros: u64,
    connect: u64,
    read: u64,
    write: u64,
    status: u64,
    timeout: u64,
}

impl Load {
    pub(crate) fn new(tokens: &Tokens, cores: Cores, connections: usize) -> Result<Self, Fault> {
        let script = tokens.file.with_file_name("tokens.lua");
        fs::write(&script, include_str!("tokens.lua"))?;
        Ok(Self { script, tokens: tokens.file.clone(), cores, connections })
    }

    /// The first words of what wrk says of itself.
    pub(crate) fn version() -> Result<String, Fault> {
        let output = Command::new("wrk").arg("-v").output();
        let output =
            output.map_err(|_| "wrk is missing: `scripts/need.sh wrk` installs it")?.stdout;
        let text = String::from_utf8(output)?;
        let words: Vec<_> = text.split_whitespace().take(2).collect();
        Ok(words.join(" "))
    }

    /// Loads a server for so many seconds.
    pub(crate) fn burst(&self, server: &Server, seconds: u32) -> Result<Burst, Fault> {
        let mut command = self.cores.load(Command::new("wrk"));
        command.arg("--threads=1").arg(format!("--connections={}", self.connections));
        command.arg(format!("--duration={seconds}s")).arg("--script").arg(&self.script);
        command.arg(&server.url).arg("--").arg(&self.tokens).stderr(Stdio::inherit());

        let before = server.processor_time()?;
        let output = command.output()?;
        // Until the server has seen that the connections are closed.
        sleep(Duration::from_millis(50));
        let time = server.processor_time()?.since(before)?;

        let text = String::from_utf8(output.stdout)?;
        let line = text.lines().find(|line| line.starts_with('{'));
        let line = line.ok_or_else(|| format!("wrk did not report:\n{text}"))?;
        let summary: Summary = serde_json::from_str(line)?;
        let Summary { requests, micros, connect, read, write, status, timeout } = summary;
        if requests == 0 || [connect, read, write, status, timeout] != [0; 5] {
            return Err(format!("requests failed: {summary:?}").into());
        }
        let (requests, elapsed) = (requests as f64, micros as f64 / 1e6);
        let [had, waited] = [time.had, time.waited].map(|time| time.as_secs_f64());
        Ok(Burst {
            micros: had * 1e6 / requests,
            rate: requests / elapsed,
            busy: had / elapsed,
            waited: waited / elapsed,
        })
    }
}

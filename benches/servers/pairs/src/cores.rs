//! Which cores the server and the load generator run on.
use std::fs;
use std::process::Command;

use crate::Fault;

/// One core for each of the two, or any for both.
#[derive(Clone, Copy)]
pub(crate) enum Cores {
    Any,
    Own { server: usize, load: usize },
}

impl Cores {
    /// The first and the last of those that this process may use.
    pub(crate) fn own() -> Result<Self, Fault> {
        let status = fs::read_to_string("/proc/self/status")?;
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let mut ends = list.ok_or("no list of cores")?.trim().split([',', '-']);
        let server = ends.next().ok_or("no core")?.parse()?;
        let load = ends.next_back().ok_or("one core alone: use --unpinned")?.parse()?;
        Ok(Self::Own { server, load })
    }

    pub(crate) fn server(self, command: Command) -> Command {
        match self {
            Self::Any => command,
            Self::Own { server, .. } => pinned(server, &command),
        }
    }

    pub(crate) fn load(self, command: Command) -> Command {
        match self {
            Self::Any => command,
            Self::Own { load, .. } => pinned(load, &command),
        }
    }
}

/// `taskset` becomes the program, so that the process's id is the program's.
fn pinned(core: usize, command: &Command) -> Command {
    let mut pinned = Command::new("taskset");
    pinned.args(["--cpu-list", &core.to_string()]).arg(command.get_program());
    pinned.args(command.get_args());
    pinned
}

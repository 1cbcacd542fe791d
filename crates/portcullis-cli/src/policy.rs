//! Policies from files.
use std::path::Path;

use portcullis::config::{ConfigError, ConfigProblem, PolicyConfig};
use portcullis::dpop::{ProofUse, Replays, ReplaysUnavailable, Spent};
use portcullis::{Error, Policy};

use crate::output::{Failure, Fault};

/// The policy in a file, on the machine's clock.
pub(crate) fn load(path: &Path) -> Result<Policy, Failure> {
    make(path, |config| config.build(folder_of(path)))
}

/// The policy in a file, on this clock, or else the machine's.
pub(crate) fn read(path: &Path, clock: Option<impl portcullis::Clock>) -> Result<Policy, Failure> {
    let Some(clock) = clock else { return load(path) };
    let builder = make(path, |config| config.into_builder(folder_of(path)))?;
    builder.clock(clock).build().or_else(|error| {
        // This way knows the places of faults.
        load(path).and_then(|_| Err(Failure::fault(error.to_string())))
    })
}

/// Whether a policy could not tell: the reason of such an error says so at its end, and that of no other does.
pub(crate) fn is_unavailable(error: &Error) -> bool {
    error.reason().ends_with("_unavailable")
}

/// Makes something of the settings in a file. Where they name a store of used proofs that only the program of the policy knows,
/// something stands in its place.
fn make<T>(
    path: &Path,
    make: impl Fn(PolicyConfig) -> Result<T, ConfigError>,
) -> Result<T, Failure> {
    let config = PolicyConfig::from_file(path).map_err(|error| failure(path, &error))?;
    let made = make(config.clone()).or_else(|error| match store_of_the_program(&error) {
        Some(name) => make(config.replays(name, OfTheProgram)),
        None => Err(error),
    });
    made.map_err(|error| failure(path, &error))
}

/// The store that a fault says is not there.
fn store_of_the_program(error: &ConfigError) -> Option<String> {
    error.faults().iter().find_map(|fault| match &fault.problem {
        ConfigProblem::UnknownReplays { name, .. } => Some(name.clone()),
        _ => None,
    })
}

/// A store of used proofs that the program of a policy has, and this one not. Here, no proof is used.
#[derive(Debug)]
struct OfTheProgram;

impl Replays for OfTheProgram {
    fn spend(&self, _: &ProofUse) -> Spent {
        Spent::Unavailable(ReplaysUnavailable::default())
    }

    fn epoch(&self) -> u64 {
        7
    }
}

/// Where paths in a policy start.
fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn failure(path: &Path, error: &ConfigError) -> Failure {
    let faults = error.faults().iter().map(|fault| Fault {
        line: fault.line,
        place: fault.place.clone(),
        message: fault.problem.to_string(),
        is_of_file: matches!(fault.problem, ConfigProblem::Unreadable { .. }),
    });
    Failure {
        faults: faults.collect(),
        ..Failure::fault(format!("the policy file {} is refused:", path.display()))
    }
}

//! Policies from files.
use std::path::Path;

use portcullis::config::ConfigError;
use portcullis::{Policy, PolicyBuilder};

use crate::output::{Failure, Fault};

/// The policy in a file, on this clock, or else the machine's.
pub(crate) fn read(path: &Path, clock: Option<impl portcullis::Clock>) -> Result<Policy, Failure> {
    let builder = PolicyBuilder::from_toml_file(path).map_err(|error| failure(path, &error))?;
    let builder = match clock {
        Some(clock) => builder.clock(clock),
        None => builder,
    };
    builder.build().map_err(|error| match Policy::from_toml_file(path) {
        // This way knows the places of faults.
        Err(placed) => failure(path, &placed),
        Ok(_) => Failure::fault(error.to_string()),
    })
}

pub(crate) fn failure(path: &Path, error: &ConfigError) -> Failure {
    let faults = error.faults().iter().map(|fault| Fault {
        line: fault.line,
        place: fault.place.clone(),
        message: fault.problem.to_string(),
    });
    Failure {
        faults: faults.collect(),
        ..Failure::fault(format!("the policy file {} is refused:", path.display()))
    }
}

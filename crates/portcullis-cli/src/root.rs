//! Secrets that are named on the command line, and stand in files and variables.
use clap::ValueEnum;
use portcullis::{Encoding, Secret};
use portcullis_issuer::{RootFault, RootSecrets};

use crate::output::{Failure, Fault};

/// What stands in front of the name of an environment variable.
const VARIABLE: &str = "env:";

/// Where a secret is: its text is never an argument, which others see in the list of processes.
pub(crate) enum Place<'a> {
    File(&'a str),
    Variable(&'a str),
}

impl<'a> Place<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        text.strip_prefix(VARIABLE).map_or(Self::File(text), Self::Variable)
    }

    pub(crate) fn secret(&self, encoding: Written) -> Secret {
        match self {
            Self::File(path) => Secret::file(path, encoding.into()),
            Self::Variable(name) => Secret::env(*name, encoding.into()),
        }
    }
}

/// How a secret is written.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Written {
    /// As it is
    Raw,
    /// Base64url, with or without padding
    Base64url,
    /// Hexadecimal
    Hex,
}

impl Written {
    /// As a policy file names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Base64url => "base64url",
            Self::Hex => "hex",
        }
    }
}

impl From<Written> for Encoding {
    fn from(written: Written) -> Self {
        match written {
            Written::Raw => Self::Raw,
            Written::Base64url => Self::Base64url,
            Written::Hex => Self::Hex,
        }
    }
}

/// The root secrets of an issuer.
#[derive(clap::Args)]
pub(crate) struct RootOptions {
    /// A root secret of the issuer: a file with it, or env:NAME for an environment variable. Can be given more than once, in
    /// the order in which the instances list them: a change is sealed with the first
    #[arg(long = "root-secret", value_name = "FILE|env:NAME")]
    secrets: Vec<String>,

    /// How the root secrets are written
    #[arg(
        long = "root-encoding",
        value_name = "ENCODING",
        value_enum,
        default_value = "base64url"
    )]
    encoding: Written,
}

impl RootOptions {
    pub(crate) fn count(&self) -> usize {
        self.secrets.len()
    }

    /// In their order.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        self.secrets.iter().map(|text| Place::of(text).secret(self.encoding)).collect()
    }

    /// `None`: none was given.
    pub(crate) fn read(&self) -> Result<Option<RootSecrets>, Failure> {
        if self.secrets.is_empty() {
            return Ok(None);
        }
        RootSecrets::new(self.secrets()).map(Some).map_err(|faults| self.failure(&faults))
    }

    fn failure(&self, faults: &[RootFault]) -> Failure {
        let fault = |fault: &RootFault| {
            let at = match fault {
                RootFault::Secret { at, .. }
                | RootFault::TooShort { at, .. }
                | RootFault::Twice { at } => self.secrets.get(*at),
                _ => None,
            };
            Fault {
                line: None,
                place: at.cloned().unwrap_or_default(),
                message: fault.to_string(),
                is_of_file: false,
            }
        };
        Failure {
            faults: faults.iter().map(fault).collect(),
            ..Failure::fault("the root secrets are refused:")
        }
    }
}

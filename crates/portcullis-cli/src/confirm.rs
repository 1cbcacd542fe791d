//! Asks whether all of an issuer is meant.
use std::io::{IsTerminal as _, stdin};

use crate::output::{Failure, shown};

/// What is asked before something happens to all of an issuer.
pub(crate) struct Question {
    /// What `--all` does, for who is not at a terminal: `--all withdraws every key`.
    pub(crate) all: &'static str,
    /// What happens, in front of and behind the identifier of the issuer: `All keys of`, `are withdrawn`.
    pub(crate) happens: [&'static str; 2],
}

impl Question {
    /// Asks for the identifier of the issuer, unless `yes` was said.
    pub(crate) fn ask(&self, issuer: &str, yes: bool) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        if !stdin().is_terminal() {
            return Err(Failure::fault(format!("{}: give --yes if that is meant", self.all)));
        }
        let ([of, happens], shown) = (self.happens, shown(issuer));
        eprintln!("{of} {shown} {happens}. Type the identifier of the issuer to go on:");
        let mut typed = String::new();
        let read = stdin().read_line(&mut typed);
        read.map_err(|error| Failure::fault(format!("standard input: {error}")))?;
        if typed.trim() == issuer {
            return Ok(());
        }
        Err(Failure::fault("that is not the identifier of the issuer: nothing was changed"))
    }
}

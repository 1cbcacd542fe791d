use std::process::Command;

use portcullis_programs::{Need, runs};

use crate::path;

const NEED: Need = Need { setting: "PORTCULLIS_INTEROP", command: "make interop-tools" };

/// What oidc-provider and jose use and an old Node.js lacks: this fails there.
const IS_NEW_ENOUGH: &str = "URL.parse('a:'); crypto.subtle";

/// What others need to run. `make interop-tools` installs it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tool {
    /// Node.js, with oidc-provider, jose and clients of OAuth.
    Node,
    /// Python, with `PyJWT`, `jwcrypto` and `requests-oauth2client`.
    Python,
}

impl Tool {
    /// Whether a test can use it. If not, says on stderr that the test is left out.
    ///
    /// # Panics
    ///
    /// It is not installed, and `PORTCULLIS_INTEROP` is `required`.
    #[must_use]
    pub fn or_leave_out(self) -> bool {
        self.missing().is_none_or(|what| NEED.or_leave_out(what, false))
    }

    fn missing(self) -> Option<&'static str> {
        let (what, is_missing) = match self {
            Self::Node if !runs(Command::new("node").args(["--eval", IS_NEW_ENOUGH])) => {
                ("Node.js (20 or newer)", true)
            }
            Self::Node => {
                // npm writes it when all the rest is in place.
                let packages = path("provider/node_modules/.package-lock.json");
                ("oidc-provider with jose", !packages.is_file())
            }
            Self::Python => {
                let imports = "import cryptography, jwcrypto, jwt, requests_oauth2client";
                let is_there = runs(Command::new(path(".venv/bin/python")).args(["-c", imports]));
                ("Python with PyJWT, jwcrypto and requests-oauth2client", !is_there)
            }
        };
        is_missing.then_some(what)
    }
}

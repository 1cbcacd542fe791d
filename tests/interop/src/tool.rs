use core::fmt;
use std::env;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::thread;

use crate::path;

/// Says whether a missing tool fails the tests that need it. Not set: they are left out.
const SETTING: &str = "PORTCULLIS_INTEROP";

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
    /// Whether it is installed.
    ///
    /// # Errors
    ///
    /// It is not, or not all of it.
    pub fn installed(self) -> Result<(), Missing> {
        match self {
            Self::Node => {
                if !runs(Command::new("node").args(["--eval", IS_NEW_ENOUGH])) {
                    return Err(Missing("Node.js (20 or newer)"));
                }
                // npm writes it when all the rest is in place.
                let packages = "provider/node_modules/.package-lock.json";
                if path(packages).is_file() {
                    Ok(())
                } else {
                    Err(Missing("oidc-provider with jose"))
                }
            }
            Self::Python => {
                let mut python = Command::new(path(".venv/bin/python"));
                let works = runs(
                    python
                        .args(["-c", "import cryptography, jwcrypto, jwt, requests_oauth2client"]),
                );
                if works {
                    Ok(())
                } else {
                    Err(Missing("Python with PyJWT, jwcrypto and requests-oauth2client"))
                }
            }
        }
    }

    /// Whether a test can use it. If not, says on stderr that the test is left out.
    ///
    /// # Panics
    ///
    /// It is not installed, and `PORTCULLIS_INTEROP` is `required`.
    #[must_use]
    pub fn or_leave_out(self) -> bool {
        let Err(missing) = self.installed() else { return true };
        let thread = thread::current();
        // Where tests run one after the other, it is the main thread.
        let test = thread.name().filter(|name| *name != "main").unwrap_or("a test");
        let message = leave_out(test, &missing, env::var_os(SETTING).as_deref());
        // `eprintln!` would be captured, and a test that is left out passes: nobody would see it.
        let _ = writeln!(io::stderr(), "{}", message.unwrap_or_else(|message| panic!("{message}")));
        false
    }
}

/// What is missing of a [`Tool`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Missing(&'static str);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is missing: run `make interop-tools`", self.0)
    }
}

impl core::error::Error for Missing {}

/// What to say of a test that is left out, or of one that must not be.
fn leave_out(test: &str, missing: &Missing, setting: Option<&OsStr>) -> Result<String, String> {
    match setting.map(OsStr::as_encoded_bytes) {
        None | Some(b"") => Ok(format!("left out: {test}: {missing}")),
        Some(b"required") => Err(format!("{missing} ({SETTING} is `required`)")),
        Some(_) => Err(format!("{SETTING} can only be `required`")),
    }
}

fn runs(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_tool_a_test_is_left_out_and_says_how_to_install_it() {
        for setting in [None, Some(OsStr::new(""))] {
            assert_eq!(
                leave_out("it_verifies", &Missing("Node.js"), setting),
                Ok("left out: it_verifies: Node.js is missing: run `make interop-tools`".into())
            );
        }
    }

    #[test]
    fn a_required_tool_is_not_left_out() {
        let missing = Missing("Node.js");
        for setting in ["required", "optional"] {
            assert!(leave_out("it_verifies", &missing, Some(OsStr::new(setting))).is_err());
        }
    }
}

//! Programs that the tests need, and what becomes of tests without them.
use std::env;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::thread;

/// Says whether a missing proxy fails the tests. Not set: they are left out.
const SETTING: &str = "PORTCULLIS_MTLS";

/// Whether there is a program, which ends well with an argument. If not, says on stderr that the test is left out; where it is
/// required, it fails.
#[must_use]
pub fn or_leave_out(program: &str, argument: &str, what: &str) -> bool {
    let mut version = Command::new(program);
    version.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if version.status().is_ok_and(|status| status.success()) {
        return true;
    }
    let thread = thread::current();
    // Where tests run one after the other, it is the main thread.
    let test = thread.name().filter(|name| *name != "main").unwrap_or("a test");
    let message = leave_out(test, what, env::var_os(SETTING).as_deref());
    // `eprintln!` would be captured, and a test that is left out passes: nobody would see it.
    let _ = writeln!(io::stderr(), "{}", message.unwrap_or_else(|message| panic!("{message}")));
    false
}

/// What to say of a test that is left out, or of one that must not be.
fn leave_out(test: &str, what: &str, setting: Option<&OsStr>) -> Result<String, String> {
    let missing = format!("{what} is missing: run `make mtls-tools`");
    match setting.map(OsStr::as_encoded_bytes) {
        None | Some(b"") => Ok(format!("left out: {test}: {missing}")),
        Some(b"required") => Err(format!("{missing} ({SETTING} is `required`)")),
        Some(_) => Err(format!("{SETTING} can only be `required`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_program_a_test_is_left_out_and_says_how_to_install_it() {
        let message = "left out: it_sends: HAProxy is missing: run `make mtls-tools`";
        for setting in [None, Some(OsStr::new(""))] {
            assert_eq!(leave_out("it_sends", "HAProxy", setting), Ok(message.to_owned()));
        }
    }

    #[test]
    fn a_required_program_is_not_left_out() {
        for setting in ["required", "optional"] {
            assert!(leave_out("it_sends", "nginx", Some(OsStr::new(setting))).is_err());
        }
    }
}

use std::env;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::thread;

/// Programs that the tests of a crate need. Where one is missing, they are left out, unless they are required.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// The environment variable that says whether a missing program fails the tests. Not set: they are left out.
    pub setting: &'static str,
    /// What installs them.
    pub command: &'static str,
}

impl Need {
    /// Whether `what` is there. If not, says on stderr that the test is left out.
    ///
    /// # Panics
    ///
    /// It is not, and is required.
    #[must_use]
    pub fn or_leave_out(self, what: &str, is_there: bool) -> bool {
        if is_there {
            return true;
        }
        let thread = thread::current();
        // Where tests run one after the other, it is the main thread.
        let test = thread.name().filter(|name| *name != "main").unwrap_or("a test");
        let message = self.leave_out(test, what, env::var_os(self.setting).as_deref());
        // `eprintln!` would be captured, and a test that is left out passes: nobody would see it.
        let _ = writeln!(io::stderr(), "{}", message.unwrap_or_else(|message| panic!("{message}")));
        false
    }

    /// What to say of a test that is left out, or of one that must not be.
    fn leave_out(self, test: &str, what: &str, said: Option<&OsStr>) -> Result<String, String> {
        let Self { setting, command } = self;
        let missing = format!("{what} is missing: run `{command}`");
        match said.map(OsStr::as_encoded_bytes) {
            None | Some(b"") => Ok(format!("left out: {test}: {missing}")),
            Some(b"required") => Err(format!("{missing} ({setting} is `required`)")),
            Some(_) => Err(format!("{setting} can only be `required`")),
        }
    }
}

/// Whether a program is there, and ends well.
pub fn runs(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEED: Need = Need { setting: "PORTCULLIS_PROXIES", command: "make proxies" };

    #[test]
    fn without_a_program_a_test_is_left_out_and_says_how_to_install_it() {
        let message = "left out: it_sends: HAProxy is missing: run `make proxies`";
        for said in [None, Some(OsStr::new(""))] {
            assert_eq!(NEED.leave_out("it_sends", "HAProxy", said), Ok(message.to_owned()));
        }
    }

    #[test]
    fn a_required_program_is_not_left_out() {
        for said in ["required", "optional"] {
            assert!(NEED.leave_out("it_sends", "HAProxy", Some(OsStr::new(said))).is_err());
        }
    }

    #[test]
    fn a_program_that_is_not_there_or_fails_does_not_run() {
        assert!(runs(&mut Command::new("true")));
        assert!(!runs(&mut Command::new("false")));
        assert!(!runs(&mut Command::new("no-such-program")));
    }
}

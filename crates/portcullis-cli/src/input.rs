//! Where a token comes from.
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read, stdin};
use std::path::{Path, PathBuf};

use crate::output::{Failure, MARK, Output, counted};
use crate::pasted::{self, Found};
use crate::request::Pasted;

/// The most that is read. A policy takes tokens of 64 KiB at most.
const MOST: u64 = 1024 * 1024;

/// The token of a command.
#[derive(clap::Args)]
pub(crate) struct TokenInput {
    /// The token, or text with the token in it, such as a `curl` command or a JSON answer. Without it, the token
    /// is read from standard input, which is safer: arguments are kept in the history of the shell, and are shown
    /// in the list of processes
    #[arg(conflicts_with = "file")]
    token: Option<String>,

    /// Read the token from this file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Take the token of this name, such as `access_token`, if the text has several tokens
    #[arg(long, value_name = "NAME")]
    from: Option<String>,
}

/// A token, and the request that it stood in.
pub(crate) struct SentInput {
    pub(crate) token: Vec<u8>,
    /// The scheme before it, in lower case.
    pub(crate) scheme: Option<&'static str>,
    pub(crate) request: Pasted,
}

impl TokenInput {
    /// The token. Says on standard error what was done to find it.
    pub(crate) fn read(&self, output: &Output) -> Result<Vec<u8>, Failure> {
        Ok(self
            .read_with(output, |text| Pasted { rest: text.to_owned(), ..Pasted::default() })?
            .token)
    }

    /// The token, and what belongs to its request. Says on standard error what was done to find it.
    ///
    /// `certificate_header`: where the policy reads its client's certificate.
    pub(crate) fn read_sent(
        &self,
        output: &Output,
        certificate_header: Option<&str>,
    ) -> Result<SentInput, Failure> {
        self.read_with(output, |text| Pasted::read(text, certificate_header))
    }

    fn read_with(
        &self,
        output: &Output,
        take: impl FnOnce(&str) -> Pasted,
    ) -> Result<SentInput, Failure> {
        let (input, name) = match (&self.token, &self.file) {
            (Some(token), _) => (token.clone().into_bytes(), "the argument".to_owned()),
            (None, Some(path)) => (read_file(path)?, path.display().to_string()),
            (None, None) => (read_standard_input()?, "standard input".to_owned()),
        };
        let fault = |message: String| Failure::fault(format!("{name}: {message}"));
        let mut done = Vec::new();
        let mut request = Pasted::default();
        let found = match text_of(&input, &mut done).map_err(fault)? {
            Some(text) => {
                request = take(&text);
                pasted::find(&request.rest, self.from.as_deref()).map_err(fault)?
            }
            // Not a token, as whoever judges it will say.
            None => Found { token: input.trim_ascii().to_vec(), done: Vec::new() },
        };
        if !request.proofs.is_empty() {
            done.push(format!("took {} out of it", counted(request.proofs.len(), "proof")));
        }
        if !request.certificates.is_empty() {
            done.push("took the header with the certificate out of it".to_owned());
        }
        done.extend(found.done);
        if self.token.as_deref().is_some_and(|argument| is_name_of_file(argument, &found.token)) {
            return Err(fault("this is the name of a file: give it by --file".to_owned()));
        }
        if !done.is_empty() {
            output.remark(&format!("{name}: {}", done.join(", ")));
        }
        let text = core::str::from_utf8(&found.token).unwrap_or_default();
        let scheme = pasted::scheme_of(&request.rest, text).filter(|_| !text.is_empty());
        Ok(SentInput { token: found.token, scheme, request })
    }
}

/// Whether what should be a token is a path at which there is a file.
fn is_name_of_file(argument: &str, token: &[u8]) -> bool {
    let has_no_parts = token.iter().filter(|byte| **byte == b'.').count() < 2;
    has_no_parts && argument.len() < 4096 && Path::new(argument.trim()).is_file()
}

fn read_standard_input() -> Result<Vec<u8>, Failure> {
    if stdin().is_terminal() {
        let end = if cfg!(windows) { "Ctrl-Z and Enter" } else { "Ctrl-D" };
        eprintln!("Paste the token, and press {end} on a new line:");
    }
    read_all(stdin().lock(), "standard input")
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| Failure::fault(format!("{name}: {error}")))?;
    read_all(file, &name)
}

fn read_all(input: impl Read, name: &str) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    let read: io::Result<_> = input.take(MOST + 1).read_to_end(&mut content);
    read.map_err(|error| Failure::fault(format!("{name}: {error}")))?;
    if content.len() as u64 > MOST {
        return Err(Failure::fault(format!("{name} has over 1 MiB, and no token is as large")));
    }
    Ok(content)
}

/// The text, without the mark that editors and shells on Windows put in front of it. `None`: it is not text.
fn text_of<'a>(input: &'a [u8], done: &mut Vec<String>) -> Result<Option<Cow<'a, str>>, String> {
    let utf_16 = match input {
        [0xff, 0xfe, rest @ ..] => Some((rest, u16::from_le_bytes as fn(_) -> _)),
        [0xfe, 0xff, rest @ ..] => Some((rest, u16::from_be_bytes as fn(_) -> _)),
        _ => None,
    };
    if let Some((input, unit)) = utf_16 {
        let (pairs, rest) = input.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
        let text = String::from_utf16(&units).ok().filter(|_| rest.is_empty());
        done.push("read it as UTF-16".to_owned());
        return text
            .map(|text| Some(text.into()))
            .ok_or_else(|| "begins as UTF-16 does, and is not: save it as UTF-8".to_owned());
    }
    let unmarked = input.strip_prefix(MARK);
    if unmarked.is_some() {
        done.push("left out a byte order mark".to_owned());
    }
    Ok(core::str::from_utf8(unmarked.unwrap_or(input)).ok().map(Cow::Borrowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(input: &[u8]) -> (Result<Option<String>, String>, Vec<String>) {
        let mut done = Vec::new();
        let text = text_of(input, &mut done).map(|text| text.map(Cow::into_owned));
        (text, done)
    }

    #[test]
    fn marks_are_left_out_and_utf_16_is_read() {
        let plain = (Ok(Some("aé".to_owned())), Vec::new());
        assert_eq!(text("aé".as_bytes()), plain);
        let with = |done: &str| (plain.0.clone(), vec![done.to_owned()]);
        assert_eq!(text("\u{feff}aé".as_bytes()), with("left out a byte order mark"));
        assert_eq!(text(b"\xff\xfea\0\xe9\0"), with("read it as UTF-16"));
        assert_eq!(text(b"\xfe\xff\0a\0\xe9"), with("read it as UTF-16"));
    }

    #[test]
    fn what_is_not_text_is_told_apart() {
        assert_eq!(text(b"\xfc"), (Ok(None), Vec::new()));
        for broken in [&b"\xff\xfea"[..], b"\xff\xfe\x00\xd8", b"\xfe\xff\xdc\x00a"] {
            assert!(text(broken).0.unwrap_err().contains("UTF-16"), "{broken:?}");
        }
    }
}

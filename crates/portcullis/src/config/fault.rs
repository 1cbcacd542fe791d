use core::fmt::{self, Write as _};
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use crate::debug_as_displayed::debug_as_displayed;
use crate::policy::PolicyFault;
use crate::signature::UnknownAlgorithm;
use crate::source::CookieError;

/// A policy given as data that is refused. Lists every fault at once, with its place.
///
/// Shows nothing of what stands at a place where a secret could stand.
#[derive(Clone, Eq, PartialEq)]
pub struct ConfigError {
    file: Option<PathBuf>,
    faults: Vec<ConfigFault>,
}

impl ConfigError {
    /// In the order of the lines, where they are known.
    pub(super) fn new(mut faults: Vec<ConfigFault>) -> Self {
        faults.sort_by_key(|fault| fault.line);
        Self { file: None, faults }
    }

    /// The file can be read, and nothing can look whether it changes.
    pub(super) fn unwatched(path: &Path, error: &io::Error) -> Self {
        Self::unreadable(format!("no thread to watch it: {error}")).in_file(path)
    }

    /// There is nothing to judge.
    pub(super) fn unreadable(reason: impl Into<String>) -> Self {
        let problem = ConfigProblem::Unreadable { reason: reason.into() };
        Self::new(vec![ConfigFault { place: String::new(), line: None, problem }])
    }

    pub(super) fn in_file(self, path: &Path) -> Self {
        Self { file: Some(path.to_owned()), ..self }
    }

    /// Every fault, at least one.
    pub fn faults(&self) -> &[ConfigFault] {
        &self.faults
    }

    /// The file that the policy was read from, if it was read from one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(path) => write!(f, "the policy file {} is refused:", path.display())?,
            None => f.write_str("the policy is refused:")?,
        }
        self.faults.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
    }
}

debug_as_displayed!(ConfigError);

impl core::error::Error for ConfigError {}

/// One fault of a policy given as data. Its text names the way out.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigFault {
    /// Where: `issuer[0].keys.secrets[1].file`, counted from 0. Empty for the policy as a whole.
    pub place: String,
    /// In which line, counted from 1. Known of TOML and JSON that this module reads.
    pub line: Option<usize>,
    /// What.
    pub problem: ConfigProblem,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        self.problem.fmt(f)
    }
}

impl core::error::Error for ConfigFault {}

/// What is wrong at a place of a policy given as data.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ConfigProblem {
    /// The policy file cannot be read.
    Unreadable {
        /// Why.
        reason: String,
    },
    /// The text is not written in the format that it is read as.
    Syntax {
        /// The format: `TOML` or `JSON`.
        format: &'static str,
        /// At which character of the line, counted from 1.
        column: usize,
        /// What the parser says.
        message: String,
    },
    /// A key that means nothing here.
    UnknownKey {
        /// A key of almost this name that does.
        nearest: Option<&'static str>,
        /// Every key that does.
        known: Vec<&'static str>,
        /// Whether it would mean something at the top level. In TOML, a key after a `[table]`
        /// belongs to that table.
        is_of_top_level: bool,
    },
    /// The same key twice.
    DuplicateKey,
    /// A key that has no default is missing.
    Missing,
    /// None of these keys is there, and one has to be.
    MissingOneOf {
        /// The keys.
        keys: &'static [&'static str],
    },
    /// It says nothing without another key.
    Needs {
        /// The other key.
        key: &'static str,
    },
    /// It says nothing without one of these.
    NeedsOneOf {
        /// The other keys.
        keys: &'static [&'static str],
    },
    /// It needs a feature of this crate that the program was built without.
    NeedsFeature {
        /// The feature.
        feature: &'static str,
    },
    /// It cannot stand beside another key.
    Conflict {
        /// The place of the other key.
        with: String,
    },
    /// It is of another type.
    WrongType {
        /// What belongs here.
        expected: Cow<'static, str>,
        /// What is there.
        found: &'static str,
    },
    /// It is none of the values that there are.
    UnknownValue {
        /// These are.
        expected: &'static [&'static str],
    },
    /// It names no algorithm.
    UnknownAlgorithm {
        /// What it says.
        name: String,
    },
    /// It is too small or too large.
    OutOfRange {
        /// What belongs here.
        expected: &'static str,
    },
    /// It is empty, so that no token could pass.
    Empty,
    /// It is no duration of whole seconds.
    Duration,
    /// It is no duration of whole milliseconds.
    FineDuration,
    /// It is no date and time.
    Time,
    /// It is a date, or date and time, without an offset from UTC.
    NoOffset,
    /// It is not what an environment variable can be called; perhaps its value.
    EnvironmentName,
    /// `${` begins the name of an environment variable, and none follows.
    VariableName,
    /// An environment variable that it names is not set.
    VariableMissing {
        /// Its name.
        name: String,
    },
    /// What an environment variable says is not UTF-8.
    VariableText {
        /// Its name.
        name: String,
    },
    /// A secret, it seems. It must not stand in a policy, which is read, copied and checked in.
    LiteralSecret,
    /// It names a store of used proofs that the program does not give.
    UnknownReplays {
        /// The name.
        name: String,
        /// The names of those that it gives.
        known: Vec<String>,
    },
    /// It names a store of used proofs, and the program gives several of this name.
    SeveralReplays {
        /// The name.
        name: String,
    },
    /// It is not what a cookie can be written with.
    Cookie(CookieError),
    /// The policy made of it is refused.
    Policy(PolicyFault),
}

impl ConfigProblem {
    /// Whether it is about a variable in a text that is not known without it.
    pub(super) fn is_of_variable(&self) -> bool {
        matches!(
            self,
            Self::VariableName | Self::VariableMissing { .. } | Self::VariableText { .. }
        )
    }
}

impl fmt::Display for ConfigProblem {
    #[allow(clippy::too_many_lines, reason = "one match, with an arm for each")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { reason } => write!(f, "cannot be read: {reason}"),
            Self::Syntax { format, column, message } => {
                write!(f, "column {column}: not {format}: {message}")
            }
            Self::UnknownKey { is_of_top_level: true, .. } => f.write_str(
                "is not a key of this table, but of the top level: in TOML, move it above the first `[table]`",
            ),
            Self::UnknownKey { nearest: Some(nearest), .. } => {
                write!(f, "is not a known key: did you mean `{nearest}`?")
            }
            Self::UnknownKey { nearest: None, known, .. } => {
                f.write_str("is not a known key; the keys here are ")?;
                quoted(known, '`', f)
            }
            Self::DuplicateKey => f.write_str("is there twice: leave one out"),
            Self::Missing => f.write_str("is missing and has no default: set it"),
            Self::MissingOneOf { keys } => {
                f.write_str("needs one of ")?;
                quoted(keys, '`', f)
            }
            Self::Needs { key } => write!(f, "has no effect without `{key}`: add it"),
            Self::NeedsOneOf { keys } => {
                f.write_str("has no effect without one of ")?;
                quoted(keys, '`', f)
            }
            Self::NeedsFeature { feature } => {
                write!(f, "needs the feature `{feature}` of portcullis: turn it on in Cargo.toml")
            }
            Self::Conflict { with } => write!(f, "cannot be set together with `{with}`: leave one out"),
            Self::WrongType { expected, found } => write!(f, "is {found}; write {expected}"),
            Self::UnknownValue { expected } => {
                f.write_str("must be one of ")?;
                quoted(expected, '"', f)
            }
            Self::UnknownAlgorithm { name } => {
                write!(f, "`{}`: {UnknownAlgorithm}", cut(name))
            }
            Self::OutOfRange { expected } => write!(f, "is out of range; write {expected}"),
            Self::Empty => f.write_str("is empty, so that no token could pass"),
            Self::Duration => f.write_str(
                "is not a duration of whole seconds; write days, hours, minutes and seconds: \"30d\", \"1h 30m\"",
            ),
            Self::FineDuration => f.write_str(
                "is not a duration of whole milliseconds; write days, hours, minutes, seconds and milliseconds: \"1s 500ms\"",
            ),
            Self::Time => {
                f.write_str("is not a date and time of RFC 3339; write it as 2026-12-31T00:00:00Z")
            }
            Self::NoOffset => f.write_str(
                "does not say in which time zone; write it as 2026-12-31T00:00:00Z, or with an offset such as +01:00",
            ),
            Self::EnvironmentName => f.write_str(
                "is not the name of an environment variable; name the variable that holds the secret",
            ),
            Self::VariableName => f.write_str(
                "`${` begins the name of an environment variable: write `${NAME}`, or `$${` for the characters themselves",
            ),
            Self::VariableMissing { name } => write!(
                f,
                "names the environment variable `{name}`, which is not set: set it, or write its value here"
            ),
            Self::VariableText { name } => {
                write!(f, "the environment variable `{name}` is not text in UTF-8")
            }
            Self::LiteralSecret => f.write_str(
                "a secret must not be written into a policy: put it into a file or an environment variable, and write `secrets = [{ file = \"…\" }]` or `secrets = [{ env = \"…\" }]`",
            ),
            Self::UnknownReplays { name, known } => {
                let known: Vec<_> = known.iter().map(String::as_str).collect();
                write!(f, "`{}` is not a store of used proofs that this program gives; write one of ", cut(name))?;
                quoted(&known, '"', f)?;
                f.write_str(", or give it in code: `replays` of `PolicyFileOptions` or `PolicyConfig`")
            }
            Self::SeveralReplays { name } => write!(
                f,
                "this program gives several stores of used proofs the name `{}`: give each a name of its own",
                cut(name)
            ),
            Self::Cookie(error) => error.fmt(f),
            // It quotes names as they stand in the data: one fault stays one line.
            Self::Policy(fault) => fault.to_string().chars().try_for_each(|character| {
                if character.is_control() {
                    write!(f, "{}", character.escape_debug())
                } else {
                    f.write_char(character)
                }
            }),
        }
    }
}

/// Text of a policy for one line, and no more than is needed to find it.
fn cut(text: &str) -> String {
    text.chars().take(32).flat_map(char::escape_debug).collect()
}

fn quoted(names: &[&str], quote: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    names.iter().enumerate().try_for_each(|(at, name)| {
        let separator = if at == 0 { "" } else { ", " };
        write!(f, "{separator}{quote}{name}{quote}")
    })
}

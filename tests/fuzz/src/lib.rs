//! What the fuzz targets ask of the library.
//!
//! Each module is a target: a function that takes any bytes, gives them to the library, and panics where
//! a promise is broken. It says what came of the bytes, so that a test sees a target of which nothing is
//! accepted any more: such a target asks nothing.
//!
//! Two drive them: `tests/corpora.rs` with the committed corpora and mutations of them, the same in every
//! run, and `fuzz/` with libFuzzer, which finds its way by what the code does.
pub mod corpora;
pub mod htu;
pub mod issuer;
pub mod keys;
pub mod policy_file;
pub mod proof;
pub mod request;
pub mod token;

/// What the library made of an input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It accepted the input: a token, a key, a policy, a request.
    Accepted,
    /// It refused the input.
    Refused,
    /// The input was not given to it.
    Skipped,
}

/// A target, and the name of the folder with its corpus.
pub type Target = (&'static str, fn(&[u8]) -> Outcome);

/// Every target.
pub const TARGETS: [Target; 6] = [
    ("htu", htu::check),
    ("keys", keys::check),
    ("policy_file", policy_file::check),
    ("proof", proof::check),
    ("request", request::check),
    ("token", token::check),
];

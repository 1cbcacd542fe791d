//! Programs of others that tests start, and what becomes of tests without them.
mod need;
mod process;

pub use self::need::{Need, runs};
pub use self::process::Process;

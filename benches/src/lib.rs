//! What the benchmarks measure: the tokens, the calls, and how they are timed side by side.
//!
//! See `README.md` for what the numbers mean and how to get them.
pub mod adapters;
pub mod call;
pub mod case;
pub mod refusal;
pub mod rounds;
pub mod sender;
pub mod vectors;

pub use crate::case::Case;
pub use crate::refusal::Refused;
pub use crate::sender::Client;
pub use crate::vectors::{Vector, Vectors};

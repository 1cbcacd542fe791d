//! What stores of rings promise, with real databases and what happens to them.
#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

mod conformance;
mod life;
mod limits;
mod postgres;
mod postgres_sessions;
mod processes;
mod sessions;
mod sqlite;

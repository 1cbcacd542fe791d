//! Bounds on what verification allocates: see `tests/bounds.rs`.

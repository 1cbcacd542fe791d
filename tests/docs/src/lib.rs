//! The code in the project's README compiles and runs, as doctests of this crate.
#![cfg_attr(doctest, doc = include_str!("../../../README.md"))]

//! Sessions in a real browser.
//!
//! Rows are made old between rounds, so that nothing waits for a window.
mod pages;
mod scripts;
mod site;

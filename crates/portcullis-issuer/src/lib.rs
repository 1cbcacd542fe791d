//! The issuing half of Portcullis: signing keys that are published ahead of use, sign, and retire by themselves.
//!
//! So far it says which key does what and when: see [`ring`].
pub mod ring;

//! The issuing half of Portcullis: signing keys that are published ahead of use, sign, and retire by themselves.
//!
//! So far it says which key does what and when: see [`ring`].
mod keeper;
mod key;
pub mod ring;
mod root;
mod row;
mod seal;
pub mod store;
mod token;

pub use self::keeper::RingError;
pub use self::key::KeyError;
pub use self::root::{RootFault, RootSecrets};
pub use self::row::{ForeignRow, KeyRow};
pub use self::seal::{Sealed, SealedFor, UnsealError};
pub use self::token::{AccessToken, MintError, Minted, NoClaims, RESERVED_CLAIMS};

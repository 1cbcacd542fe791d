//! Sessions in a database, whichever it is.
mod columns;
mod steps;

pub(crate) use self::columns::{
    SessionColumns, bytes, code, ended, ids, limit, millis, now, number, raised, selected, sessions,
};
pub(crate) use self::steps::{END_STEP, session_store};

use serde::{Deserialize, Serialize};

/// The first line that a program writes: what it is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Hello {
    /// The library's package.
    pub library: String,
    /// The packages, each a dependency of the one before, that lead from the library to its
    /// cryptography.
    pub engine: Vec<String>,
    /// What the versions of those do not say.
    pub note: String,
    /// The cases that it can verify, by number.
    pub cases: Vec<usize>,
    /// Its routes. The first is without the library.
    pub routes: Vec<String>,
}

/// A line that the driver writes, to be answered by a line.
#[derive(Debug, Deserialize, Serialize)]
pub enum Order {
    /// One request with this token. The answer is an [`Answer`].
    Call {
        /// The number of the route.
        route: usize,
        /// The number of the case.
        case: usize,
        /// What goes into the header.
        token: String,
    },
    /// Requests with the tokens of the case for so long. The answer is the median time of a
    /// request in nanoseconds.
    Run {
        /// The number of the route.
        route: usize,
        /// The number of the case.
        case: usize,
        /// How long.
        micros: u64,
    },
}

/// What a route answered.
#[derive(Debug, Deserialize, Serialize)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

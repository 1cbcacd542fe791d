//! One table of requests and answers, run over real sockets through tower, axum and actix-web: what
//! the client sees is the same at each [`Door`](doors::Door). And the testbed, a server to aim
//! tokens at.
pub mod client;
pub mod doors;
pub mod policies;
pub mod table;

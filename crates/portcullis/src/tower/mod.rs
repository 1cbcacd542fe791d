//! The policy, and what routes ask for besides, as tower middleware.
//!
//! What passes to the inner service: a request that the policy admits, with an
//! [`Admission`](crate::Admission) in its extensions; behind a [`RequireLayer`], one whose token meets the
//! requirement. Others are answered here, and the inner
//! service does not see them.
//!
//! Other layers of tower and tower-http stand outside, between and inside. Outside belongs what all answers need, refusals
//! included: CORS, which answers preflights itself (they carry no token), tracing, compression; a timeout there also bounds
//! how long a request waits for keys. Inside belongs what is for callers alone. An inner service that takes room when it is
//! polled ready, as under a concurrency limit, keeps it while the request waits for keys.
mod body;
mod future;
mod layer;
mod require;
mod service;

pub use self::body::ResponseBody;
pub use self::future::ResponseFuture;
pub use self::layer::VerifyLayer;
pub use self::require::{Require, RequireFuture, RequireLayer};
pub use self::service::Verify;

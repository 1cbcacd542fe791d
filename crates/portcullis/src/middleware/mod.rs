//! The policy, and what routes ask for besides, as tower middleware.
//!
//! What passes to the inner service: a request that the policy admits, with an
//! [`Admission`](crate::Admission) in its extensions; behind a [`RequireLayer`], one whose token meets the
//! requirement. Others are answered here, and the inner
//! service does not see them.
mod body;
mod future;
mod layer;
mod require;
mod service;

pub use self::body::ResponseBody;
pub use self::future::ResponseFuture;
pub use self::layer::VerifyLayer;
pub use self::require::{Require, RequireLayer};
pub use self::service::Verify;

//! The policy as a tower middleware.
//!
//! What passes to the inner service: a request that the policy admits, with an
//! [`Admission`](crate::Admission) in its extensions. Others are answered here, and the inner
//! service does not see them.
mod body;
mod future;
mod layer;
mod service;

pub use self::body::ResponseBody;
pub use self::future::ResponseFuture;
pub use self::layer::VerifyLayer;
pub use self::service::Verify;

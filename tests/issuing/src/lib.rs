//! Issuing processes over one store, behind one address, with all times of a schedule scaled down.
mod balancer;
mod instance;
mod store;
mod terms;

pub use self::balancer::Balancer;
pub use self::instance::Instance;
pub use self::store::{Skewed, open};
pub use self::terms::{AUDIENCE, LIFETIME, SKEW, VERIFIER_CACHE, builder, schedule};

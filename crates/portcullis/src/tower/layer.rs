use tower_layer::Layer;

use super::Verify;
use crate::policy::Policy;

/// Puts a [`Policy`] in front of services: those of axum, tonic, hyper, any of tower.
///
/// In axum take the layer of `portcullis-axum`, which also sees the path before a router strips its prefix. There,
/// `.layer` covers only the routes that were added before it.
///
/// ```
/// use portcullis::tower::VerifyLayer;
/// use portcullis::Policy;
/// use tower_layer::Layer;
///
/// # fn protect<S: Clone>(policy: &Policy, service: S) {
/// let service = VerifyLayer::new(policy.clone()).layer(service);
/// # let _ = service; }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct VerifyLayer {
    policy: Policy,
}

impl VerifyLayer {
    /// Lets in what `policy` admits.
    pub fn new(policy: Policy) -> Self {
        Self { policy }
    }
}

impl<S> Layer<S> for VerifyLayer {
    type Service = Verify<S>;

    fn layer(&self, inner: S) -> Verify<S> {
        Verify::new(inner, self.policy.clone())
    }
}

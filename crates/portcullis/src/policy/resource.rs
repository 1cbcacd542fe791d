//! Whether a policy keeps what the document of its resource says.
use super::issuer::Issuer;
use crate::dpop::Dpop;
use crate::mtls::Mtls;
use crate::resource::{Proofs, ProtectedResource, ResourcePolicyFault};
use crate::source::{Kind, TokenSource};

/// What the document says that a policy of these issuers and sources would not keep.
pub(super) fn faults(
    resource: &ProtectedResource,
    issuers: &[Issuer],
    sources: Option<&[TokenSource]>,
    (dpop, mtls): (Option<&Dpop>, Option<&Mtls>),
) -> Vec<ResourcePolicyFault> {
    let accepts = |issuer: &Issuer| issuer.names_audience(resource.identifier());
    let servers = resource.authorization_servers();
    let mut faults = Vec::new();
    let mut is_audience = !servers.is_empty() || issuers.iter().any(accepts);
    for server in servers {
        let mut trusted = issuers.iter().filter(|issuer| issuer.may_be(server)).peekable();
        if trusted.peek().is_none() {
            faults.push(ResourcePolicyFault::AuthorizationServer { server: server.clone() });
        } else if !trusted.any(accepts) {
            is_audience = false;
        }
    }
    if !is_audience {
        faults.push(ResourcePolicyFault::Audience { resource: resource.identifier().to_owned() });
    }
    if sources.is_some_and(|all| !all.iter().any(|source| matches!(source.0, Kind::Bearer))) {
        faults.push(ResourcePolicyFault::NoBearer);
    }
    let taken = dpop.map(Proofs::of);
    let is_so = match (resource.proofs(), &taken) {
        (None, taken) => taken.as_ref().is_none_or(Proofs::may_be_left_out),
        (said, taken) => said == taken.as_ref(),
    };
    if !is_so {
        faults.push(ResourcePolicyFault::Dpop);
    }
    let is_so = match (resource.takes_certificates(), mtls) {
        (true, mtls) => mtls.is_some(),
        // A client that knows nothing of it gets in, unless it is required.
        (false, mtls) => mtls.is_none_or(|mtls| !mtls.is_required),
    };
    if !is_so {
        faults.push(ResourcePolicyFault::Mtls);
    }
    faults
}

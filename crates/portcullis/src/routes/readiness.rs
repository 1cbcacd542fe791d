//! Whether this service can decide about tokens.
use core::fmt;

use http::StatusCode;

use super::reply::Reply;
use crate::policy::Policy;
use crate::refusal::RETRY;
use crate::request::RequestView;

/// The route of a readiness probe: whether a policy can decide about tokens now.
///
/// | | answer |
/// | --- | --- |
/// | there are keys of every named issuer, every revocation source can tell, and so can the store of used proofs | 200 `{"ready":true,"keys":true,"revocation":true,"proofs":true}` |
/// | not so | 503 with `Retry-After`, and what is missing is `false` |
/// | another method than GET and HEAD | 405 |
///
/// It needs no token, and says nothing of issuers. Not for liveness: a restart brings no provider back.
///
/// Where keys come from an address, nothing is fetched before somebody asks: call
/// [`Policy::keys_ready`](crate::Policy::keys_ready) at the start (feature `remote-jwks`), or set `load_at_start`, lest a service
/// that gets no requests until it is ready never is. The probe itself asks for them, too.
///
/// ```
/// use portcullis::Readiness;
/// use portcullis_testkit::TestIssuer;
///
/// let readiness = Readiness::new(TestIssuer::new("https://id.example").policy());
/// let reply = readiness.answer(&http::Request::new(()));
/// assert_eq!(reply.status(), 200);
/// let body = str::from_utf8(reply.body())?;
/// assert!(body.starts_with(r#"{"ready":true,"keys":true,"#));
/// # Ok::<(), core::str::Utf8Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Readiness {
    policy: Policy,
}

impl Readiness {
    /// Of this policy.
    pub fn new(policy: Policy) -> Self {
        Self { policy }
    }

    /// Answers a request.
    pub fn answer(&self, request: &impl RequestView) -> Reply<NotReady> {
        match request.method() {
            "GET" => self.state(),
            "HEAD" => self.state().without_body(),
            _ => Reply::new(StatusCode::METHOD_NOT_ALLOWED).allowing("GET, HEAD"),
        }
    }

    fn state(&self) -> Reply<NotReady> {
        let rules = self.policy.rules();
        let state = NotReady {
            keys: rules.issuers.have_keys(),
            revocation: rules.revocations.are_available(),
            proofs: rules.can_tell_proofs(),
        };
        let NotReady { keys, revocation, proofs } = state;
        let is_ready = keys && revocation && proofs;
        let body = format!(
            r#"{{"ready":{is_ready},"keys":{keys},"revocation":{revocation},"proofs":{proofs}}}"#
        );
        if is_ready {
            return Reply::new(StatusCode::OK).with_body("application/json", body);
        }
        #[cfg(feature = "remote-jwks")]
        self.policy.want_keys();
        Reply::new(StatusCode::SERVICE_UNAVAILABLE)
            .with_body("application/json", body)
            .retry_after(RETRY)
            .because(state)
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("policy", &self.policy).finish()
    }
}

/// What a policy lacks to decide about tokens.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotReady {
    /// Whether there are keys of every named issuer.
    pub keys: bool,
    /// Whether every revocation source can tell.
    pub revocation: bool,
    /// Whether it can be told which proofs were used, where the policy takes [proofs](crate::dpop).
    pub proofs: bool,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lacks = [
            (self.keys, "the keys of an issuer are not available"),
            (self.revocation, "it is not known which tokens were revoked"),
            (self.proofs, "it is not known which proofs were used"),
        ];
        f.write_str("not ready")?;
        let mut separator = ": ";
        for (_, lack) in lacks.iter().filter(|(is_there, _)| !is_there) {
            write!(f, "{separator}{lack}")?;
            separator = ", and ";
        }
        Ok(())
    }
}

impl core::error::Error for NotReady {}

//! Whether an app does what its OpenAPI document says of security.
mod document;
mod sample;
#[cfg(all(test, feature = "axum"))]
mod tests;
mod walk;

use core::fmt;

use serde_json::Value;

use self::document::{Alternative, Operation};
pub use self::sample::Parameter;
pub(crate) use self::walk::walk;
use crate::SigningKey;
use crate::dpop::DpopClient;
use crate::mtls::MtlsClient;

type Mints<'a> = dyn Fn(&WantedToken<'_>) -> String + 'a;
type Samples<'a> = dyn Fn(&Parameter<'_>) -> Option<String> + 'a;

/// An OpenAPI document (3.0 or 3.1), and what it takes to ask an app about it: for `assert_openapi`, whoever wrote or
/// generated the document.
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis_testkit::{OpenApi, TestIssuer};
/// use serde_json::json;
///
/// let issuer = TestIssuer::new("https://id.example");
/// // The one that the service serves:
/// let document = json!({ "openapi": "3.1.0", "paths": {} });
/// let document = OpenApi::new(&document, |wanted| {
///     issuer.token(Algorithm::ES256).scope(wanted.scope()).mint()
/// });
/// # let _ = document;
/// ```
///
/// Setters may be called in any order.
#[must_use]
pub struct OpenApi<'a> {
    document: &'a Value,
    token: Box<Mints<'a>>,
    sample: Box<Samples<'a>>,
    excepted: Vec<(&'a str, &'a str)>,
    is_mutating: bool,
    base: Option<String>,
    client: Option<&'a MtlsClient>,
    proofs: Option<Proofs<'a>>,
}

/// Who makes proofs, and the address under which clients know the service.
#[derive(Clone, Copy, Debug)]
struct Proofs<'a> {
    client: &'a DpopClient,
    base: &'a str,
}

impl<'a> OpenApi<'a> {
    /// This document, and a token for what it says: one that the policy accepts, with exactly the
    /// [scopes](WantedToken::scopes) that are wanted, and all else that the operation needs.
    pub fn new(document: &'a Value, token: impl Fn(&WantedToken<'_>) -> String + 'a) -> Self {
        Self {
            document,
            token: Box::new(token),
            sample: Box::new(|_| None),
            excepted: Vec::new(),
            is_mutating: false,
            base: None,
            client: None,
            proofs: None,
        }
    }

    /// Samples for parameters in the path and in the query, before the document is asked for one.
    ///
    /// If you do not call it, or it gives `None`: the `example`, one of the `examples`, or what the `schema` takes.
    /// Where there is none of these for the path, the operation counts as not tested, and the assertion fails.
    pub fn sample(mut self, sample: impl Fn(&Parameter<'_>) -> Option<String> + 'a) -> Self {
        self.sample = Box::new(sample);
        self
    }

    /// Asks operations as well whose methods change something: POST, PUT, PATCH and DELETE. Their handlers run, with an
    /// empty body.
    ///
    /// If you do not call it: GET, HEAD, OPTIONS and TRACE are asked.
    pub fn mutating(mut self) -> Self {
        self.is_mutating = true;
        self
    }

    /// Leaves these operations out, methods and paths as in the document. May be called several times.
    pub fn except(mut self, operations: &[(&'a str, &'a str)]) -> Self {
        self.excepted.extend_from_slice(operations);
        self
    }

    /// Asks over the connections of this client, with its certificate where the document asks for one beside the token: where an
    /// alternative has a scheme of the type `mutualTLS` as well. All else is asked without a certificate. The client's own
    /// token is not used: [`WantedToken::certificate`] says what yours has to be bound to.
    ///
    /// If you do not call it: an alternative with a certificate counts as not tested, and the assertion fails.
    pub fn mtls_client(mut self, client: &'a MtlsClient) -> Self {
        self.client = Some(client);
        self
    }

    /// Sends a token with new proofs of this client's key where the document asks for the scheme `dpop` (of the type `http`): by
    /// `Authorization: DPoP`, and once more with a nonce if the answer asks for one. `base` is the address under which clients know the
    /// service, as [`Dpop::at`](portcullis::dpop::Dpop::at) has it: a proof is for `base` and the path that is asked. The client's own
    /// token is not used: [`WantedToken::key`] says what yours has to be bound to.
    ///
    /// [`InProcessReplays`](portcullis::dpop::InProcessReplays) that have just begun refuse proofs for 10 s: let them have begun
    /// earlier, by [`started_at`](portcullis::dpop::InProcessReplays::started_at).
    ///
    /// If you do not call it: an alternative with proofs counts as not tested, and the assertion fails.
    pub fn dpop_client(mut self, client: &'a DpopClient, base: &'a str) -> Self {
        self.proofs = Some(Proofs { client, base });
        self
    }

    /// Under which path the app has what the document describes: `""` where a proxy strips the path of the server.
    ///
    /// If you do not call it: under the path of the first of the `servers`.
    pub fn base(mut self, path: impl Into<String>) -> Self {
        self.base = Some(path.into());
        self
    }
}

impl fmt::Debug for OpenApi<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenApi")
            .field("excepted", &self.excepted)
            .field("is_mutating", &self.is_mutating)
            .field("base", &self.base)
            .field("client", &self.client)
            .field("proofs", &self.proofs)
            .finish_non_exhaustive()
    }
}

/// What the token has to have that [`OpenApi`] asks for.
#[derive(Debug)]
pub struct WantedToken<'w> {
    operation: &'w Operation,
    alternative: &'w Alternative,
    scopes: Vec<&'w str>,
    certificate: Option<&'w [u8]>,
    key: Option<&'w SigningKey>,
}

impl WantedToken<'_> {
    /// The method of the operation.
    pub fn method(&self) -> &str {
        self.operation.method
    }

    /// Its path, as in the document.
    pub fn path(&self) -> &str {
        &self.operation.path
    }

    /// The name of the security scheme.
    pub fn scheme(&self) -> &str {
        &self.alternative.scheme
    }

    /// Exactly these scopes, and no other.
    pub fn scopes(&self) -> &[&str] {
        &self.scopes
    }

    /// The same as one text, as it stands in the claim `scope`.
    pub fn scope(&self) -> String {
        self.scopes.join(" ")
    }

    /// The DER of the certificate that the token has to be bound to, by
    /// [`TokenBuilder::bound_to_certificate`](crate::TokenBuilder::bound_to_certificate): that of
    /// [`OpenApi::mtls_client`], where the document asks for a certificate. `None`: bind it to none.
    pub fn certificate(&self) -> Option<&[u8]> {
        self.certificate
    }

    /// The key that the token has to be bound to, by [`TokenBuilder::bound_to`](crate::TokenBuilder::bound_to): that of
    /// [`OpenApi::dpop_client`], where the document asks for a proof of it. `None`: bind it to none.
    pub fn key(&self) -> Option<&SigningKey> {
        self.key
    }

    /// What the operation needs besides scopes, in words: what stands in `x-portcullis`, if it is there.
    pub fn beyond(&self) -> &[String] {
        &self.alternative.beyond
    }
}

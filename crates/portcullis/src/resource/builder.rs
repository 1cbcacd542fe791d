//! How a document is made, member by member.
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::to_raw_value;

use super::address::{Address, shown};
use super::document::{Document, MAX_DOCUMENT, Proofs};
use super::fault::{ProtectedResourceError, ResourceFault};
use super::{ProtectedResource, Written};
use crate::dpop::Dpop;
use crate::setting::Words;
use crate::signature::Algorithm;

/// §3: where the document stands, in front of the resource's own path.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Makes a [`ProtectedResource`]. A member that is not set, or is an empty list, is left out (§3.2).
///
/// There is no setter for
///
/// - `bearer_methods_supported`: it is `["header"]`, which every policy with a document has to take. No
///   other method is told of: a token in a URL stands in logs.
/// - `signed_metadata`: what it says counts before what the document says (§2.2), and nobody would have
///   held the two together.
#[derive(Clone, Debug)]
#[must_use]
pub struct ProtectedResourceBuilder {
    pub(super) document: Document,
    pub(super) words: Words,
}

impl ProtectedResourceBuilder {
    /// Who issues tokens for this resource: the identifiers of authorization servers (RFC 8414 §2), spelled
    /// as in [`Issuer::new`](crate::Issuer::new).
    ///
    /// If you do not call it: the document does not say. MCP clients need one.
    pub fn authorization_servers<S: Into<String>>(
        mut self,
        servers: impl IntoIterator<Item = S>,
    ) -> Self {
        self.words.say(
            "authorization_servers",
            &mut self.document.authorization_servers,
            strings(servers),
        );
        self
    }

    /// Where the public keys are that the resource itself signs with. Not those of its tokens: these are
    /// its issuers' affair.
    ///
    /// If you do not call it: it signs nothing.
    pub fn jwks_uri(mut self, url: impl Into<String>) -> Self {
        self.words.say("jwks_uri", &mut self.document.jwks_uri, Some(url.into()));
        self
    }

    /// The scopes that clients may ask for. Those of MCP ask for all of them when they know no better: name
    /// what the service needs to be of use, and neither `offline_access` nor what only administrators get.
    ///
    /// If you do not call it: the document does not say.
    pub fn scopes_supported<S: Into<String>>(
        mut self,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        self.words.say("scopes_supported", &mut self.document.scopes_supported, strings(scopes));
        self
    }

    /// The algorithms that the resource itself signs with. `none` is none of them (§2).
    ///
    /// If you do not call it: it signs nothing.
    pub fn resource_signing_alg_values_supported(
        mut self,
        algorithms: impl IntoIterator<Item = Algorithm>,
    ) -> Self {
        let names = algorithms.into_iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>();
        self.words.say(
            "resource_signing_alg_values_supported",
            &mut self.document.resource_signing_alg_values_supported,
            names,
        );
        self
    }

    /// What people call it. In another language (§2.1): `.member("resource_name#de", "Bestellungen")`,
    /// and likewise the three below.
    ///
    /// If you do not call it: clients show its address.
    pub fn resource_name(mut self, name: impl Into<String>) -> Self {
        self.words.say("resource_name", &mut self.document.resource_name, Some(name.into()));
        self
    }

    /// Where developers read about it.
    ///
    /// If you do not call it: the document does not say.
    pub fn resource_documentation(mut self, url: impl Into<String>) -> Self {
        self.words.say(
            "resource_documentation",
            &mut self.document.resource_documentation,
            Some(url.into()),
        );
        self
    }

    /// Where it says how clients may use its data.
    ///
    /// If you do not call it: the document does not say.
    pub fn resource_policy_uri(mut self, url: impl Into<String>) -> Self {
        self.words.say(
            "resource_policy_uri",
            &mut self.document.resource_policy_uri,
            Some(url.into()),
        );
        self
    }

    /// Where its terms of service are.
    ///
    /// If you do not call it: the document does not say.
    pub fn resource_tos_uri(mut self, url: impl Into<String>) -> Self {
        self.words.say("resource_tos_uri", &mut self.document.resource_tos_uri, Some(url.into()));
        self
    }

    /// Which types of `authorization_details` it understands (RFC 9396).
    ///
    /// If you do not call it: the document does not say.
    pub fn authorization_details_types_supported<S: Into<String>>(
        mut self,
        types: impl IntoIterator<Item = S>,
    ) -> Self {
        self.words.say(
            "authorization_details_types_supported",
            &mut self.document.authorization_details_types_supported,
            strings(types),
        );
        self
    }

    /// Says which proofs the policy takes of tokens that are bound to a key, and whether it takes no others
    /// (`dpop_signing_alg_values_supported`, `dpop_bound_access_tokens_required`). Pass what
    /// [`PolicyBuilder::dpop`](crate::PolicyBuilder::dpop) gets: a policy that takes others is a fault.
    ///
    /// If you do not call it: the document does not say, and a policy that
    /// [requires](crate::dpop::Dpop::required) such tokens is a fault.
    pub fn dpop(mut self, dpop: &Dpop) -> Self {
        self.words.say("dpop", &mut self.document.proofs, Some(Proofs::of(dpop)));
        self
    }

    /// Says that the policy takes tokens that are bound to a certificate of their sender (RFC 8705): for a policy with
    /// [`PolicyBuilder::mtls`](crate::PolicyBuilder::mtls). Where the policy takes none, it is a fault.
    ///
    /// If you do not call it: the document does not say, and a policy that
    /// [requires](crate::mtls::Mtls::required) such tokens is a fault.
    pub fn tls_client_certificate_bound_access_tokens(mut self) -> Self {
        self.document.tls_client_certificate_bound_access_tokens = true;
        self
    }

    /// A member of another specification, or of your own (§2). `null` and an empty list are left out.
    ///
    /// If you do not call it: there are none.
    pub fn member(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.document.members.0.push((name.into(), to_raw_value(&value).ok()));
        self
    }

    /// Checks all that was set, and writes the document.
    ///
    /// # Errors
    ///
    /// The document would be misread, or say what does not hold. The error lists every fault.
    pub fn build(self) -> Result<ProtectedResource, ProtectedResourceError> {
        let Self { document, words } = self;
        let mut faults = document.check();
        faults.extend(words.contradicted().map(|member| ResourceFault::SaidTwice { member }));
        let written = serde_json::to_vec(&document).unwrap_or_default();
        if written.len() > MAX_DOCUMENT {
            faults.push(ResourceFault::TooLarge { bytes: written.len() });
        }
        let Document {
            resource: identifier,
            authorization_servers,
            proofs,
            tls_client_certificate_bound_access_tokens: takes_certificates,
            ..
        } = document;
        let address = match Address::of_resource(&identifier) {
            Ok(address) if faults.is_empty() => address,
            Ok(_) => return Err(ProtectedResourceError { faults }),
            Err(fault) => {
                let identifier = shown(&identifier);
                faults.insert(0, ResourceFault::Identifier { identifier, fault });
                return Err(ProtectedResourceError { faults });
            }
        };
        let Address { origin, path, query, .. } = address;
        // §3.1: "any terminating slash (/) following the host component" gives way.
        let path = if path == "/" { "" } else { path };
        let metadata_url = format!("{origin}{WELL_KNOWN}{path}{query}");
        let path = origin.len()..metadata_url.len() - query.len();
        let document = Bytes::from(written);
        let written = Written {
            identifier,
            metadata_url,
            path,
            authorization_servers,
            proofs,
            takes_certificates,
            document,
        };
        Ok(ProtectedResource { written: Arc::new(written) })
    }
}

fn strings<S: Into<String>>(items: impl IntoIterator<Item = S>) -> Vec<String> {
    items.into_iter().map(Into::into).collect()
}

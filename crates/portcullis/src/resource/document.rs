//! What the document says, and what it may not say.
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::address::{Address, Read, shown};
use super::fault::ResourceFault;
use crate::dpop::Dpop;
use crate::text::is_scope;

/// The largest document. Clients bound what they read: 64 KiB is a quarter of what this library takes of
/// an issuer's metadata, and more than any list of scopes.
pub(super) const MAX_DOCUMENT: usize = 64 * 1024;

/// What this library knows of §2, and what only it may set. Other members are
/// [yours](super::ProtectedResourceBuilder::member).
const OWN_MEMBERS: [&str; 15] = [
    "resource",
    "authorization_servers",
    "jwks_uri",
    "scopes_supported",
    "bearer_methods_supported",
    "resource_signing_alg_values_supported",
    "resource_name",
    "resource_documentation",
    "resource_policy_uri",
    "resource_tos_uri",
    "authorization_details_types_supported",
    "dpop_signing_alg_values_supported",
    "dpop_bound_access_tokens_required",
    "tls_client_certificate_bound_access_tokens",
    // What is signed nobody here could check.
    "signed_metadata",
];

/// §2, in its order. §3.2: "Parameters with zero values MUST be omitted from the response."
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Document {
    pub(super) resource: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) authorization_servers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) jwks_uri: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) scopes_supported: Vec<String>,
    pub(super) bearer_methods_supported: [Header; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) resource_signing_alg_values_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resource_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resource_documentation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resource_policy_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resource_tos_uri: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) authorization_details_types_supported: Vec<String>,
    /// "If omitted, the default value is false".
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub(super) tls_client_certificate_bound_access_tokens: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) proofs: Option<Proofs>,
    #[serde(flatten)]
    pub(super) members: Members,
}

/// What it says of tokens that are bound to a key (RFC 9449).
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Proofs {
    dpop_signing_alg_values_supported: Vec<&'static str>,
    /// "If omitted, the default value is false".
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    dpop_bound_access_tokens_required: bool,
}

impl Proofs {
    /// What a policy with this takes.
    pub(crate) fn of(dpop: &Dpop) -> Self {
        Self {
            dpop_signing_alg_values_supported: dpop
                .algorithms_taken()
                .iter()
                .map(|it| it.name())
                .collect(),
            dpop_bound_access_tokens_required: dpop.is_required,
        }
    }

    /// Whether a client that knows nothing of it gets in.
    pub(crate) fn may_be_left_out(&self) -> bool {
        !self.dpop_bound_access_tokens_required
    }
}

/// The only bearer method.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Header {
    #[default]
    Header,
}

/// Members of a user's own. Nothing where the value cannot be JSON.
#[derive(Clone, Debug, Default)]
pub(super) struct Members(pub(super) Vec<(String, Option<Box<RawValue>>)>);

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let are_values = self.0.iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        serializer
            .collect_map(are_values.filter(|(_, value)| !matches!(value.get(), "null" | "[]")))
    }
}

impl Document {
    /// What is wrong with all but the identifier.
    pub(super) fn check(&self) -> Vec<ResourceFault> {
        let mut faults = Vec::new();
        let mut urls: Vec<(_, _, Read<'_>)> = Vec::new();
        for url in &self.authorization_servers {
            urls.push(("authorization_servers", url, Address::of_issuer));
        }
        let others: [(_, _, Read<'_>); 4] = [
            ("jwks_uri", &self.jwks_uri, Address::of_endpoint),
            ("resource_documentation", &self.resource_documentation, Address::parse),
            ("resource_policy_uri", &self.resource_policy_uri, Address::parse),
            ("resource_tos_uri", &self.resource_tos_uri, Address::parse),
        ];
        urls.extend(
            others.iter().filter_map(|(member, url, read)| Some((*member, url.as_ref()?, *read))),
        );
        for (member, url, read) in urls {
            if let Err(fault) = read(url) {
                faults.push(ResourceFault::Url { member, url: shown(url), fault });
            }
        }
        let scopes = self.scopes_supported.iter().filter(|scope| !is_scope(scope));
        faults.extend(scopes.map(|scope| ResourceFault::Scope { scope: scope.clone() }));
        if self.resource_name.as_deref() == Some("") {
            faults.push(ResourceFault::Empty { member: "resource_name" });
        }
        if self.authorization_details_types_supported.iter().any(String::is_empty) {
            faults.push(ResourceFault::Empty { member: "authorization_details_types_supported" });
        }
        let Members(members) = &self.members;
        for (at, (name, value)) in members.iter().enumerate() {
            let is_again = members[..at].iter().any(|(other, _)| other == name);
            if name.is_empty() || is_again || OWN_MEMBERS.contains(&name.as_str()) {
                faults.push(ResourceFault::Member { name: name.clone() });
            } else if value.is_none() {
                faults.push(ResourceFault::NotJson { name: name.clone() });
            }
        }
        faults
    }
}

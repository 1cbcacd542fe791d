//! `WWW-Authenticate` (RFC 6750 §3, RFC 9470 §3, RFC 9728 §5.1).
use http::HeaderValue;

use super::Presentation;
use super::rows::{Challenge, Row};
use crate::error::Forbidden;
use crate::request::RequestView;
use crate::source::credentials;

/// With which scheme a token is sent.
#[expect(unnameable_types, reason = "it stands in a method that nobody calls")]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Scheme {
    /// RFC 6750, and wherever else a token is but for the next.
    #[default]
    Bearer,
    /// RFC 9449.
    Dpop,
}

impl Scheme {
    /// The scheme of a request's credentials.
    pub(super) fn of(request: &impl RequestView) -> Self {
        let mut values = request.header("authorization");
        let is_dpop = values.any(|value| credentials(value, b"DPoP").is_some());
        if is_dpop { Self::Dpop } else { Self::Bearer }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }
}

impl Presentation {
    /// Parameters in a fixed order, each at most once, joined as RFC 9110 §11.6.1 has it. `forbidden`: what
    /// the route asks for.
    pub(super) fn challenge(
        &self,
        scheme: Scheme,
        used: Scheme,
        row: &Row,
        forbidden: Option<&Forbidden>,
    ) -> HeaderValue {
        let error = match row.challenge {
            Challenge::ErrorOfEach(error) => Some(error),
            Challenge::Error(error) if scheme == used => Some(error),
            Challenge::Absent | Challenge::WithoutError | Challenge::Error(_) => None,
        };
        let description =
            error.filter(|_| !self.without_details).map(|_| row.detail.trim_end_matches('.'));
        let scopes = match forbidden {
            Some(forbidden) => forbidden.scopes().collect::<Vec<_>>(),
            None if row.wants_token => {
                self.scopes.get().into_iter().flatten().map(String::as_str).collect()
            }
            None => Vec::new(),
        };
        let listed = |items: Vec<&str>| (!items.is_empty()).then(|| items.join(" "));
        let scope = listed(scopes);
        let step_up = forbidden.filter(|forbidden| forbidden.needs_authentication());
        let acr_values = step_up.and_then(|forbidden| listed(forbidden.acr_values().collect()));
        let max_age = step_up.and_then(Forbidden::max_age).map(|age| age.as_secs().to_string());
        let proofs = self.proofs.as_ref().filter(|_| scheme == Scheme::Dpop);
        let parameters = [
            ("realm", self.realm.get().map(String::as_str)),
            ("error", error),
            ("error_description", description),
            ("scope", scope.as_deref()),
            // RFC 9470 §3.
            ("acr_values", acr_values.as_deref()),
            ("max_age", max_age.as_deref()),
            // RFC 9449 §7.1.
            ("algs", proofs.map(|proofs| &*proofs.algorithms)),
            // RFC 9728 §5.1.
            ("resource_metadata", self.resource_metadata.get().map(String::as_str)),
        ];
        let mut challenge = String::from(scheme.name());
        let mut separator = " ";
        for (name, value) in parameters {
            if let Some(value) = value {
                challenge.push_str(separator);
                challenge.push_str(name);
                challenge.push_str("=\"");
                challenge.push_str(value);
                challenge.push('"');
                separator = ", ";
            }
        }
        // What is in it was checked when the policy was built, or the requirement made.
        HeaderValue::try_from(challenge).unwrap_or(HeaderValue::from_static(scheme.name()))
    }
}

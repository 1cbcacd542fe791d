//! From what was said of an issuer to what its tokens are held to.
use std::sync::Arc;

use super::keys::KeyParts;
use super::{Complete, Identity, Issuer, boxed};
use crate::claims::{AudienceRule, CompiledRules, IssuerRules, TokenType};
#[cfg(feature = "remote-jwks")]
use crate::issuers::{TenantBounds, Tenants};
use crate::issuers::{Trusted, TrustedIssuer};
use crate::keys::KeySet;
use crate::policy::fault::PolicyFault;
use crate::terms::{IssuerTerms, Terms};
use crate::text::identifier_in;

impl Issuer {
    /// What its tokens are held to, and what is at fault about it, as far as that can be told before the first
    /// token comes. No number of a key in `public` can be a secret.
    pub(crate) fn prepare(
        self,
        rules: CompiledRules,
        policy: &Arc<Terms>,
        public: &KeySet,
    ) -> (Trusted, Vec<PolicyFault>) {
        let mut faults = self.setting_faults();
        let Self { id, mut state } = self;
        let keys = core::mem::take(&mut state.keys);
        let are_given = !keys.is_empty();
        let (keys, key_faults) = KeyParts::collect(keys, id.name(), &state.algorithms, public);
        // Keys that are refused, or not there at all, are fault enough.
        let are_there = are_given && key_faults.is_empty();
        faults.extend(key_faults);
        faults.extend(keys.algorithm_faults(
            id.name(),
            &state.algorithms,
            state.requires_key_id,
            are_there,
        ));
        let (trusted, start_faults) = trust(id, state, keys, rules, policy);
        faults.extend(start_faults);
        (trusted, faults)
    }

    /// Names, lists and texts that cannot be right, whatever its keys are.
    fn setting_faults(&self) -> Vec<PolicyFault> {
        let state = &self.state;
        let name = self.name();
        let issuer = || name.to_owned();
        let (AudienceRule::Audiences(audience) | AudienceRule::ClientIds(audience)) =
            &state.audience;
        let lacks_scope_claim =
            |names: &Vec<String>| names.is_empty() || names.iter().any(String::is_empty);
        let lists = [
            name.is_empty().then_some(PolicyFault::EmptyIssuer),
            name_fault(&self.id),
            state.algorithms.is_empty().then(|| PolicyFault::NoAlgorithm { issuer: issuer() }),
            state.keys.is_empty().then(|| PolicyFault::NoKeys { issuer: issuer() }),
            state
                .types
                .get()
                .filter(|types| types.is_empty())
                .map(|_| PolicyFault::NoTokenType { issuer: issuer() }),
            state
                .scope_claims
                .get()
                .filter(|names| lacks_scope_claim(names))
                .map(|_| PolicyFault::NoScopeClaim { issuer: issuer() }),
            (audience.is_empty() || audience.iter().any(|name| name.is_empty()))
                .then(|| PolicyFault::NoAudience { issuer: issuer() }),
        ];
        // Compared byte by byte, and no issuer writes it so.
        let texts = [name].into_iter().chain(audience.iter().map(|name| &**name));
        let spaced = texts.filter(|text| text.trim() != *text);
        let spaced =
            spaced.map(|text| PolicyFault::WhiteSpace { issuer: issuer(), text: text.to_owned() });
        lists.into_iter().flatten().chain(spaced).collect()
    }
}

/// Why no issuer calls itself so.
fn name_fault(id: &Identity) -> Option<PolicyFault> {
    let name = id.name();
    if identifier_in(name).is_some() {
        Some(PolicyFault::MetadataAddress { issuer: name.to_owned() })
    } else if matches!(id, Identity::One(_)) && name.contains(['{', '}']) {
        Some(PolicyFault::Braces { issuer: name.to_owned() })
    } else {
        None
    }
}

/// Puts it all together.
#[cfg_attr(
    not(feature = "remote-jwks"),
    expect(clippy::needless_pass_by_value, reason = "a rule for tenants keeps its identity")
)]
fn trust(
    id: Identity,
    state: Complete,
    keys: KeyParts,
    rules: CompiledRules,
    policy: &Arc<Terms>,
) -> (Trusted, Vec<PolicyFault>) {
    #[cfg(feature = "remote-jwks")]
    let is_misnamed = name_fault(&id).is_some();
    let types = state.types.get().cloned();
    let scope_claims = state.scope_claims.get().cloned();
    let scope_claims = scope_claims.unwrap_or_else(|| ["scope", "scp"].map(Into::into).into());
    let terms = IssuerTerms {
        policy: Arc::clone(policy),
        leeway: rules.leeway,
        scope_claims: boxed(scope_claims),
    };
    let rules = IssuerRules {
        id: id.name().into(),
        numeric_ids: state.numeric_ids,
        audience: state.audience,
        types: types.unwrap_or_else(|| vec![TokenType::Jwt, TokenType::AccessToken]),
        claims: rules,
        terms: Arc::new(terms),
    };
    let trusted = TrustedIssuer {
        rules,
        algorithms: state.algorithms,
        keys: keys.sources,
        has_own_source: keys.has_own_source,
        #[cfg(feature = "remote-jwks")]
        remotes: keys.remotes,
        requires_key_id: state.requires_key_id,
    };
    match id {
        #[cfg(not(feature = "remote-jwks"))]
        Identity::One(_) => (Trusted::One(trusted), Vec::new()),
        #[cfg(feature = "remote-jwks")]
        Identity::One(name) => {
            // Of a name that is at fault, no address can be made.
            let plans = keys.plans.iter().filter(|_| !is_misnamed);
            let found = plans.filter_map(|plan| plan.check(&name).err());
            let fault = |error| PolicyFault::RemoteKeys { issuer: name.clone(), error };
            let faults = found.map(fault).collect();
            (Trusted::One(Box::new(trusted), keys.plans), faults)
        }
        #[cfg(feature = "remote-jwks")]
        Identity::Each(rule) => {
            let bounds = TenantBounds::of(
                state.max_tenants.get(),
                state.tenant_burst.get(),
                state.tenant_interval.get(),
            );
            let (tenants, faults) =
                Tenants::new(rule, trusted, keys.plans, bounds, state.known_tenants);
            (Trusted::Each(Box::new(tenants)), faults.into_iter().map(PolicyFault::from).collect())
        }
    }
}

//! What a verified token holds, for handlers that look for themselves.
use std::borrow::Cow;

use super::path::{Found, find};
use super::{ClaimPath, Met, has_scope};
use crate::json::JsonText;
use crate::text::is_scope;
use crate::verified::VerifiedToken;

impl VerifiedToken {
    /// Whether it has this scope, or one that [implies](crate::PolicyBuilder::scope_implies) it: what
    /// [`Requirement::scope`](crate::Requirement::scope) asks.
    ///
    /// A text that is not one scope (RFC 6749 §3.3), such as two with a space between, is not held. Where it cannot be
    /// told, as where the claim is not a list of scopes, this is `false`, too. So never let somebody in because it is
    /// `false`: [`Requirement::anyone_but`](crate::Requirement::anyone_but) is for that.
    ///
    /// ```
    /// # use portcullis::Algorithm;
    /// # use portcullis_testkit::TestIssuer;
    /// # let issuer = TestIssuer::new("https://id.example");
    /// # let token = issuer.token(Algorithm::ES256).claim("scope", "orders:read orders:write");
    /// # let token = issuer.policy().verify_token_now(&token.mint())?;
    /// assert!(token.has_scope("orders:write"));
    /// assert!(!token.has_scope("orders"));
    /// assert_eq!(token.scopes(), ["orders:read", "orders:write"]);
    /// # Ok::<_, portcullis::Error>(())
    /// ```
    pub fn has_scope(&self, scope: &str) -> bool {
        // What stands in a request may be no scope, and looked for in the text of the claims it could be anything.
        is_scope(scope) && has_scope(self, scope) == Met::Yes
    }

    /// The scopes that stand in the token, in its order, without those that these imply. Of a claim that is not a list
    /// of scopes, none.
    ///
    /// Scopes are in the claims `scope` and `scp`, or in those that
    /// [`Issuer::scope_claims`](crate::Issuer::scope_claims) names.
    pub fn scopes(&self) -> Vec<Cow<'_, str>> {
        let mut scopes = Vec::new();
        for name in &self.terms().scope_claims {
            let Found::Value(value) = find(self, name) else { continue };
            match value.string() {
                Some(Cow::Borrowed(text)) => scopes.extend(words(text).map(Cow::Borrowed)),
                Some(Cow::Owned(text)) => {
                    scopes.extend(words(&text).map(|word| Cow::Owned(word.to_owned())));
                }
                None => scopes.extend(listed(value).unwrap_or_default()),
            }
        }
        scopes
    }

    /// What the list at this path names, in its order: roles, groups, permissions.
    ///
    /// `None`: it cannot be told, since something else stands there or the provider left it out; see [`ClaimPath`].
    /// A token without the claim has none.
    ///
    /// ```
    /// # use portcullis::Algorithm;
    /// # use portcullis_testkit::TestIssuer;
    /// # let issuer = TestIssuer::new("https://id.example");
    /// # let roles = serde_json::json!({ "roles": ["accountant"] });
    /// # let token = issuer.token(Algorithm::ES256).claim("realm_access", roles).claim("groups", 7);
    /// # let token = issuer.policy().verify_token_now(&token.mint())?;
    /// let roles = token.roles(["realm_access", "roles"]);
    /// assert_eq!(roles, Some(vec!["accountant".into()]));
    /// assert_eq!(token.roles("permissions"), Some(vec![]));
    /// assert_eq!(token.roles("groups"), None);
    /// # Ok::<_, portcullis::Error>(())
    /// ```
    pub fn roles(&self, path: impl Into<ClaimPath>) -> Option<Vec<Cow<'_, str>>> {
        let path = path.into();
        if path.fault().is_some() {
            return None;
        }
        match path.find(self) {
            Found::Absent => Some(Vec::new()),
            Found::Unreadable => None,
            Found::Value(value) if path.lists_members() => {
                value.is_object().then(|| value.members().map(|(name, _)| name.decoded()).collect())
            }
            Found::Value(value) => match value.string() {
                Some(one) => Some(vec![one]),
                None => listed(value),
            },
        }
    }
}

/// RFC 6749 §3.3: single spaces.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

/// The items of a list of strings.
fn listed(value: JsonText<'_>) -> Option<Vec<Cow<'_, str>>> {
    if !value.is_list() {
        return None;
    }
    value.strings().map(|item| item.map(|text| text.decoded())).collect()
}

//! What a policy says of what it let in before.
use std::sync::Arc;

use super::Policy;
use crate::admission::Admission;
use crate::source::{CookieError, CookieLife, TokenCookie};
use crate::verified::VerifiedToken;

impl Admission {
    /// For a layer: whether `policy` already let the request in, so that it need not look again.
    pub fn is_by(&self, policy: &Policy) -> bool {
        policy.with(|active| {
            Arc::ptr_eq(&active.verifier.rules.terms, self.terms())
                && (active.anonymous || self.token().is_some())
        })
    }
}

impl TokenCookie {
    /// The value of a `Set-Cookie` header that sets it to `text`, the text of `token`, until the
    /// token expires.
    ///
    /// # Errors
    ///
    /// Name and text are over the 4096 bytes that browsers keep (RFC 6265bis §5.6), `text` is no
    /// token, or the token has expired.
    pub fn set_cookie(
        &self,
        text: &str,
        token: &VerifiedToken,
        policy: &Policy,
    ) -> Result<String, CookieError> {
        // Without the leeway: a cookie must not outlive `exp`.
        let life = token.expires_at().saturating_since(policy.now());
        self.set_issued_cookie(text, CookieLife::Seconds(life.as_secs()))
    }
}

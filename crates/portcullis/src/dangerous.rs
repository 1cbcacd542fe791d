//! Every way to weaken a policy, each named for what is lost.
//!
//! Nothing outside this module turns a check of tokens off, or takes a bound beyond the one that its
//! setter documents. `Policy::describe` (feature `explain`) lists what a policy
//! took from it.
//!
//! What a check compares with is not weakened but said, and stands with the policy: whose tokens, for
//! whom or, with
//! [`client_ids_instead_of_audience`](crate::Issuer::client_ids_instead_of_audience), of which clients, and
//! which scope [implies](crate::PolicyBuilder::scope_implies) another.
use core::time::Duration;

use crate::claims::MaxLifetime;
#[cfg(any(feature = "remote-jwks", feature = "status-list"))]
use crate::fetch::AllowHttp;
use crate::revocation::UnknownRevocation;
use crate::routes::LogoutTokenTypes;
use crate::source::{CookieError, Kind, TokenCookie, TokenSource};

/// No bound on a token's lifetime, for
/// [`ClaimRules::max_lifetime`](crate::ClaimRules::max_lifetime).
///
/// Lost: a leaked token may work for years. It still needs an `exp`.
#[must_use]
pub fn unlimited_lifetime() -> MaxLifetime {
    MaxLifetime { limit: None, is_dangerous: true }
}

/// A bound on a token's lifetime of more than 30 days, for
/// [`ClaimRules::max_lifetime`](crate::ClaimRules::max_lifetime).
///
/// Lost: the end of a leaked token, for as long. A bound of up to 30 days needs no leave.
#[must_use]
pub fn long_lifetime(limit: Duration) -> MaxLifetime {
    MaxLifetime { limit: Some(limit), is_dangerous: true }
}

/// A query parameter that holds exactly the token (RFC 6750 §2.3).
///
/// Lost: secrecy. URLs stand in logs, histories and `Referer` headers. OAuth 2.1 and MCP forbid
/// it. Where a browser's WebSocket seems to need it, send the token in the first message instead.
pub fn token_in_url(name: impl Into<String>) -> TokenSource {
    TokenSource(Kind::Query { name: name.into() })
}

/// A cookie of any name that holds exactly the token, with a path and a domain if need be: a source by `into()`.
///
/// Lost: the certainty who set it. Without the prefix `__Host-`, a sibling subdomain or a response
/// over plain HTTP can plant a cookie of its own, and so log a user into another's account. For a name without
/// `__Secure-` as well, a page that came without TLS counts as the service's own where the browser does not send
/// `Sec-Fetch-Site`.
///
/// ```
/// use portcullis::source::CookieError;
/// use portcullis::{TokenSource, dangerous};
///
/// // As another service of the domain sets it, so that this one clears it.
/// let cookie = dangerous::unprefixed_cookie("token")?
///     .domain("example.com")?
///     .path("/api")?;
/// let sources = [TokenSource::bearer(), cookie.into()];
/// # let _ = sources;
/// # Ok::<_, CookieError>(())
/// ```
///
/// # Errors
///
/// The name has characters that a cookie's name cannot have.
pub fn unprefixed_cookie(name: impl Into<String>) -> Result<TokenCookie, CookieError> {
    TokenCookie::any(name.into())
}

/// Tokens of which nobody can tell whether they were taken back, for
/// [`PolicyBuilder::unknown_revocation`](crate::PolicyBuilder::unknown_revocation).
///
/// Lost: revocation, whenever its store or source is out of reach. Whoever can bring that about
/// brings revoked tokens back. What is known to be revoked is refused all the same.
#[must_use]
pub fn accept_unknown_revocation() -> UnknownRevocation {
    UnknownRevocation { is_accepted: true }
}

/// Logout tokens whose `typ` is absent or `JWT`, beside those that say `logout+jwt`, for
/// [`BackChannelLogout::token_types`](crate::routes::BackChannelLogout::token_types).
///
/// Lost: the type as a line between kinds of token (OpenID Connect Back-Channel Logout 1.0 §4.1).
/// `events` still has to say that it is a logout token, and no access or ID token has that; another
/// kind of event of the same provider may. For providers that do not send the type.
#[must_use]
pub fn untyped_logout_tokens() -> LogoutTokenTypes {
    LogoutTokenTypes { accepts_untyped: true }
}

/// Keys from a host without TLS, for
/// [`RemoteJwksOptions::allow_http`](crate::keys::remote::RemoteJwksOptions::allow_http). The host stands
/// as in the address, without a port: `keycloak`.
///
/// Lost: the certainty whose keys they are. Whoever is on the way between this service and that
/// host can sign tokens. For a network that is private, such as that of a compose file.
#[cfg(any(feature = "remote-jwks", feature = "status-list"))]
#[must_use]
pub fn allow_http(host: impl Into<String>) -> AllowHttp {
    AllowHttp(host.into().to_ascii_lowercase())
}

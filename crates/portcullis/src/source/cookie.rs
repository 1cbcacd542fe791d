use core::fmt;

use crate::policy::Policy;
use crate::request::RequestView;
use crate::verified::VerifiedToken;

/// The values of every cookie called `name`.
///
/// HTTP/2 may send a field for each cookie; all fields are one list (RFC 9113 §8.2.3). Names
/// compare exactly, as browsers compare them.
pub(super) fn values<'r, V: RequestView + ?Sized>(
    request: &'r V,
    name: &'r str,
) -> impl Iterator<Item = &'r [u8]> {
    request
        .header("cookie")
        .flat_map(|field| field.split(|byte| *byte == b';'))
        .filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// Whether another site's requests carry the cookie (RFC 6265bis §4.1.2.7).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SameSite {
    /// Never, not even where a user follows a link from another site.
    Strict,
    /// Only where a user follows a link.
    #[default]
    Lax,
    /// Always. The cross-site check of the policy is then all that stands in the way.
    None,
}

/// Writes the cookie that carries a token, and takes it away again.
///
/// Always `HttpOnly` (no script reads it), `Secure`, `Path=/` and without `Domain`, as the name's
/// prefix `__Host-` asks for, and with a `Max-Age` within the token's life.
///
/// ```
/// # use portcullis::{CookieError, Policy, TokenCookie, VerifiedToken};
/// # fn login(policy: &Policy, text: &str, token: &VerifiedToken) -> Result<(), CookieError> {
/// let cookie = TokenCookie::new("__Host-token")?;
/// let set = cookie.set(text, token, policy)?; // the value of a `Set-Cookie` header
/// assert!(set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"));
/// # Ok(()) }
/// let cookie = TokenCookie::new("__Host-token")?;
/// assert_eq!(cookie.clear(), "__Host-token=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax");
/// assert!(TokenCookie::new("token").is_err());
/// # Ok::<_, CookieError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenCookie {
    name: String,
    same_site: SameSite,
}

impl TokenCookie {
    /// A cookie of this name, which must start with `__Host-`.
    ///
    /// # Errors
    ///
    /// The name has another start, or characters that a cookie's name cannot have.
    pub fn new(name: impl Into<String>) -> Result<Self, CookieError> {
        let name = name.into();
        if !is_name(&name) || !name.starts_with("__Host-") {
            return Err(CookieError::Name);
        }
        Ok(Self::unchecked(name))
    }

    /// A cookie of a name that was checked elsewhere.
    pub(crate) fn unchecked(name: String) -> Self {
        Self { name, same_site: SameSite::default() }
    }

    /// Sets when other sites' requests carry it.
    ///
    /// Not called: [`SameSite::Lax`], which lets links from other sites in but no forms.
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// The value of a `Set-Cookie` header that sets it to `text`, the text of `token`, until the
    /// token expires.
    ///
    /// # Errors
    ///
    /// Name and text are over the 4096 bytes that browsers keep (RFC 6265bis §5.6), `text` is no
    /// token, or the token has expired.
    pub fn set(
        &self,
        text: &str,
        token: &VerifiedToken,
        policy: &Policy,
    ) -> Result<String, CookieError> {
        let alphabet =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if text.is_empty() || !text.bytes().all(alphabet) {
            return Err(CookieError::NoToken);
        }
        let length = self.name.len() + text.len();
        if length > CookieError::LIMIT {
            return Err(CookieError::TooLong { length });
        }
        // Without the leeway: a cookie must not outlive `exp`.
        let life = token.expires_at().saturating_since(policy.now()).as_secs();
        if life == 0 {
            return Err(CookieError::Expired);
        }
        Ok(self.field(text, life))
    }

    /// The value of a `Set-Cookie` header that takes it away.
    #[must_use]
    pub fn clear(&self) -> String {
        self.field("", 0)
    }

    fn field(&self, value: &str, life: u64) -> String {
        let Self { name, same_site } = self;
        format!("{name}={value}; Max-Age={life}; Path=/; Secure; HttpOnly; SameSite={same_site:?}")
    }
}

/// RFC 6265 §4.1.1: a token of RFC 9110.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// A [`TokenCookie`] that cannot be written.
#[non_exhaustive]
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum CookieError {
    /// The name does not start with `__Host-`, or is no cookie name.
    Name,
    /// The text is no token.
    NoToken,
    /// Name and token together are longer than browsers keep.
    TooLong {
        /// Their length in bytes.
        length: usize,
    },
    /// The token has expired.
    Expired,
}

impl CookieError {
    /// RFC 6265bis §5.6: name and value together.
    const LIMIT: usize = 4096;
}

impl fmt::Display for CookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => {
                f.write_str("the cookie's name must start with `__Host-` and have no separators")
            }
            Self::NoToken => f.write_str("the text is no token"),
            Self::TooLong { length } => {
                write!(
                    f,
                    "name and token have {length} bytes, and browsers drop a cookie over {}; keep the token on the server and a session id in the cookie",
                    Self::LIMIT
                )
            }
            Self::Expired => f.write_str("the token has expired"),
        }
    }
}

impl core::error::Error for CookieError {}

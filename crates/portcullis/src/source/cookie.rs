use core::fmt;

use crate::debug_as_displayed::debug_as_displayed;
use crate::request::RequestView;

/// The values of every cookie called `name`.
///
/// HTTP/2 may send a field for each cookie; all fields are one list (RFC 9113 §8.2.3). Names
/// compare exactly, as browsers compare them.
pub(super) fn values<'r>(
    request: &'r impl RequestView,
    name: &'r str,
) -> impl Iterator<Item = &'r [u8]> {
    request
        .header("cookie")
        .flat_map(|field| field.split(|byte| *byte == b';'))
        .filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// Whether another site's requests carry the cookie (RFC 6265bis §4.1.2.7). The strictest is the least.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum SameSite {
    /// Never, not even where a user follows a link from another site.
    Strict,
    /// Only where a user follows a link.
    #[default]
    Lax,
    /// Always. The cross-site check of the policy is then all that stands in the way.
    None,
}

/// The cookie that carries a token: the [source](crate::TokenSource) of a policy, what a login sets, and what clears it.
///
/// Always `HttpOnly` (no script reads it), `Secure`, `Path=/` and without `Domain`, as the name's
/// prefix `__Host-` asks for, and with a `Max-Age` within the token's life. A browser clears a cookie only by the
/// `Path` and `Domain` that it was set with, and in an answer to another site's page only by `SameSite=None`
/// (RFC 6265bis §5.7): take one value for all three.
///
/// ```
/// # use portcullis::source::CookieError;
/// # use portcullis::{Policy, TokenCookie, VerifiedToken};
/// # fn login(policy: &Policy, text: &str, token: &VerifiedToken) -> Result<(), CookieError> {
/// let cookie = TokenCookie::new("__Host-token")?;
/// // The value of a `Set-Cookie` header:
/// let set = cookie.set_cookie(text, token, policy)?;
/// assert!(set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"));
/// # Ok(()) }
/// let cookie = TokenCookie::new("__Host-token")?;
/// assert_eq!(
///     cookie.removal_cookie(),
///     "__Host-token=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"
/// );
/// assert!(TokenCookie::new("token").is_err());
/// # Ok::<_, CookieError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub struct TokenCookie {
    name: String,
    same_site: Option<SameSite>,
    path: Option<String>,
    domain: Option<String>,
}

impl TokenCookie {
    /// A cookie of this name, which must start with `__Host-`.
    ///
    /// # Errors
    ///
    /// The name has another start, or characters that a cookie's name cannot have.
    pub fn new(name: impl Into<String>) -> Result<Self, CookieError> {
        let cookie = Self::any(name.into())?;
        if cookie.is_host_only() { Ok(cookie) } else { Err(CookieError::Prefix) }
    }

    /// A cookie of any name that a cookie can have.
    pub(crate) fn any(name: String) -> Result<Self, CookieError> {
        if is_name(&name) { Ok(Self::unchecked(name)) } else { Err(CookieError::Name) }
    }

    /// A cookie of a name that is checked elsewhere.
    pub(crate) fn unchecked(name: String) -> Self {
        Self { name, same_site: None, path: None, domain: None }
    }

    /// Sets when other sites' requests carry it.
    ///
    /// Called again, the strictest. If you do not call it: [`SameSite::Lax`], which lets links from other sites in but no forms.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = Some(self.same_site.map_or(same_site, |before| before.min(same_site)));
        self
    }

    /// Sets its `Path`: `/api`.
    ///
    /// If you do not call it: `/`.
    ///
    /// # Errors
    ///
    /// It does not begin with `/`, is longer than the 1024 bytes that browsers read (RFC 6265bis §5.6), or has
    /// characters that a path cannot have there; or the cookie's name starts with `__Host-` and this is not `/`.
    pub fn path(mut self, path: impl Into<String>) -> Result<Self, CookieError> {
        let path = path.into();
        let is_printable = path.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b';');
        if !path.starts_with('/') || !is_printable || path.len() > CookieError::ATTRIBUTE_LIMIT {
            return Err(CookieError::Path);
        }
        if self.is_host_only() && path != "/" {
            return Err(CookieError::HostOnly);
        }
        self.path = Some(path);
        Ok(self)
    }

    /// Sets its `Domain`, whose hosts all get it and may all set it: `example.com`.
    ///
    /// If you do not call it: none. The host that sets it gets it, and no other.
    ///
    /// # Errors
    ///
    /// It is not a domain's name, or the cookie's name starts with `__Host-`.
    pub fn domain(mut self, domain: impl Into<String>) -> Result<Self, CookieError> {
        let domain = domain.into();
        let is_of_names = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        if domain.is_empty()
            || !domain.bytes().all(is_of_names)
            || domain.len() > CookieError::ATTRIBUTE_LIMIT
        {
            return Err(CookieError::Domain);
        }
        if self.is_host_only() {
            return Err(CookieError::HostOnly);
        }
        self.domain = Some(domain);
        Ok(self)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// RFC 6265bis §4.1.3.2: `Secure`, `Path=/` and no `Domain`.
    pub(crate) fn is_host_only(&self) -> bool {
        self.name.starts_with("__Host-")
    }

    /// Whether browsers keep a cookie of this name only if it came over TLS or from their own machine (RFC 6265bis
    /// §4.1.3).
    pub(super) fn needs_tls(&self) -> bool {
        self.is_host_only() || self.name.starts_with("__Secure-")
    }

    /// The value of a `Set-Cookie` header that sets it to a token that you issued yourself, for who has no
    /// [`VerifiedToken`](crate::VerifiedToken) of it: nobody looks whether `text` is an access token.
    ///
    /// # Errors
    ///
    /// Name and text are over the 4096 bytes that browsers keep (RFC 6265bis §5.6), `text` has other characters than
    /// letters, digits, `-`, `_` and `.`, or its life is over.
    pub fn set_issued_cookie(&self, text: &str, life: CookieLife) -> Result<String, CookieError> {
        let alphabet =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if text.is_empty() || !text.bytes().all(alphabet) {
            return Err(CookieError::NoToken);
        }
        let length = self.name.len() + text.len();
        if length > CookieError::LIMIT {
            return Err(CookieError::TooLong { length });
        }
        match life {
            CookieLife::Seconds(0) => Err(CookieError::Expired),
            CookieLife::Seconds(_) | CookieLife::UntilClosed => Ok(self.field(text, life)),
        }
    }

    /// The value of a `Set-Cookie` header that takes it away.
    #[must_use]
    pub fn removal_cookie(&self) -> String {
        self.field("", CookieLife::Seconds(0))
    }

    /// The most bytes of a token that it can be set to.
    pub fn capacity(&self) -> usize {
        CookieError::LIMIT.saturating_sub(self.name.len())
    }

    fn field(&self, value: &str, life: CookieLife) -> String {
        let Self { name, same_site, path, domain } = self;
        let same_site = same_site.unwrap_or_default();
        let path = path.as_deref().unwrap_or("/");
        let domain =
            domain.as_ref().map_or_else(String::new, |domain| format!("; Domain={domain}"));
        let life = match life {
            CookieLife::Seconds(life) => format!("; Max-Age={life}"),
            CookieLife::UntilClosed => String::new(),
        };
        format!(
            "{name}={value}{life}; Path={path}{domain}; Secure; HttpOnly; SameSite={same_site:?}"
        )
    }
}

/// How long a browser keeps a cookie.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CookieLife {
    /// For so many seconds (`Max-Age`), also where it is closed meanwhile.
    Seconds(u64),
    /// Until it is closed.
    UntilClosed,
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
    /// The name has characters that a cookie's name cannot have, or none.
    Name,
    /// The name does not start with `__Host-`.
    Prefix,
    /// The path does not begin with `/`, is too long, or has characters that it cannot have.
    Path,
    /// The domain is not a domain's name.
    Domain,
    /// The name starts with `__Host-`, so that the path must be `/`, and there must be no domain.
    HostOnly,
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
    pub(crate) const LIMIT: usize = 4096;

    /// RFC 6265bis §5.6: browsers ignore an attribute that is longer.
    const ATTRIBUTE_LIMIT: usize = 1024;
}

impl fmt::Display for CookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str(
                "the cookie's name has characters that it cannot have: take letters, digits, `-` and `_`",
            ),
            Self::Prefix => f.write_str(
                "the cookie's name does not start with `__Host-`, so that a sibling domain or a plain-text response can set it: add the prefix, or use `dangerous::unprefixed_cookie`",
            ),
            Self::Path => f.write_str(
                "the cookie's path must begin with `/`, and have at most 1024 printable ASCII characters without `;`",
            ),
            Self::Domain => f.write_str(
                "the cookie's domain is not a domain's name: write it without scheme and port, `example.com`",
            ),
            Self::HostOnly => f.write_str(
                "a cookie whose name starts with `__Host-` has the path `/` and no domain: browsers refuse another one",
            ),
            Self::NoToken => f.write_str("the text is not a token"),
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

debug_as_displayed!(CookieError);

impl core::error::Error for CookieError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_cleared_as_it_was_set() {
        let token = |name: &str| TokenCookie::any(name.to_owned()).expect(name);
        let cleared =
            |cookie: Result<TokenCookie, CookieError>| cookie.map(|cookie| cookie.removal_cookie());
        assert_eq!(
            cleared(token("token").path("/api").and_then(|cookie| cookie.domain("example.com"))),
            Ok("token=; Max-Age=0; Path=/api; Domain=example.com; Secure; HttpOnly; SameSite=Lax"
                .to_owned())
        );
        assert_eq!(
            cleared(token("__Host-token").same_site(SameSite::None).path("/")),
            Ok("__Host-token=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=None".to_owned())
        );
    }

    #[test]
    fn a_cookie_is_kept_for_so_long_or_until_the_browser_is_closed() {
        let cookie = TokenCookie::new("__Host-token").expect("a name");
        let set = |text: &str, life| cookie.set_issued_cookie(text, life);
        let end = "; Path=/; Secure; HttpOnly; SameSite=Lax";
        assert_eq!(
            set("a.b-c_", CookieLife::Seconds(60)),
            Ok(format!("__Host-token=a.b-c_; Max-Age=60{end}"))
        );
        assert_eq!(set("t", CookieLife::UntilClosed), Ok(format!("__Host-token=t{end}")));
        assert_eq!(set("t", CookieLife::Seconds(0)), Err(CookieError::Expired));
        for text in ["", "a b", "a;b", "a=b", "\u{e9}", "a\r\n"] {
            assert_eq!(set(text, CookieLife::UntilClosed), Err(CookieError::NoToken), "{text}");
        }
        let most = "t".repeat(cookie.capacity());
        assert!(set(&most, CookieLife::UntilClosed).is_ok());
        let more = format!("{most}t");
        let too_long = CookieError::TooLong { length: 4097 };
        assert_eq!(set(&more, CookieLife::UntilClosed), Err(too_long));
    }

    #[test]
    fn an_attribute_that_a_browser_would_ignore_or_split_is_refused() {
        let token = || TokenCookie::any("token".to_owned()).expect("a name");
        let long = "a".repeat(1025);
        for path in ["", "api", "/a;b", "/a\r\nb", "/\u{e9}", &format!("/{long}")] {
            assert_eq!(token().path(path), Err(CookieError::Path), "{path}");
        }
        for domain in
            ["", "a;b", "a b", "https://a.example", "a.example:80", "\u{e9}.example", &long]
        {
            assert_eq!(token().domain(domain), Err(CookieError::Domain), "{domain}");
        }
        for name in ["", "a b", "a;b", "a=b", "\u{e9}"] {
            assert_eq!(TokenCookie::any(name.to_owned()), Err(CookieError::Name), "{name}");
        }
        assert_eq!(TokenCookie::new("token"), Err(CookieError::Prefix));
        let host = || TokenCookie::new("__Host-token").expect("a name");
        assert_eq!(host().path("/api"), Err(CookieError::HostOnly));
        assert_eq!(host().domain("api.example"), Err(CookieError::HostOnly));
    }
}

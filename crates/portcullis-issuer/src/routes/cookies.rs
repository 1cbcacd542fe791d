//! The two cookies of a browser's session.
use core::fmt;

use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use portcullis::TokenCookie;
use portcullis::routes::Reply;
use portcullis::source::{CookieError, CookieLife, SameSite};

use crate::refresh::RefreshToken;
use crate::sessions::Session;
use crate::token::Minted;

/// The names of RFC 10017 §6.1.3.2. A browser that knows the prefix takes them from `Set-Cookie` alone, and from no script;
/// to any other they are cookies with `__Host-`.
const ACCESS: &str = "__Host-Http-access";
const REFRESH: &str = "__Host-Http-refresh";

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Which two cookies there are.
#[derive(Clone, Debug)]
pub(super) struct CookiePair {
    pub(super) access: TokenCookie,
    pub(super) refresh: TokenCookie,
}

impl CookiePair {
    /// The refresh cookie goes to pages of the same site alone, or where a user follows a link as well.
    pub(super) fn new(refresh: SameSite) -> Self {
        let named = |name| TokenCookie::new(name).expect("both names begin with `__Host-`");
        Self {
            // A link from outside arrives logged in.
            access: named(ACCESS).same_site(SameSite::Lax),
            refresh: named(REFRESH).same_site(refresh),
        }
    }

    /// Sets the access cookie, and the refresh cookie if there is another token.
    pub(super) fn set(
        &self,
        session: &Session,
        access: &Minted,
        refresh: Option<&RefreshToken>,
    ) -> Result<SessionCookies, CookieError> {
        let life = if session.is_remembered() {
            let left = session.ends_at().as_unix().saturating_since(access.issued_at);
            CookieLife::Seconds(left.as_secs())
        } else {
            CookieLife::UntilClosed
        };
        let access = self.access.set_issued_cookie(&access.token, life)?;
        let refresh = refresh.map(|token| self.refresh.set_issued_cookie(token.as_str(), life));
        Ok(SessionCookies::of([Some(access), refresh.transpose()?]))
    }

    /// Clears both.
    pub(super) fn clear(&self) -> SessionCookies {
        SessionCookies::of([&self.access, &self.refresh].map(|it| Some(it.removal_cookie())))
    }
}

/// The headers of an answer that sets the cookies of a session: a `Set-Cookie` for each, and `Cache-Control: no-store`, so
/// that no cache gives one user the session of another. What some caches go by instead
/// [is taken away](Self::gives_way). `Debug` does not show them.
#[derive(Clone)]
#[must_use]
pub struct SessionCookies(Vec<HeaderValue>);

impl SessionCookies {
    fn of(cookies: [Option<String>; 2]) -> Self {
        let values = cookies.into_iter().flatten().filter_map(|cookie| {
            // `TokenCookie` writes nothing that a header cannot have.
            let mut value = HeaderValue::try_from(cookie).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        Self(values.collect())
    }

    /// No cookie, and no cache all the same.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    /// All headers, names in lower case: `cache-control`, which replaces any other, and each `set-cookie`, which is added.
    /// Of those that are there, take away what [gives way](Self::gives_way).
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let cookies = self.0.iter().map(|value| (SET_COOKIE.as_str(), value.as_bytes()));
        [(CACHE_CONTROL.as_str(), &b"no-store"[..])].into_iter().chain(cookies)
    }

    /// Whether a header of this name, in lower case, says how a response is cached, and so does not stay beside
    /// `Cache-Control: no-store`: that itself, what is meant for some caches and counts more there (RFC 9213:
    /// `CDN-Cache-Control` and others that end so), and what came before it, `Surrogate-Control` and nginx's `X-Accel-Expires`.
    pub fn gives_way(name: &str) -> bool {
        name.ends_with("cache-control") || matches!(name, "surrogate-control" | "x-accel-expires")
    }

    /// Puts them into the headers of a response, in the place of what [gives way](Self::gives_way).
    pub fn add_to(&self, headers: &mut HeaderMap) {
        let giving_way = headers.keys().filter(|name| Self::gives_way(name.as_str())).cloned();
        for name in giving_way.collect::<Vec<_>>() {
            headers.remove(name);
        }
        headers.insert(CACHE_CONTROL, NO_STORE);
        for value in &self.0 {
            headers.append(SET_COOKIE, value.clone());
        }
    }

    /// An answer of 204 that has them, and says nothing else.
    pub fn reply<E>(self) -> Reply<E> {
        let reply = Reply::new(StatusCode::NO_CONTENT);
        self.0.into_iter().fold(reply, |reply, value| reply.with_another_header(SET_COOKIE, value))
    }
}

impl fmt::Debug for SessionCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionCookies").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logout_clears_both_cookies_as_they_were_set() {
        let cleared: Vec<_> = CookiePair::new(SameSite::Strict)
            .clear()
            .headers()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
            .collect();
        assert_eq!(
            cleared,
            [
                "cache-control: no-store",
                "set-cookie: __Host-Http-access=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax",
                "set-cookie: __Host-Http-refresh=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict",
            ]
        );
    }

    #[test]
    fn a_handlers_own_caching_gives_way_and_its_cookies_stay() {
        let mut headers = HeaderMap::new();
        let cached = HeaderValue::from_static("public, max-age=600");
        let others = ["cdn-cache-control", "acme-cdn-cache-control", "surrogate-control"];
        for name in others.into_iter().chain(["cache-control", "x-accel-expires"]) {
            headers.insert(name, cached.clone());
        }
        headers.insert(SET_COOKIE, HeaderValue::from_static("theme=dark"));
        CookiePair::new(SameSite::Lax).clear().add_to(&mut headers);
        assert_eq!(headers.get_all(CACHE_CONTROL).iter().collect::<Vec<_>>(), ["no-store"]);
        assert_eq!(headers.get_all(SET_COOKIE).iter().count(), 3);
        assert!(headers[SET_COOKIE] == "theme=dark");
        assert_eq!(headers.keys_len(), 2);
    }
}

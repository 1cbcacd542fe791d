//! Where a token is looked for.
//!
//! A request carries one token or none. Every source is looked at, so that a second token is seen
//! (RFC 6750 §2: clients use one method per request). What passes on is text that nobody has
//! looked at yet.
mod cookie;
mod cross_site;
mod origin;

use crate::error::SourceError;

pub(crate) use self::cookie::is_name as is_cookie_name;
pub use self::cookie::{CookieError, CookieLife, SameSite, TokenCookie};
pub use self::cross_site::{AllowedOrigins, OriginFault};
pub(crate) use self::origin::is_origin;
use crate::request::RequestView;

/// A place in the request where a token may be.
///
/// ```
/// use portcullis::TokenSource;
/// use portcullis_testkit::TestIssuer;
///
/// let policy = TestIssuer::new("https://id.example")
///     .policy_builder()
///     .sources([TokenSource::bearer(), TokenSource::cookie("__Host-token")])
///     .build()?;
/// # let _ = policy;
/// # Ok::<_, portcullis::BuildError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub struct TokenSource(pub(crate) Kind);

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Bearer,
    Header {
        name: String,
        prefix: String,
    },
    Cookie {
        cookie: TokenCookie,
        /// Whether its name is known to be one that it may have.
        is_checked: bool,
    },
    WebSocketProtocol {
        marker: String,
    },
    Query {
        name: String,
    },
}

impl Kind {
    /// Whether one token could be found under both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bearer, Self::Bearer) => true,
            (Self::Bearer, Self::Header { name, prefix })
            | (Self::Header { name, prefix }, Self::Bearer) => {
                let prefix = prefix.to_ascii_lowercase();
                name == "authorization"
                    && (prefix.starts_with("bearer") || "bearer ".starts_with(&prefix))
            }
            (Self::Header { name, prefix }, Self::Header { name: other, prefix: longer }) => {
                name == other
                    && (prefix.starts_with(longer.as_str()) || longer.starts_with(prefix.as_str()))
            }
            (Self::Cookie { cookie, .. }, Self::Cookie { cookie: other, .. }) => {
                cookie.name() == other.name()
            }
            (
                Self::WebSocketProtocol { marker: name },
                Self::WebSocketProtocol { marker: other },
            )
            | (Self::Query { name }, Self::Query { name: other }) => name == other,
            _ => false,
        }
    }
}

impl TokenSource {
    /// `Authorization: Bearer <token>` (RFC 6750 §2.1); the scheme in any case (RFC 9110 §11.1).
    pub fn bearer() -> Self {
        Self(Kind::Bearer)
    }

    /// A cookie that holds exactly the token. Its name must start with `__Host-`, so that no
    /// other host and no unencrypted response can have set it (RFC 6265bis §4.1.3.2); for another
    /// name see [`dangerous::unprefixed_cookie`](crate::dangerous::unprefixed_cookie).
    ///
    /// A [`TokenCookie`] is such a source as well, by `into()`. Take that where the policy
    /// [clears](crate::policy::BadCookie::RejectAndClear) a bad cookie which is not `SameSite=Lax`, as it is
    /// taken for here.
    ///
    /// With a cookie as source the cross-site check is on: see
    /// [`PolicyBuilder::allowed_origins`](crate::PolicyBuilder::allowed_origins).
    ///
    /// Browsers drop a cookie of more than 4096 bytes. Where every algorithm of every issuer makes longer tokens, which
    /// ML-DSA-65 and -87 do, the policy is not built.
    pub fn cookie(name: impl Into<String>) -> Self {
        Self(Kind::Cookie { cookie: TokenCookie::unchecked(name.into()), is_checked: false })
    }

    /// The subprotocol after `marker` among those that a WebSocket offers, `new WebSocket(url, ["bearer", token])` in a
    /// browser; others may stand before and behind them. `Sec-WebSocket-Protocol` is a list (RFC 6455 §11.3.4), in one
    /// field or in several. A marker at the end is no token.
    ///
    /// The response must select the marker, or another protocol that was offered, and never the token.
    pub fn websocket_protocol(marker: impl Into<String>) -> Self {
        Self(Kind::WebSocketProtocol { marker: marker.into() })
    }

    /// A header that holds exactly the token, or with [`with_prefix`](Self::with_prefix) a prefix
    /// and the token. A second field of this name beside one with a token is a second token,
    /// whatever it holds.
    pub fn header(name: impl Into<String>) -> Self {
        let name = name.into().to_ascii_lowercase();
        Self(Kind::Header { name, prefix: String::new() })
    }

    /// The text in front of the token in a header, byte by byte and with its white space:
    /// `"Token "`. A value without it is no token. Of no effect on other sources.
    ///
    /// If you do not call it: none.
    pub fn with_prefix(mut self, text: impl Into<String>) -> Self {
        if let Kind::Header { prefix, .. } = &mut self.0 {
            *prefix = text.into();
        }
        self
    }

    /// Whether it is the header that HTTP itself knows to hold credentials.
    pub(crate) fn is_authorization(&self) -> bool {
        match &self.0 {
            Kind::Bearer => true,
            Kind::Header { name, .. } => name == "authorization",
            Kind::Cookie { .. } | Kind::WebSocketProtocol { .. } | Kind::Query { .. } => false,
        }
    }

    #[cfg(feature = "config")]
    pub(crate) fn with_same_site(mut self, same_site: SameSite) -> Self {
        if let Kind::Cookie { cookie, .. } = &mut self.0 {
            *cookie = cookie.clone().same_site(same_site);
        }
        self
    }
}

impl From<TokenCookie> for TokenSource {
    fn from(cookie: TokenCookie) -> Self {
        Self(Kind::Cookie { cookie, is_checked: true })
    }
}

impl TokenCookie {
    /// The token that a request carries in this cookie: text that nobody has looked at. An empty one is none.
    ///
    /// A policy that has the cookie as source looks by itself, and makes the
    /// [cross-site check](AllowedOrigins::check) as well, which this does not.
    ///
    /// # Errors
    ///
    /// There is none, or there are several: which one did whom mean?
    pub fn token_in<'r>(&'r self, request: &'r impl RequestView) -> Result<&'r [u8], SourceError> {
        let mut found = Single::default();
        for token in cookie::values(request, self.name()) {
            found.add(token, Some(self))?;
        }
        found.0.map(|(token, _)| token).ok_or(SourceError::Missing)
    }
}

/// A token as it was presented: text that nobody has looked at.
pub(crate) struct Presented<'r> {
    pub(crate) token: &'r [u8],
    /// The cookie it came in, if it did.
    pub(crate) cookie: Option<&'r TokenCookie>,
    /// Whether it came with the scheme `DPoP` (RFC 9449 §7.1).
    pub(crate) is_dpop: bool,
}

/// Which token counts where a header and a cookie both carry one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Precedence {
    /// Neither: the request is refused.
    #[default]
    None,
    /// The one in the header.
    Header,
}

/// Looks at all of `sources`. `takes_dpop`: whether the scheme `DPoP` carries a token as `Bearer` does.
pub(crate) fn find<'r>(
    sources: &'r [TokenSource],
    precedence: Precedence,
    takes_dpop: bool,
    request: &'r impl RequestView,
) -> Result<Presented<'r>, SourceError> {
    let mut outside = Single::default();
    let mut cookie = Single::default();
    let (mut is_in_query, mut is_dpop, mut has_untaken_dpop) = (false, false, false);
    for source in sources {
        match &source.0 {
            Kind::Bearer => {
                let token = |value| {
                    credentials(value, b"Bearer").or_else(|| {
                        let token = credentials(value, b"DPoP")?;
                        let flag = if takes_dpop { &mut is_dpop } else { &mut has_untaken_dpop };
                        *flag |= !token.is_empty();
                        takes_dpop.then_some(token)
                    })
                };
                outside.add_field(request.header("authorization"), token)?;
            }
            Kind::Header { name, prefix } => outside
                .add_field(request.header(name), |value| value.strip_prefix(prefix.as_bytes()))?,
            Kind::Cookie { cookie: source, .. } => {
                for token in cookie::values(request, source.name()) {
                    cookie.add(token, Some(source))?;
                }
            }
            Kind::WebSocketProtocol { marker } => {
                let mut offered = protocols(request);
                while offered.by_ref().any(|protocol| protocol == marker.as_bytes()) {
                    outside.add(offered.next().unwrap_or_default(), None)?;
                }
            }
            Kind::Query { name } => {
                for pair in request.query().unwrap_or_default().split('&') {
                    if let Some((own, token)) = pair.split_once('=')
                        && own == name
                    {
                        outside.add(token.as_bytes(), None)?;
                        is_in_query |= !token.is_empty();
                    }
                }
            }
        }
    }
    match (outside.0, cookie.0) {
        // A link can hold a token, and must not speak for whom the cookie speaks for.
        (Some(_), Some(_)) if precedence == Precedence::None || is_in_query => {
            Err(SourceError::Several)
        }
        // A token of the scheme `DPoP` is the only one outside of cookies: of several none is taken.
        (Some((token, _)), _) => Ok(Presented { token, cookie: None, is_dpop }),
        (None, Some((token, cookie))) => Ok(Presented { token, cookie, is_dpop: false }),
        (None, None) if has_untaken_dpop => Err(SourceError::DpopScheme),
        (None, None) => Err(SourceError::Missing),
    }
}

/// At most one token, with the cookie it came in.
#[derive(Default)]
struct Single<'r>(Option<(&'r [u8], Option<&'r TokenCookie>)>);

impl<'r> Single<'r> {
    /// An empty value is no token.
    fn add(&mut self, token: &'r [u8], cookie: Option<&'r TokenCookie>) -> Result<(), SourceError> {
        if token.is_empty() {
            return Ok(());
        }
        match self.0.replace((token, cookie)) {
            None => Ok(()),
            Some(_) => Err(SourceError::Several),
        }
    }

    /// The token of a header that is no list, and of which there must then be no second (RFC 9110 §5.3): at which one
    /// did a proxy in front look?
    fn add_field(
        &mut self,
        fields: impl Iterator<Item = &'r [u8]>,
        mut token: impl FnMut(&'r [u8]) -> Option<&'r [u8]>,
    ) -> Result<(), SourceError> {
        let (mut count, mut has_token) = (0, false);
        for field in fields {
            count += 1;
            let token = token(field).unwrap_or_default();
            has_token |= !token.is_empty();
            self.add(token, None)?;
        }
        if count > 1 && has_token { Err(SourceError::Several) } else { Ok(()) }
    }
}

/// RFC 9110 §11.4: a scheme, and after at least one space its credentials.
pub(crate) fn credentials<'r, const N: usize>(
    value: &'r [u8],
    scheme: &[u8; N],
) -> Option<&'r [u8]> {
    let (own, credentials) = value.split_first_chunk::<N>()?;
    let is_scheme = own.eq_ignore_ascii_case(scheme) && credentials.starts_with(b" ");
    is_scheme.then(|| credentials.trim_ascii())
}

/// What a WebSocket offers, in order. All fields are one list, which may have empty elements (RFC 9110 §5.6.1.2).
fn protocols(request: &impl RequestView) -> impl Iterator<Item = &[u8]> {
    request
        .header("sec-websocket-protocol")
        .flat_map(|field| field.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|protocol| !protocol.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> http::Request<()> {
        let mut request = http::Request::builder().uri("/orders?access_token=q&x=1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request")
    }

    fn look(sources: &[TokenSource], headers: &[(&str, &str)]) -> Result<String, SourceError> {
        let request = request(headers);
        find(sources, Precedence::None, false, &request)
            .map(|found| String::from_utf8_lossy(found.token).into_owned())
    }

    #[test]
    fn the_bearer_scheme_is_taken_in_any_case_and_with_any_spaces() {
        for value in ["Bearer t", "bearer t", "BEARER t", "bEaReR   t"] {
            assert_eq!(
                look(&[TokenSource::bearer()], &[("authorization", value)]),
                Ok("t".to_owned()),
                "{value}"
            );
        }
    }

    #[test]
    fn another_scheme_or_an_empty_value_is_no_token() {
        for value in
            ["Basic dDp0", "Bearer", "Bearer ", "Bearer    ", "Bearert", "DPoP ", "", "Bearer\tt"]
        {
            assert_eq!(
                look(&[TokenSource::bearer()], &[("authorization", value)]),
                Err(SourceError::Missing),
                "{value}"
            );
        }
    }

    #[test]
    fn the_scheme_dpop_is_no_token_to_a_policy_without_proofs_and_is_told_apart() {
        let sources = [TokenSource::bearer(), TokenSource::cookie("t")];
        let dpop = ("authorization", "dpop t");
        assert_eq!(look(&sources, &[dpop]), Err(SourceError::DpopScheme));
        assert_eq!(look(&sources, &[dpop, ("cookie", "t=u")]), Ok("u".to_owned()));
        assert_eq!(look(&sources[1..], &[dpop]), Err(SourceError::Missing));
        for (value, expected) in
            [("DPoP t", Ok((b"t".to_vec(), true))), ("DPoP ", Err(SourceError::Missing))]
        {
            let request = request(&[("authorization", value)]);
            let found = find(&sources, Precedence::None, true, &request);
            assert_eq!(found.map(|found| (found.token.to_vec(), found.is_dpop)), expected);
        }
    }

    #[test]
    fn a_second_authorization_field_is_refused_even_if_only_one_is_a_bearer() {
        for second in ["Bearer u", "Bearer t", "Basic dDp0"] {
            let headers = [("authorization", "Bearer t"), ("authorization", second)];
            assert_eq!(
                look(&[TokenSource::bearer()], &headers),
                Err(SourceError::Several),
                "{second}"
            );
        }
        let headers = [("authorization", "Basic a"), ("authorization", "Basic b")];
        assert_eq!(look(&[TokenSource::bearer()], &headers), Err(SourceError::Missing));
    }

    #[test]
    fn a_header_is_taken_with_its_prefix_only() {
        let source = [TokenSource::header("X-Access-Token").with_prefix("Token ")];
        assert_eq!(look(&source, &[("x-access-token", "Token t")]), Ok("t".to_owned()));
        assert_eq!(look(&source, &[("x-access-token", "t")]), Err(SourceError::Missing));
        assert_eq!(
            look(&source, &[("x-access-token", "Token t"), ("x-access-token", "Token u")]),
            Err(SourceError::Several)
        );
    }

    #[test]
    fn a_second_field_beside_a_token_is_refused_whatever_it_holds() {
        let source = [TokenSource::header("Authorization").with_prefix("JWT ")];
        for second in ["JWT u", "JWT t", "JWT ", "Basic dDp0", ""] {
            for headers in [["JWT t", second], [second, "JWT t"]] {
                let headers = headers.map(|value| ("authorization", value));
                assert_eq!(look(&source, &headers), Err(SourceError::Several), "{headers:?}");
            }
        }
        let none = [("authorization", "Basic a"), ("authorization", "JWT ")];
        assert_eq!(look(&source, &none), Err(SourceError::Missing));
    }

    #[test]
    fn fields_of_a_header_count_for_the_source_of_that_header_alone() {
        let sources = [TokenSource::header("x-token"), TokenSource::bearer()];
        let headers =
            [("x-token", "t"), ("authorization", "Basic a"), ("authorization", "Basic b")];
        assert_eq!(look(&sources, &headers), Ok("t".to_owned()));
    }

    #[test]
    fn a_token_is_the_subprotocol_after_its_marker() {
        let source = [TokenSource::websocket_protocol("bearer")];
        let offered = |fields: &[&str]| {
            let name = "sec-websocket-protocol";
            let fields: Vec<_> = fields.iter().map(|field| (name, *field)).collect();
            look(&source, &fields)
        };
        for fields in [
            &["bearer, t"][..],
            &["bearer,t"],
            &["bearer ,\tt"],
            &["bearer,, t"],
            &["bearer", "t"],
            &["bearer, t, chat"],
            &["chat, bearer, t"],
            &["chat", "v2, bearer", "t, v1"],
        ] {
            assert_eq!(offered(fields), Ok("t".to_owned()), "{fields:?}");
        }
        for fields in [&[][..], &[""], &["bearer"], &["t, bearer"], &["Bearer, t"], &["bearer t"]] {
            assert_eq!(offered(fields), Err(SourceError::Missing), "{fields:?}");
        }
        for fields in [&["bearer, t, bearer, t"][..], &["bearer, t", "bearer, u"]] {
            assert_eq!(offered(fields), Err(SourceError::Several), "{fields:?}");
        }
    }

    #[test]
    fn a_second_source_makes_two_tokens_unless_the_header_is_preferred() {
        let sources = [TokenSource::bearer(), TokenSource::cookie("__Host-t")];
        let request = request(&[("authorization", "Bearer h"), ("cookie", "__Host-t=c")]);
        assert_eq!(
            find(&sources, Precedence::None, false, &request).err(),
            Some(SourceError::Several)
        );
        let found = find(&sources, Precedence::Header, false, &request).expect("a token");
        assert_eq!((found.token, found.cookie), (&b"h"[..], None));
    }

    #[test]
    fn a_query_parameter_is_not_preferred_to_a_cookie() {
        let sources =
            [crate::dangerous::token_in_url("access_token"), TokenSource::cookie("__Host-t")];
        let request = request(&[("cookie", "__Host-t=c")]);
        for precedence in [Precedence::None, Precedence::Header] {
            let found = find(&sources, precedence, false, &request);
            assert_eq!(found.err(), Some(SourceError::Several), "{precedence:?}");
        }
    }

    #[test]
    fn the_same_cookie_twice_is_two_tokens_in_one_field_or_two() {
        let source = [TokenSource::cookie("__Host-t")];
        assert_eq!(look(&source, &[("cookie", "a=1; __Host-t=c; b=2")]), Ok("c".to_owned()));
        assert_eq!(
            look(&source, &[("cookie", "a=1"), ("cookie", "__Host-t=c")]),
            Ok("c".to_owned())
        );
        assert_eq!(
            look(&source, &[("cookie", "__Host-t=c; __Host-t=d")]),
            Err(SourceError::Several)
        );
        assert_eq!(
            look(&source, &[("cookie", "__Host-t=c"), ("cookie", "__Host-t=c")]),
            Err(SourceError::Several)
        );
        let cookie = TokenCookie::new("__Host-t").expect("a name");
        for (value, found) in [
            ("a=1; __Host-t=c; b=2", Ok(&b"c"[..])),
            ("__Host-t=; __Host-t=c", Ok(b"c")),
            ("__Host-t=c; __Host-t=c", Err(SourceError::Several)),
            ("__Host-t=", Err(SourceError::Missing)),
        ] {
            assert_eq!(cookie.token_in(&request(&[("cookie", value)])), found, "{value}");
        }
        for none in
            ["__Host-t=", "__Host-t", "__host-t=c", "x__Host-t=c", "__Host-t =c; a=__Host-t=c"]
        {
            assert_eq!(look(&source, &[("cookie", none)]), Err(SourceError::Missing), "{none}");
        }
    }

    #[test]
    fn a_place_named_in_other_words_is_the_same_place() {
        let authorization = TokenSource::header("Authorization");
        let token = TokenSource::header("x-token");
        for (one, other) in [
            (TokenSource::bearer(), TokenSource::bearer()),
            (TokenSource::bearer(), authorization.clone()),
            (authorization.clone().with_prefix("BEARER "), TokenSource::bearer()),
            (token.clone(), token.clone().with_prefix("Token ")),
            (TokenSource::websocket_protocol("a"), TokenSource::websocket_protocol("a")),
            (
                TokenSource::cookie("__Host-t"),
                crate::dangerous::unprefixed_cookie("__Host-t").expect("a name").into(),
            ),
        ] {
            assert!(one.0.overlaps(&other.0), "{one:?} {other:?}");
        }
        for (one, other) in [
            (TokenSource::bearer(), authorization.with_prefix("Token ")),
            (token.clone().with_prefix("JWT "), token.with_prefix("Token ")),
            (TokenSource::cookie("__Host-t"), TokenSource::cookie("__Host-u")),
            (TokenSource::cookie("__Host-t"), crate::dangerous::token_in_url("__Host-t")),
        ] {
            assert!(!one.0.overlaps(&other.0), "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_query_parameter_is_a_source_only_where_it_is_asked_for() {
        assert_eq!(look(&[TokenSource::bearer()], &[]), Err(SourceError::Missing));
        assert_eq!(
            look(&[crate::dangerous::token_in_url("access_token")], &[]),
            Ok("q".to_owned())
        );
        assert_eq!(
            look(
                &[TokenSource::bearer(), crate::dangerous::token_in_url("access_token")],
                &[("authorization", "Bearer t")]
            ),
            Err(SourceError::Several)
        );
    }
}

//! What an app is asked: which routes, and as whom.

/// A method and a path.
pub(crate) type Route<'a> = (&'a str, &'a str);

/// The methods of RFC 9110 §9.3, and `PATCH` (RFC 5789).
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// The routes that an assertion asks: a list of methods and paths, and those that are left out.
///
/// An assertion that something is refused asks each route of the list, and then each other method of the
/// same path, which has to be refused alike or not to exist: so a handler that was added to a path is found
/// without being listed. What is open on purpose is left out by [`except`](Self::except).
///
/// A list alone will do where nothing is left out: `&[("GET", "/orders")]`.
///
/// ```
/// use portcullis_testkit::Routes;
///
/// let writing = Routes::new(&[("POST", "/orders"), ("DELETE", "/orders/{id}")])
///     // May be read by everybody.
///     .except(&[("GET", "/orders"), ("GET", "/orders/{id}")]);
/// # let _ = writing;
/// ```
#[derive(Clone, Debug)]
pub struct Routes<'a> {
    listed: Vec<Route<'a>>,
    excepted: Vec<Route<'a>>,
}

impl<'a> Routes<'a> {
    /// These routes. A path may be written as in the app, `/orders/{id}`.
    #[must_use]
    pub fn new(listed: &[(&'a str, &'a str)]) -> Self {
        Self { listed: listed.to_vec(), excepted: Vec::new() }
    }

    /// The operations of an OpenAPI document, by method and path as they stand there. They lack the path of the
    /// document's server, if it has one.
    #[must_use]
    pub fn documented(document: &'a serde_json::Value) -> Self {
        let paths = document.get("paths").and_then(serde_json::Value::as_object);
        let listed = paths.into_iter().flatten().flat_map(|(path, item)| {
            let is_documented = |method: &&str| item.get(method.to_ascii_lowercase()).is_some();
            METHODS.into_iter().filter(is_documented).map(|method| (method, path.as_str()))
        });
        Self { listed: listed.collect(), excepted: Vec::new() }
    }

    /// Leaves these out, whose paths are spelled as in the list. Who leaves out `GET` leaves out `HEAD`, which
    /// frameworks answer by it. May be called several times.
    ///
    /// If you do not call it: every method of each path is asked.
    #[must_use]
    pub fn except(mut self, open: &[(&'a str, &'a str)]) -> Self {
        self.excepted.extend_from_slice(open);
        self
    }

    pub(crate) fn listed(&self) -> &[Route<'a>] {
        &self.listed
    }

    /// The other methods of each path.
    pub(crate) fn unlisted(&self) -> impl Iterator<Item = Route<'a>> {
        let routes = self.paths().flat_map(|path| METHODS.map(|method| (method, path)));
        routes.filter(|route| !self.listed.contains(route) && !self.is_excepted(*route))
    }

    /// Each path once, and a method that a page would ask about before it uses it.
    pub(crate) fn preflights(&self) -> impl Iterator<Item = Route<'a>> {
        let first = |path: &'a str| self.listed.iter().copied().find(|(_, other)| *other == path);
        let is_asked = |path: &&str| !self.is_excepted(("OPTIONS", *path));
        self.paths().filter(is_asked).filter_map(first)
    }

    fn paths(&self) -> impl Iterator<Item = &'a str> {
        let paths = self.listed.iter().map(|(_, path)| *path).enumerate();
        let is_first = |at: usize, path| self.listed[..at].iter().all(|(_, other)| *other != path);
        paths.filter(move |(at, path)| is_first(*at, *path)).map(|(_, path)| path)
    }

    fn is_excepted(&self, (method, path): Route<'_>) -> bool {
        let by = |method| self.excepted.contains(&(method, path));
        by(method) || (method == "HEAD" && by("GET"))
    }
}

impl<'a> From<&[(&'a str, &'a str)]> for Routes<'a> {
    fn from(listed: &[(&'a str, &'a str)]) -> Self {
        Self::new(listed)
    }
}

impl<'a, const N: usize> From<&[(&'a str, &'a str); N]> for Routes<'a> {
    fn from(listed: &[(&'a str, &'a str); N]) -> Self {
        Self::new(listed)
    }
}

impl<'a> From<&Vec<(&'a str, &'a str)>> for Routes<'a> {
    fn from(listed: &Vec<(&'a str, &'a str)>) -> Self {
        Self::new(listed)
    }
}

/// How an assertion presents its token: text of a token goes into `Authorization: Bearer`.
///
/// ```
/// use portcullis_testkit::Credentials;
///
/// let token = "eyJ…";
/// let bearer = Credentials::from(token);
/// let cookie = format!("__Host-token={token}");
/// let cookie = Credentials::headers(&[
///     ("cookie", &cookie),
///     ("sec-fetch-site", "same-origin"),
/// ]);
/// # let _ = (bearer, cookie);
/// ```
#[derive(Clone)]
pub struct Credentials(Vec<(String, String)>);

impl Credentials {
    /// These headers, where a policy takes its token elsewhere.
    #[must_use]
    pub fn headers(headers: &[(&str, &str)]) -> Self {
        let owned = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self(owned.collect())
    }

    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    /// These and one more header.
    pub(crate) fn with(mut self, name: &str, value: String) -> Self {
        self.0.push((name.to_owned(), value));
        self
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Shows no token.
impl core::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let names = self.0.iter().map(|(name, _)| name);
        f.debug_tuple("Credentials").field(&names.collect::<Vec<_>>()).finish()
    }
}

impl From<&str> for Credentials {
    fn from(token: &str) -> Self {
        Self::headers(&[("authorization", &format!("Bearer {token}"))])
    }
}

impl From<&String> for Credentials {
    fn from(token: &String) -> Self {
        token.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_other_method_of_a_path_is_asked_unless_it_is_left_out() {
        let routes = Routes::new(&[("POST", "/a"), ("DELETE", "/a"), ("GET", "/b")])
            .except(&[("GET", "/a")])
            .except(&[("OPTIONS", "/b")]);
        let unlisted: Vec<_> = routes.unlisted().collect();
        let of =
            |path| unlisted.iter().filter(move |(_, one)| *one == path).map(|(method, _)| *method);
        assert_eq!(of("/a").collect::<Vec<_>>(), ["PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT"]);
        assert_eq!(
            of("/b").collect::<Vec<_>>(),
            ["HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT"]
        );
        assert_eq!(routes.preflights().collect::<Vec<_>>(), [("POST", "/a")]);
    }

    #[test]
    fn credentials_show_no_token() {
        let shown = format!("{:?}", Credentials::from("s.e.c"));
        assert_eq!(shown, r#"Credentials(["authorization"])"#);
    }
}

//! One table that says what each route of a service asks for.
use std::collections::BTreeMap;

use crate::admission::{Admission, Rejection};
use crate::authorize::Requirement;
use crate::error::Error;
use crate::request::RequestView;

/// What each route of a service asks for, in one place. A route that is not in it is refused.
///
/// A route is named as the router has it: `/orders/{id}` in axum and actix-web. So the table never compares a path with a
/// pattern of its own, and no spelling of a path gets around it. It goes into `RequireLayer::by_route` of
/// `portcullis-axum` or `Require::by_route` of `portcullis-actix`, behind the policy.
///
/// For one handler, `Authorized` among its arguments is shorter, and stands where it is read. A table is for those who
/// want to see, or review, all routes at once.
///
/// ```
/// use portcullis::{Requirement, RouteTable};
///
/// let table = RouteTable::new()
///     .require("GET", "/orders", Requirement::scope("orders:read"))
///     .require("GET", "/orders/{id}", Requirement::scope("orders:read"))
///     .require("*", "/admin/users", Requirement::role("roles", "admin"))
///     .any_caller("GET", "/me")
///     .anyone("GET", "/news");
/// assert_eq!(table.routes().count(), 5);
/// ```
///
/// # Which entry counts
///
/// The one of the method, else, for HEAD, that of GET, else that of `*`. Methods are compared as they are written. Where
/// one route is named twice with the same method, both have to be met.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct RouteTable {
    /// By route, then by method.
    routes: BTreeMap<String, Methods>,
}

type Methods = BTreeMap<String, Entry>;

/// From the laxest to the strictest.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Anyone,
    AnyCaller,
    Required(Requirement),
}

impl Entry {
    /// What meets both.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Required(one), Self::Required(other)) => Self::Required(one.and(other)),
            (Self::Required(one), _) | (_, Self::Required(one)) => Self::Required(one),
            (Self::AnyCaller, _) | (_, Self::AnyCaller) => Self::AnyCaller,
            (Self::Anyone, Self::Anyone) => Self::Anyone,
        }
    }
}

impl RouteTable {
    /// A table without routes, which refuses every request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets in callers that meet `requirement`. `method` is `*` for every method that the table does not name for this
    /// route.
    pub fn require(
        self,
        method: impl Into<String>,
        route: impl Into<String>,
        requirement: Requirement,
    ) -> Self {
        self.with(method.into(), route.into(), Entry::Required(requirement))
    }

    /// Lets in every caller that the policy verified.
    pub fn any_caller(self, method: impl Into<String>, route: impl Into<String>) -> Self {
        self.with(method.into(), route.into(), Entry::AnyCaller)
    }

    /// Lets in whom the policy lets in, with or without a token: see
    /// [`Policy::allow_anonymous`](crate::Policy::allow_anonymous).
    pub fn anyone(self, method: impl Into<String>, route: impl Into<String>) -> Self {
        self.with(method.into(), route.into(), Entry::Anyone)
    }

    fn with(mut self, method: String, route: String, entry: Entry) -> Self {
        let methods = self.routes.entry(route).or_default();
        let entry = match methods.remove(&method) {
            Some(before) => before.and(entry),
            None => entry,
        };
        methods.insert(method, entry);
        self
    }

    /// Method and route of each entry, in order of the routes.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.routes.iter().flat_map(|(route, methods)| {
            methods.keys().map(move |method| (method.as_str(), route.as_str()))
        })
    }

    /// Method, route and entry of each, in order of the routes.
    #[cfg(feature = "openapi")]
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &str, &Entry)> {
        self.routes.iter().flat_map(|(route, methods)| {
            methods.iter().map(move |(method, entry)| (method.as_str(), route.as_str(), entry))
        })
    }

    /// For an adapter: whether a request may pass. `found` is what its extensions hold, and `route` what the router
    /// says of it; `None`: no route.
    ///
    /// # Errors
    ///
    /// The caller does not have what the route asks for; the table does not have the route
    /// ([`Error::RouteUncovered`], 500); or no policy stands in front.
    pub fn check(
        &self,
        found: Option<&Admission>,
        route: Option<&str>,
        request: &impl RequestView,
    ) -> Result<(), Rejection> {
        let admission = Admission::installed(found, request)?;
        match route.and_then(|route| self.entry(request.method(), route)) {
            Some(Entry::Anyone) => Ok(()),
            Some(Entry::AnyCaller) => Admission::require(found, request).map(drop),
            Some(Entry::Required(requirement)) => {
                Admission::authorize(found, requirement, request).map(drop)
            }
            None => Err(admission.reject(Error::RouteUncovered, request)),
        }
    }

    fn entry(&self, method: &str, route: &str) -> Option<&Entry> {
        entry_of(self.routes.get(route)?, method).map(|(_, entry)| entry)
    }

    /// Whether it has an entry for this route, which may be spelled as in the router, or as in an OpenAPI document. For a
    /// test, as `assert_covered` of `portcullis-testkit` is.
    pub fn covers(&self, method: &str, route: &str) -> bool {
        self.documented(method, route).is_some()
    }

    /// Method and route of the entries that none of these routes uses. GET uses an entry for HEAD, too, which routers
    /// answer by it.
    pub fn unused<'r>(
        &self,
        routes: impl IntoIterator<Item = (&'r str, &'r str)>,
    ) -> Vec<(&str, &str)> {
        let mut unused: Vec<_> = self.routes().collect();
        for (method, route) in routes {
            let Some((route, methods)) = self.methods(route) else { continue };
            let head = (method == "GET").then_some("HEAD");
            for method in [method].into_iter().chain(head) {
                if let Some((used, _)) = entry_of(methods, method) {
                    unused.retain(|entry| *entry != (used, route));
                }
            }
        }
        unused
    }

    /// The entry of a route that is spelled as in the router, or as in an OpenAPI document.
    pub(crate) fn documented(&self, method: &str, route: &str) -> Option<&Entry> {
        entry_of(self.methods(route)?.1, method).map(|(_, entry)| entry)
    }

    fn methods(&self, route: &str) -> Option<(&str, &Methods)> {
        let wanted = template(route);
        // Only a router spells it so: no document means another by it.
        if wanted != route
            && let Some((route, methods)) = self.routes.get_key_value(route)
        {
            return Some((route, methods));
        }
        let mut alike = self.routes.iter().filter(|(own, _)| template(own) == wanted);
        match (alike.next(), alike.next()) {
            (Some((route, methods)), None) => Some((route, methods)),
            // Of two, it cannot be told which is meant.
            _ => None,
        }
    }
}

fn entry_of<'m>(methods: &'m Methods, method: &str) -> Option<(&'m str, &'m Entry)> {
    let as_get = || methods.get_key_value("GET").filter(|_| method == "HEAD");
    let found = methods.get_key_value(method).or_else(as_get);
    let (method, entry) = found.or_else(|| methods.get_key_value("*"))?;
    Some((method, entry))
}

/// A route as OpenAPI has it: without what the routers say of a parameter besides its name, `{id:\d+}` in actix-web and
/// `{*rest}` in axum.
pub(crate) fn template(route: &str) -> String {
    let mut template = String::with_capacity(route.len());
    let (mut depth, mut is_skipped) = (0_usize, false);
    for char in route.chars() {
        match char {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ':' if depth == 1 => is_skipped = true,
            '*' if template.ends_with('{') => continue,
            _ => {}
        }
        is_skipped &= depth > 0;
        if !is_skipped {
            template.push(char);
        }
    }
    template
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(table: &RouteTable, method: &str, route: &str) -> Option<String> {
        table.entry(method, route).map(|entry| match entry {
            Entry::Anyone => "anyone".to_owned(),
            Entry::AnyCaller => "any caller".to_owned(),
            Entry::Required(requirement) => requirement.to_string(),
        })
    }

    #[test]
    fn the_entry_of_the_method_counts_then_that_of_get_for_head_then_the_one_for_all() {
        let table = RouteTable::new()
            .require("*", "/a", Requirement::scope("all"))
            .require("GET", "/a", Requirement::scope("read"))
            .require("HEAD", "/b", Requirement::scope("look"))
            .any_caller("GET", "/b");
        for (method, route, expected) in [
            ("GET", "/a", Some("the scope `read`")),
            ("HEAD", "/a", Some("the scope `read`")),
            ("POST", "/a", Some("the scope `all`")),
            ("get", "/a", Some("the scope `all`")),
            ("GET", "/b", Some("any caller")),
            ("HEAD", "/b", Some("the scope `look`")),
            ("POST", "/b", None),
            ("GET", "/A", None),
            ("GET", "/a/", None),
            ("GET", "", None),
        ] {
            assert_eq!(entry(&table, method, route).as_deref(), expected, "{method} {route}");
        }
    }

    #[test]
    fn of_a_route_that_is_named_twice_both_are_to_be_met_in_either_order() {
        let entries = [Entry::Anyone, Entry::AnyCaller, Entry::Required(Requirement::scope("a"))];
        for (at, one) in entries.iter().enumerate() {
            for (other_at, other) in entries.iter().enumerate() {
                let table = RouteTable::new().with("GET".into(), "/".into(), one.clone()).with(
                    "GET".into(),
                    "/".into(),
                    other.clone(),
                );
                let strictest = match at.max(other_at) {
                    0 => "anyone",
                    1 => "any caller",
                    _ if at == other_at => "the scope `a` and the scope `a`",
                    _ => "the scope `a`",
                };
                assert_eq!(entry(&table, "GET", "/").as_deref(), Some(strictest));
            }
        }
    }

    #[test]
    fn a_document_spells_a_route_without_what_narrows_its_parameters() {
        for (route, expected) in [
            ("/orders", "/orders"),
            ("/orders/{id}", "/orders/{id}"),
            (r"/orders/{id:\d+}/items", "/orders/{id}/items"),
            (r"/orders/{id:[a-f]{4}}/{item:\d}", "/orders/{id}/{item}"),
            ("/files/{*rest}", "/files/{rest}"),
            ("/files/{rest:.*}", "/files/{rest}"),
            ("/a:b/{id}", "/a:b/{id}"),
            ("/{id", "/{id"),
            ("/}{id}", "/}{id}"),
        ] {
            assert_eq!(template(route), expected);
        }
    }

    #[test]
    fn a_route_is_covered_in_either_spelling_unless_two_could_be_meant() {
        let table = RouteTable::new()
            .any_caller("GET", r"/orders/{id:\d+}")
            .any_caller("*", "/all")
            .any_caller("GET", r"/two/{id:\d+}")
            .any_caller("GET", r"/two/{id:[a-z]+}")
            .any_caller("GET", "/plain/{id}")
            .any_caller("GET", r"/plain/{id:\d+}");
        for (method, route, is_covered) in [
            ("GET", "/orders/{id}", true),
            ("HEAD", "/orders/{id}", true),
            ("GET", r"/orders/{id:\d+}", true),
            ("POST", "/orders/{id}", false),
            ("GET", "/orders/{other}", false),
            ("POST", "/all", true),
            ("GET", "/two/{id}", false),
            ("GET", "/plain/{id}", false),
            ("GET", r"/plain/{id:\d+}", true),
            ("GET", r"/two/{id:\d+}", true),
        ] {
            assert_eq!(table.covers(method, route), is_covered, "{method} {route}");
        }
    }

    #[test]
    fn an_entry_is_unused_that_no_route_leads_to() {
        let table = RouteTable::new()
            .any_caller("GET", "/a")
            .any_caller("HEAD", "/a")
            .any_caller("*", "/a")
            .any_caller("*", "/b")
            .any_caller("GET", "/c/{id:.*}")
            .any_caller("POST", "/c/{id:.*}");
        assert_eq!(
            table.unused([("GET", "/a"), ("GET", "/c/{id}")]),
            [("*", "/a"), ("*", "/b"), ("POST", "/c/{id:.*}"),]
        );
        let all =
            [("GET", "/a"), ("PUT", "/a"), ("GET", "/b"), ("GET", "/c/{id}"), ("POST", "/c/{id}")];
        assert!(table.unused(all).is_empty());
    }
}

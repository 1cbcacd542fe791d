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
    routes: BTreeMap<String, BTreeMap<String, Entry>>,
}

/// From the laxest to the strictest.
#[derive(Clone, Debug)]
enum Entry {
    Anyone,
    AnyCaller,
    Required(Requirement),
}

impl Entry {
    /// What meets both.
    fn and(self, other: Self) -> Self {
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
        let methods = self.routes.get(route)?;
        let as_get = || methods.get("GET").filter(|_| method == "HEAD");
        methods.get(method).or_else(as_get).or_else(|| methods.get("*"))
    }
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
}

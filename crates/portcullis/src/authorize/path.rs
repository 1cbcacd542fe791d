use core::fmt;
use std::sync::Arc;

use serde_json::Value;

/// Where in the claims a list stands: roles, groups, permissions.
///
/// A name is taken as it is, dots and slashes included; a path has a name for each level:
///
/// ```
/// use portcullis::ClaimPath;
///
/// let entra = ClaimPath::from("roles");
/// let auth0 = ClaimPath::from("https://api.example/roles"); // one claim, of this name
/// let keycloak = ClaimPath::from(["realm_access", "roles"]);
/// let of_a_client = ClaimPath::from(["resource_access", "orders-api", "roles"]);
/// let zitadel = ClaimPath::names_of("urn:zitadel:iam:org:project:roles"); // {"admin": {…}}
/// # let _ = (entra, auth0, keycloak, of_a_client, zitadel);
/// ```
///
/// What stands there is a list of strings, or one string, which is a list of one and is not split. Anything
/// else is an empty list: also a list in which one item is no string.
#[derive(Clone, Eq, PartialEq)]
pub struct ClaimPath {
    names: Arc<[Box<str>]>,
    /// The names of the members of an object are the list.
    lists_members: bool,
}

impl ClaimPath {
    /// Where an object stands whose members' names are the list, whatever their values.
    pub fn names_of(path: impl Into<Self>) -> Self {
        Self { lists_members: true, ..path.into() }
    }

    /// The name of each level.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// A path without a name, or with an empty one, leads nowhere.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| name.is_empty())
    }

    /// What stands there.
    pub(super) fn find<'c>(&self, claims: &'c Value) -> Option<&'c Value> {
        self.names.iter().try_fold(claims, |value, name| value.as_object()?.get(&**name))
    }

    /// Whether the list there has this item.
    pub(super) fn lists(&self, claims: &Value, item: &str) -> bool {
        match self.find(claims) {
            Some(Value::Object(members)) if self.lists_members => members.contains_key(item),
            Some(Value::String(own)) if !self.lists_members => own == item,
            Some(Value::Array(items)) if !self.lists_members => {
                items.iter().all(Value::is_string) && items.iter().any(|own| own == item)
            }
            _ => false,
        }
    }
}

impl From<&str> for ClaimPath {
    fn from(name: &str) -> Self {
        Self::from([name])
    }
}

impl From<String> for ClaimPath {
    fn from(name: String) -> Self {
        Self::from([name])
    }
}

impl<N: Into<Box<str>>, const LEVELS: usize> From<[N; LEVELS]> for ClaimPath {
    fn from(names: [N; LEVELS]) -> Self {
        Self { names: names.into_iter().map(Into::into).collect(), lists_members: false }
    }
}

impl<N: Into<Box<str>>> From<Vec<N>> for ClaimPath {
    fn from(names: Vec<N>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect(), lists_members: false }
    }
}

/// `resource_access.orders-api.roles`
impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (level, name) in self.names.iter().enumerate() {
            if level > 0 {
                f.write_str(".")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClaimPath({self})")
    }
}

use core::fmt;
use std::sync::Arc;

use super::Met;
use crate::error::RequirementFault;
use crate::json::JsonText;
use crate::verified::VerifiedToken;

/// Where in the claims a list stands: roles, groups, permissions.
///
/// A name is taken as it is, dots and slashes included; a path has a name for each level:
///
/// ```
/// use portcullis::ClaimPath;
///
/// let entra = ClaimPath::from("roles");
/// // One claim, of this name:
/// let auth0 = ClaimPath::from("https://api.example/roles");
/// let keycloak = ClaimPath::from(["realm_access", "roles"]);
/// let of_a_client = ClaimPath::from(["resource_access", "orders-api", "roles"]);
/// // {"admin": {…}}
/// let zitadel = ClaimPath::member_names("urn:zitadel:iam:org:project:roles");
/// # let _ = (entra, auth0, keycloak, of_a_client, zitadel);
/// ```
///
/// What stands there is a list of strings, or one string, which is a list of one and is not split. Of anything
/// else, also of a list in which one item is not a string, it cannot be told what it lists: no requirement
/// that looks there is met, under an exclusion either. So it is where a provider left a claim out of the token and
/// says in `_claim_names` where else it stands (OpenID Connect Core §5.6.2), as Entra ID does with more than
/// 200 groups, or by `hasgroups` that there are some; and where a name stands inside of a longer text: `banned` in `banned,users`.
///
/// A text with dots that could be a path is a fault: `realm_access.roles`. Where one claim has such a name, say
/// so by a list of one, `["kubernetes.io"]`. A name with a colon or a slash is taken as it is.
#[derive(Clone, Eq, PartialEq)]
pub struct ClaimPath {
    names: Arc<[Box<str>]>,
    /// The names of the members of an object are the list.
    lists_members: bool,
    /// It was written as one text that could be a path of several names.
    is_ambiguous: bool,
}

impl ClaimPath {
    /// Where an object stands whose members' names are the list, whatever their values.
    pub fn member_names(path: impl Into<Self>) -> Self {
        Self { lists_members: true, ..path.into() }
    }

    /// The name of each level.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    pub(super) fn lists_members(&self) -> bool {
        self.lists_members
    }

    /// Why it leads nowhere, if so.
    pub(super) fn fault(&self) -> Option<RequirementFault> {
        if self.names.is_empty() || self.names.iter().any(|name| name.is_empty()) {
            return Some(RequirementFault::Path);
        }
        self.is_ambiguous.then(|| RequirementFault::DottedPath { path: self.to_string() })
    }

    /// What stands there.
    pub(super) fn find<'t>(&self, token: &'t VerifiedToken) -> Found<'t> {
        let Some((first, rest)) = self.names.split_first() else { return Found::Unreadable };
        rest.iter().fold(find(token, first), |found, name| match found {
            Found::Value(value) if value.is_object() => {
                value.get(name).map_or(Found::Absent, Found::Value)
            }
            Found::Value(_) => Found::Unreadable,
            other => other,
        })
    }

    /// Whether the list there has this item.
    pub(super) fn lists(&self, token: &VerifiedToken, item: &str) -> Met {
        self.find(token).is(|value| {
            if self.lists_members {
                let hides = || value.members().any(|(own, _)| hides_in(&own.decoded(), item));
                let met = Met::from(value.get(item).is_some()).unless(hides);
                return if value.is_object() { met } else { Met::Unknown };
            }
            match value.string() {
                Some(own) => Met::from(*own == *item).unless(|| hides_in(&own, item)),
                None => Met::listed(value, |own| own.is(item), item),
            }
        })
    }
}

/// What stands where a requirement looks.
pub(super) enum Found<'t> {
    Absent,
    Value(JsonText<'t>),
    /// Something is there, or elsewhere, that does not lead on.
    Unreadable,
}

impl<'t> Found<'t> {
    /// Whether what is there meets a requirement. What is absent does not.
    pub(super) fn is(self, meets: impl FnOnce(JsonText<'t>) -> Met) -> Met {
        match self {
            Self::Absent => Met::No,
            Self::Value(value) => meets(value),
            Self::Unreadable => Met::Unknown,
        }
    }
}

/// The claim of this name.
pub(super) fn find<'t>(token: &'t VerifiedToken, name: &str) -> Found<'t> {
    match token.claim(name) {
        Some(value) => Found::Value(value),
        None if is_left_out(token, name) => Found::Unreadable,
        None => Found::Absent,
    }
}

/// Whether the token says that it would have a claim of this name.
fn is_left_out(token: &VerifiedToken, name: &str) -> bool {
    // OpenID Connect Core §5.6.2: its value stands elsewhere.
    let is_elsewhere = |names: JsonText<'_>| !names.is_object() || names.get(name).is_some();
    // Entra ID, where a token is no longer than an address may be: the user has groups, and nothing says which.
    let has_groups = |has: JsonText<'_>| has.as_written() != "false";
    token.claim("_claim_names").is_some_and(is_elsewhere)
        || (name == "groups" && token.claim("hasgroups").is_some_and(has_groups))
}

/// Whether `name` stands in a longer text as an item may stand in a list that was written as one text.
pub(super) fn hides_in(text: &str, name: &str) -> bool {
    let is_border = |char: char| char.is_whitespace() || ",;|[](){}\"'".contains(char);
    let stands_alone = |start: usize| {
        let (before, after) = (&text[..start], &text[start + name.len()..]);
        before.chars().next_back().is_none_or(is_border)
            && after.chars().next().is_none_or(is_border)
    };
    let is_there = |start: &usize| text[*start..].starts_with(name);
    // Not `match_indices`, which passes over one that begins inside of another.
    let mut starts = text.char_indices().map(|(start, _)| start).filter(is_there);
    text.len() > name.len() && starts.any(stands_alone)
}

impl From<&str> for ClaimPath {
    fn from(name: &str) -> Self {
        let is_ambiguous = name.contains('.') && !name.contains([':', '/']);
        Self { is_ambiguous, ..Self::from([name]) }
    }
}

impl From<String> for ClaimPath {
    fn from(name: String) -> Self {
        Self::from(name.as_str())
    }
}

impl<N: Into<Box<str>>, const LEVELS: usize> From<[N; LEVELS]> for ClaimPath {
    fn from(names: [N; LEVELS]) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
            lists_members: false,
            is_ambiguous: false,
        }
    }
}

impl From<&[&str]> for ClaimPath {
    fn from(names: &[&str]) -> Self {
        Self::from(names.to_vec())
    }
}

impl<N: Into<Box<str>>> From<Vec<N>> for ClaimPath {
    fn from(names: Vec<N>) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
            lists_members: false,
            is_ambiguous: false,
        }
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

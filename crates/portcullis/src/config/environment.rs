//! Policies that differ between staging and production by what the environment says.
use std::env;
use std::path::PathBuf;

use super::fault::{ConfigError, ConfigFault, ConfigProblem};
use super::lines::Lines;
use super::node::{Node, below};
use super::stores::Stores;
use super::{PolicyConfig, from_file};
use crate::policy::{Policy, PolicyBuilder};

/// The variable that names a policy file.
const FILE: &str = "PORTCULLIS_POLICY";

/// The variables of [`Policy::from_env`], each with the place that it is the setting of.
const SETTINGS: [(&str, &str); 4] = [
    ("PORTCULLIS_ISSUER", "issuer[0].id"),
    ("PORTCULLIS_AUDIENCE", "issuer[0].audiences"),
    ("PORTCULLIS_ALGORITHMS", "issuer[0].algorithms"),
    ("PORTCULLIS_JWKS_URL", "issuer[0].keys"),
];

/// What a variable says. `None`: it is not set.
type Variables<'v> = &'v dyn Fn(&str) -> Option<Result<String, ConfigProblem>>;

fn of_process(name: &str) -> Option<Result<String, ConfigProblem>> {
    let value = env::var_os(name)?;
    Some(value.into_string().map_err(|_| ConfigProblem::VariableText { name: name.to_owned() }))
}

/// A place where the environment could not be asked, and why.
pub(super) type Unfilled = (String, ConfigProblem);

/// Puts in each text the variables of the process's environment that it names by `${NAME}`.
pub(super) fn fill_in(root: Node) -> (Node, Vec<Unfilled>) {
    let mut unfilled = Vec::new();
    let root = fill_node(root, "", &of_process, &mut unfilled);
    (root, unfilled)
}

fn fill_node(
    node: Node,
    place: &str,
    variables: Variables<'_>,
    unfilled: &mut Vec<Unfilled>,
) -> Node {
    match node {
        Node::String(text) => Node::String(fill(&text, variables).unwrap_or_else(|problem| {
            unfilled.push((place.to_owned(), problem));
            text
        })),
        Node::Array(items) => Node::Array(
            items
                .into_iter()
                .enumerate()
                .map(|(at, item)| fill_node(item, &format!("{place}[{at}]"), variables, unfilled))
                .collect(),
        ),
        Node::Table(entries) => Node::Table(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let value = fill_node(value, &below(place, &key), variables, unfilled);
                    (key, value)
                })
                .collect(),
        ),
        other => other,
    }
}

/// What a variable says is text and nothing else: it is not looked through again, and cannot end a string.
fn fill(text: &str, variables: Variables<'_>) -> Result<String, ConfigProblem> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        // `$${` stands for the two characters themselves.
        if let Some(before) = before.strip_suffix('$') {
            filled.push_str(before);
            filled.push_str("${");
            rest = &after[2..];
            continue;
        }
        filled.push_str(before);
        let named = after[2..].split_once('}').filter(|(name, _)| is_name(name));
        let Some((name, after)) = named else { return Err(ConfigProblem::VariableName) };
        match variables(name) {
            Some(value) => filled.push_str(&value?),
            None => return Err(ConfigProblem::VariableMissing { name: name.to_owned() }),
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// POSIX.1-2017 §8.1: letters, digits and `_`, no digit first.
fn is_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// Where the environment says that the policy is.
enum Found {
    File(PathBuf),
    Settings(PolicyConfig),
}

fn find(variables: Variables<'_>) -> Result<Found, ConfigError> {
    let mut faults = Vec::new();
    let mut take = |name: &str| match variables(name)? {
        Ok(value) => Some(value),
        Err(problem) => {
            let place = name.to_owned();
            faults.push(ConfigFault { place, line: None, problem });
            None
        }
    };
    let file = take(FILE);
    let [issuer, audience, algorithms, jwks_url] = SETTINGS.map(|(name, _)| take(name));
    let beside = SETTINGS.iter().find(|(name, _)| variables(name).is_some());
    if let (Some(_), Some((beside, _))) = (&file, beside) {
        let problem = ConfigProblem::Conflict { with: FILE.to_owned() };
        faults.push(ConfigFault { place: (*beside).to_owned(), line: None, problem });
    }
    if !faults.is_empty() {
        return Err(ConfigError::new(faults));
    }
    if let Some(file) = file {
        return Ok(Found::File(file.into()));
    }
    let list = |text: String| {
        let items = text.split(',').map(|item| Node::String(item.trim().to_owned()));
        Node::Array(items.collect())
    };
    let keys = match jwks_url {
        Some(url) => ("jwks_url".to_owned(), Node::String(url)),
        None => ("discovery".to_owned(), Node::Bool(true)),
    };
    let settings = [
        ("id", issuer.map(Node::String)),
        ("audiences", audience.map(list)),
        ("algorithms", algorithms.map(list)),
        ("keys", Some(Node::Table(vec![keys]))),
    ];
    let settings =
        settings.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    let root = vec![("issuer".to_owned(), Node::Array(vec![Node::Table(settings)]))];
    let (root, lines) = (Node::Table(root), Lines::default());
    Ok(Found::Settings(PolicyConfig { root, lines, stores: Stores::default() }))
}

/// Names the variable where the place of a setting stands.
fn by_variable(error: &ConfigError) -> ConfigError {
    let faults = error.faults().iter().cloned().map(|mut fault| {
        let rest = |place: &str| {
            let rest = fault.place.strip_prefix(place)?;
            (rest.is_empty() || rest.starts_with(['.', '['])).then(|| rest.to_owned())
        };
        let variable = SETTINGS.iter().find(|(_, place)| rest(place).is_some());
        // What can be said by one of several keys is missing from the issuer as a whole.
        let missing = match &fault.problem {
            ConfigProblem::MissingOneOf { keys } => {
                let is_one =
                    |place: &str| keys.iter().any(|key| place == format!("issuer[0].{key}"));
                SETTINGS.iter().find(|(_, place)| is_one(place))
            }
            _ => None,
        };
        if let Some((name, _)) = variable {
            fault.place = (*name).to_owned();
        } else if let Some((name, _)) = missing {
            fault.place = (*name).to_owned();
            fault.problem = ConfigProblem::Missing;
        }
        fault
    });
    ConfigError::new(faults.collect())
}

fn read<T>(
    variables: Variables<'_>,
    make: impl FnOnce(PolicyConfig, PathBuf) -> Result<T, ConfigError>,
) -> Result<T, ConfigError> {
    match find(variables)? {
        Found::File(path) => from_file(&path, make),
        Found::Settings(settings) => {
            make(settings, PathBuf::new()).map_err(|error| by_variable(&error))
        }
    }
}

impl Policy {
    /// A policy that the environment of the process describes, for a service of one issuer.
    ///
    /// | variable | what it says |
    /// | --- | --- |
    /// | `PORTCULLIS_ISSUER` | the issuer, exactly as in `iss` |
    /// | `PORTCULLIS_AUDIENCE` | this service, as in `aud`; several separated by commas |
    /// | `PORTCULLIS_ALGORITHMS` | the algorithms that the issuer signs with: `ES256,RS256` |
    /// | `PORTCULLIS_JWKS_URL` | where its keys are. If it is not set, they are found by the issuer's metadata |
    /// | `PORTCULLIS_POLICY` | the path of a [policy file](crate::config); none of the others then |
    ///
    /// The variables are read once, here. Keys need the feature `remote-jwks`.
    ///
    /// # Errors
    ///
    /// A variable is missing, or says what no policy can be made of. The error lists every fault, by the name of the
    /// variable.
    pub fn from_env() -> Result<Self, ConfigError> {
        read(&of_process, PolicyConfig::build)
    }
}

impl PolicyBuilder {
    /// The settings that the environment of the process describes, for what it cannot say: see [`Policy::from_env`].
    ///
    /// # Errors
    ///
    /// As of [`Policy::from_env`], but for what [`build`](Self::build) finds.
    pub fn from_env() -> Result<Self, ConfigError> {
        read(&of_process, PolicyConfig::into_builder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Set<'s> = &'s [(&'s str, &'s str)];

    fn variables<'s>(set: Set<'s>) -> impl Fn(&str) -> Option<Result<String, ConfigProblem>> + 's {
        |name| set.iter().find(|(own, _)| *own == name).map(|(_, value)| Ok((*value).to_owned()))
    }

    fn faults(set: Set<'_>) -> Vec<String> {
        let error = read(&variables(set), PolicyConfig::build).map(drop).unwrap_err();
        error.faults().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_text_is_filled_in_once_and_is_nothing_but_text() {
        let set = variables(&[("HOST", "id.example"), ("SLY", "\"\n${HOST}"), ("EMPTY", "")]);
        let filled = |text: &str| fill(text, &set);
        for (text, expected) in [
            ("https://${HOST}/", "https://id.example/"),
            ("${HOST}${HOST}", "id.exampleid.example"),
            ("${SLY}", "\"\n${HOST}"),
            ("a${EMPTY}b", "ab"),
            ("$${HOST}", "${HOST}"),
            ("$$${HOST}", "$${HOST}"),
            ("$HOST $ {HOST} }", "$HOST $ {HOST} }"),
            ("", ""),
        ] {
            assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["${", "${}", "${HOST", "${A B}", "${1}", "${HOST:-x}", "${ä}"] {
            assert_eq!(filled(text), Err(ConfigProblem::VariableName), "{text}");
        }
        let missing = ConfigProblem::VariableMissing { name: "NONE".to_owned() };
        assert_eq!(filled("${NONE}"), Err(missing));
    }

    #[test]
    fn each_text_of_a_policy_is_filled_in_and_what_is_not_set_is_told_with_its_place() {
        let text = r#"{ "a": ["x", "${NONE}"], "b": { "c": "${HOST}", "d": 7 }, "${HOST}": 1 }"#;
        let node: Node = serde_json::from_str(text).unwrap();
        let mut unfilled = Vec::new();
        let set = variables(&[("HOST", "id.example")]);
        let Node::Table(entries) = fill_node(node, "", &set, &mut unfilled) else { panic!() };
        let missing = ConfigProblem::VariableMissing { name: "NONE".to_owned() };
        assert_eq!(unfilled, [("a[1]".to_owned(), missing)]);
        let Node::Table(within) = &entries[1].1 else { panic!() };
        assert!(matches!(&within[0].1, Node::String(text) if text == "id.example"));
        // Names of settings are never filled in.
        assert_eq!(entries[2].0, "${HOST}");
    }

    #[test]
    fn what_the_environment_lacks_is_told_by_the_name_of_the_variable() {
        assert_eq!(
            faults(&[]),
            [
                "PORTCULLIS_ISSUER: is missing and has no default: set it",
                "PORTCULLIS_ALGORITHMS: is missing and has no default: set it",
                "PORTCULLIS_AUDIENCE: is missing and has no default: set it",
            ]
        );
        let good = [
            ("PORTCULLIS_ISSUER", "https://id.example"),
            ("PORTCULLIS_AUDIENCE", "orders"),
            ("PORTCULLIS_ALGORITHMS", "none, ES256"),
        ];
        let found = faults(&good);
        assert!(found[0].starts_with("PORTCULLIS_ALGORITHMS: `none`"), "{found:?}");
        let beside = [("PORTCULLIS_ISSUER", "a"), ("PORTCULLIS_POLICY", "/etc/policy.toml")];
        assert_eq!(
            faults(&beside),
            ["PORTCULLIS_ISSUER: cannot be set together with `PORTCULLIS_POLICY`: leave one out"]
        );
    }

    #[cfg(feature = "remote-jwks")]
    #[test]
    fn three_variables_make_a_policy_whose_keys_are_found_by_the_issuer() {
        let mut set = vec![
            ("PORTCULLIS_ISSUER", "https://id.example"),
            ("PORTCULLIS_AUDIENCE", "orders, https://orders.example"),
            ("PORTCULLIS_ALGORITHMS", "ES256,RS256"),
        ];
        let policy = |set: Set<'_>| read(&variables(set), PolicyConfig::build).expect("a policy");
        assert_eq!(policy(&set).remote_keys().len(), 1);
        set.push(("PORTCULLIS_JWKS_URL", "https://id.example/keys"));
        assert_eq!(policy(&set).remote_keys().len(), 1);
        set.pop();
        set.push(("PORTCULLIS_JWKS_URL", "ftp://id.example/keys"));
        assert!(faults(&set)[0].starts_with("PORTCULLIS_JWKS_URL: "), "{:?}", faults(&set));
    }

    #[test]
    fn a_file_that_the_environment_names_is_the_policy() {
        let found = faults(&[("PORTCULLIS_POLICY", "/nowhere/policy.toml")]);
        assert!(found[0].contains("cannot be read"), "{found:?}");
    }
}

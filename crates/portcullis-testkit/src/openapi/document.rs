//! What a document says of each operation.
use core::fmt;
use std::collections::BTreeMap;

use portcullis::authorize::is_scope;
use serde_json::{Map, Value};

use super::Samples;
use super::sample::{Parameter, encoded, sample};

/// The operations that a path may have.
const METHODS: [(&str, &str); 8] = [
    ("get", "GET"),
    ("head", "HEAD"),
    ("options", "OPTIONS"),
    ("trace", "TRACE"),
    ("post", "POST"),
    ("put", "PUT"),
    ("patch", "PATCH"),
    ("delete", "DELETE"),
];

pub(super) struct Documented {
    pub(super) operations: Vec<Operation>,
    /// What is wrong with the document itself.
    pub(super) faults: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    /// As in the document.
    pub(super) path: String,
    /// Where it is asked, with samples for its parameters; or why it cannot be.
    pub(super) address: Result<String, String>,
    /// Whether no token is needed.
    pub(super) is_open: bool,
    /// Those with a token.
    pub(super) alternatives: Vec<Alternative>,
    /// Why some alternatives cannot be asked for.
    pub(super) untested: Vec<String>,
    /// Whether the document has HEAD of this path.
    pub(super) has_head: bool,
    /// The keys of `responses`.
    responses: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Alternative {
    pub(super) scheme: String,
    pub(super) scopes: Vec<String>,
    /// What it takes besides, in words.
    pub(super) beyond: Vec<String>,
    pub(super) presents: Presents,
    /// Whether the client has to present its certificate as well.
    pub(super) needs_certificate: bool,
}

/// How a token is sent.
#[derive(Clone, Debug)]
pub(super) enum Presents {
    Bearer,
    Dpop,
    Header { name: String, prefix: String },
    Cookie { name: String },
    Query { name: String },
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl Operation {
    /// RFC 9110 §9.2.1.
    pub(super) fn is_safe(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
    }

    /// Whether its `responses` have this status, as itself, as a range or by `default`.
    pub(super) fn documents(&self, status: u16) -> bool {
        let (exact, range) = (status.to_string(), format!("{}XX", status / 100));
        let is_it =
            |key: &String| *key == exact || key.eq_ignore_ascii_case(&range) || key == "default";
        self.responses.iter().any(is_it)
    }
}

impl Alternative {
    /// Whether a token with these scopes, sent as that of `other` is, is enough by what the document says.
    pub(super) fn is_met_by(&self, other: &Self, scopes: &[&str]) -> bool {
        (other.needs_certificate || !self.needs_certificate) && self.is_met_by_token(other, scopes)
    }

    /// Whether all is there without a certificate.
    pub(super) fn is_met_without_certificate(&self, other: &Self, scopes: &[&str]) -> bool {
        !self.needs_certificate && self.is_met_by_token(other, scopes)
    }

    /// Whether the same token is enough as a bearer token, if it is bound to no key.
    pub(super) fn is_met_as_bearer_token(&self, other: &Self, scopes: &[&str]) -> bool {
        matches!(self.presents, Presents::Bearer)
            && (other.needs_certificate || !self.needs_certificate)
            && self.has_no_more_than(scopes)
    }

    pub(super) fn needs_proof(&self) -> bool {
        matches!(self.presents, Presents::Dpop)
    }

    fn is_met_by_token(&self, other: &Self, scopes: &[&str]) -> bool {
        self.scheme == other.scheme && self.has_no_more_than(scopes)
    }

    fn has_no_more_than(&self, scopes: &[&str]) -> bool {
        self.scopes.iter().all(|scope| scopes.contains(&scope.as_str()))
    }

    pub(super) fn has_exactly(&self, scopes: &[&str]) -> bool {
        self.has_no_more_than(scopes)
            && scopes.iter().all(|scope| self.scopes.iter().any(|own| own == scope))
    }
}

impl Documented {
    pub(super) fn read(document: &Value, base: Option<&str>, samples: &Samples<'_>) -> Self {
        let reader = Reader { document, base, samples };
        let mut documented = Self { operations: Vec::new(), faults: Vec::new() };
        let paths = document.get("paths").and_then(Value::as_object).into_iter().flatten();
        // In one order, whether or not another crate has `serde_json` keep that of the document.
        for (path, item) in paths.collect::<BTreeMap<_, _>>() {
            // Extensions stand among the paths.
            let Some(item) = reader.object(item).filter(|_| path.starts_with('/')) else {
                continue;
            };
            for (key, method) in METHODS {
                if let Some(operation) = item.get(key).and_then(Value::as_object) {
                    let operation = reader.operation((method, path), item, operation);
                    documented.operations.push(operation.0);
                    documented.faults.extend(operation.1);
                }
            }
        }
        documented
    }
}

struct Reader<'d> {
    document: &'d Value,
    base: Option<&'d str>,
    samples: &'d Samples<'d>,
}

impl<'d> Reader<'d> {
    /// What a `$ref` within the document refers to.
    fn resolve(&self, value: &'d Value) -> &'d Value {
        let mut value = value;
        // Who refers in a circle gets what is there in the end.
        for _ in 0..16 {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else { break };
            let pointer = reference.strip_prefix('#');
            match pointer.and_then(|pointer| self.document.pointer(pointer)) {
                Some(next) => value = next,
                None => break,
            }
        }
        value
    }

    fn object(&self, value: &'d Value) -> Option<&'d Map<String, Value>> {
        self.resolve(value).as_object()
    }

    fn operation(
        &self,
        (method, path): (&'static str, &str),
        item: &'d Map<String, Value>,
        own: &'d Map<String, Value>,
    ) -> (Operation, Vec<String>) {
        let security = own.get("security").or_else(|| self.document.get("security"));
        let listed = security.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut operation = Operation {
            method,
            path: path.to_owned(),
            address: self.address((method, path), item, own),
            is_open: listed.is_empty(),
            alternatives: Vec::new(),
            untested: Vec::new(),
            has_head: item.contains_key("head"),
            responses: own
                .get("responses")
                .and_then(Value::as_object)
                .map(|responses| responses.keys().cloned().collect())
                .unwrap_or_default(),
        };
        let mut faults = Vec::new();
        for one in listed.iter().filter_map(Value::as_object) {
            if one.is_empty() {
                operation.is_open = true;
                continue;
            }
            // All of them are needed. A certificate goes with a token, and by itself brings none.
            let (certificates, tokens): (Vec<_>, Vec<_>) =
                one.iter().partition(|(scheme, _)| one.len() > 1 && self.is_certificate(scheme));
            let needs_certificate = !certificates.is_empty();
            let [(scheme, scopes)] = tokens[..] else {
                let names: Vec<_> = one.keys().map(String::as_str).collect();
                let why = format!("asks for `{}` at once", names.join("` and `"));
                operation.untested.push(why);
                continue;
            };
            let scopes: Vec<_> = scopes
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            if let Some(scope) = scopes.iter().find(|scope| !is_scope(scope)) {
                faults.push(format!(
                    "{operation}: no token can carry the scope {scope:?} (RFC 6749, section 3.3)"
                ));
                continue;
            }
            match self.presents(scheme) {
                Ok(presents) => {
                    let beyond = beyond(own, &scopes);
                    let scheme = scheme.clone();
                    operation.alternatives.push(Alternative {
                        scheme,
                        scopes,
                        beyond,
                        presents,
                        needs_certificate,
                    });
                }
                Err(Unpresentable::Unknown) => faults
                    .push(format!("{operation}: the document has no security scheme `{scheme}`")),
                Err(Unpresentable::Other(kind)) => operation
                    .untested
                    .push(format!("a token is not sent by `{scheme}`, which is {kind}")),
            }
        }
        (operation, faults)
    }

    fn scheme(&self, name: &str) -> Option<&'d Value> {
        let schemes = self.document.pointer("/components/securitySchemes");
        schemes.and_then(|schemes| schemes.get(name)).map(|scheme| self.resolve(scheme))
    }

    fn is_certificate(&self, scheme: &str) -> bool {
        let scheme = self.scheme(scheme);
        scheme.is_some_and(|it| it.get("type").and_then(Value::as_str) == Some("mutualTLS"))
    }

    fn presents(&self, scheme: &str) -> Result<Presents, Unpresentable> {
        let scheme = self.scheme(scheme).ok_or(Unpresentable::Unknown)?;
        let text = |member: &str| scheme.get(member).and_then(Value::as_str).unwrap_or_default();
        let name = || text("name").to_owned();
        match (text("type"), text("in")) {
            ("http", _) if text("scheme").eq_ignore_ascii_case("bearer") => Ok(Presents::Bearer),
            ("http", _) if text("scheme").eq_ignore_ascii_case("dpop") => Ok(Presents::Dpop),
            ("oauth2" | "openIdConnect", _) => Ok(Presents::Bearer),
            ("apiKey", "cookie") => Ok(Presents::Cookie { name: name() }),
            ("apiKey", "query") => Ok(Presents::Query { name: name() }),
            ("apiKey", "header") => {
                let prefix = scheme.pointer("/x-portcullis/prefix").and_then(Value::as_str);
                let prefix = prefix.unwrap_or_default().to_owned();
                Ok(Presents::Header { name: name().to_ascii_lowercase(), prefix })
            }
            ("http", _) => Err(Unpresentable::Other(format!("http `{}`", text("scheme")))),
            (other, _) => Err(Unpresentable::Other(format!("`{other}`"))),
        }
    }

    /// Where the operation is asked.
    fn address(
        &self,
        (method, path): (&'static str, &str),
        item: &'d Map<String, Value>,
        own: &'d Map<String, Value>,
    ) -> Result<String, String> {
        let mut address = self.base(item, own);
        let parameters = self.parameters(item, own);
        let find = |name: &str, place: &str| {
            let is_it = |one: &&&'d Map<String, Value>| is_parameter(one, name, place);
            let declared = parameters.iter().find(is_it).copied();
            let parameter = Parameter { name, place, method, path };
            (self.samples)(&parameter).or_else(|| sample(declared?, &|value| self.resolve(value)))
        };
        let mut rest = path;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            let Some(value) = find(name, "path").filter(|value| !value.is_empty()) else {
                return Err(format!(
                    "there is no sample for `{name}` in its path: give it an `example`, or `OpenApi::sample` one"
                ));
            };
            address.push_str(before);
            address.push_str(&encoded(&value));
            rest = after;
        }
        address.push_str(rest);
        let mut mark = '?';
        for parameter in &parameters {
            let is_required = parameter.get("required").and_then(Value::as_bool) == Some(true);
            let name = parameter.get("name").and_then(Value::as_str).unwrap_or_default();
            if is_required
                && is_parameter(parameter, name, "query")
                && let Some(value) = find(name, "query")
            {
                address.push(mark);
                address.push_str(&format!("{}={}", encoded(name), encoded(&value)));
                mark = '&';
            }
        }
        Ok(address)
    }

    /// The path of the first server: the operation's, the path's or the document's.
    fn base(&self, item: &'d Map<String, Value>, own: &'d Map<String, Value>) -> String {
        if let Some(base) = self.base {
            return base.trim_end_matches('/').to_owned();
        }
        let servers = own.get("servers").or_else(|| item.get("servers"));
        let servers = servers.or_else(|| self.document.get("servers"));
        let Some(server) = servers.and_then(|servers| servers.get(0)) else {
            return String::new();
        };
        let mut url = server.get("url").and_then(Value::as_str).unwrap_or_default().to_owned();
        let variables = server.get("variables").and_then(Value::as_object);
        for (name, variable) in variables.into_iter().flatten() {
            let default = variable.get("default").and_then(Value::as_str).unwrap_or_default();
            url = url.replace(&format!("{{{name}}}"), default);
        }
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
            None => &url,
        };
        let path = path.trim_end_matches('/');
        // An address that does not begin with a slash is one below the document's own, which the app has at its root.
        if path.is_empty() || path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
    }

    /// Those of the operation first: one of the same name counts before one of the path.
    fn parameters(
        &self,
        item: &'d Map<String, Value>,
        own: &'d Map<String, Value>,
    ) -> Vec<&'d Map<String, Value>> {
        let listed = [own, item].into_iter().filter_map(|it| it.get("parameters")?.as_array());
        listed.flatten().filter_map(|parameter| self.object(parameter)).collect()
    }
}

enum Unpresentable {
    /// The document does not have it.
    Unknown,
    /// What it is instead.
    Other(String),
}

fn is_parameter(parameter: &Map<String, Value>, name: &str, place: &str) -> bool {
    let is = |member: &str, text: &str| parameter.get(member).and_then(Value::as_str) == Some(text);
    is("name", name) && is("in", place)
}

/// What the operation's `x-portcullis` says beyond these scopes. Where it has no alternatives, there were too many.
fn beyond(operation: &Map<String, Value>, scopes: &[String]) -> Vec<String> {
    let texts = |value: Option<&Value>| -> Vec<String> {
        let list = value.and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let Some(extension) = operation.get("x-portcullis") else { return Vec::new() };
    match extension.get("alternatives").and_then(Value::as_array) {
        Some(alternatives) => {
            let is_it = |one: &&Value| texts(one.get("scopes")) == *scopes;
            let alternative = alternatives.iter().find(is_it);
            texts(alternative.and_then(|alternative| alternative.get("beyond")))
        }
        None => {
            let needs = extension.get("needs").and_then(Value::as_str);
            needs.map(str::to_owned).into_iter().collect()
        }
    }
}

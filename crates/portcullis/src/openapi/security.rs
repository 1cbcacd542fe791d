use serde_json::{Map, Value, json};

use super::schemes::SecuritySchemes;
use crate::authorize::{Alternative, Requirement};

/// More alternatives than a reader of a document looks at: a requirement of that many is told in words.
const MOST_ALTERNATIVES: usize = 16;

/// What one operation asks for, as OpenAPI has it: made by [`Requirement::security`], by
/// [`RouteTable::security`](crate::RouteTable::security), and by [`SecuritySchemes`] for routes that ask
/// for no more than a token.
#[derive(Clone, Debug)]
#[must_use]
pub struct Security {
    /// Each an object of the list `security`.
    alternatives: Vec<Value>,
    /// What it needs, in words, where the alternatives do not say it.
    needs: Option<String>,
    /// What stands in `x-portcullis`.
    extension: Option<Value>,
    /// Status, and the name of the response.
    responses: Vec<(&'static str, String)>,
}

/// A refusal that operations refer to.
pub(super) struct Refusal {
    status: &'static str,
    pub(super) name: &'static str,
    description: &'static str,
    header: (&'static str, &'static str),
}

pub(super) const UNAUTHORIZED: Refusal = Refusal {
    status: "401",
    name: "Unauthorized",
    description: "The request has no access token, or one that is not accepted.",
    header: ("WWW-Authenticate", "Which token is needed (RFC 6750, section 3)."),
};

pub(super) const FORBIDDEN: Refusal = Refusal {
    status: "403",
    name: "Forbidden",
    description: "The access token does not allow this request.",
    header: ("WWW-Authenticate", "Which scopes are needed (RFC 6750, section 3)."),
};

pub(super) const UNAVAILABLE: Refusal = Refusal {
    status: "503",
    name: "Unavailable",
    description: "Access tokens cannot be verified at the moment.",
    header: ("Retry-After", "After how many seconds to try again."),
};

impl Refusal {
    pub(super) fn response(&self, has_hook: bool) -> Value {
        let (header, purpose) = self.header;
        let text = || json!({ "type": "string" });
        let mut response = json!({
            "description": self.description,
            "headers": { header: { "description": purpose, "schema": text() } },
        });
        if !has_hook {
            // RFC 9457 §3.1, and the member `code` that is always there.
            let problem = json!({
                "type": "object",
                "properties": {
                    "type": text(),
                    "title": text(),
                    "status": { "type": "integer" },
                    "detail": text(),
                    "code": text(),
                },
                "required": ["type", "title", "status", "code"],
            });
            response["content"] = json!({ "application/problem+json": { "schema": problem } });
        }
        response
    }
}

impl Requirement {
    /// What an operation asks for that has this requirement: one alternative for each way to meet it, in each scheme of
    /// the policy.
    ///
    /// ```
    /// use portcullis::Requirement;
    /// use portcullis_testkit::TestIssuer;
    /// use serde_json::json;
    ///
    /// let schemes = TestIssuer::new("https://id.example").policy().security_schemes();
    /// let reads = Requirement::scope("orders:read");
    /// let reads = reads.or(Requirement::role("roles", "clerk"));
    /// let refund = Requirement::scope("refunds:write").and(reads);
    ///
    /// let security = refund.security(&schemes);
    /// assert_eq!(
    ///     security.to_json(),
    ///     json!([
    ///         { "bearer": ["refunds:write", "orders:read"] },
    ///         { "bearer": ["refunds:write"] },
    ///     ])
    /// );
    /// // The second takes more than its scopes, which OpenAPI cannot say:
    /// let beyond = &security.extension().unwrap()["alternatives"][1]["beyond"];
    /// assert_eq!(*beyond, json!(["`clerk` at `roles`"]));
    /// ```
    pub fn security(&self, schemes: &SecuritySchemes) -> Security {
        let alternatives = self.alternatives(MOST_ALTERNATIVES);
        let is_said = |alternative: &Alternative| alternative.beyond().next().is_none();
        let is_all_said =
            alternatives.as_ref().is_some_and(|alternatives| alternatives.iter().all(is_said));
        let is_told = schemes.tells_details && !is_all_said;
        let needs = is_told.then(|| self.to_string());
        let mut security = Security::any_caller(schemes);
        if let Some(alternatives) = &alternatives {
            security.alternatives = schemes
                .names()
                .flat_map(|name| {
                    alternatives.iter().map(move |alternative| {
                        let scopes = alternative.scopes.iter().map(|scope| Value::from(&**scope));
                        schemes.alternative(name.clone(), scopes.collect())
                    })
                })
                .collect();
            dedup(&mut security.alternatives);
        }
        security.extension = needs.as_ref().map(|needs| {
            let mut extension = json!({ "needs": needs });
            if let Some(alternatives) = &alternatives {
                let alternatives = alternatives.iter().map(|alternative| {
                    let scopes: Vec<_> = alternative.scopes.iter().map(|scope| &**scope).collect();
                    json!({ "scopes": scopes, "beyond": alternative.beyond().collect::<Vec<_>>() })
                });
                extension["alternatives"] = alternatives.collect();
            }
            extension
        });
        security.needs = needs;
        security.add(&FORBIDDEN, schemes);
        security
    }
}

impl Security {
    pub(super) fn any_caller(schemes: &SecuritySchemes) -> Self {
        let alternatives =
            schemes.names().map(|name| schemes.alternative(name, Vec::new())).collect();
        let mut security =
            Self { alternatives, needs: None, extension: None, responses: Vec::new() };
        security.add(&UNAUTHORIZED, schemes);
        // Who sends a cookie along from another site is refused, whatever the token.
        if schemes.has_cookie {
            security.add(&FORBIDDEN, schemes);
        }
        security.add(&UNAVAILABLE, schemes);
        security
    }

    pub(super) fn anyone(schemes: &SecuritySchemes) -> Self {
        let mut security = Self::any_caller(schemes);
        if schemes.allows_anonymous {
            security.alternatives.insert(0, json!({}));
        }
        security
    }

    fn add(&mut self, refusal: &Refusal, schemes: &SecuritySchemes) {
        if self.responses.iter().all(|(status, _)| *status != refusal.status) {
            self.responses.push((refusal.status, schemes.named(refusal.name)));
            self.responses.sort_unstable();
        }
    }

    /// The alternatives, each a scheme with its scopes: what stands in `security`. Beside it stands `mutualTLS` where each
    /// token has to be bound to a certificate.
    pub fn to_json(&self) -> Value {
        self.alternatives.clone().into()
    }

    /// What it needs, in words: what stands in the description. `None`: `security` says all of it, or the policy was told
    /// to give [no details](crate::Presentation::without_details).
    pub fn description(&self) -> Option<String> {
        self.needs.as_ref().map(|needs| format!("Needs {needs}."))
    }

    /// The same as data, for `x-portcullis`: `needs`, in words, and unless there are too many `alternatives`, each with
    /// its `scopes`, and with what is `beyond` them in words.
    pub fn extension(&self) -> Option<Value> {
        self.extension.clone()
    }

    /// The refusals by status, as references to the [components](SecuritySchemes::components) of a document.
    pub fn responses(&self) -> Value {
        let responses = self.responses.iter().map(|(status, name)| {
            ((*status).to_owned(), json!({ "$ref": format!("#/components/responses/{name}") }))
        });
        Value::Object(responses.collect())
    }

    /// Fills an operation of a document: `security` and `x-portcullis` are replaced, the description goes on after what
    /// it says already, and of the refusals those come in whose status it does not have.
    ///
    /// To fill it once more changes nothing. What is not an object is left alone.
    pub fn fill(&self, operation: &mut Value) {
        let Some(operation) = operation.as_object_mut() else { return };
        operation.insert("security".to_owned(), self.to_json());
        match self.extension() {
            Some(extension) => operation.insert("x-portcullis".to_owned(), extension),
            None => operation.remove("x-portcullis"),
        };
        if let Some(words) = self.description() {
            let before = operation.get("description").and_then(Value::as_str).unwrap_or_default();
            if !before.ends_with(&words) {
                let gap = if before.is_empty() { "" } else { "\n\n" };
                let description = format!("{before}{gap}{words}");
                operation.insert("description".to_owned(), description.into());
            }
        }
        let responses = operation.entry("responses").or_insert_with(|| Map::new().into());
        if let (Some(responses), Value::Object(refusals)) =
            (responses.as_object_mut(), self.responses())
        {
            for (status, refusal) in refusals {
                responses.entry(status).or_insert(refusal);
            }
        }
    }
}

/// Where alternatives differ only by what is beyond their scopes, one of them says it.
fn dedup(alternatives: &mut Vec<Value>) {
    let mut kept: Vec<Value> = Vec::with_capacity(alternatives.len());
    for alternative in alternatives.drain(..) {
        if !kept.contains(&alternative) {
            kept.push(alternative);
        }
    }
    *alternatives = kept;
}

//! Documents that are filled from a table of routes.
use serde_json::{Map, Value};

use super::schemes::SecuritySchemes;
use super::security::Security;
use crate::route_table::{Entry, RouteTable, template};

/// The operations that a path of OpenAPI may have.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

impl RouteTable {
    /// What the route asks for, as OpenAPI has it. `route` may be spelled as in the router or as in a document. `None`:
    /// the table does not have it.
    pub fn security(
        &self,
        method: &str,
        route: &str,
        schemes: &SecuritySchemes,
    ) -> Option<Security> {
        Some(match self.documented(method, route)? {
            Entry::Anyone => schemes.anyone(),
            Entry::AnyCaller => schemes.any_caller(),
            Entry::Required(requirement) => requirement.security(schemes),
        })
    }

    /// The `paths` of a document. Each operation has what the table knows: `security`, refusals, and in words what
    /// OpenAPI cannot say.
    ///
    /// Entries for the method `*` are not in it, since the table does not know which methods the route has. They count
    /// where a document is [filled](Self::fill_openapi).
    pub fn openapi_paths(&self, schemes: &SecuritySchemes) -> Value {
        let mut paths = Map::new();
        for (method, route) in self.routes() {
            let method = method.to_ascii_lowercase();
            if !METHODS.contains(&method.as_str()) {
                continue;
            }
            let Some(security) = self.security(&method.to_ascii_uppercase(), route, schemes) else {
                continue;
            };
            let mut operation = Value::Object(Map::new());
            security.fill(&mut operation);
            let path = paths.entry(template(route)).or_insert_with(|| Map::new().into());
            if let Some(path) = path.as_object_mut() {
                path.insert(method, operation);
            }
        }
        paths.into()
    }

    /// Fills a document that something else made of the handlers. Each operation gets the [security](Security::fill)
    /// that the table has for it, and the document the [components](SecuritySchemes::components) that these refer to.
    ///
    /// Gives method and path of each operation that is left as it was. The table does not have it, so that the service
    /// would refuse it with 500; or the table has two routes that the path may mean. A path may stand in the table with the
    /// path of the document's first server before it.
    ///
    /// utoipa's documents go through JSON, in a `Modify`: see the example `openapi`.
    #[must_use = "it says which operations the table does not have"]
    pub fn fill_openapi(
        &self,
        document: &mut Value,
        schemes: &SecuritySchemes,
    ) -> Vec<(String, String)> {
        let base = base(document).to_owned();
        let mut uncovered = Vec::new();
        let paths = document.get_mut("paths").and_then(Value::as_object_mut);
        for (path, operations) in paths.into_iter().flatten() {
            let Some(operations) = operations.as_object_mut() else { continue };
            for method in METHODS {
                let Some(operation) = operations.get_mut(method) else { continue };
                let method = method.to_ascii_uppercase();
                let below = || self.security(&method, &format!("{base}{path}"), schemes);
                match below().or_else(|| self.security(&method, path, schemes)) {
                    Some(security) => security.fill(operation),
                    None => uncovered.push((method, path.clone())),
                }
            }
        }
        add(document, schemes);
        uncovered
    }
}

/// Puts in the components; those of the same name go.
fn add(document: &mut Value, schemes: &SecuritySchemes) {
    let Some(document) = document.as_object_mut() else { return };
    let object = || Value::Object(Map::new());
    let components = document.entry("components").or_insert_with(object);
    let (Some(components), Value::Object(ours)) =
        (components.as_object_mut(), schemes.components())
    else {
        return;
    };
    for (kind, ours) in ours {
        let all = components.entry(kind).or_insert_with(object).as_object_mut();
        if let (Some(all), Value::Object(ours)) = (all, ours) {
            all.extend(ours);
        }
    }
}

/// The path of the first server, without a slash at its end.
fn base(document: &Value) -> &str {
    let url = document.pointer("/servers/0/url").and_then(Value::as_str).unwrap_or_default();
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None => url,
    };
    path.trim_end_matches('/')
}

//! Documents that are filled from a table of routes.
use std::collections::BTreeMap;

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
        self.documented(method, route).map(|entry| of_entry(entry, schemes))
    }

    /// The `paths` of a document. Each operation has what the table knows: `security`, refusals, and in words what
    /// OpenAPI cannot say.
    ///
    /// Entries for the method `*` are not in it, since the table does not know which methods the route has. They count
    /// where a document is [filled](Self::fill_openapi). Of two routes that a document spells alike, since only their
    /// parameters' patterns differ, it has what both ask for.
    pub fn openapi_paths(&self, schemes: &SecuritySchemes) -> Value {
        let mut entries = BTreeMap::<_, Entry>::new();
        for (method, route, entry) in self.entries() {
            let method = method.to_ascii_lowercase();
            if METHODS.contains(&method.as_str()) {
                let place = (template(route), method);
                let entry = match entries.remove(&place) {
                    Some(before) => before.and(entry.clone()),
                    None => entry.clone(),
                };
                entries.insert(place, entry);
            }
        }
        let mut paths = Map::new();
        for ((path, method), entry) in &entries {
            let mut operation = Value::Object(Map::new());
            of_entry(entry, schemes).fill(&mut operation);
            let path = paths.entry(path).or_insert_with(|| Map::new().into());
            if let Some(path) = path.as_object_mut() {
                path.insert(method.clone(), operation);
            }
        }
        paths.into()
    }

    /// Fills a document that something else made of the handlers. Each operation gets the [security](Security::fill)
    /// that the table has for it, and the document the [components](SecuritySchemes::components) that these refer to.
    ///
    /// Gives method and path of each operation that is left as it was. The table does not have it, so that the service
    /// would refuse it with 500; the table has two routes that the path may mean; or the document says elsewhere what the
    /// operation is (`$ref`), or by a method that this does not know, and then the name of that member stands in the place
    /// of the method. A path may stand in the table with the
    /// path of the document's first server before it.
    ///
    /// utoipa's documents are filled as the JSON that is served: see the example `openapi`. The types of utoipa 6 do not know the
    /// scheme `dpop`, so a document that has it does not become one of them again.
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
            let others = operations.keys().filter(|key| !is_known(key));
            uncovered.extend(others.map(|key| (key.clone(), path.clone())));
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

fn of_entry(entry: &Entry, schemes: &SecuritySchemes) -> Security {
    match entry {
        Entry::Anyone => schemes.anyone(),
        Entry::AnyCaller => schemes.any_caller(),
        Entry::Required(requirement) => requirement.security(schemes),
    }
}

/// Whether a member of a path is an operation that is filled, or none.
fn is_known(key: &str) -> bool {
    METHODS.contains(&key)
        || ["summary", "description", "servers", "parameters"].contains(&key)
        || key.starts_with("x-")
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

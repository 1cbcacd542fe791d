use std::collections::BTreeMap;

use serde::Deserialize;

/// The lock file of this workspace, for the versions that were measured.
#[derive(Deserialize)]
pub(crate) struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    #[serde(default)]
    dependencies: Vec<String>,
}

impl Lock {
    pub(crate) fn read() -> Self {
        toml::from_str(include_str!("../../Cargo.lock")).expect("a lock file")
    }

    /// The names and versions along `path`, each a dependency of the one before and the first one
    /// of `package`.
    pub(crate) fn versions(&self, package: &str, path: &[String]) -> Vec<String> {
        let mut by_name = BTreeMap::<_, Vec<_>>::new();
        for package in &self.package {
            by_name.entry(package.name.as_str()).or_default().push(package);
        }
        let mut from = by_name[package][0];
        let mut versions = Vec::new();
        for name in path {
            // `name`, or `name version` where there are several.
            let mut words = from.dependencies.iter().map(|entry| entry.split(' '));
            let mut words = words
                .find_map(|mut words| words.next().filter(|first| first == name).map(|_| words))
                .unwrap_or_else(|| panic!("{} does not depend on {name}", from.name));
            let version = words.next();
            let is_meant = |package: &&&Package| version.is_none_or(|it| it == package.version);
            from = by_name[name.as_str()].iter().find(is_meant).expect("a package of the lock");
            versions.push(format!("{} {}", from.name, from.version));
        }
        versions
    }
}

//! What is asked of proofs of who has the key that a token is bound to (RFC 9449).
use core::time::Duration;

use super::issuer::read_algorithms;
use crate::config::fault::ConfigProblem;
use crate::config::place::Sites;
use crate::config::reader::{Table, Value};
use crate::config::stores::{IN_PROCESS, Stores};
use crate::dpop::{Dpop, Nonces};
use crate::keys::{Encoding, Secret};

/// Gives it even where it misses something, so that its other faults are found too. What is missing is noted: no policy is
/// made of it.
pub(super) fn read_dpop(value: &Value<'_>, stores: &Stores, sites: &mut Sites) -> Option<Dpop> {
    let mut table = value.table("a table: { base_urls = [\"https://api.example\"] }")?;
    let mut dpop = read_store(&mut table, stores);
    for (value, url) in read_bases(&mut table) {
        dpop = dpop.at(url);
        sites.bases.push(value.place);
    }
    let mode =
        table.take("mode").and_then(|value| value.one_of(&["allowed", "required"], &[false, true]));
    if mode == Some(true) {
        dpop = dpop.required();
    }
    if let Some(value) = table.take("algorithms") {
        let algorithms = read_algorithms(&value);
        // What is no list was noted: not to be told of as an empty list too.
        dpop = dpop.algorithms(algorithms);
    }
    if let Some(window) = table
        .take("window")
        .and_then(|value| value.table("a table: { past = \"60s\", future = \"10s\" }"))
    {
        let (past, future) = read_window(window, dpop.bounds());
        dpop = dpop.window(past, future);
    }
    if let Some(nonces) = read_nonces(&mut table, stores, sites) {
        dpop = dpop.nonces(nonces);
    }
    table.finish();
    Some(dpop)
}

fn read_nonces(table: &mut Table<'_>, stores: &Stores, sites: &mut Sites) -> Option<Nonces> {
    let mode = table.take("nonces").map(|value| value.one_of(&["off", "required"], &[false, true]));
    let files = table.take("nonce_secrets");
    // What it says that is neither was noted, and the secrets may be for the other.
    if let Some(files) = files.as_ref().filter(|_| matches!(mode, None | Some(Some(false)))) {
        files.refuse(ConfigProblem::Needs { key: "nonces = \"required\"" });
    }
    let files = files.and_then(|value| value.list("a list of files: [\"nonce-2026-11\"]"));
    let files = files.into_iter().flatten().filter_map(|value| Some((value.path()?, value.place)));
    let (files, places): (Vec<_>, Vec<_>) = files.unzip();
    sites.nonce_secrets = places;
    (mode == Some(Some(true))).then(|| match files.is_empty() {
        true => stores.nonces(),
        false => Nonces::shared(files.into_iter().map(|file| Secret::file(file, Encoding::Raw))),
    })
}

fn read_bases<'d>(table: &mut Table<'d>) -> Vec<(Value<'d>, &'d str)> {
    let bases = table.require("base_urls").and_then(|value| {
        let bases = value.placed_strings("a list of addresses: [\"https://api.example\"]")?;
        if bases.is_empty() {
            value.refuse(ConfigProblem::Empty);
        }
        Some(bases)
    });
    bases.unwrap_or_default()
}

/// Both sides, of which one that is not there is as it was.
fn read_window(mut table: Table<'_>, usual: (Duration, Duration)) -> (Duration, Duration) {
    let [past, future] =
        ["past", "future"].map(|key| table.take(key).and_then(|value| value.duration()));
    table.finish();
    (past.unwrap_or(usual.0), future.unwrap_or(usual.1))
}

/// The store that is named, or the usual one. Where there is none of that name, or there are several, which is noted, another one
/// does instead.
fn read_store(table: &mut Table<'_>, stores: &Stores) -> Dpop {
    let value = table.take("replay");
    let name = value.as_ref().and_then(|value| value.string("the name of a store: \"in_process\""));
    stores.named(name.unwrap_or(IN_PROCESS)).unwrap_or_else(|problem| {
        match value {
            Some(value) => value.refuse(problem),
            None => table.refuse(problem),
        }
        stores.in_process()
    })
}

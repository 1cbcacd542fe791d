//! What is told of a ring.
use portcullis_issuer::StoreTime;
use portcullis_issuer::ring::Phase;
use portcullis_issuer::{KeyStatus, RingStatus};
use serde::Serialize;

use super::words::{does, moment, name, private_part};
use crate::output::{Output, counted, shown};
use crate::time::{Instant, duration};

/// What a program is told of a ring.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    issuer: &'a str,
    version: u64,
    is_authentic: bool,
    now: Instant,
    longest_lifetime_s: u64,
    keys: Vec<Key<'a>>,
    next: Vec<Next<'a>>,
    #[serde(skip)]
    root_secrets: usize,
}

#[derive(Serialize)]
struct Key<'a> {
    key_id: &'a str,
    algorithm: &'a str,
    phase: &'static str,
    private_part: &'static str,
    /// What it is sealed with, by its public id.
    seal_id: Option<&'a str>,
    /// Whether it takes a root secret behind the first. `None`: no root secret was given.
    is_under_old_root_secret: Option<bool>,
    published_at: Instant,
    signs_from: Instant,
    signs_until: Option<Instant>,
    verifies_until: Option<Instant>,
    withdrawn_at: Option<Instant>,
}

impl<'a> Key<'a> {
    fn of(key: &'a KeyStatus) -> Self {
        let private_part = match &key.seal_id {
            Some(_) => "sealed",
            None if key.is_at_signer() => "at_signer",
            None => "erased",
        };
        Self {
            key_id: &key.key_id,
            algorithm: &key.algorithm,
            phase: name(key.phase),
            private_part,
            seal_id: key.seal_id.as_deref(),
            is_under_old_root_secret: key.row_root.map(|_| key.is_under_old_root()),
            published_at: key.times.published_at.into(),
            signs_from: key.times.signs_from.into(),
            signs_until: key.times.signs_until.map(Instant::from),
            verifies_until: key.times.verifies_until.map(Instant::from),
            withdrawn_at: key.times.withdrawn_at.map(Instant::from),
        }
    }
}

/// What happens by itself, as the keys say.
#[derive(Serialize)]
struct Next<'a> {
    at: Instant,
    key_id: &'a str,
    happens: Happens,
    #[serde(skip)]
    when: StoreTime,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Happens {
    Published,
    Signs,
    LeavesKeySet,
}

impl Next<'_> {
    fn words(&self, status: &RingStatus) -> String {
        let key = short(self.key_id, status);
        match self.happens {
            Happens::Published => format!("{key} is published"),
            Happens::LeavesKeySet => format!("{key} leaves the key set"),
            Happens::Signs => {
                let ends = |it: &&KeyStatus| {
                    it.times.signs_until == Some(self.when) && it.phase != Phase::Withdrawn
                };
                match status.keys.iter().find(ends) {
                    Some(before) => {
                        format!("{key} signs in place of {}", short(&before.key_id, status))
                    }
                    None => format!("{key} signs"),
                }
            }
        }
    }
}

impl<'a> Report<'a> {
    /// `root_secrets`: how many were given.
    pub(super) fn new(issuer: &'a str, status: &'a RingStatus, root_secrets: usize) -> Self {
        Self {
            issuer,
            version: status.version.0,
            is_authentic: status.is_authentic,
            now: status.now.into(),
            longest_lifetime_s: status.longest_lifetime.as_secs(),
            keys: status.keys.iter().map(Key::of).collect(),
            next: next(status),
            root_secrets,
        }
    }
}

/// What is to come, the soonest first.
fn next(status: &RingStatus) -> Vec<Next<'_>> {
    let mut all = Vec::new();
    for key in status.keys.iter().filter(|key| key.phase != Phase::Withdrawn) {
        let times = [
            (Some(key.times.published_at), Happens::Published),
            (Some(key.times.signs_from), Happens::Signs),
            (key.times.verifies_until, Happens::LeavesKeySet),
        ];
        for (at, happens) in times {
            if let Some(when) = at.filter(|at| *at > status.now) {
                all.push(Next { at: when.into(), key_id: &key.key_id, happens, when });
            }
        }
    }
    all.sort_by_key(|next| next.when);
    all
}

/// As `status` shows it.
pub(super) fn print(report: &Report<'_>, status: &RingStatus, output: &Output) {
    let (issuer, keys) = (shown(report.issuer), counted(report.keys.len(), "key"));
    let algorithm = only_algorithm(status);
    let of = algorithm.map(|name| format!(" of {}", shown(name))).unwrap_or_default();
    match status.signing() {
        Some(key) => {
            output.verdict(true, &format!("{issuer}: {keys}{of}, {} signs", shown(&key.key_id)));
        }
        None => output.verdict(
            false,
            &format!("{issuer}: {keys}{of}, and none signs: no instance looks after the ring"),
        ),
    }
    let times = match report.version {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        version => format!("{version} times"),
    };
    let longest = duration(report.longest_lifetime_s);
    output.paragraph(&format!("written {times}; tokens live for up to {longest}"));
    output.line("");
    let row = |key: &KeyStatus| {
        let private = private_part(key, status.is_authentic);
        [key.key_id.clone(), does(key, status.now), private.to_owned()]
    };
    if algorithm.is_some() {
        output.table(["key id", "what it does", "private"], status.keys.iter().map(row));
    } else {
        let rows = status.keys.iter().map(|key| {
            let [key_id, does, private] = row(key);
            [key_id, key.algorithm.clone(), does, private]
        });
        output.table(["key id", "algorithm", "what it does", "private"], rows);
    }
    if !report.next.is_empty() {
        output.line("");
        let rows = report.next.iter().map(|next| {
            let [within, date] = moment(next.when, status.now);
            [within, date, next.words(status)]
        });
        output.table(["next", "", ""], rows);
    }
    output.line("");
    for text in remarks(report, status) {
        output.paragraph(&text);
    }
}

/// The algorithm of all keys, where it is the same.
fn only_algorithm(status: &RingStatus) -> Option<&str> {
    let first = status.keys.first()?.algorithm.as_str();
    status.keys.iter().all(|key| key.algorithm == first).then_some(first)
}

/// The beginning of an id, which stands whole above, if it is that of no other.
fn short(key_id: &str, status: &RingStatus) -> String {
    let beginning: String = key_id.chars().take(8).collect();
    let found = status.keys.iter().filter(|key| key.key_id.starts_with(&beginning));
    if found.count() > 1 || key_id.chars().count() <= 12 {
        key_id.to_owned()
    } else {
        beginning + "…"
    }
}

/// What an operator has to know besides.
fn remarks(report: &Report<'_>, status: &RingStatus) -> Vec<String> {
    let mut told = Vec::new();
    if !status.keys.iter().any(|key| key.phase == Phase::Standby) {
        told.push("No key stands by, so that an emergency would meet a key that verifiers do not have. An instance that runs makes one within a minute.".to_owned());
    }
    if !status.is_authentic {
        told.push("NOT AUTHENTICATED: whoever can write to the store may have written this. Give --root-secret to have it checked.".to_owned());
        return told;
    }
    told.push("Authenticated: who wrote it has the root secret.".to_owned());
    let old = status.keys.iter().filter(|key| key.is_under_old_root()).count();
    if old > 0 {
        told.push(format!(
            "{} under an old root secret: keep it in the list of every instance. Instances that list the new one first seal keys anew within the hour.",
            are(old)
        ));
    } else if report.root_secrets > 1 {
        told.push(
            "Under an old root secret: nothing. It can be taken out of the list of every instance."
                .to_owned(),
        );
    }
    let is_foreign = |key: &&KeyStatus| key.seal_id.is_some() && key.seal_root.is_none();
    let foreign = status.keys.iter().filter(is_foreign).count();
    if foreign > 0 {
        told.push(format!(
            "{} sealed with none of the root secrets that were given: with one that is missing here, or by a KMS.",
            are(foreign)
        ));
    }
    told
}

/// `1 key is`, `2 keys are`.
fn are(count: usize) -> String {
    format!("{} {}", counted(count, "key"), if count == 1 { "is" } else { "are" })
}

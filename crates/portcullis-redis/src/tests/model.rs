//! The scripts once more, as functions of a value: for the simulation, and to hold the scripts to it.
use std::collections::BTreeMap;

/// What is in Redis. Buckets are not told apart, since nothing is over here.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Store {
    pub(crate) meta: Option<Meta>,
    /// By number: key, mark, end, writing, the writing before.
    pub(crate) log: BTreeMap<u64, Logged>,
    pub(crate) state: BTreeMap<Vec<u8>, (u64, u32)>,
    /// Until which age.
    pub(crate) publishing: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Logged {
    pub(crate) entry: Entry,
    pub(crate) writing: String,
    pub(crate) before: String,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: Vec<u8>,
    pub(crate) mark: u64,
    pub(crate) ends: u32,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Meta {
    pub(crate) epoch: String,
    pub(crate) incarnation: String,
    pub(crate) recovery: String,
    pub(crate) age: u64,
    pub(crate) since: u64,
    pub(crate) window: u64,
    pub(crate) sequence: u64,
    pub(crate) head: String,
    /// The key of the digests, its fingerprint, and when it was chosen.
    pub(crate) key: Option<(String, String, u64)>,
    pub(crate) heartbeat: u64,
}

/// Longest lifetime, leeway, width.
pub(crate) const TERMS: [&str; 3] = ["900", "30", "60"];

/// What a heartbeat tells, as the script takes it.
#[derive(Clone, Debug)]
pub(crate) struct Heartbeat<'h> {
    pub(crate) incarnation: &'h str,
    pub(crate) recovery: &'h str,
    pub(crate) diverged: &'h str,
    pub(crate) key: &'h str,
    pub(crate) fingerprint: &'h str,
    pub(crate) stamp: Option<u64>,
    pub(crate) publisher: &'h str,
    pub(crate) lease: u64,
}

/// What is published, as the script takes it.
#[derive(Clone, Debug)]
pub(crate) struct Publication<'p> {
    pub(crate) fingerprint: &'p str,
    pub(crate) publisher: &'p str,
    pub(crate) lease: u64,
    pub(crate) writing: &'p str,
    pub(crate) is_seen: bool,
    /// Under which key there may be a lift, and up to which mark of it the entries count.
    pub(crate) counts_with: Option<(&'p [u8], u64)>,
    pub(crate) entries: &'p [Entry],
}

impl Store {
    pub(crate) fn initialize(
        &mut self,
        now: u64,
        epoch: &str,
        recovery: &str,
        window: u64,
    ) -> bool {
        if self.meta.is_some() {
            return false;
        }
        let meta = Meta {
            epoch: epoch.to_owned(),
            incarnation: String::new(),
            recovery: recovery.to_owned(),
            age: 0,
            since: 0,
            window,
            sequence: 0,
            head: String::new(),
            key: None,
            heartbeat: now,
        };
        *self = Self { meta: Some(meta), ..Self::default() };
        true
    }

    pub(crate) fn heartbeat(&mut self, now: u64, told: &Heartbeat<'_>) -> Vec<String> {
        let Some(meta) = &mut self.meta else { return Vec::new() };
        meta.age += now.saturating_sub(meta.heartbeat).min(2000);
        let is_other = meta.incarnation != told.incarnation;
        if is_other || (!told.diverged.is_empty() && told.diverged == meta.recovery) {
            told.recovery.clone_into(&mut meta.recovery);
            meta.since = meta.age;
        }
        let is_within = meta.age - meta.since < meta.window;
        let chosen = |stamp| Some((told.key.to_owned(), told.fingerprint.to_owned(), stamp));
        match (&meta.key, told.stamp) {
            (None, Some(stamp)) => meta.key = chosen(stamp),
            (None, None) if !is_within => meta.key = chosen(now),
            (Some((key, _, before)), Some(stamp))
                if key != told.key && is_within && stamp > *before =>
            {
                meta.key = chosen(stamp);
                told.recovery.clone_into(&mut meta.recovery);
                meta.since = meta.age;
                self.log.clear();
                self.state.clear();
            }
            _ => {}
        }
        told.incarnation.clone_into(&mut meta.incarnation);
        meta.heartbeat = now;
        self.publishing.retain(|_, until| *until > meta.age);
        if !told.publisher.is_empty() {
            self.publishing.insert(told.publisher.to_owned(), meta.age + told.lease);
        }
        let is_recovering = meta.age - meta.since < meta.window || !self.publishing.is_empty();
        let (key, stamp) = meta
            .key
            .as_ref()
            .map_or_else(Default::default, |(key, _, stamp)| (key.clone(), stamp.to_string()));
        let [lifetime, leeway, width] = TERMS.map(str::to_owned);
        vec![
            "2".to_owned(),
            meta.epoch.clone(),
            meta.recovery.clone(),
            u8::from(is_recovering).to_string(),
            meta.sequence.to_string(),
            meta.head.clone(),
            key,
            stamp,
            lifetime,
            leeway,
            width,
            now.to_string(),
        ]
    }

    pub(crate) fn publish(&mut self, told: &Publication<'_>) -> Vec<String> {
        let Some(meta) = &mut self.meta else { return vec!["uninitialized".to_owned()] };
        if meta.key.as_ref().map(|(_, fingerprint, _)| &**fingerprint) != Some(told.fingerprint) {
            return vec!["other key".to_owned()];
        }
        if let Some((lift, most)) = told.counts_with
            && self.state.get(lift).is_some_and(|(lifts, _)| *lifts > most)
        {
            return vec!["lifted".to_owned()];
        }
        for entry in told.entries {
            let before = self.state.get(&entry.key).copied();
            let (mark, ends) = before.unwrap_or_default();
            let is_more = before.is_none() || entry.mark > mark || entry.ends > ends;
            let merged = (entry.mark.max(mark), entry.ends.max(ends));
            if is_more {
                self.state.insert(entry.key.clone(), merged);
            }
            if is_more || told.is_seen {
                meta.sequence += 1;
                let entry = Entry { key: entry.key.clone(), mark: merged.0, ends: merged.1 };
                let before = std::mem::replace(&mut meta.head, told.writing.to_owned());
                let logged = Logged { entry, writing: told.writing.to_owned(), before };
                self.log.insert(meta.sequence, logged);
            }
        }
        if !told.publisher.is_empty() {
            self.publishing.insert(told.publisher.to_owned(), meta.age + told.lease);
        }
        vec!["ok".to_owned(), meta.sequence.to_string()]
    }

    pub(crate) fn published(&mut self, publisher: &str) {
        self.publishing.remove(publisher);
    }
}

//! Random histories of a fleet whose Redis may go back to any earlier state.
//!
//! The store is the [model](super::model) of the scripts, which a test of the fleet holds them to. What members decide is
//! decided by [`Member`] and [`Own`], the code of the follower and the writer; what they do in between is done here step by
//! step, so that anything may happen between any two steps: servers that crash and come back with older data, replicas
//! that are promoted, an old master that some still talk to, data that is put back under a running server, stores that are
//! lost and made anew, members that die, start, or are cut off, clocks that jump, acknowledgements that are read late.
//!
//! What is checked, with every heartbeat by which a member becomes fresh:
//!
//! 1. it holds all that the store had when it was sent;
//! 2. the store then had all that the member held: nobody is fresh by a store that lacks what it knows.
//!
//! And with every heartbeat that says that a recovery is over: the store has all that each member held who came in time, and
//! was not cut off before it had given it back. Nothing of this is promised once data were put back under a server that ran:
//! members notice it, but not at whatever moment.
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use portcullis::revocation::store::Moment;

use crate::protocol::{Logged, Member, Next};
use super::model::{Entry, Heartbeat, Publication, Store};
use crate::own_revocations::Own;
use crate::store::{Beat, read_beat};

const WINDOW: u64 = 10_000;
const LEASE: u64 = 10_000;

/// xorshift64*, so that a seed is a history.
struct Dice(u64);

impl Dice {
    fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn happens(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }
}

type Held = BTreeMap<Vec<u8>, (u64, u32)>;

fn covers(all: &Held, some: &Held) -> bool {
    some.iter().all(|(key, (mark, ends))| {
        all.get(key).is_some_and(|(own_mark, own_ends)| own_mark >= mark && own_ends >= ends)
    })
}

fn hold(held: &mut Held, entry: &Entry) {
    let (mark, ends) = held.entry(entry.key.clone()).or_default();
    *mark = entry.mark.max(*mark);
    *ends = entry.ends.max(*ends);
}

struct Server {
    data: Store,
    /// What it was after each write.
    past: Vec<Store>,
    incarnation: String,
    is_up: bool,
    clock: u64,
    /// How long it has run, and how often its clock jumped.
    uptime: u64,
    jumps: u64,
}

/// Who came while a recovery was open, what it held then, and whether it has said that it is done.
#[derive(Default)]
struct Recovery {
    survivors: BTreeMap<usize, (Held, bool)>,
    /// When the server had run for so long, and its clock had jumped so often.
    begun: Option<(u64, u64)>,
}

/// A heartbeat under way to make its member fresh.
struct Sent {
    number: u64,
    held: Held,
    stored: Held,
}

enum Stage {
    Away,
    Compare(Beat),
    Begin { gives_back: bool },
    Read { beat: Beat, gives_back: bool, lacking: Held, todo: Vec<Vec<u8>> },
    Give { beat: Beat, lacking: Held, writing: String },
    Follow,
}

/// A revocation on its way: written under a name, and whether the server took it.
struct Write {
    entry: Entry,
    writing: String,
    generation: u64,
    connection: Option<(usize, String)>,
    acknowledged: Option<u64>,
}

struct Process {
    is_alive: bool,
    is_cut_off: bool,
    member: Member,
    own: Own,
    key: u8,
    held: Held,
    connection: Option<(usize, String)>,
    stage: Stage,
    waiting: VecDeque<Sent>,
    writes: Vec<Write>,
}

#[derive(Debug, Default)]
struct Met {
    fresh: u64,
    resumed: u64,
    given_back: u64,
    recoveries: u64,
    diverged: u64,
    restarted: u64,
    rewritten: u64,
}

struct World {
    dice: Dice,
    /// Whether data are put back under a running server.
    puts_back: bool,
    /// That has happened: nobody who starts can know, and what was lost by it may be noticed late.
    was_put_back: bool,
    servers: Vec<Server>,
    current: usize,
    processes: Vec<Process>,
    recoveries: BTreeMap<String, Recovery>,
    over: BTreeSet<String>,
    names: u64,
    met: Met,
}

fn digest_key(key: u8) -> [u8; 16] {
    [key; 16]
}

fn hex(key: u8) -> String {
    format!("{key:02x}").repeat(16)
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            dice: Dice::of(seed),
            puts_back: seed.is_multiple_of(8),
            was_put_back: false,
            servers: Vec::new(),
            current: 0,
            processes: Vec::new(),
            recoveries: BTreeMap::new(),
            over: BTreeSet::new(),
            names: 0,
            met: Met::default(),
        };
        world.start_server(Store::default(), Vec::new());
        world.make_store();
        for _ in 0..3 {
            world.start_process();
        }
        world
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("name {}", self.names)
    }

    fn start_server(&mut self, data: Store, past: Vec<Store>) {
        let incarnation = self.name();
        let clock = 1_000_000 + self.dice.below(1000) as u64;
        let server = Server { data, past, incarnation, is_up: true, clock, uptime: 0, jumps: 0 };
        self.servers.push(server);
        self.current = self.servers.len() - 1;
    }

    fn make_store(&mut self) {
        let (epoch, recovery) = (self.name(), self.name());
        let server = &mut self.servers[self.current];
        server.data.initialize(server.clock, &epoch, &recovery, WINDOW);
        self.remember(self.current);
    }

    fn remember(&mut self, server: usize) {
        let server = &mut self.servers[server];
        if server.past.last() != Some(&server.data) {
            server.past.push(server.data.clone());
        }
    }

    fn start_process(&mut self) {
        // A key that nobody has made entries with.
        let key = u8::try_from(self.processes.len() + 1).expect("few processes");
        self.processes.push(Process {
            is_alive: true,
            is_cut_off: false,
            member: Member::new(),
            own: Own::default(),
            key,
            held: Held::new(),
            connection: None,
            stage: Stage::Away,
            waiting: VecDeque::new(),
            writes: Vec::new(),
        });
    }

    /// Anything may happen.
    fn turn(&mut self) {
        let passed = self.dice.below(400) as u64;
        for server in &mut self.servers {
            server.clock += passed;
            server.uptime += passed;
        }
        match self.dice.below(200) {
            0..4 => self.crash(),
            4..7 => self.fail_over(),
            7 if self.puts_back => self.put_back(),
            8 => self.lose(),
            9..12 => self.jump(),
            12..15 if self.processes.len() < 12 => self.start_process(),
            15..17 => self.kill_process(),
            17..22 => self.cut_off(),
            22..60 => self.begin_write(),
            60..100 => self.go_on_with_a_write(),
            100..104 => self.stop_old_masters(),
            _ => {
                let process = self.dice.below(self.processes.len());
                self.step(process);
            }
        }
    }

    fn any_past(&mut self, server: usize) -> Store {
        let past = &self.servers[server].past;
        // Mostly it lacks little.
        let most = if self.dice.happens(4) { past.len() } else { past.len().min(12) };
        past[past.len() - 1 - self.dice.below(most)].clone()
    }

    /// It starts anew, with what it had at some time.
    fn crash(&mut self) {
        let data = self.any_past(self.current);
        let server = &mut self.servers[self.current];
        server.is_up = false;
        let past = server.past.clone();
        self.start_server(data, past);
    }

    /// A replica takes its place, with what it had at some time. The old master is there for some.
    fn fail_over(&mut self) {
        let data = self.any_past(self.current);
        let past = self.servers[self.current].past.clone();
        self.start_server(data, past);
    }

    fn stop_old_masters(&mut self) {
        let current = self.current;
        for (index, server) in self.servers.iter_mut().enumerate() {
            server.is_up &= index == current;
        }
    }

    /// Its keys are replaced while it runs.
    fn put_back(&mut self) {
        let data = self.any_past(self.current);
        self.was_put_back = true;
        self.servers[self.current].data = data;
    }

    /// It lost all, and the store is made anew.
    fn lose(&mut self) {
        let server = &mut self.servers[self.current];
        server.is_up = false;
        let past = server.past.clone();
        self.start_server(Store::default(), past);
        self.make_store();
    }

    fn jump(&mut self) {
        let hour = 3_600_000;
        let is_ahead = self.dice.happens(2);
        let Server { clock, jumps, .. } = &mut self.servers[self.current];
        *jumps += 1;
        *clock = if is_ahead { *clock + hour } else { clock.saturating_sub(hour) };
    }

    fn kill_process(&mut self) {
        let alive: Vec<_> =
            (0..self.processes.len()).filter(|it| self.processes[*it].is_alive).collect();
        if alive.len() > 1 {
            let process = alive[self.dice.below(alive.len())];
            self.processes[process].is_alive = false;
            self.excuse(process);
        }
    }

    fn cut_off(&mut self) {
        let process = self.dice.below(self.processes.len());
        self.processes[process].is_cut_off = !self.processes[process].is_cut_off;
        self.hang_up(process);
    }

    /// It is not waited for any more.
    fn excuse(&mut self, process: usize) {
        for recovery in self.recoveries.values_mut() {
            recovery.survivors.remove(&process);
        }
    }

    fn hang_up(&mut self, process: usize) {
        self.excuse(process);
        let process = &mut self.processes[process];
        process.connection = None;
        process.stage = Stage::Away;
        process.waiting.clear();
        if !process.member.is_survivor() {
            // It did not start: nobody ever had its list.
            process.held.clear();
            process.own = Own::default();
            process.writes.clear();
        }
    }

    fn server_of(&self, connection: Option<&(usize, String)>) -> Option<usize> {
        let (server, incarnation) = connection?;
        let is_there =
            self.servers[*server].is_up && self.servers[*server].incarnation == *incarnation;
        is_there.then_some(*server)
    }

    fn begin_write(&mut self) {
        let process = self.dice.below(self.processes.len());
        if !self.processes[process].is_alive || self.processes[process].member.stamp().is_none() {
            return;
        }
        let (name, mark) = (self.dice.below(40) as u8, self.dice.below(3) as u64);
        // Of one digest's key, names say nothing under another.
        let key = vec![self.processes[process].key, name];
        let writing = self.name();
        let process = &mut self.processes[process];
        let generation = process.own.begins(&writing);
        process.writes.push(Write {
            entry: Entry { key, mark, ends: 4_000_000_000 },
            writing,
            generation,
            connection: None,
            acknowledged: None,
        });
    }

    fn go_on_with_a_write(&mut self) {
        let index = self.dice.below(self.processes.len());
        let process = &self.processes[index];
        if process.writes.is_empty() || !process.is_alive {
            return;
        }
        let at = self.dice.below(process.writes.len());
        if let Some(number) = process.writes[at].acknowledged {
            return self.read_answer(index, at, number);
        }
        if process.is_cut_off {
            return;
        }
        let connection = process.writes[at]
            .connection
            .clone()
            .unwrap_or_else(|| (self.current, self.servers[self.current].incarnation.clone()));
        let Some(server) = self.server_of(Some(&connection)) else {
            return self.give_up(index, at);
        };
        let write = &self.processes[index].writes[at];
        let (entry, writing) = (write.entry.clone(), write.writing.clone());
        let fingerprint = hex(entry.key[0]);
        let reply = self.servers[server].data.publish(&Publication {
            fingerprint: &fingerprint,
            publisher: "",
            lease: 0,
            writing: &writing,
            is_seen: true,
            counts_with: None,
            entries: &[entry],
        });
        self.remember(server);
        if reply[0] == "ok" {
            let write = &mut self.processes[index].writes[at];
            write.acknowledged = reply[1].parse().ok();
            write.connection = Some(connection);
        } else {
            self.give_up(index, at);
        }
    }

    fn give_up(&mut self, process: usize, write: usize) {
        let process = &mut self.processes[process];
        let write = process.writes.swap_remove(write);
        process.own.failed(&write.writing);
    }

    /// However late.
    fn read_answer(&mut self, index: usize, at: usize, number: u64) {
        let writing = self.name();
        let process = &mut self.processes[index];
        let write = process.writes.swap_remove(at);
        let (held, entry) = (&mut process.held, &write.entry);
        let is_of_this_key = entry.key[0] == process.key;
        let is_held = process.own.acknowledged(&write.writing, write.generation, number, || {
            // An entry of another key is refused by the list, and says nothing in this store.
            if is_of_this_key {
                hold(held, entry);
            }
        });
        if !is_held {
            self.met.rewritten += 1;
            let generation = process.own.begins(&writing);
            let entry = write.entry;
            let again = Write { entry, writing, generation, connection: None, acknowledged: None };
            process.writes.push(again);
        }
    }

    fn beat(&mut self, index: usize, server: usize, gives_back: bool) -> Option<(Beat, Held)> {
        let recovery = self.name();
        let process = &self.processes[index];
        let publisher = if gives_back { format!("process {index}") } else { String::new() };
        let incarnation = self.servers[server].incarnation.clone();
        let clock = self.servers[server].clock;
        let reply = self.servers[server].data.heartbeat(
            clock,
            &Heartbeat {
                incarnation: &incarnation,
                recovery: &recovery,
                diverged: process.member.diverged().unwrap_or_default(),
                key: &hex(process.key),
                fingerprint: &hex(process.key),
                stamp: process.member.stamp(),
                publisher: &publisher,
                lease: LEASE,
            },
        );
        self.remember(server);
        let beat = read_beat(Moment::now(), &reply).ok()?;
        let stored = self.servers[server].data.state.clone();
        self.look_at_recovery(index, server, gives_back, &beat, &stored);
        Some((beat, stored))
    }

    /// Whoever came in time has given back by the time when it is over.
    fn look_at_recovery(
        &mut self,
        index: usize,
        server: usize,
        is_waited_for: bool,
        beat: &Beat,
        stored: &Held,
    ) {
        let process = &self.processes[index];
        let is_own_key = beat.key == Some(digest_key(process.key));
        let is_survivor = is_waited_for && is_own_key;
        let held = process.held.clone();
        // Who says nothing for as long as it is waited for is not waited for any longer.
        let waited_for = &self.servers[server].data.publishing;
        if let Some(recovery) = self.recoveries.get_mut(&beat.recovery) {
            let is_waited_for = |who: &usize| waited_for.contains_key(&format!("process {who}"));
            recovery.survivors.retain(|who, (_, is_done)| *is_done || is_waited_for(who));
        }
        let Server { data, uptime, jumps, .. } = &self.servers[server];
        let is_early = data.meta.as_ref().is_some_and(|meta| meta.age - meta.since < WINDOW);
        assert!(
            !is_early || !is_waited_for || is_own_key || process.member.stamp() <= beat.stamp,
            "a key gave way to one that was chosen before it"
        );
        let now = (*uptime, *jumps);
        if beat.is_recovering {
            let recovery = self.recoveries.entry(beat.recovery.clone()).or_default();
            recovery.begun.get_or_insert(now);
            if is_survivor && !self.over.contains(&beat.recovery) {
                let recovery = self.recoveries.entry(beat.recovery.clone()).or_default();
                recovery.survivors.entry(index).or_insert((held, false));
            }
        } else if self.over.insert(beat.recovery.clone()) {
            self.met.recoveries += 1;
            let recovery = self.recoveries.remove(&beat.recovery).unwrap_or_default();
            if let Some((uptime, jumps)) = recovery.begun {
                // No jump of the clock makes up for more than one heartbeat.
                let passed = now.0 - uptime + 2000 * (now.1 - jumps);
                assert!(passed >= WINDOW, "a recovery is over after {passed} ms");
            }
            for (survivor, (held, _)) in recovery.survivors {
                // Data that are put back after somebody gave back are lost once more.
                assert!(
                    covers(stored, &held) || self.was_put_back,
                    "a recovery is over without what process {survivor} holds"
                );
            }
        }
    }

    fn step(&mut self, index: usize) {
        if !self.processes[index].is_alive || self.processes[index].is_cut_off {
            return;
        }
        let process = &self.processes[index];
        if process.connection.is_none() {
            let server = self.current;
            let connection = (server, self.servers[server].incarnation.clone());
            self.processes[index].connection = Some(connection);
        }
        let Some(server) = self.server_of(self.processes[index].connection.as_ref()) else {
            return self.hang_up(index);
        };
        let stage = core::mem::replace(&mut self.processes[index].stage, Stage::Away);
        match stage {
            Stage::Away => self.settle(index, server),
            Stage::Compare(beat) => self.compare(index, server, &beat),
            Stage::Begin { gives_back } => self.begin(index, server, gives_back),
            Stage::Read { beat, gives_back, lacking, todo } => {
                self.read(index, server, beat, gives_back, lacking, todo);
            }
            Stage::Give { beat, lacking, writing } => {
                self.give(index, server, beat, lacking, &writing);
            }
            Stage::Follow if self.dice.happens(2) => self.tick(index, server),
            Stage::Follow => self.take(index, server),
        }
    }

    fn settle(&mut self, index: usize, server: usize) {
        let is_survivor = self.processes[index].member.is_survivor();
        let Some((beat, stored)) = self.beat(index, server, is_survivor) else {
            return self.hang_up(index);
        };
        let process = &mut self.processes[index];
        let unmet = process.own.unmet();
        let next = process.member.hear(&beat, digest_key(process.key), unmet);
        match next {
            Err(_) => {
                self.met.diverged += u64::from(process.member.diverged().is_some());
                self.hang_up(index);
            }
            Ok(Next::Follow) => {
                self.processes[index].stage = Stage::Follow;
                self.wait_for(index, &beat, stored);
                self.is_done(index, server);
            }
            Ok(Next::Compare) => self.processes[index].stage = Stage::Compare(beat),
            Ok(Next::Read { restart, gives_back }) => {
                if let Some(key) = restart {
                    self.met.restarted += u64::from(process.member.stamp().is_some());
                    process.key = key[0];
                    process.held.clear();
                    process.member.has_restarted(&beat);
                }
                process.stage = Stage::Begin { gives_back };
            }
        }
    }

    fn compare(&mut self, index: usize, server: usize, beat: &Beat) {
        let process = &mut self.processes[index];
        let found = self.servers[server].data.log.get(&process.member.position());
        let found = found.map(|logged| &*logged.writing);
        process.stage = if process.member.compared(beat, found, &process.own) {
            self.met.resumed += 1;
            Stage::Follow
        } else {
            Stage::Begin { gives_back: true }
        };
        if matches!(process.stage, Stage::Follow) {
            self.is_done(index, server);
        }
    }

    fn begin(&mut self, index: usize, server: usize, gives_back: bool) {
        let gives_back = gives_back || self.processes[index].own.unmet().is_some();
        let Some((beat, stored)) = self.beat(index, server, gives_back) else {
            return self.hang_up(index);
        };
        if beat.key != Some(digest_key(self.processes[index].key)) {
            return self.hang_up(index);
        }
        let process = &mut self.processes[index];
        let held = &process.held;
        let lacking = if gives_back {
            process.own.give_back(|| held.clone())
        } else {
            process.own.begin_anew();
            Held::new()
        };
        let todo = stored.keys().cloned().collect();
        process.stage = Stage::Read { beat, gives_back, lacking, todo };
    }

    fn read(
        &mut self,
        index: usize,
        server: usize,
        beat: Beat,
        gives_back: bool,
        mut lacking: Held,
        mut todo: Vec<Vec<u8>>,
    ) {
        // Some at a time, as they are by now.
        for _ in 0..1 + self.dice.below(12) {
            let Some(key) = todo.pop() else { break };
            let Some((mark, ends)) = self.servers[server].data.state.get(&key).copied() else {
                continue;
            };
            if lacking.get(&key).is_some_and(|own| mark >= own.0 && ends >= own.1) {
                lacking.remove(&key);
            }
            hold(&mut self.processes[index].held, &Entry { key, mark, ends });
        }
        let writing = self.name();
        self.processes[index].stage = if !todo.is_empty() {
            Stage::Read { beat, gives_back, lacking, todo }
        } else if gives_back {
            Stage::Give { beat, lacking, writing }
        } else {
            return self.has_read(index, server, &beat);
        };
    }

    /// It has read all, and given back what there was to.
    fn has_read(&mut self, index: usize, server: usize, begun: &Beat) {
        let Some((over, stored)) = self.beat(index, server, false) else {
            return self.hang_up(index);
        };
        let process = &mut self.processes[index];
        let unmet = process.own.unmet();
        if process.member.has_read(begun, &over, &process.own, unmet).is_err() {
            return self.hang_up(index);
        }
        process.stage = Stage::Follow;
        self.wait_for(index, &over, stored);
    }

    fn give(&mut self, index: usize, server: usize, beat: Beat, mut lacking: Held, writing: &str) {
        let publisher = format!("process {index}");
        let next = self.name();
        if let Some((key, (mark, ends))) = lacking.pop_first() {
            let fingerprint = hex(self.processes[index].key);
            let reply = self.servers[server].data.publish(&Publication {
                fingerprint: &fingerprint,
                publisher: &publisher,
                lease: LEASE,
                writing,
                is_seen: false,
                counts_with: None,
                entries: &[Entry { key, mark, ends }],
            });
            self.remember(server);
            if reply[0] != "ok" {
                return self.hang_up(index);
            }
            self.processes[index].stage = Stage::Give { beat, lacking, writing: next };
            return;
        }
        self.met.given_back += 1;
        self.has_read(index, server, &beat);
        if matches!(self.processes[index].stage, Stage::Follow) {
            self.is_done(index, server);
        }
    }

    /// It has given back what it held, or had nothing to.
    fn is_done(&mut self, index: usize, server: usize) {
        self.servers[server].data.published(&format!("process {index}"));
        self.remember(server);
        let recovery = self.servers[server].data.meta.as_ref().map(|meta| &*meta.recovery);
        let recovery = recovery.and_then(|recovery| self.recoveries.get_mut(recovery));
        let survivor = recovery.and_then(|recovery| recovery.survivors.get_mut(&index));
        if let Some((_, is_done)) = survivor {
            *is_done = true;
        }
    }

    fn tick(&mut self, index: usize, server: usize) {
        self.processes[index].stage = Stage::Follow;
        let Some((beat, stored)) = self.beat(index, server, false) else {
            return self.hang_up(index);
        };
        let process = &mut self.processes[index];
        let unmet = process.own.unmet();
        if process.member.hear(&beat, digest_key(process.key), unmet) == Ok(Next::Follow) {
            self.wait_for(index, &beat, stored);
        } else {
            self.met.diverged += u64::from(process.member.diverged().is_some());
            self.hang_up(index);
        }
    }

    fn wait_for(&mut self, index: usize, beat: &Beat, stored: Held) {
        let process = &mut self.processes[index];
        if !beat.is_recovering {
            let held = process.held.clone();
            process.waiting.push_back(Sent { number: beat.sequence, held, stored });
        }
        self.hear_waiting(index);
    }

    fn hear_waiting(&mut self, index: usize) {
        let was_put_back = self.was_put_back;
        let process = &mut self.processes[index];
        while let Some(sent) = process.waiting.front() {
            if sent.number > process.member.position() {
                break;
            }
            self.met.fresh += 1;
            let lacks = !covers(&process.held, &sent.stored);
            assert!(!lacks || was_put_back, "fresh, and lacks what the store had");
            let is_lacking = !covers(&sent.stored, &sent.held);
            assert!(!is_lacking || was_put_back, "fresh by a store that lacks what it held");
            process.waiting.pop_front();
        }
    }

    fn take(&mut self, index: usize, server: usize) {
        self.processes[index].stage = Stage::Follow;
        let most = 1 + self.dice.below(4);
        let process = &mut self.processes[index];
        let from = process.member.position() + 1;
        let news: Vec<_> = self.servers[server].data.log.range(from..).take(most).collect();
        for (number, logged) in news {
            let at = Logged { number: *number, writing: &logged.writing, before: &logged.before };
            match process.member.meets(&at) {
                Ok(false) => {}
                Ok(true) => {
                    hold(&mut process.held, &logged.entry);
                    if process.member.has_taken(&at, &process.own).is_err() {
                        self.met.diverged += 1;
                        return self.hang_up(index);
                    }
                }
                Err(_) => {
                    self.met.diverged += u64::from(process.member.diverged().is_some());
                    return self.hang_up(index);
                }
            }
        }
        self.hear_waiting(index);
    }
}

fn run(seed: u64, met: &mut Met) {
    struct Told(u64);
    impl Drop for Told {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("seed {}: PORTCULLIS_SEED={} tells it again", self.0, self.0);
            }
        }
    }
    let _told = Told(seed);
    let mut world = World::new(seed);
    for _ in 0..600 {
        world.turn();
    }
    let own = world.met;
    met.fresh += own.fresh;
    met.resumed += own.resumed;
    met.given_back += own.given_back;
    met.recoveries += own.recoveries;
    met.diverged += own.diverged;
    met.restarted += own.restarted;
    met.rewritten += own.rewritten;
}

/// `PORTCULLIS_SEED` runs one history, or from it on as many as `PORTCULLIS_SEEDS` says.
#[test]
fn in_no_history_is_a_member_fresh_by_a_store_that_lacks_what_it_knows() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("PORTCULLIS_SEED") {
        Some(seed) => seed..seed + number("PORTCULLIS_SEEDS").unwrap_or(1),
        None => 0..number("PORTCULLIS_SEEDS").unwrap_or(3_000),
    };
    let count = seeds.end - seeds.start;
    let mut met = Met::default();
    for seed in seeds {
        run(seed, &mut met);
    }
    eprintln!("{count} histories: {met:?}");
    let Met { fresh, resumed, given_back, recoveries, diverged, restarted, rewritten } = met;
    let all = [fresh, resumed, given_back, recoveries, diverged, restarted, rewritten];
    assert!(count < 1_000 || all.iter().all(|met| *met > 20), "all of it is met: {all:?}");
}

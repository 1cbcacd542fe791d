//! What revocation costs: memory, look-ups, requests; as markdown.
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::fs;
use std::thread;
use std::time::Instant;

use portcullis::tower::VerifyLayer;
use portcullis::{Policy, Revocations, VerifiedToken};
use portcullis_benches::Case;
use portcullis_benches::call::{self, Bare};
use portcullis_benches::case::{revoke, revoked};
use portcullis_benches::rounds::{Contender, Length, Rounds};
use tower_layer::Layer;

/// More tokens than caches of the processor have lines for, on their way through a large list.
const TOKENS: usize = 4096;

const LENGTH: Length = Length { rounds: 201, turn: Duration::from_micros(1000) };

/// What the process has in memory, and had at most, in MiB.
fn memory(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

fn list(entries: usize) -> Revocations {
    let (before, start) = (memory("VmRSS"), Instant::now());
    let revocations = revoked(entries);
    let took = start.elapsed();
    let (after, peak) = (memory("VmRSS"), memory("VmHWM"));
    let each = match entries {
        0 => "–".to_owned(),
        _ => format!("{:.0}", took.as_secs_f64() * 1e9 / entries as f64),
    };
    println!("| {entries} | {:.0} | {:.0} | {each} |", after - before, peak - before);
    revocations
}

/// What it takes to read one place of so much memory, each named by the one before, in nanoseconds.
fn access(mebibytes: usize) -> f64 {
    const LINE: usize = 64;
    const READS: u32 = 2_000_000;
    let count = mebibytes * (1 << 20) / LINE;
    // One round through all of them, in an order that nothing foresees (Sattolo's).
    let mut places: Vec<usize> = (0..count).collect();
    let mut state = 88_172_645_463_325_252_u64;
    for at in (1..count).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        places.swap(at, usize::try_from(state).unwrap_or(0) % at);
    }
    let lines: Vec<[usize; LINE / 8]> = places.into_iter().map(|place| [place; LINE / 8]).collect();
    let mut at = 0;
    let start = Instant::now();
    for _ in 0..READS {
        at = lines[at][0];
    }
    black_box(at);
    start.elapsed().as_secs_f64() * 1e9 / f64::from(READS)
}

fn main() {
    println!("| entries | MiB | MiB at most, growth included | ns to revoke one |");
    println!("| ---: | ---: | ---: | ---: |");
    let lists = [0, 10_000, 1_000_000, 10_000_000].map(list);

    let case = Case::named("EdDSA");
    let without = case.remembering();
    let policies = lists.each_ref().map(|revocations| case.asking(revocations));
    let tokens: Vec<VerifiedToken> = (0..TOKENS)
        .map(|_| without.verify_token_now(case.good().mint()).expect("a good token"))
        .collect();
    let recheck = |policy: &Policy, token: &VerifiedToken| {
        policy.recheck_now(token).expect("nobody revoked it");
    };
    // As after a verification, the token is in the processor's cache; the list need not be.
    let token = |index: usize| {
        let token = &tokens[index % TOKENS];
        recheck(without, token);
        black_box(token.token_id().map(str::len));
        token
    };
    let rounds = Rounds::run(
        LENGTH,
        [
            Contender::new(token, |token| recheck(without, token)),
            Contender::new(token, |token| recheck(&policies[0], token)),
            Contender::new(token, |token| recheck(&policies[1], token)),
            Contender::new(token, |token| recheck(&policies[2], token)),
            Contender::new(token, |token| recheck(&policies[3], token)),
        ],
    );
    println!("\nA look-up: what it adds to looking again at one of {TOKENS} tokens, ns.\n");
    println!("| no entries | 10,000 | 1,000,000 | 10,000,000 |\n| ---: | ---: | ---: | ---: |");
    let added = |list: usize| rounds.median_of(move |round| round[list] - round[0]);
    println!("| {:.0} | {:.0} | {:.0} | {:.0} |", added(1), added(2), added(3), added(4));

    // A list of a million has 2 MiB of tags that a look-up reads first, one of ten million 16, and 33 and
    // 336 MiB in all.
    let accesses = [2, 16, 336].map(access);
    println!("\nBeside it, to read one place of so much memory on this machine, ns.\n");
    println!("| 2 MiB | 16 MiB | 336 MiB |\n| ---: | ---: | ---: |");
    println!("| {:.0} | {:.0} | {:.0} |", accesses[0], accesses[1], accesses[2]);

    let service = |policy: &Policy| VerifyLayer::new(policy.clone()).layer(Bare);
    let mut plain = service(without);
    let [mut none, mut some, _, mut many] = policies.each_ref().map(service);
    let mut moving = service(&policies[3]);
    let is_moving = AtomicBool::new(false);
    let is_over = AtomicBool::new(false);
    let request = |index| case.request(index);
    thread::scope(|scope| {
        // A thousand revocations a second, while it is their turn.
        scope.spawn(|| {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                if is_moving.load(Ordering::Relaxed) {
                    // The list has room for ten million, and has them: these are among them, and end later now.
                    let id = format!("revoked-{}", number % 10_000_000);
                    revoke(&lists[3], &id);
                    number += 1;
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        let rounds = Rounds::run(
            LENGTH,
            [
                Contender::new(request, |request| call::call(&mut Bare, request)),
                Contender::new(request, |request| call::call(&mut plain, request)),
                Contender::new(request, |request| call::call(&mut none, request)),
                Contender::new(request, |request| call::call(&mut some, request)),
                Contender::new(request, |request| call::call(&mut many, request)),
                Contender::new(
                    |index| {
                        is_moving.store(true, Ordering::Relaxed);
                        case.request(index)
                    },
                    |request| {
                        let response = call::call(&mut moving, request);
                        is_moving.store(false, Ordering::Relaxed);
                        response
                    },
                ),
            ],
        );
        is_over.store(true, Ordering::Relaxed);
        println!("\nA remembered token through the layer, over the bare service.\n");
        println!("| | ns | million requests a second, one thread |\n| --- | ---: | ---: |");
        for (name, contender) in [
            ("without revocation", 1),
            ("no entries", 2),
            ("10,000 entries", 3),
            ("10,000,000 entries", 4),
            ("10,000,000 entries, a thousand more a second", 5),
        ] {
            let added = rounds.median_of(move |round| round[contender] - round[0]);
            println!("| {name} | {added:.0} | {:.2} |", 1e3 / rounds.median(contender));
        }
    });
}

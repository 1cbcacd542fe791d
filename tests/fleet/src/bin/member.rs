//! A process of a fleet, which does what it is told on its standard input.
//!
//! First two lines: the URL of Redis, and the provider's keys. It says `fresh`. Then:
//!
//! - `revoke ID`: it answers `acknowledged FROM TO`, with when it began and when that was done;
//! - `check TOKEN`: `Active`, `Revoked` or `Unavailable`;
//! - `await TOKEN`: `refused AT`, once the token is.
//!
//! Times are nanoseconds since 1970.
use std::error::Error;
use std::io::{self, BufRead as _};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use portcullis::KeySet;
use portcullis_fleet_tests::{Member, Verdict};
use portcullis_redis::RedisRevocations;
use tokio::runtime::Runtime;

fn now() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut lines = io::stdin().lock().lines();
    let mut line = move || lines.next().unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()));
    let runtime = Runtime::new()?;
    let redis = Member::settings(RedisRevocations::server(&line()?)?);
    let keys = KeySet::from_jwks(line()?)?;
    let member = runtime.block_on(Member::with_keys(redis, keys))?;
    while !member.revocations.is_fresh() {
        sleep(Duration::from_millis(1));
    }
    println!("fresh");
    while let Ok(line) = line() {
        match line.split_once(' ') {
            Some(("revoke", id)) => {
                let start = now();
                runtime.block_on(member.revoke(id));
                println!("acknowledged {start} {}", now());
            }
            Some(("check", token)) => println!("{:?}", member.verdict(token)),
            Some(("await", token)) => {
                while member.verdict(token) != Verdict::Revoked {
                    sleep(Duration::from_micros(100));
                }
                println!("refused {}", now());
            }
            _ => return Err(format!("what is {line:?}?").into()),
        }
    }
    Ok(())
}

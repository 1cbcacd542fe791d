//! A process of a service, which does what it is told on its standard input.
//!
//! First two lines: the URL of Redis, and the provider's keys. It says `fresh`. Then, for each line `COUNT TOKEN PROOF`, it sends
//! itself so many requests at once, and says how many of them passed, were refused, and could not be told.
use std::error::Error;
use std::io::{self, BufRead as _};
use std::sync::Arc;

use portcullis_fleet_tests::{Ahead, Service, Told};
use tokio::runtime::Runtime;
use tokio::sync::Barrier;

fn main() -> Result<(), Box<dyn Error>> {
    let mut lines = io::stdin().lock().lines();
    let mut line = move || lines.next().unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()));
    let runtime = Runtime::new()?;
    let (settings, keys) = (Service::settings(&line()?)?, line()?);
    let service = Service::with_keys(settings, Ahead(0), &keys);
    let service = Arc::new(runtime.block_on(service)?);
    println!("fresh");
    while let Ok(line) = line() {
        let [count, token, proof] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("what is {line:?}?").into());
        };
        let count = count.parse()?;
        let start = Arc::new(Barrier::new(count));
        let requests: Vec<_> = (0..count)
            .map(|_| {
                let (service, start) = (Arc::clone(&service), Arc::clone(&start));
                let (token, proof) = (token.to_owned(), proof.to_owned());
                runtime.spawn(async move {
                    start.wait().await;
                    service.ask(&token, &proof).await
                })
            })
            .collect();
        let mut counts = [0; 3];
        for request in requests {
            let told = runtime.block_on(request)?;
            counts[match told {
                Told::Passes => 0,
                Told::Seen => 1,
                _ => 2,
            }] += 1;
        }
        println!("{} {} {}", counts[0], counts[1], counts[2]);
    }
    Ok(())
}

//! How long a fleet is not fresh after its Redis was killed and started again, with all that it had and with less: as a
//! table. Members are in one process, on threads of their own.
use std::env;
use std::error::Error;
use std::time::{Duration, Instant};

use portcullis_fleet_tests::{ISSUER, Member, Server, eventually};
use portcullis_redis::{RedisRevocations, StoreTerms};

/// How many write at once.
const WRITERS: usize = 64;

async fn start(url: &str) -> Result<Member, Box<dyn Error>> {
    let redis = RedisRevocations::server(url)?.timeout(Duration::from_secs(20));
    Ok(Member::with(redis).await?)
}

/// Until each has news of a later moment than now.
async fn has_news(members: &[Member]) -> Duration {
    let start = Instant::now();
    for member in members {
        eventually("news", async || {
            member.revocations.stats().last_contact.is_some_and(|age| age < start.elapsed())
        })
        .await;
    }
    start.elapsed()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1).map(|argument| argument.parse::<usize>());
    let count = arguments.next().transpose()?.unwrap_or(4);
    let entries = arguments.next().transpose()?.unwrap_or(100_000);
    let mut server = Server::start().await;
    let terms = StoreTerms::new(Duration::from_secs(900)).recovery(Duration::from_secs(1));
    RedisRevocations::server(&server.url())?.initialize(terms).await?;
    let mut members = Vec::new();
    for _ in 0..count {
        members.push(start(&server.url()).await?);
    }
    let revocations = members[0].revocations.clone();
    let fill = async |from: usize, to: usize| {
        let writers = (0..WRITERS).map(|writer| {
            let revocations = revocations.clone();
            tokio::spawn(async move {
                for number in (from + writer..to).step_by(WRITERS) {
                    revocations.revoke_token(ISSUER, format!("token {number}"), None).await?;
                }
                Ok::<_, portcullis::revocation::RevokeError>(())
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await??;
        }
        Ok::<_, Box<dyn Error>>(())
    };
    fill(0, entries).await?;
    has_news(&members).await;
    println!(
        "| {count} members, {entries} entries, the server back with | until all are fresh again, s |"
    );
    println!("| --- | ---: |");
    for (name, more) in [("all", 0), ("all but the last", 1), ("all but the last thousand", 1000)] {
        let _: String = server.ask(&["SAVE"]).await;
        fill(entries, entries + more).await?;
        has_news(&members).await;
        server.restart().await;
        println!("| {name} | {:.2} |", has_news(&members).await.as_secs_f64());
    }
    Ok(())
}

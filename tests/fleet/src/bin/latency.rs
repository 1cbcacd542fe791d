//! How long it takes until what one process revoked is refused by two others: over one Redis on
//! loopback, as a table.
use std::error::Error;
use std::time::Instant;

use portcullis_fleet_tests::{Member, Process, Server, token};

const ROUNDS: usize = 1000;

fn times(line: &str) -> Vec<u128> {
    line.split(' ').filter_map(|word| word.parse().ok()).collect()
}

fn row(name: &str, mut micros: Vec<u128>) {
    micros.sort_unstable();
    let at = |percent: usize| micros[(micros.len() - 1) * percent / 100];
    println!("| {name} | {} | {} | {} |", at(50), at(99), at(100));
}

/// How long one question to Redis takes.
async fn round_trips(server: &Server) -> Result<Vec<u128>, Box<dyn Error>> {
    let client = redis::Client::open(server.url())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut micros = Vec::new();
    for round in 0..ROUNDS {
        let start = Instant::now();
        let mut question = redis::cmd("EXISTS");
        question.arg(format!("revoked:{round}")).query_async::<u64>(&mut connection).await?;
        micros.push(start.elapsed().as_micros());
    }
    Ok(micros)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut program = std::env::current_exe()?;
    program.set_file_name("member");
    let server = Server::start().await;
    Member::initialize(&server.url()).await?;
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(Process::start(&program, &server.url()).await);
    }
    let asked = round_trips(&server).await?;
    let [one, others @ ..] = &mut members[..] else { return Ok(()) };
    let (mut acknowledged, mut from_call, mut from_answer) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let id = format!("round {round}");
        let token = token(&id);
        for other in &mut *others {
            other.tell(&format!("await {token}")).await;
        }
        let told = times(&one.ask(&format!("revoke {id}")).await);
        let [start, end] = told[..] else { return Err("no times".into()) };
        acknowledged.push((end - start) / 1000);
        for other in &mut *others {
            let refused = times(&other.hear().await)[0];
            from_call.push(refused.saturating_sub(start) / 1000);
            from_answer.push(refused.saturating_sub(end) / 1000);
        }
    }
    println!(
        "{ROUNDS} revocations at one process, each awaited by two others, in µs; they look every 0.1 ms.\n"
    );
    println!("| from, to | median | 99 % | longest |\n| --- | --- | --- | --- |");
    row("Redis asked, answered: what a remote check adds to each request", asked);
    row("`revoke` called, acknowledged", acknowledged);
    row("`revoke` called, refused elsewhere", from_call);
    row("acknowledged, refused elsewhere", from_answer);
    Ok(())
}

//! What it costs to mark a proof as used in Redis, beside a bare `SET NX PX` by the same client and server on loopback: as a table. The
//! bare one is asked over a connection that lives in the runtime of who asks, and over one on a thread of its own, as the store's does.
use std::env;
use std::error::Error;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis::dpop::{ProofUse, Replays, Spent};
use portcullis::{Algorithm, KeySet};
use portcullis_fleet_tests::{Ahead, Client, ISSUER, Server, Service, policy, request};
use portcullis_redis::UsedProofs;
use portcullis_testkit::{SigningKey, TestIssuer};
use redis::aio::MultiplexedConnection;

type Fault = Box<dyn Error + Send + Sync>;

/// Notes what it is asked, and takes everything.
#[derive(Clone, Debug, Default)]
struct Noted(Arc<Mutex<Vec<ProofUse>>>);

impl Replays for Noted {
    fn spend(&self, proof: &ProofUse) -> Spent {
        if let Ok(mut all) = self.0.lock() {
            all.push(proof.clone());
        }
        Spent::Fresh
    }

    fn epoch(&self) -> u64 {
        7
    }
}

/// Proofs of a thousand holders, made by a clock that is ahead by a little: each has to be used by then, and a few seconds later.
async fn proofs(count: usize) -> Result<Vec<ProofUse>, Fault> {
    let keys = KeySet::from_jwks(TestIssuer::new(ISSUER).jwks_of(&[Algorithm::ES256]))?;
    let noted = Noted::default();
    let policy = policy(noted.clone(), keys, Ahead(3), |dpop| dpop);
    let key = SigningKey::generate(Algorithm::ES256);
    let clients: Vec<_> =
        (0..1000).map(|name| Client::with(&format!("{name}"), &key, Ahead(0))).collect();
    for number in 0..count {
        let client = &clients[number % clients.len()];
        let request = request(&client.token, &client.proof().mint());
        policy.verify(&request).await.map_err(|refused| refused.into_error())?;
    }
    let all = noted.0.lock().map_err(|_| "poisoned")?;
    Ok(all.clone())
}

async fn set(redis: &mut MultiplexedConnection, number: usize) -> Result<(), Fault> {
    let mut set = redis::cmd("SET");
    set.arg(format!("{{portcullis}}:replays:default:={number:016}")).arg(1);
    let set = set.arg("NX").arg("PX").arg(71_000).query_async::<Option<String>>(redis).await?;
    set.map(drop).ok_or_else(|| "it was there".into())
}

async fn spend(used: &UsedProofs, proof: &ProofUse) -> Result<(), Fault> {
    match used.spend(proof) {
        Spent::Later(answer) => match answer.await {
            Ok(true) => Ok(()),
            told => Err(format!("{told:?}").into()),
        },
        told => Err(format!("{told:?}").into()),
    }
}

/// How long each takes of so many that are asked at once, and all of them.
async fn time<F: Future<Output = Result<(), Fault>> + Send + 'static>(
    count: usize,
    at_once: usize,
    ask: impl Fn(usize) -> F + Clone + Send + Sync + 'static,
) -> Result<(Vec<Duration>, Duration), Fault> {
    let start = Instant::now();
    let askers: Vec<_> = (0..at_once)
        .map(|asker| {
            let ask = ask.clone();
            tokio::spawn(async move {
                let mut times = Vec::new();
                for number in (asker..count).step_by(at_once) {
                    let start = Instant::now();
                    ask(number).await?;
                    times.push(start.elapsed());
                }
                Ok::<_, Fault>(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for asker in askers {
        times.extend(asker.await??);
    }
    let all = start.elapsed();
    times.sort_unstable();
    Ok((times, all))
}

/// A connection on a thread of its own, for as long as the process runs.
async fn apart(server: &Server) -> Result<MultiplexedConnection, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = redis::Client::open(server.url())?;
    let opened = runtime.spawn(async move { client.get_multiplexed_async_connection().await });
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    Ok(opened.await??)
}

/// What the server has worked, in seconds.
async fn worked(server: &Server) -> Result<f64, Fault> {
    let user: f64 = server.info("used_cpu_user").await.parse()?;
    Ok(user + server.info("used_cpu_sys").await.parse::<f64>()?)
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let mut arguments = env::args().skip(1).map(|argument| argument.parse::<usize>());
    let count = arguments.next().transpose()?.unwrap_or(10_000);
    println!("{count} proofs each; times of one in µs\n");
    println!("| at once | asked | median | 99 % | a second | server's work, µs each |");
    println!("| ---: | --- | ---: | ---: | ---: | ---: |");
    for at_once in [1, 8, 64, 512] {
        let server = Server::start().await;
        drop(Service::start(&server.url()).await?);
        let birth = "1000000000000";
        let memory = "{portcullis}:replays:default:memory";
        let _: i64 = server.ask(&["HSET", memory, "birth", birth]).await;
        let used = Service::settings(&server.url())?.capacity(100_000_000).connect().await?;
        let client = redis::Client::open(server.url())?;
        let near = client.get_multiplexed_async_connection().await?;
        let row = |name: &str, (times, all): (Vec<Duration>, Duration), work: f64| {
            let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_micros();
            let rate = count as f64 / all.as_secs_f64();
            let each = work * 1e6 / count as f64;
            println!("| {at_once} | {name} | {} | {} | {rate:.0} | {each:.1} |", at(50), at(99));
        };
        for (offset, name, connection) in [
            (0, "`SET NX PX`", near),
            (count, "`SET NX PX`, thread of its own", apart(&server).await?),
        ] {
            let before = worked(&server).await?;
            let bare = time(count, at_once, move |number| {
                let mut connection = connection.clone();
                async move { set(&mut connection, offset + number).await }
            })
            .await?;
            row(name, bare, worked(&server).await? - before);
        }
        let proofs = Arc::new(proofs(count).await?);
        let before = worked(&server).await?;
        let ours = time(count, at_once, move |number| {
            let (used, proofs) = (used.clone(), Arc::clone(&proofs));
            async move { spend(&used, &proofs[number]).await }
        })
        .await?;
        row("marked as used", ours, worked(&server).await? - before);
    }
    Ok(())
}

//! An instance of an issuer, which does what it is told on its standard input.
//!
//! First line: the URL of the database. It says `connected`. Then:
//!
//! - `migrate TASKS`: so many tasks make the tables at once;
//! - `build TASKS`, `build quick TASKS`: so many tasks start an instance at once, and the last one stays;
//! - `refresh TASKS`: so many tasks read the ring at once, and do what is due;
//! - `withdraw TASKS KEY`: so many tasks withdraw the key at once;
//! - `until VERSION TASKS`: so many tasks read the ring, again and again, until it has this version;
//! - `stop read`, `stop changed`: from now on it stops there for ever, and says `stopped`;
//! - `mint`: a token; `verify TOKEN`: `accepted` or `refused`;
//! - `show`: the ring as JSON.
//!
//! It answers `done` where nothing else is to be said, or the first error.
use std::error::Error;
use std::fmt::Display;
use std::io::{self, BufRead as _};

use portcullis_issuer::StoreTime;
use portcullis_issuer::{RingError, TokenIssuer};
use portcullis_stores_tests::{OLD, Ring, Stop, Stopping, builder, mint, quick, signer};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Does something in so many tasks at once. Gives the first error, or what the last task gave.
async fn at_once<T: Send + 'static, E: Display + Send + 'static, F>(
    tasks: &str,
    act: impl Fn() -> F,
) -> Result<T, Box<dyn Error>>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    let mut set = JoinSet::new();
    for _ in 0..tasks.parse()? {
        set.spawn(act());
    }
    let mut last = Err("no task".to_owned());
    for result in set.join_all().await {
        last = Ok(result.map_err(|error| error.to_string())?);
    }
    last.map_err(Into::into)
}

/// What is done, and what is said of it.
async fn answer(
    line: &str,
    ring: &Stopping,
    issuer: &mut Option<TokenIssuer<Stopping>>,
    migrated: &Ring,
) -> Result<String, Box<dyn Error>> {
    let words: Vec<_> = line.split(' ').collect();
    let built = || issuer.clone().ok_or("no instance yet");
    match words[..] {
        ["migrate", tasks] => {
            let migrate = || {
                let ring = migrated.clone();
                async move { ring.migrate().await }
            };
            at_once(tasks, migrate).await?;
        }
        ["build", ref how @ .., tasks] => {
            let is_quick = *how == ["quick"];
            let build = || {
                let builder = builder(&[OLD], ring.clone());
                let builder = if is_quick { builder.schedule(quick()) } else { builder };
                builder.build()
            };
            *issuer = Some(at_once(tasks, build).await?);
        }
        ["refresh", tasks] => {
            let issuer = built()?;
            let refresh = || {
                let issuer = issuer.clone();
                async move { issuer.refresh().await }
            };
            at_once(tasks, refresh).await?;
        }
        ["withdraw", tasks, key] => {
            let issuer = built()?;
            let withdraw = || {
                let (issuer, key) = (issuer.clone(), key.to_owned());
                async move { issuer.withdraw(&key).await }
            };
            at_once(tasks, withdraw).await?;
        }
        ["until", version, tasks] => {
            let (issuer, version) = (built()?, version.parse()?);
            let refresh = || {
                let issuer = issuer.clone();
                async move {
                    while issuer.status().is_none_or(|status| status.version.0 < version) {
                        issuer.refresh().await?;
                    }
                    Ok::<_, RingError>(())
                }
            };
            at_once(tasks, refresh).await?;
        }
        ["stop", "read"] => ring.stop(Stop::Read),
        ["stop", "changed"] => ring.stop(Stop::Changed),
        ["mint"] => return Ok(mint(&built()?)?),
        ["verify", token] => {
            let policy = built()?.policy_builder().build()?;
            let verdict = policy.verify_token_now(token);
            return Ok(verdict.map_or_else(|error| error.to_string(), |_| "accepted".to_owned()));
        }
        ["show"] => {
            let issuer = built()?;
            let status = issuer.status().ok_or("no ring")?;
            let keys = status.keys.iter().map(|key| {
                let millis = |at: StoreTime| at.as_millis();
                json!({
                    "id": key.key_id,
                    "from": millis(key.times.signs_from),
                    "until": key.times.signs_until.map(millis),
                    "withdrawn": key.times.withdrawn_at.is_some(),
                })
            });
            let shown = json!({
                "version": status.version.0,
                "signer": signer(&issuer),
                "keys": keys.collect::<Vec<_>>(),
                "jwks": &*issuer.key_set()?.body,
            });
            return Ok(shown.to_string());
        }
        _ => return Err(format!("what is {line:?}?").into()),
    }
    Ok("done".to_owned())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut lines = io::stdin().lock().lines();
    let url = lines.next().ok_or("a URL")??;
    let runtime = Runtime::new()?;
    let ring = runtime.block_on(Ring::open(&url));
    let (stopping, mut issuer) = (Stopping::new(ring.clone()), None);
    println!("connected");
    for line in lines {
        let said = runtime.block_on(answer(&line?, &stopping, &mut issuer, &ring));
        println!("{}", said.unwrap_or_else(|error| error.to_string()));
    }
    Ok(())
}

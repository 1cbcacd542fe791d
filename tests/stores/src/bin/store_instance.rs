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
//! - `show`: the ring as JSON;
//! - `sessions`, `sessions REDIS`: sessions of an issuer over the ring and the store in the database, which revokes in this
//!   process, or in this Redis;
//! - `begin`: a login: its refresh token and its access token;
//! - `go-on TASKS TOKEN`: so many tasks refresh with this token at once: each different outcome once, which is another token,
//!   `kept`, or why not;
//! - `sign-out TOKEN`; `look`: revokes what others ended;
//! - `check TOKEN`: `accepted`, `refused`, or `unknown`, by a policy that enforces the list of revocations;
//! - `stop before CALL`, `stop after CALL`: from now on it stops for ever at this call of the store of sessions, and says
//!   `stopped`.
//!
//! It answers `done` where nothing else is to be said, or the first error.
use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Display;
use std::io::{self, BufRead as _};

use portcullis::error::RevocationError;
use portcullis::{Policy, Revocations};
use portcullis_issuer::{EndReason, RefreshError, RefreshRefusal, RefreshRequest, Sessions};
use portcullis_redis::RedisRevocations;

use portcullis_issuer::StoreTime;
use portcullis_issuer::{RingError, TokenIssuer};
use portcullis_stores_tests::{
    OLD, Ring, SessionsIn, Stop, Stopping, StoppingSessions, builder, login_issuer, mint, quick,
    sessions, signer,
};
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

/// Logins of this process.
struct Logins {
    store: StoppingSessions,
    sessions: Option<(Sessions, Policy)>,
}

impl Logins {
    /// What is done, and what is said of it. `None`: it is not about logins.
    async fn answer(&mut self, line: &str, ring: &Ring) -> Result<Option<String>, Box<dyn Error>> {
        let words: Vec<_> = line.split(' ').collect();
        if let ["sessions", ref redis @ ..] = words[..] {
            let revocations = match redis {
                [url] => RedisRevocations::server(url)?.connect().await?,
                _ => Revocations::in_memory(),
            };
            let issuer = login_issuer(ring.clone(), revocations).await?;
            let sessions = sessions(&issuer, self.store.clone()).await?;
            let policy = issuer.policy_builder().revocations(sessions.enforced()).build()?;
            self.sessions = Some((sessions, policy));
            return Ok(Some("done".to_owned()));
        }
        let Some((sessions, policy)) = &self.sessions else { return Ok(None) };
        Ok(Some(match words[..] {
            ["begin"] => {
                let attempt = sessions.attempt("alice").await?;
                let begun = sessions.begin(attempt.succeeded("web")).await?;
                format!("{} {}", begun.refresh.as_str(), begun.access.token)
            }
            ["go-on", tasks, token] => go_on(sessions, tasks.parse()?, token).await,
            ["sign-out", token] => {
                sessions.sign_out(&RefreshRequest::new(token, "web")).await?;
                "done".to_owned()
            }
            ["sign-out-everywhere"] => {
                sessions.end_all("alice", None, EndReason::SignedOutEverywhere).await?;
                "done".to_owned()
            }
            ["look"] => {
                sessions.catch_up().await?;
                "done".to_owned()
            }
            ["check", token] => match policy.verify_token_now(token) {
                Ok(_) => "accepted".to_owned(),
                Err(portcullis::Error::Revocation(RevocationError::Unavailable(_))) => {
                    "unknown".to_owned()
                }
                Err(_) => "refused".to_owned(),
            },
            ["stop", place @ ("before" | "after"), call] => {
                self.store.stop(place == "after", call);
                "done".to_owned()
            }
            _ => return Ok(None),
        }))
    }
}

/// The different outcomes of so many refreshes at once.
async fn go_on(sessions: &Sessions, tasks: usize, token: &str) -> String {
    let mut set = JoinSet::new();
    for _ in 0..tasks {
        let (sessions, token) = (sessions.clone(), token.to_owned());
        set.spawn(async move {
            match sessions.refresh(&RefreshRequest::new(&token, "web")).await {
                Ok(refreshed) => refreshed
                    .refresh
                    .map_or_else(|| "kept".to_owned(), |token| token.as_str().to_owned()),
                Err(RefreshError::Refused(RefreshRefusal::Ended(reason))) => {
                    reason.name().to_owned()
                }
                Err(RefreshError::Refused(refusal)) => refusal.kind().to_owned(),
                Err(error) => error.to_string().replace(' ', "-"),
            }
        });
    }
    let outcomes: BTreeSet<_> = set.join_all().await.into_iter().collect();
    outcomes.into_iter().collect::<Vec<_>>().join(" ")
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
    let store = StoppingSessions::new(runtime.block_on(SessionsIn::open(&url)));
    let mut logins = Logins { store, sessions: None };
    println!("connected");
    for line in lines {
        let line = line?;
        let said = runtime.block_on(async {
            match logins.answer(&line, &ring).await {
                Ok(None) => answer(&line, &stopping, &mut issuer, &ring).await,
                Ok(Some(said)) => Ok(said),
                Err(error) => Err(error),
            }
        });
        println!("{}", said.unwrap_or_else(|error| error.to_string()));
    }
    Ok(())
}

//! What the service is made of, whichever framework serves it.
use std::error::Error;
use std::time::Duration;

use portcullis::{Algorithm, Encoding, Policy, Revocations, Secret, TokenSource};
use portcullis_issuer::ring::Schedule;
use portcullis_issuer::routes::{NativeSessions, OwnSessions};
use portcullis_issuer::{
    Answer, BrowserSessions, BuildError, EndReason, Lifetimes, RetryWindow, RingError, RingStatus,
    Sessions, TokenIssuer, Unanswered, dangerous,
};
use portcullis_redis::{RedisRevocations, StoreTerms};
use serde::{Deserialize, Serialize};

use crate::database::{Address, Database, Ring};
use crate::flags::{Flags, resolved};
use crate::passwords::Passwords;
use crate::root_secret;
use crate::users::Users;

/// The clients whose sessions there are: the pages of the service, and a program that keeps its tokens itself.
pub(crate) const WEB: &str = "web";
pub(crate) const NATIVE: &str = "native";

/// The longest that a token lives by the issuer's own policy: revocations are remembered for as long.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What the service is made of.
pub(crate) struct Service {
    pub(crate) users: Users,
    pub(crate) passwords: Passwords,
    pub(crate) issuer: TokenIssuer<Ring>,
    /// Who may call the API and see the pages.
    pub(crate) policy: Policy,
    pub(crate) sessions: Sessions,
    pub(crate) browser: BrowserSessions,
    pub(crate) native: NativeSessions,
    pub(crate) own: OwnSessions,
}

/// What access tokens say besides, so that a page greets its user without asking the database.
#[derive(Serialize)]
struct OwnClaims {
    preferred_username: String,
}

/// What the service goes by of an access token.
#[derive(Deserialize)]
pub(crate) struct User {
    pub(crate) sub: String,
    pub(crate) sid: String,
    pub(crate) exp: i64,
    pub(crate) preferred_username: String,
}

impl Service {
    pub(crate) async fn start(flags: &Flags) -> Result<Self, Box<dyn Error>> {
        let address = Address::of(&flags.database)?;
        let root_secret = flags.root_secret.clone().unwrap_or_else(|| address.root_secret());
        let database = address.open().await?;
        let users = Users::open(database.clone()).await?;
        let revocations = match &flags.redis {
            Some(url) => over_redis(&resolved("--redis", url)?).await?,
            // What ended before is read from the store of sessions when the service starts.
            None => Revocations::in_memory(),
        };

        // A new secret would open nothing. Asked in this order: another process may just make both, the secret first.
        let has_keys = RingStatus::read(&database.ring(), &flags.issuer, None).await?.is_some();
        let at = root_secret.display();
        if has_keys && !root_secret.try_exists()? {
            return Err(format!(
                "there are keys in the database, and their root secret {at} is missing: {WAY_OUT}"
            )
            .into());
        }
        root_secret::make_if_missing(&root_secret).map_err(|error| format!("{at}: {error}"))?;
        let schedule = schedule(flags);
        let built = TokenIssuer::builder(&flags.issuer)
            .algorithm(Algorithm::ES256)
            // It is the service that takes its tokens, too.
            .audiences([&flags.issuer])
            .lifetime(flags.access_lifetime)
            .root_secrets([Secret::file(&root_secret, Encoding::Base64url)])
            .ring(database.ring())
            .revocations(revocations)
            .schedule(schedule)
            .metadata("token_endpoint", format!("{}/oauth/token", flags.issuer))
            .metadata("revocation_endpoint", format!("{}/oauth/revoke", flags.issuer))
            .metadata("grant_types_supported", vec!["refresh_token"])
            // Clients are public: by default it would be a secret that they show (RFC 8414 §2).
            .metadata("token_endpoint_auth_methods_supported", vec!["none"])
            .metadata("revocation_endpoint_auth_methods_supported", vec!["none"])
            // It has no authorization endpoint, and the member has to be there (RFC 8414 §2).
            .metadata("response_types_supported", Vec::<String>::new())
            .build()
            .await;
        let issuer = built.map_err(|error| match error {
            BuildError::Ring(RingError::Foreign(_)) => {
                format!("{error}\nThe root secret is that of {at}: {WAY_OUT}")
            }
            other => other.to_string(),
        })?;

        let sessions = sessions(flags, &issuer, &database, users.clone()).await?;
        let browser = BrowserSessions::new(sessions.clone(), WEB)?;
        let native = NativeSessions::new(sessions.clone(), [NATIVE])?;
        let policy = issuer
            .policy_builder()
            .sources([TokenSource::bearer(), browser.access_cookie().into()])
            // What ended is refused with the next request, and what a stolen key signed.
            .revocations(sessions.enforced())
            .build()?;
        let own = OwnSessions::new(sessions.clone(), policy.clone());
        let passwords = Passwords::new().await?;
        Ok(Self { users, passwords, issuer, policy, sessions, browser, native, own })
    }
}

/// When signing keys follow each other.
fn schedule(flags: &Flags) -> Schedule {
    let seconds = Duration::from_secs;
    let mut schedule = Schedule::new();
    if flags.test_times || flags.fast_keys {
        // One machine, one clock.
        schedule = schedule.skew(seconds(1)).leeway(seconds(2));
    }
    if flags.fast_keys {
        schedule = schedule
            .interval(seconds(60)) // at least a 16th of the life of an access token, and some more
            .publish_ahead(seconds(8)) // at least `stale` + `verifier_cache` + 2 × `skew`
            .stale(seconds(4))
            .reload(seconds(1))
            .verifier_cache(seconds(2))
            .margin(seconds(1));
    }
    schedule
}

const WAY_OUT: &str = "give the file with which the keys were made, by --root-secret FILE. \
    If it is lost, begin anew with another --database: every session of before is over";

async fn sessions(
    flags: &Flags,
    issuer: &TokenIssuer<Ring>,
    database: &Database,
    users: Users,
) -> Result<Sessions, Box<dyn Error>> {
    let builder = match database {
        Database::Sqlite { sessions, .. } => Sessions::builder(issuer).store(sessions.clone()),
        Database::Postgres { sessions, .. } => Sessions::builder(issuer).store(sessions.clone()),
    };
    let window = match flags.test_times {
        false => RetryWindow::from(flags.retry_window),
        true => dangerous::long_retry_window(flags.retry_window),
    };
    let sessions = builder
        .lifetimes(Lifetimes::aal1())
        // Asked at each login and refresh: an account that is gone is out within the life of an access token.
        .ask(move |session| {
            let users = users.clone();
            async move {
                match users.name(session.subject()).await {
                    Ok(Some(name)) => Ok(Answer::GoOn(OwnClaims { preferred_username: name })),
                    Ok(None) => Ok(Answer::End(EndReason::AccountDisabled)),
                    Err(error) => Err(Unanswered::new(error.to_string())),
                }
            }
        })
        .retry_window(window)
        .build()
        .await?;
    Ok(sessions)
}

/// A list that all instances share. No error shows the address, which may have a password in it.
async fn over_redis(url: &str) -> Result<Revocations, String> {
    let refused = |error: String| format!("--redis: {error}");
    let redis = RedisRevocations::server(url).map_err(|error| refused(error.to_string()))?;
    let redis = redis.prefix("first-party-login");
    // In production, this is a step of its own, done once when the fleet is set up. Where every process does it, a Redis that
    // lost its data is made anew by the next one that starts, and nobody learns that revocations are gone. Survivors have
    // half a second to give back theirs: short, to start at once. In production, keep the default.
    let terms = StoreTerms::new(LONGEST).recovery(Duration::from_millis(500));
    let made = tokio::time::timeout(Duration::from_secs(10), redis.initialize(terms)).await;
    let made = made.map_err(|_| refused("no answer in time".to_owned()))?;
    made.map_err(|error| refused(error.to_string()))?;
    redis.connect().await.map_err(|error| refused(error.to_string()))
}

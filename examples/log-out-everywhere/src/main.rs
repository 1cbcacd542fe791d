//! Log out, and log out everywhere, in axum.
//!
//! ```console
//! cargo run -p example-log-out-everywhere
//! ```
//!
//! prints `curl` lines to paste. With a Redis at `REDIS_URL`, or else at 127.0.0.1:6379, all instances
//! share what is revoked. Start two, in two terminals:
//!
//! ```console
//! PORT=3001 cargo run -p example-log-out-everywhere
//! PORT=3002 cargo run -p example-log-out-everywhere
//! ```
//!
//! A token that works at both is refused by the second, once the first was told:
//!
//! ```console
//! TOKEN=$(curl -s -X POST http://127.0.0.1:3001/login)
//! curl -i http://127.0.0.1:3002/me -H "Authorization: Bearer $TOKEN"
//! curl -i -X POST http://127.0.0.1:3001/logout-everywhere -H "Authorization: Bearer $TOKEN"
//! curl -i http://127.0.0.1:3002/me -H "Authorization: Bearer $TOKEN"
//! ```
//!
//! Without a Redis, an instance remembers by itself what is revoked, until it ends.
use std::env;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use portcullis_axum::portcullis::revocation::RevokeError;
use portcullis_axum::portcullis::{
    Algorithm, BuildError, Clock, Issuer, Revocable, Revocations, Secret, SystemClock,
};
use portcullis_axum::{Caller, Policy, VerifyLayer};
use portcullis_redis::{RedisRevocations, StoreTerms};
use portcullis_testkit::{SigningKey, TestIssuer};
use tokio::net::TcpListener;
use tokio::time::timeout;

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://orders.example";
const LOCAL: &str = "redis://127.0.0.1:6379";

/// The longest that a token lives. A revocation is remembered for as long, and a little more.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// For the demonstration only: in the source, so that instances accept each other's tokens.
const SECRET: &str = "RSPTw1McjRaXSDPq6ge9W9i9NLyxv5pf5qOcpBlt3YY";

type Time = Arc<dyn Clock>;

#[derive(Clone)]
struct Service {
    revocations: Revocations,
    clock: Time,
    provider: TestIssuer,
}

fn policy(revocations: &Revocations, clock: Time) -> Result<Policy, BuildError> {
    let issuer = Issuer::new(ISSUER)
        .algorithms([Algorithm::HS256])
        .keys(Secret::new(SECRET))
        .audience(AUDIENCE);
    Policy::builder()
        .issuer(issuer)
        .max_lifetime(LIFETIME)
        .require("sub") // nobody else can log out everywhere
        .revocations(revocations.enforce([Revocable::Token, Revocable::Subject]))
        .clock(clock)
        .build()
}

/// Stands in for the provider. Ids are random, since a store outlives whoever would count them.
async fn log_in(State(service): State<Service>) -> Result<String, StatusCode> {
    let id = getrandom::u64().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let token = service.provider.token(Algorithm::HS256).expires_in(LIFETIME);
    let key = SigningKey::from_secret(Algorithm::HS256, SECRET);
    Ok(token.claim("jti", format!("{id:016x}")).signed_by(&key).mint())
}

async fn me(caller: Caller) -> String {
    let issued_at = caller.issued_at().map_or(String::new(), |time| time.to_string());
    format!("{}, by a token issued at {issued_at}\n", caller.subject().unwrap_or_default())
}

async fn log_out(
    State(service): State<Service>,
    caller: Caller,
) -> Result<&'static str, (StatusCode, &'static str)> {
    // There is one: the policy refuses tokens that could not be revoked.
    let id = caller.token_id().unwrap_or_default();
    let revoked = service.revocations.revoke_token(caller.issuer(), id, caller.expires_at()).await;
    revoked.map_err(not_revoked)?;
    Ok("logged out\n")
}

async fn log_out_everywhere(
    State(service): State<Service>,
    caller: Caller,
) -> Result<&'static str, (StatusCode, &'static str)> {
    // Up to this second. The default, `None`, is the leeway (30 s) more: that also covers a token from
    // a provider whose clock is fast, but refuses whoever logs in again within that time. Users do that
    // at once, and expect to get in. Tokens tell time in seconds, so that the rest of this second is
    // lost to them. The caller's own token is covered whatever its provider's clock says.
    let now = service.clock.now();
    let issued_until = caller.issued_at().map_or(now, |issued_at| issued_at.max(now));
    let subject = caller.subject().unwrap_or_default();
    let revoked = service.revocations.revoke_subject(caller.issuer(), subject, issued_until).await;
    revoked.map_err(not_revoked)?;
    Ok("logged out everywhere\n")
}

/// Nobody is told that they are logged out unless the store has acknowledged it.
#[expect(clippy::needless_pass_by_value, reason = "it ends here")]
fn not_revoked(error: RevokeError) -> (StatusCode, &'static str) {
    eprintln!("{error}");
    (StatusCode::SERVICE_UNAVAILABLE, "not logged out: try again\n")
}

fn app(revocations: Revocations, clock: Time) -> Result<Router, BuildError> {
    let policy = policy(&revocations, clock.clone())?;
    let provider = TestIssuer::new(ISSUER).audience(AUDIENCE).clock(clock.clone());
    Ok(Router::new()
        .route("/me", get(me))
        .route("/logout", post(log_out))
        .route("/logout-everywhere", post(log_out_everywhere))
        .layer(VerifyLayer::new(policy)) // covers what stands before it
        .route("/login", post(log_in))
        .with_state(Service { revocations, clock, provider }))
}

async fn over_redis(url: &str, patience: Duration, clock: Time) -> Result<Revocations, String> {
    let redis = RedisRevocations::server(url).map_err(|error| error.to_string())?;
    let redis = redis.prefix("portcullis-example").clock(clock);
    // In production, this is a step of its own, done once when the fleet is set up. Where every process
    // does it, a Redis that lost its data is made anew by the next one that starts, and nobody learns
    // that revocations are gone. Survivors have half a second to give back theirs, and a store that was
    // just made is waited for as long: short, to start at once. In production, keep the default.
    let terms = StoreTerms::new(LIFETIME).recovery(Duration::from_millis(500));
    let made = timeout(patience, redis.initialize(terms)).await;
    made.map_err(|_| "no answer in time")?.map_err(|error| error.to_string())?;
    // In every process.
    redis.connect().await.map_err(|error| error.to_string())
}

/// Over Redis where there is one, in memory where there is none; and what that means.
async fn revocations(
    named: Option<&str>,
    local: &str,
    clock: Time,
) -> Result<(Revocations, String), String> {
    const SHARED: &str = "Instances share what is revoked, and it outlives them. \
        If Redis is away for over a minute, requests get 503.";
    if let Some(url) = named {
        // Who names a Redis counts on it: no other list will do. The address may have a password in it.
        let revocations = over_redis(url, Duration::from_secs(5), clock).await;
        let revocations = revocations.map_err(|error| format!("REDIS_URL: {error}"))?;
        return Ok((revocations, format!("Using the Redis of REDIS_URL. {SHARED}")));
    }
    match over_redis(local, Duration::from_millis(300), clock.clone()).await {
        Ok(revocations) => Ok((revocations, format!("Using {local}. {SHARED}"))),
        Err(error) => {
            let revocations =
                Revocations::options().max_lifetime(LIFETIME).clock(clock).in_memory();
            let meaning = "Only this process knows what is revoked, and forgets it when it ends.";
            Ok((revocations, format!("Using memory, not {local} ({error}). {meaning}")))
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Says why a request was refused: at INFO for bad tokens, and with RUST_LOG=portcullis=debug for all.
    tracing_subscriber::fmt::init();
    let clock: Time = Arc::new(SystemClock);
    let url = env::var("REDIS_URL").ok();
    let (revocations, meaning) = revocations(url.as_deref(), LOCAL, clock.clone()).await?;
    let port = env::var("PORT").map_or(Ok(0), |port| port.parse())?;

    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let here = format!("http://{}", listener.local_addr()?);
    println!("# {meaning}");
    println!(
        r#"
# Log in on two devices.
PHONE=$(curl -s -X POST {here}/login)
LAPTOP=$(curl -s -X POST {here}/login)
curl -iw '\n' {here}/me -H "Authorization: Bearer $PHONE"
curl -iw '\n' {here}/me -H "Authorization: Bearer $LAPTOP"

# Log out on the phone: 401 there, and the laptop stays logged in.
curl -iw '\n' -X POST {here}/logout -H "Authorization: Bearer $PHONE"
curl -iw '\n' {here}/me -H "Authorization: Bearer $PHONE"
curl -iw '\n' {here}/me -H "Authorization: Bearer $LAPTOP"

# Log in on the phone again, then log out everywhere: 401 on both.
PHONE=$(curl -s -X POST {here}/login)
curl -iw '\n' -X POST {here}/logout-everywhere -H "Authorization: Bearer $LAPTOP"
curl -iw '\n' {here}/me -H "Authorization: Bearer $PHONE"
curl -iw '\n' {here}/me -H "Authorization: Bearer $LAPTOP"

# A new login works, from the next second on.
sleep 1
PHONE=$(curl -s -X POST {here}/login)
curl -iw '\n' {here}/me -H "Authorization: Bearer $PHONE"
"#
    );
    Ok(axum::serve(listener, app(revocations, clock)?).await?)
}

/// The clock stands still but where a test moves it.
#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::process::{Child, Command, Stdio};

    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use portcullis_testkit::FixedClock;
    use portcullis_testkit::axum::assert_protected;
    use tokio::time::sleep;
    use tower::ServiceExt;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// The time of a Redis goes on: entries must not be over for it.
    fn clock() -> FixedClock {
        FixedClock::at(SystemClock.now().0)
    }

    fn url(port: u16) -> String {
        format!("redis://127.0.0.1:{port}")
    }

    fn free_port() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.local_addr().expect("its address").port()
    }

    struct Redis {
        port: u16,
        process: Child,
    }

    impl Redis {
        fn start() -> Self {
            let port = free_port();
            let process = Command::new("redis-server")
                .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()])
                .stdout(Stdio::null())
                .spawn()
                .expect("`redis-server` is needed: `make test` installs it");
            Self { port, process }
        }

        async fn revocations(&mut self, clock: &FixedClock) -> Revocations {
            let connected = async {
                loop {
                    match over_redis(&url(self.port), PATIENCE, Arc::new(clock.clone())).await {
                        Ok(revocations) => return revocations,
                        Err(error) => {
                            let ended = self.process.try_wait().expect("a process");
                            assert!(ended.is_none(), "redis-server ended, {ended:?}: {error}");
                            sleep(Duration::from_millis(10)).await;
                        }
                    }
                }
            };
            timeout(PATIENCE, connected).await.expect("a server that answers")
        }
    }

    impl Drop for Redis {
        fn drop(&mut self) {
            _ = self.process.kill();
            _ = self.process.wait();
        }
    }

    async fn ask(app: &Router, method: &str, path: &str, token: &str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::empty()).expect("a request");
        let response = app.clone().oneshot(request).await.expect("a response");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8(body.into()).expect("text"))
    }

    async fn log_in(app: &Router) -> String {
        let (status, token) = ask(app, "POST", "/login", "").await;
        assert_eq!(status, StatusCode::OK, "{token}");
        token
    }

    async fn post(app: &Router, path: &str, token: &str) {
        let (status, body) = ask(app, "POST", path, token).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }

    async fn assert_works(app: &Router, token: &str, clock: &FixedClock) {
        let me = format!("alice, by a token issued at {}\n", clock.now());
        assert_eq!(ask(app, "GET", "/me", token).await, (StatusCode::OK, me));
    }

    async fn assert_revoked(app: &Router, token: &str) {
        let (status, body) = ask(app, "GET", "/me", token).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
        assert!(body.contains("The access token has been revoked"), "{body}");
    }

    /// Another instance hears of it a moment later.
    async fn assert_becomes_revoked(app: &Router, token: &str) {
        let refused = async {
            while ask(app, "GET", "/me", token).await.0 == StatusCode::OK {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, refused).await.expect("a refusal in time");
        assert_revoked(app, token).await;
    }

    /// Of a service with two instances, or one that stands for both.
    async fn tell(here: &Router, there: &Router, clock: &FixedClock) {
        let (phone, laptop) = (log_in(here).await, log_in(there).await);
        for app in [here, there] {
            assert_works(app, &phone, clock).await;
            assert_works(app, &laptop, clock).await;
        }

        post(here, "/logout", &phone).await;
        assert_revoked(here, &phone).await;
        assert_becomes_revoked(there, &phone).await;
        for app in [here, there] {
            assert_works(app, &laptop, clock).await;
        }

        let phone = log_in(there).await;
        post(here, "/logout-everywhere", &laptop).await;
        for token in [&phone, &laptop] {
            assert_revoked(here, token).await;
            assert_becomes_revoked(there, token).await;
        }

        // What the handler says of this second, and that the next one is another.
        let at_once = log_in(here).await;
        assert_revoked(here, &at_once).await;
        clock.advance(Duration::from_secs(1));
        let again = log_in(here).await;
        for app in [here, there] {
            assert_works(app, &again, clock).await;
            assert_revoked(app, &phone).await;
        }
    }

    #[tokio::test]
    async fn in_memory() {
        let clock = clock();
        let nobody = url(free_port());
        let (revocations, meaning) =
            revocations(None, &nobody, Arc::new(clock.clone())).await.expect("a list");
        assert!(meaning.starts_with("Using memory, "), "{meaning}");
        let app = app(revocations, Arc::new(clock.clone())).expect("an app");
        tell(&app, &app, &clock).await;
    }

    #[tokio::test]
    async fn over_a_redis_that_two_instances_share() {
        let (clock, mut redis) = (clock(), Redis::start());
        let here = redis.revocations(&clock).await;
        let there = redis.revocations(&clock).await;
        let [here, there] = [here, there]
            .map(|revocations| app(revocations, Arc::new(clock.clone())).expect("an app"));
        tell(&here, &there, &clock).await;
    }

    #[tokio::test]
    async fn a_redis_that_is_named_and_not_there_is_an_error() {
        let nobody = url(free_port());
        let error = revocations(Some(&nobody), LOCAL, Arc::new(clock())).await.err();
        let error = error.expect("an error");
        assert!(error.starts_with("REDIS_URL: Redis was not reached"), "{error}");
    }

    #[tokio::test]
    async fn a_token_of_a_fast_clock_logs_itself_out() {
        let clock = clock();
        let revocations = Revocations::in_memory();
        let app = app(revocations, Arc::new(clock.clone())).expect("an app");
        clock.advance(Duration::from_secs(20));
        let token = log_in(&app).await;
        clock.set(clock.now().0 - 20);
        post(&app, "/logout-everywhere", &token).await;
        assert_revoked(&app, &token).await;
    }

    #[tokio::test]
    async fn all_but_the_login_is_protected() {
        let app = app(Revocations::in_memory(), Arc::new(clock())).expect("an app");
        let routes = [("GET", "/me"), ("POST", "/logout"), ("POST", "/logout-everywhere")];
        assert_protected(&app, &routes).await;
    }
}

//! What operators see, in axum: metrics for Prometheus, readiness, and logs.
//!
//! ```console
//! cargo run -p example-prometheus
//! ```
//!
//! prints `curl` lines to paste. `dashboard.json` is to import into Grafana, `alerts.yml` are rules for Prometheus. With a
//! Redis at `REDIS_URL`, there are the lag and the age of revocations as well. `PORT` and `METRICS_PORT` say where it
//! listens; else any port that is free.
//!
//! Operators have a listener of their own. Who reads `/metrics` learns how a service is attacked, and when it is weak: do
//! not let the world reach it.
use std::env;
use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use portcullis_axum::portcullis::{
    self, Algorithm, Issuer, Readiness, RemoteJwks, Revocable, Revocations,
};
use portcullis_axum::{Caller, Policy, VerifyLayer, readiness};
use portcullis_redis::{RedisRevocations, StoreTerms};
use portcullis_testkit::key_server::KeyServer;
use tokio::net::TcpListener;

const AUDIENCE: &str = "https://orders.example";
const MAX_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Upper bounds for `portcullis_decision_seconds`. A remembered token takes some tenths of a microsecond, a
/// signature 1 to 500 µs, and a token that waits for keys up to 2 s: three steps for each power of ten where the
/// processor works, one where the network does. The exporter's default is a summary, which cannot be added up over instances.
const BUCKETS: [f64; 16] =
    [2e-7, 5e-7, 1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2, 1e-1, 1.0, 5.0];

fn exporter() -> Result<PrometheusBuilder, BuildError> {
    let decision = Matcher::Full("portcullis_decision_seconds".to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(decision, &BUCKETS)
}

fn policy(issuer: &str, revocations: &Revocations) -> Result<Policy, portcullis::BuildError> {
    let issuer = Issuer::new(issuer)
        .algorithms([Algorithm::ES256])
        .keys(RemoteJwks::discovery())
        .audience(AUDIENCE);
    Policy::builder()
        .name("orders") // in metrics and logs
        .issuer(issuer)
        .max_lifetime(MAX_LIFETIME)
        .revocations(revocations.enforce([Revocable::Token]))
        .build()
}

async fn orders(caller: Caller) -> String {
    format!("orders of {}\n", caller.subject().unwrap_or("a client"))
}

/// For the world.
fn app(policy: Policy) -> Router {
    Router::new().route("/orders", get(orders)).layer(VerifyLayer::new(policy))
}

/// For operators: the orchestrator's probe, which has keys fetched before the first request comes, and Prometheus.
fn operations(policy: Policy, metrics: PrometheusHandle) -> Router {
    let ready = readiness(Readiness::new(policy.clone()));
    let metrics = async move || {
        policy.record_metrics(); // what is not counted as requests come: cache, keys, revocations
        ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
    };
    Router::new().route("/ready", ready).route("/metrics", get(metrics))
}

async fn revocations() -> Result<Revocations, Box<dyn Error>> {
    let Ok(url) = env::var("REDIS_URL") else { return Ok(Revocations::in_memory()) };
    let redis = RedisRevocations::server(&url)?.prefix("portcullis-example-prometheus");
    redis.initialize(StoreTerms::new(MAX_LIFETIME)).await?; // in production, once when the fleet is set up
    Ok(redis.connect().await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Each refusal is an event of the target `portcullis::refusal`; at DEBUG also those of requests without a token.
    tracing_subscriber::fmt::init();
    // Before the first policy is built: it tells the recorder what its metrics mean.
    let metrics = exporter()?.install_recorder()?;

    // For the demonstration only: the provider.
    let provider = KeyServer::start();
    let issuer = provider.issuer(&[Algorithm::ES256]).audience(AUDIENCE);
    let policy = policy(issuer.name(), &revocations().await?)?;

    // The exporter keeps each measured duration until it is rendered, or until this.
    let upkeep = metrics.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });

    let port = |name| env::var(name).map_or(Ok(0), |port| port.parse::<u16>());
    let world = TcpListener::bind(("127.0.0.1", port("PORT")?)).await?;
    let operators = TcpListener::bind(("127.0.0.1", port("METRICS_PORT")?)).await?;
    let token = issuer.token(Algorithm::ES256).expires_in(MAX_LIFETIME).mint();
    println!("TOKEN='{token}'");
    println!("curl -i http://{}/orders -H \"Authorization: Bearer $TOKEN\"", world.local_addr()?);
    println!("curl -i http://{}/ready", operators.local_addr()?);
    println!("curl -i http://{}/metrics", operators.local_addr()?);
    let operations = operations(policy.clone(), metrics);
    tokio::try_join!(
        axum::serve(world, app(policy)).into_future(),
        axum::serve(operators, operations).into_future(),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests;

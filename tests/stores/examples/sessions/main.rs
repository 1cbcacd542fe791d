//! What sessions cost beside their database: `cargo run --release -p portcullis-stores-tests --example sessions`.
mod pages;
mod refreshes;

const SESSIONS: usize = 400;
const ROUNDS: usize = 5;

/// A minute passes for every session.
const LATER: &str =
    "UPDATE portcullis_sessions SET rotated_at = rotated_at - 61000 WHERE issuer <> 'bare'";

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[tokio::main]
async fn main() {
    refreshes::print().await;
    println!();
    pages::print().await;
}

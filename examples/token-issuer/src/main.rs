//! A service that issues its own access tokens, with keys that rotate by themselves, in axum.
//!
//! ```console
//! cargo run -p example-token-issuer
//! ```
//!
//! prints commands to paste. The keys are in a SQLite file, `token-issuer.db` in the current folder, and sealed with
//! the root secret in `token-issuer.root`. Both are made by the first start. Start it again, and it goes on with the
//! same keys: tokens of before pass.
//!
//! A key signs for 30 days. To see keys follow each other in a minute:
//!
//! ```console
//! cargo run -p example-token-issuer -- --fast
//! ```
//!
//! Another service verifies the tokens. It only has to know the identifier of this one. The example `discovery` is such a
//! service. Paste into another terminal:
//!
//! ```console
//! cargo run -p example-discovery -- http://127.0.0.1:3000 https://orders.example
//! ```
//!
//! Several instances share their keys in PostgreSQL. All have the same identifier, and a copy of the root secret:
//!
//! ```console
//! export DATABASE_URL=postgres://orders:secret@127.0.0.1/orders
//! cargo run -p example-token-issuer -- --database env:DATABASE_URL --issuer https://id.example
//! ```
//!
//! Keys belong to the identifier of an issuer, and that has the port in it. With another port, or another `--issuer`, there
//! are other keys in the same database.
mod database;
mod issuer;
mod root_secret;
mod service;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use portcullis_issuer::store::RingStore;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::database::Database;
use crate::issuer::{AUDIENCE, Pace};

/// A service that issues its own access tokens, with keys that rotate by themselves.
#[derive(Parser)]
struct Options {
    /// Where the keys are kept: sqlite:FILE, postgres://…, or env:NAME for an environment variable that says it. An address
    /// with a password belongs into a variable [default: sqlite:token-issuer.db, with --fast sqlite:token-issuer-fast.db]
    #[arg(long)]
    database: Option<String>,

    /// The file of the root secret. It is made if it is missing, for its owner alone [default: beside the SQLite file, and
    /// token-issuer.root for PostgreSQL]
    #[arg(long, value_name = "FILE")]
    root_secret: Option<PathBuf>,

    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,

    /// The identifier of the issuer (`iss`): the address at which other services reach it [default: http:// and what it
    /// listens on]
    #[arg(long)]
    issuer: Option<String>,

    /// A key signs for 30 s, and a token lives for a minute. Keys that are there already keep their times
    #[arg(long)]
    fast: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    // Says what happens to the keys, and why a request was refused: at INFO, and with RUST_LOG=portcullis=debug for all.
    tracing_subscriber::fmt::init();
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let pace = if options.fast { Pace::Fast } else { Pace::Default };
    let named = options.database.as_deref().unwrap_or(match pace {
        Pace::Default => "sqlite:token-issuer.db",
        // The keys of the other would sign for 30 days first.
        Pace::Fast => "sqlite:token-issuer-fast.db",
    });
    let database = Database::of(named)?;
    let root_secret = options.root_secret.unwrap_or_else(|| database.root_secret());
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.map_err(|error| format!("--listen {}: {error}", options.listen))?;
    let here = format!("http://{}", listener.local_addr()?);
    let id = options.issuer.unwrap_or_else(|| here.clone());

    let root_at = root_secret.display();
    let to_type = format!(
        r#"
# Log in, and show the token. The other user is bob, with the password builder.
curl -iw '\n' {here}/login -d name=alice -d password=wonderland
TOKEN=$(curl -s {here}/login -d name=alice -d password=wonderland | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
curl -iw '\n' {here}/orders -H "Authorization: Bearer $TOKEN"

# The keys: as other services fetch them, in plain words, and as an operator sees them.
curl -sw '\n' {here}/.well-known/jwks.json
curl -s {here}/keys
cargo run -p portcullis-cli --features store -- ring status --ring {database} --issuer {id} --root-secret {root_at}

# Another service that takes the tokens.
cargo run -p example-discovery -- {id} {AUDIENCE}
"#
    );
    match &database {
        Database::Sqlite(file) => {
            let ring = database::sqlite(file.clone()).await?;
            serve(listener, &id, &root_secret, ring, pace, &to_type).await
        }
        Database::Postgres { address, .. } => {
            let ring = database::postgres(address.clone()).await?;
            serve(listener, &id, &root_secret, ring, pace, &to_type).await
        }
    }
}

async fn serve<S: RingStore>(
    listener: TcpListener,
    id: &str,
    root_secret: &Path,
    ring: S,
    pace: Pace,
    to_type: &str,
) -> Result<(), Box<dyn Error>> {
    let changes = Arc::new(Notify::new());
    let issuer = issuer::start(id, root_secret, ring, pace, &changes).await?;
    println!("{to_type}");
    let told = issuer.clone();
    tokio::spawn(async move {
        loop {
            changes.notified().await;
            println!("# The keys now:\n{}", service::keys_in_words(&told));
        }
    });
    Ok(axum::serve(listener, service::app(issuer)?).await?)
}

//! An issuing process: `issuing_instance ISSUER FILE AHEAD_MILLIS`.
//!
//! It serves the documents of the issuer on a free port, which is its first line. Then it does what it is told on its
//! standard input, and ends with it:
//!
//! - `mint`: it answers `minted EXPIRY TOKEN`, or `unavailable WHY`;
//! - `refresh`: `read VERSION`, or `unavailable WHY`.
use std::env;
use std::error::Error;
use std::io::{Write as _, stdout};
use std::net::Ipv4Addr;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::middleware::map_response;
use axum::response::Response;
use portcullis_issuer::{AccessToken, TokenIssuer};
use portcullis_issuing_tests::{Skewed, builder, open};
use portcullis_sqlx::SqliteRing;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;

type Issuing = TokenIssuer<Skewed<SqliteRing>>;

/// The next request is another instance's.
async fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn answer(issuer: &Issuing, line: &str) -> Result<String, Box<dyn Error>> {
    match line {
        "mint" => {
            let minted = issuer.mint(&AccessToken::of_user("alice", "web")).await?;
            Ok(format!("minted {} {}", minted.expires_at, minted.token))
        }
        "refresh" => {
            issuer.refresh().await?;
            let status = issuer.status().ok_or("nothing was read")?;
            Ok(format!("read {}", status.version.0))
        }
        _ => Err(format!("what is {line:?}?").into()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut argument = || arguments.next().ok_or("issuing_instance ISSUER FILE AHEAD_MILLIS");
    let (id, file, ahead) = (argument()?, argument()?, argument()?);
    let store = Skewed { store: open(file.as_ref()).await?, ahead_millis: ahead.parse()? };
    let issuer = builder(&id, store).build().await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?.port());
    let documents: Router = portcullis_axum::issuer_documents(issuer.clone());
    let documents = documents.layer(map_response(closing));
    tokio::spawn(async move { axum::serve(listener, documents).await });
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = answer(&issuer, &line).await;
        let answer = answer.unwrap_or_else(|error| format!("unavailable {error}"));
        println!("{answer}");
        stdout().flush()?;
    }
    Ok(())
}

//! A route of actix-web, with the policy in front or without. Prints where it listens.
use std::error::Error;
use std::net::Ipv4Addr;

use actix_web::{App, HttpServer, Route, web};
use clap::Parser;
use portcullis_actix::{Verified, Verify};
use setup::{Claims, Options};

/// A route of actix-web
#[derive(Parser)]
struct Command {
    #[command(flatten)]
    options: Options,
}

fn orders(claims: bool) -> Route {
    if claims {
        web::get().to(async |_: Verified<Claims>| "ok")
    } else {
        web::get().to(async || "ok")
    }
}

const PATH: &str = "/orders/{id}";
const ANYWHERE: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Command { options } = Command::parse();
    let claims = options.claims;
    let (address, server) = match options.policy()? {
        Some(policy) => {
            let app =
                move || App::new().route(PATH, orders(claims)).wrap(Verify::new(policy.clone()));
            let server = HttpServer::new(app).bind(ANYWHERE)?;
            (server.addrs()[0], server.run())
        }
        None => {
            let server = HttpServer::new(move || App::new().route(PATH, orders(claims)));
            let server = server.bind(ANYWHERE)?;
            (server.addrs()[0], server.run())
        }
    };
    println!("{address}");
    Ok(server.await?)
}

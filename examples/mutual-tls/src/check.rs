//! Sends every kind of client to both servers, and holds what they get against what is expected.
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Servers;
use crate::clients::{Case, Expected, Identity, Presents};

/// What each client got from each server.
#[derive(Debug)]
pub(crate) struct Report(Vec<Row>);

#[derive(Debug)]
struct Row {
    client: &'static str,
    about: &'static str,
    server: &'static str,
    found: Expected,
    is_good: bool,
}

impl Report {
    pub(crate) fn is_good(&self) -> bool {
        self.0.iter().all(|row| row.is_good)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<8} {:<10} {:<56} what it gets", "client", "server", "has")?;
        for Row { client, about, server, found, is_good } in &self.0 {
            let found = match found {
                Expected::Answer(text) => text.clone(),
                Expected::Refused(status) => format!("refused: {status}"),
                Expected::NoConnection => "no connection".to_owned(),
            };
            let note = if *is_good { "" } else { "  <- NOT AS EXPECTED" };
            writeln!(f, "{client:<8} {server:<10} {about:<56} {found}{note}")?;
        }
        f.write_str(if self.is_good() { "All as expected." } else { "Not all is as expected." })
    }
}

pub(crate) async fn run(
    servers: Servers,
    own: &Identity,
    cases: &[Case],
) -> Result<Report, Box<dyn Error>> {
    let mut rows = Vec::new();
    for case in cases {
        let config = config(own, case.presents.as_ref())?;
        for (server, address) in servers.all() {
            let found = match ask(config.clone(), address, &case.token).await {
                Ok((200, answer)) => Expected::Answer(answer),
                Ok((status, _)) => Expected::Refused(status),
                // Under TLS 1.3, a client learns only by its first request that its certificate was refused.
                Err(_) => Expected::NoConnection,
            };
            let is_good = found == case.expected;
            rows.push(Row { client: case.name, about: case.about, server, found, is_good });
        }
    }
    Ok(Report(rows))
}

fn config(
    server: &Identity,
    presents: Option<&Presents>,
) -> Result<Arc<ClientConfig>, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(server.certificate())?;
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let Some(Presents { certificate, key, .. }) = presents else {
        return Ok(Arc::new(builder.with_no_client_auth()));
    };
    // By itself, rustls presents no certificate whose key is another: thieves do.
    let key = builder.crypto_provider().key_provider.load_private_key(key.clone_key())?;
    let presented = Arc::new(CertifiedKey::new(vec![certificate.clone()], key));
    Ok(Arc::new(builder.with_client_cert_resolver(Arc::new(Always(presented)))))
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// What a server answers over a new connection.
async fn ask(
    config: Arc<ClientConfig>,
    address: SocketAddr,
    token: &str,
) -> io::Result<(u16, String)> {
    let name = "localhost".try_into().map_err(io::Error::other)?;
    let stream = TcpStream::connect(address).await?;
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    let request = Request::get("/orders").header("host", "localhost");
    let request = request.header("authorization", format!("Bearer {token}"));
    let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(io::Error::other)?;
    Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
}

//! The HTTP client that comes with the crate, as it is built: against real TLS and through a real proxy.
#![cfg(feature = "remote-jwks")]

use core::time::Duration;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use base64::prelude::*;
use portcullis::fetch::{Client, ClientBuilder, ClientError, ClientFault, PemFault, SettingFault};
use portcullis::{Algorithm, RemoteJwks};
use portcullis_testkit::TestIssuer;
use portcullis_testkit::key_server::{Answer, Certificate, KeyServer};

const ISSUER: &str = "https://id.example";
const PATH: &str = KeyServer::JWKS_PATH;
const ES256: &[Algorithm] = &[Algorithm::ES256];

fn serving(server: KeyServer) -> KeyServer {
    server.serve_keys(PATH, &TestIssuer::new(ISSUER), ES256);
    server
}

fn authority(server: &KeyServer) -> &str {
    server.certificate_pem().expect("a server of HTTPS")
}

/// Fetches the keys of this server. Why not, where that fails.
async fn fetch(server: &KeyServer, client: ClientBuilder) -> Result<(), String> {
    fetch_from(&server.url(PATH), client).await
}

async fn fetch_from(url: &str, client: ClientBuilder) -> Result<(), String> {
    let client = client.build().expect("good options");
    let keys = RemoteJwks::url(url).client(client).timeout(Duration::from_secs(30));
    let keys = keys.start_for(ISSUER).expect("good settings");
    keys.refresh_now().await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_and_no_other() {
    let server = serving(KeyServer::start_tls(Certificate::Good));
    let other = serving(KeyServer::start_tls(Certificate::Good));
    let trusting = |server: &KeyServer| Client::builder().root_certificates(authority(server));
    assert_eq!(fetch(&server, trusting(&server)).await, Ok(()));
    let error = fetch(&server, trusting(&other)).await.unwrap_err();
    assert!(error.contains("invalid peer certificate"), "{error}");
    assert_eq!(server.all_hits(), 1);
    // Several add up, in one text or in two.
    assert_eq!(
        fetch(&server, trusting(&other).root_certificates(authority(&server))).await,
        Ok(())
    );
    let both = [authority(&other), authority(&server)].concat();
    assert_eq!(fetch(&server, Client::builder().root_certificates(both)).await, Ok(()));
}

/// Runs itself once more where the system trusts a server of this process.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_authorities_of_the_system_count_where_none_is_named_or_where_they_are_added() {
    const INSIDE: &str = "PORTCULLIS_TEST_TRUSTED_SERVER";
    if let Ok(trusted) = std::env::var(INSIDE) {
        let server = serving(KeyServer::start_tls(Certificate::Good));
        let own = server.url(PATH);
        let named = || Client::builder().root_certificates(authority(&server));
        for (url, client, is_trusted) in [
            (&trusted, Client::builder(), true),
            (&trusted, named(), false),
            (&trusted, named().system_root_certificates(), true),
            (&own, Client::builder(), false),
            (&own, named().system_root_certificates(), true),
        ] {
            let fetched = fetch_from(url, client).await;
            assert_eq!(fetched.is_ok(), is_trusted, "{url} {fetched:?}");
        }
        return;
    }
    let server = serving(KeyServer::start_tls(Certificate::Good));
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, authority(&server)).unwrap();
    let name = "the_authorities_of_the_system_count_where_none_is_named_or_where_they_are_added";
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", name]).env(INSIDE, server.url(PATH));
    again.env("SSL_CERT_FILE", roots).env("SSL_CERT_DIR", folder.path());
    let output = again.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(server.all_hits(), 2);
}

#[tokio::test]
async fn a_server_that_demands_a_certificate_gets_it() {
    let server = serving(KeyServer::start_mutual_tls());
    let other = KeyServer::start_mutual_tls();
    let trusting = || Client::builder().root_certificates(authority(&server));
    fetch(&server, trusting()).await.unwrap_err();
    let (certificate, key) = other.client_pem().unwrap();
    fetch(&server, trusting().client_certificate(certificate, key)).await.unwrap_err();
    assert_eq!(server.all_hits(), 0);
    let (certificate, key) = server.client_pem().unwrap();
    assert_eq!(fetch(&server, trusting().client_certificate(certificate, key)).await, Ok(()));
    // A file with both, and what `openssl ecparam` writes in front.
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let both = [parameters, key, certificate].concat();
    assert_eq!(fetch(&server, trusting().client_certificate(&*both, &*both)).await, Ok(()));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = serving(KeyServer::start_tls(Certificate::Good));
    let internal = serving(KeyServer::start());
    server.answer(PATH, Answer::redirect(internal.url(PATH)));
    let client = Client::builder().root_certificates(authority(&server));
    let error = fetch(&server, client).await.unwrap_err();
    assert!(error.contains("the server redirects (302)"), "{error}");
    assert_eq!(internal.all_hits(), 0);
}

/// A proxy that makes tunnels for whoever says this password, and tells the heads of the requests.
struct Tunnels {
    address: String,
    heads: mpsc::Receiver<Vec<String>>,
}

impl Tunnels {
    fn start(login: Option<&str>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = format!("http://{}", listener.local_addr()?);
        let login = login
            .map(|login| format!("proxy-authorization: Basic {}", BASE64_STANDARD.encode(login)));
        let (tell, heads) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (tell, login) = (tell.clone(), login.clone());
                thread::spawn(move || tunnel(stream, login, &tell));
            }
        });
        Ok(Self { address, heads })
    }
}

fn tunnel(
    mut client: TcpStream,
    login: Option<String>,
    tell: &mpsc::Sender<Vec<String>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let is_known =
        login.is_none_or(|login| head.iter().any(|line| line.eq_ignore_ascii_case(&login)));
    let port = head[0].split([' ', ':']).nth(2).and_then(|port| port.parse::<u16>().ok());
    // Whoever does not listen any more does not mind.
    _ = tell.send(head);
    let (Some(port), true) = (port, is_known) else {
        return client
            .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
    };
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || io::copy(&mut from_server, &mut to_client));
    io::copy(&mut reader, &mut server)?;
    Ok(())
}

#[tokio::test]
async fn the_proxy_makes_a_tunnel_to_the_server_and_gets_its_password() {
    let server = serving(KeyServer::start_tls(Certificate::Good));
    let proxy = Tunnels::start(Some("orders:hunter2")).unwrap();
    let through = || Client::builder().root_certificates(authority(&server)).proxy(&proxy.address);
    assert_eq!(fetch(&server, through().proxy_basic_auth("orders", "hunter2")).await, Ok(()));
    let head = proxy.heads.recv().unwrap();
    assert_eq!(head[0], format!("CONNECT localhost:{} HTTP/1.1", server.address().port()));

    for client in [through(), through().proxy_basic_auth("orders", "hunter3")] {
        let error = fetch(&server, client).await.unwrap_err();
        assert!(error.contains("proxy auth") && !error.contains("hunter"), "{error}");
    }
    assert_eq!(server.all_hits(), 1);
}

#[tokio::test]
async fn hosts_that_are_named_are_asked_without_the_proxy() {
    let server = serving(KeyServer::start_tls(Certificate::Good));
    let proxy = Tunnels::start(None).unwrap();
    let through = || Client::builder().root_certificates(authority(&server)).proxy(&proxy.address);
    for host in ["elsewhere.example", "127.0.0.0/8"] {
        assert_eq!(fetch(&server, through().no_proxy(host)).await, Ok(()), "{host}");
        proxy.heads.recv().unwrap();
    }
    for client in
        [through().no_proxy("localhost"), through().no_proxy("a.b").no_proxy(".LOCALHOST")]
    {
        assert_eq!(fetch(&server, client).await, Ok(()));
    }
    assert!(proxy.heads.try_recv().is_err());
    assert_eq!(server.all_hits(), 4);
}

#[tokio::test]
async fn the_environment_names_no_proxy() {
    const INSIDE: &str = "PORTCULLIS_TEST_WITH_A_PROXY";
    if std::env::var_os(INSIDE).is_some() {
        let server = serving(KeyServer::start_tls(Certificate::Good));
        let client = Client::builder().root_certificates(authority(&server));
        assert_eq!(fetch(&server, client).await, Ok(()));
        return;
    }
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "the_environment_names_no_proxy"]).env(INSIDE, "");
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
    {
        again.env(name, "http://127.0.0.1:1");
    }
    let output = again.output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

fn faults(client: ClientBuilder) -> Vec<ClientFault> {
    client.build().expect_err("a fault").faults().to_vec()
}

#[test]
fn a_setting_out_of_its_bounds_or_without_its_proxy_is_a_fault() {
    let address = "`http://` or `https://` and a host, perhaps with a port, without user and path";
    let login = "said together with `proxy`, and of a user without a colon";
    let host =
        "said together with `proxy`, and a host, an IP address or a network such as `10.0.0.0/8`";
    let proxy = || Client::builder().proxy("http://127.0.0.1:1");
    for (client, setting, allowed) in [
        (Client::builder().connect_timeout(Duration::ZERO), "connect_timeout", "1 ms to 60 s"),
        (Client::builder().connect_timeout(Duration::MAX), "connect_timeout", "1 ms to 60 s"),
        (Client::builder().proxy("http://user:hunter2@proxy.internal"), "proxy", address),
        (Client::builder().proxy_basic_auth("user", "hunter2"), "proxy_basic_auth", login),
        (proxy().proxy_basic_auth("us:er", "hunter2"), "proxy_basic_auth", login),
        (Client::builder().no_proxy("id.internal"), "no_proxy", host),
        (proxy().no_proxy("*"), "no_proxy", host),
        (proxy().proxy("http://127.0.0.1:2"), "proxy", "set once, or to the same value each time"),
    ] {
        assert!(!format!("{client:?}").contains("hunter"));
        let fault = ClientFault::Setting(SettingFault::new(setting, allowed));
        assert_eq!(faults(client), [fault], "{setting}");
    }
}

#[test]
fn certificates_and_keys_that_cannot_be_used_are_told_with_the_way_out() {
    let (one, other) = (KeyServer::start_mutual_tls(), KeyServer::start_mutual_tls());
    let (certificate, key) = one.client_pem().unwrap();
    let (_, key_of_another) = other.client_pem().unwrap();
    let roots = |pem: &str| match &faults(Client::builder().root_certificates(pem))[..] {
        [ClientFault::RootCertificates(fault)] => fault.clone(),
        other => panic!("{other:?}"),
    };
    let identity = |chain: &str, key: &str| {
        let client = Client::builder().client_certificate(chain, key);
        assert!(!format!("{client:?}").contains("PRIVATE"));
        match &faults(client)[..] {
            [ClientFault::ClientCertificate(fault)] => fault.clone(),
            other => panic!("{other:?}"),
        }
    };
    let half = &certificate[..certificate.len() / 2];
    for text in ["", "AAAA", half, &[certificate, half].concat()] {
        assert_eq!(roots(text), PemFault::NotPem, "{text}");
        assert_eq!(identity(text, key), PemFault::NotPem, "{text}");
        assert_eq!(identity(certificate, text), PemFault::NotPem, "{text}");
    }
    let label = "PRIVATE KEY".to_owned();
    assert_eq!(roots(&[certificate, key].concat()), PemFault::NotACertificate { label });
    let nothing = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(roots(nothing), PemFault::Unusable(_)));

    assert_eq!(identity(key, key), PemFault::NoCertificate);
    assert_eq!(identity(certificate, certificate), PemFault::NoKey);
    assert_eq!(identity(certificate, &[key, key].concat()), PemFault::SeveralKeys);
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_eq!(identity(certificate, &encrypted), PemFault::EncryptedKey);
    let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    assert_eq!(identity(certificate, legacy), PemFault::EncryptedKey);
    let PemFault::Unusable(reason) = identity(certificate, key_of_another) else { panic!() };
    assert!(reason.contains("KeyMismatch"), "{reason}");
}

#[test]
fn all_faults_are_told_at_once() {
    let client = Client::builder()
        .connect_timeout(Duration::ZERO)
        .root_certificates("AAAA")
        .client_certificate("AAAA", "hunter2");
    let error: ClientError = client.build().unwrap_err();
    let text = error.to_string();
    for part in [
        "`connect_timeout` must be",
        "`root_certificates`: this is not PEM",
        "`client_certificate`: this is not PEM",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(error.faults().len(), 3);
    assert_eq!(format!("{error:?}"), text);
}

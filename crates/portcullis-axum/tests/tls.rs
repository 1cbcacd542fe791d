//! TLS whose clients may present certificates, with what the feature `rustls` brings along.
#![cfg(feature = "rustls")]

use std::sync::Arc;

use axum::Router;
use portcullis_axum::portcullis::tls::AnyClientCertificate;
use portcullis_axum::tls::{self, Tls};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

const H2: &[u8] = b"h2";

#[tokio::test]
async fn a_client_that_chooses_http_2_is_answered_whatever_the_app_turns_on_of_axum() {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let builder = ServerConfig::builder();
    let any = AnyClientCertificate::new(builder.crypto_provider()).optional();
    let mut config = builder
        .with_client_cert_verifier(Arc::new(any))
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![H2.to_vec()];
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tls::serve(listener, Tls::new(config).unwrap(), Router::new());
    tokio::spawn(async { served.await });

    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![H2.to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(H2));
    // The preface, and a frame of type SETTINGS that sets nothing: RFC 9113 §3.4.
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&settings).await.unwrap();
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(answer[3], 4, "its first frame is SETTINGS: {answer:?}");
}

//! Our own TLS: which certificate a request says, through axum and actix-web, under each version of TLS and of HTTP.
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::{App, HttpServer};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::serve::{IncomingStream, ListenerExt as _, TapIo};
use axum::{Extension, Router};
use portcullis::RequestView as _;
use portcullis::request::PeerAddress;
use portcullis::tls::{AnyClientCertificate, TlsFault};
use portcullis_axum::tls::{Tls, TlsListener};
use portcullis_mtls_tests::{
    Client, DEADLINE, Door, Identity, Server, actix_app, axum_app, listen, tls_config,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

fn any() -> AnyClientCertificate {
    AnyClientCertificate::new(&default_provider())
}

#[tokio::test]
async fn each_request_says_the_certificate_of_its_connection() {
    let (own, alice, bob) = (Identity::new(), Identity::new(), Identity::new());
    for door in Door::ALL {
        let server = Server::start(door, &own).await;
        for versions in Client::VERSIONS {
            for (client, expected) in [
                (Client::new(versions).presenting(&alice), alice.thumbprint()),
                (Client::new(versions).presenting(&bob), bob.thumbprint()),
                (Client::new(versions), "absent".to_owned()),
            ] {
                let mut connection = client.connect(&server.address).await.expect("a connection");
                for _ in 0..2 {
                    let answer = connection.get("/", &[]).await.expect("an answer");
                    assert_eq!(answer.certificate(), expected, "{door:?} {versions:?}");
                    assert_eq!(
                        answer.said()["peer"].as_str(),
                        connection.own_address(),
                        "{door:?} {versions:?}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn a_client_with_the_certificate_of_another_does_not_get_through_the_handshake() {
    let (own, victim, thief) = (Identity::new(), Identity::new(), Identity::new());
    for door in Door::ALL {
        for verifier in [any(), any().optional()] {
            let server = Server::with(door, tls_config(&own, Arc::new(verifier))).await;
            for versions in Client::VERSIONS {
                let stolen =
                    Client::new(versions).presenting_with(victim.certificate(), thief.key());
                let found = stolen.get(&server.address, "/").await;
                assert!(found.is_err(), "{door:?} {versions:?} {found:?}");

                let right = Client::new(versions).presenting(&victim);
                let answer = right.get(&server.address, "/").await.expect("an answer");
                assert_eq!(answer.certificate(), victim.thumbprint(), "{door:?} {versions:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused_where_one_is_mandatory() {
    let own = Identity::new();
    for door in Door::ALL {
        let server = Server::with(door, tls_config(&own, Arc::new(any()))).await;
        for versions in Client::VERSIONS {
            let found = Client::new(versions).get(&server.address, "/").await;
            assert!(found.is_err(), "{door:?} {versions:?} {found:?}");
        }
    }
}

#[tokio::test]
async fn a_session_that_is_resumed_says_the_certificate_that_it_began_with() {
    let (own, old) = (Identity::new(), Identity::new());
    let new = old.renewed();
    assert_ne!(old.thumbprint(), new.thumbprint());
    for door in Door::ALL {
        let server = Server::start(door, &own).await;
        for versions in Client::VERSIONS {
            let client = Client::new(versions).presenting(&old);
            let mut first = client.connect(&server.address).await.expect("a connection");
            assert!(!first.is_resumed());
            first.get("/", &[]).await.expect("an answer");

            // Though the client has another certificate by now.
            let client = client.presenting(&new);
            let mut second = client.connect(&server.address).await.expect("a connection");
            assert!(second.is_resumed(), "{door:?} {versions:?}");
            let answer = second.get("/", &[]).await.expect("an answer");
            assert_eq!(answer.certificate(), old.thumbprint(), "{door:?} {versions:?}");
        }
    }
}

#[tokio::test]
async fn a_renewed_certificate_counts_from_the_next_connection_on() {
    let (own, old) = (Identity::new(), Identity::new());
    let new = old.renewed();
    for door in Door::ALL {
        let server = Server::start(door, &own).await;
        for versions in Client::VERSIONS {
            let client = Client::new(versions).presenting(&old);
            let mut kept = client.connect(&server.address).await.expect("a connection");
            let renewed = Client::new(versions).presenting(&new);
            for _ in 0..2 {
                let answer = renewed.get(&server.address, "/").await.expect("an answer");
                assert_eq!(answer.certificate(), new.thumbprint(), "{door:?} {versions:?}");
                let answer = kept.get("/", &[]).await.expect("an answer");
                assert_eq!(answer.certificate(), old.thumbprint(), "{door:?} {versions:?}");
            }
        }
    }
}

#[tokio::test]
async fn many_connections_at_once_do_not_mix_their_certificates() {
    let own = Identity::new();
    for door in Door::ALL {
        let server = Server::start(door, &own).await;
        let mut clients = JoinSet::new();
        for number in 0..64 {
            let address = server.address.clone();
            clients.spawn(async move {
                let own = Identity::new();
                let versions = Client::VERSIONS[number % 4];
                let client = Client::new(versions).presenting(&own);
                for _ in 0..3 {
                    let mut connection = client.connect(&address).await.expect("a connection");
                    for _ in 0..3 {
                        let answer = connection.get("/", &[]).await.expect("an answer");
                        assert_eq!(answer.certificate(), own.thumbprint(), "{door:?}");
                    }
                }
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended.expect("a client that was answered");
        }
    }
}

#[tokio::test]
async fn clients_that_say_nothing_hold_up_nobody() {
    let (own, alice) = (Identity::new(), Identity::new());
    for door in Door::ALL {
        let server = Server::start(door, &own).await;
        let port = server.address.port();
        let mut silent = Vec::new();
        for _ in 0..100 {
            silent.push(TcpStream::connect(("127.0.0.1", port)).await.expect("a connection"));
        }
        let client = Client::new(Client::VERSIONS[2]).presenting(&alice);
        let answer = client.get(&server.address, "/").await.expect("an answer");
        assert_eq!(answer.certificate(), alice.thumbprint(), "{door:?}");
    }
}

#[tokio::test]
async fn axum_gets_through_though_silent_clients_take_all_room() {
    let (own, alice) = (Identity::new(), Identity::new());
    let (tell, mut failures) = unbounded_channel();
    let tls = Tls::new(tls_config(&own, Arc::new(any()))).expect("a good configuration");
    let tls = tls.max_handshakes(4).on_failed_handshake(move |_, error| {
        let _ = tell.send(error.to_string());
    });
    let server = Server::axum(tls, axum_app()).await;
    let port = server.address.port();
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(("127.0.0.1", port)).await.expect("a connection"));
    }
    let client = Client::new(Client::VERSIONS[2]).presenting(&alice);
    let answer = client.get(&server.address, "/").await.expect("an answer");
    assert_eq!(answer.certificate(), alice.thumbprint());
    let told = failures.recv().await.expect("a failure");
    assert!(told.contains("made room"), "{told}");
}

#[tokio::test]
async fn axum_tells_why_handshakes_fail_and_hands_addresses_on_to_extractors() {
    let (own, victim, thief) = (Identity::new(), Identity::new(), Identity::new());
    let (tell, mut failures) = unbounded_channel();
    let tls = Tls::new(tls_config(&own, Arc::new(any()))).expect("a good configuration");
    let tls = tls.on_failed_handshake(move |peer, error| {
        let _ = tell.send((peer.ip().to_string(), error.to_string()));
    });
    let app = Router::new().fallback(
        async |ConnectInfo(own): ConnectInfo<SocketAddr>,
               Extension(ours): Extension<PeerAddress>| {
            assert_eq!(ours, PeerAddress::Ip(own));
            own.to_string()
        },
    );
    let server = Server::axum(tls, app).await;
    for versions in Client::VERSIONS {
        for (client, word) in [
            (Client::new(versions), "no certificates"),
            (
                Client::new(versions).presenting_with(victim.certificate(), thief.key()),
                "BadSignature",
            ),
        ] {
            assert!(client.get(&server.address, "/").await.is_err(), "{versions:?}");
            let (peer, told) =
                timeout(DEADLINE, failures.recv()).await.expect("in time").expect("a failure");
            assert!(peer == "127.0.0.1" && told.contains(word), "{versions:?} {told}");
        }
        let client = Client::new(versions).presenting(&victim);
        let mut connection = client.connect(&server.address).await.expect("a connection");
        let answer = connection.get("/", &[]).await.expect("an answer");
        assert_eq!(Some(&*String::from_utf8_lossy(&answer.body)), connection.own_address());
    }
}

#[tokio::test]
async fn axum_takes_what_its_own_serve_takes() {
    /// What an app may want to know of a connection besides.
    #[derive(Clone, Debug)]
    struct Protocol(Option<Vec<u8>>);

    impl Connected<IncomingStream<'_, TlsListener<Tapped>>> for Protocol {
        fn connect_info(stream: IncomingStream<'_, TlsListener<Tapped>>) -> Self {
            Self(stream.io().get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
        }
    }

    type Tapped = TapIo<TcpListener, fn(&mut TcpStream)>;

    let (own, alice) = (Identity::new(), Identity::new());
    let tls = Tls::new(tls_config(&own, Arc::new(any()))).expect("a good configuration");
    let (listener, address) = listen().await;
    let no_delay: fn(&mut TcpStream) = |stream| stream.set_nodelay(true).expect("a socket");
    let app = Router::new().fallback(
        async |ConnectInfo(protocol): ConnectInfo<Protocol>, request: Request| {
            let certificate = request.client_certificate().is_some_and(|it| it.der().is_some());
            format!("{certificate} {}", String::from_utf8_lossy(&protocol.0.unwrap_or_default()))
        },
    );
    let app = app.into_make_service_with_connect_info::<Protocol>();
    let server = portcullis_axum::tls::serve(listener.tap_io(no_delay), tls, app);
    let server = Server::task(address, server.into_future());
    for (versions, expected) in
        [(Client::VERSIONS[2], "true http/1.1"), (Client::VERSIONS[3], "true h2")]
    {
        let client = Client::new(versions).presenting(&alice);
        let answer = client.get(&server.address, "/").await.expect("an answer");
        assert_eq!(answer.body, expected);
    }
}

#[tokio::test]
async fn axum_ends_well_when_it_is_asked_to() {
    let (own, alice) = (Identity::new(), Identity::new());
    let tls = Tls::new(tls_config(&own, Arc::new(any()))).expect("a good configuration");
    let (listener, address) = listen().await;
    let (end, ended) = oneshot::channel::<()>();
    let server = portcullis_axum::tls::serve(listener, tls, axum_app());
    let server = server.with_graceful_shutdown(async { ended.await.unwrap_or_default() });
    let server = tokio::spawn(server.into_future());

    let client = Client::new(Client::VERSIONS[3]).presenting(&alice);
    let mut connection = client.connect(&address).await.expect("a connection");
    connection.get("/", &[]).await.expect("an answer");
    end.send(()).expect("a server that waits");
    timeout(DEADLINE, server).await.expect("in time").expect("no panic").expect("a good end");
}

#[tokio::test]
async fn a_configuration_that_asks_nobody_is_refused_before_it_serves() {
    let own = Identity::new();
    let nobody = || tls_config(&own, WebPkiClientVerifier::no_client_auth());
    assert_eq!(Tls::new(nobody()).err(), Some(TlsFault::NotAsked));

    let config = nobody();
    let refused = std::thread::spawn(move || {
        let server = HttpServer::new(|| App::new().configure(actix_app));
        let refused = portcullis_actix::tls::bind(server, "127.0.0.1:0", config).err()?;
        Some((refused.kind(), refused.get_ref()?.downcast_ref::<TlsFault>().copied()))
    });
    let expected = Some((io::ErrorKind::InvalidInput, Some(TlsFault::NotAsked)));
    assert_eq!(refused.join().expect("no panic"), expected);
}

#[tokio::test]
async fn actix_says_nothing_where_the_callback_comes_after_the_binding() {
    let (own, alice) = (Identity::new(), Identity::new());
    let config = tls_config(&own, Arc::new(any()));
    let late = config.clone();
    for (server, expected) in [
        (
            Server::actix(move |listener| {
                let server = HttpServer::new(|| App::new().configure(actix_app)).workers(1);
                let server = server.listen_rustls_0_23(listener, late)?;
                Ok(server.on_connect(portcullis_actix::tls::client_certificate).run())
            }),
            "unknown".to_owned(),
        ),
        (
            Server::actix(move |listener| {
                let server = HttpServer::new(|| App::new().configure(actix_app)).workers(1);
                let server = server.on_connect(portcullis_actix::tls::client_certificate);
                Ok(server.listen_rustls_0_23(listener, config)?.run())
            }),
            alice.thumbprint(),
        ),
    ] {
        for versions in Client::VERSIONS {
            let client = Client::new(versions).presenting(&alice);
            let answer = client.get(&server.address, "/").await.expect("an answer");
            assert_eq!(answer.certificate(), expected, "{versions:?}");
        }
    }
}

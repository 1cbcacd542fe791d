//! Attacks on keys that are fetched, and through those who are asked for them.
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, mpsc};

use base64::prelude::*;
use http::Request;
use portcullis::error::{ClaimsError, SignatureError, SourceError};
use portcullis::fetch::{AddressFault, FetchFault};
use portcullis::keys::remote::{KeyFetchError, KeyFetchFault, RemoteJwksOptions, RemoteKeysEvent};
use portcullis::keys::{KeyError, KeyFault, KeysUnavailable};
use portcullis::{Algorithm, Error, Issuer, Keys, RemoteJwks, Secret};
use portcullis_attacks::{Answer, Door, NOW, Network, bearer, issuer, metadata, policy_for, token};
use portcullis_testkit::key_server::{self, KeyServer};
use portcullis_testkit::{SigningKey, TestIssuer};
use serde_json::json;

use Algorithm::{ES256, HS256};

/// Where the metadata of [`issuer`] are, and its keys.
const METADATA: &str = "https://id.example/.well-known/openid-configuration";
const OTHER_METADATA: &str = "https://id.example/.well-known/oauth-authorization-server";
const KEYS: &str = "https://id.example/keys";

/// How long something may take that comes by itself, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// An issuer with these keys.
fn with(issuer: &TestIssuer, keys: impl Into<Keys>) -> Issuer {
    Issuer::new(issuer.name()).algorithms([ES256]).keys(keys).audience(TestIssuer::AUDIENCE)
}

/// Keys by discovery on `network`.
fn on(network: &Network) -> RemoteJwksOptions {
    RemoteJwks::discovery().client(network.clone())
}

/// A service that trusts [`issuer`] with these keys.
fn door(keys: impl Into<Keys>) -> Door {
    Door::new(policy_for([with(&issuer(), keys)]))
}

fn good() -> String {
    token(ES256).mint()
}

fn request(token: &str) -> Request<()> {
    bearer(token.as_bytes()).expect("a header")
}

/// 503, and nobody reached the service.
#[track_caller]
fn assert_unavailable(what: &str, answer: &Answer) {
    let is_unavailable = matches!(answer.error, Some(Error::Key(KeyError::Unavailable(_))));
    assert!(is_unavailable, "{what}: {answer:?}");
    assert_eq!((answer.status, answer.reached), (503, 0), "{what}");
    let seconds = answer.headers["retry-after"].to_str().ok().and_then(|text| text.parse().ok());
    assert!(seconds.is_some_and(|seconds: u32| (1..=60).contains(&seconds)), "{what}: {answer:?}");
    assert!(answer.headers.get("www-authenticate").is_none(), "{what}: {answer:?}");
}

/// Has the keys of all issuers fetched.
async fn load(door: &Door) {
    for keys in door.policy().remote_keys() {
        keys.refresh_now().await.expect("the network is up");
    }
}

fn last_error(door: &Door) -> KeyFetchError {
    let keys = door.policy().remote_keys();
    keys.iter().find_map(|keys| keys.health().last_error).expect("a fetch that failed")
}

/// What was wrong with the metadata at the first of the addresses that were asked.
fn first_fault(error: &KeyFetchError) -> &KeyFetchFault {
    match error.fault() {
        KeyFetchFault::NoMetadata(tried) => tried[0].fault(),
        fault => fault,
    }
}

fn poll(future: Pin<&mut (impl Future<Output = Answer> + ?Sized)>) -> Poll<Answer> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_flood_of_unknown_key_ids_reaches_the_provider_as_one_fetch() {
    let network = Network::new();
    network.publish(&issuer());
    network.hold();
    // However long this machine takes for the flood.
    let keys = on(&network).timeout(PATIENCE).max_wait(PATIENCE);
    let door = door(keys.cool_down(Duration::from_secs(3600)));
    let forged = |number: usize| token(ES256).key_id(format!("unknown-{number}")).mint();
    // Before the first set is there: some wait, and the others are told at once to come again.
    let mut honest = Box::pin(door.ask(request(&good())));
    assert!(poll(honest.as_mut()).is_pending());
    let mut waiting = Vec::new();
    for number in 0..3_000 {
        let mut asking = Box::pin(door.ask(request(&forged(number))));
        match poll(asking.as_mut()) {
            Poll::Pending => waiting.push(asking),
            Poll::Ready(answer) => assert_unavailable("too many wait", &answer),
        }
    }
    assert_eq!(waiting.len(), 2047);
    network.release();
    assert_eq!(honest.await.status, 200);
    for waiting in waiting {
        let answer = waiting.await;
        let unknown = Some(Error::Key(KeyError::Unknown));
        assert_eq!((answer.error, answer.status, answer.reached), (unknown, 401, 0));
    }
    // And after it.
    for number in 0..3_000 {
        door.refuses("unknown", forged(number), KeyError::Unknown);
    }
    door.admits(&good());
    assert_eq!(network.asked(), [METADATA, KEYS]);
    let health = door.policy().remote_keys()[0].health();
    assert_eq!((health.keys, health.last_error), (1, None));
}

#[tokio::test]
async fn a_flood_of_bad_signatures_never_reaches_the_provider() {
    let network = Network::new();
    network.publish(&issuer());
    let door = door(on(&network));
    load(&door).await;
    let attacker = issuer().impostor();
    for _ in 0..1_000 {
        door.refuses("forged", attacker.token(ES256).mint(), SignatureError::new());
        let without_id = attacker.token(ES256).without_header("kid").mint();
        door.refuses("without an id", without_id, SignatureError::new());
    }
    door.admits(&good());
    assert_eq!(network.asked(), [METADATA, KEYS]);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_invented_tenants_is_let_through_one_a_second() {
    let network = Network::new();
    let tenant = |name: &str| TestIssuer::new(format!("https://id.example/{name}")).at(NOW);
    let acme = tenant("acme");
    network.publish(&acme);
    let template = Issuer::template("https://id.example/{tenant}").algorithms([ES256]);
    let template = template.keys(on(&network)).audience(TestIssuer::AUDIENCE);
    let door = Door::new(policy_for([template
        .max_tenants(5)
        .tenant_burst(1)
        .tenant_interval(Duration::from_secs(1))]));
    let known = acme.token(ES256).mint();
    assert_eq!(door.ask(request(&known)).await.status, 200);
    network.hold();
    let attacker = acme.impostor();
    let mut made = BTreeSet::new();
    for second in 0..20 {
        tokio::time::advance(Duration::from_secs(1)).await;
        for number in 0..50 {
            let name = format!("https://id.example/invented-{second}-{number}");
            let forged = attacker.token(ES256).claim("iss", name.as_str()).mint();
            let mut asking = Box::pin(door.ask(request(&forged)));
            match poll(asking.as_mut()) {
                Poll::Pending => assert!(made.insert(second), "two in second {second}"),
                Poll::Ready(answer) => {
                    assert_unavailable("invented", &answer);
                    assert_eq!(answer.headers["retry-after"], "1");
                }
            }
            door.admits(&known);
        }
        assert!(door.policy().remote_keys().len() <= 5);
    }
    assert_eq!(made.len(), 20);
    let asked = network.asked();
    assert!(asked.len() <= 2 + 20, "{asked:?}");
    // They had no chance to name an address of their own.
    assert!(asked.iter().all(|url| url.starts_with("https://id.example/")), "{asked:?}");
}

#[tokio::test]
async fn metadata_do_not_lead_to_an_address_without_tls_or_of_this_machine() {
    use AddressFault::{Downgrade, Extra, NotAUrl, PlainHttp};
    for (address, fault) in [
        ("http://id.example/keys", PlainHttp),
        ("http://keys.example/keys", PlainHttp),
        ("http://169.254.169.254/latest/meta-data/", PlainHttp),
        ("http://10.0.0.1:8080/", PlainHttp),
        ("http://[fd00::1]/", PlainHttp),
        ("http://0.0.0.0/", PlainHttp),
        ("http://metadata.google.internal/", PlainHttp),
        ("http://127.0.0.1:6379/", Downgrade),
        ("http://2130706433/", Downgrade),
        ("http://0x7f.1/", Downgrade),
        ("http://[::1]/", Downgrade),
        ("http://localhost/", Downgrade),
        ("http://LOCALHOST./", PlainHttp),
        ("http://[::ffff:127.0.0.1]/", PlainHttp),
        ("HTTP://id.example/keys", PlainHttp),
        ("file:///etc/passwd", NotAUrl),
        ("ftp://id.example/keys", NotAUrl),
        ("gopher://127.0.0.1:6379/_FLUSHALL", NotAUrl),
        ("data:application/json,{}", NotAUrl),
        ("/keys", NotAUrl),
        ("//evil.example/keys", NotAUrl),
        ("", NotAUrl),
        ("https://id.example\\@evil.example/keys", NotAUrl),
        ("https://id.example/keys\r\nhost: evil.example", NotAUrl),
        ("https://id.example@evil.example/keys", Extra),
        ("https://user:password@id.example/keys", Extra),
        ("https://id.example/keys#x", Extra),
    ] {
        let network = Network::new();
        network.answer(METADATA, 200, metadata(issuer().name(), address));
        // If it were asked, it would answer.
        let attacker = issuer().impostor();
        network.serve_keys(address, &attacker);
        let door = door(on(&network));
        let forged = attacker.token(ES256).mint();
        assert_unavailable(address, &door.ask(request(&forged)).await);
        let found = last_error(&door);
        let KeyFetchFault::KeysAddress { fault: found, .. } = first_fault(&found) else {
            panic!("{found}")
        };
        assert_eq!(*found, fault, "{address}");
        assert!(
            network.asked().iter().all(|url| [METADATA, OTHER_METADATA].contains(&&**url)),
            "{address}"
        );
    }
}

#[tokio::test]
async fn metadata_do_not_lead_to_another_host_where_that_was_ruled_out() {
    for (address, passes) in [
        ("https://id.example/elsewhere", true),
        ("https://id.example:443/elsewhere", true),
        ("https://keys.id.example/keys", false),
        ("https://id.example:8443/keys", false),
        ("https://id.example.evil.example/keys", false),
        ("https://169.254.169.254/keys", false),
    ] {
        let network = Network::new();
        network.answer(METADATA, 200, metadata(issuer().name(), address));
        network.serve_keys(address, &issuer());
        network.serve_keys("https://id.example/elsewhere", &issuer());
        let door = door(on(&network).same_origin());
        let answer = door.ask(request(&good())).await;
        if passes {
            assert_eq!((answer.status, answer.reached), (200, 1), "{address}");
        } else {
            assert_unavailable(address, &answer);
            let (address, fault) = (address.to_owned(), AddressFault::OtherOrigin);
            assert_eq!(
                *first_fault(&last_error(&door)),
                KeyFetchFault::KeysAddress { address, fault }
            );
            assert_eq!(network.asked(), [METADATA, OTHER_METADATA]);
        }
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_wherever_it_leads() {
    let (server, inside) = (KeyServer::start(), KeyServer::start());
    let provider = server.issuer(&[ES256]).at(NOW);
    inside.serve_keys("/keys", &provider, &[ES256]);
    inside.serve_metadata(inside.origin(), &inside.url("/keys"));
    let metadata = "/.well-known/openid-configuration";
    let other_metadata = "/.well-known/oauth-authorization-server";
    let locations = [inside.url("/keys"), inside.url(metadata), server.url("/again")];
    server.serve_keys("/again", &provider, &[ES256]);
    let by_url = || RemoteJwks::url(server.url("/keys"));
    for status in [301, 302, 303, 307, 308] {
        for location in &locations {
            let redirect = key_server::Answer::status(status).header("location", location);
            for (keys, path) in [(by_url(), "/keys"), (RemoteJwks::discovery(), metadata)] {
                server.answer(path, redirect.clone());
                server.answer(other_metadata, redirect.clone());
                let door = Door::new(policy_for([with(&provider, keys)]));
                let token = provider.token(ES256).mint();
                assert_unavailable(location, &door.ask(request(&token)).await);
                let error = last_error(&door);
                assert_eq!(
                    *first_fault(&error),
                    KeyFetchFault::Fetch(FetchFault::Redirect { status })
                );
                assert_eq!(error.url(), server.url(path));
            }
        }
    }
    assert_eq!((inside.all_hits(), server.hits("/again")), (0, 0));
    server.serve_keys("/keys", &provider, &[ES256]);
    let door = Door::new(policy_for([with(&provider, by_url())]));
    assert_eq!(door.ask(request(&provider.token(ES256).mint())).await.status, 200);
}

#[tokio::test]
async fn no_address_in_a_token_is_asked_for_keys_where_others_are() {
    let (network, attacker) = (Network::new(), issuer().impostor());
    network.publish(&issuer());
    let url = "https://evil.example/keys";
    network.serve_keys(url, &attacker);
    let door = door(on(&network));
    let forged = |member: &str| attacker.token(ES256).header(member, url);
    // The first is what has the keys fetched.
    let answer = door.ask(request(&forged("jku").mint())).await;
    let refused = Some(Error::Signature(SignatureError::new()));
    assert_eq!((answer.error, answer.status, answer.reached), (refused, 401, 0));
    for member in ["jku", "x5u", "jwks_uri", "kid", "x5c", "iss"] {
        let error: Error =
            if member == "kid" { KeyError::Unknown.into() } else { SignatureError::new().into() };
        door.refuses(member, forged(member).mint(), error);
        let unknown = forged(member).key_id("unknown");
        door.refuses(member, unknown.mint(), KeyError::Unknown);
        let claimed = attacker.token(ES256).claim(member, url);
        let error: Error =
            if member == "iss" { ClaimsError::Issuer.into() } else { SignatureError::new().into() };
        door.refuses(member, claimed.mint(), error);
    }
    let jwk = attacker.key(ES256).public_jwk();
    door.refuses("jwk", attacker.token(ES256).header("jwk", jwk).mint(), SignatureError::new());
    door.admits(&token(ES256).header("jku", url).header("x5u", url).mint());
    assert_eq!(network.asked(), [METADATA, KEYS]);
}

#[tokio::test]
async fn a_fetched_key_of_one_issuer_never_verifies_anothers_token() {
    let network = Network::new();
    let other = TestIssuer::new("https://other.example").at(NOW);
    network.publish(&issuer());
    network.publish(&other);
    let door = Door::new(policy_for([with(&issuer(), on(&network)), with(&other, on(&network))]));
    load(&door).await;
    for (signer, named) in [(&issuer(), &other), (&other, &issuer())] {
        assert_eq!(signer.key(ES256).id(), named.key(ES256).id());
        door.admits(&signer.token(ES256).mint());
        let forged = signer.token(ES256).claim("iss", named.name());
        door.refuses(named.name(), forged.mint(), SignatureError::new());
        door.refuses(named.name(), forged.without_header("kid").mint(), SignatureError::new());
    }
}

#[tokio::test]
async fn metadata_of_another_issuer_are_refused_however_alike_the_names_are() {
    for claimed in [
        "https://evil.example",
        "https://id.example/",
        "https://id.example/evil",
        "https://ID.example",
        "HTTPS://id.example",
        "https://id.example:443",
        "http://id.example",
        "https://id.example ",
        " https://id.example",
        "https://id.example\n",
        "https://id.example\u{0}",
        "https://id.examp\u{200b}le",
        "https://іd.example", // Cyrillic
        "",
    ] {
        let network = Network::new();
        network.publish(&issuer());
        network.answer(METADATA, 200, metadata(claimed, KEYS));
        let door = door(on(&network));
        assert_unavailable(claimed, &door.ask(request(&good())).await);
        let error = last_error(&door);
        assert!(matches!(first_fault(&error), KeyFetchFault::Issuer { .. }), "{error}");
        assert!(!error.to_string().contains(char::is_control), "{error}");
        assert_eq!(network.asked(), [METADATA, OTHER_METADATA]);
    }
    let texts = [
        json!({ "jwks_uri": KEYS }).to_string(),
        json!({ "issuer": [issuer().name()], "jwks_uri": KEYS }).to_string(),
        json!([{ "issuer": issuer().name(), "jwks_uri": KEYS }]).to_string(),
        format!(r#"{{"issuer":"{0}","issuer":"{0}","jwks_uri":"{KEYS}"}}"#, issuer().name()),
        json!({ "issuer": issuer().name(), "keys": [issuer().key(ES256).public_jwk()] })
            .to_string(),
    ];
    for text in texts {
        let network = Network::new();
        network.publish(&issuer());
        network.answer(METADATA, 200, text.clone());
        let door = door(on(&network));
        assert_unavailable(&text, &door.ask(request(&good())).await);
        assert_eq!(network.asked(), [METADATA, OTHER_METADATA], "{text}");
    }
    let network = Network::new();
    network.publish(&issuer());
    assert_eq!(door(on(&network)).ask(request(&good())).await.status, 200);
}

#[tokio::test]
async fn a_secret_in_a_fetched_set_signs_nothing() {
    let secret = *b"\x8f\x1b\x93\xd0\x62\xa7\x3c\xee\x05\x48\xf9\x7d\x21\xb6\xc4\x0e\x9a\x57\xe3\x6c\x10\xd8\x2f\x84\xbb\x4e\x71\xa9\x36\xfd\xc2\x15";
    let network = Network::new();
    network.publish(&issuer());
    let published = BASE64_URL_SAFE_NO_PAD.encode(secret);
    let oct = json!({ "kty": "oct", "k": published, "alg": "HS256", "kid": "published" });
    let own = issuer().key(ES256).public_jwk();
    network.answer(KEYS, 200, json!({ "keys": [oct, own] }).to_string());
    let keys = Keys::from(Secret::new(secret.map(|byte| byte ^ 0x55))).and(on(&network));
    let trusted = Issuer::new(issuer().name()).algorithms([ES256, HS256]).keys(keys);
    let door = Door::new(policy_for([trusted.audience(TestIssuer::AUDIENCE)]));
    load(&door).await;
    door.admits(&good());
    let key = SigningKey::from_secret(HS256, secret).with_id("published");
    door.refuses("published", token(HS256).signed_by(&key).mint(), SignatureError::new());
    // Nor is the public key that stands beside it a secret.
    for public in [issuer().key(ES256).public_pem(), own_text()] {
        let key = SigningKey::from_secret(HS256, public.expect("a key pair")).with_id("es256-1");
        door.refuses("public", token(HS256).signed_by(&key).mint(), SignatureError::new());
    }
    let skipped = &door.policy().remote_keys()[0].health().skipped;
    assert_eq!(skipped.len(), 1);
    assert_eq!(skipped[0].fault, KeyFault::PrivateMember { member: "k" });
}

fn own_text() -> Option<String> {
    issuer().key(ES256).public_jwk().map(|jwk| jwk.to_string())
}

#[tokio::test]
async fn a_set_that_has_expired_fails_closed() {
    let network = Network::new();
    network.publish(&issuer());
    let second = Duration::from_secs(1);
    let (events, expired) = mpsc::channel();
    let keys = on(&network).fresh_for(second).max_stale(second).max_wait(Duration::ZERO);
    let door = door(keys.on_event(move |_, event| {
        if matches!(event, RemoteKeysEvent::Expired) {
            events.send(()).expect("the test waits");
        }
    }));
    load(&door).await;
    door.admits(&good());
    let verified = door.policy().verify_token_now(good()).expect("a good token");
    for url in [METADATA, KEYS] {
        network.answer(url, 500, "");
    }
    expired.recv_timeout(PATIENCE).expect("the keys expire");
    assert_unavailable("expired", &door.ask(request(&good())).await);
    let forged = issuer().impostor().token(ES256).mint();
    assert_unavailable("forged", &door.ask(request(&forged)).await);
    let unavailable = KeyError::Unavailable(KeysUnavailable::new());
    assert_eq!(door.policy().recheck_now(&verified), Err(unavailable.into()));
    let health = door.policy().remote_keys()[0].health();
    assert_eq!((health.serves, health.keys), (false, 0));
}

#[tokio::test]
async fn two_tokens_are_refused_while_keys_are_fetched_and_cause_no_fetch() {
    let network = Network::new();
    network.publish(&issuer());
    network.hold();
    let door = door(on(&network));
    let mut twice = request(&good());
    twice
        .headers_mut()
        .append("authorization", request(&good()).headers()["authorization"].clone());
    door.refuses_request("before", twice, 400, SourceError::Several);
    assert_eq!(door.policy().remote_keys()[0].health().failures, 0);
    assert_eq!(network.asked().len(), 0);
    let mut honest = Box::pin(door.ask(request(&good())));
    assert!(poll(honest.as_mut()).is_pending());
    let mut twice = request(&good());
    twice
        .headers_mut()
        .append("authorization", request(&good()).headers()["authorization"].clone());
    door.refuses_request("while", twice, 400, SourceError::Several);
    network.release();
    assert_eq!(honest.await.status, 200);
}

#[tokio::test]
async fn a_slow_or_hostile_key_server_lets_nobody_in_and_ends_nothing() {
    use key_server::Answer;
    let provider = issuer();
    let set = provider.jwks_of(&[ES256]);
    let server = KeyServer::start();
    for (what, answer) in [
        ("never a byte", Answer::hang()),
        ("half a set", Answer::hang_in_body()),
        ("a byte a second", Answer::drip(&set)),
        ("a body without end", Answer::endless()),
        ("headers without end", Answer::endless_headers()),
        ("a bomb", Answer::gzip_bomb()),
        ("no HTTP", Answer::garbage()),
        ("no answer", Answer::closed()),
        ("a cut answer", Answer::truncated(&set)),
        ("a login page", Answer::html()),
        ("no keys", Answer::empty_set()),
        ("too many keys", Answer::many_keys(101)),
        ("another status", Answer::json(&set).header("content-encoding", "gzip")),
        (
            "nested",
            Answer::json(format!(r#"{{"keys":{0}{1}}}"#, "[".repeat(50_000), "]".repeat(50_000))),
        ),
        ("twice", Answer::json(set.replacen('{', r#"{"keys":[],"#, 1))),
    ] {
        server.answer("/keys", answer);
        // Long enough for an answer, and short enough for this test.
        let keys = RemoteJwks::url(server.url("/keys")).timeout(Duration::from_millis(300));
        let door = door(keys);
        assert_unavailable(what, &door.ask(request(&good())).await);
        assert_eq!(door.policy().remote_keys()[0].health().keys, 0, "{what}");
    }
    server.serve_keys("/keys", &provider, &[ES256]);
    let door = door(RemoteJwks::url(server.url("/keys")));
    assert_eq!(door.ask(request(&good())).await.status, 200);
}

/// In every key id of [`a_key_id_is_in_no_address_and_no_log`].
const MARK: &str = "LEAK";

/// Keeps every event of `tracing` in this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::field::Visit for Log {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn core::fmt::Debug) {
        self.0.lock().expect("no panic").push(format!("{field}={value:?}"));
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::Id {
        tracing::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::Id, _: &tracing::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &tracing::Id) {}
    fn exit(&self, _: &tracing::Id) {}
}

#[tokio::test]
async fn a_key_id_is_in_no_address_and_no_log() {
    let log = Log::default();
    // The thread that fetches says it.
    tracing::subscriber::set_global_default(log.clone()).expect("the only one of this process");
    let network = Network::new();
    network.serve_keys("https://id.example/kid/keys", &issuer());
    let (events, told) = mpsc::channel();
    let keys = RemoteJwks::url("https://id.example/kid/keys").client(network.clone());
    let door = door(keys.max_wait(Duration::ZERO).on_event(move |issuer, event| {
        // A test that is over listens no more.
        let _ = events.send((event.clone(), format!("{issuer} {event} {event:?}")));
    }));
    load(&door).await;
    for id in [
        "LEAK",
        "../../LEAK",
        "/etc/LEAK",
        "..\\LEAK",
        "%2e%2e%2fLEAK",
        "?LEAK=1",
        "#LEAK",
        "LEAK@evil.example",
        "https://evil.example/LEAK",
        "{kid}LEAK",
        "LEAK\n",
        "LEAK\r\nhost: evil.example\r\n\r\n",
        "\u{0}LEAK",
        "\u{1b}[31mLEAK",
        "LEAK\u{202e}",
        "LEAK' OR 1=1--",
        &format!("LEAK{}", "k".repeat(1020)),
    ] {
        door.refuses(id, token(ES256).key_id(id).mint(), KeyError::Unknown);
    }
    // All that is to be said of it has been said.
    let mut texts = Vec::new();
    let (mut unknown, mut throttled) = (false, false);
    while !(unknown && throttled) {
        let (event, text) = told.recv_timeout(PATIENCE).expect("both are said");
        unknown |= matches!(event, RemoteKeysEvent::UnknownKey);
        throttled |= matches!(event, RemoteKeysEvent::Throttled { .. });
        texts.push(text);
    }
    let keys = &door.policy().remote_keys()[0];
    texts.extend([format!("{:?}", keys.health()), format!("{keys:?}"), format!("{door:?}")]);
    texts.extend(log.0.lock().expect("no panic").iter().cloned());
    assert!(texts.iter().any(|text| text.contains("unknown key ids, too soon for a fetch")));
    for text in &texts {
        assert!(!text.contains(MARK), "{text}");
    }
    let asked = network.asked();
    assert_eq!(asked, ["https://id.example/kid/keys"]);
    assert_eq!(keys.health().throttled, 2 * 17);
}

#[tokio::test]
async fn what_a_key_server_says_brings_no_control_characters_into_a_log() {
    let odd = "\r\n\u{1b}[2J\u{0}\u{202e}forged line";
    let set = json!({ "keys": [{ "kty": odd, "kid": odd, "alg": odd, "crv": odd }] }).to_string();
    for (page, text) in [
        (METADATA, metadata(odd, KEYS)),
        (METADATA, metadata(issuer().name(), odd)),
        (METADATA, metadata(issuer().name(), &format!("https://{odd}/"))),
        (METADATA, odd.to_owned()),
        (KEYS, set),
        (KEYS, odd.to_owned()),
    ] {
        let network = Network::new();
        network.publish(&issuer());
        network.answer(page, 200, text.clone());
        let door = door(on(&network));
        assert_unavailable(&text, &door.ask(request(&good())).await);
        let error = last_error(&door);
        for text in [error.to_string(), format!("{error:?}"), format!("{door:?}")] {
            assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
        }
    }
}

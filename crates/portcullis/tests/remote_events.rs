//! What is said of remote keys: to an observer, and through `tracing`.
#![cfg(all(feature = "remote-jwks", feature = "tracing"))]
use core::fmt::{self, Write as _};
use core::time::Duration;
use std::sync::mpsc::{self, Receiver, Sender};

use portcullis::keys::remote::RemoteKeysEvent;
use portcullis::{Algorithm, Issuer, Policy, RemoteJwks};
use portcullis_testkit::TestIssuer;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};

use self::network::Network;

#[expect(dead_code, unreachable_pub, reason = "other crates include it too")]
mod network;

const URL: &str = "https://id.example/keys";

/// What takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Passes on level and message of every event. The keys are fetched by a thread of their own, so
/// it has to be that of the whole program.
struct Told(Sender<(Level, String)>);

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            write!(self.0, "{value:?}").expect("a string grows");
        }
    }
}

impl Subscriber for Told {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("portcullis")
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        // After the test nobody listens.
        let _ = self.0.send((*event.metadata().level(), message.0));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The two channels, read together.
struct Ears {
    events: Receiver<(String, RemoteKeysEvent)>,
    told: Receiver<(Level, String)>,
}

impl Ears {
    /// The next event, which `tracing` was told of too.
    #[track_caller]
    fn hear(&self, level: Level, message: &str) -> RemoteKeysEvent {
        let told = self.told.recv_timeout(PATIENCE).expect("an event");
        assert_eq!((told.0, told.1.as_str()), (level, message));
        let (issuer, event) = self.events.recv_timeout(PATIENCE).expect("an event");
        assert_eq!(issuer, "https://id.example");
        event
    }
}

#[test]
fn each_event_is_told_to_the_observer_and_to_tracing() {
    let (tell, told) = mpsc::channel();
    tracing::subscriber::set_global_default(Told(tell)).unwrap();
    let (send, events) = mpsc::channel();
    let ears = Ears { events, told };
    let network = Network::new();
    let issuer = TestIssuer::new("https://id.example");
    network.serve_keys(URL, &issuer);

    let options = RemoteJwks::url(URL).client(network.clone()).max_wait(Duration::ZERO).on_event(
        move |issuer, event| {
            // After the test nobody listens.
            let _ = send.send((issuer.to_owned(), event.clone()));
        },
    );
    let keys = options.clone().start_for(issuer.name()).unwrap();
    let trusted = Issuer::new(issuer.name())
        .algorithms([Algorithm::ES256])
        .keys(keys.clone())
        .audience(TestIssuer::AUDIENCE);
    let policy = Policy::builder().issuer(trusted).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let refresh = || runtime.block_on(keys.refresh_now());

    refresh().unwrap();
    let event = ears.hear(Level::INFO, "remote keys refreshed");
    let RemoteKeysEvent::Refreshed { generation: 1, keys: set } = event else {
        panic!("{event:?}")
    };
    assert_eq!(set.len(), 1);

    refresh().unwrap();
    let event = ears.hear(Level::DEBUG, "remote keys unchanged");
    assert!(matches!(event, RemoteKeysEvent::Unchanged), "{event:?}");

    // Three, of which two change nothing that is worth a word.
    for kid in ["invented-1", "invented-2", "invented-3"] {
        let token = issuer.token(Algorithm::ES256).header("kid", kid).mint();
        let refused = policy.verify_token_now(token).unwrap_err();
        assert_eq!(refused.reason(), "unknown_key");
    }
    let event = ears.hear(Level::INFO, "unknown key id, looking for it");
    assert!(matches!(event, RemoteKeysEvent::UnknownKey), "{event:?}");
    let event = ears.hear(Level::WARN, "unknown key ids, too soon for a fetch");
    assert!(matches!(event, RemoteKeysEvent::Throttled { .. }), "{event:?}");
    assert_eq!(keys.health().throttled, 3);

    network.answer(URL, 500, "");
    refresh().unwrap_err();
    let event = ears.hear(Level::WARN, "remote keys not fetched");
    let RemoteKeysEvent::Failed { error, .. } = event else { panic!("{event:?}") };
    assert_eq!(error.to_string(), "https://id.example/keys: the server answered with status 500");
    let event = ears.hear(Level::WARN, "stale remote keys served");
    assert!(matches!(event, RemoteKeysEvent::StaleServed { .. }), "{event:?}");

    drop((policy, keys));

    network.serve_keys(URL, &issuer);
    let second = Duration::from_secs(1);
    let short = options.fresh_for(second).max_stale(second).start_for(issuer.name()).unwrap();
    runtime.block_on(short.refresh_now()).unwrap();
    network.answer(URL, 500, "");
    // Whatever else is said meanwhile.
    while ears.told.recv_timeout(PATIENCE).unwrap()
        != (Level::ERROR, "remote keys too old to be served".to_owned())
    {}
    let is_expired =
        |event: &(String, RemoteKeysEvent)| matches!(event.1, RemoteKeysEvent::Expired);
    while !is_expired(&ears.events.recv_timeout(PATIENCE).unwrap()) {}
    assert!(!short.health().serves);
}

//! What is said through `tracing`.
#![cfg(feature = "tracing")]
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use portcullis::{Admission, Algorithm, KeyFile, Moment, ResponseForm, Revocations};
use portcullis_testkit::TestIssuer;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps level and fields of every event.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<(Level, String)>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn core::fmt::Debug) {
        write!(self.0, "{field}={value:?} ").expect("a string grows");
    }
}

impl Subscriber for Kept {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().expect("no panic").push((*event.metadata().level(), text.0));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The events of `act`, which happen on this thread.
fn events(act: impl FnOnce()) -> Vec<(Level, String)> {
    let kept = Kept::default();
    tracing::subscriber::with_default(kept.clone(), act);
    let events = kept.0.lock().expect("no panic");
    events.clone()
}

#[test]
fn a_key_file_that_cannot_be_used_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let issuer = TestIssuer::new("https://id.example");
    // In one step, so that nobody sees half of it.
    let replace = |content: &str| {
        let new = folder.path().join("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, &path).unwrap();
    };
    let file = {
        replace(&issuer.jwks_of(&[Algorithm::ES256]));
        KeyFile::jwks(&path).open().unwrap()
    };
    // Another look may come first, and say it elsewhere: then there is another content.
    let mut said = Vec::new();
    for round in 0..100 {
        replace(&format!("broken {round}"));
        said = events(|| drop(file.reload()));
        if !said.is_empty() {
            break;
        }
    }
    let [(level, text)] = said.as_slice() else { panic!("one event, not {said:?}") };
    assert_eq!(*level, Level::WARN);
    assert!(text.contains("keys read before stay") && text.contains("jwks.json"), "{text}");
    assert!(!text.contains("broken"), "{text}");
}

#[test]
fn a_handler_on_a_route_without_its_layer_says_what_was_forgotten() {
    let said = events(|| drop(Admission::require(None, ResponseForm::Full)));
    let [(level, text)] = said.as_slice() else { panic!("one event, not {said:?}") };
    assert_eq!(*level, Level::ERROR);
    assert!(text.contains("VerifyLayer"), "{text}");
}

#[test]
fn what_is_revoked_says_of_what_kind_it_is_and_no_name() {
    let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let said = events(|| {
        let revocations = Revocations::options().capacity(1).in_memory();
        rt.block_on(revocations.token("https://id.example", "LEAK", None)).unwrap();
        rt.block_on(revocations.subject("https://id.example", "LEAK", None)).unwrap_err();
        let list = Revocations::options().shared([0; 16], std::time::Duration::from_secs(60));
        list.heard(Moment::now());
        list.lost();
        list.gave_back(7);
    });
    let levels: Vec<_> = said.iter().map(|(level, _)| *level).collect();
    let expected = [Level::INFO, Level::ERROR, Level::WARN, Level::INFO, Level::WARN, Level::WARN];
    assert_eq!(levels, expected, "{said:?}");
    for ((_, text), part) in
        said.iter().zip(["token", "capacity=1", "subject", "fresh", "stale", "7"])
    {
        assert!(text.contains(part) && !text.contains("LEAK"), "{text}");
    }
}

//! What is said through `tracing`.
#![cfg(feature = "tracing")]
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use portcullis::refusal::ResponseForm;
use portcullis::revocation::store::Moment;
use portcullis::{Admission, Algorithm, Error, KeyFile, Policy, Requirement, Revocations};
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
        rt.block_on(revocations.revoke_token("https://id.example", "LEAK", None)).unwrap();
        rt.block_on(revocations.revoke_subject("https://id.example", "LEAK", None)).unwrap_err();
        let list = Revocations::options().shared([0; 16], std::time::Duration::from_secs(60));
        list.record_contact(Moment::now());
        list.record_loss();
        list.record_republished(7);
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

fn refusals(policy: &Policy, tokens: &[Option<String>]) -> Vec<(Level, String)> {
    events(|| {
        for token in tokens {
            let mut request = http::Request::builder();
            if let Some(token) = token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            drop(policy.start_verify(&request.body(()).expect("a request")));
        }
    })
}

#[test]
fn a_refusal_is_one_event_with_its_reason_and_by_its_level_whose_trouble_it_is() {
    let issuer = TestIssuer::new("https://id.example").at(1_800_000_000);
    let token = || issuer.token(Algorithm::ES256).subject("LEAK").claim("jti", "LEAK");
    let cases = [
        (None, Level::DEBUG, "token_missing", 401),
        (Some("LEAK".to_owned()), Level::INFO, "malformed", 401),
        (Some(token().expired().mint()), Level::INFO, "expired", 401),
        (Some(token().audience("LEAK").mint()), Level::INFO, "wrong_audience", 401),
    ];
    let tokens = cases.each_ref().map(|(token, ..)| token.clone());
    let said = refusals(&issuer.policy(), &tokens);
    assert_eq!(said.len(), cases.len(), "{said:?}");
    for ((_, level, reason, status), (said_level, text)) in cases.iter().zip(&said) {
        assert_eq!(said_level, level, "{text}");
        assert!(text.contains(&format!("reason=\"{reason}\"")), "{text}");
        assert!(text.contains(&format!("status={status}")), "{text}");
        assert!(Error::REASONS.contains(reason));
        assert!(!text.contains("LEAK") && !text.contains("eyJ"), "{text}");
        assert!(!text.contains("subject") && !text.contains("token_id"), "{text}");
    }
    let named = issuer.policy_builder().name("orders").build().expect("a policy");
    let [(_, text)] = &refusals(&named, &[None])[..] else { panic!("one event") };
    assert!(text.contains("policy=\"orders\""), "{text}");
    assert!(said.iter().all(|(_, text)| !text.contains("policy=")), "{said:?}");
    // What passes is no event.
    assert_eq!(refusals(&issuer.policy(), &[Some(token().mint())]), []);

    let unavailable = Revocations::options().shared([0; 16], std::time::Duration::from_secs(60));
    let unavailable = Revocations::new(unavailable, Nobody).enforce([portcullis::Revocable::Token]);
    let policy = issuer.policy_builder().revocations(unavailable).build().expect("a policy");
    let said = refusals(&policy, &[Some(token().mint())]);
    let [(level, text)] = said.as_slice() else { panic!("one event, not {said:?}") };
    assert_eq!(*level, Level::WARN);
    assert!(text.contains("reason=\"revocation_unavailable\" status=503"), "{text}");
}

#[derive(Debug)]
struct Nobody;

impl portcullis::revocation::store::RevocationStore for Nobody {
    fn publish(
        &self,
        _: portcullis::revocation::store::RevocationEntry,
    ) -> portcullis::revocation::store::PublishFuture {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[test]
fn a_verified_caller_is_named_only_where_that_was_asked_for() {
    let issuer = TestIssuer::new("https://id.example").at(1_800_000_000);
    let token = issuer.token(Algorithm::ES256).subject("alice").claim("jti", "t-1").mint();
    let admin = Requirement::scope("admin");
    let ask = |policy: &Policy| {
        let request = http::Request::builder().header("authorization", format!("Bearer {token}"));
        let portcullis::policy::Verification::Done(Ok(admission)) =
            policy.start_verify(&request.body(()).expect("a request"))
        else {
            panic!("a good token")
        };
        drop(Admission::authorize(Some(&admission), &admin, ResponseForm::Full));
    };
    let silent = issuer.policy();
    let said = events(|| ask(&silent));
    let [(Level::INFO, text)] = said.as_slice() else { panic!("one event, not {said:?}") };
    assert!(text.contains("reason=\"forbidden\" status=403"), "{text}");
    assert!(text.contains("the scope `admin`"), "{text}");
    assert!(!text.contains("alice") && !text.contains("t-1"), "{text}");

    let naming = issuer.policy_builder().name_callers_in_logs().build().expect("a policy");
    let said = events(|| ask(&naming));
    let [(Level::INFO, text)] = said.as_slice() else { panic!("one event, not {said:?}") };
    for part in ["issuer=\"https://id.example\"", "subject=\"alice\"", "token_id=\"t-1\""] {
        assert!(text.contains(part), "{text}");
    }
    // Never of a token that did not verify, whatever it says.
    let forged = issuer.token(Algorithm::ES256).subject("alice").expired().mint();
    let said = refusals(&naming, &[Some(forged)]);
    assert!(!said[0].1.contains("alice"), "{said:?}");
}

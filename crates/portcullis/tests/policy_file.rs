//! A policy in a file that changes while the service runs.
#![cfg(feature = "config")]
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use portcullis::config::{ConfigProblem, PolicyFile, PolicyFileEvent};
use portcullis::error::ClaimsError;
use portcullis::policy::PolicyFault;
use portcullis::{Algorithm, Error, Presentation};
use portcullis_testkit::{FixedClock, TestIssuer};
use tempfile::TempDir;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://id.example";

fn issuer() -> TestIssuer {
    TestIssuer::new(ISSUER).at(NOW)
}

/// A folder with a key set.
fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join("jwks.json"), &issuer().jwks_of(&[Algorithm::ES256]));
    let path = folder.path().join("policy.toml");
    (folder, path)
}

/// As orchestrators do: the new file takes the place of the old one.
fn write(path: &Path, content: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, content).expect("a file");
    std::fs::rename(new, path).expect("in its place");
}

fn policy(audience: &str, more: &str) -> String {
    format!(
        r#"
        {more}
        [[issuer]]
        id         = "{ISSUER}"
        audiences  = ["{audience}"]
        algorithms = ["ES256"]
        keys       = {{ jwks_file = "jwks.json" }}
        "#
    )
}

fn token(audience: &str) -> String {
    issuer().token(Algorithm::ES256).audience(audience).mint()
}

type Events = Arc<Mutex<Vec<PolicyFileEvent>>>;

fn open(path: &Path) -> (PolicyFile, Events) {
    let events = Events::default();
    let seen = Arc::clone(&events);
    let file = PolicyFile::options(path)
        .finish_with(|builder| builder.clock(FixedClock::at(NOW)))
        .on_event(move |event| seen.lock().expect("no panic").push(event.clone()))
        .open()
        .expect("a policy");
    (file, events)
}

#[test]
fn a_new_content_is_in_force_for_whoever_has_the_policy() {
    let (_folder, path) = folder();
    write(&path, &policy("https://a.example", ""));
    let (file, events) = open(&path);
    let (first, clone) = (file.policy(), file.policy().clone());
    assert!(first.verify_token_now(token("https://a.example")).is_ok());

    write(&path, &policy("https://b.example", "allow_anonymous = true"));
    file.reload().expect("a good policy");
    for policy in [&first, &clone, &file.policy()] {
        let old = policy.verify_token_now(token("https://a.example"));
        assert_eq!(old.err(), Some(ClaimsError::Audience.into()));
        assert!(policy.verify_token_now(token("https://b.example")).is_ok());
        assert!(policy.allows_anonymous());
    }
    assert_eq!(file.status().reloads, 1);
    assert!(matches!(&events.lock().expect("no panic")[..], [PolicyFileEvent::Reloaded]));

    // The same content is no change.
    write(&path, &policy("https://b.example", "allow_anonymous = true"));
    file.reload().expect("a good policy");
    assert_eq!(file.status().reloads, 1);
}

#[test]
fn a_broken_file_keeps_the_good_policy_and_says_so_once() {
    let (_folder, path) = folder();
    write(&path, &policy("https://a.example", ""));
    let (file, events) = open(&path);
    let good = token("https://a.example");
    let told = |events: &Events| std::mem::take(&mut *events.lock().expect("no panic"));
    for broken in ["", "issuer = 1", "[[issuer", &policy("", ""), &policy("x", "token_limit = 0")] {
        write(&path, broken);
        for _ in 0..3 {
            let error = file.reload().expect_err(broken);
            assert_eq!(file.status().fault, Some(error));
        }
        let events = told(&events);
        assert!(matches!(&*events, [PolicyFileEvent::Failed { .. }]), "{broken}: {events:?}");
        assert!(file.policy().verify_token_now(&good).is_ok());
    }
    std::fs::remove_file(&path).expect("it was there");
    let error = file.reload().expect_err("it is not there");
    let problem = ConfigProblem::Unreadable { reason: "there is no such file".to_owned() };
    assert_eq!(error.faults()[0].problem, problem);
    assert!(error.to_string().contains("policy.toml"), "{error}");
    write(&path, &"#".repeat(1024 * 1024 + 1));
    let error = file.reload().expect_err("it is too large");
    assert!(error.to_string().ends_with("cannot be read: it is too large"), "{error}");
    std::fs::write(&path, b"\xff").expect("a file");
    assert!(file.reload().is_err());
    assert!(file.policy().verify_token_now(&good).is_ok());
    assert_eq!(file.status().reloads, 0);
    told(&events);

    write(&path, &policy("https://b.example", ""));
    file.reload().expect("a good policy");
    assert_eq!(file.status().fault, None);
    assert!(matches!(&*told(&events), [PolicyFileEvent::Reloaded]));
}

#[test]
fn what_failed_for_another_files_sake_is_tried_again() {
    let (folder, path) = folder();
    write(&path, &policy("https://a.example", ""));
    let (file, _) = open(&path);
    write(&path, &policy("https://b.example", "").replace("jwks.json", "later.json"));
    file.reload().expect_err("there is no such key file");
    let jwks = issuer().jwks_of(&[Algorithm::ES256]);
    write(&folder.path().join("later.json"), &jwks);
    file.reload().expect("there is");
    assert!(file.policy().verify_token_now(token("https://b.example")).is_ok());
}

#[test]
fn what_data_cannot_say_is_added_to_each_policy_that_the_file_makes() {
    let (_folder, path) = folder();
    write(&path, &policy("https://a.example", ""));
    let file = PolicyFile::options(&path)
        .finish_with(|builder| {
            builder.clock(FixedClock::at(NOW)).presentation(Presentation::new().realm("orders"))
        })
        .open()
        .expect("a policy");
    let realm = |file: &PolicyFile| {
        let request = http::Request::new(());
        let portcullis::policy::Verification::Done(Err(rejection)) =
            file.policy().start_verify(&request)
        else {
            panic!("there is no token")
        };
        let refusal = rejection.refusal();
        refusal.headers().any(|(_, value)| value == br#"Bearer realm="orders""#)
    };
    assert!(realm(&file));
    write(&path, &policy("https://b.example", ""));
    file.reload().expect("a good policy");
    assert!(realm(&file));

    // What it adds is judged, too.
    let refused = PolicyFile::options(&path).finish_with(|builder| builder.token_limit(0)).open();
    let refused = refused.expect_err("a limit of nothing");
    assert_eq!(
        refused.faults()[0].problem,
        ConfigProblem::Policy(PolicyFault::TokenLimit { limit: 0 })
    );
}

#[test]
fn the_file_is_looked_at_for_as_long_as_its_policy_is_there() {
    let (_folder, path) = folder();
    write(&path, &policy("https://a.example", ""));
    let (told, events) = std::sync::mpsc::channel();
    let policy_alone = PolicyFile::options(&path)
        .finish_with(|builder| builder.clock(FixedClock::at(NOW)))
        .on_event(move |event| {
            let _ = told.send(event.clone());
        })
        .open()
        .expect("a policy")
        .policy();
    write(&path, &policy("https://b.example", ""));
    // By the thread that looks at it, within a second.
    assert!(matches!(events.recv(), Ok(PolicyFileEvent::Reloaded)));
    assert!(policy_alone.verify_token_now(token("https://b.example")).is_ok());
    drop(policy_alone);
    // The thread has nothing left to look at, and its observer goes.
    assert!(events.recv().is_err());
}

#[cfg(feature = "remote-jwks")]
mod remote {
    use portcullis::keys::KeyError;
    use portcullis_testkit::key_server::{Answer, KeyServer};

    use super::*;

    fn remote_policy(server: &KeyServer, audience: &str, keys: &str) -> String {
        policy(audience, "").replace(
            "jwks_file = \"jwks.json\"",
            &format!("jwks_url = \"{}\"{keys}", server.url("/jwks.json")),
        )
    }

    #[tokio::test]
    async fn fetched_keys_go_over_to_a_policy_that_says_the_same_of_them() {
        let (_folder, path) = folder();
        let server = KeyServer::start();
        server.serve_keys("/jwks.json", &issuer(), &[Algorithm::ES256]);
        write(&path, &remote_policy(&server, "https://a.example", ""));
        let (file, _) = open(&path);
        let policy = file.policy();
        policy.keys_ready().await;
        assert_eq!(server.hits("/jwks.json"), 1);

        // The provider is down, and the policy changes.
        server.answer("/jwks.json", Answer::status(500));
        write(&path, &remote_policy(&server, "https://b.example", ""));
        file.reload().expect("a good policy");
        assert!(policy.verify_token_now(token("https://b.example")).is_ok());
        assert_eq!(server.hits("/jwks.json"), 1);

        // Of keys that are fetched in another way, there are none yet; they are asked for at once.
        write(&path, &remote_policy(&server, "https://b.example", ", fresh_for = \"10m\""));
        file.reload().expect("a good policy");
        let verdict = policy.verify_token_now(token("https://b.example"));
        assert!(matches!(verdict, Err(Error::Key(KeyError::Unavailable(_)))), "{verdict:?}");
        server.hit("/jwks.json", 2).await;
    }

    #[tokio::test]
    async fn tenants_are_known_after_a_reload_and_served_by_the_keys_at_hand() {
        let (_folder, path) = folder();
        let server = KeyServer::start();
        let tenants: Vec<_> = ["a", "b", "c", "d", "e"]
            .into_iter()
            .map(|name| {
                let tenant = TestIssuer::new(server.url(&format!("/{name}"))).at(NOW);
                let keys = format!("/{name}/jwks.json");
                server.serve_keys(&keys, &tenant, &[Algorithm::ES256]);
                server.serve_metadata(tenant.name(), &server.url(&keys));
                tenant.audience("https://a.example")
            })
            .collect();
        let template = format!("template = \"{}\"\ntenant_burst = 5", server.url("/{tenant}"));
        let text = |more: &str| {
            let one = format!("id         = \"{ISSUER}\"");
            let policy = policy("https://a.example", more).replace(&one, &template);
            policy.replace("jwks_file = \"jwks.json\"", "discovery = true")
        };
        write(&path, &text(""));
        let (file, _) = open(&path);
        let policy = file.policy();
        let token = |tenant: &TestIssuer| tenant.token(Algorithm::ES256).mint();
        for tenant in &tenants {
            policy.verify_token(token(tenant)).await.expect("a good token");
        }
        // Twice, since the second reload follows one that has seen no token.
        for leeway in ["10s", "20s"] {
            let hits = server.all_hits();
            write(&path, &text(&format!("claims = {{ leeway = \"{leeway}\" }}")));
            file.reload().expect("a good policy");
            assert_eq!(policy.known_tenants().len(), 5);
            assert_eq!(server.all_hits(), hits);
        }
        for tenant in &tenants {
            assert!(policy.verify_token_now(token(tenant)).is_ok());
        }
    }

    #[test]
    fn a_policy_whose_keys_cannot_be_had_is_not_taken_over_where_they_are_loaded_first() {
        let (_folder, path) = folder();
        let server = KeyServer::start();
        server.answer("/jwks.json", Answer::status(500));
        write(&path, &policy("https://a.example", ""));
        let (file, _) = open(&path);
        let next = remote_policy(&server, "https://b.example", ", load_at_start = true");
        write(&path, &next);
        file.reload().expect_err("no keys");
        assert!(file.policy().verify_token_now(token("https://a.example")).is_ok());
        server.serve_keys("/jwks.json", &issuer(), &[Algorithm::ES256]);
        file.reload().expect("keys");
        assert!(file.policy().verify_token_now(token("https://b.example")).is_ok());
    }
}

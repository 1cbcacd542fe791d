//! What a developer sees of refusals who has installed no subscriber. In processes of their own, of which the standard
//! error is read.
#![cfg(feature = "tracing")]
#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

use std::env;
use std::process::Command;

use http::Request;
use portcullis::Algorithm;
use portcullis_testkit::TestIssuer;

/// Set in the process that is looked at, to what it does.
const CHILD: &str = "PORTCULLIS_TEST_CHILD";

/// Runs the test of this name again, as the process that is looked at, and returns what it says.
fn said_by(test: &str, what: &str) -> Vec<String> {
    let mut command = Command::new(env::current_exe().unwrap());
    let output = command.args([test, "--exact", "--nocapture"]).env(CHILD, what).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    said.lines().filter(|line| line.starts_with("portcullis: ")).map(str::to_owned).collect()
}

fn refuse() -> String {
    let issuer = TestIssuer::new("https://id.example");
    let (policy, secret) = (issuer.policy(), issuer.token(Algorithm::ES256).expired().mint());
    let get = |token: Option<&str>| {
        let request = Request::get("/orders/17?token=hidden");
        let request = match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        policy.verify_now(&request.body(()).unwrap()).unwrap_err();
    };
    for _ in 0..3 {
        get(None);
        get(Some(&secret));
    }
    secret
}

#[test]
fn without_a_subscriber_the_first_refusal_of_each_reason_is_told_and_nothing_secret() {
    if env::var(CHILD).is_ok() {
        refuse();
        return;
    }
    let name = "without_a_subscriber_the_first_refusal_of_each_reason_is_told_and_nothing_secret";
    let said = said_by(name, "refuse");
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[0].starts_with(r#"portcullis: refused GET "/orders/17": "#), "{said:#?}");
    assert!(said[0].ends_with("(token_missing)") && said[2].ends_with("(expired)"), "{said:#?}");
    assert!(said[1].contains("RUST_LOG=portcullis=debug"), "{said:#?}");
    assert!(!said.concat().contains("hidden") && !said.concat().contains("eyJ"), "{said:#?}");
}

#[test]
fn with_a_subscriber_nothing_is_told_beside_it() {
    if env::var(CHILD).is_ok() {
        let subscriber = tracing_subscriber::fmt().with_writer(std::io::sink).finish();
        tracing::subscriber::with_default(subscriber, refuse);
        return;
    }
    assert_eq!(said_by("with_a_subscriber_nothing_is_told_beside_it", "refuse"), [""; 0]);
}

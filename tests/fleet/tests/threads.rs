//! The thread that follows a store ends with the last that needs it. Alone in its process, since it counts
//! threads.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

use std::fs;

use portcullis_fleet_tests::{Member, Server, Service, eventually, token};

/// How many threads of this process have the name that threads of `portcullis-redis` have.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("comm")));
    names
        .filter(|name| name.as_ref().is_ok_and(|name| name.trim_end() == "portcullis-redi"))
        .count()
}

#[tokio::test]
async fn a_thread_ends_with_the_last_policy_and_the_last_handle() {
    let server = Server::start().await;
    assert!(Member::initialize(&server.url()).await.unwrap());
    assert_eq!(threads(), 0);
    let members =
        [Member::start(&server.url()).await.unwrap(), Member::start(&server.url()).await.unwrap()];
    for member in &members {
        eventually("fresh", async || member.revocations.is_fresh()).await;
    }
    assert_eq!(threads(), 2);
    let [one, other] = members;
    let policy = one.policy.clone();
    drop((one, other));
    eventually("one is left", async || threads() == 1).await;
    // The policy alone keeps its list, and whoever follows for it.
    assert!(policy.verify_token_now(token("active")).is_ok());
    drop(policy);
    eventually("none is left", async || threads() == 0).await;

    // The same of used proofs.
    let service = Service::start(&server.url()).await.unwrap();
    assert_eq!(threads(), 1);
    let Service { used, policy, nonces } = service;
    drop((used, nonces));
    assert_eq!(threads(), 1);
    drop(policy);
    eventually("none is left", async || threads() == 0).await;
    let mut clients = String::new();
    eventually("nobody is connected", async || {
        clients = server.ask(&["CLIENT", "LIST"]).await;
        clients.lines().count() == 1
    })
    .await;
}

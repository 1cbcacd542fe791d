//! The table, run over real sockets: each row says what the client sees, and every door says the
//! same.
use std::collections::HashMap;
use std::net::TcpListener;

use portcullis_conformance::client::{self, Answer, Protocol};
use portcullis_conformance::doors::{Door, Running};
use portcullis_conformance::policies::Variant;
use portcullis_conformance::table::{self, Row, Sent};

/// A server for each door and policy, started when it is first asked for.
#[derive(Default)]
struct Servers(HashMap<(Door, Variant), Running>);

impl Servers {
    fn get(&mut self, door: Door, variant: Variant) -> &Running {
        self.0.entry((door, variant)).or_insert_with(|| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            door.start(&variant.policy(), listener).expect("a server")
        })
    }
}

async fn ask(server: &Running, row: &Row, protocol: Protocol) -> Result<Answer, String> {
    let address = server.address();
    match &row.sent {
        Sent::Request(request) | Sent::Http1(request) => {
            client::send(address, protocol, request).await
        }
        Sent::Raw(method, bytes) => client::send_raw(address, bytes, &[method])
            .await
            .and_then(|mut answers| answers.pop().ok_or_else(|| std::io::Error::other("none"))),
    }
    .map_err(|error| format!("{error} ({:?})", std::error::Error::source(&error)))
}

fn show(answer: &Answer) -> String {
    let headers: Vec<_> = answer
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
        .collect();
    format!("{} {headers:#?}\n{}", answer.status, String::from_utf8_lossy(&answer.body))
}

#[test]
fn every_row_has_a_name_of_its_own() {
    let mut names: Vec<_> = table::rows().into_iter().map(|row| row.name).collect();
    names.sort_unstable();
    let twice: Vec<_> = names.windows(2).filter(|two| two[0] == two[1]).collect();
    assert!(twice.is_empty(), "{twice:#?}");
}

#[tokio::test]
async fn every_row_is_answered_as_it_says_through_every_door() {
    let mut servers = Servers::default();
    let mut faults = Vec::new();
    let rows = table::rows();
    for row in &rows {
        for protocol in row.sent.protocols() {
            let mut answers = Vec::new();
            for door in Door::ALL {
                let place = format!("{:?}, {protocol:?}, {door:?}: {}", row.policy, row.name);
                match ask(servers.get(door, row.policy), row, *protocol).await {
                    Ok(answer) => {
                        if answer != row.expected {
                            faults.push(format!(
                                "{place}\n--- expected {}\n--- answered {}",
                                show(&row.expected),
                                show(&answer)
                            ));
                        }
                        answers.push(answer);
                    }
                    Err(error) => faults.push(format!("{place}\n--- no answer: {error}")),
                }
            }
            if answers.windows(2).any(|two| two[0] != two[1]) {
                faults.push(format!(
                    "{:?}, {protocol:?}: {}: the doors differ",
                    row.policy, row.name
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults\n\n{}", faults.len(), faults.join("\n\n"));
}

//! Everything side by side in one run, as markdown: see the README of this package.
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::process::Command;
use std::thread;

use clap::Parser;
use portcullis::tower::{RequireLayer, VerifyLayer};
use portcullis::{Policy, Requirement};
use portcullis_benches::adapters::{Actix, Axum, Front, Tower};
use portcullis_benches::call::{self, Bare, Reads};
use portcullis_benches::case::{KeycloakClaims, NineClaims, Shape, TOKENS};
use portcullis_benches::rounds::{Contender, Length, Rounds};
use portcullis_benches::{Case, Refused, refusal};
use serde::de::DeserializeOwned;
use tower_layer::Layer;

/// Measures verification beside raw signatures and jsonwebtoken, and prints markdown.
#[derive(Parser)]
struct Arguments {
    /// How often each contender has its turn.
    #[arg(long, value_name = "N", default_value_t = 401)]
    rounds: usize,
    /// How long a turn lasts, in microseconds.
    #[arg(long, value_name = "N", default_value_t = 500)]
    micros: u64,
    /// Names of rows, as in the first column. Without one, all are measured.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

fn main() {
    let Arguments { rounds, micros, names } = Arguments::parse();
    let length = Length { rounds, turn: Duration::from_micros(micros) };
    let is_asked_for = |name: &str| names.is_empty() || names.iter().any(|asked| asked == name);

    print_machine();
    println!("{} rounds of {:?} each, medians.", length.rounds, length.turn);

    println!("\n## Full verification, µs\n");
    println!(
        "| token | bytes | raw | bare service | jsonwebtoken | portcullis | added | jsonwebtoken adds | portcullis / jsonwebtoken | with typed claims | its added |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for case in Case::NAMES.into_iter().filter(|name| is_asked_for(name)).map(Case::named) {
        match case.shape() {
            Shape::Nine => print_verification::<NineClaims>(length, case),
            Shape::Keycloak => print_verification::<KeycloakClaims>(length, case),
        }
    }

    println!("\n## Remembered token, ns\n");
    println!(
        "| token | added | with 10,000 revocations | typed claims, more | a scope, more | a role at a path, more | beside another thread | with 10,000 revocations |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for name in ["ES256", "ES256 Keycloak"].into_iter().filter(|name| is_asked_for(name)) {
        let case = Case::named(name);
        match case.shape() {
            Shape::Nine => print_remembered::<NineClaims>(length, case),
            Shape::Keycloak => print_remembered::<KeycloakClaims>(length, case),
        }
    }

    println!("\n## Refusal, ns\n");
    println!(
        "| request | decision | the same, where tokens are remembered | response | through the layer, less the bare service |"
    );
    println!("| --- | ---: | ---: | ---: | ---: |");
    for refused in Refused::NAMES.into_iter().filter(|name| is_asked_for(name)).map(Refused::named)
    {
        print_refusal(length, refused);
    }

    println!("\n## Adapters, ns\n");
    println!(
        "| token | tower adds | axum adds | more than tower | axum / tower | a layer that does nothing, in axum | around the axum app adds | around / tower | actix-web adds | more than tower | actix-web / tower |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for name in ["HS256", "ES256"].into_iter().filter(|name| is_asked_for(name)) {
        let case = Case::named(name);
        print_adapters(length, name, case, Front::Signature(case), case.policy());
    }
    if is_asked_for("ES256") {
        let case = Case::named("ES256");
        print_adapters(length, "ES256, remembered", case, Front::Nothing, case.remembering());
    }
}

fn print_verification<T: DeserializeOwned + Send + Sync + 'static>(length: Length, case: &Case) {
    let layer = VerifyLayer::new(case.policy().clone());
    let (mut protected, mut reading) = (layer.layer(Bare), layer.layer(Reads::<T>::new()));
    let rounds = Rounds::run(
        length,
        [
            Contender::new(|index| index, |index| case.verify_raw(index)),
            Contender::new(|index| case.request(index), |request| call::call(&mut Bare, request)),
            Contender::new(|index| index, |index| case.decode::<T>(index)),
            Contender::new(
                |index| case.request(index),
                |request| call::call(&mut protected, request),
            ),
            Contender::new(
                |index| case.request(index),
                |request| call::call(&mut reading, request),
            ),
        ],
    );
    let micros = |nanos: f64| nanos / 1e3;
    let [raw, bare, decode, layer, typed] =
        core::array::from_fn(|contender| micros(rounds.median(contender)));
    let added = micros(rounds.median_of(|[raw, bare, _, layer, _]| layer - raw - bare));
    let typed_added = micros(rounds.median_of(|[raw, bare, .., typed]| typed - raw - bare));
    let bytes = case.token(0).len();
    let (decode, decode_added, ratio) = match case.decode::<T>(0) {
        Some(_) => (
            format!("{decode:.2}"),
            format!("{:.2}", micros(rounds.median_of(|[raw, _, decode, ..]| decode - raw))),
            format!("{:.2}", rounds.median_of(|[_, _, decode, layer, _]| layer / decode)),
        ),
        None => ("–".to_owned(), "–".to_owned(), "–".to_owned()),
    };
    println!(
        "| {case} | {bytes} | {raw:.2} | {bare:.2} | {decode} | {layer:.2} | {added:.2} | {decode_added} | {ratio} | {typed:.2} | {typed_added:.2} |"
    );
}

fn print_remembered<T: DeserializeOwned + Send + Sync + 'static>(length: Length, case: &Case) {
    let layer = |policy: &Policy| VerifyLayer::new(policy.clone());
    let mut remembered = layer(case.remembering()).layer(Bare);
    let mut revoking = layer(case.revoking()).layer(Bare);
    let mut reading = layer(case.remembering()).layer(Reads::<T>::new());
    let requiring =
        |requirement| layer(case.remembering()).layer(RequireLayer::new(requirement).layer(Bare));
    let mut scoped = requiring(Requirement::scope("profile"));
    let mut ruled = requiring(match case.shape() {
        Shape::Nine => Requirement::claim("client_id", "orders-web"),
        Shape::Keycloak => Requirement::role(["realm_access", "roles"], "default-roles-main"),
    });
    assert!(call::call(&mut scoped, case.request(0)).status().is_success());
    let rounds = Rounds::run(
        length,
        [
            Contender::new(|index| case.request(index), |request| call::call(&mut Bare, request)),
            Contender::new(
                |index| case.request(index),
                |request| call::call(&mut remembered, request),
            ),
            Contender::new(
                |index| case.request(index),
                |request| call::call(&mut revoking, request),
            ),
            Contender::new(
                |index| case.request(index),
                |request| call::call(&mut reading, request),
            ),
            Contender::new(|index| case.request(index), |request| call::call(&mut scoped, request)),
            Contender::new(|index| case.request(index), |request| call::call(&mut ruled, request)),
        ],
    );
    println!(
        "| {case} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
        rounds.median_of(|[bare, remembered, ..]| remembered - bare),
        rounds.median_of(|[bare, _, revoking, ..]| revoking - bare),
        rounds.median_of(|[_, remembered, _, reading, ..]| reading - remembered),
        rounds.median_of(|[_, remembered, _, _, scoped, _]| scoped - remembered),
        rounds.median_of(|[_, remembered, .., ruled]| ruled - remembered),
        beside_another_thread(length, case, case.remembering()),
        beside_another_thread(length, case, case.revoking()),
    );
}

/// What a remembered token adds while another thread does nothing but bring others.
fn beside_another_thread(length: Length, case: &Case, policy: &Policy) -> f64 {
    let service = || VerifyLayer::new(policy.clone()).layer(Bare);
    let (is_over, half) = (AtomicBool::new(false), TOKENS / 2);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut service = service();
            for index in 0.. {
                call::call(&mut service, case.request(half + index % half));
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let mut service = service();
        let rounds = Rounds::run(
            length,
            [
                Contender::new(
                    |index| case.request(index % half),
                    |request| call::call(&mut Bare, request),
                ),
                Contender::new(
                    |index| case.request(index % half),
                    |request| call::call(&mut service, request),
                ),
            ],
        );
        is_over.store(true, Ordering::Relaxed);
        rounds.median_of(|[bare, remembered]| remembered - bare)
    })
}

fn print_refusal(length: Length, refused: &Refused) {
    let mut protected = VerifyLayer::new(refused.policy().clone()).layer(Bare);
    let (remembering, request) = (Case::named("ES256").remembering(), refused.request());
    let rounds = Rounds::run(
        length,
        [
            Contender::new(|_| (), |()| refused.decide()),
            Contender::new(|_| (), |()| refusal::decide(remembering, &request)),
            Contender::new(
                |_| refused.decide(),
                |rejection| rejection.into_response::<bytes::Bytes>(),
            ),
            Contender::new(|_| refused.request(), |request| call::call(&mut Bare, request)),
            Contender::new(|_| refused.request(), |request| call::call(&mut protected, request)),
        ],
    );
    println!(
        "| {refused} | {:.0} | {:.0} | {:.0} | {:.0} |",
        rounds.median(0),
        rounds.median(1),
        rounds.median(2),
        rounds.median_of(|[.., bare, layer]| layer - bare)
    );
}

fn print_adapters(length: Length, name: &str, case: &Case, without: Front<'_>, policy: &Policy) {
    let with = Front::Policy(policy);
    let (mut tower, mut protected_tower) = (Tower::new(without), Tower::new(with));
    let (mut axum, mut protected_axum) = (Axum::new(without), Axum::new(with));
    let (actix, protected_actix) = (Actix::new(without), Actix::new(with));
    let (mut open_axum, mut layered_axum) = (Axum::new(Front::Nothing), Axum::new(Front::Layer));
    let mut around_axum = Axum::new(Front::Around(policy));
    let rounds = Rounds::run(
        length,
        [
            Contender::new(|index| case.request(index), |request| tower.call(request)),
            Contender::new(|index| case.request(index), |request| protected_tower.call(request)),
            Contender::new(|index| Axum::request(case, index), |request| drop(axum.call(request))),
            Contender::new(
                |index| Axum::request(case, index),
                |request| drop(protected_axum.call(request)),
            ),
            Contender::new(|index| Actix::request(case, index), |request| actix.call(request)),
            Contender::new(
                |index| Actix::request(case, index),
                |request| protected_actix.call(request),
            ),
            Contender::new(
                |index| Axum::request(case, index),
                |request| drop(open_axum.call(request)),
            ),
            Contender::new(
                |index| Axum::request(case, index),
                |request| drop(layered_axum.call(request)),
            ),
            Contender::new(
                |index| Axum::request(case, index),
                |request| drop(around_axum.call(request)),
            ),
        ],
    );
    let added = |without: usize| move |round: &[f64; 9]| round[without + 1] - round[without];
    let [tower, axum, actix, layer] = [0, 2, 4, 6].map(|without| rounds.median_of(added(without)));
    let beside = |without| rounds.median_of(move |round| added(without)(round) - added(0)(round));
    let around = rounds.median_of(|round| round[8] - round[2]);
    println!(
        "| {name} | {tower:.0} | {axum:.0} | {:.0} | {:.2} | {layer:.0} | {around:.0} | {:.2} | {actix:.0} | {:.0} | {:.2} |",
        beside(2),
        axum / tower,
        around / tower,
        beside(4),
        actix / tower,
    );
}

fn print_machine() {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map_or_else(|_| b"unknown rustc".to_vec(), |output| output.stdout);
    println!(
        "{} ({cores} cores), {}",
        model.map_or("unknown processor", |(_, model)| model.trim()),
        String::from_utf8_lossy(&rustc).trim()
    );
    let versions = ["portcullis", "jsonwebtoken", "aws-lc-rs", "serde_json", "axum", "actix-web"];
    println!("{}", versions.map(|name| format!("{name} {}", version_of(name))).join(", "));
}

/// The version of a crate that these benchmarks are built with.
fn version_of(name: &str) -> &'static str {
    const LOCK: &str = include_str!("../../../Cargo.lock");
    let after = |text: &'static str, mark: &str| text.split_once(mark).unwrap_or_default().1;
    // Where the lock file has several of them, this package's entry says which.
    let own = after(LOCK, concat!("name = \"", env!("CARGO_PKG_NAME"), "\"\n"));
    let own = own.split("]\n").next().unwrap_or_default();
    let said = after(own, &format!(" \"{name} ")).split('"').next().unwrap_or_default();
    let entry = after(LOCK, &format!("name = \"{name}\"\nversion = \""));
    if said.is_empty() { entry.split('"').next().unwrap_or_default() } else { said }
}

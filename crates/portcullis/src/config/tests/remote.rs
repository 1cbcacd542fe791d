//! Keys that are fetched, and issuers that are made on demand.
use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;
use crate::fetch::{AddressFault, FetchFault, SettingFault};
use crate::keys::remote::{KeyFetchFault, RemoteJwksError};
use crate::{Issuer, RemoteJwks};

/// No value is the default.
const FULL: &str = r#"
[[issuer]]
id         = "http://keycloak:8080/realms/orders"
audiences  = ["b"]
algorithms = ["ES256"]
[issuer.keys]
discovery          = true
fresh_for          = "10m"
min_fresh          = "30s"
max_fresh          = "2h"
refresh_at_percent = 70
cool_down          = "1m"
max_wait           = "500ms"
max_waiting        = 10
max_waiting_without_keys = 20
first_retry        = "1s 250ms"
max_retry          = "2m"
max_stale          = "4h"
connect_timeout    = "0.75s"
timeout            = "3s"
max_bytes          = 65536
max_keys           = 20
same_origin        = true
proxy              = "http://proxy.internal:3128"
load_at_start      = false
[issuer.dangerous]
allow_http = ["keycloak"]

[[issuer]]
template    = "https://id.example/{tenant}/"
max_tenants = 5
known_tenants = ["https://id.example/acme/"]
tenant_burst = 3
tenant_interval = "250ms"
audiences   = ["b"]
algorithms  = ["EdDSA"]
keys        = { jwks_url = "https://id.example/{tenant}/keys", discovery = false, jwks_file = "jwks.json" }
"#;

pub(super) const FULL_JSON: &str = r#"{ "issuer": [{
    "id": "http://keycloak:8080/realms/orders",
    "audiences": ["b"],
    "algorithms": ["ES256"],
    "keys": {
      "discovery": true,
      "fresh_for": "10m",
      "min_fresh": "30s",
      "max_fresh": "2h",
      "refresh_at_percent": 70,
      "cool_down": "1m",
      "max_wait": "500ms",
      "max_waiting": 10,
      "max_waiting_without_keys": 20,
      "first_retry": "1s 250ms",
      "max_retry": "2m",
      "max_stale": "4h",
      "connect_timeout": "0.75s",
      "timeout": "3s",
      "max_bytes": 65536,
      "max_keys": 20,
      "same_origin": true,
      "proxy": "http://proxy.internal:3128",
      "load_at_start": false
    },
    "dangerous": { "allow_http": ["keycloak"] }
  }, {
    "template": "https://id.example/{tenant}/",
    "max_tenants": 5, "tenant_burst": 3, "tenant_interval": "250ms",
    "known_tenants": ["https://id.example/acme/"],
    "audiences": ["b"],
    "algorithms": ["EdDSA"],
    "keys": { "jwks_url": "https://id.example/{tenant}/keys", "discovery": false, "jwks_file": "jwks.json" }
  }]
}"#;

/// A policy whose only issuer has these keys.
fn with_keys(keys: &str) -> String {
    format!(
        "[[issuer]]\nid = \"https://a\"\naudiences = [\"b\"]\nalgorithms = [\"EdDSA\"]\nkeys = {{ {keys} }}\n"
    )
}

/// A policy of one template.
fn with_template(template: &str, keys: &str) -> String {
    with_keys(keys).replace("id = \"https://a\"", &format!("template = \"{template}\""))
}

/// What is wrong with a policy, each with its place.
fn found(text: &str) -> Vec<(String, ConfigProblem)> {
    let error = refused(text);
    error.faults().iter().map(|fault| (fault.place.clone(), fault.problem.clone())).collect()
}

/// The same as a reader sees it.
fn said(text: &str) -> Vec<String> {
    refused(text).faults().iter().map(ToString::to_string).collect()
}

fn settings(text: &str) -> String {
    let folder = folder();
    format!("{:?}", PolicyBuilder::from_toml_str(text, folder.path()).expect("settings"))
}

/// An address at which nobody listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

#[test]
fn settings_arrive_from_every_format() {
    let folder = folder();
    let seconds = Duration::from_secs;
    let by_code = Policy::builder()
        .issuer(
            Issuer::new("http://keycloak:8080/realms/orders")
                .algorithms([Algorithm::ES256])
                .keys(
                    RemoteJwks::discovery()
                        .fresh_for(seconds(600))
                        .min_fresh(seconds(30))
                        .max_fresh(seconds(7200))
                        .refresh_at_percent(70)
                        .cool_down(seconds(60))
                        .max_wait(Duration::from_millis(500))
                        .max_waiting(10)
                        .max_waiting_without_keys(20)
                        .first_retry(Duration::from_millis(1250))
                        .max_retry(seconds(120))
                        .max_stale(seconds(14400))
                        .connect_timeout(Duration::from_millis(750))
                        .timeout(seconds(3))
                        .max_bytes(65536)
                        .max_keys(20)
                        .same_origin()
                        .proxy("http://proxy.internal:3128"),
                )
                .audience("b"),
        )
        .issuer(
            Issuer::template("https://id.example/{tenant}/")
                .algorithms([Algorithm::EdDSA])
                .keys(
                    crate::Keys::from(RemoteJwks::url("https://id.example/{tenant}/keys"))
                        .and(crate::KeyFile::jwks(folder.path().join("jwks.json")).open().unwrap()),
                )
                .audience("b")
                .max_tenants(5)
                .known_tenants(["https://id.example/acme/"])
                .tenant_burst(3)
                .tenant_interval(Duration::from_millis(250)),
        );
    let by_code = format!("{by_code:?}");
    assert!(by_code.contains("max_tenants: Some(5), known_tenants: [\"https://id.example/acme/\"], tenant_burst: Some(3), tenant_interval: Some(250ms)"), "{by_code}");
    assert!(by_code.contains("TenantRule(\"https://id.example/{tenant}/\")"), "{by_code}");
    let by_serde: PolicyConfig = toml::from_str(FULL).expect("TOML");
    let from_json: PolicyConfig = serde_json::from_str(FULL_JSON).expect("JSON");
    let with_lines = PolicyConfig::from_toml_str(FULL).expect("TOML");
    for config in [with_lines, by_serde, from_json] {
        let builder = config.into_builder(folder.path()).expect("settings");
        assert_eq!(format!("{builder:?}"), by_code);
        let policy = builder.build().expect("a policy, though nothing can be fetched");
        let issuers: Vec<_> =
            policy.remote_keys().iter().map(|keys| keys.issuer().to_owned()).collect();
        assert_eq!(issuers, ["http://keycloak:8080/realms/orders", "https://id.example/acme/"]);
    }
}

#[test]
fn the_first_fetch_comes_before_the_policy_only_where_it_says_so() {
    let folder = folder();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let text = |more: &str| with_keys(&format!("jwks_url = \"http://{address}/jwks\"{more}"));
    for lazy in ["", ", load_at_start = false"] {
        let policy = Policy::from_toml_str(&text(lazy), folder.path()).expect("a policy");
        let keys = policy.remote_keys().pop().expect("remote keys");
        assert!(!keys.health().serves, "{lazy}");
    }
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a request");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("the request");
            head.extend(byte);
        }
        let length = JWKS.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{JWKS}"
        );
        stream.write_all(answer.as_bytes()).expect("the answer");
        String::from_utf8(head).expect("text")
    });
    let policy = Policy::from_toml_str(&text(", load_at_start = true"), folder.path());
    let keys = policy.expect("a policy").remote_keys().pop().expect("remote keys");
    assert!(keys.health().serves && keys.health().keys > 0);
    assert!(server.join().expect("a request").starts_with("GET /jwks HTTP/1.1\r\n"));
}

#[tokio::test]
async fn keys_are_fetched_from_the_address_that_is_said() {
    let (folder, nowhere) = (folder(), nowhere());
    let by_url = with_keys(&format!("jwks_url = \"{nowhere}/a/jwks?key=1\""));
    let discovered =
        with_keys("discovery = true").replace("https://a", &format!("{nowhere}/realm"));
    let beside = with_keys(&format!("jwks_file = \"jwks.json\", jwks_url = \"{nowhere}/b\""));
    for (text, url) in [
        (by_url, format!("{nowhere}/a/jwks")),
        (discovered, format!("{nowhere}/realm/.well-known/openid-configuration")),
        (beside, format!("{nowhere}/b")),
    ] {
        let policy = Policy::from_toml_str(&text, folder.path()).expect("a policy");
        let keys = policy.remote_keys().pop().expect("remote keys");
        let error = keys.refresh_now().await.expect_err("nobody listens");
        assert_eq!(error.url(), url);
    }
}

#[tokio::test]
async fn the_keys_of_a_tenant_are_fetched_from_its_own_address() {
    let (folder, nowhere) = (folder(), nowhere());
    for (keys, url) in [
        (format!("jwks_url = \"{nowhere}/keys/{{tenant}}\""), format!("{nowhere}/keys/acme")),
        ("discovery = true".to_owned(), format!("{nowhere}/acme/.well-known/openid-configuration")),
    ] {
        let text = with_template(&format!("{nowhere}/{{tenant}}"), &keys);
        let policy = Policy::from_toml_str(&text, folder.path()).expect("a policy");
        assert!(policy.remote_keys().is_empty(), "no tenant is known");
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"1"}"#);
        let claims = format!(r#"{{"iss":"{nowhere}/acme","aud":"b","exp":{}}}"#, i64::MAX / 2);
        let claims = URL_SAFE_NO_PAD.encode(claims);
        let signature = URL_SAFE_NO_PAD.encode([0; 64]);
        let refused = policy
            .verify_token(format!("{header}.{claims}.{signature}"))
            .await
            .expect_err("nobody listens");
        assert!(matches!(refused, Error::Key(KeyError::Unavailable(_))), "{refused}");
        let keys = policy.remote_keys().pop().expect("those of the tenant");
        assert_eq!(keys.issuer(), format!("{nowhere}/acme"));
        let error = keys.refresh_now().await.expect_err("nobody listens");
        assert_eq!(error.url(), url);
    }
}

#[test]
fn hosts_without_tls_are_those_that_are_named() {
    let text = with_keys("discovery = true").replace("https://a", "http://keycloak:8080/a");
    let hosts = |hosts: &str| format!("{text}dangerous = {{ allow_http = [{hosts}] }}");
    for hosts in [hosts("\"keycloak\""), hosts("\"other\", \"Keycloak\"")] {
        assert!(Policy::from_toml_str(&hosts, "").is_ok(), "{hosts}");
    }
    let error = RemoteJwksError::Address {
        address: "http://keycloak:8080/a".to_owned(),
        fault: AddressFault::PlainHttp,
    };
    let fault = PolicyFault::RemoteKeys { issuer: "http://keycloak:8080/a".to_owned(), error };
    for text in [text.clone(), hosts(""), hosts("\"other\"")] {
        assert_eq!(
            found(&text),
            [("issuer[0].id".to_owned(), ConfigProblem::Policy(fault.clone()))]
        );
    }
    for host in ["keycloak:8080", "http://keycloak", ""] {
        let refused = refused(&hosts(&format!("{host:?}"))).to_string();
        assert!(
            refused.contains("issuer[0].dangerous.allow_http: ")
                && refused.contains("`allow_http` must be a host, without scheme and port"),
            "{refused}"
        );
    }
    // What the hosts are is unclear: that the address needs one is not said.
    for (dangerous, place) in [
        ("{ allow_http = \"keycloak\" }", "issuer[0].dangerous.allow_http"),
        ("{ allow_http = [1] }", "issuer[0].dangerous.allow_http[0]"),
        ("{ allow_https = [\"keycloak\"] }", "issuer[0].dangerous.allow_https"),
        ("[\"keycloak\"]", "issuer[0].dangerous"),
    ] {
        let error = refused(&format!("{text}dangerous = {dangerous}"));
        assert_eq!(places(&error), [place], "{error}");
    }
}

/// A row of the table of settings that have a default: key, what it says, default.
fn documented() -> Vec<[&'static str; 3]> {
    let (_, table) = include_str!("../mod.rs")
        .split_once("//! | `issuer.keys`, beside `jwks_url` or `discovery`")
        .expect("the table");
    let rows = table.lines().skip(2).map_while(|line| line.strip_prefix("//! | `"));
    let rows: Vec<[&str; 3]> = rows
        .filter_map(|row| {
            let (key, rest) = row.split_once("` | ").expect("a key");
            let (says, default) = rest.rsplit_once(" | `")?;
            Some([key, says, default.trim_end_matches("` |")])
        })
        .collect();
    assert_eq!(rows.len(), 17, "{rows:?}");
    rows
}

#[test]
fn each_default_is_the_documented_one() {
    let plain = settings(&with_keys("discovery = true"));
    for [key, _, default] in documented() {
        let with =
            |value: &str| settings(&with_keys(&format!("discovery = true, {key} = {value}")));
        assert_eq!(with(default), plain, "{key}");
        let full = FULL.lines().find(|line| line.split(' ').next() == Some(key));
        let other = match full.and_then(|line| line.split_once("= ")).expect("a value").1 {
            "false" => "true",
            other => other,
        };
        assert_ne!(with(other), plain, "{key}");
    }
    let tenants = with_template("https://{tenant}", "discovery = true");
    assert_ne!(settings(&tenants), settings(&format!("{tenants}max_tenants = 999")));
    assert_ne!(settings(&tenants), settings(&format!("{tenants}tenant_interval = \"2s\"")));
    assert_ne!(settings(&tenants), settings(&format!("{tenants}tenant_burst = 49")));
    assert_ne!(settings(&tenants), settings(&format!("{tenants}known_tenants = [\"https://a\"]")));
    // Where the keys of a tenant may be has another default.
    let with = |value| {
        with_template("https://{tenant}", &format!("discovery = true, same_origin = {value}"))
    };
    assert_ne!(settings(&tenants), settings(&with("false")));
}

#[test]
fn each_setting_out_of_its_documented_bounds_is_a_fault_of_its_own() {
    let mut tested = BTreeSet::new();
    for (key, good, bad) in [
        ("fresh_for", "'1s' '24h'", "'0s' '24h 1s'"),
        ("min_fresh", "'1s' '1h'", "'0s' '1h 1s'"),
        ("max_fresh", "'1m' '24h'", "'24h 1s'"),
        ("refresh_at_percent", "1 90", "0 91 255 256 -1 9223372036854775807"),
        ("cool_down", "'1s' '1h'", "'0s' '1h 1s'"),
        ("max_wait", "'0s' '1ms' '60s'", "'60.001s'"),
        ("max_waiting", "0 100000", "100001 -1 9223372036854775807"),
        ("max_waiting_without_keys", "0 100000", "100001 -1 9223372036854775807"),
        ("first_retry", "'100ms' '60s'", "'99ms' '1h 1ms'"),
        ("max_retry", "'1s' '1.5s' '1h'", "'0s' '999ms' '1h 1s'"),
        ("max_stale", "'5m' '168h'", "'4m 59s' '168h 1s'"),
        ("connect_timeout", "'1ms' '60s'", "'0s' '61s'"),
        ("timeout", "'1ms' '60s'", "'0s' '61s'"),
        ("max_bytes", "1024 4194304", "0 1023 4194305 -1"),
        ("max_keys", "1 1000", "0 1001 -1"),
    ] {
        tested.insert(key);
        let values = |values: &'static str| {
            let mut is_quoted = false;
            let split = values.split(move |c| {
                is_quoted ^= c == '\'';
                c == ' ' && !is_quoted
            });
            split.map(|value| value.replace('\'', "\""))
        };
        for value in values(good) {
            let text = with_keys(&format!("discovery = true, {key} = {value}"));
            assert!(Policy::from_toml_str(&text, "").is_ok(), "{key} = {value}");
        }
        let [_, says, _] = documented().into_iter().find(|[own, ..]| *own == key).expect("a row");
        for value in values(bad) {
            for origin in ["discovery = true", "jwks_url = \"https://a\""] {
                let text = with_keys(&format!("{origin}, {key} = {value}"));
                let error = refused(&text);
                assert_eq!(places(&error), [format!("issuer[0].keys.{key}")], "{value}: {error}");
                let ConfigProblem::Policy(PolicyFault::RemoteKeys {
                    issuer,
                    error: RemoteJwksError::Settings(faults),
                }) = &error.faults()[0].problem
                else {
                    panic!("{error}");
                };
                assert_eq!(issuer, "https://a");
                let [fault] = &**faults else { panic!("{error}") };
                assert_eq!(fault.setting, key);
                assert!(says.ends_with(fault.allowed), "{key}: {says}: {}", fault.allowed);
                assert_eq!(
                    error.to_string(),
                    format!(
                        "the policy is refused:\n  - line 5: issuer[0].keys.{key}: issuer `https://a`: `{key}` must be {}",
                        fault.allowed
                    )
                );
                // Not only where nothing else is built of it.
                let of_builder = PolicyBuilder::from_toml_str(&text, "").expect_err("a fault");
                assert_eq!(of_builder, error);
            }
        }
    }
    let numbers: BTreeSet<_> = documented()
        .into_iter()
        .filter(|[_, _, default]| *default != "false")
        .map(|[key, ..]| key)
        .collect();
    assert_eq!(tested, numbers);
}

#[test]
fn settings_and_address_are_judged_at_once_and_in_every_issuer() {
    let text = r#"
[[issuer]]
id = "https://a"
audiences = ["b"]
algorithms = ["ES256"]
[issuer.keys]
cool_down = "2h"
jwks_url = "http://id.example/jwks"
max_bytes = 5
max_keys = "many"
load_at_start = true

[[issuer]]
id = "accounts.example"
audiences = ["b"]
algorithms = ["ES256"]
[issuer.keys]
discovery = true
timeout = "1h"

[[issuer]]
template = "https://id.example/{tenant}?a=b"
max_tenants = 0
audiences = ["b"]
algorithms = ["ES256"]
[issuer.keys]
discovery = true
max_wait = "61s"
"#;
    let plain = r#"this is plain `http`, and whoever is on the way could replace the keys; use `https`, or for a host of a private network call `.allow_http(dangerous::allow_http("keycloak"))` with the name of that host, in a policy file `dangerous.allow_http`"#;
    let template = "https://id.example/{tenant}?a=b";
    let expected = [
        "line 7: issuer[0].keys.cool_down: issuer `https://a`: `cool_down` must be 1 s to 1 h".to_owned(),
        format!("line 8: issuer[0].keys.jwks_url: issuer `https://a`: `http://id.example/jwks`: {plain}"),
        "line 9: issuer[0].keys.max_bytes: issuer `https://a`: `max_bytes` must be 1 KiB to 4 MiB".to_owned(),
        "line 10: issuer[0].keys.max_keys: is a string; write a number".to_owned(),
        "line 14: issuer[1].id: issuer `accounts.example`: `accounts.example`: this is not an absolute `https` URL".to_owned(),
        "line 19: issuer[1].keys.timeout: issuer `accounts.example`: `timeout` must be 1 ms to 60 s".to_owned(),
        format!("line 22: issuer[2].template: issuer `{template}`: `https://id.example/tenant`: the URL has a user name, a fragment or a query that it must not have: leave it out"),
        format!("line 23: issuer[2].max_tenants: issuer `{template}`: `max_tenants` must be at least 1"),
        format!("line 28: issuer[2].keys.max_wait: issuer `{template}`: `max_wait` must be 0 to 60 s"),
    ];
    assert_eq!(said(text), expected);
}

#[test]
fn a_bound_that_is_at_fault_itself_makes_no_fault_of_what_it_bounds() {
    let at = |key: &str| format!("issuer[0].keys.{key}");
    for (keys, expected) in [
        // Out of bounds, and the default of the other would be too.
        ("first_retry = \"2h\"", vec!["first_retry"]),
        ("max_fresh = \"0s\"", vec!["max_fresh"]),
        ("fresh_for = \"200h\"", vec!["fresh_for"]),
        ("max_fresh = \"25h\", min_fresh = \"26h\"", vec!["max_fresh"]),
        // Unreadable, so that the default bounds.
        ("max_fresh = \"1mo\", min_fresh = \"2h\"", vec!["max_fresh"]),
        ("first_retry = 1, max_retry = \"500ms\"", vec!["first_retry"]),
        ("fresh_for = \"\", max_stale = \"1m\"", vec!["fresh_for"]),
        // Fine, so that the other is at fault, said or not.
        ("max_fresh = \"30s\"", vec!["min_fresh"]),
        ("first_retry = \"2m\", max_retry = \"1m\"", vec!["max_retry"]),
        ("fresh_for = \"10m\", max_stale = \"9m\"", vec!["max_stale"]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(at).collect();
        let error = refused(&with_keys(&format!("discovery = true, {keys}")));
        assert_eq!(places(&error), expected, "{keys}: {error}");
        assert_eq!(error.faults()[0].line, Some(5), "{keys}");
    }
}

#[test]
fn durations_have_milliseconds_where_they_may_be_less_than_a_second() {
    for [key, _, default] in documented().iter().filter(|[.., default]| default.starts_with('"')) {
        let is_fine = matches!(
            *key,
            "max_wait" | "first_retry" | "max_retry" | "connect_timeout" | "timeout"
        );
        let (half, expected) = if is_fine {
            let message = "is not a duration of whole milliseconds; write days, hours, minutes, seconds and milliseconds: \"1s 500ms\"";
            ("1.0005s", (ConfigProblem::FineDuration, message))
        } else {
            let message = "is not a duration of whole seconds; write days, hours, minutes and seconds: \"30d\", \"1h 30m\"";
            ("1s 500ms", (ConfigProblem::Duration, message))
        };
        for value in [half, "", "30", "-1s", "1mo", "P1D", "soon"] {
            let problem = found(&with_keys(&format!("discovery = true, {key} = \"{value}\"")));
            assert_eq!(problem, [(format!("issuer[0].keys.{key}"), expected.0.clone())], "{value}");
            assert_eq!(problem[0].1.to_string(), expected.1);
        }
        let value = default.trim_matches('"');
        let is_read = |value: &str| {
            let text = with_keys(&format!("discovery = true, {key} = \"{value}\""));
            PolicyBuilder::from_toml_str(&text, "").is_ok()
        };
        assert!(is_read(value));
        assert_eq!(is_read(&format!("{value} 500ms")), is_fine, "{key}");
    }
}

/// What says nothing or cannot stand there.
#[test]
fn keys_that_do_not_go_together_are_refused_with_their_place() {
    const FETCHED: &[&str] = &["jwks_url", "discovery"];
    let url = "jwks_url = \"https://a/jwks\"";
    let conflict = |with: &str| ConfigProblem::Conflict { with: with.to_owned() };
    let wrong = |expected: &'static str, found| ConfigProblem::WrongType {
        expected: expected.into(),
        found,
    };
    let one = |place: &str, problem: ConfigProblem| vec![(format!("issuer[0].{place}"), problem)];
    let plain = with_keys("discovery = true");
    let template = |keys: &str| with_template("https://a/{tenant}", keys);
    let error = RemoteJwks::discovery().timeout(Duration::MAX).start_for("").expect_err("a fault");
    let timeout =
        ConfigProblem::Policy(PolicyFault::RemoteKeys { issuer: "https://a".to_owned(), error });
    let missing = || ConfigProblem::MissingOneOf {
        keys: &["jwks_url", "discovery", "jwks_file", "pem_file", "secrets"],
    };
    for (text, expected) in [
        (
            with_keys(&format!("{url}, discovery = true")),
            one("keys.discovery", conflict("issuer[0].keys.jwks_url")),
        ),
        (with_keys("discovery = false"), one("keys", missing())),
        (with_keys(""), one("keys", missing())),
        (
            with_keys("jwks_url = 7"),
            one("keys.jwks_url", wrong("the address of a JWK set: \"https://…\"", "an integer")),
        ),
        (
            with_keys("discovery = \"yes\""),
            one("keys.discovery", wrong("true or false", "a string")),
        ),
        (
            with_keys(&format!("{url}, discovery = \"yes\"")),
            one("keys.discovery", wrong("true or false", "a string")),
        ),
        (
            with_keys("discovery = false, cool_down = \"30s\""),
            [
                one("keys.cool_down", ConfigProblem::NeedsOneOf { keys: FETCHED }),
                one("keys", missing()),
            ]
            .concat(),
        ),
        (
            with_keys("jwks_file = \"jwks.json\", timeout = \"2h\""),
            [
                one("keys.timeout", ConfigProblem::NeedsOneOf { keys: FETCHED }),
                one("keys.timeout", timeout.clone()),
            ]
            .concat(),
        ),
        // What is said of an address that is unclear is judged all the same.
        (
            with_keys("jwks_url = 7, max_keys = true"),
            [
                one(
                    "keys.jwks_url",
                    wrong("the address of a JWK set: \"https://…\"", "an integer"),
                ),
                one("keys.max_keys", wrong("a number", "a boolean")),
            ]
            .concat(),
        ),
        (
            format!(
                "{}dangerous = {{ allow_http = [\"a\"] }}",
                with_keys("jwks_file = \"jwks.json\"")
            ),
            one(
                "dangerous.allow_http",
                ConfigProblem::NeedsOneOf { keys: &["keys.jwks_url", "keys.discovery"] },
            ),
        ),
        (
            format!("{plain}template = \"https://{{tenant}}\""),
            one("template", conflict("issuer[0].id")),
        ),
        (
            format!("{plain}template = \"https://{{tenant}}\"\nmax_tenants = 7"),
            one("template", conflict("issuer[0].id")),
        ),
        (
            plain.replace("id = \"https://a\"", ""),
            vec![(
                "issuer[0]".to_owned(),
                ConfigProblem::MissingOneOf { keys: &["id", "template"] },
            )],
        ),
        (
            plain.replace("id = \"https://a\"", "template = 7"),
            one("template", wrong("a string: what stands in `iss`", "an integer")),
        ),
        (
            format!("{plain}max_tenants = 7"),
            one("max_tenants", ConfigProblem::Needs { key: "template" }),
        ),
        (
            format!("{plain}tenant_interval = \"2s\""),
            one("tenant_interval", ConfigProblem::Needs { key: "template" }),
        ),
        (
            format!("{plain}known_tenants = []\ntenant_burst = 1"),
            [
                one("known_tenants", ConfigProblem::Needs { key: "template" }),
                one("tenant_burst", ConfigProblem::Needs { key: "template" }),
            ]
            .concat(),
        ),
        (
            format!("{}known_tenants = \"acme\"", template("discovery = true")),
            one(
                "known_tenants",
                wrong(
                    "a list of issuers as they stand in `iss`: [\"https://id.example/acme\"]",
                    "a string",
                ),
            ),
        ),
        (
            format!("{}tenant_interval = 2", template("discovery = true")),
            one("tenant_interval", wrong("a duration with its unit: \"15m\"", "an integer")),
        ),
        (
            format!("{}max_tenants = \"7\"", template("discovery = true")),
            one("max_tenants", wrong("a number", "a string")),
        ),
        (
            format!("{}max_tenants = -1", template("discovery = true")),
            one("max_tenants", ConfigProblem::OutOfRange { expected: "1 or more" }),
        ),
        (
            template("discovery = true, load_at_start = true"),
            one("keys.load_at_start", conflict("issuer[0].template")),
        ),
        (
            with_keys("discovery = true").replace("EdDSA", "HS256"),
            one(
                "algorithms",
                ConfigProblem::Policy(PolicyFault::UnusableAlgorithm {
                    issuer: "https://a".to_owned(),
                    algorithm: Algorithm::HS256,
                }),
            ),
        ),
        (
            format!("{}\n[dangerous]\nallow_http = [\"a\"]", plain),
            vec![(
                "dangerous.allow_http".to_owned(),
                ConfigProblem::UnknownKey {
                    nearest: None,
                    known: vec!["unlimited_lifetime", "long_lifetime", "query_parameter", "cookie"],
                    is_of_top_level: false,
                },
            )],
        ),
    ] {
        assert_eq!(found(&text), expected, "{text}");
    }
    assert_eq!(
        said(&with_keys("jwks_file = \"jwks.json\", timeout = \"5s\"")),
        ["line 5: issuer[0].keys.timeout: has no effect without one of `jwks_url`, `discovery`"]
    );
    // A template that may be loaded, were it not for all tenants at once.
    assert!(
        Policy::from_toml_str(&template("discovery = true, load_at_start = false"), "").is_ok()
    );
}

#[test]
fn each_setting_says_nothing_where_nothing_is_fetched() {
    let folder = folder();
    for [key, _, default] in documented() {
        let beside = |origin: &str| with_keys(&format!("{origin}, {key} = {default}"));
        let needs = ConfigProblem::NeedsOneOf { keys: &["jwks_url", "discovery"] };
        let place = format!("issuer[0].keys.{key}");
        assert_eq!(found(&beside("jwks_file = \"jwks.json\"")), [(place, needs)], "{key}");
        let text = beside("jwks_file = \"jwks.json\", discovery = true");
        assert!(Policy::from_toml_str(&text, folder.path()).is_ok(), "{key}");
        // Told so where the feature is off.
        assert!(
            include_str!("../read/no_remote.rs").contains(&format!("    \"{key}\",\n")),
            "{key}"
        );
    }
}

#[test]
fn templates_are_held_to_what_a_policy_holds_them_to() {
    let of = |template: &str| with_template(template, "discovery = true");
    for bad in ["https://a/", "https://{tenant}.a/{tenant}", "{Tenant}", "{tenant"] {
        let fault = PolicyFault::Template { issuer: bad.to_owned() };
        assert_eq!(
            found(&of(bad)),
            [("issuer[0].template".to_owned(), ConfigProblem::Policy(fault))]
        );
    }
    let empty =
        [("issuer[0].template".to_owned(), ConfigProblem::Policy(PolicyFault::EmptyIssuer))];
    assert_eq!(found(&of("")), empty, "and not also that it has no tenant");
    assert_eq!(
        said(&of("https://a/")),
        [
            "line 2: issuer[0].template: issuer `https://a/`: a template must have exactly one `{tenant}`, which must not be a whole host name, the end of one, or all of one before a public suffix such as `com` or `co.uk`; for an issuer without tenants, call `Issuer::new` with its identifier"
        ]
    );

    let name = "https://a/{tenant}";
    let twice = PolicyFault::DuplicateIssuer { issuer: name.to_owned() };
    let twice = |place: &str| [(place.to_owned(), ConfigProblem::Policy(twice.clone()))];
    let file = with_keys("jwks_file = \"jwks.json\"");
    let one = file.replace("id = \"https://a\"", &format!("id = \"{name}\""));
    assert_eq!(found(&format!("{}{}", of(name), of(name))), twice("issuer[1].template"));
    assert_eq!(found(&format!("{}{one}", of(name))), twice("issuer[1].id"));
    let braces = ConfigProblem::Policy(PolicyFault::Braces { issuer: name.to_owned() });
    let braces = [("issuer[0].id".to_owned(), braces)];
    let both = [&braces[..], &twice("issuer[1].template")].concat();
    assert_eq!(found(&format!("{one}{}", of(name))), both);
    assert!(
        Policy::from_toml_str(&format!("{}{}", of(name), of("https://b/{tenant}")), "").is_ok()
    );
}

#[test]
fn other_faults_of_a_template_have_a_place_too() {
    let text = with_template("https://a/{tenant}", "secrets = [{ file = \"short.key\" }]")
        .replace("EdDSA", "HS256")
        .replace("[\"b\"]", "[]")
        + "token_type = []\nclaims = { leeway = \"1h\" }\n";
    assert_eq!(
        places(&refused(&text)),
        [
            "issuer[0].audiences",
            "issuer[0].keys.secrets[0]",
            "issuer[0].token_type",
            "issuer[0].claims.leeway",
        ]
    );
}

#[test]
fn a_proxy_is_an_address_without_user_and_path() {
    let allowed = "`http://` or `https://` and a host, perhaps with a port, without user and path";
    let error = RemoteJwksError::Settings(vec![SettingFault { setting: "proxy", allowed }]);
    let fault =
        ConfigProblem::Policy(PolicyFault::RemoteKeys { issuer: "https://a".to_owned(), error });
    for proxy in ["proxy.internal:3128", "http://user:hunter2@proxy.internal", "http://a/b", ""] {
        let text = with_keys(&format!("discovery = true, proxy = \"{proxy}\""));
        assert_eq!(found(&text), [("issuer[0].keys.proxy".to_owned(), fault.clone())], "{proxy}");
        assert!(!refused(&text).to_string().contains("hunter2"));
    }
    let unused = with_keys("jwks_file = \"jwks.json\", proxy = \"http://proxy.internal\"");
    assert_eq!(places(&refused(&unused)), ["issuer[0].keys.proxy"]);
    // Told so where the feature is off.
    assert!(include_str!("../read/no_remote.rs").contains("    \"proxy\",\n"));
    let none = settings(&with_keys("discovery = true"));
    assert_ne!(settings(&with_keys("discovery = true, proxy = \"http://a:3128\"")), none);
}

#[test]
fn an_issuer_named_by_its_metadata_or_with_braces_is_said_once_and_of_its_name() {
    let discovered = |id: &str| with_keys("discovery = true").replace("https://a", id);
    for id in ["https://a/.well-known/openid-configuration", "https://a/{tenantid}/v2.0"] {
        assert_eq!(places(&refused(&discovered(id))), ["issuer[0].id"], "{id}");
    }
}

#[test]
fn an_address_at_fault_has_the_place_of_what_says_it() {
    let fault = |issuer: &str, address: &str, fault| {
        let error = RemoteJwksError::Address { address: address.to_owned(), fault };
        ConfigProblem::Policy(PolicyFault::RemoteKeys { issuer: issuer.to_owned(), error })
    };
    use AddressFault::{Extra, NotAUrl, PlainHttp};
    let url = |url: &str| with_keys(&format!("jwks_url = \"{url}\", jwks_file = \"jwks.json\""));
    let discovered = |id: &str| with_keys("discovery = true").replace("https://a", id);
    for (text, place, problem) in [
        (url(""), "keys.jwks_url", fault("https://a", "", NotAUrl)),
        (url("id.example"), "keys.jwks_url", fault("https://a", "id.example", NotAUrl)),
        (url("http://b/k"), "keys.jwks_url", fault("https://a", "http://b/k", PlainHttp)),
        (url("https://b/#k"), "keys.jwks_url", fault("https://a", "https://b/", Extra)),
        (
            url("https://b/{tenant}"),
            "keys.jwks_url",
            fault("https://a", "https://b/{tenant}", AddressFault::Tenant),
        ),
        (discovered("a"), "id", fault("a", "a", NotAUrl)),
        (discovered("http://a"), "id", fault("http://a", "http://a", PlainHttp)),
        (discovered("https://a?b"), "id", fault("https://a?b", "https://a", Extra)),
        (
            with_template("http://a/{tenant}", "discovery = true"),
            "template",
            fault("http://a/{tenant}", "http://a/tenant", PlainHttp),
        ),
        (
            with_template("https://a/{tenant}", "jwks_url = \"http://{tenant}.b.c/\""),
            "keys.jwks_url",
            fault("https://a/{tenant}", "http://tenant.b.c/", PlainHttp),
        ),
        (
            with_template("https://a/{tenant}", "jwks_url = \"https://{tenant}.b/\""),
            "keys.jwks_url",
            fault("https://a/{tenant}", "https://{tenant}.b/", AddressFault::TenantHost),
        ),
    ] {
        assert_eq!(found(&text), [(format!("issuer[0].{place}"), problem)], "{text}");
    }
    // Of an identifier that is at fault, it is not said as well that it is no address.
    let nameless = with_keys("discovery = true").replace("id = \"https://a\"\n", "");
    assert_eq!(places(&refused(&nameless)), ["issuer[0]"]);
    assert_eq!(places(&refused(&nameless.replace("keys", "id = 7\nkeys"))), ["issuer[0].id"]);
    assert_eq!(places(&refused(&discovered(""))), ["issuer[0].id"]);
    let twice = with_keys("discovery = true").repeat(2);
    assert_eq!(places(&refused(&twice)), ["issuer[1].id"]);
}

#[test]
fn a_first_fetch_that_fails_has_the_place_of_what_asks_for_it() {
    let nowhere = nowhere();
    let keys = format!("\n  jwks_url = \"{nowhere}/jwks\",\n  load_at_start = true,\n");
    let error = refused(&with_keys(&keys));
    let [fault] = error.faults() else { panic!("{error}") };
    assert_eq!((fault.line, fault.place.as_str()), (Some(7), "issuer[0].keys.load_at_start"));
    let ConfigProblem::Policy(PolicyFault::RemoteKeys {
        error: RemoteJwksError::FirstFetch(first),
        ..
    }) = &fault.problem
    else {
        panic!("{error}");
    };
    assert_eq!(first.url(), format!("{nowhere}/jwks"));
    assert!(matches!(first.fault(), KeyFetchFault::Fetch(FetchFault::Connection(_))), "{first}");
    let start =
        format!("line 7: issuer[0].keys.load_at_start: issuer `https://a`: {nowhere}/jwks: ");
    assert!(fault.to_string().starts_with(&start), "{fault}");
}

#[test]
fn a_builder_of_which_the_first_fetch_is_still_to_come_has_no_fault() {
    let text = with_keys(&format!("jwks_url = \"{}\", load_at_start = true", nowhere()));
    let builder = PolicyBuilder::from_toml_str(&text, "").expect("settings");
    assert!(builder.build().is_err());
}

#[test]
fn no_setting_of_remote_keys_is_forgotten() {
    let (_, fields) = include_str!("../../keys/remote/settings.rs")
        .split_once("pub(crate) struct Settings {\n")
        .expect("the settings");
    let (fields, _) = fields.split_once("\n}").expect("their end");
    let fields: BTreeSet<_> = fields
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub(crate) ")?.split(':').next())
        .collect();
    let known = documented().into_iter().map(|[key, ..]| key);
    assert_eq!(known.chain(["proxy"]).collect::<BTreeSet<_>>(), fields);
}

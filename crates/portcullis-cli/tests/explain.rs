//! Who has a token that is refused finds out why with one command, and the token stays with him.
mod common;

use std::path::Path;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use insta::assert_snapshot;
use portcullis_testkit::key_server::{Answer, KeyServer};
use serde_json::Value;

use self::common::{NOW, Ran, Trial, portcullis, portcullis_in, settings, with_part};

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("no JSON: {ran:?}"))
}

#[test]
fn as_a_new_user_would() {
    let trial = Trial::new();
    assert_eq!(trial.explain(&trial.token, &[]).code, 0);
    settings().bind(|| assert_snapshot!("accepted", trial.explain(&trial.token, &[]).snapshot()));

    let expired = trial.mint(&["--expires-in=-10m"]);
    settings().bind(|| assert_snapshot!("expired", trial.explain(&expired, &[]).snapshot()));

    let for_others = trial.mint(&["--audience", "https://bills.example"]);
    settings().bind(|| assert_snapshot!("audience", trial.explain(&for_others, &[]).snapshot()));

    // Of the same names, and signed by a key that nobody knows.
    let other_key = portcullis(trial.folder.path(), &["mint", "--at", NOW], "").stdout;
    settings().bind(|| assert_snapshot!("signature", trial.explain(other_key, &[]).snapshot()));

    let stranger = trial.mint(&["--issuer", "https://id.example/"]);
    settings().bind(|| assert_snapshot!("issuer", trial.explain(stranger, &[]).snapshot()));

    settings().bind(|| assert_snapshot!("no-token", trial.explain("hello", &[]).snapshot()));
}

#[test]
fn each_kind_of_refusal_names_its_step() {
    let trial = Trial::new();
    trial.write(
        "policy.toml",
        r#"
        refuse_brought_keys = true
        [[issuer]]
        id = "https://id.example"
        audiences = ["https://api.example"]
        algorithms = ["ES256"]
        keys = { jwks_file = "jwks.json" }
        require_key_id = true
        [claims]
        max_lifetime = "1h"
        max_age = "30m"
        required = ["department"]
        exact = { tenant = "acme" }
        "#,
    );
    let mint = |more: &[&str]| {
        trial.mint(&[&["--claim", "tenant=acme", "--claim", "department=7"], more].concat())
    };
    assert_eq!(trial.explain(mint(&[]), &[]).code, 0);
    let with_header = |header: &str| with_part(&mint(&[]), 0, &base64url(header));
    for (reason, step, token) in [
        ("too_large", "token", mint(&["--claim", &format!("pad={}", "x".repeat(20_000))])),
        ("malformed", "token", "a.b".to_owned()),
        ("malformed", "token", mint(&["--claim", "exp=soon"])),
        ("unknown_algorithm", "token", with_header(r#"{"alg":"none"}"#)),
        ("unknown_issuer", "issuer", mint(&["--issuer", "https://evil.example"])),
        ("wrong_algorithm", "issuer", mint(&["--alg", "EdDSA"])),
        ("embedded_key", "issuer", with_header(r#"{"alg":"ES256","jku":"https://evil.example"}"#)),
        ("wrong_type", "screen", with_header(r#"{"alg":"ES256","typ":"logout+jwt"}"#)),
        ("wrong_audience", "screen", mint(&["--audience", "https://bills.example"])),
        ("expired", "screen", mint(&["--expires-in=-31s"])),
        ("unknown_key", "key", with_header(r#"{"alg":"ES256","kid":"es256-77"}"#)),
        ("ambiguous_key", "key", with_header(r#"{"alg":"ES256"}"#)),
        ("bad_signature", "signature", with_header(r#"{"alg":"ES256","kid":"es256-1"}"#)),
        ("not_yet_valid", "claims", mint(&["--claim", "nbf=1800000031"])),
        ("issued_in_future", "claims", mint(&["--claim", "iat=1800000031"])),
        ("lives_too_long", "claims", mint(&["--expires-in", "2h"])),
        ("too_old", "claims", mint(&["--claim", "iat=1799998000"])),
        ("sender_constrained", "claims", mint(&["--claim", r#"cnf={"jkt":"x"}"#])),
        ("wrong_type", "claims", mint(&["--claim", "at_hash=x"])),
        ("claim_missing", "claims", mint(&["--claim", "department=null"])),
        ("claim_rule", "claims", mint(&["--claim", "tenant=globex"])),
    ] {
        let ran = trial.explain(&token, &["--json"]);
        let value = json(&ran);
        assert_eq!(ran.code, 1, "{reason}");
        assert_eq!(
            (&value["error"]["reason"], &value["refused_by"]),
            (&reason.into(), &step.into())
        );
    }
}

#[test]
fn the_json_is_documented_by_this() {
    let trial = Trial::new();
    let token = trial.mint(&["--scope", "orders:read", "--expires-in=-10m"]);
    settings().bind(|| assert_snapshot!("json", trial.explain(token, &["--json"]).snapshot()));
    let ran = trial.run(&["explain", "-p", "none.toml", "--json"], &trial.token);
    settings().bind(|| assert_snapshot!("json-fault", ran.snapshot()));
}

#[test]
fn a_token_comes_in_whatever_is_at_hand() {
    let trial = Trial::new();
    let token = &trial.token;
    let json = format!("{{\"access_token\":\"{token}\",\"token_type\":\"Bearer\"}}");
    let form = format!("grant_type=x&token={}", token.replace('.', "%2E"));
    for (input, said) in [
        (token.clone(), ""),
        (format!("Bearer {token}"), "left out \"Bearer\""),
        (format!("\"{token}\""), "left out the quotes"),
        (format!("Authorization: Bearer {token}\r\n"), "took it from \"Authorization\""),
        (
            format!("curl -H 'Authorization: Bearer {token}' https://api.example"),
            "took it from \"Authorization\"",
        ),
        (json.clone(), "took it from \"access_token\""),
        (json.replace("access_token", "id_token"), "took it from \"id_token\""),
        (json.replace("access_token", "token"), "took it from \"token\""),
        (form, "decoded its percent signs, took it from \"token\""),
        (folded(token, 60), "joined 6 lines"),
        (folded(&json, 60), "took it from \"access_token\", joined 6 lines"),
        (format!("\u{feff}{token}"), "left out a byte order mark"),
    ] {
        let by_input = trial.explain(&input, &[]);
        trial.write("token", &input);
        let by_file = trial.explain("", &["--file", "token"]);
        let by_argument = trial.explain("", &[&input]);
        for (ran, name) in
            [(by_input, "standard input"), (by_file, "token"), (by_argument, "the argument")]
        {
            assert_eq!(ran.code, 0, "{input}: {ran:?}");
            let said = if said.is_empty() { String::new() } else { format!("{name}: {said}\n") };
            assert_eq!(ran.stderr, said, "{input}");
        }
    }
    let refused = trial.explain("", &[]);
    assert!(refused.code == 2 && refused.stderr.contains("there is no token"), "{refused:?}");
    assert_eq!(trial.explain("", &["--file", "none"]).code, 2);
    assert_eq!(trial.explain("", &["--file", "token", token]).code, 2);
    trial.write("token", token);
    let file = trial.explain("", &["token"]);
    assert!(file.code == 2 && file.stderr.contains("--file"), "{file:?}");
}

#[test]
fn a_token_may_be_utf_16() {
    let trial = Trial::new();
    let units = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect()
    };
    let text = format!("Authorization: Bearer {}\r\n", trial.token);
    for bytes in [u16::to_le_bytes as fn(_) -> _, u16::to_be_bytes] {
        let input = units(&text, bytes);
        let ran = trial.explain(&input, &[]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let said = "standard input: read it as UTF-16, took it from \"Authorization\"\n";
        assert_eq!(ran.stderr, said);
        std::fs::write(trial.folder.path().join("token"), &input).unwrap();
        assert_eq!(trial.explain("", &["--file", "token"]).code, 0);
        let ran = trial.explain(&input[..input.len() - 1], &[]);
        assert!(ran.code == 2 && ran.stderr.contains("UTF-16"), "{ran:?}");
    }
}

#[test]
fn of_two_tokens_none_is_guessed() {
    let trial = Trial::new();
    let other = trial.mint(&["--subject", "bob"]);
    let both = format!("{{\"access_token\":\"{}\",\"id_token\":\"{other}\"}}", trial.token);
    for input in [both.clone(), format!("{}\n{other}", trial.token)] {
        let ran = trial.explain(&input, &[]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains("there are 2 different tokens"), "{ran:?}");
    }
    let ran = trial.explain(&both, &["--from", "access_token", "--json"]);
    assert_eq!((ran.code, &json(&ran)["token"]["claims"]["sub"]), (0, &"alice".into()));
    let ran = trial.explain(&both, &["--from", "id_token", "--json"]);
    assert_eq!(json(&ran)["token"]["claims"]["sub"], "bob");
    assert_eq!(trial.explain(&both, &["--from", "refresh_token"]).code, 2);
}

/// As `fold -w` does.
fn folded(text: &str, width: usize) -> String {
    let lines: Vec<_> = text.as_bytes().chunks(width).map(String::from_utf8_lossy).collect();
    lines.join("\n") + "\n"
}

#[test]
fn a_scope_that_a_route_asks_for_is_asked_for() {
    let trial = Trial::new();
    let token = trial.mint(&["--scope", "orders:read"]);
    assert_eq!(trial.explain(&token, &["--scope", "orders:read"]).code, 0);
    let ran = trial.explain(&token, &["--scope", "orders:write"]);
    assert_eq!(ran.code, 1);
    let words = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("the scope `orders:write`"), "{ran:?}");
    assert_eq!(trial.explain(&token, &["--scope", "two words"]).code, 2);

    // As several providers send them: each item is one scope.
    let listed = trial.mint(&["--claim", r#"scope=["openid","orders:read"]"#]);
    assert_eq!(trial.explain(&listed, &["--scope", "orders:read"]).code, 0);
    assert_eq!(trial.explain(&listed, &["--scope", "orders:write"]).code, 1);
}

#[test]
fn keys_are_fetched_where_the_policy_says_so() {
    let trial = Trial::new();
    let set = std::fs::read_to_string(trial.folder.path().join("jwks.json")).unwrap();
    let server = KeyServer::start();
    server.answer("/jwks.json", Answer::json(set));
    trial.write(
        "policy.toml",
        &format!(
            r#"
            [[issuer]]
            id = "https://id.example"
            audiences = ["https://api.example"]
            algorithms = ["ES256"]
            keys = {{ jwks_url = "{}" }}
            "#,
            server.url("/jwks.json")
        ),
    );
    let ran = trial.explain(&trial.token, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("jwks.json, fetched"), "{ran:?}");
}

#[test]
fn keys_that_cannot_be_had_are_nobodys_fault_but_a_reason() {
    let trial = Trial::new();
    // A port that nobody listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    trial.write(
        "policy.toml",
        &format!(
            r#"
            [[issuer]]
            id = "https://id.example"
            audiences = ["https://api.example"]
            algorithms = ["ES256"]
            keys = {{ jwks_url = "http://{free}/jwks.json" }}
            "#
        ),
    );
    let ran = trial.explain(&trial.token, &[]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(
        ran.stdout.contains("keys_unavailable") && ran.stdout.contains("last error"),
        "{ran:?}"
    );
}

#[test]
fn a_policy_at_fault_is_told_by_line_and_place() {
    let trial = Trial::new();
    trial.write("policy.toml", "[[issuer]]\nid = \"https://id.example\"\naudience = [\"a\"]\n");
    settings().bind(|| {
        assert_snapshot!("policy-fault", trial.explain(&trial.token, &[]).snapshot());
    });
}

#[test]
fn no_token_is_ever_echoed() {
    let trial = Trial::new();
    let secrets = tempfile::tempdir().unwrap();
    let hs = |more: &[&str]| {
        let arguments =
            [&["mint", "--alg", "HS256", "--policy-out", ".", "--at", NOW], more].concat();
        portcullis(secrets.path(), &arguments, "").stdout.trim_end().to_owned()
    };
    let hs_tokens = [hs(&[]), hs(&["--expires-in=-1h"])];
    let secret = std::fs::read_to_string(secrets.path().join("test-key-hs256")).unwrap();
    let shortened = trial.token.split_once('.').unwrap().1.to_owned();
    let doubled = format!("{0}.{0}", trial.token);
    let tokens = [
        trial.token.clone(),
        trial.mint(&["--expires-in=-1h"]),
        trial.mint(&["--issuer", "https://evil.example"]),
        with_part(&trial.token, 0, &base64url(r#"{"alg":"none"}"#)),
        with_part(&trial.token, 1, "e30"),
        shortened,
        doubled,
    ];
    let check = |folder: &Path, token: &str| {
        let policies = ["policy.toml", "none.toml", "jwks.json"];
        for policy in policies {
            for json in [&["--json"][..], &[]] {
                let signature = token.rsplit('.').next().unwrap();
                let at = ["explain", "--policy", policy, "--at", NOW];
                for (arguments, input) in [
                    ([&at[..], json].concat(), token),
                    ([&at[..], json, &[token]].concat(), ""),
                    ([&["decode"], json].concat(), token),
                    ([&["decode", token], json].concat(), ""),
                    // Where it does not belong.
                    ([&["check", token], json].concat(), token),
                    ([&["keys", token], json].concat(), token),
                    ([&["keys", "policy.toml", token], json].concat(), token),
                    ([&["explain", "--policy", token], json].concat(), token),
                    ([&["explain", "--policy", policy, "--at", token], json].concat(), token),
                    ([&[token], json].concat(), token),
                ] {
                    let ran = portcullis(folder, &arguments, input);
                    let text = ran.all().replace(['\n', ' '], "");
                    assert!(!text.contains(&secret), "{arguments:?}");
                    assert!(
                        signature.len() < 20 || !text.contains(signature),
                        "{arguments:?}: {ran:?}"
                    );
                    assert!(!text.contains(token), "{arguments:?}: {ran:?}");
                }
            }
        }
    };
    tokens.iter().for_each(|token| check(trial.folder.path(), token));
    hs_tokens.iter().for_each(|token| check(secrets.path(), token));
}

#[test]
fn hostile_input_is_bounded_and_shown_escaped() {
    let trial = Trial::new();
    let ran = trial.explain(vec![b'a'; 10 * 1024 * 1024], &[]);
    assert_eq!(ran.code, 2);
    assert_eq!(trial.explain([0xff, 0, 0x1b, b'['], &[]).code, 1);
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    assert_eq!(trial.explain(with_part(&trial.token, 1, &base64url(&deep)), &[]).code, 1);
    let deep = format!(r#"{{"a":{deep}}}"#);
    assert_eq!(trial.explain(with_part(&trial.token, 1, &base64url(&deep)), &[]).code, 1);

    let bad = "\u{1b}[2J\u{202e}\u{9b}x\u{7}";
    let header = format!(r#"{{"alg":"ES256","kid":{},"typ":"JWT"}}"#, Value::from(bad));
    let claims = trial.mint(&["--claim", &format!("{bad}={bad}"), "--issuer", bad]);
    for token in [with_part(&trial.token, 0, &base64url(&header)), claims] {
        for more in [&["--json"][..], &[]] {
            let ran = trial.explain(&token, more);
            let all = ran.all();
            assert!(!all.contains(['\u{1b}', '\u{202e}', '\u{9b}', '\u{7}']), "{all:?}");
        }
    }
}

/// The widest line of more than one word.
fn widest(ran: &Ran) -> usize {
    let lines = ran.stdout.lines().chain(ran.stderr.lines());
    let several = lines.filter(|line| line.split_whitespace().count() > 1);
    several.map(|line| line.chars().count()).max().unwrap_or(0)
}

#[test]
fn lines_are_as_wide_as_the_columns_and_words_are_whole() {
    let trial = Trial::new();
    let audience = "https://api.example/orders";
    let wide = "wide words ".repeat(40);
    let token = trial.mint(&["--claim", &format!("text={wide}"), "--audience", audience]);
    let explain = ["explain", "--policy", "policy.toml", "--at", NOW];
    for columns in ["50", "60", "72", "120"] {
        for arguments in [&explain[..], &["check", "policy.toml"], &["decode", "--at", NOW]] {
            let ran = portcullis_in(columns, trial.folder.path(), arguments, &token);
            assert!(widest(&ran) <= columns.parse::<usize>().unwrap(), "{columns}: {}", ran.stdout);
            let is_of_token = arguments[0] != "check";
            assert!(!is_of_token || ran.stdout.contains(&format!("\"{audience}\"")), "{ran:?}");
        }
    }
    // Where nobody says how wide they are.
    let ran = trial.explain(&token, &[]);
    assert!(widest(&ran) <= 80, "{}", ran.stdout);
    settings().bind(|| {
        let ran = portcullis_in("50", trial.folder.path(), &explain, &token);
        assert_snapshot!("narrow", ran.snapshot());
    });
    for strange in ["0", "1", "-5", "x", "99999999999999999999"] {
        let ran = portcullis_in(strange, trial.folder.path(), &explain, &trial.token);
        assert_eq!(ran.code, 0, "{strange}: {ran:?}");
    }
}

fn base64url(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let number = chunk.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        let number = number << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            let index = number >> (18 - 6 * at) & 63;
            out.push(char::from(ALPHABET[index as usize]));
        }
    }
    out
}

/// Texts in base64url, and the three parts of a token that nobody made: like any number of others.
fn strange_tokens() -> impl Iterator<Item = [String; 3]> {
    let headers = [
        r#"{"alg":"ES256"}"#,
        r#"{ "alg" : "ES256" }"#,
        "{\n  \"alg\": \"ES256\"\n}",
        " {\"kid\":\"\u{e9}\",\"alg\":\"HS256\"}",
        "not an object at all, and long enough",
    ];
    let mut state = 7_u64;
    let mut random = move |length: usize| {
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        BASE64_URL_SAFE_NO_PAD.encode((0..length).map(|_| byte()).collect::<Vec<_>>())
    };
    headers.into_iter().flat_map(move |header| {
        [
            [BASE64_URL_SAFE_NO_PAD.encode(header), random(90), random(64)],
            [
                BASE64_URL_SAFE_NO_PAD.encode(header),
                BASE64_URL_SAFE_NO_PAD.encode(r#"{"iss":"https://id.example","at":"\n"}"#),
                random(32),
            ],
        ]
    })
}

#[test]
fn no_output_holds_claims_or_signature_as_they_came() {
    let trial = Trial::new();
    let held = trial.mint(&["--claim", &format!("inner={}", trial.token)]);
    let mut tokens: Vec<[String; 3]> = strange_tokens().collect();
    let own = held.split('.').map(str::to_owned).collect::<Vec<_>>();
    tokens.push(own.try_into().expect("three parts"));
    for parts in tokens {
        let token = parts.join(".");
        let encoded = token.replace('.', "%2E");
        let address = format!("http://127.0.0.1:1/keys/{token}?token={encoded}#{token}");
        let twice = format!("{token}.{}.{}", parts[1], parts[2]);
        let runs: [&[&str]; 14] = [
            &["decode"],
            &["decode", &token],
            &["decode", "--file", &token],
            &["decode", "--from", &token, &twice],
            &["explain", "--policy", "policy.toml"],
            &["explain", "--policy", "policy.toml", &token],
            &["explain", "--policy", "policy.toml", &twice],
            &["explain", "--policy", "policy.toml", &encoded],
            &["explain", "--policy", &token],
            &["check", &token],
            &["check", "policy.toml", &token],
            &["keys", &token],
            &["keys", &address],
            &["mint", "--policy-out", "policy.toml", "--alg", &token],
        ];
        for arguments in runs {
            for more in [&[][..], &["--json"]] {
                let ran = trial.run(&[arguments, more].concat(), &token);
                for part in &parts[1..] {
                    assert!(!ran.all().contains(part.as_str()), "{arguments:?}: {ran:?}");
                }
            }
        }
    }
}

/// A policy with proofs, and a request that it accepts.
struct Proven {
    trial: Trial,
    token: String,
    proof: String,
}

impl Proven {
    fn new(dpop: &str) -> Self {
        let trial = Trial::new();
        let policy =
            std::fs::read_to_string(trial.folder.path().join("policy.toml")).expect("a policy");
        trial.write(
            "policy.toml",
            &format!("{policy}\n[dpop]\nbase_urls = ['https://api.example']\n{dpop}"),
        );
        let made = trial.mint(&["--json", "--dpop", "--url", "https://api.example/orders/7"]);
        let made: Value = serde_json::from_str(&made).expect("JSON");
        let text = |name: &str| made[name].as_str().expect("text").to_owned();
        Self { token: text("token"), proof: text("proof"), trial }
    }

    fn head(&self) -> String {
        format!("Authorization: DPoP {}\nDPoP: {}\n", self.token, self.proof)
    }

    fn explain(&self, input: &str, more: &[&str]) -> Ran {
        self.trial.explain(input, more)
    }
}

/// The checks that are not met.
fn unmet(ran: &Ran) -> Vec<String> {
    let value: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    let checks = value["proof"]["checks"].as_array().unwrap_or_else(|| panic!("{ran:?}")).clone();
    let unmet = checks.into_iter().filter(|check| check["met"] == false);
    unmet.map(|check| check["check"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn each_check_of_a_proof_is_told_with_both_sides() {
    let proven = Proven::new("");
    let url = ["--url", "https://api.example/orders/7"];
    let ran = proven.explain(&proven.head(), &url);
    let mut settings = settings();
    // What each run has of its own, as long as it is.
    settings.add_filter(r"[\w-]{8}…", format!("[{}]…", "x".repeat(6)));
    settings.add_filter(r"[\w-]{43}", format!("[{}]", "x".repeat(41)));
    settings.add_filter(r#"[\w-]{22}""#, format!("[{}]\"", "x".repeat(20)));
    settings.bind(|| assert_snapshot!("proof", ran.snapshot()));
    assert_eq!(ran.code, 0);
    for part in [&proven.token, &proven.proof] {
        assert!(!ran.all().contains(part.rsplit('.').next().unwrap()), "a signature");
    }
    let ran = proven.explain(&proven.head(), &["--url", "/orders/8", "--method", "PUT"]);
    assert_eq!(ran.code, 1);
    let text = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for says in ["refused (bad_proof)", "htm NO \"PUT\" \"GET\"", "https://api.example/orders/8"] {
        assert!(text.contains(says), "{says}: {text}");
    }
    let json = [&url[..], &["--json"]].concat();
    let good = proven.explain(&proven.head(), &json);
    assert!(good.code == 0 && unmet(&good).is_empty(), "{good:?}");
}

#[test]
fn a_request_is_taken_as_it_is_pasted() {
    let proven = Proven::new("");
    let Proven { token, proof, .. } = &proven;
    let head = proven.head();
    for (input, more, code, not_met) in [
        (format!("GET /orders/7 HTTP/1.1\nHost: x\n{head}"), &[][..], 0, &[][..]),
        (format!("POST /orders/7 HTTP/1.1\n{head}"), &[], 1, &["htm"]),
        (format!("POST /orders/7 HTTP/1.1\n{head}"), &["--method", "GET"], 0, &[]),
        (format!("{token}\n\n{proof}\n"), &["--url", "/orders/7"], 0, &[]),
        (
            format!("authorization: bearer {token}\ndpop: {proof}"),
            &["--url", "/orders/7"],
            1,
            &["scheme"],
        ),
        (format!("{head}DPoP: {proof}\n"), &["--url", "/orders/7"], 1, &["headers"]),
        (format!("Authorization: DPoP {token}\n"), &["--url", "/orders/7"], 1, &["headers"]),
        (format!("Authorization: DPoP {token}\nDPoP: x"), &["--url", "/orders/7"], 1, &["form"]),
    ] {
        let ran = proven.explain(&input, &[more, &["--json"]].concat());
        assert_eq!(ran.code, code, "{input}: {ran:?}");
        let found = unmet(&ran);
        assert!(not_met.iter().all(|name| found.iter().any(|own| own == name)), "{found:?}");
        assert_eq!(found.is_empty(), not_met.is_empty(), "{found:?}");
    }
    let ran = proven.explain(&head, &[]);
    assert!(ran.code == 2 && ran.remark().contains("--url"), "{ran:?}");
    let ran = proven.explain(&head, &["--url", "https://other.example/orders/7"]);
    assert!(ran.remark().contains("is not below an address of the policy"), "{ran:?}");
    // A token alone has no proof.
    let ran = proven.explain(token, &[]);
    assert!(ran.code == 1 && ran.stdout.contains("refused (wrong_binding)"), "{ran:?}");
    // Where the policy takes no proofs, nothing is said of one.
    let plain = Trial::new();
    let ran = plain.explain(&head, &["--url", "/orders/7"]);
    assert!(ran.remark().contains("the proof is not looked at") && ran.code == 1, "{ran:?}");
}

#[test]
fn a_nonce_is_known_to_the_service_alone() {
    let proven = Proven::new("nonces = 'required'");
    let url = ["--url", "/orders/7"];
    let ran = proven.explain(&proven.head(), &url);
    assert!(ran.code == 1 && ran.stdout.contains("refused (nonce_missing)"), "{ran:?}");
    let made = proven.trial.mint(&[
        "--json",
        "--dpop",
        "--url",
        "https://api.example/orders/7",
        "--nonce",
        "aaaaaaaaaaaaaaaaaaaaaa",
    ]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let curl = made["curl"].as_str().expect("a command");
    let ran = proven.explain(curl, &[]);
    assert!(ran.code == 3 && ran.stdout.starts_with("undecided"), "{ran:?}");
    is_not_called_refused(&ran.stdout);
    // What else is wrong is.
    let ran = proven.explain(curl, &["--method", "PUT"]);
    assert!(ran.code == 1 && ran.stdout.starts_with("refused"), "{ran:?}");
}

/// What nobody can tell is not refused, in whichever line.
fn is_not_called_refused(shown: &str) {
    assert!(!shown.contains("REFUSED") && !shown.contains("the policy refuses"), "{shown}");
    let sender = shown.lines().find(|line| line.trim_start().starts_with("sender"));
    assert!(sender.is_some_and(|line| line.contains(" undecided ")), "{shown}");
    assert!(!shown.contains("tls::serve"), "{shown}");
}

/// A policy with certificates, and a token that is bound to one.
struct Certified {
    trial: Trial,
    token: String,
}

/// DER, as far as anybody looks.
const OWN: [u8; 5] = [0x30, 3, 1, 2, 3];
const OTHER: [u8; 5] = [0x30, 3, 1, 2, 4];
/// `OWN`, as RFC 9440 has it.
const WRITTEN: &str = ":MAMBAgM=:";

impl Certified {
    fn new(mtls: &str) -> Self {
        let trial = Trial::new();
        let path = |file: &str| trial.folder.path().join(file);
        std::fs::write(path("own.der"), OWN).expect("room");
        std::fs::write(path("other.der"), OTHER).expect("room");
        let pem = "-----BEGIN CERTIFICATE-----\nMAMBAgM=\n-----END CERTIFICATE-----\n";
        trial.write("own.pem", pem);
        let policy = std::fs::read_to_string(path("policy.toml")).expect("a policy");
        trial.write("policy.toml", &format!("{policy}\n[mtls]\n{mtls}\n"));
        let token = trial.mint(&["--client-certificate", "own.pem"]);
        Self { token, trial }
    }

    fn by_header() -> Self {
        Self::new("certificate = 'client_cert'\ntrusted_proxies = ['10.0.0.0/24', 'unix']")
    }

    fn head(&self, more: &str) -> String {
        format!("GET / HTTP/1.1\nAuthorization: Bearer {}\n{more}", self.token)
    }
}

#[test]
fn the_certificate_that_the_clients_tls_showed_is_told_by_a_file() {
    let certified = Certified::new("certificate = 'tls'");
    let explain =
        |file: &str| certified.trial.explain(&certified.token, &["--client-certificate", file]);
    for file in ["own.pem", "own.der"] {
        let ran = explain(file);
        assert!(ran.code == 0 && ran.stdout.starts_with("accepted\n"), "{ran:?}");
    }
    let ran = explain("own.pem");
    let mut settings = settings();
    settings.add_filter(r"[\w-]{8}…", format!("[{}]…", "x".repeat(6)));
    settings.add_filter(r"[\w-]{43}", format!("[{}]", "x".repeat(41)));
    settings.bind(|| assert_snapshot!("certificate", ran.snapshot()));
    for (file, says) in [("other.der", "certificate_other"), ("none", "certificate_missing")] {
        let ran = explain(file);
        let says = format!("refused ({says})");
        assert!(ran.code == 1 && ran.stdout.starts_with(&says), "{ran:?}");
        assert!(ran.stderr.is_empty(), "{ran:?}");
    }
    // What is not said is nobody's refusal.
    let ran = certified.trial.explain(&certified.token, &[]);
    assert!(ran.code == 3 && ran.stdout.starts_with("undecided"), "{ran:?}");
    assert!(ran.remark().contains("by --client-certificate FILE, or `none`"), "{ran:?}");
    is_not_called_refused(&ran.stdout);
    let ran = certified.trial.explain(&certified.token, &["--json"]);
    assert!(ran.code == 3 && ran.stdout.contains("\"certificate_unavailable\""), "{ran:?}");
    for (file, says) in [("policy.toml", "not a certificate"), ("gone", "gone: ")] {
        let ran = explain(file);
        assert!(ran.code == 2 && ran.stderr.contains(says), "{ran:?}");
    }
    let more = ["--peer", "10.0.0.7", "--client-certificate", "own.pem"];
    let ran = certified.trial.explain(&certified.token, &more);
    assert!(ran.code == 0 && ran.remark().contains("--peer is not looked at"), "{ran:?}");
}

#[test]
fn the_header_of_a_proxy_counts_as_the_peer_says() {
    let certified = Certified::by_header();
    let explain = |input: &str, more: &[&str]| certified.trial.explain(input, more);
    let with = |value: &str| certified.head(&format!("Client-Cert: {value}\n"));
    let own = with(WRITTEN);
    for (input, peer, code, says) in [
        (&own, "10.0.0.7", 0, "accepted"),
        (&own, "[::ffff:10.0.0.7]:4711", 0, "accepted"),
        (&own, "unix", 0, "accepted"),
        (&own, "10.0.1.7", 1, "refused (untrusted_proxy)"),
        (&with(":MAMBAgQ=:"), "10.0.0.7", 1, "refused (certificate_other)"),
        (&with("MAMBAgM="), "10.0.0.7", 1, "refused (bad_certificate_header)"),
        (
            &with(&format!("{WRITTEN}\nclient-cert: {WRITTEN}")),
            "unix",
            1,
            "refused (bad_certificate_header)",
        ),
    ] {
        let ran = explain(input, &["--peer", peer]);
        assert_eq!(ran.code, code, "{input} {peer}: {ran:?}");
        assert!(ran.stdout.starts_with(says), "{input} {peer}: {ran:?}");
    }
    let curl = format!(
        "curl -H 'Authorization: Bearer {}' -H 'Client-Cert: {WRITTEN}' https://a.example/",
        certified.token
    );
    let ran = explain(&curl, &["--peer", "unix"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    // What has to be given is said.
    let ran = explain(&own, &[]);
    assert!(ran.code == 3 && ran.stdout.starts_with("undecided"), "{ran:?}");
    assert!(ran.remark().contains("by --peer ADDRESS"), "{ran:?}");
    is_not_called_refused(&ran.stdout);
    let ran = explain(&certified.token, &["--peer", "10.0.0.7"]);
    assert!(ran.code == 1 && ran.remark().contains("from the header `client-cert`"), "{ran:?}");
    let ran = explain(&certified.token, &["--client-certificate", "own.pem"]);
    assert!(
        ran.code == 1 && ran.remark().contains("is not looked at. Give the request"),
        "{ran:?}"
    );
    let ran = explain(&own, &["--peer", "10.0.0.0/24"]);
    assert!(ran.code == 2 && ran.stderr.contains("write an IP address"), "{ran:?}");
}

#[test]
fn a_policy_without_rules_for_certificates_looks_at_none() {
    let trial = Trial::new();
    let ran = trial.explain(&trial.token, &["--peer", "unix"]);
    assert!(ran.code == 0 && ran.remark().contains("no table `[mtls]`"), "{ran:?}");
    // A token without a binding asks for none.
    let certified = Certified::new("certificate = 'tls'");
    let ran = certified.trial.explain(certified.trial.mint(&[]), &[]);
    assert!(ran.code == 0 && ran.stderr.is_empty(), "{ran:?}");
}

#[test]
fn a_token_with_both_bindings_is_told_of_both() {
    let table = "certificate = 'tls'\n[dpop]\nbase_urls = ['https://api.example']";
    let certified = Certified::new(table);
    let curl = certified.trial.mint(&[
        "--dpop",
        "--client-certificate",
        "own.der",
        "--url",
        "https://api.example/orders",
    ]);
    let ran = certified.trial.explain(&curl, &["--client-certificate", "own.pem"]);
    assert!(ran.code == 0 && ran.stdout.starts_with("accepted, if"), "{ran:?}");
    for heading in ["\n certificate ", "\n proof "] {
        assert!(ran.stdout.contains(heading), "{heading}: {ran:?}");
    }
    let ran = certified.trial.explain(&curl, &["--client-certificate", "none"]);
    assert!(ran.code == 1 && ran.stdout.contains("(certificate_missing)"), "{ran:?}");
    let more = ["--client-certificate", "own.pem", "--method", "PUT"];
    let ran = certified.trial.explain(&curl, &more);
    assert!(ran.code == 1 && ran.stdout.contains("(bad_proof)"), "{ran:?}");
}

//! A policy's faults stand in their places, and what is doubtful is told.
mod common;

use std::collections::BTreeSet;

use insta::assert_snapshot;
use portcullis::Policy;
use portcullis::config::ConfigProblem;
use serde_json::Value;

use self::common::{Trial, settings};

const DOUBTFUL: &str = r#"
sources = ["bearer", { cookie = "__Host-token" }]
allow_anonymous = true

[[issuer]]
id = "https://id.example"
audiences = ["https://api.example", "https://bills.example"]
algorithms = ["ES256", "HS256"]
keys = { jwks_file = "jwks.json", secrets = [
    { id = "1", file = "test-key-hs256" },
    { id = "2", file = "test-key-hs256" },
] }
[issuer.claims]
leeway = "2m"
max_lifetime = "12h"
required = ["sub"]
one_of = { tenant = ["acme", "initech"] }

[[issuer]]
template = "http://localhost/{tenant}"
client_ids_instead_of_audience = ["web"]
algorithms = ["RS256"]
keys = { jwks_url = "http://localhost/{tenant}/keys" }
require_key_id = true
[issuer.dangerous]
unlimited_lifetime = true
"#;

fn trial() -> Trial {
    let trial = Trial::new();
    trial.mint(&["--alg", "HS256"]);
    trial
}

#[test]
fn a_good_policy_is_told_in_plain_words() {
    let trial = trial();
    settings().bind(|| {
        assert_snapshot!("good", trial.run(&["check", "policy.toml"], "").snapshot());
        assert_snapshot!(
            "good-json",
            trial.run(&["check", "policy.toml", "--json"], "").snapshot()
        );
    });
    assert_eq!(trial.run(&["check", "policy.toml", "--deny-warnings"], "").code, 0);
}

#[test]
fn what_is_doubtful_is_told_and_can_be_denied() {
    let trial = trial();
    trial.write("policy.toml", DOUBTFUL);
    let ran = trial.run(&["check", "policy.toml"], "");
    settings().bind(|| assert_snapshot!("doubtful", ran.snapshot()));
    assert_eq!(trial.run(&["check", "policy.toml", "--deny-warnings"], "").code, 1);

    let ran = trial.run(&["check", "policy.toml", "--json"], "");
    let secret = std::fs::read_to_string(trial.folder.path().join("test-key-hs256")).unwrap();
    assert!(!ran.all().contains(&secret));
}

#[test]
fn faults_stand_in_their_places() {
    let trial = trial();
    trial.write(
        "policy.toml",
        "[[issuer]]\nid = \"https://id.example\"\naudience = [\"a\"]\nalgorithms = [\"RS265\"]\nkeys = { secrets = [{ value = \"hunter2\" }] }\n",
    );
    let ran = trial.run(&["check", "policy.toml"], "");
    settings().bind(|| assert_snapshot!("faults", ran.snapshot()));
    let ran = trial.run(&["check", "policy.toml", "--json"], "");
    settings().bind(|| assert_snapshot!("faults-json", ran.snapshot()));
    assert!(!ran.all().contains("hunter2"));
}

#[test]
fn a_policy_that_cannot_be_read_is_not_a_policy_with_faults() {
    let trial = trial();
    trial.write("policy.yaml", "issuer: []");
    std::fs::write(trial.folder.path().join("utf16.toml"), b"\xff\xfea\0").unwrap();
    for (file, says) in [
        ("none.toml", "there is no such file"),
        ("none.json", "there is no such file"),
        (".", "it is not a regular file"),
        ("policy.yaml", "YAML is not read here"),
        ("utf16.toml", "UTF-16"),
    ] {
        let ran = trial.run(&["check", file], "");
        assert!(ran.code == 2 && ran.stderr.contains(says), "{ran:?}");
        let ran = trial.run(&["check", file, "--json"], "");
        assert!(ran.code == 2 && ran.stdout.contains("\"error\""), "{ran:?}");
        assert_eq!(trial.run(&["explain", "-p", file], &trial.token).code, 2);
    }
}

#[test]
fn a_policy_in_json_is_read_as_one_in_toml() {
    let trial = trial();
    let policy = r#"{
        "$schema": "policy.schema.json",
        "issuer": [{
            "id": "https://id.example",
            "audiences": ["https://api.example"],
            "algorithms": ["ES256"],
            "keys": { "jwks_file": "jwks.json" }
        }],
        "claims": { "max_lifetime": "1h" }
    }"#;
    trial.write("policy.json", policy);
    let [toml, json] =
        ["policy.toml", "policy.json"].map(|file| trial.run(&["check", file], "").stdout);
    let behind = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(behind(&toml), behind(&json));
    let explain = ["explain", "-p", "policy.json", "--at", common::NOW];
    assert_eq!(trial.run(&explain, &trial.token).code, 0);

    trial.write("policy.json", &policy.replace("\"audiences\"", "\"audience\""));
    let ran = trial.run(&["check", "policy.json"], "");
    assert!(ran.code == 1 && ran.stderr.contains("line 5: issuer[0].audience"), "{ran:?}");
    trial.write("policy.json", "{");
    let ran = trial.run(&["check", "policy.json"], "");
    assert!(ran.code == 1 && ran.stderr.contains("line 1: column 1: not JSON"), "{ran:?}");
}

#[test]
fn what_is_often_wrong_is_refused_with_the_way_out() {
    let trial = trial();
    let secret = "hZ1vKqT8sW3yBd6FjR9mXc2PgL5nQa7E";
    for (change, content, says) in [
        (
            ("https://id.example", "https://id.example/.well-known/openid-configuration"),
            "",
            "`https://id.example`",
        ),
        (("https://id.example", "https://id.example/{tenantid}/v2.0"), "", "braces"),
        (("https://id.example", "https://id.example "), "", "white space"),
        (("15m", "15"), "", "30d"),
        (("", ""), &*format!("{secret} \n"), "white space"),
        (("", ""), &*format!("{secret}\n\n"), "white space"),
        (("", ""), &*format!("\n{secret}"), "white space"),
        (("", ""), &*format!("\u{feff}{secret}"), "byte order mark"),
        (("", ""), &*format!("\"{secret}\""), "quotes"),
    ] {
        let policy = GOOD.replace(change.0, change.1);
        let policy = if content.is_empty() {
            policy
        } else {
            trial.write("secret", content);
            GOOD.replace("[\"ES256\"]", "['HS256']")
                .replace("jwks_file = \"jwks.json\"", "secrets = [{ file = 'secret' }]")
        };
        trial.write("policy.toml", &policy);
        let ran = trial.run(&["check", "policy.toml"], "");
        let text = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(ran.code == 1 && text.contains(says), "{policy}: {ran:?}");
        assert!(!ran.all().contains(secret), "{ran:?}");
    }
    // The one newline that editors add.
    trial.write("secret", &format!("{secret}\n"));
    assert_eq!(trial.run(&["check", "policy.toml"], "").code, 0);
}

#[test]
fn a_longest_lifetime_may_be_told_in_days() {
    let trial = trial();
    trial.write("policy.toml", &GOOD.replace("15m", "30d"));
    let ran = trial.run(&["check", "policy.toml"], "");
    assert!(ran.code == 0 && ran.stdout.contains("at most 30 d"), "{ran:?}");
}

#[test]
fn nothing_is_printed_in_the_form_of_a_program() {
    let trial = trial();
    trial.write("policy.toml", DOUBTFUL);
    let found = trial.run(&["check", "policy.toml"], "").all();
    trial.write("policy.toml", GOOD);
    let found = found + &trial.run(&["check", "policy.toml"], "").all();
    for form in [" { ", "Some(", "None", "KeyFile", "RemoteJwks", "1 keys", "1 warnings"] {
        assert!(!found.contains(form), "{form}: {found}");
    }
}

/// A policy without a warning, as the rows below change it.
const GOOD: &str = r#"
#top
[[issuer]]
id = "https://id.example"
audiences = ["https://api.example"]
algorithms = ["ES256"]
keys = { jwks_file = "jwks.json" }
#issuer
[claims]
max_lifetime = "15m"
#claims
"#;

/// A lint, the keys of a policy file that it is about, and what stands in place of what in a file that has it.
type Row = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

const ROWS: [Row; 39] = [
    (
        "long-lifetime",
        &["dangerous.long_lifetime"],
        &[("#top", "dangerous = { long_lifetime = '721h' }"), ("max_lifetime = \"15m\"", "")],
    ),
    (
        "long-lifetime",
        &["issuer.dangerous.long_lifetime"],
        &[("#issuer", "dangerous = { long_lifetime = '721h' }")],
    ),
    ("large-headers", &["header_limit"], &[("#top", "header_limit = 4097")]),
    ("numeric-ids", &["issuer.numeric_ids"], &[("#issuer", "numeric_ids = true")]),
    ("anonymous", &["allow_anonymous"], &[("#top", "allow_anonymous = true")]),
    (
        "bad-cookie-anonymous",
        &["bad_cookie"],
        &[(
            "#top",
            "sources = [{ cookie = '__Host-a' }]\nbad_cookie = 'anonymous'\nallow_anonymous = true",
        )],
    ),
    (
        "prefer-header",
        &["prefer_header"],
        &[("#top", "sources = ['bearer', { cookie = '__Host-a' }]\nprefer_header = true")],
    ),
    (
        "origin-without-tls",
        &["allowed_origins"],
        &[("#top", "sources = [{ cookie = '__Host-a' }]\nallowed_origins = ['http://a.example']")],
    ),
    ("no-allowed-origins", &["sources.cookie"], &[("#top", "sources = [{ cookie = '__Host-a' }]")]),
    ("large-tokens", &["token_limit"], &[("#top", "token_limit = 16385")]),
    (
        "token-in-query",
        &["dangerous.query_parameter"],
        &[("#top", "dangerous = { query_parameter = 't' }")],
    ),
    ("cookie-of-any-name", &["dangerous.cookie"], &[("#top", "dangerous = { cookie = 't' }")]),
    (
        "unlimited-lifetime",
        &["dangerous.unlimited_lifetime"],
        &[("#top", "dangerous = { unlimited_lifetime = true }"), ("max_lifetime = \"15m\"", "")],
    ),
    (
        "unlimited-lifetime",
        &["issuer.dangerous.unlimited_lifetime"],
        &[("#issuer", "dangerous = { unlimited_lifetime = true }")],
    ),
    (
        "allow-http",
        &["issuer.dangerous.allow_http"],
        &[
            ("jwks_file = \"jwks.json\"", "jwks_url = 'http://keys'"),
            ("#issuer", "dangerous = { allow_http = ['keys'] }"),
        ],
    ),
    (
        "keys-without-tls",
        &["issuer.keys.jwks_url"],
        &[("jwks_file = \"jwks.json\"", "jwks_url = 'http://localhost/keys'")],
    ),
    (
        "slow-withdrawal",
        &["issuer.keys.max_fresh", "issuer.keys.fresh_for", "issuer.keys.min_fresh"],
        &[("jwks_file = \"jwks.json\"", "discovery = true, max_fresh = '61m'")],
    ),
    (
        "slow-withdrawal",
        &["issuer.keys.max_stale"],
        &[("jwks_file = \"jwks.json\"", "discovery = true, max_stale = '25h'")],
    ),
    (
        "any-tenant",
        &["issuer.template"],
        &[
            ("id = \"https://id.example\"", "template = 'https://id.example/{tenant}'"),
            ("jwks_file = \"jwks.json\"", "discovery = true"),
        ],
    ),
    (
        "keys-of-any-origin",
        &["issuer.keys.same_origin"],
        &[
            ("id = \"https://id.example\"", "template = 'https://id.example/{tenant}'"),
            ("jwks_file = \"jwks.json\"", "discovery = true, same_origin = false"),
        ],
    ),
    (
        "no-audience",
        &["issuer.client_ids_instead_of_audience"],
        &[("audiences = [\"https://api.example\"]", "client_ids_instead_of_audience = ['web']")],
    ),
    (
        "shared-secret-of-several",
        &["issuer.keys.secrets", "issuer.audiences"],
        &[
            ("[\"https://api.example\"]", "['a', 'b']"),
            ("[\"ES256\"]", "['HS256']"),
            ("jwks_file = \"jwks.json\"", "secrets = [{ file = 'test-key-hs256' }]"),
        ],
    ),
    (
        "shared-secret-beside-key-pairs",
        &["issuer.algorithms"],
        &[
            ("[\"ES256\"]", "['ES256', 'HS256']"),
            ("\"jwks.json\"", "'jwks.json', secrets = [{ file = 'test-key-hs256' }]"),
        ],
    ),
    (
        "key-id-not-required",
        &["issuer.require_key_id", "issuer.keys.secrets.id"],
        &[
            ("[\"ES256\"]", "['HS256']"),
            (
                "jwks_file = \"jwks.json\"",
                "secrets = [{ id = '1', file = 'test-key-hs256' }, { id = '2', file = 'test-key-hs256' }]",
            ),
        ],
    ),
    (
        "cookie-too-small",
        &["sources.cookie", "issuer.algorithms"],
        &[
            ("#top", "sources = ['bearer', { cookie = '__Host-a' }]"),
            ("[\"ES256\"]", "['ES256', 'ML-DSA-44', 'ML-DSA-65']"),
            ("jwks_file = \"jwks.json\"", "jwks_url = 'https://id.example/keys'"),
        ],
    ),
    (
        "keycloak-account",
        &["issuer.audiences"],
        &[
            ("https://id.example", "https://id.example/realms/shop"),
            ("https://api.example", "account"),
        ],
    ),
    (
        "issuer-is-an-address",
        &["issuer.id"],
        &[("https://id.example", "https://id.example/.well-known/jwks.json")],
    ),
    ("any-token-type", &["issuer.token_type"], &[("#issuer", "token_type = 'jwt'")]),
    ("long-leeway", &["claims.leeway", "issuer.claims.leeway"], &[("#claims", "leeway = '61s'")]),
    (
        "long-lifetime",
        &["claims.max_lifetime", "issuer.claims.max_lifetime"],
        &[("\"15m\"", "'61m'")],
    ),
    (
        "keys-of-several-issuers",
        &["issuer.keys.jwks_file", "issuer.keys.pem_file", "issuer.keys.discovery", "issuer.id"],
        &[(
            "#issuer",
            "[[issuer]]\nid = 'b'\naudiences = ['a']\nalgorithms = ['ES256']\nkeys = { jwks_file = 'jwks.json' }",
        )],
    ),
    (
        "proofs-made-ahead",
        &["dpop.nonces", "claims.max_lifetime"],
        &[("\"15m\"", "'61m'"), ("#claims", "[dpop]\nbase_urls = ['https://api.example']")],
    ),
    (
        "proofs-never-read",
        &["sources.cookie"],
        &[
            ("#top", "sources = [{ cookie = '__Host-a' }]"),
            ("#claims", "[dpop]\nbase_urls = ['https://api.example']"),
        ],
    ),
    (
        "proofs-of-one-process",
        &["dpop.replay"],
        &[("#claims", "[dpop]\nbase_urls = ['https://api.example']")],
    ),
    (
        "unbound-tokens",
        &["dpop.mode"],
        &[("#claims", "[dpop]\nbase_urls = ['https://api.example']\nreplay = 'redis'")],
    ),
    ("unbound-tokens", &["mtls.mode"], &[("#claims", "[mtls]\ncertificate = 'tls'")]),
    (
        "both-bindings",
        &["mtls.mode"],
        &[(
            "#claims",
            "[mtls]\ncertificate = 'tls'\nmode = 'required'\n[dpop]\nbase_urls = ['https://api.example']\nreplay = 'redis'\nmode = 'required'",
        )],
    ),
    (
        "wide-proxies",
        &["mtls.trusted_proxies"],
        &[(
            "#claims",
            "[mtls]\ncertificate = 'client_cert'\ntrusted_proxies = ['10.0.0.0/15']\nmode = 'required'",
        )],
    ),
    (
        "proofs-without-tls",
        &["dpop.base_urls"],
        &[("#claims", "[dpop]\nbase_urls = ['http://localhost:3000']\nmode = 'required'")],
    ),
];

/// Keys of a policy file that weaken nothing, and why.
const HARMLESS: [(&str, &[&str]); 5] = [
    (
        "a table or a list, of which each key has its row",
        &[
            "issuer",
            "claims",
            "presentation",
            "dangerous",
            "sources",
            "dpop",
            "mtls",
            "dpop.window",
            "issuer.keys",
            "issuer.claims",
            "issuer.dangerous",
        ],
    ),
    (
        "lacks what the route needs",
        &[
            "refuse_brought_keys",
            "dpop.algorithms",
            "issuer.keys.load_at_start",
            "issuer.keys.secrets.accept_until",
            "issuer.keys.secrets.algorithm",
            "claims.max_age",
            "claims.required",
            "claims.forbidden",
            "claims.exact",
            "claims.one_of",
            "issuer.claims.max_age",
            "issuer.claims.required",
            "issuer.claims.forbidden",
            "issuer.claims.exact",
            "issuer.claims.one_of",
        ],
    ),
    (
        "says where something is, or what it is called",
        &[
            "$schema",
            "name",
            "sources.header",
            "sources.same_site",
            "sources.websocket_protocol",
            "sources.prefix",
            "issuer.scope_claims",
            "issuer.keys.key_id",
            "issuer.keys.proxy",
            "issuer.keys.secrets.file",
            "issuer.keys.secrets.env",
            "issuer.keys.secrets.encoding",
            "dpop.nonce_secrets",
            "mtls.certificate",
            "mtls.header",
            "presentation.realm",
            "presentation.resource_metadata",
            "presentation.problem_base",
            "presentation.scopes",
        ],
    ),
    (
        "costs time or room, and has bounds",
        &[
            "token_cache",
            "dpop.window.past",
            "dpop.window.future",
            "issuer.max_tenants",
            "issuer.known_tenants",
            "issuer.tenant_burst",
            "issuer.tenant_interval",
            "issuer.keys.refresh_at_percent",
            "issuer.keys.cool_down",
            "issuer.keys.max_wait",
            "issuer.keys.max_waiting",
            "issuer.keys.max_waiting_without_keys",
            "issuer.keys.first_retry",
            "issuer.keys.max_retry",
            "issuer.keys.connect_timeout",
            "issuer.keys.timeout",
            "issuer.keys.max_bytes",
            "issuer.keys.max_keys",
        ],
    ),
    ("tells clients less or more, and decides nothing", &["presentation.details"]),
];

fn names(ran: &common::Ran) -> Vec<(String, String)> {
    let value: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    let lints = value["lints"].as_array().unwrap_or_else(|| panic!("{ran:?}"));
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    lints.iter().map(|lint| (text(&lint["name"]), text(&lint["level"]))).collect()
}

#[test]
fn what_weakens_a_policy_is_told_by_a_lint_and_denied_unless_it_is_allowed_by_name() {
    let trial = trial();
    for (name, _, changes) in ROWS {
        let policy = changes.iter().fold(GOOD.to_owned(), |policy, (from, to)| {
            assert!(policy.contains(from), "{name}: {from}");
            policy.replace(from, to)
        });
        trial.write("policy.toml", &policy);
        let found = names(&trial.run(&["check", "policy.toml", "--json"], ""));
        let level = found.iter().find(|(found, _)| found == name).map(|(_, level)| level.as_str());
        let is_warning = level == Some("warning");
        assert!(is_warning || level == Some("note"), "{name}: {found:?}");

        let mut arguments = vec!["check", "policy.toml", "--deny-warnings"];
        assert_eq!(trial.run(&arguments, "").code, i32::from(is_warning), "{name}");
        for (found, _) in &found {
            arguments.extend(["--allow", found]);
        }
        let allowed = trial.run(&arguments, "");
        assert_eq!(allowed.code, 0, "{name}: {allowed:?}");
        let told = if is_warning { "allowed" } else { "note" };
        assert!(allowed.stdout.contains(&format!("{told} [{name}]: ")), "{allowed:?}");
    }
    assert_eq!(trial.run(&["check", "policy.toml", "--allow", "anonymos"], "").code, 2);
}

#[test]
fn the_good_policy_has_no_warning() {
    let trial = trial();
    trial.write("policy.toml", GOOD);
    let found = names(&trial.run(&["check", "policy.toml", "--json", "--deny-warnings"], ""));
    assert!(found.iter().all(|(_, level)| level == "note"), "{found:?}");
}

#[test]
fn each_key_of_a_policy_file_has_a_lint_or_is_known_to_be_harmless() {
    // The reader names the keys that it knows wherever it finds one that it does not.
    let error = Policy::from_toml_str(
        r#"
        zzz = 1
        sources = ["bearer", { header = "a", zzz = 1 }]
        [dangerous]
        zzz = 1
        [presentation]
        zzz = 1
        [claims]
        zzz = 1
        [mtls]
        zzz = 1
        [dpop]
        zzz = 1
        window = { zzz = 1 }
        [[issuer]]
        zzz = 1
        keys = { discovery = true, secrets = [{ file = "a", zzz = 1 }], zzz = 1 }
        claims = { zzz = 1 }
        dangerous = { zzz = 1 }
        "#,
        "",
    )
    .expect_err("unknown keys");
    let mut known = BTreeSet::new();
    for fault in error.faults() {
        let ConfigProblem::UnknownKey { known: keys, .. } = &fault.problem else { continue };
        let place: String = fault.place.split(&['[', ']'][..]).step_by(2).collect();
        let place = place.strip_suffix("zzz").expect("the key");
        known.extend(keys.iter().map(|key| format!("{place}{key}")));
    }
    let harmless = HARMLESS.iter().flat_map(|(_, keys)| *keys);
    let told: BTreeSet<_> = ROWS.iter().flat_map(|(_, keys, _)| *keys).chain(harmless).collect();
    let told: BTreeSet<_> = told.into_iter().map(|key| (*key).to_owned()).collect();
    assert!(known.len() > 60, "{known:?}");
    let missing: Vec<_> = known.symmetric_difference(&told).collect();
    assert!(missing.is_empty(), "in one of both only: {missing:?}");
}

#[test]
fn what_is_asked_of_proofs_is_told_in_plain_words() {
    let trial = trial();
    let dpop = |more: &str| {
        let table =
            format!("[dpop]\nbase_urls = ['https://api.example', 'https://example/api/']\n{more}");
        trial.write("policy.toml", &GOOD.replace("#claims", &table));
        trial.run(&["check", "policy.toml"], "")
    };
    let ran = dpop("window = { past = '2m' }");
    settings().bind(|| assert_snapshot!("proofs", ran.snapshot()));
    // A store that only the program of the policy has is no fault here.
    let ran = dpop("mode = 'required'\nnonces = 'required'\nreplay = 'redis'");
    for says in ["are refused", "with a nonce", "in a store that the program gives"] {
        assert!(ran.code == 0 && ran.stdout.contains(says), "{says}: {ran:?}");
    }
    assert!(!ran.stdout.contains("proofs-"), "{ran:?}");
    trial.write("nonce", "k7#pQ9z!wR4sX1vB6nM3cL8dF5gH2jT0");
    let shared = "nonces = 'required'\nnonce_secrets = ['nonce']";
    let ran = dpop(&format!("{shared}\nreplay = 'redis'"));
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = dpop(shared);
    assert!(ran.code == 1 && ran.stderr.contains("dpop.nonce_secrets"), "{ran:?}");
}

#[test]
fn what_is_asked_of_certificates_is_told_in_plain_words() {
    let trial = trial();
    let mtls = |table: &str| {
        trial.write("policy.toml", &GOOD.replace("#claims", &format!("[mtls]\n{table}")));
        trial.run(&["check", "policy.toml"], "")
    };
    let ran = mtls("certificate = 'client_cert'\ntrusted_proxies = ['10.0.0.0/24', 'unix']");
    settings().bind(|| assert_snapshot!("certificates", ran.snapshot()));
    let dpop = "[dpop]\nbase_urls = ['https://api.example']\nmode = 'required'";
    let ran = mtls(&format!("certificate = 'tls'\n{dpop}"));
    for says in ["pass where the client presented", "the service's own TLS", "scheme DPoP"] {
        assert!(ran.code == 0 && ran.stdout.contains(says), "{says}: {ran:?}");
    }
    // Whoever requires one of both requires a binding.
    assert!(!ran.stdout.contains("unbound-tokens"), "{ran:?}");
    let ran = mtls("certificate = 'tls'\n[dpop]\nbase_urls = ['https://api.example']");
    assert!(ran.stdout.contains("neither key nor certificate"), "{ran:?}");
    for (range, is_wide) in [
        ("10.0.0.0/16", false),
        ("10.0.0.0/15", true),
        ("2001:db8::/48", false),
        ("2001:db8::/47", true),
        ("::ffff:10.0.0.0/112", false),
        ("::ffff:10.0.0.0/111", true),
        ("10.0.0.7", false),
    ] {
        let table = format!("certificate = 'client_cert'\ntrusted_proxies = ['{range}']");
        assert_eq!(mtls(&table).stdout.contains("wide-proxies"), is_wide, "{range}");
    }
}

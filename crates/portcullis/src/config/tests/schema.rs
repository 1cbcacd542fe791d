//! The JSON Schema of policy files and the reader take the same policies.
use std::path::Path;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::*;

fn schema() -> Value {
    serde_json::from_str(SCHEMA).expect("JSON")
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).expect("a schema")
}

/// TOML as an editor hands it to a validator: dates and times are text.
fn data(text: &str) -> Value {
    fn plain(value: Value) -> Value {
        match value {
            Value::Object(members) => {
                if let Some(time) = members.get("$__toml_private_datetime") {
                    return time.clone();
                }
                let members = members.into_iter().map(|(key, value)| (key, plain(value)));
                Value::Object(members.collect())
            }
            Value::Array(items) => items.into_iter().map(plain).collect(),
            other => other,
        }
    }
    plain(toml::from_str(text).expect("TOML"))
}

/// What a schema says of a place: itself, and all that it refers to.
fn parts<'s>(root: &'s Value, part: &'s Value, found: &mut Vec<&'s Value>) {
    found.push(part);
    if let Some(name) = part["$ref"].as_str() {
        let pointer = name.strip_prefix('#').expect("in the same file");
        parts(root, root.pointer(pointer).expect("a definition"), found);
    }
    for key in ["allOf", "anyOf"] {
        for part in part[key].as_array().into_iter().flatten() {
            parts(root, part, found);
        }
    }
}

/// The keys that the schema knows at a place of the data.
fn keys_at(root: &Value, pointer: &str) -> BTreeSet<String> {
    let mut here = Vec::new();
    parts(root, root, &mut here);
    for step in pointer.split('/').skip(1) {
        let mut next = Vec::new();
        for part in here {
            let inner = if step.bytes().all(|byte| byte.is_ascii_digit()) {
                &part["items"]
            } else {
                &part["properties"][step]
            };
            parts(root, inner, &mut next);
        }
        here = next;
    }
    let keys = here.into_iter().filter_map(|part| part["properties"].as_object());
    keys.flat_map(|keys| keys.keys().cloned()).collect()
}

#[test]
fn schema_and_reader_know_the_same_keys_in_every_table() {
    let folder = folder();
    let (schema, full) = (schema(), full_json());
    let mut found = Vec::new();
    tables(&full, "", "", &mut found);
    for (pointer, place) in found {
        let mut changed = full.clone();
        let table = changed.pointer_mut(&pointer).and_then(Value::as_object_mut);
        table.expect("a table").insert("zzz".to_owned(), 1.into());
        let config: PolicyConfig = serde_json::from_value(changed).expect("JSON");
        let error = config.build(folder.path()).expect_err("a fault");
        let ConfigProblem::UnknownKey { known, .. } = &error.faults()[0].problem else {
            panic!("{error}");
        };
        let known: BTreeSet<String> = known.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(keys_at(&schema, &pointer), known, "{place}");
    }
}

/// The pointers of all texts.
fn texts(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(pointer.to_owned()),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                texts(item, &format!("{pointer}/{at}"), found);
            }
        }
        Value::Object(members) => {
            for (key, value) in members {
                texts(value, &format!("{pointer}/{key}"), found);
            }
        }
        _ => {}
    }
}

/// What the variable says, the editor cannot know.
#[test]
fn the_schema_takes_a_variable_of_the_environment_in_the_place_of_any_text() {
    let (validator, full) = (validator(), full_json());
    let mut found = Vec::new();
    texts(&full, "", &mut found);
    assert!(found.len() > 40, "{found:?}");
    for pointer in found {
        let mut changed = full.clone();
        *changed.pointer_mut(&pointer).expect("a text") = "${STAGE_1}".into();
        let errors: Vec<_> =
            validator.iter_errors(&changed).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{pointer}: {errors:?}");
    }
}

#[test]
fn every_key_of_the_schema_is_described() {
    fn check(part: &Value, place: &str) {
        for (key, inner) in part["properties"].as_object().into_iter().flatten() {
            let place = format!("{place}.{key}");
            let is_described = inner["description"].is_string() || inner["$ref"].is_string();
            assert!(is_described || inner["const"].is_boolean(), "{place}");
        }
        let inner = part.as_object().into_iter().flatten().map(|(key, inner)| (key.clone(), inner));
        let items = part.as_array().into_iter().flatten().enumerate();
        for (key, inner) in inner.chain(items.map(|(at, inner)| (at.to_string(), inner))) {
            check(inner, &format!("{place}.{key}"));
        }
    }
    check(&schema(), "");
}

#[test]
fn the_schema_lists_the_algorithms_that_there_are() {
    let names: Vec<_> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
    assert_eq!(schema()["$defs"]["algorithm"]["anyOf"][0]["enum"], json!(names));
}

/// Policies in TOML on the pages of the guide, each with where it is from.
fn policies_of_pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let pages = std::fs::read_dir(root.join("docs/guide")).expect("the guide");
    let pages = pages.map(|entry| entry.expect("an entry").path());
    let pages: Vec<_> =
        pages.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    let of_page = |page: PathBuf| {
        let text = std::fs::read_to_string(&page).expect("a page");
        let blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let policies = blocks.filter(|block| block.contains("[[issuer]]")).map(str::to_owned);
        policies.map(|policy| (page.display().to_string(), policy)).collect::<Vec<_>>()
    };
    pages.into_iter().flat_map(of_page).collect()
}

#[test]
fn the_schema_takes_every_good_policy() {
    let validator = validator();
    let check = |data: &Value, from: &str| {
        let errors: Vec<_> = validator.iter_errors(data).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{from}: {errors:?}\n{data:#}");
    };
    check(&data(FULL), "FULL");
    check(&full_json(), "JSON");
    check(&data(ISSUER), "ISSUER");
    check(&data(&format!("sources = []\ndangerous = {{ cookie = \"t\" }}\n{ISSUER}")), "a cookie");
    check(&data(&format!("\"$schema\" = \"policy.schema.json\"\n{ISSUER}")), "$schema");
    let pages = policies_of_pages();
    assert!(pages.len() > 12, "{pages:?}");
    for (page, policy) in &pages {
        check(&data(policy), page);
    }
}

/// What stands in place of what in a good policy, which is none then.
const BROKEN: &[(&str, &str)] = &[
    ("[[issuer]]", "[issuer]"),
    ("id = \"https://a\"", ""),
    ("id = \"https://a\"", "id = \"\""),
    ("id = \"https://a\"", "id = 7"),
    ("id = \"https://a\"", "id = \" https://a\""),
    ("id = \"https://a\"", "id = \"https://a/{tenantid}/v2.0\""),
    ("id = \"https://a\"", "id = \"https://a/.well-known/openid-configuration\""),
    ("id = \"https://a\"", "id = \"https://a\"\ntemplate = \"https://a/{tenant}\""),
    ("id = \"https://a\"", "id = \"https://a\"\nmax_tenants = 5"),
    ("audiences", "audience"),
    ("audiences = [\"b\"]", ""),
    ("audiences = [\"b\"]", "audiences = []"),
    ("audiences = [\"b\"]", "audiences = [\"\"]"),
    ("audiences = [\"b\"]", "audiences = \"b\""),
    ("audiences = [\"b\"]", "audiences = [\"b\"]\nclient_ids_instead_of_audience = [\"c\"]"),
    ("algorithms = [\"HS256\"]", ""),
    ("algorithms = [\"HS256\"]", "algorithms = []"),
    ("\"HS256\"", "\"none\""),
    ("\"HS256\"", "\"hs256\""),
    ("{ secrets = [{ file = \"raw.key\" }] }", "{}"),
    ("{ secrets = [{ file = \"raw.key\" }] }", "\"raw.key\""),
    ("{ secrets = [{ file = \"raw.key\" }] }", "{ jwks_uri = \"https://a/jwks\" }"),
    ("{ secrets = [{ file = \"raw.key\" }] }", "{ discovery = false }"),
    ("{ secrets = [{ file = \"raw.key\" }] }", "{ discovery = true, jwks_url = \"https://a\" }"),
    ("[{ file = \"raw.key\" }]", "[]"),
    ("[{ file = \"raw.key\" }]", "[\"hunter2\"]"),
    ("[{ file = \"raw.key\" }]", "[{ file = \"raw.key\" }], key_id = \"1\""),
    ("file = \"raw.key\"", "value = \"hunter2\""),
    ("file = \"raw.key\"", "file = \"raw.key\", env = \"A\""),
    ("file = \"raw.key\"", "env = \"not a name\""),
    ("file = \"raw.key\"", "file = \"raw.key\", id = \"\""),
    ("file = \"raw.key\"", "file = \"raw.key\", encoding = \"base64\""),
    ("file = \"raw.key\"", "file = \"raw.key\", algorithm = \"RS256\""),
    ("file = \"raw.key\"", "file = \"raw.key\", accept_until = \"2026-12-31\""),
    ("file = \"raw.key\"", "file = \"raw.key\", accept_until = 2026-12-31T00:00:00"),
    ("#issuer", "token_type = \"id\""),
    ("#issuer", "token_type = []"),
    ("#issuer", "scope_claims = []"),
    ("#issuer", "require_key_id = \"yes\""),
    ("#issuer", "dangerous = { query_parameter = \"t\" }"),
    ("#issuer", "token_limit = 1024"),
    ("#claims", "leeway = 30"),
    ("#claims", "leeway = \"30\""),
    ("#claims", "max_age = \"-5s\""),
    ("#claims", "max_age = \"1mo\""),
    ("#claims", "max_age = \"PT1H\""),
    ("#claims", "required = \"sub\""),
    ("#claims", "required = [\"\"]"),
    ("#claims", "exact = { a = 1.5 }"),
    ("#claims", "one_of = { a = [] }"),
    ("#claims", "issuer = \"https://a\""),
    ("#top", "sources = [\"basic\"]"),
    ("#top", "sources = [\"bearer\", \"bearer\"]"),
    ("#top", "sources = [{ cookie = \"token\" }]"),
    ("#top", "sources = [{ cookie = \"__Host-a\", header = \"a\" }]"),
    ("#top", "sources = [{ header = \"a b\" }]"),
    ("#top", "sources = [{ prefix = \"x\" }]"),
    ("#top", "allowed_origins = [\"https://a.example/\"]"),
    ("#top", "bad_cookie = \"ignore\""),
    ("#top", "token_limit = 0"),
    ("#top", "token_limit = 65537"),
    ("#top", "header_limit = 16385"),
    ("#top", "token_cache = 1000"),
    ("#top", "token_cache = \"1 MiB\""),
    ("#top", "allow_anonymous = 1"),
    ("#top", "presentation = { realm = 'a\"b' }"),
    ("#top", "presentation = { scopes = [\"a b\"] }"),
    ("#top", "dangerous = { cookie = { path = \"/\" } }"),
    ("#top", "dangerous = { cookie = { name = \"a\", same_site = \"Lax\" } }"),
    ("#top", "dangerous = { query_parameter = \"a&b\" }"),
    ("#top", "dangerous = { skip_signature = true }"),
    ("#top", "dpop = {}"),
    ("#top", "dpop = { base_urls = [] }"),
    ("#top", "dpop = { base_urls = \"https://a\" }"),
    ("#top", "dpop = { base_urls = [\"a.example\"] }"),
    ("#top", "dpop = { base_urls = [\"https://a?b\"] }"),
    ("#top", "dpop = { base_urls = [\"https://u@a\"] }"),
    ("#top", "dpop = { base_urls = [\"https://a\"], mode = \"off\" }"),
    ("#top", "dpop = { base_urls = [\"https://a\"], algorithms = [] }"),
    ("#top", "dpop = { base_urls = [\"https://a\"], algorithms = [\"none\"] }"),
    ("#top", "dpop = { base_urls = [\"https://a\"], window = \"60s\" }"),
    ("#top", "dpop = { base_urls = [\"https://a\"], window = { past = 60 } }"),
    ("#top", "dpop = { base_urls = [\"https://a\"], window = { before = \"60s\" } }"),
    ("#top", "dpop = { base_urls = [\"https://a\"], nonces = true }"),
    ("#top", "dpop = { base_urls = [\"https://a\"], nonce_secrets = [\"raw.key\"] }"),
    ("#top", "dpop = { base_urls = [\"https://a\"], replay = \"\" }"),
    (
        "#top",
        "dpop = { base_urls = [\"https://a\"], nonces = \"required\", nonce_secrets = [\"a\", \"b\", \"c\", \"d\", \"e\"] }",
    ),
    ("#top", "dpop = { base_urls = [\"https://a\"], required = true }"),
    ("#top", "mtls = {}"),
    ("#top", "mtls = { certificate = \"nginx\" }"),
    ("#top", "mtls = { certificate = true }"),
    ("#top", "mtls = { certificate = \"tls\", mode = \"off\" }"),
    ("#top", "mtls = { certificate = \"xfcc\", trusted_proxies = [] }"),
    ("#top", "mtls = { certificate = \"xfcc\", trusted_proxies = \"10.0.0.1\" }"),
    (
        "#top",
        "mtls = { certificate = \"escaped_pem\", header = \"a b\", trusted_proxies = [\"10.0.0.1\"] }",
    ),
    ("#top", "mtls = { certificate = \"tls\", required = true }"),
    ("#top", "\"$schema\" = 1"),
    ("#top", "colour = \"red\""),
];

#[test]
fn schema_and_reader_refuse_the_same_policies() {
    let folder = folder();
    let validator = validator();
    let good = format!("#top\n{ISSUER}#issuer\n[claims]\n#claims\n");
    assert!(validator.is_valid(&data(&good)), "{good}");
    Policy::from_toml_str(&good, folder.path()).expect("a policy");
    assert!(!validator.is_valid(&json!({})) && !validator.is_valid(&json!({ "issuer": [] })));
    for (from, to) in BROKEN {
        assert!(good.contains(from), "{from}");
        let broken = good.replacen(from, to, 1);
        let broken = if *to == "[issuer]" { broken } else { broken.replace("#issuer", "") };
        assert!(Policy::from_toml_str(&broken, folder.path()).is_err(), "the reader: {broken}");
        assert!(!validator.is_valid(&data(&broken)), "the schema: {broken}");
    }
}

/// Where only the reader finds a fault: it needs the file, another key, or the list as a whole.
const READER_ALONE: &[&str] = &[
    "sources[9]",
    "issuer[0].keys.jwks_file",
    "issuer[0].keys.pem_file",
    "issuer[0].keys.secrets[0]",
    "issuer[0].keys.secrets[3]",
    "issuer[1].id",
    "issuer[4].algorithms",
    "issuer[4].claims.leeway",
    "issuer[4].claims.max_age",
    "issuer[4].claims.max_lifetime",
    "dpop.algorithms",
    "dpop.base_urls[0]",
    "dpop.nonce_secrets",
    "dpop.replay",
    "dpop.window.past",
    "mtls.trusted_proxies[0]",
    "mtls.trusted_proxies[2]",
];

#[test]
fn what_the_schema_finds_stands_where_the_reader_finds_it() {
    let (validator, data) = (validator(), data(FAULTY));
    let found: BTreeSet<String> =
        validator.iter_errors(&data).map(|error| error.instance_path().to_string()).collect();
    for (_, place, name) in FAULTS.iter().filter(|(_, place, _)| !READER_ALONE.contains(place)) {
        let pointer: String = place
            .split(['.', '['])
            .map(|step| format!("/{}", step.trim_end_matches(']')))
            .collect();
        let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
        let within = format!("{pointer}/");
        let is_near = |one: &String| *one == pointer || one == parent || one.starts_with(&within);
        assert!(found.iter().any(is_near), "{place} {name}: {found:?}");
    }
    for place in READER_ALONE {
        assert!(FAULTS.iter().any(|(_, own, _)| own == place), "{place}");
    }
}

proptest! {
    #[test]
    fn every_duration_that_is_read_is_one_by_the_schema(
        text in "\\+?([0-9]{1,3}([.,][0-9]{0,2})?[ ]{0,2}(w|wks|week|d|day|days|h|hr|hrs|hours|m|min|mins|minute|s|sec|secs|second|seconds|ms|msec|millis|us|µs|ns|mo|y|D|)(,| |, )?){1,3}([0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}([.,][0-9])?)?"
    ) {
        let policy = format!("#top\n{ISSUER}[claims]\nmax_age = \"{text}\"\n");
        let config = PolicyConfig::from_toml_str(&policy).expect("TOML");
        let refused = config.into_builder(folder().path()).err();
        let is_read = !refused.is_some_and(|error| {
            error.faults().iter().any(|fault| matches!(fault.problem, ConfigProblem::Duration))
        });
        let pattern = &schema()["$defs"]["duration"];
        let is_valid = jsonschema::is_valid(pattern, &json!(text));
        prop_assert!(is_valid || !is_read, "{}", text);
    }
}

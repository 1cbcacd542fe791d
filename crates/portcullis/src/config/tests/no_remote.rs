//! What the keys are told that need the feature `remote-jwks`, where it is off.
use super::*;

/// Places and problems of a policy.
fn found(text: &str) -> Vec<(String, ConfigProblem)> {
    let error = refused(text);
    error.faults().iter().map(|fault| (fault.place.clone(), fault.problem.clone())).collect()
}

fn needs_feature(place: &str) -> [(String, ConfigProblem); 1] {
    [(place.to_owned(), ConfigProblem::NeedsFeature { feature: "remote-jwks" })]
}

const SECRETS: &str = "keys = { secrets = [{ file = \"raw.key\" }] }";

#[test]
fn every_key_of_remote_keys_needs_the_feature() {
    for key in [
        "jwks_url = \"https://a/jwks\"",
        "discovery = true",
        "discovery = false",
        "fresh_for = \"5m\"",
        "min_fresh = \"1m\"",
        "max_fresh = \"1h\"",
        "refresh_at_percent = 80",
        "cool_down = \"30s\"",
        "max_wait = \"2s\"",
        "max_waiting = 64",
        "max_waiting_without_keys = 64",
        "first_retry = \"1s\"",
        "max_retry = \"1m\"",
        "max_stale = \"24h\"",
        "connect_timeout = \"2s\"",
        "timeout = \"5s\"",
        "max_bytes = 262144",
        "max_keys = 100",
        "same_origin = true",
        "load_at_start = true",
    ] {
        let name = key.split(' ').next().expect("a key");
        let beside = format!("keys = {{ secrets = [{{ file = \"raw.key\" }}], {key} }}");
        let place = format!("issuer[0].keys.{name}");
        assert_eq!(found(&ISSUER.replace(SECRETS, &beside)), needs_feature(&place), "{key}");
    }
    for key in ["jwks_url = \"https://a/jwks\"", "discovery = true"] {
        let alone = ISSUER.replace(SECRETS, &format!("keys = {{ {key} }}"));
        let name = key.split(' ').next().expect("a key");
        assert_eq!(found(&alone), needs_feature(&format!("issuer[0].keys.{name}")), "{key}");
    }
}

#[test]
fn so_do_templates_and_hosts_without_tls() {
    let template = ISSUER.replace("id = \"https://a\"", "template = \"https://{tenant}\"");
    assert_eq!(found(&template), needs_feature("issuer[0].template"));
    let both = format!("{ISSUER}template = \"https://{{tenant}}\"");
    assert_eq!(found(&both), needs_feature("issuer[0].template"));
    let number = format!("{ISSUER}max_tenants = 5");
    assert_eq!(found(&number), needs_feature("issuer[0].max_tenants"));
    let burst = format!("{ISSUER}tenant_burst = 5");
    assert_eq!(found(&burst), needs_feature("issuer[0].tenant_burst"));
    let known = format!("{ISSUER}known_tenants = []");
    assert_eq!(found(&known), needs_feature("issuer[0].known_tenants"));
    let interval = format!("{ISSUER}tenant_interval = \"2s\"");
    assert_eq!(found(&interval), needs_feature("issuer[0].tenant_interval"));
    let hosts = format!("{ISSUER}dangerous = {{ allow_http = [\"keycloak\"] }}");
    assert_eq!(found(&hosts), needs_feature("issuer[0].dangerous.allow_http"));
}

#[test]
fn the_message_says_what_to_turn_on() {
    let error = refused(&ISSUER.replace(SECRETS, "keys = { discovery = true }"));
    assert_eq!(
        error.to_string(),
        "the policy is refused:\n  - line 6: issuer[0].keys.discovery: needs the feature `remote-jwks` of portcullis: turn it on in Cargo.toml"
    );
}

#[test]
fn an_issuer_without_a_name_or_keys_is_not_told_of_what_needs_the_feature() {
    let error = refused(&ISSUER.replace("id = \"https://a\"", "").replace(SECRETS, "keys = {}"));
    assert_eq!(
        error.to_string(),
        "the policy is refused:\n  - line 2: issuer[0].id: is missing and has no default: set it\n  - line 6: issuer[0].keys: needs one of `jwks_file`, `pem_file`, `secrets`"
    );
}

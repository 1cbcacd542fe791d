use super::*;

#[test]
fn the_policy_that_is_deployed_is_accepted() {
    let policy = Policy::from_toml_file(concat!(env!("CARGO_MANIFEST_DIR"), "/policy.toml"));
    let policy = policy.unwrap_or_else(|error| panic!("{error}")); // names every fault, with its line
    assert_eq!(policy.remote_keys()[0].issuer(), "https://id.example");
}

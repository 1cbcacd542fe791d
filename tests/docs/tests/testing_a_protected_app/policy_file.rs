use super::*;

#[test]
fn the_policy_that_is_deployed_is_accepted() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/policy.toml");
    // The message names every fault, with its line.
    let policy = Policy::from_file(file).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(policy.remote_keys()[0].issuer(), "https://id.example");
}

//! Settings that make no sense are told before anything is asked of a server.
use super::*;

fn server() -> RedisReplays {
    RedisReplays::server("redis://orders:hidden@127.0.0.1").expect("an address")
}

fn fault(settings: &RedisReplays) -> Option<&'static str> {
    match settings.layout() {
        Ok(_) => None,
        Err(RedisError::Setting { fault }) => Some(fault),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn each_setting_that_makes_no_sense_is_named() {
    for (settings, named) in [
        (server().prefix(""), "`prefix` is a name"),
        (server().prefix("a{b"), "`prefix` is a name"),
        (server().prefix("a").prefix("b"), "`prefix` is set twice"),
        (server().name(""), "`name` has 1 to 64"),
        (server().name("a b"), "`name` has 1 to 64"),
        (server().name("a:b"), "`name` has 1 to 64"),
        (server().name("a{b}"), "`name` has 1 to 64"),
        (server().name("a".repeat(65)), "`name` has 1 to 64"),
        (server().name("a").name("b"), "`name` is set twice"),
        (server().timeout(Duration::ZERO), "longer than nothing"),
        (server().capacity(999), "at least 1000"),
        (
            server().client_certificate("a", "b").client_certificate("a", "c"),
            "`client_certificate` is set twice",
        ),
    ] {
        assert!(fault(&settings).is_some_and(|fault| fault.contains(named)), "{named}");
    }
    for settings in [
        server(),
        server().name("a.b-C_9").name("a.b-C_9"),
        server().name("a".repeat(64)),
        server().capacity(1000),
    ] {
        assert_eq!(fault(&settings), None);
    }
}

#[tokio::test]
async fn no_server_is_asked_under_a_setting_that_makes_no_sense() {
    let refused = server().capacity(0).connect().await.err();
    assert!(matches!(refused, Some(RedisError::Setting { .. })), "{refused:?}");
}

#[test]
fn of_a_setting_that_is_called_again_the_safer_word_counts() {
    let capacity = |settings: RedisReplays| settings.layout().expect("good settings").capacity;
    assert_eq!(capacity(server()), 1_000_000);
    for [first, second] in [[2000, 7000], [7000, 2000]] {
        assert_eq!(capacity(server().capacity(first).capacity(second)), 2000);
    }
    let [short, long] = [5, 50].map(Duration::from_millis);
    for [first, second] in [[short, long], [long, short]] {
        let settings = server().timeout(first).timeout(second);
        assert_eq!(settings.access.answer_timeout(TIMEOUT), short);
    }
}

#[test]
fn stores_of_two_names_and_of_two_prefixes_have_no_key_in_common() {
    let memory = |settings: RedisReplays| settings.layout().expect("good settings").memory;
    let all = [server(), server().name("other"), server().prefix("other")].map(memory);
    assert_eq!(all[0], "{portcullis}:replays:default:memory");
    assert_eq!(all[1], "{portcullis}:replays:other:memory");
    assert_eq!(all[2], "{other}:replays:default:memory");
}

#[test]
fn no_password_shows() {
    let shown = format!("{:?}", server().name("orders"));
    assert!(shown.contains("127.0.0.1") && shown.contains("\"orders\""), "{shown}");
    assert!(!shown.contains("hidden"), "{shown}");
}

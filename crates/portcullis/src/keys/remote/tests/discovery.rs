use super::*;
use crate::json::JsonFault;
use crate::keys::NotAnObject;

const OPENID: &str = "https://id.example/.well-known/openid-configuration";
const OAUTH: &str = "https://id.example/.well-known/oauth-authorization-server";

fn metadata(issuer: &str, keys: &str) -> Reply {
    Reply::text(json!({ "issuer": issuer, "jwks_uri": keys, "scopes_supported": [] }).to_string())
}

fn rig() -> Rig {
    let rig = Rig::with(RemoteJwks::discovery());
    rig.server.answers(OPENID, metadata(ISSUER, KEYS));
    rig.server.answers(KEYS, Reply::ids(&["a"]));
    rig
}

async fn error_of(rig: &Rig) -> KeyFetchError {
    let error = rig.remote.refresh_now().await.expect_err("a failure");
    assert_eq!(rig.remote.keys().len(), 0);
    error
}

/// What the first address said.
fn first(error: &KeyFetchError) -> &KeyFetchFault {
    match error.fault() {
        KeyFetchFault::NoMetadata(tried) => tried[0].fault(),
        other => other,
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_where_the_metadata_say() {
    let rig = rig();
    rig.remote.ready().await;
    assert_eq!(rig.ids(), ["a"]);
    assert_eq!(rig.server.urls(), [OPENID, KEYS]);
}

#[tokio::test(start_paused = true)]
async fn a_byte_order_mark_in_front_of_the_metadata_is_ignored() {
    let rig = rig();
    let text = json!({ "issuer": ISSUER, "jwks_uri": KEYS });
    rig.server.answers(OPENID, Reply::text(format!("\u{feff}{text}")));
    rig.remote.ready().await;
    assert_eq!(rig.ids(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn the_next_address_is_asked_whatever_answer_is_not_this_issuers_metadata() {
    let statuses = [204, 302, 400, 401, 403, 404, 405, 406, 410, 418, 500, 501, 502, 504];
    let others = [
        Reply::text("<html>"),
        Reply::text("{}"),
        metadata("https://other.example", KEYS),
        metadata(ISSUER, "http://id.example/jwks"),
        Reply::Fails(HttpError::TooLarge),
    ];
    for reply in statuses.map(Reply::status).into_iter().chain(others) {
        let rig = rig();
        rig.server.answers(OPENID, reply);
        rig.server.answers(OAUTH, metadata(ISSUER, KEYS));
        rig.remote.refresh_now().await.unwrap();
        assert_eq!(rig.server.urls(), [OPENID, OAUTH, KEYS]);
    }
}

#[tokio::test(start_paused = true)]
async fn no_other_address_is_asked_of_a_server_that_is_away_busy_or_slow() {
    for reply in [
        Reply::status(503),
        Reply::status(429),
        Reply::Fails(HttpError::Failed("refused".to_owned())),
        Reply::Hangs,
    ] {
        let rig = rig();
        rig.server.answers(OPENID, reply);
        rig.server.answers(OAUTH, metadata(ISSUER, KEYS));
        assert_eq!(error_of(&rig).await.url(), OPENID);
        assert_eq!(rig.server.urls(), [OPENID]);
    }
}

/// Where the metadata of an issuer with a path may be.
const WITH_PATH: [&str; 3] = [
    "https://id.example/acme/.well-known/openid-configuration",
    "https://id.example/.well-known/oauth-authorization-server/acme",
    "https://id.example/.well-known/openid-configuration/acme",
];

fn of_path() -> (Server, RemoteJwks) {
    let server = Server::default();
    let options = RemoteJwks::discovery().client(server.clone());
    (server, start_for("https://id.example/acme", options))
}

#[tokio::test(start_paused = true)]
async fn the_metadata_of_an_issuer_with_a_path_are_looked_for_at_three_addresses() {
    let (server, remote) = of_path();
    server.answers(WITH_PATH[2], metadata("https://id.example/acme", KEYS));
    server.answers(KEYS, Reply::ids(&["a"]));
    remote.refresh_now().await.unwrap();
    assert_eq!(server.urls(), [&WITH_PATH[..], &[KEYS]].concat());
}

#[tokio::test(start_paused = true)]
async fn all_documents_together_take_no_longer_than_two() {
    let (server, remote) = of_path();
    for url in WITH_PATH {
        server.answers(url, Reply::status(404).after(4 * SECOND));
    }
    let start = Instant::now();
    let error = remote.refresh_now().await.expect_err("a failure");
    assert_eq!(start.elapsed(), 10 * SECOND);
    let KeyFetchFault::NoMetadata(tried) = error.fault() else { panic!("{error}") };
    assert_eq!(*tried[2].fault(), KeyFetchFault::Fetch(FetchFault::Timeout { after: 2 * SECOND }));
}

#[tokio::test(start_paused = true)]
async fn of_an_issuer_without_metadata_it_is_said_what_each_address_answered() {
    let rig = rig();
    rig.server.answers(OPENID, Reply::text("<html>"));
    rig.server.answers(OAUTH, Reply::status(502));
    assert_eq!(
        error_of(&rig).await.to_string(),
        format!(
            "no address has metadata of this issuer: {OPENID}: these are not the metadata: this is HTML or XML, and a JSON object is needed; {OAUTH}: the server answered with status 502"
        )
    );
    assert_eq!(rig.server.urls(), [OPENID, OAUTH]);
}

#[tokio::test(start_paused = true)]
async fn metadata_of_another_issuer_are_refused_and_both_are_shown() {
    for (found, hint) in [
        ("https://id.example/", ": the slash at the end counts; write it as the tokens do"),
        ("https://id.example//", ": the slash at the end counts; write it as the tokens do"),
        ("https://ID.example", ""),
        ("https://other.example", ""),
        ("http://id.example", ""),
        ("", ""),
    ] {
        let rig = rig();
        rig.server.answers(OPENID, metadata(found, KEYS));
        let error = error_of(&rig).await;
        assert_eq!(
            error.to_string(),
            format!(
                "no address has metadata of this issuer: {OPENID}: the metadata is of the issuer `{found}`, not of `https://id.example`{hint}; {OAUTH}: the server answered with status 404"
            )
        );
        let expected = ISSUER.to_owned();
        assert_eq!(*first(&error), KeyFetchFault::Issuer { expected, found: found.to_owned() });
        assert_eq!(rig.server.count(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn the_slash_at_the_end_of_the_configured_issuer_counts_as_well() {
    let server = Server::default();
    server.answers(OPENID, metadata(ISSUER, KEYS));
    let remote = start_for("https://id.example/", RemoteJwks::discovery().client(server.clone()));
    let error = remote.refresh_now().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "no address has metadata of this issuer: {OPENID}: the metadata is of the issuer `https://id.example`, not of `https://id.example/`: the slash at the end counts; write it as the tokens do; {OAUTH}: the server answered with status 404"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn what_another_party_wrote_is_escaped_and_cut() {
    let rig = rig();
    rig.server.answers(OPENID, metadata(&"\u{1b}[31m".repeat(100), KEYS));
    let KeyFetchFault::Issuer { found, .. } = first(&error_of(&rig).await).clone() else {
        panic!("another fault")
    };
    assert_eq!(found, "\\u{1b}[31m".repeat(51) + "\\u{1b}");
}

#[tokio::test(start_paused = true)]
async fn metadata_that_are_no_object_or_lack_a_member_are_refused() {
    let missing = |member| KeyFetchFault::Missing { member };
    for (text, fault) in [
        ("[]", KeyFetchFault::MetadataNotAnObject(NotAnObject::List)),
        ("<html>", KeyFetchFault::MetadataNotAnObject(NotAnObject::Markup)),
        ("", KeyFetchFault::MetadataNotAnObject(NotAnObject::Nothing)),
        (r#"{"issuer":"a","issuer":"b"}"#, KeyFetchFault::Metadata(JsonFault::DuplicateMember)),
        ("{}", missing("issuer")),
        (r#"{"issuer":7}"#, missing("issuer")),
        (r#"{"issuer":"https://id.example"}"#, missing("jwks_uri")),
        (r#"{"issuer":"https://id.example","jwks_uri":null}"#, missing("jwks_uri")),
    ] {
        let rig = rig();
        rig.server.answers(OPENID, Reply::text(text));
        assert_eq!(*first(&error_of(&rig).await), fault, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_lead_to_no_address_without_tls() {
    for (keys, fault) in [
        ("http://id.example/jwks", AddressFault::PlainHttp),
        ("http://127.0.0.1/jwks", AddressFault::Downgrade),
        ("file:///etc/jwks", AddressFault::NotAUrl),
        ("/jwks", AddressFault::NotAUrl),
        ("https://user@id.example/jwks", AddressFault::Extra),
    ] {
        let rig = rig();
        rig.server.answers(OPENID, metadata(ISSUER, keys));
        // What may be a secret is not told.
        let address = keys.replace("user@", "");
        let expected = KeyFetchFault::KeysAddress { address, fault };
        assert_eq!(*first(&error_of(&rig).await), expected);
        assert_eq!(rig.server.urls(), [OPENID, OAUTH]);
    }
}

#[tokio::test(start_paused = true)]
async fn keys_may_be_at_another_origin_unless_the_same_one_is_asked_for() {
    for keys in ["https://keys.example/jwks", "https://id.example:8443/jwks"] {
        let rig = rig();
        rig.server.answers(OPENID, metadata(ISSUER, keys));
        rig.server.answers(keys, Reply::ids(&["b"]));
        rig.remote.refresh_now().await.unwrap();
        assert_eq!(rig.ids(), ["b"]);

        let rig = Rig::with(RemoteJwks::discovery().same_origin());
        rig.server.answers(OPENID, metadata(ISSUER, keys));
        let fault = AddressFault::OtherOrigin;
        // What may be a secret is not told.
        let address = keys.replace("user@", "");
        let expected = KeyFetchFault::KeysAddress { address, fault };
        assert_eq!(*first(&error_of(&rig).await), expected);
        rig.server.answers(OPENID, metadata(ISSUER, "https://id.example:443/keys"));
        rig.server.answers("https://id.example/keys", Reply::ids(&["c"]));
        rig.remote.refresh_now().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_are_read_again_after_an_hour_and_not_before() {
    let rig = rig();
    rig.remote.ready().await;
    rig.pass_to(59 * MINUTE).await;
    assert_eq!(rig.server.urls().iter().filter(|url| *url == OPENID).count(), 1);
    let elsewhere = "https://id.example/new";
    rig.server.answers(OPENID, metadata(ISSUER, elsewhere));
    rig.server.answers(elsewhere, Reply::ids(&["b"]));
    rig.pass_to(HOUR + 5 * MINUTE).await;
    assert_eq!(rig.server.urls().iter().filter(|url| *url == OPENID).count(), 2);
    assert_eq!(rig.server.last().request.url, elsewhere);
    assert_eq!(rig.ids(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn metadata_are_read_again_after_a_fetch_of_keys_failed() {
    let rig = rig();
    rig.remote.ready().await;
    rig.server.answers(KEYS, Reply::status(404));
    rig.remote.refresh_now().await.unwrap_err();
    assert_eq!(rig.server.urls(), [OPENID, KEYS, KEYS]);
    let elsewhere = "https://id.example/new";
    rig.server.answers(OPENID, metadata(ISSUER, elsewhere));
    rig.server.answers(elsewhere, Reply::ids(&["b"]));
    rig.remote.refresh_now().await.unwrap();
    assert_eq!(rig.server.urls()[3..], [OPENID, elsewhere]);
    assert_eq!(rig.ids(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_a_set_is_not_said_to_another_address() {
    let rig = rig();
    rig.server.answers(KEYS, Reply::ids(&["a"]).with("etag", "\"1\""));
    rig.remote.ready().await;
    rig.server.next(Reply::status(500));
    rig.remote.refresh_now().await.unwrap_err();
    let elsewhere = "https://id.example/new";
    rig.server.answers(OPENID, metadata(ISSUER, elsewhere));
    rig.server.answers(elsewhere, Reply::ids(&["b"]));
    rig.remote.refresh_now().await.unwrap();
    assert_eq!(rig.server.last().header("if-none-match"), None);
    // What was remembered outlives the failure where the address stays.
    rig.server.answers(OPENID, metadata(ISSUER, KEYS));
    rig.server.answers(elsewhere, Reply::status(500));
    rig.remote.refresh_now().await.unwrap_err();
    rig.remote.refresh_now().await.unwrap();
    assert_eq!(rig.server.last().header("if-none-match"), None);
    rig.server.next(Reply::status(500));
    rig.remote.refresh_now().await.unwrap_err();
    rig.remote.refresh_now().await.unwrap();
    assert_eq!(rig.server.last().header("if-none-match"), Some("\"1\""));
}

#[tokio::test(start_paused = true)]
async fn tokens_with_unknown_keys_do_not_have_the_metadata_read() {
    let rig = rig();
    rig.remote.ready().await;
    rig.rest().await;
    while rig.elapsed() < 30 * MINUTE {
        assert_eq!(rig.ask("b").await, Ok(false));
        rig.pass(SECOND).await;
    }
    let urls = rig.server.urls();
    assert_eq!(urls.iter().filter(|url| *url == OPENID).count(), 1);
    assert!(urls.len() <= 2 + 60, "{}", urls.len());
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_of_metadata_says_when_to_ask_again() {
    let rig = rig();
    rig.server.answers(OPENID, Reply::status(429).with("retry-after", "57"));
    let unavailable = rig.ask("a").await.unwrap_err();
    assert_eq!(unavailable.retry_after, Some(57 * SECOND));
}

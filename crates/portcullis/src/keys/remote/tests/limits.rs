use super::*;
use crate::json::JsonFault;
use crate::keys::NotAnObject;
use crate::text::TextFault;

/// How a fetch ends that gets this.
async fn end_of(reply: Reply) -> Result<(), KeyFetchFault> {
    let rig = Rig::new();
    rig.server.answers(KEYS, reply);
    rig.remote.refresh_now().await.map_err(|error| error.fault().clone())
}

#[tokio::test(start_paused = true)]
async fn an_answer_has_at_most_256_kib_whatever_the_client_lets_through() {
    let padded = |length: usize| {
        let mut text = json!({ "keys": [jwk("p256", "a")] }).to_string().into_bytes();
        text.resize(length, b' ');
        Reply::text(text)
    };
    let too_large = Err(KeyFetchFault::Fetch(FetchFault::TooLarge { allowed: 262_144 }));
    assert_eq!(end_of(padded(262_144)).await, Ok(()));
    assert_eq!(end_of(padded(262_145)).await, too_large);
    assert_eq!(end_of(Reply::Fails(HttpError::TooLarge)).await, too_large);
}

#[tokio::test(start_paused = true)]
async fn a_client_is_told_the_limits() {
    let rig = Rig::with(RemoteJwks::url(KEYS).max_bytes(2048).timeout(SECOND));
    rig.load(Reply::ids(&["a"])).await;
    let request = rig.server.last().request;
    assert_eq!((request.max_bytes, request.timeout), (2048, SECOND));
    rig.server.answers(KEYS, Reply::text([b' '; 2049]));
    rig.remote.refresh_now().await.unwrap_err();
    assert_eq!(rig.fault(), KeyFetchFault::Fetch(FetchFault::TooLarge { allowed: 2048 }));
}

#[tokio::test(start_paused = true)]
async fn a_set_has_at_most_100_entries_of_whatever_kind() {
    let entries = |count: usize| {
        let odd = (1..count).map(|_| json!({ "kty": "odd" }));
        Reply::set(odd.chain([jwk("p256", "a")]))
    };
    assert_eq!(end_of(entries(100)).await, Ok(()));
    let fault = KeyFault::TooManyKeys { found: 101, allowed: 100 };
    assert_eq!(end_of(entries(101)).await, Err(KeyFetchFault::Keys(fault)));
}

#[tokio::test(start_paused = true)]
async fn the_number_of_entries_can_be_set() {
    let rig = Rig::with(RemoteJwks::url(KEYS).max_keys(2));
    rig.load(Reply::ids(&["a", "b"])).await;
    rig.server.answers(KEYS, Reply::ids(&["a", "b", "c"]));
    rig.remote.refresh_now().await.unwrap_err();
    let fault = KeyFault::TooManyKeys { found: 3, allowed: 2 };
    assert_eq!(rig.fault(), KeyFetchFault::Keys(fault));
    assert_eq!(rig.ids(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn an_entry_or_a_set_that_nests_deeper_than_16_levels_is_not_used() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let entry = |depth: usize| {
        let rest = jwk("p256", "a").to_string()[1..].to_owned();
        let key = format!(r#"{{"x5c":{},{rest}"#, nested(depth));
        Reply::text(format!(r#"{{"keys":[{key}]}}"#))
    };
    assert_eq!(end_of(entry(15)).await, Ok(()));
    let skipped = vec![(0, KeyFault::Json(JsonFault::TooDeep))];
    let fault = KeyFetchFault::Keys(KeyFault::NoUsableKey { skipped });
    assert_eq!(end_of(entry(16)).await, Err(fault));

    let set = |depth: usize| {
        Reply::text(format!(r#"{{"keys":[{}],"more":{}}}"#, jwk("p256", "a"), nested(depth)))
    };
    assert_eq!(end_of(set(15)).await, Ok(()));
    let fault = KeyFetchFault::Keys(KeyFault::Json(JsonFault::TooDeep));
    assert_eq!(end_of(set(16)).await, Err(fault));
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_not_followed() {
    for status in [300, 301, 302, 303, 307, 308] {
        let rig = Rig::new();
        let elsewhere = "https://elsewhere.example/jwks";
        rig.server.answers(elsewhere, Reply::ids(&["a"]));
        rig.server.answers(KEYS, Reply::status(status).with("location", elsewhere));
        rig.remote.refresh_now().await.unwrap_err();
        assert_eq!(rig.fault(), KeyFetchFault::Fetch(FetchFault::Redirect { status }));
        assert_eq!(rig.server.urls(), [KEYS]);
    }
}

#[tokio::test(start_paused = true)]
async fn only_status_200_brings_keys() {
    for status in [100, 201, 203, 204, 206, 400, 401, 403, 404, 418, 500, 503, 599] {
        let Reply::Answer(mut response) = Reply::ids(&["a"]) else { unreachable!("an answer") };
        response.status = status;
        assert_eq!(
            end_of(Reply::Answer(response)).await,
            Err(KeyFetchFault::Fetch(FetchFault::Status { status }))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_answer_calls_itself_does_not_count() {
    for kind in ["application/jwk-set+json", "text/html", "image/png", ""] {
        assert_eq!(end_of(Reply::ids(&["a"]).with("content-type", kind)).await, Ok(()), "{kind}");
    }
    let not = KeyFault::NotAnObject;
    for (text, fault) in [
        (&b"<html>"[..], not(NotAnObject::Markup)),
        (b"", not(NotAnObject::Nothing)),
        (b"[]", not(NotAnObject::List)),
        (b"{\"keys\":[", not(NotAnObject::Other)),
        (b"{\"keys\":[\"\xff\"]}", KeyFault::Text(TextFault::NotUtf8)),
        (b"{\0\"\0", KeyFault::Text(TextFault::Utf16)),
    ] {
        let reply = Reply::text(text).with("content-type", "application/json");
        assert_eq!(end_of(reply).await, Err(KeyFetchFault::Keys(fault)));
    }
    let marked = format!("\u{feff}{}", json!({ "keys": [jwk("p256", "a")] }));
    assert_eq!(end_of(Reply::text(marked)).await, Ok(()));
    let no_set = KeyFetchFault::Keys(KeyFault::NotASet);
    assert_eq!(end_of(Reply::text("{}")).await, Err(no_set));
}

#[tokio::test(start_paused = true)]
async fn metadata_in_the_place_of_a_set_are_told_as_such() {
    let text = json!({ "issuer": ISSUER, "jwks_uri": "https://id.example/keys\n" }).to_string();
    let keys = "https://id.example/keys\\n".to_owned();
    assert_eq!(end_of(Reply::text(text)).await, Err(KeyFetchFault::MetadataInstead { keys }));
    let no_set = Err(KeyFetchFault::Keys(KeyFault::NotASet));
    assert_eq!(end_of(Reply::text(r#"{"jwks_uri":7}"#)).await, no_set);
}

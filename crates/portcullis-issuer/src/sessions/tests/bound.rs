//! Sessions that are bound to a key of their client.
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::prelude::*;
use portcullis::dpop::{
    Dpop, DpopError, GoodProof, InProcessReplays, ProofUse, Replays, ReplaysUnavailable, Spent,
    TokenEndpointProofs,
};
use serde_json::Value;

use super::*;

const URL: &str = "https://id.example/oauth/token";

/// A client with a key of its own, and a token endpoint that checks its proofs.
pub(super) struct Client {
    key: EcdsaKeyPair,
    endpoint: TokenEndpointProofs,
    time: Time,
    proofs: AtomicUsize,
}

impl Client {
    pub(super) fn new(world: &World) -> Self {
        Self::of(world, InProcessReplays::new())
    }

    pub(super) fn of(world: &World, replays: impl Replays) -> Self {
        let endpoint = Dpop::new(replays).at(ISSUER).for_token_endpoint().expect("good settings");
        // Long before any proof.
        endpoint.start(UnixTime(NOW - 3600));
        Self::at(world, endpoint)
    }

    fn at(world: &World, endpoint: TokenEndpointProofs) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Self { key, endpoint, time: world.time.clone(), proofs: AtomicUsize::new(0) }
    }

    /// A proof that holds, and no other has its id.
    pub(super) fn proof(&self) -> GoodProof {
        let number = self.proofs.fetch_add(1, Ordering::Relaxed);
        self.checked(&self.written(number))
    }

    fn written(&self, number: usize) -> String {
        let point = self.key.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y });
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk });
        let now = Clock::now(&self.time).0;
        let id = format!("proof-{number}");
        let claims = json!({ "jti": id, "htm": "POST", "htu": URL, "iat": now });
        let [header, claims] =
            [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        let input = format!("{header}.{claims}");
        let signature = self.key.sign(&SystemRandom::new(), input.as_bytes()).expect("signed");
        format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    fn checked(&self, proof: &str) -> GoodProof {
        let request = http::Request::post("/oauth/token").header("dpop", proof);
        let (head, ()) = request.body(()).expect("a request").into_parts();
        let checked = self.endpoint.check(&head, Clock::now(&self.time));
        checked.expect("it holds").expect("there is one")
    }

    pub(super) fn thumbprint(&self) -> String {
        self.proof().thumbprint().to_owned()
    }

    async fn begin(&self, sessions: &Sessions) -> Begun {
        let attempt = sessions.attempt("alice").await.expect("an attempt");
        let login = attempt.succeeded("web").bound_to(self.proof());
        sessions.begin(login).await.expect("a session")
    }

    async fn refresh(
        &self,
        sessions: &Sessions,
        token: &RefreshToken,
    ) -> Result<Refreshed, RefreshError> {
        let proof = self.proof();
        sessions.refresh(&RefreshRequest::new(token.as_str(), "web").proof(&proof)).await
    }

    /// A session whose refresh token rotated: the tokens before and after.
    async fn rotated(
        &self,
        world: &World,
        sessions: &Sessions,
    ) -> (Begun, RefreshToken, RefreshToken) {
        let begun = self.begin(sessions).await;
        world.advance(YOUNG);
        let refreshed = self.refresh(sessions, &begun.refresh).await.expect("rotated");
        let (old, new) = (begun.refresh.clone(), refreshed.refresh.expect("another token"));
        (begun, old, new)
    }
}

pub(super) fn row(world: &World, id: SessionId) -> SessionRow {
    now(world.store.inner.read(ISSUER, id)).expect("a row").row.expect("it is there")
}

pub(super) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a payload");
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    serde_json::from_slice(&payload).expect("JSON")
}

#[tokio::test]
async fn all_tokens_of_a_bound_session_say_its_key_and_those_of_others_say_none() {
    let world = World::new();
    let sessions = world.sessions().await;
    let client = Client::new(&world);
    let confirmed = json!({ "jkt": client.thumbprint() });
    let begun = client.begin(&sessions).await;
    assert_eq!(claims(&begun.access.token)["cnf"], confirmed);
    assert_eq!(begun.session.key_thumbprint(), Some(client.thumbprint()));
    assert_eq!(row(&world, begun.session.id()).key_thumbprint(), Some(client.thumbprint()));
    let mut token = begun.refresh;
    for wait in [0, YOUNG, 10, YOUNG] {
        world.advance(wait);
        let refreshed = client.refresh(&sessions, &token).await.expect("goes on");
        assert_eq!(claims(&refreshed.access.token)["cnf"], confirmed);
        assert_eq!(refreshed.session.key_thumbprint(), Some(client.thumbprint()));
        token = refreshed.refresh.unwrap_or(token);
    }
    let listed = sessions.list("alice", None, 10).await.expect("a list");
    assert_eq!(listed[0].key_thumbprint(), Some(client.thumbprint()));

    let bearer = begin(&sessions).await;
    assert_eq!(claims(&bearer.access.token).get("cnf"), None);
    assert_eq!(bearer.session.key_thumbprint(), None);
    assert_eq!(row(&world, bearer.session.id()).binding, None);
}

/// Each of them with the current token, one that is to rotate, the one before, and one that would be a replay.
#[tokio::test]
async fn who_does_not_show_the_key_of_a_session_ends_nothing_writes_nothing_and_consumes_nothing() {
    let world = World::new();
    let sessions = world.sessions().await;
    let replays = InProcessReplays::new();
    let client = Client::of(&world, replays.clone());
    let thief = Client::at(&world, client.endpoint.clone());
    let (begun, first, second) = client.rotated(&world, &sessions).await;
    world.advance(YOUNG);
    let third = client.refresh(&sessions, &second).await.expect("rotated");
    let third = third.refresh.expect("another token");
    for wait in [0, 10, 40, 300] {
        world.advance(wait);
        let (writes, before) =
            (world.store.writes.load(Ordering::Relaxed), row(&world, begun.session.id()));
        let used = replays.len();
        for token in [&first, &second, &third] {
            let request = RefreshRequest::new(token.as_str(), "web");
            let of_thief = thief.proof();
            for (request, why) in [
                (request.clone(), RefreshRefusal::Bound),
                (request.clone().bound_only(), RefreshRefusal::Bound),
                (request.clone().proof(&of_thief), RefreshRefusal::OtherKey),
                (request.clone().defer_rotation(), RefreshRefusal::Bound),
            ] {
                assert_eq!(sessions.refresh(&request).await.err(), refused(why));
                assert_eq!(sessions.session_of(&request).await.err(), refused(why));
            }
        }
        assert_eq!(world.store.writes.load(Ordering::Relaxed), writes);
        assert_eq!(row(&world, begun.session.id()), before);
        assert_eq!(replays.len(), used, "no proof is used");
    }
    assert_eq!(world.reasons(), []);
    client.refresh(&sessions, &third).await.expect("goes on");
}

/// Who read both in a log.
#[tokio::test]
async fn a_proof_that_was_used_is_not_heard_again_whatever_token_comes_with_it() {
    let world = World::new();
    let sessions = world.sessions().await;
    let client = Client::new(&world);
    let (_, first, second) = client.rotated(&world, &sessions).await;
    world.advance(YOUNG);
    let written = client.written(999);
    let proof = client.checked(&written);
    let request = RefreshRequest::new(second.as_str(), "web").proof(&proof);
    let third = sessions.refresh(&request).await.expect("rotated").refresh.expect("another");
    let writes = world.store.writes.load(Ordering::Relaxed);
    for token in [&first, &second, &third] {
        let again = client.checked(&written);
        let request = RefreshRequest::new(token.as_str(), "web").proof(&again);
        let replayed = refused(RefreshRefusal::ProofReplayed);
        assert_eq!(sessions.refresh(&request).await.err(), replayed);
        assert_eq!(sessions.session_of(&request).await.err(), replayed);
    }
    assert_eq!(world.store.writes.load(Ordering::Relaxed), writes);
    assert_eq!(world.reasons(), []);
    client.refresh(&sessions, &third).await.expect("goes on");
}

#[tokio::test]
async fn a_session_that_is_bound_to_nothing_is_not_bound_by_a_proof_that_comes_later() {
    let world = World::new();
    let sessions = world.sessions().await;
    let replays = InProcessReplays::new();
    let client = Client::of(&world, replays.clone());
    let (begun, old, new) = rotated(&world, &sessions).await;
    world.advance(40);
    let before = row(&world, begun.session.id());
    for token in [&old, &new] {
        let proof = client.proof();
        let request = RefreshRequest::new(token.as_str(), "web");
        for request in [request.clone().proof(&proof), request.bound_only()] {
            let found = sessions.refresh(&request).await.err();
            assert_eq!(found, refused(RefreshRefusal::Unbound));
        }
    }
    assert_eq!(row(&world, begun.session.id()), before);
    assert!(replays.is_empty());
    refresh(&sessions, &new).await.expect("goes on as before");
}

#[tokio::test]
async fn a_client_that_comes_back_late_is_not_taken_for_a_thief() {
    let world = World::new();
    let sessions = world.sessions().await;
    let client = Client::new(&world);
    let (_, old, lost) = client.rotated(&world, &sessions).await;
    // Again and again, longer than the retry window and shorter than the session is good without use.
    let mut token = old.clone();
    for _ in 0..3 {
        world.advance(40 * 60);
        // The ring was read lately.
        let sessions = world.sessions().await;
        let forked = client.refresh(&sessions, &old).await.expect("a late retry");
        token = forked.refresh.expect("another token");
        assert_ne!(token, lost);
    }
    let sessions = world.sessions().await;
    let (writes, thief) = (world.store.writes.load(Ordering::Relaxed), Client::new(&world));
    for stolen in [&old, &lost, &token] {
        assert!(thief.refresh(&sessions, stolen).await.is_err());
        assert!(refresh(&sessions, stolen).await.is_err());
    }
    assert_eq!(world.store.writes.load(Ordering::Relaxed), writes);
    let refreshed = client.refresh(&sessions, &token).await.expect("goes on");
    let token = refreshed.refresh.unwrap_or(token);
    assert_eq!(world.reasons(), []);
    // Two have the key as well: what was displaced shows it.
    assert_eq!(client.refresh(&sessions, &lost).await.err(), ended(EndReason::Replay));
    assert_eq!(client.refresh(&sessions, &token).await.err(), ended(EndReason::Replay));
}

#[tokio::test]
async fn no_fault_at_any_step_consumes_the_token_of_a_bound_session() {
    for (way, calls) in WAYS {
        for call in 1..=calls {
            for when in [When::Before, When::After] {
                let world = World::new();
                let sessions = world.sessions().await;
                let client = Client::new(&world);
                let (_, old, new) = client.rotated(&world, &sessions).await;
                let token = if way == "again" { old } else { new };
                world.advance(if way == "rotate" { YOUNG } else { 0 });
                world.store.at(call, move |_| Some(when));
                let failed = client.refresh(&sessions, &token).await;
                assert!(matches!(failed, Err(RefreshError::Unavailable(_))), "{way} {call}");
                world.store.as_it_is();
                let refreshed = client.refresh(&sessions, &token).await;
                let refreshed = refreshed.unwrap_or_else(|it| panic!("{way} {call}: {it}"));
                let next = refreshed.refresh.unwrap_or(token);
                world.advance(YOUNG);
                client.refresh(&sessions, &next).await.expect("goes on");
                assert_eq!(world.reasons(), []);
            }
        }
    }
}

#[tokio::test]
async fn a_proof_is_used_once_however_often_the_session_is_read() {
    let world = World::new();
    let sessions = world.sessions().await;
    let replays = InProcessReplays::new();
    let client = Client::of(&world, replays.clone());
    let begun = client.begin(&sessions).await;
    world.advance(YOUNG);
    // Somebody else changes the row between reading and writing.
    let id = begun.session.id();
    world.store.at(2, move |store| {
        store.tamper(ISSUER, id, |row| row.version.0 += 1);
        None
    });
    let used = replays.len();
    let refreshed = client.refresh(&sessions, &begun.refresh).await.expect("goes on");
    assert!(refreshed.refresh.is_some());
    assert!(world.store.as_it_is() > 3, "it was read again");
    assert_eq!(replays.len(), used + 1);
}

#[tokio::test]
async fn a_login_uses_its_proof_last_and_does_not_begin_with_one_that_was_used() {
    let world = World::new();
    let sessions = world.sessions().await;
    let replays = InProcessReplays::new();
    let client = Client::of(&world, replays.clone());
    let written = client.written(7);
    let begin = async || {
        let attempt = sessions.attempt("alice").await.expect("an attempt");
        let login = attempt.succeeded("web").bound_to(client.checked(&written));
        sessions.begin(login).await
    };
    world.says(Err(Unanswered::new("away")));
    assert!(matches!(begin().await, Err(BeginError::Unavailable(_))));
    world.says(Ok(Answer::End(EndReason::AccountDisabled)));
    assert!(matches!(begin().await, Err(BeginError::Refused(_))));
    assert!(replays.is_empty());
    world.says(Ok(Answer::GoOn(json!({}))));
    begin().await.expect("it is not used yet");
    let writes = world.store.writes.load(Ordering::Relaxed);
    assert_eq!(begin().await.err(), Some(BeginError::Proof(DpopError::Replayed)));
    assert_eq!(world.store.writes.load(Ordering::Relaxed), writes);
    assert_eq!(sessions.list("alice", None, 10).await.expect("a list").len(), 1);
}

/// Answers as it is told to, at once or later.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Option<Later>>>);

/// Whether the answer comes later, and what it is.
type Later = (bool, Result<bool, ReplaysUnavailable>);

impl Replays for Told {
    fn spend(&self, _: &ProofUse) -> Spent {
        let told = *self.0.lock().expect("no panic");
        match told {
            None | Some((false, Ok(true))) => Spent::Fresh,
            Some((false, Ok(false))) => Spent::Seen,
            Some((false, Err(error))) => Spent::Unavailable(error),
            Some((true, answer)) => Spent::Later(Box::pin(async move {
                tokio::task::yield_now().await;
                answer
            })),
        }
    }

    fn epoch(&self) -> u64 {
        7
    }
}

#[tokio::test]
async fn where_nobody_can_tell_whether_a_proof_was_used_nothing_is_consumed() {
    let away = ReplaysUnavailable { retry_after: Some(seconds(3)) };
    for is_later in [false, true] {
        let world = World::new();
        let sessions = world.sessions().await;
        let told = Told::default();
        let client = Client::of(&world, told.clone());
        let (_, old, new) = client.rotated(&world, &sessions).await;
        world.advance(YOUNG);
        let writes = world.store.writes.load(Ordering::Relaxed);
        let say = |answer| *told.0.lock().expect("no panic") = Some((is_later, answer));
        say(Err(away));
        let unavailable = SessionsUnavailable::Replays(away);
        for token in [&old, &new] {
            let found = client.refresh(&sessions, token).await.err();
            assert_eq!(found, Some(RefreshError::Unavailable(unavailable.clone())));
        }
        let attempt = sessions.attempt("alice").await.expect("an attempt");
        let login = attempt.succeeded("web").bound_to(client.proof());
        let found = sessions.begin(login).await.err();
        assert_eq!(found, Some(BeginError::Unavailable(unavailable)));
        say(Ok(false));
        let found = client.refresh(&sessions, &new).await.err();
        assert_eq!(found, refused(RefreshRefusal::ProofReplayed));
        assert_eq!(world.store.writes.load(Ordering::Relaxed), writes);
        say(Ok(true));
        let refreshed = client.refresh(&sessions, &new).await.expect("goes on");
        assert!(refreshed.refresh.is_some());
    }
}

#[tokio::test]
async fn whoever_writes_to_the_store_takes_no_binding_away_and_puts_no_key_of_their_own() {
    let other = |world: &World| {
        let key = Client::new(world).thumbprint();
        let key = BASE64_URL_SAFE_NO_PAD.decode(key).expect("base64url");
        Some([&[1], &key[..]].concat())
    };
    for is_taken_away in [true, false] {
        let world = World::new();
        let sessions = world.sessions().await;
        let client = Client::new(&world);
        let begun = client.begin(&sessions).await;
        let binding = if is_taken_away { None } else { other(&world) };
        world.store.inner.tamper(ISSUER, begun.session.id(), |row| row.binding = binding);
        let foreign = Some(RefreshError::Unavailable(SessionsUnavailable::Foreign));
        assert_eq!(refresh(&sessions, &begun.refresh).await.err(), foreign);
        assert_eq!(client.refresh(&sessions, &begun.refresh).await.err(), foreign);
    }
}

/// Of a later release.
#[tokio::test]
async fn what_a_session_is_bound_to_and_nobody_here_knows_is_shown_by_nobody() {
    let world = World::new();
    let sessions = world.sessions().await;
    let client = Client::new(&world);
    let begun = client.begin(&sessions).await;
    let root = RootSecrets::new([Secret::new(ROOT)]).expect("a good secret");
    let rows = crate::session::SessionAuthenticator::new(ISSUER, &root.keys("session", ISSUER));
    let mut row = row(&world, begun.session.id());
    row.binding.as_mut().expect("bound")[0] = 4;
    let (binding, mac) = (row.binding.clone(), rows.mac(&row));
    world.store.inner.tamper(ISSUER, row.id, |row| (row.binding, row.mac) = (binding, mac));
    let found = client.refresh(&sessions, &begun.refresh).await.err();
    assert_eq!(found, refused(RefreshRefusal::OtherKey));
    assert_eq!(refresh(&sessions, &begun.refresh).await.err(), refused(RefreshRefusal::OtherKey));
}

/// RFC 7009 §2.1. To end a session is the safe direction: whoever finds a token may do it.
#[tokio::test]
async fn a_bound_session_is_signed_out_without_a_proof() {
    let world = World::new();
    let sessions = world.sessions().await;
    let client = Client::new(&world);
    let (_, old, new) = client.rotated(&world, &sessions).await;
    sessions.sign_out(&RefreshRequest::new(old.as_str(), "web")).await.expect("signed out");
    let found = client.refresh(&sessions, &new).await.err();
    assert_eq!(found, ended(EndReason::SignedOut));
}

#[tokio::test]
async fn nothing_shows_which_key_a_session_is_bound_to_unless_it_is_asked() {
    let world = World::new();
    let sessions = world.sessions().await;
    let client = Client::new(&world);
    let proof = client.proof();
    let attempt = sessions.attempt("alice").await.expect("an attempt");
    let login = attempt.succeeded("web").bound_to(client.proof());
    let mut told = format!("{login:?}");
    let begun = sessions.begin(login).await.expect("a session");
    let request = RefreshRequest::new(begun.refresh.as_str(), "web").proof(&proof);
    told += &format!("{begun:?} {request:?} {:?}", row(&world, begun.session.id()));
    let error = refresh(&sessions, &begun.refresh).await.expect_err("refused");
    told += &format!("{error:?} {error}");
    assert!(!told.contains(&client.thumbprint()), "{told}");
}

#[tokio::test]
async fn an_access_token_of_ones_own_is_bound_to_the_key_of_a_proof_and_the_metadata_say_which_are_taken()
 {
    let world = World::new();
    let client = Client::new(&world);
    let issuer = TokenIssuer::builder(ISSUER)
        .algorithm(Algorithm::ES256)
        .audiences(["https://orders.example"])
        .lifetime(ACCESS)
        .root_secrets([Secret::new(ROOT)])
        .ring(MemoryRing::new())
        .dpop(&client.endpoint)
        .refreshed_by_hand();
    let issuer = issuer.build().await.expect("an issuer");
    let token = AccessToken::of_service("billing").bound_to(&client.proof());
    let minted = issuer.mint(&token).await.expect("a token");
    assert_eq!(claims(&minted.token)["cnf"], json!({ "jkt": client.thumbprint() }));
    let metadata = issuer.answer_metadata(&http::Request::new(()));
    let metadata: Value = serde_json::from_slice(metadata.body()).expect("JSON");
    let taken = &metadata["dpop_signing_alg_values_supported"];
    assert_eq!(*taken, json!(["ES256", "EdDSA", "Ed25519"]));
    // Not as a claim of the application's.
    let own = AccessToken::of_service("billing").claims(json!({ "cnf": {} }));
    let reserved = Some(MintError::Reserved { claim: "cnf" });
    assert_eq!(issuer.mint(&own).await.err(), reserved);
}

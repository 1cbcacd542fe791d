//! Sessions that are bound to a certificate of their client, alone or beside a key.
use base64::prelude::*;
use portcullis::dpop::InProcessReplays;
use portcullis::mtls::{Mtls, PresentedCertificate};
use portcullis::request::ClientCertificate;

use super::bound::{Client, claims, row};
use super::*;

const OWN: &[u8] = b"the DER of the client's certificate";
const OTHER: &[u8] = b"the DER of another";

/// What a client presents in its handshake.
fn presented(der: &[u8]) -> PresentedCertificate {
    let certificates = Mtls::from_tls().for_token_endpoint().expect("good settings");
    let mut request = http::Request::new(());
    request.extensions_mut().insert(ClientCertificate::presented(der));
    certificates.of(&request).expect("it is told").expect("there is one")
}

async fn begin_with(sessions: &Sessions, der: &[u8]) -> Begun {
    let attempt = sessions.attempt("alice").await.expect("an attempt");
    let login = attempt.succeeded("web").bound_to_certificate(presented(der));
    sessions.begin(login).await.expect("a session")
}

async fn refresh_with(
    sessions: &Sessions,
    token: &RefreshToken,
    der: &[u8],
) -> Result<Refreshed, RefreshError> {
    let certificate = presented(der);
    let request = RefreshRequest::new(token.as_str(), "web").certificate(&certificate);
    sessions.refresh(&request).await
}

/// A session whose refresh token rotated: the tokens before and after.
async fn rotated_with(
    world: &World,
    sessions: &Sessions,
) -> (SessionId, RefreshToken, RefreshToken) {
    let begun = begin_with(sessions, OWN).await;
    world.advance(YOUNG);
    let refreshed = refresh_with(sessions, &begun.refresh, OWN).await.expect("rotated");
    (begun.session.id(), begun.refresh, refreshed.refresh.expect("another token"))
}

#[tokio::test]
async fn all_tokens_of_a_session_say_the_certificate_that_it_is_bound_to() {
    let world = World::new();
    let sessions = world.sessions().await;
    let thumbprint = presented(OWN).thumbprint();
    let begun = begin_with(&sessions, OWN).await;
    assert_eq!(claims(&begun.access.token)["cnf"], json!({ "x5t#S256": thumbprint }));
    let kept = row(&world, begun.session.id());
    assert_eq!(kept.certificate_thumbprint().as_ref(), Some(&thumbprint));
    assert_eq!(kept.key_thumbprint(), None);
    assert_eq!(kept.binding, Some([&[2], &presented(OWN).sha256()[..]].concat()));
    let mut token = begun.refresh;
    for wait in [0, YOUNG, 10, YOUNG] {
        world.advance(wait);
        let refreshed = refresh_with(&sessions, &token, OWN).await.expect("goes on");
        assert_eq!(claims(&refreshed.access.token)["cnf"], json!({ "x5t#S256": thumbprint }));
        token = refreshed.refresh.unwrap_or(token);
    }
    let listed = sessions.list("alice", None, 10).await.expect("a list");
    assert_eq!(listed[0].certificate_thumbprint(), Some(thumbprint));
    assert_eq!(listed[0].key_thumbprint(), None);
}

/// Each of them with the current token, one that is to rotate, the one before, and one that would be a replay.
#[tokio::test]
async fn who_does_not_present_the_certificate_of_a_session_ends_nothing_and_consumes_nothing() {
    let world = World::new();
    let sessions = world.sessions().await;
    let replays = InProcessReplays::new();
    let thief = Client::of(&world, replays.clone());
    let (id, first, second) = rotated_with(&world, &sessions).await;
    world.advance(YOUNG);
    let third = refresh_with(&sessions, &second, OWN).await.expect("rotated");
    let third = third.refresh.expect("another token");
    let other = presented(OTHER);
    for wait in [0, 10, 40, 300] {
        world.advance(wait);
        let (writes, before) = (world.store.writes.load(Ordering::Relaxed), row(&world, id));
        for token in [&first, &second, &third] {
            let request = RefreshRequest::new(token.as_str(), "web");
            let proof = thief.proof();
            for (request, why) in [
                (request.clone(), RefreshRefusal::CertificateMissing),
                (request.clone().certificate_bound_only(), RefreshRefusal::CertificateMissing),
                (request.clone().certificate(&other), RefreshRefusal::OtherCertificate),
                (request.clone().proof(&proof), RefreshRefusal::Unbound),
                (request.clone().defer_rotation(), RefreshRefusal::CertificateMissing),
            ] {
                assert_eq!(sessions.refresh(&request).await.err(), refused(why));
                assert_eq!(sessions.session_of(&request).await.err(), refused(why));
            }
        }
        assert_eq!(world.store.writes.load(Ordering::Relaxed), writes);
        assert_eq!(row(&world, id), before);
        assert!(replays.is_empty(), "no proof is used");
    }
    assert_eq!(world.reasons(), []);
    refresh_with(&sessions, &third, OWN).await.expect("goes on");
}

/// A certificate goes along with its connection, whatever the client believes of the token.
#[tokio::test]
async fn a_session_that_is_bound_to_no_certificate_goes_on_and_is_not_bound_by_one() {
    let world = World::new();
    let sessions = world.sessions().await;
    let (begun, _, token) = rotated(&world, &sessions).await;
    let asked = RefreshRequest::new(token.as_str(), "web");
    let certificate = presented(OWN);
    for request in [
        asked.clone().certificate_bound_only(),
        asked.clone().certificate_bound_only().certificate(&certificate),
    ] {
        let found = sessions.refresh(&request).await.err();
        assert_eq!(found, refused(RefreshRefusal::CertificateUnbound));
    }
    world.advance(YOUNG);
    let refreshed = refresh_with(&sessions, &token, OWN).await.expect("goes on");
    assert_eq!(claims(&refreshed.access.token).get("cnf"), None);
    assert_eq!(row(&world, begun.session.id()).binding, None);
    refresh(&sessions, &refreshed.refresh.expect("another")).await.expect("goes on without");
}

#[tokio::test]
async fn a_client_with_its_certificate_that_comes_back_late_is_not_taken_for_a_thief() {
    let world = World::new();
    let sessions = world.sessions().await;
    let (_, old, lost) = rotated_with(&world, &sessions).await;
    world.advance(40 * 60);
    // The ring was read lately.
    let sessions = world.sessions().await;
    let forked = refresh_with(&sessions, &old, OWN).await.expect("a late retry");
    let token = forked.refresh.expect("another token");
    assert_ne!(token, lost);
    for stolen in [&old, &lost, &token] {
        assert!(refresh_with(&sessions, stolen, OTHER).await.is_err());
        assert!(refresh(&sessions, stolen).await.is_err());
    }
    assert_eq!(world.reasons(), []);
    // Two have the certificate's key as well: what was displaced shows it.
    assert_eq!(refresh_with(&sessions, &lost, OWN).await.err(), ended(EndReason::Replay));
}

#[tokio::test]
async fn a_session_that_is_bound_to_both_needs_both_and_uses_no_proof_without_the_certificate() {
    let world = World::new();
    let sessions = world.sessions().await;
    let replays = InProcessReplays::new();
    let client = Client::of(&world, replays.clone());
    let certificate = presented(OWN);
    // In either order.
    for is_certificate_first in [true, false] {
        let attempt = sessions.attempt("alice").await.expect("an attempt");
        let (login, proof) = (attempt.succeeded("web"), client.proof());
        let login = if is_certificate_first {
            login.bound_to_certificate(certificate.clone()).bound_to(proof)
        } else {
            login.bound_to(proof).bound_to_certificate(certificate.clone())
        };
        let begun = sessions.begin(login).await.expect("a session");
        let bound = json!({ "jkt": client.thumbprint(), "x5t#S256": certificate.thumbprint() });
        assert_eq!(claims(&begun.access.token)["cnf"], bound);
        world.advance(YOUNG);
        let used = replays.len();
        let other = presented(OTHER);
        let request = RefreshRequest::new(begun.refresh.as_str(), "web");
        let proof = client.proof();
        for (request, why) in [
            (request.clone(), RefreshRefusal::Bound),
            (request.clone().certificate(&certificate), RefreshRefusal::Bound),
            (request.clone().proof(&proof), RefreshRefusal::CertificateMissing),
            (request.clone().proof(&proof).certificate(&other), RefreshRefusal::OtherCertificate),
        ] {
            assert_eq!(sessions.refresh(&request).await.err(), refused(why));
        }
        assert_eq!(replays.len(), used);
        let request = request.proof(&proof).certificate(&certificate);
        let refreshed = sessions.refresh(&request.bound_only().certificate_bound_only()).await;
        let refreshed = refreshed.expect("goes on");
        assert_eq!(claims(&refreshed.access.token)["cnf"], bound);
        assert_eq!(replays.len(), used + 1);
    }
}

#[tokio::test]
async fn whoever_writes_to_the_store_makes_no_key_of_a_certificate_and_puts_none_of_their_own() {
    let digest = |form: u8, der: &[u8]| Some([&[form], &presented(der).sha256()[..]].concat());
    let changes = [None, digest(1, OWN), digest(3, OWN), digest(2, OTHER)];
    for binding in changes {
        let world = World::new();
        let sessions = world.sessions().await;
        let begun = begin_with(&sessions, OWN).await;
        world.store.inner.tamper(ISSUER, begun.session.id(), |row| row.binding = binding);
        let foreign = Some(RefreshError::Unavailable(SessionsUnavailable::Foreign));
        assert_eq!(refresh(&sessions, &begun.refresh).await.err(), foreign);
        for der in [OWN, OTHER] {
            assert_eq!(refresh_with(&sessions, &begun.refresh, der).await.err(), foreign);
        }
    }
}

/// RFC 7009 §2.1. To end a session is the safe direction: whoever finds a token may do it.
#[tokio::test]
async fn a_session_that_is_bound_to_a_certificate_is_signed_out_without_it() {
    let world = World::new();
    let sessions = world.sessions().await;
    let (_, old, new) = rotated_with(&world, &sessions).await;
    sessions.sign_out(&RefreshRequest::new(old.as_str(), "web")).await.expect("signed out");
    assert_eq!(refresh_with(&sessions, &new, OWN).await.err(), ended(EndReason::SignedOut));
}

#[tokio::test]
async fn nothing_shows_which_certificate_a_session_is_bound_to_unless_it_is_asked() {
    let world = World::new();
    let sessions = world.sessions().await;
    let certificate = presented(OWN);
    let attempt = sessions.attempt("alice").await.expect("an attempt");
    let login = attempt.succeeded("web").bound_to_certificate(certificate.clone());
    let mut told = format!("{certificate:?} {login:?}");
    let begun = sessions.begin(login).await.expect("a session");
    let request = RefreshRequest::new(begun.refresh.as_str(), "web").certificate(&certificate);
    let row = row(&world, begun.session.id());
    told += &format!("{begun:?} {request:?} {row:?} {:?}", begun.session);
    let error = refresh_with(&sessions, &begun.refresh, OTHER).await.expect_err("refused");
    told += &format!("{error:?} {error}");
    let digest = certificate.sha256();
    for shown in [certificate.thumbprint(), format!("{:?}", &digest[..4]).replace(['[', ']'], "")] {
        assert!(!told.contains(&shown), "{told}");
    }
}

#[tokio::test]
async fn an_access_token_of_ones_own_is_bound_to_a_certificate_and_the_metadata_say_so() {
    let world = World::new();
    let client = Client::new(&world);
    let issuer = || {
        TokenIssuer::builder(ISSUER)
            .algorithm(Algorithm::ES256)
            .audiences(["https://orders.example"])
            .lifetime(ACCESS)
            .root_secrets([Secret::new(ROOT)])
            .ring(MemoryRing::new())
            .refreshed_by_hand()
    };
    let metadata = |issuer: &TokenIssuer<MemoryRing>| {
        let metadata = issuer.answer_metadata(&http::Request::new(()));
        let metadata: serde_json::Value = serde_json::from_slice(metadata.body()).expect("JSON");
        metadata.get("tls_client_certificate_bound_access_tokens").cloned()
    };
    assert_eq!(metadata(&issuer().build().await.expect("an issuer")), None);
    let issuer = issuer().mtls().build().await.expect("an issuer");
    assert_eq!(metadata(&issuer), Some(json!(true)));
    let certificate = presented(OWN);
    let bound = AccessToken::of_service("billing").bound_to_certificate(&certificate);
    let minted = issuer.mint(&bound).await.expect("a token");
    let x5t = BASE64_URL_SAFE_NO_PAD.encode(certificate.sha256());
    assert_eq!(claims(&minted.token)["cnf"], json!({ "x5t#S256": x5t }));
    let both = issuer.mint(&bound.bound_to(&client.proof())).await.expect("a token");
    let expected = json!({ "jkt": client.thumbprint(), "x5t#S256": x5t });
    assert_eq!(claims(&both.token)["cnf"], expected);
}

//! Nonces that the server gives out (RFC 9449 §9).
use std::time::Duration;

use portcullis::dpop::{Dpop, Nonces};
use portcullis_conformance::client::Answer;
use portcullis_conformance::doors::Door;
use portcullis_testkit::{ProofBuilder, SigningKey, TestIssuer};

use super::{NOW, Service, errors, refused};

pub(super) fn each() -> impl Iterator<Item = Service> {
    let asked = |dpop: Dpop| dpop.nonces(Nonces::of_this_process());
    Door::ALL.into_iter().map(move |door| Service::new(door, asked))
}

/// The nonces that an answer has.
pub(super) fn given(answer: &Answer) -> Vec<String> {
    let values = answer.header("dpop-nonce");
    values.map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

/// The one that it has.
pub(super) fn nonce(answer: &Answer) -> String {
    let [nonce] = &*given(answer) else { panic!("one nonce: {answer:?}") };
    assert_eq!(nonce.len(), 22);
    nonce.clone()
}

#[tokio::test]
async fn a_client_is_told_a_nonce_and_gets_in_with_it_at_the_next_try() {
    for service in each() {
        let token = service.token();
        let first = service.with(&token, &service.proof(&token).mint()).await;
        assert_eq!((first.status, errors(&first)), (401, refused("DPoP", "use_dpop_nonce")));
        assert_eq!(first.header("cache-control").next(), Some(&b"no-store"[..]));
        let body = String::from_utf8_lossy(&first.body);
        assert!(body.contains("\"code\":\"proof-nonce-needed\""), "{body}");
        let nonce = nonce(&first);
        let with = |nonce: &str| service.proof(&token).claim("nonce", nonce).mint();
        let second = service.with(&token, &with(&nonce)).await;
        assert_eq!((second.status, given(&second)), (200, vec![]), "{:?}", service.door);
        assert_eq!(second.header("cache-control").next(), None);
        assert_eq!(service.replays.len(), 1);
        // Whoever asks without a token learns it as well.
        assert_eq!(self::nonce(&service.ask(&[]).await), nonce);
    }
}

#[tokio::test]
async fn a_success_with_the_nonce_before_tells_the_latest_one_and_is_not_kept() {
    for service in each() {
        let token = service.token();
        let old = nonce(&service.with(&token, &service.proof(&token).mint()).await);
        service.clock.advance(Duration::from_secs(60));
        let with = |nonce: &str| service.proof(&token).claim("nonce", nonce).mint();
        let answer = service.with(&token, &with(&old)).await;
        let latest = nonce(&answer);
        assert_eq!(answer.status, 200);
        assert_ne!(latest, old);
        assert_eq!(answer.header("cache-control").next(), Some(&b"no-store"[..]));
        // What the handler says of caches counts.
        let proof = service
            .issuer
            .proof(&service.key, "GET", "https://api.example/cached")
            .token(&token)
            .claim("nonce", &*old);
        let request = Service::request("GET", "/cached", &token, &proof.mint());
        let cached = service.send(&request).await;
        assert_eq!((cached.status, nonce(&cached)), (200, latest.clone()));
        assert_eq!(cached.header("cache-control").count(), 1);
        assert_ne!(cached.header("cache-control").next(), Some(&b"no-store"[..]));
        // A refusal that comes from further in.
        let url = "https://api.example/scoped";
        let proof =
            service.issuer.proof(&service.key, "GET", url).token(&token).claim("nonce", &*old);
        let request = Service::request("GET", "/scoped", &token, &proof.mint());
        let refused = service.send(&request).await;
        assert_eq!((refused.status, nonce(&refused)), (403, latest.clone()));
        let answer = service.with(&token, &with(&latest)).await;
        assert_eq!((answer.status, given(&answer)), (200, vec![]));
        service.clock.advance(Duration::from_secs(60));
        let late = service.with(&token, &with(&old)).await;
        assert_eq!((late.status, errors(&late)), (401, self::refused("DPoP", "use_dpop_nonce")));
    }
}

#[tokio::test]
async fn no_other_nonce_is_taken_and_a_proof_that_holds_for_nothing_else_is_told_the_nonce_too() {
    for (service, other) in each().zip(each()) {
        let token = service.token();
        let proof = || service.proof(&token);
        let good = nonce(&service.ask(&[]).await);
        let foreign = nonce(&other.ask(&[]).await);
        assert_ne!(good, foreign);
        service.clock.set(NOW - 86_400);
        let yesterday = nonce(&service.ask(&[]).await);
        service.clock.set(NOW + 120);
        let far_ahead = nonce(&service.ask(&[]).await);
        service.clock.set(NOW);
        let wrong =
            ["", "x", &*"x".repeat(22), &*"x".repeat(3000), &foreign, &yesterday, &far_ahead];
        for wrong in wrong {
            let answer = service.with(&token, &proof().claim("nonce", wrong).mint()).await;
            assert_eq!((answer.status, errors(&answer)), (401, refused("DPoP", "use_dpop_nonce")));
            assert_eq!(nonce(&answer), good);
            // Nothing of it comes back.
            let text = format!("{answer:?}");
            assert!(wrong.len() < 22 || !text.contains(wrong), "{text}");
        }
        // A step ahead: an instance whose clock is.
        service.clock.set(NOW + 60);
        let ahead = nonce(&service.ask(&[]).await);
        service.clock.set(NOW);
        assert_eq!(service.with(&token, &proof().claim("nonce", ahead).mint()).await.status, 200);
        let number = service.with(&token, &proof().claim("nonce", 1).mint()).await;
        assert_eq!(errors(&number), refused("DPoP", "invalid_dpop_proof"));
        assert_eq!(nonce(&number), good);
        // With a good nonce, all else still counts, and the client's clock does not.
        let holds = |change: &dyn Fn(ProofBuilder) -> ProofBuilder| {
            change(proof().claim("nonce", &*good)).mint()
        };
        let far = holds(&|proof| proof.claim("iat", NOW - 3600));
        assert_eq!(service.with(&token, &far).await.status, 200);
        let replayed = service.with(&token, &far).await;
        assert_eq!(errors(&replayed), refused("DPoP", "invalid_dpop_proof"));
        for refused_proof in [
            holds(&|proof| proof.without("iat")),
            holds(&|proof| proof.claim("htm", "POST")),
            holds(&|proof| proof.token("another")),
        ] {
            let answer = service.with(&token, &refused_proof).await;
            assert_eq!(errors(&answer), refused("DPoP", "invalid_dpop_proof"));
        }
    }
}

#[tokio::test]
async fn instances_that_share_secrets_take_each_others_nonces() {
    use portcullis::Secret;
    use portcullis::dpop::{ProofUse, Replays, Spent};

    /// One that instances share, by name alone.
    #[derive(Debug)]
    struct Shared(portcullis::dpop::InProcessReplays);

    impl Replays for Shared {
        fn spend(&self, proof: &ProofUse) -> Spent {
            self.0.spend(proof)
        }

        fn epoch(&self) -> u64 {
            self.0.epoch()
        }
    }

    let secret = |byte: u8| Secret::new((0..32u8).map(|at| (at * 7) ^ byte).collect::<Vec<_>>());
    let issuer = TestIssuer::new("https://id.example").at(NOW);
    let replays = portcullis::dpop::InProcessReplays::new();
    let instance = |secrets: Vec<Secret>| {
        let dpop = Dpop::new(Shared(replays.clone())).at("https://api.example");
        issuer.policy_builder().dpop(dpop.nonces(Nonces::shared(secrets))).build()
    };
    let refused =
        instance(vec![secret(1), Secret::new("k7#pQ9z!xV2m&Lw8")]).expect_err("a short secret");
    assert!(refused.to_string().contains("16 bytes"), "{refused}");
    let in_process = Dpop::new(replays.clone()).at("https://api.example");
    let in_process = in_process.nonces(Nonces::shared([secret(1)]));
    let refused = issuer.policy_builder().dpop(in_process).build().expect_err("not shared");
    assert!(refused.to_string().contains("of_this_process"), "{refused}");

    let key = SigningKey::generate(portcullis::Algorithm::ES256);
    let token = issuer.token(portcullis::Algorithm::ES256).bound_to(&key).mint();
    let request = |nonce: Option<&str>| {
        let proof = issuer.proof(&key, "GET", super::URL).token(&token);
        let proof = nonce.into_iter().fold(proof, |proof, nonce| proof.claim("nonce", nonce));
        http::Request::get("/whoami")
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", proof.mint())
            .body(())
            .expect("a request")
    };
    let [old, both, turned, new] = [vec![1], vec![1, 2], vec![2, 1], vec![2]]
        .map(|secrets| instance(secrets.into_iter().map(secret).collect()).expect("a policy"));
    let given = |policy: &portcullis::Policy| {
        let refusal = policy.verify_now(&request(None)).expect_err("no nonce").refusal();
        let nonce = refusal.headers().find(|(name, _)| *name == "dpop-nonce").expect("a nonce").1;
        String::from_utf8(nonce.to_vec()).expect("text")
    };
    for (one, other) in [(&old, &both), (&both, &turned), (&turned, &new)] {
        for (giver, taker) in [(one, other), (other, one)] {
            let nonce = given(giver);
            assert!(taker.verify_now(&request(Some(&nonce))).is_ok());
        }
    }
    assert!(new.verify_now(&request(Some(&given(&old)))).is_err());
}

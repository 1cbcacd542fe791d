//! What others ask of a resource with DPoP: the Model Context Protocol's conformance scenario (SEP-1932), and where the OpenID
//! Foundation's list differs for servers with nonces.
use std::time::Duration;

use portcullis::dpop::{Dpop, Nonces};
use portcullis_conformance::doors::Door;
use portcullis_testkit::SigningKey;

use super::nonces::{given, nonce};
use super::{NOW, Service, URL, challenges, errors, refused};

/// The scenario's window.
fn five_minutes(dpop: Dpop) -> Dpop {
    dpop.window(Duration::from_secs(300), Duration::from_secs(300))
}

#[tokio::test]
async fn the_scenario_of_the_model_context_protocol_is_met() {
    for door in Door::ALL {
        for with_nonces in [false, true] {
            let service = Service::new(door, |dpop| {
                let dpop = five_minutes(dpop);
                if with_nonces { dpop.nonces(Nonces::of_this_process()) } else { dpop }
            });
            let token = service.token();
            let server_nonce = given(&service.ask(&[]).await).pop();
            let good = || {
                let proof = service.proof(&token);
                let nonces = server_nonce.iter();
                nonces.fold(proof, |proof, nonce| proof.claim("nonce", &**nonce))
            };
            assert_eq!(service.with(&token, &good().mint()).await.status, 200);
            if !with_nonces {
                for (seconds, status) in [(-299, 200), (299, 200), (-303, 401), (303, 401)] {
                    let proof = good().claim("iat", NOW + seconds).mint();
                    let answer = service.with(&token, &proof).await;
                    assert_eq!(answer.status, status, "{seconds} {door:?}");
                }
            }
            let other = SigningKey::generate(portcullis::Algorithm::ES256);
            // Every fault is 401 with a challenge for DPoP.
            for (what, proof) in [
                ("typ", good().header("typ", "JWT").mint()),
                ("alg", good().header("alg", "none").mint()),
                ("symmetric alg", good().header("alg", "HS256").mint()),
                ("signature", good().signed_by(&other).mint()),
                ("htm", good().claim("htm", "PATCH").mint()),
                ("htu", good().claim("htu", "https://other.example/whoami").mint()),
                ("ath", good().claim("ath", "AAAA").mint()),
                ("no ath", good().without("ath").mint()),
                ("no jti", good().without("jti").mint()),
                ("other key", service.issuer.proof(&other, "GET", URL).token(&token).mint()),
                ("wrong nonce", good().claim("nonce", "wrong").mint()),
            ] {
                if what == "wrong nonce" && !with_nonces {
                    continue;
                }
                let answer = service.with(&token, &proof).await;
                assert_eq!(answer.status, 401, "{what} {door:?}");
                let with_error = errors(&answer)
                    .into_iter()
                    .any(|(scheme, error)| scheme == "DPoP" && error.is_some());
                assert!(with_error, "{what}: {:?}", challenges(&answer));
            }
            let scheme = format!("DPoP {token}");
            let (one, two) = (good().mint(), good().mint());
            let answer =
                service.ask(&[("authorization", &scheme), ("dpop", &one), ("dpop", &two)]).await;
            assert_eq!(answer.status, 401, "two headers");
            let answer = service.ask(&[("authorization", &format!("Bearer {token}"))]).await;
            assert_eq!(answer.status, 401, "a downgrade");
            let answer = service.ask(&[("authorization", &scheme)]).await;
            assert_eq!(answer.status, 401, "no proof");
            // One retry is enough.
            if with_nonces {
                let answer = service.with(&token, &good().claim("nonce", "wrong").mint()).await;
                let again = good().claim("nonce", nonce(&answer)).mint();
                assert_eq!(service.with(&token, &again).await.status, 200);
            }
        }
    }
}

/// Where a server asks for a nonce, the time of a proof is that of its nonce: its own may be an hour off.
#[tokio::test]
async fn with_nonces_the_list_of_the_openid_foundation_lets_wrong_clocks_in() {
    for service in super::nonces::each() {
        let token = service.token();
        let nonce = nonce(&service.ask(&[]).await);
        for seconds in [-3600, -10, 10, 3600] {
            let proof = service.proof(&token).claim("nonce", &*nonce).claim("iat", NOW + seconds);
            assert_eq!(service.with(&token, &proof.mint()).await.status, 200, "{seconds}");
        }
        let proof = service.proof(&token).claim("nonce", &*nonce).claim("iat", "now");
        let answer = service.with(&token, &proof.mint()).await;
        assert_eq!(errors(&answer), refused("DPoP", "invalid_dpop_proof"));
    }
}

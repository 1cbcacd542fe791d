//! What a proof is held against in the requests of each framework and protocol.
use portcullis::dpop::{Dpop, InProcessReplays};
use portcullis::{Algorithm, TokenSource, UnixTime};
use portcullis_conformance::client::{Answer, Protocol, Request, send};
use portcullis_conformance::doors::Door;
use portcullis_testkit::SigningKey;

use super::{NOW, Service, URL, errors, refused};

#[tokio::test]
async fn behind_routers_in_routers_it_is_the_path_that_the_client_asked_for() {
    for service in Service::each() {
        let token = service.token();
        let status = async |target: &str, htu: &str| {
            let url = format!("https://api.example{htu}");
            let proof = service.issuer.proof(&service.key, "GET", url).token(&token).mint();
            service.send(&Service::request("GET", target, &token, &proof)).await.status
        };
        for target in ["/nested/twice/a", "/nested/nowhere", "/service/a/b", "/merged/a"] {
            assert_eq!(status(target, target).await, 200, "{target} {:?}", service.door);
        }
        assert_eq!(status("/nested/twice/a?x=/b", "/nested/twice/a?y=z").await, 200);
        // Whoever asks for another spelling says so: a router may take it for another route.
        for htu in ["/nested/twice/%61", "/nested/twice/%62%2f"] {
            assert_eq!(status(htu, htu).await, 200, "{htu} {:?}", service.door);
        }
        assert_eq!(status("/nested/twice/a", "/nested/twice/%61").await, 200);
        assert_eq!(status("/nested/twice/a%2fb", "/nested/twice/a%2Fb").await, 200);
        for (target, htu) in [
            ("/nested/twice/a", "/a"),
            ("/nested/twice/a", "/twice/a"),
            ("/nested/twice/a", "/nested/twice/a/"),
            ("/nested/twice/a/", "/nested/twice/a"),
            ("/nested/twice/a//b", "/nested/twice/a/b"),
            ("/nested/twice/a%2Fb", "/nested/twice/a/b"),
            ("/service/a", "/a"),
            ("/nested/twice/%61", "/nested/twice/a"),
            ("/nested/twice/b", "/nested/twice/a/..%2fb"),
            ("/nested/twice/a/..%2Fb", "/nested/twice/b"),
        ] {
            assert_eq!(status(target, htu).await, 401, "{target} {htu} {:?}", service.door);
        }
        // What a router takes as it stands, no proof is for.
        for target in ["/nested/twice/a/../b", "/nested/twice/a/%2e%2e/b", "/nested/./twice/a"] {
            for htu in [target, "/nested/twice/b", "/nested/twice/a"] {
                assert_eq!(status(target, htu).await, 401, "{target} {htu} {:?}", service.door);
            }
        }
    }
}

#[tokio::test]
async fn whatever_a_request_says_of_its_host_the_configured_address_counts() {
    for service in Service::each() {
        let token = service.token();
        for protocol in Protocol::ALL {
            let mut request =
                Service::request("GET", "/whoami", &token, &service.proof(&token).mint());
            request.host = "evil.example".into();
            for name in ["x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix"] {
                request = request.header(name, "evil.example");
            }
            request = request.header("forwarded", "host=evil.example;proto=http");
            let answer =
                send(service.server.address(), protocol, &request).await.expect("an answer");
            assert_eq!(answer.status, 200, "{:?}", service.door);
            let evil = service.proof(&token).claim("htu", "https://evil.example/whoami").mint();
            let mut request = request;
            request.headers.retain(|(name, _)| *name != "dpop");
            let request = request.header("dpop", evil);
            let answer =
                send(service.server.address(), protocol, &request).await.expect("an answer");
            assert_eq!(errors(&answer), refused("DPoP", "invalid_dpop_proof"));
        }
    }
}

#[tokio::test]
async fn each_method_needs_a_proof_for_itself() {
    for service in Service::each() {
        let token = service.token();
        let proof =
            |method: &str| service.issuer.proof(&service.key, method, URL).token(&token).mint();
        for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS"] {
            let request = Service::request(method, "/whoami", &token, &proof(method));
            assert_eq!(service.send(&request).await.status, 200, "{method} {:?}", service.door);
            for other in ["GET", "HEAD", "POST", "get", "Post"] {
                if other != method {
                    let request = Service::request(method, "/whoami", &token, &proof(other));
                    let status = service.send(&request).await.status;
                    assert_eq!(status, 401, "{method} {other} {:?}", service.door);
                }
            }
        }
    }
}

/// A WebSocket is asked for with a GET, whose address begins with `https`.
#[tokio::test]
async fn a_websocket_shows_its_proof_when_it_is_opened() {
    for service in Service::each() {
        let token = service.token();
        let open = |proof: &str| {
            Service::request("GET", "/inside", &token, proof)
                .header("upgrade", "websocket")
                .header("connection", "upgrade")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        };
        let proof = |url: &str| service.issuer.proof(&service.key, "GET", url).token(&token).mint();
        let good = service.send(&open(&proof("https://api.example/inside"))).await;
        assert_eq!(good.status, 200, "{:?}", service.door);
        let bad = service.send(&open(&proof("wss://api.example/inside"))).await;
        assert_eq!(errors(&bad), refused("DPoP", "invalid_dpop_proof"));
    }
}

#[tokio::test]
async fn a_grpc_call_is_a_post_and_a_refusal_of_it_has_both_challenges() {
    for service in Service::each() {
        let token = service.token();
        let path = "/nested/twice/orders.v1.Orders/List";
        let call = |proof: &str| {
            Service::request("POST", path, &token, proof)
                .header("content-type", "application/grpc")
                .header("te", "trailers")
        };
        let proof = |method: &str| {
            let url = format!("https://api.example{path}");
            service.issuer.proof(&service.key, method, url).token(&token).mint()
        };
        let ask = async |request: &Request| {
            send(service.server.address(), Protocol::Http2, request).await.expect("an answer")
        };
        assert_eq!(ask(&call(&proof("POST"))).await.status, 200, "{:?}", service.door);
        let answer = ask(&call(&proof("GET"))).await;
        assert_eq!(answer.header("grpc-status").next(), Some(&b"16"[..]), "{answer:?}");
        assert_eq!(errors(&answer), refused("DPoP", "invalid_dpop_proof"));
    }
}

#[tokio::test]
async fn wherever_else_a_bound_token_comes_from_it_does_not_pass() {
    use portcullis_conformance::doors::Door;
    use std::net::TcpListener;

    for door in Door::ALL {
        let service = Service::new(door, |dpop| dpop);
        let sources = [
            TokenSource::bearer(),
            TokenSource::cookie("__Host-token"),
            TokenSource::header("x-token"),
        ];
        let dpop = Dpop::new(InProcessReplays::new().started_at(UnixTime(NOW - 3600)))
            .at("https://api.example");
        let policy = service.issuer.policy_builder().sources(sources).dpop(dpop).build();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = door.start(&policy.expect("a policy"), listener).expect("a server");
        let token = service.token();
        for (name, value) in [
            ("cookie", format!("__Host-token={token}")),
            ("x-token", token.clone()),
            ("authorization", format!("Bearer {token}")),
        ] {
            let request = Request::new("GET", "/whoami")
                .header("dpop", service.proof(&token).mint())
                .header("sec-fetch-site", "same-origin")
                .header(name, value);
            let answer =
                send(server.address(), Protocol::Http1, &request).await.expect("an answer");
            assert_eq!(
                (answer.status, errors(&answer)),
                (401, refused("Bearer", "invalid_token")),
                "{name} {door:?}"
            );
        }
        let unbound = service.issuer.token(Algorithm::ES256).mint();
        let request = Request::new("GET", "/whoami").header("x-token", unbound);
        let answer = send(server.address(), Protocol::Http1, &request).await.expect("an answer");
        assert_eq!(answer.status, 200);
    }
}

/// A proof of ML-DSA brings its key: up to 11 KB, beside a token of up to 7 KB.
#[tokio::test]
async fn proofs_and_tokens_of_ml_dsa_pass_where_they_are_listed_and_nowhere_else() {
    let refuses = |answer: &Answer| {
        assert_eq!(errors(answer), refused("DPoP", "invalid_dpop_proof"));
    };
    for algorithm in [Algorithm::ML_DSA_44, Algorithm::ML_DSA_65, Algorithm::ML_DSA_87] {
        for door in Door::ALL {
            let service = Service::new(door, |dpop| dpop.algorithms([Algorithm::ES256, algorithm]));
            let without = Service::new(door, |dpop| dpop);
            let key = SigningKey::generate(algorithm);
            for signed_by in [Algorithm::ES256, algorithm] {
                let token = service.issuer.token(signed_by).bound_to(&key).mint();
                let proof = || service.issuer.proof(&key, "GET", URL).token(&token).mint();
                let answer = service.with(&token, &proof()).await;
                assert_eq!(answer.status, 200, "{algorithm} {door:?}");
                let used = proof();
                assert_eq!(service.with(&token, &used).await.status, 200);
                refuses(&service.with(&token, &used).await);
                refuses(&without.with(&token, &proof()).await);
                // Its key is that of no other token.
                let other = service.issuer.token(signed_by).bound_to(&service.key).mint();
                let stolen = service.issuer.proof(&key, "GET", URL).token(&other).mint();
                let answer = service.with(&other, &stolen).await;
                assert_eq!(errors(&answer), refused("DPoP", "invalid_token"));
            }
        }
    }
}

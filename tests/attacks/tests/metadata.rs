//! Attacks by way of protected resource metadata: what a client is told of where to get its tokens.
use http::Request;
use portcullis::{Algorithm, ProtectedResource};
use portcullis_attacks::{Door, issuer, policy_for, trusted};
use portcullis_testkit::TestIssuer;
use serde_json::{Value, json};

const HOSTILE: [&str; 12] = [
    "\"",
    "\\",
    "a\", error=\"b",
    "\r\nX-Evil: 1",
    "\n",
    "\r",
    "\0",
    "\u{7f}",
    "caf\u{e9}",
    "\u{2028}\u{202e}",
    "</script>",
    "\",\"authorization_servers\":[\"https://evil.example\"],\"x\":\"",
];

fn answer(resource: &ProtectedResource, request: &Request<()>) -> (u16, Vec<String>, Vec<u8>) {
    let reply = resource.answer(request);
    let headers = reply.headers();
    let headers =
        headers.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)));
    (reply.status(), headers.collect(), reply.body().to_vec())
}

fn get() -> Request<()> {
    Request::get("/").body(()).expect("a request")
}

#[test]
fn a_text_that_would_break_an_address_or_a_header_is_refused_wherever_it_is_configured() {
    for hostile in HOSTILE {
        for at in [
            "https://{}",
            "https://api.example{}",
            "https://api.example:{}",
            "https://api.example/{}",
            "https://api.example/?{}",
        ] {
            let url = at.replace("{}", hostile);
            let error = ProtectedResource::builder(&url).build().expect_err(&url);
            // Its own words come escaped: they are for a log.
            assert!(
                !error
                    .to_string()
                    .trim_start_matches("the protected resource is refused:\n")
                    .contains(['\n', '\r', '\0']),
                "{error}"
            );
            let builder = || ProtectedResource::builder(TestIssuer::AUDIENCE);
            for builder in [
                builder().authorization_servers([&url]),
                builder().jwks_uri(&url),
                builder().resource_documentation(&url),
                builder().resource_policy_uri(&url),
                builder().resource_tos_uri(&url),
            ] {
                builder.build().expect_err(&url);
            }
        }
    }
    for scope in HOSTILE.iter().filter(|text| **text != "</script>") {
        let resource = ProtectedResource::builder(TestIssuer::AUDIENCE).scopes_supported([*scope]);
        resource.build().expect_err(scope);
    }
}

#[test]
fn a_text_for_people_stays_one_text_and_in_the_document() {
    let plain = ProtectedResource::builder(TestIssuer::AUDIENCE).build().expect("a resource");
    let (_, headers, _) = answer(&plain, &get());
    for hostile in HOSTILE {
        let resource = ProtectedResource::builder(TestIssuer::AUDIENCE)
            .authorization_servers([issuer().name()])
            .resource_name(hostile)
            .authorization_details_types_supported([hostile])
            .member(hostile, json!({ hostile: [hostile] }))
            .build()
            .expect("a resource");
        let (status, own, body) = answer(&resource, &get());
        assert_eq!((status, own), (200, headers.clone()), "{hostile:?}");
        let document: Value = serde_json::from_slice(&body).expect("JSON");
        let expected = json!({
            "resource": TestIssuer::AUDIENCE,
            "authorization_servers": [issuer().name()],
            "bearer_methods_supported": ["header"],
            "resource_name": hostile,
            "authorization_details_types_supported": [hostile],
            hostile: { hostile: [hostile] },
        });
        assert_eq!(document, expected, "{hostile:?}");
        assert_eq!(resource.metadata_url(), plain.metadata_url());
    }
}

/// Spring: metadata made of the `Host` header sent clients to an attacker's authorization server.
#[test]
fn nothing_that_was_sent_is_in_the_document_or_in_its_address() {
    let resource = ProtectedResource::builder(TestIssuer::AUDIENCE)
        .authorization_servers([issuer().name()])
        .build()
        .expect("a resource");
    let policy = policy_for([trusted(&[Algorithm::ES256])]).protected_resource(&resource);
    let door = Door::new(policy);
    let told = |request: &Request<()>| {
        let refused = door.send(request.clone());
        assert_eq!((refused.status, refused.reached), (401, 0));
        let challenge = refused.headers.get_all("www-authenticate").iter().cloned();
        (challenge.collect::<Vec<_>>(), answer(&resource, request))
    };
    let expected = told(&get());
    let challenge = format!("Bearer resource_metadata=\"{}\"", resource.metadata_url());
    assert_eq!(expected.0, [challenge.as_str()]);

    for (name, value) in [
        ("host", "evil.example"),
        ("host", "api.example:444"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "444"),
        ("x-forwarded-prefix", "/evil"),
        ("x-forwarded-server", "evil.example"),
        ("x-original-host", "evil.example"),
        ("x-original-url", "/evil"),
        ("x-rewrite-url", "/evil"),
        ("x-http-method-override", "POST"),
        ("forwarded", "host=evil.example;proto=http"),
        ("origin", "https://evil.example"),
        ("referer", "https://evil.example/\"\\"),
        ("accept-language", "caf\u{e9}"),
        ("mcp-protocol-version", "evil\", error=\"x"),
        ("cookie", "resource=evil"),
    ] {
        for target in ["/", "/?resource=https://evil.example", "https://evil.example/"] {
            let request = Request::get(target).header(name, value).body(()).expect("a request");
            assert_eq!(told(&request), expected, "{name} {target}");
        }
    }
}

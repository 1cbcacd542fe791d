//! Protected resource metadata (RFC 9728): what a document may say, where it stands, and that a policy keeps it.
use portcullis::dpop::{Dpop, InProcessReplays};
use portcullis::mtls::Mtls;
use portcullis::policy::PolicyFault;
use portcullis::routes::{ProtectedResourceBuilder, ResourceFault, ResourcePolicyFault, UrlFault};
use portcullis::{Algorithm, Policy, PolicyBuilder, Presentation, ProtectedResource};
use portcullis_testkit::TestIssuer;
use proptest::prelude::*;
use serde::Serialize;
use serde_json::json;

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
const RESOURCE: &str = "https://api.example/orders";

fn request(method: &str) -> http::Request<()> {
    http::Request::builder().method(method).uri("/").body(()).expect("a request")
}

fn document(builder: ProtectedResourceBuilder) -> String {
    let reply = builder.build().expect("a resource").answer(&request("GET"));
    String::from_utf8(reply.body().to_vec()).expect("text")
}

fn faults(builder: ProtectedResourceBuilder) -> Vec<ResourceFault> {
    builder.build().expect_err("a fault").faults().to_vec()
}

#[test]
fn a_document_has_the_resource_and_its_bearer_method_and_what_was_set() {
    assert_eq!(
        document(ProtectedResource::builder(RESOURCE)),
        r#"{"resource":"https://api.example/orders","bearer_methods_supported":["header"]}"#
    );
    let full = ProtectedResource::builder(RESOURCE)
        .authorization_servers(["https://id.example", "https://login.example/acme/"])
        .jwks_uri("https://api.example/jwks?a=b")
        .scopes_supported(["orders:read", "a/b#c[d]"])
        .resource_signing_alg_values_supported([Algorithm::ES256, Algorithm::Ed25519])
        .resource_name("Bestellungen \"für\" alle\n")
        .resource_documentation("https://docs.example/orders#start")
        .resource_policy_uri("http://www.example/policy")
        .resource_tos_uri("https://www.example/terms?lang=%64e")
        .authorization_details_types_supported(["payment"])
        .member("resource_name#en", "Orders")
        .member("x-example", json!({ "a": [null, 1.5] }));
    assert_eq!(
        document(full),
        concat!(
            r#"{"resource":"https://api.example/orders","#,
            r#""authorization_servers":["https://id.example","https://login.example/acme/"],"#,
            r#""jwks_uri":"https://api.example/jwks?a=b","#,
            r#""scopes_supported":["orders:read","a/b#c[d]"],"#,
            r#""bearer_methods_supported":["header"],"#,
            r#""resource_signing_alg_values_supported":["ES256","Ed25519"],"#,
            r#""resource_name":"Bestellungen \"für\" alle\n","#,
            r#""resource_documentation":"https://docs.example/orders#start","#,
            r#""resource_policy_uri":"http://www.example/policy","#,
            r#""resource_tos_uri":"https://www.example/terms?lang=%64e","#,
            r#""authorization_details_types_supported":["payment"],"#,
            r#""resource_name#en":"Orders","x-example":{"a":[null,1.5]}}"#,
        )
    );
}

/// §3.2.
#[test]
fn a_member_without_a_value_is_left_out() {
    let none: [&str; 0] = [];
    let empty = ProtectedResource::builder(RESOURCE)
        .authorization_servers(none)
        .scopes_supported(none)
        .resource_signing_alg_values_supported([])
        .authorization_details_types_supported(none)
        .member("x-null", ())
        .member("x-none", none);
    assert_eq!(document(empty), document(ProtectedResource::builder(RESOURCE)));
}

/// §2.
#[test]
fn a_document_says_which_proofs_the_policy_takes_and_whether_it_takes_no_other_tokens() {
    let dpop = || Dpop::new(InProcessReplays::new()).at("https://api.example");
    let said = |dpop: &Dpop| document(ProtectedResource::builder(RESOURCE).dpop(dpop));
    let start =
        r#"{"resource":"https://api.example/orders","bearer_methods_supported":["header"],"#;
    assert_eq!(
        said(&dpop()),
        format!(r#"{start}"dpop_signing_alg_values_supported":["ES256","EdDSA","Ed25519"]}}"#)
    );
    assert_eq!(
        said(&dpop().algorithms([Algorithm::PS256]).required()),
        format!(
            r#"{start}"dpop_signing_alg_values_supported":["PS256"],"dpop_bound_access_tokens_required":true}}"#
        )
    );
    let twice = ProtectedResource::builder(RESOURCE).dpop(&dpop()).dpop(&dpop().required());
    assert_eq!(faults(twice), [ResourceFault::SaidTwice { member: "dpop" }]);
    for name in ["dpop_signing_alg_values_supported", "dpop_bound_access_tokens_required"] {
        let own = ProtectedResource::builder(RESOURCE).member(name, true);
        assert_eq!(faults(own), [ResourceFault::Member { name: name.into() }]);
    }
}

#[test]
fn a_policy_does_with_bound_tokens_what_the_document_says() {
    let issuer = TestIssuer::new("https://id.example");
    let dpop = || Dpop::new(InProcessReplays::new()).at("https://api.example");
    let other = || dpop().algorithms([Algorithm::ES256]);
    let resource = |said: Option<Dpop>| {
        let builder = ProtectedResource::builder(TestIssuer::AUDIENCE);
        let builder = said.iter().fold(builder, |builder, dpop| builder.dpop(dpop));
        builder.authorization_servers(["https://id.example"]).build().expect("a resource")
    };
    for (said, taken, is_so) in [
        (None, None, true),
        (None, Some(dpop()), true),
        (None, Some(dpop().required()), false),
        (Some(dpop()), Some(dpop()), true),
        (Some(dpop().required()), Some(dpop().required()), true),
        (Some(dpop()), None, false),
        (Some(dpop()), Some(other()), false),
        (Some(dpop()), Some(dpop().required()), false),
        (Some(dpop().required()), Some(dpop()), false),
    ] {
        let what = format!("{said:?} {taken:?}");
        let builder = issuer.policy_builder().protected_resource(&resource(said));
        let built = taken.into_iter().fold(builder, PolicyBuilder::dpop).build();
        let fault = ResourcePolicyFault::Dpop;
        let expected = [PolicyFault::ProtectedResource { fault }];
        match built {
            Ok(_) => assert!(is_so, "{what}"),
            Err(error) => {
                assert!(!is_so, "{what}");
                assert_eq!(error.faults(), expected);
            }
        }
    }
}

/// §2.
#[test]
fn a_policy_does_with_tokens_of_a_certificate_what_the_document_says() {
    let said = ProtectedResource::builder(RESOURCE).tls_client_certificate_bound_access_tokens();
    assert_eq!(
        document(said),
        r#"{"resource":"https://api.example/orders","bearer_methods_supported":["header"],"tls_client_certificate_bound_access_tokens":true}"#
    );
    let issuer = TestIssuer::new("https://id.example");
    for (says, taken, is_so) in [
        (false, None, true),
        (false, Some(Mtls::from_tls()), true),
        (false, Some(Mtls::from_tls().required()), false),
        (true, None, false),
        (true, Some(Mtls::from_tls()), true),
        (true, Some(Mtls::from_tls().required()), true),
    ] {
        let resource = ProtectedResource::builder(TestIssuer::AUDIENCE);
        let resource =
            if says { resource.tls_client_certificate_bound_access_tokens() } else { resource };
        let resource = resource.authorization_servers(["https://id.example"]).build();
        let builder = issuer.policy_builder().protected_resource(&resource.expect("a resource"));
        let what = format!("{says} {taken:?}");
        match taken.into_iter().fold(builder, PolicyBuilder::mtls).build() {
            Ok(_) => assert!(is_so, "{what}"),
            Err(error) => {
                assert!(!is_so, "{what}");
                let fault = ResourcePolicyFault::Mtls;
                assert_eq!(error.faults(), [PolicyFault::ProtectedResource { fault }]);
            }
        }
    }
}

/// §3, §3.1.
#[test]
fn the_well_known_part_stands_between_host_and_path() {
    for (identifier, before, after) in [
        ("https://api.example", "https://api.example", ""),
        ("https://api.example/", "https://api.example", ""),
        ("https://api.example:8443/orders", "https://api.example:8443", "/orders"),
        ("https://api.example/orders/", "https://api.example", "/orders/"),
        ("https://api.example/a//b", "https://api.example", "/a//b"),
        ("https://api.example//", "https://api.example", "//"),
        ("https://api.example/a:b/~c", "https://api.example", "/a:b/~c"),
        ("https://1.2.3.4/orders", "https://1.2.3.4", "/orders"),
        ("http://localhost/orders", "http://localhost", "/orders"),
        ("http://api.localhost:1/orders", "http://api.localhost:1", "/orders"),
        ("http://127.0.0.1:3000/mcp", "http://127.0.0.1:3000", "/mcp"),
        ("http://[::1]:3000/mcp", "http://[::1]:3000", "/mcp"),
    ] {
        let resource = ProtectedResource::builder(identifier).build().expect(identifier);
        assert_eq!(resource.identifier(), identifier);
        assert_eq!(resource.metadata_url(), format!("{before}{WELL_KNOWN}{after}"));
        assert_eq!(resource.metadata_path(), format!("{WELL_KNOWN}{after}"), "{identifier}");
    }
    for (identifier, path, query) in [
        ("https://api.example?tenant=a", "", "?tenant=a"),
        ("https://api.example/?tenant=a", "", "?tenant=a"),
        ("https://api.example/a/?b=%2F/?", "/a/", "?b=%2F/?"),
    ] {
        let resource = ProtectedResource::builder(identifier).build().expect(identifier);
        let url = format!("https://api.example{WELL_KNOWN}{path}{query}");
        assert_eq!(resource.metadata_url(), url);
        assert_eq!(resource.metadata_path(), format!("{WELL_KNOWN}{path}"), "{identifier}");
    }
}

#[test]
fn an_identifier_that_two_readers_could_read_in_two_ways_is_refused() {
    use UrlFault::{Fragment, NotAUrl, PlainHttp, Spelling, User};
    for (identifier, fault) in [
        ("", NotAUrl),
        ("api.example", NotAUrl),
        ("//api.example/orders", NotAUrl),
        ("https:api.example", NotAUrl),
        ("https:/api.example", NotAUrl),
        ("https://", NotAUrl),
        ("https:///orders", NotAUrl),
        ("https://:443/orders", Spelling),
        ("HTTPS://api.example", NotAUrl),
        ("ftp://api.example", NotAUrl),
        ("urn:example:orders", NotAUrl),
        ("https://api..example", NotAUrl),
        ("https://api.example./orders", NotAUrl),
        ("https://api.example:/orders", NotAUrl),
        ("https://api.example:+443/orders", Spelling),
        ("https://api.example:65536/orders", NotAUrl),
        ("https://api.example:1:2/orders", NotAUrl),
        ("https://::1/orders", NotAUrl),
        ("https://[::1/orders", NotAUrl),
        ("https://[::g]/orders", NotAUrl),
        ("https://1.2.3/orders", NotAUrl),
        ("https://0x7f.1/orders", NotAUrl),
        ("https://a%2eexample/orders", NotAUrl),
        ("https://api.example/or ders", NotAUrl),
        ("https://api.example\\@evil.example/orders", NotAUrl),
        ("https://api.example/\"", NotAUrl),
        ("https://api.example/{tenant}", NotAUrl),
        ("https://api.example/orders\r\nX-Evil: 1", NotAUrl),
        ("https://api.example/\0", NotAUrl),
        ("https://bücher.example/orders", NotAUrl),
        ("https://api.example/bücher", NotAUrl),
        ("http://api.example/orders", PlainHttp),
        ("http://localhost.example/orders", PlainHttp),
        ("http://10.0.0.1/orders", PlainHttp),
        ("http://[::2]/orders", PlainHttp),
        ("https://alice@api.example/orders", User),
        ("https://alice:secret@api.example/orders", User),
        ("https://api.example/orders#", Fragment),
        ("https://api.example#orders", Fragment),
        ("https://API.example/orders", Spelling),
        ("https://api.example:443/orders", Spelling),
        ("http://localhost:80/orders", Spelling),
        ("https://api.example:08443/orders", Spelling),
        ("https://[0:0::1]/orders", Spelling),
        ("https://api.example/a/../orders", Spelling),
        ("https://api.example/./orders", Spelling),
        ("https://api.example/orders/..", Spelling),
        ("https://api.example/a%20b", Spelling),
        ("https://api.example/[a]", Spelling),
        ("https://api.example/:tenant/mcp", Spelling),
        ("https://api.example/*", Spelling),
        ("https://api.example/a*", Spelling),
    ] {
        let shown = identifier.rsplit('@').next().unwrap_or_default().to_owned();
        assert_eq!(
            faults(ProtectedResource::builder(identifier)),
            [ResourceFault::Identifier { identifier: shown, fault }],
            "{identifier}"
        );
    }
}

#[test]
fn other_addresses_are_held_to_what_they_are_for() {
    use UrlFault::{Fragment, NotAUrl, PlainHttp, Query, User};
    let builder = || ProtectedResource::builder(RESOURCE);
    for (member, url, fault, builder) in [
        ("authorization_servers", "https://id.example?a", Query, 0),
        ("authorization_servers", "https://id.example#a", Fragment, 0),
        ("authorization_servers", "http://id.example", PlainHttp, 0),
        ("authorization_servers", "id.example", NotAUrl, 0),
        ("jwks_uri", "http://api.example/jwks", PlainHttp, 1),
        ("jwks_uri", "https://api.example/jwks#a", Fragment, 1),
        ("resource_documentation", "javascript:alert(1)", NotAUrl, 2),
        ("resource_policy_uri", "https://www.example@evil.example/", User, 3),
        ("resource_tos_uri", "/terms", NotAUrl, 4),
    ]
    .map(|(member, url, fault, setter)| {
        let builder = match setter {
            0 => builder().authorization_servers(["https://id.example", url]),
            1 => builder().jwks_uri(url),
            2 => builder().resource_documentation(url),
            3 => builder().resource_policy_uri(url),
            _ => builder().resource_tos_uri(url),
        };
        (member, url, fault, builder)
    }) {
        let url = url.rsplit('@').next().unwrap_or_default().to_owned();
        assert_eq!(faults(builder), [ResourceFault::Url { member, url, fault }]);
    }
}

#[test]
fn a_scope_is_one_word_of_its_characters() {
    for scope in ["", "a b", "a\"b", "a\\b", "a\tb", "é", "a\u{a0}b", "a\r\nb"] {
        assert_eq!(
            faults(ProtectedResource::builder(RESOURCE).scopes_supported(["orders", scope])),
            [ResourceFault::Scope { scope: scope.to_owned() }]
        );
    }
}

#[test]
fn a_member_of_ones_own_takes_no_other_members_place() {
    for name in [
        "resource",
        "authorization_servers",
        "jwks_uri",
        "scopes_supported",
        "bearer_methods_supported",
        "resource_signing_alg_values_supported",
        "resource_name",
        "resource_documentation",
        "resource_policy_uri",
        "resource_tos_uri",
        "tls_client_certificate_bound_access_tokens",
        "authorization_details_types_supported",
        "dpop_signing_alg_values_supported",
        "dpop_bound_access_tokens_required",
        "signed_metadata",
        "",
    ] {
        assert_eq!(
            faults(ProtectedResource::builder(RESOURCE).member(name, true)),
            [ResourceFault::Member { name: name.to_owned() }]
        );
    }
    let twice = ProtectedResource::builder(RESOURCE).member("x", 1).member("x", 2);
    assert_eq!(faults(twice), [ResourceFault::Member { name: "x".to_owned() }]);
}

#[test]
fn a_value_that_cannot_be_json_is_refused() {
    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("broken"))
        }
    }
    let broken = ProtectedResource::builder(RESOURCE).member("x", Broken);
    assert_eq!(faults(broken), [ResourceFault::NotJson { name: "x".to_owned() }]);
}

#[test]
fn a_document_is_64_kib_at_most() {
    let of = |length| ProtectedResource::builder(RESOURCE).resource_name("n".repeat(length));
    let rest = document(of(1)).len() - 1;
    assert_eq!(document(of(65536 - rest)).len(), 65536);
    assert_eq!(faults(of(65537 - rest)), [ResourceFault::TooLarge { bytes: 65537 }]);
}

#[test]
fn every_fault_is_listed_at_once_and_names_a_way_out() {
    let error = ProtectedResource::builder("https://alice:secret@API.example")
        .authorization_servers(["http://id.example"])
        .scopes_supported(["orders read"])
        .resource_name("")
        .authorization_details_types_supported([""])
        .member("signed_metadata", "eyJ")
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the protected resource is refused:
  - the identifier `API.example` has a user name: leave it out
  - authorization_servers: `http://id.example` is plain `http`: whoever is on the way could name issuers of their own; use `https`
  - scopes_supported: `orders read` is not a scope: use printable ASCII without space, `\"` and `\\`; one for each
  - resource_name is empty: leave it out
  - authorization_details_types_supported is empty: leave it out
  - the member `signed_metadata` has no name, is there twice, or has a meaning of its own: use the setter for it, if there is one"
    );
}

#[test]
fn a_document_is_read_by_get_and_head_and_by_pages_of_every_origin() {
    let resource = ProtectedResource::builder(RESOURCE).build().unwrap();
    let ask = |method| {
        let reply = resource.answer(&request(method));
        let headers: Vec<_> = reply
            .headers()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
            .collect();
        (reply.status(), headers, reply.body().len())
    };
    let length = document(ProtectedResource::builder(RESOURCE)).len();
    let fixed = [
        "cache-control: public, max-age=300",
        "content-type: application/json",
        "access-control-allow-origin: *",
    ];
    assert_eq!(ask("GET"), (200, fixed.map(String::from).to_vec(), length));
    let mut head = fixed.map(String::from).to_vec();
    head.push(format!("content-length: {length}"));
    assert_eq!(ask("HEAD"), (200, head, 0));
    let preflight = [
        "cache-control: no-store",
        "allow: GET, HEAD, OPTIONS",
        "access-control-allow-origin: *",
        "access-control-allow-methods: GET, HEAD",
        "access-control-allow-headers: *",
    ];
    assert_eq!(ask("OPTIONS"), (204, preflight.map(String::from).to_vec(), 0));
    for method in ["POST", "PUT", "DELETE", "get", "X"] {
        let refused = ["cache-control: no-store", "allow: GET, HEAD, OPTIONS"];
        assert_eq!(ask(method), (405, refused.map(String::from).to_vec(), 0), "{method}");
    }
}

/// What the policy refuses a request without a token with.
fn challenge(policy: &Policy) -> String {
    let portcullis::policy::Verification::Done(Err(rejection)) =
        policy.start_verify(&request("GET"))
    else {
        panic!("a request without a token passes");
    };
    rejection.into_response::<Vec<u8>>().headers()["www-authenticate"]
        .to_str()
        .expect("text")
        .to_owned()
}

#[test]
fn the_challenge_names_the_document_whatever_else_is_presented_and_when() {
    let issuer = TestIssuer::new("https://id.example").audience(RESOURCE);
    let resource = ProtectedResource::builder(RESOURCE)
        .authorization_servers(["https://id.example"])
        .build()
        .unwrap();
    let presentation = || Presentation::new().realm("orders");
    let builder = || issuer.policy_builder();
    for builder in [
        builder().presentation(presentation()).protected_resource(&resource),
        builder().protected_resource(&resource).presentation(presentation()),
    ] {
        let policy = builder.build().expect("a policy");
        let expected =
            format!("Bearer realm=\"orders\", resource_metadata=\"{}\"", resource.metadata_url());
        assert_eq!(challenge(&policy), expected);
    }
    let other = Presentation::new().resource_metadata("https://other.example/");
    let refused = builder().protected_resource(&resource).presentation(other).build().unwrap_err();
    let said_twice =
        PolicyFault::SaidTwice { place: "the policy".to_owned(), setting: "resource_metadata" };
    assert_eq!(refused.faults(), [said_twice]);
}

#[cfg(feature = "remote-jwks")]
#[test]
fn an_authorization_server_may_be_a_tenant_or_what_a_predicate_trusts() {
    use portcullis::policy::WantsAlgorithms;
    use portcullis::{Issuer, RemoteJwks};
    let resource = ProtectedResource::builder(RESOURCE)
        .authorization_servers(["https://id.example/acme/v2.0"])
        .build()
        .unwrap();
    let build = |issuer: Issuer<WantsAlgorithms>| {
        let issuer = issuer
            .algorithms([Algorithm::ES256])
            .keys(RemoteJwks::url("https://id.example/keys"))
            .audience(RESOURCE);
        Policy::builder().issuer(issuer).protected_resource(&resource).build()
    };
    assert!(build(Issuer::template("https://id.example/{tenant}/v2.0")).is_ok());
    assert!(build(Issuer::matching(|_| panic!("asked before a token came"))).is_ok());
    assert!(build(Issuer::template("https://id.example/{tenant}/v1.0")).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// §3.1, §3.3: a client takes the well-known part out again, and has what stands in `resource`.
    #[test]
    fn the_identifier_can_be_read_from_the_address_of_its_document(
        origin in prop_oneof![
            "https://[a-z]([a-z0-9]{0,8})(\\.[a-z0-9_]([a-z0-9-]{0,4}[a-z0-9])?){0,2}\\.[a-z]{2,5}(:[1-9][0-9]{0,2})?",
            "http://(localhost|127\\.0\\.0\\.1|\\[::1\\])(:[1-9][0-9]{3})?",
        ],
        path in "(/[A-Za-z0-9._~!$&()+,;=@-]{0,6}[:a-z]{0,2}){0,4}",
        query in "(\\?[a-zA-Z0-9=&/?%2]{0,6})?",
    ) {
        let identifier = format!("{origin}{path}{query}");
        let Ok(resource) = ProtectedResource::builder(identifier.clone()).build() else {
            // Segments that are a dot or two, or begin with `:`; ports that are the scheme's.
            let is_refused = path.split('/').any(|one| matches!(one, "." | "..") || one.starts_with(':'))
                || origin.starts_with("https://xn--")
                || (origin.starts_with("https") && origin.ends_with(":443"));
            prop_assert!(is_refused, "{} is refused", identifier);
            return Ok(());
        };
        let address = resource.metadata_url();
        let parsed = url::Url::parse(address).unwrap();
        prop_assert_eq!(parsed.as_str(), address);
        prop_assert_eq!(parsed.path(), resource.metadata_path());
        prop_assert!(resource.metadata_path().starts_with(WELL_KNOWN));
        prop_assert_eq!(parsed.query().map(|query| format!("?{query}")).unwrap_or_default(), query.as_str());
        let taken_out = address.replacen(WELL_KNOWN, "", 1);
        // What gave way: the slash of a path that is nothing else.
        let identifier = match path.as_str() {
            "/" => format!("{origin}{query}"),
            _ => identifier,
        };
        prop_assert_eq!(taken_out, identifier);
    }
}

//! The security part of an OpenAPI document.
#![cfg(feature = "openapi")]
use portcullis::dpop::{Dpop, InProcessReplays, Nonces};
use portcullis::mtls::{CertificateHeader, Mtls};
use portcullis::openapi::Security;
use portcullis::refusal::{Refused, RejectionResponse};
use portcullis::{
    Algorithm, Policy, PolicyBuilder, Presentation, Requirement, RouteTable, TokenCookie,
    TokenSource,
};
use portcullis_testkit::TestIssuer;
use serde_json::{Value, json};

fn issuer() -> TestIssuer {
    TestIssuer::new("https://openapi.example")
}

fn policy(change: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Policy {
    change(issuer().policy_builder()).build().expect("a policy")
}

fn scope(scope: &str) -> Requirement {
    Requirement::scope(scope)
}

#[test]
fn a_policy_says_of_each_source_which_scheme_it_is() {
    let bearer = json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT" });
    assert_eq!(issuer().policy().security_schemes().to_json(), json!({ "bearer": bearer }));

    let all = policy(|it| {
        it.sources([
            TokenSource::bearer(),
            TokenSource::header("X-Token"),
            TokenSource::header("X-Other").with_prefix("Token "),
            TokenSource::cookie("__Host-token"),
            TokenCookie::new("__Host-session").expect("a name").into(),
            TokenSource::websocket_protocol("bearer"),
        ])
    });
    let schemes = all.security_schemes();
    let names: Vec<_> = schemes.names().collect();
    assert_eq!(names, ["bearer", "header", "header2", "cookie", "cookie2", "webSocket"]);
    assert_eq!(
        schemes.to_json(),
        json!({
            "bearer": bearer,
            "header": { "type": "apiKey", "in": "header", "name": "x-token" },
            "header2": {
                "type": "apiKey",
                "in": "header",
                "name": "x-other",
                "description": "The token stands after \"Token \".",
                "x-portcullis": { "prefix": "Token " },
            },
            "cookie": { "type": "apiKey", "in": "cookie", "name": "__Host-token" },
            "cookie2": { "type": "apiKey", "in": "cookie", "name": "__Host-session" },
            "webSocket": {
                "type": "apiKey",
                "in": "header",
                "name": "Sec-WebSocket-Protocol",
                "description": "The token is the subprotocol after `bearer`.",
                "x-portcullis": { "prefix": "bearer, " },
            },
        })
    );
}

#[cfg(feature = "remote-jwks")]
#[test]
fn an_issuer_whose_keys_are_discovered_is_an_open_id_provider_and_another_is_not() {
    use portcullis::{Issuer, RemoteJwks};
    let of = |id: &str, keys| {
        Issuer::new(id).algorithms([Algorithm::ES256]).keys(keys).audience("https://api.example")
    };
    let builder = |sources: Vec<TokenSource>| {
        Policy::builder()
            .issuer(of("https://a.example/realm", RemoteJwks::discovery()))
            .issuer(of("https://b.example", RemoteJwks::url("https://b.example/jwks")))
            .issuer(of("https://c.example/", RemoteJwks::discovery()))
            .sources(sources)
    };
    let policy = |sources| builder(sources).build().expect("a policy");
    let schemes = policy(vec![TokenSource::bearer()]).security_schemes();
    let names: Vec<_> = schemes.names().collect();
    assert_eq!(names, ["bearer", "openIdConnect", "openIdConnect2"]);
    let schemes = schemes.to_json();
    let address = |name: &str| schemes[name]["openIdConnectUrl"].clone();
    let metadata = ".well-known/openid-configuration";
    assert_eq!(address("openIdConnect"), format!("https://a.example/realm/{metadata}"));
    assert_eq!(address("openIdConnect2"), format!("https://c.example/{metadata}"));
    // A client of OpenID sends its token as a bearer token.
    let cookie = policy(vec![TokenSource::cookie("__Host-token")]).security_schemes();
    assert_eq!(cookie.names().collect::<Vec<_>>(), ["cookie"]);
    // Nor does one send a proof with it.
    for (dpop, expected) in [
        (dpop(), &["bearer", "openIdConnect", "openIdConnect2", "dpop"][..]),
        (dpop().required(), &["dpop"][..]),
    ] {
        let policy = builder(vec![TokenSource::bearer()]).dpop(dpop).build().expect("a policy");
        assert_eq!(policy.security_schemes().names().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn each_scheme_has_each_alternative() {
    let schemes = policy(|it| it.sources([TokenSource::bearer(), TokenSource::cookie("__Host-t")]))
        .security_schemes();
    let either = scope("a").and(scope("b").or(scope("c")));
    assert_eq!(
        either.security(&schemes).to_json(),
        json!([
            { "bearer": ["a", "b"] },
            { "bearer": ["a", "c"] },
            { "cookie": ["a", "b"] },
            { "cookie": ["a", "c"] },
        ])
    );
    assert_eq!(either.security(&schemes).extension(), None);
    assert_eq!(either.security(&schemes).description(), None);
}

#[test]
fn what_openapi_cannot_say_is_told_in_words_without_values_and_subjects() {
    let schemes = issuer().policy().security_schemes();
    let requirement = scope("a")
        .and(Requirement::claim("tenant", "acme"))
        .or(Requirement::subject("alice").and(Requirement::acr_values(["mfa"])));
    let security = requirement.security(&schemes);
    assert_eq!(security.to_json(), json!([{ "bearer": ["a"] }, { "bearer": [] }]));
    assert_eq!(
        security.extension(),
        Some(json!({
            "needs": "(the scope `a` and the value of `tenant` that is asked for) or (the subject that is asked for and an authentication by `mfa`)",
            "alternatives": [
                { "scopes": ["a"], "beyond": ["the value of `tenant` that is asked for"] },
                { "scopes": [], "beyond": ["the subject that is asked for", "an authentication by `mfa`"] },
            ],
        }))
    );
    let text = format!("{security:?} {:?}", security.description());
    assert!(!text.contains("acme") && !text.contains("alice"), "{text}");
    let excluded = scope("a").and_not(Requirement::role("groups", "suspended")).security(&schemes);
    assert_eq!(excluded.to_json(), json!([{ "bearer": ["a"] }]));
    let words = "Needs the scope `a` and anything but `suspended` at `groups`.";
    assert_eq!(excluded.description().as_deref(), Some(words));
}

#[test]
fn alternatives_that_differ_only_beyond_their_scopes_are_one_and_told_apart_in_words() {
    let schemes = issuer().policy().security_schemes();
    let role = |role| Requirement::role("roles", role);
    let security = scope("a").and(role("x").or(role("y"))).security(&schemes);
    assert_eq!(security.to_json(), json!([{ "bearer": ["a"] }]));
    let told = security.extension().expect("words")["alternatives"].clone();
    assert_eq!(
        told,
        json!([
            { "scopes": ["a"], "beyond": ["`x` at `roles`"] },
            { "scopes": ["a"], "beyond": ["`y` at `roles`"] },
        ])
    );
}

#[test]
fn a_policy_without_details_keeps_them_out_of_the_document() {
    let schemes = policy(|it| it.presentation(Presentation::new().without_details()));
    let security =
        scope("a").and(Requirement::role("roles", "admin")).security(&schemes.security_schemes());
    assert_eq!(security.to_json(), json!([{ "bearer": ["a"] }]));
    assert_eq!((security.extension(), security.description()), (None, None));
}

#[test]
fn more_than_16_alternatives_are_told_in_words_alone() {
    let schemes = issuer().policy().security_schemes();
    let any = |count: usize| Requirement::any_scope((1..=count).map(|it| format!("s{it}")));
    let few = any(16).security(&schemes);
    assert_eq!(few.to_json().as_array().map(Vec::len), Some(16));
    assert_eq!(few.description(), None);
    let many = any(17).security(&schemes);
    assert_eq!(many.to_json(), json!([{ "bearer": [] }]));
    let words = many.description().expect("words");
    assert!(words.starts_with("Needs the scope `s1` or the scope `s2` or "), "{words}");
    assert_eq!(many.extension().expect("words")["alternatives"], Value::Null);
}

#[test]
fn a_requirement_that_nobody_meets_says_so() {
    let schemes = issuer().policy().security_schemes();
    let security = scope("a\"b").security(&schemes);
    assert_eq!(security.to_json(), json!([{ "bearer": [] }]));
    assert!(security.description().is_some_and(|it| it.contains("a\\\"b") || it.contains("a\"b")));
}

#[test]
fn no_token_is_an_alternative_only_where_route_and_policy_let_it_be() {
    let strict = issuer().policy();
    let lax = strict.clone().allow_anonymous();
    let table = RouteTable::new().anyone("GET", "/news").any_caller("GET", "/me").require(
        "GET",
        "/orders",
        scope("a"),
    );
    for (policy, route, expected) in [
        (&strict, "/news", json!([{ "bearer": [] }])),
        (&lax, "/news", json!([{}, { "bearer": [] }])),
        (&lax, "/me", json!([{ "bearer": [] }])),
        (&lax, "/orders", json!([{ "bearer": ["a"] }])),
    ] {
        let security = table.security("GET", route, &policy.security_schemes());
        assert_eq!(security.expect("an entry").to_json(), expected, "{route}");
    }
    assert!(table.security("POST", "/me", &strict.security_schemes()).is_none());
}

#[test]
fn refusals_are_those_that_a_route_can_answer() {
    let statuses = |security: &Security| -> Vec<String> {
        security.responses().as_object().expect("an object").keys().cloned().collect()
    };
    let schemes = issuer().policy().security_schemes();
    assert_eq!(statuses(&schemes.any_caller()), ["401", "503"]);
    assert_eq!(statuses(&scope("a").security(&schemes)), ["401", "403", "503"]);
    let cookie = policy(|it| it.sources([TokenSource::cookie("__Host-t")])).security_schemes();
    assert_eq!(statuses(&cookie.any_caller()), ["401", "403", "503"]);
}

#[test]
fn the_components_say_how_a_body_looks_unless_a_hook_does() {
    let components = issuer().policy().security_schemes().components();
    let refusals = components["responses"].as_object().expect("an object");
    for name in ["Forbidden", "Unauthorized", "Unavailable"] {
        assert!(refusals[name]["description"].is_string(), "{name}");
    }
    assert_eq!(refusals.len(), 3);
    let content = |components: &Value| {
        let content = &components["responses"]["Unauthorized"]["content"];
        content.get("application/problem+json").is_some()
    };
    assert!(content(&components));
    let hook = |_: Refused<'_>, _: &mut RejectionResponse| {};
    let own = policy(|it| it.on_refusal(hook)).security_schemes().components();
    assert!(!content(&own));
}

#[test]
fn the_schemes_of_two_policies_stand_in_one_document() {
    let staff = issuer().policy().security_schemes().prefixed("staff ");
    assert_eq!(staff.names().collect::<Vec<_>>(), ["staff_bearer"]);
    let security = scope("a").security(&staff);
    assert_eq!(security.to_json(), json!([{ "staff_bearer": ["a"] }]));
    assert_eq!(security.responses()["401"]["$ref"], "#/components/responses/staff_Unauthorized");
    assert!(staff.components()["responses"].get("staff_Unauthorized").is_some());
}

/// Alternatives are a choice. Schemes in one of them are all needed (OpenAPI 3.1, Security Requirement Object).
#[test]
fn a_certificate_that_each_token_needs_stands_beside_the_token_in_each_alternative() {
    let sources = [TokenSource::bearer(), TokenSource::cookie("__Host-t")];
    let required = policy(|it| it.sources(sources).mtls(Mtls::from_tls().required()));
    let schemes = required.security_schemes();
    assert_eq!(schemes.names().collect::<Vec<_>>(), ["bearer", "cookie"]);
    assert_eq!(
        scope("a").or(scope("b")).security(&schemes).to_json(),
        json!([
            { "bearer": ["a"], "mutualTLS": [] },
            { "bearer": ["b"], "mutualTLS": [] },
            { "cookie": ["a"], "mutualTLS": [] },
            { "cookie": ["b"], "mutualTLS": [] },
        ])
    );
    let token = json!([{ "bearer": [], "mutualTLS": [] }, { "cookie": [], "mutualTLS": [] }]);
    assert_eq!(schemes.any_caller().to_json(), token);
    // Of a requirement that is told in words alone, too.
    let many = (0..17).map(|it| scope(&format!("s{it}"))).reduce(Requirement::or).expect("some");
    assert_eq!(many.security(&schemes).to_json(), token);
    // Who brings no token needs no certificate.
    let lax = required.allow_anonymous().security_schemes();
    assert_eq!(lax.anyone().to_json()[0], json!({}));
    assert_eq!(lax.anyone().to_json()[1], json!({ "bearer": [], "mutualTLS": [] }));
    let staff = lax.prefixed("staff_");
    assert_eq!(
        scope("a").security(&staff).to_json()[0],
        json!({ "staff_bearer": ["a"], "staff_mutualTLS": [] })
    );
    assert_eq!(staff.to_json()["staff_mutualTLS"]["type"], "mutualTLS");
}

#[test]
fn a_certificate_that_only_bound_tokens_need_is_told_and_asked_for_by_no_operation() {
    let header = Mtls::from_header(CertificateHeader::client_cert()).trusted_proxies(["10.0.0.7"]);
    for mtls in [Mtls::from_tls(), header] {
        let allowed = policy(|it| it.mtls(mtls)).security_schemes();
        assert_eq!(scope("a").security(&allowed).to_json(), json!([{ "bearer": ["a"] }]));
        assert_eq!(allowed.any_caller().to_json(), json!([{ "bearer": [] }]));
        let schemes = allowed.components()["securitySchemes"].clone();
        assert_eq!(schemes["mutualTLS"]["type"], "mutualTLS");
        let description = schemes["mutualTLS"]["description"].as_str().expect("words");
        assert!(description.contains("Other tokens need no certificate"), "{description}");
    }
    let none = issuer().policy().security_schemes();
    assert_eq!(none.to_json().get("mutualTLS"), None);
}

fn dpop() -> Dpop {
    Dpop::new(InProcessReplays::new()).at("https://api.example")
}

#[test]
fn a_token_that_may_be_bound_to_a_key_is_an_alternative_to_one_that_is_not() {
    let schemes = policy(|it| it.dpop(dpop())).security_schemes();
    assert_eq!(schemes.names().collect::<Vec<_>>(), ["bearer", "dpop"]);
    let either = scope("a").or(scope("b"));
    assert_eq!(
        either.security(&schemes).to_json(),
        json!([{ "bearer": ["a"] }, { "bearer": ["b"] }, { "dpop": ["a"] }, { "dpop": ["b"] }])
    );
    assert_eq!(schemes.any_caller().to_json(), json!([{ "bearer": [] }, { "dpop": [] }]));
    let all = schemes.components()["securitySchemes"].clone();
    assert_eq!(all["bearer"]["scheme"], "bearer");
    assert_eq!(
        all["dpop"],
        json!({
            "type": "http",
            "scheme": "dpop",
            "description": "An access token that is bound to a key of its client, with a proof of that key in the header `DPoP` (RFC 9449). Proofs are signed by one of ES256, EdDSA, Ed25519. They need no nonce. Other tokens need no proof, and are not taken by this scheme.",
        })
    );
    assert_eq!(issuer().policy().security_schemes().to_json().get("dpop"), None);
}

#[test]
fn where_each_token_has_to_be_bound_to_a_key_nothing_but_its_scheme_is_an_alternative() {
    let sources = [TokenSource::cookie("__Host-t"), TokenSource::bearer()];
    let required = policy(|it| it.sources(sources).dpop(dpop().required()));
    let schemes = required.security_schemes();
    assert_eq!(schemes.names().collect::<Vec<_>>(), ["dpop"]);
    assert_eq!(scope("a").security(&schemes).to_json(), json!([{ "dpop": ["a"] }]));
    let all = schemes.to_json();
    assert_eq!(all.as_object().map(|it| it.len()), Some(1));
    let description = all["dpop"]["description"].as_str().expect("words");
    assert!(!description.contains("Other tokens"), "{description}");
    // Who sends a cookie along is refused for where it comes from, still.
    assert!(schemes.any_caller().responses().get("403").is_some());
    let lax = required.allow_anonymous().security_schemes();
    assert_eq!(lax.anyone().to_json(), json!([{}, { "dpop": [] }]));
    let staff = lax.prefixed("staff_");
    assert_eq!(scope("a").security(&staff).to_json(), json!([{ "staff_dpop": ["a"] }]));
    assert_eq!(staff.to_json()["staff_dpop"]["scheme"], "dpop");
}

/// Of a bound token, the scheme `DPoP` of `Authorization` is the only way in.
#[test]
fn what_does_not_carry_the_scheme_of_bound_tokens_is_no_alternative_for_them() {
    let cookie = || [TokenSource::cookie("__Host-t")];
    let allowed = policy(|it| it.sources(cookie()).dpop(dpop())).security_schemes();
    assert_eq!(scope("a").security(&allowed).to_json(), json!([{ "cookie": ["a"] }]));
    assert_eq!(allowed.to_json().get("dpop"), None);
    let both = [TokenSource::bearer(), TokenSource::cookie("__Host-t")];
    let both = policy(|it| it.sources(both).dpop(dpop())).security_schemes();
    assert_eq!(both.names().collect::<Vec<_>>(), ["bearer", "dpop", "cookie"]);
    // Nobody gets in there. An empty list would say that everybody does.
    let nobody = policy(|it| it.sources(cookie()).dpop(dpop().required())).security_schemes();
    assert_eq!(scope("a").security(&nobody).to_json(), json!([{ "dpop": ["a"] }]));
    assert_eq!(nobody.any_caller().to_json(), json!([{ "dpop": [] }]));
}

#[test]
fn the_scheme_of_bound_tokens_tells_what_their_proofs_have_to_be() {
    let description = |dpop: Dpop| {
        let schemes = policy(|it| it.dpop(dpop)).security_schemes().to_json();
        schemes["dpop"]["description"].as_str().expect("words").to_owned()
    };
    let listed = [Algorithm::PS256, Algorithm::ES384, Algorithm::PS256];
    let listed = description(dpop().algorithms(listed).required());
    assert!(listed.contains("signed by one of PS256, ES384. They need no nonce."), "{listed}");
    let one = description(dpop().algorithms([Algorithm::ES256]));
    assert!(one.contains("Proofs are signed by ES256."), "{one}");
    let nonces = description(dpop().nonces(Nonces::of_this_process()));
    assert!(nonces.contains("They need the nonce that the service told last in the header `DPoP-Nonce`: a request without it is answered with 401 and a nonce."), "{nonces}");
    assert!(!nonces.contains("no nonce"), "{nonces}");
}

#[test]
fn a_certificate_that_each_token_needs_stands_beside_a_bound_token_as_well() {
    let mtls = || Mtls::from_tls().required();
    let required = policy(|it| it.mtls(mtls()).dpop(dpop().required())).security_schemes();
    let both = json!([{ "dpop": ["a"], "mutualTLS": [] }]);
    assert_eq!(scope("a").security(&required).to_json(), both);
    let allowed = policy(|it| it.mtls(mtls()).dpop(dpop())).security_schemes();
    assert_eq!(
        scope("a").security(&allowed).to_json(),
        json!([{ "bearer": ["a"], "mutualTLS": [] }, { "dpop": ["a"], "mutualTLS": [] }])
    );
    let certificate = policy(|it| it.mtls(Mtls::from_tls()).dpop(dpop().required()));
    let schemes = certificate.security_schemes();
    assert_eq!(scope("a").security(&schemes).to_json(), json!([{ "dpop": ["a"] }]));
    assert_eq!(schemes.to_json()["mutualTLS"]["type"], "mutualTLS");
}

fn document(paths: &Value) -> Value {
    json!({ "openapi": "3.1.0", "info": { "title": "Orders", "version": "1" }, "paths": paths })
}

#[test]
fn a_table_fills_a_document_and_says_what_it_does_not_have() {
    let schemes = issuer().policy().security_schemes();
    let table = RouteTable::new()
        .require("GET", r"/orders/{id:\d+}", scope("orders:read"))
        .require("*", "/admin", Requirement::role("roles", "admin"))
        .any_caller("GET", "/me");
    let before = json!({
        "description": "One order.",
        "security": [{ "basic": [] }],
        "responses": { "200": { "description": "OK" }, "401": { "description": "mine" } },
    });
    let mut filled = document(&json!({
        "/orders/{id}": { "get": before, "delete": {}, "parameters": [] },
        "/admin": { "post": {} },
    }));
    let uncovered = table.fill_openapi(&mut filled, &schemes);
    assert_eq!(uncovered, [("DELETE".to_owned(), "/orders/{id}".to_owned())]);
    let order = &filled["paths"]["/orders/{id}"];
    assert_eq!(
        order["get"],
        json!({
            "description": "One order.",
            "security": [{ "bearer": ["orders:read"] }],
            "responses": {
                "200": { "description": "OK" },
                "401": { "description": "mine" },
                "403": { "$ref": "#/components/responses/Forbidden" },
                "503": { "$ref": "#/components/responses/Unavailable" },
            },
        })
    );
    assert_eq!(order["delete"], json!({}));
    let admin = &filled["paths"]["/admin"]["post"];
    assert_eq!(admin["description"], "Needs `admin` at `roles`.");
    assert_eq!(admin["x-portcullis"]["needs"], "`admin` at `roles`");
    assert_eq!(filled["components"], schemes.components());
    // Once more changes nothing.
    let once = filled.clone();
    assert_eq!(table.fill_openapi(&mut filled, &schemes), uncovered);
    assert_eq!(filled, once);
}

#[test]
fn a_document_may_leave_the_path_of_its_server_out() {
    let schemes = issuer().policy().security_schemes();
    let table = RouteTable::new().any_caller("GET", "/v1/me").any_caller("GET", "/health");
    for url in ["/v1", "/v1/", "https://api.example/v1", "https://api.example:8443/v1/"] {
        let mut document = document(&json!({ "/me": { "get": {} }, "/health": { "get": {} } }));
        document["servers"] = json!([{ "url": url }]);
        assert!(table.fill_openapi(&mut document, &schemes).is_empty(), "{url}");
    }
    let mut other = document(&json!({ "/me": { "get": {} } }));
    other["servers"] = json!([{ "url": "https://api.example" }]);
    assert_eq!(table.fill_openapi(&mut other, &schemes).len(), 1);
}

#[test]
fn a_document_that_is_none_is_left_alone() {
    let schemes = issuer().policy().security_schemes();
    let table = RouteTable::new().any_caller("GET", "/me");
    for odd in [
        json!(null),
        json!([]),
        json!({ "paths": [], "components": 1 }),
        json!({ "paths": { "/me": 1 }, "components": { "responses": [] } }),
        json!({ "paths": { "/me": { "get": "x" } }, "servers": {} }),
        json!({ "paths": { "/me": { "get": { "responses": 1, "description": 2 } } } }),
    ] {
        let mut filled = odd.clone();
        _ = table.fill_openapi(&mut filled, &schemes);
    }
}

#[test]
fn a_table_gives_the_paths_that_it_knows() {
    let schemes = issuer().policy().security_schemes();
    let table = RouteTable::new()
        .require("GET", "/files/{*rest}", scope("files:read"))
        .any_caller("PUT", "/files/{*rest}")
        .any_caller("*", "/all")
        .any_caller("LOCK", "/files/{*rest}");
    let paths = table.openapi_paths(&schemes);
    assert_eq!(
        paths.as_object().map(|it| it.keys().cloned().collect()),
        Some(vec!["/files/{rest}".to_owned()])
    );
    let methods = paths["/files/{rest}"].as_object().expect("an object");
    assert!(methods.len() == 2 && methods.contains_key("put"), "{methods:?}");
    assert_eq!(methods["get"]["security"], json!([{ "bearer": ["files:read"] }]));
}

/// A reader must not take a route for open since its neighbour is.
#[test]
fn of_two_routes_that_a_document_spells_alike_it_has_what_both_ask_for() {
    let table = RouteTable::new()
        .require("GET", "/files/{id:[a-z]+}", scope("admin"))
        .anyone("GET", r"/files/{id:\d+}");
    let anonymous = policy(PolicyBuilder::allow_anonymous);
    let paths = table.openapi_paths(&anonymous.security_schemes());
    let security = &paths["/files/{id}"]["get"]["security"];
    assert_eq!(*security, json!([{ "bearer": ["admin"] }]));
    let mut documented = document(&json!({ "/files/{id}": { "get": {} } }));
    let left = table.fill_openapi(&mut documented, &anonymous.security_schemes());
    assert_eq!(left, [("GET".to_owned(), "/files/{id}".to_owned())]);
}

#[test]
fn an_operation_that_stands_elsewhere_is_told_as_left_out() {
    let table = RouteTable::new().require("*", "/admin", scope("admin"));
    let paths = json!({
        "/admin": { "$ref": "#/components/pathItems/Admin", "x-owner": "us", "summary": "" },
        "/news": { "query": {} },
    });
    let mut documented = document(&paths);
    let mut left = table.fill_openapi(&mut documented, &policy(|it| it).security_schemes());
    left.sort();
    let expected = [("$ref", "/admin"), ("query", "/news")];
    assert_eq!(left, expected.map(|(member, path)| (member.to_owned(), path.to_owned())));
}

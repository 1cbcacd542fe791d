//! Issuers that are made when their first token comes, with keys from an address.
#![cfg(feature = "remote-jwks")]
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::pin::pin;
use std::sync::mpsc;

use core::future::Future as _;
use portcullis::error::{ClaimName, ClaimsError, SignatureError, TypeName};
use portcullis::fetch::AddressFault;
use portcullis::keys::remote::{
    KeyFetchFault, RemoteJwksError, RemoteJwksOptions, RemoteKeysEvent,
};
use portcullis::keys::{KeyError, KeysUnavailable};
use portcullis::policy::{PolicyFault, Verification, WantsAlgorithms};
use portcullis::{
    Algorithm, Error, Issuer, KeySet, Keys, Policy, PolicyBuilder, RemoteJwks, Revocable,
    Revocations, TokenType, VerifiedToken,
};
use portcullis_testkit::{FixedClock, TestIssuer, TokenBuilder};

use self::network::Network;

#[expect(unreachable_pub, reason = "other crates include it too")]
mod network;

use Algorithm::ES256;

const NOW: i64 = 1_800_000_000;

const SECOND: Duration = Duration::from_secs(1);

/// A tenant of the provider, on the network or not. All call their first key `es256-1`.
fn tenant(name: &str) -> TestIssuer {
    TestIssuer::new(format!("https://id.example/{name}")).at(NOW)
}

fn complete(issuer: Issuer<WantsAlgorithms>, keys: impl Into<Keys>) -> Issuer {
    issuer.algorithms([ES256]).keys(keys).audience(TestIssuer::AUDIENCE)
}

/// Which makes one new issuer a second.
fn slow(keys: impl Into<Keys>) -> Issuer {
    template(keys).tenant_burst(1).tenant_interval(SECOND)
}

fn template(keys: impl Into<Keys>) -> Issuer {
    complete(Issuer::template("https://id.example/{tenant}"), keys)
}

fn builder(issuer: Issuer) -> PolicyBuilder {
    Policy::builder().clock(FixedClock::at(NOW)).issuer(issuer)
}

fn policy(issuer: Issuer) -> Policy {
    builder(issuer).build().expect("a policy")
}

/// Whoever is on the network, by discovery.
fn on(network: &Network) -> RemoteJwksOptions {
    RemoteJwks::discovery().client(network.clone())
}

fn good(issuer: &TestIssuer) -> String {
    issuer.token(ES256).mint()
}

/// What comes of a token without waiting.
fn at_once(policy: &Policy, token: impl AsRef<[u8]>) -> Poll<Result<VerifiedToken, Error>> {
    pin!(policy.verify_token(token)).poll(&mut Context::from_waker(Waker::noop()))
}

async fn passes(policy: &Policy, issuer: &TestIssuer) {
    let token = policy.verify_token(good(issuer)).await;
    assert_eq!(token.map(|token| token.issuer().to_owned()), Ok(issuer.name().to_owned()));
}

async fn all_keys_come(policy: &Policy) {
    for keys in policy.remote_keys() {
        keys.ready().await;
    }
}

fn unavailable(retry_after: Option<Duration>) -> Option<Error> {
    Some(KeyError::Unavailable(KeysUnavailable::new().with_retry_after(retry_after)).into())
}

fn issuers(policy: &Policy) -> Vec<String> {
    let mut issuers: Vec<_> =
        policy.remote_keys().iter().map(|keys| keys.issuer().to_owned()).collect();
    issuers.sort();
    issuers
}

const NOBODY: [&str; 0] = [];

#[tokio::test]
async fn a_token_of_an_unknown_tenant_waits_for_its_keys_and_passes() {
    let (network, acme) = (Network::new(), tenant("acme"));
    network.publish(&acme);
    network.hold();
    let policy = policy(template(on(&network)));
    assert_eq!(issuers(&policy), NOBODY);
    let token = good(&acme);
    let mut verifying = pin!(policy.verify_token(&token));
    assert!(verifying.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    network.release();
    assert_eq!(verifying.await.map(|token| token.issuer().to_owned()), Ok(acme.name().to_owned()));
    let asked = [
        "https://id.example/acme/.well-known/openid-configuration",
        "https://id.example/acme/keys",
    ];
    assert_eq!(network.asked(), asked);
    // From here on it is an issuer like any other.
    assert!(policy.verify_token_now(&token).is_ok());
    assert_eq!(network.asked(), asked);
    assert_eq!(issuers(&policy), [acme.name()]);
}

#[tokio::test]
async fn a_request_of_an_unknown_tenant_waits_without_its_token_being_borrowed() {
    let (network, acme) = (Network::new(), tenant("acme"));
    network.publish(&acme);
    let policy = policy(template(on(&network)));
    let waiting = {
        let mut request = http::Request::new(());
        let value = format!("Bearer {}", good(&acme)).parse().expect("a header");
        request.headers_mut().insert("authorization", value);
        let Verification::Pending(waiting) = policy.start_verify(&request.into_parts().0) else {
            panic!("its keys are not there yet")
        };
        waiting
    };
    let admission = waiting.await.expect("a good token");
    assert_eq!(admission.token().map(VerifiedToken::issuer), Some(acme.name()));
}

#[tokio::test]
async fn a_token_that_may_not_wait_has_the_keys_fetched_all_the_same() {
    let (network, acme) = (Network::new(), tenant("acme"));
    network.publish(&acme);
    let policy = policy(template(on(&network)));
    assert_eq!(policy.verify_token_now(good(&acme)).err(), unavailable(None));
    all_keys_come(&policy).await;
    assert!(policy.verify_token_now(good(&acme)).is_ok());
}

#[tokio::test]
async fn keys_that_are_to_be_loaded_at_start_hold_up_no_request_of_a_new_tenant() {
    let (network, acme) = (Network::new(), tenant("acme"));
    network.publish(&acme);
    network.hold();
    let policy = policy(template(on(&network).load_at_start()));
    assert_eq!(network.asked(), NOBODY);
    let token = good(&acme);
    let mut verifying = pin!(policy.verify_token(&token));
    assert!(verifying.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    network.release();
    assert_eq!(verifying.await.err(), None);
}

#[tokio::test]
async fn the_address_of_a_tenants_keys_is_made_of_its_name() {
    let (network, acme) = (Network::new(), tenant("Acme_1-x"));
    let url = "https://keys.example/Acme_1-x/keys?of=Acme_1-x";
    network.serve_keys(url, &acme);
    let keys = RemoteJwks::url("https://keys.example/{tenant}/keys?of={tenant}");
    let policy = policy(template(keys.client(network.clone())));
    passes(&policy, &acme).await;
    assert_eq!(network.asked(), [url]);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_never_signs_for_another_though_their_keys_have_one_id() {
    let (network, acme, umbrella) = (Network::new(), tenant("acme"), tenant("umbrella"));
    let policy = policy(template(on(&network)));
    for tenant in [&acme, &umbrella] {
        network.publish(tenant);
        passes(&policy, tenant).await;
        tokio::time::advance(SECOND).await;
    }
    for (signer, named) in [(&acme, &umbrella), (&umbrella, &acme)] {
        let forged = signer.token(ES256).claim("iss", named.name());
        assert_eq!(signer.key(ES256).id(), named.key(ES256).id());
        let refused = Some(Error::Signature(SignatureError::new()));
        assert_eq!(policy.verify_token(forged.mint()).await.err(), refused);
        let without_id = forged.without_header("kid").mint();
        assert_eq!(policy.verify_token(without_id).await.err(), refused);
    }
    assert_eq!(network.asked().len(), 4);
}

#[tokio::test]
async fn the_first_token_of_a_tenant_may_be_a_forgery_and_is_refused() {
    let (network, acme) = (Network::new(), tenant("acme"));
    network.publish(&acme);
    let policy = policy(template(on(&network)));
    let forged = good(&acme.impostor());
    assert_eq!(
        policy.verify_token(forged).await.err(),
        Some(Error::Signature(SignatureError::new()))
    );
    passes(&policy, &acme).await;
}

#[tokio::test]
async fn an_issuer_outside_the_template_is_unknown_and_nobody_is_asked_for_its_keys() {
    let network = Network::new();
    let policy = policy(template(on(&network)));
    for name in [
        "",
        "https://id.example",
        "https://id.example/",
        "https://id.example/acme/",
        "https://id.example/..",
        "https://id.example/a/b",
        "https://id.example/%2e%2e",
        "https://id.example/acme?x",
        "https://evil.example/acme",
        "https://id.example.evil.example/acme",
        "https://id.example/\n",
    ] {
        let stranger = TestIssuer::new(name).at(NOW);
        network.publish(&stranger);
        let refused = Some(Error::Claims(ClaimsError::Issuer));
        assert_eq!(policy.verify_token(good(&stranger)).await.err(), refused, "{name}");
    }
    let nobodys = tenant("acme").token(ES256).without("iss").mint();
    let refused = Some(Error::Claims(ClaimsError::IssuerMissing { also: &[] }));
    assert_eq!(policy.verify_token(nobodys).await.err(), refused);
    assert_eq!((network.asked(), issuers(&policy)), (vec![], vec![]));
}

#[tokio::test]
async fn a_named_issuer_has_its_own_keys_though_a_template_has_room_for_it() {
    let (network, acme) = (Network::new(), tenant("acme"));
    // Who has the address of `acme` now.
    let squatter = acme.impostor();
    network.publish(&squatter);
    let named = || {
        let keys = KeySet::from_jwks(acme.jwks_of(&[ES256])).expect("good keys");
        complete(Issuer::new(acme.name()), keys)
    };
    for policy in [
        builder(named()).issuer(template(on(&network))),
        builder(template(on(&network))).issuer(named()),
    ] {
        let policy = policy.build().unwrap();
        assert!(policy.verify_token_now(good(&acme)).is_ok());
        assert_eq!(
            policy.verify_token(good(&squatter)).await.err(),
            Some(Error::Signature(SignatureError::new()))
        );
        assert_eq!((network.asked(), issuers(&policy)), (vec![], vec![]));
    }
}

#[tokio::test]
async fn of_two_templates_the_first_that_matches_counts() {
    let network = Network::new();
    let acme = TestIssuer::new("https://id.example/acme").at(NOW);
    network.serve_keys("https://first.example/acme", &acme);
    let at = |url: &str| RemoteJwks::url(url).client(network.clone());
    let wide = Issuer::matching(|id| id.starts_with("https://id.example/"));
    let wide = complete(wide, at("https://wide.example/keys"));
    let first = template(at("https://first.example/{tenant}"));
    let policy = builder(first).issuer(wide).build().unwrap();
    passes(&policy, &acme).await;
    assert_eq!(network.asked(), ["https://first.example/acme"]);
}

#[tokio::test]
async fn an_address_without_a_tenant_has_one_set_for_all() {
    let network = Network::new();
    let [acme, other] =
        ["acme", "other"].map(|name| TestIssuer::new(format!("https://id.example/{name}")).at(NOW));
    network.serve_keys("https://id.example/common/keys", &acme);
    let common = RemoteJwks::url("https://id.example/common/keys").client(network.clone());
    let policy = builder(slow(common)).build().unwrap();
    assert_eq!(policy.remote_keys().len(), 1);
    policy.keys_ready().await;
    passes(&policy, &acme).await;
    let signed = acme.token(ES256).claim("iss", other.name()).mint();
    let refused = policy.verify_token(signed).await.unwrap_err();
    assert_eq!(refused.reason(), "keys_unavailable", "one new issuer a second");
    assert_eq!(network.asked(), ["https://id.example/common/keys"]);
    assert_eq!(policy.remote_keys().len(), 1);
}

#[test]
fn what_a_predicate_trusts_is_put_into_no_address() {
    let keys = RemoteJwks::url("https://keys.example/{tenant}");
    let issuer = complete(Issuer::matching(|_| true), keys);
    let address = "https://keys.example/{tenant}".to_owned();
    let error = RemoteJwksError::Address { address, fault: AddressFault::Tenant };
    let refused = builder(issuer).build().unwrap_err();
    assert_eq!(
        refused.faults(),
        [PolicyFault::RemoteKeys { issuer: "(predicate)".to_owned(), error }]
    );
}

#[tokio::test]
async fn what_the_rules_refuse_makes_no_issuer_and_asks_nobody() {
    let (network, acme) = (Network::new(), tenant("acme"));
    network.publish(&acme);
    let issuer = template(on(&network)).require_key_id().token_types([TokenType::AccessToken]);
    let policy = builder(issuer).refuse_brought_keys().build().unwrap();
    let token = || acme.token(ES256);
    let wrong_algorithm = |found| -> Error {
        ClaimsError::Algorithm { found, trusted: [ES256].into_iter().collect() }.into()
    };
    let refusals: [(&str, TokenBuilder, Error); 8] = [
        ("audience", token().audience("another"), ClaimsError::Audience.into()),
        ("no audience", token().without("aud"), ClaimsError::AudienceMissing.into()),
        ("algorithm", acme.token(Algorithm::ES384), wrong_algorithm(Algorithm::ES384)),
        ("secret", acme.token(Algorithm::HS256), wrong_algorithm(Algorithm::HS256)),
        (
            "type",
            token().typ("JWT"),
            ClaimsError::Type { found: TypeName::new("JWT"), accepted: "`at+jwt`" }.into(),
        ),
        (
            "expired",
            token().expired(),
            ClaimsError::Expired {
                at: portcullis::UnixTime(NOW - 3600),
                now: portcullis::UnixTime(NOW),
            }
            .into(),
        ),
        (
            "key brought",
            token().header("jku", "https://evil.example/keys"),
            ClaimsError::EmbeddedKey.into(),
        ),
        ("no key id", token().without_header("kid"), KeyError::IdMissing.into()),
    ];
    for (what, token, error) in refusals {
        let refused = at_once(&policy, token.mint());
        assert_eq!(refused.map(Result::err), Poll::Ready(Some(error)), "{what}");
        assert_eq!((network.asked(), issuers(&policy)), (vec![], vec![]), "{what}");
    }
    // Nor did they use up the second.
    passes(&policy, &acme).await;
}

#[tokio::test(start_paused = true)]
async fn one_new_tenant_a_second_is_asked_for_keys() {
    let network = Network::new();
    let tenants = ["a", "b", "c"].map(tenant);
    tenants.iter().for_each(|tenant| network.publish(tenant));
    let policy = policy(slow(on(&network)));
    passes(&policy, &tenants[0]).await;
    let refused = |tenant| at_once(&policy, good(tenant)).map(Result::err);
    tokio::time::advance(SECOND - Duration::from_nanos(1)).await;
    assert_eq!(refused(&tenants[1]), Poll::Ready(unavailable(Some(SECOND))));
    tokio::time::advance(Duration::from_nanos(1)).await;
    passes(&policy, &tenants[1]).await;
    assert_eq!(refused(&tenants[2]), Poll::Ready(unavailable(Some(SECOND))));
    // Those that are known wait for no second.
    assert_eq!(refused(&tenants[0]), Poll::Ready(None));
    assert_eq!(network.asked().len(), 4);
    tokio::time::advance(SECOND).await;
    passes(&policy, &tenants[2]).await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_whose_token_verified_stays_and_an_invented_one_goes() {
    let (network, acme, umbrella) = (Network::new(), tenant("acme"), tenant("umbrella"));
    network.publish(&acme);
    network.publish(&umbrella);
    let policy = policy(template(on(&network)).max_tenants(2));
    let invented = |number: usize| tenant(&format!("invented-{number}"));
    for number in 0..3 {
        assert!(policy.verify_token(good(&invented(number))).await.is_err());
        tokio::time::advance(SECOND).await;
    }
    // The first two have given way to what came after.
    assert_eq!(issuers(&policy), [invented(1).name(), invented(2).name()]);
    for tenant in [&acme, &umbrella] {
        passes(&policy, tenant).await;
        tokio::time::advance(SECOND).await;
    }
    assert_eq!(issuers(&policy), [acme.name(), umbrella.name()]);
    assert_eq!(
        at_once(&policy, good(&invented(4))).map(Result::err),
        Poll::Ready(unavailable(None))
    );
    assert_eq!(issuers(&policy), [acme.name(), umbrella.name()]);
}

#[tokio::test(start_paused = true)]
async fn forged_tokens_of_a_tenant_keep_no_place_for_it() {
    let (network, acme, umbrella) = (Network::new(), tenant("acme"), tenant("umbrella"));
    network.publish(&acme);
    network.publish(&umbrella);
    let policy = policy(template(on(&network)).max_tenants(1));
    passes(&policy, &acme).await;
    let forged = acme.impostor().token(ES256).mint();
    for _ in 0..7 {
        tokio::time::advance(10 * SECOND).await;
        assert!(policy.verify_token(&forged).await.is_err());
    }
    passes(&policy, &umbrella).await;
    assert_eq!(issuers(&policy), [umbrella.name()]);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_whose_tokens_are_remembered_or_asked_again_is_in_use() {
    let (network, acme, umbrella) = (Network::new(), tenant("acme"), tenant("umbrella"));
    network.publish(&acme);
    network.publish(&umbrella);
    for is_stream in [false, true] {
        let policy = policy(template(on(&network)).max_tenants(1));
        let text = good(&acme);
        let token = policy.verify_token(&text).await.expect("a good token");
        for _ in 0..7 {
            tokio::time::advance(10 * SECOND).await;
            if is_stream {
                policy.recheck(&token).await.expect("still good");
            } else {
                policy.verify_token(&text).await.expect("remembered");
            }
        }
        let refused = policy.verify_token(good(&umbrella)).await;
        assert_eq!(refused.err(), unavailable(None), "{is_stream}");
        assert_eq!(issuers(&policy), [acme.name()], "{is_stream}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_token_proves_no_tenant() {
    let (network, acme, umbrella) = (Network::new(), tenant("acme"), tenant("umbrella"));
    network.publish(&acme);
    network.publish(&umbrella);
    let policy = policy(template(on(&network)).max_tenants(1));
    for forged in [
        acme.impostor().token(ES256),
        acme.token(ES256).key_id("unknown"),
        acme.token(ES256).claim("nbf", NOW + 3600),
        acme.token(ES256).claim("cnf", serde_json::json!({ "jkt": "x" })),
    ] {
        assert!(policy.verify_token(forged.mint()).await.is_err());
    }
    assert_eq!(issuers(&policy), [acme.name()]);
    tokio::time::advance(SECOND).await;
    passes(&policy, &umbrella).await;
    assert_eq!(issuers(&policy), [umbrella.name()]);
}

#[tokio::test]
async fn a_tenant_whose_keys_have_been_out_of_reach_for_too_long_gives_way() {
    let (network, acme, umbrella) = (Network::new(), tenant("acme"), tenant("umbrella"));
    network.publish(&acme);
    network.publish(&umbrella);
    let (events, expired) = mpsc::channel();
    let keys = on(&network).fresh_for(SECOND).min_fresh(SECOND).max_stale(SECOND).on_event(
        move |issuer, event| {
            if matches!(event, RemoteKeysEvent::Expired) {
                events.send(issuer.to_owned()).expect("the test waits");
            }
        },
    );
    let policy = policy(template(keys).max_tenants(1));
    passes(&policy, &acme).await;
    network.answer("https://id.example/acme/keys", 500, "");
    network.answer("https://id.example/acme/.well-known/openid-configuration", 500, "");
    // As long as that takes, it is another second as well.
    let patience = Duration::from_secs(30);
    assert_eq!(expired.recv_timeout(patience).as_deref(), Ok(acme.name()));
    passes(&policy, &umbrella).await;
    assert_eq!(issuers(&policy), [umbrella.name()]);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_invented_tenants_cost_few_fetches_and_no_room_and_hold_up_nobody_known() {
    let (network, acme) = (Network::new(), tenant("acme"));
    network.publish(&acme);
    let policy = policy(slow(on(&network)).max_tenants(10));
    passes(&policy, &acme).await;
    let known = good(&acme);
    let forger = acme.impostor().token(ES256);
    for number in 0..10_000 {
        let forged = forger.clone().claim("iss", format!("https://id.example/invented-{number}"));
        assert!(policy.verify_token_now(forged.mint()).is_err());
        if number % 100 == 0 {
            assert!(policy.remote_keys().len() <= 10);
            assert!(matches!(at_once(&policy, &known), Poll::Ready(Ok(_))));
        }
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    // 100 seconds: as many tenants, each asked for its metadata in three places at most.
    let asked = network.asked();
    assert!(asked.len() <= 2 + 3 * 100, "{}", asked.len());
    assert!(asked[2..].iter().all(|url| url.contains("/.well-known/")));
    assert_eq!(policy.remote_keys().len(), 10);
    assert!(issuers(&policy).contains(&acme.name().to_owned()));
}

#[tokio::test]
async fn an_invented_tenant_is_asked_for_keys_once_and_not_again_by_itself() {
    let network = Network::new();
    let fast = |keys: RemoteJwksOptions| {
        let soon = Duration::from_millis(100);
        keys.client(network.clone()).first_retry(soon).max_retry(soon)
    };
    let policy = policy(template(fast(RemoteJwks::discovery())));
    let invented = good(&tenant("invented"));
    assert!(policy.verify_token(invented).await.is_err());
    let health = policy.remote_keys()[0].health();
    assert_eq!((health.failures, health.serves), (1, false));
    // Keys that somebody does wait for are asked for again and again. While that happens four
    // times, the invented ones could have been three times.
    let wanted = fast(RemoteJwks::url("https://wanted.example/")).start_for("wanted").unwrap();
    let mut ready = pin!(wanted.ready());
    assert!(ready.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    network.wait_for("https://wanted.example/", 5).await;
    let asked = network.asked();
    let asked: Vec<_> = asked.iter().filter(|url| url.starts_with("https://id.example")).collect();
    assert_eq!(
        asked,
        [
            "https://id.example/invented/.well-known/openid-configuration",
            "https://id.example/.well-known/oauth-authorization-server/invented",
            "https://id.example/.well-known/openid-configuration/invented",
        ]
    );
    assert_eq!(policy.remote_keys()[0].health().failures, 1);
}

#[tokio::test(start_paused = true)]
async fn each_fetch_for_a_tenant_that_never_had_keys_counts_as_a_new_one() {
    let (network, acme) = (Network::new(), tenant("acme"));
    let policy = policy(slow(on(&network)));
    let of_fetch = |error: &Option<Error>| match error {
        Some(Error::Key(KeyError::Unavailable(unavailable))) => unavailable.retry_after,
        other => panic!("{other:?}"),
    };
    let refused = policy.verify_token(good(&acme)).await.err();
    assert!(of_fetch(&refused) <= Some(SECOND));
    let asked = network.asked().len();
    // Whatever its back-off says, which is less than a second.
    for _ in 0..20 {
        let refused = at_once(&policy, good(&acme)).map(Result::err);
        assert_eq!(refused, Poll::Ready(unavailable(Some(SECOND))));
    }
    assert_eq!(network.asked().len(), asked);
    network.publish(&acme);
    tokio::time::advance(SECOND).await;
    passes(&policy, &acme).await;
    // From here on it is like any other.
    let unknown = acme.token(ES256).key_id("unknown").mint();
    let refused = at_once(&policy, unknown).map(Result::err);
    assert_eq!(refused, Poll::Ready(Some(KeyError::Unknown.into())));
}

#[tokio::test(start_paused = true)]
async fn thirty_tenants_come_in_at_once_after_a_start() {
    let network = Network::new();
    let policy = policy(template(on(&network)));
    for number in 0..30 {
        let tenant = tenant(&format!("tenant-{number}"));
        network.publish(&tenant);
        passes(&policy, &tenant).await;
    }
}

/// The tokens of one who has none: each names another tenant.
fn invented(forger: &TestIssuer) -> impl Iterator<Item = String> {
    let forged = forger.impostor().token(ES256);
    (0..).map(move |number| {
        forged.clone().claim("iss", format!("https://id.example/invented-{number}")).mint()
    })
}

#[tokio::test(start_paused = true)]
async fn two_thousand_invented_tenants_a_second_keep_no_real_one_out_and_cause_few_fetches() {
    let (network, known, new) = (Network::new(), tenant("known"), tenant("new"));
    let named = tenant("named");
    [&known, &new, &named].into_iter().for_each(|tenant| network.publish(tenant));
    let policy = policy(template(on(&network)).known_tenants([named.name()]));
    passes(&policy, &known).await;
    let (of_known, of_new) = (good(&known), good(&new));
    let mut invented = invented(&known);
    let start = tokio::time::Instant::now();
    let keys_of = |tenant: &TestIssuer| {
        policy.remote_keys().into_iter().find(|keys| keys.issuer() == tenant.name())
    };
    let mut came_after = None;
    for sent in 0..10_000 {
        assert!(policy.verify_token_now(invented.next().expect("one more")).is_err());
        // From one second on, ten times a second.
        if sent >= 2_000 && sent % 200 == 33 {
            assert_eq!(at_once(&policy, &of_known).map(Result::err), Poll::Ready(None));
            // Refused or, once it is let in, on its way to its keys.
            drop(at_once(&policy, &of_new));
            if keys_of(&new).is_some() {
                came_after.get_or_insert(start.elapsed() - SECOND);
            }
        }
        tokio::time::advance(SECOND / 2000).await;
    }
    assert!(came_after.is_some_and(|after| after < SECOND / 2), "{came_after:?}");
    for (tenant, token) in [(&new, of_new), (&named, good(&named))] {
        keys_of(tenant).expect("it was let in").ready().await;
        assert_eq!(at_once(&policy, token).map(Result::err), Poll::Ready(None));
    }
    // In five seconds, 50 new ones and ten a second, each of which makes three requests where nobody is there.
    assert_eq!(start.elapsed(), 5 * SECOND);
    let asked = network.asked().len();
    assert!(asked <= 3 * 2 + 3 * (50 + 5 * 10), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_succeeds_another_knows_its_tenants_and_has_their_keys() {
    let network = Network::new();
    let tenants: Vec<_> = (0..5).map(|number| tenant(&format!("tenant-{number}"))).collect();
    tenants.iter().for_each(|tenant| network.publish(tenant));
    let keys = on(&network);
    let former = policy(template(keys.clone()));
    for tenant in &tenants {
        passes(&former, tenant).await;
    }
    let asked = network.asked();
    let changed = |issuer| builder(issuer).leeway(SECOND).reuse_keys_of(&former).build().unwrap();
    let succeeding = changed(template(keys.clone()).tenant_burst(1));
    let mut known = succeeding.known_tenants();
    known.sort();
    assert_eq!(known, tenants.iter().map(TestIssuer::name).collect::<Vec<_>>());
    for tenant in &tenants {
        assert!(matches!(at_once(&succeeding, good(tenant)), Poll::Ready(Ok(_))));
    }
    assert_eq!(network.asked(), asked);
    // Where the keys are other ones, they are fetched, and none of the tenants is new.
    let other = changed(slow(keys.clone().cool_down(SECOND)));
    for tenant in &tenants {
        passes(&other, tenant).await;
    }
    assert_eq!(network.asked().len(), 2 * asked.len());
    // One that has become an issuer of its own still has its keys, if they are by the same settings.
    let one = complete(Issuer::new(tenants[0].name()), keys.clone().same_origin());
    let named = builder(one).reuse_keys_of(&former).build().unwrap();
    assert!(matches!(at_once(&named, good(&tenants[0])), Poll::Ready(Ok(_))));
    // And is not there twice.
    let one = complete(Issuer::new(tenants[0].name()), keys.clone());
    let both = builder(one).issuer(template(keys)).reuse_keys_of(&former).build().unwrap();
    assert_eq!((both.known_tenants().len(), both.remote_keys().len()), (4, 5));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_gave_way_comes_in_at_once_under_the_policy_that_succeeds() {
    let (network, acme, umbrella) = (Network::new(), tenant("acme"), tenant("umbrella"));
    network.publish(&acme);
    network.publish(&umbrella);
    let one_place = || slow(on(&network)).max_tenants(1);
    let former = policy(one_place());
    passes(&former, &acme).await;
    tokio::time::advance(61 * SECOND).await;
    passes(&former, &umbrella).await;
    let succeeding = builder(one_place()).leeway(SECOND).reuse_keys_of(&former).build().unwrap();
    assert_eq!(succeeding.known_tenants(), [umbrella.name()]);
    tokio::time::advance(61 * SECOND).await;
    // The slot of this second goes to a name that was invented.
    assert!(succeeding.verify_token(good(&tenant("invented"))).await.is_err());
    passes(&succeeding, &acme).await;
}

#[tokio::test(start_paused = true)]
async fn tenants_that_are_named_come_in_at_once_and_can_be_waited_for() {
    let network = Network::new();
    let tenants: Vec<_> = (0..5).map(|number| tenant(&format!("tenant-{number}"))).collect();
    tenants.iter().for_each(|tenant| network.publish(tenant));
    let named = || slow(on(&network)).known_tenants(tenants.iter().map(TestIssuer::name));
    let policy = policy(named());
    assert_eq!(network.asked(), NOBODY);
    for tenant in &tenants {
        passes(&policy, tenant).await;
    }
    let ready = builder(named()).build().unwrap();
    all_keys_come(&ready).await;
    for tenant in &tenants {
        assert!(ready.verify_token_now(good(tenant)).is_ok());
    }
}

#[tokio::test]
async fn keys_of_a_tenant_are_of_its_own_origin_unless_any_is_allowed() {
    let elsewhere = "https://keys.example/acme";
    for allows_any in [false, true] {
        let (network, acme) = (Network::new(), tenant("acme"));
        let url = "https://id.example/acme/.well-known/openid-configuration";
        network.answer(url, 200, network::metadata(acme.name(), elsewhere));
        network.serve_keys(elsewhere, &acme);
        let keys = if allows_any { on(&network).any_origin() } else { on(&network) };
        let of_template = policy(template(keys.clone()));
        let name = acme.name().to_owned();
        let of_predicate = policy(complete(Issuer::matching(move |id| *id == name), keys));
        for policy in [of_template, of_predicate] {
            let refused = policy.verify_token(good(&acme)).await.err();
            assert_eq!(refused.is_none(), allows_any);
            let asked = network.asked().iter().any(|url| url == elsewhere);
            assert_eq!(asked, allows_any);
            if !allows_any {
                let error = policy.remote_keys()[0].health().last_error.expect("a failure");
                let KeyFetchFault::NoMetadata(tried) = error.fault() else { panic!("{error}") };
                let (address, fault) = (elsewhere.to_owned(), AddressFault::OtherOrigin);
                assert_eq!(*tried[0].fault(), KeyFetchFault::KeysAddress { address, fault });
            }
        }
    }
}

#[tokio::test]
async fn a_tenant_whose_metadata_name_another_tenant_gets_no_keys() {
    let (network, acme, umbrella) = (Network::new(), tenant("acme"), tenant("umbrella"));
    network.publish(&umbrella);
    let url = "https://id.example/acme/.well-known/openid-configuration";
    let keys = "https://id.example/umbrella/keys";
    let metadata = serde_json::json!({ "issuer": umbrella.name(), "jwks_uri": keys });
    network.answer(url, 200, metadata.to_string());
    let policy = policy(template(on(&network)));
    let forged = umbrella.token(ES256).claim("iss", acme.name()).mint();
    let refused = policy.verify_token(forged).await.err();
    assert!(matches!(refused, Some(Error::Key(KeyError::Unavailable(_)))), "{refused:?}");
    let error = policy.remote_keys()[0].health().last_error.expect("a failure");
    let (expected, found) = (acme.name().to_owned(), umbrella.name().to_owned());
    let KeyFetchFault::NoMetadata(tried) = error.fault() else { panic!("{error}") };
    assert_eq!(*tried[0].fault(), KeyFetchFault::Issuer { expected, found });
    let asked = network.asked();
    assert_eq!((&*asked[0], asked.len()), (url, 3));
}

#[tokio::test]
async fn kinds_of_revocation_and_services_of_one_tenant_are_no_others() {
    let keys = KeySet::from_jwks(tenant("acme").jwks_of(&[ES256])).expect("keys");
    let revocations = Revocations::options().clock(FixedClock::at(NOW)).in_memory();
    let enforced = revocations
        .enforce([Revocable::Session])
        .for_issuer("https://id.example/acme", [Revocable::Token])
        .service_clients("https://id.example/umbrella", ["billing"]);
    let policy = builder(template(keys)).revocations(enforced).build().expect("a policy");
    // One key for all of them.
    let of = |name: &str| {
        let token = tenant("acme").token(ES256).claim("iss", tenant(name).name());
        token.without("sid").without("jti").without("client_id")
    };
    let lacks =
        |claim: &str| Some(Error::from(ClaimsError::Rule(ClaimName::Required(claim.into()))));
    let verified = |token: TokenBuilder| policy.verify_token(token.mint());
    assert_eq!(verified(of("acme")).await.err(), lacks("jti"));
    assert_eq!(verified(of("acme").claim("jti", "t")).await.err(), None);
    assert_eq!(verified(of("umbrella").claim("jti", "t")).await.err(), lacks("sid"));
    assert_eq!(verified(of("umbrella").claim("client_id", "billing")).await.err(), None);
    assert_eq!(verified(of("initech").claim("client_id", "billing")).await.err(), lacks("sid"));
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_no_options_serve_every_tenant() {
    let (network, provider) = (Network::new(), TestIssuer::new("https://id.example").at(NOW));
    network.serve_keys("https://id.example/keys", &provider);
    let fixed = KeySet::from_jwks(provider.jwks_of(&[ES256])).unwrap();
    let started = RemoteJwks::url("https://id.example/keys").client(network.clone());
    let started = started.start_for("https://id.example").unwrap();
    for (keys, asked) in [(Keys::from(fixed), 0), (Keys::from(started), 1)] {
        let policy = policy(template(keys));
        assert_eq!(policy.remote_keys().len(), asked);
        policy.keys_ready().await;
        for name in ["https://id.example/acme", "https://id.example/umbrella"] {
            let token = provider.token(ES256).claim("iss", name).mint();
            let verified =
                at_once(&policy, token).map(|token| token.map(|it| it.issuer().to_owned()));
            assert_eq!(verified, Poll::Ready(Ok(name.to_owned())));
            tokio::time::advance(SECOND).await;
        }
        assert_eq!((policy.remote_keys().len(), network.asked().len()), (asked, asked));
    }
}

#[tokio::test(start_paused = true)]
async fn no_tenant_keeps_a_policy_from_being_ready_and_known_ones_are_fetched_by_the_way() {
    let (network, acme) = (Network::new(), tenant("acme"));
    network.publish(&acme);
    let gone = tenant("gone");
    let policy = policy(template(on(&network)).known_tenants([acme.name(), gone.name()]));
    // Neither one that is known and gone, nor one that was invented and never answers.
    assert_eq!(policy.verify_token_now(good(&tenant("invented"))).err(), unavailable(None));
    let one_day = Duration::from_secs(24 * 60 * 60);
    tokio::time::timeout(one_day, policy.keys_ready()).await.expect("ready");
    passes(&policy, &acme).await;
    // Metadata and keys, once each.
    assert_eq!(network.asked().iter().filter(|url| url.contains("/acme/")).count(), 2);
}

#[tokio::test]
async fn a_tenant_that_a_predicate_trusts_is_found_by_discovery() {
    let (network, acme) = (Network::new(), TestIssuer::new("https://acme.example/id").at(NOW));
    let trusted = acme.name().to_owned();
    let policy = policy(complete(Issuer::matching(move |id| *id == trusted), on(&network)));
    for stranger in ["https://acme.example", "https://acme.example/id/", "https://evil.example"] {
        let stranger = TestIssuer::new(stranger).at(NOW);
        network.publish(&stranger);
        let refused = Some(Error::Claims(ClaimsError::Issuer));
        assert_eq!(policy.verify_token(good(&stranger)).await.err(), refused);
    }
    assert_eq!(network.asked(), NOBODY);
    network.publish(&acme);
    passes(&policy, &acme).await;
    assert_eq!(issuers(&policy), [acme.name()]);
}

#[tokio::test(start_paused = true)]
async fn an_identifier_that_is_no_address_is_unavailable_and_asks_nobody() {
    let network = Network::new();
    let policy = policy(complete(Issuer::matching(|_| true), on(&network)));
    for id in ["", "acme", "http://plain.example", "file:///etc/passwd", "https://a b", "\u{0}\n"] {
        let token = good(&TestIssuer::new(id).at(NOW));
        let refused = at_once(&policy, token).map(Result::err);
        assert_eq!(refused, Poll::Ready(unavailable(None)), "{id:?}");
        tokio::time::advance(SECOND).await;
    }
    let long = format!("https://id.example/{}", "x".repeat(1024));
    let token = tenant("acme").token(ES256).claim("iss", long).mint();
    let refused = at_once(&policy, token).map(Result::err);
    assert_eq!(refused, Poll::Ready(Some(ClaimsError::Issuer.into())));
    assert_eq!((network.asked(), issuers(&policy)), (vec![], vec![]));
}

#[tokio::test]
async fn debug_shows_neither_tenants_nor_keys() {
    let (network, acme) = (Network::new(), tenant("acme"));
    network.publish(&acme);
    let policy = policy(template(on(&network)));
    passes(&policy, &acme).await;
    assert_eq!(
        format!("{policy:?}"),
        r#"Policy { issuers: ["https://id.example/{tenant}"], anonymous: false, .. }"#
    );
}

//! The policies that the rows of the table are about.
use std::future::{Future as _, ready};
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use portcullis::error::{ClaimsError, RevocationUnavailable};
use portcullis::keys::{KeyFuture, KeyQuery, KeysUnavailable};
use portcullis::mtls::{CertificateHeader, Mtls};
use portcullis::policy::BadCookie;
use portcullis::revocation::store::{PublishFuture, RevocationEntry, RevocationStore};
use portcullis::revocation::{RevocationSource, RevocationStatus};
use portcullis::source::SameSite;
use portcullis::{
    Algorithm, Error, Issuer, KeySet, KeySource, Keys, Policy, PolicyBuilder, Presentation,
    Revocable, Revocations, Secret, TokenSource, TokenType, UnixTime, VerifiedToken, dangerous,
    provider,
};
use portcullis_testkit::{FixedClock, TestIssuer};
use serde::Deserialize;
use tokio::sync::oneshot;

/// The time at which everything happens.
pub const NOW: i64 = 1_800_000_000;

/// The issuer that every policy trusts.
pub const ISSUER: &str = "https://issuer.example";

/// A second issuer, trusted by [`Variant::TwoIssuers`].
pub const OTHER_ISSUER: &str = "https://other.example";

/// The cookie that carries the token, where one does.
pub const COOKIE: &str = "__Host-token";

/// The issuer. Each has the same keys, and counts its token ids anew.
pub fn issuer() -> TestIssuer {
    TestIssuer::new(ISSUER).at(NOW)
}

/// A policy of the table.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Variant {
    /// The defaults, and every algorithm.
    Plain,
    /// One algorithm.
    OneAlgorithm,
    /// Two issuers, each with its own algorithm.
    TwoIssuers,
    /// Tokens must name their key and may not bring one.
    StrictHeader,
    /// `at+jwt` is the only type.
    AccessTokens,
    /// The client's id stands in for an audience.
    ClientIds,
    /// Rules for claims of every kind.
    Rules,
    /// Two secrets, one of them accepted until now and the other until a second later.
    Rotation,
    /// Tokens of up to 64 KiB.
    LargeTokens,
    /// The same, with headers of up to 12 KiB.
    LargeHeaders,
    /// Clocks may not differ.
    NoLeeway,
    /// The issuer writes `sub` and `jti` as numbers.
    NumericIds,
    /// Realm, metadata and a base for problem types.
    Presented,
    /// The same without details.
    Terse,
    /// Scopes that a client should ask for first.
    FirstScopes,
    /// A hook that edits most refusals and replaces some.
    Hooked,
    /// A cookie besides the header; pages of another origin may use it.
    Cookie,
    /// A cookie of any name.
    AnyCookie,
    /// A cookie of any name, with a path and a domain, that is taken away if it is bad.
    ClearingAnyCookie,
    /// A bad cookie is taken away.
    ClearingCookie,
    /// A bad cookie counts as none.
    LenientCookie,
    /// The header wins over the cookie.
    PreferHeader,
    /// A header of another name, with a prefix.
    CustomHeader,
    /// Another scheme of `Authorization`.
    OtherScheme,
    /// What stands behind `bearer` among the subprotocols of a WebSocket, besides the header.
    WebSocketProtocol,
    /// A header of another name that is all token.
    BareHeader,
    /// A query parameter besides the header.
    Query,
    /// The keys come while the request waits.
    LateKeys,
    /// The keys cannot be had, and it is known for how long.
    NoKeys,
    /// The keys cannot be had.
    NoKeysForNow,
    /// Some tokens were taken back, by what their id says.
    Revocation,
    /// Something of each kind stands on a list, and all kinds but keys and issuers are enforced.
    RevocationList,
    /// Nobody knows whether the list is all there is.
    StaleRevocationList,
    /// The presets of four identity providers, and their keys in memory.
    Providers,
    /// Tokens may be bound to a certificate, which the server's TLS tells of.
    Certificates,
    /// They have to be.
    RequiredCertificates,
    /// A proxy on this machine tells of it in a header.
    ProxiedCertificates,
    /// A proxy on another machine does.
    DistantProxy,
}

impl Variant {
    /// Makes the policy.
    pub fn policy(self) -> Policy {
        let builder = Policy::builder().clock(FixedClock::at(NOW));
        let cookie = || [TokenSource::bearer(), TokenSource::cookie(COOKIE)];
        let builder = match self {
            Self::Plain => builder.issuer(every_algorithm()),
            Self::Certificates => builder.issuer(one_algorithm()).mtls(Mtls::from_tls()),
            Self::RequiredCertificates => {
                builder.issuer(one_algorithm()).mtls(Mtls::from_tls().required())
            }
            Self::ProxiedCertificates => {
                builder.issuer(one_algorithm()).mtls(proxied(["127.0.0.0/8", "::1"]))
            }
            Self::DistantProxy => {
                builder.issuer(one_algorithm()).mtls(proxied(["192.0.2.0/24", "2001:db8::/32"]))
            }
            Self::OneAlgorithm => builder.issuer(one_algorithm()),
            Self::TwoIssuers => {
                let other = TestIssuer::new(OTHER_ISSUER);
                builder.issuer(one_algorithm()).issuer(
                    Issuer::new(OTHER_ISSUER)
                        .algorithms([Algorithm::EdDSA])
                        .keys(key_set(&other, Algorithm::EdDSA))
                        .audience(TestIssuer::AUDIENCE),
                )
            }
            Self::StrictHeader => {
                builder.issuer(one_algorithm().require_key_id()).refuse_brought_keys()
            }
            Self::AccessTokens => {
                builder.issuer(one_algorithm().token_types([TokenType::AccessToken]))
            }
            Self::ClientIds => builder.issuer(
                Issuer::new(ISSUER)
                    .algorithms([Algorithm::ES256])
                    .keys(key_set(&issuer(), Algorithm::ES256))
                    .client_ids_instead_of_audience(["testkit"]),
            ),
            Self::Rules => builder.issuer(one_algorithm()).claims(rules()),
            Self::Rotation => builder.issuer(rotation()),
            Self::LargeTokens => builder.issuer(one_algorithm()).token_limit(64 * 1024),
            Self::LargeHeaders => {
                builder.issuer(one_algorithm()).token_limit(64 * 1024).header_limit(12 * 1024)
            }
            Self::NoLeeway => builder.issuer(one_algorithm()).leeway(Duration::ZERO),
            Self::NumericIds => builder.issuer(one_algorithm().numeric_ids()),
            Self::Presented => builder.issuer(one_algorithm()).presentation(presentation()),
            Self::Terse => {
                builder.issuer(one_algorithm()).presentation(presentation().without_details())
            }
            Self::FirstScopes => builder
                .issuer(one_algorithm())
                .presentation(Presentation::new().scopes(["orders:read", "profile"])),
            Self::Hooked => builder
                .issuer(one_algorithm())
                .sources(cookie())
                .bad_cookie(BadCookie::RejectAndClear)
                .presentation(hooked()),
            Self::Cookie => builder
                .issuer(one_algorithm())
                .sources(cookie())
                .allowed_origins(["https://app.example"]),
            Self::AnyCookie => {
                let cookie = dangerous::unprefixed_cookie("token").expect("a name");
                builder.issuer(one_algorithm()).sources([cookie.into()])
            }
            Self::ClearingAnyCookie => {
                let cookie = dangerous::unprefixed_cookie("token")
                    .and_then(|cookie| cookie.path("/whoami"))
                    .and_then(|cookie| cookie.domain("api.example"))
                    .expect("what a cookie can have")
                    .same_site(SameSite::None);
                builder
                    .issuer(one_algorithm())
                    .sources([cookie.into()])
                    .bad_cookie(BadCookie::RejectAndClear)
            }
            Self::ClearingCookie => builder
                .issuer(one_algorithm())
                .sources(cookie())
                .bad_cookie(BadCookie::RejectAndClear),
            Self::LenientCookie => {
                builder.issuer(one_algorithm()).sources(cookie()).bad_cookie(BadCookie::Anonymous)
            }
            Self::PreferHeader => builder.issuer(one_algorithm()).sources(cookie()).prefer_header(),
            Self::CustomHeader => builder
                .issuer(one_algorithm())
                .sources([TokenSource::header("X-Access-Token").with_prefix("Token ")]),
            Self::OtherScheme => builder
                .issuer(one_algorithm())
                .sources([TokenSource::header("Authorization").with_prefix("JWT ")]),
            Self::WebSocketProtocol => builder
                .issuer(one_algorithm())
                .sources([TokenSource::bearer(), TokenSource::websocket_protocol("bearer")]),
            Self::BareHeader => {
                builder.issuer(one_algorithm()).sources([TokenSource::header("x-token")])
            }
            Self::Query => builder
                .issuer(one_algorithm())
                .sources([TokenSource::bearer(), dangerous::token_in_url("access_token")]),
            Self::LateKeys => with_source(builder, Late::default()),
            Self::NoKeys => with_source(builder, Down(Some(Duration::from_millis(7_200)))),
            Self::NoKeysForNow => {
                with_source(builder, Down(None)).sources(cookie()).bad_cookie(BadCookie::Anonymous)
            }
            Self::Revocation => builder
                .issuer(one_algorithm())
                .revocation_source(ById)
                .sources(cookie())
                .bad_cookie(BadCookie::Anonymous),
            Self::RevocationList => {
                enforcing(builder, &revoked(Revocations::options().clock(clock()).in_memory()))
            }
            Self::Providers => providers().into_iter().fold(builder, PolicyBuilder::issuer),
            Self::StaleRevocationList => {
                let list = Revocations::options().clock(clock());
                let list = list.shared([0; 16], Duration::from_secs(60));
                enforcing(builder, &revoked(Revocations::new(list, Acknowledges)))
            }
        };
        builder.build().unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }
}

fn proxied(proxies: [&str; 2]) -> Mtls {
    Mtls::from_header(CertificateHeader::client_cert()).trusted_proxies(proxies)
}

fn key_set(issuer: &TestIssuer, algorithm: Algorithm) -> KeySet {
    KeySet::from_jwks(issuer.jwks_of(&[algorithm])).expect("the test kit makes good keys")
}

fn one_algorithm() -> Issuer {
    Issuer::new(ISSUER)
        .algorithms([Algorithm::ES256])
        .keys(key_set(&issuer(), Algorithm::ES256))
        .audience(TestIssuer::AUDIENCE)
}

fn every_algorithm() -> Issuer {
    let issuer = issuer();
    let pairs = KeySet::from_jwks(issuer.jwks()).expect("the test kit makes good keys");
    let secrets: Keys = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512]
        .into_iter()
        .map(|algorithm| {
            Secret::new(issuer.secret(algorithm))
                .id(issuer.key(algorithm).id())
                .algorithm(algorithm)
        })
        .collect();
    Issuer::new(ISSUER)
        .algorithms(Algorithm::ALL.iter().copied())
        .keys(secrets.and(pairs))
        .audience(TestIssuer::AUDIENCE)
}

/// The secret of `HS384` is over since now, that of `HS256` a second later.
fn rotation() -> Issuer {
    let issuer = issuer();
    let secret = |algorithm, end| {
        Secret::new(issuer.secret(algorithm)).algorithm(algorithm).accept_until(UnixTime(end))
    };
    Issuer::new(ISSUER)
        .algorithms([Algorithm::HS256, Algorithm::HS384])
        .keys([secret(Algorithm::HS256, NOW + 1), secret(Algorithm::HS384, NOW)])
        .audience(TestIssuer::AUDIENCE)
}

fn rules() -> portcullis::ClaimRules {
    #[derive(Deserialize)]
    struct Account {
        #[serde(default)]
        suspended: bool,
    }
    portcullis::ClaimRules::new()
        .leeway(Duration::ZERO)
        .max_lifetime(Duration::from_secs(900))
        .max_age(Duration::from_secs(600))
        .require("tenant")
        .forbid("act")
        .exact("token_use", "access")
        .one_of("region", ["eu", "us"])
        .predicate("the account is not suspended", |account: &Account| !account.suspended)
}

fn presentation() -> Presentation {
    Presentation::new()
        .realm("orders")
        .resource_metadata("https://api.example/.well-known/oauth-protected-resource")
        .problem_base("https://api.example/problems/")
}

fn hooked() -> Presentation {
    Presentation::new().realm("orders").on_refusal(|refused, refusal| {
        match refused.error_for_logs() {
            Error::Claims(ClaimsError::Expired { .. }) => {
                refusal.set_status(440);
                refusal.remove_header("www-authenticate");
                refusal.set_header("location", "/login");
                refusal.set_body("text/html; charset=utf-8", "<p>Log in again.");
            }
            error => {
                refusal.set_header("x-reason", error.reason());
                // None of these may get through.
                refusal.set_status(200);
                refusal.set_header("x-split", "a\r\nset-cookie: b=c");
                refusal.set_header("not a name", "value");
                refusal.set_header("Content-Length", "1");
                refusal.set_header("transfer-encoding", "chunked");
            }
        }
    })
}

/// Realm, tenant and pool of the [providers](Variant::Providers).
pub const KEYCLOAK: &str = "https://sso.example/realms/orders";
/// A tenant of Entra ID.
pub const ENTRA: &str =
    "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0";
/// A tenant of Auth0.
pub const AUTH0: &str = "https://orders.eu.auth0.com/";
/// A user pool of Cognito.
pub const COGNITO: &str = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Orders123";

fn providers() -> [Issuer; 4] {
    const GOOD: &str = "what it is given is well formed";
    let keys = |id: &str| key_set(&TestIssuer::new(id), Algorithm::ES256);
    let keycloak = provider::keycloak("https://sso.example", "orders").expect(GOOD);
    let entra = provider::entra("72f988bf-86f1-41af-91ab-2d7cd011db47").expect(GOOD);
    let auth0 = provider::auth0("orders.eu.auth0.com").expect(GOOD);
    let cognito = provider::cognito("eu-west-1_Orders123").expect(GOOD);
    // Those of the test kit, which would take long to make for RSA.
    let es256 = [Algorithm::ES256];
    [
        keycloak.keys(keys(KEYCLOAK)).algorithms(es256).audience(TestIssuer::AUDIENCE),
        entra.keys(keys(ENTRA)).algorithms(es256).audience(TestIssuer::AUDIENCE),
        auth0.keys(keys(AUTH0)).algorithms(es256).audience(TestIssuer::AUDIENCE),
        cognito.keys(keys(COGNITO)).algorithms(es256).client_ids_instead_of_audience(["testkit"]),
    ]
}

fn with_source(builder: PolicyBuilder, source: impl KeySource) -> PolicyBuilder {
    builder.issuer(
        Issuer::new(ISSUER)
            .algorithms([Algorithm::ES256])
            .keys(Keys::source(source))
            .audience(TestIssuer::AUDIENCE),
    )
}

/// Has no keys until somebody waits for them, and then only for the one who did: every request
/// waits, until another thread says that the keys are here.
#[derive(Clone, Debug, Default)]
struct Late(Arc<Mutex<Option<KeySet>>>);

impl KeySource for Late {
    fn keys(&self) -> KeySet {
        let mut here = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        here.take().unwrap_or_else(KeySet::empty)
    }

    fn seek(&self, _: &KeyQuery<'_>) -> Option<KeyFuture> {
        static KEYS: OnceLock<KeySet> = OnceLock::new();
        let keys = KEYS.get_or_init(|| key_set(&issuer(), Algorithm::ES256));
        let here = Arc::clone(&self.0);
        Some(Box::pin(async move {
            let (arrived, arrival) = oneshot::channel();
            thread::spawn(move || {
                *here.lock().unwrap_or_else(PoisonError::into_inner) = Some(keys.clone());
                let _ = arrived.send(());
            });
            arrival.await.map_err(|_| KeysUnavailable::default())
        }))
    }
}

/// Knows no keys and finds none.
#[derive(Debug)]
struct Down(Option<Duration>);

impl KeySource for Down {
    fn keys(&self) -> KeySet {
        KeySet::empty()
    }

    fn seek(&self, _: &KeyQuery<'_>) -> Option<KeyFuture> {
        let retry_after = self.0;
        Some(Box::pin(async move { Err(KeysUnavailable::new().with_retry_after(retry_after)) }))
    }
}

fn clock() -> FixedClock {
    FixedClock::at(NOW)
}

fn enforcing(builder: PolicyBuilder, revocations: &Revocations) -> PolicyBuilder {
    let kinds = [
        Revocable::Token,
        Revocable::Session,
        Revocable::Subject,
        Revocable::Version,
        Revocable::Client,
    ];
    let enforced = revocations.enforce(kinds).version_claims(["ver"]);
    builder.issuer(one_algorithm()).revocations(enforced)
}

/// Something of each kind.
fn revoked(revocations: Revocations) -> Revocations {
    let handle = revocations.clone();
    let revoking = pin!(async move {
        handle.revoke_token(ISSUER, "stolen", None).await?;
        handle.revoke_session(ISSUER, "ended").await?;
        handle.revoke_subject(ISSUER, "mallory", UnixTime(NOW - 60)).await?;
        handle.revoke_versions_below(ISSUER, "bob", 3).await?;
        handle.revoke_client(ISSUER, "broken-app", None).await
    });
    let done = revoking.poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(done, Poll::Ready(Ok(())), "nothing is waited for");
    revocations
}

/// A store that takes all, and that nobody follows.
#[derive(Debug)]
struct Acknowledges;

impl RevocationStore for Acknowledges {
    fn publish(&self, _: RevocationEntry) -> PublishFuture {
        Box::pin(ready(Ok(())))
    }
}

/// Tells from a token's id what becomes of it.
#[derive(Debug)]
struct ById;

impl RevocationSource for ById {
    fn status(&self, token: &VerifiedToken) -> RevocationStatus {
        let retry_after = Some(Duration::from_millis(7_200));
        match token.token_id() {
            Some("revoked") => RevocationStatus::Revoked,
            Some("unknown") => RevocationStatus::Unavailable(RevocationUnavailable::default()),
            Some("later") => later(Ok(false)),
            Some("later-revoked") => later(Ok(true)),
            Some("later-unknown") => {
                later(Err(RevocationUnavailable::new().with_retry_after(retry_after)))
            }
            _ => RevocationStatus::Active,
        }
    }
}

/// Another thread answers.
fn later(answer: Result<bool, RevocationUnavailable>) -> RevocationStatus {
    RevocationStatus::Later(Box::pin(async move {
        let (answered, answers) = oneshot::channel();
        thread::spawn(move || answered.send(answer));
        answers.await.unwrap_or(Err(RevocationUnavailable::default()))
    }))
}

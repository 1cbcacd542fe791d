//! Presets for identity providers, asked with tokens as the providers' documentation shows them.
#![cfg(feature = "remote-jwks")]
use std::sync::LazyLock;

use portcullis::error::{ClaimName, ClaimsError, RevocationError, TokenError, TypeName};
use portcullis::policy::PolicyFault;
use portcullis::provider::{self, Provider, ProviderError};
use portcullis::revocation::RevocationFault;
use portcullis::{
    Algorithm, ClaimRules, Error, Issuer, KeySet, Keys, Policy, RemoteJwks, Requirement, Revocable,
    Revocations, dangerous,
};
use portcullis_testkit::key_server::KeyServer;
use portcullis_testkit::{FixedClock, TestIssuer, TokenBuilder};
use serde_json::{Value, json};

use self::network::Network;

#[expect(dead_code, unreachable_pub, reason = "other crates include it too")]
mod network;

use Algorithm::{ES256, RS256};

const NOW: i64 = 1_800_000_000;

const TENANT: &str = "aaaabbbb-0000-cccc-1111-dddd2222eeee";

/// What a provider issues, and what a preset makes of it.
struct Sample {
    /// The preset's name.
    preset: &'static str,
    /// The provider's name for itself.
    iss: &'static str,
    /// Another customer of the same provider.
    foreign: &'static str,
    algorithm: Algorithm,
    /// The preset, with keys that need no network.
    trusted: fn(Keys) -> Issuer,
    /// `typ` of the header, and claims, without `iss` and times.
    access: (Option<&'static str>, Value),
    /// Other tokens of the provider, and why they are refused.
    others: Vec<(&'static str, Option<&'static str>, Value, ClaimsError)>,
}

fn rule(claim: ClaimName) -> ClaimsError {
    ClaimsError::Rule(claim)
}

fn samples() -> Vec<Sample> {
    let required = |name: &str| rule(ClaimName::Required(name.into()));
    let value = |name: &str| rule(ClaimName::Value(name.into()));
    let marked = |claim| ClaimsError::NotAnAccessToken { claim };
    vec![
        // https://phasetwo.io/tutorials/clients/audience/ and /tutorials/getting-started/your-first-token/
        Sample {
            preset: "keycloak",
            iss: "https://id.example/realms/orders",
            foreign: "https://id.example/realms/other",
            algorithm: RS256,
            trusted: |keys| {
                let provider =
                    provider::keycloak("https://id.example", "orders").expect("it is good");
                provider.keys(keys).audience("orders-api")
            },
            access: (
                Some("JWT"),
                json!({
                    "jti": "onrtac:d58f5dc8-fd8f-462b-8a19-716f8f83985b",
                    "aud": ["orders-api", "account"],
                    "sub": "36fa0f91-f94d-4a0c-afed-6b7d952e47da", "typ": "Bearer", "azp": "web",
                    "sid": "2a88c258-f73a-4103-b862-e1fbd8f4e04e", "acr": "1",
                    "allowed-origins": ["https://app.example"],
                    "realm_access": { "roles": ["offline_access", "accountant"] },
                    "resource_access": {
                        "orders-api": { "roles": ["clerk"] },
                        "account": { "roles": ["manage-account", "view-profile"] },
                    },
                    "scope": "email profile", "preferred_username": "alice",
                }),
            ),
            others: vec![
                (
                    "an ID token, by a client of the API's name",
                    Some("JWT"),
                    json!({ "jti": "1", "aud": "orders-api", "sub": "36fa", "typ": "ID", "azp": "orders-api", "sid": "2a88" }),
                    value("typ"),
                ),
                (
                    "an ID token of a code flow",
                    Some("JWT"),
                    json!({ "aud": "orders-api", "sub": "36fa", "typ": "ID", "azp": "orders-api", "at_hash": "guTsya3DbKuZ7PR56rbnjA" }),
                    marked("at_hash"),
                ),
                (
                    "a refresh token",
                    Some("JWT"),
                    json!({ "jti": "1", "aud": "https://id.example/realms/orders", "sub": "36fa", "typ": "Refresh", "azp": "web", "sid": "2a88", "scope": "email" }),
                    ClaimsError::Audience,
                ),
                (
                    "a refresh token with the audience",
                    Some("JWT"),
                    json!({ "jti": "1", "aud": ["orders-api"], "sub": "36fa", "typ": "Refresh", "azp": "web" }),
                    value("typ"),
                ),
                (
                    "one for Keycloak's own account API",
                    Some("JWT"),
                    json!({ "jti": "1", "aud": "account", "sub": "36fa", "typ": "Bearer", "azp": "web" }),
                    ClaimsError::Audience,
                ),
                (
                    "one bound to a key",
                    Some("JWT"),
                    json!({ "jti": "1", "aud": "orders-api", "sub": "36fa", "typ": "DPoP", "azp": "web", "cnf": { "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" } }),
                    ClaimsError::SenderConstrained,
                ),
            ],
        },
        // https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles
        Sample {
            preset: "auth0",
            iss: "https://my-domain.auth0.com/",
            foreign: "https://other-domain.auth0.com/",
            algorithm: RS256,
            trusted: |keys| {
                let provider = provider::auth0("my-domain.auth0.com").expect("it is good");
                provider.keys(keys).audience("https://example.com/health-api")
            },
            access: (
                Some("JWT"),
                json!({
                    "sub": "auth0|123456",
                    "aud": ["https://example.com/health-api", "https://my-domain.auth0.com/userinfo"],
                    "azp": "my_client_id",
                    "scope": "openid profile read:patients read:admin",
                    "permissions": ["read:patients"],
                    "my_custom_claim": "my_custom_value",
                }),
            ),
            others: vec![(
                "an ID token",
                Some("JWT"),
                json!({ "sub": "auth0|123456", "aud": "my_client_id", "nonce": "n", "sid": "s" }),
                ClaimsError::Audience,
            )],
        },
        // https://developer.okta.com/docs/reference/api/oidc/ (claims_supported, and the access token's payload)
        Sample {
            preset: "okta",
            iss: "https://acme.okta.com/oauth2/default",
            foreign: "https://acme.okta.com/oauth2/ausain6z9zIedDCxB0h7",
            algorithm: RS256,
            trusted: |keys| {
                let provider = provider::okta("acme.okta.com", "default").expect("it is good");
                provider.keys(keys).audience("api://default")
            },
            access: (
                None,
                json!({
                    "ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
                    "aud": "api://default", "sub": "alice@acme.example",
                    "cid": "0oabskvc6442nkvQO0h7", "uid": "00u5t60iloOHN9pBi0h7",
                    "scp": ["openid", "orders:read"],
                }),
            ),
            others: vec![
                (
                    "an ID token",
                    None,
                    json!({ "ver": 1, "jti": "ID.radCQMOQUmyvcTBmmIL0J6BaS60apUEiC7-vI7pOmkw", "aud": "0oabskvc6442nkvQO0h7", "sub": "00u5", "amr": ["pwd"], "at_hash": "fPlsvVszI29LU2UhDyJ9vg" }),
                    ClaimsError::Audience,
                ),
                (
                    "an ID token with the audience",
                    None,
                    json!({ "ver": 1, "jti": "ID.1", "aud": "api://default", "sub": "00u5" }),
                    required("cid"),
                ),
                (
                    "the type that the org authorization server puts into its access tokens",
                    Some("application/okta-internal-at+jwt"),
                    json!({ "ver": 1, "jti": "AT.1", "aud": "api://default", "sub": "a", "cid": "0oab" }),
                    wrong_type("okta-internal-at+jwt", "`JWT`, none or `at+jwt`"),
                ),
            ],
        },
        entra("entra", |keys| {
            let provider = provider::entra(TENANT).expect("it is good");
            provider.keys(keys).audience("f1bd1a37-b8d0-40ea-8dea-0bb6a25b53f2")
        }),
        cognito(
            "cognito",
            "https://cognito-idp.us-west-2.amazonaws.com/us-west-2_example",
            "https://cognito-idp.us-west-2.amazonaws.com/us-west-2_another",
            |keys| {
                let provider = provider::cognito("us-west-2_example").expect("it is good");
                provider.keys(keys).client_ids_instead_of_audience(["1example23456789"])
            },
        ),
        // https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_IssuerConfigurationType.html
        cognito(
            "cognito_updated",
            "https://issuer-cognito-idp.us-west-2.amazonaws.com/us-west-2_example",
            // The same pool, as it was called before.
            "https://cognito-idp.us-west-2.amazonaws.com/us-west-2_example",
            |keys| {
                let provider = provider::cognito_updated("us-west-2_example").expect("it is good");
                provider.keys(keys).client_ids_instead_of_audience(["1example23456789"])
            },
        ),
        // https://cloud.google.com/run/docs/authenticating/service-to-service
        Sample {
            preset: "google_service_accounts",
            iss: "https://accounts.google.com",
            foreign: "accounts.google.com",
            algorithm: RS256,
            trusted: |keys| {
                let accounts = ["caller@acme-prod.iam.gserviceaccount.com"];
                let provider = provider::google_service_accounts(accounts).expect("it is good");
                provider.keys(keys).audience("https://orders-abc.a.run.app")
            },
            access: (
                Some("JWT"),
                json!({
                    "aud": "https://orders-abc.a.run.app", "azp": "113774264463038321964",
                    "email": "caller@acme-prod.iam.gserviceaccount.com", "email_verified": true,
                    "sub": "113774264463038321964",
                }),
            ),
            others: vec![
                (
                    "anybody's service account",
                    Some("JWT"),
                    json!({ "aud": "https://orders-abc.a.run.app", "azp": "1", "email": "mallory@evil.iam.gserviceaccount.com", "email_verified": true, "sub": "1" }),
                    value("email"),
                ),
                (
                    "one that was made without the address",
                    Some("JWT"),
                    json!({ "aud": "https://orders-abc.a.run.app", "azp": "1", "sub": "1" }),
                    value("email"),
                ),
                (
                    "an address that Google did not verify",
                    Some("JWT"),
                    json!({ "aud": "https://orders-abc.a.run.app", "azp": "1", "email": "caller@acme-prod.iam.gserviceaccount.com", "email_verified": false, "sub": "1" }),
                    value("email_verified"),
                ),
                (
                    "a user's ID token",
                    Some("JWT"),
                    json!({ "aud": "1234.apps.googleusercontent.com", "azp": "1234.apps.googleusercontent.com", "email": "alice@acme.example", "email_verified": true, "sub": "1", "at_hash": "x" }),
                    ClaimsError::Audience,
                ),
            ],
        },
        // https://cloud.google.com/iap/docs/signed-headers-howto
        Sample {
            preset: "google_iap",
            iss: "https://cloud.google.com/iap",
            foreign: "https://accounts.google.com",
            algorithm: ES256,
            trusted: |keys| {
                provider::google_iap()
                    .keys(keys)
                    .audience("/projects/1234567890/global/backendServices/42")
            },
            access: (
                Some("JWT"),
                json!({
                    "aud": "/projects/1234567890/global/backendServices/42",
                    "sub": "accounts.google.com:1234567890", "email": "alice@acme.example",
                    "hd": "acme.example",
                }),
            ),
            others: vec![(
                "another backend behind the same proxy",
                Some("JWT"),
                json!({ "aud": "/projects/1234567890/global/backendServices/43", "sub": "accounts.google.com:1" }),
                ClaimsError::Audience,
            )],
        },
        // https://firebase.google.com/docs/auth/admin/verify-id-tokens
        Sample {
            preset: "firebase",
            iss: "https://securetoken.google.com/acme-prod",
            foreign: "https://securetoken.google.com/evil-prod",
            algorithm: RS256,
            trusted: |keys| {
                provider::firebase("acme-prod").expect("it is good").keys(keys).issuer()
            },
            access: (
                Some("JWT"),
                json!({
                    "aud": "acme-prod", "auth_time": NOW - 10, "user_id": "uid-1", "sub": "uid-1",
                    "email": "alice@acme.example", "email_verified": true,
                    "firebase": { "identities": {}, "sign_in_provider": "password" },
                }),
            ),
            others: vec![(
                "another project",
                Some("JWT"),
                json!({ "aud": "evil-prod", "auth_time": NOW, "user_id": "u", "sub": "u" }),
                ClaimsError::Audience,
            )],
        },
        // https://zitadel.com/docs/apis/openidoauth/claims, https://github.com/zitadel/zitadel/issues/9200
        Sample {
            preset: "zitadel",
            iss: "https://zitadel.my-company.com",
            foreign: "https://zitadel.your-company.com",
            algorithm: RS256,
            trusted: |keys| {
                let provider =
                    provider::zitadel("https://zitadel.my-company.com").expect("it is good");
                provider.keys(keys).audience("328859038097867422")
            },
            access: (
                Some("JWT"),
                json!({
                    "aud": ["328859038248927902", "328859038232151180", "328859038097867422"],
                    "client_id": "328859038248927902",
                    "jti": "V2_391184219667173286-at_391187731641798566",
                    "sub": "383942323576245195",
                    "urn:zitadel:iam:org:project:328859038097867422:roles": {
                        "clerk": { "178204173316174381": "acme.ch" },
                    },
                    "urn:zitadel:iam:org:project:roles": { "admin": { "178204173316174381": "acme.ch" } },
                }),
            ),
            others: vec![
                (
                    "an ID token, which has the project's id, too",
                    Some("JWT"),
                    json!({ "aud": ["328859038248927902", "328859038097867422"], "azp": "328859038248927902", "amr": ["pwd"], "auth_time": NOW, "nonce": "n", "sub": "3839" }),
                    required("jti"),
                ),
                (
                    "an ID token of a code flow",
                    Some("JWT"),
                    json!({ "aud": ["328859038248927902", "328859038097867422"], "azp": "328859038248927902", "at_hash": "x", "sub": "3839" }),
                    marked("at_hash"),
                ),
            ],
        },
        // https://www.ory.com/docs/oauth2-oidc/jwt-access-token, https://github.com/ory/hydra/issues/3524
        Sample {
            preset: "ory",
            iss: "https://slug.projects.oryapis.com",
            foreign: "https://other.projects.oryapis.com",
            algorithm: RS256,
            trusted: |keys| {
                let provider =
                    provider::ory("https://slug.projects.oryapis.com").expect("it is good");
                provider.keys(keys).audience("https://api.my-cloud.com/user")
            },
            access: (
                Some("JWT"),
                json!({
                    "aud": ["https://api.my-cloud.com/user"],
                    "client_id": "828c4958-4359-49d6-83be-02e235841c64",
                    "ext": { "some_custom_claim": "some_custom_value" },
                    "jti": "f13d49c3-b61d-4fbc-b0a7-048a5f138115",
                    "scp": ["offline", "orders:read"], "sub": "alice",
                }),
            ),
            others: vec![
                (
                    "an ID token",
                    Some("JWT"),
                    json!({ "aud": ["828c4958"], "acr": "0", "at_hash": "guTsya3DbKuZ7PR56rbnjA", "jti": "j", "rat": NOW, "sid": "s", "sub": "alice" }),
                    ClaimsError::Audience,
                ),
                (
                    "an ID token with the audience",
                    Some("JWT"),
                    json!({ "aud": ["https://api.my-cloud.com/user"], "jti": "j", "rat": NOW, "sid": "s", "sub": "alice" }),
                    required("client_id"),
                ),
            ],
        },
        // https://github.com/kanidm/kanidm: OAuth2RFC9068Token, and the builder's `at+jwt`
        Sample {
            preset: "kanidm",
            iss: "https://idm.example/oauth2/openid/orders",
            foreign: "https://idm.example/oauth2/openid/bills",
            algorithm: ES256,
            trusted: |keys| {
                provider::kanidm("https://idm.example", "orders")
                    .expect("it is good")
                    .keys(keys)
                    .issuer()
            },
            access: (
                Some("at+jwt"),
                json!({
                    "sub": "ddfe7dba-9f5e-4b6e-a9d5-3a3a1c6c6d07", "aud": "orders", "nbf": NOW,
                    "jti": "2a88c258-f73a-4103-b862-e1fbd8f4e04e", "client_id": "orders",
                    "scope": "openid orders:read",
                    "session_id": "2a88c258-f73a-4103-b862-e1fbd8f4e04e",
                    "parent_session_id": "f13d49c3-b61d-4fbc-b0a7-048a5f138115",
                }),
            ),
            others: vec![
                (
                    "an ID token, of the same audience",
                    Some("JWT"),
                    json!({ "sub": "ddfe", "aud": "orders", "nbf": NOW, "azp": "orders", "jti": "2a88", "client_id": "orders" }),
                    wrong_type("JWT", "`at+jwt`"),
                ),
                (
                    "one of a version without token ids",
                    Some("at+jwt"),
                    json!({ "sub": "ddfe", "aud": "orders", "nbf": NOW, "client_id": "orders", "scope": "openid", "session_id": "2a88" }),
                    ClaimsError::Missing { claim: "jti" },
                ),
            ],
        },
        // https://github.com/goauthentik/authentik: `IDToken.to_access_token` and `to_jwt`
        Sample {
            preset: "authentik",
            iss: "https://auth.example/application/o/orders/",
            foreign: "https://auth.example/application/o/bills/",
            algorithm: RS256,
            trusted: |keys| {
                let provider =
                    provider::authentik("https://auth.example", "orders").expect("it is good");
                provider.keys(keys).audience("0nUtQ4yEV6G5cl4dYOTzYhVJvR2xB6hM0P1ZdJ3S")
            },
            access: (
                Some("JWT"),
                json!({
                    "sub": "5b2f", "aud": "0nUtQ4yEV6G5cl4dYOTzYhVJvR2xB6hM0P1ZdJ3S",
                    "auth_time": NOW - 10, "acr": "goauthentik.io/providers/oauth2/default",
                    "amr": ["pwd"], "sid": "a665a45920422f9d417e4867efdc4fb8",
                    "preferred_username": "alice", "groups": ["accountants"],
                    "azp": "0nUtQ4yEV6G5cl4dYOTzYhVJvR2xB6hM0P1ZdJ3S",
                    "uid": "Zc7GkMqJx4Ck1yTA0Q9KQmXbEHCwdKqKUEf7dXNi",
                }),
            ),
            others: vec![
                (
                    "the ID token beside it",
                    Some("JWT"),
                    json!({ "sub": "5b2f", "aud": "0nUtQ4yEV6G5cl4dYOTzYhVJvR2xB6hM0P1ZdJ3S", "auth_time": NOW, "sid": "a665", "groups": ["accountants"] }),
                    required("azp"),
                ),
                (
                    "an ID token of a provider that adds `azp`",
                    Some("JWT"),
                    json!({ "sub": "5b2f", "aud": "0nUtQ4yEV6G5cl4dYOTzYhVJvR2xB6hM0P1ZdJ3S", "azp": "0nUtQ4yEV6G5cl4dYOTzYhVJvR2xB6hM0P1ZdJ3S" }),
                    required("uid"),
                ),
            ],
        },
        // https://supabase.com/docs/guides/auth/jwt-fields
        Sample {
            preset: "supabase",
            iss: "https://project-ref.supabase.co/auth/v1",
            foreign: "https://other-ref.supabase.co/auth/v1",
            algorithm: ES256,
            trusted: |keys| {
                let provider =
                    provider::supabase("https://project-ref.supabase.co").expect("it is good");
                provider.keys(keys).issuer()
            },
            access: (
                Some("JWT"),
                json!({
                    "aud": "authenticated", "sub": "123e4567-e89b-12d3-a456-426614174000",
                    "role": "authenticated", "aal": "aal1",
                    "session_id": "123e4567-e89b-12d3-a456-426614174001",
                    "email": "alice@acme.example", "phone": "", "is_anonymous": false,
                    "app_metadata": { "provider": "email" }, "user_metadata": {},
                }),
            ),
            others: vec![(
                "one for nobody who has signed in",
                Some("JWT"),
                json!({ "aud": "anon", "role": "anon", "sub": "1", "session_id": "s" }),
                ClaimsError::Audience,
            )],
        },
    ]
}

// https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
fn cognito(
    preset: &'static str,
    iss: &'static str,
    foreign: &'static str,
    trusted: fn(Keys) -> Issuer,
) -> Sample {
    Sample {
        preset,
        iss,
        foreign,
        algorithm: RS256,
        trusted,
        access: (
            None,
            json!({
                "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
                "cognito:groups": ["testgroup"], "version": 2, "client_id": "1example23456789",
                "origin_jti": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
                "token_use": "access",
                "scope": "phone openid profile resourceserver.1/appclient2 email",
                "jti": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "username": "my-test-user",
            }),
        ),
        others: vec![
            (
                "an ID token",
                None,
                json!({ "sub": "aaaa", "cognito:groups": ["testgroup"], "aud": "1example23456789", "token_use": "id", "jti": "j", "at_hash": "sMrQ" }),
                ClaimsError::Audience,
            ),
            (
                "an ID token that names its client as access tokens do",
                None,
                json!({ "sub": "aaaa", "client_id": "1example23456789", "token_use": "id", "jti": "j" }),
                rule(ClaimName::Value("token_use".into())),
            ),
            (
                "another client of the pool",
                None,
                json!({ "sub": "aaaa", "client_id": "2example", "token_use": "access", "jti": "j" }),
                ClaimsError::Audience,
            ),
            (
                "one that a client asked for on behalf of another API",
                None,
                json!({ "sub": "aaaa", "client_id": "1example23456789", "aud": "https://bills.example", "token_use": "access", "jti": "j" }),
                ClaimsError::Audience,
            ),
        ],
    }
}

// https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference and
// id-token-claims-reference
fn entra(preset: &'static str, trusted: fn(Keys) -> Issuer) -> Sample {
    const API: &str = "f1bd1a37-b8d0-40ea-8dea-0bb6a25b53f2";
    Sample {
        preset,
        iss: "https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0",
        foreign: "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
        algorithm: RS256,
        trusted,
        access: (
            Some("JWT"),
            json!({
                "aud": API, "nbf": NOW, "aio": "opaque", "azp": "00001111-aaaa-2222-bbbb-3333cccc4444",
                "azpacr": "0", "oid": "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb",
                "preferred_username": "alice@contoso.example", "rh": "opaque",
                "roles": ["Orders.Approve"], "groups": ["22223333-cccc-4444-dddd-5555eeee6666"],
                "scp": "access_as_user orders.read", "sid": "33334444-dddd-5555-eeee-6666ffff7777",
                "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ", "tid": TENANT,
                "uti": "AAABBBBccccddddeeeeFFFF", "ver": "2.0",
            }),
        ),
        others: vec![
            (
                "an ID token of an app that is client and API at once",
                Some("JWT"),
                json!({ "aud": API, "nbf": NOW, "aio": "o", "nonce": "678910", "oid": "aaaa", "roles": ["Orders.Approve"], "sub": "HKZ", "tid": TENANT, "uti": "U", "ver": "2.0" }),
                rule(ClaimName::Required("azp".into())),
            ),
            (
                "a token of version 1.0 under the issuer of 2.0",
                Some("JWT"),
                json!({ "aud": API, "appid": "0000", "azp": "0000", "sub": "HKZ", "tid": TENANT, "uti": "U", "ver": "1.0" }),
                rule(ClaimName::Value("ver".into())),
            ),
            (
                "one for the URI of the API, as version 1.0 has it",
                Some("JWT"),
                json!({ "aud": format!("api://{API}"), "azp": "0000", "sub": "HKZ", "tid": TENANT, "uti": "U", "ver": "2.0" }),
                ClaimsError::Audience,
            ),
        ],
    }
}

impl Sample {
    fn issuer(&self) -> TestIssuer {
        TestIssuer::new(self.iss).at(NOW)
    }

    fn keys(&self) -> KeySet {
        KeySet::from_jwks(self.issuer().jwks_of(&[self.algorithm])).expect("it is good")
    }

    fn policy(&self) -> Policy {
        let issuer = (self.trusted)(self.keys().into());
        Policy::builder().clock(FixedClock::at(NOW)).issuer(issuer).build().expect("it is good")
    }

    /// Signed by the provider, whatever it says.
    fn token(&self, typ: Option<&str>, claims: &Value, iss: &str) -> TokenBuilder {
        let mut claims = claims.clone();
        claims["iss"] = iss.into();
        claims["iat"] = NOW.into();
        claims["exp"] = (NOW + 300).into();
        let token = self.issuer().token(self.algorithm).raw_payload(claims.to_string());
        match typ {
            Some(typ) => token.typ(typ),
            None => token.without_header("typ"),
        }
    }

    fn access_token(&self) -> String {
        self.token(self.access.0, &self.access.1, self.iss).mint()
    }
}

static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(samples);

fn refused(sample: &Sample, token: &TokenBuilder) -> Option<Error> {
    sample.policy().verify_token_now(token.mint()).err()
}

#[test]
fn the_access_token_that_each_provider_documents_is_accepted() {
    let refused = SAMPLES.iter().filter_map(|sample| {
        let error = sample.policy().verify_token_now(sample.access_token()).err()?;
        Some((sample.preset, error))
    });
    assert_eq!(refused.collect::<Vec<_>>(), []);
}

#[test]
fn its_id_tokens_refresh_tokens_and_tokens_for_others_are_refused() {
    let mut wrong = Vec::new();
    for sample in &*SAMPLES {
        for (what, typ, claims, error) in &sample.others {
            let refused = refused(sample, &sample.token(*typ, claims, sample.iss));
            if refused != Some(error.clone().into()) {
                wrong.push((sample.preset, *what, refused));
            }
        }
    }
    assert_eq!(wrong, []);
}

#[test]
fn an_issuer_with_a_slash_too_many_or_too_few_is_refused() {
    for sample in &*SAMPLES {
        let other = match sample.iss.strip_suffix('/') {
            Some(without) => without.to_owned(),
            None => format!("{}/", sample.iss),
        };
        let refused = refused(sample, &sample.token(sample.access.0, &sample.access.1, &other));
        // A preset for any tenant names none, so that there is nothing to be near to.
        let expected = match refused {
            Some(Error::Claims(ClaimsError::Issuer)) => ClaimsError::Issuer,
            _ => ClaimsError::IssuerSlash { trusted: sample.iss.into() },
        };
        assert_eq!(refused, Some(expected.into()), "{}", sample.preset);
    }
}

#[test]
fn another_tenant_realm_or_project_of_the_provider_is_refused() {
    for sample in &*SAMPLES {
        let token = sample.token(sample.access.0, &sample.access.1, sample.foreign);
        let refused = refused(sample, &token);
        assert_eq!(refused, Some(ClaimsError::Issuer.into()), "{}", sample.preset);
    }
}

#[test]
fn a_token_without_the_audience_of_this_service_is_refused() {
    for sample in SAMPLES.iter().filter(|sample| !sample.preset.starts_with("cognito")) {
        let mut claims = sample.access.1.clone();
        claims["aud"] = json!(["somebody-else"]);
        let refused = refused(sample, &sample.token(sample.access.0, &claims, sample.iss));
        assert_eq!(refused, Some(ClaimsError::Audience.into()), "{}", sample.preset);
    }
}

#[test]
fn a_version_1_token_of_entra_names_another_issuer() {
    let sample = SAMPLES.iter().find(|sample| sample.preset == "entra").unwrap();
    let iss = format!("https://sts.windows.net/{TENANT}/");
    let token = sample.token(Some("JWT"), &sample.access.1, &iss);
    assert_eq!(refused(sample, &token), Some(ClaimsError::Issuer.into()));
}

#[test]
fn an_access_token_of_oktas_org_authorization_server_names_another_issuer() {
    let sample = SAMPLES.iter().find(|sample| sample.preset == "okta").unwrap();
    let token = sample.token(None, &sample.access.1, "https://acme.okta.com");
    assert_eq!(refused(sample, &token), Some(ClaimsError::Issuer.into()));
}

#[test]
fn an_entra_app_with_a_signing_key_of_its_own_has_its_keys_at_an_address_that_names_it() {
    let address = format!(
        "https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys?appid=f1bd1a37-b8d0-40ea-8dea-0bb6a25b53f2"
    );
    let issuer = provider::entra(TENANT).unwrap().keys(RemoteJwks::url(address)).audience("api");
    assert!(Policy::builder().issuer(issuer).build().is_ok());
}

#[test]
fn auth0s_other_token_profile_is_accepted_as_well() {
    let sample = SAMPLES.iter().find(|sample| sample.preset == "auth0").unwrap();
    let claims = json!({
        "sub": "auth0|123456",
        "aud": ["https://example.com/health-api", "https://my-domain.auth0.com/userinfo"],
        "client_id": "my_client_id", "jti": "73WakrfVbNJBaAmhQtEeDv",
        "scope": "openid profile read:patients read:admin",
    });
    assert_eq!(refused(sample, &sample.token(Some("at+jwt"), &claims, sample.iss)), None);
}

#[test]
fn a_cognito_token_that_was_asked_for_with_a_resource_is_known_by_its_audience() {
    let sample = SAMPLES.iter().find(|sample| sample.preset == "cognito").unwrap();
    let provider = provider::cognito("us-west-2_example").unwrap().keys(sample.keys());
    let issuer = provider.audience("https://orders.example");
    let policy = Policy::builder().clock(FixedClock::at(NOW)).issuer(issuer).build().unwrap();
    let mut claims = sample.access.1.clone();
    claims["aud"] = "https://orders.example".into();
    let token = sample.token(None, &claims, sample.iss).mint();
    assert!(policy.verify_token_now(token).is_ok());
    let refused = policy.verify_token_now(sample.access_token()).err();
    assert_eq!(refused, Some(ClaimsError::AudienceMissing.into()));
}

#[test]
fn a_refresh_token_that_is_encrypted_is_no_token_at_all() {
    let sample = SAMPLES.iter().find(|sample| sample.preset == "cognito").unwrap();
    let token = "eyJjdHkiOiJKV1QiLCJlbmMiOiJBMjU2R0NNIiwiYWxnIjoiUlNBLU9BRVAifQ.a.b.c.d";
    let refused = sample.policy().verify_token_now(token).err();
    assert!(matches!(refused, Some(Error::Token(TokenError::Parts { found: 5 }))), "{refused:?}");
}

#[test]
fn routes_find_roles_groups_permissions_and_scopes_where_the_module_says() {
    let keycloak = provider::keycloak_client_roles("orders-api");
    let zitadel = || provider::zitadel_roles("328859038097867422");
    for (preset, requirement) in [
        ("keycloak", Requirement::role(provider::KEYCLOAK_REALM_ROLES, "accountant")),
        ("keycloak", Requirement::role(keycloak, "clerk")),
        ("keycloak", Requirement::scope("profile")),
        ("keycloak", Requirement::anyone_but(Requirement::role(keycloak, "accountant"))),
        ("auth0", Requirement::role(provider::AUTH0_PERMISSIONS, "read:patients")),
        ("auth0", Requirement::scope("read:admin")),
        ("okta", Requirement::scope("orders:read")),
        ("entra", Requirement::role(provider::ENTRA_ROLES, "Orders.Approve")),
        (
            "entra",
            Requirement::role(provider::ENTRA_GROUPS, "22223333-cccc-4444-dddd-5555eeee6666"),
        ),
        ("entra", Requirement::scope("orders.read")),
        ("cognito", Requirement::role(provider::COGNITO_GROUPS, "testgroup")),
        ("cognito", Requirement::scope("resourceserver.1/appclient2")),
        ("zitadel", Requirement::role(zitadel(), "clerk")),
        // A role in another project, which the client is of.
        ("zitadel", Requirement::anyone_but(Requirement::role(zitadel(), "admin"))),
        ("ory", Requirement::scope("orders:read")),
        ("kanidm", Requirement::scope("orders:read")),
    ] {
        let sample = SAMPLES.iter().find(|sample| sample.preset == preset).expect("a sample");
        let token = sample.policy().verify_token_now(sample.access_token()).expect(preset);
        assert_eq!(requirement.check(&token), Ok(()), "{preset}");
    }
}

/// The claims that a provider's tokens are revoked by: of tokens, sessions and clients.
type Habits = [Vec<&'static str>; 3];

fn habits<Audience>(provider: &Provider<Audience>) -> Habits {
    [
        provider.token_id_claims().collect(),
        provider.session_claims().collect(),
        provider.client_claims().collect(),
    ]
}

fn all_habits() -> Vec<(&'static str, Habits)> {
    let id = "https://id.example";
    vec![
        ("keycloak", habits(&provider::keycloak(id, "orders").expect("it is good"))),
        ("auth0", habits(&provider::auth0("my-domain.auth0.com").expect("it is good"))),
        ("okta", habits(&provider::okta("acme.okta.com", "default").expect("it is good"))),
        ("entra", habits(&provider::entra(TENANT).expect("it is good"))),
        ("cognito", habits(&provider::cognito("us-west-2_example").expect("it is good"))),
        (
            "cognito_updated",
            habits(&provider::cognito_updated("us-west-2_example").expect("it is good")),
        ),
        (
            "google_service_accounts",
            habits(
                &provider::google_service_accounts(["a@b.gserviceaccount.com"])
                    .expect("it is good"),
            ),
        ),
        ("google_iap", habits(&provider::google_iap())),
        ("firebase", habits(&provider::firebase("acme-prod").expect("it is good"))),
        ("zitadel", habits(&provider::zitadel(id).expect("it is good"))),
        ("ory", habits(&provider::ory(id).expect("it is good"))),
        ("kanidm", habits(&provider::kanidm(id, "orders").expect("it is good"))),
        ("authentik", habits(&provider::authentik(id, "orders").expect("it is good"))),
        ("supabase", habits(&provider::supabase(id).expect("it is good"))),
    ]
}

#[tokio::test]
async fn whatever_a_preset_says_can_be_revoked_is_refused_once_it_is() {
    let all = all_habits();
    assert_eq!(all.len(), SAMPLES.len());
    for (preset, habits) in all {
        let sample = SAMPLES.iter().find(|sample| sample.preset == preset).expect(preset);
        let kinds = [Revocable::Token, Revocable::Session, Revocable::Client];
        for (kind, claims) in kinds.into_iter().zip(habits) {
            let revocations = Revocations::options().clock(FixedClock::at(NOW)).in_memory();
            let enforced = revocations
                .enforce([kind])
                .token_id_claims(claims.clone())
                .session_claims(claims.clone())
                .client_claims(claims.clone());
            let built = Policy::builder()
                .clock(FixedClock::at(NOW))
                .issuer((sample.trusted)(sample.keys().into()))
                .revocations(enforced)
                .build();
            if claims.is_empty() {
                let faults = built.expect_err(preset);
                let fault = RevocationFault::NoClaim { kind };
                assert!(
                    matches!(&faults.faults()[0], PolicyFault::Revocations { fault: own, .. } if *own == fault),
                    "{preset}: {faults}"
                );
                continue;
            }
            let policy = built.expect(preset);
            // Auth0's default profile has no token id.
            let is_missing = claims.iter().all(|claim| sample.access.1.get(claim).is_none());
            if is_missing {
                assert_eq!((preset, kind), ("auth0", Revocable::Token));
                continue;
            }
            let name = claims.iter().find_map(|claim| sample.access.1[claim].as_str()).unwrap();
            assert!(policy.verify_token_now(sample.access_token()).is_ok(), "{preset} {kind:?}");
            match kind {
                Revocable::Token => revocations.revoke_token(sample.iss, name, None).await,
                Revocable::Session => revocations.revoke_session(sample.iss, name).await,
                _ => revocations.revoke_client(sample.iss, name, None).await,
            }
            .unwrap();
            let refused = policy.verify_token_now(sample.access_token()).err();
            assert_eq!(refused, Some(RevocationError::Revoked.into()), "{preset} {kind:?}");
        }
    }
}

#[test]
fn rules_of_ones_own_come_on_top_of_a_presets() {
    let sample = &SAMPLES[0];
    let issuer = (sample.trusted)(sample.keys().into()).claims(ClaimRules::new().require("tenant"));
    let policy = Policy::builder().clock(FixedClock::at(NOW)).issuer(issuer).build().unwrap();
    let check = |claims: &Value| {
        policy.verify_token_now(sample.token(Some("JWT"), claims, sample.iss).mint()).err()
    };
    let mut claims = sample.access.1.clone();
    assert_eq!(check(&claims), Some(rule(ClaimName::Required("tenant".into())).into()));
    claims["tenant"] = "acme".into();
    assert_eq!(check(&claims), None);
    claims["typ"] = "ID".into();
    assert_eq!(check(&claims), Some(rule(ClaimName::Value("typ".into())).into()));
}

#[test]
fn what_is_no_part_of_an_issuer_is_a_fault_that_names_the_argument() {
    let url = ["", "id.example", "https://id.example/", "https://", "ftp://id.example"];
    let more = ["https://user:secret@id.example", "https://id.example?a", "https://id.example#a"];
    let spelled = ["https://ID.example", "https://id.example:443", "https://id.example/a/../b"];
    for text in url.into_iter().chain(more).chain(spelled).chain([" https://id.example"]) {
        fault(provider::keycloak(text, "orders"), "keycloak", "server");
        fault(provider::zitadel(text), "zitadel", "instance");
        fault(provider::kanidm(text, "orders"), "kanidm", "server");
        fault(provider::authentik(text, "orders"), "authentik", "server");
        fault(provider::supabase(text), "supabase", "project");
        if text != "https://id.example/" {
            fault(provider::ory(text), "ory", "issuer");
        }
    }
    for text in ["", ".", "..", "a/b", "a/", "a b", "a%2fb", "ä", "a?b", "a#b", "{tenant}"] {
        fault(provider::keycloak("https://id.example", text), "keycloak", "realm");
        fault(provider::okta("acme.okta.com", text), "okta", "server");
        fault(provider::kanidm("https://id.example", text), "kanidm", "client");
        fault(provider::authentik("https://id.example", text), "authentik", "application");
        fault(provider::firebase(text), "firebase", "project");
    }
    for text in [
        "",
        "acme",
        "https://acme.okta.com",
        "acme.okta.com/",
        "acme.okta.com/oauth2/default",
        "acme.okta.com:443",
        "acme.okta.com:8443",
        "ACME.okta.com",
        "user@acme.okta.com",
        "acme.okta.com?a",
        "acme .okta.com",
        "127.0.0.1",
    ] {
        fault(provider::auth0(text), "auth0", "domain");
        fault(provider::okta(text, "default"), "okta", "domain");
    }
    for text in [
        "",
        "common",
        "organizations",
        "consumers",
        "contoso.onmicrosoft.com",
        "{tenant}",
        "AAAABBBB-0000-CCCC-1111-DDDD2222EEEE",
        "aaaabbbb0000cccc1111dddd2222eeee",
        "aaaabbbb-0000-cccc-1111-dddd2222eee/",
        "aaaabbbb-0000-cccc-1111-dddd2222eeee0",
    ] {
        fault(provider::entra(text), "entra", "tenant");
    }
    for text in [
        "",
        "us-west-2",
        "example",
        "us-west-2_",
        "_example",
        "us-west-2_exa/mple",
        "evil.example/us-west-2_a",
        "US-WEST-2_a",
        "us-west-2_a_b",
    ] {
        fault(provider::cognito(text), "cognito", "pool");
        fault(provider::cognito_updated(text), "cognito_updated", "pool");
    }
    fault(provider::google_service_accounts::<&str>([]), "google_service_accounts", "accounts");
    for text in ["", "alice@gmail.com", "a@evilgserviceaccount.com", "@b.gserviceaccount.com"] {
        let accounts = ["a@b.gserviceaccount.com", text];
        fault(provider::google_service_accounts(accounts), "google_service_accounts", "accounts");
    }
}

#[track_caller]
fn fault<Audience>(
    made: Result<Provider<Audience>, ProviderError>,
    provider: &str,
    argument: &str,
) {
    let error = made.map(|_| ()).expect_err(argument);
    assert_eq!((error.provider, error.argument), (provider, argument));
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn a_fault_names_the_way_out_and_not_the_text() {
    let told = provider::entra("common").unwrap_err().to_string();
    assert!(
        told.starts_with("entra: `tenant` must be the directory (tenant) id, a GUID"),
        "{told}"
    );
    let told = provider::keycloak("https://id.example", "my realm").unwrap_err().to_string();
    assert!(told.ends_with("an issuer with any other is named by `Issuer::new`"), "{told}");
}

#[test]
fn an_issuer_of_ory_is_taken_as_it_stands_with_or_without_the_slash() {
    for (own, other) in [
        ("https://id.example", "https://id.example/"),
        ("https://id.example/", "https://id.example"),
    ] {
        let sample = Sample {
            iss: own,
            ..samples().into_iter().find(|sample| sample.preset == "ory").unwrap()
        };
        let provider = provider::ory(own).unwrap().keys(sample.keys());
        let issuer = provider.audience("https://api.my-cloud.com/user");
        let policy = Policy::builder().clock(FixedClock::at(NOW)).issuer(issuer).build().unwrap();
        assert!(policy.verify_token_now(sample.access_token()).is_ok(), "{own}");
        let token = sample.token(Some("JWT"), &sample.access.1, other).mint();
        let refused = policy.verify_token_now(token).err();
        let expected = ClaimsError::IssuerSlash { trusted: own.into() };
        assert_eq!(refused, Some(expected.into()), "{own}");
    }
}

#[test]
fn plain_http_needs_a_word_from_among_what_is_dangerous() {
    let keycloak = || provider::keycloak("http://keycloak:8080", "orders").unwrap();
    let built = |provider: Provider| {
        Policy::builder().issuer(provider.audience("orders-api")).build().map(|_| ())
    };
    let refused = built(keycloak()).unwrap_err();
    assert!(matches!(refused.faults(), [PolicyFault::RemoteKeys { .. }]), "{refused}");
    let keys = RemoteJwks::discovery().allow_http(dangerous::allow_http("keycloak"));
    assert_eq!(built(keycloak().keys(keys)), Ok(()));
}

#[tokio::test]
async fn a_realm_of_keycloak_is_discovered_below_its_path() {
    let server = KeyServer::start();
    let name = server.url("/auth/realms/orders");
    let issuer = TestIssuer::new(&name).at(NOW);
    let certs = server.url("/auth/realms/orders/protocol/openid-connect/certs");
    server.serve_openid_metadata(&name, &certs);
    server.serve_keys("/auth/realms/orders/protocol/openid-connect/certs", &issuer, &[RS256]);
    let provider = provider::keycloak(&server.url("/auth"), "orders").unwrap();
    let policy = Policy::builder()
        .clock(FixedClock::at(NOW))
        .issuer(provider.audience("orders-api"))
        .build()
        .unwrap();
    let token = issuer.token(RS256).typ("JWT").claim("typ", "Bearer").audience("orders-api");
    assert!(policy.verify_token(token.mint()).await.is_ok());
    assert_eq!(server.all_hits(), 2);
}

#[tokio::test]
async fn keys_of_supabase_are_at_an_address_of_their_own() {
    let server = KeyServer::start();
    let issuer = TestIssuer::new(server.url("/auth/v1")).at(NOW);
    server.serve_keys("/auth/v1/.well-known/jwks.json", &issuer, &[ES256]);
    let provider = provider::supabase(server.origin()).unwrap();
    let policy =
        Policy::builder().clock(FixedClock::at(NOW)).issuer(provider.issuer()).build().unwrap();
    let token = issuer.token(ES256).typ("JWT").audience("authenticated");
    assert!(policy.verify_token(token.mint()).await.is_ok());
}

#[tokio::test]
async fn each_tenant_of_entra_has_keys_of_its_own() {
    let network = Network::new();
    let tenant =
        |id: &str| TestIssuer::new(format!("https://login.microsoftonline.com/{id}/v2.0")).at(NOW);
    let (ours, theirs) = (tenant(TENANT), tenant("bbbbcccc-1111-dddd-2222-eeee3333ffff"));
    network.publish(&ours);
    network.publish(&theirs);
    let keys = RemoteJwks::discovery().client(network.clone());
    let issuer = provider::entra_any_tenant().keys(keys).algorithms([ES256]).audience("api");
    // Else the second tenant would have to wait for a second.
    let issuer = issuer.tenant_interval(core::time::Duration::from_millis(1));
    let policy = Policy::builder().clock(FixedClock::at(NOW)).issuer(issuer).build().unwrap();
    let token = |signer: &TestIssuer| {
        signer.token(ES256).typ("JWT").audience("api").claim("ver", "2.0").claim("azp", "web")
    };
    let verified = policy.verify_token(token(&ours).mint()).await.unwrap();
    assert_eq!(verified.issuer(), ours.name());
    let forged = token(&theirs).claim("iss", ours.name()).mint();
    assert!(matches!(policy.verify_token(forged).await, Err(Error::Signature(_))));
    for iss in [
        format!("https://sts.windows.net/{TENANT}/"),
        format!("https://login.microsoftonline.com/{TENANT}/v2.0/"),
        format!("https://login.microsoftonline.com/{TENANT}"),
        "https://login.microsoftonline.com/a.b/v2.0".to_owned(),
    ] {
        let refused = policy.verify_token(token(&ours).claim("iss", iss).mint()).await.err();
        assert_eq!(refused, Some(ClaimsError::Issuer.into()));
    }
    let id_token = token(&ours).without("azp").mint();
    let refused = policy.verify_token(id_token).await.err();
    assert_eq!(refused, Some(rule(ClaimName::Required("azp".into())).into()));
}

/// The policy files of the recipes, which say the same by hand.
#[cfg(feature = "config")]
#[test]
fn the_policy_file_of_each_recipe_decides_as_the_preset_does() {
    let recipes = include_str!("../docs/guide/providers.md");
    let blocks = recipes.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let blocks: Vec<_> = blocks.collect();
    for block in &blocks {
        Policy::from_toml_str(block, "").unwrap();
    }
    for sample in &*SAMPLES {
        let id = format!("id = \"{}\"", sample.iss);
        let block = blocks.iter().find(|block| block.contains(&id)).expect(sample.preset);
        let folder = tempfile::tempdir().unwrap();
        let jwks = sample.issuer().jwks_of(&[sample.algorithm]);
        std::fs::write(folder.path().join("jwks.json"), jwks).unwrap();
        let local = |line: &str| match line.starts_with("keys = ") {
            true => "keys = { jwks_file = \"jwks.json\" }\n".to_owned(),
            false => format!("{line}\n"),
        };
        let block: String = block.lines().map(local).collect();
        let policy = portcullis::PolicyBuilder::from_toml_str(&block, folder.path()).unwrap();
        let policy = policy.clock(FixedClock::at(NOW)).build().unwrap();
        assert!(policy.verify_token_now(sample.access_token()).is_ok(), "{}", sample.preset);
        for (what, typ, claims, error) in &sample.others {
            let token = sample.token(*typ, claims, sample.iss).mint();
            let refused = policy.verify_token_now(token).err();
            assert_eq!(refused, Some(error.clone().into()), "{}: {what}", sample.preset);
        }
    }
}

/// The functions that make a provider, as the source has them.
fn presets() -> Vec<&'static str> {
    let source = include_str!("../src/provider/presets.rs");
    let functions = source.split("\npub fn ").skip(1);
    let makes_one = |function: &&str| function.split('{').next().unwrap_or("").contains("Provider");
    let name = |function: &'static str| function.split(['(', '<']).next().unwrap_or("");
    functions.filter(makes_one).map(name).collect()
}

#[test]
fn every_preset_has_a_sample_a_row_of_the_table_and_a_recipe() {
    let table = include_str!("../src/provider/table.md");
    let recipes = include_str!("../docs/guide/providers.md");
    let presets = presets();
    assert_eq!(presets.len(), 15, "{presets:?}");
    for preset in presets {
        assert!(table.contains(&format!("`{preset}`")), "{preset}");
        assert!(recipes.contains(&format!("provider::{preset}(")), "{preset}");
        let is_tested = SAMPLES.iter().any(|sample| sample.preset == preset);
        assert!(is_tested || preset == "entra_any_tenant", "{preset}");
    }
}

#[test]
fn the_table_says_what_the_presets_set() {
    let table = include_str!("../src/provider/table.md");
    for (preset, [token_ids, sessions, clients]) in all_habits() {
        let row = table.lines().find(|line| line.starts_with(&format!("| `{preset}`"))).unwrap();
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let sample = SAMPLES.iter().find(|sample| sample.preset == preset).unwrap();
        assert!(cells[3].contains(sample.algorithm.name()), "{row}");
        for (cell, claims) in [(6, token_ids), (7, sessions), (8, clients)] {
            let named: Vec<_> = cells[cell].split('`').skip(1).step_by(2).collect();
            assert_eq!(named, claims, "{row}");
        }
    }
}

fn wrong_type(found: &str, accepted: &'static str) -> ClaimsError {
    ClaimsError::Type { found: TypeName::new(found), accepted }
}

//! One function for each provider. Sources are named as of 2026-11.
use super::input::{Arguments, ProviderError};
use super::{ByAudience, ByClient, Habits, Known, Provider};
use crate::authorize::ClaimPath;
use crate::claims::{ClaimRules, TokenType};
use crate::keys::remote::RemoteJwks;
use crate::policy::Issuer;
use crate::signature::Algorithm::{ES256, RS256};

/// Keycloak's roles of the realm, for [`Requirement::role`](crate::Requirement::role): `realm_access.roles`.
pub const KEYCLOAK_REALM_ROLES: &[&str] = &["realm_access", "roles"];

/// The permissions of Auth0's RBAC, where the API has *Add Permissions in the Access Token* on.
pub const AUTH0_PERMISSIONS: &str = "permissions";

/// The app roles of Entra ID: of users and of applications.
pub const ENTRA_ROLES: &str = "roles";

/// The groups of Entra ID, by object id. Of a user in more than 200, the claim is left out.
pub const ENTRA_GROUPS: &str = "groups";

/// The groups of a Cognito user pool.
pub const COGNITO_GROUPS: &str = "cognito:groups";

/// Keycloak's roles of one client: `resource_access.{client}.roles`.
#[must_use]
pub fn keycloak_client_roles(client: &str) -> [&str; 3] {
    ["resource_access", client, "roles"]
}

/// Zitadel's roles in one project: the names of the members of `urn:zitadel:iam:org:project:{project}:roles`.
///
/// Not `urn:zitadel:iam:org:project:roles`, which has the roles in the *client's* project: whoever is an admin of
/// another project, whose client asks for this audience, would be one here.
pub fn zitadel_roles(project: &str) -> ClaimPath {
    ClaimPath::member_names(format!("urn:zitadel:iam:org:project:{project}:roles"))
}

/// A realm of Keycloak: `keycloak("https://id.example", "orders")`.
///
/// Sets:
///
/// - issuer `{server}/realms/{realm}`, keys by discovery, `RS256`;
/// - claim `typ` is `Bearer`: an ID token says `ID`, a refresh token `Refresh`.
///
/// Audience: Keycloak adds none for an API by itself, and `account` to nearly every token, which is no API of yours:
/// add an *Audience* mapper to a client scope, and name what it adds.
///
/// - `server` is what `iss` says: with `/auth` at its end where `http-relative-path` has it, as before version 17.
/// - Roles: [`KEYCLOAK_REALM_ROLES`], [`keycloak_client_roles`]. Scopes: `scope`.
/// - Token id `jti`, session `sid` (mostly not in tokens of service accounts), client `azp`.
/// - Tokens bound to a key of their sender are refused, by their `cnf`.
///
/// Sources: <https://phasetwo.io/tutorials/clients/audience/>, run against Keycloak 26.8;
/// <https://www.keycloak.org/docs/latest/server_admin/#audience-support>.
///
/// # Errors
///
/// `server` is no URL of a server, or `realm` no single level of a path.
pub fn keycloak(server: &str, realm: &str) -> Result<Provider, ProviderError> {
    let arguments = Arguments("keycloak");
    arguments.base("server", server)?;
    arguments.segment("realm", realm)?;
    let issuer = Issuer::new(format!("{server}/realms/{realm}"));
    Ok(Provider::new(issuer, &[RS256], ByAudience(()))
        .habits(Habits { token_ids: &["jti"], sessions: &["sid"], clients: &["azp"] })
        .rules(ClaimRules::new().exact("typ", "Bearer")))
}

/// A tenant of Auth0, or its custom domain: `auth0("acme.eu.auth0.com")`.
///
/// Sets:
///
/// - issuer `https://{domain}/`, with the slash; keys by discovery, `RS256`.
///
/// Audience: the API's *identifier*. A token that was asked for without `audience` is opaque, and no JWT.
///
/// - Only the audience tells an ID token, whose `aud` is the client's id: never list that.
/// - With a custom domain, `iss` is the domain that the client asked.
/// - Permissions: [`AUTH0_PERMISSIONS`]. Scopes: `scope`, which without RBAC has whatever the client asked for. Roles
///   only in a claim of your own, named like a URL, that an Action adds.
/// - Token id `jti` with the token profile RFC 9068 alone, and no session. Client `azp`, or `client_id` with that profile.
/// - Tokens live 24 h by default: shorten that at the API.
///
/// Sources: <https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles>,
/// <https://auth0.com/docs/secure/tokens/access-tokens/update-access-token-lifetime>.
///
/// # Errors
///
/// `domain` is no domain.
pub fn auth0(domain: &str) -> Result<Provider, ProviderError> {
    Arguments("auth0").domain("domain", domain)?;
    let issuer = Issuer::new(format!("https://{domain}/"));
    Ok(Provider::new(issuer, &[RS256], ByAudience(())).habits(Habits {
        token_ids: &["jti"],
        clients: &["azp", "client_id"],
        ..Habits::default()
    }))
}

/// A custom authorization server of Okta: `okta("acme.okta.com", "default")`.
///
/// Sets:
///
/// - issuer `https://{domain}/oauth2/{server}`, keys by discovery, `RS256`;
/// - claim `cid` is required: ID tokens have none.
///
/// Audience: what the authorization server has as its audience: of `default`, `api://default`.
///
/// - Access tokens of the *org* authorization server (`iss` without `/oauth2/…`) cannot be validated, says Okta: they
///   are for Okta alone, and their form changes. There is no preset for it.
/// - Scopes: `scp`, a list. Groups: only in a claim that the server was given, of a name of your choice.
/// - Token id `jti`, client `cid`, no session.
///
/// Sources: <https://developer.okta.com/docs/reference/api/oidc/>,
/// <https://support.okta.com/help/s/article/Signature-Validation-Failed-on-Access-Token>.
///
/// # Errors
///
/// `domain` is no domain, or `server` no single level of a path.
pub fn okta(domain: &str, server: &str) -> Result<Provider, ProviderError> {
    let arguments = Arguments("okta");
    arguments.domain("domain", domain)?;
    arguments.segment("server", server)?;
    let issuer = Issuer::new(format!("https://{domain}/oauth2/{server}"));
    Ok(Provider::new(issuer, &[RS256], ByAudience(()))
        .habits(Habits { token_ids: &["jti"], clients: &["cid"], ..Habits::default() })
        .rules(ClaimRules::new().require("cid")))
}

/// One tenant of Microsoft Entra ID, by its id: `entra("72f988bf-86f1-41af-91ab-2d7cd011db47")`.
///
/// Sets:
///
/// - issuer `https://login.microsoftonline.com/{tenant}/v2.0`, keys by discovery, `RS256`;
/// - claim `ver` is `2.0`;
/// - claim `azp` is required: ID tokens have none, and an app that is client and API at once has one `aud` for both.
///
/// Audience: the API's application (client) id, a GUID, never its `api://` URI.
///
/// - **An API gets tokens of version 1.0 unless its manifest says `"requestedAccessTokenVersion": 2`.** They name the
///   issuer `https://sts.windows.net/{tenant}/`, and are refused.
/// - Any application of the tenant can get a token for the API, without a role and without `scp`, unless *Assignment
///   required* is on: every route has to ask for a scope or a role.
/// - Scopes: `scp`, a string, of users alone. Roles: [`ENTRA_ROLES`], groups: [`ENTRA_GROUPS`].
/// - Token id `uti`, client `azp`; session `sid` as an optional claim of the app. `sub` differs from app to app, `oid` does not.
/// - An API with a claims-mapping policy has a signing key of its own, which discovery does not show: name the address by
///   [`keys`](Provider::keys), `RemoteJwks::url("https://login.microsoftonline.com/{tenant}/discovery/v2.0/keys?appid={client id}")`
///   with both written out. No preset can, as it is told no client id.
/// - National clouds have other issuers: name them by `Issuer::new`.
///
/// Sources: <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>,
/// <https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference>.
///
/// # Errors
///
/// `tenant` is no id of a tenant: `common`, `organizations`, `consumers` and domains are none.
pub fn entra(tenant: &str) -> Result<Provider, ProviderError> {
    Arguments("entra").tenant_id("tenant", tenant)?;
    Ok(entra_with(Issuer::new(format!("https://login.microsoftonline.com/{tenant}/v2.0"))))
}

/// Every tenant of Microsoft Entra ID, each as with [`entra`], by [template](Issuer::template).
///
/// **Everybody can have a tenant**, and invite your app to it: a token then says who somebody is, by `tid` and
/// `oid`, and nothing about what they may. Where you know the tenants, call [`entra`] for each.
pub fn entra_any_tenant() -> Provider {
    entra_with(Issuer::template("https://login.microsoftonline.com/{tenant}/v2.0"))
}

fn entra_with(issuer: Issuer<crate::policy::WantsAlgorithms>) -> Provider {
    Provider::new(issuer, &[RS256], ByAudience(()))
        .habits(Habits { token_ids: &["uti"], sessions: &["sid"], clients: &["azp"] })
        .rules(ClaimRules::new().exact("ver", "2.0").require("azp"))
}

/// A user pool of Amazon Cognito with its original issuer: `cognito("eu-central-1_AbCdEf123")`.
///
/// A pool of the issuer type `UPDATED`, which AWS recommends, and which a pool in several regions has, is
/// [`cognito_updated`]. A pool that changes from one to the other has tokens of both for as long as they live: call both.
///
/// Sets:
///
/// - issuer `https://cognito-idp.{region}.amazonaws.com/{pool}`, the region being that of the id; keys by discovery, `RS256`;
/// - claim `token_use` is `access`: an ID token says `id`.
///
/// Audience: access tokens have none, so that the clients are named that talk to this service, by
/// `client_ids_instead_of_audience`. Where clients ask for a resource (RFC 8707), tokens have its `aud`: then
/// `audience`.
///
/// - A client says who asked, not for which API: tell several APIs apart by their scopes.
/// - Scopes: `scope`. Groups: [`COGNITO_GROUPS`].
/// - Token id `jti`, session `origin_jti`, both where the client has token revocation on; client `client_id`.
/// - Refresh tokens are encrypted, and no JWS.
///
/// Source: <https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html>.
///
/// # Errors
///
/// `pool` is no id of a user pool.
pub fn cognito(pool: &str) -> Result<Provider<ByClient>, ProviderError> {
    let region = Arguments("cognito").pool("pool", pool)?;
    Ok(cognito_with(format!("https://cognito-idp.{region}.amazonaws.com/{pool}")))
}

/// A user pool of Amazon Cognito of the issuer type `UPDATED`: `cognito_updated("eu-central-1_AbCdEf123")`.
///
/// As [`cognito`], but for the issuer: `https://issuer-cognito-idp.{region}.amazonaws.com/{pool}`, the region being that
/// of the id, the pool's primary one.
///
/// Source: <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_IssuerConfigurationType.html>.
///
/// # Errors
///
/// `pool` is no id of a user pool.
pub fn cognito_updated(pool: &str) -> Result<Provider<ByClient>, ProviderError> {
    let region = Arguments("cognito_updated").pool("pool", pool)?;
    Ok(cognito_with(format!("https://issuer-cognito-idp.{region}.amazonaws.com/{pool}")))
}

fn cognito_with(issuer: String) -> Provider<ByClient> {
    Provider::new(Issuer::new(issuer), &[RS256], ByClient(()))
        .habits(Habits { token_ids: &["jti"], sessions: &["origin_jti"], clients: &["client_id"] })
        .rules(ClaimRules::new().exact("token_use", "access"))
}

/// Service accounts of Google Cloud that call this service with an ID token:
/// `google_service_accounts(["caller@project.iam.gserviceaccount.com"])`.
///
/// **Google issues no access tokens that are JWTs.** Its ID tokens are made for this between services, as on Cloud Run;
/// for users there is [`google_iap`], [`firebase`], or an authorization server of your own.
///
/// Sets:
///
/// - issuer `https://accounts.google.com`, keys by discovery, `RS256`;
/// - claim `email` is one of these accounts, and `email_verified` is `true`: anybody's service account gets a token for
///   any audience, so that an audience alone keeps nobody out.
///
/// Audience: what the caller asks for, mostly this service's URL.
///
/// - Tokens made by `generateIdToken` have `email` only with `includeEmail`.
/// - No scopes, roles, token id or session. Client `azp`. They live 1 h.
/// - A user's ID token has another `aud`, another `email`, and mostly `at_hash`.
///
/// Source: <https://cloud.google.com/run/docs/authenticating/service-to-service>.
///
/// # Errors
///
/// An account is none, or there is none.
pub fn google_service_accounts<A: Into<String>>(
    accounts: impl IntoIterator<Item = A>,
) -> Result<Provider, ProviderError> {
    let accounts: Vec<String> = accounts.into_iter().map(Into::into).collect();
    Arguments("google_service_accounts").service_accounts("accounts", &accounts)?;
    let rules = ClaimRules::new().exact("email_verified", true).one_of("email", accounts);
    Ok(Provider::new(Issuer::new("https://accounts.google.com"), &[RS256], ByAudience(()))
        .habits(Habits { clients: &["azp"], ..Habits::default() })
        .rules(rules))
}

/// Google's Identity-Aware Proxy, which signs each request that it lets through.
///
/// Sets:
///
/// - issuer `https://cloud.google.com/iap`, keys at `https://www.gstatic.com/iap/verify/public_key-jwk`, `ES256`.
///
/// Audience: `/projects/{number}/global/backendServices/{id}`; of App Engine `/projects/{number}/apps/{project}`; of Cloud Run
/// without a load balancer `/projects/{number}/locations/{region}/services/{service}`.
///
/// - The token is in a header of its own: `TokenSource::header("x-goog-iap-jwt-assertion")`.
/// - The user is `sub` and `email`. No scopes, roles, token id, session or client. It lives 10 min.
///
/// Source: <https://cloud.google.com/iap/docs/signed-headers-howto>.
pub fn google_iap() -> Provider {
    Provider::new(Issuer::new("https://cloud.google.com/iap"), &[ES256], ByAudience(()))
        .published_at(RemoteJwks::url("https://www.gstatic.com/iap/verify/public_key-jwk"))
}

/// A project of Firebase Authentication: `firebase("acme-prod")`. Identity Platform is the same.
///
/// Sets:
///
/// - issuer `https://securetoken.google.com/{project}`, keys by discovery, `RS256`;
/// - audience `{project}`: Firebase has ID tokens alone, and they are what its APIs take.
///
/// - Every app of the project, and whoever may sign up, gets them: anonymous users say so in `firebase.sign_in_provider`.
/// - Session cookies have another issuer, and are refused. Roles: custom claims, by your names.
/// - No token id, session or client. They live 1 h.
///
/// Source: <https://firebase.google.com/docs/auth/admin/verify-id-tokens>.
///
/// # Errors
///
/// `project` is no single level of a path.
pub fn firebase(project: &str) -> Result<Provider<Known>, ProviderError> {
    Arguments("firebase").segment("project", project)?;
    let issuer = Issuer::new(format!("https://securetoken.google.com/{project}"));
    Ok(Provider::new(issuer, &[RS256], Known(project.to_owned())))
}

/// An instance of Zitadel: `zitadel("https://acme-abc123.zitadel.cloud")`.
///
/// Sets:
///
/// - issuer `{instance}`, without a slash; keys by discovery, `RS256`;
/// - claim `jti` is required: ID tokens have none, and **the same audience** as access tokens.
///
/// Audience: the project's id, or the id of this API's application in it. Every application of a project is in the `aud` of
/// all its tokens. A client of another project asks with the scope `urn:zitadel:iam:org:project:id:{id}:aud`.
///
/// - Access tokens are opaque unless the application's *Auth Token Type* is JWT.
/// - Roles: [`zitadel_roles`], asserted if the project says so or the client asks. Scopes are in no claim; once
///   <https://github.com/zitadel/zitadel/pull/12180> is released, they are in `scope`, which is read already.
/// - Token id `jti`, client `client_id` or `azp`, no session. They live 12 h by default: shorten that.
///
/// Sources: <https://zitadel.com/docs/apis/openidoauth/claims>, <https://github.com/zitadel/zitadel/issues/9200>.
///
/// # Errors
///
/// `instance` is no URL of a server.
pub fn zitadel(instance: &str) -> Result<Provider, ProviderError> {
    Arguments("zitadel").base("instance", instance)?;
    Ok(Provider::new(Issuer::new(instance), &[RS256], ByAudience(()))
        .habits(Habits { token_ids: &["jti"], clients: &["client_id", "azp"], ..Habits::default() })
        .rules(ClaimRules::new().require("jti")))
}

/// Ory Network, or Ory Hydra at your own place: `ory("https://slug.projects.oryapis.com")`.
///
/// Sets:
///
/// - issuer `issuer`, exactly: Hydra before version 2 added a slash, later ones take what `urls.self.issuer` says;
///   keys by discovery, `RS256`;
/// - claim `client_id` is required: ID tokens have none.
///
/// Audience: what the client is allowed to ask for (`audience` of the client), and asked for. There is none otherwise.
///
/// - Access tokens are opaque unless the strategy of the project, or of the client, is `jwt`. Refresh tokens always are.
/// - Scopes: `scp`, a list. Roles: claims of your consent app, below `ext`, or at the top if `allowed_top_level_claims`
///   has their names.
/// - Token id `jti`, client `client_id`, no session. They live 1 h by default.
///
/// Sources: <https://www.ory.com/docs/oauth2-oidc/jwt-access-token>, <https://github.com/ory/hydra/issues/3524>,
/// <https://github.com/ory/hydra/pull/3151>.
///
/// # Errors
///
/// `issuer` is no URL.
pub fn ory(issuer: &str) -> Result<Provider, ProviderError> {
    Arguments("ory").issuer("issuer", issuer)?;
    Ok(Provider::new(Issuer::new(issuer), &[RS256], ByAudience(()))
        .habits(Habits { token_ids: &["jti"], clients: &["client_id"], ..Habits::default() })
        .rules(ClaimRules::new().require("client_id")))
}

/// A client of Kanidm: `kanidm("https://idm.example", "orders")`. Each has an issuer and keys of its own.
///
/// Sets:
///
/// - issuer `{server}/oauth2/openid/{client}`, without a slash; keys by discovery, `ES256`;
/// - audience `{client}`; type `at+jwt` alone, with all that RFC 9068 requires: ID tokens are of type `JWT`.
///
/// - Versions whose access tokens have no `jti` are refused.
/// - Scopes: `scope`, which groups are mapped to. Groups and custom claims are in ID tokens only.
/// - Session `session_id`; `jti` is the same, so that revoking one token revokes those of its session. Client `client_id`.
///
/// Sources: <https://kanidm.github.io/kanidm/stable/integrations/oauth2.html>, and for the tokens
/// <https://github.com/kanidm/kanidm/blob/master/server/lib/src/idm/oauth2.rs>.
///
/// # Errors
///
/// `server` is no URL of a server, or `client` no single level of a path.
pub fn kanidm(server: &str, client: &str) -> Result<Provider<Known>, ProviderError> {
    let arguments = Arguments("kanidm");
    arguments.base("server", server)?;
    arguments.segment("client", client)?;
    let issuer = Issuer::new(format!("{server}/oauth2/openid/{client}"));
    Ok(Provider::new(issuer, &[ES256], Known(client.to_owned()))
        .types(&[TokenType::AccessToken])
        .habits(Habits { token_ids: &["jti"], sessions: &["session_id"], clients: &["client_id"] }))
}

/// An application of authentik: `authentik("https://auth.example", "orders")`.
///
/// Sets:
///
/// - issuer `{server}/application/o/{application}/`, with the slash; keys by discovery, `RS256`;
/// - claim `uid` is required: an access token is an ID token with `azp` and `uid` added, and **the same `aud`**.
///
/// Audience: the provider's client id.
///
/// - With *Issuer mode* "same identifier", the issuer is another, and all applications share it: leave it at its default.
/// - Without a *Signing Key* tokens are signed with the client's secret (`HS256`), which every client has: choose a key.
/// - Groups: `groups`, with the scope `profile`, as long as claims are included in ID tokens. Scopes are in no claim.
/// - Token id `uid`, session `sid`, client `azp`.
///
/// Sources: <https://docs.goauthentik.io/add-secure-apps/providers/oauth2/>, and for the tokens
/// <https://github.com/goauthentik/authentik/blob/main/authentik/providers/oauth2/id_token.py>.
///
/// # Errors
///
/// `server` is no URL of a server, or `application` no single level of a path.
pub fn authentik(server: &str, application: &str) -> Result<Provider, ProviderError> {
    let arguments = Arguments("authentik");
    arguments.base("server", server)?;
    arguments.segment("application", application)?;
    let issuer = Issuer::new(format!("{server}/application/o/{application}/"));
    Ok(Provider::new(issuer, &[RS256], ByAudience(()))
        .habits(Habits { token_ids: &["uid"], sessions: &["sid"], clients: &["azp"] })
        .rules(ClaimRules::new().require("azp").require("uid")))
}

/// A project of Supabase: `supabase("https://ref.supabase.co")`.
///
/// Sets:
///
/// - issuer `{project}/auth/v1`, keys at `{project}/auth/v1/.well-known/jwks.json`, `ES256`;
/// - audience `authenticated`: of every signed-in user, for every API of the project.
///
/// - The project needs *JWT signing keys*; of an RSA key, call [`algorithms`](Provider::algorithms). Tokens of the legacy secret (`HS256`), and the `anon` and `service_role` keys
///   (issuer `supabase`), are refused.
/// - **Anonymous users are `authenticated`, too**: they have `is_anonymous: true`.
/// - `role` is a role of Postgres. Roles of yours: below `app_metadata`, never `user_metadata`, which users write.
/// - Session `session_id`. No token id, scopes or client. They live 1 h by default.
///
/// Sources: <https://supabase.com/docs/guides/auth/jwt-fields>, <https://supabase.com/docs/guides/auth/jwts>.
///
/// # Errors
///
/// `project` is no URL of a server.
pub fn supabase(project: &str) -> Result<Provider<Known>, ProviderError> {
    Arguments("supabase").base("project", project)?;
    let issuer = Issuer::new(format!("{project}/auth/v1"));
    let keys = RemoteJwks::url(format!("{project}/auth/v1/.well-known/jwks.json"));
    Ok(Provider::new(issuer, &[ES256], Known("authenticated".to_owned()))
        .published_at(keys)
        .habits(Habits { sessions: &["session_id"], ..Habits::default() }))
}

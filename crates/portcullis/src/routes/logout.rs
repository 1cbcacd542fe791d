//! The receiver of OpenID Connect Back-Channel Logout 1.0.
use core::fmt;
use core::time::Duration;
use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use super::body::{BodyFault, BoundedBody};
use super::form::{Form, FormError, RepeatedError};
use super::reply::Reply;
use crate::claims::StandardRule;
use crate::debug_as_displayed::debug_as_displayed;
use crate::error::{ClaimsError, Error};
use crate::issuers::TrustedIssuer;
use crate::json::{Json, JsonFault, read_object};
use crate::policy::Policy;
use crate::request::RequestView;
use crate::revocation::{Revocable, Revocation, Revocations, RevokeError, Writer};
use crate::signature::Algorithm;
use crate::time::UnixTime;
use crate::token::{Part, Parts, TokenError, TypeHeader};
use crate::verify::{self, Statement};

/// The event of a logout token (§2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The largest body. A form may have other parameters, which are ignored (§2.5).
const BODY: usize = 64 * 1024;

/// The longest token. A logout token has some ten short claims, and takes about 1 KiB.
const TOKEN: usize = 16 * 1024;

/// See [`BackChannelLogout::max_lifetime`].
const DEFAULT_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// A provider sends a logout token again for minutes, not for days.
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The receiver of logout tokens: OpenID Connect Back-Channel Logout 1.0. A provider sends one when a
/// user logs out there, and the access tokens of that login are refused from then on.
///
/// What is accepted (§2.5, §2.6):
///
/// 1. `POST` of a form of at most 64 KiB, with exactly one `logout_token`; other parameters are
///    ignored;
/// 2. a token of at most 16 KiB, signed by an issuer of the policy with its keys, under the issuer's
///    rules of keys and algorithms ([`algorithms`](Self::algorithms));
/// 3. of the type `logout+jwt` ([`token_types`](Self::token_types)), whose `aud` names one of the client
///    ids;
/// 4. with `exp` and `iat`, neither over nor in the future, within the issuer's leeway, and of a short
///    life ([`max_lifetime`](Self::max_lifetime));
/// 5. with `jti`, the logout event in `events`, no `nonce`, and `sub` or `sid` or both.
///
/// What it does:
///
/// - Where the token has a `sid`, and the policy enforces [`Revocable::Session`] for its issuer, that session is
///   revoked: the user's other sessions go on (§2.7).
/// - Else, where it has a `sub`, and the policy enforces [`Revocable::Subject`] for its issuer, the subject's tokens
///   are revoked that were issued up to the token's `iat` and the leeway, or now and the leeway where that is earlier. A login within that time from
///   then has to be repeated. `sub` must stand in access tokens as it does in ID tokens.
/// - Else nothing: the request fails, since the user would not be logged out.
///
/// A replay revokes what is revoked already, and no later login, so that no token is remembered. Each issuer has its
/// [share](Revocations) of the room for revocations: one that sends logout tokens without end takes nothing from the
/// others, nor from operators.
///
/// The answer is 200 without a body, or 400 with `error` and `error_description` (§2.8), whatever went
/// wrong: `invalid_request`, or `temporarily_unavailable` where a key cannot be had or the revocation
/// was not acknowledged. To another method, it is 405. Every answer has `Cache-Control: no-store`.
///
/// The route needs no other protection: it must be reachable for the provider, without a token, a
/// cookie or a CSRF check. Where several issuers are trusted, each can log out its own users alone.
///
/// ```
/// use portcullis::{BackChannelLogout, Revocable, Revocations};
/// use portcullis_testkit::TestIssuer;
///
/// let provider = TestIssuer::new("https://id.example");
/// let revocations = Revocations::in_memory();
/// let policy = provider
///     .policy_builder()
///     .revocations(revocations.enforce([Revocable::Subject]))
///     .build()?;
/// let logout = BackChannelLogout::new(policy, revocations, ["web"])?;
/// # let _ = logout;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct BackChannelLogout {
    policy: Policy,
    revocations: Revocations,
    client_ids: Arc<[String]>,
    algorithms: Option<Arc<[Algorithm]>>,
    types: LogoutTokenTypes,
    max_lifetime: Option<Duration>,
}

/// Of which types logout tokens may be, by their `typ` header: `logout+jwt`, unless
/// [`dangerous::untyped_logout_tokens`](crate::dangerous::untyped_logout_tokens) says otherwise.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LogoutTokenTypes {
    pub(crate) accepts_untyped: bool,
}

impl LogoutTokenTypes {
    fn names(self) -> &'static str {
        if self.accepts_untyped { "`logout+jwt`, `JWT` or none" } else { "`logout+jwt`" }
    }

    fn accept(self, header: TypeHeader) -> bool {
        match header {
            TypeHeader::LogoutToken => true,
            TypeHeader::Absent | TypeHeader::Jwt => self.accepts_untyped,
            TypeHeader::AccessToken | TypeHeader::StatusList | TypeHeader::Other => false,
        }
    }
}

impl BackChannelLogout {
    /// Receives for these clients: the ids under which this service, or the front end that obtains its
    /// access tokens, is registered with the issuers of `policy`. The audience of the policy is another
    /// thing, and does not count here.
    ///
    /// `policy` is the one that verifies access tokens, and that enforces `revocations`.
    ///
    /// # Errors
    ///
    /// No logout token could ever take effect.
    pub fn new<C: Into<String>>(
        policy: Policy,
        revocations: Revocations,
        client_ids: impl IntoIterator<Item = C>,
    ) -> Result<Self, LogoutFault> {
        let client_ids: Arc<[String]> = client_ids.into_iter().map(Into::into).collect();
        if client_ids.is_empty() || client_ids.iter().any(String::is_empty) {
            return Err(LogoutFault::NoClient);
        }
        let receiver = Self {
            policy,
            revocations,
            client_ids,
            algorithms: None,
            types: LogoutTokenTypes::default(),
            max_lifetime: None,
        };
        let mut kinds = [Revocable::Subject, Revocable::Session].into_iter();
        if kinds.any(|kind| receiver.policy.enforces(kind, &receiver.revocations, None)) {
            Ok(receiver)
        } else {
            Err(LogoutFault::NotEnforced)
        }
    }

    /// The algorithms that logout tokens may be signed with. `none` is none of them. Called again, those that
    /// all calls name.
    ///
    /// If you do not call it: those that the issuer's access tokens may be signed with. Providers sign logout
    /// tokens as they do ID tokens (§2.4), which may be under another algorithm.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        let mut algorithms: Vec<_> = algorithms.into_iter().collect();
        if let Some(before) = &self.algorithms {
            algorithms.retain(|algorithm| before.contains(algorithm));
        }
        self.algorithms = Some(algorithms.into());
        self
    }

    /// Refuses a token that was made to live longer: `exp` less `iat`. More than 24 h count as 24 h. Called
    /// again, the shortest of all calls.
    ///
    /// If you do not call it: 10 minutes. §4.1 recommends 2 at most; not every provider keeps to that, and a
    /// replay does no harm.
    pub fn max_lifetime(mut self, limit: Duration) -> Self {
        let before = self.max_lifetime.unwrap_or(LONGEST_LIFETIME);
        self.max_lifetime = Some(limit.min(before));
        self
    }

    /// Accepts logout tokens without the type as well, by
    /// [`dangerous::untyped_logout_tokens`](crate::dangerous::untyped_logout_tokens).
    ///
    /// If you do not call it: `logout+jwt` alone, so that no other kind of token can stand in for one (§4.1,
    /// RFC 8725 §3.11).
    pub fn token_types(mut self, types: LogoutTokenTypes) -> Self {
        self.types = types;
        self
    }

    /// Where a request's body is read into, before [`receive`](Self::receive).
    pub fn body(&self) -> BoundedBody {
        BoundedBody::new(BODY)
    }

    /// Logs out. It waits for a key that has to be fetched, and for the store of the revocations.
    pub async fn receive(
        &self,
        request: &impl RequestView,
        body: BoundedBody,
    ) -> Reply<LogoutError> {
        let result = match token(request, &body) {
            Ok(token) => self.log_out(&token).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => Reply::new(StatusCode::OK),
            Err(error) => {
                error.trace();
                error.into_reply()
            }
        }
    }

    async fn log_out(&self, token: &str) -> Result<(), LogoutError> {
        let rules = self.policy.rules();
        let screen = |parts: &Parts, issuer: &TrustedIssuer, now| self.screen(parts, issuer, now);
        let algorithms = self.algorithms.as_deref();
        let Statement { authentic, issuer } =
            verify::authenticate_other(&rules, token.as_bytes(), TOKEN, algorithms, screen)
                .await
                .map_err(LogoutError::Token)?;
        let revocation = self.check(&authentic.parts, &issuer, rules.terms.clock.now())?;
        let revoked = self.revocations.revoke_as(Writer::Issuer, &revocation).await;
        revoked.map_err(LogoutError::Revoke)
    }

    /// What is cheap to ask, before a key is looked for.
    fn screen(
        &self,
        parts: &Parts,
        issuer: &TrustedIssuer,
        now: UnixTime,
    ) -> Result<(), ClaimsError> {
        // §4.1, RFC 8725 §3.11.
        if !self.types.accept(parts.header.typ) {
            let (found, accepted) = (parts.type_name(), self.types.names());
            return Err(ClaimsError::Type { found, accepted });
        }
        // §2.4: the client's id, perhaps beside others.
        let audiences = parts.payload.audiences.as_ref();
        let audiences = audiences.ok_or(ClaimsError::AudienceMissing)?;
        let payload = parts.text.payload();
        if !audiences.iter().any(|one| self.client_ids.iter().any(|own| own == one.get(payload))) {
            return Err(ClaimsError::Audience);
        }
        StandardRule::Expiry.check(parts, &issuer.rules, now)
    }

    /// What an authentic logout token revokes.
    fn check(
        &self,
        parts: &Parts,
        issuer: &TrustedIssuer,
        now: UnixTime,
    ) -> Result<Revocation, LogoutError> {
        let (claims, payload) = (&parts.payload, parts.text.payload());
        StandardRule::Issuer.check(parts, &issuer.rules, now)?;
        self.screen(parts, issuer, now)?;
        let issued = self.check_times(parts, issuer, now)?;
        let missing = |claim| ClaimsError::Missing { claim };
        // §2.4. Nothing has to remember it: a replay does no harm.
        let id = claims.token_id.as_ref().ok_or(missing("jti"))?.get(payload);
        let subject = claims.subject.as_ref().map(|text| text.get(payload));
        let LogoutClaims { is_logout, has_nonce, session } = LogoutClaims::read(payload)?;
        for (claim, text) in [("jti", Some(id)), ("sub", subject), ("sid", session.as_deref())] {
            if text == Some("") {
                return Err(TokenError::ClaimType { claim }.into());
            }
        }
        // §2.4, §2.6: whatever its value, so that no ID token passes.
        if has_nonce {
            return Err(LogoutError::Nonce);
        }
        if !is_logout {
            return Err(LogoutError::Event);
        }
        if subject.is_none() && session.is_none() {
            return Err(LogoutError::NoSubjectOrSession);
        }
        let issuer_id = issuer.rules.id.to_string();
        match (session, subject) {
            (Some(session), _) if self.enforces(Revocable::Session, &issuer.rules.id) => {
                Ok(Revocation::Session {
                    issuer: issuer_id,
                    session: session.into_owned(),
                    until: None,
                })
            }
            (_, Some(subject)) if self.enforces(Revocable::Subject, &issuer.rules.id) => {
                Ok(Revocation::Subject {
                    issuer: issuer_id,
                    subject: subject.to_owned(),
                    // Up to a moment that the token names, so that a replay meets no later login. What would be
                    // issued later than that is not accepted yet.
                    issued_until: Some(issued.min(now).saturating_add(issuer.rules.claims.leeway)),
                })
            }
            _ => Err(LogoutError::NotEnforced),
        }
    }

    /// When it was issued.
    fn check_times(
        &self,
        parts: &Parts,
        issuer: &TrustedIssuer,
        now: UnixTime,
    ) -> Result<UnixTime, ClaimsError> {
        let claims = &parts.payload;
        StandardRule::NotBefore.check(parts, &issuer.rules, now)?;
        // §2.4: required. One from the future would revoke logins that are yet to come.
        let issued = claims.issued_at.ok_or(ClaimsError::Missing { claim: "iat" })?;
        StandardRule::IssuedAt.check(parts, &issuer.rules, now)?;
        let end = claims.expires_at.ok_or(ClaimsError::Missing { claim: "exp" })?;
        let limit = self.max_lifetime.unwrap_or(DEFAULT_LIFETIME);
        let lifetime = end.saturating_since(issued);
        if lifetime > limit {
            return Err(ClaimsError::LivesTooLong { lifetime, limit });
        }
        Ok(issued)
    }

    /// Whether access tokens are refused that this kind of revocation is about.
    fn enforces(&self, kind: Revocable, issuer: &str) -> bool {
        self.policy.enforces(kind, &self.revocations, Some(issuer))
    }
}

impl fmt::Debug for BackChannelLogout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackChannelLogout")
            .field("client_ids", &self.client_ids)
            .field("algorithms", &self.algorithms)
            .field("types", &self.types)
            .field("max_lifetime", &self.max_lifetime)
            .finish_non_exhaustive()
    }
}

/// The token in a form (§2.5).
fn token(request: &impl RequestView, body: &BoundedBody) -> Result<String, LogoutError> {
    if request.method() != "POST" {
        return Err(LogoutError::Method);
    }
    let form = Form::read(request, body).map_err(|error| match error {
        FormError::MediaType => LogoutError::MediaType,
        FormError::Body(fault) => LogoutError::Body(fault),
    })?;
    match form.parameter("logout_token") {
        Ok(Some(token)) => Ok(token.to_owned()),
        Ok(None) => Err(LogoutError::NoToken),
        Err(RepeatedError) => Err(LogoutError::SeveralTokens),
    }
}

/// What is read of a logout token alone.
#[derive(Default)]
struct LogoutClaims<'t> {
    is_logout: bool,
    has_nonce: bool,
    session: Option<Cow<'t, str>>,
}

impl<'t> LogoutClaims<'t> {
    /// By the reader that read the other claims from the same bytes.
    fn read(payload: &'t str) -> Result<Self, LogoutError> {
        let mut said = Self::default();
        let mut is_text = true;
        let read = read_object(payload, |name, value| {
            match &**name {
                "events" => {
                    if let Json::Object(events) = value.read()? {
                        said.is_logout = events
                            .iter()
                            .any(|(name, value)| name == EVENT && matches!(value, Json::Object(_)));
                    }
                }
                "nonce" => {
                    said.has_nonce = true;
                    value.skip()?;
                }
                "sid" => {
                    said.session = value.string()?;
                    is_text = said.session.is_some();
                }
                _ => value.skip()?,
            }
            Ok::<_, JsonFault>(())
        });
        read.map_err(|fault| TokenError::Json(Part::Payload, fault))?;
        if is_text { Ok(said) } else { Err(TokenError::ClaimType { claim: "sid" }.into()) }
    }
}

/// Why nobody could ever be logged out.
#[non_exhaustive]
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum LogoutFault {
    /// No client is named, or one by an empty name.
    NoClient,
    /// The policy enforces neither subjects nor sessions of these revocations.
    NotEnforced,
}

impl fmt::Display for LogoutFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoClient => {
                "logout tokens name a client as their audience: name the id of at least one, and no empty one"
            }
            Self::NotEnforced => {
                "the policy enforces neither subjects nor sessions of these revocations, so that nobody would be logged out: `.revocations(revocations.enforce([Revocable::Subject]))`"
            }
        })
    }
}

debug_as_displayed!(LogoutFault);

impl core::error::Error for LogoutFault {}

/// Why nobody was logged out: for logs and for the extensions of the response. It names nobody.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LogoutError {
    /// It is no POST.
    Method,
    /// Its body is no form.
    MediaType,
    /// Its body is not used.
    Body(BodyFault),
    /// The form has no `logout_token`.
    NoToken,
    /// The form has more than one.
    SeveralTokens,
    /// The token does not verify, or what it takes to verify it cannot be had.
    Token(Error),
    /// It has a `nonce`, as ID tokens do.
    Nonce,
    /// `events` does not say that it is a logout token.
    Event,
    /// It has neither `sub` nor `sid`.
    NoSubjectOrSession,
    /// The policy does not enforce what it has: `sub` or `sid`.
    NotEnforced,
    /// Nobody knows whether it took effect.
    Revoke(RevokeError),
}

impl LogoutError {
    #[cfg(feature = "tracing")]
    fn trace(&self) {
        match self {
            // What says so is a logout token of an issuer.
            Self::NotEnforced | Self::Revoke(_) => {
                tracing::warn!(error = %self, "nobody was logged out");
            }
            // Anybody can cause these, and as often as they like.
            _ => tracing::debug!(error = %self, "a logout was refused"),
        }
    }

    #[cfg(not(feature = "tracing"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    fn trace(&self) {}

    /// `error` and `error_description` of §2.8, which has them from RFC 6749 §5.2.
    fn texts(&self) -> (&'static str, &'static str) {
        const INVALID: &str = "invalid_request";
        match self {
            Self::Method | Self::MediaType => (INVALID, "The request is not a POST of a form."),
            Self::Body(_) => (INVALID, "The body is too large, or broke off."),
            Self::NoToken | Self::SeveralTokens => {
                (INVALID, "The form does not have exactly one logout_token.")
            }
            Self::Token(error) if error.unavailable().is_some() => {
                ("temporarily_unavailable", "Logout tokens cannot be verified at the moment.")
            }
            Self::Token(_) | Self::Nonce | Self::Event | Self::NoSubjectOrSession => {
                (INVALID, "The logout token is not valid.")
            }
            Self::NotEnforced => {
                (INVALID, "The logout token has nothing by which this service logs out.")
            }
            Self::Revoke(_) => ("temporarily_unavailable", "The logout was not acknowledged."),
        }
    }

    fn into_reply(self) -> Reply<Self> {
        #[derive(Serialize)]
        struct Body {
            error: &'static str,
            error_description: &'static str,
        }
        if self == Self::Method {
            return Reply::new(StatusCode::METHOD_NOT_ALLOWED).allowing("POST").because(self);
        }
        let (error, error_description) = self.texts();
        let body = serde_json::to_vec(&Body { error, error_description }).unwrap_or_default();
        // §2.8 has no other status for a logout that failed, whoever's fault it is.
        Reply::new(StatusCode::BAD_REQUEST).with_body("application/json", body).because(self)
    }
}

impl From<ClaimsError> for LogoutError {
    fn from(error: ClaimsError) -> Self {
        Self::Token(error.into())
    }
}

impl From<TokenError> for LogoutError {
    fn from(error: TokenError) -> Self {
        Self::Token(error.into())
    }
}

impl fmt::Display for LogoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method => f.write_str("the request is not a POST"),
            Self::MediaType => f.write_str("the body is not a form"),
            Self::Body(fault) => fault.fmt(f),
            Self::NoToken => f.write_str("the form has no `logout_token`"),
            Self::SeveralTokens => f.write_str("the form has more than one `logout_token`"),
            Self::Token(error) => error.fmt(f),
            Self::Nonce => f.write_str("the logout token has a `nonce`, and must not have one"),
            Self::Event => f.write_str("`events` does not say that it is a logout token"),
            Self::NoSubjectOrSession => f.write_str("the logout token has neither `sub` nor `sid`"),
            Self::NotEnforced => f.write_str(
                "the policy enforces neither the subject nor the session that the logout token names",
            ),
            Self::Revoke(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for LogoutError {}

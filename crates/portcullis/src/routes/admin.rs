//! Revocation by administrators.
use core::fmt;
use core::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize, Serializer};

use super::body::{self, BodyFault, BoundedBody};
use super::problem::Problem;
use super::reply::Reply;
use crate::admission::{Admission, Rejection};
use crate::authorize::Requirement;
use crate::policy::Policy;
use crate::refusal::{RETRY, Texts};
use crate::request::RequestView;
use crate::response::ResponseNeeds;
use crate::revocation::{Revocable, Revocation, RevocationStats, Revocations, RevokeError, Writer};

/// The largest body. A revocation names an issuer and one more thing.
const BODY: usize = 16 * 1024;

/// How long a client is told to wait where there is no room: entries are over by and by.
const FULL: Duration = Duration::from_secs(60);

/// The routes of administrators: to revoke, and to see how revocation does. They are behind a policy
/// and a [`Requirement`], and cannot be had without.
///
/// | request | answer |
/// | --- | --- |
/// | `POST`, a [`Revocation`] as `application/json` of at most 16 KiB | 204: this process refuses it from now on, and the store has acknowledged it |
/// | `POST`, the same with `lift` in place of `revoke`, and without times and versions, where [`may_lift`](Self::may_lift) allows it | 204: it is no longer revoked, as by [`Revocations::lift`] |
/// | `GET` | 200, the [stats](RevocationStats) as JSON |
///
/// | refused | answer |
/// | --- | --- |
/// | no token, or a bad one; also where the policy allows anonymous requests | the policy's: 401 and so on |
/// | a token that does not meet the requirement | 403 `scope-insufficient`, through the policy's presentation and hook ([`Error::Forbidden`](crate::Error::Forbidden)) |
/// | another method; another media type; a larger body | 405; 415; 413 |
/// | a lift, where nobody [may lift](Self::may_lift), or the token does not meet what it asks for | 403 `revocation-forbidden` |
/// | a lift of what was never revoked, as far as this process knows | 404 `revocation-unknown` |
/// | a revocation for another issuer than that of the administrator's token, unless [`may_revoke_for`](Self::may_revoke_for) or [`all_issuers`](Self::all_issuers) says otherwise | 403 `revocation-forbidden` |
/// | JSON that is no revocation, or that does not say all there is to say; a time that is later than a token could tell, as milliseconds are | 400 `revocation-invalid` |
/// | the store does not acknowledge it, or there is no room, or not for more of this issuer | 503 `revocation-unavailable` with `Retry-After`. To try again is right and does no harm: the store may come back, and room comes as entries end. |
///
/// Answers are problem details as the policy presents them, repeat nothing of the request, and have
/// `Cache-Control: no-store`. Where the policy takes tokens from cookies, its cross-site check holds here
/// as well.
///
/// An administrator revokes the tokens of its own issuer, since names are unique only within one: a client
/// that another issuer calls `operators`, too, meets the same requirement. What it revokes is within the
/// [share](Revocations) of its issuer, with room beyond that of the issuer's logout tokens; who may revoke for
/// others finds all the room there is.
///
/// Nothing checks that a policy enforces what is revoked, nor that such a token or subject exists.
///
/// ```
/// use portcullis::{Requirement, RevocationAdmin, Revocations};
/// use portcullis_testkit::TestIssuer;
///
/// let policy = TestIssuer::new("https://id.example").policy();
/// let revocations = Revocations::in_memory();
/// let admin = RevocationAdmin::new(
///     revocations,
///     policy,
///     Requirement::scope("revocations:write"),
/// );
/// # let _ = admin;
/// ```
#[derive(Clone)]
#[must_use]
pub struct RevocationAdmin {
    revocations: Revocations,
    policy: Policy,
    requirement: Requirement,
    revokes_for_all: bool,
    /// Issuers of administrators, each with an issuer whose tokens they may revoke.
    revokes_for: Vec<(String, String)>,
    /// What all of must be met to lift. `None`: nobody may.
    lifting: Option<Requirement>,
}

impl RevocationAdmin {
    /// Lets in who has a token that `policy` verifies and that meets `requirement`.
    pub fn new(revocations: Revocations, policy: Policy, requirement: Requirement) -> Self {
        Self {
            revocations,
            policy,
            requirement,
            revokes_for_all: false,
            revokes_for: Vec::new(),
            lifting: None,
        }
    }

    /// Lets administrators whose tokens are of the issuer `administrators` revoke the tokens of these
    /// issuers besides their own: for staff with an identity provider of its own.
    ///
    /// Called again, what all calls say holds. If you do not call it: an administrator revokes for the issuer of its
    /// own token.
    pub fn may_revoke_for<I: Into<String>>(
        mut self,
        administrators: impl Into<String>,
        issuers: impl IntoIterator<Item = I>,
    ) -> Self {
        let administrators = administrators.into();
        let pairs = issuers.into_iter().map(|issuer| (administrators.clone(), issuer.into()));
        self.revokes_for.extend(pairs);
        self
    }

    /// Lets every administrator revoke the tokens of every issuer. With it, each issuer of the policy, each
    /// tenant of a template included, can make itself an administrator of all others, unless the requirement
    /// names [issuers](Requirement::issuer).
    ///
    /// If you do not call it: an administrator revokes for the issuer of its own token.
    pub fn all_issuers(mut self) -> Self {
        self.revokes_for_all = true;
        self
    }

    /// Lets administrators who meet this as well [lift](Revocations::lift) what was revoked by mistake, for the
    /// issuers that they may revoke for. Whoever steals such a token brings stolen tokens back: ask for more than for
    /// revoking.
    ///
    /// Called again, all that was asked for must be met. If you do not call it: nobody lifts over HTTP; code does.
    pub fn may_lift(mut self, requirement: Requirement) -> Self {
        self.lifting = Some(match self.lifting {
            Some(before) => before.and(requirement),
            None => requirement,
        });
        self
    }

    /// Decides who is asking, before the body is read.
    ///
    /// # Errors
    ///
    /// It is no administrator.
    pub async fn admit(&self, request: &impl RequestView) -> Result<Administrator, Rejection> {
        let admission = self.policy.verify(request).await?;
        // Also where the policy lets others in without a token.
        let token = Admission::authorize(Some(&admission), &self.requirement, request)?;
        let may_lift = self.lifting.as_ref().is_some_and(|lifting| lifting.check(token).is_ok());
        let (issuer, needs) = (token.issuer().into(), admission.response_needs());
        Ok(Administrator { admin: self.clone(), issuer, may_lift, needs })
    }

    fn lets_revoke(&self, administrators: &str, issuer: &str) -> bool {
        administrators == issuer
            || self.revokes_for_all
            || self.revokes_for.iter().any(|(own, other)| own == administrators && other == issuer)
    }
}

impl fmt::Debug for RevocationAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationAdmin")
            .field("requirement", &self.requirement)
            .finish_non_exhaustive()
    }
}

/// Who may revoke. Only [`RevocationAdmin::admit`] makes one.
#[derive(Clone)]
pub struct Administrator {
    admin: RevocationAdmin,
    /// Of its token.
    issuer: Box<str>,
    may_lift: bool,
    needs: ResponseNeeds,
}

impl Administrator {
    /// Where the request's body is read into, before [`answer`](Self::answer).
    pub fn body(&self) -> BoundedBody {
        BoundedBody::new(BODY)
    }

    /// Does what the request asks for, and waits for the store of the revocations.
    ///
    /// Where the policy asks proofs for nonces, the answer has the latest one if the administrator has not got it.
    pub async fn answer(&self, request: &impl RequestView, body: BoundedBody) -> Reply<AdminError> {
        let reply = match request.method() {
            "POST" => match self.revoke(request, &body).await {
                Ok(()) => Reply::new(StatusCode::NO_CONTENT),
                Err(error) => {
                    error.trace();
                    self.problem(error)
                }
            },
            "GET" => self.stats(),
            "HEAD" => self.stats().without_body(),
            _ => self.problem(AdminError::Method),
        };
        reply.needing(&self.needs)
    }

    async fn revoke(
        &self,
        request: &impl RequestView,
        body: &BoundedBody,
    ) -> Result<(), AdminError> {
        // A page of another origin cannot send this type without being asked about (Fetch, CORS).
        if !body::is_of_type(request, "application/json") {
            return Err(AdminError::MediaType);
        }
        let json = body.read().map_err(AdminError::Body)?;
        let (revocation, is_lift): (Revocation, _) = match serde_json::from_slice(json) {
            Ok(revocation) => (revocation, false),
            Err(_) => {
                let lift: Lift = serde_json::from_slice(json).map_err(|_| AdminError::Malformed)?;
                (lift.into(), true)
            }
        };
        if is_lift && !self.may_lift {
            return Err(AdminError::MayNotLift);
        }
        if !self.admin.lets_revoke(&self.issuer, revocation.issuer()) {
            return Err(AdminError::OtherIssuer);
        }
        let revocations = &self.admin.revocations;
        let writer = self.writer(&revocation);
        let result = match is_lift {
            true => revocations.lift_as(writer, &revocation).await,
            false => revocations.revoke_as(writer, &revocation).await,
        };
        result.map_err(AdminError::Revoke)
    }

    fn writer(&self, revocation: &Revocation) -> Writer {
        let is_own = *self.issuer == *revocation.issuer();
        let is_above = self.admin.revokes_for_all || !is_own;
        if is_above { Writer::Operator } else { Writer::Administrator }
    }

    fn stats(&self) -> Reply<AdminError> {
        let stats = self.admin.revocations.stats();
        let body = serde_json::to_vec(&Stats::of(&stats)).unwrap_or_default();
        Reply::new(StatusCode::OK).with_body("application/json", body)
    }

    fn problem(&self, error: AdminError) -> Reply<AdminError> {
        let (status, texts) = error.answer();
        let (code, title, detail) = texts;
        let reply = Problem { status, code, title, detail }.reply_of(&self.admin.policy);
        let reply = match &error {
            AdminError::Method => reply.allowing("GET, HEAD, POST"),
            AdminError::Revoke(RevokeError::Full { .. } | RevokeError::ShareUsedUp { .. }) => {
                reply.retry_after(FULL)
            }
            AdminError::Revoke(RevokeError::Store(_)) => reply.retry_after(RETRY),
            _ => reply,
        };
        reply.because(error)
    }
}

impl fmt::Debug for Administrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Administrator").field("admin", &self.admin).finish_non_exhaustive()
    }
}

/// A [`Revocation`] by its name alone, to lift it.
#[derive(Deserialize)]
#[serde(tag = "lift", rename_all = "snake_case", deny_unknown_fields)]
enum Lift {
    Token { issuer: String, token_id: String },
    Session { issuer: String, session: String },
    Subject { issuer: String, subject: String },
    Version { issuer: String, subject: String },
    Client { issuer: String, client: String },
    Issuer { issuer: String },
    Key { issuer: String, key_id: String },
}

impl From<Lift> for Revocation {
    fn from(lift: Lift) -> Self {
        let (until, issued_until) = (None, None);
        match lift {
            Lift::Token { issuer, token_id } => Self::Token { issuer, token_id, until },
            Lift::Session { issuer, session } => Self::Session { issuer, session, until },
            Lift::Subject { issuer, subject } => Self::Subject { issuer, subject, issued_until },
            Lift::Version { issuer, subject } => Self::Version { issuer, subject, current: 0 },
            Lift::Client { issuer, client } => Self::Client { issuer, client, issued_until },
            Lift::Issuer { issuer } => Self::Issuer { issuer, issued_until },
            Lift::Key { issuer, key_id } => Self::Key { issuer, key_id, until },
        }
    }
}

/// [`RevocationStats`] as JSON.
#[derive(Serialize)]
struct Stats {
    entries: Entries,
    lifts: usize,
    capacity: usize,
    changes: u64,
    refused: u64,
    unknown: u64,
    fresh: bool,
    last_contact_ms: Option<u64>,
    lag: Option<u64>,
}

struct Entries(RevocationStats);

impl Stats {
    fn of(stats: &RevocationStats) -> Self {
        let milliseconds = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        Self {
            entries: Entries(*stats),
            lifts: stats.lifts,
            capacity: stats.capacity,
            changes: stats.changes,
            refused: stats.refused,
            unknown: stats.unknown,
            fresh: stats.is_fresh,
            last_contact_ms: stats.last_contact.map(milliseconds),
            lag: stats.lag,
        }
    }
}

impl Serialize for Entries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(Revocable::ALL.iter().map(|&kind| (kind.name(), self.0.entries(kind))))
    }
}

/// Why nothing was revoked, or may not have been: for logs and for the extensions of the response. It
/// names nobody.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AdminError {
    /// There is no such method.
    Method,
    /// The body is no JSON.
    MediaType,
    /// The body is not used.
    Body(BodyFault),
    /// The body is no [`Revocation`].
    Malformed,
    /// It is of another issuer than the administrator's token, which may not revoke for that one.
    OtherIssuer,
    /// It is to be lifted, which the administrator may not.
    MayNotLift,
    /// It was not revoked, or may not have been.
    Revoke(RevokeError),
}

impl AdminError {
    #[cfg(feature = "tracing")]
    fn trace(&self) {
        match self {
            Self::OtherIssuer | Self::MayNotLift | Self::Revoke(_) => {
                tracing::warn!(error = %self, "nothing was revoked");
            }
            // The client is told all there is to say.
            _ => tracing::debug!(error = %self, "nothing was revoked"),
        }
    }

    #[cfg(not(feature = "tracing"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    fn trace(&self) {}

    #[allow(clippy::too_many_lines, reason = "one match, with an arm for each")]
    fn answer(&self) -> (StatusCode, Texts) {
        const INVALID: (&str, &str) = ("revocation-invalid", "Invalid revocation");
        let invalid = |detail| (StatusCode::BAD_REQUEST, (INVALID.0, INVALID.1, detail));
        match self {
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                ("method-not-allowed", "Method not allowed", "There is GET, HEAD and POST."),
            ),
            Self::MediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                ("media-type-unsupported", "Unsupported media type", "The body must be JSON."),
            ),
            Self::Body(BodyFault::TooLarge { .. }) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                ("body-too-large", "Body too large", "The body is larger than a revocation is."),
            ),
            Self::Body(BodyFault::Broken) => invalid("The body broke off."),
            Self::Malformed => invalid("The body is not a revocation."),
            Self::OtherIssuer => (
                StatusCode::FORBIDDEN,
                (
                    "revocation-forbidden",
                    "Revocation not allowed",
                    "The issuer of the access token may not revoke for this issuer.",
                ),
            ),
            Self::MayNotLift => (
                StatusCode::FORBIDDEN,
                (
                    "revocation-forbidden",
                    "Revocation not allowed",
                    "The access token does not allow lifting a revocation.",
                ),
            ),
            Self::Revoke(error) => match error {
                RevokeError::Nameless(_) => {
                    invalid("The issuer, or what is to be revoked, is empty.")
                }
                RevokeError::Instant => invalid("An instant before 1970 revokes nothing."),
                RevokeError::IssuedTooLate { .. } => invalid(
                    "`issued_until` is in the future. Times are seconds since 1970: are these milliseconds?",
                ),
                RevokeError::EndsTooLate { .. } => invalid(
                    "`until` is later than any token ends. Times are seconds since 1970: are these milliseconds? For ever is the word `forever`.",
                ),
                RevokeError::NotRevoked(_) => (
                    StatusCode::NOT_FOUND,
                    ("revocation-unknown", "Not revoked", "There is no such revocation to lift."),
                ),
                RevokeError::LiftedTooOften(_) => {
                    invalid("This was lifted 65,535 times, and cannot be lifted again.")
                }
                RevokeError::NoEnd(_) => invalid(
                    "There is no bound on the lifetime of tokens: say until when it is revoked.",
                ),
                RevokeError::NoLifetime(_) => invalid(
                    "There is no bound on the lifetime of tokens: nobody knows how long to remember this.",
                ),
                RevokeError::Full { .. } => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    ("revocation-unavailable", "Not revoked", "There is no room for it."),
                ),
                RevokeError::ShareUsedUp { .. } => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    (
                        "revocation-unavailable",
                        "Not revoked",
                        "There is no room for more revocations of this issuer.",
                    ),
                ),
                RevokeError::Store(_) => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    (
                        "revocation-unavailable",
                        "Not revoked",
                        "It was not acknowledged, and may be revoked all the same: try again.",
                    ),
                ),
            },
        }
    }
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method => f.write_str("the route does not have this method"),
            Self::MediaType => f.write_str("the body is not of the type `application/json`"),
            Self::Body(fault) => fault.fmt(f),
            Self::Malformed => f.write_str("the body is not a revocation"),
            Self::OtherIssuer => f.write_str(
                "the administrator's token is of another issuer than the tokens to be revoked: `RevocationAdmin::may_revoke_for` names whose administrators may revoke for whom",
            ),
            Self::MayNotLift => f.write_str(
                "the administrator may not lift revocations: `RevocationAdmin::may_lift` says who may",
            ),
            Self::Revoke(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for AdminError {}

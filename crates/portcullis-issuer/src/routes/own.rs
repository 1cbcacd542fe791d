//! A user's own sessions, for a page on which they see and end them.
use core::fmt;

use http::StatusCode;
use portcullis::routes::Reply;
use portcullis::{Admission, Policy, Rejection, RequestView, Requirement};
use serde::{Deserialize, Serialize};

use super::error::{self, SessionRouteError};
use crate::session::{ListedAfter, SessionId};
use crate::sessions::{Session, Sessions};
use crate::time::StoreTime;

/// How many sessions are on a page, where nobody said otherwise: more than most users have.
const PAGE: usize = 50;

/// The most that are: as many as [`Sessions::list`] gives.
const LONGEST_PAGE: usize = 100;

/// The routes by which users see their sessions and end them (OWASP ASVS 5.0, 7.5.2), behind a policy.
///
/// | request | answer |
/// | --- | --- |
/// | `GET` of the list, with `limit` (1 to 100, else 50) and `after` in the query | 200, a page of the user's sessions as JSON, the newest first |
/// | `DELETE` of a session, whose id is the last segment of the path | 204: it is over, and its tokens are refused |
///
/// ```json
/// {"sessions":[{"id":"AAECAwQFBgcICQoLDA0ODw","label":"Firefox on Linux","client":"web",
///   "created_at":"2027-01-15T08:00:00Z","last_used_at":"2027-01-15T09:30:00Z",
///   "ends_at":"2027-02-14T08:00:00Z","current":true}],"next":"1800000000000.AAECAwQFBgcICQoLDA0ODw"}
/// ```
///
/// Times are of RFC 3339, in UTC. `label` is null where the login gave none. `current` is the session that asks. `next` is
/// the `after` of the next page, and is there where the page is full; the next one may be empty.
///
/// | refused | answer |
/// | --- | --- |
/// | no token, or a bad one | the policy's: 401 and so on |
/// | an unsafe request of another site with the token in a cookie | the policy's: 403 `cross-site-request` |
/// | a token of another issuer than that of the sessions, or of no session, such as that of a service | the policy's: 403 `scope-insufficient` |
/// | a `DELETE` that does not meet what [`may_end`](Self::may_end) asks for | the policy's: 403 or 401 |
/// | another method | 405 |
/// | a page that cannot be asked for so | 400 `request-invalid` |
/// | a session that is not there, is over, or is not the user's | 404 `session-unknown` |
/// | something is away | 503 `sessions-unavailable` with `Retry-After: 1` |
///
/// Answers are problem details as the policy presents them, and `Cache-Control: no-store`. A session that ends itself so is
/// over, and its cookies stay: log out by [`BrowserSessions::log_out`](super::BrowserSessions::log_out).
///
/// An access token is good until it expires, also where its session ended: let the policy enforce
/// [`Revocable::Session`](portcullis::Revocable::Session).
///
/// ```
/// # use portcullis::{Policy, Requirement};
/// # use portcullis_issuer::Sessions;
/// # use std::time::Duration;
/// use portcullis_issuer::routes::OwnSessions;
///
/// # fn routes(sessions: Sessions, policy: Policy) {
/// let own = OwnSessions::new(sessions, policy)
///     .may_end(Requirement::max_age(Duration::from_secs(10 * 60)));
/// # let _ = own; }
/// ```
#[derive(Clone)]
#[must_use]
pub struct OwnSessions {
    sessions: Sessions,
    policy: Policy,
    /// A token of a session of these.
    requirement: Requirement,
    /// What all of must be met to end one. `None`: no more.
    ending: Option<Requirement>,
}

/// What is read of an access token of a session.
#[derive(Deserialize)]
struct SessionClaims {
    sub: String,
    sid: String,
}

impl SessionClaims {
    fn session(&self) -> Option<SessionId> {
        self.sid.parse().ok()
    }
}

impl OwnSessions {
    /// Lets in who has an access token of one of these sessions that `policy` verifies.
    pub fn new(sessions: Sessions, policy: Policy) -> Self {
        // A name is one person's only within an issuer, and only where it names users: a service may be called as one is.
        let of_session = |claims: &SessionClaims| claims.session().is_some();
        let requirement = Requirement::issuer(sessions.issuer())
            .and(Requirement::predicate("the token of a session", of_session));
        Self { sessions, policy, requirement, ending: None }
    }

    /// Lets only those end a session who meet this as well, such as
    /// [`Requirement::max_age`](portcullis::Requirement::max_age): who authenticated a short time ago.
    ///
    /// Called again, all that was asked for must be met. If you do not call it: whoever may see them.
    pub fn may_end(mut self, requirement: Requirement) -> Self {
        self.ending = Some(match self.ending {
            Some(before) => before.and(requirement),
            None => requirement,
        });
        self
    }

    /// Decides who is asking.
    ///
    /// # Errors
    ///
    /// It is not a user with a session here, or they may not end one.
    pub async fn admit(&self, request: &impl RequestView) -> Result<SessionOwner, Rejection> {
        let admission = self.policy.verify(request).await?;
        // Also where the policy lets others in without a token.
        let token = Admission::authorize(Some(&admission), &self.requirement, request)?;
        if let Some(ending) = self.ending.as_ref().filter(|_| request.method() == END) {
            Admission::authorize(Some(&admission), ending, request)?;
        }
        let claims = token.claims::<SessionClaims>();
        let claims = claims.map_err(|error| admission.reject(error, request))?;
        Ok(SessionOwner {
            own: self.clone(),
            subject: claims.sub.clone(),
            current: claims.session(),
        })
    }
}

impl fmt::Debug for OwnSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnSessions")
            .field("sessions", &self.sessions)
            .field("ending", &self.ending)
            .finish_non_exhaustive()
    }
}

/// The method that ends a session.
const END: &str = "DELETE";

/// A user who may see and end their sessions. Only [`OwnSessions::admit`] makes one. `Debug` does not show who.
#[derive(Clone)]
pub struct SessionOwner {
    own: OwnSessions,
    subject: String,
    /// The session that asks.
    current: Option<SessionId>,
}

impl SessionOwner {
    /// Answers a request for the list.
    pub async fn list(&self, request: &impl RequestView) -> Reply<SessionRouteError> {
        let listed = async {
            if !matches!(request.method(), "GET" | "HEAD") {
                return Err(SessionRouteError::Method);
            }
            let page = Page::asked_for(request.query().unwrap_or_default())?;
            let sessions = self.own.sessions.list(&self.subject, page.after, page.limit).await;
            let sessions = sessions.map_err(SessionRouteError::List)?;
            Ok(Listed::of(&sessions, self.current, page.limit).reply())
        };
        let listed = listed.await.unwrap_or_else(|error| self.refuse(error, "GET, HEAD"));
        error::as_asked(listed, request)
    }

    /// Answers a request to end a session.
    ///
    /// 503 where something is away. Where the session had ended by then, the same request is answered 404 the next time, and
    /// access tokens that are not revoked yet are revoked in the background.
    pub async fn end(&self, request: &impl RequestView) -> Reply<SessionRouteError> {
        let ended = async {
            // By any other, what it takes to end one was not asked for.
            if request.method() != END {
                return Err(SessionRouteError::Method);
            }
            let last = request.path().and_then(|path| path.rsplit('/').next());
            let id = last.and_then(|id| id.parse().ok());
            let id = id.ok_or(SessionRouteError::NoSuchSession)?;
            match self.own.sessions.end_of(&self.subject, id).await? {
                true => Ok(Reply::new(StatusCode::NO_CONTENT)),
                false => Err(SessionRouteError::NoSuchSession),
            }
        };
        let ended = ended.await.unwrap_or_else(|error| self.refuse(error, END));
        error::as_asked(ended, request)
    }

    fn refuse(&self, error: SessionRouteError, methods: &'static str) -> Reply<SessionRouteError> {
        let reply = error.problem().reply_of(&self.own.policy);
        let is_method = error == SessionRouteError::Method;
        let reply = error.complete(reply);
        if is_method { reply.allowing(methods) } else { reply }
    }
}

impl fmt::Debug for SessionOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionOwner").field("own", &self.own).finish_non_exhaustive()
    }
}

/// Which page of the list is asked for.
#[derive(Debug, PartialEq)]
struct Page {
    after: Option<ListedAfter>,
    limit: usize,
}

impl Page {
    fn asked_for(query: &str) -> Result<Self, SessionRouteError> {
        let mut page = (None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let is_first = match &*name {
                "after" => page.0.replace(read_after(&value)?).is_none(),
                "limit" => page.1.replace(read_limit(&value)?).is_none(),
                _ => true,
            };
            if !is_first {
                return Err(SessionRouteError::Page);
            }
        }
        Ok(Self { after: page.0, limit: page.1.unwrap_or(PAGE) })
    }
}

fn read_limit(text: &str) -> Result<usize, SessionRouteError> {
    let limit = text.parse().ok().filter(|limit| (1..=LONGEST_PAGE).contains(limit));
    limit.ok_or(SessionRouteError::Page)
}

/// What [`write_after`] wrote. It says what the user was told before, and nothing that has to be believed.
fn read_after(text: &str) -> Result<ListedAfter, SessionRouteError> {
    let read = || {
        let (millis, id) = text.split_once('.')?;
        let created_at = StoreTime::from_millis(millis.parse().ok()?);
        Some(ListedAfter { created_at, id: id.parse().ok()? })
    };
    read().ok_or(SessionRouteError::Page)
}

fn write_after(session: &Session) -> String {
    format!("{}.{}", session.created_at().as_millis(), session.id())
}

#[derive(Serialize)]
struct Listed<'s> {
    sessions: Vec<ListedSession<'s>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct ListedSession<'s> {
    id: String,
    label: Option<&'s str>,
    client: &'s str,
    created_at: String,
    last_used_at: String,
    ends_at: String,
    current: bool,
}

impl<'s> Listed<'s> {
    fn of(sessions: &'s [Session], current: Option<SessionId>, limit: usize) -> Self {
        let listed = |session: &'s Session| ListedSession {
            id: session.id().to_string(),
            label: session.label(),
            client: session.client(),
            created_at: session.created_at().to_string(),
            last_used_at: session.last_used_at().to_string(),
            ends_at: session.ends_at().to_string(),
            current: current == Some(session.id()),
        };
        let next = sessions.last().filter(|_| sessions.len() >= limit).map(write_after);
        Self { sessions: sessions.iter().map(listed).collect(), next }
    }

    fn reply(&self) -> Reply<SessionRouteError> {
        let body = serde_json::to_vec(self).unwrap_or_default();
        Reply::new(StatusCode::OK).with_body("application/json", body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "AAECAwQFBgcICQoLDA0ODw";

    #[test]
    fn a_page_is_asked_for_by_the_last_session_of_the_one_before() {
        let after = ListedAfter {
            created_at: StoreTime::from_millis(1_800_000_000_000),
            id: ID.parse().expect("an id"),
        };
        for (query, after, limit) in [
            (String::new(), None, 50),
            ("x=1&x=2&&limit=7".to_owned(), None, 7),
            ("limit=100".to_owned(), None, 100),
            (format!("after=1800000000000.{ID}&limit=1"), Some(after), 1),
            (format!("%61fter=1800000000000%2E{ID}"), Some(after), 50),
        ] {
            assert_eq!(Page::asked_for(&query), Ok(Page { after, limit }), "{query}");
        }
    }

    #[test]
    fn a_page_that_nobody_wrote_is_refused() {
        for query in [
            "limit=0",
            "limit=101",
            "limit=-1",
            "limit=",
            "limit=all",
            "limit=99999999999999999999999",
            "limit=1&limit=1",
            "after=",
            "after=1800000000000",
            "after=.AAECAwQFBgcICQoLDA0ODw",
            "after=1800000000000.AAECAwQFBgcICQoLDA0OD",
            "after=1e9.AAECAwQFBgcICQoLDA0ODw",
            "after=1.AAECAwQFBgcICQoLDA0ODw&after=1.AAECAwQFBgcICQoLDA0ODw",
        ] {
            assert_eq!(Page::asked_for(query), Err(SessionRouteError::Page), "{query}");
        }
    }
}

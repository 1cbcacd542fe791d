//! Whether routes turn away whom they should. Each framework asks its own way; what is asked and what must
//! come back stands here.
use core::fmt::Write;

use portcullis::Error;

use crate::dpop::asks_for_nonce;
use crate::mtls::Connection;
use crate::routes::{Credentials, Route, Routes};

/// What is asserted of each route.
#[derive(Debug)]
pub(crate) enum Assertion {
    /// Nobody without a token gets in.
    Protected,
    /// A token that may do nothing does not get in.
    Forbidden(Credentials),
    /// The policy in front does not accept this token.
    Refused(Credentials),
    /// This token gets in.
    Accepted(Credentials),
}

/// A request, with an empty body.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    credentials: Credentials,
    kind: Kind<'a>,
    /// What the server says of its connection.
    connection: Connection,
}

#[derive(Clone, Copy, Debug)]
enum Kind<'a> {
    Listed,
    /// Another method of a listed path.
    Unlisted,
    /// Of a page that wants to use this method.
    Preflight(&'a str),
}

impl<'a> Question<'a> {
    pub(crate) fn plain(method: &'a str, path: &'a str, credentials: Credentials) -> Self {
        Self { method, path, credentials, kind: Kind::Listed, connection: Connection::default() }
    }

    pub(crate) fn over(self, connection: Connection) -> Self {
        Self { connection, ..self }
    }
}

impl Question<'_> {
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let preflight = match self.kind {
            Kind::Preflight(method) => Some([
                ("origin", "https://another-origin.example"),
                ("access-control-request-method", method),
            ]),
            Kind::Listed | Kind::Unlisted => None,
        };
        self.credentials.fields().chain(preflight.into_iter().flatten())
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    #[cfg(feature = "actix")]
    pub(crate) fn is_preflight(&self) -> bool {
        matches!(self.kind, Kind::Preflight(_))
    }
}

/// What a route answered.
pub(crate) struct Answer {
    status: u16,
    /// Whether a `WWW-Authenticate` challenges for the `Bearer` scheme.
    challenges: bool,
    /// The same for the `DPoP` scheme.
    challenges_for_proofs: bool,
    /// Whether it asks for a proof with a nonce.
    asks_for_nonce: bool,
    /// Each `DPoP-Nonce`.
    nonces: Vec<String>,
    /// What stands in `error` of a challenge.
    error: Option<&'static str>,
    /// What stands in `scope` of a challenge.
    scope: Option<String>,
    /// Whether a CORS layer says that it answered.
    is_of_cors: bool,
    /// Why, if Portcullis answered.
    why: Option<Error>,
}

impl Answer {
    pub(crate) fn new<'a>(
        status: u16,
        fields: impl Iterator<Item = (&'a str, &'a [u8])>,
        why: Option<&Error>,
    ) -> Self {
        let mut answer = Self {
            status,
            challenges: false,
            challenges_for_proofs: false,
            asks_for_nonce: false,
            nonces: Vec::new(),
            error: None,
            scope: None,
            is_of_cors: false,
            why: why.cloned(),
        };
        for (name, value) in fields {
            match name {
                "www-authenticate" => answer.read_challenges(value),
                "dpop-nonce" => answer.nonces.push(String::from_utf8_lossy(value).into_owned()),
                "access-control-allow-methods" => answer.is_of_cors = true,
                // tower-http's says nothing else where it allows no methods.
                "vary" => answer.is_of_cors |= is_listed(value, b"access-control-request-method"),
                _ => {}
            }
        }
        answer
    }

    fn read_challenges(&mut self, value: &[u8]) {
        // RFC 9110 §11.6.1: a field may hold several challenges, ours or another's first.
        let is_for = |wanted: &[u8]| {
            value.split(|byte| *byte == b',').any(|one| {
                let scheme = one.trim_ascii().split(|byte| *byte == b' ').next();
                scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(wanted))
            })
        };
        self.challenges |= is_for(b"Bearer");
        self.challenges_for_proofs |= is_for(b"DPoP");
        self.asks_for_nonce |= asks_for_nonce(value);
        for error in ["invalid_token", "insufficient_scope", "insufficient_user_authentication"] {
            let parameter = format!("error=\"{error}\"");
            if value.windows(parameter.len()).any(|text| text == parameter.as_bytes()) {
                self.error = Some(error);
            }
        }
        // RFC 6750 §3: a scope has no quote and no backslash in it, so that nothing is escaped.
        let text = String::from_utf8_lossy(value);
        let mut parameters = text.split([' ', ',']).scan(0, |at, part| {
            let start = *at;
            *at += part.len() + 1;
            Some((start, part))
        });
        if let Some((at, _)) = parameters.find(|(_, part)| part.starts_with("scope=\"")) {
            let rest = &text[at + "scope=\"".len()..];
            self.scope = rest.split_once('"').map(|(scope, _)| scope.to_owned());
        }
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn challenges(&self) -> bool {
        self.challenges
    }

    pub(crate) fn challenges_for_proofs(&self) -> bool {
        self.challenges_for_proofs
    }

    pub(crate) fn asks_for_nonce(&self) -> bool {
        self.asks_for_nonce
    }

    pub(crate) fn nonces(&self) -> &[String] {
        &self.nonces
    }

    pub(crate) fn error(&self) -> Option<&'static str> {
        self.error
    }

    pub(crate) fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    pub(crate) fn why(&self) -> Option<&Error> {
        self.why.as_ref()
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Why this is not what the assertion takes.
    fn fault(&self, assertion: &Assertion, kind: Kind<'_>) -> Option<String> {
        let is_missing = matches!(self.status, 404 | 405 | 501);
        match kind {
            Kind::Listed => {}
            _ if self.is_of_cors => return None,
            Kind::Unlisted if is_missing && self.why.is_none() => return None,
            Kind::Unlisted => {}
            // Some CORS layers refuse an origin that they do not know, each in its own way.
            Kind::Preflight(_) if !self.is_success() => return None,
            Kind::Preflight(_) => {
                return Some(format!("{}, and not as a CORS layer does", self.status));
            }
        }
        let is_met = match assertion {
            Assertion::Protected => self.status == 401 && self.challenges,
            _ if is_missing => false,
            Assertion::Forbidden(_) => self.is_forbidden(),
            Assertion::Refused(_) => self.is_of_another_policy(),
            Assertion::Accepted(_) => {
                self.why.is_none() && !matches!(self.status, 401 | 403 | 500..)
            }
        };
        if is_met { None } else { Some(self.explained(assertion)) }
    }

    /// As a requirement answers, whatever a hook made of its status.
    fn is_forbidden(&self) -> bool {
        match &self.why {
            Some(why) => matches!(why, Error::Forbidden(_)) && !self.is_success(),
            None => match self.error {
                Some("insufficient_scope") => self.status == 403,
                Some("insufficient_user_authentication") => self.status == 401,
                _ => false,
            },
        }
    }

    /// By what tells one policy from another. An expired token, for one, is refused by each.
    fn is_of_another_policy(&self) -> bool {
        match &self.why {
            Some(why) => TELL_POLICIES_APART.contains(&why.reason()) && !self.is_success(),
            None => self.status == 401 && self.error == Some("invalid_token"),
        }
    }

    fn explained(&self, assertion: &Assertion) -> String {
        let Self { status, why, .. } = self;
        let Some(why) = why else {
            return match (status, assertion) {
                (404 | 405 | 501, _) => format!("{status}: is there such a route?"),
                (401, Assertion::Protected) => "401 without `WWW-Authenticate: Bearer`".to_owned(),
                (401 | 403, Assertion::Forbidden(_)) => {
                    format!("{status}, and not as a requirement does")
                }
                _ => status.to_string(),
            };
        };
        let hint = match (assertion, why) {
            (Assertion::Refused(_), Error::Forbidden(_) | Error::Shape(_)) => {
                ": so the policy accepts the token"
            }
            (Assertion::Refused(_), _) if *status == 401 => ": every policy refuses such a token",
            (Assertion::Forbidden(_), _) if *status == 401 => {
                ": give a token that the policy accepts"
            }
            _ => "",
        };
        format!("{status}: {why}{hint}")
    }
}

/// The reasons of a refusal that depend on whom a policy trusts, and for what.
const TELL_POLICIES_APART: [&str; 8] = [
    "unknown_issuer",
    "unknown_key",
    "bad_signature",
    "wrong_algorithm",
    "wrong_type",
    "wrong_audience",
    "claim_missing",
    "claim_rule",
];

fn is_listed(field: &[u8], name: &[u8]) -> bool {
    field.split(|byte| *byte == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(name))
}

impl Assertion {
    /// As whom a route is asked. The next is only asked where the one before was turned away: an open route
    /// has been called once, and that is enough.
    fn credentials(&self) -> Vec<(&'static str, Credentials)> {
        match self {
            Self::Protected => vec![
                ("without a token", Credentials::none()),
                ("with `Authorization: Bearer not-a-token`", "not-a-token".into()),
            ],
            Self::Forbidden(token) => vec![("with a token that may do nothing", token.clone())],
            Self::Refused(token) => vec![("with a token of another policy", token.clone())],
            Self::Accepted(token) => vec![("with its token", token.clone())],
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Protected => "assert_protected",
            Self::Forbidden(_) => "assert_forbidden",
            Self::Refused(_) => "assert_refused",
            Self::Accepted(_) => "assert_accepted",
        }
    }

    /// What is wrong with the routes that are named next, and how it would be right.
    fn verdict(&self) -> (&'static str, &'static str) {
        match self {
            Self::Protected => {
                ("not protected", "A protected route answers 401 with `WWW-Authenticate: Bearer`.")
            }
            Self::Forbidden(_) => (
                "open to every token",
                "A route with a requirement answers such a token 403, or 401 where the user has to authenticate again.",
            ),
            Self::Refused(_) => (
                "not behind the policy that was meant",
                "A policy answers 401 to tokens of an issuer, an audience or a kind that it does not trust.",
            ),
            Self::Accepted(_) => (
                "closed to this token",
                "A route that accepts a token answers neither 401 nor 403, and does not fail.",
            ),
        }
    }
}

/// How to mend what an assertion finds, in the words of a framework.
pub(crate) struct Hints {
    /// How a policy is put around a route.
    pub(crate) policy: &'static str,
    /// How a requirement is.
    pub(crate) requirement: &'static str,
}

/// Asks every route, and panics with all that are not as they should be.
pub(crate) async fn walk(
    assertion: Assertion,
    routes: Routes<'_>,
    hints: Hints,
    ask: impl AsyncFn(&Question<'_>) -> Result<Answer, String>,
) {
    let mut walk = Walk { assertion, ask, offenders: Vec::new() };
    for route in routes.listed() {
        walk.note(*route, Kind::Listed).await;
    }
    let of_list = walk.offenders.len();
    // Where no route of the list is as it should be, the others would only repeat why.
    let asks_others = !matches!(walk.assertion, Assertion::Accepted(_));
    if asks_others && of_list < routes.listed().len() {
        for route in routes.unlisted() {
            walk.note(route, Kind::Unlisted).await;
        }
        for (method, path) in routes.preflights() {
            let options = ("OPTIONS", path);
            if walk.offenders.iter().all(|(route, _)| *route != options) {
                walk.note(options, Kind::Preflight(method)).await;
            }
        }
    }
    let Walk { assertion, offenders, .. } = walk;
    assert!(!routes.listed().is_empty(), "no routes were given to `{}`", assertion.name());
    if offenders.is_empty() {
        return;
    }
    let (what, right) = assertion.verdict();
    let mut message = match offenders.len() {
        1 => format!("a route is {what}:"),
        count => format!("{count} routes are {what}:"),
    };
    for ((method, path), why) in &offenders {
        _ = write!(message, "\n  - {method} {path}{why}");
    }
    let hint = match assertion {
        Assertion::Forbidden(_) => hints.requirement,
        Assertion::Protected | Assertion::Refused(_) | Assertion::Accepted(_) => hints.policy,
    };
    _ = write!(message, "\n{right} {hint}");
    if offenders.len() > of_list {
        message.push_str(" Every method of a listed path is asked: what is open on purpose is left out by `Routes::except`.");
    }
    panic!("{message}");
}

struct Walk<'a, A> {
    assertion: Assertion,
    ask: A,
    /// Each with why.
    offenders: Vec<(Route<'a>, String)>,
}

impl<'a, A: AsyncFn(&Question<'_>) -> Result<Answer, String>> Walk<'a, A> {
    async fn note(&mut self, (method, path): Route<'a>, kind: Kind<'a>) {
        let mut asked = self.assertion.credentials();
        let (which, what) = match kind {
            Kind::Listed => ("", ""),
            Kind::Unlisted => (", which is not in the list", ""),
            Kind::Preflight(_) => ("", ", as a CORS preflight"),
        };
        if !matches!(kind, Kind::Listed) {
            asked.truncate(1);
        }
        for (how, credentials) in asked {
            let connection = Connection::default();
            let question = Question { method, path, credentials, kind, connection };
            let fault = match (self.ask)(&question).await {
                Ok(answer) => {
                    answer.fault(&self.assertion, kind).map(|why| format!("answered {why}"))
                }
                Err(error) => Some(format!("failed: {error}")),
            };
            if let Some(fault) = fault {
                let why = format!("{which}: {how}{what} it {fault}");
                return self.offenders.push(((method, path), why));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, fields: &[(&str, &str)]) -> Answer {
        let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        Answer::new(status, fields, None)
    }

    fn fault(status: u16, challenges: &[&str]) -> Option<String> {
        let fields: Vec<_> = challenges.iter().map(|text| ("www-authenticate", *text)).collect();
        answer(status, &fields).fault(&Assertion::Protected, Kind::Listed)
    }

    fn token() -> Credentials {
        "a.b.c".into()
    }

    #[test]
    fn a_bearer_challenge_protects_in_any_case_and_among_others() {
        for challenge in [
            "Bearer",
            "bearer",
            "Bearer realm=\"x\"",
            "Basic realm=\"x\", Bearer",
            "DPoP algs=\"ES256\", Bearer error=\"invalid_token\"",
        ] {
            assert_eq!(fault(401, &[challenge]), None, "{challenge}");
        }
        assert_eq!(fault(401, &["Basic", "Bearer"]), None);
    }

    #[test]
    fn anything_else_does_not() {
        let unchallenged = Some("401 without `WWW-Authenticate: Bearer`".to_owned());
        assert_eq!(fault(401, &[]), unchallenged);
        for challenge in ["Basic", "Bearerish", "Basic realm=\"Bearer\"", ""] {
            assert_eq!(fault(401, &[challenge]), unchallenged, "{challenge}");
        }
        assert_eq!(fault(200, &["Bearer"]), Some("200".to_owned()));
        assert_eq!(fault(404, &[]), Some("404: is there such a route?".to_owned()));
    }

    #[test]
    fn a_method_that_is_not_listed_may_be_missing_or_refused_and_nothing_else() {
        let fault = |status| {
            answer(status, &[("www-authenticate", "Bearer")])
                .fault(&Assertion::Protected, Kind::Unlisted)
        };
        for status in [401, 404, 405, 501] {
            assert_eq!(fault(status), None, "{status}");
        }
        for status in [200, 204, 302, 400, 403, 415, 422, 500, 503] {
            assert_eq!(fault(status), Some(status.to_string()));
        }
    }

    #[test]
    fn a_preflight_that_succeeds_is_of_a_cors_layer_or_a_hole() {
        let fault = |status, fields: &[(&str, &str)]| {
            answer(status, fields).fault(&Assertion::Protected, Kind::Preflight("POST"))
        };
        for (status, fields) in [
            (204, &[("access-control-allow-methods", "POST")][..]),
            (200, &[("vary", "Origin, Access-Control-Request-Method")]),
            (400, &[]),
            (405, &[]),
        ] {
            assert_eq!(fault(status, fields), None, "{status} {fields:?}");
        }
        let hole = |status| Some(format!("{status}, and not as a CORS layer does"));
        assert_eq!(fault(200, &[]), hole(200));
        assert_eq!(fault(204, &[("vary", "Origin"), ("allow", "POST")]), hole(204));
        assert_eq!(fault(200, &[("access-control-allow-origin", "*")]), hole(200));
    }

    #[test]
    fn without_the_error_a_challenge_says_what_a_requirement_or_a_policy_answered() {
        let scope = ("www-authenticate", "Bearer error=\"insufficient_scope\", scope=\"a\"");
        let user = ("www-authenticate", "Bearer error=\"insufficient_user_authentication\"");
        let token_fault = ("www-authenticate", "Bearer error=\"invalid_token\"");
        let forbidden = Assertion::Forbidden(token());
        let refused = Assertion::Refused(token());
        for (assertion, status, field, is_met) in [
            (&forbidden, 403, scope, true),
            (&forbidden, 401, user, true),
            (&forbidden, 401, token_fault, false),
            (&forbidden, 403, user, false),
            (&forbidden, 200, scope, false),
            (&refused, 401, token_fault, true),
            (&refused, 401, user, false),
            (&refused, 403, scope, false),
            (&refused, 200, token_fault, false),
        ] {
            let found = answer(status, &[field]).fault(assertion, Kind::Listed);
            assert_eq!(found.is_none(), is_met, "{assertion:?} {status} {field:?}");
        }
        assert!(answer(403, &[]).fault(&forbidden, Kind::Listed).is_some());
        assert!(answer(401, &[]).fault(&refused, Kind::Listed).is_some());
    }

    #[test]
    fn the_scope_of_a_challenge_is_its_parameter_and_no_other() {
        for (challenge, expected) in [
            ("Bearer error=\"insufficient_scope\", scope=\"a b\"", Some("a b")),
            ("Bearer scope=\"a\", error=\"insufficient_scope\"", Some("a")),
            ("Bearer realm=\"x\",scope=\"a\"", Some("a")),
            ("Bearer realm=\"a scope=\\\"b\\\"\"", None),
            ("Bearer xscope=\"a\"", None),
            ("Bearer scope=\"a", None),
            ("Bearer scope=\"é\"", Some("é")),
            ("Bearer", None),
        ] {
            let answer = answer(403, &[("www-authenticate", challenge)]);
            assert_eq!(answer.scope(), expected, "{challenge}");
        }
    }

    #[test]
    fn each_reason_that_tells_policies_apart_is_one() {
        for reason in TELL_POLICIES_APART {
            assert!(Error::REASONS.contains(&reason), "{reason}");
        }
    }
}

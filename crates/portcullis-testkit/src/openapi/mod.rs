//! Whether an app does what its OpenAPI document says of security. What is asked and what must come back stands here.
mod document;
mod sample;
#[cfg(all(test, feature = "axum"))]
mod tests;

use core::fmt::{self, Write};

use portcullis::Error;
use portcullis::error::SourceError;
use serde_json::Value;

use self::document::{Alternative, Documented, Operation, Presents};
pub use self::sample::Parameter;
use crate::mtls::MtlsClient;
use crate::protected::{Answer, Question};
use crate::routes::Credentials;

type Mints<'a> = dyn Fn(&WantedToken<'_>) -> String + 'a;
type Samples<'a> = dyn Fn(&Parameter<'_>) -> Option<String> + 'a;

/// An OpenAPI document (3.0 or 3.1), and what it takes to ask an app about it: for `assert_openapi`, whoever wrote or
/// generated the document.
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis_testkit::{OpenApi, TestIssuer};
/// use serde_json::json;
///
/// let issuer = TestIssuer::new("https://id.example");
/// // The one that the service serves:
/// let document = json!({ "openapi": "3.1.0", "paths": {} });
/// let document = OpenApi::new(&document, |wanted| {
///     issuer.token(Algorithm::ES256).scope(wanted.scope()).mint()
/// });
/// # let _ = document;
/// ```
///
/// Setters may be called in any order.
#[must_use]
pub struct OpenApi<'a> {
    document: &'a Value,
    token: Box<Mints<'a>>,
    sample: Box<Samples<'a>>,
    excepted: Vec<(&'a str, &'a str)>,
    is_mutating: bool,
    base: Option<String>,
    client: Option<&'a MtlsClient>,
}

impl<'a> OpenApi<'a> {
    /// This document, and a token for what it says: one that the policy accepts, with exactly the
    /// [scopes](WantedToken::scopes) that are wanted, and all else that the operation needs.
    pub fn new(document: &'a Value, token: impl Fn(&WantedToken<'_>) -> String + 'a) -> Self {
        Self {
            document,
            token: Box::new(token),
            sample: Box::new(|_| None),
            excepted: Vec::new(),
            is_mutating: false,
            base: None,
            client: None,
        }
    }

    /// Samples for parameters in the path and in the query, before the document is asked for one.
    ///
    /// If you do not call it, or it gives `None`: the `example`, one of the `examples`, or what the `schema` takes.
    /// Where there is none of these for the path, the operation counts as not tested, and the assertion fails.
    pub fn sample(mut self, sample: impl Fn(&Parameter<'_>) -> Option<String> + 'a) -> Self {
        self.sample = Box::new(sample);
        self
    }

    /// Asks operations as well whose methods change something: POST, PUT, PATCH and DELETE. Their handlers run, with an
    /// empty body.
    ///
    /// If you do not call it: GET, HEAD, OPTIONS and TRACE are asked.
    pub fn mutating(mut self) -> Self {
        self.is_mutating = true;
        self
    }

    /// Leaves these operations out, methods and paths as in the document. May be called several times.
    pub fn except(mut self, operations: &[(&'a str, &'a str)]) -> Self {
        self.excepted.extend_from_slice(operations);
        self
    }

    /// Asks over the connections of this client, with its certificate where the document asks for one beside the token: where an
    /// alternative has a scheme of the type `mutualTLS` as well. All else is asked without a certificate. The client's own
    /// token is not used: [`WantedToken::certificate`] says what yours has to be bound to.
    ///
    /// If you do not call it: an alternative with a certificate counts as not tested, and the assertion fails.
    pub fn mtls_client(mut self, client: &'a MtlsClient) -> Self {
        self.client = Some(client);
        self
    }

    /// Under which path the app has what the document describes: `""` where a proxy strips the path of the server.
    ///
    /// If you do not call it: under the path of the first of the `servers`.
    pub fn base(mut self, path: impl Into<String>) -> Self {
        self.base = Some(path.into());
        self
    }
}

impl fmt::Debug for OpenApi<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenApi")
            .field("excepted", &self.excepted)
            .field("is_mutating", &self.is_mutating)
            .field("base", &self.base)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// What the token has to have that [`OpenApi`] asks for.
#[derive(Debug)]
pub struct WantedToken<'w> {
    operation: &'w Operation,
    alternative: &'w Alternative,
    scopes: Vec<&'w str>,
    certificate: Option<&'w [u8]>,
}

impl WantedToken<'_> {
    /// The method of the operation.
    pub fn method(&self) -> &str {
        self.operation.method
    }

    /// Its path, as in the document.
    pub fn path(&self) -> &str {
        &self.operation.path
    }

    /// The name of the security scheme.
    pub fn scheme(&self) -> &str {
        &self.alternative.scheme
    }

    /// Exactly these scopes, and no other.
    pub fn scopes(&self) -> &[&str] {
        &self.scopes
    }

    /// The same as one text, as it stands in the claim `scope`.
    pub fn scope(&self) -> String {
        self.scopes.join(" ")
    }

    /// The DER of the certificate that the token has to be bound to, by
    /// [`TokenBuilder::bound_to_certificate`](crate::TokenBuilder::bound_to_certificate): that of
    /// [`OpenApi::mtls_client`], where the document asks for a certificate. `None`: bind it to none.
    pub fn certificate(&self) -> Option<&[u8]> {
        self.certificate
    }

    /// What the operation needs besides scopes, in words: what stands in `x-portcullis`, if it is there.
    pub fn beyond(&self) -> &[String] {
        &self.alternative.beyond
    }
}

/// Asks for every operation, and panics with all that are not as documented.
pub(crate) async fn walk(
    api: OpenApi<'_>,
    ask: impl AsyncFn(&Question<'_>) -> Result<Answer, String>,
) {
    if let Some(message) = message(api, ask).await {
        panic!("{message}");
    }
}

/// What is not as documented, and what was not tested.
async fn message(
    api: OpenApi<'_>,
    ask: impl AsyncFn(&Question<'_>) -> Result<Answer, String>,
) -> Option<String> {
    let documented = Documented::read(api.document, api.base.as_deref(), &*api.sample);
    let mut walk = Walk { api: &api, ask, faults: documented.faults, untested: Vec::new() };
    let (mut asked, mut passed_over) = (0_usize, 0_usize);
    for operation in &documented.operations {
        let Operation { method, path, .. } = operation;
        if api.excepted.iter().any(|(own, of)| own.eq_ignore_ascii_case(method) && of == path) {
            continue;
        }
        if !api.is_mutating && !operation.is_safe() {
            passed_over += 1;
            continue;
        }
        asked += 1;
        walk.operation(operation).await;
    }
    let Walk { faults, untested, .. } = walk;
    let unsafe_ones = match passed_over {
        0 => String::new(),
        count => format!(
            "\n{count} more would change something, and are asked where `OpenApi::mutating` is called."
        ),
    };
    if asked == 0 && faults.is_empty() {
        let hint = "see that it has `paths`";
        return Some(format!("the document has no operation to ask for: {hint}{unsafe_ones}"));
    }
    if faults.is_empty() && untested.is_empty() {
        return None;
    }
    let mut message = String::new();
    for (all, one, several) in [
        (faults, "a thing is not as documented:", "things are not as documented:"),
        (untested, "a thing was not tested:", "things were not tested:"),
    ] {
        let gap = if message.is_empty() { "" } else { "\n" };
        _ = match all.len() {
            0 => continue,
            1 => write!(message, "{gap}{one}"),
            count => write!(message, "{gap}{count} {several}"),
        };
        for line in all {
            _ = write!(message, "\n  - {line}");
        }
    }
    Some(format!("{message}{unsafe_ones}"))
}

/// Who sends a token.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Sender {
    /// The token is bound to nothing, and the client presents no certificate.
    Unbound,
    /// The token is bound to the certificate that the client presents.
    Own,
    /// The token is bound, and its sender presents no certificate.
    Thief,
}

impl Sender {
    fn of(alternative: &Alternative) -> Self {
        if alternative.needs_certificate { Self::Own } else { Self::Unbound }
    }
}

struct Walk<'a, A> {
    api: &'a OpenApi<'a>,
    ask: A,
    faults: Vec<String>,
    untested: Vec<String>,
}

impl<A: AsyncFn(&Question<'_>) -> Result<Answer, String>> Walk<'_, A> {
    async fn operation(&mut self, operation: &Operation) {
        let address = match &operation.address {
            Ok(address) => address,
            Err(why) => return self.untested.push(format!("{operation}: {why}")),
        };
        self.untested.extend(operation.untested.iter().map(|why| format!("{operation}: {why}")));
        if !self.without_token(operation, address).await {
            return;
        }
        for alternative in &operation.alternatives {
            if alternative.needs_certificate && self.api.client.is_none() {
                self.untested.push(format!(
                    "{operation}: asks for a certificate beside `{}`: give a client that has one, by `OpenApi::mtls_client`",
                    alternative.scheme
                ));
                continue;
            }
            let all: Vec<_> = alternative.scopes.iter().map(String::as_str).collect();
            if !self.with_all(operation, address, alternative, &all).await {
                continue;
            }
            if operation.is_open {
                continue;
            }
            if alternative.needs_certificate
                && !self.without_certificate(operation, address, alternative, &all).await
            {
                continue;
            }
            for scope in &all {
                let rest: Vec<_> = all.iter().copied().filter(|own| own != scope).collect();
                if !operation.alternatives.iter().any(|other| other.is_met_by(alternative, &rest)) {
                    self.without_one(operation, address, alternative, rest, scope).await;
                }
            }
        }
    }

    async fn ask(
        &mut self,
        operation: &Operation,
        (method, address): (&str, &str),
        (credentials, with_certificate): (Credentials, bool),
        how: &str,
    ) -> Option<Answer> {
        let question = match self.api.client {
            Some(client) => client.ask_by((method, address), credentials, with_certificate),
            None => Question::plain(method, address, credentials),
        };
        match (self.ask)(&question).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.faults.push(format!("{operation}: {how} it failed: {error}"));
                None
            }
        }
    }

    /// Whether it answered as documented, so that it is worth to ask on.
    async fn without_token(&mut self, operation: &Operation, address: &str) -> bool {
        let how = "without a token";
        let asked = (operation.method, address);
        let Some(answer) = self.ask(operation, asked, (Credentials::none(), false), how).await
        else {
            return false;
        };
        let fault = if operation.is_open {
            if answer.is_refusal() {
                Some(format!("{}, though the document says that it needs none", answer.shown()))
            } else {
                answer.missing_route(operation)
            }
        } else {
            answer.fault_without_token(operation)
        };
        if let Some(fault) = fault {
            self.faults.push(format!("{operation}: {how} it answered {fault}"));
            return false;
        }
        // Routers answer HEAD by GET, whether or not a document says so.
        if operation.method == "GET" && !operation.is_open && !operation.has_head {
            let how = "without a token, to HEAD";
            let asked = ("HEAD", address);
            let answer = self.ask(operation, asked, (Credentials::none(), false), how).await;
            let answer = answer.filter(|it| !it.is_refusal() && !it.is_missing());
            if let Some(answer) = answer {
                self.faults.push(format!("{operation}: {how} it answered {}", answer.shown()));
            }
        }
        let has_certificate = operation.alternatives.iter().any(|it| it.needs_certificate);
        if has_certificate && !operation.is_open && self.api.client.is_some() {
            let how = "with a certificate and without a token";
            let asked = (operation.method, address);
            let answer = self.ask(operation, asked, (Credentials::none(), true), how).await;
            let fault = answer.and_then(|answer| answer.fault_without_token(operation));
            if let Some(fault) = fault {
                self.faults.push(format!("{operation}: {how} it answered {fault}"));
                return false;
            }
        }
        true
    }

    async fn with_all(
        &mut self,
        operation: &Operation,
        address: &str,
        alternative: &Alternative,
        scopes: &[&str],
    ) -> bool {
        let how = match scopes {
            [] => format!("with a token in `{}`", alternative.scheme),
            some => format!("with `{}` in `{}`", some.join(" "), alternative.scheme),
        };
        let sender = Sender::of(alternative);
        let asked = (alternative, scopes.to_vec(), sender);
        let answer = self.with_token(operation, address, asked, &how).await;
        let Some(answer) = answer else { return false };
        let fault = if answer.is_refusal() {
            let hint = match answer.why() {
                Some(Error::Forbidden(_)) if !alternative.beyond.is_empty() => {
                    ": let the token have what is beyond its scopes, by `WantedToken::beyond`"
                }
                Some(Error::Forbidden(_)) | None => "",
                Some(Error::Certificate(_)) if !alternative.needs_certificate => {
                    ": the document does not say that it takes a certificate as well"
                }
                Some(Error::Certificate(_)) => {
                    ": does the token have `WantedToken::certificate`, and does the client of `OpenApi::mtls_client` come as the policy has it, by TLS or behind a proxy?"
                }
                Some(_) => ": give a token that the policy accepts",
            };
            Some(format!("{}{hint}", answer.shown()))
        } else {
            answer.missing_route(operation)
        };
        let is_let_in = fault.is_none();
        self.faults.extend(fault.map(|fault| format!("{operation}: {how} it answered {fault}")));
        is_let_in
    }

    /// Whether nobody gets in without the certificate that the document asks for.
    async fn without_certificate(
        &mut self,
        operation: &Operation,
        address: &str,
        alternative: &Alternative,
        scopes: &[&str],
    ) -> bool {
        let others = &operation.alternatives;
        if others.iter().any(|other| other.is_met_without_certificate(alternative, scopes)) {
            return true;
        }
        let before = self.faults.len();
        for (sender, how) in [
            (Sender::Thief, "without the certificate that its token is bound to"),
            (Sender::Unbound, "with a token that is bound to nothing, and without a certificate,"),
        ] {
            let asked = (alternative, scopes.to_vec(), sender);
            let answer = self.with_token(operation, address, asked, how).await;
            let fault = answer.and_then(|answer| answer.fault_without_certificate(operation));
            let fault = fault.map(|fault| format!("{operation}: {how} it answered {fault}"));
            self.faults.extend(fault);
        }
        self.faults.len() == before
    }

    async fn without_one(
        &mut self,
        operation: &Operation,
        address: &str,
        alternative: &Alternative,
        rest: Vec<&str>,
        scope: &str,
    ) {
        let how = format!("without the scope `{scope}` in `{}`", alternative.scheme);
        let asked = (alternative, rest, Sender::of(alternative));
        let answer = self.with_token(operation, address, asked, &how).await;
        let fault = answer.and_then(|answer| answer.fault_without_scope(operation, alternative));
        self.faults.extend(fault.map(|fault| format!("{operation}: {how} it answered {fault}")));
    }

    async fn with_token(
        &mut self,
        operation: &Operation,
        address: &str,
        (alternative, scopes, sender): (&Alternative, Vec<&str>, Sender),
        how: &str,
    ) -> Option<Answer> {
        let certificate = self.api.client.filter(|_| sender != Sender::Unbound);
        let certificate = certificate.map(MtlsClient::der);
        let wanted = WantedToken { operation, alternative, scopes, certificate };
        let token = (self.api.token)(&wanted);
        let presents_certificate = sender == Sender::Own;
        let credentials = match &alternative.presents {
            Presents::Bearer => token.as_str().into(),
            Presents::Header { name, prefix } => {
                Credentials::headers(&[(name, &format!("{prefix}{token}"))])
            }
            // As a page of the service's own would send it.
            Presents::Cookie { name } => Credentials::headers(&[
                ("cookie", &format!("{name}={token}")),
                ("sec-fetch-site", "same-origin"),
            ]),
            Presents::Query { name } => {
                let mark = if address.contains('?') { '&' } else { '?' };
                let address = format!("{address}{mark}{name}={token}");
                let asked = (operation.method, address.as_str());
                let sent = (Credentials::none(), presents_certificate);
                return self.ask(operation, asked, sent, how).await;
            }
        };
        let sent = (credentials, presents_certificate);
        self.ask(operation, (operation.method, address), sent, how).await
    }
}

impl Answer {
    /// Whether Portcullis refused, or something that challenges as it does. A handler that answers 403 itself ran.
    fn is_refusal(&self) -> bool {
        self.why().is_some()
            || (self.status() == 401 && self.challenges())
            || self.error().is_some()
    }

    fn is_missing(&self) -> bool {
        matches!(self.status(), 404 | 405 | 501) && self.why().is_none()
    }

    /// What it answered, and why.
    fn shown(&self) -> String {
        match self.why() {
            Some(why) => format!("{}: {why}", self.status()),
            None => self.status().to_string(),
        }
    }

    fn missing_route(&self, operation: &Operation) -> Option<String> {
        let is_fault = self.is_missing() && !operation.documents(self.status());
        is_fault.then(|| format!("{}: is there such a route?", self.status()))
    }

    fn undocumented(&self, operation: &Operation) -> Option<String> {
        let is_fault = !operation.documents(self.status());
        is_fault.then(|| format!("{}, which is not among its `responses`", self.status()))
    }

    fn fault_without_token(&self, operation: &Operation) -> Option<String> {
        let is_met = match self.why() {
            Some(why) => {
                matches!(why, Error::Source(SourceError::Missing | SourceError::DpopScheme))
                    && !self.is_success()
            }
            None => self.status() == 401 && self.challenges(),
        };
        if is_met {
            return self.undocumented(operation);
        }
        Some(match (self.why(), self.status()) {
            (Some(_), _) => self.shown(),
            (None, 404 | 405 | 501) => format!("{}: is there such a route?", self.status()),
            (None, 401) => "401 without `WWW-Authenticate: Bearer`".to_owned(),
            (None, _) => format!("{}, though its `security` asks for one", self.status()),
        })
    }

    fn fault_without_certificate(&self, operation: &Operation) -> Option<String> {
        let is_met = match self.why() {
            Some(why) => matches!(why, Error::Certificate(_)) && self.status() == 401,
            None => self.status() == 401 && self.challenges(),
        };
        if is_met {
            return self.undocumented(operation);
        }
        Some(match self.why() {
            Some(_) => self.shown(),
            None => format!("{}, though its `security` asks for one", self.status()),
        })
    }

    fn fault_without_scope(
        &self,
        operation: &Operation,
        alternative: &Alternative,
    ) -> Option<String> {
        let is_met = match self.why() {
            Some(why) => matches!(why, Error::Forbidden(_)) && !self.is_success(),
            None => self.status() == 403 && self.error() == Some("insufficient_scope"),
        };
        if !is_met {
            return Some(match self.why() {
                Some(_) => self.shown(),
                None => format!("{}, and not as a requirement does", self.status()),
            });
        }
        let Some(challenged) = self.scope() else {
            return Some(format!("{} without a scope in its challenge", self.status()));
        };
        // Of several alternatives, a client is told one.
        let challenged_scopes: Vec<_> = challenged.split(' ').collect();
        if !operation.alternatives.iter().any(|one| one.has_exactly(&challenged_scopes)) {
            return Some(format!(
                "{} with a challenge for `{challenged}`, and the document asks for `{}`",
                self.status(),
                alternative.scopes.join(" ")
            ));
        }
        self.undocumented(operation)
    }
}

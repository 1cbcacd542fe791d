//! How a refusal looks: status, `WWW-Authenticate` (RFC 6750 §3), problem details (RFC 9457).
use core::fmt;
use core::time::Duration;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

mod challenge;
pub mod grpc;
mod problem;
mod refused;
mod response;
pub(crate) mod rows;

pub(crate) use self::challenge::Scheme;
use self::grpc::{GrpcStatus, is_grpc};
pub(crate) use self::refused::WaitingRequest;
pub use self::refused::{RefusalContext, Refused, RefusedRequest};
pub use self::response::RejectionResponse;
use self::rows::{Answer, Challenge, Row};
use crate::dpop::Nonce;
use crate::error::{Error, Forbidden};
use crate::request::RequestView;
use crate::setting::{Setting, Shared, Voice};
use crate::text::is_scope;

/// What a client is told to wait where nothing better is known: about what a restart takes.
pub(crate) const RETRY: Duration = Duration::from_secs(5);

/// RFC 9449 §8.2.
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Code, title and detail of a problem.
pub(crate) type Texts = (&'static str, &'static str, &'static str);

type Hook = dyn Fn(Refused<'_>, &mut RejectionResponse) + Send + Sync;

/// How refusals look, the same through every framework.
///
/// Setters may be called in any order. Each says one thing: to say another is a fault of the policy.
///
/// ```
/// use portcullis::Presentation;
///
/// let presentation = Presentation::new()
///     .realm("orders")
///     .problem_base("https://orders.example/problems/")
///     .on_refusal(|refused, response| {
///         let body = format!(r#"{{"error":"{}"}}"#, refused.code());
///         response.set_body("application/json", body);
///     });
/// # let _ = presentation;
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Presentation {
    pub(crate) realm: Setting<String>,
    pub(crate) resource_metadata: Setting<String>,
    problem_base: Setting<String>,
    scopes: Setting<Vec<String>>,
    pub(crate) without_details: bool,
    hook: Setting<Shared<Hook>>,
    /// The proofs that challenges ask for.
    proofs: Option<AskedProofs>,
}

impl Presentation {
    /// The defaults of the setters.
    pub fn new() -> Self {
        Self::default()
    }

    /// The `realm` of the challenge (RFC 9110 §11.5).
    ///
    /// If you do not call it: there is none.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.realm.say(Voice::Plain, realm.into());
        self
    }

    /// Where the metadata of this resource stands (RFC 9728 §5.1). Never derived from a request.
    ///
    /// If you do not call it: the challenge does not say.
    pub fn resource_metadata(mut self, url: impl Into<String>) -> Self {
        self.resource_metadata.say(Voice::Plain, url.into());
        self
    }

    /// What stands in front of the code in the `type` of the problem details (RFC 9457 §3.1.1).
    ///
    /// If you do not call it: the type is `about:blank`, and so the title the phrase of the status alone (RFC 9457 §4.2.1). Which
    /// problem it is, the member `code` says either way.
    pub fn problem_base(mut self, base: impl Into<String>) -> Self {
        self.problem_base.say(Voice::Plain, base.into());
        self
    }

    /// The scopes that a client should ask for first: those of whom it takes most (RFC 6750 §3). They are in
    /// the challenge to a request without a token, or with a bad one; what a route asks for besides, it says
    /// itself.
    ///
    /// If you do not call it: that challenge names none.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes.say(Voice::Plain, scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Tells clients the error and the code, and no more of why.
    ///
    /// If you do not call it: a sentence says whether the token has expired, is not for this resource, …
    pub fn without_details(mut self) -> Self {
        self.without_details = true;
        self
    }

    /// Sees every refusal, and may change or replace the response. It runs once for each, when the response is made.
    ///
    /// [`Refused`] says what the client may be told, and which request was refused; the error is for logs alone. If
    /// you do not call it, the response stays as it is.
    ///
    /// ```
    /// use portcullis::Presentation;
    ///
    /// let presentation = Presentation::new().on_refusal(|refused, response| {
    ///     let error = serde_json::json!({
    ///         "code": refused.code(),
    ///         "message": refused.detail().unwrap_or(refused.title()),
    ///         "path": refused.request().and_then(|request| request.path()),
    ///     });
    ///     let body = serde_json::json!({ "error": error }).to_string();
    ///     response.set_body("application/json", body);
    /// });
    /// # let _ = presentation;
    /// ```
    pub fn on_refusal(
        mut self,
        hook: impl Fn(Refused<'_>, &mut RejectionResponse) + Send + Sync + 'static,
    ) -> Self {
        self.hook.say(Voice::Plain, Shared(Arc::new(hook)));
        self
    }

    /// Says what `other` says.
    pub(crate) fn add(&mut self, voice: Voice, other: Self) {
        let Self {
            realm,
            resource_metadata,
            problem_base,
            scopes,
            without_details,
            hook,
            // Which `compile` sets.
            proofs: _,
        } = other;
        self.realm.add(voice, realm);
        self.resource_metadata.add(voice, resource_metadata);
        self.problem_base.add(voice, problem_base);
        self.scopes.add(voice, scopes);
        self.without_details |= without_details;
        self.hook.add(voice, hook);
    }

    /// Settings of which two different words were said.
    pub(crate) fn contradicted(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("realm", self.realm.is_contradicted()),
            ("resource_metadata", self.resource_metadata.is_contradicted()),
            ("problem_base", self.problem_base.is_contradicted()),
            ("scopes", self.scopes.is_contradicted()),
            ("on_refusal", self.hook.is_contradicted()),
        ];
        all.into_iter().filter_map(|(setting, is_contradicted)| is_contradicted.then_some(setting))
    }

    /// Settings with characters that their header cannot carry: RFC 9110 §5.6.4, without escapes.
    pub(crate) fn unwritable(&self) -> impl Iterator<Item = &'static str> {
        let texts = [
            ("realm", &self.realm),
            ("resource_metadata", &self.resource_metadata),
            ("problem_base", &self.problem_base),
        ];
        let is_bad = |text: &String| {
            text.bytes().any(|byte| !(b' '..=b'~').contains(&byte) || matches!(byte, b'"' | b'\\'))
        };
        let scopes = self.scopes.get().into_iter().flatten();
        let scopes = scopes.into_iter().any(|scope| !is_scope(scope)).then_some("scopes");
        texts
            .map(|(setting, text)| text.get().is_some_and(is_bad).then_some(setting))
            .into_iter()
            .chain([scopes])
            .flatten()
    }

    /// Writes every answer that there can be, so that a refusal only copies one.
    pub(crate) fn compile(mut self, proofs: Option<AskedProofs>) -> CompiledPresentation {
        self.proofs = proofs;
        let write = |used| Box::new(Answer::ALL.map(|answer| self.write(used, answer.row())));
        let answers = write(Scheme::Bearer);
        // Where nobody gets in without, all answers are for that scheme.
        let has_schemes = self.proofs.as_ref().is_some_and(|proofs| !proofs.are_required);
        let to_dpop = has_schemes.then(|| write(Scheme::Dpop));
        CompiledPresentation { answers, to_dpop, settings: self }
    }

    fn write(&self, used: Scheme, row: &Row) -> RejectionResponse {
        let mut headers = HeaderMap::with_capacity(4);
        if row.challenge != Challenge::Absent {
            self.write_challenges(&mut headers, used, row, None);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // RFC 9111 §5.2.2.5: an answer about credentials is for nobody else.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let body = self.problem(row.status, (row.code, row.title, row.detail));
        RejectionResponse { status: row.status, headers, body }
    }

    /// Each scheme has a line of its own: who splits at commas reads both. `Bearer` comes first. If a nonce is asked for, `DPoP`
    /// does: requests-oauth2client of Python and the client of the AT Protocol look for that only at the start of the joined
    /// lines. At any other refusal that begins with `DPoP`, the former misses a nonce and throws.
    fn write_challenges(
        &self,
        headers: &mut HeaderMap,
        used: Scheme,
        row: &Row,
        forbidden: Option<&Forbidden>,
    ) {
        let (schemes, used) = match &self.proofs {
            None => (&[Scheme::Bearer][..], Scheme::Bearer),
            // With the other one nobody gets in.
            Some(proofs) if proofs.are_required => (&[Scheme::Dpop][..], Scheme::Dpop),
            Some(_) if row.challenge == Challenge::USE_NONCE => {
                (&[Scheme::Dpop, Scheme::Bearer][..], used)
            }
            Some(_) => (&[Scheme::Bearer, Scheme::Dpop][..], used),
        };
        headers.remove(WWW_AUTHENTICATE);
        for scheme in schemes {
            headers.append(WWW_AUTHENTICATE, self.challenge(*scheme, used, row, forbidden));
        }
    }
}

/// RFC 9110 §10.2.3: whole seconds. Zero would ask for a storm.
pub(crate) fn retry_after(wait: Duration) -> HeaderValue {
    let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
    HeaderValue::from(seconds)
}

impl fmt::Debug for Presentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presentation")
            .field("realm", &self.realm)
            .field("resource_metadata", &self.resource_metadata)
            .field("problem_base", &self.problem_base)
            .finish_non_exhaustive()
    }
}

/// The proofs that a policy takes, as challenges tell it.
#[derive(Clone)]
pub(crate) struct AskedProofs {
    /// Their names, with spaces between.
    pub(crate) algorithms: String,
    /// Nobody gets in without.
    pub(crate) are_required: bool,
}

/// Every answer, written.
pub(crate) struct CompiledPresentation {
    answers: Box<[RejectionResponse; Answer::ALL.len()]>,
    /// To requests with the scheme `DPoP`, where there are others.
    to_dpop: Option<Box<[RejectionResponse; Answer::ALL.len()]>>,
    settings: Presentation,
}

impl CompiledPresentation {
    #[cfg(feature = "explain")]
    pub(crate) fn settings(&self) -> &Presentation {
        &self.settings
    }

    /// Whether an answer goes by the scheme with which a token came.
    pub(crate) fn has_schemes(&self) -> bool {
        self.to_dpop.is_some()
    }

    /// Whether somebody wants to see the request that is turned away.
    pub(crate) fn has_hook(&self) -> bool {
        self.settings.hook.get().is_some()
    }

    pub(crate) fn tells_details(&self) -> bool {
        !self.settings.without_details
    }

    pub(crate) fn refusal(
        &self,
        error: &Error,
        used: Scheme,
        nonce: Option<&Nonce>,
        request: Option<&RefusedRequest>,
    ) -> RejectionResponse {
        let answer = Answer::to(error);
        let to_dpop = self.to_dpop.as_ref().filter(|_| used == Scheme::Dpop);
        let mut refusal = to_dpop.unwrap_or(&self.answers)[answer as usize].clone();
        if let Error::Forbidden(forbidden) = error {
            let headers = &mut refusal.headers;
            self.settings.write_challenges(headers, used, answer.row(), Some(forbidden));
        }
        // For the client's next request, whether it had a proof or not yet.
        if let Some(nonce) = nonce.filter(|_| refusal.status == StatusCode::UNAUTHORIZED)
            && let Ok(value) = HeaderValue::from_str(nonce.as_str())
        {
            refusal.headers.insert(DPOP_NONCE, value);
        }
        if let Some(wait) = error.unavailable() {
            refusal.headers.insert(RETRY_AFTER, retry_after(wait.unwrap_or(RETRY)));
        }
        if let Some(Shared(hook)) = self.settings.hook.get() {
            let tells_details = self.tells_details();
            hook(Refused::new(error, request, tells_details), &mut refusal);
        }
        refusal
    }

    /// This refusal, as the end of a gRPC call.
    pub(crate) fn grpc_status(&self, error: &Error, refusal: RejectionResponse) -> GrpcStatus {
        let row = Answer::to(error).row();
        let message = if self.settings.without_details { row.title } else { row.detail };
        GrpcStatus::new(row.grpc as i32, message, refusal)
    }

    /// Problem details of a route's own.
    pub(crate) fn problem(&self, status: StatusCode, texts: Texts) -> Bytes {
        self.settings.problem(status, texts)
    }
}

/// How a route answers that no policy stands in front of.
pub(crate) fn without_policy() -> &'static CompiledPresentation {
    static DEFAULT: LazyLock<CompiledPresentation> =
        LazyLock::new(|| Presentation::default().compile(None));
    &DEFAULT
}

/// In which form a request wants a refusal.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ResponseForm {
    /// Status, headers and body.
    #[default]
    Full,
    /// To HEAD: without the body, of which the headers say how long it would be (RFC 9110 §9.3.2).
    WithoutBody,
    /// To a gRPC call: the status stands in `grpc-status`, and the response has no body. Of what a
    /// [hook](Presentation::on_refusal) set, the headers count.
    Grpc,
}

impl ResponseForm {
    /// What this request wants.
    pub fn for_request(request: &impl RequestView) -> Self {
        match request.method() {
            "HEAD" => Self::WithoutBody,
            _ if is_grpc(request) => Self::Grpc,
            _ => Self::Full,
        }
    }
}

impl RejectionResponse {
    pub(crate) fn into_form(
        mut self,
        form: ResponseForm,
        presentation: &CompiledPresentation,
        error: &Error,
    ) -> Self {
        match form {
            ResponseForm::Full => {}
            // Its length, which frameworks would take from the empty body, is that of the body to GET or is
            // not there at all (RFC 9110 §8.6).
            ResponseForm::WithoutBody => {
                self.headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
                self.body = Bytes::new();
            }
            ResponseForm::Grpc => {
                let status = self.status;
                return presentation.grpc_status(error, self).into_trailers_only(status);
            }
        }
        self
    }
}

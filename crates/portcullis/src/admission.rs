use core::fmt;
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;

use crate::authorize::Requirement;
use crate::dpop::Proven;
use crate::error::{Error, SourceError};
use crate::observe;
use crate::refusal::grpc::GrpcStatus;
use crate::refusal::{
    self, CompiledPresentation, RefusalContext, Refused, RefusedRequest, RejectionResponse,
    ResponseForm, Scheme,
};
use crate::request::UsedProof;
use crate::response::ResponseNeeds;
use crate::source::TokenCookie;
use crate::terms::Terms;
use crate::verified::VerifiedToken;

/// How a request got in. The layers put this, and only this, into the request's extensions.
///
/// It carries its policy, so that an extractor answers as the layer would.
///
/// ```compile_fail
/// # use portcullis::{Admission, VerifiedToken};
/// // Nobody else makes one, so that a layer further in can believe it.
/// fn let_in(token: VerifiedToken) -> Admission { Admission::verified(token) }
/// ```
#[derive(Clone)]
pub struct Admission(Caller);

#[derive(Clone)]
enum Caller {
    /// The token has the terms.
    Verified(VerifiedToken),
    Anonymous(Arc<Terms>),
    /// The same, with what its request showed of the key that the token is bound to. Not by value: most tokens are bound to none.
    Proven(Arc<(VerifiedToken, Proven)>),
}

impl Admission {
    pub(crate) fn anonymous(terms: Arc<Terms>) -> Self {
        Self(Caller::Anonymous(terms))
    }

    pub(crate) fn verified(token: VerifiedToken) -> Self {
        Self(Caller::Verified(token))
    }

    pub(crate) fn with_proof(token: VerifiedToken, proven: Proven) -> Self {
        Self(Caller::Proven(Arc::new((token, proven))))
    }

    /// The token. `None`: the request had none, and the policy allows that.
    pub fn token(&self) -> Option<&VerifiedToken> {
        match &self.0 {
            Caller::Verified(token) => Some(token),
            Caller::Proven(proven) => Some(&proven.0),
            Caller::Anonymous(_) => None,
        }
    }

    #[inline]
    pub(crate) fn has_private_responses(&self) -> bool {
        self.terms().has_private_responses
    }

    #[inline]
    pub(crate) fn is_proven(&self) -> bool {
        matches!(self.0, Caller::Proven(_))
    }

    #[inline]
    fn proven(&self) -> Option<&Proven> {
        match &self.0 {
            Caller::Proven(proven) => Some(&proven.1),
            Caller::Verified(_) | Caller::Anonymous(_) => None,
        }
    }

    /// For a layer: what the response needs besides what the handler says.
    #[inline]
    pub fn response_needs(&self) -> ResponseNeeds {
        match self.proven().and_then(|proven| proven.next_nonce.clone()) {
            Some(nonce) => ResponseNeeds::nonce(nonce),
            None => ResponseNeeds::caching(self.has_private_responses()),
        }
    }

    /// For a layer: the proof that this request used, if it had one. A layer puts it into the request's extensions as well. Then a
    /// layer further in does not take the proof for one that was used before.
    #[inline]
    pub fn used_proof(&self) -> Option<UsedProof> {
        self.proven().map(|proven| proven.used.clone())
    }

    #[inline]
    pub(crate) fn terms(&self) -> &Arc<Terms> {
        match &self.0 {
            Caller::Verified(token) => &token.terms().policy,
            Caller::Proven(proven) => &proven.0.terms().policy,
            Caller::Anonymous(terms) => terms,
        }
    }

    /// For an extractor that asks for a token; `found` is what the request's extensions hold, and
    /// `context` the request, or a [`ResponseForm`] where that is gone.
    ///
    /// # Errors
    ///
    /// The request has no token, or no policy stands in front of the route.
    pub fn require(
        found: Option<&Self>,
        context: impl RefusalContext + Copy,
    ) -> Result<&VerifiedToken, Rejection> {
        let admission = Self::installed(found, context)?;
        admission.token().ok_or_else(|| admission.reject(SourceError::Missing, context))
    }

    /// For an extractor that can do without.
    ///
    /// # Errors
    ///
    /// No policy stands in front of the route.
    pub fn optional(
        found: Option<&Self>,
        context: impl RefusalContext + Copy,
    ) -> Result<Option<&VerifiedToken>, Rejection> {
        Ok(Self::installed(found, context)?.token())
    }

    /// For an extractor of typed claims.
    ///
    /// # Errors
    ///
    /// As [`require`](Self::require), or the claims are no `T`.
    pub fn require_claims<T: DeserializeOwned + Send + Sync + 'static>(
        found: Option<&Self>,
        context: impl RefusalContext + Copy,
    ) -> Result<Arc<T>, Rejection> {
        let admission = Self::installed(found, context)?;
        admission.claims(context)?.ok_or_else(|| admission.reject(SourceError::Missing, context))
    }

    /// For an extractor of typed claims that can do without.
    ///
    /// # Errors
    ///
    /// As [`optional`](Self::optional), or the claims are no `T`.
    pub fn optional_claims<T: DeserializeOwned + Send + Sync + 'static>(
        found: Option<&Self>,
        context: impl RefusalContext + Copy,
    ) -> Result<Option<Arc<T>>, Rejection> {
        Self::installed(found, context)?.claims(context)
    }

    /// For a layer or an extractor that asks for more than the policy.
    ///
    /// # Errors
    ///
    /// As [`require`](Self::require), or the token does not meet the requirement.
    pub fn authorize<'a>(
        found: Option<&'a Self>,
        requirement: &Requirement,
        context: impl RefusalContext + Copy,
    ) -> Result<&'a VerifiedToken, Rejection> {
        let admission = Self::installed(found, context)?;
        let token = Self::require(Some(admission), context)?;
        requirement.check(token).map_err(|error| admission.reject(error, context))?;
        Ok(token)
    }

    fn claims<T: DeserializeOwned + Send + Sync + 'static>(
        &self,
        context: impl RefusalContext + Copy,
    ) -> Result<Option<Arc<T>>, Rejection> {
        let claims = self.token().map(VerifiedToken::claims).transpose();
        claims.map_err(|error| self.reject(error, context))
    }

    /// Turns the request away after all.
    #[expect(clippy::needless_pass_by_value, reason = "it is a reference, or the form alone")]
    pub fn reject(&self, error: impl Into<Error>, context: impl RefusalContext) -> Rejection {
        let terms = Arc::clone(self.terms());
        let caller = self.token().filter(|_| terms.names_callers);
        let error = error.into();
        observe::refused(&error, Some(&terms), caller, &context);
        let is_bound_to_key = self.token().is_some_and(|token| token.bound_key().is_some());
        let mut rejection = Rejection::told(error, Some(terms), &context);
        if is_bound_to_key {
            rejection.scheme = Scheme::Dpop;
        }
        rejection
    }

    #[expect(clippy::needless_pass_by_value, reason = "it is a reference, or the form alone")]
    pub(crate) fn installed(
        found: Option<&Self>,
        context: impl RefusalContext,
    ) -> Result<&Self, Rejection> {
        // The client is told nothing that helps, and no policy's hook sees it.
        found.ok_or_else(|| Rejection::new(Error::NotInstalled, None, &context))
    }
}

impl VerifiedToken {
    /// For a connection that outlives its request, when [`Policy::recheck`](crate::Policy::recheck) says no: the end, as the layer would
    /// have refused the request.
    pub fn reject(&self, error: impl Into<Error>, context: impl RefusalContext) -> Rejection {
        Admission::verified(self.clone()).reject(error, context)
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("token", &self.token()).finish_non_exhaustive()
    }
}

/// A request that is turned away: why, and how the response looks.
///
/// The response is made when it is first asked for, and once: the policy's
/// [hook](crate::Presentation::on_refusal) runs no second time, whoever asks and how often. So it is not `Clone`.
pub struct Rejection {
    error: Error,
    /// `None`: there is no policy in front of the route.
    terms: Option<Arc<Terms>>,
    form: ResponseForm,
    /// With which scheme the token came.
    scheme: Scheme,
    /// For the policy's hook, if it has one.
    request: Option<Box<RefusedRequest>>,
    /// What clears a cookie: the value of a `Set-Cookie` header.
    clears: Option<Box<str>>,
    /// In full, whatever the form. In a box, since most are taken as they are made.
    refusal: OnceLock<Box<RejectionResponse>>,
}

impl Rejection {
    pub(crate) fn new(
        error: Error,
        terms: Option<Arc<Terms>>,
        context: &impl RefusalContext,
    ) -> Self {
        observe::refused(&error, terms.as_deref(), None, context);
        Self::told(error, terms, context)
    }

    /// Of an error that operators have been told.
    fn told(error: Error, terms: Option<Arc<Terms>>, context: &impl RefusalContext) -> Self {
        let has_hook = terms.as_ref().is_some_and(|terms| terms.presentation.has_hook());
        let request = if has_hook { context.refused_request() } else { None };
        let has_schemes = terms.as_ref().is_some_and(|terms| terms.presentation.has_schemes());
        let scheme = if has_schemes { context.scheme() } else { Scheme::default() };
        let form = context.form();
        let request = request.map(Box::new);
        Self { error, terms, form, scheme, request, clears: None, refusal: OnceLock::new() }
    }

    pub(crate) fn clearing(mut self, cookie: &TokenCookie) -> Self {
        self.clears = Some(cookie.removal_cookie().into());
        self
    }

    /// Why, for logs: it may name limits and types of the service.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Why.
    pub fn into_error(self) -> Error {
        self.error
    }

    /// A word for programs, of a closed list: the `code` of the problem details.
    pub fn code(&self) -> &'static str {
        self.refused().code()
    }

    /// A few words for the client, in English, the same for each refusal of this code.
    pub fn title(&self) -> &'static str {
        self.refused().title()
    }

    /// A sentence for the client, in English. `None`: the policy was told to give
    /// [no details](crate::Presentation::without_details).
    pub fn detail(&self) -> Option<&'static str> {
        self.refused().detail()
    }

    fn refused(&self) -> Refused<'_> {
        let tells_details = self.presentation().tells_details();
        Refused::new(&self.error, self.request.as_deref(), tells_details)
    }

    /// The response for frameworks on version 1 of the `http` crate. Why stands in its extensions.
    pub fn into_response<B: From<bytes::Bytes>>(mut self) -> http::Response<B> {
        let RejectionResponse { status, headers, body } =
            self.take().into_form(self.form, self.presentation(), &self.error);
        let mut response = http::Response::new(body.into());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response.extensions_mut().insert(self.into_error());
        response
    }

    /// The response, in no framework's types.
    pub fn refusal(&self) -> RejectionResponse {
        self.full().clone().into_form(self.form, self.presentation(), &self.error)
    }

    /// The status code of the response.
    pub fn status(&self) -> u16 {
        self.full().status()
    }

    /// The end of a gRPC call, whichever form the request wants. The layers say the same.
    pub fn into_grpc_status(mut self) -> GrpcStatus {
        let refusal = self.take();
        self.presentation().grpc_status(&self.error, refusal)
    }

    fn full(&self) -> &RejectionResponse {
        self.refusal.get_or_init(|| Box::new(self.make()))
    }

    /// For who gives the rejection up.
    fn take(&mut self) -> RejectionResponse {
        self.refusal.take().map_or_else(|| self.make(), |refusal| *refusal)
    }

    fn make(&self) -> RejectionResponse {
        let nonce = self.terms.as_ref().and_then(|terms| terms.nonce());
        let mut refusal = self.presentation().refusal(
            &self.error,
            self.scheme,
            nonce.as_deref(),
            self.request.as_deref(),
        );
        if let Some(field) = &self.clears {
            refusal.clear_cookie(field);
        }
        refusal
    }

    fn presentation(&self) -> &CompiledPresentation {
        match &self.terms {
            Some(terms) => &terms.presentation,
            None => refusal::without_policy(),
        }
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection").field("error", &self.error).finish_non_exhaustive()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl core::error::Error for Rejection {}

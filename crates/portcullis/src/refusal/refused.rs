//! What a refusal is about: the request that is turned away, and what may be said of it to its client.
use core::fmt;

use super::ResponseForm;
use super::challenge::Scheme;
use super::rows::Answer;
use crate::error::Error;
use crate::request::RequestView;

/// Headers that a [hook](super::Presentation::on_refusal) sees without being asked for: in which format and language
/// the client would like its answer, and by which id it is found in logs.
const HEADERS: [&str; 5] =
    ["accept", "accept-language", "traceparent", "x-correlation-id", "x-request-id"];

/// How much of a header or a path is kept, in bytes: as long as a line of a log may be.
const MOST: usize = 1024;

/// A request that is turned away, as a [hook](super::Presentation::on_refusal) sees it.
///
/// It has neither query, cookies nor `Authorization`: a token could be in them. What is longer than 1,024 bytes, or not
/// text, is left out.
#[derive(Clone, Eq, PartialEq)]
pub struct RefusedRequest {
    method: Box<str>,
    path: Option<Box<str>>,
    headers: Vec<(&'static str, Box<str>)>,
}

impl RefusedRequest {
    fn of(request: &impl RequestView) -> Self {
        let text = |value: &[u8]| {
            let text = core::str::from_utf8(value).ok().filter(|text| text.len() <= MOST);
            text.map(Box::from)
        };
        let first = |name: &'static str| {
            let value = request.header(name).next()?;
            Some((name, text(value)?))
        };
        Self {
            method: request.method().into(),
            path: request.path().and_then(|path| text(path.as_bytes())),
            headers: HEADERS.into_iter().filter_map(first).collect(),
        }
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path that the client asked for, without the query. `None`: it is too long, or whoever asked the policy
    /// did not say.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The first field of this name, in lower case, of `accept`, `accept-language`, `traceparent`,
    /// `x-correlation-id` and `x-request-id`. Others are not kept.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| *own == name).map(|(_, value)| &**value)
    }
}

impl fmt::Debug for RefusedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusedRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// A refusal, as a [hook](super::Presentation::on_refusal) sees it.
///
/// What it says by [`code`](Self::code), [`title`](Self::title) and [`detail`](Self::detail) is meant for the client.
/// The [error](Self::error_for_logs) is not: it may name claims, limits and types of the service.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'r> {
    error: &'r Error,
    request: Option<&'r RefusedRequest>,
    tells_details: bool,
}

impl<'r> Refused<'r> {
    pub(crate) fn new(
        error: &'r Error,
        request: Option<&'r RefusedRequest>,
        tells_details: bool,
    ) -> Self {
        Self { error, request, tells_details }
    }

    /// A word for programs, of a closed list: `token-invalid`, `scope-missing`. It is the `code` of the problem
    /// details.
    pub fn code(&self) -> &'static str {
        Answer::to(self.error).row().code
    }

    /// A few words that are the same for each refusal of this code, in English.
    pub fn title(&self) -> &'static str {
        Answer::to(self.error).row().title
    }

    /// A sentence for the client, in English. `None`: the policy was told to give
    /// [no details](super::Presentation::without_details).
    pub fn detail(&self) -> Option<&'static str> {
        self.tells_details.then(|| Answer::to(self.error).row().detail)
    }

    /// The request. `None`: there is none any more, as where an open connection
    /// [ends](crate::VerifiedToken::reject).
    pub fn request(&self) -> Option<&'r RefusedRequest> {
        self.request
    }

    /// Why, for operators. It must not reach the client: it names what the route asks for, limits, and types of the
    /// service.
    pub fn error_for_logs(&self) -> &'r Error {
        self.error
    }
}

/// For whom a refusal is made: a request, or the form of its response where the request is gone.
///
/// Implemented for references to what implements [`RequestView`], and for [`ResponseForm`].
pub trait RefusalContext: private::Sealed {
    /// In which form the response is wanted.
    fn form(&self) -> ResponseForm;

    /// With which scheme its token came.
    #[doc(hidden)]
    fn scheme(&self) -> Scheme;

    /// What a hook may see of the request.
    fn refused_request(&self) -> Option<RefusedRequest>;

    /// Method and path of the request, for logs.
    fn method_and_path(&self) -> Option<(&str, Option<&str>)>;
}

impl<V: RequestView> RefusalContext for &V {
    fn form(&self) -> ResponseForm {
        ResponseForm::for_request(*self)
    }

    fn scheme(&self) -> Scheme {
        Scheme::of(*self)
    }

    fn refused_request(&self) -> Option<RefusedRequest> {
        Some(RefusedRequest::of(*self))
    }

    fn method_and_path(&self) -> Option<(&str, Option<&str>)> {
        Some((self.method(), self.path()))
    }
}

impl RefusalContext for ResponseForm {
    fn form(&self) -> ResponseForm {
        *self
    }

    fn scheme(&self) -> Scheme {
        Scheme::default()
    }

    fn refused_request(&self) -> Option<RefusedRequest> {
        None
    }

    fn method_and_path(&self) -> Option<(&str, Option<&str>)> {
        None
    }
}

/// A request that waits: what is kept of it for a refusal.
#[derive(Clone)]
pub(crate) struct WaitingRequest {
    form: ResponseForm,
    scheme: Scheme,
    request: RefusedRequest,
}

impl WaitingRequest {
    pub(crate) fn of(request: &impl RequestView) -> Self {
        Self {
            form: ResponseForm::for_request(request),
            scheme: Scheme::of(request),
            request: RefusedRequest::of(request),
        }
    }
}

impl RefusalContext for WaitingRequest {
    fn form(&self) -> ResponseForm {
        self.form
    }

    fn scheme(&self) -> Scheme {
        self.scheme
    }

    fn refused_request(&self) -> Option<RefusedRequest> {
        Some(self.request.clone())
    }

    fn method_and_path(&self) -> Option<(&str, Option<&str>)> {
        Some((self.request.method(), self.request.path()))
    }
}

mod private {
    #[expect(unnameable_types, reason = "it seals the trait above")]
    pub trait Sealed {}

    impl<V: crate::request::RequestView> Sealed for &V {}
    impl Sealed for super::ResponseForm {}
    impl Sealed for super::WaitingRequest {}
}

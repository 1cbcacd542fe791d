//! Known attacks on token verification, sent through the real tower layer.
//!
//! Each test of `tests/` is one class of attack that was published against another verifier, or a
//! row of the design's list of them; the table in `README.md` says which is which. What is common
//! to all is here: a [`Door`] in front of a service that counts who reached it, and a [`Network`]
//! that keys are fetched from.
// Shared with the tests of the core. No crate can hold it for both: it would switch the feature
// `remote-jwks` on for every test there.
#[path = "../../../crates/portcullis/tests/network/mod.rs"]
mod network;

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Collected};
use portcullis::error::{ClaimsError, TypeName};
use portcullis::tower::{RequireLayer, VerifyLayer};
use portcullis::{Admission, Algorithm, Error, Issuer, KeySet, Policy, PolicyBuilder, Requirement};
use portcullis_testkit::{FixedClock, TestIssuer, TokenBuilder};
use tower::{Layer, ServiceExt, service_fn};

pub use self::network::{Network, metadata};

/// What every clock shows.
pub const NOW: i64 = 1_800_000_000;

/// The issuer that policies trust. Its keys are made once in a process.
pub fn issuer() -> TestIssuer {
    TestIssuer::new("https://id.example").at(NOW)
}

/// [`issuer`], as a policy trusts it: with the public keys of these algorithms.
///
/// # Panics
///
/// If none of the algorithms has a public key.
pub fn trusted(algorithms: &[Algorithm]) -> Issuer {
    let issuer = issuer();
    let keys = KeySet::from_jwks(issuer.jwks_of(algorithms)).expect("the test kit's keys are good");
    Issuer::new(issuer.name())
        .algorithms(algorithms.iter().copied())
        .keys(keys)
        .audience(TestIssuer::AUDIENCE)
}

/// A policy for these issuers, on the clock of the tests.
pub fn policy_for(issuers: impl IntoIterator<Item = Issuer>) -> PolicyBuilder {
    issuers.into_iter().fold(Policy::builder().clock(FixedClock::at(NOW)), PolicyBuilder::issuer)
}

/// A good token of [`issuer`].
pub fn token(algorithm: Algorithm) -> TokenBuilder {
    issuer().token(algorithm)
}

/// A service behind a policy.
#[derive(Debug)]
pub struct Door {
    policy: Policy,
    requirement: Option<Requirement>,
}

/// How a request ended.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
    /// Why it was refused.
    pub error: Option<Error>,
    /// How often the service behind the policy was called.
    pub reached: usize,
    /// Who called it, if it was.
    pub subject: Option<String>,
}

impl Door {
    /// A service behind `policy`.
    ///
    /// # Panics
    ///
    /// If the policy is refused.
    #[must_use]
    pub fn new(policy: PolicyBuilder) -> Self {
        Self { policy: policy.build().expect("a policy"), requirement: None }
    }

    /// The same service, which asks for more than the policy.
    #[must_use]
    pub fn requiring(self, requirement: Requirement) -> Self {
        Self { requirement: Some(requirement), ..self }
    }

    /// A service behind a policy that trusts [`issuer`] with these algorithms.
    #[must_use]
    pub fn trusting(algorithms: &[Algorithm]) -> Self {
        Self::new(policy_for([trusted(algorithms)]))
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Sends a request through the layer.
    ///
    /// # Panics
    ///
    /// If there is no answer at the first poll: with all keys in memory, nothing may be waited for.
    pub fn send<B>(&self, request: Request<B>) -> Answer {
        let answer = pin!(self.ask(request)).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(answer) = answer else { panic!("the answer has to be waited for") };
        answer
    }

    /// Sends a request through the layer, and waits for the answer.
    pub async fn ask<B>(&self, request: Request<B>) -> Answer {
        let reached = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&reached);
        let inner = service_fn(move |request: Request<B>| {
            counter.fetch_add(1, Ordering::SeqCst);
            let token = request.extensions().get::<Admission>().and_then(Admission::token);
            let subject = token.and_then(|token| token.subject()).map(str::to_owned);
            let mut response = Response::new(String::new());
            response.extensions_mut().insert(Reached { subject });
            async move { Ok::<_, core::convert::Infallible>(response) }
        });
        let layer = VerifyLayer::new(self.policy.clone());
        let (parts, body) = match self.requirement.clone() {
            Some(requirement) => {
                let inner = RequireLayer::new(requirement).layer(inner);
                let Ok(response) = layer.layer(inner).oneshot(request).await;
                let (parts, body) = response.into_parts();
                (parts, body.collect().await.map(Collected::to_bytes))
            }
            None => {
                let Ok(response) = layer.layer(inner).oneshot(request).await;
                let (parts, body) = response.into_parts();
                (parts, body.collect().await.map(Collected::to_bytes))
            }
        };
        let Ok(body) = body;
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
            error: parts.extensions.get().cloned(),
            reached: reached.load(Ordering::SeqCst),
            subject: parts.extensions.get::<Reached>().and_then(|reached| reached.subject.clone()),
        }
    }

    /// Asserts that a token passes, so that the refusals beside it prove something.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[track_caller]
    pub fn admits(&self, token: &str) {
        let answer = self.send(bearer(token.as_bytes()).expect("a header"));
        assert_eq!((answer.error, answer.status, answer.reached), (None, 200, 1));
    }

    /// Asserts that a token is refused for exactly this reason, with 401 and without the service
    /// being reached, however it comes.
    ///
    /// # Panics
    ///
    /// If it is not.
    #[track_caller]
    pub fn refuses(&self, what: &str, token: impl AsRef<[u8]>, error: impl Into<Error>) {
        let (token, error) = (token.as_ref(), error.into());
        assert_eq!(self.policy.verify_token_now(token).err().as_ref(), Some(&error), "{what}");
        // A text that no header can carry comes in a queue or a WebSocket message only.
        if let Some(request) = bearer(token) {
            self.refuses_request(what, request, 401, error);
        }
    }

    /// Asserts that a request is refused for exactly this reason, without the service being
    /// reached.
    ///
    /// # Panics
    ///
    /// If it is not.
    #[track_caller]
    pub fn refuses_request<B>(
        &self,
        what: &str,
        request: Request<B>,
        status: u16,
        error: impl Into<Error>,
    ) {
        let answer = self.send(request);
        let got = (answer.error, answer.status, answer.reached);
        assert_eq!(got, (Some(error.into()), status, 0), "{what}");
    }
}

/// What the service behind the policy saw.
#[derive(Clone)]
struct Reached {
    subject: Option<String>,
}

/// A GET request with this token. `None`: it has bytes that no header can carry.
#[must_use]
pub fn bearer(token: &[u8]) -> Option<Request<()>> {
    let mut request = Request::new(());
    let value = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok()?;
    request.headers_mut().insert("authorization", value);
    Some(request)
}

/// A request with these headers.
///
/// # Panics
///
/// If they are none.
#[track_caller]
#[must_use]
pub fn request(method: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri("/orders");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request")
}

/// The error of a token by an algorithm that its issuer is not trusted with.
pub fn wrong_algorithm(found: Algorithm, trusted: &[Algorithm]) -> ClaimsError {
    ClaimsError::Algorithm { found, trusted: trusted.iter().copied().collect() }
}

/// The error of a token of this `typ`, where access tokens may be of any type that is one.
pub fn wrong_type(found: &str) -> ClaimsError {
    ClaimsError::Type { found: TypeName::new(found), accepted: "`JWT`, none or `at+jwt`" }
}

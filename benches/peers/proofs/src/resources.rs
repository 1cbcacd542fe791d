use core::future::{Future, Ready, ready};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use dpop_verifier::{DpopError, DpopVerifier, ReplayContext, ReplayStore};
use http::{Request, Response};
use http_body_util::Empty;
use huskarl_resource_server::core::crypto::KeyMatchStrength;
use huskarl_resource_server::core::crypto::verifier::{
    JwsVerifier, JwsVerifierFactory, JwsVerifierPlatform, KeyMatch, VerifyError,
};
use huskarl_resource_server::core::jwt::JtiUniquenessChecker;
use huskarl_resource_server::core::platform::MaybeSendBoxFuture;
use huskarl_resource_server::core::{EndpointUrl, Error};
use huskarl_resource_server::error::ToRfc6750Error as _;
use huskarl_resource_server::validator::rfc9068::Rfc9068Validator;
use portcullis::dpop::{Dpop, InProcessReplays};
use portcullis::tower::{Verify, VerifyLayer};
use portcullis::{Clock as _, PolicyBuilder, SystemClock, UnixTime};
use tower_layer::Layer as _;
use tower_service::Service;

use crate::client::{AUDIENCE, Ask, BASE, Client, ISSUER, METHOD, TOKENS, URL};

/// Room for more proofs than a run makes.
const ROOM: usize = 1 << 26;

/// What checks proofs.
pub(crate) trait Resource {
    /// `Err`: why it refuses. `Ok`: what it leaves to its caller, if anything.
    fn ask(&mut self, ask: &Ask) -> Result<Option<&'static str>, String>;
}

/// A service that is always ready and answers at once.
#[derive(Clone, Copy)]
pub(crate) struct Bare;

impl Service<Request<()>> for Bare {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        drop(request);
        ready(Ok(Response::default()))
    }
}

/// Calls a service that answers at the first poll.
pub(crate) fn call<S: Service<Request<()>, Error = Infallible>>(
    service: &mut S,
    request: Request<()>,
) -> S::Response {
    let polled = service.poll_ready(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_ready(), "the service is ready");
    let Ok(response) = complete(service.call(request));
    response
}

/// None of them waits for anything.
fn complete<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("decided at the first poll"),
    }
}

/// `VerifyLayer` around a service that does nothing.
pub(crate) struct Portcullis(Verify<Bare>);

impl Portcullis {
    /// A policy as it comes, which has seen the tokens.
    pub(crate) fn remembering(client: &Client) -> Self {
        let mut layer = Self::with(client.policy_builder());
        for index in 0..TOKENS {
            layer.pass(client.ask(index).request());
        }
        layer
    }

    /// One that remembers no token, and with it no key of a client.
    pub(crate) fn forgetful(client: &Client) -> Self {
        Self::with(client.policy_builder().token_cache(0))
    }

    fn with(policy: PolicyBuilder) -> Self {
        let begin = UnixTime(SystemClock.now().0 - 3600);
        let replays = InProcessReplays::with_capacity(ROOM).started_at(begin);
        let policy = policy.dpop(Dpop::new(replays).at(BASE)).build().expect("a policy");
        Self(VerifyLayer::new(policy).layer(Bare))
    }

    pub(crate) fn pass(&mut self, request: Request<()>) {
        let response = call(&mut self.0, request);
        assert!(response.status().is_success(), "{}", response.status());
    }
}

impl Resource for Portcullis {
    fn ask(&mut self, ask: &Ask) -> Result<Option<&'static str>, String> {
        let response = call(&mut self.0, ask.request());
        if response.status().is_success() {
            return Ok(None);
        }
        let challenges = response.headers().get_all("www-authenticate");
        let attribute = |name| {
            let mut challenges = challenges.iter().filter_map(|value| value.to_str().ok());
            let (_, after) = challenges.find_map(|value| value.split_once(name))?;
            after.split('"').next().map(str::to_owned)
        };
        let error = attribute("error_description=\"").or_else(|| attribute("error=\""));
        Err(error.unwrap_or_else(|| response.status().to_string()))
    }
}

/// Which ids were used: the simplest that their traits allow. It forgets none.
#[derive(Clone, Debug, Default)]
struct Seen<T>(Arc<Mutex<HashSet<T>>>);

#[async_trait::async_trait]
impl ReplayStore for Seen<[u8; 32]> {
    async fn insert_once(
        &mut self,
        jti_hash: [u8; 32],
        _: ReplayContext<'_>,
    ) -> Result<bool, DpopError> {
        Ok(self.0.lock().expect("no panic").insert(jti_hash))
    }
}

impl JtiUniquenessChecker for Seen<String> {
    fn check_and_mark_seen(&self, jti: &str) -> MaybeSendBoxFuture<'_, Result<bool, Error>> {
        let jti = jti.to_owned();
        Box::pin(async move { Ok(!self.0.lock().expect("no panic").insert(jti)) })
    }
}

/// `DpopVerifier` of dpop-verifier, as it comes.
pub(crate) struct Verifier {
    verifier: DpopVerifier,
    seen: Seen<[u8; 32]>,
    /// Of the key that the tokens are bound to.
    thumbprint: String,
}

impl Verifier {
    pub(crate) fn new(client: &Client) -> Self {
        let thumbprint = client.key().thumbprint().expect("a key pair");
        Self { verifier: DpopVerifier::new(), seen: Seen::default(), thumbprint }
    }

    /// Whether the proof is good, and of the right key.
    fn check(&mut self, token: &str, proof: &str) -> Result<bool, DpopError> {
        let check = self.verifier.verify(&mut self.seen, proof, URL, METHOD, Some(token));
        Ok(complete(check)?.jkt == self.thumbprint)
    }

    pub(crate) fn pass(&mut self, Ask { token, proofs }: &Ask) {
        let is_good = self.check(token, &proofs[0]);
        assert!(matches!(is_good, Ok(true)), "{is_good:?}");
    }
}

impl Resource for Verifier {
    fn ask(&mut self, Ask { token, proofs }: &Ask) -> Result<Option<&'static str>, String> {
        let [proof] = &proofs[..] else {
            return Ok(Some("its caller's: it is given one proof"));
        };
        match self.check(token, proof) {
            Ok(true) => Ok(None),
            Ok(false) => Ok(Some("its caller's: it says whose key it is")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// `Rfc9068Validator` of huskarl, which verifies the token with the proof.
pub(crate) struct Huskarl(Rfc9068Validator);

impl Huskarl {
    pub(crate) fn new() -> Self {
        let validator = Rfc9068Validator::builder()
            .issuer(ISSUER)
            .audience(AUDIENCE)
            .jws_verifier_factory(Trusting)
            .dpop_jti_checker(Seen::<String>::default());
        Self(complete(validator.build()).expect("a validator"))
    }

    fn check(&self, request: &Request<()>) -> Result<(), String> {
        let (headers, method, uri) = (request.headers(), request.method(), request.uri());
        match complete(self.0.validate_request(headers, method, uri, None)).outcome {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err("no token".to_owned()),
            Err(error) => Err(error.challenge().description.unwrap_or_else(|| error.to_string())),
        }
    }

    pub(crate) fn pass(&self, request: &Request<()>) {
        let checked = self.check(request);
        assert!(checked.is_ok(), "{checked:?}");
    }
}

impl Resource for Huskarl {
    fn ask(&mut self, ask: &Ask) -> Result<Option<&'static str>, String> {
        self.check(&ask.request()).map(|()| None)
    }
}

/// Takes every access token for signed. What tokens cost is subtracted, and so it costs little. Proofs are verified by what
/// huskarl brings.
#[derive(Debug)]
struct Trusting;

impl JwsVerifier for Trusting {
    fn key_match(&self, key_match: &KeyMatch<'_>) -> Option<KeyMatchStrength> {
        key_match.strength_for(&["ES256"], None)
    }

    fn verify<'a>(
        &'a self,
        _: &'a [u8],
        _: &'a [u8],
        _: &'a KeyMatch<'a>,
    ) -> MaybeSendBoxFuture<'a, Result<(), VerifyError>> {
        Box::pin(ready(Ok(())))
    }
}

impl JwsVerifierFactory for Trusting {
    fn build(
        &self,
        _: Option<&EndpointUrl>,
        _: Arc<dyn JwsVerifierPlatform>,
    ) -> MaybeSendBoxFuture<'static, Result<Arc<dyn JwsVerifier>, Error>> {
        Box::pin(async { Ok(Arc::new(Self) as Arc<dyn JwsVerifier>) })
    }
}

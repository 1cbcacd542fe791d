//! Whether an app takes a bound token with a proof of its key, and in no other way.
use core::fmt::Write;

use portcullis::Error;
use portcullis::dpop::{DpopError, ProofFault, TargetPart};
use portcullis::error::{ClaimsError, SourceError};

use super::{BadProof, DpopClient, ProofBuilder};
use crate::protected::{Answer, Question};
use crate::routes::{Credentials, Route, Routes};

/// Asks every route, and panics with all that is not as it should be. `path_hint`: how a layer comes to see another path than
/// the client asked for, in the words of a framework.
pub(crate) async fn walk(
    client: &DpopClient,
    base: &str,
    routes: Routes<'_>,
    path_hint: &str,
    ask: impl AsyncFn(&Question<'_>) -> Result<Answer, String>,
) {
    if let Some(message) = message(client, base, routes, path_hint, ask).await {
        panic!("{message}");
    }
}

/// What it panics with.
pub(super) async fn message(
    client: &DpopClient,
    base: &str,
    routes: Routes<'_>,
    path_hint: &str,
    ask: impl AsyncFn(&Question<'_>) -> Result<Answer, String>,
) -> Option<String> {
    if routes.listed().is_empty() {
        return Some("no routes were given to `assert_dpop`".to_owned());
    }
    let Some(token) = client.token.as_deref() else {
        return Some(
            "the client has no token: give it one that is bound to its key, by `.token(…)`"
                .to_owned(),
        );
    };
    let mut faults = String::new();
    for route in routes.listed().iter().copied() {
        let (method, path) = route;
        let url = address(base, path);
        let mut walk = Walk { client, token, route, url, path_hint, ask: &ask, faults: Vec::new() };
        walk.all().await;
        for fault in walk.faults {
            _ = write!(faults, "\n  - {method} {path}: {fault}");
        }
    }
    (!faults.is_empty()).then(|| {
        format!(
            "the app does not hold tokens to their keys:{faults}\nA bound token gets in with a new proof of its key. Anything else is answered with 401 and `WWW-Authenticate: DPoP`."
        )
    })
}

/// The address of a path, as clients write it.
pub(crate) fn address(base: &str, path: &str) -> String {
    format!("{}{path}", base.trim_end_matches('/'))
}

struct Walk<'a, A> {
    client: &'a DpopClient,
    token: &'a str,
    route: Route<'a>,
    /// The address of the route, as clients write it.
    url: String,
    path_hint: &'a str,
    ask: &'a A,
    faults: Vec<String>,
}

impl<A: AsyncFn(&Question<'_>) -> Result<Answer, String>> Walk<'_, A> {
    async fn all(&mut self) {
        let Some(used) = self.gets_in("with a good proof").await else { return };
        let bypass = Some("Something other than the policy with `.dpop(…)` lets it in.");
        self.is_refused("as a bearer token", bypass, "Bearer", |_| vec![]).await;
        let beside = "as a bearer token, with a good proof beside it,";
        self.is_refused(beside, bypass, "Bearer", |proof| vec![proof.mint()]).await;
        self.is_refused("without a proof", bypass, "DPoP", |_| vec![]).await;
        // An open route has been called often enough.
        if !self.faults.is_empty() {
            return;
        }
        self.is_refused(
            "with the same proof again",
            Some("Does its store remember used proofs, and have all policies of the service clones of one `Dpop`?"),
            "DPoP",
            |_| used.clone(),
        )
        .await;
        let two = |proof: ProofBuilder| vec![proof.mint(), proof.claim("jti", "another").mint()];
        self.is_refused("with two proofs in two headers", None, "DPoP", two).await;
        let has_nonces = self.client.nonce(&self.url).is_some();
        for fault in BadProof::ALL {
            if !(has_nonces && fault.is_good_with_nonces()) {
                let what = format!("with a proof {fault}");
                self.is_refused(&what, None, "DPoP", |proof| vec![proof.mint_bad(*fault)]).await;
            }
        }
        if has_nonces {
            self.asks_for_a_nonce().await;
        }
        self.gets_in("with a good proof, after bad ones,").await;
    }

    /// The proof that the token got in with.
    async fn gets_in(&mut self, what: &str) -> Option<Vec<String>> {
        let fault = match self.sent("DPoP", |proof| vec![proof.mint()]).await {
            Ok((answer, proofs)) => match self.fault_of_entry(&answer) {
                Some(fault) => fault,
                None => return Some(proofs),
            },
            Err(error) => format!("failed: {error}"),
        };
        self.faults.push(format!("{what} it {fault}"));
        None
    }

    /// `way_out`: where it gets in.
    async fn is_refused(
        &mut self,
        what: &str,
        way_out: Option<&str>,
        scheme: &str,
        proofs: impl Fn(ProofBuilder) -> Vec<String>,
    ) {
        let fault = match self.sent(scheme, proofs).await {
            Ok((answer, _)) => {
                let way_out = way_out.filter(|_| answer.status() < 400);
                let way_out = way_out.map(|text| format!(". {text}")).unwrap_or_default();
                fault_of_refusal(&answer, false).map(|fault| fault + &way_out)
            }
            Err(error) => Some(format!("failed: {error}")),
        };
        self.faults.extend(fault.map(|fault| format!("{what} it {fault}")));
    }

    /// A service that gave out a nonce takes no proof without one (RFC 9449 §11.3).
    async fn asks_for_a_nonce(&mut self) {
        let proof = self.client.proof(self.route.0, &self.url);
        for (what, proof) in [
            ("with a proof without its nonce", proof.clone().without("nonce")),
            (
                "with a proof with a nonce of another",
                proof.claim("nonce", "bm9ib2R5IGdhdmUgaXQgb3"),
            ),
        ] {
            let fault = match self.once("DPoP", &[proof.mint()]).await {
                Ok(answer) => fault_of_refusal(&answer, true),
                Err(error) => Some(format!("failed: {error}")),
            };
            self.faults.extend(fault.map(|fault| format!("{what} it {fault}")));
        }
    }

    /// Follows one demand for a nonce, and says with which proofs it was answered.
    async fn sent(
        &self,
        scheme: &str,
        proofs: impl Fn(ProofBuilder) -> Vec<String>,
    ) -> Result<(Answer, Vec<String>), String> {
        let new = || proofs(self.client.proof(self.route.0, &self.url));
        let first = new();
        let answer = self.once(scheme, &first).await?;
        let is_asked = answer.asks_for_nonce();
        if !self.client.learn(&self.url, answer.status(), answer.nonces(), is_asked) {
            return Ok((answer, first));
        }
        let second = new();
        Ok((self.once(scheme, &second).await?, second))
    }

    async fn once(&self, scheme: &str, proofs: &[String]) -> Result<Answer, String> {
        let (method, path) = self.route;
        let authorization = format!("{scheme} {}", self.token);
        let proofs = proofs.iter().map(|proof| ("dpop", proof.as_str()));
        let fields: Vec<_> =
            [("authorization", &*authorization)].into_iter().chain(proofs).collect();
        (self.ask)(&Question::plain(method, path, Credentials::headers(&fields))).await
    }

    /// Why this is not what a good proof is answered with.
    fn fault_of_entry(&self, answer: &Answer) -> Option<String> {
        let status = answer.status();
        if answer.nonces().len() > 1 {
            return Some(several_nonces(answer));
        }
        let Some(why) = answer.why() else {
            return match status {
                401 if answer.asks_for_nonce() => {
                    Some(format!("asked for a nonce again. {NONCE_AGAIN}"))
                }
                404 | 405 | 501 => Some(format!("answered {status}: is there such a route?")),
                401 | 403 | 500.. => Some(format!("answered {status}, and Portcullis did not")),
                _ => None,
            };
        };
        let of_token = match why {
            Error::Forbidden(_) | Error::Shape(_) => {
                "The proof was taken: give the client a token that may use the route"
            }
            Error::NotInstalled => return Some(format!("answered {status}: {why}")),
            _ => "Give the client a token that the policy accepts",
        };
        let proof = GoodProof {
            client: self.client,
            url: &self.url,
            path_hint: self.path_hint,
            bind: "Give the client a token that is bound to its key, by `TokenBuilder::bound_to`",
        };
        Some(format!("answered {status}: {}", proof.refused(why, of_token)))
    }
}

const SAY_DPOP: &str = "Does the policy in front of this route have `.dpop(…)`?";
const NONCE_AGAIN: &str = "It was answered with the nonce that the answer before told. Do all instances of the service have the same secrets, and is there one policy in front of the route?";

/// A good proof that was refused.
pub(crate) struct GoodProof<'a> {
    pub(crate) client: &'a DpopClient,
    /// What it is for.
    pub(crate) url: &'a str,
    pub(crate) path_hint: &'a str,
    /// What to do where its token is bound to no key, or to another.
    pub(crate) bind: &'a str,
}

impl GoodProof<'_> {
    /// Why, and what to do. `of_token`: the latter, where it was not for the proof.
    pub(crate) fn refused(&self, why: &Error, of_token: &str) -> String {
        let way_out = match why {
            Error::Dpop(error) => self.way_out(error),
            // Without it, the scheme is not taken, and a bound token is refused.
            Error::Source(SourceError::Missing | SourceError::DpopScheme)
            | Error::Claims(ClaimsError::SenderConstrained) => SAY_DPOP.to_owned(),
            _ => of_token.to_owned(),
        };
        let why = why.to_string();
        // Of what ends with a question.
        let end = if why.ends_with('?') { "" } else { "." };
        format!("{why}{end} {way_out}")
    }

    fn way_out(&self, error: &DpopError) -> String {
        let Self { url, path_hint, .. } = self;
        match error {
            DpopError::Target { differs: TargetPart::Path, .. } | DpopError::RequestTarget => format!(
                "The proof was for `{url}`. If that is the address with what a proxy takes away, then the layer sees another path than the client asked for: {path_hint}"
            ),
            DpopError::Target { .. } => format!(
                "The proof was for `{url}`: `Dpop::at` has to say that address, as clients write it"
            ),
            DpopError::Replayed => "It was new. A process that has just begun refuses proofs that were made before it, and for the seconds that a client's clock may be ahead: have the policy begin earlier, by `InProcessReplays::new().started_at(…)` with a time an hour ago, or move a `FixedClock` on by a minute once the policy is built. If it has begun earlier: does another layer use the proof first, with another `Dpop` of the same store? Give both policies clones of one `Dpop`".to_owned(),
            DpopError::Window { .. } => {
                "Give the issuer of the client and the policy one clock".to_owned()
            }
            DpopError::Proof(ProofFault::Algorithm) => format!(
                "The client's key is for {}: list it by `Dpop::algorithms`, or give the client another one",
                self.client.key().algorithm()
            ),
            DpopError::Nonce(_) => NONCE_AGAIN.to_owned(),
            DpopError::OtherKey | DpopError::NotBound => self.bind.to_owned(),
            DpopError::Unavailable(_) => "Is its store of used proofs there?".to_owned(),
            // Several policies, of which one takes no proofs.
            DpopError::BoundAsBearer => SAY_DPOP.to_owned(),
            _ => format!("The proof was good, and for `{url}`: does something change the request?"),
        }
    }
}

/// Why this is not what anything but a good proof is answered with.
fn fault_of_refusal(answer: &Answer, is_for_nonce: bool) -> Option<String> {
    let status = answer.status();
    if answer.nonces().len() > 1 {
        return Some(several_nonces(answer));
    }
    if status != 401 {
        let why = answer.why().map(|why| format!(": {why}")).unwrap_or_default();
        return Some(format!("answered {status}{why}"));
    }
    if !answer.challenges_for_proofs() {
        return Some("answered 401 without `WWW-Authenticate: DPoP`".to_owned());
    }
    match (answer.asks_for_nonce(), is_for_nonce) {
        (true, false) => Some(format!("asked for a nonce. {NONCE_AGAIN}")),
        (false, true) => Some("answered 401 without `error=\"use_dpop_nonce\"`".to_owned()),
        _ => None,
    }
}

fn several_nonces(answer: &Answer) -> String {
    format!(
        "answered with {} `DPoP-Nonce`, where clients take one: is there one policy in front of the route?",
        answer.nonces().len()
    )
}

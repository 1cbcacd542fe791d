//! What a policy makes of a token, step by step, and [what it accepts](PolicyDescription) at all: for an
//! operator who has the token anyway and asks why it was refused. Feature `explain`.
//!
//! ```
//! use portcullis::Algorithm;
//! use portcullis::explain::Stage;
//! use portcullis_testkit::TestIssuer;
//!
//! let issuer = TestIssuer::new("https://id.example");
//! let policy = issuer.policy();
//! let token = issuer.token(Algorithm::ES256);
//! let token = token.audience("https://bills.example").mint();
//!
//! let explanation = policy.explain_now(&token);
//! // Before a key was looked for:
//! assert_eq!(explanation.refused_by(), Some(Stage::Screen));
//! let mut checks = explanation.facts().checks.iter();
//! let audience = checks.find(|check| check.rule == "aud").unwrap();
//! assert_eq!(audience.needs, r#"one of "https://api.example""#);
//! assert_eq!(audience.has.as_deref(), Some(r#""https://bills.example""#));
//! ```
//!
//! The verdict is that of [`Policy::verify_token`]. The steps are those that it takes, taken once more with
//! the same functions, and go on where it stopped, as far as that needs no trust: a token that has expired
//! is looked at for its key and its signature as well. So an explanation costs more than a verdict, and a
//! program that gives strangers explanations gives them an oracle: keep it to operators and tests.
//!
//! An explanation holds claims of the token, which [`Facts::trust`] says to be anybody's or the issuer's; it
//! never holds the signature, nor a key or secret. Its `Debug` shows no claim, and its `Serialize` and
//! `Display` do.
mod certificate;
mod claims;
mod describe;
mod proof;
mod steps;
mod words;

use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use serde::ser::{Serialize, Serializer};

pub use self::describe::{
    DpopDescription, IssuerDescription, IssuerRevocations, KeyOrigin, MtlsDescription,
    PolicyDescription, PresentationDescription, RevocationDescription,
};
pub(crate) use self::words::{instant, listed};
use crate::error::Error;
use crate::keys::KeyError;
use crate::policy::{ActivePolicy, Policy};
use crate::request::RequestView;
use crate::source;
use crate::time::{InWords, UnixTime};
use crate::verified::VerifiedToken;
use crate::verifier::Verifier;
use crate::verify::{self, AnySender, Incomplete, KeyLookup, Sender};

impl Policy {
    /// Says what [`verify_token`](Self::verify_token) makes of a token, and why. Waits where that waits.
    pub async fn explain(&self, token: impl AsRef<[u8]>) -> Explanation {
        let token = token.as_ref();
        let start = Instant::now();
        let (verifier, now, attempt) = self.attempt(token);
        let verdict = match attempt {
            Ok(token) => Ok(token),
            Err(incomplete) => verify::resume(&verifier, token, incomplete).await,
        };
        let judged = Judged { verifier, text: token, now, sender: None };
        judged.explain(verdict, start)
    }

    /// The same of [`verify_token_now`](Self::verify_token_now), without ever waiting.
    pub fn explain_now(&self, token: impl AsRef<[u8]>) -> Explanation {
        let token = token.as_ref();
        let start = Instant::now();
        let (verifier, now, attempt) = self.attempt(token);
        let verdict = attempt.map_err(Incomplete::into_error_now);
        let judged = Judged { verifier, text: token, now, sender: None };
        judged.explain(verdict, start)
    }

    /// Says what the policy makes of a request: of its token, of its proof of who has the key of the token (RFC 9449), of which
    /// [`Facts::proof`] has each check, and of the certificate of its sender (RFC 8705), of which [`Facts::certificate`] has.
    ///
    /// Nothing is used: whether a proof was used before is not asked, and it still passes afterwards. So the verdict is that of
    /// a request whose proof is new.
    ///
    /// ```
    /// use portcullis::dpop::{Dpop, InProcessReplays};
    /// use portcullis::Algorithm;
    /// use portcullis_testkit::{SigningKey, TestIssuer};
    ///
    /// let issuer = TestIssuer::new("https://id.example");
    /// let dpop = Dpop::new(InProcessReplays::new()).at("https://api.example");
    /// let policy = issuer.policy_builder().dpop(dpop).build()?;
    /// let key = SigningKey::generate(Algorithm::ES256);
    /// let token = issuer.token(Algorithm::ES256).bound_to(&key).mint();
    /// let proof = issuer.proof(&key, "GET", "https://api.example/bills");
    /// let request = http::Request::get("/orders")
    ///     .header("Authorization", format!("DPoP {token}"))
    ///     .header("DPoP", proof.token(&token).mint())
    ///     .body(())?;
    ///
    /// let explanation = policy.explain_request_now(&request)?;
    /// let proof = explanation.facts().proof.as_ref().unwrap();
    /// let target = proof.checks.iter().find(|check| check.check == "htu").unwrap();
    /// assert_eq!(target.met, Some(false));
    /// assert_eq!(target.needs, r#"one of "https://api.example/orders""#);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The request has no token, or two, where the policy looks, or it may not use its cookie.
    pub async fn explain_request(&self, request: &impl RequestView) -> Result<Explanation, Error> {
        let found = self.find_token(request)?;
        let start = Instant::now();
        let (verifier, now, attempt) = self.attempt(&found.text);
        let verdict = match attempt {
            Ok(token) => Ok(token),
            Err(incomplete) => verify::resume(&verifier, &found.text, incomplete).await,
        };
        let judged = Judged { verifier, text: &found.text, now, sender: Some(&found.sender) };
        Ok(judged.explain(verdict, start))
    }

    /// As [`explain_request`](Self::explain_request), without ever waiting.
    ///
    /// # Errors
    ///
    /// As of [`explain_request`](Self::explain_request).
    pub fn explain_request_now(&self, request: &impl RequestView) -> Result<Explanation, Error> {
        let found = self.find_token(request)?;
        let start = Instant::now();
        let (verifier, now, attempt) = self.attempt(&found.text);
        let verdict = attempt.map_err(Incomplete::into_error_now);
        let judged = Judged { verifier, text: &found.text, now, sender: Some(&found.sender) };
        Ok(judged.explain(verdict, start))
    }

    fn find_token(&self, request: &impl RequestView) -> Result<Found, Error> {
        self.with(|ActivePolicy { verifier, .. }| {
            let rules = &verifier.rules;
            let takes_dpop = rules.dpop.is_some();
            let found = source::find(&rules.sources, rules.precedence, takes_dpop, request)?;
            if let Some(cookie) = found.cookie {
                rules.origins.check(request, cookie)?;
            }
            let sender = Sender::of(rules, request, found.is_dpop).into_owned();
            Ok(Found { text: found.token.into(), sender })
        })
    }

    /// What it accepts, as data.
    pub fn describe(&self) -> PolicyDescription {
        self.with(|ActivePolicy { verifier, anonymous }| PolicyDescription::of(verifier, anonymous))
    }

    fn attempt(&self, token: &[u8]) -> (Arc<Verifier>, UnixTime, Result<AnySender, Incomplete>) {
        self.with(|ActivePolicy { verifier, .. }| {
            let now = verifier.rules.terms.clock.now();
            let attempt = verify::verify(verifier, token, now, KeyLookup::Allowed);
            (Arc::clone(verifier), now, attempt)
        })
    }
}

/// A token, and how it came.
struct Found {
    text: Box<[u8]>,
    sender: Sender<'static>,
}

/// A token, and by what it is judged.
struct Judged<'j> {
    verifier: Arc<Verifier>,
    text: &'j [u8],
    now: UnixTime,
    /// How it came, if it came in a request.
    sender: Option<&'j Sender<'static>>,
}

/// A duration in the words of explanations and errors: `1 h 30 min`. Whole seconds, and at most two units.
pub fn in_words(duration: Duration) -> impl fmt::Display {
    InWords(duration)
}

/// What a policy made of a token, and why. From [`Policy::explain`].
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis_testkit::TestIssuer;
///
/// let issuer = TestIssuer::new("https://id.example");
/// let token = issuer.token(Algorithm::ES256).expired().mint();
///
/// let explanation = issuer.policy().explain_now(&token);
/// assert_eq!(explanation.verdict().unwrap_err().reason(), "expired");
/// println!("{explanation}"); // all steps and rules, as a table
/// ```
#[derive(Clone)]
pub struct Explanation {
    verdict: Result<VerifiedToken, Error>,
    facts: Facts,
}

impl Judged<'_> {
    fn explain(self, verdict: Result<AnySender, Error>, start: Instant) -> Explanation {
        let Self { verifier, text, now, sender } = self;
        let rules = &verifier.rules;
        let verdict = verdict.and_then(|token| token.explained(rules, text, sender, now));
        let took = start.elapsed();
        // Whatever keys could be fetched were: nobody is told to look twice.
        let unavailable = match &verdict {
            Err(Error::Key(KeyError::Unavailable(unavailable))) => Some(unavailable),
            _ => None,
        };
        let lookup = KeyLookup::Exhausted(unavailable);
        let mut facts = steps::take(rules, text, sender, now, lookup);
        facts.took = took;
        facts.reconcile(verdict.as_ref().err());
        Explanation { verdict, facts }
    }
}

impl Explanation {
    /// The token, or why it is refused: what [`Policy::verify_token`] says, or of a request what is said where its proof is new.
    ///
    /// # Errors
    ///
    /// The token is refused.
    pub fn verdict(&self) -> Result<&VerifiedToken, &Error> {
        self.verdict.as_ref()
    }

    /// The step that refused it.
    pub fn refused_by(&self) -> Option<Stage> {
        self.facts.refused().map(|step| step.stage)
    }

    /// What was seen on the way.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
}

impl fmt::Debug for Explanation {
    /// Shows no claim and no key id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explanation")
            .field("refused_by", &self.refused_by())
            .field("error", &self.verdict.as_ref().err())
            .finish_non_exhaustive()
    }
}

/// The verdict, the steps, and the rules that the claims do not meet. Shows claims.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Ok(_) => f.write_str("accepted")?,
            Err(error) => write!(f, "refused: {error}")?,
        }
        for step in &self.facts.steps {
            write!(f, "\n  {}: {}", step.stage, step.outcome)?;
            if let Some(error) = &step.error {
                write!(f, ": {error}")?;
            }
        }
        let claims = self.facts.checks.iter().map(|check| {
            let ClaimCheck { rule, needs, has, met } = check;
            (rule.as_str(), needs, has, met)
        });
        let certificate = self.facts.certificate.iter().flat_map(|seen| &seen.checks);
        let proof = self.facts.proof.iter().flat_map(|proof| &proof.checks);
        let of_sender = certificate.chain(proof);
        let of_sender =
            of_sender.map(|SenderCheck { check, needs, has, met }| (*check, needs, has, met));
        let all = claims.chain(of_sender);
        for (rule, needs, has, _) in all.filter(|check| *check.3 == Some(false)) {
            let has = has.as_deref().unwrap_or("nothing");
            write!(
                f,
                "\n  {}: needs {}, has {}",
                words::Shown(rule),
                words::Shown(needs),
                words::Shown(has)
            )?;
        }
        Ok(())
    }
}

impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Shape<'a> {
            accepted: bool,
            refused_by: Option<Stage>,
            #[serde(serialize_with = "words::error")]
            error: &'a Option<Error>,
            #[serde(flatten)]
            facts: &'a Facts,
        }
        let shape = Shape {
            accepted: self.verdict.is_ok(),
            refused_by: self.refused_by(),
            error: &self.verdict.as_ref().err().cloned(),
            facts: &self.facts,
        };
        shape.serialize(serializer)
    }
}

/// A step of verification, in their order.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// From text to header and claims, strictly.
    Token,
    /// Whose token it says it is, and whether that issuer may sign with this algorithm.
    Issuer,
    /// Type, audience and expiry, before the signature is paid for. Asked again of the claims.
    Screen,
    /// Which of the issuer's keys may have signed it.
    Key,
    /// Whether one of them did.
    Signature,
    /// Everything that the policy asks of claims.
    Claims,
    /// Whether it was taken back.
    Revocation,
    /// Whether who sent it may use it: of a token that is bound to a key, by a proof of who has the key (RFC 9449), and of one that is bound
    /// to a certificate, by what the client presented (RFC 8705).
    Sender,
}

impl Stage {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Token,
        Self::Issuer,
        Self::Screen,
        Self::Key,
        Self::Signature,
        Self::Claims,
        Self::Revocation,
        Self::Sender,
    ];
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "token",
            Self::Issuer => "issuer",
            Self::Screen => "screen",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Claims => "claims",
            Self::Revocation => "revocation",
            Self::Sender => "sender",
        })
    }
}

/// How a step ended.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The token passed it.
    Passed,
    /// It refused the token.
    Refused,
    /// Behind the step that refused: the token would pass this one.
    WouldPass,
    /// Behind the step that refused: this one would refuse it, too.
    WouldRefuse,
    /// It was not taken.
    NotReached,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Refused => "refused",
            Self::WouldPass => "would pass",
            Self::WouldRefuse => "would refuse",
            Self::NotReached => "not reached",
        })
    }
}

/// What a step did.
#[non_exhaustive]
#[derive(Clone, Debug, serde::Serialize)]
pub struct Step {
    /// Which.
    pub stage: Stage,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it refused, or would.
    #[serde(serialize_with = "words::error")]
    pub error: Option<Error>,
    /// How long it took. Not known where the verdict is newer than the step.
    #[serde(rename = "took_us", serialize_with = "words::micros")]
    pub took: Option<Duration>,
}

/// Who stands behind the claims.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Nobody: they are what whoever sent the token wrote.
    Unverified,
    /// The issuer signed them. The policy refuses them all the same.
    Signed,
    /// The issuer signed them, and the policy accepts them.
    Accepted,
}

/// What was seen on the way. Holds claims of the token.
#[non_exhaustive]
#[derive(Clone, serde::Serialize)]
pub struct Facts {
    /// The policy's clock.
    #[serde(serialize_with = "words::seconds")]
    pub now: UnixTime,
    /// How long the verdict took, which of a token seen before is shorter than its steps.
    #[serde(rename = "took_us", serialize_with = "words::micros_of")]
    pub took: Duration,
    /// Who stands behind the claims.
    pub trust: Trust,
    /// One for each [`Stage`].
    pub steps: Vec<Step>,
    /// What it says.
    pub token: TokenFacts,
    /// The issuer that it names, if the policy trusts it.
    pub issuer: Option<IssuerFacts>,
    /// Every rule about claims.
    pub checks: Vec<ClaimCheck>,
    /// What was said about whether it was taken back, by each source that was asked.
    pub revocation: Vec<SourceAnswer>,
    /// What was seen of how the token came, of a request and where the policy has rules for proofs.
    pub proof: Option<ProofFacts>,
    /// What was seen of the certificate of who sent it, of a request and where the policy has rules for certificates.
    pub certificate: Option<CertificateFacts>,
}

impl fmt::Debug for Facts {
    /// Shows no claim.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts").field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl Facts {
    fn refused(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.outcome == Outcome::Refused)
    }

    /// The verdict counts: between it and the steps, time has passed and keys may have come.
    fn reconcile(&mut self, error: Option<&Error>) {
        if self.refused().and_then(|step| step.error.as_ref()) != error {
            let stage = error.map(stage_of);
            for step in &mut self.steps {
                let at = |stage| Stage::ALL.iter().position(|one| *one == stage);
                let is_before = stage.is_none_or(|refused| at(step.stage) < at(refused));
                let (outcome, error) = match (is_before, Some(step.stage) == stage) {
                    (true, _) => (Outcome::Passed, None),
                    (false, true) => (Outcome::Refused, error.cloned()),
                    (false, false) => (Outcome::NotReached, None),
                };
                *step = Step { stage: step.stage, outcome, error, took: None };
            }
        }
        let passed = |stage: Stage| {
            let ended = self.steps.iter().find(|step| step.stage == stage);
            ended.is_some_and(|step| matches!(step.outcome, Outcome::Passed | Outcome::WouldPass))
        };
        self.trust = match error {
            None => Trust::Accepted,
            Some(_) if passed(Stage::Signature) => Trust::Signed,
            Some(_) => Trust::Unverified,
        };
    }
}

/// The step that says so.
fn stage_of(error: &Error) -> Stage {
    use crate::error::ClaimsError;
    match error {
        Error::Key(_) => Stage::Key,
        Error::Signature(_) => Stage::Signature,
        Error::Claims(
            ClaimsError::IssuerMissing { .. }
            | ClaimsError::IssuerSlash { .. }
            | ClaimsError::Issuer
            | ClaimsError::Algorithm { .. }
            | ClaimsError::EmbeddedKey,
        ) => Stage::Issuer,
        Error::Claims(
            ClaimsError::NumericId { .. }
            | ClaimsError::Type { .. }
            | ClaimsError::AudienceMissing
            | ClaimsError::Audience
            | ClaimsError::Expired { .. },
        ) => Stage::Screen,
        Error::Claims(_) => Stage::Claims,
        Error::Revocation(_) => Stage::Revocation,
        Error::Dpop(_) | Error::Certificate(_) => Stage::Sender,
        _ => Stage::Token,
    }
}

/// What a token says, as far as it can be read. Written by whoever sent it.
#[non_exhaustive]
#[derive(Clone, serde::Serialize)]
pub struct TokenFacts {
    /// Its length.
    pub bytes: usize,
    /// How many parts it has. Three are right.
    pub parts: usize,
    /// Its header, if it is a JSON object.
    pub header: Option<serde_json::Map<String, serde_json::Value>>,
    /// Its claims, if they are a JSON object.
    pub claims: Option<serde_json::Map<String, serde_json::Value>>,
}

impl fmt::Debug for TokenFacts {
    /// Shows no claim.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFacts").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// The issuer that a token names, and its keys.
#[non_exhaustive]
#[derive(Clone, Debug, serde::Serialize)]
pub struct IssuerFacts {
    /// As the policy names it. Of one made by a rule that is not made yet: the rule.
    pub id: String,
    /// What it may sign with.
    pub algorithms: Vec<&'static str>,
    /// Whether tokens without `kid` are refused.
    pub requires_key_id: bool,
    /// Its keys.
    pub keys: Vec<KeyFacts>,
    /// How those of them do that are fetched.
    pub remote: Vec<RemoteFacts>,
}

/// A key of an issuer.
#[non_exhaustive]
#[derive(Clone, Debug, serde::Serialize)]
pub struct KeyFacts {
    /// Its id.
    pub id: Option<String>,
    /// Its type: `RSA`, `EC`, `OKP`, or `oct` for a shared secret.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The algorithm that it verifies.
    pub algorithm: &'static str,
    /// What became of it for this token.
    pub role: KeyRole,
}

/// What became of a key.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyRole {
    /// It verified the signature.
    Signed,
    /// It may have signed the token.
    Candidate,
    /// The token names another algorithm.
    OtherAlgorithm,
    /// The token names another key.
    OtherId,
    /// Its *accept until* is over, or its set no longer has it.
    Over,
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signed => "signed it",
            Self::Candidate => "candidate",
            Self::OtherAlgorithm => "other algorithm",
            Self::OtherId => "other key id",
            Self::Over => "no longer accepted",
        })
    }
}

/// How keys do that are fetched.
#[non_exhaustive]
#[derive(Clone, Debug, serde::Serialize)]
pub struct RemoteFacts {
    /// Where they are, or the metadata that name the place.
    pub address: String,
    /// Whether there are keys to serve.
    pub serves: bool,
    /// How long ago they were fetched, in seconds.
    pub age_s: Option<u64>,
    /// Why the last fetch failed, if it did.
    pub last_error: Option<String>,
    /// Entries of the set that are not used, and why.
    pub skipped: Vec<String>,
}

/// A rule about claims, and what the token has.
#[non_exhaustive]
#[derive(Clone, serde::Serialize)]
pub struct ClaimCheck {
    /// The claim, the header member `typ`, or the name of a rule.
    pub rule: String,
    /// What it takes.
    pub needs: String,
    /// What the token has: JSON, or a time and how far it is from now. At most 256 characters.
    pub has: Option<String>,
    /// Whether that will do. Not known of a predicate that was not asked.
    pub met: Option<bool>,
}

impl fmt::Debug for ClaimCheck {
    /// Shows no claim.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimCheck").field("met", &self.met).finish_non_exhaustive()
    }
}

/// What was seen of how a token came, and of its proof of who has the key (RFC 9449). Holds claims of the proof.
#[non_exhaustive]
#[derive(Clone, serde::Serialize)]
pub struct ProofFacts {
    /// What the proof says, if there is one. Whoever sent it wrote it.
    pub proof: Option<TokenFacts>,
    /// Each check, also those after the one that refused it.
    pub checks: Vec<SenderCheck>,
}

impl fmt::Debug for ProofFacts {
    /// Shows no claim.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProofFacts").field("proof", &self.proof).finish_non_exhaustive()
    }
}

/// A check of how a token came: of its proof (RFC 9449 §4.3, §7), or of its sender's certificate (RFC 8705 §3).
#[non_exhaustive]
#[derive(Clone, serde::Serialize)]
pub struct SenderCheck {
    /// Of both, `cnf` (what the token is bound to). Of a proof, a claim or header member of it, or `scheme`, `headers`, `form`, `header` (its
    /// other members), `signature`, `jkt` (whether the key is that of the token) or `use`. Of a certificate, `source` (whether the place that
    /// the policy names says something), `x5t#S256` (whether it is that certificate), and where a header is that place, `peer` (who wrote it)
    /// and `form` (how).
    pub check: &'static str,
    /// What it takes.
    pub needs: String,
    /// What came: JSON, a time and how far it is from now, or words. At most 256 characters. No certificate is shown, but its SHA-256 is, in
    /// base64url.
    pub has: Option<String>,
    /// Whether that will do. Not known of what was not asked: whether a proof was used before, whatever of a proof cannot be read, all but
    /// `cnf` of a certificate where the token is bound to none, and what of a header is not there.
    pub met: Option<bool>,
}

impl SenderCheck {
    fn new(check: &'static str, needs: String, has: Option<String>, met: Option<bool>) -> Self {
        let ClaimCheck { needs, has, met, .. } = ClaimCheck::new(check, needs, has, met);
        Self { check, needs, has, met }
    }
}

impl fmt::Debug for SenderCheck {
    /// Shows no claim.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SenderCheck")
            .field("check", &self.check)
            .field("met", &self.met)
            .finish_non_exhaustive()
    }
}

/// What counts is what decides: the check that it refuses by, which is named beside the error, is not met.
fn reconcile(
    checks: &mut Vec<SenderCheck>,
    refused: Option<(Option<&'static str>, impl fmt::Display)>,
) {
    let Some((name, error)) = refused else {
        let unmet = checks.iter_mut().filter(|one| one.met == Some(false));
        return unmet.for_each(|one| one.met = Some(true));
    };
    let Some(name) = name else { return };
    match checks.iter_mut().find(|one| one.check == name) {
        Some(one) => one.met = Some(false),
        None => {
            let needs = "to be as it should".to_owned();
            checks.push(SenderCheck::new(name, needs, Some(error.to_string()), Some(false)));
        }
    }
}

/// What was seen of the certificate of who sent a token (RFC 8705).
#[non_exhaustive]
#[derive(Clone, serde::Serialize)]
pub struct CertificateFacts {
    /// Each check, also those after the one that refused it.
    pub checks: Vec<SenderCheck>,
}

impl fmt::Debug for CertificateFacts {
    /// Shows no digest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateFacts").field("checks", &self.checks).finish()
    }
}

/// What a source of revocations said.
#[non_exhaustive]
#[derive(Clone, Debug, serde::Serialize)]
pub struct SourceAnswer {
    /// Its type, as its `Debug` has it.
    pub source: String,
    /// What it said.
    pub answer: Answer,
}

/// What a source of revocations said.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The token was not taken back.
    Active,
    /// It was.
    Revoked,
    /// It cannot be told.
    Unavailable,
    /// It has to be waited for: the verdict has the answer.
    Later,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
            Self::Unavailable => "unavailable",
            Self::Later => "had to be waited for",
        })
    }
}

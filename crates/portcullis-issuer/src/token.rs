//! What an access token says (RFC 9068), and how it is written.
use core::fmt;
use core::time::Duration;

use aws_lc_rs::rand;
use base64::prelude::*;
use portcullis::authorize::is_scope;
use portcullis::dpop::GoodProof;
use portcullis::mtls::PresentedCertificate;
use portcullis::{Algorithm, UnixTime};
use serde::Serialize;
use serde_json::Value;

use crate::debug_as_displayed::debug_as_displayed;
use crate::keeper::IssuerNotReady;
use crate::key::KeyError;
use crate::signer::SignerError;

/// The claims that an issuer writes itself. An application's own claims cannot have one of these names.
pub const RESERVED_CLAIMS: [&str; 26] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "sid",
    "subject_version",
    "auth_time",
    "acr",
    "amr",
    "scope",
    "cnf",
    "azp",
    "scp",
    "status",
    "nonce",
    "at_hash",
    "c_hash",
    "s_hash",
    "may_act",
    "authorization_details",
    "act",
    "events",
];

/// The most bytes of a subject, client, session, authentication context or method: they end up in look-ups and stores,
/// and a policy takes ids of so many.
pub(crate) const MAX_TEXT: usize = 1024;

/// The most bytes of claims: a policy takes tokens of 16 KiB unless it is told otherwise, and base64url needs a third more.
const MAX_PAYLOAD: usize = 10 * 1024;

/// What a policy takes unless it is told otherwise.
const MAX_TOKEN: usize = 16 * 1024;

/// How long a signature is at most, encoded: with all but ML-DSA, that of an RSA key of 4096 bits.
fn signature_length(algorithm: Algorithm) -> usize {
    match algorithm {
        // FIPS 204, table 2.
        Algorithm::ML_DSA_44 => 3227,
        Algorithm::ML_DSA_65 => 4412,
        Algorithm::ML_DSA_87 => 6170,
        _ => 684,
    }
}

/// What an access token says of whom, besides what its issuer says of all: issuer, audience, times and id.
///
/// `C` are claims of the application's own: a type that serializes as an object, or [`NoClaims`].
#[derive(Clone)]
#[must_use]
pub struct AccessToken<C = NoClaims> {
    reserved: ReservedClaims,
    own: C,
}

/// Those of the [reserved](RESERVED_CLAIMS) claims that have a setter.
#[derive(Clone, Default)]
struct ReservedClaims {
    subject: String,
    client: String,
    session: Option<String>,
    subject_version: Option<u64>,
    authenticated_at: Option<UnixTime>,
    acr: Option<String>,
    amr: Vec<String>,
    scopes: Vec<String>,
    /// The thumbprint of the key that it is bound to.
    key: Option<String>,
    /// That of the certificate that it is bound to.
    certificate: Option<String>,
}

/// No claims of the application's own.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NoClaims {}

impl AccessToken {
    /// A token of a user, whom `subject` names (`sub`), for the client that asked for it (`client_id`).
    pub fn of_user(subject: impl Into<String>, client: impl Into<String>) -> Self {
        let (subject, client) = (subject.into(), client.into());
        let reserved = ReservedClaims { subject, client, ..ReservedClaims::default() };
        Self { reserved, own: NoClaims {} }
    }

    /// A token of a service that acts for itself and no user: `sub` names the client (RFC 9068 §2.2).
    pub fn of_service(client: impl Into<String>) -> Self {
        let client = client.into();
        Self::of_user(client.clone(), client)
    }
}

impl<C> AccessToken<C> {
    /// The session that it belongs to (`sid`), by which it is revoked with the session.
    ///
    /// If you do not call it: it belongs to none.
    pub fn session(mut self, session: impl Into<String>) -> Self {
        self.reserved.session = Some(session.into());
        self
    }

    /// The subject's version (`subject_version`), by which it is revoked with all of the subject's.
    ///
    /// If you do not call it: it has none, and a policy that enforces versions refuses it.
    pub fn subject_version(mut self, version: u64) -> Self {
        self.reserved.subject_version = Some(version);
        self
    }

    /// When the user authenticated (`auth_time`, OpenID Connect Core §2).
    ///
    /// If you do not call it: it does not say, and [`Requirement::max_age`](portcullis::Requirement::max_age) is not met.
    pub fn authenticated_at(mut self, at: UnixTime) -> Self {
        self.reserved.authenticated_at = Some(at);
        self
    }

    /// How strongly the user authenticated (`acr`).
    ///
    /// If you do not call it: it does not say.
    pub fn acr(mut self, acr: impl Into<String>) -> Self {
        self.reserved.acr = Some(acr.into());
        self
    }

    /// By which methods the user authenticated (`amr`, RFC 8176): these as well.
    ///
    /// If you do not call it: it does not say.
    pub fn amr<M: Into<String>>(mut self, methods: impl IntoIterator<Item = M>) -> Self {
        self.reserved.amr.extend(methods.into_iter().map(Into::into));
        self
    }

    /// Scopes of the token (`scope`, RFC 6749 §3.3): these as well.
    ///
    /// If you do not call it: it has none.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.reserved.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Bound to the key of this proof (`cnf.jkt`, RFC 9449 §6.1): a policy takes it with a
    /// [proof](portcullis::dpop::Dpop) of that key, and in no other way. Say so where you hand it out: its type is `DPoP`.
    ///
    /// If you do not call it: it is bound to no key.
    pub fn bound_to(self, proof: &GoodProof) -> Self {
        self.bound_to_key(proof.thumbprint())
    }

    /// The same, by the thumbprint of a key.
    pub(crate) fn bound_to_key(mut self, thumbprint: impl Into<String>) -> Self {
        self.reserved.key = Some(thumbprint.into());
        self
    }

    /// Bound to this certificate of its client (`cnf.x5t#S256`, RFC 8705 §3.1): a policy takes it from who presents that
    /// [certificate](portcullis::mtls::Mtls), and in no other way. Its type stays `Bearer`. With [`bound_to`](Self::bound_to) as well,
    /// a policy asks for both.
    ///
    /// If you do not call it: it is bound to no certificate.
    pub fn bound_to_certificate(self, certificate: &PresentedCertificate) -> Self {
        self.bound_to_certificate_of(certificate.thumbprint())
    }

    /// The same, by the thumbprint of a certificate.
    pub(crate) fn bound_to_certificate_of(mut self, thumbprint: impl Into<String>) -> Self {
        self.reserved.certificate = Some(thumbprint.into());
        self
    }

    /// Claims of the application's own, which serialize as an object without any of the [reserved
    /// names](RESERVED_CLAIMS).
    ///
    /// If you do not call it: it has none.
    pub fn claims<D: Serialize>(self, own: D) -> AccessToken<D> {
        AccessToken { reserved: self.reserved, own }
    }
}

/// Shows nothing of whom it is about.
impl<C> fmt::Debug for AccessToken<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").finish_non_exhaustive()
    }
}

/// An access token, and what there is to know of it. `Debug` does not show it.
#[derive(Clone)]
pub struct Minted {
    /// The token.
    pub token: String,
    /// Its id (`jti`).
    pub token_id: String,
    /// When it was issued (`iat`).
    pub issued_at: UnixTime,
    /// When it expires (`exp`).
    pub expires_at: UnixTime,
}

impl Minted {
    /// For how many seconds it is good (`expires_in`, RFC 6749 §5.1).
    pub fn expires_in(&self) -> u64 {
        u64::try_from(self.expires_at.0 - self.issued_at.0).unwrap_or(0)
    }
}

impl fmt::Debug for Minted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minted").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// What bounds the times of a token, besides the lifetime of all and its key.
#[derive(Clone, Copy, Default)]
pub(crate) struct TokenTimes {
    /// It is issued no later than this: what it says was true then.
    pub(crate) issued_by: Option<UnixTime>,
    /// It is over by then.
    pub(crate) over_by: Option<UnixTime>,
}

/// What all tokens of an issuer have in common.
#[derive(Debug)]
pub(crate) struct TokenTerms {
    /// `{"iss":"…","aud":…,`: the beginning of every payload.
    beginning: String,
    lifetime: Duration,
}

impl TokenTerms {
    pub(crate) fn new(issuer: &str, audiences: &[String], lifetime: Duration) -> Self {
        let audience = match audiences {
            [one] => Value::from(one.as_str()),
            several => several.into(),
        };
        let beginning = format!(r#"{{"iss":{},"aud":{audience},"#, Value::from(issuer));
        Self { beginning, lifetime }
    }

    /// Writes a token that is issued at `now` and does not outlive `not_after`, for which its key is published.
    pub(crate) fn write<C: Serialize>(
        &self,
        what: &AccessToken<C>,
        header: &TokenHeader,
        now: UnixTime,
        not_after: Option<UnixTime>,
    ) -> Result<Unsigned, MintError> {
        let expires_at = now.saturating_add(self.lifetime);
        let expires_at = not_after.map_or(expires_at, |end| end.min(expires_at));
        if expires_at <= now {
            return Err(MintError::KeyIsOver);
        }
        let mut id = [0; 16];
        rand::fill(&mut id).map_err(KeyError::from)?;
        let token_id = BASE64_URL_SAFE_NO_PAD.encode(id);

        let mut payload = Vec::with_capacity(512);
        payload.extend(self.beginning.as_bytes());
        let times = format!(r#""iat":{now},"exp":{expires_at},"jti":"{token_id}""#);
        payload.extend(times.as_bytes());
        what.write(&mut payload)?;
        payload.push(b'}');

        let (length, limit) = (payload.len(), header.max_payload());
        if length > limit {
            return Err(MintError::TooLong { length, limit });
        }
        let around = header.text.len() + 2 + header.signature_length;
        let mut token = String::with_capacity(around + length.div_ceil(3) * 4);
        token.push_str(&header.text);
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(&payload, &mut token);
        Ok(Unsigned(Minted { token, token_id, issued_at: now, expires_at }))
    }
}

/// A token up to its second dot.
pub(crate) struct Unsigned(Minted);

impl Unsigned {
    /// What is to be signed (RFC 7515 §5.1).
    pub(crate) fn input(&self) -> &[u8] {
        self.0.token.as_bytes()
    }

    pub(crate) fn signed(self, signature: &[u8]) -> Minted {
        let Self(mut minted) = self;
        minted.token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut minted.token);
        minted
    }
}

/// The header of all tokens of a key, encoded: `at+jwt` (RFC 9068 §2.1), its algorithm and its id.
#[derive(Debug)]
pub(crate) struct TokenHeader {
    text: String,
    /// Of a token's third part, at most.
    signature_length: usize,
}

impl TokenHeader {
    /// `algorithm` is the name that is written, which for Ed25519 has two.
    pub(crate) fn new(algorithm: Algorithm, key_id: &str) -> Self {
        let key_id = Value::from(key_id);
        let header = format!(r#"{{"typ":"at+jwt","alg":"{algorithm}","kid":{key_id}}}"#);
        let text = BASE64_URL_SAFE_NO_PAD.encode(header);
        Self { text, signature_length: signature_length(algorithm) }
    }

    /// How many bytes of claims a policy takes beside it and the signature, unless it is told otherwise.
    fn max_payload(&self) -> usize {
        let room = MAX_TOKEN.saturating_sub(self.text.len() + 2 + self.signature_length);
        MAX_PAYLOAD.min(room / 4 * 3)
    }
}

impl<C: Serialize> AccessToken<C> {
    /// Its claims as members that go on in an object.
    fn write(&self, payload: &mut Vec<u8>) -> Result<(), MintError> {
        self.reserved.write(payload)?;
        let Ok(Value::Object(own)) = serde_json::to_value(&self.own) else {
            return Err(MintError::NotAnObject);
        };
        if let Some(claim) = RESERVED_CLAIMS.into_iter().find(|claim| own.contains_key(*claim)) {
            return Err(MintError::Reserved { claim });
        }
        own.iter().try_for_each(|(name, value)| member(payload, name, value))
    }
}

impl ReservedClaims {
    fn write(&self, payload: &mut Vec<u8>) -> Result<(), MintError> {
        let texts = [
            ("sub", Some(&self.subject)),
            ("client_id", Some(&self.client)),
            ("sid", self.session.as_ref()),
            ("acr", self.acr.as_ref()),
        ];
        for (claim, text) in texts {
            let Some(text) = text else { continue };
            check_text(claim, text)?;
            member(payload, claim, text)?;
        }
        if let Some(version) = self.subject_version {
            member(payload, "subject_version", &version)?;
        }
        if let Some(UnixTime(at)) = self.authenticated_at {
            member(payload, "auth_time", &at)?;
        }
        if !self.amr.is_empty() {
            self.amr.iter().try_for_each(|method| check_text("amr", method))?;
            member(payload, "amr", &self.amr)?;
        }
        let confirmation =
            Confirmation { key: self.key.as_deref(), certificate: self.certificate.as_deref() };
        if confirmation.key.is_some() || confirmation.certificate.is_some() {
            let mut texts = confirmation.key.into_iter().chain(confirmation.certificate);
            texts.try_for_each(|thumbprint| check_text("cnf", thumbprint))?;
            member(payload, "cnf", &confirmation)?;
        }
        if !self.scopes.is_empty() {
            if !self.scopes.iter().all(|scope| is_scope(scope)) {
                return Err(MintError::Scope);
            }
            member(payload, "scope", &self.scopes.join(" "))?;
        }
        Ok(())
    }
}

/// RFC 7800 §3.1.
#[derive(Serialize)]
struct Confirmation<'t> {
    /// RFC 9449 §6.1.
    #[serde(rename = "jkt", skip_serializing_if = "Option::is_none")]
    key: Option<&'t str>,
    /// RFC 8705 §3.1.
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    certificate: Option<&'t str>,
}

/// Databases take no NUL, and what follows one is not read by every program.
pub(crate) fn check_text(claim: &'static str, text: &str) -> Result<(), MintError> {
    let length = text.len();
    if !(1..=MAX_TEXT).contains(&length) {
        Err(MintError::Text { claim, length })
    } else if text.contains('\0') {
        Err(MintError::Nul { claim })
    } else {
        Ok(())
    }
}

fn member<T: Serialize + ?Sized>(
    payload: &mut Vec<u8>,
    name: &str,
    value: &T,
) -> Result<(), MintError> {
    payload.push(b',');
    let name = serde_json::to_writer(&mut *payload, name);
    payload.push(b':');
    name.and_then(|()| serde_json::to_writer(payload, value)).map_err(|_| MintError::NotAnObject)
}

/// Why there is no token. Says nothing of what would have stood in it.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum MintError {
    /// A claim is empty, or longer than 1 KiB.
    Text {
        /// Its name.
        claim: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// A text of the token has a NUL in it.
    Nul {
        /// The claim that it would be.
        claim: &'static str,
    },
    /// A scope is not one: it is empty, or has a space or another character that RFC 6749 §3.3 leaves out.
    Scope,
    /// The application's own claims do not serialize as an object.
    NotAnObject,
    /// The application's own claims have a name that the issuer writes itself.
    Reserved {
        /// The name.
        claim: &'static str,
    },
    /// All claims together have more than 10 KiB, or with an ML-DSA signature more than what is left of a token of 16 KiB.
    TooLong {
        /// How many bytes.
        length: usize,
        /// How many are accepted.
        limit: usize,
    },
    /// The token is longer than the cookie takes that is to carry it.
    TooLongForCookie {
        /// How many bytes it has.
        length: usize,
        /// How many the cookie takes.
        limit: usize,
    },
    /// The key will not be published for long enough.
    KeyIsOver,
    /// No key signs: the machine's clock went back.
    NoKey,
    /// The issuer cannot go by its ring.
    NotReady(IssuerNotReady),
    /// The key cannot sign.
    Key(KeyError),
    /// The key is at a [`Signer`](crate::signer::Signer), which is waited for: call
    /// [`mint`](crate::TokenIssuer::mint).
    Waits,
    /// The signer did not sign.
    Signer(SignerError),
    /// What the signer signed is not a signature of its key.
    NotSigned,
}

impl MintError {
    /// Whether it is for want of a store, a clock or a key, and not of what was asked for: a 503.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::KeyIsOver
            | Self::NoKey
            | Self::NotReady(_)
            | Self::Key(_)
            | Self::Signer(_)
            | Self::NotSigned => true,
            Self::Waits
            | Self::Text { .. }
            | Self::Nul { .. }
            | Self::Scope
            | Self::NotAnObject
            | Self::Reserved { .. }
            | Self::TooLong { .. }
            | Self::TooLongForCookie { .. } => false,
        }
    }
}

impl From<IssuerNotReady> for MintError {
    fn from(error: IssuerNotReady) -> Self {
        Self::NotReady(error)
    }
}

impl From<SignerError> for MintError {
    fn from(error: SignerError) -> Self {
        Self::Signer(error)
    }
}

impl From<KeyError> for MintError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl fmt::Display for MintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { claim, length } => {
                write!(f, "the claim `{claim}` has {length} bytes, and 1 to {MAX_TEXT} are accepted")
            }
            Self::Nul { claim } => write!(
                f,
                "the claim `{claim}` has a NUL in it, which is taken for the end of a text elsewhere: leave it out"
            ),
            Self::Scope => f.write_str(
                "a scope is empty, or has a space or another character that RFC 6749 §3.3 leaves out: pass each scope by itself",
            ),
            Self::NotAnObject => f.write_str(
                "the application's own claims do not serialize as a JSON object: take a struct with named fields",
            ),
            Self::Reserved { claim } => write!(
                f,
                "the application's own claims have a `{claim}`, which the issuer writes itself: give that field another name"
            ),
            Self::TooLong { length, limit } => write!(
                f,
                "the claims have {length} bytes, and at most {limit} are accepted: put less into the token"
            ),
            Self::TooLongForCookie { length, limit } => write!(
                f,
                "the access token has {length} bytes, and its cookie takes at most {limit}, since browsers drop a longer one: put less into the token"
            ),
            Self::KeyIsOver => f.write_str(
                "the signing key will not be published until the token expires: the ring was not read for too long",
            ),
            Self::NoKey => f.write_str("no key of the ring signs now: the clock went back"),
            Self::NotReady(error) => error.fmt(f),
            Self::Key(error) => error.fmt(f),
            Self::Waits => f.write_str("the key is at a signer, which is waited for: call `mint` instead of `mint_now`"),
            Self::Signer(error) => error.fmt(f),
            Self::NotSigned => f.write_str(
                "what the signer answered is not a signature of its key for the token: see which key and algorithm it signs with",
            ),
        }
    }
}

impl core::error::Error for MintError {}

debug_as_displayed!(MintError);

#[cfg(test)]
mod tests;

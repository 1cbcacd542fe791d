//! Why a request does not show that its sender has the key of its token.
use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use super::target::{Target, TargetFault, TargetPart};
use crate::debug_as_displayed::debug_as_displayed;
use crate::json::JsonFault;
use crate::keys::KeyFault;
use crate::token::TokenError;

/// A text is not a proof (RFC 9449 §4.2).
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ProofFault {
    /// It is longer than 8 KiB, or than 16 KiB where an ML-DSA algorithm is listed for proofs.
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// What is read at most.
        limit: usize,
    },
    /// It is not a compact JWS.
    Form(TokenError),
    /// Header or payload are not UTF-8.
    Utf8,
    /// Header or payload are not the JSON that they must be.
    Json(JsonFault),
    /// Its `typ` is not `dpop+jwt`.
    Type,
    /// Its `alg` is missing, unknown, not one that is listed, or not of its key.
    Algorithm,
    /// A header member asks for what is not done: `crit`, `b64`, or a key elsewhere.
    Header,
    /// It brings no `jwk`.
    KeyMissing,
    /// Its `jwk` is not a public key, or one that is weak.
    Key(Box<KeyFault>),
    /// Its RSA key has more than 4096 bits, or an exponent of more than 17 bits: its sender chose what its signature costs here.
    KeyCost,
    /// A claim is missing, has the wrong JSON type, or is too long.
    Claim {
        /// Its name.
        claim: &'static str,
    },
    /// Its `htu` is not an address.
    Target(TargetFault),
}

impl fmt::Display for ProofFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length, limit } => {
                write!(f, "it has {length} bytes, and at most {limit} are read")
            }
            Self::Form(error) => write!(f, "it is not a JWT: {error}"),
            Self::Utf8 => f.write_str("it is not UTF-8"),
            Self::Json(fault) => write!(f, "its header or payload {fault}"),
            Self::Type => f.write_str("its `typ` is not `dpop+jwt`"),
            Self::Algorithm => f.write_str(
                "its `alg` is missing, is not one that the policy lists for proofs, or is not of its key",
            ),
            Self::Header => f.write_str(
                "its header has `crit` or `b64`, or names a key elsewhere: only `jwk` is read",
            ),
            Self::KeyMissing => f.write_str("its header has no `jwk`"),
            Self::Key(fault) => write!(f, "its `jwk`: {fault}"),
            Self::KeyCost => f.write_str("its `jwk` is an RSA key of more than 4096 bits, or with an exponent of more than 17 bits: a signature of it costs too much"),
            Self::Claim { claim } => {
                write!(f, "its claim `{claim}` is missing, is of the wrong type, or is too long")
            }
            Self::Target(fault) => write!(f, "its `htu`: {fault}"),
        }
    }
}

impl core::error::Error for ProofFault {}

/// The addresses of a service, as its policy says them (see [`Dpop::at`](super::Dpop::at)).
///
/// They are settings, and nothing of a request: a log may have them.
#[derive(Clone, Eq, PartialEq)]
pub struct ServiceAddresses(Arc<str>);

impl ServiceAddresses {
    /// These, as they are compared.
    pub(super) fn of(targets: &[Target]) -> Self {
        let quoted: Vec<_> = targets.iter().map(|target| format!("`{target}`")).collect();
        Self(quoted.join(" or ").into())
    }
}

impl fmt::Display for ServiceAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

debug_as_displayed!(ServiceAddresses);

/// The request does not show that its sender has the key that its token is bound to (RFC 9449 §4.3, §7).
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DpopError {
    /// There is no proof.
    ProofMissing,
    /// There are several `DPoP` headers.
    SeveralProofs,
    /// It is not a proof.
    Proof(ProofFault),
    /// It is for another method (`htm`).
    Method,
    /// It is for another address (`htu`).
    Target {
        /// The first part in which it differs from the service's own.
        differs: TargetPart,
        /// What the policy says of the service: its addresses, of which one begins what a proof has to say.
        service: ServiceAddresses,
    },
    /// What the request asks for has no path that could be compared.
    RequestTarget,
    /// It is for another access token (`ath`), or for none.
    TokenHash,
    /// It is too old, or was made in the future: how long ago, and how long that may be.
    Window {
        /// Its age in seconds, negative where it is of the future.
        age: i64,
        /// The greatest age.
        past: Duration,
        /// How far in the future it may be.
        future: Duration,
    },
    /// Its own `nbf` or `exp` says that it does not hold.
    NotNow,
    /// Who wrote it does not have the key that it brings.
    Signature,
    /// It has no nonce that was given out lately (RFC 9449 §9).
    Nonce(NonceFault),
    /// It was used before, or may have been: by a process, or a store, that has just begun.
    Replayed,
    /// Nobody can tell whether it was used.
    Unavailable(ReplaysUnavailable),
    /// It is of another key than that of the token (`cnf.jkt`).
    OtherKey,
    /// The token is bound to a key, and came without the scheme `DPoP`.
    BoundAsBearer,
    /// The token came with the scheme `DPoP`, and is bound to no key.
    NotBound,
    /// The token is bound to no key, and a proof came with it.
    ProofBesideBearer,
    /// The token is bound to no key, and the policy takes only tokens that are.
    BindingRequired,
}

impl DpopError {
    /// A short name for logs and metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::ProofMissing => "proof_missing",
            Self::SeveralProofs
            | Self::Proof(_)
            | Self::Method
            | Self::Target { .. }
            | Self::RequestTarget
            | Self::TokenHash
            | Self::Window { .. }
            | Self::NotNow
            | Self::Signature => "bad_proof",
            Self::Nonce(fault) => fault.reason(),
            Self::Replayed => "proof_replayed",
            Self::Unavailable(_) => "replays_unavailable",
            Self::OtherKey
            | Self::BoundAsBearer
            | Self::NotBound
            | Self::ProofBesideBearer
            | Self::BindingRequired => "wrong_binding",
        }
    }
}

/// What is wrong with the nonce of a proof.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NonceFault {
    /// There is none. A client's first request has none yet.
    Missing,
    /// It was given out within the last hour, and is over.
    Old,
    /// It was not given out here: by another service or before a restart, by an instance that has other secrets, or more
    /// than an hour ago.
    Foreign,
}

impl NonceFault {
    fn reason(self) -> &'static str {
        match self {
            Self::Missing => "nonce_missing",
            Self::Old => "nonce_old",
            Self::Foreign => "nonce_foreign",
        }
    }
}

impl fmt::Display for NonceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the proof has no `nonce`: the answer tells the client one",
            Self::Old => "the `nonce` of the proof is over: the answer tells the client another one",
            Self::Foreign => {
                "the `nonce` of the proof was not given out here in the last hour. If that goes on: do all instances have the same secrets and addresses, and do their clocks agree?"
            }
        })
    }
}

/// Whether a proof was used cannot be told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ReplaysUnavailable {
    /// When to try again, if that is known.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for DpopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProofMissing => f.write_str("a proof of a key is needed here, and the request has no `DPoP` header"),
            Self::SeveralProofs => f.write_str("the request has several `DPoP` headers"),
            Self::Proof(fault) => write!(f, "the header `DPoP` is not a proof: {fault}"),
            Self::Method => f.write_str("the proof is for another method (`htm`)"),
            Self::Target { differs, service } => {
                write!(
                    f,
                    "the proof is for another address: its `htu` has another {differs} than the service, which is {service} and then the path of the request. `Dpop::at` (`base_urls` in a file) says the address as clients write it"
                )?;
                if *differs == TargetPart::Path {
                    f.write_str(". If the log names a shorter path than the client asked for, the policy stands behind what cut it: within `nest` of axum, take the layer of `portcullis-axum`")?;
                }
                Ok(())
            }
            Self::RequestTarget => f.write_str(
                "the path of the request cannot be compared with a proof: it is not known, or has dot segments",
            ),
            Self::TokenHash => f.write_str("the proof is for another access token, or for none (`ath`)"),
            Self::Window { age, future, .. } if *age < 0 => write!(
                f,
                "the proof was made {} s ahead of this machine's clock, and {} s is allowed",
                age.unsigned_abs(),
                future.as_secs()
            ),
            Self::Window { age, past, .. } => {
                write!(f, "the proof was made {age} s ago, and {} s is allowed", past.as_secs())
            }
            Self::NotNow => f.write_str("the proof does not hold now, by its own `nbf` or `exp`"),
            Self::Signature => f.write_str("the proof was not signed with the key that it brings"),
            Self::Nonce(fault) => fault.fmt(f),
            Self::Replayed => f.write_str(
                "the proof was used before, or was made before this process or its store began to remember: for some seconds after a start, every proof is refused. The client makes another one",
            ),
            Self::Unavailable(_) => f.write_str("whether the proof was used cannot be told at the moment"),
            Self::OtherKey => f.write_str("the proof is of another key than that of the token (`cnf.jkt`)"),
            Self::BoundAsBearer => f.write_str(
                "the token is bound to a key, and came as a bearer token, or to a call that sees no request: it needs `Authorization: DPoP` and the header `DPoP` with a proof",
            ),
            Self::NotBound => f.write_str("the token came with the scheme `DPoP`, and is bound to no key"),
            Self::ProofBesideBearer => f.write_str("the token is bound to no key, and a proof came with it"),
            Self::BindingRequired => f.write_str("the token is bound to no key, and the policy takes only tokens that are"),
        }
    }
}

impl core::error::Error for DpopError {}

use core::fmt;
use core::time::Duration;

use crate::debug_as_displayed::debug_as_displayed;
use crate::dpop::DpopFault;
#[cfg(feature = "remote-jwks")]
use crate::fetch::SettingFault;
use crate::issuers::IssuerFault;
#[cfg(feature = "remote-jwks")]
use crate::keys::remote::RemoteJwksError;
use crate::keys::{KeyFileError, MAX_CANDIDATES, SecretFault};
use crate::mtls::MtlsFault;
use crate::resource::ResourcePolicyFault;
use crate::revocation::RevocationFault;
use crate::signature::{Algorithm, AlgorithmSet};
use crate::source::{CookieError, OriginFault};
#[cfg(feature = "status-list")]
use crate::status_list::StatusListsError;
use crate::text::identifier_in;
use crate::token::TokenLimits;

/// A policy that would be weak, or whose decisions do not fit together. Lists every fault at once.
#[derive(Clone, Eq, PartialEq)]
pub struct BuildError {
    faults: Vec<PolicyFault>,
}

impl BuildError {
    pub(super) fn check(faults: Vec<PolicyFault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self { faults }) }
    }

    /// Every fault, at least one.
    pub fn faults(&self) -> &[PolicyFault] {
        &self.faults
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the policy is refused:")?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
    }
}

debug_as_displayed!(BuildError);

impl core::error::Error for BuildError {}

/// One reason why a policy is refused. Its text names the way out.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PolicyFault {
    /// No issuer.
    NoIssuer,
    /// What is asked of proofs does not hold together.
    Dpop(DpopFault),
    /// Certificates that tokens are bound to could not be checked as it says.
    Mtls(MtlsFault),
    /// A setting of one value that was said to be two, in code or in a file and in code.
    SaidTwice {
        /// Whose setting.
        place: String,
        /// Which.
        setting: &'static str,
    },
    /// Two issuers of the same identifier.
    DuplicateIssuer {
        /// The identifier.
        issuer: String,
    },
    /// An issuer whose identifier is empty.
    EmptyIssuer,
    /// An issuer that is named by the address of its metadata.
    MetadataAddress {
        /// The address.
        issuer: String,
    },
    /// An issuer whose identifier has braces in it, and that is not one by template.
    Braces {
        /// Its identifier.
        issuer: String,
    },
    /// An issuer without algorithms.
    NoAlgorithm {
        /// Its identifier.
        issuer: String,
    },
    /// An issuer without keys.
    NoKeys {
        /// Its identifier.
        issuer: String,
    },
    /// An issuer whose list of audiences or client ids is empty, or has an empty entry.
    NoAudience {
        /// Its identifier.
        issuer: String,
    },
    /// An issuer's identifier, audience or client id that begins or ends with white space.
    WhiteSpace {
        /// The issuer's identifier.
        issuer: String,
        /// Which it is.
        text: String,
    },
    /// An issuer whose list of token types is empty.
    NoTokenType {
        /// Its identifier.
        issuer: String,
    },
    /// An issuer whose tokens' scopes are in no claim, or in one without a name.
    NoScopeClaim {
        /// Its identifier.
        issuer: String,
    },
    /// An algorithm that none of the issuer's keys can be used with.
    UnusableAlgorithm {
        /// The issuer's identifier.
        issuer: String,
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// Keys that no listed algorithm can use.
    UnusedKeys {
        /// The issuer's identifier.
        issuer: String,
        /// The algorithms that the keys are for.
        usable: AlgorithmSet,
        /// The algorithms that are listed.
        listed: AlgorithmSet,
    },
    /// A fixed set in which a token could match more keys than [are tried](MAX_CANDIDATES).
    TooManyCandidates {
        /// The issuer's identifier.
        issuer: String,
        /// The algorithm.
        algorithm: Algorithm,
        /// How many keys a token could match.
        found: usize,
    },
    /// A shared secret that is refused.
    Secret {
        /// The issuer's identifier.
        issuer: String,
        /// Which secret.
        secret: String,
        /// Why.
        fault: SecretFault,
    },
    /// A key file that cannot be used.
    KeyFile {
        /// The issuer's identifier.
        issuer: String,
        /// Why.
        error: KeyFileError,
    },
    /// Remote keys that do not start.
    #[cfg(feature = "remote-jwks")]
    RemoteKeys {
        /// The issuer's identifier.
        issuer: String,
        /// Why.
        error: RemoteJwksError,
    },
    /// An issuer's template without `{tenant}`, with more than one, or with one that is a whole host, or whatever
    /// is registered below a public suffix.
    #[cfg(feature = "remote-jwks")]
    Template {
        /// The template.
        issuer: String,
    },
    /// A known tenant that is not an issuer of its template or predicate, or whose keys cannot be at an address that
    /// is made of it.
    #[cfg(feature = "remote-jwks")]
    KnownTenant {
        /// The template.
        issuer: String,
        /// The first that is none.
        tenant: String,
    },
    /// A bound on the issuers of a template or predicate that makes no sense.
    #[cfg(feature = "remote-jwks")]
    Tenants {
        /// The template.
        issuer: String,
        /// Which, and what it may be.
        fault: SettingFault,
    },
    /// Status lists that do not start.
    #[cfg(feature = "status-list")]
    StatusLists {
        /// Why.
        error: StatusListsError,
    },
    /// A leeway over 10 minutes.
    Leeway {
        /// Whose rules.
        place: String,
        /// The leeway.
        leeway: Duration,
    },
    /// A maximum lifetime over 30 days that is not by [`dangerous`](crate::dangerous).
    Lifetime {
        /// Whose rules.
        place: String,
        /// The lifetime.
        lifetime: Duration,
    },
    /// A maximum lifetime or age of nothing: no token could pass.
    ZeroDuration {
        /// Whose rules.
        place: String,
        /// Which setting.
        setting: &'static str,
    },
    /// A rule about a claim without a name.
    NamelessClaim {
        /// Whose rules.
        place: String,
    },
    /// Rules about a claim that no token can meet, together or beside what verification itself asks of it.
    Contradiction {
        /// Whose rules.
        place: String,
        /// The claim's name.
        claim: String,
    },
    /// Nowhere to look for a token.
    NoSource,
    /// The same place twice, perhaps in other words.
    DuplicateSource,
    /// A name that no header, cookie, query parameter or subprotocol can have.
    SourceName {
        /// The name.
        name: String,
    },
    /// The header `Cookie` as a source, which would go round the cross-site check.
    CookieHeader,
    /// The header `Sec-WebSocket-Protocol` as a source that is one value, where it is a list.
    WebSocketHeader,
    /// A cookie without the prefix `__Host-`.
    CookiePrefix {
        /// Its name.
        name: String,
    },
    /// A cookie as a source, where every algorithm of every issuer makes tokens that no cookie holds.
    CookieTooSmall {
        /// Its name.
        name: String,
        /// The algorithms that are listed.
        listed: AlgorithmSet,
    },
    /// A name of nothing, of more than 64 bytes, or with control characters.
    Name {
        /// The name.
        name: String,
    },
    /// A token limit of nothing or over 64 KiB.
    TokenLimit {
        /// The limit.
        limit: usize,
    },
    /// A header limit of nothing or over 16 KiB.
    HeaderLimit {
        /// The limit.
        limit: usize,
    },
    /// Room for remembered tokens that is neither 0 nor 1 MiB to 1 GiB.
    TokenCache {
        /// The bytes.
        bytes: usize,
    },
    /// Revocations that cannot be enforced so.
    Revocations {
        /// Whose rules.
        place: String,
        /// Why.
        fault: RevocationFault,
    },
    /// A protected resource whose document says what the policy does not keep.
    ProtectedResource {
        /// What that is.
        fault: ResourcePolicyFault,
    },
    /// An allowed origin that no browser would send.
    Origin {
        /// The origin.
        origin: String,
    },
    /// Text for responses with characters that its place does not allow.
    Text {
        /// Which setting.
        setting: &'static str,
    },
}

impl From<IssuerFault> for PolicyFault {
    fn from(fault: IssuerFault) -> Self {
        match fault {
            #[cfg(feature = "remote-jwks")]
            IssuerFault::RemoteKeys { issuer, error } => Self::RemoteKeys { issuer, error },
            #[cfg(feature = "remote-jwks")]
            IssuerFault::Template { issuer } => Self::Template { issuer },
            #[cfg(feature = "remote-jwks")]
            IssuerFault::Tenants { issuer, fault } => Self::Tenants { issuer, fault },
            #[cfg(feature = "remote-jwks")]
            IssuerFault::KnownTenant { issuer, tenant } => Self::KnownTenant { issuer, tenant },
        }
    }
}

impl fmt::Display for PolicyFault {
    #[allow(clippy::too_many_lines, reason = "one match, with an arm for each")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dpop(fault) => fault.fmt(f),
            Self::Mtls(fault) => fault.fmt(f),
            Self::NoIssuer => f.write_str("no issuer is trusted: call `PolicyBuilder::issuer`, in a policy file `[[issuer]]`, for each whose tokens are accepted"),
            Self::SaidTwice { place, setting } => write!(
                f,
                "{place}: `{setting}` is set twice, to different values: leave one out, or say by `PolicyBuilder::overrule` which one counts"
            ),
            Self::DuplicateIssuer { issuer } => {
                write!(f, "issuer `{issuer}` is there twice: put its keys and audiences into one")
            }
            Self::EmptyIssuer => f.write_str(
                "an issuer's identifier is empty: give it exactly as it stands in `iss`",
            ),
            Self::MetadataAddress { issuer } => write!(
                f,
                "issuer `{issuer}`: this is the address of the issuer's metadata: give the issuer's identifier instead, most likely `{}`",
                identifier_in(issuer).unwrap_or_default()
            ),
            Self::Braces { issuer } => write!(
                f,
                "issuer `{issuer}`: the braces are not filled in: write the identifier as it stands in `iss` of the tokens, or to trust every tenant call `Issuer::template`, in a policy file `template`, with `{{tenant}}` in it"
            ),
            Self::NoAlgorithm { issuer } => {
                write!(f, "issuer `{issuer}`: the issuer has no algorithm: list the ones that it signs with")
            }
            Self::NoKeys { issuer } => write!(
                f,
                "issuer `{issuer}`: the issuer has no keys: call `Issuer::keys`, in a policy file `keys`, with at least one"
            ),
            Self::NoAudience { issuer } => {
                write!(
                    f,
                    "issuer `{issuer}`: the issuer has no audience, or an empty one: name this service as it stands in `aud` of the tokens"
                )
            }
            Self::WhiteSpace { issuer, text } => write!(
                f,
                "issuer `{}`: `{}` begins or ends with white space: take it out, because names are compared byte by byte",
                issuer.escape_debug(),
                text.escape_debug()
            ),
            Self::NoTokenType { issuer } => {
                write!(f, "issuer `{issuer}`: `token_types` is an empty list: leave the setting out, or name a type")
            }
            Self::NoScopeClaim { issuer } => {
                write!(f, "issuer `{issuer}`: `scope_claims` is empty, or a name in it is: leave the setting out, or name a claim")
            }
            Self::UnusableAlgorithm { issuer, algorithm } => {
                write!(
                    f,
                    "issuer `{issuer}`: none of the keys can be used with {algorithm}: take {algorithm} off the list, or add a key for it"
                )
            }
            Self::UnusedKeys { issuer, usable, listed } => write!(
                f,
                "issuer `{issuer}`: some of its keys are for {usable}, and its algorithms are {listed}: list what the issuer signs with, or remove these keys"
            ),
            Self::TooManyCandidates { issuer, algorithm, found } => write!(
                f,
                "issuer `{issuer}`: a token could match {found} keys of {algorithm}, and at most {MAX_CANDIDATES} are tried (ES384, ES512 and long RSA keys count for two): give the keys different ids and call `require_key_id`, or remove old keys",
            ),
            Self::Secret { issuer, secret, fault } => {
                write!(f, "issuer `{issuer}`: {secret}: {fault}")
            }
            Self::KeyFile { issuer, error } => write!(f, "issuer `{issuer}`: {error}"),
            #[cfg(feature = "remote-jwks")]
            Self::RemoteKeys { issuer, error } => write!(f, "issuer `{issuer}`: {error}"),
            #[cfg(feature = "remote-jwks")]
            Self::Template { issuer } => write!(
                f,
                "issuer `{issuer}`: a template must have exactly one `{{tenant}}`, which must not be a whole host name, the end of one, or all of one before a public suffix such as `com` or `co.uk`; for an issuer without tenants, call `Issuer::new` with its identifier"
            ),
            #[cfg(feature = "remote-jwks")]
            Self::KnownTenant { issuer, tenant } => write!(
                f,
                "issuer `{issuer}`: `{}` is not one of its tenants: write each as it stands in `iss`",
                tenant.escape_debug()
            ),
            #[cfg(feature = "remote-jwks")]
            Self::Tenants { issuer, fault } => write!(f, "issuer `{issuer}`: {fault}"),
            #[cfg(feature = "status-list")]
            Self::StatusLists { error } => write!(f, "status lists: {error}"),
            Self::Leeway { place, leeway } => {
                write!(
                    f,
                    "{place}: a `leeway` of {} s is too long: 600 s is the most; set the clocks right instead",
                    leeway.as_secs()
                )
            }
            Self::Lifetime { place, lifetime } => write!(
                f,
                "{place}: a `max_lifetime` of {} s is too long: 2592000 s (30 days) is the most; if a leaked token may work for longer than that, write `max_lifetime(dangerous::long_lifetime(…))`",
                lifetime.as_secs()
            ),
            Self::ZeroDuration { place, setting } => {
                write!(f, "{place}: a `{setting}` of 0 s refuses every token: leave the setting out, or make it longer")
            }
            Self::NamelessClaim { place } => {
                write!(f, "{place}: a rule about a claim has an empty name: name the claim")
            }
            Self::Contradiction { place, claim } => write!(
                f,
                "{place}: the rules for the claim `{}` contradict each other, so that every token would be refused: it is both required and forbidden, no value meets all of them, or verification itself needs another value",
                claim.escape_debug()
            ),
            Self::NoSource => f.write_str(
                "the list of token sources is empty: name one, or leave the setting out for `Authorization: Bearer`",
            ),
            Self::DuplicateSource => {
                f.write_str("the same token source is there twice, so that every token would count as two: leave one out")
            }
            Self::SourceName { name } => {
                write!(
                    f,
                    "`{}` is not a name that a header, cookie, parameter or subprotocol can have",
                    name.escape_debug()
                )
            }
            Self::CookieHeader => f.write_str(
                "the header `cookie` as a token source has no defence against cross-site requests: use `TokenSource::cookie`",
            ),
            Self::WebSocketHeader => f.write_str(
                "the header `sec-websocket-protocol` is a list, and a header source reads one value: use `TokenSource::websocket_protocol`, with the subprotocol that stands before the token",
            ),
            Self::CookiePrefix { name } => write!(
                f,
                "cookie `{name}`: without the prefix `__Host-`, a sibling domain or a plain-text response can set it: call it `__Host-{name}`, or use `dangerous::unprefixed_cookie`",
            ),
            Self::CookieTooSmall { name, listed } => write!(
                f,
                "cookie `{name}`: the algorithms of all issuers are {listed}, and a token of those is over the {} bytes that browsers keep of a cookie: list an algorithm with smaller signatures, such as ES256 or ML-DSA-44, or leave the cookie out of the sources",
                CookieError::LIMIT
            ),
            Self::Name { name } => write!(
                f,
                "the name `{}` of the policy: it stands in metrics and logs, so 1 to 64 bytes without control characters are accepted",
                name.escape_debug()
            ),
            Self::TokenLimit { limit } => {
                write!(f, "a `token_limit` of {limit} bytes is out of range: 1 to {} are accepted", TokenLimits::MAX)
            }
            Self::HeaderLimit { limit } => write!(
                f,
                "a `header_limit` of {limit} bytes is out of range: 1 to {} are accepted",
                TokenLimits::MAX_HEADER
            ),
            Self::TokenCache { bytes } => write!(
                f,
                "a `token_cache` of {bytes} bytes is out of range: 1048576 (1 MiB) to 1073741824 (1 GiB) are accepted, and 0 turns it off"
            ),
            Self::Revocations { place, fault } => write!(f, "{place}: {fault}"),
            Self::ProtectedResource { fault } => write!(f, "the protected resource: {fault}"),
            Self::Origin { origin } => OriginFault { origin: origin.clone() }.fmt(f),
            Self::Text { setting } => {
                write!(
                    f,
                    "`{setting}` has characters that a header cannot carry: use printable ASCII without `\"` and `\\`"
                )
            }
        }
    }
}

impl core::error::Error for PolicyFault {}

use serde_json::{Map, Value, json};

use super::security::{FORBIDDEN, Security, UNAUTHORIZED, UNAVAILABLE};
use crate::dpop::DpopRules;
use crate::policy::{ActivePolicy, Policy};
use crate::signature::AlgorithmSet;
use crate::source::{Kind, TokenSource};
use crate::verifier::Rules;

/// How a policy takes its tokens, as OpenAPI has it: made by [`Policy::security_schemes`].
///
/// | the policy takes the token from | name | scheme |
/// | --- | --- | --- |
/// | `Authorization: Bearer` | `bearer` | `http`, `bearer`, with `bearerFormat: JWT` |
/// | the same, and finds the keys of an issuer by discovery | `openIdConnect` | `openIdConnect`, one for each such issuer |
/// | `Authorization: DPoP`, with a proof in the header `DPoP` | `dpop` | `http`, `dpop` |
/// | another header | `header` | `apiKey` in `header` |
/// | a cookie | `cookie` | `apiKey` in `cookie` |
/// | a subprotocol of WebSocket | `webSocket` | `apiKey` in `header` |
/// | the query | `query` | `apiKey` in `query` |
///
/// A second one of a kind has a number after its name: `cookie2`.
///
/// A policy with [`.dpop(…)`](crate::PolicyBuilder::dpop) takes tokens that are bound to a key by the scheme `DPoP` of
/// `Authorization` alone (RFC 9449, section 7.1). So `dpop` is an alternative where
/// [`Authorization`](crate::TokenSource::bearer) is among the sources, and every other scheme is for tokens that are bound to no key. Where
/// [each token has to be bound](crate::dpop::Dpop::required), `dpop` is the only scheme by which a token comes. `openIdConnect` is
/// not there then, since clients send what they get by it as a bearer token. If `Authorization` is not among the sources of such a
/// policy, no token passes. Operations name `dpop` all the same: without an alternative, they would be open to everybody.
///
/// A policy with [`.mtls(…)`](crate::PolicyBuilder::mtls) has one more, `mutualTLS`, of the type `mutualTLS` that
/// OpenAPI has since 3.1. Where [every token has to be bound](crate::mtls::Mtls::required) to a certificate, each
/// alternative of an operation names it beside the scheme of the token: `{ "bearer": ["a"], "mutualTLS": [] }`, which
/// asks for both. Where tokens may be bound, no operation names it, since a token that is not bound needs no
/// certificate. Its description says so.
#[derive(Clone, Debug)]
#[must_use]
pub struct SecuritySchemes {
    /// By which a token comes.
    schemes: Vec<Scheme>,
    certificate: Option<Certificate>,
    prefix: String,
    /// Whether a request without a token passes where nothing is asked for.
    pub(super) allows_anonymous: bool,
    /// Whether a browser may be refused for where its request comes from.
    pub(super) has_cookie: bool,
    /// Whether what OpenAPI cannot say is told in words.
    pub(super) tells_details: bool,
    /// Whether a hook may give refusals another body.
    has_hook: bool,
}

#[derive(Clone, Debug)]
struct Scheme {
    name: String,
    value: Value,
}

/// Which tokens need the certificate that they are bound to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Certificate {
    OfBoundTokens,
    OfEachToken,
}

const CERTIFICATE: &str = "mutualTLS";

impl Certificate {
    fn scheme(self) -> Value {
        let description = match self {
            Self::OfEachToken => {
                "The access token is bound to the client's certificate, and is taken with that certificate alone (RFC 8705)."
            }
            Self::OfBoundTokens => {
                "An access token that is bound to a client's certificate is taken with that certificate alone (RFC 8705). Other tokens need no certificate."
            }
        };
        json!({ "type": "mutualTLS", "description": description })
    }
}

impl Policy {
    /// How it takes its tokens, as the `securitySchemes` of an OpenAPI document.
    ///
    /// Of a [`ReplaceablePolicy`](crate::ReplaceablePolicy) it is what holds now.
    pub fn security_schemes(&self) -> SecuritySchemes {
        self.with(|ActivePolicy { verifier, anonymous }| {
            SecuritySchemes::of(&verifier.rules, anonymous)
        })
    }
}

impl SecuritySchemes {
    fn of(rules: &Rules, allows_anonymous: bool) -> Self {
        let dpop = rules.dpop.as_deref();
        let schemes = match dpop.filter(|dpop| dpop.is_required) {
            Some(dpop) => vec![scheme_of_bound_tokens(dpop)],
            None => each_source(rules, dpop),
        };
        let certificate = rules.mtls.as_ref().map(|mtls| match mtls.is_required {
            true => Certificate::OfEachToken,
            false => Certificate::OfBoundTokens,
        });
        Self {
            schemes,
            certificate,
            prefix: String::new(),
            allows_anonymous,
            has_cookie: rules.sources.iter().any(|it| matches!(it.0, Kind::Cookie { .. })),
            tells_details: rules.terms.presentation.tells_details(),
            has_hook: rules.terms.presentation.has_hook(),
        }
    }

    /// Puts `prefix` before the name of each scheme and response, for a document of two policies. Letters, digits, `.`,
    /// `-` and `_` are kept. Every other character becomes `_`, since OpenAPI takes no other there.
    ///
    /// If you do not call it: none.
    pub fn prefixed(mut self, prefix: &str) -> Self {
        let may_be = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
        self.prefix = prefix.chars().map(|it| if may_be(it) { it } else { '_' }).collect();
        self
    }

    /// The names of the schemes by which a token comes. `mutualTLS` is not among them: it brings no token, and so it is
    /// no alternative to them.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.schemes.iter().map(|scheme| self.named(&scheme.name))
    }

    pub(super) fn named(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The schemes by name: what stands in `components.securitySchemes`.
    pub fn to_json(&self) -> Value {
        let schemes = self.schemes.iter();
        let schemes = schemes.map(|scheme| (self.named(&scheme.name), scheme.value.clone()));
        let certificate = self.certificate.map(|it| (self.named(CERTIFICATE), it.scheme()));
        Value::Object(schemes.chain(certificate).collect())
    }

    /// One way in: a token with these scopes by the scheme of this name, and all else that each token needs.
    pub(super) fn alternative(&self, name: String, scopes: Vec<Value>) -> Value {
        let certificate = self.certificate.filter(|it| *it == Certificate::OfEachToken);
        let certificate = certificate.map(|_| (self.named(CERTIFICATE), Value::Array(Vec::new())));
        Value::Object([(name, scopes.into())].into_iter().chain(certificate).collect())
    }

    /// What operations refer to, as the `components` of a document: `securitySchemes`, and the refusals
    /// as `responses`.
    ///
    /// Where the policy has a [hook](crate::Presentation::on_refusal), the responses do not say how their bodies look.
    pub fn components(&self) -> Value {
        let responses: Map<_, _> = [UNAUTHORIZED, FORBIDDEN, UNAVAILABLE]
            .into_iter()
            .map(|refusal| (self.named(refusal.name), refusal.response(self.has_hook)))
            .collect();
        json!({ "securitySchemes": self.to_json(), "responses": responses })
    }

    /// What a route asks for that takes every token of the policy, and nothing else.
    pub fn any_caller(&self) -> Security {
        Security::any_caller(self)
    }

    /// What a route asks for that takes whom the policy lets in: where that
    /// [allows anonymous requests](Policy::allow_anonymous), the first alternative is `{}`, which is no token.
    pub fn anyone(&self) -> Security {
        Security::anyone(self)
    }
}

/// Those of a policy that takes tokens which are bound to no key.
fn each_source(rules: &Rules, dpop: Option<&DpopRules>) -> Vec<Scheme> {
    let mut schemes = Vec::new();
    for source in &rules.sources {
        let (name, value) = scheme(source);
        add(&mut schemes, name, value);
        if matches!(source.0, Kind::Bearer) {
            for address in discovered(rules) {
                let value = json!({ "type": "openIdConnect", "openIdConnectUrl": address });
                add(&mut schemes, "openIdConnect", value);
            }
            schemes.extend(dpop.map(scheme_of_bound_tokens));
        }
    }
    schemes
}

/// That of RFC 9449 §7.1.
fn scheme_of_bound_tokens(dpop: &DpopRules) -> Scheme {
    let algorithms = AlgorithmSet::from_iter(dpop.algorithms.iter().copied());
    let one_of = if algorithms.iter().count() > 1 { "one of " } else { "" };
    let nonces = match dpop.nonces {
        Some(_) => {
            "They need the nonce that the service told last in the header `DPoP-Nonce`: a request without it is answered with 401 and a nonce."
        }
        None => "They need no nonce.",
    };
    let others = match dpop.is_required {
        true => "",
        false => " Other tokens need no proof, and are not taken by this scheme.",
    };
    let description = format!(
        "An access token that is bound to a key of its client, with a proof of that key in the header `DPoP` (RFC 9449). Proofs are signed by {one_of}{algorithms}. {nonces}{others}"
    );
    let value = json!({ "type": "http", "scheme": "dpop", "description": description });
    Scheme { name: "dpop".to_owned(), value }
}

fn add(schemes: &mut Vec<Scheme>, kind: &str, value: Value) {
    let is_taken = |name: &str| schemes.iter().any(|scheme| scheme.name == name);
    let numbered = (2..).map(|number| format!("{kind}{number}"));
    let mut names = core::iter::once(kind.to_owned()).chain(numbered);
    if let Some(name) = names.find(|name| !is_taken(name)) {
        schemes.push(Scheme { name, value });
    }
}

fn scheme(source: &TokenSource) -> (&'static str, Value) {
    let key = |place: &str, name: &str| json!({ "type": "apiKey", "in": place, "name": name });
    let described = |mut scheme: Value, description: String| {
        scheme["description"] = description.into();
        scheme
    };
    match &source.0 {
        Kind::Bearer => {
            ("bearer", json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT" }))
        }
        Kind::Header { name, prefix } if prefix.is_empty() => ("header", key("header", name)),
        Kind::Header { name, prefix } => {
            let mut scheme =
                described(key("header", name), format!("The token stands after {prefix:?}."));
            scheme["x-portcullis"] = json!({ "prefix": prefix });
            ("header", scheme)
        }
        Kind::Cookie { cookie, .. } => ("cookie", key("cookie", cookie.name())),
        Kind::WebSocketProtocol { marker } => {
            let description = format!("The token is the subprotocol after `{marker}`.");
            let mut scheme = described(key("header", "Sec-WebSocket-Protocol"), description);
            scheme["x-portcullis"] = json!({ "prefix": format!("{marker}, ") });
            ("webSocket", scheme)
        }
        Kind::Query { name } => ("query", key("query", name)),
    }
}

/// Where the metadata stand by which the keys of issuers are found. A template has no address of its own.
#[cfg(feature = "remote-jwks")]
fn discovered(rules: &Rules) -> impl Iterator<Item = String> {
    let issuers = rules.issuers.named().iter();
    issuers.filter_map(|issuer| issuer.remotes.iter().find_map(|keys| keys.discovery_address()))
}

#[cfg(not(feature = "remote-jwks"))]
fn discovered(_: &Rules) -> impl Iterator<Item = String> {
    core::iter::empty()
}

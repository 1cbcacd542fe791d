//! Why two who check a proof may decide otherwise about it, and both be right.
//!
//! Each reason looks at the request itself, and not only at what was said of it.
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::Error;
use portcullis::dpop::{DpopError, ProofFault, TargetFault};
use portcullis::error::{ClaimsError, JsonFault, TokenError};
use portcullis_interop::Refused;
use reqwest::Url;
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::{Value, json};

use crate::case::{BASE, Case};

/// Whether a request differs from others in this, and a refusal says so.
type Holds<E> = fn(&Look<'_>, &E) -> bool;

/// What we refuse, and they let in.
const WE_REFUSE: [(&str, Holds<Error>); 20] = [
    (
        "a proof that is outside of our window of 60 s and 10 s, and inside of theirs of 300 s",
        window,
    ),
    ("a proof by an algorithm that the policy does not list", algorithm),
    ("`typ` in capitals, or with the prefix `application/`", typ),
    ("`b64` in the header, or a key elsewhere", header),
    ("a key that says that it is for something else", other_use),
    ("a key with a private member that has no meaning in it", private_member),
    ("a key of small order, with which anybody signs", small_order),
    ("an id that is empty, or has more than 256 bytes", id),
    ("a nonce that is not a text, where nobody asks for one", nonce),
    ("a member twice in the JSON", twice),
    ("JSON that nests deeper than 16 levels", deep),
    (
        "JSON that is not UTF-8, has half a surrogate, a byte order mark or a number beyond all",
        text,
    ),
    ("base64 that is padded, in the other alphabet, or has white space or idle bits", spelling),
    ("a proof of more than 8 KiB", size),
    ("dot segments in `htu`, which WHATWG takes away", dots_in_proof),
    ("dot segments in the path, which WHATWG takes away", dots_in_path),
    ("an `htu` that is not a URI by RFC 3986, and that WHATWG repairs", no_uri),
    ("an `htu` of more than 2 KiB", long_address),
    ("the method `get`, which `fetch` writes in capitals, as the proof does", method_in_proof),
    ("a bearer token with an empty `cnf`", empty_binding),
];

/// What they refuse, and we let in.
const THEY_REFUSE: [(&str, Holds<Refused>); 5] = [
    ("an `htu` that is the same by RFC 3986 §6.2.2: WHATWG leaves escapes as they are", escapes),
    ("`nbf` in the 10 s that our window is open ahead", not_before),
    ("`iss` or `aud` that are not texts, which mean nothing in a proof", claim_of_tokens),
    ("the method `get` in both: `fetch` writes that of the request in capitals", method),
    ("a token of the type `JWT`, which a policy lets in unless it is told otherwise", token_type),
];

/// All reasons.
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    let ours = WE_REFUSE.iter().map(|(name, _)| *name);
    ours.chain(THEY_REFUSE.iter().map(|(name, _)| *name))
}

/// Those that hold for a request that only we refuse.
pub(crate) fn that_we_refuse(case: &Case, error: &Error, now: i64) -> Vec<&'static str> {
    let look = Look::at(case, now);
    let reasons = WE_REFUSE.iter().filter(|(_, holds)| holds(&look, error));
    reasons.map(|(name, _)| *name).collect()
}

/// Those that hold for a request that only they refuse.
pub(crate) fn that_they_refuse(case: &Case, refused: &Refused, now: i64) -> Vec<&'static str> {
    let look = Look::at(case, now);
    let reasons = THEY_REFUSE.iter().filter(|(_, holds)| holds(&look, refused));
    reasons.map(|(name, _)| *name).collect()
}

/// Whether a request that we let in has a proof of the token's key, for this token, this method and this resource; or a token
/// that is bound to nothing, and no proof.
pub(crate) fn serves_this_request_alone(case: &Case, now: i64) -> bool {
    let look = Look::at(case, now);
    let binding = &case.token_parts()[1]["cnf"];
    if case.proof().is_none() {
        return binding.is_null();
    }
    // RFC 7638 §3.2: in this order.
    let members = match look.jwk()["kty"].as_str() {
        Some("EC") => &["crv", "kty", "x", "y"][..],
        Some("OKP") => &["crv", "kty", "x"],
        _ => &["e", "kty", "n"],
    };
    let members = members.iter().map(|name| format!("{}:{}", json!(name), look.jwk()[name]));
    let key = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    let asked = Url::parse(&case.request.url).expect("an address");
    let claimed = Url::parse(look.htu()).expect("an address");
    *binding == json!({ "jkt": hash(key.as_bytes()) })
        && look.claims["ath"] == hash(case.token.as_bytes())
        && look.claims["htm"] == case.request.method
        && claimed.origin() == asked.origin()
        && shortest(claimed.path()) == shortest(asked.path())
}

fn hash(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, bytes))
}

/// A request, read by a reader that is not ours.
struct Look<'c> {
    case: &'c Case,
    now: i64,
    /// Of the proof. `null` is what cannot be read.
    header: Value,
    claims: Value,
}

impl<'c> Look<'c> {
    fn at(case: &'c Case, now: i64) -> Self {
        let [header, claims] = case.proof_parts();
        Self { case, now, header, claims }
    }

    fn proof(&self) -> &str {
        self.case.proof().unwrap_or_default()
    }

    fn jwk(&self) -> &Value {
        &self.header["jwk"]
    }

    fn htu(&self) -> &str {
        self.claims["htu"].as_str().unwrap_or_default()
    }

    /// The texts of header and payload, where their base64 is strict.
    fn texts(&self) -> Vec<Vec<u8>> {
        let parts = self.proof().split('.').take(2);
        parts.flat_map(|part| URL_SAFE_NO_PAD.decode(part)).collect()
    }
}

/// What we say of the form of a proof.
fn fault(error: &Error) -> Option<&ProofFault> {
    match error {
        Error::Dpop(DpopError::Proof(fault)) => Some(fault),
        _ => None,
    }
}

fn window(look: &Look<'_>, error: &Error) -> bool {
    let made = look.claims["iat"].as_f64().unwrap_or_default().floor();
    #[expect(clippy::cast_precision_loss, reason = "a time of this century is exact")]
    let age = look.now as f64 - made;
    let is_theirs = (-300.0..=301.0).contains(&age) && !(-10.0..=60.0).contains(&age);
    is_theirs && matches!(error, Error::Dpop(DpopError::Window { .. }))
}

fn algorithm(look: &Look<'_>, error: &Error) -> bool {
    look.header["alg"] == "RS256" && fault(error) == Some(&ProofFault::Algorithm)
}

fn typ(look: &Look<'_>, error: &Error) -> bool {
    let typ = look.header["typ"].as_str().unwrap_or_default();
    let shortest = typ.to_lowercase().replace("application/", "");
    typ != "dpop+jwt" && shortest == "dpop+jwt" && fault(error) == Some(&ProofFault::Type)
}

fn header(look: &Look<'_>, error: &Error) -> bool {
    let mut members = ["b64", "jku", "x5u", "x5c"].into_iter();
    members.any(|name| look.header.get(name).is_some()) && fault(error) == Some(&ProofFault::Header)
}

fn other_use(look: &Look<'_>, error: &Error) -> bool {
    let operations = look.jwk()["key_ops"].as_array();
    let is_other = operations.is_some_and(|operations| !operations.contains(&json!("verify")));
    (is_other || look.jwk()["use"] == "enc") && matches!(fault(error), Some(ProofFault::Key(_)))
}

fn private_member(look: &Look<'_>, error: &Error) -> bool {
    let mut members = ["k", "p", "oth"].into_iter();
    members.any(|name| look.jwk().get(name).is_some())
        && matches!(fault(error), Some(ProofFault::Key(_)))
}

fn small_order(look: &Look<'_>, error: &Error) -> bool {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    look.jwk()["x"] == URL_SAFE_NO_PAD.encode(neutral)
        && matches!(fault(error), Some(ProofFault::Key(_)))
}

fn id(look: &Look<'_>, error: &Error) -> bool {
    let length = look.claims["jti"].as_str().map(str::len);
    length.is_some_and(|length| length == 0 || length > 256)
        && fault(error) == Some(&ProofFault::Claim { claim: "jti" })
}

fn nonce(look: &Look<'_>, error: &Error) -> bool {
    look.claims["nonce"].is_number() && fault(error) == Some(&ProofFault::Claim { claim: "nonce" })
}

fn twice(look: &Look<'_>, error: &Error) -> bool {
    /// The names of an object's members.
    #[derive(Default)]
    struct Names(Vec<String>);

    impl<'de> Visitor<'de> for Names {
        type Value = Self;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Self, A::Error> {
            while let Some((name, IgnoredAny)) = members.next_entry()? {
                self.0.push(name);
            }
            Ok(self)
        }
    }

    let has = |text: &Vec<u8>| {
        let names = serde_json::Deserializer::from_slice(text).deserialize_map(Names::default());
        let Names(names) = names.unwrap_or_default();
        (1..names.len()).any(|at| names[..at].contains(&names[at]))
    };
    look.texts().iter().any(has)
        && matches!(
            fault(error),
            // The first `alg` is refused before the second is read.
            Some(ProofFault::Json(JsonFault::DuplicateMember) | ProofFault::Algorithm)
        )
}

fn deep(look: &Look<'_>, error: &Error) -> bool {
    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
            Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
            _ => 0,
        }
    }
    depth(&look.claims) > 16 && fault(error) == Some(&ProofFault::Json(JsonFault::TooDeep))
}

fn text(look: &Look<'_>, error: &Error) -> bool {
    look.texts().iter().any(|text| serde_json::from_slice::<Value>(text).is_err())
        && matches!(fault(error), Some(ProofFault::Utf8 | ProofFault::Json(JsonFault::NotAnObject)))
}

fn spelling(look: &Look<'_>, error: &Error) -> bool {
    use TokenError::{Base64, Character, Padding};
    look.proof().split('.').any(|part| URL_SAFE_NO_PAD.decode(part).is_err())
        && matches!(fault(error), Some(ProofFault::Form(Base64(_) | Character | Padding)))
}

fn size(look: &Look<'_>, error: &Error) -> bool {
    look.proof().len() > 8192 && matches!(fault(error), Some(ProofFault::TooLong { .. }))
}

/// By itself or escaped, as WHATWG reads it.
fn has_dot_segment(address: &str) -> bool {
    let path = address.split(['?', '#']).next().unwrap_or_default().to_lowercase();
    path.replace("%2e", ".").split('/').any(|segment| matches!(segment, "." | ".."))
}

fn dots_in_proof(look: &Look<'_>, error: &Error) -> bool {
    let dots = ProofFault::Target(TargetFault::DotSegment);
    has_dot_segment(look.htu()) && fault(error) == Some(&dots)
}

fn dots_in_path(look: &Look<'_>, error: &Error) -> bool {
    has_dot_segment(&look.case.target) && *error == Error::Dpop(DpopError::RequestTarget)
}

fn no_uri(look: &Look<'_>, error: &Error) -> bool {
    use TargetFault::{Character, Host, Percent, Scheme, UserInfo};
    let htu = look.htu();
    let repaired =
        Url::parse(htu).map(|url| format!("{}{}", url.origin().ascii_serialization(), url.path()));
    // With what it has to be equal to after that.
    let asked = Url::parse(&look.case.request.url).expect("an address");
    let is_same = repaired == Ok(format!("{BASE}{}", asked.path()));
    is_same
        && matches!(
            fault(error),
            Some(ProofFault::Target(Character | Host | Percent | Scheme | UserInfo))
        )
}

fn long_address(look: &Look<'_>, error: &Error) -> bool {
    let long = ProofFault::Target(TargetFault::TooLong);
    look.htu().len() > 2048 && fault(error) == Some(&long)
}

fn method_in_proof(look: &Look<'_>, error: &Error) -> bool {
    look.case.request.method == "get"
        && look.claims["htm"] == "GET"
        && *error == Error::Dpop(DpopError::Method)
}

fn empty_binding(look: &Look<'_>, error: &Error) -> bool {
    look.case.token_parts()[1]["cnf"] == json!({})
        && look.case.proof().is_none()
        && *error == Error::Claims(ClaimsError::SenderConstrained)
}

/// A path without escapes that need not be, and the others in capitals.
fn shortest(path: &str) -> String {
    let (mut path, mut rest) = (String::new(), path);
    while let Some((before, after)) = rest.split_once('%') {
        let (digits, after) = after.split_at_checked(2).unwrap_or((after, ""));
        let byte = u8::from_str_radix(digits, 16).map(char::from).unwrap_or('%');
        path.push_str(before);
        match byte {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '_' | '~' => path.push(byte),
            _ => path.extend(["%", &digits.to_uppercase()]),
        }
        rest = after;
    }
    path + rest
}

fn escapes(look: &Look<'_>, refused: &Refused) -> bool {
    let path = |address: &str| Url::parse(address).map(|url| url.path().to_owned());
    let (Ok(claimed), Ok(asked)) = (path(look.htu()), path(&look.case.request.url)) else {
        return false;
    };
    claimed != asked
        && shortest(&claimed) == shortest(&asked)
        && refused.why == "DPoP Proof htu mismatch"
}

fn not_before(look: &Look<'_>, refused: &Refused) -> bool {
    let begins = look.claims["nbf"].as_i64().unwrap_or_default();
    (look.now + 1..=look.now + 10).contains(&begins)
        && refused.why == r#"unexpected JWT "nbf" (not before) claim value"#
}

fn claim_of_tokens(look: &Look<'_>, refused: &Refused) -> bool {
    let of = |name| look.claims[name].is_number() && refused.why.contains(&format!("\"{name}\""));
    (of("iss") || of("aud")) && refused.why.ends_with("claim type")
}

fn method(look: &Look<'_>, refused: &Refused) -> bool {
    look.case.request.method == "get"
        && look.claims["htm"] == "get"
        && refused.why == "DPoP Proof htm mismatch"
}

fn token_type(look: &Look<'_>, refused: &Refused) -> bool {
    look.case.token_parts()[0]["typ"] == "JWT"
        && refused.why == r#"unexpected JWT "typ" header parameter value"#
}

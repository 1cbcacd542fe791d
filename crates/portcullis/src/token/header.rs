use core::fmt;

use super::{Fault, MAX_ID, Part, Span, TokenError};
use crate::json::{self, JsonText, Value};
use crate::signature::Algorithm;

/// The JOSE header, as far as it may be asked: the algorithm is compared, the key id looks up.
///
/// `jwk`, `jku`, `x5u` and `x5c` are never read, only noted (RFC 8725bis §3.10): a token does not
/// bring the key that it is verified with.
#[derive(Clone)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    key_id: Option<Span>,
    pub(crate) typ: TypeHeader,
    /// It carries or points to a key.
    pub(crate) brings_key: bool,
}

/// What the `typ` member says (RFC 7515 §4.1.9, RFC 8725 §3.11).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TypeHeader {
    Absent,
    Jwt,
    AccessToken,
    /// OpenID Connect Back-Channel Logout 1.0 §2.4.
    LogoutToken,
    /// Token Status List §5.1.
    StatusList,
    Other,
}

impl Header {
    /// How many bytes it holds elsewhere.
    pub(super) fn heap_size(&self) -> usize {
        self.key_id.as_ref().map_or(0, Span::heap_size)
    }

    pub(super) fn read(input: &str) -> Result<Self, TokenError> {
        let mut reader = Reader {
            input,
            algorithm: None,
            key_id: None,
            typ: TypeHeader::Absent,
            brings_key: false,
        };
        json::read_object(input, |name, value| reader.member(name, value))
            .map_err(|fault| fault.of(Part::Header))?;
        Ok(Self {
            algorithm: reader.algorithm.ok_or(TokenError::AlgorithmMissing)?,
            key_id: reader.key_id,
            typ: reader.typ,
            brings_key: reader.brings_key,
        })
    }

    /// The `kid` member; `header` is the text this was read from.
    pub(crate) fn key_id<'a>(&'a self, header: &'a str) -> Option<&'a str> {
        self.key_id.as_ref().map(|id| id.get(header))
    }
}

struct Reader<'de> {
    input: &'de str,
    algorithm: Option<Algorithm>,
    key_id: Option<Span>,
    typ: TypeHeader,
    brings_key: bool,
}

impl<'de> Reader<'de> {
    fn member(&mut self, name: &str, value: Value<'_, 'de>) -> Result<(), Fault> {
        match name {
            "alg" => match value.string()? {
                // Compared as it is: `none`, `None` and `NONE` are all unknown (RFC 8725bis §3.1).
                Some(name) => {
                    let algorithm = Algorithm::from_name(&name);
                    self.algorithm = Some(algorithm.ok_or(TokenError::AlgorithmUnknown)?);
                }
                None => return Err(TokenError::AlgorithmMissing.into()),
            },
            "kid" => match value.string()? {
                Some(id) if id.len() > MAX_ID => {
                    return Err(TokenError::KeyIdTooLong.into());
                }
                Some(id) => self.key_id = Some(Span::new(id, self.input)),
                None => return Err(TokenError::HeaderType { member: "kid" }.into()),
            },
            "typ" => match value.string()? {
                Some(typ) => self.typ = TypeHeader::of(&typ),
                None => return Err(TokenError::HeaderType { member: "typ" }.into()),
            },
            // RFC 7515 §4.1.10: `JWT` says that the payload is another token (RFC 7519 §5.2).
            "cty" => match value.string()? {
                Some(cty) if TypeHeader::of(&cty) == TypeHeader::Jwt => {
                    return Err(TokenError::HeaderUnsupported { member: "cty" }.into());
                }
                Some(_) => {}
                None => return Err(TokenError::HeaderType { member: "cty" }.into()),
            },
            // RFC 7515 §4.1.11: no extension is understood here, so none can be critical, and an
            // empty list is not allowed at all.
            "crit" => return Err(TokenError::HeaderUnsupported { member: "crit" }.into()),
            // RFC 7797 §6: only together with `crit`.
            "b64" => return Err(TokenError::HeaderUnsupported { member: "b64" }.into()),
            "zip" => return Err(TokenError::HeaderUnsupported { member: "zip" }.into()),
            "jwk" | "jku" | "x5u" | "x5c" => {
                self.brings_key = true;
                value.skip()?;
            }
            _ => value.skip()?,
        }
        Ok(())
    }
}

impl TypeHeader {
    /// Media types compare without case, and `application/` may be left out (RFC 7515 §4.1.9,
    /// RFC 8725bis §3.11).
    fn of(value: &str) -> Self {
        let name = without_prefix(value);
        if name.eq_ignore_ascii_case("JWT") {
            Self::Jwt
        } else if name.eq_ignore_ascii_case("at+jwt") {
            Self::AccessToken
        } else if name.eq_ignore_ascii_case("logout+jwt") {
            Self::LogoutToken
        } else if name.eq_ignore_ascii_case("statuslist+jwt") {
            Self::StatusList
        } else {
            Self::Other
        }
    }
}

/// A media type without the `application/` that may be left out.
fn without_prefix(value: &str) -> &str {
    const PREFIX: &str = "application/";
    match value.get(..PREFIX.len()) {
        Some(prefix) if prefix.eq_ignore_ascii_case(PREFIX) => &value[PREFIX.len()..],
        _ => value,
    }
}

/// The types of JWTs that are registered, or that a provider is known to write.
const KNOWN_TYPES: [&str; 16] = [
    "JWT",
    "at+jwt",
    "dc+sd-jwt",
    "dpop+jwt",
    "entity-statement+jwt",
    "kb+jwt",
    "logout+jwt",
    "oauth-authz-req+jwt",
    "okta-internal-at+jwt",
    "sd-jwt",
    "secevent+jwt",
    "statuslist+jwt",
    "token-introspection+jwt",
    "vc+jwt",
    "vc+sd-jwt",
    "vp+jwt",
];

/// What the `typ` header of a token says, for logs: a type that is known, by its own name, or that it is another. Of
/// what the sender of a token writes freely, nothing is kept.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct TypeName(Told);

#[derive(Clone, Copy, Eq, PartialEq)]
enum Told {
    Absent,
    Known(&'static str),
    Other,
}

impl TypeName {
    /// There is no `typ`.
    pub const ABSENT: Self = Self(Told::Absent);

    /// What a `typ` of this text is told as.
    pub fn new(typ: &str) -> Self {
        let name = without_prefix(typ);
        let known = KNOWN_TYPES.into_iter().find(|known| known.eq_ignore_ascii_case(name));
        Self(known.map_or(Told::Other, Told::Known))
    }

    /// Reads it of a header that was read as one.
    pub(super) fn read(header: &str) -> Self {
        let typ = JsonText::of_checked(header).get("typ").and_then(JsonText::string);
        typ.map_or(Self::ABSENT, |typ| Self::new(&typ))
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Told::Absent => f.write_str("missing"),
            Told::Known(name) => write!(f, "`{name}`"),
            Told::Other => f.write_str("not a known type"),
        }
    }
}

impl fmt::Debug for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TypeName({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_is_known_is_told_by_its_own_name_and_no_other_is() {
        for (typ, told) in [
            ("JWT", "`JWT`"),
            ("jwt", "`JWT`"),
            ("AT+jwt", "`at+jwt`"),
            ("application/logout+jwt", "`logout+jwt`"),
            ("APPLICATION/secevent+jwt", "`secevent+jwt`"),
            ("text/JWT", "not a known type"),
            ("JWT ", "not a known type"),
            ("", "not a known type"),
            ("alice", "not a known type"),
            ("\u{1b}[2J", "not a known type"),
        ] {
            assert_eq!(TypeName::new(typ).to_string(), told, "{typ:?}");
            assert_eq!(format!("{:?}", TypeName::new(typ)), format!("TypeName({told})"));
        }
        assert_eq!(TypeName::ABSENT.to_string(), "missing");
        assert!(KNOWN_TYPES.is_sorted());
    }

    #[test]
    fn a_type_is_found_in_a_header_in_whatever_spelling() {
        for header in [
            r#"{"alg":"ES256","typ":"vc+jwt","kid":"typ"}"#,
            r#"{"kid":"typ", "t\u0079p" : "vc\u002bjwt" }"#,
        ] {
            assert_eq!(TypeName::read(header).to_string(), "`vc+jwt`", "{header}");
        }
        assert_eq!(TypeName::read(r#"{"alg":"ES256","kid":"typ"}"#), TypeName::ABSENT);
    }
}

use super::{Fault, MAX_ID, Part, Span, TokenError};
use crate::json::{self, Value};
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
        const PREFIX: &str = "application/";
        let name = match value.get(..PREFIX.len()) {
            Some(prefix) if prefix.eq_ignore_ascii_case(PREFIX) => &value[PREFIX.len()..],
            _ => value,
        };
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

//! From text to parts, under limits, believing nothing.
//!
//! What passes is a compact JWS (RFC 7515 §7.1):
//!
//! 1. at most [`TokenLimits::token`] bytes, all of the base64url alphabet, in three non-empty parts;
//! 2. each part strict base64url (RFC 7515 §2): no padding, no non-zero trailing bits;
//! 3. a header of at most 4 KiB, or as the policy says, and a payload, each one UTF-8 JSON object without
//!    a duplicate member at any depth, nested at most 16 deep;
//! 4. a header that names an algorithm of [`Algorithm`](crate::Algorithm), a `kid` of at most 1 KiB
//!    if any, and nothing that changes how the token is to be read (`crit`, `b64`, `zip`, `cty: JWT`);
//! 5. registered claims of the JSON types that RFC 7519 §4.1 gives them, `sub` and `jti` as whole numbers
//!    aside, which the claims step refuses unless the issuer may write them; at most 256 audiences.
//!
//! Nothing here was verified. All of it was written by whoever sent the request.
mod header;
mod header_cache;
mod payload;
#[cfg(feature = "status-list")]
mod status_claim;

use core::fmt;
use core::ops::Range;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use std::sync::LazyLock;
use std::sync::OnceLock;

use base64::Engine as _;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use base64::engine::{Simd, general_purpose::NO_PAD};
use memchr::memchr_iter;

pub use self::header::TypeName;
pub(crate) use self::header::{Header, TypeHeader};
pub(crate) use self::header_cache::HeaderCache;
pub(crate) use self::payload::{Binding, Payload};
#[cfg(feature = "status-list")]
pub(crate) use self::status_claim::{Reference, StatusClaim};
use crate::json::{BYTES_A_MEMBER, Index, JsonFault, JsonText};
use crate::keys::KeyQuery;

/// The longest signature there is: ML-DSA-87 (FIPS 204, table 2).
const MAX_SIGNATURE: usize = 4627;

/// The longest that needs no allocation: RSA with 8192 bits.
const USUAL_SIGNATURE: usize = 1024;

/// The longest key id and token id. Providers send up to some 100 bytes (UUIDs, thumbprints,
/// URLs); an id ends up in look-ups and stores.
const MAX_ID: usize = 1024;

/// The most audiences of a token. Keycloak names each client that a user has a role of, which may be
/// dozens; each one costs a comparison with our own, and with escapes in it an allocation.
const MAX_AUDIENCES: usize = 256;

/// How large a token may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TokenLimits {
    /// Bytes of the compact form. Default 16 KiB: an Entra ID token with 200 groups is over 10,
    /// and servers take 8 to 64 KiB of headers in all. At most 64 KiB.
    pub(crate) token: usize,
    /// Bytes of the header, decoded. Default 4 KiB: algorithm, type, key id and a certificate thumbprint
    /// need some 300 bytes, and a chain of two certificates in `x5c` fits. At most 16 KiB, a chain of
    /// eight.
    pub(crate) header: usize,
}

impl TokenLimits {
    pub(crate) const MAX: usize = 64 * 1024;
    pub(crate) const MAX_HEADER: usize = 16 * 1024;

    fn check(self, length: usize) -> Result<(), TokenError> {
        let limit = self.token;
        if length > limit { Err(TokenError::TooLong { length, limit }) } else { Ok(()) }
    }
}

impl Default for TokenLimits {
    fn default() -> Self {
        Self { token: 16 * 1024, header: 4 * 1024 }
    }
}

/// One of the three parts of a compact JWS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// The first: how the token was signed.
    Header,
    /// The second: the claims.
    Payload,
    /// The third.
    Signature,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

/// The text is not a token that this library reads.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenError {
    /// It is longer than the policy allows.
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// What the policy allows.
        limit: usize,
    },
    /// A byte is neither of the base64url alphabet nor a dot (RFC 8725bis §3.14).
    Character,
    /// Its parts are padded with `=` (RFC 7515 §2 leaves the padding out), and else of the alphabet.
    Padding,
    /// It has not three parts (RFC 7515 §7.1). Five would be an encrypted token.
    Parts {
        /// How many it has.
        found: usize,
    },
    /// A part is empty. An unsigned token has an empty signature.
    Empty(Part),
    /// A part is not base64url (RFC 7515 §2): wrong length, or trailing bits that are not zero.
    Base64(Part),
    /// The header is longer than the policy allows, or the signature than any algorithm's.
    PartTooLong {
        /// Which of them.
        part: Part,
        /// Its length in bytes, decoded.
        length: usize,
        /// What it may be.
        limit: usize,
    },
    /// The header or the payload is not the JSON that it must be.
    Json(Part, JsonFault),
    /// The header names no algorithm, or not by a string.
    AlgorithmMissing,
    /// The header names an algorithm that this library does not know, `none` among them.
    AlgorithmUnknown,
    /// A header member has the wrong JSON type.
    HeaderType {
        /// Its name.
        member: &'static str,
    },
    /// A header member changes how the token is to be read, in a way not supported here: `crit`,
    /// `b64` (RFC 7797), `zip`, or `cty` that says a token is nested.
    HeaderUnsupported {
        /// Its name.
        member: &'static str,
    },
    /// The key id is longer than 1 KiB.
    KeyIdTooLong,
    /// A registered claim has the wrong JSON type, or a time is out of range. It never counts as
    /// absent.
    ClaimType {
        /// Its name.
        claim: &'static str,
    },
    /// The claim `aud` names more than 256 audiences.
    TooManyAudiences,
    /// The token id is longer than 1 KiB.
    TokenIdTooLong,
}

impl fmt::Display for TokenError {
    #[allow(clippy::too_many_lines, reason = "one match, with an arm for each")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length, limit } => write!(
                f,
                "the token has {length} bytes, and the policy allows {limit}: have the issuer put less into it, such as groups, or raise `token_limit`"
            ),
            Self::Character => f.write_str(
                "the token has a byte outside the base64url alphabet (RFC 7515 §2): it is not a JWT, or was changed on the way",
            ),
            Self::Padding => f.write_str(
                "the token has the padding `=`, which RFC 7515 §2 leaves out: have the issuer leave it out; some load balancers write such tokens, which this library does not read",
            ),
            Self::Parts { found: 1 } => f.write_str(
                "the token has no dot: it is not a JWT, but perhaps an opaque token that its issuer alone can read",
            ),
            Self::Parts { found: 2 } => {
                f.write_str("the token has 2 parts: its signature is missing (RFC 7515 §7.1 has 3 parts)")
            }
            Self::Parts { found: 5 } => f.write_str(
                "the token has 5 parts: it is encrypted (JWE, RFC 7516), and this library reads signed tokens only; have the issuer sign it and not encrypt it",
            ),
            Self::Parts { found } => {
                write!(f, "the token has {found} parts, and a signed one has 3 (RFC 7515 §7.1)")
            }
            Self::Empty(Part::Signature) => {
                f.write_str("the signature is empty: the token is not signed, or was cut off")
            }
            Self::Empty(part) => write!(f, "the {part} is empty"),
            Self::Base64(part) => write!(
                f,
                "the {part} is not strict base64url (RFC 7515 §2): nothing encodes to its length or to its last bits, so it was cut off or changed on the way"
            ),
            Self::PartTooLong { part: Part::Header, length, limit } => write!(
                f,
                "the header has {length} bytes, and the policy allows {limit}: have the issuer leave out what makes it long, such as the certificates of `x5c`, or raise `header_limit`"
            ),
            Self::PartTooLong { part, length, limit } => {
                write!(f, "the {part} has {length} bytes, and no algorithm needs more than {limit}")
            }
            Self::Json(part, fault) => write!(f, "the {part} {fault}"),
            Self::AlgorithmMissing => f.write_str(
                "the header has no `alg`, or one that is not a string (RFC 7515 §4.1.1)",
            ),
            Self::AlgorithmUnknown => f.write_str(
                "the header's `alg` is not an algorithm that this library knows (`none` is not one): have the issuer sign with one that the policy lists",
            ),
            Self::HeaderType { member } => {
                write!(f, "the header member `{member}` is not a string (RFC 7515 §4.1)")
            }
            Self::HeaderUnsupported { member } => {
                write!(f, "the header member `{member}` {}", unsupported(member))
            }
            Self::KeyIdTooLong => {
                write!(f, "the key id (`kid`) is longer than {MAX_ID} bytes")
            }
            Self::ClaimType { claim } => {
                write!(f, "the claim `{claim}` is not {}: have the issuer mend it", expected(claim))
            }
            Self::TooManyAudiences => write!(
                f,
                "the claim `aud` names more than {MAX_AUDIENCES} audiences: have the issuer name those alone that the token is for"
            ),
            Self::TokenIdTooLong => {
                write!(f, "the token id (`jti`) is longer than {MAX_ID} bytes")
            }
        }
    }
}

/// What such a header member asks for.
fn unsupported(member: &str) -> &'static str {
    match member {
        "crit" => {
            "names extensions that every reader has to understand (RFC 7515 §4.1.11), and this library understands none"
        }
        "b64" => "says that the payload is not encoded (RFC 7797), and such tokens are not read",
        "zip" => "says that the token is compressed, which is for encrypted ones (RFC 7516 §4.1.3)",
        "cty" => {
            "says that the payload is another token (RFC 7519 §5.2), and nested ones are not read"
        }
        _ => "asks for something that is not supported",
    }
}

/// What a claim must be.
fn expected(claim: &str) -> &'static str {
    match claim {
        "exp" | "nbf" | "iat" => "a number of seconds since 1970, or is out of range (RFC 7519 §2)",
        "aud" => "a string or a list of strings (RFC 7519 §4.1.3)",
        "ttl" => "a number of seconds over 0 (Token Status List §5.1)",
        "status" => "a reference to a status list (Token Status List §6.2)",
        _ => "a string, or is empty where it must not be (RFC 7519 §4.1)",
    }
}

impl core::error::Error for TokenError {}

/// What stops the reading of a part.
enum Fault {
    Json(JsonFault),
    /// It is JSON, but says what it must not.
    Token(TokenError),
}

impl Fault {
    fn of(self, part: Part) -> TokenError {
        match self {
            Self::Json(fault) => TokenError::Json(part, fault),
            Self::Token(error) => error,
        }
    }
}

impl From<JsonFault> for Fault {
    fn from(fault: JsonFault) -> Self {
        Self::Json(fault)
    }
}

impl From<TokenError> for Fault {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

/// A parsed token. Nothing in it may be believed: only the signature step consumes it.
pub(crate) struct Unverified<'t> {
    /// What was signed: header and payload as they were sent (RFC 7515 §5.2).
    pub(crate) signing_input: &'t [u8],
    /// Decoded.
    pub(crate) signature: &'t [u8],
    /// Nobody remembers it.
    pub(crate) has_new_header: bool,
    pub(crate) parts: Parts,
}

/// What outlives the text of a token.
pub(crate) struct Parts {
    pub(crate) header: Header,
    pub(crate) payload: Payload,
    /// Header and payload, decoded: what the strings of both point into.
    pub(crate) text: Text,
    /// How many bytes the token has.
    length: usize,
    /// Where each claim stands, once one was asked for.
    index: OnceLock<Index>,
}

impl Parts {
    /// What it says in `iss`.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.payload.issuer.as_ref().map(|id| id.get(self.text.payload()))
    }

    /// What its header says of its type, for an error.
    #[cold]
    pub(crate) fn type_name(&self) -> TypeName {
        TypeName::read(self.text.header())
    }

    /// The claim of this name, in whatever spelling.
    pub(crate) fn claim(&self, name: &str) -> Option<JsonText<'_>> {
        let payload = self.text.payload();
        self.index.get_or_init(|| Index::of(payload)).find(payload, name)
    }

    /// Whether the token is within these limits.
    pub(crate) fn check_limits(&self, limits: TokenLimits) -> Result<(), TokenError> {
        limits.check(self.length)?;
        check_length(self.text.header_length, Part::Header, limits.header)
    }

    /// What it says about its key.
    pub(crate) fn key_query(&self) -> KeyQuery<'_> {
        let key_id = self.header.key_id(self.text.header());
        KeyQuery { key_id, algorithm: self.header.algorithm }
    }

    /// How many bytes it holds elsewhere at most.
    pub(crate) fn heap_size(&self) -> usize {
        let index = self.payload.members * BYTES_A_MEMBER;
        self.text.text.capacity() + self.header.heap_size() + self.payload.heap_size() + index
    }
}

/// Decoded header and payload, side by side in one buffer.
pub(crate) struct Text {
    text: String,
    header_length: usize,
}

impl Text {
    pub(crate) fn header(&self) -> &str {
        &self.text[..self.header_length]
    }

    pub(crate) fn payload(&self) -> &str {
        &self.text[self.header_length..]
    }
}

/// Room for a decoded signature, so that it needs no allocation. Those of ML-DSA get one: nobody else has to clear room for
/// them. The decoder asks for room in whole groups of three bytes.
pub(crate) struct SignatureBuffer {
    usual: [u8; USUAL_SIGNATURE + 2],
    long: Vec<u8>,
}

impl SignatureBuffer {
    pub(crate) fn new() -> Self {
        Self { usual: [0; USUAL_SIGNATURE + 2], long: Vec::new() }
    }

    /// Decodes the strict base64url of a signature: RFC 7515 §2, RFC 4648 §3.5 (trailing bits must be zero).
    fn decode(&mut self, text: &[u8]) -> Result<&[u8], TokenError> {
        let length = text.len() * 3 / 4;
        check_length(length, Part::Signature, MAX_SIGNATURE)?;
        let room = if length > USUAL_SIGNATURE { self.long_room() } else { &mut self.usual };
        let length = BASE64URL.decode_slice(text, room);
        let length = length.map_err(|_| TokenError::Base64(Part::Signature))?;
        Ok(&room[..length])
    }

    // Not inlined: few signatures are long.
    #[inline(never)]
    fn long_room(&mut self) -> &mut [u8] {
        self.long.resize(MAX_SIGNATURE + 2, 0);
        &mut self.long
    }
}

impl<'t> Unverified<'t> {
    /// Reads `token`, but for a header that `headers` know.
    pub(crate) fn parse(
        token: &'t [u8],
        limits: TokenLimits,
        headers: &HeaderCache,
        signature: &'t mut SignatureBuffer,
    ) -> Result<Self, TokenError> {
        limits.check(token.len())?;
        let Decoded { signing_input, signature, text, header_length } =
            Decoded::read(token, limits.header, signature).map_err(|error| {
                // RFC 8725bis §3.14: what holds a foreign byte is no token, whatever else is wrong
                // with it. Nothing that decodes holds one, so only what does not is asked.
                foreign(token).unwrap_or(error)
            })?;
        // A character cut in two by the border is caught by the slicing below.
        let text = String::from_utf8(text).map_err(|error| {
            let header_is_fine = error.utf8_error().valid_up_to() >= header_length;
            TokenError::Json(
                if header_is_fine { Part::Payload } else { Part::Header },
                JsonFault::NotAnObject,
            )
        })?;
        let (Some(header), Some(payload)) = (text.get(..header_length), text.get(header_length..))
        else {
            return Err(TokenError::Json(Part::Header, JsonFault::NotAnObject));
        };

        let known = headers.find(header);
        let has_new_header = known.is_none();
        let header = known.map_or_else(|| Header::read(header), Ok)?;
        let payload = Payload::read(payload)?;
        let text = Text { text, header_length };
        let parts = Parts { header, payload, text, length: token.len(), index: OnceLock::new() };
        Ok(Self { signing_input, signature, has_new_header, parts })
    }
}

/// A token's parts, without base64url.
pub(crate) struct Decoded<'t> {
    pub(crate) signing_input: &'t [u8],
    pub(crate) signature: &'t [u8],
    /// Header and payload.
    pub(crate) text: Vec<u8>,
    pub(crate) header_length: usize,
}

impl<'t> Decoded<'t> {
    pub(crate) fn read(
        token: &'t [u8],
        header_limit: usize,
        room: &'t mut SignatureBuffer,
    ) -> Result<Self, TokenError> {
        let [header, payload, signature] = split(token)?;
        let signature = room.decode(signature)?;
        check_length(header.len() * 3 / 4, Part::Header, header_limit)?;
        // One buffer for both. An estimate rounds up to whole groups of three bytes. Not asked for
        // full of zeros: glibc takes no such block from its thread's cache.
        let mut text = Vec::with_capacity((header.len() + payload.len()) * 3 / 4 + 6);
        append(header, &mut text, Part::Header)?;
        let header_length = text.len();
        append(payload, &mut text, Part::Payload)?;
        Ok(Self {
            signing_input: &token[..header.len() + 1 + payload.len()],
            signature,
            text,
            header_length,
        })
    }
}

/// Splits at the dots.
fn split(token: &[u8]) -> Result<[&[u8]; 3], TokenError> {
    let mut dots = memchr_iter(b'.', token);
    // RFC 7516 §9 tells a JWE by its five parts.
    let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
        return Err(TokenError::Parts { found: memchr_iter(b'.', token).count() + 1 });
    };
    let (header, payload, signature) =
        (&token[..first], &token[first + 1..second], &token[second + 1..]);
    for (text, part) in
        [(header, Part::Header), (payload, Part::Payload), (signature, Part::Signature)]
    {
        if text.is_empty() {
            return Err(TokenError::Empty(part));
        }
    }
    Ok([header, payload, signature])
}

/// What a token holds besides base64url and dots, if it holds anything else.
fn foreign(token: &[u8]) -> Option<TokenError> {
    let is_known =
        |byte: u8| byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'_' | b'.' | b'=');
    // Without an early end, so that it is compiled to look at many bytes at a time.
    if !token.iter().fold(true, |all, byte| all & is_known(*byte)) {
        return Some(TokenError::Character);
    }
    let mut padding = memchr_iter(b'=', token).peekable();
    padding.peek()?;
    let ends_part = |at: usize| matches!(token.get(at + 1), None | Some(b'.' | b'='));
    Some(if padding.all(ends_part) { TokenError::Padding } else { TokenError::Character })
}

/// Checks the length of a part without base64url.
fn check_length(length: usize, part: Part, limit: usize) -> Result<(), TokenError> {
    if length > limit { Err(TokenError::PartTooLong { part, length, limit }) } else { Ok(()) }
}

/// AVX2 or NEON, where the machine has it.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static BASE64URL: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(NO_PAD));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

/// Decodes strict base64url, as [`SignatureBuffer::decode`], to the end of `to`.
fn append(text: &[u8], to: &mut Vec<u8>, part: Part) -> Result<(), TokenError> {
    BASE64URL.decode_vec(text, to).map_err(|_| TokenError::Base64(part))
}

/// A string of the header or the payload: where it stands in the decoded text, or by itself where
/// it was written with escapes.
#[derive(Clone)]
pub(crate) enum Span {
    At(Range<u32>),
    Owned(Box<str>),
}

impl Span {
    /// Of `string`, which was read from `input`.
    fn new(string: std::borrow::Cow<'_, str>, input: &str) -> Self {
        if let std::borrow::Cow::Borrowed(string) = string {
            let start = (string.as_ptr() as usize).wrapping_sub(input.as_ptr() as usize);
            let end = start.wrapping_add(string.len());
            // Tokens are at most 64 KiB, so this holds for every string of the input.
            if let (Ok(start), Ok(end), true) =
                (u32::try_from(start), u32::try_from(end), end <= input.len())
            {
                return Self::At(start..end);
            }
        }
        Self::Owned(string.into())
    }

    fn heap_size(&self) -> usize {
        match self {
            Self::At(_) => 0,
            Self::Owned(string) => string.len(),
        }
    }

    /// The string; `input` is the text it was read from.
    pub(crate) fn get<'a>(&'a self, input: &'a str) -> &'a str {
        match self {
            Self::At(range) => &input[range.start as usize..range.end as usize],
            Self::Owned(string) => string,
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;

    /// Whatever else is wrong with it, and in whatever part: a part as long as these is decoded by
    /// vector instructions.
    #[test]
    fn a_foreign_byte_anywhere_is_told_as_such() {
        let part = |length: usize| URL_SAFE_NO_PAD.encode(vec![b'{'; length]);
        let tokens = [
            format!("{}.{}.{}", part(100), part(100), part(100)),
            format!("{}.{}.{}", part(7), part(8), part(9)),
            format!("{}.{}", part(100), part(100)),
            format!("..{}", part(2000)),
        ];
        let read = |token: &[u8]| {
            let mut signature = SignatureBuffer::new();
            let headers = HeaderCache::default();
            Unverified::parse(token, TokenLimits::default(), &headers, &mut signature).err()
        };
        for token in tokens {
            assert!(read(token.as_bytes()).is_some_and(|error| error != TokenError::Character));
            for at in 0..token.len() {
                for byte in
                    [b'=', b'+', b'/', b' ', b'\n', b'%', b'"', b'@', b'[', 0, 0x7f, 0x80, 0xff]
                {
                    let mut token = token.clone().into_bytes();
                    token[at] = byte;
                    let ends_part = token.get(at + 1).is_none_or(|next| *next == b'.');
                    let is_padding = byte == b'=' && ends_part;
                    let error =
                        if is_padding { TokenError::Padding } else { TokenError::Character };
                    assert_eq!(read(&token), Some(error), "{byte} at {at}");
                }
            }
        }
    }

    proptest! {
        /// The vector instructions take over in longer text, and must be as strict there.
        #[test]
        fn base64_is_decoded_as_strictly_at_any_length(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..300),
                // Around the border of what needs no allocation, and at the end of what is decoded.
                proptest::collection::vec(any::<u8>(), 1020..1032),
                proptest::collection::vec(any::<u8>(), 4600..=4627),
            ],
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let plain = |text: &[u8]| URL_SAFE_NO_PAD.decode(text).ok();
            let ours = |text: &[u8]| {
                let mut buffer = SignatureBuffer::new();
                let decoded = buffer.decode(text);
                let mut appended = b"before".to_vec();
                let result = append(text, &mut appended, Part::Payload);
                assert_eq!(result.is_ok(), decoded.is_ok());
                let decoded = decoded.ok()?;
                assert_eq!(appended, [b"before", decoded].concat());
                Some(decoded.to_vec())
            };
            let mut text = URL_SAFE_NO_PAD.encode(&bytes).into_bytes();
            prop_assert_eq!(ours(&text), Some(bytes));
            if !text.is_empty() {
                let at = at.index(text.len());
                text[at] = byte;
                prop_assert_eq!(ours(&text), plain(&text));
                // Mostly a length, or stray bits, that nothing encodes to.
                text.truncate(at);
                prop_assert_eq!(ours(&text), plain(&text));
                text.push(b'=');
                prop_assert_eq!(ours(&text), None);
            }
        }
    }
}

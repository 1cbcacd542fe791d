use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use smallvec::SmallVec;

use super::{Fault, MAX_AUDIENCES, MAX_ID, Part, Span, TokenError};
use crate::json::{self, Id, Value};
use crate::time::{UnixTime, numeric_date};

/// The claims that verification itself looks at. Strings point into the payload's text.
#[derive(Default)]
pub(crate) struct Payload {
    pub(crate) issuer: Option<Span>,
    pub(crate) subject: Option<Span>,
    /// `None`: no `aud`. A single string is a list of one (RFC 7519 §4.1.3).
    pub(crate) audiences: Option<SmallVec<[Span; 2]>>,
    pub(crate) client_id: Option<Span>,
    pub(crate) token_id: Option<Span>,
    pub(crate) expires_at: Option<UnixTime>,
    pub(crate) not_before: Option<UnixTime>,
    pub(crate) issued_at: Option<UnixTime>,
    /// The first of `sub` and `jti` that is a number. Its digits stand for it, and count only for an issuer
    /// of which that is known.
    pub(crate) numeric_id: Option<&'static str>,
    /// What of its sender the token is bound to (`cnf`).
    // In a box: few tokens have one, and all are moved.
    pub(crate) binding: Option<Box<Binding>>,
    /// How many claims there are.
    pub(super) members: usize,
    /// What a tree of `serde_json` values of all claims would take, its strings aside.
    pub(crate) tree: usize,
    marks: Marks,
}

/// What a token says of the key or the certificate that it is bound to (RFC 7800 §3).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Binding {
    /// To the key of this thumbprint (`jkt`, RFC 9449 §6.1).
    pub(crate) key: Option<[u8; 32]>,
    /// To the certificate of this SHA-256 (`x5t#S256`, RFC 8705 §3.1).
    pub(crate) certificate: Option<[u8; 32]>,
    /// To something else, or not in a form that these have.
    pub(crate) is_other: bool,
}

/// Claims that other kinds of token carry.
#[derive(Default)]
struct Marks {
    at_hash: bool,
    c_hash: bool,
    nonce: bool,
    s_hash: bool,
    events: bool,
}

impl Payload {
    pub(super) fn read(input: &str) -> Result<Self, TokenError> {
        let mut reader = Reader { input, payload: Self::default() };
        let tree = json::read_and_measure(input, |name, value| reader.member(name, value))
            .map_err(|fault| fault.of(Part::Payload))?;
        Ok(Self { tree, ..reader.payload })
    }

    /// How many bytes it holds elsewhere.
    pub(super) fn heap_size(&self) -> usize {
        let strings = [&self.issuer, &self.subject, &self.client_id, &self.token_id];
        let audiences = self.audiences.as_deref().unwrap_or_default();
        let strings = strings.into_iter().flatten().chain(audiences).map(Span::heap_size);
        let spilled = self.audiences.as_ref().filter(|audiences| audiences.spilled());
        let binding = self.binding.as_ref().map_or(0, |_| size_of::<Binding>());
        spilled.map_or(0, |audiences| audiences.capacity() * size_of::<Span>())
            + binding
            + strings.sum::<usize>()
    }

    /// Reads a string, or a whole number, which is noted.
    fn id(
        &mut self,
        claim: &'static str,
        value: Value<'_, '_>,
        input: &str,
    ) -> Result<Span, Fault> {
        let text = match value.id()?.ok_or(TokenError::ClaimType { claim })? {
            Id::String(text) => text,
            Id::Digits(digits) => {
                self.numeric_id.get_or_insert(claim);
                Cow::Borrowed(digits)
            }
        };
        Ok(Span::new(text, input))
    }

    /// The claim that says that this is another kind of token than an access token, if any: an ID
    /// token (OpenID Connect Core §3.1.3.6, §3.3.2.11; FAPI 1.0 Advanced §5.2.2.1) or a security
    /// event token (RFC 8417 §2.2), of which a logout token is one.
    pub(crate) fn other_kind(&self) -> Option<&'static str> {
        let Marks { at_hash, c_hash, nonce, s_hash, events } = self.marks;
        [(at_hash, "at_hash"), (c_hash, "c_hash"), (nonce && s_hash, "s_hash"), (events, "events")]
            .into_iter()
            .find_map(|(marked, claim)| marked.then_some(claim))
    }
}

struct Reader<'de> {
    input: &'de str,
    payload: Payload,
}

impl<'de> Reader<'de> {
    // Always inlined: it is called in one place, by the reader of all claims.
    #[inline(always)]
    fn member(&mut self, name: &str, value: Value<'_, 'de>) -> Result<(), Fault> {
        self.payload.members += 1;
        let payload = &mut self.payload;
        match name {
            "iss" => payload.issuer = Some(string("iss", value, self.input)?),
            "sub" => payload.subject = Some(payload.id("sub", value, self.input)?),
            "client_id" => payload.client_id = Some(string("client_id", value, self.input)?),
            "jti" => {
                let id = payload.id("jti", value, self.input)?;
                if id.get(self.input).len() > MAX_ID {
                    return Err(TokenError::TokenIdTooLong.into());
                }
                payload.token_id = Some(id);
            }
            "aud" => {
                let mut audiences = SmallVec::new();
                let are_strings = value.strings(|one| {
                    if audiences.len() == MAX_AUDIENCES {
                        return Err(Fault::Token(TokenError::TooManyAudiences));
                    }
                    audiences.push(Span::new(one, self.input));
                    Ok(())
                })?;
                if !are_strings {
                    return Err(TokenError::ClaimType { claim: "aud" }.into());
                }
                payload.audiences = Some(audiences);
            }
            "exp" => payload.expires_at = Some(time("exp", value)?),
            "nbf" => payload.not_before = Some(time("nbf", value)?),
            "iat" => payload.issued_at = Some(time("iat", value)?),
            "cnf" => payload.binding = Some(binding(value)?),
            "at_hash" => payload.marks.at_hash = marked(value)?,
            "c_hash" => payload.marks.c_hash = marked(value)?,
            "nonce" => payload.marks.nonce = marked(value)?,
            "s_hash" => payload.marks.s_hash = marked(value)?,
            "events" => payload.marks.events = marked(value)?,
            _ => value.skip()?,
        }
        Ok(())
    }
}

fn string(claim: &'static str, value: Value<'_, '_>, input: &str) -> Result<Span, Fault> {
    let text = value.string()?.ok_or(TokenError::ClaimType { claim })?;
    Ok(Span::new(text, input))
}

fn time(claim: &'static str, value: Value<'_, '_>) -> Result<UnixTime, Fault> {
    let date = value.number()?.and_then(numeric_date);
    Ok(date.ok_or(TokenError::ClaimType { claim })?)
}

/// What `cnf` says. What is not understood whole is not ignored: it would turn a bound token into a bearer token.
// Not inlined: few tokens have one, and the reader of all claims is larger for it.
#[inline(never)]
fn binding(value: Value<'_, '_>) -> Result<Box<Binding>, Fault> {
    let mut binding = Binding::default();
    value.members(|name, value| {
        let digest = value.string()?.and_then(|text| sha256_in(&text));
        match name.as_ref() {
            "jkt" => binding.key = digest,
            "x5t#S256" => binding.certificate = digest,
            _ => binding.is_other = true,
        }
        binding.is_other |= digest.is_none();
        Ok::<_, Fault>(())
    })?;
    // An empty one is not none.
    binding.is_other |= binding == Binding::default();
    Ok(Box::new(binding))
}

/// A hash in base64url.
fn sha256_in(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 33];
    let length = URL_SAFE_NO_PAD.decode_slice(text.as_bytes(), &mut bytes).ok()?;
    bytes[..length].try_into().ok()
}

/// That a claim is there, whatever its value.
fn marked(value: Value<'_, '_>) -> Result<bool, Fault> {
    value.skip()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &str) -> Result<Payload, TokenError> {
        Payload::read(input)
    }

    #[test]
    fn a_time_is_an_exact_number_or_refused_and_never_absent() {
        let exp =
            |text: &str| read(&format!(r#"{{"exp":{text}}}"#)).map(|payload| payload.expires_at);
        for (text, seconds) in [
            ("0", 0),
            ("-0", 0),
            ("1.5", 1),
            ("1.999999", 1),
            ("1800000000", 1_800_000_000),
            ("1.8e9", 1_800_000_000),
            ("18E8", 1_800_000_000),
            ("9007199254740991", 9_007_199_254_740_991),
            ("9007199254740993", 9_007_199_254_740_993),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(exp(text), Ok(Some(UnixTime(seconds))), "{text}");
        }
        for text in [
            r#""9999999999""#,
            "null",
            "true",
            "[]",
            "{}",
            "[1]",
            "-1",
            "-0.5",
            "1e309",
            "-1e309",
            "1e18",
            "9223372036854775808",
            "18446744073709551616",
            "99999999999999999999999999",
            r#"{"$serde_json::private::Number":"1"}"#,
        ] {
            assert_eq!(exp(text), Err(TokenError::ClaimType { claim: "exp" }), "{text}");
        }
        for text in ["NaN", "Infinity", "+1", "0x10", "1.", ".5", "1_000"] {
            assert!(matches!(exp(text), Err(TokenError::Json(..))), "{text}");
        }
    }

    #[test]
    fn every_time_is_rounded_down() {
        let payload = read(r#"{"exp":10.9,"nbf":11.9,"iat":12.9}"#).expect("times");
        assert_eq!(payload.expires_at, Some(UnixTime(10)));
        assert_eq!(payload.not_before, Some(UnixTime(11)));
        assert_eq!(payload.issued_at, Some(UnixTime(12)));
    }

    #[test]
    fn a_number_for_an_id_is_read_by_its_digits_and_noted() {
        let digits = "18446744073709551615";
        for (input, noted) in [
            (r#"{"sub":"42","jti":"7"}"#.to_owned(), None),
            (r#"{"sub":42,"jti":"7"}"#.to_owned(), Some("sub")),
            (r#"{"sub":"42","jti":7}"#.to_owned(), Some("jti")),
            (r#"{"jti":7,"sub": 42 }"#.to_owned(), Some("jti")),
            (format!(r#"{{"sub":{digits}}}"#), Some("sub")),
            (r#"{"sub":0}"#.to_owned(), Some("sub")),
        ] {
            let payload = read(&input).expect(&input);
            assert_eq!(payload.numeric_id, noted, "{input}");
            let subject = payload.subject.expect("a subject");
            assert!(["42", "0", digits].contains(&subject.get(&input)), "{input}");
            assert_eq!(payload.token_id.as_ref().map_or("7", |id| id.get(&input)), "7", "{input}");
        }
        let claim = "sub";
        for value in ["-1", "-0", "42.0", "4e2", "18446744073709551616", "1e18"] {
            let input = format!(r#"{{"sub":{value}}}"#);
            assert_eq!(read(&input).err(), Some(TokenError::ClaimType { claim }), "{input}");
        }
        for value in ["042", "1e309", "4_2"] {
            let input = format!(r#"{{"sub":{value}}}"#);
            assert!(matches!(read(&input).err(), Some(TokenError::Json(..))), "{input}");
        }
    }

    #[test]
    fn audiences_are_read_up_to_a_number_and_then_the_token_is_refused() {
        for (audiences, is_read) in [(0, true), (256, true), (257, false), (20_000, false)] {
            for one in [r#""a""#, r#""\u0061""#] {
                let input = format!(r#"{{"aud":[{}]}}"#, vec![one; audiences].join(","));
                match read(&input) {
                    Ok(payload) => {
                        assert_eq!(payload.audiences.map(|all| all.len()), Some(audiences));
                    }
                    Err(error) => assert_eq!(error, TokenError::TooManyAudiences),
                }
                assert_eq!(read(&input).is_ok(), is_read, "{audiences}");
            }
        }
    }

    #[test]
    fn a_registered_claim_of_the_wrong_type_is_refused() {
        for claim in ["iss", "sub", "aud", "jti", "client_id"] {
            for value in ["1.5", "null", "true", "{}", r#"["a",1]"#, r#"[["a"]]"#] {
                let input = format!(r#"{{"{claim}":{value}}}"#);
                assert_eq!(read(&input).err(), Some(TokenError::ClaimType { claim }), "{input}");
            }
        }
        assert_eq!(read(r#"{"iss":["a"]}"#).err(), Some(TokenError::ClaimType { claim: "iss" }));
    }

    #[test]
    fn an_id_token_or_an_event_is_told_by_its_claims() {
        for (input, mark) in [
            (r#"{"at_hash":null}"#, Some("at_hash")),
            (r#"{"c_hash":"x"}"#, Some("c_hash")),
            (r#"{"nonce":"x"}"#, None),
            (r#"{"s_hash":"x"}"#, None),
            (r#"{"nonce":"x","s_hash":"y"}"#, Some("s_hash")),
            (r#"{"events":{}}"#, Some("events")),
        ] {
            assert_eq!(read(input).expect(input).other_kind(), mark, "{input}");
        }
    }
}

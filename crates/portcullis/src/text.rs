//! Text from files and from the network, and what it may be written with.
use core::fmt;

/// Three bytes that editors on Windows put in front of UTF-8.
pub(crate) const MARK: &[u8] = "\u{feff}".as_bytes();

/// Why bytes are not the text that they should be.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TextFault {
    /// UTF-16, as some editors and shells on Windows save text.
    Utf16,
    /// Another encoding, or no text at all.
    NotUtf8,
}

impl fmt::Display for TextFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf16 => "is UTF-16: save it as UTF-8",
            Self::NotUtf8 => "is not UTF-8, but Latin-1 perhaps: save it as UTF-8",
        })
    }
}

impl core::error::Error for TextFault {}

/// The text in `input`, without a byte order mark (RFC 8259 §8.1 lets a reader ignore it).
pub(crate) fn read(input: &[u8]) -> Result<&str, TextFault> {
    if has_utf_16_mark(input) || input.get(..2).is_some_and(is_utf_16_of_ascii) {
        return Err(TextFault::Utf16);
    }
    let text = core::str::from_utf8(input).map_err(|_| TextFault::NotUtf8)?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// How a block of PEM begins (RFC 7468 §3).
pub(crate) const PEM_BEGIN: &[u8] = b"-----BEGIN ";

/// The blocks of a PEM text, one at least, if each can be read.
pub(crate) fn pem_blocks(input: &[u8]) -> Option<Vec<::pem::Pem>> {
    // Other bytes than UTF-8 may stand around the blocks: `openssl x509 -text` writes names there.
    let blocks = ::pem::parse_many(input).ok()?;
    // The reader ends in silence at a block without an end: half a file would be half the keys.
    let begun = input.windows(PEM_BEGIN.len()).filter(|window| *window == PEM_BEGIN).count();
    (!blocks.is_empty() && blocks.len() == begun).then_some(blocks)
}

fn has_utf_16_mark(input: &[u8]) -> bool {
    matches!(input, [0xff, 0xfe, ..] | [0xfe, 0xff, ..])
}

/// Whether every second byte is zero, behind a mark of UTF-16 or without one. Random bytes are not so.
pub(crate) fn is_utf_16_of_ascii(input: &[u8]) -> bool {
    let mark = if has_utf_16_mark(input) { 2 } else { 0 };
    let units = &input[mark..];
    let (pairs, rest) = units.as_chunks::<2>();
    let is_ascii = |byte: u8| byte != 0 && byte.is_ascii();
    !pairs.is_empty()
        && rest.is_empty()
        && (pairs.iter().all(|[low, high]| is_ascii(*low) && *high == 0)
            || pairs.iter().all(|[high, low]| is_ascii(*low) && *high == 0))
}

/// Whether this is one scope: not empty, and of the characters that RFC 6749 §3.3 admits, which are those of printable
/// ASCII without the space, `"` and `\`. Only so can a challenge carry it (RFC 6750 §3).
pub fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~'))
}

/// The issuer whose metadata have this address by OpenID Connect Discovery 1.0 §4 or RFC 8414 §3.
pub(crate) fn identifier_in(address: &str) -> Option<String> {
    let parts = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];
    parts.into_iter().find_map(|part| {
        let (host, path) = address.split_once(part)?;
        (path.is_empty() || path.starts_with('/')).then(|| format!("{host}{path}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mark_is_dropped_and_nothing_else() {
        for (input, text) in [
            ("", ""),
            ("{}", "{}"),
            ("\u{feff}{}", "{}"),
            ("\u{feff}\u{feff}{}", "\u{feff}{}"),
            (" \u{feff}{}\n", " \u{feff}{}\n"),
        ] {
            assert_eq!(read(input.as_bytes()), Ok(text));
        }
    }

    #[test]
    fn utf_16_is_found_by_its_mark_or_by_its_zeros() {
        for input in [&b"\xff\xfe"[..], b"\xfe\xff\x20\xac", b"{\0}\0", b"\0{\0}", b"{\0\xac\x20"] {
            assert_eq!(read(input), Err(TextFault::Utf16), "{input:?}");
        }
        for input in [&b"\xfc"[..], b"\xff", b"{\xe4}"] {
            assert_eq!(read(input), Err(TextFault::NotUtf8), "{input:?}");
        }
    }

    #[test]
    fn random_bytes_behind_a_mark_of_utf_16_are_not_taken_for_it() {
        for input in
            [&b""[..], b"\xff\xfe", b"\xff\xfea\0b", b"\xff\xfea\0bc", b"a\0\0\0", b"a\0\0b"]
        {
            assert!(!is_utf_16_of_ascii(input), "{input:?}");
        }
        for input in [&b"a\0"[..], b"\0a\0b", b"\xff\xfea\0b\0", b"\xfe\xff\0a"] {
            assert!(is_utf_16_of_ascii(input), "{input:?}");
        }
    }
}

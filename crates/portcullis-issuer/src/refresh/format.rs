//! How a refresh token is written, and what shows that this installation wrote it.
//!
//! ```text
//! pcl_rt_ ‖ base64url( 1 ‖ session 16 ‖ generation 4 ‖ secret 32 ‖ tag 16 ) ‖ CRC-32 of all before it, 6 × base62
//! ```
//!
//! The tag is the beginning of an HMAC under a key that comes of the root secret. What has none is refused without asking the
//! store. The checksum needs no key: a scanner for leaked secrets tells by it a token from a text that looks like one.
use core::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::prelude::*;
use zeroize::{Zeroize, Zeroizing};

use super::secret::{RefreshSecret, SECRET};
use crate::root::RootKey;
use crate::session::SessionId;

/// What a token begins with where nobody said otherwise.
pub(crate) const PREFIX: &str = "pcl_rt_";

/// The longest prefix, in bytes.
pub(crate) const MAX_PREFIX: usize = 32;

/// The form of what is encoded.
const FORM: u8 = 1;

/// How many bytes of the HMAC are written. Who guesses is told by each guess alone, at the server: 128 bits.
const TAG: usize = 16;

/// What is encoded: the form, session, generation, secret and tag.
const BYTES: usize = 1 + SessionId::LENGTH + 4 + SECRET + TAG;

/// The same in base64url: a multiple of three bytes, so that no bits are left over.
const ENCODED: usize = BYTES / 3 * 4;

/// How many digits of base62 a checksum has.
const CHECKSUM: usize = 6;

/// A refresh token. Whoever has it goes on with the session: `Debug` does not show it, and memory is wiped.
#[derive(Clone, Eq, PartialEq)]
pub struct RefreshToken(Zeroizing<String>);

impl RefreshToken {
    /// The token, for the client alone.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken").finish_non_exhaustive()
    }
}

/// What a refresh token says that this installation wrote.
pub(crate) struct Presented {
    pub(crate) session: SessionId,
    pub(crate) generation: u32,
    pub(crate) secret: RefreshSecret,
}

/// A text that is not a refresh token of this installation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NotOurs;

/// Writes refresh tokens, and reads those that were written with any of the root secrets.
pub(crate) struct RefreshFormat {
    prefix: Box<str>,
    keys: Vec<hmac::Key>,
}

impl RefreshFormat {
    /// The first key writes.
    pub(crate) fn new(prefix: &str, keys: &[RootKey]) -> Self {
        let key = |key: &RootKey| hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
        Self { prefix: prefix.into(), keys: keys.iter().map(key).collect() }
    }

    pub(crate) fn write(
        &self,
        session: SessionId,
        generation: u32,
        secret: &RefreshSecret,
    ) -> RefreshToken {
        let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES));
        bytes.push(FORM);
        bytes.extend(session.as_bytes());
        bytes.extend(generation.to_be_bytes());
        bytes.extend(secret.as_bytes());
        let tag = tag(&self.keys[0], &bytes);
        bytes.extend(tag);
        let length = self.prefix.len() + ENCODED + CHECKSUM;
        let mut token = Zeroizing::new(String::with_capacity(length));
        token.push_str(&self.prefix);
        BASE64_URL_SAFE_NO_PAD.encode_string(&*bytes, &mut token);
        let checksum = checksum(&token);
        token.extend(checksum.map(char::from));
        RefreshToken(token)
    }

    /// Reads a token with whatever prefix, so that a fleet may go from one to another: what stands there is not secret.
    pub(crate) fn read(&self, token: &str) -> Result<Presented, NotOurs> {
        let Some(prefix) = token.len().checked_sub(ENCODED + CHECKSUM) else { return Err(NotOurs) };
        if prefix > MAX_PREFIX || !token.is_ascii() {
            return Err(NotOurs);
        }
        let (text, sum) = token.split_at(token.len() - CHECKSUM);
        // It is not secret, nor is what it is the sum of to who sent it.
        if checksum(text) != *sum.as_bytes() {
            return Err(NotOurs);
        }
        let mut bytes = Zeroizing::new([0; BYTES]);
        let decoded = BASE64_URL_SAFE_NO_PAD.decode_slice(&text[prefix..], &mut *bytes);
        if decoded != Ok(BYTES) {
            return Err(NotOurs);
        }
        let (said, written) = bytes.split_at(BYTES - TAG);
        let is_made_by = |key| verify_slices_are_equal(&tag(key, said), written).is_ok();
        if said[0] != FORM || !self.keys.iter().any(is_made_by) {
            return Err(NotOurs);
        }
        let (session, said) = part::<{ SessionId::LENGTH }>(&said[1..]);
        let (generation, said) = part::<4>(said);
        let (mut secret, _) = part::<SECRET>(said);
        let presented = Presented {
            session: SessionId::from_bytes(session),
            generation: u32::from_be_bytes(generation),
            secret: RefreshSecret::from_bytes(secret),
        };
        secret.zeroize();
        Ok(presented)
    }
}

/// The first bytes, and those after them.
fn part<const N: usize>(bytes: &[u8]) -> ([u8; N], &[u8]) {
    let (first, rest) = bytes.split_first_chunk().expect("all lengths add up to `BYTES`");
    (*first, rest)
}

fn tag(key: &hmac::Key, said: &[u8]) -> [u8; TAG] {
    let mut context = hmac::Context::with_key(key);
    context.update(b"refresh");
    context.update(said);
    let mut tag = [0; TAG];
    tag.copy_from_slice(&context.sign().as_ref()[..TAG]);
    tag
}

/// As the field's tokens have it: digits, upper case, lower case; the highest first.
fn checksum(text: &str) -> [u8; CHECKSUM] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = u64::from(crc32fast::hash(text.as_bytes()));
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(rest % 62).unwrap_or(0)];
        rest /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use portcullis::Secret;
    use proptest::prelude::*;

    use super::*;
    use crate::root::RootSecrets;

    const OLD: &str = "FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old";
    const NEW: &str = "u9KXr4MZQy7hBtDfN1vCjEaPgS6oLw3k-new";

    fn of(secrets: &[&str], issuer: &str, prefix: &str) -> RefreshFormat {
        let root = RootSecrets::new(secrets.iter().map(|text| Secret::new(*text)));
        RefreshFormat::new(prefix, &root.expect("good secrets").keys("refresh", issuer))
    }

    fn ours() -> RefreshFormat {
        of(&[OLD], "https://id.example", PREFIX)
    }

    fn token() -> String {
        let (session, secret) =
            (SessionId::from_bytes([7; 16]), RefreshSecret::from_bytes([9; SECRET]));
        ours().write(session, 0x0102_0304, &secret).as_str().to_owned()
    }

    #[test]
    fn a_token_says_what_was_written_and_has_105_characters() {
        let token = token();
        assert!(token.starts_with("pcl_rt_AQcHBwcH") && token.len() == 105, "{token}");
        let read = ours().read(&token).expect("ours");
        assert_eq!(read.session, SessionId::from_bytes([7; 16]));
        assert_eq!(read.generation, 0x0102_0304);
        assert_eq!(*read.secret.as_bytes(), [9; SECRET]);
    }

    /// The check value of CRC-32, cbf43926.
    #[test]
    fn the_checksum_is_that_of_the_field() {
        assert_eq!(checksum("123456789"), *b"3jZRME");
    }

    #[test]
    fn any_listed_root_secret_reads_and_the_first_writes() {
        let (old, both, new) = (&[OLD][..], &[NEW, OLD][..], &[NEW][..]);
        let id = "https://id.example";
        let secret = RefreshSecret::from_bytes([9; SECRET]);
        let written =
            |secrets| of(secrets, id, PREFIX).write(SessionId::from_bytes([7; 16]), 1, &secret);
        for (written_by, read_by, is_read) in [
            (old, old, true),
            (old, both, true),
            (old, new, false),
            (both, new, true),
            (both, old, false),
            (new, both, true),
        ] {
            let token = written(written_by);
            assert_eq!(of(read_by, id, PREFIX).read(token.as_str()).is_ok(), is_read);
        }
    }

    #[test]
    fn a_token_of_another_issuer_is_refused() {
        assert!(of(&[OLD], "https://id.example.org", PREFIX).read(&token()).is_err());
    }

    #[test]
    fn a_fleet_goes_from_one_prefix_to_another() {
        let acme = of(&[OLD], "https://id.example", "acme_rt_");
        assert!(acme.read(&token()).is_ok());
        let token =
            acme.write(SessionId::from_bytes([7; 16]), 1, &RefreshSecret::from_bytes([9; 32]));
        assert!(token.as_str().starts_with("acme_rt_") && ours().read(token.as_str()).is_ok());
    }

    #[test]
    fn debug_shows_no_token() {
        let token = RefreshToken(Zeroizing::new(token()));
        assert_eq!(format!("{token:?}"), "RefreshToken { .. }");
    }

    /// What is right but for the tag: who knows the form and no key.
    #[test]
    fn a_token_whose_bytes_are_changed_is_refused_though_its_checksum_is_right() {
        let token = token();
        let encoded = &token[PREFIX.len()..token.len() - CHECKSUM];
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(encoded).expect("base64url");
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let text = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(changed));
            let sum = String::from_utf8(checksum(&text).to_vec()).expect("ASCII");
            assert!(ours().read(&format!("{text}{sum}")).is_err(), "{bit}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_none_but_a_token_is_read(
            text in prop_oneof![".{0,140}", "pcl_rt_[A-Za-z0-9_-]{90,100}", "[ -~é]{95,110}"]
        ) {
            prop_assert!(ours().read(&text).is_err());
        }

        #[test]
        fn a_token_that_is_cut_or_goes_on_is_refused(at in 0_usize..105, more in "[a-zA-Z0-9]{1,9}") {
            let token = token();
            prop_assert!(ours().read(&token[..at]).is_err());
            let longer = format!("{token}{more}");
            prop_assert!(ours().read(&longer).is_err());
            let changed = format!("{}{}{}", &token[..at], '~', &token[at + 1..]);
            prop_assert!(ours().read(&changed).is_err());
        }
    }
}

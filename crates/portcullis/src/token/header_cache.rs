use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Header, Parts};
use crate::time::UnixTime;

/// How many headers are remembered. An issuer signs with one key at a time, or two.
const MOST: usize = 8;

/// Headers as they were read before: those of an issuer's tokens mostly say the same, by the same key.
///
/// Whoever can send a request can write headers, so only those of valid tokens are remembered. And
/// since an issuer may write another one into each of its tokens, there is one new header a second.
#[derive(Default)]
pub(crate) struct HeaderCache(ArcSwap<Inner>);

#[derive(Clone, Default)]
struct Inner {
    /// The oldest first.
    headers: Vec<(Arc<str>, Header)>,
    /// When the last one was added.
    last: Option<UnixTime>,
}

impl HeaderCache {
    /// What this text was read as.
    pub(super) fn find(&self, text: &str) -> Option<Header> {
        let known = self.0.load();
        known.headers.iter().find(|(known, _)| **known == *text).map(|(_, header)| header.clone())
    }

    /// Remembers the header of a token that [is valid](crate::claims::Valid::remember_header).
    pub(crate) fn remember(&self, parts: &Parts, now: UnixTime) {
        self.add(parts.text.header(), &parts.header, now);
    }

    fn add(&self, text: &str, header: &Header, now: UnixTime) {
        let known = self.0.load();
        if known.last == Some(now) || known.headers.iter().any(|(known, _)| **known == *text) {
            return;
        }
        let mut next = Inner::clone(&known);
        if next.headers.len() == MOST {
            next.headers.remove(0);
        }
        next.headers.push((text.into(), header.clone()));
        next.last = Some(now);
        // Of two threads that add at once, one does so in vain.
        self.0.store(Arc::new(next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::Algorithm;

    /// Remembers `text` as if it had been read as a header with this algorithm, which tells what was
    /// remembered from what is read.
    fn add(known: &HeaderCache, text: &str, now: i64) {
        let header = Header::read(r#"{"alg":"ES512"}"#).expect("a header");
        known.add(text, &header, UnixTime(now));
    }

    fn is_known(known: &HeaderCache, text: &str) -> bool {
        known.find(text).is_some_and(|header| header.algorithm == Algorithm::ES512)
    }

    #[test]
    fn a_header_is_known_by_all_of_its_bytes() {
        let text = r#"{"alg":"HS256","kid":"k1","typ":"JWT"}"#;
        let known = HeaderCache::default();
        assert!(!is_known(&known, text));
        add(&known, text, 1);
        assert!(is_known(&known, text));
        for at in 0..text.len() {
            for bit in 0..7 {
                let mut other = text.as_bytes().to_vec();
                other[at] ^= 1 << bit;
                let other = String::from_utf8(other).expect("ASCII");
                assert!(!is_known(&known, &other), "{other}");
            }
            assert!(!is_known(&known, &text[..at]), "up to {at}");
        }
        assert!(!is_known(&known, &format!("{text} ")));
    }

    #[test]
    fn what_is_remembered_reads_as_it_was_read() {
        for text in [
            r#"{"alg":"ES256","kid":"k1","typ":"at+jwt"}"#,
            r#"{"kid":"k\u0031","x5c":[],"alg":"RS256"}"#,
            r#"{"alg":"HS512","typ":"JWT"}"#,
        ] {
            let known = HeaderCache::default();
            let read = Header::read(text).expect("a header");
            known.add(text, &read, UnixTime(1));
            let again = known.find(text).expect("it is remembered");
            assert_eq!(again.key_id(text), read.key_id(text));
            let rest = |header: &Header| (header.algorithm, header.typ, header.brings_key);
            assert_eq!(rest(&again), rest(&read));
        }
    }

    #[test]
    fn there_is_one_new_header_a_second_and_the_oldest_gives_way() {
        let text = |number: i64| format!(r#"{{"alg":"HS256","kid":"k{number}"}}"#);
        let known = HeaderCache::default();
        for second in 0..10 {
            add(&known, &text(second), second);
            add(&known, &text(100 + second), second);
        }
        let kept: Vec<_> = (0..200).filter(|number| is_known(&known, &text(*number))).collect();
        assert_eq!(kept, (2..10).collect::<Vec<_>>());
    }
}

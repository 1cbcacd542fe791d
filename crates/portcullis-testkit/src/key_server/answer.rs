use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::{LazyLock, Mutex, PoisonError};

use aws_lc_rs::digest::{self, SHA256};
use base64::prelude::*;
use bytes::Bytes;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_NONE_MATCH, LOCATION, RETRY_AFTER,
};
use http::{Response, StatusCode};
use portcullis::Algorithm;
use serde_json::{Value, json};

use super::connection::{Pace, Raw, Reply, Text};
use super::gzip::{gzip, gzip_repeating};
use crate::{SigningKey, TestIssuer};

/// What a path of a [`KeyServer`](super::KeyServer) answers. **For tests only.**
///
/// ```
/// use std::time::Duration;
/// use portcullis::Algorithm;
/// use portcullis_testkit::{TestIssuer, key_server::Answer};
///
/// let issuer = TestIssuer::new("https://id.example");
/// let keys = Answer::keys(&issuer, &[Algorithm::ES256])
///     .header("cache-control", "max-age=300");
///
/// // First slowly, then an error, and from then on as it should be.
/// let slow = keys.clone().after(Duration::from_millis(5));
/// let recovering = Answer::each([slow, Answer::status(502), keys]);
/// # _ = recovering;
/// ```
#[derive(Clone, Debug)]
pub struct Answer {
    kind: Kind,
    /// What the answer says by itself.
    headers: HeaderMap,
    /// What it was told to say.
    told: HeaderMap,
    delay: Duration,
    is_held: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    Text { status: StatusCode, text: Bytes, pace: Pace },
    Keys { issuer: Box<TestIssuer>, algorithms: Vec<Algorithm>, before: Option<Value> },
    Nothing,
    Truncated(Bytes),
    EndlessHeaders,
    Raw(&'static [u8]),
    Turns(Turns),
}

/// A place in a list of answers. A clone begins at the start.
#[derive(Debug)]
struct Turns {
    answers: Vec<Answer>,
    next: AtomicUsize,
    then: Then,
}

#[derive(Clone, Copy, Debug)]
enum Then {
    Stay,
    StartAgain,
}

impl Clone for Turns {
    fn clone(&self) -> Self {
        Self { answers: self.answers.clone(), next: AtomicUsize::new(0), then: self.then }
    }
}

impl Turns {
    fn take(&self) -> &Answer {
        let turn = self.next.fetch_add(1, Ordering::SeqCst);
        let turn = match self.then {
            Then::Stay => turn.min(self.answers.len() - 1),
            Then::StartAgain => turn % self.answers.len(),
        };
        &self.answers[turn]
    }
}

/// # Honest answers
impl Answer {
    /// 200 with this text as `application/json`, whether or not it is JSON.
    pub fn json(text: impl AsRef<[u8]>) -> Self {
        Self::text(StatusCode::OK, "application/json", text.as_ref(), Pace::AtOnce)
    }

    /// The keys that the issuer publishes when the answer is sent, as by
    /// [`TestIssuer::jwks_of`]: rotations and retirements of any clone of it show.
    ///
    /// With a strong `ETag`, and 304 for a request whose `If-None-Match` has it (RFC 9110 §13.1.2).
    pub fn keys(issuer: &TestIssuer, algorithms: &[Algorithm]) -> Self {
        Self::keys_after(None, issuer, algorithms)
    }

    /// The metadata of this issuer: what RFC 8414 §2 and OpenID Connect Discovery 1.0 §3 require,
    /// and `jwks_uri`.
    ///
    /// [`serve_metadata`](super::KeyServer::serve_metadata) puts them where they belong; this is
    /// for those that lie, or are elsewhere.
    pub fn metadata(issuer: &str, jwks_uri: &str) -> Self {
        let base = issuer.trim_end_matches('/');
        let metadata = json!({
            "issuer": issuer,
            "jwks_uri": jwks_uri,
            "authorization_endpoint": format!("{base}/authorize"),
            "token_endpoint": format!("{base}/token"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        Self::json(metadata.to_string())
    }

    /// As [`json`](Self::json), compressed: `Content-Encoding: gzip`, whatever the client accepts.
    pub fn gzip(text: impl AsRef<[u8]>) -> Self {
        Self::json(gzip(text.as_ref())).saying(CONTENT_ENCODING, "gzip")
    }

    /// This status without a body.
    ///
    /// # Panics
    ///
    /// If it is not in 200 to 999: those below are not the end of an answer.
    #[track_caller]
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).ok().filter(|status| status.as_u16() >= 200);
        let status = status.expect("the status of an answer is in 200 to 999");
        Self::of(Kind::Text { status, text: Bytes::new(), pace: Pace::AtOnce })
    }

    /// 429 with this `Retry-After`: a number of seconds or an HTTP date (RFC 9110 §10.2.3), or
    /// something that is neither.
    ///
    /// # Panics
    ///
    /// If it has a character that no header may have.
    #[track_caller]
    pub fn too_many_requests(retry_after: &str) -> Self {
        Self::status(429).saying(RETRY_AFTER, retry_after)
    }

    /// 302 to this place: a URL, a path, or nonsense.
    ///
    /// # Panics
    ///
    /// If it has a character that no header may have.
    #[track_caller]
    pub fn redirect(location: impl AsRef<str>) -> Self {
        Self::status(302).saying(LOCATION, location.as_ref())
    }
}

/// # Wrong content
impl Answer {
    /// 200 with a login page, as from a captive portal.
    pub fn html() -> Self {
        let page = "<!doctype html><title>Sign in</title><form><input name=user></form>\n";
        Self::text(StatusCode::OK, "text/html; charset=utf-8", page.as_bytes(), Pace::AtOnce)
    }

    /// A set without a key.
    pub fn empty_set() -> Self {
        Self::json(r#"{"keys":[]}"#)
    }

    /// A set of so many keys for `ES256`, all different and good, named `many-1` and so on.
    ///
    /// They are made once in a process, and nobody has their private halves.
    pub fn many_keys(count: usize) -> Self {
        static MADE: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        for n in made.len()..count {
            let key = SigningKey::generate(Algorithm::ES256).with_id(format!("many-{}", n + 1));
            made.push(key.public_jwk().expect("a key pair has a public half").to_string());
        }
        Self::json(format!(r#"{{"keys":[{}]}}"#, made[..count].join(",")))
    }

    /// As [`keys`](Self::keys), after an entry that is no key: an RSA key named `broken`, without
    /// its exponent.
    pub fn one_bad_entry(issuer: &TestIssuer, algorithms: &[Algorithm]) -> Self {
        let broken = json!({ "kty": "RSA", "kid": "broken", "use": "sig", "n": "AQAB" });
        Self::keys_after(Some(broken), issuer, algorithms)
    }

    /// A set whose body never ends: as much white space as the client reads.
    pub fn endless() -> Self {
        Self::text(StatusCode::OK, "application/json", br#"{"keys":["#, Pace::ThenForever)
    }

    /// Some 130 KiB of gzip that are an empty set in 128 MiB of white space.
    pub fn gzip_bomb() -> Self {
        const MIB: usize = 1 << 20;
        static BOMB: LazyLock<Bytes> =
            LazyLock::new(|| gzip_repeating(br#"{"keys":["#, &b" ".repeat(MIB), 128, b"]}").into());
        let bomb = Kind::Text { status: StatusCode::OK, text: BOMB.clone(), pace: Pace::AtOnce };
        Self::of(bomb).saying(CONTENT_TYPE, "application/json").saying(CONTENT_ENCODING, "gzip")
    }
}

/// # Trouble on the wire
impl Answer {
    /// Never a byte, though the request was read.
    pub fn hang() -> Self {
        Self::of(Kind::Nothing)
    }

    /// 200 and the beginning of a set, and then never another byte.
    pub fn hang_in_body() -> Self {
        Self::text(StatusCode::OK, "application/json", br#"{"keys":["#, Pace::ThenSilence)
    }

    /// As [`json`](Self::json), one byte a second of the text. The first comes with the head.
    pub fn drip(text: impl AsRef<[u8]>) -> Self {
        Self::text(StatusCode::OK, "application/json", text.as_ref(), Pace::Dripping)
    }

    /// 200 and a head that never ends: as many headers as the client reads.
    pub fn endless_headers() -> Self {
        Self::of(Kind::EndlessHeaders).saying(CONTENT_TYPE, "application/json")
    }

    /// The connection is cut without an answer.
    pub fn closed() -> Self {
        Self::of(Kind::Raw(b""))
    }

    /// As [`json`](Self::json), but the `Content-Length` is that of a longer text, and the
    /// connection is cut after this one. It may be [told](Self::header) any other.
    pub fn truncated(text: impl AsRef<[u8]>) -> Self {
        let text = Bytes::copy_from_slice(text.as_ref());
        let length = (text.len() + 1000).to_string();
        Self::of(Kind::Truncated(text))
            .saying(CONTENT_TYPE, "application/json")
            .saying(CONTENT_LENGTH, &length)
    }

    /// Something that is no HTTP: how a mail server greets.
    pub fn garbage() -> Self {
        Self::of(Kind::Raw(b"220 mail.example ESMTP\r\n\0\xff\xfe\r\n"))
    }
}

/// # When, in which order, and what else to say
impl Answer {
    /// Adds a header. It takes the place of what the answer says under this name by itself, such as
    /// the `Date` of the machine's clock; said twice, it is sent twice.
    ///
    /// The length of the body is the server's to say, but for [`truncated`](Self::truncated).
    ///
    /// Nothing changes for an answer that has no head: [`hang`](Self::hang),
    /// [`closed`](Self::closed) and [`garbage`](Self::garbage).
    ///
    /// # Panics
    ///
    /// If no header may have this name or value.
    #[must_use]
    #[track_caller]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes())
            .unwrap_or_else(|_| panic!("{name:?} is not the name of a header"));
        self.told.append(name, header_value(value.as_ref()));
        self
    }

    /// Lets so much time go by before the first byte of the answer: real time, not that of a paused
    /// runtime.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Does not begin to answer until the next [`release`](super::KeyServer::release) after the
    /// request came.
    #[must_use]
    pub fn held(self) -> Self {
        Self { is_held: true, ..self }
    }

    /// One after the other, a request each, and then the last for good.
    ///
    /// What is [said](Self::header), [waited](Self::after) or [held](Self::held) of the whole is so
    /// for each of them, too.
    ///
    /// # Panics
    ///
    /// If there are none.
    #[track_caller]
    pub fn each(answers: impl IntoIterator<Item = Self>) -> Self {
        Self::turns(answers.into_iter().collect(), Then::Stay)
    }

    /// One after the other, a request each, and then from the start.
    ///
    /// What is [said](Self::header), [waited](Self::after) or [held](Self::held) of the whole is so
    /// for each of them, too.
    ///
    /// # Panics
    ///
    /// If there are none.
    #[track_caller]
    pub fn cycle(answers: impl IntoIterator<Item = Self>) -> Self {
        Self::turns(answers.into_iter().collect(), Then::StartAgain)
    }
}

impl Answer {
    fn of(kind: Kind) -> Self {
        Self {
            kind,
            headers: HeaderMap::new(),
            told: HeaderMap::new(),
            delay: Duration::ZERO,
            is_held: false,
        }
    }

    fn text(status: StatusCode, media_type: &str, text: &[u8], pace: Pace) -> Self {
        let text = Bytes::copy_from_slice(text);
        Self::of(Kind::Text { status, text, pace }).saying(CONTENT_TYPE, media_type)
    }

    fn keys_after(before: Option<Value>, issuer: &TestIssuer, algorithms: &[Algorithm]) -> Self {
        // RSA keys take a while to make, and meanwhile the server would answer nobody.
        issuer.jwks_of(algorithms);
        let (issuer, algorithms) = (Box::new(issuer.clone()), algorithms.to_vec());
        Self::of(Kind::Keys { issuer, algorithms, before }).saying(CONTENT_TYPE, "application/json")
    }

    #[track_caller]
    fn turns(answers: Vec<Self>, then: Then) -> Self {
        assert!(!answers.is_empty(), "there is no answer in the list");
        Self::of(Kind::Turns(Turns { answers, next: AtomicUsize::new(0), then }))
    }

    #[track_caller]
    fn saying(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.insert(name, header_value(value.as_bytes()));
        self
    }

    /// The answer to one request.
    pub(super) fn in_turn(&self) -> Self {
        let Kind::Turns(turns) = &self.kind else { return self.clone() };
        let mut answer = turns.take().in_turn();
        answer.told.extend(self.told.clone());
        answer.delay = answer.delay.saturating_add(self.delay);
        answer.is_held |= self.is_held;
        answer
    }

    pub(super) fn is_held(&self) -> bool {
        self.is_held
    }

    pub(super) fn delay(&self) -> Duration {
        self.delay
    }

    pub(super) fn reply(mut self, request: &HeaderMap) -> Reply {
        let (status, text, pace) = match self.kind {
            Kind::Text { status, text, pace } => (status, text, pace),
            Kind::Keys { issuer, algorithms, before } => {
                let text = published(&issuer, &algorithms, before);
                let hash = BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&SHA256, text.as_bytes()));
                self.headers.insert(ETAG, header_value(format!("\"{hash}\"").as_bytes()));
                let tag = self.told.get(ETAG).or_else(|| self.headers.get(ETAG));
                if tag.is_some_and(|tag| has_tag(request, tag)) {
                    self.headers.remove(CONTENT_TYPE);
                    (StatusCode::NOT_MODIFIED, Bytes::new(), Pace::AtOnce)
                } else {
                    (StatusCode::OK, text.into(), Pace::AtOnce)
                }
            }
            Kind::Nothing => return Reply::Nothing,
            Kind::Truncated(text) => {
                self.headers.extend(self.told);
                let first = [&head(&self.headers), b"\r\n".as_slice(), &text].concat();
                return Reply::Raw(Raw { first: first.into(), forever: b"" });
            }
            Kind::EndlessHeaders => {
                self.headers.extend(self.told);
                let first = head(&self.headers).into();
                return Reply::Raw(Raw { first, forever: b"x-filler: and so on\r\n" });
            }
            Kind::Raw(bytes) => {
                return Reply::Raw(Raw { first: Bytes::from_static(bytes), forever: b"" });
            }
            Kind::Turns(_) => unreachable!("`in_turn` took one of them"),
        };
        self.headers.extend(self.told);
        let mut response = Response::new(Text::new(text, pace));
        *response.status_mut() = status;
        *response.headers_mut() = self.headers;
        Reply::Response(response)
    }
}

#[track_caller]
fn header_value(value: &[u8]) -> HeaderValue {
    let text = || String::from_utf8_lossy(value);
    HeaderValue::from_bytes(value)
        .unwrap_or_else(|_| panic!("{:?} is not the value of a header", text()))
}

fn published(issuer: &TestIssuer, algorithms: &[Algorithm], before: Option<Value>) -> String {
    let set = issuer.jwks_of(algorithms);
    let Some(before) = before else { return set };
    let mut set: Value = serde_json::from_str(&set).expect("an issuer writes JSON");
    set["keys"].as_array_mut().expect("a set has a list").insert(0, before);
    set.to_string()
}

/// Whether the client has what this tag names (RFC 9110 §13.1.2): compared weakly, and a `*` is any.
fn has_tag(request: &HeaderMap, tag: &HeaderValue) -> bool {
    let strong = |tag: &str| tag.trim().strip_prefix("W/").unwrap_or(tag.trim()).to_owned();
    let Ok(tag) = tag.to_str().map(strong) else { return false };
    let mut lists = request.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    lists.any(|list| list.split(',').map(strong).any(|had| had == tag || had == "*"))
}

/// The beginning of an answer that hyper would not write.
fn head(headers: &HeaderMap) -> Vec<u8> {
    let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
    for (name, value) in headers {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use portcullis::KeySet;

    use super::*;
    use crate::key_server::KeyServer;
    use crate::key_server::client::{Got, ask, fetch, fetch_with, is_silent};

    const NAME: &str = "https://issuer.example";

    fn serving(answer: Answer) -> KeyServer {
        let server = KeyServer::start();
        server.answer("/", answer);
        server
    }

    fn got(answer: Answer) -> Got {
        fetch(&serving(answer), "/")
    }

    fn statuses<const N: usize>(server: &KeyServer) -> [u16; N] {
        [(); N].map(|()| fetch(server, "/").status())
    }

    fn ids(jwks: &[u8]) -> Vec<String> {
        let jwks: Value = serde_json::from_slice(jwks).unwrap();
        let keys = jwks["keys"].as_array().unwrap();
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn json_is_sent_as_it_is() {
        let got = got(Answer::json(b"{\xff"));
        assert_eq!((got.status(), got.body()), (200, b"{\xff".as_slice()));
        assert_eq!(got.header("content-type"), Some("application/json"));
        assert_eq!(got.header("content-length"), Some("2"));
    }

    #[test]
    fn keys_are_those_that_are_published_now() {
        let issuer = TestIssuer::new(NAME);
        let server = serving(Answer::keys(&issuer, &[Algorithm::ES256]));
        let tag = |got: &Got| got.header("etag").unwrap().to_owned();
        let first = fetch(&server, "/");
        assert_eq!(first.header("content-type"), Some("application/json"));
        assert_eq!(ids(first.body()), ["es256-1"]);
        assert_eq!(tag(&fetch(&server, "/")), tag(&first));

        issuer.rotate(Algorithm::ES256);
        issuer.retire("es256-1");
        let second = fetch(&server, "/");
        assert_eq!(ids(second.body()), ["es256-2"]);
        assert_ne!(tag(&second), tag(&first));
    }

    #[test]
    fn keys_that_the_client_has_are_not_modified() {
        let issuer = TestIssuer::new(NAME);
        let keys = Answer::keys(&issuer, &[Algorithm::ES256]).header("cache-control", "max-age=60");
        let server = serving(keys);
        let tag = fetch(&server, "/").header("etag").unwrap().to_owned();
        assert!(tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        let revalidate =
            |tags: &str| fetch_with(&server, "/", &format!("if-none-match: {tags}\r\n"));

        for tags in [&tag, &format!("W/{tag}"), &format!("\"a\", {tag}"), "*"] {
            let got = revalidate(tags);
            assert_eq!((got.status(), got.text()), (304, ""), "{tags}");
            assert_eq!(got.header("etag"), Some(tag.as_str()), "{tags}");
            assert_eq!(got.header("cache-control"), Some("max-age=60"), "{tags}");
        }
        for tags in ["\"a\"", "\"\"", tag.trim_matches('"')] {
            assert_eq!(revalidate(tags).status(), 200, "{tags}");
        }
        issuer.rotate(Algorithm::ES256);
        assert_eq!(revalidate(&tag).status(), 200);
    }

    #[test]
    fn keys_are_compared_by_the_tag_that_they_were_given() {
        let issuer = TestIssuer::new(NAME);
        let server = serving(Answer::keys(&issuer, &[Algorithm::ES256]).header("etag", "\"v1\""));
        assert_eq!(fetch(&server, "/").headers("etag").collect::<Vec<_>>(), ["\"v1\""]);
        let got = fetch_with(&server, "/", "if-none-match: \"v1\"\r\n");
        assert_eq!((got.status(), got.header("etag")), (304, Some("\"v1\"")));
    }

    #[test]
    fn a_status_has_no_body() {
        for status in [200, 204, 304, 401, 404, 500, 599] {
            let got = got(Answer::status(status));
            assert_eq!((got.status(), got.text()), (status, ""));
        }
    }

    #[test]
    #[should_panic(expected = "the status of an answer is in 200 to 999")]
    fn a_status_that_does_not_end_an_answer_is_refused() {
        Answer::status(103);
    }

    #[test]
    fn a_redirect_and_a_refusal_say_where_and_when() {
        let redirect = got(Answer::redirect("https://elsewhere.example/keys"));
        assert_eq!(redirect.status(), 302);
        assert_eq!(redirect.header("location"), Some("https://elsewhere.example/keys"));
        let refusal = got(Answer::too_many_requests("120"));
        assert_eq!((refusal.status(), refusal.header("retry-after")), (429, Some("120")));
    }

    #[test]
    fn a_login_page_is_html() {
        let got = got(Answer::html());
        assert_eq!(
            (got.status(), got.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        assert!(got.text().starts_with("<!doctype html>"));
    }

    #[test]
    fn an_empty_set_has_no_keys() {
        assert_eq!(ids(got(Answer::empty_set()).body()), Vec::<String>::new());
    }

    #[test]
    fn many_keys_are_all_good_and_different() {
        let got = got(Answer::many_keys(100));
        let set = KeySet::from_jwks(got.body()).unwrap();
        assert_eq!(set.len(), 100);
        let jwks: Value = serde_json::from_slice(got.body()).unwrap();
        let mut points: Vec<_> =
            jwks["keys"].as_array().unwrap().iter().map(|key| key["x"].to_string()).collect();
        points.sort_unstable();
        points.dedup();
        assert_eq!(points.len(), 100);

        let ids = |count| ids(self::got(Answer::many_keys(count)).body());
        assert_eq!(ids(2), ["many-1", "many-2"]);
        assert_eq!(ids(101)[99..], ["many-100", "many-101"]);
    }

    #[test]
    fn one_bad_entry_comes_before_the_keys() {
        let issuer = TestIssuer::new(NAME);
        let server = serving(Answer::one_bad_entry(&issuer, &[Algorithm::ES256]));
        assert_eq!(ids(fetch(&server, "/").body()), ["broken", "es256-1"]);
        issuer.rotate(Algorithm::ES256);
        let got = fetch(&server, "/");
        assert_eq!(ids(got.body()), ["broken", "es256-1", "es256-2"]);
        assert_eq!(KeySet::from_jwks(got.body()).unwrap().len(), 2);
    }

    #[test]
    fn gzip_is_the_text_compressed() {
        let got = got(Answer::gzip(r#"{"keys":[]}"#));
        assert_eq!(got.header("content-encoding"), Some("gzip"));
        assert_eq!(got.header("content-type"), Some("application/json"));
        let mut text = String::new();
        GzDecoder::new(got.body()).read_to_string(&mut text).unwrap();
        assert_eq!(text, r#"{"keys":[]}"#);
    }

    #[test]
    fn a_gzip_bomb_is_small_and_becomes_an_empty_set_in_much_white_space() {
        let got = got(Answer::gzip_bomb());
        assert_eq!(got.header("content-encoding"), Some("gzip"));
        assert!((10_000..1_000_000).contains(&got.body().len()), "{}", got.body().len());
        let mut text = GzDecoder::new(got.body());
        let mut part = vec![0; 1 << 20];
        let (mut length, mut rest) = (0, Vec::<u8>::new());
        loop {
            let read = text.read(&mut part).unwrap();
            if read == 0 {
                break;
            }
            length += read;
            rest.extend(part[..read].iter().filter(|byte| **byte != b' '));
        }
        assert!(length > 100_000_000, "{length}");
        assert_eq!(rest, br#"{"keys":[]}"#);
    }

    #[test]
    fn hanging_says_nothing() {
        let server = serving(Answer::hang());
        let mut stream = ask(&server, "/");
        server.wait_for_hits("/", 1);
        assert!(is_silent(&server, &mut stream));
    }

    #[test]
    fn hanging_in_the_body_says_how_it_begins() {
        let server = serving(Answer::hang_in_body());
        let mut stream = ask(&server, "/");
        let mut got = Got::head_of(&mut stream);
        assert_eq!((got.status(), got.header("content-length")), (200, None));
        let body = "9\r\n{\"keys\":[\r\n";
        let length = got.all.len() - got.body().len();
        let mut rest = vec![0; body.len() - got.body().len()];
        stream.read_exact(&mut rest).unwrap();
        got.all.extend(rest);
        assert_eq!(&got.all[length..], body.as_bytes());
        assert!(is_silent(&server, &mut stream));
    }

    #[test]
    fn dripping_begins_at_once_and_promises_the_whole() {
        let server = serving(Answer::drip("{\"keys\":[]}"));
        let mut stream = ask(&server, "/");
        let got = Got::head_of(&mut stream);
        assert_eq!((got.status(), got.header("content-length")), (200, Some("11")));
        if got.body().is_empty() {
            let mut first = [0];
            stream.read_exact(&mut first).unwrap();
            assert_eq!(&first, b"{");
        }
    }

    #[test]
    fn an_endless_body_goes_on_while_it_is_read() {
        let server = serving(Answer::endless());
        let mut stream = ask(&server, "/");
        let got = Got::head_of(&mut stream);
        assert_eq!(got.header("transfer-encoding"), Some("chunked"));
        stream.read_exact(&mut vec![0; 10 << 20]).unwrap();
        // And the server has time for others.
        assert_eq!(fetch(&server, "/elsewhere").status(), 404);
    }

    #[test]
    fn endless_headers_go_on_while_they_are_read() {
        let server = serving(Answer::endless_headers().header("age", "7"));
        let mut stream = ask(&server, "/");
        let mut head = vec![0; 1 << 20];
        stream.read_exact(&mut head).unwrap();
        let head = str::from_utf8(&head).unwrap();
        let start = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nage: 7\r\nx-filler: ";
        assert_eq!(head.get(..start.len()), Some(start));
        assert!(!head.contains("\r\n\r\n"));
        assert_eq!(fetch(&server, "/elsewhere").status(), 404);
    }

    #[test]
    fn closing_says_nothing_and_ends() {
        assert_eq!(got(Answer::closed()).all, b"");
    }

    #[test]
    fn a_truncated_text_is_shorter_than_it_claims() {
        let got = got(Answer::truncated(r#"{"keys":["#).header("etag", "\"v1\""));
        assert_eq!((got.status(), got.text()), (200, r#"{"keys":["#));
        assert_eq!(got.header("content-length"), Some("1009"));
        assert_eq!(got.header("content-type"), Some("application/json"));
        assert_eq!(got.header("etag"), Some("\"v1\""));

        let huge = Answer::truncated("{}").header("content-length", "9999999999");
        let lengths = self::got(huge);
        assert_eq!(lengths.headers("content-length").collect::<Vec<_>>(), ["9999999999"]);
    }

    #[test]
    fn garbage_is_no_http() {
        assert!(got(Answer::garbage()).all.starts_with(b"220 mail.example ESMTP\r\n"));
    }

    #[test]
    fn a_header_replaces_the_answers_own_and_adds_to_those_told() {
        let got = got(Answer::json("{}")
            .header("Content-Type", "application/jwk-set+json")
            .header("date", "Fri, 15 Jan 2027 08:00:00 GMT")
            .header("cache-control", "max-age=1")
            .header("cache-control", "no-store")
            .header("x-octet", b"\xe9"));
        let all = |name| got.headers(name).collect::<Vec<_>>();
        assert_eq!(all("content-type"), ["application/jwk-set+json"]);
        assert_eq!(all("date"), ["Fri, 15 Jan 2027 08:00:00 GMT"]);
        assert_eq!(all("cache-control"), ["max-age=1", "no-store"]);
        assert_eq!(all("x-octet"), ["\u{e9}"]);
    }

    #[test]
    #[should_panic(expected = r#""max-age=1\r\nx: y" is not the value of a header"#)]
    fn a_header_that_is_two_is_refused() {
        _ = Answer::json("{}").header("cache-control", "max-age=1\r\nx: y");
    }

    #[test]
    fn what_is_held_waits_for_the_next_release() {
        let server = serving(Answer::status(204).held());
        server.release(); // nobody
        let mut first = ask(&server, "/");
        server.wait_for_hits("/", 1);
        assert!(is_silent(&server, &mut first));
        server.release();
        assert_eq!(Got::all_of(first).status(), 204);

        let mut second = ask(&server, "/");
        server.wait_for_hits("/", 2);
        assert!(is_silent(&server, &mut second));
        server.answer("/", Answer::status(500));
        server.release();
        assert_eq!(Got::all_of(second).status(), 204);
    }

    #[test]
    fn a_delayed_answer_comes_later() {
        let server = serving(Answer::status(204).after(Duration::from_secs(3600)));
        let mut stream = ask(&server, "/");
        server.wait_for_hits("/", 1);
        assert!(is_silent(&server, &mut stream));
        assert_eq!(got(Answer::status(204).after(Duration::from_millis(1))).status(), 204);
    }

    #[test]
    fn each_is_answered_in_turn_and_the_last_for_good() {
        let each = Answer::each([200, 500, 404].map(Answer::status));
        let server = serving(each.clone());
        assert_eq!(statuses(&server), [200, 500, 404, 404, 404]);
        server.answer("/", each);
        assert_eq!(statuses(&server), [200, 500]);
    }

    #[test]
    fn a_cycle_starts_again() {
        let nested = Answer::each([429, 503].map(Answer::status));
        let server = serving(Answer::cycle([Answer::status(200), nested]));
        assert_eq!(statuses(&server), [200, 429, 200, 503, 200, 503]);
    }

    #[test]
    fn what_is_said_of_a_list_holds_for_each() {
        let one = Answer::status(204).header("age", "1").header("etag", "\"v1\"").after(SECOND);
        let each = Answer::each([one, Answer::hang()]).header("age", "2").after(SECOND).held();
        let [first, second] = [each.in_turn(), each.in_turn()];
        assert_eq!((first.delay, first.is_held), (SECOND * 2, true));
        assert_eq!((second.delay, second.is_held), (SECOND, true));
        assert_eq!(first.told.get_all("age").iter().collect::<Vec<_>>(), ["2"]);
        assert_eq!(first.told["etag"], "\"v1\"");
        assert_eq!(second.told["age"], "2");
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    #[should_panic(expected = "there is no answer in the list")]
    fn an_empty_list_is_refused() {
        Answer::cycle([]);
    }
}

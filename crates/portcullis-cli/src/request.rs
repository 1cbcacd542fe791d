//! A request as it is pasted: its token, its proofs of who has a key (RFC 9449), what a proxy says of its client's certificate
//! (RFC 8705), and perhaps what it asks for.
//!
//! It is the head of a request, a `curl` command, or the token and the proof one after the other.
use portcullis::RequestView;
use portcullis::request::{ClientCertificate, PeerAddress};

use crate::pasted;

/// What belongs to a request in a text.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Pasted {
    /// The text without the proofs.
    pub(crate) rest: String,
    /// The values of the header `DPoP`.
    pub(crate) proofs: Vec<String>,
    /// The values of the header with the client's certificate.
    pub(crate) certificates: Vec<String>,
    pub(crate) method: Option<String>,
    /// An address, or the path of one.
    pub(crate) target: Option<String>,
}

impl Pasted {
    /// `certificate_header`: the header in which a proxy says the client's certificate, in lower case.
    pub(crate) fn read(text: &str, certificate_header: Option<&str>) -> Self {
        let (text, certificates) = match certificate_header {
            Some(name) => take_headers(text, name),
            None => (text.to_owned(), Vec::new()),
        };
        let (mut rest, mut proofs) = take_headers(&text, "dpop");
        if proofs.is_empty() {
            while let Some((without, proof)) = pasted::take_proof(&rest) {
                rest = without;
                proofs.push(proof);
            }
        }
        let (method, target) = request_line(&rest).or_else(|| of_curl(&rest)).unwrap_or_default();
        Self { rest, proofs, certificates, method, target }
    }
}

/// The values of each header of this name, and the text without them.
fn take_headers(text: &str, name: &str) -> (String, Vec<String>) {
    let (mut rest, mut values, mut at) = (String::new(), Vec::new(), 0);
    let first = name.chars().next().unwrap_or_default();
    for (start, _) in text.match_indices(|letter: char| letter.eq_ignore_ascii_case(&first)) {
        let before = text[..start].chars().next_back();
        let quote = before.filter(|before| matches!(before, '\'' | '"'));
        let begins = quote.is_some() || before.is_none_or(char::is_whitespace);
        let value = text
            .get(start..start + name.len())
            .filter(|word| word.eq_ignore_ascii_case(name) && begins && start >= at)
            .and_then(|_| text[start + name.len()..].trim_start_matches(' ').strip_prefix(':'));
        let Some(value) = value else { continue };
        let is_end = |letter: char| matches!(letter, '\r' | '\n') || Some(letter) == quote;
        let end = value.find(is_end).unwrap_or(value.len());
        values.push(value[..end].trim().to_owned());
        rest.push_str(&text[at..start]);
        at = text.len() - value.len() + end;
    }
    rest.push_str(&text[at..]);
    (rest, values)
}

type Line = (Option<String>, Option<String>);

/// `POST /orders HTTP/1.1` (RFC 9112 §3).
fn request_line(text: &str) -> Option<Line> {
    let mut words = text.lines().find(|line| !line.trim().is_empty())?.split_whitespace();
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let is_line = version.starts_with("HTTP/") && words.next().is_none();
    is_line.then(|| (Some(method.to_owned()), Some(target.to_owned())))
}

/// The method and the address of a `curl` command.
fn of_curl(text: &str) -> Option<Line> {
    let text =
        text.trim_start().strip_prefix("curl").filter(|rest| rest.starts_with([' ', '\t']))?;
    let unquoted = |word: &str| word.trim_matches(['\'', '"']).to_owned();
    let words: Vec<_> = text.split_whitespace().flat_map(spelt_out).collect();
    let follows = |names: [&str; 2]| {
        let at = words.iter().position(|word| names.contains(word))?;
        words.get(at + 1).map(|word| unquoted(word))
    };
    let has = |names: &[&str]| words.iter().any(|word| names.contains(word));
    let method = follows(["-X", "--request"]).unwrap_or_else(|| {
        if has(&["-I", "--head"]) {
            "HEAD".to_owned()
        } else if has(&["-G", "--get"]) {
            "GET".to_owned()
        } else if has(&["-d", "--data", "--data-raw", "--data-binary", "--json", "-F", "--form"]) {
            "POST".to_owned()
        } else {
            "GET".to_owned()
        }
    });
    let is_address = |word: &String| word.starts_with("https://") || word.starts_with("http://");
    let url = words.iter().map(|word| unquoted(word)).find(is_address)?;
    Some((Some(method), Some(url)))
}

/// A word of a `curl` command: its short options one by one, of which the last may have its value attached (`-sXPOST`).
fn spelt_out(word: &str) -> Vec<&str> {
    /// Options without a value.
    const ALONE: &str = "#:012346aBfgGiIjJklLMnNOpqRsSvVZ";
    const NAMES: [&str; 5] = ["-X", "-d", "-F", "-I", "-G"];
    let letters = word.strip_prefix('-').filter(|letters| !letters.starts_with('-'));
    let Some(letters) = letters else { return vec![word] };
    let mut found = Vec::new();
    for (at, letter) in letters.char_indices() {
        let known = NAMES.into_iter().find(|name| name.ends_with(letter));
        found.push(known.unwrap_or("-"));
        let value = &letters[at + letter.len_utf8()..];
        if !ALONE.contains(letter) {
            found.extend(Some(value).filter(|value| !value.is_empty()));
            break;
        }
    }
    found
}

/// A request, as a service would see it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Of what it asks for.
    pub(crate) path: String,
    pub(crate) authorization: Vec<u8>,
    pub(crate) proofs: Vec<String>,
    /// What a proxy says of the client's certificate: a header, and its values.
    pub(crate) certificates: (String, Vec<String>),
    /// What the service's own TLS saw.
    pub(crate) client_certificate: Option<ClientCertificate>,
    pub(crate) peer: Option<PeerAddress>,
}

impl RequestView for Request {
    fn method(&self) -> &str {
        &self.method
    }

    fn authority(&self) -> Option<&str> {
        None
    }

    fn path(&self) -> Option<&str> {
        Some(&self.path)
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let token = Some(self.authorization.as_slice()).filter(|_| name == "authorization");
        let proofs = self.proofs.iter().filter(move |_| name == "dpop");
        let (header, certificates) = &self.certificates;
        let certificates = certificates.iter().filter(move |_| name == header);
        token.into_iter().chain(proofs.chain(certificates).map(|value| value.as_bytes()))
    }

    fn peer(&self) -> Option<PeerAddress> {
        self.peer
    }

    fn client_certificate(&self) -> Option<ClientCertificate> {
        self.client_certificate.clone()
    }
}

/// The path that a service sees, of an address as its client writes it, below the longest of its own addresses that it is below.
/// Whether it is below one is the other part. Where scheme, host or port are others, what a proxy takes away is still no part of
/// the path.
pub(crate) fn path_of(url: &str, bases: &[String]) -> (String, bool) {
    let whole = url.split(['?', '#']).next().unwrap_or_default();
    if whole.starts_with('/') {
        return (whole.to_owned(), true);
    }
    let spelt = comparable(whole);
    let mut longest_first: Vec<_> = bases.iter().collect();
    longest_first.sort_by_key(|base| core::cmp::Reverse(base.len()));
    let below = longest_first.iter().find_map(|base| rest_below(&spelt, base));
    let own_path = path_part(&spelt);
    let same_prefix = || {
        let rests = bases.iter().filter_map(|base| rest_below(own_path, path_part(base)));
        rests.min_by_key(|rest| rest.len())
    };
    let path = below.or_else(same_prefix).unwrap_or(own_path);
    let path = if path.is_empty() { "/" } else { path };
    (path.to_owned(), below.is_some())
}

/// What stands behind the address of a service, or behind its path.
fn rest_below<'u>(url: &'u str, base: &str) -> Option<&'u str> {
    url.strip_prefix(base).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path of an address, without the `/` that stands for none.
fn path_part(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("", |at| &rest[at..])
}

/// With scheme and host in lower case, and without the port that is meant anyway.
fn comparable(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let scheme = scheme.to_ascii_lowercase();
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.to_ascii_lowercase();
    let usual = if scheme == "https" { ":443" } else { ":80" };
    let host = host.strip_suffix(usual).unwrap_or(&host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, Option<String>, Option<String>) {
        let Pasted { proofs, method, target, .. } = Pasted::read(text, None);
        (proofs, method, target)
    }

    fn found(
        proofs: &[&str],
        method: &str,
        target: &str,
    ) -> (Vec<String>, Option<String>, Option<String>) {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        (proofs.iter().map(|proof| (*proof).to_owned()).collect(), text(method), text(target))
    }

    #[test]
    fn a_request_is_found_in_each_form_in_which_it_is_pasted() {
        for (text, expected) in [
            ("eyJhIjoxfQ.e30.c2ln", found(&[], "", "")),
            ("Authorization: DPoP a.b.c\r\nDPoP: d.e.f\r\n", found(&["d.e.f"], "", "")),
            ("dpop :  d.e.f  \nauthorization: dpop a.b.c", found(&["d.e.f"], "", "")),
            ("DPoP: d\nDPoP: e\nDPoP:\n", found(&["d", "e", ""], "", "")),
            (
                "POST /orders?x HTTP/1.1\nHost: a\nAuthorization: DPoP a.b.c\nDPoP: d.e.f",
                found(&["d.e.f"], "POST", "/orders?x"),
            ),
            (
                "curl -H 'Authorization: DPoP a.b.c' -H 'DPoP: d.e.f' 'https://a.example/x'",
                found(&["d.e.f"], "GET", "https://a.example/x"),
            ),
            (
                "curl -X 'PUT' https://a.example/x \\\n  -H \"DPoP: d.e.f\" -d '{}'",
                found(&["d.e.f"], "PUT", "https://a.example/x"),
            ),
            ("curl --head http://localhost/", found(&[], "HEAD", "http://localhost/")),
            ("curl -d x http://localhost/", found(&[], "POST", "http://localhost/")),
            ("curl -XPUT http://localhost/", found(&[], "PUT", "http://localhost/")),
            ("curl -X\"PUT\" http://localhost/", found(&[], "PUT", "http://localhost/")),
            ("curl -sSXPUT http://localhost/", found(&[], "PUT", "http://localhost/")),
            ("curl -sX PUT http://localhost/", found(&[], "PUT", "http://localhost/")),
            ("curl -sd'x' http://localhost/", found(&[], "POST", "http://localhost/")),
            ("curl -d@file http://localhost/", found(&[], "POST", "http://localhost/")),
            ("curl -Gdx http://localhost/", found(&[], "GET", "http://localhost/")),
            ("curl -sI http://localhost/", found(&[], "HEAD", "http://localhost/")),
            // Their values are none of these options.
            ("curl -uXI -HX:I -o I http://localhost/", found(&[], "GET", "http://localhost/")),
            ("curl -sSf --compressed http://localhost/", found(&[], "GET", "http://localhost/")),
            ("the DPoP header: none, DPoP-Nonce: x, sdpop: y", found(&[], "", "")),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        // {"typ":"dpop+jwt"}, without a name.
        let proof = "eyJ0eXAiOiJkcG9wK2p3dCJ9.e30.c2ln";
        let pasted = Pasted::read(&format!("eyJhIjoxfQ.e30.c2ln\n\n{proof}\n"), None);
        assert_eq!(pasted.proofs, [proof]);
        assert_eq!(pasted.rest.trim(), "eyJhIjoxfQ.e30.c2ln");
    }

    #[test]
    fn what_a_proxy_says_of_a_certificate_is_found_by_the_name_of_its_header() {
        let read = |text: &str| {
            let pasted = Pasted::read(text, Some("client-cert"));
            (pasted.certificates, pasted.proofs)
        };
        for (text, certificates, proofs) in [
            ("Authorization: Bearer a.b.c\nClient-Cert: :MAA=:\n", &[":MAA=:"][..], &[][..]),
            ("client-cert: :MAA=:\r\nClient-Cert: x\r\nDPoP: d", &[":MAA=:", "x"], &["d"]),
            ("curl -H 'Client-Cert: a=\"b\"' -H 'DPoP: d' https://a.example", &["a=\"b\""], &["d"]),
            ("Client-Cert:\nX-Client-Cert: x\nClient-Cert-Chain: y", &[""], &[]),
        ] {
            let (found, found_proofs) = read(text);
            assert_eq!(
                (&*found, &*found_proofs),
                (&*owned(certificates), &*owned(proofs)),
                "{text}"
            );
        }
        // No policy reads it.
        assert!(Pasted::read("Client-Cert: :MAA=:", None).certificates.is_empty());
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_path_is_what_stands_behind_an_address_of_the_service() {
        let bases = ["https://api.example", "https://example/api", "http://localhost:3000"];
        let bases = bases.map(str::to_owned);
        for (url, path, is_below) in [
            ("/orders?x", "/orders", true),
            ("https://api.example/orders?x#y", "/orders", true),
            ("HTTPS://API.example:443/Orders", "/Orders", true),
            ("https://api.example", "/", true),
            ("https://example/api/orders", "/orders", true),
            ("http://localhost:3000/a/b/", "/a/b/", true),
            ("https://example/apiary", "/apiary", false),
            ("https://api.example.evil/orders", "/orders", false),
            ("https://other.example", "/", false),
            // Wrong in one part, and below the same prefix.
            ("http://example/api/orders", "/orders", false),
            ("https://other.example:8443/api/orders", "/orders", false),
            ("https://other.example/orders", "/orders", false),
        ] {
            assert_eq!(path_of(url, &bases), (path.to_owned(), is_below), "{url}");
        }
    }
}

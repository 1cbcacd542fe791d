//! Finds a token in text as people paste it: broken over lines, in quotes, in a command, in JSON, in a form.
//!
//! A token is known by its header, which is base64 of a JSON object (RFC 7515 §7.1). It is looked for in
//!
//! 1. the text as it is, where it may go on in the lines that follow;
//! 2. the text with its percent signs decoded;
//! 3. the text with all its lines joined, in case a line ends within the first letters.
//!
//! What has no such header is taken by its place: a member of that name, what follows `Bearer`, or all there is.
use std::collections::BTreeMap;

use serde_json::Value;

use crate::output::{begins_object, counted, percent_decoded};
use crate::part;

/// A token, and what was done to find it.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Found {
    pub(crate) token: Vec<u8>,
    pub(crate) done: Vec<String>,
}

/// Names under which a token stands in JSON and in forms (RFC 6749 §5.1, RFC 7662 §2.1).
const NAMES: [&str; 3] = ["access_token", "id_token", "token"];

/// What stands before a token in the header `Authorization` (RFC 6750 §2.1, RFC 9449 §7.1).
const SCHEMES: [&str; 2] = ["bearer", "dpop"];

/// No token is as long, and a text of many short lines would take too much time.
const LONGEST: usize = 128 * 1024;

/// Finds the one token of a text. Where there are several, `name` says which.
///
/// # Errors
///
/// There is none, or there are two that differ and no name, or none of that name.
pub(crate) fn find(text: &str, name: Option<&str>) -> Result<Found, String> {
    if let Some(found) = find_by_header(text, name)? {
        return Ok(found);
    }
    let (token, done) = find_by_place(text, name)?;
    if token.is_empty() {
        return Err("there is no token".to_owned());
    }
    Ok(Found { token: token.into_bytes(), done })
}

/// A token in a text.
struct Candidate<'a> {
    token: String,
    /// The lines that it stood in.
    lines: usize,
    /// The member, header or variable that it is the value of.
    name: Option<&'a str>,
    /// The text before and behind it.
    around: [&'a str; 2],
}

fn find_by_header(text: &str, name: Option<&str>) -> Result<Option<Found>, String> {
    let mut done = Vec::new();
    let decoded = percent_decoded(text);
    let unfolded: String = text.lines().map(str::trim).collect();
    let mut all = candidates(text);
    if all.is_empty() && decoded != text {
        done.push("decoded its percent signs".to_owned());
        all = candidates(&decoded);
    }
    if all.is_empty() {
        done = vec![joined(text.lines().count())];
        all = candidates(&unfolded);
    }
    if let Some(name) = name {
        all.retain(|one| one.name.is_some_and(|own| own.eq_ignore_ascii_case(name)));
    }
    let mut different = BTreeMap::new();
    for one in &all {
        different.entry(one.token.as_str()).or_insert_with(Vec::new).push(one);
    }
    if different.len() > 1 {
        return Err(several(&all, different.len()));
    }
    let Some(token) = all.first() else { return Ok(None) };
    done.extend(token.done());
    if all.len() > 1 {
        done.push(format!("took one of {} that are the same", all.len()));
    }
    Ok(Some(Found { token: token.token.clone().into_bytes(), done }))
}

/// Takes the first proof of who has a key (RFC 9449 §4.2) out of a text, by what it says that it is. Gives the text without it.
pub(crate) fn take_proof(text: &str) -> Option<(String, String)> {
    let is_proof = |one: &Candidate<'_>| {
        let header = part::object(first_part(&one.token));
        header.is_some_and(|header| header.get("typ").is_some_and(|typ| typ == "dpop+jwt"))
    };
    let Candidate { token, around: [before, behind], .. } =
        candidates(text).into_iter().find(is_proof)?;
    Some((format!("{before}{behind}"), token))
}

/// The scheme before a token that was found in a text, where one stands there, in lower case. Other tokens may begin as this one
/// does, and have a scheme of their own.
pub(crate) fn scheme_of(text: &str, token: &str) -> Option<&'static str> {
    let decoded = percent_decoded(text);
    let unfolded: String = text.lines().map(str::trim).collect();
    [text, &decoded, &unfolded].into_iter().find_map(|text| {
        let all = candidates(text).into_iter().filter(|one| one.token == token);
        // What was taken by its place.
        let is_whole = |at: &usize| {
            !text[..*at].ends_with(is_of_token)
                && !text[at + token.len()..].starts_with(is_of_token)
        };
        let places = text.match_indices(token).map(|(at, _)| at).filter(is_whole);
        all.map(|one| one.around[0]).chain(places.map(|at| &text[..at])).find_map(scheme_before)
    })
}

/// The scheme that a text ends with.
fn scheme_before(text: &str) -> Option<&'static str> {
    let word = text.trim_end().rsplit(|letter: char| !letter.is_alphanumeric()).next()?;
    SCHEMES.into_iter().find(|scheme| word.eq_ignore_ascii_case(scheme))
}

fn several(all: &[Candidate<'_>], different: usize) -> String {
    /// A list of more helps nobody.
    const MOST: usize = 5;
    let mut names: Vec<_> = all.iter().filter_map(|one| one.name).collect();
    names.dedup();
    let listed: Vec<_> = names.iter().take(MOST).map(|name| format!("{name:?}")).collect();
    let listed =
        if listed.is_empty() { String::new() } else { format!(", of {}", listed.join(", ")) };
    let way_out = match names.first() {
        Some(name) => format!("give only one, or choose by its name: --from {name}"),
        None => "give only one".to_owned(),
    };
    format!("there are {different} different tokens in it{listed}; {way_out}")
}

fn joined(lines: usize) -> String {
    format!("joined {}", counted(lines, "line"))
}

impl Candidate<'_> {
    fn done(&self) -> Vec<String> {
        let around = self.around.map(str::trim);
        let is_bare = |text: &str| text.chars().all(is_quote);
        let [before, behind] = around;
        let taken = if let Some(name) = self.name {
            Some(format!("took it from {name:?}"))
        } else if around == ["", ""] {
            None
        } else if is_bare(before) && is_bare(behind) {
            Some("left out the quotes".to_owned())
        } else if without_scheme(before).is_some_and(is_bare) && is_bare(behind) {
            Some("left out \"Bearer\"".to_owned())
        } else {
            Some("took it out of the text around it".to_owned())
        };
        let joined = (self.lines > 1).then(|| joined(self.lines));
        taken.into_iter().chain(joined).collect()
    }
}

/// All tokens of a text, in their order.
fn candidates(text: &str) -> Vec<Candidate<'_>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(start) = text[at..].find(is_of_token).map(|start| at + start) {
        let end = start + run(&text[start..]).len();
        at = end;
        if !begins_object(first_part(&text[start..end]).as_bytes()) {
            continue;
        }
        let (token, lines, end) = unfold(text, start);
        at = end;
        // A part of one is judged by whoever is given it.
        if token.split('.').count() >= 3 {
            let around = [&text[..start], &text[end..]];
            found.push(Candidate { token, lines, name: name_before(around[0]), around });
        }
    }
    found
}

/// The token that begins at `start`, over how many lines, and where it ends.
fn unfold(text: &str, start: usize) -> (String, usize, usize) {
    let mut token = run(&text[start..]).to_owned();
    let (mut end, mut lines) = (start + token.len(), 1);
    let line_of = |at: usize| {
        let start = text[..at].rfind('\n').map_or(0, |at| at + 1);
        text[start..].lines().next().unwrap_or_default().len()
    };
    let width = line_of(start);
    while let Some((gap, more)) = next_line(&text[end..]).filter(|_| token.len() < LONGEST) {
        let begins_another = begins_object(first_part(more).as_bytes());
        let is_other = begins_another && token.matches('.').count() >= 2;
        // Lines that a program broke are as wide as the first, but for the last one.
        let is_folded = lines > 1 && line_of(end - 1) == width;
        if is_other || (is_complete(&token) && !is_folded) {
            break;
        }
        token.push_str(more);
        end += gap + more.len();
        lines += 1;
    }
    (token, lines, end)
}

/// The letters that the next line begins with, if a token can go on with them, and how far away they are.
fn next_line(rest: &str) -> Option<(usize, &str)> {
    let gap = rest.len() - rest.trim_start().len();
    // A paragraph ends a token.
    if rest[..gap].matches('\n').count() != 1 {
        return None;
    }
    let more = run(&rest[gap..]);
    let behind = rest[gap + more.len()..].trim_start_matches([' ', '\t']);
    let is_end = |character| is_quote(character) || "\r\n,;)}]>&\\".contains(character);
    let ends = behind.is_empty() || behind.starts_with(is_end);
    (!more.is_empty() && ends).then_some((gap, more))
}

/// Whether a signature of the length that its algorithm has is at its end (RFC 7518 §3, RFC 8037 §3.1, RFC 9964 §5), or the
/// tag of an encrypted token (RFC 7518 §5).
fn is_complete(token: &str) -> bool {
    let parts: Vec<_> = token.split('.').collect();
    let (header, last) = match parts[..] {
        [header, _, signature] => (header, signature.len()),
        [_, _, _, _, tag] => return [22, 32, 43].contains(&tag.len()),
        _ => return false,
    };
    let Some(header) = part::object(header) else { return false };
    let lengths: &[usize] = match header.get("alg").and_then(Value::as_str) {
        Some("none") => &[0],
        Some("HS256") => &[43],
        Some("HS384") => &[64],
        Some("HS512" | "ES256" | "EdDSA" | "Ed25519") => &[86],
        Some("ES384") => &[128],
        Some("ES512") => &[176],
        Some("ML-DSA-44") => &[3227],
        Some("ML-DSA-65") => &[4412],
        Some("ML-DSA-87") => &[6170],
        // Keys of 2048, 3072 and 4096 bits.
        Some("RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512") => &[342, 512, 683],
        _ => &[],
    };
    lengths.contains(&last) && part::object(parts[1]).is_some()
}

/// What a token is the value of: `access_token` before `=`, `"token"` before `: "`, `Authorization` before
/// `: Bearer`.
fn name_before(before: &str) -> Option<&str> {
    let is_around = |character: char| character.is_whitespace() || is_quote(character);
    let before = before.trim_end_matches(is_around);
    let before = without_scheme(before).unwrap_or(before).trim_end_matches(is_around);
    let before = before.strip_suffix(['=', ':'])?.trim_end_matches(is_around);
    let is_of_name =
        |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    let name = &before[before.trim_end_matches(is_of_name).len()..];
    (!name.is_empty() && name.len() <= 64).then_some(name)
}

/// Text that ends with a scheme, without it.
fn without_scheme(text: &str) -> Option<&str> {
    SCHEMES.into_iter().find_map(|scheme| {
        let start = text.len().checked_sub(scheme.len())?;
        let (before, last) = (text.get(..start)?, text.get(start..)?);
        let is_word = !before.ends_with(|character: char| character.is_alphanumeric());
        (is_word && last.eq_ignore_ascii_case(scheme)).then_some(before)
    })
}

fn run(text: &str) -> &str {
    &text[..text.find(|character| !is_of_token(character)).unwrap_or(text.len())]
}

fn first_part(token: &str) -> &str {
    token.split('.').next().unwrap_or_default()
}

fn is_of_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
}

/// Around a value in JSON, in shells and in their escapes, and in Markdown.
fn is_quote(character: char) -> bool {
    matches!(character, '"' | '\'' | '`' | '\\' | '“' | '”' | '‘' | '’')
}

/// Takes what does not look like a token from where one belongs.
fn find_by_place(text: &str, name: Option<&str>) -> Result<(String, Vec<String>), String> {
    let text = text.trim();
    let names = match &name {
        Some(name) => core::slice::from_ref(name),
        None => &NAMES[..],
    };
    let named = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(members)) => {
            let text_of = |name: &str| Some(members.get(name)?.as_str()?.to_owned());
            let named = names.iter().filter_map(|name| Some((*name, text_of(name)?)));
            let named: Vec<_> = named.collect();
            if named.is_empty() {
                let names = names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>();
                return Err(format!("the JSON object has no token at {}", names.join(", ")));
            }
            named
        }
        _ => of_form(text, names),
    };
    if named.iter().any(|(_, token)| *token != named[0].1) {
        let [first, second, ..] = &named[..] else { return Err("several tokens".to_owned()) };
        let (first, second) = (first.0, second.0);
        return Err(format!(
            "there are tokens at {first:?} and at {second:?}; choose one by its name: --from {first}"
        ));
    }
    if let Some((name, token)) = named.into_iter().next() {
        return Ok((token.trim().to_owned(), vec![format!("took it from {name:?}")]));
    }
    if let Some(name) = name {
        return Err(format!("no token has the name {name:?}"));
    }
    if let Some(token) = after_bearer(text) {
        return Ok((token.to_owned(), vec!["left out \"Bearer\"".to_owned()]));
    }
    let unquoted = text.trim_matches(is_quote).trim();
    let mut done = Vec::new();
    if unquoted != text {
        done.push("left out the quotes".to_owned());
    }
    let lines = unquoted.lines().count();
    if lines > 1 && unquoted.lines().all(|line| line.trim().chars().all(is_of_token)) {
        done.push(joined(lines));
        return Ok((unquoted.lines().map(str::trim).collect(), done));
    }
    Ok((unquoted.to_owned(), done))
}

/// The values of a form that have one of these names.
fn of_form<'n>(text: &str, names: &[&'n str]) -> Vec<(&'n str, String)> {
    if text.contains(char::is_whitespace) {
        return Vec::new();
    }
    let pairs = text.split(['?', '#', '&']).filter_map(|pair| pair.split_once('='));
    let named = pairs.filter_map(|(key, value)| {
        let name = names.iter().find(|name| **name == key)?;
        Some((*name, percent_decoded(value)))
    });
    named.collect()
}

/// What follows the first `Bearer`, up to a space or quote.
fn after_bearer(text: &str) -> Option<&str> {
    let is_scheme = |at: &usize| {
        let word = text.get(*at..at + "bearer".len());
        word.is_some_and(|word| word.eq_ignore_ascii_case("bearer"))
            && text[at + "bearer".len()..].starts_with([' ', '\t'])
    };
    let at = text.char_indices().map(|(at, _)| at).find(is_scheme)?;
    let rest = text[at + "bearer".len()..].trim_start();
    let is_end = |character: char| character.is_whitespace() || is_quote(character);
    Some(&rest[..rest.find(is_end).unwrap_or(rest.len())])
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

    use super::*;

    fn token_of(header: &str, subject: &str, signature: usize) -> String {
        let claims =
            format!(r#"{{"sub":"{subject}","iss":"https://id.example","exp":1800000000}}"#);
        let [header, claims] = [header, &claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
        format!("{header}.{claims}.{}", "s".repeat(signature))
    }

    fn token() -> String {
        token_of(r#"{"alg":"ES256","typ":"at+jwt"}"#, "alice", 86)
    }

    fn other() -> String {
        token_of(r#"{"alg":"ES256","typ":"at+jwt"}"#, "bob", 86)
    }

    /// As `fold -w` does.
    fn folded(text: &str, width: usize, end: &str) -> String {
        let characters: Vec<char> = text.chars().collect();
        let lines = characters.chunks(width).map(|line| line.iter().collect::<String>());
        lines.collect::<Vec<_>>().join(end)
    }

    #[track_caller]
    fn finds(text: &str, token: &str, done: &[&str]) {
        let done = done.iter().map(|text| (*text).to_owned()).collect();
        let token = token.as_bytes().to_vec();
        assert_eq!(find(text, None), Ok(Found { token, done }), "{text}");
    }

    #[test]
    fn a_token_alone_is_taken_as_it_is() {
        for text in [token(), format!(" {}\r\n", token()), format!("\n\n{}\n\n", token())] {
            finds(&text, &token(), &[]);
        }
    }

    #[test]
    fn what_stands_around_a_token_is_left_out_and_told() {
        let token = token();
        for (text, done) in [
            (format!("Bearer {token}"), "left out \"Bearer\""),
            (format!("bearer  {token} "), "left out \"Bearer\""),
            (format!("\"{token}\""), "left out the quotes"),
            (format!("'{token}'\n"), "left out the quotes"),
            (format!("Authorization: Bearer {token}\r\n"), "took it from \"Authorization\""),
            (
                format!("curl -H 'Authorization: Bearer {token}' https://api.example"),
                "took it from \"Authorization\"",
            ),
            (
                format!("GET / HTTP/1.1\nauthorization: BEARER {token}\nhost: x"),
                "took it from \"authorization\"",
            ),
            (format!("Authorization: DPoP {token}"), "took it from \"Authorization\""),
            (format!("export TOKEN='{token}'"), "took it from \"TOKEN\""),
            (format!("Cookie: a=b; __Host-token={token}; c=d"), "took it from \"__Host-token\""),
            (format!("{{\"access_token\":\"{token}\"}}"), "took it from \"access_token\""),
            (
                format!("{{\n  \"id_token\": \"{token}\",\n  \"expires_in\": 300\n}}"),
                "took it from \"id_token\"",
            ),
            (format!(r#""{{\"token\":\"{token}\"}}""#), "took it from \"token\""),
            (format!("grant_type=x&assertion={token}&client_id=web"), "took it from \"assertion\""),
            (
                format!("https://app.example/cb#access_token={token}&state=1"),
                "took it from \"access_token\"",
            ),
            (format!("I get 401 with {token} since today"), "took it out of the text around it"),
        ] {
            finds(&text, &token, &[done]);
        }
        let encoded = format!("access_token={}&a=b", token.replace('.', "%2E"));
        finds(&encoded, &token, &["decoded its percent signs", "took it from \"access_token\""]);
        let encoded = format!("Bearer%20{token}");
        finds(&encoded, &token, &["decoded its percent signs", "left out \"Bearer\""]);
    }

    /// Tokens of one issuer begin alike.
    #[test]
    fn a_token_has_the_scheme_that_stands_before_it_and_not_that_of_another_one() {
        let (token, other) = (token(), other());
        let longer = format!("{token}.e30");
        for (text, scheme) in [
            (token.clone(), None),
            (format!("DPoP {token}"), Some("dpop")),
            (format!("Authorization: bearer {token}\r\n"), Some("bearer")),
            (format!("DPoP {other}\n\nAuthorization: Bearer {token}"), Some("bearer")),
            (format!("Bearer {other}\n\nAuthorization: DPoP {token}"), Some("dpop")),
            (format!("Authorization: DPoP {other}\n\ntoken={token}"), None),
            (format!("DPoP {longer} and {token}"), None),
            (format!("token={token}\n\nAuthorization: DPoP {token}"), Some("dpop")),
            (format!("DPoP%20{token}"), Some("dpop")),
            (format!("DPoP {}", folded(&token, 20, "\n")), Some("dpop")),
        ] {
            assert_eq!(scheme_of(&text, &token), scheme, "{text}");
        }
        for (text, scheme) in [
            ("Bearer not.a.token", Some("bearer")),
            ("DPoP not.a.tokens, Bearer not.a.token", Some("bearer")),
            ("DPoP xnot.a.token", None),
        ] {
            assert_eq!(scheme_of(text, "not.a.token"), scheme, "{text}");
        }
    }

    #[test]
    fn lines_are_joined_wherever_they_were_broken() {
        let token = token();
        for width in 1..token.len() {
            for end in ["\n", "\r\n", "\n  "] {
                let text = folded(&token, width, end);
                let lines = format!("joined {} lines", text.lines().count());
                finds(&text, &token, &[&lines]);
                finds(&format!("{text}\n"), &token, &[&lines]);
            }
        }
        finds(&token.replace('.', ".\n"), &token, &["joined 3 lines"]);
        finds(&token.replace('.', "\n."), &token, &["joined 3 lines"]);
        for text in [
            format!("curl -H 'Authorization: Bearer {token}' https://api.example/orders"),
            format!("{{\"access_token\":\"{token}\",\"expires_in\":300}}"),
        ] {
            for width in 8..80 {
                let found = find(&folded(&text, width, "\n"), None).expect("a token");
                assert_eq!(found.token, token.as_bytes(), "{width}: {text}");
            }
        }
    }

    #[test]
    fn a_line_that_is_not_of_the_token_is_left_alone() {
        let token = token();
        for text in [
            format!("{token}\nOK"),
            format!("Bearer {token}\nOK\n"),
            format!("Authorization: Bearer {token}\nAccept: text/html"),
            format!("{}\n\nThanks", folded(&token, 60, "\n")),
            format!("{}\nThanks", folded(&token, 60, "\n")),
        ] {
            let found = find(&text, None).expect("a token");
            assert_eq!(found.token, token.as_bytes(), "{text}");
        }
    }

    #[test]
    fn signatures_of_every_length_are_whole() {
        for (algorithm, lengths) in [
            ("HS256", &[43][..]),
            ("HS384", &[64]),
            ("HS512", &[86]),
            ("EdDSA", &[86]),
            ("ES384", &[128]),
            ("ES512", &[176]),
            ("ML-DSA-44", &[3227]),
            ("ML-DSA-65", &[4412]),
            ("ML-DSA-87", &[6170]),
            ("RS256", &[342, 512, 683]),
            ("PS512", &[342]),
            ("none", &[0]),
        ] {
            for length in lengths {
                let token = token_of(&format!(r#"{{"alg":"{algorithm}"}}"#), "alice", *length);
                let text = format!("{}\nOK", folded(&token, 60, "\n"));
                let found = find(&text, None).expect("a token");
                assert_eq!(found.token, token.as_bytes(), "{algorithm} {length}");
            }
        }
    }

    #[test]
    fn an_encrypted_token_is_one() {
        let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"dir","enc":"A128GCM"}"#);
        let token = format!("{header}..{}.{}.{}", "i".repeat(16), "c".repeat(90), "t".repeat(22));
        for width in 5..80 {
            let found = find(&folded(&token, width, "\n"), None).expect("a token");
            assert_eq!(found.token, token.as_bytes(), "{width}");
        }
    }

    #[test]
    fn of_two_tokens_none_is_guessed() {
        let (token, other) = (token(), other());
        let both = format!("{{\"access_token\":\"{token}\",\"id_token\":\"{other}\"}}");
        for text in [
            format!("{token}\n{other}"),
            format!("{token} {other}"),
            format!("{}\n{}", folded(&token, 60, "\n"), folded(&other, 60, "\n")),
            both.clone(),
        ] {
            let error = find(&text, None).expect_err("two");
            assert!(error.starts_with("there are 2 different tokens in it"), "{error}");
            assert!(!error.contains(&token) && !error.contains(&other), "{error}");
        }
        let error = find(&both, None).expect_err("two");
        assert!(error.contains("--from access_token"), "{error}");
        assert_eq!(find(&both, Some("id_token")).map(|found| found.token), Ok(other.into_bytes()));
        assert!(find(&both, Some("refresh_token")).is_err());
        finds(
            &format!("{token}\n{token}"),
            &token,
            &["took it out of the text around it", "took one of 2 that are the same"],
        );
    }

    #[test]
    fn what_is_no_token_is_taken_from_its_place() {
        for (text, token, done) in [
            ("hello", "hello", &[][..]),
            ("a.b.c", "a.b.c", &[]),
            ("hello world", "hello world", &[]),
            ("a.b\n.c", "a.b.c", &["joined 2 lines"]),
            ("Bearer a.b.c", "a.b.c", &["left out \"Bearer\""]),
            ("curl -H 'Authorization: Bearer a.b.c' x", "a.b.c", &["left out \"Bearer\""]),
            ("\"opaque\"", "opaque", &["left out the quotes"]),
            (r#"{"access_token":"opaque","x":1}"#, "opaque", &["took it from \"access_token\""]),
            ("token=opaque%2D1&a=b", "opaque-1", &["took it from \"token\""]),
        ] {
            finds(text, token, done);
        }
        assert_eq!(find(" \n", None), Err("there is no token".to_owned()));
        assert_eq!(find("Bearer ", None).map(|found| found.token), Ok(b"Bearer".to_vec()));
        assert!(find(r#"{"error":"invalid_grant"}"#, None).is_err());
        let two = find(r#"{"access_token":"a","token":"b"}"#, None).expect_err("two");
        assert!(two.contains("--from access_token"), "{two}");
        assert!(find("hello", Some("token")).is_err());
        let mixed = format!("{{\"access_token\":\"opaque\",\"id_token\":\"{}\"}}", token());
        let found = find(&mixed, Some("access_token")).expect("a token");
        assert_eq!(found.token, b"opaque");
    }

    #[test]
    fn a_large_text_takes_no_longer_than_it_must() {
        let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
        let lines = format!("{header}.e30.\n{}", "a\n".repeat(400_000));
        let found = find(&lines, None).expect("a token");
        assert!(found.token.len() <= LONGEST + 1, "{}", found.token.len());
    }
}

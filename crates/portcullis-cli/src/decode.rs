//! What a token says, which nobody verified.
mod findings;

use serde::Serialize;
use serde_json::{Map, Value};

use self::findings::Finding;
use crate::Exit;
use crate::input::TokenInput;
use crate::output::{Failure, Output, counted, json_text, shown};
use crate::part::{self, Part, Unreadable};
use crate::time::{duration, instant, time, utc};

const WARNING: &str = "NOT VERIFIED. Nobody checked the signature or anything else, so anyone can have written this. Do not let a program act on it; ask `portcullis explain` whether a policy accepts the token.";

/// Show what a token says, without verifying it.
///
/// Prints the header, the claims, the times in words, and what stands out. It needs no policy and no network: nothing
/// is sent anywhere. The signature is never shown.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    token: TokenInput,

    /// The time to count from, as seconds since 1970 or as 2026-12-31T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<i64>,
}

/// A token, taken apart.
struct Token<'a> {
    bytes: usize,
    parts: Vec<&'a str>,
    header: Result<Part, Unreadable>,
    claims: Result<Part, Unreadable>,
    now: i64,
}

/// What kind of token it is, by how it is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    /// Three parts (RFC 7515 §7.1).
    Signed,
    /// Three parts, the last of them empty (RFC 7515 appendix A.5).
    Unsecured,
    /// Five parts (RFC 7516 §7.1).
    Encrypted,
    Other,
}

#[derive(Serialize)]
struct Report<'a> {
    verified: bool,
    warning: &'static str,
    now: i64,
    form: Form,
    bytes: usize,
    parts: usize,
    header: Option<&'a Map<String, Value>>,
    claims: Option<&'a Map<String, Value>>,
    times: &'a [Moment],
    lifetime_s: Option<i64>,
    findings: &'a [Finding],
}

/// A claim that is a time.
#[derive(Serialize)]
struct Moment {
    claim: &'static str,
    at: i64,
    utc: Option<String>,
    /// `expired 10 min 52 s ago`.
    says: String,
}

pub(crate) fn run(options: &Options, output: &Output) -> Result<Exit, Failure> {
    let text = options.token.read(output)?;
    // What is not text has no part that can be read.
    let text = String::from_utf8_lossy(&text);
    let now = options.at.unwrap_or_else(|| portcullis::Clock::now(&portcullis::SystemClock).0);
    let token = Token::of(&text, now);
    let (moments, findings) = (token.moments(), findings::of(&token));
    if output.json {
        output.json(&Report {
            verified: false,
            warning: WARNING,
            now,
            form: token.form(),
            bytes: token.bytes,
            parts: token.parts.len(),
            header: token.header.as_ref().ok().map(|part| &part.members),
            claims: token.claims.as_ref().ok().map(|part| &part.members),
            times: &moments,
            lifetime_s: token.lifetime(),
            findings: &findings,
        });
    } else {
        print(&token, &moments, &findings, output);
    }
    let is_read = token.header.is_ok() && matches!(token.form(), Form::Encrypted)
        || token.header.is_ok() && (token.claims.is_ok() || token.inner().is_some());
    Ok(if is_read { Exit::Good } else { Exit::Refused })
}

impl<'a> Token<'a> {
    fn of(text: &'a str, now: i64) -> Self {
        let parts: Vec<_> = text.split('.').collect();
        let part =
            |at: usize| parts.get(at).map_or(Err(Unreadable::Missing), |one| part::read(one));
        Self { bytes: text.len(), header: part(0), claims: part(1), parts, now }
    }

    fn form(&self) -> Form {
        match self.parts[..] {
            [_, _, ""] => Form::Unsecured,
            [_, _, _] => Form::Signed,
            [_, _, _, _, _] => Form::Encrypted,
            _ => Form::Other,
        }
    }

    fn header(&self, name: &str) -> Option<&Value> {
        self.header.as_ref().ok()?.members.get(name)
    }

    fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.as_ref().ok()?.members.get(name)
    }

    /// A claim that is a time, in whole seconds (RFC 7519 §2, `NumericDate`).
    fn seconds(&self, claim: &str) -> Option<i64> {
        let value = self.claim(claim)?;
        #[expect(clippy::cast_possible_truncation, reason = "what is out of range is at its end")]
        let of_fraction = || value.as_f64().map(|seconds| seconds.floor() as i64);
        value.as_i64().or_else(of_fraction)
    }

    /// From `iat`, or else from now, to `exp`.
    fn lifetime(&self) -> Option<i64> {
        let from = self.seconds("iat").unwrap_or(self.now);
        Some(self.seconds("exp")?.saturating_sub(from))
    }

    /// The token within, of one that is not an object of claims but another token (RFC 7519 §5.2).
    fn inner(&self) -> Option<&str> {
        let Err(Unreadable::Text(text)) = &self.claims else { return None };
        let text = text.trim();
        let header = text.split('.').next()?;
        (text.matches('.').count() >= 2 && part::object(header).is_some()).then_some(text)
    }

    fn moments(&self) -> Vec<Moment> {
        let moment = |claim| {
            let at = self.seconds(claim)?;
            Some(Moment { claim, at, utc: utc(at), says: says(claim, at, self.now) })
        };
        ["iat", "nbf", "exp", "auth_time"].into_iter().filter_map(moment).collect()
    }
}

/// A time in words.
fn says(claim: &str, at: i64, now: i64) -> String {
    let distance = duration(at.abs_diff(now));
    match (claim, at <= now) {
        // RFC 7519 §4.1.4: at this second, it has expired.
        ("exp", true) if at == now => "expires now".to_owned(),
        ("exp", true) => format!("expired {distance} ago"),
        ("exp", false) => format!("expires in {distance}"),
        ("nbf", true) if at == now => "becomes valid now".to_owned(),
        ("nbf", true) => format!("became valid {distance} ago"),
        ("nbf", false) => format!("not valid for another {distance}"),
        ("auth_time", true) => format!("the user logged in {distance} ago"),
        ("auth_time", false) => format!("the user logs in {distance} from now"),
        (_, true) if at == now => "issued now".to_owned(),
        (_, true) => format!("issued {distance} ago"),
        (_, false) => format!("issued {distance} from now"),
    }
}

fn print(token: &Token<'_>, moments: &[Moment], findings: &[Finding], output: &Output) {
    output.verdict(false, WARNING);
    output.line(&format!("at {}", instant(token.now)));
    output.line("");
    let form = match token.form() {
        Form::Signed => "that of a signed token; the signature is not shown",
        Form::Unsecured => "that of a token without a signature",
        Form::Encrypted => "that of an encrypted token",
        Form::Other => "not that of a token: a signed one has three parts",
    };
    let size = format!("{} bytes, {}", token.bytes, counted(token.parts.len(), "part"));
    output.table(["", ""], [["size".to_owned(), size], ["form".to_owned(), form.to_owned()]]);
    print_part("Header", &token.header, output);
    match (token.form(), token.inner()) {
        (Form::Encrypted, _) => {
            output.line("");
            output.paragraph("Claims: encrypted, so that only the recipient can read them");
        }
        (_, Some(_)) => {
            output.line("");
            output.paragraph("Claims: none of its own, but another token");
        }
        (_, None) => print_part("Claims", &token.claims, output),
    }
    if !moments.is_empty() {
        output.line("");
        output.line("Times");
        let rows = moments.iter().map(|moment| {
            let date = moment.utc.clone().unwrap_or_else(|| moment.at.to_string());
            [format!("  {}", moment.claim), date, moment.says.clone()]
        });
        let lifetime = token.lifetime().and_then(|seconds| u64::try_from(seconds).ok());
        let lifetime = lifetime.map(|seconds| {
            let from = if token.seconds("iat").is_some() { "`iat`" } else { "now" };
            let to = format!("from {from} to `exp`");
            ["  lifetime".to_owned(), duration(seconds), to]
        });
        output.table(["", "", ""], rows.chain(lifetime));
    }
    output.line("");
    if findings.is_empty() {
        output.line("Nothing stands out.");
        return;
    }
    output.line("What stands out");
    for Finding { name, message } in findings {
        output.paragraph(&shown(&format!("  [{name}] {message}")));
    }
}

fn print_part(title: &str, part: &Result<Part, Unreadable>, output: &Output) {
    output.line("");
    match part {
        Err(fault) => output.paragraph(&format!("{title}: {fault}")),
        Ok(part) if part.members.is_empty() => output.line(&format!("{title}: empty")),
        Ok(part) => {
            output.line(title);
            let members = part.members.iter();
            let row = |(name, value): (&String, &Value)| [format!("  {name}"), json_text(value)];
            output.long_table(["", ""], members.map(row));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_words() {
        for (claim, at, text) in [
            ("exp", 348, "expired 10 min 52 s ago"),
            ("exp", 1000, "expires now"),
            ("exp", 1300, "expires in 5 min"),
            ("iat", 1000, "issued now"),
            ("iat", 40, "issued 16 min ago"),
            ("iat", 1060, "issued 1 min from now"),
            ("nbf", 1030, "not valid for another 30 s"),
            ("nbf", 1000, "becomes valid now"),
            ("nbf", 970, "became valid 30 s ago"),
            ("auth_time", 400, "the user logged in 10 min ago"),
        ] {
            assert_eq!(says(claim, at, 1000), text);
        }
    }

    #[test]
    fn a_time_may_have_a_fraction_and_be_out_of_range() {
        let token = |exp: &str| {
            let claims = base64::Engine::encode(
                &base64::prelude::BASE64_URL_SAFE_NO_PAD,
                format!(r#"{{"exp":{exp}}}"#),
            );
            Token::of(&format!("e30.{claims}."), 0).seconds("exp")
        };
        for (exp, seconds) in [
            ("1.9", Some(1)),
            ("-0.5", Some(-1)),
            ("1e300", Some(i64::MAX)),
            ("18446744073709551615", Some(i64::MAX)),
            ("\"1\"", None),
            ("null", None),
        ] {
            assert_eq!(token(exp), seconds, "{exp}");
        }
    }
}

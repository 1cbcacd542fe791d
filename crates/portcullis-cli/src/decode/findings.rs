//! What stands out in a token.
use portcullis::Algorithm;
use serde::Serialize;
use serde_json::Value;

use super::{Form, Token};
use crate::part::Part;
use crate::time::duration;

/// A lifetime that a policy accepts if it says nothing else.
const LONG: i64 = 24 * 3600;
/// In the year 5138. A larger number counts milliseconds.
const MILLISECONDS: i64 = 100_000_000_000;
/// The size of a header that common servers take, and the largest token that a policy takes if it says nothing else.
const LARGE: usize = 8 * 1024;

/// Something about a token that its reader should know.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) name: &'static str,
    pub(super) message: String,
}

/// Everything that stands out, the worst first.
pub(super) fn of(token: &Token<'_>) -> Vec<Finding> {
    let mut found = Findings(Vec::new());
    found.of_form(token);
    if token.header.is_ok() {
        found.of_algorithm(token);
        found.of_header(token);
    }
    if token.claims.is_ok() {
        found.of_kind(token);
        found.of_claims(token);
        found.of_times(token);
    }
    found.of_writing(token);
    found.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, name: &'static str, message: impl Into<String>) {
        self.0.push(Finding { name, message: message.into() });
    }

    fn of_form(&mut self, token: &Token<'_>) {
        match token.form() {
            Form::Signed | Form::Unsecured => {}
            Form::Encrypted => self.add(
                "encrypted",
                "it is encrypted (JWE): a policy takes signed tokens only, so have the issuer send one",
            ),
            Form::Other if token.parts.len() == 1 => self.add(
                "not-a-jwt",
                "it has no dot: it is not a JWT, but perhaps an opaque token that only its issuer can read",
            ),
            Form::Other => self.add(
                "not-whole",
                format!(
                    "it has {} parts and a signed token has three: perhaps not all of it was copied",
                    token.parts.len()
                ),
            ),
        }
        if token.inner().is_some() || is_text(token.header("cty"), "jwt") {
            self.add(
                "nested",
                "there is another token within it: a policy does not look into it, so have the issuer send that one",
            );
        }
    }

    fn of_algorithm(&mut self, token: &Token<'_>) {
        // Of an encrypted token, `alg` says how its key is encrypted.
        let is_encrypted = token.form() == Form::Encrypted;
        match token.header("alg") {
            None => self.add("no-alg", "the header has no `alg`: no one can tell how to verify it"),
            Some(Value::String(name)) if name.eq_ignore_ascii_case("none") => self.add(
                "alg-none",
                "`alg` is none: nobody signed it, anyone can write such a token, and every policy refuses it",
            ),
            Some(_) if is_encrypted => {}
            Some(Value::String(name)) => match name.parse::<Algorithm>() {
                Err(_) => self.add(
                    "unknown-alg",
                    format!("no policy accepts the algorithm {name:?}"),
                ),
                Ok(Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) => self.add(
                    "shared-secret",
                    "it is signed with a shared secret: whoever can verify it can also make one",
                ),
                Ok(_) => {}
            },
            Some(_) => self.add("unknown-alg", "`alg` is not text"),
        }
        let is_none = matches!(token.header("alg"), Some(Value::String(name)) if name == "none");
        if token.form() == Form::Unsecured && !is_none {
            self.add("no-signature", "the signature is empty: perhaps not all of it was copied");
        }
    }

    fn of_header(&mut self, token: &Token<'_>) {
        for name in ["jwk", "jku", "x5u", "x5c"] {
            if token.header(name).is_some() {
                self.add(
                    "brings-a-key",
                    format!("the header brings its own key (`{name}`): a policy never uses it, since anyone can bring one"),
                );
            }
        }
        if token.header("crit").is_some() {
            self.add(
                "crit",
                "the header has `crit`: who does not know its extensions must refuse it",
            );
        }
    }

    /// Whether it is an access token, which an API takes, or another kind.
    fn of_kind(&mut self, token: &Token<'_>) {
        let header_type = token.header("typ").and_then(Value::as_str).map(str::to_ascii_lowercase);
        let header_type =
            header_type.as_deref().map(|name| name.trim_start_matches("application/"));
        let other_type = header_type.filter(|name| !matches!(*name, "jwt" | "at+jwt"));
        if let Some(name) = other_type {
            self.add(
                "other-type",
                format!("`typ` is {name:?}: it is not an access token (`at+jwt`)"),
            );
        }
        if let Some(sign) = sign_of_id_token(token) {
            self.add(
                "id-token",
                format!("{sign} an ID token, which tells a client who logged in, and not an access token: send the API the `access_token` instead"),
            );
        }
        // Keycloak's and Cognito's.
        for claim in ["typ", "token_use"] {
            if is_text(token.claim(claim), "refresh") || is_text(token.claim(claim), "offline") {
                self.add(
                    "refresh-token",
                    format!("the claim `{claim}` says that it is a refresh token: only its issuer takes it"),
                );
            }
        }
        if token.claim("events").is_some() {
            self.add("event-token", "the claim `events` says that it is a security event or logout token, and not an access token");
        }
        if token.claim("cnf").is_some() {
            self.add(
                "bound",
                "the claim `cnf` binds it to a key: only who has that key may use it. A policy refuses it, since it does not check the key",
            );
        }
    }

    fn of_claims(&mut self, token: &Token<'_>) {
        for (claim, why) in [
            ("iss", "a policy looks up its keys by the issuer, and refuses it"),
            (
                "aud",
                "it does not say which service it is for; a policy refuses it unless it names clients instead",
            ),
        ] {
            if token.claim(claim).is_none() {
                self.add(
                    if claim == "iss" { "no-iss" } else { "no-aud" },
                    format!("there is no `{claim}`: {why}"),
                );
            }
        }
    }

    fn of_times(&mut self, token: &Token<'_>) {
        for claim in ["exp", "nbf", "iat"] {
            match (token.claim(claim), token.seconds(claim)) {
                (Some(value), None) => self.add(
                    "not-a-time",
                    format!("`{claim}` is {value}, and not a number of seconds: a policy refuses it"),
                ),
                (_, Some(at)) if at > MILLISECONDS => self.add(
                    "milliseconds",
                    format!("`{claim}` is {at}, which is over 3000 years from now: it seems to count milliseconds, and has to count seconds"),
                ),
                _ => {}
            }
        }
        let now = token.now;
        match token.seconds("exp") {
            None if token.claim("exp").is_none() => {
                self.add(
                    "no-exp",
                    "there is no `exp`: it never expires, and every policy refuses it",
                );
            }
            Some(end) if end <= now => {
                self.add("expired", format!("it expired {} ago", duration(end.abs_diff(now))));
            }
            _ => {}
        }
        if let Some(from) = token.seconds("nbf").filter(|from| *from > now) {
            let wait = duration(from.abs_diff(now));
            self.add("not-yet-valid", format!("it is not valid for another {wait}"));
        }
        if let Some(from) = token.seconds("iat").filter(|from| *from > now) {
            let wait = duration(from.abs_diff(now));
            self.add(
                "issued-in-future",
                format!("it was issued {wait} from now: a clock is wrong"),
            );
        }
        if let Some(lifetime) = token.lifetime().filter(|lifetime| *lifetime > LONG) {
            self.add(
                "long-lived",
                format!(
                    "it lives {}: if it leaks, it works for as long. A policy accepts 24 h at most, unless it says more",
                    duration(lifetime.unsigned_abs())
                ),
            );
        }
        if token.lifetime().is_some_and(|lifetime| lifetime <= 0) && token.claim("iat").is_some() {
            self.add("no-lifetime", "`exp` is not later than `iat`: it was never valid");
        }
    }

    /// What is not written as it must be, or is large.
    fn of_writing(&mut self, token: &Token<'_>) {
        for (name, part) in [("header", &token.header), ("claims", &token.claims)] {
            let Ok(Part { repeated, is_base64url, .. }) = part else { continue };
            if !is_base64url {
                self.add(
                    "not-base64url",
                    format!("its {name} is base64 of another alphabet or with `=`: it has to be base64url without `=`, and a policy refuses it"),
                );
            }
            for member in repeated {
                self.add(
                    "repeated",
                    format!("its {name} has {member:?} more than once, and shown is the last one: programs differ in which one they take, so a policy refuses it"),
                );
            }
        }
        if token.bytes > LARGE {
            self.add(
                "large",
                format!(
                    "it has {} bytes: many servers take headers of 8 KiB at most, and a policy tokens of 16 KiB unless it says more",
                    token.bytes
                ),
            );
        }
    }
}

/// What says that it is an ID token: claims that only these have (OpenID Connect Core §3.1.3.6, §3.3.2.11), a claim
/// of Keycloak's or Cognito's, or a `nonce` where there are no scopes.
fn sign_of_id_token(token: &Token<'_>) -> Option<String> {
    let is_there = |claim: &str| token.claim(claim).is_some();
    if let Some(claim) = ["at_hash", "c_hash"].into_iter().find(|claim| is_there(claim)) {
        return Some(format!("the claim `{claim}` says that it is"));
    }
    if let Some(claim) =
        ["typ", "token_use"].into_iter().find(|claim| is_text(token.claim(claim), "id"))
    {
        return Some(format!("the claim `{claim}` says that it is"));
    }
    let is_likely = is_there("nonce") && !is_there("scope") && !is_there("scp");
    is_likely.then(|| "it has `nonce` and no scopes, so that it is probably".to_owned())
}

fn is_text(value: Option<&Value>, text: &str) -> bool {
    value.and_then(Value::as_str).is_some_and(|own| own.eq_ignore_ascii_case(text))
}

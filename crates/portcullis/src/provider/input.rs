//! What presets are told, checked before an address is made of it.
use core::fmt;

use url::Url;

use crate::debug_as_displayed::debug_as_displayed;

/// A text that a preset cannot make an issuer of. The text itself is not shown.
#[non_exhaustive]
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct ProviderError {
    /// The preset.
    pub provider: &'static str,
    /// Its argument.
    pub argument: &'static str,
    /// What it must be.
    pub allowed: &'static str,
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, argument, allowed } = self;
        write!(f, "{provider}: `{argument}` must be {allowed}")
    }
}

debug_as_displayed!(ProviderError);

impl core::error::Error for ProviderError {}

/// The arguments of one preset.
#[derive(Clone, Copy)]
pub(super) struct Arguments(pub(super) &'static str);

impl Arguments {
    fn check(
        self,
        argument: &'static str,
        holds: bool,
        allowed: &'static str,
    ) -> Result<(), ProviderError> {
        if holds { Ok(()) } else { Err(ProviderError { provider: self.0, argument, allowed }) }
    }

    /// Where a server is, spelled as it spells itself.
    pub(super) fn base(self, argument: &'static str, text: &str) -> Result<(), ProviderError> {
        let allowed = "the server's URL as it stands in `iss`, with `https://`, in lower case, without a default port, a query or a slash at its end: `https://id.example`";
        self.check(argument, is_base(text), allowed)
    }

    /// A whole identifier, with or without a slash at its end.
    pub(super) fn issuer(self, argument: &'static str, text: &str) -> Result<(), ProviderError> {
        let allowed =
            "the issuer exactly as it stands in `iss`, a URL with `https://` and without a query";
        self.check(argument, is_base(text.strip_suffix('/').unwrap_or(text)), allowed)
    }

    pub(super) fn domain(self, argument: &'static str, text: &str) -> Result<(), ProviderError> {
        let url = format!("https://{text}/");
        let is_domain = text.contains('.')
            && Url::parse(&url).is_ok_and(|own| own.as_str() == url && own.domain() == Some(text));
        let allowed = "a domain in lower case, without `https://`, a path or a port: `acme.eu.auth0.com`, `acme.okta.com`, or your own";
        self.check(argument, is_domain, allowed)
    }

    /// One level of a path: what could lead elsewhere is no part of it (RFC 3986 §2.3, §3.3).
    pub(super) fn segment(self, argument: &'static str, text: &str) -> Result<(), ProviderError> {
        let is_segment = !matches!(text, "" | "." | "..")
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'));
        let allowed = "one level of a path: letters, digits, `-`, `.`, `_` and `~`; an issuer with any other is named by `Issuer::new`";
        self.check(argument, is_segment, allowed)
    }

    pub(super) fn tenant_id(self, argument: &'static str, text: &str) -> Result<(), ProviderError> {
        let is_guid = text.len() == 36
            && text.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            });
        let allowed = "the directory (tenant) id, a GUID in lower case: tokens name it in `iss`, whatever the client asked for (`common`, `organizations`, a domain); for several tenants call it once for each";
        self.check(argument, is_guid, allowed)
    }

    /// The region of a Cognito user pool.
    pub(super) fn pool<'p>(
        self,
        argument: &'static str,
        text: &'p str,
    ) -> Result<&'p str, ProviderError> {
        let (region, id) = text.split_once('_').unwrap_or_default();
        let is_region = region.contains('-')
            && !region.starts_with('-')
            && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let is_id = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
        let allowed = "a user pool id, with its region: `eu-central-1_AbCdEf123`";
        self.check(argument, is_region && is_id, allowed)?;
        Ok(region)
    }

    pub(super) fn service_accounts(
        self,
        argument: &'static str,
        accounts: &[String],
    ) -> Result<(), ProviderError> {
        let is_account = |text: &String| {
            text.split_once('@').is_some_and(|(name, domain)| {
                !name.is_empty() && domain.ends_with(".gserviceaccount.com")
            })
        };
        let allowed = "at least one service account, by its address: `caller@project.iam.gserviceaccount.com`";
        self.check(argument, !accounts.is_empty() && accounts.iter().all(is_account), allowed)
    }
}

fn is_base(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    matches!(url.scheme(), "https" | "http")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        // Whatever the parser reads otherwise than it stands there is no identifier to compare with.
        && url.as_str().strip_suffix('/').unwrap_or(url.as_str()) == text
}

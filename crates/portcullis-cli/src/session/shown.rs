//! What is shown of a session: nothing that a token is made of or recognised by.
use portcullis_issuer::StoreTime;
use portcullis_issuer::session::SessionRow;
use serde::Serialize;
use serde_json::Value;

use crate::time::{Instant, about, utc_of_millis};

/// What a program is told of a session.
#[derive(Serialize)]
pub(super) struct SessionShown<'r> {
    id: String,
    subject: &'r str,
    client: &'r str,
    label: Option<String>,
    /// Whether its tokens are of use to nobody who does not have a key or a certificate.
    is_bound: bool,
    /// The key, as it stands in its access tokens (`cnf.jkt`).
    key_thumbprint: Option<String>,
    /// The certificate, likewise (`cnf.x5t#S256`).
    certificate_thumbprint: Option<String>,
    created_at: Instant,
    last_used_at: Instant,
    idle_until: Instant,
    ends_at: Instant,
}

impl<'r> SessionShown<'r> {
    pub(super) fn of(row: &'r SessionRow) -> Self {
        Self {
            id: row.id.to_string(),
            subject: &row.subject,
            client: &row.client,
            label: label(row),
            is_bound: row.binding.is_some(),
            key_thumbprint: row.key_thumbprint(),
            certificate_thumbprint: row.certificate_thumbprint(),
            created_at: row.created_at.into(),
            last_used_at: row.rotated_at.into(),
            idle_until: row.idle_until.into(),
            ends_at: row.ends_at.into(),
        }
    }
}

/// What the application calls the session.
pub(super) fn label(row: &SessionRow) -> Option<String> {
    let details: Value = serde_json::from_str(&row.details).ok()?;
    Some(details.get("label")?.as_str()?.to_owned())
}

/// What a session's tokens are bound to, for people. `None`: to nothing.
pub(super) fn bound_to(row: &SessionRow) -> Option<String> {
    row.binding.as_ref()?;
    let key = row.key_thumbprint().map(|thumbprint| format!("the key {thumbprint}"));
    let certificate = row.certificate_thumbprint();
    let certificate = certificate.map(|thumbprint| format!("the certificate {thumbprint}"));
    let known = [key, certificate].into_iter().flatten().collect::<Vec<_>>();
    let known = (!known.is_empty()).then(|| known.join(" and "));
    Some(known.unwrap_or_else(|| "what this release does not know".to_owned()))
}

/// `3 h ago`, or `in 3 h`.
pub(super) fn when(at: StoreTime, now: StoreTime) -> String {
    if at > now {
        format!("in {}", about(at.since(now)))
    } else {
        format!("{} ago", about(now.since(at)))
    }
}

/// `2027-01-15T08:00:00Z`: to the second.
pub(super) fn date(at: StoreTime) -> String {
    utc_of_millis(at.as_millis() / 1000 * 1000).unwrap_or_default()
}

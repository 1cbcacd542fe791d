//! A session, as applications see it.
use core::fmt;
use core::time::Duration;

use portcullis::UnixTime;

use crate::session::{
    Binding, CertificateBinding, KeyBinding, SessionDetails, SessionId, SessionRow,
};
use crate::time::StoreTime;

/// A session: who authenticated where, when, and for how long that holds.
#[derive(Clone)]
pub struct Session {
    id: SessionId,
    subject: String,
    client: String,
    created_at: StoreTime,
    last_used_at: StoreTime,
    idle_until: StoreTime,
    ends_at: StoreTime,
    details: SessionDetails,
    /// What it is bound to, as far as this release knows that.
    binding: Binding,
}

impl Session {
    /// `None`: its details are not what this crate writes.
    pub(crate) fn of(row: &SessionRow) -> Option<Self> {
        Some(Self {
            id: row.id,
            subject: row.subject.clone(),
            client: row.client.clone(),
            created_at: row.created_at,
            last_used_at: row.rotated_at,
            idle_until: row.idle_until,
            ends_at: row.ends_at,
            details: serde_json::from_str(&row.details).ok()?,
            binding: row.binding.as_deref().and_then(Binding::of_row).unwrap_or_default(),
        })
    }

    /// What names it: `sid` of its access tokens.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Whose it is: `sub` of its access tokens.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The client that it was begun with: `client_id` of its access tokens.
    pub fn client(&self) -> &str {
        &self.client
    }

    /// What the application calls it, such as the browser and system. `None`: nothing.
    pub fn label(&self) -> Option<&str> {
        self.details.label.as_deref()
    }

    /// When it began.
    pub fn created_at(&self) -> StoreTime {
        self.created_at
    }

    /// When its refresh token rotated last, or it began: about when it was used last.
    pub fn last_used_at(&self) -> StoreTime {
        self.last_used_at
    }

    /// When it is over, if nobody comes back until then.
    pub fn idle_until(&self) -> StoreTime {
        self.idle_until
    }

    /// When it ends, whatever happens.
    pub fn ends_at(&self) -> StoreTime {
        self.ends_at
    }

    /// When its user authenticated.
    pub fn authenticated_at(&self) -> UnixTime {
        UnixTime(self.details.authenticated_at)
    }

    /// How strongly its user authenticated (`acr`). `None`: the application did not say.
    pub fn acr(&self) -> Option<&str> {
        self.details.acr.as_deref()
    }

    /// By which methods its user authenticated (`amr`, RFC 8176).
    pub fn amr(&self) -> &[String] {
        &self.details.amr
    }

    /// The scopes that were granted when it began.
    pub fn scopes(&self) -> &[String] {
        &self.details.scopes
    }

    /// Whether its user is to be remembered: whether the browser may keep its cookies when it is closed.
    pub fn is_remembered(&self) -> bool {
        self.details.is_remembered
    }

    /// The SHA-256 thumbprint (RFC 7638) of the key that its tokens are bound to: `cnf.jkt` of its access tokens (RFC 9449 §6.1),
    /// which name the type `DPoP` where they are given out. `None`: they are bound to no key.
    pub fn key_thumbprint(&self) -> Option<String> {
        self.binding.key.as_ref().map(KeyBinding::thumbprint)
    }

    /// The SHA-256 thumbprint of the certificate that its tokens are bound to: `cnf.x5t#S256` of its access tokens (RFC 8705 §3.1).
    /// `None`: they are bound to no certificate.
    pub fn certificate_thumbprint(&self) -> Option<String> {
        self.binding.certificate.as_ref().map(CertificateBinding::thumbprint)
    }

    /// Whether its tokens are bound to a key.
    pub(crate) fn has_key(&self) -> bool {
        self.binding.key.is_some()
    }

    /// For how long it goes on without use.
    pub(super) fn idle(&self) -> Duration {
        Duration::from_millis(self.details.idle)
    }
}

/// Does not show whose it is.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("created_at", &self.created_at)
            .field("ends_at", &self.ends_at)
            .finish_non_exhaustive()
    }
}

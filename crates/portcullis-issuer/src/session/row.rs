//! A session as it stands in a store, and what shows that nobody else wrote it there.
use core::fmt;

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};

use super::binding::Binding;
use super::id::SessionId;
use super::reason::EndReason;
use crate::root::RootKey;
use crate::seal::fields;
use crate::time::StoreTime;

/// How often a session's row was changed. Whoever offers a change says which version it is made for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionVersion(pub u64);

/// A session as it stands in a store. It has no token, and nothing that one could be made of.
#[derive(Clone, Eq, PartialEq)]
pub struct SessionRow {
    /// What names it.
    pub id: SessionId,
    /// Whose it is: `sub` of its access tokens. At most 1024 bytes, as the client.
    pub subject: String,
    /// The client that it was begun with: `client_id` of its access tokens.
    pub client: String,
    /// When it began.
    pub created_at: StoreTime,
    /// When it ends, whatever happens.
    pub ends_at: StoreTime,
    /// What else there is to know of its login, as JSON. At most 16 KiB.
    pub details: String,
    /// What its refresh tokens are bound to: a [key](Self::key_thumbprint), a [certificate](Self::certificate_thumbprint) or both. At
    /// most 256 bytes. `None`: to nothing.
    pub binding: Option<Vec<u8>>,
    /// What shows that all of this was written by who has the root secret. Not what follows, which changes.
    pub mac: Vec<u8>,
    /// The version of its subject that it is of. Where its subject's is higher, the session is over.
    pub subject_version: u64,
    /// How often the row was changed.
    pub version: SessionVersion,
    /// How often its refresh token rotated.
    pub generation: u32,
    /// The hash of the current refresh token's secret.
    pub current_hash: [u8; 32],
    /// The refresh token before. `None`: there was none.
    pub previous: Option<Previous>,
    /// When the current refresh token took the place of the one before.
    pub rotated_at: StoreTime,
    /// When it is over, if nobody comes back until then.
    pub idle_until: StoreTime,
    /// When it was ended, and why. `None`: it was not.
    pub ended: Option<Ended>,
}

/// The refresh token before the current one.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Previous {
    /// The hash of its secret.
    pub hash: [u8; 32],
    /// What the current secret was derived from it with.
    pub salt: [u8; 16],
}

/// When a session was ended, and why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ended {
    /// When.
    pub at: StoreTime,
    /// Why.
    pub reason: EndReason,
}

impl SessionRow {
    /// The SHA-256 thumbprint (RFC 7638) of the key that its tokens are bound to: `cnf.jkt` of its access tokens (RFC 9449 §6.1).
    /// `None`: they are bound to no key, or to what this release does not know.
    pub fn key_thumbprint(&self) -> Option<String> {
        self.known_binding()?.key.map(|key| key.thumbprint())
    }

    /// The SHA-256 thumbprint of the certificate that its tokens are bound to: `cnf.x5t#S256` of its access tokens (RFC 8705 §3.1).
    /// `None`: they are bound to no certificate, or to what this release does not know.
    pub fn certificate_thumbprint(&self) -> Option<String> {
        self.known_binding()?.certificate.map(|certificate| certificate.thumbprint())
    }

    fn known_binding(&self) -> Option<Binding> {
        Binding::of_row(self.binding.as_deref()?)
    }
}

/// Shows whose it is to nobody, and no hash.
impl fmt::Debug for SessionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRow")
            .field("id", &self.id)
            .field("version", &self.version)
            .field("generation", &self.generation)
            .field("rotated_at", &self.rotated_at)
            .field("idle_until", &self.idle_until)
            .field("ends_at", &self.ends_at)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Previous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Previous").finish_non_exhaustive()
    }
}

/// What there is to know of a login, as a row keeps it. What a later release adds, an earlier one goes without.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct SessionDetails {
    /// When the user authenticated, in seconds since 1970.
    pub(crate) authenticated_at: i64,
    /// For how long the session goes on without use, in milliseconds.
    pub(crate) idle: u64,
    /// Whether the user is to be remembered.
    pub(crate) is_remembered: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) acr: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) amr: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<String>,
}

/// Authenticates what never changes of the sessions of one issuer: who can write to the store, and has no root secret,
/// makes no session, and none of somebody else's of one's own.
pub(crate) struct SessionAuthenticator {
    issuer: Box<str>,
    keys: Vec<hmac::Key>,
}

impl SessionAuthenticator {
    /// The first key writes, and all of them check.
    pub(crate) fn new(issuer: &str, keys: &[RootKey]) -> Self {
        let key = |key: &RootKey| hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
        Self { issuer: issuer.into(), keys: keys.iter().map(key).collect() }
    }

    /// The MAC of a row under the first root secret.
    pub(crate) fn mac(&self, row: &SessionRow) -> Vec<u8> {
        hmac::sign(&self.keys[0], &self.text(row)).as_ref().to_vec()
    }

    pub(crate) fn is_authentic(&self, row: &SessionRow) -> bool {
        let text = self.text(row);
        self.keys.iter().any(|key| hmac::verify(key, &text, &row.mac).is_ok())
    }

    fn text(&self, row: &SessionRow) -> Vec<u8> {
        let SessionRow { id, subject, client, created_at, ends_at, details, binding, .. } = row;
        fields([
            &b"portcullis session 1"[..],
            self.issuer.as_bytes(),
            id.as_bytes(),
            subject.as_bytes(),
            client.as_bytes(),
            &created_at.as_millis().to_be_bytes(),
            &ends_at.as_millis().to_be_bytes(),
            details.as_bytes(),
            &[u8::from(binding.is_some())],
            binding.as_deref().unwrap_or_default(),
        ])
    }
}

#[cfg(test)]
mod tests {
    use portcullis::Secret;

    use core::time::Duration;

    use super::*;
    use crate::root::RootSecrets;
    use crate::session::Rotation;

    const OLD: &str = "FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old";
    const NEW: &str = "u9KXr4MZQy7hBtDfN1vCjEaPgS6oLw3k-new";

    fn of(secrets: &[&str], issuer: &str) -> SessionAuthenticator {
        let root = RootSecrets::new(secrets.iter().map(|text| Secret::new(*text)));
        SessionAuthenticator::new(issuer, &root.expect("good secrets").keys("session", issuer))
    }

    fn row() -> SessionRow {
        let at = StoreTime::from_millis;
        let mut row = SessionRow {
            id: SessionId::from_bytes([1; 16]),
            subject: "alice".to_owned(),
            client: "web".to_owned(),
            created_at: at(1),
            ends_at: at(9),
            details: "{}".to_owned(),
            binding: None,
            mac: Vec::new(),
            subject_version: 0,
            version: SessionVersion(1),
            generation: 0,
            current_hash: [2; 32],
            previous: None,
            rotated_at: at(1),
            idle_until: at(5),
            ended: None,
        };
        row.mac = of(&[OLD], "https://id.example").mac(&row);
        row
    }

    #[test]
    fn what_never_changes_of_a_session_cannot_be_changed_without_the_root_secret() {
        let rows = of(&[OLD], "https://id.example");
        assert!(rows.is_authentic(&row()));
        let changes: [fn(&mut SessionRow); 11] = [
            |row| row.id = SessionId::from_bytes([2; 16]),
            |row| row.subject = "admin".to_owned(),
            |row| row.client = "native".to_owned(),
            |row| row.created_at = StoreTime::from_millis(2),
            |row| row.ends_at = StoreTime::from_millis(10),
            |row| row.details = "{ }".to_owned(),
            |row| row.binding = Some(Vec::new()),
            |row| row.binding = Some(vec![1]),
            |row| row.mac.clear(),
            |row| row.mac[0] ^= 1,
            // From one column to the next.
            |row| (row.subject, row.client) = ("alicew".to_owned(), "eb".to_owned()),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let mut row = row();
            change(&mut row);
            assert!(!rows.is_authentic(&row), "{at}");
        }
    }

    #[test]
    fn a_session_is_of_one_issuer_and_of_a_listed_root_secret() {
        assert!(!of(&[OLD], "https://id.example.org").is_authentic(&row()));
        assert!(!of(&[NEW], "https://id.example").is_authentic(&row()));
        assert!(of(&[NEW, OLD], "https://id.example").is_authentic(&row()));
    }

    #[test]
    fn debug_shows_neither_whose_it_is_nor_a_hash() {
        let previous = Some(Previous { hash: [3; 32], salt: [4; 16] });
        let rotation = Rotation {
            generation: 9,
            current_hash: [2; 32],
            previous: Previous { hash: [3; 32], salt: [4; 16] },
            idle: Duration::from_secs(60),
            keeps_time: false,
            mac: vec![3; 32],
        };
        let told = format!("{:?} {previous:?} {rotation:?}", SessionRow { previous, ..row() });
        assert!(!told.contains("alice") && !told.contains("[2") && !told.contains('3'), "{told}");
    }
}

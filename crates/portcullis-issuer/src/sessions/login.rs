//! What a session begins with.
use core::fmt;
use core::time::Duration;

use portcullis::UnixTime;
use portcullis::dpop::GoodProof;
use portcullis::mtls::PresentedCertificate;

use super::session::Session;
use crate::refresh::RefreshToken;
use crate::time::StoreTime;
use crate::token::Minted;

/// A login under way: what was true of its subject before its password was looked at. See
/// [`Sessions::attempt`](super::Sessions::attempt).
#[must_use]
pub struct LoginAttempt {
    pub(super) subject: String,
    pub(super) subject_version: u64,
    /// The store's clock, when the machine's was here.
    pub(super) now: StoreTime,
    pub(super) elapsed: Duration,
}

impl LoginAttempt {
    /// The user authenticated, at this client: what names the program that logs in (`client_id`), such as `web` and `native`.
    pub fn succeeded(self, client: impl Into<String>) -> Login {
        Login {
            attempt: self,
            client: client.into(),
            authenticated_at: None,
            acr: None,
            amr: Vec::new(),
            scopes: Vec::new(),
            label: None,
            is_remembered: false,
            replaces: None,
            proof: None,
            certificate: None,
            token_limit: None,
        }
    }
}

/// Does not show whose.
impl fmt::Debug for LoginAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginAttempt").finish_non_exhaustive()
    }
}

/// A user who authenticated, and what their session begins with.
#[must_use]
pub struct Login {
    pub(super) attempt: LoginAttempt,
    pub(super) client: String,
    pub(super) authenticated_at: Option<UnixTime>,
    pub(super) acr: Option<String>,
    pub(super) amr: Vec<String>,
    pub(super) scopes: Vec<String>,
    pub(super) label: Option<String>,
    pub(super) is_remembered: bool,
    pub(super) replaces: Option<String>,
    /// Of the key that the session is bound to.
    pub(super) proof: Option<GoodProof>,
    /// That the session is bound to.
    pub(super) certificate: Option<PresentedCertificate>,
    /// The longest access token that the client can keep.
    pub(super) token_limit: Option<usize>,
}

impl Login {
    /// When the user authenticated, where that was not just now: with another service, for instance.
    ///
    /// If you do not call it: when the session begins.
    pub fn authenticated_at(mut self, at: UnixTime) -> Self {
        self.authenticated_at = Some(at);
        self
    }

    /// How strongly the user authenticated (`acr`).
    ///
    /// If you do not call it: access tokens do not say.
    pub fn acr(mut self, acr: impl Into<String>) -> Self {
        self.acr = Some(acr.into());
        self
    }

    /// By which methods the user authenticated (`amr`, RFC 8176), such as `pwd` and `otp`: these as well.
    ///
    /// If you do not call it: access tokens do not say.
    pub fn amr<M: Into<String>>(mut self, methods: impl IntoIterator<Item = M>) -> Self {
        self.amr.extend(methods.into_iter().map(Into::into));
        self
    }

    /// Scopes of its access tokens (`scope`): these as well. A refresh may ask for fewer, never for others.
    ///
    /// If you do not call it: they have none.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// What the user knows the session by in a list, such as `Firefox on Linux`. It is cut after 256 bytes, since it
    /// mostly comes from the client.
    ///
    /// If you do not call it: nothing.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        let mut label = label.into();
        let end = (0..=MAX_LABEL.min(label.len())).rev().find(|at| label.is_char_boundary(*at));
        label.truncate(end.unwrap_or(0));
        self.label = Some(label);
        self
    }

    /// Whether the user is to be remembered when the browser is closed, as by a box to be ticked.
    ///
    /// If you do not call it: not. The session lasts as long as the [lifetimes](crate::Lifetimes::not_remembered) say for that.
    pub fn remember(mut self, is_remembered: bool) -> Self {
        self.is_remembered = is_remembered;
        self
    }

    /// The refresh token that the browser sent along, whatever it is: its session ends when this one begins, so that nobody
    /// is left in a session that somebody else put there.
    ///
    /// If you do not call it: no session ends.
    pub fn replaces(mut self, token: impl Into<String>) -> Self {
        self.replaces = Some(token.into());
        self
    }

    /// Binds the session to the key of this proof, which came with the login (RFC 9449 §5): all of its tokens, for as long as it
    /// lasts. Who has a copy of one, and not the key, does nothing with it. [`NativeSessions::check_login`] checks the proof.
    ///
    /// It is used up when the session begins, and not before everything else has succeeded. A browser that keeps its tokens in
    /// cookies makes no proofs: there, such a session would not go on.
    ///
    /// If you do not call it: its tokens are bound to no key.
    ///
    /// [`NativeSessions::check_login`]: crate::NativeSessions::check_login
    pub fn bound_to(mut self, proof: GoodProof) -> Self {
        self.proof = Some(proof);
        self
    }

    /// Binds the session to the certificate that its client presented (RFC 8705 §3, §4): all of its tokens, for as long as it lasts.
    /// Who has a copy of one, and not the certificate's key, does nothing with it. [`NativeSessions::check_login`] asks for it.
    ///
    /// A client whose certificate is renewed logs in again: the session does not go on with another one. With
    /// [`bound_to`](Self::bound_to) as well, each request needs both.
    ///
    /// If you do not call it: its tokens are bound to no certificate.
    ///
    /// [`NativeSessions::check_login`]: crate::NativeSessions::check_login
    pub fn bound_to_certificate(mut self, certificate: PresentedCertificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// A session whose access token has more bytes does not begin.
    pub(crate) fn token_limit(mut self, bytes: usize) -> Self {
        self.token_limit = Some(bytes);
        self
    }
}

/// The longest label, in bytes.
const MAX_LABEL: usize = 256;

/// Does not show whose.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

/// A session that began, and its first tokens. `Debug` does not show them.
#[derive(Clone)]
pub struct Begun {
    /// Its access token.
    pub access: Minted,
    /// Its refresh token.
    pub refresh: RefreshToken,
    /// The session.
    pub session: Session,
    /// The nonce for the client's next proof, where it does not have it.
    pub(crate) next_nonce: Option<Box<str>>,
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun").field("session", &self.session).finish_non_exhaustive()
    }
}

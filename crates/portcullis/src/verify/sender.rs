//! Whether who sent a token may use it: the last thing that is asked.
use crate::admission::Admission;
use crate::dpop::{Checked, DpopError, OfToken, Sent, SpentAnswer};
use crate::error::{ClaimsError, Error};
use crate::mtls::{CertificateError, ShownCertificate};
use crate::request::RequestView;
use crate::time::UnixTime;
use crate::verified::VerifiedToken;
use crate::verifier::Rules;

/// A token that verified, whoever sent it. Whether its sender may use it, is decided here alone.
pub(crate) struct AnySender(pub(super) VerifiedToken);

/// What becomes of it.
pub(crate) enum OfSender {
    /// Who sent it may use it.
    Holds(Admission),
    /// The same, if the proof that came with it is fresh.
    NeedsFreshProof(Admission, SpentAnswer),
}

impl OfSender {
    #[inline]
    fn holds(token: VerifiedToken) -> Self {
        Self::Holds(Admission::verified(token))
    }
}

/// What a request shows of who sent it, as far as a policy looks.
pub(crate) struct Sender<'r> {
    pub(crate) proof: Option<Sent<'r>>,
    pub(crate) certificate: Option<ShownCertificate<'r>>,
}

impl<'r> Sender<'r> {
    /// `is_dpop`: whether the token came with the scheme `DPoP`.
    pub(crate) fn of(rules: &'r Rules, request: &'r impl RequestView, is_dpop: bool) -> Self {
        Self {
            proof: rules.dpop.as_ref().map(|_| Sent::of(request, is_dpop)),
            certificate: rules.mtls.as_ref().map(|mtls| mtls.shown(request)),
        }
    }

    pub(crate) fn into_owned(self) -> Sender<'static> {
        Sender {
            proof: self.proof.map(Sent::into_owned),
            certificate: self.certificate.map(ShownCertificate::into_owned),
        }
    }
}

impl AnySender {
    /// Lets it in without a request. One that is bound to something needs what only a request shows.
    #[inline]
    pub(crate) fn alone(self, rules: &Rules) -> Result<VerifiedToken, Error> {
        let token = self.unbound()?;
        if rules.looks_at_senders() {
            check_unbound(rules, &token)?;
        }
        Ok(token)
    }

    #[inline]
    fn unbound(self) -> Result<VerifiedToken, Error> {
        if self.0.is_bound() { Err(without_request(&self.0)) } else { Ok(self.0) }
    }

    /// Lets it in with the request that it came in. `sender`: what that shows, if the policy looks.
    #[inline]
    pub(crate) fn sent<'r>(
        self,
        rules: &Rules,
        text: &[u8],
        sender: impl FnOnce() -> Option<Sender<'r>>,
        now: UnixTime,
    ) -> Result<OfSender, Error> {
        if !rules.looks_at_senders() {
            return self.unbound().map(OfSender::holds);
        }
        match sender() {
            Some(sender) => self.shown(rules, text, &sender, now),
            None => self.alone(rules).map(OfSender::holds),
        }
    }

    /// What is cheap comes first: a proof has a signature, and is used.
    // Not inlined: it would make the way of other tokens longer.
    #[inline(never)]
    fn shown(
        self,
        rules: &Rules,
        text: &[u8],
        sender: &Sender<'_>,
        now: UnixTime,
    ) -> Result<OfSender, Error> {
        let token = self.0;
        check_certificate(rules, &token, sender)?;
        let (Some(dpop), Some(sent)) = (&rules.dpop, &sender.proof) else {
            return Ok(OfSender::holds(token));
        };
        Ok(match dpop.check(&of_token(&token, text), sent, now)? {
            Checked::Unbound => OfSender::holds(token),
            Checked::Proven(proven) => OfSender::Holds(Admission::with_proof(token, proven)),
            Checked::Later(proven, answer) => {
                OfSender::NeedsFreshProof(Admission::with_proof(token, proven), answer)
            }
        })
    }
}

#[cfg(feature = "explain")]
impl AnySender {
    /// A token that an explanation holds against how it came.
    pub(crate) fn of_explanation(token: VerifiedToken) -> Self {
        Self(token)
    }

    /// The token of an explanation, which lets nothing in: of a proof it is not asked whether it is new, and none is used.
    pub(crate) fn explained(
        self,
        rules: &Rules,
        text: &[u8],
        sender: Option<&Sender<'_>>,
        now: UnixTime,
    ) -> Result<VerifiedToken, Error> {
        let Some(sender) = sender.filter(|_| rules.looks_at_senders()) else {
            return self.alone(rules);
        };
        check_certificate(rules, &self.0, sender)?;
        if let (Some(dpop), Some(sent)) = (&rules.dpop, &sender.proof) {
            dpop.check_unused(&of_token(&self.0, text), sent, now)?;
        }
        Ok(self.0)
    }
}

fn of_token<'t>(token: &'t VerifiedToken, text: &'t [u8]) -> OfToken<'t> {
    OfToken {
        text,
        bound_to: token.bound_key(),
        issuer: token.issuer(),
        holder: token.subject().or(token.client_id()).unwrap_or_default(),
        known: token.known_sender(),
    }
}

/// Whether the sender presented the certificate that the token is bound to. A policy that does not look takes no such token: the rules
/// for claims say so.
fn check_certificate(
    rules: &Rules,
    token: &VerifiedToken,
    sender: &Sender<'_>,
) -> Result<(), Error> {
    let bound_to = token.bound_certificate();
    // Which the rules for claims have refused.
    if token.is_bound() && bound_to.is_none() && token.bound_key().is_none() {
        return Err(ClaimsError::SenderConstrained.into());
    }
    match (&rules.mtls, &sender.certificate) {
        (Some(mtls), Some(shown)) => Ok(mtls.check(bound_to, shown, token.known_header())?),
        _ if bound_to.is_some() => Err(CertificateError::NoRequest.into()),
        _ => Ok(()),
    }
}

/// Why a bound token is not let in by itself.
#[cold]
fn without_request(token: &VerifiedToken) -> Error {
    match token.bound_key() {
        Some(_) => DpopError::BoundAsBearer.into(),
        None => CertificateError::NoRequest.into(),
    }
}

/// Whether a policy takes this token though it may be bound to nothing. Which bound ones it takes, the rules for claims say.
pub(super) fn check_unbound(rules: &Rules, token: &VerifiedToken) -> Result<(), Error> {
    if rules.dpop.as_ref().is_some_and(|dpop| dpop.is_required) && token.bound_key().is_none() {
        return Err(DpopError::BindingRequired.into());
    }
    if rules.mtls.as_ref().is_some_and(|mtls| mtls.is_required)
        && token.bound_certificate().is_none()
    {
        return Err(CertificateError::BindingRequired.into());
    }
    Ok(())
}

/// Waits until it is known that a proof is fresh.
pub(crate) async fn await_fresh(answer: SpentAnswer) -> Result<(), Error> {
    match answer.await {
        Ok(true) => Ok(()),
        Ok(false) => Err(DpopError::Replayed.into()),
        Err(unavailable) => Err(DpopError::Unavailable(unavailable).into()),
    }
}

//! Whether who sent a token may use it: the last thing that is asked.
use crate::admission::Admission;
use crate::dpop::{Checked, DpopError, OfToken, Sent, SpentAnswer};
use crate::error::Error;
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

impl AnySender {
    /// Lets it in without a request. One that is bound to a key has no proof then.
    #[inline]
    pub(crate) fn alone(self, rules: &Rules) -> Result<VerifiedToken, Error> {
        if self.0.is_bound() {
            return Err(DpopError::BoundAsBearer.into());
        }
        check_unbound(rules, &self.0)?;
        Ok(self.0)
    }

    /// Lets it in with the request that it came in. `sent`: how, if that is known.
    #[inline]
    pub(crate) fn sent<'r>(
        self,
        rules: &Rules,
        text: &[u8],
        sent: impl FnOnce() -> Option<Sent<'r>>,
        now: UnixTime,
    ) -> Result<OfSender, Error> {
        let Some((dpop, sent)) = rules.dpop.as_ref().and_then(|dpop| Some((dpop, sent()?))) else {
            return self.alone(rules).map(|token| OfSender::Holds(Admission::verified(token)));
        };
        let token = self.0;
        Ok(match dpop.check(&of_token(&token, text), &sent, now)? {
            Checked::Unbound => OfSender::Holds(Admission::verified(token)),
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
        sent: Option<&Sent<'_>>,
        now: UnixTime,
    ) -> Result<VerifiedToken, Error> {
        let (Some(dpop), Some(sent)) = (&rules.dpop, sent) else { return self.alone(rules) };
        dpop.check_unused(&of_token(&self.0, text), sent, now)?;
        Ok(self.0)
    }
}

fn of_token<'t>(token: &'t VerifiedToken, text: &'t [u8]) -> OfToken<'t> {
    OfToken {
        text,
        binding: token.parts().payload.binding,
        issuer: token.issuer(),
        holder: token.subject().or(token.client_id()).unwrap_or_default(),
        known: token.known_sender(),
    }
}

/// Whether a policy takes this token if it is bound to nothing. Which bound ones it takes, the rules for claims say.
pub(super) fn check_unbound(rules: &Rules, token: &VerifiedToken) -> Result<(), DpopError> {
    let is_required = rules.dpop.as_ref().is_some_and(|dpop| dpop.is_required);
    if is_required && !token.is_bound() { Err(DpopError::BindingRequired) } else { Ok(()) }
}

/// Waits until it is known that a proof is fresh.
pub(crate) async fn await_fresh(answer: SpentAnswer) -> Result<(), Error> {
    match answer.await {
        Ok(true) => Ok(()),
        Ok(false) => Err(DpopError::Replayed.into()),
        Err(unavailable) => Err(DpopError::Unavailable(unavailable).into()),
    }
}

//! Whether who sent a token may use it: the last thing that is asked.
use crate::dpop::{Checked, DpopError, OfToken, Proven, Sent, SpentAnswer};
use crate::error::Error;
use crate::time::UnixTime;
use crate::token::Binding;
use crate::verified::VerifiedToken;
use crate::verifier::Rules;

/// A token that holds, whoever sent it. What it takes besides to let it in, is said here alone.
pub(crate) struct AnySender(pub(super) VerifiedToken);

/// What becomes of it.
pub(crate) enum OfSender {
    /// Who sent it may use it, and perhaps showed a key.
    Holds(VerifiedToken, Option<Proven>),
    /// The same, if the proof that came with it is fresh.
    NeedsFreshProof(VerifiedToken, Proven, SpentAnswer),
}

impl AnySender {
    /// Lets it in without a request. One that is bound to a key has no proof then.
    pub(crate) fn alone(self, rules: &Rules) -> Result<VerifiedToken, Error> {
        check_binding(rules, &self.0)?;
        match self.0.parts().payload.binding {
            Binding::None => Ok(self.0),
            Binding::Key(_) | Binding::Other => Err(DpopError::BoundAsBearer.into()),
        }
    }

    /// Lets it in with the request that it came in.
    pub(crate) fn sent<'r>(
        self,
        rules: &Rules,
        text: &[u8],
        sent: impl FnOnce() -> Sent<'r>,
        now: UnixTime,
    ) -> Result<OfSender, Error> {
        let Some(dpop) = &rules.dpop else {
            return self.alone(rules).map(|token| OfSender::Holds(token, None));
        };
        let token = self.0;
        Ok(match dpop.check(&of_token(&token, text), &sent(), now)? {
            Checked::Unbound => OfSender::Holds(token, None),
            Checked::Proven(proven) => OfSender::Holds(token, Some(proven)),
            Checked::Later(proven, answer) => OfSender::NeedsFreshProof(token, proven, answer),
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

/// Whether a policy takes tokens that are bound to such a key, or to none, whoever sends them.
pub(super) fn check_binding(rules: &Rules, token: &VerifiedToken) -> Result<(), DpopError> {
    match (&rules.dpop, token.parts().payload.binding) {
        (Some(dpop), Binding::None) if dpop.is_required => Err(DpopError::BindingRequired),
        (Some(_), Binding::Key(_)) | (_, Binding::None) => Ok(()),
        (None, Binding::Key(_)) | (_, Binding::Other) => Err(DpopError::BoundAsBearer),
    }
}

/// Waits until it is known that a proof is fresh.
pub(crate) async fn await_fresh(answer: SpentAnswer) -> Result<(), Error> {
    match answer.await {
        Ok(true) => Ok(()),
        Ok(false) => Err(DpopError::Replayed.into()),
        Err(unavailable) => Err(DpopError::Unavailable(unavailable).into()),
    }
}

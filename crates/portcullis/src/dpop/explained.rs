//! What explanations show of proofs and of what is held against them.
use core::time::Duration;

use super::check::{ProofText, Sent};
use super::error::{NonceFault, ProofFault};
use super::nonces::Nonce;
use super::proof::{ProofRoom, UnverifiedProof};
use super::replays::Replays;
use super::settings::DpopRules;
use super::target::{NormalPath, Target, TargetFault, TargetPart};
use crate::time::UnixTime;

impl DpopRules {
    /// Why a text is not a proof, whatever it is for.
    pub(crate) fn fault_of_proof(&self, text: &[u8]) -> Option<ProofFault> {
        UnverifiedProof::read(text, self.limits, &mut ProofRoom::new(), None).err()
    }

    /// The addresses of the service, as they are compared.
    pub(crate) fn base_urls(&self) -> Vec<String> {
        self.targets.iter().map(ToString::to_string).collect()
    }

    /// The addresses that a proof for this path may be for.
    pub(crate) fn targets_of(&self, path: &str) -> Option<Vec<String>> {
        let path = NormalPath::read(path).ok()?;
        Some(self.targets.iter().map(|base| format!("{base}{path}")).collect())
    }

    /// How a claimed address is compared, and in what it differs from each that a proof for this path may be for.
    pub(crate) fn compare_target(
        &self,
        claimed: &str,
        path: Option<&str>,
    ) -> Result<(String, Option<TargetPart>), TargetFault> {
        let target = Target::read(claimed)?;
        let path = path.and_then(|path| NormalPath::read(path).ok());
        let differs = match &path {
            None => Some(TargetPart::Path),
            Some(path) => self.match_target(&target, path).err(),
        };
        Ok((target.to_string(), differs))
    }

    /// How old a proof may be, and how far ahead its client's clock.
    pub(crate) fn window(&self) -> (Duration, Duration) {
        (self.past, self.future)
    }

    /// Where used proofs are remembered.
    pub(crate) fn replays(&self) -> &dyn Replays {
        &*self.replays
    }

    /// What is wrong with a proof's nonce. Nothing, where none is needed.
    pub(crate) fn check_nonce(&self, text: Option<&str>, now: UnixTime) -> Result<(), NonceFault> {
        let Some(nonces) = &self.nonces else { return Ok(()) };
        nonces.take(text.map(Nonce::claimed).as_ref(), now).map(drop)
    }
}

impl Sent<'_> {
    /// Whether the token came with the scheme `DPoP`.
    pub(crate) fn is_dpop(&self) -> bool {
        self.is_dpop
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    pub(crate) fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The text of its proof, where there is one, and how many there are: 2 are several.
    pub(crate) fn proof(&self) -> (Option<&[u8]>, usize) {
        match &self.proof {
            ProofText::None => (None, 0),
            ProofText::One(text) => (Some(text), 1),
            ProofText::Several => (None, 2),
        }
    }
}

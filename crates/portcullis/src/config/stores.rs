//! What outlives the reading of a policy: which proofs were used, and what its nonces are made of.
use std::sync::{Arc, OnceLock};

use super::fault::ConfigProblem;
use crate::dpop::{Dpop, InProcessReplays, Nonces, Replays};

/// The store that a policy goes by where it names none, and that every program has.
pub(super) const IN_PROCESS: &str = "in_process";

/// Stores of used proofs by the names that a policy file has for them, and the secret of this process. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Stores {
    /// Those that code gives, each without settings.
    given: Vec<(String, Dpop)>,
    in_process: Arc<OnceLock<Dpop>>,
    nonces: Arc<OnceLock<Nonces>>,
}

impl Stores {
    pub(super) fn give(&mut self, name: String, replays: impl Replays) {
        self.given.push((name, Dpop::new(replays)));
    }

    /// What goes by the store of this name. However often it is asked for, it is that of one store.
    pub(super) fn named(&self, name: &str) -> Result<Dpop, ConfigProblem> {
        let mut given = self.given.iter().filter(|(own, _)| own == name);
        match (given.next(), given.next()) {
            (Some((_, dpop)), None) => Ok(dpop.clone()),
            (Some(_), Some(_)) => Err(ConfigProblem::SeveralReplays { name: name.to_owned() }),
            (None, _) if name == IN_PROCESS => Ok(self.in_process()),
            (None, _) => {
                let mut known = vec![IN_PROCESS.to_owned()];
                for (own, _) in &self.given {
                    if !known.contains(own) {
                        known.push(own.clone());
                    }
                }
                Err(ConfigProblem::UnknownReplays { name: name.to_owned(), known })
            }
        }
    }

    /// That of the store of this process, unless code gives another one of its name.
    pub(super) fn in_process(&self) -> Dpop {
        self.in_process.get_or_init(|| Dpop::new(InProcessReplays::new())).clone()
    }

    /// Those of this process: the same, however often they are asked for.
    pub(super) fn nonces(&self) -> Nonces {
        self.nonces.get_or_init(Nonces::of_this_process).clone()
    }
}

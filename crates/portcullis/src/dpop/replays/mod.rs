//! Proofs that were used (RFC 9449 §11.1).
mod in_process;

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::time::Duration;
use std::sync::Arc;

pub use self::in_process::InProcessReplays;
use super::error::ReplaysUnavailable;
use crate::signature::sha256_of;
use crate::time::UnixTime;

/// Where it is remembered which proofs were used, until they are too old to be used again.
///
/// Instances of a service that share none would each take a proof once. A store of your own has to answer at once or
/// [later](Spent::Later), and to see to it that of all who come with one proof at the same time one is told [`Fresh`](Spent::Fresh).
pub trait Replays: fmt::Debug + Send + Sync + 'static {
    /// Marks a proof as used. It passed every other check, and its token as well: nobody without a good token writes here.
    ///
    /// Asked on the request's way: it must not wait.
    fn spend(&self, proof: &ProofUse) -> Spent;

    /// A policy begins to use it at this time of its clock. Proofs that were made before may have been used at another
    /// process that is gone.
    ///
    /// Not implemented: it need not know.
    fn start(&self, now: UnixTime) {
        let _ = now;
    }

    /// The number of this memory. It changes when used proofs may have been forgotten. Each nonce is made of it, so that a nonce from
    /// before a loss is refused. Instances that share a store have to agree on it.
    ///
    /// Draw it at random: no two stores may have the same, and no store may have one of its own again.
    fn epoch(&self) -> u64;

    /// When its memory began, by the policy's clock. Proofs from [before](ProofUse::may_be_from_before) are answered with
    /// [`Seen`](Spent::Seen). So are proofs that are so little later that a client's clock may have been ahead. Without nonces, a
    /// policy is [ready](crate::Policy::is_ready) once newer ones can exist.
    ///
    /// Not implemented: it has begun long ago.
    fn birth(&self) -> Option<UnixTime> {
        None
    }

    /// Whether all instances of a service see the same. [Shared nonces](super::Nonces::shared) need that.
    ///
    /// Not implemented: they do.
    fn is_shared(&self) -> bool {
        true
    }

    /// Whether it can tell at the moment: for [`Policy::is_ready`](crate::Policy::is_ready).
    ///
    /// Not implemented: it can.
    fn is_available(&self) -> bool {
        true
    }
}

impl<R: Replays + ?Sized> Replays for Arc<R> {
    fn spend(&self, proof: &ProofUse) -> Spent {
        (**self).spend(proof)
    }

    fn start(&self, now: UnixTime) {
        (**self).start(now);
    }

    fn epoch(&self) -> u64 {
        (**self).epoch()
    }

    fn birth(&self) -> Option<UnixTime> {
        (**self).birth()
    }

    fn is_shared(&self) -> bool {
        (**self).is_shared()
    }

    fn is_available(&self) -> bool {
        (**self).is_available()
    }
}

/// What [`Replays`] say of a proof.
#[non_exhaustive]
pub enum Spent {
    /// It is used now, for the first time.
    Fresh,
    /// It was used, or may have been.
    Seen,
    /// It cannot be told, or there is no room to remember it. The client is told 503, and the proof is not used.
    Unavailable(ReplaysUnavailable),
    /// It can be told once this is ready. Bound the time that it takes: a request waits for it.
    Later(SpentAnswer),
}

/// The future of [`Spent::Later`]: whether the proof was fresh.
pub type SpentAnswer = Pin<Box<dyn Future<Output = Result<bool, ReplaysUnavailable>> + Send>>;

impl fmt::Debug for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fresh => f.write_str("Fresh"),
            Self::Seen => f.write_str("Seen"),
            Self::Unavailable(unavailable) => unavailable.fmt(f),
            Self::Later(_) => f.write_str("Later(..)"),
        }
    }
}

/// A proof that is about to be used. It holds hashes of its key, its `jti` and its holder, and none of their text.
#[derive(Clone)]
pub struct ProofUse {
    pub(super) digest: [u8; 32],
    pub(super) holder: Holder,
    pub(super) issued_at: UnixTime,
    pub(super) ahead: Duration,
    pub(super) made_with: MadeWith,
    pub(super) until: UnixTime,
    pub(super) now: UnixTime,
}

/// What says when a proof was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MadeWith {
    /// Its client's clock.
    Clock,
    /// A nonce that was given out in this [epoch](Replays::epoch) of the store, whatever its client's clock says.
    Nonce {
        /// The epoch.
        epoch: u64,
    },
}

/// Whose token it is, as a store is told: hashes alone.
#[derive(Clone, Copy)]
pub(crate) struct Holder {
    issuer: [u8; 32],
    holder: [u8; 32],
}

impl Holder {
    /// `holder`: the subject of the token, its client, or the session.
    pub(super) fn new(issuer: &str, holder: &str) -> Self {
        Self { issuer: sha256_of(&[issuer]), holder: sha256_of(&[issuer, holder]) }
    }
}

impl ProofUse {
    /// What is the same for the same proof, and for no other: a hash of its key and its `jti`, whatever its method and address
    /// (stricter than RFC 9449 §11.1, and nothing is compared wrongly).
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// A hash of the issuer of its token.
    pub fn issuer(&self) -> &[u8; 32] {
        &self.holder.issuer
    }

    /// A hash of whose token it is, for a share of the room: keys cost nothing, and who has many has no more room.
    pub fn holder(&self) -> &[u8; 32] {
        &self.holder.holder
    }

    /// When it was made, by its client's clock.
    pub fn issued_at(&self) -> UnixTime {
        self.issued_at
    }

    /// How far in the future a proof may have been made.
    pub fn ahead(&self) -> Duration {
        self.ahead
    }

    /// What says when it was made.
    pub fn made_with(&self) -> MadeWith {
        self.made_with
    }

    /// Whether it may have been made before a store began to remember, at this time of the policy's clock and in this epoch: then
    /// it may have been used, and is answered with [`Seen`](Spent::Seen).
    pub fn may_be_from_before(&self, birth: UnixTime, epoch: u64) -> bool {
        match self.made_with {
            MadeWith::Clock => self.issued_at <= birth.saturating_add(self.ahead),
            MadeWith::Nonce { epoch: own } => own != epoch,
        }
    }

    /// From this second of the policy's clock on, it cannot be used again. Until then it has to be remembered.
    pub fn until(&self) -> UnixTime {
        self.until
    }

    /// The policy's clock.
    pub fn now(&self) -> UnixTime {
        self.now
    }
}

impl fmt::Debug for ProofUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProofUse").field("until", &self.until).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Whose every answer is another than what a store says that implements nothing.
    #[derive(Debug, Default)]
    struct Own(Mutex<Vec<UnixTime>>);

    impl Replays for Own {
        fn spend(&self, proof: &ProofUse) -> Spent {
            Spent::Unavailable(ReplaysUnavailable {
                retry_after: Some(proof.until().saturating_since(proof.now())),
            })
        }

        fn start(&self, now: UnixTime) {
            self.0.lock().expect("no panic").push(now);
        }

        fn epoch(&self) -> u64 {
            9
        }

        fn birth(&self) -> Option<UnixTime> {
            Some(UnixTime(7))
        }

        fn is_shared(&self) -> bool {
            false
        }

        fn is_available(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_store_behind_an_arc_answers_all_that_it_is_asked_itself() {
        let own = Arc::new(Own::default());
        let shared: Arc<dyn Replays> = Arc::clone(&own) as _;
        let proof = ProofUse {
            digest: [0; 32],
            holder: Holder::new("https://id.example", "alice"),
            issued_at: UnixTime(0),
            ahead: Duration::ZERO,
            made_with: MadeWith::Clock,
            until: UnixTime(60),
            now: UnixTime(0),
        };
        let Spent::Unavailable(told) = Replays::spend(&shared, &proof) else { panic!("another") };
        assert_eq!(told.retry_after, Some(Duration::from_secs(60)));
        Replays::start(&shared, UnixTime(5));
        assert_eq!(*own.0.lock().expect("no panic"), [UnixTime(5)]);
        assert_eq!(Replays::epoch(&shared), 9);
        assert_eq!(Replays::birth(&shared), Some(UnixTime(7)));
        assert!(!Replays::is_shared(&shared));
        assert!(!Replays::is_available(&shared));
    }
}

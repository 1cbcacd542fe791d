use core::iter;
use core::sync::atomic::{AtomicBool, Ordering};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use portcullis::{Algorithm, KeySet};

use crate::SigningKey;
use crate::key::nth_id;

/// The keys of one issuer, each made when it is first asked for.
///
/// For each algorithm they form a chain that only grows, so that a key can be lent out by reference
/// while another thread rotates.
#[derive(Debug)]
pub(crate) struct Keyring {
    /// The name under which keys are shared; none if they are not.
    issuer: Option<String>,
    chains: [OnceLock<Generation>; Algorithm::ALL.len()],
}

#[derive(Debug)]
struct Generation {
    key: SigningKey,
    /// Its public half, as a policy wants it, once one did.
    public: OnceLock<KeySet>,
    retired: AtomicBool,
    next: OnceLock<Box<Self>>,
}

impl Keyring {
    /// Keys that every keyring of this issuer in the process has, too.
    pub(crate) fn shared(issuer: &str) -> Self {
        Self { issuer: Some(issuer.to_owned()), chains: Default::default() }
    }

    /// Keys that no other keyring has.
    pub(crate) fn unshared() -> Self {
        Self { issuer: None, chains: Default::default() }
    }

    /// The key that signs.
    pub(crate) fn current(&self, algorithm: Algorithm) -> &SigningKey {
        &self.first(algorithm).chain().last().expect("a chain has a first link").key
    }

    /// Those that verify, oldest first.
    pub(crate) fn published(&self, algorithm: Algorithm) -> impl Iterator<Item = &SigningKey> {
        let published = |generation: &&Generation| !generation.retired.load(Ordering::SeqCst);
        self.first(algorithm).chain().filter(published).map(|generation| &generation.key)
    }

    /// The public halves of those that verify, none where no key was made yet: nothing is made now.
    pub(crate) fn made(&self, algorithm: Algorithm) -> impl Iterator<Item = &KeySet> {
        let is_made = self.chain(algorithm).get().is_some()
            || self.issuer.as_ref().is_some_and(|issuer| is_pooled(issuer, algorithm));
        let first = is_made.then(|| self.first(algorithm));
        first
            .into_iter()
            .flat_map(Generation::chain)
            .filter(|generation| !generation.retired.load(Ordering::SeqCst))
            .filter_map(Generation::public)
    }

    /// Makes another key the current one.
    pub(crate) fn rotate(&self, algorithm: Algorithm) -> &SigningKey {
        let mut generation = self.first(algorithm);
        for n in 2.. {
            let mut is_new = false;
            generation = generation.next.get_or_init(|| {
                is_new = true;
                Box::new(self.generation(algorithm, n))
            });
            if is_new {
                break;
            }
        }
        &generation.key
    }

    /// Whether there was a key of this id.
    pub(crate) fn retire(&self, id: &str) -> bool {
        let made = self.chains.iter().filter_map(OnceLock::get).flat_map(Generation::chain);
        let mut found = false;
        for generation in made.filter(|generation| generation.key.id() == id) {
            generation.retired.store(true, Ordering::SeqCst);
            found = true;
        }
        found
    }

    fn first(&self, algorithm: Algorithm) -> &Generation {
        self.chain(algorithm).get_or_init(|| self.generation(algorithm, 1))
    }

    fn chain(&self, algorithm: Algorithm) -> &OnceLock<Generation> {
        let place = Algorithm::ALL.iter().position(|known| *known == algorithm);
        &self.chains[place.expect("`ALL` lists every algorithm")]
    }

    fn generation(&self, algorithm: Algorithm, n: usize) -> Generation {
        let id = nth_id(algorithm, n);
        let key = match &self.issuer {
            Some(issuer) => pooled(issuer, algorithm, id),
            None => SigningKey::generate(algorithm).with_id(id),
        };
        let retired = AtomicBool::new(false);
        Generation { key, public: OnceLock::new(), retired, next: OnceLock::new() }
    }
}

impl Generation {
    fn chain(&self) -> impl Iterator<Item = &Self> {
        iter::successors(Some(self), |generation| generation.next.get().map(Box::as_ref))
    }

    /// `None` for a secret, which has no public half.
    fn public(&self) -> Option<&KeySet> {
        if let Some(public) = self.public.get() {
            return Some(public);
        }
        let jwk = self.key.public_jwk()?.to_string();
        let public = KeySet::from_jwk(jwk).expect("aws-lc-rs makes good keys only");
        Some(self.public.get_or_init(|| public))
    }
}

type Pool = BTreeMap<(String, String), Arc<OnceLock<SigningKey>>>;
static POOL: Mutex<Pool> = Mutex::new(BTreeMap::new());

/// Whether the first key of this issuer was made, by whichever keyring.
fn is_pooled(issuer: &str, algorithm: Algorithm) -> bool {
    let pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let slot = pool.get(&(issuer.to_owned(), nth_id(algorithm, 1)));
    slot.is_some_and(|slot| slot.get().is_some())
}

/// The key of this issuer and id, made at most once in the process.
fn pooled(issuer: &str, algorithm: Algorithm, id: String) -> SigningKey {
    // Made outside the lock, so that the keys of several algorithms can be made at once.
    let slot = {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pool.entry((issuer.to_owned(), id.clone())).or_default())
    };
    slot.get_or_init(|| SigningKey::generate(algorithm).with_id(id)).clone()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn rotations_at_the_same_time_each_make_a_key() {
        let keyring = Keyring::unshared();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| keyring.rotate(Algorithm::ES256));
            }
        });
        let ids: Vec<_> = keyring.published(Algorithm::ES256).map(SigningKey::id).collect();
        assert_eq!(ids.len(), 9);
        assert_eq!(ids[8], "es256-9");
    }

    #[test]
    fn a_lent_key_survives_its_rotation() {
        let keyring = Keyring::unshared();
        let first = keyring.current(Algorithm::HS256);
        let second = keyring.rotate(Algorithm::HS256);
        assert_eq!((first.id(), second.id()), ("hs256-1", "hs256-2"));
        assert_ne!(first.secret(), second.secret());
    }

    #[test]
    fn retiring_makes_no_keys() {
        let keyring = Keyring::unshared();
        assert!(!keyring.retire("rs256-1"));
        assert!(keyring.chains.iter().all(|chain| chain.get().is_none()));
    }
}

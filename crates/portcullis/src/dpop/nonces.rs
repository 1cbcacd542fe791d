//! Nonces that the server gives out (RFC 9449 §8, §9): made of a secret and the time, so that nothing is stored.
use core::fmt;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::NonceFault;
use super::settings::{DpopFault, Purpose};
use super::target::Target;
use crate::keys::Secret;
use crate::signature::random_bytes;
use crate::time::UnixTime;

/// For how many seconds the same nonce is given out. It is taken for one to two times as long, and for three where the clocks
/// of instances are as far apart.
const STEP: i64 = 60;

/// The most secrets that are listed at once. A rotation takes two.
const MAX_SECRETS: usize = 4;

/// The least bytes of a secret: as many as the hash has (RFC 2104 §3).
const MIN_SECRET: usize = 32;

/// How many characters a nonce has: those of 16 bytes in base64url.
const LENGTH: usize = 22;

/// How many older steps tell an old nonce from a foreign one: an hour.
const OLDER: i64 = 60;

/// Makes the nonces that clients put into their proofs: for [`Dpop::nonces`](super::Dpop::nonces).
///
/// A nonce shows that a proof was made within the last minutes by the server's clock, and not beforehand (RFC 9449 §11.2). It is
/// made of a secret and the minute: nothing is stored, and each is taken for one to two minutes.
///
/// Clones make the same nonces.
#[derive(Clone)]
#[must_use]
pub struct Nonces(Origin);

#[derive(Clone)]
enum Origin {
    Process(Arc<[u8; MIN_SECRET]>),
    Shared(Arc<[Secret]>),
}

impl Nonces {
    /// Of a random secret that this process alone knows. Behind a load balancer, another instance would not take them. After a
    /// restart each client needs one more request.
    pub fn of_this_process() -> Self {
        Self(Origin::Process(Arc::new(random_bytes())))
    }

    /// Of secrets that instances of a service share. The first makes nonces, and those of each that is listed are taken.
    /// Each has 32 bytes or more, and there may be four. A secret in a file is read when the policy is built.
    ///
    /// To replace a secret, list the new one behind the old one at every instance, and then before it.
    ///
    /// Instances have to share what they remember of used proofs, too: a policy that remembers them in one process is not
    /// built.
    pub fn shared(secrets: impl IntoIterator<Item = Secret>) -> Self {
        Self(Origin::Shared(secrets.into_iter().collect()))
    }

    pub(super) fn are_shared(&self) -> bool {
        matches!(self.0, Origin::Shared(_))
    }

    /// What makes those of a purpose: of the resource, or of the token endpoint, and of these addresses.
    pub(super) fn compile(
        &self,
        purpose: Purpose,
        targets: &[Target],
    ) -> Result<NonceRules, Vec<DpopFault>> {
        let key = |secret: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, secret);
        let keys = match &self.0 {
            Origin::Process(secret) => vec![key(&secret[..])],
            Origin::Shared(secrets) => {
                let mut faults = Vec::new();
                if secrets.is_empty() || secrets.len() > MAX_SECRETS {
                    faults.push(DpopFault::NonceSecrets { found: secrets.len() });
                }
                let mut keys = Vec::new();
                for (at, secret) in secrets.iter().enumerate() {
                    match secret.reveal() {
                        Ok(bytes) if bytes.as_bytes().len() < MIN_SECRET => {
                            let length = bytes.as_bytes().len();
                            faults.push(DpopFault::NonceSecretShort { at, length });
                        }
                        Ok(bytes) => keys.push(key(bytes.as_bytes())),
                        Err(fault) => faults.push(DpopFault::NonceSecret { at, fault }),
                    }
                }
                if !faults.is_empty() {
                    return Err(faults);
                }
                keys
            }
        };
        let mut label = Vec::from(*b"portcullis dpop nonce");
        let targets = targets.iter().map(ToString::to_string);
        for text in [purpose.name().to_owned()].into_iter().chain(targets) {
            label.extend((text.len() as u64).to_le_bytes());
            label.extend(text.as_bytes());
        }
        Ok(NonceRules { keys, label, made: ArcSwapOption::empty() })
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.are_shared() { "shared" } else { "of_this_process" })
    }
}

/// The text of a nonce.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct Nonce([u8; LENGTH]);

impl Nonce {
    /// What a proof says. A text that is longer or shorter becomes one that nobody gives out.
    pub(super) fn claimed(text: &str) -> Self {
        Self(text.as_bytes().try_into().unwrap_or([0; LENGTH]))
    }

    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(..)")
    }
}

/// Gives nonces out, and takes them.
pub(crate) struct NonceRules {
    keys: Vec<hmac::Key>,
    label: Vec<u8>,
    /// Those of the present, which are made once a step.
    made: ArcSwapOption<Made>,
}

/// All that is taken during a step.
struct Made {
    step: i64,
    epoch: u64,
    current: Arc<Nonce>,
    /// With the step that each is of.
    accepted: Vec<(Nonce, i64)>,
    /// Those of the hour before, once somebody comes with one that is not taken.
    older: OnceLock<Box<[Nonce]>>,
}

/// A nonce that is taken.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Taken {
    /// From when on it is not.
    pub(super) until: UnixTime,
    /// The one that takes its place, where it is not the latest.
    pub(super) next: Option<Arc<Nonce>>,
}

impl NonceRules {
    /// The one that is given out now. `epoch`: that of the store of used proofs.
    pub(super) fn current(&self, now: UnixTime, epoch: u64) -> Arc<Nonce> {
        Arc::clone(&self.made(now, epoch).current)
    }

    /// Whether a proof's nonce is one that was given out lately.
    pub(super) fn take(
        &self,
        nonce: Option<&Nonce>,
        now: UnixTime,
        epoch: u64,
    ) -> Result<Taken, NonceFault> {
        let claimed = nonce.ok_or(NonceFault::Missing)?;
        let made = self.made(now, epoch);
        let is_it = |nonce: &Nonce| verify_slices_are_equal(&nonce.0, &claimed.0).is_ok();
        let Some((_, step)) = made.accepted.iter().find(|(nonce, _)| is_it(nonce)) else {
            return Err(self.why_not(claimed, &made));
        };
        // That of a step is taken during the next one as well.
        let until = UnixTime(step.saturating_add(2).saturating_mul(STEP));
        let next = (!is_it(&made.current)).then(|| Arc::clone(&made.current));
        Ok(Taken { until, next })
    }

    fn why_not(&self, claimed: &Nonce, made: &Made) -> NonceFault {
        let older = made.older.get_or_init(|| {
            let steps = (2..=OLDER).map(|age| made.step.saturating_sub(age));
            let of = |step| self.keys.iter().map(move |key| self.make(key, step, made.epoch));
            steps.flat_map(of).collect()
        });
        let is_it = |nonce: &Nonce| verify_slices_are_equal(&nonce.0, &claimed.0).is_ok();
        let is_old = older.iter().any(is_it);
        if is_old { NonceFault::Old } else { NonceFault::Foreign }
    }

    fn made(&self, now: UnixTime, epoch: u64) -> Arc<Made> {
        let step = now.0.div_euclid(STEP);
        let made = self.made.load();
        if let Some(made) = made.as_ref().filter(|made| (made.step, made.epoch) == (step, epoch)) {
            return Arc::clone(made);
        }
        let steps = [step, step.saturating_sub(1), step.saturating_add(1)];
        let accepted: Vec<_> = steps
            .into_iter()
            .flat_map(|step| self.keys.iter().map(move |key| (self.make(key, step, epoch), step)))
            .collect();
        // The first secret's, of this step. There is one: `compile` asks for it.
        let current = accepted.first().map_or(Nonce([b'-'; LENGTH]), |(nonce, _)| *nonce);
        let current = Arc::new(current);
        let made = Arc::new(Made { step, epoch, current, accepted, older: OnceLock::new() });
        self.made.store(Some(Arc::clone(&made)));
        made
    }

    fn make(&self, key: &hmac::Key, step: i64, epoch: u64) -> Nonce {
        let mut context = hmac::Context::with_key(key);
        context.update(&self.label);
        context.update(&epoch.to_le_bytes());
        context.update(&step.to_le_bytes());
        let mut text = [b'-'; LENGTH];
        let tag = context.sign();
        let half = tag.as_ref().get(..16).unwrap_or_default();
        // It fits: 16 bytes are 22 characters.
        let _ = URL_SAFE_NO_PAD.encode_slice(half, &mut text);
        Nonce(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const BASES: [&str; 1] = ["https://api.example"];

    fn rules(nonces: &Nonces, purpose: Purpose, bases: &[&str]) -> NonceRules {
        let targets: Vec<_> = bases.iter().map(|base| Target::base(base).expect("good")).collect();
        nonces.compile(purpose, &targets).expect("good secrets")
    }

    fn secret(byte: u8) -> Secret {
        Secret::new((0..32).map(|at: u8| at.wrapping_mul(37) ^ byte).collect::<Vec<_>>())
    }

    fn at(seconds: i64) -> UnixTime {
        UnixTime(NOW.0 + seconds)
    }

    #[test]
    fn a_nonce_is_taken_for_one_to_two_minutes_and_the_next_one_is_told() {
        let rules = rules(&Nonces::of_this_process(), Purpose::Resource, &BASES);
        let first = rules.current(NOW, 0);
        assert_eq!(first.as_str().len(), LENGTH);
        let take = |seconds| rules.take(Some(&first), at(seconds), 0);
        let until = at(120);
        for seconds in [0, 30, 59] {
            assert_eq!(take(seconds), Ok(Taken { until, next: None }), "{seconds}");
        }
        for seconds in [60, 119] {
            let next = Some(rules.current(at(seconds), 0));
            assert_eq!(take(seconds), Ok(Taken { until, next }), "{seconds}");
        }
        // An instance whose clock is behind.
        assert!(take(-1).is_ok());
        for (seconds, fault) in [
            (120, NonceFault::Old),
            (3600, NonceFault::Old),
            (3660, NonceFault::Foreign),
            (86_400, NonceFault::Foreign),
        ] {
            assert_eq!(take(seconds), Err(fault), "{seconds}");
        }
        // One of two steps ahead was given out by nobody.
        assert_eq!(take(-61), Err(NonceFault::Foreign));
    }

    #[test]
    fn nobody_elses_nonce_is_taken() {
        let nonces = Nonces::of_this_process();
        let own = rules(&nonces, Purpose::Resource, &BASES);
        for (other, epoch) in [
            (rules(&Nonces::of_this_process(), Purpose::Resource, &BASES), 0),
            (rules(&nonces, Purpose::TokenEndpoint, &BASES), 0),
            (rules(&nonces, Purpose::Resource, &["https://other.example"]), 0),
            (rules(&nonces, Purpose::Resource, &BASES), 1),
        ] {
            let nonce = other.current(NOW, epoch);
            assert_eq!(own.take(Some(&nonce), NOW, 0), Err(NonceFault::Foreign));
        }
        assert_eq!(own.take(None, NOW, 0), Err(NonceFault::Missing));
        for text in ["", "x", &"x".repeat(22), &"x".repeat(5000)] {
            assert_eq!(own.take(Some(&Nonce::claimed(text)), NOW, 0), Err(NonceFault::Foreign));
        }
        // The same ones, made anew by a policy that is read again, also if that spells its address in another way.
        for base in ["https://api.example", "https://API.example:443/"] {
            let again = rules(&nonces.clone(), Purpose::Resource, &[base]).current(NOW, 0);
            assert!(own.take(Some(&again), NOW, 0).is_ok(), "{base}");
        }
    }

    #[test]
    fn a_secret_is_replaced_in_two_steps_and_every_instance_takes_what_another_gives_out() {
        let [old, both, turned, new] = [vec![1], vec![1, 2], vec![2, 1], vec![2]].map(|bytes| {
            rules(&Nonces::shared(bytes.into_iter().map(secret)), Purpose::Resource, &BASES)
        });
        for (one, other) in [(&old, &both), (&both, &turned), (&turned, &new)] {
            for (giver, taker) in [(one, other), (other, one)] {
                let nonce = giver.current(NOW, 7);
                assert!(taker.take(Some(&nonce), NOW, 7).is_ok());
            }
        }
        let gone = old.current(NOW, 7);
        assert_eq!(new.take(Some(&gone), NOW, 7), Err(NonceFault::Foreign));
        // What the second secret made is followed by what the first one makes.
        let taken = turned.take(Some(&gone), NOW, 7).expect("taken");
        assert_eq!(taken.next, Some(turned.current(NOW, 7)));
    }

    #[test]
    fn four_secrets_of_32_bytes_are_taken_and_neither_five_nor_one_of_31_bytes() {
        let compile = |secrets| Nonces::shared(secrets).compile(Purpose::Resource, &[]).map(drop);
        let bytes =
            |length: u8| Secret::new((0..length).map(|at| at.wrapping_mul(37)).collect::<Vec<_>>());
        assert_eq!(compile((0..4).map(secret).collect::<Vec<_>>()), Ok(()));
        let five = vec![DpopFault::NonceSecrets { found: 5 }];
        assert_eq!(compile((0..5).map(secret).collect()), Err(five));
        assert_eq!(compile(vec![bytes(32)]), Ok(()));
        let short = vec![DpopFault::NonceSecretShort { at: 1, length: 31 }];
        assert_eq!(compile(vec![bytes(32), bytes(31)]), Err(short));
    }

    #[test]
    fn secrets_that_anybody_could_guess_are_refused_and_not_shown() {
        let faults = |secrets: Vec<Secret>| {
            let refused = Nonces::shared(secrets).compile(Purpose::Resource, &[]).err();
            let told: Vec<_> = refused.expect("refused").iter().map(ToString::to_string).collect();
            told.join("\n")
        };
        assert!(faults(vec![]).contains("0 secrets"));
        assert!(faults((0..5).map(secret).collect()).contains("5 secrets"));
        assert!(faults(vec![Secret::new("k7#pQ9z!")]).contains("32"));
        let told = faults(vec![secret(1), Secret::new("a".repeat(40))]);
        assert!(told.contains("secret 2") && !told.contains("aaa"), "{told}");
        assert!(faults(vec![Secret::file("/nowhere/at/all", crate::Encoding::Raw)]).contains("1"));
    }
}

//! Timing side by side, on machines that are not quiet.
//!
//! What is compared takes turns within milliseconds, in an order that rotates, so that whatever
//! slows the machine down slows all of it down. Differences are taken within a round and only then
//! is their median.
use core::fmt;
use core::hint::black_box;
use core::time::Duration;
use std::time::Instant;

/// Calls between two looks at the clock. Few, so that what they allocate fits the allocator's
/// caches, as it would in a server.
const BATCH: usize = 4;

/// Something to be timed.
pub struct Contender<'a>(Box<dyn FnMut() -> Duration + 'a>);

impl<'a> Contender<'a> {
    /// Times `call`, what it returns dropped; `prepare` makes what it needs, off the clock. It is
    /// told how many calls came before.
    pub fn new<I, O>(
        mut prepare: impl FnMut(usize) -> I + 'a,
        mut call: impl FnMut(I) -> O + 'a,
    ) -> Self {
        let mut calls = 0;
        Self(Box::new(move || {
            let inputs: [I; BATCH] = core::array::from_fn(|index| prepare(calls + index));
            calls += BATCH;
            let start = Instant::now();
            for input in inputs {
                drop(black_box(call(black_box(input))));
            }
            start.elapsed()
        }))
    }
}

impl fmt::Debug for Contender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contender")
    }
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// How often each contender has its turn.
    pub rounds: usize,
    /// How long a turn lasts.
    pub turn: Duration,
}

/// What each contender took, in nanoseconds a call, round by round.
#[derive(Debug)]
pub struct Rounds<const N: usize>(Vec<[f64; N]>);

impl<const N: usize> Rounds<N> {
    /// Lets `contenders` take turns.
    pub fn run(length: Length, mut contenders: [Contender<'_>; N]) -> Self {
        // What looking at the clock costs is taken off again.
        let mut nothing = Contender::new(|index| index, |index| index);
        let mut rounds = Vec::with_capacity(length.rounds);
        // The first round warms up.
        for round in 0..=length.rounds {
            let overhead = turn(&mut nothing, length.turn / 4);
            let mut times = [0.0; N];
            for place in 0..N {
                let index = (round + place) % N;
                times[index] = turn(&mut contenders[index], length.turn) - overhead;
            }
            if round > 0 {
                rounds.push(times);
            }
        }
        Self(rounds)
    }

    /// The median of a contender.
    pub fn median(&self, contender: usize) -> f64 {
        self.median_of(|times| times[contender])
    }

    /// The median of what is computed from each round.
    pub fn median_of(&self, of: impl Fn(&[f64; N]) -> f64) -> f64 {
        median(self.0.iter().map(of).collect())
    }
}

/// The median of a call during one turn, so that an interruption does not count.
fn turn(contender: &mut Contender<'_>, length: Duration) -> f64 {
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < 3 || start.elapsed() < length {
        times.push(contender.0().as_secs_f64() * 1e9 / BATCH as f64);
    }
    median(times)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

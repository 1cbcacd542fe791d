//! Tokens that verified, remembered by their exact bytes.
//!
//! What is remembered is what cannot change: that these bytes were signed with this key, and what
//! they say. Whatever can change is asked again for every request, by [`verify`](crate::verify):
//! the times, the key, the issuer, a policy's predicates, revocation. So the answer is the same with
//! the cache and without it, and nothing has to be told to the cache.
//!
//! A failure is not remembered: those who send bad tokens would choose what is.
use core::fmt;
use core::hash::{Hash, Hasher};
use core::sync::atomic::{AtomicU64, Ordering};
use std::hash::RandomState;
use std::thread::available_parallelism;

use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Lifecycle, OptionsBuilder, Weighter};

use crate::verified::VerifiedToken;

/// The most bytes that a policy's remembered tokens may take.
///
/// 16 MiB are 10,000 tokens of 500 bytes, or 6,000 where handlers read a claims type: those who use one process within the life of a token.
pub(crate) const DEFAULT_BYTES: usize = 16 * 1024 * 1024;

/// Less would be some hundred tokens, and none at all of the largest.
pub(crate) const MIN_BYTES: usize = 1024 * 1024;

/// More is a mistake in the unit: it would be half a million tokens.
pub(crate) const MAX_BYTES: usize = 1024 * 1024 * 1024;

/// About what a token of 500 bytes is counted as. It says of how many tokens that gave way it is known that
/// they did, so that they are kept longer when they come back.
const TYPICAL: usize = 2048;

/// What an entry takes beside its token: its place in the table and in the list, half a place for
/// one that gave way, and what the allocator adds.
const ENTRY: usize = 192;

/// The least bytes of a shard, so that a token of the default limit has room in it, unless it is full
/// of small values.
const SHARD: usize = 512 * 1024;

/// The remembered tokens of one policy.
pub(crate) struct TokenCache(Option<Inner>);

struct Inner {
    tokens: Cache<Text, VerifiedToken, Bytes, RandomState, Evicted>,
    /// One for each shard: all cores would fight over a single one.
    tallies: Box<[Tally]>,
}

/// What the cache's own counters do not tell. Apart from the next, on a line of its own.
#[derive(Default)]
#[repr(align(128))]
struct Tally {
    evictions: AtomicU64,
    deaths: AtomicU64,
}

/// How the remembered tokens of a policy do.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TokenCacheStats {
    /// Tokens that were found, and held.
    pub hits: u64,
    /// Tokens that were verified in full, or refused.
    pub misses: u64,
    /// Tokens that gave way to others.
    pub evictions: u64,
    /// Tokens that were found and no longer held: expired, their key withdrawn, revoked. They count
    /// as misses, too.
    pub deaths: u64,
    /// How many are remembered.
    pub tokens: usize,
    /// What they are counted as, in bytes: what they take at most, claims that handlers read of them
    /// included.
    pub bytes: u64,
    /// How many bytes there may be.
    pub capacity: u64,
}

impl TokenCache {
    /// Room for `bytes`; none where that is 0.
    pub(crate) fn new(bytes: usize) -> Self {
        if bytes == 0 {
            return Self(None);
        }
        let cores = available_parallelism().map_or(1, Into::into);
        let options = OptionsBuilder::new()
            .weight_capacity(bytes as u64)
            .estimated_items_capacity((bytes / TYPICAL).max(1))
            .shards((cores * 4).min(bytes / SHARD).max(1))
            .build();
        // Fails only where a number above is missing.
        Self(options.ok().map(|options| {
            let tokens = Cache::with_options(options, Bytes, RandomState::new(), Evicted);
            let tallies = (0..tokens.num_shards()).map(|_| Tally::default()).collect();
            Inner { tokens, tallies }
        }))
    }

    /// The token that verified under exactly these bytes.
    pub(crate) fn get(&self, text: &[u8]) -> Option<VerifiedToken> {
        self.0.as_ref()?.tokens.get(&CacheKey(text))
    }

    pub(crate) fn insert(&self, text: &[u8], token: &VerifiedToken) {
        let Some(inner) = &self.0 else { return };
        // Dropped here, and not under the lock.
        let mut evicted = Vec::new();
        // First counted, then filled.
        let room = token.wanted_room();
        let weight = text.len() + token.footprint(room) + ENTRY;
        let key = Text { bytes: text.into(), weight };
        inner.tokens.insert_with_lifecycle(key, token.clone(), &mut evicted);
        token.set_room(room);
        if !evicted.is_empty() {
            inner.tally(text).evictions.fetch_add(evicted.len() as u64, Ordering::Relaxed);
        }
    }

    /// Forgets a token that was found. Another that took its place in between stays.
    pub(crate) fn forget(&self, text: &[u8], token: &VerifiedToken) {
        let Some(inner) = &self.0 else { return };
        inner.tokens.remove_if(&CacheKey(text), |found| found.is_same_as(token));
        inner.tally(text).deaths.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> TokenCacheStats {
        let Some(Inner { tokens, tallies }) = &self.0 else { return TokenCacheStats::default() };
        let sum = |of: fn(&Tally) -> &AtomicU64| {
            tallies.iter().map(|tally| of(tally).load(Ordering::Relaxed)).sum::<u64>()
        };
        let deaths = sum(|tally| &tally.deaths);
        TokenCacheStats {
            // A token that is found and no longer holds is verified in full like any other.
            hits: tokens.hits().saturating_sub(deaths),
            misses: tokens.misses() + deaths,
            evictions: sum(|tally| &tally.evictions),
            deaths,
            tokens: tokens.len(),
            bytes: tokens.weight(),
            capacity: tokens.capacity(),
        }
    }
}

impl Inner {
    fn tally(&self, text: &[u8]) -> &Tally {
        &self.tallies[self.tokens.shard_index(&CacheKey(text))]
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(f)
    }
}

/// The text of a token. Two are the same if all of their bytes are.
struct Text {
    bytes: Box<[u8]>,
    /// What the entry takes in all. It changes only by taking the place of another.
    weight: usize,
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Text {}

/// The text of a token that is looked up.
struct CacheKey<'a>(&'a [u8]);

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        CacheKey(&self.bytes).hash(state);
    }
}

impl Hash for CacheKey<'_> {
    /// The end of its signature will do, under the secret of [`RandomState`]: it depends on every
    /// byte before it, and only what verified is remembered, so nobody fills a bucket. `SipHash` of
    /// a whole token would make a hit half as dear again.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0.last_chunk::<16>() {
            Some(end) => state.write(end),
            None => state.write(self.0),
        }
    }
}

impl Equivalent<Text> for CacheKey<'_> {
    fn equivalent(&self, key: &Text) -> bool {
        *self.0 == *key.bytes
    }
}

/// Counts entries by their bytes.
#[derive(Clone)]
struct Bytes;

impl Weighter<Text, VerifiedToken> for Bytes {
    fn weight(&self, text: &Text, _: &VerifiedToken) -> u64 {
        text.weight as u64
    }
}

/// Takes what gives way out of the lock, to be counted and dropped.
#[derive(Clone)]
struct Evicted;

impl Lifecycle<Text, VerifiedToken> for Evicted {
    type RequestState = Vec<(Text, VerifiedToken)>;

    fn on_evict(&self, evicted: &mut Self::RequestState, text: Text, token: VerifiedToken) {
        evicted.push((text, token));
    }
}

//! Several stores -> one: the first that has an entry answers, and the ones
//! above it are filled.
//!
//! Invariant: with the same tiers, the answers do not depend on which tier gave
//! them: every tier holds sealed entries, and the caller opens each one.
//!
//! Tiers are filled by a thread, beside what the caller does with the answers;
//! the next publish, and the end, wait for it. A lookup does not: what is not
//! there yet is given by the tier below once more.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use stencil::{CacheKey, CacheStore, Lookup, MissReason, NewEntry, PublishSummary};

/// Stores in the order in which they are asked, nearest first.
pub struct TieredStore {
    tiers: Vec<Arc<dyn CacheStore>>,
    fills: Arc<Mutex<PublishSummary>>,
    filling: Mutex<Vec<JoinHandle<()>>>,
}

impl TieredStore {
    /// A store of `tiers`, nearest (fastest) first. Without tiers it misses
    /// everything and takes nothing.
    pub fn new(tiers: Vec<Arc<dyn CacheStore>>) -> Self {
        Self { tiers, fills: Arc::default(), filling: Mutex::default() }
    }

    /// What became so far of the entries that hits in lower tiers copied into
    /// the tiers above them.
    pub fn fills(&self) -> PublishSummary {
        self.settle();
        self.fills.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the tiers are filled.
    pub fn settle(&self) {
        let mut filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in filling.drain(..) {
            thread.join().ok();
        }
    }

    fn fill(&self, above: &[Arc<dyn CacheStore>], found: Vec<NewEntry>) {
        if above.is_empty() || found.is_empty() {
            return;
        }
        let (tiers, fills, found) = (above.to_vec(), self.fills.clone(), Arc::new(found));
        let beside = {
            let (fills, found) = (fills.clone(), found.clone());
            move || fill(&tiers, &fills, &found)
        };
        match thread::Builder::new().name("stencil-fill".to_owned()).spawn(beside) {
            Ok(thread) => {
                self.filling.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
            }
            // A system that refuses another thread is waited for instead.
            Err(_) => fill(above, &fills, &found),
        }
    }
}

fn fill(above: &[Arc<dyn CacheStore>], fills: &Mutex<PublishSummary>, found: &[NewEntry]) {
    for tier in above {
        let summary = tier.publish(found);
        fills.lock().unwrap_or_else(PoisonError::into_inner).add(&summary);
    }
}

impl Drop for TieredStore {
    fn drop(&mut self) {
        self.settle();
    }
}

/// The more telling of two reasons: that an upper tier failed must not be
/// hidden by a lower one that simply has no such entry.
fn more_telling(above: MissReason, below: MissReason) -> MissReason {
    match below {
        MissReason::Absent => above,
        _ => below,
    }
}

/// One summary of what several tiers made of the same entries.
///
/// The first of several tiers is a copy for speed; whether an entry is kept is
/// said by those below it. Summaries do not name entries, so of each count the
/// largest stands: stored if any lower tier stored it, and a refusal by one
/// tier is seen although another took the entry. Where those below have none of
/// the entries, or cannot say yet because they have queued them, the first tier's
/// count stands.
fn merge(summaries: &[PublishSummary]) -> PublishSummary {
    let has_some = |summary: &PublishSummary| summary.stored + summary.already_there > 0;
    let kept = match summaries {
        [_, lower @ ..] if lower.iter().any(has_some) => lower,
        all => all,
    };
    let mut merged = PublishSummary::default();
    for summary in kept {
        merged.stored = merged.stored.max(summary.stored);
        merged.stored_bytes = merged.stored_bytes.max(summary.stored_bytes);
        merged.already_there = merged.already_there.max(summary.already_there);
    }
    let refused = summaries.get(usize::from(summaries.len() > 1)..).unwrap_or_default();
    for (reason, count) in refused.iter().flat_map(|summary| &summary.refused) {
        let most = merged.refused.entry(*reason).or_default();
        *most = (*most).max(*count);
    }
    // A conflict is the sign of a wrong key, wherever it shows.
    merged.conflicts = summaries.iter().map(|s| s.conflicts).max().unwrap_or(0);
    merged
}

impl CacheStore for TieredStore {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let mut tiers = self.tiers.iter().enumerate();
        let (at, value) = tiers.find_map(|(at, tier)| Some((at, tier.get(key)?)))?;
        for above in self.tiers.iter().take(at) {
            above.insert(key, value.to_vec());
        }
        Some(Cow::Owned(value.into_owned()))
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        let kept = |tier: &Arc<dyn CacheStore>| tier.insert(key, value.clone());
        self.tiers.iter().map(kept).fold(false, |any, kept| any | kept)
    }

    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        let mut answers = vec![Lookup::Miss(MissReason::Absent); keys.len()];
        for (at, tier) in self.tiers.iter().enumerate() {
            let pending = |(slot, key)| match slot {
                &mut Lookup::Miss(reason) => Some((slot, reason, key)),
                Lookup::Hit(..) => None,
            };
            let pending: Vec<_> = answers.iter_mut().zip(keys).filter_map(pending).collect();
            if pending.is_empty() {
                break;
            }
            let asked: Vec<CacheKey> = pending.iter().map(|(_, _, key)| **key).collect();
            let mut found = Vec::new();
            for ((slot, above, key), answer) in pending.into_iter().zip(tier.lookup(&asked)) {
                *slot = match answer {
                    Lookup::Miss(reason) => Lookup::Miss(more_telling(above, reason)),
                    hit => hit,
                };
                if let (Lookup::Hit(bytes, _), true) = (&*slot, at > 0) {
                    found.push(NewEntry { key: *key, bytes: bytes.clone() });
                }
            }
            self.fill(self.tiers.get(..at).unwrap_or_default(), found);
        }
        answers
    }

    fn publish(&self, entries: &[NewEntry]) -> PublishSummary {
        self.settle();
        let summaries: Vec<_> = self.tiers.iter().map(|tier| tier.publish(entries)).collect();
        merge(&summaries)
    }

    /// In every tier, whichever it was that had the wrong entry: a hit has
    /// filled those above.
    fn replace(&self, entries: &[NewEntry]) -> PublishSummary {
        self.settle();
        let summaries: Vec<_> = self.tiers.iter().map(|tier| tier.replace(entries)).collect();
        merge(&summaries)
    }

    fn round_trips(&self) -> u64 {
        self.tiers.iter().map(|tier| tier.round_trips()).sum()
    }
}

//! Hits -> the same hits, a share of them compiled again and compared with what
//! was found.
//!
//! A key that leaves an input out, or an entry made by someone else, shows in
//! nothing but the bytes: the seal is whole. An entry holds nothing but what its
//! key decides, so it has to be equal to the byte to what is compiled now.
//!
//! Invariants:
//! - which hits are checked follows from their keys alone, so that the same
//!   compile checks the same ones again;
//! - whatever was found, a checked piece's code is the one just compiled.

use crate::codegen::Fresh;
use crate::input::Input;
use crate::lookup::{Found, Slots};
use crate::pieces;
use crate::report::Report;
use stencil::{CacheKey, EntryBytes, Lookup, MissReason, NewEntry, Tier, entry};

/// Which share of the hits is compiled again, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifySample {
    one_in: u64,
    seed: u64,
    strict: bool,
}

impl VerifySample {
    /// Checks the hits for which the first 8 bytes of the key, a little-endian
    /// number, are a multiple of `one_in`: all for 1. Keys are uniformly
    /// distributed, and so is that number. `None` for 0.
    pub const fn one_in(one_in: u64) -> Option<Self> {
        match one_in {
            0 => None,
            one_in => Some(Self { one_in, seed: 0, strict: false }),
        }
    }

    /// Checks others: of the number XOR `seed`.
    pub const fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Fails the compile, before anything is written, if an entry is wrong.
    pub const fn strict(self, strict: bool) -> Self {
        Self { strict, ..self }
    }

    /// Whether a hit of this key is checked.
    pub fn takes(&self, key: &CacheKey) -> bool {
        let first = key.as_bytes().first_chunk().copied().unwrap_or_default();
        (u64::from_le_bytes(first) ^ self.seed).is_multiple_of(self.one_in)
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.strict
    }
}

/// A sound entry of the right key that holds other code than the compiler
/// makes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The key under which it was.
    pub key: CacheKey,
    /// The function, in the form that Wasmtime gives its symbols.
    pub symbol: String,
    /// Where it was found.
    pub tier: Tier,
    /// What was found.
    pub found: EntryBytes,
    /// What it should be.
    pub compiled: EntryBytes,
}

/// Takes the sampled hits back, so that they are compiled with the misses.
pub(crate) fn doubt(sample: Option<VerifySample>, slots: &Slots<'_>, found: &mut [Found<'_>]) {
    let Some(sample) = sample else { return };
    for (slot, found) in found.iter_mut().enumerate() {
        if let Found::Hit(stencil, tier, entry_bytes) = *found
            && slots.key(slot).is_some_and(|key| sample.takes(key))
        {
            *found = Found::Doubted(stencil, tier, entry_bytes);
        }
    }
}

/// Makes hits or misses of what was doubted and has been compiled, and counts.
/// What does not fit its function, and so was a miss from the start, is checked
/// too: it would stay where it is.
pub(crate) fn compare<'a>(
    sample: Option<VerifySample>,
    (input, slots, replies): (&Input<'_>, &Slots<'_>, &[Lookup]),
    fresh: impl Iterator<Item = &'a Fresh>,
    found: &mut [Found<'_>],
    report: &mut Report,
) {
    let Some(sample) = sample else { return };
    for fresh in fresh {
        let slot = fresh.slot;
        let Some((key, bytes)) = fresh.answer(slots) else { continue };
        if !sample.takes(&key) {
            continue;
        }
        let Some(Lookup::Hit(there, tier)) = slots.reply(slot, replies) else { continue };
        // One that is damaged is not other code.
        if entry::verify(&key, there).is_err() {
            continue;
        }
        report.verified += 1;
        let slot_found = &mut found[slot.index()];
        if there == bytes {
            if let Found::Doubted(stencil, tier, entry_bytes) = *slot_found {
                report.verified_code_bytes += stencil.code().len() as u64;
                *slot_found = Found::Hit(stencil, tier, entry_bytes);
            }
            continue;
        }
        *slot_found = Found::Miss { reason: MissReason::WrongCode, rejected: true };
        report.differences.push(Difference {
            key,
            symbol: pieces::symbol(input, slots.func_key(slot)),
            tier: *tier,
            found: there.clone(),
            compiled: bytes.clone(),
        });
    }
}

/// The entries to keep in place of the wrong ones.
pub(crate) fn corrections(differences: &[Difference]) -> Vec<NewEntry> {
    let right = |wrong: &Difference| NewEntry { key: wrong.key, bytes: wrong.compiled.clone() };
    differences.iter().map(right).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use stencil::Fingerprint;

    #[test]
    fn a_sample_is_its_share_of_the_keys() {
        let key = |n: u64| *Fingerprint::of([("key", &n.to_le_bytes()[..])]).as_bytes();
        let keys: Vec<_> = (0..100_000).map(|n| CacheKey::from_bytes(key(n))).collect();
        for (one_in, seed) in [(1, 0), (2, 0), (3, 0), (100, 0), (100, 77), (1000, u64::MAX)] {
            let sample = VerifySample::one_in(one_in).unwrap().with_seed(seed);
            let taken = keys.iter().filter(|key| sample.takes(key)).count() as f64;
            let share = keys.len() as f64 / one_in as f64;
            // Four standard deviations; the keys are the same each time.
            assert!((taken - share).abs() <= 4.0 * share.sqrt(), "{taken} of 1/{one_in}");
        }
        assert_eq!(VerifySample::one_in(0), None);
    }
}

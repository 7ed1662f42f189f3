//! Keys -> entries and misses: one batched lookup for a whole input.
//!
//! Pieces with the same key share one slot: it is asked for once, and compiled
//! once if it is not there.
//!
//! Which builtin trampolines an input needs is known only after its functions.
//! All of them are asked for in the same batch; those that turn out not to be
//! needed are neither hits nor misses.

use crate::link::Linkability;
use crate::pieces::Piece;
use rayon::prelude::*;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use stencil::{
    CacheKey, CacheStore, CompiledStencil, FunctionParameters, Lookup, MissReason, Tier, entry,
    finalize,
};
use wasmtime_environ::FuncKey;

/// The index of a slot: a distinct key, or a piece that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

impl Slot {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A piece and its slot.
#[derive(Clone, Copy)]
pub(crate) struct Slotted<'a> {
    pub(crate) piece: &'a Piece,
    pub(crate) slot: Slot,
}

/// Which piece is served by which slot.
pub(crate) struct Slots<'a> {
    /// The pieces that are certainly needed, in their order.
    pub(crate) pieces: Vec<Slotted<'a>>,
    /// The builtin trampolines, in the order of their indices.
    pub(crate) builtins: Vec<Slotted<'a>>,
    /// For each slot, its first piece.
    first: Vec<&'a Piece>,
    /// The keys of the slots that have one, in the order of the slots.
    keys: Vec<CacheKey>,
    /// Where each slot's key is in `keys`.
    key_of_slot: Vec<Option<u32>>,
    /// How many slots the pieces have that are certainly needed.
    needed: usize,
}

/// Keys are uniformly distributed already.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }
}

type SlotOfKey = HashMap<CacheKey, Slot, BuildHasherDefault<KeyHasher>>;

impl<'a> Slots<'a> {
    /// The slots of the pieces that are needed, then of those builtin
    /// trampolines that may be.
    pub(crate) fn of(pieces: &'a [Piece], builtins: &'a [Piece]) -> Self {
        let mut slots = Self {
            pieces: Vec::new(),
            builtins: Vec::new(),
            first: Vec::with_capacity(pieces.len() + builtins.len()),
            keys: Vec::with_capacity(pieces.len() + builtins.len()),
            key_of_slot: Vec::with_capacity(pieces.len() + builtins.len()),
            needed: 0,
        };
        let mut known = SlotOfKey::default();
        known.reserve(pieces.len() + builtins.len());
        slots.pieces = pieces.iter().map(|piece| slots.add(piece, &mut known)).collect();
        slots.needed = slots.first.len();
        slots.builtins = builtins.iter().map(|piece| slots.add(piece, &mut known)).collect();
        slots
    }

    fn add(&mut self, piece: &'a Piece, known: &mut SlotOfKey) -> Slotted<'a> {
        let next = Slot(self.first.len() as u32);
        let slot = match piece.cache_key {
            None => next,
            Some(key) => *known.entry(key).or_insert(next),
        };
        if slot == next {
            self.first.push(piece);
            self.key_of_slot.push(piece.cache_key.map(|key| {
                self.keys.push(key);
                (self.keys.len() - 1) as u32
            }));
        }
        Slotted { piece, slot }
    }

    /// The parameters by which a slot's entry is checked.
    fn parameters(&self, slot: usize) -> &'a FunctionParameters {
        &self.first[slot].parameters
    }

    /// A slot's key, if it has one.
    pub(crate) fn key(&self, slot: usize) -> Option<&CacheKey> {
        self.keys.get(self.key_of_slot[slot]? as usize)
    }

    /// The store's answer for a slot.
    pub(crate) fn reply<'r>(&self, slot: Slot, replies: &'r [Lookup]) -> Option<&'r Lookup> {
        replies.get(self.key_of_slot[slot.index()]? as usize)
    }

    /// Wasmtime's name of a slot's first piece.
    pub(crate) fn func_key(&self, slot: Slot) -> FuncKey {
        self.first[slot.index()].func_key
    }

    /// What has to be compiled, but for builtin trampolines.
    pub(crate) fn missing(&self, found: &[Found<'_>]) -> Vec<Slotted<'a>> {
        let first = |slot: usize| Slotted { piece: self.first[slot], slot: Slot(slot as u32) };
        missing((0..self.needed).map(first), found)
    }
}

/// Those that were not found.
pub(crate) fn missing<'a>(
    pieces: impl Iterator<Item = Slotted<'a>>,
    found: &[Found<'_>],
) -> Vec<Slotted<'a>> {
    pieces.filter(|piece| !matches!(found[piece.slot.index()], Found::Hit(..))).collect()
}

/// What the lookup found for a slot.
pub(crate) enum Found<'a> {
    /// A sound entry, where it was, and its size in bytes.
    Hit(CompiledStencil<'a>, Tier, u64),
    /// The same, to be compiled again and compared.
    Doubted(CompiledStencil<'a>, Tier, u64),
    /// None, or none that could be used.
    Miss {
        reason: MissReason,
        /// There was an entry, and it was not sound.
        rejected: bool,
    },
    /// There was nothing to look up.
    Uncached,
}

/// Asks for every key of the input.
pub(crate) fn lookup(slots: &Slots<'_>, store: &dyn CacheStore) -> Vec<Lookup> {
    if slots.keys.is_empty() {
        return Vec::new();
    }
    let mut replies = store.lookup(&slots.keys);
    // A store that does not answer for every key has no answer for the rest.
    replies.resize(slots.keys.len(), Lookup::Miss(MissReason::BadEntry));
    replies
}

/// Opens what was found: one result for each slot. What could not be linked is
/// not used: an entry may be sound, and not one of this compiler.
pub(crate) fn open<'a>(
    slots: &Slots<'_>,
    replies: &'a [Lookup],
    linkability: &Linkability,
) -> Vec<Found<'a>> {
    let open_slot = |slot: usize| {
        let Some(key) = slots.key_of_slot[slot] else {
            return Found::Uncached;
        };
        let (key, reply) = (&slots.keys[key as usize], &replies[key as usize]);
        let (bytes, tier) = match reply {
            Lookup::Hit(bytes, tier) => (bytes, *tier),
            Lookup::Miss(reason) => {
                return Found::Miss { reason: *reason, rejected: false };
            }
        };
        let rejected = |reason| Found::Miss { reason, rejected: true };
        match entry::open(key, bytes) {
            Err(error) => rejected(MissReason::from(&error)),
            Ok(stencil) => {
                let fits = finalize::finalize(stencil, slots.parameters(slot)).is_ok();
                match fits && linkability.of(&stencil) {
                    true => Found::Hit(stencil, tier, bytes.len() as u64),
                    false => rejected(MissReason::BadEntry),
                }
            }
        }
    };
    (0..slots.first.len()).into_par_iter().with_min_len(64).map(open_slot).collect()
}

/// The stencils that were found, by slot.
pub(crate) fn stencils<'a>(found: &[Found<'a>]) -> Vec<Option<CompiledStencil<'a>>> {
    let hit = |found: &Found<'a>| match found {
        Found::Hit(stencil, ..) => Some(*stencil),
        Found::Doubted(..) | Found::Miss { .. } | Found::Uncached => None,
    };
    found.iter().map(hit).collect()
}

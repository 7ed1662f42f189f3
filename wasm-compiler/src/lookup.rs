//! Keys -> entries and misses: one batched lookup for a whole input.
//!
//! Pieces with the same key and the same numbers share one slot: it is asked for
//! once, and compiled once if it is not there. Those with other numbers have a
//! slot of their own, on the same entry.
//!
//! An entry may be a marker: no code, but the note that the code knows its numbers
//! in a way that is not understood, and is kept for each of them by itself. Behind
//! those is asked a second time, under keys with the numbers.
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
    /// The distinct keys of the slots that have one, in the order of the slots.
    keys: Vec<CacheKey>,
    /// Where each slot's key is in `keys`.
    key_of_slot: Vec<Option<u32>>,
    /// How many keys there are without numbers.
    without_numbers: usize,
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

/// The index of a key, and its first slot.
type Known = HashMap<CacheKey, (u32, Slot), BuildHasherDefault<KeyHasher>>;
/// The other slots of a key.
type Others<'a> = HashMap<(u32, &'a [u32]), Slot>;

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
            without_numbers: 0,
            needed: 0,
        };
        let (mut known, mut others) = (Known::default(), Others::new());
        known.reserve(pieces.len() + builtins.len());
        let mut add = |slots: &mut Self, piece| slots.add(piece, &mut known, &mut others);
        let needed = pieces.iter().map(|piece| add(&mut slots, piece)).collect();
        slots.pieces = needed;
        slots.needed = slots.first.len();
        let builtins = builtins.iter().map(|piece| add(&mut slots, piece)).collect();
        slots.builtins = builtins;
        slots.without_numbers = slots.keys.len();
        slots
    }

    fn add(&mut self, piece: &'a Piece, known: &mut Known, others: &mut Others<'a>) -> Slotted<'a> {
        let next = Slot(self.first.len() as u32);
        let Some(key) = piece.cache_key else {
            self.first.push(piece);
            self.key_of_slot.push(None);
            return Slotted { piece, slot: next };
        };
        let (index, first) = *known.entry(key).or_insert_with(|| {
            self.keys.push(key);
            ((self.keys.len() - 1) as u32, next)
        });
        let numbers = piece.parameters.numbers.as_slice();
        let shares_first = first == next || self.first[first.index()].parameters.numbers == numbers;
        let slot = match shares_first {
            true => first,
            false => *others.entry((index, numbers)).or_insert(next),
        };
        if slot == next {
            self.first.push(piece);
            self.key_of_slot.push(Some(index));
        }
        Slotted { piece, slot }
    }

    /// Gives a slot the key with its numbers.
    fn add_numbers(&mut self, slot: usize) {
        let numbers = &self.first[slot].parameters.numbers;
        if let Some(key) = self.key(slot).map(|key| key.with_numbers(numbers)) {
            self.key_of_slot[slot] = Some(self.keys.len() as u32);
            self.keys.push(key);
        }
    }

    /// Whether a slot's key has its numbers in it.
    pub(crate) fn has_numbers(&self, slot: Slot) -> bool {
        let key = self.key_of_slot[slot.index()];
        key.is_some_and(|key| key as usize >= self.without_numbers)
    }

    /// How many slots' keys have.
    pub(crate) fn count_with_numbers(&self) -> usize {
        let slots = 0..self.first.len() as u32;
        slots.filter(|slot| self.has_numbers(Slot(*slot))).count()
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
    /// None, and what is compiled for another slot of its key serves this one.
    Shared,
    /// There was nothing to look up.
    Uncached,
}

/// Asks for every key of the input, and behind markers again. The replies are in
/// the order of the slots' keys.
pub(crate) fn lookup(slots: &mut Slots<'_>, store: &dyn CacheStore) -> Vec<Lookup> {
    let mut replies = ask(&slots.keys, store);
    let is_marker = |index: u32| match &replies[index as usize] {
        Lookup::Hit(bytes, _) => entry::is_marker(&slots.keys[index as usize], bytes),
        Lookup::Miss(_) => false,
    };
    let of_slot = |slot: &usize| slots.key_of_slot[*slot].is_some_and(is_marker);
    let marked: Vec<usize> = (0..slots.first.len()).filter(of_slot).collect();
    for slot in marked {
        slots.add_numbers(slot);
    }
    replies.extend(ask(&slots.keys[slots.without_numbers..], store));
    replies
}

fn ask(keys: &[CacheKey], store: &dyn CacheStore) -> Vec<Lookup> {
    if keys.is_empty() {
        return Vec::new();
    }
    let mut replies = store.lookup(keys);
    // A store that does not answer for every key has no answer for the rest.
    replies.resize(keys.len(), Lookup::Miss(MissReason::BadEntry));
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
                match fits && !stencil.is_marker() && linkability.of(&stencil) {
                    true => Found::Hit(stencil, tier, bytes.len() as u64),
                    false => rejected(MissReason::BadEntry),
                }
            }
        }
    };
    (0..slots.first.len()).into_par_iter().with_min_len(64).map(open_slot).collect()
}

/// Notes which slots are served by what was compiled for another one.
pub(crate) fn share(copies: impl Iterator<Item = Slot>, found: &mut [Found<'_>]) {
    for slot in copies {
        if let found @ Found::Miss { .. } = &mut found[slot.index()] {
            *found = Found::Shared;
        }
    }
}

/// The stencils that were found, by slot.
pub(crate) fn stencils<'a>(found: &[Found<'a>]) -> Vec<Option<CompiledStencil<'a>>> {
    let hit = |found: &Found<'a>| match found {
        Found::Hit(stencil, ..) => Some(*stencil),
        Found::Doubted(..) | Found::Miss { .. } | Found::Shared | Found::Uncached => None,
    };
    found.iter().map(hit).collect()
}

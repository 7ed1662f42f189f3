//! Places -> the entries there, checked: from memory, or from packs with few
//! and long reads.
//!
//! Invariant: an entry comes out only of a record that passed its checksum and
//! has the namespace and the key that were asked for.

use crate::storage::Next;
use crate::storage::hot::Hot;
use crate::storage::pack::{Pack, PackId, Place};
use crate::storage::record::{NamespaceId, Record, RecordError};
use crate::storage::run::Prefix;
use crate::storage::seal::Secret;
use crate::storage::table::Slot;
use bytes::Bytes;
use proto::Coded;
use std::collections::BTreeMap;
use std::sync::Arc;
use stencil::CacheKey;

/// Records that lie together are read at once, up to this many bytes. What was
/// read stays in memory as long as one of its entries does.
const READ_BYTES_MAX: u32 = 512 << 10;
/// Bytes between two records that are read rather than skipped.
const GAP_BYTES_MAX: u32 = 8 << 10;
/// Places that the memory tier is asked for at once.
const HOT_BATCH: usize = 256;

/// A record to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) place: Place,
    /// Which key of the request it is.
    pub(crate) index: u32,
    pub(crate) key: CacheKey,
}

/// Records of one namespace to read, in the order of their places, and the
/// packs that they are in.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) secret: Secret,
    pub(crate) namespace: NamespaceId,
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) packs: BTreeMap<PackId, Arc<Pack>>,
}

/// A record that is not what was written.
#[derive(Debug)]
pub(crate) struct Damage {
    pub(crate) namespace: NamespaceId,
    pub(crate) key: CacheKey,
    pub(crate) place: Place,
    pub(crate) bytes: Bytes,
    pub(crate) error: RecordError,
}

/// Where an entry came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Memory,
    Pack,
}

/// What a plan came upon besides the entries that it was for.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    pub(crate) damaged: Vec<Damage>,
    /// The indexes of keys in whose slots the sound records of others are.
    pub(crate) strangers: Vec<u32>,
}

/// Gets the index of a key, and its entry.
pub(crate) type Found<'a> = &'a mut dyn FnMut(u32, Coded, From) -> Next;

struct Reading<'a> {
    plan: &'a Plan,
    hot: &'a Hot,
    found: Found<'a>,
    rest: Rest,
}

impl Plan {
    /// Reads all of it, or until `found` wants no more.
    pub(crate) fn read(&self, hot: &Hot, found: Found<'_>) -> Rest {
        let mut reading = Reading { plan: self, hot, found, rest: Rest::default() };
        let mut cold = Vec::new();
        for wanted in self.wanted.chunks(HOT_BATCH) {
            if reading.read_hot(wanted, &mut cold) == Next::Stop {
                return reading.rest;
            }
        }
        let mut rest = cold.as_slice();
        while let Some((together, others)) = split(rest) {
            if reading.read_cold(together) == Next::Stop {
                break;
            }
            rest = others;
        }
        reading.rest
    }
}

/// The records that are read at once, and the others.
fn split(wanted: &[Wanted]) -> Option<(&[Wanted], &[Wanted])> {
    let first = wanted.first()?.place;
    let mut end = first.offset + first.len;
    let together = wanted.iter().take_while(|Wanted { place, .. }| {
        let near = place.offset.saturating_sub(end) <= GAP_BYTES_MAX;
        let next_end = end.max(place.offset + place.len);
        let short = next_end - first.offset <= READ_BYTES_MAX || *place == first;
        let taken = place.pack == first.pack && near && short;
        if taken {
            end = next_end;
        }
        taken
    });
    wanted.split_at_checked(together.count())
}

impl Reading<'_> {
    fn read_hot(&mut self, wanted: &[Wanted], cold: &mut Vec<Wanted>) -> Next {
        if !self.hot.is_on() {
            cold.extend_from_slice(wanted);
            return Next::More;
        }
        let records = self.hot.get(wanted.iter().map(|wanted| wanted.place));
        for (wanted, record) in wanted.iter().zip(records) {
            let Some(record) = record else {
                cold.push(*wanted);
                continue;
            };
            match self.open(wanted, &record) {
                Ok(Some(coded)) => {
                    if (self.found)(wanted.index, coded, From::Memory) == Next::Stop {
                        return Next::Stop;
                    }
                }
                Ok(None) => self.rest.strangers.push(wanted.index),
                Err(_) => {
                    // Memory went bad, or what was read before; the pack knows.
                    self.hot.remove(wanted.place);
                    cold.push(*wanted);
                }
            }
        }
        Next::More
    }

    /// The entry; `None` if it is another's whose key begins with the same
    /// bytes.
    fn open(&self, wanted: &Wanted, record: &Bytes) -> Result<Option<Coded>, RecordError> {
        let slot = |namespace, key| Slot::of(namespace, Prefix::of(key));
        let asked = slot(self.plan.namespace, &wanted.key);
        let seal = self.plan.secret.seal(wanted.place);
        match Record::open(seal, record)?.entry_of(self.plan.namespace, &wanted.key) {
            Err(RecordError::Stranger { namespace, key }) if slot(namespace, &key) == asked => {
                Ok(None)
            }
            coded => coded.map(Some),
        }
    }

    fn read_cold(&mut self, together: &[Wanted]) -> Next {
        let Some(first) = together.first().map(|wanted| wanted.place) else { return Next::More };
        let Some(pack) = self.plan.packs.get(&first.pack) else { return Next::More };
        let end = together.iter().map(|wanted| wanted.place.offset + wanted.place.len).max();
        let len = end.unwrap_or(first.offset) - first.offset;
        let bytes = match pack.read(u64::from(first.offset), len as usize) {
            Ok(bytes) => bytes,
            Err(error) if together.len() == 1 => {
                tracing::warn!(pack = first.pack.0, offset = first.offset, %error,
                    "a pack cannot be read");
                return Next::More;
            }
            // One bad block does not hide what lies around it.
            Err(_) => {
                let mut each = together.iter();
                let stopped =
                    each.any(|one| self.read_cold(std::slice::from_ref(one)) == Next::Stop);
                return if stopped { Next::Stop } else { Next::More };
            }
        };
        let mut good = Vec::with_capacity(together.len());
        let mut next = Next::More;
        for wanted in together {
            let place = wanted.place;
            let from = ((place.offset - first.offset) as usize).min(bytes.len());
            let record = bytes.slice(from..(from + place.len as usize).min(bytes.len()));
            match self.open(wanted, &record) {
                Ok(Some(coded)) => {
                    good.push((place, record));
                    next = (self.found)(wanted.index, coded, From::Pack);
                }
                Ok(None) => self.rest.strangers.push(wanted.index),
                Err(error) => {
                    let (namespace, key) = (self.plan.namespace, wanted.key);
                    self.rest.damaged.push(Damage { namespace, key, place, bytes: record, error });
                }
            }
            if next == Next::Stop {
                break;
            }
        }
        self.hot.put(good.iter().map(|(place, record)| (*place, &record[..])));
        next
    }
}

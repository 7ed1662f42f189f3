//! Batches that wait -> what is new of them, and what becomes of the rest.
//!
//! Invariants:
//! - nothing is changed here; the same batches can be staged again;
//! - an entry whose slot is another's is refused, even if it is to replace: the
//!   table tells keys apart by 8 bytes, and whoever publishes chooses them.

use crate::storage::compare::conflict;
use crate::storage::packed::Shared;
use crate::storage::read::Damage;
use crate::storage::record::{NamespaceId, record_len};
use crate::storage::run::Prefix;
use crate::storage::table::Slot;
use crate::storage::{Conflict, Next, Published, StorageError, StoredEntry};
use proto::coding::Decoder;
use proto::limits::PROJECT_LEN_MAX;
use proto::{Coded, Namespace};
use std::collections::{HashMap, HashSet};
use stencil::CacheKey;

/// Namespaces that can be told apart. Each takes a few hundred bytes of memory.
const NAMESPACES_MAX: usize = 65_536;

/// Entries to publish together.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) namespace: Namespace,
    pub(crate) entries: Vec<StoredEntry>,
    pub(crate) replace: bool,
}

/// An entry to append.
#[derive(Debug)]
pub(crate) struct New {
    pub(crate) namespace: NamespaceId,
    pub(crate) key: CacheKey,
    pub(crate) coded: Coded,
}

impl New {
    /// Under which the table knows it.
    pub(crate) fn prefix(&self) -> Prefix {
        Prefix::of(&self.key)
    }
}

/// What batches come to.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    pub(crate) new: Vec<New>,
    /// Namespaces that are not known yet.
    pub(crate) names: Vec<(NamespaceId, Namespace)>,
    /// Stored entries that turned out to be damaged.
    pub(crate) damaged: Vec<Damage>,
    /// For each batch, in their order.
    pub(crate) outcomes: Vec<Published>,
}

impl Staged {
    /// An upper bound of what is appended, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        let records: usize = self.new.iter().map(|new| record_len(&new.coded)).sum();
        // A name for each entry, at worst, in each of two packs.
        let names = self.new.len().min(NAMESPACES_MAX) * (PROJECT_LEN_MAX + 65);
        (records + names.min(64 << 10)) as u64
    }
}

/// How a stored entry compares with the one that is offered.
enum Stored {
    Same,
    Other(Conflict),
}

/// Compares batches with what is stored and with each other.
pub(crate) fn stage(shared: &Shared, batches: &[&Batch]) -> Result<Staged, StorageError> {
    let mut staged = Staged::default();
    let mut decoder = Decoder::new();
    // Which of the new entries has a slot.
    let mut fresh: HashMap<Slot, usize> = HashMap::new();
    for batch in batches {
        let namespace = namespace_of(shared, &mut staged, &batch.namespace)?;
        let (mut stored, strangers) =
            stored_of(shared, namespace, batch, &mut decoder, &mut staged.damaged);
        let mut outcome = Published::default();
        for (index, entry) in batch.entries.iter().enumerate() {
            let slot = Slot::of(namespace, Prefix::of(&entry.key));
            let before = fresh.get(&slot).copied();
            let earlier = before.and_then(|at| staged.new.get_mut(at));
            let is_other = |new: &New| (new.namespace, new.key) != (namespace, entry.key);
            if strangers.contains(&index) || earlier.as_deref().is_some_and(is_other) {
                outcome.refused += 1;
                continue;
            }
            let compared = match &earlier {
                Some(new) => Some(
                    conflict(&mut decoder, &entry.key, &new.coded, &entry.coded)
                        .map_or(Stored::Same, Stored::Other),
                ),
                None => stored.remove(&index),
            };
            match (compared, earlier) {
                (Some(Stored::Same), _) => {
                    outcome.already_there += 1;
                    continue;
                }
                (Some(Stored::Other(conflict)), _) if !batch.replace => {
                    outcome.conflicts.push(conflict);
                    continue;
                }
                (_, Some(new)) => new.coded = entry.coded.clone(),
                (_, None) => {
                    fresh.insert(slot, staged.new.len());
                    let (key, coded) = (entry.key, entry.coded.clone());
                    staged.new.push(New { namespace, key, coded });
                }
            }
            outcome.stored += 1;
            outcome.stored_bytes += u64::from(entry.coded.entry_bytes);
        }
        staged.outcomes.push(outcome);
    }
    Ok(staged)
}

fn namespace_of(
    shared: &Shared,
    staged: &mut Staged,
    name: &Namespace,
) -> Result<NamespaceId, StorageError> {
    let state = shared.state();
    let known = staged.names.iter().find(|(_, new)| new == name).map(|(id, _)| *id);
    if let Some(id) = known.or_else(|| state.table.id(name)) {
        return Ok(id);
    }
    if state.table.namespaces_len() + staged.names.len() >= NAMESPACES_MAX {
        let what = format!("there are {NAMESPACES_MAX} namespaces already, which is the limit");
        return Err(StorageError::Index(what));
    }
    let id = NamespaceId(state.table.next_id().0 + staged.names.len() as u32);
    staged.names.push((id, name.clone()));
    Ok(id)
}

/// The entries of a batch that are stored already, by their index; and the
/// indexes of those whose slots are others'.
fn stored_of(
    shared: &Shared,
    namespace: NamespaceId,
    batch: &Batch,
    decoder: &mut Decoder,
    damaged: &mut Vec<Damage>,
) -> (HashMap<usize, Stored>, HashSet<usize>) {
    let mut stored = HashMap::new();
    let keys = batch.entries.iter().map(|entry| &entry.key);
    let plan = shared.plan(namespace, keys);
    let rest = plan.read(&shared.hot, &mut |index, coded, _| {
        if let Some(entry) = batch.entries.get(index as usize) {
            let other = conflict(decoder, &entry.key, &coded, &entry.coded);
            stored.insert(index as usize, other.map_or(Stored::Same, Stored::Other));
        }
        Next::More
    });
    damaged.extend(rest.damaged);
    (stored, rest.strangers.into_iter().map(|index| index as usize).collect())
}

//! Cache keys -> the places of their entries.
//!
//! The keys of a module come in the order in which they were published, so the
//! directory of the chunk where one lies tells where the next ones lie: few keys
//! are looked up in the index.

use crate::disk::chunk::{ChunkId, Directory, Prefix};
use rusqlite::{Connection, OptionalExtension};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use stencil::CacheKey;

const CHUNK_OF_PREFIX: &str = "SELECT chunk FROM entry WHERE prefix = ?1";
const CHUNK: &str = "SELECT directory, used FROM chunk WHERE id = ?1";

/// Where an entry lies, if the index and the directory can be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) chunk: ChunkId,
    /// How many bytes of data the chunk has.
    pub(crate) chunk_len: u32,
    pub(crate) range: Range<u32>,
}

/// What the index says of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Absent,
    /// The index names a chunk that does not have it.
    Dangling,
    At(Location),
}

/// When a chunk was last used, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastUse {
    pub(crate) chunk: ChunkId,
    pub(crate) used: i64,
}

/// The places of some keys, and the chunks that were met on the way.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) places: Vec<Place>,
    pub(crate) uses: Vec<LastUse>,
}

/// A prefix is part of a SHA-256: as good as any hash of it.
#[derive(Default)]
struct PrefixHasher(u64);

impl Hasher for PrefixHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_i64(&mut self, prefix: i64) {
        self.0 = prefix.cast_unsigned();
    }
}

type ByPrefix<T> = HashMap<Prefix, T, BuildHasherDefault<PrefixHasher>>;

/// Plans within the connection's current transaction.
pub(crate) fn plan(connection: &Connection, keys: &[CacheKey]) -> rusqlite::Result<Plan> {
    let mut index = connection.prepare_cached(CHUNK_OF_PREFIX)?;
    let mut chunks = connection.prepare_cached(CHUNK)?;
    let mut known: ByPrefix<Location> = HashMap::default();
    let mut met: HashMap<ChunkId, ()> = HashMap::new();
    let mut plan = Plan::default();
    plan.places.reserve(keys.len());
    for key in keys {
        let prefix = Prefix::of(key);
        if let Some(location) = known.get(&prefix) {
            plan.places.push(Place::At(location.clone()));
            continue;
        }
        let chunk = index.query_row([prefix], |row| row.get(0)).optional()?;
        let Some(chunk) = chunk else {
            plan.places.push(Place::Absent);
            continue;
        };
        if met.insert(chunk, ()).is_none() {
            let found = chunks.query_row([chunk], |row| Ok(directory_and_use(row)));
            if let Some((directory, used)) = found.optional()? {
                plan.uses.push(LastUse { chunk, used });
                known.extend(locations(chunk, &directory));
            }
        }
        let location = known.get(&prefix).cloned();
        plan.places.push(location.map_or(Place::Dangling, Place::At));
    }
    Ok(plan)
}

/// The place of one key, from the index alone.
pub(crate) fn place(connection: &Connection, key: &CacheKey) -> rusqlite::Result<Place> {
    let plan = plan(connection, std::slice::from_ref(key))?;
    Ok(plan.places.into_iter().next().unwrap_or(Place::Absent))
}

/// Whether the index has an entry for a key, sound or not.
pub(crate) fn is_listed(connection: &Connection, key: &CacheKey) -> rusqlite::Result<bool> {
    let mut index = connection.prepare_cached(CHUNK_OF_PREFIX)?;
    index.exists([Prefix::of(key)])
}

/// A damaged directory is an empty one.
fn directory_and_use(row: &rusqlite::Row<'_>) -> (Directory, i64) {
    (row.get(0).unwrap_or_default(), row.get(1).unwrap_or_default())
}

fn locations(
    chunk: ChunkId,
    directory: &Directory,
) -> impl Iterator<Item = (Prefix, Location)> + '_ {
    let chunk_len = directory.data_len();
    directory.iter().map(move |(prefix, range)| {
        let location = Location { chunk, chunk_len, range };
        (prefix, location)
    })
}

//! A place-holder for the storage: a table in memory.

use crate::storage::{
    Conflict, LookupCounts, Next, Published, Storage, StorageError, StorageStats, StoredEntry,
};
use proto::coding::Decoder;
use proto::{Coded, Namespace};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use stencil::CacheKey;

type Table = HashMap<(Namespace, CacheKey), Coded>;

/// Entries in memory.
#[derive(Debug, Default)]
pub struct Standin(Mutex<Table>);

impl Standin {
    /// An empty one; makes sure of the directory as a real one would.
    ///
    /// # Errors
    ///
    /// [`StorageError::Io`].
    pub fn open(dir: &std::path::Path) -> Result<Self, StorageError> {
        let what = || format!("cannot write to the data directory {}", dir.display());
        let probe = dir.join(".probe");
        let written = std::fs::create_dir_all(dir)
            .and_then(|()| std::fs::write(&probe, b""))
            .and_then(|()| std::fs::remove_file(&probe));
        written.map_err(|error| StorageError::Io { what: what(), error })?;
        Ok(Self::default())
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(coded: &Coded) -> [u8; 32] {
    Sha256::digest(Decoder::new().decode(coded).unwrap_or_default()).into()
}

impl Storage for Standin {
    fn lookup(
        &self,
        namespace: &Namespace,
        keys: &[CacheKey],
        found: &mut dyn FnMut(u32, Coded) -> Next,
    ) -> LookupCounts {
        let mut counts = LookupCounts { keys: keys.len() as u64, ..LookupCounts::default() };
        for (index, key) in keys.iter().enumerate() {
            let coded = self.table().get(&(namespace.clone(), *key)).cloned();
            if let Some(coded) = coded {
                counts.hits += 1;
                counts.hot_hits += 1;
                if found(index as u32, coded) == Next::Stop {
                    break;
                }
            }
        }
        counts
    }

    fn find_missing(&self, namespace: &Namespace, keys: &[CacheKey]) -> Vec<u32> {
        let table = self.table();
        let keys = keys.iter().enumerate();
        let missing = keys.filter(|(_, key)| !table.contains_key(&(namespace.clone(), **key)));
        missing.map(|(index, _)| index as u32).collect()
    }

    fn publish(
        &self,
        namespace: &Namespace,
        entries: Vec<StoredEntry>,
        replace: bool,
    ) -> Result<Published, StorageError> {
        let mut published = Published::default();
        let mut table = self.table();
        for StoredEntry { key, coded } in entries {
            let place = (namespace.clone(), key);
            match table.get(&place) {
                Some(stored) if !replace => {
                    let (stored, offered) = (digest(stored), digest(&coded));
                    if stored == offered {
                        published.already_there += 1;
                    } else {
                        published.conflicts.push(Conflict { key, stored, offered });
                    }
                }
                _ => {
                    published.stored += 1;
                    published.stored_bytes += u64::from(coded.entry_bytes);
                    table.insert(place, coded);
                }
            }
        }
        Ok(published)
    }

    fn stats(&self) -> StorageStats {
        let table = self.table();
        let mut stats = StorageStats { entries: table.len() as u64, ..StorageStats::default() };
        let mut namespaces = HashMap::<Namespace, (u64, u64)>::new();
        for ((namespace, _), coded) in table.iter() {
            stats.entry_bytes += u64::from(coded.entry_bytes);
            stats.stored_bytes += coded.data.len() as u64;
            let sums = namespaces.entry(namespace.clone()).or_default();
            sums.0 += 1;
            sums.1 += coded.data.len() as u64;
        }
        let namespaces = namespaces.into_iter().map(|(name, sums)| (name, sums.0, sums.1));
        stats.namespaces = namespaces.collect();
        stats
    }

    fn close(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

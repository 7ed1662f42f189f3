//! A server with a size cap, and three times as many bytes as it may keep -> what
//! each byte that it has kept takes on the disk, before and after a restart.
//!
//! The entries are those of the mix under other keys, sealed anew for each of
//! them, so that they compress as real ones do.

use crate::cache_directory::blocks_bytes;
use crate::farm::memory_bound::memory_bound_bytes;
use crate::farm::mix::Mix;
use crate::farm::publish::{Published, Publisher};
use crate::figures::ratio;
use crate::server_process::ServerProcess;
use crate::stage_inputs::unsealed;
use anyhow::{Result, ensure};
use cache_client::remote::{RemoteConfig, RemoteStore, ServerConfig};
use proto::Namespace;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::time::Duration;
use stencil::{CacheKey, CacheStore as _, Lookup, NewEntry, entry};

/// How many times the cap is published.
const TIMES: u64 = 3;

/// The newest entries, which are looked up afterwards: a small part of any cap.
const NEWEST: usize = 256;

/// What a server keeps, and what that takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Entries.
    pub entries: u64,
    /// Their bytes, compressed.
    pub stored_bytes: u64,
    /// What the server says that its files have.
    pub disk_bytes: u64,
    /// The blocks of all files of its directory.
    pub blocks_bytes: u64,
    /// Those blocks for each stored byte.
    pub blocks_per_stored: Option<f64>,
    /// Of the newest entries, how many a lookup has found and opened.
    pub newest_found: u64,
    /// The process's largest resident set so far.
    pub peak_rss_bytes: u64,
    /// The memory that the server says it takes at most.
    pub memory_bound_bytes: u64,
}

/// What became of three times the cap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turnover {
    /// The cap.
    pub size_max: u64,
    /// What was published; the time includes making the entries.
    pub published: Published,
    /// Entries that the server has removed again.
    pub evicted: u64,
    /// Of the newest entries, how many were asked for.
    pub newest: u64,
    /// With the server that has taken them.
    pub before_restart: Kept,
    /// With one that was started on the same directory.
    pub after_restart: Kept,
}

/// Publishes three times the cap, and looks at the disk.
///
/// # Errors
///
/// If the server fails, does not take an entry, or has lost one of the newest.
pub fn turn_over(binary: &Path, mix: &Mix, size_max_mib: u64) -> Result<Turnover> {
    let directory = tempfile::Builder::new().prefix("farm-").tempdir()?;
    let data_dir = directory.path().join("data");
    let size_max = size_max_mib << 20;
    let flag = format!("{size_max_mib}MiB");
    let flags = ["--size-max", flag.as_str()];
    let namespace = Namespace::new("turnover", mix.fingerprint)?;

    let server = ServerProcess::start(binary, &data_dir, &flags)?;
    let (published, newest) = fill(&server.url, &namespace, mix, size_max * TIMES)?;
    let evicted = server.stats()?.evicted;
    let before_restart = Kept::of(&server, &data_dir, &namespace, &newest)?;
    server.process.stop()?;
    let server = ServerProcess::start(binary, &data_dir, &flags)?;
    let after_restart = Kept::of(&server, &data_dir, &namespace, &newest)?;
    server.process.stop()?;
    for kept in [&before_restart, &after_restart] {
        ensure!(kept.newest_found == newest.len() as u64, "newest entries are lost: {kept:?}");
    }
    let newest = newest.len() as u64;
    Ok(Turnover { size_max, published, evicted, newest, before_restart, after_restart })
}

/// Publishes at least this many bytes, compressed; and the newest keys.
fn fill(
    url: &str,
    namespace: &Namespace,
    mix: &Mix,
    wire_bytes: u64,
) -> Result<(Published, Vec<CacheKey>)> {
    let mut publisher = Publisher::new(url, namespace)?;
    let mut newest = std::collections::VecDeque::new();
    let mut round: u64 = 0;
    while publisher.wire_bytes() < wire_bytes {
        for old in mix.entries() {
            let new = under_another_key(old, round)?;
            newest.push_back(new.key);
            if newest.len() > NEWEST {
                newest.pop_front();
            }
            publisher.push(new)?;
            if publisher.wire_bytes() >= wire_bytes {
                break;
            }
        }
        round += 1;
    }
    Ok((publisher.finish()?, newest.into()))
}

/// The same code under a key that follows from the old one.
fn under_another_key(old: &NewEntry, round: u64) -> Result<NewEntry> {
    let mut hash = Sha256::new();
    hash.update(round.to_le_bytes());
    hash.update(old.key.as_bytes());
    let key = CacheKey::from_bytes(hash.finalize().into());
    let stencil = unsealed(&entry::open(&old.key, &old.bytes)?);
    Ok(NewEntry { key, bytes: entry::seal(&key, &stencil)? })
}

impl Kept {
    fn of(
        server: &ServerProcess,
        data_dir: &Path,
        namespace: &Namespace,
        newest: &[CacheKey],
    ) -> Result<Self> {
        let stats = server.stats()?;
        let blocks_bytes = blocks_bytes(data_dir)?;
        let server_config = ServerConfig::new(&server.url);
        let budget = Duration::from_secs(60);
        let config = RemoteConfig { server: server_config, namespace: namespace.clone(), budget };
        let answers = RemoteStore::open(config)?.lookup(newest);
        let opened = newest.iter().zip(answers).filter(|(key, answer)| match answer {
            Lookup::Hit(bytes, _) => entry::open(key, bytes).is_ok(),
            Lookup::Miss(_) => false,
        });
        Ok(Self {
            entries: stats.entries,
            stored_bytes: stats.stored_bytes,
            disk_bytes: stats.disk_bytes,
            blocks_bytes,
            blocks_per_stored: ratio(blocks_bytes as f64, stats.stored_bytes as f64),
            newest_found: opened.count() as u64,
            peak_rss_bytes: server.process.peak_rss_bytes()?,
            memory_bound_bytes: memory_bound_bytes(&stats),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stencil::StencilBuilder;

    #[test]
    fn another_key_has_the_same_code_and_each_round_its_own() {
        let key = CacheKey::from_bytes([1; 32]);
        let stencil = StencilBuilder::new(vec![9; 300], 16, 0, 0);
        let old = NewEntry { key, bytes: entry::seal(&key, &stencil).unwrap() };
        let [one, two] = [0, 1].map(|round| under_another_key(&old, round).unwrap());
        assert!(one.key != two.key && one.key != key);
        let code =
            |entry: &NewEntry| entry::open(&entry.key, &entry.bytes).unwrap().code().to_vec();
        assert_eq!((code(&one), code(&two)), (code(&old), code(&old)));
    }
}

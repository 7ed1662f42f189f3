//! A module's keys and entries <-> a file, so that it is compiled once and not
//! in every run.
//!
//! ```text
//! "FARM0001" | keys: u64 | 32 bytes each | entries: u64 | each: u64 length, bytes
//! ```
//!
//! Invariant: a file that is not whole, or has an entry that its checksum does
//! not pass, is no file; the module is compiled again.

use crate::artifact;
use sha2::{Digest as _, Sha256};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use stencil::{CacheKey, Fingerprint, NewEntry, entry};

const MAGIC: &[u8; 8] = b"FARM0001";

/// The file of a module. Its name has all that its content follows from.
pub fn place(directory: &Path, wasm: &[u8], fingerprint: &Fingerprint) -> PathBuf {
    let digest: [u8; 32] = Sha256::digest(wasm).into();
    directory.join(format!("{}-{}.mix", CacheKey::from_bytes(digest), fingerprint.short()))
}

/// What [`write`] has written; `None` if there is no such file.
pub fn read(file: &Path) -> Option<(Vec<CacheKey>, Vec<NewEntry>)> {
    let bytes = bytes::Bytes::from(std::fs::read(file).ok()?);
    let mut rest = &bytes[..];
    (take::<8>(&mut rest)? == *MAGIC).then_some(())?;
    let count = u64::from_le_bytes(take(&mut rest)?);
    let keys: Option<Vec<_>> =
        (0..count).map(|_| Some(CacheKey::from_bytes(take(&mut rest)?))).collect();
    let count = u64::from_le_bytes(take(&mut rest)?);
    let entries: Option<Vec<_>> = (0..count)
        .map(|_| {
            let len = usize::try_from(u64::from_le_bytes(take(&mut rest)?)).ok()?;
            let (entry, tail) = rest.split_at_checked(len)?;
            rest = tail;
            Some(NewEntry { key: entry::key_of(entry).ok()?, bytes: bytes.slice_ref(entry) })
        })
        .collect();
    rest.is_empty().then_some(())?;
    Some((keys?, entries?))
}

/// Writes the file, whole or not at all.
///
/// # Errors
///
/// If the directory cannot be written.
pub fn write(file: &Path, keys: &[CacheKey], entries: &[NewEntry]) -> anyhow::Result<()> {
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory)?;
    }
    artifact::write_with(file, |file| {
        let mut file = BufWriter::new(file);
        file.write_all(MAGIC)?;
        file.write_all(&(keys.len() as u64).to_le_bytes())?;
        keys.iter().try_for_each(|key| file.write_all(key.as_bytes()))?;
        file.write_all(&(entries.len() as u64).to_le_bytes())?;
        for entry in entries {
            file.write_all(&(entry.bytes.len() as u64).to_le_bytes())?;
            file.write_all(&entry.bytes)?;
        }
        Ok(file.flush()?)
    })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stencil::StencilBuilder;

    fn entry(byte: u8) -> NewEntry {
        let key = CacheKey::from_bytes([byte; 32]);
        let stencil = StencilBuilder::new(vec![byte; 100], 16, 0, 0);
        NewEntry { key, bytes: entry::seal(&key, &stencil).unwrap() }
    }

    #[test]
    fn a_module_comes_back_and_a_damaged_one_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = place(directory.path(), b"wasm", &Fingerprint::from_bytes([7; 32]));
        assert!(read(&file).is_none());

        let entries = vec![entry(1), entry(2)];
        let keys: Vec<_> = entries.iter().map(|entry| entry.key).collect();
        write(&file, &keys, &entries).unwrap();
        assert_eq!(read(&file), Some((keys, entries)));

        let good = std::fs::read(&file).unwrap();
        let mut bad = good.clone();
        bad[good.len() - 50] ^= 1;
        for bytes in [bad.as_slice(), &good[..good.len() - 1], &[&good[..], b"x"].concat()] {
            std::fs::write(&file, bytes).unwrap();
            assert!(read(&file).is_none());
        }
    }
}

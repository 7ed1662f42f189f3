//! New entries -> records behind the last ones, and the runs that say so.
//!
//! Invariant: until [`Appended`] is committed nobody finds any of it, and
//! [`Appended::undo`] leaves the packs as they were.

use crate::storage::StorageError;
use crate::storage::pack::{Pack, PackId, Place, sync_dir};
use crate::storage::record::{NamespaceId, put_entry, put_name, record_len};
use crate::storage::run::{Item, Runs};
use crate::storage::seal::Secret;
use crate::storage::stage::New;
use proto::Namespace;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The pack that grows.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) pack: Arc<Pack>,
    /// The namespaces whose names stand in it.
    named: HashSet<NamespaceId>,
    /// With what is not yet committed, in bytes.
    len: u64,
}

impl Active {
    /// A pack that can take more.
    pub(crate) fn new(pack: Arc<Pack>) -> Self {
        let len = pack.len();
        Self { pack, named: HashSet::new(), len }
    }
}

/// Where new packs are made.
#[derive(Debug)]
pub(crate) struct Packs {
    pub(crate) dir: PathBuf,
    pub(crate) secret: Secret,
    pub(crate) pack_bytes: u64,
    pub(crate) next: PackId,
    pub(crate) active: Option<Active>,
}

/// What was appended.
#[derive(Debug, Default)]
pub(crate) struct Appended {
    pub(crate) runs: Runs,
    /// Where each of the new entries is.
    pub(crate) places: Vec<Place>,
    /// The packs, with their lengths before and after.
    pub(crate) grown: Vec<Grown>,
}

/// A pack that has grown.
#[derive(Debug)]
pub(crate) struct Grown {
    pub(crate) pack: Arc<Pack>,
    before: u64,
    pub(crate) after: u64,
}

impl Appended {
    /// Takes everything back, as far as the disk lets it; what stays behind is
    /// found and taken up at the next start.
    pub(crate) fn undo(&self, dir: &Path) {
        for Grown { pack, before, .. } in &self.grown {
            let undone = if *before == 0 { pack.remove() } else { pack.cut(*before) };
            if let Err(error) = undone {
                tracing::warn!(%error, "a pack keeps what could not be committed");
            }
        }
        let _ = sync_dir(dir);
    }
}

impl Packs {
    /// Appends the entries with one write for each pack.
    ///
    /// # Errors
    ///
    /// A file's; `appended` tells what to undo.
    pub(crate) fn append<'a>(
        &mut self,
        new: &[New],
        name_of: impl Fn(NamespaceId) -> Option<&'a Namespace>,
        appended: &mut Appended,
    ) -> Result<(), StorageError> {
        let mut buffer = Vec::new();
        for entry in new {
            let full = self.active.as_ref().is_some_and(|active| {
                active.len > 0 && active.len + record_len(&entry.coded) as u64 > self.pack_bytes
            });
            if full {
                self.flush(&mut buffer)?;
                self.active = None;
            }
            let secret = self.secret;
            let active = self.active(appended)?;
            let id = active.pack.id;
            if active.named.insert(entry.namespace)
                && let Some(name) = name_of(entry.namespace)
            {
                let from = buffer.len();
                let place = Place { pack: id, offset: active.len as u32, len: 0 };
                put_name(&mut buffer, secret.seal(place), entry.namespace, name);
                let len = (buffer.len() - from) as u32;
                appended.runs.push(id, active.len as u32, entry.namespace, Item::dead(len));
                active.len += u64::from(len);
            }
            let len = record_len(&entry.coded) as u32;
            let place = Place { pack: id, offset: active.len as u32, len };
            let seal = secret.seal(place);
            put_entry(&mut buffer, seal, entry.namespace, &entry.key, &entry.coded);
            let item = Item::entry(entry.prefix(), len, entry.coded.entry_bytes);
            appended.runs.push(id, place.offset, entry.namespace, item);
            appended.places.push(place);
            active.len += u64::from(len);
            if let Some(grown) = appended.grown.last_mut() {
                grown.after = active.len;
            }
        }
        self.flush(&mut buffer)
    }

    /// The pack that grows, as one of those that have grown.
    fn active(&mut self, appended: &mut Appended) -> Result<&mut Active, StorageError> {
        if self.active.is_none() {
            let id = self.next;
            self.next = PackId(id.0 + 1);
            self.active = Some(Active::new(Arc::new(Pack::create(&self.dir, id, self.secret)?)));
        }
        let Some(active) = &mut self.active else { return Err(StorageError::Closed) };
        if appended.grown.last().is_none_or(|grown| grown.pack.id != active.pack.id) {
            let (pack, before) = (active.pack.clone(), active.pack.len());
            appended.grown.push(Grown { pack, before, after: before });
        }
        Ok(active)
    }

    fn flush(&mut self, buffer: &mut Vec<u8>) -> Result<(), StorageError> {
        if let Some(active) = &self.active
            && !buffer.is_empty()
        {
            active.pack.append(active.len - buffer.len() as u64, buffer)?;
            buffer.clear();
        }
        Ok(())
    }
}

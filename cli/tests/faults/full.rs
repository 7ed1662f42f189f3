//! A disk that is really full, at every size up to the one that is enough -> rows; and entries that
//! are larger than a tier allows.

use crate::module::Module;
use crate::shim::Place;
use crate::table::{Row, Trial};
use crate::tier::{compile_on_disk, compile_on_disk_of};
use cache_client::MemoryStore;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Steps in which the disk grows, in KiB: a page of the system.
const STEP_KIB: usize = 4;

pub fn rows(module: &Module) -> Vec<Row> {
    vec![full_disk(module), too_large_for_disk(module), too_large_for_memory(module)]
}

fn mount(dir: &Path, options: &str) -> bool {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir);
    mount.output().is_ok_and(|output| output.status.success())
}

/// A file system of its own; it goes when this does.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0).output().ok();
    }
}

fn full_disk(module: &Module) -> Row {
    let mut row = Row::new("disk full, a tmpfs of each size", "disk");
    for kib in (STEP_KIB..).step_by(STEP_KIB) {
        let place = Place::new(module);
        let disk = place.cache.parent().unwrap();
        if !mount(disk, &format!("size={kib}k,mode=700")) {
            return row.noted("SKIPPED: a tmpfs cannot be mounted here");
        }
        let _mounted = Mounted(disk);
        let under = place.run(module, place.command());
        let enough = !under.is_loud();
        assert!(mount(disk, "remount,size=64m"), "it grows");
        let what = format!("{kib} KiB");
        let trial = Trial::new(&what, under, || compile_on_disk(module, &place.cache));
        if enough && trial.next.misses == 0 {
            break;
        }
        row.add(trial.warm(false));
        assert!(kib < 16 << 10, "it is never enough");
    }
    row
}

/// Limits from none at all to one that is enough.
fn too_large_for_disk(module: &Module) -> Row {
    let mut row = Row::new("entries over the tier's limits", "disk");
    for size_max in (0..=12).map(|power| 64 << power) {
        let dir = tempfile::tempdir().unwrap();
        fs::remove_dir(dir.path()).unwrap();
        let under = compile_on_disk_of(module, dir.path(), size_max);
        if under.stored == module.entries.len() as u64 {
            continue;
        }
        let what = format!("{size_max} bytes");
        let trial = Trial::new(&what, under, || compile_on_disk(module, dir.path()));
        row.add(trial.warm(false));
    }
    row
}

fn too_large_for_memory(module: &Module) -> Row {
    let mut row = Row::new("entries over the tier's limits", "memory");
    for bytes_max in [0, 100, 200, 300] {
        let under = module.compile(&MemoryStore::new(bytes_max));
        let store = MemoryStore::new(64 << 20);
        let what = format!("{bytes_max} bytes");
        let happened = under.stored < module.entries.len() as u64;
        let trial = Trial::new(&what, under, || module.compile(&store));
        row.add(Trial { happened, ..trial.warm(false) });
    }
    row
}

//! Compiles under faults -> one table: after every fault the right bytes, a counted reason, and a
//! cache that works again.
//!
//! The oracle of the bytes is the `wasmtime` crate. A fault is *silent* if something was lost -
//! an entry that was there, or one that was to be kept - and neither the compile under the fault nor
//! the next one says so with a reason other than `absent`, a refusal, a conflict or a warning. The
//! harness fails on a silent fault as it does on wrong bytes, and on a fault that did not happen.
//!
//! `STENCIL_FAULTS=GROUP,..` runs some groups only; `STENCIL_FAULTS_MORE=1` tries every point where
//! the default takes steps. `docs/faults.md` holds the table.

#[path = "../command/sandbox.rs"]
#[expect(dead_code, reason = "the other tests use the rest of it")]
mod sandbox;
#[path = "../command/server.rs"]
#[expect(dead_code, reason = "the other tests use the rest of it")]
mod server;

mod entries;
mod module;
mod table;
mod tier;

mod shim;

mod bytes;
mod claims;
mod clock;
mod directory;
mod files;
mod full;
mod kill;
mod packs;
mod server_files;
mod swapped;

use module::Module;
use std::sync::Mutex;
use table::{Row, Table};

/// A name to choose it by, and what makes its rows.
type Group = (&'static str, fn(&Module) -> Vec<Row>);

/// The longest first: two at once, they end together.
const GROUPS: [Group; 12] = [
    ("files", files::rows),
    ("server-files", server_files::rows),
    ("remote-bytes", bytes::remote_rows),
    ("directory", directory::rows),
    ("disk-bytes", bytes::disk_rows),
    ("packs", packs::rows),
    ("kill", kill::rows),
    ("claims", claims::rows),
    ("swapped", swapped::rows),
    ("clock", clock::rows),
    ("full", full::rows),
    ("memory-bytes", bytes::memory_rows),
];

const THREADS: usize = 2;

/// Whether every point is to be tried.
fn more() -> bool {
    std::env::var_os("STENCIL_FAULTS_MORE").is_some()
}

#[test]
fn every_fault_is_survived_and_none_is_silent() {
    let chosen = std::env::var("STENCIL_FAULTS").unwrap_or_default();
    let chosen = |name: &str| chosen.is_empty() || chosen.split(',').any(|group| group == name);
    let module = Module::small();
    let waiting = Mutex::new(GROUPS.iter().enumerate().filter(|(_, (name, _))| chosen(name)));
    let table = Mutex::new(Table::default());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap().next();
                    let Some((place, (name, rows))) = next else { break };
                    let started = std::time::Instant::now();
                    let rows = rows(&module);
                    eprintln!("{name}: {:.1} s", started.elapsed().as_secs_f64());
                    table.lock().unwrap().add(place, rows);
                }
            });
        }
    });
    let table = table.into_inner().unwrap();
    println!("{table}");
    table.assert_survived();
}

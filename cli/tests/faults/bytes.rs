//! Every byte of every entry damaged, every length that an entry can be cut to -> rows, one set a
//! tier.

use crate::entries::{damaged, resized, with};
use crate::module::Module;
use crate::more;
use crate::table::{Row, Trial};
use crate::tier::{Disk, Memory, Remote, State, Tier, chunk, compile_on_disk};
use proto::Coded;
use proto::coding::Encoder;
use stencil::NewEntry;

/// How much longer an entry is than it should be.
const TAILS: [usize; 5] = [1, 2, 7, 64, 4096];

pub fn memory_rows(module: &Module) -> Vec<Row> {
    rows(module, &Memory, 1)
}

pub fn disk_rows(module: &Module) -> Vec<Row> {
    let tier = Disk::new(module);
    let mut rows = rows(module, &tier, at_once(module));
    rows.push(directory_damaged(module, &tier));
    rows.push(chunk_cut(module, &tier));
    rows
}

pub fn remote_rows(module: &Module) -> Vec<Row> {
    let tier = Remote::new(module);
    let mut rows = rows(module, &tier, at_once(module));
    rows.push(wire_damaged(module, &tier));
    rows
}

/// A compile takes some 10 ms here, so one compile is under a fault in each entry. Each of them has
/// to be missed and counted.
fn at_once(module: &Module) -> usize {
    if more() { 1 } else { module.entries.len() }
}

fn rows<T: Tier>(module: &Module, tier: &T, at_once: usize) -> Vec<Row> {
    let lens = || module.entries.iter().map(|entry| entry.bytes.len());
    let longest = lens().max().unwrap();
    let run = |fault: &str, places, change: &dyn Fn(&NewEntry, usize) -> Option<NewEntry>| {
        let mut row = Row::new(fault, T::NAME);
        for place in 0..places {
            let changed = module.entries.iter().filter_map(|entry| change(entry, place));
            let changed: Vec<NewEntry> = changed.collect();
            for some in changed.chunks(at_once) {
                let state = tier.holding(module, &with(&module.entries, some));
                check(&mut row, &*state, &format!("place {place}"), some.len());
            }
        }
        row
    };
    let bytes = run("one byte of an entry", longest, &|entry, at| {
        (at < entry.bytes.len()).then(|| damaged(entry, at, 1 << (at % 8)))
    });
    let cut = run("an entry cut to a length", longest, &|entry, len| {
        (len < entry.bytes.len()).then(|| resized(entry, len))
    });
    let longer = run("an entry with a tail", TAILS.len(), &|entry, tail| {
        Some(resized(entry, entry.bytes.len() + TAILS[tail]))
    });
    let all: usize = lens().sum();
    assert_eq!((bytes.tried(), cut.tried()), (all as u64, all as u64), "every byte");
    vec![bytes, cut, longer]
}

/// Compiles on a state in which so many entries are not sound. Each of them is a miss, or the
/// damage has not reached the compiler.
pub fn check(row: &mut Row, state: &dyn State, what: &str, faults: usize) {
    let under = state.compile();
    state.mend();
    let (faults, happened) = (faults as u64, under.misses == faults as u64);
    row.add(Trial { faults, happened, ..Trial::new(what, under, || state.compile()) });
}

/// The bytes that say where in the chunk each entry starts: one wrong length moves all entries
/// behind it.
fn directory_damaged(module: &Module, tier: &Disk) -> Row {
    let mut row = Row::new("one byte of a chunk's directory", "disk");
    let (sound, data) = chunk(&module.entries);
    for at in 0..sound.len() {
        let mut directory = sound.clone();
        directory[at] ^= 1 << (at % 8);
        let dir = tier.rewritten(&directory, &data);
        let compile = || compile_on_disk(module, dir.path());
        let (what, under) = (format!("byte {at}"), compile());
        let happened = under.misses > 0;
        row.add(Trial { happened, ..Trial::new(&what, under, compile) });
    }
    row
}

/// The chunk's data has not the length that its directory says.
fn chunk_cut(module: &Module, tier: &Disk) -> Row {
    let mut row = Row::new("a chunk of another length", "disk");
    let (directory, sound) = chunk(&module.entries);
    let step = if more() { 1 } else { 16 };
    for len in (0..sound.len()).step_by(step).chain([sound.len() + 1, sound.len() + 100_000]) {
        let mut data = sound.clone();
        data.resize(len, 0);
        let dir = tier.rewritten(&directory, &data);
        let compile = || compile_on_disk(module, dir.path());
        let (what, under) = (format!("{len} bytes"), compile());
        let happened = under.misses > 0;
        row.add(Trial { happened, ..Trial::new(&what, under, compile) });
    }
    row
}

/// Entries as they travel: compressed. A stream that cannot be decoded is given up, so there is one
/// such entry a compile.
fn wire_damaged(module: &Module, tier: &Remote) -> Row {
    let mut row = Row::new("one byte of a compressed entry on its way", "remote");
    let mut encoder = Encoder::new();
    let step = if more() { 1 } else { 7 };
    for entry in &module.entries {
        let sound = encoder.encode(&entry.bytes).unwrap();
        for at in (0..sound.data.len()).step_by(step) {
            let mut data = sound.data.to_vec();
            data[at] ^= 1 << (at % 8);
            let coded = Coded { data: data.into(), ..sound };
            let state = tier.answering(module, [(entry.key, coded)]);
            let (under, what) = (state.compile(), format!("byte {at} of {}", entry.key));
            state.mend();
            // Misses do not tell that it did happen: zstd's header has bits that mean nothing.
            row.add(Trial::new(&what, under, || state.compile()));
        }
    }
    row
}

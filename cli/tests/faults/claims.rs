//! Entries that claim to be larger than they are, sealed, under a limit on the process's memory ->
//! rows.
//!
//! The limit is the smallest under which the command compiles at all, and a half; for a server
//! also what one message may hold. Whatever believed one of these claims would end the process.

use crate::entries::overwritten;
use crate::module::{Module, Seen};
use crate::shim::Place;
use crate::table::{Row, Trial};
use crate::tier::{Disk, Remote, Tier as _, chunk, compile_on_disk};
use oracle::seal::{CODE_LEN_AT, METADATA_LEN_AT, metadata_at};
use proto::coding::{Coded, Encoder};
use proto::limits::ENTRY_BYTES_MAX;
use proto::v1::Coding;
use rusqlite::Connection;
use std::process::Command;
use stencil::NewEntry;

pub fn rows(module: &Module) -> Vec<Row> {
    let (disk, remote) = (Disk::new(module), Remote::new(module));
    let on_disk_kib = limit_kib(module);
    // A client may take as much as one message has, and what it decodes to.
    let messages_kib = 2 * (ENTRY_BYTES_MAX as u64 >> 10);
    let on_server_kib = on_disk_kib + messages_kib;
    vec![
        on_disk(module, &disk, on_disk_kib),
        larger_than_allowed(module, &disk, on_disk_kib),
        on_server(module, &remote, on_server_kib),
        compressed(module, &remote, on_server_kib),
    ]
}

fn server(remote: &Remote) -> [String; 4] {
    let budget = ["--remote-budget-ms", "60000"].map(str::to_owned);
    let [budget, ms] = budget;
    ["--server".to_owned(), remote.url(), budget, ms]
}

fn limited(place: &Place, limit_kib: u64) -> Command {
    let mut sh = Command::new("sh");
    let script = format!("ulimit -v {limit_kib} && exec \"$0\" \"$@\"");
    sh.args(["-c", &script, env!("CARGO_BIN_EXE_stencil")]);
    // Else each thread that happens to allocate beside another one reserves 64 MiB of addresses.
    sh.env("MALLOC_ARENA_MAX", "1");
    place.through(sh)
}

/// The limit, in KiB, and the control: with less the command does not get through.
fn limit_kib(module: &Module) -> u64 {
    let mut limit = 4 << 10;
    let mut failed = 0;
    loop {
        let place = Place::new(module);
        if place.run(module, limited(&place, limit)).wrong.is_none() {
            break;
        }
        (failed, limit) = (limit, limit * 5 / 4);
    }
    assert!(failed > 0 && limit < 2 << 20, "{limit} KiB");
    limit * 3 / 2
}

/// The places of an entry's lengths and counts, how wide they are, and what the field is.
fn claims(entry: &NewEntry) -> Vec<(usize, usize)> {
    let mut places = vec![(CODE_LEN_AT, 4), (METADATA_LEN_AT, 4)];
    let number = |at: usize| u32::from_le_bytes(entry.bytes[at..at + 4].try_into().unwrap());
    // As `Metadata` in `stencil/src/compiled.rs` is written: alignment, a flag, three counts, six
    // tables of a count and bytes, and three more.
    let mut at = metadata_at(&entry.bytes);
    places.push((at, 4));
    places.extend([(at + 5, 4), (at + 9, 4), (at + 13, 4)]);
    at += 17;
    for _ in 0..6 {
        places.extend([(at, 4), (at + 4, 8)]);
        at += 12 + number(at + 4) as usize;
    }
    places.push((at + 1, 8));
    at += 9 + number(at + 1) as usize;
    places.extend([(at, 4), (at + 5, 8)]);
    assert_eq!(at + 13 + number(at + 5) as usize, entry.bytes.len(), "the entry's end");
    places
}

const VALUES: [u64; 2] = [u64::MAX, 1 << 31];

/// All entries with the same false claim, for each claim.
fn false_claims(module: &Module) -> Vec<(String, Vec<NewEntry>)> {
    let count = claims(&module.entries[0]).len();
    let all = (0..count).flat_map(|nth| VALUES.map(|value| (nth, value)));
    let forge = |(nth, value): (usize, u64)| {
        let forge = |entry: &NewEntry| {
            let (at, width) = claims(entry)[nth];
            overwritten(entry, at, &value.to_le_bytes()[..width])
        };
        (format!("claim {nth} is {value}"), module.entries.iter().map(forge).collect())
    };
    all.map(forge).collect()
}

fn on_disk(module: &Module, disk: &Disk, limit_kib: u64) -> Row {
    let mut row = Row::new("a sealed entry's length or count is huge, `ulimit -v`", "disk");
    for (what, entries) in false_claims(module) {
        let (directory, data) = chunk(&entries);
        let dir = disk.rewritten(&directory, &data);
        let mut place = Place::new(module);
        place.cache = dir.path().to_owned();
        let under = place.run(module, limited(&place, limit_kib));
        let trial = Trial::new(&what, under, || compile_on_disk(module, dir.path()));
        row.add(Trial { faults: entries.len() as u64, ..trial });
    }
    row
}

/// An entry that says that it is larger than any may be, and is.
fn larger_than_allowed(module: &Module, disk: &Disk, limit_kib: u64) -> Row {
    let mut row = Row::new("an entry larger than the limits, `ulimit -v`", "disk");
    let (sound, _) = chunk(&module.entries[..1]);
    for len in [200u32 << 20, 300 << 20] {
        let mut directory = sound.clone();
        directory[8..12].copy_from_slice(&len.to_le_bytes());
        let dir = disk.rewritten(&directory, &[]);
        let connection = Connection::open(crate::tier::database(dir.path())).unwrap();
        connection.execute("UPDATE chunk_data SET data = zeroblob(?1)", [len]).unwrap();
        drop(connection);
        let mut place = Place::new(module);
        place.cache = dir.path().to_owned();
        let under = place.run(module, limited(&place, limit_kib));
        let (what, happened) = (format!("{len} bytes"), u64::from(len) > limit_kib << 10);
        let trial = Trial::new(&what, under, || compile_on_disk(module, dir.path()));
        row.add(Trial { happened, ..trial });
    }
    row
}

fn run_on_server(module: &Module, remote: &Remote, limit_kib: u64) -> Seen {
    let place = Place::new(module);
    let mut command = limited(&place, limit_kib);
    command.args(server(remote));
    place.run(module, command)
}

fn on_server(module: &Module, remote: &Remote, limit_kib: u64) -> Row {
    let mut row = Row::new("a sealed entry's length or count is huge, `ulimit -v`", "remote");
    for (what, entries) in false_claims(module) {
        let state = remote.holding(module, &entries);
        let under = run_on_server(module, remote, limit_kib);
        state.mend();
        let trial = Trial::new(&what, under, || state.compile());
        row.add(Trial { faults: entries.len() as u64, ..trial });
    }
    row
}

/// What a message declares, and what its data decodes to.
fn compressed(module: &Module, remote: &Remote, limit_kib: u64) -> Row {
    let mut row = Row::new("a compressed entry that is huge or says so, `ulimit -v`", "remote");
    let zeros = Encoder::new().encode(&vec![0; ENTRY_BYTES_MAX].into()).unwrap();
    let entry = &module.entries[0];
    let sound = Encoder::new().encode(&entry.bytes).unwrap();
    let max = ENTRY_BYTES_MAX as u32;
    let cases = [
        ("decodes to the limit", zeros.clone()),
        ("decodes to more than it says", Coded { entry_bytes: 100, ..zeros.clone() }),
        ("says the limit", Coded { entry_bytes: max, ..sound.clone() }),
        ("says more than the limit", Coded { entry_bytes: max + 1, ..sound.clone() }),
        ("says 4 GiB", Coded { entry_bytes: u32::MAX, ..sound.clone() }),
        ("is raw and says the limit", Coded { coding: Coding::Raw, entry_bytes: max, ..sound }),
    ];
    for (what, coded) in cases {
        let state = remote.answering(module, [(entry.key, coded)]);
        let under = run_on_server(module, remote, limit_kib);
        state.mend();
        row.add(Trial::new(what, under, || state.compile()));
    }
    row
}

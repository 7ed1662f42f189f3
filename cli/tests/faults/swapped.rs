//! Entries that are sound, and another key's -> rows; and the forged ones that no seal can tell.

use crate::bytes::check;
use crate::entries::{forged, replaced, with};
use crate::module::Module;
use crate::sandbox::Sandbox;
use crate::table::{Row, Trial};
use crate::tier::{Disk, Memory, Remote, Tier, chunk, compile_on_disk};
use std::fs;
use stencil::NewEntry;
use stencil::entry::HEADER_LEN;

pub fn rows(module: &Module) -> Vec<Row> {
    let (disk, remote) = (Disk::new(module), Remote::new(module));
    let mut rows = exchanged(module, &Memory);
    rows.extend(exchanged(module, &disk));
    rows.extend(exchanged(module, &remote));
    rows.extend(forged_rows(module, &disk));
    rows
}

/// All pairs of different entries, in order.
fn pairs(entries: &[NewEntry]) -> impl Iterator<Item = (&NewEntry, &NewEntry)> {
    let others = move |one| entries.iter().map(move |other| (one, other));
    entries.iter().flat_map(others).filter(|(one, other)| one.key != other.key)
}

/// What an entry holds behind its seal. Two functions may have the same, if where they store to is
/// all that they differ in.
fn payload(entry: &NewEntry) -> &[u8] {
    &entry.bytes[HEADER_LEN..]
}

fn exchanged<T: Tier>(module: &Module, tier: &T) -> Vec<Row> {
    let mut swapped = Row::new("two entries exchanged", T::NAME);
    let mut instead = Row::new("another key's entry", T::NAME);
    for (one, other) in pairs(&module.entries) {
        let what = format!("{} and {}", one.key, other.key);
        let (first, second) = (replaced(one, other), replaced(other, one));
        let state = tier.holding(module, &with(&module.entries, std::slice::from_ref(&first)));
        check(&mut instead, &*state, &what, 1);
        if one.key.as_bytes() < other.key.as_bytes() {
            let state = tier.holding(module, &with(&module.entries, &[first, second]));
            check(&mut swapped, &*state, &what, 2);
        }
    }
    vec![swapped, instead]
}

/// Another function's entry, sealed for this key: a wrong entry, and a well-formed one. Where it
/// has not the callees or the sources of the function, it does not fit. Where it has, nothing in
/// it tells; `stencil verify` compiles the function again, and does, and a compile that checks its
/// hits puts the right one there.
fn forged_rows(module: &Module, disk: &Disk) -> Vec<Row> {
    let mut unfit = Row::new("another function's entry, sealed for this key: does not fit", "disk");
    let mut fits = Row::new("another function's entry, sealed for this key: fits", "disk")
        .noted("**taken**: no seal can tell, the artifact is wrong; see the text");
    let sandbox = Sandbox::new();
    let wasm = sandbox.write("in.wasm", &module.wasm);
    let differ = |(one, other): &(&NewEntry, &NewEntry)| payload(one) != payload(other);
    for (one, other) in pairs(&module.entries).filter(differ) {
        let forged = with(&module.entries, &[forged(one, other)]);
        let (directory, data) = chunk(&forged);
        let dir = disk.rewritten(&directory, &data);
        let compile = || compile_on_disk(module, dir.path());
        let mut under = compile();
        let fitted = under.misses == 0;
        if fitted {
            let (input, cache) = (wasm.to_str().unwrap(), dir.path().to_str().unwrap());
            let verified = sandbox.run(&["verify", input, "--cache-dir", cache]);
            match (under.wrong.take(), verified.code) {
                (Some(_), Some(4)) => under.count("found by `stencil verify`", 1),
                found => under.wrong = Some(format!("{found:?}: {}", verified.stderr)),
            }
            let sampled = ["compile", input, "-o", "out.cwasm", "--verify-sample", "1/1"];
            sandbox.run(&[&sampled[..], &["--cache-dir", cache]].concat()).done();
            let mended = fs::read(sandbox.path("out.cwasm")).unwrap();
            assert!(mended == module.expected, "{} and {}: other bytes", one.key, other.key);
        }
        let (what, row) = (format!("{} and {}", one.key, other.key), &mut fits);
        let row = if fitted { row } else { &mut unfit };
        row.add(Trial::new(&what, under, compile));
    }
    vec![unfit, fits]
}

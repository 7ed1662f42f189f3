//! Bytes of any origin -> refused, or what was sealed; and whatever has a whole seal is read to
//! the end without a panic and within its bound of memory.
//!
//! ```text
//!  0      1      2
//!  +------+------+-------...
//!  | mode | base | edits          (see `edits`)
//!  +------+------+-------...
//!  | mode | bytes of an entry, of its metadata, or of a stencil
//!  +------+---------...
//!  | mode | choices of rows, for a builder to seal
//!  +------+---------...
//! ```

mod bases;
mod built;
mod edits;
mod reading;

use bases::{Bases, KEY, bases};
use oracle::allocations::peak;
use oracle::seal::{is_sealed, reseal};
use oracle::views::bound;
use reading::read;
use stencil::clif::{Splitter, restore};
use stencil::entry::{self, EntryError, HEADER_LEN, OpenEntry};
use stencil::{CacheKey, FunctionStencil, StencilKind};

/// What became of one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// The edits left the entry as it was, and it was read.
    Equal,
    /// It has a whole seal and is another entry; it was read.
    Read,
    /// It has a whole seal, and metadata that nobody can read.
    Malformed,
    /// It has no whole seal.
    Unsealed,
    /// A stencil: the function was restored.
    Restored,
    /// A stencil: refused.
    NoStencil,
}

/// Fails if an input is accepted that must not be, panics, or takes too much memory.
pub fn check(input: &[u8]) {
    fate(input);
}

fn fate(input: &[u8]) -> Fate {
    let bases = bases();
    let (&mode, rest) = input.split_first().unwrap_or((&0, &[]));
    match mode % 9 {
        0 => raw_entry(rest),
        1 => raw_metadata(rest),
        2 => stencil(rest),
        3 => edited_stencil(bases, rest),
        4 => edited_entry(bases, rest, Edited::Whole, false),
        5 => edited_entry(bases, rest, Edited::Whole, true),
        6 => edited_entry(bases, rest, Edited::Sections, true),
        7 => edited_entry(bases, rest, Edited::Tables, true),
        _ => entry(&KEY, &built::sealed(rest)),
    }
}

fn raw_entry(bytes: &[u8]) -> Fate {
    let echo = bytes.get(24..56).and_then(|key| key.try_into().ok());
    entry(&echo.map_or(KEY, CacheKey::from_bytes), bytes)
}

/// The bytes are metadata behind some code.
fn raw_metadata(bytes: &[u8]) -> Fate {
    let code_len = 32;
    let mut sealed = bases().frozen().bytes[..HEADER_LEN + code_len].to_vec();
    sealed.extend_from_slice(bytes);
    reseal(HEADER_LEN + code_len, &mut sealed);
    entry(&KEY, &sealed)
}

/// What the edits are of.
#[derive(Clone, Copy, PartialEq)]
enum Edited {
    /// One string of bytes.
    Whole,
    /// Header, code and each field of the metadata; lengths are made to fit.
    Sections,
    /// As `Sections`, without header and code.
    Tables,
}

fn edited_entry(bases: &Bases, input: &[u8], what: Edited, sealed: bool) -> Fate {
    let (&which, list) = input.split_first().unwrap_or((&0, &[]));
    let base = &bases.entries[usize::from(which) % bases.entries.len()];
    let mut bytes = base.bytes.to_vec();
    match &base.sections {
        Some(sections) if what != Edited::Whole => {
            let mut sections = sections.clone();
            let donors: Vec<_> =
                bases.entries.iter().filter_map(|base| base.sections.as_deref()).collect();
            edits::apply(list, &mut sections, what == Edited::Tables, &donors);
            bytes = bases::assemble(&sections);
        }
        _ => {
            let mut whole = [bytes];
            edits::apply(list, &mut whole, false, &[&bases.whole]);
            [bytes] = whole;
        }
    }
    if sealed && bytes.len() >= HEADER_LEN {
        oracle::seal::renew_checksum(&mut bytes);
    }
    let fate = entry(&base.key, &bytes);
    let same_checksum = bytes.get(8..24) == base.bytes.get(8..24);
    match fate {
        _ if bytes == *base.bytes => Fate::Equal,
        Fate::Read | Fate::Malformed => {
            assert!(sealed || !same_checksum, "damaged, and taken for whole: {bytes:02x?}");
            fate
        }
        _ => fate,
    }
}

/// What `entry` says of bytes, held against another reader of the header.
fn entry(key: &CacheKey, bytes: &[u8]) -> Fate {
    let sealed = is_sealed(key, bytes);
    let verified = entry::verify(key, bytes);
    assert_eq!(verified.is_ok(), sealed, "{verified:?} of {bytes:02x?}");
    let (opened, allocated) = peak(|| entry::open(key, bytes));
    match (opened, verified) {
        (Ok(stencil), Ok(())) => {
            assert_eq!(allocated, 0, "opening allocates");
            assert_eq!(entry::key_of(bytes), Ok(*key));
            read(&stencil, bytes.len());
            let kept = OpenEntry::open(key, bytes.to_vec().into()).expect("it was opened before");
            assert_eq!(kept.stencil(), stencil);
            Fate::Read
        }
        (Err(EntryError::Malformed { key: of }), Ok(())) => {
            assert_eq!(of, *key);
            assert_eq!(allocated, 0, "refusing metadata allocates");
            Fate::Malformed
        }
        (Err(error), Err(refusal)) => {
            assert_eq!(error, refusal);
            // The first bytes of what is no entry are in the error.
            assert!(allocated <= 64, "{allocated} B for {error}");
            Fate::Unsealed
        }
        (opened, verified) => panic!("opened: {opened:?}, verified: {verified:?}"),
    }
}

fn edited_stencil(bases: &Bases, input: &[u8]) -> Fate {
    let (&which, list) = input.split_first().unwrap_or((&0, &[]));
    let base = &bases.stencils[usize::from(which) % bases.stencils.len()];
    let mut whole = [base.clone()];
    edits::apply(list, &mut whole, false, &[&bases.stencils]);
    stencil(&whole[0])
}

/// What is restored can be split, and what was split is restored as it was.
fn stencil(bytes: &[u8]) -> Fate {
    let (restored, allocated) = peak(|| restore(&FunctionStencil::of(StencilKind::Clif, bytes)));
    let most = bound("", bytes.len());
    assert!(allocated <= most, "{allocated} B, bound {most} B: {bytes:02x?}");
    let Ok(function) = restored else { return Fate::NoStencil };
    let mut splitter = Splitter::new();
    if let Ok((split, _)) = splitter.split(&function) {
        let first = split.bytes().to_vec();
        if let Ok(canonical) = restore(&split) {
            let again = splitter.split(&canonical).expect("it was split before").0;
            assert!(again.bytes() == first, "splitting twice: {bytes:02x?}\n{function}");
        }
    }
    Fate::Restored
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoke;
    use oracle::allocations::Counting;
    use std::collections::BTreeMap;

    #[global_allocator]
    static COUNTING: Counting = Counting;

    #[test]
    fn smoke() {
        let mut fates: BTreeMap<Fate, u64> = BTreeMap::new();
        let mut run = |input: &[u8]| *fates.entry(fate(input)).or_default() += 1;
        // Of many edits and of few.
        smoke::inputs("entry_decode", 300_000, 96).for_each(|input| run(&input));
        smoke::random(700_000, 16).for_each(|input| run(&input));
        println!("{fates:?}");
        let all = [
            (Fate::Equal, 100),
            (Fate::Read, 10_000),
            (Fate::Malformed, 1_000),
            (Fate::Unsealed, 10_000),
            (Fate::Restored, 1_000),
            (Fate::NoStencil, 1_000),
        ];
        for (fate, least) in all {
            assert!(fates.get(&fate).is_some_and(|count| *count >= least), "{fate:?}: {fates:?}");
        }
    }

    /// The controls: sound entries are read, and counting counts.
    #[test]
    fn what_is_sound_is_read() {
        assert!(peak(|| vec![0_u8; 1000]).1 >= 1000);
        for (which, base) in bases().entries.iter().enumerate() {
            let fate = fate(&[4, which as u8]);
            assert_eq!(fate, Fate::Equal);
            let opened = entry::open(&base.key, &base.bytes);
            assert_eq!(opened.is_ok(), base.sections.is_some(), "{opened:?}");
            let damaged = [4, which as u8, 1, 0, 70, 0, 1];
            assert_eq!(super::fate(&damaged), Fate::Unsealed);
        }
        for which in 0..bases().stencils.len() as u8 {
            assert_eq!(fate(&[3, which]), Fate::Restored);
        }
    }
}

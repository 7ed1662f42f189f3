//! A fuzzer's choices -> entries to publish, most of them sound, the others with
//! one thing wrong.

use arbitrary::Unstructured;
use bytes::Bytes;
use proto::v1::{Coding, NewEntry};
use std::sync::LazyLock;
use stencil::{CacheKey, StencilBuilder};

/// Keys that entries are published under; few, so that they meet.
pub const KEYS: usize = 6;
/// Lengths of code; which code it is is a byte more.
const CODE_LENS: [usize; 4] = [0, 20, 300, 4_000];
/// What bombs decode to: zeros.
const BOMB_BYTES: [usize; 2] = [64 << 10, 1 << 20];
static BOMBS: LazyLock<[Vec<u8>; 2]> =
    LazyLock::new(|| BOMB_BYTES.map(|len| zstd::bulk::compress(&vec![0; len], 1).expect("zeros")));
/// A frame that decoders skip, with two bytes in it.
const SKIPPED_FRAME: [u8; 10] = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7];

/// One of `len` values; the first where no input is left.
pub fn pick(input: &mut Unstructured<'_>, len: usize) -> usize {
    input.int_in_range(0..=len - 1).unwrap_or(0)
}

/// A byte of the input, 0 where none is left.
pub fn byte(input: &mut Unstructured<'_>) -> u8 {
    input.arbitrary().unwrap_or(0)
}

/// Up to 65,535 from the input.
pub fn word(input: &mut Unstructured<'_>) -> usize {
    usize::from(input.arbitrary::<u16>().unwrap_or(0))
}

/// A key of the pool. The last two begin with the same eight bytes, which is all
/// that the server's table tells them apart by.
pub fn key(index: usize) -> CacheKey {
    let mut bytes = [0xc3; 32];
    bytes[..8].fill(index.min(KEYS - 2) as u8 ^ 0x5a);
    bytes[31] = index as u8;
    CacheKey::from_bytes(bytes)
}

/// An entry to publish.
pub fn offer(input: &mut Unstructured<'_>) -> NewEntry {
    let name = key(pick(input, KEYS));
    let (len, fill) = (CODE_LENS[pick(input, CODE_LENS.len())], byte(input) % 4);
    match pick(input, 20) {
        1 => {
            let mut entry = sealed(&name, len, fill);
            let at = word(input) % entry.len();
            entry[at] ^= byte(input).max(1);
            coded(&name, &entry, input)
        }
        2 => coded(&name, &sealed(&key(pick(input, KEYS)), len, fill), input),
        3 => bomb(&name, input),
        defect => spoiled(coded(&name, &sealed(&name, len, fill), input), defect, input),
    }
}

fn sealed(key: &CacheKey, len: usize, fill: u8) -> Vec<u8> {
    // Half of it compresses.
    let code = (0..len).map(|at| if at % 2 == 0 { fill } else { ((at * 37) >> 2) as u8 ^ fill });
    let stencil = StencilBuilder::new(code.collect(), 1, 0, 0);
    stencil::entry::seal(key, &stencil).expect("it is small").to_vec()
}

fn coded(key: &CacheKey, entry: &[u8], input: &mut Unstructured<'_>) -> NewEntry {
    let level = [0, 1, 1, 9][pick(input, 4)];
    let (coding, data) = match level {
        0 => (Coding::Raw, entry.to_vec()),
        level => (Coding::Zstd, zstd::bulk::compress(entry, level).expect("it is small")),
    };
    NewEntry {
        key: Bytes::copy_from_slice(key.as_bytes()),
        coding: coding.into(),
        entry_bytes: entry.len() as u32,
        data: data.into(),
    }
}

/// Few bytes that decode to many, and say so or not.
fn bomb(key: &CacheKey, input: &mut Unstructured<'_>) -> NewEntry {
    let which = usize::from(pick(input, 16) == 1);
    let len = BOMB_BYTES[which] as u32;
    NewEntry {
        key: Bytes::copy_from_slice(key.as_bytes()),
        coding: Coding::Zstd.into(),
        entry_bytes: [len, 100, len - 1, len + 1, u32::MAX][pick(input, 5)],
        data: BOMBS[which].clone().into(),
    }
}

/// Most numbers are no defect.
fn spoiled(mut new: NewEntry, defect: usize, input: &mut Unstructured<'_>) -> NewEntry {
    match defect {
        4 => new.data.truncate(word(input) % (new.data.len() + 1)),
        5 => new.entry_bytes = new.entry_bytes.wrapping_add(input.arbitrary().unwrap_or(1)),
        6 => new.coding = input.arbitrary().unwrap_or(0),
        7 => new.key = vec![7; pick(input, 40)].into(),
        8 => {
            let mut data = new.data.to_vec();
            let at = word(input) % data.len();
            data[at] ^= byte(input).max(1);
            new.data = data.into();
        }
        // zstd skips it; as it is, it is too long.
        9 => new.data = [&new.data[..], &SKIPPED_FRAME].concat().into(),
        10 => new.data = [&new.data[..], &new.data[..]].concat().into(),
        _ => {}
    }
    new
}

//! Traps and source maps -> Wasmtime's block-encoded sections.
//!
//! Both sections are a list of entries sorted by code offset, in blocks of 128:
//! a header with the number of entries and of blocks, an index of (first offset,
//! position of the body) and the bodies, which can be decoded each by itself
//! (`compile/trap_encoding.rs`, `compile/address_map.rs`). So each thread
//! encodes some of the blocks.

use super::{LinkedFunction, Place};
use rayon::prelude::*;
use std::ops::Range;
use stencil::packed::put_uleb;

/// Entries of a block, in both sections.
const BLOCK_ENTRIES: usize = 128;

/// A thread takes this many blocks at a time.
const RUN_BLOCKS: usize = 256;

/// Encodes `.wasmtime.traps`.
pub(super) fn traps(functions: &[LinkedFunction<'_>], places: &[Place]) -> Vec<u8> {
    let counts = functions.iter().map(|function| function.function.stencil().trap_count());
    encode(
        counts,
        |function, part, _, entries| {
            let start = places[function].start;
            let traps = functions[function].function.stencil().traps();
            let traps = traps.skip(part.start).take(part.len());
            entries.extend(traps.map(|trap| (start + trap.offset, trap.code)));
        },
        |block, body| {
            let default = most_common(block);
            body.push(default);
            let mut last = block[0].0;
            for (offset, code) in block {
                let differs = *code != default;
                put_uleb(body, u64::from(offset - last) << 1 | u64::from(differs));
                last = *offset;
                if differs {
                    body.push(*code);
                }
            }
        },
    )
}

/// The most frequent code; of several, the one that became so first.
fn most_common(block: &[(u32, u8)]) -> u8 {
    let mut counts = [0_u16; 256];
    let mut best = block[0].1;
    for (_, code) in block {
        counts[usize::from(*code)] += 1;
        if counts[usize::from(*code)] > counts[usize::from(best)] {
            best = *code;
        }
    }
    best
}

/// Encodes `.wasmtime.addrmap`.
pub(super) fn address_map(functions: &[LinkedFunction<'_>], places: &[Place]) -> Vec<u8> {
    let counts = functions.iter().map(|function| function.function.stencil().mapped_count());
    encode(
        counts,
        |function, part, offsets, entries| {
            let start = places[function].start;
            let sources = functions[function].function.sources(offsets);
            let sources = sources.skip(part.start).take(part.len());
            entries.extend(sources.map(|(offset, input)| (start + offset, input)));
        },
        |block, body| {
            let mut last_offset = block[0].0;
            let mut last_input: Option<u32> = None;
            for (offset, input) in block {
                put_uleb(body, u64::from(offset - last_offset) << 1 | u64::from(input.is_none()));
                last_offset = *offset;
                let Some(input) = *input else { continue };
                match last_input {
                    None => put_uleb(body, u64::from(input)),
                    Some(last) => put_sleb128(body, i64::from(input) - i64::from(last)),
                }
                last_input = Some(input);
            }
        },
    )
}

/// DWARF's signed LEB128, which this section uses (unlike cache entries).
fn put_sleb128(out: &mut Vec<u8>, mut value: i64) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0) {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// What a thread made: for each block its first offset and the position of its
/// body, and the bodies.
type EncodedRun = (Vec<(u32, u32)>, Vec<u8>);

/// Encodes entries in blocks. `counts` has the number of entries of each
/// function; `entries` adds a part of one function's entries to a list; `body`
/// writes one block.
fn encode<T: FirstOffset>(
    counts: impl Iterator<Item = u32>,
    entries: impl Fn(usize, Range<usize>, &mut Vec<u32>, &mut Vec<T>) + Sync,
    body: impl Fn(&[T], &mut Vec<u8>) + Sync,
) -> Vec<u8> {
    // starts[i]: how many entries are before those of function i.
    let mut starts = vec![0_usize];
    for count in counts {
        starts.push(starts[starts.len() - 1] + count as usize);
    }
    let total = starts[starts.len() - 1];
    let blocks = total.div_ceil(BLOCK_ENTRIES);
    let encode_run = |first_block: usize| -> EncodedRun {
        let from = first_block * BLOCK_ENTRIES;
        let to = ((first_block + RUN_BLOCKS) * BLOCK_ENTRIES).min(total);
        let mut list: Vec<T> = Vec::with_capacity(to - from);
        let mut working_memory = Vec::new();
        let mut function = starts.partition_point(|start| *start <= from) - 1;
        while list.len() < to - from {
            let skipped = from.saturating_sub(starts[function]);
            let end = to.min(starts[function + 1]) - starts[function];
            entries(function, skipped..end, &mut working_memory, &mut list);
            function += 1;
        }
        let mut index = Vec::with_capacity(RUN_BLOCKS);
        let mut bodies = Vec::with_capacity((to - from) * 3);
        for block in list.chunks(BLOCK_ENTRIES) {
            index.push((block[0].first_offset(), bodies.len() as u32));
            body(block, &mut bodies);
        }
        (index, bodies)
    };
    let runs: Vec<usize> = (0..blocks).step_by(RUN_BLOCKS).collect();
    let encoded: Vec<EncodedRun> = runs.into_par_iter().map(encode_run).collect();
    let bodies_len: usize = encoded.iter().map(|(_, bodies)| bodies.len()).sum();
    let mut section = Vec::with_capacity(8 + blocks * 8 + bodies_len);
    section.extend_from_slice(&(total as u32).to_le_bytes());
    section.extend_from_slice(&(blocks as u32).to_le_bytes());
    let mut before = 0;
    for (index, bodies) in &encoded {
        for (offset, position) in index {
            section.extend_from_slice(&offset.to_le_bytes());
            section.extend_from_slice(&(before + position).to_le_bytes());
        }
        before += bodies.len() as u32;
    }
    for (_, bodies) in &encoded {
        section.extend_from_slice(bodies);
    }
    section
}

/// An entry knows the code offset by which its block is found.
trait FirstOffset: Copy + Send {
    fn first_offset(&self) -> u32;
}

impl<T: Copy + Send> FirstOffset for (u32, T) {
    fn first_offset(&self) -> u32 {
        self.0
    }
}

//! Sizes and alignments -> positions: which parts of the image are taken.
//!
//! A position counts bytes from where the image started; it is negative for
//! what was put in front. Positions do not change when the image grows.
//!
//! Invariants:
//! - positions and sizes are multiples of [`GRANULE`];
//! - free ranges do not touch each other, nor an end of the image: they are
//!   joined, or the image becomes smaller.

use std::collections::{BTreeMap, BTreeSet};

/// Slots are multiples of this, in bytes, at multiples of this: what Cranelift
/// aligns functions to, and the size of a veneer. No range is too small to use.
pub(super) const GRANULE: i64 = 16;

/// An image starts at a multiple of this, in bytes.
pub(super) const PAGE: i64 = 4096;

/// An end of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Front,
    Back,
}

/// The image would need this many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needed(pub(super) u64);

#[derive(Clone, Debug)]
pub(super) struct Slots {
    front: i64,
    back: i64,
    /// Start and size of what is free between the ends.
    free: BTreeMap<i64, i64>,
    /// The same, by size.
    by_size: BTreeSet<(i64, i64)>,
    bytes_max: i64,
}

impl Slots {
    pub(super) fn new(bytes_max: i64) -> Self {
        Self { front: 0, back: 0, free: BTreeMap::new(), by_size: BTreeSet::new(), bytes_max }
    }

    pub(super) fn front(&self) -> i64 {
        self.front
    }

    pub(super) fn back(&self) -> i64 {
        self.back
    }

    /// Where the page starts that the image starts in.
    pub(super) fn first_page(&self) -> i64 {
        align_down(self.front, PAGE)
    }

    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max.cast_unsigned()
    }

    pub(super) fn free_bytes(&self) -> u64 {
        self.free.values().map(|bytes| bytes.cast_unsigned()).sum()
    }

    /// Takes the free range that fits best, or grows at `end`.
    pub(super) fn take(&mut self, bytes: i64, alignment: i64, end: End) -> Result<i64, Needed> {
        let best = self.by_size.range((bytes, i64::MIN)..).find_map(|&(free, start)| {
            let at = align_up(start, alignment);
            (at + bytes <= start + free).then_some((start, free, at))
        });
        let Some((start, free, at)) = best else {
            return self.grow(bytes, alignment, end);
        };
        self.forget(start, free);
        self.note(start, at - start);
        self.note(at + bytes, start + free - (at + bytes));
        Ok(at)
    }

    fn grow(&mut self, bytes: i64, alignment: i64, end: End) -> Result<i64, Needed> {
        let at = match end {
            End::Front => align_down(self.front - bytes, alignment),
            End::Back => align_up(self.back, alignment),
        };
        let (front, back) = (self.front.min(at), self.back.max(at + bytes));
        let needed = back - align_down(front, PAGE);
        if needed > self.bytes_max {
            return Err(Needed(needed.cast_unsigned()));
        }
        match end {
            End::Front => self.note(at + bytes, self.front - (at + bytes)),
            End::Back => self.note(self.back, at - self.back),
        }
        (self.front, self.back) = (front, back);
        Ok(at)
    }

    /// Gives a range back: joins it with its free neighbours, and takes it off
    /// an end of the image that it touches.
    pub(super) fn give(&mut self, start: i64, bytes: i64) {
        let (mut start, mut end) = (start, start + bytes);
        if let Some((&before, &free)) = self.free.range(..start).next_back()
            && before + free == start
        {
            self.forget(before, free);
            start = before;
        }
        if let Some(&free) = self.free.get(&end) {
            self.forget(end, free);
            end += free;
        }
        match (start == self.front, end == self.back) {
            (true, true) => (self.front, self.back) = (0, 0),
            (true, false) => self.front = end,
            (false, true) => self.back = start,
            (false, false) => self.note(start, end - start),
        }
    }

    fn note(&mut self, start: i64, bytes: i64) {
        if bytes > 0 {
            self.free.insert(start, bytes);
            self.by_size.insert((bytes, start));
        }
    }

    fn forget(&mut self, start: i64, bytes: i64) {
        self.free.remove(&start);
        self.by_size.remove(&(bytes, start));
    }
}

pub(super) fn align_up(value: i64, alignment: i64) -> i64 {
    align_down(value + alignment - 1, alignment)
}

fn align_down(value: i64, alignment: i64) -> i64 {
    value & !(alignment - 1)
}

//! Positions -> bytes: one buffer that grows at both ends.
//!
//! Invariant: what belongs to no slot is filler, which traps.

use crate::image::slots::{End, GRANULE, Slots, align_up};
use crate::image::{Architecture, ImageError};

/// A part of the image that belongs to one function or veneer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Its position.
    pub(super) at: i64,
    /// Its size in bytes, a multiple of [`GRANULE`].
    pub(super) bytes: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Text {
    slots: Slots,
    /// From position `start` to the back of the image.
    bytes: Vec<u8>,
    /// At or before the front of the image.
    start: i64,
    filler: u8,
}

impl Text {
    pub(super) fn new(architecture: Architecture, bytes_max: u64) -> Self {
        let bytes_max = bytes_max.min(architecture.image_bytes_max());
        let slots = Slots::new(bytes_max.cast_signed());
        Self { slots, bytes: Vec::new(), start: 0, filler: architecture.filler() }
    }

    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Size of the image, from the page that it starts in to its back.
    pub(super) fn bytes_len(&self) -> usize {
        usize::try_from(self.slots.back() - self.slots.first_page()).unwrap_or(usize::MAX)
    }

    /// Takes a slot, and puts `code` into it.
    pub(super) fn place(
        &mut self,
        code: &[u8],
        alignment: u32,
        end: End,
    ) -> Result<Slot, ImageError> {
        let bytes_max = self.slots.bytes_max();
        let too_large = |needed| ImageError::TooLarge { needed, bytes_max };
        if code.len() as u64 > bytes_max {
            return Err(too_large(code.len() as u64));
        }
        let bytes = slot_bytes(code);
        let taken = self.slots.take(bytes, i64::from(alignment).max(GRANULE), end);
        let slot = Slot { at: taken.map_err(|it| too_large(it.0))?, bytes };
        self.cover();
        self.write(slot, code);
        Ok(slot)
    }

    /// Puts other code into a slot, if it fits; what is left of it then. A slot
    /// keeps what it does not use, for the next change, but no more than half.
    pub(super) fn rewrite(&mut self, slot: Slot, code: &[u8], alignment: u32) -> Option<Slot> {
        let fits = code.len() as u64 <= slot.bytes.cast_unsigned();
        if !fits || slot.at % i64::from(alignment) != 0 {
            return None;
        }
        self.write(slot, code);
        let bytes = slot_bytes(code);
        if bytes > slot.bytes / 2 {
            return Some(slot);
        }
        self.free(Slot { at: slot.at + bytes, bytes: slot.bytes - bytes });
        Some(Slot { at: slot.at, bytes })
    }

    /// Gives a slot back.
    pub(super) fn free(&mut self, slot: Slot) {
        self.write(slot, &[]);
        self.slots.give(slot.at, slot.bytes);
        self.trim();
    }

    /// The bytes from a position on.
    pub(super) fn from(&mut self, at: i64) -> &mut [u8] {
        let index = self.index(at);
        self.bytes.get_mut(index..).unwrap_or_default()
    }

    pub(super) fn byte(&self, at: i64) -> Option<u8> {
        self.bytes.get(self.index(at)).copied()
    }

    /// The image, from the page that it starts in to its back; `out` is as long
    /// as [`Self::bytes_len`].
    pub(super) fn copy_to(&self, out: &mut [u8]) {
        let code = self.bytes.get(self.index(self.slots.front())..).unwrap_or_default();
        let (lead, rest) = out.split_at_mut(out.len().saturating_sub(code.len()));
        lead.fill(self.filler);
        rest.copy_from_slice(code);
    }

    fn write(&mut self, slot: Slot, code: &[u8]) {
        let filler = self.filler;
        let (code_part, rest) = self.from(slot.at).split_at_mut(code.len());
        code_part.copy_from_slice(code);
        let unused = usize::try_from(slot.bytes).unwrap_or(usize::MAX) - code.len();
        rest[..unused].fill(filler);
    }

    fn index(&self, at: i64) -> usize {
        usize::try_from(at - self.start).unwrap_or(usize::MAX)
    }

    /// Makes the buffer reach from end to end. In front it gets as much again
    /// as the image has, so that growing there costs no more than at the back.
    fn cover(&mut self) {
        let (front, back) = (self.slots.front(), self.slots.back());
        if front < self.start {
            let room = (back - front).min(self.slots.bytes_max().cast_signed() - (back - front));
            let start = front - room.max(0);
            let moved = usize::try_from(self.start - start).unwrap_or(usize::MAX);
            let mut bytes = Vec::with_capacity(moved + self.bytes.len());
            bytes.resize(moved, self.filler);
            bytes.append(&mut self.bytes);
            (self.bytes, self.start) = (bytes, start);
        }
        let len = self.index(back);
        if len > self.bytes.len() {
            self.bytes.resize(len, self.filler);
        }
    }

    /// Gives back memory that an image which became smaller does not need.
    fn trim(&mut self) {
        let (front, back) = (self.slots.front(), self.slots.back());
        if front == back {
            (self.bytes, self.start) = (Vec::new(), 0);
            return;
        }
        self.bytes.truncate(self.index(back));
        if (front - self.start) / 2 > back - front {
            self.bytes.drain(..self.index(front));
            self.start = front;
        }
        if self.bytes.capacity() / 4 > self.bytes.len() {
            self.bytes.shrink_to(self.bytes.len() * 2);
        }
    }
}

fn slot_bytes(code: &[u8]) -> i64 {
    align_up(i64::try_from(code.len()).unwrap_or(i64::MAX - GRANULE), GRANULE)
}

//! A fuzzer's bytes -> edits of what is kept in sections.
//!
//! ```text
//!  0    1         2        4
//!  +----+---------+--------+----------+----------------------+
//!  | op | section | at u16 | argument | inserted bytes, if any |
//!  +----+---------+--------+----------+----------------------+
//! ```

use stencil::packed::take_u8;

/// One input makes no more.
const EDITS_MAX: usize = 64;

/// Sections in front of an entry's tables: header and code.
const BEFORE_TABLES: usize = 2;

/// Extremes of LEB128's and of bincode's numbers.
const EXTREMES: [&[u8]; 8] = [
    &[0],
    &[0x7f],
    &[0x80, 0x80, 0x80, 0x80, 0x10],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    &[251, 0xff, 0xff],
];

/// Makes the edits of a list, as far as it goes. `donors` have sections from
/// which bytes are taken.
pub fn apply(mut list: &[u8], sections: &mut [Vec<u8>], tables_only: bool, donors: &[&[Vec<u8>]]) {
    let first = if tables_only { BEFORE_TABLES } else { 0 };
    for _ in 0..EDITS_MAX {
        let Some(edit) = Edit::take(&mut list) else { return };
        let section = first + usize::from(edit.section) % (sections.len() - first);
        edit.apply(&mut sections[section], section, &mut list, donors);
    }
}

struct Edit {
    op: u8,
    section: u8,
    at: u16,
    argument: u8,
}

impl Edit {
    fn take(list: &mut &[u8]) -> Option<Self> {
        let (op, section) = (take_u8(list)?, take_u8(list)?);
        let at = u16::from_le_bytes([take_u8(list)?, take_u8(list)?]);
        Some(Self { op, section, at, argument: take_u8(list)? })
    }

    fn apply(&self, bytes: &mut Vec<u8>, section: usize, list: &mut &[u8], donors: &[&[Vec<u8>]]) {
        let argument = usize::from(self.argument);
        let at = usize::from(self.at) % (bytes.len() + 1);
        let end = bytes.len().min(at + argument % 16 + 1);
        match self.op % 8 {
            0 => bytes[at..].iter_mut().take(1).for_each(|byte| *byte = self.argument),
            1 => bytes[at..].iter_mut().take(1).for_each(|byte| *byte ^= self.argument),
            2 => {
                let (new, rest) = list.split_at(list.len().min(argument % 16 + 1));
                *list = rest;
                bytes.splice(at..at, new.iter().copied());
            }
            3 => drop(bytes.drain(at..end)),
            4 => bytes.truncate(at),
            5 => {
                let donor = donors[argument % donors.len()];
                let donor = &donor[section % donor.len()];
                let from = at.min(donor.len());
                let until = donor.len().min(from + 16);
                bytes.splice(at..end, donor[from..until].iter().copied());
            }
            6 => {
                let extreme = EXTREMES[argument % EXTREMES.len()];
                bytes.splice(at..end.min(at + 1), extreme.iter().copied());
            }
            _ => {
                let copied = bytes[at..end].to_vec();
                let to = argument % (bytes.len() + 1);
                bytes.splice(to..to, copied);
            }
        }
    }
}

//! Small numbers <-> few bytes: the LEB128 in which an entry's tables are kept.
//!
//! Reading never panics and never allocates: what is not there is `None`.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

/// Maps small magnitudes of either sign to small numbers.
#[inline]
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline]
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Appends an unsigned LEB128 of 1 to 10 bytes.
#[inline]
pub fn put_uleb(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number as zig-zag LEB128.
#[inline]
pub fn put_sleb(out: &mut Vec<u8>, value: i64) {
    put_uleb(out, zigzag(value));
}

/// Takes an unsigned LEB128 from the front of `bytes`. Most are of one byte.
#[inline(always)]
pub fn take_uleb(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        *bytes = rest;
        return Some(u64::from(first));
    }
    take_long_uleb(bytes, first, rest)
}

fn take_long_uleb<'a>(bytes: &mut &'a [u8], first: u8, mut rest: &'a [u8]) -> Option<u64> {
    let mut value = u64::from(first & 0x7f);
    let mut shift = 7;
    loop {
        let (&byte, tail) = rest.split_first()?;
        rest = tail;
        if shift >= 64 || (shift == 63 && byte > 1) {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            *bytes = rest;
            return Some(value);
        }
    }
}

/// Takes a 32-bit unsigned LEB128 from the front of `bytes`.
#[inline]
pub fn take_uleb32(bytes: &mut &[u8]) -> Option<u32> {
    u32::try_from(take_uleb(bytes)?).ok()
}

/// Takes a zig-zag LEB128 from the front of `bytes`.
#[inline]
pub fn take_sleb(bytes: &mut &[u8]) -> Option<i64> {
    take_uleb(bytes).map(unzigzag)
}

/// Takes one byte from the front of `bytes`.
#[inline]
pub fn take_u8(bytes: &mut &[u8]) -> Option<u8> {
    let (&first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(first)
}

/// Takes four little-endian bytes from the front of `bytes`.
#[inline]
pub fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (first, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_width_come_back() {
        let mut values = vec![0u64, 1, 127, 128, u64::from(u32::MAX), u64::MAX];
        values.extend((0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit]));
        for value in values {
            let mut bytes = Vec::new();
            put_uleb(&mut bytes, value);
            put_sleb(&mut bytes, value as i64);
            let mut rest = bytes.as_slice();
            assert_eq!(take_uleb(&mut rest), Some(value));
            assert_eq!(take_sleb(&mut rest), Some(value as i64));
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn what_is_cut_off_or_too_wide_is_none() {
        assert_eq!(take_uleb(&mut &[0x80][..]), None);
        assert_eq!(take_uleb(&mut &[][..]), None);
        assert_eq!(take_uleb(&mut &[0xff; 11][..]), None);
        assert_eq!(take_uleb32(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), None);
    }
}

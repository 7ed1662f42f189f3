//! A fuzzer's bytes -> the random numbers that a generator asks for.
//!
//! Each number is taken from the bytes in front, so that a changed byte changes
//! one choice, and a fuzzer can learn which. Where the bytes end, a generator
//! seeded by their number goes on: a stream of zeros would send those who
//! reject and ask again round for ever.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng as _, TryRng};
use std::convert::Infallible;

/// See the module.
#[derive(Debug)]
pub struct Choices<'a> {
    bytes: &'a [u8],
    rest: SmallRng,
}

impl<'a> Choices<'a> {
    /// Choices by these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, rest: SmallRng::seed_from_u64(bytes.len() as u64) }
    }

    /// Whether all bytes have been used.
    pub fn is_exhausted(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl TryRng for Choices<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        let (now, later) = self.bytes.split_at(into.len().min(self.bytes.len()));
        self.bytes = later;
        let (front, behind) = into.split_at_mut(now.len());
        front.copy_from_slice(now);
        self.rest.fill_bytes(behind);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt as _;

    #[test]
    fn bytes_decide_and_then_a_seed_goes_on() {
        let bytes: Vec<u8> = (1..=12).collect();
        let mut choices = Choices::new(&bytes);
        assert_eq!(choices.next_u64(), u64::from_le_bytes([1, 2, 3, 4, 5, 6, 7, 8]));
        assert!(!choices.is_exhausted());
        let mut again = Choices::new(&bytes);
        again.next_u64();
        let after: Vec<u32> = (0..9).map(|_| choices.random()).collect();
        assert_eq!(after[0], u32::from_le_bytes([9, 10, 11, 12]));
        assert_eq!(after, (0..9).map(|_| again.random()).collect::<Vec<u32>>());
        assert!(choices.is_exhausted());
        assert!(after[1..].iter().any(|number| *number != 0), "zeros can hang a generator");
    }
}

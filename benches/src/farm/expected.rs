//! A module's keys -> what an honest answer to them looks like; and the check of
//! every entry that arrives against it.
//!
//! A compile also asks for trampolines that it turns out not to need, and that
//! nobody publishes: those keys are asked for, and are to be absent.
//!
//! Invariant: an answer counts only if it has every published key once, with the
//! coded length and the decoded length of what was published under it, and no
//! other one.

use crate::farm::mix::Mix;
use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use proto::coding::{Coded, Decoder, Encoder};
use proto::v1::Coding;
use std::collections::HashMap;
use std::sync::Arc;
use stencil::{CacheKey, entry};

/// An entry without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How it is coded.
    pub coding: Coding,
    /// Its length, decoded.
    pub entry_bytes: u32,
    /// Its length as it travels.
    pub coded_bytes: u32,
}

/// A module as a worker asks for it.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Its path.
    pub name: String,
    /// The keys, in the order of the lookup.
    pub keys: Vec<CacheKey>,
    /// What is published under each of them, if anything is.
    pub shapes: Vec<Option<Shape>>,
}

impl Expected {
    /// All modules of a mix.
    ///
    /// # Errors
    ///
    /// If an entry is too large to travel.
    pub fn of(mix: &Mix) -> Result<Arc<[Self]>> {
        let mut encoder = Encoder::new();
        let mut shapes = HashMap::new();
        for new in mix.entries() {
            let coded = encoder.encode(&new.bytes).context("an entry is too large to travel")?;
            let Coded { coding, entry_bytes, data } = coded;
            let coded_bytes = u32::try_from(data.len())?;
            shapes.insert(new.key, Shape { coding, entry_bytes, coded_bytes });
        }
        let modules = mix.modules.iter().map(|module| {
            let shapes = module.keys.iter().map(|key| shapes.get(key).copied()).collect();
            Self { name: module.name.clone(), keys: module.keys.clone(), shapes }
        });
        Ok(modules.collect())
    }

    /// The entries of a whole answer.
    pub fn entries(&self) -> u64 {
        self.shapes.iter().flatten().count() as u64
    }

    /// The bytes of a whole answer, as they travel.
    pub fn coded_bytes(&self) -> u64 {
        self.shapes.iter().flatten().map(|shape| u64::from(shape.coded_bytes)).sum()
    }

    /// The bytes of a whole answer, decoded.
    pub fn entry_bytes(&self) -> u64 {
        self.shapes.iter().flatten().map(|shape| u64::from(shape.entry_bytes)).sum()
    }
}

/// What has arrived, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// Entries.
    pub entries: u64,
    /// Their bytes as they came.
    pub coded_bytes: u64,
    /// Their bytes, decoded.
    pub entry_bytes: u64,
    /// Of the entries, those that were decoded and verified.
    pub verified: u64,
}

/// Checks one worker's answers, one after the other.
pub struct Check {
    verify_every: u64,
    seen: Vec<bool>,
    decoder: Decoder,
    decoded: Vec<u8>,
    /// Everything that was checked and found good.
    pub arrived: Arrived,
}

impl Check {
    /// A check that decodes and verifies one of so many entries.
    pub fn new(verify_every: u32) -> Self {
        Self {
            verify_every: u64::from(verify_every.max(1)),
            seen: Vec::new(),
            decoder: Decoder::new(),
            decoded: Vec::new(),
            arrived: Arrived::default(),
        }
    }

    /// Begins with a module's answer. A key that is to be absent counts as seen.
    pub fn begin(&mut self, expected: &Expected) {
        self.seen.clear();
        self.seen.extend(expected.shapes.iter().map(Option::is_none));
    }

    /// Takes in the entry of the key at `index`. The bytes are not kept.
    ///
    /// # Errors
    ///
    /// If it is not what was published, or came before.
    pub fn entry(
        &mut self,
        expected: &Expected,
        index: usize,
        (coding, entry_bytes): (Coding, u32),
        data: &[u8],
    ) -> Result<()> {
        let (Some(Some(shape)), Some(seen)) =
            (expected.shapes.get(index), self.seen.get_mut(index))
        else {
            bail!("{}: an entry for key {index}, which has none", expected.name);
        };
        ensure!(!std::mem::replace(seen, true), "{}: key {index} came twice", expected.name);
        let coded_bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let got = Shape { coding, entry_bytes, coded_bytes };
        ensure!(
            got == *shape,
            "{}: key {index} has {got:?}, and {shape:?} was published",
            expected.name
        );
        if self.arrived.entries.is_multiple_of(self.verify_every) {
            let data = Bytes::copy_from_slice(data);
            self.decoded.clear();
            self.decoder
                .decode_into(&Coded { coding, entry_bytes, data }, &mut self.decoded)
                .with_context(|| format!("{}: key {index}", expected.name))?;
            let key = expected.keys.get(index).context("a key that is there")?;
            entry::verify(key, &self.decoded)
                .with_context(|| format!("{}: key {index}", expected.name))?;
            self.arrived.verified += 1;
        }
        self.arrived.entries += 1;
        self.arrived.coded_bytes += u64::from(coded_bytes);
        self.arrived.entry_bytes += u64::from(entry_bytes);
        Ok(())
    }

    /// Ends a module's answer.
    ///
    /// # Errors
    ///
    /// If a key has had no answer.
    pub fn end(&self, expected: &Expected) -> Result<()> {
        match self.seen.iter().filter(|seen| !**seen).count() {
            0 => Ok(()),
            missing => bail!("{}: {missing} of its entries did not come", expected.name),
        }
    }
}

impl Arrived {
    /// Adds what another worker got.
    pub fn add(&mut self, other: &Self) {
        let Self { entries, coded_bytes, entry_bytes, verified } = other;
        self.entries += entries;
        self.coded_bytes += coded_bytes;
        self.entry_bytes += entry_bytes;
        self.verified += verified;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stencil::StencilBuilder;

    fn answer() -> (Expected, Coded) {
        let key = CacheKey::from_bytes([7; 32]);
        let sealed = entry::seal(&key, &StencilBuilder::new(vec![7; 500], 16, 0, 0)).unwrap();
        let coded = Encoder::new().encode(&sealed).unwrap();
        let coded_bytes = coded.data.len() as u32;
        let shape = Shape { coding: coded.coding, entry_bytes: coded.entry_bytes, coded_bytes };
        let keys = vec![key, CacheKey::from_bytes([8; 32])];
        (Expected { name: "m".to_owned(), keys, shapes: vec![Some(shape), None] }, coded)
    }

    #[test]
    fn an_answer_is_whole_exact_and_sound_or_an_error() {
        let (expected, coded) = answer();
        let envelope = (coded.coding, coded.entry_bytes);
        let mut check = Check::new(1);
        let mut damaged = coded.data.to_vec();
        *damaged.last_mut().unwrap() ^= 1;

        check.begin(&expected);
        assert!(check.end(&expected).is_err(), "nothing came");
        assert!(check.entry(&expected, 1, envelope, &coded.data).is_err(), "not published");
        assert!(check.entry(&expected, 2, envelope, &coded.data).is_err(), "not asked for");
        check.begin(&expected);
        assert!(check.entry(&expected, 0, envelope, &damaged).is_err(), "damaged");
        check.begin(&expected);
        assert!(check.entry(&expected, 0, envelope, &coded.data[1..]).is_err(), "too short");

        check.begin(&expected);
        check.entry(&expected, 0, envelope, &coded.data).unwrap();
        check.end(&expected).unwrap();
        assert!(check.entry(&expected, 0, envelope, &coded.data).is_err(), "twice");
        assert_eq!((check.arrived.entries, check.arrived.verified), (1, 1));
    }
}

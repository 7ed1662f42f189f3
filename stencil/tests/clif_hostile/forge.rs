//! Sound entries -> entries that lie, and a store that serves them.

use cranelift_codegen::Context;
use cranelift_codegen::ir;
use cranelift_codegen::isa::TargetIsa;
use rand::RngExt as _;
use rand::rngs::SmallRng;
use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};
use stencil::clif::{Splitter, fingerprint, generate};
use stencil::entry;
use stencil::{CacheKey, EntryBytes, StencilBuilder, StencilKind};

/// Serves the same bytes for every key, and keeps nothing.
#[derive(Default)]
pub struct Liar(Mutex<Vec<u8>>);

impl Liar {
    pub fn serve(&self, bytes: &[u8]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bytes.to_vec();
    }
}

impl stencil::CacheStore for Liar {
    fn get(&self, _: &[u8]) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Owned(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }

    fn insert(&self, _: &[u8], _: Vec<u8>) -> bool {
        true
    }
}

/// A function's stencil, compiled.
pub struct Sound {
    pub stencil: Vec<u8>,
    pub key: CacheKey,
    pub builder: StencilBuilder,
    pub entry: EntryBytes,
}

pub fn sound(isa: &dyn TargetIsa, function: &ir::Function) -> Sound {
    let mut splitter = Splitter::new();
    let (stencil, parameters) = splitter.split(function).unwrap();
    let key = stencil.key(&fingerprint(isa));
    let (callees, sources) = (parameters.callees.len() as u32, parameters.source.len());
    let builder = generate(&stencil, callees, sources, isa, &mut Context::new()).unwrap();
    let entry = entry::seal(&key, &builder).unwrap();
    Sound { stencil: stencil.bytes().to_vec(), key, builder, entry }
}

/// The key that a stencil of these bytes has if it is of another kind.
pub fn key_of_kind(isa: &dyn TargetIsa, kind: StencilKind, stencil: &[u8]) -> CacheKey {
    stencil::FunctionStencil::of(kind, stencil).key(&fingerprint(isa))
}

/// Extremes of bincode's and of LEB128's numbers.
const EXTREMES: [&[u8]; 8] = [
    &[0],
    &[0x7f],
    &[0x80, 0x80, 0x80, 0x80, 0x10],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[252, 0xff, 0xff, 0xff, 0xff],
    &[253, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    &[251, 0xff, 0xff],
];

/// Changes one to four places behind `from`.
pub fn mutate(rng: &mut SmallRng, bytes: &mut Vec<u8>, from: usize) {
    for _ in 0..rng.random_range(1..5) {
        if bytes.len() <= from {
            return;
        }
        let at = rng.random_range(from..bytes.len());
        match rng.random_range(0..7) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = rng.random(),
            2 => bytes[at] = bytes[at].wrapping_add(1),
            3 => drop(bytes.remove(at)),
            4 => bytes.insert(at, rng.random()),
            5 => {
                let extreme = EXTREMES[rng.random_range(0..EXTREMES.len())];
                bytes.splice(at..=at, extreme.iter().copied());
            }
            _ => {
                let end = rng.random_range(at..bytes.len().min(at + 16));
                let copied = bytes[at..=end].to_vec();
                let to = rng.random_range(from..bytes.len());
                bytes.splice(to..to, copied);
            }
        }
    }
}

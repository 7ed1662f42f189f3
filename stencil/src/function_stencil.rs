//! What decides a function's machine code -> one canonical byte string.
//!
//! Invariant: what is written can be read back, so two functions that differ are not
//! written in the same way. Every value has a fixed width or is a minimal LEB128,
//! everything of variable length is preceded by its length, and whoever writes something only
//! at times says so before.

use crate::key::{CacheKey, Fingerprint};

/// What kind of code a stencil describes. It is hashed first, so that stencils
/// of different kinds can never share a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum StencilKind {
    /// A function defined in a WebAssembly module.
    WasmFunction = 1,
    /// A trampoline by which the host enters a WebAssembly function.
    ArrayToWasm = 2,
    /// A trampoline by which WebAssembly calls a host function of one type.
    WasmToArray = 3,
    /// A trampoline by which WebAssembly calls one of the runtime's builtins.
    WasmToBuiltin = 4,
    /// A function of Cranelift's IR, from any front end.
    Clif = 5,
}

/// The canonical bytes of one function; borrowed from the [`StencilWriter`]
/// that wrote them, which is reused for the next function.
#[derive(Clone, Copy, Debug)]
pub struct FunctionStencil<'a> {
    kind: StencilKind,
    bytes: &'a [u8],
}

impl<'a> FunctionStencil<'a> {
    /// Bytes that a [`StencilWriter`] wrote, kept for later.
    pub fn of(kind: StencilKind, bytes: &'a [u8]) -> Self {
        Self { kind, bytes }
    }

    /// The kind of code that this stencil describes.
    pub fn kind(&self) -> StencilKind {
        self.kind
    }

    /// The canonical bytes. They are what is hashed, and all that is hashed
    /// besides the kind and the fingerprint.
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// The key under which this stencil's compiled code is kept.
    pub fn key(&self, fingerprint: &Fingerprint) -> CacheKey {
        CacheKey::of(fingerprint, self.kind, self.bytes)
    }
}

/// Writes the canonical bytes of one stencil after another into one buffer.
#[derive(Debug, Default)]
pub struct StencilWriter {
    bytes: Vec<u8>,
}

impl StencilWriter {
    /// A writer with an empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets what was written; the buffer's memory is kept.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The stencil written since the last [`clear`](Self::clear).
    pub fn stencil(&self, kind: StencilKind) -> FunctionStencil<'_> {
        FunctionStencil { kind, bytes: &self.bytes }
    }

    /// What was written since the last [`clear`](Self::clear).
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// One bit, as a byte.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.bytes.push(u8::from(value));
    }

    /// Four bytes, little-endian.
    #[inline]
    pub fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Eight bytes, little-endian.
    #[inline]
    pub fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// A minimal unsigned LEB128, 1 to 10 bytes.
    #[inline]
    pub fn uleb(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// A minimal signed number: zig-zag, then LEB128.
    #[inline]
    pub fn sleb(&mut self, value: i64) {
        self.uleb(crate::packed::zigzag(value));
    }

    /// Raw bytes whose number the reader of the stencil would know already.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

//! Cranelift's description of a frame <-> the bytes that entries hold.

use cranelift_codegen::isa::unwind::UnwindInfo;

/// No description is larger: one has a few instructions for each saved register.
const UNWIND_BYTES_MAX: usize = 64 << 10;

fn codec() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<UNWIND_BYTES_MAX>()
}

/// `None` if it is larger than any that this version of Cranelift makes.
pub(super) fn encode(unwind: &UnwindInfo) -> Option<Vec<u8>> {
    bincode::serde::encode_to_vec(unwind, codec())
        .ok()
        .filter(|bytes| bytes.len() <= UNWIND_BYTES_MAX)
}

/// `None` for other bytes than [`encode`] makes.
pub(super) fn decode(bytes: &[u8]) -> Option<UnwindInfo> {
    let (unwind, len) = bincode::serde::decode_from_slice(bytes, codec()).ok()?;
    (len == bytes.len()).then_some(unwind)
}

//! A sound entry -> one of the same key and shape with another function's code:
//! what a key that leaves an input out would give.

use stencil::{CacheKey, EntryBytes, StencilBuilder, entry};

/// An entry of `key` with the code of the first of `others` that is not the
/// same. Its seal is whole and it fits the function, so that nothing but its
/// bytes tells.
///
/// # Panics
///
/// If `bytes` is no entry of `key`, or all the others have the same code.
pub fn other_code<'a>(
    key: &CacheKey,
    bytes: &EntryBytes,
    others: impl IntoIterator<Item = (&'a CacheKey, &'a EntryBytes)>,
) -> EntryBytes {
    let stencil = entry::open(key, bytes).expect("it is an entry of this key");
    let code = |(key, bytes): (&CacheKey, &'a EntryBytes)| {
        entry::open(key, bytes).expect("the others are sound").code()
    };
    let other = others.into_iter().map(code).find(|code| *code != stencil.code());
    let code = other.expect("they are not all the same").to_vec();
    let (callees, sources) = (stencil.callee_count(), stencil.source_count());
    let mut forged = StencilBuilder::new(code, stencil.alignment(), callees, sources);
    forged.number_count(stencil.number_count());
    entry::seal(key, &forged).expect("it is small")
}

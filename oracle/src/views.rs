//! Reads all that a finalized function says of itself, and what that may allocate.

use crate::allocations::peak;
use stencil::finalize::FinalizedFunction;

/// Reading a view may take this many bytes for each of the entry's, and so
/// many besides. A row of a table has at least one byte and at most 40 in
/// Cranelift's form; a growing vector is twice as long while it moves.
const TIMES: usize = 64;
const BESIDES: usize = 64 << 10;
/// A decoder of Serde's may reserve as much for a length that lies.
const UNWIND_BESIDES: usize = 2 << 20;

/// How many bytes a view of this name may allocate, or restoring a stencil (no
/// name), of an entry or stencil of `bytes` bytes.
pub fn bound(view: &str, bytes: usize) -> usize {
    TIMES * bytes + if view == "unwind_info" { UNWIND_BESIDES } else { BESIDES }
}

/// Every view, and the most bytes that one of them has allocated.
pub fn read_all(function: &FinalizedFunction<'_>) -> Vec<(&'static str, usize)> {
    let mut views = Vec::new();
    let mut view = |name, read: &dyn Fn()| views.push((name, peak(read).1));
    view("relocs", &|| function.relocs().for_each(drop));
    view("traps", &|| function.traps().for_each(drop));
    view("srclocs", &|| drop(function.srclocs()));
    view("call_sites", &|| {
        for site in function.call_sites() {
            drop(format!("{:?}", site.as_mach().exception_handlers));
        }
    });
    view("user_stack_maps", &|| function.user_stack_maps().for_each(drop));
    view("debug_tags", &|| drop(function.debug_tags()));
    view("frame_layout", &|| drop(function.frame_layout()));
    view("patchable_call_sites", &|| function.patchable_call_sites().for_each(drop));
    view("value_labels_ranges", &|| drop(format!("{:?}", function.value_labels_ranges())));
    view("basic_blocks", &|| drop(function.basic_blocks()));
    view("unwind_info", &|| drop(function.unwind_info()));
    views
}

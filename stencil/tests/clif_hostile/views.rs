//! Reads all that a finalized function says of itself.

use crate::allocations::peak;
use cranelift_module::FuncId;
use stencil::finalize::FinalizedFunction;

/// Every view, and the most bytes that one of them has allocated.
pub fn read_all(function: &FinalizedFunction<'_>) -> Vec<(&'static str, usize)> {
    let mut views = Vec::new();
    let mut view = |name, read: &dyn Fn()| views.push((name, peak(read).1));
    view("relocs", &|| function.relocs().for_each(drop));
    view("module_relocs", &|| drop(function.module_relocs(FuncId::from_u32(0))));
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

//! An `ObjectModule` with the program's definitions -> the bytes of an object
//! file. It needs `int64_t lang_print(int64_t)` and has `int64_t lang_main(void)`.

#![expect(clippy::result_large_err, reason = "the error of `Module`, by value like there")]

use cranelift_codegen::settings::{self, Configurable};
use cranelift_module::{ModuleError, ModuleResult, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};
use std::io;

/// What it takes to make an [`ObjectModule`] for this machine, with
/// position-independent code; `flags` are Cranelift's settings.
pub fn builder(flags: &[(&str, &str)]) -> ModuleResult<ObjectBuilder> {
    let mut settings = settings::builder();
    for (name, value) in [("is_pic", "true")].iter().chain(flags) {
        settings.set(name, value)?;
    }
    let native = cranelift_native::builder().map_err(io::Error::other);
    let native = native.map_err(|error| ModuleError::Backend(error.into()))?;
    let isa = native.finish(settings::Flags::new(settings))?;
    ObjectBuilder::new(isa, "language", default_libcall_names())
}

/// The object file.
pub fn finish(module: ObjectModule) -> ModuleResult<Vec<u8>> {
    module.finish().emit().map_err(|error| ModuleError::Backend(error.into()))
}

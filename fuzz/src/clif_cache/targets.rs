//! Numbers -> targets: instruction sets and flags.

use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable as _};
use std::sync::OnceLock;

/// How many there are.
pub const COUNT: usize = FLAGS.len() + 1;

/// Of the host's: the first one, and such as differ from it or another in one flag that the
/// generator's functions feel.
const FLAGS: [&[(&str, &str)]; 5] = [
    &[("opt_level", "speed")],
    &[("opt_level", "none")],
    &[("opt_level", "speed"), ("preserve_frame_pointers", "true")],
    &[("opt_level", "speed"), ("machine_code_cfg_info", "true")],
    &[("opt_level", "none"), ("regalloc_algorithm", "single_pass")],
];

/// One of them; numbers go round.
pub fn isa(number: usize) -> OwnedTargetIsa {
    static ISAS: OnceLock<Vec<OwnedTargetIsa>> = OnceLock::new();
    let isas = ISAS.get_or_init(|| {
        let host = |flags| build(cranelift_native::builder().expect("it is supported"), flags);
        let mut isas: Vec<OwnedTargetIsa> = FLAGS.into_iter().map(host).collect();
        let aarch64 = isa::lookup_by_name("aarch64-unknown-linux-gnu").expect("it is built in");
        isas.push(build(aarch64, FLAGS[0]));
        isas
    });
    isas[number % isas.len()].clone()
}

fn build(builder: isa::Builder, flags: &[(&str, &str)]) -> OwnedTargetIsa {
    let mut with = settings::builder();
    // Parameters of 128 bits need it.
    for (name, value) in flags.iter().chain(&[("enable_llvm_abi_extensions", "true")]) {
        with.set(name, value).expect("it is a flag");
    }
    builder.finish(settings::Flags::new(with)).expect("the flags fit together")
}

//! Mutations of what is no input: names, where the source lies, the order in which a function was
//! built.

use super::Named;
use cranelift_codegen::ir::{self, SourceLoc, UserExternalName, UserFuncName};
use generate::clif::scramble::scramble;
use rand::rngs::SmallRng;
use rand::{Rng, RngExt as _, SeedableRng as _};

/// The mutation after which a frame may be another.
pub const BUILT_OTHERWISE: &str = "built otherwise";

/// All of them.
pub const ALL: [Named; 6] = [
    ("name", name),
    ("callees renamed", rename_callees),
    ("callees exchanged", exchange_callees),
    ("source base", move_base),
    ("source stretched", stretch_source),
    (BUILT_OTHERWISE, build_otherwise),
];

fn name(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    function.name = UserFuncName::user(rng.random(), rng.random());
    Some(())
}

fn names(function: &ir::Function) -> Vec<UserExternalName> {
    function.params.user_named_funcs().values().cloned().collect()
}

/// Gives a function parameters anew; references keep their numbers.
fn reset(function: &mut ir::Function, names: Vec<UserExternalName>, base: SourceLoc) {
    function.params = ir::function::FunctionParameters::new();
    if !base.is_default() {
        function.params.ensure_base_srcloc(base);
    }
    for name in names {
        function.declare_imported_user_function(name);
    }
}

fn rename_callees(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let (namespace, by): (u32, u32) = (rng.random(), rng.random());
    let renamed = |name: UserExternalName| {
        UserExternalName::new(name.namespace ^ namespace, name.index.wrapping_add(by))
    };
    let names = names(function).into_iter().map(renamed).collect();
    reset(function, names, function.params.base_srcloc());
    Some(())
}

fn exchange_callees(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let mut names = names(function);
    if names.len() > 1 {
        let by = rng.random_range(1..names.len());
        names.rotate_left(by);
    }
    reset(function, names, function.params.base_srcloc());
    Some(())
}

fn move_base(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let by = rng.random_range(1..1 << 30);
    let base = function.params.base_srcloc();
    let moved = if base.is_default() { base } else { SourceLoc::new(base.bits() + by) };
    reset(function, names(function), moved);
    Some(())
}

fn stretch_source(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let (times, by) = (rng.random_range(2..1000), rng.random_range(0..1 << 20));
    let original = function.clone();
    reset(function, names(&original), SourceLoc::default());
    for block in original.layout.blocks() {
        for inst in original.layout.block_insts(block) {
            let location = original.srcloc(inst);
            if !location.is_default() {
                function.set_srcloc(inst, SourceLoc::new(location.bits() * times + by));
            }
        }
    }
    Some(())
}

fn build_otherwise(function: &mut ir::Function, rng: &mut dyn Rng) -> Option<()> {
    let original = function.clone();
    function.clear();
    scramble(&original, function, &mut SmallRng::seed_from_u64(rng.random()));
    Some(())
}

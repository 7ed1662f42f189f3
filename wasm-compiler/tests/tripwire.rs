//! The files of Wasmtime and Cranelift from whose reading `docs/key-inputs.md` and
//! `docs/clif.md` were written are still those that were read.
//!
//! Where a fact reaches machine code without passing through a struct that
//! `split` takes apart, nothing in this repository would notice a new one. So an
//! upgrade fails here: read what has changed in the files named, write it into the
//! key where it belongs, and then the new digests into this list.

use oracle::packages::package;
use sha2::{Digest as _, Sha256};
use std::fs;

/// Crate, file, and the first 16 bytes of its SHA-256.
#[rustfmt::skip]
const READ: &[(&str, &str, &str)] = &[
    ("wasmtime-internal-cranelift", "alias_region.rs", "04c70265729f5cedbd365affc42110fd"),
    ("wasmtime-internal-cranelift", "bounds_checks.rs", "e5d38740ec3a7a1812f4faeef8289f0e"),
    ("wasmtime-internal-cranelift", "builder.rs", "9173f7fac9d9903681616030d4ee825a"),
    ("wasmtime-internal-cranelift", "compiled_function.rs", "e80bf8bc8c87ac5f97758824a392093a"),
    ("wasmtime-internal-cranelift", "compiler.rs", "90ba2127105742761ee2687f77aeb31d"),
    ("wasmtime-internal-cranelift", "compiler/component.rs", "bdf448641585826b76f7649df91e4a69"),
    ("wasmtime-internal-cranelift", "func_environ.rs", "369204a6ddebfb892fa6513dbd7e8480"),
    ("wasmtime-internal-cranelift", "func_environ/gc.rs", "26676c0fcd961053dda6787d4ef2ef1c"),
    ("wasmtime-internal-cranelift", "func_environ/gc/copying.rs", "7f085b3f714ed39dc672168a1a675b3a"),
    ("wasmtime-internal-cranelift", "func_environ/gc/drc.rs", "4de2312548d3c415d0455509604e07cf"),
    ("wasmtime-internal-cranelift", "func_environ/gc/null.rs", "bc7b26f2fafe262eb21f8560866dcad0"),
    ("wasmtime-internal-cranelift", "isa_builder.rs", "37be99f0d2e78f6b6df374cae2731bbc"),
    ("wasmtime-internal-cranelift", "lib.rs", "09aa316367789fae3b5ec611aab3a7fb"),
    ("wasmtime-internal-cranelift", "obj.rs", "8c75f27e6204c66329295a0378ea21fd"),
    ("wasmtime-internal-cranelift", "translate/code_translator.rs", "3b43e508063e5082654bf5f47fabf449"),
    ("wasmtime-internal-cranelift", "translate/func_translator.rs", "6e81df71190a19e42d90bd1ea59c820d"),
    ("wasmtime-internal-cranelift", "translate/heap.rs", "c77805695d3029f857111c98659acd6f"),
    ("wasmtime-internal-cranelift", "translate/stack.rs", "9266956d0fb4137d993f2a858e85e0d6"),
    ("wasmtime-internal-cranelift", "translate/table.rs", "5fc30605d93d1027e22c31dc67e27e5b"),
    ("wasmtime-internal-cranelift", "translate/translation_utils.rs", "255d11705b02d098cbfb043fc5bd270f"),
    ("wasmtime-internal-cranelift", "trap.rs", "5c5d0b17e5fe48c106deb654f749c6d6"),
    ("wasmtime-environ", "address_map.rs", "00178ff9b1c7c16bf1c8e12ba766b80d"),
    ("wasmtime-environ", "builtin.rs", "e5280f4e0409c5daccd3003fceb6f507"),
    ("wasmtime-environ", "compile/address_map.rs", "f368c265a6bc46703fb4dd5966a652a9"),
    ("wasmtime-environ", "compile/mod.rs", "4d96b5b550ce37f5a45e99b0a770e2ac"),
    ("wasmtime-environ", "compile/module_artifacts.rs", "d62bf818b2ecb8fb339f82070f13b753"),
    ("wasmtime-environ", "compile/module_environ.rs", "904ea8e15ee20dc831e3b08bc4daf1e2"),
    ("wasmtime-environ", "compile/module_types.rs", "37ace67a2d21c14c16e0dfe6348ceefa"),
    ("wasmtime-environ", "compile/stack_maps.rs", "3a95598bc81f190e1d3b844693569153"),
    ("wasmtime-environ", "compile/trap_encoding.rs", "ead7f50a81de65d4d7bdb77480e512e7"),
    ("wasmtime-environ", "component/translate.rs", "0dcd83aa3a7a6d3bbe0d45c52b916deb"),
    ("wasmtime-environ", "gc.rs", "e66adc17bbc52534cee1cabcd908d1ab"),
    ("wasmtime-environ", "gc/copying.rs", "842ff09ff6aeaa4a634ab1849b176465"),
    ("wasmtime-environ", "gc/drc.rs", "da4c0d0ffa862bb5c5b3c34902439a70"),
    ("wasmtime-environ", "gc/null.rs", "0c9ce1f9c616d92343037c4a0eeaff66"),
    ("wasmtime-environ", "key.rs", "ee63a0bd317d43f51d5104915dd05aa6"),
    ("wasmtime-environ", "module.rs", "af0a7f7b1aea0cb3074200ad2f7ffc18"),
    ("wasmtime-environ", "module_artifacts.rs", "0223ec497d10f3d381e53820fe1c6b68"),
    ("wasmtime-environ", "ref_bits.rs", "b5f5b5dc530f95705d268f00f80aa710"),
    ("wasmtime-environ", "tunables.rs", "6b206918be95bd64a1e0a09ff93e70d3"),
    ("wasmtime-environ", "types.rs", "fb669610161745f2316f80d87866c515"),
    // What there is in the VMContext, and what of it is of which size.
    ("wasmtime-environ", "vmoffsets.rs", "166041146061f2a96e558d4a6ad8babb"),
    ("wasmtime-environ", "vmtypes.rs", "70cb24c4a68a49edb6d13648de028330"),
    ("wasmtime", "compile.rs", "983122c1069e589de7e679c2d3eed771"),
    ("wasmtime", "engine/serialization.rs", "d286c8419610c3b1abfebcfa620f830c"),
    ("wasmtime-internal-unwinder", "exception_table.rs", "457d067b93cbe6c2f0c915d090ae7850"),
    // That nothing asks for the number of an offset but whether it equals another's.
    ("cranelift-codegen", "alias_analysis.rs", "86b41005a575f4aa5e4c2649bcbd03c2"),
    ("cranelift-codegen", "egraph/mod.rs", "7ad7e78121f493a76996b40194b98072"),
    // How an offset gets into an addressing mode.
    ("cranelift-codegen", "isa/x64/inst.isle", "f169417fe639a08c05959b3fe73d0646"),
    ("cranelift-codegen", "isa/x64/lower.isle", "c9593b0169b6c123fdf6163887c304f3"),
    ("cranelift-codegen", "isa/x64/lower.rs", "5dfe498bf2ec37f7c6ba1f3add80bf21"),
    ("cranelift-codegen", "isa/x64/lower/isle.rs", "d02c953770db47d75e3cf06aba7eed83"),
    // Which registers a call preserves, what prologues do, and what jump tables look like.
    ("cranelift-codegen", "isa/x64/abi.rs", "a0f92e4f65b0fdf8f4f2e18e159b477f"),
    ("cranelift-codegen", "isa/x64/inst/args.rs", "e1682c7f907cdb14ed6434f7fa3f679d"),
    ("cranelift-codegen", "isa/x64/inst/emit.rs", "993a50df206334d77ad92e7c3effccd6"),
    ("cranelift-codegen", "isa/x64/inst/external.rs", "90feb18acb11db032dc21ddfcaa0b056"),
    // How large a displacement is.
    ("cranelift-assembler-x64", "mem.rs", "57e699fa12836b062dca49a30bf6ecc1"),
    ("cranelift-assembler-x64", "rex.rs", "d2c689cfb55436d70c67bb8083876f06"),
    // What `stencil/src/clif` cannot take apart by its fields.
    ("cranelift-codegen", "context.rs", "7ef0b642a4093a6dae0512d61e9ed771"),
    ("cranelift-codegen", "ir/constant.rs", "4dd8b4081ddb5d06f213799fb7f62cb8"),
    ("cranelift-codegen", "ir/debug_tags.rs", "9c450db575d75823d2c012ce78dc28d9"),
    ("cranelift-codegen", "ir/dfg.rs", "4397bb4510888a2301196f9f6760d2bb"),
    ("cranelift-codegen", "ir/exception_table.rs", "f6735644b60732c237b1789825481ecc"),
    ("cranelift-codegen", "ir/extname.rs", "26202c29cdaa85447964fcb3e3302e88"),
    ("cranelift-codegen", "ir/function.rs", "9fa22d1c7a4b9fe8abe8b9f187b171d8"),
    ("cranelift-codegen", "ir/jumptable.rs", "8a608eff04acd7e8b6e125f3b86880d3"),
    ("cranelift-codegen", "ir/layout.rs", "c0db06c6d545891952d31e98f1e9e9dc"),
    ("cranelift-codegen", "ir/memflags.rs", "2318d3b0bf25ca595c73112f5aeaf83b"),
    ("cranelift-codegen", "ir/sourceloc.rs", "a4f2d0e51c50d9caab15f493999cb129"),
    ("cranelift-codegen", "ir/user_stack_maps.rs", "f8eae1999d149d07cdea97e4a538e43b"),
    ("cranelift-codegen", "machinst/buffer.rs", "5d362c9f1cf483bc9357c2bf7369e218"),
    ("cranelift-codegen", "machinst/mod.rs", "e17f44e84c2bddefbcc988bb4bb9c222"),
];

#[test]
fn what_was_read_has_not_changed() {
    let mut changed = Vec::new();
    for (name, file, expected) in READ {
        let path = package(name).join("src").join(file);
        let content = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let digest = Sha256::digest(content);
        let found: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        if found != *expected {
            changed.push(format!("(\"{name}\", \"{file}\", \"{found}\"),"));
        }
    }
    assert!(changed.is_empty(), "these have changed since they were read:\n{}", changed.join("\n"));
}

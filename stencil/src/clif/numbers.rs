//! Cranelift's enumerations <-> the numbers that stencils and entries hold.
//!
//! A number means what it means in one version of Cranelift; the version is in
//! the [`Fingerprint`](crate::Fingerprint).

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{AtomicRmwOp, KnownSymbol, LibCall, Opcode, Type, types};
use cranelift_codegen::isa::CallConv;
use std::sync::OnceLock;

/// Every type by its number, [`Type::index`]; Cranelift has no function back.
/// Vectors of dynamic size have no stencil.
fn types() -> &'static [Option<Type>] {
    static TYPES: OnceLock<Vec<Option<Type>>> = OnceLock::new();
    TYPES.get_or_init(|| {
        let lanes = [
            types::I8,
            types::I16,
            types::I32,
            types::I64,
            types::I128,
            types::F16,
            types::F32,
            types::F64,
            types::F128,
        ];
        let vectors = lanes.iter().flat_map(|lane| {
            let vectors = (1..=8).filter_map(|log2| lane.by(1 << log2));
            vectors.filter(|vector| !vector.is_dynamic_vector())
        });
        let mut table = Vec::new();
        for ty in lanes.iter().copied().chain(vectors) {
            if table.len() <= ty.index() {
                table.resize(ty.index() + 1, None);
            }
            table[ty.index()] = Some(ty);
        }
        table
    })
}

/// The type with a number.
pub(crate) fn type_of(number: u64) -> Option<Type> {
    types().get(usize::try_from(number).ok()?).copied().flatten()
}

/// The opcode with a number; 0 is none.
pub(crate) fn opcode_of(number: u8) -> Option<Opcode> {
    Opcode::all().get(usize::from(number).checked_sub(1)?).copied()
}

pub(crate) fn int_cc_of(number: u8) -> Option<IntCC> {
    IntCC::all().get(usize::from(number)).copied()
}

pub(crate) fn float_cc_of(number: u8) -> Option<FloatCC> {
    FloatCC::all().get(usize::from(number)).copied()
}

pub(crate) fn atomic_rmw_op_of(number: u8) -> Option<AtomicRmwOp> {
    AtomicRmwOp::all().get(usize::from(number)).copied()
}

pub(crate) fn lib_call_of(number: u32) -> Option<LibCall> {
    LibCall::all_libcalls().get(usize::try_from(number).ok()?).copied()
}

const KNOWN_SYMBOLS: [KnownSymbol; 2] =
    [KnownSymbol::ElfGlobalOffsetTable, KnownSymbol::CoffTlsIndex];

pub(crate) fn known_symbol_of(number: u32) -> Option<KnownSymbol> {
    KNOWN_SYMBOLS.get(usize::try_from(number).ok()?).copied()
}

const CALL_CONVS: [CallConv; 8] = [
    CallConv::Fast,
    CallConv::Tail,
    CallConv::SystemV,
    CallConv::WindowsFastcall,
    CallConv::AppleAarch64,
    CallConv::Probestack,
    CallConv::Winch,
    CallConv::PreserveAll,
];

pub(crate) fn call_conv_of(number: u8) -> Option<CallConv> {
    CALL_CONVS.get(usize::from(number)).copied()
}

/// Every kind of relocation by its number. The first five are those between
/// the functions of a WebAssembly module.
const RELOCS: [Reloc; 32] = [
    Reloc::X86CallPCRel4,
    Reloc::Arm64Call,
    Reloc::RiscvCallPlt,
    Reloc::S390xPLTRel32Dbl,
    Reloc::S390xPCRel32Dbl,
    Reloc::Abs4,
    Reloc::Abs8,
    Reloc::X86PCRel4,
    Reloc::X86CallPLTRel4,
    Reloc::X86GOTPCRel4,
    Reloc::X86SecRel,
    Reloc::Arm32Call,
    Reloc::ElfX86_64TlsGd,
    Reloc::MachOX86_64Tlv,
    Reloc::MachOAarch64TlsAdrPage21,
    Reloc::MachOAarch64TlsAdrPageOff12,
    Reloc::Aarch64TlsDescAdrPage21,
    Reloc::Aarch64TlsDescLd64Lo12,
    Reloc::Aarch64TlsDescAddLo12,
    Reloc::Aarch64TlsDescCall,
    Reloc::Aarch64AdrGotPage21,
    Reloc::Aarch64AdrPrelPgHi21,
    Reloc::Aarch64AddAbsLo12Nc,
    Reloc::Aarch64Ld64GotLo12Nc,
    Reloc::RiscvTlsGdHi20,
    Reloc::RiscvPCRelLo12I,
    Reloc::RiscvGotHi20,
    Reloc::RiscvPCRelHi20,
    Reloc::S390xTlsGd64,
    Reloc::S390xTlsGdCall,
    Reloc::PulleyPcRel,
    Reloc::PulleyCallIndirectHost,
];

/// The kind of relocation with a number.
pub fn reloc_of(number: u8) -> Option<Reloc> {
    RELOCS.get(usize::from(number)).copied()
}

/// The number of a kind of relocation.
pub fn reloc_number(reloc: Reloc) -> Option<u8> {
    RELOCS.iter().position(|known| *known == reloc).map(|number| number as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers are written by `as` and read by these tables.
    #[test]
    fn every_number_is_read_as_what_wrote_it() {
        for opcode in Opcode::all() {
            assert_eq!(opcode_of(*opcode as u8), Some(*opcode));
        }
        for cc in IntCC::all() {
            assert_eq!(int_cc_of(*cc as u8), Some(*cc));
        }
        for cc in FloatCC::all() {
            assert_eq!(float_cc_of(*cc as u8), Some(*cc));
        }
        for op in AtomicRmwOp::all() {
            assert_eq!(atomic_rmw_op_of(*op as u8), Some(*op));
        }
        for call in LibCall::all_libcalls() {
            assert_eq!(lib_call_of(*call as u32), Some(*call));
        }
        for symbol in KNOWN_SYMBOLS {
            assert_eq!(known_symbol_of(symbol as u32), Some(symbol));
        }
        for call_conv in CALL_CONVS {
            assert_eq!(call_conv_of(call_conv as u8), Some(call_conv));
        }
        for reloc in RELOCS {
            assert_eq!(reloc_number(reloc).and_then(reloc_of), Some(reloc));
        }
        assert_eq!((opcode_of(0), opcode_of(255), reloc_of(32)), (None, None, None));
    }

    /// Whatever is added to an enumeration does not build until it has a number.
    #[test]
    fn every_calling_convention_symbol_and_relocation_has_a_number() {
        let numbered = |call_conv| match call_conv {
            CallConv::Fast
            | CallConv::Tail
            | CallConv::SystemV
            | CallConv::WindowsFastcall
            | CallConv::AppleAarch64
            | CallConv::Probestack
            | CallConv::Winch
            | CallConv::PreserveAll => CALL_CONVS.contains(&call_conv),
        };
        assert!(numbered(CallConv::Fast));
        assert_eq!(CallConv::PreserveAll as usize + 1, CALL_CONVS.len());
        assert_eq!(KnownSymbol::CoffTlsIndex as usize + 1, KNOWN_SYMBOLS.len());
        assert_eq!(Reloc::PulleyCallIndirectHost as usize + 1, RELOCS.len());
    }

    #[test]
    fn every_type_comes_back_from_its_number() {
        let all: Vec<Type> = super::types().iter().copied().flatten().collect();
        for ty in &all {
            assert_eq!(type_of(ty.index() as u64), Some(*ty));
        }
        let vectors = [types::I8X16, types::F64X2, types::I64X8, types::F16X2];
        for ty in [types::I8, types::I128, types::F16, types::F128].iter().chain(&vectors) {
            assert!(all.contains(ty), "{ty}");
        }
        let dynamic = types::I8X8XN.index() as u64;
        assert_eq!([type_of(0), type_of(dynamic), type_of(u64::MAX)], [None; 3]);
    }
}

//! A module -> the same with the relocations that `wasm-ld --emit-relocs` leaves behind.

use wasm_encoder::{CustomSection, Encode as _, Section as _};
use wasmparser::{BinaryReader, Operator, Parser, Payload};

/// The type of a relocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A place in a table.
    Table = 1,
    /// The offset of an access: an address in a memory.
    Offset = 3,
    /// A constant of 32 bits.
    Address = 4,
    /// A global's index, which is no address.
    Global = 7,
    /// A constant of 64 bits.
    WideAddress = 15,
}

impl Kind {
    fn has_addend(self) -> bool {
        matches!(self, Self::Offset | Self::Address | Self::WideAddress)
    }
}

/// A number in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// Byte offset in the code section.
    pub at: u32,
    /// What a linker says that it is, if it is an address.
    pub kind: Kind,
}

/// The numbers of a module's bodies: constants, and offsets of loads and stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Which of the sections the code is.
    pub section: u32,
    /// In the order of the module.
    pub numbers: Vec<Number>,
}

impl Numbers {
    /// Those of a valid module; `None` if it has no code.
    pub fn of(wasm: &[u8]) -> Option<Self> {
        let (mut sections, mut code) = (0, None);
        let mut numbers = Vec::new();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.expect("it is valid") {
                Payload::Version { .. } => continue,
                Payload::CodeSectionStart { range, .. } => code = Some((sections, range.start)),
                Payload::CodeSectionEntry(body) => {
                    let (_, start) = code?;
                    let operators = body.get_operators_reader().expect("it is valid");
                    for operator in operators.into_iter_with_offsets() {
                        let (operator, at) = operator.expect("it is valid");
                        let number = number(&operator, &wasm[at..]);
                        numbers.extend(number.map(|(behind, kind)| Number {
                            at: (at + behind - start) as u32,
                            kind,
                        }));
                    }
                    continue;
                }
                _ => {}
            }
            sections += 1;
        }
        code.map(|(section, _)| Self { section, numbers })
    }
}

/// The number of an operator: how far behind its start it stands.
fn number(operator: &Operator<'_>, bytes: &[u8]) -> Option<(usize, Kind)> {
    const LOADS_AND_STORES: std::ops::RangeInclusive<u8> = 0x28..=0x3e;
    /// Set in the first number of an access that names its memory.
    const HAS_MEMORY: u32 = 1 << 6;
    match operator {
        Operator::I32Const { .. } => Some((1, Kind::Address)),
        Operator::I64Const { .. } => Some((1, Kind::WideAddress)),
        _ if LOADS_AND_STORES.contains(&bytes[0]) => {
            let mut reader = BinaryReader::new(&bytes[1..], 1);
            if reader.read_var_u32().expect("it is valid") & HAS_MEMORY != 0 {
                reader.read_var_u32().expect("it is valid");
            }
            Some((reader.original_position(), Kind::Offset))
        }
        _ => None,
    }
}

/// Appends the relocations of a section to a module: each at an offset in that section.
pub fn append(wasm: &mut Vec<u8>, section: u32, relocations: &[(u32, Kind)]) {
    let mut data = Vec::new();
    section.encode(&mut data);
    relocations.len().encode(&mut data);
    for (offset, kind) in relocations {
        data.push(*kind as u8);
        offset.encode(&mut data);
        // Of which symbol.
        0_u32.encode(&mut data);
        if kind.has_addend() {
            data.push(0);
        }
    }
    CustomSection { name: "reloc.CODE".into(), data: data.into() }.append_to(wasm);
}

/// The module as if the linker had filled in one of so many of its numbers, each an address.
pub fn linked(wasm: &[u8], one_in: usize) -> Option<Vec<u8>> {
    let Numbers { section, numbers } = Numbers::of(wasm)?;
    let named = numbers.iter().step_by(one_in).map(|number| (number.at, number.kind));
    let mut linked = wasm.to_vec();
    append(&mut linked, section, &named.collect::<Vec<_>>());
    Some(linked)
}

//! A module -> the same with other integer constants in its functions, and other offsets of what
//! they access.

use super::{ADDRESS_MIN, DISTANCE_END, Edit};
use std::convert::Infallible;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{CodeSection, Instruction, MemArg, Module};
use wasmparser::{
    CodeSectionReader, FunctionBody, MemArg as ParsedMemArg, MemoryType, Operator, OperatorsReader,
    Parser, Payload, TypeRef,
};

type Result<T> = std::result::Result<T, Error<Infallible>>;

/// What becomes of the constants of all functions. That of an `i32` is the low half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Constants {
    /// All are this one.
    All(i64),
    /// 1, 2, 4 and so on up to the highest bit, and from 1 again.
    PowersOfTwo,
    /// No two are the same, and all but the first two can be addresses wherever they stand.
    Distinct,
    /// Those that can be addresses are one and the same.
    OneAddress,
    /// The first, the third and so on are one address, others stay.
    EverySecond,
    /// Those that can be addresses are other ones, equal where they were equal.
    Mirrored,
    /// Distances at which globals lie in a `VMContext` that has very many of them.
    Distances,
}

impl Constants {
    /// The new value of a constant, given how many were in front of it.
    fn value(self, nth: i64, old: i64, bits: u32) -> i64 {
        let (least, largest) = (i64::from(ADDRESS_MIN), i64::from(i32::MAX));
        let is_address = (least..=largest).contains(&old);
        match self {
            Self::All(value) => value,
            Self::PowersOfTwo => 1 << (nth % i64::from(bits)),
            Self::Distinct => least + nth * 8191 % (largest - least),
            Self::OneAddress if is_address => 1 << 20,
            Self::EverySecond if nth % 2 == 0 => 1 << 20,
            Self::Mirrored if is_address => least + (largest - old),
            Self::Distances => i64::from(DISTANCE_END) + 16 * nth,
            Self::OneAddress | Self::EverySecond | Self::Mirrored => old,
        }
    }
}

/// The edited module; `None` if there is nothing to edit.
pub(super) fn apply(edit: Edit, wasm: &[u8]) -> Option<Vec<u8>> {
    let memories = memories(wasm);
    let mut rewriter = Rewriter {
        edit,
        memories,
        in_code: false,
        constants: 0,
        next_offset: None,
        changed: false,
    };
    let mut module = Module::new();
    rewriter.parse_core_module(&mut module, Parser::new(0), wasm).ok()?;
    rewriter.changed.then(|| module.finish())
}

/// All memories, imported ones first.
fn memories(wasm: &[u8]) -> Vec<MemoryType> {
    let mut memories = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.expect("the base is valid") {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    if let TypeRef::Memory(ty) = import.expect("the base is valid").ty {
                        memories.push(ty);
                    }
                }
            }
            Payload::MemorySection(section) => {
                memories.extend(section.into_iter().map(|ty| ty.expect("the base is valid")));
            }
            _ => {}
        }
    }
    memories
}

struct Rewriter {
    edit: Edit,
    memories: Vec<MemoryType>,
    /// What initialises globals and segments stays.
    in_code: bool,
    /// How many constants have been met.
    constants: i64,
    /// The offset of the next access, whose address has been met.
    next_offset: Option<u64>,
    changed: bool,
}

impl Rewriter {
    fn constant(&mut self, old: i64, bits: u32) -> i64 {
        let Edit::Constants(constants) = self.edit else { return old };
        let new = constants.value(self.constants, old, bits);
        self.constants += 1;
        new
    }

    /// The largest offset of an access to a memory.
    fn offset_max(&self, memory: u32) -> u64 {
        let is_64 = self.memories.get(memory as usize).is_some_and(|memory| memory.memory64);
        if is_64 { u64::MAX } else { u64::from(u32::MAX) }
    }

    /// The constant that is read next, if it is the address of an access, and that one's
    /// offset: each as half of their sum.
    fn halved(&self, mut reader: OperatorsReader<'_>) -> Option<(Instruction<'static>, u64)> {
        let constant = reader.read().ok()?;
        let access = match reader.read().ok()? {
            Operator::LocalGet { .. } | Operator::I32Const { .. } | Operator::I64Const { .. } => {
                stored(&reader.read().ok()?)
            }
            operator => loaded(&operator),
        }?;
        let sum = |address: i64| {
            let sum = u64::try_from(address).ok()?.checked_add(access.offset)?;
            i32::try_from(sum).ok()
        };
        let (address, sum) = match constant {
            Operator::I32Const { value } => {
                let sum = sum(value.into())?;
                (Instruction::I32Const(sum / 2), sum)
            }
            Operator::I64Const { value } => {
                let sum = sum(value)?;
                (Instruction::I64Const((sum / 2).into()), sum)
            }
            _ => return None,
        };
        Some((address, (sum - sum / 2) as u64))
    }
}

/// A constant as the difference of two that can be addresses, if it is one; not the same two for
/// all constants of one value.
fn difference(operator: &Operator<'_>, nth: i64) -> Option<[Instruction<'static>; 3]> {
    let (value, is_64) = match *operator {
        Operator::I32Const { value } => (i64::from(value), false),
        Operator::I64Const { value } => (value, true),
        _ => return None,
    };
    let address = i64::from(DISTANCE_END) + nth * 8191 % (1 << 20);
    let other = i32::try_from(address.checked_add(value.checked_abs()?)?).ok()?;
    let address = address as i32;
    let (from, less) = if value < 0 { (address, other) } else { (other, address) };
    Some(if is_64 {
        let [from, less] = [from, less].map(|address| Instruction::I64Const(address.into()));
        [from, less, Instruction::I64Sub]
    } else {
        [Instruction::I32Const(from), Instruction::I32Const(less), Instruction::I32Sub]
    })
}

/// What a load accesses.
fn loaded(operator: &Operator<'_>) -> Option<ParsedMemArg> {
    match *operator {
        Operator::I32Load { memarg }
        | Operator::I64Load { memarg }
        | Operator::F32Load { memarg }
        | Operator::F64Load { memarg }
        | Operator::V128Load { memarg }
        | Operator::I32Load8U { memarg }
        | Operator::I32Load8S { memarg }
        | Operator::I32Load16U { memarg }
        | Operator::I32Load16S { memarg }
        | Operator::I64Load8U { memarg }
        | Operator::I64Load32U { memarg } => Some(memarg),
        _ => None,
    }
}

/// What a store accesses.
fn stored(operator: &Operator<'_>) -> Option<ParsedMemArg> {
    match *operator {
        Operator::I32Store { memarg }
        | Operator::I64Store { memarg }
        | Operator::F32Store { memarg }
        | Operator::F64Store { memarg }
        | Operator::V128Store { memarg }
        | Operator::I32Store8 { memarg }
        | Operator::I32Store16 { memarg }
        | Operator::I64Store8 { memarg }
        | Operator::I64Store32 { memarg } => Some(memarg),
        _ => None,
    }
}

impl Reencode for Rewriter {
    type Error = Infallible;

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<()> {
        self.in_code = true;
        utils::parse_code_section(self, code, section)?;
        self.in_code = false;
        Ok(())
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<()> {
        if self.edit != Edit::Differences {
            return utils::parse_function_body(self, code, body);
        }
        let mut function = self.new_function_with_parsed_locals(&body)?;
        let mut reader = body.get_operators_reader()?;
        while !reader.eof() {
            let operator = reader.read()?;
            if let Some(three) = difference(&operator, self.constants) {
                for instruction in &three {
                    function.instruction(instruction);
                }
                self.constants += 1;
                self.changed = true;
            } else {
                function.instruction(&self.instruction(operator)?);
            }
        }
        code.function(&function);
        Ok(())
    }

    fn parse_instruction<'a>(
        &mut self,
        reader: &mut OperatorsReader<'a>,
    ) -> Result<Instruction<'a>> {
        if self.edit == Edit::HalvedAddresses
            && let Some((address, offset)) = self.halved(reader.clone())
        {
            reader.read()?;
            self.next_offset = Some(offset);
            return Ok(address);
        }
        utils::parse_instruction(self, reader)
    }

    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Result<Instruction<'a>> {
        let new = match operator {
            Operator::I32Const { value } if self.in_code => {
                let new = self.constant(value.into(), 32) as i32;
                self.changed |= new != value;
                Instruction::I32Const(new)
            }
            Operator::I64Const { value } if self.in_code => {
                let new = self.constant(value, 64);
                self.changed |= new != value;
                Instruction::I64Const(new)
            }
            operator => utils::instruction(self, operator)?,
        };
        Ok(new)
    }

    fn mem_arg(&mut self, arg: ParsedMemArg) -> Result<MemArg> {
        let offset = match self.edit {
            Edit::Offsets(offset) => offset.min(self.offset_max(arg.memory)),
            _ => self.next_offset.take().unwrap_or(arg.offset),
        };
        self.changed |= offset != arg.offset;
        utils::mem_arg(self, ParsedMemArg { offset, ..arg })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(edit: Edit, before: &str, after: &str) {
        let module = |body: &str| {
            let text = format!(
                "(module (import \"a\" \"b\" (memory i64 1)) (memory 1)
                   (global i32 (i32.const 5000)) (data (memory 1) (i32.const 5000) \"x\")
                   (func (param i32) {body}))"
            );
            wat::parse_str(text).expect("it is a module")
        };
        let edited = edit.apply(&module(before));
        assert!(edited == (before != after).then(|| module(after)), "{edit:?} of {before}");
    }

    const VALUES: &str = "i32.const 5 i32.const 5000 i64.const 5000 i64.const -1 i32.const 70000
        unreachable";

    #[test]
    fn constants_of_functions_get_other_values() {
        let low = i64::from(i32::MIN);
        for (constants, after) in [
            (Constants::All(1023), [1023, 1023, 1023, 1023, 1023]),
            (Constants::All(1 << 31), [low, low, 1 << 31, 1 << 31, low]),
            (Constants::PowersOfTwo, [1, 2, 4, 8, 16]),
            (Constants::Distinct, [1024, 9215, 17406, 25597, 33788]),
            (Constants::OneAddress, [5, 1 << 20, 1 << 20, -1, 1 << 20]),
            (Constants::EverySecond, [1 << 20, 5000, 1 << 20, -1, 1 << 20]),
            (Constants::Mirrored, [5, 2_147_479_671, 2_147_479_671, -1, 2_147_414_671]),
            (Constants::Distances, [16384, 16400, 16416, 16432, 16448]),
        ] {
            let [a, b, c, d, e] = after;
            let after = format!(
                "i32.const {a} i32.const {b} i64.const {c} i64.const {d} i32.const {e} unreachable"
            );
            check(Edit::Constants(constants), VALUES, &after);
        }
    }

    #[test]
    fn offsets_are_at_most_what_the_memory_can_have() {
        let accesses = |narrow: u64, wide: u64| {
            format!(
                "local.get 0 i32.load 1 offset={narrow} drop
                 i64.const 0 f64.load 0 offset={wide} drop"
            )
        };
        check(Edit::Offsets(1024), &accesses(0, 8), &accesses(1024, 1024));
        check(Edit::Offsets(u64::MAX), &accesses(0, 8), &accesses(u32::MAX.into(), u64::MAX));
        check(Edit::Offsets(8), &accesses(8, 8), &accesses(8, 8));
    }

    #[test]
    fn constants_become_differences_of_addresses() {
        check(
            Edit::Differences,
            "i32.const 5 i32.const -5 i64.const 0 i64.const 0x8000_0000 unreachable",
            "i32.const 16389 i32.const 16384 i32.sub i32.const 24575 i32.const 24580 i32.sub
             i64.const 32766 i64.const 32766 i64.sub i64.const 0x8000_0000 unreachable",
        );
    }

    #[test]
    fn an_address_and_its_offset_are_each_half_of_their_sum() {
        let edit = Edit::HalvedAddresses;
        check(
            edit,
            "i32.const 5001 i32.load 1 offset=8 drop
             i32.const 0 local.get 0 i32.store 1 offset=4000
             i32.const 6000 i32.const 80 i32.store 1
             i32.const 80 local.get 0 i32.add drop",
            "i32.const 2504 i32.load 1 offset=2505 drop
             i32.const 2000 local.get 0 i32.store 1 offset=2000
             i32.const 3000 i32.const 80 i32.store 1 offset=3000
             i32.const 80 local.get 0 i32.add drop",
        );
        let over = "i32.const 1 i32.load 1 offset=0x7fffffff drop";
        check(edit, over, over);
    }
}

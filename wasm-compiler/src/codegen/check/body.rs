//! The body that was compiled -> whether it is the function's, with a placeholder in the
//! place of each constant that is a parameter, and nothing else.

use super::super::offsets::Offsets;
use super::super::sites::Unexplained;
use crate::split::{ConstantUse, Uses, offset_at};
use std::collections::BTreeMap;
use wasmparser::{BinaryReader, BinaryReaderError, FunctionBody, Operator};

/// Checks the locals and every operator. `first` is the index of the first placeholder.
pub(in super::super) fn check(
    own: &[u8],
    compiled: &[u8],
    uses: &Uses,
    first: u32,
) -> Result<(), Unexplained> {
    let unread = |_: BinaryReaderError| Unexplained { at: 0, what: "a body that cannot be read" };
    let mut expected = Expected::of(uses, first);
    let (own_operators, operators) =
        (operators(own).map_err(unread)?, operators(compiled).map_err(unread)?);
    if own_operators.len() != operators.len() {
        return Err(Unexplained { at: 0, what: "a body of another length" });
    }
    let locals = |body: &[u8], operators: &[(usize, Operator<'_>)]| {
        body[..operators.first().map_or(body.len(), |(at, _)| *at)].to_vec()
    };
    if locals(own, &own_operators) != locals(compiled, &operators) {
        return Err(Unexplained { at: 0, what: "other locals" });
    }
    let mut ends = own_operators.iter().map(|(at, _)| *at).skip(1).chain([own.len()]);
    let mut other_ends = operators.iter().map(|(at, _)| *at).skip(1).chain([compiled.len()]);
    for ((at, operator), (other_at, other)) in own_operators.iter().zip(&operators) {
        let bytes = &own[*at..ends.next().unwrap_or(own.len())];
        let other_bytes = &compiled[*other_at..other_ends.next().unwrap_or(compiled.len())];
        let at = *at as u32;
        let is_right = match (expected.constants.get(&at), expected.offsets.get(&at)) {
            (Some(constant), _) => {
                let is_read = matches!(other, Operator::GlobalGet { global_index }
                    if *global_index == expected.placeholder(constant));
                is_read && expected.is_one_value(constant, operator, own)
            }
            (None, Some(offset)) => {
                let number = |bytes, at| offset_at(bytes, at).ok();
                let (Some((range, _)), Some((other_range, found))) =
                    (number(bytes, 0), number(other_bytes, 0))
                else {
                    return Err(Unexplained { at, what: "an access that cannot be read" });
                };
                found == u64::from(*offset)
                    && bytes[..range.start] == other_bytes[..other_range.start]
                    && bytes[range.end..] == other_bytes[other_range.end..]
            }
            (None, None) => bytes == other_bytes,
        };
        if !is_right {
            return Err(Unexplained { at, what: "another operator in the body that was compiled" });
        }
    }
    Ok(())
}

/// The operators, each with where it stands.
fn operators(body: &[u8]) -> Result<Vec<(usize, Operator<'_>)>, BinaryReaderError> {
    let mut reader = FunctionBody::new(BinaryReader::new(body, 0)).get_operators_reader()?;
    let mut operators = Vec::new();
    while !reader.eof() {
        operators.push((reader.original_position(), reader.read()?));
    }
    Ok(operators)
}

/// What is to stand where.
struct Expected<'u> {
    first: u32,
    constants: BTreeMap<u32, &'u ConstantUse>,
    offsets: BTreeMap<u32, u32>,
    /// The values met, by ordinal and type.
    values: BTreeMap<(u32, u32), i64>,
}

impl<'u> Expected<'u> {
    fn of(uses: &'u Uses, first: u32) -> Self {
        let parts = uses.constants.iter().filter_map(|constant| Some((constant.access?, 0)));
        let offsets =
            uses.offsets.iter().map(|offset| (offset.at, Offsets::ONE.placeholder(offset.ordinal)));
        Self {
            first,
            constants: uses.constants.iter().map(|constant| (constant.at, constant)).collect(),
            offsets: parts.chain(offsets).collect(),
            values: BTreeMap::new(),
        }
    }

    fn placeholder(&self, constant: &ConstantUse) -> u32 {
        self.first + 2 * constant.ordinal + constant.ty as u32
    }

    /// Whether the constant has the value that all of its ordinal have.
    fn is_one_value(&mut self, constant: &ConstantUse, own: &Operator<'_>, body: &[u8]) -> bool {
        let value = match *own {
            Operator::I32Const { value } => i64::from(value),
            Operator::I64Const { value } => value,
            _ => return false,
        };
        let offset = match constant.access {
            None => Some(0),
            Some(access) => offset_at(body, access).ok().map(|(_, offset)| offset),
        };
        let whole = offset.and_then(|offset| value.checked_add(i64::try_from(offset).ok()?));
        let Some(whole) = whole else { return false };
        let of_ordinal = (constant.ordinal, constant.ty as u32);
        *self.values.entry(of_ordinal).or_insert(whole) == whole
    }
}

#[cfg(test)]
mod tests {
    use super::{Offsets, Uses, check, operators};
    use crate::split::{ConstantType, ConstantUse, OffsetUse};
    use wasmparser::{Operator, Parser, Payload};

    const FIRST: u32 = 4;

    /// The body of a function with a parameter, in a module with placeholders.
    fn body(text: &str) -> Vec<u8> {
        let globals = "(global (mut i32) (i32.const 0)) (global (mut i64) (i64.const 0))".repeat(8);
        let module =
            format!("(module (memory 1) {globals} (func (param i32) (result i32) {text}))");
        let wasm = wat::parse_str(module).expect("it is a module");
        let bodies = Parser::new(0).parse_all(&wasm).filter_map(|payload| match payload {
            Ok(Payload::CodeSectionEntry(body)) => Some(body.as_bytes().to_vec()),
            _ => None,
        });
        bodies.last().expect("it has a function")
    }

    const OWN: &str = "(local i64) (i32.load offset=70000 (local.get 0)) \
        (i32.load offset=8 (i32.const 992)) i32.add (i32.const 1000) i32.add \
        (i64.const 5000) i32.wrap_i64 i32.add";

    /// What of it is a parameter: the address, with its offset, and what is equal to it; the
    /// wide constant; the offset of the first access.
    fn uses(own: &[u8]) -> Uses {
        let mut uses = Uses { distinct_constants: 2, ..Uses::default() };
        let mut constants = Vec::new();
        let mut accesses = Vec::new();
        for (at, operator) in operators(own).expect("it is a body") {
            match operator {
                Operator::I32Const { .. } => constants.push((at as u32, ConstantType::I32, 0)),
                Operator::I64Const { .. } => constants.push((at as u32, ConstantType::I64, 1)),
                Operator::I32Load { .. } => accesses.push(at as u32),
                _ => {}
            }
        }
        for (at, ty, ordinal) in constants {
            uses.constants.push(ConstantUse { at, ty, ordinal, access: None });
        }
        uses.constants[0].access = Some(accesses[1]);
        uses.offsets.push(OffsetUse { at: accesses[0], ordinal: 0 });
        uses
    }

    fn compiled() -> String {
        let offset = Offsets::ONE.placeholder(0);
        format!(
            "(local i64) (i32.load offset={offset} (local.get 0)) \
            (i32.load offset=0 (global.get 4)) i32.add (global.get 4) i32.add \
            (global.get 7) i32.wrap_i64 i32.add"
        )
    }

    #[test]
    fn a_body_with_placeholders_is_the_functions() {
        let own = body(OWN);
        check(&own, &body(&compiled()), &uses(&own), FIRST).expect("it is");
    }

    #[test]
    fn every_difference_is_found() {
        let own = body(OWN);
        let offset = Offsets::ONE.placeholder(0).to_string();
        for (right, wrong) in [
            ("(local i64)", "(local i32)"),
            ("(local i64)", "(local i64 i64)"),
            (offset.as_str(), "70000"),
            (&offset, "24402533"),
            ("offset=0 (global.get 4)", "offset=8 (global.get 4)"),
            ("offset=0 (global.get 4)", "offset=0 (global.get 6)"),
            ("offset=0 (global.get 4)", "offset=0 (i32.const 992)"),
            ("(local.get 0)", "(i32.const 0)"),
            ("(global.get 7)", "(global.get 5)"),
            ("i32.wrap_i64 i32.add", "i32.wrap_i64 i32.sub"),
            ("i32.wrap_i64 i32.add", "i32.wrap_i64 i32.add nop"),
        ] {
            let compiled = compiled();
            assert!(compiled.contains(right));
            let wrong = body(&compiled.replacen(right, wrong, 1));
            check(&own, &wrong, &uses(&own), FIRST).expect_err("it is another one");
        }
    }

    #[test]
    fn constants_of_one_ordinal_have_one_value() {
        for (right, wrong) in [
            ("offset=8", "offset=12"),
            ("i32.const 992", "i32.const 996"),
            ("i32.const 1000", "i32.const 1004"),
        ] {
            let own = body(&OWN.replace(right, wrong));
            check(&own, &body(&compiled()), &uses(&own), FIRST).expect_err("they have two");
        }
    }
}

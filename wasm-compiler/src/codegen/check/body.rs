//! The body that was compiled -> whether it is the function's, with a placeholder in the
//! place of each constant that is a parameter, and nothing else.

use super::super::offsets::Offsets;
use super::super::sites::Unexplained;
use crate::split::{ConstantUse, Uses, offset_at};
use std::collections::BTreeMap;
use wasmparser::{BinaryReader, BinaryReaderError, FunctionBody, Operator};

/// Checks every operator. `first` is the index of the first placeholder.
pub(super) fn check(
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
            uses.offsets.iter().map(|offset| (offset.at, Offsets::One.placeholder(offset.ordinal)));
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

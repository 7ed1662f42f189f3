//! A module -> the same module with one constant of one function changed.
//!
//! Invariant: nothing else changes, no size and no offset, and the edit is valid
//! whenever the module is: validation does not look at the value of a constant
//! in a body.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use wasmparser::{FunctionBody, Operator, Parser, Payload};

/// What was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// Which of the input's function bodies, counted from 0.
    pub body: u64,
    /// Byte offset in the input.
    pub offset: u64,
}

/// The constants of one byte have this bit clear.
const LEB_CONTINUES: u8 = 0x80;

/// Changes an `i32.const` of one byte, in the middle one of the functions that
/// have such a constant. `None`, and no change, if none has.
///
/// # Errors
///
/// If the bytes are not a module or component.
pub fn edit(wasm: &mut [u8]) -> Result<Option<Edit>> {
    let mut places = Vec::new();
    let mut body = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CodeSectionEntry(function) = payload.context("not WebAssembly")? {
            if let Some(offset) = constant(&function, wasm)? {
                places.push(Edit { body, offset: offset as u64 });
            }
            body += 1;
        }
    }
    let middle = places.get(places.len() / 2).copied();
    if let Some(edit) = middle {
        wasm[edit.offset as usize] ^= 1;
    }
    Ok(middle)
}

/// The offset of the first constant of one byte in a body.
fn constant(function: &FunctionBody<'_>, wasm: &[u8]) -> Result<Option<usize>> {
    let mut operators = function.get_operators_reader()?;
    while !operators.eof() {
        let (operator, at) = operators.read_with_offset()?;
        // The opcode is one byte, so the value starts behind it.
        if matches!(operator, Operator::I32Const { .. }) && wasm[at + 1] & LEB_CONTINUES == 0 {
            return Ok(Some(at + 1));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(one: &[u8], other: &[u8]) -> Vec<usize> {
        assert_eq!(one.len(), other.len());
        (0..one.len()).filter(|at| one[*at] != other[*at]).collect()
    }

    #[test]
    fn one_byte_of_the_middle_function_changes_and_the_module_stays_valid() {
        let wasm = wat::parse_str(
            "(module (func nop)
                (func (drop (i32.const 1))) (func (drop (i32.const 100000)) (drop (i32.const 2)))
                (func (drop (i32.const 3))))",
        )
        .unwrap();
        let mut edited = wasm.clone();
        let edit = edit(&mut edited).unwrap().unwrap();
        assert_eq!(edit.body, 2);
        assert_eq!(changed(&wasm, &edited), [edit.offset as usize]);
        assert_eq!(edited[edit.offset as usize], 3);
        wasmparser::Validator::new().validate_all(&edited).unwrap();
    }

    #[test]
    fn a_module_without_constants_is_left_alone() {
        let wasm = wat::parse_str("(module (func nop))").unwrap();
        let mut edited = wasm.clone();
        assert_eq!(edit(&mut edited).unwrap(), None);
        assert_eq!(wasm, edited);
    }
}

//! A module -> the same with numbers in more bytes than they need, as linkers leave them.

use wasm_encoder::SectionId;
use wasmparser::{Operator, Parser, Payload};

/// A number in exactly five bytes.
fn long_leb(value: usize) -> [u8; 5] {
    let mut bytes = [0; 5];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = (value >> (7 * at)) as u8 & 0x7f | if at < 4 { 0x80 } else { 0 };
    }
    bytes
}

fn read_leb(bytes: &[u8], at: &mut usize) -> usize {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[*at];
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// Rewrites each section's contents, and writes its size as five bytes.
fn map_sections(wasm: &[u8], mut contents: impl FnMut(u8, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let (header, _) = wasm.split_at(8);
    let mut edited = header.to_vec();
    let mut at = header.len();
    while at < wasm.len() {
        let id = wasm[at];
        at += 1;
        let size = read_leb(wasm, &mut at);
        let contents = contents(id, &wasm[at..at + size]);
        edited.push(id);
        edited.extend(long_leb(contents.len()));
        edited.extend(contents);
        at += size;
    }
    edited
}

pub(super) fn long_section_sizes(wasm: &[u8]) -> Option<Vec<u8>> {
    let edited = map_sections(wasm, |_, contents| contents.to_vec());
    // An empty module has no sections.
    (edited != wasm).then_some(edited)
}

/// One index in each function gets a needless byte, so that all that comes after
/// it has another place. Hints are given by place, so they are dropped.
pub(super) fn long_indices(wasm: &[u8]) -> Option<Vec<u8>> {
    let mut bodies = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.ok()? {
            Payload::CodeSectionEntry(body) => {
                let range = body.range();
                let mut grown = wasm[range.clone()].to_vec();
                if let Some(last) = last_byte_of_an_index(&body, wasm) {
                    let last = last - range.start;
                    grown[last] |= 0x80;
                    grown.insert(last + 1, 0);
                }
                bodies.push(grown);
            }
            Payload::CustomSection(section) if section.name() == "metadata.code.branch_hint" => {
                return None;
            }
            _ => {}
        }
    }
    if bodies.is_empty() {
        return None;
    }
    let code = SectionId::Code as u8;
    Some(map_sections(wasm, |id, contents| {
        if id != code {
            return contents.to_vec();
        }
        let mut section = long_leb(bodies.len()).to_vec();
        for body in &bodies {
            section.extend(long_leb(body.len()));
            section.extend(body);
        }
        section
    }))
}

/// Where the first operand of the kind ends that is an index below 128 or so.
fn last_byte_of_an_index(body: &wasmparser::FunctionBody<'_>, wasm: &[u8]) -> Option<usize> {
    let mut operators = body.get_operators_reader().ok()?;
    while !operators.eof() {
        let (operator, start) = operators.read_with_offset().ok()?;
        if let Operator::LocalGet { .. }
        | Operator::LocalSet { .. }
        | Operator::GlobalGet { .. }
        | Operator::Call { .. } = operator
        {
            // The opcode is one byte; five bytes are all that an index may have.
            let start = start + 1;
            let len = wasm[start..].iter().position(|byte| byte & 0x80 == 0)? + 1;
            if len < 5 {
                return Some(start + len - 1);
            }
        }
    }
    None
}

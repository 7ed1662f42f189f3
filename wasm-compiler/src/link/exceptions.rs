//! Call sites with handlers -> `.wasmtime.exceptions`; stack maps -> Wasmtime's
//! own section builder.

use super::{LinkedFunction, Place};
use stencil::compiled::StencilHandler;
use wasmtime_environ::StackMapSection;
use wasmtime_internal_unwinder::ExceptionTableBuilder;

/// Encodes the section in `ExceptionTableBuilder`'s format, which repeats the
/// context in force with each handler.
pub(super) fn encode(functions: &[LinkedFunction<'_>], places: &[Place]) -> Vec<u8> {
    let mut table = ExceptionTableBuilder::default();
    for (function, place) in functions.iter().zip(places) {
        for site in function.function.stencil().call_sites() {
            let mut context = u32::MAX;
            for handler in site.handlers() {
                let (tag, offset) = match handler {
                    StencilHandler::Tag { tag, offset } => (tag, offset),
                    StencilHandler::Default { offset } => (u32::MAX, offset),
                    StencilHandler::Context(offset) => {
                        context = offset;
                        continue;
                    }
                    // `Linkability` refuses such entries.
                    _ => continue,
                };
                table.tags.push(le(tag));
                table.contexts.push(le(context));
                table.handlers.push(le(place.start + offset));
            }
            table.ranges.push(le(table.tags.len() as u32));
            table.frame_offsets.push(le(site.frame_offset));
            table.callsites.push(le(place.start + site.return_offset));
        }
    }
    table.to_vec()
}

fn le(value: u32) -> object::U32<object::LittleEndian> {
    object::U32::new(object::LittleEndian, value)
}

pub(super) fn stack_maps(functions: &[LinkedFunction<'_>], places: &[Place]) -> StackMapSection {
    let mut section = StackMapSection::default();
    let mut slots: Vec<u32> = Vec::new();
    for (function, place) in functions.iter().zip(places) {
        for map in function.function.stencil().stack_maps() {
            slots.clear();
            slots.extend(map.slots().map(|slot| slot.offset));
            let offset = u64::from(place.start) + u64::from(map.offset);
            section.push(offset, map.frame_size, slots.iter().copied());
        }
    }
    section
}

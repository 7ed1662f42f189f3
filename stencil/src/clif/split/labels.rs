//! Debug labels of values -> the end of the stencil.

use super::Uncacheable;
use super::entities::Entities;
use crate::function_stencil::StencilWriter;
use cranelift_codegen::entity::EntityRef;
use cranelift_codegen::ir::{self, ValueLabelAssignments, ValueLabelStart};

/// Whether labels are collected; then each labelled value in order of its
/// number, and its labels.
///
/// Labels of values that the layout does not define are left out: code
/// generation looks labels up by the values that it lowers.
pub(super) fn write(
    stencil: &mut StencilWriter,
    entities: &Entities,
    function: &ir::Function,
) -> Result<(), Uncacheable> {
    let Some(labels) = &function.dfg.values_labels else {
        stencil.bool(false);
        return Ok(());
    };
    let mut numbered = Vec::new();
    for (value, assignments) in labels {
        let Some(number) = entities.values.get(value.index()) else { continue };
        match assignments {
            ValueLabelAssignments::Starts(starts) => numbered.push((number, starts)),
            ValueLabelAssignments::Alias { .. } => return Err(Uncacheable::LabelAlias),
        }
    }
    numbered.sort_by_key(|(number, _)| *number);
    stencil.bool(true);
    stencil.uleb(numbered.len() as u64);
    for (number, starts) in numbered {
        stencil.uleb(u64::from(number));
        stencil.uleb(starts.len() as u64);
        // The location from which a label is in effect is read by no one.
        for ValueLabelStart { from: _, label } in starts {
            stencil.uleb(label.index() as u64);
        }
    }
    Ok(())
}

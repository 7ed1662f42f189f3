//! Cranelift's IR of all functions -> the same with callees inlined, in
//! Wasmtime's order and by Wasmtime's rules (`compile_with_inlining`).
//!
//! Callees come before their callers, so that what is inlined has its own
//! callees inlined already; functions that call each other in a cycle are not
//! inlined into each other.

use crate::error::CompileError;
use crate::input::Input;
use rayon::prelude::*;
use std::collections::HashMap;
use wasmtime_environ::graphs::{EntityGraph, Graph as _, StronglyConnectedComponents};
use wasmtime_environ::prelude::IndexSet;
use wasmtime_environ::{
    Abi, CompiledFunctionBody, EntityRef as _, FuncKey, Inlining, InliningCompiler, Tunables,
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Node(u32);
wasmtime_environ::entity_impl!(Node);

/// Inlines into all of `bodies`, which are the inputs' pieces in their order,
/// translated and not yet finished.
pub(super) fn inline_all(
    input: &Input<'_>,
    tunables: &Tunables,
    compiler: &dyn InliningCompiler,
    keys: &[FuncKey],
    bodies: Vec<CompiledFunctionBody>,
) -> Result<Vec<CompiledFunctionBody>, CompileError> {
    let node_of: HashMap<FuncKey, Node> = (0..keys.len())
        .filter(|at| takes_part(keys[*at]))
        .map(|at| (keys[at], Node::new(at)))
        .collect();
    let mut called = IndexSet::default();
    let calls = EntityGraph::<Node>::new((0..keys.len()).map(Node::new), |node, callees| {
        if takes_part(keys[node.index()]) {
            called.clear();
            compiler.calls(&bodies[node.index()], &mut called)?;
            callees.extend(called.iter().filter_map(|key| node_of.get(key).copied()));
        }
        Ok(())
    })
    .map_err(|error: wasmtime_environ::error::Error| CompileError::wasmtime(error))?;

    let mut bodies: Vec<Option<CompiledFunctionBody>> = bodies.into_iter().map(Some).collect();
    for layer in layers(&calls, keys.len()) {
        // Taken out: what is not there is not inlined.
        let taken: Vec<(usize, CompiledFunctionBody)> = layer
            .into_iter()
            .filter(|at| takes_part(keys[*at]))
            .filter_map(|at| Some((at, bodies[at].take()?)))
            .collect();
        let inlined: Vec<_> = taken
            .into_par_iter()
            .map(|(at, mut caller)| {
                let mut caller_size = compiler.size(&caller);
                let mut get_callee = |key: FuncKey| {
                    let callee = bodies[node_of.get(&key)?.index()].as_ref()?;
                    let callee_size = compiler.size(callee);
                    let sizes = (caller_size, callee_size);
                    should_inline(input, tunables, keys[at], key, sizes).then(|| {
                        caller_size = caller_size.saturating_add(callee_size);
                        callee
                    })
                };
                compiler.inline(&mut caller, &mut get_callee).map_err(CompileError::wasmtime)?;
                Ok((at, caller))
            })
            .collect::<Result<_, CompileError>>()?;
        for (at, body) in inlined {
            bodies[at] = Some(body);
        }
    }
    Ok(bodies.into_iter().flatten().collect())
}

/// Whether a piece is inlined, or has others inlined into it. Trampolines need a
/// frame of their own.
fn takes_part(key: FuncKey) -> bool {
    matches!(key, FuncKey::DefinedWasmFunction(..) | FuncKey::UnsafeIntrinsic(..))
}

/// Nodes in layers: every callee of a node is in an earlier layer, but those in
/// a cycle with it, which are in the same one.
fn layers(calls: &EntityGraph<Node>, count: usize) -> Vec<Vec<usize>> {
    let components = StronglyConnectedComponents::new(calls);
    let mut component_of = vec![0; count];
    for (component, nodes) in components.iter() {
        for node in nodes {
            component_of[node.index()] = component.index();
        }
    }
    // Once, or a few times, as components come with callees first.
    let mut layer_of = vec![0; components.len()];
    let mut settled = false;
    while !settled {
        settled = true;
        for (component, nodes) in components.iter() {
            let outside = nodes
                .iter()
                .flat_map(|node| calls.successors(*node))
                .map(|callee| component_of[callee.index()])
                .filter(|callee| *callee != component.index());
            let layer = outside.map(|callee| layer_of[callee] + 1).max().unwrap_or(0);
            if layer != layer_of[component.index()] {
                layer_of[component.index()] = layer;
                settled = false;
            }
        }
    }
    let mut layers = vec![Vec::new(); layer_of.iter().max().map_or(0, |last| last + 1)];
    for node in 0..count {
        layers[layer_of[component_of[node]]].push(node);
    }
    layers
}

/// Wasmtime's rules. `sizes` are the caller's, with what was inlined into it so
/// far, and the callee's.
fn should_inline(
    input: &Input<'_>,
    tunables: &Tunables,
    caller: FuncKey,
    callee: FuncKey,
    sizes: (u32, u32),
) -> bool {
    if sizes.0.saturating_add(sizes.1) > tunables.inlining_sum_size_threshold
        || caller.abi() == Abi::Array
    {
        return false;
    }
    let (
        FuncKey::DefinedWasmFunction(caller_module, _),
        FuncKey::DefinedWasmFunction(callee_module, _),
    ) = (caller, callee)
    else {
        return true;
    };
    let other_module = caller_module != callee_module;
    match tunables.inlining {
        Inlining::Yes => true,
        Inlining::InterModuleAndIntraGc => {
            other_module || input.modules[caller_module].module.needs_gc_heap
        }
        Inlining::InterModule => other_module,
        Inlining::Intrinsics | Inlining::No => false,
    }
}

//! A function's name -> its place in the artifact's order.

use super::LinkedFunction;
use crate::pieces::external_name;
use std::collections::HashMap;
use stencil::ExternalName;
use stencil::finalize::FinalTarget;

/// The functions of one namespace, which lie beside one another.
#[derive(Clone, Copy)]
struct Namespace {
    first: usize,
    len: usize,
    /// The functions' indices are 0, 1, 2 and so on, as those of a module are.
    dense: bool,
}

/// Finds functions by name.
pub(super) struct Targets {
    namespaces: HashMap<u32, Namespace>,
    indices: Vec<u32>,
}

impl Targets {
    pub(super) fn of(functions: &[LinkedFunction<'_>]) -> Self {
        let mut namespaces: HashMap<u32, Namespace> = HashMap::new();
        let mut indices = Vec::with_capacity(functions.len());
        for (at, function) in functions.iter().enumerate() {
            let ExternalName { namespace, index } = external_name(function.func_key);
            let namespace =
                namespaces.entry(namespace).or_insert(Namespace { first: at, len: 0, dense: true });
            namespace.dense &= index as usize == namespace.len;
            namespace.len += 1;
            indices.push(index);
        }
        Self { namespaces, indices }
    }

    /// The position of a relocation's target, if it is a function of the artifact.
    #[inline]
    pub(super) fn target(&self, target: FinalTarget) -> Option<usize> {
        match target {
            FinalTarget::Name(name) => self.position(name),
            _ => None,
        }
    }

    /// The position of a function, if it is a part of the artifact.
    pub(super) fn position(&self, name: ExternalName) -> Option<usize> {
        let namespace = self.namespaces.get(&name.namespace)?;
        let within = if namespace.dense {
            Some(name.index as usize).filter(|index| *index < namespace.len)
        } else {
            let indices = &self.indices[namespace.first..namespace.first + namespace.len];
            indices.binary_search(&name.index).ok()
        };
        within.map(|within| namespace.first + within)
    }
}

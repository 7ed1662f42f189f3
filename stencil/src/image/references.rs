//! Changes of names -> the functions whose relocations have to be resolved again.

use crate::parameters::ExternalName;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default)]
pub(super) struct References {
    /// Who refers to a name; a function may refer to itself.
    referrers: BTreeMap<ExternalName, BTreeSet<ExternalName>>,
    /// Functions to resolve at the next commit.
    changed: BTreeSet<ExternalName>,
}

impl References {
    /// `function` refers to these names from now on.
    pub(super) fn add(
        &mut self,
        function: ExternalName,
        targets: impl Iterator<Item = ExternalName>,
    ) {
        self.changed.insert(function);
        for target in targets {
            self.referrers.entry(target).or_default().insert(function);
        }
    }

    /// `function` does not refer to them any more.
    pub(super) fn drop(
        &mut self,
        function: ExternalName,
        targets: impl Iterator<Item = ExternalName>,
    ) {
        self.changed.remove(&function);
        for target in targets {
            if let Some(referrers) = self.referrers.get_mut(&target) {
                referrers.remove(&function);
                if referrers.is_empty() {
                    self.referrers.remove(&target);
                }
            }
        }
    }

    /// `target` has another address, or none.
    pub(super) fn moved(&mut self, target: ExternalName) {
        if let Some(referrers) = self.referrers.get(&target) {
            self.changed.extend(referrers);
        }
    }

    /// One of the functions to resolve.
    pub(super) fn next_changed(&self) -> Option<ExternalName> {
        self.changed.first().copied()
    }

    /// `function` is resolved.
    pub(super) fn settled(&mut self, function: ExternalName) {
        self.changed.remove(&function);
    }
}

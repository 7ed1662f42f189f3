//! The two kinds of stencils: what the artifact is, and what is found again.

use std::str::FromStr;

/// Which constants and numbers of a module its functions' entries know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stencils {
    /// The artifact is stock Wasmtime's to the byte; constants are in the key.
    #[default]
    Exact,
    /// Constants that can be addresses are parameters, so that a function is found
    /// again when data has moved. The code differs a little from stock Wasmtime's, and what
    /// it does in the bits of NaNs and in how deep a recursion comes before the stack is full; it is
    /// the same whatever the cache has. For targets whose code is understood: x86-64.
    Relocatable,
}

impl Stencils {
    /// The name as a person writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Relocatable => "relocatable",
        }
    }
}

/// A word that is no kind of stencils.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stencils are exact or relocatable")]
pub struct NotStencils;

impl FromStr for Stencils {
    type Err = NotStencils;

    fn from_str(name: &str) -> Result<Self, NotStencils> {
        let kinds = [Self::Exact, Self::Relocatable];
        kinds.into_iter().find(|kind| kind.name() == name).ok_or(NotStencils)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stencils_are_of_one_kind_or_the_other() {
        for kind in [Stencils::Exact, Stencils::Relocatable] {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        for wrong in ["", "Exact", "relocatable ", "both"] {
            assert_eq!(wrong.parse::<Stencils>(), Err(NotStencils), "{wrong:?}");
        }
    }
}

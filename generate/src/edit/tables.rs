//! A module -> the same with tables of other sizes.

use std::convert::Infallible;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{Module, TableType};
use wasmparser::{Parser, TableType as ParsedTableType};

/// What becomes of all tables, imported and own ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tables {
    /// None can grow.
    Fixed,
    /// All can grow.
    Growing,
    /// Each has one element more, those that cannot grow too.
    Longer,
}

/// The edited module; `None` if there is nothing to edit.
pub(super) fn apply(edit: Tables, wasm: &[u8]) -> Option<Vec<u8>> {
    let mut rewriter = Rewriter { edit, changed: false };
    let mut module = Module::new();
    rewriter.parse_core_module(&mut module, Parser::new(0), wasm).ok()?;
    rewriter.changed.then(|| module.finish())
}

struct Rewriter {
    edit: Tables,
    changed: bool,
}

impl Reencode for Rewriter {
    type Error = Infallible;

    fn table_type(&mut self, table: ParsedTableType) -> Result<TableType, Error<Infallible>> {
        let old = utils::table_type(self, table)?;
        let (minimum, maximum) = match self.edit {
            Tables::Fixed => (old.minimum, Some(old.minimum)),
            Tables::Growing => (old.minimum, None),
            Tables::Longer => {
                let minimum = old.minimum.saturating_add(1);
                (minimum, old.maximum.map(|maximum| maximum.max(minimum)))
            }
        };
        self.changed |= (minimum, maximum) != (old.minimum, old.maximum);
        Ok(TableType { minimum, maximum, ..old })
    }
}

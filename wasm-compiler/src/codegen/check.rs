//! Code with a function's numbers in their place -> whether it is the code that was
//! compiled, with these numbers and nothing else.
//!
//! Neither entries nor fields nor the parameters' numbers are looked at. Where placeholders and
//! entities lie it is told, and which sites there are. The numbers are read from the body and the
//! layout again, and the code is decoded and compared with the compiler's, instruction by instruction; and
//! the body that was compiled with the function's, operator by operator. So
//! it finds an operator made wrong, a number in the place of another, a place that was
//! left out. Which numbers are parameters it is told, and holds against both bodies. Runs for
//! functions that are sampled.

mod body;

pub(super) use body::check as check_body;

use super::function_of;
use super::offsets::Offsets;
use super::relocate::{self, Reads};
use super::sites::{Base, Difference, Expected, Site, Unexplained};
use crate::compiler::Backend;
use crate::error::CompileError;
use crate::layout::Layout;
use crate::split::{ConstantType, Uses, offset_at};
use stencil::CacheKey;
use wasmparser::BinaryReader;
use wasmtime_environ::CompiledFunctionBody;
use wasmtime_internal_cranelift::CompiledFunction;

/// A function as it was compiled, and what of it depends on placeholders.
pub(super) struct Template<'t> {
    pub(super) one: &'t CompiledFunction,
    /// What the finder has found in it.
    pub(super) sites: &'t [Site],
    pub(super) compared: &'t Compared,
    /// Its layout, in the module with placeholders.
    pub(super) layout: &'t Layout,
    pub(super) reads: &'t Reads<'t>,
}

/// In what a code with other placeholders differs.
pub(super) struct Compared {
    differences: Vec<Difference>,
    /// The offsets that the other code has.
    offsets: Offsets,
}

/// Compares a code with others that differ in placeholders only, of which the first, that with
/// [`Offsets::OTHER`], may be there already, until one differs in nothing but fields: a placeholder may be equal to a constant that
/// the code has anyway, and then it is of another form. `None` if there is none to compare it with;
/// the inner error is why the last one is of another form.
pub(super) fn compare(
    one: &CompiledFunction,
    key: &CacheKey,
    mut first: Option<CompiledFunctionBody>,
    mut compile: impl FnMut(Offsets) -> Result<Option<CompiledFunctionBody>, CompileError>,
    backend: &Backend,
) -> Result<Result<Option<Compared>, Unexplained>, CompileError> {
    let mut refused = None;
    for offsets in Offsets::others(key) {
        let other = match first.take() {
            None => compile(offsets)?,
            there => there,
        };
        let Some(other) = other else { continue };
        let Ok(other) = function_of(&other) else { continue };
        let differences = relocate::with_code(one, backend, |code| {
            let finder = backend.finder.ok_or(unexplained(0, "code of an unknown target"))?;
            finder.differences(code, other.buffer.data())
        });
        match differences {
            Ok(differences) => return Ok(Ok(Some(Compared { differences, offsets }))),
            Err(error) => refused = Some(error),
        }
    }
    Ok(refused.map_or(Ok(None), Err))
}

fn unexplained(at: u32, what: &'static str) -> Unexplained {
    Unexplained { at, what }
}

/// Checks the final code of a function of the same key: of this body, these parameters in it, and
/// this layout.
pub(super) fn check(
    template: &Template<'_>,
    (body, uses, layout): (&[u8], &Uses, &Layout),
    final_code: &[u8],
    backend: &Backend,
) -> Result<(), Unexplained> {
    let Template { one, sites, compared, layout: compiled_layout, reads } = *template;
    let finder = backend.finder.ok_or(unexplained(0, "code of an unknown target"))?;
    let mut expected = Vec::new();
    for site in sites {
        let at = site.at;
        if reads.contain(site) {
            let number = constant_of(reads, site, (body, uses));
            let (value, bytes) = number.ok_or(unexplained(at, "a placeholder of nothing"))?;
            expected.push(Expected::Constant { site: *site, value, bytes });
        } else if site.base == Base::TypeIds || relocate::is_entity(site, backend) {
            let number = layout.counterpart(compiled_layout, site);
            let number = number.ok_or(unexplained(at, "an access of nothing"))?;
            expected.push(Expected::Displacement { site: *site, number });
        }
    }
    // Whatever depends on a placeholder is one of its reads, or an offset.
    let mut read_sites = sites.iter().filter(|site| reads.contain(site)).map(|site| site.at);
    for difference in &compared.differences {
        let at = difference.at;
        if Reads::differ_by(difference) {
            if read_sites.next() != Some(at) {
                return Err(unexplained(at, "a placeholder that is not read"));
            }
            continue;
        }
        let number = compared
            .offsets
            .held(difference)
            .and_then(|(ordinal, addend)| offset_of(uses, ordinal, body)?.checked_add(addend));
        let number = number.ok_or(unexplained(at, "an offset of nothing"))?;
        expected.push(Expected::Field { at, number });
    }
    if let Some(at) = read_sites.next() {
        return Err(unexplained(at, "a read that depends on no placeholder"));
    }
    relocate::with_code(one, backend, |code| finder.check(code, final_code, &expected))
}

/// The constant whose placeholder a site reads, and its size in bytes: from the body.
fn constant_of(reads: &Reads<'_>, site: &Site, (body, uses): (&[u8], &Uses)) -> Option<(u32, u8)> {
    let (ordinal, ty) = reads.placeholder(site)?;
    let used = uses.constants.iter().find(|used| used.ordinal == ordinal && used.ty == ty)?;
    let mut reader = BinaryReader::new(body.get(used.at as usize + 1..)?, 0);
    let own = match ty {
        ConstantType::I32 => i64::from(reader.read_var_i32().ok()?),
        ConstantType::I64 => reader.read_var_i64().ok()?,
    };
    let offset = match used.access {
        None => 0,
        Some(access) => offset_at(body, access).ok()?.1,
    };
    let value = own.checked_add(i64::try_from(offset).ok()?)?;
    Some((u32::try_from(value).ok()?, ty.bytes()))
}

/// One of the distinct offsets: from the body.
fn offset_of(uses: &Uses, ordinal: u32, body: &[u8]) -> Option<u32> {
    let used = uses.offsets.iter().find(|used| used.ordinal == ordinal)?;
    u32::try_from(offset_at(body, used.at).ok()?.1).ok()
}

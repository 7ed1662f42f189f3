//! Artifacts as they ought to be, Wasmtime's for instance, and ours of the same modules -> what is
//! wrong with ours.

use crate::artifacts::{Artifacts, PANICS, binary};
use crate::script::Script;
use oracle::same::assert_same;

/// What is wrong with our artifacts. A byte that differs ends the run: both artifacts are left in
/// files then.
///
/// # Panics
///
/// At such a byte.
pub fn differences(
    same_bytes: bool,
    script: &Script,
    expected: &Artifacts,
    ours: &Artifacts,
) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, module) in &script.modules {
        match (&expected.made[name], &ours.made[name]) {
            (Ok(expected), Ok(found)) if same_bytes => {
                let wasm = binary(module).expect("it was compiled");
                assert_same(name, &wasm, expected, found);
            }
            (Ok(_), Ok(_)) => {}
            (Err(stock), Err(ours)) if same_reason(stock, ours) => {}
            (stock, ours) => {
                let (stock, ours) = (stock.as_ref().err(), ours.as_ref().err());
                differences.push(format!("{name}: stock refuses it: {stock:?}, we: {ours:?}"));
            }
        }
    }
    differences
}

/// Where Wasmtime panics we may find a reason; what follows the first line has numbers that count
/// through the process.
fn same_reason(stock: &str, ours: &str) -> bool {
    let stock = as_ours(stock);
    stock == PANICS || ours.contains(stock.lines().next().unwrap_or_default())
}

/// Wasmtime has two forms for what the validator says, ours has one.
fn as_ours(stock: &str) -> String {
    let said = stock.strip_prefix("Invalid input WebAssembly code at offset ");
    let offset = said.and_then(|said| said.split_once(": "));
    match offset.and_then(|(offset, message)| Some((offset.parse::<usize>().ok()?, message))) {
        Some((offset, message)) => format!("{message} (at offset {offset:#x})"),
        None => stock.to_owned(),
    }
}

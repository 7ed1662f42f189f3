//! The specification's suite and that of wasm-tools pass on our artifacts where they pass on
//! Wasmtime's: directive by directive, cold and warm, with exact stencils and with relocatable
//! ones. `docs/conformance.md` is what came of it;
//! `CONFORMANCE_WRITE=1` writes it.

use conformance::suite::{CORE, cases};
use conformance::table::{Row, failures, not_run, rows, table};
use conformance::{Outcome, outcomes};
use std::path::Path;

/// Of the directives and files of the core suite.
const STOCK_PASSES_MIN: f64 = 0.95;

/// Where there are relocatable stencils, so many modules of the suite have such constants, as they
/// are and when all constants are made of addresses.
const RELOCATED_MIN: [u64; 2] = [50, 900];

#[test]
fn the_same_directives_pass_as_on_wasmtimes_artifacts() {
    let outcomes = outcomes(cases());
    println!("{}\n{}\n{}", table(&outcomes), failures(&outcomes), not_run(&outcomes));
    for outcome in &outcomes {
        check(outcome);
    }
    let rows = rows(&outcomes);
    let (_, core) = rows.iter().find(|(proposal, _)| proposal == CORE).expect("it is a row");
    for passed in [core.files, core.directives] {
        let share = passed.stock as f64 / passed.all as f64;
        assert!(share >= STOCK_PASSES_MIN, "stock passes {share} of the core suite");
    }
    for (proposal, row) in &rows {
        let (lookups, hits) = row.warm;
        assert_eq!(lookups, hits, "{proposal}: a lookup missed in a warm cache");
        assert_eq!(lookups, row.cold.0, "{proposal}: not the same lookups");
        let (lookups, hits) = row.relocatable;
        assert_eq!(lookups, hits, "{proposal}: a relocatable stencil was not found");
    }
    let relocated = |of: fn(&Row) -> u64| rows.iter().map(|(_, row)| of(row)).sum::<u64>();
    let relocated = [relocated(|row| row.relocated), relocated(|row| row.addresses)];
    let enough = relocated.iter().zip(RELOCATED_MIN).all(|(found, min)| *found > min);
    assert!(enough || cfg!(not(target_arch = "x86_64")), "{relocated:?} modules were relocated");
    document(&outcomes);
}

#[track_caller]
fn check(outcome: &Outcome) {
    let Outcome { name, stock, cold, warm, relocatable, addresses, .. } = outcome;
    let relocatable = relocatable.as_ref().map(|ours| ("relocatable", ours));
    let addresses = addresses.as_ref().map(|ours| ("of addresses", ours));
    let exact = [("cold", cold), ("warm", warm)];
    for (what, ours) in exact.into_iter().chain(relocatable).chain(addresses) {
        let differences = &ours.differences;
        assert!(differences.is_empty(), "{name}, {what}: {differences:#?}");
        assert_eq!(stock.len(), ours.verdicts.len(), "{name}, {what}");
        for (unit, (stock, ours)) in
            outcome.script.units.iter().zip(stock.iter().zip(&ours.verdicts))
        {
            let line = unit.line;
            let passes = stock.is_ok();
            assert_eq!(ours.is_ok(), passes, "{name}:{line}, {what}: {ours:?}, stock {stock:?}");
        }
    }
    // Where directives are only tried, the file as a whole stops at the first that does not work.
    if outcome.script.units.iter().all(|unit| unit.claimed) {
        let (plain, passes) = (outcome.plain.is_ok(), outcome.passes(stock));
        assert_eq!(passes, plain, "{name}: as Wasmtime runs it: {:?}", outcome.plain);
    }
}

/// Holds the outcome against the committed document, or writes that.
#[track_caller]
fn document(outcomes: &[Outcome]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance.md");
    let head = include_str!("../src/document.md");
    let text = head
        .replace("{table}", table(outcomes).trim_end())
        .replace("{failures}", failures(outcomes).trim_end())
        .replace("{not_run}", not_run(outcomes).trim_end());
    if std::env::var_os("CONFORMANCE_WRITE").is_some() {
        std::fs::write(&path, &text).expect("it is a part of the repository");
    }
    // Which builtins a function calls depends on the machine that it is compiled for.
    if cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        let committed = std::fs::read_to_string(&path).expect("it is a part of the repository");
        assert!(
            committed == text,
            "docs/conformance.md is not this; CONFORMANCE_WRITE=1 writes it"
        );
    }
}

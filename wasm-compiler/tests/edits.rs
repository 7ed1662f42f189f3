//! A module is compiled, then edited and compiled again on what the first
//! compile left in the cache: the artifact is Wasmtime's for the edited module.
//!
//! Most edits put something in front of an index space, so that all indices in
//! it are shifted. The table that this prints is what the cache is worth after
//! an edit of each kind.

use generate::edit::Edit;
use generate::smith::Kind;
use oracle::same::stock;
use oracle::stages::{Warmed, assert_warmed_by};
use oracle::testdata::{file, text_files};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wasm_compiler::{Compiler, Report};
use wasmtime::{Config, Engine};

const PAIRS_MIN: u64 = 500;
const SMITH_BASES: usize = 60;

/// Where the edited modules come from: rates differ much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Text,
    Ledger,
    Generated,
}

struct Base {
    source: Source,
    name: String,
    wasm: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    pairs: u64,
    lookups: u64,
    hits: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.pairs += other.pairs;
        self.lookups += other.lookups;
        self.hits += other.hits;
    }

    fn rate(&self) -> f64 {
        100.0 * self.hits as f64 / self.lookups.max(1) as f64
    }
}

/// All that is off by default, so that every text file is a base.
fn engine() -> Engine {
    let mut config = Config::new();
    config.wasm_custom_page_sizes(true).wasm_wide_arithmetic(true).wasm_branch_hinting(true);
    config.shared_memory(true);
    Engine::new(&config).expect("the configuration is sound")
}

fn bases(engine: &Engine) -> Vec<Base> {
    let mut bases = Vec::new();
    for (name, wasm) in text_files("wat") {
        bases.push(Base { source: Source::Text, name, wasm });
    }
    let wasm = file("wasm/ledger.wasm");
    bases.push(Base { source: Source::Ledger, name: "ledger".to_owned(), wasm });
    let kinds = Kind::ALL.into_iter().cycle();
    let generated = (1 << 32..).zip(kinds).filter_map(|(seed, kind)| {
        let wasm = kind.module(seed)?;
        let name = format!("{kind:?} module of seed {seed}");
        Some(Base { source: Source::Generated, name, wasm })
    });
    bases.extend(generated.take(SMITH_BASES));
    bases.retain(|base| stock(engine, &base.wasm).is_ok());
    bases
}

/// Compiles the base and its edit; `None` if the edit does not apply.
fn check(engine: &Engine, compiler: &Compiler, base: &Base, edit: Edit) -> Option<Report> {
    let edited = edit.apply(&base.wasm)?;
    let what = format!("{}, {edit:?}", base.name);
    assert_ne!(edited, base.wasm, "{what}: nothing was edited");
    // Some edits of some modules are over a limit, or make a type too deep.
    let Warmed { report, .. } = assert_warmed_by(&what, engine, compiler, &base.wasm, &edited)?;
    if edit.changes_no_function() {
        assert_eq!(report.misses, 0, "{what}: {:?}", report.miss_reasons);
    }
    Some(report)
}

#[test]
fn edited_modules_have_wasmtimes_bytes() {
    let engine = engine();
    let compiler = Compiler::for_engine(&engine).expect("artifacts show all settings");
    let bases = bases(&engine);
    let pairs: Vec<(&Base, Edit)> =
        bases.iter().flat_map(|base| Edit::ALL.map(|edit| (base, edit))).collect();
    let reports: Vec<_> = pairs
        .par_iter()
        .map(|(base, edit)| {
            let check = || check(&engine, &compiler, base, *edit);
            catch_unwind(AssertUnwindSafe(check))
        })
        .collect();

    let mut failed = Vec::new();
    let mut tallies = BTreeMap::<Edit, BTreeMap<Source, Tally>>::new();
    for ((base, edit), report) in pairs.iter().zip(reports) {
        match report {
            Err(_) => failed.push(format!("{}, {edit:?}", base.name)),
            Ok(None) => {}
            Ok(Some(Report { lookups, hits, .. })) => {
                let tally = Tally { pairs: 1, lookups, hits: hits.total() };
                tallies.entry(*edit).or_default().entry(base.source).or_default().add(tally);
            }
        }
    }

    println!("| edit | pairs | lookups | hits | rate | text | ledger | generated |");
    let mut total = Tally::default();
    for (edit, by_source) in &tallies {
        let mut all = Tally::default();
        by_source.values().for_each(|tally| all.add(*tally));
        total.add(all);
        let rate = |source| by_source.get(&source).copied().unwrap_or_default().rate();
        println!(
            "| {edit:?} | {} | {} | {} | {:.1} % | {:.1} % | {:.1} % | {:.1} % |",
            all.pairs,
            all.lookups,
            all.hits,
            all.rate(),
            rate(Source::Text),
            rate(Source::Ledger),
            rate(Source::Generated),
        );
    }
    let Tally { pairs, lookups, hits } = total;
    println!("| all | {pairs} | {lookups} | {hits} | {:.1} % |", total.rate());

    assert!(failed.is_empty(), "{} pairs failed: {failed:#?}", failed.len());
    assert!(pairs >= PAIRS_MIN, "only {pairs} pairs");
    assert!(Edit::ALL.iter().all(|edit| tallies.contains_key(edit)), "a kind never applied");
    assert!(total.rate() >= 30.0, "only {:.1} % hits", total.rate());
}

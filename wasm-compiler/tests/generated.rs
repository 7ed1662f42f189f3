//! Thousands of generated modules, compiled without a cache, cold and warm, have
//! Wasmtime's bytes each time.
//!
//! All modules of one configuration share one store, so that functions meet
//! entries that other modules have made.
//!
//! `STENCIL_GENERATED=N` compiles N modules in place of 4,000;
//! `STENCIL_SEED=N` compiles only the module of one seed, and prints it.

use generate::smith::Kind;
use oracle::hosts::{Host, Setting};
use oracle::stages::assert_stages;
use oracle::store::MemoryStore;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};

const MODULES: u64 = 4_000;

/// The hosts, each with the store of its modules.
struct Hosts(BTreeMap<Setting, (Host, MemoryStore)>);

impl Hosts {
    fn new() -> Self {
        let host = |setting| (setting, (Host::new(setting, |_| {}), MemoryStore::default()));
        Self(Setting::ALL.into_iter().map(host).collect())
    }

    fn of(&self, kind: Kind, seed: u64) -> &(Host, MemoryStore) {
        &self.0[&setting_of(kind, seed / Kind::ALL.len() as u64)]
    }
}

/// Most modules go to one host, to have many that may share.
fn setting_of(kind: Kind, choice: u64) -> Setting {
    match (kind, choice % 6) {
        (Kind::Proposals, _) => Setting::Proposals,
        (Kind::Swarm | Kind::Plain, 3) => Setting::Bare,
        (Kind::Default | Kind::Gc, 3) => Setting::OtherTarget,
        (_, 4) => Setting::Checked,
        (_, 5) => Setting::Unoptimised,
        _ => Setting::Default,
    }
}

/// What modules amounted to.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    compiled: u64,
    refused: u64,
    failed: u64,
    functions: u64,
    lookups: u64,
    hits: u64,
    code_bytes: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.compiled += other.compiled;
        self.refused += other.refused;
        self.failed += other.failed;
        self.functions += other.functions;
        self.lookups += other.lookups;
        self.hits += other.hits;
        self.code_bytes += other.code_bytes;
    }
}

fn check(hosts: &Hosts, kind: Kind, seed: u64, wasm: &[u8]) -> Tally {
    let (host, store) = hosts.of(kind, seed);
    let what = format!("seed {seed} ({kind:?})");
    match assert_stages(&what, &host.engine, &host.compiler, store, wasm) {
        None => Tally { refused: 1, ..Tally::default() },
        Some((_, cold)) => Tally {
            compiled: 1,
            functions: cold.functions,
            lookups: cold.lookups,
            hits: cold.hits.total(),
            code_bytes: cold.code_bytes,
            ..Tally::default()
        },
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

fn kind_of(seed: u64) -> Kind {
    Kind::ALL[(seed % Kind::ALL.len() as u64) as usize]
}

#[test]
fn generated_modules_have_wasmtimes_bytes() {
    let hosts = Hosts::new();
    if let Some(seed) = number("STENCIL_SEED") {
        let wasm = kind_of(seed).module(seed).expect("the seed has no module");
        let path = format!("{}/seed-{seed}.wasm", env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(&path, &wasm).expect("Cargo has made the directory");
        println!("{path}: {:?}", check(&hosts, kind_of(seed), seed, &wasm));
        return;
    }

    let wanted = number("STENCIL_GENERATED").unwrap_or(MODULES);
    let mut tallies = BTreeMap::<Kind, Tally>::new();
    let mut failed = Vec::new();
    let mut total = Tally::default();
    let mut next = 0;
    while total.compiled + total.failed < wanted {
        let batch = next..next + 300;
        next = batch.end;
        let checked: Vec<(u64, Option<Tally>)> = batch
            .into_par_iter()
            .filter_map(|seed| Some((seed, kind_of(seed).module(seed)?)))
            .map(|(seed, wasm)| {
                // A failure names its seed, and the others are still tried.
                let check = || check(&hosts, kind_of(seed), seed, &wasm);
                (seed, catch_unwind(AssertUnwindSafe(check)).ok())
            })
            .collect();
        for (seed, tally) in checked {
            if tally.is_none() {
                failed.push(seed);
            }
            let tally = tally.unwrap_or(Tally { failed: 1, ..Tally::default() });
            *tallies.entry(kind_of(seed)).or_default() += tally;
            total += tally;
        }
    }

    println!(
        "| kind | compiled | refused | failed | functions | lookups | hits when cold | \
         code bytes |"
    );
    for (kind, tally) in &tallies {
        print_row(&format!("{kind:?}"), tally);
    }
    print_row("all", &total);

    assert!(failed.is_empty(), "failed seeds (run one with STENCIL_SEED): {failed:?}");
    assert!(total.compiled >= wanted);
    assert!(total.refused < total.compiled / 4, "the generator makes too much that is refused");
    assert!(total.functions >= 2 * total.compiled, "the modules are too small to tell much");
    assert!(total.refused > 0, "nothing was refused");
    assert!(total.hits > 0, "no module ever met an entry of another one");
    for (_, store) in hosts.0.values() {
        store.assert_no_conflicts();
    }
}

fn print_row(name: &str, tally: &Tally) {
    let Tally { compiled, refused, failed, functions, lookups, hits, code_bytes } = tally;
    println!(
        "| {name} | {compiled} | {refused} | {failed} | {functions} | {lookups} | {hits} | \
         {code_bytes} |"
    );
}

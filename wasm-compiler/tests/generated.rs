//! Thousands of generated modules, compiled without a cache, cold and warm, have
//! Wasmtime's bytes each time.
//!
//! All modules of one configuration share one store, so that functions meet
//! entries that other modules have made.
//!
//! `STENCIL_GENERATED=N` compiles N modules in place of 4,000;
//! `STENCIL_SEED=N` compiles only the module of one seed, and prints it.

use generate::smith::Kind;
use oracle::stages::assert_stages;
use oracle::store::MemoryStore;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wasm_compiler::Compiler;
use wasmtime::{Collector, Config, Engine, OptLevel};

const MODULES: u64 = 4_000;

/// One configuration, and the store of its modules.
struct Host {
    engine: Engine,
    compiler: Compiler,
    store: MemoryStore,
}

impl Host {
    fn new(configure: impl FnOnce(&mut Config) -> &mut Config) -> Self {
        let mut config = Config::new();
        configure(&mut config);
        let engine = Engine::new(&config).expect("the configuration is sound");
        let compiler = Compiler::for_engine(&engine).expect("artifacts show all settings");
        Self { engine, compiler, store: MemoryStore::default() }
    }
}

/// Which features a default engine has, the `Kind`s say.
struct Hosts {
    default: Host,
    proposals: Host,
    checked: Host,
    unoptimised: Host,
    /// Without some features, so that it refuses some modules.
    bare: Host,
}

impl Hosts {
    fn new() -> Self {
        Self {
            default: Host::new(|config| config),
            proposals: Host::new(|config| {
                config.wasm_custom_page_sizes(true).wasm_wide_arithmetic(true);
                config.shared_memory(true)
            }),
            // Bounds, fuel, epochs and references are all checked in the code.
            checked: Host::new(|config| {
                config.consume_fuel(true).epoch_interruption(true).signals_based_traps(false);
                config.memory_reservation(0).collector(Collector::DeferredReferenceCounting)
            }),
            unoptimised: Host::new(|config| {
                config.cranelift_opt_level(OptLevel::None).collector(Collector::Null);
                config.table_lazy_init(false).memory_guard_size(0)
            }),
            bare: Host::new(|config| {
                config.wasm_tail_call(false).wasm_memory64(false).wasm_relaxed_simd(false);
                config.wasm_gc(false).wasm_function_references(false).wasm_exceptions(false);
                config.wasm_multi_memory(false)
            }),
        }
    }

    /// Most modules go to one host, to have many that may share.
    fn of(&self, kind: Kind, seed: u64) -> &Host {
        match (kind, seed / Kind::ALL.len() as u64 % 6) {
            (Kind::Proposals, _) => &self.proposals,
            (Kind::Swarm | Kind::Plain, 3) => &self.bare,
            (_, 4) => &self.checked,
            (_, 5) => &self.unoptimised,
            _ => &self.default,
        }
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
    let host = hosts.of(kind, seed);
    let what = format!("seed {seed} ({kind:?})");
    let Host { engine, compiler, store } = host;
    match assert_stages(&what, engine, compiler, store, wasm) {
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
    let Hosts { default, proposals, checked, unoptimised, bare } = &hosts;
    for host in [default, proposals, checked, unoptimised, bare] {
        host.store.assert_no_conflicts();
    }
}

fn print_row(name: &str, tally: &Tally) {
    let Tally { compiled, refused, failed, functions, lookups, hits, code_bytes } = tally;
    println!(
        "| {name} | {compiled} | {refused} | {failed} | {functions} | {lookups} | {hits} | \
         {code_bytes} |"
    );
}

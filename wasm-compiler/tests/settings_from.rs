//! Settings taken from an artifact, or from an engine, make the compiler that
//! the engine has; and no configuration ever meets another one's entries, though
//! all of them share one store.

use oracle::recorder::Recorder;
use oracle::same::{assert_same, stock};
use oracle::stages::assert_stages;
use oracle::store::MemoryStore;
use oracle::testdata::{file, text_files};
use std::collections::{BTreeMap, BTreeSet};
use stencil::{CacheKey, Fingerprint};
use wasm_compiler::{CompileError, Compiler, NoCache, Settings, SettingsError};
use wasmtime::{Collector, Config, Engine, OptLevel, RegallocAlgorithm};

const EMPTY_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Name, what differs from the defaults, and whether that has to change the
/// fingerprint: some settings are about running code only.
type Configuration = (&'static str, fn(&mut Config) -> &mut Config, bool);

fn target<'a>(config: &'a mut Config, triple: &str) -> &'a mut Config {
    config.target(triple).expect("the tests' build has this target's backend")
}

const CONFIGURATIONS: &[Configuration] = &[
    ("default", |config| config, true),
    ("fuel", |c| c.consume_fuel(true), true),
    ("epochs", |c| c.epoch_interruption(true), true),
    ("drc collector", |c| c.collector(Collector::DeferredReferenceCounting), true),
    ("null collector", |c| c.collector(Collector::Null), true),
    ("copying collector, the default", |c| c.collector(Collector::Copying), false),
    ("no signals", |c| c.signals_based_traps(false), true),
    ("no reservation", |c| c.memory_reservation(0), true),
    ("memories stay", |c| c.memory_may_move(false), true),
    ("no guard", |c| c.memory_guard_size(0), true),
    ("no address map", |c| c.generate_address_map(false), true),
    ("eager tables", |c| c.table_lazy_init(false), true),
    ("no copy-on-write images", |c| c.memory_init_cow(false), true),
    ("opt level none", |c| c.cranelift_opt_level(OptLevel::None), true),
    ("opt level speed, the default", |c| c.cranelift_opt_level(OptLevel::Speed), false),
    ("opt level size", |c| c.cranelift_opt_level(OptLevel::SpeedAndSize), true),
    (
        "single-pass allocation",
        |c| c.cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass),
        true,
    ),
    ("canonical NaNs", |c| c.cranelift_nan_canonicalization(true), true),
    ("deterministic relaxed SIMD", |c| c.relaxed_simd_deterministic(true), true),
    ("no backtraces", |c| c.wasm_backtrace_max_frames(None), false),
    ("no symbols", |c| c.debug_symbols(false), true),
    ("sequential", |c| c.parallel_compilation(false), false),
    ("no concurrency", |c| c.concurrency_support(false), true),
    ("asserts about metadata", |c| c.metadata_for_internal_asserts(true), true),
    ("branch hints", |c| c.wasm_branch_hinting(true), true),
    (
        "proposals",
        |c| c.wasm_custom_page_sizes(true).wasm_wide_arithmetic(true).shared_memory(true),
        true,
    ),
    ("baseline x86-64", |c| target(c, "x86_64-unknown-linux-gnu"), true),
    ("aarch64", |c| target(c, "aarch64-unknown-linux-gnu"), true),
    (
        "many at once",
        |c| {
            target(c, "aarch64-unknown-linux-gnu");
            c.consume_fuel(true).epoch_interruption(true).signals_based_traps(false);
            c.cranelift_opt_level(OptLevel::None).collector(Collector::Null)
        },
        true,
    ),
];

const TEXTS: &[&str] = &[
    "bulk-memory",
    "calls",
    "exceptions",
    "gc-arrays",
    "gc-structs",
    "globals",
    "imports",
    "memory",
    "memory64",
    "simd",
    "tables",
];

fn engine(configure: fn(&mut Config) -> &mut Config) -> Engine {
    let mut config = Config::new();
    configure(&mut config);
    Engine::new(&config).expect("the configuration is sound")
}

#[test]
fn every_configuration_has_its_own_bytes_and_keys() {
    let mut inputs: Vec<(String, Vec<u8>)> = text_files("wat");
    inputs.retain(|(name, _)| TEXTS.contains(&name.as_str()));
    assert_eq!(inputs.len(), TEXTS.len());
    inputs.push(("ledger".to_owned(), file("wasm/ledger.wasm")));

    let store = MemoryStore::default();
    // Which configurations have a fingerprint, and which keys they asked for.
    let mut keys = BTreeMap::<Fingerprint, BTreeSet<CacheKey>>::new();
    let mut names = BTreeMap::<Fingerprint, Vec<&str>>::new();
    for (name, configure, _) in CONFIGURATIONS {
        let engine = engine(*configure);
        let artifact = engine.precompile_module(EMPTY_MODULE).expect("it is a module");
        let settings = Settings::from_artifact(&artifact).expect("it is Wasmtime's artifact");
        let compiler = Compiler::new(settings).expect("Wasmtime has these settings");
        let of_engine = Compiler::for_engine(&engine).expect("artifacts show all settings");
        assert_eq!(compiler.fingerprint(), of_engine.fingerprint(), "{name}");

        let before: BTreeSet<CacheKey> = store.entries().keys().copied().collect();
        let recorder = Recorder::new(&store);
        for (input, wasm) in &inputs {
            let what = format!("{input}, {name}");
            let Some((expected, _)) = assert_stages(&what, &engine, &compiler, &recorder, wasm)
            else {
                panic!("{what}: Wasmtime refuses it");
            };
            let (found, report) = of_engine.compile(wasm, &recorder).expect("it compiles");
            assert_same(&format!("{what}, for the engine"), wasm, &expected, &found);
            assert_eq!(report.misses, 0, "{what}: the engine's compiler has other keys");
        }

        let fingerprint = compiler.fingerprint();
        let known = keys.entry(fingerprint).or_default();
        // What it has published may be found: one is behind a marker, and was not asked for before.
        known.extend(store.entries().keys().filter(|key| !before.contains(key)));
        for (key, hit) in recorder.asked() {
            assert!(!hit || known.contains(&key), "{name}: hit an entry of another fingerprint");
            known.insert(key);
        }
        names.entry(fingerprint).or_default().push(name);
    }
    store.assert_no_conflicts();

    let mut owners = BTreeMap::new();
    for (fingerprint, keys) in &keys {
        for key in keys {
            let other = owners.insert(*key, fingerprint);
            assert!(other.is_none(), "{key} belongs to {other:?} and to {fingerprint:?}");
        }
    }
    for (fingerprint, names) in &names {
        println!("{}: {} keys, {}", fingerprint.short(), keys[fingerprint].len(), names.join("; "));
    }
    println!("{} configurations, {} fingerprints", CONFIGURATIONS.len(), names.len());
    for (name, _, differs) in CONFIGURATIONS {
        let sharing = names.values().find(|names| names.contains(name)).map_or(0, Vec::len);
        // The default is alone but for those that change nothing in the code.
        let alone = sharing == 1 || *name == "default";
        assert_eq!(alone, *differs, "{name} shares its fingerprint with {sharing} in all");
    }
}

#[test]
fn every_text_module_has_wasmtimes_bytes_with_all_features() {
    let engine = engine(|config| {
        config.wasm_custom_page_sizes(true).wasm_wide_arithmetic(true).wasm_branch_hinting(true);
        config.wasm_stack_switching(true).shared_memory(true)
    });
    let compiler = Compiler::for_engine(&engine).expect("artifacts show all settings");
    let store = MemoryStore::default();
    for (name, wasm) in text_files("wat") {
        let same = assert_stages(&name, &engine, &compiler, &store, &wasm);
        assert!(same.is_some(), "{name}: Wasmtime refuses it");
    }
    store.assert_no_conflicts();
}

#[test]
fn what_a_default_engine_refuses_is_refused() {
    let engine = engine(|config| config);
    let compiler = Compiler::for_engine(&engine).expect("artifacts show all settings");
    for name in ["custom-page-sizes", "wide-arithmetic", "stack-switching"] {
        let wasm = file(&format!("wat/{name}.wat"));
        let same = assert_stages(name, &engine, &compiler, &NoCache, &wasm);
        assert!(same.is_none(), "{name}: Wasmtime takes it");
    }
}

#[test]
fn the_image_size_comes_from_the_engine() {
    // Two bytes, half a megabyte apart: one image, if images may be sparse.
    let wasm = br#"(module (memory 9) (data (i32.const 0) "a") (data (i32.const 0x80000) "b"))"#;
    let wasm = wat::parse_bytes(wasm).expect("it is a module");
    let small = engine(|config| config.memory_guaranteed_dense_image_size(1));
    let expected = stock(&small, &wasm).expect("it is a module");
    let default = stock(&engine(|config| config), &wasm).expect("it is a module");
    assert_ne!(expected, default, "the setting changes nothing: this test tells nothing");

    let compiler = Compiler::for_engine(&small).expect("the engine tells its image size");
    let (found, _) = compiler.compile(&wasm, &NoCache).expect("it compiles");
    assert_same("image size", &wasm, &expected, &found);
}

#[test]
fn settings_that_no_artifact_shows_have_to_be_given() {
    let engine = engine(|config| config.cranelift_wasmtime_debug_checks(true));
    let refused = Compiler::for_engine(&engine).err().expect("the probe shows the setting");
    assert!(matches!(refused, CompileError::Settings(SettingsError::Hidden)), "{refused}");

    let settings = Settings::from_engine(&engine).expect("it compiles");
    let hidden = Compiler::new(settings.clone()).expect("Wasmtime has these settings");
    let given = settings.with_literal("wasmtime_debug_checks", "true");
    let compiler = Compiler::new(given).expect("Wasmtime has this setting");
    assert_ne!(hidden.fingerprint(), compiler.fingerprint());
    let store = MemoryStore::default();
    for name in ["calls", "imports", "gc-structs"] {
        let wasm = file(&format!("wat/{name}.wat"));
        let same = assert_stages(name, &engine, &compiler, &store, &wasm);
        assert!(same.is_some(), "{name}: Wasmtime refuses it");
    }
}

#[test]
fn what_is_not_an_artifact_is_refused() {
    let ours = engine(|config| config).precompile_module(EMPTY_MODULE).expect("it is a module");
    for bytes in [EMPTY_MODULE, b"", b"\x7fELF", &ours[..ours.len() / 2]] {
        let refused = Settings::from_artifact(bytes).err();
        assert!(matches!(refused, Some(SettingsError::NotAnArtifact { .. })), "{refused:?}");
    }
}

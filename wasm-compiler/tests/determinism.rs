//! The bytes depend on the input and on nothing else: not on the number of
//! threads, not on what the cache has, and not on what has become of it.

use oracle::same::{assert_same, stock};
use oracle::store::{Entries, MemoryStore};
use oracle::testdata::file;
use stencil::{CacheKey, EntryBytes, MissReason};
use wasm_compiler::{Compiler, NoCache, Report};
use wasmparser::{Operator, Parser, Payload};
use wasmtime::Engine;

struct Setup {
    engine: Engine,
    compiler: Compiler,
    wasm: Vec<u8>,
    expected: Vec<u8>,
}

impl Setup {
    fn of(path: &str) -> Self {
        let engine = Engine::default();
        let compiler = Compiler::for_engine(&engine).expect("artifacts show all settings");
        let wasm = file(path);
        let expected = stock(&engine, &wasm).expect("it is a module");
        Self { engine, compiler, wasm, expected }
    }

    fn ledger() -> Self {
        Self::of("wasm/ledger.wasm")
    }

    /// Compiles on a store. Whatever the store has, the bytes are right.
    fn compile(&self, what: &str, store: &MemoryStore) -> Report {
        let (found, report) = self.compiler.compile(&self.wasm, store).expect("it compiles");
        assert_same(what, &self.wasm, &self.expected, &found);
        report
    }

    /// A store that has the whole module.
    fn warm_store(&self) -> MemoryStore {
        let store = MemoryStore::default();
        let report = self.compile("cold", &store);
        assert_eq!(report.published.stored, report.codegen, "not all of it was published");
        assert_eq!(store.entries().len() as u64, report.codegen);
        store
    }

    /// Compiles on damaged entries: each is rejected for one of the reasons and
    /// made again, and then the cache is as good as new.
    fn assert_rejected(&self, what: &str, reasons: &[MissReason], damage: impl Fn(&mut Entries)) {
        let store = self.warm_store();
        let sound = store.entries().clone();
        damage(&mut store.entries());
        let damaged = store.entries().iter().filter(|(key, bytes)| sound[*key] != **bytes).count();
        assert!(damaged > 0, "{what}: nothing was damaged");

        let report = self.compile(what, &store);
        assert_eq!(report.rejected, damaged as u64, "{what}: {:?}", report.miss_reasons);
        assert_eq!((report.misses, report.codegen), (report.rejected, report.rejected), "{what}");
        let unexpected: Vec<_> =
            report.miss_reasons.keys().filter(|reason| !reasons.contains(reason)).collect();
        assert!(unexpected.is_empty(), "{what}: rejected as {unexpected:?}");
        assert!(*store.entries() == sound, "{what}: the cache was not mended");
        assert_eq!(self.compile(what, &store).misses, 0, "{what}");
        store.assert_no_conflicts();
    }
}

fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.expect("the machine has threads").install(work)
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let ledger = Setup::ledger();
    let mut stores = Vec::new();
    for threads in [1, 2, 5] {
        let store = MemoryStore::default();
        let report = on_threads(threads, || {
            let (found, _) = ledger.compiler.compile(&ledger.wasm, &NoCache).expect("it compiles");
            assert_same("off", &ledger.wasm, &ledger.expected, &found);
            ledger.compile("cold", &store)
        });
        let warm = on_threads(threads, || ledger.compile("warm", &store));
        assert_eq!(warm.misses, 0, "{threads} threads");
        assert_eq!(warm.hits.total(), report.lookups, "{threads} threads");
        stores.push(store.entries().clone());
    }
    // Not only what comes out, but what is kept.
    assert!(stores.windows(2).all(|pair| pair[0] == pair[1]), "entries depend on threads");
}

#[test]
fn a_module_compiled_ten_times_hits_each_time() {
    let ledger = Setup::ledger();
    let store = ledger.warm_store();
    for round in 0..10 {
        let report = ledger.compile("again", &store);
        assert_eq!((report.misses, report.codegen), (0, 0), "{round}: {:?}", report.miss_reasons);
        assert_eq!(report.hits.total(), report.lookups, "round {round}");
        assert_eq!(report.published.stored, 0, "round {round}");
        assert!((report.hit_rate() - 1.0).abs() < f64::EPSILON);
    }
    // A compiler that has compiled nothing yet asks for the same keys.
    let report = Setup::ledger().compile("another compiler", &store);
    assert_eq!(report.misses, 0, "{:?}", report.miss_reasons);
    store.assert_no_conflicts();
}

/// For some functions, where the operand of an `i32.const` is, in one byte.
fn constants(wasm: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::CodeSectionEntry(body) = payload.expect("it is a module") else {
            continue;
        };
        let mut operators = body.get_operators_reader().expect("it is a module");
        while !operators.eof() {
            let (operator, start) = operators.read_with_offset().expect("it is a module");
            if let Operator::I32Const { value: 16..48 } = operator {
                found.push(start + 1);
                break;
            }
        }
    }
    found
}

#[test]
fn one_edited_constant_is_one_miss() {
    let ledger = Setup::ledger();
    let warm = ledger.warm_store();
    let constants = constants(&ledger.wasm);
    assert!(constants.len() >= 20, "only {} functions have such a constant", constants.len());
    let step = constants.len() / 10;
    for at in constants.into_iter().step_by(step) {
        let mut wasm = ledger.wasm.clone();
        // The sign is in bit 6: still one byte, and still positive.
        wasm[at] ^= 1;
        let store = MemoryStore::default();
        store.entries().clone_from(&warm.entries());
        let expected = stock(&ledger.engine, &wasm).expect("it is a module");
        let (found, report) = ledger.compiler.compile(&wasm, &store).expect("it compiles");
        assert_same(&format!("constant at {at:#x}"), &wasm, &expected, &found);
        assert_eq!((report.misses, report.codegen), (1, 1), "constant at {at:#x}");
        assert_eq!(report.miss_reasons.get(&MissReason::Absent), Some(&1));
        assert_eq!(report.hits.total() + 1, report.lookups, "constant at {at:#x}");
    }
}

#[test]
fn the_next_release_compiles_on_the_last_ones_cache() {
    let store = Setup::ledger().warm_store();
    let next = Setup::of("wasm/ledger-next.wasm");
    let report = next.compile("next", &store);
    println!(
        "ledger-next on ledger's cache: {} of {} lookups hit ({:.1} %), {} of {} code bytes",
        report.hits.total(),
        report.lookups,
        100.0 * report.hit_rate(),
        report.hit_code_bytes,
        report.code_bytes,
    );
    assert!(report.misses > 0, "the next release is the same one");
    assert!(report.hit_rate() > 0.5, "only {:.2} hits", report.hit_rate());
    assert_eq!(next.compile("next again", &store).misses, 0);
    // And the last one is still there.
    assert_eq!(Setup::ledger().compile("back again", &store).misses, 0);
    store.assert_no_conflicts();
}

fn edit(bytes: &EntryBytes, edit: impl FnOnce(&mut Vec<u8>)) -> EntryBytes {
    let mut edited = bytes.to_vec();
    edit(&mut edited);
    edited.into()
}

const DAMAGE: &[MissReason] = &[MissReason::Checksum, MissReason::Version, MissReason::WrongKey];

#[test]
fn a_flipped_bit_in_each_entry_is_noticed() {
    // Each entry somewhere else, so that all parts of entries are hit.
    Setup::ledger().assert_rejected("flipped", DAMAGE, |entries| {
        for (at, bytes) in entries.values_mut().enumerate() {
            *bytes = edit(bytes, |bytes| {
                let at = at * 37 % bytes.len();
                bytes[at] ^= 1 << (at % 8);
            });
        }
    });
}

#[test]
fn every_byte_of_an_entry_counts() {
    let small = Setup::of("wat/start.wat");
    let warm = small.warm_store();
    let (key, sound) = {
        let entries = warm.entries();
        let (key, bytes) = entries.iter().max_by_key(|(key, _)| **key).expect("there are some");
        (*key, bytes.clone())
    };
    for at in 0..sound.len() {
        let damaged = edit(&sound, |bytes| bytes[at] ^= 0x10);
        warm.entries().insert(key, damaged);
        let report = small.compile("one byte", &warm);
        assert_eq!((report.rejected, report.misses), (1, 1), "byte {at} of {}", sound.len());
        assert_eq!(warm.entries()[&key], sound, "byte {at} of {}", sound.len());
    }
}

#[test]
fn truncated_and_extended_entries_are_noticed() {
    let ledger = Setup::ledger();
    ledger.assert_rejected("truncated", DAMAGE, |entries| {
        for (at, bytes) in entries.values_mut().enumerate() {
            *bytes = bytes.slice(..at * 53 % bytes.len());
        }
    });
    ledger.assert_rejected("emptied", DAMAGE, |entries| {
        entries.values_mut().for_each(|bytes| *bytes = EntryBytes::new());
    });
    ledger.assert_rejected("extended", DAMAGE, |entries| {
        entries.values_mut().for_each(|bytes| *bytes = edit(bytes, |bytes| bytes.push(0)));
    });
}

#[test]
fn another_keys_entry_is_noticed() {
    Setup::ledger().assert_rejected("swapped", &[MissReason::WrongKey], |entries| {
        let mut keys: Vec<CacheKey> = entries.keys().copied().collect();
        keys.sort();
        let sound = entries.clone();
        for (at, key) in keys.iter().enumerate() {
            let other = keys[(at + 1) % keys.len()];
            entries.insert(*key, sound[&other].clone());
        }
    });
}

#[test]
fn a_single_damaged_entry_costs_a_single_compile() {
    Setup::ledger().assert_rejected("one", &[MissReason::Checksum], |entries| {
        let first = entries.keys().copied().min().expect("there are some");
        let bytes = entries.get_mut(&first).expect("it was there");
        *bytes = edit(bytes, |bytes| *bytes.last_mut().expect("it has bytes") ^= 1);
    });
}

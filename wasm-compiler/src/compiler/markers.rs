//! Code that is not understood -> a marker, and an entry for each layout.
//!
//! The finder is one that refuses everything, so that each function that uses an
//! entity is such code. Wasmtime judges every artifact, and nothing is rejected.

use super::Compiler;
use crate::codegen::sites::{Code, Difference, Expected, Finder, Read, Site, Unexplained, Word};
use crate::error::CompileError;
use crate::report::Report;
use crate::settings::{Settings, Stencils};
use crate::verify::VerifySample;
use oracle::same::{assert_same, stock};
use oracle::store::MemoryStore;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Mutex;
use stencil::compiled::StencilField;
use stencil::{CacheKey, CacheStore, Lookup, NewEntry, PublishSummary, entry};
use wasmtime::{Config, Engine};

/// A store, and how many keys each lookup has asked it for.
#[derive(Default)]
struct Batches {
    store: MemoryStore,
    sizes: Mutex<Vec<usize>>,
}

impl Batches {
    /// The sizes of the lookups since the last time.
    fn take(&self) -> Vec<usize> {
        std::mem::take(&mut self.sizes.lock().expect("nothing panics in there"))
    }

    fn marker_count(&self) -> usize {
        let entries = self.store.entries();
        entries.iter().filter(|(key, bytes)| entry::is_marker(key, bytes)).count()
    }

    fn entry_count(&self) -> usize {
        self.store.entries().len()
    }
}

impl CacheStore for Batches {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.store.get(key)
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        self.store.insert(key, value)
    }

    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        self.sizes.lock().expect("nothing panics in here").push(keys.len());
        self.store.lookup(keys)
    }

    fn publish(&self, entries: &[NewEntry]) -> PublishSummary {
        self.store.publish(entries)
    }

    fn replace(&self, entries: &[NewEntry]) -> PublishSummary {
        self.store.replace(entries)
    }
}

/// Refuses all code.
struct Refuse;

const REFUSED: Unexplained = Unexplained { at: 0, what: "anything" };

impl Finder for Refuse {
    fn find(&self, _: &Code<'_>) -> Result<Vec<Site>, Unexplained> {
        Err(REFUSED)
    }

    fn plug(&self, _: &mut Vec<u8>, _: &[Read]) -> Result<Vec<StencilField>, Unexplained> {
        Err(REFUSED)
    }

    fn words(&self, _: &Code<'_>, _: &Range<u32>) -> Result<Vec<Word>, Unexplained> {
        Err(REFUSED)
    }

    fn differences(&self, _: &Code<'_>, _: &[u8]) -> Result<Vec<Difference>, Unexplained> {
        Err(REFUSED)
    }

    fn check(&self, _: &Code<'_>, _: &[u8], _: &[Expected]) -> Result<(), Unexplained> {
        Err(REFUSED)
    }
}

/// Understands all code there is, and believes in none.
struct Doubt(&'static dyn Finder);

impl Finder for Doubt {
    fn find(&self, code: &Code<'_>) -> Result<Vec<Site>, Unexplained> {
        self.0.find(code)
    }

    fn plug(&self, code: &mut Vec<u8>, reads: &[Read]) -> Result<Vec<StencilField>, Unexplained> {
        self.0.plug(code, reads)
    }

    fn words(&self, code: &Code<'_>, values: &Range<u32>) -> Result<Vec<Word>, Unexplained> {
        self.0.words(code, values)
    }

    fn differences(&self, one: &Code<'_>, other: &[u8]) -> Result<Vec<Difference>, Unexplained> {
        self.0.differences(one, other)
    }

    fn check(&self, _: &Code<'_>, _: &[u8], _: &[Expected]) -> Result<(), Unexplained> {
        Err(REFUSED)
    }
}

/// A host whose compiler understands no code, or all that there is.
struct Host {
    engine: Engine,
    compiler: Compiler,
}

impl Host {
    fn new(understands: bool) -> Self {
        Self::with(understands, Stencils::Exact)
    }

    fn with(understands: bool, stencils: Stencils) -> Self {
        let mut config = Config::new();
        config.target("x86_64-unknown-linux-gnu").expect("it is in this build");
        let engine = Engine::new(&config).expect("the configuration is sound");
        let settings = Settings::from_engine(&engine).expect("it compiles");
        let settings = settings.with_stencils(stencils);
        let mut compiler = Compiler::new(settings).expect("Wasmtime has taken the settings");
        assert!(compiler.backend.finder.is_some(), "no code of this target is understood");
        if !understands {
            compiler.backend.finder = Some(&Refuse);
        }
        Self { engine, compiler }
    }

    /// Compiles a module's text, and holds the artifact against Wasmtime's.
    #[track_caller]
    fn check(&self, text: &str, store: &Batches) -> Report {
        let wasm = wat::parse_str(text).expect("it is a module");
        let expected = stock(&self.engine, &wasm).expect("Wasmtime takes it");
        let (artifact, report) = self.compiler.compile(&wasm, store).expect("it compiles");
        assert_same("markers", &wasm, &expected, &artifact);
        assert_eq!((report.rejected, report.bypassed, report.conflicts), (0, 0, 0));
        assert!(report.differences.is_empty());
        store.store.assert_no_conflicts();
        report
    }
}

/// A module with two globals and these functions; there is a trampoline for their
/// type.
fn module(functions: &str) -> String {
    format!(
        "(module (global $a (mut i32) (i32.const 1)) (global $b (mut i32) (i32.const 1)) {functions})"
    )
}

const READS_A: &str = "(func (result i32) (global.get $a))";
const READS_B: &str = "(func (result i32) (global.get $b))";

#[test]
fn a_marker_is_followed_by_a_second_lookup() {
    for (understands, markers) in [(false, 1), (true, 0)] {
        let (host, store) = (Host::new(understands), Batches::default());
        let cold = host.check(&module(READS_A), &store);
        assert_eq!((cold.misses, cold.lookups, cold.with_numbers), (2, 2, markers as u64));
        let [first] = *store.take() else { panic!("a cold compile asks again") };
        assert_eq!((store.marker_count(), store.entry_count()), (markers, 2 + markers));

        let warm = host.check(&module(READS_A), &store);
        assert_eq!((warm.misses, warm.hits.total(), warm.published.stored), (0, 2, 0));
        assert_eq!(warm.with_numbers, markers as u64);
        let expected = if understands { vec![first] } else { vec![first, markers] };
        assert_eq!(store.take(), expected);
    }
}

#[test]
fn another_layout_has_code_of_its_own() {
    for (understands, markers) in [(false, 1), (true, 0)] {
        let (host, store) = (Host::new(understands), Batches::default());
        host.check(&module(READS_A), &store);
        // It is a miss for the layout alone: the marker is there already.
        let other = host.check(&module(READS_B), &store);
        let added = markers as u64;
        assert_eq!(
            (other.misses, other.published.stored, other.with_numbers),
            (added, added, added)
        );
        assert_eq!(other.published.already_there, 0);
        assert_eq!((store.marker_count(), store.entry_count()), (markers, 2 + 2 * markers));
        for text in [module(READS_A), module(READS_B)] {
            assert_eq!(host.check(&text, &store).misses, 0);
        }
    }
}

#[test]
fn two_functions_of_one_key_have_one_marker() {
    for (understands, markers) in [(false, 1), (true, 0)] {
        let (host, store) = (Host::new(understands), Batches::default());
        let both = module(&format!("{READS_A} {READS_B}"));
        host.check(&both, &store);
        // The marker and both codes, or the one entry; and the trampoline.
        assert_eq!((store.marker_count(), store.entry_count()), (markers, 2 + 2 * markers));
        store.take();
        let warm = host.check(&both, &store);
        assert_eq!((warm.misses, warm.hits.total(), warm.with_numbers), (0, 3, 2 * markers as u64));
        assert_eq!(store.take().get(1).copied().unwrap_or(0), 2 * markers);
        for text in [module(READS_A), module(READS_B)] {
            assert_eq!(host.check(&text, &store).misses, 0);
        }
    }
}

#[test]
fn what_is_behind_a_marker_is_verified() {
    let (mut host, store) = (Host::new(false), Batches::default());
    host.check(&module(READS_A), &store);
    host.compiler.set_verify(VerifySample::one_in(1));
    let report = host.check(&module(READS_A), &store);
    assert_eq!((report.verified, report.misses, report.hits.total()), (2, 0, 2));
    assert_eq!(report.with_numbers, 1);
    assert_eq!(report.published.stored, 0);
    let report = host.check(&module(READS_B), &store);
    assert_eq!((report.verified, report.misses, report.hits.total()), (1, 1, 1));
}

/// A store may lose one of the two.
#[test]
fn a_marker_without_code_is_a_miss() {
    let (host, store) = (Host::new(false), Batches::default());
    host.check(&module(READS_A), &store);
    let marker = {
        let entries = store.store.entries();
        let mut markers = entries.iter().filter(|(key, bytes)| entry::is_marker(key, bytes));
        markers.next().map(|(key, _)| *key).expect("there is one")
    };
    let behind = marker.with_numbers(&[48]);
    for lost in [behind, marker] {
        let removed = store.store.entries().remove(&lost);
        assert!(removed.is_some(), "it was not there");
        let report = host.check(&module(READS_A), &store);
        assert_eq!((report.misses, report.published.stored), (1, 1));
        assert_eq!(store.store.entries().get(&lost), removed.as_ref());
    }
}

/// Code that is made with placeholders and not understood is made again without, and
/// that is Wasmtime's.
#[test]
fn constants_that_are_not_understood_have_code_of_their_own() {
    let (host, store) = (Host::with(false, Stencils::Relocatable), Batches::default());
    let text = |constant: u32, offset: u32| {
        module(&format!(
            "(memory 1) (func (result i32)
               (i32.add (i32.const {constant})
                 (i32.load offset={offset} (global.get $a))))"
        ))
    };
    let cold = host.check(&text(70_000, 80_000), &store);
    assert_eq!((cold.misses, store.marker_count()), (2, 1));
    let entries = store.entry_count();
    for (constant, offset) in [(70_001, 80_000), (70_000, 80_001)] {
        let report = host.check(&text(constant, offset), &store);
        assert_eq!((report.misses, report.hits.total()), (1, 1));
    }
    assert_eq!((store.marker_count(), store.entry_count()), (1, entries + 2));
    for (constant, offset) in [(70_000, 80_000), (70_001, 80_000), (70_000, 80_001)] {
        assert_eq!(host.check(&text(constant, offset), &store).misses, 0);
    }
}

/// Code that is not what it should be is a fault of ours: it is neither used nor kept.
#[test]
fn a_failed_check_ends_the_compile() {
    let mut host = Host::with(true, Stencils::Relocatable);
    let finder = host.compiler.backend.finder.expect("code is understood");
    host.compiler.backend.finder = Some(Box::leak(Box::new(Doubt(finder))));
    let text = module("(memory 1) (func (result i32) (i32.load (i32.const 70000)))");
    let wasm = wat::parse_str(text).expect("it is a module");
    for strict in [false, true] {
        let store = Batches::default();
        let sample = VerifySample::one_in(1).expect("it is a share");
        host.compiler.set_verify(Some(sample.strict(strict)));
        let error = host.compiler.compile(&wasm, &store).expect_err("the check fails");
        assert!(matches!(error, CompileError::Check { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            "the code of wasm[0]::function[0] failed the check of its numbers: anything, at byte 0 of \
             the function's code"
        );
        assert_eq!(store.entry_count(), 0);
    }
    // What is not in the sample is not checked.
    host.compiler.set_verify(None);
    host.compiler.compile(&wasm, &Batches::default()).expect("it compiles");
}

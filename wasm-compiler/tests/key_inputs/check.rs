//! The checks: what one of two inputs leaves in the cache, and what the other
//! one finds there.

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use oracle::recorder::Recorder;
use oracle::same::{assert_same, stock};
use oracle::store::MemoryStore;
use std::sync::LazyLock;
use stencil::{CacheKey, CompiledStencil, EntryBytes, entry};
use wasm_compiler::{Compiler, NoCache, Report, Settings, Stencils, VerifySample};
use wasmtime::{Config, Engine};

/// An engine, and the compiler for it.
pub struct Setup {
    engine: Engine,
    compiler: Compiler,
}

impl Setup {
    pub fn new(configure: impl FnOnce(&mut Config) -> &mut Config) -> Self {
        let mut config = Config::new();
        config.wasm_custom_page_sizes(true).wasm_branch_hinting(true).shared_memory(true);
        configure(&mut config);
        let engine = Engine::new(&config).expect("the configuration is sound");
        let compiler = Compiler::for_engine(&engine).expect("artifacts show all settings");
        Self { engine, compiler }
    }

    /// The same with relocatable stencils.
    pub fn into_relocatable(self) -> Self {
        let settings = Settings::from_engine(&self.engine).expect("it compiles");
        let settings = settings.with_stencils(Stencils::Relocatable);
        let compiler = Compiler::new(settings).expect("Wasmtime has taken the settings");
        Self { compiler, ..self }
    }

    /// The same with a check of all code that has numbers put in.
    pub fn into_checking(mut self) -> Self {
        self.compiler.set_verify(VerifySample::one_in(1));
        self
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Compiles on a store, and holds the artifact against Wasmtime's; with relocatable
    /// stencils against the one that is compiled without a cache.
    pub fn compile(&self, what: &str, wasm: &[u8], store: &MemoryStore) -> Compiled {
        let stock = stock(&self.engine, wasm).expect("Wasmtime takes it");
        let expected = match self.compiler.settings().stencils() {
            Stencils::Exact => stock,
            Stencils::Relocatable => {
                self.compiler.compile(wasm, &NoCache).expect("it compiles without a cache").0
            }
        };
        let recorder = Recorder::new(store);
        let (artifact, report) = self.compiler.compile(wasm, &recorder).expect("it compiles");
        assert_same(what, wasm, &expected, &artifact);
        assert_eq!((report.rejected, report.bypassed), (0, 0), "{what}");
        store.assert_no_conflicts();
        Compiled { keys: recorder.keys(), artifact, report }
    }
}

/// Wasmtime's defaults, and custom page sizes, branch hints and shared memories.
pub static DEFAULT: LazyLock<Setup> = LazyLock::new(|| Setup::new(|config| config));

/// Memories are bounds checked by comparing: no signals, no guard, and they move.
pub static CHECKED: LazyLock<Setup> = LazyLock::new(|| {
    Setup::new(|config| {
        config.signals_based_traps(false).memory_guard_size(0);
        config.memory_reservation(1 << 20)
    })
});

/// A target whose code is understood: where a module's entities lie is a parameter.
pub static X86_64: LazyLock<Setup> = LazyLock::new(|| x86_64(|config| config));

/// One whose code is not: where they lie is in the key.
pub static AARCH64: LazyLock<Setup> = LazyLock::new(|| {
    Setup::new(|config| config.target("aarch64-unknown-linux-gnu").expect("it is in this build"))
});

/// [`X86_64`] with other settings.
pub fn x86_64(configure: impl FnOnce(&mut Config) -> &mut Config) -> Setup {
    let target = "x86_64-unknown-linux-gnu";
    Setup::new(|config| configure(config.target(target).expect("it is in this build")))
}

/// What came of one compile.
pub struct Compiled {
    /// The distinct keys asked for, in the order of the pieces: functions, then
    /// trampolines from the host, then those to it, then those to builtins.
    pub keys: Vec<CacheKey>,
    pub artifact: Vec<u8>,
    pub report: Report,
}

/// The text or the bytes of a module or component.
pub trait Input {
    fn wasm(&self) -> Vec<u8>;
}

impl<T: AsRef<[u8]> + ?Sized> Input for T {
    fn wasm(&self) -> Vec<u8> {
        wat::parse_bytes(self.as_ref()).expect("it is WebAssembly").into_owned()
    }
}

/// The key of one piece, and the entry that a compile on an empty store left
/// there.
fn cold(setup: &Setup, what: &str, wasm: &[u8], piece: usize) -> (CacheKey, EntryBytes) {
    let store = MemoryStore::default();
    let compiled = setup.compile(what, wasm, &store);
    let key = compiled.keys[piece];
    let bytes = store.entries().get(&key).cloned();
    (key, bytes.expect("the piece was compiled and published"))
}

/// The second input's piece has another key than the first one's. Returns whether
/// its code or its tables are different as well.
#[track_caller]
fn key_changes(setup: &Setup, first: &[u8], second: &[u8], piece: usize) -> bool {
    assert_ne!(first, second, "the inputs are the same");
    let store = MemoryStore::default();
    setup.compile("first", first, &store);
    // Fails here if the key is wrong.
    setup.compile("second, on what the first has left", second, &store);

    let (first_key, first_entry) = cold(setup, "first", first, piece);
    let (second_key, second_entry) = cold(setup, "second", second, piece);
    assert_ne!(first_key, second_key, "the key does not hold what has changed");
    let open =
        |key, bytes| -> CompiledStencil<'_> { entry::open(key, bytes).expect("it is whole") };
    open(&first_key, &first_entry) != open(&second_key, &second_entry)
}

/// The inputs differ in something that changes the code, or a table beside it, of
/// a piece, given by its number among the pieces: its key changes as well.
#[track_caller]
pub fn check_changes(setup: &Setup, first: &impl Input, second: &impl Input, piece: usize) {
    let code_changes = key_changes(setup, &first.wasm(), &second.wasm(), piece);
    assert!(code_changes, "this is no input: the code is the same");
}

/// The inputs differ in something that is in a piece's key, though here the code
/// is the same: the key is finer than it has to be.
#[track_caller]
pub fn check_finer(setup: &Setup, first: &impl Input, second: &impl Input, piece: usize) {
    let code_changes = key_changes(setup, &first.wasm(), &second.wasm(), piece);
    assert!(!code_changes, "this is an input: the code changes");
}

/// The inputs differ in something that is no input: all that the second one has
/// in common with the first one is found, and what is found gives Wasmtime's
/// bytes. `added` counts the pieces that only the second one has. Returns both
/// artifacts.
#[track_caller]
pub fn check_keeps(
    setup: &Setup,
    first: &impl Input,
    second: &impl Input,
    added: u64,
) -> [Vec<u8>; 2] {
    let (first, second) = (first.wasm(), second.wasm());
    assert_ne!(first, second, "the inputs are the same");
    let store = MemoryStore::default();
    let cold = setup.compile("first", &first, &store);
    let warm = setup.compile("second, on what the first has left", &second, &store);
    assert!(cold.report.misses > 0 && warm.report.hits.total() > 0, "nothing is cached");
    assert_eq!(warm.report.misses, added, "a key holds what has changed");
    [cold.artifact, warm.artifact]
}

/// [`check_keeps`] for something that `finalize` or `link` puts in: the artifacts
/// are different. Returns both.
#[track_caller]
pub fn check_parameter(
    setup: &Setup,
    first: &impl Input,
    second: &impl Input,
    added: u64,
) -> [Vec<u8>; 2] {
    let [first, second] = check_keeps(setup, first, second, added);
    assert!(first != second, "this is no parameter: nothing in the artifact has changed");
    [first, second]
}

/// `FRONT` in a module's text stands where there can be more memories, which move
/// an entity in the VMContext. Where it lies is a parameter as long as its
/// displacement keeps its size, and the size is in the key. For a target whose code
/// is not understood all of it is.
#[track_caller]
pub fn check_place(text: &str, piece: usize) {
    // A shared memory takes a pointer, and nothing else.
    let moved_by = |bytes: usize| text.replace("FRONT", &"(memory 1 1 shared)".repeat(bytes / 8));
    check_parameter(&X86_64, &moved_by(0), &moved_by(16), 0);
    check_parameter(&X86_64, &moved_by(160), &moved_by(176), 0);
    check_changes(&X86_64, &moved_by(0), &moved_by(160), piece);
    check_changes(&AARCH64, &moved_by(0), &moved_by(16), piece);
}

/// The code of each function of the first module in an artifact.
pub fn functions(artifact: &[u8]) -> Vec<Vec<u8>> {
    let file = object::File::parse(artifact).expect("it is an ELF file");
    let text = file.section_by_name(".text").expect("there is code");
    let is_function = |name: &str| name.starts_with("wasm[0]::function[");
    let symbols = file.symbols().filter(|symbol| symbol.name().is_ok_and(is_function));
    let code = symbols.map(|symbol| text.data_range(symbol.address(), symbol.size()));
    code.map(|code| code.ok().flatten().expect("it has code").to_vec()).collect()
}

/// The second input has the first one's only function, and another one that has
/// the same key and other code.
#[track_caller]
pub fn check_shared(one: &impl Input, both: &impl Input) {
    let [_, artifact] = check_keeps(&X86_64, one, both, 0);
    let keys = |input: &[u8]| X86_64.compile("cold", input, &MemoryStore::default()).keys;
    assert_eq!(keys(&one.wasm()), keys(&both.wasm()), "the functions have keys of their own");
    let code = functions(&artifact);
    let [first, second] = &*code else { panic!("{} functions", code.len()) };
    assert_ne!(first, second, "the functions have the same code");
}

/// The inputs differ in the layout, which the code of one piece knows in a way
/// that is not understood: that piece is compiled for each layout.
#[track_caller]
pub fn check_kept_by_layout(setup: &Setup, first: &impl Input, second: &impl Input) {
    let (first, second) = (first.wasm(), second.wasm());
    let store = MemoryStore::default();
    setup.compile("first", &first, &store);
    let misses = |what: &str, input: &[u8]| setup.compile(what, input, &store).report.misses;
    assert_eq!(misses("second, on what the first has left", &second), 1);
    assert_eq!(misses("first, again", &first), 0);
    assert_eq!(misses("second, again", &second), 0);
}

//! The spine: [`Compiler::compile`] calls the stages in order.

#[cfg(test)]
mod markers;

use crate::bypass;
use crate::codegen::sites::{self, Finder};
use crate::codegen::{self, FrameTables};
use crate::cwasm;
use crate::error::CompileError;
use crate::fingerprint::fingerprint;
use crate::input::{self, Input};
use crate::link::{self, Linkability, Linkable};
use crate::lookup::{self, Slots};
use crate::pieces::Piece;
use crate::report::Report;
use crate::settings::{Settings, SettingsError, Stencils};
use crate::split;
use crate::verify::{self, VerifySample};
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self as flags, Configurable as _};
use gimli::RunTimeEndian;
use object::write::{StreamingBuffer, WritableBuffer};
use std::borrow::Cow;
use std::io::{BufWriter, Write};
use std::thread;
use std::time::{Duration, Instant};
use stencil::{CacheStore, Fingerprint, NewEntry, PublishSummary};
use target_lexicon::{Endianness, Triple};
use wasmtime_environ::{BuiltinFunctionIndex, ScopeVec};

/// Small pieces of the artifact are written together, up to this many bytes.
const WRITE_BYTES: usize = 64 << 10;

/// Compiles modules and components of one configuration through a cache.
pub struct Compiler {
    backend: Backend,
    /// The builtin trampolines, in the order of their indices.
    builtins: Vec<Piece>,
    sample: Option<VerifySample>,
}

/// Wasmtime's compiler for one configuration.
pub(crate) struct Backend {
    pub(crate) settings: Settings,
    /// The settings', a part of every key.
    pub(crate) fingerprint: Fingerprint,
    pub(crate) compiler: Box<dyn wasmtime_environ::Compiler>,
    pub(crate) isa: OwnedTargetIsa,
    pub(crate) frames: FrameTables,
    /// What finds the layout in this target's code, if anything does.
    pub(crate) finder: Option<&'static dyn Finder>,
}

/// A store that keeps nothing: every lookup is a miss.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCache;

impl CacheStore for NoCache {
    fn get(&self, _: &[u8]) -> Option<Cow<'_, [u8]>> {
        None
    }

    fn insert(&self, _: &[u8], _: Vec<u8>) -> bool {
        false
    }

    fn publish(&self, _: &[NewEntry]) -> PublishSummary {
        PublishSummary::default()
    }
}

impl Compiler {
    /// A compiler with the settings of an engine, so that the engine loads what
    /// it makes. The engine's own compiler is run on a small probe, to make sure
    /// that it has no settings but those that its artifacts show.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Hidden`] if it has, [`SettingsError::Refused`] if the
    /// engine does not compile.
    pub fn for_engine(engine: &wasmtime::Engine) -> Result<Self, CompileError> {
        let compiler = Self::new(Settings::from_engine(engine)?)?;
        let expected = engine.precompile_module(PROBE).map_err(CompileError::wasmtime)?;
        let (found, _) = compiler.compile(PROBE, &NoCache)?;
        if found != expected {
            return Err(SettingsError::Hidden.into());
        }
        Ok(compiler)
    }

    /// A compiler with settings from wherever.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Refused`] if the target is not in this build, a flag
    /// is not one of its flags, or the settings are those of a host that compiles with Winch.
    pub fn new(settings: Settings) -> Result<Self, CompileError> {
        let backend = Backend::new(settings)?;
        let builtins = (0..BuiltinFunctionIndex::len()).map(BuiltinFunctionIndex::from_u32);
        let builtin = |builtin| split::builtin(builtin, &backend.fingerprint);
        Ok(Self { builtins: builtins.map(builtin).collect(), backend, sample: None })
    }

    /// Compiles a share of the hits again from now on, and compares; `None`, as
    /// at first, none of them. The compile uses its own code for those, and has
    /// the store [replace](CacheStore::replace) what differs.
    pub fn set_verify(&mut self, sample: Option<VerifySample>) {
        self.sample = sample;
    }

    /// The settings' fingerprint, a part of every key.
    pub fn fingerprint(&self) -> Fingerprint {
        self.backend.fingerprint
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.backend.settings
    }

    /// Compiles a module or component in the binary format. What the store has
    /// is not compiled; what it has not is compiled and published.
    ///
    /// With exact stencils the bytes are those that an engine with the same settings
    /// would have written, with relocatable ones those that are compiled without a
    /// store; in either case whatever the store has or does.
    ///
    /// Runs on rayon's current thread pool.
    ///
    /// # Errors
    ///
    /// Any [`CompileError`]. A failing store is never one.
    pub fn compile(
        &self,
        wasm: &[u8],
        store: &dyn CacheStore,
    ) -> Result<(Vec<u8>, Report), CompileError> {
        let mut cwasm = Vec::new();
        let report = self.run(wasm, store, &mut cwasm)?;
        Ok((cwasm, report))
    }

    /// [`compile`](Self::compile), with the artifact written to `out` and never
    /// held in memory as a whole. Nothing is written before all is compiled.
    ///
    /// # Errors
    ///
    /// Any [`CompileError`]; after [`CompileError::Write`] a part of the artifact
    /// may have been written.
    pub fn compile_to(
        &self,
        wasm: &[u8],
        store: &dyn CacheStore,
        out: &mut dyn Write,
    ) -> Result<Report, CompileError> {
        let mut out = StreamingBuffer::new(BufWriter::with_capacity(WRITE_BYTES, out));
        let report = self.run(wasm, store, &mut out)?;
        out.flush().map_err(CompileError::Write)?;
        Ok(report)
    }

    fn run(
        &self,
        wasm: &[u8],
        store: &dyn CacheStore,
        out: &mut impl WritableBuffer,
    ) -> Result<Report, CompileError> {
        let backend = &self.backend;
        let mut report = self.new_report(wasm);
        let mut clock = Clock::start();

        // input
        let adapters = ScopeVec::new();
        let page_size_align = backend.compiler.page_size_align();
        let mut input = input::read(wasm, &backend.settings, page_size_align, &adapters)?;
        report.functions = input.function_count();
        report.stages.input = clock.lap();

        // split, key
        let pieces = split::split(&input, backend)?;
        report.stages.split = clock.lap();
        if let Some(reason) = backend.settings.uncovered() {
            return self.bypass(input, &pieces, reason, (report, clock), out);
        }

        // lookup
        let mut slots = Slots::of(&pieces, &self.builtins);
        let round_trips = store.round_trips();
        let replies = lookup::lookup(&mut slots, store);
        report.round_trips = store.round_trips() - round_trips;
        report.stages.lookup = clock.lap();
        let mut found = lookup::open(&slots, &replies, &Linkability::new(backend, &slots));
        verify::doubt(self.sample, &slots, &mut found);
        report.stages.finalize = clock.lap();

        // codegen, entry
        let fresh =
            match codegen::compile_all(&mut input, backend, self.sample, &slots.missing(&found))? {
                Ok(fresh) => fresh,
                Err(error) => {
                    return self.bypass(input, &pieces, error.reason(), (report, clock), out);
                }
            };
        let mut stencils = lookup::stencils(&found);
        codegen::open_fresh(&fresh, &mut stencils)?;
        let builtins = link::needed_builtins(&slots, &stencils);
        let missing = lookup::missing(builtins.iter().copied(), &found);
        let fresh_builtins = match codegen::compile_all(&mut input, backend, self.sample, &missing)?
        {
            Ok(fresh) => fresh,
            Err(error) => return self.bypass(input, &pieces, error.reason(), (report, clock), out),
        };
        codegen::open_fresh(&fresh_builtins, &mut stencils)?;

        // verify
        let compiled = || fresh.iter().chain(&fresh_builtins);
        let looked_up = (&input, &slots, &*replies);
        verify::compare(self.sample, looked_up, compiled(), &mut found, &mut report);
        lookup::share(compiled().filter(|fresh| fresh.is_copy).map(|fresh| fresh.slot), &mut found);
        let mut corrections = verify::corrections(&report.differences);
        if self.sample.is_some_and(|sample| sample.is_strict()) && !corrections.is_empty() {
            store.replace(&corrections);
            return Err(report.into_error());
        }
        report.count(slots.pieces.iter().chain(&builtins), &found, &stencils);
        report.checked = codegen::count_checked(compiled());
        report.with_numbers = codegen::count_with_numbers(compiled(), &slots);
        report.stages.codegen = clock.lap();

        // finalize; then link and write, with publish beside them
        let symbols = backend.settings.tunables.debug_symbols;
        let linkable = Linkable::finalize(&input, &slots.pieces, &builtins, &stencils, symbols)?;
        report.stages.finalize += clock.lap();
        let entries = codegen::new_entries(compiled(), &found, &slots);
        corrections.extend(codegen::corrections(compiled(), &found, &slots));
        let (written, published) = thread::scope(|scope| {
            // A system that refuses another thread is waited for instead.
            let publish = || publish(store, &entries, &corrections);
            let any = !entries.is_empty() || !corrections.is_empty();
            let beside = any.then(|| thread::Builder::new().spawn_scoped(scope, publish));
            let linked = link::link(&linkable, backend).and_then(|linked| {
                cwasm::assemble(input, backend, linked, linkable.needs_gc_heap())
            });
            report.stages.link = clock.lap();
            let written = linked.and_then(|artifact| cwasm::emit(artifact, out));
            report.stages.write = clock.lap();
            let published = match beside {
                None => PublishSummary::default(),
                Some(Ok(thread)) => thread.join().unwrap_or_default(),
                Some(Err(_)) => publish(),
            };
            (written, published)
        });
        report.bytes.output = written?;
        report.published_entries(published);
        report.stages.publish = clock.lap();
        Ok(report)
    }

    /// Compiles everything without the cache.
    fn bypass(
        &self,
        input: Input<'_>,
        pieces: &[Piece],
        reason: &'static str,
        (mut report, mut clock): (Report, Clock),
        out: &mut impl WritableBuffer,
    ) -> Result<Report, CompileError> {
        report.bypassed = pieces.len() as u64;
        report.bypass_reason = Some(reason);
        let artifact = bypass::compile(input, &self.backend, pieces)?;
        report.stages.codegen = clock.lap();
        report.bytes.output = cwasm::emit(artifact, out)?;
        report.stages.write = clock.lap();
        Ok(report)
    }

    fn new_report(&self, wasm: &[u8]) -> Report {
        let mut report = Report {
            target: self.backend.settings.target().to_owned(),
            fingerprint: self.backend.fingerprint.to_string(),
            ..Report::default()
        };
        report.bytes.wasm = wasm.len() as u64;
        report
    }
}

/// Nothing is asked of a store that there is nothing for.
fn publish(
    store: &dyn CacheStore,
    entries: &[NewEntry],
    corrections: &[NewEntry],
) -> PublishSummary {
    let mut published = PublishSummary::default();
    if !entries.is_empty() {
        published.add(&store.publish(entries));
    }
    if !corrections.is_empty() {
        published.add(&store.replace(corrections));
    }
    published
}

impl Backend {
    pub(crate) fn new(settings: Settings) -> Result<Self, CompileError> {
        let refused = |error: String| SettingsError::Refused(error);
        if settings.tunables.winch_callable {
            return Err(refused(
                "the host compiles with Winch, and this program with Cranelift".to_owned(),
            )
            .into());
        }
        let triple: Triple = settings
            .target()
            .parse()
            .map_err(|error| refused(format!("unknown target {:?}: {error}", settings.target())))?;
        let unsupported =
            |error: String| refused(format!("target {triple} is not in this build: {error}"));
        let mut builder = wasmtime_internal_cranelift::builder(Some(triple.clone()))
            .map_err(|error| unsupported(format!("{error:#}")))?;
        let mut shared = flags::builder();
        let mut isa =
            isa::lookup(triple.clone()).map_err(|error| unsupported(error.to_string()))?;
        builder.set_tunables(settings.tunables.clone()).map_err(CompileError::wasmtime)?;
        for (name, value) in settings.shared_flags() {
            builder.set(name, &value).map_err(CompileError::wasmtime)?;
            shared.set(name, &value).map_err(CompileError::wasmtime)?;
        }
        for (name, value) in settings.isa_flags() {
            builder.set(name, &value).map_err(CompileError::wasmtime)?;
            isa.set(name, &value).map_err(CompileError::wasmtime)?;
        }
        for (name, value) in settings.literal() {
            builder.set(name, value).map_err(|error| {
                refused(format!("setting {name}={value} was refused: {error:#}"))
            })?;
        }
        let compiler = builder.build().map_err(CompileError::wasmtime)?;
        let isa = isa.finish(flags::Flags::new(shared)).map_err(CompileError::wasmtime)?;
        let endian = match triple.endianness() {
            Ok(Endianness::Big) => RunTimeEndian::Big,
            _ => RunTimeEndian::Little,
        };
        let frames = FrameTables::new(compiler.create_systemv_cie(), endian);
        let finder = sites::finder(triple.architecture);
        if settings.stencils == Stencils::Relocatable && finder.is_none() {
            return Err(refused(format!(
                "there are no relocatable stencils for target {triple}, only for x86_64; \
                 use exact ones"
            ))
            .into());
        }
        let fingerprint = fingerprint(&settings);
        Ok(Self { settings, fingerprint, compiler, isa, frames, finder })
    }
}

/// Laps of wall-clock time.
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.0, now)
    }
}

/// Reaches the pieces whose code may depend on a setting that no artifact shows:
/// both kinds of trampoline, a call, a load, a builtin. It has a name, because
/// Wasmtime makes one up for debug info, another one each time.
///
/// ```wat
/// (module $p
///   (import "" "" (func (param i32)))
///   (memory 1)
///   (func (export "") (param i32) (result i32)
///     (call 0 (local.get 0))
///     (memory.grow (i32.load (local.get 0)))))
/// ```
const PROBE: &[u8] = &[
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x0a, 0x02, 0x60, 0x01, 0x7f, 0x00, 0x60,
    0x01, 0x7f, 0x01, 0x7f, 0x02, 0x05, 0x01, 0x00, 0x00, 0x00, 0x00, 0x03, 0x02, 0x01, 0x01, 0x05,
    0x03, 0x01, 0x00, 0x01, 0x07, 0x04, 0x01, 0x00, 0x00, 0x01, 0x0a, 0x0f, 0x01, 0x0d, 0x00, 0x20,
    0x00, 0x10, 0x00, 0x20, 0x00, 0x28, 0x02, 0x00, 0x40, 0x00, 0x0b, 0x00, 0x09, 0x04, 0x6e, 0x61,
    0x6d, 0x65, 0x00, 0x02, 0x01, 0x70,
];

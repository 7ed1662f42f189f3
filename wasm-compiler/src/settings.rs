//! An engine, an artifact or a list of options -> the settings of one
//! configuration: everything that all functions of a compile have in common.
//!
//! The engine's own settings are private to it, but every artifact carries them
//! in its `.wasmtime.engine` section: a version byte, the length of the version
//! string and the string, then postcard of target, shared flags, ISA flags,
//! tunables and features (Wasmtime's `engine/serialization.rs`). So settings are
//! read from an empty module that the engine has precompiled, or from any
//! artifact that a host has made itself.

mod stencils;

use object::{Object as _, ObjectSection as _};
use serde::Deserialize;
use std::borrow::Cow;
pub use stencils::{NotStencils, Stencils};
use target_lexicon::{Architecture, OperatingSystem, Triple};
use wasmtime_environ::{FlagValue, Tunables, obj};

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The bytes are not an artifact of Wasmtime.
    #[error("not a Wasmtime artifact: {why}; pass a .cwasm that the target host has written")]
    NotAnArtifact {
        /// What is wrong with them.
        why: String,
    },
    /// The artifact is of another version of Wasmtime.
    #[error(
        "the artifact was made by Wasmtime {got:?}, this program compiles for Wasmtime {expected:?}"
    )]
    Version {
        /// The version in the artifact.
        got: String,
        /// The version that artifacts of this program have.
        expected: String,
    },
    /// Wasmtime refused a target, a flag or a value, or a combination of them.
    #[error("{0}")]
    Refused(String),
    /// The engine has settings that none of its artifacts shows.
    #[error(
        "this engine has compiler settings that its artifacts do not show (wmemcheck, \
         wasmtime_debug_checks or wasmtime_linkopt_*); use Settings::with_literal for them"
    )]
    Hidden,
}

/// Cranelift's optimisation levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptLevel {
    /// Compile fast.
    None,
    /// Make the code fast; the default.
    Speed,
    /// Make the code fast and small.
    SpeedAndSize,
}

/// Settings as a person gives them; what is left out is stock Wasmtime's default.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A target triple: its baseline CPU plus [`cranelift`](Self::cranelift), as
    /// `wasmtime::Config::target` does. `None` is this machine and its CPU.
    pub target: Option<String>,
    /// The optimisation level.
    pub opt_level: Option<OptLevel>,
    /// Cranelift settings, name and value.
    pub cranelift: Vec<(String, String)>,
    /// Which kind of stencils there are.
    pub stencils: Stencils,
}

/// The value of one Cranelift flag.
#[derive(Clone, Debug, PartialEq, Eq)]
enum FlagText {
    Text(String),
    Bool(bool),
}

impl FlagText {
    fn of(value: &FlagValue<'_>) -> Self {
        match value {
            FlagValue::Enum(value) => Self::Text(value.to_string()),
            FlagValue::Num(value) => Self::Text(value.to_string()),
            FlagValue::Bool(value) => Self::Bool(*value),
        }
    }

    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
        }
    }
}

/// All settings of one configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) target: String,
    flags: Vec<(String, FlagText)>,
    isa_flags: Vec<(String, FlagText)>,
    pub(crate) tunables: Tunables,
    pub(crate) features: wasmparser::WasmFeatures,
    /// Settings that show up in no list of flags, as the user gave them.
    literal: Vec<(String, String)>,
    pub(crate) stencils: Stencils,
    /// The section that the artifacts get, verbatim.
    pub(crate) engine_section: Vec<u8>,
    pub(crate) bti_section: Vec<u8>,
    pub(crate) dense_image_size: u64,
}

/// The flags of Wasmtime's compiler builder that no artifact records.
const LITERAL_PREFIX: &str = "wasmtime_";

/// Wasmtime's default for `Config::memory_guaranteed_dense_image_size`, in bytes.
/// Artifacts do not record it.
const DENSE_IMAGE_SIZE: u64 = 16 << 20;

const EMPTY_MODULE: &[u8] = b"\0asm\x01\0\0\0";

#[derive(Deserialize)]
struct EngineMetadata<'a> {
    target: String,
    #[serde(borrow)]
    shared_flags: Vec<(&'a str, FlagValue<'a>)>,
    #[serde(borrow)]
    isa_flags: Vec<(&'a str, FlagValue<'a>)>,
    tunables: Tunables,
    features: u64,
}

impl Settings {
    /// The settings of an engine, as far as its artifacts show them.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Refused`] if the engine cannot compile.
    pub fn from_engine(engine: &wasmtime::Engine) -> Result<Self, SettingsError> {
        let artifact = engine.precompile_module(EMPTY_MODULE).map_err(refused)?;
        let mut settings = Self::from_any_artifact(&artifact)?;
        settings.dense_image_size = engine.get_memory_guaranteed_dense_image_size();
        Ok(settings)
    }

    /// The settings of the host that has written an artifact.
    /// `memory_guaranteed_dense_image_size`, which artifacts do not record, is
    /// taken to have its default of 16 MiB.
    ///
    /// # Errors
    ///
    /// [`SettingsError::NotAnArtifact`] and [`SettingsError::Version`].
    pub fn from_artifact(artifact: &[u8]) -> Result<Self, SettingsError> {
        let settings = Self::from_any_artifact(artifact)?;
        let expected = Self::from_engine(&wasmtime::Engine::default())?;
        let (got, expected) = (settings.version(), expected.version());
        // Wasmtime writes its major version only.
        if got != expected {
            return Err(SettingsError::Version { got, expected });
        }
        Ok(settings)
    }

    /// The settings that stock Wasmtime would have with these options.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Refused`] with Wasmtime's own words.
    pub fn from_options(options: &Options) -> Result<Self, SettingsError> {
        let mut config = wasmtime::Config::new();
        if let Some(target) = &options.target {
            config.target(target).map_err(|error| {
                SettingsError::Refused(format!("unknown target {target:?}: {error}"))
            })?;
        }
        if let Some(level) = options.opt_level {
            config.cranelift_opt_level(match level {
                OptLevel::None => wasmtime::OptLevel::None,
                OptLevel::Speed => wasmtime::OptLevel::Speed,
                OptLevel::SpeedAndSize => wasmtime::OptLevel::SpeedAndSize,
            });
        }
        for (name, value) in &options.cranelift {
            // SAFETY: the function is unsafe because code that is compiled with
            // a wrong flag, and then run, may misbehave. The engine made here
            // runs nothing; who loads the artifact checks its flags.
            unsafe {
                config.cranelift_flag_set(name, value);
            }
        }
        let engine = wasmtime::Engine::new(&config).map_err(|error| {
            let target = options.target.as_deref().unwrap_or("this machine");
            let flags = options.cranelift.iter().map(|(name, value)| format!(" {name}={value}"));
            let flags: String = flags.collect();
            let with = if flags.is_empty() { "" } else { " with" };
            SettingsError::Refused(format!("settings refused for {target}{with}{flags}: {error:#}"))
        })?;
        let mut settings = Self::from_engine(&engine)?;
        for (name, value) in &options.cranelift {
            if name.starts_with(LITERAL_PREFIX) {
                settings = settings.with_literal(name, value);
            }
        }
        Ok(settings.with_stencils(options.stencils))
    }

    /// Adds a setting of Wasmtime's compiler that no artifact shows, such as
    /// `wasmtime_linkopt_force_jump_veneer`.
    #[must_use]
    pub fn with_literal(mut self, name: &str, value: &str) -> Self {
        self.literal.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has functions be kept as one or the other kind of stencil.
    #[must_use]
    pub fn with_stencils(self, stencils: Stencils) -> Self {
        Self { stencils, ..self }
    }

    /// Which kind of stencils there are.
    pub fn stencils(&self) -> Stencils {
        self.stencils
    }

    fn from_any_artifact(artifact: &[u8]) -> Result<Self, SettingsError> {
        let not = |why: &str| SettingsError::NotAnArtifact { why: why.to_owned() };
        let file = object::File::parse(artifact).map_err(|error| not(&error.to_string()))?;
        let section = |name: &str| -> Result<Vec<u8>, SettingsError> {
            let section = file
                .section_by_name(name)
                .ok_or_else(|| not(&format!("it has no section {name}")))?;
            let data = section.data().map_err(|error| not(&error.to_string()))?;
            Ok(data.to_vec())
        };
        let engine_section = section(obj::ELF_WASM_ENGINE)?;
        let bti_section = section(obj::ELF_WASM_BTI)?;
        let metadata = Self::metadata_start(&engine_section)
            .ok_or_else(|| not("its engine section has another layout"))?;
        let metadata: EngineMetadata<'_> = postcard::from_bytes(metadata)
            .map_err(|error| not(&format!("its engine section is malformed ({error})")))?;
        let owned = |flags: &[(&str, FlagValue<'_>)]| {
            let flag =
                |(name, value): &(&str, FlagValue<'_>)| ((*name).to_owned(), FlagText::of(value));
            flags.iter().map(flag).collect()
        };
        Ok(Self {
            flags: owned(&metadata.shared_flags),
            isa_flags: owned(&metadata.isa_flags),
            target: metadata.target,
            tunables: metadata.tunables,
            features: wasmparser::WasmFeatures::from_bits_truncate(metadata.features),
            literal: Vec::new(),
            stencils: Stencils::Exact,
            engine_section,
            bti_section,
            dense_image_size: DENSE_IMAGE_SIZE,
        })
    }

    fn metadata_start(engine_section: &[u8]) -> Option<&[u8]> {
        let (&[0, version_len], rest) = engine_section.split_first_chunk::<2>()? else {
            return None;
        };
        rest.get(usize::from(version_len)..)
    }

    /// The version of Wasmtime whose artifacts these settings are for, as it
    /// writes it.
    pub fn version(&self) -> String {
        let len = usize::from(self.engine_section.get(1).copied().unwrap_or(0));
        let version = self.engine_section.get(2..2 + len).unwrap_or_default();
        String::from_utf8_lossy(version).into_owned()
    }

    /// The target triple.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Why this configuration's functions cannot be cached, if they cannot: the
    /// key does not cover what their code depends on.
    pub fn uncovered(&self) -> Option<&'static str> {
        // Every field stands here, so that a new one breaks the build until it is known
        // whether the key covers what it does to code. All of them are in the
        // fingerprint, which holds the section of the artifact verbatim.
        let Tunables {
            debug_native,
            debug_guest,
            inlining,
            // Read by the facts, and by code generation through what they hold.
            collector: _,
            memory_reservation: _,
            memory_guard_size: _,
            memory_reservation_for_growth: _,
            memory_may_move: _,
            guard_before_linear_memory: _,
            memory_init_cow: _,
            signals_based_traps: _,
            table_lazy_init: _,
            branch_hinting: _,
            gc_heap_reservation: _,
            gc_heap_guard_size: _,
            gc_heap_reservation_for_growth: _,
            gc_heap_initial_size: _,
            gc_heap_may_move: _,
            gc_zeal_alloc_counter: _,
            // Read by code generation operator by operator, or once a function.
            consume_fuel: _,
            operator_cost: _,
            epoch_interruption: _,
            relaxed_simd_deterministic: _,
            concurrency_support: _,
            metadata_for_internal_asserts: _,
            metadata_for_gc_heap_corruption: _,
            // Read while linking, from what entries hold in any case.
            generate_address_map: _,
            debug_symbols: _,
            parse_wasm_debuginfo: _,
            recording: _,
            // Read for adapter modules, which are never cached.
            debug_adapter_modules: _,
            // `Backend::new` refuses it.
            winch_callable: _,
            // Without inlining they decide nothing.
            inlining_small_callee_size: _,
            inlining_sum_size_threshold: _,
        } = &self.tunables;
        let triple = self.target.parse::<Triple>().ok();
        let is_pulley = |triple: &Triple| {
            matches!(
                triple.architecture,
                Architecture::Pulley32
                    | Architecture::Pulley64
                    | Architecture::Pulley32be
                    | Architecture::Pulley64be
            )
        };
        if triple.as_ref().is_some_and(is_pulley) {
            Some("Pulley")
        } else if triple.is_some_and(|triple| triple.operating_system == OperatingSystem::Windows) {
            Some("Windows' unwind information")
        } else if *debug_native {
            Some("native debug info")
        } else if *debug_guest {
            Some("guest debugging")
        } else if *inlining != wasmtime_environ::Inlining::No {
            Some("inlining")
        } else {
            None
        }
    }

    /// All of Cranelift's flags, name and value, those of the target behind the
    /// shared ones.
    pub fn flags(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.shared_flags().chain(self.isa_flags())
    }

    /// The shared and ISA flags, name and value, as Cranelift's builders take
    /// them.
    pub(crate) fn shared_flags(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.flags.iter().map(|(name, value)| (name.as_str(), value.text()))
    }

    pub(crate) fn isa_flags(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.isa_flags.iter().map(|(name, value)| (name.as_str(), value.text()))
    }

    pub(crate) fn literal(&self) -> &[(String, String)] {
        &self.literal
    }

    /// Whether a literal setting leaves the linking of functions as it is.
    pub(crate) fn links_plainly(&self) -> bool {
        let LinkOptions { padding_between_functions, force_jump_veneers } = self.link_options();
        padding_between_functions == 0 && !force_jump_veneers
    }

    /// The settings of Wasmtime's linker, which exist to test it.
    pub(crate) fn link_options(&self) -> LinkOptions {
        let mut options = LinkOptions::default();
        for (name, value) in &self.literal {
            match name.as_str() {
                // Values that cannot be read were refused by the compiler.
                "wasmtime_linkopt_padding_between_functions" => {
                    options.padding_between_functions = value.parse().unwrap_or(0);
                }
                "wasmtime_linkopt_force_jump_veneer" => {
                    options.force_jump_veneers = value.parse().unwrap_or(false);
                }
                _ => {}
            }
        }
        options
    }
}

/// See Wasmtime's `LinkOptions`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LinkOptions {
    pub(crate) padding_between_functions: usize,
    pub(crate) force_jump_veneers: bool,
}

fn refused(error: wasmtime::Error) -> SettingsError {
    SettingsError::Refused(format!("{error:#}"))
}

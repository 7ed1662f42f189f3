//! Configurations of Wasmtime that differ in what reaches the code -> an engine and our compilers
//! for each.

use wasm_compiler::{Compiler, Settings, Stencils, VerifySample};
use wasmtime::{Collector, Config, Engine, OptLevel};

/// A configuration to compile under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Setting {
    /// As `Engine::default` has it.
    Default,
    /// With the proposals that are off by default.
    Proposals,
    /// Bounds, fuel, epochs and references are all checked in the code.
    Checked,
    /// Nothing optimised; tables and memories laid out otherwise.
    Unoptimised,
    /// Without some features, so that it refuses some modules.
    Bare,
    /// For a target that this machine does not run.
    OtherTarget,
}

impl Setting {
    /// All settings.
    pub const ALL: [Self; 6] = [
        Self::Default,
        Self::Proposals,
        Self::Checked,
        Self::Unoptimised,
        Self::Bare,
        Self::OtherTarget,
    ];

    fn config(self) -> Config {
        let mut config = Config::new();
        match self {
            Self::Default => {}
            Self::Proposals => {
                config.wasm_custom_page_sizes(true).wasm_wide_arithmetic(true);
                config.shared_memory(true).wasm_branch_hinting(true);
            }
            Self::Checked => {
                config.consume_fuel(true).epoch_interruption(true).signals_based_traps(false);
                config.memory_reservation(0).collector(Collector::DeferredReferenceCounting);
            }
            Self::Unoptimised => {
                config.cranelift_opt_level(OptLevel::None).collector(Collector::Null);
                config.table_lazy_init(false).memory_guard_size(0);
            }
            Self::Bare => {
                config.wasm_tail_call(false).wasm_memory64(false).wasm_relaxed_simd(false);
                config.wasm_gc(false).wasm_function_references(false).wasm_exceptions(false);
                config.wasm_multi_memory(false);
            }
            Self::OtherTarget => {
                let arm = cfg!(target_arch = "aarch64");
                let other =
                    if arm { "x86_64-unknown-linux-gnu" } else { "aarch64-unknown-linux-gnu" };
                config.target(other).expect("it is in this build");
            }
        }
        config
    }
}

/// Of how many functions with relocatable stencils one is checked.
pub const CHECKED_ONE_IN: u64 = 3;

/// One configuration: Wasmtime's engine, and our compilers for it.
pub struct Host {
    /// The judge.
    pub engine: Engine,
    /// Ours, with exact stencils.
    pub compiler: Compiler,
    /// Ours with relocatable stencils, where the target has them. It checks the code of one
    /// in [`CHECKED_ONE_IN`] functions, and compiles as many hits again.
    pub relocatable: Option<Compiler>,
}

impl Host {
    /// A host with a setting, and what else is to be set.
    ///
    /// # Panics
    ///
    /// If Wasmtime refuses the configuration.
    pub fn new(setting: Setting, configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = setting.config();
        configure(&mut config);
        Self::for_engine(Engine::new(&config).expect("the configuration is sound"))
    }

    /// The host of an engine.
    ///
    /// # Panics
    ///
    /// If our compiler refuses the engine's settings.
    pub fn for_engine(engine: Engine) -> Self {
        let compiler = |stencils| {
            let settings = Settings::from_engine(&engine).expect("artifacts show all settings");
            let settings = settings.with_stencils(stencils);
            Compiler::new(settings).expect("Wasmtime has taken the settings")
        };
        let exact = compiler(Stencils::Exact);
        let has_others = exact.settings().target().starts_with("x86_64");
        let relocatable = has_others.then(|| {
            let mut compiler = compiler(Stencils::Relocatable);
            let sample = VerifySample::one_in(CHECKED_ONE_IN).expect("it is a share");
            compiler.set_verify(Some(sample.strict(true)));
            compiler
        });
        Self { engine, compiler: exact, relocatable }
    }

    /// Ours with these stencils, or with exact ones if the target has no others.
    pub fn compiler_with(&self, stencils: Stencils) -> &Compiler {
        match (stencils, &self.relocatable) {
            (Stencils::Relocatable, Some(relocatable)) => relocatable,
            _ => &self.compiler,
        }
    }
}

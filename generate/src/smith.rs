//! Modules from wasm-smith: small, seeded, of several kinds.

use arbitrary::{Arbitrary as _, Unstructured};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use wasm_smith::{Config, InstructionKind, InstructionKinds, Module};

/// What a module is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// All that a default engine takes, but for GC and exceptions.
    Default,
    /// Few ways out of a function: most of what it does is arithmetic and
    /// control, so that its code has few offsets in it.
    Plain,
    /// GC, typed references, exceptions.
    Gc,
    /// Atomics and shared memories.
    Threads,
    /// Proposals that have to be switched on: pages of one byte, wide arithmetic.
    Proposals,
    /// A random choice of features, and everything exported.
    Swarm,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Default, Self::Plain, Self::Gc, Self::Threads, Self::Proposals, Self::Swarm];

    fn config(self, choices: &mut Unstructured<'_>) -> arbitrary::Result<Config> {
        let mut config = Config {
            max_memories: 4,
            max_tables: 4,
            gc_enabled: false,
            exceptions_enabled: false,
            threads_enabled: false,
            ..Config::default()
        };
        match self {
            Self::Default => {}
            Self::Plain => {
                config.allowed_instructions = InstructionKinds::new(&[
                    InstructionKind::Numeric,
                    InstructionKind::Parametric,
                    InstructionKind::Variable,
                    InstructionKind::Control,
                    InstructionKind::Vector,
                ]);
                config.generate_custom_sections = true;
            }
            Self::Gc => {
                config.gc_enabled = true;
                config.exceptions_enabled = true;
            }
            Self::Threads => config.threads_enabled = true,
            Self::Proposals => {
                config.custom_page_sizes_enabled = true;
                config.wide_arithmetic_enabled = true;
            }
            Self::Swarm => {
                config = Config::arbitrary(choices)?;
                config.export_everything = true;
                config.max_memories = config.max_memories.clamp(1, 4);
                config.max_tables = config.max_tables.clamp(1, 4);
            }
        }
        Ok(Config {
            min_funcs: choices.int_in_range(2..=8)?,
            max_funcs: 8,
            max_instructions: 60,
            min_types: 4,
            max_types: 12,
            max_type_size: 60,
            min_imports: choices.int_in_range(0..=3)?,
            max_imports: 6,
            min_globals: choices.int_in_range(0..=3)?,
            max_globals: 6,
            min_memories: choices.int_in_range(0..=1)?,
            min_tables: choices.int_in_range(0..=1)?,
            min_exports: choices.int_in_range(0..=4)?,
            max_exports: 6,
            max_tags: 3,
            max_element_segments: 4,
            max_elements: 6,
            max_data_segments: 4,
            max_table_elements: 2_000,
            max_nesting_depth: 5,
            const_expr_fuel: 6,
            ..config
        })
    }

    /// The module of a seed. A few seeds have none: wasm-smith ran out of choices.
    pub fn module(self, seed: u64) -> Option<Vec<u8>> {
        let mut random = SmallRng::seed_from_u64(seed);
        // When choices run out, what is left of the module is as small as can be.
        let mut bytes = vec![0; 4_096 + (random.next_u32() % 16_384) as usize];
        random.fill_bytes(&mut bytes);
        self.module_from(&mut Unstructured::new(&bytes)).ok()
    }

    /// The module of some choices, a fuzzer's bytes for instance.
    ///
    /// # Errors
    ///
    /// Wasm-smith ran out of choices.
    pub fn module_from(self, choices: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
        let config = self.config(choices)?;
        Ok(Module::new(config, choices)?.to_bytes())
    }

    /// The same with all that a module has exported, to be run and looked at.
    ///
    /// # Errors
    ///
    /// Wasm-smith ran out of choices.
    pub fn open_module_from(self, choices: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
        Ok(self.open_module(choices)?.to_bytes())
    }

    fn open_module(self, choices: &mut Unstructured<'_>) -> arbitrary::Result<Module> {
        let config = Config { export_everything: true, ..self.config(choices)? };
        Module::new(config, choices)
    }

    /// The same where all calls together end after so many loops and calls in the module, without
    /// fuel of the host's.
    ///
    /// # Errors
    ///
    /// Wasm-smith ran out of choices, or the module has imports that cannot be made to end.
    pub fn ending_module_from(
        self,
        choices: &mut Unstructured<'_>,
        steps: u32,
    ) -> arbitrary::Result<Vec<u8>> {
        let mut module = self.open_module(choices)?;
        module.ensure_termination(steps).map_err(|_| arbitrary::Error::IncorrectFormat)?;
        Ok(module.to_bytes())
    }
}

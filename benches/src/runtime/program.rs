//! An artifact -> runs of the program under WASI, each in an instance of its own, and what
//! it took.
//!
//! Invariant: a program sees the same in each run, but for the time: no files, no
//! environment, an empty standard input, and random numbers from one seed.

use crate::child;
use crate::roles::ms_since;
use anyhow::{Context as _, Result, bail};
use std::time::Instant;
use wasmtime::{Engine, InstancePre, Linker, Module, Store};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{Deterministic, I32Exit, WasiCtxBuilder};

/// A program that writes more is not one to measure.
const OUTPUT_BYTES_MAX: usize = 64 << 20;

/// What random numbers are made from.
const SEED: [u8; 8] = *b"the same";

/// A program, ready to run.
pub struct Program(InstancePre<WasiP1Ctx>);

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// From the call to the end, in milliseconds; the instance was made before.
    pub wall_ms: f64,
    /// User and system time of this process in the same span.
    pub cpu_ms: f64,
    /// What the program wrote to its standard output.
    pub output: Vec<u8>,
}

impl Program {
    /// Loads an artifact.
    ///
    /// # Errors
    ///
    /// If this engine refuses it, or it imports something that WASI does not have.
    pub(super) fn load(engine: &Engine, artifact: &[u8]) -> Result<Self> {
        // SAFETY: the only caller has had the artifact made by the compiler of this workspace,
        // from this engine's settings, and holds it in memory that nobody else can change.
        let module = unsafe { Module::deserialize(engine, artifact) };
        let module = module.map_err(anyhow::Error::from).context("Wasmtime does not load it")?;
        let mut linker = Linker::<WasiP1Ctx>::new(engine);
        p1::add_to_linker_sync(&mut linker, |wasi| wasi).map_err(anyhow::Error::from)?;
        let instance = linker.instantiate_pre(&module).map_err(anyhow::Error::from);
        Ok(Self(instance.context("it is no WASI program")?))
    }

    /// Runs it once.
    ///
    /// # Errors
    ///
    /// If it traps, or ends with another exit code than 0.
    pub fn run(&self, name: &str, arguments: &[String]) -> Result<Run> {
        let (stdout, stderr) =
            (MemoryOutputPipe::new(OUTPUT_BYTES_MAX), MemoryOutputPipe::new(OUTPUT_BYTES_MAX));
        let wasi = WasiCtxBuilder::new()
            .arg(name)
            .args(arguments)
            .stdout(stdout.clone())
            .stderr(stderr.clone())
            .secure_random(Deterministic::new(SEED.to_vec()))
            .build_p1();
        let mut store = Store::new(self.0.module().engine(), wasi);
        let instance = self.0.instantiate(&mut store).map_err(anyhow::Error::from)?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start");
        let start = start.map_err(anyhow::Error::from).context("it is no program")?;
        let (begin, cpu) = (Instant::now(), child::own_cpu());
        let ended = start.call(&mut store, ());
        let (wall_ms, cpu) = (ms_since(begin), child::own_cpu().saturating_sub(cpu));
        let code = match ended {
            Ok(()) => 0,
            Err(error) => match error.downcast::<I32Exit>() {
                Ok(exit) => exit.0,
                Err(error) => return Err(anyhow::Error::from(error)).context("it trapped"),
            },
        };
        drop(store);
        if code != 0 {
            let said = [stdout.contents(), stderr.contents()].concat();
            let said = String::from_utf8_lossy(&said);
            bail!("it ended with exit code {code}: {}", said.lines().last().unwrap_or_default());
        }
        Ok(Run { wall_ms, cpu_ms: cpu.as_secs_f64() * 1e3, output: stdout.contents().to_vec() })
    }
}

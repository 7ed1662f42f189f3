//! Cases -> what came of each: cold compiles one after the other, all else beside them.

use crate::Mode;
use crate::artifacts::Artifacts;
use crate::differences::differences;
use crate::features::Features;
use crate::run::{Verdict, plain, run};
use crate::script::Script;
use crate::suite::Case;
use oracle::store::MemoryStore;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use wasm_compiler::Compiler;
use wasmtime::Engine;

/// What came of one file.
pub struct Outcome {
    /// The row of the table.
    pub proposal: String,
    /// The file.
    pub name: String,
    /// Why nothing of it could be run, if so.
    pub unfit: Option<String>,
    /// Its directives; empty if it is unfit.
    pub script: Script,
    /// Each unit's verdict on Wasmtime's artifacts.
    pub stock: Vec<Verdict>,
    /// The file's as stock Wasmtime runs it, from the text.
    pub plain: Verdict,
    /// Modules that both refuse.
    pub refused: u64,
    /// On ours, made when the cache had nothing of the file but what it shares with earlier ones.
    pub cold: Ours,
    /// On ours, made when the cache had everything.
    pub warm: Ours,
}

/// A run on our artifacts.
#[derive(Default)]
pub struct Ours {
    /// Modules that only one of the two compilers refuses, or each for a reason of its own.
    pub differences: Vec<String>,
    /// Each unit's verdict.
    pub verdicts: Vec<Verdict>,
    /// Keys that were looked up.
    pub lookups: u64,
    /// How many of them were found.
    pub hits: u64,
}

/// Files that wait with their artifacts for a thread.
const WAITING_MAX: usize = 8;

/// Runs all cases on one cache. The cold compiles are in the cases' order, so that their hits are
/// the same each time.
///
/// # Panics
///
/// If artifacts do not have the same bytes where the mode says so.
pub fn outcomes(mode: Mode, cases: Vec<Case>) -> Vec<Outcome> {
    let store = MemoryStore::default();
    let done = Mutex::new(Vec::new());
    let (send, receive) = sync_channel::<Job>(WAITING_MAX);
    let receive = Arc::new(Mutex::new(receive));
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let start = |_| {
            let (receive, store, done) = (receive.clone(), &store, &done);
            scope.spawn(move || work(mode, store, &receive, done))
        };
        let workers: Vec<_> = (0..threads).map(start).collect();
        // If all workers panic, nobody receives, and nobody must wait for them.
        drop(receive);
        let mut parts = HashMap::new();
        for (index, case) in cases.into_iter().enumerate() {
            let part = parts.entry(case.features);
            let part = part.or_insert_with(|| Part::new(mode, case.features).map(Arc::new)).clone();
            if send.send(Job::new(index, case, part, &store)).is_err() {
                break;
            }
        }
        drop(send);
        for worker in workers {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    store.assert_no_conflicts();
    let mut done = done.into_inner().expect("no thread panicked");
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

/// An engine, and the compiler whose artifacts it loads.
struct Part {
    engine: Engine,
    compiler: Compiler,
}

impl Part {
    fn new(mode: Mode, features: Features) -> Result<Self, String> {
        let engine = features.engine().map_err(|error| error.to_string())?;
        let compiler = (mode.compiler)(&engine).expect("artifacts show all settings");
        assert_eq!(compiler.settings().uncovered(), None, "{features:?}");
        Ok(Self { engine, compiler })
    }
}

/// A file, with what its cold compile gave.
struct Job {
    index: usize,
    case: Case,
    fit: Result<(Arc<Part>, Script, Artifacts), String>,
}

impl Job {
    fn new(index: usize, case: Case, part: Result<Arc<Part>, String>, store: &MemoryStore) -> Self {
        let fit = part.and_then(|part| {
            let script = Script::parse(&case.name, &case.text, case.only_valid)?;
            let cold = Artifacts::ours(&part.compiler, store, &script);
            Ok((part, script, cold))
        });
        Self { index, case, fit }
    }

    fn outcome(self, mode: Mode, store: &MemoryStore) -> Outcome {
        let Case { proposal, name, text, .. } = self.case;
        let (part, script, cold) = match self.fit {
            Ok(fit) => fit,
            Err(reason) => return unfit(proposal, name, reason),
        };
        let stock = Artifacts::stock(&part.engine, &script);
        let warm = Artifacts::ours(&part.compiler, store, &script);
        let ours = |artifacts: Artifacts| Ours {
            differences: differences(mode.same_bytes, &script, &stock, &artifacts),
            verdicts: run(&part.engine, &script, &artifacts),
            lookups: artifacts.lookups,
            hits: artifacts.hits,
        };
        let (cold, warm) = (ours(cold), ours(warm));
        let refused = stock.refused().len() as u64;
        let plain = plain(&part.engine, &script, &name, &text);
        let stock = run(&part.engine, &script, &stock);
        Outcome { proposal, name, unfit: None, script, stock, plain, refused, cold, warm }
    }
}

fn unfit(proposal: String, name: String, reason: String) -> Outcome {
    let script = Script::default();
    let (cold, warm) = (Ours::default(), Ours::default());
    let (stock, plain, refused) = (Vec::new(), Err(reason.clone()), 0);
    Outcome { proposal, name, unfit: Some(reason), script, stock, plain, refused, cold, warm }
}

fn work(
    mode: Mode,
    store: &MemoryStore,
    jobs: &Mutex<Receiver<Job>>,
    done: &Mutex<Vec<(usize, Outcome)>>,
) {
    loop {
        let job = jobs.lock().expect("nothing panics while it waits").recv();
        let Ok(job) = job else { return };
        let index = job.index;
        let outcome = job.outcome(mode, store);
        done.lock().expect("nothing panics while it adds").push((index, outcome));
    }
}

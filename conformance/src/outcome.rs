//! Cases -> what came of each: cold compiles one after the other, all else beside them.

use crate::artifacts::Artifacts;
use crate::differences::differences;
use crate::features::Features;
use crate::run::{Verdict, plain, run};
use crate::script::Script;
use crate::suite::Case;
use oracle::hosts::Host;
use oracle::store::MemoryStore;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use stencil::CacheStore;
use wasm_compiler::{Compiler, NoCache};

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
    /// On ours with relocatable stencils, if there are any; the lookups are those of a warm cache.
    pub relocatable: Option<Ours>,
    /// As that, on modules in which each constant is the difference of two addresses.
    pub addresses: Option<Ours>,
}

/// A run on our artifacts.
#[derive(Default)]
pub struct Ours {
    /// Modules that only one of the two compilers refuses, or each for a reason of its own.
    pub differences: Vec<String>,
    /// Modules whose artifact is not Wasmtime's.
    pub changed: u64,
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
/// If artifacts do not have the bytes that they ought to have.
pub fn outcomes(cases: Vec<Case>) -> Vec<Outcome> {
    let store = MemoryStore::default();
    let done = Mutex::new(Vec::new());
    let (send, receive) = sync_channel::<Job>(WAITING_MAX);
    let receive = Arc::new(Mutex::new(receive));
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let start = |_| {
            let (receive, store, done) = (receive.clone(), &store, &done);
            scope.spawn(move || work(store, &receive, done))
        };
        let workers: Vec<_> = (0..threads).map(start).collect();
        // If all workers panic, nobody receives, and nobody must wait for them.
        drop(receive);
        let alone = one_thread();
        let mut hosts = HashMap::new();
        for (index, case) in cases.into_iter().enumerate() {
            let host = hosts.entry(case.features);
            let host = host.or_insert_with(|| host_of(case.features).map(Arc::new)).clone();
            let job = alone.install(|| Job::new(index, case, host, &store));
            if send.send(job).is_err() {
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

/// An engine, and the compilers whose artifacts it loads.
fn host_of(features: Features) -> Result<Host, String> {
    let host = Host::for_engine(features.engine().map_err(|error| error.to_string())?);
    assert_eq!(host.compiler.settings().uncovered(), None, "{features:?}");
    Ok(host)
}

/// What compiles one function after the other: of several that are refused, each compiler names
/// the first. Modules are small, and others compile beside.
fn one_thread() -> ThreadPool {
    let pool = ThreadPoolBuilder::new().num_threads(1).build();
    pool.expect("the system has threads")
}

/// A file, with what its cold compile gave.
struct Job {
    index: usize,
    case: Case,
    fit: Result<(Arc<Host>, Script, Artifacts), String>,
}

impl Job {
    fn new(index: usize, case: Case, host: Result<Arc<Host>, String>, store: &MemoryStore) -> Self {
        let fit = host.and_then(|host| {
            let script = Script::parse(&case.name, &case.text, case.only_valid)?;
            let cold = Artifacts::ours(&host.compiler, store, &script);
            Ok((host, script, cold))
        });
        Self { index, case, fit }
    }

    fn outcome(self, store: &MemoryStore) -> Outcome {
        let Case { proposal, name, text, .. } = self.case;
        let (host, script, cold) = match self.fit {
            Ok(fit) => fit,
            Err(reason) => return unfit(proposal, name, reason),
        };
        let stock = Artifacts::stock(&host.engine, &script);
        let exact = |artifacts: Artifacts| {
            let differences = differences(true, &script, &stock, &artifacts);
            Ours::new(&host, &script, &stock, differences, &artifacts)
        };
        let warm = Artifacts::ours(&host.compiler, store, &script);
        let (cold, warm) = (exact(cold), exact(warm));
        let relocatable = |edited: &Script| {
            let compiler = host.relocatable.as_ref()?;
            Some(Ours::relocatable(&host, compiler, store, (&script, edited), &stock))
        };
        let addresses = relocatable(&stock.with_addresses(&script));
        let relocatable = relocatable(&script);
        let refused = stock.refused().len() as u64;
        let plain = plain(&host.engine, &script, &name, &text);
        let stock = run(&host.engine, &script, &stock);
        let unfit = None;
        Outcome {
            proposal,
            name,
            unfit,
            script,
            stock,
            plain,
            refused,
            cold,
            warm,
            relocatable,
            addresses,
        }
    }
}

impl Ours {
    fn new(
        host: &Host,
        script: &Script,
        stock: &Artifacts,
        differences: Vec<String>,
        artifacts: &Artifacts,
    ) -> Self {
        Self {
            differences,
            changed: artifacts.differ(stock),
            verdicts: run(&host.engine, script, artifacts),
            lookups: artifacts.lookups,
            hits: artifacts.hits,
        }
    }

    /// Warm, as the bytes are the same without a cache and cold: of a script's modules as they
    /// are or edited.
    fn relocatable(
        host: &Host,
        compiler: &Compiler,
        store: &MemoryStore,
        (script, edited): (&Script, &Script),
        stock: &Artifacts,
    ) -> Self {
        let on = |store: &dyn CacheStore| Artifacts::ours(compiler, store, edited);
        let (off, cold, warm) = (on(&NoCache), on(store), on(store));
        let mut all = differences(false, edited, stock, &warm);
        all.extend(differences(true, edited, &off, &cold));
        all.extend(differences(true, edited, &off, &warm));
        Self::new(host, script, stock, all, &warm)
    }
}

fn unfit(proposal: String, name: String, reason: String) -> Outcome {
    let script = Script::default();
    let (cold, warm) = (Ours::default(), Ours::default());
    let (relocatable, addresses) = (None, None);
    let (stock, plain, refused) = (Vec::new(), Err(reason.clone()), 0);
    let unfit = Some(reason);
    Outcome {
        proposal,
        name,
        unfit,
        script,
        stock,
        plain,
        refused,
        cold,
        warm,
        relocatable,
        addresses,
    }
}

fn work(store: &MemoryStore, jobs: &Mutex<Receiver<Job>>, done: &Mutex<Vec<(usize, Outcome)>>) {
    let alone = one_thread();
    loop {
        let job = jobs.lock().expect("nothing panics while it waits").recv();
        let Ok(job) = job else { return };
        let index = job.index;
        let outcome = alone.install(|| job.outcome(store));
        done.lock().expect("nothing panics while it adds").push((index, outcome));
    }
}

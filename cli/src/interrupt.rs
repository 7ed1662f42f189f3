//! Signals -> an orderly end: Ctrl-C leaves no unfinished file behind, and a
//! limit on file sizes is an error like any other.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::fs;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::exit::Exit;

/// The file that has to go if a signal ends the program now.
#[derive(Clone, Default)]
pub struct Interrupt {
    unfinished: Arc<Mutex<Option<PathBuf>>>,
}

impl Interrupt {
    /// Watches for SIGHUP, SIGINT and SIGTERM from now on, but for those that
    /// are ignored. `leave` runs before the
    /// program ends.
    ///
    /// Where signals cannot be watched they end the program as usual.
    pub fn watch(leave: impl FnOnce() + Send + 'static) -> Self {
        ignore_file_size_signal();
        let interrupt = Self::default();
        let ignored = ignored_signals();
        let is_ignored = |signal: i32| ignored >> (signal - 1) & 1 == 1;
        let watched = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| !is_ignored(*signal));
        let Ok(mut signals) = Signals::new(watched) else {
            return interrupt;
        };
        let watched = interrupt.clone();
        let wait = move || {
            if signals.forever().next().is_some() {
                // Held to the end, so that nothing is renamed into place or
                // made any more.
                let unfinished = watched.unfinished();
                if let Some(path) = unfinished.as_ref() {
                    fs::remove_file(path).ok();
                }
                leave();
                process::exit(Exit::Interrupted as i32);
            }
        };
        thread::Builder::new().name("signals".into()).spawn(wait).ok();
        interrupt
    }

    /// The name of the unfinished file. While this is held no signal ends the
    /// program.
    pub fn unfinished(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The signals that this process was told to ignore when it was started, as by
/// `nohup`: bit n is signal n + 1. None where the system does not tell.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Without a handler a write beyond `ulimit -f` ends the process; with one, the
/// write fails.
pub fn ignore_file_size_signal() {
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).ok();
}

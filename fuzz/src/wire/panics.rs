//! Panics of the server's threads and tasks -> panics of the check.
//!
//! tokio catches what panics in a task, and the server what panics in sled, so
//! that neither would be seen here. A hook notes them; only those of this
//! target's threads, because other tests of this process have panics of their own.

use std::cell::Cell;
use std::panic;
use std::sync::{Mutex, Once, PoisonError};
use std::thread;

/// The name of the server's threads.
pub const THREAD: &str = "wire-server";

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// One check at a time: what is seen meanwhile is its own.
static TURN: Mutex<()> = Mutex::new(());
static HOOK: Once = Once::new();

thread_local! {
    /// Whether this thread runs the server's tasks at the moment.
    static RUNS_SERVER: Cell<bool> = const { Cell::new(false) };
}

/// Runs `body`, which runs the server's tasks too.
///
/// # Panics
///
/// If anything of the server has panicked meanwhile.
pub fn watched<T>(body: impl FnOnce() -> T) -> T {
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if RUNS_SERVER.get() || thread::current().name() == Some(THREAD) {
                SEEN.lock().unwrap_or_else(PoisonError::into_inner).push(info.to_string());
            }
            before(info);
        }));
    });
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // A check that has failed in this process has left its own panic here.
    taken();
    RUNS_SERVER.set(true);
    let result = body();
    RUNS_SERVER.set(false);
    let seen = taken();
    assert!(seen.is_empty(), "the server has panicked: {seen:?}");
    result
}

fn taken() -> Vec<String> {
    std::mem::take(&mut *SEEN.lock().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_tokio_catches_fails_the_check() {
        let runtime = tokio::runtime::Builder::new_current_thread().thread_name(THREAD).build();
        let runtime = runtime.unwrap();
        let check = |panics: bool, blocking: bool| {
            panic::catch_unwind(panic::AssertUnwindSafe(|| {
                watched(|| {
                    let body = move || assert!(!panics, "of the server's");
                    runtime.block_on(async {
                        let ended = match blocking {
                            true => tokio::task::spawn_blocking(body).await,
                            false => tokio::spawn(async move { body() }).await,
                        };
                        assert_eq!(ended.is_err(), panics);
                    });
                });
            }))
        };
        for blocking in [false, true] {
            assert!(check(true, blocking).is_err());
            assert!(check(false, blocking).is_ok());
        }
    }
}

//! Cached code that was wrong -> what was found and what it should be, in files
//! that nothing serves from, for whoever wants to know why.
//!
//! ```text
//! CACHE-DIR/quarantine/KEY.found       the entry as it was in the cache
//! CACHE-DIR/quarantine/KEY.compiled    the entry as it should be
//! ```
//!
//! Invariant: the directory has at most [`FILES_MAX`] files; the first ones stay.

use crate::exit;
use std::fs;
use std::io;
use std::path::Path;
use wasm_compiler::Difference;

const DIRECTORY: &str = "quarantine";
const FILES_MAX: usize = 64;

/// A report names at most this many entries.
const NAMED_MAX: usize = 10;

/// Tells of entries that were wrong, and keeps them in the cache's directory if
/// there is a sound one.
pub fn keep(differences: &[Difference], cache: Option<&Path>) {
    for wrong in differences.iter().take(NAMED_MAX) {
        let Difference { key, symbol, tier, .. } = wrong;
        exit::say(
            "warning",
            &format_args!(
                "key {key} of {symbol} was found ({tier}) with other code than the compiler makes"
            ),
        );
    }
    let Some(cache) = cache.filter(|_| !differences.is_empty()) else { return };
    let directory = cache.join(DIRECTORY);
    match write(differences, &directory) {
        Ok(()) => {
            let what = "both codes of each such key are kept in";
            exit::say("warning", &format_args!("{what} {}", directory.display()));
        }
        Err(error) => {
            let (directory, why) = (directory.display(), wording::reason(&error));
            exit::say("warning", &format_args!("cannot keep wrong entries in {directory}: {why}"));
        }
    }
}

fn write(differences: &[Difference], directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let free = FILES_MAX.saturating_sub(fs::read_dir(directory)?.count());
    for Difference { key, found, compiled, .. } in differences.iter().take(free / 2) {
        fs::write(directory.join(format!("{key}.found")), found)?;
        fs::write(directory.join(format!("{key}.compiled")), compiled)?;
    }
    Ok(())
}

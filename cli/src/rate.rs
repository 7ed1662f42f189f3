//! What compiling costs: nanoseconds of one thread for a byte of machine code,
//! kept in the cache directory for each configuration, so that a compile that
//! hits can tell about what time it has saved.
//!
//! One line a configuration, the newest first: the fingerprint's first 16 digits,
//! and the rate. The file is a convenience: whatever it holds, the worst is a
//! wrong estimate.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::NamedTempFile;

const FILE: &str = "codegen-rate";
const LINES_MAX: usize = 64;
const FILE_BYTES_MAX: u64 = 16 << 10;
const DIGITS: usize = 16;

/// A compile of less code than this is no measurement.
const CODE_BYTES_MIN: u64 = 32 << 10;

/// Rates beyond these are not believed.
const NS_PER_BYTE: std::ops::Range<f64> = 1.0..1e6;

/// The record of one configuration.
pub struct Rate {
    file: PathBuf,
    fingerprint: String,
}

impl Rate {
    /// The record of a configuration, in a cache directory.
    pub fn of(cache: &Path, fingerprint: &str) -> Self {
        let fingerprint = fingerprint.chars().take(DIGITS).collect();
        Self { file: cache.join(FILE), fingerprint }
    }

    /// About how long `threads` would have taken for this much machine code;
    /// `None` if it was never measured.
    pub fn estimate(&self, code_bytes: u64, threads: usize) -> Option<Duration> {
        let lines = self.lines();
        let (_, ns_per_byte) = lines.iter().find(|(name, _)| *name == self.fingerprint)?;
        let ns = code_bytes as f64 * ns_per_byte / threads.max(1) as f64;
        Some(Duration::from_nanos(ns as u64))
    }

    /// Keeps what a compile took, if it was large enough to tell.
    pub fn record(&self, code_bytes: u64, took: Duration, threads: usize) {
        if code_bytes < CODE_BYTES_MIN {
            return;
        }
        let ns_per_byte = took.as_nanos() as f64 * threads.max(1) as f64 / code_bytes as f64;
        if !NS_PER_BYTE.contains(&ns_per_byte) {
            return;
        }
        let mut lines = self.lines();
        lines.retain(|(name, _)| *name != self.fingerprint);
        lines.insert(0, (self.fingerprint.clone(), ns_per_byte));
        lines.truncate(LINES_MAX);
        // Not being able to keep it is no loss worth a word.
        self.write(&lines).ok();
    }

    fn write(&self, lines: &[(String, f64)]) -> std::io::Result<()> {
        let text: String =
            lines.iter().map(|(name, ns_per_byte)| format!("{name} {ns_per_byte:.2}\n")).collect();
        let directory = self.file.parent().unwrap_or(Path::new("."));
        let mut temporary = NamedTempFile::new_in(directory)?;
        temporary.write_all(text.as_bytes())?;
        temporary.persist(&self.file)?;
        Ok(())
    }

    fn lines(&self) -> Vec<(String, f64)> {
        let small = |file: &fs::Metadata| file.is_file() && file.len() <= FILE_BYTES_MAX;
        if !fs::symlink_metadata(&self.file).is_ok_and(|file| small(&file)) {
            return Vec::new();
        }
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        let line = |line: &str| {
            let (name, ns_per_byte) = line.split_once(' ')?;
            let ns_per_byte = ns_per_byte.parse().ok()?;
            NS_PER_BYTE.contains(&ns_per_byte).then(|| (name.to_owned(), ns_per_byte))
        };
        text.lines().filter_map(line).take(LINES_MAX).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURED: u64 = 10 * CODE_BYTES_MIN;

    #[test]
    fn what_was_measured_is_estimated_again() {
        let dir = tempfile::tempdir().unwrap();
        let rate = Rate::of(dir.path(), "0123456789abcdef0123");
        assert_eq!(rate.estimate(MEASURED, 1), None);
        rate.record(MEASURED, Duration::from_millis(100), 2);
        let about = rate.estimate(MEASURED, 1).unwrap().as_millis();
        assert!((190..=210).contains(&about), "{about}");
        assert_eq!(Rate::of(dir.path(), "ffff").estimate(MEASURED, 1), None);
    }

    #[test]
    fn a_small_compile_is_no_measurement() {
        let dir = tempfile::tempdir().unwrap();
        let rate = Rate::of(dir.path(), "00");
        rate.record(CODE_BYTES_MIN - 1, Duration::from_secs(1), 1);
        assert_eq!(rate.estimate(MEASURED, 1), None);
    }

    #[test]
    fn a_damaged_record_is_no_record() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["00", "00 x\n", "00 nan\n", "00 -5\n", "00 1e300\n", "\u{0}"] {
            fs::write(dir.path().join(FILE), text).unwrap();
            assert_eq!(Rate::of(dir.path(), "00").estimate(MEASURED, 1), None, "{text:?}");
        }
    }
}

//! What a compile did -> one line that a person likes to read.

use crate::cache::RemoteOutcome;
use crate::count::count;
use crate::input::Input;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use wasm_compiler::{Report, Stencils};
use wording::ByteSize;

/// Everything that is told about a compile.
pub struct Outcome<'a> {
    pub input: &'a Input,
    pub output: &'a Path,
    pub report: &'a Report,
    /// Which kind of stencils the compiler was told to have.
    pub stencils: Stencils,
    /// Whether there was a cache to ask.
    pub cached: bool,
    /// What was done with the server, if there is one.
    pub remote: Option<&'a RemoteOutcome>,
    /// About how much longer it would have taken without the cache.
    pub saved: Option<Duration>,
    pub wall: Duration,
}

impl Outcome<'_> {
    /// Entries that some tier has with other bytes. The same one may be in
    /// several.
    pub fn conflicts(&self) -> u64 {
        let remote = self.remote.map_or(0, |remote| remote.report.published.conflicts);
        self.report.conflicts.max(remote)
    }
}

/// The line at the end of `stencil compile`.
pub fn closing_line(outcome: &Outcome<'_>) -> String {
    let Outcome { output, report, cached, remote, saved, wall, .. } = outcome;
    let functions = match report.functions {
        1 => "1 function".to_owned(),
        functions => format!("{} functions", count(functions)),
    };
    let mut line = format!(
        "{}: {functions}, {} in {}",
        output.display(),
        ByteSize(report.bytes.output),
        seconds(*wall)
    );
    if let Some(reason) = report.bypass_reason {
        let _ = write!(line, "; the cache does not cover {reason}, so all were compiled");
        return line;
    }
    if !cached {
        line.push_str("; no cache");
        checked(&mut line, report);
        return line;
    }
    let (hits, lookups) = (report.hits.total(), report.lookups);
    let _ = write!(line, "; {} hits", percent(hits, lookups));
    let _ = write!(line, " ({} of {}", count(hits), count(lookups));
    if report.hits.remote > 0 {
        let _ = write!(line, ", {} from the server", count(report.hits.remote));
    }
    line.push(')');
    if let Some(saved) = saved.filter(|saved| *saved >= Duration::from_millis(1)) {
        let _ = write!(line, ", about {} saved", seconds(saved));
    }
    if report.verified > 0 {
        let _ = write!(line, "; {} verified", count(report.verified));
    }
    checked(&mut line, report);
    for (reason, misses) in &report.miss_reasons {
        if *reason != stencil::MissReason::Absent {
            let _ = write!(line, "; {} missed: {reason}", count(*misses));
        }
    }
    for (reason, refused) in &report.published.refused {
        let _ = write!(line, "; {} not kept: {reason}", count(*refused));
    }
    if let Some(RemoteOutcome { report, .. }) = remote {
        if report.published.stored > 0 {
            let _ = write!(line, "; {} published", count(report.published.stored));
        }
        for (reason, refused) in &report.published.refused {
            let _ = write!(line, "; {} not published: {reason}", count(*refused));
        }
    }
    if outcome.conflicts() > 0 {
        let conflicts = count(outcome.conflicts());
        let _ = write!(
            line,
            "; {conflicts} conflicts: other code is cached under the same keys; please run \
             `stencil verify` and report it"
        );
    }
    line
}

/// How many functions' new code was checked, if any was to be.
fn checked(line: &mut String, report: &Report) {
    if report.checked > 0 {
        let _ = write!(line, "; {} checked", count(report.checked));
    }
}

/// Hits among lookups. Never rounded up to 100 %.
fn percent(hits: u64, lookups: u64) -> String {
    if hits == lookups {
        return "100 %".to_owned();
    }
    let tenths = hits * 1000 / lookups;
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        seconds if seconds < 100.0 => format!("{seconds:.2} s"),
        seconds => format!("{seconds:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn almost_all_is_not_all() {
        assert_eq!(percent(0, 0), "100 %");
        assert_eq!(percent(9_999, 10_000), "99.9 %");
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(0, 3), "0.0 %");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(seconds(Duration::from_millis(7)), "7 ms");
        assert_eq!(seconds(Duration::from_millis(1_234)), "1.23 s");
        assert_eq!(seconds(Duration::from_secs(123)), "123 s");
    }
}

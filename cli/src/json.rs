//! What a compile did -> the object that `--json` prints. `docs/json.md` tells
//! what its members mean.

use crate::cache::RemoteOutcome;
use crate::summary::Outcome;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use wasm_compiler::Report;

#[derive(Serialize)]
struct Object<'a> {
    input: &'a str,
    output: String,
    target: &'a str,
    stencils: &'static str,
    fingerprint: &'a str,
    functions: u64,
    lookups: u64,
    hits: Hits,
    misses: u64,
    codegen: u64,
    with_numbers: u64,
    uncached: u64,
    bypassed: u64,
    bypass_reason: Option<&'static str>,
    conflicts: u64,
    rejected: u64,
    verified: u64,
    checked: u64,
    verify_differences: u64,
    published: u64,
    miss_reasons: BTreeMap<&'static str, u64>,
    publish_refused: BTreeMap<&'static str, u64>,
    round_trips: u64,
    remote: Option<Remote<'a>>,
    bytes: Bytes,
    code_bytes: u64,
    hit_code_bytes: u64,
    stages_ms: BTreeMap<&'static str, f64>,
    saved_ms: Option<f64>,
    wall_ms: f64,
    peak_rss_bytes: u64,
}

#[derive(Serialize)]
struct Hits {
    memory: u64,
    disk: u64,
    remote: u64,
}

#[derive(Serialize)]
struct Remote<'a> {
    server: &'a str,
    published: u64,
    already_there: u64,
    conflicts: u64,
    refused: BTreeMap<&'static str, u64>,
    dropped: u64,
    failed_calls: u64,
    fetched_wire_bytes: u64,
    published_wire_bytes: u64,
    flush_ms: f64,
}

#[derive(Serialize)]
struct Bytes {
    wasm: u64,
    output: u64,
    fetched: u64,
    published: u64,
}

/// One line with one object.
pub fn object(outcome: &Outcome<'_>) -> String {
    let Outcome { input, output, report, stencils, saved, wall, .. } = outcome;
    let Report { hits, bytes, published, .. } = report;
    let object = Object {
        input: &input.name,
        output: output.display().to_string(),
        target: &report.target,
        stencils: stencils.name(),
        fingerprint: &report.fingerprint,
        functions: report.functions,
        lookups: report.lookups,
        hits: Hits { memory: hits.memory, disk: hits.disk, remote: hits.remote },
        misses: report.misses,
        codegen: report.codegen,
        with_numbers: report.with_numbers,
        uncached: report.uncached,
        bypassed: report.bypassed,
        bypass_reason: report.bypass_reason,
        conflicts: outcome.conflicts(),
        rejected: report.rejected,
        verified: report.verified,
        checked: report.checked,
        verify_differences: report.differences.len() as u64,
        published: published.stored,
        miss_reasons: reasons(&report.miss_reasons),
        publish_refused: reasons(&published.refused),
        round_trips: outcome.remote.map_or(report.round_trips, |r| r.report.round_trips),
        remote: outcome.remote.map(remote),
        bytes: Bytes {
            wasm: bytes.wasm,
            output: bytes.output,
            fetched: bytes.fetched,
            published: bytes.published,
        },
        code_bytes: report.code_bytes,
        hit_code_bytes: report.hit_code_bytes,
        stages_ms: stages_ms(outcome),
        saved_ms: saved.map(ms),
        wall_ms: ms(*wall),
        peak_rss_bytes: peak_rss_bytes(),
    };
    // A structure of numbers and strings always has a JSON form.
    let mut line = serde_json::to_string(&object).unwrap_or_default();
    line.push('\n');
    line
}

fn reasons(counts: &BTreeMap<stencil::MissReason, u64>) -> BTreeMap<&'static str, u64> {
    counts.iter().map(|(reason, count)| (reason.name(), *count)).collect()
}

fn remote(outcome: &RemoteOutcome) -> Remote<'_> {
    let RemoteOutcome { url, report, flushed } = outcome;
    Remote {
        server: url,
        published: report.published.stored,
        already_there: report.published.already_there,
        conflicts: report.published.conflicts,
        refused: reasons(&report.published.refused),
        dropped: report.dropped,
        failed_calls: report.failed_calls,
        fetched_wire_bytes: report.fetched_wire_bytes,
        published_wire_bytes: report.published_wire_bytes,
        flush_ms: ms(*flushed),
    }
}

/// Reading the file is a part of the first stage.
fn stages_ms(outcome: &Outcome<'_>) -> BTreeMap<&'static str, f64> {
    let mut stages = outcome.report.stages;
    stages.input += outcome.input.took;
    stages.named().map(|(stage, time)| (stage, ms(time))).into()
}

/// Milliseconds, to the microsecond.
fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

/// This process's largest resident set; 0 where the system does not tell.
fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map_or(0, |kib| kib * 1024)
}

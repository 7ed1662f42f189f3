//! A small module: its bytes, Wasmtime's artifact of it, its entries, and what a compile of it
//! showed.

use crate::sandbox::Ran;
use oracle::store::MemoryStore;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use stencil::{CacheStore, MissReason, NewEntry};
use wasm_compiler::{Compiler, Report, Settings};

/// Functions that call, with tables and globals; its entries come to about 3 KB.
const FILE: &str = "wat/visibility.wat";

pub struct Module {
    pub wasm: Vec<u8>,
    pub expected: Vec<u8>,
    pub compiler: Compiler,
    /// What a compile publishes, by key.
    pub entries: Vec<NewEntry>,
}

/// What a compile showed of itself.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Why it failed, or that its bytes are not Wasmtime's.
    pub wrong: Option<String>,
    pub hits: u64,
    pub misses: u64,
    /// Entries that a store says it has kept.
    pub stored: u64,
    /// Reasons of misses but `absent`, refusals, conflicts.
    pub counted: BTreeMap<String, u64>,
    pub warnings: Vec<String>,
}

impl Seen {
    /// Whether it says that something was wrong.
    pub fn is_loud(&self) -> bool {
        !self.counted.is_empty() || !self.warnings.is_empty()
    }

    pub fn count(&mut self, what: impl Into<String>, count: u64) {
        if count > 0 {
            *self.counted.entry(what.into()).or_default() += count;
        }
    }

    pub fn refused(&mut self, refused: &BTreeMap<MissReason, u64>) {
        for (reason, count) in refused {
            self.count(format!("not kept: {reason}"), *count);
        }
    }

    fn of(report: &Report) -> Self {
        let mut seen = Self {
            hits: report.hits.total(),
            misses: report.misses,
            stored: report.published.stored,
            ..Self::default()
        };
        for (reason, count) in report.miss_reasons.iter().filter(|(r, _)| **r != MissReason::Absent)
        {
            seen.count(reason.name(), *count);
        }
        seen.count("conflict", report.conflicts);
        seen.refused(&report.published.refused);
        seen
    }

    /// A run of the command with `--json`, and the file that it wrote.
    pub fn ran(ran: &Ran, output: &Path, expected: &[u8]) -> Self {
        let mut seen = Self::default();
        let warnings = ran.stderr.lines().filter(|line| line.starts_with("warning"));
        seen.warnings = warnings.map(str::to_owned).collect();
        let Ok(object) = serde_json::from_str::<Value>(&ran.stdout) else {
            seen.wrong = Some(format!("exit code {:?}: {}", ran.code, ran.stderr));
            return seen;
        };
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let hits = &object["hits"];
        seen.hits = ["memory", "disk", "remote"].iter().map(|tier| number(&hits[tier])).sum();
        (seen.misses, seen.stored) = (number(&object["misses"]), number(&object["published"]));
        for (group, prefix) in [("miss_reasons", ""), ("publish_refused", "not kept: ")] {
            let counts = object[group].as_object().into_iter().flatten();
            for (reason, count) in counts.filter(|(reason, _)| *reason != "absent") {
                seen.count(format!("{prefix}{reason}"), number(count));
            }
        }
        seen.count("conflict", number(&object["conflicts"]));
        let right = std::fs::read(output).is_ok_and(|found| found == expected);
        if ran.code != Some(0) || !right {
            seen.wrong = Some(format!("exit code {:?}, right {right}: {}", ran.code, ran.stderr));
        }
        seen
    }
}

impl Module {
    pub fn small() -> Self {
        Self::of(&oracle::testdata::file(FILE))
    }

    pub fn of(wasm: &[u8]) -> Self {
        let settings = Settings::from_options(&Default::default()).unwrap();
        let compiler = Compiler::new(settings).unwrap();
        let expected = oracle::same::stock(&wasmtime::Engine::default(), wasm).unwrap();
        let store = MemoryStore::default();
        let module = Self { wasm: wasm.to_owned(), expected, compiler, entries: Vec::new() };
        let cold = module.compile(&store);
        assert_eq!(cold.wrong, None);
        let entries = store.entries().clone();
        let mut entries: Vec<NewEntry> =
            entries.into_iter().map(|(key, bytes)| NewEntry { key, bytes }).collect();
        entries.sort_by_key(|entry| *entry.key.as_bytes());
        assert_eq!(entries.len() as u64, cold.misses);
        Self { entries, ..module }
    }

    /// Compiles it in this process.
    pub fn compile(&self, store: &dyn CacheStore) -> Seen {
        match self.compiler.compile(&self.wasm, store) {
            Err(error) => Seen { wrong: Some(error.to_string()), ..Seen::default() },
            Ok((artifact, report)) => {
                let mut seen = Seen::of(&report);
                if artifact != self.expected {
                    seen.wrong = Some("other bytes than Wasmtime's".to_owned());
                }
                seen
            }
        }
    }
}

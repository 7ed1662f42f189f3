//! Outcomes -> the table, a row a proposal, and lists of what Wasmtime does not pass.

use crate::outcome::{Ours, Outcome};
use crate::run::Verdict;
use crate::suite::SKIPPED;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Files, and how many of them pass: all that they claim does.
    pub files: Passed,
    /// Directives, those that are not claimed included.
    pub directives: Passed,
    /// Artifacts that were loaded in each run.
    pub loaded: u64,
    /// Modules that are refused.
    pub refused: u64,
    /// Keys that were looked up when cold, and found.
    pub cold: (u64, u64),
    /// And when warm.
    pub warm: (u64, u64),
    /// And when warm, with relocatable stencils.
    pub relocatable: (u64, u64),
    /// Modules whose artifact with relocatable stencils is not Wasmtime's.
    pub relocated: u64,
    /// And those that are not when all constants are made of addresses.
    pub addresses: u64,
}

/// How many there are, and how many pass in each run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// All.
    pub all: u64,
    /// On Wasmtime's artifacts.
    pub stock: u64,
    /// On ours, cold.
    pub cold: u64,
    /// On ours, warm.
    pub warm: u64,
    /// On ours with relocatable stencils.
    pub relocatable: u64,
    /// On ours with relocatable stencils and all constants made of addresses.
    pub addresses: u64,
}

impl Outcome {
    /// Whether all passes that the file claims.
    pub fn passes(&self, verdicts: &[Verdict]) -> bool {
        let mut claimed = self.script.units.iter().zip(verdicts);
        self.unfit.is_none() && claimed.all(|(unit, verdict)| !unit.claimed || verdict.is_ok())
    }

    /// Directives that pass.
    pub fn passed(&self, verdicts: &[Verdict]) -> u64 {
        let units = self.script.units.iter().zip(verdicts);
        units.filter(|(_, verdict)| verdict.is_ok()).map(|(unit, _)| unit.directives).sum()
    }

    fn add_to(&self, row: &mut Row) {
        let relocatable = [&self.relocatable, &self.addresses];
        let [first, second] = relocatable.map(|ours| ours.as_ref().map(|ours| &ours.verdicts));
        let (cold, warm) = (&self.cold.verdicts, &self.warm.verdicts);
        let runs = [Some(&self.stock), Some(cold), Some(warm), first, second];
        let passes = |run: Option<&Vec<Verdict>>| run.is_some_and(|run| self.passes(run));
        row.files.add(1, runs.map(|run| u64::from(passes(run))));
        let directives = self.script.units.iter().map(|unit| unit.directives).sum();
        row.directives.add(directives, runs.map(|run| run.map_or(0, |run| self.passed(run))));
        let loaded = self.script.units.iter().zip(&self.warm.verdicts);
        let loaded = loaded.filter(|(_, verdict)| verdict.is_ok()).map(|(unit, _)| unit.loads);
        row.loaded += loaded.sum::<u64>();
        row.refused += self.refused;
        let count = |(lookups, hits): &mut (u64, u64), ours: &Ours| {
            *lookups += ours.lookups;
            *hits += ours.hits;
        };
        count(&mut row.cold, &self.cold);
        count(&mut row.warm, &self.warm);
        if let Some(ours) = &self.relocatable {
            count(&mut row.relocatable, ours);
            row.relocated += ours.changed;
        }
        if let Some(ours) = &self.addresses {
            count(&mut row.relocatable, ours);
            row.addresses += ours.changed;
        }
    }
}

impl Passed {
    fn add(&mut self, all: u64, [stock, cold, warm, relocatable, addresses]: [u64; 5]) {
        self.all += all;
        self.stock += stock;
        self.cold += cold;
        self.warm += warm;
        self.relocatable += relocatable;
        self.addresses += addresses;
    }
}

/// The rows by proposal, in the order in which the proposals come.
pub fn rows(outcomes: &[Outcome]) -> Vec<(String, Row)> {
    let mut rows: Vec<(String, Row)> = Vec::new();
    let mut places = BTreeMap::new();
    for outcome in outcomes {
        let place = *places.entry(&outcome.proposal).or_insert_with(|| {
            rows.push((outcome.proposal.clone(), Row::default()));
            rows.len() - 1
        });
        outcome.add_to(&mut rows[place].1);
    }
    rows
}

/// The table, as Markdown.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut text =
        "| proposal | files | stock passes | ours cold | ours warm | relocatable | of addresses \
         | directives | stock passes | ours cold | ours warm | relocatable | of addresses \
         | loaded | refused | relocated | of addresses | lookups | hits cold | hits warm |\n|---|"
            .to_owned();
    text += &"--:|".repeat(19);
    text.push('\n');
    let mut rows = rows(outcomes);
    let mut all = Row::default();
    outcomes.iter().for_each(|outcome| outcome.add_to(&mut all));
    rows.push(("all".to_owned(), all));
    for (proposal, row) in rows {
        let Row { files, directives, .. } = row;
        let figures = [
            [files.all, files.stock, files.cold, files.warm, files.relocatable, files.addresses],
            [
                directives.all,
                directives.stock,
                directives.cold,
                directives.warm,
                directives.relocatable,
                directives.addresses,
            ],
        ];
        let rest = [
            row.loaded,
            row.refused,
            row.relocated,
            row.addresses,
            row.cold.0,
            row.cold.1,
            row.warm.1,
        ];
        let figures = figures.concat().into_iter().chain(rest);
        let figures: Vec<String> = figures.map(|figure| figure.to_string()).collect();
        let _ = writeln!(text, "| {proposal} | {} |", figures.join(" | "));
    }
    text
}

/// What nobody runs, by reason: Wasmtime has no such proposal, or the file is no script.
pub fn not_run(outcomes: &[Outcome]) -> String {
    let unfit = outcomes
        .iter()
        .filter_map(|outcome| Some((first_line(outcome.unfit.as_ref()?), outcome.name.as_str())));
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (reason, name) in unfit.chain(SKIPPED.iter().map(|(name, reason)| (*reason, *name))) {
        reasons.entry(reason).or_default().push(name);
    }
    let mut text = String::new();
    for (reason, names) in reasons {
        let _ = writeln!(text, "- {reason}: `{}`", names.join("`, `"));
    }
    text
}

/// What stock does not pass, a line a file: how many directives, and the first one's reason.
pub fn failures(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let units = outcome.script.units.iter().zip(&outcome.stock);
        let failed = units.filter(|(unit, _)| unit.claimed);
        let failed = failed.filter_map(|(unit, verdict)| Some((unit, verdict.as_ref().err()?)));
        let failed: Vec<_> = failed.collect();
        let directives: u64 = failed.iter().map(|(unit, _)| unit.directives).sum();
        if let Some((unit, reason)) = failed.first() {
            let (name, line, reason) = (&outcome.name, unit.line, first_line(reason));
            let _ = writeln!(text, "- `{name}`: {directives}, the first in line {line}: {reason}");
        }
    }
    text
}

fn first_line(reason: &str) -> &str {
    reason.lines().next().unwrap_or_default()
}

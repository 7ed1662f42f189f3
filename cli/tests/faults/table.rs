//! What was seen after each fault -> rows, and the table of them.

use crate::module::Seen;
use std::collections::BTreeMap;
use std::fmt;

/// One kind of fault in one tier.
pub struct Row {
    fault: String,
    tier: &'static str,
    tried: u64,
    survived: u64,
    /// Of those tried, how many are known to have happened.
    happened: u64,
    hits: u64,
    lookups: u64,
    counted: BTreeMap<String, u64>,
    failures: Vec<String>,
    note: Option<&'static str>,
}

/// A compile under a fault, and two after it.
pub struct Trial<'a> {
    /// Which one, for a person.
    pub what: &'a str,
    /// How many faults it was under: entries that were damaged, or one.
    pub faults: u64,
    /// That the faults did happen.
    pub happened: bool,
    /// How many misses it would have had without: all, if the cache was empty.
    pub misses_before: u64,
    /// `None` if it was killed, and could not say anything.
    pub under: Option<Seen>,
    /// The compile after it.
    pub next: Seen,
    /// And the one after that.
    pub last: Seen,
}

impl<'a> Trial<'a> {
    /// One fault that did happen, to a cache that had everything, and two compiles after it.
    pub fn new(what: &'a str, under: impl Into<Option<Seen>>, compile: impl Fn() -> Seen) -> Self {
        let (next, last) = (compile(), compile());
        let under = under.into();
        Self { what, faults: 1, happened: true, misses_before: 0, under, next, last }
    }

    /// Whether the cache was full. What was missed in an empty one is no loss.
    pub fn warm(mut self, warm: bool) -> Self {
        let missed = self.under.as_ref().map_or(0, |under| under.misses);
        self.misses_before = if warm { 0 } else { missed };
        self
    }
}

impl Row {
    pub fn new(fault: impl Into<String>, tier: &'static str) -> Self {
        Self {
            fault: fault.into(),
            tier,
            tried: 0,
            survived: 0,
            happened: 0,
            hits: 0,
            lookups: 0,
            counted: BTreeMap::new(),
            failures: Vec::new(),
            note: None,
        }
    }

    /// Says what the figures do not.
    pub fn noted(mut self, note: &'static str) -> Self {
        self.note = Some(note);
        self
    }

    /// Says why there is nothing in it, if so.
    pub fn if_none(self, note: &'static str) -> Self {
        if self.tried == 0 { self.noted(note) } else { self }
    }

    /// Judges a trial.
    pub fn add(&mut self, trial: Trial<'_>) {
        let Trial { what, faults, happened, misses_before, under, next, last } = trial;
        self.tried += faults;
        self.happened += if happened { faults } else { 0 };
        let mut wrong = Vec::new();
        let compiles = [("under it", under.as_ref()), ("next", Some(&next)), ("last", Some(&last))];
        for (which, seen) in compiles {
            if let Some(why) = seen.and_then(|seen| seen.wrong.as_ref()) {
                wrong.push(format!("{which}: {why}"));
            }
        }
        if last.misses > 0 || last.is_loud() {
            wrong.push(format!("lasting damage: {last:?}, next {next:?}, under it {under:?}"));
        }
        match &under {
            Some(seen) => {
                let lost = seen.misses > misses_before || next.misses > 0;
                if lost && !seen.is_loud() && !next.is_loud() {
                    wrong.push(format!("silent: {seen:?}, next {next:?}"));
                }
                self.count(seen, &next, lost, faults);
            }
            None => self.count(&next, &next, next.misses > 0, faults),
        }
        match wrong.is_empty() {
            true => self.survived += faults,
            false => {
                self.failures.push(format!("{} ({}), {what}: {wrong:?}", self.fault, self.tier))
            }
        }
    }

    fn count(&mut self, seen: &Seen, next: &Seen, lost: bool, faults: u64) {
        self.hits += seen.hits;
        self.lookups += seen.hits + seen.misses;
        // What the fault had spared is told of when it is met.
        let teller = if seen.is_loud() { seen } else { next };
        for (reason, count) in &teller.counted {
            self.also(reason, *count);
        }
        if teller.counted.is_empty() && !teller.warnings.is_empty() {
            self.also("a warning", 1);
        }
        if !lost && !teller.is_loud() {
            self.also("nothing lost", faults);
        }
    }

    /// Counts something else that has shown the fault.
    pub fn also(&mut self, reason: &str, count: u64) {
        *self.counted.entry(reason.to_owned()).or_default() += count;
    }

    /// Something that the row is about is not so.
    pub fn fail(&mut self, why: String) {
        self.failures.push(format!("{} ({}): {why}", self.fault, self.tier));
    }

    pub fn tried(&self) -> u64 {
        self.tried
    }
}

/// All rows, in the order of their groups.
#[derive(Default)]
pub struct Table(BTreeMap<usize, Vec<Row>>);

impl Table {
    pub fn add(&mut self, place: usize, rows: Vec<Row>) {
        self.0.insert(place, rows);
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.0.values().flatten()
    }

    #[track_caller]
    pub fn assert_survived(&self) {
        let failures: Vec<&String> = self.rows().flat_map(|row| &row.failures).collect();
        let shown: Vec<String> = failures.iter().take(20).map(|f| format!("\n{f}")).collect();
        assert!(failures.is_empty(), "{} failures{}", failures.len(), shown.concat());
        for row in self.rows() {
            let counts = (row.survived, row.happened);
            assert_eq!(counts, (row.tried, row.tried), "{} ({})", row.fault, row.tier);
            assert!(row.tried > 0 || row.note.is_some(), "{} ({})", row.fault, row.tier);
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n| fault | tier | tried | survived | hits | counted as |")?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for row in self.rows() {
            let counted = row.counted.iter().map(|(reason, count)| format!("{reason} {count}"));
            let counted: Vec<String> = counted.chain(row.note.map(str::to_owned)).collect();
            writeln!(
                f,
                "| {} | {} | {} | {} | {} of {} | {} |",
                row.fault,
                row.tier,
                row.tried,
                row.survived,
                row.hits,
                row.lookups,
                counted.join(", ")
            )?;
        }
        let sum = |which: fn(&Row) -> u64| self.rows().map(which).sum::<u64>();
        writeln!(f, "| all | | {} | {} | | |", sum(|row| row.tried), sum(|row| row.survived))
    }
}

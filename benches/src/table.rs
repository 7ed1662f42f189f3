//! Results -> text for a person.

use crate::figures::{Figures, REST, Spread, mebibytes, ms, percent};
use crate::results::{Input, Measured, Program, Results, Variant};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Stages of a warm compile, and what the floor has in their place.
const STAGES: [(&str, Option<(&str, &str)>); 8] = [
    ("input", Some(("read", "read the input"))),
    ("split", Some(("sha256", "hash the input"))),
    ("lookup", Some(("cache", "read the cache"))),
    ("codegen", None),
    ("finalize", None),
    ("link", None),
    ("write", Some(("write", "write as much"))),
    ("publish", None),
];

const REST_LABEL: &str = "process start, exit and rest";

/// All tables.
pub fn render(results: &Results) -> String {
    let mut text = String::new();
    let rounds = if results.rounds == 1 { "round" } else { "rounds" };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} {rounds}, all variants interleaved in each; medians of whole processes; every output \
         {}.",
        results.rounds,
        compared(results)
    );
    let _ = writeln!(text, "A: {}", input(&results.a));
    if let Some(b) = &results.b {
        let _ = writeln!(text, "B: {}", input(b));
    }
    let program = match &results.program {
        Program::Command(path) => path,
        Program::Minimal => "the minimal program",
    };
    let _ = writeln!(
        text,
        "function cache: {program}, {} stencils; files were in {}",
        results.stencils, results.directory
    );
    let _ = writeln!(text, "\n{}", columns(&variants(results)));
    let _ = writeln!(text, "{}", notes(results));
    if results.of(Variant::Warm).is_some() {
        let _ = writeln!(text, "\n{}", columns(&stages(results)));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// What the outputs were held against.
fn compared(results: &Results) -> &'static str {
    match results.stencils.as_str() {
        "exact" => "is equal to stock Wasmtime's",
        _ => {
            "of the function cache is equal to what it makes without a cache, and every other one \
             to stock Wasmtime's"
        }
    }
}

fn input(input: &Input) -> String {
    let Input { path, wasm_bytes, output_bytes, ours_output_bytes } = input;
    let ours = match ours_output_bytes == output_bytes {
        true => String::new(),
        false => format!(", the function cache's {ours_output_bytes}"),
    };
    format!("{path}, {wasm_bytes} bytes; artifact {output_bytes} bytes{ours}")
}

fn variants(results: &Results) -> Vec<Vec<String>> {
    let head = [
        "", "wall ms", "min..max", "of stock", "CPU", "hits", "by code", "misses", "peak RSS",
        "of stock",
    ];
    let mut rows = vec![head.map(str::to_owned).into()];
    rows.extend(results.variants.iter().map(variant));
    rows
}

fn variant(measured: &Measured) -> Vec<String> {
    let Figures { wall_ms, peak_rss_bytes, .. } = &measured.figures;
    let figures = &measured.figures;
    vec![
        measured.variant.label().to_owned(),
        ms(wall_ms.median),
        format!("{}..{}", ms(wall_ms.min), ms(wall_ms.max)),
        percent(figures.wall_to_stock),
        percent(figures.cpu_to_stock),
        percent(figures.hit_rate),
        percent(figures.hit_rate_code_bytes),
        figures.misses.map_or_else(|| "-".to_owned(), |misses| format!("{misses:.0}")),
        mebibytes(peak_rss_bytes.median),
        percent(figures.peak_rss_to_stock),
    ]
}

fn notes(results: &Results) -> String {
    let mut notes = vec![
        "Of stock: percent of what stock Wasmtime takes for the same input, as is CPU time. A hit \
         is also a function equal to another of the same input."
            .to_owned(),
        "* One process compiles all in turn: time of the compile alone, without start, reading \
         and writing; peak RSS so far."
            .to_owned(),
        format!(
            "Cache on disk after the cold run: {}. No process can show a peak RSS below {}.",
            mebibytes(results.cache_bytes_after_cold.median),
            mebibytes(results.smallest_peak_rss_bytes as f64)
        ),
    ];
    match results.edit {
        Some(edit) => notes.push(format!(
            "Edited: a constant in function body {} of A, at byte {}.",
            edit.body, edit.offset
        )),
        None => notes.push("Edited: nothing, since no function has a short constant.".to_owned()),
    }
    notes.join("\n")
}

fn stages(results: &Results) -> Vec<Vec<String>> {
    let figures = |variant| results.of(variant).map(|measured| &measured.figures);
    let (warm, floor) = (figures(Variant::Warm), figures(Variant::Floor));
    let stage = |figures: Option<&Figures>, name: &str| {
        let spread: Option<Spread> = figures.and_then(|f| f.stages_ms.get(name).copied());
        spread.map_or_else(|| "-".to_owned(), |spread| ms(spread.median))
    };
    let wall =
        |figures: Option<&Figures>| figures.map_or_else(String::new, |f| ms(f.wall_ms.median));

    let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
    let mut rows = vec![row(["warm, by stage", "ms", "the floor", "ms"])];
    for (name, beside) in STAGES {
        let (label, ms) =
            beside.map_or_else(Default::default, |(name, label)| (label, stage(floor, name)));
        rows.push(row([name, &stage(warm, name), label, &ms]));
    }
    // A stage that is new to this program is shown too.
    let known: BTreeSet<_> = STAGES.iter().map(|(name, _)| *name).chain([REST]).collect();
    let names = warm.into_iter().flat_map(|figures| figures.stages_ms.keys());
    for name in names.filter(|name| !known.contains(name.as_str())) {
        rows.push(row([name, &stage(warm, name), "", ""]));
    }
    rows.push(row([REST_LABEL, &stage(warm, REST), REST_LABEL, &stage(floor, REST)]));
    rows.push(row(["whole process", &wall(warm), "whole process", &wall(floor)]));
    rows
}

/// Rows -> lines: what starts with a letter in all rows but the head is text,
/// and stands left; numbers stand right.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let width = |column| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let text = |column| {
        cells(column).skip(1).all(|cell| cell.chars().next().is_none_or(char::is_alphabetic))
    };
    let layout: Vec<_> = (0..count).map(|column| (width(column), text(column))).collect();
    let mut lines = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, (width, text)) in row.iter().zip(&layout) {
            let _ = match text {
                true => write!(line, "{cell:<width$}  "),
                false => write!(line, "{cell:>width$}  "),
            };
        }
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::edit::Edit;
    use crate::results::{Report, Run};
    use crate::roles::floor::FloorReport;
    use crate::roles::ours::OursReport;
    use crate::roles::stock::StockReport;

    fn measured(variant: Variant, wall_ms: f64, report: Report, stock: &[Run]) -> Measured {
        let runs = vec![Run { wall_ms, cpu_ms: wall_ms, peak_rss_bytes: 3 << 20, report }];
        let figures = Figures::of(&runs, if stock.is_empty() { &runs } else { stock });
        Measured { variant, figures, runs }
    }

    fn results() -> Results {
        let stock = StockReport { compile_ms: 90.0, wasm_bytes: 10, output_bytes: 40 };
        let stock = measured(Variant::Stock, 100.0, Report::Stock(stock), &[]);
        let stages = [("split", 2.0), ("write", 1.0), ("polish", 4.0)];
        let warm = Report::Ours(OursReport {
            lookups: 8,
            hits: [("disk".to_owned(), 8)].into(),
            stages_ms: stages.map(|(stage, ms)| (stage.to_owned(), ms)).into(),
            ..OursReport::default()
        });
        let floor = Report::Floor(FloorReport {
            read_ms: 0.25,
            sha256_ms: 0.5,
            cache_ms: 0.75,
            write_ms: 1.0,
            sha256: String::new(),
        });
        let warm = measured(Variant::Warm, 12.0, warm, &stock.runs);
        let floor = measured(Variant::Floor, 4.0, floor, &stock.runs);
        Results {
            rounds: 1,
            directory: "/tmp/compare-1".to_owned(),
            program: Program::Minimal,
            stencils: "exact".to_owned(),
            a: Input {
                path: "/a.wasm".to_owned(),
                wasm_bytes: 10,
                output_bytes: 40,
                ours_output_bytes: 40,
            },
            b: None,
            edit: Some(Edit { body: 7, offset: 99 }),
            cache_bytes_after_cold: Spread { median: 1048576.0, min: 1.0, max: 1.0 },
            smallest_peak_rss_bytes: 2 << 20,
            variants: vec![stock, warm, floor],
        }
    }

    /// The cells of the line that starts so.
    #[track_caller]
    pub(crate) fn line(text: &str, start: &str) -> Vec<String> {
        let line = text.lines().find(|line| line.starts_with(start));
        let line = line.unwrap_or_else(|| panic!("no line starts with {start:?}:\n{text}"));
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.map(str::to_owned).collect()
    }

    #[test]
    fn the_head_says_how_many_rounds_and_where() {
        let text = render(&results());
        assert!(text.starts_with("1 round, "), "{text}");
        assert!(text.contains("/tmp/compare-1") && text.contains("the minimal program"), "{text}");
        assert!(text.contains("after the cold run: 1.0 MiB"), "{text}");
        assert!(text.contains("function body 7 of A, at byte 99"), "{text}");
        assert!(!text.contains("B: "), "{text}");
    }

    #[test]
    fn the_head_says_which_stencils_and_what_they_were_held_against() {
        let exact = results();
        let mut relocatable = results();
        relocatable.stencils = "relocatable".to_owned();
        relocatable.a.ours_output_bytes = 41;
        let (exact, relocatable) = (render(&exact), render(&relocatable));
        assert!(exact.contains("every output is equal to stock Wasmtime's."), "{exact}");
        assert!(exact.contains("the minimal program, exact stencils"), "{exact}");
        assert!(exact.contains("artifact 40 bytes\n"), "{exact}");
        assert!(relocatable.contains("equal to what it makes without a cache"), "{relocatable}");
        assert!(relocatable.contains("the minimal program, relocatable stencils"), "{relocatable}");
        assert!(relocatable.contains("40 bytes, the function cache's 41\n"), "{relocatable}");
    }

    #[test]
    fn a_variant_is_one_line_beside_stock() {
        let text = render(&results());
        let expected = ["12.0", "12.0..12.0", "12.0 %", "12.0 %", "100 %", "-", "0", "3.0 MiB"];
        assert_eq!(line(&text, "function cache, warm")[1..9], expected);
        assert_eq!(line(&text, "stock Wasmtime")[3], "100 %");
    }

    #[test]
    fn stages_stand_beside_the_floor_and_add_up() {
        let text = render(&results());
        assert_eq!(line(&text, "split"), ["split", "2.00", "hash the input", "0.50"]);
        assert_eq!(line(&text, "codegen"), ["codegen", "-"]);
        assert_eq!(line(&text, "polish"), ["polish", "4.00"]);
        assert_eq!(line(&text, REST_LABEL), [REST_LABEL, "5.00", REST_LABEL, "1.50"]);
        assert_eq!(line(&text, "whole"), ["whole process", "12.0", "whole process", "4.00"]);
    }

    #[test]
    fn numbers_stand_right_and_text_left() {
        let rows = [["", "n", ""], ["a", "100", "x"], ["bcd", "1", "yz"]];
        let rows: Vec<Vec<String>> = rows.map(|row| row.map(str::to_owned).to_vec()).to_vec();
        assert_eq!(columns(&rows), "       n\na    100  x\nbcd    1  yz\n");
    }
}

//! The runs of one variant -> medians, ratios and rates; and numbers -> text.
//!
//! A ratio is one of medians, so that it can be checked against the table.

use crate::results::{Report, Run};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// That part of a process's time which it does not say itself.
pub const REST: &str = "rest";

/// The middle and the ends of several measurements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// As many are below as above it.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// `None` if nothing was measured.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        // The two in the middle, which are the same one if the count is odd.
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), min, max })
    }
}

/// What the runs of one variant come to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// See [`Run::wall_ms`].
    pub wall_ms: Spread,
    /// See [`Run::cpu_ms`].
    pub cpu_ms: Spread,
    /// See [`Run::peak_rss_bytes`].
    pub peak_rss_bytes: Spread,
    /// Wall time, 1 for stock Wasmtime's.
    pub wall_to_stock: Option<f64>,
    /// CPU time, 1 for stock Wasmtime's.
    pub cpu_to_stock: Option<f64>,
    /// Peak resident set, 1 for stock Wasmtime's.
    pub peak_rss_to_stock: Option<f64>,
    /// Lookups that found nothing.
    pub misses: Option<f64>,
    /// Hits among lookups, 0 to 1.
    pub hit_rate: Option<f64>,
    /// The same, each weighted with the size of its machine code.
    pub hit_rate_code_bytes: Option<f64>,
    /// Where the time went, and under [`REST`] what no stage has: start, exit
    /// and whatever is not timed.
    pub stages_ms: BTreeMap<String, Spread>,
}

impl Figures {
    /// The figures of `runs`, where `stock` has the runs of stock Wasmtime.
    pub fn of(runs: &[Run], stock: &[Run]) -> Self {
        let median = |runs: &[Run], value: fn(&Run) -> f64| {
            Spread::of(runs.iter().map(value)).unwrap_or_default()
        };
        let (wall, cpu) = (|run: &Run| run.wall_ms, |run: &Run| run.cpu_ms);
        let rss = |run: &Run| run.peak_rss_bytes as f64;
        let to_stock =
            |value: fn(&Run) -> f64| ratio(median(runs, value).median, median(stock, value).median);
        let counts: Vec<_> = runs.iter().filter_map(|run| Counts::of(&run.report)).collect();
        let of_counts = |value: fn(&Counts) -> Option<f64>| {
            Spread::of(counts.iter().filter_map(value)).map(|spread| spread.median)
        };
        Self {
            wall_ms: median(runs, wall),
            cpu_ms: median(runs, cpu),
            peak_rss_bytes: median(runs, rss),
            wall_to_stock: to_stock(wall),
            cpu_to_stock: to_stock(cpu),
            peak_rss_to_stock: to_stock(rss),
            misses: of_counts(|counts| Some((counts.lookups - counts.hits) as f64)),
            hit_rate: of_counts(|counts| ratio(counts.hits as f64, counts.lookups as f64)),
            hit_rate_code_bytes: of_counts(|counts| {
                ratio(counts.hit_code_bytes? as f64, counts.code_bytes? as f64)
            }),
            stages_ms: stages(runs),
        }
    }
}

/// What was asked of a cache.
struct Counts {
    lookups: u64,
    hits: u64,
    code_bytes: Option<u64>,
    hit_code_bytes: Option<u64>,
}

impl Counts {
    fn of(report: &Report) -> Option<Self> {
        match report {
            Report::Stock(_) | Report::Floor(_) => None,
            Report::Incremental(report) => Some(Self {
                lookups: report.lookups,
                hits: report.hits,
                code_bytes: Some(report.code_bytes),
                hit_code_bytes: Some(report.hit_code_bytes),
            }),
            Report::Ours(report) => Some(Self {
                lookups: report.lookups,
                hits: report.hits.values().sum(),
                code_bytes: report.code_bytes,
                hit_code_bytes: report.hit_code_bytes,
            }),
        }
    }
}

/// The stages of one run, and the rest of its process.
fn stages_of(run: &Run) -> BTreeMap<String, f64> {
    let mut stages = match &run.report {
        Report::Stock(_) | Report::Incremental(_) => return BTreeMap::new(),
        Report::Ours(report) => report.stages_ms.clone(),
        Report::Floor(report) => BTreeMap::from([
            ("read".to_owned(), report.read_ms),
            ("sha256".to_owned(), report.sha256_ms),
            ("cache".to_owned(), report.cache_ms),
            ("write".to_owned(), report.write_ms),
        ]),
    };
    let rest = run.wall_ms - stages.values().sum::<f64>();
    stages.insert(REST.to_owned(), rest);
    stages
}

fn stages(runs: &[Run]) -> BTreeMap<String, Spread> {
    let mut values = BTreeMap::<_, Vec<f64>>::new();
    for (stage, ms) in runs.iter().flat_map(stages_of) {
        values.entry(stage).or_default().push(ms);
    }
    let spread = |(stage, values)| Some((stage, Spread::of(values)?));
    values.into_iter().filter_map(spread).collect()
}

/// How large a part is; `None` if there is no whole.
pub fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// Milliseconds, with as many digits as can mean something.
pub fn ms(value: f64) -> String {
    let digits = if value.abs() < 9.995 { 2 } else { 1 };
    format!("{value:.digits$}")
}

/// A ratio as a percentage; `-` for none. Only what is all of it is `100 %`:
/// one miss among many hits must not be rounded away.
pub fn percent(ratio: Option<f64>) -> String {
    match ratio {
        None => "-".to_owned(),
        Some(1.0) => "100 %".to_owned(),
        Some(ratio) => {
            let percent = ratio * 100.0;
            let digits = if (99.95..100.0).contains(&percent) { 3 } else { 1 };
            format!("{percent:.digits$} %")
        }
    }
}

/// A size in MiB.
pub fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::floor::FloorReport;
    use crate::roles::ours::OursReport;
    use crate::roles::stock::StockReport;

    fn run(wall_ms: f64, report: Report) -> Run {
        Run { wall_ms, cpu_ms: wall_ms * 2.0, peak_rss_bytes: 1 << 20, report }
    }

    fn stock() -> Report {
        Report::Stock(StockReport { compile_ms: 1.0, wasm_bytes: 1, output_bytes: 1 })
    }

    fn ours(disk: u64, hit_code_bytes: Option<u64>) -> Report {
        Report::Ours(OursReport {
            lookups: 4,
            hits: [("disk".to_owned(), disk), ("memory".to_owned(), 1)].into(),
            misses: 3 - disk,
            code_bytes: Some(100),
            hit_code_bytes,
            stages_ms: [("link".to_owned(), 1.0), ("split".to_owned(), 2.0)].into(),
            ..OursReport::default()
        })
    }

    #[test]
    fn the_median_is_the_middle_one_or_between_the_two_in_the_middle() {
        assert_eq!(Spread::of([]), None);
        let odd = Spread::of([3.0, 1.0, 9.0]).unwrap();
        assert_eq!(odd, Spread { median: 3.0, min: 1.0, max: 9.0 });
        assert_eq!(Spread::of([3.0, 1.0, 9.0, 4.0]).unwrap().median, 3.5);
    }

    #[test]
    fn ratios_are_those_of_the_medians() {
        let stock: Vec<_> = [10.0, 20.0, 90.0].map(|wall| run(wall, stock())).into();
        let ours: Vec<_> = [5.0, 4.0, 6.0].map(|wall| run(wall, ours(3, None))).into();
        let figures = Figures::of(&ours, &stock);
        assert_eq!(figures.wall_to_stock, Some(0.25));
        assert_eq!(figures.cpu_to_stock, Some(0.25));
        assert_eq!(figures.peak_rss_to_stock, Some(1.0));
        let same = Figures::of(&stock, &stock);
        assert_eq!((same.wall_to_stock, same.hit_rate, same.misses), (Some(1.0), None, None));
    }

    #[test]
    fn hits_of_all_tiers_count_and_code_bytes_if_they_are_known() {
        let stock = [run(1.0, stock())];
        let figures = Figures::of(&[run(1.0, ours(2, Some(40)))], &stock);
        assert_eq!((figures.hit_rate, figures.misses), (Some(0.75), Some(1.0)));
        assert_eq!(figures.hit_rate_code_bytes, Some(0.4));
        assert_eq!(Figures::of(&[run(1.0, ours(2, None))], &stock).hit_rate_code_bytes, None);
    }

    #[test]
    fn the_rest_of_a_process_is_its_wall_time_without_its_stages() {
        let rest = |runs: &[Run]| Figures::of(runs, &[]).stages_ms[REST];
        assert_eq!(rest(&[run(10.0, ours(3, None)), run(12.0, ours(3, None))]).median, 8.0);
        let floor = FloorReport {
            read_ms: 1.0,
            sha256_ms: 1.0,
            cache_ms: 1.0,
            write_ms: 1.0,
            sha256: String::new(),
        };
        assert_eq!(rest(&[run(5.0, Report::Floor(floor))]).median, 1.0);
    }

    #[test]
    fn a_single_miss_is_not_rounded_away() {
        assert_eq!(percent(None), "-");
        assert_eq!(percent(Some(1.0)), "100 %");
        assert_eq!(percent(Some(9999.0 / 10000.0)), "99.990 %");
        assert_eq!(percent(Some(0.123_45)), "12.3 %");
        assert_eq!(percent(Some(1.5)), "150.0 %");
    }

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        assert_eq!(
            [ms(0.123), ms(9.99), ms(9.996), ms(1234.56)],
            ["0.12", "9.99", "10.0", "1234.6"]
        );
        assert_eq!(mebibytes(1.5 * 1024.0 * 1024.0), "1.5 MiB");
    }
}

//! A program -> how large its code is and how long it runs, with exact and with relocatable
//! stencils.
//!
//! Invariants:
//! - each round loads and runs both, in turns the one or the other first: what slows the
//!   machine down for a while slows down both, and so does where in memory code comes to
//!   lie, which alone was seen to make a difference of 1 % between equal artifacts;
//! - a figure is shown only if every run wrote the same to its standard output.

pub mod program;

use crate::figures::{Spread, ms, percent, ratio};
use crate::table::columns;
use anyhow::{Context as _, Result, ensure};
use object::{Object as _, ObjectSymbol as _, SymbolKind};
use program::{Program, Run};
use std::fmt::Write as _;
use wasm_compiler::{Compiler, NoCache, Settings, Stencils};
use wasmtime::Engine;

/// Both kinds; the places of all pairs here.
pub const KINDS: [Stencils; 2] = [Stencils::Exact, Stencils::Relocatable];

/// What was measured of one program; pairs are in the order of [`KINDS`].
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// The sizes of the machine code, from its first byte to its last.
    pub code_bytes: [u64; 2],
    /// From the call of the program to its end, in milliseconds, by round.
    pub wall_ms: Vec<[f64; 2]>,
    /// The processor time of the same.
    pub cpu_ms: Vec<[f64; 2]>,
    /// How much each run wrote.
    pub output_bytes: usize,
}

/// Compiles a program with both kinds of stencils, without a cache, and runs both.
///
/// # Errors
///
/// If it does not compile, asks for more than WASI, traps, ends with another exit code than
/// 0, or does not write the same each time.
pub fn measure(
    engine: &Engine,
    name: &str,
    wasm: &[u8],
    arguments: &[String],
    rounds: u32,
) -> Result<Measured> {
    let [exact, relocatable] = KINDS.map(|kind| compile(engine, wasm, kind));
    let artifacts = [exact?, relocatable?];
    let mut measured = Measured {
        name: name.to_owned(),
        code_bytes: [code_bytes(&artifacts[0])?, code_bytes(&artifacts[1])?],
        wall_ms: Vec::new(),
        cpu_ms: Vec::new(),
        output_bytes: 0,
    };
    let mut expected = None;
    // One round more, of which nothing is kept: the system fetches what it needs.
    for round in 0..=rounds {
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        let load = |kind: usize| Ok((kind, Program::load(engine, &artifacts[kind])?));
        let programs: Vec<(usize, Program)> = order.into_iter().map(load).collect::<Result<_>>()?;
        let (mut wall_ms, mut cpu_ms) = ([0.0; 2], [0.0; 2]);
        for (kind, program) in &programs {
            let with = || format!("compiled with {} stencils", KINDS[*kind].name());
            let Run { wall_ms: wall, cpu_ms: cpu, output } =
                program.run(name, arguments).with_context(with)?;
            (wall_ms[*kind], cpu_ms[*kind]) = (wall, cpu);
            measured.output_bytes = output.len();
            let first = expected.get_or_insert_with(|| output.clone());
            ensure!(output == *first, "{} it does not write what it wrote first", with());
        }
        if round > 0 {
            measured.wall_ms.push(wall_ms);
            measured.cpu_ms.push(cpu_ms);
        }
    }
    Ok(measured)
}

fn compile(engine: &Engine, wasm: &[u8], kind: Stencils) -> Result<Vec<u8>> {
    let settings = Settings::from_engine(engine)?.with_stencils(kind);
    let (artifact, report) = Compiler::new(settings)?.compile(wasm, &NoCache)?;
    ensure!(report.bypassed == 0, "these settings have no stencils");
    Ok(artifact)
}

/// Where the last piece of code ends in the text section, which itself is filled up to a page.
fn code_bytes(artifact: &[u8]) -> Result<u64> {
    let file = object::File::parse(artifact)?;
    let code = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
    code.map(|symbol| symbol.address() + symbol.size()).max().context("it has no code")
}

/// The table, one program after the other.
pub fn render(measured: &[Measured]) -> String {
    let head = ["", "exact", "relocatable", "ratio", "smallest", "largest"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for of in measured {
        let [exact, relocatable] = of.code_bytes;
        let code = percent(ratio(relocatable as f64, exact as f64));
        let sizes = [exact.to_string(), relocatable.to_string(), code];
        rows.push(row(&format!("{}, code bytes", of.name), sizes, ["-", "-"].map(str::to_owned)));
        for (what, rounds) in [("wall ms", &of.wall_ms), ("CPU ms", &of.cpu_ms)] {
            let label = format!("{}, {what}", of.name);
            let (figures, ends) = times(rounds);
            rows.push(row(&label, figures, ends));
        }
    }
    let mut text = columns(&rows);
    for Measured { name, wall_ms, output_bytes, .. } in measured {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{name}: {} rounds, {output_bytes} bytes written, the same in each run",
            wall_ms.len()
        );
    }
    text
}

fn row(label: &str, figures: [String; 3], ends: [String; 2]) -> Vec<String> {
    [label.to_owned()].into_iter().chain(figures).chain(ends).collect()
}

/// Both medians and their ratio; the smallest and the largest ratio of a round.
fn times(rounds: &[[f64; 2]]) -> ([String; 3], [String; 2]) {
    let median =
        |kind: usize| Spread::of(rounds.iter().map(|round| round[kind])).unwrap_or_default().median;
    let (exact, relocatable) = (median(0), median(1));
    let ratios = rounds.iter().filter_map(|[exact, relocatable]| ratio(*relocatable, *exact));
    let ends = Spread::of(ratios);
    let figures = [ms(exact), ms(relocatable), percent(ratio(relocatable, exact))];
    (figures, [ends.map(|ends| ends.min), ends.map(|ends| ends.max)].map(percent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::line;

    #[test]
    fn ratios_are_of_the_medians_and_their_ends_of_single_rounds() {
        let measured = Measured {
            name: "a.wasm".to_owned(),
            code_bytes: [1000, 1030],
            wall_ms: vec![[10.0, 11.0], [20.0, 10.0], [30.0, 90.0]],
            cpu_ms: vec![[10.0, 10.0]],
            output_bytes: 7,
        };
        let text = render(&[measured]);
        let figures = |start: &str| line(&text, start)[1..].to_vec();
        assert_eq!(figures("a.wasm, code bytes"), ["1000", "1030", "103.0 %", "-", "-"]);
        assert_eq!(figures("a.wasm, wall"), ["20.0", "11.0", "55.0 %", "50.0 %", "300.0 %"]);
        assert_eq!(figures("a.wasm, CPU"), ["10.0", "10.0", "100 %", "100 %", "100 %"]);
        assert!(text.ends_with("a.wasm: 3 rounds, 7 bytes written, the same in each run\n"));
    }
}

//! Modules -> the model behind `Scan::compile_ns` and the figures behind the default `Policy`.
//!
//! `cargo run --release -p benches --bin scan -- --fit A.wasm --fit B.wasm --validate C.wasm`

use anyhow::Result;
use benches::clif::fit::{self, Fit};
use benches::clif::lookup_cost::{self, LookupCost};
use benches::clif::timed::{self, TimedFunction};
use benches::input::read;
use clap::Parser;
use std::path::{Path, PathBuf};
use stencil::clif::scan::Feature;

/// Fits what a compile costs, and measures what a lookup costs
#[derive(Debug, Parser)]
struct Arguments {
    /// A module to whose functions the model is fitted
    #[arg(long, required = true, value_name = "WASM")]
    fit: Vec<PathBuf>,
    /// A module on whose functions it is tried
    #[arg(long, value_name = "WASM")]
    validate: Vec<PathBuf>,
    /// Measurements of each function, of which the shortest counts
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Share of functions that a cache has of the next release (docs/measurements.md)
    #[arg(long, default_value_t = 0.6)]
    hit_rate: f64,
}

struct Module {
    path: PathBuf,
    timed: Vec<TimedFunction>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let measured = |paths: &[PathBuf]| -> Result<Vec<Module>> {
        paths.iter().map(|path| measure(path, arguments.rounds)).collect()
    };
    let (fitted, others) = (measured(&arguments.fit)?, measured(&arguments.validate)?);
    let model = fit::fit(&fitted.iter().flat_map(|module| &module.timed).collect::<Vec<_>>());
    print_model(&model);
    for (title, model) in [("as fitted now", &model), ("as in use", &Fit::in_use())] {
        println!("\nestimates {title}");
        for module in fitted.iter().chain(&others) {
            print_quality(model, module);
        }
    }
    println!();
    for module in fitted.iter().chain(&others) {
        print_shares(module);
    }
    for module in &fitted {
        let cost = lookup_cost::measure(read(&module.path)?, arguments.rounds)?;
        print_lookup(&module.path, &cost);
        print_break_even(module, &cost, arguments.hit_rate);
    }
    Ok(())
}

fn measure(path: &Path, rounds: u32) -> Result<Module> {
    let front_end = benches::clif::front_end_ir(&read(path)?)?;
    let isa = timed::host_isa()?;
    let (failed, timed) = timed::time_all(&*isa, &front_end.functions, rounds);
    println!(
        "{}: {} functions, {} unreadable, {failed} not compiled",
        path.display(),
        front_end.functions.len(),
        front_end.unreadable.len()
    );
    Ok(Module { path: path.to_owned(), timed })
}

fn print_model(model: &Fit) {
    println!("\n{:>10.0} ns  a function", model.base_ns);
    for (feature, cost) in Feature::ALL.iter().zip(model.costs_ns) {
        println!("{cost:>10.0} ns  {}", feature.name());
    }
}

fn print_quality(model: &Fit, module: &Module) {
    let quality = model.quality(&module.timed.iter().collect::<Vec<_>>());
    println!(
        "R2 {:.3}, half off by less than {:.1} %, 9 of 10 by less than {:.1} %, in sum {:.1} %, \
         {} functions: {}",
        quality.r_squared,
        quality.median_error * 100.0,
        quality.ninth_decile_error * 100.0,
        quality.total * 100.0,
        quality.functions,
        module.path.display()
    );
}

/// The scan's and the key's share, and the smallest functions.
fn print_shares(module: &Module) {
    let sum = |of: fn(&TimedFunction) -> f64| module.timed.iter().map(of).sum::<f64>();
    let compile = sum(|of| of.compile_ns);
    let instructions = sum(|of| f64::from(of.scan.instructions()));
    let mut times: Vec<f64> = module.timed.iter().map(|of| of.compile_ns).collect();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(0.0);
    println!(
        "compile {:.0} ms, scan {:.2} %, not in cache {:.2} %, key {:.2} % ({:.0} ns an instruction); compile of a \
         function: least {:.1}, 1 % {:.1}, 10 % {:.1}, half {:.1}, 90 % {:.1} us: {}",
        compile / 1e6,
        sum(|of| of.scan_ns) / compile * 100.0,
        sum(|of| of.first_scan_ns) / compile * 100.0,
        sum(|of| of.key_ns) / compile * 100.0,
        sum(|of| of.key_ns) / instructions,
        at(0.0) / 1e3,
        at(0.01) / 1e3,
        at(0.1) / 1e3,
        at(0.5) / 1e3,
        at(0.9) / 1e3,
        module.path.display()
    );
}

fn print_lookup(path: &Path, cost: &LookupCost) {
    println!(
        "\nns an entry, of {} with {} bytes: {}",
        cost.entries,
        cost.entry_bytes,
        path.display()
    );
    for (name, ns) in [
        ("lookup, memory, one batch", cost.memory_batch),
        ("lookup, memory, one by one", cost.memory_single),
        ("lookup, disk, one batch", cost.disk_batch),
        ("lookup, disk, one by one", cost.disk_single),
        ("lookup, disk, absent, one by one", cost.disk_absent),
        ("open and finalize", cost.open),
        ("seal", cost.seal),
        ("publish, disk, one batch", cost.disk_publish),
        ("publish, disk, one by one", cost.disk_publish_single),
    ] {
        println!("{ns:>10.0}  {name}");
    }
}

/// The thresholds, and what is above them of this module.
fn print_break_even(module: &Module, cost: &LookupCost, hit_rate: f64) {
    let sum = |of: &dyn Fn(&TimedFunction) -> f64| module.timed.iter().map(of).sum::<f64>();
    let compile = sum(&|of| of.compile_ns);
    let key_share = sum(&|of| of.key_ns) / compile;
    for (name, pays) in [
        ("one batch", cost.of_batch(hit_rate, key_share)),
        ("one by one", cost.of_single(hit_rate, key_share)),
    ] {
        for (what, from) in [("lookup", pays.lookup_ns), ("publish", pays.publish_ns)] {
            let above = |of: &TimedFunction| f64::from(u8::from(of.compile_ns >= from));
            println!(
                "disk, {name}: {what} pays from {:.1} us on: {:.0} % of the functions, {:.0} % of \
                 the time",
                from / 1e3,
                sum(&above) / module.timed.len() as f64 * 100.0,
                sum(&|of| above(of) * of.compile_ns) / compile * 100.0
            );
        }
    }
}

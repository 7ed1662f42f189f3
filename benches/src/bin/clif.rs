//! Modules -> what the cache of Cranelift's functions does to them: the same code, the same
//! keys, and how long each stage takes.
//!
//! `cargo run --release -p benches --bin clif -- A.wasm B.wasm --rounds 7`

use anyhow::Result;
use benches::clif::sameness::Sameness;
use benches::clif::stability::{Equal, Stability, between_runs};
use benches::clif::stage_times::{Stage, StageTimes};
use benches::clif::{FrontEndIr, front_end_ir, timed};
use benches::input::read;
use clap::Parser;
use cranelift_codegen::isa::TargetIsa;
use std::path::{Path, PathBuf};
use stencil::clif::CompiledFunction;

/// Takes every function of modules through the stages of the cache
#[derive(Debug, Parser)]
struct Arguments {
    /// Modules
    #[arg(required = true, value_name = "WASM")]
    modules: Vec<PathBuf>,
    /// Measurements of each function, of which the median counts; 0 measures no times
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let isa = timed::host_isa()?;
    for path in &arguments.modules {
        report(&*isa, path, arguments.rounds)?;
    }
    Ok(())
}

fn report(isa: &dyn TargetIsa, path: &Path, rounds: u32) -> Result<()> {
    let wasm = read(path)?;
    let front_end = front_end_ir(&wasm)?;
    println!("{}: {} unreadable", path.display(), front_end.unreadable.len());
    let sameness = Sameness::of(isa, &front_end.functions);
    print_sameness(&sameness);
    let stability = Stability::of(isa, &front_end.functions)?;
    let FrontEndIr { functions: again, .. } = front_end_ir(&wasm)?;
    let translated = between_runs(isa, &front_end.functions, &again)?;
    drop(again);
    print_stability(&stability, &translated);
    if rounds > 0 {
        let times = StageTimes::of(isa, &front_end.functions, rounds)?;
        print_times(&times, rounds);
        print_entries(&sameness, &times);
    }
    println!();
    Ok(())
}

fn print_sameness(of: &Sameness) {
    println!(
        "{} functions, {} instructions: each as the canonical function compiles, and splitting \
         that changes nothing",
        of.functions, of.instructions
    );
    println!(
        "code: {} bytes, {} from stencils; {} functions ({:.2} %) with identical bytes",
        of.original_bytes,
        of.stencil_bytes,
        of.identical,
        of.identical_share() * 100.0
    );
    let off = (of.size_ratio() - 1.0) * 100.0;
    limit("size against the original", &format!("{off:+.3} %"), "0.5 %", off.abs() <= 0.5);
    println!(
        "entries: {} bytes, half below {}, {:.2} times the code\n",
        of.entry_bytes_total(),
        of.entry_bytes_median(),
        of.entry_bytes_total() as f64 / of.stencil_bytes as f64
    );
}

fn print_stability(of: &Stability, translated: &Equal) {
    println!("{:>10} {:>12}  equal keys", "ours", "Cranelift's");
    for (name, equal) in [
        ("another thread", &of.other_thread),
        ("a reused splitter", &of.reused_splitter),
        ("a reused context, declared in another order", &of.rebuilt),
        ("the front end run again", translated),
    ] {
        let share = |count: usize| count as f64 / equal.functions as f64 * 100.0;
        let verdict = verdict(equal.ours == equal.functions);
        println!(
            "{:>8.2} % {:>10.2} %  {name}: {verdict}",
            share(equal.ours),
            share(equal.cranelift)
        );
    }
    println!();
}

fn print_times(times: &StageTimes, rounds: u32) {
    println!("{:>10} {:>12}  medians of {rounds} rounds", "compile", "us/function");
    for stage in Stage::ALL {
        println!(
            "{:>8.2} % {:>12.2}  {}",
            times.ratio(stage, Stage::CompileOriginal) * 100.0,
            times.total_ns(stage) / times.functions as f64 / 1e3,
            stage.name()
        );
    }
    let slower = (times.ratio(Stage::CompileCanonical, Stage::CompileOriginal) - 1.0) * 100.0;
    limit("compile against the original", &format!("{slower:+.2} %"), "2 %", slower <= 2.0);
    for (stage, name) in [
        (Stage::KeyBetweenCompiles, "split + key of compile, between compiles"),
        (Stage::Key, "split + key of compile"),
    ] {
        let share = times.ratio(stage, Stage::CompileOriginal) * 100.0;
        limit(name, &format!("{share:.2} %"), "3 %", share <= 3.0);
    }
    for (theirs, ours, least, name) in [
        (
            Stage::CraneliftKeyBetweenCompiles,
            Stage::KeyBetweenCompiles,
            2.0,
            "split + key faster than compute_cache_key, between compiles",
        ),
        (Stage::CraneliftKey, Stage::Key, 2.0, "split + key faster than compute_cache_key"),
        (Stage::Finish, Stage::Open, 5.0, "open + finalize faster than try_finish_recompile"),
    ] {
        let faster = times.ratio(theirs, ours);
        limit(name, &format!("{faster:.2} x"), &format!("{least} x"), faster >= least);
    }
}

fn print_entries(sameness: &Sameness, times: &StageTimes) {
    println!(
        "memory: {:.0} bytes an entry, {} more a function while it is compiled; Cranelift keeps \
         {:.0} bytes, {:.2} times as many",
        times.entry_bytes as f64 / times.functions as f64,
        size_of::<CompiledFunction>(),
        times.blob_bytes as f64 / times.functions as f64,
        times.blob_bytes as f64 / sameness.entry_bytes_total() as f64
    );
}

fn limit(name: &str, got: &str, limit: &str, held: bool) {
    println!("{}: {name}: {got}, limit {limit}", verdict(held));
}

fn verdict(held: bool) -> &'static str {
    if held { "PASS" } else { "missed" }
}

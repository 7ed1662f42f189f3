//! The `compare` program as a whole: what it runs, finds and prints.
//! Invariant: nothing here depends on how fast the machine is.

use benches::results::{Program, Report, Results, Variant};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/wasm").join(name)
}

fn compare(work: &Path, arguments: &[&str], inputs: &[PathBuf]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    command.env("TMPDIR", work).args(arguments).args(inputs).output().unwrap()
}

#[track_caller]
fn refused(arguments: &[&str], inputs: &[PathBuf], code: i32, sentence: &str) {
    let work = tempfile::tempdir().unwrap();
    let output = compare(work.path(), arguments, inputs);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty());
    assert!(stderr.starts_with("compare: ") && stderr.contains(sentence), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert_eq!(fs::read_dir(work.path()).unwrap().count(), 0, "files are left behind");
}

#[test]
fn two_releases_are_compared_in_every_variant() {
    let work = tempfile::tempdir().unwrap();
    let inputs = [testdata("ledger.wasm"), testdata("ledger-next.wasm")];
    let output = compare(work.path(), &["--minimal", "--repeat", "1", "--json"], &inputs);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    assert_eq!(fs::read_dir(work.path()).unwrap().count(), 0, "files are left behind");

    let results: Results = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((results.rounds, &results.program), (1, &Program::Minimal));
    assert!(Path::new(&results.directory).starts_with(work.path()), "{}", results.directory);
    let size = |input: &PathBuf| fs::metadata(input).unwrap().len();
    assert_eq!(results.a.wasm_bytes, size(&inputs[0]));
    assert_eq!(results.b.as_ref().unwrap().wasm_bytes, size(&inputs[1]));
    assert!(results.a.output_bytes > results.a.wasm_bytes);
    assert!(results.cache_bytes_after_cold.median > 0.0 && results.edit.is_some());

    let variants: Vec<_> = results.variants.iter().map(|measured| measured.variant).collect();
    let without_server = &Variant::ALL[..Variant::ALL.len() - 4];
    assert_eq!(variants, without_server);
    for measured in &results.variants {
        let [run] = measured.runs.as_slice() else {
            panic!("{:?} has {} runs", measured.variant, measured.runs.len());
        };
        assert!(run.wall_ms > 0.0 && run.peak_rss_bytes > 0, "{:?}", measured.variant);
    }

    let figures = |variant| &results.of(variant).unwrap().figures;
    let hit_rates = |variant| (figures(variant).hit_rate, figures(variant).hit_rate_code_bytes);
    assert_eq!(hit_rates(Variant::Stock), (None, None));
    assert_eq!(hit_rates(Variant::NoCache).0.map(|rate| rate < 0.5), Some(true));
    assert_eq!(hit_rates(Variant::Warm), (Some(1.0), Some(1.0)));
    // Wasmtime's own keys are not quite the same in every compile.
    assert!(hit_rates(Variant::IncrementalWarm).0 > Some(0.8));
    assert_eq!(figures(Variant::Warm).misses, Some(0.0));
    assert_eq!(figures(Variant::Edited).misses, Some(1.0));
    for after_a in [Variant::Edited, Variant::BAfterA] {
        let (by_count, by_code) = hit_rates(after_a);
        assert!((0.5..1.0).contains(&by_count.unwrap()), "{after_a:?}: {by_count:?}");
        assert!((0.0..1.0).contains(&by_code.unwrap()), "{after_a:?}: {by_code:?}");
    }

    let Report::Ours(warm) = &results.of(Variant::Warm).unwrap().runs[0].report else {
        panic!("the warm run reports something else");
    };
    assert!(warm.hits["disk"] > 0 && warm.hits["remote"] == 0 && warm.functions > 0);
    for stage in ["input", "split", "lookup", "codegen", "finalize", "link", "write", "publish"] {
        assert!(warm.stages_ms.contains_key(stage), "{stage}");
    }
}

#[test]
fn relocatable_stencils_are_compared_with_themselves_in_every_variant() {
    let work = tempfile::tempdir().unwrap();
    let inputs = [testdata("ledger.wasm"), testdata("ledger-next.wasm")];
    let arguments = ["--minimal", "--repeat", "1", "--json", "--stencils", "relocatable"];
    let output = compare(work.path(), &arguments, &inputs);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    let results: Results = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(results.stencils, "relocatable");
    assert!(results.a.ours_output_bytes >= results.a.output_bytes);
    assert_eq!(results.variants.len(), Variant::ALL.len() - 4);
    let warm = &results.of(Variant::Warm).unwrap().figures;
    assert_eq!((warm.hit_rate, warm.misses), (Some(1.0), Some(0.0)));
    assert!(results.of(Variant::BAfterA).unwrap().figures.hit_rate > Some(0.5));
}

#[test]
fn what_cannot_be_compared_is_refused_in_one_sentence() {
    refused(&[], &[], 2, "name the module to compile");
    refused(&["--repeat", "0"], &[testdata("ledger.wasm")], 2, "0 is not in 1..=1000");
    let both = ["--stencils", "both"];
    refused(&both, &[testdata("ledger.wasm")], 2, "stencils are exact or relocatable");
    refused(&["--minimal"], &["/no/such.wasm".into()], 1, "cannot read /no/such.wasm");
    refused(&["--minimal"], &[testdata("")], 1, "cannot read ");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    refused(&["--minimal"], &[source], 1, "is not a WebAssembly module or component");
    let program = ["--stencil", "/no/such"];
    refused(&program, &[testdata("ledger.wasm")], 1, "there is no command /no/such");
}

#[test]
fn a_command_that_reports_something_else_is_an_error() {
    refused(&["--stencil", "/bin/echo"], &[testdata("ledger.wasm")], 1, "did not print the report");
}

#[test]
fn an_output_that_is_not_stocks_is_an_error_with_offset_and_files() {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/garbage.sh");
    let sentence = "differs from stock Wasmtime's";
    refused(&["--stencil", program], &[testdata("ledger.wasm")], 1, sentence);
    refused(&["--stencil", program], &[testdata("ledger.wasm")], 1, "at byte 1");
}

#[test]
fn relocatable_code_that_depends_on_the_cache_is_an_error() {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/unsteady.sh");
    let arguments = ["--stencil", program, "--stencils", "relocatable"];
    let ledger = [testdata("ledger.wasm")];
    refused(&arguments, &ledger, 1, "differs from what is made without a cache");
}

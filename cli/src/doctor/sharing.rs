//! A compiler's settings -> what keeps this machine from sharing entries with
//! another one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use stencil::entry::FORMAT_VERSION;
use wasm_compiler::fingerprint::{SPLIT_VERSION, VERSIONS};
use wasm_compiler::{Compiler, Options, Settings};

/// Names and values.
pub(super) type Deciding = BTreeMap<String, String>;

/// What decides whether two machines share entries, by name.
pub(super) fn deciding(compiler: &Compiler) -> Deciding {
    let settings = compiler.settings();
    let mut all = flags(settings);
    all.insert("fingerprint".to_owned(), compiler.fingerprint().to_string());
    all.insert("wasmtime".to_owned(), settings.version());
    all.insert("target".to_owned(), settings.target().to_owned());
    all.insert("stencils".to_owned(), settings.stencils().name().to_owned());
    all.insert("entry format".to_owned(), FORMAT_VERSION.to_string());
    all.insert("split version".to_owned(), SPLIT_VERSION.to_string());
    for (name, version) in VERSIONS {
        all.insert(format!("crate {name}"), (*version).to_owned());
    }
    all
}

fn flags(settings: &Settings) -> Deciding {
    settings.flags().map(|(name, value)| (format!("flag {name}"), value.into_owned())).collect()
}

/// One line each, which [`parse`] reads.
pub(super) fn lines(all: &Deciding) -> String {
    all.iter().map(|(name, value)| format!("{name} = {value}\n")).collect()
}

pub(super) fn parse(text: &str) -> Deciding {
    let pair = |line: &str| {
        let (name, value) = line.split_once(" = ")?;
        Some((name.to_owned(), value.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

/// What keeps this machine from sharing.
pub(super) fn sharing(compiler: &Compiler, other: Option<&(String, Deciding)>) -> String {
    let mut text = format!(
        "\nsharing\n  fingerprint {}: machines with the same one share entries\n",
        compiler.fingerprint()
    );
    if let Some(reason) = compiler.settings().uncovered() {
        let _ = writeln!(text, "  nothing is cached: the key does not cover {reason}");
    }
    let ours = deciding(compiler);
    let Some((name, theirs)) = other else {
        own_cpu(compiler, &mut text);
        return text;
    };
    if theirs.get("fingerprint") == ours.get("fingerprint") {
        let _ = writeln!(text, "  {name} has the same one");
        return text;
    }
    let _ = writeln!(text, "  {name} has another one. What differs, here and there:");
    let names: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let mut differences = 0;
    for key in names.into_iter().filter(|key| *key != "fingerprint") {
        let (here, there) = (ours.get(key), theirs.get(key));
        if here != there {
            let show = |value: Option<&String>| value.map_or("absent", |v| v.as_str()).to_owned();
            let _ = writeln!(text, "    {key}: {} - {}", show(here), show(there));
            differences += 1;
        }
    }
    if differences == 0 {
        text.push_str(
            "    no version and no flag of Cranelift: Wasmtime's tunables or WebAssembly features\n",
        );
    }
    text
}

/// The settings that come from this machine's CPU.
fn own_cpu(compiler: &Compiler, text: &mut String) {
    let settings = compiler.settings();
    let target = settings.target().to_owned();
    let baseline =
        Settings::from_options(&Options { target: Some(target.clone()), ..Options::default() });
    let Ok(baseline) = baseline.map(|baseline| flags(&baseline)) else {
        return;
    };
    let differs = |(name, value): (String, String)| {
        let flag = name.strip_prefix("flag ")?.to_owned();
        (baseline.get(&name) != Some(&value)).then(|| format!("{flag}={value}"))
    };
    let own: Vec<String> = flags(settings).into_iter().filter_map(differs).collect();
    if own.is_empty() {
        let _ = writeln!(text, "  it is that of every {target} machine");
        return;
    }
    let _ = writeln!(
        text,
        "  only machines whose CPU has the same features have it: {};\n  compile with --target \
         {target} to share with all others. To see what differs from another machine, run\n  \
         `stencil doctor --settings-only` there and `stencil doctor --compare FILE` here",
        own.join(" ")
    );
}

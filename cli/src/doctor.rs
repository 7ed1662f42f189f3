//! `stencil doctor`: every setting and where it came from, whether the cache
//! and the server are well, and what keeps this machine from sharing entries
//! with another one.

use crate::args::DoctorArgs;
use crate::cache::Cache;
use crate::config::{Chosen, Config, RemoteChoice, RemoteSources, TokenFrom};
use crate::exit::{self, Exit, Failure};
use crate::size::{ByteSize, count};
use crate::{server_stats, settings};
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::fs;
use stencil::entry::FORMAT_VERSION;
use wasm_compiler::fingerprint::{SPLIT_VERSION, VERSIONS};
use wasm_compiler::{Compiler, Options, Settings};

pub fn run(args: &DoctorArgs) -> Result<Exit, Failure> {
    let config = Config::load()?;
    let compiler = settings::compiler(&config.settings(&args.settings)?)?;
    if args.settings_only {
        exit::print(&lines(&deciding(&compiler)))?;
        return Ok(Exit::Success);
    }
    let other = match &args.compare {
        None => None,
        Some(path) => {
            let text = fs::read_to_string(path);
            let text = text.map_err(|error| Failure::unreadable(path, &error))?;
            let name = path.display().to_string();
            Some((name, parse(&text)))
        }
    };
    exit::print(&chosen(&config, args)?)?;
    let cache = check_cache(&config, args)?;
    let remote = config.remote(&args.remote)?;
    let server = match &remote {
        Some(remote) => check_server(remote)?,
        None => {
            exit::print("\nserver\n  none is named\n")?;
            Exit::Success
        }
    };
    exit::print(&sharing(&compiler, other.as_ref()))?;
    Ok(if server == Exit::Success { cache } else { server })
}

/// Every setting, its value, and where it came from.
fn chosen(config: &Config, args: &DoctorArgs) -> Result<String, Failure> {
    let mut text = String::from("settings\n");
    let mut row = |name: &str, value: &dyn Display, source: &dyn Display| {
        let _ = writeln!(text, "  {name:<18}{value:<36} {source}");
    };
    let mut rows: Vec<(String, String, String)> = Vec::new();
    fn add<T>(
        rows: &mut Vec<(String, String, String)>,
        name: &str,
        chosen: Option<&Chosen<T>>,
        show: impl Fn(&T) -> String,
        default: &str,
    ) {
        let (value, source) = match chosen {
            Some(Chosen { value, source }) => (show(value), source.to_string()),
            None => (default.to_owned(), "default".to_owned()),
        };
        rows.push((name.to_owned(), value, source));
    }
    let path = |path: &std::path::PathBuf| path.display().to_string();
    let cache = config.cache_sources(&args.cache)?;
    add(&mut rows, "cache-dir", cache.dir.as_ref(), path, "none");
    add(&mut rows, "cache-size", Some(&cache.size_max), ByteSize::to_string, "");
    let no_cache = config.no_cache(false, &args.cache)?;
    add(&mut rows, "no-cache", Some(&no_cache), bool::to_string, "");
    let RemoteSources { server, project, token, ca, cert, key, budget_ms, required } =
        config.remote_sources(&args.remote)?;
    add(&mut rows, "server", server.as_ref(), String::clone, "none");
    add(&mut rows, "project", Some(&project), String::clone, "");
    let token_shown = |token: &TokenFrom| match token {
        TokenFrom::Environment => "set".to_owned(),
        TokenFrom::File(path) => format!("in {}", path.display()),
    };
    add(&mut rows, "token", token.as_ref(), token_shown, "none");
    add(&mut rows, "ca", ca.as_ref(), path, "the system's");
    add(&mut rows, "cert", cert.as_ref(), path, "none");
    add(&mut rows, "key", key.as_ref(), path, "none");
    let budget = "20 % of the expected time";
    add(&mut rows, "remote-budget-ms", budget_ms.as_ref(), u64::to_string, budget);
    add(&mut rows, "require-remote", Some(&required), bool::to_string, "");
    let jobs = config.jobs(&args.jobs)?;
    add(&mut rows, "jobs", jobs.as_ref(), usize::to_string, "one for each CPU");
    if let Some(artifact) = &args.settings.settings_from {
        rows.push(("settings-from".to_owned(), path(artifact), "command line".to_owned()));
    } else {
        let code = config.setting_sources(&args.settings)?;
        add(&mut rows, "target", code.target.as_ref(), String::clone, "this machine and its CPU");
        let level = |level: &crate::args::Level| format!("{level:?}").to_lowercase();
        add(&mut rows, "opt-level", code.opt_level.as_ref(), level, "speed");
        for (name, value) in &code.cranelift {
            add(&mut rows, &format!("[cranelift] {name}"), Some(value), String::clone, "");
        }
    }
    for (name, value, source) in &rows {
        row(name, value, source);
    }
    if config.path().is_none() {
        text.push_str("  (there is no config.toml)\n");
    }
    Ok(text)
}

fn check_cache(config: &Config, args: &DoctorArgs) -> Result<Exit, Failure> {
    let choice = config.cache(&args.cache)?;
    exit::print("\ncache\n")?;
    if choice.dir.is_none() {
        exit::print("  there is no place for one\n")?;
        return Ok(Exit::Files);
    }
    let disk = Cache::require(&choice)?;
    let stats = disk.stats();
    let problems = disk.problems();
    match stats.failure {
        Some(reason) => exit::print(&format!("  not well: {reason}\n"))?,
        None => exit::print(&format!(
            "  well: {} entries, {} of {}\n",
            count(stats.entries),
            ByteSize(stats.file_bytes),
            ByteSize(stats.size_max)
        ))?,
    }
    for problem in &problems {
        exit::print(&format!("  {problem}\n"))?;
    }
    Ok(if stats.failure.is_some() { Exit::Files } else { Exit::Success })
}

fn check_server(remote: &RemoteChoice) -> Result<Exit, Failure> {
    exit::print("\nserver\n")?;
    let greeting = match server_stats::ask(remote) {
        Ok(greeting) => greeting,
        Err(sentence) => {
            exit::print(&format!("  not well: {sentence}\n"))?;
            return Ok(Exit::Remote);
        }
    };
    let stats = &greeting.stats;
    exit::print(&format!(
        "  well: version {}, {:.1} ms a round trip, {} entries; with role {}\n",
        stats.version,
        greeting.round_trip.as_secs_f64() * 1e3,
        count(stats.entries),
        stats.role
    ))?;
    if stats.entry_format != u32::from(FORMAT_VERSION) {
        exit::print(&format!(
            "  but it keeps entries of format {}, and this program makes format {FORMAT_VERSION}: \
             bring both to the same version\n",
            stats.entry_format
        ))?;
        return Ok(Exit::Remote);
    }
    if stats.version != env!("CARGO_PKG_VERSION") {
        let ours = env!("CARGO_PKG_VERSION");
        exit::print(&format!("  this program is version {ours}; both keep the same entries\n"))?;
    }
    if stats.role == "read" {
        exit::print("  this machine's compiles will not be published, only looked up\n")?;
    }
    Ok(Exit::Success)
}

/// What decides whether two machines share entries, by name.
fn deciding(compiler: &Compiler) -> BTreeMap<String, String> {
    let settings = compiler.settings();
    let mut all = flags(settings);
    all.insert("fingerprint".to_owned(), compiler.fingerprint().to_string());
    all.insert("wasmtime".to_owned(), settings.version());
    all.insert("target".to_owned(), settings.target().to_owned());
    all.insert("entry format".to_owned(), FORMAT_VERSION.to_string());
    all.insert("split version".to_owned(), SPLIT_VERSION.to_string());
    for (name, version) in VERSIONS {
        all.insert(format!("crate {name}"), (*version).to_owned());
    }
    all
}

fn flags(settings: &Settings) -> BTreeMap<String, String> {
    settings.flags().map(|(name, value)| (format!("flag {name}"), value.into_owned())).collect()
}

fn lines(all: &BTreeMap<String, String>) -> String {
    all.iter().map(|(name, value)| format!("{name} = {value}\n")).collect()
}

fn parse(text: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let (name, value) = line.split_once(" = ")?;
        Some((name.to_owned(), value.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

/// What keeps this machine from sharing.
fn sharing(compiler: &Compiler, other: Option<&(String, BTreeMap<String, String>)>) -> String {
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
    let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
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

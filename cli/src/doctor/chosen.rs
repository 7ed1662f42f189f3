//! Every setting -> its value and where it came from, one line each.

use crate::args::{DoctorArgs, Level, Sampled};
use crate::config::{Chosen, Config, RemoteSources, SampleSources, Source, TokenFrom};
use crate::exit::Failure;
use std::fmt::Write as _;
use std::path::PathBuf;
use wasm_compiler::Stencils;
use wording::ByteSize;

/// Lines of a name, a value and a source.
#[derive(Default)]
struct Rows(String);

impl Rows {
    fn add(&mut self, name: &str, value: &str, source: &Source) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "  {name:<18}{value:<36} {source}");
    }

    fn chosen<T>(
        &mut self,
        name: &str,
        chosen: Option<&Chosen<T>>,
        show: impl Fn(&T) -> String,
        default: &str,
    ) {
        match chosen {
            Some(Chosen { value, source }) => self.add(name, &show(value), source),
            None => self.add(name, default, &Source::Default),
        }
    }
}

pub(super) fn table(config: &Config, args: &DoctorArgs) -> Result<String, Failure> {
    let mut rows = Rows::default();
    cache(config, args, &mut rows)?;
    server(config, args, &mut rows)?;
    let SampleSources { sample, strict } = config.sample_sources(&args.sample)?;
    rows.chosen("verify-sample", sample.as_ref(), Sampled::to_string, "off");
    rows.chosen("verify-strict", Some(&strict), bool::to_string, "");
    let jobs = config.jobs(&args.jobs)?;
    rows.chosen("jobs", jobs.as_ref(), usize::to_string, "one for each CPU");
    code(config, args, &mut rows)?;
    if config.path().is_none() {
        rows.0.push_str("  (there is no config.toml)\n");
    }
    Ok(rows.0)
}

fn cache(config: &Config, args: &DoctorArgs, rows: &mut Rows) -> Result<(), Failure> {
    let cache = config.cache_sources(&args.cache)?;
    rows.chosen("cache-dir", cache.dir.as_ref(), path, "none");
    rows.chosen("cache-size", Some(&cache.size_max), ByteSize::to_string, "");
    let no_cache = config.no_cache(false, &args.cache, &args.remote)?;
    rows.chosen("no-cache", Some(&no_cache), bool::to_string, "");
    Ok(())
}

fn server(config: &Config, args: &DoctorArgs, rows: &mut Rows) -> Result<(), Failure> {
    let RemoteSources { server, project, token, ca, cert, key, budget_ms, required } =
        config.remote_sources(&args.remote)?;
    rows.chosen("server", server.as_ref(), String::clone, "none");
    rows.chosen("project", Some(&project), String::clone, "");
    let shown = |token: &TokenFrom| match token {
        TokenFrom::Environment => "set".to_owned(),
        TokenFrom::File(file) => format!("in {}", file.display()),
    };
    rows.chosen("token", token.as_ref(), shown, "none");
    rows.chosen("ca", ca.as_ref(), path, "the system's");
    rows.chosen("cert", cert.as_ref(), path, "none");
    rows.chosen("key", key.as_ref(), path, "none");
    let budget = "20 % of the expected time";
    rows.chosen("remote-budget-ms", budget_ms.as_ref(), u64::to_string, budget);
    rows.chosen("require-remote", Some(&required), bool::to_string, "");
    Ok(())
}

/// What decides about the code.
fn code(config: &Config, args: &DoctorArgs, rows: &mut Rows) -> Result<(), Failure> {
    if let Some(artifact) = &args.settings.settings_from {
        rows.add("settings-from", &path(artifact), &Source::Flag);
        stencils(rows, &config.stencils(&args.settings)?);
        return Ok(());
    }
    let code = config.setting_sources(&args.settings)?;
    rows.chosen("target", code.target.as_ref(), String::clone, "this machine and its CPU");
    let level = |level: &Level| level.name().to_owned();
    rows.chosen("opt-level", code.opt_level.as_ref(), level, "speed");
    stencils(rows, &code.stencils);
    for (name, value) in &code.cranelift {
        rows.chosen(&format!("[cranelift] {name}"), Some(value), String::clone, "");
    }
    Ok(())
}

fn stencils(rows: &mut Rows, chosen: &Chosen<Stencils>) {
    rows.chosen("stencils", Some(chosen), |kind| kind.name().to_owned(), "");
}

#[expect(clippy::ptr_arg, reason = "it shows a `Chosen<PathBuf>`")]
fn path(path: &PathBuf) -> String {
    path.display().to_string()
}

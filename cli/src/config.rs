//! Flags, environment and `config.toml` -> one value each, in this order.
//!
//! Invariant: a key that is not known is refused, in the file as on the command
//! line; an empty environment variable counts as not set.

use crate::args::{CacheArgs, JOBS_MAX, JobsArgs, Level, SettingArgs};
use crate::exit::Failure;
use crate::size::ByteSize;
use clap::ValueEnum as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use wasm_compiler::{OptLevel, Options};

/// What `config.toml` may hold.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    cache_dir: Option<PathBuf>,
    #[serde(default, deserialize_with = "size")]
    cache_size: Option<ByteSize>,
    no_cache: Option<bool>,
    jobs: Option<std::num::NonZeroU16>,
    target: Option<String>,
    opt_level: Option<FileLevel>,
    #[serde(default)]
    cranelift: BTreeMap<String, Value>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FileLevel {
    None,
    Speed,
    SpeedAndSize,
}

/// The value of a Cranelift setting.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a string, true, false or a whole number")]
enum Value {
    Text(String),
    Bool(bool),
    Number(i64),
}

/// Everything that was not said on the command line.
#[derive(Debug, Default)]
pub struct Config {
    file: File,
}

/// Where the cache is, and how large it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheChoice {
    /// `None` if neither a flag nor the environment names a place.
    pub dir: Option<PathBuf>,
    pub size_max: u64,
}

/// Where the settings come from.
#[derive(Debug)]
pub enum SettingsChoice {
    Options(Options),
    Artifact(PathBuf),
}

impl Config {
    /// Reads `config.toml`, if there is one.
    pub fn load() -> Result<Self, Failure> {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let config = absolute("XDG_CONFIG_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".config")));
        let Some(path) = config.map(|config| config.join("stencil/config.toml")) else {
            return Ok(Self::default());
        };
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&path, &text),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Ok(Self::default())
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                let why = "it is not UTF-8; write it again";
                Err(Failure::usage(format!("cannot read {}: {why}", path.display())))
            }
            Err(error) => Err(Failure::unreadable(&path, &error)),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Failure> {
        let wrong = |line: usize, what: &str| {
            Failure::usage(format!("{}, line {line}: {what}; correct this line", path.display()))
        };
        let file: File = toml::from_str(text).map_err(|error: toml::de::Error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count();
            wrong(line, error.message().trim())
        })?;
        let wrong_value = |key: &str, what: &str| {
            let at = text.lines().position(|line| line.trim_start().starts_with(key));
            Err(wrong(1 + at.unwrap_or(0), what))
        };
        if let Some(dir) = file.cache_dir.as_ref().filter(|dir| dir.is_relative()) {
            let what = format!("cache-dir {} is not an absolute path", dir.display());
            return wrong_value("cache-dir", &what);
        }
        if file.jobs.is_some_and(|jobs| jobs.get() > JOBS_MAX) {
            return wrong_value("jobs", &format!("jobs is more than {JOBS_MAX}"));
        }
        Ok(Self { file })
    }

    /// The cache's place and size.
    pub fn cache(&self, args: &CacheArgs) -> Result<CacheChoice, Failure> {
        let variable = variable_os("STENCIL_CACHE_DIR").map(PathBuf::from);
        if let Some(relative) = variable.as_ref().filter(|dir| dir.is_relative()) {
            let why = "it has to be an absolute path, to be the same everywhere";
            let dir = relative.display();
            return Err(Failure::usage(format!(
                "the environment has STENCIL_CACHE_DIR={dir}, but {why}"
            )));
        }
        let dir = args.cache_dir.clone().or(variable);
        let dir = dir.or_else(|| self.file.cache_dir.clone());
        let dir = dir.or_else(cache_client::default_directory);
        let size = self.cache_size(args)?;
        Ok(CacheChoice { dir, size_max: size.map_or(cache_client::CACHE_BYTES_DEFAULT, |s| s.0) })
    }

    /// The cache's size, if anything says so.
    fn cache_size(&self, args: &CacheArgs) -> Result<Option<ByteSize>, Failure> {
        match args.cache_size {
            Some(size) => Ok(Some(size)),
            None => {
                Ok(variable("STENCIL_CACHE_SIZE", ByteSize::from_str)?.or(self.file.cache_size))
            }
        }
    }

    /// Whether the cache is not to be used.
    pub fn no_cache(&self, flag: bool, args: &CacheArgs) -> Result<bool, Failure> {
        if flag || args.cache_dir.is_some() {
            return Ok(flag);
        }
        let variable = variable("STENCIL_NO_CACHE", |text| match text {
            "1" | "true" => Ok(true),
            "0" | "false" => Ok(false),
            _ => Err("it is 1 or 0"),
        })?;
        Ok(variable.or(self.file.no_cache).unwrap_or(false))
    }

    /// The number of threads; `None` is one for each CPU.
    pub fn jobs(&self, args: &JobsArgs) -> Result<Option<usize>, Failure> {
        let jobs = match args.jobs {
            Some(jobs) => Some(jobs),
            None => {
                let positive = |text: &str| match text.parse::<u16>() {
                    Ok(jobs @ 1..=JOBS_MAX) => Ok(jobs),
                    _ => Err("it is a number of threads, 1 to 1024"),
                };
                let variable = variable("STENCIL_JOBS", positive)?;
                variable.or(self.file.jobs.map(std::num::NonZeroU16::get))
            }
        };
        Ok(jobs.map(usize::from))
    }

    /// The settings. An artifact brings all of them, so that with one nothing
    /// else counts.
    pub fn settings(&self, args: &SettingArgs) -> Result<SettingsChoice, Failure> {
        if let Some(artifact) = &args.settings_from {
            return Ok(SettingsChoice::Artifact(artifact.clone()));
        }
        let asked = match &args.target {
            Some(target) => Some(target.clone()),
            None => variable("STENCIL_TARGET", |text| Ok::<_, NeverWrong>(text.to_owned()))?,
        };
        let level = match args.opt_level {
            Some(level) => Some(level),
            None => variable("STENCIL_OPT_LEVEL", |text| Level::from_str(text, false))?,
        };
        // The file's Cranelift settings are for the file's target, and its level
        // is not to win over one that was asked for.
        let mut cranelift = BTreeMap::new();
        for (name, value) in self.file.cranelift.iter().filter(|_| asked.is_none()) {
            let value = match value {
                Value::Text(text) => text.clone(),
                Value::Bool(value) => value.to_string(),
                Value::Number(value) => value.to_string(),
            };
            if level.is_none() || name != "opt_level" {
                cranelift.insert(name.clone(), value);
            }
        }
        let target = asked.or_else(|| self.file.target.clone());
        let level = level.or(self.file.opt_level.map(Level::from));
        cranelift.extend(args.cranelift.iter().cloned());
        let options = Options {
            target,
            opt_level: level.map(OptLevel::from),
            cranelift: cranelift.into_iter().collect(),
        };
        Ok(SettingsChoice::Options(options))
    }
}

impl From<FileLevel> for Level {
    fn from(level: FileLevel) -> Self {
        match level {
            FileLevel::None => Self::None,
            FileLevel::Speed => Self::Speed,
            FileLevel::SpeedAndSize => Self::SpeedAndSize,
        }
    }
}

impl From<Level> for OptLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::None => Self::None,
            Level::Speed => Self::Speed,
            Level::SpeedAndSize => Self::SpeedAndSize,
        }
    }
}

type NeverWrong = std::convert::Infallible;

fn size<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<ByteSize>, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

fn variable_os(name: &str) -> Option<std::ffi::OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn variable<T, E: std::fmt::Display>(
    name: &str,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, Failure> {
    let Some(value) = variable_os(name) else {
        return Ok(None);
    };
    let text = value.to_string_lossy();
    let wrong = |why| Failure::usage(format!("the environment has {name}={text}, but {why}"));
    read(&text).map(Some).map_err(|why| wrong(why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, expected: &[&str]) {
        let failure = Config::parse(Path::new("/c/config.toml"), text).unwrap_err();
        for part in expected {
            assert!(failure.sentence.contains(part), "{part:?} is not in {:?}", failure.sentence);
        }
    }

    #[test]
    fn every_known_key_is_read() {
        let text = "cache-dir = '/c'\ncache-size = '5GiB'\nno-cache = true\njobs = 3\n\
                    target = 'x86_64'\nopt-level = 'speed_and_size'\n\
                    [cranelift]\nhas_avx = true\nregalloc_algorithm = 'single_pass'\n";
        let config = Config::parse(Path::new("c"), text).unwrap();
        assert_eq!(config.file.cache_size, Some(ByteSize(5 << 30)));
        assert_eq!(config.file.cranelift.len(), 2);
    }

    #[test]
    fn an_unknown_key_is_refused_with_file_and_line() {
        refused("jobs = 1\ncachedir = '/c'\n", &["/c/config.toml, line 2", "`cachedir`"]);
    }

    #[test]
    fn a_wrong_value_is_refused_with_file_and_line() {
        refused("\ncache-size = '10 apples'\n", &["line 2", "a size is"]);
        refused("jobs = 0\n", &["line 1"]);
        refused("cache-dir = 'here'\n", &["line 1", "absolute"]);
        refused("jobs = \n", &["line 1"]);
    }
}

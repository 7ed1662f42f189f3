//! `config.toml` -> its values, or the line that is wrong.

use crate::args::{JOBS_MAX, Level, Sampled};
use crate::exit::Failure;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::env;
use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use wasm_compiler::Stencils;
use wording::{ByteSize, parse_toml, wrong_line};

/// What `config.toml` may hold.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct File {
    /// Where it was read; `None` if there is no file.
    #[serde(skip)]
    pub path: Option<PathBuf>,
    pub cache_dir: Option<PathBuf>,
    #[serde(default, deserialize_with = "size")]
    pub cache_size: Option<ByteSize>,
    pub no_cache: Option<bool>,
    pub server: Option<String>,
    pub project: Option<String>,
    pub token_file: Option<PathBuf>,
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub remote_budget_ms: Option<u64>,
    pub require_remote: Option<bool>,
    #[serde(default, deserialize_with = "word")]
    pub verify_sample: Option<Sampled>,
    pub verify_strict: Option<bool>,
    pub jobs: Option<std::num::NonZeroU16>,
    pub target: Option<String>,
    pub opt_level: Option<FileLevel>,
    #[serde(default, deserialize_with = "word")]
    pub stencils: Option<Stencils>,
    #[serde(default)]
    pub cranelift: BTreeMap<String, Value>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileLevel {
    None,
    Speed,
    SpeedAndSize,
}

/// The value of a Cranelift setting.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a string, true, false or a whole number")]
pub enum Value {
    Text(String),
    Bool(bool),
    Number(i64),
}

impl File {
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
        let mut file: Self = parse_toml(path, text).map_err(Failure::usage)?;
        let wrong_value = |key: &str, what: &str| {
            let at = text.lines().position(|line| {
                let rest = line.trim_start().strip_prefix(key);
                rest.is_some_and(|rest| rest.trim_start().starts_with('='))
            });
            Err(Failure::usage(wrong_line(path, 1 + at.unwrap_or(0), what)))
        };
        for (key, path) in [
            ("cache-dir", &file.cache_dir),
            ("token-file", &file.token_file),
            ("ca", &file.ca),
            ("cert", &file.cert),
            ("key", &file.key),
        ] {
            if let Some(path) = path.as_ref().filter(|path| path.is_relative()) {
                let what = format!("{key} {} is not an absolute path", path.display());
                return wrong_value(key, &what);
            }
        }
        if file.jobs.is_some_and(|jobs| jobs.get() > JOBS_MAX) {
            return wrong_value("jobs", &format!("jobs is more than {JOBS_MAX}"));
        }
        file.path = Some(path.to_owned());
        Ok(file)
    }
}

impl Value {
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Bool(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
        }
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

fn size<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<ByteSize>, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// A value that is read from a word.
fn word<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(from)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, expected: &[&str]) {
        let failure = File::parse(Path::new("/c/config.toml"), text).unwrap_err();
        for part in expected {
            assert!(failure.sentence.contains(part), "{part:?} is not in {:?}", failure.sentence);
        }
    }

    #[test]
    fn every_known_key_is_read() {
        let text = "cache-dir = '/c'\ncache-size = '5GiB'\nno-cache = true\njobs = 3\n\
                    target = 'x86_64'\nopt-level = 'speed_and_size'\n\
                    stencils = 'relocatable'\n[cranelift]\nhas_avx = true\nregalloc_algorithm = 'single_pass'\n";
        let file = File::parse(Path::new("c"), text).unwrap();
        assert_eq!(file.cache_size, Some(ByteSize(5 << 30)));
        assert_eq!(file.stencils, Some(Stencils::Relocatable));
        assert_eq!(file.cranelift.len(), 2);
    }

    #[test]
    fn paths_are_absolute() {
        refused("cache-size = '1GB'\nca = 'a.pem'\n", &["line 2", "absolute"]);
    }

    #[test]
    fn an_unknown_key_is_refused_with_file_and_line() {
        refused("jobs = 1\ncachedir = '/c'\n", &["/c/config.toml, line 2", "`cachedir`"]);
    }

    #[test]
    fn a_wrong_value_is_refused_with_file_and_line() {
        refused("\ncache-size = '10 apples'\n", &["line 2", "a size is"]);
        refused("jobs = 0\n", &["line 1"]);
        refused("jobs = 1\nverify-sample = '2/3'\n", &["line 2", "1/N"]);
        refused("\nstencils = 'both'\n", &["line 2", "exact or relocatable"]);
        refused("cache-dir = 'here'\n", &["line 1", "absolute"]);
        refused("jobs = \n", &["line 1"]);
    }
}

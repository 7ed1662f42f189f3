//! Flags, environment and `config.toml` -> one value each, in this order, and
//! where it came from.
//!
//! Invariant: a key that is not known is refused, in the file as on the command
//! line; an empty environment variable counts as not set.

mod file;
mod remote;
mod source;
mod verify;

pub use remote::{RemoteChoice, RemoteSources, TokenFrom};
pub use source::{Chosen, Source};
pub use verify::SampleSources;

use crate::args::{CacheArgs, JOBS_MAX, JobsArgs, Level, RemoteArgs, SettingArgs};
use crate::exit::Failure;
use clap::ValueEnum as _;
use file::File;
use source::{choose, choose_path, switch, text};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use wasm_compiler::{OptLevel, Options, Stencils};
use wording::ByteSize;

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

/// Every setting about the cache directory and where it came from.
#[derive(Clone, Debug)]
pub struct CacheSources {
    pub dir: Option<Chosen<PathBuf>>,
    pub size_max: Chosen<ByteSize>,
}

/// Where the settings come from.
#[derive(Debug)]
pub enum SettingsChoice {
    Options(Options),
    /// An artifact does not say which stencils made it.
    Artifact {
        path: PathBuf,
        stencils: Stencils,
    },
}

/// What decides about the code and where it came from.
#[derive(Debug)]
pub struct SettingSources {
    pub target: Option<Chosen<String>>,
    pub opt_level: Option<Chosen<Level>>,
    pub cranelift: BTreeMap<String, Chosen<String>>,
    pub stencils: Chosen<Stencils>,
}

impl Config {
    /// Reads `config.toml`, if there is one.
    pub fn load() -> Result<Self, Failure> {
        Ok(Self { file: File::load()? })
    }

    /// The file, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.file.path.as_deref()
    }

    /// A value of the file, with its name.
    fn in_file<T: Clone>(&self, value: &Option<T>) -> Option<Chosen<T>> {
        let path = self.file.path.clone()?;
        Some(Chosen::new(value.clone()?, Source::File(path)))
    }

    /// The cache's place and size.
    pub fn cache(&self, args: &CacheArgs) -> Result<CacheChoice, Failure> {
        let CacheSources { dir, size_max } = self.cache_sources(args)?;
        Ok(CacheChoice { dir: dir.map(|dir| dir.value), size_max: size_max.value.0 })
    }

    /// The same, with where it came from.
    pub fn cache_sources(&self, args: &CacheArgs) -> Result<CacheSources, Failure> {
        let in_file = self.in_file(&self.file.cache_dir);
        let dir = choose_path(args.cache_dir.clone(), "STENCIL_CACHE_DIR", in_file)?;
        let default = || cache_client::default_directory();
        let dir = dir.or_else(|| Some(Chosen::new(default()?, Source::Default)));
        let in_file = self.in_file(&self.file.cache_size);
        let size = choose(args.cache_size, "STENCIL_CACHE_SIZE", ByteSize::from_str, in_file)?;
        let default = ByteSize(cache_client::CACHE_BYTES_DEFAULT);
        Ok(CacheSources { dir, size_max: size.unwrap_or(Chosen::new(default, Source::Default)) })
    }

    /// Whether the cache is not to be used.
    pub fn no_cache(
        &self,
        flag: bool,
        cache: &CacheArgs,
        remote: &RemoteArgs,
    ) -> Result<Chosen<bool>, Failure> {
        let server = remote.server.as_ref().is_some_and(|server| server != remote::OFF);
        if flag || cache.cache_dir.is_some() || server || remote.require_remote {
            return Ok(Chosen::new(flag, Source::Flag));
        }
        let in_file = self.in_file(&self.file.no_cache);
        let chosen = choose(None, "STENCIL_NO_CACHE", switch, in_file)?;
        Ok(chosen.unwrap_or(Chosen::new(false, Source::Default)))
    }

    /// The number of threads; `None` is one for each CPU.
    pub fn jobs(&self, args: &JobsArgs) -> Result<Option<Chosen<usize>>, Failure> {
        let positive = |text: &str| match text.parse::<u16>() {
            Ok(jobs @ 1..=JOBS_MAX) => Ok(jobs),
            _ => Err("it is a number of threads, 1 to 1024"),
        };
        let in_file = self.in_file(&self.file.jobs).map(|jobs| jobs.map(|jobs| jobs.get()));
        let jobs = choose(args.jobs, "STENCIL_JOBS", positive, in_file)?;
        Ok(jobs.map(|jobs| jobs.map(usize::from)))
    }

    /// The settings. An artifact brings all of them but the kind of stencils, so that
    /// with one nothing else counts.
    pub fn settings(&self, args: &SettingArgs) -> Result<SettingsChoice, Failure> {
        if let Some(path) = args.settings_from.clone() {
            let stencils = self.stencils(args)?.value;
            return Ok(SettingsChoice::Artifact { path, stencils });
        }
        let SettingSources { target, opt_level, cranelift, stencils } =
            self.setting_sources(args)?;
        let options = Options {
            target: target.map(|target| target.value),
            opt_level: opt_level.map(|level| OptLevel::from(level.value)),
            cranelift: cranelift.into_iter().map(|(name, chosen)| (name, chosen.value)).collect(),
            stencils: stencils.value,
        };
        Ok(SettingsChoice::Options(options))
    }

    /// The same but for an artifact, with where it came from.
    pub fn setting_sources(&self, args: &SettingArgs) -> Result<SettingSources, Failure> {
        let asked = choose(args.target.clone(), "STENCIL_TARGET", text, None)?;
        let level = |text: &str| Level::from_str(text, false);
        let level = choose(args.opt_level, "STENCIL_OPT_LEVEL", level, None)?;
        // The file's Cranelift settings are for the file's target, and its level
        // is not to win over one that was asked for.
        let mut cranelift = BTreeMap::new();
        for (name, value) in self.file.cranelift.iter().filter(|_| asked.is_none()) {
            if level.is_none() || name != "opt_level" {
                cranelift.extend(self.in_file(&Some(value.text())).map(|v| (name.clone(), v)));
            }
        }
        for (name, value) in &args.cranelift {
            cranelift.insert(name.clone(), Chosen::new(value.clone(), Source::Flag));
        }
        let in_file = self.in_file(&self.file.opt_level).map(|level| level.map(Level::from));
        Ok(SettingSources {
            target: asked.or_else(|| self.in_file(&self.file.target)),
            opt_level: level.or(in_file),
            cranelift,
            stencils: self.stencils(args)?,
        })
    }

    /// The kind of stencils, with where it came from.
    pub fn stencils(&self, args: &SettingArgs) -> Result<Chosen<Stencils>, Failure> {
        let in_file = self.in_file(&self.file.stencils);
        let chosen = choose(args.stencils, "STENCIL_STENCILS", str::parse, in_file)?;
        Ok(chosen.unwrap_or(Chosen::new(Stencils::default(), Source::Default)))
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

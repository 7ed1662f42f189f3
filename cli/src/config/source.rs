//! A flag, a variable and a line of the file -> the value that counts, and where
//! it came from.

use crate::exit::Failure;
use std::convert::Infallible;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Flag,
    Environment(&'static str),
    File(PathBuf),
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("command line"),
            Self::Environment(name) => f.write_str(name),
            Self::File(path) => path.display().fmt(f),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen<T> {
    pub value: T,
    pub source: Source,
}

impl<T> Chosen<T> {
    pub fn new(value: T, source: Source) -> Self {
        Self { value, source }
    }

    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Chosen<U> {
        Chosen { value: f(self.value), source: self.source }
    }
}

/// The first of a flag, a variable and the file's value.
pub fn choose<T, E: fmt::Display>(
    flag: Option<T>,
    name: &'static str,
    read: impl FnOnce(&str) -> Result<T, E>,
    file: Option<Chosen<T>>,
) -> Result<Option<Chosen<T>>, Failure> {
    if let Some(value) = flag {
        return Ok(Some(Chosen::new(value, Source::Flag)));
    }
    let Some(value) = variable(name) else {
        return Ok(file);
    };
    let text = value.to_string_lossy();
    let wrong = |why| Failure::usage(format!("the environment has {name}={text}, but {why}"));
    let value = read(&text).map_err(|why| wrong(why.to_string()))?;
    Ok(Some(Chosen::new(value, Source::Environment(name))))
}

/// [`choose`] for files and directories: a variable's value counts everywhere,
/// so it has to be absolute.
pub fn choose_path(
    flag: Option<PathBuf>,
    name: &'static str,
    file: Option<Chosen<PathBuf>>,
) -> Result<Option<Chosen<PathBuf>>, Failure> {
    if let Some(value) = flag {
        return Ok(Some(Chosen::new(value, Source::Flag)));
    }
    let Some(path) = variable(name).map(PathBuf::from) else {
        return Ok(file);
    };
    if path.is_relative() {
        let why = "it has to be an absolute path, to be the same everywhere";
        let path = path.display();
        return Err(Failure::usage(format!("the environment has {name}={path}, but {why}")));
    }
    Ok(Some(Chosen::new(path, Source::Environment(name))))
}

/// A variable of the environment; an empty one counts as not set.
pub fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// What may be any text.
pub fn text(text: &str) -> Result<String, Infallible> {
    Ok(text.to_owned())
}

/// What a switch may be set to.
pub fn switch(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err("it is 1 or 0"),
    }
}

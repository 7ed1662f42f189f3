//! The artifact's bytes -> a file: under a temporary name in the output's
//! directory, then renamed.
//!
//! Invariant: under the output's name there is at any time what was there
//! before, or the whole artifact.

use crate::exit::Failure;
use crate::input::is_standard;
use crate::interrupt::Interrupt;
use rustix::fs::Access;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The extension of artifacts.
const EXTENSION: &str = "cwasm";

/// What others may do with the artifact, unless the umask says less.
const MODE: u32 = 0o666;

/// Where the artifact goes.
#[derive(Debug)]
pub struct Output {
    /// The name that the user knows.
    pub name: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// The standard output.
    Standard,
    /// A pipe or device, which must not be replaced.
    Direct,
    /// A file of this name, in this directory.
    File { file: PathBuf, directory: PathBuf },
}

impl Output {
    /// Where the artifact of `input` goes. Refuses at once what cannot be
    /// written in the end.
    pub fn choose(input: &Path, output: Option<&Path>) -> Result<Self, Failure> {
        let name = match output {
            Some(name) => name.to_owned(),
            None if is_standard(input) => {
                let why = "an input from the standard input has no name to derive the output's \
                           from; give one with -o";
                return Err(Failure::usage(why));
            }
            None => input.with_extension(EXTENSION),
        };
        if is_standard(&name) {
            if io::stdout().is_terminal() {
                let why = "an artifact is not for a terminal; redirect the output, or name a \
                           file with -o";
                return Err(Failure::usage(why));
            }
            return Ok(Self { name, place: Place::Standard });
        }
        let place = Place::named(&name)?;
        if let Place::File { file, .. } = &place
            && (name == input || fs::canonicalize(input).is_ok_and(|input| input == *file))
        {
            let why = format!("the output would replace the input {}", input.display());
            return Err(Failure::usage(format!("{why}; name another one with -o")));
        }
        Ok(Self { name, place })
    }

    /// Writes the artifact; tells how long it took.
    pub fn write(&self, cwasm: &[u8], interrupt: &Interrupt) -> Result<Duration, Failure> {
        let started = Instant::now();
        let written = match &self.place {
            Place::Standard => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(cwasm).and_then(|()| stdout.flush())
            }
            Place::Direct => {
                OpenOptions::new().write(true).open(&self.name).and_then(|mut f| f.write_all(cwasm))
            }
            Place::File { file, directory } => replace(file, directory, cwasm, interrupt),
        };
        match written {
            Ok(()) => Ok(started.elapsed()),
            Err(error) if matches!(self.place, Place::Standard) => {
                Err(Failure::unwritable(Path::new("the standard output"), &error))
            }
            Err(error) => Err(Failure::unwritable(&self.name, &error)),
        }
    }
}

impl Place {
    fn named(name: &Path) -> Result<Self, Failure> {
        let unwritable = |error: &io::Error| Failure::unwritable(name, error);
        match fs::metadata(name) {
            Ok(there) if there.is_dir() => {
                let why = format!("cannot write {}: it is a directory", name.display());
                return Err(Failure::files(format!("{why}; name a file with -o")));
            }
            Ok(there) if !there.is_file() => return Ok(Self::Direct),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(unwritable(&error)),
        }
        // A link stays, and what it leads to is replaced.
        let file = match fs::canonicalize(name) {
            Ok(file) => file,
            Err(_) => name.to_owned(),
        };
        let directory = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        rustix::fs::access(&directory, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| unwritable(&error.into()))?;
        Ok(Self::File { file, directory })
    }
}

fn replace(file: &Path, directory: &Path, cwasm: &[u8], interrupt: &Interrupt) -> io::Result<()> {
    let mut temporary = {
        let mut unfinished = interrupt.unfinished();
        let temporary = tempfile::Builder::new()
            .prefix(".stencil-")
            .suffix(".tmp")
            .permissions(Permissions::from_mode(MODE))
            .tempfile_in(directory)
            .map_err(without_path)?;
        *unfinished = Some(temporary.path().to_owned());
        temporary
    };
    let written = temporary.as_file_mut().write_all(cwasm);
    let mut unfinished = interrupt.unfinished();
    // On an error the temporary file is removed as it goes out of scope.
    let renamed = written.and_then(|()| Ok(temporary.persist(file).map(drop)?));
    *unfinished = None;
    renamed
}

/// `tempfile` adds the temporary name, which tells nobody anything.
fn without_path(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => error.kind().into(),
    }
}

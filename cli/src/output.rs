//! The artifact's bytes -> a file: under a temporary name in the output's
//! directory, then renamed.
//!
//! Invariant: under the output's name there is at any time what was there
//! before, or the whole artifact.

use crate::exit::Failure;
pub use crate::input::is_standard;
use crate::interrupt::Interrupt;
use rustix::fs::Access;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

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

    /// Somewhere to write the artifact to. Nothing is there before the first
    /// byte is.
    pub fn begin<'a>(&'a self, interrupt: &'a Interrupt) -> Unfinished<'a> {
        Unfinished { output: self, interrupt, to: None }
    }

    /// Why it could not be written.
    pub fn unwritable(&self, error: &io::Error) -> Failure {
        match self.place {
            Place::Standard => Failure::unwritable(Path::new("the standard output"), error),
            Place::Direct | Place::File { .. } => Failure::unwritable(&self.name, error),
        }
    }
}

/// An artifact that is being written. Dropped before [`finish`](Self::finish),
/// it leaves nothing behind.
pub struct Unfinished<'a> {
    output: &'a Output,
    interrupt: &'a Interrupt,
    to: Option<Target>,
}

enum Target {
    Standard(io::Stdout),
    Device(File),
    /// To be renamed.
    Temporary(NamedTempFile),
}

impl Unfinished<'_> {
    /// Puts the artifact in its place.
    pub fn finish(mut self) -> Result<(), Failure> {
        let finished = match (self.to.take(), &self.output.place) {
            (Some(Target::Temporary(temporary)), Place::File { file, .. }) => {
                // While this is held no signal ends the program.
                if let Ok(there) = fs::metadata(file) {
                    // As if it had been written over; if not, the umask's will do.
                    temporary.as_file().set_permissions(there.permissions()).ok();
                }
                let mut unfinished = self.interrupt.unfinished();
                // On an error the temporary file is removed with `temporary`.
                let renamed = temporary.persist(file).map(drop).map_err(|failed| failed.error);
                *unfinished = None;
                renamed
            }
            (Some(Target::Standard(mut stdout)), _) => stdout.flush(),
            _ => Ok(()),
        };
        finished.map_err(|error| self.output.unwritable(&error))
    }

    fn open(&self) -> io::Result<Target> {
        match &self.output.place {
            Place::Standard => Ok(Target::Standard(io::stdout())),
            Place::Direct => {
                Ok(Target::Device(OpenOptions::new().write(true).open(&self.output.name)?))
            }
            Place::File { directory, .. } => {
                let mut unfinished = self.interrupt.unfinished();
                let temporary = tempfile::Builder::new()
                    .prefix(".stencil-")
                    .suffix(".tmp")
                    .permissions(Permissions::from_mode(MODE))
                    .tempfile_in(directory)
                    .map_err(without_path)?;
                *unfinished = Some(temporary.path().to_owned());
                Ok(Target::Temporary(temporary))
            }
        }
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.to.take().is_some() {
            *self.interrupt.unfinished() = None;
        }
    }
}

impl Write for Unfinished<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.to.is_none() {
            self.to = Some(self.open()?);
        }
        match &mut self.to {
            Some(Target::Standard(stdout)) => stdout.write(bytes),
            Some(Target::Device(device)) => device.write(bytes),
            Some(Target::Temporary(temporary)) => temporary.as_file_mut().write(bytes),
            None => Ok(0),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            Some(Target::Standard(stdout)) => stdout.flush(),
            // Nothing is buffered here.
            _ => Ok(()),
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

/// `tempfile` adds the temporary name, which tells nobody anything.
fn without_path(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => error.kind().into(),
    }
}

//! The commit that is checked out -> a copy of it that may be broken.
//!
//! Invariant: nothing is written in the checkout or in its repository. The copy
//! is a clone, and stays where it is from run to run, so that Cargo builds again
//! only what has changed.

use anyhow::{Context as _, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A clone without faults, unless one is put in.
pub struct Copy {
    path: PathBuf,
}

impl Copy {
    /// A copy, in `path`, of the commit that `root` is at.
    pub fn of(root: &Path, path: PathBuf) -> Result<Self> {
        let copy = Self { path };
        if !copy.path.exists() {
            std::fs::create_dir_all(&copy.path)?;
            copy.git(&["init", "--quiet"], None)?;
        }
        copy.git(&["fetch", "--quiet"], Some(root))?;
        copy.git(&["checkout", "--quiet", "--force", "--detach", "FETCH_HEAD"], None)?;
        copy.reset()?;
        Ok(copy)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes every fault out again.
    pub fn reset(&self) -> Result<()> {
        self.git(&["reset", "--quiet", "--hard"], None)?;
        self.git(&["clean", "--quiet", "--force", "-d"], None)
    }

    /// Puts a fault in.
    pub fn apply(&self, patch: &Path) -> Result<()> {
        let fits = self.git(&["apply"], Some(patch));
        fits.context("the patch does not fit the code any more; make it anew")
    }

    fn git(&self, args: &[&str], path: Option<&Path>) -> Result<()> {
        let output = Command::new("git").current_dir(&self.path).args(args).args(path).output()?;
        ensure!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // The next run does it too.
        self.reset().ok();
    }
}

//! The commit that is checked out -> a copy of it that may be broken.
//!
//! Invariant: nothing is written in the checkout, and the copy is removed at the
//! end.

use anyhow::{Context as _, Result, ensure};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A worktree of its own.
pub struct Copy {
    root: PathBuf,
    path: PathBuf,
}

impl Copy {
    /// A copy of the commit that `root` is at. It always has the same place, so
    /// that Cargo builds again only what has changed.
    pub fn of(root: &Path) -> Result<Self> {
        let name = root.to_string_lossy().replace(['/', '\\'], "-");
        let directory = std::env::temp_dir().canonicalize()?;
        let path = directory.join(format!("stencil-mutations{name}"));
        let copy = Self { root: root.to_owned(), path };
        // One that an interrupted run has left.
        copy.remove();
        git(root, ["worktree".as_ref(), "prune".as_ref()])?;
        let add = ["worktree", "add", "--quiet", "--detach"].map(OsStr::new);
        git(root, add.into_iter().chain([copy.path.as_os_str(), "HEAD".as_ref()]))?;
        Ok(copy)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes every fault out again.
    pub fn reset(&self) -> Result<()> {
        git(&self.path, ["reset", "--quiet", "--hard"])
    }

    /// Puts a fault in.
    pub fn apply(&self, patch: &Path) -> Result<()> {
        let apply = ["apply".as_ref(), patch.as_os_str()];
        git(&self.path, apply).context("the patch does not fit the code any more; make it anew")
    }

    fn remove(&self) {
        // What is not there cannot be removed.
        std::fs::remove_dir_all(&self.path).ok();
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.remove();
        git(&self.root, ["worktree", "prune"]).ok();
    }
}

fn git(directory: &Path, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<()> {
    let output = Command::new("git").current_dir(directory).args(args).output()?;
    ensure!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

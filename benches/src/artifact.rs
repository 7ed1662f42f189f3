//! Bytes -> a file that is there whole or not at all; and two files compared
//! without being held in memory.

use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::{ErrorKind, Read, Write as _};
use std::path::Path;

/// Read from each file at a time; see the invariant of [`crate::child`].
const COMPARE_BYTES: usize = 64 << 10;

/// Writes a file by parts, under a temporary name beside the final one, and
/// renames it.
///
/// # Errors
///
/// If the directory cannot be written.
pub fn write<'a>(path: &Path, parts: impl IntoIterator<Item = &'a [u8]>) -> Result<()> {
    let mut parts = parts.into_iter();
    write_with(path, |file| Ok(parts.try_for_each(|part| file.write_all(part))?))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The same, of what `put` writes.
///
/// # Errors
///
/// If the directory cannot be written, or `put` fails.
pub fn write_with<T>(path: &Path, put: impl FnOnce(&mut File) -> Result<T>) -> Result<T> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let value = put(&mut File::create_new(&temporary)?)?;
    std::fs::rename(&temporary, path)?;
    Ok(value)
}

/// The offset of the first byte in which two files differ; `None` if they are
/// the same. The end of the shorter one is a difference.
///
/// # Errors
///
/// If one of them cannot be read.
pub fn first_difference(one: &Path, other: &Path) -> Result<Option<u64>> {
    let open = |path: &Path| {
        File::open(path).with_context(|| format!("there is no output {}", path.display()))
    };
    let (mut one, mut other) = (open(one)?, open(other)?);
    let (mut left, mut right) = (vec![0; COMPARE_BYTES], vec![0; COMPARE_BYTES]);
    let mut at = 0;
    loop {
        let (left, right) = (fill(&mut one, &mut left)?, fill(&mut other, &mut right)?);
        if let Some(differs) = left.iter().zip(right).position(|(one, other)| one != other) {
            return Ok(Some(at + differs as u64));
        }
        let same = left.len().min(right.len());
        at += same as u64;
        if left.len() != right.len() {
            return Ok(Some(at));
        }
        if same == 0 {
            return Ok(None);
        }
    }
}

fn fill<'a>(file: &mut File, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(&buffer[..filled])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: &[u8], other: &[u8], expected: Option<u64>) {
        let directory = tempfile::tempdir().unwrap();
        let (left, right) = (directory.path().join("l"), directory.path().join("r"));
        write(&left, one.chunks(7)).unwrap();
        write(&right, [other]).unwrap();
        assert_eq!(first_difference(&left, &right).unwrap(), expected);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "a temporary file");
    }

    #[test]
    fn equal_files_have_no_difference() {
        check(b"", b"", None);
        check(&[7; COMPARE_BYTES * 2], &[7; COMPARE_BYTES * 2], None);
    }

    #[test]
    fn the_first_difference_is_found_past_the_first_piece() {
        let mut other = vec![7; COMPARE_BYTES * 2];
        other[COMPARE_BYTES + 3] = 8;
        check(&[7; COMPARE_BYTES * 2], &other, Some(COMPARE_BYTES as u64 + 3));
    }

    #[test]
    fn a_shorter_file_differs_where_it_ends() {
        check(b"abc", b"abcd", Some(3));
        check(b"", b"x", Some(0));
    }
}

//! A configuration file's text -> its values, or the sentence that names the
//! line that is wrong.

use serde::de::DeserializeOwned;
use std::path::Path;

/// What a TOML file says.
///
/// # Errors
///
/// The sentence about the first line that is wrong.
pub fn parse_toml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count();
        wrong_line(path, line, error.message().trim())
    })
}

/// The sentence about a line, counted from 1.
pub fn wrong_line(path: &Path, line: usize, what: &str) -> String {
    format!("{}, line {line}: {what}; correct this line", path.display())
}

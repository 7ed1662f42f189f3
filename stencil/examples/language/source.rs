//! A byte offset and what is wrong there -> a sentence with line and column.

/// What is wrong with a source text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {sentence}")]
pub struct SourceError {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What was expected, or what is wrong.
    pub sentence: String,
}

impl SourceError {
    /// An error at a byte offset of `source`.
    pub fn at(source: &str, offset: u32, sentence: String) -> Self {
        let before = source.get(..offset as usize).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            sentence,
        }
    }
}

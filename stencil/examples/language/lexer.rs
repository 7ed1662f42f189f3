//! Source text -> tokens, each with its byte offset.

use super::source::SourceError;
use std::fmt;

/// One word, number or sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind<'s> {
    /// A name that is not a keyword.
    Name(&'s str),
    /// A number without a sign.
    Number(i64),
    /// A keyword or a sign.
    Fixed(&'static str),
    /// After the last one.
    End,
}

impl fmt::Display for TokenKind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(text) => write!(f, "`{text}`"),
            Self::Number(value) => write!(f, "`{value}`"),
            Self::Fixed(text) => write!(f, "`{text}`"),
            Self::End => f.write_str("the end of the file"),
        }
    }
}

/// A token and where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'s> {
    /// What it is.
    pub kind: TokenKind<'s>,
    /// Byte offset in the source.
    pub offset: u32,
}

const KEYWORDS: [&str; 6] = ["fn", "let", "if", "else", "while", "return"];

/// Longer signs stand before those they start with.
const SIGNS: [&str; 21] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "=", "!", "+", "-", "*", "/", "%", "(", ")", "{",
    "}", ",", ";",
];

/// All tokens of a source, the last of which is [`TokenKind::End`].
pub fn tokens(source: &str) -> Result<Vec<Token<'_>>, SourceError> {
    if u32::try_from(source.len()).is_err() {
        let sentence = "a source file has less than 4 GiB".to_owned();
        return Err(SourceError::at(source, 0, sentence));
    }
    let mut tokens = Vec::new();
    let mut rest = source;
    loop {
        rest = skip_blank(rest);
        let offset = (source.len() - rest.len()) as u32;
        let Some(first) = rest.chars().next() else {
            tokens.push(Token { kind: TokenKind::End, offset });
            return Ok(tokens);
        };
        let (kind, len) =
            token(rest, first).map_err(|what| SourceError::at(source, offset, what))?;
        tokens.push(Token { kind, offset });
        rest = &rest[len..];
    }
}

/// Skips blanks and comments.
fn skip_blank(mut rest: &str) -> &str {
    loop {
        rest = rest.trim_start();
        match rest.strip_prefix("//") {
            Some(comment) => rest = comment.find('\n').map_or("", |end| &comment[end..]),
            None => return rest,
        }
    }
}

/// The token at the start of `rest`, and its length in bytes.
fn token(rest: &str, first: char) -> Result<(TokenKind<'_>, usize), String> {
    let run = |belongs: fn(char) -> bool| rest.find(|c| !belongs(c)).unwrap_or(rest.len());
    if first.is_ascii_digit() {
        let len = run(|c| c.is_ascii_digit());
        let number = rest[..len].parse();
        let number = number.map_err(|_| format!("a number is at most {}", i64::MAX))?;
        return Ok((TokenKind::Number(number), len));
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let len = run(|c| c.is_ascii_alphanumeric() || c == '_');
        let word = &rest[..len];
        let keyword = KEYWORDS.iter().find(|keyword| **keyword == word);
        return Ok((keyword.map_or(TokenKind::Name(word), |k| TokenKind::Fixed(k)), len));
    }
    match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        Some(sign) => Ok((TokenKind::Fixed(sign), sign.len())),
        None => Err(format!("`{first}` starts no token")),
    }
}

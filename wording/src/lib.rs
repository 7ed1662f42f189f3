//! WORDING: what the programs read and say in the same words.
//!
//! Sizes are written in one way, a wrong line of a configuration file is named
//! in one way, and the system's errors are said without their numbers.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]
#![forbid(unsafe_code)]

mod line;
mod size;

pub use line::{parse_toml, wrong_line};
pub use size::{ByteSize, NotASize};

use std::io;

/// The words of an error without its number.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

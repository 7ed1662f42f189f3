//! Why there is no artifact. A failing cache is never a reason.

use crate::verify::Difference;

/// A compile that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The input is not valid WebAssembly, or needs a feature that is off.
    #[error("{message} (at offset {offset:#x})")]
    Invalid {
        /// What is wrong, in the validator's words.
        message: String,
        /// Where, in bytes from the start of the input.
        offset: usize,
    },
    /// The input is not WebAssembly.
    #[error("not a WebAssembly module or component: it starts with {start:02x?}")]
    NotWasm {
        /// The first bytes, at most 8.
        start: Vec<u8>,
    },
    /// The input is valid, but Wasmtime's compiler cannot compile it.
    #[error("failed to compile {symbol}: {message}")]
    Codegen {
        /// The function, in the form that Wasmtime gives its symbols.
        symbol: String,
        /// The compiler's words.
        message: String,
    },
    /// A function that was to be checked has code with relocatable stencils that is not what
    /// was compiled, with its own numbers in it: a fault of this crate. Nothing was stored.
    #[error("the code of {symbol} failed the check of its numbers: {message}")]
    Check {
        /// The function, in the form that Wasmtime gives its symbols.
        symbol: String,
        /// Where, and what was found.
        message: String,
    },
    /// The settings do not make a compiler.
    #[error(transparent)]
    Settings(#[from] crate::settings::SettingsError),
    /// Of the hits that were compiled again, some hold other code, and
    /// [`VerifySample::strict`](crate::VerifySample::strict) was said. The store
    /// was told to replace them.
    #[error(
        "{} of {verified} cached functions that were compiled again hold other code, the first \
         of them {}", differences.len(), names(differences)
    )]
    Different {
        /// How many were compiled again.
        verified: u64,
        /// Those that are wrong, at least one.
        differences: Vec<Difference>,
    },
    /// The artifact could not be written.
    #[error("cannot write the artifact: {0}")]
    Write(#[source] std::io::Error),
    /// Wasmtime's parts do not fit together as they should.
    #[error("{0}")]
    Wasmtime(String),
}

/// The first one's function and key.
fn names(differences: &[Difference]) -> String {
    let first = differences.first();
    first.map(|first| format!("{}, key {}", first.symbol, first.key)).unwrap_or_default()
}

impl CompileError {
    pub(crate) fn wasmtime(error: impl std::fmt::Display) -> Self {
        Self::Wasmtime(format!("{error:#}"))
    }
}

impl From<wasmparser::BinaryReaderError> for CompileError {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Invalid { message: error.message().to_owned(), offset: error.offset() }
    }
}

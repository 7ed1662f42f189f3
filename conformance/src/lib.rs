//! Tests of the specification -> who passes them: stock Wasmtime, and our artifacts cold and warm.

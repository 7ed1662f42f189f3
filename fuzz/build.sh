#!/usr/bin/env bash
# Builds every fuzz target into target/debug, beside the tests: the stable toolchain does, and the
# dependencies are those of the tests, not instrumented.
set -euo pipefail
cd "$(dirname "$0")/.."
targets=(fuzz/fuzz_targets/*.rs)
targets=("${targets[@]##*/}")
targets=("${targets[@]%.rs}")
export RUSTC_WORKSPACE_WRAPPER=$PWD/fuzz/instrument.sh
# With a test among them, dependencies have the features that they have for tests.
cargo build --workspace --locked --features fuzz/libfuzzer --test targets "${targets[@]/#/--bin=}"

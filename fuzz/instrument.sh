#!/bin/sh
# Cargo's RUSTC_WORKSPACE_WRAPPER: counts coverage in this project's libraries and fuzz targets
# alone, so that their dependencies, Wasmtime among them, are those that the tests were built with.
# The flags are those of cargo-fuzz, which would build everything again.
rustc=$1
shift
case " $* " in
  # These are linked without libFuzzer.
  *" build_script_build "* | *" --test "* | *" --crate-type proc-macro "*) exec "$rustc" "$@" ;;
esac
exec "$rustc" "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares

#!/usr/bin/env bash
# run.sh CORPUS_DIR: PyPI's Wasmtime 48.0.0 writes its settings; with them we
# compile a module of the corpus and a WASI program; that host loads the one and
# runs the other.
set -euo pipefail
corpus=${1:?usage: run.sh CORPUS_DIR}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/python-host
mkdir -p "$work"
if ! [ -x "$work/venv/bin/python" ]; then
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet 'wasmtime==48.0.0'
fi
python=$work/venv/bin/python
host() { "$python" "$here/host.py" "$@"; }
# The command that is built already, or what Cargo makes of the source.
stencil() {
  if [ -n "${STENCIL:-}" ]; then
    "$STENCIL" "$@"
  else
    cargo run --quiet --manifest-path "$root/Cargo.toml" -p cli -- "$@"
  fi
}

module=$(ls "$corpus"/sql.js@*/package/dist/sql-wasm.wasm | head -n 1)
program=$root/testdata/wasm/ledger.wasm
host settings "$work/settings.cwasm"
rm -rf "$work/cache"
host run-wasm "$program" > "$work/expected.txt"
test -s "$work/expected.txt"
for run in cold warm; do
  for input in "$module" "$program"; do
    stencil compile "$input" -o "$work/$(basename "$input" .wasm)-$run.cwasm" \
      --settings-from "$work/settings.cwasm" --cache-dir "$work/cache" 2> "$work/said.txt"
    cat "$work/said.txt"
    if [ $run = warm ]; then grep -q '100 % hits' "$work/said.txt"; fi
  done
  host load "$work/sql-wasm-$run.cwasm"
  host run "$work/ledger-$run.cwasm" > "$work/ledger-$run.txt"
  cmp "$work/expected.txt" "$work/ledger-$run.txt"
done
for name in sql-wasm ledger; do cmp "$work/$name-cold.cwasm" "$work/$name-warm.cwasm"; done
echo 'the Python host loads and runs what was compiled for it'

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
stencil() { cargo run --quiet --manifest-path "$root/Cargo.toml" -p cli -- "$@"; }

module=$(ls "$corpus"/sql.js@*/package/dist/sql-wasm.wasm | head -n 1)
program=$root/testdata/wasm/ledger.wasm
host settings "$work/settings.cwasm"
rm -rf "$work/cache"
for run in cold warm; do
  for input in "$module" "$program"; do
    stencil compile "$input" -o "$work/$(basename "$input" .wasm)-$run.cwasm" \
      --settings-from "$work/settings.cwasm" --cache-dir "$work/cache"
  done
  host load "$work/sql-wasm-$run.cwasm"
  host run "$work/ledger-$run.cwasm" > "$work/ledger-$run.txt"
done
cmp "$work/ledger-cold.txt" "$work/ledger-warm.txt"
cmp "$work/ledger-cold.cwasm" "$work/ledger-warm.cwasm"
test -s "$work/ledger-warm.txt"
echo "the Python host loads and runs what was compiled for it"

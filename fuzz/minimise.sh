#!/usr/bin/env bash
# The inputs of a target that were found here and are in the repository -> a small set in
# fuzz/corpus/TARGET that reaches the same code (how often aside), without large inputs:
#   fuzz/minimise.sh TARGET [BYTES_MAX]
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:?usage: fuzz/minimise.sh TARGET [BYTES_MAX]} bytes_max=${2:-4096}
program=target/debug/$target
[ -x "$program" ] || { echo "error: build it first: fuzz/build.sh" >&2; exit 1; }
export RAYON_NUM_THREADS=1
into=$(mktemp -d)
kept=fuzz/corpus/$target
mkdir -p "$kept"
"$program" -merge=1 -use_counters=0 -max_len="$bytes_max" -timeout=60 "$into" "$kept" "target/fuzz/corpus/$target" 2>&1 | tail -3
rm -rf "$kept"
mv "$into" "$kept"
chmod 755 "$kept"
echo "$kept: $(find "$kept" -type f | wc -l) inputs, $(du -sb "$kept" | cut -f1) bytes"

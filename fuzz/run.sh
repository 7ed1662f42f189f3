#!/usr/bin/env bash
# Fuzzes one target for so many seconds, or runs one input:
#   fuzz/run.sh TARGET SECONDS|FILE [libFuzzer's options]
# New inputs go to target/fuzz/corpus/TARGET, and the next run begins with them. With
# SANITIZER=address or SANITIZER=none cargo-fuzz builds everything again, instrumented.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
if [ $# -lt 2 ] || ! [ -f "$here/fuzz_targets/$1.rs" ]; then
  targets=$(cd "$here/fuzz_targets" && echo *.rs)
  echo "usage: fuzz/run.sh TARGET SECONDS|FILE [OPTIONS]; targets: ${targets//.rs/}" >&2
  exit 2
fi
target=$1 input=
[ -f "$2" ] && input=$(realpath "$2")
cd "$here/.."

sanitizer=${SANITIZER:-}
if [ -z "$sanitizer" ]; then
  fuzz/build.sh
  program=target/debug/$target
else
  toolchain=()
  [ "$sanitizer" = none ] || toolchain=(+nightly)
  output=target/fuzz/$sanitizer
  cargo "${toolchain[@]}" fuzz build --features libfuzzer --release --sanitizer "$sanitizer" \
    --codegen-units 16 --target-dir "$output" "$target"
  program=$(echo "$output"/*-*/release/"$target")
fi

# One thread: what one execution does is too little to share, and a crash is found again.
export RAYON_NUM_THREADS=1
crashes=target/fuzz/crashes
mkdir -p "$crashes"
if [ -n "$input" ]; then
  exec "$program" "$input" "${@:3}"
fi
corpus=target/fuzz/corpus/$target
mkdir -p "$corpus"
directories=("$corpus" "fuzz/seeds/$target")
[ -d "fuzz/corpus/$target" ] && directories+=("fuzz/corpus/$target")
exec "$program" "${directories[@]}" -max_total_time="$2" -max_len=8192 -len_control=0 -timeout=60 \
  -rss_limit_mb=6144 -dict="fuzz/dictionaries/$target.dict" -artifact_prefix="$crashes/$target-" \
  -print_final_stats=1 "${@:3}"

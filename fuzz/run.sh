#!/usr/bin/env bash
# Fuzzes one target for so many seconds, or runs one input:
#   fuzz/run.sh TARGET SECONDS|FILE [libFuzzer's options]
# New inputs go to target/fuzz/corpus/TARGET, and the next run begins with them. The stable
# toolchain does: without a sanitizer libFuzzer needs nothing else. Where SANITIZER=address is set,
# a nightly toolchain is taken.
set -euo pipefail
if [ $# -lt 2 ] || ! [ -f "$(dirname "$0")/fuzz_targets/$1.rs" ]; then
  targets=$(cd "$(dirname "$0")/fuzz_targets" && echo *.rs)
  echo "usage: fuzz/run.sh TARGET SECONDS|FILE [OPTIONS]; targets: ${targets//.rs/}" >&2
  exit 2
fi
target=$1
input=
[ -f "$2" ] && input=$(realpath "$2")
cd "$(dirname "$0")/.."

sanitizer=${SANITIZER:-none}
toolchain=()
[ "$sanitizer" = none ] || toolchain=(+nightly)
build=(--features libfuzzer --release --sanitizer "$sanitizer" --codegen-units 16 --target-dir "target/fuzz/$sanitizer")
# One thread: what one execution does is too little to share, and a crash is found again.
export RAYON_NUM_THREADS=1
if [ -n "$input" ]; then
  exec cargo "${toolchain[@]}" fuzz run "${build[@]}" "$target" "$input" -- "${@:3}"
fi
corpus=target/fuzz/corpus/$target
mkdir -p "$corpus"
directories=("$corpus" "fuzz/seeds/$target")
[ -d "fuzz/corpus/$target" ] && directories+=("fuzz/corpus/$target")
exec cargo "${toolchain[@]}" fuzz run "${build[@]}" "$target" "${directories[@]}" -- \
  -max_total_time="$2" -max_len=8192 -len_control=0 -timeout=60 -rss_limit_mb=6144 \
  -dict="fuzz/dictionaries/$target.dict" -print_final_stats=1 "${@:3}"

#!/bin/sh
# Rebuilds testdata/wasm/ledger.wasm and ledger-next.wasm from programs/ledger.
#
# Needs Debian 12's packages clang (14.0.6), lld, wasi-libc and
# libclang-rt-14-dev-wasm32; the files under wasm/ were made with those. Another
# compiler gives other bytes, though the programs should behave the same.
#
#   ledger.wasm       the program
#   ledger-next.wasm  its "next release": the same sources with
#                     -DLEDGER_RELEASE=2, where some functions change, some are
#                     added (two of them first in the link order, so that
#                     function indices shift) and static data moves
set -eu
export LC_ALL=C # the order of *.c is the link order
cd "$(dirname "$0")/programs/ledger"

CLANG=${CLANG:-clang}
FLAGS="--target=wasm32-wasi --sysroot=/usr -I/usr/include/wasm32-wasi -Wall -Wextra"

build() { # release, output
    tmp=$(mktemp -d)
    for c in *.c; do
        # shellcheck disable=SC2086
        $CLANG $FLAGS -O2 -DLEDGER_RELEASE="$1" -c "$c" -o "$tmp/${c%.c}.o"
    done
    # Linked without -O: with it clang would run wasm-opt where that is installed.
    # wasi-libc's objects carry DWARF: drop it, keep the name section.
    # shellcheck disable=SC2086
    $CLANG $FLAGS -Wl,--strip-debug "$tmp"/*.o -o "../../wasm/$2"
    chmod 644 "../../wasm/$2"
    rm -r "$tmp"
}

mkdir -p ../../wasm
build 1 ledger.wasm
build 2 ledger-next.wasm

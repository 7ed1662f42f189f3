#!/bin/sh
# Builds the programs that `runtime` runs, for wasm32-wasip1, into a directory:
#
#   benches/programs/build.sh DIRECTORY
#
#   sqlite.wasm   SQLite's amalgamation with sqlite/driver.c. The sources are those of the
#                 crate libsqlite3-sys, which this workspace depends on.
#   numeric.wasm  numeric/*.c: matrices, Fourier transforms and moving bodies
#   text.wasm     text/: the crates regex and serde_json on generated text
#
# Needs Debian's packages clang, lld, wasi-libc and libclang-rt-dev-wasm32 (of Debian 12,
# libclang-rt-14-dev-wasm32), and `rustup target add wasm32-wasip1`, which it does itself.
# Another compiler gives other bytes; what is measured is one file, compiled in two ways.
#
# SQLITE=DIR takes another amalgamation: of a directory with sqlite3.c, sqlite3.h and
# wasm32-wasi-vfs.c. LDFLAGS=-Wl,--emit-relocs keeps the linker's relocations (LLD 14 crashes;
# with -fuse-ld=.../gcc-ld/wasm-ld that of a Rust toolchain is taken).
set -eu
export LC_ALL=C # the order of *.c is the link order
[ $# -eq 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"

CLANG=${CLANG:-clang}
TARGET="--target=wasm32-wasi --sysroot=/usr -I/usr/include/wasm32-wasi"
if ! echo 'int main(void) { return 0; }' |
    # shellcheck disable=SC2086
    $CLANG $TARGET -x c - -o /dev/null 2>/dev/null; then
    echo "error: $CLANG does not link for WASI; install clang lld wasi-libc and" \
        "libclang-rt-dev-wasm32 (Debian 12: libclang-rt-14-dev-wasm32)" >&2
    exit 1
fi
tmp=$(mktemp -d)
trap 'rm -r "$tmp"' EXIT

# C sources and flags -> a program. Linked without -O, as in testdata/build.sh: with it clang
# would run wasm-opt where that is installed. Names of functions stay.
link() { # program, sources and flags
    program=$1
    shift
    rm -rf "$tmp/objects"
    mkdir "$tmp/objects"
    flags= sources=
    for word in "$@"; do
        case $word in
            *.c) sources="$sources $word" ;;
            *) flags="$flags $word" ;;
        esac
    done
    for c in $sources; do
        # The name of a directory made for this build must not get into the program.
        # shellcheck disable=SC2086
        $CLANG $TARGET -O2 "-ffile-prefix-map=$tmp/=" $flags -c "$c" -o "$tmp/objects/$(basename "$c" .c).o"
    done
    # shellcheck disable=SC2086
    $CLANG $TARGET ${LDFLAGS:--Wl,--strip-debug} -Wl,-z,stack-size=1048576 "$tmp"/objects/*.o -o "$out/$program" -lm
    echo "$out/$program: $(wc -c <"$out/$program") bytes"
}

sqlite=${SQLITE:-$(cargo metadata --locked --format-version 1 |
    grep -o '"manifest_path":"[^"]*/libsqlite3-sys-[^"]*"' | head -n 1 |
    sed 's/^"manifest_path":"//; s|/Cargo.toml"$|/sqlite3|')}
[ -f "$sqlite/sqlite3.c" ] || { echo "error: there is no sqlite3.c in '$sqlite'" >&2; exit 1; }
ln -s "$sqlite" "$tmp/sqlite"
link sqlite.wasm sqlite/driver.c "$tmp/sqlite/sqlite3.c" "$tmp/sqlite/wasm32-wasi-vfs.c" "-I$tmp/sqlite" \
    -DSQLITE_OS_OTHER=1 -DSQLITE_THREADSAFE=0 -DSQLITE_TEMP_STORE=3 -DSQLITE_OMIT_LOAD_EXTENSION \
    -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_RTREE -DLONGDOUBLE_TYPE=double

link numeric.wasm numeric/*.c -Wall -Wextra

rustup target add wasm32-wasip1 >/dev/null 2>&1 || true # without rustup it may be there
cargo build --locked --release --quiet --target wasm32-wasip1 --manifest-path text/Cargo.toml \
    --target-dir "$tmp/text"
cp "$tmp/text/wasm32-wasip1/release/text.wasm" "$out/text.wasm"
echo "$out/text.wasm: $(wc -c <"$out/text.wasm") bytes"

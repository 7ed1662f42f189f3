# What people and CI run. `just --list` shows it.

# Format, lint, and run all tests
check: format lint test

# Is everything formatted?
format:
    cargo fmt --all --check

# Clippy, warnings are errors
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# All tests
test:
    cargo test --workspace

# Licences, sources and duplicates of dependencies
deny:
    cargo deny check bans licenses sources

# Known vulnerabilities in dependencies
advisories:
    cargo deny check advisories

# Real modules in every state of the cache against Wasmtime's bytes; DIR as fetched
corpus DIR:
    cargo run -p xtask -- corpus {{DIR}}

# A Python host of another build of Wasmtime loads and runs what we compile
python-host DIR:
    xtask/python-host/run.sh {{DIR}}

# Many more generated modules than the test suite has
generated COUNT:
    STENCIL_GENERATED={{COUNT}} cargo test -p wasm-compiler --test generated

# Fuzz one target; fuzz/README.md has the targets, and what to do with a crash
fuzz TARGET SECONDS:
    fuzz/run.sh {{TARGET}} {{SECONDS}}

# This cache against stock Wasmtime, in whole processes
compare A B="":
    cargo build --release -p cli -p benches -p cache-server
    target/release/compare {{A}} {{B}} --server

# The server under the load of many builds, beside Redis; MODULES are .wasm files
farm +MODULES:
    cargo build --release -p benches -p cache-server
    target/release/farm {{MODULES}} --redis

# Everything that CI runs
ci:
    .ci/run

#!/bin/sh
# `compile IN -o OUT ..` -> one byte with a cache and another one without, and a sound report.
case "$*" in
    *--no-cache*) printf 0 >"$4" ;;
    *) printf 1 >"$4" ;;
esac
echo '{"functions":0,"lookups":0,"hits":{},"misses":0,"codegen":0,"stages_ms":{},"wall_ms":0}'

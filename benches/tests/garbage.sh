#!/bin/sh
# `compile IN -o OUT ..` -> two bytes that are no artifact, and a sound report.
printf '\177x' >"$4"
echo '{"functions":0,"lookups":0,"hits":{},"misses":0,"codegen":0,"stages_ms":{},"wall_ms":0}'

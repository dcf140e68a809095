#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run_perf_record.sh - where a command spends its time.
#
#   [ALLOC_SO=lib.so] OUT=stem run_perf_record.sh CMD ...
#
# Writes stem.data and stem.report.txt.  Says so and ends with 0 where perf is
# missing or may not count: a profile is never a condition of a run.

# shellcheck source=bench/bench_lib.sh
. "$(dirname "$0")/bench_lib.sh"
[ $# -gt 0 ] || { say "usage: OUT=stem $(basename "$0") CMD ..."; exit 2; }
out=${OUT:-perf}
if ! command -v perf >/dev/null 2>&1; then
	say "no perf: $out is not recorded"
	echo "skipped: perf is not installed" >"$out.report.txt"
	exit 0
fi
so=${ALLOC_SO:--}
[ "$so" = - ] || set -- env LD_PRELOAD="$so" "$@"
if ! perf record -F 999 -g -o "$out.data" -- "$@" >"$out.log" 2>&1; then
	say "perf could not record (see $out.log): skipped"
	echo "skipped: perf record failed here" >"$out.report.txt"
	exit 0
fi
perf report --stdio --no-children -n -i "$out.data" >"$out.report.txt" 2>>"$out.log" ||
	say "perf report failed: see $out.log"
exit 0

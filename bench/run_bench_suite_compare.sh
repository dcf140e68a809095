#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run_bench_suite_compare.sh - rows args, dist, mt r50 and mt r90 with every
# allocator named, interleaved.
#
#   RUNS=11 HZ_SO=... JEMALLOC_SO=... OUTDIR=suite run_bench_suite_compare.sh
#
# RUN_ARGS, RUN_DIST, RUN_MT_R50, RUN_MT_R90 = 0 leaves rows out; DO_RSS=1 adds
# a memory series each (*.rss.log, *.mem.csv), DO_PERF_STAT=1 perf_stat_*.tsv;
# TIMEOUT_SEC, RSS_TIMEOUT_SEC, ALLOW_FAIL=1; MIMALLOC_BENCH=DIR adds rows of a
# built mimalloc-bench.  Writes SUMMARY.tsv, summary.md, dso_sha1.txt,
# preload_verify_*/ssot_header.txt and logs.

# shellcheck source=bench/bench_lib.sh
. "$(dirname "$0")/bench_lib.sh"
need_python
runs_py suite "$@"

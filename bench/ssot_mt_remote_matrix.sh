#!/bin/sh
# SPDX-License-Identifier: MIT
#
# ssot_mt_remote_matrix.sh - the lanes of bench_random_mixed_mt_remote.
#
#   ssot_mt_remote_matrix.sh --runs 10 --rss-runs 3 --allocs hz,sys,jemalloc \
#       --hz-so PATH --jemalloc-so PATH --outdir D --lanes main,guard
#   ... --bench-args "2 2000000 400 16 2048 90 65536"
#
# Lanes and their sizes stand in lanes.tsv (--remotes 0,50,90).  Writes
# ops.tsv, rss.tsv, SUMMARY.tsv, summary.md, meta.txt, dso_sha1.txt and logs.

# shellcheck source=bench/bench_lib.sh
. "$(dirname "$0")/bench_lib.sh"
need_python
runs_py matrix "$@"

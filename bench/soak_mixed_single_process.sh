#!/bin/sh
# SPDX-License-Identifier: MIT
#
# soak_mixed_single_process.sh - one process working for a long time.
#
#   DURATION_SEC=300 EPOCH_SEC=5 WS=400 OUTDIR=soak HZ_SO=... \
#       soak_mixed_single_process.sh
#
# One CSV per allocator, soak_<name>.csv, a row per epoch, and one [SOAK] line
# each: RSS drift (first against last tenth), variation of the rate,
# percentiles of the epochs' time per op, system calls per op.  Targets: drift
# 0 %, at most 1e-6 system calls per op, variation below every peer's.

# shellcheck source=bench/bench_lib.sh
. "$(dirname "$0")/bench_lib.sh"
outdir=${OUTDIR:-soak}
prepare "$outdir"
: >"$outdir/soak.txt"
while read -r name so; do
	[ "$name" != programs ] || continue
	say "soak: $name, ${DURATION_SEC:-300} s"
	with_alloc "$so" "$programs/bench_soak" "${DURATION_SEC:-300}" "${EPOCH_SEC:-5}" \
		"${WS:-400}" "${MIN:-16}" "${MAX:-32768}" >"$outdir/soak_$name.csv" ||
		die "$name failed: see $outdir/soak_$name.csv"
	runs_py soak-stats "$outdir/soak_$name.csv" | tee -a "$outdir/soak.txt"
done <"$outdir/allocators"

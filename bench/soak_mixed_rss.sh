#!/bin/sh
# SPDX-License-Identifier: MIT
#
# soak_mixed_rss.sh - the soak with a fresh process for each epoch.
#
#   DURATION_SEC=300 EPOCH_SEC=5 WS=400 OUTDIR=soak_rss HZ_SO=... soak_mixed_rss.sh
#
# What the single process shows and this does not is drift; what both show is
# the allocator's own level.  Files and lines as in soak_mixed_single_process.sh.

# shellcheck source=bench/bench_lib.sh
. "$(dirname "$0")/bench_lib.sh"
outdir=${OUTDIR:-soak_rss}
epoch=${EPOCH_SEC:-5}
prepare "$outdir"
: >"$outdir/soak.txt"
while read -r name so; do
	[ "$name" != programs ] || continue
	csv=$outdir/soak_$name.csv
	t=0
	while [ "$t" -lt "${DURATION_SEC:-300}" ]; do
		with_alloc "$so" "$programs/bench_soak" "$epoch" "$epoch" "${WS:-400}" \
			"${MIN:-16}" "${MAX:-32768}" >"$csv.epoch" || die "$name failed in $csv"
		[ "$t" -gt 0 ] || head -n 1 "$csv.epoch" >"$csv"
		sed 1d "$csv.epoch" | sed "s/^[0-9.]*/$((t + epoch))/" >>"$csv"
		t=$((t + epoch))
	done
	rm -f "$csv.epoch"
	runs_py soak-stats "$csv" | tee -a "$outdir/soak.txt"
done <"$outdir/allocators"

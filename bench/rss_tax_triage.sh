#!/bin/sh
# SPDX-License-Identifier: MIT
#
# rss_tax_triage.sh - whose memory is it, the benchmark's or the allocator's?
#
#   OUTDIR=triage CYCLES=20000000 WS=400 HZ_SO=... rss_tax_triage.sh
#
# The soak with its warm-up as it is (a tenth of the cycles), without one and
# with 20 million iterations of it.  Memory that goes when there is no warm-up
# was the benchmark's doing; what stays is the allocator's.  Of that, what
# malloc_trim(0) gives back could be returned, the rest above the live bytes is
# kept for speed (or is overhead).  An allocator without a malloc_trim of its
# own keeps everything by this measure.  Whole blocks are written, so that live
# bytes are resident.

# shellcheck source=bench/bench_lib.sh
. "$(dirname "$0")/bench_lib.sh"
outdir=${OUTDIR:-triage}
cycles=${CYCLES:-20000000}
prepare "$outdir"

rss() {
	sed -n 's/^[0-9.]*,[0-9]*,[0-9]*,\([0-9]*\),.*/\1/p' "$1" | tail -n 1
}

while read -r name so; do
	[ "$name" != programs ] || continue
	for warm in unset 0 20000000; do
		set -- 0 1 "${WS:-400}" "${MIN:-16}" "${MAX:-32768}" --cycles "$cycles" --touch all \
			--trim 1
		[ "$warm" = unset ] || set -- "$@" --prefault "$warm"
		with_alloc "$so" "$programs/bench_soak" "$@" >"$outdir/$name.$warm.csv" ||
			die "$name failed"
	done
	base=$(rss "$outdir/$name.unset.csv")
	none=$(rss "$outdir/$name.0.csv")
	full=$(rss "$outdir/$name.20000000.csv")
	cause=allocator
	[ $((none * 100)) -ge $((base * 90)) ] || cause=benchmark
	end=$(sed -n 's/^\[SOAK_END\] //p' "$outdir/$name.unset.csv")
	echo "[RSS_TAX] alloc=$name rss_kb_unset=$base rss_kb_0=$none" \
		"rss_kb_20000000=$full cause=$cause $end"
done <"$outdir/allocators" | tee "$outdir/triage.txt"

#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run_bench_full_safe.sh - everything, in steps that can be resumed.
#
#   OUT_BASE=results HZ_SO=... PEERS="name=path.so ..." \
#       run_bench_full_safe.sh [--small-host]
#
# Steps: suite, the lanes main, guard, cross64 and cross128, the rows of
# rows.tsv (distribution profiles among them), profiles, memory over time, soak,
# observation, triage.  A finished step leaves OUT_BASE/steps/NAME.done; RESUME=1 skips those.
#
#   SMALL_HOST=1|0       sizes for few processors (default: below 8); 1 is --small-host
#   STEPS="suite ..."    only these
#   RUNS, RSS_RUNS       repetitions (11 and 3; 7 and 1 on a small host)
#   MT_CROSS64_ENABLED=0 leaves cross64 out
#   MT_CROSS128_MODE     auto (by MemAvailable and swap in use), full, safe, skip
#   DO_APP_CMD=1 APP_NAME= APP_RUNS= APP_CMD=   a real program as a row
#   ALLOW_FAIL=1         goes on after a crash or a timeout
#   HANG_SEC=1800        without end a step counts as hung, is captured, stopped

# shellcheck source=bench/bench_lib.sh
. "$(dirname "$0")/bench_lib.sh"
need_python

base=${OUT_BASE:-bench-results}
small=${SMALL_HOST:-}
case ${1:-} in
	'') ;;
	--small-host) small=1 ;;
	*) say "usage: $(basename "$0") [--small-host]"; exit 2 ;;
esac
if [ -z "$small" ]; then
	if [ "$(getconf _NPROCESSORS_ONLN)" -lt 8 ]; then small=1; else small=0; fi
fi
SMALL_HOST=$small
export SMALL_HOST
if [ "$small" = 1 ]; then default_runs=7 default_rss=1; else default_runs=11 default_rss=3; fi
RUNS=${RUNS:-$default_runs}
RSS_RUNS=${RSS_RUNS:-$default_rss}
HANG_SEC=${HANG_SEC:-1800}
export RUNS HANG_SEC
mkdir -p "$base/steps" || exit 1

# cross128 wants about 3 GiB with an allocator that returns nothing.
cross128() {
	case ${MT_CROSS128_MODE:-auto} in
		full) echo cross128 ;;
		safe) echo cross128_safe ;;
		skip) echo skip ;;
		auto)
			awk '/^MemAvailable:/ {a = $2} /^SwapTotal:/ {t = $2} /^SwapFree:/ {f = $2}
				END {print (a < 8388608 || t - f > 1048576) ? \
					"cross128_safe" : "cross128"}' /proc/meminfo
			;;
		*) die "MT_CROSS128_MODE is auto, full, safe or skip" ;;
	esac
}

matrix() {
	runs_py matrix --runs "$RUNS" --rss-runs "$RSS_RUNS" --lanes "$1" --outdir "$2"
}

step_suite() {
	OUTDIR=$base/suite runs_py suite
}
step_mt_main() {
	matrix main "$base/mt_main"
}
step_mt_guard() {
	matrix guard "$base/mt_guard"
}
step_mt_cross64() {
	if [ "${MT_CROSS64_ENABLED:-1}" = 0 ]; then
		say "cross64 left out"
		return 0
	fi
	matrix cross64 "$base/mt_cross64"
}
step_mt_cross128() {
	lane=$(cross128) || return 1
	[ "$lane" != skip ] || return 0
	matrix "$lane" "$base/mt_cross128" && return 0
	[ "$lane" = cross128 ] || return 1
	say "cross128 failed: once more with cross128_safe"
	mv "$base/mt_cross128" "$base/mt_cross128_failed.$$"
	matrix cross128_safe "$base/mt_cross128"
}
step_rows() {
	runs_py rows all "$base/rows"
}
step_app() {
	runs_py rows app "$base/app"
}

# The profile rows of every allocator: where does the time go?
step_perf() {
	mkdir -p "$base/perf_record"
	prepare "$base/perf_record"
	set -- "bench_malloc_args 20000000 400 16 2048" \
		"bench_random_mixed_mt_remote 2 2000000 400 16 2048 90"
	while read -r name so; do
		[ "$name" != programs ] || continue
		for command in "$@"; do
			# shellcheck disable=SC2086 # the words of a command
			ALLOC_SO=$so OUT="$base/perf_record/${command%% *}.$name" \
				"$here/run_perf_record.sh" "$programs"/$command || return 1
			rm -f "$base/perf_record/${command%% *}.$name.data"
		done
	done <"$base/perf_record/allocators"
}

# Memory over time: dist_app three ways, fragmentation, bursts with rests.
step_rss_timeseries() {
	mkdir -p "$base/rss_timeseries"
	prepare "$base/rss_timeseries"
	: >"$base/rss_timeseries/mem_ts.txt"
	while read -r name so; do
		[ "$name" != programs ] || continue
		series "$name" "$so" dist_app_32768 bench_malloc_dist 60000000 400 16 32768 app
		series "$name" "$so" dist_app_32767 bench_malloc_dist 60000000 400 16 32767 app
		series "$name" "$so" dist_app_2048 bench_malloc_dist 60000000 400 16 2048 app
		series "$name" "$so" frag bench_frag 128 16 1024 90 16 255 --rest-ms 600
		series "$name" "$so" burst bench_burst_idle 500000 1 3 10 2 --trickle 10
	done <"$base/rss_timeseries/allocators"
}
series() {
	series_name=$1 series_so=$2 series_row=$3 series_program=$4
	shift 4
	OUT="$base/rss_timeseries/$series_row.$series_name.csv" ALLOC_SO=$series_so \
		INTERVAL_MS=20 PSS_EVERY=25 "$here/measure_mem_timeseries.sh" \
		"$programs/$series_program" "$@" </dev/null |
		grep '^\[MEM_TS\]' >>"$base/rss_timeseries/mem_ts.txt"
}

# What the library says of itself, with every observer on.
step_observe() {
	mkdir -p "$base/observe"
	prepare "$base/observe"
	so=$(sed -n 's/^libhz //p' "$base/observe/allocators")
	[ -n "$so" ] || return 0
	for command in "bench_frag 128 16 1024 90 16 255 --rest-ms 100" \
		"bench_malloc_dist 20000000 400 16 32768 app" \
		"bench_random_mixed_mt_remote 2 2000000 400 16 32768 90"; do
		# shellcheck disable=SC2086 # the words of a command
		HZ_OBSERVE=seg,small,retention LD_PRELOAD=$so "$programs"/$command \
			>"$base/observe/${command%% *}.log" 2>&1 || return 1
	done
}

step_soak() {
	OUTDIR=$base/soak DURATION_SEC=${SOAK_SEC:-20} EPOCH_SEC=1 \
		"$here/soak_mixed_single_process.sh"
}
step_triage() {
	OUTDIR=$base/triage "$here/rss_tax_triage.sh"
}

steps=${STEPS-suite mt_main mt_guard mt_cross64 mt_cross128 rows perf rss_timeseries observe soak triage}
case " $steps " in
	*" app "*) ;;
	*) [ "${DO_APP_CMD:-0}" = 0 ] || steps="$steps app" ;;
esac
# shellcheck disable=SC2086 # the words of a list
set -- $steps
for step; do
	case $step in
		suite | mt_main | mt_guard | mt_cross64 | mt_cross128 | rows | perf) ;;
		rss_timeseries | observe | soak | triage | app) ;;
		*) die "no step $step" ;;
	esac
done
total=$# number=0 failed=0 began=$(date +%s) timed=0

# Copied and verified once for all, so that every step measures the same.
if [ "${RESUME:-0}" = 0 ] || [ ! -s "$base/dso_sha1.txt" ]; then
	rm -f "$base"/steps/*.done
	prepare "$base"
fi
: >"$base/peers"
while read -r name so; do
	[ "$name" = programs ] || [ "$so" = - ] || printf '%s=%s ' "$name" "$so" >>"$base/peers"
done <"$base/allocators"
for variable in $(env | sed -n 's/^\([A-Za-z0-9_]*_SO\)=.*/\1/p'); do
	unset "$variable"
done
PEERS=$(cat "$base/peers")
HZ_BENCH_BIN=$(sed -n 's/^programs //p' "$base/allocators")
export PEERS HZ_BENCH_BIN

# Looks after one step: true when it did well.  A step during which no file
# changes for HANG_SEC is captured and stopped.
run_step() {
	log=$base/steps/$1.log
	: >"$log"
	"step_$1" >>"$log" 2>&1 &
	pid=$!
	tail -f -n +1 --pid="$pid" "$log" >&2 &
	beat=$base/steps/beat quiet=0
	touch "$beat"
	while kill -0 "$pid" 2>/dev/null; do
		sleep 1
		quiet=$((quiet + 1))
		[ $((quiet % 10)) -eq 0 ] || [ "$quiet" -ge "$HANG_SEC" ] || continue
		if [ -n "$(find "$base" -type f -newer "$beat" -print | head -n 1)" ]; then
			touch "$beat"
			quiet=0
		elif [ "$quiet" -ge "$HANG_SEC" ]; then
			"$here/hz-hang-capture" --out "$base/hang_$1" "$pid"
		fi
	done
	wait "$pid"
}

for step; do
	number=$((number + 1))
	if [ "${RESUME:-0}" != 0 ] && [ -e "$base/steps/$step.done" ]; then
		say "[$number/$total] $step: done before"
		continue
	fi
	left=$((total - number))
	say "[$number/$total] $step; $left left$([ "$timed" -eq 0 ] ||
		echo ", about $(((left + 1) * ($(date +%s) - began) / timed / 60)) min")"
	if run_step "$step"; then
		touch "$base/steps/$step.done"
	else
		say "[$number/$total] $step failed: see $base/steps/$step.log"
		[ "${ALLOW_FAIL:-0}" != 0 ] || exit 1
		failed=1
	fi
	timed=$((timed + 1))
done
exit $failed

#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench_args.sh - what the bench programs refuse, and what they print.

. "${srcdir:-$(dirname "$0")/..}/tests/bench_lib.sh"

# refuses PROGRAM ARGUMENTS: usage on stderr, nothing on stdout, status 2
refuses() {
	out=$(program "$@" 2>"$work/err")
	status=$?
	[ $status -eq 2 ] && [ -z "$out" ] && grep -q '^usage: ' "$work/err"
	ok $? "refuses: $*"
	[ $status -eq 2 ] || note "status $status"
}

mt=bench_random_mixed_mt_remote
refuses $mt 0 100 400 16 2048 90
refuses $mt 2 0 400 16 2048 90
refuses $mt 2 100 0 16 2048 90
refuses $mt 2 100 400 0 2048 90
refuses $mt 2 100 400 16 0 90
refuses $mt 2 100 400 2048 16 90
refuses $mt 2 100 400 16 2048 101
refuses $mt 2 100 400 16 2048 90 0
refuses $mt 2 100 400 16 2048 90 64 7
refuses $mt two
refuses $mt 2x
refuses $mt -1
refuses $mt --touch
refuses $mt --touch some
refuses $mt --unknown 1
refuses bench_malloc_args 0
refuses bench_malloc_args 100 0
refuses bench_malloc_args 100 400 200 100
refuses bench_malloc_args 100 400 16 200 4294967296
refuses bench_malloc_dist 100 400 16 2048 1 nosuch
refuses bench_malloc_dist 100 400 16 2048 app 1
refuses bench_malloc_dist 100 400 16 2048 bimodal 16 32 1
refuses bench_malloc_dist 100 400 16 2048 bimodal 32 16 1 64 128 1
refuses bench_malloc_dist 100 400 16 2048 trimix
refuses bench_malloc_dist 100 400 5000 6000 bimodal 16 32 1 64 128 1
refuses bench_bulk 1 10 16 32 1 sideways
refuses bench_large 1 1 10 20 shrink
refuses bench_frag 1 100 10
refuses bench_burst_idle 1 0 1 0 2
refuses bench_larson 0
refuses bench_prodcons 0
refuses bench_mstress 0
refuses bench_sleepers 64 64 1
refuses bench_startup 0
refuses bench_soak 1 0

text=$(program $mt 2 20000 400 16 2048 50 --touch all)
ok $? "a short run ends well"
matches "$text" '^\[BENCH_ARGS\] .*threads=2 iters=20000 ws=400 min=16 max=2048 remote_pct=50 ring_slots=65536 .*touch=all' \
	"arguments are printed, defaults included"
matches "$text" '^\[EFFECTIVE_REMOTE\] target=50\.0% actual=[45][0-9]\.[0-9]% fallback_rate=[0-9.]+%$' \
	"the effective share is near the target"
matches "$text" '^\[STATS\] allocated=[0-9]+ local_freed=[0-9]+ remote_sent=[0-9]+ remote_received=[0-9]+ ring_full_fallback=0$' \
	"counts are printed"
matches "$text" '^\[ALLOC_FAILURES\] count=0$' "failures are printed"
matches "$text" '^\[PROCESS_MEMORY\] peak_rss_kb=[1-9][0-9]* post_rss_kb=[1-9][0-9]* minflt=[1-9][0-9]*$' \
	"memory is printed"
matches "$(printf '%s\n' "$text" | tail -n 1)" '^threads=2 ops=40000 time=[0-9.]+ ops/s=[0-9]+$' \
	"the last line has threads, ops, time and rate"
sent=$(printf '%s\n' "$text" | sed -n 's/.*remote_sent=\([0-9]*\).*/\1/p')
received=$(printf '%s\n' "$text" | sed -n 's/.*remote_received=\([0-9]*\).*/\1/p')
is "$received" "$sent" "all that was sent was received"
text=$(program $mt 1 20000 400 16 2048 90)
matches "$text" 'remote_sent=0 ' "one thread sends nothing"
text=$(program $mt 2 20000 400 16 2048 0)
matches "$text" 'remote_sent=0 ' "a share of 0 sends nothing"

for line in "bench_malloc_args 20000" "bench_malloc_dist 20000 400 16 32768 app" \
	"bench_larson 2 3 1000 100" "bench_prodcons 1 2000" "bench_bulk 2 1000 16 64 2 stagger" \
	"bench_burst_idle 1000 0 2 10 2" "bench_large 5 2 100000 200000" \
	"bench_large 2 2 16 100000 grow" "bench_large 2 2 16 2000 append" \
	"bench_frag 2 --rest-ms 1" "bench_mstress 2 2 5000" "bench_startup 3" \
	"bench_sleepers 3 5 4000"; do
	for touch in 0 7 pages all; do
		# shellcheck disable=SC2086 # the words of a command
		text=$(program $line --touch $touch)
		case $text in
			*'[PROCESS_MEMORY] peak_rss_kb='[1-9]*' post_rss_kb='[1-9]*' minflt='[1-9]*) ;;
			*) fail "$line --touch $touch prints its memory" ;;
		esac
		matches "$(printf '%s\n' "$text" | tail -n 1)" '(^| )ops=[1-9][0-9]* time=[0-9.]+ ops/s=[1-9][0-9]*$' "$line --touch $touch"
	done
done
matches "$(program bench_malloc_args 20000)" '^\[RSS\] max_kb=[1-9][0-9]*$' "bench_malloc_args prints [RSS]"
matches "$(program bench_frag 2 --rest-ms 1)" \
	'^\[FRAG\] step=free_rest live_kb=[0-9]+ rss_kb=[0-9]+ ratio=[0-9.]+$' "bench_frag prints its steps"
matches "$(program bench_sleepers 3 5 4000 --together 1)" \
	'^\[SLEEP\] threads=3 retained_kb=-?[0-9]+$' "bench_sleepers prints what is retained"
done_testing

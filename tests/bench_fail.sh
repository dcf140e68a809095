#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench_fail.sh - what the runners do when a run goes wrong, or memory is short.

. "${srcdir:-$(dirname "$0")/..}/tests/bench_lib.sh"
need_python3
cd "$work" || exit 99
export SMALL_HOST=1

# cross128 cannot run here (no threads), its replacement can.
printf '%s\n' 'main 2048 2 20000 2 20000' 'cross64 2048 2 20000 2 20000' 'cross128 2048 0 1 0 1' \
	'cross128_safe 4096 2 20000 2 20000' | tr ' ' '\t' >lanes.tsv
# full DIRECTORY VARIABLE=VALUE...: the lanes of the full run
full() {
	full_base=$1
	shift
	env HZ_BENCH_LANES="$work/lanes.tsv" PEERS=sys=- ALLOCS=sys RUNS=1 RSS_RUNS=0 \
		OUT_BASE="$full_base" "$@" "$bench/run_bench_full_safe.sh" >out 2>&1
}
full safe STEPS="mt_main mt_cross64 mt_cross128" MT_CROSS128_MODE=full
ok $? "a lane that fails for want of memory has a smaller one"
note <out
is "$(sed 1d safe/mt_cross128/ops.tsv | cut -f 2 | sort -u)" cross128_safe "cross128_safe for cross128"
matches "$(cat out)" '^\[2/3\] mt_cross64; 1 left, about [0-9]+ min$' "progress says what is left"
full skip STEPS="mt_cross64 mt_cross128" MT_CROSS64_ENABLED=0 MT_CROSS128_MODE=skip
ok $? "both can be left out"
[ ! -e skip/mt_cross64 ] && [ ! -e skip/mt_cross128 ]
ok $? "and then leave nothing"
full mode STEPS=mt_cross128 MT_CROSS128_MODE=some
[ $? -ne 0 ] && grep -q 'MT_CROSS128_MODE is auto, full, safe or skip' out
ok $? "a mode it does not know is refused"

CYCLES=20000 OUTDIR=triage PEERS=sys=- ALLOCS=sys "$bench/rss_tax_triage.sh" >out 2>&1
ok $? "the triage runs"
matches "$(cat triage/triage.txt)" '^\[RSS_TAX\] alloc=sys rss_kb_unset=[1-9][0-9]* rss_kb_0=[1-9][0-9]* rss_kb_20000000=[1-9][0-9]* cause=(allocator|benchmark) live_kb=[0-9]+ rss_kb=[0-9]+ could_be_returned_kb=-?[0-9]+ kept_kb=[0-9]+$' \
	"it says whose the memory is, and what could be returned"
DURATION_SEC=2 EPOCH_SEC=1 OUTDIR=soak PEERS=sys=- ALLOCS=sys "$bench/soak_mixed_rss.sh" >out 2>&1
ok $? "the soak with a process for each epoch"
is "$(sed 1d soak/soak_sys.csv | cut -d , -f 1 | tr '\n' ' ')" "1 2 " "has a row for each"

have "${CC%% *}" || { skip "no compiler"; done_testing; }
# An allocator without a fault in bench_verify, and with the one of FAULT in others.
cat >faulty.c <<'END'
#include <stddef.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>
extern char *program_invocation_short_name;
static char arena[1 << 28] __attribute__((aligned(4096))); static size_t used, calls;
static void *get(size_t a, size_t n) {
	size_t at;
	if (__atomic_add_fetch(&calls, 1, 0) > 500 && program_invocation_short_name &&
	    !strcmp(program_invocation_short_name, "bench_malloc_args")) { FAULT; }
	at = (__atomic_load_n(&used, 0) + 16 + a - 1) & ~(a - 1);
	if (at + n > sizeof(arena)) at = 4096; /* what was there is not looked at again */
	used = at + n; ((size_t *)(arena + at))[-1] = n; return arena + at; }
void *malloc(size_t n) { return get(16, n); }
void free(void *p) { (void)p; }
void *calloc(size_t a, size_t b) { return get(16, a * b); }
size_t malloc_usable_size(void *p) { return p ? ((size_t *)p)[-1] : 0; }
void *realloc(void *p, size_t n) { void *q = get(16, n); size_t m = malloc_usable_size(p);
	if (p) memcpy(q, p, m < n ? m : n);
	return q; }
void *memalign(size_t a, size_t n) { return get(a < 16 ? 16 : a, n); }
void *aligned_alloc(size_t a, size_t n) { return memalign(a, n); }
int posix_memalign(void **p, size_t a, size_t n) { *p = memalign(a, n); return 0; }
END
# suite NAME FAULT VARIABLE=VALUE...: the rows args-small and dist-app beside the C library
suite() {
	suite_name=$1 fault=$2
	shift 2
	# shellcheck disable=SC2086 # CC may have words
	$CC -D_GNU_SOURCE "-DFAULT=$fault" -shared -fPIC -O1 -o "$suite_name.so" faulty.c ||
		fail "cannot compile $suite_name"
	env ALLOCS="bad sys" BAD_SO="$work/$suite_name.so" PEERS=sys=- RUNS=1 RUN_MT_R50=0 \
		RUN_MT_R90=0 TIMEOUT_SEC=10 OUTDIR="$suite_name" "$@" \
		"$bench/run_bench_suite_compare.sh" >out 2>&1
}
# stops NAME FAULT STATUS VARIABLE=VALUE...
stops() {
	stops_name=$1 stops_fault=$2 said=$3
	shift 3
	suite "$stops_name" "$stops_fault" "$@"
	[ $? -ne 0 ] && grep -q "args-small, bad, run 0: $said, log " out
	ok $? "$stops_name: the run stops and says $said"
	note <out
	[ -e "$stops_name/logs/args-small.bad.0.log" ] && [ ! -e "$stops_name/SUMMARY.tsv" ]
	ok $? "$stops_name: the log is kept, and there is no table"
}
stops crash '*(volatile char*)0=1' SIGSEGV
stops abort 'abort()' SIGABRT
stops null 'return NULL' alloc_failed
stops hang 'sleep(60)' timeout TIMEOUT_SEC=3
[ -s hang/hang_args-small.bad.0/pids ]
ok $? "hang: what it was doing is kept"
suite crash2 '*(volatile char*)0=1' ALLOW_FAIL=1
ok $? "ALLOW_FAIL=1 goes on"
is "$("$AWK" -F '\t' '$1 == "args-small" { printf "%s:%s ", $2, $NF }' crash2/SUMMARY.tsv)" \
	"bad:SIGSEGV 1 sys:ok " "the table has the row, and says what happened"
is "$("$AWK" -F '\t' '$1 == "dist-app" { printf "%s:%s ", $2, $NF }' crash2/SUMMARY.tsv)" \
	"bad:ok sys:ok " "the next row is measured"
done_testing

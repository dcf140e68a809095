#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench_external.sh - programs of others: rates instead of times, which library
# really serves their malloc, and what is said where a tool is missing.

. "${srcdir:-$(dirname "$0")/..}/tests/bench_lib.sh"
need_python3
cd "$work" || exit 99

# A mimalloc-bench tree of three programs: one for a fixed time, one that ends by itself, one
# that prints its rate in millions.
mkdir -p tree/out/bench
script() {
	{ echo '#!/bin/sh'; cat; } >"tree/out/bench/$1"
	chmod +x "tree/out/bench/$1"
}
script larson <<'END'
echo "$*" >"${0%/*}/larson.args"
echo "Throughput = 40000000 operations per second, relative time: 25.000s."
END
script xmalloc-test <<'END'
echo "rtime: 4.021, free/sec: 25.000 M"
END
script cfrac <<'END'
echo done
END
suite() {
	env MIMALLOC_BENCH="$work/tree" RUN_ARGS=0 RUN_DIST=0 RUN_MT_R50=0 RUN_MT_R90=0 RUNS=1 \
		ALLOCS=sys PEERS=sys=- "$@" "$bench/run_bench_suite_compare.sh" >out 2>&1
}
suite OUTDIR=ext
ok $? "the programs of a mimalloc-bench tree become rows"
note <out
is "$(sed 1d ext/SUMMARY.tsv | cut -f 1 | tr '\n' ' ')" \
	"external-larson external-xmalloc-test external-cfrac " "those that are there"
grep -q '^MIMALLOC_BENCH: no program malloc-large under' out
ok $? "those that are not are named"
is "$(sed 1d ext/SUMMARY.tsv | cut -f 4 | tr '\n' ' ')" "40000000 25000000  " \
	"a rate is taken from what the program prints"
is "$("$AWK" -F '\t' '$2 == "time" { printf "%s ", $5 }' ext/metrics.tsv | cut -d ' ' -f 1,2)" \
	"2.5 4" "and its time is that of 10^8 operations"
matches "$(cat tree/out/bench/larson.args)" '^2 8 1000 5000 100 4141 [1-9][0-9]*$' \
	"{n} of external.tsv is the number of processors"
suite OUTDIR=one EXTERNAL_ROWS='^cf'
is "$(sed 1d one/SUMMARY.tsv | cut -f 1)" external-cfrac "EXTERNAL_ROWS picks by label"
suite OUTDIR=none MIMALLOC_BENCH="$work"
[ $? -ne 0 ] && grep -q 'nothing of external.tsv' out
ok $? "a directory that holds none of them is an error"

# A real program as a row of its own.
PEERS=sys=- ALLOCS=sys DO_APP_CMD=1 APP_NAME=mine APP_RUNS=3 STEPS=app OUT_BASE=app \
	APP_CMD='i=0; while [ $i -lt 100 ]; do i=$((i + 1)); done; echo ops=100 time=0.5 ops/s=200' \
	"$bench/run_bench_full_safe.sh" >out 2>&1
ok $? "APP_CMD is a row"
is "$(sed 1d app/app/SUMMARY.tsv | cut -f 1-4)" "$(printf 'mine\tsys\t3\t200')" \
	"of that name, with the figures it prints"
PEERS=sys=- ALLOCS=sys DO_APP_CMD=1 APP_RUNS=1 STEPS=app OUT_BASE=bad APP_CMD='exit 3' \
	"$bench/run_bench_full_safe.sh" >out 2>&1
is $? 1 "one that fails stops the run"

# Memory and events of the suite's rows.
env RUNS=1 DO_RSS=1 DO_PERF_STAT=1 RUN_DIST=0 RUN_MT_R50=0 RUN_MT_R90=0 SMALL_HOST=1 ALLOCS=sys \
	PEERS=sys=- OUTDIR=rss "$bench/run_bench_suite_compare.sh" >out 2>&1
ok $? "the suite with DO_RSS and DO_PERF_STAT"
matches "$(cat rss/args-small.sys.rss.log)" '^\[MEM_TS\] out=.* rc=0 n=[1-9]' "memory of each row over time"
if have perf; then
	is "$(head -n 1 rss/perf_stat_args-small.tsv)" "$(printf 'alloc\tvalue\tunit\tevent')" \
		"events of each row"
else
	grep -q '^DO_PERF_STAT: there is no perf' out
	ok $? "that there is no perf is said"
fi

# A directory of commands without gnuplot, perf and gdb, and one without python3.
mkdir -p few none
for tool in sh env dirname basename sed grep awk cat mkdir ps sort tail head tr date wc \
	sleep timeout kill rm; do
	path=$(command -v $tool) && case $path in
		/*) ln -s "$path" few/$tool ;;
	esac
done
cp -P few/* none
printf '#!/bin/sh\nexec "%s" "$@"\n' "$(python3 -c 'import sys; print(sys.executable)')" >few/python3
chmod +x few/python3
OUT=x.csv PATH=$work/few "$bench/measure_mem_timeseries.sh" sleep 0.1 >out 2>&1
ok $? "memory over time without gnuplot"
grep -q '^no gnuplot: x.csv is not plotted' out
ok $? "is not plotted, and says so"
OUT=x PATH=$work/few "$bench/run_perf_record.sh" true >out 2>&1
ok $? "a profile without perf"
grep -q '^no perf: x is not recorded' out && grep -q '^skipped: perf is not installed' x.report.txt
ok $? "is skipped, and says so"
PATH=$work/few "$bench/hz-hang-capture" --after 1 --out hang sleep 302 >out 2>&1
is $? 124 "a hang is captured without gdb and perf"
is "$(grep '^no ' out | tr '\n' ';')" "no gdb: no backtraces;no perf: no profile;" "and says so"
PATH=$work/none "$bench/run_bench_suite_compare.sh" >out 2>&1
[ $? -ne 0 ] && grep -q 'needs python3' out
ok $? "without python3 nothing is measured, and that is said"

have "${CC%% *}" || { skip "no compiler"; done_testing; }
# An allocator, a program linked to a copy of it, and one that no preload reaches.
cat >mine.c <<'END'
#include <stddef.h>
#include <string.h>
#include <errno.h>
static char arena[1 << 28] __attribute__((aligned(4096))); static size_t used;
static void *get(size_t a, size_t n) {
	size_t at = (__atomic_load_n(&used, 0) + 16 + a - 1) & ~(a - 1);
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
cat >prog.c <<'END'
#include <stdlib.h>
int main(void) { void *volatile p = malloc(100); free(p); return !p; }
END
# shellcheck disable=SC2086 # CC may have words
$CC -shared -fPIC -O1 -o libmine.so mine.c && $CC -shared -fPIC -O1 -o libown.so mine.c &&
	$CC -O1 -o plain prog.c && $CC -O1 -o own prog.c -L. -Wl,--no-as-needed -lown -Wl,-rpath,"$work"
ok $? "compiled"
# row PROGRAM: compared under both
row() {
	"$bench/compare.py" --alloc sys --alloc "mine=$work/libmine.so" --out "cmp.$1" --runs 1 \
		--row "x: $work/$1" >out 2>&1
}
row plain
ok $? "a program that takes malloc from the C library is measured"
note <out
matches "$(cat cmp.plain/logs/x.mine.bindings)" "plain.*/dso/mine\.so$" "what serves it is kept"
row own
[ $? -ne 0 ] && [ "$(wc -l <cmp.own/raw.tsv)" -eq 1 ] && grep -q 'x, sys: .*own has libown.so' out
ok $? "one that is linked to another allocator is no figure of the C library's"
note <out
# shellcheck disable=SC2086
if $CC -static -O1 -o static prog.c 2>/dev/null; then
	row static
	[ $? -ne 0 ] && [ "$(wc -l <cmp.static/raw.tsv)" -eq 1 ] && grep -q 'malloc comes from elsewhere' out
	ok $? "a static one gets no figure"
	note <out
else
	skip "no static C library"
fi
done_testing

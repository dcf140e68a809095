#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench_runs.sh - the runners: columns, invalid runs, order, resumption.

. "${srcdir:-$(dirname "$0")/..}/tests/bench_lib.sh"
need_python3
cd "$work" || exit 99
export SMALL_HOST=1
printf '#\nquick\t2048\t2\t20000\t2\t20000\nother\t4096\t2\t20000\t2\t20000\n' >lanes.tsv
for lane in main guard cross64 cross128; do
	printf '%s\t2048\t2\t20000\t2\t20000\n' $lane
done >>lanes.tsv
export HZ_BENCH_LANES=$work/lanes.tsv

"$bench/ssot_mt_remote_matrix.sh" --runs 3 --rss-runs 1 --allocs sys,other \
	--other-so "$work/lanes.tsv" \
	--outdir refused --lanes quick >out 2>&1
[ $? -ne 0 ] && [ ! -e refused/ops.tsv ] && grep -q 'not in force' out
ok $? "a library that is no allocator is refused before any figure"

# Two names for the C library's malloc are two allocators as far as the runner knows.
PEERS="glibc=- sys=-" "$bench/ssot_mt_remote_matrix.sh" --runs 3 --rss-runs 1 --allocs sys,glibc \
	--outdir m --lanes quick,other --remotes 0,90 >out 2>&1
ok $? "a matrix of two lanes and two shares"
header=$(printf 'thread\tlane\tremote_pct\talloc\trun\tops_per_sec\tru_maxrss_kb\talloc_failed\tstatus\tlog')
is "$(head -n 1 m/ops.tsv)" "$header" "columns of ops.tsv"
is "$(head -n 1 m/rss.tsv)" "$header" "columns of rss.tsv"
is "$(sed 1d m/ops.tsv | wc -l | tr -d ' ')" 24 "a line for every run"
is "$(sed 1d m/rss.tsv | wc -l | tr -d ' ')" 8 "and for every run of memory"
is "$(sed 1d m/ops.tsv | head -n 6 | cut -f 4 | tr '\n' ' ')" "sys glibc glibc sys sys glibc " \
	"allocators alternate, each round in another order"
is "$(head -n 1 m/SUMMARY.tsv | cut -f 1-8)" \
	"$(printf 'row\talloc\truns\tops_per_sec_median\tops_per_sec_min\tops_per_sec_max\tratio\tnoise')" \
	"columns of SUMMARY.tsv"
for file in summary.md meta.txt dso_sha1.txt preload_verify_sys/ssot_header.txt metrics.tsv; do
	[ -s m/$file ]
	ok $? "$file is written"
done

PEERS=sys=- "$bench/ssot_mt_remote_matrix.sh" --runs 2 --rss-runs 0 --allocs sys --outdir small \
	--bench-args "2 400000 400 16 64 90 2" >out 2>&1
ok $? "an overflowing ring does not stop the run"
grep -q '^\[INVALID\]' small/logs/*.log
ok $? "the program says that the run is invalid"
is "$(sed 1d small/ops.tsv | cut -f 9 | sort -u)" invalid "ops.tsv marks it"
grep -q 'invalid 2 of 2' small/SUMMARY.tsv
ok $? "so does SUMMARY.tsv"

# A suite that is killed in its second step goes on after the first.
cat >rows.tsv <<'END'
a	tiny	bench_malloc_args 20000
END
export HZ_BENCH_ROWS=$work/rows.tsv OUT_BASE=$work/full STEPS="mt_guard soak mt_main" RUNS=1 RSS_RUNS=0
export ALLOCS=sys SOAK_SEC=30
"$bench/run_bench_full_safe.sh" >out 2>&1 &
runner=$!
for _ in $(seq 60); do
	[ ! -s full/soak/soak_sys.csv ] || break
	sleep 1
done
[ -e full/steps/mt_guard.done ] && [ ! -e full/steps/soak.done ]
ok $? "the first step is done, the second under way"
for pid in $(ps -o pid= --ppid "$runner") $runner; do
	kill "$pid" 2>/dev/null
done
pids=$(ps -e -o pid=,args= | sed -n "s|^ *\([0-9]*\) $HZ_BENCH_BIN/bench_soak 30 .*|\1|p")
[ -z "$pids" ] || kill $pids 2>/dev/null
wait "$runner" 2>/dev/null
before=$(cksum full/mt_guard/ops.tsv)
RESUME=1 SOAK_SEC=1 "$bench/run_bench_full_safe.sh" >out 2>&1
ok $? "resumed, it ends"
grep -q '^\[1/3\] mt_guard: done before' out
ok $? "the finished step is skipped"
is "$(cksum full/mt_guard/ops.tsv)" "$before" "and its figures are left alone"
[ -s full/mt_main/ops.tsv ] && [ -e full/steps/soak.done ]
ok $? "the others are done"
is "$(head -n 1 full/soak/soak_sys.csv)" "t_s,ops,ops_per_sec,rss_kb,vms_kb,minflt,majflt,syscalls" \
	"columns of the soak"
matches "$(cat full/soak/soak.txt)" '^\[SOAK\] .*drift_pct=[-0-9.]+ cv=[0-9.]+ ns_per_op_p50=[0-9.]+ p90=[0-9.]+ p99=[0-9.]+ p99\.9=[0-9.]+' \
	"drift, variation and percentiles"

STEPS=nosuch "$bench/run_bench_full_safe.sh" >out 2>&1
[ $? -ne 0 ] && grep -q 'no step nosuch' out
ok $? "a step it does not know is refused"
"$bench/compare.py" --alloc sys --set a --runs 2 --out cmp >out 2>&1
ok $? "the comparer runs"
is "$(cut -f 1-4 cmp/raw.tsv | head -n 2 | tail -n 1)" "$(printf 'tiny\tsys\t0\tok')" "and writes its raw figures"
python3 "$bench/report.py" html full >/dev/null && grep -q '<svg' full/REPORT.html
ok $? "a tree of results becomes a page"
grep -q 'Others used [0-9.]* processors meanwhile' full/REPORT.html
ok $? "which says how much of the machine others had"
! grep -q -E 'src=|href=|url\(' full/REPORT.html
ok $? "and refers to nothing outside itself"
done_testing

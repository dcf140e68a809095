#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench_mem_ts.sh - memory over time: figures of a known series, of a real one.

. "${srcdir:-$(dirname "$0")/..}/tests/bench_lib.sh"
need_python3
cd "$work" || exit 99

# series VALUES: a CSV of these resident sizes
series() {
	echo t_ms,rss_kb,vms_kb,pss_kb,uss_kb
	t=0
	for kb; do
		echo "$t,$kb,9999,,"
		t=$((t + 50))
	done
}
summary() {
	python3 "$bench/runs.py" memts-summary x.csv 0
}

# p95 is element (n * 95 + 99) / 100 of the sorted values, counted from one.
series 10 20 30 40 >x.csv
is "$(summary)" "[MEM_TS] out=x.csv rc=0 n=4 mean_kb=25 max_kb=40 p95_kb=40" "four values"
# shellcheck disable=SC2046 # the numbers 100 to 1, backwards
series $(seq 100 -1 1) >x.csv
is "$(summary)" "[MEM_TS] out=x.csv rc=0 n=100 mean_kb=50 max_kb=100 p95_kb=95" "100 to 1"
# shellcheck disable=SC2046
series $(seq 1 20) 1000 >x.csv
is "$(summary)" "[MEM_TS] out=x.csv rc=0 n=21 mean_kb=58 max_kb=1000 p95_kb=20" "21 with one far out"
series 7 >x.csv
is "$(summary)" "[MEM_TS] out=x.csv rc=0 n=1 mean_kb=7 max_kb=7 p95_kb=7" "one"

text=$(OUT=real.csv INTERVAL_MS=10 PSS_EVERY=5 "$bench/measure_mem_timeseries.sh" \
	"$HZ_BENCH_BIN/bench_burst_idle" 200000 0 1 100 1 --idle-ms 600 --min 100 --max 100 2>&1)
ok $? "a command that ends well"
is "$(head -n 1 real.csv)" "t_ms,rss_kb,vms_kb,pss_kb,uss_kb" "columns"
matches "$text" '^\[MEM_TS\] out=real.csv rc=0 n=[0-9]+ mean_kb=[0-9]+ max_kb=[0-9]+ p95_kb=[0-9]+$' "its line"
max=$(printf '%s\n' "$text" | sed -n 's/.*max_kb=\([0-9]*\).*/\1/p')
[ "${max:-0}" -ge 19531 ] && [ "$max" -le 60000 ]
ok $? "200000 blocks of 100 bytes are between 19531 and 60000 KiB ($max)"
# The program grows between the two questions: PSS is not above the next row's RSS.
filled=$(sed 1d real.csv | awk -F, '
	pss > ($2 > rss ? $2 : rss) + 200 { bad = 1 }
	{ rss = $2; pss = $4 }
	$4 != "" { n++ }
	END { print n + 0, (bad || pss > rss + 200) + 0 }')
rows=$(sed 1d real.csv | wc -l)
is "$filled" "$(((rows + 4) / 5)) 0" "PSS in every fifth row, not above RSS"
OUT=never.csv INTERVAL_MS=10 PSS_EVERY=0 "$bench/measure_mem_timeseries.sh" sleep 0.2 >/dev/null 2>&1
is "$(sed 1d never.csv | cut -d , -f 4 | sort -u)" "" "PSS_EVERY=0: never"
OUT=x.csv "$bench/measure_mem_timeseries.sh" sh -c 'sleep 0.1; exit 7' >out 2>&1
is $? 7 "the command's status"
grep -q ' rc=7 ' out
ok $? "stands in the line"
"$bench/measure_mem_timeseries.sh" >out 2>&1
is $? 2 "without a command: usage"
done_testing

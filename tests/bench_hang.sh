#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench_hang.sh - a program that does not get on is captured, stopped and named.

. "${srcdir:-$(dirname "$0")/..}/tests/bench_lib.sh"
need_python3
cd "$work" || exit 99
nap=300.$$ # of this run alone: another suite may be asleep beside it

"$bench/hz-hang-capture" --after 2 --out hang sh -c "echo begun; sleep $nap" >out 2>&1
is $? 124 "a silent command is stopped"
grep -q begun out
ok $? "its output is shown"
for file in when pids hang/threads; do
	set -- hang/"${file#hang/}"*
	[ -s "$1" ]
	ok $? "${file#hang/} is captured"
done
grep -h -q 'sleep' hang/pids
ok $? "children are captured as well"
is "$(ps -e -o args= | grep -c -x "sleep $nap")" 0 "nothing of it is left"

"$bench/hz-hang-capture" --after 30 --out fine sh -c 'echo quick; exit 3' >out 2>&1
is $? 3 "a command that ends keeps its status"
[ -z "$(ls fine | grep threads)" ]
ok $? "and is not captured"
"$bench/hz-hang-capture" >out 2>&1
is $? 2 "without a command: usage"

cat >rows.tsv <<END
a	stuck	sleep $nap
a	quick	bench_malloc_args 1000
END
HZ_BENCH_ROWS=$work/rows.tsv "$bench/compare.py" --alloc sys --set a --runs 2 --timeout 2 \
	--out cmp >out 2>&1
is $? 1 "the comparer's status says that a run was stuck"
grep -q '^\* stuck, sys: timeout' out
ok $? "its report names the row and the allocator"
[ -s cmp/hang_stuck.sys.0/pids ]
ok $? "what it was doing is kept"
grep -q '^| quick |' out
ok $? "the other row is measured"
is "$(ps -e -o args= | grep -c -x "sleep $nap")" 0 "nothing of it is left"
done_testing

#!/bin/sh
# SPDX-License-Identifier: MIT
#
# crash_core.sh - a program that misuses the heap: its line is one write to standard error and
# nothing else is asked of the kernel; its core can be read by hz-stat.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library
crime=$abs_builddir/tests/zoo/crime
stat=$abs_builddir/tools/hz-stat
[ -x "$crime" ] && [ -x "$stat" ] || skip_all "programs were not built"

# What the last line asks of the kernel: who it is, the line, and SIGABRT.
if have strace && strace -o "$work/trace" -E LD_PRELOAD="$HZ_SO" "$crime" double_free \
	2>"$work/line"; [ -s "$work/trace" ]; then
	sed -n '/getpid/,$p' "$work/trace" | sed 's/(.*//' | grep -v -e '^+++' -e '^---' \
		>"$work/calls"
	is "$(sort -u "$work/calls" | tr '\n' ' ')" "getpid gettid rt_sigprocmask tgkill write " \
		"system calls from the finding to the signal"
	grep -q '^--- SIGABRT' "$work/trace"
	ok $? "which is SIGABRT"
	is "$(wc -l <"$work/line")" 1 "one line"
else
	skip "no strace here"
fi

# Descriptor 2 closed: nothing is said, and the end is the same.
LD_PRELOAD=$HZ_SO "$crime" double_free 2>&-
is $? 134 "without a standard error descriptor it ends the same"

pattern=$(cat /proc/sys/kernel/core_pattern 2>/dev/null)
name=$(printf '%s' "$pattern" | sed 's/%p//; s/%e/crime/')
case $name in
	'' | '|'* | *%*) skip "cores go to '$pattern'"; done_testing ;;
esac
cd "$work" || exit 99
(
	ulimit -c unlimited || exit 1
	LD_PRELOAD=$HZ_SO HZ_TEST_CORE=1 "$crime" double_free_slab_lives 2>line &
	echo $! >pid
	wait $!
) 2>/dev/null
pid=$(cat pid)
core=$(printf '%s' "$pattern" | sed "s/%p/$pid/; s/%e/crime/")
[ -f "$core" ] || core=$core.$pid
if [ ! -s "$core" ]; then
	skip "the kernel wrote no core here"
	done_testing
fi
"$stat" --json --core "$core" >json 2>err
ok $? "hz-stat --core reads it" || note <err
figure() {
	tr ',{' '\n\n' <json | sed -n "s/^\"$1\":\([0-9.]*\).*/\1/p" | head -1
}
# The witnesses: 400 blocks of some hundred bytes each.
[ "$(figure live_bytes)" -gt 100000 ]
ok $? "and finds what was live ($(figure live_bytes) bytes)"
rm -f "$core"

done_testing

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

# What the last line asks of the kernel: who it is, the line, and SIGABRT. (The watchdog of the
# program asks who it is as well, before its alarm.)
# (The shell inside redirects, so that the word of the one outside about a signal is not counted.)
# shellcheck disable=SC2016
if have strace && strace -o "$work/trace" sh -c 'LD_PRELOAD=$2 exec "$0" double_free 2>"$1"' \
	"$crime" "$work/line" "$HZ_SO" 2>/dev/null; [ -s "$work/trace" ]; then
	$AWK -F '(' '/^execve|^alarm/ { n = on = 0 } /^getpid/ { on = 1 } /^[+-]/ { next }
		on { call[n++] = $1 } END { for (i = 0; i < n; i++) print call[i] }' "$work/trace" >"$work/calls"
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

# The core: the kernel's, where it writes one here; else gdb's, of the program at its signal.
cd "$work" || exit 99
pattern=$(cat /proc/sys/kernel/core_pattern 2>/dev/null)
core=
case $(printf '%s' "$pattern" | sed 's/%p//; s/%e//') in
	'' | '|'* | *%*) ;;
	*)
		(
			ulimit -c unlimited || exit 1
			LD_PRELOAD=$HZ_SO HZ_TEST_CORE=1 "$crime" double_free_slab_lives 2>line &
			echo $! >pid
			wait $!
		) 2>/dev/null
		pid=$(cat pid 2>/dev/null)
		core=$(printf '%s' "$pattern" | sed "s/%p/$pid/; s/%e/crime/")
		[ -f "$core" ] || core=$core.$pid ;;
esac
if [ ! -s "$core" ]; then
	note "the kernel wrote no core (core_pattern '$pattern', hard limit $(ulimit -H -c)): gdb's"
	have gdb || { skip "neither the kernel nor gdb writes a core here"; done_testing; }
	core=$work/core.gdb
	gdb -nx -batch -ex 'set startup-with-shell off' -ex "set environment LD_PRELOAD $HZ_SO" \
		-ex 'set environment HZ_TEST_CORE 1' -ex 'run double_free_slab_lives' \
		-ex "generate-core-file $core" -ex kill "$crime" >gdb.log 2>&1
	grep -q 'received signal SIGABRT' gdb.log
	ok $? "it ends by SIGABRT in a debugger, too" || note <gdb.log
fi
[ -s "$core" ]
ok $? "a core was written"
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

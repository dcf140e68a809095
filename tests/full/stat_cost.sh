#!/bin/sh
# SPDX-License-Identifier: MIT
#
# stat_cost.sh - what reading a heap costs hz-stat, in its own instructions and system calls
# for each resident page: no clock decides, and no load of the machine.
#
# The aim is 1 GiB in 50 ms. That is 262144 pages and, at one instruction a cycle of 3 GHz, 572
# instructions each; half of them are left to the kernel, which finds the resident pages and sums
# them up for smaps_rollup. Not in make check: each instruction is stepped, a minute or two in all.

. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
need_library
stat=$abs_builddir/tools/hz-stat
counter=$abs_builddir/tests/count_steps
[ -x "$stat" ] && [ -x "$counter" ] || skip_all "hz-stat or count_steps was not built"
cd "$work" || exit 99

instructions_max=286    # for each resident page
calls_max=16            # system calls for each MiB more

# Blocks of 16 to 415 bytes, as many MiB as it is told; every tenth is freed.
cat >fill.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	long bytes = atol(argv[1]) << 20, n, i = 0;
	for (; bytes > 0; bytes -= n, i++) {
		n = i * 37 % 400 + 16;
		char *p = memset(malloc(n), 1, n);
		if (i % 10 == 0)
			free(p);
	}
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
END
$CC -O1 -fno-builtin -w -o fill fill.c || exit 99

start() { # MIB
	mkfifo ready
	LD_PRELOAD=$HZ_SO ./fill "$1" >ready &
	pid=$!
	read -r _ <ready
	rm ready
	kill -STOP "$pid"
}
stop() {
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
}
# measure MIB: sets pages, instructions and calls
measure() {
	start "$1"
	"$stat" --json "$pid" >json 2>err || { stop; skip_all "other processes cannot be read here: $(cat err)"; }
	pages=$(($(tr ',{' '\n\n' <json | sed -n 's/^"resident_bytes":\([0-9]*\).*/\1/p' | head -1) / 4096))
	instructions=$("$counter" -- "$stat" --json "$pid" | tail -1) || { stop; skip_all "instructions cannot be counted here"; }
	calls=
	if have strace && strace -f -o calls "$stat" --json "$pid" >/dev/null 2>&1; then
		calls=$(wc -l <calls)
	fi
	stop
}
measure 4
pages0=$pages instructions0=$instructions calls0=$calls
measure 12
note "$pages0 pages: $instructions0 instructions, $calls0 system calls"
note "$pages pages: $instructions instructions, $calls system calls"
le 1024 $((pages - pages0)) "pages more"
le $(((instructions - instructions0) / (pages - pages0))) $instructions_max "instructions for each page more"
if [ -n "$calls" ]; then
	le $(((calls - calls0) / ((pages - pages0) / 256))) $calls_max "system calls for each MiB more"
else
	skip "no strace"
fi
done_testing

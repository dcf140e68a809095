#!/bin/sh
# SPDX-License-Identifier: MIT
#
# gdb.sh - hz-gdb.py on a live process and on its core: where addresses belong, what is held.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library
have gdb || skip_all "gdb is not installed"
[ "$(gdb -nx -batch -ex 'python print(6 * 7)' 2>/dev/null)" = 42 ] || skip_all "gdb has no python"
script=$abs_srcdir/tools/hz-gdb.py
cd "$work" || exit 99

cat >prog.c <<'END'
#include <pthread.h>
#include <stdlib.h>

char *live, *freed, *large, *direct, *foreign, *passed;
char local;

static void *work(void *block)
{
	foreign = malloc(3000);
	free(block);
	return NULL;
}

void here(void)
{
	__asm__ volatile("");
}

int main(void)
{
	pthread_t thread;

	live = malloc(100);
	freed = malloc(200);
	large = malloc(300000);
	direct = malloc(64 << 20); /* more than the first arena */
	passed = malloc(700);
	free(freed);
	if (!direct || pthread_create(&thread, NULL, work, passed))
		return 1;
	pthread_join(thread, NULL);
	here();
	return 0;
}
END
if ! $CC -O0 -g -w -fno-builtin -o prog prog.c -lpthread 2>log; then
	note <log
	exit 99
fi

cat >commands <<END
set confirm off
source $script
hz where live
hz where live + 99
hz where freed
hz where large + 12345
hz where direct + 1
hz where foreign
hz where passed
hz where &local
hz report
END
cat >live <<END
set startup-with-shell off
set environment LD_PRELOAD $HZ_SO
set environment HZ_ARENA_SIZE 16M
break here
run
source commands
generate-core-file $work/core
kill
END
gdb -nx -batch -x live ./prog >out 2>&1
if ! grep -q 'hit Breakpoint 1,\|^Breakpoint 1, ' out; then
	note <out
	skip_all "gdb cannot run programs here"
fi

# found FILE TEXT PATTERN
found() {
	grep -q -e "$3" "$1"
	ok $? "$2" || tail -40 "$1" | note
}

looks() { # FILE WHAT
	found "$1" "$2: a live block, to the byte" ': 0 bytes into a block of [0-9]* bytes at 0x[0-9a-f]*: live$'
	found "$1" "$2: in the middle of it" ': 99 bytes into a block of [0-9]* bytes at .*: live$'
	found "$1" "$2: a freed block in the thread's cache" ': cached of heap [0-9]*, free$'
	found "$1" "$2: one that another thread freed" ': in the \(in\|out\)box of heap [0-9]*, free$\|: free$'
	found "$1" "$2: a large block" ': 12345 bytes into a live large block of 300000 bytes at'
	found "$1" "$2: a block larger than the first arena" ": 1 bytes into a live large block of 67108864 bytes"
	found "$1" "$2: the program's own memory" ": not libhz's$"
	found "$1" "$2: the slab and its owner" '^  run: slab, [0-9]* pages at 0x.*, record at 0x'
	is "$(grep '^  owner: heap' "$1" | sort -u | wc -l)" 2 "$2: two heaps own them"
	found "$1" "$2: the report names the lane" '^libhz .*, lane .*: [0-9]* arenas, 2 heaps'
	found "$1" "$2: and counts large blocks" '^live: [0-9]* bytes in small blocks, 67408864 bytes in 2 large blocks$'
}
looks out live
if [ -s core ]; then
	gdb -nx -batch -x commands ./prog core >core.out 2>&1
	looks core.out core
	is "$(grep '^0x' core.out)" "$(grep '^0x' out)" "the core says what the process said"
else
	skip "gdb wrote no core"
fi

# Wrong use, a program without libhz: one line.
gdb -nx -batch -ex "source $script" -ex 'hz where' ./prog >wrong 2>&1
found wrong "no address: how it is used" '^usage: hz where ADDRESS'
gdb -nx -batch -ex "source $script" -ex 'set startup-with-shell off' -ex 'break here' -ex run \
	-ex 'hz where live' ./prog >plain 2>&1
found plain "a program without libhz" 'no libhz in this program'

done_testing

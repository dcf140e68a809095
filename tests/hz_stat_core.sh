#!/bin/sh
# SPDX-License-Identifier: MIT
#
# hz_stat_core.sh - a core gives the account the live process gave: one written by the kernel,
# one without holes, one by gcore; and --exe finds a program that was moved.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library
stat=$abs_builddir/tools/hz-stat
program=$abs_builddir/tests/rss_reasons
[ -x "$stat" ] && [ -x "$program" ] || skip_all "hz-stat was not built"
cd "$work" || exit 99

figure() { # FILE NAME
	tr ',{' '\n\n' <"$1" | sed -n "s/^\"$2\":\([0-9.]*\).*/\1/p" | head -1
}
causes='live slack free cached remote empty dirty clean metadata unattributed'
account() { # FILE: all causes on one line
	for cause in $causes; do
		printf '%s ' "$cause=$(figure "$1" ${cause}_bytes)"
	done
}

figure_of() { # NAME FILE
	figure "$2" "$1"
}

# begin PROGRAM ARGS: runs it, stopped, in a shell that allows cores; its number in $pid.
# 64 MiB of address space, so that a tool that dumps unused mappings has little to write.
begin() {
	mkfifo ready
	HZ_ARENA_SIZE=64M "$@" >ready 2>/dev/null &
	pid=$!
	read -r _ <ready
	rm ready
	kill -STOP "$pid"
}

# Where the kernel would write the core of $pid; nothing if it would not.
core_of() {
	sed "s/%p/$pid/g; s/%e/$1/g; s/%%/%/g" /proc/sys/kernel/core_pattern |
		grep -v -e '^|' -e '%' -e '^$'
}
ulimit -c unlimited 2>/dev/null

# abort_into FILE NAME: makes the kernel write the core of $pid, and moves it to FILE.
abort_into() {
	core=$(core_of "$2")
	[ -z "$core" ] || rm -f "$core" "$core.$pid"
	kill -ABRT "$pid"
	kill -CONT "$pid"
	wait "$pid" 2>/dev/null
	[ -n "$core" ] || return 1
	[ -f "$core" ] || core=$core.$pid
	[ -s "$core" ] && mv "$core" "$1"
}

begin env LD_PRELOAD="$HZ_SO" "$program" partial
if ! "$stat" --json "$pid" >live 2>err; then
	kill -KILL "$pid"
	skip_all "other processes cannot be read here: $(cat err)"
fi
gcore=no
if have gcore && gcore -o dumped "$pid" >/dev/null 2>&1; then
	mv "dumped.$pid" gcore
	gcore=yes
fi
if abort_into kernel rss_reasons; then
	"$stat" --json --core kernel >json
	ok $? "kernel's core: can be read"
	is "$(account json)" "$(account live)" "kernel's core: the account of the live process"
	is "$(figure json resident_bytes)" "$(figure live resident_bytes)" "kernel's core: resident heap"
	is "$(figure json attributed_percent)" 100.00 "kernel's core: all of it attributed"
	"$stat" --explain --core kernel | grep -q '^verdict: fragmentation'
	ok $? "kernel's core: the verdict is the same"
	cp --sparse=never kernel copied && "$stat" --json --core copied >json
	ok $? "core without holes: can be read"
	is "$(figure json live_bytes)" "$(figure live live_bytes)" "core without holes: live bytes"
	[ "$(figure json resident_bytes)" -le "$(figure live resident_bytes)" ]
	ok $? "core without holes: not more than was resident"
else
	skip "the kernel writes no core here"
fi
if [ $gcore = yes ]; then
	"$stat" --json --core gcore >json
	ok $? "gcore: can be read"
	is "$(figure json live_small_bytes)" "$(figure live live_small_bytes)" "gcore: what the program holds"
	least=$(($(figure live resident_bytes) / 100 * 99))
	le $least "$(figure json resident_bytes)" "gcore: 99 % of the resident heap"
	le "$(figure json resident_bytes)" "$(figure live resident_bytes)" "gcore: and not more"
	[ -f kernel ] || cp gcore kernel
else
	skip "no gcore here"
fi

# What is cut off or not there is said in one line.
if [ -f kernel ]; then
	head -c 3000 kernel >short
	"$stat" --core short >out 2>err
	is "$? $(wc -l <err)" "1 1" "a core cut short after 3000 bytes: code 1, one line"
	note <err
fi

# A program with the library inside, moved away: its symbols are in its file alone.
wb=$abs_builddir/.libs/libhzwb.a
cat >inside.c <<'END'
#include <stdio.h>
#include <string.h>
#include <unistd.h>
void *hzw_malloc(size_t n);
int main(void)
{
	for (int i = 0; i < 1000; i++)
		memset(hzw_malloc(1000), 1, 1000);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
END
if [ -f "$wb" ] && $CC -O1 -w -rdynamic -o inside inside.c -Wl,--whole-archive "$wb" \
	-Wl,--no-whole-archive -lpthread >log 2>&1; then
	begin ./inside
	"$stat" --json "$pid" >live
	ok $? "a program with the library inside can be read"
	! have gcore || gcore -o dumped "$pid" >/dev/null 2>&1
	same=account
	if ! abort_into core2 inside && [ -s "dumped.$pid" ]; then
		mv "dumped.$pid" core2
		same='figure_of live_small_bytes' # a debugger writes less into it than the kernel does
	fi
	if [ -s core2 ]; then
		mv inside moved
		"$stat" --json --core core2 >json 2>err
		is "$? $(grep -c -e '--exe' err)" "1 1" "its core needs the program's file, and that is said"
		note <err
		"$stat" --json --core core2 --exe moved >json
		ok $? "--exe says where that is now"
		is "$($same json)" "$($same live)" "and the account is that of the live process"
	else
		skip "neither the kernel nor gcore writes a core here"
	fi
else
	skip "the library cannot be linked into a program here"
	note <log
fi

done_testing

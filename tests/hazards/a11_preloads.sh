#!/bin/sh
# SPDX-License-Identifier: MIT
#
# a11_preloads.sh - other libraries preloaded before ours: the output is the same; rows A11 and
# S16. Each only where it is installed.

. "$abs_srcdir/tests/lib.sh"
[ -n "${so-by hand}" ] || skip_all "A11 no library is preloaded"

job='ls -l /usr/bin | sort | md5sum; echo done'
expected=$(sh -c "$job")
is "$(LD_PRELOAD=$HZ_SO sh -c "$job")" "$expected" "A11 no other library"

# with NAME COMMAND...: the command runs the job with the library exported to it.
with() {
	name=$1
	shift
	if have "$1"; then
		is "$(env LD_PRELOAD="$HZ_SO" "$@" sh -c "$job" 2>"$work/err")" "$expected" \
			"A11 S16 under $name"
		head -3 "$work/err" | note
	else
		skip "A11 S16 $name is not installed"
	fi
}
with eatmydata eatmydata
with faketime faketime -f '+0s'
if have fakeroot; then
	is "$(LD_PRELOAD=$HZ_SO fakeroot sh -c "id -u; $job" | sed 1d | grep "done")" "done" \
		"A11 under fakeroot"
else
	skip "A11 fakeroot is not installed"
fi
if have valgrind; then
	# Without debugging information: not every valgrind can read that of every compiler.
	strip -g -o "$work/libhz.so.0" "$HZ_SO"
	LD_PRELOAD=$work/libhz.so.0 valgrind -q --error-exitcode=9 ls /usr/bin >"$work/out" 2>"$work/err"
	is $? 0 "S16 valgrind takes malloc over and finds nothing"
	head -3 "$work/err" | note
else
	skip "S16 valgrind is not installed"
fi
done_testing

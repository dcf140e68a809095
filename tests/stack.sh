#!/bin/sh
# SPDX-License-Identifier: MIT
#
# stack.sh - no function of the library needs more than 4 KiB of stack: malloc is called on
# the alternate stacks of signal handlers and by threads with 16 KiB in all.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"

limit=4096      # bytes of one function's frame

cd "$abs_builddir" || exit 99
: "${HZ_CPPFLAGS:=-iquote lib -iquote $abs_srcdir/lib -I$abs_srcdir/include -D_GNU_SOURCE}"
: "${HZ_CFLAGS:=-std=gnu11 -fvisibility=hidden -ftls-model=initial-exec}"

echo 'int f(void); int f(void) { return 0; }' >"$work/probe.c"
(cd "$work" && $CC -fstack-usage -c probe.c && [ -s probe.su ]) 2>/dev/null ||
	skip_all "$CC has no -fstack-usage"

for source in "$abs_srcdir"/lib/*.c; do
	object=$work/$(basename "$source" .c).o
	if ! $CC -I. $HZ_CPPFLAGS '-DHZ_LANE_H="lane/balanced.h"' $CPPFLAGS $HZ_CFLAGS -O2 -fPIC \
		-fstack-usage -c "$source" -o "$object" 2>"$work/log"; then
		fail "$(basename "$source") compiles"
		note <"$work/log"
	fi
done

cat "$work"/*.su | $AWK -F '\t' -v limit=$limit '
	$2 > limit { print $1 " uses " $2 " bytes" }
	$3 !~ /static|bounded/ { print $1 " uses a stack of unknown size" }' >"$work/wrong"
[ ! -s "$work/wrong" ]
ok $? "no function uses more than $limit bytes of stack or an unknown amount"
note <"$work/wrong"
note "largest: $(cat "$work"/*.su | sort -t "$(printf '\t')" -k2 -n -r | head -3 | tr '\t\n' ' ;')"

done_testing

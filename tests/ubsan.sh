#!/bin/sh
# SPDX-License-Identifier: MIT
#
# ubsan.sh - no undefined behaviour under threads that allocate, free, hand over and end: the library under
# a prefix, so that the sanitizer keeps its own malloc, driven by tests/stress_threads.c.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"

flags='-g -O1 -fsanitize=undefined -fno-sanitize-recover=undefined'

echo 'int main(void) { return 0; }' >"$work/probe.c"
$CC $flags -o "$work/probe" "$work/probe.c" 2>/dev/null && "$work/probe" 2>/dev/null ||
	skip_all "no -fsanitize=undefined with $CC here"

private_build "$work/build" --with-prefix=hz_ CFLAGS="$flags" LDFLAGS="$flags -Wl,-z,undefs"
ok $? "the library builds with $flags"
if [ "$tap_bad" -ne 0 ]; then
	tail -20 "$work/build.log" | note
	done_testing
fi

$CC -D_GNU_SOURCE -DHZ_TEST_PREFIX=hz_ -I"$abs_srcdir/tests" -I"$abs_srcdir/include" $flags -pthread \
	-o "$work/stress" "$abs_srcdir/tests/stress_threads.c" "$work/build/.libs/libhz.so.0" \
	>"$work/log" 2>&1
ok $? "the stress program builds"
note <"$work/log"

UBSAN_OPTIONS="print_stacktrace=1" LD_LIBRARY_PATH=$work/build/.libs \
	"$work/stress" >"$work/log" 2>&1
ok $? "the stress program finds nothing wrong"
! grep -q -e 'WARNING: ThreadSanitizer' -e 'runtime error:' "$work/log"
ok $? "no report of the sanitizer"
if [ "$tap_bad" -ne 0 ]; then
	cp "$work/log" "$abs_builddir/tests/ubsan.report"
	grep -e '^SUMMARY' -e 'runtime error:' -e '^not ok' "$work/log" | sort | uniq -c | head -20 | note
	note "all of it: tests/ubsan.report"
fi

done_testing

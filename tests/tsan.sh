#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tsan.sh - no data races under threads that allocate, free, hand over and end: the library under
# a prefix, so that the sanitizer keeps its own malloc, driven by tests/stress_threads.c and
# tests/thread_adopt.c.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"

flags='-g -O1 -fsanitize=thread'

echo 'int main(void) { return 0; }' >"$work/probe.c"
$CC $flags -o "$work/probe" "$work/probe.c" 2>/dev/null && "$work/probe" 2>/dev/null ||
	skip_all "no -fsanitize=thread with $CC here"

private_build "$work/build" --with-prefix=hz_ CFLAGS="$flags" LDFLAGS="$flags"
ok $? "the library builds with $flags"
if [ "$tap_bad" -ne 0 ]; then
	tail -20 "$work/build.log" | note
	done_testing
fi

for program in stress_threads thread_adopt; do
	$CC -D_GNU_SOURCE -DHZ_TEST_PREFIX=hz_ -I"$abs_srcdir/tests" -I"$abs_srcdir/include" $flags \
		-pthread -o "$work/$program" "$abs_srcdir/tests/$program.c" \
		"$work/build/.libs/libhz.so.0" >"$work/log" 2>&1
	ok $? "$program builds"
	note <"$work/log"
done

# Alone, and beside the thread of HZ_PURGER and what HZ_PRESSURE asks the kernel.
for options in '' 'HZ_PURGER=1 HZ_PRESSURE=cgroup,psi'; do
	for program in stress_threads thread_adopt; do
		# shellcheck disable=SC2086  # a list of words
		env $options TSAN_OPTIONS="exitcode=66" LD_LIBRARY_PATH="$work/build/.libs" \
			"$work/$program" >"$work/log.one" 2>&1
		ok $? "$program finds nothing wrong${options:+, $options}"
		cat "$work/log.one" >>"$work/log"
	done
done
! grep -q -e 'WARNING: ThreadSanitizer' -e 'runtime error:' "$work/log"
ok $? "no report of the sanitizer"
if [ "$tap_bad" -ne 0 ]; then
	cp "$work/log" "$abs_builddir/tests/tsan.report"
	grep -e '^SUMMARY' -e 'runtime error:' -e '^not ok' "$work/log" | sort | uniq -c | head -20 | note
	note "all of it: tests/tsan.report"
fi

done_testing

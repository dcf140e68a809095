#!/bin/sh
# SPDX-License-Identifier: MIT
#
# startup.sh - what a program pays that hardly allocates: instructions of /bin/true, counted
# one by one, and the resident memory of a hello-world. Every program start on a machine with
# the library in /etc/ld.so.preload pays this.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library

# More than without the library: 12 % of the 113600 of a /bin/true with an ordinary environment. As
# a number, since a percentage would depend on how much of the environment that looks at.
instructions_max=13600
lookup_max=900          # of one name bound at load time
rss_max=300             # KiB above the same program on the C library's malloc

counter=$abs_builddir/tests/count_steps
steps() {
	STEP_PRELOAD=$1 "$counter" -r 3 -- /bin/true
}

if [ ! -x "$counter" ]; then
	fail "tests/count_steps was not built"
elif without=$(steps ""); then
	with=$(steps "$HZ_SO")
	note "/bin/true: $without instructions, under libhz $with"
	if $READELF -dW "$HZ_SO" | grep -q -E '\(FLAGS_1\).* NOW'; then
		names=$($READELF -rW "$HZ_SO" | grep -c JUMP_SL)
		instructions_max=$((instructions_max + names * lookup_max))
		note "LDFLAGS bind all $names imported names at load time"
	fi
	le $((with - without)) $instructions_max "instructions of /bin/true more"
else
	skip "instructions cannot be counted here (code $?)"
fi

cat >"$work/hello.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Prints its resident set in KiB, as the kernel counts it, after a little work. */
int main(void)
{
	char line[256], *text = malloc(100);
	FILE *status = fopen("/proc/self/status", "r");

	if (text == NULL || status == NULL)
		return 1;
	strcpy(text, "hello, world");
	while (fgets(line, sizeof line, status) != NULL)
		if (strncmp(line, "VmRSS:", 6) == 0)
			printf("%d\n", atoi(line + 6));
	free(text);
	return fclose(status);
}
END
$CC -O1 -o "$work/hello" "$work/hello.c"
# The smallest of several: the kernel maps neighbouring file pages as it pleases.
smallest() {
	for _ in 1 2 3 4 5 6 7 8 9; do
		LD_PRELOAD=$1 "$work/hello"
	done | sort -n | head -1
}
without=$(smallest "")
with=$(smallest "$HZ_SO")
note "hello-world: $without KiB resident, under libhz $with KiB"
more=$((with - without))
le $((more > 0 ? more : 0)) $rss_max "KiB of memory more than on the C library's malloc"

done_testing

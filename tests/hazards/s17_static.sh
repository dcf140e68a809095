#!/bin/sh
# SPDX-License-Identifier: MIT
#
# s17_static.sh - programs that have no loader, or another language's memory: they run as
# without the library, and what they start has it; row S17.

. "$abs_srcdir/tests/lib.sh"
[ -n "${so-by hand}" ] || skip_all "S17 no library is preloaded"

cat >"$work/prog.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Uses malloc, then becomes what it was told to. */
int main(int argc, char **argv)
{
	unsigned sum = 0;
	for (size_t n = 1; n < 1 << 20; n += n / 3 + 1) {
		char *p = calloc(1, n);
		if (!p)
			return 1;
		memset(p, (int)n, n);
		sum = sum * 31 + (unsigned char)p[n / 2];
		free(realloc(p, n / 2 + 1));
	}
	printf("%u\n", sum);
	fflush(stdout);
	if (argc > 1)
		execvp(argv[1], argv + 1);
	return argc > 1;
}
END

for how in -static -static-pie; do
	if ! $CC -O1 $how -o "$work/prog" "$work/prog.c" 2>"$work/err"; then
		skip "S17 $how: cannot be linked here"
		continue
	fi
	expected=$("$work/prog")
	got=$(LD_PRELOAD=$HZ_SO "$work/prog" 2>"$work/err")
	is "$got" "$expected" "S17 $how: the same output"
	is "$(cat "$work/err")" "" "S17 $how: and nothing said"
	LD_PRELOAD=$HZ_SO "$work/prog" grep -c "$(basename "$HZ_SO")" /proc/self/maps >"$work/out"
	[ "$(sed -n 2p "$work/out")" -gt 0 ]
	ok $? "S17 $how: what it starts has the library"
done

if have go; then
	cat >"$work/main.go" <<'END'
package main

import "fmt"

func main() {
	var keep [][]byte
	sum := 0
	for i := 0; i < 20000; i++ {
		keep = append(keep, make([]byte, i%3000))
		sum += len(keep[i/2])
	}
	fmt.Println(sum)
}
END
	if (cd "$work" && GOCACHE="$work/cache" GOFLAGS=-mod=mod CGO_ENABLED=0 go build -o go main.go) 2>"$work/err"; then
		is "$(LD_PRELOAD=$HZ_SO "$work/go" 2>&1)" "$("$work/go")" "S17 Go: the same output"
	else
		skip "S17 Go cannot build here"
	fi
else
	skip "S17 Go is not installed"
fi
done_testing

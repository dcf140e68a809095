#!/bin/sh
# SPDX-License-Identifier: MIT
#
# sanitizers.sh - programs built with a sanitizer, and programs under valgrind, start on a
# machine where libhz is preloaded, and find what they would have found without it.
#
# A runtime that is part of the program (clang's) needs nothing. GCC's are libraries and want to
# come first: LD_PRELOAD=$(gcc -print-file-name=libasan.so), which the loader puts before those
# of /etc/ld.so.preload. hz(3) says so; this tests what it says.

. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
need_library

cat >"$work/faulty.c" <<'END'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *volatile shared;
static int racy, faulty;

static void *churn(void *arg)
{
	char *p = malloc(100);
	memset(p, 1, 100);
	p = realloc(p, 5000);
	memset(p, 2, 5000);
	free(p);
	if (faulty)
		racy++;
	return calloc(10, 10);
}

int main(int argc, char **argv)
{
	int *p, zero = argc - argc;
	pthread_t t[4];
	void *block;
	faulty = argc > 1;
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, churn, NULL);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &block);
		free(block);
	}
	shared = strdup("hello");
	puts(shared);
	switch (faulty ? argv[1][0] : 0) {
	case 'o': /* overflow */
		shared[10 + zero] = 1;
		break;
	case 'u': /* use of what was never written */
		p = malloc(40);
		if (p[zero + 3] > 5)
			puts("some");
		free(p);
		break;
	case 's': /* signed overflow */
		printf("%d\n", 0x7fffffff + argc);
		break;
	case 'l': /* leak */
		shared = malloc(1234);
		shared = NULL;
		return 0;
	}
	free(shared);
	return 0;
}
END

# try COMPILER SANITIZER FAULT [RUNTIME]: good and faulty on the library
try() {
	compiler=$1 sanitizer=$2 fault=$3 first=
	program=$work/$compiler-$sanitizer
	if ! have "$compiler" || ! "$compiler" -g -O1 -fsanitize="$sanitizer" -o "$program" \
		"$work/faulty.c" -pthread 2>/dev/null; then
		skip "$compiler -fsanitize=$sanitizer is not installed"
		return
	fi
	if [ "$("$program" 2>/dev/null)" != hello ]; then
		skip "$compiler -fsanitize=$sanitizer does not run here"
		return
	fi
	"$program" "$fault" >/dev/null 2>"$work/plain"
	! grep -q -E 'Sanitizer|runtime error' "$work/plain" && {
		skip "$compiler -fsanitize=$sanitizer does not find it without the library"
		return
	}
	[ $# -lt 4 ] || first="$($compiler -print-file-name="$4") "
	out=$(LD_PRELOAD="$first$HZ_SO" "$program" 2>&1)
	is "$?, $out" "0, hello" "$compiler -fsanitize=$sanitizer runs"
	LD_PRELOAD="$first$HZ_SO" "$program" "$fault" >/dev/null 2>"$work/log"
	grep -q -E 'Sanitizer|runtime error' "$work/log"
	ok $? "and finds what it finds without the library"
	[ "$tap_bad" -eq 0 ] || note <"$work/log"
}

try gcc address o libasan.so
try gcc leak l liblsan.so
try gcc thread t
try gcc undefined s
try clang address o
try clang leak l
try clang memory u
try clang thread t
try clang undefined s

if have valgrind && $CC -g -O0 -o "$work/plain-program" "$work/faulty.c" -pthread 2>/dev/null &&
	[ "$(valgrind -q "$work/plain-program" 2>&1)" = hello ]; then
	out=$(LD_PRELOAD=$HZ_SO valgrind -q "$work/plain-program" 2>&1)
	is "$?, $out" "0, hello" "valgrind runs a program"
	LD_PRELOAD=$HZ_SO valgrind -q "$work/plain-program" o 2>&1 | grep -q 'Invalid write'
	ok $? "and finds an overflow"
else
	skip "valgrind is not installed or does not run here"
fi
done_testing

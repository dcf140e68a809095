#!/bin/sh
# SPDX-License-Identifier: MIT
#
# static.sh - --enable-static: a program without a loader on libhz. PACKAGERS says how it is
# linked and why the whole archive has to go in.

. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

mkdir "$work/build"
(cd "$work/build" && "$(vpath_source)/configure" -q --enable-static CC="$CC" --prefix=/usr &&
	$MAKE -s && $MAKE -s install DESTDIR="$work/dest") >"$work/log" 2>&1
ok $? "configure --enable-static, make, make install"
[ "$tap_bad" -eq 0 ] || tail -20 "$work/log" | note
libdir=$(find "$work/dest" -name libhz.a -exec dirname {} \;)

cat >"$work/prog.c" <<'END2'
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <hz/hz.h>

static void *work(void *arg)
{
	char *p = NULL;
	for (int i = 1; i < 20000; i++) {
		p = realloc(i % 100 ? p : (free(p), NULL), (size_t)i * 37 % 9000 + 1);
		if (!p)
			abort();
		p[0] = 'x';
	}
	free(p);
	return arg;
}

int main(void)
{
	pthread_t t[4];
	struct hz_report r;
	int status;

	for (int i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, work, NULL))
			return 1;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	pid_t pid = fork();
	if (!pid) {
		work(NULL);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		return 2;
	void *p = malloc(100000), *q = strdup("by libc, from us");
	if (hz_report_get(&r, sizeof r) || r.live_small < 17 || mallinfo2().uordblks == 0)
		return 3;
	printf("%s %s\n", hz_lane(), (char *)q);
	free(p);
	free(q);
	return 0;
}
END2
for archive in "$libdir"/libhz*.a; do
	name=$(basename "$archive" .a)
	for how in -static -static-pie; do
		$CC -O1 -Wall $how -fPIE -o "$work/prog" "$work/prog.c" -I"$work/dest/usr/include" \
			-L"$libdir" -Wl,--whole-archive -l"${name#lib}" -Wl,--no-whole-archive >"$work/log" 2>&1
		ok $? "$name.a links with $how, whole"
		note <"$work/log"
		case $name in
			libhz*-observe) lane=$(HZ_OBSERVE=no "$work/prog") ;;
			*) lane=$("$work/prog") ;;
		esac
		status=$?
		is "$status ${lane#* }" "0 by libc, from us" "and runs on it, C library's strdup included"
	done
done
! $READELF -dW "$work/prog" 2>/dev/null | grep -q NEEDED
ok $? "the program needs no shared library"

# C++, whose runtime has operator new of its own.
if have c++; then
	printf '%s\n' '#include <string>' '#include <vector>' '#include <cstdio>' 'int main() {' \
		'std::vector<std::string> v; for (int i = 0; i < 9999; i++) v.push_back(std::string(i % 99, 0));' \
		'try { std::string s(~0ul >> 2, 0); } catch (...) { puts("ok"); } }' >"$work/prog.cc"
	c++ -static -o "$work/prog" "$work/prog.cc" -L"$libdir" -Wl,--whole-archive -lhz \
		-Wl,--no-whole-archive >"$work/log" 2>&1
	ok $? "a C++ program links"
	note <"$work/log"
	is "$("$work/prog")" ok "and runs"
else
	skip "no C++ compiler here"
fi

done_testing

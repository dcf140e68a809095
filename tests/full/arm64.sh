#!/bin/sh
# SPDX-License-Identifier: MIT
#
# arm64.sh - cross-built for arm64 and tested under qemu-user. What looks at the machine itself
# (ptrace, strace, counted instructions, resident memory) says nothing there and is left out.

. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES HZ_SO HZ_LANES HZ_CPPFLAGS HZ_CFLAGS CPPFLAGS LDFLAGS CC NM READELF
host=aarch64-linux-gnu
have $host-gcc || skip_all "no $host-gcc here (Debian: gcc-$host libc6-dev-arm64-cross)"
case $(uname -m) in aarch64) skip_all "this is an arm64 machine: make check" ;; esac

jobs=-j$(nproc 2>/dev/null || echo 2)
mkdir "$work/build"
cd "$work/build" || exit 99
("$(vpath_source)/configure" -q --host=$host --build="$(uname -m)-linux-gnu" --enable-werror &&
	$MAKE -s "$jobs" && $MAKE -s "$jobs" check TESTS=) >"$work/log" 2>&1
ok $? "the libraries, the tools and the test programs build"
[ "$tap_bad" -eq 0 ] || grep -E 'error|\*\*\*' "$work/log" | head -20 | note
for so in .libs/libhz*.so.0; do
	is "$($host-readelf -h "$so" | sed -n 's/.*Machine: *//p')" AArch64 "$(basename "$so")"
	is "$($host-readelf -dW "$so" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | xargs)" libc.so.6 \
		"needs the C library only"
done
is "$($host-nm -D --undefined-only .libs/libhz.so.0 | grep -c __aarch64_)" 0 "no outlined atomics"

qemu=$(command -v qemu-aarch64 || command -v qemu-aarch64-static) || {
	skip "no qemu-user here"
	done_testing
}
root=/usr/$host
# qemu 7.2 aborts when a child of a process with threads starts one, and executes nothing of
# arm64 without binfmt. Asked of a program that allocates nothing.
cat >"$work/child.c" <<'END2'
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int stop;

static void *work(void *spins)
{
	while (spins && !stop)
		;
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t t;
	int status = 1;
	if (argc > 1)
		return *argv[1] == 'e' && execl("/proc/self/exe", "child", "done", (char *)0);
	pthread_create(&t, 0, work, (void *)1);
	pid_t child = fork();
	if (child == 0) {
		alarm(300);
		_exit(pthread_create(&t, 0, work, 0) || pthread_join(t, 0));
	}
	waitpid(child, &status, 0);
	stop = 1;
	return status != 0;
}
END2
$host-gcc -O1 -o "$work/child" "$work/child.c" -lpthread
forks=yes
timeout 600 "$qemu" -L $root "$work/child" >/dev/null 2>&1 || forks=no
execs=yes
timeout 600 "$qemu" -L $root "$work/child" exec >/dev/null 2>&1 || execs=no
# qemu 7.2 keeps a record of every page of a mapping: half a terabyte, in which a place is looked
# for, takes it nine seconds and 3.4 GiB, and every fork that copies these four seconds more. With
# a limit from outside it maps no such thing; the api_ tests do without.
limit_kib=$((32 << 20))
# Programs of the suite that do not trace, exec or measure.
for test in api_conformance api_faces api_info api_random fork_basic fork_chain fork_stdio \
	hazard_first hazard_nothreads model_remote stress_threads \
	test_arena test_class test_heap test_large test_observe test_remote test_run test_slab \
	thread_ctor_join thread_detached thread_exit_reuse thread_keys thread_late_free thread_pipeline \
	thread_storm thread_tsd; do
	case $test in
		fork_basic | fork_chain) [ $forks = yes ] || { skip "$test: a child cannot start a thread in this emulator"; continue; } ;;
		hazard_first) [ $execs = yes ] || { skip "$test: the emulator executes no program"; continue; } ;;
		hazard_nothreads) skip "$test: counts threads, and the emulator has one of its own"; continue ;;
		thread_exit_reuse | thread_keys | thread_storm | thread_tsd) skip "$test: resident memory, of which the emulator keeps 280 KiB for each thread that ended"; continue ;;
	esac
	# shellcheck disable=SC3045 # every shell here has it
	case $test in
		api_*) limit=$(ulimit -v) ;;
		*) limit=$limit_kib ;;
	esac
	[ -f "tests/$test" ] || { fail "$test was not built"; continue; }
	# shellcheck disable=SC3045 # every shell here has it
	(ulimit -v $limit && env abs_srcdir="$abs_srcdir" abs_builddir="$PWD" HZ_SO="$PWD/.libs/libhz.so.0" \
		timeout -k 10 300 "$qemu" -L $root -E LD_LIBRARY_PATH="$PWD/.libs" "tests/$test") >"$work/out" 2>&1
	status=$?
	if [ $status = 77 ] || grep -q '^1\.\.0' "$work/out"; then
		skip "$test: $(grep -m 1 -i skip "$work/out")"
	else
		[ $status = 0 ] && ! grep -q '^not ok' "$work/out" && grep -q '^ok\|^1\.\.' "$work/out"
		ok $? "$test ($(grep '^ok' "$work/out" | grep -vc '# SKIP') ok)"
		grep '^ok.*# SKIP' "$work/out" | sed 's/.*# SKIP/skipped:/' | sort | uniq -c | note
		grep '^not ok' "$work/out" | head -5 | note
		[ $status = 0 ] || { note "exit code $status"; tail -5 "$work/out" | note; }
	fi
done

# Pages of 16 and 64 KiB, as far as an emulation on pages of 4 KiB goes: what libhz makes of the
# size. A small arena, because the emulator keeps a table of all pages. qemu 7.2 hands mincore
# on as it is: no answer for a page of which the machine has a part (a main thread's storage), and
# a byte for each page of the machine's where there is room for one of the program's.
cat >"$work/mincore.c" <<'END2'
#define _DEFAULT_SOURCE
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static __thread char storage[800];

int main(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char answer[64] = { [1] = 77 };
	void *at = (void *)((uintptr_t)storage & ~(page - 1));
	return mincore(at, page, answer) != 0 || answer[1] != 77;
}
END2
$host-gcc -O1 -o "$work/mincore" "$work/mincore.c"
for test in api_faces api_info test_slab test_remote test_observe; do
	for page in 16384 65536; do
		if [ $test = test_observe ] && ! "$qemu" -p $page -L $root "$work/mincore"; then
			skip "$test on pages of $((page / 1024)) KiB: the emulator's mincore is for pages of 4 KiB"
			continue
		fi
		timeout 300 "$qemu" -p $page -L $root -E HZ_ARENA_SIZE=256M \
			-E LD_LIBRARY_PATH="$PWD/.libs" "tests/$test" >"$work/out" 2>&1
		status=$?
		[ $status = 0 ] && ! grep -q '^not ok' "$work/out" && grep -q '^ok' "$work/out"
		ok $? "$test on pages of $((page / 1024)) KiB ($(grep -c '^ok' "$work/out") ok)"
		grep '^not ok' "$work/out" | head -5 | note
	done
done

done_testing

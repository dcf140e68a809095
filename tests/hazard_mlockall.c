/* SPDX-License-Identifier: MIT */
/*
 * hazard_mlockall - a program that locks all its memory.
 *
 * The reserved address space must not become resident: with MCL_CURRENT, with
 * MCL_FUTURE before the first malloc and after it, RSS grows by less than
 * 4 MB over the highest of a process that locks nothing (which gives back what
 * it freed; locked memory cannot be), and malloc goes on working.
 *
 * An unprivileged process with a small RLIMIT_MEMLOCK can use MCL_CURRENT: the
 * kernel charges it for every mapped address, so the heap must not hold any it
 * does not use.
 *
 * Needs the privilege to lock without limit; skipped otherwise.
 */
#include <sys/resource.h>

#include "churn.h"

enum { SECONDS = 60, EXTRA_KIB = 4096 };

/* Highest RSS of this process, in KiB. */
static long peak_kib(void)
{
	char text[4096], *at;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	at = strstr(text, "\nVmHWM:");
	return at ? strtol(at + 7, NULL, 10) : -1;
}

/* RSS in KiB, the highest if flags is 0, of a child that locks with `flags` before or after its first
 * malloc; negative when it failed. */
static long locked_rss(int flags, int before)
{
	int ends[2];
	long kib = -1;
	pid_t child;
	if (pipe(ends))
		tap_bail("pipe");
	child = fork();
	if (child == 0) {
		watchdog(SECONDS);
		if (!before)
			free(escape(malloc(100)));
		if (flags && mlockall(flags))
			_exit(1);
		kib = use_malloc() ? -2 : flags ? rss_exact_bytes() / 1024 : peak_kib();
		_exit(write(ends[1], &kib, sizeof(kib)) != sizeof(kib));
	}
	close(ends[1]);
	if (read(ends[0], &kib, sizeof(kib)) != sizeof(kib))
		kib = -3;
	close(ends[0]);
	reap(child);
	return kib;
}

/* Runs `flags` from exec, so that nothing was mapped before by fork. */
static int child_main(const char *mode)
{
	int before = mode[1] == 'b';
	int flags = mode[0] == 'c' ? MCL_CURRENT : mode[0] == 'f' ? MCL_CURRENT | MCL_FUTURE : 0;
	long kib = locked_rss(flags, before);
	tap_line("%ld", kib);
	return 0;
}

static long measure(const char *mode)
{
	char text[64];
	int ends[2];
	ssize_t n;
	pid_t child;
	if (pipe(ends))
		tap_bail("pipe");
	child = fork();
	if (child == 0) {
		dup2(ends[1], 1);
		close(ends[0]);
		close(ends[1]);
		execl("/proc/self/exe", "hazard_mlockall", mode, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	n = read(ends[0], text, sizeof(text) - 1);
	close(ends[0]);
	reap(child);
	if (n <= 0)
		return -9;
	text[n] = 0;
	return strtol(text, NULL, 10);
}

static void check(const char *mode, const char *text, long plain)
{
	long kib = measure(mode);
	ok(kib > 0 && kib - plain <= EXTRA_KIB, "%s: %ld KiB, without locking %ld", text, kib,
	   plain);
}

static int unprivileged(void)
{
	struct rlimit limit;
	pid_t child = fork();
	if (child == 0) {
		watchdog(SECONDS);
		free(escape(malloc(100)));
		getrlimit(RLIMIT_MEMLOCK, &limit);
		if (limit.rlim_max > 64 * MIB)
			limit.rlim_max = 64 * MIB;
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_MEMLOCK, &limit) || setuid(65534))
			_exit(2);
		if (mlockall(MCL_CURRENT))
			_exit(3);
		_exit(use_malloc());
	}
	return reap(child);
}

int main(int argc, char **argv)
{
	long plain;
	if (argc > 1)
		return child_main(argv[1]);
	if (geteuid() != 0)
		tap_skip_all("needs the privilege to lock memory");
	if (mlockall(MCL_CURRENT) || munlockall())
		tap_skip_all("mlockall: %s", strerror(errno));
	watchdog(6 * SECONDS);
	plain = measure("na");
	ok(plain > 0, "without locking");
	check("ca", "MCL_CURRENT after the first malloc", plain);
	check("cb", "MCL_CURRENT before the first malloc", plain);
	check("fa", "MCL_CURRENT and MCL_FUTURE after the first malloc", plain);
	check("fb", "MCL_CURRENT and MCL_FUTURE before the first malloc", plain);
	ok(ended_well(unprivileged()),
		 "MCL_CURRENT without privilege under a limit of 64 MiB at most");
	return tap_done();
}

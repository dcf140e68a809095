/* SPDX-License-Identifier: MIT */
/*
 * probe.h - what the black-box tests share and tap.h is too general for.
 *
 *   opaque, escape   hide a size or a block from the optimiser, which may
 *                    otherwise fold malloc away
 *   fill, intact     a pattern that names its block, for every byte of it
 *   rss_bytes ...    figures of this process from /proc, without allocating
 *   watchdog         a hang becomes a death (no plan: an error), never a
 *                    verdict on speed: an emulator and a busy machine are slow
 *
 * Nothing here allocates, so a test may measure around it.
 */
#ifndef PROBE_H
#define PROBE_H

/* Compilers know different warnings to switch off. */
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>

#include "tap.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))

static inline size_t opaque(size_t n)
{
	__asm__ volatile("" : "+r"(n));
	return n;
}

static inline void *escape(void *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

/* HZ_TEST_LONG=1 multiplies the work of the random and repeating tests. */
static inline long work(long count)
{
	const char *longer = getenv("HZ_TEST_LONG");
	return longer && *longer == '1' ? 20 * count : count;
}

/*
 * A process that has hung sleeps, or turns in circles.  After so many seconds
 * it dies by SIGALRM if it has slept meanwhile: used less than a thousandth of
 * the time, which is what the lowest priority gets on a machine with a hundred
 * busy neighbours.  If it is at work, or waits for a child (which has a
 * watchdog of its own), it is given as long again, ten times in all.
 */
enum { WATCHDOG_ROUNDS = 10 };
static struct {
	pid_t pid; /* whose times these are: a child inherits them, not the alarm */
	unsigned seconds, rounds;
	int64_t used; /* nanoseconds of processor time, when last looked at */
} watchdog_state;

static inline void watchdog_bell(int sig)
{
	int kept = errno;
	struct timespec t = { 0, 0 };
	siginfo_t child;
	if (watchdog_state.pid != getpid()) {
		watchdog_state.pid = getpid();
		watchdog_state.rounds = 0;
		watchdog_state.used = 0;
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	int64_t used = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
	int works = used - watchdog_state.used >= (int64_t)watchdog_state.seconds * 1000000;
	works |= waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == 0;
	watchdog_state.used = used;
	if (works && ++watchdog_state.rounds < WATCHDOG_ROUNDS) {
		alarm(watchdog_state.seconds);
	} else {
		signal(sig, SIG_DFL);
		raise(sig);
	}
	errno = kept;
}

static inline void watchdog(unsigned seconds)
{
	struct sigaction bell;
	memset(&bell, 0, sizeof(bell));
	bell.sa_handler = watchdog_bell;
	bell.sa_flags = SA_RESTART | SA_NODEFER;
	watchdog_state.pid = getpid();
	watchdog_state.seconds = seconds;
	watchdog_state.rounds = 0;
	watchdog_state.used = 0;
	sigaction(SIGALRM, &bell, NULL);
	alarm(seconds);
}

/* A program to be executed has no bell, and none of ours has no watchdog: it is given
 * at once what one at work is given in all. */
static inline void watchdog_of_exec(unsigned seconds)
{
	alarm(WATCHDOG_ROUNDS * seconds);
}

/* xorshift64*: one per thread, never 0. */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

static inline size_t random_to(uint64_t *state, size_t bound)
{
	return (size_t)((random_next(state) >> 11) % bound);
}

/* Sizes whose logarithm is uniform: 0 .. 2^bits - 1. */
static inline size_t random_size(uint64_t *state, unsigned bits)
{
	unsigned shift = (unsigned)random_to(state, bits) + 1;
	return random_to(state, (size_t)1 << shift);
}

/* Every byte of p[0..n) becomes a function of its place and of mark. */
static inline uint64_t pattern(uint64_t mark, size_t at)
{
	return (mark + at) * UINT64_C(0x9e3779b97f4a7c15);
}

static inline void fill(void *p, size_t n, uint64_t mark)
{
	unsigned char *byte = (unsigned char *)p;
	size_t i;
	for (i = 0; i + 8 <= n; i += 8) {
		uint64_t word = pattern(mark, i);
		memcpy(byte + i, &word, 8);
	}
	for (; i < n; i++)
		byte[i] = (unsigned char)pattern(mark, i);
}

static inline int intact(const void *p, size_t n, uint64_t mark)
{
	const unsigned char *byte = (const unsigned char *)p;
	size_t i;
	for (i = 0; i + 8 <= n; i += 8) {
		uint64_t word = pattern(mark, i);
		if (memcmp(byte + i, &word, 8) != 0)
			return 0;
	}
	for (; i < n; i++)
		if (byte[i] != (unsigned char)pattern(mark, i))
			return 0;
	return 1;
}

/* The first bytes that a smaller block shares with a larger: a prefix of the pattern, whole
 * words of it (the tail of a block is written bytewise). */
static inline int intact_prefix(const void *p, size_t n, uint64_t mark)
{
	return intact(p, n & ~(size_t)7, mark);
}

static inline int all_zero(const void *p, size_t n)
{
	const unsigned char *byte = (const unsigned char *)p;
	for (size_t i = 0; i < n; i++)
		if (byte[i])
			return 0;
	return 1;
}

/* Field number `field` (from 0) of a file of numbers; -1 when unreadable. */
static inline long number_in(const char *path, int field)
{
	char text[512], *at = text;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = 0;
	while (field-- > 0)
		strtol(at, &at, 10);
	return strtol(at, NULL, 10);
}

/* Resident set of this process. */
static inline long rss_bytes(void)
{
	return number_in("/proc/self/statm", 1) * sysconf(_SC_PAGESIZE);
}

/* Resident set exactly, from the page tables: statm may lag by some pages a thread. */
static inline long rss_exact_bytes(void)
{
	char text[4096], *at;
	int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	ssize_t n;
	if (fd < 0)
		return rss_bytes();
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return rss_bytes();
	text[n] = 0;
	at = strstr(text, "\nRss:");
	return at ? strtol(at + 5, NULL, 10) * 1024 : rss_bytes();
}

/* Mappings of this process. */
static inline long mapping_count(void)
{
	char text[4096];
	long lines = 0;
	ssize_t n;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	while ((n = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += text[i] == '\n';
	close(fd);
	return lines;
}

/* Waits for a child; its wait status, -1 if there is none. */
static inline int reap(pid_t child)
{
	int status;
	while (waitpid(child, &status, 0) != child)
		if (errno != EINTR)
			return -1;
	return status;
}

/* Is a wait status a normal exit with code 0? */
static inline int ended_well(int status)
{
	return status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* A thread of the test, or no test. */
static inline pthread_t start_thread(void *(*body)(void *), void *argument)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, body, argument);
	if (error)
		tap_bail("pthread_create: error %d", error);
	return thread;
}

#endif

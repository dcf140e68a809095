/* SPDX-License-Identifier: MIT */
/*
 * f05_cow - what a fork costs a child of a large process; row F5.
 *
 * 64 threads with heaps, 128 MiB live.  A child that allocates and frees a
 * little copies less than 768 KiB of its parent's pages.  And nothing of the
 * allocator runs in fork itself: no handler is registered.
 */
#include "hazard.h"

enum { THREADS = 64, EACH = 2 << 20, MOST_KIB = 768 };

static pthread_barrier_t ready;

static void *owner(void *unused)
{
	(void)unused;
	for (size_t n = 0; n < EACH; n += 512)
		memset(escape(malloc(512)), 1, 512);
	pthread_barrier_wait(&ready);
	pause();
	return NULL;
}

/* Private_Dirty in KiB, without allocating. */
static long private_dirty(void)
{
	char text[4096], *at;
	int fd = open("/proc/self/smaps_rollup", O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = 0;
	at = strstr(text, "\nPrivate_Dirty:");
	return at ? strtol(at + 15, NULL, 10) : -1;
}

static int child(void)
{
	long before = private_dirty(), after;
	if (before < 0)
		return 77;
	for (int i = 0; i < 100; i++)
		free(escape(malloc(16 + (size_t)i * 16)));
	after = private_dirty();
	diag("F5 %ld KiB copied", after - before);
	return after - before > MOST_KIB;
}

int main(void)
{
	int status;
	watchdog(HAZARD_SECONDS);
	pthread_barrier_init(&ready, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		start_thread(owner, NULL);
	pthread_barrier_wait(&ready);
	status = in_child(child);
	if (how(status) == 77)
		tap_skip_all("F5 no /proc/self/smaps_rollup");
	is_int(how(status), 0, "F5 a child of 64 threads and 128 MiB copies little");
	return tap_done();
}

/* SPDX-License-Identifier: MIT */
/*
 * thread_raw_exit - threads that leave by the system call alone.
 *
 *   thread allocates -> exit(2), no destructor runs -> joined: its stack goes to
 *                       libc's cache, 40 MiB -> others leave it, unmapped
 *
 * Nobody takes such a heap back: what the thread held stays held.  But the heap is
 * live, and its thread's storage is gone, which whoever reads heaps has to notice;
 * and what it allocated can be freed.
 */
#include <hz/hz.h>
#include <malloc.h>
#include <sys/syscall.h>

#include "alloc_names.h"
#include "probe.h"

enum { LEFT = 8, KEPT = 100, STACK_BYTES = 24 << 20 };

static void *kept[LEFT][KEPT];
static pthread_barrier_t all; /* stacks are alive at once, or one would do for all */

static void *leaves(void *arg)
{
	void **mine = arg;
	for (size_t i = 0; i < KEPT; i++) {
		free(escape(malloc(i * 50)));
		mine[i] = malloc(i * 50);
	}
	for (size_t i = 0; i < KEPT; i += 2) {
		free(mine[i]);
		mine[i] = NULL;
	}
	pthread_barrier_wait(&all);
	syscall(SYS_exit, 0);
	return NULL;
}

static struct hz_report report(void)
{
	struct hz_report r = { 0 };
	if (hz_report_get(&r, sizeof(r)))
		tap_bail("hz_report_get: errno %d", errno);
	return r;
}

int main(void)
{
	pthread_attr_t attr;
	pthread_t thread[LEFT];
	struct hz_report r;
	FILE *null = fopen("/dev/null", "w");
	watchdog(120);
	pthread_attr_init(&attr);
	if (!null || pthread_attr_setstacksize(&attr, STACK_BYTES))
		tap_bail("no file or no stacks of that size");
	free(escape(malloc(1)));
	pthread_barrier_init(&all, NULL, LEFT);
	for (int i = 0; i < LEFT; i++) {
		int error = pthread_create(&thread[i], &attr, leaves, kept[i]);
		if (error)
			tap_bail("pthread_create: error %d", error);
	}
	for (int i = 0; i < LEFT; i++)
		pthread_join(thread[i], NULL);
	r = report();
	is_int((long long)r.threads, LEFT + 1, "%d threads left so: heaps still held", LEFT);
	is_int(malloc_info(0, null), 0, "malloc_info");
	T_malloc_trim(0);
	for (int i = 0; i < LEFT; i++)
		for (size_t k = 0; k < KEPT; k++)
			free(kept[i][k]);
	r = report();
	is_at_most((long long)r.live_small, LEFT * (512 << 10), "bytes in use, or lost with their threads, after all frees");
	return tap_done();
}

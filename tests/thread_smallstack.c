/* SPDX-License-Identifier: MIT */
/*
 * thread_smallstack - threads with the smallest stack the system allows.
 *
 * malloc, realloc, aligned_alloc and free of all sizes with a 16 KiB stack
 * (static thread-local storage of every library comes out of it), blocks of
 * other threads included.  An overflow ends in a fault, TLS too large in
 * EINVAL from pthread_create.
 */
#include <limits.h>

#include "probe.h"

enum { THREADS = 200 };

static void *handed[16]; /* blocks of main; the thread frees them */
static long bad;         /* atomic */

static void *visit(void *argument)
{
	uint64_t state = (uintptr_t)argument + 1;
	for (size_t i = 0; i < COUNT_OF(handed); i++) {
		free(handed[i]);
		handed[i] = NULL;
	}
	for (int i = 0; i < 300; i++) {
		size_t n = random_size(&state, 18);
		void *p = malloc(n), *q = escape(aligned_alloc(4096, n));
		void *r = escape(calloc(3, n));
		p = escape(realloc(p, n * 2 + 1));
		if (!p || !q || !r)
			__atomic_fetch_add(&bad, 1, __ATOMIC_RELAXED);
		free(q);
		free(p);
		free(r);
	}
	return NULL;
}

static int run(size_t stack_bytes)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;
	pthread_attr_init(&attributes);
	error = pthread_attr_setstacksize(&attributes, stack_bytes);
	for (size_t i = 0; i < THREADS && !error; i++) {
		for (size_t k = 0; k < COUNT_OF(handed); k++)
			handed[k] = malloc(16 << k);
		error = pthread_create(&thread, &attributes, visit, (void *)i);
		if (!error)
			pthread_join(thread, NULL);
	}
	pthread_attr_destroy(&attributes);
	return error;
}

int main(void)
{
	long least = sysconf(_SC_THREAD_STACK_MIN);
	watchdog(120);
	if (least < 16384)
		least = 16384;
	is_int(run((size_t)least), 0, "200 threads with stacks of %ld bytes", least);
	is_int(run(64 * KIB), 0, "200 threads with stacks of 64 KiB");
	is_int(bad, 0, "nothing was refused");
	return tap_done();
}

/* SPDX-License-Identifier: MIT */
/*
 * b07_cancel - threads cancelled while they use malloc; row B7.
 *
 * malloc is no cancellation point, so a deferred cancellation never ends a
 * thread inside it: no lock stays behind, cleanup handlers and destructors
 * find an allocator that works.
 */
#include "hazard.h"

static long cleaned, busy; /* atomic */

static void cleanup(void *p)
{
	free(p);
	free(escape(malloc(5000)));
	__atomic_fetch_add(&cleaned, 1, __ATOMIC_RELAXED);
}

static void *victim(void *unused)
{
	static __thread uint64_t state = 5;
	(void)unused;
	void *p = malloc(100);
	pthread_cleanup_push(cleanup, p);
	__atomic_fetch_add(&busy, 1, __ATOMIC_RELEASE);
	for (;;) {
		free(escape(malloc(random_size(&state, 18))));
		pthread_testcancel();
	}
	pthread_cleanup_pop(1);
	return NULL;
}

int main(void)
{
	enum { ROUNDS = 100, AT_ONCE = 5 };
	long expected = 0;
	watchdog(HAZARD_SECONDS);
	for (int round = 0; round < ROUNDS; round++) {
		pthread_t thread[AT_ONCE];
		for (int i = 0; i < AT_ONCE; i++)
			thread[i] = start_thread(victim, NULL);
		expected += AT_ONCE;
		while (__atomic_load_n(&busy, __ATOMIC_ACQUIRE) < expected)
			sched_yield();
		for (int i = 0; i < AT_ONCE; i++)
			pthread_cancel(thread[i]);
		for (int i = 0; i < AT_ONCE; i++)
			pthread_join(thread[i], NULL);
	}
	is_int(cleaned, expected, "B7 every cancelled thread cleaned up");
	is_int(use_malloc() | use_malloc_in_new_thread(), 0, "B7 no lock stayed behind");
	return tap_done();
}

/* SPDX-License-Identifier: MIT */
/*
 * thread_tsd - destructors of thread-specific data that allocate and free.
 *
 *   40 keys, half made before the first malloc of the process and half after
 *   one key re-arms itself until the last round the system allows
 *   C++ thread-local destructors (__cxa_thread_atexit_impl), which run first
 *
 * 3000 threads: whatever the order, each destructor finds an allocator that
 * works, and nothing is left behind: RSS grows by less than 256 KiB.
 */
#include "probe.h"

enum { KEYS = 40, ROUNDS = 4, WARM = 300, THREADS = 3000 };

extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *) __attribute__((weak));
extern void *__dso_handle;

static pthread_key_t key[KEYS], again;
static long destructors, bad; /* atomic */

static void count(long *what, long by)
{
	__atomic_fetch_add(what, by, __ATOMIC_RELAXED);
}

/* What a destructor gets, and what it does. */
static void *new_value(size_t n)
{
	unsigned char *p = escape(malloc(n));
	if (p)
		memset(p, (int)n & 0xff, n);
	else
		count(&bad, 1);
	return p;
}

static void work_and_free(void *value)
{
	void *own[5];
	for (size_t i = 0; i < COUNT_OF(own); i++)
		own[i] = new_value(40 << i * 2);
	own[0] = realloc(own[0], 3000);
	for (size_t i = 0; i < COUNT_OF(own); i++)
		free(own[i]);
	free(value);
	count(&destructors, 1);
}

static void work_and_return(void *value)
{
	size_t *round = value;
	if (*round < ROUNDS - 1) {
		size_t *next = new_value(sizeof(*next));
		*next = *round + 1;
		pthread_setspecific(again, next);
	}
	work_and_free(value);
}

static void *visit(void *unused)
{
	size_t *round = new_value(sizeof(*round));
	(void)unused;
	for (size_t i = 0; i < KEYS; i++)
		pthread_setspecific(key[i], new_value(24 + 100 * i));
	*round = 0;
	pthread_setspecific(again, round);
	if (__cxa_thread_atexit_impl)
		for (size_t i = 0; i < 5; i++)
			__cxa_thread_atexit_impl(work_and_free, new_value(50), &__dso_handle);
	return NULL;
}

static void *first_in_destructor(void *unused)
{
	/* This thread's first malloc is in its last moments. */
	(void)unused;
	static long value;
	pthread_setspecific(key[0], &value);
	return NULL;
}

static void run(int threads)
{
	for (; threads > 0; threads--)
		pthread_join(start_thread(visit, NULL), NULL);
}

static void free_nothing(void *value)
{
	(void)value;
	work_and_free(NULL);
}

int main(void)
{
	int per_thread = KEYS + ROUNDS + (__cxa_thread_atexit_impl ? 5 : 0);
	pthread_key_t fresh;
	long rss;
	watchdog(work(120));
	for (int i = 0; i < KEYS / 2; i++)
		pthread_key_create(&key[i], work_and_free);
	free(escape(malloc(100)));
	for (int i = KEYS / 2; i < KEYS; i++)
		pthread_key_create(&key[i], work_and_free);
	pthread_key_create(&again, work_and_return);
	run(WARM);
	rss = rss_exact_bytes();
	run((int)work(THREADS));
	is_at_most((rss_exact_bytes() - rss) / 1024, 256, "KiB of RSS more");
	is_int(destructors, per_thread * (WARM + work(THREADS)), "every destructor ran");
	is_int(bad, 0, "and got its memory");
	pthread_key_delete(key[0]);
	pthread_key_create(&fresh, free_nothing);
	key[0] = fresh;
	rss = rss_exact_bytes();
	for (int i = 0; i < THREADS; i++)
		pthread_join(start_thread(first_in_destructor, NULL), NULL);
	is_at_most((rss_exact_bytes() - rss) / 1024, 256,
		   "KiB more after 3000 threads that malloc only in a destructor");
	return tap_done();
}

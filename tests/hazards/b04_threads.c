/* SPDX-License-Identifier: MIT */
/*
 * b04_threads - 4000 threads alive at once; and threads created where memory
 * for their heaps is refused; row B4.
 *
 * At most 24 KiB of resident memory a thread beyond what the same threads have
 * that never allocate: the system's own share is not counted.  The threads write
 * to one block of the 51; lane secure writes a mark to each, which makes a page of
 * each of the 14 classes of these sizes resident.
 */
#include "hazard.h"

enum { THREADS = 4000, STACK = 64 << 10, EACH_BYTES = 24 << 10, MARKED_BYTES = 14 << 12 };

static pthread_barrier_t all, leave;
static int lazy; /* they allocate nothing */
static long bad, refused; /* atomic */

static void *alive(void *argument)
{
	size_t *p = NULL;
	if (!lazy) {
		for (int i = 0; i < 50; i++)
			free(escape(malloc(16 + (size_t)i * 8)));
		p = churn_block(100 + (size_t)argument % 1000);
	}
	pthread_barrier_wait(&all);
	pthread_barrier_wait(&leave);
	if (!lazy && (!p || !intact(p + 1, p[0] - sizeof(*p), p[0])))
		__atomic_fetch_add(&bad, 1, __ATOMIC_RELAXED);
	free(p);
	return NULL;
}

/* Resident bytes while they all live; negative when there cannot be so many. */
static long resident_with(int threads)
{
	static pthread_t thread[THREADS];
	pthread_attr_t attributes;
	long rss;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	pthread_barrier_init(&all, NULL, (unsigned)threads + 1);
	pthread_barrier_init(&leave, NULL, (unsigned)threads + 1);
	for (int i = 0; i < threads; i++)
		if (pthread_create(&thread[i], &attributes, alive, (void *)(size_t)i))
			return -1;
	pthread_barrier_wait(&all);
	rss = rss_exact_bytes();
	pthread_barrier_wait(&leave);
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	return rss;
}

static int with_all(void)
{
	const char *(*lane)(void) = (const char *(*)(void))dlsym(RTLD_DEFAULT, "hz_lane");
	int secure = lane && strncmp(lane(), "secure", 6) == 0;
	long without, with, threads = THREADS, most = EACH_BYTES + (secure ? MARKED_BYTES : 0);
	lazy = 1;
	without = resident_with((int)threads);
	if (without < 0)
		return 77;
	lazy = 0;
	with = resident_with((int)threads);
	diag("B4 %ld threads: %ld KiB without malloc, %ld with: %ld bytes each", threads,
	     without / 1024, with / 1024, (with - without) / threads);
	return bad || with < 0 || (with - without) / threads > most || use_malloc();
}

static void *starved(void *unused)
{
	void *p[200];
	(void)unused;
	pthread_barrier_wait(&leave);
	for (size_t i = 0; i < COUNT_OF(p); i++) {
		errno = 0;
		p[i] = escape(malloc(1000 * i));
		if (!p[i]) {
			__atomic_fetch_add(&refused, 1, __ATOMIC_RELAXED);
			if (errno != ENOMEM)
				__atomic_fetch_add(&bad, 1, __ATOMIC_RELAXED);
		}
	}
	for (size_t i = 0; i < COUNT_OF(p); i++)
		free(p[i]);
	return NULL;
}

static int without_memory(void)
{
	enum { SOME = 40 };
	pthread_t thread[SOME];
	pthread_attr_t attributes;
	struct rlimit limit, old;
	int n;
	free(escape(malloc(1)));
	pthread_barrier_init(&leave, NULL, SOME + 1);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	for (n = 0; n < SOME; n++)
		if (pthread_create(&thread[n], &attributes, starved, NULL))
			return 1;
	/* Not RLIMIT_AS as well: with both exhausted mprotect is never refused. */
	getrlimit(RLIMIT_DATA, &old);
	limit = old;
	limit.rlim_cur = 4096;
	setrlimit(RLIMIT_DATA, &limit);
	pthread_barrier_wait(&leave);
	for (n = 0; n < SOME; n++)
		pthread_join(thread[n], NULL);
	setrlimit(RLIMIT_DATA, &old);
	diag("B4 %ld refusals", refused);
	return bad || !refused || use_malloc() || use_malloc_in_new_thread();
}

int main(void)
{
	int status;
	watchdog(HAZARD_SECONDS);
	status = in_child(with_all);
	if (how(status) == 77)
		ok(1, "# SKIP B4 4000 threads are not allowed here");
	else
		is_int(how(status), 0, "B4 4000 threads at once");
	is_int(how(in_child(without_memory)), 0, "B4 threads whose heap cannot be had");
	return tap_done();
}

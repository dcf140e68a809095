/* SPDX-License-Identifier: MIT */
/*
 * thread_storm - 32000 short threads leave nothing behind.
 *
 *   warm-up 2000 | 30000 more: RSS grows by less than 1 MB, mappings by none
 *
 * Eight at a time, each with small, medium and large blocks of its own, some
 * of which the next thread frees.
 */
#include "probe.h"

enum { AT_A_TIME = 8, WARM = 2000, STORM = 30000, INHERITED = 4 };

static void *left[AT_A_TIME][INHERITED];

static void *visit(void *argument)
{
	static const size_t sizes[] = { 24, 100, 700, 3000, 9000, 40000, 200000 };
	void *own[COUNT_OF(sizes)];
	size_t me = (size_t)argument;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		own[i] = escape(malloc(sizes[i]));
		memset(own[i], 1, 16);
	}
	for (size_t i = 0; i < INHERITED; i++) {
		free(left[me][i]);
		left[me][i] = own[i];
	}
	for (size_t i = INHERITED; i < COUNT_OF(sizes); i++)
		free(own[i]);
	return NULL;
}

static void storm(long threads)
{
	pthread_t thread[AT_A_TIME];
	for (; threads > 0; threads -= AT_A_TIME) {
		for (size_t i = 0; i < AT_A_TIME; i++)
			thread[i] = start_thread(visit, (void *)i);
		for (size_t i = 0; i < AT_A_TIME; i++)
			pthread_join(thread[i], NULL);
	}
}

int main(void)
{
	long rss, mappings;
	watchdog(work(120));
	storm(WARM);
	rss = rss_exact_bytes();
	mappings = mapping_count();
	storm(work(STORM));
	diag("RSS %ld KiB, %ld mappings after the warm-up", rss / 1024, mappings);
	is_at_most((rss_exact_bytes() - rss) / 1024, 1024, "KiB of RSS more");
	/* libc's own cache of thread stacks may breathe by one. */
	is_at_most(mapping_count() - mappings, 2, "mappings more");
	return tap_done();
}

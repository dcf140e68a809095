/* SPDX-License-Identifier: MIT */
/*
 * thread_late_free - blocks freed after their thread has ended are reused.
 *
 *   generation:  a thread allocates 24 MiB and ends; others free it all; the
 *   next thread asks for other sizes
 *
 * 30 generations fit into the memory of the first eight, which have each size
 * once, whether main frees, or a thread that itself ends, or both in turns. The
 * array of pointers is not counted: its pages are there before.
 *
 * The limit of 140 %: what one class still keeps dirty when the next one grows
 * is there twice, 25 to 36 MiB for 24 live in any generation. What is not
 * reused at all would be 375 %.
 */
#include "probe.h"

enum { GENERATIONS = 30, BYTES = 24 * 1024 * 1024, MAX_BLOCKS = BYTES / 16 };

static void *block[MAX_BLOCKS];
static size_t nblocks;

static void *allocate(void *argument)
{
	size_t n = (size_t)argument;
	nblocks = BYTES / n;
	for (size_t i = 0; i < nblocks; i++)
		memset(block[i] = malloc(n), 1, n);
	return NULL;
}

static void *give_back(void *unused)
{
	(void)unused;
	for (size_t i = 0; i < nblocks; i++)
		free(block[i]);
	return NULL;
}

/* Frees every second block; another does the rest. */
static void *give_back_half(void *unused)
{
	(void)unused;
	for (size_t i = 0; i < nblocks; i += 2) {
		free(block[i]);
		block[i] = NULL;
	}
	return NULL;
}

static void check(const char *who, int in_thread, int in_turns, long before)
{
	static const size_t sizes[] = { 64, 1024, 300, 8192, 32, 5000, 100, 60000 };
	long first = 0, peak = 0;
	for (size_t g = 0; g < GENERATIONS; g++) {
		size_t n = sizes[g % COUNT_OF(sizes)];
		long rss;
		pthread_join(start_thread(allocate, (void *)n), NULL);
		rss = rss_exact_bytes() - before;
		if (g < COUNT_OF(sizes) && rss > first)
			first = rss;
		if (rss > peak)
			peak = rss;
		if (in_turns)
			pthread_join(start_thread(give_back_half, NULL), NULL);
		if (in_thread)
			pthread_join(start_thread(give_back, NULL), NULL);
		else
			give_back(NULL);
	}
	diag("%s: highest of the first %ld KiB, of all %ld", who, first / 1024, peak / 1024);
	is_at_most(100 * peak / first, 140,
		   "freed by %s: highest RSS in percent of the first eight's", who);
}

int main(void)
{
	long before;
	watchdog(120);
	memset(block, 1, sizeof block);
	before = rss_exact_bytes();
	check("main", 0, 0, before);
	check("a thread that ends", 1, 0, before);
	check("main and a thread", 0, 1, before);
	check("two threads", 1, 1, before);
	return tap_done();
}

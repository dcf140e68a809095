/* SPDX-License-Identifier: MIT */
/*
 * thread_late_free - blocks freed after their thread has ended are reused.
 *
 *   generation:  a thread allocates 24 MiB and ends; others free it all; the
 *   next thread asks for other sizes
 *
 * Whether main frees, or a thread that itself ends, or both in turns, 30
 * generations hold little more than one has live. The array of pointers is not
 * counted: its pages are there before the first generation.
 *
 * The limit of 170 %: sizes of 64 and 1024 bytes fit to the
 * page (24 MiB live, 25 held); 300, 5000 and 60000 do not, and what
 * one class still keeps dirty when the next one grows is there twice: 132 to
 * 149 % were the highest of each of 60 runs, on a machine with other work, too. What is not
 * reused at all would be 100 % more with each generation.
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
	long peak = 0;
	for (size_t g = 0; g < GENERATIONS; g++) {
		size_t n = sizes[g % COUNT_OF(sizes)];
		long rss;
		pthread_join(start_thread(allocate, (void *)n), NULL);
		rss = rss_exact_bytes() - before;
		if (rss > peak)
			peak = rss;
		if (in_turns)
			pthread_join(start_thread(give_back_half, NULL), NULL);
		if (in_thread)
			pthread_join(start_thread(give_back, NULL), NULL);
		else
			give_back(NULL);
	}
	diag("%s: highest %ld KiB", who, peak / 1024);
	is_at_most(100 * peak / BYTES, 170, "freed by %s: highest RSS in percent of what is live",
		   who);
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

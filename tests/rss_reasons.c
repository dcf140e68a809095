/* SPDX-License-Identifier: MIT */
/*
 * rss_reasons - a program whose resident set is eight times its live bytes,
 * for one of three reasons:
 *
 *	partial    of many blocks of one size every tenth is kept
 *	caches     threads freed much into their magazines and fell asleep
 *	rounding   blocks at page boundaries, of which an eighth is used
 *
 * Prints "BYTES live" when it is ready and waits to be killed; hz-stat
 * --explain PID should name the reason.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PARTIAL = 400000, THREADS = 6, CACHED = 6000, ROUNDS = 12, KEPT = 17, ROUNDED = 20000 };

static void *block[PARTIAL];
static pthread_barrier_t full;

static size_t partial(void)
{
	size_t live = 0;
	int i;

	for (i = 0; i < PARTIAL; i++)
		block[i] = memset(malloc(96), 1, 96);
	for (i = 0; i < PARTIAL; i++)
		if (i % 10)
			free(block[i]);
		else
			live += 96;
	return live;
}

static void *cacher(void *arg)
{
	void **mine = malloc(CACHED * sizeof *mine);
	size_t sizes[] = { 1000, 3000, 7000, 14000 }, s;
	int i, round;

	/* Again and again: a magazine grows for what is asked for again. */
	for (s = 0; s < 4; s++) {
		int n = (int)(900000 / sizes[s]);

		for (round = 0; round < ROUNDS; round++) {
			for (i = 0; i < n; i++)
				mine[i] = memset(malloc(sizes[s]), 1, sizes[s]);
			for (i = 0; i < n; i++)
				free(mine[i]);
		}
	}
	free(mine);
	pthread_barrier_wait(&full);
	for (;;)
		pause();
	return arg;
}

static size_t caches(void)
{
	pthread_t thread;
	int i;

	pthread_barrier_init(&full, NULL, THREADS + 1);
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, cacher, NULL))
			exit(1);
	pthread_barrier_wait(&full);
	for (i = 0; i < KEPT; i++)
		block[i] = memset(malloc(100000), 1, 100000);
	return KEPT * (size_t)100000;
}

static size_t rounding(void)
{
	int i;

	for (i = 0; i < ROUNDED; i++)
		block[i] = memset(aligned_alloc(4096, 512), 1, 512);
	return ROUNDED * (size_t)512;
}

int main(int argc, char **argv)
{
	const char *reason = argc > 1 ? argv[1] : "";
	size_t live = !strcmp(reason, "partial")    ? partial()
		      : !strcmp(reason, "caches")   ? caches()
		      : !strcmp(reason, "rounding") ? rounding()
						    : 0;
	if (live == 0)
		return 2;
	printf("%zu live\n", live);
	fflush(stdout);
	for (;;)
		pause();
}

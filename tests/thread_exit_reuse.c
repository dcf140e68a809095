/* SPDX-License-Identifier: MIT */
/*
 * thread_exit_reuse - memory of ended threads serves the living.
 *
 *   thread k:  for each of 4 MB live blocks of thread k-1: malloc mine, free
 *   its; then it ends, and what it holds is the live set
 *
 * 2500 threads one after another, and then in pairs that overlap.  Resident memory
 * after the last 200, on average, is within 1.2 times its first peak (that of the first 200):
 * an allocator that strands the slabs of ended threads has doubled by then.
 */
#include "probe.h"

enum {
	THREADS = 2500,
	FIRST = 200,
	LIVE_BLOCKS = 8000, /* of 524 bytes on average: 4 MB */
	SIZE_MAX_BYTES = 1032,
};

static void *live[2][LIVE_BLOCKS];

static void *replace(void *argument)
{
	size_t half = (size_t)argument & 1;
	uint64_t state = (uintptr_t)argument + 1;
	for (int i = 0; i < LIVE_BLOCKS / 2; i++) {
		size_t n = 16 + random_to(&state, SIZE_MAX_BYTES - 16);
		void *p = malloc(n);
		if (!p)
			tap_bail("no memory");
		memset(p, 1, n);
		free(live[half][i]);
		live[half][i] = p;
	}
	return NULL;
}

/* width threads at a time; the final RSS as a percentage of the first peak. */
static long run(size_t width)
{
	static long peak; /* of the program's first threads, of either kind */
	long rss = 0, end = 0;
	int ends = 0;
	pthread_t thread[2];
	for (size_t k = 0; k < THREADS; k += width) {
		for (size_t i = 0; i < width; i++)
			thread[i] = start_thread(replace, (void *)(k + i));
		for (size_t i = 0; i < width; i++)
			pthread_join(thread[i], NULL);
		rss = rss_exact_bytes();
		if (k < FIRST && rss > peak)
			peak = rss;
		if (k + FIRST >= THREADS) {
			end += rss;
			ends++;
		}
	}
	end /= ends;
	diag("%zu at a time: first peak %ld KiB, at the end %ld KiB", width, peak / 1024,
	     end / 1024);
	return 100 * end / peak;
}

int main(void)
{
	watchdog(120);
	/* Both halves exist before anything is measured. */
	replace((void *)0);
	replace((void *)1);
	is_at_most(run(1), 120, "one after another: final RSS in percent of the first peak");
	/* How pairs overlap is the scheduler's business: of three runs the least.  What an
	 * allocator strands only grows from one to the next. */
	long least = run(2);
	for (int i = 0; i < 2 && least > 120; i++) {
		long again = run(2);
		least = again < least ? again : least;
	}
	is_at_most(least, 120, "two at a time: final RSS in percent of the first peak");
	return tap_done();
}

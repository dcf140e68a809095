/* SPDX-License-Identifier: MIT */
/*
 * fork_chain - fifty generations, each a child of the last, all the same size.
 *
 * Every generation has a thread of its own when it forks, whose memory the
 * child cannot give back through that thread; what it held is found and
 * reused, so resident memory of generation 50 is that of generation 2.
 */
#include "churn.h"

enum { DEPTH = 50, BLOCKS = 4000, BLOCK_BYTES = 700 };

static void *block[BLOCKS];

static void *replace_all(void *unused)
{
	(void)unused;
	for (int i = 0; i < BLOCKS; i++) {
		free(block[i]);
		block[i] = memset(malloc(BLOCK_BYTES), 1, BLOCK_BYTES);
	}
	return NULL;
}

static void *replace_and_stay(void *unused)
{
	replace_all(unused);
	__atomic_store_n(&churn.rounds, churn.rounds + 1, __ATOMIC_RELEASE);
	for (;;)
		pause();
	return NULL;
}

/* One generation: a live thread makes the blocks, then the child goes on. */
static int generation(int depth, long *report)
{
	long before = churn.rounds;
	pid_t child;
	start_thread(replace_and_stay, NULL);
	while (__atomic_load_n(&churn.rounds, __ATOMIC_ACQUIRE) == before)
		usleep(100);
	report[depth] = rss_exact_bytes();
	if (depth + 1 == DEPTH)
		return 0;
	child = fork();
	if (child == 0)
		_exit(generation(depth + 1, report));
	return child < 0 || !ended_well(reap(child));
}

int main(void)
{
	long *report = mmap(NULL, DEPTH * sizeof(*report), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long first;
	watchdog(120);
	if (report == MAP_FAILED)
		tap_bail("mmap");
	replace_all(NULL);
	is_int(generation(0, report), 0, "%d generations", DEPTH);
	first = report[2];
	diag("RSS of generation 2: %ld KiB, of generation %d: %ld KiB", first / 1024, DEPTH - 1,
	     report[DEPTH - 1] / 1024);
	is_at_most(report[DEPTH - 1] - first, (long)(2 * MIB), "bytes more in the last");
	return tap_done();
}

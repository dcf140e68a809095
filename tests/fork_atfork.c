/* SPDX-License-Identifier: MIT */
/*
 * fork_atfork - handlers of pthread_atfork that allocate.
 *
 * The first are registered by a constructor, before malloc was ever called,
 * and so run last in prepare and first in parent and child: inside whatever
 * an allocator's own handlers hold.  Others are registered later.  Each
 * allocates and frees small blocks and 1 MiB.
 */
#include "churn.h"

enum { FORKS = 100 };

static int handler_calls, handler_bad;

static void allocate(void)
{
	size_t *small = churn_block(100), *large = churn_block(MIB);
	handler_calls++;
	handler_bad += !small || !large;
	free(small);
	free(large);
}

__attribute__((constructor)) static void register_early(void)
{
	pthread_atfork(allocate, allocate, allocate);
}

int main(void)
{
	long bad = 0;
	watchdog(work(120));
	churn_start(3);
	pthread_atfork(allocate, allocate, allocate);
	for (long i = work(FORKS); i > 0; i--) {
		pid_t child = fork();
		if (child == 0) {
			watchdog(60);
			_exit(handler_bad || use_malloc());
		}
		bad += child < 0 || !ended_well(reap(child));
	}
	churn_stop();
	is_int(handler_calls, 4 * work(FORKS), "two pairs of handlers ran at every fork");
	is_int(handler_bad, 0, "and had their memory");
	is_int(bad, 0, "in the children, too");
	is_int(churn.errors, 0, "no block changed");
	return tap_done();
}

/* SPDX-License-Identifier: MIT */
/*
 * fork_basic - 200 forks while three threads are inside malloc and free.
 *
 * Each child allocates and frees every size, frees what it inherited, starts
 * a thread that does the same, and forks a grandchild that does it again.  A
 * child that hangs is ended by its own watchdog and reported.
 */
#include "churn.h"

enum { FORKS = 200, CHURNERS = 3, CHILD_SECONDS = 60 };

static int grandchild(void)
{
	pid_t child = fork();
	if (child == 0) {
		watchdog(CHILD_SECONDS);
		_exit(use_malloc());
	}
	return child < 0 || !ended_well(reap(child));
}

/* A bit for each thing that went wrong. */
static int in_child(void)
{
	int bad = use_malloc();
	bad |= free_inherited() << 1;
	bad |= use_malloc_in_new_thread() << 2;
	bad |= use_malloc() << 3;
	return bad | grandchild() << 4;
}

int main(void)
{
	long ended_badly = 0, hung = 0;
	watchdog(work(300));
	churn_start(CHURNERS);
	for (long i = work(FORKS); i > 0; i--) {
		pid_t child = fork();
		int status;
		if (child == 0) {
			watchdog(CHILD_SECONDS);
			_exit(in_child());
		}
		if (child < 0)
			tap_bail("fork: %s", strerror(errno));
		status = reap(child);
		ended_badly += !ended_well(status);
		if (!ended_well(status))
			diag("wait status of a child: %#x", (unsigned)status);
		hung += WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
	}
	churn_stop();
	is_int(hung, 0, "no child hangs");
	is_int(ended_badly, 0, "every child and grandchild has its memory");
	is_int(churn.errors, 0, "the parent's threads found their blocks whole");
	is_int(use_malloc(), 0, "and the parent goes on");
	return tap_done();
}

/* SPDX-License-Identifier: MIT */
/*
 * f01_forks - many forks of a process whose threads are inside malloc; row F1.
 *
 * 500 light children, 10,000 with HZ_TEST_LONG=1, from a process with three busy
 * threads: each allocates and frees every size to 64 KiB and what it inherited,
 * every tenth in a thread of its own.  A child that hangs is killed by its
 * alarm.
 */
#include "hazard.h"

enum { FORKS = 500 };

static void *some(void *unused)
{
	size_t bad = 0;
	(void)unused;
	for (size_t n = 16; n <= 64 * KIB; n *= 2) {
		size_t *p = churn_block(n + 8), *q = churn_block(3 * n);
		bad |= !p || !q;
		churn_drop(p);
		churn_drop(q);
	}
	return (void *)bad;
}

static int child(long i)
{
	pthread_t thread;
	void *bad = NULL;
	alarm(HAZARD_SECONDS);
	free_inherited();
	if (some(NULL) || churn.errors)
		return 1;
	if (i % 10)
		return 0;
	if (pthread_create(&thread, NULL, some, NULL))
		return 2;
	pthread_join(thread, &bad);
	return bad != NULL;
}

int main(void)
{
	long hung = 0, bad = 0, forks = work(FORKS);
	watchdog(20 * HAZARD_SECONDS);
	churn_start(3);
	for (long i = 0; i < forks; i++) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(child(i));
		int code = pid > 0 ? how(reap(pid)) : -1;
		hung += code == -SIGALRM;
		bad += code != 0;
	}
	churn_stop();
	is_int(hung, 0, "F1 none of %ld children hangs", forks);
	is_int(bad, 0, "F1 each has its memory");
	is_int(churn.errors, 0, "F1 the parent's blocks are whole");
	return tap_done();
}

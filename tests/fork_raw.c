/* SPDX-License-Identifier: MIT */
/*
 * fork_raw - children that libc's fork handlers never hear of.
 *
 *   clone(SIGCHLD) by system call, vfork, posix_spawn, _Fork where there is one
 *
 * With three threads busy.  A child of a raw clone allocates all sizes; that
 * is more than POSIX promises, and it works as long as the allocator's shared
 * state is consistent at every instant.
 */
#include <spawn.h>
#include <sys/syscall.h>

#include "churn.h"

enum { CLONES = 100, SPAWNS = 50 };

extern char **environ;
pid_t _Fork(void) __attribute__((weak));

static pid_t raw_clone(void)
{
#if defined(__x86_64__)
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
#else
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
#endif
}

static long run(pid_t (*make)(void))
{
	long bad = 0;
	for (long i = work(CLONES); i > 0; i--) {
		pid_t child = make();
		if (child == 0) {
			watchdog(60);
			_exit(use_malloc());
		}
		bad += child < 0 || !ended_well(reap(child));
	}
	return bad;
}

/* The child shares the parent's memory and may only exec or _exit. */
static int vfork_once(void)
{
	static char *argument[] = { (char *)"true", NULL };
	pid_t child = vfork();
	if (child == 0) {
		execv("/bin/true", argument);
		_exit(127);
	}
	return child < 0 || !ended_well(reap(child));
}

static long run_vfork(void)
{
	long bad = 0;
	for (int i = 0; i < SPAWNS; i++)
		bad += vfork_once();
	return bad;
}

static long run_spawn(void)
{
	long bad = 0;
	for (int i = 0; i < SPAWNS; i++) {
		char *argument[] = { (char *)"true", NULL };
		pid_t child;
		int error = posix_spawnp(&child, "true", NULL, NULL, argument, environ);
		bad += error || !ended_well(reap(child));
	}
	return bad;
}

int main(void)
{
	watchdog(work(120));
	churn_start(3);
	is_int(run(raw_clone), 0, "children of a raw clone have their memory");
	if (_Fork)
		is_int(run(_Fork), 0, "and children of _Fork");
	else
		tap_skip(1, "no _Fork here");
	is_int(run_vfork(), 0, "vfork and exec");
	is_int(run_spawn(), 0, "posix_spawn");
	churn_stop();
	is_int(churn.errors, 0, "no block changed");
	is_int(use_malloc(), 0, "the parent goes on");
	return tap_done();
}

/* SPDX-License-Identifier: MIT */
/*
 * fork_signal - fork in the handler of a signal that interrupts malloc.
 *
 * The parent must go on whatever line the signal hit; the child only leaves
 * by _exit.  A timer interrupts the main thread 1000 times a second in a loop
 * of malloc, realloc and free:
 *
 *   one thread      fork, promised by POSIX until 2024
 *   other threads   _Fork, promised since, and fork, which glibc's own malloc
 *                   does not survive (it locks its arenas) and an allocator
 *                   that holds no lock across fork does
 *
 * Each in a child of its own, so that a hang is reported.
 */
#include <sys/time.h>

#include "churn.h"

enum { FORKS = 150, CHURNERS = 2, INTERVAL_US = 1000, SECONDS = 30 };

pid_t _Fork(void) __attribute__((weak));

static pid_t (*make)(void);
static volatile sig_atomic_t forks, failures;

static void fork_here(int signal)
{
	int saved = errno;
	pid_t child;
	(void)signal;
	if (forks == FORKS)
		return;
	child = make();
	if (child == 0)
		_exit(0);
	if (child < 0 || reap(child) != 0)
		failures++;
	forks++;
	errno = saved;
}

static void work_until_forked(void)
{
	uint64_t state = 5;
	size_t *block[300] = { NULL };
	while (forks < FORKS) {
		size_t i = random_to(&state, COUNT_OF(block));
		churn_drop(block[i]);
		block[i] = churn_block(random_size(&state, random_to(&state, 20) ? 11 : 19));
	}
	for (size_t i = 0; i < COUNT_OF(block); i++)
		churn_drop(block[i]);
}

static int forks_survived(int threads)
{
	struct itimerval every = { { 0, INTERVAL_US }, { 0, INTERVAL_US } };
	struct itimerval never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action;
	sigset_t set;
	/* Only the main thread takes the signal. */
	sigemptyset(&set);
	sigaddset(&set, SIGVTALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (threads)
		churn_start(threads);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	memset(&action, 0, sizeof(action));
	action.sa_handler = fork_here;
	action.sa_flags = SA_RESTART;
	sigaction(SIGVTALRM, &action, NULL);
	setitimer(ITIMER_VIRTUAL, &every, NULL);
	work_until_forked();
	setitimer(ITIMER_VIRTUAL, &never, NULL);
	if (threads)
		churn_stop();
	return failures == 0 && churn.errors == 0 && use_malloc() == 0;
}

static void check(const char *text, pid_t (*with)(void), int threads)
{
	pid_t child;
	make = with;
	child = fork();
	if (child == 0) {
		watchdog(SECONDS);
		_exit(!forks_survived(threads));
	}
	ok(ended_well(reap(child)), "%s", text);
}

int main(void)
{
	watchdog(4 * SECONDS);
	check("fork in a signal handler, one thread", fork, 0);
	if (_Fork)
		check("_Fork in a signal handler, other threads busy", _Fork, CHURNERS);
	else
		tap_skip(1, "no _Fork here");
	check("fork in a signal handler, other threads busy", fork, CHURNERS);
	return tap_done();
}

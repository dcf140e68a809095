/* SPDX-License-Identifier: MIT */
/*
 * hazard_nothreads - no thread, no signal handler, no timer of ours.
 *
 * After much use of malloc the process still has one thread, every signal its
 * default action and no pending timer; its signal mask, working directory,
 * umask and personality are as they were.
 */
#include <malloc.h>
#include <sys/time.h>

#include "churn.h"

static long tasks(void)
{
	char text[2048], *at;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return -1;
	text[n] = 0;
	at = strstr(text, "\nThreads:");
	return at ? strtol(at + 9, NULL, 10) : -1;
}

static int handled_signals(void)
{
	int handled = 0;
	for (int number = 1; number < NSIG; number++) {
		struct sigaction action;
		if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL &&
		    action.sa_handler != SIG_IGN)
			handled++;
	}
	return handled;
}

static int timers(void)
{
	int set = 0;
	for (int which = ITIMER_VIRTUAL; which <= ITIMER_PROF; which++) {
		struct itimerval value;
		if (getitimer(which, &value) == 0)
			set += value.it_value.tv_sec || value.it_value.tv_usec;
	}
	return set;
}

int main(void)
{
	static sigset_t before, after; /* zero beyond what the kernel writes */
	int handled = handled_signals();
	sigprocmask(SIG_BLOCK, NULL, &before);
	use_malloc();
	for (int i = 0; i < 20; i++)
		use_malloc_in_new_thread();
	malloc_trim(0);
	sigprocmask(SIG_BLOCK, NULL, &after);
	is_int(tasks(), 1, "one thread");
	is_int(handled_signals(), handled, "no more signal handlers than before");
	is_int(timers(), 0, "no timer runs");
	ok(memcmp(&before, &after, sizeof(before)) == 0, "the signal mask is the same");
	return tap_done();
}

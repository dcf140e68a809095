/* SPDX-License-Identifier: MIT */
/*
 * b08_handlers - malloc in signal handlers that interrupt no malloc; row B8.
 *
 *   waiting   the program is in sigsuspend, other threads are busy
 *   leaping   it computes between two calls; the handler may leave by siglongjmp
 *   first     the handler makes the first malloc of its thread, on a small
 *             alternate stack
 *
 * POSIX promises none of it, but programs do it and every allocator that keeps
 * no state of a call outside of it must bear it.  A handler that interrupts
 * malloc itself may find a lock held: that is not promised and not tried.
 */
#include <setjmp.h>
#include <sys/time.h>

#include "hazard.h"

enum { SIGNALS = 1000, THREADS = 50, KEPT = 64, LEAPS = 200, STACK_BYTES = 8 * 1024 };

static size_t *kept[KEPT];
static volatile sig_atomic_t seen, calling, leaves;
static sigjmp_buf out;

static void use(int signal)
{
	uint64_t state = (uint64_t)seen + 1;
	int saved = errno;
	(void)signal;
	if (calling)
		return;
	seen++;
	for (int i = 0; i < 8; i++) {
		size_t **slot = &kept[random_to(&state, KEPT)];
		churn_drop(*slot);
		*slot = churn_block(random_size(&state, i ? 11 : 19));
	}
	errno = saved;
	if (leaves)
		siglongjmp(out, 1);
}

static void handle(int number, int flags)
{
	struct sigaction action;
	memset(&action, 0, sizeof(action));
	action.sa_handler = use;
	action.sa_flags = flags;
	sigaction(number, &action, NULL);
}

static int waiting(void)
{
	sigset_t blocked, open;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &blocked, &open);
	handle(SIGUSR1, 0);
	churn_start(2);
	while (seen < SIGNALS) {
		kill(getpid(), SIGUSR1);
		sigsuspend(&open);
		free(escape(malloc((size_t)seen)));
	}
	churn_stop();
	return churn.errors != 0;
}

static int leaping(void)
{
	struct itimerval every = { { 0, 500 }, { 0, 500 } }, never = { { 0, 0 }, { 0, 0 } };
	static uint64_t state = 3;
	leaves = 1;
	calling = 1;
	handle(SIGVTALRM, 0);
	setitimer(ITIMER_VIRTUAL, &every, NULL);
	while (seen < LEAPS) {
		churn_drop(churn_block(random_size(&state, 12)));
		if (sigsetjmp(out, 1) == 0) {
			calling = 0;
			for (int i = 0; i < 20000; i++)
				(void)opaque((size_t)i);
		}
		calling = 1;
	}
	setitimer(ITIMER_VIRTUAL, &never, NULL);
	return churn.errors != 0;
}

static void *first_here(void *unused)
{
	stack_t other = { .ss_size = (size_t)sysconf(_SC_MINSIGSTKSZ) + STACK_BYTES };
	(void)unused;
	other.ss_sp = mmap(NULL, other.ss_size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (other.ss_sp == MAP_FAILED || sigaltstack(&other, NULL))
		return (void *)1;
	pthread_kill(pthread_self(), SIGUSR2);
	free(escape(malloc(100)));
	other.ss_flags = SS_DISABLE;
	sigaltstack(&other, NULL);
	munmap(other.ss_sp, other.ss_size);
	return NULL;
}

static int first(void)
{
	handle(SIGUSR2, SA_ONSTACK);
	for (int i = 0; i < THREADS; i++) {
		void *bad;
		pthread_t thread = start_thread(first_here, NULL);
		pthread_join(thread, &bad);
		if (bad)
			return 2;
	}
	return seen != THREADS || churn.errors != 0;
}

int main(void)
{
	watchdog(2 * HAZARD_SECONDS);
	is_int(how(in_child(waiting)), 0, "B8 %d handlers allocate while the program waits",
	       SIGNALS);
	is_int(how(in_child(leaping)), 0, "B8 %d between two calls, left by siglongjmp", LEAPS);
	is_int(how(in_child(first)), 0, "B8 the first malloc of %d threads, on a small stack",
	       THREADS);
	return tap_done();
}

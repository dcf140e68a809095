/* SPDX-License-Identifier: MIT */
/*
 * b06_priority - two threads of different priority on one CPU; row B6.
 *
 * They free each other's blocks and use the same slow paths.  The one of high
 * priority is real-time where that is allowed; the other runs only when it
 * sleeps, and is then interrupted anywhere, inside a lock as well.  A spin lock
 * would hang here, or wait for the system's real-time throttling.
 */
#include <sched.h>

#include "hazard.h"

enum { ROUNDS = 2000, SLOTS = 64 };

static void *slot[2][SLOTS]; /* whoever exchanges a block out owns it */
static int stop;             /* atomic */
static long low_rounds;

static void exchange(int side, size_t n)
{
	for (size_t i = 0; i < SLOTS; i++) {
		size_t *fresh = churn_block(n << i % 8);
		churn_drop(__atomic_exchange_n(&slot[side][i], (void *)fresh, __ATOMIC_ACQ_REL));
		churn_drop(__atomic_exchange_n(&slot[!side][i], NULL, __ATOMIC_ACQ_REL));
	}
	/* Large blocks and trims take the locks that all threads share. */
	free(escape(malloc(300 * KIB)));
}

static void *low(void *unused)
{
	struct sched_param none = { 0 };
	(void)unused;
	pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
	for (; !__atomic_load_n(&stop, __ATOMIC_RELAXED); low_rounds++) {
		exchange(0, 24);
		if (low_rounds % 8 == 0)
			malloc_trim(0);
	}
	return NULL;
}

int main(void)
{
	struct sched_param high = { .sched_priority = 1 };
	cpu_set_t one;
	pthread_t thread;
	int real_time;
	watchdog(HAZARD_SECONDS);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu() < 0 ? 0 : sched_getcpu(), &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		tap_skip_all("B6 sched_setaffinity: %s", strerror(errno));
	thread = start_thread(low, NULL);
	real_time = pthread_setschedparam(pthread_self(), SCHED_FIFO, &high) == 0;
	for (long i = 0; i < work(ROUNDS); i++) {
		exchange(1, 40);
		if (i % 4 == 0)
			usleep(100); /* the other one's turn */
	}
	high.sched_priority = 0;
	pthread_setschedparam(pthread_self(), SCHED_OTHER, &high);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	ok(low_rounds > 0, "B6 %s beside idle priority on one CPU: %ld and %ld rounds",
	   real_time ? "real time" : "normal", work(ROUNDS), low_rounds);
	is_int(churn.errors, 0, "B6 no block changed");
	return tap_done();
}

/* SPDX-License-Identifier: MIT */
/*
 * purger.c - the thread of HZ_PURGER=1: starts late, wakes seldom, ends in time.
 *
 *   heap above the least dirty budget, slow path of malloc --> thread
 *   age   look --> something given back? --yes--> age
 *           ^                            --no---> twice as long, to 16 s
 *           |____________________________________|
 *   no thread of the program has a heap  --> everything goes, the thread ends
 *
 * Started from free it could hang: libc frees under the lock of its cache of
 * stacks, which pthread_create takes.  It never mallocs under that lock.
 *
 * When main has left by pthread_exit, the process lives until its last thread
 * ends: that must not be this one for long, so it goes when the last heap
 * without a thread is.  If it is the last nevertheless, libc runs exit and its
 * handlers here, with the program's signal mask as it was at the start.
 *
 * Invariants: its hz_tls says DEAD from the first instruction on, so whatever it
 * frees or libc allocates for it passes all magazines.  A forked child inherits
 * `running` or another pid: it never starts one.
 */
#include "purger.h"

#include <errno.h>
#include <pthread.h>

#include "heap.h"
#include "pressure.h"
#include "report_os.h"

enum {
	/* Address space; two pages of it are touched.  Enough for exit's handlers. */
	STACK_BYTES = 256 << 10,
	/* A process at rest is woken four times a minute. */
	REST_MS = 16000,
	/* Below this the budget keeps everything that could be given back. */
	WORTH_PAGES = HZ_LANE_DIRTY_BYTES >> HZ_PAGE_SHIFT,
};

static struct {
	bool running; /* CAS by who starts it; true for ever where it cannot be */
	int pid; /* of the process that may have one; start */
	uint64_t mask; /* signals blocked in the thread that started it */
} purger;

/* Sleeps, for ms at most, or until no thread has a heap any more; whether any has. */
static bool rests(uint32_t ms)
{
	uint32_t live = hz_heap_live();
	if (live)
		hz_os_wait(&hz_heaps_live, live, ms);
	return hz_heap_live();
}

static void *purge(void *arg)
{
	hz_tls.state = HZ_THREAD_DEAD;
	hz_os_name_thread("hz-purger");
	uint32_t rest = HZ_LANE_AGE_MS;
	while (rests(rest)) {
		uint64_t before = hz_load(&hz_pressure_counts.purged_pages);
		hz_add(&hz_pressure_counts.wakes, 1);
		if (hz_pressure_look())
			hz_pressure_relieve();
		hz_heap_aged(NULL, hz_pressure_tick());
		bool idle = hz_load(&hz_pressure_counts.purged_pages) == before;
		rest = !idle ? HZ_LANE_AGE_MS : rest < REST_MS / 2 ? rest * 2 : REST_MS;
	}
	hz_pressure_relieve();
	hz_os_set_signals(&purger.mask);
	hz_store_release(&purger.running, false);
	return arg;
}

void hz_purger_start(void)
{
	bool no = false;
	if (hz_load_acquire(&purger.running) || hz_tls.state != HZ_THREAD_LIVE ||
	    hz_load(&hz_run_counts.high_pages) < WORTH_PAGES || purger.pid != hz_os_pid() ||
	    !__atomic_compare_exchange_n(&purger.running, &no, true, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		return;
	int was = errno;
	pthread_t thread;
	pthread_attr_t how;
	pthread_attr_init(&how);
	pthread_attr_setstacksize(&how, STACK_BYTES);
	pthread_attr_setdetachstate(&how, PTHREAD_CREATE_DETACHED);
	hz_os_block_signals(&purger.mask); /* inherited */
	/* Refused, it is not tried again: there is a limit that the program needs more. */
	pthread_create(&thread, &how, purge, NULL);
	hz_os_set_signals(&purger.mask);
	pthread_attr_destroy(&how);
	errno = was;
}

void hz_purger_born(void)
{
	purger.pid = hz_option.purger ? hz_os_pid() : 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * fork_stdio - no lock order between malloc and stdio.
 *
 * libc's fork takes stdio's list lock after the handlers of pthread_atfork;
 * fopen, fclose and open_memstream allocate with that lock held.  A malloc
 * that holds its locks across fork meets both orders and deadlocks in the
 * parent.  Threads open and close streams while the main thread forks; a
 * watchdog ends a hang.
 */
#include "churn.h"

enum { FORKS = 150, THREADS = 3 };

static int running = 1; /* atomic */
static long streams;    /* atomic */

static void *open_streams(void *unused)
{
	(void)unused;
	while (__atomic_load_n(&running, __ATOMIC_RELAXED)) {
		char *text = NULL;
		size_t length = 0;
		FILE *file = fopen("/dev/null", "w");
		FILE *memory = open_memstream(&text, &length);
		if (file) {
			fprintf(file, "%d\n", 1);
			fclose(file);
		}
		if (memory) {
			fprintf(memory, "%0*d", 3000, 7);
			fclose(memory);
		}
		free(text);
		__atomic_fetch_add(&streams, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* The child may use stdio and malloc both. */
static int in_child(void)
{
	char *text = NULL;
	size_t length = 0;
	FILE *memory = open_memstream(&text, &length);
	if (!memory)
		return 1;
	fprintf(memory, "%0*d", 5000, 7);
	fclose(memory);
	free(text);
	return length != 5000 || use_malloc();
}

int main(void)
{
	pthread_t thread[THREADS];
	long bad = 0;
	watchdog(work(120));
	churn_start(1);
	for (int i = 0; i < THREADS; i++)
		thread[i] = start_thread(open_streams, NULL);
	for (long i = work(FORKS); i > 0; i--) {
		pid_t child = fork();
		if (child == 0) {
			watchdog(60);
			_exit(in_child());
		}
		bad += child < 0 || !ended_well(reap(child));
	}
	__atomic_store_n(&running, 0, __ATOMIC_RELAXED);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	churn_stop();
	ok(streams > 0, "%ld streams opened and closed meanwhile", streams);
	is_int(bad, 0, "every child used stdio and malloc");
	is_int(churn.errors, 0, "no block changed");
	return tap_done();
}

/* SPDX-License-Identifier: MIT */
/*
 * thread_detached - threads that never ask for memory, and end unjoined.
 *
 *   thread ends -> its stack goes to libc's cache, 40 MiB -> others leave it
 *               -> the ending thread, past all its destructors, frees what
 *                  libc had allocated for those
 *
 * Such a free must not give the thread a heap: nobody would take it back, and
 * observers would look for its magazines in memory that is gone.
 *
 * Also: a thread that frees a few blocks of others and asks for none, and one
 * that frees many, which is to have a heap and to give it back.
 */
#include <hz/hz.h>
#include <semaphore.h>
#include <sys/stat.h>

#include "alloc_names.h"
#include "probe.h"

enum { ENDED = 2000, AT_ONCE = 4, STACK_BYTES = 24 << 20, FEW = 10, MANY = 5000 };

static sem_t room;
static void *block[MANY];

static void *do_nothing(void *unused)
{
	sem_post(&room);
	return unused;
}

static void *free_some(void *n)
{
	for (size_t i = 0; i < (size_t)n; i++)
		free(block[i]);
	return NULL;
}

static long tasks(void)
{
	struct stat st;
	return stat("/proc/self/task", &st) ? 1 : (long)st.st_nlink - 2;
}

static struct hz_report report(void)
{
	struct hz_report r = { 0 };
	if (hz_report_get(&r, sizeof(r)))
		tap_bail("hz_report_get: errno %d", errno);
	return r;
}

int main(void)
{
	pthread_attr_t attr;
	long alone = tasks(); /* an emulator may have one of its own */
	watchdog(120);
	sem_init(&room, 0, AT_ONCE);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_attr_setstacksize(&attr, STACK_BYTES))
		tap_bail("no stacks of that size");
	free(escape(malloc(1)));
	for (int i = 0; i < ENDED; i++) {
		pthread_t thread;
		sem_wait(&room);
		int error = pthread_create(&thread, &attr, do_nothing, NULL);
		if (error)
			tap_bail("pthread_create: error %d", error);
	}
	while (tasks() > alone)
		usleep(1000);
	is_int((long long)report().threads, 1, "%d threads ended: heaps still held", ENDED);
	is_at_most((long long)report().heaps, 2, "heaps there are");

	for (size_t n = FEW; n <= MANY; n += MANY - FEW) {
		for (size_t i = 0; i < n; i++)
			block[i] = escape(malloc(100));
		pthread_join(start_thread(free_some, (void *)n), NULL);
		is_int((long long)report().threads, 1, "a thread that freed %zu blocks: its heap",
		       n);
		T_malloc_trim(0);
		is_at_most((long long)(report().live_small + report().remote), 64 << 10,
			   "bytes in use or on their way after that");
	}
	return tap_done();
}

/* SPDX-License-Identifier: MIT */
/*
 * thread_keys - the program's thread-specific keys remain the program's.
 *
 * After malloc has been used, PTHREAD_KEYS_MAX keys can be created, each works,
 * and a thread that uses all of them with malloc'ed values and destructors ends
 * well.  The library wants one when there are two threads: it does without while
 * there is none, and takes one when there is.
 */
#include <limits.h>

#include "probe.h"

static pthread_key_t key[PTHREAD_KEYS_MAX];
static int nkeys;

static void *use_all(void *unused)
{
	long wrong = 0;
	(void)unused;
	for (int i = 0; i < nkeys; i++)
		wrong += pthread_setspecific(key[i], malloc(64)) != 0;
	for (int i = 0; i < nkeys; i++)
		wrong += pthread_getspecific(key[i]) == NULL;
	return (void *)wrong;
}

/* 256 KiB that end with the thread. */
static void *use_some(void *unused)
{
	void *block[256];
	for (int i = 0; i < 256; i++)
		block[i] = memset(malloc(1000), 1, 1000);
	for (int i = 0; i < 256; i++)
		free(block[i]);
	return unused;
}

int main(void)
{
	void *wrong;
	long before;
	watchdog(120);
	free(escape(malloc(100)));
	while (nkeys < PTHREAD_KEYS_MAX && pthread_key_create(&key[nkeys], free) == 0)
		nkeys++;
	is_int(nkeys, PTHREAD_KEYS_MAX, "all keys are left to a program of one thread");
	pthread_join(start_thread(use_all, NULL), &wrong);
	is_int((long)wrong, 0, "a thread uses all of them");
	pthread_key_delete(key[--nkeys]);
	before = rss_exact_bytes();
	for (int i = 0; i < 200; i++)
		pthread_join(start_thread(use_some, NULL), NULL);
	is_at_most((rss_exact_bytes() - before) / 1024, 4096, "KiB that 200 threads leave, after one was deleted");
	return tap_done();
}
